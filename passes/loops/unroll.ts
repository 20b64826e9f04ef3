// Replaces unroll loops by their iterations and vector loops by vector expressions; a vector loop whose body the target's vectors
// cannot do is unrolled when short, else runs serially. Runs after `flatten`: every index is one linear expression.
import { assert } from "../../src/base/assert.ts";
import * as D from "../../src/ir/dim.ts";
import { constant } from "../../src/ir/expr.ts";
import { type LoopExpr, lanesOf, type Stmt, seq } from "../../src/ir/loops.ts";
import { children, mapExpr, mapStmt, visitStmt } from "../../src/ir/rewrite.ts";
import { Simplifier } from "../../src/ir/simplify.ts";
import { fewestLanes } from "../../src/ir/target.ts";
import type { DType } from "../../src/ir/types.ts";
import { loopRange } from "./flatten.ts";

/** The longest vector loop that is unrolled when it cannot be vectorised. */
const maxScalar = 16;

export function unroll(s: Stmt, lanes: number): Stmt {
  const fresh = renamer();
  const loops = new Map<string, D.Range>();
  visitStmt(s, (x) => {
    if (x.kind === "for") loops.set(x.v, loopRange(x.extent, x.step));
  });
  const ranges: D.Ranges = (id) => loops.get(id) ?? null;
  return mapStmt(
    s,
    (x) => {
      if (x.kind !== "for" || (x.loop !== "unroll" && x.loop !== "vector")) return x;
      const e = x.extent;
      const n = e.kind === "const" ? Number(e.value) : null;
      if (n === null) return { ...x, loop: "serial" };
      if (x.loop === "unroll") {
        return seq(
          Array.from({ length: Math.ceil(n / x.step) }, (_, k) => fresh(at(x.body, x.v, constant("i32", k * x.step)))),
        );
      }
      assert(x.step === 1, "a vector loop counts by one");
      return (
        vectorLoop(x.v, n, x.body, lanes, ranges, fresh) ??
        (n <= maxScalar
          ? seq(Array.from({ length: n }, (_, k) => fresh(at(x.body, x.v, constant("i32", k)))))
          : { ...x, loop: "serial" })
      );
    },
    (e) => e,
  );
}

/** Gives the loops, lets and allocs of each copy names and ids of their own. */
function renamer(): (s: Stmt) => Stmt {
  const used = new Map<string, number>();
  const next = (name: string): string => {
    const stem = name.replace(/~\d+$/, "");
    const n = used.get(stem) ?? 0;
    used.set(stem, n + 1);
    return `${stem}~${n}`;
  };
  const rename = (s: Stmt, map: ReadonlyMap<string, LoopExpr>): Stmt => {
    const e = (x: LoopExpr): LoopExpr =>
      map.size === 0 ? x : mapExpr<LoopExpr>(x, (y) => (y.kind === "var" ? rebind(y, map) : y));
    switch (s.kind) {
      case "for": {
        const v = next(s.v);
        return {
          ...s,
          v,
          extent: e(s.extent),
          body: rename(s.body, new Map([...map, [s.v, { kind: "var", dtype: "i32", name: v }]])),
        };
      }
      case "let": {
        const name = next(s.name);
        const value = e(s.value);
        return {
          ...s,
          name,
          value,
          body: rename(s.body, new Map([...map, [s.name, { kind: "var", dtype: value.dtype, name }]])),
        };
      }
      case "store":
        return { ...s, index: s.index.map(e), value: e(s.value) };
      case "if":
        return {
          ...s,
          cond: e(s.cond),
          then: rename(s.then, map),
          ...(s.otherwise ? { otherwise: rename(s.otherwise, map) } : {}),
        };
      case "while":
        return { ...s, cond: e(s.cond), body: rename(s.body, map) };
      case "seq":
        return { ...s, body: s.body.map((b) => rename(b, map)) };
      case "alloc":
        return { ...s, body: rename(s.body, map) };
      case "barrier":
        return s;
    }
  };
  return (s) => rename(s, new Map());
}
function rebind(y: Extract<LoopExpr, { kind: "var" }>, map: ReadonlyMap<string, LoopExpr>): LoopExpr {
  const to = map.get(y.name);
  return to === undefined ? y : to.kind === "var" && y.lanes ? { ...to, lanes: y.lanes } : to;
}

/** A statement with variable v replaced. */
export function at(s: Stmt, v: string, value: LoopExpr): Stmt {
  const memo = new Map<LoopExpr, LoopExpr>();
  // One for each call: the numbers that it gives to loads decide about the order of factors, and must not hang on what went before.
  const simplifier = new Simplifier(() => null);
  return mapStmt(
    s,
    (x) => x,
    (e) => simplifier.simplify(mapExpr<LoopExpr>(e, (x) => (x.kind === "var" && x.name === v ? value : x), memo)),
  );
}

