// Scalar expressions as WGSL. Registers are f32, i32, u32 and bool; 64-bit integers are 32-bit here (a pass before this one
// made them so and checks them at the edge). Every cell of memory is one 32-bit word.
import { assert, InternalError, must, unreachable } from "../../src/base/assert.ts";
import type { BufferId } from "../../src/base/brand.ts";
import { userError } from "../../src/base/diagnostics.ts";
import type { Binary, Load, Unary } from "../../src/ir/expr.ts";
import type { LoopExpr } from "../../src/ir/loops.ts";
import { children } from "../../src/ir/rewrite.ts";
import type { Buffer } from "../../src/ir/storage.ts";
import type { DType } from "../../src/ir/types.ts";
import { intBits, isUnsigned, widened } from "../../src/ir/types.ts";
import type { Helper } from "./helpers.ts";

/** A WGSL register type. */
export type Reg = "f32" | "i32" | "u32" | "bool";

/** The register type of values of `d`. E304 for f64, which WGSL has not. */
export function reg(d: DType): Reg {
  const w = widened(d);
  switch (w) {
    case "f32":
    case "i32":
    case "u32":
    case "bool":
      return w;
    case "i64":
      return "i32";
    case "u64":
      return "u32";
    case "f64":
      throw userError("E304", "WGSL has no 64-bit floats", {
        hint: "compile for wasm, c or js, or convert the model to float32",
      });
    default:
      throw new InternalError(`no register for ${d}`);
  }
}

/** Where a buffer of a kernel lies in the shader. */
export type Place =
  /** A range of a storage binding of u32 words (atomic when a store of the kernel is), from word `offset`. */
  | { readonly kind: "storage"; readonly name: string; readonly offset: string; readonly atomic: boolean }
  /** A workgroup array of u32 words. */
  | { readonly kind: "workgroup"; readonly name: string; readonly atomic: boolean }
  | { readonly kind: "scalar"; readonly name: string }
  | { readonly kind: "array"; readonly name: string };

/** What printing an expression needs to know, and what it leaves behind. */
export interface Scope {
  readonly buffer: (id: BufferId) => { readonly buffer: Buffer; readonly place: Place };
  /** The WGSL expression of a variable, a dim or a scalar parameter. */
  readonly variable: (name: string) => string;
  /** True for a variable that is known to be never negative: a loop's, or a let of such ones. */
  readonly natural: (name: string) => boolean;
  readonly table: (dtype: DType, values: readonly number[]) => string;
  readonly use: (h: Helper) => string;
  /** Subexpressions that already have a name in this statement. */
  readonly named: ReadonlyMap<LoopExpr, string>;
}

/**
 * binds: how tightly its outermost operator does (3: none, 2: * / %, 1: + -, 0: any other);
 * lit: made of literals alone, so WGSL would evaluate it at shader creation.
 */
type Text = { readonly s: string; readonly binds: 0 | 1 | 2 | 3; readonly lit: boolean };
const atom = (s: string): Text => ({ s, binds: 3, lit: false });
const compound = (s: string, binds: Text["binds"] = 0): Text => ({ s, binds, lit: false });
const paren = (t: Text, binds: Text["binds"] = 3): string => (t.binds >= binds ? t.s : `(${t.s})`);

export function printExpr(e: LoopExpr, scope: Scope): string {
  return expr(e, scope).s;
}

/** An f32 literal, as short as it can be and still the same number. */
function floatLiteral(x: number): string {
  for (let p = 1; p < 9; p++) {
    const s = String(Number(x.toPrecision(p)));
    if (Math.fround(Number(s)) === x) return `${s}f`;
  }
  return `${String(Number(x.toPrecision(9)))}f`;
}
const words = new DataView(new ArrayBuffer(4));

