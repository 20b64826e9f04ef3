// The C target, by two compilers: every hand-built program with many kinds of flags, and what the files promise.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { must } from "../../src/base/assert.ts";
import type { OutputFile } from "../../src/ir/artifact.ts";
import * as D from "../../src/ir/dim.ts";
import { add, constant, i32, mul, mulAdd, v } from "../../src/ir/expr.ts";
import type { LoopExpr } from "../../src/ir/loops.ts";
import type { Buffer } from "../../src/ir/storage.ts";
import type { EmitOptions } from "../../src/ir/target.ts";
import type { Tensor } from "../../src/ir/types.ts";
import { countOf, tensorOf, typedView } from "../../src/ir/types.ts";
import type { CBuild, CCase } from "../../targets/c/harness.ts";
import { benchC, findCompiler, runC, runCases } from "../../targets/c/harness.ts";
import { cInfo, cTarget } from "../../targets/c/index.ts";
import { need } from "../need.ts";
import { Draft, fixture, loadOf, loop, n, store } from "./programs/draft.ts";
import type { Fixture } from "./programs.ts";
import { programs } from "./programs.ts";

const text = (files: readonly OutputFile[], suffix: string): string =>
  new TextDecoder().decode(
    must(
      files.find((f) => f.path.endsWith(suffix)),
      suffix,
    ).bytes,
  );

const f32sOf = (t: Tensor): number[] => Array.from(typedView(t.dtype, t.bytes) as Float32Array);

async function caseOf(f: Fixture, name: string, more: Partial<EmitOptions> = {}): Promise<CCase> {
  const program = f.layout({ ...cInfo(), ioInArena: f.needs.planned });
  const { files } = await cTarget.emit(program, { name, weights: "embed", strict: false, ...more });
  return { program, name, files, runs: f.runs };
}

/** Units in the last place between two elements; 0 when both are NaN, infinite when only one is or for other integers. */
function distance(t: Tensor, got: number | bigint, want: number | bigint): number {
  if (Object.is(got, want)) return 0;
  if ((t.dtype !== "f32" && t.dtype !== "f64") || got === want) return Number.POSITIVE_INFINITY;
  const [x, y] = [Number(got), Number(want)];
  if (Number.isNaN(x) || Number.isNaN(y)) return Number.POSITIVE_INFINITY;
  const order = (z: number): bigint => {
    const d = new DataView(new ArrayBuffer(8));
    d.setFloat64(0, z);
    const bits = d.getBigInt64(0);
    return bits < 0n ? -(bits & (2n ** 63n - 1n)) : bits;
  };
  // An f32 is a double whose last 29 bits are 0.
  const far = Number(order(x) - order(y)) / (t.dtype === "f32" ? 2 ** 29 : 1);
  return Math.abs(far);
}
/** What is wrong with an output, element by element. */
function differences(f: Fixture, run: number, name: string, got: Tensor, want: Tensor): string[] {
  if (got.dims.join() !== want.dims.join()) return [`${f.name} run ${run} ${name}: dims ${got.dims}, not ${want.dims}`];
  const [a, b] = [typedView(got.dtype, got.bytes), typedView(want.dtype, want.bytes)];
  const columns = countOf(want.dims.slice(1));
  const wrong: string[] = [];
  for (let i = 0; i < b.length; i++) {
    if (distance(want, a[i]!, b[i]!) <= (f.ulps ?? 0)) continue;
    const row = f.rows?.[name]?.[Math.floor(i / columns)] ?? "";
    wrong.push(`${f.name} run ${run} ${name}[${i}] ${row}: ${a[i]}, not ${b[i]}`);
  }
  return wrong;
}
async function check(list: readonly Fixture[], build: CBuild): Promise<void> {
  const cases = await Promise.all(list.map((f, i) => caseOf(f, `f${i}`)));
  const results = await runCases(cases, build);
  const wrong = list.flatMap((f, c) =>
    f.runs.flatMap((run, r) => {
      const got = results[c]![r]!;
      if ("fails" in run) {
        // 64-bit machines have room where a linear memory has none: the arena is refused instead.
        const codes = run.fails === "plan" ? [1, 2] : run.fails === 1 ? [3] : [2];
        return codes.includes(got.status) ? [] : [`${f.name} run ${r}: status ${got.status}, not ${codes}`];
      }
      if (got.status !== 0) return [`${f.name} run ${r}: status ${got.status}`];
      return Object.entries(run.expected).flatMap(([name, want]) => differences(f, r, name, got.outputs[name]!, want));
    }),
  );
  expect(wrong.slice(0, 20)).toEqual([]);
}

