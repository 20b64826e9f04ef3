// Gathers, scatters and one-hot: positions that are values.

import type { Dim } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { constant, type Expr, i32, load, ofDim } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import type { Stmt } from "../ir/loops.ts";
import { type OpDef, op, type PartialTensor, type TeBuilder } from "../ir/opdef.ts";
import type { Buffer } from "../ir/storage.ts";
import { tensorType } from "../ir/types.ts";
import { keepText, likeInput, noAttrs, normalAxis, onnx, sameExtent, sameType, shapeText, tensor } from "./common.ts";
import { bindExtents, dimAt, intAt, toIndex } from "./ints.ts";
import { callKernel, seq, store, unravel, when } from "./kernel.ts";

/** An index into an axis of extent d: negative ones count from the end. */
export function fromEnd(ix: Expr, d: Dim): Expr {
  return E.where(E.lt(ix, 0), E.add(ix, ofDim(d)), ix);
}
/** The same for a load: an index that is out of range, an error of the model, still reads inside the tensor. */
export function safeIndex(ix: Expr, d: Dim): Expr {
  return E.max(E.min(fromEnd(ix, d), ofDim(D.sub(d, D.one))), 0);
}
function inRange(ix: Expr, d: Dim): Expr {
  return E.and(E.le(0, ix), E.lt(ix, ofDim(d)));
}
/** Whether all elements are known to be indices that count from the start. */
function plainIndices(p: PartialTensor | null, d: Dim): boolean {
  return (
    p?.elements.every(
      (e) =>
        e !== null &&
        typeof e !== "number" &&
        e.kind === "int" &&
        e.value >= 0 &&
        (d.kind !== "int" || e.value < d.value),
    ) ?? false
  );
}

/** Checks indices that are constants. */
function checkIndices(p: PartialTensor | null, d: Dim, fail: (m: string) => never): void {
  if (d.kind !== "int") return;
  for (const e of p?.elements ?? []) {
    if (e !== null && typeof e !== "number" && e.kind === "int" && (e.value >= d.value || e.value < -d.value))
      fail(`index ${e.value} is out of range for an axis of ${d.value}`);
  }
}

export const Gather: OpDef<{ axis: number }> = op({
  name: "Gather",
  onnx: [onnx("Gather", 1, 11, 13)],
  labels: keepText,
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => ({ axis: n.int("axis", 0) }),
  infer: (x, a, ctx) => {
    const [t, ix] = [tensor(x, 0, ctx), tensor(x, 1, ctx)];
    const axis = normalAxis(a.axis, t.shape.length, ctx);
    checkIndices(ctx.known(1), t.shape[axis]!, ctx.fail);
    return [tensorType(t.dtype, [...t.shape.slice(0, axis), ...ix.shape, ...t.shape.slice(axis + 1)])];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const x = b.input(0);
      const axis = n.attrs.axis < 0 ? n.attrs.axis + x.shape.length : n.attrs.axis;
      const d = x.shape[axis]!;
      const known = b.known(1);
      const t = b.types.inputs[1];
      const rank = t?.kind === "tensor" ? t.tensor.shape.length : 0;
      b.map(b.output(0), (i) => {
        const at = i.slice(axis, axis + rank);
        return load(x, [...i.slice(0, axis), gatherIndex(b, known, at, d), ...i.slice(axis + rank)]);
      });
    },
  },
});
function gatherIndex(b: TeBuilder, known: PartialTensor | null, at: readonly Expr[], d: Dim): Expr {
  // One known index, maybe symbolic: a plain shift.
  const only = known?.elements.length === 1 ? dimAt(known, 0) : null;
  if (only?.kind === "int") return only.value >= 0 ? i32(only.value) : ofDim(D.add(only, d));
  const ix = toIndex(load(b.input(1), at));
  return plainIndices(known, d) ? ix : safeIndex(ix, d);
}

