// The cache that the model and conformance tests fill: where it is, and how a file in it is known to be current.
//
// Everything in it can be remade, so nothing in it is committed. Several test workers may want one entry at once, so an
// entry is made under a name of its own and renamed into place: the worst that a race costs is work done twice.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's root. */
export const root = join(dirname(fileURLToPath(import.meta.url)), "../..");

/** The cache folder: INGOT_CACHE, or .cache in the repository. */
export function cacheFolder() {
  return resolve(root, process.env.INGOT_CACHE || ".cache");
}

/** An Error with a code, so that a test can skip for 'UNAVAILABLE' and fail for anything else. */
export function failure(code, message) {
  return Object.assign(new Error(message), { code });
}

export function sha256(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}

/** True when the file exists and was made from `key` (the text beside it says from what). */
export function isCurrent(path, key) {
  const note = `${path}.key`;
  return existsSync(path) && existsSync(note) && readFileSync(note, "utf8") === key;
}

/**
 * Makes `path` by `make(temporaryPath)` unless it is current. The key is written after the rename, so a process that
 * dies between the two leaves an entry that is made again, never a wrong one.
 */
export async function entry(path, key, make) {
  if (isCurrent(path, key)) return path;
  mkdirSync(dirname(path), { recursive: true });
  const temporary = join(dirname(path), `.${process.pid}-${basename(path)}`);
  try {
    await make(temporary);
    rmSync(path, { recursive: true, force: true });
    renameSync(temporary, path);
    writeFileSync(`${path}.key`, key);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  return path;
}

/** Runs a program to its end and returns what it printed; rejects with the tail of its output. */
export function run(program, args, options = {}) {
  const { code = "FAILED", ...rest } = options;
  return new Promise((done, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], ...rest });
    let out = "";
    let all = "";
    child.stdout.on("data", (text) => {
      out += text;
      all += text;
    });
    child.stderr.on("data", (text) => {
      all += text;
    });
    const what = [program, ...args].join(" ");
    child.on("error", (e) => reject(failure(code, `cannot start: ${what}\n${e.message}`)));
    child.on("close", (status, signal) => {
      if (status === 0) done(out);
      else reject(failure(code, `${what}\nended with ${signal ?? status}:\n${all.trim().slice(-2000)}`));
    });
  });
}
