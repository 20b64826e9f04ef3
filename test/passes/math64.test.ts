// decompose-math in f64: exact values at arguments where it is worst, sweeps against Math.*, and special cases.
import { describe, expect, test } from "vitest";
import { decomposeMath } from "../../passes/loops/decompose-math.ts";
import type { BufferId } from "../../src/base/brand.ts";
import * as E from "../../src/ir/expr.ts";
import type { LoopExpr } from "../../src/ir/loops.ts";
import type { TargetInfo } from "../../src/ir/target.ts";
import { compile, type Rounding } from "./math-eval.ts";
import { exact64 } from "./math-fixtures.ts";
import { erf, ieeePow, ulps64 } from "./math-reference.ts";

const target: TargetInfo = {
  name: "test",
  vectorBytes: 4,
  registers: 16,
  cacheBytes: [32768],
  gpu: null,
  natives: new Set(),
  dtypes: new Set(["f64", "i64"]),
  minCellBytes: 1,
  ioInArena: true,
  pointers: false,
  align: 64,
};
function compiled(op: string, rounding: Rounding): (x: number, y: number) => number {
  const [x, y] = [E.v("x", "f64"), E.v("y", "f64")];
  const value = op === "pow" ? E.binary<LoopExpr>("pow", x, y) : E.unary<LoopExpr>(op as E.UnaryOp, x);
  const s = decomposeMath({ kind: "store", buffer: 0 as BufferId, dtype: "f64", index: [E.i32(0)], value }, target);
  const f = compile(s.kind === "store" ? s.value : value, rounding);
  return (a, b) => f({ x: a, y: b }, {}) as number;
}
/** By function: what JavaScript computes, the greatest error in ulps, and the range of a sweep. */
const functions: readonly (readonly [
  op: string,
  f: (x: number, y: number) => number,
  ulps: number,
  from: number,
  to: number,
])[] = [
  ["exp", Math.exp, 1, -745, 710],
  ["log", Math.log, 0.9, 0, 4],
  ["sin", Math.sin, 0.9, -1.6e6, 1.6e6],
  ["cos", Math.cos, 0.9, -1.6e6, 1.6e6],
  ["tanh", Math.tanh, 2.3, -22, 22],
  ["erf", erf, 1.8, -6, 6],
  ["pow", ieeePow, 1.2, 0, 40],
];
const roundings: readonly Rounding[] = ["separate", "fused"];

describe("f64", () => {
  for (const [op, reference, bound, from, to] of functions) {
    test.each(roundings)(`${op} within ${bound} ulp of exact values, %s`, (rounding) => {
      const f = compiled(op, rounding);
      const lines = exact64[op]!.trim()
        .split("\n")
        .map((l) => l.trim().split(" ").map(Number));
      expect(lines.length).toBe(24);
      for (const numbers of lines) {
        const [value, rest] = numbers.slice(-2) as [number, number];
        const got = f(numbers[0]!, numbers[1]!);
        expect(ulps64(got, value, rest), `${op}(${numbers[0]}) = ${got}, not ${value}`).toBeLessThanOrEqual(bound);
      }
    });
    test.each(roundings)(`${op} is near JavaScript's all over the range, %s`, (rounding) => {
      const f = compiled(op, rounding);
      // erf's reference is a dozen ulps off in the middle.
      const near = op === "erf" ? 16 : bound + 1;
      let worst = 0;
      let at: unknown = null;
      for (let i = 0; i < 30_000; i++) {
        const t = (i * 0.6180339887498949) % 1;
        const x =
          i % 2 === 0 ? from + t * (to - from) : (from < 0 && i % 4 === 1 ? -1 : 1) * Math.min(10 ** (t * 20 - 18), to);
        const y = op === "pow" ? ((((i * 0.7548776662466927) % 1) * 2 - 1) * 1000) / Math.log2(x) : 0;
        if (!Number.isFinite(y)) continue;
        const u = ulps64(f(x, y), reference(x, y), 0);
        if (!(u <= worst)) [worst, at] = [u, [x, y]];
      }
      expect(worst, JSON.stringify(at)).toBeLessThanOrEqual(near);
    });
    if (op === "pow") continue;
    test(`${op}: special arguments`, () => {
      const f = compiled(op, "separate");
      for (const x of [0, -0, Infinity, -Infinity, Number.NaN, 2 ** -1074, -(2 ** -1074), 1e300, -1e300]) {
        const want = reference(x, 0);
        // Of 1e300 only the bounds of sin and cos are promised.
        if (Math.abs(x) === 1e300 && (op === "sin" || op === "cos")) expect(Math.abs(f(x, 0))).toBeLessThanOrEqual(1);
        else if (!Object.is(f(x, 0), want))
          expect(ulps64(f(x, 0), want, 0), `${op}(${x}) = ${f(x, 0)}, not ${want}`).toBeLessThanOrEqual(1);
      }
    });
  }
  test("pow: special arguments", () => {
    const f = compiled("pow", "separate");
    const s = [
      0,
      1,
      2,
      0.5,
      3,
      2.5,
      Infinity,
      1e-310,
      1e308,
      2 ** 53 - 1,
      2 ** 53,
      2 ** 54 - 2,
      1e-200,
      1e200,
      2 ** -1074,
    ];
    for (const x of [...s, ...s.map((v) => -v), Number.NaN]) {
      for (const y of [...s, ...s.map((v) => -v), Number.NaN]) {
        const [got, want] = [f(x, y), ieeePow(x, y)];
        if (!Object.is(got, want))
          expect(ulps64(got, want, 0), `pow(${x}, ${y}) = ${got}, not ${want}`).toBeLessThanOrEqual(2);
      }
    }
  });
  test("log of denormals, exp to denormals", () => {
    const [log, exp] = [compiled("log", "separate"), compiled("exp", "separate")];
    for (let k = -1074; k < -1000; k++)
      expect(ulps64(log(1.7 * 2 ** k, 0), Math.log(1.7 * 2 ** k), 0)).toBeLessThanOrEqual(2);
    for (let x = -746; x < -708; x += 0.013)
      expect(Math.abs(exp(x, 0) - Math.exp(x))).toBeLessThanOrEqual(2 ** -1074 + Math.exp(x) * 2 ** -51);
    expect([exp(-746, 0), exp(-1e308, 0), exp(710, 0)]).toEqual([0, 0, Infinity]);
  });
});
