// Normalisations that are other ops in a row: BatchNormalization, and onnxruntime's fused ones.
import type { ValueId } from "../base/brand.ts";
import * as D from "../ir/dim.ts";
import type { Attrs } from "../ir/graph.ts";
import { type OpDef, op } from "../ir/opdef.ts";
import { type DType, tensorType, type ValueType } from "../ir/types.ts";
import { onnx, shapeText, tensor } from "./common.ts";
import { Range } from "./create.ts";
import { Sqrt } from "./elementwise.ts";
import { Expander } from "./expander.ts";
import { Gather } from "./index-ops.ts";
import { Shape } from "./move.ts";
import { LayerNormalization, RMSNormalization } from "./norm.ts";
import { ReduceMean, ReduceSum } from "./reduce.ts";
import { Unsqueeze } from "./view.ts";

type BatchAttrs = { readonly eps: number; readonly momentum: number; readonly training: boolean };
/**
 * y = x*s + t with s and t per channel: constants, where the statistics are. In training mode the statistics are the batch's own.
 * Factors are computed in f32 at least.
 */
export const BatchNormalization: OpDef<BatchAttrs> = op({
  name: "BatchNormalization",
  onnx: [onnx("BatchNormalization", 1, 6, 7, 9, 14, 15)],
  accuracy: { kind: "rtol", r: 1e-5 },
  effects: "none",
  parse: (n) => {
    if (n.opset < 9 && n.int("spatial", 1) !== 1) n.fail("BatchNormalization with spatial = 0");
    if (n.opset < 7 && n.int("is_test", 0) !== 1) n.fail("BatchNormalization in training mode");
    const training = n.opset >= 14 && n.int("training_mode", 0) !== 0;
    return { eps: n.float("epsilon", 1e-5), momentum: n.float("momentum", 0.9), training };
  },
  infer: (x, _a, ctx): readonly ValueType[] => {
    const [t, mean, variance] = [tensor(x, 0, ctx), tensor(x, 3, ctx), tensor(x, 4, ctx)];
    if (t.shape.length < 2) ctx.fail(`BatchNormalization of ${shapeText(t.shape)}`);
    const outputs = [
      tensorType(t.dtype, t.shape),
      tensorType(mean.dtype, mean.shape),
      tensorType(variance.dtype, variance.shape),
    ];
    // Before opset 14 two more outputs held the batch's own statistics; at inference none is computed.
    return [...outputs, ...outputs.slice(1)];
  },
  body: {
    kind: "expand",
    expand: (b, n) => {
      const e = new Expander(b);
      const [x, scale, bias, mean, variance] = n.inputs as readonly ValueId[] as [
        ValueId,
        ValueId,
        ValueId,
        ValueId,
        ValueId,
      ];
      const rank = e.shape(x).length;
      const wide: DType = [x, scale, mean].some((v) => e.dtype(v) === "f64") ? "f64" : "f32";
      const over = Array.from({ length: rank }, (_, k) => k).filter((k) => k !== 1);
      let [m, v] = [e.cast(mean, wide), e.cast(variance, wide)];
      const outputs: ValueId[] = [];
      if (n.attrs.training) {
        const own = e.cast(x, wide);
        const batchMean = e.one(ReduceMean, [own], { axes: over, keep: true, noop: false });
        const centered = e.sub(own, batchMean);
        const batchVariance = e.one(ReduceMean, [e.mul(centered, centered)], { axes: over, keep: false, noop: false });
        const flatMean = e.one(ReduceMean, [own], { axes: over, keep: false, noop: false });
        const [keep, take] = [e.scalar(wide, n.attrs.momentum), e.scalar(wide, 1 - n.attrs.momentum)];
        outputs.push(
          e.cast(e.add(e.mul(m, keep), e.mul(flatMean, take)), e.dtype(mean)),
          e.cast(e.add(e.mul(v, keep), e.mul(batchVariance, take)), e.dtype(variance)),
        );
        [m, v] = [flatMean, batchVariance];
      } else outputs.push(mean, variance);
      const factor = e.div(e.cast(scale, wide), e.one(Sqrt, [e.add(v, e.scalar(wide, n.attrs.eps))], {}));
      const shift = e.sub(e.cast(bias, wide), e.mul(m, factor));
      const axes = over.filter((k) => k > 1).map((k) => k - 1);
      const perChannel = (y: ValueId): ValueId => (axes.length === 0 ? y : e.one(Unsqueeze, [y], { axes }));
      const y = e.add(e.mul(e.cast(x, wide), perChannel(factor)), perChannel(shift));
      return [e.cast(y, e.dtype(x)), ...outputs, ...outputs].slice(0, Math.max(1, n.outputs.length));
    },
  },
});

