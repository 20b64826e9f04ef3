// Writes files whole: under a temporary name first, then renamed.
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { userError } from "../base/diagnostics.ts";

export type NewFile = { readonly path: string; readonly bytes: Uint8Array };

/**
 * Writes files, folders included. All are complete before the first gets its name, and a file that is there already is replaced at
 * once. Throws a UserError E502 and leaves no temporary file behind.
 */
export function writeFiles(files: readonly NewFile[]): void {
  const made: string[] = [];
  const renames = files.map((f) => ({ ...f, to: resolve(f.path), from: temporary(resolve(f.path)) }));
  try {
    for (const f of renames) {
      makeFolder(dirname(f.to));
      made.push(f.from);
      writeFileSync(f.from, f.bytes);
    }
    for (const f of renames) renameSync(f.from, f.to);
  } catch (e) {
    for (const path of made) removeIfThere(path);
    throw userError(
      "E502",
      `${(e as NodeJS.ErrnoException).path ?? "the output"} cannot be written: ${(e as Error).message}`,
    );
  }
}
function removeIfThere(path: string): void {
  try {
    rmSync(path);
  } catch {
    // It was never written, or has its name already.
  }
}
/** Node's own `recursive` never ends where a folder cannot be made in one that is there (/proc). */
function makeFolder(path: string): void {
  if (existsSync(path)) return;
  makeFolder(dirname(path));
  try {
    mkdirSync(path);
  } catch (e) {
    // Another process may have made it meanwhile.
    if ((e as NodeJS.ErrnoException).code !== "EEXIST") throw e;
  }
}
/** In the same folder, since a rename does not cross file systems. */
function temporary(path: string): string {
  return join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
}
