// log and pow. Both write x = m * 2^k with m around 1 and log m = 2 atanh(s), s = (m - 1) / (m + 1), as Sun's fdlibm does.
import type { LoopExpr } from "../../src/ir/loops.ts";
import * as B from "./build.ts";
import { type Float, head, scale, signBit, split, withSign } from "./decompose-math-float.ts";

/**
 * log(m) = f - (f^2/2 - s (f^2/2 + R(s^2))) with f = m - 1: the large terms are exact (fdlibm's e_log.c). x < 0 gives NaN, 0 gives -inf.
 */
export function log(f: Float, x: LoopExpr): LoopExpr {
  const { m, k } = split(f, x);
  const e = B.cast(f.dtype, k);
  const y = B.sub(m, 1);
  const s = B.div(y, B.add(y, 2));
  const z = B.mul(s, s);
  const half = B.mul(B.mul(y, 0.5), y);
  const tail = B.mulAdd(s, B.mulAdd(B.horner(z, f.log), z, half), B.mul(e, f.ln2[1]));
  const finite = B.mulAdd(e, f.ln2[0], B.sub(y, B.sub(half, tail)));
  const positive = B.select(B.lt(x, Number.POSITIVE_INFINITY), finite, x);
  return B.select(B.eq(x, 0), Number.NEGATIVE_INFINITY, B.select(B.lt(x, 0), Number.NaN, positive));
}

/**
 * x^y as 2^(y log2 |x|): log2 in a head and a tail, the product in a head and a tail, the power of the head corrected by the tail (after
 * fdlibm's e_pow.c, without its table). The cases of IEEE 754's pow.
 */
export function pow(f: Float, x: LoopExpr, y: LoopExpr): LoopExpr {
  const easy = constantPower(y);
  if (easy !== null) return easy(x);
  const ax = B.abs(x);
  // Past 2^40 the product is out of range for any |x| but 1, whose log is 0: an infinite y needs no case of its own.
  const bound = 2 ** 40 * 2 ** (f.mantissa - 23);
  const by = B.min(B.max(y, -bound), bound);
  const log = log2(f, ax);
  const yHead = head(f, by);
  const tail = B.mulAdd(B.sub(by, yHead), log.head, B.mul(by, log.tail));
  const limit = f.powRange;
  const magnitude = exp2(f, B.min(B.max(B.mul(yHead, log.head), -limit), limit), B.min(B.max(tail, -1), 1));

  const integer = B.eq(B.floor(y), y);
  const halfY = B.mul(y, 0.5);
  const odd = B.and(integer, B.ne(B.floor(halfY), halfY));
  const negativeY = B.lt(y, 0);
  const zero = B.eq(ax, 0);
  const infinite = B.eq(ax, Number.POSITIVE_INFINITY);
  const edge = B.select(
    B.eq(B.select(zero, 1, B.lit("i32", 0, x)), B.select(negativeY, 1, B.lit("i32", 0, y))),
    B.lit(f.dtype, Number.POSITIVE_INFINITY, x),
    0,
  );
  const unsigned = B.select(B.or(zero, infinite), edge, magnitude);
  const sign = signBit(f, x);
  const signed = withSign(f, unsigned, B.select(odd, sign, B.bitand(sign, 0)));
  // Between -inf and 0 a power that is no integer is no number.
  const undefined_ = B.and(B.not(integer), B.and(B.lt(x, 0), B.not(infinite)));
  const nan = B.or(undefined_, B.or(B.isnan(x), B.isnan(y)));
  return B.select(B.or(B.eq(y, 0), B.eq(x, 1)), B.lit(f.dtype, 1, x), B.select(nan, Number.NaN, signed));
}

/** log2 of x > 0 and finite as a head, of half the mantissa's bits, and a tail. */
function log2(f: Float, x: LoopExpr): { readonly head: LoopExpr; readonly tail: LoopExpr } {
  const { m, k } = split(f, x);
  const e = B.cast(f.dtype, k);
  const u = B.sub(m, 1);
  const d = B.add(m, 1);
  const inverse = B.div(B.lit(f.dtype, 1, d), d);
  // s in a head and a tail: the rest of the division by the exact m + 1.
  const s = B.mul(u, inverse);
  const sHead = head(f, s);
  const dHead = head(f, d);
  const dTail = B.sub(m, B.sub(dHead, 1));
  const sTail = B.mul(inverse, B.sub(B.sub(u, B.mul(sHead, dHead)), B.mul(sHead, dTail)));
  // 3/2 log m = s (3 + s^2 + r), in a head and a tail.
  const z = B.mul(s, s);
  const r = B.mulAdd(B.mul(z, z), B.horner(z, f.powLog), B.mul(sTail, B.add(sHead, s)));
  const z2 = B.mul(sHead, sHead);
  const t = head(f, B.add(B.add(z2, 3), r));
  const tTail = B.sub(r, B.sub(B.sub(t, 3), z2));
  const p = B.mul(sHead, t);
  const q = B.mulAdd(sTail, t, B.mul(tTail, s));
  const pHead = head(f, B.add(p, q));
  const pTail = B.sub(q, B.sub(pHead, p));
  // Times 2 / (3 ln 2), plus the exponent.
  const [cpHead, cpTail] = f.cp;
  const high = B.mul(pHead, cpHead);
  const low = B.mulAdd(pHead, cpTail, B.mul(pTail, cpHead + cpTail));
  const sum = head(f, B.add(B.add(high, low), e));
  return { head: sum, tail: B.sub(low, B.sub(B.sub(sum, e), high)) };
}
/** 2^(a + b) where b is small against a; |a| at most f.powRange. */
function exp2(f: Float, a: LoopExpr, b: LoopExpr): LoopExpr {
  const k = B.round(B.add(a, b));
  const rest = B.sub(a, k);
  const t = head(f, B.add(b, rest));
  const u = B.mul(t, f.ln2Head[0]);
  const v = B.mulAdd(B.sub(b, B.sub(t, rest)), Math.LN2, B.mul(t, f.ln2Head[1]));
  const z = B.add(u, v);
  const lost = B.sub(v, B.sub(z, u));
  const y = B.add(B.add(B.mulAdd(B.horner(z, f.exp), B.mul(z, z), lost), z), 1);
  return scale(f, y, B.cast(f.int, k));
}

/** A few products that are within an ulp and a half, or null. */
function constantPower(y: LoopExpr): ((x: LoopExpr) => LoopExpr) | null {
  const c = y.kind === "splat" ? y.x : y;
  if (c.kind !== "const") return null;
  switch (Number(c.value)) {
    case 0:
      return (x) => B.lit(x.dtype, 1, x);
    case 1:
      return (x) => x;
    case 2:
      return (x) => B.mul(x, x);
    case 3:
      return (x) => B.mul(B.mul(x, x), x);
    case 4:
      return (x) => B.mul(B.mul(x, x), B.mul(x, x));
    case -1:
      return (x) => B.div(B.lit(x.dtype, 1, x), x);
    // pow(-0, 0.5) is +0 and pow(-inf, 0.5) is inf.
    case 0.5:
      return (x) => B.select(B.eq(x, Number.NEGATIVE_INFINITY), Number.POSITIVE_INFINITY, B.sqrt(B.add(x, 0)));
    default:
      return null;
  }
}
