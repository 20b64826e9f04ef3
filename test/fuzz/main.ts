// The command line of the fuzzer: checks the cases of one seed after the other, and saves what fails, made small.
import { existsSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type FuzzCase, nodesOf, toText } from "./case.ts";
import type { Failure, Verdict } from "./check.ts";
import { Checker } from "./checker.ts";
import { randomCase } from "./generate.ts";
import { shrink } from "./shrink.ts";

const usage = `npm run fuzz -- [options]
  --seconds N    how long to go on (default 60)
  --seed N       the first seed (default: by the clock); the cases of a seed are the same everywhere
  --count N      that many cases instead of a time
  --no-save      list failures as they are: do not shrink and save them
  --failures N   stop after so many different failures (default 10)
  --refusals     list why models were refused`;
const perBatch = 12;
const shrinkMs = 60_000;
export const foundFolder: string = fileURLToPath(new URL("./found/", import.meta.url));

/** The exit status: 0 when nothing was found, 1 when something was, 2 for a wrong option. */
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
  const first = values.seed === undefined ? Math.floor(Date.now() / 1000) * 100 : Number(values.seed);
  const count = values.count === undefined ? Infinity : Number(values.count);
  const end = values.count === undefined ? performance.now() + Number(values.seconds) * 1000 : Infinity;
  if (![first, Number(values.seconds), Number(values.failures)].every(Number.isFinite) || Number.isNaN(count)) {
    console.error(usage);
    return 2;
  }
  const checker = new Checker();
  const seen = new Map<string, number>();
  const tally = new Tally();
  const before = performance.now();
  console.log(`from seed ${first}`);
  let seed = first;
  while (performance.now() < end && seed < first + count && seen.size < Number(values.failures)) {
    const size = Math.min(perBatch, first + count - seed);
    const cases = Array.from({ length: size }, (_, k) => randomCase(seed + k));
    seed += size;
    const verdicts = await checker.check(cases, null);
    for (const [k, v] of verdicts.entries()) {
      tally.add(cases[k]!, v);
      if (v.status !== "failed") continue;
      const known = seen.get(v.failure.kind) ?? 0;
      seen.set(v.failure.kind, known + 1);
      if (known > 0) console.log(`${cases[k]!.name}: again, ${v.failure.kind}`);
      else await report(cases[k]!, v.failure, values["no-save"] ? null : checker);
    }
  }
  checker.close();
  for (const line of tally.lines(values.refusals ?? false)) console.log(line);
  const found = [...seen.values()].reduce((a, b) => a + b, 0);
  console.log(`${seed - first} models in ${((performance.now() - before) / 1000).toFixed(0)} s, ${found} failed`);
  return found > 0 ? 1 : 0;
}

function options(
  args: string[],
): Partial<Record<"seed" | "count", string>> &
  Record<"seconds" | "failures", string> &
  Partial<Record<"no-save" | "refusals" | "help", boolean>> {
  return parseArgs({
    args,
    options: {
      seconds: { type: "string", default: "60" },
      failures: { type: "string", default: "10" },
      seed: { type: "string" },
      count: { type: "string" },
      "no-save": { type: "boolean" },
      refusals: { type: "boolean" },
      help: { type: "boolean" },
    },
  }).values;
}

async function report(c: FuzzCase, f: Failure, checker: Checker | null): Promise<void> {
  const ops = (x: FuzzCase): string =>
    nodesOf(x.model)
      .map((n) => n.op)
      .join(" ");
  console.log(`${c.name} fails: ${f.kind}\n  ${f.detail.split("\n").slice(0, 3).join("\n  ")}\n  of ${ops(c)}`);
  if (!checker) return;
  const small = await shrink(c, f.kind, checker, shrinkMs);
  const name = c.name.replace(" ", "-");
  const path = `${foundFolder}${name}.json`;
  if (existsSync(path)) return;
  writeFileSync(path, toText({ ...small, name: `${c.name}: ${f.kind}` }));
  console.log(`  shrunk to ${ops(small)}, saved as test/fuzz/found/${name}.json`);
}

/** What became of the cases. */
class Tally {
  readonly #status = new Map<string, number>();
  readonly #refusals = new Map<string, number>();
  add(_c: FuzzCase, v: Verdict): void {
    const bump = (m: Map<string, number>, key: string): void => {
      m.set(key, (m.get(key) ?? 0) + 1);
    };
    bump(this.#status, v.status === "fine" ? `onnxruntime-web: ${v.onnxruntime}` : v.status);
    if (v.status === "refused") bump(this.#refusals, v.reason.replaceAll(/\d+/g, "_"));
  }
  lines(refusals: boolean): string[] {
    const list = (m: Map<string, number>): string[] => [...m].sort((a, b) => b[1] - a[1]).map(([k, n]) => `${n} ${k}`);
    if ((this.#status.get("onnxruntime-web: missing") ?? 0) > 0)
      this.#refusals.set("onnxruntime-web is not installed: nothing was compared with it", 0);
    return [...list(this.#status), ...(refusals ? list(this.#refusals).map((l) => `  ${l}`) : [])];
  }
}
