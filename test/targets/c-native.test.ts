// What a C file has of its own over other targets: kernels for vectors of several widths, and loops that threads share.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { expand } from "../../passes/graph/expand.ts";
import { must } from "../../src/base/assert.ts";
import { lowerFor } from "../../src/compile.ts";
import { bodiesOf } from "../../src/ir/loops.ts";
import { visitStmt } from "../../src/ir/rewrite.ts";
import { typedView } from "../../src/ir/types.ts";
import { verifyProgram } from "../../src/ir/verify.ts";
import { type CBuild, type CCase, runCases } from "../../targets/c/harness.ts";
import { cInfo, cTarget } from "../../targets/c/index.ts";
import { need } from "../need.ts";
import { differences, infos, runOn, type Tensors } from "../proofs/targets.ts";
import { Builder } from "../schedule/build.ts";
import { nets } from "./nets.ts";

const strictly = ["-std=c11", "-Wall", "-Wextra", "-Werror"];
async function casesOf(strict: boolean): Promise<CCase[]> {
  return Promise.all(
    nets.map(async ({ graph, runs }, n) => {
      const program = lowerFor(graph, cInfo(), { strict });
      verifyProgram(program, cInfo());
      const name = `net${n}`;
      const { files } = await cTarget.emit(program, { name, weights: "embed", strict });
      return { program, name, files, runs: runs.map((inputs) => ({ inputs })) };
    }),
  );
}
async function outputsOf(cases: readonly CCase[], build: CBuild): Promise<(readonly Tensors[])[]> {
  const results = await runCases(cases, build);
  return results.map((runs) =>
    runs.map((r) => {
      expect(r.status).toBe(0);
      return r.outputs;
    }),
  );
}
/** Bits as text; every NaN is one. */
function bits(all: readonly (readonly Tensors[])[]): string[] {
  return all.flatMap((runs, n) =>
    runs.flatMap((outputs, k) =>
      Object.entries(outputs).map(([name, t]) => {
        const values = Array.from(typedView(t.dtype, t.bytes) as ArrayLike<number>, (v) =>
          Object.is(v, -0) ? "-0" : v,
        );
        return `${nets[n]!.name}, run ${k}, ${name}: ${t.dtype}[${t.dims}] ${values.join(" ")}`;
      }),
    ),
  );
}
const inJs = (strict: boolean): Promise<(readonly Tensors[])[]> =>
  runOn(
    "js",
    nets.map(({ graph, runs }) => ({ program: lowerFor(graph, infos.js, { strict }), runs })),
    { strict },
  );

/** The features of this machine that Linux tells of. */
const features = ((): ReadonlySet<string> => {
  try {
    return new Set(/^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1]?.split(" "));
  } catch {
    return new Set();
  }
})();
/** The flags that make a compiler pick so many lanes, where this machine can run them; else the lanes alone. */
const builds: readonly { readonly lanes: number; readonly flags: readonly string[]; readonly needs: string[] }[] = [
  { lanes: 4, flags: [], needs: [] },
  { lanes: 8, flags: ["-mavx2", "-mfma"], needs: ["avx2", "fma"] },
  { lanes: 16, flags: ["-mavx512f", "-mfma"], needs: ["avx512f"] },
];
const flagsFor = (b: (typeof builds)[number]): readonly string[] =>
  b.needs.every((f) => features.has(f)) ? b.flags : [`-DIG_LANES=${b.lanes}`];

