// The C programs that are contenders: a main that speaks the protocol of child.ts, around a model in C of ours or of emx-onnx-cgen.

import { UnavailableError } from "../src/base/diagnostics.ts";
import * as D from "../src/ir/dim.ts";
import type { Program } from "../src/ir/program.ts";
import { countOf, elementBytes, type Tensor } from "../src/ir/types.ts";
import { hasShapes, interfaceOf, minArenaBytes } from "../targets/c/interface.ts";

/** C around a model, in terms of which the main is written. */
type Glue = {
  readonly head: string;
  /** Statements. Those of `load` and `run` set `status`, 0 when all is well. */
  readonly inputs: readonly string[];
  readonly load: readonly string[];
  readonly run: readonly string[];
  /** The outputs: their C types, what points at them, and the numbers of their elements. */
  readonly outputs: readonly { readonly type: string; readonly at: string; readonly count: string }[];
};

/** The file in which the program finds its i-th input. */
export const inputFile = (i: number): string => `in_${i}.bin`;

function mainText(g: Glue): string {
  return `#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void fail(const char *why) {
  printf("{\\"error\\":\\"%s\\"}\\n", why);
  exit(0);
}
static void *allocate(size_t n) {
  void *p = NULL;
  if (posix_memalign(&p, 64, n > 0 ? n : 1) != 0) fail("out of memory");
  return p;
}
static void *read_file(const char *path, size_t n) {
  void *p = allocate(n);
  FILE *f = fopen(path, "rb");
  if (f == NULL || fread(p, 1, n, f) != n) fail("a file cannot be read");
  fclose(f);
  return p;
}
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

${g.head}

static int status;
static void inputs(void) {
${indent(g.inputs)}
}
static void load(void) {
${indent(g.load)}
}
static void run(void) {
${indent(g.run)}
}
static double check(void) {
  double sum = 0;
  size_t i;
${g.outputs.map((o) => `  for (i = 0; i < ${o.count}; i++) sum += fabs((double)((const ${o.type} *)${o.at})[i]);`).join("\n")}
  return sum;
}

int main(void) {
  static double times[100000];
  double start, loaded, ended, ms;
  inputs();
  start = now();
  load();
  loaded = now();
  if (status == 0) run();
  ended = now();
  if (status != 0) fail("the model returns an error");
  printf("{\\"loadMs\\":%.6f,\\"firstMs\\":%.6f,", loaded - start, ended - loaded);
  if (isfinite(check())) printf("\\"check\\":%.12g}\\n", check());
  else printf("\\"check\\":null}\\n");
  fflush(stdout);
  while (scanf("%lf", &ms) == 1) {
    int n = 0, i;
    start = now();
    do {
      double before = now();
      run();
      times[n++] = now() - before;
    } while (now() - start < ms && n < 100000);
    printf("{\\"times\\":[");
    for (i = 0; i < n; i++) printf(i > 0 ? ",%.6f" : "%.6f", times[i]);
    printf("]}\\n");
    fflush(stdout);
  }
  return 0;
}
`;
}
const indent = (lines: readonly string[]): string => lines.map((l) => `  ${l}`).join("\n");