export function literal(dtype: DType, value: number | bigint, scope: Scope): Text {
  const r = reg(dtype);
  switch (r) {
    case "bool":
      return { s: Number(value) !== 0 ? "true" : "false", binds: 3, lit: true };
    case "f32": {
      const x = Math.fround(Number(value));
      const plain = x === 0 ? !Object.is(x, -0) : Number.isFinite(x) && Math.abs(x) >= 2 ** -126;
      if (plain) return { s: floatLiteral(x), binds: x >= 0 ? 3 : 0, lit: true };
      words.setFloat32(0, x);
      return atom(`${scope.use("bits_f")}(0x${words.getUint32(0).toString(16)}u)`);
    }
    case "u32":
    case "i32": {
      const v = Number(value);
      const ok = r === "u32" ? v >= 0 && v < 2 ** 32 : v >= -(2 ** 31) && v < 2 ** 31;
      assert(ok && Number.isInteger(v), `the constant ${value} does not fit ${r}`);
      return { s: r === "u32" ? `${v}u` : String(v), binds: v >= 0 ? 3 : 0, lit: true };
    }
    default:
      return unreachable(r, "literal");
  }
}

/** Keeps an expression of literals from being evaluated at shader creation. */
function runtime(t: Text, r: Reg, scope: Scope): Text {
  return t.lit ? atom(`${scope.use(`rt_${r[0] as "f" | "i" | "u" | "b"}`)}(${t.s})`) : t;
}

function expr(e: LoopExpr, scope: Scope): Text {
  const name = scope.named.get(e);
  if (name !== undefined) return atom(name);
  switch (e.kind) {
    case "const":
      return literal(e.dtype, e.value, scope);
    case "var":
      return atom(scope.variable(e.name));
    case "load":
      return load(e, scope);
    case "table": {
      if (e.index.kind === "const") {
        const i = Math.min(Math.max(Number(e.index.value), 0), e.values.length - 1);
        return literal(e.dtype, must(e.values[i], "element of a table"), scope);
      }
      const word = `${scope.table(e.dtype, e.values)}[${expr(e.index, scope).s}]`;
      return fromWord(word, e.dtype);
    }
    case "unary":
      return unary(e, scope);
    case "binary":
      return binary(e, scope);
    case "mulAdd": {
      const [a, b, c] = [runtime(expr(e.a, scope), reg(e.dtype), scope), expr(e.b, scope), expr(e.c, scope)];
      if (e.rounding === "fused" && reg(e.dtype) === "f32") return atom(`fma(${a.s}, ${b.s}, ${c.s})`);
      return compound(`${paren(a, 2)} * ${paren(b)} + ${paren(c, 2)}`, 1);
    }
    case "select": {
      const c = runtime(expr(e.cond, scope), "bool", scope);
      return atom(`select(${typed(e.b, scope)}, ${typed(e.a, scope)}, ${c.s})`);
    }
    case "cast":
      return cast(expr(e.x, scope), e.x.dtype, e.dtype, scope);
    case "bitcast": {
      const [from, to] = [reg(e.x.dtype), reg(e.dtype)];
      const x = expr(e.x, scope);
      return from === to ? x : atom(`bitcast<${to}>(${runtime(x, from, scope).s})`);
    }
    case "ramp":
    case "splat":
    case "lanes":
      throw new InternalError(`WGSL takes no vectors: ${e.kind}`);
    default:
      return unreachable(e, "expression");
  }
}

/** An argument whose literal must say its own type, as `select(0, 1, c)` would not. */
function typed(e: LoopExpr, scope: Scope): string {
  const t = expr(e, scope);
  return t.lit && reg(e.dtype) === "i32" ? `i32(${t.s})` : t.s;
}

