// The roofs: how fast this machine multiplies and adds f32s on one thread, on each side, where nothing but registers takes part.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type binaryen from "binaryen";
import { findCompiler } from "../targets/c/harness.ts";
import { type Launch, program, workFolder } from "./child.ts";
import type { Side, Start } from "./results.ts";
import { run } from "./scripts.ts";

/** What the programs say first: the kernel that was fastest, and the operations of one run of it. */
export type PeakStart = Start & { readonly kernel: string; readonly flops: number };

/** Accumulators that stay in registers. Fewer do not hide the latency, more do not fit. */
const chains: readonly number[] = [8, 10, 12];

/** Makes the program that measures the roof of a side. */
export async function peakProgram(side: Side): Promise<Launch> {
  const folder = join(workFolder, "peak");
  mkdirSync(folder, { recursive: true });
  if (side === "wasm") {
    writeFileSync(join(folder, "peak.wasm"), await wasmKernels());
    return { command: process.execPath, args: [await program("peers/peak.ts"), join(folder, "peak.wasm")] };
  }
  writeFileSync(join(folder, "peak.c"), cKernels);
  const flags = ["-std=gnu11", "-O3", "-march=native", "-ffp-contract=fast"];
  await run(await findCompiler(), [...flags, "-o", "peak", "peak.c"], { cwd: folder });
  return { command: join(folder, "peak"), args: [] };
}

/** A module whose function chainK(n) does n times x = x * a + b in each of K vectors, and tile(n) steps of a 4x8 tile of a product. */
async function wasmKernels(): Promise<Uint8Array> {
  const { default: b } = await import("binaryen");
  const m = new b.Module();
  m.setFeatures(b.Features.SIMD128);
  m.setMemory(1, 1);
  for (const k of chains) {
    // Locals: 0 n, then the accumulators, a and b.
    const [a, c] = [k + 1, k + 2];
    const step = (i: number): number =>
      m.local.set(i, m.f32x4.add(m.f32x4.mul(m.local.get(i, b.v128), m.local.get(a, b.v128)), m.local.get(c, b.v128)));
    const accumulators = Array.from({ length: k }, (_, i) => i + 1);
    kernel(
      b,
      m,
      `chain${k}`,
      k + 2,
      [
        ...accumulators.map((i) => m.local.set(i, m.f32x4.splat(m.f32.const(i)))),
        m.local.set(a, m.f32x4.splat(m.f32.load(0, 4, m.i32.const(0)))),
        m.local.set(c, m.f32x4.splat(m.f32.load(4, 4, m.i32.const(0)))),
      ],
      accumulators.map(step),
      accumulators,
    );
  }
  // Locals: 0 n, 1..8 accumulators, 9 and 10 a row of 8 of the right operand, 11 an element of the left one.
  const accumulators = Array.from({ length: 8 }, (_, i) => i + 1);
  const row = (half: number): number => m.local.set(9 + half, m.v128.load(64 + 16 * half, 16, m.i32.const(0)));
  const element = (i: number): number => m.local.set(11, m.v128.load32_splat(4 * i, 4, m.i32.const(0)));
  const madd = (at: number, half: number): number =>
    m.local.set(
      at,
      m.f32x4.add(m.local.get(at, b.v128), m.f32x4.mul(m.local.get(11, b.v128), m.local.get(9 + half, b.v128))),
    );
  const lines = [0, 1, 2, 3].flatMap((i) => [element(i), madd(1 + 2 * i, 0), madd(2 + 2 * i, 1)]);
  kernel(b, m, "tile", 11, [], [row(0), row(1), ...lines], accumulators);
  const binary = m.emitBinary();
  m.dispose();
  return binary;
}
/** NAME(n): `before`, n times `body`, and the sum of the accumulators' first lanes. */
function kernel(
  b: typeof binaryen,
  m: binaryen.Module,
  name: string,
  vectors: number,
  before: readonly number[],
  body: readonly number[],
  accumulators: readonly number[],
): void {
  const count = m.local.tee(0, m.i32.sub(m.local.get(0, b.i32), m.i32.const(1)), b.i32);
  const lane = (i: number): number => m.f32x4.extract_lane(m.local.get(i, b.v128), 0);
  const sum = accumulators.slice(1).reduce((s, i) => m.f32.add(s, lane(i)), lane(accumulators[0]!));
  m.addFunction(
    name,
    b.i32,
    b.f32,
    Array.from({ length: vectors }, () => b.v128),
    m.block(null, [...before, m.loop("top", m.block(null, [...body, m.br_if("top", count)])), sum], b.f32),
  );
  m.addFunctionExport(name, name);
}

const cKernels = `#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <time.h>

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif
typedef float vec __attribute__((vector_size(LANES * 4)));
enum { STEPS = 200000 };
static volatile float scale = 0.999f, shift = 0.001f, result;

#define KERNEL(K) \\
  static void chain##K(void) { \\
    vec acc[K], a = scale - (vec){0}, b = shift - (vec){0}; \\
    int i, k; \\
    for (k = 0; k < K; k++) acc[k] = (float)k - (vec){0}; \\
    for (i = 0; i < STEPS; i++) { \\
      _Pragma("GCC unroll 16") for (k = 0; k < K; k++) acc[k] = acc[k] * a + b; \\
    } \\
    for (k = 1; k < K; k++) acc[0] += acc[k]; \\
    for (k = 0; k < LANES; k++) result = acc[0][k]; \\
  }
${chains.map((k) => `KERNEL(${k})`).join("\n")}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}
int main(void) {
  static const struct { void (*run)(void); int k; } kernels[] = {${chains.map((k) => `{chain${k}, ${k}}`).join(", ")}};
  static double times[100000];
  double best = 0, ms;
  int which = 0, i;
  for (i = 0; i < (int)(sizeof kernels / sizeof *kernels); i++) {
    int n = 0;
    double start = now(), rate;
    do { kernels[i].run(); n++; } while (now() - start < 100);
    rate = n * (double)kernels[i].k / (now() - start);
    if (rate > best) { best = rate; which = i; }
  }
  printf("{\\"loadMs\\":0,\\"firstMs\\":0,\\"check\\":null,\\"kernel\\":\\"%d accumulators of %d lanes\\",\\"flops\\":%.0f}\\n",
    kernels[which].k, LANES, 2.0 * LANES * STEPS * kernels[which].k);
  fflush(stdout);
  while (scanf("%lf", &ms) == 1) {
    int n = 0;
    double start = now();
    do {
      double before = now();
      kernels[which].run();
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
