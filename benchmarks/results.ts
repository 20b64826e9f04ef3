// What a run of the benchmarks finds: the shape of results.json.
import type { Timing } from "../src/run/targets.ts";

/** The targets that are measured. Each has peers of its own. */
export type Side = "wasm" | "c";
export const sides: readonly Side[] = ["wasm", "c"];

/** The name of the contender that is `c` on two threads. */
export const threads = "c-two-threads";

/** A compilation before anything runs. Bytes are uncompressed. */
export type Build = {
  readonly compileMs: number;
  /** The C compiler's part of it comes on top. */
  readonly ccMs?: number;
  readonly code?: number;
  readonly loader?: number;
  readonly weights?: number;
  readonly arena?: number | null;
  readonly arenaLowerBound?: number | null;
  readonly unfusedBound?: number | null;
  /** The largest resident set of the process that compiled. */
  readonly peakBytes?: number;
};
/** A fresh process that loads the model, with its engine, and runs it once. */
export type Start = {
  readonly version?: string;
  readonly loadMs: number;
  readonly firstMs: number;
  /** The largest resident set of the whole process up to then; absent where the system does not tell. */
  readonly peakBytes?: number;
  /** The sum of magnitudes of all outputs, null where it is no number. */
  readonly check: number | null;
};
/** What became of one contender in one case. */
export type Entry = {
  readonly build?: Build;
  readonly start?: Start;
  readonly timing?: Timing;
  /** Why it was not measured. */
  readonly reason?: string;
};
export type CaseResult = {
  readonly name: string;
  readonly about: string;
  readonly kind: "op" | "model";
  /** Products in sums of products, for one run. null: it depends on data. */
  readonly macs: number | null;
  /** GFLOP/s of the best micro-kernel, measured in the same rounds. */
  readonly peak: { readonly [side in Side]?: number };
  /** By name: sides and peers. */
  /** Processors that were busy while the contenders took turns: one is theirs. */
  readonly busy: number;
  readonly entries: Readonly<Record<string, Entry>>;
};
export type Machine = Readonly<
  Record<"cpu" | "system" | "node" | "cc" | "python" | "ingot" | "date", string> & { cores: number; memoryGb: number }
>;
export type Results = {
  readonly machine: Machine;
  readonly seconds: number;
  readonly peaks: { readonly [side in Side]?: { readonly gflops: number; readonly kernel: string } };
  /** The side that each peer is compared with. */
  readonly peers: Readonly<Record<string, Side>>;
  readonly cases: readonly CaseResult[];
};
