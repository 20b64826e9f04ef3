// Terms that read the same vector as text before and after (reuse.ir).
import { reuse } from "../../../passes/loops/reuse.ts";
import { visitStmt } from "../../../src/ir/rewrite.ts";
import { testLoops } from "./cases.ts";

testLoops("reuse.ir", (body) => {
  const registers = new Set<unknown>();
  visitStmt(body, (s) => {
    if (s.kind === "alloc" && s.buffer.scope === "register") registers.add(s.buffer.id);
  });
  return reuse(body, (id) => registers.has(id));
});
