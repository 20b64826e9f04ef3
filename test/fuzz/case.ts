// A model with the inputs of its runs, and its form in a file.

import type { Tensor } from "../../src/ir/types.ts";
import type { AttrSpec, GraphSpec, ModelSpec, NodeSpec } from "../../src/onnx/export.ts";
import type { Tensors } from "../../src/run/ports.ts";
import type { Style } from "./data.ts";

export type FuzzCase = {
  readonly name: string;
  readonly model: ModelSpec;
  readonly style: Style;
  /** The inputs of runs that follow each other. */
  readonly runs: readonly Tensors[];
  /** What the outputs of each run have to be, where all targets once agreed on something else. */
  readonly expected?: readonly Tensors[];
  /** The model has to be refused. */
  readonly refused?: true;
};

export function bodiesOf(n: NodeSpec): (readonly [name: string, g: GraphSpec])[] {
  return Object.entries(n.attrs ?? {}).flatMap(([name, a]) => {
    const g = graphOf(a);
    return g ? [[name, g] as const] : [];
  });
}
function graphOf(a: AttrSpec): GraphSpec | null {
  return typeof a === "object" && "graph" in a ? a.graph : null;
}
/** All nodes, those of bodies included. */
export function nodesOf(g: GraphSpec): NodeSpec[] {
  return g.nodes.flatMap((n) => [n, ...bodiesOf(n).flatMap(([, b]) => nodesOf(b))]);
}
export const outputsOf = (g: GraphSpec): readonly string[] =>
  Array.isArray(g.outputs) ? (g.outputs as readonly string[]) : Object.keys(g.outputs);
/** Names that the nodes of a graph and of its bodies read, and its outputs. */
export function namesRead(g: GraphSpec): Set<string> {
  const inner = g.nodes.flatMap((n) => bodiesOf(n).flatMap(([, b]) => [...namesRead(b)]));
  return new Set([...g.nodes.flatMap((n) => n.inputs), ...inner, ...outputsOf(g)]);
}

/** Without nodes, initializers and inputs that nothing reads. */
export function pruned(c: FuzzCase): FuzzCase {
  let nodes = c.model.nodes;
  for (;;) {
    const read = namesRead({ ...c.model, nodes });
    const left = nodes.filter((n) => n.outputs.some((o) => read.has(o)));
    if (left.length === nodes.length) break;
    nodes = left;
  }
  const read = namesRead({ ...c.model, nodes });
  const only = <T>(x: { readonly [name: string]: T } | undefined): Record<string, T> =>
    Object.fromEntries(Object.entries(x ?? {}).filter(([name]) => read.has(name)));
  return {
    ...c,
    model: { ...c.model, nodes, inputs: only(c.model.inputs), initializers: only(c.model.initializers) },
    runs: c.runs.map(only),
  };
}

/** JSON; the bytes of a tensor in base 16. */
export function toText(c: FuzzCase): string {
  const plain = (_: string, x: unknown): unknown =>
    x instanceof Uint8Array ? { hex: Buffer.from(x).toString("hex") } : typeof x === "bigint" ? { big: String(x) } : x;
  // One line for each entry that is no more than numbers and words.
  return `${JSON.stringify(c, plain, 1).replaceAll(/[[{][^[\]{}]{0,300}[\]}]/g, (s) => s.replaceAll(/\n\s*/g, " "))}\n`;
}
export function fromText(text: string): FuzzCase {
  const revive = (_: string, x: unknown): unknown => {
    if (typeof x !== "object" || x === null) return x;
    const o = x as { readonly hex?: string; readonly big?: string };
    if (typeof o.hex === "string") return aligned(Buffer.from(o.hex, "hex"));
    return typeof o.big === "string" ? BigInt(o.big) : x;
  };
  return JSON.parse(text, revive) as FuzzCase;
}
/** A copy that typed arrays of any element can lie over. */
function aligned(b: Uint8Array): Uint8Array {
  const copy = new Uint8Array(b.length);
  copy.set(b);
  return copy;
}

export type { Tensor };
