// The command as a process: its streams and its exit status.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test, vi } from "vitest";
import { pages } from "../../src/cli/pages.ts";
import { folder, ingotJson } from "./command.ts";
import { addOne, bytesOf } from "./models.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const dir = folder();
const model = dir.write("m.onnx", bytesOf(addOne));

function ingot(...argv: string[]): { status: number | null; stdout: string; stderr: string } {
  const args = ["--import", `${root}test/source.mjs`, `${root}src/cli/main.ts`, ...argv];
  return spawnSync(process.execPath, args, { cwd: dir.path("."), encoding: "utf8" });
}

describe("a process", () => {
  test("done: 0, and the report alone on standard output", () => {
    const r = ingot("compile", "m.onnx", "-t", "wasm", "-o", "out", "--json");
    expect(r).toMatchObject({ status: 0, stderr: "" });
    expect(JSON.parse(r.stdout)).toMatchObject({ ok: true, command: "compile", model: "m.onnx" });
  });
  test("the user's mistake: 2", () => {
    const r = ingot("compile", "nothing.onnx", "-t", "wasm", "-o", "out");
    expect(r).toMatchObject({ status: 2, stdout: "" });
    expect(r.stderr).toBe("error E101 nothing.onnx: there is no such file\n");
  });
  test("the entry that package.json names has a line for the shell", () => {
    const { bin } = JSON.parse(readFileSync(`${root}package.json`, "utf8")) as { bin: { ingot: string } };
    expect(bin.ingot).toBe("dist/src/cli/main.js");
    expect(readFileSync(`${root}src/cli/main.ts`, "utf8")).toMatch(/^#!\/usr\/bin\/env node\n/);
  });
});

test("a bug of ours: 70, with what to report", async () => {
  vi.doMock("../../src/cli/actions.ts", () => ({
    perform: () => Promise.reject(new TypeError("boom")),
    targetsToRun: () => [],
  }));
  const err: string[] = [];
  const r = await ingotJson("inspect", model);
  expect(r).toMatchObject({
    exit: 70,
    diagnostics: [{ code: "E901", message: "boom", hint: expect.stringContaining("report") }],
  });
  const { cli } = await import("../../src/cli/cli.ts");
  await cli(["inspect", model], { out: () => {}, err: (t) => err.push(t), terminal: false });
  expect(err.join("")).toMatch(/ingot \d.*node v/);
  vi.doUnmock("../../src/cli/actions.ts");
});

test("progress is for terminals", async () => {
  const err: string[] = [];
  const { cli } = await import("../../src/cli/cli.ts");
  const io = { out: () => {}, err: (t: string) => void err.push(t), terminal: true };
  await cli(["compile", model, "-t", "js", "-o", dir.path("p")], io);
  expect(err.some((t) => t.includes("js: lower"))).toBe(true);
  expect(err.at(-1)).toBe("\r\x1b[K");
});

test.each(Object.entries(pages))("docs/%s is up to date (node scripts/docs.mjs)", (file, render) => {
  const page = readFileSync(`${root}docs/${file}`, "utf8");
  expect(render(page)).toBe(page);
});
