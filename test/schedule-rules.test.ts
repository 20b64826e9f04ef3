// Every schedule rule and storage choice against the fallback: same graph, same data, same numbers.
import { describe, expect, test } from "vitest";
import { lowerProgram } from "../passes/lower.ts";
import { group } from "../passes/te/group.ts";
import { inline } from "../passes/te/inline.ts";
import { chooseStorage, resolveStorage } from "../passes/te/storage.ts";
import { toTe } from "../passes/te/to-te.ts";
import * as D from "../src/ir/dim.ts";
import type { Attrs, Graph } from "../src/ir/graph.ts";
import { GraphMaker } from "../src/ir/graph-maker.ts";
import { countOf, tensorOf, tensorType, typedView } from "../src/ir/types.ts";
import { verifyProgram } from "../src/ir/verify.ts";
import { OpTable } from "../src/ops/index.ts";
import { evaluateProgram } from "../targets/js/evaluate.ts";
import { jsTarget } from "../targets/js/index.ts";

const ops = new OpTable();
let state = 1;
const random = (): number => {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0;
  return state / 2 ** 31 - 1;
};
const floats = (dims: readonly number[]): ReturnType<typeof tensorOf> =>
  tensorOf("f32", dims, Array.from({ length: countOf(dims) }, random));

/** A graph of one op over an input of these dims and constants of those. */
function graph(type: string, attrs: Attrs, input: readonly number[], constants: readonly (readonly number[])[]): Graph {
  const m = new GraphMaker("g");
  const x = m.input("x", tensorType("f32", input.map(D.int)));
  const def = ops.find("", type, 17)!;
  const [y] = m.node(def, attrs, [x, ...constants.map((c) => m.constant(floats(c)))], ["y"], { node: type, op: type });
  return m.finish([y!]);
}
const window = (kernel: number[], strides: number[], pads: number[], dilations: number[] = []): Attrs => ({
  autoPad: "NOTSET",
  kernel,
  strides,
  dilations,
  pads,
  ceil: false,
});
const cases: readonly (readonly [string, string, Attrs, readonly number[], readonly (readonly number[])[]])[] = [
  ["matmul 1x33x17", "MatMul", {}, [1, 33], [[33, 17]]],
  ["matmul 7x8x10", "MatMul", {}, [7, 8], [[8, 10]]],
  ["batched matmul", "MatMul", {}, [2, 5, 9], [[2, 9, 3]]],
  ["conv 3x3", "Conv", { ...window([], [1, 1], [1, 1, 1, 1]), group: 1 }, [2, 3, 7, 9], [[10, 3, 3, 3], [10]]],
  ["conv 5x5 stride 2", "Conv", { ...window([], [2, 2], [2, 2, 1, 1]), group: 1 }, [1, 4, 11, 8], [[8, 4, 5, 5]]],
  ["conv 1x1", "Conv", { ...window([], [1, 1], [0, 0, 0, 0]), group: 1 }, [1, 16, 5, 5], [[17, 16, 1, 1]]],
  ["conv dilated", "Conv", { ...window([], [1, 1], [2, 2, 2, 2], [2, 2]), group: 1 }, [1, 8, 9, 9], [[4, 8, 3, 3]]],
  ["depthwise", "Conv", { ...window([], [1, 1], [1, 1, 1, 1]), group: 12 }, [1, 12, 9, 10], [[12, 1, 3, 3], [12]]],
  ["grouped", "Conv", { ...window([], [1, 1], [1, 1, 1, 1]), group: 2 }, [1, 8, 6, 6], [[12, 4, 3, 3]]],
  ["conv 1d", "Conv", { ...window([], [1], [1, 1]), group: 1 }, [1, 4, 33], [[8, 4, 3]]],
  [
    "max pool",
    "MaxPool",
    { ...window([3, 3], [2, 2], [1, 1, 1, 1]), includePad: false, storageOrder: 0, p: 2 },
    [1, 5, 13, 12],
    [],
  ],
  [
    "average pool",
    "AveragePool",
    { ...window([2, 2], [2, 2], [0, 0, 1, 1]), includePad: false, storageOrder: 0, p: 2 },
    [2, 8, 7, 7],
    [],
  ],
  ["transpose", "Transpose", { perm: [0, 2, 3, 1] }, [2, 3, 17, 5], []],
  ["argmax", "ArgMax", { axis: 1, keep: true, last: false }, [2, 5, 12], []],
  ["relu", "Relu", {}, [3, 7, 11], []],
];

describe("rules give what the fallback gives", () => {
  for (const [name, type, attrs, input, constants] of cases) {
    test(name, () => {
      const g = graph(type, attrs, input, constants);
      const x = new Map([["x", floats(input)]]);
      const target = jsTarget.info;
      const plain = lowerProgram(resolveStorage(toTe(g)), { target, strict: true, fallbackOnly: true });
      const fast = lowerProgram(group(chooseStorage(inline(toTe(g)), target)), { target, strict: false });
      verifyProgram(fast);
      const want = evaluateProgram(plain, x).get("y")!;
      const got = evaluateProgram(fast, x).get("y")!;
      const a = Array.from(typedView(want.dtype, want.bytes), Number);
      const b = Array.from(typedView(got.dtype, got.bytes), Number);
      expect(got.dims).toEqual(want.dims);
      const peak = a.reduce((p, v) => Math.max(p, Math.abs(v)), 0);
      expect(peak).toBeGreaterThan(0);
      a.forEach((v, i) => {
        expect(Math.abs(v - b[i]!)).toBeLessThanOrEqual(1e-5 * peak);
      });
    });
  }
});
