// Programs on the four targets, as their users run them: one artifact, several runs.
import type { Model } from "../../runtime/linear.ts";
import { link } from "../../runtime/linear.ts";
import { must } from "../../src/base/assert.ts";
import type { Program } from "../../src/ir/program.ts";
import type { TargetInfo } from "../../src/ir/target.ts";
import type { Tensor } from "../../src/ir/types.ts";
import { typedView } from "../../src/ir/types.ts";
import { runCases } from "../../targets/c/harness.ts";
import { cInfo, cTarget } from "../../targets/c/index.ts";
import { Instance } from "../../targets/js/evaluate.ts";
import { jsTarget } from "../../targets/js/index.ts";
import { manifestOf } from "../../targets/loader/manifest.ts";
import { wasmModule, wasmTarget } from "../../targets/wasm/index.ts";
import { wgslInfo } from "../../targets/wgsl/info.ts";
import { gpuInputs, gpuModel } from "../targets/gpu.ts";

export type Tensors = Readonly<Record<string, Tensor>>;
/** A program that was lowered for one target, and the inputs of its runs. */
export type Work = { readonly program: Program; readonly runs: readonly Tensors[] };
export type TargetName = "js" | "wasm" | "c" | "wgsl";
export const infos: Readonly<Record<TargetName, TargetInfo>> = {
  js: jsTarget.info,
  wasm: wasmTarget.info,
  c: cInfo(),
  wgsl: wgslInfo,
};

/** The outputs of each run of each program. Strict: every rounding separate. C needs a compiler, WGSL a GPU: `gpu`. */
export async function runOn(
  target: TargetName,
  works: readonly Work[],
  options: { readonly gpu?: GPU | null; readonly strict?: boolean } = {},
): Promise<(readonly Tensors[])[]> {
  const strict = options.strict ?? false;
  switch (target) {
    case "js":
      return works.map(({ program, runs }) => {
        const instance = new Instance(program, { strict });
        return runs.map((x) => Object.fromEntries(instance.run(new Map(Object.entries(x)), 0)));
      });
    case "wasm":
      return all(works, async ({ program, runs }) => {
        const wasm = (await wasmModule(program, { weights: "embed" })) as BufferSource;
        const model = await link(manifestOf(program, program.name, "module"), {})({ wasm });
        return runs.map((x) => tensors(program, model.runSync(inputs(x))));
      });
    case "c": {
      const cases = await all(works, async ({ program, runs }, i) => {
        const name = `c${i}`;
        const { files } = await cTarget.emit(program, { name, weights: "embed", strict });
        return { program, name, files, runs: runs.map((x) => ({ inputs: x })) };
      });
      const flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1"];
      return (await runCases(cases, { flags })).map((results) =>
        results.map((r) => {
          if (r.status !== 0) throw new Error(`the model returns status ${r.status}`);
          return r.outputs;
        }),
      );
    }
    case "wgsl":
      return all(works, async ({ program, runs }) => {
        const model = await gpuModel(must(options.gpu, "a GPU"), program);
        const results = await all(runs, async (x) => tensors(program, await model.run(gpuInputs(x))));
        model.dispose();
        return results;
      });
  }
}
async function all<A, B>(list: readonly A[], f: (x: A, i: number) => Promise<B>): Promise<B[]> {
  const out: B[] = [];
  for (const [i, x] of list.entries()) out.push(await f(x, i));
  return out;
}
function inputs(x: Tensors): Parameters<Model["runSync"]>[0] {
  return Object.fromEntries(
    Object.entries(x).map(([name, t]) => [name, { data: typedView(t.dtype, t.bytes), dims: t.dims }]),
  );
}
function tensors(p: Program, values: ReturnType<Model["runSync"]>): Tensors {
  return Object.fromEntries(
    p.outputs.map(({ name, buffer }) => {
      const { data, dims } = must(values[name], name);
      const { dtype } = p.buffers.get(buffer)!;
      return [name, { dtype, dims, bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice() }];
    }),
  );
}

/** What differs between an output and what is expected: integers exactly, floats by `rtol` of the largest magnitude. */
export function differences(got: Tensors, want: Tensors, rtol: number): string[] {
  return Object.entries(want).flatMap(([name, w]) => {
    const g = got[name];
    if (!g) return [`no output ${name}`];
    if (g.dtype !== w.dtype || g.dims.join() !== w.dims.join())
      return [`${name} is ${g.dtype}[${g.dims}], not ${w.dtype}[${w.dims}]`];
    const [a, b] = [g, w].map((t) => Array.from(typedView(t.dtype, t.bytes) as ArrayLike<number | bigint>, Number)) as [
      number[],
      number[],
    ];
    const exact = w.dtype !== "f32" && w.dtype !== "f64";
    const bound = exact ? 0 : rtol * b.reduce((m, x) => (Number.isFinite(x) ? Math.max(m, Math.abs(x)) : m), 0);
    return b.flatMap((x, i) =>
      Object.is(a[i], x) || Math.abs(a[i]! - x) <= bound ? [] : [`${name}[${i}] is ${a[i]}, not ${x}`],
    );
  });
}
