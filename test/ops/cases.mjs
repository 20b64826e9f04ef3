// Makes the cases that onnxruntime answers in the cache, once: see cases.py for what is written.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { cacheFolder, entry, root, run, sha256 } from "../models/cache.mjs";
import { venv } from "../models/venv.mjs";

const script = join(root, "test/ops/cases.py");
const requirements = join(root, "test/models/requirements.txt");

/** The folder of the cases, made first if it is missing. Rejects with code 'UNAVAILABLE' where that needs a registry. */
export async function opCasesFolder() {
  const key = sha256(readFileSync(requirements, "utf8") + readFileSync(script, "utf8"));
  return entry(join(cacheFolder(), "op-cases"), key, async (out) => run(await venv(), [script, out]));
}
