// OpDef: everything Ingot knows about an operator, in one place. A target never sees one.
import type { BufferId, SymbolId, ValueId } from "../base/brand.ts";
import type { Loc } from "../base/diagnostics.ts";
import type { Dim, Ranges, Sym } from "./dim.ts";
import type { Const, Expr } from "./expr.ts";
import type { Attrs, Graph, Node } from "./graph.ts";
import type { Kernel } from "./loops.ts";
import type { Buffer } from "./storage.ts";
import type { Axis, TeExpr } from "./te.ts";
import type { DType, Tensor, ValueType } from "./types.ts";

/** How close an output has to be to the f64 oracle: the same, n units in the last place, or r times the output's largest magnitude. */
export type Accuracy =
  | { readonly kind: "exact" }
  | { readonly kind: "ulps"; readonly n: number }
  | { readonly kind: "rtol"; readonly r: number };

/** What every op says without knowing its attributes. One definition may serve several ONNX names and domains. */
export interface OpHead {
  readonly name: string;
  /** since: the opset versions at which ONNX changed the op, oldest first; a node's opset picks the last that is not newer. */
  readonly onnx: readonly { readonly domain: string; readonly type: string; readonly since: readonly number[] }[];
  readonly accuracy: Accuracy;
  /** random: a pure function of (run seed, node, element index) by Philox; never merged or folded. */
  readonly effects: "none" | "random";
  readonly body: { readonly kind: OpBody<Attrs>["kind"] };
}

/**
 * A shape-like value as far as it is known: each element a Dim, a plain number that is no integer (a float scale), or null when
 * unknown. Elements in row-major order. Kept only for tensors of at most 1024 elements.
 */
export type PartialTensor = { readonly dims: readonly number[]; readonly elements: readonly (Dim | number | null)[] };

/**
 * What the numbers of a tensor stand for. elements: text, of which the tensor holds positions in names; text has no other form. columns:
 * each place along the last axis has a name.
 */
export type Labels = { readonly of: "elements" | "columns"; readonly names: readonly (string | number)[] };

/** The ONNX node behind the op while it is parsed: attributes by name, with the opset that holds for its domain. */
export interface RawNode {
  readonly opset: number;
  readonly type: string;
  readonly domain: string;
  /** Number of inputs and outputs as written (absent ones in between count). */
  readonly inputCount: number;
  readonly outputCount: number;
  has(name: string): boolean;
  hasInput(index: number): boolean;
  /** What the elements or columns of an input stand for, if they are no plain numbers. */
  labels(input: number): Labels | null;
  int(name: string, dflt?: number): number;
  float(name: string, dflt?: number): number;
  string(name: string, dflt?: string): string;
  ints(name: string): readonly number[] | undefined;
  floats(name: string): readonly number[] | undefined;
  /** Also those of a tensor of text; undefined for a tensor of numbers. */
  strings(name: string): readonly string[] | undefined;
  tensor(name: string): Tensor | undefined;
  graph(name: string): Graph | undefined;
  valueType(name: string): ValueType | undefined;
  dtype(name: string, dflt?: DType): DType;
  /** A diagnostic E204 at this node; the import goes on with the next one. */
  fail(message: string, hint?: string): never;
}

export interface InferCtx {
  /** What is known of input i's elements at compile time, symbolically. */
  known(input: number): PartialTensor | null;
  /** known(input) with every element a Dim, or null. */
  dims(input: number): readonly Dim[] | null;
  /** Input i when it is a constant. */
  constant(input: number): Tensor | null;
  /** Says what an output's elements are (Shape, Size). For ops with a `compute` body the importer works it out by itself. */
  give(output: number, v: PartialTensor): void;
  /** What is known of symbols, for D.simplify and comparisons. */
  readonly ranges: Ranges;
  /** A new symbol, for an extent that depends on data. The name's stem is a hint. */
  fresh(stem: string, min: number, max: number | null): Dim;
  /** What shapes must satisfy in a run, where infer cannot tell: a Dim that is 0. A run in which it is not is refused. */
  require(zero: Dim, why: string): void;
  /** Number of outputs of the node. */
  readonly outputCount: number;
  /** A diagnostic E205 at this node. */
  fail(message: string, hint?: string): never;
}

