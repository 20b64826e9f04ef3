// The programs of the proofs: constants, inputs, and what they compute in plain TypeScript, written apart from the compiler.
import { must } from "../../src/base/assert.ts";
import type { DType, Tensor } from "../../src/ir/types.ts";
import { countOf, tensorOf } from "../../src/ir/types.ts";
import type { Tensors } from "./targets.ts";

export type Proof = {
  readonly name: string;
  readonly constants: Tensors;
  readonly runs: readonly { readonly inputs: Tensors; readonly expected: Tensors }[];
  /** Of the largest magnitude of an output. */
  readonly rtol: number;
};

/** Numbers in -1..1, the same in every run of the tests. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}
export const floats = (dims: readonly number[], next: () => number, scale = 1): Tensor =>
  tensorOf(
    "f32",
    dims,
    Array.from({ length: countOf(dims) }, () => Math.fround(scale * next())),
  );
const t = (dtype: DType, dims: readonly number[], values: ArrayLike<number | bigint>): Tensor =>
  tensorOf(dtype, dims, values);
const f32 = (dims: readonly number[], values: readonly number[]): Tensor => t("f32", dims, values);
const list = (x: Tensor): number[] => Array.from(new Float32Array(x.bytes.buffer, x.bytes.byteOffset, countOf(x.dims)));
const range = (n: number): number[] => Array.from({ length: n }, (_, k) => k);
const sum = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0);

function branch(): Proof {
  const run = (x: readonly number[]): Proof["runs"][number] => {
    const s = sum(x);
    const z = x.map((v, i) => (s > 0 ? 2 * v : x[5 - i]! ** 2 - v ** 2 + s));
    return {
      inputs: { x: f32([6], x) },
      expected: {
        y: f32(
          [6],
          z.map((v) => v + 1),
        ),
      },
    };
  };
  return {
    name: "if",
    constants: {},
    runs: [run([1, -2, 3, 4, -5, 6]), run([1, 2, -3, -4, 1.5, -6]), run([0, 0, 0, 0, 0, 0])],
    rtol: 1e-6,
  };
}

function loop(): Proof {
  const matrix = [
    [2, 1, 0],
    [1, 3, 1],
    [0, 1, 4],
  ];
  const run = (start: readonly number[], trips: number): Proof["runs"][number] => {
    let v = start;
    let n = 0;
    const norms = new Array<number>(8).fill(-1);
    for (let going = true; n < trips && going; n++) {
      const product = matrix.map((row) => sum(row.map((m, k) => m * v[k]!)));
      const norm = Math.max(...product.map(Math.abs));
      norms[n] = norm;
      const next = product.map((p) => p / norm);
      going = Math.max(...next.map((x, i) => Math.abs(x - v[i]!))) > 0.01;
      v = next;
    }
    return {
      inputs: { start: f32([3], start), trips: t("i32", [], [trips]) },
      expected: { v: f32([3], v), count: t("i64", [], [n]), norms: f32([8], norms) },
    };
  };
  return {
    name: "loop",
    constants: {},
    // None, an odd and an even number of steps, and one that ends by itself.
    runs: [run([1, 2, 3], 0), run([1, 0, 0], 1), run([1, -1, 1], 4), run([0.3, 0.7, 1], 8)],
    rtol: 1e-6,
  };
}

function nonzero(): Proof {
  const run = (x: readonly number[]): Proof["runs"][number] => {
    const at = range(x.length).filter((i) => x[i] !== 0);
    const squares = at.map((i) => x[i]! ** 2);
    return {
      inputs: { x: f32([x.length], x) },
      expected: {
        at: t("i64", [1, at.length], at),
        share: f32(
          [at.length],
          squares.map((s) => s / sum(squares)),
        ),
      },
    };
  };
  return {
    name: "nonzero",
    constants: {},
    runs: [
      run([0, 3, 0, 0, -1, 2, 0, 0.5]),
      run([]),
      run([0, 0]),
      run([5]),
      run(range(301).map((i) => (i % 3) * (i % 7))),
      run([0, 3, 0, 0, -1, 2, 0, 0.5]),
    ],
    rtol: 1e-5,
  };
}

function gru(): Proof {
  const next = random(7);
  const [W, R, B] = [floats([15, 3], next), floats([15, 5], next), floats([15], next)];
  const [w, r, bias] = [list(W), list(R), list(B)];
  const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
  const run = (steps: number): Proof["runs"][number] => {
    const [X, H] = [floats([steps, 2, 3], next), floats([2, 5], next)];
    const x = list(X);
    let h = list(H);
    const y: number[] = [];
    for (let s = 0; s < steps; s++) {
      const input = (b: number, j: number): number =>
        bias[j]! + sum(range(3).map((k) => x[(s * 2 + b) * 3 + k]! * w[j * 3 + k]!));
      const state = (b: number, j: number, of: readonly number[]): number =>
        sum(range(5).map((k) => of[b * 5 + k]! * r[j * 5 + k]!));
      const old = h;
      const both = range(10).map((n) => [Math.floor(n / 5), n % 5] as const);
      const z = both.map(([b, j]) => sigmoid(input(b, j) + state(b, j, old)));
      const reset = both.map(([b, j], n) => sigmoid(input(b, j + 5) + state(b, j + 5, old)) * old[n]!);
      const hidden = both.map(([b, j]) => Math.tanh(input(b, j + 10) + state(b, j + 10, reset)));
      h = both.map((_, n) => (1 - z[n]!) * hidden[n]! + z[n]! * old[n]!);
      y.push(...h);
    }
    return { inputs: { x: X, h0: H }, expected: { y: f32([steps, 2, 5], y), last: f32([2, 5], h) } };
  };
  return { name: "gru", constants: { W, R, B }, runs: [run(1), run(4), run(0), run(7)], rtol: 1e-5 };
}

function qdqConv(): Proof {
  const next = random(11);
  const W = t(
    "i8",
    [4, 3, 3, 3],
    range(108).map(() => Math.round(next() * 127)),
  );
  const w = new Int8Array(W.bytes.buffer, W.bytes.byteOffset, 108);
  const bias = [100, -50, 0, 7];
  const scale = [0.015625, 0.0078125, 0.03125, 0.0234375];
  const clamp = (x: number): number => Math.max(0, Math.min(255, x));
  // To nearest, ties to even.
  const round = (x: number): number => (x % 1 === 0.5 || x % 1 === -0.5 ? 2 * Math.round(x / 2) : Math.round(x));
  const run = (scaleOf: number): Proof["runs"][number] => {
    // Far from where rounding could go either way; some saturate.
    const x = range(108).map(() => Math.fround(0.125 * (Math.round(next() * scaleOf) + 0.3 * next())));
    const xq = x.map((v) => clamp(round(v / 0.125) + 128));
    const q = range(36).map((n) => {
      const [o, i, j] = [Math.floor(n / 9), Math.floor(n / 3) % 3, n % 3];
      let acc = 0;
      for (const c of range(3))
        for (const di of range(3))
          for (const dj of range(3)) {
            const [a, b] = [i * 2 + di - 1, j * 2 + dj - 1];
            if (a < 0 || a > 5 || b < 0 || b > 5) continue;
            acc += (xq[c * 36 + a * 6 + b]! - 128) * w[o * 27 + c * 9 + di * 3 + dj]!;
          }
      return clamp(round((acc + bias[o]!) * scale[o]!) + 100);
    });
    return {
      inputs: { x: f32([1, 3, 6, 6], x) },
      expected: {
        q: t("u8", [1, 4, 3, 3], q),
        y: f32(
          [1, 4, 3, 3],
          q.map((v) => (v - 100) * 0.5),
        ),
      },
    };
  };
  return { name: "qdq-conv", constants: { w: W }, runs: [run(10), run(160)], rtol: 0 };
}

function sequence(): Proof {
  const next = random(13);
  const run = (lengths: readonly number[]): Proof["runs"][number] => {
    const X = floats([sum(lengths)], next);
    let rest = list(X);
    const pieces = lengths.map((l) => {
      const piece = rest.slice(0, l);
      rest = rest.slice(l);
      return piece;
    });
    const y = pieces
      .reverse()
      .flat()
      .map((v) => 2 * v);
    return {
      inputs: { x: X, lengths: t("i32", [lengths.length], lengths) },
      expected: { y: f32([y.length], y), n: t("i64", [], [y.length]) },
    };
  };
  return {
    name: "sequence",
    constants: {},
    runs: [run([3, 1, 4]), run([]), run([0, 70, 0, 5]), run(range(40)), run([2])],
    rtol: 0,
  };
}

function concat(): Proof {
  const next = random(17);
  const W = floats([4, 8], next);
  const w = list(W);
  const X = floats([5, 4], next);
  const x = list(X);
  const rows = range(5).map((i) => x.slice(4 * i, 4 * i + 4));
  const products = rows.map((row) => range(8).map((j) => sum(row.map((v, k) => v * w[k * 8 + j]!))));
  const y = rows.flatMap((row, i) => {
    const whole = [...products[i]!, ...range(3).map((j) => Math.exp(row[j]!) * Math.exp(row[j + 1]!)), ...row];
    const norm = Math.sqrt(sum(whole.map((v) => v * v)));
    return whole.map((v) => v / norm);
  });
  return {
    name: "concat",
    constants: { w: W },
    runs: [
      {
        inputs: { x: X },
        expected: {
          y: f32([5, 15], y),
          top: f32(
            [5],
            products.map((p) => Math.max(...p)),
          ),
        },
      },
    ],
    rtol: 1e-5,
  };
}

function halo(): Proof {
  const next = random(19);
  const W = floats([3, 3, 3], next);
  const w = list(W);
  const run = (n: number): Proof["runs"][number] => {
    const X = floats([n, 3, 7, 5], next);
    const x = list(X);
    const scaled = (b: number, c: number, i: number, j: number): number =>
      i < 0 || j < 0 || i > 6 || j > 4
        ? 0.5
        : Math.tanh(x[((b * 3 + c) * 7 + i) * 5 + j]!) + must<number>(x[b * 105], "the first element");
    const y = range(n * 105).map((at) => {
      const [b, c, i, j] = [Math.floor(at / 105), Math.floor(at / 35) % 3, Math.floor(at / 5) % 7, at % 5];
      return sum(
        range(9).map((k) => {
          const [di, dj] = [Math.floor(k / 3), k % 3];
          return scaled(b, c, i + di - 1, j + dj - 1) * w[c * 9 + k]!;
        }),
      );
    });
    return { inputs: { x: X }, expected: { y: f32([n, 3, 7, 5], y) } };
  };
  return { name: "halo", constants: { w: W }, runs: [run(1), run(4), run(2)], rtol: 1e-5 };
}

function unbounded(): Proof {
  const next = random(23);
  const run = (n: number, k: number, m: number): Proof["runs"][number] => {
    const [A, B] = [floats([n, k], next), floats([k, m], next)];
    const [a, b] = [list(A), list(B)];
    const product = range(n * m).map((at) => {
      const [i, j] = [Math.floor(at / m), at % m];
      return sum(range(k).map((r) => a[i * k + r]! * b[r * m + j]!));
    });
    const y = range(n).flatMap((i) => {
      const row = product.slice(i * m, i * m + m);
      const e = row.map((v) => Math.exp(v - Math.max(...row)));
      return e.map((v) => v / sum(e));
    });
    return { inputs: { a: A, b: B }, expected: { y: f32([n, m], y), product: f32([n, m], product) } };
  };
  return {
    name: "unbounded",
    constants: {},
    runs: [run(1, 1, 1), run(3, 5, 7), run(33, 17, 40), run(0, 3, 2), run(2, 0, 3), run(4, 64, 16)],
    rtol: 1e-5,
  };
}

export const proofs: readonly Proof[] = [
  branch(),
  loop(),
  nonzero(),
  gru(),
  qdqConv(),
  sequence(),
  concat(),
  halo(),
  unbounded(),
];
