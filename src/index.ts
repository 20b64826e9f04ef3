/**
 * Ingot, an ahead-of-time compiler for ONNX models. The command `ingot` is a thin reading of these functions.
 *
 *     import { compile } from "ingot";
 *     const { targets } = await compile("model.onnx", { targets: ["wasm"], dims: { N: 1 } });
 *     for (const f of targets.get("wasm")?.files ?? []) writeFileSync(f.path, f.bytes);
 */
export { type Diagnostic, formatDiagnostic, UnavailableError, UserError } from "./base/diagnostics.ts";
export { InternalError } from "./base/assert.ts";
export { packageVersion as version } from "./base/package.ts";
export { PassError } from "./compile.ts";
export { type DimReport, inspect, type InspectOptions, type InspectReport, type PortReport } from "./inspect.ts";
export type { OutputFile } from "./ir/artifact.ts";
export {
  compile,
  type CompileModelOptions,
  type GivenInputs,
  run,
  type RunOptions,
  type RunReport,
  verify,
  type VerifyOptions,
} from "./run/api.ts";
export { bench, type BenchOptions, type BenchReport, type PeerReport } from "./run/bench.ts";
export { compare, type Comparison, defaultTolerance, type Tolerance } from "./run/compare.ts";
export { outputsTo as toNpz } from "./run/keys.ts";
export type { Tensors } from "./run/ports.ts";
export { theGpu as findGpu } from "./run/runner.ts";
export type { DimOptions, ModelSource } from "./run/source.ts";
export {
  type CommonOptions,
  type OutputReport,
  type Report,
  type Sizes,
  type Status,
  targetNames,
  type TargetReport,
  type Timing,
} from "./run/targets.ts";
export { softwareEnv } from "../targets/wgsl/node.ts";

// For plugins: operators and targets are data of these types.
export * as dim from "./ir/dim.ts";
export * as expr from "./ir/expr.ts";
export { op, type GraphBuilder, type InferCtx, type OpBody, type OpDef, type OpHead, type RawNode, type TeBuilder } from "./ir/opdef.ts";
export type { Program } from "./ir/program.ts";
export type { Emitted, EmitOptions, Target, TargetInfo } from "./ir/target.ts";
export { type DType, type Tensor, tensorOf, tensorType, type TensorType, typedView, type ValueType } from "./ir/types.ts";
