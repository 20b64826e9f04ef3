// Narrow integers as text before and after (narrow-integers.ir), and random integer graphs: results stay the same bit for bit.
import { describe, expect, test } from "vitest";
import { fitsI32, integerRanges } from "../../../passes/graph/integer-ranges.ts";
import { narrowIntegers } from "../../../passes/graph/narrow-integers.ts";
import { toTe } from "../../../passes/te/to-te.ts";
import type { ValueId } from "../../../src/base/brand.ts";
import * as D from "../../../src/ir/dim.ts";
import type { Attrs, Graph } from "../../../src/ir/graph.ts";
import { GraphMaker } from "../../../src/ir/graph-maker.ts";
import { type DType, type Tensor, tensorOf, tensorType } from "../../../src/ir/types.ts";
import { verifyGraph } from "../../../src/ir/verify.ts";
import { OpTable } from "../../../src/ops/index.ts";
import { Interpreter } from "../../ops/interpret.ts";
import { expectEqual, testSections } from "./cases.ts";

testSections("narrow-integers.ir", narrowIntegers);

const ops = new OpTable();
const size = 5;
/** Numbers around the limits of i32, and small ones. */
const marks = [0, 1, -1, 2, 3, 7, -8, 100, 255, 30000, 2 ** 16, 2 ** 31 - 1, -(2 ** 31), 2 ** 31, 2 ** 33 + 5];

class RandomGraph {
  readonly m = new GraphMaker("random");
  private readonly values: ValueId[] = [];
  private state: number;
  constructor(seed: number) {
    this.state = seed;
  }
  below(n: number): number {
    this.state = (Math.imul(this.state, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.state / 2 ** 32) * n);
  }
  private add(op: string, inputs: readonly ValueId[], attrs: Attrs = {}): ValueId {
    return this.m.add(ops.named(op)!, inputs, attrs)[0]!;
  }
  private constant(numbers: readonly number[], dims: readonly number[] = [numbers.length]): ValueId {
    return this.m.constant(tensorOf("i64", dims, numbers.map(BigInt)));
  }
  private pick(): ValueId {
    return this.values[this.below(this.values.length)]!;
  }
  private mark(): number {
    return marks[this.below(marks.length)]!;
  }
  /** All values are i64 of `size` elements. */
  private next(): ValueId {
    const [a, b] = [this.pick(), this.pick()];
    switch (this.below(16)) {
      case 0:
        return this.constant(Array.from({ length: size }, () => this.mark()));
      case 1: {
        const [p, q] = [this.mark(), this.mark()];
        return this.add("Clip", [a, this.constant([Math.min(p, q)], []), this.constant([Math.max(p, q)], [])]);
      }
      case 2:
        return this.add("Where", [this.add("Less", [a, b]), b, a]);
      case 3:
        return this.add(["Neg", "Abs", "Sign", "Relu"][this.below(4)]!, [a]);
      case 4:
        return this.add("CumSum", [a, this.constant([0], [])], { exclusive: this.below(2) === 0, reverse: false });
      case 5: {
        const op = ["ReduceSum", "ReduceMax", "ReduceMin", "ReduceMean"][this.below(4)]!;
        return this.add("Add", [this.add(op, [a], { axes: [0], keep: true, noop: false }), b]);
      }
      case 6: {
        const wide = this.add("Concat", [a, b], { axis: 0 });
        const at = this.below(size);
        return this.add("Slice", [wide, this.constant([at]), this.constant([at + size])]);
      }
      case 7:
        return this.add("Gather", [a, this.constant(Array.from({ length: size }, () => this.below(2 * size) - size))], {
          axis: 0,
        });
      case 8:
        return this.add("Mod", [a, b], { fmod: this.below(2) });
      case 9:
        return this.add("Cast", [this.add("Cast", [a], { to: "i32" })], { to: "i64" });
      case 10:
        return this.add("Mul", [a, this.constant([this.mark()], [1])]);
      default:
        return this.add(["Add", "Sub", "Mul", "Div", "Min", "Max"][this.below(6)]!, [a, b]);
    }
  }
  make(): { readonly graph: Graph; readonly inputs: readonly Tensor[] } {
    const inputs: Tensor[] = [];
    const types: readonly DType[] = ["bool", "u8", "i8", "i16", "i32", "u32", "i64"];
    for (let k = 0; k < 3; k++) {
      const d = types[this.below(types.length)]!;
      const x = this.m.input(`x${k}`, tensorType(d, [D.int(size)]));
      inputs.push(
        tensorOf(
          d,
          [size],
          Array.from({ length: size }, () => (d === "bool" ? this.below(2) : this.mark())),
        ),
      );
      this.values.push(d === "i64" ? x : this.add("Cast", [x], { to: "i64" }));
    }
    for (let k = 0; k < 12; k++) this.values.push(this.next());
    const outputs = [this.pick(), this.pick(), this.values[this.values.length - 1]!].filter(
      (v) => !this.m.inputs.includes(v),
    );
    return { graph: this.m.finish([...new Set(outputs)]), inputs };
  }
}

