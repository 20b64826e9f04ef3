// Reads dims, types, names and buffers. The grammar stands at the top of print.ts.
import type { BufferId } from "../base/brand.ts";
import type { Reader, Token } from "../base/text.ts";
import type { Dim } from "./dim.ts";
import * as D from "./dim.ts";
import { defaultSteps, defaultStrides } from "./print-expr.ts";
import type { Block, Buffer, Scope, Storage } from "./storage.ts";
import type { Axis } from "./te.ts";
import { type DType, dtypes } from "./types.ts";

// ---- dims and types ------------------------------------------------------------------------------------------
const dimCalls: Readonly<Record<string, (ds: readonly Dim[]) => Dim>> = {
  max: (ds) => D.max(...ds),
  min: (ds) => D.min(...ds),
  broadcast: (ds) => D.broadcast(...ds),
};
const quotients: Readonly<Record<string, (a: Dim, by: Dim) => Dim>> = { floordiv: D.floordiv, mod: D.mod };

export function readDim(r: Reader): Dim {
  let sum = readProduct(r);
  for (;;) {
    if (r.accept("+")) sum = D.add(sum, readProduct(r));
    else if (r.accept("-")) sum = D.sub(sum, readProduct(r));
    else return sum;
  }
}
function readProduct(r: Reader): Dim {
  let d = readFactor(r);
  while (r.accept("*")) d = D.mul(d, readFactor(r));
  return d;
}
function readFactor(r: Reader): Dim {
  if (r.accept("-")) return D.neg(readFactor(r));
  if (r.accept("(")) {
    const d = readDim(r);
    r.expect(")");
    return d;
  }
  if (r.peek().kind === "number") return D.int(r.int());
  const t = r.peek();
  const name = r.name("a dim");
  if (t.kind !== "word" || !r.accept("(")) return D.sym(name);
  const args = r.list(")", () => readDim(r));
  const quotient = quotients[name];
  if (quotient && args.length === 2) return quotient(args[0]!, args[1]!);
  const call = dimCalls[name];
  if (!call || args.length === 0) r.fail(`no dim is made by ${name} of ${args.length}`, t);
  return call(args);
}
export function readDims(r: Reader, close: string): readonly Dim[] {
  return r.list(close, () => readDim(r));
}
/** `(DIM, ...)` after its keyword, or nothing. */
export function readOptionalDims(r: Reader, keyword: string): readonly Dim[] {
  if (!r.accept(keyword)) return [];
  r.expect("(");
  return readDims(r, ")");
}

const dtypeNames: ReadonlySet<string> = new Set(dtypes);
export function isDType(s: string): s is DType {
  return dtypeNames.has(s);
}
export function readDType(r: Reader): DType {
  const t = r.peek();
  const name = r.name("an element type");
  return isDType(name) ? name : r.fail(`${name} is no element type`, t);
}
/** `f32[N, 4]` */
export function readTensorType(r: Reader): { readonly dtype: DType; readonly shape: readonly Dim[] } {
  const dtype = readDType(r);
  r.expect("[");
  return { dtype, shape: readDims(r, "]") };
}

// ---- names that may carry an id ------------------------------------------------------------------------------
/** `name`, `name#7` or `#7`. */
export type Ref = { readonly name: string | null; readonly id: number | null; readonly at: Token };
export function readId(r: Reader): number | null {
  const t = r.peek();
  if (t.kind !== "tag" || !t.glued) return null;
  if (!/^\d+$/.test(t.value)) r.fail(`#${t.value} is no id`);
  return Number(r.next().value);
}
export function readRef(r: Reader, what: string): Ref {
  const at = r.peek();
  if (at.kind !== "tag") return { at, name: r.name(what), id: readId(r) };
  r.next();
  return { at, name: null, id: Number(at.value) };
}
/** The last of `items` that the reference fits. */
export function resolve<T extends { readonly id: number; readonly name: string }>(
  r: Reader,
  ref: Ref,
  items: readonly T[],
  what: string,
): T {
  const found = items.findLast(
    (x) => (ref.name === null || x.name === ref.name) && (ref.id === null || x.id === ref.id),
  );
  const text = `${ref.name === null ? "" : JSON.stringify(ref.name)}${ref.id === null ? "" : `#${ref.id}`}`;
  return found ?? r.fail(`no ${what} ${text} here`, ref.at);
}

