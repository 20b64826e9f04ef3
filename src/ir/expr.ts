// Scalar expressions, shared by the tensor-expression IR (T) and the loop IR (L).
//
// Semantics, on every target and for every dtype it has:
// - integers wrap; x/0 and x%0 are 0 and MIN/-1 wraps; truncdiv/floordiv and truncmod/floormod are different ops;
// - float to integer (cast) saturates and NaN gives 0; integer to narrower integer wraps; anything to bool is x != 0;
// - max(a, b) is a < b ? b : a and min(a, b) is b < a ? b : a (a NaN in a passes through: wasm pmax/pmin);
//   nanmax and nanmin propagate NaN from either side;
// - round is to nearest, ties to even; a shift by the width or more is 0 (shr of a negative signed value by that much: -1);
// - denormals are kept on the CPU, unspecified in WGSL; mulAdd says how it rounds;
// - dot16(a, b) of i32, each two i16 side by side: the sum of the products of the low and of the high halves (wrapping); widen8(x):
//   the two low bytes of x, each an i8, as such halves. So narrow integers are multiplied two at a time in registers of 32 bits;
// - select evaluates only the chosen side: a load in the other side may be out of bounds;
// - `and`, `or`, `xor`, `not` take and give bool; comparisons give bool; a binary's operands have one dtype.
// Expressions are immutable and may share subtrees; walkers over them memoise on identity.
import { assert } from "../base/assert.ts";
import type { BufferId } from "../base/brand.ts";
import type { Dim } from "./dim.ts";
import * as D from "./dim.ts";
import type { DType } from "./types.ts";
import { is64, isFloat } from "./types.ts";

export type UnaryOp =
  | "neg"
  | "abs"
  | "sqrt"
  | "exp"
  | "log"
  | "sin"
  | "cos"
  | "tanh"
  | "erf"
  | "floor"
  | "ceil"
  | "round"
  | "trunc"
  | "recip"
  | "not"
  | "bitnot"
  | "isnan"
  | "widen8";
export type BinaryOp =
  | "add"
  | "sub"
  | "mul"
  | "div"
  | "truncdiv"
  | "floordiv"
  | "truncmod"
  | "floormod"
  | "pow"
  | "min"
  | "max"
  | "nanmin"
  | "nanmax"
  | "and"
  | "or"
  | "xor"
  | "bitand"
  | "bitor"
  | "bitxor"
  | "shl"
  | "shr"
  | "dot16"
  | "lt"
  | "le"
  | "eq"
  | "ne";
export const unaryOps: readonly UnaryOp[] = [
  "neg",
  "abs",
  "sqrt",
  "exp",
  "log",
  "sin",
  "cos",
  "tanh",
  "erf",
  "floor",
  "ceil",
  "round",
  "trunc",
  "recip",
  "not",
  "bitnot",
  "isnan",
  "widen8",
];
export const binaryOps: readonly BinaryOp[] = [
  "add",
  "sub",
  "mul",
  "div",
  "truncdiv",
  "floordiv",
  "truncmod",
  "floormod",
  "pow",
  "min",
  "max",
  "nanmin",
  "nanmax",
  "and",
  "or",
  "xor",
  "bitand",
  "bitor",
  "bitxor",
  "shl",
  "shr",
  "dot16",
  "lt",
  "le",
  "eq",
  "ne",
];
export function isCompare(op: BinaryOp): boolean {
  return op === "lt" || op === "le" || op === "eq" || op === "ne";
}

/** value is a bigint exactly when dtype is i64 or u64; bool is 0 or 1. */
export interface Const {
  readonly kind: "const";
  readonly dtype: DType;
  readonly value: number | bigint;
}
/** An axis or loop variable (i32), a `let` (in L maybe a vector of `lanes`), a scalar parameter, or the symbol of a dim (i32, by its id). */
export interface Var {
  readonly kind: "var";
  readonly dtype: DType;
  readonly name: string;
  readonly lanes?: number;
}
/** In T and unflattened L the index is logical, one i32 expression per axis; after `flatten` it is one linear index (in L maybe a ramp). */
export interface Load<E> {
  readonly kind: "load";
  readonly dtype: DType;
  readonly buffer: BufferId;
  readonly index: readonly E[];
  readonly via?: string;
  /** In bounds even where a select around it does not choose it: lanes that evaluate both sides may have it. */
  readonly safe?: boolean;
}
/** A small constant table; folds after unrolling. */
export interface Table<E> {
  readonly kind: "table";
  readonly dtype: DType;
  readonly values: readonly number[];
  readonly index: E;
}
export interface Unary<E> {
  readonly kind: "unary";
  readonly op: UnaryOp;
  readonly dtype: DType;
  readonly x: E;
}
/** dtype is the result's: bool for comparisons, else that of the operands. */
export interface Binary<E> {
  readonly kind: "binary";
  readonly op: BinaryOp;
  readonly dtype: DType;
  readonly a: E;
  readonly b: E;
}
/** a*b+c. fused: one rounding; separate: two; either: the target's choice, the default of contractions. */
export interface MulAdd<E> {
  readonly kind: "mulAdd";
  readonly rounding: "fused" | "separate" | "either";
  readonly dtype: DType;
  readonly a: E;
  readonly b: E;
  readonly c: E;
}
export interface Select<E> {
  readonly kind: "select";
  readonly dtype: DType;
  readonly cond: E;
  readonly a: E;
  readonly b: E;
}
export interface Cast<E> {
  readonly kind: "cast";
  readonly dtype: DType;
  readonly x: E;
}
/** Same width: f32 <-> i32/u32, f64 <-> i64/u64, i32 <-> u32, i64 <-> u64. */
export interface Bitcast<E> {
  readonly kind: "bitcast";
  readonly dtype: DType;
  readonly x: E;
}
/** An expression without node kinds of its own: usable in both T and L. */
export type Expr =
  | Const
  | Var
  | Load<Expr>
  | Table<Expr>
  | Unary<Expr>
  | Binary<Expr>
  | MulAdd<Expr>
  | Select<Expr>
  | Cast<Expr>
  | Bitcast<Expr>;

