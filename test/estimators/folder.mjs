// Fits and converts the estimators in the cache, once: see fit.py for what is written.
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { cacheFolder, entry, root, run, sha256 } from "../models/cache.mjs";
import { venv } from "../models/venv.mjs";

const script = join(root, "test/estimators/fit.py");
const requirements = join(root, "test/estimators/requirements.txt");

/** The folder of the fitted models, made first if it is missing. Rejects with code 'UNAVAILABLE' where that needs a registry. */
export async function estimatorsFolder() {
  const key = sha256(readFileSync(requirements, "utf8") + readFileSync(script, "utf8"));
  return entry(join(cacheFolder(), "estimators"), key, async (out) => {
    mkdirSync(out);
    await run(await venv(requirements), [script, out]);
  });
}
