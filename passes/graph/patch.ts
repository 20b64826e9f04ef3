// Changes graphs by patches: a node at a time, in order, is replaced by others, and what is not replaced stays as it is, types and
// ids included. A patch whose values are not of the types of those they replace is dropped.
import { must } from "../../src/base/assert.ts";
import type { SymbolId, ValueId } from "../../src/base/brand.ts";
import type { Dim } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import type { AnyNode, Graph, Value } from "../../src/ir/graph.ts";
import { firstFreeSymbol, hasBodies, mapBodies, substituteInNode, substituteInValue } from "../../src/ir/graph-copy.ts";
import { defOf, GraphMaker } from "../../src/ir/graph-maker.ts";
import type { Tensor, TensorType, ValueType } from "../../src/ir/types.ts";
import { Identity } from "../../src/ops/view.ts";
import { eliminateDeadNodes } from "./dce.ts";

/** Values for the outputs of a node whose inputs are those of the patched graph; null: the node stays. */
export type Replace = (n: AnyNode) => readonly (ValueId | null)[] | null;

/**
 * Patches a graph, and each body graph before the node that has it. `rule` is asked once for each of them, with the patch to add
 * nodes by. Dead nodes are dropped. Inputs and outputs keep names and types.
 */
export function patchGraph(g: Graph, rule: (p: Patch) => Replace): Graph {
  let nextSymbol = firstFreeSymbol(g);
  const patched = (h: Graph): Graph => {
    const nodes = h.nodes.map((n) => (hasBodies(n) ? mapBodies(n, patched) : n));
    const p = new Patch({ ...h, nodes }, nextSymbol);
    const result = p.run(rule(p));
    nextSymbol = Math.max(nextSymbol, firstFreeSymbol(result));
    return result;
  };
  return patched(g);
}

/** A graph being patched. Nodes are added through `make`, at the place of the node that is looked at, as if they came from it. */
export class Patch {
  readonly graph: Graph;
  readonly make: GraphMaker;
  private readonly producers = new Map<ValueId, AnyNode>();
  private indexed = 0;
  private readonly replaced = new Map<ValueId, ValueId>();
  private readonly reads = new Map<ValueId, number>();
  /** What symbols that replaced nodes had bound stand for now. Only later nodes name them. */
  private readonly symbols = new Map<SymbolId, Dim>();

  constructor(g: Graph, nextSymbol: number) {
    this.graph = g;
    this.make = GraphMaker.from(g);
    this.make.startSymbolsAt(nextSymbol);
    const read = (v: ValueId | null): void => {
      if (v !== null) this.reads.set(v, (this.reads.get(v) ?? 0) + 1);
    };
    for (const n of g.nodes) n.inputs.forEach(read);
    g.outputs.forEach(read);
  }

  /** The node that makes a value of the patched graph; null for inputs and constants. */
  producer(v: ValueId | null): AnyNode | null {
    const { nodes } = this.make;
    for (; this.indexed < nodes.length; this.indexed++)
      for (const o of nodes[this.indexed]!.outputs) if (o !== null) this.producers.set(o, nodes[this.indexed]!);
    return v === null ? null : (this.producers.get(v) ?? null);
  }
  /** How often a value of the graph as it was is read, as an output of the graph too. */
  uses(v: ValueId): number {
    return this.reads.get(v) ?? 0;
  }
  constant(v: ValueId | null | undefined): Tensor | null {
    return v === null || v === undefined ? null : this.make.constantOf(v);
  }
  /** The type of a tensor; null for anything else. */
  tensor(v: ValueId | null | undefined): TensorType | null {
    const t = v === null || v === undefined ? null : this.make.type(v);
    return t?.kind === "tensor" ? t.tensor : null;
  }

  /** Runs once. */
  run(replace: Replace): Graph {
    const m = this.make;
    for (const old of this.graph.nodes) {
      if (old.outputs.every((o) => o === null || m.constantOf(o) !== null)) continue;
      const moved = { ...old, inputs: old.inputs.map((i) => (i === null ? null : this.now(i))) };
      const n = this.symbols.size > 0 ? substituteInNode(moved, this.symbols) : moved;
      const before = { nodes: m.nodes.length, symbols: m.symbols.length, value: m.nextValueId };
      m.loc = n.loc;
      const values = replace(n);
      if (values && this.accept(n, values, before.value)) continue;
      // A dropped patch leaves no node; its values are dead.
      this.producer(null);
      for (const dropped of m.nodes.splice(before.nodes))
        for (const o of dropped.outputs) if (o !== null) this.producers.delete(o);
      this.indexed = Math.min(this.indexed, before.nodes);
      m.symbols.splice(before.symbols);
      m.nodes.push(n);
    }
    for (const [id, v] of m.values)
      if (v.elements) m.values.set(id, { ...v, elements: v.elements.map((e) => this.now(e)) });
    const outputs = keepOutputs(m, this.graph, (v) => this.now(v));
    return eliminateDeadNodes(m.finish(outputs));
  }
  private now(v: ValueId): ValueId {
    return this.replaced.get(v) ?? v;
  }

