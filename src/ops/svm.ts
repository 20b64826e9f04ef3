// ai.onnx.ml: support vector machines.
import type { Dim } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { constant, type Expr, i32, load } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import type { Stmt } from "../ir/loops.ts";
import { type Accuracy, type OpDef, op, type RawNode, type TeBuilder } from "../ir/opdef.ts";
import type { Buffer } from "../ir/storage.ts";
import { tensorOf, tensorType } from "../ir/types.ts";
import { tensor } from "./common.ts";
import { sumOfProducts } from "./contract.ts";
import { sigmoid } from "./elementwise.ts";
import { callKernel, seq, store, type Variable, when, whileLoop } from "./kernel.ts";
import {
  type ClassLabels,
  classifierLabels,
  classify,
  f32s,
  feature,
  labelOf,
  ml,
  type PostTransform,
  parseLabels,
  parsePost,
  postTransform,
  rowsOf,
  twoScores,
} from "./ml.ts";
import { argInto, sumInto } from "./reduce.ts";

const accuracy: Accuracy = { kind: "rtol", r: 1e-5 };
const bug = (m: string): never => {
  throw new Error(m);
};
type SvmAttrs = {
  readonly kernel: string;
  readonly parameters: readonly number[];
  readonly vectors: readonly number[];
  readonly coefficients: readonly number[];
  readonly rho: readonly number[];
  readonly supports: number;
  readonly oneClass: boolean;
  readonly post: string;
};
function parseSvm(n: RawNode, supports: number): SvmAttrs {
  const kernel = n.string("kernel_type", "LINEAR");
  if (!["LINEAR", "POLY", "RBF", "SIGMOID"].includes(kernel)) n.fail(`kernel_type "${kernel}" is unknown`);
  return {
    kernel,
    parameters: n.floats("kernel_params") ?? [0, 0, 0],
    vectors: n.floats("support_vectors") ?? [],
    coefficients: n.floats("coefficients") ?? [],
    rho: n.floats("rho") ?? [0],
    supports,
    oneClass: n.int("one_class", 0) !== 0,
    post: parsePost(n),
  };
}
/** The kernel of each row with each of `count` vectors. */
function kernelMatrix(b: TeBuilder, a: SvmAttrs, vectors: readonly number[], count: number): Buffer {
  const x = b.input(0);
  const [rows, features] = rowsOf(x.shape, { fail: bug });
  const v = f32s(b, "vectors", vectors, [count, vectors.length / count]);
  const out = b.temp("kernel", "f32", [rows, D.int(count)]);
  const [gamma, offset, degree] = [a.parameters[0] ?? 0, a.parameters[1] ?? 0, a.parameters[2] ?? 0];
  const at = (i: readonly Expr[], f: Expr): readonly [Expr, Expr] => [
    E.to("f32", feature(x, i[0]!, f)),
    load(v, [i[1]!, f]),
  ];
  if (a.kernel === "RBF") {
    sumInto(
      b,
      out,
      [features],
      (i, [f]) => {
        const [p, q] = at(i, f!);
        return E.mul(E.sub(p, q), E.sub(p, q));
      },
      (s) => E.unary("exp", E.mul(s, -gamma)),
    );
  } else {
    sumOfProducts(
      b,
      out,
      [features],
      (i, [f]) => at(i, f!),
      (s) => {
        if (a.kernel === "LINEAR") return s;
        const t = E.add(E.mul(s, gamma), offset);
        return a.kernel === "POLY" ? E.pow(t, constant("f32", degree)) : E.unary("tanh", t);
      },
    );
  }
  return out;
}
export const SVMRegressor: OpDef<SvmAttrs> = op({
  name: "SVMRegressor",
  onnx: [ml("SVMRegressor", 1)],
  accuracy,
  effects: "none",
  parse: (n) => parseSvm(n, n.int("n_supports", 0)),
  infer: (x, _a, ctx) => [tensorType("f32", [rowsOf(tensor(x, 0, ctx).shape, ctx)[0], D.one])],
  body: {
    kind: "compute",
    compute: (b, n) => {
      const a = n.attrs;
      // Without support vectors the coefficients are the weights of a linear model.
      const k =
        a.supports > 0
          ? kernelMatrix(b, a, a.vectors, a.supports)
          : kernelMatrix(b, { ...a, kernel: "LINEAR" }, a.coefficients, 1);
      const weights = f32s(b, "coefficients", a.supports > 0 ? a.coefficients : [1]);
      const raw = b.temp("raw", "f32", b.output(0).shape);
      sumOfProducts(
        b,
        raw,
        [k.shape[1]!],
        ([i], [s]) => [load(k, [i!, s!]), load(weights, [s!])],
        (s) => {
          const y = E.add(s, a.rho[0] ?? 0);
          return a.oneClass ? E.where(E.lt(0, y), constant("f32", 1), constant("f32", -1)) : y;
        },
      );
      postTransform(b, raw, b.output(0), a.post as PostTransform);
    },
  },
});

