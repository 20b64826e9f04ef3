// Reads expressions. The grammar stands at the top of print.ts.
import type { Reader } from "../base/text.ts";
import { type BinaryOp, binaryOps, isCompare, type UnaryOp, unaryOps, type Var } from "./expr.ts";
import type { LoopExpr } from "./loops.ts";
import { type BufferScope, isDType, readAxis, readDType, readRef } from "./parse-names.ts";
import {
  type AnyExpr,
  index32,
  infix,
  mulAddNames,
  numberWords,
  prefix,
  prefixPrecedence,
  type VarTypes,
  withVars,
} from "./print-expr.ts";
import type { Reduce, TeExpr } from "./te.ts";
import { type DType, is64, isFloat } from "./types.ts";

/**
 * An expression that waits for the dtype that its place asks for. strong: the dtype it has by itself, null when it is made of
 * literals without one. variable: its name when it is a bare variable.
 */
type Pending = {
  readonly strong: DType | null;
  readonly make: (expected: DType | null) => AnyExpr;
  readonly variable?: string;
};

const bySign: ReadonlyMap<string, readonly [op: BinaryOp, precedence: number]> = new Map(
  binaryOps.flatMap((op) => (infix[op] ? [[infix[op][0], [op, infix[op][1]]] as const] : [])),
);
const byPrefix: ReadonlyMap<string, UnaryOp> = new Map(
  unaryOps.flatMap((op) => (prefix[op] ? [[prefix[op], op] as const] : [])),
);
const roundings = Object.entries(mulAddNames) as [keyof typeof mulAddNames, string][];

/** te: reduce is an expression, vectors are none. loops: the other way round. */
export class ExprReader {
  readonly vars: VarTypes;
  private readonly r: Reader;
  private readonly buffers: BufferScope;
  private readonly ir: "te" | "loops";
  private readonly defs: Map<string, AnyExpr> = new Map();

  constructor(r: Reader, buffers: BufferScope, ir: "te" | "loops", vars: VarTypes = new Map()) {
    this.r = r;
    this.buffers = buffers;
    this.ir = ir;
    this.vars = vars;
  }

  te(expected: DType | null): TeExpr {
    // `ir` is "te" here, so that no node of L alone was made.
    return this.pending().make(expected) as TeExpr;
  }
  loop(expected: DType | null): LoopExpr {
    // `ir` is "loops" here, so that no reduce was made.
    return this.pending().make(expected) as LoopExpr;
  }
  /** Reads `def @1 = EXPR` lines as long as they come. */
  readDefs(): void {
    while (this.r.accept("def")) {
      this.r.expect("@");
      const name = this.r.next().value;
      this.r.expect("=");
      this.defs.set(name, this.pending().make(null));
    }
  }
  /** `[p: EXPR, ...]` behind a buffer. */
  index(): { readonly index: readonly AnyExpr[]; readonly via: string | null } {
    const r: Reader = this.r;
    r.expect("[");
    const via = r.peek().kind !== "punct" && r.at(":", 1) ? r.name() : null;
    if (via !== null) r.expect(":");
    return { index: r.list("]", () => this.pending().make("i32")), via };
  }

  private pending(precedence = 0): Pending {
    let left = this.operand();
    for (;;) {
      const t = this.r.peek();
      const found = t.kind === "punct" ? bySign.get(t.text) : undefined;
      if (!found || found[1] < precedence) return left;
      this.r.next();
      left = binary(found[0], left, this.pending(found[1] + 1));
    }
  }
  private operand(): Pending {
    const r: Reader = this.r;
    const t = r.peek();
    if (t.kind === "number") return this.literal(1);
    if (t.kind === "tag" || t.kind === "string") return this.name();
    if (t.kind === "word") {
      if (t.text === "true" || t.text === "false") {
        r.next();
        return { strong: "bool", make: () => ({ kind: "const", dtype: "bool", value: t.text === "true" ? 1 : 0 }) };
      }
      if (numberWords.has(t.text)) return this.literal(1);
      if (t.text === "reduce") return this.reduce();
      return r.at("(", 1) ? this.call() : this.name();
    }
    if (r.accept("(")) return this.parenthesized();
    if (r.accept("@")) {
      const name = r.next();
      const e = this.defs.get(name.value) ?? r.fail(`no def @${name.value} before`, t);
      return fixed(e);
    }
    const op = byPrefix.get(t.text);
    if (t.kind !== "punct" || !op) r.fail(`expected an expression but found ${t.text || "the end of the text"}`);
    r.next();
    if (op === "neg" && (r.peek().kind === "number" || numberWords.has(r.peek().text))) return this.literal(-1);
    return unary(op, this.pending(prefixPrecedence));
  }

