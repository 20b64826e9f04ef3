// Contenders are processes that take turns. A program of ours or of a peer loads its model, runs it once, and says so on a line of JSON
// (a Start, or {"error"}); then it answers each line on its input, a number of milliseconds, with {"times"}: those of the runs, in
// ms, that it did in about that time.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { UnavailableError } from "../src/base/diagnostics.ts";
import { packageRoot } from "../src/base/package.ts";
import type { Contender } from "../src/run/rounds.ts";
import type { Start } from "./results.ts";

/** Where everything lies that a run makes: models, programs, artifacts. */
export const workFolder: string = join(packageRoot(), ".cache/bench");

export type Launch = {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd?: string;
};
export type Opened = Contender & { readonly start: Start };

/** One thread, whatever library asks. */
export const oneThread: NodeJS.ProcessEnv = {
  ...process.env,
  OMP_NUM_THREADS: "1",
  OPENBLAS_NUM_THREADS: "1",
  MKL_NUM_THREADS: "1",
};
const startLimitMs = 60_000;
const roundLimitMs = 120_000;

/** The largest resident set of a process so far (0: this one), where the system tells. */
export function peakBytes(pid = 0): { readonly peakBytes?: number } {
  try {
    // Not getrusage: what that tells starts with the parent's size.
    const found = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid === 0 ? "self" : pid}/status`, "utf8"));
    return found ? { peakBytes: Number(found[1]) * 1024 } : {};
  } catch {
    return {};
  }
}

/** Starts a contender and waits until it has run once. Throws UnavailableError with what it says when it cannot. */
export async function open<S = Start>({ command, args, cwd }: Launch): Promise<Contender & { readonly start: S }> {
  const child = spawn(command, args, { cwd, env: oneThread, stdio: ["pipe", "pipe", "pipe"] });
  let noise = "";
  child.stderr.on("data", (text) => {
    noise = (noise + text).slice(-2000);
  });
  // A program that has stopped shows in `ask`.
  child.stdin.on("error", () => {});
  const ended = new Promise<string>((resolve) => {
    child.once("error", (e) => resolve(e.message));
    child.once("close", (code, signal) => resolve(`it stops with ${signal ?? code}: ${lastWords(noise)}`));
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async (limitMs: number): Promise<Record<string, unknown>> => {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill("SIGKILL");
    }, limitMs);
    try {
      const line = await lines.next();
      if (line.done) {
        const how = await ended;
        throw new UnavailableError(late ? `it takes longer than ${limitMs / 1000} s` : how);
      }
      const said = JSON.parse(line.value) as Record<string, unknown>;
      if (said["error"] !== undefined) throw new UnavailableError(firstLine(String(said["error"])));
      return said;
    } finally {
      clearTimeout(timer);
    }
  };
  const close = async (): Promise<void> => {
    child.stdin.end();
    const timer = setTimeout(() => child.kill("SIGKILL"), 2000);
    await ended;
    clearTimeout(timer);
  };
  try {
    const start = { ...(await answer(startLimitMs)), ...peakBytes(child.pid) } as S;
    return {
      start,
      round: async (ms) => {
        child.stdin.write(`${ms}\n`);
        return (await answer(ms + roundLimitMs))["times"] as number[];
      },
      close,
    };
  } catch (e) {
    await close();
    throw e;
  }
}
const firstLine = (text: string): string => text.trim().split("\n")[0]!.slice(0, 300);
/** What a program that died said of it: the last line that names an error, else the last one. */
export function lastWords(text: string): string {
  const lines = text.trim().split("\n");
  return (lines.findLast((l) => /\b\w*(Error|error)\b/.test(l)) ?? lines.at(-1)!).trim().slice(0, 300);
}

const programs = new Map<string, Promise<string>>();
/**
 * The path of a TypeScript file of this folder as one JavaScript file that node runs by itself, without a loader of types in its way.
 * It is made once: what is edited while the benchmarks run does not show in them.
 */
export function program(file: string): Promise<string> {
  let made = programs.get(file);
  if (!made) {
    made = bundle(file);
    programs.set(file, made);
  }
  return made;
}
async function bundle(file: string): Promise<string> {
  const { build } = await import("esbuild");
  const outfile = join(workFolder, "programs", basename(file).replace(/\.ts$/, ".mjs"));
  await build({
    entryPoints: [join(packageRoot(), "benchmarks", file)],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    packages: "external",
    logLevel: "error",
  });
  return outfile;
}
