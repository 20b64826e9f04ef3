// Interleaves the copies of an unrolled body whose values are long chains of dependent operations (decomposed math): a CPU looks some
// hundred operations ahead, and a chain in program order leaves it little to run side by side. First what is read from memory, then
// the values, step by step for all copies, then the stores; compilers that keep the order of the text, and V8's, which starts from the
// stores, end up with the copies side by side.
import type { BufferId } from "../../src/base/brand.ts";
import { type LoopExpr, lanesOf, type Stmt, seq } from "../../src/ir/loops.ts";
import { exprsOf, visitExpr, withChildren } from "../../src/ir/rewrite.ts";
import { elementBytes } from "../../src/ir/types.ts";
import { freshNames } from "./fresh-names.ts";
import { loads, Numbering } from "./numbering.ts";

export type InterleaveCtx = {
  readonly isRegister: (id: BufferId) => boolean;
  /** Whether a store to one buffer may change a load from another. */
  readonly mayAlias: (a: BufferId, b: BufferId) => boolean;
};
/** Chains that run side by side: what they keep goes through memory when there are more than registers, which costs less than waiting. */
const most = 8;
/** Operations that make a chain worth it: a shorter one the CPU overlaps by itself. */
const long = 16;

type Let = { readonly kind: "let"; readonly name: string; readonly value: LoopExpr };
type Store = Extract<Stmt, { kind: "store" }>;
type Item = Let | Store;

/** The body with its long chains side by side. Runs after `bind`: names of lets are unique. */
export function interleave(body: Stmt, ctx: InterleaveCtx): Stmt {
  const fresh = freshNames(body);
  const numbers = new Numbering();
  const go = (s: Stmt): Stmt => {
    const items = straight(s);
    if (items) return region(items, ctx, fresh, numbers) ?? s;
    switch (s.kind) {
      case "seq":
        return { kind: "seq", body: s.body.map(go) };
      case "for":
      case "while":
      case "let":
      case "alloc":
        return { ...s, body: go(s.body) };
      case "if":
        return { ...s, then: go(s.then), ...(s.otherwise ? { otherwise: go(s.otherwise) } : {}) };
      case "store":
      case "barrier":
        return s;
    }
  };
  return go(body);
}

/** The lets and stores of a statement that has nothing else, in order. */
function straight(s: Stmt): Item[] | null {
  switch (s.kind) {
    case "store":
      return [s];
    case "let": {
      const rest = straight(s.body);
      return rest && [{ kind: "let", name: s.name, value: s.value }, ...rest];
    }
    case "seq": {
      const all: Item[] = [];
      for (const x of s.body) {
        const items = straight(x);
        if (!items) return null;
        all.push(...items);
      }
      return all;
    }
    default:
      return null;
  }
}

function region(items: readonly Item[], ctx: InterleaveCtx, fresh: () => string, numbers: Numbering): Stmt | null {
  const names = items.flatMap((x) => (x.kind === "let" ? [x.name] : []));
  if (new Set(names).size < names.length) return null;
  const chains = chainEnds(items);
  if (chains.length < 2) return null;
  const out: Item[] = [];
  let from = 0;
  for (let c = Math.min(most, chains.length) - 1; ; c = Math.min(c + most, chains.length - 1)) {
    const to = c === chains.length - 1 ? items.length : chains[c]! + 1;
    out.push(...byLevel(readFirst(items.slice(from, to), ctx, fresh, numbers), ctx));
    if (to === items.length) break;
    from = to;
  }
  let rest: Stmt[] = [];
  for (const x of out.reverse()) {
    rest = x.kind === "store" ? [x, ...rest] : [{ kind: "let", name: x.name, value: x.value, body: seq(rest) }];
  }
  return seq(rest);
}

