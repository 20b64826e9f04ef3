// Random graphs of all operators and element types: the kinds of nodes of schedule/random.ts, and those of the tables beside.
import type { ValueId } from "../../src/base/brand.ts";
import { UserError } from "../../src/base/diagnostics.ts";
import type { Dim } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import { tensorShape } from "../../src/ir/te-builder.ts";
import { type DType, isFloat } from "../../src/ir/types.ts";
import type { Attr, Attributes, Builder, Placement, Random } from "../schedule/build.ts";
import { type Kind, Maker } from "../schedule/random.ts";
import { randomTensor, type Style } from "./data.ts";
import { type AttrFact, factOf, uniformOps } from "./registry.ts";

/** Adds a node to a graph, or says that it found nothing to add it to. A kind may add nothing and throw a UserError. */
export type AnyKind = (g: AnyMaker) => boolean;
export type Fits = (dtype: DType, shape: readonly Dim[]) => boolean;

const common: readonly DType[] = ["f32", "f32", "f32", "f32", "i64", "i64", "i32", "bool", "u8", "i8", "f16", "f64"];
const rare: readonly DType[] = ["bf16", "u16", "i16", "u32", "u64", "u32", "u64"];
const rarest: readonly DType[] = ["f8e4m3fn", "f8e4m3fnuz", "f8e5m2", "f8e5m2fnuz", "i4", "u4", "f4e2m1", "i2", "u2"];
const words: Readonly<Record<string, readonly string[]>> = {
  approximate: ["none", "tanh"],
  norm: ["MAX", "L1", "L2"],
  post_transform: ["NONE"],
  metric: ["euclidean", "sqeuclidean"],
};
const everything: Fits = () => true;
/** Elements of a value, about. */
const maxElements = 3000;

export class AnyMaker extends Maker {
  readonly builder: Builder;
  readonly random: Random;
  readonly style: Style;
  private readonly tables: readonly (readonly [weight: number, kinds: readonly AnyKind[]])[];
  constructor(
    b: Builder,
    r: Random,
    lengths: readonly number[],
    style: Style,
    tables: readonly (readonly [weight: number, kinds: readonly AnyKind[]])[],
  ) {
    super(b, r, lengths);
    this.builder = b;
    this.random = r;
    this.style = style;
    this.tables = tables;
  }
  override graph(): void {
    const { r } = this;
    for (let k = 0; k <= r.below(2); k++) this.fresh(this.dtype(), r.below(5));
    // Most faults need few nodes, and small graphs are fast.
    const steps = 1 + Math.min(r.below(8), r.below(8));
    for (let tries = 0, made = 0; made < steps && tries < 60; tries++) if (this.step()) made++;
    this.outputs();
  }
  protected override outputs(): void {
    const before = this.values.filter((v) => !this.used.has(v) && !this.isInput(v));
    if (before.length > 0) super.outputs();
    else this.b.output(this.b.op("Identity", [this.values.at(-1)!]));
  }
  protected override step(): boolean {
    const total = this.tables.reduce((n, [w]) => n + w, 0) + 3;
    let at = this.r.below(total);
    try {
      for (const [weight, kinds] of this.tables) {
        if (at < weight) return this.r.pick(kinds)(this);
        at -= weight;
      }
      return at === 0 ? this.r.pick(this.kinds()).call(this) : this.uniform();
    } catch (e) {
      if (e instanceof UserError) return false;
      throw e;
    }
  }
  /** The kinds of the base class take f32 alone. */
  protected override value(fits: (s: readonly Dim[]) => boolean = () => true): ValueId | null {
    const found = this.find((d, s) => d === "f32" && fits(s));
    if (found !== null) return found;
    const made = this.fresh("f32", 1 + this.r.below(4));
    return fits(this.b.shape(made)) ? made : null;
  }
  protected override kinds(): readonly Kind[] {
    return super.kinds();
  }

