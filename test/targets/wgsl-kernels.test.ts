// What only a GPU has: workgroups, workgroup memory and barriers, grids that do not fit one dimension, atomics, and the bindings.
import { describe, expect, test } from "vitest";
import type { SymbolId } from "../../src/base/brand.ts";
import type { Dim } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import type { Expr } from "../../src/ir/expr.ts";
import { add, constant, floordiv, floormod, i32, lt, mul, ofDim, to, unary, v } from "../../src/ir/expr.ts";
import type { LoopExpr, LoopKind, Stmt } from "../../src/ir/loops.ts";
import { seq } from "../../src/ir/loops.ts";
import type { Buffer } from "../../src/ir/storage.ts";
import type { DType, Tensor } from "../../src/ir/types.ts";
import { tensorOf } from "../../src/ir/types.ts";
import { manifestOf } from "../../targets/loader/manifest.ts";
import { wgslInfo } from "../../targets/wgsl/info.ts";
import { planProgram } from "../../targets/wgsl/plan.ts";
import { needGpu } from "../need.ts";
import { expectRun, gpuModel } from "./gpu.ts";
import { alloc, Draft, letIn, loadOf, loop, n, store } from "./programs/draft.ts";

const gpu = await needGpu();

const par = (kind: LoopKind, name: string, extent: LoopExpr, body: Stmt | readonly Stmt[], step = 1): Stmt => ({
  ...loop(name, extent, body, step),
  kind: "for",
  v: name,
  extent,
  step,
  loop: kind,
  body: "kind" in body ? body : seq(body),
});
const barrier: Stmt = { kind: "barrier" };
const when = (cond: LoopExpr, then: Stmt | readonly Stmt[]): Stmt => ({
  kind: "if",
  cond,
  then: "kind" in then ? then : seq(then),
});
const at = (b: Buffer, index: Expr | number): Expr => loadOf(b, typeof index === "number" ? i32(index) : index) as Expr;
const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const f32s = (xs: readonly number[], dims: readonly number[] = [xs.length]): Tensor => tensorOf("f32", dims, xs);
const i32s = (xs: readonly number[], dims: readonly number[] = [xs.length]): Tensor => tensorOf("i32", dims, xs);
/** Small integers in a fixed disorder: sums of them are exact in f32. */
const some = (count: number, seed = 1): number[] => range(count).map((i) => ((i * 7919 + seed * 104729) % 17) - 8);
const expr = (d: Dim): Expr => ofDim(d);

async function check(
  d: Draft,
  runs: readonly { inputs: Record<string, Tensor>; expected: Record<string, Tensor> }[],
  partBytes?: number,
): Promise<void> {
  const m = await gpuModel(gpu!, d.build(wgslInfo), partBytes);
  try {
    for (const r of runs) await expectRun(m, r.inputs, r.expected);
  } finally {
    m.dispose();
  }
}

/** z[i] = f(x[i]) over N elements, `size` a workgroup. */
function pointwise(d: Draft, dtype: DType, size: number, f: (x: Expr, i: Expr) => Expr): number {
  return d.kernel(
    "pointwise",
    (k) => {
      const [x, z] = [k.param("x", dtype, [D.sym("n")]), k.param("z", dtype, [D.sym("n")])];
      const i = add(mul(v("block"), size), v("thread"));
      return par(
        "block.x",
        "block",
        expr(D.ceildiv(D.sym("n"), n(size))),
        par("thread.x", "thread", i32(size), when(lt(i, v("n")), store(z, i, f(at(x, i), i)))),
      );
    },
    { dims: ["n"] },
  );
}

