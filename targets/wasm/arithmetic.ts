// The operations of src/ir/expr.ts on operands: single instructions where there is one, compositions with the guards where not.
import { assert, InternalError, must } from "../../src/base/assert.ts";
import type { BinaryOp, UnaryOp } from "../../src/ir/expr.ts";
import { isCompare } from "../../src/ir/expr.ts";
import type { DType } from "../../src/ir/types.ts";
import { intBits, isFloat } from "../../src/ir/types.ts";
import type { Frame, Shared } from "./frame.ts";
import * as H from "./helpers.ts";
import type { Class } from "./intrinsics.ts";
import * as I from "./intrinsics.ts";
import type { Module, Ref } from "./module.ts";

/**
 * An operand not yet built. Build it once, by `ref` where it is used once, by `share` where more often, and in the order of
 * evaluation: a local that one operand used inside is free for the next one.
 */
export type Operand = {
  /** Its value (in every lane), when it is a constant. */
  readonly constant: number | bigint | null;
  /** True when no lane can be negative. */
  readonly nonNegative: () => boolean;
  readonly ref: () => Ref;
  readonly share: () => Shared;
};

/** A scalar operand of which nothing is known. */
export function operandOf(f: Frame, c: Class, ref: () => Ref): Operand {
  return { constant: null, nonNegative: () => false, ref, share: () => f.share(I.valType(c), ref()) };
}

function wordOps(m: Module, c: Class): Module["i32"] | Module["i64"] {
  return c === "i64" || c === "u64" ? m.i64 : m.i32;
}
function isSigned(c: Class): boolean {
  return c === "i32" || c === "i64";
}
function isFloatClass(c: Class): c is "f32" | "f64" {
  return c === "f32" || c === "f64";
}
/** log2 of a power of two, else null. */
function shiftOf(n: number | bigint | null): number | null {
  if (n === null || n <= 0) return null;
  const b = BigInt(n);
  return (b & (b - 1n)) === 0n ? b.toString(2).length - 1 : null;
}

// ---- scalars ----------------------------------------------------------------------------------------------------
export function unary(f: Frame, op: UnaryOp, c: Class, x: Operand): Ref {
  const { m } = f.w;
  if (op === "not") return m.i32.eqz(x.ref());
  if (op === "isnan") {
    if (!isFloatClass(c)) return m.i32.const(0);
    const s = x.share();
    const nan = m[c].ne(s.first, s.again());
    s.done();
    return nan;
  }
  if (isFloatClass(c)) {
    if (op === "recip") return m[c].div(m[c].const(1), x.ref());
    return must(I.floatUnary(m, op, c, 1), `native ${op}: decompose-math should have rewritten it`)(x.ref());
  }
  const o = wordOps(m, c);
  switch (op) {
    case "neg":
      return o.sub(I.constant(m, c, 0), x.ref());
    case "bitnot":
      return o.xor(x.ref(), I.constant(m, c, -1));
    case "abs": {
      if (!isSigned(c) || x.nonNegative()) return x.ref();
      const s = x.share();
      const negated = o.sub(I.constant(m, c, 0), s.first);
      const r = m.select(o.lt_s(s.again(), I.constant(m, c, 0)), negated, s.again());
      s.done();
      return r;
    }
    case "floor":
    case "ceil":
    case "round":
    case "trunc":
      return x.ref();
    case "widen8":
      return m.i32x4.extract_lane(m.i16x8.extend_low_i8x16_s(m.i32x4.splat(x.ref())), 0);
    default:
      throw new InternalError(`${op} of ${c}`);
  }
}

/**
 * min: b < a ? b : a; max: a < b ? b : a. Of floats it is done in lane 0, for V8 on x86 has no conditional move of floats: a
 * select would be a branch, mispredicted on every other element of a relu (4.1 ns an element against 0.55 on random signs).
 */
function pick(f: Frame, op: "min" | "max", c: Class, a: Operand, b: Operand): Ref {
  const { m } = f.w;
  if (isFloatClass(c)) {
    const o = c === "f32" ? m.f32x4 : m.f64x2;
    const x = o.splat(a.ref());
    const y = o.splat(b.ref());
    return o.extract_lane(op === "min" ? o.pmin(x, y) : o.pmax(x, y), 0);
  }
  const less = must(I.scalarBinary(m, "lt", c), "lt");
  // A select evaluates its arms first, b before a.
  const y = b.share();
  const x = a.share();
  const cond = op === "min" ? less(y.again(), x.again()) : less(x.again(), y.again());
  const r = m.select(cond, y.first, x.first);
  x.done();
  y.done();
  return r;
}

