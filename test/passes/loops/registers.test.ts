// Local variables as text before and after (registers.ir).
import { registers } from "../../../passes/loops/registers.ts";
import { testLoops } from "./cases.ts";

testLoops("registers.ir", (body, _k, fresh) => registers(body, fresh));
