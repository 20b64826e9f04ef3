// T, the tensor-expression IR: each output element as a formula over input elements, and how buffers lie in memory; no order.
//
// A stage defines every element of its output buffers over its axes (the stage's spatial axes are the axes of its outputs,
// in order). A Reduce stands only at the root of a body. Indices are logical. A stage with `scan` visits that axis in
// ascending order and may read its own output at an earlier index of it. Actions give stages, kernels and control flow an order.
import type { BufferId, StageId, SymbolId } from "../base/brand.ts";
import type { Loc } from "../base/diagnostics.ts";
import type { Dim, Sym } from "./dim.ts";
import type { Binary, Bitcast, Cast, Const, Load, MulAdd, Select, Table, Unary, Var } from "./expr.ts";
import type { Kernel } from "./loops.ts";
import type { Action, Requirement } from "./program.ts";
import type { Buffer } from "./storage.ts";
import type { DType, Tensor } from "./types.ts";

export type Axis = { readonly name: string; readonly extent: Dim; readonly role: "spatial" | "reduce" };
/**
 * For each point of `axes` (in any order, unless the stage says math strict) every state variable becomes its `update`, read
 * all at once; then `result` is the element. merge, over variables `NAME` and `NAME'`, joins two partial states; null: no split.
 */
export interface Reduce {
  readonly kind: "reduce";
  readonly dtype: DType;
  readonly axes: readonly Axis[];
  readonly state: readonly { readonly name: string; readonly dtype: DType; readonly init: Const }[];
  readonly update: readonly TeExpr[];
  readonly merge: readonly TeExpr[] | null;
  readonly result: TeExpr;
}
export type TeExpr =
  | Const
  | Var
  | Load<TeExpr>
  | Table<TeExpr>
  | Unary<TeExpr>
  | Binary<TeExpr>
  | MulAdd<TeExpr>
  | Select<TeExpr>
  | Cast<TeExpr>
  | Bitcast<TeExpr>
  | Reduce;

export type Stage = {
  readonly id: StageId;
  /** For names of kernels: the op it came from. */
  readonly name: string;
  /** Spatial axes only; a reduce names its own. */
  readonly axes: readonly Axis[];
  readonly outs: readonly { readonly buffer: BufferId; readonly body: TeExpr }[];
  readonly scan: string | null;
  readonly loc: Loc;
};
/** A set of stages with one root, computed by one kernel. Where a stage is computed is a schedule step. */
export type Group = { readonly root: StageId; readonly stages: readonly Stage[] };

/** What a T program calls: a group of stages, or a kernel already in loops with its arguments. */
export type TeCall =
  | { readonly kind: "group"; readonly group: Group }
  | {
      readonly kind: "kernel";
      readonly kernel: Kernel;
      readonly args: readonly BufferId[];
      readonly scalars: readonly Dim[];
      readonly loc: Loc;
    };
export type TeAction = Action<TeCall>;

export type TeProgram = {
  readonly name: string;
  readonly symbols: readonly Sym[];
  readonly requires: readonly Requirement[];
  readonly buffers: ReadonlyMap<BufferId, Buffer>;
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly constants: ReadonlyMap<BufferId, Tensor>;
  readonly actions: readonly TeAction[];
};
/** An input or output of a program: the name that users see, and its buffer, always in dense row-major storage. */
export type Port = { readonly name: string; readonly buffer: BufferId };
export type DimId = SymbolId;
