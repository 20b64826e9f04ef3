import { describe, expect, test } from "vitest";
import type { SymbolId } from "../../src/base/brand.ts";
import type { Dim, Range, Ranges } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import { parseDim } from "../../src/ir/parse.ts";

const int = D.int;
const sym = D.sym;
function rangesOf(table: Readonly<Record<string, Range>>): Ranges {
  return (id) => table[id] ?? null;
}
// ---- random dims ---------------------------------------------------------------------------------------------
type Env = { readonly [name: string]: number };
/** A dim and what it is to be worth; null where a divisor is 0 or the extents of a broadcast do not fit: no rule covers these. */
type Sample = { readonly dim: Dim; readonly value: (env: Env) => number | null };

const table: Readonly<Record<string, Range>> = {
  N: { min: int(1), max: int(5) },
  M: { min: int(0), max: null },
  W: { min: int(1), max: int(4) },
  i0: { min: int(0), max: D.sub(D.mul(int(8), sym("N")), int(8)), multipleOf: 8 },
  ii: { min: int(0), max: int(7) },
  x: { min: int(0), max: D.sub(sym("W"), int(1)) },
  y: { min: int(0), max: D.sub(sym("N"), int(1)) },
  z: { min: int(-3), max: int(3) },
  // Lower bounds that name another variable, and one of which nothing is known.
  u: { min: sym("x"), max: D.add(sym("x"), int(3)) },
};
const ranges = rangesOf(table);
const names = [...Object.keys(table), "free"];

function randomOf(seed: number): (n: number) => number {
  let s = seed >>> 0;
  return (n) => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return Math.floor((s / 2 ** 32) * n);
  };
}
function randomEnv(r: (n: number) => number): Env {
  const N = 1 + r(5);
  const W = 1 + r(4);
  const x = r(W);
  return { N, W, x, M: r(7), i0: 8 * r(N), ii: r(8), y: r(N), z: r(7) - 3, u: x + r(4), free: r(21) - 10 };
}
const both =
  (a: Sample, b: Sample, f: (x: number, y: number) => number | null): Sample["value"] =>
  (env) => {
    const [x, y] = [a.value(env), b.value(env)];
    return x === null || y === null ? null : f(x, y);
  };
const modulo = (a: number, b: number): number => a - Math.floor(a / b) * b;

function sample(r: (n: number) => number, depth: number): Sample {
  const leaf = depth === 0 ? r(3) : r(12);
  if (leaf === 0) {
    const n = [0, 1, 2, 4, 8, -1, 3, -4][r(8)]!;
    return { dim: int(n), value: () => n };
  }
  if (leaf <= 2) {
    const name = names[r(names.length)]!;
    return { dim: sym(name), value: (env) => env[name]! };
  }
  const a = sample(r, depth - 1);
  const b = sample(r, depth - 1);
  switch (leaf) {
    case 3:
    case 4:
      return { dim: D.add(a.dim, b.dim), value: both(a, b, (x, y) => x + y) };
    case 5:
      return { dim: D.sub(a.dim, b.dim), value: both(a, b, (x, y) => x - y) };
    case 6:
      return { dim: D.mul(a.dim, b.dim), value: both(a, b, (x, y) => x * y) };
    case 7:
      return { dim: D.floordiv(a.dim, b.dim), value: both(a, b, (x, y) => (y === 0 ? null : Math.floor(x / y))) };
    case 8:
      return { dim: D.mod(a.dim, b.dim), value: both(a, b, (x, y) => (y === 0 ? null : modulo(x, y))) };
    case 9:
      return { dim: D.max(a.dim, b.dim), value: both(a, b, Math.max) };
    case 10:
      return { dim: D.min(a.dim, b.dim), value: both(a, b, Math.min) };
    default: {
      const [p, q] = [sample(r, 0), sample(r, 0)];
      const fits = (x: number, y: number): number | null => (x === y || y === 1 ? x : x === 1 ? y : null);
      if (r(2) === 0) return { dim: D.broadcast(p.dim, q.dim), value: both(p, q, fits) };
      const ceil = (x: number, y: number): number | null => (y === 0 ? null : Math.ceil(x / y));
      return { dim: D.ceildiv(a.dim, b.dim), value: both(a, b, ceil) };
    }
  }
}
const worth = (d: Dim, env: Env): number => D.evaluate(d, (id: SymbolId) => env[id]!);
/** The value where no divisor is 0. */
function defined(d: Dim, env: Env): boolean {
  if (d.kind === "int" || d.kind === "sym") return true;
  if ("by" in d) return worth(d.by, env) !== 0 && defined(d.a, env) && defined(d.by, env);
  return d.terms.every((t) => defined(t, env));
}