/** Long random expressions: they find mistakes of the printer, and take compilers long. */
const isFuzz = (f: Fixture): boolean => f.name.startsWith("fuzz");
const plain = programs.filter((f) => !isFuzz(f));

const strictly = ["-std=c11", "-Wall", "-Wextra", "-Werror"];
const sanitized = ["-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
describe("every program", () => {
  test.skipIf(!need("gcc"))("gcc -O2", () => check(plain, { cc: "gcc", flags: [...strictly, "-O2"] }), 240_000);
  test.skipIf(!need("clang"))(
    "clang -O2",
    () => check(programs, { cc: "clang", flags: [...strictly, "-O2"] }),
    240_000,
  );
  test.skipIf(!need("gcc"))(
    "gcc -O3 for this machine, in its own dialect",
    () => check(plain, { cc: "gcc", flags: ["-Wall", "-Wextra", "-Werror", "-O3", "-march=native"] }),
    240_000,
  );
  test.skipIf(!need("gcc"))(
    "gcc with sanitizers, loops in pieces",
    () => check(programs, { cc: "gcc", flags: [...strictly, ...sanitized], split: true }),
    240_000,
  );
  // Traps need no runtime library, which not every clang has.
  test.skipIf(!need("clang"))(
    "clang, with traps for undefined behaviour",
    () =>
      check(programs, {
        cc: "clang",
        flags: [...strictly, "-O0", "-fsanitize=undefined", "-fsanitize-trap=undefined"],
      }),
    240_000,
  );
  test.skipIf(!need("gcc"))(
    "gcc with sanitizers, without vector types and builtins",
    () => check(plain, { cc: "gcc", flags: [...strictly, ...sanitized, "-DIG_PLAIN_C"] }),
    240_000,
  );
});

describe.skipIf(!need("g++", "clang++", "nm", "gcc"))("the files", () => {
  let folder = "";
  let sources: string[] = [];
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "ingot-test-"));
    const cases = await Promise.all(plain.map((f, i) => caseOf(f, `f${i}`)));
    for (const c of cases) for (const f of c.files) writeFileSync(join(folder, f.path), f.bytes);
    sources = cases.map((c) => `${c.name}.c`);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  for (const cxx of ["g++", "clang++"]) {
    test(`${cxx} takes them as C++`, () => {
      const flags = ["-x", "c++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"];
      execFileSync(cxx, [...flags, ...sources], { cwd: folder });
    }, 120_000);
  }
  test("the programs need memcpy and no other function, those of f64 math apart", () => {
    execFileSync("gcc", ["-std=c11", "-O2", "-c", ...sources], { cwd: folder });
    const objects = sources.map((s) => s.replace(/\.c$/, ".o"));
    const undefinedSymbols = execFileSync("nm", ["-u", ...objects], { cwd: folder, encoding: "utf8" });
    const found = new Set([...undefinedSymbols.matchAll(/ U (\w+)/g)].map((m) => m[1]!));
    const allowed = ["memcpy", "memset", "memmove", "exp", "log", "sin", "cos", "tanh", "erf", "pow"];
    expect([...found].filter((s) => !allowed.includes(s) && s !== "_GLOBAL_OFFSET_TABLE_")).toEqual([]);
    const defined = execFileSync("nm", objects, { cwd: folder, encoding: "utf8" });
    // Nothing that changes: no data, no bss.
    expect(defined.match(/ [dDbBC] \w+/g)).toBeNull();
  }, 120_000);
  test("headers are short", () => {
    for (const s of sources) {
      const header = readFileSync(join(folder, s.replace(/c$/, "h")), "utf8");
      expect(header.split("\n").length).toBeLessThanOrEqual(200);
    }
  });
});