describe("random graphs", () => {
  let narrowed = 0;
  test.each(Array.from({ length: 60 }, (_, k) => k + 1))("%i", (seed) => {
    const { graph, inputs } = new RandomGraph(seed).make();
    const result = narrowIntegers(graph);
    verifyGraph(result);
    narrowed += result.nodes.filter((n) => n.outputs.some((o) => o !== null && isI32(result, o))).length;
    expectEqual(graph, result, 0, inputs);
  });
  test("much is narrowed", () => {
    expect(narrowed).toBeGreaterThan(100);
  });
  test("ranges hold", () => {
    for (let seed = 100; seed < 160; seed++) {
      const { graph, inputs } = new RandomGraph(seed).make();
      const ranges = integerRanges(graph);
      const made = graph.nodes.flatMap((n) =>
        n.outputs.filter((o) => o !== null && graph.values.get(o)!.constant === undefined),
      );
      const all: Graph = { ...graph, outputs: made as ValueId[] };
      new Interpreter(toTe(all)).run(inputs).forEach((t, k) => {
        const { lo, hi } = ranges.get(all.outputs[k]!)!;
        for (const x of t.data) expect(Number(x) >= lo && Number(x) <= hi, `${x} in ${lo}..${hi}`).toBe(true);
      });
    }
  });
});
function isI32(g: Graph, v: ValueId): boolean {
  const t = g.values.get(v)!.type;
  return t.kind === "tensor" && t.tensor.dtype === "i32";
}

test("extents are taken to be at most 2^29, unless a tensor has that many elements", () => {
  const m = new GraphMaker("g");
  const [n, k] = ["N", "M"].map((name) => {
    m.symbol({ id: name as never, min: 0, max: null, def: null });
    return D.sym(name);
  }) as [D.Dim, D.Dim];
  const a = m.input("a", tensorType("f32", [n]));
  const b = m.input("b", tensorType("f32", [k]));
  const [p, q] = [a, b].map((x) => m.add(ops.named("Shape")!, [x], { start: 0, end: 1 })[0]!) as [ValueId, ValueId];
  const sum = m.add(ops.named("Add")!, [p, q], {})[0]!;
  const product = m.add(ops.named("Mul")!, [p, q], {})[0]!;
  const fits = (g: Graph, v: ValueId): boolean => fitsI32(integerRanges(g).get(v)!);
  const g = m.finish([sum, product]);
  expect([fits(g, sum), fits(g, product)]).toEqual([true, false]);
  m.add(ops.named("Expand")!, [a, m.add(ops.named("Concat")!, [q, p], { axis: 0 })[0]!], {});
  expect(fits(m.finish([sum, product]), product)).toBe(true);
});
