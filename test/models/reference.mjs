// What onnxruntime answers for the models of models.json: made on first use, kept in the cache.
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheFolder, entry, failure, root, run, sha256 } from "./cache.mjs";
import { fetchModel, findModel, modelKey } from "./fetch.mjs";
import { venv } from "./venv.mjs";

const script = join(root, "test/models/reference.py");

/** The committed inputs of a model; variant "@2" is the second set, at other sizes. */
export function inputsPath(name, variant = "") {
  const model = findModel(name);
  if (variant && !model[variant]) throw failure("UNKNOWN_VARIANT", `${name} has no inputs '${variant}'`);
  return join(root, "test/models/io", `${model.inputs ?? name}${variant}.npz`);
}

/** onnxruntime's outputs for any model and inputs: the path of an npz in `.cache/models/out`. */
export async function outputs(model, key, inputs, name = basename(model, ".onnx")) {
  const made = JSON.stringify([key, sha256(readFileSync(inputs)), sha256(readFileSync(script))]);
  return entry(join(cacheFolder(), "models/out", `${name}.npz`), made, async (out) =>
    run(await venv(), [script, "run", model, inputs, out]),
  );
}

/**
 * The files of one test: the model, its inputs (`in_<name>`) and onnxruntime's outputs (`out_<i>`), made where missing.
 * Rejects with code 'UNAVAILABLE' where they are missing and no registry can be reached.
 */
export async function reference(name, variant = "") {
  const inputs = inputsPath(name, variant);
  const model = await fetchModel(name);
  const expected = await outputs(model, modelKey(findModel(name)), inputs, name + variant);
  return { model, inputs, expected };
}

/** The model, and its trace over a recording: an npz of frames and of what onnxruntime makes of each (reference.py says more). */
export async function trace(name) {
  const entryOf = findModel(name);
  const model = await fetchModel(name);
  const how = JSON.stringify(entryOf.recording);
  const made = JSON.stringify([modelKey(entryOf), how, sha256(readFileSync(script))]);
  const path = await entry(join(cacheFolder(), "models/out", `${name}.trace.npz`), made, async (out) =>
    run(await venv(), [script, "trace", model, how, out]),
  );
  return { model, trace: path };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [name, variant] = process.argv.slice(2);
  console.log(await reference(name, variant));
}
