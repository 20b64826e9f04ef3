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
  const recorded: string[] = [];
  test.each(all)("$name: $about", ({ name, about, before, after }) => {
    const text = run(before).trim();
    if (process.env["RECORD"]) recorded.push(`=== ${name}: ${about}\n${before}\n---\n${text}\n`);
    else expect(text).toBe(after);
  });
  if (process.env["RECORD"]) test("recorded", () => writeFileSync(file, recorded.join("\n")));
  return all;
}
