// Vectors of four lanes and unrolled loops as text before and after (unroll.ir).
import { unroll } from "../../../passes/loops/unroll.ts";
import { testLoops } from "./cases.ts";

testLoops("unroll.ir", (body) => unroll(body, 4));
