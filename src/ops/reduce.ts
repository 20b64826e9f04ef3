// Reductions over axes: Reduce*, ArgMax, ArgMin, CumSum, CumProd.

import type { Dim } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { constant, type Expr, load, mulAdd, ofDim } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import { type Accuracy, type InferCtx, type OpDef, op, type ReduceSpec, type TeBuilder } from "../ir/opdef.ts";
import type { Buffer } from "../ir/storage.ts";
import { type DType, isFloat, tensorType, type ValueType } from "../ir/types.ts";
import { expectType, type IndexAttrs, indexType, normalAxis, onnx, tensor, wide } from "./common.ts";
import { knownInts, loweredInts } from "./ints.ts";

/** Sums `term` over extents, in f32 at least. */
export function sumInto(
  b: TeBuilder,
  out: Buffer,
  extents: readonly Dim[],
  term: (i: readonly Expr[], r: readonly Expr[]) => Expr,
  result: (s: Expr, i: readonly Expr[]) => Expr = (s) => s,
): void {
  b.reduce(out, extents, (i, r) => {
    const t = term(i, r);
    return { ...sumSpec((s) => E.add(s, t), t.dtype), result: ([s]) => E.to(out.dtype, result(s!, i)) };
  });
}
export function maxInto(
  b: TeBuilder,
  out: Buffer,
  extents: readonly Dim[],
  term: (i: readonly Expr[], r: readonly Expr[]) => Expr,
  result: (s: Expr) => Expr = (s) => s,
): void {
  b.reduce(out, extents, (i, r) => {
    const t = term(i, r);
    return {
      state: [{ init: E.lowest(t.dtype), update: ([s]) => E.max(s!, t) }],
      merge: ([s], [u]) => [E.max(s!, u!)],
      result: ([s]) => E.to(out.dtype, result(s!)),
    };
  });
}
const sumSpec = (step: (s: Expr) => Expr, dtype: DType): ReduceSpec => ({
  state: [{ init: constant(dtype, 0), update: ([s]) => step(s!) }],
  merge: ([s], [t]) => [E.add(s!, t!)],
});

/** The index of an element of the input: reduced axes from r, in order, the others from i, which has them all (keep) or without. */
export function inputIndex(
  i: readonly Expr[],
  r: readonly Expr[],
  axes: readonly number[],
  rank: number,
  keep: boolean,
): Expr[] {
  let next = 0;
  return Array.from({ length: rank }, (_, k) => {
    const at = axes.indexOf(k);
    if (at >= 0) return r[at]!;
    return keep ? i[k]! : i[next++]!;
  });
}
export function reducedShape(shape: readonly Dim[], axes: readonly number[], keep: boolean): readonly Dim[] {
  return shape.flatMap((d, k) => (axes.includes(k) ? (keep ? [D.one] : []) : [d]));
}

type ReduceAttrs = { readonly axes?: readonly number[]; readonly keep: boolean; readonly noop: boolean };
function axesOf(given: readonly number[] | null | undefined, a: ReduceAttrs, rank: number): readonly number[] {
  if (given && given.length > 0) return [...new Set(given.map((k) => (k < 0 ? k + rank : k)))].sort((p, q) => p - q);
  return a.noop ? [] : Array.from({ length: rank }, (_, k) => k);
}
type Lowering = (
  b: TeBuilder,
  x: Buffer,
  out: Buffer,
  extents: readonly Dim[],
  at: (i: readonly Expr[], r: readonly Expr[]) => Expr[],
) => void;

