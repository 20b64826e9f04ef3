// Sequences and optionals that are known only in the run: what callers give and get, and what the operators do to them.
import { describe, expect, test } from "vitest";
import type { ListModel } from "../../runtime/lists.ts";
import { compileTarget, frontEnd } from "../../src/compile.ts";
import { type Tensor, tensorOf, typedView } from "../../src/ir/types.ts";
import { type GraphSpec, type ModelSpec, modelBytes } from "../../src/onnx/export.ts";
import { packList, unpackList } from "../../src/run/lists.ts";
import { portsOf, type Tensors } from "../../src/run/ports.ts";
import { loadModel, type Runnable, runOnce } from "../../src/run/runner.ts";
import { need } from "../need.ts";

const targets = ["js", "wasm", ...(need("cc") ? ["c"] : [])];
async function compiled(spec: ModelSpec, target: string): Promise<Runnable> {
  const front = frontEnd(modelBytes(spec), { name: "m", verify: true });
  return {
    target,
    name: "m",
    compiled: await compileTarget(front, target, { name: "m", verify: true }),
    ports: portsOf(front.graph, front.lists),
  };
}
const f32 = (dims: readonly number[], values: readonly number[]): Tensor => tensorOf("f32", dims, values);
const i64 = (...values: readonly number[]): Tensor => tensorOf("i64", [values.length], values);
const scalar = (x: number): Tensor => tensorOf("i64", [], [x]);
type Plain = readonly (readonly [dims: readonly number[], values: readonly number[]])[];
const plain = (list: readonly Tensor[] | null): Plain | null =>
  list?.map((t) => [t.dims, Array.from(typedView(t.dtype, t.bytes), Number)]) ?? null;

/** Runs a model on every target, which must agree; inputs and outputs that are lists are whole. */
async function run(
  spec: ModelSpec,
  inputs: Readonly<Record<string, Tensor | readonly Tensor[] | null>>,
): Promise<Record<string, Plain | null>> {
  const results: Record<string, Plain | null>[] = [];
  for (const target of targets) {
    const x = await compiled(spec, target);
    const { lists } = x.ports;
    const given: Tensors = Object.assign(
      {},
      ...Object.entries(inputs).map(([name, v]) => {
        const list = lists.inputs.find((l) => l.name === name);
        return list ? packList(list, v as readonly Tensor[] | null) : { [name]: v };
      }),
    );
    const got = await runOnce(x, given, 0);
    const names = Array.isArray(spec.outputs) ? (spec.outputs as string[]) : Object.keys(spec.outputs);
    results.push(
      Object.fromEntries(
        names.map((name) => {
          const list = lists.outputs.find((l) => l.name === name);
          return [name, plain(list ? unpackList(list, got) : [got[name]!])];
        }),
      ),
    );
  }
  for (const r of results) expect(r).toEqual(results[0]);
  return results[0]!;
}
const elements = [f32([2], [1, 2]), f32([1], [3]), f32([3], [4, 5, 6])];
const sequence = { sequence: ["f32", [null]] as const };

