// Tensor expressions as text before and after a pass, which compute the same: before, element by element as they are written; after,
// lowered for JavaScript. `const @name#0` in a text is a constant of random numbers.
import { expect } from "vitest";
import { lowerProgram } from "../../../passes/lower.ts";
import { resolveStorage } from "../../../passes/te/storage.ts";
import * as D from "../../../src/ir/dim.ts";
import { parseTe } from "../../../src/ir/parse.ts";
import { type ConstantTable, printTe } from "../../../src/ir/print.ts";
import type { TargetInfo } from "../../../src/ir/target.ts";
import type { TeProgram } from "../../../src/ir/te.ts";
import type { DType, Tensor } from "../../../src/ir/types.ts";
import { verifyTe } from "../../../src/ir/verify.ts";
import { Instance } from "../../../targets/js/evaluate.ts";
import { Interpreter, valuesOf } from "../../ops/interpret.ts";
import { infos } from "../../proofs/targets.ts";
import { Random } from "../../schedule/build.ts";
import { type Section, testSections } from "../sections.ts";

/** Vectors of four lanes, sixteen registers. */
export const target: TargetInfo = infos.wasm;

function constantsOf(text: string): ConstantTable {
  const all = text.matchAll(/: (\w+)\[([\d, ]*)\].* = const @(\S+)/g);
  return new Map(
    [...all].map(([, d, dims, name], k) => [name!, tensor(d as DType, dims!.split(", ").map(Number), k).bytes]),
  );
}
function tensor(d: DType, dims: readonly number[], seed: number): Tensor {
  return new Random(seed + 100).tensor(d, dims);
}
/** The program that a text says. */
export function te(text: string): TeProgram {
  const p = parseTe(text, constantsOf(text));
  verifyTe(p);
  return p;
}
/** One test for each section: text, verifier, results. */
export function testTe(file: string, pass: (p: TeProgram) => TeProgram): readonly Section[] {
  return testSections(new URL(file, import.meta.url), (before) => {
    const p = te(before);
    const result = pass(p);
    verifyTe(result);
    expectSame(p, result);
    return printTe(result).text;
  });
}
/** Both on the same inputs; symbols are 3, 4, 5, ... */
function expectSame(before: TeProgram, after: TeProgram): void {
  const sizes = new Map(before.symbols.filter((s) => s.def === null).map((s, k) => [s.id, s.max ?? 3 + k]));
  const inputs = before.inputs.map(({ buffer }, k) => {
    const { dtype, shape } = before.buffers.get(buffer)!;
    return tensor(
      dtype,
      shape.map((d) => D.evaluate(d, (s) => sizes.get(s)!)),
      k,
    );
  });
  const want = new Interpreter(before).run(inputs);
  const program = lowerProgram(resolveStorage(after), { target: infos.js, strict: true });
  const named = new Map(after.inputs.map((x, k) => [x.name, inputs[k]!]));
  const got = new Instance(program, { strict: true }).run(named, 0);
  expect([...got.values()].map((x) => [x.dtype, x.dims])).toEqual(want.map((x) => [x.dtype, x.dims]));
  [...got.values()].forEach((x, k) => {
    const numbers = want[k]!.data.map(Number);
    const bound = 1e-6 * Math.max(1, ...numbers.map(Math.abs));
    valuesOf(x).forEach((y, i) => {
      expect(
        Math.abs(Number(y) - numbers[i]!),
        `output ${k}, element ${i}: ${y}, not ${numbers[i]}`,
      ).toBeLessThanOrEqual(bound);
    });
  });
}
