// What came of the tests: counts, failures by reason and by operator, and the page docs/operators.md.
import { allOps } from "../../src/ops/index.ts";
import type { Case } from "../ops/suite.ts";
import type { Result } from "./case.ts";
import type { Results } from "./pool.ts";

type TargetResults = ReadonlyMap<string, Result>;
export type Summary = {
  readonly passed: number;
  readonly failed: number;
  readonly excluded: number;
  readonly total: number;
  /** Of those that passed: with inputs as constants. */
  readonly baked: number;
};
export function summaryOf(results: TargetResults): Summary {
  const all = [...results.values()];
  const count = (status: Result["status"]): number => all.filter((r) => r.status === status).length;
  return {
    passed: count("passed"),
    failed: count("failed"),
    excluded: count("excluded"),
    total: all.length,
    baked: all.filter((r) => r.status === "passed" && r.baked).length,
  };
}

/** What --json writes. */
export function jsonOf(results: Results): object {
  return Object.fromEntries(
    [...results].map(([target, r]) => {
      const { passed, failed, excluded, total, baked } = summaryOf(r);
      const names = [...r.keys()].sort();
      const failures = names.flatMap((name) => {
        const x = r.get(name)!;
        return x.status === "failed" ? [{ name, reason: x.reason }] : [];
      });
      return [target, { passed, failed, excluded, total, baked, failures }];
    }),
  );
}

/** A reason without what differs from test to test. */
function shape(reason: string): string {
  return reason
    .replace(/"[^"]*"/g, '"..."')
    .replace(/-?\b\d[\w.+-]*/g, "n")
    .replace(/\[[^\]]*\]/g, "[...]")
    .replace(/\bcase\w*\b/g, "case")
    .slice(0, 110);
}

/** Exclusions and failures, the most frequent reason first, with `examples` tests of each. */
export function byReason(tests: readonly Case[], results: TargetResults, examples: number): string[] {
  const lines: string[] = [];
  for (const status of ["excluded", "failed"] as const) {
    const groups = new Map<string, { readonly test: Case; readonly reason: string }[]>();
    for (const test of tests) {
      const r = results.get(test.name);
      if (r?.status !== status) continue;
      const key = status === "failed" ? shape(r.reason) : r.reason;
      groups.set(key, [...(groups.get(key) ?? []), { test, reason: r.reason }]);
    }
    for (const [key, group] of [...groups].sort((a, b) => b[1].length - a[1].length)) {
      lines.push(`${status} ${group.length}: ${key}`);
      if (status === "failed")
        for (const { test, reason } of group.slice(0, examples))
          lines.push(`    ${test.name} (${test.ops.slice(0, 4).join(" ")}): ${reason.slice(0, 240)}`);
    }
  }
  return lines;
}

type Counts = { passed: number; failed: number };
function byOp(tests: readonly Case[], results: TargetResults): ReadonlyMap<string, Counts> {
  const ops = new Map<string, Counts>();
  for (const test of tests) {
    const r = results.get(test.name);
    if (!r || r.status === "excluded") continue;
    for (const op of test.ops) {
      const c = ops.get(op) ?? { passed: 0, failed: 0 };
      c[r.status]++;
      ops.set(op, c);
    }
  }
  return ops;
}
/** Operators with tests that fail: passed of all. */
export function opTable(tests: readonly Case[], results: TargetResults): string[] {
  const ops = [...byOp(tests, results)].filter(([, c]) => c.failed > 0).sort(([a], [b]) => (a < b ? -1 : 1));
  return ops.map(([op, c]) => `${op.padEnd(32)} ${c.passed} of ${c.passed + c.failed}`);
}

/** Operators that the importer reads itself, which have no definition. */
const ofImporter: readonly (readonly [string, readonly number[]])[] = [
  ["Constant", [1, 9, 11, 12, 13, 19, 21, 23, 24, 25]],
  ["ai.onnx.preview.training:Gradient", [1]],
];

/** docs/operators.md: what Ingot knows of each operator, and how the tests that use it fare on each target. */
export function operatorsPage(tests: readonly Case[], results: Results): string {
  const targets = [...results.keys()];
  const counts = new Map(targets.map((t) => [t, byOp(tests, results.get(t)!)]));
  const since = new Map<string, readonly number[]>(ofImporter);
  for (const def of allOps)
    for (const o of def.onnx) since.set(o.domain === "" ? o.type : `${o.domain}:${o.type}`, o.since);
  const names = new Set([...since.keys(), ...targets.flatMap((t) => [...counts.get(t)!.keys()])]);
  const rows = [...names].sort((a, b) => {
    const [x, y] = [a.includes(":"), b.includes(":")];
    return x === y ? (a < b ? -1 : 1) : x ? 1 : -1;
  });
  const cell = (t: string, op: string): string => {
    const c = counts.get(t)!.get(op);
    return c ? (c.failed === 0 ? String(c.passed) : `${c.passed} of ${c.passed + c.failed}`) : "";
  };
  const sums = targets.map((t) => ({ t, ...summaryOf(results.get(t)!) }));
  return `# Operators

Made by \`npm run conformance -- --docs\`; do not edit. ONNX's backend tests (of the onnx package that \`test/models/requirements.txt\` pins) on each
target: how many of the tests that use an operator pass. Versions are the opsets at which ONNX changed the operator; none: not supported.

| target | passed | failed | excluded | total |
|---|---|---|---|---|
${sums.map((s) => `| ${s.t} | ${s.passed} | ${s.failed} | ${s.excluded} | ${s.total} |`).join("\n")}

A test is excluded when its output is random by definition, or when it is about strings or image files.

| operator | versions | ${targets.join(" | ")} |
|---|---|${targets.map(() => "---|").join("")}
${rows.map((op) => `| ${op} | ${since.get(op)?.join(", ") ?? "none"} | ${targets.map((t) => cell(t, op)).join(" | ")} |`).join("\n")}
`;
}
