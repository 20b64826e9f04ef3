// The loop passes, in order: from a scheduled nest with logical indices to what printers get.
import type { BufferId } from "../../src/base/brand.ts";
import type { Ranges } from "../../src/ir/dim.ts";
import type { Kernel, Stmt } from "../../src/ir/loops.ts";
import type { Buffer } from "../../src/ir/storage.ts";
import type { TargetInfo } from "../../src/ir/target.ts";
import { flatten } from "./flatten.ts";
import { registers } from "./registers.ts";
import { unroll } from "./unroll.ts";

export type LoopCtx = { readonly target: TargetInfo; readonly ranges: Ranges; readonly freshBuffer: () => BufferId };

export const vectorLanes = (t: TargetInfo): number => Math.max(1, t.vectorBytes / 4);

/** From logical indices to linear ones, and from marks to vectors and registers. Buffers are still those of the program. */
export function lowerNest(body: Stmt, buffers: readonly Buffer[], ctx: LoopCtx): Stmt {
  const flat = flatten(body, buffers, ctx.ranges);
  const straight = unroll(flat, vectorLanes(ctx.target));
  return registers(straight, ctx.freshBuffer);
}

/** What is done to a kernel on its own: types and math of the target, shared subexpressions, pointers. */
export function finishKernel(k: Kernel, _target: TargetInfo): Kernel {
  return k;
}