/** axesInput: the opset since which the axes are an input. bools: whether it takes them. */
function reduceOp(
  type: string,
  since: readonly number[],
  axesInput: number,
  accuracy: Accuracy,
  lower: Lowering,
  bools = false,
): OpDef<ReduceAttrs> {
  return op<ReduceAttrs>({
    name: type,
    onnx: [onnx(type, ...since)],
    accuracy,
    effects: "none",
    parse: (n) => {
      const axes = n.opset < axesInput ? n.ints("axes") : undefined;
      return {
        keep: n.int("keepdims", 1) !== 0,
        noop: n.int("noop_with_empty_axes", 0) !== 0,
        ...(axes ? { axes } : {}),
      };
    },
    infer: (x, a, ctx) => {
      const t = tensor(x, 0, ctx);
      expectType(t, (d) => bools || d !== "bool", "the input", ctx);
      const given = a.axes ?? knownInts(x, 1, ctx, `the axes of ${type}`);
      for (const k of given ?? []) normalAxis(k, t.shape.length, ctx);
      return [tensorType(t.dtype, reducedShape(t.shape, axesOf(given, a, t.shape.length), a.keep))];
    },
    body: {
      kind: "compute",
      compute: (b, n) => {
        const x = b.input(0);
        const rank = x.shape.length;
        const axes = axesOf(n.attrs.axes ?? loweredInts(b, 1), n.attrs, rank);
        lower(
          b,
          x,
          b.output(0),
          axes.map((k) => x.shape[k]!),
          (i, r) => inputIndex(i, r, axes, rank, n.attrs.keep),
        );
      },
    },
  });
}
const sums: Accuracy = { kind: "rtol", r: 1e-5 };
/** Sums of a function of each element. */
const summing =
  (step: (s: Expr, x: Expr) => Expr, result: (s: Expr, count: Dim) => Expr = (s) => s): Lowering =>
  (b, x, out, extents, at) =>
    b.reduce(out, extents, (i, r) => {
      const t = E.to(wide(x.dtype), load(x, at(i, r)));
      return {
        ...sumSpec((s) => step(s, t), t.dtype),
        result: ([s]) => E.to(out.dtype, result(s!, D.product(extents))),
      };
    });
const abs = (x: Expr): Expr => (x.dtype.startsWith("u") ? x : E.unary("abs", x));
const square = (s: Expr, x: Expr): Expr => (isFloat(x.dtype) ? mulAdd(x, x, s) : E.add(s, E.mul(x, x)));
/** A function of floats, on integers through f64. */
const viaFloat =
  (f: (x: Expr) => Expr) =>
  (x: Expr): Expr =>
    isFloat(x.dtype) ? f(x) : E.to(x.dtype, f(E.to("f64", x)));
const log = viaFloat((x) => E.unary("log", x));
const mean = (s: Expr, n: Dim): Expr =>
  isFloat(s.dtype) ? E.div(s, E.to(s.dtype, ofDim(n))) : E.truncdiv(s, E.to(s.dtype, ofDim(n)));

/** The larger (smaller) of two: or, and for bools. */
const bound =
  (largest: boolean): Lowering =>
  (b, x, out, extents, at) => {
    const better = (p: Expr, q: Expr): Expr =>
      x.dtype === "bool" ? (largest ? E.or : E.and)(p, q) : (largest ? E.max : E.min)(p, q);
    b.reduce(out, extents, (i, r) => ({
      state: [
        { init: largest ? E.lowest(x.dtype) : E.highest(x.dtype), update: ([s]) => better(s!, load(x, at(i, r))) },
      ],
      merge: ([s], [t]) => [better(s!, t!)],
    }));
  };
const product: Lowering = (b, x, out, extents, at) =>
  b.reduce(out, extents, (i, r) => {
    const t = E.to(wide(x.dtype), load(x, at(i, r)));
    return {
      state: [{ init: constant(t.dtype, 1), update: ([s]) => E.mul(s!, t) }],
      merge: ([s], [u]) => [E.mul(s!, u!)],
      result: ([s]) => E.to(out.dtype, s!),
    };
  });
