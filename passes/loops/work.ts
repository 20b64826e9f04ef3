// What statements cost, roughly: for choices that weigh the overhead of a call or of a thread.
import type { SymbolId } from "../../src/base/brand.ts";
import * as D from "../../src/ir/dim.ts";
import { toDim } from "../../src/ir/expr.ts";
import type { For, LoopExpr, Stmt } from "../../src/ir/loops.ts";
import { visitExpr } from "../../src/ir/rewrite.ts";

/** What a symbol is taken for of which nothing is known. */
export const typical = 64;

/** Iterations of a loop. */
export function trips(s: For, size: (id: SymbolId) => number = () => typical): number {
  const extent = toDim(s.extent);
  return extent === null ? typical : Math.max(0, D.evaluate(extent, size) / s.step);
}

/** About how many instructions a statement takes; a vector counts as one. `size`: what a symbol is taken for. */
export function work(s: Stmt, size: (id: SymbolId) => number = () => typical): number {
  switch (s.kind) {
    case "for":
      return trips(s, size) * work(s.body, size);
    case "while":
      return typical * work(s.body, size);
    case "seq":
      return s.body.reduce((n, x) => n + work(x, size), 0);
    case "if":
      return Math.max(work(s.then, size), s.otherwise ? work(s.otherwise, size) : 0);
    case "store":
      return 1 + cost(s.value);
    case "let":
      return cost(s.value) + work(s.body, size);
    case "alloc":
      return work(s.body, size);
    case "barrier":
      return 0;
  }
}
const costly: ReadonlySet<string> = new Set(["exp", "log", "sin", "cos", "tanh", "erf", "pow", "div", "sqrt"]);
function cost(e: LoopExpr): number {
  let n = 0;
  visitExpr(e, (x) => {
    if (x.kind === "const" || x.kind === "var") return;
    n += (x.kind === "unary" || x.kind === "binary") && costly.has(x.op) ? 16 : 1;
  });
  return n;
}
