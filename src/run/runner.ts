// Runs artifacts on this machine: wasm, js and wgsl by their own loaders in this process, c by the machine's C compiler.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Model } from "../../runtime/linear.ts";
import type { ListValue } from "../../runtime/lists.ts";
import type { Given, TypedArray, Value } from "../../runtime/ports.ts";
import { runC } from "../../targets/c/harness.ts";
import { nodeGpu } from "../../targets/wgsl/node.ts";
import { must } from "../base/assert.ts";
import { aligned } from "../base/bytes.ts";
import { userError } from "../base/diagnostics.ts";
import type { CompiledTarget } from "../compile.ts";
import type { OutputFile } from "../ir/artifact.ts";
import { type DType, type Tensor, typedView } from "../ir/types.ts";
import { packList, portNames, unpackList } from "./lists.ts";
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
    return tensorsOf(await refusals(() => model.run(givenOf(inputs, x.ports), { seed })), x.ports);
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

/** Inputs as a loader takes them: of a sequence or optional the tensors in it, unless its ports are not all given. */
export function givenOf(inputs: Tensors, ports: Ports): Record<string, Given> {
  const given = (t: Tensor): Given => ({
    data: typedView(t.dtype, aligned(t.bytes, 8)) as TypedArray,
    dims: t.dims,
  });
  const lists = ports.lists.inputs.filter((l) => portNames(l).every((name) => tensorIn(inputs, name)));
  const parts = new Set(lists.flatMap(portNames));
  const plain = Object.entries(inputs).flatMap(([name, t]) => (parts.has(name) ? [] : [[name, given(t)] as const]));
  const whole = lists.map((l) => {
    const elements = unpackList(l, inputs)?.map(given) ?? null;
    return [l.name, (l.kind === "optional" ? (elements?.[0] ?? null) : elements) as unknown as Given] as const;
  });
  return Object.fromEntries([...plain, ...whole]);
}
/** Outputs of a loader as the tensors of the program. */
export function tensorsOf(outputs: Awaited<ReturnType<Model["run"]>>, ports: Ports): Tensors {
  const tensor = ({ data, dims }: Value, dtype: DType): Tensor => ({
    dtype,
    dims,
    bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  });
  const parts = new Set(ports.lists.outputs.flatMap(portNames));
  const plain = ports.outputs.flatMap(({ name, dtype }) =>
    parts.has(name) ? [] : [[name, tensor(must(outputs[name], `output ${name}`), dtype)] as const],
  );
  const lists = ports.lists.outputs.map((l) => {
    const value = outputs[l.name] as unknown as ListValue;
    const elements = value === null || Array.isArray(value) ? (value as readonly Value[] | null) : [value as Value];
    return packList(l, elements?.map((v) => tensor(v, l.dtype)) ?? null);
  });
  return Object.assign(Object.fromEntries(plain), ...lists) as Tensors;
}

/** A loader refuses inputs with a plain Error; other classes (of WebAssembly's traps, of JavaScript's own) are bugs. */
export async function refusals<T>(f: () => T | Promise<T>): Promise<T> {
  try {
    return await f();
  } catch (e) {
    if (!(e instanceof Error) || e.constructor !== Error) throw e;
    throw userError((e as { code?: unknown }).code === "E303" ? "E303" : "E402", e.message);
  }
}

/** Outputs in the order of the graph, with their names. */
export function inOrder(outputs: Tensors, ports: Ports): (Tensor & { readonly name: string })[] {
  return ports.outputs.map(({ name }) => ({ name, ...must(tensorIn(outputs, name), `output ${name}`) }));
}
