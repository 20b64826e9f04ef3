// The text of a scalar expression, and what is known of its value.
//
// i32, u32 and narrow integers are numbers; i64 and u64 are BigInts; f32 is a number that Math.fround leaves alone. The text of
// an integer may stand for a value not yet wrapped: it is exact, a double at most 2^53 (any size for a BigInt), and `wrapped`
// brings it into its dtype's range where that matters: indices, sums and stores to memory need no `| 0`.
// A bool is the number 0 or 1 in variables and memory, and a JavaScript boolean where it comes from a comparison.
import type { DType } from "../../src/ir/types.ts";
import { is64, isFloat } from "../../src/ir/types.ts";

/** Binding strengths of JavaScript's operators. */
export const prec: Readonly<
  Record<
    | "conditional"
    | "or"
    | "and"
    | "bitor"
    | "bitxor"
    | "bitand"
    | "equal"
    | "less"
    | "shift"
    | "add"
    | "mul"
    | "unary"
    | "primary",
    number
  >
> = {
  conditional: 3,
  or: 4,
  and: 5,
  bitor: 6,
  bitxor: 7,
  bitand: 8,
  equal: 9,
  less: 10,
  shift: 11,
  add: 12,
  mul: 13,
  unary: 15,
  primary: 18,
};

export type Text = {
  readonly text: string;
  readonly prec: number;
  readonly dtype: DType;
  /** Bounds of the value of a 32-bit or narrower integer. */
  readonly lo: number;
  readonly hi: number;
  /** The number may be -0, which must not become a float. */
  readonly negativeZero?: boolean;
  /** A BigInt that may be out of its dtype's range. */
  readonly loose?: boolean;
  /** A JavaScript boolean. */
  readonly logical?: boolean;
  /** What may be stored instead, since memory rounds or wraps by itself. */
  readonly stored?: string | undefined;
};

