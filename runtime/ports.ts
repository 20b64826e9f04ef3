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

const classes: Record<string, ArrayClass> = {
  float: Float32Array,
  double: Float64Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int16: Int16Array,
  uint16: Uint16Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  int8: Int8Array,
  int4: Int8Array,
  int2: Int8Array,
};
/** The array of an element type. 16-bit floats are bit patterns; what has no entry is a byte per element. */
export const classOf = (type: string): ArrayClass => classes[type] ?? Uint8Array;
export const tagOf = (x: unknown): string => Object.prototype.toString.call(x).slice(8, -1);
export const textOf = (dims: readonly (number | string)[]): string => `[${dims.join(", ")}]`;
export const product = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);
export function fail(message: string): never {
  throw new Error(message);
}

// ---- files ------------------------------------------------------------------------------------------------------------
export const isUrl = (x: unknown): x is URL | string => typeof x === "string" || tagOf(x) === "URL";
export const bytesOf = (x: BufferSource): Uint8Array =>
  ArrayBuffer.isView(x)
    ? new Uint8Array(x.buffer, x.byteOffset, x.byteLength)
    : tagOf(x).endsWith("ArrayBuffer")
      ? new Uint8Array(x)
      : fail("expected bytes, a URL or a Response");
export async function fetched(url: URL | string): Promise<Response> {
  const r = await fetch(url);
  return r.ok ? r : fail(`cannot load ${url}: status ${r.status}`);
}
/** A file: URL is for node: browsers do not fetch it either. */
export const fileUrl = (x: URL | string): URL | null => (/^file:/.test(String(x)) ? new URL(x) : null);
/** The catch tells bundlers that the module may be missing. */
export const fileSystem = (): Promise<typeof import("node:fs/promises")> =>
  import("node:fs/promises").catch(() => fail("file: URLs need node"));

/** A whole file. */
export async function read(source: Source): Promise<Uint8Array> {
  const x = await source;
  const file = isUrl(x) ? fileUrl(x) : null;
  if (file) return (await fileSystem()).readFile(file);
  const r = isUrl(x) ? await fetched(x) : x;
  return tagOf(r) === "Response" ? new Uint8Array(await (r as Response).arrayBuffer()) : bytesOf(r as BufferSource);
}

