// Compiles models for a target and runs them here: wasm, js and wgsl by the loaders of their artifacts, c by a compiler.
import type { Model } from "../../runtime/linear.ts";
import type { Given, TypedArray } from "../../runtime/ports.ts";
import { must } from "../../src/base/assert.ts";
import { userError } from "../../src/base/diagnostics.ts";
import { readNpz } from "../../src/base/npz.ts";
import type { CompiledTarget, CompileOptions, FrontEnd } from "../../src/compile.ts";
import { compileTarget } from "../../src/compile.ts";
import type { OutputFile } from "../../src/ir/artifact.ts";
import type { Program } from "../../src/ir/program.ts";
import type { Tensor } from "../../src/ir/types.ts";
import { typedView } from "../../src/ir/types.ts";
import { readModel } from "../../src/onnx/proto.ts";
import type { DimBounds } from "../../src/onnx/value-types.ts";
import { InputSymbols } from "../../src/onnx/value-types.ts";
import { benchC, runCases } from "../../targets/c/harness.ts";
import { nodeGpu } from "../../targets/wgsl/node.ts";

export type Tensors = Readonly<Record<string, Tensor>>;
export type Execution = { readonly outputs: readonly Tensors[]; readonly medianMs: number | null };

/** The inputs `in_<name>` of an npz by their names, `|` for `/`. */
export function inputsOf(npz: Uint8Array): Tensors {
  const named = readNpz(npz).filter((e) => e.name.startsWith("in_"));
  return Object.fromEntries(named.map(({ name, ...t }) => [name.slice(3).replaceAll("|", "/"), t]));
}
/** The outputs `out_<i>` of an npz, in order. */
export function expectedOf(npz: Uint8Array): readonly Tensor[] {
  const entries = readNpz(npz).filter((e) => /^out_\d+$/.test(e.name));
  return entries.sort((a, b) => Number(a.name.slice(4)) - Number(b.name.slice(4)));
}

/** The values of a model's symbols that these inputs give, as bounds that fix them. */
export function dimsOf(model: Uint8Array, inputs: Tensors): ReadonlyMap<string, DimBounds> {
  const symbols = new InputSymbols(new Map());
  const found = new Map<string, DimBounds>();
  for (const i of must(readModel(model).graph, "a graph").input) {
    const given = inputs[i.name];
    if (!given) continue;
    const type = symbols.type(i.type, i.name);
    if (type.kind !== "tensor") continue;
    type.tensor.shape.forEach((d, axis) => {
      const n = given.dims[axis]!;
      if (d.kind === "sym") found.set(d.id, { min: n, max: n });
    });
  }
  return found;
}

/** Bytes of all files but weights and declarations: what an artifact ships as code. */
export function codeBytes(files: readonly OutputFile[]): number {
  const code = files.filter((f) => f.role !== "weights" && f.role !== "types");
  return code.reduce((n, f) => n + f.bytes.length, 0);
}

/**
 * All runs by one artifact, in order. `timeMs`: afterwards the first run is repeated for as long as that.
 * Throws UnavailableError where the target cannot run on this machine.
 */
export async function execute(
  target: string,
  compiled: CompiledTarget,
  name: string,
  runs: readonly Tensors[],
  timeMs: number | null = null,
): Promise<Execution> {
  const { program, files } = compiled;
  if (target === "c") return executeC(program, files, name, runs, timeMs);
  const model = await loadArtifact(files, name);
  try {
    const outputs: Tensors[] = [];
    for (const run of runs) outputs.push(await runModel(model, program, run));
    return { outputs, medianMs: timeMs === null ? null : await medianMs(model, runs[0]!, timeMs) };
  } finally {
    model.dispose();
  }
}

async function executeC(
  program: Program,
  files: readonly OutputFile[],
  name: string,
  runs: readonly Tensors[],
  timeMs: number | null,
): Promise<Execution> {
  const [results] = await runCases([{ program, files, name, runs: runs.map((inputs) => ({ inputs })) }]);
  const outputs = results!.map((r) => {
    if (r.status !== 0) throw userError("E402", `${name}_run returns ${r.status}`);
    return r.outputs;
  });
  if (timeMs === null) return { outputs, medianMs: null };
  const timed = await benchC(program, files, { name, inputs: runs[0]!, minMs: timeMs });
  return { outputs, medianMs: timed.medianMs };
}

let theGpu: Promise<GPU> | null = null;
/** One GPU for all models: Dawn stops the process when an instance goes while its devices live. */
function gpu(): Promise<GPU> {
  theGpu ??= nodeGpu();
  return theGpu;
}

/** The model that an artifact's own loader makes, without a file: the loader is imported from a data: URL. */
export async function loadArtifact(files: readonly OutputFile[], name: string): Promise<Model> {
  const find = (suffix: string): Uint8Array | undefined => files.find((f) => f.path === name + suffix)?.bytes;
  const loader = must(find(".mjs"), "a loader");
  const url = `data:text/javascript;base64,${Buffer.from(loader).toString("base64")}`;
  const { load } = (await import(url)) as { load: (options: object) => Promise<Model> };
  const given = { wasm: find(".wasm"), wgsl: find(".wgsl"), plan: find(".plan.json"), weights: find(".weights") };
  const parts = Object.entries(given).filter(([, bytes]) => bytes !== undefined);
  return load({ ...Object.fromEntries(parts), ...(given.wgsl ? { gpu: await gpu() } : {}) });
}

const givenOf = (run: Tensors): Record<string, Given> =>
  Object.fromEntries(
    Object.entries(run).map(([k, t]) => [k, { data: typedView(t.dtype, t.bytes) as TypedArray, dims: t.dims }]),
  );

/** One run; outputs have the dtypes of the program's ports. */
export async function runModel(model: Model, program: Program, run: Tensors): Promise<Tensors> {
  const got = await model.run(givenOf(run));
  return Object.fromEntries(
    program.outputs.map(({ name, buffer }) => {
      const { data, dims } = must(got[name], `output ${name}`);
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      return [name, { dtype: must(program.buffers.get(buffer), "a buffer").dtype, dims, bytes }];
    }),
  );
}

async function medianMs(model: Model, run: Tensors, atLeast: number): Promise<number> {
  const given = givenOf(run);
  await model.run(given);
  const times: number[] = [];
  for (const start = performance.now(); times.length < 3 || performance.now() - start < atLeast; ) {
    const before = performance.now();
    await model.run(given);
    times.push(performance.now() - before);
  }
  return times.sort((a, b) => a - b)[times.length >> 1]!;
}

/** compileTarget with its time. */
export async function timedCompile(
  front: FrontEnd,
  target: string,
  options: CompileOptions,
): Promise<CompiledTarget & { readonly ms: number }> {
  const before = performance.now();
  const compiled = await compileTarget(front, target, options);
  return { ...compiled, ms: performance.now() - before };
}
