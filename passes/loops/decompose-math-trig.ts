// sin and cos: |x| less the nearest multiple of pi/2, in two numbers, then a polynomial of the rest.
import type { LoopExpr } from "../../src/ir/loops.ts";
import * as B from "./build.ts";
import { type Float, signBit } from "./decompose-math-float.ts";

/**
 * x = k pi/2 + h + l for x >= 0, |h| around pi/4 at most: Cody-Waite with as many parts as it takes for h + l to be right to twice the
 * format's bits, even next to a multiple, for k up to 2^16 (f32) or 2^20 (f64). With larger k the products are rounded: the result is that
 * of an argument an ulp or two away, with h kept within [-1, 1] so that the polynomials stay bounded. Where an ulp is 4, 0 is as good.
 */
function reduced(f: Float, x: LoopExpr): { readonly k: LoopExpr; readonly h: LoopExpr; readonly l: LoopExpr } {
  const { exact, split, last } = f.halfPi;
  const a = B.select(B.lt(x, 2 ** (f.mantissa + 2)), x, 0);
  const k = B.round(B.mul(a, 2 / Math.PI));
  // Products and differences without rounding: fused or not is all one.
  let h = exact.reduce((r: LoopExpr, p) => B.mulAdd(k, -p, r), a);
  let l: LoopExpr | null = null;
  // Dekker's fast two-sum: h is larger than what is added, or the sum has few enough bits to be exact.
  const include = (next: LoopExpr): void => {
    const sum = B.add(h, next);
    l = B.sub(next, B.sub(sum, h));
    h = sum;
  };
  for (const p of split) include(l === null ? B.neg(B.mul(k, p)) : B.mulAdd(k, -p, l));
  include(B.mulAdd(k, -last, l!));
  return { k: B.cast(f.int, k), h: B.min(B.max(h, -1), 1), l: l! };
}
function sinOf(f: Float, h: LoopExpr, l: LoopExpr, z: LoopExpr): LoopExpr {
  return B.add(h, B.mulAdd(B.mul(z, h), B.horner(z, f.sin), l));
}
function cosOf(f: Float, h: LoopExpr, l: LoopExpr, z: LoopExpr): LoopExpr {
  // 1 - z/2 rounded, and what that lost.
  const half = B.mul(z, 0.5);
  const w = B.sub(B.lit(f.dtype, 1, z), half);
  const lost = B.sub(B.sub(B.lit(f.dtype, 1, z), w), half);
  return B.add(w, B.add(lost, B.sub(B.mul(B.mul(z, z), B.horner(z, f.cos)), B.mul(h, l))));
}
function quadrant(f: Float, x: LoopExpr, turn: 0 | 1, sign: LoopExpr): LoopExpr {
  const a = B.abs(x);
  const { k, h, l } = reduced(f, a);
  const z = B.mul(h, h);
  const q = turn === 0 ? k : B.add(k, turn);
  const value = B.select(B.eq(B.bitand(q, 1), 0), sinOf(f, h, l, z), cosOf(f, h, l, z));
  const flip = B.shl(B.bitand(q, 2), f.bits - 2);
  const finite = B.bits(f.dtype, B.bitxor(B.bits(f.int, value), B.bitxor(flip, sign)));
  // Of infinity and NaN; written out, since WGSL may compute as if there were none.
  return B.select(B.lt(a, Number.POSITIVE_INFINITY), finite, Number.NaN);
}
export function sin(f: Float, x: LoopExpr): LoopExpr {
  return quadrant(f, x, 0, signBit(f, x));
}
export function cos(f: Float, x: LoopExpr): LoopExpr {
  return quadrant(f, x, 1, B.lit(f.int, 0, x));
}
