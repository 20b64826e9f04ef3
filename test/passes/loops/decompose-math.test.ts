// Math functions as text before and after (decompose-math.ir). How exact they are: ../math.test.ts.
import { decomposeMath } from "../../../passes/loops/decompose-math.ts";
import { infos } from "../../proofs/targets.ts";
import { testLoops } from "./cases.ts";

testLoops("decompose-math.ir", (body) => decomposeMath(body, infos.wasm), { tolerance: 2e-7 });
