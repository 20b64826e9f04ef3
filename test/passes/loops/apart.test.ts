// Loop bodies that become functions of their own as text before and after (apart.ir), for calls with N = 60000.
import { apart } from "../../../passes/loops/apart.ts";
import { testLoops } from "./cases.ts";

testLoops("apart.ir", (body) => apart(body, [() => 60000]));
