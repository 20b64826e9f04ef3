// Marks the loads inside of selects whose index is in bounds whatever the condition says: vectors evaluate both sides.
import type { BufferId } from "../../src/base/brand.ts";
import * as D from "../../src/ir/dim.ts";
import { toDim } from "../../src/ir/expr.ts";
import { mapExpr, visitExpr } from "../../src/ir/rewrite.ts";
import { axesOf } from "../../src/ir/schedule.ts";
import { axisRanges } from "../../src/ir/simplify.ts";
import type { Buffer } from "../../src/ir/storage.ts";
import { rangesOf } from "../../src/ir/symbolic.ts";
import type { Stage, TeExpr, TeProgram } from "../../src/ir/te.ts";
import { mapStages } from "./inline.ts";

export function markSafe(p: TeProgram): TeProgram {
  const outer = rangesOf(p.symbols);
  return { ...p, actions: mapStages(p.actions, (s) => marked(s, p.buffers, outer)) };
}

function marked(s: Stage, buffers: ReadonlyMap<BufferId, Buffer>, outer: D.Ranges): Stage {
  let selects = false;
  for (const o of s.outs)
    visitExpr(o.body, (e) => {
      if (e.kind === "select") selects = true;
    });
  if (!selects) return s;
  const ranges = axisRanges(axesOf(s), outer);
  const inBounds = (e: Extract<TeExpr, { kind: "load" }>): boolean => {
    const shape = buffers.get(e.buffer)!.shape;
    return e.index.every((i, k) => {
      const d = toDim(i);
      return d !== null && D.nonNegative(d, ranges) && D.atMost(d, D.sub(shape[k]!, D.one), ranges);
    });
  };
  const memo = new Map<TeExpr, TeExpr>();
  const mark = (e: TeExpr): TeExpr =>
    mapExpr<TeExpr>(e, (x) => (x.kind === "load" && !x.safe && inBounds(x) ? { ...x, safe: true } : x), memo);
  return { ...s, outs: s.outs.map((o) => ({ ...o, body: mark(o.body) })) };
}
