// Tensor data that lies in files beside the model.
import { closeSync, fstatSync, openSync, readSync, realpathSync } from "node:fs";
import { isAbsolute, join, relative, sep } from "node:path";
import { UserError, userError } from "../base/diagnostics.ts";
import type { StringStringEntryProto } from "./schema.ts";

/**
 * Reads the `size` bytes of a tensor from the file and range that `entries` name; the rest of the file is not touched. The file
 * must lie in `directory` or below it, symbolic links followed: a model is not trusted to name other files. Throws a UserError E103.
 */
export function readExternal(
  entries: readonly StringStringEntryProto[],
  size: number,
  what: string,
  directory: string | null,
): Uint8Array {
  const fail = (why: string, hint?: string): never => {
    throw userError("E103", `${what}: ${why}`, { hint });
  };
  const entry = (key: string): string | null => entries.find((e) => e.key === key)?.value ?? null;
  const location = entry("location");
  if (location === null || location === "") return fail("its external data has no location");
  if (directory === null) return fail(`its data lies in the file "${location}", but the model's folder is not known`);
  const offset = number(entry("offset") ?? "0");
  const stated = entry("length");
  const length = stated === null ? size : number(stated);
  if (offset === null || length === null) return fail("offset or length of its external data is no number");
  if (length !== size) return fail(`${length} bytes of external data where ${size} belong`);
  const path = join(directory, location.replaceAll("\\", "/"));
  const outside = isAbsolute(location) || /^[A-Za-z]:/.test(location) || leaves(directory, path);
  if (outside || location.includes("\0"))
    return fail(`its external data "${location}" lies outside of the model's folder`);
  let file: number | null = null;
  try {
    if (leaves(realpathSync(directory), realpathSync(path)))
      return fail(
        `its external data "${location}" lies outside of the model's folder`,
        "copy the file beside the model",
      );
    file = openSync(path, "r");
    const stat = fstatSync(file);
    if (!stat.isFile()) return fail(`"${location}" is no file`);
    if (offset + size > stat.size)
      return fail(`bytes ${offset} to ${offset + size} lie beyond the end of "${location}" (${stat.size} bytes)`);
    const bytes = new Uint8Array(size);
    for (let at = 0; at < size; ) {
      const n = readSync(file, bytes, at, Math.min(size - at, 2 ** 30), offset + at);
      if (n === 0) return fail(`"${location}" is too short`);
      at += n;
    }
    return bytes;
  } catch (e) {
    if (e instanceof UserError) throw e;
    return fail(
      `its external data "${location}" cannot be read (${(e as NodeJS.ErrnoException).code ?? (e as Error).message})`,
    );
  } finally {
    if (file !== null) closeSync(file);
  }
}

function number(text: string): number | null {
  return /^\d{1,15}$/.test(text) ? Number(text) : null;
}
function leaves(directory: string, path: string): boolean {
  const way = relative(directory, path);
  return way === ".." || way.startsWith(`..${sep}`) || isAbsolute(way);
}
