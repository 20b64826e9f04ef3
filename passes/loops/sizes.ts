// Takes what follows from dims alone (quotients, minima) out of a kernel: the caller hands it in, as a dim of the kernel's own. So it is
// computed once, and kernels that differ in nothing else are one.
import type { SymbolId } from "../../src/base/brand.ts";
import type { Dim, Ranges } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import { toDim } from "../../src/ir/expr.ts";
import type { LoopExpr, Stmt } from "../../src/ir/loops.ts";
import { mapStmt, withChildren } from "../../src/ir/rewrite.ts";
import type { Buffer } from "../../src/ir/storage.ts";

/** The sizes of one kernel: names by what they stand for, in the order in which they occur. */
export class Sizes {
  private readonly dims: ReadonlySet<string>;
  private readonly ranges: Ranges;
  readonly values: Map<SymbolId, Dim> = new Map();
  private readonly names: Map<Dim, SymbolId> = new Map();
  private readonly memo: Map<LoopExpr, LoopExpr> = new Map();
  constructor(dims: ReadonlySet<string>, ranges: Ranges) {
    this.dims = dims;
    this.ranges = ranges;
  }
  stmt(s: Stmt): Stmt {
    return mapStmt(
      s,
      (x) => x,
      (e) => this.expr(e),
    );
  }
  /** Shape and storage in terms of the sizes that the statements have brought about. */
  buffer(b: Buffer): Buffer {
    const of = (d: Dim): Dim => this.inTerms(d);
    const s = b.storage;
    const storage = s && {
      ...s,
      strides: s.strides.map(of),
      blocks: s.blocks.map((x) => ({ ...x, stride: of(x.stride) })),
      size: of(s.size),
    };
    return { ...b, shape: b.shape.map(of), storage };
  }
  private expr(e: LoopExpr): LoopExpr {
    const old = this.memo.get(e);
    if (old) return old;
    const d = e.dtype === "i32" && (e.kind === "binary" || e.kind === "select") ? dimOf(e) : null;
    const name = d && this.name(d);
    const r: LoopExpr = name ? { kind: "var", dtype: "i32", name } : withChildren(e, (c: LoopExpr) => this.expr(c));
    this.memo.set(e, r);
    return r;
  }
  /** The name of a quotient, minimum and the like that dims alone decide; null when it is none, or may be negative. */
  private name(d: Dim): SymbolId | null {
    if (!isComputed(d)) return null;
    const old = this.names.get(d);
    if (old !== undefined) return old;
    const symbols = [...D.symbolsOf(d)];
    if (symbols.length === 0 || !symbols.every((s) => this.dims.has(s)) || !D.nonNegative(d, this.ranges)) return null;
    // Extents that are joined are one of them.
    const parts = d.kind === "broadcast" ? d.terms : [d];
    const positive = parts.every((t) => D.positive(t, this.ranges));
    const id = `${positive ? "$size" : "$count"}.${this.names.size}` as SymbolId;
    this.names.set(d, id);
    this.values.set(id, d);
    return id;
  }
  private inTerms(d: Dim): Dim {
    const name = this.names.get(d);
    if (name !== undefined) return D.sym(name);
    if (d.kind === "add") return D.add(...d.terms.map((t) => this.inTerms(t)));
    return d.kind === "mul" ? D.mul(...d.terms.map((t) => this.inTerms(t))) : d;
  }
}
const isComputed = (d: Dim): boolean => !["int", "sym", "add", "mul"].includes(d.kind);

/** An expression over dims as a Dim, that of two extents that are joined included. */
function dimOf(e: LoopExpr): Dim | null {
  return toDim(e, (x) => {
    if (x.kind !== "select" || x.cond.kind !== "binary" || x.cond.op !== "eq") return null;
    const [a, b, tested] = [x.a, x.b, x.cond.a].map((y) => dimOf(y as LoopExpr));
    const one = x.cond.b.kind === "const" && Number(x.cond.b.value) === 1;
    return one && a && b && tested === b ? D.broadcast(b, a) : null;
  });
}
