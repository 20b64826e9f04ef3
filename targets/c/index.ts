// The C target: NAME.c, NAME.h and, with weights beside, NAME.weights; ingot_threads.h where threads may share loops. C11 that is C++ as well; no allocation, no I/O, no state.
import type { OutputFile } from "../../src/ir/artifact.ts";
import type { UnaryOp } from "../../src/ir/expr.ts";
import type { Action, Call, Program } from "../../src/ir/program.ts";
import type { EmitOptions, Emitted, Target, TargetInfo, Vectors } from "../../src/ir/target.ts";
import type { DType } from "../../src/ir/types.ts";
import { weightsBlob } from "../loader/weights.ts";
import { interfaceOf, printHeader, threadsFile } from "./interface.ts";
import { Names, quoted } from "./names.ts";
import { PlanSymbols, printPlan } from "./plan.ts";
import { preludeFor, runtimeText } from "./prelude.ts";
import type { Printed } from "./print.ts";
import { printKernel, Tables } from "./print.ts";
import { printBody } from "./run.ts";
import { stringLiteral } from "./weights.ts";

const natives: ReadonlySet<UnaryOp> = new Set<UnaryOp>([
  "sqrt",
  "abs",
  "neg",
  "floor",
  "ceil",
  "round",
  "trunc",
  "recip",
  "not",
  "bitnot",
  "isnan",
]);
const registers: ReadonlySet<DType> = new Set<DType>(["f32", "f64", "i32", "u32", "i64", "u64", "bool"]);

/**
 * What the vectors of a C file are made for. native: the compiler picks from the others by what it compiles for. Every file compiles on
 * every machine: wider vectors are split where there are none.
 */
export type Isa = "native" | "portable" | "avx2" | "avx512" | "neon";
/** Vectors of 16 bytes, which SSE2, NEON and VSX have. */
const portable: Vectors = { vectorBytes: 16, registers: 16 };
const avx2: Vectors = { vectorBytes: 32, registers: 16 };
const avx512: Vectors = { vectorBytes: 64, registers: 32 };
const isas: Readonly<Record<Isa, Pick<TargetInfo, "vectorBytes" | "registers" | "variants">>> = {
  // Storage is chosen for the middle one: its panels are whole vectors of the others.
  native: { ...avx2, variants: [avx512, portable] },
  portable,
  avx2,
  avx512,
  neon: { vectorBytes: 16, registers: 32 },
};
const align = 64;

export function cInfo(isa: Isa = "native"): TargetInfo {
  return {
    name: "c",
    ...isas[isa],
    threads: true,
    memoryOperands: true,
    pairs: true,
    cacheBytes: [32768, 1048576],
    gpu: null,
    natives,
    dtypes: registers,
    minCellBytes: 1,
    ioInArena: false,
    pointers: true,
    align,
  };
}

/** The kernels that actions call, by index, in order. */
function called(actions: readonly Action<Call>[], into: Set<number> = new Set()): Set<number> {
  for (const a of actions) {
    if (a.kind === "call") into.add(a.call.kernel);
    else if (a.kind === "if") called([...a.then, ...a.otherwise], into);
    else if (a.kind === "loop") called(a.body, into);
  }
  return into;
}

const firstLines = `/* Whether a product and a sum are fused stands in the text: compilers add nothing. */
#if defined(__clang__)
#pragma clang fp contract(off)
#elif defined(__GNUC__)
#pragma GCC optimize ("fp-contract=off")
#elif defined(_MSC_VER)
#pragma fp_contract (off)
#endif
/* No mistakes in generated text. */
#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wtype-limits"
#pragma GCC diagnostic ignored "-Wtautological-compare"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wbool-operation"
#endif
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wconstant-logical-operand"
#endif`;

function printSource(
  p: Program,
  options: EmitOptions,
): { source: string; header: string; weights: Uint8Array; embedded: number; parallel: boolean } {
  const api = interfaceOf(p, options.name, options);
  const weights = weightsBlob(p);
  const embed = options.weights === "embed" && weights.length > 0;
  const hasInit = p.init.length > 0;
  const functions = ["run", "init", "arena_bytes", "shapes", "ctx", "in", "out"].map((f) => `${api.name}_${f}`);
  const names = new Names([...functions, "plan", "lay_out", "read_dims"]);
  const tables = new Tables(names);
  const array = embed ? names.fresh("model_weights") : null;

  const used = [...called(p.run, called(p.init))].sort((a, b) => a - b);
  const kernels = new Map<number, Printed>();
  const scope = { names, tables, ctx: `const ${api.name}_ctx *`, strict: options.strict };
  for (const k of used) kernels.set(k, printKernel(p.kernels[k]!, scope));
  const symbols = new PlanSymbols(p);
  const plan = printPlan(p, api, symbols);
  const context = { program: p, api, symbols, kernels, embedded: array, align };
  const bodies = [...(hasInit ? [printBody(context, "init", p.init)] : []), printBody(context, "run", p.run)];
  const code = [...tables.lines, ...[...kernels.values()].map((k) => k.text), plan, ...bodies].filter((t) => t !== "");
  const literal = array === null ? "" : stringLiteral(weights);
  const data =
    array === null ? [] : [`static const unsigned char ${array}[${weights.length + 1}] IG_ALIGN(64) =\n${literal};`];
  const byteOrder =
    weights.length === 0
      ? []
      : [
          '#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__\n#error "the weights are little-endian"\n#endif',
        ];
  const source = [
    `/* The model ${quoted(options.name)}, compiled to C by Ingot. Do not compile it with -ffast-math: infinities and NaNs matter. */`,
    firstLines,
    `#include "${options.name}.h"`,
    ...byteOrder,
    preludeFor([...data.map(() => "IG_ALIGN"), ...code].join("\n")),
    ...data,
    ...code,
  ];
  return {
    source: `${source.filter((t) => t !== "").join("\n\n")}\n`,
    header: printHeader(api, options.weights, hasInit, options.name),
    weights,
    embedded: literal.length,
    parallel: [...kernels.values()].some((k) => k.parallel),
  };
}

/** Emits C for a program whose plan keeps inputs and outputs in the caller's memory (ioInArena false). */
async function emit(p: Program, options: EmitOptions): Promise<Emitted> {
  const { source, header, weights, embedded, parallel } = printSource(p, options);
  const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
  const files: OutputFile[] = [
    {
      path: `${options.name}.c`,
      bytes: encode(source),
      role: "code",
      ...(embedded > 0 ? { weightBytes: embedded } : {}),
    },
    { path: `${options.name}.h`, bytes: encode(header), role: "types" },
  ];
  if (options.weights === "file" && weights.length > 0)
    files.push({ path: `${options.name}.weights`, bytes: weights, role: "weights" });
  if (parallel) files.push({ path: threadsFile, bytes: encode(runtimeText("threads.h")), role: "loader" });
  return { files };
}

export function cTargetFor(isa: Isa): Target {
  return { info: cInfo(isa), emit };
}
export const cTarget: Target = cTargetFor("native");
