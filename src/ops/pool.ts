// Pools: max, average, Lp; global ones.

import type { Dim } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { constant, type Expr, load, lowest, ofDim } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import { type OpDef, op, type RawNode, type TeBuilder } from "../ir/opdef.ts";
import { isFloat, tensorType } from "../ir/types.ts";
import { expectType, noAttrs, onnx, shapeText, tensor } from "./common.ts";
import { clipped, padded, parseWindow, type WindowAttrs, type WindowAxis, windowAxes, windowIndex } from "./window.ts";

export type PoolAttrs = WindowAttrs & {
  readonly includePad: boolean;
  readonly storageOrder: number;
  readonly p: number;
};
export const parsePool = (n: RawNode): PoolAttrs => ({
  ...parseWindow(n),
  includePad: n.int("count_include_pad", 0) !== 0,
  storageOrder: n.int("storage_order", 0),
  p: n.int("p", 2),
});
const bug = (m: string): never => {
  throw new Error(m);
};
const axesOf = (a: WindowAttrs, x: readonly Dim[], fail: (m: string) => never): readonly WindowAxis[] =>
  windowAxes(a, x.slice(2), a.kernel.map(D.int), fail).map(clipped);

function pool(
  type: string,
  since: readonly number[],
  outputs: number,
  compute: (b: TeBuilder, axes: readonly WindowAxis[], a: PoolAttrs) => void,
): OpDef<PoolAttrs> {
  return op<PoolAttrs>({
    name: type,
    onnx: [onnx(type, ...since)],
    accuracy: { kind: "rtol", r: 1e-6 },
    effects: "none",
    parse: parsePool,
    infer: (x, a, ctx) => {
      const t = tensor(x, 0, ctx);
      if (t.shape.length < 3) ctx.fail(`a pool of ${shapeText(t.shape)}`);
      const shape = [...t.shape.slice(0, 2), ...axesOf(a, t.shape, ctx.fail).map((s) => s.out)];
      return [tensorType(t.dtype, shape), tensorType("i64", shape)].slice(0, outputs);
    },
    body: { kind: "compute", compute: (b, n) => compute(b, axesOf(n.attrs, b.input(0).shape, bug), n.attrs) },
  });
}

export const MaxPool: OpDef<PoolAttrs> = pool("MaxPool", [1, 8, 10, 11, 12, 22], 2, (b, axes, a) => {
  const [x, out] = [b.input(0), b.output(0)];
  const xp = padded(b, x, axes, lowest(x.dtype));
  const extents = axes.map((s) => s.kernel);
  b.reduce(out, extents, (i, r) => ({
    state: [
      {
        init: lowest(x.dtype),
        update: ([s]) => E.max(s!, load(xp, [i[0]!, i[1]!, ...windowIndex(axes, i.slice(2), r)])),
      },
    ],
    merge: ([s], [t]) => [E.max(s!, t!)],
  }));
  if (!b.wants(1)) return;
  // The index of the first largest element, in the flattened input (column-major in the spatial axes when storage_order is 1).
  b.reduce(b.output(1), extents, (i, r) => {
    const at = windowIndex(axes, i.slice(2), r);
    const inside = at.map((e, k) => E.sub(e, ofDim(axes[k]!.before)));
    const spatial = x.shape.slice(2);
    const order = a.storageOrder === 1 ? [...spatial.keys()].reverse() : [...spatial.keys()];
    const plane = order.reduce((acc: Expr, k) => E.add(E.mul(acc, ofDim(spatial[k]!)), inside[k]!), E.i32(0));
    const flat = E.add(E.mul(E.add(E.mul(i[0]!, ofDim(x.shape[1]!)), i[1]!), ofDim(D.product(spatial))), plane);
    const value = load<Expr>(xp, [i[0]!, i[1]!, ...at]);
    return {
      state: [
        { init: lowest(x.dtype), update: ([m]) => E.max(m!, value) },
        {
          init: constant("i64", -1),
          update: ([m, k]) =>
            E.where(E.or(E.lt(m!, value), E.and(E.lt(k!, 0), insideTest(inside, spatial))), E.to("i64", flat), k!),
        },
      ],
      result: ([, k]) => k!,
    };
  });
});
function insideTest(at: readonly Expr[], shape: readonly Dim[]): Expr {
  return at.map((e, k) => E.and(E.le(0, e), E.lt(e, ofDim(shape[k]!)))).reduce((p, q) => E.and(p, q));
}

export const AveragePool: OpDef<PoolAttrs> = pool("AveragePool", [1, 7, 10, 11, 19, 22], 1, (b, axes, a) => {
  const [x, out] = [b.input(0), b.output(0)];
  const xp = padded(b, x, axes, constant(x.dtype, 0));
  b.reduce(
    out,
    axes.map((s) => s.kernel),
    (i, r) => ({
      state: [
        {
          init: constant(x.dtype, 0),
          update: ([s]) => E.add(s!, load(xp, [i[0]!, i[1]!, ...windowIndex(axes, i.slice(2), r)])),
        },
      ],
      merge: ([s], [t]) => [E.add(s!, t!)],
      result: ([s]) => {
        const counts = axes.map((w, k) => windowCount(w, i[k + 2]!, a, k));
        const fixed = counts.reduce((n: number | null, c) => (n !== null && typeof c === "number" ? n * c : null), 1);
        if (fixed !== null) return E.div(s!, fixed);
        const n = counts.map((c) => (typeof c === "number" ? E.i32(c) : c)).reduce((p, q) => E.mul(p, q));
        return E.div(s!, E.to(x.dtype, n));
      },
    }),
  );
});
/**
 * How many elements of one axis of a window count: all of the kernel, or those inside the input. With count_include_pad the
 * padding counts, but not what ceil_mode adds beyond it.
 */
