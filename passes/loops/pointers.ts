// Strength reduction: in a loop without inner loops every access moves by a constant step, so it goes through a pointer that the
// loop advances; accesses that differ by a constant share one pointer and use immediate offsets.

import type { BufferId } from "../../src/base/brand.ts";
import type { Dim } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import { ofDim } from "../../src/ir/expr.ts";
import type { For, LoopExpr, Pointer, Stmt } from "../../src/ir/loops.ts";
import { mapExpr, mapStmt, visitExpr, visitStmt } from "../../src/ir/rewrite.ts";
import { Simplifier } from "../../src/ir/simplify.ts";

export function pointers(body: Stmt, isRegister: (id: BufferId) => boolean): Stmt {
  let next = 0;
  const reduce = (loop: For): For => {
    const inside = new Set<string>([loop.v]);
    let inner = false;
    visitStmt(loop.body, (s) => {
      if (s.kind === "for" || s.kind === "while") inner = true;
      if (s.kind === "let") inside.add(s.name);
    });
    if (inner || loop.loop.includes(".")) return loop;
    const list: Pointer[] = [];
    const byKey = new Map<string, Pointer>();
    const simplifier = new Simplifier(() => null);
    const place = (buffer: BufferId, index: LoopExpr): { via: string; index: LoopExpr } | null => {
      if (isRegister(buffer)) return null;
      const base = index.kind === "ramp" ? index.base : index;
      const d = simplifier.dim(base);
      if (d === null) return null;
      const start = at(d, loop.v, D.zero);
      const step = D.sub(at(d, loop.v, D.int(loop.step)), start);
      if (mentions(step, loop.v, inside, simplifier) || mentions(start, loop.v, inside, simplifier)) return null;
      if (!linearIn(d, loop.v)) return null;
      const offset = D.termsOf(start).find((t) => t.kind === "int") ?? D.zero;
      const init = D.sub(start, offset);
      const key = `${buffer} ${init.key} ${step.key}`;
      let p = byKey.get(key);
      if (!p) {
        p = {
          name: `ptr${next++}`,
          buffer,
          init: simplifier.back(init) as LoopExpr,
          step: simplifier.back(step) as LoopExpr,
        };
        byKey.set(key, p);
        list.push(p);
      }
      const fixed: LoopExpr = ofDim(offset) as LoopExpr;
      return { via: p.name, index: index.kind === "ramp" ? { ...index, base: fixed } : fixed };
    };
    const memo = new Map<LoopExpr, LoopExpr>();
    const expr = (e: LoopExpr): LoopExpr =>
      mapExpr<LoopExpr>(
        e,
        (x) => {
          if (x.kind !== "load" || x.via !== undefined) return x;
          const p = place(x.buffer, x.index[0]!);
          return p ? { ...x, index: [p.index], via: p.via } : x;
        },
        memo,
      );
    const changed = mapStmt(
      loop.body,
      (s) => {
        if (s.kind !== "store" || s.via !== undefined) return s;
        const p = place(s.buffer, s.index[0]!);
        return p ? { ...s, index: [p.index], via: p.via } : s;
      },
      expr,
    );
    return list.length === 0 ? loop : { ...loop, pointers: list, body: changed };
  };
  return mapStmt(
    body,
    (s) => (s.kind === "for" ? reduce(s) : s),
    (e) => e,
  );
}
/** True when v stands in d only as a factor of its own: no quotient, remainder, product with itself. */
function linearIn(d: Dim, v: string): boolean {
  return D.termsOf(d).every((t) => {
    const moving = D.splitTerm(t).atoms.filter((a) => [...D.symbolsOf(a)].some((s) => s === v));
    return moving.length === 0 || (moving.length === 1 && moving[0]!.kind === "sym");
  });
}
function at(d: Dim, v: string, value: Dim): Dim {
  return D.substitute(d, (id) => (id === v ? value : null));
}
/** True when a Dim names the loop's variable or something bound inside the loop, also within its opaque parts. */
function mentions(d: Dim, v: string, inside: ReadonlySet<string>, s: Simplifier): boolean {
  for (const id of D.symbolsOf(d)) {
    if (id === v || inside.has(id)) return true;
    if (!id.startsWith("#")) continue;
    let found = false;
    visitExpr(s.back(D.sym(id)) as LoopExpr, (x) => {
      // A load may change while the loop runs.
      if (x.kind === "load" || (x.kind === "var" && (x.name === v || inside.has(x.name)))) found = true;
    });
    if (found) return true;
  }
  return false;
}
