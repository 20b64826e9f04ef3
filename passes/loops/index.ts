// The loop passes, in order: from a scheduled nest with logical indices to what printers get.
import { must } from "../../src/base/assert.ts";
import type { BufferId } from "../../src/base/brand.ts";
import type { Ranges } from "../../src/ir/dim.ts";
import type { Kernel, LoopExpr, Stmt } from "../../src/ir/loops.ts";
import { mapExpr, mapStmt, visitStmt } from "../../src/ir/rewrite.ts";
import type { Buffer } from "../../src/ir/storage.ts";
import { type TargetInfo, widthsOf } from "../../src/ir/target.ts";
import { apart, type CallSizes } from "./apart.ts";
import { bind } from "./bind.ts";
import { decomposeMath } from "./decompose-math.ts";
import { expandStorage } from "./expand-storage.ts";
import { flatten } from "./flatten.ts";
import { interleave } from "./interleave.ts";
import { pointers } from "./pointers.ts";
import { registers } from "./registers.ts";
import { reuse } from "./reuse.ts";
import { unroll } from "./unroll.ts";

export const vectorLanes = (t: TargetInfo): number => Math.max(1, t.vectorBytes / 4);

/**
 * From logical indices to linear ones. Buffers are still those of the program; a part that is addressed from the start of another buffer
 * gets its name.
 */
export function flattenNest(
  body: Stmt,
  buffers: readonly Buffer[],
  wholes: ReadonlyMap<BufferId, BufferId>,
  ranges: Ranges,
): Stmt {
  return renamed(flatten(body, buffers, ranges), wholes);
}
/** From marks to vectors and registers, for a body with linear indices. */
export function straightNest(body: Stmt, target: TargetInfo, freshBuffer: () => BufferId): Stmt {
  return registers(unroll(body, vectorLanes(target)), freshBuffer);
}

function renamed(s: Stmt, names: ReadonlyMap<BufferId, BufferId>): Stmt {
  if (names.size === 0) return s;
  const memo = new Map<LoopExpr, LoopExpr>();
  const of = (id: BufferId): BufferId => names.get(id) ?? id;
  return mapStmt(
    s,
    (x) => (x.kind === "store" ? { ...x, buffer: of(x.buffer) } : x),
    (e) => mapExpr<LoopExpr>(e, (x) => (x.kind === "load" ? { ...x, buffer: of(x.buffer) } : x), memo),
  );
}

/**
 * What is done to a kernel on its own, in each of its vectors: types and math of the target, shared subexpressions, pointers. `calls`: what
 * its dims are in each of its calls, for choices that depend on how much there is to do.
 */
export function finishKernel(k: Kernel, target: TargetInfo, ranges: Ranges, calls: readonly CallSizes[] = []): Kernel {
  const { variants, ...rest } = k;
  const finished = finishBody(rest, target, ranges, calls);
  if (!variants) return finished;
  const of = (lanes: number): TargetInfo =>
    must(
      widthsOf(target).find((t) => vectorLanes(t) === lanes),
      `vectors of ${lanes} lanes`,
    );
  const others = variants.map(({ lanes, body }) => ({
    lanes,
    body: finishBody({ ...rest, body }, of(lanes), ranges, calls).body,
  }));
  return { ...finished, variants: others };
}
function finishBody(k: Kernel, target: TargetInfo, ranges: Ranges, calls: readonly CallSizes[]): Kernel {
  const typed = expandStorage(k, target);
  const plain = decomposeMath(typed.body, target);
  const math = target.tiersUp ? apart(plain, calls) : plain;
  const registers = new Set<BufferId>();
  visitStmt(math, (s) => {
    if (s.kind === "alloc" && s.buffer.scope === "register") registers.add(s.buffer.id);
  });
  const isRegister = (id: BufferId): boolean => registers.has(id);
  const place = new Map(typed.params.map((p, i) => [p.id, i]));
  const pairs = new Set(typed.mayOverlap.map(([a, b]) => `${a},${b}`));
  const mayAlias = (a: BufferId, b: BufferId): boolean => {
    const [i, j] = [place.get(a), place.get(b)];
    return a === b || (i !== undefined && j !== undefined && (pairs.has(`${i},${j}`) || pairs.has(`${j},${i}`)));
  };
  const bound = bind(target.vectorBytes > 4 ? reuse(math, isRegister) : math, { isRegister, mayAlias, ranges });
  const ordered = target.vectorBytes > 4 ? interleave(bound, { isRegister, mayAlias }) : bound;
  return { ...typed, body: target.pointers ? pointers(ordered, isRegister) : ordered };
}
