import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { tensorOf, typedView } from "../../src/ir/types.ts";
import { type ModelSpec, modelProto, type NodeSpec } from "../../src/onnx/export.ts";
import { importModel } from "../../src/onnx/import.ts";
import { message, type TypeProto } from "../../src/onnx/schema.ts";
import { writeModel } from "../../src/onnx/write.ts";
import { f32, i64, importSpec, lines, ports, problems, problemTexts, testOps } from "./helpers.ts";

const relu = (x: string, y: string, name?: string): NodeSpec => ({
  op: "Relu",
  inputs: [x],
  outputs: [y],
  ...(name ? { name } : {}),
});
const add = (a: string, b: string, y: string): NodeSpec => ({ op: "Add", inputs: [a, b], outputs: [y] });
const model = (nodes: readonly NodeSpec[], more: Partial<ModelSpec> = {}): ModelSpec => ({
  inputs: { x: ["f32", ["N", 3]] },
  outputs: ["y"],
  nodes,
  ...more,
});

test("imports the digits model with a symbolic batch", () => {
  const { graph, info, warnings } = importModel(readFileSync("examples/digits/digits.onnx"), { ops: testOps });
  expect(ports(graph, "outputs")).toEqual([expect.stringMatching(/: f32\[N, 10\]$/)]);
  expect(graph.symbols).toEqual([{ id: "N", min: 1, max: null, def: null }]);
  expect(info).toMatchObject({ opsets: [{ domain: "", version: 17 }], nodes: 7 });
  expect(info.parameters).toBeGreaterThan(1000);
  expect(warnings).toEqual([]);
});

test("initializers and Constant nodes become constants, also those that are declared as inputs", () => {
  const constant = (name: string, attrs: NodeSpec["attrs"]): NodeSpec => ({
    op: "Constant",
    inputs: [],
    outputs: [name],
    attrs: attrs!,
  });
  const { graph } = importSpec(
    model(
      [
        constant("c", { value: f32([], [2]) }),
        constant("i", { value_int: 2n ** 63n - 1n }),
        constant("is", { value_ints: [1, -2] }),
        constant("f", { value_float: { float: 3 } }),
        constant("fs", { value_floats: { floats: [4, 5] } }),
        add("x", "w", "a"),
        add("a", "c", "y"),
      ],
      {
        inputs: { x: ["f32", ["N", 3]], w: ["f32", [3]] },
        initializers: { w: f32([3], [1, 2, 3]), unused: f32([1], [0]) },
        outputs: ["y", "i", "is", "f", "fs", "w"],
      },
    ),
  );
  expect(ports(graph, "inputs")).toEqual(["x: f32[N, 3]"]);
  expect(lines(graph)).toEqual(["a = Add(x, [w])", "y = Add(a, [c])"]);
  const values = graph.outputs.slice(1).map((id) => {
    const t = graph.values.get(id)!.constant!;
    return [t.dtype, t.dims, [...typedView(t.dtype, t.bytes)]];
  });
  expect(values).toEqual([
    ["i64", [], [2n ** 63n - 1n]],
    ["i64", [2], [1n, -2n]],
    ["f32", [], [3]],
    ["f32", [2], [4, 5]],
    ["f32", [3], [1, 2, 3]],
  ]);
});

test("nodes are sorted, in the file's order as far as it goes", () => {
  const { graph } = importSpec(
    model([relu("c", "y"), relu("a", "b"), relu("x", "a"), add("b", "a", "c"), relu("x", "d")]),
  );
  expect(lines(graph)).toEqual(["a = Relu(x)", "b = Relu(a)", "c = Add(b, a)", "y = Relu(c)", "d = Relu(x)"]);
});

test("a long chain in reverse order is sorted without recursion", () => {
  const n = 20000;
  const chain = Array.from({ length: n }, (_, k) => relu(k === 0 ? "x" : `v${k}`, k === n - 1 ? "y" : `v${k + 1}`));
  expect(importSpec(model(chain.reverse())).graph.nodes.length).toBe(n);
});

test("dims without a name are symbols of input and axis; options fix and bound dims", () => {
  const spec: ModelSpec = {
    inputs: { x: ["f32", ["N", null, "", -1, "?", 0, 7]], z: ["f32", ["N"]] },
    outputs: ["y", "z"],
    nodes: [relu("x", "y")],
  };
  const open = importSpec(spec).graph;
  expect(ports(open, "inputs")).toEqual(["x: f32[N, x:1, x:2, x:3, x:4, 0, 7]", "z: f32[N]"]);
  expect(open.symbols.map((s) => [s.id, s.min, s.max])).toEqual([
    ["N", 1, null],
    ["x:1", 1, null],
    ["x:2", 1, null],
    ["x:3", 1, null],
    ["x:4", 1, null],
  ]);
  const dims = new Map([
    ["N", { min: 4, max: 4 }],
    ["x:1", { min: 0, max: 64 }],
    ["x:3", { min: 5, max: 5 }],
  ]);
  const set = importSpec(spec, { dims }).graph;
  expect(ports(set, "outputs")).toEqual(["y: f32[4, x:1, x:2, 5, x:4, 0, 7]", "z: f32[4]"]);
  expect(set.symbols.map((s) => [s.id, s.min, s.max])).toEqual([
    ["x:1", 0, 64],
    ["x:2", 1, null],
    ["x:4", 1, null],
  ]);
});