const microsoft = (type: string): { domain: string; type: string; since: readonly number[] } => ({
  domain: "com.microsoft",
  type,
  since: [1],
});
type SkipAttrs = { readonly eps: number };
/** Inputs input, skip, gamma, then (not for the simplified form) beta, and bias; outputs the result, two statistics, and the sum. */
function skipNorm(type: string, simplified: boolean): OpDef<SkipAttrs> {
  return op<SkipAttrs>({
    name: type,
    onnx: [microsoft(type)],
    accuracy: { kind: "rtol", r: 1e-5 },
    effects: "none",
    parse: (n) => ({ eps: n.float("epsilon", 1e-12) }),
    infer: (x, _a, ctx): readonly ValueType[] => {
      const t = tensor(x, 0, ctx);
      const same = tensorType(t.dtype, t.shape);
      const stats = tensorType(
        "f32",
        t.shape.map((d, k) => (k === t.shape.length - 1 ? D.one : d)),
      );
      return [same, stats, stats, same];
    },
    body: {
      kind: "expand",
      expand: (b, n) => {
        const e = new Expander(b);
        const [x, skip, gamma] = n.inputs as readonly ValueId[] as [ValueId, ValueId, ValueId];
        const bias = n.inputs[simplified ? 3 : 4] ?? null;
        const sum = e.add(bias === null ? x : e.add(x, bias), skip);
        const attrs = { axis: -1, eps: n.attrs.eps, plain: simplified, stats: "f32" };
        if (simplified) {
          const [y, inverse] = b.add(RMSNormalization, [sum, gamma], attrs, 2) as readonly [ValueId, ValueId];
          return [y, inverse, inverse, sum];
        }
        return [...b.add(LayerNormalization, [sum, gamma, n.inputs[3] ?? null], attrs, 3), sum];
      },
    },
  });
}
export const SkipLayerNormalization: OpDef<SkipAttrs> = skipNorm("SkipLayerNormalization", false);
export const SkipSimplifiedLayerNormalization: OpDef<SkipAttrs> = skipNorm("SkipSimplifiedLayerNormalization", true);

/**
 * Inputs: input_ids, segment_ids, word, position and segment embeddings, gamma, beta, mask, position_ids. Outputs: the normalised sum of
 * the embeddings, the number of tokens under the mask, the sum.
 */
export const EmbedLayerNormalization: OpDef<SkipAttrs & { maskIndex: boolean }> = op({
  name: "EmbedLayerNormalization",
  onnx: [microsoft("EmbedLayerNormalization")],
  accuracy: { kind: "rtol", r: 1e-5 },
  effects: "none",
  parse: (n) => ({ eps: n.float("epsilon", 1e-12), maskIndex: n.int("mask_index_type", 1) === 1 }),
  infer: (x, _a, ctx): readonly ValueType[] => {
    const [ids, words] = [tensor(x, 0, ctx), tensor(x, 2, ctx)];
    const sum = tensorType(words.dtype, [...ids.shape, words.shape[1]!]);
    return [sum, tensorType("i32", [ids.shape[0]!]), sum];
  },
  body: {
    kind: "expand",
    expand: (b, n) => {
      const e = new Expander(b);
      const at = (k: number): ValueId | null => n.inputs[k] ?? null;
      const [ids, words, positions] = [at(0)!, at(2)!, at(3)!];
      const rows = (table: ValueId, index: ValueId): ValueId => e.one(Gather, [table, index], { axis: 0 });
      let sum = rows(words, ids);
      const position = at(8);
      const length = e.one(Shape, [ids], { start: 1, end: 2 });
      sum = e.add(sum, rows(positions, position ?? e.one(Range, [e.scalar("i64", 0), length, e.scalar("i64", 1)], {})));
      const [segments, table] = [at(1), at(4)];
      if (segments !== null && table !== null) sum = e.add(sum, rows(table, segments));
      const [y] = b.add(
        LayerNormalization,
        [sum, at(5), at(6)],
        { axis: -1, eps: n.attrs.eps, plain: false, stats: "f32" },
        1,
      ) as readonly [ValueId];
      const mask = n.attrs.maskIndex ? at(7) : null;
      const counted = e.cast(mask ?? ids, "i32");
      const count = e.one(ReduceSum, [mask === null ? e.sub(counted, counted) : counted], {
        axes: [1],
        keep: false,
        noop: false,
      });
      return [y, count, sum];
    },
  },
});

export const normExpandOps: readonly OpDef<Attrs>[] = [
  BatchNormalization,
  SkipLayerNormalization,
  SkipSimplifiedLayerNormalization,
  EmbedLayerNormalization,
] as unknown as readonly OpDef<Attrs>[];
