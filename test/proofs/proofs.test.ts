// The IRs hold what comes later: programs written by hand as text, lowered by all passes, run on every target, against plain
// TypeScript. See the .ir files.
import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { lowerTe } from "../../src/compile.ts";
import { parseProgram, parseTe } from "../../src/ir/parse.ts";
import { printKernel, printProgram, printTe } from "../../src/ir/print.ts";
import type { Program } from "../../src/ir/program.ts";
import type { Buffer } from "../../src/ir/storage.ts";
import type { TeProgram } from "../../src/ir/te.ts";
import { verifyTe } from "../../src/ir/verify.ts";
import { need, needGpu } from "../need.ts";
import { type Proof, proofs } from "./cases.ts";
import { differences, infos, runOn, type TargetName, type Tensors } from "./targets.ts";

function read({ name, constants }: Proof): TeProgram {
  const text = readFileSync(new URL(`${name}.ir`, import.meta.url), "utf8");
  return parseTe(text, new Map(Object.entries(constants).map(([k, x]) => [`${k}#0`, x.bytes])));
}
function lower(p: Proof, target: TargetName): Program {
  return lowerTe(read(p), infos[target], { verify: true });
}
const gpu = await needGpu();

test.each(proofs)("$name: the text reads back, as written and as lowered", (p) => {
  const te = read(p);
  verifyTe(te);
  const { text, constants } = printTe(te);
  expect(parseTe(text, constants)).toEqual(te);
  for (const target of Object.keys(infos) as TargetName[]) {
    const program = lower(p, target);
    const printed = printProgram(program);
    expect(parseProgram(printed.text, printed.constants)).toEqual(program);
  }
});

const kernelsOf = (p: Program): string[] => p.kernels.map((k) => k.name.replace(/^k\d+_/, ""));
const proof = (name: string): Proof => proofs.find((p) => p.name === name)!;
describe.each(Object.keys(infos) as TargetName[])("in place on %s", (target) => {
  test("concat: one kernel for each part, and only the input's is a copy", () => {
    const p = lower(proof("concat"), target);
    expect(kernelsOf(p).sort()).toEqual(["concat", "concat", "matmul", "max", "softmax"]);
    const buffer = (name: string): Buffer => [...p.buffers.values()].find((b) => b.name === name)!;
    for (const name of ["product", "part1", "part2"])
      expect([name, buffer(name).storage?.root]).toEqual([name, buffer("whole").id]);
  });
  test("halo: the border is filled beside the stage that makes the interior, and no bounds are tested", () => {
    const p = lower(proof("halo"), target);
    expect(kernelsOf(p)).toEqual(["tanh", "frame", "conv"]);
    // A GPU's threads test that they have an element.
    const tests = target === "wgsl" ? /select\(/ : /select\(|if /;
    for (const k of p.kernels.slice(1)) expect(printKernel(k).text).not.toMatch(tests);
  });
});

describe.each([
  ["js", true],
  ["wasm", true],
  ["c", need("cc")],
  ["wgsl", gpu !== null],
] as const)("on %s", (target, have) => {
  describe.skipIf(!have)("as plain TypeScript has it", () => {
    // In C all are one build.
    const results = new Map<string, readonly Tensors[] | Error>();
    beforeAll(async () => {
      const each = target === "c" ? [proofs] : proofs.map((p) => [p]);
      for (const list of each) {
        try {
          const works = list.map((p) => ({ program: lower(p, target), runs: p.runs.map((r) => r.inputs) }));
          (await runOn(target, works, { gpu })).forEach((r, i) => {
            results.set(list[i]!.name, r);
          });
        } catch (e) {
          for (const p of list) results.set(p.name, e as Error);
        }
      }
    });
    test.each(proofs)("$name", ({ name, runs, rtol }) => {
      const got = results.get(name)!;
      if (got instanceof Error) throw got;
      runs.forEach((r, i) => {
        expect(differences(got[i]!, r.expected, rtol).slice(0, 8), `run ${i}`).toEqual([]);
      });
    });
  });
});
