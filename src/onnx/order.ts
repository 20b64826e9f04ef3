// Which names a node uses, and an order of nodes in which values come before their uses.
import { fromUtf8 } from "../base/bytes.ts";
import type { GraphProto, NodeProto } from "./schema.ts";

/** The body graphs of a node with the names of their attributes. */
export function bodiesOf(n: NodeProto): { readonly attr: string; readonly graph: GraphProto }[] {
  return n.attribute.flatMap((a) => [...(a.g ? [a.g] : []), ...a.graphs].map((graph) => ({ attr: a.name, graph })));
}

const freeOf = new WeakMap<GraphProto, readonly string[]>();
/** Names that a body graph uses and does not define, in order of first use. */
export function freeNames(g: GraphProto): readonly string[] {
  const known = freeOf.get(g);
  if (known) return known;
  const local = new Set<string>([
    ...g.input.map((i) => i.name),
    ...g.initializer.map((i) => i.name),
    ...g.node.flatMap((n) => n.output),
  ]);
  const free = new Set<string>();
  for (const name of [...g.node.flatMap(usedNames), ...g.output.map((o) => o.name)])
    if (name !== "" && !local.has(name)) free.add(name);
  const list = [...free];
  freeOf.set(g, list);
  return list;
}
/** Names that a node uses itself, in its bodies, or in its attributes. */
export function usedNames(n: NodeProto): string[] {
  return [...n.input, ...bodiesOf(n).flatMap((b) => freeNames(b.graph)), ...(isGradient(n) ? namedIn(n) : [])];
}
export function isGradient(n: NodeProto): boolean {
  return n.opType === "Gradient" && n.domain === "ai.onnx.preview.training";
}
/** The values that a Gradient names. */
function namedIn(n: NodeProto): string[] {
  return n.attribute.flatMap((a) =>
    a.name === "y" && a.s ? [fromUtf8(a.s)] : a.name === "xs" || a.name === "zs" ? a.strings.map(fromUtf8) : [],
  );
}

export type Order = {
  readonly nodes: readonly NodeProto[];
  /** The node that defines each name. */
  readonly producers: ReadonlyMap<string, NodeProto>;
  /** Names defined twice. */
  readonly twice: readonly string[];
  /** Nodes that depend on themselves. */
  readonly cyclic: readonly NodeProto[];
};

/** The order of the file as far as it goes: a node moves only in front of one that needs it. */
export function topologicalOrder(nodes: readonly NodeProto[]): Order {
  const producers = new Map<string, NodeProto>();
  const twice: string[] = [];
  for (const n of nodes) {
    for (const name of n.output) {
      if (name === "") continue;
      if (producers.has(name)) twice.push(name);
      else producers.set(name, n);
    }
  }
  const sorted: NodeProto[] = [];
  const cyclic: NodeProto[] = [];
  const state = new Map<NodeProto, "open" | "done">();
  for (const root of nodes) {
    if (state.has(root)) continue;
    // Depth first with a stack of our own: a model may be a chain of any length.
    const stack = [{ node: root, needs: usedNames(root), next: 0 }];
    state.set(root, "open");
    while (stack.length > 0) {
      const top = stack[stack.length - 1]!;
      const need = top.needs[top.next++];
      if (need === undefined) {
        stack.pop();
        state.set(top.node, "done");
        sorted.push(top.node);
        continue;
      }
      const producer = producers.get(need);
      if (!producer || state.get(producer) === "done") continue;
      if (state.get(producer) === "open") cyclic.push(producer);
      else {
        state.set(producer, "open");
        stack.push({ node: producer, needs: usedNames(producer), next: 0 });
      }
    }
  }
  return { nodes: sorted, producers, twice, cyclic };
}
