// Programs on a GPU, for the tests of the WGSL target.
import { expect } from "vitest";
import { GpuModel } from "../../runtime/gpu-model.ts";
import type { Program } from "../../src/ir/program.ts";
import type { Tensor } from "../../src/ir/types.ts";
import { typedView } from "../../src/ir/types.ts";
import { manifestOf } from "../../targets/loader/manifest.ts";
import { planProgram } from "../../targets/wgsl/plan.ts";
import { wordWeights } from "../../targets/wgsl/weights.ts";

/** A program on a GPU, its weights in parts of `partBytes`. */
export function gpuModel(gpu: GPU, p: Program, partBytes?: number): Promise<GpuModel> {
  const { plan, wgsl } = planProgram(p, manifestOf(p, p.name, "file"), partBytes);
  return GpuModel.create(JSON.parse(JSON.stringify(plan)), wgsl, wordWeights(p), { gpu });
}

/** Tensors as a model takes them. */
export function gpuInputs(
  tensors: Readonly<Record<string, Tensor>>,
): Record<string, { data: Int32Array; dims: readonly number[] }> {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, t]) => [
      name,
      { data: typedView(t.dtype, t.bytes) as Int32Array, dims: t.dims },
    ]),
  );
}

/** Runs a model and compares its outputs with what is expected, bit by bit or within `ulps` of f32. */
export async function expectRun(
  m: GpuModel,
  inputs: Readonly<Record<string, Tensor>>,
  expected: Readonly<Record<string, Tensor>>,
  more: {
    readonly seed?: number;
    readonly ulps?: number;
    readonly ignore?: (output: string, element: number, want: number) => boolean;
  } = {},
): Promise<void> {
  const got = await m.run(gpuInputs(inputs), { seed: more.seed ?? 0 });
  for (const [name, want] of Object.entries(expected)) {
    const out = got[name];
    expect(out?.dims, name).toEqual(want.dims);
    const a = out!.data;
    const b = typedView(want.dtype, want.bytes);
    expect(a.constructor.name).toBe(b.constructor.name);
    const wrong: string[] = [];
    for (let i = 0; i < b.length; i++) {
      const [x, y] = [a[i]!, b[i]!];
      const near = Object.is(x, y) || (more.ulps !== undefined && ulps(Number(x), Number(y)) <= more.ulps);
      if (!near && !more.ignore?.(name, i, Number(y))) wrong.push(`${name}[${i}] is ${x} instead of ${y}`);
    }
    expect(wrong.slice(0, 20), `${wrong.length} of ${b.length} elements`).toEqual([]);
  }
}
/** The distance of two f32 numbers in units in the last place. */
function ulps(x: number, y: number): number {
  const key = (f: number): number => {
    const bits = new Int32Array(new Float32Array([f]).buffer)[0]!;
    return bits < 0 ? -(bits & 0x7fffffff) : bits;
  };
  return Number.isNaN(x) || Number.isNaN(y) ? Number.POSITIVE_INFINITY : Math.abs(key(x) - key(y));
}