/** Of each pair of classes i, j the probability of i, given that it is one of them: the logistic function of the pair's score. */
function pairwise(b: TeBuilder, scores: Buffer, pairs: readonly Pair[], c: number, a: SvmClassifierAttrs): Buffer {
  const at = Array.from({ length: c * c }, (_, k) => {
    const [i, j] = [Math.floor(k / c), k % c];
    return Math.max(
      pairs.findIndex((p) => p[0] === Math.min(i, j) && p[1] === Math.max(i, j)),
      0,
    );
  });
  const pairOf = b.constant("pair_of", tensorOf("i32", [c, c], at));
  const [slope, shift] = [f32s(b, "prob_a", a.slopes), f32s(b, "prob_b", a.shifts)];
  const out = b.temp("pairwise", "f32", [scores.shape[0]!, D.int(c), D.int(c)]);
  b.map(out, ([n, i, j]) => {
    const p = load<Expr>(pairOf, [i!, j!]);
    const first = sigmoid(E.neg(E.add(E.mul(load(scores, [n!, p]), load(slope, [p])), load(shift, [p]))));
    const inside = E.min(E.max(first, 1e-7), 1 - 1e-7);
    return E.where(E.lt(i!, j!), inside, E.sub(1, inside));
  });
  return out;
}
/**
 * Probabilities of classes from those of pairs: algorithm 2 of Wu, Lin and Weng, "Probability estimates for multi-class classification
 * by pairwise coupling" (2004). One coordinate after the other it minimises p'Qp over the simplex: until no coordinate of Qp is further
 * from p'Qp than 0.005 / classes, or for 100 rounds.
 */
