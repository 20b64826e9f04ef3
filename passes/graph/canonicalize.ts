// One form for each meaning: what does nothing goes, and what has two spellings gets one. Every rewrite is exact, bit for bit, so all
// hold for strict math too. Patterns that are only equal up to rounding (x*clip(x + 3, 0, 6)/6 and HardSwish, erf and Gelu) stay as they
// are: their formulas meet in one stage at T anyway.
import type { ValueId } from "../../src/base/brand.ts";
import * as D from "../../src/ir/dim.ts";
import { type AnyNode, type Attrs, type Graph, is, type Node } from "../../src/ir/graph.ts";
import { defOf } from "../../src/ir/graph-maker.ts";
import {
  type DType,
  intBits,
  isFloat,
  isUnsigned,
  type Tensor,
  type TensorType,
  typedView,
} from "../../src/ir/types.ts";
import { Cast, CastLike } from "../../src/ops/cast.ts";
import { Add, Div, Dropout, Mul, Pow, Sub } from "../../src/ops/elementwise.ts";
import { Concat, Expand, Split, Tile, Transpose } from "../../src/ops/move.ts";
import { Pad, Slice } from "../../src/ops/slice.ts";
import { Flatten, Identity, Reshape, Squeeze, Unsqueeze, View } from "../../src/ops/view.ts";
import { type Patch, patchGraph } from "./patch.ts";

type Values = readonly (ValueId | null)[];
/** A patch for a node: values of the same types and elements as its outputs; null where the rule does not apply. */
type Rule = {
  readonly name: string;
  readonly ops: readonly string[];
  readonly apply: (p: Patch, n: AnyNode) => Values | null;
};

export function canonicalize(g: Graph): Graph {
  return patchGraph(g, (p) => (n) => {
    for (const r of rulesFor.get(n.def.name) ?? []) {
      const values = r.apply(p, n);
      if (values) return values;
    }
    return resolved(p, n);
  });
}

/** What resolves now that more is known than at import: an If whose condition is a constant becomes its branch. */
function resolved(p: Patch, n: AnyNode): Values | null {
  return defOf(n).eager?.(p.make, n as Node<Attrs>) ?? null;
}

const first = (n: AnyNode): ValueId => n.inputs[0]!;
/** The only value of a node with one output. */
const only = (v: ValueId | null): Values | null => (v === null ? null : [v]);

/** The input for the output, where both have the same shape. */
function unchanged(p: Patch, n: AnyNode): Values | null {
  const [x, y] = [p.tensor(n.inputs[0]), p.tensor(n.outputs[0])];
  return x && y && sameShape(x, y) ? [first(n)] : null;
}
function sameShape(a: TensorType, b: TensorType): boolean {
  return a.shape.length === b.shape.length && a.shape.every((d, k) => d === b.shape[k]);
}

