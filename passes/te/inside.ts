// Writes in place what would be copied: the parts of a concat into the whole, the interior of a padded buffer into its frame.
import { must } from "../../src/base/assert.ts";
import type { BufferId } from "../../src/base/brand.ts";
import type { Dim } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import { binary, type Const, constant, ofDim, toDim, v } from "../../src/ir/expr.ts";
import { type Kernel, type LoopExpr, type Stmt, seq } from "../../src/ir/loops.ts";
import { accesses, substituteVars } from "../../src/ir/rewrite.ts";
import { axisRanges, Simplifier } from "../../src/ir/simplify.ts";
import type { Buffer } from "../../src/ir/storage.ts";
import { rangesOf } from "../../src/ir/symbolic.ts";
import type { Stage, TeAction, TeExpr, TeProgram } from "../../src/ir/te.ts";
import { factsOf, isPad } from "./inline.ts";
import { called, FreshIds, stageOf } from "./stages.ts";

export type Pad = {
  readonly stage: Stage;
  readonly from: BufferId;
  readonly to: BufferId;
  readonly before: readonly Dim[];
  readonly fill: Const;
};

export function placeInside(p: TeProgram): TeProgram {
  const facts = factsOf(p);
  const ranges = rangesOf(p.symbols);
  const buffers = new Map(p.buffers);
  const dropped = new Set<Stage>();
  /** Frames to fill after the action that writes the interior. */
  const frames = new Map<TeAction, TeAction[]>();
  const padAction = new Map<Pad, TeAction>();
  const ids = new FreshIds(p);
  const walk = (list: readonly TeAction[]): void => {
    const producer = new Map<BufferId, TeAction>();
    const pads: Pad[] = [];
    for (const a of list) {
      if (a.kind === "loop") walk(a.body);
      else if (a.kind === "if") {
        walk(a.then);
        walk(a.otherwise);
      }
      const stage = stageOf(a);
      if (stage) {
        const copied = copyIntoPart(stage, buffers);
        if (copied !== null && movable(copied, producer)) {
          const part = must(buffers.get(stage.outs[0]!.buffer), "a part");
          buffers.set(copied, { ...buffers.get(copied)!, inside: part.inside! });
          dropped.add(stage);
        }
        const pad = padOf(stage, buffers, ranges);
        if (pad) {
          pads.push(pad);
          padAction.set(pad, a);
        }
      }
      // A buffer that is written in parts is there after the last of them.
      if (a.kind === "call")
        for (const w of accesses(a).writes)
          for (let id: BufferId | undefined = w; id !== undefined; id = buffers.get(id)!.inside?.of)
            producer.set(id, a);
    }
    // The widest frame of each interior takes it; narrower ones with the same fill are ranges of that frame.
    const bySource = new Map<BufferId, Pad[]>();
    for (const pad of pads) bySource.set(pad.from, [...(bySource.get(pad.from) ?? []), pad]);
    for (const [from, group] of bySource) {
      const moves = movable(from, producer);
      const covered = (x: Pad): number => group.filter((y) => covers(x, y, buffers, ranges)).length;
      const widest = group.reduce((x, y) => (covered(y) > covered(x) ? y : x));
      if (buffers.get(widest.to)!.scope !== "arena" || buffers.get(widest.to)!.inside || facts.mutable.has(widest.to))
        continue;
      const interior = { of: widest.to, offset: widest.before, step: widest.before.map(() => D.one) };
      dropped.add(widest.stage);
      if (moves) {
        buffers.set(from, { ...buffers.get(from)!, inside: interior });
        const at = producer.get(from)!;
        frames.set(at, [...(frames.get(at) ?? []), frame(widest, buffers)]);
      } else {
        // Copied without a test for each element.
        const { storage: _, ...like } = buffers.get(from)!;
        const part: Buffer = { ...like, id: ids.buffer(), scope: "arena", storage: null, inside: interior };
        buffers.set(part.id, part);
        frames.set(padAction.get(widest)!, [copyStage(widest, part), frame(widest, buffers)]);
      }
      for (const y of group) {
        if (
          y === widest ||
          (!moves && group.indexOf(y) < group.indexOf(widest)) ||
          !covers(widest, y, buffers, ranges) ||
          buffers.get(y.to)!.inside ||
          buffers.get(y.to)!.scope !== "arena"
        )
          continue;
        buffers.set(y.to, {
          ...buffers.get(y.to)!,
          inside: {
            of: widest.to,
            offset: widest.before.map((b, k) => D.sub(b, y.before[k]!)),
            step: widest.before.map(() => D.one),
          },
        });
        dropped.add(y.stage);
      }
    }
  };
  /** A buffer that a stage of this list makes and that has no place yet. */
  const movable = (id: BufferId, producer: ReadonlyMap<BufferId, TeAction>): boolean => {
    const b = must(buffers.get(id), `buffer ${id}`);
    const made = producer.get(id);
    return b.scope === "arena" && !b.inside && !b.storage && !facts.mutable.has(id) && made !== undefined;
  };
  walk(p.actions);
  if (dropped.size === 0) return p;
  const rebuild = (list: readonly TeAction[]): TeAction[] =>
    list.flatMap((a): TeAction[] => {
      const after = frames.get(a) ?? [];
      if (a.kind === "loop") return [{ ...a, body: rebuild(a.body) }, ...after];
      if (a.kind === "if") return [{ ...a, then: rebuild(a.then), otherwise: rebuild(a.otherwise) }, ...after];
      if (a.kind === "call" && a.call.kind === "group" && a.call.group.stages.some((s) => dropped.has(s))) return after;
      return [a, ...after];
    });
  return { ...p, buffers, actions: rebuild(p.actions) };
}

