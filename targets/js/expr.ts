// Expressions of a kernel as JavaScript. Subexpressions that are shared by identity and certain to be evaluated become
// constants before the statement; a select evaluates only its chosen side.
import { assert, InternalError, must, unreachable } from "../../src/base/assert.ts";
import type { BufferId } from "../../src/base/brand.ts";
import type { LoopExpr } from "../../src/ir/loops.ts";
import type { Buffer } from "../../src/ir/storage.ts";
import type { DType } from "../../src/ir/types.ts";
import { is64 } from "../../src/ir/types.ts";
import type { Arithmetic } from "./arithmetic.ts";
import type { Text } from "./text.ts";
import { addSmall, at, isSmall, literal, logical, mulSmall, plain, prec, wrapped } from "./text.ts";

const views = {
  f32: "F32",
  f64: "F64",
  i32: "I32",
  u32: "U32",
  i16: "I16",
  u16: "U16",
  i8: "I8",
  u8: "U8",
  bool: "U8",
  i64: "I64",
  u64: "U64",
} as const;
export type View = (typeof views)[keyof typeof views];
/** The typed array that holds cells of the dtype. */
export function viewOf(dtype: DType): View {
  assert(dtype in views, `js: no memory cell for ${dtype}`);
  return views[dtype as keyof typeof views];
}

/** What the module around the kernels offers: views and constant tables, noted as used. */
export type Module = {
  view(dtype: DType): View;
  table(dtype: DType, values: readonly number[]): string;
};

/** Statements under construction, with what was named in them. An inner region is a side of a select. */
type Region = {
  readonly lines: string[];
  readonly named: Map<LoopExpr, Text>;
  readonly certain: ReadonlySet<LoopExpr>;
  readonly outer: Region | null;
};

export class Expressions {
  readonly #arithmetic: Arithmetic;
  readonly #module: Module;
  /** Variables in scope: loops, lets, scalars, dims; by name. */
  readonly variables: Map<string, Text> = new Map();
  /** Parameters (element index of their start) and registers (variables), by buffer. */
  readonly buffers: Map<BufferId, { readonly buffer: Buffer; readonly id: string }> = new Map();
  /** Moving pointers (element indices), by name. */
  readonly pointers: Map<string, string> = new Map();
  #temps = 0;
  constructor(arithmetic: Arithmetic, module: Module) {
    this.#arithmetic = arithmetic;
    this.#module = module;
  }

  /** Prints `e`; statements that must come before go to `lines`. */
  print(e: LoopExpr, lines: string[]): Text {
    const uses = usesOf(e);
    const shared = new Set([...uses].filter(([x, n]) => n > 1 && !isCheap(x, this.buffers)).map(([x]) => x));
    const certain = shared.size === 0 ? shared : certainOf(e, shared, new Map());
    return this.#print(e, { lines, named: new Map(), certain, outer: null }, shared);
  }

