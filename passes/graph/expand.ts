// Replaces ops that are defined by others, until only ops that compute are left; drops nodes that nothing needs.
import { must } from "../../src/base/assert.ts";
import type { SymbolId, ValueId } from "../../src/base/brand.ts";
import { type Diagnostic, UserError } from "../../src/base/diagnostics.ts";
import * as D from "../../src/ir/dim.ts";
import type { Dim } from "../../src/ir/dim.ts";
import type { AnyNode, Attrs, AttrValue, Graph } from "../../src/ir/graph.ts";
import { defOf, GraphMaker } from "../../src/ir/graph-maker.ts";
import { tensorType, type ValueType } from "../../src/ir/types.ts";

/** Copies a graph node by node through `f`, which may add other nodes instead. Types and known values are inferred anew. */
export function rebuild(g: Graph, f: (m: GraphMaker, n: AnyNode, inputs: readonly (ValueId | null)[]) => readonly (ValueId | null)[] | null): Graph {
  const m = new GraphMaker(g.name);
  for (const s of g.symbols) m.symbol(s);
  m.startSymbolsAt(firstFreeSymbol(g));
  const map = new Map<ValueId, ValueId>();
  for (const id of g.inputs) {
    const v = must(g.values.get(id), "an input");
    map.set(id, m.input(v.name, v.type, v.known ?? null));
  }
  const get = (id: ValueId | null): ValueId | null => {
    if (id === null) return null;
    const old = map.get(id);
    if (old !== undefined) return old;
    const v = must(g.values.get(id), `value ${id}`);
    const made = m.constant(must(v.constant, `a value for "${v.name}"`), v.name);
    map.set(id, made);
    return made;
  };
  // Inference names its symbols anew; body graphs name the old ones in the types of what they capture.
  const renamed = new Map<SymbolId, Dim>();
  const note = (before: ValueType, after: ValueType): void => {
    if (before.kind !== "tensor" || after.kind !== "tensor") return;
    before.tensor.shape.forEach((d, k) => {
      const now = after.tensor.shape[k];
      if (d.kind === "sym" && now && d !== now && !renamed.has(d.id)) renamed.set(d.id, now);
    });
  };
  const problems: Diagnostic[] = [];
  for (const old of g.nodes) {
    const n = renamed.size > 0 && hasBodies(old) ? mapBodies(old, (body) => renameSymbols(body, renamed)) : old;
    if (n.outputs.every((o) => o === null || g.values.get(o)!.constant !== undefined)) continue;
    try {
      m.loc = n.loc;
      const inputs = n.inputs.map(get);
      const outs = f(m, n, inputs) ?? m.node(defOf(n), n.attrs as Attrs, inputs, n.outputs.map((o) => (o === null ? null : g.values.get(o)!.name)), n.loc);
      n.outputs.forEach((o, k) => {
        if (o === null) return;
        const to = must(outs[k], `output ${k} of ${n.def.name}`);
        map.set(o, to);
        note(g.values.get(o)!.type, m.type(to));
        m.rename(to, g.values.get(o)!.name);
      });
    } catch (e) {
      if (!(e instanceof UserError)) throw e;
      problems.push(...e.diagnostics);
      break;
    }
  }
  if (problems.length > 0) throw new UserError(problems);
  const made = m.finish(g.outputs.map((o) => get(o)!));
  return eliminateDeadNodes(made);
}
export function eliminateDeadNodes(g: Graph): Graph {
  const live = new Set<ValueId>(g.outputs);
  const nodes: AnyNode[] = [];
  for (const n of [...g.nodes].reverse()) {
    if (!n.outputs.some((o) => o !== null && live.has(o) && g.values.get(o)!.constant === undefined)) continue;
    nodes.push(n);
    for (const i of n.inputs) if (i !== null) live.add(i);
  }
  return { ...g, nodes: nodes.reverse() };
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
function isGraph(x: AttrValue | undefined): x is Graph {
  return typeof x === "object" && x !== null && "nodes" in x && "values" in x;
}
function hasBodies(n: AnyNode): boolean {
  return Object.values(n.attrs as Attrs).some(isGraph);
}
function expandBodies(g: Graph): Graph {
  if (!g.nodes.some(hasBodies)) return g;
  return { ...g, nodes: g.nodes.map((n) => (hasBodies(n) ? mapBodies(n, expand) : n)) };
}
function mapBodies(n: AnyNode, f: (g: Graph) => Graph): AnyNode {
  return { ...n, attrs: Object.fromEntries(Object.entries(n.attrs as Attrs).map(([k, v]) => [k, isGraph(v) ? f(v) : v])) };
}
function bodiesOf(n: AnyNode): Graph[] {
  return Object.values(n.attrs as Attrs).filter(isGraph);
}
/** A number above those of all symbols of a graph and its bodies. */
function firstFreeSymbol(g: Graph): number {
  const own = g.symbols.map((s) => Number(/\.(\d+)$/.exec(s.id)?.[1] ?? -1) + 1);
  return Math.max(g.symbols.length, ...own, ...g.nodes.flatMap(bodiesOf).map(firstFreeSymbol));
}
function renameSymbols(g: Graph, to: ReadonlyMap<SymbolId, Dim>): Graph {
  const dim = (d: Dim): Dim => D.substitute(d, (id) => to.get(id) ?? null);
  const type = (t: ValueType): ValueType => (t.kind === "tensor" ? tensorType(t.tensor.dtype, t.tensor.shape.map(dim)) : { kind: t.kind, of: type(t.of) });
  const values = [...g.values].map(([id, v]) => [id, {
    ...v, type: type(v.type),
    ...(v.known ? { known: { dims: v.known.dims, elements: v.known.elements.map((e) => (e === null || typeof e === "number" ? e : dim(e))) } } : {}),
  }] as const);
  return { ...g, symbols: g.symbols.filter((s) => !to.has(s.id)), values: new Map(values), nodes: g.nodes.map((n) => (hasBodies(n) ? mapBodies(n, (b) => renameSymbols(b, to)) : n)) };
}
