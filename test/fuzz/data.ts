// Data of inputs and constants: modest numbers, or those at the edges of a type.

import {
  countOf,
  type DType,
  elementBytes,
  intBits,
  is64,
  isFloat,
  type Tensor,
  typedView,
} from "../../src/ir/types.ts";
import { modestBits } from "../../src/run/floats.ts";
import type { Random } from "../schedule/build.ts";

/** modest: near 1 or small. edge: zeros of both signs, infinities, NaN, denormals, the ends of an integer's range, among others. */
export type Style = "modest" | "edge";

const edges: readonly number[] = [
  0,
  -0,
  1,
  -1,
  0.5,
  -0.5,
  2,
  3,
  1e-3,
  -1e-3,
  1e-40,
  -1e-42,
  1e-38,
  3.4e38,
  -3.4e38,
  1e30,
  -1e10,
  16777217,
  2147483648,
  -2147483649,
  9.3e18,
  255.5,
  127.5,
  -128.5,
  1.5,
  2.5,
  Math.PI,
  -88,
  89,
  710,
  65504,
  65520,
  Infinity,
  -Infinity,
  NaN,
];

/** A tensor of random elements; `within` bounds them, inclusive. */
export function randomTensor(
  r: Random,
  dtype: DType,
  dims: readonly number[],
  style: Style,
  within?: readonly [number, number],
): Tensor {
  const n = countOf(dims);
  const bytes = new Uint8Array(n * elementBytes(dtype));
  const cells = typedView(dtype, bytes);
  const draw = within ? () => bounded(r, dtype, within) : drawOf(r, dtype, style);
  for (let i = 0; i < n; i++) cells[i] = (is64(dtype) ? BigInt(draw()) : Number(draw())) as never;
  return { dtype, dims, bytes };
}

const word = (r: Random): number => (r.below(1 << 16) * 65536 + r.below(1 << 16)) >>> 0;
function bounded(r: Random, dtype: DType, [lo, hi]: readonly [number, number]): number {
  if (dtype === "f32" || dtype === "f64") return lo + ((r.next() + 1) / 2) * (hi - lo);
  return lo + r.below(hi - lo + 1);
}
/** Elements, or the bits of those of narrow floats. */
function drawOf(r: Random, dtype: DType, style: Style): () => number | bigint {
  const modest = style === "modest";
  if (dtype === "f32" || dtype === "f64")
    return () => (modest || r.below(3) > 0 ? Math.fround(r.next() * (r.below(8) === 0 ? 4 : 1)) : r.pick(edges));
  if (dtype === "bool") return () => r.below(2);
  if (isFloat(dtype)) {
    const mask = 2 ** (8 * (dtype === "f4e2m1" ? 0.5 : elementBytes(dtype))) - 1;
    return () => (modest || r.below(3) > 0 ? modestBits(dtype, () => word(r)) : word(r) & mask);
  }
  const bits = intBits(dtype);
  const signed = !dtype.startsWith("u");
  const small = (): number =>
    Math.max(
      signed ? -(2 ** (bits - 1)) : 0,
      Math.min(r.below(13) - (signed ? 6 : 0), bits > 4 ? 100 : signed ? 2 ** (bits - 1) - 1 : 2 ** bits - 1),
    );
  if (modest) return small;
  const top = signed ? 2n ** BigInt(bits - 1) - 1n : 2n ** BigInt(bits) - 1n;
  const low = signed ? -top - 1n : 0n;
  return () => {
    switch (r.below(6)) {
      case 0:
        return top - BigInt(r.below(2));
      case 1:
        return low + BigInt(r.below(2));
      case 2:
        return signed
          ? BigInt.asIntN(bits, BigInt(word(r)) * 4294967297n)
          : BigInt.asUintN(bits, BigInt(word(r)) * 4294967297n);
      default:
        return small();
    }
  };
}