/** The lowering of a node appends stages, kernels and control flow through this. Buffers of inputs and outputs are given. */
export interface TeBuilder {
  readonly types: { readonly inputs: readonly (ValueType | null)[]; readonly outputs: readonly (ValueType | null)[] };
  readonly loc: Loc;
  /** Fails when the optional input is absent. */
  input(i: number): Buffer;
  has(i: number): boolean;
  output(i: number): Buffer;
  /** False when nothing reads output i. */
  wants(i: number): boolean;
  constantOf(i: number): Tensor | null;
  /** What is known of input i's elements at compile time, symbolically. */
  known(i: number): PartialTensor | null;
  /** known(i) with every element a Dim, or null. */
  dims(i: number): readonly Dim[] | null;
  temp(name: string, dtype: DType, shape: readonly Dim[]): Buffer;
  constant(name: string, t: Tensor): Buffer;
  /** A buffer that is a part of another: element i of it is element offset + step*i of `of`. Writing it writes the whole. */
  part(of: Buffer, name: string, offset: readonly Dim[], shape: readonly Dim[], step?: readonly Dim[]): Buffer;
  /** Each element of `out`, as a function of its indices. */
  map(out: Buffer, body: (index: readonly Expr[]) => Expr): void;
  /** Several outputs of one shape computed together. */
  mapAll(outs: readonly Buffer[], body: (index: readonly Expr[]) => readonly Expr[]): void;
  /** A reduction at each element of `out`, over `extents`; over none it has one step. */
  reduce(out: Buffer, extents: readonly Dim[], f: (index: readonly Expr[], r: readonly Expr[]) => ReduceSpec): void;
  /** Like map, but visits axis `axis` in ascending order: body may load `out` at an earlier index of that axis. */
  scan(out: Buffer, axis: number, body: (index: readonly Expr[]) => Expr): void;
  /** A stage written out in full. */
  stage(
    axes: readonly Axis[],
    outs: readonly { readonly buffer: BufferId; readonly body: TeExpr }[],
    scan: string | null,
  ): void;
  /** A kernel in loops, with its arguments by position. */
  kernel(k: Kernel, args: readonly Buffer[], scalars?: readonly Dim[]): void;
  /** Binds a symbol to an element of an integer buffer, or to a Dim's value now. */
  dim(
    id: SymbolId,
    from: { readonly buffer: Buffer; readonly index: Dim } | { readonly value: Dim },
    min?: number,
    max?: number | null,
  ): void;
  /** As InferCtx.require, over symbols that are bound by now: those that `dim` has bound as well. */
  require(zero: Dim, why: string): void;
  /** Whether a symbol stands for something that depends on data: a `dim` binds it. */
  isData(id: SymbolId): boolean;
  /** A new symbol for use in dim, counters and extents. */
  symbol(stem: string): { readonly id: SymbolId; readonly dim: Dim };
  loop(
    options: {
      readonly trip: Dim | null;
      readonly cond: Buffer | null;
      readonly counter: SymbolId;
      readonly swap?: readonly (readonly [Buffer, Buffer])[];
    },
    body: () => void,
  ): void;
  ifElse(cond: Buffer, then: () => void, otherwise: () => void): void;
  /** Lowers a body graph in place: its inputs are bound to these buffers; returns the buffers of its outputs. */
  inline(g: Graph, inputs: readonly Buffer[]): readonly Buffer[];
}
export type ReduceSpec = {
  readonly state: readonly { readonly init: Const; readonly update: (s: readonly Expr[]) => Expr }[];
  /** Joins partial states a and b; absent: the reduction is not split. */
  readonly merge?: (a: readonly Expr[], b: readonly Expr[]) => readonly Expr[];
  readonly result?: (s: readonly Expr[]) => Expr;
};

export type OpBody<A extends Attrs> =
  /** Into other ops; returns one value per output. */
  | { readonly kind: "expand"; readonly expand: (b: GraphBuilder, n: Node<A>) => readonly ValueId[] }
  /** Tensor expressions only: map, mapAll, reduce, scan, stage, part, temp, constant. */
  | { readonly kind: "compute"; readonly compute: (b: TeBuilder, n: Node<A>) => void }
  /** Kernels in loops and run-time dims: sort, NMS, NonZero, scatter with duplicates, tree ensembles. */
  | { readonly kind: "loops"; readonly loops: (b: TeBuilder, n: Node<A>) => void }
  /** If, Loop, Scan, recurrent nets: actions. */
  | { readonly kind: "control"; readonly control: (b: TeBuilder, n: Node<A>) => void }
  /**
   * The output is the input's elements in row-major order under another shape: Reshape, Flatten, Squeeze, Identity. bind: where infer
   * made symbols for the output's extents, binds them.
   */
  | { readonly kind: "view"; readonly bind?: (b: TeBuilder, n: Node<A>) => void };