export function binary(f: Frame, op: BinaryOp, c: Class, a: Operand, b: Operand): Ref {
  const { m } = f.w;
  const plain = I.scalarBinary(m, op, c);
  if (plain) {
    const x = a.ref();
    return plain(x, b.ref());
  }
  if (op === "min" || op === "max") return pick(f, op, c, a, b);
  if (isFloatClass(c)) {
    const o = m[c];
    const x = a.ref();
    const y = b.ref();
    switch (op) {
      case "truncdiv":
        return o.trunc(o.div(x, y));
      case "floordiv":
        return o.floor(o.div(x, y));
      case "truncmod":
        return H.fmod(f.w, c, x, y);
      case "floormod":
        return H.floorModFloat(f.w, c, x, y);
      default:
        throw new InternalError(`${op} of ${c}: decompose-math should have rewritten it`);
    }
  }
  switch (op) {
    case "nanmin":
      return pick(f, "min", c, a, b);
    case "nanmax":
      return pick(f, "max", c, a, b);
    case "div":
    case "truncdiv":
      return isSigned(c) ? truncDiv(f, c, a, b) : unsignedDiv(f, "div_u", c, a, b);
    case "truncmod":
      return isSigned(c) ? truncMod(f, c, a, b) : unsignedDiv(f, "rem_u", c, a, b);
    case "floordiv":
      return isSigned(c) ? floorDiv(f, c, a, b) : unsignedDiv(f, "div_u", c, a, b);
    case "floormod":
      return isSigned(c) ? floorMod(f, c, a, b) : unsignedDiv(f, "rem_u", c, a, b);
    case "shl":
    case "shr":
      return shift(f, op, c, a, b);
    case "dot16": {
      const x = m.i32x4.splat(a.ref());
      return m.i32x4.extract_lane(m.i32x4.dot_i16x8_s(x, m.i32x4.splat(b.ref())), 0);
    }
    default:
      throw new InternalError(`${op} of ${c}`);
  }
}

