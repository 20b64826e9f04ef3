// Random operators: pure functions of the run's seed and the node, with the distributions that they promise.
import { describe, expect, test } from "vitest";
import type { Attrs } from "../../src/ir/graph.ts";
import { GraphMaker } from "../../src/ir/graph-maker.ts";
import type { OpDef } from "../../src/ir/opdef.ts";
import { type Tensor, tensorOf } from "../../src/ir/types.ts";
import { Bernoulli, createOps, Multinomial } from "../../src/ops/create.ts";
import { runGraph } from "./run.ts";

const named = (name: string): OpDef<Attrs> => createOps.find((d) => d.name === name)!;
function sample(def: OpDef<Attrs>, attrs: Attrs, inputs: readonly Tensor[], seed: number, node = "n"): number[] {
  const m = new GraphMaker("random");
  m.loc = { node, op: def.name };
  const out = m.add(
    def,
    inputs.map((t) => m.constant(t)),
    attrs,
  )[0]!;
  return runGraph(m.finish([out]), [], seed)[0]!.data.map(Number);
}
const mean = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0) / xs.length;
const deviation = (xs: readonly number[]): number => Math.sqrt(mean(xs.map((x) => (x - mean(xs)) ** 2)));
const normal = (seed: number, node?: string): number[] =>
  sample(named("RandomNormal"), { a: 2, b: 3, shape: [64, 64] }, [], seed, node);

describe("random operators", () => {
  test("a seed gives the same numbers again, another seed or node others", () => {
    expect(normal(7)).toEqual(normal(7));
    expect(normal(8)).not.toEqual(normal(7));
    expect(normal(7, "other")).not.toEqual(normal(7));
  });
  test("RandomNormal", () => {
    const xs = normal(1);
    expect(mean(xs)).toBeCloseTo(2, 0);
    expect(deviation(xs)).toBeGreaterThan(2.85);
    expect(deviation(xs)).toBeLessThan(3.15);
    // 4096 numbers: a few beyond three deviations, none beyond six.
    const far = xs.filter((x) => Math.abs(x - 2) > 9).length;
    expect(far).toBeGreaterThan(1);
    expect(far).toBeLessThan(30);
    expect(Math.max(...xs.map((x) => Math.abs(x - 2)))).toBeLessThan(18);
  });
  test("RandomUniform fills its range evenly", () => {
    const xs = sample(named("RandomUniform"), { a: -1, b: 3, shape: [4096] }, [], 5);
    expect(Math.min(...xs)).toBeGreaterThanOrEqual(-1);
    expect(Math.max(...xs)).toBeLessThan(3);
    const bins = [0, 0, 0, 0];
    for (const x of xs) bins[Math.floor(x + 1)]!++;
    for (const n of bins) expect(Math.abs(n - 1024)).toBeLessThan(130);
  });
  test("Bernoulli and Multinomial", () => {
    const p = tensorOf("f32", [4096], new Array<number>(4096).fill(0.25));
    expect(Math.abs(mean(sample(Bernoulli as unknown as OpDef<Attrs>, {}, [p], 3)) - 0.25)).toBeLessThan(0.03);
    const logs = tensorOf("f32", [1, 3], [Math.log(0.2), Math.log(0.3), Math.log(0.5)]);
    const xs = sample(Multinomial as unknown as OpDef<Attrs>, { count: 4096, dtype: "i32" }, [logs], 3);
    for (const [k, q] of [0.2, 0.3, 0.5].entries())
      expect(Math.abs(xs.filter((x) => x === k).length / 4096 - q)).toBeLessThan(0.03);
  });
});
