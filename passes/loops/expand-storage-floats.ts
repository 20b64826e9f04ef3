// Floats narrower than f32 as bit patterns in i32 registers: decoding to f32 and encoding from it, as expressions of f32 and i32 alone.
// Formats: IEEE 754 (f16), bfloat16, and the 8-bit and 4-bit ones of ONNX (docs "Float stored in 8 bits", OCP MX for e8m0 and e2m1).
import type { LoopExpr } from "../../src/ir/loops.ts";
import type { DType } from "../../src/ir/types.ts";
import { isUnsigned } from "../../src/ir/types.ts";
import * as B from "./build.ts";

export type NarrowFloat = "f16" | "bf16" | "f8e4m3fn" | "f8e4m3fnuz" | "f8e5m2" | "f8e5m2fnuz" | "f8e8m0" | "f4e2m1";

/** Sign, exponent and mantissa; patterns are of the magnitude, without the sign. Without `inf` the largest pattern is `finite`. */
type Format = {
  readonly bits: number;
  readonly mantissa: number;
  readonly bias: number;
  /** The largest finite pattern. */
  readonly finite: number;
  readonly inf: number | null;
  /** The NaN that is stored, sign bit included. */
  readonly nan: number;
  /** fnuz: the sign bit alone is the NaN, and there is no -0. */
  readonly unsignedZero: boolean;
  /** A cast saturates to the largest finite value, infinities too (ONNX's Cast, saturate=1). */
  readonly saturates: boolean;
};
const ieee = { unsignedZero: false, saturates: false } as const;
const f8 = { bits: 8, unsignedZero: false, saturates: true } as const;
const fnuz = { ...f8, finite: 0x7f, inf: null, nan: 0x80, unsignedZero: true } as const;
const formats: Readonly<Record<Exclude<NarrowFloat, "f8e8m0">, Format>> = {
  f16: { ...ieee, bits: 16, mantissa: 10, bias: 15, finite: 0x7bff, inf: 0x7c00, nan: 0x7e00 },
  bf16: { ...ieee, bits: 16, mantissa: 7, bias: 127, finite: 0x7f7f, inf: 0x7f80, nan: 0x7fc0 },
  f8e5m2: { ...f8, mantissa: 2, bias: 15, finite: 0x7b, inf: 0x7c, nan: 0x7e },
  f8e4m3fn: { ...f8, mantissa: 3, bias: 7, finite: 0x7e, inf: null, nan: 0x7f },
  f8e4m3fnuz: { ...fnuz, mantissa: 3, bias: 8 },
  f8e5m2fnuz: { ...fnuz, mantissa: 2, bias: 16 },
  // Without a NaN of its own: -0, as ml_dtypes and ONNX's tests have it.
  f4e2m1: { ...f8, bits: 4, mantissa: 1, bias: 1, finite: 7, inf: null, nan: 8 },
};
export function isNarrowFloat(d: DType): d is NarrowFloat {
  return d === "f8e8m0" || d in formats;
}

const f32Inf = 0x7f800000;
const f32NaN = 0x7fc00000;

/** The f32 value of a pattern (i32, not negative, no bits above the format's). No f32 denormal occurs on the way. */
export function decode(d: NarrowFloat, p: LoopExpr): LoopExpr {
  if (d === "bf16") return B.bits("f32", B.shl(p, 16));
  if (d === "f8e8m0") {
    const exponent = B.select(B.eq(p, 0), 1 << 22, B.shl(p, 23));
    return B.bits("f32", B.select(B.eq(p, 255), f32NaN, exponent));
  }
  const f = formats[d];
  const signBit = 1 << (f.bits - 1);
  // The magnitude where f32 has its fields; the exponent is short of the difference of the biases.
  const m = B.shl(B.bitand(p, signBit - 1), 23 - f.mantissa);
  const rebias = (127 - f.bias) << 23;
  // Denormals: (1 + m) * 2^(1 - bias) less the 1.
  const small = B.sub(B.bits("f32", B.add(m, rebias + (1 << 23))), 2 ** (1 - f.bias));
  let big = B.add(m, rebias);
  if (f.inf !== null) big = B.select(B.lt(m, f.inf << (23 - f.mantissa)), big, B.bitor(m, f32Inf));
  if (d === "f8e4m3fn") big = B.select(B.eq(m, f.nan << (23 - f.mantissa)), f32NaN, big);
  const magnitude = B.select(B.lt(m, 1 << 23), B.bits("i32", small), big);
  const signed = B.bitor(magnitude, B.shl(B.bitand(p, signBit), 32 - f.bits));
  return B.bits("f32", f.unsignedZero ? B.select(B.eq(p, signBit), f32NaN, signed) : signed);
}

