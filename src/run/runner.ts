// Runs artifacts on this machine: wasm, js and wgsl by their own loaders in this process, c by the machine's C compiler.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Model } from "../../runtime/linear.ts";
import type { Given, TypedArray } from "../../runtime/ports.ts";
import { runC } from "../../targets/c/harness.ts";
import { nodeGpu } from "../../targets/wgsl/node.ts";
import { must } from "../base/assert.ts";
import { aligned } from "../base/bytes.ts";
import { userError } from "../base/diagnostics.ts";
import type { CompiledTarget } from "../compile.ts";
import type { OutputFile } from "../ir/artifact.ts";
import { type Tensor, typedView } from "../ir/types.ts";
import { type Ports, type Tensors, tensorIn } from "./ports.ts";

/** What can be run: a target's files, made under this name. */
export type Runnable = {
  readonly target: string;
  readonly name: string;
  readonly compiled: CompiledTarget;
  readonly ports: Ports;
};

/**
 * The outputs of one run by name. Throws UnavailableError when the target cannot run on this machine, UserErrors E402 and E303 when
 * the model refuses its inputs, anything else for a bug of ours.
 */
export async function runOnce(x: Runnable, inputs: Tensors, seed: number): Promise<Tensors> {
  if (x.target === "c") return runC(x.compiled.program, x.compiled.files, { name: x.name, inputs, seed });
  const model = await loadModel(x);
  try {
    return tensorsOf(await refusals(() => model.run(givenOf(inputs), { seed })), x.ports);
  } finally {
    model.dispose();
  }
}

/** A model that is loaded from files in a temporary folder. wgsl has no runSync. */
export async function loadModel(x: Runnable): Promise<Omit<Model, "runSync"> & Partial<Pick<Model, "runSync">>> {
  const gpu = x.target === "wgsl" ? await theGpu() : null;
  return inFolder(x.compiled.files, async (folder) => {
    const loader = (await import(pathToFileURL(join(folder, `${x.name}.mjs`)).href)) as {
      load: (options: object) => Promise<Model>;
    };
    return loader.load(gpu ? { gpu } : {});
  });
}

async function inFolder<T>(files: readonly OutputFile[], use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "ingot-"));
  try {
    for (const f of files) await writeFile(join(folder, f.path), f.bytes);
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

let gpu: Promise<GPU> | null = null;
/** One for the whole process: Dawn stops it when an instance goes while its devices live. Rejects with UnavailableError. */
export function theGpu(): Promise<GPU> {
  gpu ??= nodeGpu();
  return gpu;
}

/** Inputs as a loader takes them. */
export function givenOf(inputs: Tensors): Record<string, Given> {
  const entries = Object.entries(inputs);
  return Object.fromEntries(
    entries.map(([name, t]) => [name, { data: typedView(t.dtype, aligned(t.bytes, 8)) as TypedArray, dims: t.dims }]),
  );
}
function tensorsOf(outputs: Awaited<ReturnType<Model["run"]>>, ports: Ports): Tensors {
  return Object.fromEntries(
    ports.outputs.map(({ name, dtype }) => {
      const { data, dims } = must(outputs[name], `output ${name}`);
      return [name, { dtype, dims, bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) }];
    }),
  );
}

/** A loader refuses inputs with a plain Error; other classes (of WebAssembly's traps, of JavaScript's own) are bugs. */
export async function refusals<T>(f: () => T | Promise<T>): Promise<T> {
  try {
    return await f();
  } catch (e) {
    if (!(e instanceof Error) || e.constructor !== Error) throw e;
    throw userError(/\bmemory\b/.test(e.message) ? "E303" : "E402", e.message);
  }
}

/** Outputs in the order of the graph, with their names. */
export function inOrder(outputs: Tensors, ports: Ports): (Tensor & { readonly name: string })[] {
  return ports.outputs.map(({ name }) => ({ name, ...must(tensorIn(outputs, name), `output ${name}`) }));
}
