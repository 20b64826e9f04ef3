// Folds what scales and shifts the channels of a convolution or a product into its weights and bias: what BatchNormalization expands
// to, and what exporters write beside it. (W*x + b) op c becomes (W op c)*x + (b op c); fold-constants then computes the new weights.
// Results differ by rounding only.
import { InternalError, must } from "../../src/base/assert.ts";
import type { NodeId, ValueId } from "../../src/base/brand.ts";
import { type AnyNode, type Graph, is } from "../../src/ir/graph.ts";
import type { OpHead } from "../../src/ir/opdef.ts";
import { countOf, elementBytes, type Tensor, tensorOf, typedView } from "../../src/ir/types.ts";
import { Gemm, MatMul } from "../../src/ops/contract.ts";
import { Conv, ConvTranspose } from "../../src/ops/conv.ts";
import { Add, Div, Mul, Sub } from "../../src/ops/elementwise.ts";
import { ReduceSum } from "../../src/ops/reduce.ts";
import { type Patch, patchGraph } from "./patch.ts";

export function foldNorm(g: Graph): Graph {
  return patchGraph(g, (p) => {
    const chains = new Chains(p);
    return (n) => {
      const step = chains.steps.get(n.id);
      // Its work is done in the weights: it passes its operand on.
      if (step) return [n.inputs[step.left ? 1 : 0]!];
      const [before, after] = [chains.before.get(n.id) ?? [], chains.after.get(n.id) ?? []];
      return before.length + after.length === 0 ? null : folded(p, n, before, after);
    };
  });
}

/**
 * x op c, or c op x when left. c: one number, or one for each channel: dims [] or [channels]. factor: c scales x; negates: it is c - x.
 */
type Step = {
  readonly op: typeof Add;
  readonly c: Tensor;
  readonly left: boolean;
  readonly factor: boolean;
  readonly negates: boolean;
};

/** Which nodes fold into which: no node into two. */
class Chains {
  /** By node: what follows it, and what comes before it, in the order of the graph. */
  readonly after: Map<NodeId, readonly Step[]> = new Map();
  readonly before: Map<NodeId, readonly Step[]> = new Map();
  readonly steps: Map<NodeId, Step> = new Map();
  private readonly p: Patch;
  private readonly makers = new Map<ValueId, AnyNode>();
  private readonly readers = new Map<ValueId, AnyNode>();

  constructor(p: Patch) {
    this.p = p;
    for (const n of p.graph.nodes) {
      for (const i of n.inputs) if (i !== null) this.readers.set(i, n);
      for (const o of n.outputs) if (o !== null) this.makers.set(o, n);
    }
    for (const n of p.graph.nodes) {
      const t = targetOf(p, n);
      if (t) this.findAfter(n, t);
    }
    for (const n of p.graph.nodes) {
      const t = targetOf(p, n);
      if (t && is(n, Conv)) this.findBefore(n, t.shared, noPads(n.attrs));
    }
  }
  private findAfter(n: AnyNode, t: Target): void {
    const found: (readonly [NodeId, Step])[] = [];
    let v = must(n.outputs[0], "an output");
    for (;;) {
      const next = this.p.uses(v) === 1 ? this.readers.get(v) : undefined;
      const step = next && stepOf(this.p, next, v, t.axis);
      if (!step || (t.shared && (step.factor || step.negates))) break;
      found.push([next.id, step]);
      v = must(next.outputs[0], "an output");
    }
    // A product has no bias: shifts alone stay where they are.
    if (is(n, MatMul) && !found.some(([, s]) => s.factor || s.negates)) return;
    this.keep(this.after, n, found);
  }
  private findBefore(n: AnyNode, shared: boolean, noPads: boolean): void {
    if (shared) return;
    let found: (readonly [NodeId, Step])[] = [];
    let v = n.inputs[0]!;
    for (;;) {
      const last = this.p.uses(v) === 1 ? this.makers.get(v) : undefined;
      const data = last?.inputs.find((i) => this.p.constant(i) === null) ?? null;
      const step = last && data !== null && !this.steps.has(last.id) ? stepOf(this.p, last, data, 1) : null;
      // What is shifted is not 0 where the convolution pads.
      if (!step || (!noPads && !step.factor)) break;
      found = [[last!.id, step], ...found];
      v = data!;
    }
    // A shift goes into the bias only behind a scaling, whose rounding is as large: x - 1e6 folded would lose what x is beside 1e6.
    const from = found.findIndex(([, s]) => s.factor);
    this.keep(this.before, n, from < 0 ? [] : found.slice(from));
  }
  private keep(map: Map<NodeId, readonly Step[]>, n: AnyNode, found: readonly (readonly [NodeId, Step])[]): void {
    for (const [id, s] of found) this.steps.set(id, s);
    if (found.length > 0)
      map.set(
        n.id,
        found.map(([, s]) => s),
      );
  }
}

