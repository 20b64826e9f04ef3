// decompose-math in f32: sweeps of the whole range against Math.* in f64, with `either` rounded once and twice; the cases of IEEE's pow;
// vectors. The bounds are those of the table in decompose-math.ts.
import { describe, expect, test } from "vitest";
import { decomposeMath } from "../../passes/loops/decompose-math.ts";
import type { BufferId } from "../../src/base/brand.ts";
import * as E from "../../src/ir/expr.ts";
import { type LoopExpr, lanesOf } from "../../src/ir/loops.ts";
import { visitExpr } from "../../src/ir/rewrite.ts";
import type { TargetInfo } from "../../src/ir/target.ts";
import type { DType } from "../../src/ir/types.ts";
import { compile, compile1, type Rounding } from "./math-eval.ts";
import { erf, ieeePow, ulps32 } from "./math-reference.ts";

const target: TargetInfo = {
  name: "test",
  vectorBytes: 16,
  registers: 16,
  cacheBytes: [32768],
  gpu: null,
  natives: new Set<E.UnaryOp>(["sqrt", "abs", "floor", "round"]),
  dtypes: new Set<DType>(["f32", "f64", "i32", "u32", "i64", "u64", "bool"]),
  minCellBytes: 1,
  ioInArena: true,
  pointers: true,
  align: 64,
};
/** What is stored, without the lets around it. */
function decompose(value: LoopExpr, on: TargetInfo = target): LoopExpr {
  let s = decomposeMath({ kind: "store", buffer: 0 as BufferId, dtype: value.dtype, index: [E.i32(0)], value }, on);
  while (s.kind === "let") s = s.body;
  if (s.kind !== "store") throw new Error("a store");
  return s.value;
}
const x32 = E.v("x", "f32");
const y32 = E.v("y", "f32");
const roundings: readonly Rounding[] = ["separate", "fused"];
const words = new Int32Array(1);
const float = new Float32Array(words.buffer);
function fromBits(b: number): number {
  words[0] = b;
  return float[0]!;
}
/** Max ulp over every `stride`th f32 within [-limit, limit], and over a finer grid of [-near, near]. */
function sweep(
  f: (x: number) => number,
  want: (x: number) => number,
  stride: number,
  limit: number,
  near: number,
): { readonly worst: number; readonly at: number } {
  let worst = 0;
  let at = 0;
  const one = (x: number): void => {
    if (!(Math.abs(x) <= limit)) return;
    const u = ulps32(f(x), want(x));
    if (!(u <= worst)) [worst, at] = [u, x];
  };
  for (let b = -(2 ** 31); b < 2 ** 31; b += stride) one(fromBits(b));
  for (let i = -200_000; i <= 200_000; i++) one(Math.fround((i * near) / 200_000));
  return { worst, at };
}

