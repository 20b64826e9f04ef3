// The driver: ONNX bytes to artifacts. Everything that a command does goes through here.
import { targets as targetTable } from "../targets/index.ts";
import { expand } from "../passes/graph/expand.ts";
import { foldConstants } from "../passes/graph/fold-constants.ts";
import { lowerProgram } from "../passes/lower.ts";
import { group } from "../passes/te/group.ts";
import { inline } from "../passes/te/inline.ts";
import { chooseStorage } from "../passes/te/storage.ts";
import { toTe } from "../passes/te/to-te.ts";
import { evaluateProgram } from "../targets/js/evaluate.ts";
import { jsTarget } from "../targets/js/index.ts";
import { type Diagnostic, userError } from "./base/diagnostics.ts";
import type { OutputFile } from "./ir/artifact.ts";
import type { Graph } from "./ir/graph.ts";
import type { Program } from "./ir/program.ts";
import { importModel, type Imported } from "./onnx/import.ts";
import type { DimBounds } from "./onnx/value-types.ts";
import { OpTable } from "./ops/index.ts";

export type CompileOptions = {
  readonly name: string;
  /** Bounds of the model's symbolic dims, inclusive; equal bounds fix a dim. */
  readonly dims?: ReadonlyMap<string, DimBounds>;
  /** The model's folder, where external data lies. */
  readonly directory?: string;
  /** Default: inside up to 1 MB, else a file beside. */
  readonly weights?: "embed" | "file";
  /** Every rounding separate, sums in one order: wasm, C and JavaScript give the same bits. */
  readonly strict?: boolean;
  readonly onPass?: (name: string, ms: number) => void;
};
export type FrontEnd = { readonly graph: Graph; readonly info: Imported["info"]; readonly warnings: readonly Diagnostic[] };
export type CompiledTarget = { readonly program: Program; readonly files: readonly OutputFile[] };

const embedLimit = 1 << 20;

/** Reads a model and runs the passes that are the same for all targets. Throws UserError for what is wrong with the model. */
export function frontEnd(bytes: Uint8Array, options: CompileOptions): FrontEnd {
  const { graph, info, warnings } = importModel(bytes, { ops: new OpTable(), directory: options.directory, dims: options.dims });
  const evaluator = { info: jsTarget.info, run: (p: Program) => evaluateProgram(p, new Map()) };
  return { graph: foldConstants(expand(graph), evaluator), info, warnings };
}

/** Compiles a front end's graph for one target. */
export async function compileTarget(front: FrontEnd, targetName: string, options: CompileOptions): Promise<CompiledTarget> {
  const target = targetTable.get(targetName);
  if (!target) throw userError("E501", `unknown target "${targetName}"`, { hint: `targets: ${[...targetTable.keys()].join(", ")}` });
  const t = await target();
  const program = lowerFor(front.graph, t.info, options);
  const weightBytes = program.plan.sizes.weights;
  const weights = options.weights ?? (weightBytes.kind === "int" && weightBytes.value > embedLimit ? "file" : "embed");
  const { files } = await t.emit(program, { name: options.name, weights, strict: options.strict ?? false });
  return { program, files };
}
export function lowerFor(graph: Graph, info: Parameters<typeof lowerProgram>[1]["target"], options: Pick<CompileOptions, "strict">): Program {
  const placed = chooseStorage(inline(toTe(graph)), info);
  const te = info.gpu ? placed : group(placed);
  return lowerProgram(te, { target: info, strict: options.strict ?? false });
}
