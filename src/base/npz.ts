// Reads and writes NumPy's .npz files: zip archives of .npy arrays. Zip's layout: APPNOTE.TXT, sections 4.3 and 4.4; npy's:
// numpy.lib.format.
import { inflateSync } from "fflate";
import { concatBytes, crc32, fromUtf8, utf8 } from "./bytes.ts";
import { userError } from "./diagnostics.ts";

/** Element types that NumPy has, by Ingot's names (src/ir/types.ts). */
export type NpyType = "f64" | "f32" | "f16" | "i64" | "i32" | "i16" | "i8" | "u64" | "u32" | "u16" | "u8" | "bool";
/** Types that NumPy lacks: stored as their bit patterns in unsigned integers of the same size. */
export type NpyForeign =
  | "bf16"
  | "f8e4m3fn"
  | "f8e4m3fnuz"
  | "f8e5m2"
  | "f8e5m2fnuz"
  | "f8e8m0"
  | "f4e2m1"
  | "i4"
  | "i2"
  | "u4"
  | "u2";

/** bytes: little-endian, C order, at an offset that is a multiple of 8. */
export type NpyArray = { readonly dtype: NpyType; readonly dims: readonly number[]; readonly bytes: Uint8Array };
export type NpzEntry = NpyArray & { readonly name: string };

const descrOf: Readonly<Record<NpyType | NpyForeign, string>> = {
  f64: "<f8",
  f32: "<f4",
  f16: "<f2",
  i64: "<i8",
  i32: "<i4",
  i16: "<i2",
  i8: "|i1",
  u64: "<u8",
  u32: "<u4",
  u16: "<u2",
  u8: "|u1",
  bool: "|b1",
  bf16: "<u2",
  f8e4m3fn: "|u1",
  f8e4m3fnuz: "|u1",
  f8e5m2: "|u1",
  f8e5m2fnuz: "|u1",
  f8e8m0: "|u1",
  f4e2m1: "|u1",
  i4: "|u1",
  i2: "|u1",
  u4: "|u1",
  u2: "|u1",
};
const kinds: Readonly<Record<string, { readonly dtype: NpyType; readonly size: number }>> = {
  f8: { dtype: "f64", size: 8 },
  f4: { dtype: "f32", size: 4 },
  f2: { dtype: "f16", size: 2 },
  i8: { dtype: "i64", size: 8 },
  i4: { dtype: "i32", size: 4 },
  i2: { dtype: "i16", size: 2 },
  i1: { dtype: "i8", size: 1 },
  u8: { dtype: "u64", size: 8 },
  u4: { dtype: "u32", size: 4 },
  u2: { dtype: "u16", size: 2 },
  u1: { dtype: "u8", size: 1 },
  b1: { dtype: "bool", size: 1 },
  // What the package ml_dtypes stores bfloat16 and 8-bit floats as.
  V2: { dtype: "u16", size: 2 },
  V1: { dtype: "u8", size: 1 },
};

const magic = "\x93NUMPY";
const endOfDirectory = 0x06054b50;
const directoryEntry = 0x02014b50;
const localEntry = 0x04034b50;
/** No deflate stream expands by more than this (zlib's documentation), so a larger size is a lie. */
const maxExpansion = 1032;

function fail(message: string, hint?: string): never {
  throw userError("E403", message, { hint });
}

/**
 * The arrays of an npz file in the order of its directory, names without `.npy`. Members may be stored or deflated. Throws a
 * UserError E403 for a file that is damaged, or holds big-endian numbers, objects, text, complex numbers or records.
 */
export function readNpz(bytes: Uint8Array): NpzEntry[] {
  const entries: NpzEntry[] = [];
  const names = new Set<string>();
  for (const m of members(bytes)) {
    if (m.name.endsWith("/")) continue;
    if (!m.name.endsWith(".npy")) fail(`"${m.name}" is no .npy array`);
    const name = m.name.slice(0, -4);
    if (names.has(name)) fail(`"${name}" occurs twice`);
    names.add(name);
    entries.push({ name, ...readNpy(extract(bytes, m), name) });
  }
  return entries;
}

type Member = {
  readonly name: string;
  readonly method: number;
  readonly crc: number;
  readonly packed: number;
  readonly size: number;
  readonly at: number;
};

