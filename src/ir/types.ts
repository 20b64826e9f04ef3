// Element types and tensor types, shared by every IR. Shapes are logical, in ONNX order, at every IR.
import { assert } from "../base/assert.ts";
import type { Dim } from "./dim.ts";

/**
 * Sub-byte, fp8 and 16-bit float types are storage only: in memory an i4, u4, i2, u2 or f4 element is one byte, a load
 * decodes, a store encodes, arithmetic happens in a wider type (see loops.ts).
 */
export type DType =
  | "f64"
  | "f32"
  | "f16"
  | "bf16"
  | "f8e4m3fn"
  | "f8e4m3fnuz"
  | "f8e5m2"
  | "f8e5m2fnuz"
  | "f8e8m0"
  | "f4e2m1"
  | "i64"
  | "i32"
  | "i16"
  | "i8"
  | "i4"
  | "i2"
  | "u64"
  | "u32"
  | "u16"
  | "u8"
  | "u4"
  | "u2"
  | "bool";

export type TensorType = { readonly dtype: DType; readonly shape: readonly Dim[] };
/** elements: none yet, so that `of` says no more than their dtype; or of any rank, so that it says no more than that either. */
export interface SequenceType {
  readonly kind: "sequence";
  readonly of: ValueType;
  readonly elements?: "none" | "any";
}
export interface OptionalType {
  readonly kind: "optional";
  readonly of: ValueType;
  readonly elements?: "none" | "any";
}
export type ValueType = { readonly kind: "tensor"; readonly tensor: TensorType } | SequenceType | OptionalType;

/** A constant: dims are plain numbers; bytes are little-endian in `elementBytes` per element and start at a multiple of 8. */
export type Tensor = { readonly dtype: DType; readonly dims: readonly number[]; readonly bytes: Uint8Array };

const bytesOf: Readonly<Record<DType, number>> = {
  f64: 8,
  f32: 4,
  f16: 2,
  bf16: 2,
  f8e4m3fn: 1,
  f8e4m3fnuz: 1,
  f8e5m2: 1,
  f8e5m2fnuz: 1,
  f8e8m0: 1,
  f4e2m1: 1,
  i64: 8,
  i32: 4,
  i16: 2,
  i8: 1,
  i4: 1,
  i2: 1,
  u64: 8,
  u32: 4,
  u16: 2,
  u8: 1,
  u4: 1,
  u2: 1,
  bool: 1,
};
export const dtypes: readonly DType[] = Object.keys(bytesOf) as DType[];

/** Bytes of one element in memory (1 for sub-byte types). */
export function elementBytes(d: DType): number {
  return bytesOf[d];
}
export function isFloat(d: DType): boolean {
  return d.startsWith("f") || d === "bf16";
}
export function isInt(d: DType): boolean {
  return d.startsWith("i") || d.startsWith("u");
}
export function isUnsigned(d: DType): boolean {
  return d.startsWith("u") || d === "bool";
}
export function is64(d: DType): boolean {
  return d === "i64" || d === "u64";
}
/** Bits of an integer type. */
export function intBits(d: DType): number {
  return d === "bool" ? 1 : Number.parseInt(d.slice(1), 10);
}
/** The register type in which values of `d` are computed: f32, f64, i32, u32, i64, u64 or bool. */
export function widened(d: DType): DType {
  if (d === "f64" || d === "f32" || d === "bool" || is64(d) || d === "i32" || d === "u32") return d;
  return isFloat(d) ? "f32" : "i32";
}
/** The type of the memory cell that holds `d`: what a printer sees after `expand-storage`. */
export function cellType(d: DType): DType {
  switch (d) {
    case "f16":
    case "bf16":
      return "u16";
    case "f8e4m3fn":
    case "f8e4m3fnuz":
    case "f8e5m2":
    case "f8e5m2fnuz":
    case "f8e8m0":
    case "f4e2m1":
    case "u4":
    case "u2":
      return "u8";
    case "i4":
    case "i2":
      return "i8";
    default:
      return d;
  }
}

export function tensorType(dtype: DType, shape: readonly Dim[]): ValueType {
  return { kind: "tensor", tensor: { dtype, shape } };
}

type TypedArray =
  | Float64Array
  | Float32Array
  | BigInt64Array
  | BigUint64Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array;
/** A typed array over a tensor's bytes, by its cell type (f16 as Uint16Array and so on). */
export function typedView(dtype: DType, bytes: Uint8Array): TypedArray {
  const n = bytes.byteLength / elementBytes(dtype);
  const at = [bytes.buffer as ArrayBuffer, bytes.byteOffset, n] as const;
  switch (cellType(dtype)) {
    case "f64":
      return new Float64Array(...at);
    case "f32":
      return new Float32Array(...at);
    case "i64":
      return new BigInt64Array(...at);
    case "u64":
      return new BigUint64Array(...at);
    case "i32":
      return new Int32Array(...at);
    case "u32":
      return new Uint32Array(...at);
    case "i16":
      return new Int16Array(...at);
    case "u16":
      return new Uint16Array(...at);
    case "i8":
      return new Int8Array(...at);
    default:
      return new Uint8Array(...at);
  }
}
export function countOf(dims: readonly number[]): number {
  return dims.reduce((a, b) => a * b, 1);
}
/** A tensor from plain numbers (bit patterns for f16 and narrower floats). */
export function tensorOf(dtype: DType, dims: readonly number[], values: ArrayLike<number | bigint>): Tensor {
  const n = countOf(dims);
  assert(values.length === n, `tensorOf: ${values.length} values for ${n} elements`);
  const bytes = new Uint8Array(n * elementBytes(dtype));
  const view = typedView(dtype, bytes);
  for (let i = 0; i < n; i++) {
    if (view instanceof BigInt64Array || view instanceof BigUint64Array) view[i] = BigInt(values[i]!);
    else view[i] = Number(values[i]!);
  }
  return { dtype, dims, bytes };
}