/** The table of rewrites. */
export const rules: readonly Rule[] = [
  {
    name: "identity",
    ops: [Identity.name],
    apply: (p, n) => (p.tensor(n.inputs[0]) ? [first(n)] : null),
  },
  {
    // At inference; the mask, which is all true, stays for who reads it.
    name: "dropout",
    ops: [Dropout.name],
    apply: (p, n) => {
      const mask = n.outputs[1] ?? null;
      return mask === null || p.uses(mask) === 0 ? [first(n), null] : null;
    },
  },
  {
    name: "single-operand",
    ops: [Concat.name, Split.name, "Sum", "Max", "Min", "Mean"],
    apply: (p, n) => (n.outputs.length === 1 && (is(n, Split) || n.inputs.length === 1) ? unchanged(p, n) : null),
  },
  { name: "cast", ops: [Cast.name, CastLike.name], apply: castRule },
  { name: "transpose", ops: [Transpose.name], apply: transposeRule },
  {
    name: "view",
    ops: [Reshape.name, Flatten.name, Squeeze.name, Unsqueeze.name, View.name],
    apply: (p, n) => only(viewOf(p, first(n), p.tensor(n.outputs[0])!, n)),
  },
  { name: "no-repeats", ops: [Expand.name, Tile.name], apply: unchanged },
  {
    // With steps of 1 a slice as large as its input is the input.
    name: "whole-slice",
    ops: [Slice.name],
    apply: (p, n) => {
      const steps = n.inputs[4] ?? null;
      return steps === null || allAre(p.constant(steps), 1) ? unchanged(p, n) : null;
    },
  },
  {
    name: "no-pads",
    ops: [Pad.name],
    apply: (p, n) => {
      if (!is(n, Pad)) return null;
      const none = n.attrs.pads ? n.attrs.pads.every((x) => x === 0) : allAre(p.constant(n.inputs[1]), 0);
      return none ? unchanged(p, n) : null;
    },
  },
  {
    // x + -0 and x - 0 are x; x + 0 is not, for x = -0.
    name: "add-nothing",
    ops: [Add.name, Sub.name],
    apply: (p, n) => {
      if (is(n, Sub)) return allAre(p.constant(n.inputs[1]), 0) ? operand(p, n, 0) : null;
      return [0, 1].map((k) => (nothing(p.constant(n.inputs[1 - k])) ? operand(p, n, k) : null)).find((v) => v) ?? null;
    },
  },
  {
    name: "times-one",
    ops: [Mul.name, Div.name, Pow.name],
    apply: (p, n) =>
      (is(n, Mul) ? [0, 1] : [0])
        .map((k) => (allAre(p.constant(n.inputs[1 - k]), 1) ? operand(p, n, k) : null))
        .find((v) => v) ?? null,
  },
  {
    // Dividing by a power of two and multiplying by its reciprocal round the same number.
    name: "divide-by-power-of-two",
    ops: [Div.name],
    apply: (p, n) => {
      if (!is(n, Div)) return null;
      const reciprocals = reciprocalsOf(p.constant(n.inputs[1]));
      return reciprocals && p.make.add(Mul, [first(n), p.make.constant(reciprocals)], n.attrs);
    },
  },
];
const rulesFor: ReadonlyMap<string, readonly Rule[]> = new Map(
  rules.flatMap((r) => r.ops).map((op) => [op, rules.filter((r) => r.ops.includes(op))]),
);

/** Input k for the output of a broadcasting node: where the other operand does not widen it. */
function operand(p: Patch, n: AnyNode, k: number): Values | null {
  const [x, y] = [p.tensor(n.inputs[k]), p.tensor(n.outputs[0])];
  return x && y && sameShape(x, y) ? [n.inputs[k]!] : null;
}

// ---- casts ----------------------------------------------------------------------------------------------------
function castRule(p: Patch, n: AnyNode): Values | null {
  const to = p.tensor(n.outputs[0])!.dtype;
  if (p.tensor(first(n))!.dtype === to) return [first(n)];
  const inner = p.producer(first(n));
  if (inner && is(inner, Cast)) {
    const from = p.tensor(first(inner))!.dtype;
    if (exactThrough(from, inner.attrs.to, to))
      return from === to ? [first(inner)] : p.make.add(Cast, [first(inner)], { ...(n.attrs as Attrs), to });
  }
  return is(n, CastLike) ? p.make.add(Cast, [first(n)], { ...n.attrs, to }) : null;
}
/**
 * Whether a cast over `mid` is the cast at once. Integers wrap and floats saturate when cast to an integer that does not hold them, so
 * a way over a float is no way to such an integer.
 */
function exactThrough(from: DType, mid: DType, to: DType): boolean {
  return holds(mid, from) && (isFloat(mid) === isFloat(from) || isFloat(to) || holds(to, from));
}
const significand: { readonly [d: string]: number } = { f64: 53, f32: 24, f16: 11, bf16: 8 };
/** Whether every value of `from` is one of `to`. */
function holds(to: DType, from: DType): boolean {
  if (to === from) return true;
  // f8e8m0 has no zero.
  if (from === "bool") return to !== "f8e8m0";
  if (to === "bool") return false;
  if (isFloat(from)) return to === "f64" || (to === "f32" && from !== "f64");
  const bits = intBits(from) - (isUnsigned(from) ? 0 : 1);
  if (isFloat(to)) return bits <= (significand[to] ?? 0);
  return isUnsigned(to) ? isUnsigned(from) && bits <= intBits(to) : bits <= intBits(to) - 1;
}

