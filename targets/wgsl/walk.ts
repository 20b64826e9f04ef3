// Walks over loop IR: every statement, every expression, and the subexpressions that one statement uses more than once.
import { unreachable } from "../../src/base/assert.ts";
import type { LoopExpr, Stmt } from "../../src/ir/loops.ts";

/** The operands of an expression. */
export function operands(e: LoopExpr): readonly LoopExpr[] {
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
    case "ramp":
      return [e.base];
    case "binary":
      return [e.a, e.b];
    case "mulAdd":
      return [e.a, e.b, e.c];
    case "select":
      return [e.cond, e.a, e.b];
    default:
      return unreachable(e, "operands");
  }
}

type Visitor = { readonly stmt: (s: Stmt) => void; readonly expr: (e: LoopExpr) => void };

/** Visits each statement before its parts, and each expression once. */
export function walkStmt(root: Stmt, f: Visitor): void {
  const seen = new Set<LoopExpr>();
  const expr = (e: LoopExpr): void => {
    if (seen.has(e)) return;
    seen.add(e);
    f.expr(e);
    operands(e).forEach(expr);
  };
  const stmt = (s: Stmt): void => {
    f.stmt(s);
    switch (s.kind) {
      case "seq":
        s.body.forEach(stmt);
        break;
      case "let":
        expr(s.value);
        stmt(s.body);
        break;
      case "if":
        expr(s.cond);
        stmt(s.then);
        if (s.otherwise) stmt(s.otherwise);
        break;
      case "while":
        expr(s.cond);
        stmt(s.body);
        break;
      case "alloc":
        stmt(s.body);
        break;
      case "for":
        expr(s.extent);
        for (const p of s.pointers ?? []) {
          expr(p.init);
          expr(p.step);
        }
        stmt(s.body);
        break;
      case "store":
        s.index.forEach(expr);
        expr(s.value);
        break;
      case "barrier":
        break;
      default:
        unreachable(s, "walkStmt");
    }
  };
  stmt(root);
}

/** The subexpressions (no leaves) that occur more than once below `roots` by identity, operands before users. */
export function sharedSubtrees(roots: readonly LoopExpr[]): readonly LoopExpr[] {
  const uses = new Map<LoopExpr, number>();
  const order: LoopExpr[] = [];
  const visit = (e: LoopExpr): void => {
    if (e.kind === "const" || e.kind === "var") return;
    const n = uses.get(e) ?? 0;
    uses.set(e, n + 1);
    if (n > 0) return;
    operands(e).forEach(visit);
    order.push(e);
  };
  roots.forEach(visit);
  return order.filter((e) => uses.get(e)! > 1);
}
