// Which instruction an operation is. `null`: none; the printer composes it (see expr.ts).
import { InternalError } from "../../src/base/assert.ts";
import type { BinaryOp, UnaryOp } from "../../src/ir/expr.ts";
import type { DType } from "../../src/ir/types.ts";
import { elementBytes, widened } from "../../src/ir/types.ts";
import type { Module, Ref, ValType } from "./module.ts";

/** Register classes: u8 and u16 values are non-negative i32, so their class is i32. */
export type Class = "f32" | "f64" | "i32" | "u32" | "i64" | "u64" | "bool";

export function classOf(d: DType): Class {
  return widened(d) as Class;
}
export function valType(c: Class): Exclude<ValType, "v128"> {
  return c === "f32" || c === "f64" ? c : c === "i64" || c === "u64" ? "i64" : "i32";
}

type Two = (a: Ref, b: Ref) => Ref;
type One = (x: Ref) => Ref;

function floatBinary(o: Module["f32"] | Module["f64"] | Module["f32x4"], op: BinaryOp): Two | null {
  switch (op) {
    case "add":
    case "sub":
    case "mul":
    case "div":
    case "lt":
    case "le":
    case "eq":
    case "ne":
      return o[op];
    case "nanmin":
      return o.min;
    case "nanmax":
      return o.max;
    default:
      return null;
  }
}

/** Scalar instructions without any guard: integer division, shifts, min and max are not among them. */
export function scalarBinary(m: Module, op: BinaryOp, c: Class): Two | null {
  if (c === "f32" || c === "f64") return floatBinary(m[c], op);
  const o = m[valType(c) as "i32" | "i64"];
  const unsigned = c !== "i32" && c !== "i64";
  switch (op) {
    case "add":
    case "sub":
    case "mul":
    case "and":
    case "or":
    case "xor":
    case "eq":
    case "ne":
      return o[op];
    case "bitand":
      return o.and;
    case "bitor":
      return o.or;
    case "bitxor":
      return o.xor;
    case "lt":
      return unsigned ? o.lt_u : o.lt_s;
    case "le":
      return unsigned ? o.le_u : o.le_s;
    default:
      return null;
  }
}

/** Instructions over four lanes; a vector of bool is a mask of lanes 0 or -1. */
export function vectorBinary(m: Module, op: BinaryOp, c: Class): Two | null {
  if (c === "f32") {
    const o = m.f32x4;
    // pmin(a, b) is b < a ? b : a, which is what `min` means.
    return op === "min" ? o.pmin : op === "max" ? o.pmax : floatBinary(o, op);
  }
  const o = m.i32x4;
  const unsigned = c !== "i32";
  switch (op) {
    case "add":
    case "sub":
    case "mul":
    case "eq":
    case "ne":
      return o[op];
    case "and":
    case "bitand":
      return m.v128.and;
    case "or":
    case "bitor":
      return m.v128.or;
    case "xor":
    case "bitxor":
      return m.v128.xor;
    case "lt":
      return unsigned ? o.lt_u : o.lt_s;
    case "le":
      return unsigned ? o.le_u : o.le_s;
    case "min":
    case "nanmin":
      return unsigned ? o.min_u : o.min_s;
    case "max":
    case "nanmax":
      return unsigned ? o.max_u : o.max_s;
    case "dot16":
      return o.dot_i16x8_s;
    default:
      return null;
  }
}

export function floatUnary(m: Module, op: UnaryOp, c: "f32" | "f64", lanes: number): One | null {
  const o = lanes === 1 ? m[c] : m.f32x4;
  switch (op) {
    case "neg":
    case "abs":
    case "sqrt":
    case "floor":
    case "ceil":
    case "trunc":
      return o[op];
    case "round":
      return o.nearest;
    default:
      return null;
  }
}

/** Scalar load of a cell into its register. */
export function load(m: Module, d: DType, offset: number, ptr: Ref): Ref {
  switch (d) {
    case "f32":
      return m.f32.load(offset, 4, ptr);
    case "f64":
      return m.f64.load(offset, 8, ptr);
    case "i32":
    case "u32":
      return m.i32.load(offset, 4, ptr);
    case "i64":
    case "u64":
      return m.i64.load(offset, 8, ptr);
    case "i16":
      return m.i32.load16_s(offset, 2, ptr);
    case "u16":
      return m.i32.load16_u(offset, 2, ptr);
    case "i8":
      return m.i32.load8_s(offset, 1, ptr);
    case "u8":
    case "bool":
      return m.i32.load8_u(offset, 1, ptr);
    default:
      throw new InternalError(`no load of ${d}: expand-storage should have decoded it`);
  }
}
export function store(m: Module, d: DType, offset: number, ptr: Ref, value: Ref): Ref {
  switch (d) {
    case "f32":
      return m.f32.store(offset, 4, ptr, value);
    case "f64":
      return m.f64.store(offset, 8, ptr, value);
    case "i64":
    case "u64":
      return m.i64.store(offset, 8, ptr, value);
    default:
      switch (elementBytes(d)) {
        case 4:
          return m.i32.store(offset, 4, ptr, value);
        case 2:
          return m.i32.store16(offset, 2, ptr, value);
        default:
          return m.i32.store8(offset, 1, ptr, value);
      }
  }
}

