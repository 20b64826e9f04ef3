// Elementwise ops: unary, binary, comparison, logic, selection and casts.

import * as E from "../ir/expr.ts";
import { constant, type Expr, load } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import type { Accuracy, OpDef, RawNode, TeBuilder } from "../ir/opdef.ts";
import { op } from "../ir/opdef.ts";
import { type DType, isFloat, isInt, isUnsigned, tensorType } from "../ir/types.ts";
import {
  broadcastShapes,
  expectType,
  likeInput,
  loadBroadcast,
  noAttrs,
  onnx,
  optionalTensor,
  sameType,
  tensor,
  wide,
} from "./common.ts";

const exact: Accuracy = { kind: "exact" };
const ulps = (n: number): Accuracy => ({ kind: "ulps", n });
const numeric = (d: DType): boolean => d !== "bool";
const numberOrBool = (): boolean => true;

/** One element of input 0 to one element of output 0. */
function unaryOp<A extends Attrs>(
  type: string,
  since: readonly number[],
  accuracy: Accuracy,
  allowed: (d: DType) => boolean,
  parse: (n: RawNode) => A,
  f: (x: Expr, a: A) => Expr,
  domain = "",
): OpDef<A> {
  return op<A>({
    name: type,
    onnx: [{ domain, type, since }],
    accuracy,
    effects: "none",
    parse,
    infer: (x, _a, ctx) => {
      expectType(tensor(x, 0, ctx), allowed, "the input", ctx);
      return likeInput(x, ctx);
    },
    body: { kind: "compute", compute: (b, n) => b.map(b.output(0), (i) => f(load(b.input(0), i), n.attrs)) },
  });
}
const c = (x: Expr, value: number): Expr => constant(x.dtype, value);
const u =
  (name: E.UnaryOp) =>
  (x: Expr): Expr =>
    E.unary(name, x);
/** x for a narrow float is computed in f32: dividing, exponentials and so on keep the type of x; `expand-storage` widens. */
const exp = u("exp");
const log = u("log");
export const sigmoid = (x: Expr): Expr => E.div(1, E.add(E.unary("exp", E.neg(x)), 1));
export const softplus = (x: Expr): Expr => E.add(E.max(x, 0), log(E.add(exp(E.neg(E.unary("abs", x))), 1)));
const relu = (x: Expr): Expr => E.max(x, 0);
/** max(lo, min(hi, x)), with NaN of x passing through. */
const clamp = (x: Expr, lo: Expr | number, hi: Expr | number): Expr => E.min(E.max(x, lo), hi);
export const geluErf = (x: Expr): Expr => E.mul(E.mul(x, 0.5), E.add(E.unary("erf", E.mul(x, Math.SQRT1_2)), 1));
export const geluTanh = (x: Expr): Expr => {
  const inner = E.mul(E.mul(x, Math.sqrt(2 / Math.PI)), E.add(E.mul(E.mul(x, x), 0.044715), 1));
  return E.mul(E.mul(x, 0.5), E.add(E.unary("tanh", inner), 1));
};
const atanSmall = (t: Expr): Expr => {
  // Cephes atanf's polynomial on |t| <= tan(pi/8).
  const z = E.mul(t, t);
  const p = E.add(
    E.mul(
      E.sub(
        E.mul(E.add(E.mul(E.sub(E.mul(z, 8.05374449538e-2), 1.38776856032e-1), z), 1.99777106478e-1), z),
        3.33329491539e-1,
      ),
      z,
    ),
    1,
  );
  return E.mul(t, p);
};
const atan = (x: Expr): Expr => {
  const a = E.unary("abs", x);
  const big = E.gt(a, Math.tan((3 * Math.PI) / 8));
  const mid = E.gt(a, Math.tan(Math.PI / 8));
  const t = E.where(big, E.div(-1, a), E.where(mid, E.div(E.sub(a, 1), E.add(a, 1)), a));
  const base = E.where(big, c(x, Math.PI / 2), E.where(mid, c(x, Math.PI / 4), c(x, 0)));
  const r = E.add(base, atanSmall(t));
  return E.where(E.lt(x, 0), E.neg(r), r);
};
const asin = (x: Expr): Expr =>
  E.where(
    E.eq(E.unary("abs", x), 1),
    E.mul(x, Math.PI / 2),
    atan(E.div(x, E.unary("sqrt", E.mul(E.sub(1, x), E.add(x, 1))))),
  );
