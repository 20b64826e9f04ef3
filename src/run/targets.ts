// Compiles a model for several targets, each of which may fail by itself.

import { targets as table } from "../../targets/index.ts";
import { loaderText } from "../../targets/loader/index.ts";
import { utf8 } from "../base/bytes.ts";
import { type Diagnostic, diagnostic, UnavailableError, UserError, userError } from "../base/diagnostics.ts";
import { type CompiledTarget, type CompileOptions, compileTarget, type FrontEnd, frontEnd } from "../compile.ts";
import type { OutputFile } from "../ir/artifact.ts";
import * as D from "../ir/dim.ts";
import type { Program } from "../ir/program.ts";
import type { Comparison } from "./compare.ts";
import { opTableWith, type PluginSource } from "./plugins.ts";
import { type Ports, portsOf } from "./ports.ts";
import { type ModelSource, readSource, type Source, type SourceOptions } from "./source.ts";

/** The targets' names, in the order in which they are listed. */
export const targetNames: readonly string[] = [...table.keys()];

/**
 * ok; failed: a comparison, a refused run, or a bug of ours (`bug` is set); unavailable: this machine cannot run the target;
 * unsupported: the target cannot express this model.
 */
export type Status = "ok" | "failed" | "unavailable" | "unsupported";
/** Uncompressed bytes. null: it depends on dims. */
export type Sizes = {
  /** All that runs (code, loader, plan) without weights in it. */
  readonly code: number;
  /** The part of it that is the same for all models, minified. C has none. */
  readonly loader?: number;
  readonly weights: number;
  readonly arena: number | null;
  /** No memory plan can be smaller. */
  readonly arenaLowerBound: number | null;
  /** What the model's values take that are alive at one time, each at its own size, as the file has them. */
  readonly unfusedBound: number | null;
};
export type Timing = { readonly medianMs: number; readonly minMs: number; readonly runs: number };
export type OutputReport = {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly comparison?: Comparison;
};
/** What became of one target. Fields that do not apply are absent. */
export type TargetReport = {
  readonly status: Status;
  readonly reason?: string;
  /** An exception that is no user's mistake. */
  readonly bug?: unknown;
  readonly files?: readonly OutputFile[];
  readonly sizes?: Sizes;
  readonly compileMs?: number;
  readonly timing?: Timing;
  readonly outputs?: ReadonlyMap<string, OutputReport>;
};
/** What every function of the API returns. */
export type Report = {
  readonly name: string;
  readonly diagnostics: readonly Diagnostic[];
  readonly targets: ReadonlyMap<string, TargetReport>;
};

type Hooks = Pick<CompileOptions, "onStart" | "onPass" | "onIr" | "verify">;
/** Options that every function of the API takes. */
export type CommonOptions = SourceOptions &
  Hooks & {
    /** Every rounding separate, sums in one order: wasm, C and JavaScript give the same bits. */
    readonly strict?: boolean;
    readonly f64?: boolean;
    /** Modules that define further operators, or what they export. */
    readonly plugins?: readonly PluginSource[];
    /** A task that takes time begins: for progress. */
    readonly onTask?: (task: string) => void;
  };

/** A model after the passes that are the same for all targets. */
export type Prepared = {
  readonly source: Source;
  readonly front: FrontEnd;
  readonly ports: Ports;
  readonly frontMs: number;
  readonly options: CompileOptions;
};

/** Reads a model. Throws a UserError with everything that is wrong with it, or with a plugin. */
export async function prepare(
  model: ModelSource,
  options: CommonOptions & Pick<CompileOptions, "weights">,
): Promise<Prepared> {
  const ops = await opTableWith(options.plugins ?? []);
  const source = readSource(model, options);
  const { onStart, onPass, onIr, verify, strict, f64, weights } = options;
  const given = { ops, onStart, onPass, onIr, verify, strict, f64, weights, directory: source.directory };
  const present = Object.fromEntries(Object.entries(given).filter(([, v]) => v !== undefined));
  const compileOptions: CompileOptions = { ...present, name: source.name, dims: source.dims };
  const before = performance.now();
  const front = frontEnd(source.bytes, compileOptions);
  return {
    source,
    front,
    ports: portsOf(front.graph, front.lists),
    frontMs: performance.now() - before,
    options: compileOptions,
  };
}

/** Throws a UserError E501 for a target that does not exist, or none. */
export function checkTargets(names: readonly string[]): void {
  const hint = `targets: ${targetNames.join(", ")}`;
  if (names.length === 0) throw userError("E501", "no target is named", { hint });
  for (const n of names) if (!table.has(n)) throw userError("E501", `unknown target "${n}"`, { hint });
}

export type Compiled = { readonly compiled: CompiledTarget; readonly report: TargetReport };

/** Compiles for one target. Never throws: a failure is in the report, its diagnostics in `problems`. */
export async function compileFor(
  x: Prepared,
  target: string,
  problems: Diagnostic[],
): Promise<Compiled | { readonly compiled: null; readonly report: TargetReport }> {
  const before = performance.now();
  try {
    const compiled = await compileTarget(x.front, target, x.options);
    const compileMs = x.frontMs + performance.now() - before;
    return { compiled, report: { status: "ok", sizes: sizesOf(target, compiled), compileMs } };
  } catch (e) {
    return { compiled: null, report: failure(e, "unsupported", problems) };
  }
}

/** The report of an exception; a user's mistake gives `status`. Diagnostics go to `problems`, each once. */
export function failure(e: unknown, status: Status, problems: Diagnostic[]): TargetReport {
  const known = new Set(problems.map((d) => JSON.stringify(d)));
  const add = (more: readonly Diagnostic[]): void => {
    problems.push(...more.filter((d) => !known.has(JSON.stringify(d))));
  };
  if (e instanceof UnavailableError) {
    add([diagnostic("E601", e.message)]);
    return { status: "unavailable", reason: e.message };
  }
  if (e instanceof UserError) {
    add(e.diagnostics);
    return { status, reason: [...new Set(e.diagnostics.map((d) => `${d.code} ${d.message}`))].join("; ") };
  }
  return { status: "failed", reason: e instanceof Error ? e.message : String(e), bug: e };
}

function sizesOf(target: string, { program, files, unfusedBound }: CompiledTarget): Sizes {
  const { sizes, lowerBound } = program.plan;
  const runs = files.filter((f) => f.role !== "weights" && f.role !== "types");
  const loader = loaderBytes(target);
  const arena = D.known(sizes.arena);
  return {
    code: runs.reduce((n, f) => n + f.bytes.length - (f.weightBytes ?? 0), 0),
    ...(loader === null ? {} : { loader }),
    weights: weightBytes(program),
    arena,
    // The planner's bound is that of one value of the dims.
    arenaLowerBound: arena === null ? null : D.known(lowerBound),
    unfusedBound,
  };
}
function weightBytes(p: Program): number {
  return D.known(p.plan.sizes.weights) ?? 0;
}
function loaderBytes(target: string): number | null {
  switch (target) {
    case "wasm":
    case "js":
      return utf8(loaderText("linear", "link")).length;
    case "wgsl":
      return utf8(loaderText("webgpu", "link")).length;
    default:
      return null;
  }
}
