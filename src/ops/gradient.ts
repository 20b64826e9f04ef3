// Reverse-mode derivatives of a part of a graph, as further nodes of it: one rule per operator, and the chain rule.
import { must } from "../base/assert.ts";
import type { ValueId } from "../base/brand.ts";
import { userError } from "../base/diagnostics.ts";
import * as D from "../ir/dim.ts";
import type { AnyNode, Attrs } from "../ir/graph.ts";
import { defOf } from "../ir/graph-maker.ts";
import type { GraphBuilder, OpDef } from "../ir/opdef.ts";
import { isFloat, tensorOf } from "../ir/types.ts";
import { Cast } from "./cast.ts";
import { MatMul } from "./contract.ts";
import { ConstantOfShape } from "./create.ts";
import { elementwiseOps, Pow, Sigmoid, Where } from "./elementwise.ts";
import { Expander } from "./expander.ts";
import { Concat, Expand, Shape, Size, Split, Transpose } from "./move.ts";
import { ReduceSum } from "./reduce.ts";
import { View } from "./view.ts";

/** A node of the forward part while its rule runs. */
type At<A> = {
  readonly e: Tape;
  readonly attrs: A;
  readonly x: readonly ValueId[];
  readonly y: readonly ValueId[];
  /** The derivative by output 0. */
  readonly dy: ValueId;
  /** By any output; zeros where nothing depends on it. */
  by(output: number): ValueId;
};
/** What input k's derivative is, before it is summed over axes that were broadcast. */
type Rule<A = Attrs> = (at: At<A>, k: number) => ValueId;

const named = (name: string): OpDef<Attrs> =>
  must(
    elementwiseOps.find((d) => d.name === name),
    name,
  );
class Tape extends Expander {
  unary(name: string, x: ValueId): ValueId {
    return this.one(named(name), [x], {});
  }
  number(like: ValueId, value: number): ValueId {
    return this.cast(this.scalar("f32", value), this.dtype(like));
  }
  /** A tensor of x's shape. */
  filled(x: ValueId, value: number): ValueId {
    const shape = this.one(Shape, [x], { start: 0, end: this.shape(x).length });
    return this.cast(this.one(ConstantOfShape, [shape], { value: tensorOf("f32", [1], [value]) }), this.dtype(x));
  }
  square(x: ValueId): ValueId {
    return this.mul(x, x);
  }
  /** Summed to the shape of `like`, which broadcast to that of d. */
  sumTo(d: ValueId, like: ValueId): ValueId {
    const [from, to] = [this.shape(d), this.shape(like)];
    const lead = from.length - to.length;
    const axes = from.flatMap((n, k) => (k < lead || (to[k - lead] === D.one && n !== D.one) ? [k] : []));
    if (axes.length === 0) return d;
    const sum = this.one(ReduceSum, [d], { axes, keep: false, noop: true });
    return this.view(sum, like);
  }
  view(x: ValueId, like: ValueId): ValueId {
    return this.one(View, [x], { type: { dtype: this.dtype(x), shape: this.shape(like) } });
  }
  transposed(x: ValueId): ValueId {
    const rank = this.shape(x).length;
    const perm = Array.from({ length: rank }, (_, k) => (k < rank - 2 ? k : 2 * rank - 3 - k));
    return this.one(Transpose, [x], { perm });
  }
  matmul(x: ValueId, y: ValueId): ValueId {
    return this.one(MatMul, [x, y], {});
  }
  /** d of a reduction's result as large as x again. */
  spread(d: ValueId, x: ValueId, axes: readonly number[]): ValueId {
    const shape = this.shape(x).map((n, k) => (axes.includes(k) ? D.one : n));
    const kept = this.one(View, [d], { type: { dtype: this.dtype(d), shape } });
    return this.one(Expand, [kept, this.one(Shape, [x], { start: 0, end: shape.length })], {});
  }
}

type Axes = { readonly axes?: readonly number[]; readonly keep?: boolean };
function reducedAxes(e: Tape, a: Axes, x: readonly ValueId[]): readonly number[] {
  const rank = e.shape(x[0]!).length;
  const known =
    x[1] === undefined ? null : e.b.known(x[1])?.elements.map((d) => (typeof d === "object" && d ? D.known(d) : null));
  if (x[1] !== undefined && !known?.every((k) => k !== null)) return e.b.fail("the axes are not known at compile time");
  const axes = a.axes ?? (known as readonly number[] | null) ?? [];
  return axes.length === 0 ? Array.from({ length: rank }, (_, k) => k) : axes.map((k) => (k < 0 ? k + rank : k));
}
const axisOf = (e: Tape, x: ValueId, axis: number): number => (axis < 0 ? axis + e.shape(x).length : axis);
const unary =
  (f: (e: Tape, x: ValueId, y: ValueId) => ValueId): Rule =>
  ({ e, x, y, dy }) =>
    e.mul(dy, f(e, x[0]!, y[0]!));
