// Binds what is computed more than once to a `let`: values that a loop does not change before the loop, and subexpressions that occur
// more than once in a run of statements before the first of them. Index arithmetic is left to `pointers` and to the printers.
import type { BufferId } from "../../src/base/brand.ts";
import * as D from "../../src/ir/dim.ts";
import { toDim } from "../../src/ir/expr.ts";
import { type LoopExpr, lanesOf, type Stmt, seq } from "../../src/ir/loops.ts";
import { children, exprsOf, visitExpr, visitStmt, withChildren } from "../../src/ir/rewrite.ts";
import { loads, Numbering, risksLoad, within } from "./numbering.ts";

/** mayAlias: whether a store to one buffer may change a load from another. */
export type BindCtx = {
  readonly isRegister: (id: BufferId) => boolean;
  readonly mayAlias: (a: BufferId, b: BufferId) => boolean;
  readonly ranges: D.Ranges;
};

export function bind(body: Stmt, ctx: BindCtx): Stmt {
  return new Binder(ctx).stmt(body);
}

type Use = { readonly at: number; readonly expr: LoopExpr; count: number; certain: boolean };
/** Takes note of an expression, certain to be evaluated or not; whether it has been noted before. */
type Note = (e: LoopExpr, certain: boolean) => boolean;

class Binder {
  private readonly ctx: BindCtx;
  private readonly numbers = new Numbering();
  private next = 0;
  private readonly registers = new WeakMap<LoopExpr, boolean>();
  constructor(ctx: BindCtx) {
    this.ctx = ctx;
  }
  stmt(s: Stmt): Stmt {
    switch (s.kind) {
      case "seq":
        return this.run(s.body.map((x) => (isStraight(x) ? x : this.stmt(x))));
      case "for":
        return this.hoist({ ...s, body: this.stmt(s.body) });
      case "let":
        return this.bound(s.value, { ...s, body: this.stmt(s.body) });
      case "while":
      case "alloc":
        return { ...s, body: this.stmt(s.body) };
      case "if":
        return { ...s, then: this.stmt(s.then), ...(s.otherwise ? { otherwise: this.stmt(s.otherwise) } : {}) };
      case "store":
        return this.run([s]);
      case "barrier":
        return s;
    }
  }
  /** A value worth a local: not a leaf, not a register, not index arithmetic. */
  private worth(e: LoopExpr): boolean {
    // A vector comparison is a mask, which no local holds.
    if (e.dtype === "bool" && lanesOf(e) > 1) return false;
    switch (e.kind) {
      case "const":
      case "var":
      case "ramp":
        return false;
      case "load":
        return !this.ctx.isRegister(e.buffer);
      case "splat":
        return e.x.kind !== "const" && e.x.kind !== "var";
      case "cast":
        return e.x.kind !== "load" || !this.ctx.isRegister(e.x.buffer);
      default:
        return true;
    }
  }
  /** Whether it reads a register. */
  private register(e: LoopExpr): boolean {
    return within(this.registers, e, (x) => x.kind === "load" && this.ctx.isRegister(x.buffer));
  }

  /** Notes the subexpressions of e that are worth a local, down to those that are noted for the second time. */
  private visit(e: LoopExpr, certain: boolean, index: boolean, note: Note): void {
    if (e.kind === "const" || e.kind === "var") return;
    if (!index && this.worth(e) && note(e, certain || !risksLoad(e))) return;
    if (e.kind === "load" || e.kind === "ramp") {
      for (const c of children(e) as readonly LoopExpr[]) this.visit(c, certain, true, note);
    } else if (e.kind === "select") {
      this.visit(e.cond, certain, index, note);
      this.visit(e.a, false, index, note);
      this.visit(e.b, false, index, note);
    } else for (const c of children(e) as readonly LoopExpr[]) this.visit(c, certain, index && e.kind !== "cast", note);
  }
  /** Counts a use; whether there was one before. */
  private count(uses: Map<number, Use>, at: number, e: LoopExpr, certain: boolean): boolean {
    const n = this.numbers.of(e);
    const old = uses.get(n);
    if (!old) {
      uses.set(n, { at, expr: e, count: 1, certain });
      return false;
    }
    old.count++;
    if (certain) old.certain = true;
    return true;
  }
  /** A let, with what occurs more than once in its value in front of it. */
  private bound(e: LoopExpr, s: Extract<Stmt, { kind: "let" }>): Stmt {
    const uses = new Map<number, Use>();
    this.visit(e, true, false, (x, certain) => this.count(uses, 0, x, certain));
    const shared = [...uses].filter(([, u]) => u.count > 1 && u.certain);
    // Parts have smaller numbers than what they are parts of.
    shared.sort(([m], [n]) => m - n);
    const active = new Map<number, LoopExpr>();
    const lets = shared.map(([n, u]) => {
      const value = this.replace(u.expr, active);
      const name = `t${this.next++}`;
      const lanes = lanesOf(u.expr);
      active.set(n, { kind: "var", dtype: u.expr.dtype, name, ...(lanes > 1 ? { lanes } : {}) });
      return { name, value };
    });
    const inner: Stmt = { ...s, value: this.replace(e, active) };
    return lets.reduceRight<Stmt>((body, l) => ({ kind: "let", ...l, body }), inner);
  }

