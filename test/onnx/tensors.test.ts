import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type DType, dtypes, tensorOf, typedView } from "../../src/ir/types.ts";
import { message, type TensorProto } from "../../src/onnx/schema.ts";
import { codeOfDtype, readTensor, readValuePb, writeTensor } from "../../src/onnx/tensors.ts";
import { encode } from "../../src/onnx/write.ts";
import { f32, i64, problemTexts } from "./helpers.ts";

const proto = (dtype: DType, dims: readonly number[], fields: Partial<TensorProto>): TensorProto =>
  message("TensorProto", { name: "t", dataType: codeOfDtype(dtype), dims, ...fields });
const valuesOf = (t: TensorProto): (number | bigint)[] => {
  const r = readTensor(t, null);
  expect(r.bytes.byteOffset % 8).toBe(0);
  return [...typedView(r.dtype, r.bytes)];
};

test("the numbers of ONNX's types", () => {
  const codes: Partial<Record<DType, number>> = {
    f32: 1,
    u8: 2,
    i8: 3,
    i64: 7,
    bool: 9,
    f16: 10,
    f64: 11,
    u64: 13,
    bf16: 16,
    f8e4m3fn: 17,
    f8e5m2fnuz: 20,
    u4: 21,
    i4: 22,
    f4e2m1: 23,
    f8e8m0: 24,
    u2: 25,
    i2: 26,
  };
  for (const [d, code] of Object.entries(codes)) expect(codeOfDtype(d as DType)).toBe(code);
  for (const d of dtypes) expect(codeOfDtype(d)).toBeGreaterThan(0);
});

test("data in typed fields", () => {
  const i32 = (...v: number[]): Partial<TensorProto> => ({ int32Data: Int32Array.from(v) });
  expect(valuesOf(proto("f32", [2], { floatData: Float32Array.of(1.5, -2) }))).toEqual([1.5, -2]);
  expect(valuesOf(proto("f64", [1], { doubleData: Float64Array.of(0.1) }))).toEqual([0.1]);
  expect(valuesOf(proto("i64", [], { int64Data: BigInt64Array.of(-(2n ** 63n)) }))).toEqual([-(2n ** 63n)]);
  expect(valuesOf(proto("u64", [1], { uint64Data: BigUint64Array.of(2n ** 64n - 1n) }))).toEqual([2n ** 64n - 1n]);
  expect(valuesOf(proto("u32", [1], { uint64Data: BigUint64Array.of(2n ** 32n - 1n) }))).toEqual([2 ** 32 - 1]);
  expect(valuesOf(proto("i32", [2], i32(-1, 7)))).toEqual([-1, 7]);
  expect(valuesOf(proto("i16", [2], i32(-1, 7)))).toEqual([-1, 7]);
  expect(valuesOf(proto("u16", [1], i32(65535)))).toEqual([65535]);
  expect(valuesOf(proto("i8", [2], i32(-128, 127)))).toEqual([-128, 127]);
  expect(valuesOf(proto("u8", [1], i32(255)))).toEqual([255]);
  expect(valuesOf(proto("bool", [3], i32(0, 1, 2)))).toEqual([0, 1, 1]);
  expect(valuesOf(proto("f16", [1], i32(0x3c00)))).toEqual([0x3c00]);
  expect(valuesOf(proto("bf16", [1], i32(0xbf80)))).toEqual([0xbf80]);
  expect(valuesOf(proto("f8e4m3fn", [1], i32(0xfe)))).toEqual([0xfe]);
  // Two int4, or four int2, in each element, the first in the low bits.
  expect(valuesOf(proto("i4", [3], i32(0x8f, 0x07)))).toEqual([-1, -8, 7]);
  expect(valuesOf(proto("u4", [3], i32(0x8f, 0x07)))).toEqual([15, 8, 7]);
  expect(valuesOf(proto("f4e2m1", [2], i32(0x8f)))).toEqual([15, 8]);
  expect(valuesOf(proto("i2", [5], i32(0b11_10_01_00, 0b10)))).toEqual([0, 1, -2, -1, -2]);
  expect(valuesOf(proto("u2", [4], i32(0b11_10_01_00)))).toEqual([0, 1, 2, 3]);
});