describe("random dims", () => {
  const r = randomOf(20261124);
  const samples = Array.from({ length: 6000 }, () => {
    const s = sample(r, 1 + r(4));
    return { ...s, envs: Array.from({ length: 12 }, () => randomEnv(r)) };
  });
  const each = (f: (s: Sample, env: Env, want: number) => void): void => {
    for (const s of samples)
      for (const env of s.envs) {
        const want = s.value(env);
        if (want !== null) f(s, env, want);
      }
  };

  test("constructors keep the value", () => {
    each((s, env, want) => {
      const got = worth(s.dim, env);
      if (got !== want && defined(s.dim, env))
        expect.fail(`${s.dim.key} is ${got}, not ${want}, at ${JSON.stringify(env)}`);
    });
  });
  test("canonical form: reading a key, and substituting nothing, give the same object", () => {
    for (const { dim } of samples) {
      if (parseDim(dim.key) !== dim) expect.fail(`${dim.key} reads back as ${parseDim(dim.key).key}`);
      if (D.substitute(dim, () => null) !== dim)
        expect.fail(`${dim.key} is rebuilt as ${D.substitute(dim, () => null).key}`);
    }
  });
  test("simplify keeps the value, is idempotent and never makes a dim larger", () => {
    const simple = new Map(samples.map(({ dim }) => [dim, D.simplify(dim, ranges)] as const));
    for (const [d, s] of simple) {
      if (D.atomCount(s) > D.atomCount(d)) expect.fail(`${d.key} grows to ${s.key}`);
      if (D.simplify(s, ranges) !== s) expect.fail(`${d.key} becomes ${s.key}, then ${D.simplify(s, ranges).key}`);
    }
    each(({ dim }, env, want) => {
      const s = simple.get(dim)!;
      const got = worth(s, env);
      if (got !== want && defined(dim, env))
        expect.fail(`${dim.key} becomes ${s.key}: ${got}, not ${want}, at ${JSON.stringify(env)}`);
    });
  });
  test("nonNegative, positive, upperBound and lowerBound are sound", () => {
    const claims = new Map(
      samples.map(({ dim }) => [
        dim,
        {
          nonNegative: D.nonNegative(dim, ranges),
          positive: D.positive(dim, ranges),
          upper: D.upperBound(dim, ranges),
          lower: D.lowerBound(dim, ranges),
        },
      ]),
    );
    let proved = 0;
    each(({ dim }, env, value) => {
      if (!defined(dim, env)) return;
      const c = claims.get(dim)!;
      const at = `where ${dim.key} is ${value}, at ${JSON.stringify(env)}`;
      if (c.nonNegative && dim.kind !== "int") proved++;
      if (c.nonNegative && value < 0) expect.fail(`nonNegative claims ${at}`);
      if (c.positive && value < 1) expect.fail(`positive claims ${at}`);
      if (c.upper && defined(c.upper, env) && worth(c.upper, env) < value)
        expect.fail(`upperBound is ${c.upper.key} ${at}`);
      if (c.lower && defined(c.lower, env) && worth(c.lower, env) > value)
        expect.fail(`lowerBound is ${c.lower.key} ${at}`);
    });
    // The test would be empty if nothing were ever proved.
    expect(proved).toBeGreaterThan(1000);
  });
  test("atMost is sound", () => {
    for (let k = 0; k + 1 < samples.length; k += 2) {
      const [a, b] = [samples[k]!, samples[k + 1]!];
      if (!D.atMost(a.dim, b.dim, ranges)) continue;
      for (const env of a.envs) {
        const [x, y] = [a.value(env), b.value(env)];
        if (x !== null && y !== null && x > y)
          expect.fail(`atMost claims ${a.dim.key} <= ${b.dim.key} at ${JSON.stringify(env)}`);
      }
    }
  });
});