/** z[i] = x[i] * 3 + offset, the outermost loop parallel, in steps of 2, with a moving pointer; then a sum of all. */
function parallelProgram(): Fixture {
  const d = new Draft("parallel");
  const N = d.dimOf(0, "batch.size", 1, 1000);
  const x = d.input("class", "i32", [N]);
  const z = d.output('a/b: "*/ x"', "i32", [N]);
  const k = d.kernel(
    "int",
    (kd) => {
      const [kx, kz] = [kd.param("args", "i32", [N]), kd.param("x.y", "i32", [N])];
      const at = add(mul(v("i"), i32(1)), i32(1));
      const value = (e: LoopExpr): LoopExpr => add(mul(e as never, i32(3)), v("count"));
      return {
        kind: "for",
        v: "i",
        extent: v("batch.size"),
        step: 2,
        loop: "parallel",
        pointers: [{ name: "i_at", buffer: kx.id, init: i32(0), step: i32(2) }],
        body: {
          kind: "seq",
          body: [
            store(kz, v("i"), value(loadOf(kx, i32(0), "i_at"))),
            {
              kind: "if",
              cond: { kind: "binary", op: "lt", dtype: "bool", a: at, b: v("batch.size") },
              then: store(kz, at, value(loadOf(kx, i32(1), "i_at"))),
            },
          ],
        },
      };
    },
    { dims: ["batch.size"], scalars: [{ name: "count", dtype: "i32" }] },
  );
  d.run.push(d.call(k, [x, z], { scalars: [n(7)] }));
  const run = (count: number) => {
    const xs = Array.from({ length: count }, (_, i) => i * i - 50);
    return {
      inputs: { class: tensorOf("i32", [count], xs) },
      expected: {
        'a/b: "*/ x"': tensorOf(
          "i32",
          [count],
          xs.map((a) => a * 3 + 7),
        ),
      },
    };
  };
  return fixture(d, [run(1), run(2), run(7), run(1000)], { dtypes: ["i32"] });
}

/** Constants, read through a kernel that fuses: z = w * x + w. */
function weightedProgram(): { readonly fixture: Fixture; readonly inputs: Readonly<Record<string, Tensor>> } {
  const d = new Draft("weighted");
  const values = Array.from({ length: 300 }, (_, i) => Math.fround(Math.sin(i) * 10 ** ((i % 9) - 4)));
  const w = d.constant("w", tensorOf("f32", [300], values));
  const x = d.input("x", "f32", [n(300)]);
  const z = d.output("z", "f32", [n(300)]);
  const k = d.kernel("scale", (kd) => {
    const [kw, kx, kz] = ["w", "x", "z"].map((name) => kd.param(name, "f32", [n(300)])) as [Buffer, Buffer, Buffer];
    return loop(
      "i",
      i32(300),
      store(kz, v("i"), mulAdd<LoopExpr>(loadOf(kw, v("i")), loadOf(kx, v("i")), loadOf(kw, v("i")))),
    );
  });
  d.run.push(d.call(k, [w, x, z]));
  const inputs = {
    x: tensorOf(
      "f32",
      [300],
      values.map((a) => Math.fround(1 / a)),
    ),
  };
  return { fixture: fixture(d, [{ inputs, expected: {} }], { dtypes: ["f32"] }), inputs };
}

