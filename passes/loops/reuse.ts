// Sums that share what they read: where a window is unrolled over several outputs, the terms that read the same vector come to stand
// together, so that it is loaded once and soon forgotten. Each sum keeps the order of its own terms, and with it its bits.
import type { BufferId } from "../../src/base/brand.ts";
import * as D from "../../src/ir/dim.ts";
import { type LoopExpr, lanesOf, type Stmt } from "../../src/ir/loops.ts";
import { exprsOf, mapStmt, visitExpr } from "../../src/ir/rewrite.ts";
import { Simplifier } from "../../src/ir/simplify.ts";

type Store = Extract<Stmt, { kind: "store" }>;
type Load = Extract<LoopExpr, { kind: "load" }>;
type Place = { readonly buffer: BufferId; readonly base: D.Dim; readonly at: number };
type Term = { readonly store: Store; readonly place: Place };

/** Sorts runs of additions to registers by the address of the one vector that each of them reads from memory. Runs before `bind`. */
export function reuse(body: Stmt, isRegister: (id: BufferId) => boolean): Stmt {
  return mapStmt(
    body,
    (s) => {
      if (s.kind !== "seq") return s;
      const out: Stmt[] = [];
      let run: Term[] = [];
      const end = (): void => {
        out.push(...(sorted(run) ?? run).map((t) => t.store));
        run = [];
      };
      for (const x of s.body.flatMap((y) => (y.kind === "seq" ? y.body : [y]))) {
        const place = x.kind === "store" && isRegister(x.buffer) ? placeOf(x, isRegister) : null;
        if (x.kind === "store" && place) run.push({ store: x, place });
        else {
          end();
          out.push(x);
        }
      }
      end();
      return { kind: "seq", body: out };
    },
    (e) => e,
  );
}

function sorted(run: readonly Term[]): Term[] | null {
  const [first] = run;
  if (!first || run.length < 4) return null;
  if (!run.every(({ place: p }) => p.buffer === first.place.buffer && p.base === first.place.base)) return null;
  // At least every other load is one of those before; and few vectors for many sums (a product of matrices) stay in registers anyway.
  const vectors = new Set(run.map((t) => t.place.at)).size;
  const sums = new Set(run.map((t) => t.store.buffer)).size;
  if (2 * vectors > run.length || vectors <= sums) return null;
  const order = run.map((_, k) => k).sort((a, b) => run[a]!.place.at - run[b]!.place.at || a - b);
  const last = new Map<BufferId, number>();
  for (const k of order) {
    const { buffer } = run[k]!.store;
    if (k < (last.get(buffer) ?? -1)) return null;
    last.set(buffer, k);
  }
  return order.map((k) => run[k]!);
}

/** Where a statement's one vector load from memory reads; null when it reads other registers than its own, or no or several vectors. */
function placeOf(
  s: Store,
  isRegister: (id: BufferId) => boolean,
): { buffer: BufferId; base: D.Dim; at: number } | null {
  const vectors = new Set<Load>();
  let own = true;
  for (const e of exprsOf(s))
    visitExpr(e, (x) => {
      if (x.kind !== "load") return;
      if (isRegister(x.buffer)) own &&= x.buffer === s.buffer;
      else if (lanesOf(x as LoopExpr) > 1) vectors.add(x as Load);
    });
  const [v] = vectors;
  const index = v?.index[0];
  if (!own || vectors.size !== 1 || index?.kind !== "ramp") return null;
  const d = new Simplifier(() => null).dim(index.base);
  if (d === null) return null;
  const offset = D.termsOf(d).find((t) => t.kind === "int");
  return { buffer: v!.buffer, base: D.sub(d, offset ?? D.zero), at: offset?.kind === "int" ? offset.value : 0 };
}
