import { expect, test } from "vitest";
import { typedView } from "../../src/ir/types.ts";
import type { FunctionSpec, ModelSpec, NodeSpec } from "../../src/onnx/export.ts";
import { f32, importSpec, lines, ports, problems, problemTexts, scalar } from "./helpers.ts";

const node = (
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  more: Partial<NodeSpec> = {},
): NodeSpec => ({ op, inputs, outputs, ...more });
const call = (
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  more: Partial<NodeSpec> = {},
): NodeSpec => node(op, inputs, outputs, { domain: "my", ...more });
const fn = (
  name: string,
  inputs: readonly string[],
  outputs: readonly string[],
  nodes: readonly NodeSpec[],
  more: Partial<FunctionSpec> = {},
): FunctionSpec => ({ domain: "my", name, inputs, outputs, nodes, ...more });
const model = (
  nodes: readonly NodeSpec[],
  functions: readonly FunctionSpec[],
  more: Partial<ModelSpec> = {},
): ModelSpec => ({ inputs: { x: ["f32", ["N", 3]] }, outputs: ["y"], nodes, functions, ...more });

test("calls are replaced by the function's nodes, nested, with names made unique", () => {
  const twice = fn("Twice", ["a"], ["r"], [node("Add", ["a", "a"], ["t"]), node("Relu", ["t"], ["r"])]);
  const both = fn(
    "Both",
    ["a", "b"],
    ["s"],
    [call("Twice", ["a"], ["p"], { name: "in" }), call("Twice", ["b"], ["q"]), node("Mul", ["p", "q"], ["s"])],
  );
  const { graph } = importSpec(
    model(
      [call("Both", ["x", "x"], ["m"], { name: "f" }), call("Both", ["m", "x"], ["y"], { name: "f" })],
      [both, twice],
    ),
  );
  expect(lines(graph)).toEqual([
    "f/in/t = Add(x, x)",
    "f/p = Relu(f/in/t)",
    "f/q/t = Add(x, x)",
    "f/q = Relu(f/q/t)",
    "m = Mul(f/p, f/q)",
    "f/in/t.1 = Add(m, m)",
    "f/p.1 = Relu(f/in/t.1)",
    "f/q/t.1 = Add(x, x)",
    "f/q.1 = Relu(f/q/t.1)",
    "y = Mul(f/p.1, f/q.1)",
  ]);
  expect(graph.nodes[1]!.loc).toEqual({
    node: "f/in/r",
    op: "Relu",
    cause: { node: "f/in", op: "Twice", cause: { node: "f", op: "Both" } },
  });
});

test("attributes are passed on, defaulted, or left out", () => {
  const f = fn(
    "Act",
    ["a"],
    ["r"],
    [
      node("LeakyRelu", ["a"], ["t"], { attrs: { alpha: { ref: "slope" } } }),
      node("Elu", ["t"], ["u"], { attrs: { alpha: { ref: "height" } } }),
      node("Constant", [], ["c"], { attrs: { value_float: { ref: "slope" } } }),
      node("Add", ["u", "c"], ["r"]),
    ],
    { attributes: ["slope"], defaults: { height: { float: 4 } } },
  );
  const outer = fn(
    "Outer",
    ["a"],
    ["r"],
    [call("Act", ["a"], ["r"], { attrs: { slope: { ref: "s" }, height: { float: 8 } } })],
    { attributes: ["s"] },
  );
  const { graph } = importSpec(
    model(
      [
        call("Act", ["x"], ["m"], { attrs: { slope: { float: 2 } } }),
        call("Outer", ["m"], ["y"], { attrs: { s: { float: 16 } } }),
      ],
      [f, outer],
    ),
  );
  const attrs = graph.nodes.filter((n) => n.def.name === "LeakyRelu" || n.def.name === "Elu").map((n) => n.attrs);
  expect(attrs).toEqual([{ alpha: 2 }, { alpha: 4 }, { alpha: 16 }, { alpha: 8 }]);
  const constants = [...graph.values.values()].flatMap((v) =>
    v.constant ? [...typedView("f32", v.constant.bytes)] : [],
  );
  expect(constants).toEqual([2, 16]);
});

test("an output that is an input, a constant, or another output is copied under the caller's name", () => {
  const f = fn(
    "Pass",
    ["a"],
    ["a", "c", "r", "r"],
    [node("Constant", [], ["c"], { attrs: { value: scalar("f32", 1) } }), node("Relu", ["a"], ["r"])],
  );
  const { graph } = importSpec(
    model([call("Pass", ["x"], ["y", "z", "u", "v"])], [f], { outputs: ["y", "z", "u", "v"] }),
  );
  expect(ports(graph, "outputs")).toEqual(["y: f32[N, 3]", "z: f32[]", "u: f32[N, 3]", "v: f32[N, 3]"]);
  expect(lines(graph)).toEqual(["u = Relu(x)", "y = Identity(x)", "v = Identity(u)"]);
});

