// Random expressions from a fixed seed, over operands with small and full ranges: what a printer may shorten when it knows
// bounds must still mean the same. The expected values come from reference.ts by walking the expression.
import { InternalError } from "../../../src/base/assert.ts";
import type { BinaryOp, UnaryOp } from "../../../src/ir/expr.ts";
import { binary, bitcast, cast, constant, i32, mulAdd, select, unary, v } from "../../../src/ir/expr.ts";
import type { LoopExpr } from "../../../src/ir/loops.ts";
import type { DType, Tensor } from "../../../src/ir/types.ts";
import { is64, isFloat, tensorOf } from "../../../src/ir/types.ts";
import type { Fixture } from "./draft.ts";
import { Draft, fixture, letIn, loadOf, loop, n, store } from "./draft.ts";
import { edges } from "./edges.ts";
import type { Scalar } from "./reference.ts";
import { refBinary, refCast, refUnary } from "./reference.ts";
import { range } from "./structure.ts";

/** Evaluates an expression; loads and variables come from `leaf`. */
export function evaluate(e: LoopExpr, leaf: (e: LoopExpr) => Scalar, memo: Map<LoopExpr, Scalar> = new Map()): Scalar {
  const of = (x: LoopExpr): Scalar => {
    const old = memo.get(x);
    if (old !== undefined) return old;
    const value = evaluate(x, leaf, memo);
    memo.set(x, value);
    return value;
  };
  switch (e.kind) {
    case "const":
      return e.dtype === "f32" ? Math.fround(Number(e.value)) : e.value;
    case "var":
    case "load":
      return leaf(e);
    case "unary":
      return refUnary(e.op, e.x.dtype, of(e.x));
    case "binary":
      return refBinary(e.op, e.a.dtype, of(e.a), of(e.b));
    case "mulAdd":
      return refBinary("add", e.dtype, refBinary("mul", e.dtype, of(e.a), of(e.b)), of(e.c));
    case "select":
      return of(e.cond) ? of(e.a) : of(e.b);
    case "cast":
      return refCast(e.dtype, e.x.dtype, of(e.x));
    case "bitcast":
      return refCast(e.dtype, e.x.dtype, of(e.x));
    default:
      throw new InternalError(`no reference for ${e.kind}`);
  }
}

/** Numbers in 0..count, the same on every machine: a counter, mixed (the finaliser of MurmurHash3). */
function random(seed: number): (count: number) => number {
  let state = seed;
  return (count) => {
    state = (state + 0x9e3779b9) | 0;
    let x = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    return Math.floor((((x ^ (x >>> 16)) >>> 0) / 2 ** 32) * count);
  };
}

const intOps: readonly BinaryOp[] = [
  "add",
  "sub",
  "mul",
  "add",
  "sub",
  "mul",
  "truncdiv",
  "truncmod",
  "floordiv",
  "floormod",
  "min",
  "max",
  "bitand",
  "bitor",
  "bitxor",
  "shl",
  "shr",
];
const floatOps: readonly BinaryOp[] = ["add", "sub", "mul", "div", "min", "max"];
const floatUnaries: readonly UnaryOp[] = ["neg", "abs", "floor", "ceil", "round", "trunc", "sqrt", "recip"];
const constants: readonly number[] = [0, 1, 2, 3, 4, 5, 7, 8, 10, 16, 31, 64, 100, 255, 256, 1000];

