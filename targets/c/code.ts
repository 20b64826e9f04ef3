// Pieces of C: an expression with the precedence of its outermost operator, literals, types of values and of memory cells.
import { InternalError, unreachable } from "../../src/base/assert.ts";
import type { DType } from "../../src/ir/types.ts";

/** C text of an expression. `p`: how tightly its outermost operator binds, one of `bind`. */
export type Code = { readonly s: string; readonly p: number };
export const bind = {
  choice: 3,
  or: 4,
  and: 5,
  bits: 6,
  equal: 9,
  order: 10,
  shift: 11,
  add: 12,
  mul: 13,
  unary: 14,
  atom: 16,
} as const;

export const atom = (s: string): Code => ({ s, p: bind.atom });
/** The text, in parentheses when it binds less tightly than `p`. */
export function tight(c: Code, p: number): string {
  return c.p < p ? `(${c.s})` : c.s;
}
export function call(name: string, ...args: readonly Code[]): Code {
  return atom(`${name}(${args.map((a) => a.s).join(", ")})`);
}
export function castTo(type: string, c: Code): Code {
  return { s: `(${type})${tight(c, bind.unary)}`, p: bind.unary };
}
export function prefix(op: string, c: Code): Code {
  // Neither `--x` nor `- -1`.
  return { s: `${op}${c.s.startsWith(op) ? `(${c.s})` : tight(c, bind.unary)}`, p: bind.unary };
}
export const sum = (a: Code, op: "+" | "-", b: Code): Code => ({
  s: `${tight(a, bind.add)} ${op} ${tight(b, bind.add + 1)}`,
  p: bind.add,
});
export const product = (a: Code, op: "*" | "/" | "%", b: Code): Code => ({
  s: `${tight(a, bind.mul)} ${op} ${tight(b, bind.mul + 1)}`,
  p: bind.mul,
});
/** Operators whose mixing with others draws a warning: operands are sums or tighter for comparisons, single terms for the rest. */
export function infix(a: Code, op: string, b: Code, p: number): Code {
  const inner = p === bind.order || p === bind.equal ? bind.add : p === bind.or ? bind.equal : bind.unary;
  const min = p === bind.and ? bind.equal : inner;
  return { s: `${tight(a, min)} ${op} ${tight(b, min)}`, p };
}
export function choose(cond: Code, a: Code, b: Code): Code {
  return { s: `${tight(cond, bind.or)} ? ${tight(a, bind.or)} : ${tight(b, bind.choice)}`, p: bind.choice };
}

/** The type of a value in a local variable: narrow integers are computed as int32_t, bool as int. */
export function valueType(d: DType): string {
  switch (d) {
    case "f32":
      return "float";
    case "f64":
      return "double";
    case "i64":
      return "int64_t";
    case "u64":
      return "uint64_t";
    case "u32":
      return "uint32_t";
    case "bool":
      return "int";
    case "i32":
    case "i16":
    case "u16":
    case "i8":
    case "u8":
      return "int32_t";
    default:
      throw new InternalError(`no register holds ${d}`);
  }
}

/** The typedef of a memory cell, as kernels see it; 16-bit floats and smaller types are the integers of their bits. */
export function cellName(d: DType): string {
  switch (d) {
    case "f64":
    case "f32":
    case "i64":
    case "u64":
    case "i32":
    case "u32":
    case "i16":
    case "u16":
    case "i8":
    case "u8":
    case "bool":
      return `ig_${d}`;
    case "f16":
    case "bf16":
      return "ig_u16";
    case "i4":
    case "i2":
      return "ig_i8";
    case "f8e4m3fn":
    case "f8e4m3fnuz":
    case "f8e5m2":
    case "f8e5m2fnuz":
    case "f8e8m0":
    case "f4e2m1":
    case "u4":
    case "u2":
      return "ig_u8";
    default:
      return unreachable(d, "cellName");
  }
}

/** The plain C type of an element in the header. */
export function elementType(d: DType): string {
  const cell = cellName(d).slice(3);
  if (cell === "f32") return "float";
  if (cell === "f64") return "double";
  return cell === "bool" ? "uint8_t" : `${cell.startsWith("u") ? "uint" : "int"}${cell.slice(1)}_t`;
}

export function literal(d: DType, value: number | bigint): Code {
  const minus = (s: string): Code => (s.startsWith("-") ? { s, p: bind.unary } : atom(s));
  switch (d) {
    case "f32":
    case "f64": {
      const x = d === "f32" ? Math.fround(Number(value)) : Number(value);
      if (Number.isNaN(x)) return atom("IG_NAN");
      if (!Number.isFinite(x)) return minus(x < 0 ? "-IG_INF" : "IG_INF");
      const s = Object.is(x, -0) ? "-0" : String(x);
      return minus(`${/[.e]/.test(s) ? s : `${s}.0`}${d === "f32" ? "f" : ""}`);
    }
    case "u32":
      return atom(`${value}u`);
    case "u64":
      return atom(`UINT64_C(${value})`);
    case "i64":
      if (value === -(2n ** 63n)) return atom("INT64_MIN");
      return atom(`INT64_C(${value})`);
    default:
      return value === -2147483648 ? atom("INT32_MIN") : minus(String(Number(value)));
  }
}

/** Smallest and largest value of a type narrower than 32 bits, else null. */
export function narrowRange(d: DType): readonly [number, number] | null {
  switch (d) {
    case "i8":
      return [-128, 127];
    case "u8":
      return [0, 255];
    case "i16":
      return [-32768, 32767];
    case "u16":
      return [0, 65535];
    case "bool":
      return [0, 1];
    default:
      return null;
  }
}
