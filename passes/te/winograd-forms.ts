// The matrices of F(2x2, 3x3) and F(4x4, 3x3) with the points 0, 1, -1, 2, -2 and infinity (Lavin and Gray 2015, section 4), and products
// with them as few additions.
import { constant } from "../../src/ir/expr.ts";
import type { TeExpr } from "../../src/ir/te.ts";
import { type Tensor, typedView } from "../../src/ir/types.ts";

export type Matrix = readonly (readonly number[])[];
export type Transforms = { readonly input: Matrix; readonly weights: Matrix; readonly output: Matrix };

const two: Transforms = {
  input: [
    [1, 0, -1, 0],
    [0, 1, 1, 0],
    [0, -1, 1, 0],
    [0, 1, 0, -1],
  ],
  weights: [
    [1, 0, 0],
    [1 / 2, 1 / 2, 1 / 2],
    [1 / 2, -1 / 2, 1 / 2],
    [0, 0, 1],
  ],
  output: [
    [1, 1, 1, 0],
    [0, 1, -1, -1],
  ],
};
const four: Transforms = {
  input: [
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
  ],
  weights: [
    [1 / 4, 0, 0],
    [-1 / 6, -1 / 6, -1 / 6],
    [-1 / 6, 1 / 6, -1 / 6],
    [1 / 24, 1 / 12, 1 / 6],
    [1 / 24, -1 / 12, 1 / 6],
    [0, 0, 1],
  ],
  output: [
    [1, 1, 1, 1, 1, 0],
    [0, 1, -1, 2, -2, 0],
    [0, 1, 1, 4, 4, 0],
    [0, 1, -1, 8, -8, 1],
  ],
};
/** For tiles of 2 or 4 outputs a side. */
export const transforms = (size: number): Transforms => (size === 2 ? two : four);

const add = (a: TeExpr, b: TeExpr): TeExpr => ({ kind: "binary", op: "add", dtype: "f32", a, b });
const sub = (a: TeExpr, b: TeExpr): TeExpr => ({ kind: "binary", op: "sub", dtype: "f32", a, b });
const mul = (a: TeExpr, k: number): TeExpr => ({ kind: "binary", op: "mul", dtype: "f32", a, b: constant("f32", k) });
const addTimes = (sum: TeExpr, x: TeExpr, k: number): TeExpr => ({
  kind: "mulAdd",
  rounding: "either",
  dtype: "f32",
  a: x,
  b: constant("f32", k),
  c: sum,
});

/** The sum of k * x over the terms; plain terms first, so that it starts without a product where it can. */
function sum(terms: readonly (readonly [TeExpr, number])[]): TeExpr {
  const live = terms.filter(([, k]) => k !== 0);
  const order = [...live].sort(([, p], [, q]) => rank(p) - rank(q));
  let acc: TeExpr | null = null;
  for (const [x, k] of order) {
    if (acc === null) acc = k === 1 ? x : mul(x, k);
    else acc = k === 1 ? add(acc, x) : k === -1 ? sub(acc, x) : addTimes(acc, x, k);
  }
  return acc ?? constant("f32", 0);
}
const rank = (k: number): number => (k === 1 ? 0 : k === -1 ? 1 : 2);

/** Each row times x. Two rows that differ in the signs of x's odd elements share their halves: even + odd and even - odd. */
export function linearForms(m: Matrix, x: readonly TeExpr[]): TeExpr[] {
  const out: TeExpr[] = [];
  for (let r = 0; r < m.length; r++) {
    const [row, next] = [m[r]!, m[r + 1]];
    const odd = row.some((k, j) => j % 2 === 1 && k !== 0) && row.some((k, j) => j % 2 === 0 && k !== 0);
    if (next && odd && row.every((k, j) => next[j] === (j % 2 === 1 ? -k : k))) {
      const half = (parity: number): TeExpr =>
        sum(row.flatMap((k, j) => (j % 2 === parity ? [[x[j]!, k] as const] : [])));
      const [even, rest] = [half(0), half(1)];
      out.push(add(even, rest), sub(even, rest));
      r++;
    } else out.push(sum(row.map((k, j) => [x[j]!, k] as const)));
  }
  return out;
}

/** Each row times x, where x's elements 1 and 2, 3 and 4 have coefficients of one size: their sums and differences are shared. */
export function outputForms(m: Matrix, x: readonly TeExpr[]): TeExpr[] {
  const n = x.length;
  const pairs = Array.from({ length: (n - 2) / 2 }, (_, k) => {
    const [a, b] = [x[2 * k + 1]!, x[2 * k + 2]!];
    return { at: 2 * k + 1, sum: add(a, b), difference: sub(a, b) };
  });
  return m.map((row) =>
    sum([
      [x[0]!, row[0]!],
      ...pairs.map((p): readonly [TeExpr, number] => [row[p.at] === row[p.at + 1] ? p.sum : p.difference, row[p.at]!]),
      [x[n - 1]!, row[n - 1]!],
    ]),
  );
}

/**
 * U[u, v, own...] = sum of G[u, r] w[r, s, own...] G[v, s] in 64-bit floats, rounded once. taps and own: the dims of `w` (f32) that the
 * window's two axes and the others are.
 */
export function transformedWeights(w: Tensor, taps: readonly number[], own: readonly number[], size: number): Tensor {
  const g = transforms(size).weights;
  const side = size + 2;
  const x = typedView("f32", w.bytes) as Float32Array;
  const strides = w.dims.map((_, k) => w.dims.slice(k + 1).reduce((p, d) => p * d, 1));
  const [down, across] = taps.map((k) => strides[k]!) as [number, number];
  const extents = own.map((k) => w.dims[k]!);
  const count = extents.reduce((p, d) => p * d, 1);
  const out = new Float32Array(side * side * count);
  const half = new Float64Array(side * 3);
  const index = own.map(() => 0);
  for (let n = 0; n < count; n++) {
    const at = index.reduce((p, i, k) => p + i * strides[own[k]!]!, 0);
    for (let u = 0; u < side; u++)
      for (let s = 0; s < 3; s++) {
        let sum = 0;
        for (let r = 0; r < 3; r++) sum += g[u]![r]! * x[at + r * down + s * across]!;
        half[3 * u + s] = sum;
      }
    for (let u = 0; u < side; u++)
      for (let v = 0; v < side; v++) {
        let sum = 0;
        for (let s = 0; s < 3; s++) sum += half[3 * u + s]! * g[v]![s]!;
        out[(u * side + v) * count + n] = sum;
      }
    for (let k = own.length - 1; k >= 0; k--) {
      index[k] = index[k]! + 1;
      if (index[k]! < extents[k]!) break;
      index[k] = 0;
    }
  }
  return { dtype: "f32", dims: [side, side, ...extents], bytes: new Uint8Array(out.buffer) };
}