  /** Subexpressions that occur more than once in a run of statements. */
  private run(list: readonly Stmt[]): Stmt {
    const flat = list.flatMap((s) => (s.kind === "seq" ? s.body : [s]));
    const uses = new Map<number, Use>();
    const done = new Map<number, Use[]>();
    const finish = (n: number, u: Use): void => {
      uses.delete(n);
      if (u.count > 1 && u.certain) done.set(u.at, [...(done.get(u.at) ?? []), u]);
    };
    flat.forEach((s, at) => {
      if (!isStraight(s)) {
        for (const [n, u] of [...uses]) finish(n, u);
        return;
      }
      const note: Note = (e, certain) => !this.register(e) && this.count(uses, at, e, certain);
      for (const e of exprsOf(s)) this.visit(e, true, s.kind === "store" && s.index.includes(e), note);
      if (s.kind === "store" && !this.ctx.isRegister(s.buffer)) {
        for (const [n, u] of [...uses]) if (loads(u.expr).some((b) => this.ctx.mayAlias(s.buffer, b))) finish(n, u);
      }
    });
    for (const [n, u] of [...uses]) finish(n, u);
    if (done.size === 0) return flat.length === 1 ? flat[0]! : { kind: "seq", body: flat };
    // Bound values replace their occurrences from where they are bound on, until a store that may change them.
    const active = new Map<number, LoopExpr>();
    const ends = new Map<number, readonly BufferId[]>();
    const out: { readonly lets: { name: string; value: LoopExpr }[]; readonly stmt: Stmt }[] = [];
    flat.forEach((s, at) => {
      if (!isStraight(s)) {
        active.clear();
        out.push({ lets: [], stmt: s });
        return;
      }
      const lets: { name: string; value: LoopExpr }[] = [];
      const fresh = (done.get(at) ?? []).map((u) => ({ u, n: this.numbers.of(u.expr) }));
      // Smaller expressions first: larger ones may use them.
      fresh.sort((x, y) => size(x.u.expr) - size(y.u.expr));
      for (const { u, n } of fresh) {
        const value = this.replace(u.expr, active);
        const name = `t${this.next++}`;
        lets.push({ name, value });
        const lanes = lanesOf(u.expr);
        active.set(n, { kind: "var", dtype: u.expr.dtype, name, ...(lanes > 1 ? { lanes } : {}) });
        ends.set(n, loads(u.expr));
      }
      const stmt: Stmt =
        s.kind === "store"
          ? { ...s, index: s.index.map((e) => this.replace(e, active)), value: this.replace(s.value, active) }
          : s;
      out.push({ lets, stmt });
      if (s.kind === "store" && !this.ctx.isRegister(s.buffer)) {
        for (const n of [...active.keys()])
          if (ends.get(n)!.some((b) => this.ctx.mayAlias(s.buffer, b))) active.delete(n);
      }
    });
    let rest: Stmt[] = [];
    for (let k = out.length - 1; k >= 0; k--) {
      const { lets, stmt } = out[k]!;
      const inner = [stmt, ...rest];
      if (lets.length === 0) {
        rest = inner;
        continue;
      }
      rest = [lets.reduceRight<Stmt>((b, l) => ({ kind: "let", name: l.name, value: l.value, body: b }), seq(inner))];
    }
    return seq(rest);
  }
  private replace(e: LoopExpr, active: ReadonlyMap<number, LoopExpr>): LoopExpr {
    if (active.size === 0) return e;
    const memo = new Map<LoopExpr, LoopExpr>();
    const go = (x: LoopExpr): LoopExpr => {
      const old = memo.get(x);
      if (old) return old;
      const v = x.kind === "const" || x.kind === "var" ? undefined : active.get(this.numbers.of(x));
      const r = v ?? withChildren(x, go);
      memo.set(x, r);
      return r;
    };
    return go(e);
  }