  /** Puts `values` in the place of the outputs of n, if they are of the same types. */
  private accept(n: AnyNode, values: readonly (ValueId | null)[], firstNew: number): boolean {
    const m = this.make;
    const pairs = n.outputs.flatMap((o, k) => {
      if (o === null || (values[k] === null && this.uses(o) === 0)) return [];
      return [{ old: m.get(o), now: m.get(must(values[k], `output ${k} of ${n.def.name}`)) }];
    });
    const own = this.ownSymbols(n);
    const to = new Map<SymbolId, Dim>();
    if (!pairs.every((p) => this.uses(p.old.id) === 0 || unify(p.old.type, p.now.type, own, to))) return false;
    for (const { old, now } of pairs) {
      if (old.id === now.id) continue;
      this.replaced.set(old.id, now.id);
      const known = now.known ?? old.known;
      const name = now.id >= firstNew ? old.name : now.name;
      m.values.set(now.id, { ...now, name, ...(known ? { known } : {}) });
    }
    if (to.size > 0) this.substitute(to);
    return true;
  }
  /** Symbols that this node binds: they depend on data, and none of its inputs mentions them. */
  private ownSymbols(n: AnyNode): (s: SymbolId) => boolean {
    const mentioned = new Set<SymbolId>();
    for (const i of n.inputs) {
      if (i === null) continue;
      const v = this.make.get(i);
      dimsIn(v.type, (d) => D.symbolsOf(d, mentioned));
      for (const e of v.known?.elements ?? []) if (e !== null && typeof e !== "number") D.symbolsOf(e, mentioned);
    }
    return (s) => !mentioned.has(s) && this.make.symbols.some((x) => x.id === s && x.def === "data");
  }
  private substitute(to: ReadonlyMap<SymbolId, Dim>): void {
    const m = this.make;
    for (const [id, v] of m.values) m.values.set(id, substituteInValue(v, to));
    for (const [s, d] of this.symbols)
      this.symbols.set(
        s,
        D.substitute(d, (x) => to.get(x) ?? null),
      );
    for (const [s, d] of to) this.symbols.set(s, d);
    const kept = m.symbols.filter((s) => !to.has(s.id));
    m.symbols.splice(0, m.symbols.length, ...kept);
  }
}

function dimsIn(t: ValueType, f: (d: Dim) => void): void {
  if (t.kind === "tensor") t.tensor.shape.forEach(f);
  else dimsIn(t.of, f);
}
/** Whether `now` may stand for `old`: the same but for own symbols of `old`, which are then noted in `to`. */
function unify(old: ValueType, now: ValueType, own: (s: SymbolId) => boolean, to: Map<SymbolId, Dim>): boolean {
  if (old.kind !== "tensor" || now.kind !== "tensor")
    return old.kind !== "tensor" && now.kind === old.kind && unify(old.of, now.of, own, to);
  const [a, b] = [old.tensor, now.tensor];
  if (a.dtype !== b.dtype || a.shape.length !== b.shape.length) return false;
  return a.shape.every((d, k) => {
    const e = b.shape[k]!;
    if (d === e) return true;
    if (d.kind !== "sym" || !own(d.id)) return false;
    const noted = to.get(d.id);
    if (noted === undefined) to.set(d.id, e);
    return noted === undefined || noted === e;
  });
}

/**
 * The outputs of g after its values have become those that `now` says, under the names that they had. Where an output has become an
 * input, a constant or another output, which cannot take its name, a copy has it.
 */
export function keepOutputs(m: GraphMaker, g: Graph, now: (v: ValueId) => ValueId): readonly ValueId[] {
  const taken = new Set<ValueId>(m.inputs);
  return g.outputs.map((o) => {
    const { name } = must(g.values.get(o), "an output");
    const v = now(o);
    const value: Value = m.get(v);
    if (value.name === name || value.type.kind !== "tensor") taken.add(v);
    else if (value.constant !== undefined) return m.constant(value.constant, name);
    else if (taken.has(v))
      return must(m.node(defOf({ def: Identity }), {}, [v], [name], { node: name, op: "Identity" })[0], name);
    else {
      taken.add(v);
      m.rename(v, name);
    }
    return v;
  });
}
