// Norms into weights as text before and after (fold-norm.ir): results stay the same but for rounding, and after folding constants
// nothing is left of them.
import { expect, test } from "vitest";
import { canonicalize } from "../../../passes/graph/canonicalize.ts";
import { expand } from "../../../passes/graph/expand.ts";
import { foldConstants } from "../../../passes/graph/fold-constants.ts";
import { foldNorm } from "../../../passes/graph/fold-norm.ts";
import { evaluator, expectEqual, graph, testSections } from "./cases.ts";

testSections("fold-norm.ir", foldNorm, 1e-6);

test("a convolution between two BatchNormalizations is one convolution", () => {
  const window = 'autoPad = "VALID", kernel = [2], strides = [2], dilations = [1], pads = [], ceil = false, group = 1';
  const numbers = (seed: number, n: number): string =>
    Array.from({ length: n }, (_, k) => (0.25 + ((seed * 7 + k * 5) % 11) / 8).toFixed(3)).join(", ");
  const g = graph(`graph @g(%x: f32[2, 3, 8]) -> %y {
    ${["a", "b"].map((p, j) => ["scale", "bias", "mean", "var"].map((q, k) => `%${p}.${q}: f32[${3 - j}] = const [${numbers(j * 4 + k, 3 - j)}]`).join("\n")).join("\n")}
    %w: f32[2, 3, 2] = const [${numbers(9, 12)}]
    %n: f32[2, 3, 8] = BatchNormalization(%x, %a.scale, %a.bias, %a.mean, %a.var) {eps = 0.001, momentum = 0.9, training = false} loc("n")
    %i: f32[2, 3, 8] = Identity(%n) loc("i")
    %c: f32[2, 2, 4] = Conv(%i, %w) {${window}} loc("c")
    %y: f32[2, 2, 4] = BatchNormalization(%c, %b.scale, %b.bias, %b.mean, %b.var) {eps = 0.001, momentum = 0.9, training = false} loc("y")
  }`);
  const expanded = expand(g);
  const result = foldConstants(foldNorm(canonicalize(foldConstants(expanded, evaluator))), evaluator);
  expect(result.nodes.map((n) => [n.def.name, n.inputs.length])).toEqual([["Conv", 3]]);
  expectEqual(expanded, result, 1e-6);
});