export const limit: number = 2 ** 53;
const ranges: Readonly<Partial<Record<DType, readonly [number, number]>>> = {
  i32: [-(2 ** 31), 2 ** 31 - 1],
  u32: [0, 2 ** 32 - 1],
  i16: [-32768, 32767],
  u16: [0, 65535],
  i8: [-128, 127],
  u8: [0, 255],
  bool: [0, 1],
};
export function rangeOf(t: DType): readonly [number, number] {
  return ranges[t] ?? [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
}
/** An integer of at most 32 bits, or bool. */
export function isSmall(t: DType): boolean {
  return !isFloat(t) && !is64(t);
}

/** Text of any value of its dtype. */
export function plain(text: string, strength: number, dtype: DType, more: Partial<Text> = {}): Text {
  const [lo, hi] = rangeOf(dtype);
  return { text, prec: strength, dtype, lo, hi, ...more };
}
/** The text as an operand: in parentheses when it binds more weakly than `strength`. */
export function at(x: Text, strength: number): string {
  return x.prec < strength || (strength > prec.mul && x.text.startsWith("-")) ? `(${x.text})` : x.text;
}
export function call(f: string, args: readonly Text[], dtype: DType, more: Partial<Text> = {}): Text {
  return plain(`${f}(${args.map((a) => a.text).join(", ")})`, prec.primary, dtype, more);
}

/** A literal of the dtype; f32 values are rounded. */
export function literal(dtype: DType, value: number | bigint): Text {
  if (is64(dtype)) return plain(`${value}n`, value < 0 ? prec.unary : prec.primary, dtype);
  const number = dtype === "f32" ? Math.fround(Number(value)) : isFloat(dtype) ? Number(value) : Number(value) + 0;
  const text = Object.is(number, -0) ? "-0" : String(number);
  const strength = text.startsWith("-") ? prec.unary : prec.primary;
  return isFloat(dtype) ? plain(text, strength, dtype) : plain(text, strength, dtype, { lo: number, hi: number });
}
/** The number that an integer's text is, when it is known. */
export function known(x: Text): number | null {
  return x.lo === x.hi && isSmall(x.dtype) && !x.logical ? x.lo : null;
}

/** The value in its dtype's range. `zero`: -0 is not wanted either. */
export function wrapped(x: Text, zero = false): Text {
  if (x.logical) return number(x);
  if (is64(x.dtype)) {
    if (!x.loose) return x;
    return call(
      x.dtype === "i64" ? "BigInt.asIntN" : "BigInt.asUintN",
      [plain("64", prec.primary, "i32"), x],
      x.dtype,
      { stored: undefined },
    );
  }
  if (isFloat(x.dtype)) return x;
  const [lo, hi] = rangeOf(x.dtype);
  if (x.lo >= lo && x.hi <= hi && !(zero && x.negativeZero)) return x;
  const stored = x.text;
  switch (x.dtype) {
    case "u32":
      return plain(`${at(x, prec.shift)} >>> 0`, prec.shift, "u32", { stored });
    case "i8":
      return plain(`${at(x, prec.shift)} << 24 >> 24`, prec.shift, "i8", { stored });
    case "i16":
      return plain(`${at(x, prec.shift)} << 16 >> 16`, prec.shift, "i16", { stored });
    case "u8":
      return plain(`${at(x, prec.bitand)} & 255`, prec.bitand, "u8", { stored });
    case "u16":
      return plain(`${at(x, prec.bitand)} & 65535`, prec.bitand, "u16", { stored });
    default:
      return plain(`${at(x, prec.bitor)} | 0`, prec.bitor, x.dtype, { stored });
  }
}
/** A bool as 0 or 1. */
export function number(x: Text): Text {
  return x.logical ? plain(`${at(x, prec.conditional + 1)} ? 1 : 0`, prec.conditional, x.dtype) : x;
}
/** A bool as a JavaScript boolean. */
export function logical(x: Text): Text {
  if (x.logical) return x;
  const value = known(x);
  if (value !== null) return plain(value === 0 ? "false" : "true", prec.primary, "bool", { logical: true });
  return plain(`${at(x, prec.equal)} !== 0`, prec.equal, "bool", { logical: true });
}

/** f32 results are rounded; the store to memory would round by itself. */
export function rounded(helper: (name: "f") => string, text: string, strength: number, dtype: DType): Text {
  if (dtype === "f64") return plain(text, strength, dtype);
  return plain(`${helper("f")}(${text})`, prec.primary, dtype, { stored: text });
}

const sum = (a: Text, b: Text, minus: boolean): Text => {
  const [lo, hi] = minus ? [a.lo - b.hi, a.hi - b.lo] : [a.lo + b.lo, a.hi + b.hi];
  const c = known(b);
  const negative = c !== null && c < 0;
  const text = negative
    ? `${at(a, prec.add)} ${minus ? "+" : "-"} ${-c}`
    : `${at(a, prec.add)} ${minus ? "-" : "+"} ${at(b, minus ? prec.mul : prec.add)}`;
  return plain(text, prec.add, a.dtype, {
    lo,
    hi,
    negativeZero: Boolean(a.negativeZero) && (minus || Boolean(b.negativeZero)),
  });
};
/** a + b or a - b of small integers, wrapped only when the sum might lose bits. */
export function addSmall(x: Text, y: Text, minus = false): Text {
  const [a, b] = Math.max(-x.lo, x.hi) + Math.max(-y.lo, y.hi) <= limit ? [x, y] : [wrapped(x), wrapped(y)];
  if (known(b) === 0) return a;
  if (known(a) === 0 && !minus) return b;
  const [c, d] = [known(a), known(b)];
  if (c !== null && d !== null) return literal(a.dtype, minus ? c - d : c + d);
  return sum(a, b, minus);
}
/** a * b of small integers: a plain product while it is exact, else Math.imul. */
export function mulSmall(x: Text, y: Text): Text {
  const size = (t: Text): number => Math.max(-t.lo, t.hi);
  for (const [a, b] of [
    [x, y],
    [wrapped(x), wrapped(y)],
  ] as const) {
    if (size(a) * size(b) > limit) continue;
    if (known(a) === 1) return b;
    if (known(b) === 1) return a;
    const corners = [a.lo * b.lo, a.lo * b.hi, a.hi * b.lo, a.hi * b.hi].map((c) => c + 0);
    const negativeZero =
      (a.lo < 0 && b.lo <= 0 && b.hi >= 0) || (b.lo < 0 && a.lo <= 0 && a.hi >= 0) || a.negativeZero || b.negativeZero;
    return plain(`${at(a, prec.mul)} * ${at(b, prec.mul + 1)}`, prec.mul, x.dtype, {
      lo: Math.min(...corners),
      hi: Math.max(...corners),
      ...(negativeZero ? { negativeZero: true } : {}),
    });
  }
  return call("Math.imul", [x, y], x.dtype, { lo: -(2 ** 31), hi: 2 ** 31 - 1 });
}
/** A bitwise result is an i32 to JavaScript, whatever the dtype. */
export function bitwise(text: string, strength: number, dtype: DType): Text {
  return plain(text, strength, dtype, { lo: -(2 ** 31), hi: 2 ** 31 - 1 });
}
