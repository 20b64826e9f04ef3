// Compiles emitted C with a small main around it and runs it: for `ingot run -t c`, `ingot bench` and the tests.
import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { InternalError, must } from "../../src/base/assert.ts";
import { UnavailableError, userError } from "../../src/base/diagnostics.ts";
import type { OutputFile } from "../../src/ir/artifact.ts";
import * as D from "../../src/ir/dim.ts";
import type { Program } from "../../src/ir/program.ts";
import type { Tensor } from "../../src/ir/types.ts";
import { countOf, elementBytes } from "../../src/ir/types.ts";
import type { Field, Interface } from "./interface.ts";
import { hasShapes, interfaceOf, minArenaBytes, threadsFile } from "./interface.ts";
import { runtimeText } from "./prelude.ts";

/** One inference: inputs by their names in the model. fed: of some inputs, the output of the run before whose elements they get instead. */
export type CRun = {
  readonly inputs: Readonly<Record<string, Tensor>>;
  readonly fed?: Readonly<Record<string, string>>;
  readonly seed?: number;
};
/** A program, what `emit` made of it under `name`, and runs that follow each other with one ctx and arena. */
export type CCase = {
  readonly program: Program;
  readonly name: string;
  readonly files: readonly OutputFile[];
  readonly runs: readonly CRun[];
};
/** The status that NAME_run (or NAME_init) returned, and the outputs by name when that is 0. */
export type CResult = { readonly status: number; readonly outputs: Readonly<Record<string, Tensor>> };
export type CBuild = {
  /** The compiler; default: $CC, else the first of cc, gcc, clang that there is. */
  readonly cc?: string;
  readonly flags?: readonly string[];
  /** Call parallel loops in pieces, the last piece first. */
  readonly split?: boolean;
  /** Run on a pool of so many threads. */
  readonly threads?: number;
};
export type CBench = { readonly medianMs: number; readonly minMs: number; readonly runs: number };

/** signal: what ended it, if it did not end by itself. */
type Finished = {
  readonly code: number;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
};
function execute(command: string, args: readonly string[], cwd?: string, timeout = 0): Promise<Finished | null> {
  return new Promise((resolve) => {
    execFile(command, args, { cwd, timeout, maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      if (error && "code" in error && error.code === "ENOENT") resolve(null);
      else {
        const code = error ? (typeof error.code === "number" ? error.code : 1) : 0;
        resolve({ code, signal: error?.signal ?? null, stdout, stderr });
      }
    });
  });
}

/** A C compiler of this machine. UnavailableError when there is none. */
export async function findCompiler(): Promise<string> {
  const own = process.env["CC"];
  for (const cc of own ? [own] : ["cc", "gcc", "clang"]) {
    const r = await execute(cc, ["--version"]);
    if (r !== null && r.code === 0) return cc;
  }
  throw new UnavailableError(
    own ? `the C compiler $CC, ${own}, does not run` : "there is no C compiler: none of cc, gcc, clang runs",
  );
}

const common = `#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Memory full of rubbish. */
static void *allocate(size_t n) {
  void *p = malloc(n > 0 ? n : 1);
  if (p == NULL) { fprintf(stderr, "out of memory\\n"); exit(70); }
  memset(p, 0xcd, n < 1000000 ? n : 1000000);
  return p;
}
/* NULL when that is too much. */
static void *arena_of(size_t n) { return n > (size_t)1 << 33 ? NULL : allocate(n); }
static void *read_file(const char *path, size_t n) {
  void *p = allocate(n);
  FILE *f = fopen(path, "rb");
  if (f == NULL || fread(p, 1, n, f) != n) { fprintf(stderr, "cannot read %s\\n", path); exit(70); }
  fclose(f);
  return p;
}
static void write_file(const char *path, const void *p, size_t n) {
  FILE *f = fopen(path, "wb");
  if (f == NULL || (n > 0 && fwrite(p, 1, n, f) != n)) { fprintf(stderr, "cannot write %s\\n", path); exit(70); }
  fclose(f);
}
`;
const splitter = `static void in_pieces(void *user, int32_t count, void (*body)(void *, int32_t, int32_t), void *arg) {
  int32_t third = count / 3;
  (void)user;
  if (third > 0) body(arg, count - third, count);
  body(arg, third, count - third);
  if (third > 0) body(arg, 0, third);
}
`;
const timer = `static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}
`;

