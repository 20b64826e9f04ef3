// What every loader does apart from running: finding its files, checking inputs, binding the symbols of their shapes.
import type { Manifest, PortInfo } from "./manifest.ts";

export type Source = BufferSource | URL | string | Response | Promise<Response>;
export type TypedArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;
export type Value = { readonly data: TypedArray; readonly dims: readonly number[]; readonly type: string };
export type Given =
  | ArrayLike<number | bigint | boolean>
  | { readonly data: ArrayLike<number | bigint | boolean>; readonly dims?: readonly number[] };
export type ArrayClass = {
  new (n: number): TypedArray;
  new (b: ArrayBufferLike, at: number, n: number): TypedArray;
  readonly BYTES_PER_ELEMENT: number;
  readonly name: string;
};

const u16 = Uint16Array;
const i8 = Int8Array;
const classes: Record<string, ArrayClass> = {
  float: Float32Array,
  double: Float64Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int16: Int16Array,
  uint16: u16,
  float16: u16,
  bfloat16: u16,
  int8: i8,
  int4: i8,
  int2: i8,
};
/** The array of an element type. 16-bit floats are bit patterns; what has no entry is a byte per element. */
export const classOf = (type: string): ArrayClass => classes[type] ?? Uint8Array;
export const tagOf = (x: unknown): string => Object.prototype.toString.call(x).slice(8, -1);
export const textOf = (dims: readonly (number | string)[]): string => `[${dims.join(", ")}]`;
export const product = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);
/** code: E303 where memory does not suffice, else E402, what is given does not fit: as the command line says it. */
export function fail(message: string, code = "E402"): never {
  throw Object.assign(new Error(message), { code });
}

// ---- files ------------------------------------------------------------------------------------------------------------
/** The catch tells bundlers that the module may be missing. */
const files = (): Promise<typeof import("node:fs/promises")> =>
  import("node:fs/promises").catch(() => fail("file: URLs need node"));

/** Follows a source to a file: URL (which only node can read), a Response, or whatever the caller gave. */
async function follow<T>(source: T | Promise<T>): Promise<T | Response | URL> {
  const x = await source;
  if (typeof x !== "string" && tagOf(x) !== "URL") return x;
  const url = String(x);
  if (/^file:/.test(url)) return new URL(url);
  const r = await fetch(url);
  return r.ok ? r : fail(`cannot load ${url}: status ${r.status}`);
}
export const bytesOf = (v: ArrayBufferView): Uint8Array => new Uint8Array(v.buffer, v.byteOffset, v.byteLength);
export const isResponse = (x: unknown): x is Response => tagOf(x) === "Response";
/** A Response as it is, anything else as bytes. */
export async function read(source: Source): Promise<Response | Uint8Array> {
  const x = await follow(source);
  if (isResponse(x)) return x;
  const tag = tagOf(x);
  if (tag === "URL") return (await files()).readFile(x as URL);
  if (ArrayBuffer.isView(x)) return bytesOf(x);
  return /ArrayBuffer$/.test(tag)
    ? new Uint8Array(x as ArrayBuffer)
    : fail(`expected bytes, a URL or a Response, got ${tag}`);
}
/** A whole file. */
export async function readBytes(source: Source): Promise<Uint8Array> {
  const x = await read(source);
  return isResponse(x) ? new Uint8Array(await x.arrayBuffer()) : x;
}

/** Reads the weights straight into memory: no more than a part of a file stands beside it. */
export async function fill(to: Uint8Array, source: Source): Promise<void> {
  const n = to.length;
  let at = 0;
  const put = (part: Uint8Array): void => {
    if (at + part.length <= n) to.set(part, at);
    at += part.length;
  };
  const x = await follow(source);
  if (tagOf(x) === "URL") {
    const file = await (await files()).open(x as URL);
    for await (const part of file.createReadStream({ highWaterMark: 2 ** 20 })) put(part);
  } else {
    const bytes = await read(x as Source);
    if (isResponse(bytes)) {
      const reader = bytes.body!.getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) put(part.value);
    } else put(bytes);
  }
  if (at !== n) fail(`the weights have ${at} bytes, expected ${n}`);
}

// ---- inputs -------------------------------------------------------------------------------------------------------------
export type Bound = {
  readonly port: PortInfo;
  readonly data: TypedArray;
  readonly dims: readonly number[] | undefined;
};

const failAt = ({ name }: PortInfo, message: string): never => fail(`input "${name}": ${message}`);

/** The caller's value as a typed array of the port's class. */
export function arrayOf(port: PortInfo, x: unknown): TypedArray {
  const { type } = port;
  const C = classOf(type);
  const tag = tagOf(x);
  if (tag === C.name || tag + type === "Uint8ClampedArrayuint8") return x as TypedArray;
  if (tag + type === "Float16Arrayfloat16") {
    const v = x as Uint16Array;
    return new u16(v.buffer, v.byteOffset, v.length);
  }
  if (!Array.isArray(x)) failAt(port, `expected ${C.name} (${type}) or an array of numbers, got ${tag}`);
  const list = x as unknown[];
  const data = new C(list.length);
  list.forEach((e, i) => {
    try {
      data[i] = (/64$/.test(type) ? BigInt(e as number) : Number(e)) as never;
    } catch {}
    if (!/^(Num|Big|Boo)/.test(tagOf(e)) || (!/^F/.test(C.name) && Number(data[i]) !== Number(e)))
      failAt(port, `element ${i} is ${e}, which is no ${type}`);
  });
  return data;
}

