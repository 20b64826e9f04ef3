// ONNX's backend tests: no fewer pass than did. `npm run conformance` says which do not, and why.
import { afterAll, expect, test } from "vitest";
import { available, need, needGpu } from "../need.ts";
import { casesIn, folders } from "../ops/suite.ts";
import { runAll } from "./pool.ts";
import { byReason, summaryOf } from "./report.ts";

/** How many must pass; raise these as more do. Of the rest 51 have no answer to compare with. */
const floor: Readonly<Record<string, number>> = { js: 1983, wasm: 1983, c: 1983 };
/** Of every eighth test, on WGSL: software adapters are slow. */
const gpuFloor = 230;

const folder = await available(folders.onnx);
const tests = folder === null ? [] : casesIn(folder);
const limit = 1_500_000;
const lines: string[] = [];
afterAll(() => {
  for (const line of lines) console.log(line);
});

async function passed(targets: readonly string[], cases: typeof tests): Promise<Record<string, number>> {
  const results = await runAll(folder!, cases, targets, () => {});
  const counts = [...results].map(([target, r]): [string, number] => {
    const s = summaryOf(r);
    lines.push(
      `conformance on ${target}: ${s.passed} passed, ${s.failed} failed, ${s.excluded} excluded of ${s.total}`,
    );
    lines.push(...byReason(cases, r, 1).map((l) => `${target}: ${l}`));
    return [target, s.passed];
  });
  return Object.fromEntries(counts);
}

test.skipIf(folder === null)(
  "js, wasm and C",
  async () => {
    expect(tests.length).toBeGreaterThanOrEqual(2027);
    const targets = need("cc") ? ["js", "wasm", "c"] : ["js", "wasm"];
    const counts = await passed(targets, tests);
    for (const t of targets) expect(counts[t], t).toBeGreaterThanOrEqual(floor[t]!);
  },
  limit,
);

const gpu = folder === null ? null : await needGpu();
test.skipIf(gpu === null)(
  "a part of them on WGSL",
  async () => {
    const some = tests.filter((c, i) => c.kind !== "light" && i % 8 === 0);
    expect((await passed(["wgsl"], some))["wgsl"]).toBeGreaterThanOrEqual(gpuFloor);
  },
  limit,
);