const inputFile = (c: number, r: number, i: number): string => `in_${c}_${r}_${i}.bin`;
const outputFile = (c: number, r: number, o: number): string => `out_${c}_${r}_${o}.bin`;

/** C for the number of bytes of an output. */
function bytesOf(f: Field): string {
  const dims = f.buffer.shape.map((d, a) => String(D.known(d) ?? `(size_t)out.${f.dims}[${a}]`));
  return `(size_t)${[...dims, String(elementBytes(f.buffer.dtype))].join(" * ")}`;
}
function inputOf(run: CRun, f: Field): Tensor {
  return must(run.inputs[f.port], `input ${f.port}`);
}

/** The function that prepares a ctx and does all runs of a case. */
function caseFunction(c: CCase, index: number, api: Interface, build: CBuild, bench: boolean): string {
  const { name, upper } = api;
  const weightsFile = c.files.some((f) => f.role === "weights");
  const fixedArena = api.arena === null ? null : Math.max(api.arena, minArenaBytes);
  const lines: string[] = [
    `static void case_${index}(${bench ? "double ms" : "void"}) {`,
    `  ${name}_ctx ctx;`,
    "  int status = 0;",
    "  memset(&ctx, 0, sizeof ctx);",
    "  ctx.struct_size = sizeof ctx;",
  ];
  if (build.split) lines.push("  ctx.parallel_for = in_pieces;");
  if (build.threads) lines.push("  ctx.parallel_for = ingot_threads_for;", "  ctx.user = &pool;");
  if (weightsFile) lines.push(`  ctx.weights = read_file("${c.name}.weights", ${upper}_WEIGHTS_BYTES);`);
  if (api.prepared > 0) lines.push(`  ctx.prepared = allocate(${upper}_PREPARED_BYTES);`);
  c.runs.forEach((run, r) => {
    lines.push(
      "  {",
      `    ${name}_in in;`,
      `    ${name}_out out;`,
      "    memset(&in, 0, sizeof in);",
      "    memset(&out, 0, sizeof out);",
    );
    api.inputs.forEach((f, i) => {
      const t = inputOf(run, f);
      const from = api.outputs.findIndex((o) => o.port === run.fed?.[f.port]);
      const file = from < 0 ? inputFile(index, r, i) : outputFile(index, r - 1, from);
      lines.push(`    in.${f.name} = (const ${f.type} *)read_file("${file}", ${t.bytes.length});`);
      if (f.dims) lines.push(...t.dims.map((d, a) => `    in.${f.dims}[${a}] = ${d};`));
    });
    lines.push(
      `    ctx.seed = ${(run.seed ?? 0) >>> 0}u;`,
      "    free(ctx.arena);",
      `    ctx.arena_bytes = ${fixedArena ?? `${name}_arena_bytes(&in)`};`,
      "    ctx.arena = arena_of(ctx.arena_bytes);",
    );
    if (fixedArena === null) lines.push(`    status = ctx.arena_bytes == 0 ? ${upper}_ERR_DIMS : 0;`);
    if (c.program.init.length > 0 && r === 0) lines.push(`    if (status == 0) status = ${name}_init(&ctx);`);
    if (hasShapes(api)) lines.push(`    if (status == 0) status = ${name}_shapes(&in, &out);`);
    lines.push("    if (status == 0) {");
    for (const f of api.outputs)
      if (!f.dynamic) lines.push(`      out.${f.name} = (${f.type} *)allocate(${bytesOf(f)});`);
    lines.push(`      status = ${name}_run(&ctx, &in, &out);`);
    if (api.usesHeap) {
      // The heap shows what it needs as it goes.
      lines.push(
        `      while (status == ${upper}_ERR_ARENA && out.arena_needed > ctx.arena_bytes) {`,
        "        free(ctx.arena);",
        "        ctx.arena_bytes = out.arena_needed;",
        "        ctx.arena = arena_of(ctx.arena_bytes);",
        `        status = ${name}_run(&ctx, &in, &out);`,
        "      }",
      );
    }
    lines.push("    }");
    if (bench) lines.push(...benchLines(name, c.runs.length));
    else {
      const dims = api.outputs.map((f) => f.buffer.shape.map((d, a) => String(D.known(d) ?? `out.${f.dims}[${a}]`)));
      const count = dims.flat().length;
      const format = dims.map((ds) => `[${ds.map(() => "%d").join(",")}]`).join(",");
      lines.push(
        `    if (status != 0) printf("{\\"status\\":%d}\\n", status);`,
        "    else {",
        `      printf("{\\"status\\":0,\\"dims\\":[${format}]}\\n"${
          count > 0
            ? `, ${dims
                .flat()
                .map((d) => `(int)${d}`)
                .join(", ")}`
            : ""
        });`,
        ...api.outputs.map((f, o) => `      write_file("${outputFile(index, r, o)}", out.${f.name}, ${bytesOf(f)});`),
        "    }",
      );
    }
    for (const f of api.inputs) lines.push(`    free((void *)in.${f.name});`);
    for (const f of api.outputs) if (!f.dynamic) lines.push(`    free(out.${f.name});`);
    lines.push("    status = 0;", "  }");
  });
  lines.push("  free(ctx.arena);");
  if (weightsFile) lines.push("  free((void *)ctx.weights);");
  if (api.prepared > 0) lines.push("  free(ctx.prepared);");
  return [...lines, "  (void)status;", "}"].join("\n");
}
/** Repeats the run for its part of `ms`, and prints each time in milliseconds. */
function benchLines(name: string, runs: number): string[] {
  return [
    '    if (status != 0) { printf("{\\"status\\":%d,\\"times\\":[]}\\n", status); fflush(stdout); return; }',
    "    {",
    "      static double times[100000];",
    "      int n = 0, i;",
    "      double start = now();",
    `      while (n < 1 || (now() - start < ms / ${runs} && n < 100000)) {`,
    "        double t = now();",
    `        ${name}_run(&ctx, &in, &out);`,
    "        times[n++] = now() - t;",
    "      }",
    '      printf("{\\"status\\":0,\\"times\\":[");',
    '      for (i = 0; i < n; i++) printf(i > 0 ? ",%.6f" : "%.6f", times[i]);',
    '      printf("]}\\n");',
    "      fflush(stdout);",
    "    }",
  ];
}

