// TensorProto to Tensor and back. A tensor's sizes are checked against its data before they are believed.
import { aligned, fromUtf8 } from "../base/bytes.ts";
import { userError } from "../base/diagnostics.ts";
import { type DType, elementBytes, type Tensor } from "../ir/types.ts";
import { readExternal } from "./external.ts";
import { decode } from "./proto.ts";
import { type MapProto, message, type OptionalProto, type SequenceProto, type TensorProto } from "./schema.ts";

/** TensorProto.DataType by number; null: types that Ingot does not have. */
const dataTypes: readonly (readonly [name: string, dtype: DType | null])[] = [
  ["undefined", null],
  ["float", "f32"],
  ["uint8", "u8"],
  ["int8", "i8"],
  ["uint16", "u16"],
  ["int16", "i16"],
  ["int32", "i32"],
  ["int64", "i64"],
  ["string", null],
  ["bool", "bool"],
  ["float16", "f16"],
  ["double", "f64"],
  ["uint32", "u32"],
  ["uint64", "u64"],
  ["complex64", null],
  ["complex128", null],
  ["bfloat16", "bf16"],
  ["float8e4m3fn", "f8e4m3fn"],
  ["float8e4m3fnuz", "f8e4m3fnuz"],
  ["float8e5m2", "f8e5m2"],
  ["float8e5m2fnuz", "f8e5m2fnuz"],
  ["uint4", "u4"],
  ["int4", "i4"],
  ["float4e2m1", "f4e2m1"],
  ["float8e8m0", "f8e8m0"],
  ["uint2", "u2"],
  ["int2", "i2"],
];
export const stringType = 8;
/** The DType of a TensorProto.DataType, or null. */
export function dtypeOfCode(code: number | null): DType | null {
  return dataTypes[code ?? 0]?.[1] ?? null;
}
/** ONNX's own name of a TensorProto.DataType. */
export function nameOfCode(code: number | null): string {
  return dataTypes[code ?? 0]?.[0] ?? `type ${code}`;
}
export function codeOfDtype(d: DType): number {
  return dataTypes.findIndex(([, x]) => x === d);
}

/** Bits of an element in ONNX's files, where types under 8 bits are packed. */
function packedBits(d: DType): number {
  return d === "i4" || d === "u4" || d === "f4e2m1" ? 4 : d === "i2" || d === "u2" ? 2 : 8 * elementBytes(d);
}

/**
 * The constant that `t` holds; `directory` is where external data lies (null: nowhere). The bytes may be a view of the file's.
 * Throws UserErrors E203 (types that Ingot does not have), E104 (data that does not fit the shape), E103 (external data).
 */
export function readTensor(t: TensorProto, directory: string | null): Tensor {
  const what = t.name === "" ? "a tensor" : `tensor "${t.name}"`;
  const dtype = dtypeOfCode(t.dataType);
  if (dtype === null)
    throw userError("E203", `${what} has elements of type ${nameOfCode(t.dataType)}, which is not supported`);
  const count = countChecked(t.dims, what);
  return { dtype, dims: t.dims, bytes: unpack(storedBytes(t, dtype, count, what, directory), dtype, count) };
}

function countChecked(dims: readonly number[], what: string): number {
  let count = 1;
  for (const d of dims) {
    if (!Number.isSafeInteger(d) || d < 0) throw userError("E104", `${what} has the dim ${d}`);
    count *= d;
  }
  if (!Number.isSafeInteger(count * 8))
    throw userError("E104", `${what} has the impossible shape [${dims.join(", ")}]`);
  return count;
}

/** The elements as raw_data stores them: little-endian, narrow types packed. */
function storedBytes(t: TensorProto, dtype: DType, count: number, what: string, directory: string | null): Uint8Array {
  const size = Math.ceil((count * packedBits(dtype)) / 8);
  const fits = (has: number, unit: string): void => {
    if (has !== size)
      throw userError("E104", `${what} of shape [${t.dims.join(", ")}] holds ${has} ${unit} where ${size} belong`);
  };
  if (t.dataLocation === 1) return readExternal(t.externalData, size, what, directory);
  if (t.rawData !== null) {
    fits(t.rawData.length, "bytes");
    return t.rawData;
  }
  switch (dtype) {
    case "f32":
      return wide(t.floatData);
    case "f64":
      return wide(t.doubleData);
    case "i64":
      return wide(t.int64Data);
    case "u64":
      return wide(t.uint64Data);
    case "u32":
      return narrow(t.uint64Data, new Uint32Array(t.uint64Data.length));
    case "i32":
      return wide(t.int32Data);
    case "i16":
    case "u16":
    case "f16":
    case "bf16":
      return narrow(t.int32Data, new Uint16Array(t.int32Data.length));
    default:
      return narrow(t.int32Data, new Uint8Array(t.int32Data.length));
  }
  function wide(data: Float32Array | Float64Array | Int32Array | BigInt64Array | BigUint64Array): Uint8Array {
    fits(data.byteLength, "bytes");
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  }
  /** Elements stored in wider fields; a typed array keeps the low bits. */
  function narrow(data: Int32Array | BigUint64Array, into: Uint8Array | Uint16Array | Uint32Array): Uint8Array {
    fits(into.byteLength, "bytes");
    for (let i = 0; i < data.length; i++) into[i] = Number(data[i]);
    return new Uint8Array(into.buffer);
  }
}

