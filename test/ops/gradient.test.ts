// Gradient: each rule against differences of the function itself, and what a model may ask for.
import { describe, expect, test } from "vitest";
import { type Tensor, tensorOf } from "../../src/ir/types.ts";
import { type ModelSpec, modelBytes, type NodeSpec } from "../../src/onnx/export.ts";
import { importModel } from "../../src/onnx/import.ts";
import { OpTable } from "../../src/ops/index.ts";
import { runGraph } from "./run.ts";

const opsets = { "": 18, "ai.onnx.preview.training": 1 };
const f64 = (dims: readonly number[], values: readonly number[]): Tensor => tensorOf("f64", dims, values);
const gradient = (
  xs: readonly string[],
  y: string,
  outputs: readonly string[],
  more: Partial<NodeSpec> = {},
): NodeSpec => ({
  op: "Gradient",
  domain: "ai.onnx.preview.training",
  inputs: xs,
  outputs,
  attrs: { xs, y },
  ...more,
});
function outputs(spec: ModelSpec, inputs: readonly Tensor[]): readonly (readonly number[])[] {
  const { graph } = importModel(modelBytes({ opsets, ...spec }), { ops: new OpTable() });
  return runGraph(graph, inputs).map((r) => r.data.map(Number));
}

/** Numbers away from where functions have kinks. */
const numbers = (n: number, k: number): number[] =>
  Array.from({ length: n }, (_, i) => 0.3 + ((i * 7 + k * 3) % 11) / 9);

type Case = {
  readonly name: string;
  readonly nodes: readonly NodeSpec[];
  readonly dims: readonly (readonly number[])[];
  readonly constants?: { readonly [name: string]: Tensor };
};
const node = (op: string, inputs: readonly string[], attrs: NodeSpec["attrs"] = {}, out = "f"): NodeSpec => ({
  op,
  inputs,
  outputs: [out],
  attrs,
});
const unary = [
  "Neg",
  "Abs",
  "Exp",
  "Log",
  "Sqrt",
  "Reciprocal",
  "Sin",
  "Cos",
  "Tanh",
  "Sigmoid",
  "Softplus",
  "Erf",
  "Relu",
  "Identity",
];
const i64 = (...v: readonly number[]): Tensor => tensorOf("i64", [v.length], v);
const cases: readonly Case[] = [
  ...unary.map((op) => ({ name: op, nodes: [node(op, ["a"])], dims: [[2, 3]] })),
  ...["Add", "Sub", "Mul", "Div", "Pow"].map((op) => ({
    name: `${op}, broadcast`,
    nodes: [node(op, ["a", "b"])],
    dims: [
      [2, 1, 3],
      [4, 1],
    ],
  })),
  { name: "Sum", nodes: [node("Sum", ["a", "b", "a"])], dims: [[3], [2, 3]] },
  {
    name: "Where",
    nodes: [node("Where", ["c", "a", "b"])],
    dims: [[3], [2, 1]],
    constants: { c: tensorOf("bool", [3], [1, 0, 1]) },
  },
  {
    name: "MatMul",
    nodes: [node("MatMul", ["a", "b"])],
    dims: [
      [2, 1, 3, 4],
      [5, 4, 2],
    ],
  },
  {
    name: "Gemm",
    nodes: [node("Gemm", ["a", "b", "c"], { alpha: { float: 0.5 }, beta: { float: 2 }, transA: 1 })],
    dims: [[4, 3], [4, 2], [2]],
  },
  {
    name: "Gemm, the second transposed",
    nodes: [node("Gemm", ["a", "b"], { transB: 1 })],
    dims: [
      [3, 4],
      [2, 4],
    ],
  },
  { name: "Transpose", nodes: [node("Transpose", ["a"], { perm: [2, 0, 1] })], dims: [[2, 3, 4]] },
  { name: "Reshape", nodes: [node("Reshape", ["a", "s"])], dims: [[2, 6]], constants: { s: i64(3, -1) } },
  { name: "Expand", nodes: [node("Expand", ["a", "s"])], dims: [[2, 1]], constants: { s: i64(3, 2, 4) } },
  {
    name: "ReduceSum",
    nodes: [node("ReduceSum", ["a", "s"], { keepdims: 0 })],
    dims: [[2, 3, 4]],
    constants: { s: i64(-2) },
  },
  { name: "ReduceMean", nodes: [node("ReduceMean", ["a"])], dims: [[2, 3]] },
  {
    name: "Concat",
    nodes: [node("Concat", ["a", "b", "a"], { axis: -1 })],
    dims: [
      [2, 3],
      [2, 1],
    ],
  },
  {
    name: "Split, of which a part is not used",
    nodes: [{ op: "Split", inputs: ["a", "s"], outputs: ["p", "q"], attrs: { axis: 1 } }, node("Mul", ["q", "q"])],
    dims: [[2, 4]],
    constants: { s: i64(1, 3) },
  },
  { name: "Softmax", nodes: [node("Softmax", ["a"], { axis: 0 })], dims: [[3, 2]] },
  { name: "LogSoftmax", nodes: [node("LogSoftmax", ["a"])], dims: [[2, 3]] },
];

