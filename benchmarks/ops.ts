// The single operators that are measured, with seeded random weights.
import * as D from "../src/ir/dim.ts";
import type { Tensor } from "../src/ir/types.ts";
import type { AttrSpec, ModelSpec } from "../src/onnx/export.ts";
import type { Tensors } from "../src/run/ports.ts";
import { randomInputs } from "../src/run/random.ts";

export type Op = { readonly name: string; readonly about: string; readonly model: () => ModelSpec };

/** Near normal numbers of mean 0 and this deviation. */
function normal(dims: readonly number[], seed: number, deviation: number): Tensor {
  const port = { name: "x", dtype: "f32" as const, shape: dims.map(D.int) };
  const t = randomInputs({ inputs: [port], outputs: [], symbols: [], lists: { inputs: [], outputs: [] } }, seed)["x"]!;
  const cells = new Float32Array(t.bytes.buffer, t.bytes.byteOffset, t.bytes.length / 4);
  cells.forEach((x, i) => {
    cells[i] = x * deviation;
  });
  return t;
}
/** The inputs of a run, by name. */
export function opInputs(m: ModelSpec): Tensors {
  return Object.fromEntries(
    Object.entries(m.inputs ?? {}).map(([name, type], i) => {
      if (!Array.isArray(type)) throw new Error(`${name} is no tensor`);
      return [name, normal(type[1] as number[], 1000 + i, 1)];
    }),
  );
}

/** One node that reads x [dims] and these weights, and what follows it; y has dims `out`. */
function model(
  dims: readonly number[],
  out: readonly number[],
  op: string,
  initializers: Readonly<Record<string, Tensor>> = {},
  attrs: Readonly<Record<string, AttrSpec>> = {},
  then: { readonly op: string; readonly inputs: readonly string[] } | null = null,
): ModelSpec {
  const rest = Object.keys(initializers).filter((n) => !then?.inputs.includes(n));
  const first = { op, inputs: ["x", ...rest], outputs: [then ? "h" : "y"], attrs };
  return {
    opsets: { "": 20 },
    irVersion: 9,
    inputs: { x: ["f32", dims] },
    outputs: { y: ["f32", out] },
    initializers,
    nodes: then ? [first, { op: then.op, inputs: ["h", ...then.inputs], outputs: ["y"] }] : [first],
  };
}

type ConvShape = {
  readonly from: number;
  readonly to: number;
  /** Height and width of the input. */
  readonly size: number;
  readonly kernel: number;
  readonly stride?: number;
  readonly group?: number;
};
function conv({ from, to, size, kernel, stride = 1, group = 1 }: ConvShape): ModelSpec {
  const pad = (kernel - 1) / 2;
  const outSize = Math.floor((size + 2 * pad - kernel) / stride) + 1;
  const fanIn = (from / group) * kernel * kernel;
  return model(
    [1, from, size, size],
    [1, to, outSize, outSize],
    "Conv",
    { w: normal([to, from / group, kernel, kernel], 1, Math.sqrt(2 / fanIn)), b: normal([to], 2, 0.1) },
    { kernel_shape: [kernel, kernel], pads: [pad, pad, pad, pad], strides: [stride, stride], group },
    { op: "Relu", inputs: [] },
  );
}
/** m x k times a constant k x n. */
function matmul(m: number, k: number, n: number, bias: boolean): ModelSpec {
  const w = normal([k, n], 1, 1 / Math.sqrt(k));
  if (!bias) return model([m, k], [m, n], "MatMul", { w });
  return model([m, k], [m, n], "MatMul", { w, b: normal([n], 2, 0.1) }, {}, { op: "Add", inputs: ["b"] });
}

export const ops: readonly Op[] = [
  { name: "matmul-512", about: "MatMul 512x512x512", model: () => matmul(512, 512, 512, false) },
  {
    name: "conv3x3-64",
    about: "Conv 3x3 64->64 56x56 + Relu",
    model: () => conv({ from: 64, to: 64, size: 56, kernel: 3 }),
  },
  {
    name: "conv1x1-256",
    about: "Conv 1x1 256->256 28x28 + Relu",
    model: () => conv({ from: 256, to: 256, size: 28, kernel: 1 }),
  },
  {
    name: "conv3x3-512",
    about: "Conv 3x3 512->512 7x7 + Relu",
    model: () => conv({ from: 512, to: 512, size: 7, kernel: 3 }),
  },
  {
    name: "conv7x7-s2",
    about: "Conv 7x7 s2 3->64 224x224 + Relu",
    model: () => conv({ from: 3, to: 64, size: 224, kernel: 7, stride: 2 }),
  },
  {
    name: "depthwise3x3-144",
    about: "depthwise 3x3 144 56x56 + Relu",
    model: () => conv({ from: 144, to: 144, size: 56, kernel: 3, group: 144 }),
  },
  { name: "matmul-bias", about: "MatMul 128x384x1536 + bias", model: () => matmul(128, 384, 1536, true) },
  {
    name: "gemm-1",
    about: "Gemm 1x1024x1000",
    model: () => model([1, 1024], [1, 1000], "Gemm", { w: normal([1024, 1000], 1, 1 / 32), b: normal([1000], 2, 0.1) }),
  },
  {
    name: "softmax",
    about: "Softmax 12x128x128",
    model: () => model([12, 128, 128], [12, 128, 128], "Softmax", {}, { axis: -1 }),
  },
  { name: "gelu", about: "Gelu (erf) 128x1536", model: () => model([128, 1536], [128, 1536], "Gelu") },
  {
    name: "layernorm",
    about: "LayerNormalization 128x384",
    model: () =>
      model(
        [128, 384],
        [128, 384],
        "LayerNormalization",
        { scale: normal([384], 1, 1), bias: normal([384], 2, 0.1) },
        { axis: -1, epsilon: { float: 1e-5 } },
      ),
  },
];
