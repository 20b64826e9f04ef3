// Kernels that differ only in numbers, extents of loops and strides, become one: the numbers are handed in. Less code, and on a target
// that compiles code when it first runs, less to compile and less that runs before it is compiled well.
import { must } from "../../src/base/assert.ts";
import type { BufferId, SymbolId } from "../../src/base/brand.ts";
import type { Dim } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import { ofDim, toDim } from "../../src/ir/expr.ts";
import type { LoopExpr, Stmt } from "../../src/ir/loops.ts";
import { children, visitStmt, withChildren } from "../../src/ir/rewrite.ts";
import type { Buffer } from "../../src/ir/storage.ts";

/** A body before its loops are unrolled, and the buffers that it is called with. */
export type Nest = { readonly body: Stmt; readonly params: readonly Buffer[] };
/** A nest with the numbers that it is handed. */
export type SharedNest = Nest & { readonly sizes: ReadonlyMap<SymbolId, Dim> };

/**
 * The nests, where some are equal but for numbers, in terms of sizes: those are then the same text but for buffers. `overlaps` tells
 * which parameters share memory: kernels where others do are different ones.
 */
export function shareSizes(nests: readonly Nest[], overlaps: (n: Nest) => string): readonly SharedNest[] {
  const read = nests.map((n) => new Reader(n).read());
  const classes = new Map<string, number[]>();
  nests.forEach((n, k) => {
    const key = `${read[k]!.text} ${overlaps(n)}`;
    classes.set(key, [...(classes.get(key) ?? []), k]);
  });
  const out: SharedNest[] = nests.map((n) => ({ ...n, sizes: new Map() }));
  for (const members of classes.values()) {
    if (members.length === 1) continue;
    const names = new Names(members.map((k) => read[k]!.numbers));
    if (names.sizes.length === 0) continue;
    members.forEach((k, m) => {
      const reader = new Reader(nests[k]!, (n) => names.of(n));
      const { body } = reader.read();
      const params = nests[k]!.params.map((p, i) =>
        names.buffer(
          members.map((x) => nests[x]!.params[i]!),
          p,
        ),
      );
      out[k] = { body, params, sizes: new Map(names.sizes.map((s) => [s.id, D.int(s.values[m]!)])) };
    });
  }
  return out;
}

/** Text that is equal for what is equal. */
export function textOf(x: unknown): string {
  return JSON.stringify(x, (_key, v: unknown) =>
    typeof v === "bigint"
      ? `${v}n`
      : Object.is(v, -0)
        ? "-0"
        : typeof v === "number" && !Number.isFinite(v)
          ? String(v)
          : v,
  );
}

/** What is known of the numbers of a class: by place in the text, the value in each nest. */
class Names {
  readonly sizes: { readonly id: SymbolId; readonly values: readonly number[] }[] = [];
  private readonly byValues = new Map<string, SymbolId>();
  private readonly places: readonly (Dim | null)[];
  constructor(numbers: readonly (readonly number[])[]) {
    this.places = numbers[0]!.map((_, k) => {
      const values = numbers.map((n) => n[k]!);
      if (values.every((v) => v === values[0])) return null;
      const key = values.join();
      let id = this.byValues.get(key);
      if (id === undefined) {
        id = `${values.every((v) => v > 0) ? "$size" : "$count"}.n${this.sizes.length}` as SymbolId;
        this.byValues.set(key, id);
        this.sizes.push({ id, values });
      }
      return D.sym(id);
    });
  }
  /** The size that stands in a place, null: a number that all nests have in common. */
  of(place: number): Dim | null {
    return this.places[place] ?? null;
  }
  /** A parameter's buffer; what differs there and is no size is any number. */
  buffer(all: readonly Buffer[], own: Buffer): Buffer {
    const dim = (of: (b: Buffer) => Dim): Dim => {
      const ds = all.map(of);
      if (ds.every((d) => d === ds[0])) return ds[0]!;
      const id = this.byValues.get(ds.map((d) => d.key).join());
      return D.sym(id ?? ("$any" as SymbolId));
    };
    const s = own.storage;
    const at = (b: Buffer): NonNullable<Buffer["storage"]> => must(b.storage, "storage");
    return {
      ...own,
      shape: own.shape.map((_, k) => dim((b) => b.shape[k]!)),
      storage: s && {
        ...s,
        strides: s.strides.map((_, k) => dim((b) => at(b).strides[k]!)),
        blocks: s.blocks.map((x, k) => ({ ...x, stride: dim((b) => at(b).blocks[k]!.stride) })),
        size: dim((b) => at(b).size),
      },
    };
  }
}

