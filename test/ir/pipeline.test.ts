// The text form and the verifiers on what the compiler really makes: the digits model, after each of its passes.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { expand } from "../../passes/graph/expand.ts";
import { lowerProgram } from "../../passes/lower.ts";
import { group } from "../../passes/te/group.ts";
import { inline } from "../../passes/te/inline.ts";
import { chooseStorage } from "../../passes/te/storage.ts";
import { toTe } from "../../passes/te/to-te.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { parseGraph, parseProgram, parseTe } from "../../src/ir/parse.ts";
import { printGraph, printProgram, printTe } from "../../src/ir/print.ts";
import type { TeProgram } from "../../src/ir/te.ts";
import { verifyGraph, verifyProgram, verifyTe } from "../../src/ir/verify.ts";
import { importModel } from "../../src/onnx/import.ts";
import { OpTable } from "../../src/ops/index.ts";
import { jsTarget } from "../../targets/js/index.ts";
import { wasmTarget } from "../../targets/wasm/index.ts";
import { wgslTarget } from "../../targets/wgsl/index.ts";

const bytes = new Uint8Array(readFileSync(new URL("../../examples/digits/digits.onnx", import.meta.url)));

function checkGraph(g: Graph): Graph {
  verifyGraph(g);
  const { text, constants } = printGraph(g);
  const defs = new Map(g.nodes.map((n) => [n.def.name, n.def]));
  expect(parseGraph(text, constants, (name) => defs.get(name))).toEqual(g);
  return g;
}
function checkTe(p: TeProgram): TeProgram {
  verifyTe(p);
  const { text, constants } = printTe(p);
  expect(parseTe(text, constants)).toEqual(p);
  return p;
}

describe("the digits model", () => {
  const graph = expand(importModel(bytes, { ops: new OpTable() }).graph);
  test("as a graph", () => {
    checkGraph(importModel(bytes, { ops: new OpTable() }).graph);
    checkGraph(graph);
  });
  test.each([wasmTarget.info, jsTarget.info, wgslTarget.info])("down to a program for $name", (target) => {
    const te = checkTe(inline(checkTe(toTe(graph))));
    const stored = checkTe(chooseStorage(te, target));
    const grouped = target.gpu ? stored : checkTe(group(stored));
    const p = lowerProgram(grouped, { target, strict: false });
    verifyProgram(p, target);
    const { text, constants } = printProgram(p);
    expect(parseProgram(text, constants)).toEqual(p);
  });
});
