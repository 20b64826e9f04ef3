// Computes i64 values that provably fit i32 as i32: index arithmetic becomes cheap in JavaScript and in vectors, and possible in WGSL.
// Inputs and outputs of the graph keep their types: casts stand where the two meet, and T inlines them.
import { must } from "../../src/base/assert.ts";
import type { ValueId } from "../../src/base/brand.ts";
import type { Loc } from "../../src/base/diagnostics.ts";
import { type AnyNode, type Attrs, type Graph, is, type Value } from "../../src/ir/graph.ts";
import { hasBodies, mapBodies } from "../../src/ir/graph-copy.ts";
import { GraphMaker } from "../../src/ir/graph-maker.ts";
import { type Tensor, tensorOf, tensorType, typedView } from "../../src/ir/types.ts";
import { Cast } from "../../src/ops/cast.ts";
import { ConstantOfShape } from "../../src/ops/create.ts";
import { View } from "../../src/ops/view.ts";
import { eliminateDeadNodes } from "./dce.ts";
import { fitsI32, integerRanges, type Range } from "./integer-ranges.ts";
import { keepOutputs } from "./patch.ts";

/**
 * What an op's 64-bit operands are. Those that are not named here are values: all values of a node, inputs and outputs, are i64, or
 * all are i32. free: inputs of any integer type, whatever the others are (shapes, axes, counts). index: the same, and positions in a
 * tensor, which hold no other number than i32 does unless the model is wrong (a wrong one still reads inside its tensor, or is
 * dropped). positions: outputs whose type the attribute `index` says.
 */
type Operands = {
  readonly free?: readonly number[];
  readonly index?: readonly number[];
  readonly positions?: readonly number[];
};
const plain: readonly string[] = [
  "Flatten View Identity Transpose Concat Where DepthToSpace SpaceToDepth Compress",
  "Add Sub Mul Div Mod Neg Abs Sign Relu Sum Max Min Clip",
  "Equal Less LessOrEqual Greater GreaterOrEqual Range Cast ConstantOfShape",
].flatMap((l) => l.split(" "));
const table: { readonly [op: string]: Operands } = {
  ...Object.fromEntries(plain.map((op) => [op, {}])),
  ...Object.fromEntries(["Gather", "GatherElements", "GatherND"].map((op) => [op, { index: [1] }])),
  ...Object.fromEntries(["ScatterElements", "ScatterND"].map((op) => [op, { index: [1] }])),
  ...Object.fromEntries(
    ["Reshape", "Squeeze", "Unsqueeze", "Split", "Expand", "Tile", "Trilu", "CenterCropPad", "ReverseSequence"].map(
      (op) => [op, { free: [1] }],
    ),
  ),
  ...Object.fromEntries(
    ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "CumSum"].map((op) => [op, { free: [1] }]),
  ),
  ...Object.fromEntries(["Shape", "Size", "NonZero"].map((op) => [op, { free: [0], positions: [0] }])),
  Slice: { free: [1, 2, 3, 4] },
  Pad: { free: [1, 3] },
  Dropout: { free: [1, 2] },
  TensorScatter: { free: [2] },
  OneHot: { free: [0, 1] },
  ArgMax: { positions: [0] },
  ArgMin: { positions: [0] },
  TopK: { free: [1], positions: [1] },
  Unique: { positions: [1, 2, 3] },
  NonMaxSuppression: { free: [2], positions: [0] },
};

export function narrowIntegers(g: Graph): Graph {
  const inBodies = (n: AnyNode): AnyNode => (hasBodies(n) ? mapBodies(n, narrowIntegers) : n);
  return new Narrowing({ ...g, nodes: g.nodes.map(inBodies) }).run();
}

class Narrowing {
  private readonly g: Graph;
  private readonly ranges: ReadonlyMap<ValueId, Range>;
  private readonly m: GraphMaker;
  /** i64 values that have an i32 form, and values of other types that are another value now. */
  private readonly narrowForm = new Map<ValueId, ValueId>();
  private readonly alias = new Map<ValueId, ValueId>();
  /** i64 values that are made as such. */
  private readonly wide: Set<ValueId>;

  constructor(g: Graph) {
    this.g = g;
    this.ranges = integerRanges(g);
    this.m = GraphMaker.from(g);
    this.wide = new Set(g.inputs);
  }
  run(): Graph {
    for (const n of this.g.nodes) this.node(n);
    for (const o of this.g.outputs) this.widened(o, { node: this.g.values.get(o)!.name, op: "Output" });
    const outputs = keepOutputs(this.m, this.g, (v) => this.alias.get(v) ?? v);
    return eliminateDeadNodes(this.m.finish(outputs));
  }

  private isI64(v: ValueId): boolean {
    const t = this.m.type(v);
    return t.kind === "tensor" && t.tensor.dtype === "i64";
  }
  private fits(v: ValueId): boolean {
    return fitsI32(must(this.ranges.get(v), `the range of value ${v}`));
  }

