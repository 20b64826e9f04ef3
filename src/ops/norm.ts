// Softmax and its kin, and normalisations.

import type { Dim } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { constant, type Expr, load, ofDim } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import { type Accuracy, type OpDef, op, type RawNode, type TeBuilder } from "../ir/opdef.ts";
import type { Buffer } from "../ir/storage.ts";
import { type DType, isFloat, tensorType, type ValueType } from "../ir/types.ts";
import { expectType, likeInput, loadBroadcast, normalAxis, onnx, shapeText, tensor, wide } from "./common.ts";
import { argInto, inputIndex, maxInto, reducedShape, sumInto } from "./reduce.ts";

const accuracy: Accuracy = { kind: "rtol", r: 1e-5 };

/** Since opset 13 along one axis; before, over all axes from `axis` on as if they were one. */
type SoftAttrs = { readonly axis: number; readonly flat: boolean };
function softOp(
  type: string,
  how: Accuracy,
  lower: (b: TeBuilder, x: Buffer, out: Buffer, axes: readonly number[]) => void,
): OpDef<SoftAttrs> {
  return op<SoftAttrs>({
    name: type,
    onnx: [onnx(type, 1, 11, 13)],
    accuracy: how,
    effects: "none",
    parse: (n) => ({ axis: n.int("axis", n.opset < 13 ? 1 : -1), flat: n.opset < 13 }),
    infer: (x, a, ctx) => {
      const t = tensor(x, 0, ctx);
      expectType(t, isFloat, "the input", ctx);
      if (!(a.flat && a.axis === t.shape.length)) normalAxis(a.axis, t.shape.length, ctx);
      return likeInput(x, ctx);
    },
    body: {
      kind: "compute",
      compute: (b, n) => {
        const x = b.input(0);
        const rank = x.shape.length;
        const axis = n.attrs.axis < 0 ? n.attrs.axis + rank : n.attrs.axis;
        const axes = n.attrs.flat
          ? Array.from({ length: rank - axis }, (_, k) => axis + k).filter((k, j) => j === 0 || x.shape[k] !== D.one)
          : [axis];
        lower(b, x, b.output(0), axes);
      },
    },
  });
}
/** The largest element over `axes`, in a buffer without them. */
function largestOver(b: TeBuilder, x: Buffer, axes: readonly number[], result: (s: Expr) => Expr = (s) => s): Buffer {
  const out = b.temp(`${x.name}.max`, wide(x.dtype), reducedShape(x.shape, axes, false));
  maxInto(
    b,
    out,
    axes.map((k) => x.shape[k]!),
    (i, r) => E.to(out.dtype, load(x, inputIndex(i, r, axes, x.shape.length, false))),
    result,
  );
  return out;
}
const without = (i: readonly Expr[], axes: readonly number[]): Expr[] => i.filter((_, k) => !axes.includes(k));

/** More ones than this a bf16 cannot count. */
const bf16Count = 256;
/** e rounded to a narrow float, in the type that it is computed in. */
export function roundedTo(d: DType | null, e: Expr): Expr {
  return d === null ? e : E.to(e.dtype, E.to(d, e));
}
/**
 * exp(x - max) / sum, with one division per row. masked: a row of -Infinity alone gives zeros, not NaN. rounds: a narrow float to which
 * each step is rounded, as ONNX defines Softmax by other operators, and its tests expect: by default that of x. A sum of bf16 is rounded
 * at each term as well, but not one of so many that it would stand still.
 */
