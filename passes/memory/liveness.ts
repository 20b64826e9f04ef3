// When each root buffer is alive: intervals over the actions in program order. Inside a loop a buffer that carries data from one
// iteration to the next, or in or out of the loop, is alive in all of it.
import { must } from "../../src/base/assert.ts";
import type { BufferId } from "../../src/base/brand.ts";
import { bodiesOf, type Kernel } from "../../src/ir/loops.ts";
import type { Action, Call } from "../../src/ir/program.ts";
import { exprsOf, visitActions, visitExpr, visitStmt } from "../../src/ir/rewrite.ts";
import type { Buffer } from "../../src/ir/storage.ts";

export type Interval = { readonly first: number; readonly last: number };
export type Usage = { readonly reads: readonly boolean[]; readonly writes: readonly boolean[] };

/** Which parameters a kernel reads and writes. */
export function usageOf(k: Kernel): Usage {
  const reads = new Set<BufferId>();
  const writes = new Set<BufferId>();
  const seen = new Set<unknown>();
  for (const body of bodiesOf(k))
    visitStmt(body, (s) => {
      if (s.kind === "store") writes.add(s.buffer);
      for (const e of exprsOf(s))
        visitExpr(
          e,
          (x) => {
            if (x.kind === "load") reads.add(x.buffer);
          },
          seen,
        );
    });
  return { reads: k.params.map((p) => reads.has(p.id)), writes: k.params.map((p) => writes.has(p.id)) };
}

export function rootOf(buffers: ReadonlyMap<BufferId, Buffer>, id: BufferId): BufferId {
  let b = must(buffers.get(id), `buffer ${id}`);
  while (b.storage?.root !== null && b.storage?.root !== undefined) b = must(buffers.get(b.storage.root), "a root");
  return b.id;
}

type Touch = {
  readonly time: number;
  readonly write: boolean;
  readonly read: boolean;
  readonly loops: readonly number[];
};

/** Intervals by root buffer; inputs start at -1, outputs end at `end`. */
export function liveness(
  actions: readonly Action<Call>[],
  usages: readonly Usage[],
  buffers: ReadonlyMap<BufferId, Buffer>,
  inputs: readonly BufferId[],
  outputs: readonly BufferId[],
): {
  readonly intervals: ReadonlyMap<BufferId, Interval>;
  readonly end: number;
  readonly times: ReadonlyMap<Action<Call>, number>;
} {
  const touches = new Map<BufferId, Touch[]>();
  const times = new Map<Action<Call>, number>();
  const loopSpan: { first: number; last: number }[] = [];
  let time = 0;
  const touch = (id: BufferId, read: boolean, write: boolean, loops: readonly number[]): void => {
    const root = rootOf(buffers, id);
    const list = touches.get(root) ?? [];
    list.push({ time, read, write, loops });
    touches.set(root, list);
  };
  const walk = (list: readonly Action<Call>[], loops: readonly number[]): void => {
    for (const a of list) {
      times.set(a, time);
      switch (a.kind) {
        case "call": {
          const u = usages[a.call.kernel]!;
          a.call.args.forEach((id, k) => touch(id, u.reads[k]!, u.writes[k]!, loops));
          break;
        }
        case "dim":
          if ("buffer" in a.from) touch(a.from.buffer, true, false, loops);
          break;
        case "reserve":
        case "release":
          break;
        case "if":
          touch(a.cond, true, false, loops);
          time++;
          walk(a.then, loops);
          walk(a.otherwise, loops);
          break;
        case "loop": {
          const span = { first: time, last: time };
          const n = loopSpan.push(span) - 1;
          const inner = [...loops, n];
          if (a.cond !== null) touch(a.cond, true, false, inner);
          for (const [x, y] of a.swap) {
            touch(x, true, true, inner);
            touch(y, true, true, inner);
          }
          time++;
          walk(a.body, inner);
          span.last = time;
          for (const [x, y] of a.swap) {
            touch(x, true, true, loops);
            touch(y, true, true, loops);
          }
          if (a.cond !== null) touch(a.cond, true, false, inner);
          break;
        }
      }
      time++;
    }
  };
  walk(actions, []);
  const end = time;
  // An output that a loop writes piece by piece is read after it.
  for (const id of outputs) touches.get(rootOf(buffers, id))?.push({ time: end, read: true, write: false, loops: [] });
  const intervals = new Map<BufferId, Interval>();
  for (const [id, list] of touches) {
    let first = list[0]!.time;
    let last = list[list.length - 1]!.time;
    const common = (depth: number): boolean =>
      list.every((t) => t.loops[depth] === list[0]!.loops[depth] && t.loops[depth] !== undefined);
    let depth = 0;
    while (common(depth)) depth++;
    // Loops below the common ones: the buffer lives through all of them. A common loop too, when the first touch in it is a read.
    for (const t of list) {
      for (const l of t.loops.slice(depth)) {
        first = Math.min(first, loopSpan[l]!.first);
        last = Math.max(last, loopSpan[l]!.last);
      }
    }
    if (depth > 0 && list[0]!.read) {
      for (const l of list[0]!.loops.slice(0, depth)) {
        first = Math.min(first, loopSpan[l]!.first);
        last = Math.max(last, loopSpan[l]!.last);
      }
    }
    intervals.set(id, { first, last });
  }
  const extend = (id: BufferId, first: number, last: number): void => {
    const root = rootOf(buffers, id);
    const i = intervals.get(root);
    intervals.set(root, { first: Math.min(i?.first ?? first, first), last: Math.max(i?.last ?? last, last) });
  };
  // After an odd number of iterations either of a swapped pair holds what the other's name means: they die together.
  visitActions(actions, (a) => {
    if (a.kind !== "loop") return;
    for (const [x, y] of a.swap) {
      const last = Math.max(...[x, y].map((id) => intervals.get(rootOf(buffers, id))!.last));
      for (const id of [x, y]) extend(id, last, last);
    }
  });
  for (const id of inputs) extend(id, -1, intervals.get(rootOf(buffers, id))?.last ?? -1);
  for (const id of outputs) extend(id, intervals.get(rootOf(buffers, id))?.first ?? end, end);
  return { intervals, end, times };
}
