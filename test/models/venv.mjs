// Python environments of the tests: made once in the cache, each from a file of pinned requirements.
import { existsSync, readFileSync, renameSync, rmSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheFolder, failure, root, run, sha256 } from "./cache.mjs";

/** Of the model and conformance tests. */
const common = join(root, "test/models/requirements.txt");

/** pip that gives up soon where there is no registry, instead of retrying for minutes. */
export const pipFlags = ["--disable-pip-version-check", "--quiet", "--retries", "1", "--timeout", "60"];

/**
 * The python of an environment that holds the packages that `requirements` pins, made first if it is missing.
 * Rejects with code 'UNAVAILABLE' where there is no python3 or no registry.
 */
export async function venv(requirements = common) {
  // Named by what it holds, so new pins make a new one and a half-made one is never used.
  const version = await run("python3", ["--version"], { code: "UNAVAILABLE" });
  const name = `venv-${sha256(version + readFileSync(requirements, "utf8")).slice(0, 12)}`;
  const folder = join(cacheFolder(), name);
  const python = join(folder, "bin/python");
  if (existsSync(python)) return python;

  const temporary = join(cacheFolder(), `.${process.pid}-${name}`);
  await mkdir(cacheFolder(), { recursive: true });
  try {
    await run("python3", ["-m", "venv", temporary], { code: "UNAVAILABLE" });
    // Called as `python -m pip`, never as bin/pip: that script's first line names the folder before it is renamed.
    const install = ["-m", "pip", "install", ...pipFlags, "-r", requirements];
    await run(join(temporary, "bin/python"), install, { code: "UNAVAILABLE" });
    renameSync(temporary, folder);
  } catch (e) {
    // Another process may have put its own there in the meantime.
    if (!existsSync(python)) throw e.code === "UNAVAILABLE" ? e : failure("FAILED", e.message);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  return python;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(await venv());
