// Loops and branches that ONNX's own tests do not go through.
import { expect, test } from "vitest";
import { type Tensor, tensorOf } from "../../src/ir/types.ts";
import { type GraphSpec, type ModelSpec, modelBytes } from "../../src/onnx/export.ts";
import { evaluateModel } from "./evaluate.ts";

const f32 = (dims: readonly number[], values: readonly number[]): Tensor => tensorOf("f32", dims, values);

test("Scan of opset 8: batches, a state of their own each, and sequences that end early", async () => {
  const body: GraphSpec = {
    inputs: { sum: ["f32", [1]], x: ["f32", [1]] },
    outputs: ["next", "seen"],
    nodes: [
      { op: "Add", inputs: ["sum", "x"], outputs: ["next"] },
      { op: "Identity", inputs: ["next"], outputs: ["seen"] },
    ],
  };
  const spec: ModelSpec = {
    opsets: { "": 8 },
    inputs: { n: ["i64", ["B"]], s: ["f32", ["B", 1]], x: ["f32", ["B", "T", 1]] },
    outputs: ["last", "all"],
    nodes: [
      {
        op: "Scan",
        inputs: ["n", "s", "x"],
        outputs: ["last", "all"],
        attrs: { body: { graph: body }, num_scan_inputs: 1 },
      },
    ],
  };
  const got = await evaluateModel(modelBytes(spec), {
    n: tensorOf("i64", [2], [3, 2]),
    s: f32([2, 1], [100, 200]),
    x: f32([2, 3, 1], [1, 2, 3, 4, 5, 6]),
  });
  expect(got["last"]).toEqual([
    [2, 1],
    [106, 209],
  ]);
  expect(got["all"]).toEqual([
    [2, 3, 1],
    [101, 103, 106, 204, 209, 0],
  ]);
});

test("branches whose shapes differ in axes of extent 1 are both there, under the shorter shape", async () => {
  const spec: ModelSpec = {
    inputs: { c: ["bool", []], x: ["f32", ["N"]] },
    outputs: ["y"],
    nodes: [
      {
        op: "If",
        inputs: ["c"],
        outputs: ["y"],
        attrs: {
          then_branch: { graph: { outputs: ["p"], nodes: [{ op: "Neg", inputs: ["x"], outputs: ["p"] }] } },
          else_branch: {
            graph: { outputs: ["q"], nodes: [{ op: "Unsqueeze", inputs: ["x", "axes"], outputs: ["q"] }] },
          },
        },
      },
    ],
    initializers: { axes: tensorOf("i64", [1], [1]) },
  };
  const x = f32([2], [1, 2]);
  const on = (c: number): Promise<Record<string, unknown>> =>
    evaluateModel(modelBytes(spec), { c: tensorOf("bool", [], [c]), x });
  expect((await on(1))["y"]).toEqual([[2], [-1, -2]]);
  expect((await on(0))["y"]).toEqual([[2], [1, 2]]);
});

test("bfloat16 is rounded between operators that one kernel computes", async () => {
  const spec: ModelSpec = {
    inputs: { x: ["bf16", [1]] },
    outputs: ["y"],
    nodes: [
      { op: "Add", inputs: ["x", "one"], outputs: ["s"] },
      { op: "Sub", inputs: ["s", "one"], outputs: ["y"] },
    ],
    initializers: { one: tensorOf("bf16", [], [0x3f80]) },
  };
  // 2^-8 is half of the last place of 1: the sum rounds to 1, and nothing is left.
  expect((await evaluateModel(modelBytes(spec), { x: tensorOf("bf16", [1], [0x3b80]) }))["y"]).toEqual([[1], [0]]);
});
