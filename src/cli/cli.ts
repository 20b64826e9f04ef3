// One command from its line to its exit status. Whatever happens, --json leaves exactly one object on standard output.
import { type Diagnostic, diagnostic, formatDiagnostic, UnavailableError, UserError } from "../base/diagnostics.ts";
import { packageVersion } from "../base/package.ts";
import { commandNames, spreadTargets } from "./options.ts";
import { type Parsed, parse } from "./parse.ts";
import { type Io, Progress } from "./progress.ts";
import { type Exit, exitOf, jsonOf, type Outcome } from "./report.ts";

/** The names of targets, without the compiler that has them. */
export const targetWords: ReadonlySet<string> = new Set(["wasm", "c", "js", "wgsl"]);

/**
 * Runs the command that `argv` (without node and the script) gives, and returns its exit status. `entry` is the script that started
 * this process, for the command to start itself again where WGSL needs another environment; null: it does not.
 */
export async function cli(argv: readonly string[], io: Io, entry: string | null = null): Promise<number> {
  const progress = new Progress(io);
  let parsed: Parsed | null = null;
  let outcome: Outcome = { report: {} };
  let text = "";
  let exit: Exit;
  let bugs: readonly unknown[] = [];
  try {
    parsed = parse(spreadTargets(argv, targetWords), argv.includes("--json") ? io.err : io.out);
    if (parsed) {
      // The compiler is large: help and usage errors do without it.
      const { perform, targetsToRun } = await import("./actions.ts");
      if (entry !== null && targetsToRun(parsed).includes("wgsl")) {
        const { respawned } = await import("./respawn.ts");
        const status = await respawned(entry, argv);
        if (status !== null) return status;
      }
      const done = await perform(parsed, progress);
      outcome = done.outcome;
      text = done.text;
    }
    exit = exitOf(outcome);
    bugs = [...(outcome.report.targets?.values() ?? [])].flatMap((t) => (t.bug === undefined ? [] : [t.bug]));
  } catch (e) {
    const problems = e instanceof UserError ? e.diagnostics : null;
    exit = problems ? 2 : e instanceof UnavailableError ? 3 : 70;
    if (exit === 70) bugs = [e];
    outcome = { report: { diagnostics: problems ?? (exit === 3 ? [diagnostic("E601", (e as Error).message)] : []) } };
  }
  progress.clear();
  tell(io, argv, parsed, outcome, exit, bugs, text);
  return exit;
}

/** What is told of an exception that nobody awaits. The exit status is 70. */
export function crashed(e: unknown, argv: readonly string[], io: Io): number {
  tell(io, argv, null, { report: {} }, 70, [e], "");
  return 70;
}

function tell(
  io: Io,
  argv: readonly string[],
  parsed: Parsed | null,
  outcome: Outcome,
  exit: Exit,
  bugs: readonly unknown[],
  text: string,
): void {
  const diagnostics = [...(outcome.report.diagnostics ?? []), ...bugs.map(bugDiagnostic)];
  for (const d of diagnostics) io.err(`${d.severity} ${formatDiagnostic(d)}\n`);
  for (const b of bugs) io.err(bugText(b));
  if (argv.includes("--json")) {
    const command = parsed?.command ?? commandNames.find((n) => n === argv[0]) ?? null;
    const head = { version: packageVersion(), command, model: parsed?.model ?? null, exit };
    io.out(`${JSON.stringify(jsonOf({ ...outcome, report: { ...outcome.report, diagnostics } }, head))}\n`);
  } else io.out(text);
}

const whatToReport =
  "report it with the command, the model or the files that --dump DIR writes, and the lines on standard error";

function bugDiagnostic(e: unknown): Diagnostic {
  return diagnostic("E901", e instanceof Error ? e.message : String(e), { hint: whatToReport });
}
/** Where it happened, for who mends it. */
function bugText(e: unknown): string {
  const pass = e instanceof Error && "pass" in e ? `, pass ${String(e.pass)}` : "";
  const target = e instanceof Error && "target" in e && e.target !== null ? `, target ${String(e.target)}` : "";
  const cause = e instanceof Error && e.cause instanceof Error ? (e.cause.stack ?? "") : "";
  const stack = e instanceof Error ? (e.stack ?? e.message) : String(e);
  const where = `ingot ${packageVersion()}, node ${process.version}, ${process.platform} ${process.arch}${pass}${target}`;
  return `This is a bug of Ingot, not a mistake of yours. Please ${whatToReport}:\n${where}\n${stack}\n${cause ? `caused by ${cause}\n` : ""}`;
}