test("optional inputs that a call leaves out are absent inside, unwanted outputs are not named", () => {
  const f = fn(
    "Limit",
    ["a", "lo", "hi"],
    ["r", "s"],
    [node("Clip", ["a", "lo", "hi"], ["r"]), node("Relu", ["r"], ["s"])],
  );
  const { graph } = importSpec(
    model([call("Limit", ["x", "", "w"], ["", "y"], { name: "l" })], [f], { initializers: { w: scalar("f32", 6) } }),
  );
  expect(lines(graph)).toEqual(["l/r = Clip(x, -, [w])", "y = Relu(l/r)"]);
});

test("a function's opset counts inside it", () => {
  const f = fn("Old", ["a"], ["r"], [node("Softmax", ["a"], ["s"]), node("Gelu", ["s"], ["r"])], {
    opsets: { "": 17 },
  });
  const texts = problemTexts(() => importSpec(model([call("Old", ["x"], ["y"], { name: "o" })], [f])));
  expect(texts).toContain("E202 o/r: Gelu is not supported at opset 17");
});

test("an op that Ingot knows is not replaced by the model's function", () => {
  const f: FunctionSpec = {
    domain: "",
    name: "Relu",
    inputs: ["a"],
    outputs: ["r"],
    nodes: [node("Neg", ["a"], ["r"])],
  };
  expect(lines(importSpec(model([node("Relu", ["x"], ["y"])], [f])).graph)).toEqual(["y = Relu(x)"]);
});

test("problems inside a call are reported at the node inside, with the call as its cause", () => {
  const f = fn("Bad", ["a"], ["r"], [node("NoSuchOp", ["a"], ["t"], { name: "n" }), node("Relu", ["t"], ["r"])]);
  const list = problems(() =>
    importSpec(model([call("Bad", ["x"], ["m"], { name: "one" }), node("Relu", ["m"], ["y"])], [f])),
  );
  expect(list.map((d) => [d.code, d.loc])).toEqual([
    ["E201", { node: "one/n", op: "NoSuchOp", cause: { node: "one", op: "Bad" } }],
  ]);
});

test("recursion, too many outputs, undefined outputs and explosions are errors", () => {
  const texts = (functions: readonly FunctionSpec[], outputs: readonly string[] = ["y"]): string[] =>
    problemTexts(() => importSpec(model([call("F", ["x"], outputs)], functions)));
  expect(
    texts([fn("F", ["a"], ["r"], [call("G", ["a"], ["r"])]), fn("G", ["a"], ["r"], [call("F", ["a"], ["r"])])]),
  ).toEqual([expect.stringMatching(/^E105 y\/r\/r: function "F" calls itself/)]);
  expect(texts([fn("F", ["a"], ["r"], [node("Relu", ["a"], ["r"])])], ["y", "z"])).toEqual([
    expect.stringMatching(/^E105 y: function "F" has 1 outputs, not 2/),
  ]);
  expect(texts([fn("F", ["a"], ["r"], [node("Relu", ["a"], ["s"])])])).toEqual([
    expect.stringMatching(/^E105 y: nothing computes output "r"/),
  ]);
  // A function sees nothing of the graph around its call.
  expect(texts([fn("F", ["a"], ["r"], [node("Add", ["a", "x"], ["r"])])])).toEqual([
    'E105 y/r: input "x" is not defined',
  ]);
  const bomb = Array.from({ length: 30 }, (_, k) =>
    fn(
      k === 0 ? "F" : `F${k}`,
      ["a"],
      ["r"],
      k === 29 ? [node("Relu", ["a"], ["r"])] : [call(`F${k + 1}`, ["a"], ["b"]), call(`F${k + 1}`, ["b"], ["r"])],
    ),
  );
  expect(texts(bomb)).toEqual([expect.stringMatching(/^E105 .* more than 200000 nodes/)]);
  const deep = Array.from({ length: 200 }, (_, k) =>
    fn(
      k === 0 ? "F" : `F${k}`,
      ["a"],
      ["r"],
      k === 199 ? [node("Relu", ["a"], ["r"])] : [call(`F${k + 1}`, ["a"], ["r"])],
    ),
  );
  expect(texts(deep)).toEqual([expect.stringMatching(/^E105 .* nested too deeply/)]);
});

test("a constant that a function is given stays a constant inside", () => {
  const f = fn("Scale", ["a", "k"], ["r"], [node("Mul", ["a", "k"], ["r"])]);
  expect(
    lines(
      importSpec(model([call("Scale", ["x", "w"], ["y"])], [f], { initializers: { w: f32([3], [1, 2, 3]) } })).graph,
    ),
  ).toEqual(["y = Mul(x, [w])"]);
});

test("many calls of one name get names in time", () => {
  const f = fn("F", ["a"], ["r"], [node("Relu", ["a"], ["t"]), node("Relu", ["t"], ["r"])]);
  const calls = Array.from({ length: 20000 }, (_, k) => call("F", ["x"], [k === 0 ? "y" : `v${k}`], { name: "same" }));
  const start = performance.now();
  const { graph } = importSpec(model(calls, [f]));
  expect(performance.now() - start).toBeLessThan(5000);
  expect(new Set([...graph.values.values()].map((v) => v.name)).size).toBe(graph.values.size);
});