describe("identities that have to hold", () => {
  const [N, M, W, H, C, i, i0, ii, j, x, y, f] = ["N", "M", "W", "H", "C", "i", "i0", "ii", "j", "x", "y", "f"].map(
    (n) => sym(n),
  ) as [Dim, Dim, Dim, Dim, Dim, Dim, Dim, Dim, Dim, Dim, Dim, Dim];
  const below = (d: Dim): Range => ({ min: int(0), max: D.sub(d, int(1)) });
  const known = rangesOf({
    N: { min: int(1), max: null },
    M: { min: int(1), max: null },
    W: { min: int(1), max: null },
    H: { min: int(1), max: null },
    C: { min: int(1), max: null },
    i: { min: int(0), max: D.sub(N, int(4)), multipleOf: 4 },
    i0: { min: int(0), max: D.sub(N, int(1)), multipleOf: 8 },
    ii: below(int(8)),
    j: below(int(64)),
    x: below(W),
    y: below(H),
    f: { min: int(0), max: null },
  });
  const s = (d: Dim): Dim => D.simplify(d, known);
  const yxw = D.add(D.mul(y, W), x);
  const cases: readonly (readonly [name: string, got: Dim, want: Dim])[] = [
    ["floordiv(i0 + ii, 8) = floordiv(i0, 8)", D.floordiv(D.add(i0, ii), int(8)), D.floordiv(i0, int(8))],
    ["mod(i0 + ii, 8) = ii", D.mod(D.add(i0, ii), int(8)), ii],
    ["8*floordiv(i0, 8) = i0", D.mul(int(8), D.floordiv(i0, int(8))), i0],
    ["24*M*floordiv(i0, 8) = 3*M*i0", D.mul(int(24), M, D.floordiv(i0, int(8))), D.mul(int(3), M, i0)],
    ["8*floordiv(i0 + ii, 8) = i0", D.mul(int(8), D.floordiv(D.add(i0, ii), int(8))), i0],
    [
      "8*floordiv(i0, 8) + ii - mod(i0 + ii, 8) = i0",
      D.add(D.mul(int(8), D.floordiv(i0, int(8))), ii, D.neg(D.mod(D.add(i0, ii), int(8)))),
      i0,
    ],
    ["floordiv(y*W + x, W) = y", D.floordiv(yxw, W), y],
    ["mod(y*W + x, W) = x", D.mod(yxw, W), x],
    ["floordiv(y*W + x + 2*W, W) = y + 2", D.floordiv(D.add(yxw, D.mul(int(2), W)), W), D.add(y, int(2))],
    ["mod(C*W*H + y*W + x, W*H) = y*W + x", D.mod(D.add(D.mul(C, W, H), yxw), D.mul(W, H)), yxw],
    ["floordiv(C*W*H + y*W + x, W*H) = C", D.floordiv(D.add(D.mul(C, W, H), yxw), D.mul(W, H)), C],
    ["floordiv(mod(C*W*H + y*W + x, W*H), W) = y", D.floordiv(D.mod(D.add(D.mul(C, W, H), yxw), D.mul(W, H)), W), y],
    [
      "C*floordiv(f, W)*W + C*mod(f, W) = C*f",
      D.add(D.mul(C, D.floordiv(f, W), W), D.mul(C, D.mod(f, W))),
      D.mul(C, f),
    ],
    ["8*floordiv(f, 8) + mod(f, 8) = f", D.add(D.mul(int(8), D.floordiv(f, int(8))), D.mod(f, int(8))), f],
    [
      "6*floordiv(floordiv(f, 2), 3) + 2*mod(floordiv(f, 2), 3) = 2*floordiv(f, 2)",
      D.add(
        D.mul(int(6), D.floordiv(D.floordiv(f, int(2)), int(3))),
        D.mul(int(2), D.mod(D.floordiv(f, int(2)), int(3))),
      ),
      D.mul(int(2), D.floordiv(f, int(2))),
    ],
    ["floordiv(floordiv(f, 2), 3) = floordiv(f, 6)", D.floordiv(D.floordiv(f, int(2)), int(3)), D.floordiv(f, int(6))],
    ["floordiv(4*N, 4) = N", D.floordiv(D.mul(int(4), N), int(4)), N],
    ["floordiv(8*f + 3, 4) = 2*f", D.floordiv(D.add(D.mul(int(8), f), int(3)), int(4)), D.mul(int(2), f)],
    ["mod(8*f + 11, 4) = 3", D.mod(D.add(D.mul(int(8), f), int(11)), int(4)), int(3)],
    ["ceildiv(4*N, 4) = N", D.ceildiv(D.mul(int(4), N), int(4)), N],
    ["floordiv(ii, 8) = 0", D.floordiv(ii, int(8)), int(0)],
    ["mod(ii, 8) = ii", D.mod(ii, int(8)), ii],
    ["mod(mod(f, 8), 8) = mod(f, 8)", D.mod(D.mod(f, int(8)), int(8)), D.mod(f, int(8))],
    ["mod(mod(f, 8), 4) = mod(f, 4)", D.mod(D.mod(f, int(8)), int(4)), D.mod(f, int(4))],
    ["floordiv(mod(f, 8), 8) = 0", D.floordiv(D.mod(f, int(8)), int(8)), int(0)],
    ["floordiv(j*W + x, W*64) = 0", D.floordiv(D.add(D.mul(j, W), x), D.mul(W, int(64))), int(0)],
    ["floordiv(2*f, 4) = floordiv(f, 2)", D.floordiv(D.mul(int(2), f), int(4)), D.floordiv(f, int(2))],
    [
      "floordiv(2*f + 1, 4) = floordiv(f, 2)",
      D.floordiv(D.add(D.mul(int(2), f), int(1)), int(4)),
      D.floordiv(f, int(2)),
    ],
    ["min(4, N - i) = 4", D.min(int(4), D.sub(N, i)), int(4)],
    ["max(4, N - i) = N - i", D.max(int(4), D.sub(N, i)), D.sub(N, i)],
    ["max(0, N - 1) = N - 1", D.max(int(0), D.sub(N, int(1))), D.sub(N, int(1))],
    ["max(1, N) = N", D.max(int(1), N), N],
    ["min(W, x + 1) = x + 1", D.min(W, D.add(x, int(1))), D.add(x, int(1))],
    [
      "min(max(x - 1, 0), W - 1) = max(x - 1, 0)",
      D.min(D.max(D.sub(x, int(1)), int(0)), D.sub(W, int(1))),
      D.max(D.sub(x, int(1)), int(0)),
    ],
    ["min(N, N + 2) = N", D.min(N, D.add(N, int(2))), N],
    ["max(N, N + 2, 3) = N + 2", D.max(N, D.add(N, int(2)), int(3)), D.add(N, int(2))],
    ["broadcast(1, N) = N", D.broadcast(int(1), N), N],
    ["broadcast(N, N, 1) = N", D.broadcast(N, N, int(1)), N],
    ["broadcast(4, N) = 4", D.broadcast(int(4), N), int(4)],
    ["(N + 1)*(N - 1) = N*N - 1", D.mul(D.add(N, int(1)), D.sub(N, int(1))), D.sub(D.mul(N, N), int(1))],
  ];
  for (const [name, got, want] of cases)
    test(name, () => {
      expect(s(got).key).toBe(s(want).key);
      expect(s(got)).toBe(want);
    });
  test("a variable that can have one value has it", () => {
    expect(D.simplify(D.add(N, i), rangesOf({ i: { min: int(3), max: int(3) } }))).toBe(D.add(N, int(3)));
    expect(D.simplify(D.add(N, i), rangesOf({ i: { min: M, max: M } }))).toBe(D.add(N, M));
  });
  test("bounds", () => {
    expect(D.upperBound(yxw, known)).toBe(D.sub(D.mul(H, W), int(1)));
    expect(D.lowerBound(yxw, known)).toBe(int(0));
    expect(D.upperBound(D.min(int(4), D.sub(N, i)), known)).toBe(int(4));
    expect(D.nonNegative(D.sub(D.sub(D.mul(W, H), int(1)), yxw), known)).toBe(true);
    expect(D.atMost(D.add(yxw, int(1)), D.mul(W, H), known)).toBe(true);
    expect(D.atMost(D.mul(W, H), yxw, known)).toBe(false);
    expect(D.positive(N, known)).toBe(true);
    expect(D.positive(f, known)).toBe(false);
    expect(D.nonNegative(sym("nothing known"), known)).toBe(false);
  });
  test("bounds of numbers that are too large are not known", () => {
    const huge = rangesOf({ N: { min: int(1), max: int(2 ** 40) }, M: { min: int(1), max: int(2 ** 40) } });
    expect(D.upperBound(D.mul(N, M), huge)).toBe(null);
    expect(D.atMost(D.mul(N, M), int(5), huge)).toBe(false);
    expect(D.lowerBound(D.mul(N, M), huge)).toBe(int(1));
  });
  test("squares are not monotone, and the product of two negative bounds is no bound", () => {
    const z = rangesOf({ x: { min: int(-3), max: int(3) } });
    expect(D.atMost(D.mul(x, x), int(4), z)).toBe(false);
    expect(D.positive(D.mul(x, x), z)).toBe(false);
  });
});

test("division is floor division, by zero gives zero", () => {
  expect(D.floordiv(int(-7), int(2))).toBe(int(-4));
  expect(D.floordiv(int(7), int(-2))).toBe(int(-4));
  expect(D.mod(int(-7), int(2))).toBe(int(1));
  expect(D.mod(int(7), int(-2))).toBe(int(-1));
  expect(D.floordiv(sym("N"), int(0))).toBe(int(0));
  expect(D.mod(sym("N"), int(0))).toBe(int(0));
  expect(D.simplify(D.floordiv(sym("N"), sym("q")), rangesOf({ q: { min: int(0), max: int(0) } }))).toBe(int(0));
  expect(() => int(2 ** 53)).toThrow(/no safe integer/);
  expect(() => int(0.5)).toThrow(/no safe integer/);
});
