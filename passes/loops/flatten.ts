// Turns logical indices into one linear index each, by the storage of the buffers, and simplifies all index arithmetic with what the
// loops around it say of their variables.
import { must } from "../../src/base/assert.ts";
import type { BufferId } from "../../src/base/brand.ts";
import type { Range, Ranges } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import { toDim } from "../../src/ir/expr.ts";
import { type LoopExpr, nothing, type Stmt } from "../../src/ir/loops.ts";
import { mapExpr } from "../../src/ir/rewrite.ts";
import { Simplifier } from "../../src/ir/simplify.ts";
import { type Buffer, dense, linear } from "../../src/ir/storage.ts";

/** What a loop says of its variable. */
export function loopRange(extent: LoopExpr, step: number): Range {
  const e = toDim(extent);
  if (e === null) return { min: D.zero, max: null, multipleOf: step };
  const last = step > 1 && D.mod(e, D.int(step)) === D.zero ? D.sub(e, D.int(step)) : D.sub(e, D.one);
  return { min: D.zero, max: last, multipleOf: step };
}

export function flatten(body: Stmt, params: readonly Buffer[], outer: Ranges): Stmt {
  const buffers = new Map<BufferId, Buffer>(params.map((b) => [b.id, b]));
  const walk = (s: Stmt, ranges: Ranges): Stmt => {
    const simplifier = new Simplifier(ranges);
    const index = (id: BufferId, at: readonly LoopExpr[]): LoopExpr => {
      const b = must(buffers.get(id), `buffer ${id}`);
      // A ramp in the last axis stays a ramp of the linear index.
      const last = at[at.length - 1];
      if (last?.kind === "ramp") return { ...last, base: index(id, [...at.slice(0, -1), last.base]) };
      const storage = b.storage ?? dense(b.shape);
      const dims = at.map((e) => must(simplifier.dim(simplifier.simplify(e)), "an index as arithmetic"));
      return simplifier.back(D.simplify(linear(storage, dims), ranges)) as LoopExpr;
    };
    const memo = new Map<LoopExpr, LoopExpr>();
    const expr = (e: LoopExpr): LoopExpr =>
      simplifier.simplify(
        mapExpr<LoopExpr>(e, (x) => (x.kind === "load" ? { ...x, index: [index(x.buffer, x.index)] } : x), memo),
      );
    const go = (x: Stmt): Stmt => {
      switch (x.kind) {
        case "for": {
          const extent = expr(x.extent);
          if (extent.kind === "const" && Number(extent.value) <= 0) return nothing;
          const own = loopRange(extent, x.step);
          return { ...x, extent, body: walk(x.body, (id) => (id === x.v ? own : ranges(id))) };
        }
        case "let": {
          const value = expr(x.value);
          const d = value.dtype === "i32" ? toDim(value) : null;
          const [lo, hi] = d ? [D.lowerBound(d, ranges), D.upperBound(d, ranges)] : [null, null];
          if (lo === null || hi === null) return { ...x, value, body: go(x.body) };
          return { ...x, value, body: walk(x.body, (id) => (id === x.name ? { min: lo, max: hi } : ranges(id))) };
        }
        case "store":
          return { ...x, index: [index(x.buffer, x.index.map(expr))], value: expr(x.value) };
        case "if": {
          const cond = expr(x.cond);
          if (cond.kind === "const") return cond.value ? go(x.then) : x.otherwise ? go(x.otherwise) : nothing;
          return { ...x, cond, then: go(x.then), ...(x.otherwise ? { otherwise: go(x.otherwise) } : {}) };
        }
        case "while":
          return { ...x, cond: expr(x.cond), body: go(x.body) };
        case "seq":
          return { kind: "seq", body: x.body.map(go) };
        case "alloc": {
          buffers.set(x.buffer.id, x.buffer);
          return { ...x, body: go(x.body) };
        }
        case "barrier":
          return x;
      }
    };
    return go(s);
  };
  return walk(body, outer);
}
