// What can be said of a model without compiling it.
import { bodiesOf } from "./order.ts";
import type { GraphProto, ModelProto, NodeProto } from "./schema.ts";

export type ModelInfo = {
  readonly irVersion: number;
  /** Name and version of the exporter, as far as the file says. */
  readonly producer: string;
  /** domain "" is ONNX's own. */
  readonly opsets: readonly { readonly domain: string; readonly version: number }[];
  /** Nodes in all graphs and functions, counted once each. */
  readonly nodes: number;
  /** How often each op occurs, most frequent first. */
  readonly ops: readonly { readonly domain: string; readonly type: string; readonly count: number }[];
  /** Elements of all initializers. */
  readonly parameters: number;
};

/** ONNX's own domain has two spellings. */
export function normalDomain(domain: string): string {
  return domain === "ai.onnx" ? "" : domain;
}

export function modelInfo(m: ModelProto): ModelInfo {
  const ops = new Map<string, { domain: string; type: string; count: number }>();
  let nodes = 0;
  let parameters = 0;
  const count = (list: readonly NodeProto[]): void => {
    for (const n of list) {
      nodes++;
      const domain = normalDomain(n.domain);
      const key = `${domain}:${n.opType}`;
      const entry = ops.get(key);
      if (entry) entry.count++;
      else ops.set(key, { domain, type: n.opType, count: 1 });
      for (const b of bodiesOf(n)) graph(b.graph);
    }
  };
  const graph = (g: GraphProto): void => {
    for (const t of g.initializer) parameters += t.dims.reduce((a, b) => a * b, 1);
    count(g.node);
  };
  if (m.graph) graph(m.graph);
  for (const f of m.functions) count(f.node);
  return {
    irVersion: m.irVersion ?? 0,
    producer: [m.producerName, m.producerVersion].filter((s) => s !== "").join(" "),
    opsets: m.opsetImport.map((o) => ({ domain: normalDomain(o.domain), version: o.version ?? 0 })),
    nodes,
    ops: [...ops.values()].sort(
      (a, b) => b.count - a.count || (`${a.domain}:${a.type}` < `${b.domain}:${b.type}` ? -1 : 1),
    ),
    parameters,
  };
}