/** Writes all files of the cases and of their runs into a folder. */
async function writeCases(folder: string, cases: readonly CCase[]): Promise<Interface[]> {
  await writeFile(join(folder, threadsFile), runtimeText("threads.h"));
  const apis = cases.map((c) => interfaceOf(c.program, c.name));
  for (const [at, c] of cases.entries()) {
    for (const f of c.files) await writeFile(join(folder, f.path), f.bytes);
    for (const [r, run] of c.runs.entries())
      for (const [i, f] of apis[at]!.inputs.entries())
        await writeFile(join(folder, inputFile(at, r, i)), inputOf(run, f).bytes);
  }
  return apis;
}
function sourcesOf(c: CCase): string[] {
  return c.files.filter((f) => f.role === "code").map((f) => f.path);
}

/**
 * A main for the cases of these indices, which does all of them, or the one whose index is its argument. A bench reads the length of
 * each round in ms from its input.
 */
function mainText(
  cases: readonly CCase[],
  apis: readonly Interface[],
  which: readonly number[],
  build: CBuild,
  bench: boolean,
): string {
  const threads = build.threads ?? 0;
  const started = threads > 0 ? [`  if (ingot_threads_start(&pool, ${threads}) != ${threads}) return 71;`] : [];
  return [
    "#define _POSIX_C_SOURCE 199309L",
    ...which.map((i) => `#include "${cases[i]!.name}.h"`),
    common,
    ...(build.split ? [splitter] : []),
    ...(threads > 0 ? [`#include "${threadsFile}"`, "static ingot_threads pool;"] : []),
    ...(bench ? [timer] : []),
    ...which.map((i) => caseFunction(cases[i]!, i, apis[i]!, build, bench)),
    ...(bench
      ? [
          "int main(void) {",
          "  double ms;",
          ...started,
          `  while (scanf("%lf", &ms) == 1) { ${which.map((i) => `case_${i}(ms);`).join(" ")} }`,
        ]
      : [
          "int main(int argc, char **argv) {",
          "  int only = argc > 1 ? atoi(argv[1]) : -1;",
          ...started,
          ...which.map((i) => `  if (only == -1 || only == ${i}) case_${i}();`),
        ]),
    ...(threads > 0 ? ["  ingot_threads_stop(&pool);"] : []),
    "  return 0;",
    "}",
    "",
  ].join("\n");
}

