// Other engines to measure against. They are no dependency of Ingot: a peer is used where somebody has installed it.
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { must } from "../base/assert.ts";
import { UnavailableError, userError } from "../base/diagnostics.ts";
import { packageRoot } from "../base/package.ts";
import type { DType } from "../ir/types.ts";
import { typedView } from "../ir/types.ts";
import type { Tensors } from "./ports.ts";
import type { Source } from "./source.ts";

/** An engine that has loaded a model: one run with inputs prepared beforehand. */
export type PeerSession = {
  readonly version: string;
  readonly feed: (inputs: Tensors) => unknown;
  readonly run: (feed: unknown) => Promise<unknown>;
  readonly close: () => Promise<void>;
};
type Peer = {
  /** What npm installs, with the version that is measured. */
  readonly package: string;
  /** Variables that its installation needs. */
  readonly env?: Readonly<Record<string, string>>;
  readonly open: (folder: string, source: Source) => Promise<PeerSession>;
};

/** In the order in which one process may open them: both packages register a "cpu" with one library, which keeps the first. */
export const peers: ReadonlyMap<string, Peer> = new Map<string, Peer>([
  [
    "onnxruntime-node",
    {
      package: "onnxruntime-node@1.30.0",
      // It would fetch CUDA, which is not used here.
      env: { ONNXRUNTIME_NODE_INSTALL_CUDA: "skip" },
      open: (folder, s) => openOnnxruntime(folder, s, "cpu"),
    },
  ],
  ["onnxruntime-web", { package: "onnxruntime-web@1.30.0", open: (folder, s) => openOnnxruntime(folder, s, "wasm") }],
]);
export const peerNames: readonly string[] = [...peers.keys()];

/** Throws a UserError E501 for a peer that Ingot does not know. */
export function checkPeers(names: readonly string[]): void {
  for (const n of names)
    if (!peers.has(n)) throw userError("E501", `unknown peer "${n}"`, { hint: `peers: ${peerNames.join(", ")}` });
}

/**
 * Loads a model in a peer. This, and its runs, throw UnavailableError where the peer is missing (it says how to install it) or
 * refuses the model.
 */
export async function openPeer(name: string, source: Source): Promise<PeerSession> {
  const peer = must(peers.get(name), `peer ${name}`);
  const folder = findPackage(name);
  if (folder === null) throw new UnavailableError(`${name} is not installed: ${installation(peer)}`);
  const refused = (e: unknown): never => {
    throw new UnavailableError(`${name} does not run this model: ${(e as Error).message}`);
  };
  const session = await peer.open(folder, source).catch(refused);
  return { ...session, run: (feed) => session.run(feed).catch(refused) };
}

function installation(peer: Peer): string {
  const set = Object.entries(peer.env ?? {}).map(([k, v]) => `${k}=${v}`);
  return [...set, "npm install", peer.package].join(" ");
}

/** Where the benchmarks install peers: they are for measuring alone. */
export function peersFolder(): string {
  return join(packageRoot(), ".cache/peers");
}
/** A package's folder: among the benchmarks' peers, else above the folder where the command was given. null: nowhere. */
export function findPackage(name: string): string | null {
  const folders = [peersFolder()];
  for (let at = process.cwd(); ; at = dirname(at)) {
    folders.push(at);
    if (dirname(at) === at) break;
  }
  const found = folders.map((f) => join(f, "node_modules", name));
  return found.find((p) => existsSync(join(p, "package.json"))) ?? null;
}

/** The part of onnxruntime's interface for JavaScript that is used here. */
type Onnxruntime = {
  readonly env: { logLevel: string; readonly wasm: { numThreads: number } };
  readonly Tensor: new (type: string, data: unknown, dims: readonly number[]) => unknown;
  readonly InferenceSession: { create(bytes: Uint8Array, options: object): Promise<OnnxruntimeSession> };
};
type OnnxruntimeSession = { run(feeds: object): Promise<object>; release(): Promise<void> };

const onnxruntimeTypes: Readonly<Partial<Record<DType, string>>> = {
  f32: "float32",
  f64: "float64",
  f16: "float16",
  i64: "int64",
  i32: "int32",
  i16: "int16",
  i8: "int8",
  u64: "uint64",
  u32: "uint32",
  u16: "uint16",
  u8: "uint8",
  bool: "bool",
};

/** On one thread: wasm with SIMD, as Ingot's artifacts run, or native code. */
async function openOnnxruntime(folder: string, source: Source, provider: "wasm" | "cpu"): Promise<PeerSession> {
  const require = createRequire(join(folder, "package.json"));
  const { name, version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Record<string, string>;
  const module = (await import(pathToFileURL(require.resolve(name!)).href)) as
    | Onnxruntime
    | { readonly default: Onnxruntime };
  const ort = "default" in module ? module.default : module;
  if (provider === "wasm") ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  const session = await ort.InferenceSession.create(source.bytes, {
    executionProviders: [provider],
    graphOptimizationLevel: "all",
    logSeverityLevel: 3,
    ...(provider === "cpu" ? { intraOpNumThreads: 1, interOpNumThreads: 1 } : {}),
  });
  return {
    version: version!,
    feed: (inputs) =>
      Object.fromEntries(
        Object.entries(inputs).map(([input, { dtype, dims, bytes }]) => {
          const type = onnxruntimeTypes[dtype];
          if (type === undefined) throw new UnavailableError(`${name} takes no ${dtype} in JavaScript`);
          return [input, new ort.Tensor(type, typedView(dtype, bytes), dims)];
        }),
      ),
    run: (feeds) => session.run(feeds as object),
    close: () => session.release(),
  };
}
