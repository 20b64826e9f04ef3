// A node's attributes, as OpDef.parse reads them.
import { fromUtf8 } from "../base/bytes.ts";
import { type Loc, userError } from "../base/diagnostics.ts";
import type { Graph } from "../ir/graph.ts";
import type { Labels, RawNode } from "../ir/opdef.ts";
import type { DType, Tensor, ValueType } from "../ir/types.ts";
import { type AttributeField, type AttributeProto, attributeTypes } from "./schema.ts";
import { dtypeOfCode, nameOfCode, readTensor, stringType } from "./tensors.ts";
import { elementTypeOf } from "./value-types.ts";

const words: { readonly [F in AttributeField]: string } = {
  f: "a number",
  i: "an integer",
  s: "a string",
  t: "a tensor",
  g: "a graph",
  sparseTensor: "a sparse tensor",
  tp: "a type",
  floats: "a list of numbers",
  ints: "a list of integers",
  strings: "a list of strings",
  tensors: "a list of tensors",
  graphs: "a list of graphs",
};

/** The field that holds an attribute's value; null for kinds that Ingot does not read. Files before IR version 2 do not name the kind. */
export function attributeField(a: AttributeProto): AttributeField | null {
  const fields = Object.keys(attributeTypes) as AttributeField[];
  if (a.type !== null && a.type !== 0) return fields.find((f) => attributeTypes[f] === a.type) ?? null;
  const filled = (f: AttributeField): boolean => {
    const v = a[f];
    return v !== null && !(typeof v === "object" && "length" in v && v.length === 0 && f !== "s");
  };
  return fields.find(filled) ?? null;
}

/** Integers outside of what numbers hold exactly saturate: they mean "as far as it goes". */
export function toNumber(x: bigint): number {
  const limit = BigInt(Number.MAX_SAFE_INTEGER);
  return Number(x > limit ? limit : x < -limit ? -limit : x);
}

export type NodeFacts = {
  readonly opset: number;
  readonly type: string;
  readonly domain: string;
  /** Whether each input is there. */
  readonly inputs: readonly boolean[];
  /** What the numbers of each input stand for. */
  readonly labels: readonly (Labels | null)[];
  readonly outputCount: number;
  readonly attributes: ReadonlyMap<string, AttributeProto>;
  readonly loc: Loc;
  readonly directory: string | null;
};

export class NodeAttributes implements RawNode {
  readonly opset: number;
  readonly type: string;
  readonly domain: string;
  readonly inputCount: number;
  readonly outputCount: number;
  /** Body graphs by attribute name, once they are imported. */
  readonly graphs: Map<string, Graph> = new Map();
  /** Names that were asked for. */
  readonly read: Set<string> = new Set();
  private readonly facts: NodeFacts;

  constructor(facts: NodeFacts) {
    this.facts = facts;
    this.opset = facts.opset;
    this.type = facts.type;
    this.domain = facts.domain;
    this.inputCount = facts.inputs.length;
    this.outputCount = facts.outputCount;
  }
  has(name: string): boolean {
    this.read.add(name);
    return this.facts.attributes.has(name);
  }
  hasInput(index: number): boolean {
    return this.facts.inputs[index] ?? false;
  }
  labels(input: number): Labels | null {
    return this.facts.labels[input] ?? null;
  }
  int(name: string, dflt?: number): number {
    const a = this.get(name, "i");
    return a ? toNumber(a.i ?? 0n) : (dflt ?? this.missing(name));
  }
  float(name: string, dflt?: number): number {
    const a = this.get(name, "f");
    return a ? (a.f ?? 0) : (dflt ?? this.missing(name));
  }
  string(name: string, dflt?: string): string {
    const a = this.get(name, "s");
    return a ? (a.s ? fromUtf8(a.s) : "") : (dflt ?? this.missing(name));
  }
  ints(name: string): readonly number[] | undefined {
    const a = this.get(name, "ints");
    return a && Array.from(a.ints, toNumber);
  }
  floats(name: string): readonly number[] | undefined {
    const a = this.get(name, "floats");
    return a && Array.from(a.floats);
  }
  strings(name: string): readonly string[] | undefined {
    const a = this.facts.attributes.get(name);
    // Later versions of operators write lists as tensors.
    if (a && attributeField(a) === "t") return a.t?.dataType === stringType ? a.t.stringData.map(fromUtf8) : undefined;
    return this.get(name, "strings")?.strings.map(fromUtf8);
  }
  tensor(name: string): Tensor | undefined {
    const a = this.get(name, "t");
    if (!a) return undefined;
    if (!a.t) return this.fail(`attribute "${name}" holds no tensor`);
    return readTensor(a.t, this.facts.directory);
  }
  graph(name: string): Graph | undefined {
    this.read.add(name);
    return this.graphs.get(name);
  }
  dtype(name: string, dflt?: DType): DType {
    const a = this.get(name, "i");
    if (!a) return dflt ?? this.missing(name);
    const code = toNumber(a.i ?? 0n);
    const dtype = dtypeOfCode(code);
    if (dtype === null)
      throw userError("E203", `elements of type ${nameOfCode(code)} are not supported`, { loc: this.facts.loc });
    return dtype;
  }
  valueType(name: string): ValueType | undefined {
    const a = this.get(name, "tp");
    return a && elementTypeOf(a.tp, `attribute "${name}"`);
  }
  fail(message: string, hint?: string): never {
    throw userError("E204", message, { loc: this.facts.loc, hint });
  }

  private get(name: string, want: AttributeField): AttributeProto | undefined {
    this.read.add(name);
    const a = this.facts.attributes.get(name);
    if (!a) return undefined;
    const field = attributeField(a);
    // A list without elements may come without a kind.
    if (field !== want && field !== null)
      return this.fail(`attribute "${name}" is ${words[field]}, not ${words[want]}`);
    if (field === null && a.type !== null && a.type !== 0)
      return this.fail(`attribute "${name}" is of a kind that Ingot does not read`);
    return a;
  }
  private missing(name: string): never {
    return this.fail(`attribute "${name}" is missing`);
  }
}
