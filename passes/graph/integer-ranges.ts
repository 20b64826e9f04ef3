// Between which numbers the elements of integer tensors lie, as far as it follows from constants, shapes and operators.
import type { ValueId } from "../../src/base/brand.ts";
import type { Dim } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import type { AnyNode, Graph, Value } from "../../src/ir/graph.ts";
import { type DType, intBits, isFloat, isUnsigned, type Tensor, typedView } from "../../src/ir/types.ts";

/** Inclusive bounds, maybe infinite. */
export type Range = { readonly lo: number; readonly hi: number };
const range = (lo: number, hi: number): Range => ({ lo, hi });
const unknown: Range = range(Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY);
const hull = (...rs: readonly Range[]): Range =>
  range(Math.min(...rs.map((r) => r.lo)), Math.max(...rs.map((r) => r.hi)));
const zero: Range = range(0, 0);

/** Extents and element counts are i32 on every target; a dim of which nothing is known is at most this (see src/ops/ints.ts). */
const maxExtent = 2 ** 29;
const maxCount = 2 ** 31 - 1;

function ofType(d: DType): Range {
  if (isFloat(d) || intBits(d) > 32) return unknown;
  if (isUnsigned(d)) return range(0, 2 ** intBits(d) - 1);
  return range(-(2 ** (intBits(d) - 1)), 2 ** (intBits(d) - 1) - 1);
}
export function fitsI32(r: Range): boolean {
  return r.lo >= -(2 ** 31) && r.hi <= 2 ** 31 - 1;
}

/**
 * The ranges of a graph's integer values. A range may be wider than the values: where an operator's own sums and differences go
 * beyond its results, it holds for these too, so what fits i32 can be computed in i32.
 */
export function integerRanges(g: Graph): ReadonlyMap<ValueId, Range> {
  return new Analysis(g).run();
}

/** What a rule sees: ranges of inputs (an absent one is 0), and their extents. */
type Ctx = {
  readonly n: AnyNode;
  readonly inputs: readonly Range[];
  readonly in: (k: number) => Range;
  readonly has: (k: number) => boolean;
  /** The largest extent of input k, and bounds of how many elements of it go into one of the output. */
  readonly extent: (k: number) => number;
  readonly count: (k: number) => number;
  readonly perOutput: () => Range;
};
/** The range of all outputs, or one for each. */
type Rule = (c: Ctx) => Range | readonly Range[];

const same: Rule = (c) => c.in(0);
const all: Rule = (c) => hull(...c.inputs);
const withZero: Rule = (c) => hull(c.in(0), zero);
const times = (a: Range, b: Range): Range => {
  // 0 * Infinity: an unbounded number times 0 is 0.
  const ps = [a.lo * b.lo, a.lo * b.hi, a.hi * b.lo, a.hi * b.hi].map((x) => (Number.isNaN(x) ? 0 : x));
  return range(Math.min(...ps), Math.max(...ps));
};
const plus = (a: Range, b: Range): Range => range(a.lo + b.lo, a.hi + b.hi);
const minus = (a: Range, b: Range): Range => range(a.lo - b.hi, a.hi - b.lo);
const magnitude = (r: Range): number => Math.max(Math.abs(r.lo), Math.abs(r.hi));
const atLeast = (a: Range, b: Range): Range => range(Math.max(a.lo, b.lo), Math.max(a.hi, b.hi));
const atMost = (a: Range, b: Range): Range => range(Math.min(a.lo, b.lo), Math.min(a.hi, b.hi));
/** Sums of up to `count` of them. */
const sums = (r: Range, count: number): Range => hull(zero, times(r, range(count, count)));
const attr = (n: AnyNode, name: string): unknown => (n.attrs as { readonly [name: string]: unknown })[name];
const extreme: Rule = (c) => (c.perOutput().lo >= 1 ? c.in(0) : unknown);
const scattered: Rule = (c) =>
  ["none", "max", "min"].includes(String(attr(c.n, "reduction"))) ? hull(c.in(0), c.in(2)) : unknown;
const position: Rule = (c) => range(-1, c.extent(0));

