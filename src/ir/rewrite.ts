// Walking and rewriting expressions and statements. Expressions may share subtrees: everything here memoises on identity.
import type { BufferId } from "../base/brand.ts";
import type { LoopExpr, Stmt } from "./loops.ts";
import type { Action } from "./program.ts";
import type { TeAction, TeExpr } from "./te.ts";

/** All direct subexpressions. */
export function children(e: LoopExpr | TeExpr): readonly (LoopExpr | TeExpr)[] {
  switch (e.kind) {
    case "const":
    case "var":
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
    case "reduce":
      return [...e.update, ...(e.merge ?? []), e.result];
  }
}

/** The same node over other children; the node itself when they are unchanged. */
export function withChildren<T extends LoopExpr | TeExpr>(e: T, f: (c: T) => T): T {
  const g = f as unknown as (c: LoopExpr | TeExpr) => LoopExpr & TeExpr;
  const x = e as LoopExpr | TeExpr;
  const same = <A>(a: readonly A[], b: readonly A[]): boolean => a.every((v, i) => v === b[i]);
  switch (x.kind) {
    case "const":
    case "var":
      return e;
    case "load": {
      const index = x.index.map((i) => g(i));
      return (same<unknown>(index, x.index) ? x : { ...x, index }) as T;
    }
    case "table": {
      const index = g(x.index);
      return (index === x.index ? x : { ...x, index }) as T;
    }
    case "unary":
    case "cast":
    case "bitcast":
    case "splat":
    case "lanes": {
      const y = g(x.x);
      return (y === x.x ? x : { ...x, x: y }) as T;
    }
    case "ramp": {
      const base = g(x.base);
      return (base === x.base ? x : { ...x, base }) as T;
    }
    case "binary": {
      const [a, b] = [g(x.a), g(x.b)];
      return (a === x.a && b === x.b ? x : { ...x, a, b }) as T;
    }
    case "mulAdd": {
      const [a, b, c] = [g(x.a), g(x.b), g(x.c)];
      return (a === x.a && b === x.b && c === x.c ? x : { ...x, a, b, c }) as T;
    }
    case "select": {
      const [cond, a, b] = [g(x.cond), g(x.a), g(x.b)];
      return (cond === x.cond && a === x.a && b === x.b ? x : { ...x, cond, a, b }) as T;
    }
    case "reduce": {
      const update = x.update.map((u) => g(u));
      const merge = x.merge?.map((u) => g(u)) ?? null;
      const result = g(x.result);
      return (
        same<unknown>(update, x.update) && result === x.result && (merge === null || same<unknown>(merge, x.merge!))
          ? x
          : { ...x, update, merge, result }
      ) as T;
    }
  }
}

/** Rewrites bottom-up: f sees each node after its children were rewritten. Shared subtrees are rewritten once. */
export function mapExpr<T extends LoopExpr | TeExpr>(e: T, f: (e: T) => T, memo: Map<T, T> = new Map()): T {
  const old = memo.get(e);
  if (old !== undefined) return old;
  const r = f(withChildren(e, (c) => mapExpr(c, f, memo)));
  memo.set(e, r);
  return r;
}
/** Visits every node once (shared subtrees once). */
export function visitExpr(
  e: LoopExpr | TeExpr,
  f: (e: LoopExpr | TeExpr) => void,
  seen: Set<unknown> = new Set(),
): void {
  if (seen.has(e)) return;
  seen.add(e);
  f(e);
  for (const c of children(e)) visitExpr(c, f, seen);
}
/** Replaces variables by name. */
export function substituteVars<T extends LoopExpr | TeExpr>(e: T, map: ReadonlyMap<string, T>): T {
  return mapExpr<T>(e, (x) => (x.kind === "var" ? (map.get(x.name) ?? x) : x));
}

