// The arena holds different types over time: what C compilers make of that with all optimizations that rest on types.
import { describe, expect, test } from "vitest";
import * as D from "../../src/ir/dim.ts";
import type { Program } from "../../src/ir/program.ts";
import { elementBytes } from "../../src/ir/types.ts";
import { runCases } from "../../targets/c/harness.ts";
import { cTarget } from "../../targets/c/index.ts";
import { need } from "../need.ts";
import { differences, infos, runOn, type Tensors, type Work } from "../proofs/targets.ts";
import { Builder, dataFor } from "../schedule/build.ts";
import { lower } from "../schedule/variants.ts";
import { mixedGraph } from "./graphs.ts";

const sizes = { A: 2, B: 3 };
/** Programs for a target that end with the same bits on all. */
function works(target: "js" | "c"): Work[] {
  return Array.from({ length: 16 }, (_, seed) => {
    const b = new Builder(seed, sizes);
    mixedGraph(b, seed);
    const program = lower(b.finish(), { name: target, runs: target, info: infos[target], strict: true });
    return { program, runs: [dataFor(b, sizes, seed)] };
  });
}
/** Whether two buffers of different types have bytes of the arena in common. */
function reuses(p: Program): boolean {
  const placed = [...p.buffers.values()].flatMap((b) => {
    const at = p.plan.offsets.get(b.id);
    if (at?.region !== "arena") return [];
    const start = D.known(at.offset)!;
    return [{ dtype: b.dtype, start, end: start + D.known(b.storage!.size)! * elementBytes(b.dtype) }];
  });
  return placed.some((x) => placed.some((y) => x.dtype !== y.dtype && x.start < y.end && y.start < x.end));
}

describe.each(["gcc", "clang"])("%s -O3", (cc) => {
  test.skipIf(!need(cc))("addresses that hold one type and then another", async () => {
    const list = works("c");
    expect(list.filter((w) => reuses(w.program)).length).toBeGreaterThan(8);
    const cases = await Promise.all(
      list.map(async ({ program, runs }, k) => {
        const name = `c${k}`;
        const { files } = await cTarget.emit(program, { name, weights: "embed", strict: true });
        return { program, name, files, runs: runs.map((inputs) => ({ inputs })) };
      }),
    );
    // Kernels may be inlined into each other, so that the compiler sees both uses of an address.
    const got = await runCases(cases, { cc, flags: ["-std=c11", "-O3", "-Dnoinline="] });
    const want = await runOn("js", works("js"), { strict: true });
    const outputs = (r: readonly { readonly status: number; readonly outputs: Tensors }[]): Tensors => {
      expect(r[0]!.status).toBe(0);
      return r[0]!.outputs;
    };
    expect(want.flatMap(([w], k) => differences(outputs(got[k]!), w!, 0).map((d) => `program ${k}: ${d}`))).toEqual([]);
  });
});