// ---- constructors (light folding of constants only; the rest is simplify's) ----------------------------------
export function constant(dtype: DType, value: number | bigint): Const {
  return { kind: "const", dtype, value: is64(dtype) ? BigInt(value) : Number(value) };
}
export function i32(value: number): Const {
  return { kind: "const", dtype: "i32", value };
}
export function v(name: string, dtype: DType = "i32"): Var {
  return { kind: "var", dtype, name };
}
export function load<E extends { readonly dtype: DType }>(
  b: { readonly id: BufferId; readonly dtype: DType },
  index: readonly E[],
): Load<E> {
  return { kind: "load", dtype: b.dtype, buffer: b.id, index };
}
type Typed = { readonly dtype: DType };
export function unary<E extends Typed>(op: UnaryOp, x: E): Unary<E> {
  return { kind: "unary", op, dtype: op === "isnan" || op === "not" ? "bool" : x.dtype, x };
}
export function binary<E extends Typed>(op: BinaryOp, a: E, b: E): Binary<E> {
  assert(a.dtype === b.dtype, `${op} of ${a.dtype} and ${b.dtype}`);
  return { kind: "binary", op, dtype: isCompare(op) ? "bool" : a.dtype, a, b };
}
export function mulAdd<E extends Typed>(a: E, b: E, c: E, rounding: MulAdd<E>["rounding"] = "either"): MulAdd<E> {
  assert(a.dtype === b.dtype && a.dtype === c.dtype, `mulAdd of ${a.dtype}, ${b.dtype}, ${c.dtype}`);
  return { kind: "mulAdd", rounding, dtype: a.dtype, a, b, c };
}
export function select<E extends Typed>(cond: E, a: E, b: E): Select<E> {
  assert(a.dtype === b.dtype && cond.dtype === "bool", `select of ${cond.dtype}, ${a.dtype}, ${b.dtype}`);
  return { kind: "select", dtype: a.dtype, cond, a, b };
}
export function cast<E extends Typed>(dtype: DType, x: E): E | Cast<E> {
  return x.dtype === dtype ? x : { kind: "cast", dtype, x };
}
export function bitcast<E extends Typed>(dtype: DType, x: E): Bitcast<E> {
  return { kind: "bitcast", dtype, x };
}

/** Short spellings for op definitions, over plain expressions. Numbers are constants of the other operand's dtype. */
type Arg = Expr | number;
function pair(a: Arg, b: Arg): [Expr, Expr] {
  if (typeof a === "number") {
    assert(typeof b !== "number", "two plain numbers");
    return [constant(b.dtype, a), b];
  }
  return [a, typeof b === "number" ? constant(a.dtype, b) : b];
}
function bin(op: BinaryOp) {
  return (a: Arg, b: Arg): Expr => binary(op, ...pair(a, b));
}
export const add: (a: Arg, b: Arg) => Expr = bin("add");
export const sub: (a: Arg, b: Arg) => Expr = bin("sub");
export const mul: (a: Arg, b: Arg) => Expr = bin("mul");
export const div: (a: Arg, b: Arg) => Expr = bin("div");
export const floordiv: (a: Arg, b: Arg) => Expr = bin("floordiv");
export const floormod: (a: Arg, b: Arg) => Expr = bin("floormod");
export const truncdiv: (a: Arg, b: Arg) => Expr = bin("truncdiv");
export const truncmod: (a: Arg, b: Arg) => Expr = bin("truncmod");
export const pow: (a: Arg, b: Arg) => Expr = bin("pow");
export const max: (a: Arg, b: Arg) => Expr = bin("max");
export const min: (a: Arg, b: Arg) => Expr = bin("min");
export const lt: (a: Arg, b: Arg) => Expr = bin("lt");
export const le: (a: Arg, b: Arg) => Expr = bin("le");
export const gt = (a: Arg, b: Arg): Expr => lt(b, a);
export const ge = (a: Arg, b: Arg): Expr => le(b, a);
export const eq: (a: Arg, b: Arg) => Expr = bin("eq");
export const ne: (a: Arg, b: Arg) => Expr = bin("ne");
export const and: (a: Arg, b: Arg) => Expr = bin("and");
export const or: (a: Arg, b: Arg) => Expr = bin("or");
export const not = (x: Expr): Expr => unary("not", x);
export const neg = (x: Expr): Expr => unary("neg", x);
export const where = (c: Expr, a: Arg, b: Arg): Expr => select<Expr>(c, ...pair(a, b));
export const to = (dtype: DType, x: Expr): Expr => cast(dtype, x);

