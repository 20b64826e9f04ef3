// FlexAttention (ai.onnx.preview): attention with graphs of the model between its steps. The steps are other operators, so that what a
// graph does to scores or probabilities is fused as anything else is.
import type { ValueId } from "../base/brand.ts";
import type { Dim } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import type { Attrs, Graph } from "../ir/graph.ts";
import { type OpDef, op, type RawNode } from "../ir/opdef.ts";
import { type DType, tensorType, type ValueType, widened } from "../ir/types.ts";
import { attentionAccuracy } from "./attention.ts";
import { shapeText, tensor } from "./common.ts";
import { MatMul } from "./contract.ts";
import { Sqrt } from "./elementwise.ts";
import { Expander } from "./expander.ts";
import { Shape, Transpose } from "./move.ts";
import { Softmax } from "./norm.ts";
import { View } from "./view.ts";

type FlexAttrs = {
  readonly scale?: number;
  /** The type of scores and probabilities; absent: f64 for f64, else f32. */
  readonly precision?: DType;
  readonly score?: Graph;
  readonly prob?: Graph;
};
const precisionOf = (n: RawNode): DType | undefined =>
  n.has("softmax_precision") ? n.dtype("softmax_precision") : undefined;
const mods = ["score_mod", "prob_mod"] as const;

/** Inputs Q [B, H, L, E], K [B, G, S, E], V [B, G, S, F], H a multiple of G; output [B, H, L, F]. */
export const FlexAttention: OpDef<FlexAttrs> = op<FlexAttrs>({
  name: "FlexAttention",
  onnx: [{ domain: "ai.onnx.preview", type: "FlexAttention", since: [1] }],
  accuracy: attentionAccuracy,
  effects: "none",
  parse: (n) => {
    const precision = precisionOf(n);
    const [score, prob] = mods.map((m) => n.graph(m));
    return {
      ...(n.has("scale") ? { scale: n.float("scale") } : {}),
      ...(precision ? { precision } : {}),
      ...(score ? { score } : {}),
      ...(prob ? { prob } : {}),
    };
  },
  bodies: (x, n) => {
    const [q, k] = [x[0], x[1]];
    if (q?.kind !== "tensor" || k?.kind !== "tensor") return n.fail("the queries or keys are no tensors");
    const [b, h, l] = q.tensor.shape;
    const s = k.tensor.shape[2];
    if (!b || !h || !l || !s) return n.fail(`attention of ${shapeText(q.tensor.shape)}, ${shapeText(k.tensor.shape)}`);
    const scores = tensorType(precisionOf(n) ?? widened(q.tensor.dtype), [b, h, l, s]);
    return Object.fromEntries(mods.filter((m) => n.has(m)).map((m) => [m, { inputs: [scores], carried: [] }]));
  },
  infer: (x, a, ctx): readonly ValueType[] => {
    const [q, k, v] = [tensor(x, 0, ctx), tensor(x, 1, ctx), tensor(x, 2, ctx)];
    if ([q, k, v].some((t) => t.shape.length !== 4))
      ctx.fail(`attention of ${shapeText(q.shape)}, ${shapeText(k.shape)}, ${shapeText(v.shape)}`);
    const full = [...q.shape.slice(0, 3), k.shape[2]!];
    for (const g of [a.score, a.prob]) {
      const t = g?.values.get(g.outputs[0]!)?.type;
      const other = (d: Dim, j: number): boolean => d !== full[j] && d.kind === "int" && full[j]?.kind === "int";
      if (t && (t.kind !== "tensor" || t.tensor.shape.length !== 4 || t.tensor.shape.some(other)))
        ctx.fail(`a graph of FlexAttention changes the shape ${shapeText(full)}`);
    }
    return [tensorType(v.dtype, [...q.shape.slice(0, 3), v.shape[3]!])];
  },
  body: {
    kind: "expand",
    expand: (b, n) => {
      const e = new Expander(b);
      const { scale, precision, score, prob } = n.attrs;
      const [q, k, v] = n.inputs as readonly [ValueId, ValueId, ValueId];
      const captured = n.inputs.slice(3) as readonly ValueId[];
      const [batch, heads, queries, size] = e.shape(q) as readonly [Dim, Dim, Dim, Dim];
      const [, groups, keys] = e.shape(k) as readonly [Dim, Dim, Dim, Dim];
      const valueSize = e.shape(v)[3]!;
      const t = precision ?? widened(e.dtype(q));
      // The heads that share keys stand along an axis of their own.
      const each = D.floordiv(heads, groups);
      const view = (x: ValueId, shape: readonly Dim[]): ValueId =>
        e.shape(x).every((d, j) => d === shape[j]) && shape.length === e.shape(x).length
          ? x
          : e.one(View, [x], { type: { dtype: e.dtype(x), shape } });
      const grouped = each === D.one ? [batch, heads] : [batch, groups, each];
      const shared = each === D.one ? [batch, groups] : [batch, groups, D.one];
      const known = scale ?? (size.kind === "int" ? 1 / Math.sqrt(size.value) : null);
      const factor = known === null ? inverseFourthRoot(e, q, 3) : e.scalar("f32", Math.sqrt(known));
      const scaled = (x: ValueId): ValueId => e.mul(x, e.cast(factor, e.dtype(x)));
      const last = grouped.length;
      const perm = [...Array.from({ length: last }, (_, j) => j), last + 1, last];
      const transposed = e.one(Transpose, [view(scaled(k), [...shared, keys, size])], { perm });
      const products = e.one(MatMul, [view(scaled(q), [...grouped, queries, size]), transposed], {});
      let scores = e.cast(view(products, [batch, heads, queries, keys]), t);
      if (score) scores = b.inline(score, [scores, ...captured])[0]!;
      let probs = e.one(Softmax, [scores], { axis: -1, flat: false });
      if (prob) probs = b.inline(prob, [probs, ...captured.slice((score?.inputs.length ?? 1) - 1)])[0]!;
      const values = view(e.cast(v, t), [...shared, keys, valueSize]);
      const sums = e.one(MatMul, [view(probs, [...grouped, queries, keys]), values], {});
      return [e.cast(view(sums, [batch, heads, queries, valueSize]), e.dtype(v))];
    },
  },
});

/** Of an extent that is known only in the run. */
function inverseFourthRoot(e: Expander, x: ValueId, axis: number): ValueId {
  const extent = e.cast(e.one(Shape, [x], { start: axis, end: axis + 1 }), "f32");
  return e.div(e.scalar("f32", 1), e.one(Sqrt, [e.one(Sqrt, [extent], {})], {}));
}

export const flexAttentionOps: readonly OpDef<Attrs>[] = [FlexAttention] as unknown as readonly OpDef<Attrs>[];
