// Quantisation: to and from small integers and floats; products and convolutions of quantised operands.

import type { Dim } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { constant, type Expr, i32, load } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import { type InferCtx, type OpDef, op, type RawNode, type TeBuilder } from "../ir/opdef.ts";
import type { Buffer } from "../ir/storage.ts";
import { type DType, isFloat, type TensorType, tensorType } from "../ir/types.ts";
import { broadcastShapes, noAttrs, normalAxis, onnx, shapeText, tensor, wide } from "./common.ts";
import { matmulFactors, matmulShapes, sumOfProducts, zeroPoint } from "./contract.ts";
import { convAxes, convolve, convShape, parseConv } from "./conv.ts";
import { maxInto } from "./reduce.ts";
import { padded } from "./window.ts";

export const microsoft = (type: string): { domain: string; type: string; since: readonly number[] } => ({
  domain: "com.microsoft",
  type,
  since: [1],
});

/** Rounds v to the nearest integer (ties to even), adds the zero point and saturates to the type. */
export function toQuantized(v: Expr, zero: Expr | null, to: DType): Expr {
  if (isFloat(to)) return E.to(to, zero ? E.add(v, E.to(v.dtype, zero)) : v);
  const shifted = zero ? E.add(E.unary("round", v), E.to(v.dtype, zero)) : E.unary("round", v);
  return E.to(to, E.to("i32", E.max(E.min(shifted, Number(E.highest(to).value)), Number(E.lowest(to).value))));
}
/** (x - zero) * scale, in the scale's type. */
function fromQuantized(x: Expr, zero: Expr | null, scale: Expr): Expr {
  if (isFloat(x.dtype)) {
    const v = E.to(scale.dtype, x);
    return E.mul(zero ? E.sub(v, E.to(scale.dtype, zero)) : v, scale);
  }
  const v = E.to("i32", x);
  return E.mul(E.to(scale.dtype, zero ? E.sub(v, E.to("i32", zero)) : v), scale);
}

/** block 0: per tensor, or per element of the axis. */
type QuantAttrs = { readonly axis: number; readonly block: number; readonly to?: string };
const parseQuant = (n: RawNode): QuantAttrs => {
  // Before opset 13 there is one scale; an axis that the input lacks does no harm then.
  if (n.int("saturate", 1) !== 1) n.fail("only saturate = 1 is supported");
  const to = n.int("output_dtype", 0) !== 0 ? { to: n.dtype("output_dtype") as string } : {};
  if (n.int("precision", 0) > 1) n.fail("only a precision of float is supported");
  return { axis: n.int("axis", 1), block: n.int("block_size", 0), ...to };
};
function checkScale(x: TensorType, scale: TensorType, a: QuantAttrs, ctx: InferCtx): void {
  if (a.block > 0 ? scale.shape.length !== x.shape.length : scale.shape.length > 1)
    ctx.fail(`scales ${shapeText(scale.shape)} for ${shapeText(x.shape)}`);
  if (a.block > 0 || isPerAxis(scale.shape)) normalAxis(a.axis, x.shape.length, ctx);
}
const isPerAxis = (scale: readonly Dim[]): boolean => scale.length === 1 && scale[0] !== D.one;
/** The element of a scale or zero point that belongs to element i. */
function parameter(p: Buffer, i: readonly Expr[], a: QuantAttrs): Expr {
  const axis = a.axis < 0 ? a.axis + i.length : a.axis;
  if (a.block > 0)
    return load(
      p,
      i.map((v, k) => (p.shape[k] === D.one ? i32(0) : k === axis ? E.floordiv(v, a.block) : v)),
    );
  return load(
    p,
    p.shape.map((d) => (d === D.one ? i32(0) : i[axis]!)),
  );
}

export const QuantizeLinear: OpDef<QuantAttrs> = op({
  name: "QuantizeLinear",
  onnx: [onnx("QuantizeLinear", 10, 13, 19, 21, 23, 24, 25), microsoft("QuantizeLinear")],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: parseQuant,
  infer: (x, a, ctx) => {
    const [t, scale] = [tensor(x, 0, ctx), tensor(x, 1, ctx)];
    checkScale(t, scale, a, ctx);
    const to = x[2]?.kind === "tensor" ? x[2].tensor.dtype : ((a.to as DType | undefined) ?? "u8");
    return [tensorType(to, t.shape)];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const [x, scale, out] = [b.input(0), b.input(1), b.output(0)];
      const t = wide(scale.dtype);
      b.map(out, (i) => {
        const zero = b.has(2) ? parameter(b.input(2), i, n.attrs) : null;
        return toQuantized(E.div(E.to(t, load(x, i)), E.to(t, parameter(scale, i, n.attrs))), zero, out.dtype);
      });
    },
  },
});