/**
 * The pattern (i32) nearest to an f32, ties to even; f8e8m0 rounds up (ONNX's default) and drops the sign. `saturate` is what a cast
 * does to values past the largest in the 8- and 4-bit formats; without it they become infinity or NaN where the format has one.
 * A NaN gets the format's own. The rounding of denormals is that of an f32 addition, so f32 denormals count as 0.
 */
export function encode(d: NarrowFloat, x: LoopExpr, saturate: boolean): LoopExpr {
  const b = B.bits("i32", x);
  const a = B.bitand(b, 0x7fffffff);
  const nan = B.lt(B.lit("i32", f32Inf, x), a);
  if (d === "f8e8m0") {
    const exponent = B.shr(B.add(a, 0x7fffff), 23);
    const finite = B.min(B.select(B.le(a, 1 << 22), 0, exponent), 254);
    return B.select(nan, 255, finite);
  }
  const f = formats[d];
  const drop = 23 - f.mantissa;
  const half = (1 << (drop - 1)) - 1;
  const rounded = B.shr(B.add(B.add(a, half), B.bitand(B.shr(a, drop), 1)), drop);
  let n: LoopExpr;
  if (d === "bf16") n = rounded;
  else {
    // A power of two whose last place is the smallest denormal's: the sum rounds to it.
    const magic = 2 ** (24 - f.bias - f.mantissa);
    const small = B.sub(B.bits("i32", B.add(B.bits("f32", a), magic)), floatBits(magic));
    const big = B.sub(rounded, (127 - f.bias) << f.mantissa);
    n = B.select(B.lt(a, (128 - f.bias) << 23), small, big);
  }
  const top = (f.saturates && saturate) || d === "f4e2m1" ? f.finite : (f.inf ?? f.finite + 1);
  n = B.min(n, top);
  const sign = B.bitand(B.shr(b, 32 - f.bits), 1 << (f.bits - 1));
  // With fnuz the overflow pattern is the NaN, sign bit alone.
  const signed = B.bitor(n, f.unsignedZero ? B.select(B.eq(n, 0), 0, sign) : sign);
  return B.select(nan, f.nan, signed);
}

/**
 * An integer or an f64 to f32, rounded to odd: where it is not exact, the neighbour whose last bit is set. Rounding that once more to a
 * narrow float is right, where rounding to nearest twice is not (Boldo and Melquiond, "Emulation of a FMA and correctly rounded
 * sums: proved algorithms using rounding to odd", 2008).
 */
export function toOddF32(x: LoopExpr): LoopExpr {
  const y = B.cast("f32", x);
  const back = B.cast(x.dtype, y);
  const i = B.bits("i32", y);
  const zero = B.lit(x.dtype, 0, x);
  const below = B.lt(back, x);
  // Away from zero adds one to the pattern.
  const away = isUnsigned(x.dtype)
    ? below
    : B.ne(B.select(below, 1, B.lit("i32", 0, x)), B.select(B.lt(x, zero), 1, B.lit("i32", 0, x)));
  const odd = B.add(i, B.select(away, 1, B.lit("i32", -1, x)));
  const exact = B.or(B.eq(back, x), B.ne(B.bitand(i, 1), 0));
  return B.bits("f32", B.select(exact, i, odd));
}

/** The pattern of a plain number, as `encode` without saturation makes it. */
export function encodeNumber(d: NarrowFloat, x: number): number {
  const a = floatBits(Math.abs(x));
  if (d === "f8e8m0") return Number.isNaN(x) ? 255 : Math.min(a <= 1 << 22 ? 0 : (a + 0x7fffff) >>> 23, 254);
  const f = formats[d];
  if (Number.isNaN(x)) return f.nan;
  const drop = 23 - f.mantissa;
  const big = ((a + (1 << (drop - 1)) - 1 + ((a >> drop) & 1)) >>> drop) - ((127 - f.bias) << f.mantissa);
  const magic = 2 ** (24 - f.bias - f.mantissa);
  const small = floatBits(Math.fround(Math.abs(x)) + magic) - floatBits(magic);
  const n = Math.min(
    a < (128 - f.bias) << 23 && d !== "bf16" ? small : big,
    f.inf ?? (d === "f4e2m1" ? f.finite : f.finite + 1),
  );
  const negative = x < 0 || Object.is(x, -0);
  return negative && !(f.unsignedZero && n === 0) ? n | (1 << (f.bits - 1)) : n;
}
const word = new DataView(new ArrayBuffer(4));
function floatBits(x: number): number {
  word.setFloat32(0, x);
  return word.getInt32(0);
}
