// Vectors of four lanes and unrolled loops as text before and after (unroll.ir); vectors of 16 lanes (unroll-16.ir).
import { unroll } from "../../../passes/loops/unroll.ts";
import { testLoops } from "./cases.ts";

testLoops("unroll.ir", (body) => unroll(body, 4));
testLoops("unroll-16.ir", (body) => unroll(body, 16));