function bind(port: PortInfo, given: unknown): Bound {
  if (given === undefined) fail(`input "${port.name}" is missing: expected ${port.type} ${textOf(port.dims)}`);
  const boxed = tagOf(given) === "Object" && "data" in (given as object);
  const { data, dims } = (boxed ? given : { data: given }) as { data: unknown; dims?: readonly number[] };
  const array = arrayOf(port, data);
  if (dims && (!Array.isArray(dims) || dims.some((d) => !Number.isInteger(d) || d < 0)))
    failAt(port, `dims must be integers, got ${dims}`);
  return { port, data: array, dims };
}

/** The symbols' values, from dims where the caller gives them, else from lengths where only one value fits. */
export function symbolsOf(manifest: Manifest, inputs: readonly Bound[]): number[] {
  const values = new Map<string, number>();
  const names = new Set<unknown>(manifest.symbols.map((s) => s.name));
  for (const { port, data, dims } of inputs) {
    if (!dims) continue;
    if (dims.length !== port.dims.length || port.dims.some((d, i) => typeof d === "number" && d !== dims[i]))
      failAt(port, `expected dims ${textOf(port.dims)}, got ${textOf(dims)}`);
    if (product(dims) !== data.length) failAt(port, `${data.length} elements do not fill dims ${textOf(dims)}`);
    port.dims.forEach((d, i) => {
      if (!names.has(d)) return;
      const old = values.get(d as string) ?? dims[i]!;
      if (old !== dims[i]) failAt(port, `dim ${i} (${d}) is ${dims[i]}, but ${d} is ${old} elsewhere`);
      values.set(d as string, old);
    });
  }
  // Each round may find a symbol that the next one needs.
  for (let more = true; more; ) {
    more = false;
    for (const { port, data, dims } of inputs) {
      if (dims) continue;
      const known = port.dims.map((d) => values.get(d as string) ?? d);
      const open = known.filter((d) => typeof d === "string");
      if (open.length !== 1 || !names.has(open[0])) continue;
      const n = data.length / product(known.filter((d) => typeof d === "number"));
      if (!Number.isInteger(n)) failAt(port, `${data.length} elements do not fill dims ${textOf(known)}`);
      values.set(open[0]!, n);
      more = true;
    }
  }
  return manifest.symbols.map(({ name, input, axis, min, max }) => {
    const port = manifest.inputs[input]!;
    const n =
      values.get(name) ?? failAt(port, `dims ${textOf(port.dims)} do not follow from the length: give {data, dims}`);
    if (n < min || n > (max ?? 2 ** 31 - 1))
      failAt(port, `dim ${axis} (${name}) is ${n}, expected ${max === null ? `${min} or more` : `${min} to ${max}`}`);
    return n;
  });
}

function checkNames(what: string, given: object, ports: readonly PortInfo[]): void {
  const names = ports.map((p) => p.name);
  for (const name of Object.keys(given))
    if (!names.includes(name)) fail(`unknown ${what} "${name}": expected ${names.map((x) => `"${x}"`).join(", ")}`);
}

/** The caller's inputs in the order of the ports. */
export function bindInputs({ inputs }: Manifest, given: unknown): Bound[] {
  if (tagOf(given) !== "Object") fail("expected an object of inputs by name");
  checkNames("input", given as object, inputs);
  return inputs.map((port) => bind(port, (given as Record<string, unknown>)[port.name]));
}
/** Checks an input against the dims that the symbols give. */
export function checkDims({ port, data, dims }: Bound, want: readonly number[]): void {
  if (dims ? dims.every((d, a) => d === want[a]) : data.length === product(want)) return;
  failAt(port, `expected dims ${textOf(want)} (${port.dims}), got ${dims ? textOf(dims) : `${data.length} elements`}`);
}
export type Out = Readonly<Record<string, TypedArray>>;
/** Checks the arrays that the caller gives for outputs, except for their lengths. */
export function checkOut({ outputs }: Manifest, out: Out): void {
  checkNames("output", out, outputs);
  for (const { name, type } of outputs) {
    const want = classOf(type).name;
    const got = tagOf(out[name]);
    if (out[name] && got !== want) fail(`out "${name}": expected ${want} (${type}), got ${got}`);
  }
}
export function checkRoom({ name }: PortInfo, dims: readonly number[], out: Out): void {
  const n = out[name]?.length;
  if (n !== undefined && n < product(dims))
    fail(`out "${name}": expected room for ${product(dims)} elements ${textOf(dims)}, got ${n}`);
}
