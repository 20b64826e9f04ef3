// Damaged models are UserErrors, or models: never another exception, never a hang. Seeded, so a failure comes again.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { UserError } from "../../src/base/diagnostics.ts";
import { modelProto } from "../../src/onnx/export.ts";
import { importModel } from "../../src/onnx/import.ts";
import { readModel } from "../../src/onnx/proto.ts";
import { type Kind, type MessageName, type ModelProto, schema } from "../../src/onnx/schema.ts";
import { writeModel } from "../../src/onnx/write.ts";
import { f32, i64, testOps } from "./helpers.ts";

class Random {
  private state: number;
  constructor(seed: number) {
    this.state = seed;
  }
  below(n: number): number {
    this.state = (Math.imul(this.state, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.state / 2 ** 32) * n);
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
}
const digits = new Uint8Array(readFileSync("examples/digits/digits.onnx"));

/** Milliseconds that the import took; whether it worked. */
function attempt(bytes: Uint8Array, what: string): { ms: number; ok: boolean } {
  const start = performance.now();
  let ok = true;
  try {
    importModel(bytes, { ops: testOps, directory: "test/onnx" });
  } catch (e) {
    if (!(e instanceof UserError)) throw new Error(`${what}: ${(e as Error).message}`, { cause: e });
    ok = false;
  }
  return { ms: performance.now() - start, ok };
}

test("every truncation of a model is an error", () => {
  const random = new Random(1);
  for (let k = 0; k < 300; k++) {
    const size = k < 200 ? k : random.below(digits.length);
    expect(attempt(digits.subarray(0, size), `the first ${size} bytes`).ok).toBe(false);
  }
});

test("flipped bits", () => {
  const random = new Random(2);
  let slowest = 0;
  for (let round = 0; round < 3000; round++) {
    const bytes = digits.slice();
    for (let k = random.below(4); k >= 0; k--) {
      // The structure lies in front and behind; weights make up the rest.
      const at = random.pick([random.below(1500), bytes.length - 1 - random.below(1500), random.below(bytes.length)]);
      bytes[at]! ^= 1 << random.below(8);
    }
    slowest = Math.max(slowest, attempt(bytes, `round ${round}`).ms);
  }
  expect(slowest).toBeLessThan(2000);
});

/** Uses functions, bodies, sequences and most kinds of attributes. */
const rich = modelProto({
  inputs: { c: ["bool", []], x: ["f32", ["N", 4]], s: { sequence: ["f32", ["N", 4]] } },
  outputs: { y: ["f32", ["N", 4]], z: ["f32", null], s: { sequence: ["f32", ["N", 4]] } },
  opsets: { "": 21, my: 1, test: 1 },
  initializers: { w: f32([4, 4], new Array(16).fill(0.5)), shape: i64(-1, 2, 2), starts: i64(0), perm: i64(1, 0) },
  nodes: [
    { op: "Gemm", inputs: ["x", "w"], outputs: ["g"], attrs: { alpha: { float: 2 }, transB: 1 } },
    { op: "Reshape", inputs: ["g", "shape"], outputs: ["r"] },
    { op: "Transpose", inputs: ["r"], outputs: ["t"], attrs: { perm: [0, 2, 1] } },
    { op: "Flatten", inputs: ["t"], outputs: ["f"] },
    { op: "Shape", inputs: ["x"], outputs: ["d"] },
    { op: "Reshape", inputs: ["f", "d"], outputs: ["b"] },
    { op: "F", domain: "my", inputs: ["c", "b"], outputs: ["y"], attrs: { slope: { float: 0.5 } } },
    {
      op: "Repeat",
      domain: "test",
      inputs: ["c", "x"],
      outputs: ["z"],
      attrs: {
        body: {
          graph: {
            inputs: { go: ["bool", []], v: ["f32", null] },
            outputs: ["go", "v2"],
            nodes: [{ op: "Concat", inputs: ["v", "b"], outputs: ["v2"], attrs: { axis: 0 } }],
          },
        },
      },
    },
  ],
  functions: [
    {
      domain: "my",
      name: "F",
      inputs: ["c", "a"],
      outputs: ["r"],
      attributes: ["slope"],
      opsets: { "": 21, test: 1 },
      nodes: [
        { op: "LeakyRelu", inputs: ["a"], outputs: ["l"], attrs: { alpha: { ref: "slope" } } },
        {
          op: "Choose",
          domain: "test",
          inputs: ["c"],
          outputs: ["r"],
          attrs: {
            left: { graph: { outputs: ["n"], nodes: [{ op: "Neg", inputs: ["l"], outputs: ["n"] }] } },
            right: { graph: { outputs: ["a"], nodes: [] } },
          },
        },
      ],
    },
  ],
});

const ints = [0, 1, -1, 2, 3, 7, 64, 2 ** 31, -(2 ** 31), 2 ** 40, Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER];
/** Another value for a field; null where nothing sensible can be made. */
function another(kind: Kind, value: unknown, random: Random, names: readonly string[]): unknown {
  const int = (): number => random.pick(ints);
  switch (kind) {
    case "int":
      return int();
    case "int64":
      return random.pick([BigInt(int()), 2n ** 63n - 1n, -(2n ** 63n)]);
    case "float":
      return random.pick([0, -1, Number.NaN, Number.POSITIVE_INFINITY]);
    case "string":
      return random.pick(names);
    case "bytes":
      return value === null ? new Uint8Array(random.below(9)) : random.pick([null, (value as Uint8Array).subarray(1)]);
    case "ints":
      return random.pick([[], [...(value as number[]), int()], (value as number[]).map(int)]);
    case "strings":
      return random.pick([
        [],
        [...(value as string[]), random.pick(names)],
        (value as string[]).map(() => random.pick(names)),
        (value as string[]).slice(1),
      ]);
    case "byteses":
      return [new Uint8Array(1)];
    case "floats":
      return Float32Array.from([1, 2]);
    case "doubles":
      return Float64Array.from([1]);
    case "int32s":
      return Int32Array.from([int() | 0]);
    case "int64s":
      return BigInt64Array.from({ length: random.below(5) }, () => BigInt(int()));
    case "uint64s":
      return BigUint64Array.from([2n ** 64n - 1n]);
    default: {
      if (!kind.endsWith("[]")) return null;
      const list = value as object[];
      return list.length === 0 ? list : random.pick([list.slice(1), [...list, random.pick(list)], [...list].reverse()]);
    }
  }
}
/** A copy of the message with one field changed, anywhere below it. */
function mutate(name: MessageName, m: object, random: Random, names: readonly string[]): object {
  const fields = Object.entries(schema[name]) as [string, readonly [number, Kind]][];
  const record = m as Readonly<Record<string, unknown>>;
  const [field, [, kind]] = random.pick(fields);
  const value = record[field];
  const list = kind.endsWith("[]");
  if (list && (value as object[]).length > 0 && random.below(6) > 0) {
    const at = random.below((value as object[]).length);
    return {
      ...m,
      [field]: (value as object[]).map((x, k) =>
        k === at ? mutate(kind.slice(0, -2) as MessageName, x, random, names) : x,
      ),
    };
  }
  if (!list && kind in schema && value !== null && random.below(6) > 0)
    return { ...m, [field]: mutate(kind as MessageName, value as object, random, names) };
  return { ...m, [field]: another(kind, value, random, names) };
}

test("changed fields", () => {
  const random = new Random(3);
  const models = [rich, readModel(digits)];
  for (const m of models) expect(attempt(writeModel(m), "unchanged").ok).toBe(true);
  let slowest = 0;
  let good = 0;
  for (let round = 0; round < 6000; round++) {
    let m: object = models[round % 2]!;
    const graph = (m as ModelProto).graph!;
    const names = [
      "",
      "no such name",
      ...graph.node.flatMap((n) => [...n.input, ...n.output, n.opType]),
      "Loop",
      "If",
      "Constant",
      "Identity",
    ];
    for (let k = random.below(3); k >= 0; k--) m = mutate("ModelProto", m, random, names);
    const bytes = writeModel(m as ModelProto);
    const { ms, ok } = attempt(bytes, `round ${round}`);
    slowest = Math.max(slowest, ms);
    if (ok) good++;
  }
  expect(slowest).toBeLessThan(2000);
  // Enough get past the checks to reach the operators.
  expect(good).toBeGreaterThan(500);
});
