// Compiles a case for the targets and compares what comes out: bits under strict math, numbers without it, and onnxruntime's.
import { UnavailableError, UserError } from "../../src/base/diagnostics.ts";
import { type CompileOptions, compileTarget, type FrontEnd, frontEnd } from "../../src/compile.ts";
import { isFloat, type Tensor, typedView } from "../../src/ir/types.ts";
import { modelBytes } from "../../src/onnx/export.ts";
import { floatsOf } from "../../src/run/floats.ts";
import { openPeer } from "../../src/run/peers.ts";
import { type Ports, portsOf, type Tensors } from "../../src/run/ports.ts";
import { givenOf, loadModel, refusals, tensorsOf } from "../../src/run/runner.ts";
import { type CCase, type CResult, runEach } from "../../targets/c/harness.ts";
import { type FuzzCase, nodesOf, outputsOf } from "./case.ts";
import { differsByDesign } from "./peculiar.ts";
import { type Steadiness, steadiness } from "./steady.ts";

/** kind: what is the same for failures of one cause, about; shrinking keeps it. */
export type Failure = { readonly kind: string; readonly detail: string };
export type Verdict =
  | { readonly status: "fine"; readonly onnxruntime: "compared" | "refused" | "missing" | "not asked" }
  | { readonly status: "refused"; readonly reason: string }
  | { readonly status: "failed"; readonly failure: Failure };

/** How a program is made. f64: the oracle of how much roundings matter. */
type Config = { readonly target: "js" | "wasm" | "c"; readonly mode: "strict" | "fast" | "f64" };
const nameOf = ({ target, mode }: Config): string => (mode === "fast" ? target : `${target} ${mode}`);
const base: Config = { target: "js", mode: "strict" };
const f64: Config = { target: "js", mode: "f64" };
const others: readonly Config[] = [
  { target: "wasm", mode: "strict" },
  { target: "c", mode: "strict" },
  { target: "wasm", mode: "fast" },
  { target: "c", mode: "fast" },
  { target: "js", mode: "fast" },
];
export const configNames: readonly string[] = [...others.map(nameOf), "onnxruntime", "again"];

/** The outputs of each run; null: the run was refused, as its inputs do not fit. */
type Ran = readonly (Tensors | null)[];
class Failed extends Error {
  readonly failure: Failure;
  constructor(kind: string, detail: string) {
    super(`${kind}: ${detail}`);
    this.failure = { kind, detail };
  }
}
const plain = (e: unknown): string => (e instanceof Error ? `${e.name}: ${e.message}` : String(e));
/** A message without what differs between two failures of one cause. */
const essence = (text: string): string =>
  text
    .split("\n")[0]!
    .replaceAll(/"[^"]*"|%?[\w$.]*\d[\w$.]*/g, "_")
    .slice(0, 120);
/** Failures of `f` that are no diagnostics become failures of the case. */
async function bug<T>(what: string, f: () => T | Promise<T>): Promise<T> {
  try {
    return await f();
  } catch (e) {
    if (e instanceof UserError || e instanceof UnavailableError || e instanceof Failed) throw e;
    throw new Failed(`${what}: ${essence(plain(e))}`, plain(e).slice(0, 3000));
  }
}

/** A case on its way: what has run, and the C that waits to be built with that of others. */
type Pending = {
  readonly case: FuzzCase;
  readonly only: ReadonlySet<string>;
  readonly ports: Ports;
  readonly bytes: Uint8Array;
  readonly ran: Map<string, Ran>;
  readonly waiting: { readonly config: Config; readonly c: CCase }[];
};

export type CheckOptions = {
  /** Of configNames: those that are compared; null: all that a case's name draws. */
  readonly only: readonly string[] | null;
};