export function softmaxInto(
  b: TeBuilder,
  x: Buffer,
  out: Buffer,
  axes: readonly number[],
  masked = false,
  rounds: DType | null = wide(x.dtype) === x.dtype ? null : x.dtype,
): void {
  const t = wide(x.dtype);
  const largest = largestOver(b, x, axes, masked ? (s) => E.where(E.eq(s, -Infinity), constant(t, 0), s) : (s) => s);
  const e = b.temp(`${x.name}.exp`, t, x.shape);
  const round = (v: Expr): Expr => roundedTo(rounds, v);
  b.map(e, (i) => round(E.unary("exp", round(E.sub(E.to(t, load(x, i)), load(largest, without(i, axes)))))));
  const extents = axes.map((k) => x.shape[k]!);
  const term = (i: readonly Expr[], r: readonly Expr[]): Expr => load(e, inputIndex(i, r, axes, x.shape.length, false));
  if (rounds === null) {
    const scale = b.temp(`${x.name}.scale`, t, largest.shape);
    sumInto(b, scale, extents, term, (s) =>
      masked ? E.where(E.eq(s, 0), constant(t, 0), E.unary("recip", s)) : E.unary("recip", s),
    );
    b.map(out, (i) => E.to(out.dtype, E.mul(load(e, i), load(scale, without(i, axes)))));
    return;
  }
  const sum = b.temp(`${x.name}.sum`, t, largest.shape);
  const count = D.known(D.product(extents));
  if (rounds === "bf16" && count !== null && count <= bf16Count)
    b.reduce(sum, extents, (i, r) => {
      const v = term(i, r);
      return { state: [{ init: constant(t, 0), update: ([s]) => round(E.add(s!, v)) }] };
    });
  else sumInto(b, sum, extents, term, round);
  b.map(out, (i) => {
    const s = load<Expr>(sum, without(i, axes));
    const share = round(E.div(load(e, i), s));
    return E.to(out.dtype, masked ? E.where(E.eq(s, 0), constant(t, 0), share) : share);
  });
}
export const Softmax: OpDef<SoftAttrs> = softOp("Softmax", accuracy, (b, x, out, axes) => softmaxInto(b, x, out, axes));
export const LogSoftmax: OpDef<SoftAttrs> = softOp("LogSoftmax", accuracy, (b, x, out, axes) => {
  const t = wide(x.dtype);
  const largest = largestOver(b, x, axes);
  const shift = b.temp(`${x.name}.shift`, t, largest.shape);
  const terms = (i: readonly Expr[], r: readonly Expr[]): Expr =>
    E.unary("exp", E.sub(E.to(t, load(x, inputIndex(i, r, axes, x.shape.length, false))), load(largest, i)));
  sumInto(
    b,
    shift,
    axes.map((k) => x.shape[k]!),
    terms,
    (s, i) => E.add(E.unary("log", s), load(largest, i)),
  );
  b.map(out, (i) => E.to(out.dtype, E.sub(E.to(t, load(x, i)), load(shift, without(i, axes)))));
});
/** 1 at the first largest element. */
export const Hardmax: OpDef<SoftAttrs> = softOp("Hardmax", { kind: "exact" }, (b, x, out, axes) => {
  const extents = axes.map((k) => x.shape[k]!);
  const first = b.temp(`${x.name}.argmax`, "i32", reducedShape(x.shape, axes, false));
  argInto(b, first, extents, true, false, (i, r) => load(x, inputIndex(i, r, axes, x.shape.length, false)));
  b.map(out, (i) => {
    const flat = axes.reduce<Expr>(
      (acc, k, n) => (n === 0 ? i[k]! : E.add(E.mul(acc, ofDim(x.shape[k]!)), i[k]!)),
      E.i32(0),
    );
    return E.where(E.eq(flat, load(first, without(i, axes))), constant(out.dtype, 1), constant(out.dtype, 0));
  });
});

/** Mean and 1/sqrt(variance + eps) at each element of `shape`, over extents; at(i, r) is an element of x. */
function moments(
  b: TeBuilder,
  x: Buffer,
  t: DType,
  shape: readonly Dim[],
  extents: readonly Dim[],
  eps: number,
  at: (i: readonly Expr[], r: readonly Expr[]) => Expr[],
): { mean: Buffer; inverse: Buffer } {
  const count = E.to(t, ofDim(D.product(extents)));
  const mean = b.temp(`${x.name}.mean`, t, shape);
  sumInto(
    b,
    mean,
    extents,
    (i, r) => E.to(t, load(x, at(i, r))),
    (s) => E.div(s, count),
  );
  const inverse = b.temp(`${x.name}.inverse`, t, shape);
  const squares = (i: readonly Expr[], r: readonly Expr[]): Expr => {
    const d = E.sub(E.to(t, load(x, at(i, r))), load(mean, i));
    return E.mul(d, d);
  };
  sumInto(b, inverse, extents, squares, (s) => E.unary("recip", E.unary("sqrt", E.add(E.div(s, count), eps))));
  return { mean, inverse };
}
/** 1/sqrt(mean of squares + eps). */
function rootMeanSquare(
  b: TeBuilder,
  x: Buffer,
  t: DType,
  shape: readonly Dim[],
  extents: readonly Dim[],
  eps: number,
  at: (i: readonly Expr[], r: readonly Expr[]) => Expr[],
): Buffer {
  const inverse = b.temp(`${x.name}.inverse`, t, shape);
  const squares = (i: readonly Expr[], r: readonly Expr[]): Expr => {
    const v = E.to(t, load(x, at(i, r)));
    return E.mul(v, v);
  };
  sumInto(b, inverse, extents, squares, (s) =>
    E.unary("recip", E.unary("sqrt", E.add(E.div(s, E.to(t, ofDim(D.product(extents)))), eps))),
  );
  return inverse;
}

