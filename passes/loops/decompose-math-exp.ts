// exp and what is made of it: tanh and erf go through e^x - 1, which keeps small results exact to the last places.
import type { LoopExpr } from "../../src/ir/loops.ts";
import * as B from "./build.ts";
import { type Float, pow2, scale, signBit, withSign } from "./decompose-math-float.ts";

/** x = k ln 2 + r by a two-part Cody-Waite reduction, and e^r - 1. */
function reduced(f: Float, x: LoopExpr): { readonly k: LoopExpr; readonly em1: LoopExpr } {
  const [k, whole] = nearest(f, B.mul(x, Math.LOG2E));
  const r = B.mulAdd(k, -f.ln2[1], B.mulAdd(k, -f.ln2[0], x));
  const em1 = B.mulAdd(B.horner(r, f.exp), B.mul(r, r), r);
  return { k: whole, em1 };
}
/** The nearest integer of a small number, as a float and as an integer of which only the low bits count: a saturating cast is dear. */
function nearest(f: Float, x: LoopExpr): readonly [LoopExpr, LoopExpr] {
  if (!f.exactSums) {
    const k = B.round(x);
    return [k, B.cast(f.int, k)];
  }
  const shifted = B.add(x, f.magic);
  return [B.sub(shifted, f.magic), B.bits(f.int, shifted)];
}
export function exp(f: Float, x: LoopExpr): LoopExpr {
  const [low, high] = f.expRange;
  const { k, em1 } = reduced(f, B.min(B.max(x, low), high));
  return scale(f, B.add(em1, 1), k);
}
/** e^x - 1, for x whose 2^k is a normal number. */
function expm1(f: Float, x: LoopExpr): LoopExpr {
  const { k, em1 } = reduced(f, x);
  const p = pow2(f, k);
  return B.mulAdd(p, em1, B.sub(p, 1));
}
/** (e^2a - 1) / (e^2a + 1) for a = |x|; with -2a where that reduces to k = 0 too, since 2 is then added to a number below 0, exacter. */
export function tanh(f: Float, x: LoopExpr): LoopExpr {
  const a = B.min(B.abs(x), f.tanhOne);
  const e = expm1(f, B.mul(a, B.select(B.lt(a, 0.1732), B.lit(f.dtype, -2, x), 2)));
  return withSign(f, B.abs(B.div(e, B.add(e, 2))), signBit(f, x));
}
/** See `Erf`. In halves, 1 - 1/h^8 is exact to the last places where it is not small; h grows, so that infinity gives 1. */
export function erf(f: Float, x: LoopExpr): LoopExpr {
  const { erf } = f;
  if (erf.kind === "exp") {
    const a = B.min(B.abs(x), erf.one);
    const g = B.mulAdd(B.horner(a, erf.g), a, a);
    return withSign(f, B.sub(B.lit(f.dtype, 0, x), expm1(f, B.neg(g))), signBit(f, x));
  }
  const sign = signBit(f, x);
  const a = B.bits(f.dtype, B.bitxor(B.bits(f.int, x), sign));
  const small = B.mulAdd(B.horner(B.mul(x, x), erf.small), x, x);
  const large = B.sub(B.lit(f.dtype, 1, x), power8(f, a, erf.large));
  return B.select(B.lt(a, erf.bound), small, withSign(f, large, sign));
}
/** 1 / h^8 */
function power8(f: Float, a: LoopExpr, h: readonly number[]): LoopExpr {
  const square = (y: LoopExpr): LoopExpr => B.mul(y, y);
  return B.div(B.lit(f.dtype, 1, a), square(square(square(B.horner(a, h)))));
}
/** 1 + erf x, or null where erf is made in another way. Exacter than the sum where that is small. */
export function onePlusErf(f: Float, x: LoopExpr): LoopExpr | null {
  if (f.erf.kind !== "halves") return null;
  const a = B.abs(x);
  const rest = power8(f, a, f.erf.tail);
  return B.select(B.lt(x, 0), rest, B.sub(B.lit(f.dtype, 2, x), rest));
}
