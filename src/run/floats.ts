// Floats of every width: the values of bit patterns, and bit patterns of modest values.
import { InternalError } from "../base/assert.ts";
import { type DType, type Tensor, typedView } from "../ir/types.ts";

/** Bits of exponent and mantissa, the exponent's bias, and what the largest exponent means: infinity and NaN, one NaN, or a number. */
type Layout = {
  readonly exponent: number;
  readonly mantissa: number;
  readonly bias: number;
  readonly top: "ieee" | "nan" | "number";
};
/** IEEE 754; the OCP 8-bit and microscaling formats 1.0; the fnuz types of ONNX, which keep a NaN in place of -0. */
const layouts: Readonly<Partial<Record<DType, Layout>>> = {
  f16: { exponent: 5, mantissa: 10, bias: 15, top: "ieee" },
  bf16: { exponent: 8, mantissa: 7, bias: 127, top: "ieee" },
  f8e5m2: { exponent: 5, mantissa: 2, bias: 15, top: "ieee" },
  f8e4m3fn: { exponent: 4, mantissa: 3, bias: 7, top: "nan" },
  f8e5m2fnuz: { exponent: 5, mantissa: 2, bias: 16, top: "number" },
  f8e4m3fnuz: { exponent: 4, mantissa: 3, bias: 8, top: "number" },
  f4e2m1: { exponent: 2, mantissa: 1, bias: 1, top: "number" },
};
function layoutOf(d: DType): Layout {
  const l = layouts[d];
  if (!l) throw new InternalError(`${d} is no narrow float`);
  return l;
}

/** The values of a tensor of floats: a view where the type is f32 or f64. */
export function floatsOf(t: Tensor): Float32Array | Float64Array {
  const cells = typedView(t.dtype, t.bytes);
  if (cells instanceof Float32Array || cells instanceof Float64Array) return cells;
  if (t.dtype === "f8e8m0") return Float64Array.from(cells as Uint8Array, (b) => (b === 255 ? NaN : 2 ** (b - 127)));
  const layout = layoutOf(t.dtype);
  const unsignedZero = t.dtype.endsWith("uz");
  return Float64Array.from(cells as Uint16Array, (bits) => decode(bits, layout, unsignedZero));
}

function decode(bits: number, l: Layout, unsignedZero: boolean): number {
  const signBit = 1 << (l.exponent + l.mantissa);
  if (unsignedZero && bits === signBit) return NaN;
  const sign = bits & signBit ? -1 : 1;
  const exponent = (bits >> l.mantissa) & ((1 << l.exponent) - 1);
  const mantissa = bits & ((1 << l.mantissa) - 1);
  if (exponent === (1 << l.exponent) - 1) {
    if (l.top === "ieee") return mantissa === 0 ? sign * Infinity : NaN;
    if (l.top === "nan" && mantissa === (1 << l.mantissa) - 1) return NaN;
  }
  if (exponent === 0) return sign * mantissa * 2 ** (1 - l.bias - l.mantissa);
  return sign * (1 + mantissa / (1 << l.mantissa)) * 2 ** (exponent - l.bias);
}

/** The bits of a number of magnitude 1/4 to 2, or for f4e2m1 up to 3, in a narrow type: `random` gives u32s. */
export function modestBits(d: DType, random: () => number): number {
  if (d === "f8e8m0") return 125 + (random() & 3);
  const l = layoutOf(d);
  const r = random();
  const sign = (r & 1) << (l.exponent + l.mantissa);
  const exponent = Math.max(1, l.bias - ((r >>> 1) % 3));
  const mantissa = (r >>> 3) & ((1 << l.mantissa) - 1);
  return sign | (exponent << l.mantissa) | mantissa;
}
