// Sequences and optionals. They resolve while the graph is built. A sequence whose length is known at compile time is the list of its
// values; another is the tensors that hold it in the run (lists.ts), and its operators are operators on those.
import { must } from "../base/assert.ts";
import type { ValueId } from "../base/brand.ts";
import * as D from "../ir/dim.ts";
import type { Attrs, Graph } from "../ir/graph.ts";
import { type GraphBuilder, type OpDef, op, type RawNode } from "../ir/opdef.ts";
import { type DType, type TensorType, tensorOf, tensorType, type ValueType } from "../ir/types.ts";
import { noAttrs, normalAxis, onnx } from "./common.ts";
import { Loop } from "./control.ts";
import { elementwiseOps } from "./elementwise.ts";
import {
  elementOf,
  isDeep,
  joinedElements,
  ListAt,
  ListConcat,
  ListErase,
  ListInsert,
  ListSplit,
  openDim,
  partsOf,
  partTypes,
  rowOf,
} from "./lists.ts";
import { Concat, Shape, Split } from "./move.ts";
import { Identity, Squeeze, Unsqueeze, View } from "./view.ts";

/** An op that resolves while the graph is built, or fails there. */
function resolved<A extends Attrs>(
  type: string,
  since: readonly number[],
  parse: (n: RawNode) => A,
  eager: NonNullable<OpDef<A>["eager"]>,
): OpDef<A> {
  return op<A>({
    name: type,
    onnx: [onnx(type, ...since)],
    accuracy: { kind: "exact" },
    effects: "none",
    parse,
    eager,
    infer: (_x, _a, ctx): readonly ValueType[] => ctx.fail(`${type} of no sequence or optional`),
    body: { kind: "expand", expand: (b) => b.fail(`${type} of no sequence or optional`) },
  });
}
const copyOf = (b: GraphBuilder, v: ValueId): ValueId =>
  b.type(v).kind === "tensor" ? b.add(Identity, [v], {})[0]! : v;
const sequenceOf = (b: GraphBuilder, elements: readonly ValueId[], of: ValueType): ValueId =>
  b.collection({ kind: "sequence", of }, elements);
/** A sequence of these, at least one. */
function listing(b: GraphBuilder, elements: readonly ValueId[]): ValueId {
  const types = elements.map((v): ValueType => ({ kind: "sequence", of: opened(b.type(v)) }));
  const none = types[0] ?? b.fail("a sequence of nothing");
  const type = types.reduce((p, q) => joinedElements(p, q) ?? b.fail("elements of different types"), none);
  return b.collection(type, elements);
}
const elementType = (b: GraphBuilder, v: ValueId): ValueType => {
  const t = b.type(v);
  return t.kind === "tensor" ? t : t.of;
};
/** The position that an input names in a list of n (n + 1 for insertion): from the end when negative; the default when absent. */
function position(b: GraphBuilder, v: ValueId | null | undefined, n: number, dflt: number): number | null {
  if (v === null || v === undefined) return dflt;
  const e = b.known(v)?.elements[0];
  const p = e === null || e === undefined || typeof e === "number" ? null : D.known(e);
  if (p === null) return null;
  const at = p < 0 ? p + n : p;
  return at < 0 || at > n ? b.fail(`position ${p} is out of range for ${n} elements`) : at;
}
const scalar = (b: GraphBuilder, dtype: DType, value: number): ValueId => b.constant(tensorOf(dtype, [], [value]));

