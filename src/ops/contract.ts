// Sums of products: MatMul, Gemm and their integer forms.

import type { Dim } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { constant, type Expr, i32, load, mulAdd } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import type { Accuracy, InferCtx, OpDef, TeBuilder } from "../ir/opdef.ts";
import { op } from "../ir/opdef.ts";
import type { Buffer } from "../ir/storage.ts";
import { type DType, isFloat, tensorType } from "../ir/types.ts";
import {
  broadcastShapes,
  loadBroadcast,
  mustBeZero,
  noAttrs,
  onnx,
  optionalTensor,
  sameExtent,
  sameType,
  shapeText,
  tensor,
  unlikeBroadcast,
} from "./common.ts";

export const contraction: Accuracy = { kind: "rtol", r: 1e-5 };

/** Sums a*b over r into `out`: f gives both factors. `result` is the epilogue. */
export function sumOfProducts(
  b: TeBuilder,
  out: Buffer,
  extents: readonly Dim[],
  f: (i: readonly Expr[], r: readonly Expr[]) => readonly [Expr, Expr],
  result?: (s: Expr, i: readonly Expr[]) => Expr,
  dtype: DType = out.dtype,
): void {
  b.reduce(out, extents, (i, r) => {
    const [p, q] = f(i, r);
    return {
      state: [
        { init: constant(dtype, 0), update: ([s]) => (isFloat(dtype) ? mulAdd(p, q, s!) : E.add(s!, E.mul(p, q))) },
      ],
      merge: ([s], [t]) => [E.add(s!, t!)],
      ...(result ? { result: ([s]: readonly Expr[]) => result(s!, i) } : {}),
    };
  });
}

/** Shapes of numpy's matmul: batch dims broadcast; a 1-d operand is a row or a column whose axis is dropped. */
export function matmulShapes(
  a: readonly Dim[],
  b: readonly Dim[],
  ctx: Pick<InferCtx, "ranges" | "require" | "fail">,
  broadcast: (s: readonly (readonly Dim[])[]) => readonly Dim[],
): { shape: readonly Dim[]; k: Dim } {
  if (a.length === 0 || b.length === 0) ctx.fail("matmul of a scalar");
  const k = a[a.length - 1]!;
  const kb = b[Math.max(0, b.length - 2)]!;
  sameExtent(k, kb, `inner extents differ: ${shapeText(a)} times ${shapeText(b)}`, ctx);
  const batch = broadcast([a.slice(0, -2), b.slice(0, -2)]);
  return {
    shape: [...batch, ...(a.length > 1 ? [a[a.length - 2]!] : []), ...(b.length > 1 ? [b[b.length - 1]!] : [])],
    k: k.kind === "int" ? k : kb,
  };
}
/** The factors of one matmul output element at index i, for reduction index k. */
export function matmulFactors(
  x: Buffer,
  y: Buffer,
  i: readonly Expr[],
  k: Expr,
  out: readonly Dim[],
): readonly [Expr, Expr] {
  const rows = x.shape.length > 1;
  const cols = y.shape.length > 1;
  const batchRank = out.length - (rows ? 1 : 0) - (cols ? 1 : 0);
  const batch = i.slice(0, batchRank);
  const at = (b: Buffer, tail: readonly Expr[]): Expr => {
    const own = b.shape.slice(0, -tail.length);
    const head: Buffer = { ...b, shape: own };
    const ix = loadBroadcast(head, batch, out.slice(0, batchRank));
    return load(b, [...(ix.kind === "load" ? ix.index : []), ...tail]);
  };
  return [at(x, rows ? [i[batchRank]!, k] : [k]), at(y, cols ? [k, i[i.length - 1]!] : [k])];
}

export const MatMul: OpDef<Record<string, never>> = op({
  name: "MatMul",
  onnx: [onnx("MatMul", 1, 9, 13)],
  accuracy: contraction,
  effects: "none",
  parse: noAttrs,
  infer: (x, _a, ctx) => {
    const [p, q] = [tensor(x, 0, ctx), tensor(x, 1, ctx)];
    sameType(p, q, ctx);
    return [tensorType(p.dtype, matmulShapes(p.shape, q.shape, ctx, (s) => broadcastShapes(s, ctx)).shape)];
  },
  body: {
    kind: "compute",
    compute: (b) => {
      const [x, y, out] = [b.input(0), b.input(1), b.output(0)];
      sumOfProducts(b, out, [x.shape[x.shape.length - 1]!], (i, [k]) => matmulFactors(x, y, i, k!, out.shape));
    },
  },
});

