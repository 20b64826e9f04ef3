// The programs that every target runs, on WebGPU: each kernel is a single invocation.
import { describe, expect, test } from "vitest";
import { typedView } from "../../src/ir/types.ts";
import { wgslInfo } from "../../targets/wgsl/info.ts";
import { needGpu } from "../need.ts";
import { expectRun, gpuInputs, gpuModel } from "./gpu.ts";
import type { Fixture } from "./programs.ts";
import { programs } from "./programs.ts";

const gpu = await needGpu();
const denormal = (x: number): boolean => x !== 0 && Math.abs(x) < 2 ** -126;

function why(f: Fixture): string | null {
  if (f.needs.vectors > 1) return "WGSL has no vectors";
  const lacks = f.needs.dtypes.filter((d) => !wgslInfo.dtypes.has(d) && !["i8", "u8", "i16", "u16"].includes(d));
  return lacks.length > 0 ? `WGSL has no ${lacks.join()}` : null;
}

describe.skipIf(gpu === null)("wgsl", () => {
  for (const f of programs) {
    test(f.name, async (ctx) => {
      const reason = why(f);
      if (reason !== null) ctx.skip(reason);
      const m = await gpuModel(gpu!, f.layout(wgslInfo));
      try {
        for (const r of f.runs) {
          if ("fails" in r) {
            await expect(m.run(gpuInputs(r.inputs))).rejects.toThrow();
            continue;
          }
          // WGSL may flush denormals, of operands and of results, and its fma may round twice.
          const operands = Object.values(r.inputs).filter((t) => t.dtype === "f32");
          const flushed = operands.map((t) => [...(typedView("f32", t.bytes) as Float32Array)].map(denormal));
          const count = flushed[0]?.length ?? 1;
          await expectRun(m, r.inputs, r.expected, {
            ...r,
            ulps: f.ulps ?? 0,
            ignore: (output, i, want) => output === "fused" || denormal(want) || flushed.some((x) => x[i % count]),
          });
        }
      } finally {
        m.dispose();
      }
    });
  }
});
