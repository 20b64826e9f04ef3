// The register tile of contractions: how many rows (of M) and columns (of N) one micro-kernel computes. Storage packs operands in
// panels of the same width, so both read it here.
import * as D from "../../src/ir/dim.ts";
import type { TargetInfo } from "../../src/ir/target.ts";
import type { Axis } from "../../src/ir/te.ts";
import type { Contraction } from "../te/contraction.ts";

export type Tile = { readonly m: number; readonly n: number };

const extent = (axes: readonly Axis[]): number | null =>
  axes.reduce<number | null>((p, a) => (p === null || a.extent.kind !== "int" ? null : p * a.extent.value), 1);

/**
 * Accumulators are vectors of `lanes`; the panel's two, one splat and a temporary need registers too. Measured on x86: with V8 (12
 * registers to count on) 4x8 floats reach the peak, 10 or more accumulators spill; C reaches it with 6x16 by AVX2 (4x16: two thirds) and
 * 8x32 by AVX-512 (14x32: no more).
 */
export function tileOf(c: Contraction, target: TargetInfo): Tile {
  const lanes = Math.max(1, target.vectorBytes / 4);
  const n = extent(c.n);
  const m = extent(c.m);
  const accumulators = Math.min(16, target.registers - 4);
  // One row only: all goes along N, which streams the panel in long runs. A compiler loads a whole step of it first, so that each
  // accumulator takes two registers (V8: one accumulator of 8 in memory costs a third). Powers of two, so that panels are whole tiles of
  // every variant of the target.
  if (m === 1) {
    const most = 2 ** Math.floor(Math.log2(target.registers / 2));
    return { m: 1, n: pick(n, [most * lanes, 4 * lanes, 2 * lanes, lanes]) };
  }
  if (n !== null && n <= lanes) return { m: Math.min(8, accumulators), n: Math.max(1, n) };
  const width = 2 * lanes;
  return { m: accumulators / 2, n: n !== null && n < width ? n : width };
}
/** The widest that fits the extent. */
function pick(n: number | null, widths: readonly number[]): number {
  if (n === null) return widths[widths.length - 1]!;
  return widths.find((w) => n >= w) ?? Math.max(1, n);
}
/** The single axis along which a contraction is vectorised: the largest of N. */
export function vectorAxis(c: Contraction): Axis | null {
  return [...c.n].sort((a, b) => (D.known(b.extent) ?? 64) - (D.known(a.extent) ?? 64))[0] ?? null;
}
