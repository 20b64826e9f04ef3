// Who is measured: Ingot's targets, and peers on each side. Each makes a program of a model, which child.ts runs.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { UnavailableError } from "../src/base/diagnostics.ts";
import { packageRoot } from "../src/base/package.ts";
import { peers as nodePeers } from "../src/run/peers.ts";
import { findCompiler } from "../targets/c/harness.ts";
import { emxMain, inputFile } from "./c-main.ts";
import { type Launch, lastWords, oneThread, program } from "./child.ts";
import type { Compiled } from "./compile.ts";
import { installNpm, installPython } from "./peers/install.ts";
import { inputsOf } from "./peers/serve.ts";
import { type Build, type Side, threads } from "./results.ts";
import { run } from "./scripts.ts";

/** A model with its inputs, as files. */
export type Subject = {
  readonly name: string;
  readonly about: string;
  readonly kind: "op" | "model";
  readonly model: string;
  readonly inputs: string;
};
export type Made = { readonly launch: Launch; readonly build?: Build; readonly macs?: number | null };
export type Maker = {
  readonly side: Side;
  /** Measured on models where nobody says who: the others are too slow, or run few. */
  readonly models: boolean;
  /** Makes what runs in `folder`. Throws UnavailableError when that cannot be made. */
  readonly make: (s: Subject, folder: string) => Promise<Made>;
};

const makeLimitMs = 240_000;
const ccFlags: readonly string[] = ["-std=gnu11", "-O3", "-march=native"];

/** What a program prints as one object of JSON. Throws UnavailableError with what went wrong. */
async function asked<T>(command: string, args: readonly string[]): Promise<T> {
  const unavailable = (e: unknown): never => {
    throw new UnavailableError(lastWords((e as Error).message));
  };
  const text = await run(command, args, { timeout: makeLimitMs, env: oneThread }).catch(unavailable);
  const said = JSON.parse(text) as T & { readonly error?: string };
  if (said.error !== undefined) throw new UnavailableError(said.error.trim().split("\n")[0]!.slice(0, 300));
  return said;
}
/** The time in ms that the C compiler takes to make a program, `model`, of the files of a folder. */
async function cc(
  folder: string,
  sources: readonly string[],
  flags: readonly string[] = [],
  to = "model",
): Promise<number> {
  const compiler = await findCompiler();
  const before = performance.now();
  await run(compiler, [...ccFlags, ...flags, "-o", to, ...sources, "-lm"], { cwd: folder, timeout: makeLimitMs });
  return performance.now() - before;
}