export const GatherElements: OpDef<{ axis: number }> = op({
  name: "GatherElements",
  onnx: [onnx("GatherElements", 11, 13)],
  labels: keepText,
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => ({ axis: n.int("axis", 0) }),
  infer: (x, a, ctx) => {
    const [t, ix] = [tensor(x, 0, ctx), tensor(x, 1, ctx)];
    normalAxis(a.axis, t.shape.length, ctx);
    if (ix.shape.length !== t.shape.length) ctx.fail(`indices ${shapeText(ix.shape)} for data ${shapeText(t.shape)}`);
    return [tensorType(t.dtype, ix.shape)];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const [x, ix] = [b.input(0), b.input(1)];
      const axis = n.attrs.axis < 0 ? n.attrs.axis + x.shape.length : n.attrs.axis;
      const d = x.shape[axis]!;
      b.map(b.output(0), (i) => {
        const at = toIndex(load(ix, i));
        return load(
          x,
          i.map((v, k) => (k === axis ? (plainIndices(b.known(1), d) ? at : safeIndex(at, d)) : v)),
        );
      });
    },
  },
});

/** The last axis of indices holds positions in the axes after the batch axes. */
export const GatherND: OpDef<{ batch: number }> = op({
  name: "GatherND",
  onnx: [onnx("GatherND", 11, 12, 13), { domain: "com.microsoft", type: "GatherND", since: [1] }],
  labels: keepText,
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => ({ batch: n.int("batch_dims", 0) }),
  infer: (x, a, ctx) => {
    const [t, ix] = [tensor(x, 0, ctx), tensor(x, 1, ctx)];
    const width = indexWidth(ix.shape, ctx.fail);
    if (a.batch + width > t.shape.length || a.batch >= ix.shape.length)
      ctx.fail(`indices ${shapeText(ix.shape)} for data ${shapeText(t.shape)}`);
    return [tensorType(t.dtype, [...ix.shape.slice(0, -1), ...t.shape.slice(a.batch + width)])];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const [x, ix] = [b.input(0), b.input(1)];
      const { batch } = n.attrs;
      const lead = ix.shape.length - 1;
      const width = indexWidth(ix.shape, bug);
      b.map(b.output(0), (i) => {
        const place = Array.from({ length: width }, (_, k) =>
          safeIndex(toIndex(load(ix, [...i.slice(0, lead), i32(k)])), x.shape[batch + k]!),
        );
        return load(x, [...i.slice(0, batch), ...place, ...i.slice(lead)]);
      });
    },
  },
});
function indexWidth(shape: readonly Dim[], fail: (m: string) => never): number {
  const d = shape[shape.length - 1];
  return d?.kind === "int" ? d.value : fail("the extent of the last axis of indices must be known at compile time");
}
const bug = (m: string): never => {
  throw new Error(m);
};

type Reduction = "none" | "add" | "mul" | "max" | "min";
const reductions: readonly string[] = ["none", "add", "mul", "max", "min"];
function combine(how: Reduction, old: Expr, update: Expr): Expr {
  switch (how) {
    case "none":
      return update;
    case "add":
      return E.add(old, update);
    case "mul":
      return E.mul(old, update);
    case "max":
      return E.max(old, update);
    case "min":
      return E.min(old, update);
  }
}
/**
 * out = data, then each update in order, at the index that `place` computes: null components are not wrapped. Updates out of range,
 * an error of the model, are dropped.
 */
function scatter(
  b: TeBuilder,
  name: string,
  how: Reduction,
  shape: readonly Dim[],
  place: (ix: Buffer, i: readonly Expr[]) => readonly { ix: Expr; wrap: boolean }[],
): void {
  callKernel(b, name, [b.input(0), b.input(1), b.input(2), b.output(0)], (k, [data, ix, updates, out]) => {
    const copy = k.nest(data!.shape, (i) => store(out!, i, load(data!, i)));
    const write = k.nest(shape, (i) => {
      const parts = place(ix!, i);
      const bind = (at: number, index: readonly Expr[]): Stmt => {
        const p = parts[at];
        if (p)
          return p.wrap
            ? k.let(fromEnd(p.ix, data!.shape[at]!), (e) => bind(at + 1, [...index, e]))
            : bind(at + 1, [...index, p.ix]);
        const set = store(out!, index, combine(how, load(out!, index), load(updates!, i)));
        const tests = index.flatMap((e, j) => (parts[j]!.wrap ? [inRange(e, data!.shape[j]!)] : []));
        return tests.length === 0
          ? set
          : when(
              tests.reduce((p, q) => E.and(p, q)),
              set,
            );
      };
      return bind(0, []);
    });
    return seq([copy, write]);
  });
}
type ScatterAttrs = { readonly axis: number; readonly reduction: string };

