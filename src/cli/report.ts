// A report as the JSON object of --json, and the exit status that it means. docs/cli.md holds the schema.
import type { Diagnostic, InspectReport, PeerReport, Report, TargetReport, Timing } from "../index.ts";

/** 0 done; 1 a comparison failed; 2 the user's input is at fault; 3 something is missing on this machine; 70 a bug of ours. */
export type Exit = 0 | 1 | 2 | 3 | 70;

export type WrittenFile = { readonly path: string; readonly bytes: number; readonly role: string };
/** What a command leaves behind. */
export type Outcome = {
  readonly report: Partial<Report> & {
    readonly peers?: ReadonlyMap<string, PeerReport>;
    readonly ratios?: ReadonlyMap<string, number>;
  };
  readonly inspected?: InspectReport;
  /** The files of each target that were written. */
  readonly written?: ReadonlyMap<string, readonly WrittenFile[]>;
  /** The npz file of `run`. */
  readonly output?: string;
};

const missingHere = "E601";

export function exitOf({ report, inspected }: Outcome): Exit {
  const targets = [...(report.targets?.values() ?? [])];
  const errors = (report.diagnostics ?? []).filter((d) => d.severity === "error");
  if (targets.some((t) => t.bug !== undefined)) return 70;
  if (errors.some((d) => d.code !== missingHere)) return 2;
  // To say what a target does not support is what inspect is for.
  if (inspected) return 0;
  if (targets.some((t) => t.status === "failed")) return 1;
  return errors.length > 0 || targets.some((t) => t.status === "unavailable") ? 3 : 0;
}

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** The object of --json. */
export function jsonOf(
  outcome: Outcome,
  head: {
    readonly version: string;
    readonly command: string | null;
    readonly model: string | null;
    readonly exit: Exit;
  },
): Json {
  const { report, inspected, written } = outcome;
  const targets = mapped(report.targets ?? new Map<string, TargetReport>(), (t, name) =>
    targetJson(t, written?.get(name)),
  );
  return {
    ingot: head.version,
    command: head.command,
    model: head.model,
    ok: head.exit === 0,
    exit: head.exit,
    diagnostics: (report.diagnostics ?? []).map(diagnosticJson),
    ...(inspected ? inspectJson(inspected) : {}),
    ...(outcome.output === undefined ? {} : { output: outcome.output }),
    targets,
    ...(report.peers?.size ? { peers: mapped(report.peers, peerJson) } : {}),
    ...(report.peers?.size ? { ratios: mapped(report.ratios ?? new Map<string, number>(), (r) => r) } : {}),
  };
}

function mapped<T>(m: ReadonlyMap<string, T>, f: (x: T, name: string) => Json): Json {
  return Object.fromEntries([...m].map(([k, v]) => [k, f(v, k)]));
}
/** Without the fields that do not apply, and numbers that JSON does not have. */
function present(o: Readonly<Record<string, Json | undefined>>): { readonly [key: string]: Json } {
  const entries = Object.entries(o).filter(([, v]) => v !== undefined && (typeof v !== "number" || Number.isFinite(v)));
  return Object.fromEntries(entries) as { readonly [key: string]: Json };
}

function diagnosticJson(d: Diagnostic): Json {
  return present({
    code: d.code,
    severity: d.severity,
    message: d.message,
    loc: d.loc ? present({ node: d.loc.node, op: d.loc.op, pass: d.loc.pass }) : undefined,
    hint: d.hint,
  });
}
function targetJson(t: TargetReport, files: readonly WrittenFile[] | undefined): Json {
  return present({
    status: t.status,
    reason: t.reason,
    files: files?.map((f) => ({ ...f })),
    code_bytes: t.sizes?.code,
    loader_bytes: t.sizes?.loader,
    weight_bytes: t.sizes?.weights,
    arena_bytes: t.sizes?.arena,
    arena_lower_bound: t.sizes?.arenaLowerBound,
    unfused_bound: t.sizes?.unfusedBound,
    compile_ms: t.compileMs,
    ...timingJson(t.timing),
    outputs: t.outputs
      ? mapped(t.outputs, (o) =>
          present({
            dtype: o.dtype,
            shape: o.shape,
            max_abs: o.comparison?.maxAbs,
            max_rel_to_peak: o.comparison?.maxRelToPeak,
            mismatches: o.comparison?.mismatches,
            pass: o.comparison?.pass,
          }),
        )
      : undefined,
  });
}
function timingJson(t: Timing | undefined): Readonly<Record<string, Json | undefined>> {
  return { median_ms: t?.medianMs, min_ms: t?.minMs, runs: t?.runs };
}
function peerJson(p: PeerReport): Json {
  return present({ version: p.version, reason: p.reason, ...timingJson(p.timing) });
}
function inspectJson(r: InspectReport): { readonly [key: string]: Json } {
  const port = (p: InspectReport["inputs"][number]): Json => ({ name: p.name, dtype: p.dtype, shape: p.shape });
  return present({
    inputs: r.inputs.map(port),
    outputs: r.outputs.map(port),
    dims: r.dims.map((d) => ({ name: d.name, min: d.min, max: d.max, axes: d.axes })),
    producer: r.info.producer,
    opset: Object.fromEntries(r.info.opsets.map((o) => [o.domain || "ai.onnx", o.version])),
    nodes: r.info.nodes,
    ops: Object.fromEntries(r.info.ops.map((o) => [o.domain === "" ? o.type : `${o.domain}.${o.type}`, o.count])),
    parameters: r.info.parameters,
    macs: r.macs,
    macs_formula: r.macsFormula ?? undefined,
  });
}