function windowCount(a: WindowAxis, i: Expr, attrs: PoolAttrs, axis: number): Expr | number {
  const kernel = D.known(a.kernel)!;
  const same = attrs.autoPad === "SAME_UPPER" || attrs.autoPad === "SAME_LOWER";
  const padAfter = attrs.includePad ? (same ? a.after : D.int(attrs.pads[attrs.pads.length / 2 + axis] ?? 0)) : D.zero;
  const start = E.sub(a.stride === 1 ? i : E.mul(i, a.stride), ofDim(a.before));
  const lo = attrs.includePad ? D.neg(a.before) : D.zero;
  const hi = attrs.includePad ? D.add(a.input, a.beyond ? padAfter : a.after) : a.input;
  const noPad = !attrs.includePad && a.before === D.zero && a.after.kind === "int" && a.after.value <= 0;
  if (noPad || (attrs.includePad && !a.beyond)) return kernel;
  // Elements start + k*dilation, 0 <= k < kernel, that lie in [lo, hi).
  const d = a.dilation;
  const first = E.max(E.i32(0), E.floordiv(E.add(E.sub(ofDim(lo), start), d - 1), d));
  const end = E.min(E.i32(kernel), E.floordiv(E.add(E.sub(ofDim(hi), start), d - 1), d));
  return E.max(E.sub(end, first), E.i32(0));
}

export const LpPool: OpDef<PoolAttrs> = pool("LpPool", [1, 2, 11, 18, 22], 1, (b, axes, a) => {
  const [x, out] = [b.input(0), b.output(0)];
  const xp = padded(b, x, axes, constant(x.dtype, 0));
  b.reduce(
    out,
    axes.map((s) => s.kernel),
    (i, r) => ({
      state: [
        {
          init: constant(x.dtype, 0),
          update: ([s]) => E.add(s!, lpTerm(load(xp, [i[0]!, i[1]!, ...windowIndex(axes, i.slice(2), r)]), a.p)),
        },
      ],
      merge: ([s], [t]) => [E.add(s!, t!)],
      result: ([s]) => lpRoot(s!, a.p),
    }),
  );
});
const lpTerm = (x: Expr, p: number): Expr =>
  p === 2 ? E.mul(x, x) : p === 1 ? E.unary("abs", x) : E.pow(E.unary("abs", x), p);
const lpRoot = (s: Expr, p: number): Expr => (p === 2 ? E.unary("sqrt", s) : p === 1 ? s : E.pow(s, 1 / p));

/** Over all spatial axes at once; they stay with extent 1. */
function globalPool<A extends Attrs>(
  type: string,
  since: readonly number[],
  parse: OpDef<A>["parse"],
  init: (x: Expr) => E.Const,
  step: (s: Expr, x: Expr, a: A) => Expr,
  merge: (s: Expr, t: Expr) => Expr,
  result: (s: Expr, count: Expr, a: A) => Expr,
): OpDef<A> {
  return op<A>({
    name: type,
    onnx: [onnx(type, ...since)],
    accuracy: { kind: "rtol", r: 1e-6 },
    effects: "none",
    parse,
    infer: (x, _a, ctx) => {
      const t = tensor(x, 0, ctx);
      expectType(t, isFloat, "the input", ctx);
      if (t.shape.length < 2) ctx.fail(`a pool of ${shapeText(t.shape)}`);
      return [
        tensorType(
          t.dtype,
          t.shape.map((d, k) => (k < 2 ? d : D.one)),
        ),
      ];
    },
    body: {
      kind: "compute",
      compute: (b, n) => {
        const x = b.input(0);
        const spatial = x.shape.slice(2);
        b.reduce(b.output(0), spatial, (i, r) => {
          const value: Expr = load(x, [i[0]!, i[1]!, ...r]);
          return {
            state: [{ init: init(value), update: ([s]) => step(s!, value, n.attrs) }],
            merge: ([s], [t]) => [merge(s!, t!)],
            result: ([s]) => result(s!, E.to(isFloat(x.dtype) ? x.dtype : "f32", ofDim(D.product(spatial))), n.attrs),
          };
        });
      },
    },
  });
}
const zero = (x: Expr): E.Const => constant(x.dtype, 0);
export const GlobalAveragePool: OpDef<Record<string, never>> = globalPool(
  "GlobalAveragePool",
  [1, 22],
  noAttrs,
  zero,
  E.add,
  E.add,
  (s, n) => E.div(s, n),
);
export const poolOps: readonly OpDef<Attrs>[] = [
  MaxPool,
  AveragePool,
  LpPool,
  GlobalAveragePool,
  globalPool(
    "GlobalMaxPool",
    [1, 22],
    noAttrs,
    (x) => lowest(x.dtype),
    E.max,
    E.max,
    (s) => s,
  ),
  globalPool(
    "GlobalLpPool",
    [1, 2, 22],
    (n) => ({ p: n.int("p", 2) }),
    zero,
    (s, x, a) => E.add(s, lpTerm(x, a.p)),
    E.add,
    (s, _n, a) => lpRoot(s, a.p),
  ),
] as unknown as readonly OpDef<Attrs>[];