// ---- known only in the run
/** The shapes and data of a sequence, or of an optional tensor. */
function listOf(b: GraphBuilder, v: ValueId): readonly [ValueId, ValueId] {
  if (b.type(v).kind === "tensor" || isDeep(b.type(v))) return b.fail("an input is no sequence");
  const [shapes, data] = partsOf(b, v);
  return [shapes!, data!];
}
/** The type of the elements, where one is needed. */
function tensorIn(b: GraphBuilder, v: ValueId): TensorType {
  const { dtype, shape } = elementOf(b.type(v));
  return shape ? { dtype, shape } : b.fail("the rank of the sequence's elements is not known at compile time");
}
function lengthOf(b: GraphBuilder, v: ValueId): ValueId {
  const n = b.add(Shape, [listOf(b, v)[0]], { start: 0, end: 1 })[0]!;
  return b.add(View, [n], { type: { dtype: "i64", shape: [] } })[0]!;
}
function elementAt(b: GraphBuilder, v: ValueId, at: ValueId): ValueId {
  return b.add(ListAt, [...listOf(b, v), at], { type: tensorIn(b, v) })[0]!;
}
/** The parts of a sequence with another tensor, at a position or at the end. */
function inserted(b: GraphBuilder, list: readonly ValueId[], x: ValueId, at: ValueId | null): readonly ValueId[] {
  const { row, flat } = rowOf(b, x);
  return b.add(ListInsert, [...list, row, flat, at], {}, 2);
}
/** A type whose dims hold for all elements. */
function opened(t: ValueType): ValueType {
  if (t.kind !== "tensor") return t;
  const { dtype, shape } = t.tensor;
  return tensorType(
    dtype,
    shape.map((d) => (d.kind === "int" ? d : openDim)),
  );
}
/** The type of a sequence that takes in another element. */
function joined(b: GraphBuilder, list: ValueId, x: ValueType): ValueType {
  const one: ValueType = { kind: "sequence", of: opened(x) };
  const t = b.type(list);
  const none = b.elements(list)?.length === 0;
  return (
    joinedElements(none ? { kind: "sequence", of: elementType(b, list), elements: "none" } : t, one) ??
    b.fail("the element's type differs from the sequence's")
  );
}

const SequenceConstruct = resolved("SequenceConstruct", [11], noAttrs, (b, n) => {
  const elements = n.inputs.flatMap((i) => (i === null ? [] : [i]));
  return [listing(b, elements)];
});
const SequenceEmpty = resolved(
  "SequenceEmpty",
  [11],
  (n) => ({ dtype: n.dtype("dtype", "f32") as string }),
  (b, n) => [b.collection({ kind: "sequence", of: tensorType(n.attrs.dtype as DType, []), elements: "none" }, [])],
);
const SequenceInsert = resolved("SequenceInsert", [11], noAttrs, (b, n) => {
  const [list, x, at] = n.inputs as readonly (ValueId | null)[];
  const type = joined(b, list!, b.type(x!));
  const old = b.elements(list!);
  const p = old && position(b, at, old.length, old.length);
  return old && p !== null
    ? [b.collection(type, [...old.slice(0, p), x!, ...old.slice(p)])]
    : [b.list(type, inserted(b, listOf(b, list!), x!, at ?? null))];
});
const SequenceErase = resolved("SequenceErase", [11], noAttrs, (b, n) => {
  const [list, at] = n.inputs as readonly (ValueId | null)[];
  const old = b.elements(list!);
  const p = old && position(b, at, old.length, old.length - 1);
  if (!old || p === null) return [b.list(b.type(list!), b.add(ListErase, [...listOf(b, list!), at ?? null], {}, 2))];
  return [
    b.collection(
      b.type(list!),
      old.filter((_, k) => k !== p),
    ),
  ];
});
const SequenceAt = resolved("SequenceAt", [11], noAttrs, (b, n) => {
  const [list, at] = n.inputs as readonly (ValueId | null)[];
  const old = b.elements(list!);
  const p = old && position(b, at, old.length, 0);
  return old && p !== null
    ? [copyOf(b, old[p] ?? b.fail(`position ${p} is out of range for ${old.length} elements`))]
    : [elementAt(b, list!, at!)];
});
const SequenceLength = resolved("SequenceLength", [11], noAttrs, (b, n) => {
  const old = b.elements(n.inputs[0]!);
  return [old ? scalar(b, "i64", old.length) : lengthOf(b, n.inputs[0]!)];
});

