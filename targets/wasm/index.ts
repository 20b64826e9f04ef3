// The WebAssembly target: SIMD128, no threads, one module and the loader of runtime/linear.ts.
import type { Program } from "../../src/ir/program.ts";
import type { EmitOptions, Target, TargetInfo } from "../../src/ir/target.ts";
import { packageLinear } from "../loader/index.ts";
import { linearLayout } from "../loader/layout.ts";
import { weightsBlob } from "../loader/weights.ts";
import type { Segment } from "./data.ts";
import { spliceData } from "./data.ts";
import { defineKernel } from "./kernel.ts";
import { closeModule, openModule } from "./module.ts";
import { defineProgram } from "./program.ts";

const info: TargetInfo = {
  name: "wasm",
  vectorBytes: 16,
  // Of the 16 of x86, V8 keeps some for itself.
  registers: 12,
  cacheBytes: [32768, 1048576],
  gpu: null,
  exactSums: true,
  pairs: true,
  prepares: true,
  tiersUp: true,
  natives: new Set(["sqrt", "abs", "neg", "floor", "ceil", "round", "trunc", "recip", "isnan", "not", "bitnot"]),
  dtypes: new Set(["f32", "f64", "i32", "u32", "i64", "u64", "bool"]),
  minCellBytes: 1,
  ioInArena: true,
  pointers: true,
  align: 64,
};

export type WasmOptions = {
  readonly weights: "embed" | "file";
  /** Keeps the names of functions, for profilers and disassembly. */
  readonly names?: boolean;
};

/**
 * The module of a program. Exports: memory, table, weights, plan, init (when Program.init is not empty) and run; see
 * runtime/linear.ts for who calls them. With weights "file" the caller writes the blob at `weights` before init.
 * Throws UserError E303 when the static part of the memory is over 4 GiB.
 */
export async function wasmModule(p: Program, options: WasmOptions): Promise<Uint8Array> {
  const w = await openModule(linearLayout(p).statics);
  const taken = new Set(["plan", "init", "run"]);
  const names = p.kernels.map((k, i) => {
    // Names of helpers have a dot, these have none.
    const stem = k.name.replace(/[^\w]/g, "_");
    const name = taken.has(stem) ? `${stem}#${i}` : stem;
    taken.add(name);
    return name;
  });
  for (const [i, k] of p.kernels.entries()) defineKernel(w, names[i]!, k);
  const tables = w.tables();
  const layout = linearLayout(p, tables.length);
  defineProgram(w, p, layout, names);
  const module = await closeModule(w, options.names ?? false);
  const segments: Segment[] = [];
  if (tables.length > 0) segments.push({ address: layout.statics, bytes: tables });
  if (options.weights === "embed" && p.constants.size > 0)
    segments.push({ address: layout.weights, bytes: weightsBlob(p) });
  return spliceData(module, segments);
}

export const wasmTarget: Target = {
  info,
  emit: async (p: Program, options: EmitOptions) => {
    const bytes = await wasmModule(p, { weights: options.weights });
    return { files: packageLinear(p, options, { kind: "wasm", bytes }) };
  },
};