const reshaped: Rule = ({ e, x, dy }) => e.view(dy, x[0]!);
/** Softmax and LogSoftmax: their sums run along one axis, or from it on. */
const summed = (e: Tape, a: Attrs, x: ValueId, d: ValueId): ValueId => {
  const { axis, flat } = a as { readonly axis: number; readonly flat: boolean };
  const first = axisOf(e, x, axis);
  const axes = flat ? Array.from({ length: e.shape(x).length - first }, (_, k) => first + k) : [first];
  return e.one(ReduceSum, [d], { axes, keep: true, noop: true });
};

const rules: Readonly<Record<string, Rule>> = {
  Identity: ({ dy }) => dy,
  Add: ({ dy }) => dy,
  Sum: ({ dy }) => dy,
  Sub: ({ e, dy }, k) => (k === 0 ? dy : e.unary("Neg", dy)),
  Mul: ({ e, x, dy }, k) => e.mul(dy, x[1 - k]!),
  Div: ({ e, x, y, dy }, k) => (k === 0 ? e.div(dy, x[1]!) : e.unary("Neg", e.div(e.mul(dy, y[0]!), x[1]!))),
  Neg: ({ e, dy }) => e.unary("Neg", dy),
  Abs: unary((e, x) => e.unary("Sign", x)),
  Exp: unary((_e, _x, y) => y),
  Log: ({ e, x, dy }) => e.div(dy, x[0]!),
  Sqrt: ({ e, y, dy }) => e.div(e.mul(dy, e.number(dy, 0.5)), y[0]!),
  Reciprocal: unary((e, _x, y) => e.unary("Neg", e.square(y))),
  Sin: unary((e, x) => e.unary("Cos", x)),
  Cos: unary((e, x) => e.unary("Neg", e.unary("Sin", x))),
  Tanh: unary((e, _x, y) => e.sub(e.number(y, 1), e.square(y))),
  Sigmoid: unary((e, _x, y) => e.mul(y, e.sub(e.number(y, 1), y))),
  Softplus: unary((e, x) => e.one(Sigmoid, [x], {})),
  Erf: unary((e, x) => e.mul(e.unary("Exp", e.unary("Neg", e.square(x))), e.number(x, 2 / Math.sqrt(Math.PI)))),
  Relu: ({ e, x, dy }) => {
    const positive = e.one(named("Greater"), [x[0]!, e.number(x[0]!, 0)], {});
    return e.one(Where, [positive, dy, e.number(dy, 0)], {});
  },
  Pow: ({ e, x, y, dy }, k) => {
    const [base, exponent] = [x[0]!, e.cast(x[1]!, e.dtype(x[0]!))];
    if (k === 1) return e.mul(dy, e.mul(y[0]!, e.unary("Log", base)));
    return e.mul(dy, e.mul(exponent, e.one(Pow, [base, e.sub(exponent, e.number(base, 1))], {})));
  },
  Where: ({ e, x, dy }, k) => {
    const zero = e.number(dy, 0);
    return e.one(Where, k === 1 ? [x[0]!, dy, zero] : [x[0]!, zero, dy], {});
  },
  Cast: ({ e, x, dy }) => e.one(Cast, [dy], { to: e.dtype(x[0]!) }),
  MatMul: ({ e, x, dy }, k) => {
    if (x.some((v) => e.shape(v).length < 2)) return e.b.fail("the derivative of MatMul of a vector is not supported");
    return k === 0 ? e.matmul(dy, e.transposed(x[1]!)) : e.matmul(e.transposed(x[0]!), dy);
  },
  Gemm: ({ e, x, attrs, dy }, k) => {
    const a = attrs as {
      readonly alpha: number;
      readonly beta: number;
      readonly transA: boolean;
      readonly transB: boolean;
    };
    const scaled = (d: ValueId, by: number): ValueId => (by === 1 ? d : e.mul(d, e.number(d, by)));
    if (k === 2) return scaled(dy, a.beta);
    const turn = (v: ValueId, really: boolean): ValueId => (really ? e.transposed(v) : v);
    const d = scaled(dy, a.alpha);
    const [p, q] = [turn(x[0]!, a.transA), turn(x[1]!, a.transB)];
    return k === 0 ? turn(e.matmul(d, e.transposed(q)), a.transA) : turn(e.matmul(e.transposed(p), d), a.transB);
  },
  Transpose: ({ e, x, attrs, dy }) => {
    const rank = e.shape(x[0]!).length;
    const perm =
      (attrs["perm"] as readonly number[] | undefined) ?? Array.from({ length: rank }, (_, k) => rank - 1 - k);
    return e.one(Transpose, [dy], { perm: perm.map((_, k) => perm.indexOf(k)) });
  },
  Reshape: reshaped,
  Flatten: reshaped,
  Squeeze: reshaped,
  Unsqueeze: reshaped,
  View: reshaped,
  Expand: ({ dy }) => dy,
  ReduceSum: ({ e, x, attrs, dy }) => e.spread(dy, x[0]!, reducedAxes(e, attrs, x)),
  ReduceMean: ({ e, x, y, attrs, dy }) => {
    const count = (v: ValueId): ValueId => e.cast(e.one(Size, [v], {}), e.dtype(dy));
    const part = e.div(count(y[0]!), count(x[0]!));
    return e.mul(e.spread(dy, x[0]!, reducedAxes(e, attrs, x)), part);
  },
  Concat: ({ e, x, attrs, dy }, k) => {
    const axis = axisOf(e, dy, attrs["axis"] as number);
    if (x.length === 1) return dy;
    const split = x.map((v) => D.known(e.shape(v)[axis]!) ?? e.b.fail("an extent of Concat is not known"));
    return must(e.b.add(Split, [dy], { axis, split, ceil: false }, x.length)[k], "a part");
  },
  Split: ({ e, y, attrs, by }) =>
    e.one(
      Concat,
      y.map((_, k) => by(k)),
      { axis: attrs["axis"] as number },
    ),
  Softmax: ({ e, x, y, attrs, dy }) => e.mul(y[0]!, e.sub(dy, summed(e, attrs, x[0]!, e.mul(dy, y[0]!)))),
  LogSoftmax: ({ e, x, y, attrs, dy }) => e.sub(dy, e.mul(e.unary("Exp", y[0]!), summed(e, attrs, x[0]!, dy))),
};

