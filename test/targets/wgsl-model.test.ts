// The face of a loaded model on WebGPU: ports, conversions, errors, queued runs, and the files of an artifact.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import { GpuModel } from "../../runtime/gpu-model.ts";
import type { GpuOptions } from "../../runtime/webgpu.ts";
import { UserError } from "../../src/base/diagnostics.ts";
import * as D from "../../src/ir/dim.ts";
import type { Expr } from "../../src/ir/expr.ts";
import { add, cast, i32, mul, v } from "../../src/ir/expr.ts";
import type { Program } from "../../src/ir/program.ts";
import type { DType } from "../../src/ir/types.ts";
import { tensorOf, widened } from "../../src/ir/types.ts";
import { manifestOf } from "../../targets/loader/manifest.ts";
import { wgslTarget } from "../../targets/wgsl/index.ts";
import { wgslInfo } from "../../targets/wgsl/info.ts";
import { planProgram } from "../../targets/wgsl/plan.ts";
import { needGpu } from "../need.ts";
import { gpuModel } from "./gpu.ts";
import { Draft, loadOf, loop, n, store } from "./programs/draft.ts";

const gpu = await needGpu();

/** z = x * c + seed over [N, 3], with the kernel in `inner` and c a constant of 2. */
function doubling(port: DType, inner: DType = port): Program {
  const d = new Draft("doubling");
  const N = d.dimOf(0, "N", 1, 8);
  const x = d.input("x", port, [N, n(3)]);
  const c = d.constant("c", tensorOf(inner, [1], [2]));
  const z = d.output("z", port, [N, n(3)]);
  const k = d.kernel(
    "double",
    (kd) => {
      const [kx, kc] = [kd.param("x", inner, [N, n(3)]), kd.param("c", inner, [n(1)])];
      const kz = kd.param("z", inner, [N, n(3)]);
      // A narrow operand widens by a cast, as passes leave it.
      const wide = (e: Expr): Expr => cast<Expr>(widened(inner), e);
      const product = mul(wide(loadOf(kx, v("i")) as Expr), wide(loadOf(kc, i32(0)) as Expr));
      return loop("i", mul(v("N"), 3), store(kz, v("i"), add(product, wide(v("s")))));
    },
    { dims: ["N"], scalars: [{ name: "s", dtype: "i32" }] },
  );
  d.run.push(d.call(k, [x, c, z], { dims: [N], scalars: [D.sym("$seed")] }));
  return d.build(wgslInfo);
}
const model = (port: DType, inner?: DType): Promise<GpuModel> => gpuModel(gpu!, doubling(port, inner));