/** Normalises over all axes from `axis` on. plain: the root of the mean square alone, without a mean and a bias. */
type LayerAttrs = { readonly axis: number; readonly eps: number; readonly plain: boolean; readonly stats: string };
function parseLayer(plain: boolean): (n: RawNode) => LayerAttrs {
  return (n) => ({
    axis: n.int("axis", -1),
    eps: n.float("epsilon", 1e-5),
    plain,
    stats: n.dtype("stash_type", "f32"),
  });
}
function inferLayer(count: number): OpDef<LayerAttrs>["infer"] {
  return (x, a, ctx): readonly ValueType[] => {
    const [t, scale] = [tensor(x, 0, ctx), tensor(x, 1, ctx)];
    expectType(t, isFloat, "the input", ctx);
    const axis = normalAxis(a.axis, t.shape.length, ctx);
    const stats = tensorType(
      t.dtype === "f64" ? "f64" : (a.stats as DType),
      t.shape.map((d, k) => (k < axis ? d : D.one)),
    );
    return [tensorType(isFloat(scale.dtype) ? scale.dtype : t.dtype, t.shape), stats, stats].slice(0, count);
  };
}
function computeLayer(b: TeBuilder, a: LayerAttrs): void {
  const [x, scale, out] = [b.input(0), b.input(1), b.output(0)];
  const rank = x.shape.length;
  const axis = a.axis < 0 ? a.axis + rank : a.axis;
  const axes = Array.from({ length: rank - axis }, (_, k) => axis + k);
  const t = x.dtype === "f64" ? "f64" : "f32";
  const at = (i: readonly Expr[], r: readonly Expr[]): Expr[] => [...i.slice(0, axis), ...r];
  const extents = axes.map((k) => x.shape[k]!);
  const lead = x.shape.slice(0, axis);
  const inverse = a.plain ? rootMeanSquare(b, x, t, lead, extents, a.eps, at) : null;
  const m = inverse ? null : moments(b, x, t, lead, extents, a.eps, at);
  const factor = inverse ?? m!.inverse;
  b.map(out, (i) => {
    const row = i.slice(0, axis);
    const v = E.to(t, load(x, i));
    const z = E.mul(m ? E.sub(v, load(m.mean, row)) : v, load(factor, row));
    const y = E.mul(z, E.to(t, loadBroadcast(scale, i, out.shape)));
    return E.to(out.dtype, !a.plain && b.has(2) ? E.add(y, E.to(t, loadBroadcast(b.input(2), i, out.shape))) : y);
  });
  const stats: readonly (readonly [number, Buffer])[] = m
    ? [
        [1, m.mean],
        [2, m.inverse],
      ]
    : [[1, factor]];
  for (const [k, from] of stats) {
    if (b.types.outputs.length > k && b.wants(k))
      b.map(b.output(k), (i) => E.to(b.output(k).dtype, load(from, i.slice(0, axis))));
  }
}
export const LayerNormalization: OpDef<LayerAttrs> = op({
  name: "LayerNormalization",
  onnx: [onnx("LayerNormalization", 17), { domain: "com.microsoft", type: "LayerNormalization", since: [1] }],
  accuracy,
  effects: "none",
  parse: parseLayer(false),
  infer: inferLayer(3),
  body: { kind: "compute", compute: (b, n) => computeLayer(b, n.attrs) },
});
/** onnxruntime's name, in both domains, gives 1/rms as a second output. */
export const RMSNormalization: OpDef<LayerAttrs> = op({
  name: "RMSNormalization",
  onnx: [
    onnx("RMSNormalization", 23),
    onnx("SimplifiedLayerNormalization", 1),
    { domain: "com.microsoft", type: "SimplifiedLayerNormalization", since: [1] },
  ],
  accuracy,
  effects: "none",
  parse: parseLayer(true),
  infer: inferLayer(2),
  body: { kind: "compute", compute: (b, n) => computeLayer(b, n.attrs) },
});

