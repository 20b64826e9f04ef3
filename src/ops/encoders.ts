// ai.onnx.ml: maps between categories. Text exists at compile time alone: a tensor of text holds positions in a list of names.

import * as D from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { constant, type Expr, load } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import { type Labels, type OpDef, op, type RawNode } from "../ir/opdef.ts";
import { type DType, isFloat, type Tensor, tensorOf, tensorType } from "../ir/types.ts";
import { expectType, tensor } from "./common.ts";
import { scalarOf } from "./ints.ts";
import { ml } from "./ml.ts";

/** The names that the numbers of input 0 are positions of, where it is text. */
function textOf(n: RawNode): readonly (string | number)[] | null {
  const l = n.labels(0);
  return l?.of === "elements" ? l.names : null;
}
const ints = (values: readonly number[]): Tensor => tensorOf("i64", [values.length], values);

/** A new last axis with 1 at the element's category. */
export const OneHotEncoder: OpDef<{ categories: readonly number[] }> = op({
  name: "OneHotEncoder",
  onnx: [ml("OneHotEncoder", 1)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => {
    n.has("zeros");
    const text = textOf(n);
    const strings = n.strings("cats_strings") ?? [];
    if (text) return { categories: strings.map((s) => text.indexOf(s)) };
    return { categories: n.ints("cats_int64s") ?? n.fail("categories of text need an input of known text") };
  },
  infer: (x, a, ctx) => [tensorType("f32", [...tensor(x, 0, ctx).shape, D.int(a.categories.length)])],
  labels: () => [null],
  body: {
    kind: "compute",
    compute: (b, n) => {
      const [x, out] = [b.input(0), b.output(0)];
      const table = b.constant("categories", tensorOf("i32", [n.attrs.categories.length], n.attrs.categories));
      b.map(out, (i) =>
        E.where(
          E.eq(E.to("i32", load(x, i.slice(0, -1))), load(table, [i[i.length - 1]!])),
          constant("f32", 1),
          constant("f32", 0),
        ),
      );
    },
  },
});

type EncoderAttrs = {
  readonly keys: Tensor;
  readonly values: Tensor;
  readonly fallback: Tensor;
  /** Of text: what the values are positions of. */
  readonly names?: readonly string[];
};
/** A map's keys, or its values, as a model writes them. */
type List = { readonly numbers: Tensor } | { readonly strings: readonly string[] };

/** Keys of text are those positions of the input's names that the map has; `values` of text become positions in a list of their own. */
function mapOf(n: RawNode, keys: List, values: List, otherwise: { number: Tensor; string: string }): EncoderAttrs {
  const text = textOf(n);
  if ("strings" in keys && !text) n.fail("keys of text need an input of known text");
  const kept = "strings" in keys ? keys.strings.map((s) => text!.indexOf(s)) : null;
  const known = "numbers" in keys ? keys.numbers : ints(kept!);
  if ("numbers" in values) return { keys: known, values: values.numbers, fallback: otherwise.number };
  const names = [...new Set([...values.strings, otherwise.string])];
  const at = (s: string): number => names.indexOf(s);
  return { keys: known, values: ints(values.strings.map(at)), fallback: ints([at(otherwise.string)]), names };
}
function encoder(type: string, since: readonly number[], parse: (n: RawNode) => EncoderAttrs): OpDef<EncoderAttrs> {
  return op({
    name: type,
    onnx: [ml(type, ...since)],
    accuracy: { kind: "exact" },
    effects: "none",
    parse,
    infer: (x, a, ctx) => {
      expectType(tensor(x, 0, ctx), [a.keys.dtype], "the input", ctx);
      return [tensorType(a.values.dtype, tensor(x, 0, ctx).shape)];
    },
    labels: (a): readonly (Labels | null)[] => [a.names ? { of: "elements", names: a.names } : null],
    body: {
      kind: "compute",
      compute: (b, n) => {
        const [x, out] = [b.input(0), b.output(0)];
        const [keys, values, fallback] = [
          b.constant("keys", n.attrs.keys),
          b.constant("values", n.attrs.values),
          b.constant("default", n.attrs.fallback),
        ];
        const count = D.int(n.attrs.keys.dims.reduce((p, q) => p * q, 1));
        const found = b.temp("found", "i32", x.shape);
        b.reduce(found, [count], (i, [r]) => {
          const [v, key] = [load<Expr>(x, i), load<Expr>(keys, [r!])];
          // NaN is a key like any other.
          const same = isFloat(v.dtype)
            ? E.or(E.eq(v, key), E.and(E.unary("isnan", v), E.unary("isnan", key)))
            : E.eq(v, key);
          return { state: [{ init: constant("i32", -1), update: ([s]) => E.where(same, r!, s!) }] };
        });
        b.map(out, (i) =>
          E.where(E.lt(load(found, i), 0), scalarOf(fallback), load(values, [E.max(load(found, i), 0)])),
        );
      },
    },
  });
}

function parseLabelEncoder(n: RawNode): EncoderAttrs {
  if (n.opset < 2) {
    const classes = n.strings("classes_strings") ?? [];
    const positions = ints(classes.map((_, k) => k));
    const otherwise = {
      number: ints([n.int("default_int64", -1)]),
      string: n.string("default_string", "_Unused"),
    };
    return textOf(n)
      ? mapOf(n, { strings: classes }, { numbers: positions }, otherwise)
      : mapOf(n, { numbers: positions }, { strings: classes }, otherwise);
  }
  const list = (what: "keys" | "values"): List => {
    const strings = n.strings(`${what}_strings`) ?? (n.opset >= 4 ? n.strings(`${what}_tensor`) : undefined);
    if (strings) return { strings };
    const t = n.opset >= 4 ? n.tensor(`${what}_tensor`) : undefined;
    if (t) return { numbers: t };
    const [whole, floats] = [n.ints(`${what}_int64s`), n.floats(`${what}_floats`)];
    if (whole) return { numbers: ints(whole) };
    return floats ? { numbers: tensorOf("f32", [floats.length], floats) } : n.fail(`there are no ${what}`);
  };
  const [keys, values] = [list("keys"), list("values")];
  const dtype: DType = "numbers" in values ? values.numbers.dtype : "i64";
  const [whole, float] = [n.int("default_int64", -1), n.float("default_float", -0)];
  const string = (n.opset >= 4 ? n.strings("default_tensor")?.[0] : undefined) ?? n.string("default_string", "_Unused");
  const given = n.opset >= 4 && "numbers" in values ? n.tensor("default_tensor") : undefined;
  const number = given ?? tensorOf(dtype, [1], [isFloat(dtype) ? float : whole]);
  return mapOf(n, keys, values, { number, string });
}
/** A map from numbers or text to numbers or text. */
export const LabelEncoder: OpDef<EncoderAttrs> = encoder("LabelEncoder", [1, 2, 4], parseLabelEncoder);

/** From integers to text, or back: what the input is decides. */
const CategoryMapper = encoder("CategoryMapper", [1], (n) => {
  const [numbers, strings] = [ints(n.ints("cats_int64s") ?? []), n.strings("cats_strings") ?? []];
  if (numbers.dims[0] !== strings.length) n.fail("cats_int64s and cats_strings differ in length");
  const otherwise = { number: ints([n.int("default_int64", -1)]), string: n.string("default_string", "_Unused") };
  return textOf(n) ? mapOf(n, { strings }, { numbers }, otherwise) : mapOf(n, { numbers }, { strings }, otherwise);
});

/** The scores as they are, with names for their columns: a map has no other form here. */
export const ZipMap: OpDef<{ names: readonly string[] | readonly number[] }> = op({
  name: "ZipMap",
  onnx: [ml("ZipMap", 1)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => ({ names: n.strings("classlabels_strings") ?? n.ints("classlabels_int64s") ?? [] }),
  infer: (x, _a, ctx) => [tensorType("f32", tensor(x, 0, ctx).shape)],
  labels: (a) => [a.names.length > 0 ? { of: "columns", names: a.names } : null],
  body: { kind: "view" },
});

export const encoderOps: readonly OpDef<Attrs>[] = [
  OneHotEncoder,
  LabelEncoder,
  CategoryMapper,
  ZipMap,
] as unknown as readonly OpDef<Attrs>[];