describe.skipIf(gpu === null)("wgsl kernels", () => {
  test("blocks over a dim, from none to more than one dimension of the grid holds", async () => {
    const d = new Draft("blocks");
    const N = d.dimOf(0, "N", 0, null);
    const x = d.input("x", "i32", [N]);
    const z = d.output("z", "i32", [N]);
    d.run.push(
      d.call(
        pointwise(d, "i32", 4, (e, i) => add(mul(e, 3), i)),
        [x, z],
        { dims: [N] },
      ),
    );
    const run = (count: number): { inputs: Record<string, Tensor>; expected: Record<string, Tensor> } => {
      const xs = some(count);
      return { inputs: { x: i32s(xs) }, expected: { z: i32s(xs.map((e, i) => 3 * e + i)) } };
    };
    // 300001 blocks of 4 elements make a grid of 5 x 60001.
    await check(d, [run(1), run(0), run(4), run(1001), run(1200002), run(3)]);
  });

  test("three block axes, folded and not", async () => {
    for (const fixed of [true, false]) {
      const d = new Draft(`axes-${fixed}`);
      const A = d.dimOf(0, "A", 1, null);
      const [B, C] = fixed ? [n(3), n(5)] : [d.dimOf(1, "B"), d.dimOf(2, "C")];
      const x = d.input("x", "f32", [A, B, C]);
      const z = d.output("z", "f32", [C, B, A]);
      const [a, b, c] = ["a", "b", "c"].map((name) => D.sym(name)) as [Dim, Dim, Dim];
      const k = d.kernel(
        "transpose",
        (kd) => {
          const [kx, kz] = [kd.param("x", "f32", [a, b, c]), kd.param("z", "f32", [c, b, a])];
          const from = add(mul(add(mul(v("i"), expr(b)), v("j")), expr(c)), v("k"));
          const into = add(mul(add(mul(v("k"), expr(b)), v("j")), expr(a)), v("i"));
          return par(
            "block.x",
            "k",
            expr(fixed ? C : c),
            par(
              "block.y",
              "j",
              expr(fixed ? B : b),
              par("block.z", "i", fixed ? i32(4) : expr(a), store(kz, into, at(kx, from))),
            ),
          );
        },
        { dims: ["a", "b", "c"] },
      );
      d.run.push(d.call(k, [x, z], { dims: [A, B, C] }));
      const run = (
        p: number,
        q: number,
        r: number,
      ): { inputs: Record<string, Tensor>; expected: Record<string, Tensor> } => {
        const xs = some(p * q * r);
        const zs = range(r * q * p).map(
          (e) => xs[((e % p) * q + (Math.floor(e / p) % q)) * r + Math.floor(e / (p * q))]!,
        );
        return { inputs: { x: f32s(xs, [p, q, r]) }, expected: { z: f32s(zs, [r, q, p]) } };
      };
      await check(d, fixed ? [run(4, 3, 5)] : [run(4, 3, 5), run(1, 70, 300), run(2, 1, 66000), run(7, 9, 0)]);
    }
  });

  test("matmul by tiles through workgroup memory", async () => {
    const d = new Draft("tiles");
    const M = d.dimOf(0, "M", 1, null);
    const K = d.dimOf(1, "K", 1, null);
    const a = d.input("a", "f32", [M, K]);
    const N = d.dimOf(1, "N", 1, null);
    const b = d.input("b", "f32", [K, N]);
    const z = d.output("z", "f32", [M, N]);
    const T = 8;
    const ceil = (x: string): Expr => floordiv(add(v(x), T - 1), T);
    const k = d.kernel(
      "matmul",
      (kd) => {
        const [ka, kb, kz] = [kd.param("a", "f32", [M, K]), kd.param("b", "f32", [K, N]), kd.param("z", "f32", [M, N])];
        const [ta, tb] = ["ta", "tb"].map((s) => d.buffer(s, "f32", [n(T), n(T)], "workgroup")) as [Buffer, Buffer];
        const acc = d.register("acc", "f32");
        const row = add(mul(v("by"), T), v("ty"));
        const col = add(mul(v("bx"), T), v("tx"));
        const [ka0, kb0] = [add(mul(v("ko"), T), v("tx")), add(mul(v("ko"), T), v("ty"))];
        const own = add(mul(v("ty"), T), v("tx"));
        const inside = (...conds: Expr[]): Expr =>
          conds.reduce((x, y) => ({ kind: "binary", op: "and", dtype: "bool", a: x, b: y }));
        const zero = constant("f32", 0);
        const pick = (c: Expr, x: Expr): Expr => ({ kind: "select", dtype: "f32", cond: c, a: x, b: zero });
        return par(
          "block.x",
          "bx",
          ceil("N"),
          par(
            "block.y",
            "by",
            ceil("M"),
            alloc(
              ta,
              alloc(
                tb,
                par(
                  "thread.x",
                  "tx",
                  i32(T),
                  par(
                    "thread.y",
                    "ty",
                    i32(T),
                    alloc(acc, [
                      store(acc, i32(0), zero),
                      loop("ko", ceil("K"), [
                        store(
                          ta,
                          own,
                          pick(inside(lt(row, v("M")), lt(ka0, v("K"))), at(ka, add(mul(row, v("K")), ka0))),
                        ),
                        store(
                          tb,
                          own,
                          pick(inside(lt(kb0, v("K")), lt(col, v("N"))), at(kb, add(mul(kb0, v("N")), col))),
                        ),
                        barrier,
                        loop(
                          "ki",
                          i32(T),
                          store(acc, i32(0), {
                            kind: "mulAdd",
                            rounding: "either",
                            dtype: "f32",
                            a: at(ta, add(mul(v("ty"), T), v("ki"))),
                            b: at(tb, add(mul(v("ki"), T), v("tx"))),
                            c: at(acc, 0),
                          }),
                        ),
                        barrier,
                      ]),
                      when(inside(lt(row, v("M")), lt(col, v("N"))), store(kz, add(mul(row, v("N")), col), at(acc, 0))),
                    ]),
                  ),
                ),
              ),
            ),
          ),
        );
      },
      { dims: ["M", "K", "N"] },
    );
    d.run.push(d.call(k, [a, b, z], { dims: [M, K, N] }));
    const run = (
      m: number,
      kk: number,
      nn: number,
    ): { inputs: Record<string, Tensor>; expected: Record<string, Tensor> } => {
      const [xs, ys] = [some(m * kk), some(kk * nn, 2)];
      const zs = range(m * nn).map((e) =>
        range(kk).reduce((s, q) => s + xs[Math.floor(e / nn) * kk + q]! * ys[q * nn + (e % nn)]!, 0),
      );
      return { inputs: { a: f32s(xs, [m, kk]), b: f32s(ys, [kk, nn]) }, expected: { z: f32s(zs, [m, nn]) } };
    };
    await check(d, [run(16, 8, 24), run(1, 1, 1), run(13, 37, 21)]);
  });

  test("a row's sum by a tree, stored outside of the thread loops", async () => {
    const d = new Draft("rows");
    const R = d.dimOf(0, "R", 1, null);
    const C = d.dimOf(1, "C", 1, null);
    const x = d.input("x", "f32", [R, C]);
    const z = d.output("z", "f32", [R]);
    const W = 16;
    const k = d.kernel(
      "sums",
      (kd) => {
        const [kx, kz] = [kd.param("x", "f32", [R, C]), kd.param("z", "f32", [R])];
        const part = d.buffer("part", "f32", [n(W)], "workgroup");
        const steps = [8, 4, 2, 1].flatMap((h, s) => [
          barrier,
          // A loop over fewer threads than the workgroup has.
          par(
            "thread.x",
            `t${s}`,
            i32(h),
            store(part, v(`t${s}`), add(at(part, v(`t${s}`)), at(part, add(v(`t${s}`), h)))),
          ),
        ]);
        return par(
          "block.x",
          "r",
          v("R"),
          alloc(part, [
            par("thread.x", "t", i32(W), [
              store(part, v("t"), constant("f32", 0)),
              loop(
                "c",
                floordiv(add(v("C"), W - 1), W),
                when(
                  lt(add(mul(v("c"), W), v("t")), v("C")),
                  store(
                    part,
                    v("t"),
                    add(at(part, v("t")), at(kx, add(mul(v("r"), v("C")), add(mul(v("c"), W), v("t"))))),
                  ),
                ),
              ),
            ]),
            ...steps,
            barrier,
            // Added to what is there, so that doing it in each thread would be seen.
            store(kz, v("r"), constant("f32", 100)),
            store(kz, v("r"), add(at(kz, v("r")), at(part, 0))),
          ]),
        );
      },
      { dims: ["R", "C"] },
    );
    d.run.push(d.call(k, [x, z], { dims: [R, C] }));
    const run = (r: number, c: number): { inputs: Record<string, Tensor>; expected: Record<string, Tensor> } => {
      const xs = some(r * c);
      return {
        inputs: { x: f32s(xs, [r, c]) },
        expected: { z: f32s(range(r).map((i) => 100 + xs.slice(i * c, (i + 1) * c).reduce((p, q) => p + q))) },
      };
    };
    await check(d, [run(3, 16), run(5, 100), run(1, 1)]);
  });

  test("an extent that a pass has moved into a let", async () => {
    const d = new Draft("lets");
    const A = d.dimOf(0, "A", 1, null);
    const B = d.dimOf(1, "B", 1, null);
    const x = d.input("x", "i32", [A, B]);
    const z = d.output("z", "i32", [A, B]);
    const k = d.kernel(
      "copy",
      (kd) => {
        const [kx, kz] = [kd.param("x", "i32", [A, B]), kd.param("z", "i32", [A, B])];
        const i = add(mul(v("i"), v("B")), v("j"));
        const body = letIn("t", add(v("s"), 1), par("block.x", "j", v("t"), store(kz, i, at(kx, i))));
        return letIn("s", add(v("B"), -1), par("block.y", "i", v("A"), body));
      },
      { dims: ["A", "B"] },
    );
    d.run.push(d.call(k, [x, z], { dims: [A, B] }));
    const xs = i32s(some(35), [5, 7]);
    await check(d, [{ inputs: { x: xs }, expected: { z: xs } }]);
  });

  test("loops with a step on blocks and threads", async () => {
    const d = new Draft("steps");
    const N = d.dimOf(0, "N", 1, null);
    const x = d.input("x", "i32", [N]);
    const z = d.output("z", "i32", [N]);
    const k = d.kernel(
      "copy",
      (kd) => {
        const [kx, kz] = [kd.param("x", "i32", [N]), kd.param("z", "i32", [N])];
        const i = add(add(v("b"), v("t")), v("e"));
        return par(
          "block.x",
          "b",
          v("N"),
          par("thread.x", "t", i32(12), loop("e", i32(3), when(lt(i, v("N")), store(kz, i, at(kx, i)))), 3),
          12,
        );
      },
      { dims: ["N"] },
    );
    d.run.push(d.call(k, [x, z], { dims: [N] }));
    await check(
      d,
      [1, 12, 13, 100].map((count) => ({ inputs: { x: i32s(some(count)) }, expected: { z: i32s(some(count)) } })),
    );
  });

  test("atomic sums and maxima of f32, i32 and u32, in storage and in workgroup memory", async () => {
    const d = new Draft("atomics");
    const count = 200;
    const expected: Record<string, Tensor> = {};
    const inputs: Record<string, Tensor> = {};
    for (const dtype of ["f32", "i32", "u32"] as const) {
      const xs = some(count).map((e) => (dtype === "u32" ? e + 8 : dtype === "f32" ? e / 2 : e));
      const x = d.input(`x_${dtype}`, dtype, [n(count)]);
      inputs[`x_${dtype}`] = tensorOf(dtype, [count], xs);
      const z = d.output(`z_${dtype}`, dtype, [n(3)]);
      const k = d.kernel(`reduce_${dtype}`, (kd) => {
        const [kx, kz] = [kd.param("x", dtype, [n(count)]), kd.param("z", dtype, [n(3)])];
        const shared = d.buffer("shared", dtype, [n(1)], "workgroup");
        const i = add(mul(v("b"), 32), v("t"));
        return [
          par(
            "block.x",
            "b",
            i32(7),
            alloc(shared, [
              store(shared, i32(0), constant(dtype, 0)),
              barrier,
              par(
                "thread.x",
                "t",
                i32(32),
                when(lt(i, i32(count)), [
                  store(kz, i32(0), at(kx, i), { atomic: "add" }),
                  store(kz, i32(1), at(kx, i), { atomic: "max" }),
                  store(shared, i32(0), at(kx, i), { atomic: "add" }),
                ]),
              ),
              barrier,
              store(kz, i32(2), at(shared, 0), { atomic: "add" }),
            ]),
          ),
        ];
      });
      const clear = d.kernel(`clear_${dtype}`, (kd) => {
        const kz = kd.param("z", dtype, [n(3)]);
        return [
          store(kz, i32(0), constant(dtype, 0)),
          store(kz, i32(1), constant(dtype, dtype === "u32" ? 0 : -100)),
          store(kz, i32(2), constant(dtype, 0)),
        ];
      });
      d.run.push(d.call(clear, [z]), d.call(k, [x, z]));
      const sum = xs.reduce((p, q) => p + q);
      expected[`z_${dtype}`] = tensorOf(dtype, [3], [sum, Math.max(...xs), sum]);
    }
    await check(d, [
      { inputs, expected },
      { inputs, expected },
    ]);
  });

  test("one kernel with operands in different regions; constants in several buffers", async () => {
    const d = new Draft("regions");
    const x = d.input("x", "f32", [n(100)]);
    const c = [0, 1, 2].map((s) => d.constant(`c${s}`, f32s(some(100, s + 3))));
    const sum = d.kernel("sum", (kd) => {
      const [p, q, z] = ["p", "q", "z"].map((name) => kd.param(name, "f32", [n(100)])) as [Buffer, Buffer, Buffer];
      return loop("i", i32(100), store(z, v("i"), add(at(p, v("i")), at(q, v("i")))));
    });
    const t = d.temp("t", "f32", [n(100)], "prepared");
    d.init.push(d.call(sum, [c[0]!, c[1]!, t]));
    const outs = [
      [x, c[0]!],
      [c[1]!, c[2]!],
      [x, x],
      [t, c[2]!],
      [c[2]!, t],
    ].map(([p, q], i) => {
      const z = d.output(`z${i}`, "f32", [n(100)]);
      d.run.push(d.call(sum, [p!, q!, z]));
      return z;
    });
    // In place: two parameters of one range.
    d.run.push(d.call(sum, [outs[0]!, x, outs[0]!]));
    const xs = some(100);
    const [c0, c1, c2] = [3, 4, 5].map((s) => some(100, s)) as [number[], number[], number[]];
    const plus = (...ls: number[][]): Tensor => f32s(range(100).map((i) => ls.reduce((s, l) => s + l[i]!, 0)));
    const expected = {
      z0: plus(xs, c0, xs),
      z1: plus(c1, c2),
      z2: plus(xs, xs),
      z3: plus(c0, c1, c2),
      z4: plus(c0, c1, c2),
    };
    for (const partBytes of [undefined, 512]) {
      const p = d.build(wgslInfo);
      const { plan } = planProgram(p, manifestOf(p, p.name, "file"), partBytes);
      expect([plan.weights.length, plan.slots]).toEqual(partBytes === undefined ? [1, 1] : [3, 2]);
      await check(
        d,
        [
          { inputs: { x: f32s(xs) }, expected },
          { inputs: { x: f32s(xs) }, expected },
        ],
        partBytes,
      );
    }
  });

  test("a count read back sizes a heap buffer, which a grid then fills", async () => {
    const d = new Draft("positive");
    const N = d.dimOf(0, "N", 0, null);
    const x = d.input("x", "i64", [N]);
    const C = d.dataDim("C", 0, 50000);
    const counter = d.temp("counter", "i64", [n(1)]);
    const packed = d.temp("packed", "i64", [C], "heap");
    const z = d.output("z", "i64", [C], "heap");
    const count = d.kernel(
      "count",
      (kd) => {
        const [kx, kc] = [kd.param("x", "i32", [N]), kd.param("c", "i32", [n(1)])];
        return [
          store(kc, i32(0), i32(0)),
          loop("i", v("N"), when(lt(i32(0), at(kx, v("i"))), store(kc, i32(0), add(at(kc, 0), 1)))),
        ];
      },
      { dims: ["N"] },
    );
    const pack = d.kernel(
      "pack",
      (kd) => {
        const [kx, kz] = [kd.param("x", "i32", [N]), kd.param("z", "i32", [C])];
        const to = d.register("to", "i32");
        return alloc(to, [
          store(to, i32(0), i32(0)),
          loop(
            "i",
            v("N"),
            when(lt(i32(0), at(kx, v("i"))), [
              store(kz, at(to, 0), at(kx, v("i"))),
              store(to, i32(0), add(at(to, 0), 1)),
            ]),
          ),
        ]);
      },
      { dims: ["N"] },
    );
    d.run.push(
      d.call(count, [x, counter]),
      { kind: "dim", id: "C" as SymbolId, from: { buffer: counter.id, index: D.zero }, min: 0, max: 50000 },
      { kind: "reserve", buffer: packed.id },
      { kind: "reserve", buffer: z.id },
      d.call(pack, [x, packed]),
      d.call(
        pointwise(d, "i32", 64, (e) => mul(e, 2)),
        [packed, z],
        { dims: [C] },
      ),
      { kind: "release", buffer: packed.id },
    );
    const run = (xs: number[]): { inputs: Record<string, Tensor>; expected: Record<string, Tensor> } => {
      const zs = xs.filter((e) => e > 0).map((e) => 2 * e);
      return { inputs: { x: tensorOf("i64", [xs.length], xs) }, expected: { z: tensorOf("i64", [zs.length], zs) } };
    };
    await check(d, [run(some(50)), run([]), run(some(40000)), run([-1, -2]), run(some(100))]);

    const m = await gpuModel(gpu!, d.build(wgslInfo));
    const many = { x: { data: new BigInt64Array(50001).fill(1n), dims: [50001] } };
    await expect(m.run(many)).rejects.toThrow("C depends on the data and is 50001, outside of 0..50000");
    await expectRun(m, run(some(9)).inputs, run(some(9)).expected);
    m.dispose();
  });

  test("a loop of many dispatches with swapped buffers and a condition read back", async () => {
    const d = new Draft("collatz");
    const x = d.input("x", "i32", [n(4)]);
    const z = d.output("z", "i32", [n(4)]);
    const steps = d.output("steps", "i32", [n(1)]);
    const next = d.temp("next", "i32", [n(4)]);
    const go = d.temp("go", "bool", [n(1)]);
    const copy = pointwise(d, "i32", 4, (e) => e);
    const half = pointwise(d, "i32", 4, (e) => ({
      kind: "select",
      dtype: "i32",
      cond: lt(i32(0), floormod(e, 2)),
      a: add(mul(e, 3), 1),
      b: floordiv(e, 2),
    }));
    const test = d.kernel("test", (kd) => {
      const [kx, kg] = [kd.param("x", "i32", [n(4)]), kd.param("go", "bool", [n(1)])];
      return store(kg, i32(0), lt(i32(1), at(kx, 0)));
    });
    const put = d.kernel("put", (kd) => store(kd.param("z", "i32", [n(1)]), i32(0), v("value")), {
      scalars: [{ name: "value", dtype: "i32" }],
    });
    const i = d.dataDim("i");
    d.run.push(
      d.call(copy, [x, z], { dims: [n(4)] }),
      d.call(test, [z, go]),
      {
        kind: "loop",
        trip: n(1000),
        cond: go.id,
        counter: "i" as SymbolId,
        body: [d.call(half, [z, next], { dims: [n(4)] }), d.call(test, [next, go])],
        swap: [[z.id, next.id]],
      },
      d.call(put, [steps], { scalars: [i] }),
      // More dispatches than one batch of arguments holds.
      {
        kind: "loop",
        trip: n(1300),
        cond: null,
        counter: "j" as SymbolId,
        body: [d.call(put, [d.part(z, "last", [n(1)], n(3))], { scalars: [d.dataDim("j")] })],
        swap: [],
      },
    );
    const run = (
      first: number,
      count: number,
    ): { inputs: Record<string, Tensor>; expected: Record<string, Tensor> } => {
      let xs = [first, 3, 5, 0];
      for (let s = 0; s < count; s++) xs = xs.map((e) => (e % 2 ? 3 * e + 1 : e / 2));
      return {
        inputs: { x: i32s([first, 3, 5, 0]) },
        expected: { z: i32s([...xs.slice(0, 3), 1299]), steps: i32s([count]) },
      };
    };
    await check(d, [run(27, 111), run(1, 0), run(6, 8)]);
  });

  test("natural functions: tanh does not overflow, a float scalar keeps its bits", async () => {
    const d = new Draft("functions");
    const xs = [0, 1, -1, 50, -500, 3e38, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN];
    const x = d.input("x", "f32", [n(xs.length)]);
    const z = d.output("z", "f32", [n(xs.length)]);
    const k = d.kernel(
      "tanh",
      (kd) => {
        const [kx, kz] = [kd.param("x", "f32", [n(xs.length)]), kd.param("z", "f32", [n(xs.length)])];
        return loop(
          "i",
          i32(xs.length),
          store(
            kz,
            v("i"),
            mul(unary<Expr>("round", mul(unary<Expr>("tanh", at(kx, v("i"))), 100)), v("scale", "f32")),
          ),
        );
      },
      { scalars: [{ name: "scale", dtype: "f32" }] },
    );
    d.run.push(d.call(k, [x, z], { scalars: [n(-3)] }));
    const expected = xs.map((e) => Math.round(Math.tanh(e) * 100) * -3);
    await check(d, [{ inputs: { x: f32s(xs) }, expected: { z: f32s(expected.map((e) => (e === 0 ? -0 : e))) } }]);
  });

  test("literals that WGSL would refuse to fold", async () => {
    const d = new Draft("literals");
    const x = d.input("x", "f32", [n(1)]);
    const values: Expr[] = [
      mul(constant("f32", 3e38), constant("f32", 10)),
      unary<Expr>("exp", constant("f32", 1000)),
      constant("f32", Number.NEGATIVE_INFINITY),
      constant("f32", Number.NaN),
      constant("f32", -0),
      to("f32", add(constant("i32", 2147483647), constant("i32", 1))),
      to("f32", floordiv(constant("i32", 7), constant("i32", 0))),
      to("f32", floormod(constant("i32", 7), constant("i32", 0))),
      to("f32", mul(constant("u32", 4294967295), constant("u32", 2))),
      to("f32", constant("i32", -2147483648)),
      {
        kind: "table",
        dtype: "f32",
        values: [1, Number.POSITIVE_INFINITY, -0, Number.NaN],
        index: to("i32", at(x, 0)),
      },
      { kind: "table", dtype: "f32", values: [1, Number.POSITIVE_INFINITY], index: i32(1) },
    ];
    const z = d.output("z", "f32", [n(values.length)]);
    const k = d.kernel("put", (kd) => {
      const [kx, kz] = [kd.param("x", "f32", [n(1)]), kd.param("z", "f32", [n(values.length)])];
      return values.map((e, i) =>
        store(kz, i32(i), e.kind === "table" && e.index.kind === "cast" ? { ...e, index: to("i32", at(kx, 0)) } : e),
      );
    });
    d.run.push(d.call(k, [x, z]));
    const inf = Number.POSITIVE_INFINITY;
    const want = [inf, inf, -inf, Number.NaN, -0, -2147483648, 0, 0, 4294967294, -2147483648, -0, inf].map(Math.fround);
    await check(d, [{ inputs: { x: f32s([2]) }, expected: { z: f32s(want) } }]);
  });
});

