// Decides how every buffer lies in memory: the order of its axes, what lives inside what (concat parts, padded borders, views), and
// which constants are packed. One pass, by what the stages want; a copy where wishes conflict.
import { assert, must } from "../../src/base/assert.ts";
import type { BufferId } from "../../src/base/brand.ts";
import type { Dim, Ranges } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import { toDim } from "../../src/ir/expr.ts";
import { visitActions } from "../../src/ir/rewrite.ts";
import { axisRanges } from "../../src/ir/simplify.ts";
import { type Buffer, dense, linear, type Storage } from "../../src/ir/storage.ts";
import { rangesOf } from "../../src/ir/symbolic.ts";
import type { TargetInfo } from "../../src/ir/target.ts";
import type { Stage, TeProgram } from "../../src/ir/te.ts";
import { affine } from "./access.ts";
import { factsOf, mapStages } from "./inline.ts";
import { placeInside } from "./inside.ts";
import { layoutOrders } from "./layout.ts";
import { packOperands } from "./pack.ts";
import { stageOf } from "./stages.ts";

export function chooseStorage(p: TeProgram, target: TargetInfo): TeProgram {
  const placed = placeInside(p);
  const { program, orders } = layoutOrders(placed, target);
  const viewed = makeViews(program, orders);
  return resolveStorage(packOperands(viewed.program, viewed.orders, target), viewed.orders);
}

/** Gives each buffer a storage: dense in `order` (row-major by default), parts as ranges of what they lie inside. */
export function resolveStorage(p: TeProgram, order: ReadonlyMap<BufferId, readonly number[]> = new Map()): TeProgram {
  const done = new Map<BufferId, Buffer>();
  const resolve = (id: BufferId): Buffer => {
    const old = done.get(id);
    if (old) return old;
    const b = must(p.buffers.get(id), `buffer ${id}`);
    const storage = b.storage ?? (b.inside ? insideOf(resolve(b.inside.of), b.inside) : dense(b.shape, order.get(id)));
    const { inside: _inside, ...rest } = b;
    const now: Buffer = { ...rest, storage };
    done.set(id, now);
    return now;
  };
  for (const id of p.buffers.keys()) resolve(id);
  return { ...p, buffers: new Map([...p.buffers.keys()].map((id) => [id, done.get(id)!])) };
}
function insideOf(of: Buffer, at: NonNullable<Buffer["inside"]>): Storage {
  const s = must(of.storage, "the storage of the whole");
  // Offsets are relative to the whole; its own place in a further root is the next hop's.
  const origin = linear({ ...s, offset: D.zero }, at.offset);
  // A part has blocks where it has all of the blocked axis.
  const whole = s.blocks.every((b) => at.offset[b.axis] === D.zero && at.step[b.axis] === D.one);
  assert(whole, `a part of blocks of "${of.name}"`);
  return {
    root: of.id,
    offset: origin,
    strides: s.strides.map((x, k) => D.mul(x, at.step[k]!)),
    blocks: s.blocks,
    size: D.zero,
  };
}

/**
 * Copies that need not be made: an output that is the input's elements at other indices is a view when its elements lie at regular
 * distances in the input's memory (reshapes, transposes, slices). A view of a buffer whose order is free may choose that order.
 */
