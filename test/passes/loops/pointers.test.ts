// Moving pointers as text before and after (pointers.ir).
import { pointers } from "../../../passes/loops/pointers.ts";
import { testLoops } from "./cases.ts";

testLoops("pointers.ir", (body, k) => pointers(body, (id) => !k.params.some((b) => b.id === id)));