/** From ONNX's packing to one byte or more per element, at a multiple of 8. int4 and int2 are sign-extended; bools become 0 or 1. */
function unpack(stored: Uint8Array, dtype: DType, count: number): Uint8Array {
  const bits = packedBits(dtype);
  if (bits >= 8) {
    if (dtype === "bool" && stored.some((b) => b > 1)) return stored.map((b) => (b === 0 ? 0 : 1));
    return aligned(stored, 8);
  }
  const out = new Uint8Array(count);
  const per = 8 / bits;
  const unused = 32 - bits;
  const signed = dtype === "i4" || dtype === "i2";
  for (let i = 0; i < count; i++) {
    const high = (stored[Math.floor(i / per)]! >> (bits * (i % per))) << unused;
    out[i] = signed ? high >> unused : high >>> unused;
  }
  return out;
}

/** A TensorProto with the elements in raw_data. */
export function writeTensor(t: Tensor, name = ""): TensorProto {
  const bits = packedBits(t.dtype);
  let rawData = t.bytes;
  if (bits < 8) {
    const per = 8 / bits;
    rawData = new Uint8Array(Math.ceil(t.bytes.length / per));
    for (let i = 0; i < t.bytes.length; i++)
      rawData[Math.floor(i / per)]! |= (t.bytes[i]! & (2 ** bits - 1)) << (bits * (i % per));
  }
  return message("TensorProto", { name, dims: t.dims, dataType: codeOfDtype(t.dtype), rawData });
}

/** A value of ONNX's test data. text: a tensor of strings. A map's values are tensors or a sequence, in the order of its keys. */
export type OnnxValue =
  | { readonly kind: "tensor"; readonly tensor: Tensor }
  | { readonly kind: "text"; readonly dims: readonly number[]; readonly elements: readonly string[] }
  | { readonly kind: "sequence"; readonly elements: readonly OnnxValue[] }
  | { readonly kind: "optional"; readonly value: OnnxValue | null }
  | { readonly kind: "map"; readonly keys: readonly (bigint | string)[]; readonly values: readonly OnnxValue[] };

/**
 * The value in one of ONNX's test data files (`input_0.pb`), which do not say themselves what they hold. Throws UserErrors as
 * readTensor does, and E102.
 */
export function readValuePb(bytes: Uint8Array, kind: "tensor" | "sequence" | "optional" | "map"): OnnxValue {
  switch (kind) {
    case "tensor":
      return tensorValue(decode("TensorProto", bytes));
    case "sequence":
      return sequenceValue(decode("SequenceProto", bytes));
    case "optional":
      return optionalValue(decode("OptionalProto", bytes));
    case "map":
      return mapValue(decode("MapProto", bytes));
  }
}
function tensorValue(t: TensorProto): OnnxValue {
  if (t.dataType !== stringType) return { kind: "tensor", tensor: readTensor(t, null) };
  const elements = t.stringData.map(fromUtf8);
  const count = countChecked(t.dims, "a tensor of strings");
  if (elements.length !== count) throw userError("E104", `${elements.length} strings for shape [${t.dims.join(", ")}]`);
  return { kind: "text", dims: t.dims, elements };
}
/** At most one of the fields is filled, so elem_type adds nothing. */
function sequenceValue(s: SequenceProto): OnnxValue {
  const elements = [
    ...s.tensors.map(tensorValue),
    ...s.sequences.map(sequenceValue),
    ...s.maps.map(mapValue),
    ...s.optionals.map(optionalValue),
  ];
  return { kind: "sequence", elements };
}
function optionalValue(o: OptionalProto): OnnxValue {
  const value = o.tensor
    ? tensorValue(o.tensor)
    : o.sequence
      ? sequenceValue(o.sequence)
      : o.map
        ? mapValue(o.map)
        : o.optional
          ? optionalValue(o.optional)
          : null;
  return { kind: "optional", value };
}
function mapValue(m: MapProto): OnnxValue {
  const keys = m.keys.length > 0 ? [...m.keys] : m.stringKeys.map(fromUtf8);
  const values = m.values ? sequenceValue(m.values) : null;
  const elements = values?.kind === "sequence" ? values.elements : [];
  if (elements.length !== keys.length)
    throw userError("E104", `a map of ${keys.length} keys and ${elements.length} values`);
  return { kind: "map", keys, values: elements };
}
