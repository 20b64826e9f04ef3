// `npm run bench`: compiles every case for the targets, lets them and their peers run in turn, and writes the report.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { UnavailableError } from "../src/base/diagnostics.ts";
import { writeNpz } from "../src/base/npz.ts";
import { packageRoot } from "../src/base/package.ts";
import { modelBytes } from "../src/onnx/export.ts";
import { type Contender, measure } from "../src/run/rounds.ts";
import { lastWords, type Opened, open, program, workFolder } from "./child.ts";
import { contenders, type Made, peerNames, type Subject } from "./contenders.ts";
import { thisMachine, watchProcessors } from "./machine.ts";
import { opInputs, ops } from "./ops.ts";
import { listing, type Options, parse, usage } from "./options.ts";
import { type PeakStart, peakProgram } from "./peak.ts";
import { caseLine, report } from "./report.ts";
import { type CaseResult, type Entry, type Results, type Side, threads } from "./results.ts";
import { fetchModel, inputsPath, models } from "./scripts.ts";

/** The exit status: 2 for a wrong option. */
export async function main(args: readonly string[]): Promise<number> {
  let options: Options | null;
  try {
    options = parse(args);
  } catch (e) {
    console.error(`${(e as Error).message}\n${usage}`);
    return 2;
  }
  if (options === null || options.list) {
    console.log(options === null ? usage : listing());
    return 0;
  }
  await runAll(options);
  return 0;
}

/** A contender whose first run takes longer is left out of the turns. */
const slowMs = 10_000;

type Roof = Contender & { readonly start: PeakStart };

async function runAll(o: Options): Promise<void> {
  const roofs = new Map<Side, Roof>();
  const cases: CaseResult[] = [];
  const peaks: { [side in Side]?: { gflops: number; kernel: string } } = {};
  const machine = thisMachine();
  await program("compile.ts");
  try {
    for (const side of o.targets) roofs.set(side, await open<PeakStart>(await peakProgram(side)));
    for (const subject of subjects(o)) {
      const s = await subject();
      const result = await runCase(s, o, roofs);
      cases.push(result);
      console.log(caseLine(result));
      for (const [side, roof] of roofs) {
        const gflops = Math.max(peaks[side]?.gflops ?? 0, result.peak[side] ?? 0);
        peaks[side] = { gflops, kernel: roof.start.kernel };
      }
      write(o, { machine, seconds: o.seconds, peaks, peers, cases });
    }
  } finally {
    for (const r of roofs.values()) await r.close();
  }
}

/** The side of each peer. */
const peers = Object.fromEntries(peerNames.map((name) => [name, contenders.get(name)!.side]));

function write(o: Options, results: Results): void {
  const folder = resolve(packageRoot(), o.out);
  mkdirSync(join(folder, "plots"), { recursive: true });
  writeFileSync(join(folder, "results.json"), `${JSON.stringify(results, null, 2)}\n`);
  for (const [path, text] of report(results)) writeFileSync(join(folder, path), text);
}

/** The cases, each made as files when its turn comes. */
function subjects(o: Options): (() => Promise<Subject>)[] {
  const folderOf = (name: string): string => {
    const folder = join(workFolder, "cases", name);
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    return folder;
  };
  return [
    ...ops
      .filter((op) => o.ops.includes(op.name))
      .map(({ name, about, model }) => async (): Promise<Subject> => {
        const folder = folderOf(name);
        const spec = model();
        const files = { model: join(folder, "op.onnx"), inputs: join(folder, "inputs.npz") };
        const inputs = Object.entries(opInputs(spec)).map(([n, t]) => ({ ...t, name: `in_${n}` }));
        writeFileSync(files.model, modelBytes(spec));
        writeFileSync(files.inputs, writeNpz(inputs));
        return { name, about, kind: "op", ...files };
      }),
    ...models
      .filter((m) => o.models.includes(m.name))
      .map(({ name, kind }) => async (): Promise<Subject> => {
        folderOf(name);
        return { name, about: kind, kind: "model", model: await fetchModel(name), inputs: inputsPath(name) };
      }),
  ];
}

async function runCase(s: Subject, o: Options, roofs: ReadonlyMap<Side, Roof>): Promise<CaseResult> {
  const entries: Record<string, Entry> = {};
  const opened = new Map<string, Opened>();
  let macs: number | null = null;
  const wanted = [...contenders].filter(
    ([name, m]) =>
      o.targets.includes(m.side) &&
      (name === m.side ||
        (name === threads ? s.kind === "model" : o.peers ? o.peers.includes(name) : s.kind === "op" || m.models)),
  );
  try {
    for (const [name, maker] of wanted) {
      progress(`${s.name}: ${name}`);
      let made: Made | null = null;
      try {
        made = await maker.make(s, join(workFolder, "cases", s.name, name));
        macs = made.macs ?? macs;
        const contender = await open(made.launch);
        entries[name] = { ...(made.build ? { build: made.build } : {}), start: contender.start };
        if (contender.start.firstMs <= slowMs) opened.set(name, contender);
        else {
          await contender.close();
          const seconds = Math.round(contender.start.firstMs / 1000);
          entries[name] = { ...entries[name], reason: `its first run takes ${seconds} s` };
        }
      } catch (e) {
        entries[name] = { ...(made?.build ? { build: made.build } : {}), reason: reasonOf(e) };
      }
    }
    const all = new Map<string, Contender>([...opened, ...[...roofs].map(([k, r]) => [`peak ${k}`, r] as const)]);
    const busyCores = watchProcessors();
    const { timings, failures } = await measure(all, o.seconds * 1000, (task) => progress(`${s.name}: ${task}`));
    const busy = Number(busyCores().toFixed(2));
    for (const name of opened.keys()) {
      const timing = timings.get(name);
      entries[name] = { ...entries[name], ...(timing ? { timing } : { reason: reasonOf(failures.get(name)) }) };
    }
    const peak: { [side in Side]?: number } = {};
    for (const [side, roof] of roofs) peak[side] = roof.start.flops / 1e6 / timings.get(`peak ${side}`)!.medianMs;
    return { name: s.name, about: s.about, kind: s.kind, macs, peak, busy, entries };
  } finally {
    for (const c of opened.values()) await c.close();
    progress("");
  }
}

/** What a contender says that cannot run here; anything else is a bug of the benchmarks. */
function reasonOf(e: unknown): string {
  const { code } = e as { code?: string };
  if (e instanceof UnavailableError || code === "UNAVAILABLE" || code === "FAILED")
    return lastWords((e as Error).message);
  throw e;
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}