test("an unknown dim in the options is E301 with the known ones; impossible bounds are E302", () => {
  const [d] = problems(() => importSpec(model([relu("x", "y")]), { dims: new Map([["M", { min: 1, max: 1 }]]) }));
  expect([d!.code, d!.message, d!.hint]).toEqual(["E301", 'the model has no dim "M"', "its dims: N"]);
  for (const bounds of [
    { min: 3, max: 2 },
    { min: -1, max: 2 },
    { min: 1.5, max: 2 },
  ]) {
    expect(problemTexts(() => importSpec(model([relu("x", "y")]), { dims: new Map([["N", bounds]]) }))).toEqual([
      expect.stringMatching(/^E302/),
    ]);
  }
});

test("inputs and initializers may be outputs; sequences and optionals are tables of shapes, and their elements", () => {
  const { graph } = importSpec({
    inputs: { x: ["f32", ["N"]], s: { sequence: ["i64", ["K", 2]] }, o: { optional: ["f32", [1]] } },
    outputs: ["x", "s", "o", "w"],
    nodes: [],
    initializers: { w: i64(1) },
  });
  expect(ports(graph, "outputs")).toEqual([
    "x: f32[N]",
    "s.shapes: i32[s:length, 9]",
    "s: i64[s:elements]",
    "o.shapes: i32[o:length, 9]",
    "o: f32[o:elements]",
    "w: i64[1]",
  ]);
});

test("absent inputs and outputs are null", () => {
  const { graph } = importSpec(
    model([{ op: "Clip", inputs: ["x", "", "hi"], outputs: ["y"] }], { initializers: { hi: f32([], [6]) } }),
  );
  expect(lines(graph)).toEqual(["y = Clip(x, -, [hi])"]);
});

test("every problem of a model is reported at once, at its node, without follow-ups", () => {
  const texts = problemTexts(() =>
    importSpec(
      model(
        [
          { op: "NoSuchOp", inputs: ["x"], outputs: ["a"], name: "first" },
          add("a", "x", "b"),
          { op: "Other", domain: "vendor", inputs: ["b"], outputs: ["c"] },
          { op: "Flatten", inputs: ["c"], outputs: ["d"], name: "flat", attrs: { axis: "one" } },
          add("x", "w5", "e"),
          { op: "Gelu", inputs: ["x"], outputs: ["f"] },
          { op: "Cast", inputs: ["x"], outputs: ["g"], attrs: { to: 14 } },
          relu("nowhere", "h"),
          relu("t", "u"),
          { op: "Constant", inputs: [], outputs: ["v"], attrs: { value_string: "s" } },
          { op: "Add", inputs: ["v", "u"], outputs: ["y"] },
        ],
        {
          opsets: { "": 17 },
          inputs: { x: ["f32", ["N", 3]], t: ["f32", null] },
          initializers: { w5: f32([5], [1, 2, 3, 4, 5]) },
        },
      ),
    ),
  );
  expect(texts).toEqual([
    'E205 input "t" has no shape, not even a rank',
    "E201 first: the operator NoSuchOp is not supported",
    "E201 c: the operator vendor.Other is not supported",
    'E204 flat: attribute "axis" is a string, not an integer',
    expect.stringMatching(/^E205 e: /),
    "E202 f: Gelu is not supported at opset 17",
    "E203 g: elements of type complex64 are not supported",
    'E105 h: input "nowhere" is not defined',
    "E203 y: input 0 is text, which is supported as names of labels only",
  ]);
});

test("a node without a name is called after its first output, or its op and place", () => {
  const locs = problems(() =>
    importSpec(
      model([relu("x", "y"), { op: "Nope", inputs: [], outputs: ["", "z"] }, { op: "Nope", inputs: [], outputs: [] }]),
    ),
  );
  expect(locs.map((d) => d.loc)).toEqual([
    { node: "z", op: "Nope" },
    { node: "Nope_2", op: "Nope" },
  ]);
});

test("graphs that are not well-formed are E105", () => {
  const texts = (m: ModelSpec): string[] => problemTexts(() => importSpec(m));
  expect(texts(model([relu("b", "a"), relu("a", "b"), relu("b", "y")]))).toEqual([
    expect.stringMatching(/^E105 [ab]: the node depends on its own output/),
  ]);
  expect(texts(model([relu("y", "y")]))).toEqual(["E105 y: the node depends on its own output"]);
  expect(texts(model([relu("x", "y"), relu("x", "y")]))).toEqual(['E105 value "y" is defined twice']);
  expect(texts(model([relu("x", "x")], { outputs: ["x"] }))).toContain('E105 value "x" is defined twice');
  expect(texts(model([relu("x", "a")]))).toEqual(['E105 nothing computes output "y"']);
  expect(texts(model([relu("x", "y")], { outputs: [] }))).toEqual(["E105 the graph has no outputs"]);
  expect(texts(model([relu("x", "y")], { outputs: ["y", "y"] }))).toEqual(['E105 output "y" occurs twice']);
});

