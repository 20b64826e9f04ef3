// ai.onnx.ml: feature transforms and linear models, and what classifiers share. Where labels are text, a class is its position in their list.

import type { Dim } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { constant, type Expr, i32, load } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import { type Accuracy, type Labels, type OpDef, op, type RawNode, type TeBuilder } from "../ir/opdef.ts";
import type { Buffer } from "../ir/storage.ts";
import { type DType, isFloat, tensorOf, tensorType } from "../ir/types.ts";
import { shapeText, tensor } from "./common.ts";
import { sumOfProducts } from "./contract.ts";
import { sigmoid } from "./elementwise.ts";
import { softmaxInto } from "./norm.ts";
import { argInto, inputIndex, maxInto, sumInto } from "./reduce.ts";

export const ml = (
  type: string,
  ...since: readonly number[]
): { domain: string; type: string; since: readonly number[] } => ({ domain: "ai.onnx.ml", type, since });
const accuracy: Accuracy = { kind: "rtol", r: 1e-5 };
export const f32s = (
  b: TeBuilder,
  name: string,
  values: readonly number[],
  dims: readonly number[] = [values.length],
): Buffer => b.constant(name, tensorOf("f32", dims, values));

/** Rows and features of an input: a vector is one row. */
export function rowsOf(shape: readonly Dim[], ctx: { fail(m: string): never }): readonly [Dim, Dim] {
  if (shape.length === 1) return [D.one, shape[0]!];
  return shape.length === 2 ? [shape[0]!, shape[1]!] : ctx.fail(`features ${shapeText(shape)}`);
}
/** Feature f of row r, as f32 (f64 inputs stay so). */
export function feature(x: Buffer, r: Expr, f: Expr): Expr {
  return E.to(x.dtype === "f64" ? "f64" : "f32", load(x, x.shape.length === 1 ? [f] : [r, f]));
}

export type PostTransform = "NONE" | "SOFTMAX" | "LOGISTIC" | "SOFTMAX_ZERO" | "PROBIT";
const postTransforms: readonly string[] = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"];
export function parsePost(n: RawNode): PostTransform {
  const p = n.string("post_transform", "NONE");
  return postTransforms.includes(p) ? (p as PostTransform) : n.fail(`post_transform "${p}" is unknown`);
}
/** The inverse of the normal distribution function, by Winitzki's approximation of the inverse error function. */
function probit(x: Expr): Expr {
  const y = E.sub(E.mul(x, 2), 1);
  const l = E.unary("log", E.mul(E.sub(1, y), E.add(y, 1)));
  const v = E.add(E.mul(l, 0.5), 2 / (Math.PI * 0.147));
  const r = E.unary("sqrt", E.sub(E.unary("sqrt", E.sub(E.mul(v, v), E.mul(l, 1 / 0.147))), v));
  return E.mul(E.where(E.lt(y, 0), E.neg(r), r), Math.SQRT2);
}
/** out = the transformed scores [rows, classes]. */
export function postTransform(b: TeBuilder, scores: Buffer, out: Buffer, post: PostTransform): void {
  switch (post) {
    case "NONE":
      return b.map(out, (i) => E.to(out.dtype, load(scores, i)));
    case "LOGISTIC":
      return b.map(out, (i) => E.to(out.dtype, sigmoid(load(scores, i))));
    case "PROBIT":
      return b.map(out, (i) => E.to(out.dtype, probit(load(scores, i))));
    case "SOFTMAX":
      return softmaxInto(b, scores, out, [1]);
    case "SOFTMAX_ZERO": {
      // Scores of 0 take no part.
      const [rows, classes] = scores.shape as [Dim, Dim];
      const largest = b.temp("largest", "f32", [rows]);
      maxInto(b, largest, [classes], ([i], [c]) => load(scores, [i!, c!]));
      const term = (i: readonly Expr[]): Expr =>
        E.where(
          E.lt(1e-7, E.unary("abs", load(scores, i))),
          E.unary("exp", E.sub(load(scores, i), load(largest, [i[0]!]))),
          constant("f32", 0),
        );
      const total = b.temp("total", "f32", [rows]);
      sumInto(b, total, [classes], ([i], [c]) => term([i!, c!]));
      return b.map(out, (i) => E.to(out.dtype, E.div(term(i), load(total, [i[0]!]))));
    }
  }
}