// ---- views and transposes -------------------------------------------------------------------------------------
const views: readonly string[] = [Reshape.name, Flatten.name, Squeeze.name, Unsqueeze.name, View.name];

/**
 * x's elements in row-major order as a tensor of `type`: one View of what x itself views. Null when that is the node as it is, or when
 * the type has a dim that depends on data and that only the views would bind.
 */
function viewOf(p: Patch, x: ValueId, type: TensorType, node: AnyNode | null): ValueId | null {
  const bound = (v: ValueId): boolean => {
    const known = new Set(p.tensor(v)!.shape.flatMap((d) => [...D.symbolsOf(d)]));
    const data = (s: string): boolean => p.make.symbols.some((y) => y.id === s && y.def === "data");
    return type.shape.every((d) => [...D.symbolsOf(d)].every((s) => known.has(s) || !data(s)));
  };
  let root = x;
  for (let from = p.producer(root); from && views.includes(from.def.name); from = p.producer(root)) {
    if (!bound(first(from))) break;
    root = first(from);
  }
  if (!bound(root)) return null;
  if (sameShape(p.tensor(root)!, type)) return root;
  if (node && is(node, View) && root === x) return null;
  return p.make.add(View, [root], { type })[0]!;
}

function transposeRule(p: Patch, n: AnyNode): Values | null {
  if (!is(n, Transpose)) return null;
  const perm = n.attrs.perm ?? p.tensor(first(n))!.shape.map((_, k, s) => s.length - 1 - k);
  const inner = p.producer(first(n));
  const through = inner && is(inner, Transpose) ? inner : null;
  const x = through ? first(through) : first(n);
  const shape = p.tensor(x)!.shape;
  const before = through?.attrs.perm ?? shape.map((_, k) => shape.length - 1 - k);
  const all = through ? perm.map((k) => before[k]!) : perm;
  if (all.every((k, j) => k === j)) return [x];
  // Axes of extent 1 lie anywhere.
  const long = all.filter((k) => shape[k] !== D.one);
  if (long.every((k, j) => j === 0 || long[j - 1]! < k)) return only(viewOf(p, x, p.tensor(n.outputs[0])!, null));
  return through ? p.make.add(Transpose, [x], { perm: all }) : null;
}

// ---- constants ------------------------------------------------------------------------------------------------
/** The elements of a constant, where they are plain numbers. */
function numbersOf(t: Tensor | null): ArrayLike<number | bigint> | null {
  return t && (!isFloat(t.dtype) || t.dtype === "f32" || t.dtype === "f64") ? typedView(t.dtype, t.bytes) : null;
}
/** Whether every element is x; 0 is not -0. */
function allAre(t: Tensor | null, x: number): boolean {
  const numbers = numbersOf(t);
  if (!numbers) return false;
  for (let k = 0; k < numbers.length; k++) if (!Object.is(Number(numbers[k]), x)) return false;
  return true;
}
/** Whether adding the constant changes nothing, not even the sign of a zero. */
function nothing(t: Tensor | null): boolean {
  return t !== null && allAre(t, isFloat(t.dtype) ? -0 : 0);
}
/** 1/c where c is powers of two whose reciprocals are normal numbers. */
function reciprocalsOf(c: Tensor | null): Tensor | null {
  if (c?.dtype !== "f32" && c?.dtype !== "f64") return null;
  const bytes = new Uint8Array(c.bytes.length);
  const [from, to] = [typedView(c.dtype, c.bytes), typedView(c.dtype, bytes)];
  const largest = c.dtype === "f32" ? 2 ** 126 : 2 ** 1022;
  for (let k = 0; k < from.length; k++) {
    const x = Number(from[k]);
    if (!isPowerOfTwo(Math.abs(x)) || Math.abs(x) > largest || Math.abs(x) < 1 / largest) return null;
    to[k] = 1 / x;
  }
  return { ...c, bytes };
}
const bits = new DataView(new ArrayBuffer(8));
function isPowerOfTwo(x: number): boolean {
  bits.setFloat64(0, x);
  const high = bits.getUint32(0);
  return bits.getUint32(4) === 0 && (high & 0xfffff) === 0 && high !== 0 && Number.isFinite(x);
}