/** Also Scatter, its name before opset 11. */
export const ScatterElements: OpDef<ScatterAttrs> = op({
  name: "ScatterElements",
  onnx: [onnx("ScatterElements", 11, 13, 16, 18), onnx("Scatter", 9, 11)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => {
    const reduction = n.string("reduction", "none");
    if (!reductions.includes(reduction)) n.fail(`reduction "${reduction}" is unknown`);
    return { axis: n.int("axis", 0), reduction };
  },
  infer: (x, a, ctx) => {
    const [t, ix, u] = [tensor(x, 0, ctx), tensor(x, 1, ctx), tensor(x, 2, ctx)];
    sameType(t, u, ctx);
    normalAxis(a.axis, t.shape.length, ctx);
    if (ix.shape.length !== t.shape.length || u.shape.length !== t.shape.length)
      ctx.fail(`indices ${shapeText(ix.shape)} and updates ${shapeText(u.shape)} for data ${shapeText(t.shape)}`);
    ix.shape.forEach((d, k) => {
      sameExtent(d, u.shape[k]!, `indices ${shapeText(ix.shape)} and updates ${shapeText(u.shape)}`, ctx);
    });
    return likeInput(x, ctx);
  },
  body: {
    kind: "loops",
    loops: (b, n) => {
      const rank = b.input(0).shape.length;
      const axis = n.attrs.axis < 0 ? n.attrs.axis + rank : n.attrs.axis;
      scatter(b, "scatter", n.attrs.reduction as Reduction, b.input(1).shape, (ix, i) =>
        i.map((v, k) => (k === axis ? { ix: toIndex(load(ix, i)), wrap: true } : { ix: v, wrap: false })),
      );
    },
  },
});

export const ScatterND: OpDef<{ reduction: string }> = op({
  name: "ScatterND",
  onnx: [onnx("ScatterND", 11, 13, 16, 18)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => {
    const reduction = n.string("reduction", "none");
    if (!reductions.includes(reduction)) n.fail(`reduction "${reduction}" is unknown`);
    return { reduction };
  },
  infer: (x, _a, ctx) => {
    const [t, ix, u] = [tensor(x, 0, ctx), tensor(x, 1, ctx), tensor(x, 2, ctx)];
    sameType(t, u, ctx);
    const width = indexWidth(ix.shape, ctx.fail);
    if (width > t.shape.length || u.shape.length !== ix.shape.length - 1 + t.shape.length - width)
      ctx.fail(`indices ${shapeText(ix.shape)} and updates ${shapeText(u.shape)} for data ${shapeText(t.shape)}`);
    [...ix.shape.slice(0, -1), ...t.shape.slice(width)].forEach((d, k) => {
      const why = `indices ${shapeText(ix.shape)} and updates ${shapeText(u.shape)} for data ${shapeText(t.shape)}`;
      sameExtent(d, u.shape[k]!, why, ctx);
    });
    return likeInput(x, ctx);
  },
  body: {
    kind: "loops",
    loops: (b, n) => {
      const lead = b.input(1).shape.length - 1;
      const width = indexWidth(b.input(1).shape, bug);
      scatter(b, "scatter_nd", n.attrs.reduction as Reduction, b.input(2).shape, (ix, i) => [
        ...Array.from({ length: width }, (_, k) => ({
          ix: toIndex(load<Expr>(ix, [...i.slice(0, lead), i32(k)])),
          wrap: true,
        })),
        ...i.slice(lead).map((v) => ({ ix: v, wrap: false })),
      ]);
    },
  },
});

/** Writes an update of a cache: past and update differ in one axis, where update t stands at write_indices[batch] + t. */
export const TensorScatter: OpDef<{ axis: number; mode: string }> = op({
  name: "TensorScatter",
  onnx: [onnx("TensorScatter", 24)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => ({ axis: n.int("axis", -2), mode: n.string("mode", "linear") }),
  infer: (x, a, ctx) => {
    const [t, u] = [tensor(x, 0, ctx), tensor(x, 1, ctx)];
    sameType(t, u, ctx);
    if (normalAxis(a.axis, t.shape.length, ctx) === 0) ctx.fail("the axis is the batch axis");
    return likeInput(x, ctx);
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const [past, update] = [b.input(0), b.input(1)];
      const axis = n.attrs.axis < 0 ? n.attrs.axis + past.shape.length : n.attrs.axis;
      const extent = ofDim(past.shape[axis]!);
      b.map(b.output(0), (i) => {
        const start = b.has(2) ? toIndex(load(b.input(2), [i[0]!])) : i32(0);
        const offset = E.sub(i[axis]!, start);
        const t = n.attrs.mode === "circular" ? E.floormod(offset, extent) : offset;
        return E.where(
          inRange(t, update.shape[axis]!),
          load(
            update,
            i.map((v, k) => (k === axis ? t : v)),
          ),
          load(past, i),
        );
      });
    },
  },
});

/** values holds the off and the on value; a negative index counts from the end, others out of range give no on value. */
export const OneHot: OpDef<{ axis: number }> = op({
  name: "OneHot",
  onnx: [onnx("OneHot", 9, 11)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => ({ axis: n.int("axis", -1) }),
  infer: (x, a, ctx) => {
    const [ix, values] = [tensor(x, 0, ctx), tensor(x, 2, ctx)];
    const axis = normalAxis(a.axis, ix.shape.length + 1, ctx);
    const depth = dimAt(ctx.known(1), 0) ?? ctx.fresh("depth", 0, null);
    return [tensorType(values.dtype, [...ix.shape.slice(0, axis), depth, ...ix.shape.slice(axis)])];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const [ix, values, out] = [b.input(0), b.input(2), b.output(0)];
      const axis = n.attrs.axis < 0 ? n.attrs.axis + out.shape.length : n.attrs.axis;
      bindExtents(
        b,
        out.shape,
        out.shape.map((_, k) => (k === axis ? intAt(b, 1) : null)),
      );
      b.map(out, (i) => {
        const at = toIndex(load(ix, [...i.slice(0, axis), ...i.slice(axis + 1)]));
        return E.where(E.eq(fromEnd(at, out.shape[axis]!), i[axis]!), load(values, [i32(1)]), load(values, [i32(0)]));
      });
    },
  },
});

/** The sum over blocks of overlapping image windows: the inverse of taking windows. */
export const Col2Im: OpDef<{ dilations?: readonly number[]; pads?: readonly number[]; strides?: readonly number[] }> =
  op<{ dilations?: readonly number[]; pads?: readonly number[]; strides?: readonly number[] }>({
    name: "Col2Im",
    onnx: [onnx("Col2Im", 18)],
    accuracy: { kind: "rtol", r: 1e-6 },
    effects: "none",
    parse: (n) => {
      const [dilations, pads, strides] = [n.ints("dilations"), n.ints("pads"), n.ints("strides")];
      return { ...(dilations ? { dilations } : {}), ...(pads ? { pads } : {}), ...(strides ? { strides } : {}) };
    },
    infer: (x, _a, ctx) => {
      const t = tensor(x, 0, ctx);
      const block = ctx.dims(2)?.map(D.known);
      const rank = D.known(tensor(x, 1, ctx).shape[0] ?? D.one);
      if (!block?.every((d) => d !== null) || rank === null)
        return ctx.fail("the block shape must be known at compile time");
      const size = (block as number[]).reduce((p, q) => p * q, 1);
      const image = Array.from({ length: rank }, (_, k) => dimAt(ctx.known(1), k) ?? ctx.fresh("image", 0, null));
      return [tensorType(t.dtype, [t.shape[0]!, D.floordiv(t.shape[1]!, D.int(size)), ...image])];
    },
    body: {
      kind: "compute",
      compute: (b, n) => {
        const [x, out] = [b.input(0), b.output(0)];
        const block = b.dims(2)!.map((d) => D.known(d)!);
        const rank = block.length;
        const { dilations, pads, strides } = n.attrs;
        bindExtents(
          b,
          out.shape,
          out.shape.map((_, k) => (k < 2 ? null : intAt(b, 1, k - 2))),
        );
        const axis = (k: number) => ({
          stride: strides?.[k] ?? 1,
          dilation: dilations?.[k] ?? 1,
          before: pads?.[k] ?? 0,
          after: pads?.[k + rank] ?? 0,
        });
        const counts = block.map((size, k) => {
          const { stride, dilation, before, after } = axis(k);
          return D.add(
            D.floordiv(
              D.sub(D.add(out.shape[k + 2]!, D.int(before + after)), D.int(dilation * (size - 1) + 1)),
              D.int(stride),
            ),
            D.one,
          );
        });
        // Tap r of a block reaches pixel p from block (p + before - r*dilation) / stride, where that is whole and in range.
        b.reduce(out, block.map(D.int), (i, r) => {
          const tests: Expr[] = [];
          const at = block.map((_, k) => {
            const { stride, dilation, before } = axis(k);
            const shifted = E.sub(E.add(i[k + 2]!, before), E.mul(r[k]!, dilation));
            const q = stride === 1 ? shifted : E.floordiv(shifted, stride);
            tests.push(inRange(q, counts[k]!));
            if (stride !== 1) tests.push(E.eq(E.floormod(shifted, stride), 0));
            return q;
          });
          const row = r.reduce<Expr>((acc, e, k) => E.add(E.mul(acc, block[k]!), e), i[1]!);
          const column = at.reduce<Expr>(
            (acc, e, k) => (k === 0 ? e : E.add(E.mul(acc, ofDim(counts[k]!)), e)),
            i32(0),
          );
          const value = E.where(
            tests.reduce((p, q) => E.and(p, q)),
            load(x, [i[0]!, row, column]),
            constant(x.dtype, 0),
          );
          return {
            state: [{ init: constant(x.dtype, 0), update: ([s]) => E.add(s!, value) }],
            merge: ([s], [t]) => [E.add(s!, t!)],
          };
        });
      },
    },
  });

/** ai.onnx.ml: columns of the last axis, as many as there are indices, whatever their shape. */
export const ArrayFeatureExtractor: OpDef<Record<string, never>> = op({
  name: "ArrayFeatureExtractor",
  onnx: [{ domain: "ai.onnx.ml", type: "ArrayFeatureExtractor", since: [1] }],
  labels: keepText,
  accuracy: { kind: "exact" },
  effects: "none",
  parse: noAttrs,
  infer: (x, _a, ctx) => {
    const [t, ix] = [tensor(x, 0, ctx), tensor(x, 1, ctx)];
    const count = D.product(ix.shape);
    return [tensorType(t.dtype, t.shape.length === 1 ? [D.one, count] : [...t.shape.slice(0, -1), count])];
  },
  body: {
    kind: "compute",
    compute: (b) => {
      const [x, ix] = [b.input(0), b.input(1)];
      b.map(b.output(0), (i) => {
        const at = toIndex(load(ix, unravel(i[i.length - 1]!, ix.shape)));
        return load(x, [...i.slice(0, x.shape.length - 1), safeIndex(at, x.shape[x.shape.length - 1]!)]);
      });
    },
  },
});

export const indexOps: readonly OpDef<Attrs>[] = [
  Gather,
  GatherElements,
  GatherND,
  ScatterElements,
  ScatterND,
  TensorScatter,
  OneHot,
  Col2Im,
  ArrayFeatureExtractor,
] as unknown as readonly OpDef<Attrs>[];
