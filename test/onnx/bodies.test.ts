import { expect, test } from "vitest";
import type { Graph } from "../../src/ir/graph.ts";
import type { GraphSpec, ModelSpec, NodeSpec } from "../../src/onnx/export.ts";
import { f32, importSpec, lines, ports, problemTexts } from "./helpers.ts";

const node = (
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  more: Partial<NodeSpec> = {},
): NodeSpec => ({ op, inputs, outputs, ...more });
const choose = (
  cond: string,
  outputs: readonly string[],
  left: GraphSpec,
  right: GraphSpec,
  more: Partial<NodeSpec> = {},
): NodeSpec =>
  node("Choose", [cond], outputs, {
    domain: "test",
    attrs: { right: { graph: right }, left: { graph: left } },
    ...more,
  });
const repeat = (inputs: readonly string[], outputs: readonly string[], body: GraphSpec): NodeSpec =>
  node("Repeat", inputs, outputs, { domain: "test", attrs: { body: { graph: body } } });
const body = (nodes: readonly NodeSpec[], outputs: readonly string[], more: Partial<GraphSpec> = {}): GraphSpec => ({
  nodes,
  outputs,
  ...more,
});
const model = (nodes: readonly NodeSpec[], more: Partial<ModelSpec> = {}): ModelSpec => ({
  inputs: { c: ["bool", []], x: ["f32", ["N", 3]], z: ["f32", ["N", 3]] },
  outputs: ["y"],
  nodes,
  ...more,
});
const bodies = (g: Graph, k = 0): readonly Graph[] => (g.nodes[k]!.attrs as { bodies: readonly Graph[] }).bodies;

test("captured values become extra inputs in the order of first use, constants are copied in", () => {
  const left = body(
    [node("Add", ["z", "x"], ["t"]), node("Mul", ["t", "w"], ["u"]), node("Add", ["u", "z"], ["v"])],
    ["v"],
  );
  const right = body([node("Relu", ["x"], ["t"])], ["t"]);
  const { graph } = importSpec(model([choose("c", ["y"], left, right)], { initializers: { w: f32([3], [1, 2, 3]) } }));
  expect(lines(graph)).toEqual(["y = Choose(c, z, x, x)"]);
  const [l, r] = bodies(graph);
  expect([ports(l!, "inputs"), lines(l!)]).toEqual([
    ["z: f32[N, 3]", "x: f32[N, 3]"],
    ["t = Add(z, x)", "u = Mul(t, [w])", "v = Add(u, z)"],
  ]);
  expect([ports(r!, "inputs"), lines(r!)]).toEqual([["x: f32[N, 3]"], ["t = Relu(x)"]]);
  expect(l!.symbols.map((s) => s.id)).toContain("N");
});

test("captures go through nested bodies", () => {
  const inner = body([node("Add", ["x", "m"], ["i"])], ["i"]);
  const left = body([node("Relu", ["z"], ["m"]), choose("c", ["o"], inner, inner)], ["o"]);
  const right = body([], ["x"]);
  const { graph } = importSpec(model([choose("c", ["y"], left, right)]));
  expect(lines(graph)).toEqual(["y = Choose(c, z, c, x, x)"]);
  const [l, r] = bodies(graph);
  expect(lines(l!)).toEqual(["m = Relu(z)", "o = Choose(c, x, m, x, m)"]);
  expect(lines(bodies(l!, 1)[0]!)).toEqual(["i = Add(x, m)"]);
  expect(ports(r!, "outputs")).toEqual(["x: f32[N, 3]"]);
});

test("a body's names hide those outside, and nodes move in front of bodies that need them", () => {
  const left = body([node("Relu", ["z"], ["a"])], ["a"]);
  const right = body([node("Neg", ["late"], ["a"])], ["a"]);
  const { graph } = importSpec(
    model([
      choose("c", ["t"], left, right),
      node("Relu", ["x"], ["late"]),
      node("Relu", ["x"], ["a"]),
      node("Add", ["t", "a"], ["y"]),
    ]),
  );
  expect(lines(graph)).toEqual(["late = Relu(x)", "t = Choose(c, z, late)", "a = Relu(x)", "y = Add(t, a)"]);
});

test("carried dims that change become symbols, and the body is imported again", () => {
  const step: GraphSpec = body(
    [node("Concat", ["s", "x"], ["s2"], { attrs: { axis: 0 } }), node("Relu", ["k"], ["k2"])],
    ["go", "s2", "k2"],
    { inputs: { go: ["bool", []], s: ["f32", null], k: ["f32", null] } },
  );
  const { graph } = importSpec(model([repeat(["c", "x", "z"], ["y", "k"], step)], { outputs: ["y", "k"] }));
  const [b] = bodies(graph);
  expect(ports(b!, "inputs")).toEqual(["go: bool[]", "s: f32[$carried.0, 3]", "k: f32[N, 3]", "x: f32[N, 3]"]);
  expect(ports(b!, "outputs")).toEqual(["go: bool[]", "s2: f32[$carried.0 + N, 3]", "k2: f32[N, 3]"]);
  expect(b!.symbols.map((s) => [s.id, s.min, s.max, s.def])).toEqual([
    ["N", 1, null, null],
    ["$carried.0", 0, null, "data"],
  ]);
  expect(lines(graph)).toEqual(["y, k = Repeat(c, x, z, x)"]);
});

