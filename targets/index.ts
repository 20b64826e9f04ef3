// The targets by name, in the order in which they are listed to users. What is large (binaryen) loads when it is used.
import type { Target } from "../src/ir/target.ts";
import { cTarget } from "./c/index.ts";
import { jsTarget } from "./js/index.ts";
import { wasmTarget } from "./wasm/index.ts";
import { wgslTarget } from "./wgsl/index.ts";

const all: readonly Target[] = [wasmTarget, cTarget, jsTarget, wgslTarget];
export const targets: ReadonlyMap<string, Target> = new Map(all.map((t) => [t.info.name, t]));
