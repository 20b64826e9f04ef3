// The messages of ONNX's protobuf files that Ingot reads and writes: their types, and below them the field numbers as a table
// that drives both the reader (proto.ts) and the writer (write.ts). Fields that are not named are skipped when reading.
// A field that is absent is null, "" or empty.

export interface StringStringEntryProto {
  readonly key: string;
  readonly value: string;
}
export interface OperatorSetIdProto {
  readonly domain: string;
  readonly version: number | null;
}
export interface DimensionProto {
  readonly value: number | null;
  readonly param: string;
}
export interface TensorShapeProto {
  readonly dim: readonly DimensionProto[];
}
export interface TensorTypeProto {
  readonly elemType: number | null;
  readonly shape: TensorShapeProto | null;
}
/** A sequence's or an optional's type. */
export interface ContainerTypeProto {
  readonly elemType: TypeProto | null;
}
export interface MapTypeProto {
  readonly keyType: number | null;
  readonly valueType: TypeProto | null;
}
export interface TypeProto {
  readonly tensor: TensorTypeProto | null;
  readonly sequence: ContainerTypeProto | null;
  readonly map: MapTypeProto | null;
  readonly sparseTensor: TensorTypeProto | null;
  readonly optional: ContainerTypeProto | null;
}
export interface ValueInfoProto {
  readonly name: string;
  readonly type: TypeProto | null;
}
/** dims and the data fields are as the file says: see tensors.ts for what they mean. */
export interface TensorProto {
  readonly dims: readonly number[];
  readonly dataType: number | null;
  readonly floatData: Float32Array;
  readonly int32Data: Int32Array;
  readonly stringData: readonly Uint8Array[];
  readonly int64Data: BigInt64Array;
  readonly name: string;
  /** A view into the file. */
  readonly rawData: Uint8Array | null;
  readonly doubleData: Float64Array;
  readonly uint64Data: BigUint64Array;
  readonly externalData: readonly StringStringEntryProto[];
  readonly dataLocation: number | null;
}
export interface SparseTensorProto {
  readonly values: TensorProto | null;
  readonly indices: TensorProto | null;
  readonly dims: readonly number[];
}
export interface AttributeProto {
  readonly name: string;
  readonly refAttrName: string;
  readonly type: number | null;
  readonly f: number | null;
  readonly i: bigint | null;
  readonly s: Uint8Array | null;
  readonly t: TensorProto | null;
  readonly g: GraphProto | null;
  readonly tp: TypeProto | null;
  readonly sparseTensor: SparseTensorProto | null;
  readonly floats: Float32Array;
  readonly ints: BigInt64Array;
  readonly strings: readonly Uint8Array[];
  readonly tensors: readonly TensorProto[];
  readonly graphs: readonly GraphProto[];
}
export interface NodeProto {
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly name: string;
  readonly opType: string;
  readonly domain: string;
  readonly overload: string;
  readonly attribute: readonly AttributeProto[];
}
export interface GraphProto {
  readonly node: readonly NodeProto[];
  readonly name: string;
  readonly initializer: readonly TensorProto[];
  readonly sparseInitializer: readonly SparseTensorProto[];
  readonly input: readonly ValueInfoProto[];
  readonly output: readonly ValueInfoProto[];
  readonly valueInfo: readonly ValueInfoProto[];
}
export interface FunctionProto {
  readonly name: string;
  readonly domain: string;
  readonly overload: string;
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly attribute: readonly string[];
  readonly attributeProto: readonly AttributeProto[];
  readonly node: readonly NodeProto[];
  readonly opsetImport: readonly OperatorSetIdProto[];
}
export interface ModelProto {
  readonly irVersion: number | null;
  readonly producerName: string;
  readonly producerVersion: string;
  readonly graph: GraphProto | null;
  readonly opsetImport: readonly OperatorSetIdProto[];
  readonly metadata: readonly StringStringEntryProto[];
  readonly functions: readonly FunctionProto[];
}
export interface SequenceProto {
  readonly name: string;
  readonly elemType: number | null;
  readonly tensors: readonly TensorProto[];
  readonly sequences: readonly SequenceProto[];
  readonly maps: readonly MapProto[];
  readonly optionals: readonly OptionalProto[];
}
export interface MapProto {
  readonly name: string;
  readonly keyType: number | null;
  readonly keys: BigInt64Array;
  readonly stringKeys: readonly Uint8Array[];
  readonly values: SequenceProto | null;
}
export interface OptionalProto {
  readonly name: string;
  readonly elemType: number | null;
  readonly tensor: TensorProto | null;
  readonly sequence: SequenceProto | null;
  readonly map: MapProto | null;
  readonly optional: OptionalProto | null;
}

