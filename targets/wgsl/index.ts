// The WGSL target: compute shaders, the plan of their dispatches, and a loader for WebGPU.
import type { OutputFile } from "../../src/ir/artifact.ts";
import type { Program } from "../../src/ir/program.ts";
import type { EmitOptions, Emitted, Target } from "../../src/ir/target.ts";
import { exported, literal, loaderText } from "../loader/index.ts";
import { listsOf, manifestOf } from "../loader/manifest.ts";
import { declarations } from "../loader/types.ts";
import { wgslInfo } from "./info.ts";
import { planProgram } from "./plan.ts";
import { wordWeights } from "./weights.ts";

/** NAME.mjs, NAME.d.ts, NAME.wgsl, NAME.plan.json, and NAME.weights unless they are embedded. E303, E304. */
async function emit(p: Program, options: EmitOptions): Promise<Emitted> {
  const { name } = options;
  const place = p.constants.size === 0 ? "module" : options.weights === "file" ? "file" : "text";
  const manifest = manifestOf(p, name, place, options.labels);
  const lists = listsOf(options.lists);
  const { plan, wgsl } = planProgram(p, manifest);
  const weights = place === "module" ? null : wordWeights(p);
  const text = place === "text" ? Buffer.from(weights!).toString("base64") : "";
  const url = (suffix: string): string => `() => new URL(${literal(`./${name}${suffix}`)}, import.meta.url)`;
  const loader = `// Made by Ingot.
const link = ${loaderText("webgpu", "link")};
${exported(
  `link({
  plan: ${url(".plan.json")},
  wgsl: ${url(".wgsl")},
${place === "file" ? `  weights: ${url(".weights")},\n` : ""}${place === "text" ? `  text: "${text}",\n` : ""}})`,
  lists,
)}`;
  const encoder = new TextEncoder();
  const file = (
    suffix: string,
    role: OutputFile["role"],
    content: string | Uint8Array,
    weightBytes = 0,
  ): OutputFile => ({
    path: `${name}${suffix}`,
    bytes: typeof content === "string" ? encoder.encode(content) : content,
    role,
    ...(weightBytes > 0 ? { weightBytes } : {}),
  });
  return {
    files: [
      file(".mjs", "loader", loader, text.length),
      file(".d.ts", "types", declarations(manifest, "wgsl", lists)),
      file(".wgsl", "code", wgsl),
      file(".plan.json", "plan", `${JSON.stringify(plan)}\n`),
      ...(place === "file" ? [file(".weights", "weights", weights!)] : []),
    ],
  };
}

export const wgslTarget: Target = { info: wgslInfo, emit };