/** axis: that of the channels in the output, from the end. shared: the weights have another use and stay as they are. */
type Target = { readonly axis: number; readonly shared: boolean };
function targetOf(p: Patch, n: AnyNode): Target | null {
  const t = p.tensor(n.outputs[0]);
  const weights = p.constant(n.inputs[1]);
  if (!t || !weights || (t.dtype !== "f32" && t.dtype !== "f64") || weights.dims.length < 2) return null;
  const shared = p.uses(n.inputs[1]!) > 1;
  const bias = n.inputs[2] ?? null;
  if (is(n, Conv) || is(n, ConvTranspose)) return bias === null || p.constant(bias) ? { axis: 1, shared } : null;
  if (is(n, MatMul)) return { axis: t.shape.length - 1, shared };
  if (!is(n, Gemm)) return null;
  const plain = bias === null || n.attrs.beta === 0 || perChannel(p.constant(bias), 2, 1) !== null;
  return plain ? { axis: 1, shared } : null;
}
function noPads(a: { readonly autoPad: string; readonly pads: readonly number[] }): boolean {
  return a.autoPad === "VALID" || (!a.autoPad.startsWith("SAME") && a.pads.every((x) => x === 0));
}

/** n as a step on its operand `data`, where its other operand is a constant along `axis`. */
function stepOf(p: Patch, n: AnyNode, data: ValueId, axis: number): Step | null {
  const op = [Add, Sub, Mul, Div].find((d) => (d as OpHead) === n.def);
  if (!op || (n.attrs as { axis?: number }).axis !== undefined) return null;
  const left = n.inputs[1] === data;
  const [x, y] = [p.tensor(data), p.tensor(n.outputs[0])];
  if (!x || !y || x.shape.length !== y.shape.length || x.shape.some((d, k) => d !== y.shape[k])) return null;
  if ((x.dtype !== "f32" && x.dtype !== "f64") || (left && op === Div)) return null;
  const c = perChannel(p.constant(n.inputs[left ? 0 : 1]), x.shape.length, axis);
  if (!c || !(typedView(c.dtype, c.bytes) as Float64Array).every((e) => harmless(e, op))) return null;
  return { op, c, left, factor: op === Mul || op === Div, negates: op === Sub && left };
}
/** Neither infinite nor so large or small that weights would leave the range of normal numbers. */
function harmless(x: number, op: typeof Add): boolean {
  if (op === Add || op === Sub) return Number.isFinite(x);
  return (x === 0 && op === Mul) || (Math.abs(x) >= 2 ** -64 && Math.abs(x) <= 2 ** 64);
}
/** A constant that broadcasts along one axis of a tensor, with dims [] or [extent]; null when it varies along others. */
function perChannel(t: Tensor | null, rank: number, axis: number): Tensor | null {
  if (!t || t.dims.length > rank || t.bytes.length === 0) return null;
  const skip = rank - t.dims.length;
  if (t.dims.some((d, k) => d !== 1 && k + skip !== axis)) return null;
  const count = countOf(t.dims);
  return { ...t, dims: count === 1 ? [] : [count] };
}

/** The node with other weights and bias. */
function folded(p: Patch, n: AnyNode, before: readonly Step[], after: readonly Step[]): readonly ValueId[] {
  const m = p.make;
  const place = placement(p, n);
  const { dtype, dims } = p.constant(n.inputs[1])!;
  let weights = n.inputs[1]!;
  let bias = place.bias;
  const someBias = (): ValueId =>
    bias ?? m.constant(tensorOf(dtype, [place.channels], new Float64Array(place.channels)));
  const put = (s: Step, x: ValueId, c: Tensor): ValueId => {
    const id = m.constant(c);
    return m.add(s.op, s.left ? [id, x] : [x, id], {})[0]!;
  };
  const turn = (s: Step, c: Tensor): void => {
    if (s.factor) weights = put(s, weights, c);
    else if (s.negates) weights = m.add(Mul, [weights, m.constant(tensorOf(dtype, [], [-1]))], {})[0]!;
  };
  for (const s of [...before].reverse()) {
    const c = place.input(s.c);
    if (!s.factor) {
      const axes = dims.flatMap((_, k) => (k > 0 ? [k] : []));
      const sums = m.add(ReduceSum, m.add(Mul, [weights, m.constant(c)], {}), { axes, keep: false, noop: false });
      bias = m.add(s.op === Sub && !s.left ? Sub : Add, [someBias(), sums[0]!], {})[0]!;
    }
    turn(s, c);
  }
  for (const s of after) {
    turn(s, place.output(s.c));
    if (!s.factor || bias !== null) bias = put(s, someBias(), s.c);
  }
  return place.again(weights, bias);
}

