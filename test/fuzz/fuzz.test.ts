// What the fuzzer once found stays mended, and a few random models are as they have to be on every target.
import { readdirSync, readFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { modelBytes } from "../../src/onnx/export.ts";
import { importModel } from "../../src/onnx/import.ts";
import { OpTable } from "../../src/ops/index.ts";
import { need } from "../need.ts";
import { type FuzzCase, fromText, nodesOf, toText } from "./case.ts";
import { configNames } from "./check.ts";
import { Checker } from "./checker.ts";
import { randomCase } from "./generate.ts";
import { foundFolder } from "./main.ts";
import { shrink } from "./shrink.ts";
import { steadiness } from "./steady.ts";

const cc = need("cc");
const configs = configNames.filter((n) => cc || (n !== "c" && n !== "c strict"));
const checker = new Checker();
afterAll(() => checker.close());

async function failures(cases: readonly FuzzCase[]): Promise<string[]> {
  const verdicts = await checker.check(cases, configs);
  return verdicts.flatMap((v, k) => {
    if (v.status === "failed") return [`${cases[k]!.name}: ${v.failure.kind}: ${v.failure.detail.slice(0, 500)}`];
    return [];
  });
}

describe("what was found", () => {
  const found = readdirSync(foundFolder)
    .filter((f) => f.endsWith(".json"))
    .map((f) => fromText(readFileSync(`${foundFolder}${f}`, "utf8")));
  test(`${found.length} cases`, async () => {
    expect(await failures(found)).toEqual([]);
    const verdicts = await checker.check(found, configs);
    const wanted = found.map((c) => `${c.name}: ${c.refused ? "refused" : "fine"}`);
    expect(verdicts.map((v, k) => `${found[k]!.name}: ${v.status}`)).toEqual(wanted);
  }, 600_000);
});

test("random models", async () => {
  const cases = Array.from({ length: 24 }, (_, seed) => randomCase(seed));
  expect(await failures(cases)).toEqual([]);
}, 600_000);

describe("the generator", () => {
  const cases = Array.from({ length: 60 }, (_, seed) => randomCase(7000 + seed));
  test("gives the same for a seed", () => {
    expect(cases.slice(0, 20).map((_, k) => toText(randomCase(7000 + k)))).toEqual(cases.slice(0, 20).map(toText));
  });
  test("gives models that import, of many operators", () => {
    for (const c of cases) importModel(modelBytes(c.model), { ops: new OpTable() });
    const ops = new Set(cases.flatMap((c) => nodesOf(c.model).map((n) => n.op)));
    expect(ops.size).toBeGreaterThan(80);
  });
  test("text and back", () => {
    for (const c of cases.slice(0, 20)) expect(toText(fromText(toText(c)))).toBe(toText(c));
  });
  test("most outputs are compared", () => {
    const all = cases.flatMap((c) => [...steadiness(c).values()]);
    expect(all.filter((s) => s !== "loose").length / all.length).toBeGreaterThan(0.6);
  });
});

test("a failure shrinks to the node that it needs", async () => {
  const cases = Array.from({ length: 200 }, (_, k) => randomCase(9000 + k));
  const c = cases.find((x) => nodesOf(x.model).length > 4 && x.model.nodes.some((n) => n.op === "Softmax"))!;
  // Stands for the targets: what has a Softmax fails.
  const fake = {
    check: async ([x]: readonly FuzzCase[]) => [
      nodesOf(x!.model).some((n) => n.op === "Softmax")
        ? ({ status: "failed", failure: { kind: "js differs", detail: "" } } as const)
        : ({ status: "fine", onnxruntime: "not asked" } as const),
    ],
  };
  const small = await shrink(c, "js differs", fake, 60_000);
  expect(nodesOf(small.model).map((n) => n.op)).toEqual(["Softmax"]);
}, 120_000);