describe("operators", () => {
  test("insertion and removal at places that the run tells, from either end", async () => {
    const spec: ModelSpec = {
      inputs: { s: sequence, x: ["f32", ["K"]], i: ["i64", []], j: ["i64", []] },
      outputs: ["out", "one", "n"],
      nodes: [
        { op: "SequenceInsert", inputs: ["s", "x", "i"], outputs: ["more"] },
        { op: "SequenceErase", inputs: ["more", "j"], outputs: ["out"] },
        { op: "SequenceAt", inputs: ["out", "j"], outputs: ["one"] },
        { op: "SequenceLength", inputs: ["out"], outputs: ["n"] },
      ],
    };
    const x = f32([1], [9]);
    const first = await run(spec, { s: elements, x, i: scalar(1), j: scalar(0) });
    expect(first).toEqual({
      out: [
        [[1], [9]],
        [[1], [3]],
        [[3], [4, 5, 6]],
      ],
      one: [[[1], [9]]],
      n: [[[], [3]]],
    });
    const last = await run(spec, { s: elements, x, i: scalar(-1), j: scalar(-1) });
    expect(last["out"]).toEqual([
      [[2], [1, 2]],
      [[1], [3]],
      [[1], [9]],
    ]);
    expect(last["one"]).toEqual([[[1], [9]]]);
    await expect(run(spec, { s: elements, x, i: scalar(4), j: scalar(0) })).rejects.toThrow("out of its range");
  });

  test("splits by sizes that the run tells, joined again along an axis or a new one", async () => {
    const spec: ModelSpec = {
      inputs: { x: ["f32", ["A", "B"]], sizes: ["i64", ["K"]], each: ["i64", []] },
      outputs: ["parts", "joined", "columns", "stacked"],
      nodes: [
        { op: "SplitToSequence", inputs: ["x", "sizes"], outputs: ["parts"], attrs: { axis: 1 } },
        { op: "ConcatFromSequence", inputs: ["parts"], outputs: ["joined"], attrs: { axis: 1 } },
        { op: "SplitToSequence", inputs: ["x", "each"], outputs: ["columns"], attrs: { axis: -1 } },
        { op: "SplitToSequence", inputs: ["x"], outputs: ["single"], attrs: { axis: 1, keepdims: 0 } },
        { op: "ConcatFromSequence", inputs: ["single"], outputs: ["stacked"], attrs: { axis: 0, new_axis: 1 } },
      ],
    };
    const x = f32([2, 3], [1, 2, 3, 4, 5, 6]);
    const got = await run(spec, { x, sizes: i64(2, 0, 1), each: scalar(2) });
    expect(got).toEqual({
      parts: [
        [
          [2, 2],
          [1, 2, 4, 5],
        ],
        [[2, 0], []],
        [
          [2, 1],
          [3, 6],
        ],
      ],
      joined: [
        [
          [2, 3],
          [1, 2, 3, 4, 5, 6],
        ],
      ],
      columns: [
        [
          [2, 2],
          [1, 2, 4, 5],
        ],
        [
          [2, 1],
          [3, 6],
        ],
      ],
      stacked: [
        [
          [3, 2],
          [1, 4, 2, 5, 3, 6],
        ],
      ],
    });
    await expect(run(spec, { x, sizes: i64(2, 2), each: scalar(2) })).rejects.toThrow("out of its range");
  });

  test("a loop carries a sequence, captures another, and what it leaves is concatenated", async () => {
    const body: GraphSpec = {
      inputs: { k: ["i64", []], go: ["bool", []], list: sequence },
      outputs: ["go", "longer"],
      nodes: [
        { op: "SequenceAt", inputs: ["s", "k"], outputs: ["one"] },
        { op: "Add", inputs: ["one", "one"], outputs: ["twice"] },
        { op: "SequenceInsert", inputs: ["list", "twice", "zero"], outputs: ["longer"] },
      ],
    };
    const spec: ModelSpec = {
      inputs: { s: sequence, n: ["i64", []] },
      outputs: ["all", "list"],
      nodes: [
        { op: "SequenceEmpty", inputs: [], outputs: ["none"] },
        { op: "Loop", inputs: ["n", "", "none"], outputs: ["list"], attrs: { body: { graph: body } } },
        { op: "ConcatFromSequence", inputs: ["list"], outputs: ["all"], attrs: { axis: 0 } },
      ],
      initializers: { zero: scalar(0) },
    };
    const got = await run(spec, { s: elements, n: scalar(3) });
    expect(got["list"]).toEqual([
      [[3], [8, 10, 12]],
      [[1], [6]],
      [[2], [2, 4]],
    ]);
    expect(got["all"]).toEqual([[[6], [8, 10, 12, 6, 2, 4]]]);
  });

  test("a branch is a sequence or another, or an optional that holds none", async () => {
    const spec: ModelSpec = {
      inputs: { c: ["bool", []], s: sequence, o: { optional: sequence } },
      outputs: ["chosen", "held"],
      nodes: [
        {
          op: "If",
          inputs: ["c"],
          outputs: ["chosen", "held"],
          attrs: {
            then_branch: {
              graph: { outputs: ["s", "o"], nodes: [] },
            },
            else_branch: {
              graph: {
                outputs: ["made", "none"],
                nodes: [
                  { op: "SequenceConstruct", inputs: ["w", "w"], outputs: ["made"] },
                  { op: "Optional", inputs: [], outputs: ["none"], attrs: { type: { type: sequence } } },
                ],
              },
            },
          },
        },
      ],
      initializers: { w: f32([1], [7]) },
    };
    const t = tensorOf("bool", [], [1]);
    const f = tensorOf("bool", [], [0]);
    expect(await run(spec, { c: t, s: elements, o: elements.slice(0, 1) })).toEqual({
      chosen: plain(elements),
      held: plain(elements.slice(0, 1)),
    });
    expect(await run(spec, { c: t, s: [], o: null })).toEqual({ chosen: [], held: null });
    expect(await run(spec, { c: f, s: [], o: elements })).toEqual({
      chosen: [
        [[1], [7]],
        [[1], [7]],
      ],
      held: null,
    });
  });

  test("an element of a rank that is not declared is refused at compile time, one of another than declared in the run", async () => {
    const at = (shape: readonly null[] | null): ModelSpec => ({
      inputs: { s: { sequence: ["f32", shape] } },
      outputs: ["y"],
      nodes: [{ op: "SequenceAt", inputs: ["s", "i"], outputs: ["y"] }],
      initializers: { i: scalar(0) },
    });
    expect(() => frontEnd(modelBytes(at(null)), { name: "m" })).toThrow(/E204.*rank of the sequence's elements/);
    await expect(run(at([null, null]), { s: elements })).rejects.toThrow("out of its range");
  });
});

describe("artifacts", () => {
  const spec: ModelSpec = {
    inputs: { s: sequence, o: { optional: ["f32", [2]] }, x: ["f32", [1]] },
    outputs: { s2: sequence, o2: { optional: ["f32", [2]] }, y: ["f32", [1]] },
    nodes: [
      { op: "SequenceInsert", inputs: ["s", "x"], outputs: ["s2"] },
      { op: "Identity", inputs: ["o"], outputs: ["o2"] },
      { op: "Neg", inputs: ["x"], outputs: ["y"] },
    ],
  };
  test.each(["js", "wasm"])("%s takes and gives arrays of tensors, null for an empty optional", async (target) => {
    const x = await compiled(spec, target);
    const model = (await loadModel(x)) as unknown as ListModel;
    expect(model.inputs.map((p) => [p.name, p.type])).toEqual([
      ["s", "sequence(float)"],
      ["o", "optional(float)"],
      ["x", "float"],
    ]);
    const got = await model.run({ s: [[1, 2], { data: Float32Array.of(3), dims: [1] }], o: [5, 6], x: [4] });
    const of = (dims: number[], ...values: number[]) => ({ data: Float32Array.from(values), dims, type: "float" });
    expect(got).toEqual({ s2: [of([2], 1, 2), of([1], 3), of([1], 4)], o2: of([2], 5, 6), y: of([1], -4) });
    for (const absent of [{ o: null }, {}])
      expect(await model.run({ s: [], x: [4], ...absent })).toEqual({ s2: [of([1], 4)], o2: null, y: of([1], -4) });
    await expect(model.run({ x: [4] })).rejects.toThrow('input "s" is missing: expected an array of tensors');
    await expect(model.run({ s: 3, x: [4] })).rejects.toThrow('input "s": expected an array of tensors, got Number');
    await expect(model.run({ s: [{ data: [1, 2], dims: [3] }], x: [4] })).rejects.toThrow("2 elements do not fill");
    model.dispose();
  });
  test("declarations and headers say what they are", async () => {
    const text = async (target: string, suffix: string): Promise<string> => {
      const { compiled: c } = await compiled(spec, target);
      return new TextDecoder().decode(c.files.find((f) => f.path.endsWith(suffix))!.bytes);
    };
    const types = await text("wasm", ".d.ts");
    expect(types).toMatch(/readonly "s": readonly \(Float32Array \| .*\)\[\];/);
    expect(types).toMatch(/readonly "o"\?: \(Float32Array \| .*\) \| null \| undefined;/);
    expect(types).toMatch(/readonly "o2": \(\{ readonly data: Float32Array; .*\}\) \| null;/);
    expect(types).not.toContain("shapes");
    const header = await text("c", ".h");
    expect(header).toMatch(
      /const int32_t \*s_shapes; .*a row per element of the sequence: its rank, its dims, then ones/,
    );
    expect(header).toMatch(/float \*s2; .*the elements of the sequence, one after another/);
  });
});