/** What a Gradient asks for: the derivatives of y by xs, where the independent values (xs first, then zs) are `at`. */
export type GradientRequest = {
  readonly nodes: readonly AnyNode[];
  readonly y: ValueId;
  readonly xs: readonly ValueId[];
  readonly zs: readonly ValueId[];
  readonly at: readonly ValueId[];
};

/**
 * The sum of y's elements differentiated by each of xs, of x's shape. Forward nodes are used again where they are, and repeated where
 * other values stand for their inputs. Fails (E204, at the node) where an operator has no rule.
 */
export function gradients(b: GraphBuilder, r: GradientRequest): readonly ValueId[] {
  const independent = [...r.xs, ...r.zs];
  const path = pathOf(r.nodes, r.y, new Set(independent));
  const now = new Map<ValueId, ValueId>(independent.map((v, k) => [v, must(r.at[k], `input ${k} of Gradient`)]));
  const get = (v: ValueId): ValueId => now.get(v) ?? v;
  const depends = new Set<ValueId>(r.xs);
  const e = new Tape(b);
  for (const n of path) {
    // What is no float, a shape or a comparison, does not change with small changes.
    if (n.inputs.some((v) => v !== null && depends.has(v)))
      for (const o of n.outputs) if (o !== null && isFloat(e.dtype(o))) depends.add(o);
    if (n.inputs.every((v) => v === null || get(v) === v)) continue;
    const again = b.add(
      defOf(n),
      n.inputs.map((v) => (v === null ? null : get(v))),
      n.attrs as Attrs,
      n.outputs.length,
    );
    n.outputs.forEach((o, k) => {
      if (o !== null) now.set(o, again[k]!);
    });
  }
  const found = new Map<ValueId, ValueId>([[r.y, e.filled(get(r.y), 1)]]);
  for (const n of [...path].reverse()) {
    const first = n.outputs.find((o) => o !== null && found.has(o));
    if (first === undefined || first === null || !n.outputs.some((o) => o !== null && depends.has(o))) continue;
    const by = (k: number): ValueId => {
      const o = must(n.outputs[k] ?? null, `output ${k}`);
      return found.get(o) ?? e.filled(get(o), 0);
    };
    const rule = rules[n.def.name];
    if (!rule || n.inputs.includes(null))
      throw userError("E204", `Gradient has no rule for ${n.def.name}`, { loc: n.loc });
    const x = n.inputs.map((v) => get(v!));
    const at = { e, attrs: n.attrs as Attrs, x, y: n.outputs.map((o) => (o === null ? x[0]! : get(o))), dy: by(0), by };
    n.inputs.forEach((v, k) => {
      if (v === null || !depends.has(v) || !isFloat(e.dtype(x[k]!))) return;
      const d = e.sumTo(rule(at, k), x[k]!);
      const old = found.get(v);
      found.set(v, old === undefined ? d : e.add(old, d));
    });
  }
  return r.xs.map((v) => found.get(v) ?? e.filled(get(v), 0));
}

/** The nodes between the independent values and y, in order. */
function pathOf(nodes: readonly AnyNode[], y: ValueId, independent: ReadonlySet<ValueId>): readonly AnyNode[] {
  const needed = new Set<ValueId>(independent.has(y) ? [] : [y]);
  const path: AnyNode[] = [];
  for (const n of [...nodes].reverse()) {
    if (!n.outputs.some((o) => o !== null && needed.has(o))) continue;
    path.unshift(n);
    for (const v of n.inputs) if (v !== null && !independent.has(v)) needed.add(v);
  }
  return path;
}
