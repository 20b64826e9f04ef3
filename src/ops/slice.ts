// Slice and Pad.

import type { Dim } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { constant, type Expr, load, ofDim } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import { type InferCtx, type OpDef, op, type PartialTensor, type RawNode, type TeBuilder } from "../ir/opdef.ts";
import type { Buffer } from "../ir/storage.ts";
import { tensorType } from "../ir/types.ts";
import { keepText, normalAxis, onnx, shapeText, tensor } from "./common.ts";
import {
  bindExtents,
  ceilDiv,
  countKnown,
  dimAt,
  intAt,
  isFar,
  knownInts,
  loweredInts,
  numberAt,
  scalarOf,
} from "./ints.ts";

type SliceAttrs = {
  readonly starts?: readonly number[];
  readonly ends?: readonly number[];
  readonly axes?: readonly number[];
};
/** One sliced axis. start, end: as written, null when known only during the run. */
type SliceAxis = {
  readonly axis: number;
  readonly which: number;
  readonly start: Dim | null;
  readonly end: Dim | null;
  readonly step: number;
};

function sliceAxes(
  a: SliceAttrs,
  rank: number,
  count: number,
  starts: PartialTensor | null,
  ends: PartialTensor | null,
  axes: readonly number[] | null,
  steps: readonly number[] | null,
): readonly SliceAxis[] {
  return Array.from({ length: count }, (_, k) => {
    const axis = (axes ?? a.axes)?.[k] ?? k;
    const at = (list: readonly number[] | undefined, p: PartialTensor | null): Dim | null =>
      dimAt(list ? { dims: [count], elements: list.map(D.int) } : p, k);
    return {
      axis: axis < 0 ? axis + rank : axis,
      which: k,
      start: at(a.starts, starts),
      end: at(a.ends, ends),
      step: steps?.[k] ?? 1,
    };
  });
}
/** A position counted from the end when negative, for extent d. A position past everything becomes the extent itself. */
function fromStart(p: Dim, d: Dim, ranges: D.Ranges): Dim {
  if (isFar(p)) return D.known(p)! > 0 ? d : D.int(-1);
  if (D.nonNegative(p, ranges)) return p;
  if (D.nonNegative(D.sub(D.neg(p), D.one), ranges)) return D.add(p, d);
  // min(1, max(0, -p)) is 1 for negative p and 0 otherwise.
  return D.add(p, D.mul(d, D.min(D.one, D.max(D.zero, D.neg(p)))));
}
function startOf(s: SliceAxis, d: Dim, ranges: D.Ranges): Dim | null {
  if (s.start === null) return null;
  const p = fromStart(s.start, d, ranges);
  // A start past the end gives no elements: where it lies does not matter.
  return D.simplify(s.step > 0 ? D.max(p, D.zero) : D.max(D.zero, D.min(p, D.sub(d, D.one))), ranges);
}
function sizeOf(s: SliceAxis, d: Dim, ranges: D.Ranges): Dim | null {
  const start = startOf(s, d, ranges);
  if (start === null || s.end === null) return null;
  const end = fromStart(s.end, d, ranges);
  const span =
    s.step > 0
      ? D.sub(D.min(end, d), start)
      : D.sub(start, isFar(s.end) && D.known(s.end)! < 0 ? D.int(-1) : D.max(end, D.int(-1)));
  return D.simplify(D.max(D.zero, ceilDiv(D.simplify(span, ranges), Math.abs(s.step))), ranges);
}
/** The same at run time, for positions that are loaded; they are within +-2^29. */
function runtimeStart(s: SliceAxis, d: Dim, start: Expr): Expr {
  const p = E.where(E.lt(start, 0), E.add(start, ofDim(d)), start);
  return s.step > 0 ? E.max(p, 0) : E.max(E.min(p, ofDim(D.sub(d, D.one))), 0);
}
function runtimeSize(s: SliceAxis, d: Dim, start: Expr, end: Expr): Expr {
  const first = runtimeStart(s, d, start);
  const last = E.where(E.lt(end, 0), E.add(end, ofDim(d)), end);
  const span = s.step > 0 ? E.sub(E.min(last, ofDim(d)), first) : E.sub(first, E.max(last, -1));
  const by = Math.abs(s.step);
  return E.max(E.floordiv(E.add(span, by - 1), by), 0);
}
/** In a lowering every symbol is a size. */
const sizes: D.Ranges = () => ({ min: D.zero, max: null });

