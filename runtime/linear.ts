// The loader of models in linear memory: WebAssembly modules and their JavaScript twins. Pasted into every artifact, so small.
// It evaluates no text as code, and finds its files by URL.
import type { Manifest, PortInfo } from "./manifest.ts";
import type { Given, Out, Source, Value } from "./ports.ts";
import {
  bindInputs,
  bytesOf,
  checkDims,
  checkOut,
  checkRoom,
  classOf,
  fail,
  fill,
  isResponse,
  product,
  read,
  symbolsOf,
  tagOf,
} from "./ports.ts";

/** What a module exports. plan and run are described in targets/wasm/program.ts; the table holds [address, dims...] per port. */
export type LinearModule = {
  readonly memory: { readonly buffer: ArrayBufferLike; grow(pages: number): number };
  readonly table: number;
  readonly weights: number;
  plan(...symbols: number[]): number;
  init?(): number;
  run(seed: number): number;
};
export type LoadOptions = { readonly wasm?: Source | WebAssembly.Module; readonly weights?: Source };
/** Where an artifact has its parts. */
export type Parts = {
  readonly wasm?: () => URL;
  readonly weights?: () => URL;
  readonly js?: () => LinearModule;
  /** The weights as base64. */
  readonly text?: string;
};
/** out: arrays that receive outputs; view: outputs are views of the model's memory, good until the next run. */
export type RunOptions = { readonly out?: Out; readonly seed?: number; readonly view?: boolean };
export type Model = {
  readonly inputs: readonly PortInfo[];
  readonly outputs: readonly PortInfo[];
  run(inputs: Readonly<Record<string, Given>>, options?: RunOptions): Promise<Record<string, Value>>;
  runSync(inputs: Readonly<Record<string, Given>>, options?: RunOptions): Record<string, Value>;
  dispose(): void;
};

async function compile(source: Source | WebAssembly.Module): Promise<WebAssembly.Module> {
  const module = await source;
  if (tagOf(module) === "WebAssembly.Module") return module as WebAssembly.Module;
  const x = await read(module as Source);
  return isResponse(x) && /^application\/wasm/.test(x.headers.get("content-type") ?? "")
    ? WebAssembly.compileStreaming(x)
    : WebAssembly.compile(isResponse(x) ? await x.arrayBuffer() : (x as BufferSource));
}

// ---- models ---------------------------------------------------------------------------------------------------------------
/** The `load` function of an artifact. */
export function link(manifest: Manifest, parts: Parts): (options?: LoadOptions) => Promise<Model> {
  return async (options = {}) => {
    let module: LinearModule;
    if (parts.js) module = parts.js();
    else {
      const { exports } = await WebAssembly.instantiate(await compile(options.wasm ?? parts.wasm!()));
      const { table, weights } = exports as Record<string, WebAssembly.Global>;
      module = { ...(exports as unknown as LinearModule), table: table!.value >>> 0, weights: weights!.value >>> 0 };
    }
    if (manifest.weights !== "module" && manifest.sizes.weights > 0) {
      const to = new Uint8Array(module.memory.buffer, module.weights, manifest.sizes.weights);
      await fill(
        to,
        options.weights ??
          (parts.text === undefined ? parts.weights!() : Uint8Array.from(atob(parts.text), (c) => c.charCodeAt(0))),
      );
    }
    if (module.init && module.init() !== 0) fail("init is out of memory", "E303");
    return modelOf(manifest, module);
  };
}

function modelOf(manifest: Manifest, loaded: LinearModule): Model {
  const { inputs, outputs } = manifest;
  let module: LinearModule | null = loaded;
  let planned: string | null = null;
  /** [address, dims] of every port, from the table. */
  const rows = (m: LinearModule): { at: number; dims: number[] }[] => {
    const words = new Uint32Array(m.memory.buffer);
    let i = m.table / 4;
    return [...inputs, ...outputs].map((p) => {
      const at = words[i++]!;
      return { at, dims: p.dims.map(() => words[i++]!) };
    });
  };
  const plan = (m: LinearModule, symbols: readonly number[]): void => {
    const key = symbols.join();
    if (planned === key) return;
    planned = null;
    const end = m.plan(...symbols) >>> 0;
    const dims = `dims ${manifest.symbols.map((s, i) => `${s.name} = ${symbols[i]}`)}`;
    const why = manifest.requires?.[~end];
    if (why) fail(`${dims}: ${why}`);
    const need = end - m.memory.buffer.byteLength;
    try {
      if (end === 0 || (need > 0 && m.memory.grow(Math.ceil(need / 65536)) < 0)) fail("");
    } catch {
      fail(`no memory for ${dims}: ${end || "over 2^32"} bytes`, "E303");
    }
    planned = key;
  };

  const runSync: Model["runSync"] = (given, options = {}) => {
    const m = module ?? fail(`model "${manifest.name}" is disposed`);
    const bound = bindInputs(manifest, given);
    const out = options.out ?? {};
    checkOut(manifest, out);
    plan(m, symbolsOf(manifest, bound));
    const before = rows(m);
    bound.forEach((b, i) => {
      checkDims(b, before[i]!.dims);
    });
    outputs.forEach((port, i) => {
      if (!port.late) checkRoom(port, before[inputs.length + i]!.dims, out);
    });
    bound.forEach(({ data }, i) => {
      new Uint8Array(m.memory.buffer).set(bytesOf(data), before[i]!.at);
    });
    const status = m.run((options.seed ?? 0) | 0);
    if (status === 1) fail("a dim that depends on the data is out of its range");
    if (status) fail("the run is out of memory", "E303");
    const after = rows(m);
    return Object.fromEntries(
      outputs.map((port, i) => {
        const { at, dims } = after[inputs.length + i]!;
        const C = classOf(port.type);
        const view = new C(m.memory.buffer, at, product(dims));
        checkRoom(port, dims, out);
        const to = out[port.name];
        to?.set(view as never);
        const data = to
          ? to.length === view.length
            ? to
            : to.subarray(0, view.length)
          : options.view
            ? view
            : view.slice();
        return [port.name, { data, dims, type: port.type }];
      }),
    );
  };
  return {
    inputs,
    outputs,
    runSync,
    run: async (given, options) => runSync(given, options),
    dispose: () => {
      module = null;
    },
  };
}