/** The label of class k: from a table, or k itself where labels are text (names). */
export type ClassLabels = {
  readonly labels: readonly number[];
  readonly classes: number;
  readonly names?: readonly string[];
};
export function parseLabels(n: RawNode, ints: string): ClassLabels {
  const [numbers, names] = [n.ints(ints), n.strings("classlabels_strings")];
  if (names && names.length > 0) return { labels: names.map((_, k) => k), classes: names.length, names };
  return { labels: numbers ?? [], classes: numbers?.length ?? 0 };
}
/** What a classifier's outputs stand for; perClass: the scores have a column for each class. */
export function classifierLabels(a: ClassLabels, perClass = true): readonly (Labels | null)[] {
  return [
    a.names ? { of: "elements", names: a.names } : null,
    perClass && a.classes > 0 ? { of: "columns", names: a.names ?? a.labels } : null,
  ];
}
export function labelOf(b: TeBuilder, l: ClassLabels, k: Expr, to: DType): Expr {
  if (l.labels.every((v, i) => v === i)) return E.to(to, k);
  return E.to(to, load(b.constant("labels", tensorOf("i32", [l.labels.length], l.labels)), [k]));
}
/**
 * Label and scores of a classifier from raw scores. One score for two classes: s > threshold is the second class; mirrored says what the
 * other score is: 1 - s, or that of -s. Of the post transforms only LOGISTIC applies to one score, as in onnxruntime.
 */
export type SingleScore = { readonly threshold: number; readonly mirrored: "complement" | "negated" };
export function classify(
  b: TeBuilder,
  l: ClassLabels,
  scores: Buffer,
  label: Buffer,
  out: Buffer,
  post: PostTransform,
  single: SingleScore | null,
): void {
  if (!single) {
    const winner = b.temp("winner", "i32", [scores.shape[0]!]);
    argInto(b, winner, [scores.shape[1]!], true, false, ([i], [c]) => load(scores, [i!, c!]));
    b.map(label, ([i]) => labelOf(b, l, load(winner, [i!]), label.dtype));
    return postTransform(b, scores, out, post);
  }
  b.map(label, ([i]) =>
    labelOf(b, l, E.where(E.lt(single.threshold, load(scores, [i!, i32(0)])), i32(1), i32(0)), label.dtype),
  );
  twoScores(b, scores, out, post, single.mirrored);
}
/** The scores of both classes from that of the second. */
export function twoScores(
  b: TeBuilder,
  scores: Buffer,
  out: Buffer,
  post: PostTransform,
  mirrored: SingleScore["mirrored"],
): void {
  const logistic = post === "LOGISTIC";
  b.map(out, ([i, c]) => {
    const s = load<Expr>(scores, [i!, i32(0)]);
    if (mirrored === "complement") {
      const p = logistic ? sigmoid(s) : s;
      return E.to(out.dtype, E.where(E.eq(c!, 0), E.sub(1, p), p));
    }
    const signed = E.where(E.eq(c!, 0), E.neg(s), s);
    return E.to(out.dtype, logistic ? sigmoid(signed) : signed);
  });
}

type LinearAttrs = {
  readonly coefficients: readonly number[];
  readonly intercepts: readonly number[];
  readonly post: string;
  readonly outputs: number;
};
/**
 * X times the transposed coefficients [outputs, features], plus the intercepts. Coefficients for more features than X has are read as
 * onnxruntime reads them, without a gap between the outputs.
 */
