// Names, buffers and expressions in text form. The grammar stands at the top of print.ts.
import type { BufferId } from "../base/brand.ts";
import { formatFloat, quoteName, Writer } from "../base/text.ts";
import type { Dim } from "./dim.ts";
import * as D from "./dim.ts";
import type {
  Binary,
  BinaryOp,
  Bitcast,
  Cast,
  Const,
  Load,
  MulAdd,
  Select,
  Table,
  Unary,
  UnaryOp,
  Var,
} from "./expr.ts";
import { isCompare } from "./expr.ts";
import type { Lanes, Ramp, Splat } from "./loops.ts";
import type { Buffer, Storage } from "./storage.ts";
import type { Axis, Reduce } from "./te.ts";
import { type DType, dtypes, isFloat } from "./types.ts";

/** An expression of T or of L: both TeExpr and LoopExpr are subtypes. */
export type AnyExpr =
  | Const
  | Var
  | Load<AnyExpr>
  | Table<AnyExpr>
  | Unary<AnyExpr>
  | Binary<AnyExpr>
  | MulAdd<AnyExpr>
  | Select<AnyExpr>
  | Cast<AnyExpr>
  | Bitcast<AnyExpr>
  | Ramp
  | Splat
  | Lanes
  | Reduce;

/** The operands of an expression, in the order in which they are written. A reduce has none: its parts have a scope of their own. */
export function operandsOf(e: AnyExpr): readonly AnyExpr[] {
  switch (e.kind) {
    case "const":
    case "var":
    case "reduce":
      return [];
    case "load":
      return e.index;
    case "table":
      return [e.index];
    case "unary":
    case "cast":
    case "bitcast":
    case "splat":
    case "lanes":
      return [e.x];
    case "binary":
      return [e.a, e.b];
    case "mulAdd":
      return [e.a, e.b, e.c];
    case "select":
      return [e.cond, e.a, e.b];
    case "ramp":
      return [e.base];
  }
}

/** Numbers written as words. */
export const numberWords: ReadonlySet<string> = new Set([
  "inf",
  "nan",
  ...dtypes.flatMap((d) => [`inf_${d}`, `nan_${d}`]),
]);
/** Words that begin a statement or are literals: a variable or buffer of that name is quoted. */
export const reservedWords: ReadonlySet<string> = new Set([
  ..."let def alloc if else while seq barrier reduce state update merge result atomic.add atomic.max".split(" "),
  ..."for unroll vector parallel block.x block.y block.z thread.x thread.y thread.z".split(" "),
  "true",
  "false",
  ...numberWords,
]);
/** A variable's or a buffer's name as text. */
export function nameText(s: string): string {
  return quoteName(s, reservedWords);
}

/** Ops written between their operands: the sign, and how tightly it binds. All group to the left. */
export const infix: Readonly<Partial<Record<BinaryOp, readonly [sign: string, precedence: number]>>> = {
  or: ["||", 1],
  and: ["&&", 2],
  bitor: ["|", 3],
  bitxor: ["^", 4],
  bitand: ["&", 5],
  eq: ["==", 6],
  ne: ["!=", 6],
  lt: ["<", 7],
  le: ["<=", 7],
  shl: ["<<", 8],
  shr: [">>", 8],
  add: ["+", 9],
  sub: ["-", 9],
  mul: ["*", 10],
  div: ["/", 10],
};
/** Unary ops written before their operand; they bind tighter than any infix op. */
export const prefix: Readonly<Partial<Record<UnaryOp, string>>> = { neg: "-", not: "!", bitnot: "~" };
export const prefixPrecedence = 11;
export const mulAddNames: Readonly<Record<MulAdd<AnyExpr>["rounding"], string>> = {
  either: "mulAdd",
  fused: "mulAdd.fused",
  separate: "mulAdd.separate",
};

/** The names of buffers within one scope (a program, or a kernel), and their declarations. */
export class BufferNames {
  private readonly byId: Map<BufferId, Buffer> = new Map();
  private readonly idsOf: Map<string, Set<BufferId>> = new Map();
  private last = -1;