const acos = (x: Expr): Expr => E.mul(2, atanRatio(E.unary("sqrt", E.sub(1, x)), E.unary("sqrt", E.add(1, x))));
/** atan(a / b) for a, b >= 0. */
const atanRatio = (a: Expr, b: Expr): Expr => E.where(E.eq(b, 0), c(a, Math.PI / 2), atan(E.div(a, b)));
/** log(1 + x) without losing small x: log(u) * x / (u - 1), u = 1 + x (Kahan). */
const log1p = (x: Expr): Expr => {
  const w = E.add(x, 1);
  const d = E.sub(w, 1);
  // Where the sum is exact, which an infinite one is too, nothing has to be made good.
  return E.where(E.eq(w, 1), x, E.where(E.eq(d, x), log(w), E.div(E.mul(log(w), x), d)));
};
/** log(2a) from where on asinh a and acosh a are that to the last place, and before a^2 overflows; else `r`. */
const orLog2a = (a: Expr, r: Expr): Expr => E.where(E.gt(a, 2 ** 28), E.add(log(a), Math.LN2), r);
/** exp(x) - 1 without losing small x: a Taylor series near 0. */
export const expm1 = (x: Expr): Expr => {
  const series = E.mul(
    x,
    E.add(E.mul(x, E.add(E.mul(x, E.add(E.mul(x, E.add(E.mul(x, 1 / 120), 1 / 24)), 1 / 6)), 0.5)), 1),
  );
  return E.where(
    E.lt(E.unary("abs", x), 0.25),
    E.add(series, E.mul(E.mul(E.mul(E.mul(E.mul(E.mul(x, x), x), x), x), x), 1 / 720)),
    E.sub(exp(x), 1),
  );
};
const sinh = (x: Expr): Expr => {
  const m = expm1(E.unary("abs", x));
  const r = E.mul(0.5, E.add(m, E.div(m, E.add(m, 1))));
  return E.where(E.lt(x, 0), E.neg(r), r);
};
const cosh = (x: Expr): Expr => {
  const e = exp(E.mul(E.unary("abs", x), 1));
  return E.add(E.mul(0.5, e), E.div(0.5, e));
};
const asinh = (x: Expr): Expr => {
  const a = E.unary("abs", x);
  const s = E.unary("sqrt", E.add(E.mul(a, a), 1));
  const r = orLog2a(a, log1p(E.add(a, E.div(E.mul(a, a), E.add(s, 1)))));
  return E.where(E.lt(x, 0), E.neg(r), r);
};
const acosh = (x: Expr): Expr => {
  const t = E.sub(x, 1);
  return orLog2a(x, log1p(E.add(t, E.unary("sqrt", E.add(E.mul(t, 2), E.mul(t, t))))));
};
const atanh = (x: Expr): Expr => E.mul(0.5, log1p(E.div(E.mul(2, x), E.sub(1, x))));
const sign = (x: Expr): Expr =>
  E.where(E.lt(x, 0), c(x, isUnsigned(x.dtype) ? 0 : -1), E.where(E.gt(x, 0), c(x, 1), E.mul(x, 0)));

const alpha =
  (dflt: number) =>
  (n: RawNode): { alpha: number } => ({ alpha: n.float("alpha", dflt) });
const alphaGamma = (n: RawNode): { alpha: number; gamma: number } => ({
  alpha: n.float("alpha", 1.6732631921768188),
  gamma: n.float("gamma", 1.0507010221481323),
});
const alphaBeta =
  (a: number, b: number) =>
  (n: RawNode): { alpha: number; beta: number } => ({ alpha: n.float("alpha", a), beta: n.float("beta", b) });

const plain = (
  type: string,
  since: readonly number[],
  accuracy: Accuracy,
  allowed: (d: DType) => boolean,
  f: (x: Expr) => Expr,
): OpDef<Record<string, never>> => unaryOp(type, since, accuracy, allowed, noAttrs, f);

