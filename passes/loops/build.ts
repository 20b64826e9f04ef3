// Short spellings for the expressions that loop passes write. A plain number is a constant of the other operand's dtype, and what has
// fewer lanes is spread over the lanes of the other operand, so one text serves scalars and vectors.
import { assert } from "../../src/base/assert.ts";
import * as E from "../../src/ir/expr.ts";
import { type LoopExpr, lanesOf } from "../../src/ir/loops.ts";
import type { DType } from "../../src/ir/types.ts";

export type Arg = LoopExpr | number | bigint;
const isPlain = (x: Arg): x is number | bigint => typeof x === "number" || typeof x === "bigint";

/** x over n lanes. */
export function spread(x: LoopExpr, n: number): LoopExpr {
  const own = lanesOf(x);
  assert(own === 1 || own === n, `${own} lanes beside ${n}`);
  return own === n ? x : { kind: "splat", x, lanes: n, dtype: x.dtype };
}
/** A constant of dtype over the lanes of x. An f32 is rounded here, so that every printer sees the same number. */
export function lit(dtype: DType, value: number | bigint, x: LoopExpr): LoopExpr {
  return spread(E.constant(dtype, dtype === "f32" ? Math.fround(Number(value)) : value), lanesOf(x));
}
/** The variable of a let whose value is x. */
export function variable(name: string, x: LoopExpr): LoopExpr {
  const lanes = lanesOf(x);
  return { kind: "var", dtype: x.dtype, name, ...(lanes > 1 ? { lanes } : {}) };
}
function typed(args: readonly Arg[]): LoopExpr[] {
  const like = args.find((x): x is LoopExpr => !isPlain(x));
  assert(like, "an operation on plain numbers");
  const all = args.map((x) =>
    isPlain(x) ? E.constant(like.dtype, like.dtype === "f32" ? Math.fround(Number(x)) : x) : x,
  );
  return even(all);
}
function even(all: readonly LoopExpr[]): LoopExpr[] {
  const n = Math.max(...all.map(lanesOf));
  return all.map((x) => spread(x, n));
}
const bin =
  (op: E.BinaryOp) =>
  (a: Arg, b: Arg): LoopExpr => {
    const [x, y] = typed([a, b]);
    return E.binary<LoopExpr>(op, x!, y!);
  };
type Bin = (a: Arg, b: Arg) => LoopExpr;
type Un = (x: LoopExpr) => LoopExpr;
const un =
  (op: E.UnaryOp) =>
  (x: LoopExpr): LoopExpr =>
    E.unary<LoopExpr>(op, x);

export const add: Bin = bin("add");
export const sub: Bin = bin("sub");
export const mul: Bin = bin("mul");
export const div: Bin = bin("div");
export const min: Bin = bin("min");
export const max: Bin = bin("max");
export const lt: Bin = bin("lt");
export const le: Bin = bin("le");
export const eq: Bin = bin("eq");
export const ne: Bin = bin("ne");
export const gt: Bin = (a, b) => lt(b, a);
export const ge: Bin = (a, b) => le(b, a);
export const and: Bin = bin("and");
export const or: Bin = bin("or");
export const bitand: Bin = bin("bitand");
export const bitor: Bin = bin("bitor");
export const bitxor: Bin = bin("bitxor");
/** x << n and x >> n (of the sign bit for i32, i64), by a constant. */
export const shl = (x: LoopExpr, n: number): LoopExpr => bin("shl")(x, n);
export const shr = (x: LoopExpr, n: number): LoopExpr => bin("shr")(x, n);
export const neg: Un = un("neg");
export const abs: Un = un("abs");
export const sqrt: Un = un("sqrt");
export const round: Un = un("round");
export const floor: Un = un("floor");
export const not: Un = un("not");
export const isnan: Un = un("isnan");
export const cast = (dtype: DType, x: LoopExpr): LoopExpr => E.cast(dtype, x);
export const bits = (dtype: DType, x: LoopExpr): LoopExpr => (x.dtype === dtype ? x : E.bitcast(dtype, x));
/** cond ? a : b. */
export function select(cond: LoopExpr, a: Arg, b: Arg): LoopExpr {
  const [x, y] = typed([a, b]);
  const [c, p, q] = even([cond, x!, y!]);
  return E.select<LoopExpr>(c!, p!, q!);
}
/** a*b+c, rounded once or twice. */
export function mulAdd(a: Arg, b: Arg, c: Arg): LoopExpr {
  const [x, y, z] = typed([a, b, c]);
  return E.mulAdd<LoopExpr>(x!, y!, z!, "either");
}
/** c[0] + c[1] x + c[2] x^2 + ..., by Horner's rule. */
export function horner(x: LoopExpr, c: readonly number[]): LoopExpr {
  assert(c.length > 1, "a polynomial");
  return c.slice(0, -1).reduceRight((acc: LoopExpr, k) => mulAdd(acc, x, k), lit(x.dtype, c[c.length - 1]!, x));
}