/** Builds all cases into the program `model` in a folder. */
async function buildIn(folder: string, cases: readonly CCase[], build: CBuild, bench: boolean): Promise<Interface[]> {
  const cc = build.cc ?? (await findCompiler());
  const apis = await writeCases(folder, cases);
  await writeFile(join(folder, "main.c"), mainText(cases, apis, [...cases.keys()], build, bench));
  const flags = build.flags ?? ["-std=c11", "-O2"];
  const made = await execute(
    cc,
    [...flags, "-o", "model", "main.c", ...cases.flatMap(sourcesOf), "-lm", "-pthread"],
    folder,
  );
  if (made === null) throw new UnavailableError(`the C compiler ${cc} does not run`);
  if (made.code !== 0) throw new InternalError(`${cc} ${flags.join(" ")} fails:\n${made.stderr.slice(0, 8000)}`);
  return apis;
}

async function inFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "ingot-c-"));
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The results of the runs of case `index`, from the lines that it printed and the files that it wrote. */
async function resultsOf(
  folder: string,
  index: number,
  api: Interface,
  runs: number,
  lines: readonly string[],
): Promise<CResult[]> {
  const results: CResult[] = [];
  for (let r = 0; r < runs; r++) {
    const line = JSON.parse(must(lines[r], "a result line")) as { status: number; dims?: number[][] };
    const outputs: Record<string, Tensor> = {};
    if (line.status === 0) {
      for (const [o, f] of api.outputs.entries()) {
        const dims = must(line.dims?.[o], `dims of ${f.port}`);
        const read = await readFile(join(folder, outputFile(index, r, o)));
        // A tensor's bytes start at a multiple of 8.
        const bytes = new Uint8Array(countOf(dims) * elementBytes(f.buffer.dtype));
        bytes.set(read);
        outputs[f.port] = { dtype: f.buffer.dtype, dims, bytes };
      }
    }
    results.push({ status: line.status, outputs });
  }
  return results;
}
function stopped({ code, signal, stderr }: Finished): InternalError {
  return new InternalError(`the compiled model stops with ${signal ?? code}:\n${stderr.slice(0, 8000)}`);
}
const linesOf = (text: string): string[] => text.split("\n").filter((l) => l !== "");

/**
 * Builds cases into one program and does all their runs. InternalError when the compiler or the program fails (sanitizers
 * included), UnavailableError without a compiler.
 */
export async function runCases(cases: readonly CCase[], build: CBuild = {}): Promise<CResult[][]> {
  return inFolder(async (folder) => {
    const apis = await buildIn(folder, cases, build, false);
    const ran = must(await execute(join(folder, "model"), [], folder), "the program that was just built");
    if (ran.code !== 0) throw stopped(ran);
    const lines = linesOf(ran.stdout);
    let next = 0;
    const results: CResult[][] = [];
    for (const [c, { runs }] of cases.entries()) {
      results.push(await resultsOf(folder, c, apis[c]!, runs.length, lines.slice(next)));
      next += runs.length;
    }
    return results;
  });
}

/**
 * As runCases, for cases that may fail: an Error in place of the results of one whose C does not compile, or whose program stops or
 * takes longer than `limitMs`. UnavailableError without a compiler.
 */
