// The facts about WGSL on WebGPU's default limits that passes and schedule rules read.
import type { TargetInfo } from "../../src/ir/target.ts";

export const wgslInfo: TargetInfo = {
  name: "wgsl",
  vectorBytes: 4,
  registers: 64,
  cacheBytes: [16384],
  gpu: { workgroup: 64, sharedBytes: 16384, sharedIsFast: false, subgroups: false },
  // Those that WGSL computes exactly or within about two ulps. Not exp (3 + 2|x| ulps), log (an absolute error near 1), sin and cos
  // (2^-11 absolute, unspecified beyond pi), tanh (from exp): these are decomposed, and so agree with the other targets.
  natives: new Set(["neg", "abs", "sqrt", "floor", "ceil", "round", "trunc", "recip", "not", "bitnot", "isnan"]),
  dtypes: new Set(["f32", "i32", "u32", "bool"]),
  minCellBytes: 4,
  ioInArena: true,
  pointers: false,
  align: 256,
};