/** Over the spatial axes of each group of channels; scale and bias per channel, or (perGroup) per group. */
type GroupAttrs = { readonly groups: number; readonly eps: number; readonly perGroup: boolean };
function groupOp(type: string, since: readonly number[], parse: (n: RawNode) => GroupAttrs): OpDef<GroupAttrs> {
  return op<GroupAttrs>({
    name: type,
    onnx: [onnx(type, ...since)],
    accuracy,
    effects: "none",
    parse,
    infer: (x, a, ctx) => {
      const t = tensor(x, 0, ctx);
      const c = t.shape[1];
      expectType(t, isFloat, "the input", ctx);
      if (t.shape.length < 2 || (a.groups > 0 && c?.kind === "int" && c.value % a.groups !== 0))
        ctx.fail(`${a.groups} groups of the channels of ${shapeText(t.shape)}`);
      return likeInput(x, ctx);
    },
    body: {
      kind: "compute",
      compute: (b, n) => {
        const [x, scale, bias, out] = [b.input(0), b.input(1), b.input(2), b.output(0)];
        const t = x.dtype === "f64" ? "f64" : "f32";
        // groups 0: each channel is one.
        const groups = n.attrs.groups === 0 ? x.shape[1]! : D.int(n.attrs.groups);
        const size = D.floordiv(x.shape[1]!, groups);
        const spatial = x.shape.slice(2);
        const inGroup = size === D.one ? [] : [size];
        const at = (i: readonly Expr[], r: readonly Expr[]): Expr[] => [
          i[0]!,
          size === D.one ? i[1]! : E.add(E.mul(i[1]!, ofDim(size)), r[0]!),
          ...r.slice(inGroup.length),
        ];
        const m = moments(b, x, t, [x.shape[0]!, groups], [...inGroup, ...spatial], n.attrs.eps, at);
        b.map(out, (i) => {
          const g = size === D.one ? i[1]! : E.floordiv(i[1]!, ofDim(size));
          const z = E.mul(E.sub(E.to(t, load(x, i)), load(m.mean, [i[0]!, g])), load(m.inverse, [i[0]!, g]));
          const own = n.attrs.perGroup ? g : i[1]!;
          return E.to(out.dtype, E.add(E.mul(z, E.to(t, load(scale, [own]))), E.to(t, load(bias, [own]))));
        });
      },
    },
  });
}
export const InstanceNormalization: OpDef<GroupAttrs> = groupOp("InstanceNormalization", [1, 6, 22], (n) => ({
  groups: 0,
  eps: n.float("epsilon", 1e-5),
  perGroup: false,
}));
export const GroupNormalization: OpDef<GroupAttrs> = groupOp("GroupNormalization", [18, 21], (n) => {
  n.has("stash_type");
  return { groups: n.int("num_groups"), eps: n.float("epsilon", 1e-5), perGroup: n.opset < 21 };
});

/** x / norm along an axis; where the norm is 0 the result is 0. */
export const LpNormalization: OpDef<{ axis: number; p: number }> = op({
  name: "LpNormalization",
  onnx: [onnx("LpNormalization", 1, 22)],
  accuracy,
  effects: "none",
  parse: (n) => ({ axis: n.int("axis", -1), p: n.int("p", 2) }),
  infer: (x, a, ctx) => {
    const t = tensor(x, 0, ctx);
    expectType(t, isFloat, "the input", ctx);
    normalAxis(a.axis, t.shape.length, ctx);
    return likeInput(x, ctx);
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const [x, out] = [b.input(0), b.output(0)];
      const t = wide(x.dtype);
      const axis = n.attrs.axis < 0 ? n.attrs.axis + x.shape.length : n.attrs.axis;
      const factor = b.temp(`${x.name}.factor`, t, reducedShape(x.shape, [axis], false));
      const inverse = (s: Expr): Expr => E.where(E.eq(s, 0), constant(t, 0), E.unary("recip", s));
      const term = (v: Expr): Expr => (n.attrs.p === 1 ? E.unary("abs", v) : E.mul(v, v));
      sumInto(
        b,
        factor,
        [x.shape[axis]!],
        (i, r) => term(E.to(t, load(x, inputIndex(i, r, [axis], x.shape.length, false)))),
        (s) => inverse(n.attrs.p === 1 ? s : E.unary("sqrt", s)),
      );
      b.map(out, (i) => E.to(out.dtype, E.mul(E.to(t, load(x, i)), load(factor, without(i, [axis])))));
    },
  },
});

