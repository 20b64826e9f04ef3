// Tests of passes as text: FILE.ir holds sections, each the IR before and after the pass. RECORD=1 writes what passes make now.
//
//   === NAME: what it shows
//   graph @g(...) -> ... { }
//   ---
//   graph @g(...) -> ... { }
import { readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";

export type Section = {
  readonly name: string;
  readonly about: string;
  readonly before: string;
  readonly after: string;
};
export function sections(file: URL): readonly Section[] {
  return readFileSync(file, "utf8")
    .split(/^=== /m)
    .slice(1)
    .map((s) => {
      const [head, ...rest] = s.split("\n");
      const [name, about] = [head!.split(": ")[0]!, head!.split(": ").slice(1).join(": ")];
      const [before, after] = rest.join("\n").split(/^---\n/m);
      return { name, about, before: before!.trim(), after: (after ?? "").trim() };
    });
}
/** One test for each section; `run` gives the text after the pass, and checks what else it knows of it. */
export function testSections(file: URL, run: (before: string) => string): readonly Section[] {
  const all = sections(file);
  const results = new Map<Section, string>();
  test.each(all)("$name: $about", (s) => {
    const text = run(s.before).trim();
    results.set(s, text);
    if (!process.env["RECORD"]) expect(text).toBe(s.after);
  });
  if (process.env["RECORD"])
    test("recorded", () => {
      const texts = all.map((s) => `=== ${s.name}: ${s.about}\n${s.before}\n---\n${results.get(s) ?? s.after}\n`);
      writeFileSync(file, texts.join("\n"));
    });
  return all;
}
