// Compares tensors as a suite's tolerance asks.
import { InternalError } from "../../src/base/assert.ts";
import type { DType, Tensor } from "../../src/ir/types.ts";
import { isFloat, typedView } from "../../src/ir/types.ts";

/** |a - b| <= atol + rtol * |b|, with the largest |b| of the tensor in place of |b| unless elementwise. Integers are exact. */
export type Tolerance = { readonly rtol: number; readonly atol: number; readonly elementwise: boolean };
export type Comparison = {
  readonly ok: boolean;
  /** The largest difference; NaN counts as infinite where the other is no NaN. */
  readonly maxAbs: number;
  /** maxAbs over the largest finite magnitude expected; 0 when nothing differs. */
  readonly toPeak: number;
  /** What differs first, or why the two cannot be compared. */
  readonly reason: string;
};

/** How `got` differs from `want`. Equal infinities are equal, NaN equals NaN. */
export function compare(got: Tensor, want: Tensor, t: Tolerance): Comparison {
  const wrong = (reason: string): Comparison => ({ ok: false, maxAbs: Infinity, toPeak: Infinity, reason });
  if (got.dtype !== want.dtype) return wrong(`type ${got.dtype} instead of ${want.dtype}`);
  if (got.dims.join() !== want.dims.join())
    return wrong(`shape [${got.dims.join(", ")}] instead of [${want.dims.join(", ")}]`);
  const exact = !isFloat(want.dtype);
  const a = exact ? typedView(got.dtype, got.bytes) : floats(got);
  const b = exact ? typedView(want.dtype, want.bytes) : floats(want);
  if (a.length !== b.length) return wrong(`${a.length} elements instead of ${b.length}`);
  let peak = 0;
  for (const y of b) if (Number.isFinite(Number(y))) peak = Math.max(peak, Math.abs(Number(y)));
  let maxAbs = 0;
  let bad = 0;
  let first = "";
  for (let i = 0; i < b.length; i++) {
    const [x, y] = [a[i]!, b[i]!];
    if (x === y || (Number.isNaN(x) && Number.isNaN(y))) continue;
    const d = Math.abs(Number(x) - Number(y));
    const difference = Number.isNaN(d) ? Infinity : d;
    maxAbs = Math.max(maxAbs, difference);
    const bound = exact ? 0 : t.atol + t.rtol * (t.elementwise ? Math.abs(Number(y)) : peak);
    if (difference <= bound && Number.isFinite(difference)) continue;
    if (bad++ === 0) first = `[${i}] is ${x} instead of ${y}`;
  }
  const toPeak = maxAbs === 0 ? 0 : maxAbs / peak;
  return { ok: bad === 0, maxAbs, toPeak, reason: bad === 0 ? "" : `${bad} of ${b.length} elements differ; ${first}` };
}

/** The values of a tensor of floats of any width. */
export function floats(t: Tensor): ArrayLike<number> & Iterable<number> {
  if (t.dtype === "f32" || t.dtype === "f64") return typedView(t.dtype, t.bytes) as Float32Array | Float64Array;
  const decode = decoder(t.dtype);
  return Float64Array.from(typedView(t.dtype, t.bytes) as Uint8Array | Uint16Array, decode);
}

/** Bits of exponent and mantissa, the exponent's bias, and what the largest bit patterns mean. */
type Layout = { readonly e: number; readonly m: number; readonly bias: number; readonly top: "ieee" | "nan" | "none" };
const layouts: Readonly<Partial<Record<DType, Layout>>> = {
  f16: { e: 5, m: 10, bias: 15, top: "ieee" },
  bf16: { e: 8, m: 7, bias: 127, top: "ieee" },
  f8e5m2: { e: 5, m: 2, bias: 15, top: "ieee" },
  f8e4m3fn: { e: 4, m: 3, bias: 7, top: "nan" },
  f8e5m2fnuz: { e: 5, m: 2, bias: 16, top: "none" },
  f8e4m3fnuz: { e: 4, m: 3, bias: 8, top: "none" },
  f4e2m1: { e: 2, m: 1, bias: 1, top: "none" },
};

/** The value of a bit pattern. The formats: IEEE 754, and the OCP 8-bit and microscaling specifications, 1.0. */
function decoder(dtype: DType): (bits: number) => number {
  if (dtype === "f8e8m0") return (bits) => (bits === 255 ? NaN : 2 ** (bits - 127));
  const layout = layouts[dtype];
  if (!layout) throw new InternalError(`no float: ${dtype}`);
  const { e, m, bias, top } = layout;
  const signBit = 1 << (e + m);
  return (bits) => {
    // The unsigned-zero formats keep their one NaN where others have -0.
    if (dtype.endsWith("uz") && bits === signBit) return NaN;
    const sign = bits & signBit ? -1 : 1;
    const exponent = (bits >> m) & (2 ** e - 1);
    const mantissa = bits & (2 ** m - 1);
    if (exponent === 2 ** e - 1) {
      if (top === "ieee") return mantissa === 0 ? sign * Infinity : NaN;
      if (top === "nan" && mantissa === 2 ** m - 1) return NaN;
    }
    return sign * (exponent === 0 ? mantissa * 2 ** (1 - bias - m) : (1 + mantissa / 2 ** m) * 2 ** (exponent - bias));
  };
}