export const Relu: OpDef<Record<string, never>> = plain("Relu", [1, 6, 13, 14], exact, numeric, relu);
export const Sigmoid: OpDef<Record<string, never>> = plain("Sigmoid", [1, 6, 13], ulps(4), isFloat, sigmoid);
export const Tanh: OpDef<Record<string, never>> = plain("Tanh", [1, 6, 13], ulps(4), isFloat, u("tanh"));
export const Sqrt: OpDef<Record<string, never>> = plain("Sqrt", [1, 6, 13], ulps(1), isFloat, u("sqrt"));
const signed = (d: DType): boolean => isFloat(d) || (isInt(d) && !isUnsigned(d));
const unaries: readonly OpDef<Attrs>[] = [
  Relu,
  Sigmoid,
  Tanh,
  plain("Abs", [1, 6, 13], exact, numeric, (x) => (isUnsigned(x.dtype) ? x : E.unary("abs", x))),
  plain("Neg", [1, 6, 13], exact, signed, E.neg),
  plain("Floor", [1, 6, 13], exact, isFloat, u("floor")),
  plain("Ceil", [1, 6, 13], exact, isFloat, u("ceil")),
  plain("Round", [11, 22], exact, isFloat, u("round")),
  Sqrt,
  plain("Reciprocal", [1, 6, 13], ulps(1), isFloat, u("recip")),
  plain("Exp", [1, 6, 13], ulps(3), isFloat, exp),
  plain("Log", [1, 6, 13], ulps(3), isFloat, log),
  plain("Erf", [9, 13], ulps(4), isFloat, u("erf")),
  plain("Sin", [7, 22], ulps(4), isFloat, u("sin")),
  plain("Cos", [7, 22], ulps(4), isFloat, u("cos")),
  plain("Tan", [7, 22], ulps(8), isFloat, (x) => E.div(E.unary("sin", x), E.unary("cos", x))),
  plain("Asin", [7, 22], ulps(8), isFloat, asin),
  plain("Acos", [7, 22], ulps(8), isFloat, acos),
  plain("Atan", [7, 22], ulps(4), isFloat, atan),
  plain("Sinh", [9, 22], ulps(8), isFloat, sinh),
  plain("Cosh", [9, 22], ulps(8), isFloat, cosh),
  plain("Asinh", [9, 22], ulps(8), isFloat, asinh),
  plain("Acosh", [9, 22], ulps(8), isFloat, acosh),
  plain("Atanh", [9, 22], ulps(8), isFloat, atanh),
  plain("Sign", [9, 13], exact, numeric, sign),
  plain("Not", [1], exact, (d) => d === "bool", E.not),
  plain("BitwiseNot", [18], exact, isInt, u("bitnot")),
  plain("Softplus", [1, 22], ulps(8), isFloat, softplus),
  plain("Softsign", [1, 22], ulps(2), isFloat, (x) => E.div(x, E.add(E.unary("abs", x), 1))),
  plain("Mish", [18, 22], ulps(16), isFloat, (x) => E.mul(x, E.unary("tanh", softplus(x)))),
  plain("HardSwish", [14, 22], ulps(2), isFloat, (x) => E.mul(x, clamp(E.add(E.mul(x, 1 / 6), 0.5), 0, 1))),
  unaryOp("LeakyRelu", [1, 6, 16], exact, isFloat, alpha(0.01), (x, a) => E.where(E.lt(x, 0), E.mul(x, a.alpha), x)),
  unaryOp("Elu", [1, 6, 22], ulps(4), isFloat, alpha(1), (x, a) => E.where(E.lt(x, 0), E.mul(expm1(x), a.alpha), x)),
  unaryOp("Celu", [12], ulps(8), isFloat, alpha(1), (x, a) =>
    E.add(E.max(x, 0), E.min(E.mul(expm1(E.div(x, a.alpha)), a.alpha), 0)),
  ),
  unaryOp("Selu", [1, 6, 22], ulps(8), isFloat, alphaGamma, (x, a) =>
    E.mul(E.where(E.le(x, 0), E.mul(expm1(x), a.alpha), x), a.gamma),
  ),
  unaryOp("ThresholdedRelu", [10, 22], exact, isFloat, alpha(1), (x, a) => E.where(E.gt(x, a.alpha), x, c(x, 0))),
  unaryOp("HardSigmoid", [1, 6, 22], ulps(2), isFloat, alphaBeta(0.2, 0.5), (x, a) =>
    clamp(E.add(E.mul(x, a.alpha), a.beta), 0, 1),
  ),
  unaryOp("Swish", [24], ulps(8), isFloat, alpha(1), (x, a) => E.mul(x, sigmoid(E.mul(x, a.alpha)))),
  unaryOp(
    "Shrink",
    [9],
    exact,
    numeric,
    (n) => ({ bias: n.float("bias", 0), lambd: n.float("lambd", 0.5) }),
    // Of integers the bounds and the bias may be fractions all the same.
    (of, a) => {
      const x = isFloat(of.dtype) ? of : E.to("f32", of);
      const y = E.where(E.lt(x, -a.lambd), E.add(x, a.bias), E.where(E.gt(x, a.lambd), E.sub(x, a.bias), c(x, 0)));
      return E.to(of.dtype, y);
    },
  ),
  unaryOp(
    "Gelu",
    [20],
    ulps(16),
    isFloat,
    (n) => ({ approximate: n.string("approximate", "none") }),
    (x, a) => (a.approximate === "tanh" ? geluTanh(x) : geluErf(x)),
  ),
] as unknown as readonly OpDef<Attrs>[];

