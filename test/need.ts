// What tests need beyond node: tools of this machine, the registries, a GPU. What is missing is noted in a file, from which
// scripts/test.mjs says at the end what was not run and why.
import { spawnSync } from "node:child_process";
import { appendFileSync } from "node:fs";
import { UnavailableError } from "../src/base/diagnostics.ts";
import { nodeGpu } from "../targets/wgsl/node.ts";

export type Need = { readonly have: boolean; readonly reason: string };

const found = new Map<string, boolean>();
function runs(command: string): boolean {
  let known = found.get(command);
  if (known === undefined) {
    known = spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0;
    found.set(command, known);
  }
  return known;
}

/** INGOT_REQUIRE_ALL=1: whatever would not be run is a failure. */
export const requireAll: boolean = process.env["INGOT_REQUIRE_ALL"] === "1";

/** Notes that `what` was not run, for the last lines of npm test; with INGOT_REQUIRE_ALL=1 an Error. */
export function notRun(what: string, reason: string): void {
  if (requireAll) throw new Error(`${what}: ${reason}`);
  const file = process.env["INGOT_NOT_RUN"];
  if (file) appendFileSync(file, `${what}: ${reason}\n`);
}

/**
 * Whether all of these programs run (gcc, clang++, nm, python3, ...; `cc` is $CC or cc): \`describe.skipIf(!need("C", "cc").have)\`. What
 * is missing is noted as the reason why \`what\` is not run.
 */
export function need(what: string, ...programs: readonly string[]): Need {
  const missing = programs.filter((p) => !runs(p === "cc" ? (process.env["CC"] ?? "cc") : p));
  if (missing.length === 0) return { have: true, reason: "" };
  const reason = `no ${missing.join(", ")}`;
  notRun(what, reason);
  return { have: false, reason };
}

let gpuReason: Promise<string | null> | null = null;
/** Why there is no GPU here, hardware or software; null when there is one. */
export function missingGpu(): Promise<string | null> {
  gpuReason ??= nodeGpu().then(
    () => null,
    (e: unknown) => {
      if (e instanceof UnavailableError) return e.message;
      throw e;
    },
  );
  return gpuReason;
}
