// Ops that order or select: TopK, NonZero, Compress, Unique, NonMaxSuppression.

import type { Dim } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { constant, type Expr, i32, load, ofDim } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import type { Stmt } from "../ir/loops.ts";
import { type OpDef, op, type TeBuilder } from "../ir/opdef.ts";
import type { Buffer } from "../ir/storage.ts";
import { tensorType } from "../ir/types.ts";
import {
  type IndexAttrs,
  indexType,
  keepText,
  mustBeZero,
  noAttrs,
  normalAxis,
  onnx,
  sameType,
  shapeText,
  tensor,
} from "./common.ts";
import { bindExtents, dimAt, intAt, scalarOf } from "./ints.ts";
import { callKernel, type KernelScope, seq, store, unravel, type Variable, when, whileLoop } from "./kernel.ts";

type TopKAttrs = { readonly axis: number; readonly k?: number; readonly largest: boolean } & IndexAttrs;
/** Equal elements come in the order of their indices; the result is sorted whether asked for or not. */
export const TopK: OpDef<TopKAttrs> = op<TopKAttrs>({
  name: "TopK",
  onnx: [onnx("TopK", 1, 10, 11, 24)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => {
    n.has("sorted");
    return { axis: n.int("axis", -1), largest: n.int("largest", 1) !== 0, ...(n.opset < 10 ? { k: n.int("k") } : {}) };
  },
  infer: (x, a, ctx) => {
    const t = tensor(x, 0, ctx);
    const axis = normalAxis(a.axis, t.shape.length, ctx);
    const k = a.k !== undefined ? D.int(a.k) : (dimAt(ctx.known(1), 0) ?? ctx.fresh("k", 0, null));
    const d = t.shape[axis]!;
    mustBeZero(D.max(D.sub(k, d), D.zero), `${k.key} elements of an axis of ${d.key}`, ctx);
    const shape = t.shape.map((e, j) => (j === axis ? k : e));
    return [tensorType(t.dtype, shape), tensorType(indexType(a), shape)];
  },
  body: {
    kind: "loops",
    loops: (b, n) => {
      const [x, values, indices] = [b.input(0), b.output(0), b.output(1)];
      const axis = n.attrs.axis < 0 ? n.attrs.axis + x.shape.length : n.attrs.axis;
      if (n.attrs.k === undefined)
        bindExtents(
          b,
          values.shape,
          values.shape.map((_, j) => (j === axis ? intAt(b, 1) : null)),
        );
      const more = D.sub(values.shape[axis]!, x.shape[axis]!);
      b.require(D.max(more, D.zero), `more elements than the axis of ${x.shape[axis]!.key} has`);
      topK(b, x, values, indices, axis, n.attrs.largest);
    },
  },
});
/** Each row's output is a heap with the worst of the best k at its root, sorted at the end: n log k steps and no other memory. */
function topK(b: TeBuilder, x: Buffer, values: Buffer, indices: Buffer, axis: number, largest: boolean): void {
  callKernel(b, "top_k", [x, values, indices], (k, [px, pv, pi]) => {
    const [src, val, idx] = [px!, pv!, pi!];
    const rest = src.shape.filter((_, j) => j !== axis);
    const size = k.dim(val.shape[axis]!);
    return k.nest(
      rest,
      (outer) => {
        const at = (e: Expr): Expr[] => [...outer.slice(0, axis), e, ...outer.slice(axis)];
        const V = (e: Expr): Expr => load(val, at(e));
        const I = (e: Expr): Expr => load(idx, at(e));
        /** Whether element (v, i) comes after (w, j) in the result. */
        const worse = (v: Expr, i: Expr, w: Expr, j: Expr): Expr =>
          E.or(largest ? E.lt(v, w) : E.lt(w, v), E.and(E.eq(v, w), E.lt(j, i)));
        const put = (e: Expr, v: Expr, i: Expr): Stmt => seq([store(val, at(e), v), store(idx, at(e), i)]);
        /** Lets (v, i) sink from `from` in the heap of `count` elements. */
        const sink = (from: Expr, count: Expr, v: Expr, i: Expr): Stmt =>
          k.variable(from, (hole) =>
            k.variable(constant("bool", 1), (going) =>
              seq([
                whileLoop(
                  going.get,
                  k.let(E.add(E.mul(hole.get, 2), 1), (left) =>
                    when(
                      E.lt(left, count),
                      k.let(
                        E.select<Expr>(
                          E.lt(E.add(left, 1), count),
                          E.where(worse(V(E.add(left, 1)), I(E.add(left, 1)), V(left), I(left)), E.add(left, 1), left),
                          left,
                        ),
                        (child) =>
                          when(
                            worse(V(child), I(child), v, i),
                            seq([put(hole.get, V(child), I(child)), hole.set(child)]),
                            going.set(constant("bool", 0)),
                          ),
                      ),
                      going.set(constant("bool", 0)),
                    ),
                  ),
                ),
                put(hole.get, v, i),
              ]),
            ),
          );
        const fill = k.loop(size, (i) => put(i, load(src, at(i)), E.to(idx.dtype, i)));
        const heapify = k.loop(E.floordiv(size, 2), (i) =>
          k.let(E.sub(E.sub(E.floordiv(size, 2), 1), i), (e) =>
            k.let(V(e), (v) => k.let(I(e), (j) => sink(e, size, v, j))),
          ),
        );
        const scan = when(
          E.lt(0, size),
          k.loop(E.sub(k.dim(src.shape[axis]!), size), (r) =>
            k.let(E.add(r, size), (e) =>
              k.let(load(src, at(e)), (v) =>
                when(worse(V(i32(0)), I(i32(0)), v, E.to(idx.dtype, e)), sink(i32(0), size, v, E.to(idx.dtype, e))),
              ),
            ),
          ),
        );
        // The root, the worst that is left, goes to the end; the element there sinks from the root.
        const sort = k.loop(E.sub(size, 1), (r) =>
          k.let(E.sub(E.sub(size, 1), r), (last) =>
            k.let(V(last), (v) =>
              k.let(I(last), (j) => seq([put(last, V(i32(0)), I(i32(0))), sink(i32(0), last, v, j)])),
            ),
          ),
        );
        return seq([fill, heapify, scan, sort]);
      },
      "parallel",
    );
  });
}

/** The positions where `mask` (1-d, bool) holds, ascending, as an i32 buffer of `count` elements, which is bound here. */
function positionsOf(b: TeBuilder, mask: Buffer, count: Dim): Buffer {
  const total = b.temp(`${mask.name}.count`, "i32", [D.one]);
  callKernel(b, "count", [mask, total], (k, [m, n]) =>
    k.variable(i32(0), (sum) =>
      seq([k.loop(m!.shape[0]!, (i) => when(load(m!, [i]), sum.set(E.add(sum.get, 1)))), store(n!, [i32(0)], sum.get)]),
    ),
  );
  if (count.kind === "sym") b.dim(count.id, { buffer: total, index: D.zero });
  const positions = b.temp(`${mask.name}.positions`, "i32", [count]);
  callKernel(b, "positions", [mask, positions], (k, [m, p]) =>
    k.variable(i32(0), (next) =>
      k.loop(m!.shape[0]!, (i) => when(load(m!, [i]), seq([store(p!, [next.get], i), next.set(E.add(next.get, 1))]))),
    ),
  );
  return positions;
}

export const NonZero: OpDef<IndexAttrs> = op<IndexAttrs>({
  name: "NonZero",
  onnx: [onnx("NonZero", 9, 13)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: noAttrs,
  infer: (x, a, ctx) => {
    const t = tensor(x, 0, ctx);
    return [tensorType(indexType(a), [D.int(t.shape.length), ctx.fresh("nonzero", 0, D.known(D.product(t.shape)))])];
  },
  body: {
    kind: "loops",
    loops: (b) => {
      const [x, out] = [b.input(0), b.output(0)];
      const mask = b.temp(`${x.name}.nonzero`, "bool", [D.product(x.shape)]);
      b.map(mask, ([i]) => E.to("bool", load(x, unravel(i!, x.shape))));
      const positions = positionsOf(b, mask, out.shape[1]!);
      b.map(out, ([axis, i]) => {
        const at = unravel(load(positions, [i!]), x.shape);
        return E.to(
          out.dtype,
          at.slice(1).reduce<Expr>((rest, e, k) => E.where(E.eq(axis!, k + 1), e, rest), at[0] ?? i32(0)),
        );
      });
    },
  },
});

/** Slices along an axis (or elements of the flattened input) where the condition holds; a short condition stops early. */
export const Compress: OpDef<{ axis?: number }> = op<{ axis?: number }>({
  name: "Compress",
  onnx: [onnx("Compress", 9, 11)],
  labels: keepText,
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => (n.has("axis") ? { axis: n.int("axis") } : {}),
  infer: (x, a, ctx) => {
    const t = tensor(x, 0, ctx);
    const count = ctx.fresh("compress", 0, null);
    if (a.axis === undefined) return [tensorType(t.dtype, [count])];
    const axis = normalAxis(a.axis, t.shape.length, ctx);
    return [
      tensorType(
        t.dtype,
        t.shape.map((d, k) => (k === axis ? count : d)),
      ),
    ];
  },
  body: {
    kind: "loops",
    loops: (b, n) => {
      const [x, cond, out] = [b.input(0), b.input(1), b.output(0)];
      if (n.attrs.axis === undefined) {
        const at = positionsOf(b, cond, out.shape[0]!);
        b.map(out, ([i]) => load(x, unravel(load(at, [i!]), x.shape)));
      } else {
        const axis = n.attrs.axis < 0 ? n.attrs.axis + x.shape.length : n.attrs.axis;
        const at = positionsOf(b, cond, out.shape[axis]!);
        b.map(out, (i) =>
          load(
            x,
            i.map((v, k) => (k === axis ? load(at, [v]) : v)),
          ),
        );
      }
    },
  },
});

/** Stable merge sort, bottom up, of the positions 0..n-1; `before` sets a variable when position a must come before b. */
function sortPositions(
  k: KernelScope,
  n: Expr,
  order: Buffer,
  spare: Buffer,
  before: (a: Expr, b: Expr, result: Variable) => Stmt,
): Stmt {
  const merge = (lo: Expr, mid: Expr, hi: Expr): Stmt =>
    k.variable(lo, (i) =>
      k.variable(mid, (j) =>
        k.variable(constant("bool", 0), (right) =>
          seq([
            k.loop(E.sub(hi, lo), (t) =>
              seq([
                // From the right run when the left is used up, or its next element comes strictly before the left's.
                right.set(E.le(mid, i.get)),
                when(
                  E.and(E.lt(i.get, mid), E.lt(j.get, hi)),
                  before(load(order, [j.get]), load(order, [i.get]), right),
                ),
                when(
                  right.get,
                  seq([store(spare, [E.add(lo, t)], load(order, [j.get])), j.set(E.add(j.get, 1))]),
                  seq([store(spare, [E.add(lo, t)], load(order, [i.get])), i.set(E.add(i.get, 1))]),
                ),
              ]),
            ),
            k.loop(E.sub(hi, lo), (t) => store(order, [E.add(lo, t)], load(spare, [E.add(lo, t)]))),
          ]),
        ),
      ),
    );
  return seq([
    k.loop(n, (i) => store(order, [i], i)),
    k.variable(i32(1), (width) =>
      whileLoop(
        E.lt(width.get, n),
        seq([
          k.variable(i32(0), (lo) =>
            whileLoop(
              E.lt(lo.get, n),
              seq([
                k.let(E.min(E.add(lo.get, width.get), n), (mid) =>
                  k.let(E.min(E.add(mid, width.get), n), (hi) => k.let(lo.get, (from) => merge(from, mid, hi))),
                ),
                lo.set(E.add(lo.get, E.mul(width.get, 2))),
              ]),
            ),
          ),
          width.set(E.mul(width.get, 2)),
        ]),
      ),
    ),
  ]);
}

type UniqueAttrs = { readonly axis?: number; readonly sorted: boolean } & IndexAttrs;
export const Unique: OpDef<UniqueAttrs> = op<UniqueAttrs>({
  name: "Unique",
  onnx: [onnx("Unique", 11)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => ({ sorted: n.int("sorted", 1) !== 0, ...(n.has("axis") ? { axis: n.int("axis") } : {}) }),
  infer: (x, a, ctx) => {
    const t = tensor(x, 0, ctx);
    const axis = a.axis === undefined ? null : normalAxis(a.axis, t.shape.length, ctx);
    const n = axis === null ? D.product(t.shape) : t.shape[axis]!;
    const count = ctx.fresh("unique", 0, D.known(n));
    const shape = axis === null ? [count] : t.shape.map((d, k) => (k === axis ? count : d));
    return [tensorType(t.dtype, shape), ...[count, n, count].map((d) => tensorType(indexType(a), [d]))];
  },
  body: {
    kind: "loops",
    loops: (b, n) => {
      const [x, out] = [b.input(0), b.output(0)];
      const axis = n.attrs.axis === undefined ? null : n.attrs.axis < 0 ? n.attrs.axis + x.shape.length : n.attrs.axis;
      const extent = axis === null ? D.product(x.shape) : x.shape[axis]!;
      const count = out.shape[axis ?? 0]!;
      const ints = (name: string, d: Dim): Buffer => b.temp(`${x.name}.${name}`, "i32", [d]);
      const [order, spare, slot, total] = [
        ints("order", extent),
        ints("spare", extent),
        ints("slot", extent),
        ints("count", D.one),
      ];
      const rest = axis === null ? [] : x.shape.filter((_, k) => k !== axis);
      callKernel(b, "unique", [x, order, spare, slot, total], (k, [px, po, ps, pl, pt]) => {
        const element = (i: Expr, r: readonly Expr[]): Expr =>
          load(px!, axis === null ? unravel(i, px!.shape) : [...r.slice(0, axis), i, ...r.slice(axis)]);
        const size = k.dim(extent);
        /** Sets result to whether slice p comes before slice q: the first elements that differ decide. */
        const before = (p: Expr, q: Expr, result: Variable): Stmt =>
          k.variable(constant("bool", 0), (decided) =>
            seq([
              result.set(constant("bool", 0)),
              k.nest(rest, (r) =>
                when(
                  E.and(E.not(decided.get), E.ne(element(p, r), element(q, r))),
                  seq([decided.set(constant("bool", 1)), result.set(E.lt(element(p, r), element(q, r)))]),
                ),
              ),
            ]),
          );
        const at = (i: Expr): Expr => load(po!, [i]);
        const inOrder = sortPositions(k, size, po!, ps!, before);
        // spare becomes, for each position, the first one that is equal: the first of its run, the sort being stable.
        const runs = k.variable(i32(0), (first) =>
          k.variable(i32(-1), (u) =>
            k.variable(constant("bool", 1), (differs) =>
              seq([
                k.loop(size, (i) =>
                  seq([
                    differs.set(E.eq(i, 0)),
                    when(E.lt(0, i), before(at(E.sub(i, 1)), at(i), differs)),
                    when(differs.get, seq([first.set(at(i)), u.set(E.add(u.get, 1))])),
                    store(ps!, [at(i)], first.get),
                    store(pl!, [at(i)], u.get),
                  ]),
                ),
                store(pt!, [i32(0)], E.add(u.get, 1)),
              ]),
            ),
          ),
        );
        // Unsorted: numbered by first occurrence; a later one takes the number of its first.
        const renumber = k.variable(i32(0), (u) =>
          k.loop(size, (i) =>
            when(
              E.eq(load(ps!, [i]), i),
              seq([store(pl!, [i], u.get), u.set(E.add(u.get, 1))]),
              store(pl!, [i], load(pl!, [load(ps!, [i])])),
            ),
          ),
        );
        return seq([inOrder, runs, ...(n.attrs.sorted ? [] : [renumber])]);
      });
      if (count.kind === "sym") b.dim(count.id, { buffer: total, index: D.zero });
      const firsts = ints("firsts", count);
      callKernel(b, "firsts", [slot, firsts], (k, [pl, pf]) =>
        k.let(k.dim(extent), (size) =>
          k.loop(size, (r) => k.let(E.sub(E.sub(size, 1), r), (i) => store(pf!, [load(pl!, [i])], i))),
        ),
      );
      b.map(out, (i) =>
        load(
          x,
          axis === null
            ? unravel(load(firsts, [i[0]!]), x.shape)
            : i.map((v, k) => (k === axis ? load(firsts, [v]) : v)),
        ),
      );
      if (b.wants(1)) b.map(b.output(1), ([i]) => E.to(b.output(1).dtype, load(firsts, [i!])));
      if (b.wants(2)) b.map(b.output(2), ([i]) => E.to(b.output(2).dtype, load(slot, [i!])));
      if (b.wants(3))
        callKernel(b, "counts", [slot, b.output(3)], (k, [pl, pc]) =>
          seq([
            k.loop(count, (u) => store(pc!, [u], constant(pc!.dtype, 0))),
            k.loop(extent, (i) => store(pc!, [load(pl!, [i])], E.add(load(pc!, [load(pl!, [i])]), 1))),
          ]),
        );
    },
  },
});

/** Greedy: per batch and class the best boxes by score, each dropping the boxes that overlap it too much. */
export const NonMaxSuppression: OpDef<{ center: boolean } & IndexAttrs> = op<{ center: boolean } & IndexAttrs>({
  name: "NonMaxSuppression",
  onnx: [onnx("NonMaxSuppression", 10, 11)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => ({ center: n.int("center_point_box", 0) !== 0 }),
  infer: (x, a, ctx) => {
    const [boxes, scores] = [tensor(x, 0, ctx), tensor(x, 1, ctx)];
    sameType(boxes, scores, ctx);
    if (boxes.shape.length !== 3 || scores.shape.length !== 3)
      ctx.fail(`boxes ${shapeText(boxes.shape)} and scores ${shapeText(scores.shape)}`);
    return [tensorType(indexType(a), [ctx.fresh("selected", 0, null), D.int(3)])];
  },
  body: {
    kind: "loops",
    loops: (b, n) => {
      const [boxes, scores, out] = [b.input(0), b.input(1), b.output(0)];
      const [batches, classes, size] = scores.shape as [Dim, Dim, Dim];
      const most = b.has(2) ? D.max(D.zero, dimAt(b.known(2), 0) ?? size) : D.zero;
      const limit = b.temp("limit", "i32", [D.one]);
      b.map(limit, () => (b.has(2) ? E.max(E.min(intAt(b, 2), ofDim(size)), 0) : i32(0)));
      const thresholds = b.temp("thresholds", boxes.dtype, [D.int(2)]);
      b.map(thresholds, ([i]) =>
        E.where(
          E.eq(i!, 0),
          b.has(3) ? scalarOf(b.input(3)) : constant(boxes.dtype, 0),
          b.has(4) ? scalarOf(b.input(4)) : E.lowest(boxes.dtype),
        ),
      );
      const found = b.temp("selected", "i32", [D.mul(batches, classes, D.min(most, size)), D.int(3)]);
      const [state, total] = [b.temp("dropped", "bool", [size]), b.temp("selected.count", "i32", [D.one])];
      callKernel(b, "nms", [boxes, scores, limit, thresholds, state, found, total], (k, [pb, ps, pl, pt, pd, pf, pn]) =>
        k.variable(i32(0), (count) =>
          seq([
            k.nest([batches, classes], ([batch, cls]) =>
              seq([
                k.loop(size, (i) => store(pd!, [i], E.le(load(ps!, [batch!, cls!, i]), load(pt!, [i32(1)])))),
                k.variable(i32(0), (left) =>
                  seq([
                    left.set(load(pl!, [i32(0)])),
                    whileLoop(
                      E.lt(0, left.get),
                      k.variable(i32(-1), (best) =>
                        seq([
                          k.loop(size, (i) =>
                            when(
                              E.not(load(pd!, [i])),
                              when(
                                E.select<Expr>(
                                  E.lt(best.get, 0),
                                  constant("bool", 1),
                                  E.lt(load(ps!, [batch!, cls!, E.max(best.get, 0)]), load(ps!, [batch!, cls!, i])),
                                ),
                                best.set(i),
                              ),
                            ),
                          ),
                          left.set(E.sub(left.get, 1)),
                          when(
                            E.lt(best.get, 0),
                            left.set(i32(0)),
                            seq([
                              store(pf!, [count.get, i32(0)], batch!),
                              store(pf!, [count.get, i32(1)], cls!),
                              store(pf!, [count.get, i32(2)], best.get),
                              count.set(E.add(count.get, 1)),
                              store(pd!, [best.get], constant("bool", 1)),
                              k.loop(size, (i) =>
                                when(
                                  E.not(load(pd!, [i])),
                                  overlap(k, pb!, batch!, best.get, i, n.attrs.center, (iou) =>
                                    when(E.lt(load(pt!, [i32(0)]), iou), store(pd!, [i], constant("bool", 1))),
                                  ),
                                ),
                              ),
                            ]),
                          ),
                        ]),
                      ),
                    ),
                  ]),
                ),
              ]),
            ),
            store(pn!, [i32(0)], count.get),
          ]),
        ),
      );
      const selected = out.shape[0]!;
      if (selected.kind === "sym") b.dim(selected.id, { buffer: total, index: D.zero });
      b.map(out, (i) => E.to(out.dtype, load(found, i)));
    },
  },
});
/** Intersection over union of boxes p and q: corners in any order, or center, width and height. */
function overlap(
  k: KernelScope,
  boxes: Buffer,
  batch: Expr,
  p: Expr,
  q: Expr,
  center: boolean,
  then: (iou: Expr) => Stmt,
): Stmt {
  const at = (box: Expr, c: number): Expr => load(boxes, [batch, box, i32(c)]);
  /** Sides of a box on an axis: 0 is y and 1 is x for corners; centered boxes store x first. */
  const side = (box: Expr, axis: number, high: boolean): Expr => {
    if (center) return (high ? E.add : E.sub)(at(box, axis), E.div(at(box, axis + 2), 2));
    return (high ? E.max : E.min)(at(box, axis), at(box, axis + 2));
  };
  const area = (box: Expr): Expr =>
    E.mul(E.sub(side(box, 0, true), side(box, 0, false)), E.sub(side(box, 1, true), side(box, 1, false)));
  const shared = (axis: number): Expr =>
    E.max(E.sub(E.min(side(p, axis, true), side(q, axis, true)), E.max(side(p, axis, false), side(q, axis, false))), 0);
  return k.let(E.mul(shared(0), shared(1)), (both) =>
    k.let(E.sub(E.add(area(p), area(q)), both), (union) =>
      then(E.where(E.le(union, 0), E.mul(union, 0), E.div(both, union))),
    ),
  );
}

export const sortOps: readonly OpDef<Attrs>[] = [
  TopK,
  NonZero,
  Compress,
  Unique,
  NonMaxSuppression,
] as unknown as readonly OpDef<Attrs>[];