export const Gemm: OpDef<{ alpha: number; beta: number; transA: boolean; transB: boolean }> = op({
  name: "Gemm",
  onnx: [onnx("Gemm", 1, 6, 7, 9, 11, 13)],
  accuracy: contraction,
  effects: "none",
  parse: (n) => ({
    alpha: n.float("alpha", 1),
    beta: n.float("beta", 1),
    transA: n.int("transA", 0) !== 0,
    transB: n.int("transB", 0) !== 0,
  }),
  infer: (x, a, ctx) => {
    const [p, q] = [tensor(x, 0, ctx), tensor(x, 1, ctx)];
    sameType(p, q, ctx);
    if (p.shape.length !== 2 || q.shape.length !== 2)
      ctx.fail(`Gemm needs matrices, not ${shapeText(p.shape)} and ${shapeText(q.shape)}`);
    const [m, k] = a.transA ? [p.shape[1]!, p.shape[0]!] : [p.shape[0]!, p.shape[1]!];
    const [kb, n] = a.transB ? [q.shape[1]!, q.shape[0]!] : [q.shape[0]!, q.shape[1]!];
    sameExtent(k, kb, `inner extents differ: ${k.key} and ${kb.key}`, ctx);
    const bias = optionalTensor(x, 2);
    if (bias) {
      const why = `C of shape ${shapeText(bias.shape)} does not broadcast to [${m.key}, ${n.key}]`;
      if (bias.shape.length > 2) ctx.fail(why);
      bias.shape.forEach((d, j) => {
        mustBeZero(unlikeBroadcast(d, [m, n][2 - bias.shape.length + j]!), why, ctx);
      });
    }
    return [tensorType(p.dtype, [m, n])];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const [x, y, out] = [b.input(0), b.input(1), b.output(0)];
      const { alpha, beta, transA, transB } = n.attrs;
      const k = x.shape[transA ? 0 : 1]!;
      const scale = (e: Expr, by: number): Expr =>
        by === 1 ? e : isFloat(e.dtype) ? E.mul(e, by) : E.to(e.dtype, E.mul(E.to("f64", e), by));
      sumOfProducts(
        b,
        out,
        [k],
        (i, [r]) => [load(x, transA ? [r!, i[0]!] : [i[0]!, r!]), load(y, transB ? [i[1]!, r!] : [r!, i[1]!])],
        (s, i) => {
          const p = scale(s, alpha);
          return b.has(2) && beta !== 0 ? E.add(p, scale(loadBroadcast(b.input(2), i, out.shape), beta)) : p;
        },
      );
    },
  },
});

/** A zero point for element i of an integer operand: absent, one for all, or one per row (column), along the axis `at`. */
export function zeroPoint(b: TeBuilder, input: number, at: Expr): Expr {
  if (!b.has(input)) return i32(0);
  const z = b.input(input);
  return E.to(
    "i32",
    load(
      z,
      z.shape.map((d) => (d === D.one ? i32(0) : at)),
    ),
  );
}
/** int8 x int8 -> int32. */
export const MatMulInteger: OpDef<Record<string, never>> = op({
  name: "MatMulInteger",
  onnx: [onnx("MatMulInteger", 10)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: noAttrs,
  infer: (x, _a, ctx) => [
    tensorType(
      "i32",
      matmulShapes(tensor(x, 0, ctx).shape, tensor(x, 1, ctx).shape, ctx, (s) => broadcastShapes(s, ctx)).shape,
    ),
  ],
  body: {
    kind: "compute",
    compute: (b) => {
      const [x, y, out] = [b.input(0), b.input(1), b.output(0)];
      sumOfProducts(b, out, [x.shape[x.shape.length - 1]!], (i, [k]) => {
        const [p, q] = matmulFactors(x, y, i, k!, out.shape);
        const row = x.shape.length > 1 ? i[out.shape.length - (y.shape.length > 1 ? 2 : 1)]! : i32(0);
        const col = y.shape.length > 1 ? i[out.shape.length - 1]! : i32(0);
        return [E.sub(E.to("i32", p), zeroPoint(b, 2, row)), E.sub(E.to("i32", q), zeroPoint(b, 3, col))];
      });
    },
  },
});

export const contractOps: readonly OpDef<Attrs>[] = [MatMul, Gemm, MatMulInteger] as unknown as readonly OpDef<Attrs>[];