function linear(b: TeBuilder, a: LinearAttrs): Buffer {
  const x = b.input(0);
  const [rows, features] = rowsOf(x.shape, { fail: bug });
  const count = Math.min(D.known(features) ?? Number.POSITIVE_INFINITY, Math.floor(a.coefficients.length / a.outputs));
  b.require(D.sub(features, D.int(count)), `coefficients for ${count} features, not ${features.key}`);
  const w = f32s(b, "coefficients", a.coefficients.slice(0, a.outputs * count), [a.outputs, count]);
  const bias = a.intercepts.length === a.outputs ? f32s(b, "intercepts", a.intercepts) : null;
  const scores = b.temp("scores", "f32", [rows, D.int(a.outputs)]);
  sumOfProducts(
    b,
    scores,
    [features],
    ([i, c], [f]) => [E.to("f32", feature(x, i!, f!)), load(w, [c!, f!])],
    (s, [, c]) => (bias ? E.add(s, load(bias, [c!])) : s),
  );
  return scores;
}
const bug = (m: string): never => {
  throw new Error(m);
};

export const LinearClassifier: OpDef<LinearAttrs & ClassLabels> = op<LinearAttrs & ClassLabels>({
  name: "LinearClassifier",
  onnx: [ml("LinearClassifier", 1)],
  accuracy,
  effects: "none",
  parse: (n) => {
    const labels = parseLabels(n, "classlabels_ints");
    const intercepts = n.floats("intercepts") ?? [];
    n.has("multi_class");
    return {
      ...labels,
      coefficients: n.floats("coefficients") ?? [],
      intercepts,
      post: parsePost(n),
      outputs: intercepts.length > 0 ? intercepts.length : Math.max(1, labels.classes),
    };
  },
  infer: (x, a, ctx) => {
    const [rows] = rowsOf(tensor(x, 0, ctx).shape, ctx);
    return [tensorType("i64", [rows]), tensorType("f32", [rows, D.int(Math.max(a.classes, a.outputs))])];
  },
  labels: (a) => classifierLabels(a, a.classes >= a.outputs),
  body: {
    kind: "compute",
    compute: (b, n) => {
      const a = n.attrs;
      const single: SingleScore | null =
        a.outputs === 1 && a.classes === 2 ? { threshold: 0, mirrored: "complement" } : null;
      classify(b, a, linear(b, a), b.output(0), b.output(1), a.post as PostTransform, single);
    },
  },
});
export const LinearRegressor: OpDef<LinearAttrs> = op<LinearAttrs>({
  name: "LinearRegressor",
  onnx: [ml("LinearRegressor", 1)],
  accuracy,
  effects: "none",
  parse: (n) => ({
    coefficients: n.floats("coefficients") ?? [],
    intercepts: n.floats("intercepts") ?? [],
    post: parsePost(n),
    outputs: n.int("targets", 1),
  }),
  infer: (x, a, ctx) => [tensorType("f32", [rowsOf(tensor(x, 0, ctx).shape, ctx)[0], D.int(a.outputs)])],
  body: {
    kind: "compute",
    compute: (b, n) => postTransform(b, linear(b, n.attrs), b.output(0), n.attrs.post as PostTransform),
  },
});

