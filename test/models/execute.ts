// Compiles models for a target and runs them here.
import { must } from "../../src/base/assert.ts";
import { userError } from "../../src/base/diagnostics.ts";
import { readNpz } from "../../src/base/npz.ts";
import type { CompiledTarget } from "../../src/compile.ts";
import type { OutputFile } from "../../src/ir/artifact.ts";
import type { Tensor } from "../../src/ir/types.ts";
import { readModel } from "../../src/onnx/proto.ts";
import type { DimBounds } from "../../src/onnx/value-types.ts";
import { InputSymbols } from "../../src/onnx/value-types.ts";
import type { Tensors } from "../../src/run/ports.ts";
import { givenOf, loadModel, type Runnable, tensorsOf } from "../../src/run/runner.ts";
import { benchC, runCases } from "../../targets/c/harness.ts";

/** The outputs of each run, and the time of the first one in ms. */
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

/** Bytes of what an artifact ships as code: all but weights and declarations. */
export function codeBytes(files: readonly OutputFile[]): number {
  const code = files.filter((f) => f.role !== "weights" && f.role !== "types");
  return code.reduce((n, f) => n + f.bytes.length - (f.weightBytes ?? 0), 0);
}

/**
 * All runs by one artifact, in order. `timeMs`: afterwards the first run is repeated for as long as that.
 * Throws UnavailableError where the target cannot run on this machine.
 */
export async function execute(x: Runnable, runs: readonly Tensors[], timeMs: number | null = null): Promise<Execution> {
  if (x.target === "c") return executeC(x.compiled, x.name, runs, timeMs);
  const model = await loadModel(x);
  try {
    const outputs: Tensors[] = [];
    for (const inputs of runs) {
      outputs.push(tensorsOf(await model.run(givenOf(inputs, x.ports)), x.ports));
    }
    return {
      outputs,
      medianMs: timeMs === null ? null : await median(() => model.run(givenOf(runs[0]!, x.ports)), timeMs),
    };
  } finally {
    model.dispose();
  }
}

async function executeC(
  { program, files }: CompiledTarget,
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

/** The median time of a run in ms, of those that follow each other for `atLeast` ms. */
async function median(run: () => Promise<unknown>, atLeast: number): Promise<number> {
  await run();
  const times: number[] = [];
  for (const start = performance.now(); times.length < 3 || performance.now() - start < atLeast; ) {
    const before = performance.now();
    await run();
    times.push(performance.now() - before);
  }
  return times.sort((a, b) => a - b)[times.length >> 1]!;
}
