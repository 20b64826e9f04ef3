// Checks cases in a process beside, which is ended when it hangs, and replaced when it has crashed or served long.
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type FuzzCase, toText } from "./case.ts";
import type { Verdict } from "./check.ts";
import type { Reply, Request } from "./worker.ts";

const limitMs = 60_000;
const buildLimitMs = 300_000;
/** Cases that one process serves: modules that were imported stay in memory. */
const perProcess = 150;
const failed = (kind: string): Verdict => ({ status: "failed", failure: { kind, detail: kind } });

export class Checker {
  #child: ChildProcess | null = null;
  #served = 0;

  /** What comes of each. only: the comparisons to make, null for those that a case's name draws. */
  async check(cases: readonly FuzzCase[], only: readonly string[] | null): Promise<Verdict[]> {
    if (this.#served >= perProcess) this.close();
    this.#served += cases.length;
    const r = await this.#ask({ cases: cases.map(toText), only });
    if (r.verdicts) return [...r.verdicts];
    this.close();
    // One case is to blame: it is known, or each has a process for itself.
    if (cases.length === 1) return [failed(r.why)];
    if (r.index === null) {
      const all: Verdict[] = [];
      for (const c of cases) all.push(...(await this.check([c], only)));
      return all;
    }
    const rest = await this.check(
      cases.filter((_, i) => i !== r.index),
      only,
    );
    rest.splice(r.index, 0, failed(r.why));
    return rest;
  }
  close(): void {
    this.#child?.kill("SIGKILL");
    this.#child = null;
    this.#served = 0;
  }

  #ask(request: Request): Promise<{ verdicts: readonly Verdict[] | null; index: number | null; why: string }> {
    this.#child ??= fork(fileURLToPath(new URL("./worker.mjs", import.meta.url)), {
      execArgv: [],
      serialization: "advanced",
    });
    const child = this.#child;
    return new Promise((resolve) => {
      let index: number | null = null;
      let timer: NodeJS.Timeout | null = null;
      const finish = (verdicts: readonly Verdict[] | null, why: string): void => {
        if (timer) clearTimeout(timer);
        child.off("message", onMessage).off("exit", onExit);
        resolve({ verdicts, index, why });
      };
      const limit = (ms: number): void => {
        if (timer) clearTimeout(timer);
        timer = setTimeout(() => finish(null, "hangs"), ms);
      };
      const onMessage = (m: Reply): void => {
        if (m.kind === "done") return finish(m.verdicts, "");
        index = m.index;
        limit(m.index === null ? buildLimitMs : limitMs);
      };
      const onExit = (code: number | null, signal: string | null): void =>
        finish(null, `the process ends with ${signal ?? code}`);
      child.on("message", onMessage).on("exit", onExit);
      limit(limitMs);
      child.send(request);
    });
  }
}
