// Casts: to other types, and of bits.
import * as E from "../ir/expr.ts";
import { constant, type Expr, load } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import { type Accuracy, type OpDef, op } from "../ir/opdef.ts";
import { type DType, elementBytes, intBits, isFloat, isInt, tensorType } from "../ir/types.ts";
import { keepText, onnx, tensor, wide } from "./common.ts";

/** TensorProto.DataType's number of strings. */
const textType = 8;
const exact: Accuracy = { kind: "exact" };
/** The least magnitude that overflows the 8-bit floats when a cast does not saturate, and what it becomes. A half-way value goes to even. */
const overflow: Readonly<
  Partial<Record<DType, { readonly from: number; readonly exclusive: boolean; readonly to: number }>>
> = {
  f8e4m3fn: { from: 464, exclusive: true, to: Number.NaN },
  f8e4m3fnuz: { from: 248, exclusive: false, to: Number.NaN },
  f8e5m2: { from: 61440, exclusive: false, to: Number.POSITIVE_INFINITY },
  f8e5m2fnuz: { from: 61440, exclusive: false, to: Number.NaN },
};
/** ONNX's cast: to integers under 8 bits floats wrap as integers do. */
function castTo(to: DType, x: Expr, saturate: boolean): Expr {
  if (isFloat(x.dtype) && isInt(to) && intBits(to) < 8) return E.to(to, E.to("i32", x));
  const o = saturate ? undefined : overflow[to];
  if (!o || !isFloat(x.dtype)) return E.to(to, x);
  const v = E.to(wide(x.dtype), x);
  const [a, limit] = [E.unary("abs", v), constant(v.dtype, o.from)];
  return E.where(
    o.exclusive ? E.lt(limit, a) : E.le(limit, a),
    E.where(E.lt(v, 0), constant(to, -o.to), constant(to, o.to)),
    E.to(to, v),
  );
}
export const Cast: OpDef<{ to: DType; wraps?: boolean }> = op<{ to: DType; wraps?: boolean }>({
  name: "Cast",
  onnx: [onnx("Cast", 1, 6, 9, 13, 19, 21, 23, 24, 25)],
  accuracy: exact,
  effects: "none",
  parse: (n) => {
    // Text to text; whatever else is made of text is refused with its type.
    if (n.labels(0)?.of === "elements") return { to: n.int("to") === textType ? "i64" : n.fail("text cannot be cast") };
    return { to: n.dtype("to"), ...(n.int("saturate", 1) === 0 ? { wraps: true } : {}) };
  },
  labels: keepText,
  infer: (x, a, ctx) => [tensorType(a.to, tensor(x, 0, ctx).shape)],
  body: {
    kind: "compute",
    compute: (b, n) => b.map(b.output(0), (i) => castTo(n.attrs.to, load(b.input(0), i), !n.attrs.wraps)),
  },
});
export const CastLike: OpDef<{ wraps?: boolean }> = op<{ wraps?: boolean }>({
  name: "CastLike",
  onnx: [onnx("CastLike", 15, 19, 21, 23, 24, 25)],
  accuracy: exact,
  effects: "none",
  parse: (n) => (n.int("saturate", 1) === 0 ? { wraps: true } : {}),
  infer: (x, _a, ctx) => [tensorType(tensor(x, 1, ctx).dtype, tensor(x, 0, ctx).shape)],
  body: {
    kind: "compute",
    compute: (b, n) => b.map(b.output(0), (i) => castTo(b.output(0).dtype, load(b.input(0), i), !n.attrs.wraps)),
  },
});
/** The bits of the input as another type of the same width. */
export const BitCast: OpDef<{ to: DType }> = op({
  name: "BitCast",
  onnx: [onnx("BitCast", 26)],
  accuracy: exact,
  effects: "none",
  parse: (n) => ({ to: n.dtype("to") }),
  infer: (x, a, ctx) => {
    const t = tensor(x, 0, ctx);
    if (elementBytes(t.dtype) !== elementBytes(a.to)) ctx.fail(`the bits of ${t.dtype} as ${a.to}`);
    if (elementBytes(a.to) < 4 && (isFloat(t.dtype) || isFloat(a.to)) && t.dtype !== a.to)
      ctx.fail(`the bits of ${t.dtype} as ${a.to} are not supported`);
    return [tensorType(a.to, t.shape)];
  },
  body: {
    kind: "compute",
    compute: (b, n) =>
      b.map(b.output(0), (i) => {
        const x = load<Expr>(b.input(0), i);
        return isFloat(x.dtype) === isFloat(n.attrs.to) ? E.to(n.attrs.to, x) : E.bitcast<Expr>(n.attrs.to, x);
      }),
  },
});

export const castOps: readonly OpDef<Attrs>[] = [Cast, CastLike, BitCast] as unknown as readonly OpDef<Attrs>[];
