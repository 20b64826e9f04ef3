// Encodes ONNX's protobuf messages by the table in schema.ts. Absent fields (null, "" and empty) are left out.
import protobuf from "protobufjs/minimal.js";
import { InternalError } from "../base/assert.ts";
import { type Kind, type MessageName, type Messages, type ModelProto, schema } from "./schema.ts";

const varint = 0;
const fixed32 = 5;
const delimited = 2;

export function encode<M extends MessageName>(name: M, message: Messages[M]): Uint8Array {
  const w = new protobuf.Writer();
  writeFields(w, name, message);
  return w.finish();
}
/** A model's file. Throws InternalError for int fields beyond 2^53. */
export function writeModel(m: ModelProto): Uint8Array {
  return encode("ModelProto", m);
}

function writeFields(w: protobuf.Writer, name: MessageName, message: object): void {
  const fields = (Object.entries(schema[name]) as [string, readonly [number, Kind]][]).sort(
    (a, b) => a[1][0] - b[1][0],
  );
  for (const [field, [number, kind]] of fields)
    writeField(w, number, kind, (message as Record<string, unknown>)[field]);
}

function writeField(w: protobuf.Writer, number: number, kind: Kind, value: unknown): void {
  if (value === null || value === "" || ((value as { length?: number }).length === 0 && kind !== "bytes")) return;
  const tag = (wire: number): protobuf.Writer => w.uint32((number << 3) | wire);
  const packed = (each: () => void): void => {
    tag(delimited).fork();
    each();
    w.ldelim();
  };
  switch (kind) {
    case "int":
      tag(varint).int64(safe(value as number));
      return;
    case "int64":
      tag(varint).int64(long(value as bigint));
      return;
    case "float":
      tag(fixed32).float(value as number);
      return;
    case "string":
      tag(delimited).string(value as string);
      return;
    case "bytes":
      tag(delimited).bytes(value as Uint8Array);
      return;
    case "strings":
      for (const s of value as string[]) tag(delimited).string(s);
      return;
    case "byteses":
      for (const b of value as Uint8Array[]) tag(delimited).bytes(b);
      return;
    case "ints":
      packed(() => {
        for (const n of value as number[]) w.int64(safe(n));
      });
      return;
    case "floats":
      packed(() => {
        for (const n of value as Float32Array) w.float(n);
      });
      return;
    case "doubles":
      packed(() => {
        for (const n of value as Float64Array) w.double(n);
      });
      return;
    case "int32s":
      packed(() => {
        for (const n of value as Int32Array) w.int32(n);
      });
      return;
    case "int64s":
    case "uint64s":
      packed(() => {
        for (const n of value as BigInt64Array | BigUint64Array) w.uint64(long(n));
      });
      return;
    default: {
      const list = kind.endsWith("[]");
      const name = (list ? kind.slice(0, -2) : kind) as MessageName;
      for (const m of list ? (value as object[]) : [value as object]) {
        tag(delimited).fork();
        writeFields(w, name, m);
        w.ldelim();
      }
    }
  }
}

function safe(n: number): number {
  if (!Number.isSafeInteger(n)) throw new InternalError(`${n} does not fit a protobuf integer`);
  return n;
}
/** What protobufjs takes for 64 bits. */
function long(n: bigint): protobuf.Long {
  return {
    low: Number(BigInt.asIntN(32, n)),
    high: Number(BigInt.asIntN(32, n >> 32n)),
    unsigned: false,
  } as protobuf.Long;
}