const rules: { readonly [op: string]: Rule } = {
  ...Object.fromEntries(
    [
      "Reshape Flatten Squeeze Unsqueeze View Identity Transpose Slice Gather GatherElements GatherND Expand Tile",
      "DepthToSpace SpaceToDepth ReverseSequence Compress Split Dropout Cast CastLike",
    ]
      .flatMap((l) => l.split(" "))
      .map((op) => [op, same] as const),
  ),
  Concat: all,
  Trilu: withZero,
  CenterCropPad: withZero,
  Pad: (c) => (attr(c.n, "value") ? unknown : hull(c.in(0), c.in(2))),
  Where: (c) => hull(c.in(1), c.in(2)),
  ScatterElements: scattered,
  ScatterND: scattered,
  TensorScatter: (c) => hull(c.in(0), c.in(1)),
  OneHot: (c) => c.in(2),
  ConstantOfShape: (c) => {
    const value = attr(c.n, "value") as Tensor | undefined;
    return value ? ofConstant(value) : zero;
  },
  Add: (c) => plus(c.in(0), c.in(1)),
  Sub: (c) => minus(c.in(0), c.in(1)),
  Mul: (c) => times(c.in(0), c.in(1)),
  Div: (c) => {
    const [a, b] = [c.in(0), c.in(1)];
    return a.lo >= 0 && b.lo >= 0 ? range(0, a.hi) : range(-magnitude(a), magnitude(a));
  },
  Mod: (c) => {
    const [a, b] = [c.in(0), c.in(1)];
    const m = magnitude(b);
    if (b.lo < 0 || (attr(c.n, "fmod") && a.lo < 0)) return range(-m, m);
    return range(0, a.lo >= 0 ? Math.min(a.hi, m) : m);
  },
  Neg: (c) => minus(zero, c.in(0)),
  Abs: (c) => range(0, magnitude(c.in(0))),
  Sign: () => range(-1, 1),
  Relu: (c) => atLeast(c.in(0), zero),
  Sum: (c) => c.inputs.reduce(plus),
  Max: (c) => c.inputs.reduce(atLeast),
  Min: (c) => c.inputs.reduce(atMost),
  Clip: (c) => {
    if (attr(c.n, "min") !== undefined || attr(c.n, "max") !== undefined) return unknown;
    const low = c.has(1) ? atLeast(c.in(0), c.in(1)) : c.in(0);
    return c.has(2) ? atMost(low, c.in(2)) : low;
  },
  ReduceSum: (c) => sums(c.in(0), c.perOutput().hi),
  ReduceMean: (c) => sums(c.in(0), c.perOutput().hi),
  ReduceMax: extreme,
  ReduceMin: extreme,
  CumSum: (c) => sums(c.in(0), c.extent(0)),
  Range: (c) => {
    // Both differences of the ends are computed.
    const span = minus(c.in(1), c.in(0));
    return hull(c.in(0), c.in(1), c.in(2), span, minus(zero, span));
  },
  Shape: () => range(0, maxCount),
  Size: () => range(0, maxCount),
  ArgMax: position,
  ArgMin: position,
  NonZero: position,
  TopK: (c) => [c.in(0), position(c) as Range],
  NonMaxSuppression: (c) => range(0, c.extent(1)),
  Unique: (c) => [c.in(0), range(0, c.count(0)), range(0, c.count(0)), range(0, c.count(0))],
};

/** Ops whose own arithmetic goes beyond their results. */
const wider: readonly string[] = ["Range", "ReduceMean"];

function ofConstant(t: Tensor): Range {
  if (isFloat(t.dtype) || t.bytes.length === 0) return unknown;
  const numbers = typedView(t.dtype, t.bytes);
  let [lo, hi] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let k = 0; k < numbers.length; k++) {
    const x = Number(numbers[k]);
    if (x < lo) lo = x;
    if (x > hi) hi = x;
  }
  return range(lo, hi);
}

class Analysis {
  private readonly g: Graph;
  private readonly ranges = new Map<ValueId, Range>();
  private readonly symbols: ReadonlyMap<string, Range>;
  /** Dims that are extents or element counts of tensors. */
  private readonly counts = new Set<Dim>();

