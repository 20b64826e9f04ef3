// f16, bf16, fp8 and fp4 as ONNX defines them, by search over all bit patterns: slow, and independent of any emitter.
import type { DType } from "../../src/ir/types.ts";

/** Exponent and mantissa bits, exponent bias, and which patterns are special. */
type Format = {
  readonly bits: number;
  readonly mantissa: number;
  readonly bias: number;
  readonly kind: "ieee" | "fn" | "fnuz" | "e8m0" | "finite";
};
const formats: Partial<Record<DType, Format>> = {
  f16: { bits: 16, mantissa: 10, bias: 15, kind: "ieee" },
  bf16: { bits: 16, mantissa: 7, bias: 127, kind: "ieee" },
  f8e4m3fn: { bits: 8, mantissa: 3, bias: 7, kind: "fn" },
  f8e4m3fnuz: { bits: 8, mantissa: 3, bias: 8, kind: "fnuz" },
  f8e5m2: { bits: 8, mantissa: 2, bias: 15, kind: "ieee" },
  f8e5m2fnuz: { bits: 8, mantissa: 2, bias: 16, kind: "fnuz" },
  f8e8m0: { bits: 8, mantissa: 0, bias: 127, kind: "e8m0" },
  f4e2m1: { bits: 4, mantissa: 1, bias: 1, kind: "finite" },
};
export function isNarrowFloat(t: DType): boolean {
  return t in formats;
}

export function decodeFloat(t: DType, pattern: number): number {
  const f = formats[t]!;
  if (f.kind === "e8m0") return pattern === 255 ? Number.NaN : 2 ** (pattern - 127);
  const sign = pattern >> (f.bits - 1) ? -1 : 1;
  const magnitude = pattern & ((1 << (f.bits - 1)) - 1);
  const exponent = magnitude >> f.mantissa;
  const fraction = magnitude & ((1 << f.mantissa) - 1);
  const top = (1 << (f.bits - 1 - f.mantissa)) - 1;
  if (f.kind === "ieee" && exponent === top) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (f.kind === "fn" && magnitude === (1 << (f.bits - 1)) - 1) return Number.NaN;
  if (f.kind === "fnuz" && sign < 0 && magnitude === 0) return Number.NaN;
  const scale = 2 ** -f.mantissa;
  return exponent === 0
    ? sign * fraction * scale * 2 ** (1 - f.bias)
    : sign * (1 + fraction * scale) * 2 ** (exponent - f.bias);
}

const tables = new Map<DType, Float64Array>();
/** Magnitudes of all finite positive patterns, ascending as the patterns are. */
function magnitudes(t: DType): Float64Array {
  const old = tables.get(t);
  if (old) return old;
  const f = formats[t]!;
  const all: number[] = [];
  for (let p = 0; p < 1 << (f.kind === "e8m0" ? 8 : f.bits - 1); p++) {
    const x = decodeFloat(t, p);
    if (!Number.isFinite(x)) break;
    all.push(x);
  }
  const table = Float64Array.from(all);
  tables.set(t, table);
  return table;
}

/** Nearest, ties to even, f8e8m0 upward; past the largest: what a cast saturates to, or (a store) infinity or NaN. */
export function encodeFloat(t: DType, x: number, saturate: boolean): number {
  const f = formats[t]!;
  const table = magnitudes(t);
  const signBit = 1 << (f.bits - 1);
  if (Number.isNaN(x)) {
    if (f.bits === 16) return (((1 << (f.bits - 1 - f.mantissa)) - 1) << f.mantissa) | (1 << (f.mantissa - 1));
    return t === "f8e5m2" ? 0x7e : f.kind === "fn" ? signBit - 1 : f.kind === "e8m0" ? 255 : signBit;
  }
  const negative = (x < 0 || Object.is(x, -0)) && f.kind !== "e8m0";
  const a = Math.abs(x);
  let lo = 0;
  let hi = table.length - 1;
  while (lo < hi) {
    const mid = (lo + hi + 1) >> 1;
    if (table[mid]! <= a) lo = mid;
    else hi = mid - 1;
  }
  const next = lo + 1 < table.length ? table[lo + 1]! : 2 * table[lo]! - table[lo - 1]!;
  const middle = (table[lo]! + next) / 2;
  const up = f.kind === "e8m0" ? a > table[lo]! : a > middle || (a === middle && lo % 2 === 1);
  let p = up ? lo + 1 : lo;
  if (p >= table.length) {
    if (f.kind === "ieee" && (f.bits === 16 || !saturate)) p = ((1 << (f.bits - 1 - f.mantissa)) - 1) << f.mantissa;
    else if (saturate || f.kind === "finite" || f.kind === "e8m0") p = table.length - 1;
    else return encodeFloat(t, Number.NaN, false);
  }
  if (f.kind === "fnuz" && p === 0) return 0;
  return negative ? p | signBit : p;
}