/** Two broadcast operands of one type. */
function binaryOp<A extends Attrs>(
  type: string,
  since: readonly number[],
  accuracy: Accuracy,
  allowed: (d: DType) => boolean,
  parse: (n: RawNode) => A,
  f: (a: Expr, b: Expr, attrs: A) => Expr,
  result?: DType,
): OpDef<A & { axis?: number }> {
  type B = A & { axis?: number };
  return op<B>({
    name: type,
    onnx: [onnx(type, ...since)],
    accuracy,
    effects: "none",
    // Before opset 7 the second operand broadcast only under `broadcast = 1`, aligned at `axis`.
    parse: (n) => ({ ...parse(n), ...(n.opset < 7 && n.has("axis") ? { axis: n.int("axis") } : {}) }) as B,
    infer: (x, a, ctx) => {
      const p = tensor(x, 0, ctx);
      const q = tensor(x, 1, ctx);
      expectType(p, allowed, "the first input", ctx);
      sameType(p, q, ctx);
      return [tensorType(result ?? p.dtype, a.axis === undefined ? broadcastShapes([p.shape, q.shape], ctx) : p.shape)];
    },
    body: {
      kind: "compute",
      compute: (b, n) => {
        const out = b.output(0);
        b.map(out, (i) => {
          const axis = n.attrs.axis;
          const second = b.input(1);
          const y =
            axis === undefined
              ? loadBroadcast(second, i, out.shape)
              : loadBroadcast(
                  second,
                  i.slice(axis, axis + second.shape.length),
                  out.shape.slice(axis, axis + second.shape.length),
                );
          return f(loadBroadcast(b.input(0), i, out.shape), y, n.attrs);
        });
      },
    },
  });
}
const simple = (
  type: string,
  since: readonly number[],
  accuracy: Accuracy,
  allowed: (d: DType) => boolean,
  f: (a: Expr, b: Expr) => Expr,
  result?: DType,
): OpDef<{ axis?: number }> => binaryOp<object & Attrs>(type, since, accuracy, allowed, () => ({}), f, result);

