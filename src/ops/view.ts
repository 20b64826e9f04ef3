// Ops whose output is the input's elements in row-major order under another shape.

import type { Dim } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { type Expr, ofDim } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import { type InferCtx, type OpDef, op, type TeBuilder } from "../ir/opdef.ts";
import { type TensorType, tensorType, type ValueType } from "../ir/types.ts";
import { mustBeZero, noAttrs, normalAxis, onnx, sameExtent, shapeText, tensor } from "./common.ts";
import { bindExtents, dimAt, intAt } from "./ints.ts";

function view<A extends Attrs>(
  type: string,
  since: readonly number[],
  parse: OpDef<A>["parse"],
  shape: (x: readonly Dim[], a: A, ctx: InferCtx) => readonly Dim[],
): OpDef<A> {
  return op<A>({
    name: type,
    onnx: [onnx(type, ...since)],
    accuracy: { kind: "exact" },
    effects: "none",
    parse,
    infer: (x, a, ctx) => {
      const t = tensor(x, 0, ctx);
      return [tensorType(t.dtype, shape(t.shape, a, ctx))];
    },
    body: { kind: "view" },
  });
}

/** The target shape of a Reshape: 0 copies a dim (unless allowzero), -1 takes the rest. An unknown element is a new symbol. */
export function reshapeDims(
  x: readonly Dim[],
  want: readonly (Dim | number | null)[],
  allowZero: boolean,
  ctx: InferCtx,
): readonly Dim[] {
  const total = D.product(x);
  let open = -1;
  const dims = want.map((e, k): Dim => {
    if (e === null || typeof e === "number") return ctx.fresh("reshape", 0, null);
    if (e.kind === "int" && e.value === -1) {
      if (open >= 0) ctx.fail("the new shape has two dims of -1");
      open = k;
      return D.one;
    }
    if (e === D.zero && !allowZero)
      return x[k] ?? ctx.fail(`the new shape copies dim ${k}, which the input ${shapeText(x)} lacks`);
    return e;
  });
  if (open >= 0) {
    const rest = D.product(dims);
    const why = `${total.key} elements do not fit shape ${wantedText(want)}`;
    if (rest !== D.zero) mustBeZero(D.mod(total, rest), why, ctx);
    else if (total.kind === "int" && total !== D.zero) ctx.fail(why);
    dims[open] = total === D.zero ? D.zero : D.floordiv(total, rest);
  } else {
    // One unknown extent follows from the others.
    const unknown = want.flatMap((e, k) => (e === null || typeof e === "number" ? [k] : []));
    if (unknown.length === 1) {
      const rest = D.product(dims.filter((_, k) => k !== unknown[0]));
      dims[unknown[0]!] = D.floordiv(total, rest);
    }
    sameExtent(total, D.product(dims), `${total.key} elements do not fit shape ${wantedText(want)}`, ctx);
  }
  return dims;
}
const wantedText = (want: readonly (Dim | number | null)[]): string =>
  `[${want.map((e) => (e === null || typeof e === "number" ? "?" : e.key)).join(", ")}]`;
