// G in text form. The grammar stands at the top of print.ts.
import { InternalError } from "../base/assert.ts";
import type { ValueId } from "../base/brand.ts";
import { formatFloat, isIdentifier, quoteName, Writer } from "../base/text.ts";
import { int, known } from "./dim.ts";
import type { AnyNode, AttrValue, Graph, Value } from "./graph.ts";
import type { PartialTensor } from "./opdef.ts";
import { type Constants, headText, locText, typeText } from "./print-data.ts";
import { tensorText } from "./print-expr.ts";
import { knownOf } from "./symbolic.ts";
import { countOf, elementBytes, type Tensor, type TensorType } from "./types.ts";

export function writeGraph(w: Writer, g: Graph, constants: Constants): void {
  const p = new GraphPrinter(g, constants);
  const head = headText(
    "graph",
    g.name,
    g.inputs.map((v) => p.declare(v)),
    g.outputs.map((v) => p.ref(v)),
    g.symbols,
  );
  w.block(head, () => p.body(w));
}

/** What is known of a value unless its text says otherwise: the elements of its constant. */
export function defaultKnown(constant: Tensor | undefined): PartialTensor | null {
  return constant && constant.bytes.length === countOf(constant.dims) * elementBytes(constant.dtype)
    ? knownOf(constant)
    : null;
}

class GraphPrinter {
  private readonly graph: Graph;
  private readonly constants: Constants;
  private readonly counts: Map<string, number> = new Map();
  private lastValue = -1;
  private lastNode = -1;

  constructor(graph: Graph, constants: Constants) {
    this.graph = graph;
    this.constants = constants;
    for (const v of graph.values.values()) this.counts.set(v.name, (this.counts.get(v.name) ?? 0) + 1);
  }

  ref(id: ValueId): string {
    const v = this.graph.values.get(id);
    if (!v) return `%#${id}`;
    return this.counts.get(v.name) === 1 ? valueName(v.name) : `${valueName(v.name)}#${id}`;
  }
  /** `%x: f32[N, 4] known [...] = const ...`; the id is written unless it is one more than that of the declaration before. */
  declare(id: ValueId): string {
    const v = this.graph.values.get(id);
    const tag = id === this.lastValue + 1 && v && this.counts.get(v.name) === 1 ? "" : `#${id}`;
    this.lastValue = id;
    if (!v) return `%#${id}`;
    const tensor = v.type.kind === "tensor" ? v.type.tensor : null;
    const constant = v.constant ? ` = const ${this.constants.typed(v.name, v.constant, tensor)}` : "";
    return `${valueName(v.name)}${tag}: ${typeText(v.type)}${knownText(v)}${constant}`;
  }

  body(w: Writer): void {
    const made = new Set(this.graph.inputs);
    for (const n of this.graph.nodes) for (const o of n.outputs) if (o !== null) made.add(o);
    for (const id of this.graph.values.keys()) if (!made.has(id)) w.line(this.declare(id));
    for (const n of this.graph.nodes) this.node(w, n);
  }

  private node(w: Writer, n: AnyNode): void {
    const outs = n.outputs.map((o) => (o === null ? "_" : this.declare(o))).join(", ");
    const tag = n.id === this.lastNode + 1 ? "" : `#${n.id}`;
    this.lastNode = n.id;
    const ins = n.inputs.map((i) => (i === null ? "_" : this.ref(i))).join(", ");
    const head = `${outs || "()"} = ${quoteName(n.def.name)}${tag}(${ins})`;
    const loc = ` ${locText(n.loc, n.def.name)}`;
    const attrs = Object.entries((n.attrs ?? {}) as { readonly [name: string]: AttrValue | undefined })
      .filter(([, x]) => x !== undefined)
      .map(([name, x]) => `${quoteName(name)} = ${this.attr(x!, name)}`);
    if (attrs.some((a) => a.includes("\n"))) w.block(head, () => w.line(attrs.join(",\n")), loc);
    else w.line(`${head}${attrs.length > 0 ? ` {${attrs.join(", ")}}` : ""}${loc}`);
  }
  private attr(x: AttrValue, name: string): string {
    switch (typeof x) {
      case "number":
        return Number.isInteger(x) && !Object.is(x, -0) ? String(x) : formatFloat(x);
      case "bigint":
        return `${x}n`;
      case "string":
        return JSON.stringify(x);
      case "boolean":
        return String(x);
    }
    if (isList(x)) {
      const items = x.map((y) => this.attr(y, name));
      return items.some((i) => i.includes("\n")) ? `[\n${items.map(indented).join(",\n")}\n]` : `[${items.join(", ")}]`;
    }
    if ("nodes" in x) {
      const w = new Writer();
      writeGraph(w, x, this.constants);
      return w.toString();
    }
    if ("bytes" in x) return `tensor ${this.constants.typed(name, x, null)}`;
    if ("shape" in x) return `type ${tensorText(x.dtype, x.shape)}`;
    throw new InternalError(`attribute ${name} cannot be written as text`);
  }
}

function isList(x: AttrValue): x is readonly number[] | readonly string[] | readonly Tensor[] | readonly Graph[] {
  return Array.isArray(x);
}
function indented(text: string): string {
  return text
    .split("\n")
    .map((l) => `  ${l}`)
    .join("\n");
}
function valueName(name: string): string {
  return `%${isIdentifier(name) || /^(0|[1-9]\d*)$/.test(name) ? name : JSON.stringify(name)}`;
}
/** ` known [N, 3, ?]`, with the dims before the elements when they are not those of the type; `unknown` overrides a constant's. */
function knownText(v: Value): string {
  const k = v.known ?? null;
  const usual = defaultKnown(v.constant);
  if (k === null) return usual === null ? "" : " unknown";
  if (usual && samePartial(k, usual)) return "";
  const type: TensorType | null = v.type.kind === "tensor" ? v.type.tensor : null;
  const same = type && type.shape.length === k.dims.length && type.shape.every((d, a) => known(d) === k.dims[a]);
  const items = k.elements.map((e) => (e === null ? "?" : typeof e === "number" ? formatFloat(e) : e.key));
  return ` known ${same ? "" : `(${k.dims.map((d) => int(d).key).join(", ")}) `}[${items.join(", ")}]`;
}
function samePartial(a: PartialTensor, b: PartialTensor): boolean {
  const same = (x: readonly unknown[], y: readonly unknown[]): boolean =>
    x.length === y.length && x.every((e, k) => Object.is(e, y[k]));
  return same(a.dims, b.dims) && same(a.elements, b.elements);
}