function ours(side: Side): Maker {
  return {
    side,
    models: true,
    make: async ({ model, inputs }, folder) => {
      const compiler = await program("compile.ts");
      const { macs, ...build } = await asked<Compiled>(process.execPath, [compiler, side, model, inputs, folder]);
      if (side === "c") {
        const ccMs = await cc(folder, ["main.c", "model.c"]);
        return { build: { ...build, ccMs }, macs, launch: { command: join(folder, "model"), args: [], cwd: folder } };
      }
      const server = await program("peers/artifact.ts");
      return { build, macs, launch: { command: process.execPath, args: [server, folder, inputs] } };
    },
  };
}
/** What `ours` made for C, on two threads. */
const twoThreads: Maker = {
  side: "c",
  models: true,
  make: async ({ kind }, folder) => {
    if (kind === "op") throw new UnavailableError("models only");
    const made = join(folder, "../c");
    if (!existsSync(join(made, "model.c"))) throw new UnavailableError("there is no model.c");
    mkdirSync(folder, { recursive: true });
    await cc(made, ["main.c", "model.c"], ["-DTHREADS=2", "-pthread"], join(folder, "model"));
    return { launch: { command: join(folder, "model"), args: [], cwd: made } };
  },
};
function onnxruntimeForNode(name: string, side: Side): Maker {
  return {
    side,
    models: side === "wasm",
    make: async ({ model, inputs }) => {
      const peer = nodePeers.get(name)!;
      await installNpm([peer.package], peer.env);
      const server = await program("peers/onnxruntime.ts");
      return { launch: { command: process.execPath, args: [server, name, model, inputs] } };
    },
  };
}
const pythonScript = join(packageRoot(), "benchmarks/peers/peers.py");
const pythonPackages = {
  onnxruntime: ["onnxruntime==1.32.0"],
  openvino: ["openvino==2026.4.1"],
  iree: ["iree-base-compiler==3.13.0", "iree-base-runtime==3.13.0", "onnx==1.23.2"],
  emx: ["emx-onnx-cgen==1.4.0"],
} as const;
function interpreted(name: "onnxruntime" | "openvino"): Maker {
  return {
    side: "c",
    models: true,
    make: async ({ model, inputs }) => {
      const python = await installPython(name, pythonPackages[name]);
      return { launch: { command: python, args: [pythonScript, "serve", name, model, inputs] } };
    },
  };
}
const iree: Maker = {
  side: "c",
  models: false,
  make: async ({ model, inputs }, folder) => {
    const python = await installPython("iree", pythonPackages.iree);
    mkdirSync(folder, { recursive: true });
    const out = join(folder, "model.vmfb");
    const { compileMs } = await asked<Build>(python, [pythonScript, "build", "iree", model, inputs, out]);
    const code = readFileSync(out).length;
    return {
      build: { compileMs, code },
      launch: { command: python, args: [pythonScript, "serve", "iree", out, inputs] },
    };
  },
};
const emx: Maker = {
  side: "c",
  models: false,
  make: async ({ model, inputs }, folder) => {
    const python = await installPython("emx", pythonPackages.emx);
    mkdirSync(folder, { recursive: true });
    const out = join(folder, "model.c");
    const made = await asked<{ compileMs: number; inputs: readonly string[] }>(python, [
      pythonScript,
      "build",
      "emx",
      model,
      inputs,
      out,
    ]);
    const tensors = inputsOf(inputs);
    made.inputs.forEach((name, i) => writeFileSync(join(folder, inputFile(i)), tensors[name]!.bytes));
    const code = readFileSync(out, "utf8");
    writeFileSync(join(folder, "main.c"), emxMain(code));
    const ccMs = await cc(folder, ["main.c", "model.c"], ["-ffast-math"]);
    return {
      build: { compileMs: made.compileMs, ccMs, code: code.length },
      launch: { command: join(folder, "model"), args: [], cwd: folder },
    };
  },
};
const tfjs: Maker = {
  side: "wasm",
  models: false,
  make: async ({ name, kind, inputs }) => {
    if (kind !== "op" || !/^(matmul|gemm|conv|depthwise)/.test(name))
      throw new UnavailableError("products and convolutions only");
    await installNpm(["@tensorflow/tfjs-core@4.22.0", "@tensorflow/tfjs-backend-wasm@4.22.0"]);
    return { launch: { command: process.execPath, args: [await program("peers/tfjs.ts"), name, inputs] } };
  },
};

const ourNames: readonly string[] = ["wasm", "c", threads];
/** In the order of the tables' columns: a target, then its peers. */
export const contenders: ReadonlyMap<string, Maker> = new Map<string, Maker>([
  ["wasm", ours("wasm")],
  ["onnxruntime-web", onnxruntimeForNode("onnxruntime-web", "wasm")],
  ["tfjs-wasm", tfjs],
  ["c", ours("c")],
  [threads, twoThreads],
  ["onnxruntime", interpreted("onnxruntime")],
  ["openvino", interpreted("openvino")],
  ["onnxruntime-node", onnxruntimeForNode("onnxruntime-node", "c")],
  ["iree", iree],
  ["emx-onnx-cgen", emx],
]);
export const peerNames: readonly string[] = [...contenders.keys()].filter((n) => !ourNames.includes(n));