// ---- features
/** A function of each element and of its feature's parameters. */
function perFeature<A extends Attrs>(
  type: string,
  parse: (n: RawNode) => A,
  to: DType | null,
  f: (x: Expr, a: A, parameter: (name: string, values: readonly number[]) => Expr) => Expr,
): OpDef<A> {
  return op<A>({
    name: type,
    onnx: [ml(type, 1)],
    accuracy,
    effects: "none",
    parse,
    infer: (x, _a, ctx) => {
      const t = tensor(x, 0, ctx);
      if (t.dtype === "bool") ctx.fail("takes numbers, not bool");
      return [tensorType(to ?? t.dtype, t.shape)];
    },
    body: {
      kind: "compute",
      compute: (b, n) => {
        const [x, out] = [b.input(0), b.output(0)];
        b.map(out, (i) => {
          const last = i[i.length - 1] ?? i32(0);
          const parameter = (name: string, values: readonly number[]): Expr =>
            values.length === 1
              ? constant(out.dtype, values[0]!)
              : E.to(out.dtype, load(f32s(b, name, values), [last]));
          return f(to ? E.to(to, load(x, i)) : load(x, i), n.attrs, parameter);
        });
      },
    },
  });
}
const Scaler = perFeature(
  "Scaler",
  (n) => ({ scale: n.floats("scale") ?? [1], offset: n.floats("offset") ?? [0] }),
  "f32",
  (x, a, p) => E.mul(E.sub(x, p("offset", a.offset)), p("scale", a.scale)),
);
const Binarizer = perFeature(
  "Binarizer",
  (n) => ({ threshold: n.float("threshold", 0) }),
  null,
  (x, a) =>
    E.where(
      E.lt(isFloat(x.dtype) ? a.threshold : Math.floor(a.threshold), x),
      constant(x.dtype, 1),
      constant(x.dtype, 0),
    ),
);
type ImputerAttrs = { floats: readonly number[]; ints: readonly number[]; float: number; int: number };
const Imputer = perFeature<ImputerAttrs>(
  "Imputer",
  (n) => ({
    floats: n.floats("imputed_value_floats") ?? [],
    ints: n.ints("imputed_value_int64s") ?? [],
    float: n.float("replaced_value_float", 0),
    int: n.int("replaced_value_int64", 0),
  }),
  null,
  (x, a, p) => {
    const missing = !isFloat(x.dtype) ? E.eq(x, a.int) : Number.isNaN(a.float) ? E.unary("isnan", x) : E.eq(x, a.float);
    return E.where(missing, p("imputed", isFloat(x.dtype) ? a.floats : a.ints), x);
  },
);

/** Rows divided by their largest element, the sum of their magnitudes, or their length; rows of zeros stay. */
export const Normalizer: OpDef<{ norm: string }> = op({
  name: "Normalizer",
  onnx: [ml("Normalizer", 1)],
  accuracy,
  effects: "none",
  parse: (n) => ({ norm: n.string("norm", "MAX") }),
  infer: (x, _a, ctx) => [tensorType("f32", tensor(x, 0, ctx).shape)],
  body: {
    kind: "compute",
    compute: (b, n) => {
      const [x, out] = [b.input(0), b.output(0)];
      const last = x.shape.length - 1;
      const size = b.temp("size", "f32", x.shape.slice(0, -1));
      const value = (i: readonly Expr[], r: readonly Expr[]): Expr =>
        E.to("f32", load(x, inputIndex(i, r, [last], x.shape.length, false)));
      const extents = [x.shape[last]!];
      const safe = (s: Expr): Expr => E.where(E.eq(s, 0), constant("f32", 1), s);
      if (n.attrs.norm === "MAX") maxInto(b, size, extents, value, safe);
      else if (n.attrs.norm === "L1") sumInto(b, size, extents, (i, r) => E.unary("abs", value(i, r)), safe);
      else
        sumInto(
          b,
          size,
          extents,
          (i, r) => E.mul(value(i, r), value(i, r)),
          (s) => safe(E.unary("sqrt", s)),
        );
      b.map(out, (i) => E.div(E.to("f32", load(x, i)), load(size, i.slice(0, -1))));
    },
  },
});

export const FeatureVectorizer: OpDef<Record<string, never>> = op({
  name: "FeatureVectorizer",
  onnx: [ml("FeatureVectorizer", 1)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => {
    n.has("inputdimensions");
    return {};
  },
  infer: (x, _a, ctx) => {
    const shapes = x.map((_, k) => rowsOf(tensor(x, k, ctx).shape, ctx));
    return [tensorType("f32", [shapes[0]![0], D.add(...shapes.map((s) => s[1]))])];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const out = b.output(0);
      let at: Dim = D.zero;
      n.inputs.forEach((_, k) => {
        const x = b.input(k);
        const [rows, features] = rowsOf(x.shape, { fail: bug });
        const part = b.part(out, `${out.name}.part${k}`, [D.zero, at], [rows, features]);
        b.map(part, ([r, f]) => E.to("f32", feature(x, r!, f!)));
        at = D.add(at, features);
      });
    },
  },
});

export const mlOps: readonly OpDef<Attrs>[] = [
  LinearClassifier,
  LinearRegressor,
  Scaler,
  Binarizer,
  Imputer,
  Normalizer,
  FeatureVectorizer,
] as unknown as readonly OpDef<Attrs>[];
