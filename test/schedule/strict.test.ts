// Strict math: wasm, C and JavaScript give the same bits, whatever their vectors.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { expand } from "../../passes/graph/expand.ts";
import { frontEnd, lowerFor } from "../../src/compile.ts";
import type { Graph } from "../../src/ir/graph.ts";
import type { TargetInfo } from "../../src/ir/target.ts";
import { typedView } from "../../src/ir/types.ts";
import { cInfo } from "../../targets/c/index.ts";
import { need } from "../need.ts";
import { infos, runOn, type TargetName, type Tensors } from "../proofs/targets.ts";
import { Builder, dataFor, Random, type Sizes } from "./build.ts";

type Net = { readonly name: string; readonly graph: Graph; readonly runs: readonly Tensors[] };
function net(name: string, build: (b: Builder) => void, sizes: readonly Sizes[], fixed: boolean): Net {
  const b = new Builder(3, fixed ? sizes[0]! : null);
  build(b);
  const runs = (fixed ? sizes.slice(0, 1) : sizes).map((z, k) => dataFor(b, z, k));
  return { name: `${name}, ${fixed ? "fixed" : "symbolic"}`, graph: expand(b.finish()), runs };
}
function digits(): Net {
  const bytes = new Uint8Array(readFileSync(new URL("../../examples/digits/digits.onnx", import.meta.url)));
  const { graph } = frontEnd(bytes, { name: "digits" });
  return { name: "digits", graph, runs: [1, 5].map((n) => ({ image: new Random(n).tensor("f32", [n, 1, 8, 8]) })) };
}
/** Convolutions of all kinds, pools, a residual, a Concat, a mean. */
function convolutions(b: Builder): void {
  const conv = (
    x: Parameters<Builder["op"]>[1][number],
    w: readonly number[],
    attrs: Record<string, number | readonly number[]>,
  ) => b.op("Conv", [x, b.constant(w), b.constant([w[0]!])], attrs);
  const x = b.op("Relu", [conv(b.input(["N", 3, "H", 13]), [10, 3, 5, 5], { strides: [2, 2], pads: [2, 2, 2, 2] })]);
  const h = b.op("HardSwish", [conv(x, [10, 1, 3, 3], { pads: [1, 1, 1, 1], group: 10 })]);
  const y = b.op("Add", [x, conv(h, [10, 10, 1, 1], {})]);
  const p = b.op("AveragePool", [y], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] });
  const joined = b.op("Concat", [y, b.op("Sigmoid", [p])], { axis: 1 });
  const t = b.op("ConvTranspose", [joined, b.constant([20, 6, 3, 3])], { strides: [2, 2] });
  b.output(b.op("GlobalAveragePool", [t]), b.op("ReduceSum", [t, b.ints([1, 3])], { keepdims: 0 }));
}
/** One block of a transformer. */
function transformer(b: Builder): void {
  const norm = (x: Parameters<Builder["op"]>[1][number]) =>
    b.op("LayerNormalization", [x, b.constant([24]), b.constant([24])]);
  const x = b.input(["B", "T", 24]);
  const project = (n: number) => {
    const y = b.op("Add", [b.op("MatMul", [norm(x), b.constant([24, 24])]), b.constant([24])]);
    return b.op("Transpose", [b.op("Reshape", [y, b.ints([0, -1, 3, 8])])], {
      perm: n === 1 ? [0, 2, 3, 1] : [0, 2, 1, 3],
    });
  };
  const scores = b.op("Mul", [b.op("MatMul", [project(0), project(1)]), b.scalar(0.35)]);
  const mixed = b.op("MatMul", [b.op("Softmax", [scores]), project(2)]);
  const y = b.op("Add", [
    x,
    b.op("Reshape", [b.op("Transpose", [mixed], { perm: [0, 2, 1, 3] }), b.ints([0, -1, 24])]),
  ]);
  const h = b.op("Gelu", [b.op("MatMul", [norm(y), b.constant([24, 40])])]);
  b.output(b.op("Add", [y, b.op("MatMul", [h, b.constant([40, 24])])]), b.op("ReduceLogSumExp", [h, b.ints([2])]));
}
const images = [
  { N: 2, H: 11 },
  { N: 1, H: 8 },
  { N: 3, H: 33 },
];
const texts = [
  { B: 2, T: 9 },
  { B: 1, T: 1 },
  { B: 1, T: 33 },
];
const nets: readonly Net[] = [
  digits(),
  ...[true, false].flatMap((fixed) => [
    net("convolutions", convolutions, images, fixed),
    net("transformer", transformer, texts, fixed),
  ]),
];

const others: readonly (readonly [string, TargetName, TargetInfo])[] = [
  ["wasm", "wasm", infos.wasm],
  ["wasm without vectors", "wasm", { ...infos.wasm, vectorBytes: 4 }],
  ["C", "c", infos.c],
  ["C with 8 lanes", "c", cInfo("avx2")],
];
const run = (target: TargetName, info: TargetInfo): Promise<(readonly Tensors[])[]> =>
  runOn(
    target,
    nets.map(({ graph, runs }) => ({ program: lowerFor(graph, info, { strict: true }), runs })),
    { strict: true },
  );
/** Bits as text; every NaN is one. */
function bits(x: Tensors[string]): string {
  const view = typedView(x.dtype, x.bytes);
  return [x.dtype, x.dims, ...Array.from(view as ArrayLike<number>, (v) => (Object.is(v, -0) ? "-0" : v))].join(" ");
}
const expected = await run("js", infos.js);
const cc = need("cc");

describe.each(others)("the bits of JavaScript on %s", (_name, target, info) => {
  test.skipIf(target === "c" && !cc)("on every net", async () => {
    const got = await run(target, info);
    const wrong = nets.flatMap(({ name, runs }, n) =>
      runs.flatMap((_, k) =>
        Object.entries(expected[n]![k]!).flatMap(([out, x]) =>
          bits(got[n]![k]![out]!) === bits(x) ? [] : [`${name}, run ${k}: ${out}`],
        ),
      ),
    );
    expect(wrong).toEqual([]);
  });
});
test("results are no constants", () => {
  for (const [n, { name }] of nets.entries())
    for (const outputs of expected[n]!)
      for (const x of Object.values(outputs)) {
        const values = new Set(typedView(x.dtype, x.bytes) as unknown as Iterable<number>);
        expect([name, values.size > 1 || x.bytes.length <= 4, [...values].every(Number.isFinite)]).toEqual([
          name,
          true,
          true,
        ]);
      }
});