/** The index of a load's or store's element in the WGSL array of its buffer. */
export function address(
  place: Place,
  e: { readonly index: readonly LoopExpr[]; readonly via?: string },
  scope: Scope,
): string {
  assert(e.index.length <= 1, "an index that is not linear");
  const i: Text = e.index.length === 0 ? { s: "0", binds: 3, lit: true } : expr(e.index[0]!, scope);
  // A moving pointer counts words from the start of the storage binding.
  const base = e.via !== undefined ? scope.variable(e.via) : place.kind === "storage" ? place.offset : null;
  if (base === null) return i.s;
  return i.s === "0" ? base : `${base} + ${paren(i, 2)}`;
}

function load(e: Load<LoopExpr>, scope: Scope): Text {
  const { buffer, place } = scope.buffer(e.buffer);
  switch (place.kind) {
    case "scalar":
      return atom(place.name);
    case "array":
      return atom(`${place.name}[${address(place, e, scope)}]`);
    default: {
      const cell = `${place.name}[${address(place, e, scope)}]`;
      return fromWord(place.atomic ? `atomicLoad(&${cell})` : cell, buffer.dtype);
    }
  }
}
function fromWord(word: string, dtype: DType): Text {
  switch (reg(dtype)) {
    case "f32":
      return atom(`bitcast<f32>(${word})`);
    case "i32":
      return atom(`bitcast<i32>(${word})`);
    case "u32":
      return atom(word);
    case "bool":
      return compound(`${word} != 0u`);
  }
}
/** The u32 word that a store writes: `value` cut down to the buffer's type. */
export function toWord(value: LoopExpr, dtype: DType, scope: Scope): string {
  const v = stored(value, dtype, scope);
  switch (reg(dtype)) {
    case "u32":
      return v;
    case "bool":
      return `select(0u, 1u, ${v})`;
    default:
      return `bitcast<u32>(${v})`;
  }
}
/** The value that a register variable of type `dtype` takes. */
export function stored(value: LoopExpr, dtype: DType, scope: Scope): string {
  const t = expr(value, scope);
  const same = value.dtype === dtype || (reg(value.dtype) === reg(dtype) && intWidth(dtype) >= 32);
  const s = (same ? t : cast(t, value.dtype, dtype, scope)).s;
  return t.lit && s === t.s && reg(dtype) === "i32" ? `i32(${s})` : s;
}
function intWidth(d: DType): number {
  const r = reg(d);
  return r === "f32" || r === "bool" ? 32 : Math.min(32, intBits(d));
}

/** Wraps an i32 to the range of a narrow integer type. */
function narrow(x: Text, to: DType): Text {
  const bits = intWidth(to);
  if (bits >= 32) return x;
  if (isUnsigned(to)) return compound(`${paren(x)} & ${2 ** bits - 1}`);
  return compound(`(${paren(x)} << ${32 - bits}u) >> ${32 - bits}u`);
}
function cast(x: Text, from: DType, to: DType, scope: Scope): Text {
  const [a, b] = [reg(from), reg(to)];
  if (b === "bool") {
    if (a === "bool") return x;
    const operand = paren(runtime(x, a, scope));
    // As ne below: a NaN is true.
    return compound(a === "f32" ? `!(${operand} == 0f)` : `${operand} != ${a === "u32" ? "0u" : "0"}`);
  }
  if (b === "f32") return a === "f32" ? x : { s: `f32(${typedLiteral(x, a)})`, binds: 3, lit: x.lit };
  if (a === "f32") {
    if (b === "u32") return atom(`${scope.use("f_to_u")}(${x.s})`);
    const i = atom(`${scope.use("f_to_i")}(${x.s})`);
    const bits = intWidth(to);
    if (bits >= 32) return i;
    const [low, high] = isUnsigned(to) ? [0, 2 ** bits - 1] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
    return atom(`clamp(${i.s}, ${low}, ${high})`);
  }
  if (a === "bool") return atom(`select(${b === "u32" ? "0u, 1u" : "0i, 1i"}, ${runtime(x, "bool", scope).s})`);
  const word = runtime(x, a, scope);
  return narrow(a === b ? word : atom(`bitcast<${b}>(${word.s})`), to);
}
const typedLiteral = (x: Text, r: Reg): string => (x.lit && r === "i32" ? `i32(${x.s})` : x.s);

