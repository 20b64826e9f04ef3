// Prints expressions of a kernel. Values of i32 are plain C where no overflow is possible, else calls of wrapping helpers; an index is
// computed in ptrdiff_t, where its sum is exact.

import { assert, InternalError, must, unreachable } from "../../src/base/assert.ts";
import type { BufferId } from "../../src/base/brand.ts";
import type { BinaryOp, UnaryOp } from "../../src/ir/expr.ts";
import type { LoopExpr } from "../../src/ir/loops.ts";
import { lanesOf } from "../../src/ir/loops.ts";
import type { DType } from "../../src/ir/types.ts";
import { elementBytes, is64, isFloat } from "../../src/ir/types.ts";
import type { Code } from "./code.ts";
import {
  atom,
  bind,
  call,
  castTo,
  choose,
  infix,
  literal,
  narrowRange,
  prefix,
  product,
  sum,
  tight,
  valueType,
} from "./code.ts";
import type { Ranges } from "./ranges.ts";

/** How a buffer is spelled in a kernel: memory behind a pointer (or a local array), or a local variable. */
export type Home = { readonly kind: "memory" | "scalar" | "vector"; readonly name: string };

/** The names in scope of an expression. */
export type Scope = {
  readonly ranges: Ranges;
  /** By the name in L: the name in C, and whether it is a ptrdiff_t. */
  readonly vars: ReadonlyMap<string, { readonly name: string; readonly wide: boolean }>;
  readonly buffers: ReadonlyMap<BufferId, Home>;
  /** Moving pointers: the variable with their element offset. */
  readonly pointers: ReadonlyMap<string, string>;
  /** Nodes that stand in a temporary of the statement at hand. */
  readonly temps: ReadonlyMap<LoopExpr, string>;
  /** The name of a constant array at file scope. */
  readonly table: (dtype: DType, values: readonly number[]) => string;
  /** Every product is rounded before it is added. */
  readonly strict: boolean;
};

/** f32, i32 or u32: the element of a vector of this dtype; a mask is i32. */
function lane(d: DType): "f32" | "i32" | "u32" {
  if (d === "f32" || d === "u32") return d;
  if (d === "i32" || narrowRange(d) !== null) return "i32";
  throw new InternalError(`no vector of ${d}`);
}
export function vectorType(d: DType, lanes: number): string {
  return `ig_${lane(d)}x${lanes}`;
}
/** Sums and products of i32: in an index they are computed exactly. */
type Linear = Extract<LoopExpr, { kind: "binary" }>;
export function isLinear(e: LoopExpr): e is Linear {
  return e.kind === "binary" && e.dtype === "i32" && (e.op === "add" || e.op === "sub" || e.op === "mul");
}
const isI32 = (d: DType): boolean => d === "i32" || (narrowRange(d) !== null && d !== "bool");

export class ExprPrinter {
  readonly #scope: Scope;
  constructor(scope: Scope) {
    this.#scope = scope;
  }

  /** A value: a scalar of valueType(e.dtype), or a vector of lanesOf(e) lanes. */
  value(e: LoopExpr): Code {
    const temp = this.#scope.temps.get(e);
    if (temp !== undefined) return atom(temp);
    const n = lanesOf(e);
    return n > 1 ? this.#vector(e, n) : this.#scalar(e);
  }

