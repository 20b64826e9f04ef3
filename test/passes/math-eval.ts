// Compiles an expression that loop passes made to a JavaScript function, by the semantics of expr.ts, so that sweeps are fast.
// Lanes are checked and then evaluated one at a time: a splat is its operand.
import { must } from "../../src/base/assert.ts";
import type { BinaryOp, UnaryOp } from "../../src/ir/expr.ts";
import { type LoopExpr, lanesOf, type Stmt } from "../../src/ir/loops.ts";
import { children } from "../../src/ir/rewrite.ts";
import { type DType, intBits, is64, isFloat, isUnsigned } from "../../src/ir/types.ts";

export type Value = number | bigint | boolean;
const registers: ReadonlySet<DType> = new Set<DType>(["f32", "f64", "i32", "u32", "i64", "u64", "bool"]);

const words = new DataView(new ArrayBuffer(8));
function rint(x: number): number {
  if (!Number.isFinite(x) || Math.abs(x) >= 2 ** 52) return x;
  const r = x < 0 || Object.is(x, -0) ? -(-x + 2 ** 52 - 2 ** 52) : x + 2 ** 52 - 2 ** 52;
  return r;
}
function twoSum(a: number, b: number): [number, number] {
  const s = a + b;
  const t = s - a;
  return [s, a - (s - t) + (b - t)];
}
function split(a: number): [number, number] {
  const c = 134217729 * a;
  const h = c - (c - a);
  return [h, a - h];
}
/** a*b+c rounded once but for rare double rounding. */
function fma(a: number, b: number, c: number): number {
  const p = a * b;
  if (!Number.isFinite(p + c) || Math.abs(a) > 1e150 || Math.abs(b) > 1e150 || Math.abs(p) < 1e-250) return p + c;
  const [ah, al] = split(a);
  const [bh, bl] = split(b);
  const e = al * bl - (p - ah * bh - al * bh - ah * bl);
  const [s, f] = twoSum(p, c);
  return s + (e + f);
}
function toInt(x: number, low: number, high: number): number {
  return Number.isNaN(x) ? 0 : Math.min(Math.max(Math.trunc(x), low), high);
}
function toBig(x: number, low: bigint, high: bigint): bigint {
  if (Number.isNaN(x)) return 0n;
  return x <= Number(low) ? low : x >= Number(high) ? high : BigInt(Math.trunc(x));
}
/** What compiled code calls. */
const helpers = {
  rint,
  fma,
  toInt,
  toBig,
  f32bits: (x: number) => {
    words.setFloat32(0, x);
    return words.getInt32(0);
  },
  bitsf32: (x: number) => {
    words.setInt32(0, x);
    return words.getFloat32(0);
  },
  f64bits: (x: number) => {
    words.setFloat64(0, x);
    return words.getBigInt64(0);
  },
  bitsf64: (x: bigint) => {
    words.setBigInt64(0, x);
    return words.getFloat64(0);
  },
  big: (bits: number, unsigned: boolean, x: bigint) => (unsigned ? BigInt.asUintN(bits, x) : BigInt.asIntN(bits, x)),
  bigDiv: (a: bigint, b: bigint) => (b === 0n ? 0n : a / b),
  floorDiv: (a: number, b: number) => (b === 0 ? 0 : Math.floor(a / b)),
  floorMod: (a: number, b: number) => (b === 0 ? 0 : a - Math.floor(a / b) * b),
  nanmin: (a: number, b: number) => Math.min(a, b),
  nanmax: (a: number, b: number) => Math.max(a, b),
};

/** How `either` rounds. */
export type Rounding = "fused" | "separate";
export type Compiled = (
  vars: Readonly<Record<string, Value>>,
  cells: Readonly<Record<number, ArrayLike<number | bigint>>>,
) => Value;

