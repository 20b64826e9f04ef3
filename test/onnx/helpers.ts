// Shared by the tests of src/onnx.
import { type Diagnostic, UserError } from "../../src/base/diagnostics.ts";
import type { Attrs, Graph } from "../../src/ir/graph.ts";
import { type OpDef, op } from "../../src/ir/opdef.ts";
import { type DType, type Tensor, tensorOf, tensorType, type ValueType } from "../../src/ir/types.ts";
import { type ModelSpec, modelBytes } from "../../src/onnx/export.ts";
import { type Imported, type ImportOptions, importModel } from "../../src/onnx/import.ts";
import { allOps, OpTable } from "../../src/ops/index.ts";

/** The diagnostics that f fails with. */
export function problems(f: () => unknown): readonly Diagnostic[] {
  try {
    f();
  } catch (e) {
    if (e instanceof UserError) return e.diagnostics;
    throw e;
  }
  return [];
}
/** Each as `CODE node: message`. */
export function problemTexts(f: () => unknown): string[] {
  return problems(f).map((d) => `${d.code} ${d.loc ? `${d.loc.node}: ` : ""}${d.message}`);
}
export function importSpec(spec: ModelSpec, options: Partial<ImportOptions> = {}): Imported {
  return importModel(modelBytes(spec), { ops: testOps, ...options });
}

export function typeText(t: ValueType): string {
  return t.kind === "tensor"
    ? `${t.tensor.dtype}[${t.tensor.shape.map((d) => d.key).join(", ")}]`
    : `${t.kind}(${typeText(t.of)})`;
}
/** `name: type` of a graph's inputs or outputs. */
export function ports(g: Graph, which: "inputs" | "outputs"): string[] {
  return g[which].map((id) => `${g.values.get(id)!.name}: ${typeText(g.values.get(id)!.type)}`);
}
/** One line per node: `outputs = Op(inputs)`, absent ones as `-`; constants in brackets. */
export function lines(g: Graph): string[] {
  const name = (id: (typeof g.inputs)[number] | null): string => {
    if (id === null) return "-";
    const v = g.values.get(id)!;
    return v.constant && !g.nodes.some((n) => n.outputs.includes(id)) ? `[${v.name}]` : v.name;
  };
  return g.nodes.map((n) => `${n.outputs.map(name).join(", ")} = ${n.def.name}(${n.inputs.map(name).join(", ")})`);
}

export const f32 = (dims: readonly number[], values: readonly number[]): Tensor => tensorOf("f32", dims, values);
export const i64 = (...values: readonly number[]): Tensor => tensorOf("i64", [values.length], values);
export const scalar = (dtype: DType, value: number): Tensor => tensorOf(dtype, [], [value]);

/** An op whose bodies are only there to be imported. */
type BodyAttrs = { bodies: readonly Graph[] };
function bodyOp(
  type: string,
  attrs: readonly string[],
  bodies: NonNullable<OpDef<BodyAttrs>["bodies"]>,
  infer: OpDef<BodyAttrs>["infer"],
): OpDef<Attrs> {
  const def: OpDef<BodyAttrs> = op<BodyAttrs>({
    name: type,
    onnx: [{ domain: "test", type, since: [1] }],
    accuracy: { kind: "exact" },
    effects: "none",
    parse: (n) => ({ bodies: attrs.map((a) => n.graph(a) ?? n.fail(`graph "${a}" is missing`)) }),
    infer,
    bodies,
    body: {
      kind: "control",
      control: () => {
        throw new Error("not lowered here");
      },
    },
  });
  return def as unknown as OpDef<Attrs>;
}
const outputTypes = (g: Graph): ValueType[] => g.outputs.map((id) => g.values.get(id)!.type);
const bool = tensorType("bool", []);

/** Choose(cond) {left, right}: the types of left's outputs. */
const Choose = bodyOp(
  "Choose",
  ["left", "right"],
  () => ({ left: { inputs: [], carried: [] }, right: { inputs: [], carried: [] } }),
  (_x, a) => outputTypes(a.bodies[0]!),
);
/** Repeat(cond, state...) {body}: body(cond, state...) -> cond, state... */
const Repeat = bodyOp(
  "Repeat",
  ["body"],
  (x) => {
    const state = x.slice(1).map((t) => t ?? bool);
    return { body: { inputs: [bool, ...state], carried: [[0, 0], ...state.map((_, k) => [k + 1, k + 1] as const)] } };
  },
  (_x, a) => outputTypes(a.bodies[0]!).slice(1),
);
/** Open(x): its first dim becomes one that depends on data. */
const Open: OpDef<Record<string, never>> = op({
  name: "Open",
  onnx: [{ domain: "test", type: "Open", since: [1] }],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: () => ({}),
  infer: (x, _a, ctx) => {
    const t = x[0];
    if (t?.kind !== "tensor") return ctx.fail("input 0 is missing");
    return [tensorType(t.tensor.dtype, [ctx.fresh("open", 0, null), ...t.tensor.shape.slice(1)])];
  },
  body: { kind: "view" },
});
export const testOps: OpTable = new OpTable([...allOps, Choose, Repeat, Open as unknown as OpDef<Attrs>]);
