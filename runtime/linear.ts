// The loader of models in linear memory: WebAssembly modules and their JavaScript twins. Pasted into every artifact, so small.
// It imports nothing, evaluates no text as code, and finds its files by URL.
import type { Manifest, PortInfo } from "./manifest.ts";

/** What a module exports. plan and run are described in targets/wasm/program.ts; the table holds [address, dims...] per port. */
export type LinearModule = {
  readonly memory: { readonly buffer: ArrayBufferLike; grow(pages: number): number };
  readonly table: number;
  readonly weights: number;
  plan(...symbols: number[]): number;
  init?(): number;
  run(seed: number): number;
};
export type Source = BufferSource | URL | string | Response | Promise<Response>;
export type LoadOptions = { readonly wasm?: Source | WebAssembly.Module; readonly weights?: Source };
/** Where an artifact has its parts. */
export type Parts = {
  readonly wasm?: () => URL;
  readonly weights?: () => URL;
  readonly js?: () => LinearModule;
  /** The weights as base64. */
  readonly text?: string;
};
export type TypedArray =
  | Float32Array | Float64Array | Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array
  | BigInt64Array | BigUint64Array;
export type Value = { readonly data: TypedArray; readonly dims: readonly number[]; readonly type: string };
type Given = ArrayLike<number | bigint | boolean> | { readonly data: ArrayLike<number | bigint | boolean>; readonly dims?: readonly number[] };
/** out: arrays that receive outputs; view: outputs are views of the model's memory, good until the next run. */
export type RunOptions = { readonly out?: Readonly<Record<string, TypedArray>>; readonly seed?: number; readonly view?: boolean };
export type Model = {
  readonly inputs: readonly PortInfo[];
  readonly outputs: readonly PortInfo[];
  run(inputs: Readonly<Record<string, Given>>, options?: RunOptions): Promise<Record<string, Value>>;
  runSync(inputs: Readonly<Record<string, Given>>, options?: RunOptions): Record<string, Value>;
  dispose(): void;
};
type ArrayClass = { new (n: number): TypedArray; new (b: ArrayBufferLike, at: number, n: number): TypedArray; readonly BYTES_PER_ELEMENT: number; readonly name: string };

const classes: Record<string, ArrayClass> = {
  float: Float32Array, double: Float64Array, int64: BigInt64Array, uint64: BigUint64Array, int32: Int32Array, uint32: Uint32Array,
  int16: Int16Array, uint16: Uint16Array, float16: Uint16Array, bfloat16: Uint16Array, int8: Int8Array, int4: Int8Array, int2: Int8Array,
};
/** The array of an element type. 16-bit floats are bit patterns; what has no entry is a byte per element. */
const classOf = (type: string): ArrayClass => classes[type] ?? Uint8Array;
const tagOf = (x: unknown): string => Object.prototype.toString.call(x).slice(8, -1);
const textOf = (dims: readonly (number | string)[]): string => `[${dims.join(", ")}]`;
const product = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);
function fail(message: string): never {
  throw new Error(message);
}

// ---- files ------------------------------------------------------------------------------------------------------------
const isUrl = (x: unknown): x is URL | string => typeof x === "string" || tagOf(x) === "URL";
const bytesOf = (x: BufferSource): Uint8Array =>
  ArrayBuffer.isView(x) ? new Uint8Array(x.buffer, x.byteOffset, x.byteLength) : tagOf(x).endsWith("ArrayBuffer") ? new Uint8Array(x) : fail("expected bytes, a URL or a Response");
async function fetched(url: URL | string): Promise<Response> {
  const r = await fetch(url);
  return r.ok ? r : fail(`cannot load ${url}: status ${r.status}`);
}
/** A file: URL is for node: browsers do not fetch it either. */
const fileUrl = (x: URL | string): URL | null => (/^file:/.test(String(x)) ? new URL(x) : null);
/** The catch tells bundlers that the module may be missing. */
const fileSystem = (): Promise<typeof import("node:fs/promises")> => import("node:fs/promises").catch(() => fail("file: URLs need node"));

async function compile(source: Source | WebAssembly.Module): Promise<WebAssembly.Module> {
  let x = await source;
  if (tagOf(x) === "WebAssembly.Module") return x as WebAssembly.Module;
  if (isUrl(x)) {
    const file = fileUrl(x);
    x = file ? await (await fileSystem()).readFile(file) : await fetched(x);
  }
  if (tagOf(x) !== "Response") return WebAssembly.compile(bytesOf(x as BufferSource) as BufferSource);
  const r = x as Response;
  return /^application\/wasm/.test(r.headers.get("content-type") ?? "") ? WebAssembly.compileStreaming(r) : WebAssembly.compile(await r.arrayBuffer());
}