describe.skipIf(gpu === null)("wgsl model", () => {
  test("ports say names, types and dims", async () => {
    const m = await model("i32");
    expect(m.inputs).toEqual([{ name: "x", type: "int32", dims: ["N", 3] }]);
    expect(m.outputs).toEqual([{ name: "z", type: "int32", dims: ["N", 3] }]);
    m.dispose();
  });

  test("64-bit integers are converted, and refused when they do not fit", async () => {
    const m = await model("i64", "i32");
    const big = new BigInt64Array([1n, -2n, 1073741823n, 4n, 5n, 6n]);
    const { z } = await m.run({ x: { data: big, dims: [2, 3] } });
    expect(z).toEqual({ type: "int64", dims: [2, 3], data: big.map((e) => 2n * e) });
    big[4] = 2n ** 31n;
    await expect(m.run({ x: big })).rejects.toThrow(
      '"x": element 4 is 2147483648, and this target computes in 32 bits',
    );
    m.dispose();
    const u = await model("u64", "u32");
    const data = new BigUint64Array([2n ** 31n - 1n, 0n, 3n]);
    expect((await u.run({ x: data })).z!.data).toEqual(data.map((e) => 2n * e));
    await expect(u.run({ x: data.fill(2n ** 32n) })).rejects.toThrow("32 bits");
    u.dispose();
  });

  test("narrow types are a word each on the GPU and wrap", async () => {
    const types = [
      ["i8", Int8Array],
      ["u8", Uint8Array],
      ["i16", Int16Array],
      ["u16", Uint16Array],
    ] as const;
    for (const [type, make] of types) {
      const m = await model(type);
      const data = new make([-1, 127, 128, 32767, 5, 255]);
      const { z } = await m.run({ x: { data, dims: [2, 3] } }, { seed: 1 });
      expect(z!.data).toEqual(new make([...data].map((e) => 2 * e + 1)));
      m.dispose();
    }
    const m = await model("f16", "u16");
    const { z } = await m.run({ x: new Uint16Array([0x3c00, 0, 1]) });
    expect(z).toEqual({ type: "float16", dims: [1, 3], data: new Uint16Array([0x7800, 0, 2]) });
    m.dispose();
  });

  test("mistakes are said and leave the model usable", async () => {
    const m = await model("i32");
    const x = { data: new Int32Array(6), dims: [2, 3] };
    const cases: [unknown, string][] = [
      [{}, 'input "x" is missing: expected int32 [N, 3]'],
      [{ x, y: x }, 'unknown input "y": expected "x"'],
      [{ x: { data: new Float32Array(6), dims: [2, 3] } }, 'input "x": expected Int32Array (int32)'],
      [{ x: { data: new Int32Array(6), dims: [6] } }, 'input "x": expected dims [N, 3], got [6]'],
      [{ x: { data: new Int32Array(27), dims: [9, 3] } }, 'input "x": dim 0 (N) is 9, expected 1 to 8'],
      [{ x: { data: new Int32Array(5), dims: [2, 3] } }, 'input "x": 5 elements do not fill dims [2, 3]'],
      [{ x: new Int32Array(5) }, 'input "x": 5 elements do not fill dims [N, 3]'],
    ];
    for (const [inputs, message] of cases) await expect(m.run(inputs as never)).rejects.toThrow(message);
    await expect(m.run({ x }, { out: { y: new Int32Array(5) } })).rejects.toThrow('unknown output "y"');
    await expect(m.run({ x }, { out: { z: new Float32Array(6) } })).rejects.toThrow('out "z": expected Int32Array');
    await expect(m.run({ x }, { out: { z: new Int32Array(5) } })).rejects.toThrow("expected room for 6 elements");
    const out = new Int32Array(7).fill(-1);
    const { z } = await m.run({ x }, { out: { z: out }, seed: 7 });
    expect(z!.data).toEqual(new Int32Array(6).fill(7));
    expect([...out]).toEqual([7, 7, 7, 7, 7, 7, -1]);
    m.dispose();
    await expect(m.run({ x })).rejects.toThrow('model "doubling" is disposed');
  });

  test("runs at the same time are queued, with the inputs of the moment of the call", async () => {
    const m = await model("i32");
    const x = new Int32Array(24);
    const runs = [1, 2, 3, 8, 1].map(async (rows, i) => {
      const result = m.run({ x: x.subarray(0, 3 * rows).fill(i) }, { seed: 100 * i });
      return [...(await result).z!.data];
    });
    expect(await Promise.all(runs)).toEqual([1, 2, 3, 8, 1].map((rows, i) => new Array(3 * rows).fill(102 * i)));
    m.dispose();
  });

  test("a device of the caller is left alone, and its limits are kept", async () => {
    const adapter = (await gpu!.requestAdapter())!;
    const device = await adapter.requestDevice();
    const d = new Draft("large");
    const N = d.dimOf(0, "N", 1, null);
    const x = d.input("x", "i32", [N]);
    const z = d.output("z", "i32", [n(1)]);
    const t = d.temp("t", "i32", [D.mul(N, n(2 ** 20))]);
    const k = d.kernel("first", (kd) => {
      const [kx, kt, kz] = [kd.param("x", "i32", [N]), kd.param("t", "i32", [N]), kd.param("z", "i32", [n(1)])];
      return [store(kt, i32(0), loadOf(kx, i32(0))), store(kz, i32(0), loadOf(kt, i32(0)))];
    });
    d.run.push(d.call(k, [x, t, z]));
    const p = d.build(wgslInfo);
    const { plan, wgsl } = planProgram(p, manifestOf(p, "large", "module"));
    const m = await GpuModel.create(plan, wgsl, new Uint8Array(0), { device });
    const run = (rows: number): ReturnType<GpuModel["run"]> => m.run({ x: new Int32Array(rows).fill(rows) });
    expect([...(await run(3)).z!.data]).toEqual([3]);
    await expect(run(40)).rejects.toThrow(/E303 arena: 1677\d* bytes in one buffer; this device binds 134217728/);
    expect([...(await run(4)).z!.data]).toEqual([4]);
    m.dispose();
    device.pushErrorScope("validation");
    device.createBuffer({ size: 16, usage: 8 }).destroy();
    expect(await device.popErrorScope()).toBeNull();
    device.destroy();
  });

  test("a device that is lost is said", async () => {
    const device = await (await gpu!.requestAdapter())!.requestDevice();
    const p = doubling("i32");
    const { plan, wgsl } = planProgram(p, manifestOf(p, "lost", "module"));
    const m = await GpuModel.create(plan, wgsl, new Uint8Array(256), { device });
    device.destroy();
    await device.lost;
    await expect(m.run({ x: new Int32Array(3) })).rejects.toThrow("the GPU device was lost");
    m.dispose();
  });

  test("no adapter is said", async () => {
    const none = { requestAdapter: async () => null } as unknown as GPU;
    const p = doubling("i32");
    const { plan, wgsl } = planProgram(p, manifestOf(p, "none", "module"));
    await expect(GpuModel.create(plan, wgsl, new Uint8Array(256), { gpu: none })).rejects.toThrow(
      "no WebGPU adapter was found",
    );
  });

  test("an artifact's files load from where they are", async () => {
    const folder = mkdtempSync(join(tmpdir(), "ingot-wgsl-"));
    try {
      for (const weights of ["file", "embed"] as const) {
        const p = doubling("i64", "i32");
        const { files } = await wgslTarget.emit(p, { name: `double-${weights}`, weights, strict: false });
        const again = await wgslTarget.emit(p, { name: `double-${weights}`, weights, strict: false });
        expect(files).toEqual(again.files);
        expect(files.map((f) => [f.path.replace(`double-${weights}`, "X"), f.role])).toEqual([
          ["X.mjs", "loader"],
          ["X.d.ts", "types"],
          ["X.wgsl", "code"],
          ["X.plan.json", "plan"],
          ...(weights === "file" ? [["X.weights", "weights"]] : []),
        ]);
        for (const f of files) writeFileSync(join(folder, f.path), f.bytes);
        const url = pathToFileURL(join(folder, `double-${weights}.mjs`)).href;
        const { load } = (await import(/* @vite-ignore */ url)) as { load: (o: GpuOptions) => Promise<GpuModel> };
        const m = await load({ gpu: gpu! });
        const { z } = await m.run({ x: [1n, -2n, 3n] }, { seed: 5 });
        expect(z).toEqual({ type: "int64", dims: [1, 3], data: new BigInt64Array([7n, 1n, 11n]) });
        m.dispose();
        if (weights === "embed") continue;
        // Parts as bytes.
        const part = (suffix: string): Uint8Array<ArrayBuffer> =>
          files.find((f) => f.path.endsWith(suffix))!.bytes as Uint8Array<ArrayBuffer>;
        const given = { plan: part(".plan.json"), wgsl: part(".wgsl"), weights: part(".weights") };
        const other = await load({ gpu: gpu!, ...given });
        expect((await other.run({ x: [4, 5, 6] })).z!.data).toEqual(new BigInt64Array([8n, 10n, 12n]));
        other.dispose();
        await expect(load({ gpu: gpu!, weights: new Uint8Array(4) })).rejects.toThrow("the weights have 4 bytes");
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

test("f64 is refused", () => {
  const p = doubling("f64");
  const plan = (): unknown => planProgram(p, manifestOf(p, "double", "file"));
  expect(plan).toThrow(UserError);
  expect(plan).toThrow("E304");
});
test("constants that do not fit 32 bits are refused", async () => {
  const p = doubling("i32");
  const [id] = p.constants.keys();
  const buffers = new Map(p.buffers).set(id!, { ...p.buffers.get(id!)!, dtype: "i64" });
  const constants = new Map([[id!, tensorOf("i64", [1], [2n ** 31n])]]);
  const emitted = wgslTarget.emit({ ...p, buffers, constants }, { name: "big", weights: "file", strict: false });
  await expect(emitted).rejects.toThrow("E304 element 0 of the constant c is 2147483648");
});
test("regions of 4 GiB and more are refused", () => {
  const d = new Draft("huge");
  const x = d.input("x", "i32", [n(2 ** 30)]);
  d.expose("z", x);
  const p = d.build(wgslInfo);
  expect(() => planProgram(p, manifestOf(p, "huge", "module"))).toThrow("E303");
});
