// Kernels that op definitions write in loops: short spellings of L, and the call.
import type { BufferId } from "../base/brand.ts";
import type { Dim } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { type Expr, i32, ofDim, v } from "../ir/expr.ts";
import { type Stmt, seq } from "../ir/loops.ts";
import type { TeBuilder } from "../ir/opdef.ts";
import { type Buffer, dense } from "../ir/storage.ts";

/** A kernel under construction: makes names and buffers that are unique in it, and notes the symbols that it reads. */
export class KernelScope {
  readonly symbols: Set<D.Sym["id"]> = new Set();
  private names = 0;
  private buffers: number;
  constructor(firstBuffer: number) {
    this.buffers = firstBuffer;
  }
  dim(d: Dim): Expr {
    D.symbolsOf(d, this.symbols);
    return ofDim(d);
  }
  /** Runs body for i = 0 .. extent-1. */
  loop(extent: Dim | Expr, body: (i: Expr) => Stmt, kind: "serial" | "parallel" = "serial"): Stmt {
    const name = `i${this.names++}`;
    return {
      kind: "for",
      v: name,
      extent: "key" in extent ? this.dim(extent) : extent,
      step: 1,
      loop: kind,
      body: body(v(name)),
    };
  }
  /** Nested loops over a shape, the outermost axis first. */
  nest(shape: readonly Dim[], body: (index: readonly Expr[]) => Stmt, kind: "serial" | "parallel" = "serial"): Stmt {
    const walk = (k: number, index: readonly Expr[]): Stmt =>
      k === shape.length ? body(index) : this.loop(shape[k]!, (i) => walk(k + 1, [...index, i]), kind);
    return walk(0, []);
  }
  let(value: Expr, body: (x: Expr) => Stmt): Stmt {
    const name = `x${this.names++}`;
    return { kind: "let", name, value, body: body(v(name, value.dtype)) };
  }
  /** A variable that body may set. */
  variable(init: Expr, body: (x: Variable) => Stmt): Stmt {
    const buffer: Buffer = {
      id: this.buffers++ as BufferId,
      name: `v${this.names++}`,
      dtype: init.dtype,
      shape: [],
      scope: "register",
      storage: dense([]),
    };
    const x: Variable = { get: E.load(buffer, []), set: (value) => store(buffer, [], value) };
    return { kind: "alloc", buffer, body: seq([x.set(init), body(x)]) };
  }
}
export type Variable = { readonly get: Expr; readonly set: (value: Expr) => Stmt };

export function store(b: Buffer, index: readonly Expr[], value: Expr): Stmt {
  return { kind: "store", buffer: b.id, dtype: b.dtype, index, value };
}
export function when(cond: Expr, then: Stmt, otherwise?: Stmt): Stmt {
  return { kind: "if", cond, then, ...(otherwise ? { otherwise } : {}) };
}
export function whileLoop(cond: Expr, body: Stmt): Stmt {
  return { kind: "while", cond, body };
}
export { seq };

/**
 * Calls a kernel over `args`; body sees them as its parameters, in order. An argument that is only written must be written whole:
 * nothing is in it before.
 */
export function callKernel(
  b: TeBuilder,
  name: string,
  args: readonly Buffer[],
  body: (k: KernelScope, params: readonly Buffer[]) => Stmt,
): void {
  const params = args.map(
    (a, i): Buffer => ({
      id: i as BufferId,
      name: `p${i}`,
      dtype: a.dtype,
      shape: a.shape,
      scope: a.scope,
      storage: null,
    }),
  );
  const k = new KernelScope(args.length);
  const stmt = body(k, params);
  for (const p of params) for (const d of p.shape) D.symbolsOf(d, k.symbols);
  b.kernel({ name, params, scalars: [], dims: [...k.symbols].sort(), mayOverlap: [], body: stmt }, args);
}

/** The indices of element `flat` of a tensor of this shape, in row-major order. */
export function unravel(flat: Expr, shape: readonly Dim[]): Expr[] {
  return shape.map((d, k) => {
    if (d === D.one) return i32(0);
    const inner = D.product(shape.slice(k + 1));
    const q = inner === D.one ? flat : E.floordiv(flat, ofDim(inner));
    return shape.slice(0, k).every((e) => e === D.one) ? q : E.floormod(q, ofDim(d));
  });
}
/** The place of an index in row-major order. */
export function ravel(index: readonly Expr[], shape: readonly Dim[]): Expr {
  let flat: Expr | null = null;
  shape.forEach((d, k) => {
    if (d === D.one) return;
    flat = flat === null ? index[k]! : E.add(E.mul(flat, ofDim(d)), index[k]!);
  });
  return flat ?? i32(0);
}
