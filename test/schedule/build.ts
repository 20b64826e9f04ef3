// Small graphs with ONNX's own attributes, with dims that are numbers or symbols: as Ingot's graph, and as a model's description.
import { InternalError, must } from "../../src/base/assert.ts";
import type { ValueId } from "../../src/base/brand.ts";
import { UserError, userError } from "../../src/base/diagnostics.ts";
import type { Dim } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { GraphMaker } from "../../src/ir/graph-maker.ts";
import type { PartialTensor, RawNode } from "../../src/ir/opdef.ts";
import { tensorShape } from "../../src/ir/te-builder.ts";
import { countOf, type DType, type Tensor, tensorOf, tensorType, type ValueType } from "../../src/ir/types.ts";
import type { AttrSpec, GraphSpec, ModelSpec, NodeSpec, TypeSpec } from "../../src/onnx/export.ts";
import { codeOfDtype } from "../../src/onnx/tensors.ts";
import { newestOpset, OpTable } from "../../src/ops/index.ts";

const ops = new OpTable();
export type Attr = number | string | readonly number[] | readonly string[] | Tensor | Graph;
export type Attributes = Readonly<Record<string, Attr>>;
/** Values of the symbols. */
export type Sizes = Readonly<Record<string, number>>;
type DimArg = number | string | Dim;

/** The node as an operator reads it. What it reads of the attributes is added to `read`, in the form that ONNX has for it. */
function rawNode(node: NodeRecord, opset: number, read: Record<string, AttrSpec>): RawNode {
  const { type, attrs, inputs } = node;
  const fail = (message: string): never => {
    throw userError("E204", message, { loc: { node: type, op: type } });
  };
  const get = <T extends Attr>(name: string, is: (a: Attr) => a is T, spec: (a: T) => AttrSpec): T | undefined => {
    const a = attrs[name];
    if (a === undefined || !is(a)) return undefined;
    read[name] = spec(a);
    return a;
  };
  const isNumber = (a: Attr): a is number => typeof a === "number";
  const isString = (a: Attr): a is string => typeof a === "string";
  const isList = (a: Attr): a is readonly number[] => Array.isArray(a) && !a.some((x) => typeof x === "string");
  const isStrings = (a: Attr): a is readonly string[] => Array.isArray(a) && a.some((x) => typeof x === "string");
  const isTensor = (a: Attr): a is Tensor => typeof a === "object" && "dtype" in a;
  const or = <T>(x: T | undefined, dflt: T | undefined, name: string): T => x ?? dflt ?? fail(`no ${name}`);
  return {
    opset,
    type,
    domain: node.domain,
    inputCount: inputs.length - node.captures,
    outputCount: node.outputs.length,
    has: (name) => attrs[name] !== undefined,
    hasInput: (i) => (inputs[i] ?? null) !== null,
    labels: () => null,
    int: (name, dflt) =>
      or(
        get(name, isNumber, (a) => a),
        dflt,
        name,
      ),
    float: (name, dflt) =>
      or(
        get(name, isNumber, (float) => ({ float })),
        dflt,
        name,
      ),
    string: (name, dflt) =>
      or(
        get(name, isString, (a) => a),
        dflt,
        name,
      ),
    ints: (name) => get(name, isList, (a) => a),
    floats: (name) => get(name, isList, (floats) => ({ floats })),
    strings: (name) => get(name, isStrings, (a) => a),
    tensor: (name) => get(name, isTensor, (a) => a),
    graph: (name) => attrs[name] as Graph | undefined,
    valueType: () => undefined,
    dtype: (name, dflt) => or(get(name, isString, (a) => codeOfDtype(a as DType)) as DType | undefined, dflt, name),
    fail,
  };
}
/** A node that was added. captures: how many of its last inputs are what its bodies capture. */
type NodeRecord = {
  readonly type: string;
  readonly domain: string;
  readonly attrs: Attributes;
  readonly inputs: readonly (ValueId | null)[];
  readonly captures: number;
  readonly outputs: readonly (ValueId | null)[];
};
type Recorded = NodeRecord & { readonly read: Readonly<Record<string, AttrSpec>> };
/** What a node needs beyond its inputs and attributes. */
export type Placement = { readonly domain?: string; readonly captures?: number };

/** Numbers in -1..1, the same in every run of the tests. */
export class Random {
  private state: number;
  constructor(seed: number) {
    this.state = Math.imul(seed + 1, 2654435761) >>> 0;
  }
  next(): number {
    this.state = (Math.imul(this.state, 1664525) + 1013904223) >>> 0;
    return this.state / 2 ** 31 - 1;
  }
  /** An integer in 0..n-1. */
  below(n: number): number {
    return Math.floor(((this.next() + 1) / 2) * n);
  }
  pick<T>(xs: readonly T[]): T {
    return xs[this.below(xs.length)]!;
  }
  tensor(dtype: DType, dims: readonly number[]): Tensor {
    const float = dtype === "f32" || dtype === "f64";
    const value = (): number =>
      float
        ? Math.fround(this.next())
        : dtype === "bool"
          ? this.below(2)
          : dtype === "i8" || dtype === "u8"
            ? this.below(256) - (dtype === "i8" ? 128 : 0)
            : this.below(dtype.startsWith("u") ? 7 : 13) - (dtype.startsWith("u") ? 0 : 6);
    return tensorOf(dtype, dims, Array.from({ length: countOf(dims) }, value));
  }
}

