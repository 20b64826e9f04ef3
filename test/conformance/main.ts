// The command line of ONNX's backend tests: a table per target, and docs/operators.md.
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { UnavailableError } from "../../src/base/diagnostics.ts";
import { findCompiler } from "../../targets/c/harness.ts";
import { targets as table } from "../../targets/index.ts";
import { nodeGpu } from "../../targets/wgsl/node.ts";
import { casesIn, folders } from "../ops/suite.ts";
import { runAll } from "./pool.ts";
import { byReason, jsonOf, operatorsPage, opTable, summaryOf } from "./report.ts";

const usage = `npm run conformance -- [options]
  -t, --target T,..   of js, wasm, c, wgsl (default: all that this machine runs)
  --filter REGEX      tests whose name matches
  --op OP,..          tests that use one of these operators
  --ops               per target: tests by operator
  --failures N        failures that are listed of each reason (default 3)
  --json FILE         {target: {passed, failed, excluded, total, failures: [{name, reason}]}}
  --docs              write docs/operators.md
  --allow-missing     exit with 0 where the tests cannot be made (no python3, no registry)`;

const pageFile = fileURLToPath(new URL("../../docs/operators.md", import.meta.url));

/** The exit status: 1 when a test failed or the tests cannot be made, 2 for a wrong option. */
export async function main(args: string[]): Promise<number> {
  let values: ReturnType<typeof options>;
  try {
    values = options(args);
  } catch (e) {
    console.error(`${(e as Error).message}\n${usage}`);
    return 2;
  }
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const named = values.target?.split(",") ?? null;
  const unknown = named?.filter((t) => !table.has(t)) ?? [];
  if (unknown.length > 0) {
    console.error(`unknown target ${unknown.join(", ")}\n${usage}`);
    return 2;
  }
  let folder: string;
  try {
    folder = await folders.onnx();
  } catch (e) {
    if ((e as { code?: string }).code !== "UNAVAILABLE") throw e;
    console.log(
      `not run: ONNX's tests cannot be made (python3 with a registry for onnx is needed): ${(e as Error).message}`,
    );
    return values["allow-missing"] ? 0 : 1;
  }
  const ops = values.op?.split(",");
  const filter = new RegExp(values.filter ?? "");
  const tests = casesIn(folder).filter((c) => filter.test(c.name) && (!ops || c.ops.some((o) => ops.includes(o))));
  const targets: string[] = [];
  for (const t of named ?? ["js", "wasm", "c", "wgsl"]) {
    const why = await missing(t);
    if (why === null) targets.push(t);
    else console.log(`not run: ${t}: ${why}`);
  }
  if (targets.length === 0) return 1;

  const before = performance.now();
  let shown = -1;
  const results = await runAll(folder, tests, targets, (done) => {
    if (!process.stderr.isTTY || Math.floor(done / 10) === shown) return;
    shown = Math.floor(done / 10);
    process.stderr.write(`\r${Math.floor(done)} of ${tests.length}`);
  });
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");

  for (const t of targets) {
    const r = results.get(t)!;
    for (const line of byReason(tests, r, Number(values.failures))) console.log(`${t}: ${line}`);
    if (values.ops) for (const line of opTable(tests, r)) console.log(`${t}: ${line}`);
  }
  console.log(`\n${tests.length} tests in ${((performance.now() - before) / 1000).toFixed(0)} s`);
  console.log("target  passed  failed  excluded  total  (passed with inputs as constants)");
  let [passed, failed, excluded] = [0, 0, 0];
  for (const t of targets) {
    const s = summaryOf(results.get(t)!);
    const cell = (n: number, width: number): string => String(n).padStart(width);
    console.log(
      `${t.padEnd(6)}${cell(s.passed, 8)}${cell(s.failed, 8)}${cell(s.excluded, 10)}${cell(s.total, 7)}  (${s.baked})`,
    );
    passed += s.passed;
    failed += s.failed;
    excluded += s.excluded;
  }
  if (values.json) writeFileSync(values.json, `${JSON.stringify(jsonOf(results), null, 1)}\n`);
  if (values.docs) writeFileSync(pageFile, operatorsPage(tests, results));
  console.log(`${passed} passed, ${failed} failed, ${excluded} excluded`);
  return failed > 0 ? 1 : 0;
}

function options(args: string[]): Partial<Record<"target" | "filter" | "op" | "json", string>> & {
  readonly failures: string;
} & Partial<Record<"ops" | "docs" | "allow-missing" | "help", boolean>> {
  return parseArgs({
    args,
    options: {
      target: { type: "string", short: "t" },
      filter: { type: "string" },
      op: { type: "string" },
      ops: { type: "boolean" },
      failures: { type: "string", default: "3" },
      json: { type: "string" },
      docs: { type: "boolean" },
      "allow-missing": { type: "boolean" },
      help: { type: "boolean" },
    },
  }).values;
}

/** Why a target cannot run here, or null. */
async function missing(target: string): Promise<string | null> {
  try {
    if (target === "wgsl") await nodeGpu();
    if (target === "c") await findCompiler();
    return null;
  } catch (e) {
    if (e instanceof UnavailableError) return e.message;
    throw e;
  }
}
