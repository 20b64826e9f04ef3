// The js target: the same loops as plain JavaScript, for hosts that forbid WebAssembly.
import type { Program } from "../../src/ir/program.ts";
import type { EmitOptions, Emitted, Target } from "../../src/ir/target.ts";
import { packageLinear } from "../loader/index.ts";
import { printProgram } from "./print.ts";

/**
 * Emits NAME.mjs, its types, and NAME.weights when weights are a file. `--math strict` rounds both operations of a mulAdd, so that
 * results have the bits of wasm; without it a mulAdd of f32 rounds once, from a double, which V8 runs four times as fast.
 */
export const jsTarget: Target = {
  info: {
    name: "js",
    vectorBytes: 4,
    registers: 12,
    cacheBytes: [32768, 1048576],
    gpu: null,
    exactSums: true,
    prepares: true,
    natives: new Set(["sqrt", "abs", "neg", "floor", "ceil", "round", "trunc", "recip", "not", "bitnot", "isnan"]),
    dtypes: new Set(["f32", "f64", "i32", "u32", "i64", "u64", "bool"]),
    minCellBytes: 1,
    ioInArena: true,
    pointers: false,
    align: 64,
  },
  emit: async (p: Program, options: EmitOptions): Promise<Emitted> => ({
    files: packageLinear(p, options, { kind: "js", source: printProgram(p, { strict: options.strict }) }),
  }),
};
