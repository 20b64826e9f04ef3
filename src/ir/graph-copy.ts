// Copies the nodes of one graph into another. Types are inferred anew, so symbols that inference makes get new names: body graphs,
// which name the old ones in the types of what they capture, are renamed along.
import { must } from "../base/assert.ts";
import type { SymbolId, ValueId } from "../base/brand.ts";
import { type Diagnostic, UserError } from "../base/diagnostics.ts";
import type { Dim } from "./dim.ts";
import * as D from "./dim.ts";
import type { AnyNode, Attrs, AttrValue, Graph, Value } from "./graph.ts";
import type { GraphMaker } from "./graph-maker.ts";
import { type TensorType, tensorType, type ValueType } from "./types.ts";

/** What a node becomes: values for its outputs; null: a node like it. */
export type Replace = (n: AnyNode, inputs: readonly (ValueId | null)[]) => readonly (ValueId | null)[] | null;

/**
 * Adds the nodes of g to m, `map` giving the values of its inputs. Returns what each value has become; a value that was not there before
 * takes the name of the one it stands for. Throws one UserError with the problems of the first node that has any.
 */
export function copyNodes(
  m: GraphMaker,
  g: Graph,
  map: Map<ValueId, ValueId>,
  replace: Replace = () => null,
): (v: ValueId) => ValueId {
  const get = (id: ValueId): ValueId => {
    const old = map.get(id);
    if (old !== undefined) return old;
    const v = must(g.values.get(id), `value ${id}`);
    const made = v.elements
      ? m.collection(v.type, v.elements.map(get))
      : v.parts
        ? m.list(v.type, v.parts.map(get))
        : m.constant(must(v.constant, `a value for "${v.name}"`), v.name);
    map.set(id, made);
    return made;
  };
  const renamed = new Map<SymbolId, Dim>();
  const note = (before: ValueType, after: ValueType): void => {
    if (before.kind !== "tensor" || after.kind !== "tensor") return;
    before.tensor.shape.forEach((d, k) => {
      const now = after.tensor.shape[k];
      if (d.kind === "sym" && now && d !== now && !renamed.has(d.id)) renamed.set(d.id, now);
    });
  };
  const problems: Diagnostic[] = [];
  const outer = m.loc;
  for (const old of g.nodes) {
    if (old.outputs.every((o) => o === null || g.values.get(o)!.constant !== undefined)) continue;
    const n = renamed.size > 0 ? substituteInNode(old, renamed) : old;
    try {
      m.loc = n.loc;
      const inputs = n.inputs.map((i) => (i === null ? null : get(i)));
      const firstNew = m.nextValueId;
      const outs =
        replace(n, inputs) ??
        m.again(
          n,
          inputs,
          n.outputs.map((o) => (o === null ? null : g.values.get(o)!.name)),
        );
      n.outputs.forEach((o, k) => {
        if (o === null) return;
        const to = must(outs[k], `output ${k} of ${n.def.name}`);
        map.set(o, to);
        note(g.values.get(o)!.type, m.type(to));
        if (to >= firstNew) m.rename(to, g.values.get(o)!.name);
      });
    } catch (e) {
      if (!(e instanceof UserError)) throw e;
      problems.push(...e.diagnostics);
      break;
    }
  }
  m.loc = outer;
  if (problems.length > 0) throw new UserError(problems);
  return get;
}

function isGraph(x: AttrValue | undefined): x is Graph {
  return typeof x === "object" && x !== null && "nodes" in x && "values" in x;
}
export function hasBodies(n: AnyNode): boolean {
  return Object.values(n.attrs as Attrs).some(isGraph);
}
export function mapBodies(n: AnyNode, f: (g: Graph) => Graph): AnyNode {
  return {
    ...n,
    attrs: Object.fromEntries(Object.entries(n.attrs as Attrs).map(([k, v]) => [k, isGraph(v) ? f(v) : v])),
  };
}
/** The graphs among a node's attributes. */
export function bodiesOf(n: AnyNode): Graph[] {
  return Object.values(n.attrs as Attrs).filter(isGraph);
}
/** A number above those of all symbols of a graph and its bodies. */
export function firstFreeSymbol(g: Graph): number {
  const own = g.symbols.map((s) => Number(/\.(\d+)$/.exec(s.id)?.[1] ?? -1) + 1);
  return Math.max(g.symbols.length, ...own, ...g.nodes.flatMap(bodiesOf).map(firstFreeSymbol));
}
/** A node whose attributes say other dims in place of symbols: the types in them, and those in its body graphs. */
export function substituteInNode(n: AnyNode, to: ReadonlyMap<SymbolId, Dim>): AnyNode {
  const attrs = n.attrs as Attrs;
  if (!Object.values(attrs).some((x) => isGraph(x) || isType(x))) return n;
  const mapped = Object.entries(attrs).map(([k, x]) => [
    k,
    isGraph(x) ? substituteInBody(x, to) : isType(x) ? { ...x, shape: x.shape.map(dimMap(to)) } : x,
  ]);
  return { ...n, attrs: Object.fromEntries(mapped) };
}
function isType(x: AttrValue | undefined): x is TensorType {
  return typeof x === "object" && x !== null && "shape" in x && "dtype" in x;
}
function dimMap(to: ReadonlyMap<SymbolId, Dim>): (d: Dim) => Dim {
  return (d) => D.substitute(d, (id) => to.get(id) ?? null);
}
/** A value with other dims in place of symbols, in its type and in what is known of it. */
export function substituteInValue(v: Value, to: ReadonlyMap<SymbolId, Dim>): Value {
  const dim = dimMap(to);
  const type = (t: ValueType): ValueType =>
    t.kind === "tensor" ? tensorType(t.tensor.dtype, t.tensor.shape.map(dim)) : { kind: t.kind, of: type(t.of) };
  const known = v.known && {
    dims: v.known.dims,
    elements: v.known.elements.map((e) => (e === null || typeof e === "number" ? e : dim(e))),
  };
  return { ...v, type: type(v.type), ...(known ? { known } : {}) };
}
function substituteInBody(g: Graph, to: ReadonlyMap<SymbolId, Dim>): Graph {
  return {
    ...g,
    symbols: g.symbols.filter((s) => !to.has(s.id)),
    values: new Map([...g.values].map(([id, v]) => [id, substituteInValue(v, to)])),
    nodes: g.nodes.map((n) => substituteInNode(n, to)),
  };
}