export const Reshape: OpDef<{ allowZero: boolean; shape?: readonly number[] }> = op({
  name: "Reshape",
  onnx: [onnx("Reshape", 1, 5, 13, 14, 19, 21, 23, 24, 25)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => {
    const shape = n.opset < 5 ? n.ints("shape") : undefined;
    return { allowZero: n.int("allowzero", 0) !== 0, ...(shape ? { shape } : {}) };
  },
  infer: (x, a, ctx) => {
    const t = tensor(x, 0, ctx);
    if (a.shape) return [tensorType(t.dtype, reshapeDims(t.shape, a.shape.map(D.int), a.allowZero, ctx))];
    const rank = tensor(x, 1, ctx).shape[0];
    const known = ctx.known(1)?.elements;
    if (!known && rank?.kind !== "int") return ctx.fail("the rank of the new shape is not known at compile time");
    return [
      tensorType(
        t.dtype,
        reshapeDims(t.shape, known ?? Array.from({ length: D.known(rank!)! }, () => null), a.allowZero, ctx),
      ),
    ];
  },
  body: { kind: "view", bind: (b, n) => bindReshape(b, n.attrs.allowZero) },
});
/** Elements of the new shape that are known only in the run: 0 copies a dim (unless allowZero), -1 takes what the others leave. */
function bindReshape(b: TeBuilder, allowZero: boolean): void {
  if (!b.has(1)) return;
  const [x, out] = [b.input(0), b.output(0)];
  const known = b.known(1);
  const wanted = out.shape.map((d, k): Expr => {
    if (dimAt(known, k) && D.known(dimAt(known, k)!) !== -1) return ofDim(d);
    const e = intAt(b, 1, k);
    return x.shape[k] && !allowZero ? E.where(E.eq(e, 0), ofDim(x.shape[k]!), e) : e;
  });
  bindExtents(
    b,
    out.shape,
    wanted.map((e, k) => {
      if (dimAt(known, k)) return null;
      const rest = wanted
        .filter((_, j) => j !== k)
        .reduce<Expr>((p, q) => E.mul(p, E.where(E.lt(q, 0), E.i32(1), q)), E.i32(1));
      return E.where(E.lt(e, 0), E.floordiv(ofDim(D.product(x.shape)), rest), e);
    }),
  );
  b.require(
    D.sub(D.product(x.shape), D.product(out.shape)),
    `${D.product(x.shape).key} elements do not fit the new shape`,
  );
}
export const Identity: OpDef<Record<string, never>> = op({
  name: "Identity",
  onnx: [onnx("Identity", 1, 13, 14, 16, 19, 21, 23, 24, 25)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: noAttrs,
  // A sequence or optional is a name for values, and another name for them is the same.
  eager: (b, n) => {
    const x = n.inputs[0] ?? null;
    return x === null || b.type(x).kind === "tensor" ? null : [x];
  },
  infer: (x, _a, ctx): readonly ValueType[] => [x[0] ?? ctx.fail("input 0 is missing")],
  labels: (_a, x) => x.slice(0, 1),
  body: { kind: "view" },
});
export const Flatten: OpDef<{ axis: number }> = view(
  "Flatten",
  [1, 9, 11, 13, 21, 23, 24, 25],
  (n) => ({ axis: n.int("axis", 1) }),
  (x, a, ctx) => {
    const axis = a.axis < 0 ? a.axis + x.length : a.axis;
    if (axis < 0 || axis > x.length) ctx.fail(`axis ${a.axis} is out of range for rank ${x.length}`);
    return [D.product(x.slice(0, axis)), D.product(x.slice(axis))];
  },
);

/** axes: an attribute before opset 13, an input since. */
type AxesAttrs = { axes?: readonly number[] };
const parseAxes = (n: Parameters<OpDef<AxesAttrs>["parse"]>[0]): AxesAttrs => {
  const axes = n.opset < 13 ? n.ints("axes") : undefined;
  return axes ? { axes } : {};
};
function axesOf(a: AxesAttrs, ctx: InferCtx, has: boolean): readonly number[] | null {
  if (a.axes) return a.axes;
  if (!has) return null;
  const dims = ctx.dims(1)?.map(D.known);
  if (!dims?.every((d) => d !== null)) return ctx.fail("the axes are not known at compile time");
  return dims as number[];
}
export const Squeeze: OpDef<AxesAttrs> = op({
  name: "Squeeze",
  onnx: [onnx("Squeeze", 1, 11, 13, 21, 23, 24, 25)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: parseAxes,
  infer: (x, a, ctx) => {
    const t = tensor(x, 0, ctx);
    const axes = axesOf(a, ctx, (x[1] ?? null) !== null)?.map((k) => normalAxis(k, t.shape.length, ctx));
    for (const k of axes ?? []) sameExtent(t.shape[k]!, D.one, `axis ${k} has extent ${t.shape[k]!.key}, not 1`, ctx);
    return [
      tensorType(
        t.dtype,
        t.shape.filter((d, k) => (axes ? !axes.includes(k) : d !== D.one)),
      ),
    ];
  },
  body: { kind: "view" },
});
export const Unsqueeze: OpDef<AxesAttrs> = op({
  name: "Unsqueeze",
  onnx: [onnx("Unsqueeze", 1, 11, 13, 21, 23, 24, 25)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: parseAxes,
  infer: (x, a, ctx) => {
    const t = tensor(x, 0, ctx);
    const axes = axesOf(a, ctx, true) ?? [];
    const rank = t.shape.length + axes.length;
    const at = axes.map((k) => normalAxis(k, rank, ctx));
    if (new Set(at).size !== at.length) ctx.fail("axes repeat");
    const rest = [...t.shape];
    return [
      tensorType(
        t.dtype,
        Array.from({ length: rank }, (_, k) => (at.includes(k) ? D.one : rest.shift()!)),
      ),
    ];
  },
  body: { kind: "view" },
});

/** Any of the others when the dims of its output are known: nothing computes a shape in the run. No model has it; passes make it. */
export const View: OpDef<{ type: TensorType }> = op<{ type: TensorType }>({
  name: "View",
  onnx: [],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => n.fail("View is no operator of ONNX"),
  infer: (x, a, ctx) => {
    const [from, to] = [tensor(x, 0, ctx).shape, a.type.shape];
    sameExtent(D.product(from), D.product(to), `${shapeText(from)} has not the elements of ${shapeText(to)}`, ctx);
    return [tensorType(tensor(x, 0, ctx).dtype, to)];
  },
  body: { kind: "view" },
});

export const viewOps: readonly OpDef<Attrs>[] = [
  Reshape,
  Identity,
  Flatten,
  Squeeze,
  Unsqueeze,
  View,
] as unknown as readonly OpDef<Attrs>[];