  private node(n: AnyNode): void {
    const operands = table[n.def.name] ?? null;
    const wide = (i: ValueId | null): ValueId | null => (i === null ? null : this.widened(i, n.loc));
    if (!operands || n.outputs.every((o) => o === null || this.m.constantOf(o) !== null)) {
      this.push(n, n.inputs.map(wide), n.outputs, n.attrs as Attrs);
      return;
    }
    const { free = [], index = [], positions = [] } = operands;
    const isValue = (v: ValueId | null, apart: boolean): v is ValueId => v !== null && !apart && this.isI64(v);
    const valuesIn = n.inputs.filter((i, k) => isValue(i, free.includes(k) || index.includes(k))) as ValueId[];
    const valuesOut = n.outputs.filter((o, k) => isValue(o, positions.includes(k))) as ValueId[];
    const narrow = [...valuesIn, ...valuesOut].every((v) => this.fits(v));
    const places = positions.map((k) => n.outputs[k] ?? null).filter((o) => o !== null && this.isI64(o)) as ValueId[];
    const short = places.length > 0 && places.every((o) => this.fits(o));
    const inputs = n.inputs.map((i, k) => {
      if (i === null || !this.isI64(i)) return wide(i);
      if (index.includes(k)) return this.m.constantOf(i) && !this.fits(i) ? wide(i) : this.narrowed(i, n.loc);
      if (free.includes(k)) return this.narrowForm.get(i) ?? wide(i);
      return narrow ? this.narrowed(i, n.loc) : wide(i);
    });
    const changed = new Set([...(narrow ? valuesOut : []), ...(short ? places : [])]);
    if (is(n, Cast)) return this.cast(n, inputs[0]!, changed.size > 0);
    const outputs = n.outputs.map((o) => (o !== null && changed.has(o) ? this.i32Form(o) : o));
    this.push(n, inputs, outputs, narrowAttrs(n, narrow && valuesOut.length > 0, short));
  }
  /** A cast of what is i32 to i32 is no cast. */
  private cast(n: AnyNode & { readonly attrs: Attrs }, x: ValueId, narrow: boolean): void {
    const o = must(n.outputs[0], "the output of a Cast");
    const [from, to] = [this.m.type(x), this.m.type(o)];
    const target = narrow ? "i32" : to.kind === "tensor" ? to.tensor.dtype : null;
    if (from.kind !== "tensor" || from.tensor.dtype !== target || target !== "i32")
      return this.push(n, [x], [narrow ? this.i32Form(o) : o], { ...n.attrs, ...(narrow ? { to: "i32" } : {}) });
    (narrow ? this.narrowForm : this.alias).set(o, x);
  }
  private push(n: AnyNode, inputs: AnyNode["inputs"], outputs: AnyNode["outputs"], attrs: Attrs): void {
    this.m.nodes.push({ ...n, inputs, outputs, attrs });
    for (const o of outputs) if (o !== null) this.wide.add(o);
  }
  /** The value that stands for an i64 one as i32. */
  private i32Form(v: ValueId): ValueId {
    const { name, type, known } = this.m.get(v);
    if (type.kind !== "tensor") throw new Error(`"${name}" is no tensor`);
    const id = this.m.value(`${name}.i32`, tensorType("i32", type.tensor.shape), known ? { known } : {});
    this.narrowForm.set(v, id);
    return id;
  }
  private narrowed(v: ValueId, loc: Loc): ValueId {
    const old = this.narrowForm.get(v);
    if (old !== undefined) return old;
    const value: Value = this.m.get(v);
    if (value.constant !== undefined) {
      const id = this.m.constant(toI32(value.constant), `${value.name}.i32`);
      this.narrowForm.set(v, id);
      return id;
    }
    const id = this.i32Form(v);
    this.convert("i32", v, id, loc);
    return id;
  }
  /** The value as it was: cast back where only its i32 form is made. */
  private widened(v: ValueId, loc: Loc): ValueId {
    const form = this.alias.get(v) ?? v;
    for (const e of this.m.elements(form) ?? []) this.widened(e, loc);
    const narrow = this.narrowForm.get(form);
    if (narrow === undefined || this.wide.has(form) || this.m.constantOf(form) !== null) return form;
    this.wide.add(form);
    this.convert("i64", narrow, form, loc);
    return form;
  }
  private convert(to: "i32" | "i64", from: ValueId, out: ValueId, loc: Loc): void {
    const attrs = { to } as const;
    this.m.nodes.push({ id: this.m.nodeId(), def: Cast, attrs, inputs: [from], outputs: [out], loc });
  }
}

/** Attributes that name the type of the output. */
function narrowAttrs(n: AnyNode, values: boolean, positions: boolean): Attrs {
  const attrs = { ...(n.attrs as Attrs), ...(positions ? { index: "i32" } : {}) };
  if (!values) return attrs;
  if (is(n, View)) return { ...attrs, type: { ...n.attrs.type, dtype: "i32" } };
  if (is(n, ConstantOfShape) && n.attrs.value) return { ...attrs, value: toI32(n.attrs.value) };
  return attrs;
}
function toI32(t: Tensor): Tensor {
  return tensorOf("i32", t.dims, typedView(t.dtype, t.bytes));
}