test("values that change places are generalised until nothing changes", () => {
  const step: GraphSpec = body([], ["go", "b", "d", "a"], {
    inputs: { go: ["bool", []], a: ["f32", null], b: ["f32", null], d: ["f32", null] },
  });
  const inputs = { c: ["bool", []], p: ["f32", [1]], q: ["f32", [2]], r: ["f32", [2]] } as const;
  const { graph } = importSpec(model([repeat(["c", "p", "q", "r"], ["y", "u", "v"], step)], { inputs }));
  const shapes = ports(bodies(graph)[0]!, "inputs").slice(1);
  expect(shapes).toEqual([
    expect.stringMatching(/^a: f32\[\$carried\.\d\]$/),
    expect.stringMatching(/^b: f32\[\$carried\.\d\]$/),
    expect.stringMatching(/^d: f32\[\$carried\.\d\]$/),
  ]);
});

test("carried values that change rank or element type are E205", () => {
  const step = (op: NodeSpec): GraphSpec =>
    body([op], ["go", "s2"], { inputs: { go: ["bool", []], s: ["f32", null] } });
  const texts = (op: NodeSpec): string[] =>
    problemTexts(() => importSpec(model([repeat(["c", "x"], ["y"], step(op))])));
  expect(texts(node("Flatten", ["s"], ["s2"]))).toEqual([]);
  expect(texts(node("Cast", ["s"], ["s2"], { attrs: { to: 7 } }))).toEqual([
    "E205 y: a carried value changes its element type from f32 to i64",
  ]);
  expect(texts(node("Transpose", ["s"], ["s2"], { attrs: { perm: [1, 0] } }))).toEqual([]);
  expect(texts(node("Reshape", ["s", "flat"], ["s2"]))).toEqual([
    expect.stringMatching(/E105 s2: input "flat" is not defined/),
  ]);
  const { graph } = importSpec(
    model([repeat(["c", "x"], ["y"], step(node("Transpose", ["s"], ["s2"], { attrs: { perm: [1, 0] } })))]),
  );
  expect(ports(bodies(graph)[0]!, "inputs")[1]).toMatch(/^s: f32\[\$carried\.\d, \$carried\.\d\]$/);
});

test("problems in all bodies are found, also under an op that is not supported or has inputs that failed", () => {
  const bad = (op: string): GraphSpec => body([node(op, ["x"], ["t"])], ["t"]);
  const nodes = [
    choose("c", ["a"], bad("Bad1"), bad("Bad2")),
    node("Unheard", ["c"], ["b"], { attrs: { body: { graph: bad("Bad3") } } }),
    choose("b", ["d"], bad("Bad4"), bad("Relu")),
    node("Add", ["a", "d"], ["y"]),
  ];
  const operators = problemTexts(() => importSpec(model(nodes))).map(
    (t) => /^E201 .*operator (.*) is not supported/.exec(t)?.[1],
  );
  expect(operators).toEqual(["Bad1", "Bad2", "Unheard", "Bad3", "Bad4"]);
});

test("bodies that do not fit their op are errors", () => {
  const wrong = body([], ["go"], { inputs: { go: ["bool", []], extra: ["f32", null], more: ["f32", null] } });
  expect(problemTexts(() => importSpec(model([repeat(["c", "x"], ["y"], wrong)])))).toEqual([
    'E105 y: graph "body" has 3 inputs where 2 belong',
  ]);
  const few = body([], ["go"], { inputs: { go: ["bool", []], s: ["f32", null] } });
  expect(problemTexts(() => importSpec(model([repeat(["c", "x"], ["y"], few)])))).toEqual([
    "E205 y: the body has 1 outputs, which are too few",
  ]);
  const relu = node("Relu", ["x"], ["y"], { attrs: { body: { graph: few } } });
  expect(problemTexts(() => importSpec(model([relu])))).toEqual(["E204 y: Relu takes no graph"]);
  expect(problemTexts(() => importSpec(model([node("Repeat", ["c", "x"], ["y"], { domain: "test" })])))).toEqual([
    'E204 y: graph "body" is missing',
  ]);
});

test("a body inside a function captures the function's values", () => {
  const pick = choose("cond", ["r"], body([node("Add", ["t", "k"], ["u"])], ["u"]), body([], ["a"]));
  const f = {
    domain: "my",
    name: "F",
    inputs: ["cond", "a", "k"],
    outputs: ["r"],
    nodes: [node("Relu", ["a"], ["t"]), pick],
    opsets: { "": 21, test: 1 },
  };
  const call = node("F", ["c", "x", "w"], ["y"], { domain: "my", name: "f" });
  const { graph } = importSpec(model([call], { functions: [f], initializers: { w: f32([3], [1, 2, 3]) } }));
  expect(lines(graph)).toEqual(["f/t = Relu(x)", "y = Choose(c, f/t, x)"]);
  expect(lines(bodies(graph, 1)[0]!)).toEqual(["u = Add(t, [k])"]);
});

test("a declared name for a dim that depends on data reaches into bodies", () => {
  const open = node("Open", ["x"], ["a"], { domain: "test" });
  const g = body([node("Relu", ["a"], ["t"])], ["t"]);
  const { graph } = importSpec(model([open, choose("c", ["y"], g, g)], { outputs: { y: ["f32", ["found", 3]] } }));
  expect(ports(graph, "outputs")).toEqual(["y: f32[found, 3]"]);
  expect(ports(bodies(graph, 1)[0]!, "inputs")).toEqual(["a: f32[found, 3]"]);
});
