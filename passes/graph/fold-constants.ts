// Evaluates what depends on constants alone, by compiling it for the target that runs here: one program for all of it.
import { must } from "../../src/base/assert.ts";
import type { NodeId, ValueId } from "../../src/base/brand.ts";
import * as D from "../../src/ir/dim.ts";
import type { AnyNode, Graph, Value } from "../../src/ir/graph.ts";
import { hasBodies, mapBodies } from "../../src/ir/graph-copy.ts";
import type { Program } from "../../src/ir/program.ts";
import { knownOf } from "../../src/ir/symbolic.ts";
import type { TargetInfo } from "../../src/ir/target.ts";
import { elementBytes, type Tensor } from "../../src/ir/types.ts";
import { lowerProgram } from "../lower.ts";
import { inline } from "../te/inline.ts";
import { resolveStorage } from "../te/storage.ts";
import { toTe } from "../te/to-te.ts";
import { eliminateDeadNodes } from "./dce.ts";

/** Runs programs in this process; injected, since passes know no target. */
export type Evaluator = { readonly info: TargetInfo; readonly run: (p: Program) => ReadonlyMap<string, Tensor> };

/** A result this much larger than what it is made from is left to run time (a broadcast, a tile). */
const maxGrowth = 1 << 20;

export function foldConstants(graph: Graph, evaluator: Evaluator): Graph {
  const inBodies = (n: AnyNode): AnyNode => (hasBodies(n) ? mapBodies(n, (body) => foldConstants(body, evaluator)) : n);
  const g = graph.nodes.some(hasBodies) ? { ...graph, nodes: graph.nodes.map(inBodies) } : graph;
  const constant = new Set<ValueId>();
  for (const v of g.values.values()) if (v.constant !== undefined) constant.add(v.id);
  const foldable: AnyNode[] = [];
  const bytes = (id: ValueId): number => {
    const t = must(g.values.get(id), `value ${id}`).type;
    if (t.kind !== "tensor") return Number.POSITIVE_INFINITY;
    const n = D.known(D.product(t.tensor.shape));
    return n === null ? Number.POSITIVE_INFINITY : n * elementBytes(t.tensor.dtype);
  };
  for (const n of g.nodes) {
    if (n.def.effects !== "none" || n.def.body.kind === "control") continue;
    if (n.outputs.every((o) => o === null || g.values.get(o)!.constant !== undefined)) continue;
    if (!n.inputs.every((i) => i === null || constant.has(i))) continue;
    const size = n.outputs.reduce((s, o) => s + (o === null ? 0 : bytes(o)), 0);
    const from = n.inputs.reduce((s, i) => s + (i === null ? 0 : bytes(i)), 0);
    if (!Number.isFinite(size) || size > 4 * from + maxGrowth) continue;
    foldable.push(n);
    for (const o of n.outputs) if (o !== null) constant.add(o);
  }
  if (foldable.length === 0) return eliminateDeadNodes(g);
  const inside = new Set<NodeId>(foldable.map((n) => n.id));
  const wanted = new Set<ValueId>(g.outputs.filter((o) => g.values.get(o)!.constant === undefined && constant.has(o)));
  const made = new Set(foldable.flatMap((n) => n.outputs));
  for (const n of g.nodes)
    if (!inside.has(n.id)) for (const i of n.inputs) if (i !== null && made.has(i)) wanted.add(i);
  const outputs = [...wanted].filter((o) => g.values.get(o)!.constant === undefined);
  // Names of values may repeat; ids do not.
  const values = new Map<ValueId, Value>([...g.values].map(([id, v]) => [id, { ...v, name: `v${id}` }]));
  const part: Graph = eliminateDeadNodes({
    name: `${g.name}.constants`,
    symbols: [],
    inputs: [],
    outputs,
    values,
    nodes: foldable,
  });
  const te = resolveStorage(inline(toTe(part)));
  const results = evaluator.run(lowerProgram(te, { target: evaluator.info, strict: true }));
  const now = new Map(g.values);
  for (const o of outputs) {
    const result = must(results.get(`v${o}`), `a result for v${o}`);
    const known = knownOf(result);
    now.set(o, { ...g.values.get(o)!, constant: result, ...(known ? { known } : {}) });
  }
  return eliminateDeadNodes({ ...g, values: now });
}