  /** The memory cell at a linear index of a parameter, or from a pointer. */
  cell(buffer: BufferId, index: LoopExpr, via: string | undefined, lines: string[]): string {
    const { buffer: b, id } = this.#bufferOf(buffer);
    const start = via === undefined ? id : must(this.pointers.get(via), `pointer ${via}`);
    return `${this.#module.view(b.dtype)}[${this.#index(start, this.print(index, lines))}]`;
  }
  #bufferOf(id: BufferId): { readonly buffer: Buffer; readonly id: string } {
    return must(this.buffers.get(id), `buffer ${id} of the kernel`);
  }
  #index(start: string, index: Text): string {
    return addSmall(plain(start, prec.primary, "i32", { lo: 0, hi: 2 ** 32 }), index).text;
  }

  #print(e: LoopExpr, region: Region, shared: ReadonlySet<LoopExpr>): Text {
    if (!shared.has(e)) return this.#fresh(e, region, shared);
    let home: Region | null = null;
    for (let r: Region | null = region; r !== null; r = r.outer) {
      const named = r.named.get(e);
      if (named) return named;
      if (r.certain.has(e)) home = r;
    }
    if (home === null) return this.#fresh(e, region, shared);
    const value = wrapped(this.#fresh(e, home, shared), true);
    if (/^[\w.$]+$/.test(value.text)) return value;
    const id = `$${this.#temps++}`;
    home.lines.push(`const ${id} = ${value.text};`);
    const text: Text = { ...value, text: id, prec: prec.primary, stored: undefined };
    home.named.set(e, text);
    return text;
  }

  #fresh(e: LoopExpr, region: Region, shared: ReadonlySet<LoopExpr>): Text {
    const sub = (x: LoopExpr): Text => this.#print(x, region, shared);
    switch (e.kind) {
      case "const":
        return literal(e.dtype, e.value);
      case "var":
        return must(this.variables.get(e.name), `variable ${e.name}`);
      case "load":
        return this.#load(e, sub);
      case "table":
        return plain(`${this.#module.table(e.dtype, e.values)}[${sub(e.index).text}]`, prec.primary, e.dtype);
      case "unary":
        return this.#arithmetic.unary(e.op, sub(e.x));
      case "binary":
        return this.#arithmetic.binary(e.op, sub(e.a), sub(e.b));
      case "mulAdd":
        return this.#arithmetic.mulAdd(e.rounding, sub(e.a), sub(e.b), sub(e.c));
      case "select":
        return this.#select(e, region, shared);
      case "cast": {
        const low = this.#lowWord(e, sub);
        return low ?? this.#arithmetic.cast(e.dtype, sub(e.x));
      }
      case "bitcast":
        return this.#arithmetic.bitcast(e.dtype, sub(e.x));
      case "ramp":
      case "splat":
      case "lanes":
        throw new InternalError(`js: a vector expression (${e.kind}); the target has no vectors`);
      default:
        return unreachable(e, "js expression");
    }
  }
  #load(e: Extract<LoopExpr, { kind: "load" }>, sub: (x: LoopExpr) => Text): Text {
    const { buffer, id } = this.#bufferOf(e.buffer);
    assert(e.index.length === 1, "js: an index that is not linear");
    if (buffer.scope === "register") return plain(id, prec.primary, buffer.dtype);
    const start = e.via === undefined ? id : must(this.pointers.get(e.via), `pointer ${e.via}`);
    return plain(
      `${this.#module.view(buffer.dtype)}[${this.#index(start, sub(e.index[0]!))}]`,
      prec.primary,
      buffer.dtype,
    );
  }
  /** A 64-bit cell that is wanted in 32 bits is read as its low word: no BigInt. */
  #lowWord(e: Extract<LoopExpr, { kind: "cast" }>, sub: (x: LoopExpr) => Text): Text | null {
    const x = e.x;
    if (!isSmall(e.dtype) || e.dtype === "bool" || x.kind !== "load" || !is64(x.dtype)) return null;
    const { buffer, id } = this.#bufferOf(x.buffer);
    if (buffer.scope === "register") return null;
    const start = x.via === undefined ? id : must(this.pointers.get(x.via), `pointer ${x.via}`);
    const cell = addSmall(plain(start, prec.primary, "i32", { lo: 0, hi: 2 ** 32 }), sub(x.index[0]!));
    const word = plain(`${this.#module.view("i32")}[${mulSmall(cell, literal("i32", 2)).text}]`, prec.primary, "i32");
    return this.#arithmetic.cast(e.dtype, word);
  }

  #select(e: Extract<LoopExpr, { kind: "select" }>, region: Region, shared: ReadonlySet<LoopExpr>): Text {
    const cond = logical(this.#print(e.cond, region, shared));
    const side = (x: LoopExpr): { text: Text; lines: string[] } => {
      const lines: string[] = [];
      const certain = shared.size === 0 ? shared : certainOf(x, shared, new Map());
      return { text: this.#print(x, { lines, named: new Map(), certain, outer: region }, shared), lines };
    };
    const [a, b] = [side(e.a), side(e.b)];
    if (a.lines.length === 0 && b.lines.length === 0) return conditional(cond, a.text, b.text);
    const id = `$${this.#temps++}`;
    const value = (x: Text): string => wrapped(x, true).text;
    region.lines.push(
      `let ${id};`,
      `if (${cond.text}) {`,
      ...indent([...a.lines, `${id} = ${value(a.text)};`]),
      "} else {",
      ...indent([...b.lines, `${id} = ${value(b.text)};`]),
      "}",
    );
    return plain(id, prec.primary, e.dtype);
  }
}

