// The shared programs through the WebAssembly target; and what its code looks like.

import { describe, expect, test } from "vitest";
import wabtModule from "wabt";
import type { Model } from "../../runtime/linear.ts";
import { link } from "../../runtime/linear.ts";
import type { Value } from "../../runtime/ports.ts";
import type { Program } from "../../src/ir/program.ts";
import type { Tensor } from "../../src/ir/types.ts";
import { elementBytes, typedView } from "../../src/ir/types.ts";
import { manifestOf } from "../../targets/loader/manifest.ts";
import { wasmModule, wasmTarget } from "../../targets/wasm/index.ts";
import { compare } from "./programs/compare.ts";
import type { Fixture } from "./programs.ts";
import { programs } from "./programs.ts";

const wabt = await wabtModule();
/** The module as text, validated by wabt. */
function disassemble(bytes: Uint8Array): string {
  const m = wabt.readWasm(bytes, {
    simd: true,
    sat_float_to_int: true,
    sign_extension: true,
    bulk_memory: true,
    mutable_globals: true,
    readDebugNames: false,
  });
  m.validate();
  const text = m.toText({ foldExprs: true, inlineExport: false });
  m.destroy();
  return text;
}
const load = (p: Program, bytes: Uint8Array): Promise<Model> =>
  link(manifestOf(p, "t", "module"), {})({ wasm: bytes as BufferSource });

const isSupported = ({ needs }: Fixture): boolean =>
  needs.vectors * 4 <= wasmTarget.info.vectorBytes &&
  needs.dtypes.every((d) => wasmTarget.info.dtypes.has(d) || elementBytes(d) < 4) &&
  needs.natives.every((n) => wasmTarget.info.natives.has(n));

describe.each(programs.filter(isSupported).map((f) => [f.name, f] as const))("wasm runs %s", (_, f) => {
  const { program } = f;
  const tensorOf = (name: string, v: Value): Tensor => {
    const port = program.outputs.find((o) => o.name === name)!;
    const { buffer, byteOffset, byteLength } = v.data;
    return {
      dtype: program.buffers.get(port.buffer)!.dtype,
      dims: v.dims,
      bytes: new Uint8Array(buffer, byteOffset, byteLength),
    };
  };
  test("as expected", async () => {
    const bytes = await wasmModule(program, { weights: "embed" });
    expect(await wasmModule(program, { weights: "embed" })).toEqual(bytes);
    disassemble(bytes);
    const model = await load(program, bytes);
    for (const run of f.runs) {
      const inputs = Object.fromEntries(
        Object.entries(run.inputs).map(([k, t]) => [k, { data: typedView(t.dtype, t.bytes), dims: t.dims }]),
      );
      const once = () => model.runSync(inputs, { seed: run.seed ?? 0 });
      if ("fails" in run)
        expect(once).toThrow(
          run.fails === 1 ? /depends on the data/ : run.fails === 2 ? /out of memory/ : /expected|no memory/,
        );
      else
        expect(compare(f, run.expected, new Map(Object.entries(once()).map(([k, v]) => [k, tensorOf(k, v)])))).toEqual(
          [],
        );
    }
  });
});
