// Losses of class scores, as forward computations.
import type { ValueId } from "../base/brand.ts";
import * as D from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { constant, type Expr, load, ofDim } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import { type OpDef, op, type RawNode } from "../ir/opdef.ts";
import { tensorType, type ValueType } from "../ir/types.ts";
import { onnx, sameType, shapeText, tensor, wide } from "./common.ts";
import { safeIndex } from "./index-ops.ts";
import { toIndex } from "./ints.ts";
import { LogSoftmax } from "./norm.ts";
import { sumInto } from "./reduce.ts";

type LossAttrs = { readonly reduction: string; readonly ignore?: number };
function parseLoss(n: RawNode): LossAttrs {
  const reduction = n.string("reduction", "mean");
  if (!["none", "mean", "sum"].includes(reduction)) n.fail(`reduction "${reduction}" is unknown`);
  return { reduction, ...(n.has("ignore_index") ? { ignore: n.int("ignore_index") } : {}) };
}
/** Of the log-probability [N, C, ...] of each target [N, ...], negated and weighted by class; the mean is over the weights. */
export const NegativeLogLikelihoodLoss: OpDef<LossAttrs> = op<LossAttrs>({
  name: "NegativeLogLikelihoodLoss",
  onnx: [onnx("NegativeLogLikelihoodLoss", 12, 13, 22)],
  accuracy: { kind: "rtol", r: 1e-5 },
  effects: "none",
  parse: parseLoss,
  infer: (x, a, ctx) => {
    const [t, target] = [tensor(x, 0, ctx), tensor(x, 1, ctx)];
    if (t.shape.length < 2 || target.shape.length !== t.shape.length - 1)
      ctx.fail(`targets ${shapeText(target.shape)} for ${shapeText(t.shape)}`);
    if (x[2]) sameType(t, tensor(x, 2, ctx), ctx);
    return [tensorType(t.dtype, a.reduction === "none" ? target.shape : [])];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const a = n.attrs;
      const [x, target, out] = [b.input(0), b.input(1), b.output(0)];
      const t = wide(x.dtype);
      const classes = x.shape[1]!;
      const label = (i: readonly Expr[]): Expr => toIndex(load(target, i));
      const weight = (i: readonly Expr[]): Expr => {
        const w = b.has(2) ? E.to(t, load(b.input(2), [safeIndex(label(i), classes)])) : constant(t, 1);
        return a.ignore === undefined ? w : E.where(E.eq(label(i), a.ignore), constant(t, 0), w);
      };
      const term = (i: readonly Expr[]): Expr =>
        E.neg(E.mul(E.to(t, load(x, [i[0]!, safeIndex(label(i), classes), ...i.slice(1)])), weight(i)));
      if (a.reduction === "none") return b.map(out, (i) => E.to(out.dtype, term(i)));
      const extents = target.shape;
      if (a.reduction === "sum") return sumInto(b, out, extents, (_, r) => term(r));
      if (!b.has(2) && a.ignore === undefined)
        return sumInto(
          b,
          out,
          extents,
          (_, r) => term(r),
          (s) => E.div(s, E.to(t, ofDim(D.product(extents)))),
        );
      const total = b.temp("weights", t, []);
      sumInto(b, total, extents, (_, r) => weight(r));
      sumInto(
        b,
        out,
        extents,
        (_, r) => term(r),
        (s) => E.div(s, load(total, [])),
      );
    },
  },
});
/** The loss of the scores' logarithmic softmax, which is the second output. */
export const SoftmaxCrossEntropyLoss: OpDef<LossAttrs> = op<LossAttrs>({
  name: "SoftmaxCrossEntropyLoss",
  onnx: [onnx("SoftmaxCrossEntropyLoss", 12, 13)],
  accuracy: { kind: "rtol", r: 1e-5 },
  effects: "none",
  parse: parseLoss,
  infer: (x, a, ctx): readonly ValueType[] => {
    const t = tensor(x, 0, ctx);
    return [...NegativeLogLikelihoodLoss.infer(x, a, ctx), tensorType(t.dtype, t.shape)];
  },
  body: {
    kind: "expand",
    expand: (b, n) => {
      const [scores, labels] = n.inputs as readonly ValueId[] as [ValueId, ValueId];
      const log = b.add(LogSoftmax, [scores], { axis: 1, flat: false })[0]!;
      return [b.add(NegativeLogLikelihoodLoss, [log, labels, n.inputs[2] ?? null], n.attrs)[0]!, log];
    },
  },
});

export const lossOps: readonly OpDef<Attrs>[] = [
  NegativeLogLikelihoodLoss,
  SoftmaxCrossEntropyLoss,
] as unknown as readonly OpDef<Attrs>[];
