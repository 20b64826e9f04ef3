import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import type { Model } from "../../runtime/linear.ts";
import { InternalError } from "../../src/base/assert.ts";
import { UserError } from "../../src/base/diagnostics.ts";
import * as D from "../../src/ir/dim.ts";
import { constant, i32, mulAdd, unary, v } from "../../src/ir/expr.ts";
import type { LoopExpr } from "../../src/ir/loops.ts";
import type { Program } from "../../src/ir/program.ts";
import type { Tensor } from "../../src/ir/types.ts";
import { tensorOf, typedView } from "../../src/ir/types.ts";
import { evaluateProgram } from "../../targets/js/evaluate.ts";
import { jsTarget } from "../../targets/js/index.ts";
import { printProgram } from "../../targets/js/print.ts";
import { Draft, linearMemory, loadOf, loop, n, store } from "./programs/draft.ts";
import { op, range } from "./programs/structure.ts";
import { programs } from "./programs.ts";

const named = (name: string): Program => programs.find((f) => f.name === name)!.program;
const scalarOnes = programs.filter((f) => f.needs.vectors === 1);

/** y[i] = f(x[i]) over f32[4]. */
function mapped(f: (x: LoopExpr) => LoopExpr): Program {
  const d = new Draft("mapped");
  const [x, y] = [d.input("x", "f32", [n(4)]), d.output("y", "f32", [n(4)])];
  const k = d.kernel("f", (kd) => {
    const [kx, ky] = [kd.param("x", "f32", [n(4)]), kd.param("y", "f32", [n(4)])];
    return loop("i", i32(4), store(ky, v("i"), f(loadOf(kx, v("i")))));
  });
  d.run.push(d.call(k, [x, y]));
  return d.build(linearMemory);
}
/** The statements of the loop of `mapped(f)`. */
function statement(f: (x: LoopExpr) => LoopExpr, strict = true): string {
  return /for .*\{\n([^}]*)\}/
    .exec(printProgram(mapped(f), { strict }))![1]!
    .trim()
    .replace(/\n\s*/g, " ");
}
const x4 = (values: readonly number[]): ReadonlyMap<string, Tensor> => new Map([["x", tensorOf("f32", [4], values)]]);
const floats = (t: Tensor): number[] => [...typedView(t.dtype, t.bytes)].map(Number);

describe("printed text", () => {
  test("is the same each time, without eval and Function", () => {
    for (const { program } of scalarOnes) {
      const text = printProgram(program, { strict: false });
      expect(printProgram(program, { strict: false })).toBe(text);
      expect(text).not.toMatch(/\beval\b|\bFunction\b|\bimport\b|[^ -~\n]/);
    }
  });
  test("a plain kernel reads like one written by hand", () => {
    const text = printProgram(named("matmul"), { strict: false });
    expect(text).toContain(`  function matmul_2x2(x, y, z) {
    x >>>= 2; y >>>= 2; z >>>= 2;
    for (let i = 0; i < 4; i += 2) {
      for (let j = 0; j < 6; j += 2) {
        let acc0 = 0;
        let acc1 = 0;
        let acc2 = 0;
        let acc3 = 0;
        for (let k = 0; k < 5; k++) {
          acc0 = f(F32[x + i * 5 + k] * F32[y + k * 6 + j] + acc0);`);
  });
  test("memory rounds and wraps: no fround or | 0 at a store, none twice elsewhere", () => {
    const one = constant("f32", 1);
    expect(statement((x) => op("add")(x, one))).toBe("F32[y + i] = F32[x + i] + 1;");
    expect(statement((x) => op("mul")(op("add")(x, one), x))).toBe(
      "const $0 = F32[x + i]; F32[y + i] = f($0 + 1) * $0;",
    );
    expect(statement((x) => mulAdd(x, one, one, "either"), false)).toBe("F32[y + i] = F32[x + i] * 1 + 1;");
    expect(statement((x) => mulAdd(x, one, one, "either"), true)).toBe("F32[y + i] = f(F32[x + i] * 1) + 1;");
    expect(statement((x) => unary("floor", x))).toBe("F32[y + i] = Math.floor(F32[x + i]);");
  });
  test("a 64-bit cell is read as its low word when 32 bits are wanted", () => {
    const d = new Draft("low");
    const [a, z] = [d.input("a", "i64", [n(3)]), d.output("z", "i32", [n(3)])];
    const k = d.kernel("low", (kd) => {
      const [ka, kz] = [kd.param("a", "i64", [n(3)]), kd.param("z", "i32", [n(3)])];
      return loop("i", i32(3), store(kz, v("i"), { kind: "cast", dtype: "i32", x: loadOf(ka, v("i")) }));
    });
    d.run.push(d.call(k, [a, z]));
    const p = d.build(linearMemory);
    expect(printProgram(p, { strict: true })).toContain("I32[z + i] = I32[(a + i) * 2];");
    const out = evaluateProgram(p, new Map([["a", tensorOf("i64", [3], [-1n, 2n ** 32n + 5n, 2n ** 31n])]]));
    expect(floats(out.get("z")!)).toEqual([-1, 5, -(2 ** 31)]);
  });
  test("vectors, threads and float functions that nobody decomposed are refused", () => {
    for (const f of programs.filter((g) => g.needs.vectors > 1)) {
      expect(() => printProgram(f.program, { strict: true }), f.name).toThrow(InternalError);
    }
    for (const name of ["exp", "log", "sin", "cos", "tanh", "erf"] as const) {
      expect(() =>
        printProgram(
          mapped((x) => unary(name, x)),
          { strict: true },
        ),
      ).toThrow(InternalError);
    }
    expect(() =>
      printProgram(
        mapped((x) => op("pow")(x, x)),
        { strict: true },
      ),
    ).toThrow(InternalError);
  });
  test("static memory over 4 GiB is E303", () => {
    const d = new Draft("huge");
    d.temp("t", "f32", [D.int(2 ** 30)]);
    expect(() => printProgram(d.build(linearMemory), { strict: true })).toThrow(UserError);
  });
});