  private literal(sign: 1 | -1): Pending {
    const r: Reader = this.r;
    const t = r.next();
    const [value, suffix = null] =
      t.kind === "word" ? (t.value.split("_") as [string, string?]) : [t.value, t.suffix ?? undefined];
    if (suffix !== null && !isDType(suffix)) r.fail(`${suffix} is no element type`, t);
    const whole = /^(\d+|0x[\da-fA-F]+)$/.test(value);
    const make = (expected: DType | null): AnyExpr => {
      const dtype = suffix ?? expected ?? (whole ? "i32" : "f32");
      if (!isFloat(dtype) && !whole) r.fail(`${t.text} is no ${dtype}`, t);
      if (is64(dtype)) return { kind: "const", dtype, value: BigInt(sign) * BigInt(value) };
      const x = value === "inf" ? Number.POSITIVE_INFINITY : Number(value);
      return { kind: "const", dtype, value: isFloat(dtype) ? sign * x : sign * x || 0 };
    };
    return { strong: suffix, make };
  }
  /** A variable, or a load. */
  private name(): Pending {
    const r: Reader = this.r;
    const ref = readRef(r, "a name");
    if (ref.name === null || ref.id !== null || r.at("[")) {
      const b = this.buffers.resolve(r, ref);
      const { index, via } = this.index();
      const e: AnyExpr = { kind: "load", dtype: b.dtype, buffer: b.id, index, ...(via === null ? {} : { via }) };
      return fixed(e);
    }
    const { name } = ref;
    const { dtype, lanes } = this.vars.get(name) ?? index32;
    const e: Var = { kind: "var", dtype, name, ...(lanes > 1 ? { lanes } : {}) };
    return { strong: dtype, make: () => e, variable: name };
  }
  /** `EXPR)` or `EXPR: TYPE)` */
  private parenthesized(): Pending {
    const r: Reader = this.r;
    const inner = this.pending();
    if (r.accept(")")) return { strong: inner.strong, make: inner.make };
    r.expect(":");
    const t = r.next();
    const m = /^([a-z][a-z\d]*?)(?:x(\d+))?$/.exec(t.value);
    const dtype = m?.[1] ?? "";
    if (!isDType(dtype)) r.fail(`${t.text} is no element type`, t);
    r.expect(")");
    const name = inner.variable;
    const lanes = m?.[2];
    if (lanes !== undefined && name === undefined) r.fail("only a variable's lanes are written", t);
    const make = (): AnyExpr => {
      if (name !== undefined)
        return { kind: "var", dtype, name, ...(lanes === undefined ? {} : { lanes: Number(lanes) }) };
      const e = inner.make(dtype);
      return e.dtype === dtype ? e : { ...e, dtype };
    };
    return { strong: dtype, make };
  }

  private call(): Pending {
    const r: Reader = this.r;
    const t = r.next();
    const name = t.text;
    r.expect("(");
    const close = <T>(x: T): T => {
      r.expect(")");
      return x;
    };
    const comma = <T>(x: T): T => {
      r.expect(",");
      return x;
    };
    if (isDType(name)) return fixed(close({ kind: "cast", dtype: name, x: this.pending().make(null) }));
    const bits = /^bitcast\.(.+)$/.exec(name)?.[1];
    if (bits !== undefined && isDType(bits))
      return fixed(close({ kind: "bitcast", dtype: bits, x: this.pending().make(null) }));
    if (name === "table") {
      const dtype = comma(readDType(r));
      r.expect("[");
      const values = comma(r.list("]", () => this.plainNumber()));
      return fixed(close({ kind: "table", dtype, values, index: this.pending().make("i32") }));
    }
    if (name === "safe") {
      const e = close(this.pending().make(null));
      return e.kind === "load" ? fixed({ ...e, safe: true }) : r.fail("only a load is safe", t);
    }
    if (name === "select") {
      const cond = comma(this.pending().make("bool"));
      const a = comma(this.pending());
      const b = close(this.pending());
      return joint([a, b], ([x, y]) => ({ kind: "select", dtype: x!.dtype, cond, a: x!, b: y! }));
    }
    const rounding = roundings.find(([, s]) => s === name)?.[0];
    if (rounding) {
      const a = comma(this.pending());
      const b = comma(this.pending());
      const c = close(this.pending());
      return joint([a, b, c], ([x, y, z]) => ({ kind: "mulAdd", rounding, dtype: x!.dtype, a: x!, b: y!, c: z! }));
    }
    const op = binaryOps.find((x) => x === name && !infix[x]);
    if (op) return binary(op, comma(this.pending()), close(this.pending()));
    const un = unaryOps.find((x) => x === name && !prefix[x]);
    if (un) return unary(un, close(this.pending()));
    if (this.ir === "loops") {
      if (name === "ramp") {
        const base = comma(this.loop("i32"));
        const stride = comma(r.int());
        return fixed(close({ kind: "ramp", base, stride, lanes: r.int(), dtype: "i32" }));
      }
      const lanes = /^x(\d+)$/.exec(name)?.[1];
      if (lanes !== undefined) {
        const x = close(this.pending());
        return joint([x], ([e]) => ({ kind: "splat", x: e as LoopExpr, lanes: Number(lanes), dtype: e!.dtype }));
      }
      const op = (["sum", "max", "min"] as const).find((o) => name === `lanes.${o}`);
      if (op) {
        const x = comma(this.pending());
        const factor = close(r.int());
        return joint([x], ([e]) => ({ kind: "lanes", op, factor, dtype: e!.dtype, x: e as LoopExpr }));
      }
    }
    return r.fail(`no operation ${name} here`, t);
  }
  private plainNumber(): number {
    const t = this.r.peek();
    const e = this.operand().make("f64");
    return e.kind === "const" ? Number(e.value) : this.r.fail("expected a number", t);
  }

