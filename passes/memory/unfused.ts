// What a model's values would take if each had memory of its own from the node that makes it to the last that reads it: what fusion, views
// and work in place are measured against.
import type { ValueId } from "../../src/base/brand.ts";
import * as D from "../../src/ir/dim.ts";
import type { AnyNode, Graph } from "../../src/ir/graph.ts";
import { bodiesOf } from "../../src/ir/graph-copy.ts";
import { elementBytes } from "../../src/ir/types.ts";

/** Bytes: with the graph's inputs and outputs among the values, and without. null: they depend on dims or data. */
export type UnfusedBound = { readonly withPorts: number | null; readonly withoutPorts: number | null };

/**
 * The most bytes of values that are alive at one time, nodes run in the order of the graph: every tensor at its logical size, constants
 * apart. While a node with bodies runs, so does the body that needs most.
 */
export function unfusedBound(g: Graph): UnfusedBound {
  return { withPorts: bound(g, true), withoutPorts: bound(g, false) };
}

function bound(g: Graph, ports: boolean): number | null {
  const isPort = new Set([...g.inputs, ...g.outputs]);
  const constants = constantsOf(g);
  const end = g.nodes.length;
  const spans = new Map<ValueId, { first: number; last: number }>();
  const touch = (id: ValueId | null, time: number): void => {
    if (id === null || constants.has(id) || (!ports && isPort.has(id))) return;
    const s = spans.get(id);
    if (s) s.last = Math.max(s.last, time);
    else spans.set(id, { first: time, last: time });
  };
  for (const id of g.inputs) touch(id, -1);
  g.nodes.forEach((n, time) => {
    for (const id of [...n.inputs, ...n.outputs]) touch(id, time);
  });
  for (const id of g.outputs) touch(id, end);
  const change = new Array<number>(end + 3).fill(0);
  for (const [id, { first, last }] of spans) {
    const bytes = bytesOf(g, id);
    if (bytes === null) return null;
    change[first + 1]! += bytes;
    change[last + 2]! -= bytes;
  }
  let most = 0;
  let alive = 0;
  for (let time = -1; time <= end; time++) {
    alive += change[time + 1]!;
    const inner = time >= 0 && time < end ? innermost(g.nodes[time]!) : 0;
    if (inner === null) return null;
    most = Math.max(most, alive + inner);
  }
  return most;
}
/** Initializers, and what follows from them alone. */
function constantsOf(g: Graph): ReadonlySet<ValueId> {
  const constants = new Set([...g.values.values()].filter((v) => v.constant).map((v) => v.id));
  for (const n of g.nodes) {
    const inputs = n.inputs.filter((id) => id !== null);
    if (inputs.length === 0 || !inputs.every((id) => constants.has(id))) continue;
    for (const id of n.outputs) if (id !== null) constants.add(id);
  }
  return constants;
}
/** What the bodies of a node need beside its inputs and outputs. */
function innermost(n: AnyNode): number | null {
  const all = bodiesOf(n).map((b) => bound(b, false));
  return all.reduce<number | null>((a, b) => (a === null || b === null ? null : Math.max(a, b)), 0);
}
/** A sequence's bytes are those of its elements, which are values themselves. */
function bytesOf(g: Graph, id: ValueId): number | null {
  const type = g.values.get(id)?.type;
  if (type?.kind !== "tensor") return 0;
  const count = D.known(D.product(type.tensor.shape ?? []));
  return count === null ? null : Math.ceil(count * elementBytes(type.tensor.dtype));
}
