// What the printer finds out about a kernel before it prints it.
import type { BufferId } from "../../src/base/brand.ts";
import type { LoopExpr, Stmt } from "../../src/ir/loops.ts";
import { isLinear } from "./expr.ts";

/** Operations inside one another; compilers take 256 brackets. */
const maxDepth = 40;

/** The operands of an expression, the index of a load included. */
export function operands(e: LoopExpr): readonly LoopExpr[] {
  switch (e.kind) {
    case "const":
    case "var":
      return [];
    case "load":
      return e.index;
    case "table":
      return [e.index];
    case "binary":
      return [e.a, e.b];
    case "mulAdd":
      return [e.a, e.b, e.c];
    case "select":
      return [e.cond, e.a, e.b];
    case "ramp":
      return [e.base];
    default:
      return [e.x];
  }
}

/** Calls f on a statement and all statements inside it, outer ones first. */
export function eachStmt(s: Stmt, f: (s: Stmt) => void): void {
  f(s);
  switch (s.kind) {
    case "for":
    case "let":
    case "while":
    case "alloc":
      eachStmt(s.body, f);
      break;
    case "if":
      eachStmt(s.then, f);
      if (s.otherwise) eachStmt(s.otherwise, f);
      break;
    case "seq":
      for (const x of s.body) eachStmt(x, f);
      break;
    case "store":
    case "barrier":
      break;
  }
}

/** The base of an index: of its ramp when it is one. */
export function indexBase(e: LoopExpr): LoopExpr {
  return e.kind === "ramp" ? e.base : e;
}

/**
 * The `let`s whose value is a sum or product of i32 and which serve indices only (directly, or through other such lets). They are
 * computed in ptrdiff_t like an index, which keeps the address arithmetic of inner loops plain for the C compiler.
 */
export function indexLets(body: Stmt): ReadonlySet<string> {
  const values = new Map<string, LoopExpr>();
  // By variable: the lets whose index-like value uses it; null: a use as a value.
  const uses = new Map<string, Set<string | null>>();
  const use = (name: string, by: string | null): void => {
    const set = uses.get(name) ?? new Set();
    uses.set(name, set.add(by));
  };
  const seen = new Set<LoopExpr>();
  const asValue = (e: LoopExpr): void => {
    if (e.kind === "var") use(e.name, null);
    if (seen.has(e)) return;
    seen.add(e);
    if (e.kind === "load" || e.kind === "table") for (const i of operands(e)) asIndex(indexBase(i), "");
    else for (const x of operands(e)) asValue(x);
  };
  const asIndex = (e: LoopExpr, by: string): void => {
    if (e.kind === "var") use(e.name, by);
    else if (isLinear(e)) for (const x of operands(e)) asIndex(x, by);
    else asValue(e);
  };
  eachStmt(body, (s) => {
    switch (s.kind) {
      case "store":
        for (const i of s.index) asIndex(indexBase(i), "");
        asValue(s.value);
        break;
      case "let":
        values.set(s.name, s.value);
        if (isLinear(s.value)) asIndex(s.value, s.name);
        else asValue(s.value);
        break;
      case "for":
        asValue(s.extent);
        for (const p of s.pointers ?? []) {
          asIndex(p.init, "");
          asValue(p.step);
        }
        break;
      case "if":
      case "while":
        asValue(s.cond);
        break;
      default:
        break;
    }
  });
  const decided = new Map<string, boolean>();
  const wide = (name: string): boolean => {
    const old = decided.get(name);
    if (old !== undefined) return old;
    const value = values.get(name);
    const by = uses.get(name) ?? new Set();
    const answer = value !== undefined && isLinear(value) && [...by].every((u) => u !== null && (u === "" || wide(u)));
    decided.set(name, answer);
    return answer;
  };
  return new Set([...values.keys()].filter(wide));
}

/**
 * The nodes of an expression that are worth a temporary, operands first: used more than once or nested deeply, and safe to compute in
 * any case (a load in one side of a select may be out of bounds). The sums of an index are left to the index; a load of a local
 * variable is none.
 */
export function sharedNodes(
  roots: readonly { readonly e: LoopExpr; readonly index: boolean }[],
  isLocal: (buffer: BufferId) => boolean,
): LoopExpr[] {
  const count = new Map<LoopExpr, number>();
  const order: LoopExpr[] = [];
  const loads = new Map<LoopExpr, boolean>();
  /** Counts an edge to e; true when e holds a load of memory or of a table. */
  const walk = (e: LoopExpr): boolean => {
    if (e.kind === "const" || e.kind === "var" || (e.kind === "load" && isLocal(e.buffer))) return false;
    count.set(e, (count.get(e) ?? 0) + 1);
    const known = loads.get(e);
    if (known !== undefined) return known;
    let found = e.kind === "load" || e.kind === "table";
    if (e.kind === "load" || e.kind === "table") for (const i of operands(e)) found = walkIndex(indexBase(i)) || found;
    else for (const x of operands(e)) found = walk(x) || found;
    loads.set(e, found);
    order.push(e);
    return found;
  };
  const walkIndex = (e: LoopExpr): boolean => {
    if (!isLinear(e)) return walk(e);
    const [a, b] = [walkIndex(e.a), walkIndex(e.b)];
    return a || b;
  };
  for (const r of roots) (r.index ? walkIndex : walk)(r.e);

  const sure = new Set<LoopExpr>();
  const certain = (e: LoopExpr): void => {
    if (sure.has(e)) return;
    sure.add(e);
    const lazy = e.kind === "select" || (e.kind === "binary" && (e.op === "and" || e.op === "or"));
    const xs = operands(e);
    for (const x of lazy ? xs.slice(0, 1) : xs) certain(indexBase(x));
  };
  for (const r of roots) certain(r.e);

  const depth = new Map<LoopExpr, number>();
  const depthOf = (e: LoopExpr): number => {
    const known = depth.get(e);
    if (known !== undefined || e.kind === "const" || e.kind === "var") return known ?? 0;
    return 1 + Math.max(0, ...operands(e).map((x) => depthOf(indexBase(x))));
  };
  return order.filter((e) => {
    const nested = depthOf(e);
    const worth = (count.get(e)! > 1 || nested > maxDepth) && (sure.has(e) || !loads.get(e));
    depth.set(e, worth ? 0 : nested);
    return worth;
  });
}
