// The memory plan of random programs, at random values of their dims, on every target: what is read is there.
import { describe, expect, test } from "vitest";
import * as D from "../../src/ir/dim.ts";
import type { Program } from "../../src/ir/program.ts";
import type { TargetInfo } from "../../src/ir/target.ts";
import { infos, type TargetName } from "../proofs/targets.ts";
import { Builder, Random } from "../schedule/build.ts";
import { randomGraph } from "../schedule/random.ts";
import { lower } from "../schedule/variants.ts";
import { mixedGraph } from "./graphs.ts";
import { Shadow } from "./shadow.ts";

const extents = [1, 1, 2, 3, 5, 8, 16, 17, 33, 64, 100];
const names = Object.keys(infos) as TargetName[];
const kinds: readonly (readonly [string, (b: Builder, seed: number) => void])[] = [
  ["of f32", (b, seed) => randomGraph(seed).build(b)],
  ["of many types", mixedGraph],
];
const totals = { arena: 0, bound: 0 };

/** What is wrong with the plan at a binding. */
function check(p: Program, info: TargetInfo, values: (k: number) => number, seed: number): string[] {
  const bound = new Map(p.bindings.map((b, k) => [b.id, Math.max(b.min, values(k))]));
  const s = new Shadow(p, info, bound, new Random(seed));
  s.checkPlaces();
  s.run();
  return s.problems.map((x) => `${x}, with ${[...bound].map((b) => b.join("=")).join(" ")}`);
}
describe.each(names)("on %s", (target) => {
  const info = infos[target];
  describe.each(kinds)("%s", (_kind, build) => {
    test.each(Array.from({ length: 20 }, (_, seed) => seed))("random program %i", (seed) => {
      const b = new Builder(seed, null);
      build(b, seed);
      const p = lower(b.finish(), { name: target, runs: target, info });
      const r = new Random(seed);
      for (let k = 0; k < 6; k++) expect(check(p, info, () => r.pick(extents), k)).toEqual([]);
      // The planner arranges buffers for these sizes, and bounds what any plan needs for them.
      const usual = new Map(p.bindings.map((b) => [b.id, b.max ?? Math.max(b.min, 16)]));
      const s = new Shadow(p, info, usual, r);
      s.run();
      const bound = D.evaluate(p.plan.lowerBound, () => 0);
      expect(bound).toBeGreaterThanOrEqual(s.needed);
      expect(s.size("arena")).toBeGreaterThanOrEqual(bound);
      totals.arena += s.size("arena");
      totals.bound += bound;
    });
  });
});
test("the arena is little larger than what any plan needs", () => {
  expect(totals.arena / totals.bound).toBeLessThan(1.02);
});
