// C under AddressSanitizer and UBSan, with an arena that is not a byte larger than it must be: random programs, and real models at two
// sizes from one artifact.
import { describe, expect, test } from "vitest";
import { compileTarget, frontEnd } from "../../src/compile.ts";
import { compare } from "../../src/run/compare.ts";
import { type CCase, type CRun, runCases } from "../../targets/c/harness.ts";
import { cTarget } from "../../targets/c/index.ts";
import { mixedGraph } from "../memory/graphs.ts";
import { filesOf, findModel } from "../models/suite.ts";
import { available, need } from "../need.ts";
import { differences, infos, runOn } from "../proofs/targets.ts";
import { Builder, dataFor, type Sizes } from "../schedule/build.ts";
import { randomGraph } from "../schedule/random.ts";
import { lower } from "../schedule/variants.ts";

const flags = ["-std=c11", "-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
const inputsOf = (runs: readonly CRun["inputs"][]): CRun[] => runs.map((inputs) => ({ inputs }));

type Plan = { readonly build: (b: Builder) => void; readonly sizes: readonly Sizes[] };
const plans: readonly Plan[] = [
  ...Array.from({ length: 8 }, (_, seed) => randomGraph(330 + seed)),
  ...Array.from({ length: 8 }, (_, seed): Plan => {
    const sizes = [
      { A: 3, B: 5 },
      { A: 1, B: 9 },
    ];
    return { build: (b) => mixedGraph(b, 300 + seed), sizes };
  }),
];
describe.skipIf(!need("gcc"))("gcc with sanitizers", () => {
  test("random programs", async () => {
    const made = plans.map((p, k) => {
      const b = new Builder(k, null);
      p.build(b);
      return { graph: b.finish(), runs: p.sizes.map((z, n) => dataFor(b, z, n)) };
    });
    const program = (k: number, target: "c" | "js") =>
      lower(made[k]!.graph, { name: target, runs: target, info: infos[target], strict: true });
    const cases: CCase[] = [];
    for (const [k, { runs }] of made.entries()) {
      const [p, name] = [program(k, "c"), `c${k}`];
      const { files } = await cTarget.emit(p, { name, weights: "embed", strict: true });
      cases.push({ program: p, name, files, runs: inputsOf(runs) });
    }
    const results = await runCases(cases, { cc: "gcc", flags });
    const want = await runOn(
      "js",
      made.map(({ runs }, k) => ({ program: program(k, "js"), runs })),
      { strict: true },
    );
    const wrong = want.flatMap((all, k) =>
      all.flatMap((w, r) => {
        const got = results[k]![r]!;
        return got.status === 0
          ? differences(got.outputs, w, 2e-5).map((d) => `${k}: ${d}`)
          : [`${k}: status ${got.status}`];
      }),
    );
    expect(wrong).toEqual([]);
  }, 120_000);

  test.each(["mtcnn_rnet", "wakeword_melspectrogram", "magika_v3_3"])(
    "%s",
    async (name) => {
      const files = await available(() => filesOf(name, "symbolic"));
      if (files === null) return;
      const options = { name: "model" };
      const front = frontEnd(files.bytes, options);
      const { program, files: emitted } = await compileTarget(front, "c", options);
      const runs = inputsOf(files.runs.map((r) => r.inputs));
      const [results] = await runCases([{ program, name: "model", files: emitted, runs }], { cc: "gcc", flags });
      const tolerance = { rtol: findModel(name).tolerance, atol: 1e-6, elementwise: false };
      files.runs.forEach(({ expected }, r) => {
        expect(results![r]!.status).toBe(0);
        program.outputs.forEach((port, k) => {
          const c = compare(results![r]!.outputs[port.name]!, expected[k]!, tolerance);
          expect([port.name, c.pass, c.reason]).toEqual([port.name, true, c.reason]);
        });
      });
    },
    240_000,
  );
});
