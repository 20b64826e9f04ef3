// The loader of WebGPU artifacts: finds the parts of a model and makes it. Pasted into every artifact.
import type { DeviceOptions } from "./gpu-model.ts";
import { GpuModel } from "./gpu-model.ts";
import type { Plan } from "./gpu-plan.ts";
import type { Source } from "./ports.ts";
import { fail, fill, readBytes } from "./ports.ts";

/** Where to run, and the parts, if not beside the loader. */
export type GpuOptions = DeviceOptions & { readonly plan?: Source; readonly wgsl?: Source; readonly weights?: Source };
/** Where an artifact has its parts; text: the weights as base64. */
export type GpuParts = {
  readonly plan: () => URL;
  readonly wgsl: () => URL;
  readonly weights?: () => URL;
  readonly text?: string;
};
/** The `load` function of an artifact. */
export function link(parts: GpuParts): (options?: GpuOptions) => Promise<GpuModel> {
  return async (options = {}) => {
    const text = async (source: Source): Promise<string> => new TextDecoder().decode(await readBytes(source));
    const [json, wgsl] = await Promise.all([text(options.plan ?? parts.plan()), text(options.wgsl ?? parts.wgsl())]);
    const plan = JSON.parse(json) as Plan;
    const weights = new Uint8Array(plan.manifest.sizes.weights);
    if (weights.length > 0) {
      const embedded = (): Uint8Array<ArrayBuffer> =>
        Uint8Array.from(atob(parts.text ?? fail("the weights are missing")), (c) => c.charCodeAt(0));
      await fill(weights, options.weights ?? parts.weights?.() ?? embedded());
    }
    return GpuModel.create(plan, wgsl, weights, options);
  };
}
