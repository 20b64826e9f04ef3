// Replaces ops that are defined by others, until only ops that compute are left.
import { must } from "../../src/base/assert.ts";
import type { ValueId } from "../../src/base/brand.ts";
import type { AnyNode, Graph } from "../../src/ir/graph.ts";
import { copyNodes, firstFreeSymbol, hasBodies, mapBodies } from "../../src/ir/graph-copy.ts";
import { defOf, GraphMaker } from "../../src/ir/graph-maker.ts";
import { eliminateDeadNodes } from "./dce.ts";
import { keepOutputs } from "./patch.ts";

/** Copies a graph node by node through `f`, which may add other nodes instead. Types and known values are inferred anew. */
export function rebuild(
  g: Graph,
  f: (m: GraphMaker, n: AnyNode, inputs: readonly (ValueId | null)[]) => readonly (ValueId | null)[] | null,
): Graph {
  const m = new GraphMaker(g.name);
  for (const s of g.symbols) m.symbol(s);
  m.startSymbolsAt(firstFreeSymbol(g));
  const inputs = new Map<ValueId, ValueId>();
  for (const id of g.inputs) {
    const v = must(g.values.get(id), "an input");
    inputs.set(id, m.input(v.name, v.type, v.known ?? null));
  }
  const get = copyNodes(m, g, inputs, (n, ins) => f(m, n, ins));
  return eliminateDeadNodes(m.finish(keepOutputs(m, g, get)));
}

export function expand(g: Graph): Graph {
  let now = g;
  for (let round = 0; now.nodes.some((n) => n.def.body.kind === "expand" || hasBodies(n)); round++) {
    if (round > 16) throw new Error("expansion does not end");
    const before = now;
    now = rebuild(now, (m, n, inputs) => {
      const def = defOf(n);
      if (def.body.kind === "expand") return def.body.expand(m, { ...n, inputs } as never);
      return null;
    });
    now = expandBodies(now);
    if (!before.nodes.some((n) => n.def.body.kind === "expand")) break;
  }
  return now;
}
function expandBodies(g: Graph): Graph {
  if (!g.nodes.some(hasBodies)) return g;
  return { ...g, nodes: g.nodes.map((n) => (hasBodies(n) ? mapBodies(n, expand) : n)) };
}
