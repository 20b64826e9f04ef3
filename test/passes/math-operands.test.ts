// decompose-math: operands that read memory become lets, computed once and only where the select around them allows.
import { describe, expect, test } from "vitest";
import { decomposeMath } from "../../passes/loops/decompose-math.ts";
import type { BufferId } from "../../src/base/brand.ts";
import * as E from "../../src/ir/expr.ts";
import type { LoopExpr, Stmt } from "../../src/ir/loops.ts";
import { exprsOf, visitExpr, visitStmt } from "../../src/ir/rewrite.ts";
import type { TargetInfo } from "../../src/ir/target.ts";
import { compileStore } from "./math-eval.ts";

const target: TargetInfo = {
  name: "test",
  vectorBytes: 16,
  registers: 16,
  cacheBytes: [32768],
  gpu: null,
  natives: new Set(),
  dtypes: new Set(["f32", "i32", "bool"]),
  minCellBytes: 1,
  ioInArena: true,
  pointers: true,
  align: 64,
};
const i = E.v("i");
const at = (b: number, index: LoopExpr = i): LoopExpr => E.load<LoopExpr>({ id: b as BufferId, dtype: "f32" }, [index]);
const f = (op: E.UnaryOp, x: LoopExpr): LoopExpr => E.unary<LoopExpr>(op, x);
const below = (n: number): LoopExpr => E.binary<LoopExpr>("lt", i, E.i32(n));
const zero = E.constant("f32", 0);
const where = (c: LoopExpr, a: LoopExpr, b: LoopExpr): LoopExpr => E.select<LoopExpr>(c, a, b);
const add = (a: LoopExpr, b: LoopExpr): LoopExpr => E.binary<LoopExpr>("add", a, b);
const store = (value: LoopExpr): Stmt => ({ kind: "store", buffer: 9 as BufferId, dtype: "f32", index: [i], value });
const decompose = (value: LoopExpr): Stmt => decomposeMath(store(value), target);

/** Cells that throw when read beyond their end; undefined elements count as such. */
function guardedCells(values: readonly number[]): ArrayLike<number> {
  return new Proxy(values, {
    get: (t, k) => {
      if (typeof k !== "string" || !/^-?\d+$/.test(k)) return Reflect.get(t, k);
      const v = t[Number(k)];
      if (v === undefined) throw new Error(`read of element ${k}`);
      return v;
    },
  });
}
function lets(s: Stmt): string[] {
  const names: string[] = [];
  visitStmt(s, (x) => {
    if (x.kind === "let") names.push(x.name);
  });
  return names;
}
/** Loads that a store of s still does itself. */
function loadsInStore(s: Stmt): number {
  let n = 0;
  visitStmt(s, (x) => {
    if (x.kind === "store") for (const e of exprsOf(x)) visitExpr(e, (y) => void (y.kind === "load" && n++));
  });
  return n;
}

describe("operands that read memory", () => {
  test("are named, once each", () => {
    const x = at(1);
    const s = decompose(add(f("exp", x), f("log", x)));
    expect(lets(s).length).toBe(2);
    expect(loadsInStore(s)).toBe(0);
    expect(lets(decompose(f("exp", E.v("x", "f32"))))).toEqual([]);
    // Of nested functions only the innermost reads.
    expect(lets(decompose(f("exp", f("tanh", x))))).toEqual(["m0"]);
  });
  test("names that the statement has are not taken", () => {
    const s: Stmt = { kind: "let", name: "m0", value: at(1), body: store(f("exp", add(E.v("m0", "f32"), at(2)))) };
    expect(lets(decomposeMath(s, target))).toEqual(["m0", "m1"]);
  });

  // Buffer 1 has 2 elements, buffer 2 has 4, buffer 3 has 8.
  const sizes = [0, 2, 4, 8];
  const cells = Object.fromEntries(
    sizes.map((n, b) => [b, guardedCells(Array.from({ length: n }, (_, k) => 0.1 + 0.2 * k + b))]),
  );
  const cases: readonly (readonly [name: string, value: LoopExpr, want: (i: number) => number])[] = (() => {
    const v = (b: number, k: number): number => Math.fround(0.1 + 0.2 * k + b);
    const shared = f("exp", at(2));
    return [
      ["in a branch", where(below(2), f("exp", at(1)), zero), (k) => (k < 2 ? Math.exp(v(1, k)) : 0)],
      [
        "in the other branch",
        where(E.unary<LoopExpr>("not", below(2)), zero, f("exp", at(1))),
        (k) => (k < 2 ? Math.exp(v(1, k)) : 0),
      ],
      [
        "in both branches",
        where(below(2), f("exp", at(1)), where(below(4), f("log", at(2)), f("sin", at(3)))),
        (k) => (k < 2 ? Math.exp(v(1, k)) : k < 4 ? Math.log(v(2, k)) : Math.sin(v(3, k))),
      ],
      [
        "where an inner condition reads too",
        where(below(4), where(E.binary<LoopExpr>("lt", at(2), E.constant("f32", 2.25)), f("exp", at(1)), shared), zero),
        (k) => (k < 4 ? (v(2, k) < 2.25 ? Math.exp(v(1, k)) : Math.exp(v(2, k))) : 0),
      ],
      [
        "shared by branches",
        add(where(below(2), add(shared, at(1)), zero), where(below(4), shared, zero)),
        (k) => (k < 4 ? Math.exp(v(2, k)) : 0) + (k < 2 ? Math.exp(v(2, k)) + v(1, k) : 0),
      ],
      [
        "of a condition",
        where(
          below(4),
          where(E.binary<LoopExpr>("lt", f("sin", at(2)), E.constant("f32", 0.75)), f("exp", at(2)), zero),
          zero,
        ),
        (k) => (k < 4 && Math.sin(v(2, k)) < 0.75 ? Math.exp(v(2, k)) : 0),
      ],
      [
        "of an operand that has functions of its own",
        where(below(4), f("exp", add(f("sin", at(2)), at(2))), zero),
        (k) => (k < 4 ? Math.exp(Math.sin(v(2, k)) + v(2, k)) : 0),
      ],
    ];
  })();
  test.each(cases)("%s, are read only where they may be", (_, value, want) => {
    const s = decompose(value);
    expect(lets(s).length).toBeGreaterThan(0);
    for (let k = 0; k < 8; k++)
      expect(compileStore(s, "separate", true).value({ i: k }, cells) as number).toBeCloseTo(want(k), 4);
  });
  test("of if are named before it, of a loop's condition not", () => {
    const cond = E.binary<LoopExpr>("lt", f("exp", at(1)), zero);
    const branch = decomposeMath({ kind: "if", cond, then: store(zero) }, target);
    expect(branch.kind).toBe("let");
    const loop = decomposeMath({ kind: "while", cond, body: store(zero) }, target);
    expect(loop.kind).toBe("while");
  });
});
