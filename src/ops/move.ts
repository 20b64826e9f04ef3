// Movement: which input element stands at each output position.

import type { Dim } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { type Expr, load } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import { type OpDef, op } from "../ir/opdef.ts";
import { tensorType } from "../ir/types.ts";
import {
  broadcastShapes,
  type IndexAttrs,
  indexType,
  keepText,
  likeInput,
  loadBroadcast,
  mustBeZero,
  noAttrs,
  normalAxis,
  onnx,
  sameExtent,
  sameType,
  shapeText,
  tensor,
  unlikeBroadcast,
} from "./common.ts";
import { bindExtents, ceilDiv, countKnown, dimAt, intAt, toIndex } from "./ints.ts";

export const Transpose: OpDef<{ perm?: readonly number[] }> = op({
  name: "Transpose",
  onnx: [onnx("Transpose", 1, 13, 21, 23, 24, 25)],
  labels: keepText,
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => {
    const perm = n.ints("perm");
    return perm ? { perm } : {};
  },
  infer: (x, a, ctx) => {
    const t = tensor(x, 0, ctx);
    const perm = a.perm ?? t.shape.map((_, k) => t.shape.length - 1 - k);
    if (
      perm.length !== t.shape.length ||
      new Set(perm).size !== perm.length ||
      perm.some((p) => p < 0 || p >= perm.length)
    )
      ctx.fail(`perm [${perm.join(", ")}] is no permutation of rank ${t.shape.length}`);
    return [
      tensorType(
        t.dtype,
        perm.map((p) => t.shape[p]!),
      ),
    ];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const x = b.input(0);
      const perm = n.attrs.perm ?? x.shape.map((_, k) => x.shape.length - 1 - k);
      b.map(b.output(0), (i) =>
        load(
          x,
          x.shape.map((_, k) => i[perm.indexOf(k)]!),
        ),
      );
    },
  },
});

export const Concat: OpDef<{ axis: number }> = op({
  name: "Concat",
  onnx: [onnx("Concat", 1, 4, 11, 13)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => ({ axis: n.int("axis", 1) }),
  infer: (x, a, ctx) => {
    const ts = x.map((_, k) => tensor(x, k, ctx));
    const first = tensor(x, 0, ctx);
    const axis = normalAxis(a.axis, first.shape.length, ctx);
    for (const t of ts) {
      sameType(first, t, ctx);
      const why = `shapes ${ts.map((s) => shapeText(s.shape)).join(", ")} do not concatenate along axis ${axis}`;
      if (t.shape.length !== first.shape.length) ctx.fail(why);
      t.shape.forEach((d, k) => {
        if (k !== axis) sameExtent(d, first.shape[k]!, why, ctx);
      });
    }
    return [
      tensorType(
        first.dtype,
        first.shape.map((_, k) =>
          k === axis
            ? D.add(...ts.map((t) => t.shape[k]!))
            : (ts.map((t) => t.shape[k]!).find((e) => e.kind === "int") ?? first.shape[k]!),
        ),
      ),
    ];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const out = b.output(0);
      const axis = n.attrs.axis < 0 ? n.attrs.axis + out.shape.length : n.attrs.axis;
      let at: Dim = D.zero;
      n.inputs.forEach((_, k) => {
        const x = b.input(k);
        const part = b.part(
          out,
          `${out.name}.part${k}`,
          x.shape.map((__, j) => (j === axis ? at : D.zero)),
          x.shape,
        );
        b.map(part, (i) => load(x, i));
        at = D.add(at, x.shape[axis]!);
      });
    },
  },
});

export const Shape: OpDef<{ start: number; end: number } & IndexAttrs> = op<
  { start: number; end: number } & IndexAttrs