export const Add: OpDef<{ axis?: number }> = simple("Add", [1, 6, 7, 13, 14], exact, numeric, E.add);
export const Sub: OpDef<{ axis?: number }> = simple("Sub", [1, 6, 7, 13, 14], exact, numeric, E.sub);
export const Mul: OpDef<{ axis?: number }> = simple("Mul", [1, 6, 7, 13, 14], exact, numeric, E.mul);
export const Div: OpDef<{ axis?: number }> = simple("Div", [1, 6, 7, 13, 14], exact, numeric, (a, b) =>
  isFloat(a.dtype) ? E.div(a, b) : E.truncdiv(a, b),
);
const isBool = (d: DType): boolean => d === "bool";
/** The remainder with the sign of the divisor, zeros included. */
const floorMod = (a: Expr, b: Expr): Expr => {
  const r = E.truncmod(a, b);
  return E.where(E.eq(r, 0), E.mul(b, 0), E.where(E.ne(E.lt(r, 0), E.lt(b, 0)), E.add(r, b), r));
};
const binaries: readonly OpDef<Attrs>[] = [
  Add,
  Sub,
  Mul,
  Div,
  simple("Equal", [1, 7, 11, 13, 19], exact, numberOrBool, E.eq, "bool"),
  simple("Less", [1, 7, 9, 13], exact, numeric, E.lt, "bool"),
  simple("LessOrEqual", [12, 16], exact, numeric, E.le, "bool"),
  simple("Greater", [1, 7, 9, 13], exact, numeric, E.gt, "bool"),
  simple("GreaterOrEqual", [12, 16], exact, numeric, E.ge, "bool"),
  simple("And", [1, 7], exact, isBool, E.and, "bool"),
  simple("Or", [1, 7], exact, isBool, E.or, "bool"),
  simple("Xor", [1, 7], exact, isBool, (a, b) => E.binary("xor", a, b), "bool"),
  simple("BitwiseAnd", [18], exact, isInt, (a, b) => E.binary("bitand", a, b)),
  simple("BitwiseOr", [18], exact, isInt, (a, b) => E.binary("bitor", a, b)),
  simple("BitwiseXor", [18], exact, isInt, (a, b) => E.binary("bitxor", a, b)),
  // Before opset 7 a slope of one axis belongs to the channels.
  binaryOp<{ axis?: number }>(
    "PRelu",
    [1, 6, 7, 9, 16],
    exact,
    numeric,
    (n) => (n.opset < 7 ? { axis: 1 } : {}),
    (x, slope) => E.where(E.lt(x, 0), E.mul(x, slope), x),
  ),
  binaryOp(
    "BitShift",
    [11],
    exact,
    isInt,
    (n) => ({ direction: n.string("direction") }),
    (a, b, at) => E.binary(at.direction === "LEFT" ? "shl" : "shr", a, b),
  ),
  binaryOp(
    "Mod",
    [10, 13],
    exact,
    numeric,
    (n) => ({ fmod: n.int("fmod", 0) }),
    (a, b, at) => (at.fmod ? E.truncmod(a, b) : isFloat(a.dtype) ? floorMod(a, b) : E.floormod(a, b)),
  ),
] as unknown as readonly OpDef<Attrs>[];

/** ONNX's Pow: the exponent may have a type of its own; small constant exponents become multiplications. */
export const Pow: OpDef<Record<string, never>> = op({
  name: "Pow",
  onnx: [onnx("Pow", 1, 7, 12, 13, 15)],
  accuracy: ulps(16),
  effects: "none",
  parse: noAttrs,
  infer: (x, _a, ctx) => {
    const p = tensor(x, 0, ctx);
    return [tensorType(p.dtype, broadcastShapes([p.shape, tensor(x, 1, ctx).shape], ctx))];
  },
  body: {
    kind: "compute",
    compute: (b, _n) => {
      const out = b.output(0);
      const known = b.known(1)?.elements;
      const first = known?.[0];
      const exponent =
        known?.length === 1 && first !== null && first !== undefined
          ? typeof first === "number"
            ? first
            : first.kind === "int"
              ? first.value
              : null
          : null;
      b.map(out, (i) => {
        const x = loadBroadcast(b.input(0), i, out.shape);
        if (exponent !== null) {
          const special = powConst(x, exponent);
          if (special) return special;
        }
        return powGeneral(x, loadBroadcast(b.input(1), i, out.shape));
      });
    },
  },
});
function powConst(x: Expr, e: number): Expr | null {
  if (e === 1) return x;
  if (e === 2) return E.mul(x, x);
  if (e === 3) return E.mul(E.mul(x, x), x);
  if (e === 4) return E.mul(E.mul(x, x), E.mul(x, x));
  if (!isFloat(x.dtype)) return null;
  if (e === 0.5) return E.unary("sqrt", x);
  if (e === -1) return E.unary("recip", x);
  if (e === -0.5) return E.unary("recip", E.unary("sqrt", x));
  if (e === 0) return c(x, 1);
  return null;
}
function powGeneral(x: Expr, y: Expr): Expr {
  if (isFloat(x.dtype)) return E.pow(x, E.to(x.dtype, y));
  // Integers: in f64, which is exact for results below 2^53 and saturates above.
  return E.to(x.dtype, E.pow(E.to("f64", x), E.to("f64", y)));
}

