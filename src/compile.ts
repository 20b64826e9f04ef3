// The driver: ONNX bytes to artifacts. Everything that a command does goes through here.

import { lowerProgram } from "../passes/lower.ts";
import { type UnfusedBound, unfusedBound } from "../passes/memory/unfused.ts";
import { graphPasses, runGraphPass } from "../passes/pipeline.ts";
import { group } from "../passes/te/group.ts";
import { inline } from "../passes/te/inline.ts";
import { pairProducts } from "../passes/te/pair.ts";
import { markSafe } from "../passes/te/safe.ts";
import { chooseStorage } from "../passes/te/storage.ts";
import { toTe } from "../passes/te/to-te.ts";
import { widen } from "../passes/te/widen.ts";
import { winograd } from "../passes/te/winograd.ts";
import { targets as targetTable } from "../targets/index.ts";
import { evaluateProgram } from "../targets/js/evaluate.ts";
import { jsTarget } from "../targets/js/index.ts";
import { InternalError, must } from "./base/assert.ts";
import { type Diagnostic, UnavailableError, UserError, userError } from "./base/diagnostics.ts";
import type { OutputFile } from "./ir/artifact.ts";
import type { Graph } from "./ir/graph.ts";
import { printGraph, printProgram, printTe } from "./ir/print.ts";
import type { Program } from "./ir/program.ts";
import type { Cells, TargetInfo } from "./ir/target.ts";
import type { TeProgram } from "./ir/te.ts";
import { verifyGraph, verifyProgram, verifyTe } from "./ir/verify.ts";
import { type Imported, importModel } from "./onnx/import.ts";
import type { DimBounds } from "./onnx/value-types.ts";
import { OpTable } from "./ops/index.ts";

export type CompileOptions = {
  readonly name: string;
  /** Bounds of the model's symbolic dims, inclusive; equal bounds fix a dim. */
  readonly dims?: ReadonlyMap<string, DimBounds>;
  /** The operators that there are. Default: Ingot's own. */
  readonly ops?: OpTable;
  /** The model's folder, where external data lies. */
  readonly directory?: string;
  /** Default: inside up to 1 MB, else a file beside. */
  readonly weights?: "embed" | "file";
  /** Every rounding separate, sums in one order: wasm, C and JavaScript give the same bits. */
  readonly strict?: boolean;
  /** Compute in f64 what is f32 in the model (ports keep their dtype), for targets that have f64. */
  readonly f64?: boolean;
  /** Before a pass. target: null for the passes that are the same for all targets. */
  readonly onStart?: (pass: string, target: string | null) => void;
  /** After a pass, with its time. */
  readonly onPass?: (pass: string, ms: number, target: string | null) => void;
  /** The text of what a pass has made: a graph (g), tensor expressions (t) or a program (p). */
  readonly onIr?: (pass: string, ir: "g" | "t" | "p", text: string, target: string | null) => void;
  /** Run the verifier of the IR after each pass. */
  readonly verify?: boolean;
};
export type FrontEnd = {
  readonly graph: Graph;
  /** What the model's values take that are alive at one time, as the file has them. */
  readonly unfused: UnfusedBound;
  readonly info: Imported["info"];
  readonly lists: Imported["lists"];
  readonly warnings: readonly Diagnostic[];
  readonly labels: Imported["labels"];
};
export type CompiledTarget = {
  readonly program: Program;
  readonly files: readonly OutputFile[];
  /** Bytes of the model's values that are alive at one time as the file has them, ports where the arena holds them; null: open dims. */
  readonly unfusedBound: number | null;
};

const embedLimit = 1 << 20;