>({
  name: "Shape",
  onnx: [onnx("Shape", 1, 13, 15, 19, 21, 23, 24, 25)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => ({ start: n.int("start", 0), end: n.int("end", Number.MAX_SAFE_INTEGER) }),
  infer: (x, a, ctx) => {
    const dims = shapeRange(tensor(x, 0, ctx).shape, a);
    ctx.give(0, { dims: [dims.length], elements: dims });
    return [tensorType(indexType(a), [D.int(dims.length)])];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const t = b.types.inputs[0];
      const dims = t?.kind === "tensor" ? shapeRange(t.tensor.shape, n.attrs) : [];
      b.map(b.output(0), ([i]) =>
        E.to(
          b.output(0).dtype,
          dims.reduceRight<E.Expr>((rest, d, k) => E.where(E.eq(i!, k), E.ofDim(d), rest), E.i32(0)),
        ),
      );
    },
  },
});
function shapeRange(shape: readonly Dim[], a: { start: number; end: number }): readonly Dim[] {
  const clampAxis = (k: number): number => Math.min(Math.max(k < 0 ? k + shape.length : k, 0), shape.length);
  return shape.slice(clampAxis(a.start), clampAxis(a.end));
}
export const Size: OpDef<IndexAttrs> = op<IndexAttrs>({
  name: "Size",
  onnx: [onnx("Size", 1, 13, 19, 21, 23, 24, 25)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: () => ({}),
  infer: (x, a, ctx) => {
    ctx.give(0, { dims: [], elements: [D.product(tensor(x, 0, ctx).shape)] });
    return [tensorType(indexType(a), [])];
  },
  body: {
    kind: "compute",
    compute: (b) => {
      const t = b.types.inputs[0];
      const count = t?.kind === "tensor" ? D.product(t.tensor.shape) : D.zero;
      b.map(b.output(0), () => E.to(b.output(0).dtype, E.ofDim(count)));
    },
  },
});

/** A split's sizes: an attribute before opset 13, then an input; without them parts are equal, and the last may be smaller since 18. */
type SplitAttrs = { readonly axis: number; readonly split?: readonly number[]; readonly ceil: boolean };
export const Split: OpDef<SplitAttrs> = op<SplitAttrs>({
  name: "Split",
  onnx: [onnx("Split", 1, 2, 11, 13, 18)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => {
    const split = n.opset < 13 ? n.ints("split") : undefined;
    const parts = n.opset >= 18 && n.has("num_outputs") ? n.int("num_outputs") : n.outputCount;
    if (parts !== n.outputCount) n.fail(`num_outputs is ${parts}, but there are ${n.outputCount} outputs`);
    return { axis: n.int("axis", 0), ceil: n.opset >= 18, ...(split ? { split } : {}) };
  },
  infer: (x, a, ctx) => {
    const t = tensor(x, 0, ctx);
    const axis = normalAxis(a.axis, t.shape.length, ctx);
    const d = t.shape[axis]!;
    const count = ctx.outputCount;
    const given = a.split ? a.split.length : x[1] ? countKnown(tensor(x, 1, ctx), ctx, "parts") : count;
    if (given !== count) ctx.fail(`${given} sizes for ${count} outputs`);
    const equal = a.ceil ? ceilDiv(d, count) : D.floordiv(d, D.int(count));
    if (!a.split && !x[1] && !a.ceil)
      mustBeZero(
        D.mod(d, D.int(count)),
        `axis ${axis} of extent ${d.key} does not divide into ${count} equal parts`,
        ctx,
      );
    const sizes = Array.from({ length: count }, (_, k): Dim => {
      if (a.split) return D.int(a.split[k]!);
      if (x[1]) return dimAt(ctx.known(1), k) ?? ctx.fresh("split", 0, null);
      return a.ceil ? D.simplify(D.max(D.zero, D.min(equal, D.sub(d, D.mul(equal, D.int(k))))), ctx.ranges) : equal;
    });
    const total = D.add(...sizes);
    if (a.split || x[1]) sameExtent(total, d, `parts of ${total.key} elements in all for an axis of ${d.key}`, ctx);
    return sizes.map((s) =>
      tensorType(
        t.dtype,
        t.shape.map((e, k) => (k === axis ? s : e)),
      ),
    );
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const x = b.input(0);
      const axis = n.attrs.axis < 0 ? n.attrs.axis + x.shape.length : n.attrs.axis;
      let at: Dim = D.zero;
      n.outputs.forEach((_, k) => {
        const t = b.types.outputs[k];
        const size = t?.kind === "tensor" ? t.tensor.shape[axis]! : D.zero;
        const offset = at;
        at = D.add(at, size);
        if (b.has(1) && !dimAt(b.known(1), k)) bindExtents(b, [size], [intAt(b, 1, k)]);
        if (b.wants(k))
          b.map(b.output(k), (i) =>
            load(
              x,
              i.map((v, j) => (j === axis && offset !== D.zero ? E.add(v, E.ofDim(offset)) : v)),
            ),
          );
      });
    },
  },
});

export const Expand: OpDef<Record<string, never>> = op({
  name: "Expand",
  onnx: [onnx("Expand", 8, 13)],
  labels: keepText,
  accuracy: { kind: "exact" },
  effects: "none",
  parse: noAttrs,
  infer: (x, _a, ctx) => {
    const t = tensor(x, 0, ctx);
    const target = Array.from({ length: countKnown(tensor(x, 1, ctx), ctx, "target dims") }, (_, k) =>
      dimAt(ctx.known(1), k),
    );
    const rank = Math.max(t.shape.length, target.length);
    return [
      tensorType(
        t.dtype,
        Array.from({ length: rank }, (_, k) => {
          const want = k < rank - target.length ? D.one : target[k - (rank - target.length)]!;
          const own = k < rank - t.shape.length ? D.one : t.shape[k - (rank - t.shape.length)]!;
          if (want === null) return own.kind === "int" && own !== D.one ? own : ctx.fresh("expand", 0, null);
          return broadcastShapes([[own], [want]], ctx)[0]!;
        }),
      ),
    ];
  },
  body: {
    kind: "compute",
    compute: (b) => {
      const [x, out] = [b.input(0), b.output(0)];
      const known = b.known(1);
      const count = b.types.inputs[1]?.kind === "tensor" ? D.known(b.types.inputs[1].tensor.shape[0] ?? D.one)! : 0;
      bindExtents(
        b,
        out.shape,
        out.shape.map((_, k) => {
          const at = k - (out.shape.length - count);
          if (at < 0 || dimAt(known, at)) return null;
          const own = x.shape[k - (out.shape.length - x.shape.length)] ?? D.one;
          const want = intAt(b, 1, at);
          return own === D.one ? want : E.where(E.eq(want, 1), E.ofDim(own), want);
        }),
      );
      x.shape.forEach((d, k) => {
        const to = out.shape[k + out.shape.length - x.shape.length]!;
        if (D.symbolsOf(to).size > 0)
          b.require(
            unlikeBroadcast(d, to),
            `shape ${shapeText(x.shape)} does not broadcast to ${shapeText(out.shape)}`,
          );
      });
      b.map(out, (i) => loadBroadcast(x, i, out.shape));
    },
  },
});

export const Tile: OpDef<Record<string, never>> = op({
  name: "Tile",
  onnx: [onnx("Tile", 6, 13)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: noAttrs,
  infer: (x, _a, ctx) => {
    const t = tensor(x, 0, ctx);
    const repeats = t.shape.map((_, k) => dimAt(ctx.known(1), k));
    return [
      tensorType(
        t.dtype,
        t.shape.map((d, k) => (repeats[k] ? D.mul(d, repeats[k]!) : ctx.fresh("tile", 0, null))),
      ),
    ];
  },
  body: {
    kind: "compute",
    compute: (b) => {
      const [x, out] = [b.input(0), b.output(0)];
      const known = b.known(1);
      bindExtents(
        b,
        out.shape,
        x.shape.map((d, k) => (dimAt(known, k) ? null : E.mul(E.ofDim(d), intAt(b, 1, k)))),
      );
      b.map(out, (i) =>
        load(
          x,
          i.map((v, k) =>
            x.shape[k] === D.one ? E.i32(0) : x.shape[k] === out.shape[k] ? v : E.floormod(v, E.ofDim(x.shape[k]!)),
          ),
        ),
      );
    },
  },
});

/** DCR: depth, column, row: the block's position is outermost in the channels; CRD: innermost. */
export const DepthToSpace: OpDef<{ size: number; mode: string }> = op({
  name: "DepthToSpace",
  onnx: [onnx("DepthToSpace", 1, 11, 13)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => ({ size: n.int("blocksize"), mode: n.string("mode", "DCR") }),
  infer: (x, a, ctx) => {
    const t = tensor(x, 0, ctx);
    if (t.shape.length !== 4) ctx.fail(`DepthToSpace of ${shapeText(t.shape)}`);
    const [n, c, h, w] = t.shape as [Dim, Dim, Dim, Dim];
    const s = D.int(a.size);
    return [tensorType(t.dtype, [n, D.floordiv(c, D.mul(s, s)), D.mul(h, s), D.mul(w, s)])];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const [x, out] = [b.input(0), b.output(0)];
      const s = n.attrs.size;
      b.map(out, ([m, c, y, w]) => {
        const block = E.add(E.mul(E.floormod(y!, s), s), E.floormod(w!, s));
        const channel =
          n.attrs.mode === "CRD" ? E.add(E.mul(c!, s * s), block) : E.add(E.mul(block, E.ofDim(out.shape[1]!)), c!);
        return load(x, [m!, channel, E.floordiv(y!, s), E.floordiv(w!, s)]);
      });
    },
  },
});
export const SpaceToDepth: OpDef<{ size: number; mode: string }> = op({
  name: "SpaceToDepth",
  onnx: [onnx("SpaceToDepth", 1, 13, 28)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => ({ size: n.int("blocksize"), mode: n.string("mode", "DCR") }),
  infer: (x, a, ctx) => {
    const t = tensor(x, 0, ctx);
    if (t.shape.length !== 4) ctx.fail(`SpaceToDepth of ${shapeText(t.shape)}`);
    const [n, c, h, w] = t.shape as [Dim, Dim, Dim, Dim];
    const s = D.int(a.size);
    return [tensorType(t.dtype, [n, D.mul(c, s, s), D.floordiv(h, s), D.floordiv(w, s)])];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const [x, out] = [b.input(0), b.output(0)];
      const s = n.attrs.size;
      const c = E.ofDim(x.shape[1]!);
      b.map(out, ([m, k, y, w]) => {
        const [block, channel] =
          n.attrs.mode === "CRD"
            ? [E.floormod(k!, s * s), E.floordiv(k!, s * s)]
            : [E.floordiv(k!, c), E.floormod(k!, c)];
        return load(x, [
          m!,
          channel,
          E.add(E.mul(y!, s), E.floordiv(block, s)),
          E.add(E.mul(w!, s), E.floormod(block, s)),
        ]);
      });
    },
  },
});

/** Keeps one triangle of the last two axes; the rest is 0. */
export const Trilu: OpDef<{ upper: boolean }> = op({
  name: "Trilu",
  onnx: [onnx("Trilu", 14), { domain: "com.microsoft", type: "Trilu", since: [1] }],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => ({ upper: n.int("upper", 1) !== 0 }),
  infer: (x, _a, ctx) => {
    const t = tensor(x, 0, ctx);
    if (t.shape.length < 2) ctx.fail(`Trilu of ${shapeText(t.shape)}`);
    return [tensorType(t.dtype, t.shape)];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const x = b.input(0);
      const k = b.has(1) ? intAt(b, 1) : E.i32(0);
      b.map(b.output(0), (i) => {
        const offset = E.sub(i[i.length - 1]!, i[i.length - 2]!);
        return E.where(n.attrs.upper ? E.le(k, offset) : E.le(offset, k), load(x, i), E.constant(x.dtype, 0));
      });
    },
  },
});

/** The first lens[b] elements of each sequence in reverse, the rest as they are. */
export const ReverseSequence: OpDef<{ time: number; batch: number }> = op({
  name: "ReverseSequence",
  onnx: [onnx("ReverseSequence", 10)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => ({ time: n.int("time_axis", 0), batch: n.int("batch_axis", 1) }),
  infer: (x, _a, ctx) => likeInput(x, ctx),
  body: {
    kind: "compute",
    compute: (b, n) => {
      const [x, lens] = [b.input(0), b.input(1)];
      const { time, batch } = n.attrs;
      b.map(b.output(0), (i) => {
        const t = i[time]!;
        const len = toIndex(load(lens, [i[batch]!]));
        return load(
          x,
          i.map((v, k) => (k === time ? E.where(E.lt(t, len), E.sub(E.sub(len, 1), t), t) : v)),
        );
      });
    },
  },
});

export const CenterCropPad: OpDef<{ axes?: readonly number[] }> = op<{ axes?: readonly number[] }>({
  name: "CenterCropPad",
  onnx: [onnx("CenterCropPad", 18)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => {
    const axes = n.ints("axes");
    return axes ? { axes } : {};
  },
  infer: (x, a, ctx) => {
    const t = tensor(x, 0, ctx);
    const axes = a.axes?.map((k) => normalAxis(k, t.shape.length, ctx));
    return [
      tensorType(
        t.dtype,
        t.shape.map((d, k) => {
          const at = axes ? axes.indexOf(k) : k;
          return at < 0 ? d : (dimAt(ctx.known(1), at) ?? ctx.fresh("crop", 0, null));
        }),
      ),
    ];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const [x, out] = [b.input(0), b.output(0)];
      const axes = n.attrs.axes?.map((k) => (k < 0 ? k + x.shape.length : k)) ?? x.shape.map((_, k) => k);
      bindExtents(
        b,
        out.shape,
        x.shape.map((_, k) => (axes.includes(k) ? intAt(b, 1, axes.indexOf(k)) : null)),
      );
      // Cropping drops floor((d - s)/2) elements before, padding adds floor((s - d)/2).
      b.map(out, (i) => {
        const tests: Expr[] = [];
        const at = i.map((v, k) => {
          const [d, s] = [x.shape[k]!, out.shape[k]!];
          if (!axes.includes(k) || d === s) return v;
          const p = E.add(
            v,
            E.ofDim(
              D.sub(D.max(D.zero, D.floordiv(D.sub(d, s), D.int(2))), D.max(D.zero, D.floordiv(D.sub(s, d), D.int(2)))),
            ),
          );
          tests.push(E.and(E.le(0, p), E.lt(p, E.ofDim(d))));
          return p;
        });
        return tests.length === 0
          ? load(x, at)
          : E.where(
              tests.reduce((p, q) => E.and(p, q)),
              load(x, at),
              E.constant(x.dtype, 0),
            );
      });
    },
  },
});

export const moveOps: readonly OpDef<Attrs>[] = [
  Transpose,
  Concat,
  Shape,
  Size,
  Split,
  Expand,
  Tile,
  DepthToSpace,
  SpaceToDepth,
  Trilu,
  ReverseSequence,
  CenterCropPad,
] as unknown as readonly OpDef<Attrs>[];