export interface Messages {
  StringStringEntryProto: StringStringEntryProto;
  OperatorSetIdProto: OperatorSetIdProto;
  DimensionProto: DimensionProto;
  TensorShapeProto: TensorShapeProto;
  TensorTypeProto: TensorTypeProto;
  ContainerTypeProto: ContainerTypeProto;
  MapTypeProto: MapTypeProto;
  TypeProto: TypeProto;
  ValueInfoProto: ValueInfoProto;
  TensorProto: TensorProto;
  SparseTensorProto: SparseTensorProto;
  AttributeProto: AttributeProto;
  NodeProto: NodeProto;
  GraphProto: GraphProto;
  FunctionProto: FunctionProto;
  ModelProto: ModelProto;
  SequenceProto: SequenceProto;
  MapProto: MapProto;
  OptionalProto: OptionalProto;
}
export type MessageName = keyof Messages;

/** What a field of each kind decodes to. Integers beyond 2^53 lose their low bits as "int" and "ints", not as "int64" and "int64s". */
export type Kinds = {
  int: number | null;
  int64: bigint | null;
  float: number | null;
  string: string;
  bytes: Uint8Array | null;
  ints: readonly number[];
  strings: readonly string[];
  byteses: readonly Uint8Array[];
  floats: Float32Array;
  doubles: Float64Array;
  int32s: Int32Array;
  int64s: BigInt64Array;
  uint64s: BigUint64Array;
} & { [M in MessageName]: Messages[M] | null } & { [M in MessageName as `${M}[]`]: readonly Messages[M][] };
export type Kind = keyof Kinds;

/** The kind that decodes to exactly V: what holds the table to the interfaces. */
type KindFor<V> = { [K in Kind]: [V, Kinds[K]] extends [Kinds[K], V] ? K : never }[Kind];
export type Fields<T> = { readonly [F in keyof T]-?: readonly [number: number, kind: KindFor<T[F]>] };