function coupled(b: TeBuilder, r: Buffer, out: Buffer): void {
  const [rows, classes] = r.shape as [Dim, Dim];
  const c = D.known(classes)!;
  const diagonal = b.temp("diagonal", "f32", [rows, classes]);
  sumInto(b, diagonal, [classes], ([n, i], [j]) => {
    const x = load<Expr>(r, [n!, j!, i!]);
    return E.where(E.eq(i!, j!), constant("f32", 0), E.mul(x, x));
  });
  const quadratic = b.temp("quadratic", "f32", r.shape);
  b.map(quadratic, ([n, i, j]) =>
    E.where(E.eq(i!, j!), load(diagonal, [n!, i!]), E.neg(E.mul(load(r, [n!, j!, i!]), load(r, [n!, i!, j!])))),
  );
  const image = b.temp("image", "f32", [rows, classes]);
  callKernel(b, "coupling", [quadratic, out, image], (k, [q, p, qp]) =>
    k.loop(
      rows,
      (n) => {
        const each = (body: (i: Expr) => Stmt): Stmt => k.loop(classes, body);
        const at = (x: Buffer | undefined, ...i: readonly Expr[]): Expr => load(x!, [n, ...i]);
        const put = (x: Buffer | undefined, i: Expr, value: Expr): Stmt => store(x!, [n, i], value);
        const zero = constant("f32", 0);
        const round = (pqp: Variable, error: Variable): Stmt =>
          seq([
            pqp.set(zero),
            each((i) =>
              k.variable(zero, (sum) =>
                seq([
                  each((j) => sum.set(E.add(sum.get, E.mul(at(q, i, j), at(p, j))))),
                  put(qp, i, sum.get),
                  pqp.set(E.add(pqp.get, E.mul(at(p, i), sum.get))),
                ]),
              ),
            ),
            error.set(zero),
            each((i) => error.set(E.max(error.get, E.unary("abs", E.sub(at(qp, i), pqp.get))))),
          ]);
        const step = (pqp: Variable): Stmt =>
          each((i) =>
            k.let(E.div(E.sub(pqp.get, at(qp, i)), at(q, i, i)), (d) =>
              seq([
                put(p, i, E.add(at(p, i), d)),
                k.let(E.add(d, 1), (whole) =>
                  seq([
                    pqp.set(
                      E.div(
                        E.add(pqp.get, E.mul(d, E.add(E.mul(d, at(q, i, i)), E.mul(at(qp, i), 2)))),
                        E.mul(whole, whole),
                      ),
                    ),
                    each((j) =>
                      seq([
                        put(qp, j, E.div(E.add(at(qp, j), E.mul(d, at(q, i, j))), whole)),
                        put(p, j, E.div(at(p, j), whole)),
                      ]),
                    ),
                  ]),
                ),
              ]),
            ),
          );
        return seq([
          each((i) => put(p, i, constant("f32", 1 / c))),
          k.variable(i32(0), (rounds) =>
            k.variable(zero, (pqp) =>
              k.variable(zero, (error) =>
                whileLoop(
                  E.lt(rounds.get, 100),
                  seq([
                    round(pqp, error),
                    when(
                      E.lt(error.get, 0.005 / c),
                      rounds.set(i32(100)),
                      seq([step(pqp), rounds.set(E.add(rounds.get, 1))]),
                    ),
                  ]),
                ),
              ),
            ),
          ),
        ]);
      },
      "parallel",
    ),
  );
}

type Pair = readonly [number, number];
type SvmClassifierAttrs = SvmAttrs &
  ClassLabels & {
    readonly perClass: readonly number[];
    /** Of the logistic functions that make probabilities of the pairs' scores; empty: there are none. */
    readonly slopes: readonly number[];
    readonly shifts: readonly number[];
  };
/**
 * With support vectors, each pair of classes votes by a score; without, there is one linear score per class. The second output is the
 * probabilities of the classes; without those (prob_a, prob_b) the scores of pairs (for two classes the negative of the score, and the
 * score).
 */
