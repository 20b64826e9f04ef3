// Marks the loops of a schedule whose iterations are independent, for targets with threads. Which of them are worth it is settled
// when the loops are there (passes/loops/parallel.ts).
import { must } from "../../src/base/assert.ts";
import type { Schedule, ScheduleStep } from "../../src/ir/schedule.ts";
import type { Group } from "../../src/ir/te.ts";
import { loopsOf } from "./apply.ts";

/** The schedule with the outer loops over elements of the root marked parallel: down to those of a tile, a sum, or a stage inside. */
export function withParallel(g: Group, s: Schedule): Schedule {
  const root = must(
    g.stages.find((x) => x.id === g.root),
    "the root",
  );
  // A scan visits an axis in order.
  if (root.scan !== null) return s;
  const inside = new Set(s.steps.flatMap((x) => (x.kind === "attach" && x.at !== null ? [x.at] : [])));
  const marks: ScheduleStep[] = [];
  for (const l of loopsOf(root, s.steps)) {
    if (l.role !== "spatial" || l.mark !== "serial") break;
    marks.push({ stage: root.id, kind: "mark", axis: l.name, as: "parallel" });
    if (inside.has(l.name)) break;
  }
  return { ...s, steps: [...s.steps, ...marks] };
}