/** Four neighbouring cells, widened to lanes of 32 bits; bool becomes a mask. */
export function loadVector(m: Module, d: DType, offset: number, ptr: Ref): Ref {
  switch (d) {
    case "f32":
    case "i32":
    case "u32":
      return m.v128.load(offset, 4, ptr);
    case "i16":
      return m.v128.load16x4_s(offset, 2, ptr);
    case "u16":
      return m.v128.load16x4_u(offset, 2, ptr);
    case "i8":
      return m.i32x4.extend_low_i16x8_s(m.i16x8.extend_low_i8x16_s(m.v128.load32_zero(offset, 1, ptr)));
    case "u8":
      return m.i32x4.extend_low_i16x8_u(m.i16x8.extend_low_i8x16_u(m.v128.load32_zero(offset, 1, ptr)));
    case "bool":
      return m.i32x4.neg(loadVector(m, "u8", offset, ptr));
    default:
      throw new InternalError(`no vector load of ${d}`);
  }
}
/** Four neighbouring cells of two i8 each, as two i16 in a lane. */
export function loadPairs(m: Module, offset: number, ptr: Ref): Ref {
  return m.v128.load8x8_s(offset, 2, ptr);
}
/** Stores four lanes; a narrow cell keeps the low bytes of its lane. */
export function storeVector(m: Module, d: DType, offset: number, ptr: Ref, value: Ref): Ref {
  const size = elementBytes(d);
  if (size === 4) return m.v128.store(offset, 4, ptr, value);
  if (size > 4) throw new InternalError(`no vector store of ${d}`);
  // Which byte of the lanes goes where; an index out of range gives 0 there, which is not stored.
  const from = Array.from({ length: 16 }, (_, i) => (i < 4 * size ? Math.floor(i / size) * 4 + (i % size) : 255));
  const packed = m.i8x16.swizzle(d === "bool" ? m.i32x4.neg(value) : value, m.v128.const(from));
  return size === 1 ? m.v128.store32_lane(offset, 1, 0, ptr, packed) : m.v128.store64_lane(offset, 2, 0, ptr, packed);
}

/** A constant in the register of its class. */
export function constant(m: Module, c: Class, value: number | bigint): Ref {
  switch (c) {
    case "f32":
      return m.f32.const(Number(value));
    case "f64":
      return m.f64.const(Number(value));
    case "i64":
    case "u64":
      return m.i64.const(BigInt.asIntN(64, BigInt(value)));
    default:
      return m.i32.const(Number(value) | 0);
  }
}
/** The same constant in all four lanes; true is -1. */
export function constantVector(m: Module, c: Class, value: number): Ref {
  const lane = new DataView(new ArrayBuffer(4));
  if (c === "f32") lane.setFloat32(0, value, true);
  else lane.setInt32(0, c === "bool" ? -Number(value !== 0) : value | 0, true);
  return m.v128.const(Array.from({ length: 16 }, (_, i) => lane.getUint8(i % 4)));
}

/** A scalar conversion between registers that needs no temporary; narrowing to 8 and 16 bits and to bool is composed around it. */
export function convert(m: Module, from: Class, to: Class, x: Ref): Ref {
  const [a, b] = [valType(from), valType(to)];
  const unsignedFrom = from === "u32" || from === "u64" || from === "bool";
  const unsignedTo = to === "u32" || to === "u64";
  if (b === "f32" || b === "f64") {
    if (a === "f32" || a === "f64") return a === b ? x : b === "f32" ? m.f32.demote(x) : m.f64.promote(x);
    return (unsignedFrom ? m[b].convert_u : m[b].convert_s)[a](x);
  }
  if (a === "f32" || a === "f64") return (unsignedTo ? m[b].trunc_u_sat : m[b].trunc_s_sat)[a](x);
  if (a === b) return x;
  return b === "i32" ? m.i32.wrap(x) : unsignedFrom ? m.i64.extend_u(x) : m.i64.extend_s(x);
}