  /** Moves what the loop does not change before it. */
  private hoist(loop: Extract<Stmt, { kind: "for" }>): Stmt {
    // What the iterations of other loops share would have to be handed to each thread.
    if (loop.loop !== "serial") return loop;
    const bound = new Set<string>([loop.v]);
    const stored = new Set<BufferId>();
    visitStmt(loop.body, (s) => {
      if (s.kind === "for") {
        bound.add(s.v);
        for (const p of s.pointers ?? []) bound.add(p.name);
      }
      if (s.kind === "let") bound.add(s.name);
      if (s.kind === "store") stored.add(s.buffer);
      if (s.kind === "alloc") stored.add(s.buffer.id);
    });
    const extent = toDim(loop.extent);
    const runs = extent !== null && D.positive(extent, this.ctx.ranges);
    const invariant = new Map<LoopExpr, boolean>();
    const isInvariant = (e: LoopExpr): boolean => {
      const old = invariant.get(e);
      if (old !== undefined) return old;
      let r: boolean;
      if (e.kind === "var") r = !bound.has(e.name);
      else if (e.kind === "load")
        r =
          (runs || this.ctx.isRegister(e.buffer)) &&
          ![...stored].some((b) => b === e.buffer || this.ctx.mayAlias(b, e.buffer)) &&
          e.index.every(isInvariant);
      else r = (children(e) as readonly LoopExpr[]).every(isInvariant);
      invariant.set(e, r);
      return r;
    };
    const lets: { name: string; value: LoopExpr }[] = [];
    const names = new Map<number, LoopExpr>();
    const take = (e: LoopExpr, certain: boolean): LoopExpr => {
      if (e.kind === "const" || e.kind === "var" || e.kind === "ramp") return e;
      const cheap = e.kind === "splat" && e.x.kind === "const";
      if (isInvariant(e) && this.worth(e) && !cheap && (certain || !risksLoad(e)) && !(e.kind === "table")) {
        const n = this.numbers.of(e);
        let v = names.get(n);
        if (!v) {
          const name = `h${this.next++}`;
          const lanes = lanesOf(e);
          v = { kind: "var", dtype: e.dtype, name, ...(lanes > 1 ? { lanes } : {}) };
          names.set(n, v);
          lets.push({ name, value: e });
        }
        return v;
      }
      if (e.kind === "load") return e;
      if (e.kind === "select") {
        return { ...e, cond: take(e.cond, certain), a: take(e.a, false), b: take(e.b, false) };
      }
      return withChildren<LoopExpr>(e, (c) => take(c, certain));
    };
    // Only statements that run in every iteration, in this loop itself: inner loops have hoisted theirs to here already.
    const walk = (s: Stmt): Stmt => {
      switch (s.kind) {
        case "seq":
          return { kind: "seq", body: s.body.map(walk) };
        case "store":
          return { ...s, value: take(s.value, true) };
        case "let": {
          // An invariant let moves as a whole.
          if (isInvariant(s.value) && this.worth(s.value) && !this.register(s.value)) {
            bound.delete(s.name);
            invariant.clear();
            lets.push({ name: s.name, value: s.value });
            return walk(s.body);
          }
          return { ...s, value: take(s.value, true), body: walk(s.body) };
        }
        case "alloc":
          return { ...s, body: walk(s.body) };
        case "for":
        case "if":
        case "while":
        case "barrier":
          return s;
      }
    };
    const body = walk(loop.body);
    return lets.reduceRight<Stmt>((b, l) => ({ kind: "let", name: l.name, value: l.value, body: b }), {
      ...loop,
      body,
    });
  }
}
function isStraight(s: Stmt): boolean {
  return s.kind === "store";
}
function size(e: LoopExpr): number {
  let n = 0;
  visitExpr(e, () => {
    n++;
  });
  return n;
}
