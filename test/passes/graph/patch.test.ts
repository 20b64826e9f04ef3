// Patches: what of them is taken, and what is left of those that are not.
import { expect, test } from "vitest";
import { type Patch, patchGraph, type Replace } from "../../../passes/graph/patch.ts";
import type { AnyNode } from "../../../src/ir/graph.ts";
import { printGraph } from "../../../src/ir/print.ts";
import { verifyGraph } from "../../../src/ir/verify.ts";
import { OpTable } from "../../../src/ops/index.ts";
import { graph } from "./cases.ts";

const ops = new OpTable();
const named = (p: Patch, op: string, n: AnyNode, attrs = {}) => p.make.add(ops.named(op)!, n.inputs, attrs);
const patched = (text: string, rule: (p: Patch) => Replace): string => {
  const g = patchGraph(graph(text), rule);
  verifyGraph(g);
  return printGraph(g).text.replace(/#\d+/g, "").trim();
};

test("a patch of other types is dropped with all its nodes", () => {
  const text = `graph @g(%x: f32[2, 3]) -> %y {
  %y: f32[2, 3] = Neg(%x) loc("y")
}`;
  for (const [op, attrs] of [
    ["Cast", { to: "f64" }],
    ["Transpose", {}],
    ["NonZero", {}],
  ] as const) {
    expect(patched(text, (p) => (n) => (n.def.name === "Neg" ? named(p, op, n, attrs) : null))).toBe(text);
  }
});

test("nodes, names and places of a patch are those of the node it replaces", () => {
  const g = patched(
    `graph @g(%x: f32[3]) -> %y { %a: f32[3] = Neg(%x) loc("a")  %y: f32[3] = Abs(%a) loc("y") }`,
    (p) => (n) => (n.def.name === "Neg" ? p.make.add(ops.named("Relu")!, named(p, "Abs", n), {}) : null),
  );
  expect(g).toBe(`graph @g(%x: f32[3]) -> %y {
  %a.Abs.2: f32[3] = Abs(%x) loc("a", "Neg")
  %a: f32[3] = Relu(%a.Abs.2) loc("a", "Neg")
  %y: f32[3] = Abs(%a) loc("y")
}`);
});

test("a dim that a node counted may become another, one that its inputs name may not", () => {
  const symbols = "where N in 1..8, $nonzero.0 in 0.. from data, $nonzero.1 in 0.. from data";
  const text = `graph @g(%x: f32[N], %z: f32[N]) -> %y ${symbols} {
    %a: i64[1, $nonzero.0] = NonZero(%x) loc("a")
    %b: i64[1, $nonzero.1] = NonZero(%z) loc("b")
    %y: i64[1, $nonzero.1] = Neg(%b) loc("y")
  }`;
  const first = (p: Patch): AnyNode => p.make.nodes[0]!;
  // b for a: its count is the other's from here on.
  expect(
    patched(text, (p) => (n) => (n.loc.node === "b" ? first(p).outputs : null)),
  ).toBe(`graph @g(%x: f32[N], %z: f32[N]) -> %y where N in 1..8, $nonzero.0 in 0.. from data {
  %a: i64[1, $nonzero.0] = NonZero(%x) loc("a")
  %y: i64[1, $nonzero.0] = Neg(%a) loc("y")
}`);
  // Neg's dim is one that NonZero has bound.
  expect(patched(text, (p) => (n) => (n.loc.node === "y" ? first(p).outputs : null))).toContain("= Neg(%b)");
});