type Case = readonly [op: E.UnaryOp, want: (x: number) => number, bound: number, limit: number, near: number];
const cases: readonly Case[] = [
  ["exp", Math.exp, 1, Infinity, 104],
  ["log", Math.log, 1, Infinity, 2],
  ["sin", Math.sin, 1, 102943, 1000],
  ["cos", Math.cos, 1, 102943, 1000],
  ["tanh", Math.tanh, 2.3, Infinity, 10],
  ["erf", erf, 3.3, Infinity, 4],
];
describe("f32", () => {
  for (const [op, want, bound, limit, near] of cases) {
    test.each(roundings)(`${op} within ${bound} ulp, %s`, (rounding) => {
      const f = compile1(decompose(E.unary<LoopExpr>(op, x32)), rounding) as (x: number) => number;
      const { worst, at } = sweep(f, want, op === "erf" ? 9973 : 2999, limit, near);
      expect(worst, `at ${at}`).toBeLessThanOrEqual(bound);
      for (const x of [0, -0, Infinity, -Infinity, Number.NaN, 2 ** -149, -(2 ** -149)])
        expect(f(x), `${op}(${x})`).toBe(Math.fround(want(x)));
    });
  }
  test.each(roundings)("1 + erf x: within 1e-6, and where it is small within 1e-3 of itself, %s", (rounding) => {
    const value = E.binary<LoopExpr>("add", E.constant("f32", 1), E.unary<LoopExpr>("erf", x32));
    const f = compile1(decompose(value), rounding) as (x: number) => number;
    for (let i = -200_000; i <= 200_000; i++) {
      const x = Math.fround((i * 5) / 200_000);
      const want = 1 + erf(x);
      expect(Math.abs(f(x) - want), `${x}`).toBeLessThanOrEqual(1e-6);
      if (x < 0 && x > -3) expect(Math.abs(f(x) / want - 1), `${x}`).toBeLessThanOrEqual(1e-3);
    }
    for (const x of [-6, -9, -12]) expect(f(x)).toBeLessThan(1e-15);
    expect([0, -0, 6, 1e30, Infinity, -1e30, -Infinity, Number.NaN].map(f)).toEqual([1, 1, 2, 2, 2, 0, 0, Number.NaN]);
  });
  test("exp rounds denormal results once", () => {
    const f = compile1(decompose(E.unary<LoopExpr>("exp", x32))) as (x: number) => number;
    for (let x = -104; x < -87; x += 2 ** -12)
      expect(Math.abs(f(x) - Math.exp(x))).toBeLessThanOrEqual(2 ** -149 * 0.53 + Math.exp(x) * 2 ** -24);
    expect([f(-104.5), f(88.7228), f(88.73), f(1e30)]).toEqual([
      0,
      Math.fround(Math.exp(Math.fround(88.7228))),
      Infinity,
      Infinity,
    ]);
  });
  test("sin and cos stay near zeros and, past the reduction's range, those of an argument an ulp or two away", () => {
    for (const [op, want] of [
      ["sin", Math.sin],
      ["cos", Math.cos],
    ] as const) {
      const f = compile1(decompose(E.unary<LoopExpr>(op, x32))) as (x: number) => number;
      for (let k = 1; k < 65000; k += 7) {
        const x = Math.fround((k * Math.PI) / 2);
        expect(ulps32(f(x), want(x)), `${op}(${x})`).toBeLessThanOrEqual(1);
      }
      for (let x = 103000; x < 2 ** 25; x = Math.fround(x * 1.0003)) {
        const ulp = 2 ** (Math.floor(Math.log2(x)) - 23);
        expect(Math.abs(f(x) - want(x)), `${op}(${x})`).toBeLessThanOrEqual(2 * ulp + 2 ** -22);
      }
      for (let x = 2 ** 25; x < 3e38; x *= 1.37) expect(Math.abs(f(Math.fround(x)))).toBeLessThanOrEqual(1);
    }
  });
});

describe("pow in f32", () => {
  test.each(roundings)("within an ulp, %s", (rounding) => {
    const f = compile(decompose(E.binary<LoopExpr>("pow", x32, y32)), rounding);
    let seed = 12345;
    const random = (): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) | 0;
      return seed >>> 0;
    };
    let worst = 0;
    let at: unknown = null;
    for (let i = 0; i < 400_000; i++) {
      let x = fromBits(random() & 0x7fffffff);
      if (i % 3 === 0) x = Math.fround(1 + (random() / 2 ** 32 - 0.5) * 2 ** -(random() % 20));
      if (!(x < Infinity)) continue;
      let y = Math.fround(((random() / 2 ** 31 - 1) * 150) / Math.log2(x));
      if (i % 5 === 0) y = Math.round(y);
      if (i % 7 === 0) x = -x;
      const want = ieeePow(x, y);
      const got = f({ x, y }, {}) as number;
      const u = ulps32(got, want);
      if (!(u <= worst)) [worst, at] = [u, [x, y, want, got]];
    }
    expect(worst, JSON.stringify(at)).toBeLessThanOrEqual(1);
  });
  test("special cases", () => {
    const f = compile(decompose(E.binary<LoopExpr>("pow", x32, y32)));
    const s = [0, 1, 2, 0.5, 3, 2.5, Infinity, 1e-40, 3e38, 16777215, 16777216, 33554431, 1e30, 2 ** -149, 1e-8].map(
      Math.fround,
    );
    const all = [...s, ...s.map((x) => -x), Number.NaN];
    for (const x of all) {
      for (const y of all) {
        const want = ieeePow(x, y);
        const got = f({ x, y }, {}) as number;
        if (!Object.is(got, Math.fround(want)))
          expect(ulps32(got, want), `pow(${x}, ${y}) = ${got}, not ${want}`).toBeLessThanOrEqual(1);
      }
    }
  });
  test.each([0, 1, 2, 3, 4, -1, 0.5])("a constant exponent %f takes no logarithm and means the same", (c) => {
    const e = decompose(E.binary<LoopExpr>("pow", x32, E.constant("f32", c)));
    let nodes = 0;
    visitExpr(e, () => nodes++);
    expect(nodes).toBeLessThan(12);
    const f = compile1(e) as (x: number) => number;
    for (const x of [0, -0, 1, -1, 1.5, -2.25, 1e10, 1e-10, 3e38, Infinity, -Infinity, Number.NaN, 0.1].map(
      Math.fround,
    )) {
      const want = ieeePow(x, c);
      if (!Object.is(f(x), Math.fround(want))) expect(ulps32(f(x), want), `${x}`).toBeLessThanOrEqual(1.5);
    }
  });
});

