// Runs graphs and models through the interpreter: import, expansion, lowering to T, and nothing more.

import { expand } from "../../passes/graph/expand.ts";
import { toTe } from "../../passes/te/to-te.ts";
import type { Graph } from "../../src/ir/graph.ts";
import type { DType, Tensor } from "../../src/ir/types.ts";
import { importModel } from "../../src/onnx/import.ts";
import { readModel } from "../../src/onnx/proto.ts";
import type { ModelProto } from "../../src/onnx/schema.ts";
import { writeTensor } from "../../src/onnx/tensors.ts";
import { writeModel } from "../../src/onnx/write.ts";
import { OpTable } from "../../src/ops/index.ts";
import { Interpreter } from "./interpret.ts";
import type { Scalar } from "./scalars.ts";

export type Result = { readonly dims: readonly number[]; readonly data: readonly Scalar[]; readonly dtype: DType };

export function runGraph(g: Graph, inputs: readonly Tensor[], seed = 0): Result[] {
  return new Interpreter(toTe(expand(g))).run(inputs, seed);
}
/**
 * static: as the file says. symbolic: every dim of every input a symbol. constant: integer inputs are constants, as in real models,
 * where axes and shapes are known. both: the last two together.
 */
export type Mode = "static" | "symbolic" | "constant" | "both";
export function runModel(bytes: Uint8Array, inputs: readonly Tensor[], mode: Mode): Result[] {
  const changed = changedModel(bytes, inputs, mode);
  return runGraph(importModel(changed.bytes, { ops: new OpTable() }).graph, changed.keep);
}
/** The model as a mode has it, and the inputs that are left. */
export function changedModel(
  bytes: Uint8Array,
  inputs: readonly Tensor[],
  mode: Mode,
): { readonly bytes: Uint8Array; readonly keep: readonly Tensor[] } {
  const model = readModel(bytes);
  const keep: Tensor[] = [];
  const initializers = new Set(model.graph!.initializer.map((t) => t.name));
  const own = model.graph!.input.filter((i) => !initializers.has(i.name));
  const constants = own.flatMap((v, k) => {
    const t = inputs[k]!;
    const bake = (mode === "constant" || mode === "both") && isIndexLike(t);
    if (!bake) keep.push(t);
    return bake ? [writeTensor(t, v.name)] : [];
  });
  const baked = new Set(constants.map((t) => t.name));
  const rest = own
    .filter((i) => !baked.has(i.name))
    .map((v) => {
      const tensor = v.type?.tensor;
      if (!tensor?.shape || mode === "static" || mode === "constant") return v;
      return {
        ...v,
        type: {
          ...v.type!,
          tensor: {
            ...tensor,
            shape: { ...tensor.shape, dim: tensor.shape.dim.map((d) => ({ ...d, value: null, param: "" })) },
          },
        },
      };
    });
  const changed: ModelProto = {
    ...model,
    graph: { ...model.graph!, input: rest, initializer: [...model.graph!.initializer, ...constants] },
  };
  return { bytes: writeModel(changed), keep };
}
function isIndexLike(t: Tensor): boolean {
  return t.dtype === "i64" || t.dtype === "i32" || t.dtype === "bool" || (t.dims.length <= 1 && t.bytes.length <= 64);
}
