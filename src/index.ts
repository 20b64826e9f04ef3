/**
 * Ingot, an ahead-of-time compiler for ONNX models. The command `ingot` is a thin reading of these functions.
 *
 *     import { compile } from "ingot";
 *     const { targets } = await compile("model.onnx", { targets: ["wasm"], dims: { N: 1 } });
 *     for (const f of targets.get("wasm")?.files ?? []) writeFileSync(f.path, f.bytes);
 */

export { softwareEnv } from "../targets/wgsl/node.ts";
export { InternalError } from "./base/assert.ts";
export { type Diagnostic, formatDiagnostic, UnavailableError, UserError } from "./base/diagnostics.ts";
export { packageVersion as version } from "./base/package.ts";
export { PassError } from "./compile.ts";
export { type DimReport, type InspectOptions, type InspectReport, inspect, type PortReport } from "./inspect.ts";
export type { OutputFile } from "./ir/artifact.ts";
// What plugins are made of: operators are data of these types. docs/custom-operators.md tells how.
export * as dim from "./ir/dim.ts";
export * as expr from "./ir/expr.ts";
export type { Attrs, Node } from "./ir/graph.ts";
export {
  type Accuracy,
  type GraphBuilder,
  type InferCtx,
  type Labels,
  type OpBody,
  type OpDef,
  type OpHead,
  op,
  type PartialTensor,
  type RawNode,
  type ReduceSpec,
  type TeBuilder,
} from "./ir/opdef.ts";
export type { Program } from "./ir/program.ts";
export type { EmitOptions, Emitted, Target, TargetInfo } from "./ir/target.ts";
export {
  type DType,
  type Tensor,
  type TensorType,
  tensorOf,
  tensorType,
  typedView,
  type ValueType,
} from "./ir/types.ts";
export {
  type CompileModelOptions,
  compile,
  type GivenInputs,
  type RunOptions,
  type RunReport,
  run,
  type VerifyOptions,
  verify,
} from "./run/api.ts";
export { type BenchOptions, type BenchReport, bench, type PeerReport } from "./run/bench.ts";
export { type Comparison, compare, defaultTolerance, type Tolerance } from "./run/compare.ts";
export { outputsTo as toNpz } from "./run/keys.ts";
export type { PluginSource } from "./run/plugins.ts";
export type { Tensors } from "./run/ports.ts";
export type { DimOptions, ModelSource } from "./run/source.ts";
export {
  type CommonOptions,
  type OutputReport,
  type Report,
  type Sizes,
  type Status,
  type TargetReport,
  type Timing,
  targetNames,
} from "./run/targets.ts";
export { type Plugin, type Toolkit, toolkit } from "./toolkit.ts";
