// The order of axes in memory. Stages vote: a sum of products wants its summed axis innermost in what it reads and its N axis innermost
// in what it writes; a window (pool, depthwise) wants the axis that the window does not touch innermost. Buffers that are joined element by
// element vote together. Inputs, outputs and what kernels in loops use stay row-major; a copy is made where a stage cannot live with that.
import { must } from "../../src/base/assert.ts";
import type { BufferId } from "../../src/base/brand.ts";
import * as D from "../../src/ir/dim.ts";
import { toDim } from "../../src/ir/expr.ts";
import { mapExpr, visitActions, visitExpr } from "../../src/ir/rewrite.ts";
import type { Buffer } from "../../src/ir/storage.ts";
import type { TargetInfo } from "../../src/ir/target.ts";
import type { Reduce, Stage, TeAction, TeExpr, TeProgram } from "../../src/ir/te.ts";
import { loadsOf } from "./access.ts";
import { contractionOf, dimOf } from "./contraction.ts";
import { factsOf } from "./inline.ts";
import { isConstant } from "./pack.ts";
import { called, FreshIds, stageOf } from "./stages.ts";

const size = (d: D.Dim): number => D.known(d) ?? 16;
const volume = (s: Stage): number => {
  const body = s.outs[0]!.body;
  return [...s.axes, ...(body.kind === "reduce" ? body.axes : [])].reduce((n, a) => n * size(a.extent), 1);
};

export function layoutOrders(
  p: TeProgram,
  target: TargetInfo,
): { program: TeProgram; orders: ReadonlyMap<BufferId, readonly number[]> } {
  if (target.gpu) return { program: p, orders: new Map() };
  const facts = factsOf(p);
  const parent = new Map<BufferId, BufferId>();
  const find = (id: BufferId): BufferId => {
    const up = parent.get(id);
    if (up === undefined || up === id) return id;
    const r = find(up);
    parent.set(id, r);
    return r;
  };
  const join = (a: BufferId, b: BufferId): void => {
    parent.set(find(a), find(b));
  };
  const buffer = (id: BufferId): Buffer => must(p.buffers.get(id), `buffer ${id}`);
  const rootPart = (id: BufferId): BufferId => {
    const b = buffer(id);
    return b.inside ? rootPart(b.inside.of) : id;
  };
  const fixed = (id: BufferId): boolean => {
    const b = buffer(rootPart(id));
    return b.scope === "io" || b.scope === "heap" || b.storage !== null || facts.mutable.has(b.id);
  };
  for (const b of p.buffers.values()) if (b.inside) join(b.id, b.inside.of);
  const votes = new Map<BufferId, Map<number, number>>();
  const pending: { id: BufferId; dim: number; weight: number }[] = [];
  const vote = (id: BufferId, dim: number, weight: number): void => {
    if (dim >= 0) pending.push({ id, dim, weight });
  };
  visitActions(p.actions, (a) => {
    if (a.kind !== "call" || a.call.kind !== "group") return;
    for (const s of a.call.group.stages) {
      const o = s.outs[0]!;
      const plain = o.body.kind === "reduce" ? o.body.result : o.body;
      for (const l of loadsOf(plain)) {
        if (!sameElement(l, s) || fixed(l.buffer) || fixed(o.buffer)) continue;
        join(l.buffer, o.buffer);
      }
      if (s.outs.length > 1) tileVote(s, volume(s), buffer, vote);
      if (o.body.kind !== "reduce" || s.outs.length !== 1) continue;
      const weight = volume(s);
      const c = contractionOf(s, (l) => isConstant(buffer(l.buffer)));
      if (c && c.n.length > 0) {
        const ks = c.k
          .filter((k) => c.b.axes.has(k.name))
          .map((k) => ({ k, dim: dimOf(c.a, k.name) }))
          .filter((x) => x.dim >= 0)
          .sort((x, y) => size(y.k.extent) - size(x.k.extent));
        if (ks[0]) vote(c.a.load.buffer, ks[0].dim, weight);
        const n = [...c.n].sort((x, y) => size(y.extent) - size(x.extent))[0]!;
        vote(o.buffer, s.axes.indexOf(n), weight);
      } else windowVote(s, o.body, weight, fixed, vote);
    }
  });
  for (const v of pending) {
    const root = find(v.id);
    const own = votes.get(root) ?? new Map<number, number>();
    own.set(v.dim, (own.get(v.dim) ?? 0) + v.weight);
    votes.set(root, own);
  }
  const wanted = (id: BufferId): number | null => {
    const own = votes.get(find(id));
    if (!own) return null;
    return [...own].sort((x, y) => y[1] - x[1] || y[0] - x[0])[0]![0];
  };
  const orders = new Map<BufferId, readonly number[]>();
  for (const b of p.buffers.values()) {
    if (fixed(b.id) || b.inside) continue;
    const dim = wanted(b.id);
    if (dim === null || dim >= b.shape.length) continue;
    if ((dim === b.shape.length - 1 && b.scope === "weights") || b.scope === "prepared") continue;
    orders.set(b.id, [...b.shape.keys()].filter((k) => k !== dim).concat(dim));
  }
  return { program: copiesAtEdges(p, fixed, buffer, orders), orders };
}