  constructor(buffers: Iterable<Buffer>) {
    for (const b of buffers) {
      this.byId.set(b.id, b);
      const ids = this.idsOf.get(b.name);
      if (ids) ids.add(b.id);
      else this.idsOf.set(b.name, new Set([b.id]));
    }
  }
  get(id: BufferId): Buffer | undefined {
    return this.byId.get(id);
  }
  /** `name`, `name#id` when the name alone does not tell, `#id` when the buffer is not declared. */
  ref(id: BufferId): string {
    const b = this.byId.get(id);
    if (!b) return `#${id}`;
    return this.idsOf.get(b.name)!.size > 1 ? `${nameText(b.name)}#${id}` : nameText(b.name);
  }
  /** `name: f32[N, 4] arena ...`; the id is written unless it is one more than that of the declaration before. */
  declare(b: Buffer): string {
    const id = b.id === this.last + 1 && this.idsOf.get(b.name)?.size === 1 ? "" : `#${b.id}`;
    this.last = b.id;
    const parts = [`${nameText(b.name)}${id}: ${tensorText(b.dtype, b.shape)}`, b.scope];
    if (b.storage) parts.push(this.storage(b.storage, b.shape));
    if (b.inside) {
      parts.push(`part of ${this.ref(b.inside.of)} from ${dimsText(b.inside.offset)}`);
      if (!sameDims(b.inside.step, defaultSteps(b.shape))) parts.push(`step ${dimsText(b.inside.step)}`);
    }
    return parts.join(" ");
  }
  /** What differs from dense row-major storage of its own, or `dense`. */
  private storage(s: Storage, shape: readonly Dim[]): string {
    const parts: string[] = [];
    if (!sameDims(s.strides, defaultStrides(shape))) parts.push(`strides ${dimsText(s.strides)}`);
    if (s.blocks.length > 0)
      parts.push(`blocks (${s.blocks.map((b) => `${b.axis} by ${b.by} stride ${b.stride.key}`).join(", ")})`);
    if (s.root !== null) parts.push(`in ${this.ref(s.root)}`);
    if (s.offset !== D.zero) parts.push(`offset ${s.offset.key}`);
    if (s.size !== D.product(shape)) parts.push(`size ${s.size.key}`);
    return parts.length > 0 ? parts.join(" ") : "dense";
  }
}

/** The type that a name has where an expression stands. Names that are not bound are i32 scalars (dims). */
export type VarType = { readonly dtype: DType; readonly lanes: number };
export type VarTypes = Map<string, VarType>;
/** Runs f with more names bound. */
export function withVars<T>(vars: VarTypes, more: Iterable<readonly [string, VarType]>, f: () => T): T {
  const old: (readonly [string, VarType | undefined])[] = [];
  for (const [name, type] of more) {
    old.push([name, vars.get(name)]);
    vars.set(name, type);
  }
  try {
    return f();
  } finally {
    for (const [name, type] of old.reverse()) {
      if (type) vars.set(name, type);
      else vars.delete(name);
    }
  }
}
export const index32: VarType = { dtype: "i32", lanes: 1 };

/** A subtree that occurs more than once in a statement is written once, as a `def`, when its text is longer than this. */
const longText = 32;

/**
 * Prints expressions. A literal is written without its dtype where the reader finds it again: it has the dtype of the operand
 * beside it, else the one that its place asks for (`expected`), else i32, or f32 when written with a point.
 */
export class ExprPrinter {
  private readonly buffers: BufferNames;
  readonly vars: VarTypes;
  private readonly strong: WeakMap<AnyExpr, { readonly dtype: DType | null }> = new WeakMap();
  private shared: Map<AnyExpr, string | null> = new Map();
  private defs: string[] = [];
  private counter = 0;
  private depth = 0;

  constructor(buffers: BufferNames, vars: VarTypes = new Map()) {
    this.buffers = buffers;
    this.vars = vars;
  }

  /** The text of a statement made of `exprs`; what they share is written to `w` before it. */
  statement<T>(w: Writer, exprs: readonly AnyExpr[], text: () => T): T {
    const outer = { shared: this.shared, defs: this.defs };
    if (this.depth++ === 0) this.counter = 0;
    this.shared = sharedIn(exprs);
    this.defs = [];
    try {
      const t = text();
      for (const d of this.defs) w.line(d);
      return t;
    } finally {
      this.depth--;
      this.shared = outer.shared;
      this.defs = outer.defs;
    }
  }