/** z[4i..] = i < 2 ? x[4i..] : 7, a condition for whole vectors; the load would be out of bounds. */
function wholeVectors(): Fixture {
  const d = new Draft("whole-vectors");
  const x = d.input("x", "f32", [n(8)]);
  const z = d.output("z", "f32", [n(16)]);
  const k = d.kernel("pad", (kd) => {
    const [kx, kz] = [kd.param("x", "f32", x.shape), kd.param("z", "f32", z.shape)];
    const at: LoopExpr = { kind: "ramp", base: v("i"), stride: 1, lanes: 4, dtype: "i32" };
    const seven: LoopExpr = { kind: "splat", x: constant("f32", 7), lanes: 4, dtype: "f32" };
    const inside: LoopExpr = { kind: "binary", op: "lt", dtype: "bool", a: v("i"), b: i32(8) };
    return loop(
      "i",
      i32(16),
      store(kz, at, { kind: "select", dtype: "f32", cond: inside, a: loadOf(kx, at), b: seven }),
      4,
    );
  });
  d.run.push(d.call(k, [x, z]));
  const xs = [1, 2, 3, 4, 5, 6, 7, 8];
  const expected = { z: tensorOf("f32", [16], [...xs, 7, 7, 7, 7, 7, 7, 7, 7]) };
  return fixture(d, [{ inputs: { x: tensorOf("f32", [8], xs) }, expected }], { dtypes: ["f32"], vectors: 4 });
}

describe("one program", () => {
  test.skipIf(!need("gcc", "clang"))(
    "a condition for whole vectors",
    async () => {
      for (const cc of ["gcc", "clang"]) await check([wholeVectors()], { cc, flags: [...strictly, "-O1"] });
      await check([wholeVectors()], { cc: "gcc", flags: [...strictly, ...sanitized] });
      await check([wholeVectors()], { cc: "gcc", flags: [...strictly, "-DIG_PLAIN_C"] });
    },
    60_000,
  );

  test.skipIf(!need("cc"))("a parallel loop in pieces, with names that are no identifiers", async () => {
    const flags = [...strictly, "-O2"];
    await check([parallelProgram()], { flags });
    await check([parallelProgram()], { flags, split: true });
    const { files } = await caseOf(parallelProgram(), "odd name-1");
    expect(text(files, ".h")).toContain('const int32_t *class_v; /* "class": i32[batch.size] */');
    expect(text(files, ".c")).toContain(
      "ctx->user, (int32_t)(((int64_t)(batch_size) + 1) / 2), k_int_v_1_range, &args)",
    );
  });

  test.skipIf(!need("clang"))("an expression nested deeper than compilers take brackets", async () => {
    const d = new Draft("deep");
    const x = d.input("x", "i32", [n(1)]);
    const z = d.output("z", "i32", [n(1)]);
    const k = d.kernel("deep", (kd) => {
      const [kx, kz] = [kd.param("x", "i32", x.shape), kd.param("z", "i32", x.shape)];
      let e: LoopExpr = loadOf(kx, i32(0));
      for (let i = 0; i < 600; i++) e = { kind: "binary", op: "add", dtype: "i32", a: i32(i), b: e };
      return store(kz, i32(0), e);
    });
    d.run.push(d.call(k, [x, z]));
    const run = { inputs: { x: tensorOf("i32", [1], [5]) }, expected: { z: tensorOf("i32", [1], [5 + 300 * 599]) } };
    await check([fixture(d, [run], { dtypes: ["i32"] })], { cc: "clang", flags: strictly });
  });

  test.skipIf(!need("cc"))("weights in the file and beside it are the same", async () => {
    const { fixture: f, inputs } = weightedProgram();
    const embedded = await caseOf(f, "m");
    const beside = await caseOf(f, "m", { weights: "file" });
    expect(embedded.files.map((x) => x.path)).toEqual(["m.c", "m.h"]);
    expect(beside.files.map((x) => [x.path, x.role])).toEqual([
      ["m.c", "code"],
      ["m.h", "types"],
      ["m.weights", "weights"],
    ]);
    const out = await Promise.all([embedded, beside].map((c) => runC(c.program, c.files, { name: "m", inputs })));
    expect(out[0]!["z"]!.bytes).toEqual(out[1]!["z"]!.bytes);
    expect(f32sOf(out[0]!["z"]!).every((x, i) => i === 0 || x !== 0)).toBe(true);
  });

  test.skipIf(!need("gcc", "clang"))(
    "strict: the same bits from every compiler and flag",
    async () => {
      const { fixture: f, inputs } = weightedProgram();
      const c = await caseOf(f, "m", { strict: true });
      const builds: CBuild[] = [
        { cc: "gcc", flags: ["-O0"] },
        { cc: "gcc", flags: ["-O3", "-march=native"] },
        { cc: "gcc", flags: ["-O3", "-march=native", "-ffp-contract=fast"] },
        { cc: "clang", flags: ["-O3", "-march=native"] },
      ];
      const out = await Promise.all(builds.map((b) => runC(c.program, c.files, { name: "m", inputs, ...b })));
      const w = f32sOf(must([...c.program.constants.values()][0], "w"));
      const xs = f32sOf(inputs["x"]!);
      const want = w.map((a, i) => Math.fround(Math.fround(a * xs[i]!) + a));
      for (const o of out) expect(f32sOf(o["z"]!)).toEqual(want);
    },
    120_000,
  );

  test.skipIf(!need("cc"))("inputs that do not fit", async () => {
    const c = await caseOf(parallelProgram(), "m");
    const inputs = { class: tensorOf("i32", [1001], new Array(1001).fill(0)) };
    await expect(runC(c.program, c.files, { name: "m", inputs })).rejects.toThrow(/E402 a dim of an input/);
  });

  test.skipIf(!need("cc"))("bench", async () => {
    const c = await caseOf(parallelProgram(), "m");
    const r = await benchC(c.program, c.files, { name: "m", inputs: c.runs[3]!.inputs, minMs: 5 });
    expect(r.runs).toBeGreaterThanOrEqual(5);
    expect(r.minMs).toBeGreaterThan(0);
    expect(r.medianMs).toBeGreaterThanOrEqual(r.minMs);
  });

  test("a compiler that is not there", async () => {
    const { fixture: f, inputs } = weightedProgram();
    const c = await caseOf(f, "m");
    await expect(runC(c.program, c.files, { name: "m", inputs, cc: "no-such-cc" })).rejects.toThrow(/does not run/);
    const old = process.env["CC"];
    process.env["CC"] = "no-such-cc";
    try {
      await expect(findCompiler()).rejects.toThrow(/\$CC, no-such-cc, does not run/);
    } finally {
      if (old === undefined) delete process.env["CC"];
      else process.env["CC"] = old;
    }
  });

  test("the same bytes every time", async () => {
    for (const f of [programs[0]!, parallelProgram()]) {
      const [a, b] = [await caseOf(f, "m"), await caseOf(f, "m")];
      expect(a.files).toEqual(b.files);
    }
  });
});