/**
 * branch: a body whose shapes do not fit (E205) is left out, as long as another branch is left: it is never taken with these inputs.
 * alone: its outputs stand for those of the node. results: the output that is the node's first. Inputs and outputs that are sequences or
 * optionals count once here; for a node of actions (control) they are the tensors that they are made of, in the body and in the node.
 */
export type BodySpec = {
  readonly inputs: readonly ValueType[];
  readonly carried: readonly (readonly [number, number])[];
  readonly branch?: boolean;
  readonly alone?: boolean;
  readonly results?: number;
};

export interface OpDef<A extends Attrs> extends OpHead {
  readonly parse: (n: RawNode) => A;
  /** Types of the outputs. Inputs that are absent are null. Throws through ctx.fail. */
  readonly infer: (x: readonly (ValueType | null)[], a: A, ctx: InferCtx) => readonly ValueType[];
  /**
   * For ops with body graphs: by attribute name, the types of the body's own inputs (captures come after them), and which body
   * input is replaced by which body output from one iteration to the next ([input, output] positions). The node's inputs are those
   * of the ONNX node as written (RawNode.inputCount of them), then the captures of each body in the order of these keys. A graph
   * that is not named here is left out.
   */
  readonly bodies?: (
    x: readonly (ValueType | null)[],
    n: RawNode,
    known: (input: number) => PartialTensor | null,
  ) => { readonly [attr: string]: BodySpec };
  /**
   * Values that stand for the outputs, where the op resolves at compile time: tensors among them made here. null: the node stays. Asked
   * when a node is added, at import or by a pass. n.outputs says only how many there are.
   */
  readonly eager?: (b: GraphBuilder, n: Node<A>) => readonly ValueId[] | null;
  /**
   * What the outputs' numbers stand for, by what those of the inputs do. Without it an op that is no view takes no text, and its outputs
   * are numbers.
   */
  readonly labels?: (a: A, x: readonly (Labels | null)[]) => readonly (Labels | null)[];
  readonly body: OpBody<A>;
}

/** Adds nodes in an expansion or a pass; types are inferred as at import. */
export interface GraphBuilder {
  add<A extends Attrs>(
    def: OpDef<A>,
    inputs: readonly (ValueId | null)[],
    attrs: A,
    outputs?: number,
  ): readonly ValueId[];
  constant(t: Tensor, name?: string): ValueId;
  type(v: ValueId): ValueType;
  known(v: ValueId): PartialTensor | null;
  constantOf(v: ValueId): Tensor | null;
  /** The values in a sequence or optional, or null when they are not known. */
  elements(v: ValueId): readonly ValueId[] | null;
  /** A sequence or optional of these values. */
  collection(type: ValueType, elements: readonly ValueId[]): ValueId;
  /** The tensors that a sequence or optional is made of in the run, or null when it has the other form. */
  parts(v: ValueId): readonly ValueId[] | null;
  /** A sequence or optional of these tensors. */
  list(type: ValueType, parts: readonly ValueId[]): ValueId;
  /** A new symbol, which nothing declares yet. */
  fresh(stem: string): Dim;
  /** A body graph: inputs of these types, whose symbols are its own where the graph does not know them; returns its outputs. */
  body(name: string, types: readonly ValueType[], make: BodyMaker): Graph;
  /** The nodes of a body graph, with its inputs bound to these values; returns its outputs. */
  inline(g: Graph, inputs: readonly ValueId[]): readonly ValueId[];
  fail(message: string, hint?: string): never;
}

export type BodyMaker = (b: GraphBuilder, inputs: readonly ValueId[]) => readonly ValueId[];

/** Gives an OpDef its type parameter by inference. */
export function op<A extends Attrs>(def: OpDef<A>): OpDef<A> {
  return def;
}
export type { Sym };