test("raw data, aligned or not", () => {
  const file = new Uint8Array(64);
  file.set([0, 0, 128, 63, 0, 0, 0, 64], 8);
  file.set([0, 0, 128, 63, 0, 0, 0, 64], 33);
  const t = readTensor(proto("f32", [2], { rawData: file.subarray(8, 16) }), null);
  expect(t.bytes.buffer).toBe(file.buffer);
  expect(valuesOf(proto("f32", [2], { rawData: file.subarray(8, 16) }))).toEqual([1, 2]);
  expect(valuesOf(proto("f32", [2], { rawData: file.subarray(33, 41) }))).toEqual([1, 2]);
  expect(valuesOf(proto("bool", [2], { rawData: Uint8Array.of(0, 3) }))).toEqual([0, 1]);
  expect(valuesOf(proto("f32", [0, 5], {}))).toEqual([]);
});

test("every type is read as it is written", () => {
  for (const dtype of dtypes) {
    const values =
      dtype === "i2"
        ? [-2, 1, 0, -1, 1]
        : dtype === "i4"
          ? [-8, 7, 0, -1, 3]
          : dtype === "bool"
            ? [1, 0, 1, 1, 0]
            : dtype === "u2"
              ? [3, 2, 1, 0, 3]
              : [0, 1, 2, 7, 5];
    const t = tensorOf(dtype, [5, 1], values);
    const back = readTensor(writeTensor(t, "n"), null);
    expect([back.dtype, back.dims, [...back.bytes]]).toEqual([dtype, [5, 1], [...t.bytes]]);
  }
  expect([...writeTensor(tensorOf("i4", [3], [-1, -8, 7])).rawData!]).toEqual([0x8f, 0x07]);
});