/** The divisor with 1 in place of 0: the remainder by it is the wanted 0. */
function nonZero(m: Module, c: Class, y: Shared): Ref {
  const o = wordOps(m, c);
  const isZero = (b: Ref): Ref => (I.valType(c) === "i64" ? m.i64.extend_u(o.eqz(b)) : o.eqz(b));
  const first = y.first;
  return o.add(first, isZero(y.again()));
}
/** x/0 and x%0 are 0. Also for signed operands that are not negative. Operands are evaluated whatever their values. */
function unsignedDiv(f: Frame, op: "div_u" | "rem_u", c: Class, a: Operand, b: Operand): Ref {
  const { m } = f.w;
  const o = wordOps(m, c);
  const s = shiftOf(b.constant);
  if (s !== null)
    return op === "div_u"
      ? o.shr_u(a.ref(), I.constant(m, c, s))
      : o.and(a.ref(), I.constant(m, c, BigInt(b.constant!) - 1n));
  const x = a.ref();
  if (b.constant !== null && Number(b.constant) !== 0) return o[op](x, b.ref());
  const y = b.share();
  const q = o[op](x, nonZero(m, c, y));
  const r = op === "rem_u" ? q : m.select(o.ne(y.again(), I.constant(m, c, 0)), q, I.constant(m, c, 0));
  y.done();
  return r;
}
/** For b = 0 and b = -1, a*b is the wanted quotient: 0, and -a with MIN wrapping. */
function truncDiv(f: Frame, c: Class, a: Operand, b: Operand): Ref {
  const { m } = f.w;
  const o = wordOps(m, c);
  const one = (): Ref => I.constant(m, c, 1);
  if (b.constant !== null) {
    const n = Number(b.constant);
    if (n > 0 && a.nonNegative()) return unsignedDiv(f, "div_u", c, a, b);
    const x = a.ref();
    return n === 0 || n === -1 ? o.mul(x, b.ref()) : o.div_s(x, b.ref());
  }
  const x = a.share();
  const dividend = x.first;
  const y = b.share();
  const usual = (): Ref => o.gt_u(o.add(y.again(), one()), one());
  const divisor = m.select(usual(), y.first, one());
  const r = m.select(usual(), o.div_s(dividend, divisor), o.mul(x.again(), y.again()));
  x.done();
  y.done();
  return r;
}
function truncMod(f: Frame, c: Class, a: Operand, b: Operand): Ref {
  const { m } = f.w;
  const o = wordOps(m, c);
  if (b.constant !== null && Number(b.constant) > 0 && a.nonNegative()) return unsignedDiv(f, "rem_u", c, a, b);
  const x = a.ref();
  if (b.constant !== null && Number(b.constant) !== 0) return o.rem_s(x, b.ref());
  const y = b.share();
  const r = o.rem_s(x, nonZero(m, c, y));
  y.done();
  return r;
}
function floorDiv(f: Frame, c: Class, a: Operand, b: Operand): Ref {
  const { m } = f.w;
  const o = wordOps(m, c);
  if (b.constant !== null && Number(b.constant) > 0) {
    const s = shiftOf(b.constant);
    if (s !== null) return o.shr_s(a.ref(), I.constant(m, c, s));
    if (a.nonNegative()) return unsignedDiv(f, "div_u", c, a, b);
    // q + (a - q*b >> 31): one less where the remainder is negative.
    const x = a.share();
    const q = f.share(I.valType(c), o.div_s(x.first, b.ref()));
    const quotient = q.first;
    const r = o.sub(x.again(), o.mul(q.again(), I.constant(m, c, b.constant)));
    const sum = o.add(quotient, o.shr_s(r, I.constant(m, c, c === "i32" ? 31 : 63)));
    q.done();
    x.done();
    return sum;
  }
  const x = a.ref();
  return H.floorDiv(f.w, c as "i32" | "i64", x, b.ref());
}
function floorMod(f: Frame, c: Class, a: Operand, b: Operand): Ref {
  const { m } = f.w;
  const o = wordOps(m, c);
  if (b.constant !== null && Number(b.constant) > 0) {
    if (a.nonNegative() || shiftOf(b.constant) !== null) return unsignedDiv(f, "rem_u", c, a, b);
    const r = f.share(I.valType(c), o.rem_s(a.ref(), b.ref()));
    const first = r.first;
    const sign = o.shr_s(r.again(), I.constant(m, c, c === "i32" ? 31 : 63));
    const sum = o.add(first, o.and(sign, I.constant(m, c, b.constant)));
    r.done();
    return sum;
  }
  const x = a.ref();
  return H.floorMod(f.w, c as "i32" | "i64", x, b.ref());
}
/** A shift by the width or more gives 0, or -1 for shr of a negative signed value. A negative count is such a shift. */
function shift(f: Frame, op: "shl" | "shr", c: Class, a: Operand, b: Operand): Ref {
  const { m } = f.w;
  const o = wordOps(m, c);
  const width = c === "i64" || c === "u64" ? 64 : 32;
  const apply = op === "shl" ? o.shl : isSigned(c) ? o.shr_s : o.shr_u;
  const arithmetic = op === "shr" && isSigned(c);
  if (b.constant !== null) {
    const n = Number(b.constant);
    if (n >= 0 && n < width) return apply(a.ref(), I.constant(m, c, n));
    return arithmetic ? o.shr_s(a.ref(), I.constant(m, c, width - 1)) : I.constant(m, c, 0);
  }
  const x = a.ref();
  const n = b.share();
  let r: Ref;
  if (arithmetic) {
    const most = (): Ref => I.constant(m, c, width - 1);
    const kept = n.first;
    r = apply(x, m.select(o.lt_u(n.again(), most()), kept, most()));
  } else {
    const shifted = apply(x, n.first);
    r = m.select(o.lt_u(n.again(), I.constant(m, c, width)), shifted, I.constant(m, c, 0));
  }
  n.done();
  return r;
}

/** The range of a narrow integer, or null. */
function narrow(d: DType): { min: number; max: number } | null {
  switch (d) {
    case "i8":
      return { min: -128, max: 127 };
    case "u8":
      return { min: 0, max: 255 };
    case "i16":
      return { min: -32768, max: 32767 };
    case "u16":
      return { min: 0, max: 65535 };
    default:
      return null;
  }
}
/** True when every value of the integer type `from` is one of `to`. */
function fits(from: DType, to: DType): boolean {
  const [a, b] = [narrow(from), narrow(to)];
  return from === "bool" || (a !== null && b !== null && a.min >= b.min && a.max <= b.max);
}

