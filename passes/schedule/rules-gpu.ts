// Schedule rules for GPUs, in order.
import * as D from "../../src/ir/dim.ts";
import type { ScheduleRule, ScheduleStep } from "../../src/ir/schedule.ts";

/** One thread an element: the spatial axes as one loop, split into blocks of a workgroup. */
const elements: ScheduleRule<true> = {
  name: "elements",
  match: (g) => (g.stages.length === 1 && g.stages[0]!.scan === null ? true : null),
  steps: (_m, g, ctx) => {
    const s = g.stages[0]!;
    if (s.axes.length === 0 || D.product(s.axes.map((a) => a.extent)) === D.one) return [];
    const stage = s.id;
    const names = s.axes.map((a) => a.name);
    const steps: ScheduleStep[] = [];
    let all = names[0]!;
    if (names.length > 1) {
      steps.push({ stage, kind: "fuse", axes: names });
      all = names.join("+");
    }
    steps.push(
      { stage, kind: "split", axis: all, by: ctx.target.gpu?.workgroup ?? 64, tail: "guard" },
      { stage, kind: "mark", axis: `${all}.o`, as: "block.x" },
      { stage, kind: "mark", axis: `${all}.i`, as: "thread.x" },
    );
    return steps;
  },
};
export const gpuRules: readonly ScheduleRule<true>[] = [elements];
