// Measures run() of artifacts and peers, side by side.
import type { Model } from "../../runtime/linear.ts";
import { openBench } from "../../targets/c/harness.ts";
import { must } from "../base/assert.ts";
import { type Diagnostic, diagnostic, UnavailableError } from "../base/diagnostics.ts";
import { type GivenInputs, readInputs } from "./api.ts";
import { checkPeers, openPeer, peerNames } from "./peers.ts";
import type { Tensors } from "./ports.ts";
import { randomInputs } from "./random.ts";
import { type Contender, inProcess, measure } from "./rounds.ts";
import { givenOf, loadModel, type Runnable, refusals } from "./runner.ts";
import type { ModelSource } from "./source.ts";
import {
  type CommonOptions,
  checkTargets,
  compileFor,
  failure,
  prepare,
  type Report,
  type TargetReport,
  type Timing,
} from "./targets.ts";

export type BenchOptions = CommonOptions & {
  readonly targets: readonly string[];
  /** Default: made up, and different from run to run. */
  readonly inputs?: GivenInputs;
  /** Time for each contender; default 2. */
  readonly seconds?: number;
  /** Peers to compare with: onnxruntime-web, onnxruntime-node. */
  readonly vs?: readonly string[];
  readonly seed?: number;
};
export type PeerReport = { readonly version?: string; readonly reason?: string; readonly timing?: Timing };
/** ratios: `target/peer`, the peer's median over the target's: above 1 the target is faster. */
export type BenchReport = Report & {
  readonly peers: ReadonlyMap<string, PeerReport>;
  readonly ratios: ReadonlyMap<string, number>;
};

/** Sets of made-up inputs that runs go through in turn. */
const inputSets = 4;

/**
 * Compiles a model and times its runs. Throws UserErrors for the model, the options and the inputs; a target or a peer that cannot
 * run says so in its report, and the others are measured all the same.
 */
export async function bench(model: ModelSource, options: BenchOptions): Promise<BenchReport> {
  checkTargets(options.targets);
  checkPeers(options.vs ?? []);
  const prepared = await prepare(model, options);
  const { ports, source } = prepared;
  const diagnostics: Diagnostic[] = [...prepared.front.warnings];
  const seed = options.seed ?? 0;
  const sets = options.inputs
    ? [readInputs(options.inputs, ports, diagnostics)]
    : Array.from({ length: inputSets }, (_, k) => randomInputs(ports, seed + k));

  const reports = new Map<string, TargetReport>();
  const peers = new Map<string, PeerReport>();
  const contenders = new Map<string, Contender>();
  let timings: ReadonlyMap<string, Timing> = new Map();
  try {
    for (const target of new Set(options.targets)) {
      const { compiled, report } = await compileFor(prepared, target, diagnostics);
      reports.set(target, report);
      if (!compiled) continue;
      try {
        options.onTask?.(`load ${target}`);
        contenders.set(target, await openTarget({ target, name: source.name, compiled, ports }, sets, seed));
      } catch (e) {
        reports.set(target, { ...report, ...failure(e, "failed", diagnostics) });
      }
    }
    for (const name of peerNames.filter((n) => options.vs?.includes(n))) {
      try {
        options.onTask?.(`load ${name}`);
        const session = await openPeer(name, source);
        peers.set(name, { version: session.version });
        const feeds = sets.map((s) => session.feed(s));
        contenders.set(name, { ...inProcess(feeds, (f) => session.run(f)), close: () => session.close() });
      } catch (e) {
        peers.set(name, { ...peers.get(name), reason: missing(e, diagnostics) });
      }
    }
    const measured = await measure(contenders, (options.seconds ?? 2) * 1000, options.onTask);
    timings = measured.timings;
    for (const [name, e] of measured.failures) {
      const report = reports.get(name);
      if (report) reports.set(name, { ...report, ...failure(e, "failed", diagnostics) });
      else peers.set(name, { ...peers.get(name), reason: missing(e, diagnostics) });
    }
  } finally {
    for (const c of contenders.values()) await c.close();
  }
  for (const [name, timing] of timings) {
    const report = reports.get(name);
    if (report) reports.set(name, { ...report, timing });
    else peers.set(name, { ...must(peers.get(name), "a peer"), timing });
  }
  const ratios = new Map<string, number>();
  for (const [target, { timing }] of reports)
    for (const [peer, { timing: theirs }] of peers)
      if (timing && theirs) ratios.set(`${target}/${peer}`, theirs.medianMs / timing.medianMs);
  return { name: source.name, diagnostics, targets: reports, peers, ratios };
}

function missing(e: unknown, diagnostics: Diagnostic[]): string {
  const reason = e instanceof Error ? e.message : String(e);
  if (!(e instanceof UnavailableError)) throw e;
  diagnostics.push(diagnostic("E601", reason));
  return reason;
}

async function openTarget(x: Runnable, sets: readonly Tensors[], seed: number): Promise<Contender> {
  if (x.target === "c") {
    const runs = sets.map((inputs) => ({ inputs, seed }));
    return openBench(x.compiled.program, x.compiled.files, { name: x.name, runs });
  }
  const model = await loadModel(x);
  const feeds = sets.map((s) => givenOf(s, x.ports));
  type Feed = Parameters<Model["run"]>[0];
  const { runSync } = model;
  const run = runSync ? (f: Feed) => runSync(f, { seed }) : (f: Feed) => model.run(f, { seed });
  // A model that refuses its inputs says so before anything is measured.
  await refusals(() => run(must(feeds[0], "inputs")));
  return { ...inProcess(feeds, run), close: async () => model.dispose() };
}