export const Slice: OpDef<SliceAttrs> = op<SliceAttrs>({
  name: "Slice",
  onnx: [onnx("Slice", 1, 10, 11, 13)],
  labels: keepText,
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => {
    if (n.opset >= 10) return {};
    const axes = n.ints("axes");
    return { starts: n.ints("starts") ?? [], ends: n.ints("ends") ?? [], ...(axes ? { axes } : {}) };
  },
  infer: (x, a, ctx) => {
    const t = tensor(x, 0, ctx);
    const axes = knownInts(x, 3, ctx, "the axes of a Slice");
    const steps = knownInts(x, 4, ctx, "the steps of a Slice");
    const count = a.starts?.length ?? countKnown(tensor(x, 1, ctx), ctx, "starts");
    const sliced = sliceAxes(a, t.shape.length, count, ctx.known(1), ctx.known(2), axes, steps);
    for (const s of sliced) {
      normalAxis(s.axis, t.shape.length, ctx);
      if (s.step === 0) ctx.fail("a step is 0");
    }
    return [
      tensorType(
        t.dtype,
        t.shape.map((d, k) => {
          const s = sliced.find((e) => e.axis === k);
          return s ? (sizeOf(s, d, ctx.ranges) ?? ctx.fresh("slice", 0, null)) : d;
        }),
      ),
    ];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const [x, out] = [b.input(0), b.output(0)];
      const a = n.attrs;
      const count = a.starts?.length ?? D.known(b.input(1).shape[0] ?? D.one)!;
      const sliced = sliceAxes(a, x.shape.length, count, b.known(1), b.known(2), loweredInts(b, 3), loweredInts(b, 4));
      const at = x.shape.map((_, k) => sliced.find((e) => e.axis === k));
      bindExtents(
        b,
        out.shape,
        at.map((s, k) => {
          if (!s) return null;
          const d = x.shape[k]!;
          return sizeOf(s, d, sizes) ?? runtimeSize(s, d, position(b, s, 1), position(b, s, 2));
        }),
      );
      b.map(out, (i) =>
        load(
          x,
          i.map((v, k) => {
            const s = at[k];
            if (!s) return v;
            const start = startOf(s, x.shape[k]!, sizes);
            const step = s.step === 1 ? v : E.mul(v, s.step);
            if (start === D.zero) return step;
            return E.add(step, start ? ofDim(start) : runtimeStart(s, x.shape[k]!, position(b, s, 1)));
          }),
        ),
      );
    },
  },
});
function position(b: TeBuilder, s: SliceAxis, input: 1 | 2): Expr {
  const known = input === 1 ? s.start : s.end;
  return known ? ofDim(known) : intAt(b, input, s.which);
}