const SplitToSequence = resolved(
  "SplitToSequence",
  [11, 24],
  (n) => ({ axis: n.int("axis", 0), keep: n.int("keepdims", 1) !== 0 }),
  (b, n) => {
    const [x, split] = n.inputs as readonly (ValueId | null)[];
    const t = b.type(x!);
    if (t.kind !== "tensor") return b.fail("the input is no tensor");
    const axis = normalAxis(n.attrs.axis, t.tensor.shape.length, b);
    const size = D.known(t.tensor.shape[axis]!);
    const keep = n.attrs.keep || (split ?? null) !== null;
    const sizes = partSizes(b, split ?? null, size);
    if (!sizes) {
      const shape = t.tensor.shape.flatMap((d, k) => (k !== axis ? [d] : keep ? [openDim] : []));
      const type: ValueType = { kind: "sequence", of: opened(tensorType(t.tensor.dtype, shape)) };
      return [b.list(type, b.add(ListSplit, [x!, split ?? null], { axis, keep }, 2))];
    }
    const parts =
      sizes.length === 1 ? [copyOf(b, x!)] : b.add(Split, [x!], { axis, split: sizes, ceil: false }, sizes.length);
    const elements = keep ? parts : parts.map((p) => b.add(Squeeze, [p], { axes: [axis] })[0]!);
    return [listing(b, elements)];
  },
);
/** The sizes of the parts: single elements without a split, equal ones (the last may be smaller) for a scalar. */
function partSizes(b: GraphBuilder, split: ValueId | null, size: number | null): readonly number[] | null {
  if (split !== null) {
    const known = b.known(split);
    const listed = known?.elements.map((e) => (e === null || typeof e === "number" ? null : D.known(e)));
    if (!listed?.every((e) => e !== null)) return null;
    if (known!.dims.length > 0) return listed as number[];
    const each = (listed as number[])[0]!;
    return size === null
      ? null
      : Array.from({ length: Math.ceil(size / each) }, (_, k) => Math.min(each, size - k * each));
  }
  return size === null ? null : Array.from({ length: size }, () => 1);
}
const ConcatFromSequence = resolved(
  "ConcatFromSequence",
  [11],
  (n) => ({ axis: n.int("axis"), stack: n.int("new_axis", 0) !== 0 }),
  (b, n) => {
    const old = b.elements(n.inputs[0]!);
    if (!old) {
      const type = tensorIn(b, n.inputs[0]!);
      const { stack } = n.attrs;
      const axis = normalAxis(n.attrs.axis, type.shape.length + (stack ? 1 : 0), b);
      return b.add(ListConcat, listOf(b, n.inputs[0]!), { axis, stack, type });
    }
    if (old.length === 0) return b.fail("a sequence of nothing");
    const parts = n.attrs.stack ? old.map((v) => b.add(Unsqueeze, [v], { axes: [n.attrs.axis] })[0]!) : old;
    return b.add(Concat, parts, { axis: n.attrs.axis });
  },
);