export function indent(lines: readonly string[]): string[] {
  return lines.map((line) => (line === "" ? line : `  ${line}`));
}

function conditional(cond: Text, a: Text, b: Text): Text {
  if (a.dtype === "bool" && (a.logical || b.logical)) {
    const [x, y] = [logical(a), logical(b)];
    return plain(
      `${at(cond, prec.or)} ? ${at(x, prec.conditional)} : ${at(y, prec.conditional)}`,
      prec.conditional,
      "bool",
      { logical: true },
    );
  }
  const text = `${at(cond, prec.or)} ? ${at(a, prec.conditional)} : ${at(b, prec.conditional)}`;
  const stored =
    a.stored === undefined && b.stored === undefined
      ? {}
      : { stored: `${at(cond, prec.or)} ? ${a.stored ?? a.text} : ${b.stored ?? b.text}` };
  const small = isSmall(a.dtype)
    ? { lo: Math.min(a.lo, b.lo), hi: Math.max(a.hi, b.hi), negativeZero: Boolean(a.negativeZero || b.negativeZero) }
    : {};
  return plain(text, prec.conditional, a.dtype, { ...small, ...stored, loose: Boolean(a.loose || b.loose) });
}

function childrenOf(e: LoopExpr): readonly LoopExpr[] {
  switch (e.kind) {
    case "const":
    case "var":
      return [];
    case "load":
      return e.index;
    case "table":
      return [e.index];
    case "unary":
    case "cast":
    case "bitcast":
    case "splat":
    case "lanes":
      return [e.x];
    case "binary":
      return [e.a, e.b];
    case "mulAdd":
      return [e.a, e.b, e.c];
    case "select":
      return [e.cond, e.a, e.b];
    case "ramp":
      return [e.base];
  }
}
/** How many places use each node. */
function usesOf(root: LoopExpr): ReadonlyMap<LoopExpr, number> {
  const uses = new Map<LoopExpr, number>();
  const visit = (e: LoopExpr): void => {
    const n = uses.get(e) ?? 0;
    uses.set(e, n + 1);
    if (n === 0) childrenOf(e).forEach(visit);
  };
  visit(root);
  return uses;
}
/** Of `among`, the nodes that are evaluated whenever `e` is. */
function certainOf(
  e: LoopExpr,
  among: ReadonlySet<LoopExpr>,
  memo: Map<LoopExpr, ReadonlySet<LoopExpr>>,
): ReadonlySet<LoopExpr> {
  const old = memo.get(e);
  if (old) return old;
  const of = (x: LoopExpr): ReadonlySet<LoopExpr> => certainOf(x, among, memo);
  const found = new Set<LoopExpr>();
  if (among.has(e)) found.add(e);
  if (e.kind === "select") {
    for (const x of of(e.cond)) found.add(x);
    const b = of(e.b);
    for (const x of of(e.a)) if (b.has(x)) found.add(x);
  } else {
    for (const child of childrenOf(e)) for (const x of of(child)) found.add(x);
  }
  memo.set(e, found);
  return found;
}
function isCheap(e: LoopExpr, buffers: Expressions["buffers"]): boolean {
  return (
    e.kind === "const" || e.kind === "var" || (e.kind === "load" && buffers.get(e.buffer)?.buffer.scope === "register")
  );
}