/** The ctx that a caller gets wrong. */
describe.skipIf(!need("cc"))("errors of the ctx", () => {
  test("are codes", async () => {
    const d = new Draft("two-steps");
    const x = d.input("x", "f32", [n(100)]);
    const between = d.temp("between", "f32", [n(100)]);
    const z = d.output("z", "f32", [n(100)]);
    const k = d.kernel("copy", (kd) => {
      const [kx, kz] = [kd.param("x", "f32", [n(100)]), kd.param("z", "f32", [n(100)])];
      return loop("i", i32(100), store(kz, v("i"), loadOf(kx, v("i"))));
    });
    d.run.push(d.call(k, [x, between]), d.call(k, [between, z]));
    const c = await caseOf(fixture(d, [], { dtypes: ["f32"] }), "m");
    const folder = mkdtempSync(join(tmpdir(), "ingot-test-"));
    for (const f of c.files) writeFileSync(join(folder, f.path), f.bytes);
    writeFileSync(
      join(folder, "main.c"),
      `#include "m.h"
#include <stdio.h>
static float x[100], z[100];
static double arena[M_ARENA_BYTES / 8];
int main(void) {
  m_ctx ctx = {0};
  m_in in = {x};
  m_out out = {z, 0};
  int codes[6];
  x[99] = 5;
  codes[0] = m_run(&ctx, &in, &out);
  ctx.struct_size = sizeof ctx;
  codes[1] = m_run(&ctx, &in, &out);
  ctx.arena = arena;
  ctx.arena_bytes = M_ARENA_BYTES - 1;
  codes[2] = m_run(&ctx, &in, &out);
  ctx.arena = (char *)arena + 4;
  ctx.arena_bytes = M_ARENA_BYTES;
  codes[3] = m_run(&ctx, &in, &out);
  ctx.arena = arena;
  codes[4] = m_run(&ctx, &in, &out);
  printf("%d %d %d %d %d %d %d\\n", codes[0], codes[1], codes[2], codes[3], codes[4], (int)out.arena_needed, (int)z[99]);
  return 0;
}
`,
    );
    const cc = await findCompiler();
    execFileSync(cc, [...strictly, "-Wno-missing-field-initializers", "-o", "main", "main.c", "m.c"], { cwd: folder });
    expect(execFileSync(join(folder, "main"), { encoding: "utf8" }).trim()).toBe("4 2 2 2 0 448 5");
    rmSync(folder, { recursive: true });
  });
});