/** The body for each element: a Loop, where how many there are is known in the run. given: sequences to walk along, or tensors. */
function mapped(
  b: GraphBuilder,
  g: Graph,
  given: readonly ValueId[],
  captures: readonly ValueId[],
): readonly ValueId[] {
  const isList = (v: ValueId): boolean => b.type(v).kind === "sequence";
  const types = g.outputs.map((o): ValueType => ({ kind: "sequence", of: opened(g.values.get(o)!.type) }));
  const outside = [...given.flatMap((v) => (isList(v) ? listOf(b, v) : [v])), ...captures];
  const carried = types.flatMap((t) => partTypes(t, b.fresh("carried.list"), b.fresh("carried.list")));
  const inputs = [tensorType("i64", []), tensorType("bool", []), ...carried, ...outside.map((v) => b.type(v))];
  const body = b.body("map", inputs, (m, [iteration, condition, ...more]) => {
    const rest = more.slice(carried.length);
    const own = given.map((v) => {
      if (!isList(v)) return rest.shift()!;
      const inner = m.list(b.type(v), rest.splice(0, 2));
      return elementAt(m, inner, iteration!);
    });
    const results = m.inline(g, [...own, ...rest]);
    return [condition!, ...results.flatMap((r, k) => inserted(m, more.slice(2 * k, 2 * k + 2), r, null))];
  });
  const initial = types.flatMap((t) => partsOf(b, b.collection(t, [])));
  const first = given.find(isList) ?? b.fail("there is no sequence to map");
  const results = b.add(
    Loop,
    [lengthOf(b, first), null, ...initial, ...outside],
    { body, carried: carried.length },
    carried.length,
  );
  return types.map((t, k) => b.list(t, results.slice(2 * k, 2 * k + 2)));
}
/** The body for each element; further inputs are sequences, walked along, or tensors, the same for all. */
const SequenceMap: OpDef<{ body: Graph; inputs: number }> = {
  ...resolved<{ body: Graph; inputs: number }>(
    "SequenceMap",
    [17],
    (n) => ({ body: n.graph("body") ?? n.fail("the body is missing"), inputs: n.inputCount }),
    (b, n) => {
      const given = n.inputs.slice(0, n.attrs.inputs).map((v) => v!);
      const captures = n.inputs.slice(n.attrs.inputs).map((v) => v!);
      const lists = given.map((v) => (b.type(v).kind === "sequence" ? b.elements(v) : [v]));
      const first = lists[0];
      if (!first || lists.some((l) => l === null)) return mapped(b, n.attrs.body, given, captures);
      const results = first.map((_, k) =>
        b.inline(n.attrs.body, [
          ...given.map((v, j) => (b.type(v).kind === "sequence" ? lists[j]![k]! : v)),
          ...captures,
        ]),
      );
      return n.attrs.body.outputs.map((o, j) =>
        sequenceOf(
          b,
          results.map((r) => r[j]!),
          n.attrs.body.values.get(o)!.type,
        ),
      );
    },
  ),
  bodies: (x, n) => ({
    body: {
      inputs: x.map((t, k) => (t?.kind === "sequence" ? t.of : (t ?? n.fail(`input ${k} is missing`)))),
      carried: [],
    },
  }),
};

const Greater = must(
  elementwiseOps.find((d) => d.name === "Greater"),
  "Greater",
);
const Optional = resolved(
  "Optional",
  [15],
  (n) => ({ type: n.valueType("type") ?? { kind: "tensor", tensor: { dtype: "f32", shape: [] } } }),
  (b, n) => {
    const x = n.inputs[0] ?? null;
    return [b.collection({ kind: "optional", of: x === null ? n.attrs.type : b.type(x) }, x === null ? [] : [x])];
  },
);
/** Since opset 18 of values that are no optionals, too, and of nothing. */
const OptionalHasElement = resolved("OptionalHasElement", [15, 18], noAttrs, (b, n) => {
  const x = n.inputs[0] ?? null;
  if (x === null) return [scalar(b, "bool", 0)];
  if (b.type(x).kind !== "optional") return [scalar(b, "bool", 1)];
  const inside = b.elements(x);
  if (inside) return [scalar(b, "bool", inside.length > 0 ? 1 : 0)];
  if (isDeep(b.type(x))) return [copyOf(b, partsOf(b, x)[0]!)];
  return b.add(Greater, [lengthOf(b, x), scalar(b, "i64", 0)], {});
});
const OptionalGetElement = resolved("OptionalGetElement", [15, 18], noAttrs, (b, n) => {
  const x = n.inputs[0]!;
  if (b.type(x).kind !== "optional") return [copyOf(b, x)];
  const inside = b.elements(x);
  if (inside) return [copyOf(b, inside[0] ?? b.fail("the optional is empty"))];
  const type = b.type(x);
  if (type.kind !== "tensor" && isDeep(type)) return [b.list(type.of, partsOf(b, x).slice(1))];
  return [elementAt(b, x, scalar(b, "i64", 0))];
});

export const sequenceOps: readonly OpDef<Attrs>[] = [
  SequenceConstruct,
  SequenceEmpty,
  SequenceInsert,
  SequenceErase,
  SequenceAt,
  SequenceLength,
  SplitToSequence,
  ConcatFromSequence,
  SequenceMap,
  Optional,
  OptionalHasElement,
  OptionalGetElement,
] as unknown as readonly OpDef<Attrs>[];
