// Makes the bodies of a kernel's hot loops functions of their own. An engine that compiles a function anew, and better, once it has run
// often, changes over at the function's next call: a kernel that is called once in a run would stay as it was for all of the first run.
import type { SymbolId } from "../../src/base/brand.ts";
import * as D from "../../src/ir/dim.ts";
import { binary, ofDim, toDim } from "../../src/ir/expr.ts";
import type { For, LoopExpr, Stmt } from "../../src/ir/loops.ts";
import { visitStmt } from "../../src/ir/rewrite.ts";
import { at } from "./unroll.ts";
import { trips, work } from "./work.ts";

/** What the dims of a kernel are in one of its calls. */
export type CallSizes = (id: SymbolId) => number;

/** Work of a body, in instructions, that is worth a call: some ten microseconds. */
const worthCall = 1 << 17;
/** Work of a loop from which on it pays not to wait for the kernel's next call: longer than the engine takes to compile. */
const worthwhile = 1 << 20;

/** `calls`: those of the kernel, for which the bodies must be worth it together. */
export function apart(body: Stmt, calls: readonly CallSizes[]): Stmt {
  const once = calls.map((size) => ({ size, times: 1 }));
  return inside(body, once, false);
}

type Entry = { readonly size: CallSizes; readonly times: number };
/** `enclosed`: the body of a loop around the statement would do. */
function inside(s: Stmt, entries: readonly Entry[], enclosed: boolean): Stmt {
  switch (s.kind) {
    case "seq": {
      const body = s.body.map((x) => inside(x, entries, enclosed));
      return body.every((x, k) => x === s.body[k]) ? s : { ...s, body };
    }
    case "let": {
      const body = inside(s.body, entries, enclosed);
      return body === s.body ? s : { ...s, body };
    }
    case "for":
      return s.loop === "serial" ? loop(s, entries, enclosed) : s;
    default:
      return s;
  }
}
function loop(s: For, entries: readonly Entry[], enclosed: boolean): Stmt {
  const all = entries.map(({ size, times }) => ({ size, times: times * trips(s, size) }));
  const costs = all.map(({ size, times }) => times * work(s.body, size));
  if (Math.max(...costs) < worthwhile) return s;
  const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0);
  const mean = sum(costs) / sum(all.map((e) => e.times));
  if (mean >= worthCall) {
    const body = inside(s.body, all, true);
    return body === s.body ? { ...s, loop: "apart" } : { ...s, body };
  }
  return isStraight(s.body) && !enclosed ? inBlocks(s, Math.ceil(worthCall / mean)) : s;
}
function isStraight(s: Stmt): boolean {
  let straight = true;
  visitStmt(s, (x) => {
    if (x.kind === "for" || x.kind === "while") straight = false;
  });
  return straight;
}
/** A loop as one over blocks of iterations. */
function inBlocks(s: For, iterations: number): Stmt {
  const extent = toDim(s.extent);
  if (extent === null) return s;
  const block = D.int(iterations * s.step);
  const outer = `${s.v}.block`;
  const size = D.mod(extent, block) === D.zero ? block : D.min(block, D.sub(extent, D.sym(outer)));
  const here = binary<LoopExpr>(
    "add",
    { kind: "var", dtype: "i32", name: outer },
    { kind: "var", dtype: "i32", name: s.v },
  );
  const body: Stmt = { ...s, extent: ofDim(size) as LoopExpr, body: at(s.body, s.v, here) };
  return { kind: "for", v: outer, extent: s.extent, step: iterations * s.step, loop: "apart", body };
}