/** A vector loop as vectors of `lanes`, then narrower ones for what is left, then single elements. */
function vectorLoop(
  v: string,
  n: number,
  body: Stmt,
  lanes: number,
  ranges: D.Ranges,
  fresh: (s: Stmt) => Stmt,
): Stmt | null {
  const parts: Stmt[] = [];
  let c = 0;
  for (let width = lanes; width >= fewestLanes; width /= 2)
    for (; c + width <= n; c += width) {
      const s = new Vectoriser(v, c, width, ranges).stmt(body);
      if (s === null) return null;
      parts.push(fresh(s));
    }
  if (c === 0) return null;
  for (; c < n; c++) parts.push(fresh(at(body, v, constant("i32", c))));
  return seq(parts);
}

const vectorTypes: ReadonlySet<DType> = new Set<DType>(["f32", "i32", "u32", "i16", "u16", "i8", "u8"]);
const vectorUnary = new Set([
  "neg",
  "abs",
  "sqrt",
  "floor",
  "ceil",
  "round",
  "trunc",
  "recip",
  "exp",
  "log",
  "tanh",
  "erf",
  "sin",
  "cos",
  "not",
  "bitnot",
  "isnan",
  "widen8",
]);
const floatBinary = new Set([
  "add",
  "sub",
  "mul",
  "div",
  "min",
  "max",
  "nanmin",
  "nanmax",
  "pow",
  "lt",
  "le",
  "eq",
  "ne",
]);
const intBinary = new Set("add sub mul min max bitand bitor bitxor dot16 lt le eq ne".split(" "));

class Unvectorisable extends Error {}

