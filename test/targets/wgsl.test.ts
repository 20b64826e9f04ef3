import { afterAll, describe, expect, test } from "vitest";
import { GpuModel } from "../../runtime/webgpu.ts";
import type { Program } from "../../src/ir/program.ts";
import type { Tensor } from "../../src/ir/types.ts";
import { countOf, elementBytes, typedView } from "../../src/ir/types.ts";
import { planProgram } from "../../targets/wgsl/plan.ts";
import { testGpu } from "./gpu.ts";
import { programs } from "./programs.ts";

const { gpu, reason } = await testGpu();
const info = { align: 256, minCellBytes: 4, ioInArena: true };

describe.skipIf(gpu === null)(`wgsl ${reason}`, () => {
  for (const f of programs) {
    test(f.name, async (ctx) => {
      if (f.needs.vectors > 1 || f.needs.dtypes.some((d) => ["f64", "i64", "u64"].includes(d)))
        ctx.skip(JSON.stringify(f.needs));
      const p = f.layout(info);
      const { plan, wgsl } = planProgram(p);
      const m = await GpuModel.create(plan, wgsl, new Uint8Array(1 << 20), { gpu: gpu! });
      for (const r of f.runs) {
        const ins = Object.fromEntries(
          Object.entries(r.inputs).map(([k, t]) => [k, { data: typedView(t.dtype, t.bytes), dims: t.dims }]),
        );
        if ("fails" in r) {
          await expect(m.run(ins as never)).rejects.toThrow();
          continue;
        }
        const got = await m.run(ins as never, { seed: r.seed ?? 0 });
        for (const [name, want] of Object.entries(r.expected)) {
          const w = typedView(want.dtype, want.bytes);
          const g = got[name]!;
          expect(g.dims).toEqual(want.dims);
          const bad: string[] = [];
          for (let i = 0; i < w.length; i++)
            if (!Object.is(g.data[i], w[i]))
              bad.push(
                `${i}: got ${g.data[i]} want ${w[i]} row ${f.rows?.[name]?.[Math.floor(i / (w.length / want.dims[0]!))]}`,
              );
          expect(bad.slice(0, 40), `${name} ${bad.length} of ${w.length}`).toEqual([]);
        }
      }
      m.dispose();
    });
  }
});
