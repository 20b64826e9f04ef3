// Tree ensembles: tables of nodes walked by one kernel.
import * as D from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { constant, type Expr, i32, load } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import { type Accuracy, type OpDef, op, type RawNode, type TeBuilder } from "../ir/opdef.ts";
import type { Buffer } from "../ir/storage.ts";
import { type DType, type Tensor, tensorOf, tensorType, typedView } from "../ir/types.ts";
import { tensor } from "./common.ts";
import { callKernel, seq, store, whileLoop } from "./kernel.ts";
import {
  type ClassLabels,
  classifierLabels,
  classify,
  feature,
  ml,
  type PostTransform,
  parseLabels,
  parsePost,
  postTransform,
  rowsOf,
  type SingleScore,
} from "./ml.ts";

const accuracy: Accuracy = { kind: "rtol", r: 1e-5 };
/** Comparisons of a feature with a node's value; LEAF ends the walk. */
const modes = [
  "BRANCH_LEQ",
  "BRANCH_LT",
  "BRANCH_GTE",
  "BRANCH_GT",
  "BRANCH_EQ",
  "BRANCH_NEQ",
  "BRANCH_MEMBER",
] as const;
type Aggregate = "SUM" | "AVERAGE" | "MIN" | "MAX";
/**
 * Nodes by index: feature -1 is a leaf, whose contributions are leafFirst[k] .. leafFirst[k] + leafCount[k] in targets and weights. yes, no:
 * where a comparison that holds, or does not, leads. missing: NaN counts as holding.
 */
type Forest = {
  readonly roots: readonly number[];
  readonly features: readonly number[];
  readonly values: readonly number[];
  readonly modes: readonly number[];
  readonly yes: readonly number[];
  readonly no: readonly number[];
  readonly missing: readonly number[];
  readonly leafFirst: readonly number[];
  readonly leafCount: readonly number[];
  readonly targets: readonly number[];
  readonly weights: readonly number[];
  readonly base: readonly number[];
  readonly outputs: number;
  readonly aggregate: string;
};
const numbers = (t: Tensor): number[] => Array.from(typedView(t.dtype, t.bytes) as ArrayLike<number | bigint>, Number);
/** A list of floats, written as an attribute or (since version 3) as a tensor of another type. */
function floatsOf(n: RawNode, name: string): readonly number[] {
  const t = n.tensor(`${name}_as_tensor`);
  return t ? numbers(t) : (n.floats(name) ?? []);
}