/** A load of the same element that the stage defines. */
function sameElement(l: Extract<TeExpr, { kind: "load" }>, s: Stage): boolean {
  if (l.index.length !== s.axes.length || s.axes.length === 0) return false;
  return l.index.every((i, k) => {
    const d = toDim(i);
    if (d === null) return false;
    if (d === D.zero) return true;
    // A pad reads the element shifted by a constant.
    const rest = D.sub(d, D.sym(s.axes[k]!.name));
    return !s.axes.some((a) => D.symbolsOf(rest).has(a.name as never));
  });
}
/**
 * A window over some axes: the largest axis that it does not touch wants to be innermost. But where it writes into an order that is fixed,
 * the axis that is innermost there, if the window moves along it element by element.
 */
function windowVote(
  s: Stage,
  r: Reduce,
  weight: number,
  fixed: (id: BufferId) => boolean,
  vote: (id: BufferId, dim: number, weight: number) => void,
): void {
  const reduced = new Set(r.axes.filter((a) => a.extent !== D.one).map((a) => a.name));
  const out = s.outs[0]!.buffer;
  const last = s.axes[s.axes.length - 1];
  for (const l of loadsOf(r.update[0]!)) {
    if (l.index.length !== s.axes.length) continue;
    const along = last && toDim(l.index[l.index.length - 1]!);
    if (along && fixed(out) && size(last.extent) >= 8 && moves(along, last.name)) {
      vote(l.buffer, l.index.length - 1, weight);
      continue;
    }
    const touched = l.index.filter((i) => {
      const d = toDim(i);
      return d !== null && [...D.symbolsOf(d)].some((x) => reduced.has(x));
    }).length;
    if (touched < 2) continue;
    const free = s.axes
      .map((a, k) => ({ a, k }))
      .filter(({ a, k }) => {
        const d = toDim(l.index[k]!);
        return d?.kind === "sym" && d.id === a.name;
      });
    const best = free.sort((x, y) => size(y.a.extent) - size(x.a.extent) || y.k - x.k)[0];
    if (!best || size(best.a.extent) < 2) continue;
    vote(l.buffer, best.k, weight);
    vote(out, best.k, weight);
  }
}

/** True when d is the axis and something without it. */
function moves(d: D.Dim, axis: string): boolean {
  return !D.symbolsOf(D.sub(d, D.sym(axis))).has(axis as never);
}
/** Several outputs from one tile: the largest axis that is no part of the tile, neither of what is read nor written, wants to be innermost. */
function tileVote(
  s: Stage,
  weight: number,
  buffer: (id: BufferId) => Buffer,
  vote: (id: BufferId, dim: number, weight: number) => void,
): void {
  const loads = s.outs.flatMap((o) => (o.body.kind === "reduce" ? [] : loadsOf(o.body)));
  const plain = (a: Stage["axes"][number]): boolean =>
    loads.every((l) => l.index.every((i) => i.kind === "var" || !usesAxis(i, a.name))) &&
    s.outs.every((o) => {
      const b = buffer(o.buffer);
      return !b.inside || b.inside.step[s.axes.indexOf(a)] === D.one;
    });
  if (s.axes.every(plain)) return;
  const best = s.axes.filter((a) => a.extent !== D.one && plain(a)).sort((x, y) => size(y.extent) - size(x.extent))[0];
  if (!best) return;
  for (const o of s.outs) vote(o.buffer, s.axes.indexOf(best), weight);
  for (const l of loads) {
    vote(
      l.buffer,
      l.index.findIndex((i) => i.kind === "var" && i.name === best.name),
      weight,
    );
  }
}
function usesAxis(e: TeExpr, name: string): boolean {
  let found = false;
  visitExpr(e, (x) => {
    if (x.kind === "var" && x.name === name) found = true;
  });
  return found;
}