describe("structure", () => {
  const ops: readonly E.UnaryOp[] = ["exp", "log", "sin", "cos", "tanh", "erf"];
  test.each([...ops, "pow"])("%s of four lanes is the same function", (op) => {
    const ramp: LoopExpr = { kind: "ramp", base: E.i32(0), stride: 1, lanes: 4, dtype: "i32" };
    const vector = E.load<LoopExpr>({ id: 1 as BufferId, dtype: "f32" }, [ramp]);
    const scalar = E.load<LoopExpr>({ id: 1 as BufferId, dtype: "f32" }, [E.i32(0)]);
    const of = (v: LoopExpr): LoopExpr =>
      op === "pow" ? E.binary<LoopExpr>("pow", v, v) : E.unary<LoopExpr>(op as E.UnaryOp, v);
    const wide = decompose(of(vector));
    expect(lanesOf(wide)).toBe(4);
    const text = (e: LoopExpr): string => shape(e, new Map());
    expect(text(wide)).toBe(text(decompose(of(scalar))));
    visitExpr(wide, (e) => {
      if (e.kind === "binary" && (e.op === "shl" || e.op === "shr"))
        expect(e.b.kind === "splat" && e.b.x.kind).toBe("const");
      if (["binary", "unary", "select", "mulAdd", "cast", "bitcast"].includes(e.kind)) {
        for (const c of Object.values(e)) if (typeof c === "object") expect(lanesOf(c as LoopExpr)).toBe(4);
      }
    });
  });
  /** The nodes by number, without splats and lanes. */
  function shape(e: LoopExpr, known: Map<LoopExpr, string>): string {
    if (e.kind === "splat") return shape(e.x, known);
    if (e.kind === "var") return "x";
    const old = known.get(e);
    if (old !== undefined) return old;
    const parts = Object.values(e).map((c) => (typeof c === "object" ? shape(c as LoopExpr, known) : String(c)));
    const own = `${known.size}`;
    const text = `(${own} ${parts.join(" ")})`;
    known.set(e, text.length > 200 ? `#${own}` : text);
    return text;
  }
  test("natives stay for f32 only, shared nodes are decomposed once", () => {
    const native = { ...target, natives: new Set<E.UnaryOp>(["exp"]) };
    const e = E.unary<LoopExpr>("exp", x32);
    expect(decompose(e, native)).toBe(e);
    expect(decompose(E.unary<LoopExpr>("exp", E.v("x", "f64")), native).kind).not.toBe("unary");
    const twice = decompose(E.binary<LoopExpr>("add", e, e)) as Extract<LoopExpr, { kind: "binary" }>;
    expect(twice.a).toBe(twice.b);
    expect(() => decompose(E.unary<LoopExpr>("exp", E.v("x", "f16")))).toThrow("expand-storage");
  });
});
