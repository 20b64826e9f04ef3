// Which of ONNX's tests have no answer to compare with, and why: found by operator, type and attribute, never by a test's name.
import type { Tensor } from "../../src/ir/types.ts";
import { typedView } from "../../src/ir/types.ts";
import type { GraphProto, ModelProto, NodeProto } from "../../src/onnx/schema.ts";
import { type OnnxValue, readTensor } from "../../src/onnx/tensors.ts";
import { floatsOf } from "../../src/run/floats.ts";

const random: ReadonlySet<string> = new Set([
  "Bernoulli",
  "Multinomial",
  "RandomNormal",
  "RandomNormalLike",
  "RandomUniform",
  "RandomUniformLike",
]);

/**
 * Why a test is not compared, or null. `types`: of its inputs and outputs as ONNX writes them; `inputs`: the values of the graph's
 * inputs by name.
 */
export function exclusion(
  model: ModelProto,
  types: readonly string[],
  inputs: ReadonlyMap<string, OnnxValue>,
): string | null {
  if (types.some((t) => t.includes("string"))) return "strings are not numbers";
  for (const g of [model.graph!, ...model.functions]) {
    for (const n of nodesOf(g)) {
      if (n.opType === "ImageDecoder") return "image files are not decoded";
      if (random.has(n.opType)) return "the output is random by definition";
      if (n.opType === "Dropout" && dropsOut(n, model.graph!, inputs)) return "the output is random by definition";
    }
  }
  return null;
}

function* nodesOf(g: Pick<GraphProto, "node">): Generator<NodeProto> {
  for (const n of g.node) {
    yield n;
    for (const a of n.attribute) for (const body of a.g ? [a.g, ...a.graphs] : a.graphs) yield* nodesOf(body);
  }
}

/** Whether a Dropout is in training mode with a ratio other than 0: inputs 2 and 1, since opset 12. */
function dropsOut(n: NodeProto, g: GraphProto, inputs: ReadonlyMap<string, OnnxValue>): boolean {
  const inputAt = (i: number): Tensor | null => {
    const name = n.input[i] ?? "";
    const given = inputs.get(name);
    if (given?.kind === "tensor") return given.tensor;
    const stored = g.initializer.find((t) => t.name === name);
    const made = g.node.find((m) => m.opType === "Constant" && m.output[0] === name)?.attribute.find((a) => a.t)?.t;
    const proto = stored ?? made;
    return proto ? readTensor(proto, null) : null;
  };
  const mode = inputAt(2);
  const ratio = inputAt(1);
  const training = mode !== null && typedView(mode.dtype, mode.bytes)[0] !== 0;
  return training && (ratio === null || floatsOf(ratio)[0] !== 0);
}
