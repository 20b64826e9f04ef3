// Common subexpressions: of nodes that compute the same from the same, the first stays.
import type { ValueId } from "../../src/base/brand.ts";
import type { AnyNode, Attrs, AttrValue, Graph } from "../../src/ir/graph.ts";
import type { OpHead } from "../../src/ir/opdef.ts";
import type { Tensor } from "../../src/ir/types.ts";
import { type Patch, patchGraph } from "./patch.ts";

/** Constants up to this size are compared by their bytes: scalars, axes, shapes. Larger ones are stored once in any case. */
const maxBytes = 256;

export function eliminateCommon(g: Graph): Graph {
  const defs = new Map<OpHead, number>();
  return patchGraph(g, (p) => {
    const made = new Map<string, readonly (ValueId | null)[]>();
    return (n) => {
      const key = nodeKey(p, n, defs);
      if (key === null) return null;
      const old = made.get(key);
      if (!old) made.set(key, n.outputs);
      return old ?? null;
    };
  });
}

/** A text that is the same for equal nodes; null for a node that is never merged: random ones, and those with body graphs. */
function nodeKey(p: Patch, n: AnyNode, defs: Map<OpHead, number>): string | null {
  if (n.def.effects !== "none") return null;
  let def = defs.get(n.def);
  if (def === undefined) defs.set(n.def, (def = defs.size));
  const attrs = Object.entries((n.attrs ?? {}) as Attrs)
    .filter(([, x]) => x !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, x]) => [name, attrKey(x!)] as const);
  if (attrs.some(([, x]) => x === null)) return null;
  const inputs = n.inputs.map((i) => {
    const t = p.constant(i);
    return i === null || !t || t.bytes.length > maxBytes ? i : tensorKey(t);
  });
  return JSON.stringify([def, inputs, n.outputs.map((o) => o !== null), attrs]);
}
function attrKey(x: AttrValue): string | null {
  switch (typeof x) {
    case "number":
      return Object.is(x, -0) ? "-0" : String(x);
    case "bigint":
      return `${x}n`;
    case "string":
      return JSON.stringify(x);
    case "boolean":
      return String(x);
  }
  if (isList(x)) {
    const items = x.map(attrKey);
    return items.includes(null) ? null : `[${items.join()}]`;
  }
  if ("nodes" in x) return null;
  if ("shape" in x) return `${x.dtype}[${x.shape.map((d) => d.key).join()}]`;
  return "bytes" in x && x.bytes.length <= maxBytes ? tensorKey(x) : null;
}
function isList(x: AttrValue): x is Extract<AttrValue, readonly unknown[]> {
  return Array.isArray(x);
}
function tensorKey(t: Tensor): string {
  return `${t.dtype}[${t.dims.join()}]${t.bytes.join()}`;
}
