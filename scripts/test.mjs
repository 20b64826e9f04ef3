// `npm test`: all tests. The last lines say what was not run and why, and how many tests passed and failed. Arguments go to vitest.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const folder = mkdtempSync(join(tmpdir(), "ingot-test-"));
const report = join(folder, "report.json");
// test/need.ts writes here why tests of a file are not run.
const notes = join(folder, "not-run.txt");

const vitest = join(root, "node_modules/vitest/vitest.mjs");
const args = [vitest, "run", "--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
const run = spawnSync(process.execPath, [...args, ...process.argv.slice(2)], {
  cwd: root,
  stdio: "inherit",
  env: { ...process.env, INGOT_NOT_RUN: notes },
});

let [passed, failed, skipped] = [0, 0, 0];
if (existsSync(report)) {
  const r = JSON.parse(readFileSync(report, "utf8"));
  [passed, failed, skipped] = [r.numPassedTests, r.numFailedTests, r.numPendingTests + r.numTodoTests];
  for (const file of r.testResults) {
    const name = relative(root, file.name);
    for (const t of file.assertionResults) if (t.status === "failed") console.log(`failed: ${name}: ${t.fullName}`);
    // A file that does not load has no tests.
    if (file.status === "failed" && file.assertionResults.every((t) => t.status !== "failed")) {
      console.log(`failed: ${name}: ${file.message.split("\n")[0]}`);
      failed++;
    }
  }
} else console.log("failed: vitest left no report");
const lines = existsSync(notes) ? readFileSync(notes, "utf8").trim().split("\n") : [];
rmSync(folder, { recursive: true, force: true });
// Errors outside of tests show in the status alone.
if (run.status !== 0) failed = Math.max(failed, 1);
for (const line of [...new Set(lines)].sort()) console.log(`not run: ${line}`);
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exitCode = failed > 0 ? 1 : 0;
