// Every rule of canonicalize as text before and after (canonicalize.ir); that results stay the same, bit for bit, is checked too.
import { expect, test } from "vitest";
import { canonicalize, rules } from "../../../passes/graph/canonicalize.ts";
import { printGraph } from "../../../src/ir/print.ts";
import { graph, testSections } from "./cases.ts";

const all = testSections("canonicalize.ir", canonicalize);

test("every rule has a section that it changes", () => {
  const changed = new Set(all.filter((s) => s.before.trim() !== s.after).map((s) => s.name));
  expect(rules.map((r) => r.name).filter((name) => !changed.has(name))).toEqual([]);
});
test("what is canonical stays as it is", () => {
  for (const s of all) {
    const once = canonicalize(graph(s.before));
    const text = (g: typeof once): string => printGraph(g).text.replace(/#\d+/g, "");
    expect(text(canonicalize(once))).toBe(text(once));
  }
});
