// The helpers that a C file uses: paragraphs of runtime/c/prelude.h, and vector operations made to measure.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { InternalError } from "../../src/base/assert.ts";
import type { VectorPart } from "./vector-parts.ts";
import { vectorPart } from "./vectors.ts";

type Paragraph = { readonly text: string; readonly defines: readonly string[] };

/** The text of a file of runtime/c. */
export function runtimeText(name: "prelude.h" | "threads.h"): string {
  // targets/c in a checkout, dist/targets/c in the package: runtime/c stands at the root of both.
  const here = dirname(fileURLToPath(import.meta.url));
  for (const root of ["../..", "../../.."]) {
    const file = join(here, root, "runtime/c", name);
    if (existsSync(file)) return readFileSync(file, "utf8");
  }
  throw new InternalError(`runtime/c/${name} is missing`);
}

function parse(text: string): Paragraph[] {
  return text
    .split(/\n\s*\n/)
    .map((p) => p.trim())
    .map((p) => {
      const found = p.matchAll(/^#define ((?:ig|IG)_\w+)|^typedef .*?\b(ig_\w+);|^IG_FN .*?\b(ig_\w+)\(/gm);
      return { text: p, defines: [...new Set([...found].map((m) => (m[1] ?? m[2] ?? m[3])!))] };
    })
    .filter((p) => p.defines.length > 0);
}

let paragraphs: readonly Paragraph[] | null = null;

const namesIn = (text: string): string[] => text.match(/\b(?:ig|IG)_\w+/g) ?? [];

/** The definitions, in order, of every `ig_` and `IG_` name that `code` uses, directly or through one another. */
export function preludeFor(code: string): string {
  paragraphs ??= parse(runtimeText("prelude.h"));
  const byName = new Map(paragraphs.flatMap((p) => p.defines.map((d) => [d, p] as const)));
  const wanted = new Set<Paragraph>();
  const vectors = new Map<string, VectorPart>();
  const seen = new Set<string>();
  const need = (text: string): void => {
    for (const name of namesIn(text)) {
      if (seen.has(name)) continue;
      seen.add(name);
      const p = byName.get(name);
      if (p) {
        wanted.add(p);
        need(p.text);
        continue;
      }
      const part = vectorPart(name);
      if (part === null) continue;
      need(part.gnu);
      need(part.plain);
      // After what it uses.
      vectors.set(name, part);
    }
  };
  need(code);
  if (vectors.size > 0) need("IG_GNU IG_FN");
  const out = paragraphs.filter((p) => wanted.has(p)).map((p) => p.text);
  if (vectors.size > 0) {
    const parts = [...vectors.values()];
    const texts = (of: (p: VectorPart) => string): string[] => parts.map(of).filter((t) => t !== "");
    out.push(["#if IG_GNU", ...texts((p) => p.gnu), "#else", ...texts((p) => p.plain), "#endif"].join("\n"));
  }
  // Short definitions of one kind stand together.
  return out.reduce((all, p, i) => {
    const gap = i === 0 ? "" : !p.includes("\n") && !out[i - 1]!.includes("\n") ? "\n" : "\n\n";
    return all + gap + p;
  }, "");
}