/** log(sum(exp(x))) about the largest element; where that is infinite, about 0. */
const logSumExp: Lowering = (b, x, out, extents, at) => {
  const t = isFloat(x.dtype) ? wide(x.dtype) : "f64";
  const largest = b.temp(`${x.name}.max`, t, out.shape);
  maxInto(
    b,
    largest,
    extents,
    (i, r) => E.to(t, load(x, at(i, r))),
    (s) => E.where(E.eq(E.unary("abs", s), Infinity), constant(t, 0), s),
  );
  sumInto(
    b,
    out,
    extents,
    (i, r) => E.unary("exp", E.sub(E.to(t, load(x, at(i, r))), load(largest, i))),
    (s, i) => E.add(E.unary("log", s), load(largest, i)),
  );
};

export const ReduceSum: OpDef<ReduceAttrs> = reduceOp("ReduceSum", [1, 11, 13], 13, sums, summing(E.add));
export const ReduceMean: OpDef<ReduceAttrs> = reduceOp("ReduceMean", [1, 11, 13, 18], 18, sums, summing(E.add, mean));
const reductions: readonly OpDef<ReduceAttrs>[] = [
  ReduceSum,
  ReduceMean,
  reduceOp("ReduceMax", [1, 11, 12, 13, 18, 20], 18, { kind: "exact" }, bound(true), true),
  reduceOp("ReduceMin", [1, 11, 12, 13, 18, 20], 18, { kind: "exact" }, bound(false), true),
  reduceOp("ReduceProd", [1, 11, 13, 18], 18, sums, product),
  reduceOp(
    "ReduceL1",
    [1, 11, 13, 18],
    18,
    sums,
    summing((s, x) => E.add(s, abs(x))),
  ),
  reduceOp(
    "ReduceL2",
    [1, 11, 13, 18],
    18,
    sums,
    summing(
      square,
      viaFloat((s) => E.unary("sqrt", s)),
    ),
  ),
  reduceOp("ReduceSumSquare", [1, 11, 13, 18], 18, sums, summing(square)),
  reduceOp("ReduceLogSum", [1, 11, 13, 18], 18, sums, summing(E.add, log)),
  reduceOp("ReduceLogSumExp", [1, 11, 13, 18], 18, sums, logSumExp),
];

type ArgAttrs = { readonly axis: number; readonly keep: boolean; readonly last: boolean } & IndexAttrs;
/** The index of the largest (smallest) element along extents, in row-major order; of equal ones the first, or the last. */
export function argInto(
  b: TeBuilder,
  out: Buffer,
  extents: readonly Dim[],
  largest: boolean,
  last: boolean,
  value: (i: readonly Expr[], r: readonly Expr[]) => Expr,
): void {
  b.reduce(out, extents, (i, r) => {
    const x = value(i, r);
    const flat = r.reduce<Expr>((acc, e, k) => (k === 0 ? e : E.add(E.mul(acc, ofDim(extents[k]!)), e)), E.i32(0));
    const beats = (p: Expr, q: Expr): Expr => (largest ? E.lt(q, p) : E.lt(p, q));
    // Index -1 says that there is no element yet: an element equal to the initial value still counts.
    const takes = (m: Expr, at: Expr, y: Expr): Expr => E.or(E.lt(at, 0), last ? E.not(beats(m, y)) : beats(y, m));
    return {
      state: [
        {
          init: largest ? E.lowest(x.dtype) : E.highest(x.dtype),
          update: ([m, at]) => E.where(takes(m!, at!, x), x, m!),
        },
        { init: constant("i32", -1), update: ([m, at]) => E.where(takes(m!, at!, x), flat, at!) },
      ],
      merge: ([m, at], [n, bt]) => {
        // Either side may be empty; of equal ones the smaller (larger) index wins.
        const closer = last ? E.lt(at!, bt!) : E.lt(bt!, at!);
        const other = E.and(E.le(0, bt!), E.or(E.lt(at!, 0), E.or(beats(n!, m!), E.and(E.eq(n!, m!), closer))));
        return [E.where(other, n!, m!), E.where(other, bt!, at!)];
      },
      result: ([, at]) => E.to(out.dtype, at!),
    };
  });
}
function argOp(type: string, largest: boolean): OpDef<ArgAttrs> {
  return op<ArgAttrs>({
    name: type,
    onnx: [onnx(type, 1, 11, 12, 13)],
    accuracy: { kind: "exact" },
    effects: "none",
    parse: (n) => ({
      axis: n.int("axis", 0),
      keep: n.int("keepdims", 1) !== 0,
      last: n.int("select_last_index", 0) !== 0,
    }),
    infer: (x, a, ctx): readonly ValueType[] => {
      const t = tensor(x, 0, ctx);
      return [tensorType(indexType(a), reducedShape(t.shape, [normalAxis(a.axis, t.shape.length, ctx)], a.keep))];
    },
    body: {
      kind: "compute",
      compute: (b, n) => {
        const x = b.input(0);
        const rank = x.shape.length;
        const axis = n.attrs.axis < 0 ? n.attrs.axis + rank : n.attrs.axis;
        argInto(b, b.output(0), [x.shape[axis]!], largest, n.attrs.last, (i, r) =>
          load(x, inputIndex(i, r, [axis], rank, n.attrs.keep)),
        );
      },
    },
  });
}

