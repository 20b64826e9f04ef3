// Sequences and optionals. They resolve while the graph is built: a sequence is the list of its values, and nothing of it is left in a
// program. One whose length depends on data would need a form of its own in memory, a table in the heap of {offset, dims} per element,
// which insertion and removal copy and loops swap; it is not there, so such an op is a diagnostic.
import type { ValueId } from "../base/brand.ts";
import * as D from "../ir/dim.ts";
import type { Attrs, Graph } from "../ir/graph.ts";
import { type GraphBuilder, type OpDef, op, type RawNode } from "../ir/opdef.ts";
import { type DType, tensorOf, tensorType, type ValueType } from "../ir/types.ts";
import { noAttrs, normalAxis, onnx } from "./common.ts";
import { Concat, Split } from "./move.ts";
import { Identity, Squeeze, Unsqueeze } from "./view.ts";

const open = "a sequence whose length is known only in the run is not supported";
/** An op that resolves while the graph is built, or not at all. */
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
    infer: (_x, _a, ctx): readonly ValueType[] => ctx.fail(open),
    body: { kind: "expand", expand: (b) => b.fail(open) },
  });
}
const copyOf = (b: GraphBuilder, v: ValueId): ValueId =>
  b.type(v).kind === "tensor" ? b.add(Identity, [v], {})[0]! : v;
const sequenceOf = (b: GraphBuilder, elements: readonly ValueId[], of: ValueType): ValueId =>
  b.collection({ kind: "sequence", of }, elements);
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

const SequenceConstruct = resolved("SequenceConstruct", [11], noAttrs, (b, n) => {
  const elements = n.inputs.flatMap((i) => (i === null ? [] : [i]));
  return [sequenceOf(b, elements, b.type(elements[0] ?? b.fail("a sequence of nothing")))];
});
const SequenceEmpty = resolved(
  "SequenceEmpty",
  [11],
  (n) => ({ dtype: n.dtype("dtype", "f32") as string }),
  (b, n) => [sequenceOf(b, [], tensorType(n.attrs.dtype as DType, []))],
);
const SequenceInsert = resolved("SequenceInsert", [11], noAttrs, (b, n) => {
  const [list, x, at] = n.inputs as readonly (ValueId | null)[];
  const old = b.elements(list!);
  const p = old && position(b, at, old.length, old.length);
  return old && p !== null
    ? [sequenceOf(b, [...old.slice(0, p), x!, ...old.slice(p)], old.length > 0 ? elementType(b, list!) : b.type(x!))]
    : null;
});
const SequenceErase = resolved("SequenceErase", [11], noAttrs, (b, n) => {
  const [list, at] = n.inputs as readonly (ValueId | null)[];
  const old = b.elements(list!);
  const p = old && position(b, at, old.length, old.length - 1);
  return old && p !== null
    ? [
        sequenceOf(
          b,
          old.filter((_, k) => k !== p),
          elementType(b, list!),
        ),
      ]
    : null;
});
const SequenceAt = resolved("SequenceAt", [11], noAttrs, (b, n) => {
  const [list, at] = n.inputs as readonly (ValueId | null)[];
  const old = b.elements(list!);
  const p = old && position(b, at, old.length, 0);
  return old && p !== null
    ? [copyOf(b, old[p] ?? b.fail(`position ${p} is out of range for ${old.length} elements`))]
    : null;
});
const SequenceLength = resolved("SequenceLength", [11], noAttrs, (b, n) => {
  const old = b.elements(n.inputs[0]!);
  return old ? [scalar(b, "i64", old.length)] : null;
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
    const sizes = partSizes(b, split ?? null, size);
    if (!sizes) return null;
    const parts =
      sizes.length === 1 ? [copyOf(b, x!)] : b.add(Split, [x!], { axis, split: sizes, ceil: false }, sizes.length);
    const keep = n.attrs.keep || (split ?? null) !== null;
    const elements = keep ? parts : parts.map((p) => b.add(Squeeze, [p], { axes: [axis] })[0]!);
    return [sequenceOf(b, elements, b.type(elements[0]!))];
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
    if (!old) return null;
    if (old.length === 0) return b.fail("a sequence of nothing");
    const parts = n.attrs.stack ? old.map((v) => b.add(Unsqueeze, [v], { axes: [n.attrs.axis] })[0]!) : old;
    return b.add(Concat, parts, { axis: n.attrs.axis });
  },
);

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
      if (!first || lists.some((l) => l === null)) return null;
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

const Optional = resolved(
  "Optional",
  [15],
  (n) => {
    n.has("type");
    return {};
  },
  (b, n) => {
    const x = n.inputs[0] ?? null;
    return [
      b.collection({ kind: "optional", of: x === null ? tensorType("f32", []) : b.type(x) }, x === null ? [] : [x]),
    ];
  },
);
/** Since opset 18 of values that are no optionals, too, and of nothing. */
const OptionalHasElement = resolved("OptionalHasElement", [15, 18], noAttrs, (b, n) => {
  const x = n.inputs[0] ?? null;
  if (x === null) return [scalar(b, "bool", 0)];
  if (b.type(x).kind !== "optional") return [scalar(b, "bool", 1)];
  const inside = b.elements(x);
  return inside ? [scalar(b, "bool", inside.length > 0 ? 1 : 0)] : null;
});
const OptionalGetElement = resolved("OptionalGetElement", [15, 18], noAttrs, (b, n) => {
  const x = n.inputs[0]!;
  if (b.type(x).kind !== "optional") return [copyOf(b, x)];
  const inside = b.elements(x);
  return inside ? [copyOf(b, inside[0] ?? b.fail("the optional is empty"))] : null;
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