describe("mulAdd", () => {
  const a = 1 + 2 ** -12;
  const p = mapped((x) => mulAdd(x, x, constant("f32", -1), "either"));
  const y = (strict?: boolean): number =>
    floats(evaluateProgram(p, x4([a, 0, 1, 2]), strict === undefined ? {} : { strict }).get("y")!)[0]!;
  test("either rounds twice when strict, which is the default of evaluation", () => {
    expect(y(true)).toBe(Math.fround(Math.fround(a * a) - 1));
    expect(y()).toBe(y(true));
  });
  test("and once otherwise", () => {
    expect(y(false)).toBe(Math.fround(a * a - 1));
    expect(y(false)).not.toBe(y(true));
  });
});

describe("evaluateProgram", () => {
  const p = mapped((x) => unary("neg", x));
  test("gives outputs by name, in bytes of their own", () => {
    const first = evaluateProgram(p, x4([1, -2, 0, 4]));
    evaluateProgram(p, x4([9, 9, 9, 9]));
    expect([...first.keys()]).toEqual(["y"]);
    expect(floats(first.get("y")!)).toEqual([-1, 2, -0, -4]);
    expect(first.get("y")!.dims).toEqual([4]);
  });
  test("an input that is missing or of another size is our mistake", () => {
    expect(() => evaluateProgram(p, new Map())).toThrow(InternalError);
    expect(() => evaluateProgram(p, new Map([["x", tensorOf("f32", [3], [1, 2, 3])]]))).toThrow(InternalError);
    expect(() => evaluateProgram(p, new Map([["x", tensorOf("f32", [2, 2], [1, 2, 3, 4])]]))).toThrow(InternalError);
  });
  test("the seed is the run's", () => {
    const out = evaluateProgram(named("seed"), new Map([["x", tensorOf("i32", [1], [0])]]), { seed: 3 });
    expect(floats(out.get("z")!)).toEqual([Math.imul(3, -1640531527)]);
  });
});

describe("artifacts", () => {
  async function load(name: string, weights: "embed" | "file"): Promise<Model> {
    const { files } = await jsTarget.emit(named(name), { name: "m", weights, strict: false });
    const folder = mkdtempSync(join(tmpdir(), "ingot-js-"));
    try {
      for (const f of files) writeFileSync(join(folder, f.path), f.bytes);
      const made = (await import(/* @vite-ignore */ pathToFileURL(join(folder, "m.mjs")).href)) as {
        load(): Promise<Model>;
      };
      return await made.load();
    } finally {
      rmSync(folder, { recursive: true });
    }
  }
  test.each(["embed", "file"] as const)("with weights %s run by the loader", async (weights) => {
    const model = await load("prepared", weights);
    const y = model.runSync({ x: { data: Float32Array.of(1, 1, 1, 1, 2, 3, 4, 5), dims: [2, 4] } });
    expect([...y.z!.data]).toEqual([2 * 2, -4 * 2, 6 * 2, 1 * 2, 8, -24, 48, 10]);
  });
  test("with a growing heap, an output of data-dependent dims, several runs", async () => {
    const model = await load("growing-heap", "embed");
    for (const count of [2, 100_000, 5]) {
      const { big, first } = model.runSync({ x: Int32Array.of(-7, count) });
      expect(first!.data).toEqual(Int32Array.of(-7, count));
      expect(big!.dims).toEqual([count + 1]);
      expect([...big!.data].slice(-3)).toEqual([...range(count).map((i) => 6 * i + 2), -7].slice(-3));
    }
    expect(() => model.runSync({ x: Int32Array.of(0, (1 << 24) + 1) })).toThrow(/out of its range/);
  });
});
