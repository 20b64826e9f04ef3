// Names for the lets that a pass adds.
import type { Stmt } from "../../src/ir/loops.ts";
import { exprsOf, visitExpr, visitStmt } from "../../src/ir/rewrite.ts";

/** Names m0, m1, ... that neither a loop, a let nor a free variable of s has. */
export function freshNames(s: Stmt): () => string {
  const taken = new Set<string>();
  visitStmt(s, (x) => {
    if (x.kind === "for") taken.add(x.v);
    if (x.kind === "let") taken.add(x.name);
    const seen = new Set<unknown>();
    for (const e of exprsOf(x)) visitExpr(e, (y) => y.kind === "var" && taken.add(y.name), seen);
  });
  let next = 0;
  return () => {
    let name = `m${next++}`;
    while (taken.has(name)) name = `m${next++}`;
    return name;
  };
}
