// Small models for the tests of the command line.

import { tensorOf } from "../../src/ir/types.ts";
import { type ModelSpec, modelBytes, type TypeSpec } from "../../src/onnx/export.ts";

/** y = x + 1 over f32[N, 2]. */
export const addOne: ModelSpec = {
  inputs: { x: ["f32", ["N", 2]] },
  outputs: { y: ["f32", ["N", 2]] },
  nodes: [{ op: "Add", inputs: ["x", "one"], outputs: ["y"] }],
  initializers: { one: tensorOf("f32", [], [1]) },
};
/** Two inputs and two outputs whose names and dims are awkward. */
export const awkward: ModelSpec = {
  inputs: Object.fromEntries<TypeSpec>([
    ["a/b", ["f32", ["n=m", 2, null]]],
    ["constructor", ["i64", [""]]],
  ]),
  outputs: { "out/0": ["f32", ["n=m", 2, null]], __proto__1: ["i64", [null]] },
  nodes: [
    { op: "Neg", inputs: ["a/b"], outputs: ["out/0"] },
    { op: "Abs", inputs: ["constructor"], outputs: ["__proto__1"] },
  ],
};
export const bytesOf: (m: ModelSpec) => Uint8Array = modelBytes;
