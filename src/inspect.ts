// What can be said of a model: its interface, its operators, its cost, and which targets support it.
import { factorsOf } from "../passes/te/contraction.ts";
import { toTe } from "../passes/te/to-te.ts";
import { type Diagnostic, UserError } from "./base/diagnostics.ts";
import type { Dim, Sym } from "./ir/dim.ts";
import * as D from "./ir/dim.ts";
import type { Stage, TeAction } from "./ir/te.ts";
import { type ModelInfo, modelInfo } from "./onnx/info.ts";
import { readModel } from "./onnx/proto.ts";
import type { ValueInfoProto } from "./onnx/schema.ts";
import { dtypeOfCode, nameOfCode } from "./onnx/tensors.ts";
import { declaredDims, InputSymbols } from "./onnx/value-types.ts";
import { dimText, numpyName, type Port, type Ports } from "./run/ports.ts";
import { type ModelSource, readSource } from "./run/source.ts";
import {
  type CommonOptions,
  checkTargets,
  compileFor,
  failure,
  type Prepared,
  prepare,
  type Report,
  type TargetReport,
  targetNames,
} from "./run/targets.ts";

/** shape null: not even the rank is known. */
export type PortReport = {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly (number | string)[] | null;
};
/** A symbolic dim: inclusive bounds (max null: none), and where it occurs, as `INPUT:AXIS`. */
export type DimReport = {
  readonly name: string;
  readonly min: number;
  readonly max: number | null;
  readonly axes: readonly string[];
};
export type InspectReport = Report & {
  readonly inputs: readonly PortReport[];
  readonly outputs: readonly PortReport[];
  readonly dims: readonly DimReport[];
  readonly info: ModelInfo;
  /** Products in sums of products, for one run. null when it depends on dims, or the model cannot be imported. */
  readonly macs: number | null;
  /** The same over the symbols. */
  readonly macsFormula: string | null;
};
export type InspectOptions = CommonOptions & {
  /** The targets to try. Default: all. */
  readonly targets?: readonly string[];
};

/**
 * Describes a model and tries to compile it for each target. What is wrong with the model is in `diagnostics`, and the rest says
 * what can be said all the same; only a file that is no ONNX model, or cannot be read, throws a UserError.
 */
export async function inspect(model: ModelSource, options: InspectOptions = {}): Promise<InspectReport> {
  const source = readSource(model, options);
  const proto = readModel(source.bytes);
  const info = modelInfo(proto);
  const wanted = options.targets ?? targetNames;
  checkTargets(wanted);
  const diagnostics: Diagnostic[] = [];
  const targets = new Map<string, TargetReport>();
  let prepared: Prepared;
  try {
    // The place of the weights is no matter of support.
    prepared = await prepare(source.bytes, {
      ...options,
      directory: source.directory,
      name: source.name,
      weights: "file",
    });
  } catch (e) {
    if (!(e instanceof UserError)) throw e;
    const report = failure(e, "unsupported", diagnostics);
    for (const t of wanted) targets.set(t, report);
    const graph = proto.graph!;
    const initializers = new Set(graph.initializer.map((t) => t.name));
    const symbols = new InputSymbols(source.dims);
    const inputs = graph.input.filter((i) => !initializers.has(i.name)).map((i) => declaredInput(i, symbols));
    const outputs = graph.output.map(declared);
    const dims = dimReports(
      inputs.map((i) => i.port),
      [...symbols.open.values()],
    );
    const found = { inputs: inputs.map((i) => i.report), outputs, dims, macs: null, macsFormula: null };
    return { name: source.name, diagnostics, targets, info, ...found };
  }
  const { ports, front } = prepared;
  diagnostics.push(...front.warnings);
  const macs = macsOf(toTe(front.graph).actions);
  // A target that does not support the model is no mistake here: what it says is in its report alone.
  for (const target of wanted) targets.set(target, (await compileFor(prepared, target, [])).report);
  return {
    name: source.name,
    diagnostics,
    targets,
    info,
    inputs: ports.inputs.map(portReport),
    outputs: ports.outputs.map(portReport),
    dims: dimReports(ports.inputs, ports.symbols),
    macs: D.known(macs),
    macsFormula: String(dimText(macs)),
  };
}

function portReport({ name, dtype, shape }: Port): PortReport {
  return { name, dtype: numpyName(dtype), shape: shape.map(dimText) };
}
/** An output as the file declares it. */
function declared({ name, type }: ValueInfoProto): PortReport {
  const code = type?.tensor?.elemType ?? null;
  const dtype = dtypeOfCode(code);
  const dims = declaredDims(type?.tensor);
  return { name, dtype: dtype ? numpyName(dtype) : nameOfCode(code), shape: dims?.map((d) => d ?? "?") ?? null };
}
function declaredInput(
  v: ValueInfoProto,
  symbols: InputSymbols,
): { readonly report: PortReport; readonly port: Port | null } {
  try {
    const t = symbols.type(v.type, v.name);
    if (t.kind === "tensor") {
      const port = { name: v.name, ...t.tensor };
      return { report: portReport(port), port };
    }
  } catch (e) {
    // What is wrong with it is among the diagnostics of the import.
    if (!(e instanceof UserError)) throw e;
  }
  return { report: declared(v), port: null };
}

function dimReports(inputs: readonly (Port | null)[], symbols: Ports["symbols"]): DimReport[] {
  return symbols.map((s: Sym) => ({
    name: s.id,
    min: s.min,
    max: s.max,
    axes: inputs.flatMap((p) =>
      (p?.shape ?? []).flatMap((d, axis) => (D.symbolsOf(d).has(s.id) ? [`${p!.name}:${axis}`] : [])),
    ),
  }));
}

/** Multiplications of all sums of products. A loop counts as often as its limit says, both branches of an If count. */
export function macsOf(actions: readonly TeAction[]): Dim {
  return D.add(
    D.zero,
    ...actions.map((a): Dim => {
      switch (a.kind) {
        case "call":
          return a.call.kind === "group" ? D.add(D.zero, ...a.call.group.stages.map(macsOfStage)) : D.zero;
        case "loop":
          return D.mul(a.trip ?? D.one, macsOf(a.body));
        case "if":
          return D.add(macsOf(a.then), macsOf(a.otherwise));
        default:
          return D.zero;
      }
    }),
  );
}
function macsOfStage(s: Stage): Dim {
  return D.add(
    D.zero,
    ...s.outs.map(({ body }) =>
      body.kind === "reduce" && factorsOf(body) ? D.product([...s.axes, ...body.axes].map((x) => x.extent)) : D.zero,
    ),
  );
}