/** Reads the weights straight into memory. */
export async function fill(to: Uint8Array, source: Source): Promise<void> {
  const n = to.length;
  let at = 0;
  const wrong = (): never => fail(`the weights have ${at} bytes or more, expected ${n}`);
  let x = await source;
  const file = isUrl(x) ? fileUrl(x) : null;
  if (file) {
    const handle = await (await fileSystem()).open(file);
    try {
      at = (await handle.stat()).size;
      if (at !== n) wrong();
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
export type Bound = {
  readonly port: PortInfo;
  readonly data: TypedArray;
  readonly dims: readonly number[] | undefined;
};

/** The caller's value as a typed array of the port's class. */
function arrayOf(port: PortInfo, x: unknown, where: string): TypedArray {
  const C = classOf(port.type);
  const tag = tagOf(x);
  if (tag === C.name || (C === Uint8Array && tag === "Uint8ClampedArray")) return x as TypedArray;
  if (tag === "Float16Array" && port.type === "float16") {
    const v = x as Uint16Array;
    return new Uint16Array(v.buffer, v.byteOffset, v.length);
  }
  if (!Array.isArray(x))
    fail(
      `${where}: expected ${C.name} (${port.type}) or an array of numbers, got ${x === null ? "null" : typeof x === "object" ? tag : typeof x}`,
    );
  const data = new C(x.length);
  for (let i = 0; i < x.length; i++) {
    const e = x[i];
    if (!/^(number|bigint|boolean)$/.test(typeof e)) fail(`${where}: element ${i} is no number`);
    try {
      data[i] = (/^Big/.test(C.name) ? BigInt(e) : Number(e)) as never;
    } catch {}
    if (!/^F/.test(C.name) && Number(data[i]) !== Number(e))
      fail(`${where}: element ${i} is ${e}, which is no ${port.type}`);
  }
  return data;
}

export function bind(port: PortInfo, given: unknown, where: string): Bound {
  const boxed =
    given !== null &&
    typeof given === "object" &&
    !ArrayBuffer.isView(given) &&
    !Array.isArray(given) &&
    "data" in given;
  const { data, dims } = (boxed ? given : { data: given }) as { data: unknown; dims?: readonly number[] };
  const array = arrayOf(port, data, where);
  if (dims !== undefined && (!Array.isArray(dims) || dims.some((d) => !Number.isInteger(d) || d < 0)))
    fail(`${where}: dims must be integers, got ${dims}`);
  return { port, data: array, dims };
}

/** The symbols' values, from dims where the caller gives them, else from lengths where only one value fits. */
export function symbolsOf(manifest: Manifest, inputs: readonly Bound[]): number[] {
  const values = new Map<string, number>();
  const names = new Set(manifest.symbols.map((s) => s.name));
  for (const { port, data, dims } of inputs) {
    if (!dims) continue;
    const where = `input "${port.name}"`;
    if (dims.length !== port.dims.length || port.dims.some((d, i) => typeof d === "number" && d !== dims[i]))
      fail(`${where}: expected dims ${textOf(port.dims)}, got ${textOf(dims)}`);
    if (product(dims) !== data.length) fail(`${where}: ${data.length} elements do not fill dims ${textOf(dims)}`);
    port.dims.forEach((d, i) => {
      if (typeof d !== "string" || !names.has(d)) return;
      const old = values.get(d);
      if (old !== undefined && old !== dims[i])
        fail(`${where}: dim ${i} (${d}) is ${dims[i]}, but ${d} is ${old} in another input`);
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
    const n =
      values.get(name) ??
      fail(`input "${port.name}": give {data, dims}: dims ${textOf(port.dims)} do not follow from the length`);
    if (n < min || n > (max ?? 2 ** 31 - 1))
      fail(
        `input "${port.name}": dim ${axis} (${name}) is ${n}, expected ${max === null ? `${min} or more` : `${min} to ${max}`}`,
      );
    return n;
  });
}

export function checkNames(what: string, given: object, ports: readonly PortInfo[]): void {
  const names = ports.map((p) => p.name);
  for (const name of Object.keys(given))
    if (!names.includes(name)) fail(`unknown ${what} "${name}": expected ${names.map((x) => `"${x}"`).join(", ")}`);
}

/** The caller's inputs in the order of the ports. */
export function bindInputs({ inputs }: Manifest, given: unknown): Bound[] {
  if (given === null || typeof given !== "object") fail("expected an object of inputs by name");
  checkNames("input", given, inputs);
  return inputs.map((port) => {
    const where = `input "${port.name}"`;
    const x = (given as Record<string, unknown>)[port.name];
    return bind(port, x ?? fail(`${where} is missing: expected ${port.type} ${textOf(port.dims)}`), where);
  });
}
/** Checks an input against the dims that the symbols give. */
export function checkDims({ port, data, dims }: Bound, want: readonly number[]): void {
  const wrong = dims ? dims.some((d, a) => d !== want[a]) : data.length !== product(want);
  if (!wrong) return;
  const names = String(want) === String(port.dims) ? "" : ` (${textOf(port.dims)})`;
  fail(
    `input "${port.name}": expected dims ${textOf(want)}${names}, got ${dims ? textOf(dims) : `${data.length} elements`}`,
  );
}
export type Out = Readonly<Record<string, TypedArray>>;
/** Checks the arrays that the caller gives for outputs, except for their lengths. */
export function checkOut({ outputs }: Manifest, out: Out): void {
  checkNames("output", out, outputs);
  for (const port of outputs) {
    const C = classOf(port.type);
    const x = out[port.name];
    if (x !== undefined && tagOf(x) !== C.name)
      fail(`out "${port.name}": expected ${C.name} (${port.type}), got ${tagOf(x)}`);
  }
}
export function checkRoom(port: PortInfo, dims: readonly number[], out: Out): void {
  const x = out[port.name];
  if (x && x.length < product(dims))
    fail(`out "${port.name}": expected room for ${product(dims)} elements ${textOf(dims)}, got ${x.length}`);
}
