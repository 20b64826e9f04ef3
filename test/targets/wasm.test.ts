// The shared programs through the WebAssembly target; and what its code looks like.

import { describe, expect, test } from "vitest";
import wabtModule from "wabt";
import type { Model } from "../../runtime/linear.ts";
import { link } from "../../runtime/linear.ts";
import type { Value } from "../../runtime/ports.ts";
import type { SymbolId } from "../../src/base/brand.ts";
import * as D from "../../src/ir/dim.ts";
import { binary, constant, i32, mulAdd, v } from "../../src/ir/expr.ts";
import type { LoopExpr, Stmt } from "../../src/ir/loops.ts";
import type { Program } from "../../src/ir/program.ts";
import type { Tensor } from "../../src/ir/types.ts";
import { elementBytes, tensorOf as tensorFrom, typedView } from "../../src/ir/types.ts";
import { manifestOf } from "../../targets/loader/manifest.ts";
import { wasmModule, wasmTarget } from "../../targets/wasm/index.ts";
import { compare } from "./programs/compare.ts";
import { alloc, Draft, letIn, linearMemory, loadOf, loop, n, store } from "./programs/draft.ts";
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

// ---- code ------------------------------------------------------------------------------------------------------------------
const ramp = (base: LoopExpr): LoopExpr => ({ kind: "ramp", base, stride: 1, lanes: 4, dtype: "i32" });
const vec = (name: string): LoopExpr => ({ kind: "var", name, dtype: "f32", lanes: 4 });
const splat = (x: LoopExpr): LoopExpr => ({ kind: "splat", x, lanes: 4, dtype: x.dtype });

/** 2 x 4 tiles of C = A * B, with B packed [N / 4][K][4]: the shape of the inner loop of a contraction. */
function gemm(K: number): Program {
  const d = new Draft("gemm");
  const [a, b, c] = [
    d.input("a", "f32", [n(2), n(K)]),
    d.input("b", "f32", [n(1), n(K), n(4)]),
    d.output("c", "f32", [n(2), n(4)]),
  ];
  const kernel = d.kernel("gemm", (kd) => {
    const [A, B, C] = [kd.param("A", "f32", a.shape), kd.param("B", "f32", b.shape), kd.param("C", "f32", c.shape)];
    const acc = [0, 1].map((i) => d.register(`acc${i}`, "f32", 4));
    const whole = ramp(i32(0));
    const body = letIn(
      "bv",
      loadOf(B, ramp(i32(0)), "pb"),
      acc.map((r, i) =>
        store(r, whole, mulAdd<LoopExpr>(splat(loadOf(A, i32(i * K), "pa")), vec("bv"), loadOf(r, whole))),
      ),
    );
    const pointers = [
      { name: "pa", buffer: A.id, init: i32(0), step: i32(1) },
      { name: "pb", buffer: B.id, init: i32(0), step: i32(4) },
    ];
    const tile: Stmt[] = [
      ...acc.map((r) => store(r, whole, splat(constant("f32", 0)))),
      { kind: "for", v: "k", extent: i32(K), step: 1, loop: "serial", pointers, body },
      ...acc.map((r, i) => store(C, ramp(i32(i * 4)), loadOf(r, whole))),
    ];
    return alloc(acc[0]!, alloc(acc[1]!, tile));
  });
  d.run.push(d.call(kernel, [a, b, c]));
  return d.build(linearMemory);
}