function unary(e: Unary<LoopExpr>, scope: Scope): Text {
  const r = reg(e.x.dtype);
  const x = runtime(expr(e.x, scope), r, scope);
  switch (e.op) {
    case "neg":
      return r === "u32" ? compound(`0u - ${paren(x, 2)}`, 1) : compound(`-${paren(x)}`);
    case "not":
      return compound(`!${paren(x)}`);
    case "bitnot":
      return compound(`~${paren(x)}`);
    case "recip":
      return compound(`1f / ${paren(x)}`, 2);
    case "isnan":
      return r === "f32" ? atom(`${scope.use("isnan_f")}(${x.s})`) : { s: "false", binds: 3, lit: true };
    case "tanh":
      return atom(`${scope.use("tanh_f")}(${x.s})`);
    case "floor":
    case "ceil":
    case "round":
    case "trunc":
      return r === "f32" ? atom(`${e.op}(${x.s})`) : x;
    case "abs":
    case "sqrt":
    case "exp":
    case "log":
    case "sin":
    case "cos":
      return atom(`${e.op}(${x.s})`);
    case "widen8":
      return atom(`${scope.use("widen8_i")}(${x.s})`);
    case "erf":
      throw new InternalError("erf must be decomposed before WGSL");
    default:
      return unreachable(e.op, "unary");
  }
}

