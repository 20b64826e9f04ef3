import { describe, expect, test } from "vitest";
import * as D from "../../src/ir/dim.ts";
import * as E from "../../src/ir/expr.ts";
import type { Kernel } from "../../src/ir/loops.ts";
import { printExpr, printGraph, printKernel, printProgram, printTe } from "../../src/ir/print.ts";
import { tensorOf, tensorType } from "../../src/ir/types.ts";
import {
  ascending,
  block,
  buffer,
  graph,
  loop,
  N,
  node,
  sampleGraph,
  sampleProgram,
  sampleTe,
  storeTo,
  symbolId,
  value,
  vectorKernel,
} from "./samples.ts";

describe("printed text", () => {
  test("a graph reads as in the design", () => {
    const g = graph(
      "mlp",
      [
        value(0, "x", tensorType("f32", [N, D.int(784)])),
        value(1, "w", tensorType("f32", [D.int(10), D.int(784)]), { constant: ascending("f32", [10, 784]) }),
        value(2, "0", tensorType("f32", [N, D.int(10)])),
        value(3, "y", tensorType("f32", [N, D.int(10)])),
      ],
      [0],
      [3],
      [node(0, "Gemm", [0, 1], [2], { transB: 1 }, "fc1"), node(1, "Softmax", [2], [3], { axis: 1 }, "sm")],
      [{ id: symbolId("N"), min: 1, max: 64, def: null }],
    );
    const { text, constants } = printGraph(g);
    expect(text).toBe(
      [
        "graph @mlp(%x: f32[N, 784]) -> %y where N in 1..64 {",
        "  %w: f32[10, 784] = const @w#c620e84a",
        '  %0: f32[N, 10] = Gemm(%x, %w) {transB = 1} loc("fc1")',
        '  %y: f32[N, 10] = Softmax(%0) {axis = 1} loc("sm")',
        "}",
        "",
      ].join("\n"),
    );
    expect([...constants.keys()]).toEqual(["w#c620e84a"]);
    expect(constants.get("w#c620e84a")).toBe(g.values.get([...g.values.keys()][1]!)!.constant!.bytes);
  });

  test("a kernel shows loops, lanes, pointers and scopes", () => {
    expect(printKernel(vectorKernel()).text).toBe(
      [
        "kernel @gemm(A: f32[64, 784] arena, B: f32[2, 784, 8] weights, C: f32[64, 16] arena) {",
        "  for io in 0..64 {",
        "    alloc acc0: f32[4] register",
        "    alloc acc1: f32[4] register",
        "    acc0[ramp(0, 1, 4)] = x4(0.0)",
        "    acc1[ramp(0, 1, 4)] = x4(0.0)",
        "    for k in 0..784 with pa = A[io * 784] step 1, pb = B[0] step 8 {",
        "      let av = x4(A[pa: 0])",
        "      acc0[ramp(0, 1, 4)] = mulAdd(av, B[pb: ramp(0, 1, 4)], acc0[ramp(0, 1, 4)])",
        "      acc1[ramp(0, 1, 4)] = mulAdd(av, B[pb: ramp(4, 1, 4)], acc1[ramp(0, 1, 4)])",
        "    }",
        "    C[ramp(io * 16 + 0, 1, 4)] = acc0[ramp(0, 1, 4)]",
        "    C[ramp(io * 16 + 4, 1, 4)] = acc1[ramp(0, 1, 4)]",
        "  }",
        "}",
        "",
      ].join("\n"),
    );
  });

  test("literals carry a dtype only where the reader cannot find it", () => {
    const x = buffer(0, "x", "i64", [4], "io");
    const i = E.v("i");
    expect(printExpr(E.add(E.load(x, [i]), 5), [x])).toBe("x[i] + 5");
    expect(printExpr(E.to("f32", E.constant("i64", 5)), [x])).toBe("f32(5_i64)");
    expect(printExpr(E.to("f32", E.i32(5)), [x])).toBe("f32(5)");
    expect(printExpr(E.lt(E.constant("f64", Infinity), E.constant("f64", 1)), [x])).toBe("inf_f64 < 1.0_f64");
    expect(printExpr(E.add(E.constant("f64", 1), E.v("d", "f64")), [x])).toBe("1.0 + (d: f64)");
    expect(printExpr(E.sub(E.sub(i, 1), E.sub(i, E.i32(-1))), [x])).toBe("i - 1 - (i - -1)");
    expect(printExpr(E.neg(E.i32(5)), [x])).toBe("-(5)");
    expect(printExpr(E.constant("f32", 0.1), [x])).toBe("0.1");
    expect(printExpr(E.constant("f32", Math.fround(0.1)), [x])).toBe("0.10000000149011612");
  });

  test("a long subtree that occurs twice is written once", () => {
    const a = buffer(0, "A", "f32", [4, 4], "io");
    const i = E.v("i");
    let e: E.Expr = E.load(a, [i, i]);
    for (let n = 0; n < 60; n++) e = E.add(E.mul(e, e), 1);
    const k: Kernel = {
      name: "deep",
      params: [a],
      scalars: [],
      dims: [],
      mayOverlap: [],
      body: loop("i", 4, storeTo(a, [i, i], e)),
    };
    const { text } = printKernel(k);
    expect(text.length).toBeLessThan(5000);
    expect(text.split("\n").slice(1, 5)).toEqual([
      "  for i in 0..4 {",
      "    def @1 = (A[i, i] * A[i, i] + 1.0) * (A[i, i] * A[i, i] + 1.0) + 1.0",
      "    def @2 = (@1 * @1 + 1.0) * (@1 * @1 + 1.0) + 1.0",
      "    def @3 = (@2 * @2 + 1.0) * (@2 * @2 + 1.0) + 1.0",
    ]);
  });

  test("a let or an alloc in the middle of a block has braces", () => {
    const a = buffer(0, "A", "i32", [4], "io");
    const x = E.v("x");
    const body = block(
      { kind: "let", name: "x", value: E.i32(1), body: storeTo(a, [x], x) },
      block(storeTo(a, [E.i32(0)], E.i32(1))),
      block(),
      { kind: "let", name: "y", value: E.i32(2), body: block(storeTo(a, [E.i32(0)], E.v("y")), { kind: "barrier" }) },
    );
    const { text } = printKernel({ name: "k", params: [a], scalars: [], dims: [], mayOverlap: [], body });
    expect(text.split("\n").slice(1, -2)).toEqual([
      "  let x = 1 {",
      "    A[x] = x",
      "  }",
      "  seq {",
      "    A[0] = 1",
      "  }",
      "  seq {",
      "  }",
      "  let y = 2",
      "  A[0] = y",
      "  barrier",
    ]);
  });

  test("long headers break into lines", () => {
    const params = Array.from({ length: 8 }, (_, n) => buffer(n, `operand${n}`, "f32", [64, 64], "arena"));
    const { text } = printKernel({
      name: "k",
      params,
      scalars: [],
      dims: [symbolId("N")],
      mayOverlap: [],
      body: block(),
    });
    expect(text.split("\n").slice(0, 2)).toEqual(["kernel @k(", "  operand0: f32[64, 64] arena,"]);
    expect(text).toContain("\n) dims (N) {\n}\n");
  });

  test("constants of more than 16 elements, and odd NaNs, stand in the table; equal ones once", () => {
    const odd = { ...tensorOf("f32", [1], [NaN]) };
    new DataView(odd.bytes.buffer).setUint32(0, 0x7fc00001, true);
    const type = (n: number) => tensorType("f32", [D.int(n)]);
    const g = graph(
      "g",
      [
        value(0, "a", type(16), { constant: ascending("f32", [16]) }),
        value(1, "b", type(17), { constant: ascending("f32", [17]) }),
        value(2, "b", type(17), { constant: ascending("f32", [17]) }),
        value(3, "c", type(1), { constant: odd }),
      ],
      [],
      [],
      [],
    );
    const { text, constants } = printGraph(g);
    expect([...constants.keys()].map((s) => s.split("#")[0])).toEqual(["b", "c"]);
    expect(text).toContain("%a: f32[16] unknown = const [-3.0, -2.0, -1.0, 0.0,");
  });

  test("printing is deterministic", () => {
    expect(printGraph(sampleGraph()).text).toBe(printGraph(sampleGraph()).text);
    expect(printTe(sampleTe()).text).toBe(printTe(sampleTe()).text);
    expect(printProgram(sampleProgram()).text).toBe(printProgram(sampleProgram()).text);
  });
});
