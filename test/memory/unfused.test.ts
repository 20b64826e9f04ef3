// What a model's values take without fusion.
import { describe, expect, test } from "vitest";
import { unfusedBound } from "../../passes/memory/unfused.ts";
import * as D from "../../src/ir/dim.ts";
import { parseGraph } from "../../src/ir/parse.ts";
import { elementBytes } from "../../src/ir/types.ts";
import { OpTable } from "../../src/ops/index.ts";
import { Builder } from "../schedule/build.ts";
import { randomGraph } from "../schedule/random.ts";

const ops = new OpTable();
const bound = (text: string): { readonly withPorts: number | null; readonly withoutPorts: number | null } =>
  unfusedBound(parseGraph(text, new Map(), (name) => ops.named(name)));

test("values are alive from the node that makes them to the last that reads them; constants are not counted", () => {
  // At Add: %x, %a, %b, of 40 bytes each. At Concat: %b, %c, and 80 for %y.
  const g = `
graph @g(%x: f32[10]) -> %y {
  %w: f32[10] = const [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
  %a: f32[10] = Relu(%x) loc("n")
  %v: f32[10] = Neg(%w) loc("n")
  %b: f32[10] = Add(%a, %v) loc("n")
  %c: f32[10] = Mul(%x, %w) loc("n")
  %y: f32[20] = Concat(%b, %c) {axis = 0} loc("n")
}`;
  expect(bound(g)).toEqual({ withPorts: 160, withoutPorts: 80 });
});
test("open dims: unknown", () => {
  expect(
    bound(`graph @g(%x: f32[N]) -> %y where N in 1..64 {
  %y: f32[N] = Relu(%x) loc("n")
}`),
  ).toEqual({
    withPorts: null,
    withoutPorts: 0,
  });
});
describe("random graphs", () => {
  test.each(Array.from({ length: 20 }, (_, seed) => seed))("%i", (seed) => {
    const b = new Builder(seed, null);
    randomGraph(seed).build(b);
    const g = b.finish();
    const { withPorts, withoutPorts } = unfusedBound(g);
    if (withPorts === null || withoutPorts === null) return;
    expect(withPorts).toBeGreaterThanOrEqual(withoutPorts);
    const bytes = (id: (typeof g.inputs)[number] | null): number => {
      const v = id === null ? null : g.values.get(id)!;
      if (!v || v.constant || v.type.kind !== "tensor") return 0;
      return D.known(D.product(v.type.tensor.shape ?? []))! * elementBytes(v.type.tensor.dtype);
    };
    const total = [...g.values.keys()].reduce((n, id) => n + bytes(id), 0);
    expect(withPorts).toBeLessThanOrEqual(total);
    for (const n of g.nodes)
      expect(withPorts).toBeGreaterThanOrEqual([...new Set([...n.outputs])].reduce((s, id) => s + bytes(id), 0));
  });
});