describe("wasm code", () => {
  test("the inner loop of a contraction is loads, products, one addition per pointer and one branch", async () => {
    const text = disassemble(await wasmModule(gemm(64), { weights: "embed" }));
    const loop = text.slice(text.indexOf("(loop"), text.indexOf("(v128.store"));
    const locals = new Map<string, string>();
    const named = loop.replace(/\(local\.(\w+) (\d+)/g, (_, op: string, i: string) => {
      if (!locals.has(i)) locals.set(i, ["b", "pb", "acc0", "pa", "acc1", "end"][locals.size]!);
      return `(local.${op} ${locals.get(i)}`;
    });
    const acc = (i: number, offset: string): string =>
      `(local.set acc${i} (f32x4.add (f32x4.mul (v128.load32_splat ${offset}(local.get pa)) (local.get b)) (local.get acc${i})))`;
    expect(named.replace(/\s+/g, " ").trim()).toBe(
      `(loop ;; label = @1 (local.set b (v128.load align=4 (local.get pb))) ${acc(0, "")} ${acc(1, "offset=256 ")} ` +
        `(local.set pb (i32.add (local.get pb) (i32.const 16))) ` +
        `(br_if 0 (;@1;) (i32.ne (local.tee pa (i32.add (local.get pa) (i32.const 4))) (local.get end))))`,
    );
  });

  test("constant tables and embedded weights are two segments", async () => {
    const d = new Draft("segments");
    const x = d.input("x", "i32", [n(3)]);
    const w = d.constant("w", tensorFrom("i32", [3], [10, 20, -30]));
    const z = d.output("z", "i32", [n(3)]);
    const k = d.kernel("look", (kd) => {
      const [kx, kw, kz] = [x, w, z].map((b) => kd.param(b.name, "i32", b.shape)) as [typeof x, typeof w, typeof z];
      const entry: LoopExpr = { kind: "table", dtype: "i32", values: [7, -8, 9], index: loadOf(kx, v("i")) };
      return loop("i", i32(3), store(kz, v("i"), binary<LoopExpr>("add", entry, loadOf(kw, v("i")))));
    });
    d.run.push(d.call(k, [x, w, z]));
    const p = d.build(linearMemory);
    const bytes = await wasmModule(p, { weights: "embed" });
    expect(disassemble(bytes).match(/\(data /g)).toHaveLength(2);
    expect([...(await load(p, bytes)).runSync({ x: [2, 0, 1] }).z!.data]).toEqual([19, 27, -38]);
  });

  test("names stand in the module only when asked for", async () => {
    const has = async (names: boolean): Promise<boolean> => {
      const module = await WebAssembly.compile(
        (await wasmModule(gemm(8), { weights: "embed", names })) as BufferSource,
      );
      return WebAssembly.Module.customSections(module, "name").length > 0;
    };
    expect([await has(false), await has(true)]).toEqual([false, true]);
  });

  test("an address whose variable part is negative does not wrap past its immediate offset", async () => {
    const d = new Draft("below");
    const size = d.dimOf(0, "N", 1, 5000);
    const x = d.input("x", "i32", [size]);
    const [y, z] = [d.output("y", "i32", [size]), d.output("z", "i32", [size])];
    const k = d.kernel(
      "below",
      (kd) => {
        const [kx, ky, kz] = [x, y, z].map((b) => kd.param(b.name, "i32", b.shape)) as [typeof x, typeof y, typeof z];
        const from = binary<LoopExpr>("sub", v("i"), i32(2000));
        const pointers = [
          { name: "p", buffer: kx.id, init: binary<LoopExpr>("sub", v("far"), i32(2000)), step: i32(1) },
        ];
        return [
          loop(
            "i",
            v("N"),
            store(ky, v("i"), loadOf(kx, binary<LoopExpr>("add", binary<LoopExpr>("sub", from, v("far")), i32(2000)))),
          ),
          {
            kind: "for",
            v: "j",
            extent: v("N"),
            step: 1,
            loop: "serial",
            pointers,
            body: store(kz, v("j"), loadOf(kx, i32(2000), "p")),
          },
        ];
      },
      { dims: ["N"], scalars: [{ name: "far", dtype: "i32" }] },
    );
    d.run.push(d.call(k, [x, y, z], { scalars: [n(0)] }));
    const p = d.build(linearMemory);
    const model = await load(p, await wasmModule(p, { weights: "embed" }));
    const { y: a, z: b } = model.runSync({ x: [7, 8, 9] });
    expect([[...a!.data], [...b!.data]]).toEqual([
      [7, 8, 9],
      [7, 8, 9],
    ]);
  });

  test("heap blocks released in any order are used again", async () => {
    // Each iteration reserves `next`, releases `old` and swaps them: the released block is never the topmost one.
    const d = new Draft("ping-pong");
    const x = d.input("x", "i32", [n(1)]);
    const rounds = d.temp("rounds", "i32", []);
    const [old, next] = [d.temp("old", "i32", [n(50000)], "heap"), d.temp("next", "i32", [n(50000)], "heap")];
    const z = d.output("z", "i32", [n(1)]);
    const copy = d.kernel("copy", (kd) => {
      const [ka, kb] = [kd.param("a", "i32", [n(1)]), kd.param("b", "i32", [n(1)])];
      return store(kb, i32(0), binary<LoopExpr>("add", loadOf(ka, i32(0)), i32(1)));
    });
    d.dataDim("T", 0, 1 << 20);
    d.run.push(
      d.call(copy, [x, rounds]),
      { kind: "dim", id: "T" as SymbolId, from: { buffer: rounds.id, index: D.zero }, min: 0, max: 1 << 20 },
      { kind: "reserve", buffer: old.id },
      d.call(copy, [x, old]),
      {
        kind: "loop",
        trip: D.sym("T"),
        cond: null,
        counter: "t" as SymbolId,
        body: [{ kind: "reserve", buffer: next.id }, d.call(copy, [old, next]), { kind: "release", buffer: old.id }],
        swap: [[old.id, next.id]],
      },
      d.call(copy, [old, z]),
    );
    const p = d.build(linearMemory);
    const { instance } = await WebAssembly.instantiate((await wasmModule(p, { weights: "embed" })) as BufferSource);
    const { memory, table, plan, run } = instance.exports as {
      memory: WebAssembly.Memory;
      table: WebAssembly.Global;
      plan: () => number;
      run: (s: number) => number;
    };
    plan();
    const words = (): Int32Array => new Int32Array(memory.buffer);
    words()[words()[table.value / 4]! / 4] = 999;
    expect(run(0)).toBe(0);
    expect(words()[words()[table.value / 4 + 2]! / 4]).toBe(999 + 1 + 1000 + 1);
    expect(memory.buffer.byteLength).toBeLessThan(4 * 200000 + 65536);
  });
});