/** How the weights and the bias of a node lie. */
type Placement = {
  readonly channels: number;
  readonly bias: ValueId | null;
  /** Numbers per output channel (input channel, of a Conv) as a tensor that broadcasts over the weights. */
  readonly output: (c: Tensor) => Tensor;
  readonly input: (c: Tensor) => Tensor;
  readonly again: (weights: ValueId, bias: ValueId | null) => readonly ValueId[];
};
function placement(p: Patch, n: AnyNode): Placement {
  const m = p.make;
  const [x, bias] = [n.inputs[0]!, n.inputs[2] ?? null];
  const { dims } = p.constant(n.inputs[1])!;
  const input = (): never => {
    throw new InternalError(`fold-norm: a scaling before ${n.def.name}`);
  };
  if (is(n, Conv)) {
    const [perGroup, inputs] = [dims[0]! / n.attrs.group, dims[1]!];
    return {
      channels: dims[0]!,
      bias,
      output: (c) => along(c, dims, 0),
      input: (c) => perPair(c, dims, n.attrs.group === 1, (o, i) => Math.floor(o / perGroup) * inputs + i),
      again: (w, b) => m.add(Conv, [x, w, b], n.attrs),
    };
  }
  if (is(n, ConvTranspose)) {
    const [inputs, perGroup] = [dims[0]! / n.attrs.group, dims[1]!];
    return {
      channels: perGroup * n.attrs.group,
      bias,
      output: (c) => perPair(c, dims, n.attrs.group === 1, (i, o) => Math.floor(i / inputs) * perGroup + o),
      input,
      again: (w, b) => m.add(ConvTranspose, [x, w, b], n.attrs),
    };
  }
  if (is(n, Gemm)) {
    const { beta, transB } = n.attrs;
    const c = beta === 0 ? null : perChannel(p.constant(bias), 2, 1);
    const factor = (t: Tensor): ValueId => m.constant(tensorOf(t.dtype, [], [beta]));
    return {
      channels: dims[transB ? 0 : 1]!,
      bias: c && (beta === 1 ? m.constant(c) : m.add(Mul, [m.constant(c), factor(c)], {})[0]!),
      output: (t) => along(t, dims, transB ? 0 : 1),
      input,
      again: (w, b) => m.add(Gemm, [x, w, b], { ...n.attrs, beta: 1 }),
    };
  }
  return {
    channels: dims[dims.length - 1]!,
    bias: null,
    output: (c) => along(c, dims, dims.length - 1),
    input,
    again: (w, b) => {
      const y = m.add(MatMul, [x, w], {});
      return b === null ? y : m.add(Add, [y[0]!, b], {});
    },
  };
}
/** Numbers per index of one axis of weights. */
function along(c: Tensor, weights: readonly number[], axis: number): Tensor {
  return c.dims.length === 0 ? c : { ...c, dims: weights.map((d, k) => (k === axis ? d : 1)) };
}
/** Numbers per channel that two axes of weights make: the second alone in `one` group. */
function perPair(
  c: Tensor,
  weights: readonly number[],
  one: boolean,
  channel: (a: number, b: number) => number,
): Tensor {
  if (c.dims.length === 0 || one) return along(c, weights, 1);
  const size = elementBytes(c.dtype);
  const [rows, columns] = weights as readonly [number, number];
  const bytes = new Uint8Array(rows * columns * size);
  for (let a = 0, at = 0; a < rows; a++)
    for (let b = 0; b < columns; b++, at += size) {
      const from = channel(a, b) * size;
      bytes.set(c.bytes.subarray(from, from + size), at);
    }
  return { dtype: c.dtype, dims: weights.map((d, k) => (k < 2 ? d : 1)), bytes };
}