/** within: bounds of the values that make sense, inclusive. */
export type Input = {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly Dim[];
  readonly within?: readonly [number, number];
};
/** Collects a graph. With sizes a symbol is its number; without it stays a symbol, from 1 on. */
export class Builder {
  readonly random: Random;
  private readonly sizes: Sizes | null;
  private readonly m: GraphMaker;
  private readonly outputs: ValueId[] = [];
  readonly inputs: Input[] = [];
  private readonly opsets: ReadonlyMap<string, number>;
  private readonly nodes: Recorded[] = [];
  private readonly constants = new Set<ValueId>();
  private readonly bodies: Map<Graph, Builder>;
  /** Of this graph and its bodies: no two nodes have one name. */
  private readonly count: { nodes: number; graphs: number };
  /** Makes names of values and constants differ between a graph and its bodies. */
  private readonly scope: string;
  constructor(seed: number, sizes: Sizes | null, outer?: Builder, opset = 21) {
    this.random = outer ? outer.random : new Random(seed);
    this.sizes = sizes;
    this.m = new GraphMaker(outer ? "body" : "g", outer?.m);
    this.opsets = outer ? outer.opsets : new Map([...newestOpset, ["", opset]]);
    this.bodies = outer ? outer.bodies : new Map();
    this.count = outer ? outer.count : { nodes: 0, graphs: 0 };
    this.scope = `${this.count.graphs++}`;
  }
  /** A body graph; what it captures comes after its own inputs. Outputs are those that `make` gives. */
  body(inputs: readonly ValueType[], make: (b: Builder, inputs: readonly ValueId[]) => readonly ValueId[]): Graph {
    const inner = new Builder(0, this.sizes, this);
    const ids = inputs.map((t, k) => inner.m.input(`in${inner.scope}.${k}`, t));
    const g = inner.m.finish(make(inner, ids));
    this.bodies.set(g, inner);
    return g;
  }
  type(v: ValueId): ValueType {
    return this.m.type(v);
  }
  private dim(d: DimArg): Dim {
    if (typeof d === "number") return D.int(d);
    if (typeof d !== "string") return d;
    const size = this.sizes?.[d];
    if (size !== undefined) return D.int(size);
    this.m.symbol({ id: d as never, min: 1, max: null, def: null });
    return D.sym(d);
  }
  input(dims: readonly DimArg[], dtype: DType = "f32", within?: readonly [number, number]): ValueId {
    const name = `x${this.inputs.length}`;
    const shape = dims.map((d) => this.dim(d));
    this.inputs.push({ name, dtype, shape, ...(within ? { within } : {}) });
    return this.m.input(name, tensorType(dtype, shape));
  }
  constant(dims: readonly number[], dtype: DType = "f32"): ValueId {
    return this.tensor(this.random.tensor(dtype, dims));
  }
  tensor(t: Tensor): ValueId {
    const v = this.m.constant(t, `const${this.scope}.${this.constants.size}`);
    this.constants.add(v);
    return v;
  }
  ints(values: readonly number[], dtype: DType = "i64"): ValueId {
    return this.tensor(tensorOf(dtype, [values.length], values));
  }
  floats(values: readonly number[]): ValueId {
    return this.tensor(tensorOf("f32", [values.length], values));
  }
  scalar(value: number, dtype: DType = "f32"): ValueId {
    return this.tensor(tensorOf(dtype, [], [value]));
  }
  op(type: string, inputs: readonly (ValueId | null)[], attrs: Attributes = {}, where: Placement = {}): ValueId {
    return this.ops(type, inputs, attrs, 1, where)[0]!;
  }
  /** Throws a UserError where the operator does not take these inputs and attributes. Of `If` all inputs but the first are captures. */
  ops(
    type: string,
    inputs: readonly (ValueId | null)[],
    attrs: Attributes,
    outputs: number,
    { domain = "", captures = type === "If" ? inputs.length - 1 : 0 }: Placement = {},
  ): readonly ValueId[] {
    const opset = must(this.opsets.get(domain), `opset of ${domain}`);
    const def = ops.find(domain, type, opset);
    if (!def) throw userError("E201", `${type} is not in opset ${opset}`);
    const node = `n${this.count.nodes++}`;
    const names = Array.from({ length: outputs }, (_, k) => `${node}.${k}`);
    const record = { type, domain, attrs, inputs, captures };
    const read: Record<string, AttrSpec> = {};
    try {
      const parsed = def.parse(rawNode({ ...record, outputs: names.map(() => null) }, opset, read));
      const made = this.m.node(def, parsed, inputs, names, { node, op: type }) as readonly ValueId[];
      this.nodes.push({ ...record, outputs: made, read });
      return made;
    } catch (e) {
      if (e instanceof UserError) throw e;
      // A model of it shows the same in an import.
      const made = names.map((name) => this.m.value(name, tensorType("f32", [])));
      this.nodes.push({ ...record, outputs: made, read });
      this.output(made[0]!);
      throw new InternalError(`${type}: ${(e as Error).message}`, { cause: e });
    }
  }
  known(v: ValueId): PartialTensor | null {
    return this.m.known(v);
  }
  shape(v: ValueId): readonly Dim[] {
    return must(tensorShape(this.m.type(v)), "a tensor");
  }
  output(...vs: readonly ValueId[]): void {
    for (const v of vs) {
      this.m.rename(v, `y${this.outputs.length}`);
      this.outputs.push(v);
    }
  }
  finish(): Graph {
    return this.m.finish(this.outputs);
  }
  /** The model of what was collected; its dims are as they are here, with symbols by name. */
  model(): ModelSpec {
    const typeOf = (shape: readonly Dim[], dtype: DType): TypeSpec => [
      dtype,
      shape.map((d) => (d.kind === "sym" ? d.id : must(D.known(d), `the dim ${d.key} of an input`))),
    ];
    const used = [...this.opsets].filter(([domain]) => domain === "" || this.uses(domain));
    return {
      opsets: Object.fromEntries(used),
      inputs: Object.fromEntries(this.inputs.map(({ name, dtype, shape }) => [name, typeOf(shape, dtype)])),
      ...this.graphSpec(this.outputs, (v) => this.m.get(v).name),
    };
  }
  private uses(domain: string): boolean {
    return [this, ...this.bodies.values()].some((b) => b.nodes.some((n) => n.domain === domain));
  }
  private graphSpec(
    outputs: readonly ValueId[],
    name: (v: ValueId) => string,
  ): Pick<GraphSpec, "nodes" | "outputs" | "initializers"> {
    const nodes = this.nodes.map((n): NodeSpec => {
      const own = n.inputs.length - n.captures;
      let from = own;
      const bodies = Object.entries(n.attrs).flatMap(([attr, g]): [string, AttrSpec][] => {
        const inner = typeof g === "object" && "nodes" in g ? this.bodies.get(g) : undefined;
        if (!inner) return [];
        // What a body captures comes after its own inputs.
        const formals = (g as Graph).inputs;
        const captured = n.type === "If" ? formals.length : n.captures;
        const names = new Map(formals.slice(formals.length - captured).map((v) => [v, name(n.inputs[from++]!)]));
        const inName = (v: ValueId): string => names.get(v) ?? inner.m.get(v).name;
        const inputs = formals.filter((v) => !names.has(v)).map((v) => [inName(v), inner.typeSpec(v)] as const);
        const spec = inner.graphSpec((g as Graph).outputs, inName);
        return [[attr, { graph: { name: attr, inputs: Object.fromEntries(inputs), ...spec } }]];
      });
      return {
        op: n.type,
        domain: n.domain,
        inputs: n.inputs.slice(0, own).map((v) => (v === null ? "" : name(v))),
        outputs: n.outputs.map((v) => (v === null ? "" : name(v))),
        attrs: { ...n.read, ...Object.fromEntries(bodies) },
      };
    });
    const constants = [...this.constants].map((v) => [name(v), must(this.m.constantOf(v), "a constant")] as const);
    const read = new Set([...this.nodes.flatMap((n) => n.inputs), ...outputs]);
    return {
      nodes,
      outputs: outputs.map(name),
      initializers: Object.fromEntries(constants.filter((_, k) => read.has([...this.constants][k]!))),
    };
  }
  /** A body's input: its rank, with the dims that are numbers. */
  private typeSpec(v: ValueId): TypeSpec {
    const t = this.m.type(v);
    if (t.kind !== "tensor") throw new InternalError("an input of a body is no tensor");
    return [t.tensor.dtype, t.tensor.shape.map((d) => D.known(d))];
  }
}
/** Inputs of these sizes for what a builder has collected. */
export function dataFor(b: Builder, sizes: Sizes, seed: number): Record<string, Tensor> {
  const random = new Random(seed);
  return Object.fromEntries(
    b.inputs.map(({ name, dtype, shape }) => [
      name,
      random.tensor(
        dtype,
        shape.map((d) => D.evaluate(d, (id) => must(sizes[id], id))),
      ),
    ]),
  );
}
