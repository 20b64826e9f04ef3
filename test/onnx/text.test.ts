// Text: it names labels, and exists at compile time alone.
import { describe, expect, test } from "vitest";
import { type ModelSpec, modelProto, type NodeSpec } from "../../src/onnx/export.ts";
import { importModel } from "../../src/onnx/import.ts";
import { message } from "../../src/onnx/schema.ts";
import { writeModel } from "../../src/onnx/write.ts";
import { runGraph } from "../ops/run.ts";
import { f32, i64, problemTexts, testOps } from "./helpers.ts";

const utf8 = (s: string): Uint8Array => new TextEncoder().encode(s);
/** A model with a constant of text, "words". */
function withWords(words: readonly string[], nodes: readonly NodeSpec[], outputs: readonly string[]): Uint8Array {
  const spec: ModelSpec = {
    inputs: { k: ["i64", [3]], x: ["f32", [3, 2]] },
    outputs,
    nodes,
    opsets: { "": 21, "ai.onnx.ml": 4 },
  };
  const m = modelProto(spec);
  const t = message("TensorProto", { name: "words", dims: [words.length], dataType: 8, stringData: words.map(utf8) });
  return writeModel({ ...m, graph: { ...m.graph!, initializer: [t] } });
}
const ml = (
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attrs: NodeSpec["attrs"] = {},
): NodeSpec => ({
  op,
  domain: "ai.onnx.ml",
  inputs,
  outputs,
  attrs,
});
const pick = ml("ArrayFeatureExtractor", ["words", "k"], ["picked"]);
function run(bytes: Uint8Array, k: readonly number[]) {
  const { graph, labels } = importModel(bytes, { ops: testOps });
  const inputs = graph.inputs.map((id) =>
    graph.values.get(id)!.name === "k" ? i64(...k) : f32([3, 2], [0, 1, 5, 2, 3, 4]),
  );
  return { results: runGraph(graph, inputs).map((r) => [...r.data].map(Number)), labels };
}

describe("text", () => {
  test("is positions in a list of its different strings, whatever moves it", () => {
    const nodes: NodeSpec[] = [
      pick,
      { op: "Reshape", inputs: ["picked", "shape"], outputs: ["flat"] },
      { op: "Cast", inputs: ["flat"], outputs: ["cast"], attrs: { to: 8 } },
      { op: "Identity", inputs: ["cast"], outputs: ["y"] },
      { op: "Constant", inputs: [], outputs: ["shape"], attrs: { value_ints: [-1] } },
    ];
    const { results, labels } = run(withWords(["b", "a", "b", "c"], nodes, ["y"]), [3, 2, 1]);
    expect(results).toEqual([[2, 0, 1]]);
    expect(labels).toEqual(new Map([["y", { of: "elements", names: ["b", "a", "c"] }]]));
  });
  test("goes through encoders", () => {
    const strings = (name: string, list: readonly string[]): NodeSpec["attrs"] => ({ [name]: list });
    const nodes = [
      pick,
      ml("LabelEncoder", ["picked"], ["numbers"], {
        ...strings("keys_strings", ["c", "z", "a"]),
        values_int64s: [30, 99, 10],
        default_int64: -5,
      }),
      ml("LabelEncoder", ["numbers"], ["names"], {
        keys_int64s: [30, 10],
        ...strings("values_strings", ["C", "A"]),
        default_string: "?",
      }),
      ml("CategoryMapper", ["names"], ["mapped"], {
        cats_int64s: [7, 8, 9],
        ...strings("cats_strings", ["A", "?", "C"]),
      }),
      ml("OneHotEncoder", ["names"], ["hot"], strings("cats_strings", ["?", "A"])),
    ];
    const { results, labels } = run(
      withWords(["a", "b", "c"], nodes, ["numbers", "names", "mapped", "hot"]),
      [0, 1, 2],
    );
    expect(results).toEqual([
      [10, -5, 30],
      [1, 2, 0],
      [7, 8, 9],
      [0, 1, 1, 0, 0, 0],
    ]);
    expect(labels).toEqual(new Map([["names", { of: "elements", names: ["C", "A", "?"] }]]));
  });
  test("names the columns of a map", () => {
    const { results, labels } = run(
      withWords([], [ml("ZipMap", ["x"], ["y"], { classlabels_int64s: [4, 6] })], ["y"]),
      [],
    );
    expect(results).toEqual([[0, 1, 5, 2, 3, 4]]);
    expect(labels).toEqual(new Map([["y", { of: "columns", names: [4, 6] }]]));
  });
  test("is refused where something is to be done with it", () => {
    const refused = (...nodes: NodeSpec[]): string[] =>
      problemTexts(() => importModel(withWords(["a", "b"], [pick, ...nodes], ["y"]), { ops: testOps }));
    const equal: NodeSpec = { op: "Equal", inputs: ["picked", "words"], outputs: ["y"] };
    expect(refused(equal)).toEqual(["E203 y: input 0 is text, which is supported as names of labels only"]);
    const cast: NodeSpec = { op: "Cast", inputs: ["picked"], outputs: ["y"], attrs: { to: 1 } };
    expect(refused(cast)).toEqual(["E204 y: text cannot be cast"]);
    const keys = ml("LabelEncoder", ["k"], ["y"], { keys_strings: ["a"], values_int64s: [1] });
    expect(refused(keys)).toEqual(["E204 y: keys of text need an input of known text"]);
  });
});

test("operators that are refused say what to do instead", () => {
  const spec: ModelSpec = {
    inputs: { x: ["f32", [2]] },
    outputs: ["y", "z"],
    nodes: [
      { op: "BeamSearch", domain: "com.microsoft", inputs: ["x"], outputs: ["y"] },
      { op: "Conv", domain: "com.microsoft.nchwc", inputs: ["x"], outputs: ["z"] },
    ],
    opsets: { "": 21, "com.microsoft": 1, "com.microsoft.nchwc": 1 },
  };
  const found = problemTexts(() => importModel(writeModel(modelProto(spec)), { ops: testOps }));
  expect(found).toEqual([
    "E201 y: the operator com.microsoft.BeamSearch is not supported",
    "E201 z: the operator com.microsoft.nchwc.Conv is not supported",
  ]);
});
