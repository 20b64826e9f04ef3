// Kernels that differ only in numbers become one text, and compute what they did.
import { expect, test } from "vitest";
import { type SharedNest, shareSizes } from "../../../passes/loops/share.ts";
import * as D from "../../../src/ir/dim.ts";
import type { Kernel } from "../../../src/ir/loops.ts";
import { parseKernel } from "../../../src/ir/parse.ts";
import { printKernel } from "../../../src/ir/print.ts";
import type { Scalar } from "../../ops/scalars.ts";
import { runKernel } from "./run.ts";

/** Sums of `rows` rows of `n` elements, `step` rows apart in x, with unrolled rows at a distance. */
const rows = (name: string, rows: number, n: number, step: number, distance: number, v = "i"): Kernel =>
  parseKernel(`
kernel @k(x: f32[${step * rows + distance}] arena dense, y: f32[${2 * rows}] arena dense) {
  for ${v} in 0..${rows} {
    let at = min(${v}, ${rows - 1})
    unroll "${name}" in 0..2 {
      y[2 * ${v} + "${name}"] = 0.0
    }
    for r in 0..${n} {
      unroll u in 0..2 {
        y[2 * at + u] = y[2 * at + u] + x[${step} * at + ${distance} * u + r]
      }
    }
  }
}`);
const shared = (...ks: readonly Kernel[]): readonly SharedNest[] => shareSizes(ks, () => "");
const text = (k: Kernel, n: SharedNest): string =>
  printKernel({ ...k, body: n.body, params: n.params, dims: [...n.sizes.keys()] }).text.trim();
function results(k: Kernel, sizes: SharedNest["sizes"]): readonly Scalar[] {
  const memory = [Array.from({ length: 400 }, (_, i) => Math.fround(i / 7)), new Array<Scalar>(400).fill(0)];
  runKernel(k, memory, new Map([...sizes].map(([id, d]) => [id, D.known(d)!])), false);
  return memory[1]!;
}

test("extents and strides are handed in; the text is one whatever loops are called", () => {
  const [a, b] = [rows("p", 3, 4, 20, 5), rows("q", 7, 6, 30, 5, "w")];
  const [x, y] = shared(a, b) as [SharedNest, SharedNest];
  expect(text(a, x)).toBe(
    `
kernel @k(x: f32[$any] arena dense, y: f32[$any] arena dense) dims ($size.n0, $size.n1, $size.n2, $size.n3) {
  for i in 0..$size.n0 {
    let at = min($size.n1, i)
    unroll p in 0..2 {
      y[2 * i + p] = 0.0
    }
    for r in 0..$size.n2 {
      unroll u in 0..2 {
        y[2 * at + u] = y[2 * at + u] + x[$size.n3 * at + 5 * u + r]
      }
    }
  }
}`.trim(),
  );
  expect([...y.sizes.values()].map((d) => D.known(d))).toEqual([7, 6, 6, 30]);
  for (const [k, n] of [[a, x] as const, [b, y] as const])
    expect(results({ ...k, body: n.body, params: n.params }, n.sizes)).toEqual(results(k, new Map()));
});
test("distances within an iteration of an innermost loop stay, and tell kernels apart", () => {
  const all = [rows("p", 3, 4, 20, 5), rows("p", 7, 6, 30, 6)];
  for (const [k, n] of shared(...all).entries()) {
    expect(n.sizes.size).toBe(0);
    expect(n.body).toBe(all[k]!.body);
  }
});
test("kernels whose parameters share memory otherwise are different ones", () => {
  const all = [rows("p", 3, 4, 20, 5), rows("p", 7, 6, 30, 5)];
  const nests = shareSizes(all, (n) => String(n === all[0]));
  expect(nests.map((n) => n.sizes.size)).toEqual([0, 0]);
});
test("values are no sizes", () => {
  const k = (factor: string): Kernel =>
    parseKernel(`
kernel @k(x: f32[8] arena dense, y: f32[8] arena dense) {
  for i in 0..8 {
    y[i] = x[i] * ${factor}
  }
}`);
  expect(shared(k("2.0"), k("3.0")).map((n) => n.sizes.size)).toEqual([0, 0]);
});
