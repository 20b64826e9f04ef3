// Makes ONNX's backend tests in the cache, once: see generate.py for what is written.
//
//   node test/conformance/generate.mjs
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheFolder, entry, root, run, sha256 } from "../models/cache.mjs";
import { venv } from "../models/venv.mjs";

const script = join(root, "test/conformance/generate.py");
const requirements = join(root, "test/models/requirements.txt");

/** The folder of the tests, made first if it is missing. Rejects with code 'UNAVAILABLE' where that needs a registry. */
export async function conformanceFolder() {
  const pins = readFileSync(requirements, "utf8");
  const version = /^onnx==(.*)$/m.exec(pins)[1];
  const key = sha256(pins + readFileSync(script, "utf8"));
  const folder = join(cacheFolder(), `conformance-${version}`);
  return entry(folder, key, async (out) => run(await venv(), [script, out]));
}

/** The list of the tests, sorted by name: `{name, kind, rtol, atol, ops, opset, sets, inputs, outputs}`. */
export async function conformanceIndex() {
  return JSON.parse(readFileSync(join(await conformanceFolder(), "index.json"), "utf8"));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = await conformanceFolder();
  console.log(`${(await conformanceIndex()).length} tests in ${folder}`);
}
