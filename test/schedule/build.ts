// Small graphs with ONNX's own attributes, with dims that are numbers or symbols.
import { must } from "../../src/base/assert.ts";
import type { ValueId } from "../../src/base/brand.ts";
import { userError } from "../../src/base/diagnostics.ts";
import type { Dim } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { GraphMaker } from "../../src/ir/graph-maker.ts";
import type { RawNode } from "../../src/ir/opdef.ts";
import { tensorShape } from "../../src/ir/te-builder.ts";
import { countOf, type DType, type Tensor, tensorOf, tensorType, type ValueType } from "../../src/ir/types.ts";
import { OpTable } from "../../src/ops/index.ts";

const ops = new OpTable();
export type Attr = number | string | readonly number[] | readonly string[] | Tensor | Graph;
export type Attributes = Readonly<Record<string, Attr>>;
/** Values of the symbols. */
export type Sizes = Readonly<Record<string, number>>;
type DimArg = number | string | Dim;

function rawNode(type: string, attrs: Attributes, inputs: readonly unknown[], outputCount: number): RawNode {
  const get = (name: string): Attr | undefined => attrs[name];
  const fail = (message: string): never => {
    throw userError("E204", message, { loc: { node: type, op: type } });
  };
  const one = (name: string, dflt: unknown): never => (get(name) ?? dflt ?? fail(`no ${name}`)) as never;
  return {
    opset: 21,
    type,
    domain: "",
    inputCount: inputs.length,
    outputCount,
    has: (name) => get(name) !== undefined,
    hasInput: (i) => (inputs[i] ?? null) !== null,
    labels: () => null,
    int: one,
    float: one,
    string: one,
    ints: (name) => get(name) as readonly number[] | undefined,
    floats: (name) => get(name) as readonly number[] | undefined,
    strings: (name) => get(name) as readonly string[] | undefined,
    tensor: (name) => get(name) as Tensor | undefined,
    graph: (name) => get(name) as Graph | undefined,
    valueType: () => undefined,
    dtype: one,
    fail,
  };
}

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

/** Collects a graph. With sizes a symbol is its number; without it stays a symbol, from 1 on. */
export class Builder {
  readonly random: Random;
  private readonly sizes: Sizes | null;
  private readonly m: GraphMaker;
  private readonly outputs: ValueId[] = [];
  readonly inputs: { readonly name: string; readonly dtype: DType; readonly shape: readonly Dim[] }[] = [];
  private n = 0;
  constructor(seed: number, sizes: Sizes | null, outer?: Builder) {
    this.random = outer ? outer.random : new Random(seed);
    this.sizes = sizes;
    this.m = new GraphMaker(outer ? "body" : "g", outer?.m);
  }
  /** A body graph; what it captures comes after its own inputs. Outputs are those that `make` gives. */
  body(inputs: readonly ValueType[], make: (b: Builder, inputs: readonly ValueId[]) => readonly ValueId[]): Graph {
    const inner = new Builder(0, this.sizes, this);
    const ids = inputs.map((t, k) => inner.m.input(`in${k}`, t));
    return inner.m.finish(make(inner, ids));
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
  input(dims: readonly DimArg[], dtype: DType = "f32"): ValueId {
    const name = `x${this.inputs.length}`;
    const shape = dims.map((d) => this.dim(d));
    this.inputs.push({ name, dtype, shape });
    return this.m.input(name, tensorType(dtype, shape));
  }
  constant(dims: readonly number[], dtype: DType = "f32"): ValueId {
    return this.m.constant(this.random.tensor(dtype, dims));
  }
  tensor(t: Tensor): ValueId {
    return this.m.constant(t);
  }
  ints(values: readonly number[], dtype: DType = "i64"): ValueId {
    return this.m.constant(tensorOf(dtype, [values.length], values));
  }
  floats(values: readonly number[]): ValueId {
    return this.m.constant(tensorOf("f32", [values.length], values));
  }
  scalar(value: number, dtype: DType = "f32"): ValueId {
    return this.m.constant(tensorOf(dtype, [], [value]));
  }
  op(type: string, inputs: readonly (ValueId | null)[], attrs: Attributes = {}): ValueId {
    return this.ops(type, inputs, attrs, 1)[0]!;
  }
  ops(type: string, inputs: readonly (ValueId | null)[], attrs: Attributes, outputs: number): readonly ValueId[] {
    const def = must(ops.find("", type, 21), type);
    const node = `n${this.n++}`;
    const names = Array.from({ length: outputs }, (_, k) => `${node}.${k}`);
    const parsed = def.parse(rawNode(type, attrs, inputs, outputs));
    return this.m.node(def, parsed, inputs, names, { node, op: type }) as readonly ValueId[];
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
