// Integers that an op reads from its inputs: sizes, positions, counts. They are Dims where they follow from shapes and constants,
// and loads from the input where they are known only during the run.

import type { Dim } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { type Expr, i32, load, ofDim } from "../ir/expr.ts";
import type { InferCtx, PartialTensor, TeBuilder } from "../ir/opdef.ts";
import type { Buffer } from "../ir/storage.ts";
import type { TensorType } from "../ir/types.ts";
import { is64 } from "../ir/types.ts";

/** No extent is larger; sums of a few such numbers stay in i32. */
const far = 2 ** 29;

/** Element k as a Dim, saturated to what extents can be; null when it is not known or no integer. */
export function dimAt(p: PartialTensor | null | undefined, k: number): Dim | null {
  const e = p?.elements[k];
  if (e === null || e === undefined || typeof e === "number") return null;
  return e.kind === "int" ? D.int(Math.max(-far, Math.min(far, e.value))) : e;
}
export function isFar(d: Dim): boolean {
  return d.kind === "int" && Math.abs(d.value) >= far;
}
/** Element k as a plain number; null when it is not known. */
export function numberAt(p: PartialTensor | null | undefined, k: number): number | null {
  const e = p?.elements[k];
  if (e === null || e === undefined) return null;
  return typeof e === "number" ? e : D.known(e);
}
/** An integer element as an i32 index, saturated to what extents can be. */
export function toIndex(x: Expr): Expr {
  if (is64(x.dtype) || x.dtype === "u32") return E.to("i32", E.max(E.min(x, far), x.dtype.startsWith("u") ? 0 : -far));
  return E.to("i32", x);
}
/** The element of a scalar, or of a tensor of one element. */
export function scalarOf(x: Buffer): Expr {
  return load(
    x,
    x.shape.map(() => i32(0)),
  );
}
/** Element k of a 1-d (or the element of a 0-d) integer input, as i32. */
export function intAt(b: TeBuilder, input: number, k = 0): Expr {
  const d = dimAt(b.known(input), k);
  if (d) return ofDim(d);
  const x = b.input(input);
  return toIndex(load(x, x.shape.length === 0 ? [] : [i32(k)]));
}

/** ceil(d / by) for a positive number, in the form whose sign D can tell. */
export function ceilDiv(d: Dim, by: number): Dim {
  return D.floordiv(D.add(d, D.int(by - 1)), D.int(by));
}

/** The integers of input i when all are plain numbers, or null when it is absent. A diagnostic when they are not known. */
export function knownInts(x: readonly unknown[], i: number, ctx: InferCtx, what: string): readonly number[] | null {
  if ((x[i] ?? null) === null) return null;
  const ints = ctx.dims(i)?.map(D.known);
  if (!ints?.every((d) => d !== null)) return ctx.fail(`${what} must be known at compile time`);
  return ints as number[];
}
/** In the lowering: what infer has found by knownInts. */
export function loweredInts(b: TeBuilder, i: number): readonly number[] | null {
  return b.has(i) ? (b.dims(i) ?? []).map((d) => D.known(d) ?? 0) : null;
}
/** The number of elements of a 1-d input whose values may be unknown. */
export function countKnown(t: TensorType, ctx: InferCtx, what: string): number {
  const n = t.shape.length === 0 ? 1 : D.known(t.shape[0]!);
  return n ?? ctx.fail(`the number of ${what} must be known at compile time`);
}

/**
 * Binds the symbols that infer made for an output's extents: sizes[k] is extent k as now known, a Dim or an i32 expression, or null
 * for an extent that was never in question.
 */
export function bindExtents(b: TeBuilder, shape: readonly Dim[], sizes: readonly (Dim | Expr | null)[]): void {
  sizes.forEach((size, k) => {
    const d = shape[k];
    if (size === null || d === size || d?.kind !== "sym" || !b.isData(d.id)) return;
    if ("key" in size) {
      if (!D.symbolsOf(size).has(d.id)) b.dim(d.id, { value: size });
      return;
    }
    const cell = b.temp(`${d.id}.size`, "i32", [D.one]);
    b.map(cell, () => size);
    b.dim(d.id, { buffer: cell, index: D.zero });
  });
}
