// The loop of the contenders that are written in JavaScript; child.ts has the other end of the line.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { readNpz } from "../../src/base/npz.ts";
import type { Tensors } from "../../src/run/ports.ts";
import { inProcess } from "../../src/run/rounds.ts";

export type Session = {
  readonly version?: string;
  readonly run: () => unknown;
  /** The elements of the outputs that `run` returned. */
  readonly outputs: (result: unknown) => readonly ArrayLike<number | bigint>[];
};

/** The inputs `in_<name>` of an npz by their names, `|` for `/`. */
export function inputsOf(npz: string): Tensors {
  return Object.fromEntries(
    readNpz(readFileSync(npz)).map(({ name, ...t }) => [name.replace(/^in_/, "").replaceAll("|", "/"), t]),
  );
}

/** Loads (which is timed, with all that `load` imports) and serves until its input ends. */
export async function serve(load: () => Promise<Session>): Promise<void> {
  // Standard output is for the protocol, whatever a package prints.
  const out = console.log;
  console.log = console.info = console.debug = console.error;
  const say = (x: unknown): void => out(JSON.stringify(x));
  try {
    const before = performance.now();
    const session = await load();
    const loaded = performance.now();
    const result = await session.run();
    const [loadMs, firstMs] = [loaded - before, performance.now() - loaded];
    say({ version: session.version, loadMs, firstMs, check: sum(session.outputs(result)) });
    const { round } = inProcess([null], () => session.run());
    for await (const line of createInterface({ input: process.stdin })) say({ times: await round(Number(line)) });
  } catch (e) {
    say({ error: e instanceof Error ? e.message : String(e) });
  }
  process.exit();
}
/** null in place of NaN and infinities, which JSON does not have. */
function sum(arrays: readonly ArrayLike<number | bigint>[]): number | null {
  let total = 0;
  for (const data of arrays) for (let i = 0; i < data.length; i++) total += Math.abs(Number(data[i]));
  return Number.isFinite(total) ? total : null;
}