/**
 * Reads a nest: its text with the numbers left out, with names and buffers by the order in which they occur; and writes it again with
 * sizes in the places of numbers. Numbers are the extents of loops that stay loops, and what stands as a factor or a term in an index.
 * Divisors stay as they are, and so do distances within an iteration of an innermost loop.
 */
class Reader {
  private readonly nest: Nest;
  private readonly size: (place: number) => Dim | null;
  private readonly names = new Map<string, string>();
  private readonly buffers = new Map<BufferId, number>();
  /** Variables that are unrolled in an innermost loop: the distances of what they address are immediate offsets there, and stay. */
  private readonly near = new Set<string>();
  private isInnermost = false;
  private readonly seen = new Map<LoopExpr, number>();
  private readonly written = new Map<LoopExpr, LoopExpr>();
  private readonly text: string[] = [];
  private readonly numbers: number[] = [];
  constructor(nest: Nest, size: (place: number) => Dim | null = () => null) {
    this.nest = nest;
    this.size = size;
  }
  read(): { readonly text: string; readonly numbers: readonly number[]; readonly body: Stmt } {
    for (const p of this.nest.params) {
      const blocks = p.storage?.blocks.map((b) => `${b.axis}:${b.by}`).join() ?? "";
      this.text.push(`${this.buffer(p.id)} ${p.dtype} ${p.shape.length} ${blocks};`);
    }
    const body = this.stmt(this.nest.body);
    return { text: this.text.join(""), numbers: this.numbers, body };
  }
  private buffer(id: BufferId): number {
    let n = this.buffers.get(id);
    if (n === undefined) this.buffers.set(id, (n = this.buffers.size));
    return n;
  }
  private bind(name: string): string {
    const short = `%${this.names.size}`;
    this.names.set(name, short);
    return short;
  }
  private stmt(s: Stmt): Stmt {
    const out = this.text;
    switch (s.kind) {
      case "for": {
        const stays = s.loop !== "unroll" && s.loop !== "vector";
        out.push(`for ${s.loop} ${s.step} `);
        if (!stays && this.isInnermost) this.near.add(s.v);
        const outer = this.isInnermost;
        if (stays) this.isInnermost = isInnermost(s);
        const extent = stays ? this.index(s.extent) : this.expr(s.extent);
        out.push(`${this.bind(s.v)}{`);
        const body = this.stmt(s.body);
        out.push("}");
        this.isInnermost = outer;
        return { ...s, extent, body };
      }
      case "let": {
        out.push("let ");
        const value = s.value.dtype === "i32" ? this.index(s.value) : this.expr(s.value);
        out.push(`${this.bind(s.name)};`);
        return { ...s, value, body: this.stmt(s.body) };
      }
      case "store": {
        out.push(`store ${this.buffer(s.buffer)} ${s.dtype} ${s.atomic ?? ""}`);
        const index = s.index.map((e) => this.index(e, true));
        return { ...s, index, value: this.expr(s.value) };
      }
      case "if": {
        out.push("if ");
        const cond = this.expr(s.cond);
        const then = this.stmt(s.then);
        out.push("else");
        return { ...s, cond, then, ...(s.otherwise ? { otherwise: this.stmt(s.otherwise) } : {}) };
      }
      case "while": {
        out.push("while ");
        const cond = this.expr(s.cond);
        return { ...s, cond, body: this.stmt(s.body) };
      }
      case "seq": {
        out.push("[");
        const body = s.body.map((x) => this.stmt(x));
        out.push("]");
        return { ...s, body };
      }
      case "alloc": {
        const { id, dtype, scope, shape } = s.buffer;
        out.push(`alloc ${this.buffer(id)} ${dtype} ${scope} ${shape.map((d) => d.key).join()};`);
        return { ...s, body: this.stmt(s.body) };
      }
      case "barrier":
        out.push("barrier");
        return s;
    }
  }
  /** A value: numbers in it stay, but for those of the indices of loads. A part that occurs again is named by its place. */
  private expr(e: LoopExpr): LoopExpr {
    const old = this.seen.get(e);
    if (old !== undefined) {
      this.text.push(`^${old}`);
      return this.written.get(e)!;
    }
    this.seen.set(e, this.seen.size);
    const r = this.plain(e);
    this.written.set(e, r);
    return r;
  }
  private plain(e: LoopExpr): LoopExpr {
    this.text.push(`(${this.head(e)} `);
    const r =
      e.kind === "load"
        ? { ...e, index: e.index.map((x) => this.index(x, true)) }
        : withChildren<LoopExpr>(e, (c) => this.expr(c));
    this.text.push(")");
    return r;
  }
  private head(e: LoopExpr): string {
    switch (e.kind) {
      case "var":
        return `${this.names.get(e.name) ?? e.name} ${e.dtype} ${e.lanes ?? 1}`;
      case "load":
        return `load ${this.buffer(e.buffer)} ${e.dtype} ${e.safe === true}`;
      default: {
        const parts = new Set<unknown>(children(e));
        return textOf(Object.entries(e).filter(([, v]) => !parts.has(v)));
      }
    }
  }
  /** An extent, or an index, where numbers may become sizes: an index starts at one, if only at 0. */
  private index(e: LoopExpr, starts = false): LoopExpr {
    if (e.kind === "ramp") {
      this.text.push(`ramp ${e.stride} ${e.lanes} `);
      return { ...e, base: this.index(e.base, starts) };
    }
    const d = toDim(e);
    // What is no arithmetic, as an index that is read from memory, stays as it is.
    if (d === null) return this.expr(e);
    const r = this.dim(d, starts);
    this.text.push(r.text, ";");
    return r.dim === d ? e : (ofDim(r.dim) as LoopExpr);
  }
  private dim(d: Dim, starts: boolean): { readonly text: string; readonly dim: Dim } {
    const terms = D.termsOf(d).map((t) => {
      const { coef, atoms } = D.splitTerm(t);
      return {
        coef,
        atoms,
        text: atoms
          .map((a) => this.atomText(a))
          .sort()
          .join("*"),
      };
    });
    terms.sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0));
    let changed = false;
    if (starts && terms[0]?.text !== "") terms.unshift({ coef: 0, atoms: [], text: "" });
    const parts = terms.map(({ coef, atoms, text }) => {
      const inner = atoms.map((a) => this.atom(a));
      const isNumber =
        (atoms.length > 0 ? coef > 1 : coef > 0 || (starts && coef === 0)) && !atoms.some((a) => this.isNear(a));
      const size = isNumber ? this.number(coef) : null;
      changed ||= size !== null || inner.some((a, k) => a !== atoms[k]);
      return { text: `${isNumber ? "?" : coef}*${text}`, dim: D.mul(size ?? D.int(coef), ...inner) };
    });
    return { text: parts.map((p) => p.text).join("+"), dim: changed ? D.add(...parts.map((p) => p.dim)) : d };
  }
  private isNear(d: Dim): boolean {
    return d.kind === "sym" && this.near.has(d.id);
  }
  private number(value: number): Dim | null {
    this.numbers.push(value);
    return this.size(this.numbers.length - 1);
  }
  private atomText(d: Dim): string {
    switch (d.kind) {
      case "sym":
        return this.names.get(d.id) ?? d.id;
      case "floordiv":
      case "mod":
        return `${d.kind}(${this.fixed(d.a)},${this.fixed(d.by)})`;
      case "min":
      case "max":
        return `${d.kind}(${d.terms
          .map((t) => this.openText(t))
          .sort()
          .join()})`;
      case "broadcast":
        return `${d.kind}(${d.terms
          .map((t) => this.fixed(t))
          .sort()
          .join()})`;
      default:
        return this.fixed(d);
    }
  }
  private fixed(d: Dim): string {
    return D.termsOf(d)
      .map((t) => {
        const { coef, atoms } = D.splitTerm(t);
        return `${coef}*${atoms
          .map((a) => this.atomText(a))
          .sort()
          .join("*")}`;
      })
      .sort()
      .join("+");
  }
  private openText(d: Dim): string {
    return d.kind === "int" && d.value > 0 ? "?" : this.fixed(d);
  }
  /** An atom with sizes for the numbers among the terms of a minimum or maximum. */
  private atom(d: Dim): Dim {
    if (d.kind !== "min" && d.kind !== "max") return d;
    let changed = false;
    const terms = d.terms.map((t) => {
      const size = t.kind === "int" && t.value > 0 ? this.number(t.value) : null;
      if (size) changed = true;
      return size ?? t;
    });
    if (!changed) return d;
    return d.kind === "min" ? D.min(...terms) : D.max(...terms);
  }
}
function isInnermost(loop: Extract<Stmt, { kind: "for" }>): boolean {
  let inner = false;
  visitStmt(loop.body, (s) => {
    if (s.kind === "for" && s.loop !== "unroll" && s.loop !== "vector") inner = true;
  });
  return !inner;
}
