// Writes files whole: under a temporary name first, then renamed.
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { userError } from "../base/diagnostics.ts";

export type NewFile = { readonly path: string; readonly bytes: Uint8Array };

/**
 * Writes files, folders included. All are complete before the first gets its name, and a file that is there already is replaced at
 * once. Throws a UserError E502 and leaves no temporary file behind.
 */
export function writeFiles(files: readonly NewFile[]): void {
  const renames = files.map((f) => ({ ...f, to: resolve(f.path), from: temporary(resolve(f.path)) }));
  try {
    for (const f of renames) {
      mkdirSync(dirname(f.to), { recursive: true });
      writeFileSync(f.from, f.bytes, { flag: "wx" });
    }
    for (const f of renames) renameSync(f.from, f.to);
  } catch (e) {
    for (const f of renames) rmSync(f.from, { force: true });
    throw userError(
      "E502",
      `${(e as NodeJS.ErrnoException).path ?? "the output"} cannot be written: ${(e as Error).message}`,
    );
  }
}
/** In the same folder, since a rename does not cross file systems. */
function temporary(path: string): string {
  return join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
}
