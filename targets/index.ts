// The targets by name, in the order in which they are listed to users.
import type { Target } from "../src/ir/target.ts";
import { jsTarget } from "./js/index.ts";
import { wasmTarget } from "./wasm/index.ts";
import { wgslTarget } from "./wgsl/index.ts";

const all: readonly Target[] = [wasmTarget, jsTarget, wgslTarget];
export const targets: ReadonlyMap<string, Target> = new Map(all.map((t) => [t.info.name, t]));
