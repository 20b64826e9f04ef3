// Packages a module in linear memory with its loader: NAME.mjs, NAME.d.ts, NAME.d.mts, NAME.wasm, NAME.weights.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Lists } from "../../runtime/manifest.ts";
import { assert, must } from "../../src/base/assert.ts";
import { packageRoot } from "../../src/base/package.ts";
import type { OutputFile } from "../../src/ir/artifact.ts";
import * as D from "../../src/ir/dim.ts";
import type { Program } from "../../src/ir/program.ts";
import type { EmitOptions } from "../../src/ir/target.ts";
import { listsOf, manifestOf } from "./manifest.ts";
import { declarations } from "./types.ts";
import { weightsBlob } from "./weights.ts";

/**
 * A module that exports what runtime/linear.ts calls LinearModule. `wasm` bytes hold embedded weights already; `js` source is an
 * expression: a function that, called without arguments, returns the exports, with memory for the static part and no weights in it.
 */
export type LinearCode =
  | { readonly kind: "js"; readonly source: string }
  | { readonly kind: "wasm"; readonly bytes: Uint8Array };

/**
 * The text of a loader that scripts/build.mjs has made of runtime/NAME.ts, as an expression for its one export, so that its
 * short names stay inside. Bundlers leave the import of node's files alone: the comments are for webpack and vite.
 */
export function loaderText(name: "linear" | "webgpu" | "lists", exported: string): string {
  const text = readFileSync(join(packageRoot(), "dist/runtime", `${name}.min.js`), "utf8").trimEnd();
  const end = /export\s*\{\s*([\w$]+) as ([\w$]+)\s*\};?$/.exec(text);
  assert(end !== null && end[2] === exported, `dist/runtime/${name}.min.js does not export ${exported} alone`);
  const body = text
    .slice(0, end.index)
    .replaceAll('import("node:', 'import(/* webpackIgnore: true */ /* @vite-ignore */ "node:');
  return `(() => {${body}return ${end[1]!};})()`;
}
/** JSON as JavaScript source text, safe in a script element too. */
export function literal(x: unknown): string {
  return JSON.stringify(x).replace(/[<\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** The export of a loader, `load` being an expression for it; lists: its sequences and optionals. */
export function exported(load: string, lists: Lists | null): string {
  if (!lists) return `export const load = ${load};\n`;
  return `const wrap = ${loaderText("lists", "wrap")};\nexport const load = wrap(${load}, ${literal(lists)});\n`;
}

/** The files of an artifact named options.name. Its loader finds them by URLs relative to its own. */
export function packageLinear(p: Program, options: EmitOptions, module: LinearCode): readonly OutputFile[] {
  const { name } = options;
  const encoder = new TextEncoder();
  const empty = p.constants.size === 0;
  const place = options.weights === "file" && !empty ? "file" : module.kind === "js" && !empty ? "text" : "module";
  const manifest = manifestOf(p, name, place, options.labels);
  const lists = listsOf(options.lists);
  const blob = place === "module" ? null : weightsBlob(p);
  const text = place === "text" ? Buffer.from(blob!).toString("base64") : "";
  const embedded = place === "module" ? must(D.known(p.plan.sizes.weights), "the size of the weights") : 0;
  const url = (suffix: string): string => `() => new URL(${literal(`./${name}${suffix}`)}, import.meta.url)`;
  const parts = [
    module.kind === "js" ? `js: ${module.source}` : `wasm: ${url(".wasm")}`,
    ...(place === "file" ? [`weights: ${url(".weights")}`] : []),
    ...(place === "text" ? [`text: "${text}"`] : []),
  ];
  const loader = `// Made by Ingot.
const link = ${loaderText("linear", "link")};
const manifest = ${literal(manifest)};
${exported(
  `link(manifest, {
${parts.map((part) => `${part},\n`).join("")}})`,
  lists,
)}`;
  const file = (suffix: string, role: OutputFile["role"], bytes: Uint8Array, weightBytes = 0): OutputFile => ({
    path: `${name}${suffix}`,
    bytes,
    role,
    ...(weightBytes > 0 ? { weightBytes } : {}),
  });
  return [
    file(".mjs", "loader", encoder.encode(loader), text.length),
    file(".d.ts", "types", encoder.encode(declarations(manifest, module.kind, lists))),
    // The name under which TypeScript looks for the types of an .mjs file.
    file(".d.mts", "types", encoder.encode(`export * from ${literal(`./${name}.js`)};\n`)),
    ...(module.kind === "wasm" ? [file(".wasm", "code", module.bytes, embedded)] : []),
    ...(place === "file" ? [file(".weights", "weights", blob!)] : []),
  ];
}
