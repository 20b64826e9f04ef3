// Rounds that alternate between contenders, so that a machine that slows down slows all of them.
import type { Timing } from "./targets.ts";

/** round: the times in ms of runs that take about `ms` together. */
export type Contender = {
  readonly round: (ms: number) => Promise<readonly number[]>;
  readonly close: () => Promise<void>;
};
export type Measured = {
  readonly timings: ReadonlyMap<string, Timing>;
  /** The exceptions of those that failed. */
  readonly failures: ReadonlyMap<string, unknown>;
};

const roundMs = 150;

/** Warms every contender up, then lets them run in turn, each for about `totalMs` in all. */
export async function measure(
  contenders: ReadonlyMap<string, Contender>,
  totalMs: number,
  onTask?: (task: string) => void,
): Promise<Measured> {
  const failures = new Map<string, unknown>();
  const times = new Map<string, number[]>([...contenders.keys()].map((k) => [k, []]));
  const turn = async (ms: number, keep: boolean): Promise<void> => {
    for (const [name, c] of contenders) {
      if (failures.has(name)) continue;
      try {
        const t = await c.round(ms);
        if (keep) for (const x of t) times.get(name)!.push(x);
      } catch (e) {
        failures.set(name, e);
      }
    }
  };
  // Engines compile code that runs often anew: a fifth of the time, and a second at most, is not counted.
  onTask?.("warm up");
  await turn(Math.min(totalMs / 5, 1000), false);
  const rounds = Math.max(3, Math.round(totalMs / roundMs));
  for (let r = 0; r < rounds; r++) {
    onTask?.(`measure ${Math.round((100 * r) / rounds)}%`);
    await turn(totalMs / rounds, true);
  }
  const timings = new Map<string, Timing>();
  for (const [name, list] of times) {
    if (failures.has(name) || list.length === 0) continue;
    list.sort((a, b) => a - b);
    timings.set(name, { medianMs: medianOf(list), minMs: list[0]!, runs: list.length });
  }
  return { timings, failures };
}
function medianOf(sorted: readonly number[]): number {
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

/** Runs that go through the feeds in turn. A result that is no promise is not awaited, which would cost more than a small model. */
export function inProcess<F>(feeds: readonly F[], run: (feed: F) => unknown): Pick<Contender, "round"> {
  let next = 0;
  return {
    round: async (ms) => {
      const times: number[] = [];
      const start = performance.now();
      do {
        const feed = feeds[next++ % feeds.length]!;
        const before = performance.now();
        const result = run(feed);
        if (result instanceof Promise) await result;
        times.push(performance.now() - before);
      } while (performance.now() - start < ms);
      return times;
    },
  };
}
