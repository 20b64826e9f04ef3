// Writes the parts of docs/ that are made from tables: node scripts/docs.mjs. test/cli/docs.test.ts holds the pages to it.
import "../test/source.mjs";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const { pages } = await import("../src/cli/pages.ts");

for (const [file, render] of Object.entries(pages)) {
  const path = join(root, "docs", file);
  writeFileSync(path, render(readFileSync(path, "utf8")));
}
