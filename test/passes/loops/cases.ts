// Kernels as text before and after a loop pass, which leave the same in memory.
import { expect } from "vitest";
import type { BufferId } from "../../../src/base/brand.ts";
import type { Kernel, Stmt } from "../../../src/ir/loops.ts";
import { parseKernel } from "../../../src/ir/parse.ts";
import { printKernel } from "../../../src/ir/print.ts";
import { visitStmt } from "../../../src/ir/rewrite.ts";
import { type DType, isFloat } from "../../../src/ir/types.ts";
import { verifyKernel } from "../../../src/ir/verify.ts";
import { stored } from "../../ops/interpret.ts";
import { decodeFloat, encodeFloat, isNarrowFloat } from "../../ops/narrow.ts";
import type { Scalar } from "../../ops/scalars.ts";
import { Random } from "../../schedule/build.ts";
import { testSections } from "../sections.ts";
import { type Memory, runKernel, sizeOf } from "./run.ts";

export type Options = {
  /** Indices are logical before, linear after. */
  readonly flattens?: boolean;
  /** Of the largest element. */
  readonly tolerance?: number;
};
/** One test for each section: text, verifier, results. A pass that needs a new buffer's id calls `fresh`. */
export function testLoops(
  file: string,
  pass: (body: Stmt, k: Kernel, fresh: () => BufferId) => Stmt | Kernel,
  options: Options = {},
): void {
  testSections(new URL(file, import.meta.url), (before) => {
    const k = parseKernel(before);
    verifyKernel(k, "scheduled");
    let next = Math.max(...k.params.map((b) => b.id));
    visitStmt(k.body, (s) => {
      if (s.kind === "alloc") next = Math.max(next, s.buffer.id);
    });
    const made = pass(k.body, k, () => ++next as BufferId);
    const result = "params" in made ? made : { ...k, body: made };
    verifyKernel(result, "scheduled");
    expectSame(k, result, options);
    return printKernel(result).text;
  });
}
function expectSame(before: Kernel, after: Kernel, { flattens = false, tolerance = 0 }: Options): void {
  const vars = new Map<string, Scalar>([
    ...before.dims.map((d, n) => [d as string, n + 3] as const),
    ...before.scalars.map((s) => [s.name, 2] as const),
  ]);
  const sizes = new Map([...vars].map(([name, x]) => [name, Number(x)]));
  const start = before.params.map((b, n) => values(b.dtype, sizeOf(b, sizes), n));
  const want = start.map((m) => [...m]);
  runKernel(before, want, vars, flattens);
  const got = start.map((m, n) => m.map((x) => toCell(before.params[n]!.dtype, after.params[n]!.dtype, x!)));
  const changed = got.map((m): Memory => [...m]);
  runKernel(after, changed, vars, false);
  want.forEach((m, n) => {
    const { dtype, name } = before.params[n]!;
    const [w, g] = [m, changed[n]!].map((all, k) => all.map((x) => Number(k === 0 ? x : fromCell(dtype, x!)))) as [
      number[],
      number[],
    ];
    const bound = tolerance * Math.max(...w.map(Math.abs));
    w.forEach((x, i) => {
      expect(Object.is(x, g[i]) || Math.abs(x - g[i]!) <= bound, `${name}[${i}]: ${x} has become ${g[i]}`).toBe(true);
    });
  });
  expect(want, "the kernel does something").not.toEqual(start);
}
function values(d: DType, count: number, seed: number): Memory {
  const r = new Random(seed);
  return Array.from({ length: count }, () => {
    const x = isFloat(d) ? 2 * r.next() : r.below(d === "bool" ? 2 : 7);
    return stored(d, d.endsWith("64") && !isFloat(d) ? BigInt(x) : x);
  });
}
/** An element as the cell that holds it, and back. */
function toCell(from: DType, to: DType, x: Scalar): Scalar {
  if (from === to) return x;
  return isNarrowFloat(from) ? encodeFloat(from, Number(x), false) : Number(x);
}
function fromCell(d: DType, x: Scalar): Scalar {
  return isNarrowFloat(d) ? decodeFloat(d, Number(x)) : x;
}
