// What the numbers of a report were measured with.
import { execFileSync } from "node:child_process";
import { cpus, release, totalmem, type } from "node:os";
import { packageRoot } from "../src/base/package.ts";
import type { Machine } from "./results.ts";

/** The first line that a program prints. */
function said(command: string, ...args: readonly string[]): string {
  try {
    return execFileSync(command, args, { cwd: packageRoot(), encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })
      .trim()
      .split("\n")[0]!;
  } catch {
    return "none";
  }
}

export function thisMachine(): Machine {
  const all = cpus();
  return {
    // On Linux the kernel knows more than the marketing name, which virtual machines cut short.
    cpu: [all[0]?.model ?? "unknown", family()].filter((x) => x !== "").join(", "),
    cores: all.length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()} ${process.arch}`,
    node: `${process.version} (V8 ${process.versions.v8})`,
    cc: said(process.env["CC"] ?? "cc", "--version"),
    python: said("python3", "--version"),
    ingot: said("git", "describe", "--always", "--dirty"),
    date: new Date().toISOString().slice(0, 10),
  };
}
function family(): string {
  const text = said("sh", "-c", "grep -m2 -E '^(cpu family|model\\s+:)' /proc/cpuinfo | tr -d '\\t' | paste -sd ' '");
  return text === "none" ? "" : text.replaceAll(":", "");
}

/** Watches the processors: what it returns tells how many of them were busy on average since. */
export function watchProcessors(): () => number {
  const busy = (): number => cpus().reduce((sum, { times: t }) => sum + t.user + t.nice + t.sys + t.irq, 0);
  const [before, start] = [busy(), performance.now()];
  return () => (busy() - before) / (performance.now() - start);
}