/** Checks cases together: their C goes into one run of the compiler. `started` is told of each, with null for the C. */
export async function checkAll(
  cases: readonly FuzzCase[],
  options: CheckOptions,
  started: (index: number | null) => void,
): Promise<Verdict[]> {
  const verdicts = new Map<number, Verdict>();
  const pending = new Map<number, Pending>();
  let builds = 0;
  for (const [i, c] of cases.entries()) {
    started(i);
    const only = new Set(options.only ?? drawn(c));
    try {
      pending.set(i, await prepare(c, only, () => `case${builds++}`));
    } catch (e) {
      verdicts.set(i, verdictOf(e));
    }
  }
  const waiting = [...pending.values()].flatMap((p) => p.waiting.map((w) => ({ ...w, p })));
  if (waiting.length > 0) {
    started(null);
    const results = await runEach(
      waiting.map((w) => w.c),
      { flags: ["-std=c11", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"], limitMs: 20_000 },
    );
    for (const [k, { config, p }] of waiting.entries()) p.ran.set(nameOf(config), resultOf(results[k]!) as Ran);
  }
  for (const [i, p] of pending) {
    started(i);
    try {
      verdicts.set(i, await judge(p));
    } catch (e) {
      verdicts.set(i, verdictOf(e));
    }
  }
  return cases.map((_, i) => verdicts.get(i)!);
}
function verdictOf(e: unknown): Verdict {
  if (e instanceof Failed) return { status: "failed", failure: e.failure };
  if (!(e instanceof UserError)) throw e;
  return {
    status: "refused",
    reason: e.diagnostics.map((d) => `${d.code} ${d.loc?.op ?? ""}: ${d.message}`).join("; "),
  };
}
/** All but what takes long: C without strict math, and a second compilation, are for some cases. */
function drawn(c: FuzzCase): string[] {
  const draw = [...c.name].reduce((n, x) => (n * 31 + x.charCodeAt(0)) % 1009, 7);
  return configNames.filter((n) => (n === "c" ? draw % 3 === 0 : n === "again" ? draw % 4 === 0 : true));
}

async function prepare(c: FuzzCase, only: ReadonlySet<string>, nextName: () => string): Promise<Pending> {
  const bytes = modelBytes(c.model);
  const front = await bug("import", () => frontEnd(bytes, { name: "m", verify: true }));
  const ports = portsOf(front.graph);
  const p: Pending = { case: c, only, ports, bytes, ran: new Map(), waiting: [] };
  const wanted = [base, f64, ...others].filter(
    (x) => x === base || only.has(nameOf(x)) || (x === f64 && c.style === "modest" && isCompared(c)),
  );
  for (const config of wanted) {
    const name = config.target === "c" ? nextName() : "m";
    const compiled = await bug(`compile ${nameOf(config)}`, () =>
      compileTarget(front, config.target, optionsOf(config, name)),
    );
    if (config.target === "c")
      p.waiting.push({
        config,
        c: { program: compiled.program, files: compiled.files, name, runs: c.runs.map((inputs) => ({ inputs })) },
      });
    else
      p.ran.set(
        nameOf(config),
        await bug(`run ${nameOf(config)}`, () => runAll({ target: config.target, name, compiled, ports }, c.runs)),
      );
  }
  if (only.has("again")) await compareFiles(front, bytes);
  return p;
}
const optionsOf = ({ mode }: Config, name: string): CompileOptions => ({
  name,
  verify: true,
  strict: mode === "strict",
  f64: mode === "f64",
});
const isCompared = (c: FuzzCase): boolean => [...steadiness(c).values()].includes("close");

/** One artifact, several runs. */
async function runAll(x: Parameters<typeof loadModel>[0], runs: readonly Tensors[]): Promise<Ran> {
  const model = await loadModel(x);
  const results: (Tensors | null)[] = [];
  for (const inputs of runs) {
    try {
      const outputs = await refusals(() => model.run(givenOf(inputs, x.ports), { seed: 0 }));
      results.push(tensorsOf(outputs, x.ports));
    } catch (e) {
      if (!(e instanceof UserError)) throw e;
      results.push(null);
    }
  }
  model.dispose();
  return results;
}
/** Statuses of C that say that inputs do not fit. */
const refusing = new Set([1, 2, 3]);
function resultOf(r: readonly CResult[] | Error): Ran | Error {
  if (r instanceof Error) return r;
  const broken = r.find((x) => x.status !== 0 && !refusing.has(x.status));
  return broken
    ? new Error(`the model returns status ${broken.status}`)
    : r.map((x) => (x.status === 0 ? x.outputs : null));
}
/** Another compilation gives the same bytes. */
async function compareFiles(first: FrontEnd, bytes: Uint8Array): Promise<void> {
  const second = frontEnd(bytes, { name: "m" });
  for (const target of ["wasm", "c"]) {
    const [a, b] = [
      await compileTarget(first, target, { name: "m" }),
      await compileTarget(second, target, { name: "m" }),
    ];
    for (const [k, f] of a.files.entries())
      if (Buffer.compare(f.bytes, b.files[k]?.bytes ?? new Uint8Array()) !== 0)
        throw new Failed(`again: ${f.path} differs`, `two compilations for ${target} give different bytes`);
  }
}

async function judge(p: Pending): Promise<Verdict> {
  const want = p.ran.get(nameOf(base))!;
  const steady = steadiness(p.case);
  const oracle = p.ran.get(nameOf(f64)) ?? null;
  for (const config of others) {
    const name = nameOf(config);
    const got = p.ran.get(name) as Ran | Error | undefined;
    if (!got) continue;
    if (got instanceof Error)
      throw new Failed(`run ${name}: ${essence(sanitizerLine(got.message))}`, got.message.slice(0, 3000));
    for (const [k, w] of want.entries()) {
      const g = got[k] ?? null;
      const where = `run ${k} of ${name}`;
      if ((g === null) !== (w === null))
        throw new Failed(`${name} refuses`, `${where} is ${g ? "not " : ""}refused, unlike js strict`);
      if (!g || !w) continue;
      for (const [out, s] of steady) {
        const how: Steadiness = config.mode === "strict" ? "exact" : s;
        const d = how === "loose" ? null : difference(g[out]!, w[out]!, how, p.case, oracle?.[k]?.[out], true);
        if (d) throw new Failed(`${name} differs`, `${where}: ${out} ${d}`);
      }
    }
  }
  p.case.expected?.forEach((outputs, k) => {
    for (const [out, x] of Object.entries(outputs)) {
      const g = want[k]?.[out];
      const d = g ? difference(g, x, steady.get(out) ?? "close", p.case, oracle?.[k]?.[out], false) : "is missing";
      if (d) throw new Failed("not what is expected", `run ${k}: ${out} ${d}`);
    }
  });
  const onnxruntime = p.only.has("onnxruntime") ? await compareOnnxruntime(p, want, oracle, steady) : "not asked";
  return { status: "fine", onnxruntime };
}
/** What a sanitizer says first of all. */
function sanitizerLine(text: string): string {
  return (
    text
      .split("\n")
      .find((l) => /runtime error|ERROR: AddressSanitizer/.test(l))
      ?.replace(/.*?(runtime error|ERROR)/, "$1") ?? text
  );
}

/** The relative error that a value of a type may have after some operations. */
function precision(c: FuzzCase): number {
  const types = new Set<string>();
  const note = (t: unknown): void => {
    if (typeof t === "string") types.add(t);
  };
  for (const t of Object.values(c.model.inputs ?? {})) if (Array.isArray(t)) note(t[0]);
  for (const t of Object.values(c.model.initializers ?? {})) note(t.dtype);
  for (const n of nodesOf(c.model))
    for (const a of [n.attrs?.["to"], n.attrs?.["dtype"]])
      if (a === 10) note("f16");
      else if (a === 16) note("bf16");
  return types.has("bf16") ? 5e-2 : types.has("f16") ? 5e-3 : 3e-5;
}
/** What differs, or null. zeros: whether -0 differs from 0. */
function difference(
  got: Tensor,
  want: Tensor,
  how: Steadiness,
  c: FuzzCase,
  oracle: Tensor | undefined,
  zeros: boolean,
): string | null {
  if (got.dtype !== want.dtype || got.dims.join() !== want.dims.join())
    return `is ${got.dtype}[${got.dims}] instead of ${want.dtype}[${want.dims}]`;
  const values = (t: Tensor): ArrayLike<number | bigint> =>
    isFloat(t.dtype) ? floatsOf(t) : typedView(t.dtype, t.bytes);
  const [a, b] = [values(got), values(want)];
  const exact = how === "exact" || !isFloat(want.dtype);
  if (how === "close" && (c.style === "edge" || exact)) return null;
  const o = oracle && oracle.dims.join() === want.dims.join() ? values(oracle) : null;
  let peak = 0;
  let spread = 0;
  if (!exact)
    for (let i = 0; i < b.length; i++) {
      if (Number.isFinite(Number(b[i]))) peak = Math.max(peak, Math.abs(Number(b[i])));
      // Where roundings make a number of what is none, or none of what is one, nothing can be said.
      if (o && Number.isFinite(Number(o[i])) !== Number.isFinite(Number(b[i]))) return null;
      if (o && Number.isFinite(Number(o[i]))) spread = Math.max(spread, Math.abs(Number(b[i]) - Number(o[i])));
    }
  const bound = precision(c) * peak + 50 * spread + 1e-6;
  for (let i = 0; i < b.length; i++) {
    const [x, y] = [a[i]!, b[i]!];
    if (x === y ? !exact || !zeros || typeof x === "bigint" || Object.is(x, y) : Number.isNaN(x) && Number.isNaN(y))
      continue;
    if (!exact && Math.abs(Number(x) - Number(y)) <= bound) continue;
    return `[${i}] is ${Object.is(x, -0) ? "-0" : x} instead of ${Object.is(y, -0) ? "-0" : y}${exact ? "" : ` (within ${bound})`}`;
  }
  return null;
}

/** The part of onnxruntime's results that is used. */
type OrtResults = Readonly<
  Record<
    string,
    {
      readonly data: { readonly buffer: ArrayBuffer; readonly byteOffset: number; readonly byteLength: number };
      readonly dims: readonly number[];
    }
  >
>;
async function compareOnnxruntime(
  p: Pending,
  want: Ran,
  oracle: Ran | null,
  steady: ReadonlyMap<string, Steadiness>,
): Promise<"compared" | "refused" | "missing"> {
  if (differsByDesign(p.case, want)) return "refused";
  const results: OrtResults[] = [];
  try {
    const session = await openPeer("onnxruntime-web", { bytes: p.bytes } as Parameters<typeof openPeer>[1]);
    for (const [k, inputs] of p.case.runs.entries())
      if (want[k]) results[k] = (await session.run(session.feed(inputs))) as OrtResults;
    await session.close();
  } catch (e) {
    if (!(e instanceof UnavailableError)) throw e;
    return /is not installed/.test(e.message) ? "missing" : "refused";
  }
  for (const [k, w] of want.entries()) {
    if (!w) continue;
    for (const out of outputsOf(p.case.model)) {
      const how = steady.get(out)!;
      const y = results[k]?.[out];
      const dtype = w[out]!.dtype;
      if (how === "loose" || !y) continue;
      const got: Tensor = {
        dtype,
        dims: y.dims,
        bytes: new Uint8Array(y.data.buffer, y.data.byteOffset, y.data.byteLength).slice(),
      };
      const d = difference(w[out]!, got, how, p.case, oracle?.[k]?.[out], false);
      if (d) throw new Failed("onnxruntime differs", `run ${k}: ${out} ${d} (onnxruntime's)`);
    }
  }
  return "compared";
}
