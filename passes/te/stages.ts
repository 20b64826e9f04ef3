// The stages of a program, and ids that none of them has yet.
import type { BufferId, StageId } from "../../src/base/brand.ts";
import { visitActions } from "../../src/ir/rewrite.ts";
import type { Stage, TeAction, TeProgram } from "../../src/ir/te.ts";

/** All stages, in the order of the actions. */
export function stagesOf(p: TeProgram): readonly Stage[] {
  const out: Stage[] = [];
  visitActions(p.actions, (a) => {
    if (a.kind === "call" && a.call.kind === "group") out.push(...a.call.group.stages);
  });
  return out;
}
/** The stage that an action is alone; null for any other action. */
export function stageOf(a: TeAction): Stage | null {
  return a.kind === "call" && a.call.kind === "group" && a.call.group.stages.length === 1
    ? a.call.group.stages[0]!
    : null;
}
/** The action that is one stage. */
export const called = (s: Stage): TeAction => ({
  kind: "call",
  call: { kind: "group", group: { root: s.id, stages: [s] } },
});
/** The last stage that writes each buffer. */
export function producersOf(p: TeProgram): ReadonlyMap<BufferId, Stage> {
  return new Map(stagesOf(p).flatMap((s) => s.outs.map((o) => [o.buffer, s] as const)));
}
/** Ids for what a pass adds to a program: none that a buffer or stage of it has. */
export class FreshIds {
  private nextBuffer: number;
  private next: number;
  constructor(p: TeProgram) {
    this.nextBuffer = Math.max(-1, ...p.buffers.keys()) + 1;
    this.next = stagesOf(p).reduce((n, s) => Math.max(n, s.id + 1), 0);
  }
  /** What `stage` gives next: part of the names of its axes. */
  get nextStage(): number {
    return this.next;
  }
  buffer(): BufferId {
    return this.nextBuffer++ as BufferId;
  }
  stage(): StageId {
    return this.next++ as StageId;
  }
}
