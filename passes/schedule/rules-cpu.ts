// Schedule rules for CPUs, in order.
import type { ScheduleRule } from "../../src/ir/schedule.ts";

export const cpuRules: readonly ScheduleRule<never>[] = [];