function binary(e: Binary<LoopExpr>, scope: Scope): Text {
  const r = reg(e.a.dtype);
  const a0 = expr(e.a, scope);
  const b = expr(e.b, scope);
  const a = a0.lit && b.lit ? runtime(a0, r, scope) : a0;
  const infix = (op: string): Text => {
    const binds = "*/%".includes(op) ? 2 : "+-".includes(op) ? 1 : 0;
    return compound(
      binds > 0 ? `${paren(a, binds)} ${op} ${paren(b, binds === 2 ? 3 : 2)}` : `${paren(a)} ${op} ${paren(b)}`,
      binds,
    );
  };
  const call = (h: Helper): Text => atom(`${scope.use(h)}(${a.s}, ${b.s})`);
  // Always in parentheses: `f(a < b, c > d)` would be a template. Booleans are ordered as integers.
  const ordered = (op: string): Text =>
    atom(r === "bool" ? `(u32(${a.s}) ${op} u32(${b.s}))` : `(${paren(a, 1)} ${op} ${paren(b, 1)})`);
  switch (e.op) {
    case "add":
      return infix("+");
    case "sub":
      return infix("-");
    case "mul":
      return infix("*");
    case "div":
    case "truncdiv":
      return r === "f32"
        ? e.op === "div"
          ? infix("/")
          : atom(`trunc(${infix("/").s})`)
        : divides(e.b)
          ? infix("/")
          : call(r === "u32" ? "div_u" : "div_i");
    case "floordiv":
      if (r === "f32") return atom(`floor(${infix("/").s})`);
      if (r === "u32") return divides(e.b) ? infix("/") : call("div_u");
      return divides(e.b) && positive(e.b) && natural(e.a, scope) ? infix("/") : call("floordiv_i");
    // WGSL: x % 0 is 0 and MIN % -1 is 0; a zero divisor known at shader creation is an error.
    case "truncmod":
      return isConst(e.b, 0) && r !== "f32" ? literal(e.dtype, 0, scope) : infix("%");
    case "floormod":
      if (r === "f32") return call("floormod_f");
      if (isConst(e.b, 0)) return literal(e.dtype, 0, scope);
      return r === "u32" || (positive(e.b) && natural(e.a, scope)) ? infix("%") : call("floormod_i");
    case "pow":
      throw new InternalError("pow must be decomposed before WGSL");
    case "max":
      return r === "f32" ? call("max_f") : r === "bool" ? infix("||") : atom(`max(${a.s}, ${b.s})`);
    case "min":
      return r === "f32" ? call("min_f") : r === "bool" ? infix("&&") : atom(`min(${a.s}, ${b.s})`);
    case "nanmax":
      return r === "f32" ? call("nanmax_f") : atom(`max(${a.s}, ${b.s})`);
    case "nanmin":
      return r === "f32" ? call("nanmin_f") : atom(`min(${a.s}, ${b.s})`);
    case "and":
      return infix("&&");
    case "or":
      return infix("||");
    case "xor":
      return infix("!=");
    case "bitand":
      return infix("&");
    case "bitor":
      return infix("|");
    case "bitxor":
      return r === "bool" ? infix("!=") : infix("^");
    case "shl":
    case "shr": {
      if (e.b.kind === "const" && Number(e.b.value) >= 0 && Number(e.b.value) < 32) {
        return compound(`${paren(runtime(a0, r, scope))} ${e.op === "shl" ? "<<" : ">>"} ${Number(e.b.value)}u`);
      }
      const by = r === "u32" ? b.s : `bitcast<u32>(${runtime(b, r, scope).s})`;
      return atom(`${scope.use(`${e.op}_${r === "u32" ? "u" : "i"}`)}(${a.s}, ${by})`);
    }
    case "dot16":
      return call("dot16_i");
    case "lt":
      return ordered("<");
    case "le":
      return ordered("<=");
    case "eq":
      return infix("==");
    // Drivers compile != of floats as "ordered and unequal", false for a NaN; the IR's ne is true.
    case "ne":
      return r === "f32" ? compound(`!(${infix("==").s})`) : infix("!=");
    default:
      return unreachable(e.op, "binary");
  }
}
function isConst(e: LoopExpr, value: number): boolean {
  return e.kind === "const" && Number(e.value) === value;
}
/** True for a divisor that needs no guard: a constant that is neither 0 nor -1. */
function divides(e: LoopExpr): boolean {
  return e.kind === "const" && Number(e.value) !== 0 && Number(e.value) !== -1;
}
function positive(e: LoopExpr): boolean {
  return e.kind === "const" && Number(e.value) > 0;
}
/** True when an i32 expression is never negative (as long as nothing overflows, which no index does). */
export function natural(e: LoopExpr, scope: Scope): boolean {
  switch (e.kind) {
    case "const":
      return Number(e.value) >= 0;
    case "var":
      return scope.natural(e.name);
    case "load":
      return e.dtype === "u8" || e.dtype === "u16";
    case "binary":
      switch (e.op) {
        case "add":
        case "mul":
        case "max":
        case "min":
          return natural(e.a, scope) && natural(e.b, scope);
        case "floordiv":
        case "truncdiv":
          return natural(e.a, scope) && natural(e.b, scope);
        case "floormod":
          return positive(e.b) || (natural(e.a, scope) && natural(e.b, scope));
        default:
          return false;
      }
    case "mulAdd":
      return natural(e.a, scope) && natural(e.b, scope) && natural(e.c, scope);
    case "select":
      return natural(e.a, scope) && natural(e.b, scope);
    default:
      return false;
  }
}

/** The subexpressions (no leaves) that occur more than once below `roots` by identity, operands before users. */
export function sharedSubtrees(roots: readonly LoopExpr[]): readonly LoopExpr[] {
  const uses = new Map<LoopExpr, number>();
  const order: LoopExpr[] = [];
  const visit = (e: LoopExpr): void => {
    if (e.kind === "const" || e.kind === "var") return;
    const n = uses.get(e) ?? 0;
    uses.set(e, n + 1);
    if (n > 0) return;
    (children(e) as readonly LoopExpr[]).forEach(visit);
    order.push(e);
  };
  roots.forEach(visit);
  return order.filter((e) => uses.get(e)! > 1);
}
