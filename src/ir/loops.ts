// L, the loop IR: order, lanes, threads, registers; not a target's syntax. A target is a printer of this.
//
// What a printer gets (after all loop passes; `verify` in verify.ts checks it):
// - Every index is one linear i32 expression in elements of the buffer, or a Ramp of it (stride 1), from the parameter's pointer.
//   With `via: p` it is relative to the pointer variable p of an enclosing loop instead, and is an integer constant
//   (or a Ramp of one): an immediate offset.
// - A load's dtype is the buffer's. Buffers hold f64 f32 i64 u64 i32 u32 i16 u16 i8 u8 bool (one byte, 0 or 1). A loaded i8, i16, u8, u16
//   has a 32-bit register (i32: sign- or zero-extended); its dtype says how it was loaded. A store truncates.
// - unary, binary, mulAdd, select have dtypes f32 f64 i32 u32 i64 u64 bool only, as operands and results.
// - cast goes between any two of the eleven; to a narrow integer: the value wrapped to that range, in a 32-bit register.
// - Vector expressions have 4 lanes of a 4-byte type on wasm (target.vectorBytes / 4 elsewhere): Load of a Ramp (of i8, u8, i16 and u16
//   too, under a cast that extends each cell to a lane of i32; a store truncates lanes to such cells), Splat, Ramp (i32, as a value), unary, binary, mulAdd, select, cast between f32 and i32, bitcast. A vector comparison is a mask;
//   its only uses are select's cond, and, or, xor, not. Printers may rely on TargetInfo for which of these they get.
// - A register buffer is a local variable: shape [] is a scalar (index [0]), shape [lanes] a vector (index [Ramp(0, 1, lanes)]).
//   It is undefined until its first store. No other scope but parameters, register and (GPU) workgroup is left.
// - `let` is immutable and may hold a vector. Names of loops, lets and register buffers are unique in a kernel. They and the
//   ids of symbols may be any string: a printer makes them identifiers.
// - `for` counts v = 0, step, 2*step, ... while v < extent; extent may be negative or 0: no iteration. unroll and vector
//   loops are gone. `parallel` iterations are independent. The body of an `apart` loop is best a function of its own, called in each
//   iteration; no register buffer of outside is in it. block.* and thread.* are WGSL's workgroup_id and
//   local_invocation_id: their extents are the grid (any expression of dims) and the workgroup size (constant).
// - Kernels read dims as i32 variables, listed in `dims`, and scalars.
// - Two parameters may overlap in memory only if `mayOverlap` lists the pair (by position).
import type { BufferId, SymbolId } from "../base/brand.ts";
import type { Range } from "./dim.ts";
import * as D from "./dim.ts";
import type { Binary, Bitcast, Cast, Const, Load, MulAdd, Select, Table, Unary, Var } from "./expr.ts";
import type { Buffer } from "./storage.ts";
import type { DType } from "./types.ts";

export type LoopKind =
  | "serial"
  | "unroll"
  | "vector"
  | "parallel"
  | "apart"
  | `block.${"x" | "y" | "z"}`
  | `thread.${"x" | "y" | "z"}`;

/** base, base + stride, ... over `lanes` lanes. */
export interface Ramp {
  readonly kind: "ramp";
  readonly base: LoopExpr;
  readonly stride: number;
  readonly lanes: number;
  readonly dtype: DType;
}
export interface Splat {
  readonly kind: "splat";
  readonly x: LoopExpr;
  readonly lanes: number;
  readonly dtype: DType;
}
/** Reduces adjacent lanes: factor lanes become one; factor = lanes gives a scalar (a horizontal sum, max or min). */
export interface Lanes {
  readonly kind: "lanes";
  readonly op: "sum" | "max" | "min";
  readonly factor: number;
  readonly dtype: DType;
  readonly x: LoopExpr;
}
export type LoopExpr =
  | Const
  | Var
  | Load<LoopExpr>
  | Table<LoopExpr>
  | Unary<LoopExpr>
  | Binary<LoopExpr>
  | MulAdd<LoopExpr>
  | Select<LoopExpr>
  | Cast<LoopExpr>
  | Bitcast<LoopExpr>
  | Ramp
  | Splat
  | Lanes;