/** Floats saturate (NaN: 0), integers wrap, anything to bool is x != 0. */
export function cast(f: Frame, from: DType, to: DType, x: Operand): Ref {
  const { m } = f.w;
  const [a, b] = [I.classOf(from), I.classOf(to)];
  if (b === "bool") {
    if (a === "bool") return x.ref();
    return isFloatClass(a) ? m[a].ne(x.ref(), I.constant(m, a, 0)) : wordOps(m, a).ne(x.ref(), I.constant(m, a, 0));
  }
  const range = narrow(to);
  if (range === null || fits(from, to)) return I.convert(m, a, b, x.ref());
  if (isFloatClass(a)) {
    const o = m[a];
    // wasm's min and max keep a NaN, which the conversion makes 0.
    return m.i32.trunc_s_sat[a](o.min(o.max(x.ref(), o.const(range.min)), o.const(range.max)));
  }
  const word = I.convert(m, a, "i32", x.ref());
  if (range.min === 0) return m.i32.and(word, m.i32.const(range.max));
  return intBits(to) === 8 ? m.i32.extend8_s(word) : m.i32.extend16_s(word);
}

export function bitcast(m: Module, from: Class, to: Class, x: Ref): Ref {
  const [a, b] = [I.valType(from), I.valType(to)];
  return a === b ? x : m[b].reinterpret(x);
}

export function mulAdd(f: Frame, fused: boolean, c: Class, a: Operand, b: Operand, z: Operand): Ref {
  const { m } = f.w;
  const x = a.ref();
  const y = b.ref();
  const w = z.ref();
  if (fused && isFloatClass(c)) {
    assert(c === "f32", "no fused multiply-add of f64 in WebAssembly");
    return H.fusedMulAdd(f.w, x, y, w);
  }
  const o = isFloatClass(c) ? m[c] : wordOps(m, c);
  return o.add(o.mul(x, y), w);
}

// ---- vectors of four lanes ------------------------------------------------------------------------------------------
function laneOps(m: Module, c: Class): Module["f32x4"] | Module["i32x4"] {
  assert(c === "f32" || c === "i32" || c === "u32" || c === "bool", `no vector of ${c}`);
  return c === "f32" ? m.f32x4 : m.i32x4;
}
/** A lane as a scalar: of a mask, 0 or 1. */
export function lane(m: Module, c: Class, v: Ref, i: number): Ref {
  const x = laneOps(m, c).extract_lane(v, i);
  return c === "bool" ? m.i32.and(x, m.i32.const(1)) : x;
}
export function splat(m: Module, c: Class, x: Ref): Ref {
  return laneOps(m, c).splat(c === "bool" ? m.i32.sub(m.i32.const(0), x) : x);
}
/** What has no vector form, one lane at a time. */
export function perLane(
  f: Frame,
  from: Class,
  to: Class,
  operands: readonly Operand[],
  op: (lanes: readonly Operand[]) => Ref,
): Ref {
  const { m, type } = f.w;
  const locals = operands.map(() => f.take("v128"));
  const sets = operands.map((x, i) => f.set(locals[i]!, x.ref()));
  const result = (i: number): Ref => {
    const x = op(
      operands.map((o, k) => {
        const ref = (): Ref => lane(m, from, f.get(locals[k]!), i);
        return { ...o, ref, share: () => f.share(I.valType(from), ref()) };
      }),
    );
    return to === "bool" ? m.i32.sub(m.i32.const(0), x) : x;
  };
  const v = [1, 2, 3].reduce(
    (acc, i) => laneOps(m, to).replace_lane(acc, i, result(i)),
    laneOps(m, to).splat(result(0)),
  );
  for (const l of locals) f.give(l);
  return m.block(null, [...sets, v], type.v128);
}
/** A scalar from all lanes, halves first: (x0 op x2) op (x1 op x3). */
export function reduceLanes(f: Frame, op: "sum" | "max" | "min", c: Class, x: Operand): Ref {
  const { m, type } = f.w;
  const v = f.take("v128");
  /** Lane i beside lane i ^ by. */
  const halved = (by: number): Ref => {
    const bytes = Array.from({ length: 16 }, (_, b) => ((b >> 2) ^ by) * 4 + (b & 3));
    const other = operandOf(f, c, () => m.i8x16.shuffle(f.get(v), f.get(v), bytes));
    return binaryVector(
      f,
      op === "sum" ? "add" : op,
      c,
      operandOf(f, c, () => f.get(v)),
      other,
    );
  };
  const r = m.block(null, [f.set(v, x.ref()), f.set(v, halved(2)), lane(m, c, halved(1), 0)], type[I.valType(c)]);
  f.give(v);
  return r;
}

