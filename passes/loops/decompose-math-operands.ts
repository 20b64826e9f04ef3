// Names the operands that read memory. A decomposition uses its operand many times; as a `let` before the statement it is a plain value
// to everything after. Where a select guards the read, the let is a select with the same guard.
import { assert } from "../../src/base/assert.ts";
import * as E from "../../src/ir/expr.ts";
import { type LoopExpr, lanesOf, type Stmt } from "../../src/ir/loops.ts";
import { children, visitExpr, withChildren } from "../../src/ir/rewrite.ts";
import * as B from "./build.ts";

/** What replaces a node, made from the node with new operands; null when it stays. */
export type Rule = (e: LoopExpr) => LoopExpr | null;

/** The lets that an expression uses, each with the condition under which its value may be computed; null: always. */
type Uses = ReadonlyMap<string, LoopExpr | null>;
type Rewritten = { readonly e: LoopExpr; readonly uses: Uses };
const none: Uses = new Map();

/** Rewrites the expression e of a statement; `wrap` puts the lets that the result uses around the statement with it. */
export function rewriteNamed(
  e: LoopExpr,
  rule: Rule,
  fresh: () => string,
): { readonly e: LoopExpr; readonly wrap: (s: Stmt) => Stmt } {
  const operands = new Map<string, LoopExpr>();
  const memo = new Map<LoopExpr, Rewritten>();
  const go = (x: LoopExpr): Rewritten => {
    const old = memo.get(x);
    if (old !== undefined) return old;
    const r = rewritten(x);
    memo.set(x, r);
    return r;
  };
  const rewritten = (x: LoopExpr): Rewritten => {
    const plain = withChildren<LoopExpr>(x, (c) => go(c).e);
    const parts = (children(x) as readonly LoopExpr[]).map((c) => go(c).uses);
    // A select by lanes computes both sides.
    const uses =
      x.kind === "select" && plain.kind === "select" && lanesOf(x.cond) === 1
        ? both(parts[0]!, chosen(plain.cond, parts[1]!, parts[2]!))
        : parts.reduce(both, none);
    if (rule(plain) === null) return { e: plain, uses };
    const own = new Map(uses);
    const named = withChildren<LoopExpr>(plain, (c) => {
      if (!readsMemory(c)) return c;
      const name = fresh();
      operands.set(name, c);
      own.set(name, null);
      return B.variable(name, c);
    });
    return { e: rule(named)!, uses: own };
  };
  const result = go(e);
  const values = new Map([...operands].map(([name, x]) => [name, guarded(x, result.uses.get(name) ?? null)]));
  const order = inOrder(values);
  return {
    e: result.e,
    wrap: (s) => order.reduceRight((body, [name, value]): Stmt => ({ kind: "let", name, value, body }), s),
  };
}
function readsMemory(e: LoopExpr): boolean {
  let found = false;
  visitExpr(e, (x) => {
    if (x.kind === "load") found = true;
  });
  return found;
}

/** Uses of two that are both computed. */
function both(a: Uses, b: Uses): Uses {
  if (a.size === 0 || b.size === 0) return a.size === 0 ? b : a;
  const r = new Map(a);
  for (const [name, g] of b) {
    const other = r.get(name);
    if (other === undefined || implies(other, g)) r.set(name, g);
    else if (!implies(g, other)) r.set(name, B.or(other!, g!));
  }
  return r;
}
/**
 * Whether guard b holds wherever a does, by their form. What a condition computes and one of its sides uses again needs no guard more
 * than the condition has: one that named the condition would need the value that it guards.
 */
function implies(a: LoopExpr | null, b: LoopExpr | null): boolean {
  if (b === null || a === b) return true;
  if (a === null) return false;
  if (a.kind === "const") return Number(a.value) === 0;
  if (a.kind === "select") return implies(a.a, b) && implies(a.b, b);
  return a.kind === "binary" && a.op === "or" && implies(a.a, b) && implies(a.b, b);
}
/** Uses of a, which is computed where cond holds, and of b, elsewhere. */
function chosen(cond: LoopExpr, a: Uses, b: Uses): Uses {
  const value = (g: LoopExpr | null | undefined): LoopExpr => g ?? E.constant("bool", g === null ? 1 : 0);
  const r = new Map<string, LoopExpr | null>();
  for (const name of new Set([...a.keys(), ...b.keys()])) {
    const [p, q] = [a.get(name), b.get(name)];
    if (p !== undefined && p === q) r.set(name, p);
    else if (p === null && q === undefined) r.set(name, cond);
    else if (p === undefined && q === null) r.set(name, B.not(cond));
    // A select and no `and`: what guards within a branch may itself be computed only there.
    else r.set(name, E.select<LoopExpr>(cond, value(p), value(q)));
  }
  return r;
}
function guarded(x: LoopExpr, guard: LoopExpr | null): LoopExpr {
  return guard === null ? x : { kind: "select", dtype: x.dtype, cond: guard, a: x, b: B.lit(x.dtype, 0, x) };
}
/** Each after those that it uses. */
function inOrder(values: ReadonlyMap<string, LoopExpr>): readonly (readonly [string, LoopExpr])[] {
  const done = new Map<string, boolean>();
  const out: (readonly [string, LoopExpr])[] = [];
  const place = (name: string): void => {
    const value = values.get(name);
    if (value === undefined || done.get(name)) return;
    assert(!done.has(name), "operands whose guards need each other");
    done.set(name, false);
    visitExpr(value, (x) => {
      if (x.kind === "var") place(x.name);
    });
    done.set(name, true);
    out.push([name, value]);
  };
  for (const name of values.keys()) place(name);
  return out;
}