export const schema: { readonly [M in MessageName]: Fields<Messages[M]> } = {
  StringStringEntryProto: { key: [1, "string"], value: [2, "string"] },
  OperatorSetIdProto: { domain: [1, "string"], version: [2, "int"] },
  DimensionProto: { value: [1, "int"], param: [2, "string"] },
  TensorShapeProto: { dim: [1, "DimensionProto[]"] },
  TensorTypeProto: { elemType: [1, "int"], shape: [2, "TensorShapeProto"] },
  ContainerTypeProto: { elemType: [1, "TypeProto"] },
  MapTypeProto: { keyType: [1, "int"], valueType: [2, "TypeProto"] },
  TypeProto: {
    tensor: [1, "TensorTypeProto"],
    sequence: [4, "ContainerTypeProto"],
    map: [5, "MapTypeProto"],
    sparseTensor: [8, "TensorTypeProto"],
    optional: [9, "ContainerTypeProto"],
  },
  ValueInfoProto: { name: [1, "string"], type: [2, "TypeProto"] },
  TensorProto: {
    dims: [1, "ints"],
    dataType: [2, "int"],
    floatData: [4, "floats"],
    int32Data: [5, "int32s"],
    stringData: [6, "byteses"],
    int64Data: [7, "int64s"],
    name: [8, "string"],
    rawData: [9, "bytes"],
    doubleData: [10, "doubles"],
    uint64Data: [11, "uint64s"],
    externalData: [13, "StringStringEntryProto[]"],
    dataLocation: [14, "int"],
  },
  SparseTensorProto: { values: [1, "TensorProto"], indices: [2, "TensorProto"], dims: [3, "ints"] },
  AttributeProto: {
    name: [1, "string"],
    f: [2, "float"],
    i: [3, "int64"],
    s: [4, "bytes"],
    t: [5, "TensorProto"],
    g: [6, "GraphProto"],
    floats: [7, "floats"],
    ints: [8, "int64s"],
    strings: [9, "byteses"],
    tensors: [10, "TensorProto[]"],
    graphs: [11, "GraphProto[]"],
    tp: [14, "TypeProto"],
    type: [20, "int"],
    refAttrName: [21, "string"],
    sparseTensor: [22, "SparseTensorProto"],
  },
  NodeProto: {
    input: [1, "strings"],
    output: [2, "strings"],
    name: [3, "string"],
    opType: [4, "string"],
    attribute: [5, "AttributeProto[]"],
    domain: [7, "string"],
    overload: [8, "string"],
  },
  GraphProto: {
    node: [1, "NodeProto[]"],
    name: [2, "string"],
    initializer: [5, "TensorProto[]"],
    input: [11, "ValueInfoProto[]"],
    output: [12, "ValueInfoProto[]"],
    valueInfo: [13, "ValueInfoProto[]"],
    sparseInitializer: [15, "SparseTensorProto[]"],
  },
  FunctionProto: {
    name: [1, "string"],
    input: [4, "strings"],
    output: [5, "strings"],
    attribute: [6, "strings"],
    node: [7, "NodeProto[]"],
    opsetImport: [9, "OperatorSetIdProto[]"],
    domain: [10, "string"],
    attributeProto: [11, "AttributeProto[]"],
    overload: [13, "string"],
  },
  ModelProto: {
    irVersion: [1, "int"],
    producerName: [2, "string"],
    producerVersion: [3, "string"],
    graph: [7, "GraphProto"],
    opsetImport: [8, "OperatorSetIdProto[]"],
    metadata: [14, "StringStringEntryProto[]"],
    functions: [25, "FunctionProto[]"],
  },
  SequenceProto: {
    name: [1, "string"],
    elemType: [2, "int"],
    tensors: [3, "TensorProto[]"],
    sequences: [5, "SequenceProto[]"],
    maps: [6, "MapProto[]"],
    optionals: [7, "OptionalProto[]"],
  },
  MapProto: {
    name: [1, "string"],
    keyType: [2, "int"],
    keys: [3, "int64s"],
    stringKeys: [4, "byteses"],
    values: [5, "SequenceProto"],
  },
  OptionalProto: {
    name: [1, "string"],
    elemType: [2, "int"],
    tensor: [3, "TensorProto"],
    sequence: [5, "SequenceProto"],
    map: [6, "MapProto"],
    optional: [7, "OptionalProto"],
  },
};

const none: readonly never[] = Object.freeze([]);
const empty: { readonly [K in Kind]?: Kinds[K] } = {
  string: "",
  ints: none,
  strings: none,
  byteses: none,
  floats: new Float32Array(0),
  doubles: new Float64Array(0),
  int32s: new Int32Array(0),
  int64s: new BigInt64Array(0),
  uint64s: new BigUint64Array(0),
};
/** The value of a field that is absent: one object for all. */
export function absent(kind: Kind): unknown {
  return empty[kind] ?? (kind.endsWith("[]") ? none : null);
}
/** A message of which only some fields are given. */
export function message<M extends MessageName>(name: M, fields: Partial<Messages[M]>): Messages[M] {
  const all: Record<string, unknown> = {};
  for (const [field, [, kind]] of Object.entries(schema[name]) as [string, readonly [number, Kind]][])
    all[field] = absent(kind);
  return Object.assign(all, fields) as unknown as Messages[M];
}

/** AttributeProto.AttributeType by the field that holds the value. */
export const attributeTypes: { readonly [F in AttributeField]: number } = {
  f: 1,
  i: 2,
  s: 3,
  t: 4,
  g: 5,
  floats: 6,
  ints: 7,
  strings: 8,
  tensors: 9,
  graphs: 10,
  sparseTensor: 11,
  tp: 13,
};
export type AttributeField = Exclude<keyof AttributeProto, "name" | "refAttrName" | "type">;
