// WebGPU in node: npm's `webgpu` (Dawn) on a real GPU, or on SwiftShader, the software adapter that Debian's chromium ships.
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { UnavailableError } from "../../src/base/diagnostics.ts";

const chromium = "/usr/lib/chromium";
const icd = `${chromium}/vk_swiftshader_icd.json`;

/**
 * The environment in which a node process finds SwiftShader, or {} where it is not installed. LD_LIBRARY_PATH is for machines
 * without a Vulkan loader of their own: chromium has one. The dynamic linker reads it only when a process starts.
 */
export function softwareEnv(): Readonly<Record<string, string>> {
  if (!existsSync(icd)) return {};
  return {
    VK_ICD_FILENAMES: icd,
    XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR ?? tmpdir(),
    LD_LIBRARY_PATH: [...new Set([...(process.env.LD_LIBRARY_PATH ?? "").split(":"), chromium])]
      .filter((x) => x)
      .join(":"),
  };
}

/**
 * A GPU object (navigator.gpu) that has an adapter: a real one, else a software one.
 * Throws UnavailableError, which says what to install or how to start node.
 */
export async function nodeGpu(): Promise<GPU> {
  let create: (options: string[]) => GPU;
  try {
    ({ create } = (await import("webgpu")) as { create: typeof create });
  } catch (e) {
    throw new UnavailableError(
      `running WGSL in node needs the package webgpu: npm install webgpu (${(e as Error).message})`,
    );
  }
  const real = create([]);
  if (await real.requestAdapter()) return real;
  const env = softwareEnv();
  // Vulkan's loader reads these at each new instance.
  for (const name of ["VK_ICD_FILENAMES", "XDG_RUNTIME_DIR"])
    if (env[name] !== undefined) process.env[name] ??= env[name];
  const software = create([]);
  if (await software.requestAdapter()) return software;
  const line = Object.entries(env)
    .map(([k, v]) => `${k}=${v}`)
    .join(" ");
  throw new UnavailableError(
    line === ""
      ? "no WebGPU adapter was found: install a GPU driver with Vulkan, or a software adapter (on Debian: apt-get install chromium libvulkan1)"
      : `no WebGPU adapter was found: install libvulkan1, or start node with ${line}`,
  );
}