/** The forest of TreeEnsembleClassifier (prefix "class") and Regressor ("target"): nodes are named by tree and number. */
function parseForest(n: RawNode, prefix: "class" | "target", outputs: number): Forest {
  const ints = (name: string): readonly number[] => n.ints(name) ?? [];
  const [trees, ids, features] = [ints("nodes_treeids"), ints("nodes_nodeids"), ints("nodes_featureids")];
  const kinds = (n.strings("nodes_modes") ?? []).map((m) =>
    m === "LEAF"
      ? -1
      : (modes as readonly string[]).indexOf(m) >= 0
        ? (modes as readonly string[]).indexOf(m)
        : n.fail(`node mode "${m}" is unknown`),
  );
  for (const unused of ["nodes_hitrates", "nodes_hitrates_as_tensor"]) n.has(unused);
  const key = (tree: number, id: number): string => `${tree}:${id}`;
  const at = new Map(ids.map((id, k) => [key(trees[k]!, id), k]));
  const find = (tree: number, id: number): number => at.get(key(tree, id)) ?? n.fail(`tree ${tree} has no node ${id}`);
  const missing = ints("nodes_missing_value_tracks_true");
  const [yesIds, noIds] = [ints("nodes_truenodeids"), ints("nodes_falsenodeids")];
  const to = (list: readonly number[]) => ids.map((_, k) => (kinds[k]! < 0 ? k : find(trees[k]!, list[k]!)));
  const [ownTrees, ownNodes, ownTargets] = [
    ints(`${prefix}_treeids`),
    ints(`${prefix}_nodeids`),
    ints(`${prefix}_ids`),
  ];
  const weights = floatsOf(n, `${prefix}_weights`);
  const byLeaf = new Map<number, number[]>();
  ownNodes.forEach((id, k) => {
    const leaf = find(ownTrees[k]!, id);
    byLeaf.set(leaf, [...(byLeaf.get(leaf) ?? []), k]);
  });
  const order = [...byLeaf.values()].flat();
  let next = 0;
  const first = new Map<number, number>();
  for (const [leaf, list] of byLeaf) {
    first.set(leaf, next);
    next += list.length;
  }
  return {
    // The first node of each tree is its root.
    roots: [...new Set(trees)].map((t) => trees.indexOf(t)),
    features: ids.map((_, k) => (kinds[k]! < 0 ? -1 : features[k]!)),
    values: [...floatsOf(n, "nodes_values")],
    modes: kinds.map((m) => Math.max(m, 0)),
    yes: to(yesIds),
    no: to(noIds),
    missing: ids.map((_, k) => missing[k] ?? 0),
    leafFirst: ids.map((_, k) => first.get(k) ?? 0),
    leafCount: ids.map((_, k) => byLeaf.get(k)?.length ?? 0),
    targets: order.map((k) => ownTargets[k]!),
    weights: order.map((k) => weights[k]!),
    base: floatsOf(n, "base_values"),
    outputs,
    aggregate: n.string("aggregate_function", "SUM"),
  };
}
/** The forest of TreeEnsemble: leaves have a list of their own, behind the nodes here. A member test becomes a chain of equalities. */
function parseEnsemble(n: RawNode): Forest & { readonly post: string } {
  const ints = (name: string): number[] => [...(n.ints(name) ?? [])];
  const list = (name: string): number[] => numbers(n.tensor(name) ?? n.fail(`attribute "${name}" is missing`));
  const [features, kinds, splits] = [ints("nodes_featureids"), list("nodes_modes"), list("nodes_splits")];
  for (const unused of ["nodes_hitrates"]) n.has(unused);
  const missing = ints("nodes_missing_value_tracks_true");
  const [leafTargets, leafWeights] = [ints("leaf_targetids"), list("leaf_weights")];
  const count = features.length;
  // Nodes, then leaves, then the further links of chains.
  const leaf = (k: number): number => count + k;
  const [yesIds, noIds, yesLeaf, noLeaf] = [
    ints("nodes_truenodeids"),
    ints("nodes_falsenodeids"),
    ints("nodes_trueleafs"),
    ints("nodes_falseleafs"),
  ];
  const yes = yesIds.map((id, k) => (yesLeaf[k] ? leaf(id) : id));
  const no = noIds.map((id, k) => (noLeaf[k] ? leaf(id) : id));
  const track = features.map((_, k) => missing[k] ?? 0);
  const all = {
    features: [...features, ...leafTargets.map(() => -1)],
    values: [...splits, ...leafTargets.map(() => 0)],
    modes: [...kinds, ...leafTargets.map(() => 0)],
    yes: [...yes, ...leafTargets.map((_, k) => leaf(k))],
    no: [...no, ...leafTargets.map((_, k) => leaf(k))],
    missing: [...track, ...leafTargets.map(() => 0)],
  };
  const equal = modes.indexOf("BRANCH_EQ");
  const members = n.has("membership_values") ? list("membership_values") : [];
  let cursor = 0;
  for (let k = 0; k < count; k++) {
    if (modes[kinds[k]!] !== "BRANCH_MEMBER") continue;
    const set: number[] = [];
    while (cursor < members.length && !Number.isNaN(members[cursor]!)) set.push(members[cursor++]!);
    cursor++;
    const [then, otherwise] = [all.yes[k]!, all.no[k]!];
    let link = k;
    set.forEach((value, j) => {
      all.modes[link] = equal;
      all.values[link] = value;
      all.yes[link] = then;
      const last = j === set.length - 1;
      all.no[link] = last ? otherwise : all.features.length;
      if (last) return;
      link = all.features.length;
      all.features.push(features[k]!);
      all.missing.push(track[k]!);
      for (const column of [all.modes, all.values, all.yes, all.no]) column.push(0);
    });
  }
  const total = all.features.length;
  const isLeaf = (k: number): boolean => k >= count && k < count + leafTargets.length;
  const aggregates: readonly Aggregate[] = ["AVERAGE", "SUM", "MIN", "MAX"];
  const posts: readonly PostTransform[] = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"];
  return {
    ...all,
    roots: ints("tree_roots"),
    leafFirst: Array.from({ length: total }, (_, k) => (isLeaf(k) ? k - count : 0)),
    leafCount: Array.from({ length: total }, (_, k) => (isLeaf(k) ? 1 : 0)),
    targets: leafTargets,
    weights: leafWeights,
    base: [],
    outputs: n.int("n_targets", 1),
    aggregate: aggregates[n.int("aggregate_function", 1)] ?? n.fail("aggregate_function is unknown"),
    post: posts[n.int("post_transform", 0)] ?? n.fail("post_transform is unknown"),
  };
}