// ---- buffers -------------------------------------------------------------------------------------------------
const scopes: Readonly<Record<Scope, true>> = {
  io: true,
  weights: true,
  prepared: true,
  arena: true,
  heap: true,
  stack: true,
  register: true,
  workgroup: true,
};
function isScope(s: string): s is Scope {
  return Object.hasOwn(scopes, s);
}

/** The buffers that are declared where one reads, innermost last. */
export class BufferScope {
  private readonly declared: Buffer[] = [];
  private last = -1;

  ref(r: Reader): Buffer {
    return this.resolve(r, readRef(r, "a buffer"));
  }
  resolve(r: Reader, ref: Ref): Buffer {
    return resolve(r, ref, this.declared, "buffer");
  }
  /** Runs f, then forgets the buffers declared since. */
  inside<T>(f: () => T): T {
    const n = this.declared.length;
    const result = f();
    this.declared.length = n;
    return result;
  }
  /** Reads a declaration. What it lies in may be declared later: `finish` gives the buffer when all are there. */
  declare(r: Reader): { readonly id: BufferId; readonly finish: () => Buffer } {
    const name = r.name("a buffer");
    this.last = readId(r) ?? this.last + 1;
    r.expect(":");
    const { dtype, shape } = readTensorType(r);
    const t = r.peek();
    const scope = r.name("a scope");
    if (!isScope(scope)) r.fail(`${scope} is no scope`, t);
    const placed = readStorage(r, shape);
    const part = readPart(r, shape);
    const at = this.declared.length;
    const b: Buffer = { id: this.last as BufferId, name, dtype, shape, scope, storage: placed?.storage ?? null };
    this.declared.push(b);
    const finish = (): Buffer => {
      const storage = placed?.root ? { ...placed.storage, root: this.resolve(r, placed.root).id } : b.storage;
      const inside = part && { ...part, of: this.resolve(r, part.of).id };
      const done = { ...b, storage, ...(inside ? { inside } : {}) };
      this.declared[at] = done;
      return done;
    };
    return { id: b.id, finish };
  }
}

/** Storage with its root still a reference; null where none is written. */
function readStorage(
  r: Reader,
  shape: readonly Dim[],
): { readonly storage: Storage; readonly root: Ref | null } | null {
  const first = r.peek();
  const dense = r.accept("dense");
  const strides = r.at("strides") ? readOptionalDims(r, "strides") : defaultStrides(shape);
  let blocks: readonly Block[] = [];
  if (r.accept("blocks")) {
    r.expect("(");
    blocks = r.list(")", () => readBlock(r));
  }
  const root = r.accept("in") ? readRef(r, "a buffer") : null;
  const offset = r.accept("offset") ? readDim(r) : D.zero;
  const size = r.accept("size") ? readDim(r) : D.product(shape);
  if (!dense && r.peek() === first) return null;
  return { storage: { root: null, offset, strides, blocks, size }, root };
}
/** `part of b from (DIM, ...) step (DIM, ...)`, or nothing. */
function readPart(
  r: Reader,
  shape: readonly Dim[],
): { readonly of: Ref; readonly offset: readonly Dim[]; readonly step: readonly Dim[] } | null {
  if (!r.accept("part")) return null;
  r.expect("of");
  const of = readRef(r, "a buffer");
  const offset = readOptionalDims(r, "from");
  return { of, offset, step: r.at("step") ? readOptionalDims(r, "step") : defaultSteps(shape) };
}
function readBlock(r: Reader): Block {
  const axis = r.int("an axis");
  r.expect("by");
  const by = r.int();
  r.expect("stride");
  return { axis, by, stride: readDim(r) };
}

export function readAxis(r: Reader, role: Axis["role"]): Axis {
  const marked = (["spatial", "reduce"] as const).find((x) => r.at(x) && !r.at("in", 1));
  if (marked) r.next();
  const name = r.name("an axis");
  r.expect("in");
  return { name, extent: readExtent(r, () => readDim(r)), role: marked ?? role };
}
/** `0..` and what follows. */
export function readExtent<T>(r: Reader, extent: () => T): T {
  if (r.int() !== 0) r.fail("a range begins with 0");
  r.expect("..");
  return extent();
}