test("sizes beyond any memory are errors", () => {
  const text = tensorOf("f32", [1], [1]);
  expect(problemTexts(() => importSpec(model([relu("x", "y")], { inputs: { x: ["i4", [-3, 2 ** 41]] } })))).toEqual([
    expect.stringMatching(/^E205 dim x:1 of \d+ is too large/),
  ]);
  expect(
    problemTexts(() => importSpec(model([relu("x", "y")], { inputs: { x: ["i8", [2 ** 30, 2 ** 30]] } }))),
  ).toEqual([expect.stringMatching(/^E205 input "x" of shape .* is too large/)]);
  expect(
    problemTexts(() => importSpec(model([relu("w", "y")], { initializers: { w: { ...text, dims: [2] } } }))),
  ).toEqual([expect.stringMatching(/^E104 tensor "w"/)]);
});

test("inputs with thousands of open dims are an error", () => {
  const inputs = Object.fromEntries(
    Array.from({ length: 400 }, (_, k) => [`x${k}`, ["f32", [null, null, null]] as const]),
  );
  const texts = problemTexts(() => importSpec({ inputs, outputs: ["x0"], nodes: [] }));
  expect(texts[0]).toMatch(/^E205 .*more than 1000 open dims/);
});

test("inputs of types that Ingot does not have are E203", () => {
  const of = (type: Partial<TypeProto>): string[] => {
    const m = modelProto(model([relu("x", "y")]));
    const input = [message("ValueInfoProto", { name: "x", type: message("TypeProto", type) })];
    return problemTexts(() => importModel(writeModel({ ...m, graph: { ...m.graph!, input } }), { ops: testOps }));
  };
  const shape = { dim: [] };
  expect(of({ tensor: { elemType: 8, shape } })).toEqual([
    'E203 input "x" has elements of type string, which is not supported',
  ]);
  expect(of({ sequence: { elemType: message("TypeProto", { tensor: { elemType: 14, shape } }) } })).toEqual([
    expect.stringMatching(/^E203 .*complex64/),
  ]);
  expect(of({ map: { keyType: 7, valueType: null } })).toEqual([expect.stringMatching(/^E203 .*map/)]);
  expect(of({ sparseTensor: { elemType: 1, shape } })).toEqual([expect.stringMatching(/^E203 .*sparse/)]);
  expect(of({})).toEqual([expect.stringMatching(/^E205 .*no type/)]);
});

test("opset versions", () => {
  const at = (version: number) => () => importSpec(model([relu("x", "y")], { opsets: { "ai.onnx": version } }));
  expect(at(1)().warnings).toEqual([]);
  expect(at(999)().warnings.map((w) => w.code)).toEqual(["W102"]);
  expect(problemTexts(at(0))).toContain('E202 opset version 0 of domain "" does not exist');
});

test("attributes that an op does not read are warnings, once each", () => {
  const odd = (y: string): NodeSpec => ({ op: "Relu", inputs: ["x"], outputs: [y], attrs: { slope: { float: 1 } } });
  expect(importSpec(model([odd("a"), odd("y")])).warnings.map((w) => `${w.code} ${w.message}`)).toEqual([
    'W104 attribute "slope" is ignored',
  ]);
});

test("declared shapes name dims that depend on data, and warn where they contradict", () => {
  const open: NodeSpec = { op: "Open", domain: "test", inputs: ["x"], outputs: ["a"] };
  const named = importSpec(model([open, relu("a", "y")], { outputs: { y: ["f32", ["found", 3]] } }));
  expect(named.warnings).toEqual([]);
  expect(ports(named.graph, "outputs")).toEqual(["y: f32[found, 3]"]);
  expect(named.graph.symbols.map((s) => [s.id, s.def])).toEqual([
    ["N", null],
    ["found", "data"],
  ]);
  // A name that an input has says nothing, nor does a number for a dim that is not known.
  expect(
    ports(importSpec(model([open, relu("a", "y")], { outputs: { y: ["f32", ["N", 3]] } })).graph, "outputs")[0],
  ).toMatch(/^y: f32\[\$open/);
  expect(importSpec(model([open, relu("a", "y")], { outputs: { y: ["f32", [5, 3]] } })).warnings).toEqual([]);
  const wrong = importSpec(model([relu("x", "y")], { outputs: { y: ["f32", ["N", 4]] } }));
  expect(wrong.warnings.map((w) => `${w.code} ${w.message}`)).toEqual([
    'W103 output "y" is declared f32[N, 4] and computed as f32[N, 3]',
  ]);
});