export function unaryVector(f: Frame, op: UnaryOp, c: Class, x: Operand): Ref {
  const { m } = f.w;
  if (op === "not") return m.v128.not(x.ref());
  if (c === "f32") {
    if (op === "recip") return m.f32x4.div(I.constantVector(m, c, 1), x.ref());
    if (op === "isnan") {
      const s = x.share();
      const nan = m.f32x4.ne(s.first, s.again());
      s.done();
      return nan;
    }
    return must(I.floatUnary(m, op, c, 4), `native ${op}: decompose-math should have rewritten it`)(x.ref());
  }
  switch (op) {
    case "neg":
      return m.i32x4.neg(x.ref());
    case "abs":
      return c === "i32" ? m.i32x4.abs(x.ref()) : x.ref();
    case "bitnot":
      return m.v128.not(x.ref());
    case "isnan":
      return I.constantVector(m, "bool", 0);
    case "widen8": {
      // Each byte into the high byte of its half, from where a shift extends it.
      const bytes = Array.from({ length: 16 }, (_, i) => (i % 2 === 0 ? 255 : (i & 12) + ((i & 3) >> 1)));
      return m.i16x8.shr_s(m.i8x16.swizzle(x.ref(), m.v128.const(bytes)), m.i32.const(8));
    }
    default:
      return x.ref();
  }
}

export function binaryVector(f: Frame, op: BinaryOp, c: Class, a: Operand, b: Operand): Ref {
  const { m } = f.w;
  const plain = I.vectorBinary(m, op, c);
  if (plain) {
    const x = a.ref();
    return plain(x, b.ref());
  }
  if (c === "f32" && (op === "floordiv" || op === "truncdiv")) {
    const q = binaryVector(f, "div", c, a, b);
    return op === "floordiv" ? m.f32x4.floor(q) : m.f32x4.trunc(q);
  }
  const n = b.constant === null ? -1 : Number(b.constant);
  if ((op === "shl" || op === "shr") && n >= 0 && n < 32) {
    const o = m.i32x4;
    return (op === "shl" ? o.shl : c === "i32" ? o.shr_s : o.shr_u)(a.ref(), m.i32.const(n));
  }
  const s = c === "f32" ? null : shiftOf(b.constant);
  const floors = c !== "i32" || a.nonNegative();
  if (s !== null && (op === "floordiv" || (floors && (op === "truncdiv" || op === "div")))) {
    return (c === "i32" ? m.i32x4.shr_s : m.i32x4.shr_u)(a.ref(), m.i32.const(s));
  }
  if (s !== null && (op === "floormod" || (floors && op === "truncmod")))
    return m.v128.and(a.ref(), I.constantVector(m, c, n - 1));
  return perLane(f, c, isCompare(op) ? "bool" : c, [a, b], (l) => binary(f, op, c, l[0]!, l[1]!));
}

export function castVector(f: Frame, from: DType, to: DType, x: Operand): Ref {
  const { m } = f.w;
  const [a, b] = [I.classOf(from), I.classOf(to)];
  laneOps(m, a);
  laneOps(m, b);
  if (b === "bool") {
    if (a === "bool") return x.ref();
    return laneOps(m, a).ne(x.ref(), I.constantVector(m, a, 0));
  }
  if (a === "bool") return m.v128.and(x.ref(), I.constantVector(m, b, 1));
  const range = narrow(to);
  if (range === null || fits(from, to)) {
    if (a === "f32" && b === "f32") return x.ref();
    if (a === "f32") return (b === "u32" ? m.i32x4.trunc_sat_f32x4_u : m.i32x4.trunc_sat_f32x4_s)(x.ref());
    if (b === "f32") return (a === "u32" ? m.f32x4.convert_i32x4_u : m.f32x4.convert_i32x4_s)(x.ref());
    return x.ref();
  }
  if (isFloat(from)) {
    const word = m.i32x4.trunc_sat_f32x4_s(x.ref());
    return m.i32x4.min_s(
      m.i32x4.max_s(word, I.constantVector(m, "i32", range.min)),
      I.constantVector(m, "i32", range.max),
    );
  }
  if (range.min === 0) return m.v128.and(x.ref(), I.constantVector(m, "i32", range.max));
  const up = 32 - intBits(to);
  return m.i32x4.shr_s(m.i32x4.shl(x.ref(), m.i32.const(up)), m.i32.const(up));
}

export function mulAddVector(f: Frame, fused: boolean, c: Class, a: Operand, b: Operand, z: Operand): Ref {
  const { m } = f.w;
  if (fused && c === "f32") return perLane(f, c, c, [a, b, z], (l) => mulAdd(f, true, c, l[0]!, l[1]!, l[2]!));
  const o = laneOps(m, c);
  const x = a.ref();
  const y = b.ref();
  return o.add(o.mul(x, y), z.ref());
}
