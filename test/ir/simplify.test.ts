// The simplifier of expressions: random ones keep their value, whatever the variables, and each rule of its own.
import { describe, expect, test } from "vitest";
import type { BufferId } from "../../src/base/brand.ts";
import * as D from "../../src/ir/dim.ts";
import type { Expr } from "../../src/ir/expr.ts";
import * as E from "../../src/ir/expr.ts";
import type { Kernel, LoopExpr } from "../../src/ir/loops.ts";
import { printExpr } from "../../src/ir/print.ts";
import { children } from "../../src/ir/rewrite.ts";
import { Simplifier } from "../../src/ir/simplify.ts";
import { type Buffer, dense } from "../../src/ir/storage.ts";
import type { DType } from "../../src/ir/types.ts";
import type { Scalar } from "../ops/scalars.ts";
import { type Memory, runKernel } from "../passes/loops/run.ts";
import { Random } from "../schedule/build.ts";

const buffer = (id: number, name: string, dtype: DType): Buffer => {
  const shape = [D.int(8)];
  return { id: id as BufferId, name, dtype, shape, scope: "arena", storage: dense(shape) };
};
const [floats, ints] = [buffer(0, "floats", "f32"), buffer(1, "ints", "i32")];
const ranges: D.Ranges = (id) => {
  const N = D.sym("N");
  if (id === "N") return { min: D.one, max: D.int(6) };
  if (id === "i") return { min: D.zero, max: D.sub(N, D.one) };
  if (id === "j") return { min: D.zero, max: D.int(12), multipleOf: 4 };
  return id === "k" ? { min: D.int(-3), max: D.int(3) } : null;
};
function env(r: Random): Map<string, Scalar> {
  const N = 1 + r.below(6);
  return new Map<string, Scalar>([
    ["N", N],
    ["i", r.below(N)],
    ["j", 4 * r.below(4)],
    ["k", r.below(7) - 3],
  ]);
}
/** The value of an expression: what a kernel stores. */
function computed(e: Expr, vars: ReadonlyMap<string, Scalar>): Scalar {
  const out = buffer(2, "out", e.dtype);
  const memory: Memory[] = [
    [0, -0, 1, 0.5, -2, 3, Number.NaN, Number.POSITIVE_INFINITY],
    [0, 1, -1, 2, 3, 5, -4, 7],
    new Array(8).fill(undefined),
  ];
  const body = {
    kind: "store",
    buffer: out.id,
    dtype: e.dtype,
    index: [E.i32(0)],
    value: e as unknown as LoopExpr,
  } as const;
  const k: Kernel = { name: "k", params: [floats, ints, out], scalars: [], dims: [], mayOverlap: [], body };
  runKernel(k, memory, vars, true);
  return memory[2]![0]!;
}

class Maker {
  private readonly r: Random;
  constructor(r: Random) {
    this.r = r;
  }
  int(depth: number): Expr {
    const { r } = this;
    if (depth === 0)
      return r.below(3) === 0 ? E.i32(r.pick([0, 1, 2, 3, 4, 8, -1])) : E.v(r.pick(["N", "i", "j", "k"]));
    const a = this.int(depth - 1);
    const b = this.int(r.below(depth));
    const divisor = r.below(3) === 0 ? E.v("N") : E.i32(r.pick([1, 2, 4, 8]));
    switch (r.below(13)) {
      case 0:
      case 1:
        return E.add(a, b);
      case 2:
        return E.sub(a, b);
      case 3:
        return E.mul(a, this.int(0));
      case 4:
        return E.floordiv(a, divisor);
      case 5:
        return E.floormod(a, divisor);
      case 6:
        return r.pick([E.min, E.max])(a, b);
      case 7:
        return r.pick([E.truncdiv, E.truncmod])(a, r.below(2) === 0 ? b : divisor);
      case 8:
        return E.neg(a);
      case 9:
        return E.mulAdd(a, this.int(0), b);
      case 10:
        return E.where(this.bool(depth - 1), a, b);
      case 11:
        return E.load(ints, [E.floormod(a, 8)]);
      default:
        return r.below(2) === 0
          ? E.to("i32", E.to("i64", a))
          : { kind: "table", dtype: "i32", values: [5, -1, 0, 2], index: E.floormod(a, 4) };
    }
  }
  bool(depth: number): Expr {
    const { r } = this;
    if (depth === 0) return E.constant("bool", r.below(2));
    switch (r.below(6)) {
      case 0:
      case 1:
      case 2:
        return r.pick([E.lt, E.le, E.eq, E.ne])(this.int(depth - 1), this.int(depth - 1));
      case 3:
        return r.pick([E.lt, E.le, E.eq, E.ne])(this.float(depth - 1), this.float(depth - 1));
      case 4:
        return r.pick([E.and, E.or])(this.bool(depth - 1), this.bool(depth - 1));
      default:
        return E.not(this.bool(depth - 1));
    }
  }
  float(depth: number): Expr {
    const { r } = this;
    if (depth === 0) return E.constant("f32", r.pick([0, -0, 1, 0.5, -2]));
    const [a, b] = [this.float(depth - 1), this.float(r.below(depth))];
    switch (r.below(8)) {
      case 0:
        return r.pick([E.add, E.sub, E.mul, E.div])(a, b);
      case 1:
        return r.pick([E.add, E.sub, E.mul, E.div])(a, E.constant("f32", r.pick([0, -0, 1])));
      case 2:
        return r.pick([E.min, E.max])(a, b);
      case 3:
        return E.neg(a);
      case 4:
        return E.where(this.bool(depth - 1), a, b);
      case 5:
        return E.to("f32", this.int(depth - 1));
      default:
        return E.load(floats, [E.floormod(this.int(depth - 1), 8)]);
    }
  }
}
function size(e: Expr): number {
  return (children(e) as readonly Expr[]).reduce((n, c) => n + size(c), 1);
}

