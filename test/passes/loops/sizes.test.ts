// What follows from dims alone becomes a dim of the kernel's own.
import { expect, test } from "vitest";
import { Sizes } from "../../../passes/loops/sizes.ts";
import type { SymbolId } from "../../../src/base/brand.ts";
import * as D from "../../../src/ir/dim.ts";
import { sizeRange } from "../../../src/ir/loops.ts";
import { parseKernel } from "../../../src/ir/parse.ts";
import { printKernel } from "../../../src/ir/print.ts";

const ranges: D.Ranges = (id) => (id === "N" || id === "M" ? { min: D.one, max: null } : null);
const N = D.sym("N");

function taken(text: string): { readonly text: string; readonly values: ReadonlyMap<SymbolId, D.Dim> } {
  const k = parseKernel(text);
  const sizes = new Sizes(new Set(["N", "M"]), ranges);
  const body = sizes.stmt(k.body);
  const params = k.params.map((b) => sizes.buffer(b));
  return {
    text: printKernel({ ...k, params, body, dims: [...sizes.values.keys()] }).text.trim(),
    values: sizes.values,
  };
}

test("quotients and joined extents of dims, in loops, indices, shapes", () => {
  const { text, values } = taken(`
kernel @half(x: f32[2, floordiv(N + 1, 2)] arena dense, y: f32[N] arena dense) dims (N, M) {
  for i in 0..floordiv(N + 1, 2) step 4 {
    y[2 * floordiv(N + 1, 2) + floordiv(i, 2)] = x[i + 4 * floordiv(N, 2)] + x[select(N == 1, M, N)]
  }
}`);
  expect(text).toBe(
    `
kernel @half(x: f32[2, $size.0] arena dense, y: f32[N] arena dense) dims ($size.0, $count.1, $size.2) {
  for i in 0..$size.0 step 4 {
    y[2 * $size.0 + floordiv(i, 2)] = x[i + 4 * $count.1] + x[$size.2]
  }
}`.trim(),
  );
  expect([...values]).toEqual([
    ["$size.0", D.floordiv(D.add(N, D.one), D.int(2))],
    ["$count.1", D.floordiv(N, D.int(2))],
    ["$size.2", D.broadcast(N, D.sym("M"))],
  ]);
});
test("sums, products, what may be negative and what other variables have a part in stay", () => {
  const body = `
  for i in 0..2 * N + 1 {
    y[floormod(i, N) + min(i, N)] = x[floordiv(N - 7, 2)]
  }
}`;
  const text = `kernel @rest(x: f32[N] arena dense, y: f32[N] arena dense) dims (N) {${body}`;
  expect(taken(text).values.size).toBe(0);
});
test("their names say what is known of them", () => {
  expect(sizeRange("$size.3")?.min).toBe(D.one);
  expect(sizeRange("$count.3")?.min).toBe(D.zero);
  expect(sizeRange("N")).toBeNull();
});
