// The passes over graphs, in order, and why they stand in it.
import { assert, must } from "../src/base/assert.ts";
import type { Graph, Value } from "../src/ir/graph.ts";
import type { SequenceType, ValueType } from "../src/ir/types.ts";
import { canonicalize } from "./graph/canonicalize.ts";
import { eliminateCommon } from "./graph/cse.ts";
import { expand } from "./graph/expand.ts";
import { type Evaluator, foldConstants } from "./graph/fold-constants.ts";
import { foldNorm } from "./graph/fold-norm.ts";
import { narrowIntegers } from "./graph/narrow-integers.ts";

export type GraphContext = { readonly evaluator: Evaluator };
/** A pass gives a new graph, with the same inputs and outputs: names, element types, ranks, extents that are known. */
export type GraphPass = {
  readonly name: string;
  readonly about: string;
  readonly run: (g: Graph, ctx: GraphContext) => Graph;
};

export const graphPasses: readonly GraphPass[] = [
  { name: "expand", about: "ops that are defined by others become these", run: expand },
  {
    name: "fold-constants",
    about: "what depends on constants alone is computed",
    run: (g, ctx) => foldConstants(g, ctx.evaluator),
  },
  { name: "canonicalize", about: "what does nothing goes, what has two spellings gets one", run: canonicalize },
  { name: "eliminate-common", about: "of nodes that compute the same, the first stays", run: eliminateCommon },
  { name: "fold-norm", about: "scales and shifts of channels go into weights and biases", run: foldNorm },
  { name: "narrow-integers", about: "i64 values that fit i32 are computed as i32", run: narrowIntegers },
  {
    name: "fold-made-constants",
    about: "what the passes since have made of constants is computed",
    run: (g, ctx) => foldConstants(g, ctx.evaluator),
  },
];

/** `first` stands before `then`; a test holds the table of passes to it. */
export const graphOrder: readonly { readonly first: string; readonly then: string; readonly why: string }[] = [
  { first: "expand", then: "fold-constants", why: "an op that expands has no formula to evaluate" },
  {
    first: "expand",
    then: "canonicalize",
    why: "expanding infers all types anew, and gives symbols that Views name other names",
  },
  { first: "fold-constants", then: "canonicalize", why: "rewrites ask for numbers: a divisor, a condition, pads" },
  {
    first: "fold-constants",
    then: "fold-norm",
    why: "the factor of a BatchNormalization is an expression of constants until it is folded",
  },
  { first: "canonicalize", then: "eliminate-common", why: "equal nodes are found by their text: one spelling each" },
  {
    first: "canonicalize",
    then: "fold-norm",
    why: "an Identity or a Dropout between parts a convolution from its scale",
  },
  {
    first: "canonicalize",
    then: "narrow-integers",
    why: "shape arithmetic that Views have made dead needs no narrowing",
  },
  {
    first: "eliminate-common",
    then: "narrow-integers",
    why: "casts at the edges are made once for each value: merged values first",
  },
  { first: "fold-norm", then: "fold-made-constants", why: "new weights are expressions of the old ones" },
];

/** Runs a pass and checks what it may not change. */
export function runGraphPass(pass: GraphPass, g: Graph, ctx: GraphContext): Graph {
  const result = pass.run(g, ctx);
  for (const what of ["inputs", "outputs"] as const) {
    const [before, after] = [ports(g, g[what]), ports(result, result[what])];
    const same = before.length === after.length && before.every((b, k) => b.name === after[k]!.name);
    assert(same, `${pass.name} changes the ${what}`);
    before.forEach((b, k) => {
      assert(keeps(b.type, after[k]!.type), `${pass.name} changes the type of "${b.name}"`);
    });
  }
  return result;
}
function ports(g: Graph, ids: Graph["inputs"]): readonly Value[] {
  return ids.map((id) => must(g.values.get(id), `value ${id}`));
}
/** Element types, ranks and known extents; a symbolic one may become known, or get another name. */
function keeps(a: ValueType, b: ValueType): boolean {
  if (a.kind !== "tensor" || b.kind !== "tensor")
    return a.kind !== "tensor" && a.kind === b.kind && keeps(a.of, (b as SequenceType).of);
  const [s, t] = [a.tensor, b.tensor];
  return (
    s.dtype === t.dtype &&
    s.shape.length === t.shape.length &&
    s.shape.every((d, k) => d.kind !== "int" || d === t.shape[k])
  );
}
