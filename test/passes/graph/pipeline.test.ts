// The table of graph passes: its order, and what runGraphPass checks; the passes in a row on a model.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type GraphPass, graphOrder, graphPasses, runGraphPass } from "../../../passes/pipeline.ts";
import { frontEnd, lowerFor } from "../../../src/compile.ts";
import type { Graph } from "../../../src/ir/graph.ts";
import { typedView } from "../../../src/ir/types.ts";
import { importModel } from "../../../src/onnx/import.ts";
import { OpTable } from "../../../src/ops/index.ts";
import { evaluateProgram } from "../../../targets/js/evaluate.ts";
import { jsTarget } from "../../../targets/js/index.ts";
import { evaluator, expectEqual, graph, inputsFor } from "./cases.ts";

describe("the order of passes", () => {
  const names = graphPasses.map((p) => p.name);
  test("each has a name of its own, and says what it does", () => {
    expect(new Set(names).size).toBe(names.length);
    for (const p of graphPasses) {
      expect(p.name).toMatch(/^[a-z]+(-[a-z]+)*$/);
      expect(p.about).not.toBe("");
    }
  });
  test.each(graphOrder)("$first before $then: $why", ({ first, then }) => {
    expect(names).toContain(first);
    expect(names).toContain(then);
    expect(names.indexOf(first)).toBeLessThan(names.indexOf(then));
  });
});

describe("what a pass may not change", () => {
  const g = graph(`graph @g(%x: f32[2, N]) -> %y where N in 1..8 { %y: f32[2, N] = Neg(%x) loc("y") }`);
  const change = (text: string): (() => Graph) => {
    const pass: GraphPass = { name: "wrong", about: "", run: () => graph(text) };
    return () => runGraphPass(pass, g, { evaluator });
  };
  test.each([
    [`graph @g(%x: f32[2, N]) -> %z where N in 1..8 { %z: f32[2, N] = Neg(%x) loc("y") }`, "wrong changes the outputs"],
    [`graph @g() -> %y { %y: f32[2, 1] = const [0.0, 1.0] }`, "wrong changes the inputs"],
    [
      `graph @g(%x: f32[2, N]) -> %y where N in 1..8 { %y: i32[2, N] = Cast(%x) {to = "i32"} loc("y") }`,
      'wrong changes the type of "y"',
    ],
    [
      `graph @g(%x: f32[2, N]) -> %y where N in 1..8 { %y: f32[N, 2] = Transpose(%x) loc("y") }`,
      'wrong changes the type of "y"',
    ],
  ])("%#", (text, message) => {
    expect(change(text)).toThrow(message);
  });
  test("a dim may become known", () => {
    expect(
      change(`graph @g(%x: f32[2, N]) -> %y where N in 3..3 { %y: f32[2, 3] = Neg(%x) loc("y") }`)().outputs,
    ).toHaveLength(1);
  });
});

test("a model after all passes computes what it did", () => {
  const bytes = new Uint8Array(readFileSync(new URL("../../../examples/digits/digits.onnx", import.meta.url)));
  const before = importModel(bytes, { ops: new OpTable() }).graph;
  const seen: string[] = [];
  const { graph: after } = frontEnd(bytes, { name: "digits", verify: true, onPass: (pass) => seen.push(pass) });
  expect(seen).toEqual(["import", ...graphPasses.map((p) => p.name)]);
  expectEqual(before, after, 1e-6);
  const inputs = inputsFor(before);
  const run = (g: Graph): number[] => {
    const program = lowerFor(g, jsTarget.info, { verify: true });
    const named = new Map(program.inputs.map((p, k) => [p.name, inputs[k]!]));
    return [...evaluateProgram(program, named).values()].flatMap((t) =>
      Array.from(typedView(t.dtype, t.bytes), Number),
    );
  };
  const [a, b] = [run(before), run(after)];
  a.forEach((x, k) => expect(b[k]).toBeCloseTo(x, 4));
});

test("constants in body graphs are folded, once for all runs", () => {
  // More elements than are known while nodes are made.
  const weights = new Uint8Array(new Float32Array(1100).fill(2).buffer);
  const window = 'autoPad = "VALID", kernel = [], strides = [], dilations = [], pads = [], ceil = false, group = 1';
  const g = graph(
    `graph @g(%x: f32[1, 1, 1100], %c: bool[]) -> %y {
      %y: f32[1, 1, 1] = If(%c, %x, %x) {
        then = graph @then(%p: f32[1, 1, 1100]) -> %q {
          %w: f32[1, 1, 1100] = const @w#0
          %s: f32[1] = const [3.0]
          %t: f32[1] = const [0.5]
          %a: f32[1, 1, 1] = Conv(%p, %w) {${window}} loc("a")
          %q: f32[1, 1, 1] = BatchNormalization(%a, %s, %t, %t, %s) {eps = 0.001, momentum = 0.9, training = false} loc("q")
        },
        otherwise = graph @otherwise(%p: f32[1, 1, 1100]) -> %q {
          %q: f32[1, 1, 1] = ReduceMax(%p) {axes = [2], keep = true, noop = false} loc("q")
        }
      } loc("if")
    }`,
    new Map([["w#0", weights]]),
  );
  const result = graphPasses.reduce((h, p) => runGraphPass(p, h, { evaluator }), g);
  const then = (result.nodes[0]!.attrs as { readonly then: Graph }).then;
  expect(then.nodes.map((n) => n.def.name)).toEqual(["Conv"]);
});