  constructor(g: Graph) {
    this.g = g;
    this.symbols = new Map(g.symbols.map((s) => [s.id, range(s.min, Math.min(s.max ?? maxExtent, maxCount))]));
    for (const v of g.values.values()) {
      const shape = shapeOf(v);
      for (const d of shape) this.counts.add(d);
      this.counts.add(D.product(shape));
    }
  }
  run(): ReadonlyMap<ValueId, Range> {
    for (const n of this.g.nodes) {
      const rule = rules[n.def.name];
      const result = rule ? rule(this.context(n)) : unknown;
      n.outputs.forEach((o, k) => {
        if (o === null) return;
        const v = this.g.values.get(o)!;
        if (v.type.kind !== "tensor" || isFloat(v.type.tensor.dtype)) return;
        const own = "lo" in result ? result : (result[k] ?? unknown);
        const limits = ofType(v.type.tensor.dtype);
        // What exceeds its type wraps.
        const computed = own.lo >= limits.lo && own.hi <= limits.hi ? own : limits;
        this.ranges.set(o, (wider.includes(n.def.name) ? null : this.known(v)) ?? computed);
      });
    }
    for (const id of this.g.values.keys()) this.of(id);
    return this.ranges;
  }
  private of(id: ValueId): Range {
    const old = this.ranges.get(id);
    if (old) return old;
    const v = this.g.values.get(id)!;
    const own = v.type.kind === "tensor" ? ofType(v.type.tensor.dtype) : unknown;
    const r = v.constant ? ofConstant(v.constant) : (this.known(v) ?? own);
    this.ranges.set(id, r);
    return r;
  }
  /** From what is known of a value's elements, if it is known of all. */
  private known(v: Value): Range | null {
    const dims = v.known?.elements;
    if (!dims || dims.length === 0) return null;
    const rs = dims.map((d) => (d === null || typeof d === "number" ? null : this.dim(d)));
    return rs.every((r) => r !== null) ? hull(...(rs as Range[])) : null;
  }
  private dim(d: Dim): Range {
    const r = this.bound(d);
    return this.counts.has(d) ? range(Math.max(r.lo, 0), Math.min(r.hi, maxCount)) : r;
  }
  private bound(d: Dim): Range {
    switch (d.kind) {
      case "int":
        return range(d.value, d.value);
      case "sym":
        return this.symbols.get(d.id) ?? range(0, maxExtent);
      case "add":
        return d.terms.map((t) => this.dim(t)).reduce(plus);
      case "mul":
        return d.terms.map((t) => this.dim(t)).reduce(times);
      case "max":
        return d.terms.map((t) => this.dim(t)).reduce(atLeast);
      case "min":
        return d.terms.map((t) => this.dim(t)).reduce(atMost);
      case "broadcast":
        return hull(...d.terms.map((t) => this.dim(t)));
      case "floordiv": {
        const [a, by] = [this.dim(d.a), this.dim(d.by)];
        return a.lo >= 0 && by.lo >= 0 ? range(0, a.hi) : range(-magnitude(a) - 1, magnitude(a) + 1);
      }
      case "mod": {
        const m = magnitude(this.dim(d.by));
        return range(-m, m);
      }
    }
  }
  private context(n: AnyNode): Ctx {
    const inputs = n.inputs.flatMap((i) => (i === null ? [] : [this.of(i)]));
    const shape = (k: number): readonly Dim[] => shapeOf(this.g.values.get(n.inputs[k]!)!);
    return {
      n,
      inputs,
      in: (k) => (n.inputs[k] === null || n.inputs[k] === undefined ? zero : this.of(n.inputs[k])),
      has: (k) => (n.inputs[k] ?? null) !== null,
      extent: (k) => Math.max(1, ...shape(k).map((d) => this.dim(d).hi)),
      count: (k) => this.dim(D.product(shape(k))).hi,
      perOutput: () => {
        const out = n.outputs[0] ?? null;
        return out === null
          ? unknown
          : this.dim(D.floordiv(D.product(shape(0)), D.product(shapeOf(this.g.values.get(out)!))));
      },
    };
  }
}
function shapeOf(v: Value): readonly Dim[] {
  return v.type.kind === "tensor" ? v.type.tensor.shape : [];
}
