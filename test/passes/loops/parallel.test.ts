// Loops that threads share as text before and after (parallel.ir).
import { parallel } from "../../../passes/loops/parallel.ts";
import { testLoops } from "./cases.ts";

testLoops("parallel.ir", (body, _k, fresh) => parallel(body, fresh));
