// Reads G. The grammar stands at the top of print.ts.
import type { NodeId, ValueId } from "../base/brand.ts";
import type { Reader } from "../base/text.ts";
import * as D from "./dim.ts";
import type { AnyNode, Graph, Value } from "./graph.ts";
import type { OpHead, PartialTensor } from "./opdef.ts";
import { readLoc, readNumber, readOutputs, readTensor, readType, readWhere } from "./parse-data.ts";
import { type Ref, readDim, readId, readTensorType, resolve } from "./parse-names.ts";
import type { ConstantTable } from "./print-data.ts";
import { defaultKnown } from "./print-graph.ts";
import type { Tensor, ValueType } from "./types.ts";

export type OpResolver = (name: string) => OpHead | undefined;

export function readGraph(r: Reader, constants: ConstantTable, op: OpResolver): Graph {
  return new GraphReader(r, constants, op).graph();
}

class GraphReader {
  private readonly r: Reader;
  private readonly constants: ConstantTable;
  private readonly op: OpResolver;
  private readonly values: Map<ValueId, Value> = new Map();
  private readonly byName: Map<string, Value[]> = new Map();
  private lastValue = -1;
  private lastNode = -1;

  constructor(r: Reader, constants: ConstantTable, op: OpResolver) {
    this.r = r;
    this.constants = constants;
    this.op = op;
  }

  graph(): Graph {
    const r: Reader = this.r;
    r.expect("graph");
    r.expect("@");
    const name = r.name("a graph");
    r.expect("(");
    const inputs = r.list(")", () => this.declare());
    const outputs = readOutputs(r, () => this.refText());
    const symbols = readWhere(r);
    const nodes: AnyNode[] = [];
    r.expect("{");
    while (!r.accept("}")) {
      const outs = this.targets();
      if (r.accept("=")) nodes.push(this.node(outs));
      else if (outs.length !== 1 || outs[0] === null) r.fail("expected = and an op");
    }
    return { name, symbols, inputs, outputs: outputs.map((o) => this.resolve(o)), values: this.values, nodes };
  }

  /** Values left of an op, or one that stands alone. */
  private targets(): readonly (ValueId | null)[] {
    const r: Reader = this.r;
    if (r.accept("(")) return r.list(")", () => this.declare());
    const outs: (ValueId | null)[] = [];
    do outs.push(r.accept("_") ? null : this.declare());
    while (r.accept(","));
    return outs;
  }
  /** `%name#id`: the name may be a number. */
  private refText(): Ref {
    const r: Reader = this.r;
    r.expect("%");
    const at = r.peek();
    if (at.kind === "tag") {
      r.next();
      return { at, name: null, id: Number(at.value) };
    }
    const name = at.kind === "number" ? r.next().text : r.name("a value");
    return { at, name, id: readId(r) };
  }
  private resolve(ref: Ref): ValueId {
    const named = ref.name === null ? [...this.values.values()] : (this.byName.get(ref.name) ?? []);
    return resolve(this.r, ref, named, "value").id;
  }
  private declare(): ValueId {
    const r: Reader = this.r;
    const { at, name, id } = this.refText();
    if (name === null) r.fail("a value is declared by its name", at);
    this.lastValue = id ?? this.lastValue + 1;
    const valueId = this.lastValue as ValueId;
    if (this.values.has(valueId)) r.fail(`the id ${valueId} is taken by %${this.values.get(valueId)!.name}`, at);
    r.expect(":");
    const type = readType(r);
    const noted = r.accept("unknown") ? "unknown" : r.accept("known") ? this.known(type) : null;
    let constant: Tensor | undefined;
    if (r.at("=") && r.at("const", 1)) {
      r.next();
      r.next();
      constant = readTensor(r, this.constants, type.kind === "tensor" ? type.tensor : null);
    }
    const known = noted === "unknown" ? null : (noted ?? defaultKnown(constant));
    const v: Value = { id: valueId, name, type, ...(constant ? { constant } : {}), ...(known ? { known } : {}) };
    this.values.set(v.id, v);
    this.byName.set(name, [...(this.byName.get(name) ?? []), v]);
    return v.id;
  }
  private known(type: ValueType): PartialTensor {
    const r: Reader = this.r;
    const t = r.peek();
    const shape = type.kind === "tensor" ? type.tensor.shape : [];
    const dims = r.accept("(")
      ? r.list(")", () => r.int())
      : shape.map((d) => D.known(d) ?? r.fail("expected the dims of what is known", t));
    r.expect("[");
    return { dims, elements: r.list("]", () => this.element()) };
  }
  /** A Dim, a float (with a point, an exponent, or a word), or ? */
  private element(): D.Dim | number | null {
    const r: Reader = this.r;
    if (r.accept("?")) return null;
    const t = r.peek(r.at("-") ? 1 : 0);
    const float = (t.kind === "number" && /[.e]/i.test(t.text)) || t.text === "inf" || t.text === "nan";
    return float ? readNumber(r, true) : readDim(r);
  }

  private node(outputs: readonly (ValueId | null)[]): AnyNode {
    const r: Reader = this.r;
    const at = r.peek();
    const name = r.name("an op");
    const def = this.op(name) ?? r.fail(`no op ${name}`, at);
    this.lastNode = readId(r) ?? this.lastNode + 1;
    const id = this.lastNode as NodeId;
    r.expect("(");
    const inputs = r.list(")", () => (r.accept("_") ? null : this.resolve(this.refText())));
    const attrs: { [name: string]: unknown } = {};
    if (r.accept("{"))
      r.list("}", () => {
        const key = r.name("an attribute");
        r.expect("=");
        attrs[key] = this.attr();
      });
    return { id, def, attrs, inputs, outputs, loc: readLoc(r, def.name) };
  }
  private attr(): unknown {
    const r: Reader = this.r;
    const t = r.peek();
    if (t.kind === "string") return r.string();
    if (r.accept("[")) return r.list("]", () => this.attr());
    if (r.accept("true")) return true;
    if (r.accept("false")) return false;
    if (r.accept("tensor")) return readTensor(r, this.constants, null);
    if (r.accept("type")) return readTensorType(r);
    if (r.at("graph")) return readGraph(r, this.constants, this.op);
    const n = r.peek(r.at("-") ? 1 : 0);
    if (n.suffix !== "n") return readNumber(r, true);
    const sign = r.accept("-") ? -1n : 1n;
    return sign * BigInt(r.next().value);
  }
}
