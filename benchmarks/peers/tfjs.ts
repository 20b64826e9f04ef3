// TensorFlow.js on WebAssembly as a contender, for single products and convolutions: OP INPUTS.npz. It runs no ONNX, so the node is
// written in its own functions, in its own layout (channels last); each run takes the input from JavaScript and gives the output back.
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { UnavailableError } from "../../src/base/diagnostics.ts";
import { type Tensor, typedView } from "../../src/ir/types.ts";
import { peersFolder } from "../../src/run/peers.ts";
import { ops } from "../ops.ts";
import { inputsOf, serve } from "./serve.ts";

/** The part of TensorFlow.js that is used here. */
type TfTensor = { dataSync(): Float32Array; dispose(): void };
type Tf = {
  readonly version_core: string;
  setBackend(name: string): Promise<boolean>;
  tensor(data: Float32Array, shape: readonly number[], dtype: "float32"): TfTensor;
  readonly fused: Record<"matMul" | "conv2d" | "depthwiseConv2d", (x: object) => TfTensor>;
};
type Wasm = { setWasmPaths(folder: string): void; setThreadsCount(n: number): void };

const [name, npz] = process.argv.slice(2) as [string, string];
const spec = ops.find((o) => o.name === name)!.model();
const x = Object.values(inputsOf(npz))[0]!;

const numbers = (t: Tensor): Float32Array => typedView("f32", t.bytes) as Float32Array;
/** The same tensor with its axes in this order. */
function transposed(t: Tensor, order: readonly number[]): { readonly data: Float32Array; readonly dims: number[] } {
  const dims = order.map((a) => t.dims[a]!);
  const strides = order.map((a) => t.dims.slice(a + 1).reduce((p, d) => p * d, 1));
  const from = numbers(t);
  const data = Float32Array.from(from, (_, i) => {
    let [rest, at] = [i, 0];
    for (let a = dims.length - 1; a >= 0; a--) {
      at += (rest % dims[a]!) * strides[a]!;
      rest = Math.floor(rest / dims[a]!);
    }
    return from[at]!;
  });
  return { data, dims };
}

await serve(async () => {
  const require = createRequire(join(peersFolder(), "package.json"));
  const load = async <T>(p: string): Promise<T> => (await import(pathToFileURL(require.resolve(p)).href)) as T;
  const tf = await load<Tf>("@tensorflow/tfjs-core");
  const wasm = await load<Wasm>("@tensorflow/tfjs-backend-wasm");
  wasm.setWasmPaths(`${dirname(require.resolve("@tensorflow/tfjs-backend-wasm"))}/`);
  wasm.setThreadsCount(1);
  if (!(await tf.setBackend("wasm"))) throw new UnavailableError("tfjs has no wasm backend here");

  const constant = (t: Tensor, order: readonly number[] | null = null): TfTensor => {
    const { data, dims } = order ? transposed(t, order) : { data: numbers(t), dims: t.dims };
    return tf.tensor(data, dims, "float32");
  };
  const { w, b } = spec.initializers as Record<string, Tensor>;
  const bias = b ? constant(b) : undefined;
  const node = spec.nodes[0]!;
  let feed: { readonly data: Float32Array; readonly dims: readonly number[] };
  let apply: (x: TfTensor) => TfTensor;
  if (node.op === "Conv") {
    const { group, strides, pads } = node.attrs as { group: number; strides: number[]; pads: number[] };
    feed = transposed(x, [0, 2, 3, 1]);
    const filter = constant(w!, group === 1 ? [2, 3, 1, 0] : [2, 3, 0, 1]);
    const conv = group === 1 ? tf.fused.conv2d : tf.fused.depthwiseConv2d;
    apply = (x) => conv({ x, filter, strides: strides[0], pad: pads[0], bias, activation: "relu" });
  } else {
    feed = { data: numbers(x), dims: x.dims };
    const weights = constant(w!);
    apply = (a) => tf.fused.matMul({ a, b: weights, bias });
  }
  return {
    version: tf.version_core,
    run: () => {
      const input = tf.tensor(feed.data, feed.dims, "float32");
      const output = apply(input);
      const data = output.dataSync();
      input.dispose();
      output.dispose();
      return data;
    },
    outputs: (data) => [data as Float32Array],
  };
});
