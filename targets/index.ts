// The targets by name, in the order in which they are listed to users.
import type { Target } from "../src/ir/target.ts";
import { jsTarget } from "./js/index.ts";
import { wasmTarget } from "./wasm/index.ts";

export const targets: ReadonlyMap<string, Target> = new Map([wasmTarget, jsTarget].map((t) => [t.info.name, t]));
