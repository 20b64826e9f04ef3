// Chooses a schedule for a group: the first rule that matches.
import { InternalError } from "../../src/base/assert.ts";
import type { RuleCtx, Schedule, ScheduleRule, ScheduleStep } from "../../src/ir/schedule.ts";
import type { Group } from "../../src/ir/te.ts";
import { cpuRules } from "./rules-cpu.ts";
import { gpuRules } from "./rules-gpu.ts";

/** Everything serial, in the order of the axes, reductions innermost. */
export const fallback: ScheduleRule<true> = {
  name: "fallback",
  match: () => true,
  steps: (_m, g) =>
    g.stages.filter((s) => s.id !== g.root).map((s): ScheduleStep => ({ stage: s.id, kind: "attach", at: null })),
};

export function chooseSchedule(g: Group, ctx: RuleCtx): Schedule {
  for (const rule of [...(ctx.target.gpu ? gpuRules : cpuRules), fallback]) {
    const m = (rule as ScheduleRule).match(g, ctx);
    if (m !== null) return { rule: rule.name, steps: (rule as ScheduleRule).steps(m, g, ctx) };
  }
  throw new InternalError("the fallback rule did not match");
}

/** The schedule of one rule, which must match. */
export function scheduleBy<M>(rule: ScheduleRule<M>, g: Group, ctx: RuleCtx): Schedule {
  const m = rule.match(g, ctx);
  if (m === null) throw new InternalError(`rule ${rule.name} does not match`);
  return { rule: rule.name, steps: rule.steps(m, g, ctx) };
}