  /** `precedence`: infix ops that bind more loosely than this are put in parentheses. */
  expr(e: AnyExpr, expected: DType | null, precedence = 0): string {
    if (this.shared.get(e) === "") this.shared.set(e, this.define(e));
    return this.shared.get(e) ?? this.inline(e, expected, precedence);
  }
  /** The name of a new `def` for a shared subtree, or null when its text is short enough to repeat. */
  private define(e: AnyExpr): string | null {
    const text = this.inline(e, null, 0);
    if (text.length <= longText) return null;
    const name = `@${++this.counter}`;
    this.defs.push(`def ${name} = ${text}`);
    return name;
  }
  private inline(e: AnyExpr, expected: DType | null, precedence: number): string {
    if (e.kind === "var") {
      const type = this.vars.get(e.name) ?? index32;
      const lanes = type.lanes === 1 ? undefined : type.lanes;
      if (e.dtype === type.dtype && e.lanes === lanes) return nameText(e.name);
      return `(${nameText(e.name)}: ${e.dtype}${e.lanes === undefined ? "" : `x${e.lanes}`})`;
    }
    if (e.kind === "const") return literalText(e, expected);
    return this.typeAsRead(e) === e.dtype
      ? this.core(e, expected, precedence)
      : `(${this.core(e, e.dtype, 0)}: ${e.dtype})`;
  }
  /** The dtype that the reader gives to a node by itself. */
  private typeAsRead(e: Exclude<AnyExpr, Const | Var>): DType {
    switch (e.kind) {
      case "load":
        return this.buffers.get(e.buffer)?.dtype ?? e.dtype;
      case "unary":
        return e.op === "isnan" || e.op === "not" ? "bool" : e.x.dtype;
      case "binary":
        return isCompare(e.op) ? "bool" : e.a.dtype;
      case "mulAdd":
      case "select":
        return e.a.dtype;
      case "splat":
      case "lanes":
        return e.x.dtype;
      case "reduce":
        return e.result.dtype;
      case "ramp":
        return "i32";
      case "table":
      case "cast":
      case "bitcast":
        return e.dtype;
    }
  }
  private load(e: Extract<AnyExpr, { kind: "load" }>): string {
    const text = `${this.buffers.ref(e.buffer)}[${e.via === undefined ? "" : `${nameText(e.via)}: `}${this.list(e.index, "i32")}]`;
    return e.safe ? `safe(${text})` : text;
  }
  private core(e: Exclude<AnyExpr, Const | Var>, expected: DType | null, precedence: number): string {
    switch (e.kind) {
      case "load":
        return this.load(e);
      case "table":
        return `table(${e.dtype}, [${e.values.map((x) => numberText(x, e.dtype)).join(", ")}], ${this.expr(e.index, "i32")})`;
      case "unary": {
        const sign = prefix[e.op];
        if (e.op === "not") return `!${this.expr(e.x, "bool", prefixPrecedence)}`;
        if (sign === undefined) return `${e.op}(${this.expr(e.x, e.op === "isnan" ? null : expected)})`;
        const text = this.expr(e.x, expected, prefixPrecedence);
        // A minus directly before a number belongs to the literal.
        return e.op === "neg" && e.x.kind === "const" ? `-(${text})` : `${sign}${text}`;
      }
      case "binary": {
        const type = this.strongOf([e.a, e.b]) ?? (isCompare(e.op) ? null : expected);
        const sign = infix[e.op];
        if (!sign) return `${e.op}(${this.list([e.a, e.b], type)})`;
        const [s, p] = sign;
        const text = `${this.expr(e.a, type, p)} ${s} ${this.expr(e.b, type, p + 1)}`;
        return p < precedence ? `(${text})` : text;
      }
      case "mulAdd":
        return `${mulAddNames[e.rounding]}(${this.list([e.a, e.b, e.c], this.strongOf([e.a, e.b, e.c]) ?? expected)})`;
      case "select":
        return `select(${this.expr(e.cond, "bool")}, ${this.list([e.a, e.b], this.strongOf([e.a, e.b]) ?? expected)})`;
      case "cast":
        return `${e.dtype}(${this.expr(e.x, null)})`;
      case "bitcast":
        return `bitcast.${e.dtype}(${this.expr(e.x, null)})`;
      case "ramp":
        return `ramp(${this.expr(e.base, "i32")}, ${e.stride}, ${e.lanes})`;
      case "splat":
        return `x${e.lanes}(${this.expr(e.x, expected)})`;
      case "lanes":
        return `lanes.${e.op}(${this.expr(e.x, expected)}, ${e.factor})`;
      case "reduce":
        return this.reduce(e);
    }
  }
  private list(es: readonly AnyExpr[], expected: DType | null): string {
    return es.map((x) => this.expr(x, expected)).join(", ");
  }
  private reduce(e: Reduce): string {
    const w = new Writer();
    const types = e.state.map((s) => [s.name, { dtype: s.dtype, lanes: 1 }] as const);
    const primed = types.map(([name, type]) => [`${name}'`, type] as const);
    const name = (k: number): string => (e.state[k] ? nameText(e.state[k].name) : "_");
    w.block(`reduce ${e.axes.map((a) => axisText(a, "reduce")).join(", ")}`.trimEnd(), () => {
      withVars(this.vars, [...e.axes.map((a) => [a.name, index32] as const), ...types, ...primed], () => {
        for (const s of e.state) w.line(`state ${nameText(s.name)}: ${s.dtype} = ${literalText(s.init, s.dtype)}`);
        const lines = this.statement(w, [...e.update, ...(e.merge ?? []), e.result], () => [
          ...e.update.map((x, k) => `update ${name(k)} = ${this.expr(x, e.state[k]?.dtype ?? null)}`),
          ...(e.merge ?? []).map((x, k) => `merge ${name(k)} = ${this.expr(x, e.state[k]?.dtype ?? null)}`),
          `result ${this.expr(e.result, null)}`,
        ]);
        for (const l of lines) w.line(l);
      });
    });
    return w.toString();
  }