/** The pad's stage as a copy into the interior. */
function copyStage(p: Pad, interior: Buffer): TeAction {
  const axes = interior.shape.map((extent, k) => ({ ...p.stage.axes[k]!, extent }));
  const index = axes.map((a): TeExpr => (a.extent === D.one ? constant("i32", 0) : v(a.name)));
  const body: TeExpr = { kind: "load", dtype: interior.dtype, buffer: p.from, index };
  const stage: Stage = { ...p.stage, name: "Pad", axes, outs: [{ buffer: interior.id, body }] };
  return called(stage);
}

/** The buffer that a stage copies, element by element, into a part of another; or null. */
function copyIntoPart(s: Stage, buffers: ReadonlyMap<BufferId, Buffer>): BufferId | null {
  const o = s.outs[0]!;
  if (s.outs.length !== 1 || s.scan !== null || o.body.kind !== "load" || !buffers.get(o.buffer)!.inside) return null;
  const x = buffers.get(o.body.buffer)!;
  // All of x: a range of it would leave the rest outside of the part.
  const whole = x.shape.length === s.axes.length && x.shape.every((d, k) => d === s.axes[k]!.extent);
  if (!whole) return null;
  const identity = o.body.index.every(
    (i, k) => (i.kind === "var" && i.name === s.axes[k]!.name) || (i.kind === "const" && s.axes[k]!.extent === D.one),
  );
  return identity && x.dtype === buffers.get(o.buffer)!.dtype ? x.id : null;
}
/** What a pad stage pads: out[i] = x[i - before] where that is inside x, else a constant. */
export function padOf(s: Stage, buffers: ReadonlyMap<BufferId, Buffer>, outer: D.Ranges): Pad | null {
  const o = s.outs[0]!;
  if (!isPad(s) || o.body.kind !== "select" || o.body.a.kind !== "load" || o.body.b.kind !== "const") return null;
  const before: Dim[] = [];
  const load = o.body.a;
  for (let k = 0; k < load.index.length; k++) {
    const axis = s.axes[k];
    const d = toDim(load.index[k]!);
    if (!axis || d === null) return null;
    const b = D.sub(D.sym(axis.name), d);
    if (D.symbolsOf(b).has(axis.name as never)) {
      // An axis of extent 1 may stand as the constant 0.
      if (axis.extent !== D.one || d !== D.zero) return null;
      before.push(D.zero);
    } else before.push(b);
  }
  const x = buffers.get(load.buffer)!;
  if (before.length !== s.axes.length || before.some((b) => b.kind === "int" && b.value < 0)) return null;
  const out = buffers.get(o.buffer)!;
  const fits = x.shape.every((d, k) => {
    const after = D.sub(D.sub(out.shape[k]!, before[k]!), d);
    return D.nonNegative(after, () => null) && D.nonNegative(before[k]!, () => null);
  });
  // The condition must be nothing but the bounds: it holds wherever there is an element of x, so that every one appears. A triangle
  // or a mask does not.
  const inside = new Map<string, TeExpr>(
    s.axes.map((a, k) => [a.name, binary<TeExpr>("add", v(a.name), ofDim(before[k]!))]),
  );
  const interior = axisRanges(
    s.axes.map((a, k) => ({ name: a.name, extent: x.shape[k]! })),
    outer,
  );
  const cond = new Simplifier(interior).simplify(substituteVars<TeExpr>(o.body.cond, inside));
  const bounds = cond.kind === "const" && Number(cond.value) === 1;
  return fits && bounds ? { stage: s, from: x.id, to: o.buffer, before, fill: o.body.b } : null;
}
function covers(x: Pad, y: Pad, buffers: ReadonlyMap<BufferId, Buffer>, ranges: D.Ranges): boolean {
  const [X, Y] = [buffers.get(x.to)!, buffers.get(y.to)!];
  const src = buffers.get(x.from)!;
  return (
    Object.is(x.fill.value, y.fill.value) &&
    x.before.every((b, k) => {
      const after = (p: Pad, o: Buffer): Dim => D.sub(D.sub(o.shape[k]!, p.before[k]!), src.shape[k]!);
      return D.atMost(y.before[k]!, b, ranges) && D.atMost(after(y, Y), after(x, X), ranges);
    })
  );
}

