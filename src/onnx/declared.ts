// What a model declares of its values' shapes, against what was inferred.
import type { SymbolId } from "../base/brand.ts";
import { type Diagnostic, diagnostic } from "../base/diagnostics.ts";
import type { Dim, Sym } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import type { AnyNode, Attrs, AttrValue, Graph, Value } from "../ir/graph.ts";
import type { PartialTensor } from "../ir/opdef.ts";
import type { ValueType } from "../ir/types.ts";
import type { GraphProto } from "./schema.ts";
import { dtypeOfCode } from "./tensors.ts";
import { declaredDims } from "./value-types.ts";

/**
 * Inference decides shapes. Declarations only give names to extents that depend on data, and outputs that contradict them are
 * warnings (W103).
 */
export function applyDeclarations(
  g: Graph,
  proto: GraphProto,
): { readonly graph: Graph; readonly warnings: readonly Diagnostic[] } {
  const byName = new Map([...g.values.values()].map((v) => [v.name, v]));
  const taken = new Set<string>(g.symbols.map((s) => s.id));
  const data = new Set<SymbolId>(g.symbols.filter((s) => s.def === "data").map((s) => s.id));
  const names = new Map<SymbolId, SymbolId>();
  const warnings: Diagnostic[] = [];
  for (const info of [...proto.output, ...proto.valueInfo]) {
    const type = byName.get(info.name)?.type;
    const dims = declaredDims(info.type?.tensor);
    if (type?.kind !== "tensor" || !dims) continue;
    if (dims.length === type.tensor.shape.length) {
      type.tensor.shape.forEach((d, axis) => {
        const name = dims[axis];
        if (d.kind !== "sym" || !data.has(d.id) || names.has(d.id) || typeof name !== "string" || taken.has(name))
          return;
        names.set(d.id, name as SymbolId);
        taken.add(name);
      });
    }
  }
  for (const o of proto.output) {
    const type = byName.get(o.name)?.type;
    const dims = declaredDims(o.type?.tensor);
    if (type?.kind !== "tensor" || !o.type?.tensor) continue;
    const { dtype, shape } = type.tensor;
    const declared = dtypeOfCode(o.type.tensor.elemType);
    const differs =
      dims !== null &&
      (dims.length !== shape.length ||
        shape.some((d, k) => typeof dims[k] === "number" && d.kind === "int" && d.value !== dims[k]));
    if (differs || (declared !== null && declared !== dtype)) {
      const inferred = `${dtype}[${shape.map((d) => d.key).join(", ")}]`;
      warnings.push(
        diagnostic(
          "W103",
          `output "${o.name}" is declared ${declared ?? "?"}[${dims?.map((d) => d ?? "?").join(", ") ?? "..."}] and computed as ${inferred}`,
        ),
      );
    }
  }
  return { graph: names.size === 0 ? g : renameGraph(g, (id) => names.get(id) ?? null), warnings };
}

type Rename = (id: SymbolId) => SymbolId | null;

function renameDim(d: Dim, rename: Rename): Dim {
  return D.substitute(d, (id) => {
    const to = rename(id);
    return to === null ? null : D.sym(to);
  });
}
function renameType(t: ValueType, rename: Rename): ValueType {
  if (t.kind !== "tensor") return { kind: t.kind, of: renameType(t.of, rename) };
  return { kind: "tensor", tensor: { dtype: t.tensor.dtype, shape: t.tensor.shape.map((d) => renameDim(d, rename)) } };
}
function renameKnown(p: PartialTensor, rename: Rename): PartialTensor {
  return {
    dims: p.dims,
    elements: p.elements.map((e) => (e === null || typeof e === "number" ? e : renameDim(e, rename))),
  };
}
/** Gives symbols other ids wherever the graph and its bodies mention them. */
function renameGraph(g: Graph, rename: Rename): Graph {
  const value = (v: Value): Value => ({
    ...v,
    type: renameType(v.type, rename),
    ...(v.known ? { known: renameKnown(v.known, rename) } : {}),
  });
  const symbol = (s: Sym): Sym => ({
    ...s,
    id: rename(s.id) ?? s.id,
    def: s.def === null || s.def === "data" ? s.def : renameDim(s.def, rename),
  });
  return {
    ...g,
    symbols: g.symbols.map(symbol),
    values: new Map([...g.values].map(([id, v]) => [id, value(v)])),
    nodes: g.nodes.map((n) => renameNode(n, rename)),
  };
}
function renameNode(n: AnyNode, rename: Rename): AnyNode {
  const attrs = n.attrs as Attrs;
  const value = (a: AttrValue | undefined): AttrValue | undefined => {
    if (Array.isArray(a) && a.some(isGraph)) return a.map((g: Graph) => renameGraph(g, rename));
    return isGraph(a) ? renameGraph(a, rename) : a;
  };
  const renamed = Object.entries(attrs).map(([k, a]) => [k, value(a)] as const);
  return renamed.every(([k, a]) => a === attrs[k]) ? n : { ...n, attrs: Object.fromEntries(renamed) };
}
function isGraph(a: unknown): a is Graph {
  return typeof a === "object" && a !== null && "nodes" in a && "values" in a;
}
