// Compares what a target computed with what is expected.
import { isFloat, type Tensor, typedView } from "../ir/types.ts";
import { floatsOf } from "./floats.ts";
import { numpyName, shapeText } from "./ports.ts";

/** Default of `verify`: one part in ten thousand of an output's largest magnitude, and a millionth. */
export const defaultTolerance: Tolerance = { rtol: 1e-4, atol: 1e-6, elementwise: false };
/**
 * Floats agree when |a - b| <= atol + rtol * max|b| over the expected output b, or with its own |b| for each element when
 * elementwise. NaN equals NaN and equal infinities are equal. Integers and bools must be the same.
 */
export type Tolerance = { readonly rtol: number; readonly atol: number; readonly elementwise: boolean };
export type Comparison = {
  readonly pass: boolean;
  /** Elements outside the tolerance; all of them when type or shape differ. */
  readonly mismatches: number;
  /** The largest difference; Infinity when a number and no number, or two different infinities, meet. */
  readonly maxAbs: number;
  /** maxAbs over the largest finite magnitude that is expected; 0 when nothing differs. */
  readonly maxRelToPeak: number;
  /** Why it does not pass. */
  readonly reason?: string;
};

export function compare(got: Tensor, want: Tensor, tolerance: Tolerance = defaultTolerance): Comparison {
  if (got.dtype !== want.dtype) return differ(got, `is ${numpyName(got.dtype)} instead of ${numpyName(want.dtype)}`);
  if (got.dims.join() !== want.dims.join())
    return differ(got, `has shape ${shapeText(got.dims)} instead of ${shapeText(want.dims)}`);
  return isFloat(got.dtype) ? compareFloats(got, want, tolerance) : compareIntegers(got, want);
}
function differ(got: Tensor, reason: string): Comparison {
  const mismatches = Math.max(
    1,
    got.dims.reduce((a, b) => a * b, 1),
  );
  return { pass: false, mismatches, maxAbs: Infinity, maxRelToPeak: Infinity, reason };
}

/** Counts mismatches and remembers the first. */
class Tally {
  maxAbs = 0;
  mismatches = 0;
  #first = "";
  add(difference: number, bad: boolean, i: number, got: unknown, want: unknown): void {
    this.maxAbs = Math.max(this.maxAbs, difference);
    if (bad && this.mismatches++ === 0) this.#first = `element ${i} is ${String(got)} instead of ${String(want)}`;
  }
  result(peak: number, count: number): Comparison {
    const { maxAbs, mismatches } = this;
    return {
      pass: mismatches === 0,
      mismatches,
      maxAbs,
      maxRelToPeak: maxAbs === 0 ? 0 : maxAbs / peak,
      ...(mismatches > 0 ? { reason: `${mismatches} of ${count} elements differ: ${this.#first}` } : {}),
    };
  }
}

function compareFloats(got: Tensor, want: Tensor, { rtol, atol, elementwise }: Tolerance): Comparison {
  const [a, b] = [floatsOf(got), floatsOf(want)];
  let peak = 0;
  for (const y of b) if (Number.isFinite(y)) peak = Math.max(peak, Math.abs(y));
  const tally = new Tally();
  for (let i = 0; i < b.length; i++) {
    const [x, y] = [a[i]!, b[i]!];
    if (x === y || (Number.isNaN(x) && Number.isNaN(y))) continue;
    const d = Math.abs(x - y);
    if (!Number.isFinite(x) || !Number.isFinite(y)) tally.add(Infinity, true, i, x, y);
    else tally.add(d, !(d <= atol + rtol * (elementwise ? Math.abs(y) : peak)), i, x, y);
  }
  return tally.result(peak, b.length);
}
function compareIntegers(got: Tensor, want: Tensor): Comparison {
  const [a, b] = [typedView(got.dtype, got.bytes), typedView(want.dtype, want.bytes)];
  let peak = 0;
  const tally = new Tally();
  for (let i = 0; i < b.length; i++) {
    const [x, y] = [a[i]!, b[i]!];
    peak = Math.max(peak, Math.abs(Number(y)));
    if (x === y) continue;
    const d = typeof x === "bigint" && typeof y === "bigint" ? Number(x - y) : Number(x) - Number(y);
    tally.add(Math.abs(d), true, i, x, y);
  }
  return tally.result(peak, b.length);
}
