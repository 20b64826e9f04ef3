// Decodes ONNX's protobuf messages by the table in schema.ts. Files are not trusted: every length is checked against the bytes
// that remain before anything is allocated, nesting and the number of messages are limited.
import protobuf from "protobufjs/minimal.js";
import { UserError, userError } from "../base/diagnostics.ts";
import { absent, type Kind, type MessageName, type Messages, type ModelProto, schema } from "./schema.ts";

/** Protobuf's own default limit. */
const maxDepth = 100;
/** Two bytes of a file can make a message; real models have some 100000. */
const maxMessages = 1_000_000;

/**
 * The message in `bytes`. raw_data and other byte fields are views into them. Throws a UserError E102 when the bytes are no such
 * message; bytes of another format may still decode: see readModel.
 */
export function decode<M extends MessageName>(name: M, bytes: Uint8Array): Messages[M] {
  try {
    const d = new Decoder(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    return d.message(name, bytes.length, 0) as Messages[M];
  } catch (e) {
    if (e instanceof UserError) throw e;
    throw userError("E102", `the file is damaged, or no ONNX ${name} (${(e as Error).message})`);
  }
}

/** The model in a file's bytes. Throws a UserError E102 when they are no ONNX model. */
export function readModel(bytes: Uint8Array): ModelProto {
  const m = decode("ModelProto", bytes);
  const bad = (why: string): never => {
    throw userError("E102", `the file is no ONNX model, or is damaged: ${why}`);
  };
  if (m.irVersion === null || m.irVersion < 1 || m.irVersion > 1000) bad("it has no valid ir_version");
  if (m.graph === null) return bad("it has no graph");
  if (m.graph.node.length === 0 && m.graph.output.length === 0) bad("its graph is empty");
  // Format versions 1 and 2 knew one operator set only.
  if (m.irVersion! >= 3 && m.opsetImport.length === 0) bad("it does not say which operator set it uses");
  return m;
}

type Entry = {
  readonly field: string;
  readonly kind: Kind;
  readonly element: MessageName | null;
  readonly message: MessageName | null;
};
type Layout = { readonly byNumber: ReadonlyMap<number, Entry>; readonly fields: readonly Entry[] };
const layouts = new Map<MessageName, Layout>();
for (const name of Object.keys(schema) as MessageName[]) {
  const byNumber = new Map<number, Entry>();
  for (const [field, [number, kind]] of Object.entries(schema[name]) as [string, readonly [number, Kind]][]) {
    const element = kind.endsWith("[]") ? (kind.slice(0, -2) as MessageName) : null;
    byNumber.set(number, { field, kind, element, message: kind in schema ? (kind as MessageName) : null });
  }
  layouts.set(name, { byNumber, fields: [...byNumber.values()] });
}

const varint = 0;
const fixed64 = 1;
const delimited = 2;
const fixed32 = 5;
type Numbers = Float32Array | Float64Array | Int32Array | BigInt64Array | BigUint64Array;

class Decoder {
  private readonly reader: protobuf.Reader;
  private readonly view: DataView;
  private messages = 0;
  /** The halves of the last varint, as 32-bit patterns. */
  private low = 0;
  private high = 0;

  constructor(bytes: Uint8Array) {
    this.reader = new protobuf.Reader(bytes);
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** The message that ends at `end`. Of a field that must occur once the last occurrence counts. */
  message(name: MessageName, end: number, depth: number): object {
    if (depth > maxDepth) throw new Error("messages are nested too deeply");
    if (++this.messages > maxMessages) throw new Error("too many messages");
    const { byNumber, fields } = layouts.get(name)!;
    const r = this.reader;
    const outer = r.len;
    r.len = end;
    const out: Record<string, unknown> = {};
    for (const e of fields) out[e.field] = absent(e.kind);
    const numbers = new Map<string, Growing>();
    while (r.pos < end) {
      const tag = r.tag();
      const entry = byNumber.get(tag >>> 3);
      if (entry) this.field(out, numbers, entry, tag & 7, depth, name);
      else r.skipType(tag & 7, 0, tag >>> 3);
    }
    if (r.pos !== end) throw new Error("a field reaches beyond its message");
    r.len = outer;
    for (const [field, g] of numbers) out[field] = g.done();
    return out;
  }

  private field(
    out: Record<string, unknown>,
    numbers: Map<string, Growing>,
    e: Entry,
    wire: number,
    depth: number,
    name: string,
  ): void {
    const r = this.reader;
    const expect = (w: number): void => {
      if (wire !== w) throw new Error(`${name}.${e.field} is not stored as it should be`);
    };
    if (e.message || e.element) {
      expect(delimited);
      const size = r.size();
      if (size > r.len - r.pos) throw new Error("a field reaches beyond its message");
      const m = this.message(e.message ?? e.element!, r.pos + size, depth + 1);
      if (e.message) out[e.field] = m;
      else this.push(out, e, m);
      return;
    }
    switch (e.kind) {
      case "int":
        expect(varint);
        this.varint();
        out[e.field] = this.number();
        return;
      case "int64":
        expect(varint);
        this.varint();
        out[e.field] = (BigInt(this.high | 0) << 32n) | BigInt(this.low >>> 0);
        return;
      case "float":
        expect(fixed32);
        out[e.field] = r.float();
        return;
      case "string":
        expect(delimited);
        out[e.field] = r.string();
        return;
      case "bytes":
        expect(delimited);
        out[e.field] = r.bytes();
        return;
      case "strings":
        expect(delimited);
        this.push(out, e, r.string());
        return;
      case "byteses":
        expect(delimited);
        this.push(out, e, r.bytes());
        return;
      case "ints":
        this.elements(wire, varint, e, (n) => {
          for (let i = 0; i < n; i++) {
            this.varint();
            this.push(out, e, this.number());
          }
        });
        return;
      default: {
        const g = numbers.get(e.field) ?? new Growing(absent(e.kind) as Numbers);
        numbers.set(e.field, g);
        this.elements(wire, e.kind === "floats" ? fixed32 : e.kind === "doubles" ? fixed64 : varint, e, (n) =>
          this.append(g, n),
        );
      }
    }
  }

  private push(out: Record<string, unknown>, e: Entry, x: unknown): void {
    const list = out[e.field] as unknown[];
    if (list.length === 0) out[e.field] = [x];
    else list.push(x);
  }

  /** A repeated field of numbers: one element with the wire type of one, or a packed run of them. */
  private elements(wire: number, single: number, e: Entry, read: (count: number) => void): void {
    const r = this.reader;
    if (wire === single) {
      if (single !== varint && r.len - r.pos < (single === fixed32 ? 4 : 8))
        throw new Error("a field reaches beyond its message");
      read(1);
      return;
    }
    if (wire !== delimited) throw new Error(`${e.field} is not stored as it should be`);
    const size = r.size();
    const end = r.pos + size;
    if (end > r.len) throw new Error("a field reaches beyond its message");
    let count = 0;
    if (single === varint) {
      for (let i = r.pos; i < end; i++) if (r.buf[i]! < 128) count++;
    } else count = size / (single === fixed32 ? 4 : 8);
    if (!Number.isInteger(count)) throw new Error(`${e.field} has a broken element at its end`);
    read(count);
    if (r.pos !== end) throw new Error(`${e.field} has a broken element at its end`);
  }

  /** Reads `count` numbers of the array's type; fixed-size ones are known to be there. */
  private append(g: Growing, count: number): void {
    const at = g.grow(count);
    const to = g.array;
    const r = this.reader;
    if (to instanceof Float32Array) {
      for (let i = 0; i < count; i++, r.pos += 4) to[at + i] = this.view.getFloat32(r.pos, true);
    } else if (to instanceof Float64Array) {
      for (let i = 0; i < count; i++, r.pos += 8) to[at + i] = this.view.getFloat64(r.pos, true);
    } else if (to instanceof Int32Array) {
      for (let i = 0; i < count; i++) {
        this.varint();
        to[at + i] = this.low;
      }
    } else {
      const words = new Int32Array(to.buffer);
      for (let i = 0; i < count; i++) {
        this.varint();
        words[2 * (at + i)] = this.low;
        words[2 * (at + i) + 1] = this.high;
      }
    }
  }

  /** A varint of up to 64 bits into low and high. */
  private varint(): void {
    const r = this.reader;
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (r.pos >= r.len) throw new Error("the file is truncated");
      const b = r.buf[r.pos++]!;
      const bits = b & 127;
      if (shift < 32) low |= bits << shift;
      if (shift === 28) high = bits >> 4;
      else if (shift > 28) high |= bits << (shift - 32);
      if (b < 128) {
        this.low = low;
        this.high = high;
        return;
      }
    }
    throw new Error("an integer is too long");
  }
  private number(): number {
    return (this.high | 0) * 2 ** 32 + (this.low >>> 0);
  }
}

/** A typed array that grows; packed runs, which is how large fields are stored, are allocated once at their exact size. */
class Growing {
  array: Numbers;
  private length = 0;
  constructor(array: Numbers) {
    this.array = array;
  }
  /** Makes room for `count` elements and returns the index of the first. */
  grow(count: number): number {
    const at = this.length;
    this.length += count;
    if (this.length > this.array.length) {
      const size = at === 0 ? this.length : Math.max(this.length, 2 * this.array.length);
      const bigger = new (this.array.constructor as new (n: number) => Numbers)(size);
      copy(bigger, this.array);
      this.array = bigger;
    }
    return at;
  }
  done(): Numbers {
    return this.length === this.array.length ? this.array : this.array.slice(0, this.length);
  }
}
function copy(to: Numbers, from: Numbers): void {
  new Uint8Array(to.buffer).set(new Uint8Array(from.buffer, from.byteOffset, from.byteLength));
}
