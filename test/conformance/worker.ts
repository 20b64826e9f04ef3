// Runs batches of tests that its parent sends, in a process of its own: a crash or an endless loop ends no more than that.
import { InternalError } from "../../src/base/assert.ts";
import type { Tensors } from "../../src/run/ports.ts";
import { runOnce } from "../../src/run/runner.ts";
import { runEach } from "../../targets/c/harness.ts";
import { Compiler, judge, type Loaded, loadCase, type Ready, type Result, reasonOf } from "./case.ts";
import type { Batch, Message } from "./pool.ts";

const tell = (m: Message): void => {
  process.send!(m);
};
const failed = (e: unknown): Result => ({ status: "failed", reason: reasonOf(e) });

/** A test whose C is emitted and waits to be built with others. */
type Waiting = { readonly test: Loaded; readonly name: string; readonly ready: Ready };

async function runBatch({ folder, items }: Batch): Promise<void> {
  const waiting: Waiting[] = [];
  for (const { info, targets } of items) {
    const done = (target: string, result: Result): void => tell({ kind: "done", test: info.name, target, result });
    tell({ kind: "start", test: info.name, target: targets[0]! });
    let test: Loaded;
    try {
      test = loadCase(folder, info);
    } catch (e) {
      for (const t of targets) done(t, failed(e));
      continue;
    }
    if (test.excluded !== null) {
      for (const t of targets) done(t, { status: "excluded", reason: test.excluded });
      continue;
    }
    const compiler = new Compiler(test);
    for (const target of targets) {
      tell({ kind: "start", test: info.name, target });
      const name = target === "c" ? `case${waiting.length}` : "m";
      try {
        const ready = await compiler.compile(target, name);
        if (target === "c") waiting.push({ test, name, ready });
        else done(target, await run(test, ready, target));
      } catch (e) {
        done(target, failed(e));
      }
    }
  }
  if (waiting.length > 0) await runC(waiting);
  tell({ kind: "idle" });
}

async function run(test: Loaded, ready: Ready, target: string): Promise<Result> {
  const { compiled, ports } = ready;
  const results: Tensors[] = [];
  for (const inputs of ready.runs) results.push(await runOnce({ target, name: "m", compiled, ports }, inputs, 0));
  return judge(test, ready, results);
}

async function runC(waiting: readonly Waiting[]): Promise<void> {
  tell({ kind: "build" });
  const cases = waiting.map(({ name, ready }) => ({
    program: ready.compiled.program,
    files: ready.compiled.files,
    name,
    runs: ready.runs.map((inputs) => ({ inputs })),
  }));
  const results = await runEach(cases, { flags: ["-std=c11", "-O1"], limitMs: 60_000 });
  for (const [i, { test, ready }] of waiting.entries()) {
    const runs = results[i]!;
    let result: Result;
    if (runs instanceof Error) result = failed(runs);
    else {
      const status = runs.find((r) => r.status !== 0)?.status;
      result =
        status === undefined
          ? judge(
              test,
              ready,
              runs.map((r) => r.outputs),
            )
          : failed(new InternalError(`the compiled model returns ${status}`));
    }
    tell({ kind: "done", test: test.info.name, target: "c", result });
  }
}

process.on("message", (batch: Batch) => {
  runBatch(batch).catch((e: unknown) => {
    console.error(e);
    process.exit(1);
  });
});
process.on("disconnect", () => process.exit());
