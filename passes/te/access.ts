// How a stage walks memory: the linear index of every load and store as an affine function of the stage's axes.
import type { BufferId } from "../../src/base/brand.ts";
import type { Dim, Ranges } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import { toDim } from "../../src/ir/expr.ts";
import { visitExpr } from "../../src/ir/rewrite.ts";
import { axesOf } from "../../src/ir/schedule.ts";
import { axisRanges } from "../../src/ir/simplify.ts";
import { type Buffer, dense, linear, type Storage } from "../../src/ir/storage.ts";
import type { Axis, Stage, TeExpr } from "../../src/ir/te.ts";

/**
 * d as sum of stride * axis + offset, with strides and offset free of the axes. Axes that d holds in another form (a block, a quotient) are
 * irregular.
 */
export function affine(
  d: Dim,
  axes: readonly { readonly name: string }[],
): { readonly strides: ReadonlyMap<string, Dim>; readonly offset: Dim; readonly irregular: ReadonlySet<string> } {
  const names = new Set<string>(axes.map((a) => a.name));
  const strides = new Map<string, Dim>();
  const irregular = new Set<string>();
  const rest: Dim[] = [];
  for (const t of D.termsOf(d)) {
    const { coef, atoms } = D.splitTerm(t);
    const mine = atoms.filter((a) => [...D.symbolsOf(a)].some((s) => names.has(s)));
    if (mine.length === 0) {
      rest.push(t);
      continue;
    }
    const [axis] = mine;
    if (mine.length > 1 || axis?.kind !== "sym") {
      for (const a of mine) for (const s of D.symbolsOf(a)) if (names.has(s)) irregular.add(s);
      continue;
    }
    const stride = D.mul(D.int(coef), ...atoms.filter((a) => a !== axis));
    strides.set(axis.id, D.add(strides.get(axis.id) ?? D.zero, stride));
  }
  return { strides, offset: D.add(...rest), irregular };
}

export type Access = {
  readonly buffer: BufferId;
  readonly store: boolean;
  /** Elements by which the index moves with each axis (absent: 0); null when the index holds more than arithmetic of the axes. */
  readonly strides: ReadonlyMap<string, Dim> | null;
  /** Axes with which the index does not move evenly. */
  readonly irregular: ReadonlySet<string>;
};

/** The loads and stores of a stage, equal ones once. Index expressions that contain loads are not affine. */
export function accessesOf(s: Stage, buffer: (id: BufferId) => Buffer, outer: Ranges): readonly Access[] {
  const axes = axesOf(s);
  const ranges = axisRanges(axes, outer);
  const out: Access[] = [];
  const seen = new Set<string>();
  const note = (id: BufferId, index: readonly (Dim | null)[], store: boolean): void => {
    const dims = index.every((d) => d !== null) ? (index as readonly Dim[]) : null;
    const d = dims && D.simplify(linear(storageOf(buffer(id)), dims), ranges);
    const key = `${id} ${store} ${d?.key}`;
    if (seen.has(key)) return;
    seen.add(key);
    const f = d && affine(d, axes);
    out.push({ buffer: id, store, strides: f?.strides ?? null, irregular: f?.irregular ?? new Set() });
  };
  for (const o of s.outs) {
    note(
      o.buffer,
      s.axes.map((a) => D.sym(a.name)),
      true,
    );
    visitExpr(o.body, (e) => {
      if (e.kind === "load")
        note(
          e.buffer,
          e.index.map((i) => toDim(i)),
          false,
        );
    });
  }
  return out;
}
export function storageOf(b: Buffer): Storage {
  return b.storage ?? dense(b.shape);
}
/** Elements by which an access moves with an axis; null when not evenly. */
export const stride = (a: Access, axis: string): Dim | null =>
  a.strides === null || a.irregular.has(axis) ? null : (a.strides.get(axis) ?? D.zero);

/** True when every access walks `outer` and `inner` as one axis of extent outer*inner. */
export function fusable(accesses: readonly Access[], outer: Axis, inner: Axis): boolean {
  return accesses.every((a) => {
    const [so, si] = [stride(a, outer.name), stride(a, inner.name)];
    return so !== null && si !== null && so === D.mul(si, inner.extent);
  });
}

/** Loads of a body, each once. */
export function loadsOf(e: TeExpr): readonly Extract<TeExpr, { kind: "load" }>[] {
  const out: Extract<TeExpr, { kind: "load" }>[] = [];
  visitExpr(e, (x) => {
    if (x.kind === "load") out.push(x as Extract<TeExpr, { kind: "load" }>);
  });
  return out;
}
