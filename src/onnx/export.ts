// ONNX files from short descriptions of models: for tests and generated models.
import { utf8 } from "../base/bytes.ts";
import type { DType, Tensor } from "../ir/types.ts";
import {
  type AttributeField,
  type AttributeProto,
  attributeTypes,
  type FunctionProto,
  type GraphProto,
  type ModelProto,
  message,
  type NodeProto,
  type OperatorSetIdProto,
  type TypeProto,
  type ValueInfoProto,
} from "./schema.ts";
import { codeOfDtype, writeTensor } from "./tensors.ts";
import { writeModel } from "./write.ts";

/** A tensor's type; a dim is a number, a name, or null; a shape of null leaves the rank open. */
export type TensorSpec = readonly [dtype: DType, shape: readonly (number | string | null)[] | null];
export type TypeSpec = TensorSpec | { readonly sequence: TypeSpec } | { readonly optional: TypeSpec };

/**
 * Numbers that are integers and bigints become INT(S), other numbers FLOAT(S); `{ float: 1 }` and `{ floats: [1] }` say FLOAT(S)
 * where the value does not. `ref` refers to an attribute of the function that the node stands in.
 */
export type AttrSpec =
  | number
  | bigint
  | string
  | Tensor
  | readonly number[]
  | readonly bigint[]
  | readonly string[]
  | { readonly float: number }
  | { readonly floats: readonly number[] }
  | { readonly graph: GraphSpec }
  | { readonly type: TypeSpec }
  | { readonly ref: string };

export type NodeSpec = {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly name?: string;
  readonly domain?: string;
  readonly attrs?: { readonly [name: string]: AttrSpec };
};
export type GraphSpec = {
  readonly name?: string;
  readonly inputs?: { readonly [name: string]: TypeSpec };
  /** A name alone leaves the type open. */
  readonly outputs: readonly string[] | { readonly [name: string]: TypeSpec };
  readonly nodes: readonly NodeSpec[];
  readonly initializers?: { readonly [name: string]: Tensor };
  readonly valueInfo?: { readonly [name: string]: TypeSpec };
};
export type FunctionSpec = {
  readonly domain: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Names of attributes without a default. */
  readonly attributes?: readonly string[];
  readonly defaults?: { readonly [name: string]: AttrSpec };
  readonly nodes: readonly NodeSpec[];
  readonly opsets?: { readonly [domain: string]: number };
};
export type ModelSpec = GraphSpec & {
  readonly irVersion?: number;
  /** By domain; "" is ONNX's own. */
  readonly opsets?: { readonly [domain: string]: number };
  readonly functions?: readonly FunctionSpec[];
};

/** The ONNX file of a model: IR version 10 and opset 21 where the spec does not say. */
export function modelBytes(m: ModelSpec): Uint8Array {
  return writeModel(modelProto(m));
}
export function modelProto(m: ModelSpec): ModelProto {
  return message("ModelProto", {
    irVersion: m.irVersion ?? 10,
    producerName: "ingot",
    opsetImport: opsets(m.opsets ?? { "": 21 }),
    graph: graphProto(m),
    functions: (m.functions ?? []).map(functionProto),
  });
}

function opsets(o: { readonly [domain: string]: number }): OperatorSetIdProto[] {
  return Object.entries(o).map(([domain, version]) => message("OperatorSetIdProto", { domain, version }));
}
function graphProto(g: GraphSpec): GraphProto {
  const outputs: readonly (readonly [string, TypeSpec | null])[] = Array.isArray(g.outputs)
    ? g.outputs.map((n: string) => [n, null] as const)
    : Object.entries(g.outputs);
  return message("GraphProto", {
    name: g.name ?? "graph",
    node: g.nodes.map(nodeProto),
    initializer: Object.entries(g.initializers ?? {}).map(([name, t]) => writeTensor(t, name)),
    input: Object.entries(g.inputs ?? {}).map(([name, t]) => valueInfo(name, t)),
    output: outputs.map(([name, t]) => valueInfo(name, t)),
    valueInfo: Object.entries(g.valueInfo ?? {}).map(([name, t]) => valueInfo(name, t)),
  });
}
function functionProto(f: FunctionSpec): FunctionProto {
  return message("FunctionProto", {
    name: f.name,
    domain: f.domain,
    input: f.inputs,
    output: f.outputs,
    attribute: f.attributes ?? [],
    attributeProto: Object.entries(f.defaults ?? {}).map(([name, a]) => attributeProto(name, a)),
    node: f.nodes.map(nodeProto),
    opsetImport: opsets(f.opsets ?? { "": 21 }),
  });
}
function nodeProto(n: NodeSpec): NodeProto {
  return message("NodeProto", {
    opType: n.op,
    domain: n.domain ?? "",
    name: n.name ?? "",
    input: n.inputs,
    output: n.outputs,
    attribute: Object.entries(n.attrs ?? {}).map(([name, a]) => attributeProto(name, a)),
  });
}
function valueInfo(name: string, t: TypeSpec | null): ValueInfoProto {
  return message("ValueInfoProto", { name, type: t ? typeProto(t) : null });
}
export function typeProto(t: TypeSpec): TypeProto {
  if ("sequence" in t) return message("TypeProto", { sequence: { elemType: typeProto(t.sequence) } });
  if ("optional" in t) return message("TypeProto", { optional: { elemType: typeProto(t.optional) } });
  const [dtype, shape] = t;
  const dim = shape?.map((d) => message("DimensionProto", typeof d === "string" ? { param: d } : { value: d }));
  return message("TypeProto", { tensor: { elemType: codeOfDtype(dtype), shape: dim ? { dim } : null } });
}

export function attributeProto(name: string, a: AttrSpec): AttributeProto {
  const make = (field: AttributeField, value: unknown): AttributeProto =>
    message("AttributeProto", { name, type: attributeTypes[field], [field]: value });
  if (typeof a === "bigint" || (typeof a === "number" && Number.isInteger(a))) return make("i", BigInt(a));
  if (typeof a === "number") return make("f", a);
  if (typeof a === "string") return make("s", utf8(a));
  if ("dtype" in a) return make("t", writeTensor(a));
  if ("float" in a) return make("f", a.float);
  if ("floats" in a) return make("floats", Float32Array.from(a.floats));
  if ("graph" in a) return make("g", graphProto(a.graph));
  if ("type" in a) return make("tp", typeProto(a.type));
  if ("ref" in a) return message("AttributeProto", { name, refAttrName: a.ref });
  const list: readonly (number | bigint | string)[] = a;
  if (list.some((x) => typeof x === "string"))
    return make(
      "strings",
      list.map((x) => utf8(String(x))),
    );
  if (list.every((x) => typeof x === "bigint" || Number.isInteger(x)))
    return make(
      "ints",
      BigInt64Array.from(list, (x) => BigInt(x)),
    );
  return make("floats", Float32Array.from(list, Number));
}