describe("random expressions", () => {
  const r = new Random(11);
  const samples = Array.from({ length: 3000 }, (_, n): Expr => {
    const m = new Maker(r);
    return [m.int(4), m.float(4), m.bool(4)][n % 3]!;
  });
  const simple = (e: Expr): Expr => new Simplifier(ranges).simplify(e as LoopExpr) as Expr;
  const text = (e: Expr): string => printExpr(e as LoopExpr, [floats, ints]);

  test("keep their values", () => {
    let changed = 0;
    for (const e of samples) {
      const s = simple(e);
      if (text(s) !== text(e)) changed++;
      for (let n = 0; n < 8; n++) {
        const vars = env(r);
        const [want, got] = [computed(e, vars), computed(s, vars)];
        if (!Object.is(want, got))
          expect.fail(`${text(e)} is ${want}, but ${text(s)} ${got}, at ${JSON.stringify([...vars])}`);
      }
    }
    expect(changed).toBeGreaterThan(samples.length / 2);
  });
  // Loads among the terms of a sum stand in the order in which they are met.
  test("are simple after one step, but for the order of terms", () => {
    const words = (e: Expr): string => (text(e).match(/[\w.]+|\S/g) ?? []).sort().join(" ");
    for (const e of samples) {
      const once = simple(e);
      if (words(simple(once)) !== words(once))
        expect.fail(`${text(e)} becomes ${text(once)}, then ${text(simple(once))}`);
    }
  });
  // Products of sums are multiplied out, so it is the form without ranges that is not outgrown; what does not carry leaves a quotient
  // or a remainder, at two nodes more.
  test("do not grow by what is known of the variables", () => {
    const pairs = samples.map((e) => [new Simplifier(() => null).simplify(e as LoopExpr) as Expr, simple(e)] as const);
    const grown = pairs.filter(([plain, s]) => size(s) > size(plain));
    for (const [plain, s] of grown) if (size(s) > size(plain) + 2) expect.fail(`${text(plain)} grows to ${text(s)}`);
    expect(grown.length).toBeLessThan(samples.length / 300);
    const total = (k: 0 | 1): number => pairs.reduce((n, p) => n + size(p[k]), 0);
    expect(total(1)).toBeLessThan(0.9 * total(0));
  });
});

describe("rules", () => {
  const x = E.load(floats, [E.v("i")]);
  const n = E.load(ints, [E.v("i")]);
  const b = E.lt(x, 1);
  const far = E.to("i64", n);
  const same: readonly (readonly [name: string, e: Expr, want: Expr])[] = [
    ["x + 0 stays: -0 + 0 is 0", E.add(x, E.constant("f32", 0)), E.add(x, E.constant("f32", 0))],
    ["x - 0 = x", E.sub(x, E.constant("f32", 0)), x],
    ["x - -0 stays: -0 - -0 is 0", E.sub(x, E.constant("f32", -0)), E.sub(x, E.constant("f32", -0))],
    ["1 * x = x", E.mul(E.constant("f32", 1), x), x],
    ["x / 1 = x", E.div(x, E.constant("f32", 1)), x],
    ["x * 0 stays: NaN * 0 is NaN", E.mul(x, E.constant("f32", 0)), E.mul(x, E.constant("f32", 0))],
    ["far + 0 = far", E.add(far, E.constant("i64", 0)), far],
    ["i32(i64(n)) = n", E.to("i32", far), n],
    ["i32 of a number", E.to("i32", E.constant("f32", 3)), E.i32(3)],
    ["2 * n - n = n", E.sub(E.mul(n, 2), n), n],
    ["false && b", E.and(E.constant("bool", 0), b), E.constant("bool", 0)],
    ["b || false", E.or(b, E.constant("bool", 0)), b],
    ["!true", E.not(E.constant("bool", 1)), E.constant("bool", 0)],
    ["select(true, x, 2) = x", E.where(E.constant("bool", 1), x, 2), x],
    ["select(b, x, x) = x", E.select<Expr>(b, x, x), x],
    ["i < N", E.lt(E.v("i"), E.v("N")), E.constant("bool", 1)],
    ["N <= i", E.le(E.v("N"), E.v("i")), E.constant("bool", 0)],
    ["j = 13 of a multiple of 4", E.eq(E.v("j"), 13), E.constant("bool", 0)],
    ["k < 3 stays", E.lt(E.v("k"), 3), E.lt(E.v("k"), 3)],
    ["truncdiv(j + 3, 4) of what is not negative", E.truncdiv(E.add(E.v("j"), 3), 4), E.floordiv(E.v("j"), 4)],
    ["truncdiv(k, 2) stays", E.truncdiv(E.v("k"), 2), E.truncdiv(E.v("k"), 2)],
    ["a table at a number", { kind: "table", dtype: "i32", values: [5, 7], index: E.i32(1) }, E.i32(7)],
  ];
  test.each(same)("%s", (_name, e, want) => {
    expect(new Simplifier(ranges).simplify(e as LoopExpr)).toEqual(want);
  });
});
