// Shapes and shape arithmetic: what infer makes of symbolic extents, and what the formulas say of known and partly known tensors.
import { describe, expect, test } from "vitest";
import type { SymbolId, ValueId } from "../../src/base/brand.ts";
import { UserError } from "../../src/base/diagnostics.ts";
import * as D from "../../src/ir/dim.ts";
import type { Attrs } from "../../src/ir/graph.ts";
import { GraphMaker } from "../../src/ir/graph-maker.ts";
import type { OpDef } from "../../src/ir/opdef.ts";
import { type DType, type Tensor, tensorOf, tensorType } from "../../src/ir/types.ts";
import { ConstantOfShape, Range } from "../../src/ops/create.ts";
import { Einsum } from "../../src/ops/einsum.ts";
import { Gather } from "../../src/ops/index-ops.ts";
import { Concat, Expand, Shape, Split, Tile } from "../../src/ops/move.ts";
import { Resize } from "../../src/ops/resize.ts";
import { Pad, Slice } from "../../src/ops/slice.ts";
import { TopK } from "../../src/ops/sort.ts";
import { Reshape } from "../../src/ops/view.ts";

const N = D.sym("N");
const T = D.sym("T");
function maker(): GraphMaker {
  const m = new GraphMaker("test");
  for (const id of ["N", "T"]) m.symbol({ id: id as SymbolId, min: 1, max: null, def: null });
  return m;
}
const i64 = (...values: readonly number[]): Tensor => tensorOf("i64", [values.length], values);
const input = (m: GraphMaker, shape: readonly D.Dim[], dtype: DType = "f32"): ValueId =>
  m.input(`x${m.inputs.length}`, tensorType(dtype, shape));
function add<A extends Attrs>(
  m: GraphMaker,
  def: OpDef<A>,
  inputs: readonly (ValueId | Tensor | null)[],
  attrs: A,
  outputs = 1,
): readonly ValueId[] {
  return m.add(
    def,
    inputs.map((i) => (i !== null && typeof i === "object" ? m.constant(i) : i)),
    attrs,
    outputs,
  );
}
function shape(m: GraphMaker, v: ValueId): string {
  const t = m.type(v);
  return t.kind === "tensor" ? t.tensor.shape.map((d) => d.key).join(" | ") : t.kind;
}
const elements = (m: GraphMaker, v: ValueId): string | undefined =>
  m
    .known(v)
    ?.elements.map((e) => (e === null ? "?" : typeof e === "number" ? String(e) : e.key))
    .join(" ");
const message = (f: () => unknown): string => {
  try {
    f();
  } catch (e) {
    if (e instanceof UserError) return e.diagnostics[0]!.message;
    throw e;
  }
  return "no error";
};

describe("Slice", () => {
  const far = Number.MAX_SAFE_INTEGER;
  const sliced = (starts: number, ends: number, step: number, d: D.Dim = N): string => {
    const m = maker();
    return shape(m, add(m, Slice, [input(m, [d]), i64(starts), i64(ends), i64(0), i64(step)], {})[0]!);
  };
  test.each([
    [0, far, 1, "N"],
    [1, far, 1, "N + -1"],
    [0, -1, 1, "N + -1"],
    [-1, far, 1, "1"],
    [0, far, 2, "floordiv(N + 1, 2)"],
    [-1, -far, -1, "N"],
    [2, 1, 1, "0"],
    [far, far, 1, "0"],
  ])("of a symbolic axis: %i:%i:%i", (s, e, step, want) => expect(sliced(s, e, step)).toBe(want));
  test.each([
    [-2, far, 1, "2"],
    [4, 1, -1, "3"],
    [-1, -7, -2, "3"],
    [7, -8, -3, "2"],
    [3, 100, 4, "1"],
  ])("of an axis of 5: %i:%i:%i", (s, e, step, want) => expect(sliced(s, e, step, D.int(5))).toBe(want));
  test("a start known only in the run makes a symbol", () => {
    const m = maker();
    const out = add(m, Slice, [input(m, [N, D.int(3)]), input(m, [D.one], "i64"), i64(9), i64(0)], {})[0]!;
    expect(shape(m, out)).toMatch(/^\$slice\.\d+ \| 3$/);
  });
  test("a step of 0 is a mistake", () => expect(message(() => sliced(0, 4, 0))).toBe("a step is 0"));
});

