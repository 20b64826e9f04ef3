import { describe, expect, test } from "vitest";
import type { SymbolId } from "../../src/base/brand.ts";
import { UserError } from "../../src/base/diagnostics.ts";
import { type NpzInput, readNpz } from "../../src/base/npz.ts";
import * as D from "../../src/ir/dim.ts";
import { type DType, tensorOf } from "../../src/ir/types.ts";
import { expectedFrom, inputsFrom, outputsTo } from "../../src/run/keys.ts";
import type { Port, Ports } from "../../src/run/ports.ts";
import { npzOf } from "./command.ts";

const port = (name: string, dtype: DType, ...shape: (number | string)[]): Port => ({
  name,
  dtype,
  shape: shape.map((d) => (typeof d === "number" ? D.int(d) : D.sym(d))),
});
const ports = (inputs: Port[], outputs: Port[] = []): Ports => ({
  inputs,
  outputs,
  symbols: [{ id: "N" as SymbolId, min: 1, max: 8, def: null }],
  lists: { inputs: [], outputs: [] },
});
const f = (...v: number[]) => tensorOf("f32", [v.length], v);
const codes = (run: () => unknown): string[] => {
  try {
    run();
  } catch (e) {
    if (e instanceof UserError) return e.diagnostics.map((d) => d.code);
    throw e;
  }
  return [];
};

describe("inputs", () => {
  const x = ports([port("x", "f32", "N")], [port("y", "f32", "N")]);
  test("in_NAME before NAME", () => {
    const { tensors, warnings } = inputsFrom(npzOf({ x: f(1), in_x: f(2) }), x);
    expect(tensors.x).toEqual(f(2));
    expect(warnings.map((w) => w.message)).toEqual([expect.stringContaining('"x"')]);
  });
  test("| stands for /", () => {
    const p = ports([port("a/b", "f32", "N"), port("c|d", "f32", "N")]);
    const { tensors, warnings } = inputsFrom(npzOf({ "in_a|b": f(1), "c|d": f(2) }), p);
    expect(tensors).toEqual({ "a/b": f(1), "c|d": f(2) });
    expect(warnings).toEqual([]);
  });
  test("names that every object has", () => {
    const p = ports([port("constructor", "f32", "N"), port("__proto__", "f32", "N")]);
    expect(codes(() => inputsFrom(npzOf({}), p))).toEqual(["E401", "E401"]);
    const { tensors } = inputsFrom(npzOf({ constructor: f(1), in___proto__: f(2) }), p);
    expect(Object.entries(tensors)).toEqual([
      ["constructor", f(1)],
      ["__proto__", f(2)],
    ]);
  });
  test("out_* and names of outputs are ignored, other keys are warnings", () => {
    const { warnings } = inputsFrom(
      npzOf({ x: f(1), out_0: f(1), out_anything: f(1), y: f(1), z: f(1), in_z: f(1) }),
      x,
    );
    expect(warnings.map((w) => w.code)).toEqual(["W101", "W101"]);
  });
  test("an input may be named out_0", () => {
    expect(inputsFrom(npzOf({ out_0: f(1) }), ports([port("out_0", "f32", "N")])).tensors.out_0).toEqual(f(1));
  });
  test.each([
    ["type", f(1), port("x", "i64", "N")],
    ["rank", f(1), port("x", "f32", "N", 1)],
    ["dim", f(1), port("x", "f32", 2)],
    ["bounds", tensorOf("f32", [9], new Array(9).fill(0)), port("x", "f32", "N")],
    ["scalar", f(1), port("x", "f32")],
  ])("another %s is an error", (_, given, p) => {
    expect(codes(() => inputsFrom(npzOf({ x: given }), ports([p])))).toEqual(["E402"]);
  });
  test("a symbol has one value", () => {
    const p = ports([port("a", "f32", "N"), port("b", "f32", "N")]);
    expect(codes(() => inputsFrom(npzOf({ a: f(1, 2), b: f(1) }), p))).toEqual(["E402"]);
  });
  test("every problem is told at once", () => {
    const p = ports([port("a", "f32", "N"), port("b", "f32", "N"), port("c", "bool")]);
    expect(codes(() => inputsFrom(npzOf({ b: tensorOf("f64", [1], [1]) }), p))).toEqual(["E401", "E402", "E401"]);
  });
});

describe("expected outputs", () => {
  const p = ports([port("x", "f32", "N")], [port("a/b", "f32", "N"), port("c", "i64")]);
  const x = { x: f(1, 2) };
  const c = tensorOf("i64", [], [5]);
  test("out_<i> before NAME; in_* and names of inputs are ignored", () => {
    const found = expectedFrom(npzOf({ out_0: f(1, 2), "a|b": f(3, 4), c, in_x: f(1), x: f(1), out_7: f(1) }), p, x);
    expect(found.tensors).toEqual({ "a/b": f(1, 2), c });
    expect(found.warnings.map((w) => w.code)).toEqual(["W101", "W101"]);
  });
  test.each([
    ["missing", { out_0: f(1, 2) }],
    ["type", { out_0: f(1, 2), c: f(1) }],
    ["shape", { out_0: f(1, 2, 3), c }],
  ])("another %s is an error", (_, given) => {
    expect(codes(() => expectedFrom(npzOf(given), p, x))).toEqual(["E404"]);
  });
});

describe("types that NumPy lacks", () => {
  test.each([
    ["bf16", "u16", [0x3f80, 0xffff]],
    ["f8e4m3fn", "u8", [0x38, 0xff]],
    ["f4e2m1", "u8", [1, 15]],
    ["u4", "u8", [0, 15]],
    ["u2", "u8", [3, 1]],
  ] as const)("%s travels as %s", (dtype, carrier, bits) => {
    const p = ports([port("x", dtype, "N")], [port("x", dtype, "N")]);
    const { tensors } = inputsFrom(npzOf({ x: tensorOf(carrier, [2], bits) }), p);
    expect(tensors.x).toEqual(tensorOf(dtype, [2], bits));
    expect(readNpz(outputsTo([{ name: "x", ...tensors.x! }]))).toEqual([
      { name: "x", ...tensorOf(carrier, [2], bits) },
    ]);
  });
  test.each([
    ["i4", [-1, -8, 7], [15, 8, 7]],
    ["i2", [-1, -2, 1], [3, 2, 1]],
  ] as const)("%s holds values in memory and bits in a file", (dtype, values, bits) => {
    const p = ports([port("x", dtype, 3)]);
    const { tensors } = inputsFrom(npzOf({ x: tensorOf("u8", [3], bits) }), p);
    expect(tensors.x).toEqual(tensorOf(dtype, [3], values));
    expect(readNpz(outputsTo([{ name: "x", ...tensors.x! }]))[0]!.bytes).toEqual(Uint8Array.from(bits));
  });
  test("the carrier is checked too", () => {
    const given: Record<string, Omit<NpzInput, "name">> = { x: f(1) };
    expect(codes(() => inputsFrom(npzOf(given), ports([port("x", "bf16", "N")])))).toEqual(["E402"]);
  });
});

test("outputs are written in the given order, the same bytes each time", () => {
  const list = [
    { name: "z/a", ...f(1) },
    { name: "a", ...tensorOf("bool", [], [1]) },
  ];
  const bytes = outputsTo(list);
  expect(readNpz(bytes).map((e) => [e.name, e.dtype, e.dims])).toEqual([
    ["z|a", "f32", [1]],
    ["a", "bool", []],
  ]);
  expect(outputsTo(list)).toEqual(bytes);
});