type PadAttrs = { readonly mode: string; readonly value?: number; readonly pads?: readonly number[] };
/** Elements before and after each axis (null: not known at compile time) and where they stand in the input of pads. */
type PadAxis = {
  readonly before: Dim | null;
  readonly after: Dim | null;
  readonly which: number | null;
  readonly count: number;
};
function padAxes(
  a: PadAttrs,
  rank: number,
  pads: PartialTensor | null,
  axes: readonly number[] | null,
): readonly PadAxis[] {
  const list = (axes ?? Array.from({ length: rank }, (_, k) => k)).map((k) => (k < 0 ? k + rank : k));
  const known: PartialTensor | null = a.pads ? { dims: [a.pads.length], elements: a.pads.map(D.int) } : pads;
  return Array.from({ length: rank }, (_, k) => {
    const at = list.indexOf(k);
    if (at < 0) return { before: D.zero, after: D.zero, which: null, count: list.length };
    return { before: dimAt(known, at), after: dimAt(known, at + list.length), which: at, count: list.length };
  });
}
export const Pad: OpDef<PadAttrs> = op({
  name: "Pad",
  onnx: [onnx("Pad", 1, 2, 11, 13, 18, 19, 21, 23, 24, 25)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: parsePad,
  infer: (x, a, ctx) => {
    const t = tensor(x, 0, ctx);
    const axes = knownInts(x, 3, ctx, "the axes of a Pad");
    for (const k of axes ?? []) normalAxis(k, t.shape.length, ctx);
    const given = a.pads?.length ?? D.known(tensor(x, 1, ctx).shape[0] ?? D.one);
    if (given !== null && given !== 2 * (axes?.length ?? t.shape.length))
      ctx.fail(`${given} pads for ${shapeText(t.shape)}`);
    return [
      tensorType(
        t.dtype,
        padAxes(a, t.shape.length, ctx.known(1), axes).map(
          (p, k) => padSize(p, t.shape[k]!, ctx) ?? ctx.fresh("pad", 0, null),
        ),
      ),
    ];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const [x, out] = [b.input(0), b.output(0)];
      const axes = padAxes(n.attrs, x.shape.length, b.known(1), loweredInts(b, 3));
      bindExtents(
        b,
        out.shape,
        axes.map((p, k) => {
          if (p.before === D.zero && p.after === D.zero) return null;
          if (p.before && p.after) return D.add(x.shape[k]!, p.before, p.after);
          return E.add(ofDim(x.shape[k]!), E.add(intAt(b, 1, p.which!), intAt(b, 1, p.which! + p.count)));
        }),
      );
      const { mode } = n.attrs;
      if (mode === "constant") padConstant(b, x, out, axes, fillOf(b, n.attrs, x));
      else
        b.map(out, (i) =>
          load(
            x,
            i.map((v, k) => folded(b, mode, v, axes[k]!, x.shape[k]!)),
          ),
        );
    },
  },
});
function parsePad(n: RawNode): PadAttrs {
  const mode = n.string("mode", "constant");
  if (!["constant", "reflect", "edge", "wrap"].includes(mode)) n.fail(`mode "${mode}" is unknown`);
  if (n.opset >= 11) return { mode };
  return { mode, value: n.float("value", 0), pads: n.ints(n.opset < 2 ? "paddings" : "pads") ?? [] };
}
function padSize(p: PadAxis, d: Dim, ctx: InferCtx): Dim | null {
  if (!p.before || !p.after) return null;
  const size = D.simplify(D.add(d, p.before, p.after), ctx.ranges);
  if (size.kind === "int" && size.value < 0) ctx.fail(`padding leaves ${size.value} elements`);
  return size;
}
function fillOf(b: TeBuilder, a: PadAttrs, x: Buffer): Expr {
  if (!b.has(2)) return constant(x.dtype, a.value ?? 0);
  const known = numberAt(b.known(2), 0);
  return known === null ? scalarOf(b.input(2)) : constant(x.dtype, known);
}
/** An integer of the pads as an expression. */
function amount(b: TeBuilder, p: PadAxis, side: "before" | "after"): Expr {
  const d = p[side];
  return d ? ofDim(d) : intAt(b, 1, p.which! + (side === "after" ? p.count : 0));
}
const atMostZero = (d: Dim | null): boolean => d?.kind === "int" && d.value <= 0;

function padConstant(b: TeBuilder, x: Buffer, out: Buffer, axes: readonly PadAxis[], fill: Expr): void {
  b.map(out, (i) => {
    const at = i.map((v, k) => (axes[k]!.before === D.zero ? v : E.sub(v, amount(b, axes[k]!, "before"))));
    const tests = at.flatMap((v, k) => [
      ...(atMostZero(axes[k]!.before) ? [] : [E.le(0, v)]),
      ...(atMostZero(axes[k]!.after) ? [] : [E.lt(v, ofDim(x.shape[k]!))]),
    ]);
    return tests.length === 0
      ? load(x, at)
      : E.where(
          tests.reduce((p, q) => E.and(p, q)),
          load(x, at),
          fill,
        );
  });
}
/** Where the element at v of a padded axis lies in the input. Negative pads cut the input first. */
function folded(b: TeBuilder, mode: string, v: Expr, p: PadAxis, d: Dim): Expr {
  if (p.before === D.zero && p.after === D.zero) return v;
  const [before, after] = [amount(b, p, "before"), amount(b, p, "after")];
  const cut = atMostZero(p.before) ? E.neg(before) : p.before?.kind === "int" ? null : E.max(E.neg(before), 0);
  const cutAfter = atMostZero(p.after) ? E.neg(after) : p.after?.kind === "int" ? null : E.max(E.neg(after), 0);
  const at = atMostZero(p.before) ? v : E.sub(v, p.before?.kind === "int" ? before : E.max(before, 0));
  const length = [cut, cutAfter].reduce<Expr>((n, c) => (c ? E.sub(n, c) : n), ofDim(d));
  const inside = within(mode, at, length);
  return cut ? E.add(inside, cut) : inside;
}
function within(mode: string, at: Expr, length: Expr): Expr {
  switch (mode) {
    case "edge":
      return E.min(E.max(at, 0), E.sub(length, 1));
    case "wrap":
      return E.floormod(at, length);
    default: {
      // Reflection has period 2(n-1); for one element the period is 0, and so is the result.
      const period = E.mul(E.sub(length, 1), 2);
      const m = E.floormod(at, period);
      return E.min(m, E.sub(period, m));
    }
  }
}

export const sliceOps: readonly OpDef<Attrs>[] = [Slice, Pad] as unknown as readonly OpDef<Attrs>[];
