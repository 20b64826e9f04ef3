// The table of operators: one list per family, looked up by ONNX domain, name and opset.
import type { Attrs } from "../ir/graph.ts";
import type { OpDef } from "../ir/opdef.ts";
import { attentionOps } from "./attention.ts";
import { castOps } from "./cast.ts";
import { contractOps } from "./contract.ts";
import { contribAttentionOps } from "./contrib-attention.ts";
import { contribMathOps } from "./contrib-math.ts";
import { contribQuantOps } from "./contrib-quant.ts";
import { controlOps } from "./control.ts";
import { convOps } from "./conv.ts";
import { createOps } from "./create.ts";
import { einsumOps } from "./einsum.ts";
import { elementwiseOps } from "./elementwise.ts";
import { encoderOps } from "./encoders.ts";
import { flexAttentionOps } from "./flex-attention.ts";
import { fusedOps } from "./fused.ts";
import { indexOps } from "./index-ops.ts";
import { linearAttentionOps } from "./linear-attention.ts";
import { listOps } from "./lists.ts";
import { lossOps } from "./loss.ts";
import { mlOps } from "./ml.ts";
import { moveOps } from "./move.ts";
import { ngramOps } from "./ngram.ts";
import { normOps } from "./norm.ts";
import { normExpandOps } from "./norm-expand.ts";
import { poolOps } from "./pool.ts";
import { quantOps } from "./quant.ts";
import { reduceOps } from "./reduce.ts";
import { resizeOps } from "./resize.ts";
import { rnnOps } from "./rnn.ts";
import { sampleOps } from "./sample.ts";
import { sequenceOps } from "./sequence.ts";
import { signalOps } from "./signal.ts";
import { sliceOps } from "./slice.ts";
import { sortOps } from "./sort.ts";
import { svmOps } from "./svm.ts";
import { trainingOps } from "./training.ts";
import { treeOps } from "./trees.ts";
import { viewOps } from "./view.ts";

export const allOps: readonly OpDef<Attrs>[] = [
  ...elementwiseOps,
  ...castOps,
  ...contractOps,
  ...convOps,
  ...poolOps,
  ...moveOps,
  ...sliceOps,
  ...viewOps,
  ...indexOps,
  ...sortOps,
  ...createOps,
  ...reduceOps,
  ...normOps,
  ...normExpandOps,
  ...resizeOps,
  ...sampleOps,
  ...quantOps,
  ...einsumOps,
  ...fusedOps,
  ...contribQuantOps,
  ...contribMathOps,
  ...rnnOps,
  ...controlOps,
  ...signalOps,
  ...mlOps,
  ...encoderOps,
  ...treeOps,
  ...svmOps,
  ...ngramOps,
  ...trainingOps,
  ...attentionOps,
  ...contribAttentionOps,
  ...linearAttentionOps,
  ...flexAttentionOps,
  ...lossOps,
  ...sequenceOps,
  ...listOps,
];

/** The newest opset that Ingot knows, by domain. */
export const newestOpset: ReadonlyMap<string, number> = new Map([
  ["", 27],
  ["ai.onnx.ml", 5],
  ["com.microsoft", 1],
  ["ai.onnx.preview", 1],
  ["ai.onnx.preview.training", 1],
  ["com.ms.internal.nhwc", 1],
]);

const search = "the search around a decoder; compile the decoder by itself and search in the program that runs it";
const text = "text; compute it before the model, and give the model numbers";
/** Operators that no definition is planned for, with the reason and the way out. A name without a type is a whole domain. */
const refusals: ReadonlyMap<string, string> = new Map([
  ["com.microsoft:BeamSearch", search],
  ["com.microsoft:GreedySearch", search],
  ["com.microsoft:Sampling", search],
  ["com.microsoft:WhisperBeamSearch", search],
  ["com.microsoft:EPContext", "a program for one processor; export the model without it"],
  [
    "com.microsoft.nchwc:",
    "the memory layout of one processor; save the model at a lower level of graph optimization (extended)",
  ],
  [":StringNormalizer", text],
  [":StringConcat", text],
  [":StringSplit", text],
  [":RegexFullMatch", text],
  [":ImageDecoder", "the bytes of an image file; decode it before the model"],
  ["ai.onnx.ml:DictVectorizer", "a map; give the model a tensor"],
  ["ai.onnx.ml:CastMap", "a map; give the model a tensor"],
]);

export class OpTable {
  private readonly byName = new Map<string, OpDef<Attrs>>();
  private readonly opsets = new Map<string, number>(newestOpset);
  constructor(ops: readonly OpDef<Attrs>[] = allOps) {
    for (const def of ops)
      for (const o of def.onnx) {
        this.byName.set(`${o.domain}:${o.type}`, def);
        if (!newestOpset.has(o.domain)) this.opsets.set(o.domain, Math.max(this.newest(o.domain), ...o.since));
      }
  }
  knows(domain: string, type: string): boolean {
    return this.byName.has(`${domain}:${type}`);
  }
  /** undefined when the op is unknown, or did not exist yet in that opset. */
  find(domain: string, type: string, opset: number): OpDef<Attrs> | undefined {
    const def = this.byName.get(`${domain}:${type}`);
    const since = def?.onnx.find((o) => o.domain === domain && o.type === type)?.since;
    return since && since[0]! <= opset ? def : undefined;
  }
  /** What an operator that is not supported does, and the way out, if there is one. */
  refusal(domain: string, type: string): string | undefined {
    return refusals.get(`${domain}:${type}`) ?? (domain === "" ? undefined : refusals.get(`${domain}:`));
  }
  newest(domain: string): number {
    return this.opsets.get(domain) ?? 1;
  }
  /** By Ingot's own name, for parsing IR text. */
  named(name: string): OpDef<Attrs> | undefined {
    return allOps.find((d) => d.name === name);
  }
}