function makeViews(
  p: TeProgram,
  orders: ReadonlyMap<BufferId, readonly number[]>,
): { program: TeProgram; orders: ReadonlyMap<BufferId, readonly number[]> } {
  const facts = factsOf(p);
  const outer = rangesOf(p.symbols);
  const buffers = new Map(p.buffers);
  const now = new Map(orders);
  const dropped = new Set<Stage>();
  const outputs = new Set(p.outputs.map((o) => o.buffer));
  const hasPart = new Set([...buffers.values()].flatMap((b) => (b.inside ? [b.inside.of] : [])));
  const storageNow = (id: BufferId): Storage | null => {
    const b = must(buffers.get(id), `buffer ${id}`);
    if (b.storage) return b.storage.root === null ? b.storage : { ...b.storage, root: null, offset: D.zero };
    if (b.inside) {
      const of = storageNow(b.inside.of);
      return (
        of && {
          root: null,
          offset: D.zero,
          strides: of.strides.map((x, k) => D.mul(x, b.inside!.step[k]!)),
          blocks: [],
          size: D.zero,
        }
      );
    }
    return dense(b.shape, now.get(id));
  };
  visitActions(p.actions, (a) => {
    const s = stageOf(a);
    if (!s) return;
    const o = s.outs[0]!;
    if (s.outs.length !== 1 || s.scan !== null || o.body.kind !== "load") return;
    const [out, x] = [must(buffers.get(o.buffer), "out"), must(buffers.get(o.body.buffer), "in")];
    if (facts.mutable.has(out.id) || facts.mutable.has(x.id) || out.inside || out.storage || facts.hasParts.has(out.id))
      return;
    const index = o.body.index.map((i) => toDim(i));
    if (!index.every((d) => d !== null)) return;
    const at = (storage: Storage): Storage | null => viewOf(index as Dim[], storage, s, outer);
    if (out.scope === "arena" && !outputs.has(out.id)) {
      const own = storageNow(x.id);
      let view = own && at(own);
      const free = x.scope === "arena" && !x.inside && !x.storage && !hasPart.has(x.id) && !now.has(x.id);
      if (!view && free) {
        const order = orderFor(index as Dim[], s);
        view = order && at(dense(x.shape, order));
        if (view) now.set(x.id, order!);
      }
      if (!view) return;
      buffers.set(out.id, { ...out, storage: { ...view, root: x.id } });
      now.delete(out.id);
      dropped.add(s);
      // From here on the input's order is settled.
      if (free && !now.has(x.id))
        now.set(
          x.id,
          x.shape.map((_, k) => k),
        );
      return;
    }
    // The other way round: an input that nobody else placed yet may be made inside the output.
    if (out.scope !== "io" || x.scope !== "arena" || x.inside || x.storage || hasPart.has(x.id) || now.has(x.id))
      return;
    const whole = at(dense(x.shape));
    const target = dense(out.shape);
    if (
      !whole ||
      whole.offset !== D.zero ||
      !out.shape.every((d, k) => d === D.one || whole.strides[k] === target.strides[k]) ||
      D.product(x.shape) !== D.product(out.shape)
    )
      return;
    buffers.set(x.id, { ...x, storage: { ...dense(x.shape), root: out.id } });
    dropped.add(s);
  });
  if (dropped.size === 0) return { program: p, orders: now };
  const actions = mapStages(p.actions, (s) => (dropped.has(s) ? null : s));
  return { program: { ...p, buffers, actions }, orders: now };
}
function viewOf(index: readonly Dim[], storage: Storage, s: Stage, outer: Ranges): Storage | null {
  const d = D.simplify(linear(storage, index), axisRanges(s.axes, outer));
  const f = affine(d, s.axes);
  if (f.irregular.size > 0) return null;
  return {
    root: null,
    offset: f.offset,
    strides: s.axes.map((a) => f.strides.get(a.name) ?? D.zero),
    blocks: [],
    size: D.zero,
  };
}
/** The order of an input's axes in which a reshape of it would be a view: by the output axis and place value that each index has. */
function orderFor(index: readonly Dim[], s: Stage): readonly number[] | null {
  const keys = index.map((d, k) => {
    const axes = s.axes.flatMap((a, n) => (D.symbolsOf(d).has(a.name as never) ? [n] : []));
    if (axes.length > 1) return null;
    let place: number = 0;
    let x = d;
    while (x.kind === "mod") x = x.a;
    if (x.kind === "floordiv") place = D.known(x.by) ?? 1;
    return { k, axis: axes[0] ?? -1, place };
  });
  if (!keys.every((x) => x !== null)) return null;
  return (keys as { k: number; axis: number; place: number }[])
    .sort((a, b) => a.axis - b.axis || b.place - a.place || a.k - b.k)
    .map((x) => x.k);
}