/** Sum, Mean, Max, Min over any number of broadcast inputs. */
function variadic(type: string, since: readonly number[], f: (xs: readonly Expr[]) => Expr): OpDef<Attrs> {
  return op<Attrs>({
    name: type,
    onnx: [onnx(type, ...since)],
    accuracy: ulps(4),
    effects: "none",
    parse: noAttrs,
    infer: (x, _a, ctx) => {
      const ts = x.map((_, i) => tensor(x, i, ctx));
      for (const t of ts) sameType(ts[0] ?? tensor(x, 0, ctx), t, ctx);
      return [
        tensorType(
          tensor(x, 0, ctx).dtype,
          broadcastShapes(
            ts.map((t) => t.shape),
            ctx,
          ),
        ),
      ];
    },
    body: {
      kind: "compute",
      compute: (b, n) => {
        const out = b.output(0);
        b.map(out, (i) => f(n.inputs.map((_, k) => loadBroadcast(b.input(k), i, out.shape))));
      },
    },
  });
}
// numpy's maximum and minimum, which ONNX's tests follow, propagate NaN.
export const maximum = (a: Expr, b: Expr): Expr => (isFloat(a.dtype) ? E.binary("nanmax", a, b) : E.max(a, b));
export const minimum = (a: Expr, b: Expr): Expr => (isFloat(a.dtype) ? E.binary("nanmin", a, b) : E.min(a, b));
const variadics: readonly OpDef<Attrs>[] = [
  variadic("Sum", [1, 6, 8, 13], (xs) => xs.reduce((a, b) => E.add(a, b))),
  variadic("Mean", [1, 6, 8, 13], (xs) =>
    E.div(
      xs.reduce((a, b) => E.add(a, b)),
      xs.length,
    ),
  ),
  variadic("Max", [1, 6, 8, 12, 13], (xs) => xs.reduce(maximum)),
  variadic("Min", [1, 6, 8, 12, 13], (xs) => xs.reduce(minimum)),
];

/** Clip: bounds are attributes before opset 11, scalar inputs since. */
export const Clip: OpDef<{ min?: number; max?: number }> = op({
  name: "Clip",
  onnx: [onnx("Clip", 1, 6, 11, 12, 13)],
  accuracy: exact,
  effects: "none",
  parse: (n) => ({
    ...(n.opset < 11 && n.has("min") ? { min: n.float("min") } : {}),
    ...(n.opset < 11 && n.has("max") ? { max: n.float("max") } : {}),
  }),
  infer: (x, _a, ctx) => likeInput(x, ctx),
  body: {
    kind: "compute",
    compute: (b, n) =>
      b.map(b.output(0), (i) => {
        let y: Expr = load(b.input(0), i);
        const lo = boundOf(b, 1, n.attrs.min, y);
        const hi = boundOf(b, 2, n.attrs.max, y);
        if (lo) y = E.max(y, lo);
        if (hi) y = E.min(y, hi);
        return y;
      }),
  },
});
function boundOf(b: TeBuilder, input: number, attr: number | undefined, x: Expr): Expr | null {
  if (attr !== undefined) return c(x, attr);
  if (!b.has(input)) return null;
  const known = b.known(input)?.elements[0];
  if (known !== null && known !== undefined) {
    const value = typeof known === "number" ? known : known.kind === "int" ? known.value : null;
    if (value !== null) return c(x, value);
  }
  const s = b.input(input);
  return load(
    s,
    s.shape.map(() => E.i32(0)),
  );
}

export const Where: OpDef<Record<string, never>> = op({
  name: "Where",
  onnx: [onnx("Where", 9, 16)],
  accuracy: exact,
  effects: "none",
  parse: noAttrs,
  infer: (x, _a, ctx) => {
    const [cond, p, q] = [tensor(x, 0, ctx), tensor(x, 1, ctx), tensor(x, 2, ctx)];
    expectType(cond, ["bool"], "the condition", ctx);
    sameType(p, q, ctx);
    return [tensorType(p.dtype, broadcastShapes([cond.shape, p.shape, q.shape], ctx))];
  },
  body: {
    kind: "compute",
    compute: (b) => {
      const out = b.output(0);
      b.map(out, (i) =>
        E.where(
          loadBroadcast(b.input(0), i, out.shape),
          loadBroadcast(b.input(1), i, out.shape),
          loadBroadcast(b.input(2), i, out.shape),
        ),
      );
    },
  },
});

