// What the text forms of graphs and programs share: constants, types, symbols, places in the model. The grammar stands in print.ts.
import { InternalError } from "../base/assert.ts";
import type { Loc } from "../base/diagnostics.ts";
import { formatFloat, formatFloat32, quoteName } from "../base/text.ts";
import type { Dim, Sym } from "./dim.ts";
import * as D from "./dim.ts";
import { tensorText } from "./print-expr.ts";
import { lineWidth, wrapList } from "./print-kernel.ts";
import {
  cellType,
  countOf,
  type DType,
  elementBytes,
  isFloat,
  type Tensor,
  typedView,
  type ValueType,
} from "./types.ts";

/** Bytes of the constants that do not stand in the text, by `name#hash`. */
export type ConstantTable = ReadonlyMap<string, Uint8Array>;

/** Most elements of a constant that stand in the text. */
const inlineElements = 16;

/** Collects the constants of one text. */
export class Constants {
  readonly table: Map<string, Uint8Array> = new Map();

  /** The elements of `t`, or its key in the table. */
  data(name: string, t: Tensor): string {
    const inline = inlineData(t);
    if (inline !== null) return inline;
    let hash = hashOf(t.bytes);
    for (
      let old = this.table.get(key(name, hash));
      old && !sameBytes(old, t.bytes);
      old = this.table.get(key(name, hash))
    )
      hash = (hash + 1) >>> 0;
    this.table.set(key(name, hash), t.bytes);
    return `@${quoteName(name)}#${hex(hash)}`;
  }
  /** `data`, or `f32[2, 3] data` when the place does not have that type already. */
  typed(name: string, t: Tensor, placed: { readonly dtype: DType; readonly shape: readonly Dim[] } | null): string {
    const same =
      placed?.dtype === t.dtype &&
      placed.shape.length === t.dims.length &&
      t.dims.every((d, k) => D.known(placed.shape[k]!) === d);
    return same ? this.data(name, t) : `${tensorText(t.dtype, t.dims.map(D.int))} ${this.data(name, t)}`;
  }
}

const hex = (hash: number): string => hash.toString(16).padStart(8, "0");
const key = (name: string, hash: number): string => `${name}#${hex(hash)}`;

/** The elements in brackets; null when there are too many, or when they would not read back bit for bit. */
function inlineData(t: Tensor): string | null {
  const n = countOf(t.dims);
  if (
    n > inlineElements ||
    t.bytes.length !== n * elementBytes(t.dtype) ||
    t.bytes.byteOffset % elementBytes(t.dtype) !== 0
  )
    return null;
  const items: string[] = [];
  for (const [k, x] of typedView(t.dtype, t.bytes).entries()) {
    if (typeof x === "bigint") items.push(String(x));
    else if (t.dtype === "f32" || t.dtype === "f64") {
      if (Number.isNaN(x) && !isPlainNaN(t, k)) return null;
      items.push(t.dtype === "f32" ? formatFloat32(x) : formatFloat(x));
    } else if (isFloat(t.dtype)) items.push(`0x${x.toString(16).padStart(2 * elementBytes(cellType(t.dtype)), "0")}`);
    else items.push(String(x));
  }
  return `[${items.join(", ")}]`;
}
/** Whether element k has the bits that a NaN made by JavaScript has. */
function isPlainNaN(t: Tensor, k: number): boolean {
  const plain = t.dtype === "f32" ? new Float32Array([Number.NaN]) : new Float64Array([Number.NaN]);
  const width = elementBytes(t.dtype);
  return sameBytes(new Uint8Array(plain.buffer), t.bytes.subarray(k * width, (k + 1) * width));
}
function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a === b || (a.length === b.length && a.every((x, k) => x === b[k]));
}

const hashes = new WeakMap<Uint8Array, number>();
/** FNV-1a of 32 bits, remembered: a dump after every pass meets the same weights again and again. */
function hashOf(bytes: Uint8Array): number {
  const known = hashes.get(bytes);
  if (known !== undefined) return known;
  let h = 0x811c9dc5;
  for (let k = 0; k < bytes.length; k++) h = Math.imul(h ^ bytes[k]!, 0x01000193);
  hashes.set(bytes, h >>> 0);
  return h >>> 0;
}

/** `f32[N, 784]`, `seq(f32[3])`, `optional(i64[])`. */
export function typeText(t: ValueType): string {
  switch (t.kind) {
    case "tensor":
      return tensorText(t.tensor.dtype, t.tensor.shape);
    case "sequence":
      return `seq(${typeText(t.of)})`;
    case "optional":
      return `optional(${typeText(t.of)})`;
    default:
      throw new InternalError(`type ${JSON.stringify(t)}`);
  }
}

/** `1..64`, `0..` without an upper end. */
export function rangeText(min: number, max: number | null): string {
  return `${min}..${max ?? ""}`;
}
function symbolText(s: Sym): string {
  const def = s.def === null ? "" : s.def === "data" ? " from data" : ` = ${s.def.key}`;
  return `${D.sym(s.id).key} in ${rangeText(s.min, s.max)}${def}`;
}
/** `graph @name(inputs) -> outputs where N in 1..64, ...`, broken into lines where too long. One output stands without parentheses. */
export function headText(
  kind: string,
  name: string,
  inputs: readonly string[],
  outputs: readonly string[],
  symbols: readonly Sym[],
): string {
  const out = outputs.length === 1 ? outputs[0]! : `(${outputs.join(", ")})`;
  const head = wrapList(`${kind} @${quoteName(name)}`, inputs, ` -> ${out}`);
  if (symbols.length === 0) return head;
  const where = symbols.map(symbolText);
  const line = `${head} where ${where.join(", ")}`;
  return line.length <= lineWidth ? line : `${head} where\n${where.map((s) => `    ${s}`).join(",\n")}`;
}

/** `loc("fc1", "Gemm", pass = "fold-norm", from = loc("bn1", "BatchNormalization"))`; an op equal to `op` is left out. */
export function locText(l: Loc, op: string | null): string {
  const parts = [JSON.stringify(l.node)];
  if (l.op !== op) parts.push(JSON.stringify(l.op));
  if (l.pass !== undefined) parts.push(`pass = ${JSON.stringify(l.pass)}`);
  if (l.cause) parts.push(`from = ${locText(l.cause, null)}`);
  return `loc(${parts.join(", ")})`;
}