/** Reads the weights straight into memory. */
async function fill(to: Uint8Array, source: Source): Promise<void> {
  const n = to.length;
  let at = 0;
  const wrong = (): never => fail(`the weights have ${at} bytes or more, expected ${n}`);
  let x = await source;
  const file = isUrl(x) ? fileUrl(x) : null;
  if (file) {
    const handle = await (await fileSystem()).open(file);
    try {
      if ((at = (await handle.stat()).size) !== n) wrong();
      for (at = 0; at < n; ) {
        const { bytesRead } = await handle.read(to, at, Math.min(n - at, 2 ** 30), at);
        if (bytesRead === 0) wrong();
        at += bytesRead;
      }
    } finally {
      await handle.close();
    }
    return;
  }
  if (isUrl(x)) x = await fetched(x);
  if (tagOf(x) === "Response") {
    const reader = (x as Response).body!.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (at + value.length > n) wrong();
      to.set(value, at);
      at += value.length;
    }
  } else {
    const bytes = bytesOf(x as BufferSource);
    at = bytes.length;
    if (at <= n) to.set(bytes);
  }
  if (at !== n) wrong();
}

// ---- inputs -------------------------------------------------------------------------------------------------------------
type Bound = { readonly port: PortInfo; readonly data: TypedArray; readonly dims: readonly number[] | undefined };

/** The caller's value as a typed array of the port's class. */
function arrayOf(port: PortInfo, x: unknown, where: string): TypedArray {
  const C = classOf(port.type);
  const tag = tagOf(x);
  if (tag === C.name || (C === Uint8Array && tag === "Uint8ClampedArray")) return x as TypedArray;
  if (tag === "Float16Array" && port.type === "float16") {
    const v = x as Uint16Array;
    return new Uint16Array(v.buffer, v.byteOffset, v.length);
  }
  if (!Array.isArray(x)) fail(`${where}: expected ${C.name} (${port.type}) or an array of numbers, got ${x === null ? "null" : typeof x === "object" ? tag : typeof x}`);
  const data = new C(x.length);
  for (let i = 0; i < x.length; i++) {
    const e = x[i];
    if (!/^(number|bigint|boolean)$/.test(typeof e)) fail(`${where}: element ${i} is no number`);
    try {
      data[i] = (/^Big/.test(C.name) ? BigInt(e) : Number(e)) as never;
    } catch {}
    if (!/^F/.test(C.name) && Number(data[i]) !== Number(e)) fail(`${where}: element ${i} is ${e}, which is no ${port.type}`);
  }
  return data;
}

function bind(port: PortInfo, given: unknown, where: string): Bound {
  const boxed = given !== null && typeof given === "object" && !ArrayBuffer.isView(given) && !Array.isArray(given) && "data" in given;
  const { data, dims } = (boxed ? given : { data: given }) as { data: unknown; dims?: readonly number[] };
  const array = arrayOf(port, data, where);
  if (dims !== undefined && (!Array.isArray(dims) || dims.some((d) => !Number.isInteger(d) || d < 0))) fail(`${where}: dims must be integers, got ${dims}`);
  return { port, data: array, dims };
}

/** The symbols' values, from dims where the caller gives them, else from lengths where only one value fits. */
function symbolsOf(manifest: Manifest, inputs: readonly Bound[]): number[] {
  const values = new Map<string, number>();
  const names = new Set(manifest.symbols.map((s) => s.name));
  for (const { port, data, dims } of inputs) {
    if (!dims) continue;
    const where = `input "${port.name}"`;
    if (dims.length !== port.dims.length || port.dims.some((d, i) => typeof d === "number" && d !== dims[i])) fail(`${where}: expected dims ${textOf(port.dims)}, got ${textOf(dims)}`);
    if (product(dims) !== data.length) fail(`${where}: ${data.length} elements do not fill dims ${textOf(dims)}`);
    port.dims.forEach((d, i) => {
      if (typeof d !== "string" || !names.has(d)) return;
      const old = values.get(d);
      if (old !== undefined && old !== dims[i]) fail(`${where}: dim ${i} (${d}) is ${dims[i]}, but ${d} is ${old} in another input`);
      values.set(d, dims[i]!);
    });
  }
  // Each round may find a symbol that the next one needs.
  for (let more = true; more; ) {
    more = false;
    for (const { port, data, dims } of inputs) {
      if (dims) continue;
      const known = port.dims.map((d) => (typeof d === "number" ? d : (values.get(d) ?? d)));
      const open = known.filter((d) => typeof d === "string");
      const n = data.length / product(known.filter((d) => typeof d === "number"));
      if (open.length !== 1 || !names.has(open[0]!)) continue;
      if (!Number.isInteger(n)) fail(`input "${port.name}": ${data.length} elements do not fill dims ${textOf(known)}`);
      values.set(open[0]!, n);
      more = true;
    }
  }
  return manifest.symbols.map(({ name, input, axis, min, max }) => {
    const port = manifest.inputs[input]!;
    const n = values.get(name) ?? fail(`input "${port.name}": give {data, dims}: dims ${textOf(port.dims)} do not follow from the length`);
    if (n < min || n > (max ?? 2 ** 31 - 1)) fail(`input "${port.name}": dim ${axis} (${name}) is ${n}, expected ${max === null ? `${min} or more` : `${min} to ${max}`}`);
    return n;
  });
}

