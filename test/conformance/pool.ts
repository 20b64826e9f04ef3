// Runs ONNX's tests on targets in a few processes. What is running when a process crashes, or hangs, fails; the rest goes on.
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { softwareEnv } from "../../targets/wgsl/node.ts";
import type { Case } from "../ops/suite.ts";
import type { Result } from "./case.ts";

type Item = { readonly info: Case; readonly targets: readonly string[] };
/** Tests that one process runs, and whose C goes into one build. */
export type Batch = { readonly folder: string; readonly items: readonly Item[] };
/** What a worker says: what it begins, what came of it, that it builds the C of a batch, and that the batch is done. */
export type Message =
  | { readonly kind: "start"; readonly test: string; readonly target: string }
  | { readonly kind: "done"; readonly test: string; readonly target: string; readonly result: Result }
  | { readonly kind: "build" }
  | { readonly kind: "idle" };
/** By target, by test. */
export type Results = ReadonlyMap<string, ReadonlyMap<string, Result>>;

const workers = 2;
const perBatch = 40;
/** Batches that one process runs before it makes way for a new one: modules that were imported stay in memory. */
const perProcess = 12;
const worker = fileURLToPath(new URL("./worker.mjs", import.meta.url));
/** The light models are whole networks; all other tests are tiny. */
const limitMs = (info: Case): number => (info.kind === "light" ? 180_000 : 30_000);
const buildLimitMs = 300_000;

/** Runs all tests on all targets. `progress` is called with the number of tests that are done, on all targets. */
export async function runAll(
  folder: string,
  tests: readonly Case[],
  targets: readonly string[],
  progress: (done: number) => void,
): Promise<Results> {
  const results = new Map(targets.map((t) => [t, new Map<string, Result>()]));
  // What takes longest first.
  const large = tests.filter((c) => c.kind === "light");
  const small = tests.filter((c) => c.kind !== "light");
  const queue: Batch[] = large.map((info) => ({ folder, items: [{ info, targets }] }));
  for (let i = 0; i < small.length; i += perBatch)
    queue.push({ folder, items: small.slice(i, i + perBatch).map((info) => ({ info, targets })) });
  let count = 0;
  const record = (test: string, target: string, result: Result): void => {
    results.get(target)!.set(test, result);
    count++;
    progress(count / targets.length);
  };
  const again = (rest: readonly Batch[]): void => {
    queue.unshift(...rest);
  };
  await Promise.all(
    Array.from({ length: workers }, async () => {
      let process: Worker | null = null;
      for (let batch = queue.shift(); batch; batch = queue.shift()) {
        process ??= new Worker();
        if (!(await process.run(batch, record, again)) || process.batches >= perProcess) {
          process.stop();
          process = null;
        }
      }
      process?.stop();
    }),
  );
  return results;
}

class Worker {
  batches = 0;
  readonly #child: ChildProcess;
  constructor() {
    this.#child = fork(worker, {
      execArgv: [],
      env: { ...process.env, ...softwareEnv() },
      serialization: "advanced",
    });
  }
  stop(): void {
    this.#child.kill("SIGKILL");
  }

  /** Runs a batch; false when the process has crashed or hangs. Then what is left of the batch goes to `again`. */
  run(
    batch: Batch,
    record: (test: string, target: string, result: Result) => void,
    again: (rest: readonly Batch[]) => void,
  ): Promise<boolean> {
    this.batches++;
    const child = this.#child;
    const left = new Map(batch.items.map((i) => [i.info.name, { info: i.info, targets: new Set(i.targets) }]));
    // null: nothing that can be named, or the C of all that is left.
    let current: { readonly test: string; readonly target: string } | null = null;
    return new Promise((resolve) => {
      let timer: NodeJS.Timeout | null = null;
      const finish = (ok: boolean, why: string): void => {
        if (timer) clearTimeout(timer);
        child.off("message", onMessage).off("exit", onExit);
        const failed: Result = { status: "failed", reason: why };
        if (!ok && current) end(current.test, current.target, failed);
        const items = [...left.values()]
          .map(({ info, targets }) => ({ info, targets: [...targets] }))
          .filter((i) => i.targets.length > 0);
        if (!ok && current) again(items.length > 0 ? [{ ...batch, items }] : []);
        else if (items.length > 1) again(items.map((i) => ({ ...batch, items: [i] })));
        else for (const i of items) for (const t of i.targets) end(i.info.name, t, failed);
        resolve(ok);
      };
      const end = (test: string, target: string, result: Result): void => {
        left.get(test)!.targets.delete(target);
        record(test, target, result);
      };
      const limit = (ms: number): void => {
        if (timer) clearTimeout(timer);
        timer = setTimeout(() => finish(false, `nothing after ${ms / 1000} s`), ms);
      };
      const onMessage = (m: Message): void => {
        switch (m.kind) {
          case "start":
            current = m;
            return limit(limitMs(left.get(m.test)!.info));
          case "done":
            current = null;
            return end(m.test, m.target, m.result);
          case "build":
            current = null;
            return limit(buildLimitMs);
          case "idle":
            return finish(true, "");
        }
      };
      const onExit = (code: number | null, signal: string | null): void =>
        finish(false, `the process ends with ${signal ?? code}`);
      child.on("message", onMessage).on("exit", onExit);
      limit(limitMs(batch.items[0]!.info));
      child.send(batch);
    });
  }
}