/** Scores [rows, outputs]: what the leaves that a row reaches contribute, aggregated, plus the base values. */
function evaluate(b: TeBuilder, f: Forest): Buffer {
  const x = b.input(0);
  const [rows] = rowsOf(x.shape, {
    fail: (m) => {
      throw new Error(m);
    },
  });
  const t: DType = x.dtype === "f64" ? "f64" : "f32";
  const scores = b.temp("scores", t, [rows, D.int(f.outputs)]);
  const ints = (name: string, values: readonly number[]): Buffer =>
    b.constant(name, tensorOf("i32", [values.length], values));
  const floats = (name: string, values: readonly number[]): Buffer =>
    b.constant(name, tensorOf(t, [values.length], values));
  const kinds = new Set(f.modes.filter((_, k) => f.features[k]! >= 0));
  const base =
    f.base.length === f.outputs
      ? f.base
      : Array.from({ length: f.outputs }, () => (f.base.length === 1 ? f.base[0]! : 0));
  const tables = [
    ints("roots", f.roots),
    ints("features", f.features),
    floats("values", f.values),
    ints("modes", f.modes),
    ints("yes", f.yes),
    ints("no", f.no),
    ints("missing", f.missing),
    ints("leaf_first", f.leafFirst),
    ints("leaf_count", f.leafCount),
    ints("targets", f.targets),
    floats("weights", f.weights),
    floats("base", base),
  ];
  const extreme = f.aggregate === "MIN" || f.aggregate === "MAX";
  const start = extreme
    ? constant(t, f.aggregate === "MIN" ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY)
    : constant(t, 0);
  callKernel(
    b,
    "trees",
    [x, scores, ...tables],
    (
      k,
      [px, ps, roots, features, values, kindsOf, yes, no, missing, leafFirst, leafCount, targets, weights, bases],
    ) => {
      const holds = (v: Expr, at: Expr): Expr => {
        const value = load<Expr>(values!, [at]);
        const compare = (m: number): Expr => {
          switch (modes[m]) {
            case "BRANCH_LEQ":
              return E.le(v, value);
            case "BRANCH_LT":
              return E.lt(v, value);
            case "BRANCH_GTE":
              return E.le(value, v);
            case "BRANCH_GT":
              return E.lt(value, v);
            case "BRANCH_EQ":
              return E.eq(v, value);
            default:
              return E.ne(v, value);
          }
        };
        const [first, ...others] = [...kinds].sort((p, q) => p - q);
        const test = others.reduce<Expr>(
          (rest, m) => E.select<Expr>(E.eq(load(kindsOf!, [at]), m), compare(m), rest),
          compare(first ?? 0),
        );
        return f.missing.some((m) => m !== 0)
          ? E.or(test, E.and(E.unary("isnan", v), E.ne(load(missing!, [at]), 0)))
          : test;
      };
      const join = (old: Expr, w: Expr): Expr =>
        f.aggregate === "MIN" ? E.min(old, w) : f.aggregate === "MAX" ? E.max(old, w) : E.add(old, w);
      return k.nest(
        [rows],
        ([row]) =>
          seq([
            k.nest([D.int(f.outputs)], ([o]) => store(ps!, [row!, o!], start)),
            k.loop(D.int(f.roots.length), (tree) =>
              k.variable(i32(0), (at) =>
                seq([
                  at.set(load(roots!, [tree])),
                  whileLoop(
                    E.le(0, load(features!, [at.get])),
                    k.let(feature(px!, row!, E.max(load(features!, [at.get]), 0)), (v) =>
                      at.set(E.where(holds(v, at.get), load(yes!, [at.get]), load(no!, [at.get]))),
                    ),
                  ),
                  k.let(load(leafFirst!, [at.get]), (first) =>
                    k.loop(load(leafCount!, [at.get]), (j) =>
                      k.let(load(targets!, [E.add(first, j)]), (target) =>
                        store(ps!, [row!, target], join(load(ps!, [row!, target]), load(weights!, [E.add(first, j)]))),
                      ),
                    ),
                  ),
                ]),
              ),
            ),
            k.nest([D.int(f.outputs)], ([o]) => {
              const sum = load<Expr>(ps!, [row!, o!]);
              // An output that no leaf contributes to is 0.
              const joined = extreme
                ? E.where(E.eq(sum, start), constant(t, 0), sum)
                : f.aggregate === "AVERAGE"
                  ? E.div(sum, f.roots.length)
                  : sum;
              return store(ps!, [row!, o!], E.add(joined, load(bases!, [o!])));
            }),
          ]),
        "parallel",
      );
    },
  );
  return scores;
}

