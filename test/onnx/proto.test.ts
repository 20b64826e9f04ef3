import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { modelBytes, modelProto } from "../../src/onnx/export.ts";
import { decode, readModel } from "../../src/onnx/proto.ts";
import { message } from "../../src/onnx/schema.ts";
import { encode, writeModel } from "../../src/onnx/write.ts";
import { f32, problemTexts } from "./helpers.ts";

const digits = readFileSync("examples/digits/digits.onnx");
const bytes = (...b: number[]): Uint8Array => Uint8Array.from(b);

test("reads a model of another writer, and what it writes itself", () => {
  const m = readModel(digits);
  expect(m.opsetImport.map((o) => [o.domain, o.version])).toEqual([["", 17]]);
  expect(m.graph!.node.map((n) => n.opType)).toContain("Gemm");
  expect(readModel(writeModel(m))).toEqual(m);
});

test("every field survives being written and read", () => {
  const tensor = message("TensorProto", {
    name: "t",
    dims: [2, 3],
    dataType: 7,
    floatData: Float32Array.of(1.5, -0),
    int32Data: Int32Array.of(-1, 2 ** 31 - 1, -(2 ** 31), 300),
    int64Data: BigInt64Array.of(-1n, 2n ** 63n - 1n, -(2n ** 63n), 1n << 35n),
    uint64Data: BigUint64Array.of(2n ** 64n - 1n, 0n),
    doubleData: Float64Array.of(1e300),
    stringData: [bytes(0, 255), bytes()],
    rawData: bytes(1, 2, 3),
    externalData: [{ key: "location", value: "ü" }],
    dataLocation: 1,
  });
  expect(decode("TensorProto", encode("TensorProto", tensor))).toEqual(tensor);
  const model = modelProto({
    inputs: { x: ["f32", ["N", 3, null]], s: { sequence: ["i64", null] }, o: { optional: ["u8", []] } },
    outputs: ["y"],
    nodes: [
      {
        op: "Custom",
        domain: "my",
        inputs: ["x", "", "s"],
        outputs: ["y"],
        attrs: {
          int: -(2n ** 63n),
          float: 1.5,
          whole: { float: 2 },
          text: "ä",
          tensor: f32([1], [1]),
          ints: [1, -2],
          floats: { floats: [1, 2] },
          strings: ["a", ""],
          body: { graph: { outputs: [], nodes: [], inputs: { i: ["bool", []] } } },
          type: { type: ["f16", [1]] },
          ref: { ref: "outer" },
        },
      },
    ],
    functions: [
      { domain: "my", name: "F", inputs: ["a"], outputs: ["b"], attributes: ["p"], defaults: { q: 1 }, nodes: [] },
    ],
  });
  expect(readModel(writeModel(model))).toEqual(model);
});

test("packed and single numbers mix, wherever they stand", () => {
  // dims: 2 single, then 3 and 4 packed, then 5 single.
  const t = decode("TensorProto", bytes(0x08, 2, 0x0a, 2, 3, 4, 0x08, 5));
  expect(t.dims).toEqual([2, 3, 4, 5]);
  // int64_data: -1 single, 1 and 300 packed, 7 single.
  const minusOne = [255, 255, 255, 255, 255, 255, 255, 255, 255, 1];
  const u = decode("TensorProto", bytes(0x38, ...minusOne, 0x3a, 3, 1, 0xac, 2, 0x38, 7));
  expect([...u.int64Data]).toEqual([-1n, 1n, 300n, 7n]);
  // float_data: 1 single, 2 packed.
  const v = decode("TensorProto", bytes(0x25, 0, 0, 128, 63, 0x22, 4, 0, 0, 0, 64));
  expect([...v.floatData]).toEqual([1, 2]);
});

test("raw data is a view into the file, also of a Buffer in node's pool", () => {
  const file = encode("TensorProto", message("TensorProto", { rawData: Uint8Array.of(9, 8, 7) }));
  const pooled = Buffer.from(file);
  const t = decode("TensorProto", pooled);
  expect([...t.rawData!]).toEqual([9, 8, 7]);
  expect(t.rawData!.buffer).toBe(pooled.buffer);
});

test("unknown fields are skipped", () => {
  // Field 100: varint, 8 bytes, a string, a group with a varint inside, 4 bytes. Then dims 1.
  const t = decode(
    "TensorProto",
    bytes(
      0xa0,
      6,
      5,
      0xa1,
      6,
      1,
      2,
      3,
      4,
      5,
      6,
      7,
      8,
      0xa2,
      6,
      2,
      1,
      1,
      0xa3,
      6,
      0x08,
      1,
      0xa4,
      6,
      0xa5,
      6,
      1,
      2,
      3,
      4,
      0x08,
      1,
    ),
  );
  expect(t.dims).toEqual([1]);
});

const broken: Readonly<Record<string, Uint8Array>> = {
  "a length beyond the end": bytes(0x4a, 10, 1),
  "a message beyond its parent": bytes(0x6a, 4, 0x0a, 100, 1, 1),
  "a varint without end": bytes(0x08, 255, 255),
  "a varint that is too long": bytes(0x08, ...Array.from({ length: 10 }, () => 255), 1),
  "a length of 2 GiB": bytes(0x22, 255, 255, 255, 255, 7),
  "an element cut off": bytes(0x22, 3, 0, 0, 0),
  "a packed varint cut off": bytes(0x3a, 2, 1, 255),
  "a single float cut off": bytes(0x25, 0, 0),
  "a wrong wire type": bytes(0x48, 1),
  "a group without end": bytes(0xa3, 6, 0x08, 1),
  "field number 0": bytes(0x00, 1),
  "wire type 7": bytes(0xa7, 6),
};
test.each(Object.keys(broken))("refuses %s", (name) => {
  expect(problemTexts(() => decode("TensorProto", broken[name]!))).toEqual([expect.stringMatching(/^E102 /)]);
});

test("refuses deep nesting and floods of messages before memory runs out", () => {
  let type = encode("TypeProto", message("TypeProto", {}));
  for (let k = 0; k < 200; k++)
    type = bytes(0x22, ...varint(type.length + 1 + varint(type.length).length), 0x0a, ...varint(type.length), ...type);
  expect(problemTexts(() => decode("TypeProto", type))).toEqual([expect.stringMatching(/nested too deeply/)]);
  // 1.5 million empty nodes.
  const flood = new Uint8Array(3_000_000);
  for (let i = 0; i < flood.length; i += 2) flood[i] = 0x0a;
  expect(problemTexts(() => decode("GraphProto", flood))).toEqual([expect.stringMatching(/too many messages/)]);
});
function varint(n: number): number[] {
  return n < 128 ? [n] : [(n & 127) | 128, ...varint(n >>> 7)];
}

test("refuses what decodes but is no model", () => {
  const empty = { outputs: [], nodes: [] };
  const texts = [
    new Uint8Array(0),
    new TextEncoder().encode("hello world"),
    readFileSync("package.json"),
    readFileSync("examples/digits/heldout.npz"),
    modelBytes(empty),
    writeModel({ ...readModel(digits), graph: null }),
    writeModel({ ...readModel(digits), irVersion: null }),
    writeModel({ ...readModel(digits), opsetImport: [] }),
  ].map((b) => problemTexts(() => readModel(b)));
  for (const t of texts) expect(t).toEqual([expect.stringMatching(/^E102 /)]);
});

test("a model of IR version 2 needs no opset", () => {
  expect(readModel(writeModel({ ...readModel(digits), irVersion: 2, opsetImport: [] })).irVersion).toBe(2);
});
