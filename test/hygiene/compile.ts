// Compiles real models for all targets. As a program (`node --import ./test/source.mjs compile.ts MODEL.MODE ...`) it prints a hash of
// every file that it makes.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { compileTarget, frontEnd } from "../../src/compile.ts";
import type { OutputFile } from "../../src/ir/artifact.ts";
import { dimsOf, inputsOf } from "../models/execute.ts";
import { type Mode, reference } from "../models/suite.ts";

export type Compiled = Readonly<Record<string, readonly OutputFile[]>>;
export const targets: readonly string[] = ["js", "wasm", "c", "wgsl"];
/** Files by target. Rejects with code 'UNAVAILABLE' where a model cannot be fetched. */
export async function compileModel(name: string, mode: Mode, verify: boolean): Promise<Compiled> {
  const { model, inputs } = await reference(name);
  const bytes = new Uint8Array(readFileSync(model));
  const dims = mode === "fixed" ? dimsOf(bytes, inputsOf(readFileSync(inputs))) : new Map();
  const options = { name, dims, verify };
  const front = frontEnd(bytes, options);
  const made: Record<string, readonly OutputFile[]> = {};
  for (const t of targets) made[t] = (await compileTarget(front, t, options)).files;
  return made;
}
/** A line for each file. */
export function hashes(made: Compiled): string[] {
  return Object.entries(made).flatMap(([target, files]) =>
    files.map((f) => `${target} ${f.path} ${createHash("sha256").update(f.bytes).digest("hex")}`),
  );
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  for (const id of process.argv.slice(2)) {
    const [name, mode] = id.split(".") as [string, Mode];
    for (const line of hashes(await compileModel(name, mode, false))) console.log(`${id} ${line}`);
  }
}
