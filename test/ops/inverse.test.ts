// The inverse hyperbolic functions over the whole range, where ONNX's own tests stay near 1.
import { expect, test } from "vitest";
import { tensorOf } from "../../src/ir/types.ts";
import { modelBytes } from "../../src/onnx/export.ts";
import { evaluateModel } from "./evaluate.ts";

const magnitudes = [1e-30, 1e-8, 1e-4, 0.3, 1, 1.5, 40, 1e4, 2 ** 27, 2 ** 28, 2 ** 29, 1e12, 1e20, 3e38, Infinity];
const all = [0, ...magnitudes, ...magnitudes.map((x) => -x), Number.NaN];
test.each([
  ["Asinh", Math.asinh, all],
  ["Acosh", Math.acosh, all.filter((x) => !(x < 1))],
  ["Atanh", Math.atanh, all.filter((x) => !(Math.abs(x) > 1))],
] as const)("%s", async (op, f, xs) => {
  const x = tensorOf("f32", [xs.length], xs);
  const spec = {
    inputs: { x: ["f32", [xs.length]] as const },
    outputs: ["y"],
    nodes: [{ op, inputs: ["x"], outputs: ["y"] }],
  };
  const got = (await evaluateModel(modelBytes(spec), { x }))["y"] as readonly [unknown, readonly number[]];
  xs.forEach((v, k) => {
    const want = f(Math.fround(v));
    if (!Number.isFinite(want)) expect(got[1][k], `${op}(${v})`).toBe(want);
    else expect(Math.abs(got[1][k]! - want), `${op}(${v})`).toBeLessThanOrEqual(Math.abs(want) * 4e-7);
  });
});