function members(bytes: Uint8Array): Member[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // The end record is 22 bytes and a comment of up to 64 KiB.
  let end = bytes.length - 22;
  const first = Math.max(0, end - 0xffff);
  while (end >= first && view.getUint32(end, true) !== endOfDirectory) end--;
  if (end < first) fail("this is no npz file (no zip directory found)");
  const count = view.getUint16(end + 10, true);
  let at = view.getUint32(end + 16, true);
  if (count === 0xffff || at === 0xffffffff) fail("zip64 archives are not supported", "store fewer or smaller arrays");
  const found: Member[] = [];
  let packedSum = 0;
  for (let k = 0; k < count; k++) {
    if (at + 46 > end || view.getUint32(at, true) !== directoryEntry) fail("the zip directory is damaged");
    const nameLength = view.getUint16(at + 28, true);
    const next = at + 46 + nameLength + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
    if (next > end) fail("the zip directory is damaged");
    const name = fromUtf8(bytes.subarray(at + 46, at + 46 + nameLength));
    const [packed, size, local] = [
      view.getUint32(at + 20, true),
      view.getUint32(at + 24, true),
      view.getUint32(at + 42, true),
    ];
    if (packed === 0xffffffff || size === 0xffffffff || local === 0xffffffff)
      fail(`"${name}": zip64 archives are not supported`);
    if (view.getUint16(at + 8, true) & 1) fail(`"${name}" is encrypted`);
    if (local + 30 > bytes.length || view.getUint32(local, true) !== localEntry)
      fail(`"${name}": the zip entry is damaged`);
    const data = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    packedSum += packed;
    // Entries that share bytes would let a small file unpack to any size.
    if (data + packed > bytes.length || packedSum > bytes.length) fail(`"${name}": the file is truncated`);
    found.push({
      name,
      method: view.getUint16(at + 10, true),
      crc: view.getUint32(at + 16, true),
      packed,
      size,
      at: data,
    });
    at = next;
  }
  return found;
}

function extract(bytes: Uint8Array, m: Member): Uint8Array {
  const packed = bytes.subarray(m.at, m.at + m.packed);
  let data: Uint8Array;
  if (m.method === 0) {
    if (m.packed !== m.size) fail(`"${m.name}": the zip entry is damaged`);
    data = packed;
  } else if (m.method === 8) {
    if (m.size > m.packed * maxExpansion + 64) fail(`"${m.name}": the zip entry is damaged`);
    try {
      data = inflateSync(packed, { out: new Uint8Array(m.size) });
    } catch (e) {
      fail(`"${m.name}": the zip entry is damaged (${(e as Error).message})`);
    }
  } else
    fail(
      `"${m.name}": compression method ${m.method} is not supported`,
      "np.savez and np.savez_compressed write what Ingot reads",
    );
  if (data.length !== m.size || crc32(data) !== m.crc) fail(`"${m.name}": the checksum is wrong`);
  return data;
}

/** One .npy file (format 1, 2 or 3). Throws a UserError E403 that names `what`. */
export function readNpy(bytes: Uint8Array, what = "array"): NpyArray {
  const bad = (why: string, hint?: string): never => fail(`"${what}": ${why}`, hint);
  if (bytes.length < 10 || [...magic].some((c, i) => bytes[i] !== c.charCodeAt(0))) bad("this is no npy array");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = bytes[6]!;
  if (version < 1 || version > 3) bad(`npy format ${version} is not supported`);
  const start = version === 1 ? 10 : 12;
  if (bytes.length < start) bad("the array is truncated");
  const data = start + (version === 1 ? view.getUint16(8, true) : view.getUint32(8, true));
  if (data > bytes.length) bad("the array is truncated");
  const header = parseHeader(fromUtf8(bytes.subarray(start, data)));
  if (!header) return bad("the array's header is damaged, or it is an array of records");
  const { descr, fortran, dims } = header;
  if (descr.startsWith(">"))
    bad(`big-endian numbers (${descr}) are not supported`, "convert with a.astype(a.dtype.newbyteorder('<'))");
  const type = kinds[descr.replace(/^[<|=]/, "")];
  if (!type) return bad(`arrays of type ${JSON.stringify(descr)} are not supported`, "numbers and bool are");
  const count = dims.reduce((a, b) => a * b, 1);
  if (bytes.length - data !== count * type.size)
    bad(`${bytes.length - data} bytes for shape (${dims.join(", ")}) of ${descr}`);
  // A copy at offset 0: slice of a Buffer would be a view.
  const raw = new Uint8Array(bytes.subarray(data));
  return { dtype: type.dtype, dims, bytes: fortran && dims.length > 1 ? fromFortran(raw, dims, type.size) : raw };
}