/** A moving pointer: starts at element `init` of buffer on entry of the loop, advances by `step` elements after each iteration. */
export type Pointer = {
  readonly name: string;
  readonly buffer: BufferId;
  readonly init: LoopExpr;
  readonly step: LoopExpr;
};
export interface For {
  readonly kind: "for";
  readonly v: string;
  readonly extent: LoopExpr;
  readonly step: number;
  readonly loop: LoopKind;
  readonly pointers?: readonly Pointer[];
  readonly body: Stmt;
}
export interface Store {
  readonly kind: "store";
  readonly buffer: BufferId;
  readonly dtype: DType;
  readonly index: readonly LoopExpr[];
  readonly value: LoopExpr;
  readonly via?: string;
  readonly atomic?: "add" | "max";
}
export type Stmt =
  | For
  | Store
  | { readonly kind: "let"; readonly name: string; readonly value: LoopExpr; readonly body: Stmt }
  | { readonly kind: "if"; readonly cond: LoopExpr; readonly then: Stmt; readonly otherwise?: Stmt }
  | { readonly kind: "while"; readonly cond: LoopExpr; readonly body: Stmt }
  | { readonly kind: "seq"; readonly body: readonly Stmt[] }
  | { readonly kind: "alloc"; readonly buffer: Buffer; readonly body: Stmt }
  | { readonly kind: "barrier" };

/** Equal when alpha-renamed text and aliasing pattern are equal; such kernels are one function. */
export type Kernel = {
  readonly name: string;
  readonly params: readonly Buffer[];
  readonly scalars: readonly { readonly name: string; readonly dtype: DType }[];
  readonly dims: readonly SymbolId[];
  readonly mayOverlap: readonly (readonly [number, number])[];
  readonly body: Stmt;
  /** The same computation over the same parameters in other vectors, where that is another text; in the order of TargetInfo.variants. */
  readonly variants?: readonly KernelVariant[];
};
export type KernelVariant = { readonly lanes: number; readonly body: Stmt };
/** A kernel's body in all its vectors. */
export function bodiesOf(k: Kernel): readonly Stmt[] {
  return [k.body, ...(k.variants ?? []).map((x) => x.body)];
}

/** What is known of a dim of a kernel's own by its name: it is positive, or not negative. */
export function sizeRange(id: string): Range | null {
  if (id.startsWith("$size.")) return { min: D.one, max: null };
  return id.startsWith("$count.") ? { min: D.zero, max: null } : null;
}

const laneMemo = new WeakMap<LoopExpr, number>();
/** Lanes of an expression: 1 for a scalar. */
export function lanesOf(e: LoopExpr): number {
  switch (e.kind) {
    case "const":
      return 1;
    case "var":
      return e.lanes ?? 1;
    case "ramp":
    case "splat":
      return e.lanes;
  }
  const known = laneMemo.get(e);
  if (known !== undefined) return known;
  let n: number;
  switch (e.kind) {
    case "load":
      n = e.index.length === 1 ? lanesOf(e.index[0]!) : Math.max(1, ...e.index.map(lanesOf));
      break;
    case "table":
      n = lanesOf(e.index);
      break;
    case "unary":
    case "cast":
    case "bitcast":
      n = lanesOf(e.x);
      break;
    case "binary":
      n = Math.max(lanesOf(e.a), lanesOf(e.b));
      break;
    case "mulAdd":
      n = Math.max(lanesOf(e.a), lanesOf(e.b), lanesOf(e.c));
      break;
    case "select":
      n = Math.max(lanesOf(e.cond), lanesOf(e.a), lanesOf(e.b));
      break;
    case "lanes":
      n = lanesOf(e.x) / e.factor;
      break;
  }
  laneMemo.set(e, n);
  return n;
}
export const nothing: Stmt = { kind: "seq", body: [] };
/** A sequence, flattened; one statement stands for itself. */
export function seq(body: readonly Stmt[]): Stmt {
  const flat = body.flatMap((s) => (s.kind === "seq" ? s.body : [s]));
  return flat.length === 1 ? flat[0]! : { kind: "seq", body: flat };
}