test("data that does not fit the shape is E104, other types E203", () => {
  const bad = (t: TensorProto): string[] => problemTexts(() => readTensor(t, null));
  const e104 = [expect.stringMatching(/^E104 tensor "t" /)];
  expect(bad(proto("f32", [3], { rawData: new Uint8Array(8) }))).toEqual(e104);
  expect(bad(proto("f32", [1], { rawData: new Uint8Array(8) }))).toEqual(e104);
  expect(bad(proto("f32", [2], { floatData: new Float32Array(1) }))).toEqual(e104);
  expect(bad(proto("i4", [5], { rawData: new Uint8Array(2) }))).toEqual(e104);
  expect(bad(proto("f32", [-1], {}))).toEqual(e104);
  expect(bad(proto("f32", [2 ** 40, 2 ** 40], {}))).toEqual(e104);
  expect(bad(proto("f32", [2 ** 52], { rawData: new Uint8Array(8) }))).toEqual(e104);
  expect(bad(proto("f32", [1], { int64Data: BigInt64Array.of(1n) }))).toEqual(e104);
  for (const [code, name] of [
    [8, "string"],
    [14, "complex64"],
    [15, "complex128"],
    [0, "undefined"],
    [99, "type 99"],
  ] as const) {
    expect(bad(proto("f32", [1], { dataType: code }))).toEqual([
      `E203 tensor "t" has elements of type ${name}, which is not supported`,
    ]);
  }
});

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "ingot-external-"));
  mkdirSync(join(folder, "model", "sub"), { recursive: true });
  writeFileSync(join(folder, "secret.bin"), new Uint8Array(8));
  writeFileSync(join(folder, "model", "data.bin"), Float32Array.of(1, 2, 3, 4));
  writeFileSync(join(folder, "model", "sub", "more.bin"), Float32Array.of(5, 6));
  symlinkSync("../secret.bin", join(folder, "model", "link.bin"));
  symlinkSync("data.bin", join(folder, "model", "alias.bin"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const external = (entries: Readonly<Record<string, string>>): TensorProto =>
  proto("f32", [2], { dataLocation: 1, externalData: Object.entries(entries).map(([key, value]) => ({ key, value })) });

test("external data is read by range, from the model's folder or below", () => {
  const read = (e: Readonly<Record<string, string>>): (number | bigint)[] => {
    const t = readTensor(external(e), join(folder, "model"));
    return [...typedView(t.dtype, t.bytes)];
  };
  expect(read({ location: "data.bin", offset: "4", length: "8" })).toEqual([2, 3]);
  expect(read({ location: "data.bin", offset: "8" })).toEqual([3, 4]);
  expect(read({ location: "./data.bin", checksum: "x" })).toEqual([1, 2]);
  expect(read({ location: "sub/more.bin" })).toEqual([5, 6]);
  expect(read({ location: "sub/../data.bin" })).toEqual([1, 2]);
  expect(read({ location: "alias.bin" })).toEqual([1, 2]);
});

test.each([
  [{ location: "../secret.bin" }, /outside/],
  [{ location: "sub/../../secret.bin" }, /outside/],
  [{ location: "..\\secret.bin" }, /outside/],
  [{ location: "/etc/hostname" }, /outside/],
  [{ location: "C:\\x" }, /outside/],
  [{ location: "link.bin" }, /outside/],
  [{ location: "missing.bin" }, /cannot be read \(ENOENT\)/],
  [{ location: "sub" }, /is no file/],
  [{ location: "" }, /no location/],
  [{}, /no location/],
  [{ location: "data.bin\0" }, /outside/],
  [{ location: "data.bin", offset: "12" }, /beyond the end/],
  [{ location: "data.bin", offset: "999999999999999" }, /beyond the end/],
  [{ location: "data.bin", offset: "-4" }, /no number/],
  [{ location: "data.bin", offset: "1e3" }, /no number/],
  [{ location: "data.bin", length: "4" }, /4 bytes of external data where 8 belong/],
] as const)("external data %o is E103", (entries, why) => {
  const [text] = problemTexts(() => readTensor(external(entries), join(folder, "model")));
  expect(text).toMatch(/^E103 tensor "t"/);
  expect(text).toMatch(why);
});

test("external data needs a folder, and a huge shape allocates nothing", () => {
  expect(problemTexts(() => readTensor(external({ location: "data.bin" }), null))).toEqual([
    expect.stringMatching(/^E103 .*not known/),
  ]);
  const huge = { ...external({ location: "data.bin" }), dims: [2 ** 49] };
  expect(problemTexts(() => readTensor(huge, join(folder, "model")))).toEqual([
    expect.stringMatching(/^E103 .*beyond the end/),
  ]);
});

test("test data: tensors, text, sequences, optionals, maps", () => {
  const t = writeTensor(f32([1], [2]));
  const sequence = message("SequenceProto", { elemType: 1, tensors: [t, t] });
  const tensor = { kind: "tensor", tensor: expect.objectContaining({ dtype: "f32", dims: [1] }) };
  expect(readValuePb(encode("TensorProto", t), "tensor")).toEqual(tensor);
  const text = message("TensorProto", { dataType: 8, dims: [2], stringData: [Buffer.from("a"), Buffer.from("ü")] });
  expect(readValuePb(encode("TensorProto", text), "tensor")).toEqual({ kind: "text", dims: [2], elements: ["a", "ü"] });
  expect(readValuePb(encode("SequenceProto", sequence), "sequence")).toEqual({
    kind: "sequence",
    elements: [tensor, tensor],
  });
  expect(readValuePb(encode("SequenceProto", message("SequenceProto", { elemType: 1 })), "sequence")).toEqual({
    kind: "sequence",
    elements: [],
  });
  expect(
    readValuePb(encode("OptionalProto", message("OptionalProto", { elemType: 1, tensor: t })), "optional"),
  ).toEqual({ kind: "optional", value: tensor });
  expect(readValuePb(encode("OptionalProto", message("OptionalProto", { elemType: 3, sequence })), "optional")).toEqual(
    { kind: "optional", value: { kind: "sequence", elements: [tensor, tensor] } },
  );
  expect(readValuePb(encode("OptionalProto", message("OptionalProto", {})), "optional")).toEqual({
    kind: "optional",
    value: null,
  });
  const map = message("MapProto", { keyType: 7, keys: BigInt64Array.of(3n, -1n), values: sequence });
  expect(readValuePb(encode("MapProto", map), "map")).toEqual({
    kind: "map",
    keys: [3n, -1n],
    values: [tensor, tensor],
  });
  const named = message("MapProto", {
    keyType: 8,
    stringKeys: [Buffer.from("k")],
    values: message("SequenceProto", { tensors: [writeTensor(i64(1))] }),
  });
  expect(readValuePb(encode("MapProto", named), "map")).toMatchObject({ keys: ["k"] });
  expect(problemTexts(() => readValuePb(encode("MapProto", { ...map, values: null }), "map"))).toEqual([
    expect.stringMatching(/^E104/),
  ]);
});