const floatsToBools: OpDef<Attrs>["infer"] = (x, _a, ctx) => {
  const t = tensor(x, 0, ctx);
  expectType(t, isFloat, "the input", ctx);
  return [tensorType("bool", t.shape)];
};
export const IsNaN: OpDef<Record<string, never>> = op({
  name: "IsNaN",
  onnx: [onnx("IsNaN", 9, 13, 20)],
  accuracy: exact,
  effects: "none",
  parse: noAttrs,
  infer: floatsToBools,
  body: { kind: "compute", compute: (b) => b.map(b.output(0), (i) => E.unary("isnan", load(b.input(0), i))) },
});
export const IsInf: OpDef<{ negative: boolean; positive: boolean }> = op({
  name: "IsInf",
  onnx: [onnx("IsInf", 10, 20)],
  accuracy: exact,
  effects: "none",
  parse: (n) => ({ negative: n.int("detect_negative", 1) !== 0, positive: n.int("detect_positive", 1) !== 0 }),
  infer: floatsToBools,
  body: {
    kind: "compute",
    compute: (b, n) =>
      b.map(b.output(0), (i) => {
        const x = load<Expr>(b.input(0), i);
        const tests = [
          n.attrs.positive ? E.eq(x, Infinity) : null,
          n.attrs.negative ? E.eq(x, -Infinity) : null,
        ].filter((t) => t !== null);
        return tests.length === 0 ? constant("bool", 0) : tests.reduce((p, q) => E.or(p, q));
      }),
  },
});

/** a * sigmoid(alpha * a) * b. */
export const SwiGLU: OpDef<{ alpha: number }> = op({
  name: "SwiGLU",
  onnx: [onnx("SwiGLU", 28)],
  accuracy: ulps(8),
  effects: "none",
  parse: (n) => ({ alpha: n.float("alpha", 1) }),
  infer: (x, _a, ctx) => likeInput(x, ctx),
  body: {
    kind: "compute",
    compute: (b, n) =>
      b.map(b.output(0), (i) => {
        const [p, q] = [0, 1].map((k) => E.to(wide(b.input(k).dtype), load(b.input(k), i))) as [Expr, Expr];
        return E.to(b.output(0).dtype, E.mul(E.mul(p, sigmoid(E.mul(p, n.attrs.alpha))), q));
      }),
  },
});
/** Dropout at inference is the identity; its mask is all true. */
export const Dropout: OpDef<Record<string, never>> = op({
  name: "Dropout",
  onnx: [onnx("Dropout", 1, 6, 7, 10, 12, 13, 22)],
  accuracy: exact,
  effects: "none",
  parse: noAttrs,
  infer: (x, _a, ctx) => {
    const t = tensor(x, 0, ctx);
    if (optionalTensor(x, 2) && ctx.known(2)?.elements[0]?.toString() !== undefined) {
      const training = ctx.dims(2)?.[0];
      const ratio = ctx.known(1)?.elements[0];
      const keepsAll =
        ratio !== null && ratio !== undefined && typeof ratio !== "number" && ratio.kind === "int" && ratio.value === 0;
      if (!keepsAll && (training?.kind !== "int" || training.value !== 0)) ctx.fail("Dropout in training mode");
    }
    return [tensorType(t.dtype, t.shape), tensorType("bool", t.shape)];
  },
  body: {
    kind: "compute",
    compute: (b) => {
      b.map(b.output(0), (i) => load(b.input(0), i));
      if (b.wants(1)) b.map(b.output(1), () => constant("bool", 1));
    },
  },
});

export const elementwiseOps: readonly OpDef<Attrs>[] = [
  ...unaries,
  ...binaries,
  ...variadics,
  ...([Pow, Clip, Where, IsNaN, IsInf, SwiGLU, Dropout] as unknown as readonly OpDef<Attrs>[]),
];