type ClassifierAttrs = Forest & ClassLabels & { readonly post: string; readonly single: boolean };
export const TreeEnsembleClassifier: OpDef<ClassifierAttrs> = op<ClassifierAttrs>({
  name: "TreeEnsembleClassifier",
  onnx: [ml("TreeEnsembleClassifier", 1, 3, 5)],
  accuracy,
  effects: "none",
  parse: (n) => {
    const labels = parseLabels(n, "classlabels_int64s");
    // Two classes of which the leaves name one: its weight decides.
    const named = new Set(n.ints("class_ids") ?? []);
    const single = labels.classes === 2 && named.size === 1;
    const f = parseForest(n, "class", single ? 1 : labels.classes);
    return {
      ...f,
      targets: single ? f.targets.map(() => 0) : f.targets,
      base: single ? f.base.slice(-1) : f.base,
      ...labels,
      post: parsePost(n),
      single,
    };
  },
  infer: (x, a, ctx) => {
    const [rows] = rowsOf(tensor(x, 0, ctx).shape, ctx);
    return [tensorType("i64", [rows]), tensorType("f32", [rows, D.int(a.classes)])];
  },
  labels: (a) => classifierLabels(a),
  body: {
    kind: "loops",
    loops: (b, n) => {
      const a = n.attrs;
      const scores = evaluate(b, a);
      const positive = a.weights.every((w) => w >= 0);
      const single: SingleScore | null = a.single
        ? { threshold: positive ? 0.5 : 0, mirrored: positive ? "complement" : "negated" }
        : null;
      classify(b, a, scores, b.output(0), b.output(1), a.post as PostTransform, single);
    },
  },
});
type RegressorAttrs = Forest & { readonly post: string };
function regressor(
  name: string,
  since: readonly number[],
  parse: (n: RawNode) => RegressorAttrs,
  sameType: boolean,
): OpDef<RegressorAttrs> {
  return op<RegressorAttrs>({
    name,
    onnx: [ml(name, ...since)],
    accuracy,
    effects: "none",
    parse,
    infer: (x, a, ctx) => {
      const t = tensor(x, 0, ctx);
      return [tensorType(sameType ? t.dtype : "f32", [rowsOf(t.shape, ctx)[0], D.int(a.outputs)])];
    },
    body: {
      kind: "loops",
      loops: (b, n) => postTransform(b, evaluate(b, n.attrs), b.output(0), n.attrs.post as PostTransform),
    },
  });
}

export const treeOps: readonly OpDef<Attrs>[] = [
  TreeEnsembleClassifier,
  regressor(
    "TreeEnsembleRegressor",
    [1, 3, 5],
    (n) => ({ ...parseForest(n, "target", n.int("n_targets", 1)), post: parsePost(n) }),
    false,
  ),
  regressor("TreeEnsemble", [5], parseEnsemble, true),
] as unknown as readonly OpDef<Attrs>[];