/** A dim as an i32 expression over symbol variables. */
export function ofDim(d: Dim): Expr {
  switch (d.kind) {
    case "int":
      return i32(d.value);
    case "sym":
      return v(d.id);
    case "floordiv":
      return binary<Expr>("floordiv", ofDim(d.a), ofDim(d.by));
    case "mod":
      return binary<Expr>("floormod", ofDim(d.a), ofDim(d.by));
    case "add": {
      let acc: Expr | null = null;
      // Negative terms print as subtractions: a - b, not a + -1*b. Start with a positive term where there is one.
      const terms = [...d.terms].sort((x, y) => Number(leadingNegative(x)) - Number(leadingNegative(y)));
      for (const t of terms) {
        if (acc === null) acc = ofDim(t);
        else
          acc = leadingNegative(t) ? binary<Expr>("sub", acc, ofDim(negated(t))) : binary<Expr>("add", acc, ofDim(t));
      }
      return acc!;
    }
    case "broadcast":
      return d.terms
        .slice(1)
        .reduce((acc, t) => select<Expr>(binary<Expr>("eq", acc, i32(1)), ofDim(t), acc), ofDim(d.terms[0]!));
    case "mul":
    case "max":
    case "min": {
      const op = d.kind;
      return d.terms.slice(1).reduce((acc: Expr, t) => binary<Expr>(op, acc, ofDim(t)), ofDim(d.terms[0]!));
    }
  }
}
function leadingNegative(d: Dim): boolean {
  return d.kind === "int" ? d.value < 0 : d.kind === "mul" && d.terms[0]!.kind === "int" && d.terms[0]!.value < 0;
}
function negated(d: Dim): Dim {
  return D.neg(d);
}

/** An i32 expression as a Dim when it is made of constants, variables, + - * floordiv floormod min max; else null. */
export function toDim(
  e: { readonly kind: string; readonly dtype: DType },
  opaque?: (e: Expr) => Dim | null,
): Dim | null {
  const x = e as Expr;
  if (x.dtype !== "i32") return null;
  switch (x.kind) {
    case "const":
      return D.int(Number(x.value));
    case "var":
      return D.sym(x.name);
    case "unary": {
      if (x.op !== "neg") break;
      const a = toDim(x.x, opaque);
      return a && D.neg(a);
    }
    case "binary": {
      if (!["add", "sub", "mul", "floordiv", "floormod", "min", "max"].includes(x.op)) break;
      const a = toDim(x.a, opaque);
      const b = a && toDim(x.b, opaque);
      if (!a || !b) return null;
      switch (x.op) {
        case "add":
          return D.add(a, b);
        case "sub":
          return D.sub(a, b);
        case "mul":
          // Sums of loaded values are data: multiplied out they would be more work.
          if (opaque && (a.kind === "add" || b.kind === "add") && isData(a) && isData(b)) return opaque(x);
          return D.mul(a, b);
        case "floordiv":
          return D.floordiv(a, b);
        case "floormod":
          return D.mod(a, b);
        case "min":
          return D.min(a, b);
        default:
          return D.max(a, b);
      }
    }
  }
  return opaque ? opaque(x) : null;
}

/** Holds what is no arithmetic of variables (see Simplifier.dim). */
const isData = (d: Dim): boolean => [...D.symbolsOf(d)].some((id) => id.startsWith("#"));

/** The value that starts a max (min) reduction: -inf (inf), or the type's lowest (highest) integer. */
export function lowest(dtype: DType): Const {
  if (isFloat(dtype)) return constant(dtype, Number.NEGATIVE_INFINITY);
  if (dtype === "bool" || dtype.startsWith("u")) return constant(dtype, 0);
  return constant(dtype, -(2n ** BigInt(Number(dtype.slice(1)) - 1)));
}
export function highest(dtype: DType): Const {
  if (isFloat(dtype)) return constant(dtype, Number.POSITIVE_INFINITY);
  if (dtype === "bool") return constant(dtype, 1);
  const bits = BigInt(Number(dtype.slice(1)));
  return constant(dtype, dtype.startsWith("u") ? 2n ** bits - 1n : 2n ** (bits - 1n) - 1n);
}
