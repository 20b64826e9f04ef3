// The functions of the public API that compile and run: compile, run and verify. bench is in bench.ts, inspect in src/inspect.ts.

import { must } from "../base/assert.ts";
import type { Diagnostic } from "../base/diagnostics.ts";
import type { Tensor } from "../ir/types.ts";
import { compare, defaultTolerance, type Tolerance } from "./compare.ts";
import { checkInputs, expectedFrom, inputsFrom } from "./keys.ts";
import { numpyName, type Ports, type Tensors, tensorIn } from "./ports.ts";
import { randomInputs } from "./random.ts";
import { inOrder, runOnce } from "./runner.ts";
import type { ModelSource } from "./source.ts";
import {
  type CommonOptions,
  checkTargets,
  compileFor,
  failure,
  type OutputReport,
  type Prepared,
  prepare,
  type Report,
  type TargetReport,
} from "./targets.ts";

export type CompileModelOptions = CommonOptions & {
  /** Names of targets: wasm, c, js, wgsl. */
  readonly targets: readonly string[];
  /** Where the weights go. Default: into the code up to 1 MB, else into a file beside. */
  readonly weights?: "embed" | "file";
};
/**
 * Compiles a model for each target. The files are in memory; nothing is written. Throws a UserError with everything that is wrong
 * with the model or the options; what is wrong for one target is in its report, and the others are compiled all the same.
 */
export async function compile(model: ModelSource, options: CompileModelOptions): Promise<Report> {
  checkTargets(options.targets);
  const prepared = await prepare(model, options);
  const diagnostics: Diagnostic[] = [...prepared.front.warnings];
  const targets = new Map<string, TargetReport>();
  for (const target of new Set(options.targets)) {
    const { compiled, report } = await compileFor(prepared, target, diagnostics);
    targets.set(target, compiled ? { ...report, files: compiled.files } : report);
  }
  return { name: prepared.source.name, diagnostics, targets };
}

/** Inputs as tensors by name, or as the bytes of an npz file whose keys are read as docs/cli.md says. */
export type GivenInputs = Tensors | Uint8Array;

/** The inputs of a model. Throws UserErrors E401, E402 and E403. */
export function readInputs(given: GivenInputs, ports: Ports, diagnostics: Diagnostic[]): Tensors {
  if (given instanceof Uint8Array) {
    const { tensors, warnings } = inputsFrom(given, ports);
    diagnostics.push(...warnings);
    return tensors;
  }
  checkInputs(given, ports);
  return given;
}

export type RunOptions = CommonOptions & {
  readonly target: string;
  readonly inputs: GivenInputs;
  /** Of random operators. */
  readonly seed?: number;
};
/** outputs: in the order of the graph; null when the target's report says why there are none. */
export type RunReport = Report & { readonly outputs: readonly (Tensor & { readonly name: string })[] | null };

/** Compiles a model to a temporary place and runs it there once. Throws UserErrors for the model, the options and the inputs. */
export async function run(model: ModelSource, options: RunOptions): Promise<RunReport> {
  const { target } = options;
  checkTargets([target]);
  const prepared = await prepare(model, options);
  const diagnostics: Diagnostic[] = [...prepared.front.warnings];
  const inputs = readInputs(options.inputs, prepared.ports, diagnostics);
  const { report, outputs } = await compileAndRun(prepared, target, inputs, options, diagnostics);
  return {
    name: prepared.source.name,
    diagnostics,
    targets: new Map([[target, report]]),
    outputs: outputs && inOrder(outputs, prepared.ports),
  };
}