export async function runEach(
  cases: readonly CCase[],
  build: CBuild & { readonly limitMs: number },
): Promise<(readonly CResult[] | Error)[]> {
  return inFolder(async (folder) => {
    const cc = build.cc ?? (await findCompiler());
    const flags = build.flags ?? ["-std=c11", "-O1"];
    const apis = await writeCases(folder, cases);
    const results: (readonly CResult[] | Error)[] = [];
    const compile = (args: readonly string[]): Promise<Finished | null> => execute(cc, [...flags, ...args], folder);
    // Given several files, a compiler goes on after one that it refuses.
    const { stderr } = must(await compile(["-c", ...cases.flatMap(sourcesOf)]), "the C compiler that was just found");
    const objects = cases.map((c) => sourcesOf(c).map((f) => f.replace(/\.c$/, ".o")));
    const compiled = [...cases.keys()].filter((i) => objects[i]!.every((o) => existsSync(join(folder, o))));
    await writeFile(join(folder, "main.c"), mainText(cases, apis, compiled, build, false));
    const linked = must(
      await compile(["-o", "model", "main.c", ...compiled.flatMap((i) => objects[i]!), "-lm", "-pthread"]),
      cc,
    );
    if (linked.code !== 0) throw new InternalError(`${cc} ${flags.join(" ")} fails:\n${linked.stderr.slice(0, 8000)}`);
    for (const [i, c] of cases.entries()) {
      if (!compiled.includes(i)) {
        const own = linesOf(stderr).filter((l) => sourcesOf(c).some((f) => l.startsWith(f)));
        results.push(new InternalError(`${cc} refuses the model: ${own.join("\n").slice(0, 8000)}`));
        continue;
      }
      const ran = must(await execute(join(folder, "model"), [String(i)], folder, build.limitMs), "the program");
      const failed = ran.code !== 0;
      results.push(failed ? stopped(ran) : await resultsOf(folder, i, apis[i]!, c.runs.length, linesOf(ran.stdout)));
    }
    return results;
  });
}

const statusText: Readonly<Record<number, string>> = {
  1: "a dim of an input does not fit the model",
  2: "the model needs more memory than there is",
  3: "a dim that depends on data is out of its range",
};
function check(status: number): void {
  if (status === 0) return;
  const text = statusText[status];
  if (text === undefined) throw new InternalError(`NAME_run returned ${status}`);
  throw userError(status === 2 ? "E303" : "E402", text);
}

/** One run of an emitted program: compiles it, runs it, returns its outputs by name. E402 when the inputs do not fit. */
export async function runC(
  program: Program,
  files: readonly OutputFile[],
  options: CRun & CBuild & { readonly name: string },
): Promise<Readonly<Record<string, Tensor>>> {
  const result = (await runCases([{ program, files, name: options.name, runs: [options] }], options))[0]![0]!;
  check(result.status);
  return result.outputs;
}

/** An emitted program that waits to be timed. round: the times of NAME_run alone in ms, repeated for about `ms`, at least once for each of the runs. */
export type CBencher = {
  readonly round: (ms: number) => Promise<readonly number[]>;
  readonly close: () => Promise<void>;
};

/**
 * Builds a program for timing (default flags: -O3 -march=native); its rounds go through `runs` in equal parts. E402 and E303 come from
 * `round`, UnavailableError without a compiler.
 */
export async function openBench(
  program: Program,
  files: readonly OutputFile[],
  options: CBuild & { readonly name: string; readonly runs: readonly CRun[] },
): Promise<CBencher> {
  const build: CBuild = { ...options, flags: options.flags ?? ["-std=c11", "-O3", "-march=native"] };
  const folder = await mkdtemp(join(tmpdir(), "ingot-c-"));
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    await buildIn(folder, [{ program, files, name: options.name, runs: options.runs }], build, true);
  } catch (e) {
    await remove();
    throw e;
  }
  const child = spawn(join(folder, "model"), [], { cwd: folder, stdio: ["pipe", "pipe", "inherit"] });
  // A program that has stopped shows in `round`.
  child.stdin.on("error", () => {});
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    round: async (ms) => {
      child.stdin.write(`${ms}\n`);
      const times: number[] = [];
      for (let r = 0; r < options.runs.length; r++) {
        const line = await lines.next();
        if (line.done) throw new InternalError("the compiled model stops");
        const result = JSON.parse(line.value) as { status: number; times: number[] };
        check(result.status);
        times.push(...result.times);
      }
      return times;
    },
    close: async () => {
      child.stdin.end();
      await ended;
      await remove();
    },
  };
}

/** Times NAME_run alone, repeated for about minMs (default 500): milliseconds. */
export async function benchC(
  program: Program,
  files: readonly OutputFile[],
  options: CRun & CBuild & { readonly name: string; readonly minMs?: number },
): Promise<CBench> {
  const bench = await openBench(program, files, { ...options, runs: [options] });
  try {
    const times = [...(await bench.round(options.minMs ?? 500))].sort((a, b) => a - b);
    return { medianMs: times[times.length >> 1]!, minMs: times[0]!, runs: times.length };
  } finally {
    await bench.close();
  }
}