test("a kernel reads as its loops do", () => {
  const d = new Draft("text");
  const N = d.dimOf(0, "N", 1, null);
  const x = d.input("x", "f32", [N]);
  const z = d.output("z", "f32", [N]);
  d.run.push(
    d.call(
      pointwise(d, "f32", 64, (e) => add(e, constant("f32", 0.5))),
      [x, z],
      { dims: [N] },
    ),
  );
  const p = d.build(wgslInfo);
  const { plan, wgsl } = planProgram(p, manifestOf(p, p.name, "module"));
  expect(wgsl.slice(plan.prelude)).toBe(`@compute @workgroup_size(64)
fn k_pointwise(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let x_0 = args[0].x;
  let z_1 = args[0].y;
  let n_2 = args[0].z;
  let grid_x = max((-1 * floordiv_i((-1 * n_2), 64)), 1);
  let block = i32(group.x + group.y * groups.x);
  if (block >= grid_x) { return; }
  let block_x = block;
  let thread_x = i32(local.x);
  let block_3 = block_x;
  if (block_3 < (-1) * floordiv_i((-1) * n_2, 64)) {
    let thread_4 = thread_x;
    if (block_3 * 64 + thread_4 < n_2) {
      let t_5: i32 = block_3 * 64 + thread_4;
      arena[z_1 + t_5] = bitcast<u32>(bitcast<f32>(arena[x_0 + t_5]) + 0.5f);
    }
  }
}
`);
});