  /** The dtype that the first of these has by itself, without regard to its place; null when all are made of literals. */
  private strongOf(es: readonly AnyExpr[]): DType | null {
    for (const e of es) {
      const known = this.strong.get(e) ?? { dtype: this.strongType(e) };
      this.strong.set(e, known);
      if (known.dtype !== null) return known.dtype;
    }
    return null;
  }
  private strongType(e: AnyExpr): DType | null {
    switch (e.kind) {
      case "const":
        return e.dtype === "bool" ? "bool" : null;
      case "unary":
        return e.op === "isnan" || e.op === "not" ? "bool" : this.strongOf([e.x]);
      case "binary":
        return isCompare(e.op) ? "bool" : this.strongOf([e.a, e.b]);
      case "mulAdd":
        return this.strongOf([e.a, e.b, e.c]);
      case "select":
        return this.strongOf([e.a, e.b]);
      case "splat":
      case "lanes":
        return this.strongOf([e.x]);
      default:
        return e.dtype;
    }
  }
}

/** The operations that more than one parent uses, by identity; "" says that no text was chosen yet. */
function sharedIn(exprs: readonly AnyExpr[]): Map<AnyExpr, string | null> {
  const seen = new Set<AnyExpr>();
  const shared = new Map<AnyExpr, string | null>();
  const visit = (e: AnyExpr): void => {
    if (e.kind === "const" || e.kind === "var" || e.kind === "reduce") return;
    if (seen.has(e)) {
      shared.set(e, "");
      return;
    }
    seen.add(e);
    operandsOf(e).forEach(visit);
  };
  exprs.forEach(visit);
  return shared;
}

function literalText(c: Const, expected: DType | null): string {
  if (c.dtype === "bool" && (c.value === 0 || c.value === 1)) return c.value === 1 ? "true" : "false";
  const text = typeof c.value === "bigint" ? String(c.value) : numberText(c.value, c.dtype);
  const asRead = expected ?? (isFloat(c.dtype) ? "f32" : "i32");
  return asRead === c.dtype ? text : `${text}_${c.dtype}`;
}
function numberText(x: number, dtype: DType): string {
  return isFloat(dtype) || !Number.isInteger(x) ? formatFloat(x) : String(x);
}
export function dimsText(ds: readonly Dim[]): string {
  return `(${ds.map((d) => d.key).join(", ")})`;
}
export function tensorText(dtype: DType, shape: readonly Dim[]): string {
  return `${dtype}[${shape.map((d) => d.key).join(", ")}]`;
}
/** `i in 0..N`; the role is written when it is not the one that the place implies. */
export function axisText(a: Axis, role: Axis["role"]): string {
  return `${a.role === role ? "" : `${a.role} `}${nameText(a.name)} in 0..${a.extent.key}`;
}
function sameDims(a: readonly Dim[], b: readonly Dim[]): boolean {
  return a.length === b.length && a.every((d, k) => d === b[k]);
}
export function defaultSteps(shape: readonly Dim[]): readonly Dim[] {
  return shape.map(() => D.one);
}
/** Row-major strides without gaps. */
export function defaultStrides(shape: readonly Dim[]): readonly Dim[] {
  return shape.map((_, k) => D.product(shape.slice(k + 1)));
}