export const DequantizeLinear: OpDef<QuantAttrs> = op({
  name: "DequantizeLinear",
  onnx: [onnx("DequantizeLinear", 10, 13, 19, 21, 23, 24, 25), microsoft("DequantizeLinear")],
  accuracy: { kind: "ulps", n: 1 },
  effects: "none",
  parse: parseQuant,
  infer: (x, a, ctx) => {
    const [t, scale] = [tensor(x, 0, ctx), tensor(x, 1, ctx)];
    checkScale(t, scale, a, ctx);
    return [tensorType((a.to as DType | undefined) ?? scale.dtype, t.shape)];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const [x, scale, out] = [b.input(0), b.input(1), b.output(0)];
      const t = wide(scale.dtype);
      b.map(out, (i) => {
        const zero = b.has(2) ? parameter(b.input(2), i, n.attrs) : null;
        return E.to(out.dtype, fromQuantized(load(x, i), zero, E.to(t, parameter(scale, i, n.attrs))));
      });
    },
  },
});

/** Scale and zero point of the whole tensor's range, 0 included, as u8. */
export const DynamicQuantizeLinear: OpDef<Record<string, never>> = op({
  name: "DynamicQuantizeLinear",
  onnx: [onnx("DynamicQuantizeLinear", 11)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: noAttrs,
  infer: (x, _a, ctx) => {
    const t = tensor(x, 0, ctx);
    return [tensorType("u8", t.shape), tensorType("f32", []), tensorType("u8", [])];
  },
  body: {
    kind: "compute",
    compute: (b) => {
      const [x, out] = [b.input(0), b.output(0)];
      const scale = b.wants(1) ? b.output(1) : b.temp("scale", "f32", []);
      const zero = b.wants(2) ? b.output(2) : b.temp("zero", "u8", []);
      dynamicRange(b, x, scale, zero);
      b.map(out, (i) => toQuantized(E.div(load(x, i), load(scale, [])), load(zero, []), "u8"));
    },
  },
});
/** scale = range / 255 (1 for an empty range), zero = the u8 that stands for 0. */
export function dynamicRange(b: TeBuilder, x: Buffer, scale: Buffer, zero: Buffer): void {
  const [low, high] = [b.temp(`${x.name}.min`, "f32", []), b.temp(`${x.name}.max`, "f32", [])];
  maxInto(
    b,
    high,
    x.shape,
    (_, r) => load(x, r),
    (s) => E.max(s, 0),
  );
  b.reduce(low, x.shape, (_, r) => ({
    state: [{ init: E.highest("f32"), update: ([s]) => E.min(s!, load(x, r)) }],
    merge: ([s], [t]) => [E.min(s!, t!)],
    result: ([s]) => E.min(s!, 0),
  }));
  b.map(scale, () => {
    const s = E.div(E.sub(load(high, []), load(low, [])), 255);
    return E.where(E.eq(s, 0), constant("f32", 1), s);
  });
  b.map(zero, () =>
    E.to("u8", E.to("i32", E.max(E.min(E.unary("round", E.sub(0, E.div(load(low, []), load(scale, [])))), 255), 0))),
  );
}

/** A scale for element i of a matrix operand: one for all, or one per row (column). */
function scaleAt(p: Buffer, at: Expr): Expr {
  return E.to(
    "f32",
    load(
      p,
      p.shape.map((d) => (d === D.one ? i32(0) : at)),
    ),
  );
}
/** The row and column of element i of a product; 0 where an operand is 1-d. */
function rowAndColumn(x: Buffer, y: Buffer, i: readonly Expr[]): readonly [Expr, Expr] {
  return [
    x.shape.length > 1 ? i[i.length - (y.shape.length > 1 ? 2 : 1)]! : i32(0),
    y.shape.length > 1 ? i[i.length - 1]! : i32(0),
  ];
}
/** The sum of (x - zx)(y - zy) in i32. azp and bzp are positions of inputs. */
function integerMatmul(
  b: TeBuilder,
  x: Buffer,
  y: Buffer,
  out: Buffer,
  azp: number,
  bzp: number,
  result: (s: Expr, i: readonly Expr[], row: Expr, column: Expr) => Expr,
): void {
  sumOfProducts(
    b,
    out,
    [x.shape[x.shape.length - 1]!],
    (i, [k]) => {
      const [p, q] = matmulFactors(x, y, i, k!, out.shape);
      const [row, column] = rowAndColumn(x, y, i);
      return [E.sub(E.to("i32", p), zeroPoint(b, azp, row)), E.sub(E.to("i32", q), zeroPoint(b, bzp, column))];
    },
    (s, i) => result(s, i, ...rowAndColumn(x, y, i)),
    "i32",
  );
}
export const QLinearMatMul: OpDef<Record<string, never>> = op({
  name: "QLinearMatMul",
  onnx: [onnx("QLinearMatMul", 10, 21)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: noAttrs,
  infer: (x, _a, ctx) => [
    tensorType(
      tensor(x, 7, ctx).dtype,
      matmulShapes(tensor(x, 0, ctx).shape, tensor(x, 3, ctx).shape, ctx, (s) => broadcastShapes(s, ctx)).shape,
    ),
  ],
  body: {
    kind: "compute",
    compute: (b) => {
      const [x, y, out] = [b.input(0), b.input(3), b.output(0)];
      integerMatmul(b, x, y, out, 2, 5, (s, _i, row, column) => {
        const factor = E.div(E.mul(scaleAt(b.input(1), row), scaleAt(b.input(4), column)), scaleAt(b.input(6), column));
        return toQuantized(E.mul(E.to("f32", s), factor), zeroPoint(b, 7, column), out.dtype);
      });
    },
  },
});

/** com.microsoft: int8 x int8 to float: A, B, a_scale, b_scale, a_zero_point, b_zero_point, bias. */
export const MatMulIntegerToFloat: OpDef<Record<string, never>> = op({
  name: "MatMulIntegerToFloat",
  onnx: [microsoft("MatMulIntegerToFloat")],
  accuracy: { kind: "rtol", r: 1e-6 },
  effects: "none",
  parse: noAttrs,
  infer: (x, _a, ctx) => [
    tensorType(
      tensor(x, 2, ctx).dtype,
      matmulShapes(tensor(x, 0, ctx).shape, tensor(x, 1, ctx).shape, ctx, (s) => broadcastShapes(s, ctx)).shape,
    ),
  ],
  body: {
    kind: "compute",
    compute: (b) => {
      const [x, y, out] = [b.input(0), b.input(1), b.output(0)];
      integerMatmul(b, x, y, out, 4, 5, (s, _i, row, column) => {
        const v = E.mul(E.to("f32", s), E.mul(scaleAt(b.input(2), row), scaleAt(b.input(3), column)));
        return E.to(out.dtype, b.has(6) ? E.add(v, E.to("f32", load(b.input(6), [column]))) : v);
      });
    },
  },
});

type ConvAttrs = ReturnType<typeof parseConv>;
/** x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias; w's scale may be per output channel. */
export const QLinearConv: OpDef<ConvAttrs> = op({
  name: "QLinearConv",
  onnx: [onnx("QLinearConv", 10)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: parseConv,
  infer: (x, a, ctx) => [tensorType(tensor(x, 7, ctx).dtype, convShape(tensor(x, 0, ctx), tensor(x, 3, ctx), a, ctx))],
  body: {
    kind: "compute",
    compute: (b, n) => {
      const [x, w, out] = [b.input(0), b.input(3), b.output(0)];
      const axes = convAxes(n.attrs, x.shape, w.shape, (m) => {
        throw new Error(m);
      });
      // Padding is real zero: the zero point. Subtracting it first makes it plain 0.
      const shifted = b.temp(`${x.name}.shifted`, "i32", x.shape);
      b.map(shifted, (i) => E.sub(E.to("i32", load(x, i)), zeroPoint(b, 2, i32(0))));
      const xp = padded(b, shifted, axes, constant("i32", 0));
      convolve(
        b,
        xp,
        w,
        out,
        axes,
        n.attrs.group,
        (p, q, m) => [p, E.sub(E.to("i32", q), zeroPoint(b, 5, m))],
        (s, i) => {
          const sum = b.has(8) ? E.add(s, load(b.input(8), [i[1]!])) : s;
          const factor = E.div(
            E.mul(scaleAt(b.input(1), i32(0)), scaleAt(b.input(4), i[1]!)),
            scaleAt(b.input(6), i32(0)),
          );
          return toQuantized(E.mul(E.to("f32", sum), factor), zeroPoint(b, 7, i32(0)), out.dtype);
        },
        "i32",
      );
    },
  },
});

export const quantOps: readonly OpDef<Attrs>[] = [
  QuantizeLinear,
  DequantizeLinear,
  DynamicQuantizeLinear,
  QLinearMatMul,
  MatMulIntegerToFloat,
  QLinearConv,
] as unknown as readonly OpDef<Attrs>[];
