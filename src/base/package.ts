// Where Ingot itself is installed.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { assert } from "./assert.ts";

let found: { readonly root: string; readonly version: string } | null = null;
function find(): { readonly root: string; readonly version: string } {
  for (let at = dirname(fileURLToPath(import.meta.url)); ; at = dirname(at)) {
    const file = join(at, "package.json");
    if (existsSync(file)) {
      const { name, version } = JSON.parse(readFileSync(file, "utf8")) as { name?: string; version: string };
      if (name === "ingot") return { root: at, version };
    }
    assert(dirname(at) !== at, "no package.json of ingot above the compiler");
  }
}
/** The folder of Ingot's package.json: above src or above dist. */
export function packageRoot(): string {
  found ??= find();
  return found.root;
}
export function packageVersion(): string {
  found ??= find();
  return found.version;
}