class Vectoriser {
  private readonly v: string;
  private readonly base: number;
  private readonly lanes: number;
  private readonly ranges: D.Ranges;
  private readonly memo = new Map<LoopExpr, LoopExpr>();
  private readonly lets = new Map<string, LoopExpr>();
  constructor(v: string, base: number, lanes: number, ranges: D.Ranges) {
    this.v = v;
    this.base = base;
    this.lanes = lanes;
    const own = { min: D.zero, max: D.int(lanes - 1) };
    this.ranges = (id) => (id === v ? own : ranges(id));
  }
  stmt(s: Stmt): Stmt | null {
    try {
      return this.go(s);
    } catch (e) {
      if (e instanceof Unvectorisable) return null;
      throw e;
    }
  }
  private no(): never {
    throw new Unvectorisable();
  }
  private go(s: Stmt): Stmt {
    switch (s.kind) {
      case "seq":
        return { kind: "seq", body: s.body.map((b) => this.go(b)) };
      case "for":
        return this.depends(s.extent) ? this.no() : { ...s, body: this.go(s.body) };
      case "let": {
        const value = this.expr(s.value);
        const n = lanesOf(value);
        if (n > 1) this.lets.set(s.name, { kind: "var", dtype: value.dtype, name: s.name, lanes: n });
        return { ...s, value, body: this.go(s.body) };
      }
      case "if": {
        if (this.depends(s.cond)) return this.no();
        return { ...s, then: this.go(s.then), ...(s.otherwise ? { otherwise: this.go(s.otherwise) } : {}) };
      }
      case "store": {
        if (!vectorTypes.has(s.dtype)) return this.no();
        const index = this.index(s.index[0]!);
        if (index.kind !== "ramp") return this.no();
        return { ...s, index: [index], value: this.wide(this.expr(s.value)) };
      }
      case "while":
      case "alloc":
      case "barrier":
        return this.no();
    }
  }
  private readonly dependsMemo = new Map<LoopExpr, boolean>();
  private depends(e: LoopExpr): boolean {
    const old = this.dependsMemo.get(e);
    if (old !== undefined) return old;
    const r =
      e.kind === "var"
        ? e.name === this.v || this.lets.has(e.name)
        : (children(e) as readonly LoopExpr[]).some((c) => this.depends(c));
    this.dependsMemo.set(e, r);
    return r;
  }
  private wide(e: LoopExpr): LoopExpr {
    if (lanesOf(e) > 1) return e;
    if (e.dtype !== "bool") return { kind: "splat", x: e, lanes: this.lanes, dtype: e.dtype };
    // Vectors of bool are masks, which only comparisons make.
    const flag: LoopExpr = { kind: "cast", dtype: "i32", x: e };
    return { kind: "binary", op: "ne", dtype: "bool", a: this.wide(flag), b: this.wide(constant("i32", 0)) };
  }
  /** A linear index: unchanged when it does not move with v, a ramp when it moves by one. */
  private index(e: LoopExpr): LoopExpr {
    if (!this.depends(e)) return e;
    // Parts that are no arithmetic (loads) must not move with v.
    const s = new Simplifier(() => null);
    const whole = s.dim(e);
    if (whole === null) return this.no();
    // From here on v counts the lanes, which may decide a quotient (of the panels that packed operands lie in).
    const moved = D.substitute(whole, (id) => (id === this.v ? D.add(D.sym(id), D.int(this.base)) : null));
    const d = D.simplify(moved, this.ranges);
    const parts: LoopExpr[] = [];
    for (const id of D.symbolsOf(d)) if (id.startsWith("#")) parts.push(s.back(D.sym(id)) as LoopExpr);
    if (parts.some((p) => this.depends(p))) return this.no();
    // v must stand as a plain term of coefficient 1: a quotient or remainder of it does not move evenly.
    const moving = D.termsOf(d).filter((t) => [...D.symbolsOf(t)].some((id) => id === this.v));
    if (moving.length !== 1 || moving[0]!.kind !== "sym") return this.no();
    const base = D.substitute(d, (id) => (id === this.v ? D.zero : null));
    return { kind: "ramp", base: s.back(base) as LoopExpr, stride: 1, lanes: this.lanes, dtype: "i32" };
  }
  private expr(e: LoopExpr): LoopExpr {
    const old = this.memo.get(e);
    if (old) return old;
    const r = this.depends(e) ? this.vector(e) : e;
    this.memo.set(e, r);
    return r;
  }
  private check(dtype: DType): void {
    if (!vectorTypes.has(dtype)) this.no();
  }
  private vector(e: LoopExpr): LoopExpr {
    switch (e.kind) {
      case "const":
        return e;
      case "var": {
        const own = this.lets.get(e.name);
        return own ?? { kind: "ramp", base: constant("i32", this.base), stride: 1, lanes: this.lanes, dtype: "i32" };
      }
      case "load": {
        this.check(e.dtype);
        const index = this.index(e.index[0]!);
        return { ...e, index: [index] };
      }
      case "unary": {
        if (!vectorUnary.has(e.op)) this.no();
        if (e.op !== "not") this.check(e.x.dtype);
        return { ...e, x: this.expr(e.x) };
      }
      case "binary": {
        if (e.a.dtype === "bool") {
          if (e.op !== "and" && e.op !== "or" && e.op !== "xor") this.no();
        } else {
          this.check(e.a.dtype);
          const shift = (e.op === "shl" || e.op === "shr") && e.b.kind === "const" && e.a.dtype !== "f32";
          if (!shift && !(e.a.dtype === "f32" ? floatBinary : intBinary).has(e.op)) this.no();
        }
        return { ...e, a: this.wide(this.expr(e.a)), b: this.wide(this.expr(e.b)) };
      }
      case "mulAdd":
        this.check(e.dtype);
        return { ...e, a: this.wide(this.expr(e.a)), b: this.wide(this.expr(e.b)), c: this.wide(this.expr(e.c)) };
      case "select": {
        this.check(e.dtype);
        const moving = this.depends(e.cond);
        // Lanes of a moving condition evaluate both sides: a load there may be out of bounds.
        if (moving && (unsafe(e.a) || unsafe(e.b))) this.no();
        return { ...e, cond: this.expr(e.cond), a: this.wide(this.expr(e.a)), b: this.wide(this.expr(e.b)) };
      }
      case "cast": {
        this.check(e.dtype);
        const x = this.expr(e.x);
        if (e.x.dtype === "bool") {
          const lit = (value: number): LoopExpr => this.wide(constant(e.dtype, value));
          return { kind: "select", dtype: e.dtype, cond: x, a: lit(1), b: lit(0) };
        }
        this.check(e.x.dtype);
        // No target has them as vectors.
        if (e.dtype !== e.x.dtype && [e.dtype, e.x.dtype].includes("u32")) this.no();
        return { ...e, x };
      }
      case "bitcast": {
        this.check(e.dtype);
        this.check(e.x.dtype);
        return { ...e, x: this.expr(e.x) };
      }
      case "table":
      case "ramp":
      case "splat":
      case "lanes":
        return this.no();
    }
  }
}
function unsafe(e: LoopExpr): boolean {
  return (e.kind === "load" && !e.safe) || (children(e) as readonly LoopExpr[]).some(unsafe);
}