function checkNames(what: string, given: object, ports: readonly PortInfo[]): void {
  const names = ports.map((p) => p.name);
  for (const name of Object.keys(given)) if (!names.includes(name)) fail(`unknown ${what} "${name}": expected ${names.map((x) => `"${x}"`).join(", ")}`);
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
      await fill(to, options.weights ?? (parts.text === undefined ? parts.weights!() : Uint8Array.from(atob(parts.text), (c) => c.charCodeAt(0))));
    }
    return modelOf(manifest, module);
  };
}

function modelOf(manifest: Manifest, loaded: LinearModule): Model {
  const { inputs, outputs } = manifest;
  let module: LinearModule | null = loaded;
  let planned: string | null = null;
  let ready = !loaded.init;
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
    const need = end - m.memory.buffer.byteLength;
    try {
      if (end === 0) fail("over 4 GiB");
      if (need > 0 && m.memory.grow(Math.ceil(need / 65536)) < 0) fail("refused");
    } catch (e) {
      fail(`no memory for ${manifest.symbols.map((s, i) => `${s.name} = ${symbols[i]}`).join(", ") || "the model"}: ${(e as Error).message}`);
    }
    planned = key;
  };

  const runSync: Model["runSync"] = (given, options = {}) => {
    const m = module ?? fail(`model "${manifest.name}" is disposed`);
    if (given === null || typeof given !== "object") fail("expected an object of inputs by name");
    checkNames("input", given, inputs);
    const bound = inputs.map((port) => {
      const where = `input "${port.name}"`;
      return bind(port, given[port.name] ?? fail(`${where} is missing: expected ${port.type} ${textOf(port.dims)}`), where);
    });
    const out = options.out ?? {};
    checkNames("output", out, outputs);
    for (const port of outputs) {
      const C = classOf(port.type);
      const x = out[port.name];
      if (x !== undefined && tagOf(x) !== C.name) fail(`out "${port.name}": expected ${C.name} (${port.type}), got ${tagOf(x)}`);
    }
    plan(m, symbolsOf(manifest, bound));
    const before = rows(m);
    bound.forEach(({ port, data, dims }, i) => {
      const want = before[i]!.dims;
      const wrong = dims ? dims.some((d, a) => d !== want[a]) : data.length !== product(want);
      if (wrong) fail(`input "${port.name}": expected dims ${textOf(want)}${String(want) === String(port.dims) ? "" : ` (${textOf(port.dims)})`}, got ${dims ? textOf(dims) : `${data.length} elements`}`);
    });
    const room = (port: PortInfo, dims: readonly number[]): void => {
      const x = out[port.name];
      if (x && x.length < product(dims)) fail(`out "${port.name}": expected room for ${product(dims)} elements ${textOf(dims)}, got ${x.length}`);
    };
    outputs.forEach((port, i) => { if (!port.late) room(port, before[inputs.length + i]!.dims); });
    if (!ready && m.init!() !== 0) fail("the model's init failed: out of memory");
    ready = true;
    bound.forEach(({ data }, i) => {
      new Uint8Array(m.memory.buffer, before[i]!.at, data.byteLength).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    });
    const status = m.run((options.seed ?? 0) | 0);
    if (status !== 0) fail(status === 1 ? "a dim that depends on the data is out of its range" : "the run is out of memory");
    const after = rows(m);
    return Object.fromEntries(outputs.map((port, i) => {
      const { at, dims } = after[inputs.length + i]!;
      const C = classOf(port.type);
      const view = new C(m.memory.buffer, at, product(dims));
      room(port, dims);
      const to = out[port.name];
      to?.set(view as never);
      const data = to ? (to.length === view.length ? to : to.subarray(0, view.length)) : options.view ? view : view.slice();
      return [port.name, { data, dims, type: port.type }];
    }));
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
