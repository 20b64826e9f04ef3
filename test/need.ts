// What tests need beyond node: programs of this machine, a GPU, the registries. Without one they are skipped, and a file says so, from
// which scripts/test.mjs lists at the end what was not run and why; with INGOT_REQUIRE_ALL=1 they run all the same, and fail.
import { spawnSync } from "node:child_process";
import { appendFileSync } from "node:fs";
import { relative } from "node:path";
import { expect } from "vitest";
import { UnavailableError } from "../src/base/diagnostics.ts";
import { nodeGpu } from "../targets/wgsl/node.ts";

const requireAll = process.env.INGOT_REQUIRE_ALL === "1";

/** Notes why tests of this file are not run. With INGOT_REQUIRE_ALL=1 that is an Error. */
export function notRun(reason: string): void {
  if (requireAll) throw new Error(`not run: ${reason}`);
  const file = process.env.INGOT_NOT_RUN;
  const test = relative(process.cwd(), expect.getState().testPath ?? "");
  if (file) appendFileSync(file, `${test}: ${reason}\n`);
}

const found = new Map<string, boolean>();
function runs(program: string): boolean {
  let known = found.get(program);
  if (known === undefined) {
    const command = program === "cc" ? (process.env.CC ?? "cc") : program;
    known = spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0;
    found.set(program, known);
  }
  return known;
}

/** Whether to run the tests that need all of these programs; `cc` is $CC or cc: `describe.skipIf(!need("gcc"))`. */
export function need(...programs: readonly string[]): boolean {
  const missing = programs.filter((p) => !runs(p));
  if (missing.length === 0 || requireAll) return true;
  for (const p of missing) notRun(`${p} is not installed`);
  return false;
}

/** What `make` gives, or null when it rejects because this machine has no adapter, no python3 or no registry. */
export async function available<T>(make: () => Promise<T>): Promise<T | null> {
  try {
    return await make();
  } catch (e) {
    if (!(e instanceof UnavailableError) && (e as { code?: string }).code !== "UNAVAILABLE") throw e;
    notRun((e as Error).message.split("\n")[0]!);
    return null;
  }
}

let gpu: Promise<GPU | null> | null = null;
/** A GPU, hardware or software, or null. vitest.config.ts sets the environment in which a machine without one finds SwiftShader. */
export function needGpu(): Promise<GPU | null> {
  gpu ??= available(nodeGpu);
  return gpu;
}