  // ---- for the tables --------------------------------------------------------------------------------------------------
  dtype(): DType {
    const at = this.r.below(20);
    return this.r.pick(at === 0 ? rarest : at < 3 ? rare : common);
  }
  typeOf(v: ValueId): DType {
    const t = this.b.type(v);
    return t.kind === "tensor" ? t.tensor.dtype : "bool";
  }
  shapeOf(v: ValueId): readonly Dim[] {
    return this.b.shape(v);
  }
  rank(v: ValueId): number {
    return this.b.shape(v).length;
  }
  sizeOf(v: ValueId): number {
    return this.count(this.b.shape(v));
  }
  /** The shape, with symbols as the numbers that they have on the whole. */
  numbers(v: ValueId): number[] {
    return this.b.shape(v).map((d) => D.evaluate(d, () => 9));
  }
  known(v: ValueId): number[] | null {
    const dims = this.b.shape(v).map(D.known);
    return dims.every((d) => d !== null) ? (dims as number[]) : null;
  }
  find(fits: Fits = everything): ValueId | null {
    const all = this.values.filter(
      (v) => tensorShape(this.b.type(v)) !== null && fits(this.typeOf(v), this.b.shape(v)),
    );
    return all.length === 0 ? null : all[Math.max(this.r.below(all.length), this.r.below(all.length))]!;
  }
  /** A new input of the graph. Of rank 3 and more the first dims are small. */
  fresh(dtype: DType, rank: number, within?: readonly [number, number]): ValueId {
    const { r } = this;
    const dims = this.inputDims(rank).map((d, k) =>
      r.below(40) === 0 ? 0 : rank > 2 && k < 2 && r.below(2) === 0 ? r.pick([1, 2, 3, 4]) : d,
    );
    while (this.count(dims.map((d) => (typeof d === "number" ? D.int(d) : D.int(9)))) > 1500) {
      const k = r.below(dims.length);
      dims[k] = r.pick([1, 2, 3]);
    }
    return this.given(dtype, dims, within);
  }
  given(dtype: DType, dims: readonly (number | string | Dim)[], within?: readonly [number, number]): ValueId {
    const v = this.b.input(dims, dtype, within);
    this.inputs.add(v);
    this.values.push(v);
    return v;
  }
  /** A value of such a type and rank, a new input if there is none. */
  need(dtypes: readonly DType[], low: number, high: number = low): ValueId {
    const found =
      this.r.below(5) === 0 ? null : this.find((d, s) => dtypes.includes(d) && s.length >= low && s.length <= high);
    return found ?? this.fresh(this.r.pick(dtypes), low + this.r.below(high - low + 1));
  }
  any(low = 0, high = 5): ValueId {
    return (
      this.find((_, s) => s.length >= low && s.length <= high) ??
      this.fresh(this.dtype(), low + this.r.below(Math.min(high, low + 3) - low + 1))
    );
  }
  constant(dtype: DType, dims: readonly number[], within?: readonly [number, number]): ValueId {
    const style = this.r.below(4) === 0 ? this.style : "modest";
    return this.b.tensor(randomTensor(this.r, dtype, dims, style, within));
  }
  /** Integers within bounds: a constant, or an input. */
  integers(dims: readonly number[], within: readonly [number, number], dtype: DType = "i64"): ValueId {
    if (this.r.below(3) > 0) return this.constant(dtype, dims, within);
    return this.given(dtype, dims, within);
  }
  /** Another operand that broadcasts with x, of its type. */
  partner(x: ValueId): ValueId {
    const { r } = this;
    const [dtype, s] = [this.typeOf(x), this.b.shape(x)];
    const fits: Fits = (d, t) =>
      d === dtype &&
      Array.from(
        { length: Math.min(s.length, t.length) },
        (_, k) => [s[s.length - 1 - k]!, t[t.length - 1 - k]!] as const,
      ).every(([a, b]) => a === b || a === D.one || b === D.one);
    const found =
      r.below(2) === 0 ? this.find((d, t) => fits(d, t) && this.count(t) * this.count(s) < 200 * maxElements) : null;
    if (found !== null) return found;
    const from = r.below(s.length + 1);
    const dims = s.slice(from).map((d) => (r.below(3) === 0 ? D.one : d));
    if (dims.some((d) => D.known(d) === null && d.kind !== "sym") || r.below(3) > 0)
      return this.constant(
        dtype,
        dims.map((d) => D.known(d) ?? 1),
      );
    const named = dims.map((d) => (d.kind === "sym" && !["A", "B"].includes(d.id) ? 1 : d));
    return this.given(dtype, named);
  }
  /** A value of exactly x's shape and type. */
  twin(x: ValueId): ValueId {
    const s = this.b.shape(x);
    return this.find((d, t) => d === this.typeOf(x) && t.length === s.length && t.every((e, k) => e === s[k])) ?? x;
  }
  axis(rank: number): number {
    return this.r.below(rank) - (this.r.below(3) === 0 ? rank : 0);
  }
  axesOf(rank: number): number[] {
    const axes = this.axes(rank);
    return axes.map((a) => a - (this.r.below(4) === 0 ? rank : 0));
  }
  chance(n: number): boolean {
    return this.r.below(n) === 0;
  }
  ints(values: readonly number[], dtype: DType = "i64"): ValueId {
    return this.b.ints(values, dtype);
  }
  /** Attributes of an operator at random, by their kinds: some of them left out. */
  attrs(type: string, rank: number, domain = ""): Attributes {
    const facts = factOf.get(`${domain}:${type}`)?.attrs ?? [];
    return Object.fromEntries(
      facts.flatMap((f): [string, Attr][] => {
        const a = this.chance(2) ? this.attr(f, rank) : null;
        return a === null ? [] : [[f.name, a]];
      }),
    );
  }
  private attr({ name, kind, dflt }: AttrFact, rank: number): Attr | null {
    const { r } = this;
    switch (kind) {
      case "int":
        if (name === "axis") return rank > 0 ? this.axis(rank) : null;
        if (name === "p") return r.pick([1, 2]);
        if (name === "k") return r.below(5) - 2;
        return dflt === 0 || dflt === 1 ? r.below(2) : null;
      case "float":
        return name === "epsilon" ? r.pick([1e-5, 0.1]) : r.pick([0, 0.5, 1, -1, 2, 0.01, Math.fround(0.3)]);
      case "string":
        return words[name] ? r.pick(words[name]) : null;
      case "ints":
      case "floats":
      case "dtype":
        return null;
    }
  }
  /** Adds a node. False when it would be too large; a UserError when the operator refuses it. */
  node(
    type: string,
    inputs: readonly (ValueId | null)[],
    attrs: Attributes = {},
    outputs = 1,
    where: Placement = {},
  ): boolean {
    const made = this.b.ops(type, inputs, attrs, outputs, where);
    for (const v of inputs) if (v !== null) this.used.add(v);
    // What is too large is not gone on with; it is no output either.
    const fine = made.filter((v) => {
      const s = tensorShape(this.b.type(v));
      return s !== null && this.count(s) <= maxElements && s.length <= 7;
    });
    this.values.push(...fine);
    return fine.length > 0;
  }
  use(v: ValueId): void {
    this.used.add(v);
  }
  private uniform(): boolean {
    const { r } = this;
    const op = r.pick(uniforms);
    const x = this.any();
    const rank = this.rank(x);
    const arity = op.variadic ? 1 + r.below(3) : op.arity;
    const more = Array.from({ length: arity - 1 }, () => this.partner(x));
    const inputs = r.below(2) === 0 ? [x, ...more] : [...more, x];
    return this.node(op.type, inputs, this.attrs(op.type, rank, op.domain), 1, { domain: op.domain });
  }
  isFloat(v: ValueId): boolean {
    return isFloat(this.typeOf(v));
  }
}

