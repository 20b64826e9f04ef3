// The memory plan: an offset for every buffer, valid for every value of the dims. The order of buffers in memory is fixed at one
// representative binding of the symbols; then a buffer's offset is the largest end of the buffers below it that it interferes with.
import { must } from "../../src/base/assert.ts";
import type { BufferId, SymbolId } from "../../src/base/brand.ts";
import type { Dim, Sym } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import { heapSymbol, type MemoryPlan, type Region } from "../../src/ir/program.ts";
import { type Buffer, dense } from "../../src/ir/storage.ts";
import { rangesOf } from "../../src/ir/symbolic.ts";
import { cellBytes, type TargetInfo } from "../../src/ir/target.ts";
import type { Interval } from "./liveness.ts";

/** Bytes of a root buffer, rounded up to the target's alignment. */
export function bytesOf(b: Buffer, target: TargetInfo): Dim {
  const size = (b.storage ?? dense(b.shape)).size;
  const bytes = D.mul(size, D.int(cellBytes(b.dtype, target)));
  return D.mul(D.ceildiv(bytes, D.int(target.align)), D.int(target.align));
}
/** The value that stands for a symbol when the order of buffers is decided. */
export function representative(s: Sym): number {
  return s.max !== null ? s.max : Math.max(s.min, 16);
}

/** Comparing all terms of a maximum with each other is worth it for a few. */
function few(d: Dim, ranges: D.Ranges): Dim {
  return d.kind === "max" && d.terms.length > 6 ? d : D.simplify(d, ranges);
}

/** Rounds of the search for a better order, and comparisons of two buffers in all of them. */
const maxRounds = 100;
const maxSteps = 1e7;

export type PlanInput = {
  readonly buffers: ReadonlyMap<BufferId, Buffer>;
  /** Root buffers by region. */
  readonly weights: readonly BufferId[];
  readonly prepared: readonly BufferId[];
  readonly arena: ReadonlyMap<BufferId, Interval>;
  readonly heap: readonly BufferId[];
  /** Inputs and outputs that lie where the caller's pointers say: each has a region of its own. */
  readonly io: readonly BufferId[];
  readonly symbols: readonly Sym[];
  readonly target: TargetInfo;
  /** Pairs [of, into]: `into` may take the memory of `of`, whose last use is into's first. */
  readonly inPlace: ReadonlyMap<BufferId, BufferId>;
};

