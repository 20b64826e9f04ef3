// Unary and binary operations, casts and bitcasts on printed operands. The semantics are those of src/ir/expr.ts.
import { InternalError } from "../../src/base/assert.ts";
import type { BinaryOp, MulAdd, UnaryOp } from "../../src/ir/expr.ts";
import { isCompare } from "../../src/ir/expr.ts";
import type { DType } from "../../src/ir/types.ts";
import { is64, isFloat } from "../../src/ir/types.ts";
import type { Helpers } from "./helpers.ts";
import type { Text } from "./text.ts";
import {
  addSmall,
  at,
  bitwise,
  call,
  isSmall,
  known,
  literal,
  logical,
  mulSmall,
  number,
  plain,
  prec,
  rangeOf,
  rounded,
  wrapped,
} from "./text.ts";

export class Arithmetic {
  readonly #helpers: Helpers;
  /** mulAdd `either` rounds once, in a double, instead of twice. */
  readonly #fuse: boolean;
  constructor(helpers: Helpers, fuse: boolean) {
    this.#helpers = helpers;
    this.#fuse = fuse;
  }
  #call(name: string, args: readonly Text[], dtype: DType, more: Partial<Text> = {}): Text {
    return call(this.#helpers.use(name), args, dtype, more);
  }
  #rounded(text: string, strength: number, dtype: DType): Text {
    return rounded((name) => this.#helpers.use(name), text, strength, dtype);
  }