/** A bug of ours, with the pass that it showed in. */
export class PassError extends InternalError {
  override name = "PassError";
  readonly pass: string;
  readonly target: string | null;
  constructor(pass: string, target: string | null, cause: unknown) {
    super(
      `${pass}${target === null ? "" : ` for ${target}`}: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
    this.pass = pass;
    this.target = target;
  }
}

/** Runs passes: tells of each, verifies and prints what it made, and gives its name to an exception. */
class Passes {
  private readonly options: CompileOptions;
  private readonly target: string | null;
  constructor(options: CompileOptions, target: string | null) {
    this.options = options;
    this.target = target;
  }
  graph(name: string, f: () => Graph): Graph {
    return this.pass(name, "g", f, verifyGraph, printGraph);
  }
  te(name: string, f: () => TeProgram): TeProgram {
    return this.pass(name, "t", f, verifyTe, printTe);
  }
  program(name: string, cells: Cells, f: () => Program): Program {
    return this.pass(name, "p", f, (p) => verifyProgram(p, cells), printProgram);
  }
  private pass<T>(
    name: string,
    ir: "g" | "t" | "p",
    f: () => T,
    verify: (x: T) => void,
    print: (x: T) => { readonly text: string },
  ): T {
    const end = this.start(name);
    try {
      const x = f();
      end();
      this.options.onIr?.(name, ir, print(x).text, this.target);
      if (this.options.verify) verify(x);
      return x;
    } catch (e) {
      throw this.named(name, e);
    }
  }
  /** The last step, which makes no IR. */
  async emit<T>(f: () => Promise<T>): Promise<T> {
    const end = this.start("emit");
    try {
      const x = await f();
      end();
      return x;
    } catch (e) {
      throw this.named("emit", e);
    }
  }
  private start(name: string): () => void {
    const before = performance.now();
    this.options.onStart?.(name, this.target);
    return () => this.options.onPass?.(name, performance.now() - before, this.target);
  }
  private named(name: string, e: unknown): unknown {
    return e instanceof UserError || e instanceof UnavailableError ? e : new PassError(name, this.target, e);
  }
}

/** Reads a model and runs the passes that are the same for all targets. Throws UserError for what is wrong with the model. */
export function frontEnd(bytes: Uint8Array, options: CompileOptions): FrontEnd {
  const passes = new Passes(options, null);
  let imported: Imported | null = null;
  let graph = passes.graph("import", () => {
    imported = importModel(bytes, {
      ops: options.ops ?? new OpTable(),
      directory: options.directory,
      dims: options.dims,
    });
    return imported.graph;
  });
  const { info, lists, warnings, labels } = must<Imported>(imported, "the imported model");
  const unfused = unfusedBound(graph);
  const evaluator = { info: jsTarget.info, run: (p: Program) => evaluateProgram(p, new Map()) };
  for (const p of graphPasses) graph = passes.graph(p.name, () => runGraphPass(p, graph, { evaluator }));
  return { graph, unfused, info, lists, warnings, labels };
}

/** Compiles a front end's graph for one target. */
export async function compileTarget(
  front: FrontEnd,
  targetName: string,
  options: CompileOptions,
): Promise<CompiledTarget> {
  const t = targetTable.get(targetName);
  if (!t)
    throw userError("E501", `unknown target "${targetName}"`, {
      hint: `targets: ${[...targetTable.keys()].join(", ")}`,
    });
  const program = lowerFor(front.graph, t.info, options);
  const weightBytes = program.plan.sizes.weights;
  const weights = options.weights ?? (weightBytes.kind === "int" && weightBytes.value > embedLimit ? "file" : "embed");
  const passes = new Passes(options, targetName);
  const { files } = await passes.emit(() =>
    t.emit(program, {
      name: options.name,
      weights,
      strict: options.strict ?? false,
      labels: front.labels,
      lists: front.lists,
    }),
  );
  return { program, files, unfusedBound: t.info.ioInArena ? front.unfused.withPorts : front.unfused.withoutPorts };
}
/** The program of a graph for a target. Of the options it takes those of a compilation but for the name. */
export function lowerFor(graph: Graph, info: TargetInfo, options: Omit<CompileOptions, "name">): Program {
  const passes = new Passes({ ...options, name: graph.name }, info.name);
  return lowerTe(
    passes.te("to-te", () => toTe(graph)),
    info,
    options,
  );
}
/** As lowerFor, from tensor expressions on. */
export function lowerTe(p: TeProgram, info: TargetInfo, options: Omit<CompileOptions, "name">): Program {
  const passes = new Passes({ ...options, name: p.name }, info.name);
  let te = p;
  if (options.f64) {
    if (!info.dtypes.has("f64"))
      throw userError("E501", `${info.name} has no 64-bit floats`, { hint: "--math f64 is for js, wasm and c" });
    te = passes.te("widen", () => widen(te));
  }
  te = passes.te("inline", () => inline(te));
  te = passes.te("pair", () => pairProducts(te, info));
  if (!options.strict && !options.f64) te = passes.te("winograd", () => winograd(te, info));
  te = passes.te("storage", () => chooseStorage(te, info));
  if (!info.gpu) {
    te = passes.te("safe", () => markSafe(te));
    te = passes.te("group", () => group(te));
  }
  return passes.program("lower", info, () => lowerProgram(te, { target: info, strict: options.strict ?? false }));
}
