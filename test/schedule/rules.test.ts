// Every schedule rule and storage choice against the plainest program: same graph, same data, same numbers; with fixed dims and from
// one program with symbols, on several targets and vector widths.
import { afterAll, describe, expect, test } from "vitest";
import type { Program } from "../../src/ir/program.ts";
import { cInfo } from "../../targets/c/index.ts";
import { need } from "../need.ts";
import { differences, runOn, type Tensors, type Work } from "../proofs/targets.ts";
import { Builder, dataFor, type Sizes } from "./build.ts";
import { specs } from "./cases.ts";
import { randomGraph } from "./random.ts";
import type { Spec } from "./spec.ts";
import { lower, plain, type Variant, variants } from "./variants.ts";

type Mode = { readonly name: string; readonly sizes: Sizes | null; readonly runs: readonly Sizes[] };
/** The first and the last sizes fixed, and all of them from one program. */
function modesOf(s: Pick<Spec, "sizes">): Mode[] {
  const ends = s.sizes.length > 1 ? [s.sizes[0]!, s.sizes[s.sizes.length - 1]!] : s.sizes;
  const fixed = ends.map((z): Mode => ({ name: JSON.stringify(z), sizes: z, runs: [z] }));
  const free = s.sizes.some((z) => Object.keys(z).length > 0);
  return free ? [...fixed, { name: "symbolic", sizes: null, runs: s.sizes }] : fixed;
}

const used = new Map<string, Set<string>>(variants.map((v) => [v.name, new Set()]));
type Made = { readonly works: readonly Work[]; readonly want: readonly Tensors[] };
/** A graph's programs for the variants, and what the plain one gives. */
async function make(s: Pick<Spec, "build">, mode: Mode, list: readonly Variant[]): Promise<Made> {
  const b = new Builder(5, mode.sizes);
  s.build(b);
  const g = b.finish();
  const runs = mode.runs.map((z, k) => dataFor(b, z, k));
  const [want] = await runOn("js", [{ program: plain(g), runs }], { strict: true });
  const program = (v: Variant): Program => lower(g, v, used.get(v.name));
  return { works: list.map((v) => ({ program: program(v), runs })), want: want! };
}
function compare(got: readonly Tensors[], want: readonly Tensors[], where: string): string[] {
  return want.flatMap((w, k) =>
    differences(got[k]!, w, 2e-5)
      .slice(0, 4)
      .map((d) => `${where}, run ${k}: ${d}`),
  );
}
async function check(s: Pick<Spec, "build" | "sizes">): Promise<void> {
  for (const mode of modesOf(s)) {
    // With fixed dims the targets that ship are enough, unless there are no others.
    const list = mode.sizes === null || s.sizes.length === 1 ? variants : variants.slice(0, 2);
    const { works, want } = await make(s, mode, list);
    for (const [i, v] of list.entries()) {
      const [got] = await runOn(v.runs, [works[i]!], { strict: v.strict ?? false });
      expect(compare(got!, want, `${mode.name} on ${v.name}`)).toEqual([]);
    }
  }
}

describe("rules give what the plainest program gives", () => {
  test.each(specs)("$name", (s) => check(s));
  test.each(Array.from({ length: 32 }, (_, seed) => seed))("random graph %i", (seed) => check(randomGraph(seed)));
});

// The widest vectors that C has, which no other target has; every fifth case, as compilers take their time.
describe.skipIf(!need("cc"))("with 16 lanes in C", () => {
  const wide: Variant = { name: "c", runs: "c", info: cInfo("avx512") };
  test("every fifth case", async () => {
    const some = specs.filter((_, k) => k % 5 === 2);
    const modes = await Promise.all(some.map((s) => make(s, modesOf(s).at(-1)!, [wide])));
    const results = await runOn(
      "c",
      modes.map((m) => m.works[0]!),
    );
    expect(results.flatMap((got, k) => compare(got, modes[k]!.want, some[k]!.name))).toEqual([]);
  });
});

afterAll(() => {
  const names = (v: string): string[] => [...used.get(v)!].sort();
  const all = ["columnwise", "contract", "elementwise", "fallback", "reduction", "rowwise", "transpose", "window"];
  expect(names("wasm")).toEqual(all);
  // Sums are not split where they keep one order, nor without vectors.
  const whole = all.filter((r) => r !== "reduction");
  expect(names("wasm strict")).toEqual(whole);
  const scalar = whole.filter((r) => r !== "columnwise");
  expect(names("wasm with 1 lane")).toEqual(scalar);
  expect(names("js")).toEqual(scalar);
  expect(names("gpu")).toEqual(["elements", "fallback"]);
});