describe("extents", () => {
  test("Split: equal parts, the last smaller", () => {
    const m = maker();
    const parts = add(m, Split, [input(m, [D.int(7)])], { axis: 0, ceil: true }, 4);
    expect(parts.map((p) => shape(m, p))).toEqual(["2", "2", "2", "1"]);
    expect(
      add(m, Split, [input(m, [D.mul(D.int(2), N)])], { axis: 0, ceil: false }, 2).map((p) => shape(m, p)),
    ).toEqual(["N", "N"]);
    expect(message(() => add(m, Split, [input(m, [D.int(7)])], { axis: 0, ceil: false }, 2))).toContain(
      "does not divide",
    );
  });
  test("Pad, Tile, Expand", () => {
    const m = maker();
    expect(shape(m, add(m, Pad, [input(m, [N, T]), i64(1, 0, 2, -1)], { mode: "constant" })[0]!)).toBe(
      "N + 3 | T + -1",
    );
    expect(shape(m, add(m, Tile, [input(m, [N]), i64(3)], {})[0]!)).toBe("3*N");
    expect(shape(m, add(m, Expand, [input(m, [D.one, T]), i64(4, 1, 1)], {})[0]!)).toBe("4 | 1 | T");
  });
  test("Resize by a ratio that f32 rounds", () => {
    const m = maker();
    const attrs = {
      mode: "linear",
      coordinates: "half_pixel",
      nearest: "floor",
      a: -0.75,
      antialias: false,
      excludeOutside: false,
      extrapolation: 0,
      policy: "stretch",
      roi: 1,
      scalesAt: 2,
      sizesAt: 3,
    };
    const third = tensorOf("f32", [1], [1 / 300]);
    const out = add(m, Resize, [input(m, [D.mul(D.int(300), N)]), null, third], attrs)[0]!;
    expect(shape(m, out)).toBe("N");
  });
  test("Range and ConstantOfShape", () => {
    const m = maker();
    const n = add(m, Shape, [input(m, [N])], { start: 0, end: 1 })[0]!;
    const scalar = (v: number): Tensor => tensorOf("i64", [], [v]);
    expect(shape(m, add(m, Range, [scalar(0), n, scalar(1)], {})[0]!)).toBe("N");
    expect(shape(m, add(m, Range, [scalar(9), scalar(0), scalar(-2)], {})[0]!)).toBe("5");
    expect(elements(m, add(m, Range, [scalar(9), scalar(0), scalar(-2)], {})[0]!)).toBe("9 7 5 3 1");
    expect(shape(m, add(m, ConstantOfShape, [n], {})[0]!)).toBe("N");
  });
  test("TopK of more than there is", () => {
    const m = maker();
    expect(message(() => add(m, TopK, [input(m, [D.int(3)]), i64(4)], { axis: 0, largest: true }, 2))).toBe(
      "4 elements of an axis of 3",
    );
  });
  test("Einsum: labels that differ", () => {
    const m = maker();
    expect(shape(m, add(m, Einsum, [input(m, [N, T]), input(m, [T, D.int(4)])], { equation: "ij,jk->ki" })[0]!)).toBe(
      "4 | N",
    );
    expect(message(() => add(m, Einsum, [input(m, [D.int(2)]), input(m, [D.int(3)])], { equation: "i,i->" }))).toBe(
      "label i is both 2 and 3",
    );
  });
});

describe("shape arithmetic", () => {
  test("Shape, Gather, Concat, Reshape", () => {
    const m = maker();
    const x = input(m, [N, T, D.int(8)]);
    const dims = add(m, Shape, [x], { start: 0, end: 3 })[0]!;
    const n = add(m, Gather, [dims, i64(0)], { axis: 0 })[0]!;
    const last = add(m, Gather, [dims, tensorOf("i64", [1], [-1])], { axis: 0 })[0]!;
    const wanted = add(m, Concat, [n, i64(-1), last], { axis: 0 })[0]!;
    expect(elements(m, wanted)).toBe("N -1 8");
    expect(shape(m, add(m, Reshape, [x, wanted], { allowZero: false })[0]!)).toBe("N | T | 8");
  });
  test("a slice of a shape, in reverse", () => {
    const m = maker();
    const dims = add(m, Shape, [input(m, [N, T, D.int(8)])], { start: 0, end: 3 })[0]!;
    expect(elements(m, add(m, Slice, [dims, i64(-1), i64(-9), i64(0), i64(-1)], {})[0]!)).toBe("8 T N");
  });
  test("an index out of range is found", () => {
    const m = maker();
    const dims = add(m, Shape, [input(m, [N, T])], { start: 0, end: 2 })[0]!;
    expect(message(() => add(m, Gather, [dims, i64(2)], { axis: 0 }))).toBe("index 2 is out of range for an axis of 2");
  });
});
