// How alike the outputs of a graph have to be where programs round differently.
import type { GraphSpec, NodeSpec } from "../../src/onnx/export.ts";
import { bodiesOf, type FuzzCase, outputsOf } from "./case.ts";
import { factOf } from "./registry.ts";

/** exact: the same. close: by a tolerance. loose: a rounding may have decided about something. */
export type Steadiness = "exact" | "close" | "loose";
const order: readonly Steadiness[] = ["exact", "close", "loose"];
const worst = (x: readonly Steadiness[]): Steadiness => order[Math.max(0, ...x.map((s) => order.indexOf(s)))]!;

/** Operators that are called exact and round all the same: of separate and of fused operations the bits differ. */
const rounding = new Set("Add Sub Mul Div Mod PRelu LeakyRelu Pow Mean Sum".split(" "));
/** Where small differences of floats make small differences. */
const smooth = new Set(
  `Add Sub Mul Max Min Sum Mean Relu Tanh Sigmoid Neg Abs Erf Elu Celu Selu LeakyRelu PRelu Gelu QuickGelu FastGelu BiasGelu Softplus
  Softsign Mish HardSwish HardSigmoid Swish Sin Cos Atan Clip Identity Dropout Transpose Concat Split Slice Pad Tile Expand Reshape
  Flatten Squeeze Unsqueeze Gather GatherElements GatherND ScatterElements ScatterND Where Trilu DepthToSpace SpaceToDepth
  ReverseSequence CenterCropPad MatMul Gemm FusedMatMul Conv ConvTranspose Einsum MaxPool AveragePool GlobalAveragePool
  GlobalMaxPool ReduceSum ReduceMean ReduceMax ReduceMin ReduceL1 ReduceSumSquare ReduceLogSumExp CumSum Softmax LogSoftmax
  LayerNormalization RMSNormalization InstanceNormalization GroupNormalization BatchNormalization SkipLayerNormalization LRN
  Attention RotaryEmbedding LSTM GRU RNN Col2Im DFT Exp Resize Scaler LinearRegressor Scan Loop If`.split(/\s+/),
);
const shapes = new Set(["Shape", "Size"]);

/** Of each output, by its name. */
export function steadiness(c: FuzzCase): ReadonlyMap<string, Steadiness> {
  const known = new Map<string, Steadiness>();
  walk(c.model, known);
  return new Map(outputsOf(c.model).map((o) => [o, known.get(o) ?? "exact"]));
}
function walk(g: GraphSpec, known: Map<string, Steadiness>): void {
  for (const n of g.nodes) {
    const s = ofNode(n, known);
    for (const o of n.outputs) known.set(o, s);
  }
}
function ofNode(n: NodeSpec, known: Map<string, Steadiness>): Steadiness {
  // Of what they get they read the shape, which no rounding decides about, unless it is loose.
  const inputs = worst(n.inputs.map((i) => known.get(i) ?? "exact"));
  if (shapes.has(n.op)) return inputs === "loose" ? "loose" : "exact";
  const bodies = bodiesOf(n);
  if (bodies.length > 0) return ofControl(n, bodies, inputs, known);
  if (inputs === "loose" || (inputs === "close" && !smooth.has(n.op))) return "loose";
  const accuracy = factOf.get(`${n.domain ?? ""}:${n.op}`)?.def.accuracy.kind;
  return worst([inputs, accuracy === "exact" && !rounding.has(n.op) ? "exact" : "close"]);
}
function ofControl(
  n: NodeSpec,
  bodies: readonly (readonly [string, GraphSpec])[],
  inputs: Steadiness,
  outer: ReadonlyMap<string, Steadiness>,
): Steadiness {
  const decides = n.op === "If" ? n.inputs.slice(0, 1) : n.op === "Loop" ? n.inputs.slice(0, 2) : [];
  if (decides.some((i) => (outer.get(i) ?? "exact") !== "exact")) return "loose";
  let state = inputs;
  // What one iteration gives is what the next one gets.
  for (let k = 0; k < order.length; k++) {
    const results = bodies.flatMap(([, g]) => {
      const known = new Map([...outer, ...Object.keys(g.inputs ?? {}).map((i) => [i, state] as const)]);
      walk(g, known);
      const outputs = outputsOf(g).map((o) => known.get(o) ?? "exact");
      return n.op === "Loop" && outputs[0] !== "exact" ? (["loose"] as const) : outputs;
    });
    state = worst([state, ...results]);
  }
  return state;
}
