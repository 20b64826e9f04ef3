import { describe, expect, test } from "vitest";
import type { Tensor } from "../../src/ir/types.ts";
import { Instance, RunError } from "../../targets/js/evaluate.ts";
import { compare } from "./programs/compare.ts";
import { programs } from "./programs.ts";

const runnable = programs.filter((f) => f.needs.vectors === 1);

describe.each(runnable.map((f) => [f.name, f] as const))("js runs %s", (_, f) => {
  test.each([false, true])("strict: %s", (strict) => {
    const instance = new Instance(f.program, { strict });
    for (const run of f.runs) {
      const inputs = new Map<string, Tensor>(Object.entries(run.inputs));
      const once = () => instance.run(inputs, run.seed ?? 0);
      if ("fails" in run) {
        expect(once).toThrow(RunError);
        try {
          once();
        } catch (e) {
          expect((e as RunError).status).toBe(run.fails);
        }
      } else expect(compare(f, run.expected, once())).toEqual([]);
    }
  });
});
