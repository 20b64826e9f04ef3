// What op families share: broadcasting, types of outputs, axes.
import { must } from "../base/assert.ts";
import type { Dim } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import { type Expr, eq, i32, load, ofDim, where } from "../ir/expr.ts";
import type { InferCtx, Labels, RawNode } from "../ir/opdef.ts";
import type { Buffer } from "../ir/storage.ts";
import { type DType, isFloat, type TensorType, tensorType, type ValueType, widened } from "../ir/types.ts";

export const onnx = (
  type: string,
  ...since: readonly number[]
): { domain: string; type: string; since: readonly number[] } => ({ domain: "", type, since });

/** The tensor type of a required input; a diagnostic when it is absent or no tensor. */
export function tensor(x: readonly (ValueType | null)[], i: number, ctx: InferCtx): TensorType {
  const t = x[i];
  if (!t) return ctx.fail(`input ${i} is missing`);
  if (t.kind !== "tensor") return ctx.fail(`input ${i} is a ${t.kind}, not a tensor`);
  return t.tensor;
}
export function optionalTensor(x: readonly (ValueType | null)[], i: number): TensorType | null {
  const t = x[i];
  return t?.kind === "tensor" ? t.tensor : null;
}

/** numpy's broadcast of shapes; a diagnostic when two known extents differ and neither is 1. */
export function broadcastShapes(shapes: readonly (readonly Dim[])[], ctx: InferCtx): readonly Dim[] {
  const rank = Math.max(0, ...shapes.map((s) => s.length));
  return Array.from({ length: rank }, (_, k) => {
    const ds = shapes.flatMap((s) => {
      const d = s[k - (rank - s.length)];
      return d === undefined || d === D.one ? [] : [d];
    });
    if (ds.length === 0) return D.one;
    const whole = D.broadcast(...ds);
    const why = `shapes ${shapes.map(shapeText).join(" and ")} do not broadcast`;
    for (const d of ds) mustBeZero(unlikeBroadcast(d, whole), why, ctx);
    return whole;
  });
}
/** 0 when an extent is that of the result, or 1. */
export function unlikeBroadcast(d: Dim, whole: Dim): Dim {
  const from = (x: Dim): Dim => D.max(D.sub(d, x), D.sub(x, d));
  return d === whole ? D.zero : D.min(from(whole), from(D.one));
}
/** A diagnostic unless a Dim is 0, a requirement of the run where infer cannot tell. */
export function mustBeZero(d: Dim, why: string, ctx: Pick<InferCtx, "ranges" | "require" | "fail">): void {
  const rest = D.simplify(d, ctx.ranges);
  if (rest.kind !== "int") ctx.require(rest, why);
  else if (rest !== D.zero) ctx.fail(why);
}
/** Two extents that are one. */
export function sameExtent(a: Dim, b: Dim, why: string, ctx: Pick<InferCtx, "ranges" | "require" | "fail">): void {
  mustBeZero(D.sub(a, b), why, ctx);
}
export function shapeText(s: readonly Dim[]): string {
  return `[${s.map((d) => d.key).join(", ")}]`;
}

/** The element of `b` that broadcasts to position `index` of a result of shape `out`. */
export function loadBroadcast(b: Buffer, index: readonly Expr[], out: readonly Dim[]): Expr {
  const skip = index.length - b.shape.length;
  return load(
    b,
    b.shape.map((d, k) => {
      const i = must(index[skip + k], "an index");
      if (d === D.one) return i32(0);
      // A symbolic extent that is not the result's may turn out to be 1.
      return d === out[skip + k] || d.kind === "int" ? i : where(eq(ofDim(d), 1), i32(0), i);
    }),
  );
}

/** An axis attribute made non-negative; a diagnostic when it is out of range. */
export function normalAxis(axis: number, rank: number, ctx: { fail(m: string): never }): number {
  if (axis < -rank || axis >= rank) return ctx.fail(`axis ${axis} is out of range for rank ${rank}`);
  return axis < 0 ? axis + rank : axis;
}

/** A diagnostic unless the input's type is one of these. */
export function expectType(
  t: TensorType,
  allowed: readonly DType[] | ((d: DType) => boolean),
  what: string,
  ctx: InferCtx,
): void {
  const ok = typeof allowed === "function" ? allowed(t.dtype) : allowed.includes(t.dtype);
  if (!ok) ctx.fail(`${what} has element type ${t.dtype}, which this op does not take`);
}
export function sameType(a: TensorType, b: TensorType, ctx: InferCtx): void {
  if (a.dtype !== b.dtype) ctx.fail(`element types ${a.dtype} and ${b.dtype} differ`);
}
/** Of ops that give positions or counts: their element type is i64, but for narrow-integers, which may make it i32. */
export type IndexAttrs = { readonly index?: "i32" };
export function indexType(a: IndexAttrs): DType {
  return a.index ?? "i64";
}
/** One output like input 0. */
export function likeInput(x: readonly (ValueType | null)[], ctx: InferCtx): readonly ValueType[] {
  const t = tensor(x, 0, ctx);
  return [tensorType(t.dtype, t.shape)];
}
/** A float narrower than f32 is computed in f32; other types as they are. */
export function wide(d: DType): DType {
  return isFloat(d) ? widened(d) : d;
}
/** Labels of ops whose output is made of input 0's elements: text stays text. */
export function keepText(_a: unknown, x: readonly (Labels | null)[]): readonly (Labels | null)[] {
  return [x[0]?.of === "elements" ? x[0] : null];
}
export const noAttrs = (_n: RawNode): Record<string, never> => ({});

/** ints as numbers, or a default repeated. */
export function intsOr(n: RawNode, name: string, count: number, value: number): readonly number[] {
  return n.ints(name) ?? Array.from({ length: count }, () => value);
}
