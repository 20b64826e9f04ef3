// `npm test`: every vitest suite. The last lines say how many tests passed and failed, and what was not run and why.
// INGOT_REQUIRE_ALL=1 turns whatever was not run for want of a tool into a failure (the suites read it themselves).
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const folder = mkdtempSync(join(tmpdir(), "ingot-test-"));
const report = join(folder, "report.json");
const vitest = join(root, "node_modules/vitest/vitest.mjs");
const args = [
  vitest,
  "run",
  "--reporter=dot",
  "--reporter=json",
  `--outputFile.json=${report}`,
  ...process.argv.slice(2),
];
const run = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" });

let failed = run.status === 0 ? 0 : 1;
let passed = 0;
let skipped = 0;
try {
  const r = JSON.parse(readFileSync(report, "utf8"));
  passed = r.numPassedTests;
  skipped = r.numPendingTests + r.numTodoTests;
  failed = Math.max(failed, r.numFailedTests);
  const names = new Map();
  for (const file of r.testResults) {
    for (const t of file.assertionResults) {
      if (t.status === "failed") console.log(`failed: ${t.fullName}`);
      if (t.status !== "pending" && t.status !== "skipped") continue;
      const where = file.name.slice(root.length + 1);
      names.set(where, (names.get(where) ?? 0) + 1);
    }
  }
  // Suites name the missing tool or feature in the titles of what they skip, or print it while they run.
  for (const [file, n] of names)
    console.log(`not run: ${n} of ${file} (a tool or a feature of the target that they need is missing here)`);
} catch {
  console.log("vitest left no report");
}
rmSync(folder, { recursive: true, force: true });
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exit(run.status ?? 1);