describe.skipIf(!need("cc"))("kernels in vectors of each width", () => {
  let cases: readonly CCase[] = [];
  let strict: readonly CCase[] = [];
  let want: readonly (readonly Tensors[])[] = [];
  let exact: readonly string[] = [];
  beforeAll(async () => {
    cases = await casesOf(false);
    strict = await casesOf(true);
    want = await inJs(false);
    exact = bits(await inJs(true));
  }, 120_000);

  test("come in one file, where they differ", () => {
    for (const { program } of cases) {
      const lanes = new Set(program.kernels.flatMap((k) => (k.variants ?? []).map((v) => v.lanes)));
      expect([...lanes].sort()).toEqual([16, 4]);
      expect(program.kernels.some((k) => k.variants === undefined)).toBe(true);
    }
  });
  test.each(builds)(
    "of $lanes lanes give what JavaScript gives",
    async (b) => {
      const got = await outputsOf(cases, { flags: [...strictly, "-O2", ...flagsFor(b)] });
      const wrong = want.flatMap((runs, n) =>
        runs.flatMap((w, k) => differences(got[n]![k]!, w, 2e-5).map((d) => `${nets[n]!.name}, run ${k}: ${d}`)),
      );
      expect(wrong.slice(0, 10)).toEqual([]);
    },
    120_000,
  );
  test.each(builds)(
    "of $lanes lanes give its bits in strict math",
    async (b) => {
      expect(bits(await outputsOf(strict, { flags: [...strictly, "-O2", ...flagsFor(b)] }))).toEqual(exact);
    },
    120_000,
  );
  test.each(builds)("of $lanes lanes are what a compiler for such a machine picks", ({ lanes, flags }) => {
    if (process.arch !== "x64") return;
    const { files } = cases[0]!;
    const source = must(
      files.find((f) => f.path === "net0.c"),
      "net0.c",
    ).bytes;
    const folder = mkdtempSync(join(tmpdir(), "ingot-test-"));
    try {
      for (const f of files) writeFileSync(join(folder, f.path), f.bytes);
      const text = `${new TextDecoder().decode(source)}\nint picked = IG_LANES;\n`;
      writeFileSync(join(folder, "net0.c"), text);
      const made = execFileSync(process.env.CC ?? "cc", ["-E", ...flags, "net0.c"], { cwd: folder, encoding: "utf8" });
      expect(/int picked = (\d+);/.exec(made)![1]).toBe(String(lanes));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe.skipIf(!need("gcc", "clang", "g++", "clang++"))("compilers take all widths without a warning", () => {
  const folder = mkdtempSync(join(tmpdir(), "ingot-test-"));
  let sources: string[] = [];
  beforeAll(async () => {
    for (const c of await casesOf(false)) for (const f of c.files) writeFileSync(join(folder, f.path), f.bytes);
    sources = nets.map((_, n) => `net${n}.c`);
  }, 60_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const flags = process.arch === "x64" ? [[], ["-mavx2", "-mfma"], ["-mavx512f"], ["-march=native"]] : [[]];
  for (const cc of ["gcc", "clang", "g++", "clang++"])
    for (const more of [...flags, ...(cc === "gcc" ? [["-DIG_LANES=16"]] : [])])
      test([cc, ...more].join(" "), () => {
        const dialect = cc.endsWith("++") ? ["-x", "c++", "-std=c++17"] : ["-std=c11"];
        const all = [...dialect, "-Wall", "-Wextra", "-Werror", "-O1", ...more, "-c", ...sources];
        execFileSync(cc, all, { cwd: folder, stdio: "pipe" });
      }, 120_000);
});

describe.skipIf(process.arch !== "x64" || !need("gcc", "clang"))("a product of matrices", () => {
  const tiles = [
    { lanes: 16, flags: ["-mavx512f"], vector: "zmm", accumulators: 16 },
    // A processor for which clang would rather have vectors of half the width.
    { lanes: 16, flags: ["-march=skylake-avx512"], vector: "zmm", accumulators: 16 },
    { lanes: 8, flags: ["-mavx2", "-mfma"], vector: "ymm", accumulators: 12 },
  ];
  for (const cc of ["gcc", "clang"])
    test.each(tiles)(`of $lanes lanes by ${cc} $flags keeps its sums in registers`, async (tile) => {
      const b = new Builder(1, null);
      b.output(b.op("MatMul", [b.input([96, 64]), b.constant([64, 96])]));
      const program = lowerFor(expand(b.finish()), cInfo(), {});
      const { files } = await cTarget.emit(program, { name: "m", weights: "file", strict: false });
      const folder = mkdtempSync(join(tmpdir(), "ingot-test-"));
      try {
        for (const f of files) writeFileSync(join(folder, f.path), f.bytes);
        const flags = ["-std=c11", "-O2", "-fno-unroll-loops", ...tile.flags, "-S", "-o", "-", "m.c"];
        const text = execFileSync(cc, flags, { cwd: folder, encoding: "utf8" });
        // From the kernel's label to its end, the lines of the loop: those between a label and the branch to it that hold the sums.
        const kernel = /^k00_matmul_1:[\s\S]*?\.size\s+k00_matmul_1/m.exec(text)![0];
        const loops = kernel.split(/^\.L\w+:/m).filter((part) => /vfmadd/.test(part));
        expect(loops.length).toBe(1);
        const sums = loops[0]!.match(new RegExp(`vfmadd\\w+\\s.*%${tile.vector}\\d+`, "g")) ?? [];
        const targets = new Set(sums.map((l) => l.split(",").at(-1)!.trim()));
        expect([targets.size, sums.length % tile.accumulators]).toEqual([tile.accumulators, 0]);
        // Nothing of a vector goes to the stack.
        expect(kernel.match(/v?mov\w+\s+%[xyz]mm\d+, -?\d*\(%r[sb]p\)/g)).toBeNull();
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    });
});

describe.skipIf(!need("cc"))("threads", () => {
  let cases: readonly CCase[] = [];
  let serial: readonly string[] = [];
  const flags = [...strictly, "-O2", "-march=native"];
  beforeAll(async () => {
    cases = await casesOf(false);
    serial = bits(await outputsOf(cases, { flags }));
  }, 120_000);

  test("share loops of most kernels that have work", () => {
    for (const { program, files } of cases) {
      let loops = 0;
      for (const k of program.kernels)
        for (const body of bodiesOf(k))
          visitStmt(body, (s) => {
            if (s.kind === "for" && s.loop === "parallel") loops++;
          });
      expect(loops).toBeGreaterThan(8);
      expect(files.map((f) => f.path)).toContain("ingot_threads.h");
    }
  });
  test.each([1, 2, 3, 5])(
    "%i of them give the same bits",
    async (threads) => {
      expect(bits(await outputsOf(cases, { flags, threads }))).toEqual(serial);
    },
    120_000,
  );
  test("loops in pieces, the last first, give the same bits", async () => {
    expect(bits(await outputsOf(cases, { flags, split: true }))).toEqual(serial);
  }, 120_000);
  test.skipIf(!need("gcc"))(
    "never touch the same memory at a time",
    async () => {
      const watched = [...strictly, "-O1", "-g", "-fsanitize=thread"];
      await outputsOf(cases, { cc: "gcc", flags: watched, threads: 3 });
    },
    240_000,
  );
});