  private reduce(): Pending {
    const r: Reader = this.r;
    if (this.ir !== "te") r.fail("a reduce stands in a stage");
    r.expect("reduce");
    const axes = r.at("{") ? [] : [readAxis(r, "reduce")];
    while (r.accept(",")) axes.push(readAxis(r, "reduce"));
    r.expect("{");
    const state: Reduce["state"][number][] = [];
    while (r.accept("state")) {
      const name = r.name("a state");
      r.expect(":");
      const dtype = readDType(r);
      const t = r.expect("=");
      const init = this.te(dtype);
      state.push({ name, dtype, init: init.kind === "const" ? init : r.fail("a state begins with a constant", t) });
    }
    const types = state.map((s) => [s.name, { dtype: s.dtype, lanes: 1 }] as const);
    const primed = types.map(([name, type]) => [`${name}'`, type] as const);
    const bound = [...axes.map((a) => [a.name, index32] as const), ...types, ...primed];
    const e = withVars(this.vars, bound, (): Reduce => {
      const update = this.ofStates("update", state);
      const merge = this.ofStates("merge", state);
      this.readDefs();
      r.expect("result");
      const result = this.te(null);
      return {
        kind: "reduce",
        dtype: result.dtype,
        axes,
        state,
        update,
        merge: merge.length > 0 ? merge : null,
        result,
      };
    });
    r.expect("}");
    return fixed(e);
  }
  /** One line for each state, in their order, or none at all. */
  private ofStates(keyword: "update" | "merge", state: Reduce["state"]): readonly TeExpr[] {
    const r: Reader = this.r;
    this.readDefs();
    if (!r.at(keyword)) return [];
    return state.map((s) => {
      this.readDefs();
      r.expect(keyword);
      const t = r.peek();
      if (r.name("a state") !== s.name) r.fail(`expected the ${keyword} of ${s.name}`, t);
      r.expect("=");
      return this.te(s.dtype);
    });
  }
}

/** An expression of one dtype in every place. */
function fixed(e: AnyExpr): Pending {
  return { strong: e.dtype, make: () => e };
}
/** Operands of one dtype: that of the first which has one by itself, else what the place asks for. */
function joint(ps: readonly Pending[], build: (es: readonly AnyExpr[]) => AnyExpr): Pending {
  const strong = ps.find((p) => p.strong !== null)?.strong ?? null;
  return { strong, make: (expected) => build(ps.map((p) => p.make(strong ?? expected))) };
}
function binary(op: BinaryOp, a: Pending, b: Pending): Pending {
  const both = joint([a, b], ([x, y]) => ({
    kind: "binary",
    op,
    dtype: isCompare(op) ? "bool" : x!.dtype,
    a: x!,
    b: y!,
  }));
  return isCompare(op) ? { strong: "bool", make: () => both.make(null) } : both;
}
function unary(op: UnaryOp, x: Pending): Pending {
  if (op === "not" || op === "isnan")
    return {
      strong: "bool",
      make: () => ({ kind: "unary", op, dtype: "bool", x: x.make(op === "not" ? "bool" : null) }),
    };
  return joint([x], ([e]) => ({ kind: "unary", op, dtype: e!.dtype, x: e! }));
}
