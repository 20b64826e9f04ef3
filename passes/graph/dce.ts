// Drops what no output needs.
import { must } from "../../src/base/assert.ts";
import type { ValueId } from "../../src/base/brand.ts";
import type { AnyNode, Graph, Value } from "../../src/ir/graph.ts";

/** The graph without the nodes that no output needs, and without the values (constants above all) that nothing names any more. */
export function eliminateDeadNodes(g: Graph): Graph {
  const live = new Set<ValueId>();
  const use = (id: ValueId): void => {
    if (live.has(id)) return;
    live.add(id);
    for (const e of must(g.values.get(id), `value ${id}`).elements ?? []) use(e);
  };
  g.outputs.forEach(use);
  const nodes: AnyNode[] = [];
  for (const n of [...g.nodes].reverse()) {
    if (!n.outputs.some((o) => o !== null && live.has(o) && g.values.get(o)!.constant === undefined)) continue;
    nodes.push(n);
    for (const i of n.inputs) if (i !== null) use(i);
  }
  for (const id of g.inputs) live.add(id);
  for (const n of nodes) for (const o of n.outputs) if (o !== null) live.add(o);
  const values = new Map<ValueId, Value>([...g.values].filter(([id]) => live.has(id)));
  return { ...g, values, nodes: nodes.reverse() };
}
