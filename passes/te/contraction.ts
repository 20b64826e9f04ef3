// Recognises sums of products and classifies their axes by the operands that use them. Knows nothing of convolutions or matrices:
// both are sums over a*b.

import type { Dim } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import { toDim } from "../../src/ir/expr.ts";
import type { Axis, Reduce, Stage, TeExpr } from "../../src/ir/te.ts";
import { loadsOf } from "./access.ts";

type Load = Extract<TeExpr, { kind: "load" }>;
export type Operand = { readonly load: Load; readonly index: readonly Dim[]; readonly axes: ReadonlySet<string> };
export type Contraction = {
  /** Operands: `b` is the one whose own axes are N. */
  readonly a: Operand;
  readonly b: Operand;
  /** In a, b and the output. */
  readonly batch: readonly Axis[];
  /** In a and the output only. */
  readonly m: readonly Axis[];
  /** In b and the output only. */
  readonly n: readonly Axis[];
  /** Reduced. */
  readonly k: readonly Axis[];
};

/** The two factors of a sum of products, or null. */
export function factorsOf(r: Reduce): readonly [TeExpr, TeExpr] | null {
  if (r.state.length !== 1) return null;
  const s = r.state[0]!;
  const u = r.update[0]!;
  const isState = (e: TeExpr): boolean => e.kind === "var" && e.name === s.name;
  if (Number(s.init.value) !== 0) return null;
  if (u.kind === "mulAdd" && isState(u.c)) return [u.a, u.b];
  if (u.kind === "binary" && u.op === "add") {
    const other = isState(u.a) ? u.b : isState(u.b) ? u.a : null;
    if (other?.kind === "binary" && (other.op === "mul" || other.op === "dot16")) return [other.a, other.b];
  }
  return null;
}

/**
 * The contraction that a stage is, or null. prefersN says of an operand's buffer how much it wants to be b (a constant can be
 * packed); among equals the operand that holds the output's last axis.
 */
export function contractionOf(s: Stage, prefersB: (l: Load) => boolean): Contraction | null {
  const o = s.outs[0]!;
  if (s.outs.length !== 1 || o.body.kind !== "reduce" || s.scan !== null) return null;
  const f = factorsOf(o.body);
  if (!f) return null;
  const operands = f.map((e): Operand | null => {
    const loads = loadsOf(e);
    // The factor is one load, perhaps cast or shifted by a zero point that does not move with the sum.
    const moving = loads.filter((l) => l.index.length > 0 && l.index.some((i) => i.kind !== "const"));
    const l = moving[0];
    if (moving.length !== 1 || !l) return null;
    const index = l.index.map((i) => toDim(i));
    if (!index.every((d) => d !== null)) return null;
    const syms = new Set<string>();
    for (const d of index as Dim[]) for (const x of D.symbolsOf(d)) syms.add(x);
    return { load: l, index: index as Dim[], axes: syms };
  });
  const [p, q] = operands;
  if (!p || !q) return null;
  const only = (x: Operand, y: Operand): Axis[] => s.axes.filter((a) => x.axes.has(a.name) && !y.axes.has(a.name));
  const last = s.axes[s.axes.length - 1];
  const size = (axes: readonly Axis[]): number => axes.reduce((n, a) => n * (D.known(a.extent) ?? 64), 1);
  const wantP = prefersB(p.load);
  const wantQ = prefersB(q.load);
  let bIsQ: boolean;
  if (wantP !== wantQ) bIsQ = wantQ;
  else if (only(p, q).length === 0 || only(q, p).length === 0) bIsQ = only(q, p).length > 0 || only(p, q).length === 0;
  else bIsQ = last === undefined || !p.axes.has(last.name) || q.axes.has(last.name);
  // A matrix times a vector: the vector is a, whichever side it stands on.
  if (wantP === wantQ && size(only(p, q)) === 1 && size(only(q, p)) > 1) bIsQ = true;
  const [a, b] = bIsQ ? [p, q] : [q, p];
  return {
    a,
    b,
    batch: s.axes.filter((x) => a.axes.has(x.name) && b.axes.has(x.name)),
    m: only(a, b),
    n: only(b, a),
    k: o.body.axes,
  };
}
/** The dim of an operand whose index is exactly this axis, or -1. */
export function dimOf(o: Operand, axis: string): number {
  return o.index.findIndex((d) => d.kind === "sym" && d.id === axis);
}