class Compiler {
  private readonly lines: string[] = [];
  private readonly names = new Map<LoopExpr, string>();
  private readonly rounding: Rounding;
  private readonly lazy: boolean;
  constructor(rounding: Rounding, lazy: boolean) {
    this.rounding = rounding;
    this.lazy = lazy;
  }
  compile(e: LoopExpr): Compiled {
    const result = this.name(e);
    const text = `const {${Object.keys(helpers).join(", ")}} = h; return (v, c) => { ${this.lines.join("\n")}\nreturn ${result}; };`;
    return (new Function("h", text) as (h: typeof helpers) => Compiled)(helpers);
  }
  private name(e: LoopExpr): string {
    const old = this.names.get(e);
    if (old !== undefined) return old;
    const n = lanesOf(e);
    if (["binary", "mulAdd", "select", "unary", "cast", "bitcast"].includes(e.kind)) {
      if (!registers.has(e.dtype)) throw new Error(`${e.kind} of ${e.dtype}`);
      for (const c of children(e))
        if (lanesOf(c as LoopExpr) !== n) throw new Error(`${e.kind} of ${lanesOf(c as LoopExpr)} and ${n} lanes`);
    }
    const text = this.text(e);
    if (this.lazy) return `(${text})`;
    const name = `t${this.names.size}`;
    this.names.set(e, name);
    this.lines.push(`const ${name} = ${text};`);
    return name;
  }
  private text(e: LoopExpr): string {
    switch (e.kind) {
      case "const":
        if (is64(e.dtype)) return `${e.value}n`;
        if (e.dtype === "bool") return e.value ? "true" : "false";
        if (e.dtype === "f32" && !Object.is(Math.fround(Number(e.value)), e.value))
          throw new Error(`${e.value} is no f32`);
        return Object.is(e.value, -0) ? "-0" : String(e.value);
      case "var":
        return `v[${JSON.stringify(e.name)}]`;
      case "splat":
        return this.name(e.x);
      case "load":
        return `c[${e.buffer}][${this.name(e.index[0]!)}]`;
      case "table":
        return `[${e.values.join(",")}][${this.name(e.index)}]`;
      case "unary":
        return this.fit(e.dtype, this.unary(e.op, e.x.dtype, this.name(e.x)));
      case "binary": {
        if (e.a.dtype !== e.b.dtype) throw new Error(`${e.op} of ${e.a.dtype} and ${e.b.dtype}`);
        return this.fit(e.dtype, this.binary(e.op, e.a.dtype, this.name(e.a), this.name(e.b)));
      }
      case "mulAdd": {
        const [a, b, c] = [this.name(e.a), this.name(e.b), this.name(e.c)];
        const fused = e.rounding === "fused" || (e.rounding === "either" && this.rounding === "fused");
        return fused
          ? e.dtype === "f32"
            ? `Math.fround(${a} * ${b} + ${c})`
            : `fma(${a}, ${b}, ${c})`
          : this.fit(e.dtype, `${this.fit(e.dtype, `${a} * ${b}`)} + ${c}`);
      }
      case "select": {
        if (e.cond.dtype !== "bool" || e.a.dtype !== e.dtype || e.b.dtype !== e.dtype)
          throw new Error("select of other types");
        return `${this.name(e.cond)} ? ${this.name(e.a)} : ${this.name(e.b)}`;
      }
      case "cast":
        return this.cast(e.dtype, e.x.dtype, this.name(e.x));
      case "bitcast":
        return this.bitcast(e.dtype, e.x.dtype, this.name(e.x));
      case "ramp":
      case "lanes":
        throw new Error(`${e.kind} in a test`);
    }
  }
  /** Brings a result into its register. */
  private fit(t: DType, text: string): string {
    switch (t) {
      case "f32":
        return `Math.fround(${text})`;
      case "i32":
        return `(${text}) | 0`;
      case "u32":
        return `(${text}) >>> 0`;
      case "i64":
        return `BigInt.asIntN(64, ${text})`;
      case "u64":
        return `BigInt.asUintN(64, ${text})`;
      default:
        return text;
    }
  }
  private unary(op: UnaryOp, t: DType, x: string): string {
    switch (op) {
      case "neg":
        return `-${x}`;
      case "abs":
        return is64(t) ? `(${x} < 0n ? -${x} : ${x})` : `Math.abs(${x})`;
      case "sqrt":
      case "floor":
      case "ceil":
      case "trunc":
        return `Math.${op}(${x})`;
      case "round":
        return `rint(${x})`;
      case "recip":
        return `1 / ${x}`;
      case "not":
        return `!${x}`;
      case "bitnot":
        return `~${x}`;
      case "isnan":
        return `${x} !== ${x}`;
      case "exp":
      case "log":
      case "sin":
      case "cos":
      case "tanh":
      case "erf":
      case "widen8":
        throw new Error(`${op} is left`);
    }
  }
  private binary(op: BinaryOp, t: DType, a: string, b: string): string {
    const signs: Partial<Record<BinaryOp, string>> = {
      add: "+",
      sub: "-",
      lt: "<",
      le: "<=",
      eq: "===",
      ne: "!==",
      bitand: "&",
      bitor: "|",
      bitxor: "^",
      and: "&&",
      or: "||",
      xor: "!==",
    };
    const sign = signs[op];
    if (sign !== undefined) return `${a} ${sign} ${b}`;
    switch (op) {
      case "mul":
        return isFloat(t) || is64(t) ? `${a} * ${b}` : `Math.imul(${a}, ${b})`;
      case "min":
        return `${b} < ${a} ? ${b} : ${a}`;
      case "max":
        return `${a} < ${b} ? ${b} : ${a}`;
      case "nanmin":
      case "nanmax":
        return `${op}(${a}, ${b})`;
      case "div":
        if (isFloat(t)) return `${a} / ${b}`;
        break;
      case "pow":
        throw new Error("pow is left");
      case "shl":
        return is64(t) ? `${a} << ${b}` : `(${b} >>> 0 > 31 ? 0 : ${a} << ${b})`;
      case "shr":
        return is64(t)
          ? `${a} >> ${b}`
          : isUnsigned(t)
            ? `(${b} > 31 ? 0 : ${a} >>> ${b})`
            : `${a} >> (${b} >>> 0 > 31 ? 31 : ${b})`;
    }
    if (is64(t)) return `bigDiv(${a}, ${b})`;
    switch (op) {
      case "div":
      case "truncdiv":
        return `(${b} === 0 ? 0 : Math.trunc(${a} / ${b}))`;
      case "truncmod":
        return `(${b} === 0 ? 0 : ${a} % ${b})`;
      case "floordiv":
        return `floorDiv(${a}, ${b})`;
      default:
        return `floorMod(${a}, ${b})`;
    }
  }
  private cast(to: DType, from: DType, x: string): string {
    if (to === "bool") return is64(from) ? `${x} !== 0n` : from === "bool" ? x : `${x} !== 0`;
    if (from === "bool") return is64(to) ? `(${x} ? 1n : 0n)` : `(${x} ? 1 : 0)`;
    if (isFloat(to)) return this.fit(to, is64(from) ? `Number(${x})` : x);
    const n = intBits(to);
    const u = isUnsigned(to);
    const [low, high] = u ? [0n, (1n << BigInt(n)) - 1n] : [-(1n << BigInt(n - 1)), (1n << BigInt(n - 1)) - 1n];
    if (isFloat(from)) return is64(to) ? `toBig(${x}, ${low}n, ${high}n)` : `toInt(${x}, ${low}, ${high})`;
    const wide = `big(${n}, ${u}, ${is64(from) ? x : `BigInt(${x})`})`;
    return is64(to) ? wide : `Number(${wide})`;
  }
  private bitcast(to: DType, from: DType, x: string): string {
    const wide = is64(to) || to === "f64";
    if (wide !== (is64(from) || from === "f64") || !registers.has(to)) throw new Error(`bitcast of ${from} to ${to}`);
    const raw = from === "f32" ? `f32bits(${x})` : from === "f64" ? `f64bits(${x})` : x;
    if (to === "f32") return `bitsf32(${raw})`;
    return to === "f64" ? `bitsf64(${raw})` : this.fit(to, raw);
  }
}
/** Lazy: a select computes only the chosen side; the text then repeats what is shared. */
export function compile(e: LoopExpr, rounding: Rounding = "separate", lazy = false): Compiled {
  return new Compiler(rounding, lazy).compile(e);
}
/** Compiled, of one variable x. */
export function compile1(e: LoopExpr, rounding: Rounding = "separate"): (x: Value) => Value {
  const f = must(compile(e, rounding), "function");
  const vars: { x: Value } = { x: 0 };
  return (x) => {
    vars.x = x;
    return f(vars, {});
  };
}
/** A store within lets: the statement, and what it stores. */
export function compileStore(
  s: Stmt,
  rounding: Rounding = "separate",
  lazy = false,
): { readonly store: Extract<Stmt, { kind: "store" }>; readonly value: Compiled } {
  if (s.kind === "let") {
    const { name } = s;
    const own = compile(s.value, rounding, lazy);
    const { store, value } = compileStore(s.body, rounding, lazy);
    return { store, value: (vars, cells) => value({ ...vars, [name]: own(vars, cells) }, cells) };
  }
  if (s.kind !== "store") throw new Error(`${s.kind} around a store`);
  return { store: s, value: compile(s.value, rounding, lazy) };
}