describe.skipIf(!need("gcc", "clang", "objdump") || process.arch !== "x64")("fused multiply-add", () => {
  const assembly = async (
    cc: string,
    flags: readonly string[],
    rounding: "either" | "separate",
    vector: boolean,
  ): Promise<string> => {
    const d = new Draft("fused");
    const lanes = vector ? 4 : 1;
    const shape = [n(64)];
    const [x, y] = [d.input("x", "f32", shape), d.input("y", "f32", shape)];
    const z = d.output("z", "f32", shape);
    const k = d.kernel("together", (kd) => {
      const [kx, ky, kz] = ["x", "y", "z"].map((name) => kd.param(name, "f32", shape)) as [Buffer, Buffer, Buffer];
      const at: LoopExpr = vector ? { kind: "ramp", base: v("i"), stride: 1, lanes, dtype: "i32" } : v("i");
      return loop(
        "i",
        i32(64),
        store(kz, at, mulAdd<LoopExpr>(loadOf(kx, at), loadOf(ky, at), loadOf(ky, at), rounding)),
        lanes,
      );
    });
    d.run.push(d.call(k, [x, y, z]));
    const { files } = await caseOf(fixture(d, [], { dtypes: ["f32"] }), "m");
    const folder = mkdtempSync(join(tmpdir(), "ingot-test-"));
    for (const f of files) writeFileSync(join(folder, f.path), f.bytes);
    const out = execFileSync(cc, [...flags, "-S", "-o", "-", "m.c"], { cwd: folder, encoding: "utf8" });
    rmSync(folder, { recursive: true });
    return out;
  };
  const machine = ["-O3", "-mfma", "-mavx2"];
  for (const cc of ["gcc", "clang"]) {
    for (const vector of [false, true]) {
      const what = vector ? "vectors" : "scalars";
      test(`${cc}, ${what}: fused where the emitter says so, in either dialect`, async () => {
        for (const dialect of ["-std=c11", "-std=gnu11"]) {
          expect(await assembly(cc, [dialect, ...machine], "either", vector)).toMatch(/vfmadd\d+ps/);
          expect(await assembly(cc, [dialect, ...machine], "separate", vector)).not.toMatch(/vfmadd/);
        }
        expect(await assembly(cc, ["-std=c11", "-O3"], "either", vector)).not.toMatch(/fma/);
      }, 60_000);
    }
  }
});

test("the arena macro is a constant when dims are", async () => {
  const { fixture: f } = weightedProgram();
  const { files } = await caseOf(f, "m");
  expect(text(files, ".h")).toContain("#define M_ARENA_BYTES 64\n#define M_WEIGHTS_BYTES 1216\n");
  const symbolic = await caseOf(parallelProgram(), "m");
  expect(text(symbolic.files, ".h")).toContain("int m_shapes(const m_in *in, m_out *out);");
  expect(D.known(symbolic.program.plan.sizes.arena)).toBe(0);
});
