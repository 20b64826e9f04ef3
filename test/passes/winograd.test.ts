// Which convolutions become Winograd's, and that those of the schedule cases do. What they compute is held to the plainest program
// there (test/schedule).
import { describe, expect, test } from "vitest";
import { expand } from "../../passes/graph/expand.ts";
import { inline } from "../../passes/te/inline.ts";
import { toTe } from "../../passes/te/to-te.ts";
import { winograd } from "../../passes/te/winograd.ts";
import { linearForms, outputForms, transforms } from "../../passes/te/winograd-forms.ts";
import type { TeExpr } from "../../src/ir/te.ts";
import { infos } from "../proofs/targets.ts";
import { Builder } from "../schedule/build.ts";

function stagesOf(build: (b: Builder) => void): string[] {
  const b = new Builder(3, {});
  build(b);
  const p = winograd(inline(toTe(expand(b.finish()))), infos.wasm);
  return p.actions.flatMap((a) =>
    a.kind === "call" && a.call.kind === "group" ? a.call.group.stages.map((s) => s.name) : [],
  );
}
const conv =
  (input: readonly number[], weights: readonly number[], attrs: Readonly<Record<string, number | number[]>> = {}) =>
  (b: Builder): void =>
    b.output(b.op("Conv", [b.input([...input]), b.constant([...weights])], attrs));
const isWinograd = (names: readonly string[]): boolean => names.includes("WinogradProducts");

describe("winograd", () => {
  test.each([
    ["whole tiles", conv([1, 16, 34, 34], [24, 16, 3, 3])],
    ["tiles over an edge", conv([2, 32, 7, 9], [48, 32, 3, 3], { pads: [1, 1, 1, 1] })],
    ["many channels, few outputs", conv([1, 256, 7, 7], [256, 256, 3, 3], { pads: [1, 1, 1, 1] })],
  ])("%s", (_name, build) => {
    expect(isWinograd(stagesOf(build))).toBe(true);
  });
  test.each([
    ["a stride", conv([1, 16, 34, 34], [24, 16, 3, 3], { strides: [2, 2] })],
    ["a dilation", conv([1, 16, 34, 34], [24, 16, 3, 3], { dilations: [2, 2] })],
    ["groups", conv([1, 32, 34, 34], [32, 16, 3, 3], { group: 2 })],
    ["few channels", conv([1, 3, 34, 34], [24, 3, 3, 3])],
    ["another window", conv([1, 16, 34, 34], [24, 16, 5, 5])],
    ["one output", conv([1, 16, 3, 3], [24, 16, 3, 3])],
  ])("not with %s", (_name, build) => {
    expect(isWinograd(stagesOf(build))).toBe(false);
  });
  test("weights that two convolutions share are transformed once", () => {
    const names = stagesOf((b) => {
      const w = b.constant([32, 32, 3, 3]);
      const pads = { pads: [1, 1, 1, 1] };
      b.output(b.op("Conv", [b.op("Conv", [b.input([1, 32, 12, 12]), w], pads), w], pads));
    });
    expect(names.filter((n) => n === "WinogradWeights")).toHaveLength(1);
    expect(names.filter((n) => n === "WinogradProducts")).toHaveLength(2);
  });
});

/** The value of a form over variables x0, x1, ... */
function evaluate(e: TeExpr, x: readonly number[]): number {
  switch (e.kind) {
    case "const":
      return Number(e.value);
    case "var":
      return x[Number(e.name.slice(1))]!;
    case "mulAdd":
      return evaluate(e.a, x) * evaluate(e.b, x) + evaluate(e.c, x);
    case "binary": {
      const [a, b] = [evaluate(e.a, x), evaluate(e.b, x)];
      return e.op === "add" ? a + b : e.op === "sub" ? a - b : a * b;
    }
    default:
      throw new Error(e.kind);
  }
}
test.each([2, 4])("the forms of F(%i, 3) compute a window of 3", (m) => {
  const { input, weights, output } = transforms(m);
  const d = Array.from({ length: m + 2 }, (_, k) => Math.sin(k * 7 + 1));
  const g = [0.3, -1.1, 0.7];
  const vars = d.map((_, k): TeExpr => ({ kind: "var", dtype: "f32", name: `x${k}` }));
  const v = linearForms(input, vars).map((e) => evaluate(e, d));
  const u = weights.map((row) => row.reduce((s, k, j) => s + k * g[j]!, 0));
  const products = v.map((x, k) => x * u[k]!);
  const y = outputForms(output, vars).map((e) => evaluate(e, products));
  for (let i = 0; i < m; i++) expect(y[i]).toBeCloseTo(d[i]! * g[0]! + d[i + 1]! * g[1]! + d[i + 2]! * g[2]!, 10);
});