/** The main of a model that Ingot compiled to C as model.c (with -DTHREADS=N on so many), and the inputs in the order of their files. */
export function ourMain(
  p: Program,
  weightsFile: boolean,
  inputs: Readonly<Record<string, Tensor>>,
): { readonly text: string; readonly inputs: readonly string[] } {
  const api = interfaceOf(p, "model");
  const arena = api.arena === null ? "model_arena_bytes(&in)" : String(Math.max(api.arena, minArenaBytes));
  const sizeOf = (f: (typeof api.outputs)[number]): string => {
    const dims = f.buffer.shape.map((d, a) => String(D.known(d) ?? `(size_t)out.${f.dims}[${a}]`));
    return ["(size_t)1", ...dims].join(" * ");
  };
  const text = mainText({
    head: [
      '#include "model.h"',
      "#ifdef THREADS",
      '#include "ingot_threads.h"',
      "static ingot_threads pool;",
      "#endif",
      "static model_ctx ctx;",
      "static model_in in;",
      "static model_out out;",
    ].join("\n"),
    inputs: api.inputs.flatMap((f, i) => {
      const t = inputs[f.port]!;
      const bytes = countOf(t.dims) * elementBytes(t.dtype);
      return [
        `in.${f.name} = (const ${f.type} *)read_file("${inputFile(i)}", ${bytes});`,
        ...(f.dims ? t.dims.map((d, a) => `in.${f.dims}[${a}] = ${d};`) : []),
      ];
    }),
    load: [
      "ctx.struct_size = sizeof ctx;",
      "#ifdef THREADS",
      "ingot_threads_start(&pool, THREADS);",
      "ctx.parallel_for = ingot_threads_for;",
      "ctx.user = &pool;",
      "#endif",
      ...(weightsFile ? ['ctx.weights = read_file("model.weights", MODEL_WEIGHTS_BYTES);'] : []),
      ...(api.prepared > 0 ? ["ctx.prepared = allocate(MODEL_PREPARED_BYTES);"] : []),
      `ctx.arena_bytes = ${arena};`,
      "ctx.arena = allocate(ctx.arena_bytes);",
      ...(p.init.length > 0 ? ["status = model_init(&ctx);"] : []),
      ...(hasShapes(api) ? ["if (status == 0) status = model_shapes(&in, &out);"] : []),
      ...api.outputs
        .filter((f) => !f.dynamic)
        .map((f) => `out.${f.name} = (${f.type} *)allocate(${sizeOf(f)} * ${elementBytes(f.buffer.dtype)});`),
    ],
    run: [
      "status = model_run(&ctx, &in, &out);",
      // The heap shows what it needs as it goes: more than that at once, or it would go on in small steps.
      ...(api.usesHeap
        ? [
            "while (status == MODEL_ERR_ARENA && out.arena_needed > ctx.arena_bytes) {",
            "  free(ctx.arena);",
            "  ctx.arena_bytes = 2 * out.arena_needed;",
            "  ctx.arena = allocate(ctx.arena_bytes);",
            "  status = model_run(&ctx, &in, &out);",
            "}",
          ]
        : []),
    ],
    outputs: api.outputs.map((f) => ({ type: f.type, at: `out.${f.name}`, count: sizeOf(f) })),
  });
  return { text, inputs: api.inputs.map((f) => f.port) };
}

/** The main of emx-onnx-cgen's model.c. UnavailableError for parameters that are no arrays of known dims. */
export function emxMain(code: string): string {
  const signature = /^void model\(([^)]*)\) \{$/m.exec(code)?.[1];
  if (signature === undefined) throw new UnavailableError("model.c has no function model of arrays");
  const params = signature.split(/,\s*/).map((text) => {
    const m = /^(const )?(\w+) (\w+)((?:\[(?:restrict )?\d+\])+)$/.exec(text);
    if (!m) throw new UnavailableError(`model.c has a parameter of another form: ${text}`);
    const dims = [...m[4]!.matchAll(/\d+/g)].map(Number);
    return { input: m[1] !== undefined, type: m[2]!, count: dims.reduce((a, b) => a * b, 1) };
  });
  return mainText({
    head: `void model(${signature});\n_Bool model_load(const char *path);\nstatic void *p[${params.length}];`,
    inputs: params.map(({ input, type, count }, i) =>
      input
        ? `p[${i}] = read_file("${inputFile(i)}", sizeof(${type}) * ${count});`
        : `p[${i}] = allocate(sizeof(${type}) * ${count});`,
    ),
    load: code.includes("_Bool model_load(") ? ['status = !model_load("model.bin");'] : [],
    run: [`model(${params.map((_, i) => `p[${i}]`).join(", ")});`],
    outputs: params.flatMap(({ input, type, count }, i) =>
      input ? [] : [{ type, at: `p[${i}]`, count: String(count) }],
    ),
  });
}