/** A kernel that fills what lies around the interior: for each padded axis the slabs before and after it. */
function frame(p: Pad, buffers: ReadonlyMap<BufferId, Buffer>): TeAction {
  const out = buffers.get(p.to)!;
  const src = buffers.get(p.from)!;
  const rank = out.shape.length;
  const slabs: Stmt[] = [];
  let n = 0;
  for (let k = 0; k < rank; k++) {
    const end = D.add(p.before[k]!, src.shape[k]!);
    for (const [lo, count] of [
      [D.zero, p.before[k]!],
      [end, D.sub(out.shape[k]!, end)],
    ] as const) {
      if (count === D.zero) continue;
      // Axes before k cover the interior only, those after k everything: each element once.
      const ranges = out.shape.map((d, j) =>
        j < k ? { lo: p.before[j]!, count: src.shape[j]! } : j === k ? { lo, count } : { lo: D.zero, count: d },
      );
      const names = ranges.map(() => `f${n++}`);
      // Channels (the axes that are not padded) innermost: that is where they lie when it matters.
      const order = [...ranges.keys()]
        .sort((x, y) => Number(padded(p, buffers, y)) - Number(padded(p, buffers, x)) || x - y)
        .filter((j) => ranges[j]!.count !== D.one);
      const last = order[order.length - 1];
      const run = last === undefined ? D.zero : ranges[last]!.count;
      const vector = run.kind === "int" && run.value % 4 === 0 && run.value > 4;
      const index = ranges.map(
        (r, j): LoopExpr =>
          ofDim(
            D.add(
              r.lo,
              r.count === D.one ? D.zero : D.sym(names[j]!),
              vector && j === last ? D.sym(`${names[j]}i`) : D.zero,
            ),
          ) as LoopExpr,
      );
      let body: Stmt = { kind: "store", buffer: out.id, dtype: out.dtype, index, value: p.fill };
      if (vector)
        body = {
          kind: "for",
          v: `${names[last!]}i`,
          extent: { kind: "const", dtype: "i32", value: 4 },
          step: 1,
          loop: "vector",
          body,
        };
      for (const j of [...order].reverse())
        body = {
          kind: "for",
          v: names[j]!,
          extent: ofDim(ranges[j]!.count) as LoopExpr,
          step: vector && j === last ? 4 : 1,
          loop: "serial",
          body,
        };
      slabs.push(body);
    }
  }
  const kernel: Kernel = { name: "frame", params: [out], scalars: [], dims: [], mayOverlap: [], body: seq(slabs) };
  return { kind: "call", call: { kind: "kernel", kernel, args: [out.id], scalars: [], loc: p.stage.loc } };
}
function padded(p: Pad, buffers: ReadonlyMap<BufferId, Buffer>, k: number): boolean {
  return buffers.get(p.to)!.shape[k] !== buffers.get(p.from)!.shape[k];
}
