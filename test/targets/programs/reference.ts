// What the scalar operations mean, written a second time and another way than in any printer: integers through unbounded
// BigInt arithmetic, wrapped at the end. Values are numbers, bigints for i64 and u64, 0 or 1 for bool.
import { InternalError } from "../../../src/base/assert.ts";
import type { BinaryOp, UnaryOp } from "../../../src/ir/expr.ts";
import type { DType } from "../../../src/ir/types.ts";
import { intBits, is64, isFloat, isUnsigned } from "../../../src/ir/types.ts";

export type Scalar = number | bigint;

const low = (t: DType): bigint => (isUnsigned(t) ? 0n : -(1n << BigInt(intBits(t) - 1)));
const high = (t: DType): bigint => (1n << BigInt(intBits(t) - (isUnsigned(t) ? 0 : 1))) - 1n;
const asScalar = (t: DType, x: bigint): Scalar => (is64(t) ? x : Number(x));

/** Any integer brought into the range of t, modulo 2^bits. */
export function wrap(t: DType, x: bigint): Scalar {
  const size = 1n << BigInt(intBits(t));
  const m = ((x % size) + size) % size;
  return asScalar(t, m > high(t) ? m - size : m);
}
function round(t: DType, x: number): number {
  return t === "f32" ? Math.fround(x) : x;
}
const yes = (b: boolean): number => (b ? 1 : 0);
function floorDiv(a: bigint, b: bigint): bigint {
  const q = a / b;
  return q * b !== a && a < 0n !== b < 0n ? q - 1n : q;
}
/** The nearest f32 to an integer, ties to even: of three candidates the one at the least distance. */
function nearestF32(x: bigint): number {
  const guess = Math.fround(Number(x));
  if (!Number.isFinite(guess) || BigInt(guess) === x) return guess;
  const f = new Float32Array([guess, 0, 0]);
  const bits = new Int32Array(f.buffer);
  bits[1] = bits[0]! + 1;
  bits[2] = bits[0]! - 1;
  const far = (i: number): bigint => (BigInt(f[i]!) > x ? BigInt(f[i]!) - x : x - BigInt(f[i]!));
  const order = [0, 1, 2].sort((i, j) =>
    far(i) === far(j) ? (bits[i]! & 1) - (bits[j]! & 1) : far(i) < far(j) ? -1 : 1,
  );
  return f[order[0]!]!;
}

export function refCast(to: DType, from: DType, x: Scalar): Scalar {
  if (to === from) return x;
  if (to === "bool") return yes(Number(x) !== 0);
  if (isFloat(to)) {
    if (isFloat(from)) return round(to, Number(x));
    return to === "f32" ? nearestF32(BigInt(x)) : Number(BigInt(x));
  }
  if (!isFloat(from)) return wrap(to, BigInt(x));
  const v = Number(x);
  if (Number.isNaN(v)) return asScalar(to, 0n);
  if (v <= Number(low(to))) return asScalar(to, low(to));
  if (v >= Number(high(to))) return asScalar(to, high(to));
  return asScalar(to, BigInt(Math.trunc(v)));
}

/** Ties to even, from the two neighbouring integers. */
function rint(x: number): number {
  if (!Number.isFinite(x) || Number.isInteger(x)) return x;
  const lower = Math.floor(x);
  const d = x - lower;
  const r = d < 0.5 ? lower : d > 0.5 ? lower + 1 : lower % 2 === 0 ? lower : lower + 1;
  return r === 0 && x < 0 ? -0 : r;
}