/** (x - mean) / (standard deviation + 1e-9) over some axes. */
export const MeanVarianceNormalization: OpDef<{ axes: readonly number[] }> = op({
  name: "MeanVarianceNormalization",
  onnx: [onnx("MeanVarianceNormalization", 9, 13)],
  accuracy,
  effects: "none",
  parse: (n) => ({ axes: n.ints("axes") ?? [0, 2, 3] }),
  infer: (x, a, ctx) => {
    const t = tensor(x, 0, ctx);
    expectType(t, isFloat, "the input", ctx);
    for (const k of a.axes) normalAxis(k, t.shape.length, ctx);
    return likeInput(x, ctx);
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const [x, out] = [b.input(0), b.output(0)];
      const t = wide(x.dtype);
      const rank = x.shape.length;
      const axes = n.attrs.axes.map((k) => (k < 0 ? k + rank : k)).sort((p, q) => p - q);
      const extents = axes.map((k) => x.shape[k]!);
      const shape = reducedShape(x.shape, axes, false);
      const count = E.to(t, ofDim(D.product(extents)));
      const value = (i: readonly Expr[], r: readonly Expr[]): Expr =>
        E.to(t, load(x, inputIndex(i, r, axes, rank, false)));
      const mean = b.temp(`${x.name}.mean`, t, shape);
      sumInto(b, mean, extents, value, (s) => E.div(s, count));
      const inverse = b.temp(`${x.name}.inverse`, t, shape);
      sumInto(
        b,
        inverse,
        extents,
        (i, r) => {
          const d = E.sub(value(i, r), load(mean, i));
          return E.mul(d, d);
        },
        (s) => E.unary("recip", E.add(E.unary("sqrt", E.div(s, count)), 1e-9)),
      );
      b.map(out, (i) =>
        E.to(
          out.dtype,
          E.mul(E.sub(E.to(t, load(x, i)), load(mean, without(i, axes))), load(inverse, without(i, axes))),
        ),
      );
    },
  },
});

/** x / (bias + alpha/size * sum of squares of neighbouring channels)^beta. */
export const LRN: OpDef<{ alpha: number; beta: number; bias: number; size: number }> = op({
  name: "LRN",
  onnx: [onnx("LRN", 1, 13)],
  accuracy,
  effects: "none",
  parse: (n) => ({
    alpha: n.float("alpha", 1e-4),
    beta: n.float("beta", 0.75),
    bias: n.float("bias", 1),
    size: n.int("size"),
  }),
  infer: (x, _a, ctx) => {
    expectType(tensor(x, 0, ctx), isFloat, "the input", ctx);
    if (tensor(x, 0, ctx).shape.length < 2) ctx.fail(`LRN of ${shapeText(tensor(x, 0, ctx).shape)}`);
    return likeInput(x, ctx);
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const [x, out] = [b.input(0), b.output(0)];
      const { alpha, beta, bias, size } = n.attrs;
      const t = wide(x.dtype);
      const before = Math.floor((size - 1) / 2);
      const squares = b.temp(
        `${x.name}.squares`,
        t,
        x.shape.map((d, k) => (k === 1 ? D.add(d, D.int(size - 1)) : d)),
      );
      b.map(squares, (i) => {
        const c = E.sub(i[1]!, before);
        const v = E.to(
          t,
          load(
            x,
            i.map((e, k) => (k === 1 ? c : e)),
          ),
        );
        return E.where(E.and(E.le(0, c), E.lt(c, ofDim(x.shape[1]!))), E.mul(v, v), constant(t, 0));
      });
      sumInto(
        b,
        out,
        [D.int(size)],
        (i, r) =>
          load(
            squares,
            i.map((e, k) => (k === 1 ? E.add(e, r[0]!) : e)),
          ),
        (s, i) => {
          const base = E.add(E.mul(s, alpha / size), bias);
          // The usual exponent 3/4 by two square roots.
          const root = E.unary("sqrt", base);
          const divisor = beta === 0.75 ? E.mul(root, E.unary("sqrt", root)) : E.pow(base, constant(t, beta));
          return E.div(E.to(t, load(x, i)), divisor);
        },
      );
    },
  },
});

export const normOps: readonly OpDef<Attrs>[] = [
  Softmax,
  LogSoftmax,
  Hardmax,
  LayerNormalization,
  RMSNormalization,
  InstanceNormalization,
  GroupNormalization,
  LpNormalization,
  MeanVarianceNormalization,
  LRN,
] as unknown as readonly OpDef<Attrs>[];