describe("rules, against differences", () => {
  test.each(cases)("$name", ({ nodes, dims, constants }) => {
    const names = ["a", "b", "c"].filter((name, k) => k < dims.length && !constants?.[name]);
    // A weight of its own for each element of the result: rules that lose track of one show.
    const spec = (more: readonly NodeSpec[], wanted: readonly string[]): ModelSpec => ({
      inputs: Object.fromEntries(names.map((name, k) => [name, ["f64", dims[k]!] as const])),
      outputs: wanted,
      nodes: [
        ...nodes,
        node("Sin", ["f"], {}, "s1"),
        node("Mul", ["s1", "f"], {}, "s2"),
        node("ReduceSum", ["s2"], { keepdims: 0 }, "y"),
        ...more,
      ],
      initializers: constants ?? {},
    });
    const x = names.map((_, k) =>
      numbers(
        dims[k]!.reduce((p, q) => p * q, 1),
        k,
      ),
    );
    const at = (values: readonly (readonly number[])[]): Tensor[] => values.map((v, k) => f64(dims[k]!, v));
    const wanted = names.map((name) => `d${name}`);
    const found = outputs(spec([gradient(names, "y", wanted)], wanted), at(x));
    const y = (values: readonly (readonly number[])[]): number => outputs(spec([], ["y"]), at(values))[0]![0]!;
    const h = 1e-5;
    names.forEach((_, k) => {
      const moved = (i: number, by: number): number =>
        y(x.map((v, j) => (j === k ? v.map((e, m) => (m === i ? e + by : e)) : v)));
      const expected = x[k]!.map((_e, i) => (moved(i, h) - moved(i, -h)) / (2 * h));
      expect(found[k]!.length).toBe(expected.length);
      for (const [i, e] of expected.entries()) expect(found[k]![i]).toBeCloseTo(e, 6);
    });
  });
});

describe("what is asked for", () => {
  const cube: readonly NodeSpec[] = [node("Mul", ["x", "x"], {}, "h"), node("Mul", ["h", "x"], {}, "y")];
  const inputs = { x: ["f64", [2]] as const, x1: ["f64", [2]] as const };
  const x = f64([2], [2, 3]);
  const x1 = f64([2], [10, 20]);
  test("by a value in between, elsewhere than at the model's own values, and twice", () => {
    const at = (
      xs: readonly string[],
      y: string,
      given: readonly string[],
      out: string,
      zs: readonly string[] = [],
    ): NodeSpec => gradient(xs, y, [out], { inputs: given, attrs: zs.length > 0 ? { xs, zs, y } : { xs, y } });
    const got = outputs(
      {
        inputs,
        outputs: ["dh", "there", "second", "none"],
        nodes: [
          ...cube,
          at(["h"], "y", ["h", "x"], "dh", ["x"]),
          at(["x"], "y", ["x1"], "there"),
          at(["x"], "y", ["x"], "first"),
          at(["x"], "first", ["x"], "second"),
          at(["x1"], "y", ["x1"], "none"),
        ],
      },
      [x, x1],
    );
    expect(got).toEqual([
      [2, 3],
      [300, 1200],
      [12, 18],
      [0, 0],
    ]);
  });
  test("an operator without a rule, and a name that is no value, are refused", () => {
    const spec =
      (nodes: readonly NodeSpec[]): (() => unknown) =>
      () =>
        outputs({ inputs, outputs: ["dx"], nodes }, [x, x1]);
    expect(spec([node("Floor", ["x"]), gradient(["x"], "f", ["dx"])])).toThrow(/E204.*Gradient has no rule for Floor/);
    expect(spec([gradient(["x"], "nothing", ["dx"])])).toThrow(/E204.*"nothing" is no value here/);
  });
});
