// A model as callers give it: the path of an ONNX file, or its bytes.
import { readFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { userError } from "../base/diagnostics.ts";
import type { DimBounds } from "../onnx/value-types.ts";

/** The path of an ONNX file, or its bytes. */
export type ModelSource = string | Uint8Array;
/** By name of a symbolic dim: its value, or inclusive bounds. */
export type DimOptions = Readonly<Record<string, number | DimBounds>> | ReadonlyMap<string, number | DimBounds>;
export type SourceOptions = {
  /** The artifact's name: of its files, and in C of its functions. Default: from the file's name, else "model". */
  readonly name?: string | undefined;
  /** The folder of external data. Default: that of the file. */
  readonly directory?: string | undefined;
  readonly dims?: DimOptions | undefined;
};
export type Source = {
  readonly bytes: Uint8Array;
  readonly name: string;
  readonly directory: string | undefined;
  readonly dims: ReadonlyMap<string, DimBounds>;
};

const validName = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$/;

/** Reads a model. Throws UserErrors E101 (the file cannot be read) and E501 (no possible name). */
export function readSource(model: ModelSource, options: SourceOptions): Source {
  if (options.name !== undefined && !validName.test(options.name))
    throw userError("E501", `"${options.name}" cannot be the name of an artifact`, {
      hint: "letters, digits, _, - and points, up to 100",
    });
  const path = typeof model === "string" ? model : null;
  return {
    bytes: typeof model === "string" ? readFile(model, "E101") : model,
    name: options.name ?? (path === null ? "model" : nameOf(path)),
    directory: options.directory ?? (path === null ? undefined : dirname(path)),
    dims: boundsOf(options.dims ?? {}),
  };
}

/** A file's bytes. Throws a UserError of this code. */
export function readFile(path: string, code: "E101" | "E403"): Uint8Array {
  try {
    return readFileSync(path);
  } catch (e) {
    const { code: reason, message } = e as NodeJS.ErrnoException;
    throw userError(code, `${path}: ${reason === "ENOENT" ? "there is no such file" : (reason ?? message)}`);
  }
}

/** `models/my net.onnx` is named my_net. */
function nameOf(path: string): string {
  const stem = basename(path)
    .replace(/\.onnx$/i, "")
    .replace(/[^A-Za-z0-9_.-]+/g, "_")
    .replace(/^[.-]+/, "");
  return validName.test(stem) ? stem : "model";
}

function boundsOf(dims: DimOptions): Map<string, DimBounds> {
  const entries = dims instanceof Map ? [...dims.entries()] : Object.entries(dims);
  return new Map(entries.map(([k, d]) => [k, typeof d === "number" ? { min: d, max: d } : d]));
}
