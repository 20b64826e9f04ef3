import { expect, test } from "vitest";
import { InternalError } from "../../src/base/assert.ts";
import * as D from "../../src/ir/dim.ts";
import type { AnyNode, Graph, Value } from "../../src/ir/graph.ts";
import { tensorOf, tensorType, type ValueType } from "../../src/ir/types.ts";
import { verifyGraph } from "../../src/ir/verify.ts";
import { graph, N, node, sampleGraph, symbolId, value, valueId } from "./samples.ts";

const vector = tensorType("f32", [N]);
const symbols = [{ id: symbolId("N"), min: 1, max: null, def: null }] as const;
const values: readonly Value[] = [value(0, "x", vector), value(1, "h", vector), value(2, "y", vector)];
const nodes: readonly AnyNode[] = [node(0, "Relu", [0], [1]), node(1, "Add", [1, 0, null], [2, null])];
function make(
  more: {
    values?: readonly Value[];
    nodes?: readonly AnyNode[];
    inputs?: readonly number[];
    outputs?: readonly number[];
  } = {},
): Graph {
  return graph("g", more.values ?? values, more.inputs ?? [0], more.outputs ?? [2], more.nodes ?? nodes, symbols);
}
function broken(g: Graph, message: RegExp): void {
  expect(() => verifyGraph(g)).toThrow(InternalError);
  expect(() => verifyGraph(g)).toThrow(message);
}
const retyped = (type: ValueType, more: Partial<Value> = {}): Graph =>
  make({ values: [value(0, "x", type, more), ...values.slice(1)] });

test("sound graphs pass", () => {
  verifyGraph(make());
  verifyGraph(sampleGraph());
});

test("ids are defined once, before their use, in this graph", () => {
  broken(make({ nodes: [nodes[1]!, nodes[0]!] }), /node 1 "n1" \(Add\): value %1 "h" is used before it is defined/);
  broken(make({ nodes: [nodes[0]!] }), /outputs: value %2 "y" is used before it is defined/);
  broken(make({ nodes: [...nodes, node(2, "Relu", [0], [1])] }), /value %1 is defined twice/);
  broken(make({ nodes: [node(0, "Relu", [0], [0]), ...nodes.slice(1)] }), /value %0 is defined twice/);
  broken(make({ inputs: [0, 0] }), /inputs: value %0 is defined twice/);
  broken(make({ nodes: [nodes[0]!, node(0, "Add", [1], [2])] }), /has the id of another node/);
  broken(make({ nodes: [node(0, "Relu", [7], [1]), nodes[1]!] }), /value %7 is not of this graph \(a captured value/);
  broken(make({ outputs: [9] }), /outputs: value %9 is not of this graph/);
  broken(
    { ...make(), values: new Map([...make().values, [valueId(5), values[0]!]]) },
    /value %5 "x": is filed under another id/,
  );
});

test("types are present and their symbols declared", () => {
  broken(retyped(undefined as unknown as ValueType), /value %0 "x": has no type/);
  broken(retyped({ kind: "sequence", of: undefined as unknown as ValueType }), /has no type/);
  broken(retyped(tensorType("f32", [D.sym("K")])), /symbol "K" of K is not declared/);
  broken(retyped(tensorType("f32", [D.int(-1)])), /has a dim of -1/);
  broken({ ...make(), symbols: [...symbols, ...symbols.map((s) => ({ ...s }))] }, /symbol "N" is declared twice/);
  broken({ ...make(), symbols: [{ ...symbols[0], max: 0 }] }, /symbol "N" lies in 1..0/);
  broken(
    { ...make(), symbols: [...symbols, { id: symbolId("K"), min: 0, max: null, def: D.sym("Q") }] },
    /symbol "Q" of Q is not declared/,
  );
  broken(make({ nodes: [{ ...nodes[0]!, loc: undefined as unknown as AnyNode["loc"] }, nodes[1]!] }), /has no loc/);
});

test("constants fit their types", () => {
  const t = tensorOf("f32", [2], [1, 2]);
  broken(retyped(vector, { constant: { ...t, bytes: new Uint8Array(4) } }), /its constant has 4 bytes, not 8/);
  broken(retyped(tensorType("i32", [N]), { constant: t }), /is i32 but its constant f32/);
  broken(retyped(tensorType("f32", [D.int(3)]), { constant: t }), /is \[3\] but its constant \[2\]/);
  broken(retyped(tensorType("f32", []), { constant: t }), /is \[\] but its constant \[2\]/);
  broken(retyped({ kind: "sequence", of: vector }, { constant: t }), /has a constant but is no tensor/);
});

test("body graphs are checked, and capture nothing", () => {
  const body = make({ nodes: [node(0, "Relu", [7], [1]), nodes[1]!] });
  broken(
    make({ nodes: [node(0, "If", [0], [1], { then_branch: body }), nodes[1]!] }),
    /node 0 .*graph "g": node 0 .*value %7 is not of this graph/,
  );
  broken(make({ nodes: [node(0, "If", [0], [1], { bodies: [body] }), nodes[1]!] }), /value %7 is not of this graph/);
  // The types of a body may mention the symbols around it.
  verifyGraph(make({ nodes: [node(0, "If", [0], [1], { then_branch: { ...make(), symbols: [] } }), nodes[1]!] }));
});