export function planMemory(x: PlanInput): MemoryPlan {
  const offsets = new Map<BufferId, { region: Region; offset: Dim }>();
  const lets: { id: SymbolId; value: Dim }[] = [];
  const size = (id: BufferId): Dim => bytesOf(must(x.buffers.get(id), `buffer ${id}`), x.target);
  const stack = (ids: readonly BufferId[], region: Region): Dim => {
    let at: Dim = D.zero;
    for (const id of ids) {
      offsets.set(id, { region, offset: at });
      at = D.add(at, size(id));
    }
    return at;
  };
  const weights = stack(x.weights, "weights");
  const prepared = stack(x.prepared, "prepared");
  for (const id of x.io) offsets.set(id, { region: "io", offset: D.zero });
  for (const id of x.heap) offsets.set(id, { region: "heap", offset: D.sym(heapSymbol(id)) });

  const table = new Map<SymbolId, number>(x.symbols.map((s) => [s.id, representative(s)]));
  const env = (id: SymbolId): number => must(table.get(id), `symbol ${id}`);
  // Buffers that share memory in place are planned as one, alive from the first's start to the last's end.
  const leader = (id: BufferId): BufferId => {
    const of = x.inPlace.get(id);
    return of === undefined ? id : leader(of);
  };
  const groups = new Map<BufferId, { ids: BufferId[]; first: number; last: number; bytes: number; size: Dim }>();
  for (const [id, i] of x.arena) {
    const l = leader(id);
    const s = size(id);
    const bytes = D.evaluate(s, env);
    const g = groups.get(l);
    if (g) {
      g.ids.push(id);
      g.first = Math.min(g.first, i.first);
      g.last = Math.max(g.last, i.last);
      g.bytes = Math.max(g.bytes, bytes);
      g.size = D.max(g.size, s);
    } else groups.set(l, { ids: [id], first: i.first, last: i.last, bytes, size: s });
  }
  type Placed = {
    g: { ids: BufferId[]; first: number; last: number; bytes: number; size: Dim };
    at: number;
    n: number;
  };
  const all = [...groups.values()];
  const overlaps = (a: Placed["g"], b: Placed["g"]): boolean => a.first <= b.last && b.first <= a.last;
  const placeIn = (order: readonly Placed["g"][]): { placed: Placed[]; peak: number } => {
    const placed: Placed[] = [];
    let peak = 0;
    order.forEach((g, n) => {
      const near = placed.filter((p) => overlaps(p.g, g)).sort((a, b) => a.at - b.at);
      // The smallest gap that holds it.
      let best = -1;
      let bestGap = Number.POSITIVE_INFINITY;
      let at = 0;
      for (const p of near) {
        const gap = p.at - at;
        if (gap >= g.bytes && gap < bestGap) {
          best = at;
          bestGap = gap;
        }
        at = Math.max(at, p.at + p.g.bytes);
      }
      if (best < 0) best = at;
      placed.push({ g, at: best, n });
      peak = Math.max(peak, best + g.bytes);
    });
    return { placed, peak };
  };
  let lowerBound = 0;
  for (const t of new Set(all.map((g) => g.first)))
    lowerBound = Math.max(
      lowerBound,
      all.reduce((s, g) => (g.first <= t && t <= g.last ? s + g.bytes : s), 0),
    );
  // Several greedy orders; the one with the lowest peak. As long as it is over the bound, what ends highest is placed earlier.
  const key = (f: (g: Placed["g"]) => number) =>
    [...all].sort((a, b) => f(b) - f(a) || a.first - b.first || a.ids[0]! - b.ids[0]!);
  const orders = [
    key((g) => g.bytes),
    key((g) => g.bytes * (g.last - g.first + 1)),
    key((g) => g.last - g.first),
    key((g) => -g.first),
  ];
  const tries = orders.map(placeIn);
  let best = tries.reduce((a, b) => (b.peak < a.peak ? b : a));
  const rounds = Math.min(maxRounds, Math.floor(maxSteps / (all.length * all.length + 1)));
  for (const [k, start] of orders.entries()) {
    let order = start;
    let now = tries[k]!;
    for (let round = 0; round < rounds && best.peak > lowerBound; round++) {
      const top = now.placed.filter((p) => p.at + p.g.bytes === now.peak).map((p) => p.g);
      order = [...top, ...order.filter((g) => !top.includes(g))];
      now = placeIn(order);
      if (now.peak < best.peak) best = now;
    }
  }
  const sorted = best.placed.sort((a, b) => a.at - b.at || a.g.bytes - b.g.bytes || a.n - b.n);
  const ends: Dim[] = [];
  const ranges = rangesOf(x.symbols);
  const done: { g: Placed["g"]; end: Dim }[] = [];
  sorted.forEach((p, k) => {
    const below = done.filter((d) => overlaps(d.g, p.g)).map((d) => d.end);
    let offset = below.length === 0 ? D.zero : few(D.max(...below), ranges);
    if (offset.kind !== "int" && offset.kind !== "sym") {
      const id = `$at.${k}` as SymbolId;
      lets.push({ id, value: offset });
      offset = D.sym(id);
    }
    for (const id of p.g.ids) offsets.set(id, { region: "arena", offset });
    const end = D.add(offset, p.g.size);
    done.push({ g: p.g, end });
    ends.push(end);
  });
  const arena = ends.length === 0 ? D.zero : few(D.max(...ends), ranges);
  return { lets, offsets, sizes: { weights, prepared, arena }, lowerBound: D.int(lowerBound) };
}