/** The stores that end a long chain. */
function chainEnds(items: readonly Item[]): number[] {
  const sizes = new Map<string, number>();
  const cost = (e: LoopExpr): number => {
    let n = 0;
    visitExpr(e, (x) => {
      if (x.kind === "var") n += sizes.get(x.name) ?? 0;
      else if (x.kind === "mulAdd") n += 2;
      else if (x.kind === "unary" || x.kind === "binary" || x.kind === "select") n++;
    });
    return n;
  };
  const ends: number[] = [];
  items.forEach((x, k) => {
    if (x.kind === "let") sizes.set(x.name, cost(x.value));
    else if (lanesOf(x.value) > 1 && cost(x.value) >= long) ends.push(k);
  });
  return ends;
}

/** Each load from memory that runs in any case is a let of its own, one for equal loads. */
function readFirst(items: readonly Item[], ctx: InterleaveCtx, fresh: () => string, numbers: Numbering): Item[] {
  const known = new Map<number, { readonly buffer: BufferId; readonly v: LoopExpr }>();
  const out: Item[] = [];
  const take = (e: LoopExpr, certain: boolean): LoopExpr => {
    const read = readOf(e);
    if (read) {
      if (ctx.isRegister(read.buffer) || !(certain || read.safe)) return e;
      const n = numbers.of(e);
      let k = known.get(n);
      if (!k) {
        const name = fresh();
        const lanes = lanesOf(e);
        k = { buffer: read.buffer, v: { kind: "var", dtype: e.dtype, name, ...(lanes > 1 ? { lanes } : {}) } };
        known.set(n, k);
        out.push({ kind: "let", name, value: e });
      }
      return k.v;
    }
    if (e.kind === "select") return { ...e, cond: take(e.cond, certain), a: take(e.a, false), b: take(e.b, false) };
    return withChildren<LoopExpr>(e, (c) => take(c, certain));
  };
  for (const x of items) {
    if (x.kind === "let" && x.value.kind === "load") {
      out.push(x);
      continue;
    }
    const value = take(x.value, true);
    out.push({ ...x, value });
    if (x.kind === "store")
      for (const [n, k] of known) if (k.buffer === x.buffer || ctx.mayAlias(x.buffer, k.buffer)) known.delete(n);
  }
  return out;
}

/** The load that an expression is. A vector of narrow cells has no registers of its own: with the cast that makes lanes of them. */
function readOf(e: LoopExpr): Extract<LoopExpr, { kind: "load" }> | null {
  if (e.kind === "load") return e;
  return e.kind === "cast" && e.x.kind === "load" && lanesOf(e) > 1 && elementBytes(e.x.dtype) < 4 ? e.x : null;
}

/** Items in the order of their distance from what they start from, equal ones as they stood. */
function byLevel(items: readonly Item[], ctx: InterleaveCtx): Item[] {
  const clash = (a: BufferId, b: BufferId): boolean => a === b || ctx.mayAlias(a, b);
  const done: { readonly item: Item; readonly level: number; readonly reads: readonly BufferId[] }[] = [];
  const levels = new Map<string, number>();
  for (const item of items) {
    const reads = [...new Set(exprsOf(asStmt(item)).flatMap(loads))];
    let level = 0;
    for (const e of exprsOf(asStmt(item)))
      visitExpr(e, (y) => {
        if (y.kind === "var") level = Math.max(level, (levels.get(y.name) ?? -1) + 1);
      });
    for (const d of done) {
      const later =
        (d.item.kind === "store" && reads.some((b) => clash((d.item as Store).buffer, b))) ||
        (item.kind === "store" && d.reads.some((b) => clash(item.buffer, b))) ||
        (item.kind === "store" && d.item.kind === "store" && clash(item.buffer, d.item.buffer));
      if (later) level = Math.max(level, d.level + 1);
    }
    if (item.kind === "let") levels.set(item.name, level);
    done.push({ item, level, reads });
  }
  return done
    .map((d, k) => ({ ...d, k }))
    .sort((p, q) => p.level - q.level || p.k - q.k)
    .map((d) => d.item);
}
const asStmt = (x: Item): Stmt =>
  x.kind === "store" ? x : { kind: "let", name: x.name, value: x.value, body: { kind: "seq", body: [] } };