/** The header is a Python dict with these three keys in any order. */
function parseHeader(text: string): { descr: string; fortran: boolean; dims: number[] } | null {
  const descr = /'descr'\s*:\s*'([^']*)'/.exec(text)?.[1];
  const order = /'fortran_order'\s*:\s*(True|False)/.exec(text)?.[1];
  const shape = /'shape'\s*:\s*\(([\d\s,L]*)\)/.exec(text)?.[1];
  if (descr === undefined || order === undefined || shape === undefined) return null;
  const dims = shape
    .split(",")
    .map((s) => s.trim().replace(/L$/, ""))
    .filter((s) => s !== "")
    .map(Number);
  return dims.every((d) => Number.isSafeInteger(d)) ? { descr, fortran: order === "True", dims } : null;
}

/** From first-axis-fastest to last-axis-fastest. */
function fromFortran(raw: Uint8Array, dims: readonly number[], size: number): Uint8Array {
  const out = new Uint8Array(raw.length);
  const strides: number[] = [];
  let stride = size;
  for (const d of dims) {
    strides.push(stride);
    stride *= d;
  }
  const index = dims.map(() => 0);
  let from = 0;
  for (let to = 0; to < out.length; to += size) {
    for (let b = 0; b < size; b++) out[to + b] = raw[from + b]!;
    for (let a = dims.length - 1; a >= 0; a--) {
      from += strides[a]!;
      if (++index[a]! < dims[a]!) break;
      from -= strides[a]! * dims[a]!;
      index[a] = 0;
    }
  }
  return out;
}

/** What writeNpz takes: a Tensor of src/ir/types.ts with a name. */
export type NpzInput = {
  readonly name: string;
  readonly dtype: NpyType | NpyForeign;
  readonly dims: readonly number[];
  readonly bytes: Uint8Array;
};

/**
 * An npz file of arrays in the given order: stored, C order, the same bytes for the same arrays at any time. bfloat16 becomes u2;
 * 8-bit and narrower types that NumPy lacks become u1. Throws a UserError E502 where zip64 would be needed (4 GiB, 65535 arrays).
 */
export function writeNpz(entries: readonly NpzInput[]): Uint8Array {
  const parts: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let at = 0;
  for (const e of entries) {
    const name = utf8(`${e.name}.npy`);
    const header = npyHeader(e);
    const size = header.length + e.bytes.length;
    if (size >= 0xffffffff || at >= 0xffffffff || name.length > 0xffff)
      throw userError("E502", `"${e.name}" makes the npz file too large`);
    const crc = crc32(e.bytes, crc32(header));
    // Version 2.0, the UTF-8 flag, stored, midnight of 1 January 1980 (zip's zero), then crc, sizes and lengths.
    const common = (v: DataView, o: number): void => {
      v.setUint16(o, 20, true);
      v.setUint16(o + 2, 0x0800, true);
      v.setUint16(o + 8, 0x21, true);
      v.setUint32(o + 10, crc, true);
      v.setUint32(o + 14, size, true);
      v.setUint32(o + 18, size, true);
      v.setUint16(o + 22, name.length, true);
    };
    const local = record(30, (v) => {
      v.setUint32(0, localEntry, true);
      common(v, 4);
    });
    const offset = at;
    directory.push(
      record(46, (v) => {
        v.setUint32(0, directoryEntry, true);
        v.setUint16(4, 20, true);
        common(v, 6);
        v.setUint32(42, offset, true);
      }),
      name,
    );
    parts.push(local, name, header, e.bytes);
    at += local.length + name.length + size;
  }
  const directorySize = directory.reduce((n, p) => n + p.length, 0);
  if (entries.length >= 0xffff || at + directorySize >= 0xffffffff)
    throw userError("E502", "the npz file is too large");
  const end = record(22, (v) => {
    v.setUint32(0, endOfDirectory, true);
    v.setUint16(8, entries.length, true);
    v.setUint16(10, entries.length, true);
    v.setUint32(12, directorySize, true);
    v.setUint32(16, at, true);
  });
  return concatBytes([...parts, ...directory, end]);
}

function record(size: number, fill: (v: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(size);
  fill(new DataView(bytes.buffer));
  return bytes;
}

/** Format 1 with the data at a multiple of 64 bytes, as NumPy writes it. */
function npyHeader(e: NpzInput): Uint8Array {
  const shape = e.dims.length === 1 ? `(${e.dims[0]},)` : `(${e.dims.join(", ")})`;
  const text = `{'descr': '${descrOf[e.dtype]}', 'fortran_order': False, 'shape': ${shape}, }`;
  const length = Math.ceil((10 + text.length + 1) / 64) * 64 - 10;
  const bytes = new Uint8Array(10 + length);
  [...magic].forEach((c, i) => {
    bytes[i] = c.charCodeAt(0);
  });
  bytes[6] = 1;
  new DataView(bytes.buffer).setUint16(8, length, true);
  bytes.set(utf8(`${text}${" ".repeat(length - text.length - 1)}\n`), 10);
  return bytes;
}
