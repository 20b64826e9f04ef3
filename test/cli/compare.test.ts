import { expect, test } from "vitest";
import { type DType, tensorOf } from "../../src/ir/types.ts";
import { compare } from "../../src/run/compare.ts";
import { floatsOf, modestBits } from "../../src/run/floats.ts";

const f = (...v: number[]) => tensorOf("f32", [v.length], v);
const t = (rtol: number, atol: number, elementwise = false) => ({ rtol, atol, elementwise });

test("the largest magnitude counts, or each element's own", () => {
  expect(compare(f(1000, 0.05), f(1000, 0), t(1e-4, 0))).toMatchObject({ pass: true, mismatches: 0 });
  const c = compare(f(1000, 0.05), f(1000, 0), t(1e-4, 0, true));
  expect(c).toMatchObject({ pass: false, mismatches: 1 });
  expect(c.maxAbs).toBeCloseTo(0.05);
  expect(c.maxRelToPeak).toBeCloseTo(5e-5);
});
test("NaN equals NaN, equal infinities are equal, others are not", () => {
  expect(compare(f(NaN, Infinity, -Infinity), f(NaN, Infinity, -Infinity)).pass).toBe(true);
  for (const [a, b] of [
    [NaN, 1],
    [1, NaN],
    [Infinity, 1],
    [1, Infinity],
    [Infinity, -Infinity],
    [NaN, Infinity],
  ] as const)
    expect(compare(f(a), f(b), t(1, 1e30)), `${a} ${b}`).toMatchObject({ pass: false, maxAbs: Infinity });
});
test("integers are exact, 64 bits included", () => {
  const big = 2n ** 60n;
  const c = compare(tensorOf("i64", [2], [big + 1n, 5]), tensorOf("i64", [2], [big, 5]), t(1, 1));
  expect(c).toMatchObject({ pass: false, mismatches: 1, maxAbs: 1 });
  expect(compare(tensorOf("bool", [1], [1]), tensorOf("bool", [1], [0])).pass).toBe(false);
});
test("type and shape", () => {
  expect(compare(f(1, 2), tensorOf("f32", [1, 2], [1, 2]))).toMatchObject({ pass: false, mismatches: 2 });
  expect(compare(f(1), tensorOf("f64", [1], [1]))).toMatchObject({ pass: false, mismatches: 1 });
  expect(compare(tensorOf("f32", [0], []), tensorOf("f32", [0], [])).pass).toBe(true);
});
test("an expected output of zeros", () => {
  expect(compare(f(1e-7), f(0))).toMatchObject({ pass: true });
  expect(compare(f(1e-3), f(0))).toMatchObject({ pass: false });
});

const values = (dtype: DType, bits: readonly number[]): number[] => [...floatsOf(tensorOf(dtype, [bits.length], bits))];
test("narrow floats", () => {
  expect(values("f16", [0x3c00, 0xc000, 0x7bff, 0x0001, 0x7c00, 0xfc00, 0x7e00])).toEqual([
    1,
    -2,
    65504,
    2 ** -24,
    Infinity,
    -Infinity,
    NaN,
  ]);
  expect(values("bf16", [0x3f80, 0xff80, 0x7fc0])).toEqual([1, -Infinity, NaN]);
  expect(values("f8e4m3fn", [0x38, 0x7e, 0x7f, 0x01])).toEqual([1, 448, NaN, 2 ** -9]);
  expect(values("f8e5m2", [0x3c, 0x7b, 0x7c])).toEqual([1, 57344, Infinity]);
  expect(values("f8e4m3fnuz", [0x40, 0x7f, 0x80])).toEqual([1, 240, NaN]);
  expect(values("f8e5m2fnuz", [0x40, 0x7f, 0x80])).toEqual([1, 57344, NaN]);
  expect(values("f4e2m1", [1, 2, 7, 15])).toEqual([0.5, 1, 6, -6]);
  expect(values("f8e8m0", [0x7f, 0x80, 0xff])).toEqual([1, 2, NaN]);
});
test("modest bits are modest numbers", () => {
  let n = 12345;
  const random = (): number => {
    n = (Math.imul(n, 1664525) + 1013904223) >>> 0;
    return n;
  };
  for (const dtype of ["f16", "bf16", "f8e4m3fn", "f8e4m3fnuz", "f8e5m2", "f8e5m2fnuz", "f4e2m1", "f8e8m0"] as const)
    for (let i = 0; i < 200; i++) {
      const x = Math.abs(values(dtype, [modestBits(dtype, random)])[0]!);
      expect(x >= 0.25 && x <= 3, `${dtype} ${x}`).toBe(true);
    }
});