/** Rewrites statements bottom-up, with `expr` applied to every expression in them. */
export function mapStmt(s: Stmt, stmt: (s: Stmt) => Stmt, expr: (e: LoopExpr) => LoopExpr): Stmt {
  const go = (x: Stmt): Stmt => mapStmt(x, stmt, expr);
  switch (s.kind) {
    case "for":
      return stmt({
        ...s,
        extent: expr(s.extent),
        ...(s.pointers ? { pointers: s.pointers.map((p) => ({ ...p, init: expr(p.init), step: expr(p.step) })) } : {}),
        body: go(s.body),
      });
    case "let":
      return stmt({ ...s, value: expr(s.value), body: go(s.body) });
    case "store":
      return stmt({ ...s, index: s.index.map(expr), value: expr(s.value) });
    case "if":
      return stmt({
        ...s,
        cond: expr(s.cond),
        then: go(s.then),
        ...(s.otherwise ? { otherwise: go(s.otherwise) } : {}),
      });
    case "while":
      return stmt({ ...s, cond: expr(s.cond), body: go(s.body) });
    case "seq":
      return stmt({ ...s, body: s.body.map(go) });
    case "alloc":
      return stmt({ ...s, body: go(s.body) });
    case "barrier":
      return stmt(s);
  }
}
/** Visits statements top-down. */
export function visitStmt(s: Stmt, f: (s: Stmt) => void): void {
  f(s);
  switch (s.kind) {
    case "for":
    case "let":
    case "while":
    case "alloc":
      visitStmt(s.body, f);
      break;
    case "if":
      visitStmt(s.then, f);
      if (s.otherwise) visitStmt(s.otherwise, f);
      break;
    case "seq":
      for (const b of s.body) visitStmt(b, f);
      break;
    case "store":
    case "barrier":
      break;
  }
}
/** The expressions that stand directly in a statement. */
export function exprsOf(s: Stmt): readonly LoopExpr[] {
  switch (s.kind) {
    case "for":
      return [s.extent, ...(s.pointers ?? []).flatMap((p) => [p.init, p.step])];
    case "let":
      return [s.value];
    case "store":
      return [...s.index, s.value];
    case "if":
    case "while":
      return [s.cond];
    case "seq":
    case "alloc":
    case "barrier":
      return [];
  }
}

/** Visits every action, nested ones included, in order. */
export function visitActions<A extends { readonly kind: string }>(actions: readonly A[], f: (a: A) => void): void {
  for (const a of actions) {
    f(a);
    const n = a as unknown as {
      readonly body?: readonly A[];
      readonly then?: readonly A[];
      readonly otherwise?: readonly A[];
    };
    for (const list of [n.body, n.then, n.otherwise]) if (list) visitActions(list, f);
  }
}
/** The same actions with other calls. */
export function mapCalls<A, B>(actions: readonly Action<A>[], f: (call: A) => B): Action<B>[] {
  return actions.map((a): Action<B> => {
    switch (a.kind) {
      case "call":
        return { kind: "call", call: f(a.call) };
      case "loop":
        return { ...a, body: mapCalls(a.body, f) };
      case "if":
        return { ...a, then: mapCalls(a.then, f), otherwise: mapCalls(a.otherwise, f) };
      default:
        return a;
    }
  });
}
/** Buffers that a T action reads and writes (the action itself, not what is nested in it). */
export function accesses(a: TeAction): {
  readonly reads: ReadonlySet<BufferId>;
  readonly writes: ReadonlySet<BufferId>;
} {
  const reads = new Set<BufferId>();
  const writes = new Set<BufferId>();
  switch (a.kind) {
    case "call":
      if (a.call.kind === "group") {
        const seen = new Set<unknown>();
        for (const s of a.call.group.stages) {
          for (const o of s.outs) {
            writes.add(o.buffer);
            visitExpr(
              o.body,
              (e) => {
                if (e.kind === "load") reads.add(e.buffer);
              },
              seen,
            );
          }
        }
      } else {
        const k = a.call.kernel;
        const stored = new Set<BufferId>();
        const loaded = new Set<BufferId>();
        visitStmt(k.body, (s) => {
          if (s.kind === "store") stored.add(s.buffer);
          for (const e of exprsOf(s))
            visitExpr(e, (x) => {
              if (x.kind === "load") loaded.add(x.buffer);
            });
        });
        k.params.forEach((p, i) => {
          if (stored.has(p.id)) writes.add(a.call.kind === "kernel" ? a.call.args[i]! : p.id);
          if (loaded.has(p.id)) reads.add(a.call.kind === "kernel" ? a.call.args[i]! : p.id);
        });
      }
      break;
    case "dim":
      if ("buffer" in a.from) reads.add(a.from.buffer);
      break;
    case "if":
      reads.add(a.cond);
      break;
    case "loop":
      if (a.cond !== null) reads.add(a.cond);
      for (const [x, y] of a.swap) {
        reads.add(x);
        reads.add(y);
      }
      break;
    case "reserve":
    case "release":
      break;
  }
  return { reads, writes };
}