  unary(op: UnaryOp, a: Text): Text {
    if (isFloat(a.dtype)) return this.#unaryFloat(op, a);
    const x = wrapped(a, true);
    const t = a.dtype;
    switch (op) {
      case "floor":
      case "ceil":
      case "round":
      case "trunc":
        return a;
      case "not":
        return plain(`!${at(logical(a), prec.unary)}`, prec.unary, "bool", { logical: true });
      case "neg":
        if (is64(t)) return plain(`-${at(a, prec.unary)}`, prec.unary, t, { loose: true });
        return addSmall(literal(t, 0), x, true);
      case "abs":
        if (x.lo >= 0 || t === "u64") return a;
        if (t === "i64") return this.#call("abs64", [x], t, { loose: true });
        return call("Math.abs", [x], t, { lo: 0, hi: Math.max(-x.lo, x.hi) });
      case "bitnot":
        if (is64(t)) return plain(`~${at(x, prec.unary)}`, prec.unary, t, { loose: t === "u64" });
        return bitwise(`~${at(x, prec.unary)}`, prec.unary, t);
      case "widen8":
        return this.#call("widen8", [x], t, { lo: -(2 ** 31), hi: 2 ** 31 - 1 });
      case "isnan":
        return literal("bool", 0);
      default:
        throw new InternalError(`js: no ${op} of ${t}`);
    }
  }
  #unaryFloat(op: UnaryOp, a: Text): Text {
    const t = a.dtype;
    switch (op) {
      case "neg":
        return plain(`-${at(a, prec.unary)}`, prec.unary, t);
      case "abs":
      case "floor":
      case "ceil":
      case "trunc":
        return call(`Math.${op}`, [a], t);
      case "round":
        return this.#call("roundEven", [a], t);
      case "sqrt":
        return this.#rounded(call("Math.sqrt", [a], t).text, prec.primary, t);
      case "recip":
        return this.#rounded(`1 / ${at(a, prec.unary)}`, prec.mul, t);
      case "isnan":
        return call("Number.isNaN", [a], "bool", { logical: true });
      case "exp":
      case "log":
      case "sin":
      case "cos":
      case "tanh":
        if (t === "f64") return call(`Math.${op}`, [a], t);
        break;
      case "erf":
        if (t === "f64") return this.#call("erf64", [a], t);
        break;
    }
    throw new InternalError(`js: ${op} of ${t} is not decomposed`);
  }

  binary(op: BinaryOp, a: Text, b: Text): Text {
    const t = a.dtype;
    if (t === "bool") return this.#logic(op, a, b);
    if (isCompare(op)) {
      const [x, y] = [wrapped(a), wrapped(b)];
      if (op === "lt" || op === "le")
        return plain(`${at(x, prec.shift)} ${op === "lt" ? "<" : "<="} ${at(y, prec.shift)}`, prec.less, "bool", {
          logical: true,
        });
      return plain(`${at(x, prec.less)} ${op === "eq" ? "===" : "!=="} ${at(y, prec.less)}`, prec.equal, "bool", {
        logical: true,
      });
    }
    if (isFloat(t)) return this.#binaryFloat(op, a, b);
    return is64(t) ? this.#binary64(op, a, b) : this.#binarySmall(op, a, b);
  }
  #logic(op: BinaryOp, a: Text, b: Text): Text {
    const [x, y] = [logical(a), logical(b)];
    const of = (text: string, strength: number): Text => plain(text, strength, "bool", { logical: true });
    switch (op) {
      case "and":
      case "min":
      case "bitand":
        return of(`${at(x, prec.and)} && ${at(y, prec.and + 1)}`, prec.and);
      case "or":
      case "max":
      case "bitor":
        return of(`${at(x, prec.or)} || ${at(y, prec.or + 1)}`, prec.or);
      case "xor":
      case "ne":
      case "bitxor":
        return of(`${at(x, prec.equal + 1)} !== ${at(y, prec.equal + 1)}`, prec.equal);
      case "eq":
        return of(`${at(x, prec.equal + 1)} === ${at(y, prec.equal + 1)}`, prec.equal);
      case "lt":
        return of(`!${at(x, prec.unary)} && ${at(y, prec.and + 1)}`, prec.and);
      case "le":
        return of(`!${at(x, prec.unary)} || ${at(y, prec.or + 1)}`, prec.or);
      default:
        throw new InternalError(`js: no ${op} of bool`);
    }
  }
  #binaryFloat(op: BinaryOp, a: Text, b: Text): Text {
    const t = a.dtype;
    const infix = (sign: string, strength: number): Text =>
      this.#rounded(`${at(a, strength)} ${sign} ${at(b, strength + 1)}`, strength, t);
    switch (op) {
      case "add":
        return infix("+", prec.add);
      case "sub":
        return infix("-", prec.add);
      case "mul":
        return infix("*", prec.mul);
      case "div":
        return infix("/", prec.mul);
      case "min":
        return this.#choose(a, b, "pmin");
      case "max":
        return this.#choose(a, b, "pmax");
      case "nanmin":
        return call("Math.min", [a, b], t);
      case "nanmax":
        return call("Math.max", [a, b], t);
      case "truncdiv":
        return call("Math.trunc", [infix("/", prec.mul)], t);
      case "floordiv":
        return call("Math.floor", [infix("/", prec.mul)], t);
      case "truncmod":
        return plain(`${at(a, prec.mul)} % ${at(b, prec.mul + 1)}`, prec.mul, t);
      case "floormod":
        return this.#rounded(this.#call("floorModF", [a, b], t).text, prec.primary, t);
      case "pow":
        if (t === "f64") return this.#call("pow64", [a, b], t);
    }
    throw new InternalError(`js: ${op} of ${t} is not decomposed`);
  }
  /** a < b ? b : a, in place when both are cheap to write twice. */
  #choose(a: Text, b: Text, helper: "pmin" | "pmax"): Text {
    const cheap = (x: Text): boolean => /^-?[\w.$]+$/.test(x.text);
    if (!cheap(a) || !cheap(b)) return this.#call(helper, [a, b], a.dtype);
    const [x, y] = helper === "pmax" ? [a, b] : [b, a];
    return plain(`${at(x, prec.shift)} < ${at(y, prec.shift)} ? ${b.text} : ${a.text}`, prec.conditional, a.dtype);
  }

  #binarySmall(op: BinaryOp, a: Text, b: Text): Text {
    const t = a.dtype;
    const unsigned = t === "u32";
    if (op === "add" || op === "sub") return addSmall(a, b, op === "sub");
    if (op === "mul") return mulSmall(a, b);
    if (op === "bitand" || op === "bitor" || op === "bitxor") return this.#bits(op, a, b);
    if (op === "shl" || op === "shr") return this.#shift(op, a, b);
    const [x, y] = [wrapped(a, true), wrapped(b, true)];
    const c = known(y);
    const power = c !== null && c > 0 && Number.isInteger(Math.log2(c)) ? Math.log2(c) : null;
    const positive = c !== null && c > 0;
    const quotient = { lo: Math.min(x.lo, 0), hi: Math.max(x.hi, 0) };
    switch (op) {
      case "min":
      case "nanmin":
        return call("Math.min", [x, y], t, { lo: Math.min(x.lo, y.lo), hi: Math.min(x.hi, y.hi) });
      case "max":
      case "nanmax":
        return call("Math.max", [x, y], t, { lo: Math.max(x.lo, y.lo), hi: Math.max(x.hi, y.hi) });
      case "div":
      case "truncdiv":
      case "floordiv":
        if (positive && (x.lo >= 0 || op === "floordiv")) {
          if (power === 0) return x;
          if (power !== null)
            return plain(`${at(x, prec.shift)} ${unsigned ? ">>>" : ">>"} ${power}`, prec.shift, t, {
              lo: Math.floor(x.lo / c),
              hi: Math.floor(x.hi / c),
            });
          const text = `${at(x, prec.mul)} / ${c}`;
          if (x.lo < 0)
            return plain(`Math.floor(${text})`, prec.primary, t, {
              lo: Math.floor(x.lo / c),
              hi: Math.floor(x.hi / c),
            });
          return plain(unsigned ? `${text} >>> 0` : `${text} | 0`, unsigned ? prec.shift : prec.bitor, t, {
            lo: Math.floor(x.lo / c),
            hi: Math.floor(x.hi / c),
          });
        }
        if (positive) return plain(`${at(x, prec.mul)} / ${c} | 0`, prec.bitor, t, quotient);
        return this.#call(unsigned ? "divU" : op === "floordiv" ? "floorDiv" : "div", [x, y], t);
      case "truncmod":
      case "floormod":
        if (positive && (x.lo >= 0 || op === "floormod")) {
          const range = { lo: 0, hi: c - 1 };
          if (power !== null && (!unsigned || power < 31))
            return plain(`${at(x, prec.bitand)} & ${c - 1}`, prec.bitand, t, range);
          if (x.lo >= 0) return plain(`${at(x, prec.mul)} % ${c}`, prec.mul, t, range);
        }
        if (positive && op === "truncmod")
          return plain(`${at(x, prec.mul)} % ${c} | 0`, prec.bitor, t, { lo: 1 - c, hi: c - 1 });
        return this.#call(unsigned ? "remU" : op === "floormod" ? "floorMod" : "rem", [x, y], t);
      case "dot16":
        return this.#call("dot16", [x, y], t, { lo: -(2 ** 31), hi: 2 ** 31 - 1 });
      default:
        throw new InternalError(`js: no ${op} of ${t}`);
    }
  }
  #bits(op: "bitand" | "bitor" | "bitxor", a: Text, b: Text): Text {
    const [sign, strength] =
      op === "bitand" ? ["&", prec.bitand] : op === "bitor" ? ["|", prec.bitor] : ["^", prec.bitxor];
    const both = a.lo >= 0 && b.lo >= 0 && a.hi < 2 ** 31 && b.hi < 2 ** 31;
    const mask = op === "bitand" ? [a, b].find((x) => x.lo >= 0 && x.hi < 2 ** 31) : undefined;
    const text = `${at(a, strength)} ${sign} ${at(b, strength + 1)}`;
    if (mask) return plain(text, strength, a.dtype, { lo: 0, hi: both ? Math.min(a.hi, b.hi) : mask.hi });
    if (both) return plain(text, strength, a.dtype, { lo: 0, hi: 2 ** 31 - 1 });
    return bitwise(text, strength, a.dtype);
  }
  #shift(op: "shl" | "shr", a: Text, b: Text): Text {
    const t = a.dtype;
    const unsigned = t === "u32";
    const c = known(b);
    if (c === null)
      return op === "shl"
        ? this.#call("shl", [a, b], t, { lo: -(2 ** 31), hi: 2 ** 31 - 1 })
        : this.#call(unsigned ? "shrU" : "shr", [a, b], t);
    const over = c < 0 || c > 31;
    if (over && (op === "shl" || unsigned)) return literal(t, 0);
    if (op === "shl") return bitwise(`${at(a, prec.shift)} << ${c}`, prec.shift, t);
    const x = wrapped(a);
    const bounds = { lo: Math.floor(x.lo / 2 ** c), hi: Math.floor(x.hi / 2 ** c) };
    return plain(
      `${at(a, prec.shift)} ${unsigned ? ">>>" : ">>"} ${over ? 31 : c}`,
      prec.shift,
      t,
      over ? { lo: -1, hi: 0 } : bounds,
    );
  }
  #binary64(op: BinaryOp, a: Text, b: Text): Text {
    const t = a.dtype;
    const signed = t === "i64";
    const infix = (sign: string, strength: number, more: Partial<Text>, x = a, y = b): Text =>
      plain(`${at(x, strength)} ${sign} ${at(y, strength + 1)}`, strength, t, more);
    const loose = { loose: true };
    switch (op) {
      case "add":
        return infix("+", prec.add, loose);
      case "sub":
        return infix("-", prec.add, loose);
      case "mul":
        return infix("*", prec.mul, loose);
    }
    const [x, y] = [wrapped(a), wrapped(b)];
    const divisor = /^[1-9]\d*n$/.test(y.text);
    switch (op) {
      case "div":
      case "truncdiv":
        return divisor ? infix("/", prec.mul, {}, x, y) : this.#call("div64", [x, y], t, { loose: !signed });
      case "truncmod":
        return divisor ? infix("%", prec.mul, {}, x, y) : this.#call("rem64", [x, y], t);
      case "floordiv":
        return signed
          ? this.#call("floorDiv64", [x, y], t)
          : divisor
            ? infix("/", prec.mul, {}, x, y)
            : this.#call("div64", [x, y], t, loose);
      case "floormod":
        return signed
          ? this.#call("floorMod64", [x, y], t)
          : divisor
            ? infix("%", prec.mul, {}, x, y)
            : this.#call("rem64", [x, y], t);
      case "min":
      case "nanmin":
        return this.#choose(x, y, "pmin");
      case "max":
      case "nanmax":
        return this.#choose(x, y, "pmax");
      case "bitand":
        return infix("&", prec.bitand, {}, x, y);
      case "bitor":
        return infix("|", prec.bitor, {}, x, y);
      case "bitxor":
        return infix("^", prec.bitxor, {}, x, y);
      case "shl":
        return this.#call("shl64", [x, y], t, loose);
      case "shr":
        return this.#call(signed ? "shr64" : "shrU64", [x, y], t);
      default:
        throw new InternalError(`js: no ${op} of ${t}`);
    }
  }

  mulAdd(rounding: MulAdd<unknown>["rounding"], a: Text, b: Text, c: Text): Text {
    const t = a.dtype;
    if (!isFloat(t)) return this.binary("add", this.binary("mul", a, b), c);
    if (t === "f64" && rounding === "fused") return this.#call("fma64", [a, b, c], t);
    if (rounding === "separate" || (rounding === "either" && !this.#fuse))
      return this.binary("add", this.binary("mul", a, b), c);
    // The product of two f32 is exact in a double, so that a fused f32 is off by a second rounding in rare cases only.
    return this.#rounded(`${at(a, prec.mul)} * ${at(b, prec.mul + 1)} + ${at(c, prec.mul)}`, prec.add, t);
  }

  cast(to: DType, a: Text): Text {
    const from = a.dtype;
    if (to === from) return a;
    if (to === "bool") {
      if (isSmall(from)) return logical({ ...wrapped(a), dtype: "bool" });
      return plain(`${at(wrapped(a), prec.equal)} !== ${is64(from) ? "0n" : "0"}`, prec.equal, "bool", {
        logical: true,
      });
    }
    if (isFloat(to)) return this.#toFloat(to, a);
    if (is64(to)) {
      if (isFloat(from)) return this.#call(to === "i64" ? "toI64" : "toU64", [a], to);
      // A 64-bit integer of the other sign is the same bits.
      if (is64(from)) return { ...wrapped(a), dtype: to, loose: true };
      const x = wrapped(number(a));
      return call("BigInt", [x], to, { loose: to === "u64" && x.lo < 0 });
    }
    const [lo, hi] = rangeOf(to);
    if (isFloat(from)) {
      const clamped = `Math.min(Math.max(${a.text}, ${lo}), ${hi})`;
      return to === "u32" ? plain(`${clamped} >>> 0`, prec.shift, to) : plain(`${clamped} | 0`, prec.bitor, to);
    }
    if (is64(from)) {
      const unsigned = to.startsWith("u");
      return call(
        "Number",
        [call(unsigned ? "BigInt.asUintN" : "BigInt.asIntN", [literal("i32", Number(to.slice(1))), a], from)],
        to,
      );
    }
    const x = number(a);
    // Wider or of the other sign: the value as its own dtype has it. A narrower one wraps whatever the text holds.
    const [fromLo, fromHi] = rangeOf(from);
    const narrows = hi - lo <= fromHi - fromLo;
    const y = narrows ? x : wrapped(x);
    return wrapped({ ...y, dtype: to, ...(narrows ? {} : { stored: undefined }) });
  }
  #toFloat(to: DType, a: Text): Text {
    const from = a.dtype;
    if (isFloat(from)) return to === "f64" ? { ...a, dtype: to, stored: undefined } : this.#rounded(a.text, a.prec, to);
    if (is64(from)) return to === "f32" ? this.#call("f32Of64", [wrapped(a)], to) : call("Number", [wrapped(a)], to);
    const x = wrapped(number(a), true);
    const exact = to === "f64" || Math.max(-x.lo, x.hi) <= 2 ** 24;
    return exact ? plain(x.text, x.prec, to) : this.#rounded(x.text, x.prec, to);
  }

  bitcast(to: DType, a: Text): Text {
    const from = a.dtype;
    if (isSmall(from) && isSmall(to)) return { ...wrapped(a), dtype: to, stored: undefined };
    if (is64(from) && is64(to)) return { ...a, dtype: to, loose: true };
    if (from === "f32") return this.#call("bitsF32", [a], to, { lo: -(2 ** 31), hi: 2 ** 31 - 1 });
    if (from === "f64") return this.#call("bitsF64", [a], to, { loose: to === "u64" });
    return this.#call(to === "f32" ? "f32Bits" : "f64Bits", [a], to);
  }
}