  /** A linear index: what is added or multiplied is ptrdiff_t, unless int is known to suffice. */
  index(e: LoopExpr): Code {
    if (!isLinear(e) || !this.#mayOverflow(e)) return this.value(e);
    const [a, b] = [this.index(e.a), this.index(e.b)];
    // One operand of ptrdiff_t makes the other one too.
    const left = this.#isWide(e.a) || this.#isWide(e.b) ? a : castTo("ptrdiff_t", a);
    return e.op === "mul" ? product(left, "*", b) : sum(left, e.op === "sub" ? "-" : "+", b);
  }
  #mayOverflow(e: Linear): boolean {
    return !this.#scope.temps.has(e) && !this.#scope.ranges.exact(e);
  }
  /** Whether the C text of an index is of type ptrdiff_t. */
  #isWide(e: LoopExpr): boolean {
    if (this.#scope.temps.has(e)) return false;
    if (e.kind === "var") return this.#scope.vars.get(e.name)?.wide ?? false;
    return isLinear(e) && (this.#mayOverflow(e) || this.#isWide(e.a) || this.#isWide(e.b));
  }

  /** The element of a buffer that a load or store names: `x[i]`; a vector's first. */
  element(buffer: BufferId, index: LoopExpr, via: string | undefined): string {
    const home = this.home(buffer);
    const i = index.kind === "ramp" ? index.base : index;
    assert(index.kind !== "ramp" || index.stride === 1, "a ramp in memory has stride 1");
    if (via === undefined) return `${home.name}[${this.index(i).s}]`;
    const p = must(this.#scope.pointers.get(via), `pointer ${via}`);
    assert(i.kind === "const", "an offset from a pointer is a constant");
    const at = Number(i.value);
    return `${home.name}[${at === 0 ? p : at < 0 ? `${p} - ${-at}` : `${p} + ${at}`}]`;
  }
  home(buffer: BufferId): Home {
    return must(this.#scope.buffers.get(buffer), `buffer ${buffer} of a kernel`);
  }

  /** A vector of n lanes: a scalar is repeated. */
  lanes(e: LoopExpr, n: number): Code {
    if (lanesOf(e) === n) return this.value(e);
    assert(lanesOf(e) === 1, `${lanesOf(e)} lanes where ${n} are due`);
    const x = this.value(e);
    return call(`${vectorType(e.dtype, n)}_splat`, e.dtype === "bool" ? prefix("-", x) : x);
  }

  #scalar(e: LoopExpr): Code {
    switch (e.kind) {
      case "const":
        return literal(e.dtype, e.value);
      case "var":
        return atom(must(this.#scope.vars.get(e.name), `variable ${e.name}`).name);
      case "load": {
        const home = this.home(e.buffer);
        return atom(home.kind === "scalar" ? home.name : this.element(e.buffer, must(e.index[0], "an index"), e.via));
      }
      case "table":
        return atom(`${this.#scope.table(e.dtype, e.values)}[${this.index(e.index).s}]`);
      case "unary":
        return this.#unary(e.op, e.x);
      case "binary":
        return this.#binary(e);
      case "mulAdd":
        return this.#mulAdd(e);
      case "select":
        return choose(this.value(e.cond), this.value(e.a), this.value(e.b));
      case "cast":
        return scalarCast(e.dtype, e.x.dtype, this.value(e.x));
      case "bitcast": {
        const ints = !isFloat(e.dtype) && !isFloat(e.x.dtype);
        const x = this.value(e.x);
        return ints ? castTo(valueType(e.dtype), x) : call(`ig_bits_${e.dtype}_${e.x.dtype}`, x);
      }
      case "lanes":
        return call(`${vectorType(e.x.dtype, lanesOf(e.x))}_${e.op}${e.factor}`, this.value(e.x));
      case "ramp":
      case "splat":
        throw new InternalError(`a ${e.kind} of one lane`);
      default:
        return unreachable(e, "expression");
    }
  }

  #unary(op: UnaryOp, x: LoopExpr): Code {
    const d = x.dtype;
    const a = this.value(x);
    switch (op) {
      case "neg":
        if (isFloat(d)) return prefix("-", a);
        return d === "u32" || d === "u64" ? sum(literal(d, 0), "-", a) : call(`ig_neg_${is64(d) ? d : "i32"}`, a);
      case "not":
        return prefix("!", a);
      case "bitnot":
        return prefix("~", a);
      case "recip":
        return product(literal(d, 1), "/", a);
      case "isnan":
        return call(`ig_isnan_${d}`, a);
      case "abs":
        return d === "u32" || d === "u64" || d === "bool" ? a : call(`ig_abs_${isFloat(d) || is64(d) ? d : "i32"}`, a);
      case "sqrt":
        return call(`ig_sqrt_${d}`, a);
      case "widen8":
        return call("ig_widen8_i32", a);
      case "floor":
      case "ceil":
      case "round":
      case "trunc":
        return isFloat(d) ? call(`ig_${op}_${d}`, a) : a;
      case "exp":
      case "log":
      case "sin":
      case "cos":
      case "tanh":
      case "erf":
        return call(`IG_LIB(${op}${d === "f32" ? "f" : ""})`, a);
      default:
        return unreachable(op, "unary operation");
    }
  }

  #binary(e: Extract<LoopExpr, { kind: "binary" }>): Code {
    const d = e.a.dtype;
    const [a, b] = [this.value(e.a), this.value(e.b)];
    switch (e.op) {
      case "lt":
        return infix(a, "<", b, bind.order);
      case "le":
        return infix(a, "<=", b, bind.order);
      case "eq":
        return d === "bool" ? infix(single(a), "==", single(b), bind.equal) : infix(a, "==", b, bind.equal);
      case "ne":
        return d === "bool" ? infix(single(a), "!=", single(b), bind.equal) : infix(a, "!=", b, bind.equal);
      case "and":
        return infix(a, "&&", b, bind.and);
      case "or":
        return infix(a, "||", b, bind.or);
      case "xor":
        return infix(single(a), "!=", single(b), bind.equal);
      case "bitand":
        return infix(a, "&", b, bind.bits);
      case "bitor":
        return infix(a, "|", b, bind.bits);
      case "bitxor":
        return infix(a, "^", b, bind.bits);
      case "pow":
        return call(`IG_LIB(pow${d === "f32" ? "f" : ""})`, a, b);
      case "min":
      case "max":
      case "nanmin":
      case "nanmax":
        return call(`ig_${isFloat(d) ? e.op : e.op.replace("nan", "")}_${isI32(d) || d === "bool" ? "i32" : d}`, a, b);
    }
    const native = isFloat(d) || d === "u32" || d === "u64" || (isI32(d) && this.#scope.ranges.exact(e));
    switch (e.op) {
      case "add":
        return native ? sum(a, "+", b) : call(`ig_add_${is64(d) ? d : "i32"}`, a, b);
      case "sub":
        return native ? sum(a, "-", b) : call(`ig_sub_${is64(d) ? d : "i32"}`, a, b);
      case "mul":
        return native ? product(a, "*", b) : call(`ig_mul_${is64(d) ? d : "i32"}`, a, b);
      case "div":
        if (isFloat(d)) return product(a, "/", b);
        return this.#quotient("truncdiv", e, a, b);
      case "truncdiv":
      case "floordiv":
      case "truncmod":
      case "floormod":
        return this.#quotient(e.op, e, a, b);
      case "shl":
      case "shr":
        return shift(e.op, isI32(d) ? "i32" : d, e.b, a, b);
      case "dot16":
        return call("ig_dot16_i32", a, b);
      default:
        return unreachable(e.op, "binary operation");
    }
  }

  #quotient(op: BinaryOp, e: Extract<LoopExpr, { kind: "binary" }>, a: Code, b: Code): Code {
    const d = e.a.dtype;
    if (isFloat(d)) return call(`ig_${op}_${d}`, a, b);
    const mod = op === "truncmod" || op === "floormod";
    const by = e.b.kind === "const" ? e.b.value : 0;
    const unsigned = d === "u32" || d === "u64";
    const plain = unsigned ? by > 0 : isI32(d) && by > 0 && this.#scope.ranges.of(e.a)[0] >= 0;
    if (plain) return product(a, mod ? "%" : "/", b);
    if (unsigned) return call(`ig_${mod ? "mod" : "div"}_${d}`, a, b);
    return call(`ig_${op}_${is64(d) ? d : "i32"}`, a, b);
  }

  #mulAdd(e: Extract<LoopExpr, { kind: "mulAdd" }>): Code {
    const [a, b, c] = [this.value(e.a), this.value(e.b), this.value(e.c)];
    const d = e.dtype;
    if (!isFloat(d)) {
      if (d === "u32" || d === "u64") return sum(product(a, "*", b), "+", c);
      const t = is64(d) ? d : "i32";
      return call(`ig_add_${t}`, call(`ig_mul_${t}`, a, b), c);
    }
    const how = e.rounding === "either" && this.#scope.strict ? "separate" : e.rounding;
    if (how === "separate") return sum(product(a, "*", b), "+", c);
    return call(`ig_${how === "fused" ? "fused" : "muladd"}_${d}`, a, b, c);
  }

  /** Neighbouring cells of 16 bits in memory. */
  #isPairs(
    e: LoopExpr,
  ): e is Extract<LoopExpr, { kind: "cast" }> & { readonly x: Extract<LoopExpr, { kind: "load" }> } {
    if (e.kind !== "cast" || e.x.kind !== "load" || e.x.index[0]!.kind !== "ramp") return false;
    if (this.#scope.temps.has(e) || this.#scope.temps.has(e.x)) return false;
    return elementBytes(e.x.dtype) === 2 && this.home(e.x.buffer).kind === "memory";
  }
  #vector(e: LoopExpr, n: number): Code {
    const type = vectorType(e.dtype, n);
    switch (e.kind) {
      case "var":
        return atom(must(this.#scope.vars.get(e.name), `variable ${e.name}`).name);
      case "load": {
        const home = this.home(e.buffer);
        if (home.kind === "vector") return atom(home.name);
        const from = atom(`&${this.element(e.buffer, must(e.index[0], "an index"), e.via)}`);
        return call(`${type}_load${narrowRange(e.dtype) === null ? "" : `_${e.dtype}`}`, from);
      }
      case "splat":
        return call(`${type}_splat`, e.dtype === "bool" ? prefix("-", this.value(e.x)) : this.value(e.x));
      case "ramp":
        return call(`${type}_ramp`, this.value(e.base), literal("i32", e.stride));
      case "unary": {
        if (e.op === "widen8" && this.#isPairs(e.x))
          return call(`${type}_load_pairs`, atom(`&${this.element(e.x.x.buffer, e.x.x.index[0]!, e.x.x.via)}`));
        const x = this.lanes(e.x, n);
        if (e.op === "not") return call(`${type}_bitnot`, x);
        if (!isFloat(e.x.dtype) && ["floor", "ceil", "round", "trunc"].includes(e.op)) return x;
        return call(`${vectorType(e.x.dtype, n)}_${e.op}`, x);
      }
      case "binary":
        // A sum of products may be one instruction.
        for (const [x, y] of [
          [e.a, e.b],
          [e.b, e.a],
        ] as const) {
          if (e.op !== "add" || y.kind !== "binary" || y.op !== "dot16" || this.#scope.temps.has(y)) continue;
          return call(`${type}_adddot16`, this.lanes(x, n), this.lanes(y.a, n), this.lanes(y.b, n));
        }
        return vectorBinary(e.op, e.a.dtype, n, this.lanes(e.a, n), this.lanes(e.b, n));
      case "mulAdd": {
        const args = [this.lanes(e.a, n), this.lanes(e.b, n), this.lanes(e.c, n)] as const;
        const separate = e.rounding === "separate" || (e.rounding === "either" && this.#scope.strict);
        if (!isFloat(e.dtype) || separate) return call(`${type}_add`, call(`${type}_mul`, args[0], args[1]), args[2]);
        return call(`${type}_${e.rounding === "fused" ? "fused" : "muladd"}`, ...args);
      }
      case "select": {
        const [a, b] = [this.lanes(e.a, n), this.lanes(e.b, n)];
        if (lanesOf(e.cond) === 1) return choose(this.value(e.cond), a, b);
        return call(`${type}_select`, this.value(e.cond), a, b);
      }
      case "cast": {
        const from = e.x.dtype === "bool" ? "bool" : lane(e.x.dtype);
        const same = from === e.dtype || (e.x.dtype === e.dtype && from !== "bool");
        return same ? this.value(e.x) : call(`ig_${e.dtype}x${n}_of_${from}x${n}`, this.value(e.x));
      }
      case "bitcast":
        if (e.dtype === e.x.dtype) return this.value(e.x);
        return call(`${vectorType(e.x.dtype, n)}_bits_${lane(e.dtype)}`, this.value(e.x));
      case "lanes":
        return call(`${vectorType(e.x.dtype, lanesOf(e.x))}_${e.op}${e.factor}`, this.value(e.x));
      case "table":
      case "const":
        throw new InternalError(`a ${e.kind} of ${n} lanes`);
      default:
        return unreachable(e, "vector expression");
    }
  }
}

/** An operand that draws no warning beside == and !=. */
function single(c: Code): Code {
  return c.p >= bind.atom ? c : atom(`(${c.s})`);
}

function vectorBinary(op: BinaryOp, d: DType, n: number, a: Code, b: Code): Code {
  const type = vectorType(d, n);
  switch (op) {
    case "and":
      return call(`${type}_bitand`, a, b);
    case "or":
      return call(`${type}_bitor`, a, b);
    case "xor":
      return call(`${type}_bitxor`, a, b);
    case "div":
      return call(`${type}_${isFloat(d) ? "div" : "truncdiv"}`, a, b);
    case "nanmin":
    case "nanmax":
      return call(`${type}_${isFloat(d) ? op : op.slice(3)}`, a, b);
    default:
      return call(`${type}_${op}`, a, b);
  }
}

function shift(op: "shl" | "shr", d: DType, by: LoopExpr, a: Code, b: Code): Code {
  const bits = is64(d) ? 64 : 32;
  if (by.kind !== "const" || by.value < 0 || by.value >= bits) return call(`ig_${op}_${d}`, a, b);
  const n = String(by.value);
  const of = (x: Code, sign: string): Code => ({ s: `${tight(x, bind.unary)} ${sign} ${n}`, p: bind.shift });
  if (op === "shr") return of(a, ">>");
  if (d === "u32" || d === "u64") return of(a, "<<");
  const unsigned = d === "i64" ? "uint64_t" : "uint32_t";
  return castTo(valueType(d), of(castTo(unsigned, a), "<<"));
}

/** A cast between any two of the eleven types of memory cells. */
function scalarCast(to: DType, from: DType, x: Code): Code {
  if (to === from) return x;
  if (to === "bool") return infix(x, "!=", literal(from === "bool" ? "i32" : from, 0), bind.equal);
  const narrow = narrowRange(to);
  if (isFloat(from)) {
    if (isFloat(to)) return castTo(valueType(to), x);
    if (narrow === null) return call(`ig_${to}_of_${from}`, x);
    return call("ig_clamp_i32", call(`ig_i32_of_${from}`, x), literal("i32", narrow[0]), literal("i32", narrow[1]));
  }
  const source = narrowRange(from);
  if (narrow !== null) {
    if (source !== null && source[0] >= narrow[0] && source[1] <= narrow[1]) return x;
    return castTo(`${to.startsWith("u") ? "uint" : "int"}${to.slice(1)}_t`, x);
  }
  return to === "i32" && source !== null ? x : castTo(valueType(to), x);
}