export function refUnary(op: UnaryOp, t: DType, a: Scalar): Scalar {
  if (isFloat(t)) {
    const x = Number(a);
    switch (op) {
      case "neg":
        return x * -1;
      case "abs":
        return x < 0 || Object.is(x, -0) ? 0 - x : x;
      case "sqrt":
        return round(t, Math.sqrt(x));
      case "floor":
        return Math.floor(x);
      case "ceil":
        return Math.ceil(x);
      case "round":
        return rint(x);
      case "trunc":
        return Math.trunc(x);
      case "recip":
        return round(t, 1 / x);
      case "isnan":
        return yes(Number.isNaN(x));
      case "exp":
        return round(t, Math.exp(x));
      case "log":
        return round(t, Math.log(x));
      case "sin":
        return round(t, Math.sin(x));
      case "cos":
        return round(t, Math.cos(x));
      case "tanh":
        return round(t, Math.tanh(x));
      default:
        throw new InternalError(`no reference for ${op} of ${t}`);
    }
  }
  const x = BigInt(a);
  switch (op) {
    case "neg":
      return wrap(t, 0n - x);
    case "abs":
      return wrap(t, x < 0n ? 0n - x : x);
    case "bitnot":
      return wrap(t, -1n - x);
    case "not":
      return yes(x === 0n);
    case "floor":
    case "ceil":
    case "round":
    case "trunc":
      return a;
    case "widen8":
      return wrap(t, (BigInt.asIntN(8, x) & 65535n) | (BigInt.asIntN(8, x >> 8n) << 16n));
    default:
      throw new InternalError(`no reference for ${op} of ${t}`);
  }
}

export function refBinary(op: BinaryOp, t: DType, a: Scalar, b: Scalar): Scalar {
  switch (op) {
    case "lt":
      return yes(a < b);
    case "le":
      return yes(a <= b);
    case "eq":
      return yes(a === b);
    case "ne":
      return yes(a !== b);
    case "min":
      return b < a ? b : a;
    case "max":
      return a < b ? b : a;
    case "and":
      return yes(a !== 0 && b !== 0);
    case "or":
      return yes(a !== 0 || b !== 0);
    case "xor":
      return yes((a !== 0) !== (b !== 0));
  }
  if (isFloat(t)) {
    const [x, y] = [Number(a), Number(b)];
    const nan = Number.isNaN(x) || Number.isNaN(y);
    switch (op) {
      case "add":
        return round(t, x + y);
      case "sub":
        return round(t, x - y);
      case "mul":
        return round(t, x * y);
      case "div":
        return round(t, x / y);
      case "nanmin":
        return nan ? Number.NaN : x < y ? x : y;
      case "nanmax":
        return nan ? Number.NaN : x > y ? x : y;
      case "pow":
        return round(t, x ** y);
      default:
        throw new InternalError(`no reference for ${op} of ${t}`);
    }
  }
  const [x, y] = [BigInt(a), BigInt(b)];
  const bits = BigInt(intBits(t));
  switch (op) {
    case "add":
      return wrap(t, x + y);
    case "sub":
      return wrap(t, x - y);
    case "mul":
      return wrap(t, x * y);
    case "truncdiv":
      return wrap(t, y === 0n ? 0n : x / y);
    case "truncmod":
      return wrap(t, y === 0n ? 0n : x % y);
    case "floordiv":
      return wrap(t, y === 0n ? 0n : floorDiv(x, y));
    case "floormod":
      return wrap(t, y === 0n ? 0n : x - floorDiv(x, y) * y);
    case "bitand":
      return wrap(t, x & y);
    case "bitor":
      return wrap(t, x | y);
    case "bitxor":
      return wrap(t, x ^ y);
    case "dot16": {
      const half = (v: bigint, k: bigint): bigint => BigInt.asIntN(16, v >> (16n * k));
      return wrap(t, half(x, 0n) * half(y, 0n) + half(x, 1n) * half(y, 1n));
    }
    case "shl":
      return wrap(t, y < 0n || y >= bits ? 0n : x << y);
    case "shr":
      return wrap(t, y < 0n || y >= bits ? (x < 0n ? -1n : 0n) : x >> y);
    default:
      throw new InternalError(`no reference for ${op} of ${t}`);
  }
}

/** a*b+c of f32 with one rounding, where the exact sum fits the 53 bits of a double. */
export const refFused = (a: number, b: number, c: number): number => Math.fround(a * b + c);
/** With two roundings. */
export const refSeparate = (a: number, b: number, c: number): number => Math.fround(Math.fround(a * b) + c);
