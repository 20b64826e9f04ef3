// Graphs that exporters write and tutorials do not: each compiles, runs and is right.
import { expect } from "vitest";
import type { CompiledTarget, FrontEnd } from "../../src/compile.ts";
import * as D from "../../src/ir/dim.ts";
import {
  body,
  bool,
  f32,
  type GraphCase,
  graphTests,
  i64,
  indices,
  mapped,
  node,
  ramp,
  scalar,
  vector,
} from "./graphs.ts";

const ops = (f: FrontEnd): string[] => f.graph.nodes.map((n) => n.def.name);
const x23 = ramp(2, 3);
const plus = (t: typeof x23, n: number): typeof x23 => mapped(t, (v) => v + n);
/** Neither weights nor the arena hold what is not needed. */
function stays(below: number): (f: FrontEnd, c: CompiledTarget) => void {
  return (_f, { program: { plan } }) => {
    for (const d of [plan.sizes.weights, plan.sizes.prepared, plan.sizes.arena]) expect(D.known(d)).toBeLessThan(below);
  };
}

const cases: readonly GraphCase[] = [
  {
    name: "an If whose condition is known is its branch, in a branch as well",
    model: {
      inputs: { x: ["f32", [2, 3]] },
      outputs: ["y"],
      initializers: { yes: bool(true), no: bool(false), one: vector(1) },
      nodes: [
        node("If", ["no"], ["y"], {
          then_branch: body([node("Neg", ["x"], ["a"])], ["a"]),
          else_branch: body(
            [
              node("If", ["yes"], ["b"], {
                then_branch: body([node("Add", ["x", "one"], ["c"])], ["c"]),
                else_branch: body([node("MatMul", ["x", "x"], ["c"])], ["c"]),
              }),
            ],
            ["b"],
          ),
        }),
      ],
    },
    check: (f) => expect(ops(f)).toEqual(["Add"]),
    runs: [{ inputs: { x: x23 }, outputs: { y: plus(x23, 1) } }],
  },
  {
    name: "a condition that follows from shapes is known",
    model: {
      inputs: { x: ["f32", [2, 3]] },
      outputs: ["y"],
      initializers: { two: scalar("i64", 2) },
      nodes: [
        node("Shape", ["x"], ["s"]),
        node("Size", ["s"], ["rank"]),
        node("Equal", ["rank", "two"], ["c"]),
        node("If", ["c"], ["y"], {
          then_branch: body([node("Transpose", ["x"], ["a"])], ["a"]),
          else_branch: body([node("Identity", ["x"], ["a"])], ["a"]),
        }),
      ],
    },
    check: (f) => expect(ops(f)).toEqual(["Transpose"]),
    runs: [{ inputs: { x: f32([2, 3], [1, 2, 3, 4, 5, 6]) }, outputs: { y: f32([3, 2], [1, 4, 2, 5, 3, 6]) } }],
  },
  {
    name: "unused initializers, nodes and inputs",
    model: {
      inputs: { x: ["f32", [3]], unused: ["f32", ["K"]] },
      outputs: ["y"],
      initializers: { one: vector(1), large: ramp(1000, 1000), "": vector(7) },
      nodes: [
        node("MatMul", ["large", "large"], ["nobody"]),
        node("Add", ["x", "one"], ["y"]),
        node("Split", ["x"], ["", "middle", ""], { num_outputs: 3 }),
      ],
    },
    check: (f, { program }) => {
      expect(ops(f)).toEqual(["Add"]);
      expect(D.known(program.plan.sizes.weights)).toBeLessThan(500);
    },
    runs: [2, 5].map((k) => ({
      inputs: { x: vector(1, 2, 3), unused: ramp(k) },
      outputs: { y: vector(2, 3, 4) },
    })),
  },
  {
    name: "one name in several scopes",
    model: {
      inputs: { x: ["f32", [3]], c: ["bool", []] },
      outputs: ["y", "t"],
      initializers: { w: vector(1, 1, 1) },
      nodes: [
        node("Mul", ["x", "x"], ["t"]),
        node("If", ["c"], ["u"], {
          then_branch: body([node("Add", ["x", "w"], ["t"]), node("Neg", ["t"], ["v"])], ["v"], {
            initializers: { w: vector(10, 20, 30) },
          }),
          else_branch: body([node("Sub", ["t", "w"], ["v"])], ["v"]),
        }),
        node("Add", ["u", "t"], ["v"]),
        node("Identity", ["v"], ["y"]),
      ],
    },
    runs: [
      { inputs: { x: vector(1, 2, 3), c: bool(true) }, outputs: { y: vector(-10, -18, -24), t: vector(1, 4, 9) } },
      { inputs: { x: vector(1, 2, 3), c: bool(false) }, outputs: { y: vector(1, 7, 17), t: vector(1, 4, 9) } },
    ],
  },
  {
    name: "captures from two scopes outside, of carried values and of what comes later in the file",
    model: {
      inputs: { x: ["f32", [2]], n: ["i64", []], c: ["bool", []] },
      outputs: ["y"],
      nodes: [
        node("Loop", ["n", "", "x"], ["y"], {
          body: body(
            [
              node("If", ["c"], ["next"], {
                then_branch: body([node("Add", ["state", "late"], ["a"])], ["a"]),
                else_branch: body(
                  [
                    node("Cast", ["i"], ["fi"], { to: 1 }),
                    node("Mul", ["late", "fi"], ["b"]),
                    node("Add", ["state", "b"], ["d"]),
                  ],
                  ["d"],
                ),
              }),
              node("Identity", ["go"], ["on"]),
            ],
            ["on", "next"],
            { inputs: { i: ["i64", []], go: ["bool", []], state: ["f32", [2]] } },
          ),
        }),
        node("Mul", ["x", "x"], ["late"]),
      ],
    },
    runs: [
      { inputs: { x: vector(1, 2), n: scalar("i64", 3), c: bool(true) }, outputs: { y: vector(4, 14) } },
      { inputs: { x: vector(1, 2), n: scalar("i64", 3), c: bool(false) }, outputs: { y: vector(4, 14) } },
      { inputs: { x: vector(1, 2), n: scalar("i64", 4), c: bool(false) }, outputs: { y: vector(7, 26) } },
      { inputs: { x: vector(1, 2), n: scalar("i64", 0), c: bool(false) }, outputs: { y: vector(1, 2) } },
    ],
  },
  {
    name: "optional inputs and outputs that are absent, at the end and in between",
    model: {
      inputs: { x: ["f32", [4]] },
      outputs: ["y", "indices", "mask"],
      initializers: { high: scalar("f32", 3) },
      nodes: [
        node("Clip", ["x", "", "high"], ["y"]),
        node("Unique", ["y"], ["", "", "indices"], { sorted: 1 }),
        node("Dropout", ["x"], ["", "mask"]),
      ],
    },
    runs: [
      {
        inputs: { x: vector(5, 2, 4, 2) },
        outputs: {
          y: vector(3, 2, 3, 2),
          indices: indices(1, 0, 1, 0),
          mask: { dtype: "bool", dims: [4], bytes: Uint8Array.of(1, 1, 1, 1) },
        },
      },
    ],
  },
  {
    name: "nothing but Identity",
    model: {
      inputs: { x: ["f32", ["N", 2]], k: ["i64", []] },
      outputs: ["y", "z", "l"],
      nodes: [
        node("Identity", ["x"], ["y"]),
        node("Identity", ["y"], ["t"]),
        node("Identity", ["t"], ["z"]),
        node("Identity", ["k"], ["l"]),
      ],
    },
    runs: [1, 3].map((n) => ({
      inputs: { x: ramp(n, 2), k: scalar("i64", -n) },
      outputs: { y: ramp(n, 2), z: ramp(n, 2), l: scalar("i64", -n) },
    })),
  },
  {
    name: "inputs that are outputs",
    model: {
      inputs: { x: ["f32", ["N"]], z: ["f32", ["N"]] },
      outputs: ["x", "sum", "z"],
      nodes: [node("Add", ["x", "z"], ["sum"])],
    },
    runs: [3, 1].map((n) => ({
      inputs: { x: ramp(n), z: plus(ramp(n), 5) },
      outputs: { x: ramp(n), sum: mapped(ramp(n), (v) => 2 * v + 5), z: plus(ramp(n), 5) },
    })),
  },
  {
    name: "inputs that are outputs, and no node",
    model: { inputs: { x: ["i64", [2]] }, outputs: ["x"], nodes: [] },
    runs: [{ inputs: { x: indices(4, -5) }, outputs: { x: indices(4, -5) } }],
  },
  {
    name: "initializers that are outputs, once and twice",
    model: {
      inputs: { x: ["f32", [2]] },
      outputs: ["w", "y", "v"],
      initializers: { w: ramp(2, 2), k: indices(1, 2, 3) },
      nodes: [node("MatMul", ["x", "w"], ["y"]), node("Identity", ["k"], ["v"])],
    },
    runs: [{ inputs: { x: vector(1, 2) }, outputs: { w: ramp(2, 2), y: vector(7, -10), v: indices(1, 2, 3) } }],
  },
  {
    name: "outputs that are a loop's state as it was, and a value that a branch only passes on",
    model: {
      inputs: { x: ["f32", [2]], c: ["bool", []] },
      outputs: ["y", "z"],
      initializers: { k: vector(7, 8), zero: scalar("i64", 0) },
      nodes: [
        node("Loop", ["zero", "", "x"], ["y"], {
          body: body([node("Neg", ["s"], ["s2"]), node("Identity", ["go"], ["on"])], ["on", "s2"], {
            inputs: { i: ["i64", []], go: ["bool", []], s: ["f32", [2]] },
          }),
        }),
        node("If", ["c"], ["z"], { then_branch: body([], ["x"]), else_branch: body([], ["k"]) }),
      ],
    },
    runs: [true, false].map((c) => ({
      inputs: { x: vector(1, 2), c: bool(c) },
      outputs: { y: vector(1, 2), z: c ? vector(1, 2) : vector(7, 8) },
    })),
  },
  {
    name: "a large ConstantOfShape that is broadcast and reduced takes no memory",
    model: {
      inputs: { x: ["f32", [1]] },
      outputs: ["y"],
      initializers: {
        shape: indices(1000, 1000, 1000),
        axes: indices(1, 2),
        starts: indices(0, 0, 0),
        ends: indices(1, 2, 2),
      },
      nodes: [
        node("ConstantOfShape", ["shape"], ["c"], { value: vector(2) }),
        node("Shape", ["c"], ["s"]),
        node("Gather", ["s", "axes"], ["t"]),
        node("ReduceProd", ["t"], ["n"]),
        node("Cast", ["n"], ["f"], { to: 1 }),
        node("Slice", ["c", "starts", "ends"], ["part"]),
        node("ReduceSum", ["part"], ["sum"], { keepdims: 0 }),
        node("Mul", ["sum", "x"], ["p"]),
        node("Add", ["p", "f"], ["y"]),
      ],
    },
    runs: [{ inputs: { x: vector(3) }, outputs: { y: vector(1000024) } }],
    check: stays(10_000),
  },
  {
    name: "a ConstantOfShape as an operand, and as an output of a small shape",
    model: {
      inputs: { x: ["f32", ["N", 8]] },
      outputs: ["y", "z"],
      initializers: { shape: indices(1, 8), pair: indices(2) },
      nodes: [
        node("ConstantOfShape", ["shape"], ["c"], { value: vector(3) }),
        node("Add", ["x", "c"], ["y"]),
        node("ConstantOfShape", ["pair"], ["z"], { value: i64([1], [9]) }),
      ],
    },
    runs: [2, 5].map((n) => ({
      inputs: { x: ramp(n, 8) },
      outputs: { y: plus(ramp(n, 8), 3), z: indices(9, 9) },
    })),
  },
  {
    name: "large splats made of shapes, expanded and tiled, stay numbers",
    model: {
      inputs: { x: ["f32", [4096, 4]] },
      outputs: ["y"],
      initializers: { shape: indices(4096, 4096), one: f32([1, 1], [1]) },
      nodes: [
        node("ConstantOfShape", ["shape"], ["a"], { value: vector(2) }),
        node("Expand", ["one", "shape"], ["b"]),
        node("Add", ["a", "b"], ["ab"]),
        node("ReduceMax", ["ab"], ["m"], { keepdims: 0 }),
        node("Mul", ["x", "m"], ["y"]),
      ],
    },
    runs: [{ inputs: { x: ramp(4096, 4) }, outputs: { y: mapped(ramp(4096, 4), (v) => 3 * v) } }],
    check: (f, c) => stays(3 * 4096 * 4 * 4)(f, c),
  },
];

graphTests(cases);
