// Programs of this machine that some tests need. Without one the tests are skipped, which the report shows as not run; with
// INGOT_REQUIRE_ALL=1 they run all the same, and fail.
import { spawnSync } from "node:child_process";

const found = new Map<string, boolean>();

/** Whether a program is there: `gcc`, `clang++`, `nm` and so on; `cc` is $CC or cc. */
export function have(what: string): boolean {
  let known = found.get(what);
  if (known === undefined) {
    const command = what === "cc" ? (process.env["CC"] ?? "cc") : what;
    known = spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0;
    found.set(what, known);
  }
  return known;
}
/** Whether to run the tests that need all of these: `describe.skipIf(!need("gcc"))`. */
export function need(...what: readonly string[]): boolean {
  return process.env["INGOT_REQUIRE_ALL"] === "1" || what.every(have);
}
