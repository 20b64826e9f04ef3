// Schedules: plain data that says in which order, lanes and threads a group's stages are computed.
import type { BufferId, StageId } from "../base/brand.ts";
import type { Ranges } from "./dim.ts";
import type { LoopKind } from "./loops.ts";
import type { Buffer } from "./storage.ts";
import type { TargetInfo } from "./target.ts";
import type { Axis, Group, Stage } from "./te.ts";

/**
 * Loops are named after axes. split makes A.o (counting in steps of `by`) and A.i from A; fuse makes "A+B" from A and B, A outermost.
 * tail: peel puts what does not divide behind the main loop; guard tests every iteration; overlap lets the last iteration start early and
 * compute some elements again (only where that is harmless: a stage that does not read what it writes; peel where the extent is open). order names all loops of the stage,
 * outermost first; a reduction keeps one accumulator for each iteration of the spatial loops that stand inside its first reduce
 * loop, which must have constant extents. rfactor keeps one partial result for each iteration of an inner reduce loop and merges them at the end.
 * attach computes the stage inside loop `at` of the root: only what that iteration needs.
 */
export type ScheduleStep = { readonly stage: StageId } & (
  | { readonly kind: "split"; readonly axis: string; readonly by: number; readonly tail: "peel" | "guard" | "overlap" }
  | { readonly kind: "fuse"; readonly axes: readonly string[] }
  | { readonly kind: "order"; readonly axes: readonly string[] }
  | { readonly kind: "mark"; readonly axis: string; readonly as: LoopKind }
  | { readonly kind: "rfactor"; readonly axis: string }
  | { readonly kind: "attach"; readonly at: string | null }
);
export type Schedule = { readonly rule: string; readonly steps: readonly ScheduleStep[] };

/** What rules may look at besides the group and the target. */
export type RuleCtx = {
  readonly target: TargetInfo;
  readonly buffer: (id: BufferId) => Buffer;
  readonly ranges: Ranges;
  /** Sums keep one order on every target: no rfactor. */
  readonly strict: boolean;
};
/** A rule for groups it matches. The first match of an ordered list wins; `fallback` always matches. */
export type ScheduleRule<M = unknown> = {
  readonly name: string;
  readonly match: (g: Group, ctx: RuleCtx) => M | null;
  readonly steps: (m: M, g: Group, ctx: RuleCtx) => readonly ScheduleStep[];
};

/** All axes of a stage: spatial ones, then those of its reduction. */
export function axesOf(s: Stage): readonly Axis[] {
  const body = s.outs[0]?.body;
  return body?.kind === "reduce" ? [...s.axes, ...body.axes] : s.axes;
}