export const SVMClassifier: OpDef<SvmClassifierAttrs> = op({
  name: "SVMClassifier",
  onnx: [ml("SVMClassifier", 1)],
  accuracy,
  effects: "none",
  parse: (n) => {
    const perClass = n.ints("vectors_per_class") ?? [];
    return {
      ...parseSvm(
        n,
        perClass.reduce((p, q) => p + q, 0),
      ),
      ...parseLabels(n, "classlabels_ints"),
      perClass,
      slopes: n.floats("prob_a") ?? [],
      shifts: n.floats("prob_b") ?? [],
    };
  },
  infer: (x, a, ctx) => {
    const [rows] = rowsOf(tensor(x, 0, ctx).shape, ctx);
    const c = a.classes;
    return [tensorType("i64", [rows]), tensorType("f32", [rows, D.int(ofPairs(a) ? (c * (c - 1)) / 2 : c)])];
  },
  labels: (a) => classifierLabels(a, !ofPairs(a)),
  body: {
    kind: "loops",
    loops: (b, n) => {
      const a = n.attrs;
      const c = a.classes;
      if (a.supports === 0) {
        const k = kernelMatrix(b, a, a.coefficients, c);
        const scores = b.temp("scores", "f32", k.shape);
        b.map(scores, (i) => E.add(load(k, i), a.rho[0] ?? 0));
        if (c !== 2) return classify(b, a, scores, b.output(0), b.output(1), a.post as PostTransform, null);
        // Of two classes onnxruntime takes the second where either score is high enough.
        const positive = a.coefficients.every((w) => w >= 0);
        b.map(b.output(0), ([i]) => {
          const [p, q] = [0, 1].map((j) => load<Expr>(scores, [i!, i32(j)])) as [Expr, Expr];
          const winner = E.where(
            E.or(positive ? E.le(0.5, E.max(p, q)) : E.lt(0, E.max(p, q)), E.lt(p, q)),
            i32(1),
            i32(0),
          );
          return labelOf(b, a, winner, b.output(0).dtype);
        });
        return postTransform(b, scores, b.output(1), a.post as PostTransform);
      }
      const k = kernelMatrix(b, a, a.vectors, a.supports);
      const starts = a.perClass.map((_, j) => a.perClass.slice(0, j).reduce((p, q) => p + q, 0));
      const pairs: readonly Pair[] = Array.from({ length: c }, (_, i) =>
        Array.from({ length: c - i - 1 }, (__, j) => [i, i + 1 + j] as const),
      ).flat();
      // Weights of every vector in every pair; coefficients are [classes - 1, vectors].
      const weights = pairs.map(([i, j]) =>
        Array.from({ length: a.supports }, (_, s) => {
          const of = starts.findLastIndex((start) => s >= start);
          return of === i
            ? a.coefficients[(j - 1) * a.supports + s]!
            : of === j
              ? a.coefficients[i * a.supports + s]!
              : 0;
        }),
      );
      const w = f32s(b, "weights", weights.flat(), [pairs.length, a.supports]);
      const rho = f32s(
        b,
        "rho",
        pairs.map((_, p) => a.rho[p] ?? 0),
      );
      const scores = b.temp("scores", "f32", [k.shape[0]!, D.int(pairs.length)]);
      sumOfProducts(
        b,
        scores,
        [k.shape[1]!],
        ([i, p], [s]) => [load(k, [i!, s!]), load(w, [p!, s!])],
        (s, [, p]) => E.add(s, load(rho, [p!])),
      );
      const side = (q: number): Buffer =>
        b.constant(
          "pair",
          tensorOf(
            "i32",
            [pairs.length],
            pairs.map((p) => p[q]!),
          ),
        );
      const [first, second] = [side(0), side(1)];
      const votes = b.temp("votes", "i32", [k.shape[0]!, D.int(c)]);
      sumInto(b, votes, [D.int(pairs.length)], ([i, cls], [p]) =>
        E.to("i32", E.eq(E.where(E.lt(0, load(scores, [i!, p!])), load(first, [p!]), load(second, [p!])), cls!)),
      );
      const winner = b.temp("winner", "i32", [k.shape[0]!]);
      argInto(b, winner, [D.int(c)], true, false, ([i], [cls]) => load(votes, [i!, cls!]));
      b.map(b.output(0), ([i]) => labelOf(b, a, load(winner, [i!]), b.output(0).dtype));
      if (a.slopes.length > 0) {
        const p = b.temp("probabilities", "f32", b.output(1).shape);
        coupled(b, pairwise(b, scores, pairs, c, a), p);
        return postTransform(b, p, b.output(1), a.post as PostTransform);
      }
      if (ofPairs(a)) return postTransform(b, scores, b.output(1), a.post as PostTransform);
      const post = a.post as PostTransform;
      twoScores(b, scores, b.output(1), post, post === "NONE" ? "negated" : "complement");
    },
  },
});

/** Whether there is a score for each pair of classes, not for each class. */
function ofPairs(a: SvmClassifierAttrs): boolean {
  return a.supports > 0 && a.classes > 2 && a.slopes.length === 0;
}

export const svmOps: readonly OpDef<Attrs>[] = [SVMRegressor, SVMClassifier] as unknown as readonly OpDef<Attrs>[];
