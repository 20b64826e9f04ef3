// Linear indices as text before and after (flatten.ir).
import { flatten } from "../../../passes/loops/flatten.ts";
import { testLoops } from "./cases.ts";

testLoops("flatten.ir", (body, k) => flatten(body, k.params, () => null), { flattens: true });