/** Those whose further inputs the tables know better, and collections. */
const handled = new Set(
  `Concat Split Tile ReverseSequence CenterCropPad TopK Compress ConstantOfShape CumSum CumProd InstanceNormalization
  SkipLayerNormalization SkipSimplifiedLayerNormalization BiasGelu QLinearSigmoid QLinearLeakyRelu QLinearGlobalAveragePool
  QLinearSoftmax HannWindow HammingWindow BlackmanWindow LinearClassifier LinearRegressor Scaler Imputer FeatureVectorizer
  CategoryMapper ZipMap TreeEnsembleClassifier TreeEnsembleRegressor SVMRegressor SVMClassifier SequenceConstruct SequenceEmpty
  SplitToSequence Optional OptionalHasElement OptionalGetElement Expand Slice Reshape Gather GatherElements ArrayFeatureExtractor
  LayerNormalization RMSNormalization SimplifiedLayerNormalization Upsample GridSample AffineGrid CDist Where ScatterElements
  Scatter OneHot Range DynamicQuantizeLinear EmbedLayerNormalization Resize NonZero Unique SwiGLU FastGelu`.split(
    /\s+/,
  ),
);
const variadic = new Set(["Sum", "Mean", "Max", "Min"]);
const uniforms = uniformOps
  .filter((o) => !handled.has(o.type) && o.domain !== "com.microsoft")
  .map((o) => ({ ...o, variadic: variadic.has(o.type) }));