class Generator {
  readonly #random: (count: number) => number;
  readonly #leaves: readonly LoopExpr[];
  readonly #dtypes: readonly DType[];
  constructor(seed: number, leaves: readonly LoopExpr[], dtypes: readonly DType[]) {
    this.#random = random(seed);
    this.#leaves = leaves;
    this.#dtypes = dtypes;
  }
  #pick<T>(list: readonly T[]): T {
    return list[this.#random(list.length)]!;
  }
  make(t: DType, depth: number, root = false): LoopExpr {
    if (t === "bool") return this.#bool(depth);
    if (depth === 0 || (!root && this.#random(8) === 0)) return this.#leaf(t);
    const sub = (): LoopExpr => this.make(t, depth - 1);
    switch (this.#random(isFloat(t) ? 7 : 8)) {
      case 0:
        return select<LoopExpr>(this.#bool(depth - 1), sub(), sub());
      case 1: {
        const from = this.#pick(this.#dtypes);
        const x = this.make(from, depth - 1);
        if (from === t) return x;
        const twins = !isFloat(from) && !isFloat(t) && from !== "bool" && is64(from) === is64(t);
        return twins && this.#random(2) === 0 ? bitcast<LoopExpr>(t, x) : cast<LoopExpr>(t, x);
      }
      case 2:
        return unary<LoopExpr>(this.#pick(isFloat(t) ? floatUnaries : (["neg", "abs", "bitnot"] as const)), sub());
      case 3: {
        // Both operands the same expression, by identity.
        const x = sub();
        return binary<LoopExpr>(this.#pick(["add", "mul", "sub"] as const), x, x);
      }
      case 4:
        return mulAdd<LoopExpr>(sub(), sub(), sub(), "separate");
      case 7: {
        // A narrow integer and back.
        const narrow = cast<LoopExpr>(this.#pick(["i8", "u8", "i16", "u16"] as const), sub());
        return cast<LoopExpr>(t, narrow);
      }
      default: {
        const op = this.#pick(isFloat(t) ? floatOps : intOps);
        const b =
          op === "shl" || op === "shr"
            ? binary<LoopExpr>("bitand", sub(), constant(t, is64(t) ? 127 : 63))
            : this.#random(3) === 0
              ? this.#constant(t)
              : sub();
        return binary<LoopExpr>(op, sub(), b);
      }
    }
  }
  #bool(depth: number): LoopExpr {
    const t = this.#pick(this.#dtypes.filter((x) => x !== "bool"));
    if (depth === 0)
      return binary<LoopExpr>(this.#pick(["lt", "le", "eq", "ne"] as const), this.#leaf(t), this.#constant(t));
    switch (this.#random(4)) {
      case 0:
        return binary<LoopExpr>(
          this.#pick(["and", "or", "xor", "eq", "ne"] as const),
          this.#bool(depth - 1),
          this.#bool(depth - 1),
        );
      case 1:
        return unary<LoopExpr>("not", this.#bool(depth - 1));
      case 2:
        return cast<LoopExpr>("bool", this.make(t, depth - 1));
      default:
        return binary<LoopExpr>(
          this.#pick(["lt", "le", "eq", "ne"] as const),
          this.make(t, depth - 1),
          this.make(t, depth - 1),
        );
    }
  }
  #leaf(t: DType): LoopExpr {
    const fit = this.#leaves.filter((x) => x.dtype === t);
    const cell = this.#pick(this.#leaves);
    const r = this.#random(6);
    if (r === 0) return this.#constant(t);
    if (r < 3 || fit.length === 0) return cast<LoopExpr>(t, cell);
    return this.#pick(fit);
  }
  #constant(t: DType): LoopExpr {
    const c = this.#pick(constants);
    if (isFloat(t)) return constant(t, c / 4 - 3);
    return constant(t, t.startsWith("i") && c > 0 && this.#random(3) === 0 ? -c : c);
  }
}

/** `count` expressions of each register dtype over a loop variable, a dim, a let, and loads of every cell in `cells`. */
export function fuzz(
  name: string,
  seed: number,
  dtypes: readonly DType[],
  cells: readonly (keyof typeof edges)[],
  ieee: boolean,
): Fixture {
  const d = new Draft(name);
  const rows = 24;
  const draw = random(seed * 77 + 1);
  const samples = new Map(cells.map((t) => [t, range(rows).map(() => edges[t][draw(edges[t].length)]!)]));
  const inputs = cells.map((t) => d.input(`in ${t}`, t, [n(rows)]));
  const registers = dtypes.filter((t) => t !== "bool");
  const outputs = registers.map((t) => d.output(`out ${t}`, t, [n(8), n(rows)]));
  const expected: Record<string, Tensor> = {};
  registers.forEach((t, o) => {
    const values: Scalar[] = [];
    for (let r = 0; r < 8; r++) {
      const k = d.kernel(
        `${t}_${r}`,
        (kd) => {
          const params = cells.map((c) => kd.param(c, c, [n(rows)]));
          const z = kd.param("z", t, [n(rows)]);
          const square: LoopExpr = binary<LoopExpr>("sub", binary<LoopExpr>("mul", v("i"), v("i")), i32(40));
          const leaves = [...params.map((p) => loadOf(p, v("i"))), v("i"), v("n"), v("square")];
          const e = new Generator(seed * 1000 + o * 10 + r, leaves, dtypes).make(t, 5, true);
          for (let i = 0; i < rows; i++) {
            const leaf = (x: LoopExpr): Scalar => {
              if (x.kind === "var") return x.name === "i" ? i : x.name === "n" ? rows : i * i - 40;
              return samples.get(x.dtype as keyof typeof edges)![i]!;
            };
            values.push(evaluate(e, leaf));
          }
          return loop("i", v("n"), letIn("square", square, store(z, v("i"), e)));
        },
        { dims: ["n"] },
      );
      d.run.push(d.call(k, [...inputs, d.part(outputs[o]!, `${t} ${r}`, [n(rows)], n(r * rows))], { dims: [n(rows)] }));
    }
    expected[`out ${t}`] = tensorOf(t, [8, rows], values);
  });
  const given = Object.fromEntries(cells.map((t) => [`in ${t}`, tensorOf(t, [rows], samples.get(t)!)]));
  return fixture(d, [{ inputs: given, expected }], { dtypes, ieee });
}

export const fuzzPrograms: readonly Fixture[] = [
  ...range(4).map((s) => fuzz(`fuzz/i32-u32-${s}`, s + 1, ["i32", "u32", "bool"], ["i32", "u32", "u8", "i8"], false)),
  ...range(4).map((s) =>
    fuzz(`fuzz/ints-${s}`, s + 11, ["i32", "u32", "i64", "u64", "bool"], ["i32", "u32", "i64", "u64", "i16"], false),
  ),
  ...range(6).map((s) =>
    fuzz(
      `fuzz/all-${s}`,
      s + 21,
      ["f32", "f64", "i32", "u32", "i64", "bool"],
      ["f32", "f64", "i32", "i64", "u16", "bool"],
      true,
    ),
  ),
];