type CumulateAttrs = { readonly exclusive: boolean; readonly reverse: boolean };
/** Running sums (products) along an axis; exclusive: without the element itself. */
function cumulate(
  type: string,
  since: readonly number[],
  unit: number,
  join: (a: Expr, b: Expr) => Expr,
): OpDef<CumulateAttrs> {
  return op<CumulateAttrs>({
    name: type,
    onnx: [onnx(type, ...since)],
    accuracy: sums,
    effects: "none",
    parse: (n) => ({ exclusive: n.int("exclusive", 0) !== 0, reverse: n.int("reverse", 0) !== 0 }),
    infer: (x, _a, ctx: InferCtx) => {
      const t = tensor(x, 0, ctx);
      const axis = knownInts(x, 1, ctx, `the axis of ${type}`)?.[0] ?? 0;
      normalAxis(axis, t.shape.length, ctx);
      return [tensorType(t.dtype, t.shape)];
    },
    body: {
      kind: "compute",
      compute: (b, n) => {
        const [x, out] = [b.input(0), b.output(0)];
        const given = loweredInts(b, 1)?.[0] ?? 0;
        const axis = given < 0 ? given + x.shape.length : given;
        const last = E.sub(ofDim(x.shape[axis]!), 1);
        const at = (i: readonly Expr[], e: Expr): Expr[] => i.map((v, k) => (k === axis ? e : v));
        // A scan goes upward: in reverse it runs over the mirrored input, and its result is mirrored back.
        const run = n.attrs.reverse ? b.temp(`${x.name}.mirrored`, out.dtype, out.shape) : out;
        const source = (i: readonly Expr[], e: Expr): Expr => load(x, at(i, n.attrs.reverse ? E.sub(last, e) : e));
        b.scan(run, axis, (i) => {
          const e = i[axis]!;
          const before = load<Expr>(run, at(i, E.sub(e, 1)));
          if (n.attrs.exclusive)
            return E.where(E.eq(e, 0), constant(x.dtype, unit), join(before, source(i, E.sub(e, 1))));
          return E.where(E.eq(e, 0), source(i, e), join(before, source(i, e)));
        });
        if (n.attrs.reverse) b.map(out, (i) => load(run, at(i, E.sub(last, i[axis]!))));
      },
    },
  });
}

export const reduceOps: readonly OpDef<Attrs>[] = [
  ...reductions,
  argOp("ArgMax", true),
  argOp("ArgMin", false),
  cumulate("CumSum", [11, 14], 0, E.add),
  cumulate("CumProd", [26], 1, E.mul),
] as unknown as readonly OpDef<Attrs>[];
