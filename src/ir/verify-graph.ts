import type { NodeId, SymbolId, ValueId } from "../base/brand.ts";
import { type Dim, known, symbolsOf } from "./dim.ts";
import type { AnyNode, AttrValue, Graph, Value } from "./graph.ts";
import { countOf, elementBytes, type Tensor, type ValueType } from "./types.ts";
import { Place } from "./verify-expr.ts";

/**
 * Throws InternalError unless: ids are defined once, every input of a node is defined before it in the same graph (a body graph
 * captures nothing), types are present and their symbols declared, constants fit their types. Body graphs are checked too.
 */
export function verifyGraph(g: Graph): void {
  graph(g, new Set(), new Place(`graph "${g.name}"`));
}

/** `outer`: the symbols of the graphs around, which the types of a body graph may mention. */
function graph(g: Graph, outer: ReadonlySet<SymbolId>, place: Place): void {
  const symbols = new Set(outer);
  for (const s of g.symbols) {
    place.require(!g.symbols.some((x) => x !== s && x.id === s.id), `symbol "${s.id}" is declared twice`);
    place.require(s.max === null || s.min <= s.max, `symbol "${s.id}" lies in ${s.min}..${s.max}`);
    symbols.add(s.id);
  }
  const values = (id: ValueId, at: Place): Value =>
    g.values.get(id) ?? at.fail(`value %${id} is not of this graph (a captured value is an input)`);
  for (const s of g.symbols)
    if (s.def !== null && s.def !== "data") dims([s.def], symbols, place.in(`symbol "${s.id}"`));

  for (const [id, v] of g.values) {
    const at = place.in(`value %${id} "${v.name}"`);
    at.require(v.id === id, `is filed under another id than its own, ${v.id}`);
    type(v.type, symbols, at);
    if (v.constant) constant(v.constant, v.type, at);
  }

  const made = new Set<ValueId>();
  const make = (id: ValueId, at: Place): void => {
    values(id, at);
    at.require(!made.has(id), `value %${id} is defined twice`);
    made.add(id);
  };
  for (const id of g.inputs) make(id, place.in("inputs"));
  const read = (id: ValueId, at: Place): void => {
    const v = values(id, at);
    at.require(made.has(id) || v.constant !== undefined, `value %${id} "${v.name}" is used before it is defined`);
  };
  const nodes = new Set<NodeId>();
  for (const n of g.nodes) {
    const at = place.in(`node ${n.id} "${n.loc?.node}" (${n.def.name})`);
    at.require(!nodes.has(n.id), "has the id of another node");
    nodes.add(n.id);
    at.require(typeof n.loc?.node === "string" && typeof n.loc.op === "string", "has no loc");
    for (const i of n.inputs) if (i !== null) read(i, at);
    for (const o of n.outputs) if (o !== null) make(o, at);
    for (const body of bodiesOf(n)) graph(body, symbols, at.in(`graph "${body.name}"`));
  }
  for (const o of g.outputs) read(o, place.in("outputs"));
}

function bodiesOf(n: AnyNode): readonly Graph[] {
  const isGraph = (x: unknown): x is Graph => typeof x === "object" && x !== null && "nodes" in x;
  const attrs = Object.values((n.attrs ?? {}) as { readonly [name: string]: AttrValue | undefined });
  return attrs.flatMap((x) => (Array.isArray(x) ? x.filter(isGraph) : isGraph(x) ? [x] : []));
}

function type(t: ValueType | undefined, symbols: ReadonlySet<SymbolId>, at: Place): void {
  switch (t?.kind) {
    case "tensor":
      dims(t.tensor.shape, symbols, at);
      for (const d of t.tensor.shape) at.require((known(d) ?? 0) >= 0, `has a dim of ${d.key}`);
      return;
    case "sequence":
    case "optional":
      type(t.of, symbols, at);
      return;
    default:
      at.fail("has no type");
  }
}
function dims(ds: readonly Dim[], symbols: ReadonlySet<SymbolId>, at: Place): void {
  for (const d of ds)
    for (const s of symbolsOf(d)) at.require(symbols.has(s), `symbol "${s}" of ${d.key} is not declared`);
}

function constant(t: Tensor, type: ValueType, at: Place): void {
  const want = countOf(t.dims) * elementBytes(t.dtype);
  at.require(t.bytes.length === want, `its constant has ${t.bytes.length} bytes, not ${want}`);
  if (type.kind !== "tensor") at.fail("has a constant but is no tensor");
  const { dtype, shape } = type.tensor;
  at.require(dtype === t.dtype, `is ${dtype} but its constant ${t.dtype}`);
  const fits = shape.length === t.dims.length && shape.every((d, k) => (known(d) ?? t.dims[k]) === t.dims[k]);
  at.require(fits, `is [${shape.map((d) => d.key).join(", ")}] but its constant [${t.dims.join(", ")}]`);
}