async function compileAndRun(
  prepared: Prepared,
  target: string,
  inputs: Tensors,
  options: Pick<RunOptions, "seed" | "onTask">,
  diagnostics: Diagnostic[],
): Promise<{ readonly report: TargetReport; readonly outputs: Tensors | null }> {
  const { compiled, report } = await compileFor(prepared, target, diagnostics);
  if (!compiled) return { report, outputs: null };
  try {
    options.onTask?.(`run on ${target}`);
    const { ports, source } = prepared;
    const outputs = await runOnce({ target, name: source.name, compiled, ports }, inputs, options.seed ?? 0);
    const entries = ports.outputs.map(({ name, dtype }): [string, OutputReport] => [
      name,
      { dtype: numpyName(dtype), shape: must(tensorIn(outputs, name), `output ${name}`).dims },
    ]);
    return { report: { ...report, outputs: new Map(entries) }, outputs };
  } catch (e) {
    return { report: { ...report, ...failure(e, "failed", diagnostics) }, outputs: null };
  }
}

export type VerifyOptions = CommonOptions & {
  readonly targets: readonly string[];
  /** Default: made up from `seed` (see random.ts). */
  readonly inputs?: GivenInputs;
  /** What the outputs should be. Default: what the js target computes in strict mode. */
  readonly expect?: GivenInputs;
  readonly tolerance?: Partial<Tolerance>;
  readonly seed?: number;
};
/** Runs a model on each target and compares the outputs. Throws UserErrors for the model, the options, inputs and expected outputs. */
export async function verify(model: ModelSource, options: VerifyOptions): Promise<Report> {
  checkTargets(options.targets);
  const prepared = await prepare(model, options);
  const { ports, source } = prepared;
  const diagnostics: Diagnostic[] = [...prepared.front.warnings];
  const seed = options.seed ?? 0;
  const inputs = options.inputs ? readInputs(options.inputs, ports, diagnostics) : randomInputs(ports, seed);
  const expected = options.expect
    ? readExpected(options.expect, ports, inputs, diagnostics)
    : await oracle(prepared, inputs, options, diagnostics);
  const targets = new Map<string, TargetReport>();
  for (const target of new Set(options.targets)) {
    const { report, outputs } = await compileAndRun(prepared, target, inputs, options, diagnostics);
    targets.set(target, outputs && expected ? judge(report, outputs, expected, ports, options.tolerance) : report);
  }
  return { name: source.name, diagnostics, targets };
}

function readExpected(given: GivenInputs, ports: Ports, inputs: Tensors, diagnostics: Diagnostic[]): Tensors {
  if (!(given instanceof Uint8Array)) return given;
  const { tensors, warnings } = expectedFrom(given, ports, inputs);
  diagnostics.push(...warnings);
  return tensors;
}

/** What the js target computes with every rounding separate; null when it refuses the inputs, as the targets will. */
async function oracle(
  prepared: Prepared,
  inputs: Tensors,
  options: VerifyOptions,
  diagnostics: Diagnostic[],
): Promise<Tensors | null> {
  const { onIr: _, ...quiet } = prepared.options;
  const strict: Prepared = { ...prepared, options: { ...quiet, strict: true } };
  const { outputs, report } = await compileAndRun(strict, "js", inputs, options, diagnostics);
  if (report.bug !== undefined) throw report.bug;
  return outputs;
}

function judge(
  report: TargetReport,
  got: Tensors,
  expected: Tensors,
  ports: Ports,
  tolerance: Partial<Tolerance> | undefined,
): TargetReport {
  const outputs = new Map<string, OutputReport>();
  const reasons: string[] = [];
  for (const { name, dtype } of ports.outputs) {
    const tensor = must(tensorIn(got, name), `output ${name}`);
    const want = tensorIn(expected, name);
    // Tensors that a caller of the API gives need not cover every output.
    if (!want) continue;
    const comparison = compare(tensor, want, { ...defaultTolerance, ...tolerance });
    if (!comparison.pass) reasons.push(`output "${name}": ${comparison.reason}`);
    outputs.set(name, { dtype: numpyName(dtype), shape: tensor.dims, comparison });
  }
  const more = reasons.length > 0 ? { status: "failed" as const, reason: reasons.join("; ") } : {};
  return { ...report, outputs, ...more };
}
