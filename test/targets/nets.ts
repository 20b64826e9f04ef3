// Nets with enough work for wide tiles and for threads to share: with fixed dims, and with symbols that the runs bind.
import { expand } from "../../passes/graph/expand.ts";
import type { ValueId } from "../../src/base/brand.ts";
import type { Graph } from "../../src/ir/graph.ts";
import type { Tensors } from "../proofs/targets.ts";
import { Builder, dataFor, type Sizes } from "../schedule/build.ts";

export type Net = { readonly name: string; readonly graph: Graph; readonly runs: readonly Tensors[] };

/** Convolutions of all kinds, pools, a residual, a Concat, a resize. */
function image(b: Builder): void {
  const conv = (x: ValueId, w: readonly number[], attrs: Record<string, number | readonly number[]>): ValueId =>
    b.op("Conv", [x, b.constant(w), b.constant([w[0]!])], attrs);
  const same = { pads: [1, 1, 1, 1] };
  const first = conv(b.input(["N", 3, "H", 61]), [40, 3, 5, 5], { strides: [2, 2], pads: [2, 2, 2, 2] });
  const x = b.op("Relu", [first]);
  const deep = conv(x, [40, 1, 3, 3], { ...same, group: 40 });
  const y = b.op("Add", [x, conv(b.op("HardSwish", [deep]), [40, 40, 1, 1], {})]);
  const wide = b.op("Relu", [conv(y, [23, 40, 3, 3], same)]);
  const pool = b.op("MaxPool", [y], { kernel_shape: [3, 3], ...same });
  const joined = b.op("Concat", [wide, b.op("Sigmoid", [pool])], { axis: 1 });
  const up = b.op("ConvTranspose", [joined, b.constant([63, 8, 3, 3])], { strides: [2, 2] });
  const big = b.op("Resize", [up, null, b.floats([1, 1, 2, 2])], { mode: "linear" });
  const soft = b.op("Softmax", [b.op("Mul", [up, b.scalar(0.02)])], { axis: 1 });
  b.output(b.op("GlobalAveragePool", [joined]), big, soft);
}
/** One block of a transformer, and the best of each row. */
function text(b: Builder): void {
  const width = 72;
  const norm = (x: ValueId): ValueId => b.op("LayerNormalization", [x, b.constant([width]), b.constant([width])]);
  const x = b.input(["B", "T", width]);
  const project = (perm: readonly number[]): ValueId => {
    const y = b.op("Add", [b.op("MatMul", [norm(x), b.constant([width, width])]), b.constant([width])]);
    return b.op("Transpose", [b.op("Reshape", [y, b.ints([0, -1, 3, 24])])], { perm });
  };
  const scores = b.op("Mul", [b.op("MatMul", [project([0, 2, 1, 3]), project([0, 2, 3, 1])]), b.scalar(0.2)]);
  const mixed = b.op("MatMul", [b.op("Softmax", [scores]), project([0, 2, 1, 3])]);
  const flat = b.op("Reshape", [b.op("Transpose", [mixed], { perm: [0, 2, 1, 3] }), b.ints([0, -1, width])]);
  const y = b.op("Add", [x, flat]);
  const h = b.op("Gelu", [b.op("MatMul", [norm(y), b.constant([width, 100])])]);
  const z = b.op("Add", [y, b.op("MatMul", [h, b.constant([100, width])])]);
  const [best, places] = b.ops("TopK", [z, b.ints([5])], {}, 2);
  b.output(z, best!, places!, b.op("ReduceLogSumExp", [h, b.ints([2])]), b.op("CumSum", [z, b.scalar(1, "i64")]));
}

function net(name: string, build: (b: Builder) => void, sizes: readonly Sizes[], fixed: boolean): Net {
  const b = new Builder(3, fixed ? sizes[0]! : null);
  build(b);
  const runs = (fixed ? sizes.slice(0, 1) : sizes).map((z, k) => dataFor(b, z, k));
  return { name: `${name}, ${fixed ? "fixed" : "symbolic"}`, graph: expand(b.finish()), runs };
}
const images = [
  { N: 2, H: 45 },
  { N: 1, H: 9 },
  { N: 1, H: 64 },
];
const texts = [
  { B: 2, T: 70 },
  { B: 1, T: 1 },
  { B: 3, T: 33 },
];
export const nets: readonly Net[] = [true, false].flatMap((fixed) => [
  net("image", image, images, fixed),
  net("text", text, texts, fixed),
]);