/** Where a stage reads or writes an input or output in an order that it cannot work with, a copy stands between. */
function copiesAtEdges(
  p: TeProgram,
  fixed: (id: BufferId) => boolean,
  buffer: (id: BufferId) => Buffer,
  orders: Map<BufferId, readonly number[]>,
): TeProgram {
  const buffers = new Map(p.buffers);
  const ids = new FreshIds(p);
  const made = new Map<string, BufferId>();
  const temp = (like: Buffer, dim: number): BufferId => {
    const id = ids.buffer();
    const { inside: _i, ...rest } = like;
    buffers.set(id, { ...rest, id, name: `${like.name}.last${dim}`, scope: "arena", storage: null });
    orders.set(id, [...like.shape.keys()].filter((k) => k !== dim).concat(dim));
    return id;
  };
  const copy = (from: Buffer, to: BufferId, like: Stage): TeAction => {
    const axes = from.shape.map((extent, k) => ({ name: `i${k}`, extent, role: "spatial" as const }));
    const stage: Stage = {
      id: ids.stage(),
      name: "Layout",
      axes,
      scan: null,
      loc: like.loc,
      outs: [
        {
          buffer: to,
          body: {
            kind: "load",
            dtype: from.dtype,
            buffer: from.id,
            index: axes.map((x) => ({ kind: "var", dtype: "i32", name: x.name })),
          },
        },
      ],
    };
    return called(stage);
  };
  const walk = (list: readonly TeAction[]): TeAction[] =>
    list.flatMap((a): TeAction[] => {
      if (a.kind === "loop") return [{ ...a, body: walk(a.body) }];
      if (a.kind === "if") return [{ ...a, then: walk(a.then), otherwise: walk(a.otherwise) }];
      const alone = stageOf(a);
      if (!alone) return [a];
      let s = alone;
      const o = s.outs[0]!;
      if (o.body.kind !== "reduce" || s.outs.length !== 1) return [a];
      const c = contractionOf(s, (l) => isConstant(buffer(l.buffer)));
      if (!c || c.n.length === 0 || volume(s) < 4096) return [a];
      const before: TeAction[] = [];
      const after: TeAction[] = [];
      const x = buffer(c.a.load.buffer);
      const ks = c.k
        .filter((k) => c.b.axes.has(k.name))
        .map((k) => ({ k, dim: dimOf(c.a, k.name) }))
        .filter((y) => y.dim >= 0)
        .sort((y, z) => size(z.k.extent) - size(y.k.extent));
      const kd = ks[0]?.dim ?? -1;
      // Only where the summed axis is not already innermost, and other axes move between its elements.
      if (
        x.scope === "io" &&
        !x.inside &&
        kd >= 0 &&
        kd !== x.shape.length - 1 &&
        x.shape.length > 2 &&
        x.shape.slice(kd + 1).some((d) => d !== D.one)
      ) {
        const key = `${x.id}:${kd}`;
        let id = made.get(key);
        if (id === undefined) {
          id = temp(x, kd);
          made.set(key, id);
          before.push(copy(x, id, s));
        }
        const to = id;
        s = {
          ...s,
          outs: [
            {
              ...o,
              body: mapExpr<TeExpr>(o.body, (e) => (e.kind === "load" && e.buffer === x.id ? { ...e, buffer: to } : e)),
            },
          ],
        };
      }
      const n = [...c.n].sort((y, z) => size(z.extent) - size(y.extent))[0]!;
      const nd = s.axes.indexOf(n);
      const y = buffer(o.buffer);
      if (
        fixed(y.id) &&
        y.scope === "io" &&
        nd !== y.shape.length - 1 &&
        size(n.extent) >= 4 &&
        y.shape.slice(nd + 1).some((d) => d !== D.one)
      ) {
        const id = temp(y, nd);
        s = { ...s, outs: [{ ...s.outs[0]!, buffer: id }] };
        after.push(copy({ ...y, id }, y.id, s));
      }
      return [...before, called(s), ...after];
    });
  const actions = walk(p.actions);
  return { ...p, buffers, actions };
}
