// The targets by name, in the order in which they are listed to users; each is loaded when it is asked for.
import type { Target } from "../src/ir/target.ts";

export const targetNames = ["wasm", "c", "js", "wgsl"] as const;
export type TargetName = (typeof targetNames)[number];

export const targets: ReadonlyMap<string, () => Promise<Target>> = new Map<TargetName, () => Promise<Target>>([
  ["wasm", async () => (await import("./wasm/index.ts")).wasmTarget],
  ["c", async () => (await import("./c/index.ts")).cTarget],
  ["js", async () => (await import("./js/index.ts")).jsTarget],
  ["wgsl", async () => (await import("./wgsl/index.ts")).wgslTarget],
]);
