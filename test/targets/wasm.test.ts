import wabtModule from "wabt";
import { describe, expect, test } from "vitest";
import { link } from "../../runtime/linear.ts";
import type { Tensor } from "../../src/ir/types.ts";
import { elementBytes, typedView } from "../../src/ir/types.ts";
import { manifestOf } from "../../targets/loader/manifest.ts";
import { wasmModule, wasmTarget } from "../../targets/wasm/index.ts";
import type { Fixture } from "./programs.ts";
import { programs } from "./programs.ts";

const wabt = await wabtModule();
const features = { simd: true, sat_float_to_int: true, sign_extension: true, bulk_memory: true, mutable_globals: true };

function supported(f: Fixture): boolean {
  const { info } = wasmTarget;
  const { vectors, dtypes, natives } = f.needs;
  return vectors * 4 <= info.vectorBytes && dtypes.every((d) => info.dtypes.has(d) || elementBytes(d) < 4) && natives.every((n) => info.natives.has(n));
}

/** Units in the last place between two numbers of a float type; 0 when both are NaN. */
function distance(t: Tensor, got: ArrayLike<number | bigint>, i: number): number {
  const want = typedView(t.dtype, t.bytes)[i]!;
  const x = got[i]!;
  if (Object.is(x, want)) return 0;
  if (typeof x === "bigint" || (t.dtype !== "f32" && t.dtype !== "f64")) return Number.POSITIVE_INFINITY;
  const order = (v: number): bigint => {
    const d = new DataView(new ArrayBuffer(8));
    if (t.dtype === "f32") d.setFloat32(0, v);
    else d.setFloat64(0, v);
    const b = t.dtype === "f32" ? BigInt(d.getInt32(0)) : d.getBigInt64(0);
    const low = t.dtype === "f32" ? 2n ** 31n : 2n ** 63n;
    return b < 0n ? -b - low : b;
  };
  if (Number.isNaN(x) || Number.isNaN(Number(want)) || x === want) return Number.POSITIVE_INFINITY;
  const n = order(x) - order(Number(want));
  return Number(n < 0n ? -n : n);
}

describe("every program", () => {
  for (const f of programs.filter(supported)) {
    test(f.name, async () => {
      const bytes = await wasmModule(f.program, { weights: "embed" });
      const text = wabt.readWasm(bytes, { ...features, readDebugNames: false });
      text.validate();
      text.destroy();
      const load = link(manifestOf(f.program, "t", "module"), {});
      const model = await load({ wasm: bytes as BufferSource });
      for (const [r, run] of f.runs.entries()) {
        const inputs = Object.fromEntries(Object.entries(run.inputs).map(([k, t]) => [k, { data: typedView(t.dtype, t.bytes), dims: t.dims }]));
        const options = run.seed === undefined ? {} : { seed: run.seed };
        if ("fails" in run) {
          expect(() => model.runSync(inputs, options), `run ${r}`).toThrow(run.fails === 1 ? /depends on the data/ : run.fails === 2 ? /out of memory/ : /expected|no memory/);
          continue;
        }
        const out = model.runSync(inputs, options);
        for (const [name, want] of Object.entries(run.expected)) {
          const got = out[name]!;
          expect(got.dims, `run ${r} ${name}`).toEqual(want.dims);
          const wrong: string[] = [];
          const columns = want.dims.slice(1).reduce((a, b) => a * b, 1);
          for (let i = 0; i < got.data.length; i++) {
            if (distance(want, got.data, i) <= (f.ulps ?? 0)) continue;
            const row = f.rows?.[name]?.[Math.floor(i / columns)] ?? "";
            wrong.push(`${name}[${i}] ${row}: ${got.data[i]}, expected ${typedView(want.dtype, want.bytes)[i]}`);
          }
          expect(wrong.slice(0, 10), `run ${r}`).toEqual([]);
        }
      }
    });
  }
});
