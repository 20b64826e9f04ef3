// What lies above kernels: dims, memory, control flow, constants, init, the seed.

import type { SymbolId } from "../../../src/base/brand.ts";
import * as D from "../../../src/ir/dim.ts";
import { binary, constant, i32, select, v } from "../../../src/ir/expr.ts";
import type { LoopExpr, Stmt } from "../../../src/ir/loops.ts";
import type { Action, Call } from "../../../src/ir/program.ts";
import type { Storage } from "../../../src/ir/storage.ts";
import { linear } from "../../../src/ir/storage.ts";
import type { DType, Tensor } from "../../../src/ir/types.ts";
import { tensorOf } from "../../../src/ir/types.ts";
import type { Fixture } from "./draft.ts";
import { alloc, Draft, fixture, loadOf, loop, N, n, store } from "./draft.ts";
import { add, lt, mul, op, range, small } from "./structure.ts";

const id = (d: D.Dim): SymbolId => D.symbolsOf(d).values().next().value!;
const i32s = (values: readonly number[]): Tensor => tensorOf("i32", [values.length], values);

/** z[i] = x[i], of `extent` elements: extent is a dim `n` of the kernel. */
function copier(d: Draft, dtype: DType, name = `copy_${dtype}`): number {
  return d.kernel(
    name,
    (kd) => {
      const [kx, kz] = [kd.param("x", dtype, [D.sym("n")]), kd.param("z", dtype, [D.sym("n")])];
      return loop("i", v("n"), store(kz, v("i"), loadOf(kx, v("i"))));
    },
    { dims: ["n"] },
  );
}

/** Two inputs side by side along axis 1 of the output, through strided parts whose place depends on dims. */
function concat(): Fixture {
  const d = new Draft("concat-parts");
  const rows = d.dimOf(0, "N", 1, 1000);
  const left = d.dimOf(1, "L", 0, 1000);
  const a = d.input("a", "i32", [rows, left]);
  const right = d.dimOf(1, "R", 0, 1000);
  const b = d.input("b", "i32", [rows, right]);
  const width = D.add(left, right);
  const z = d.output("z", "i32", [rows, width]);
  const k = d.kernel(
    "place",
    (kd) => {
      const [kx, kz] = [kd.param("x", "i32", [N, D.sym("W")]), kd.param("z", "i32", [N, D.sym("W")])];
      return loop(
        "i",
        v("N"),
        loop("j", v("W"), store(kz, add(mul(v("i"), v("P")), v("j")), loadOf(kx, add(mul(v("i"), v("W")), v("j"))))),
      );
    },
    { dims: ["N", "W", "P"] },
  );
  const whole = d.part(z, "whole", [rows, width], D.zero, [width, D.one]);
  d.run.push(
    d.call(k, [a, d.part(whole, "left", [rows, left], D.zero, [width, D.one])], { dims: [rows, left, width] }),
    d.call(k, [b, d.part(whole, "right", [rows, right], left, [width, D.one])], { dims: [rows, right, width] }),
  );
  const run = (r: number, l: number, w: number) => {
    const [as, bs] = [range(r * l), range(r * w).map((x) => -1 - x)];
    const both = range(r).flatMap((i) => [...as.slice(i * l, (i + 1) * l), ...bs.slice(i * w, (i + 1) * w)]);
    return {
      inputs: { a: tensorOf("i32", [r, l], as), b: tensorOf("i32", [r, w], bs) },
      expected: { z: tensorOf("i32", [r, l + w], both) },
    };
  };
  return fixture(d, [run(2, 3, 4), run(40, 5, 9), run(1, 0, 2), run(3, 2, 0)], { dtypes: ["i32"] });
}

/** Constants in permuted, blocked and padded storages, of several cell widths, with names for roots. */
function constants(): Fixture {
  const d = new Draft("constants");
  const base: Storage = { root: null, offset: D.zero, strides: [], blocks: [], size: D.zero };
  const list: readonly { readonly t: Tensor; readonly storage: Storage }[] = [
    {
      t: tensorOf(
        "f32",
        [2, 3],
        range(6).map((i) => i + 0.5),
      ),
      storage: { ...base, strides: [n(1), n(2)], size: n(6) },
    },
    // A row pitch of 8.
    {
      t: tensorOf(
        "i16",
        [3, 5],
        range(15).map((i) => i * 100 - 700),
      ),
      storage: { ...base, strides: [n(8), n(1)], size: n(24) },
    },
    // Panels of 4 columns: [2][3][4] with the last two columns of padding.
    {
      t: tensorOf(
        "i32",
        [3, 6],
        range(18).map((i) => i * i),
      ),
      storage: { ...base, strides: [n(4), n(12)], blocks: [{ axis: 1, by: 4, stride: n(1) }], size: n(24) },
    },
    { t: tensorOf("u8", [5], [1, 2, 3, 254, 255]), storage: { ...base, strides: [n(1)], size: n(5) } },
    { t: tensorOf("bool", [], [1]), storage: { ...base, size: n(1) } },
  ];
  const x = d.input("x", "i32", [n(1)]);
  const expected: Record<string, Tensor> = {};
  list.forEach(({ t, storage }, c) => {
    const b = d.constant(`c${c}`, t, storage);
    const z = d.output(`z${c}`, t.dtype, b.shape);
    const k = d.kernel(`read${c}`, (kd) => {
      const [kc, kz] = [kd.param("c", t.dtype, b.shape), kd.param("z", t.dtype, z.shape)];
      // Straight-line: one store per element, at the index that the storage says.
      const body: Stmt[] = [];
      const total = t.dims.reduce((a, e) => a * e, 1);
      for (let e = 0; e < total; e++) {
        const at = t.dims.map((_, a) => Math.floor(e / t.dims.slice(a + 1).reduce((p, q) => p * q, 1)) % t.dims[a]!);
        body.push(store(kz, i32(e), loadOf(kc, i32(D.known(linear(storage, at.map(n)))!))));
      }
      return body;
    });
    d.run.push(d.call(k, [b, z]));
    expected[`z${c}`] = t;
  });
  return fixture(d, [{ inputs: { x: i32s([0]) }, expected }], { dtypes: ["f32", "i32", "bool"] });
}

/** init widens a constant into a prepared buffer once; runs only read it. */
function prepared(): Fixture {
  const d = new Draft("prepared");
  const w = d.constant("w", tensorOf("f32", [4], [1, -2, 3, 0.5]));
  const p = d.temp("p", "f32", [n(4)], "prepared");
  const scratch = d.temp("scratch", "f32", [n(4)]);
  const rows = d.dimOf(0, "N", 0, 64);
  const x = d.input("x", "f32", [rows, n(4)]);
  const z = d.output("z", "f32", [rows, n(4)]);
  const double = d.kernel("double", (kd) => {
    const [kw, kp] = [kd.param("w", "f32", w.shape), kd.param("p", "f32", p.shape)];
    return loop("i", i32(4), store(kp, v("i"), mul(loadOf(kw, v("i")), constant("f32", 2))));
  });
  const scale = d.kernel(
    "scale",
    (kd) => {
      const [kx, kp, kz] = [
        kd.param("x", "f32", x.shape),
        kd.param("p", "f32", p.shape),
        kd.param("z", "f32", z.shape),
      ];
      return loop(
        "i",
        v("N"),
        loop(
          "j",
          i32(4),
          store(
            kz,
            add(mul(v("i"), i32(4)), v("j")),
            mul(loadOf(kx, add(mul(v("i"), i32(4)), v("j"))), loadOf(kp, v("j"))),
          ),
        ),
      );
    },
    { dims: ["N"] },
  );
  d.init.push(d.call(double, [w, scratch]), d.call(double, [scratch, p]));
  d.run.push(d.call(scale, [x, p, z]));
  const run = (r: number) => {
    const xs = small(r * 4, r);
    return {
      inputs: { x: tensorOf("f32", [r, 4], xs) },
      expected: {
        z: tensorOf(
          "f32",
          [r, 4],
          xs.map((a, i) => a * [4, -8, 12, 2][i % 4]!),
        ),
      },
    };
  };
  return fixture(d, [run(2), run(0), run(64)], { dtypes: ["f32", "i32"] });
}

/** The positive elements of x, packed: their count becomes a dim, the output lies in the heap. */
function compress(): Fixture {
  const d = new Draft("data-dependent-output");
  const count = d.dataDim("count", 0, 6);
  const rows = d.dimOf(0, "N", 0, 100);
  const x = d.input("x", "i64", [rows]);
  const total = d.temp("total", "i64", []);
  const index = d.temp("index", "i32", [n(2), count], "heap");
  const scratch = d.temp("scratch", "i32", [D.add(count, n(70))], "heap");
  const z = d.output("z", "i64", [count, n(1)], "heap");
  const second = d.output("same", "i64", [D.mul(count, n(2))], "heap");
  const counting = d.kernel(
    "count",
    (kd) => {
      const [kx, kt] = [kd.param("x", "i64", [N]), kd.param("t", "i64", [])];
      const more = add(
        loadOf(kt, i32(0)),
        select<LoopExpr>(lt(constant("i64", 0), loadOf(kx, v("i"))), constant("i64", 1), constant("i64", 0)),
      );
      return [store(kt, i32(0), constant("i64", 0)), loop("i", v("N"), store(kt, i32(0), more))];
    },
    { dims: ["N"] },
  );
  const positions = d.kernel(
    "positions",
    (kd) => {
      const [kx, ki] = [kd.param("x", "i64", [N]), kd.param("i", "i32", [n(2), D.sym("count")])];
      const at = d.register("at", "i32");
      const here = loadOf(at, i32(0));
      const found: Stmt[] = [
        store(ki, here, v("i")),
        store(ki, add(here, v("count")), here),
        store(at, i32(0), add(here, i32(1))),
      ];
      return alloc(at, [
        store(at, i32(0), i32(0)),
        loop("i", v("N"), {
          kind: "if",
          cond: lt(constant("i64", 0), loadOf(kx, v("i"))),
          then: { kind: "seq", body: found },
        }),
      ]);
    },
    { dims: ["N", "count"] },
  );
  const gather = d.kernel(
    "gather",
    (kd) => {
      const [kx, ki, kz] = [
        kd.param("x", "i64", [N]),
        kd.param("i", "i32", [n(2), D.sym("count")]),
        kd.param("z", "i64", [D.sym("count")]),
      ];
      return loop("j", v("count"), store(kz, loadOf(ki, add(v("count"), v("j"))), loadOf(kx, loadOf(ki, v("j")))));
    },
    { dims: ["N", "count"] },
  );
  const fill = d.kernel(
    "fill",
    (kd) => {
      const kz = kd.param("z", "i32", [D.sym("n")]);
      return loop("i", v("n"), store(kz, v("i"), i32(-1)));
    },
    { dims: ["n"] },
  );
  d.run.push(
    d.call(counting, [x, total]),
    { kind: "dim", id: id(count), from: { buffer: total.id, index: D.zero }, min: 0, max: 6 },
    { kind: "reserve", buffer: index.id },
    d.call(positions, [x, index]),
    { kind: "reserve", buffer: z.id },
    d.call(gather, [x, index, z]),
    { kind: "reserve", buffer: scratch.id },
    d.call(fill, [scratch], { dims: [D.add(count, n(70))] }),
    { kind: "release", buffer: scratch.id },
    // Takes the place of scratch; must leave z alone.
    { kind: "reserve", buffer: second.id },
    d.call(gather, [x, index, second]),
    d.call(gather, [x, index, d.part(second, "second half", [count], count)]),
    { kind: "release", buffer: index.id },
  );
  const run = (xs: readonly bigint[]) => {
    const kept = xs.filter((a) => a > 0n);
    const inputs = { x: tensorOf("i64", [xs.length], xs) };
    if (kept.length > 6) return { inputs, fails: 1 as const };
    return {
      inputs,
      expected: {
        z: tensorOf("i64", [kept.length, 1], kept),
        same: tensorOf("i64", [kept.length * 2], [...kept, ...kept]),
      },
    };
  };
  const many = range(100).map((i) => BigInt(i % 20 === 7 ? i + 1 : -i));
  return fixture(
    d,
    [run([5n, -1n, 2n ** 40n, 0n, 7n]), run([]), run(range(9).map((i) => BigInt(i))), run(many), run([-1n])],
    { dtypes: ["i64", "i32", "bool"] },
  );
}

/** Heap buffers larger than the first memory: it grows during the run, and what was written before stays. */
function growth(): Fixture {
  const d = new Draft("growing-heap");
  const rows = d.dataDim("rows", 0, 1 << 24);
  const x = d.input("x", "i32", [n(2)]);
  const mid = d.temp("mid", "i32", [rows, n(3)], "heap");
  const big = d.output("big", "i32", [D.add(rows, n(1))], "heap");
  const first = d.output("first", "i32", [n(2)]);
  const iota = d.kernel(
    "iota",
    (kd) => {
      const kz = kd.param("z", "i32", [D.sym("n")]);
      return loop("i", v("n"), store(kz, v("i"), mul(v("i"), v("by"))));
    },
    { dims: ["n"], scalars: [{ name: "by", dtype: "i32" }] },
  );
  const pick = d.kernel(
    "pick",
    (kd) => {
      const [km, kz] = [kd.param("m", "i32", [D.sym("n"), n(3)]), kd.param("z", "i32", [D.sym("n")])];
      return loop("i", v("n"), store(kz, v("i"), loadOf(km, add(mul(v("i"), i32(3)), i32(1)))));
    },
    { dims: ["n"] },
  );
  const copy = copier(d, "i32");
  d.run.push(
    d.call(copy, [x, first], { dims: [n(2)] }),
    { kind: "dim", id: id(rows), from: { buffer: x.id, index: D.one }, min: 0, max: 1 << 24 },
    { kind: "reserve", buffer: mid.id },
    d.call(iota, [mid], { dims: [D.mul(rows, n(3))], scalars: [n(2)] }),
    { kind: "reserve", buffer: big.id },
    d.call(pick, [mid, big], { dims: [rows] }),
    d.call(copy, [x, d.part(big, "last", [n(1)], rows)], { dims: [n(1)] }),
  );
  const run = (count: number) => ({
    inputs: { x: i32s([-9, count]) },
    expected: { first: i32s([-9, count]), big: i32s([...range(count).map((i) => 6 * i + 2), -9]) },
  });
  return fixture(d, [run(10), run(50_000), run(3), { inputs: { x: i32s([0, (1 << 24) + 1]) }, fails: 1 }], {
    dtypes: ["i32"],
  });
}

/** A condition in a buffer chooses one side; ifs nest. */
function branches(): Fixture {
  const d = new Draft("if");
  const c = d.input("c", "bool", [n(2)]);
  const z = d.output("z", "i32", [n(1)]);
  const c1 = d.part(c, "second", [], n(1));
  const set = d.kernel("set", (kd) => store(kd.param("z", "i32", [n(1)]), i32(0), v("value")), {
    scalars: [{ name: "value", dtype: "i32" }],
  });
  const put = (value: number): Action<Call> => d.call(set, [z], { scalars: [n(value)] });
  d.run.push(put(0), {
    kind: "if",
    cond: c.id,
    then: [{ kind: "if", cond: c1.id, then: [put(3)], otherwise: [put(2)] }],
    otherwise: [{ kind: "if", cond: c1.id, then: [put(1)], otherwise: [] }],
  });
  const run = (a: number, b: number) => ({
    inputs: { c: tensorOf("bool", [2], [a, b]) },
    expected: { z: i32s([a * 2 + b]) },
  });
  return fixture(d, [run(0, 0), run(0, 1), run(1, 0), run(1, 1)], { dtypes: ["i32", "bool"] });
}

/** Fibonacci numbers by a loop whose two carried pairs swap; the trip count is data, a condition may end it first. */
function loopSwap(): Fixture {
  const d = new Draft("loop-swap");
  const x = d.input("x", "i32", [n(2)]);
  const trip = d.dataDim("trip", 0, 1000);
  const counter = d.dataDim("iteration", 0, 1000);
  const state = d.output("state", "i32", [n(2)]);
  const now = d.temp("now", "i32", [n(2)]);
  const next = d.temp("next", "i32", [n(2)]);
  const going = d.temp("going", "bool", []);
  const goingNext = d.temp("going'", "bool", []);
  const history = d.output("history", "i32", [n(12)]);
  const done = d.output("iterations", "i32", [n(1)]);
  const start = d.kernel("start", (kd) => {
    const [ks, kg, kh] = [kd.param("s", "i32", [n(2)]), kd.param("g", "bool", []), kd.param("h", "i32", history.shape)];
    return [
      store(ks, i32(0), i32(0)),
      store(ks, i32(1), i32(1)),
      store(kg, i32(0), constant("bool", 1)),
      loop("i", i32(12), store(kh, v("i"), i32(0))),
    ];
  });
  const step = d.kernel(
    "step",
    (kd) => {
      const [ks, kn, kg] = [kd.param("s", "i32", [n(2)]), kd.param("n", "i32", [n(2)]), kd.param("g", "bool", [])];
      const [kx, kh] = [kd.param("x", "i32", [n(2)]), kd.param("h", "i32", [n(1)])];
      return [
        store(kn, i32(0), loadOf(ks, i32(1))),
        store(kn, i32(1), add(loadOf(ks, i32(0)), loadOf(ks, i32(1)))),
        store(kh, i32(0), add(loadOf(kn, i32(1)), mul(v("t"), i32(1000)))),
        store(kg, i32(0), op("le")(loadOf(kn, i32(1)), loadOf(kx, i32(1)))),
      ];
    },
    { scalars: [{ name: "t", dtype: "i32" }] },
  );
  const put = d.kernel("put", (kd) => store(kd.param("z", "i32", [n(1)]), i32(0), v("value")), { dims: ["value"] });
  d.run.push(
    { kind: "dim", id: id(trip), from: { buffer: x.id, index: D.zero }, min: 0, max: 12 },
    d.call(start, [now, going, history]),
    {
      kind: "loop",
      trip,
      cond: going.id,
      counter: id(counter),
      body: [d.call(step, [now, next, goingNext, x, d.part(history, "slot", [n(1)], counter)], { scalars: [counter] })],
      swap: [
        [now, next],
        [goingNext, going],
      ].map(([p, q]) => [p!.id, q!.id] as const),
    },
    d.call(put, [done], { dims: [counter] }),
    d.call(copier(d, "i32"), [now, state], { dims: [n(2)] }),
  );
  const run = (trips: number, limit: number) => {
    let [a, b, i] = [0, 1, 0];
    const h = range(12).map(() => 0);
    for (; i < trips; ) {
      [a, b] = [b, a + b];
      h[i] = b + i * 1000;
      i++;
      if (b > limit) break;
    }
    return {
      inputs: { x: i32s([trips, limit]) },
      expected: { state: i32s([a, b]), history: i32s(h), iterations: i32s([i]) },
    };
  };
  return fixture(
    d,
    [
      run(5, 1000),
      run(12, 30),
      run(0, 5),
      run(1, 5),
      run(12, 1 << 30),
      { inputs: { x: i32s([13, 0]) }, fails: 1 },
      run(6, 7),
    ],
    { dtypes: ["i32", "bool"] },
  );
}

/** A loop without a trip count that grows a heap buffer: each iteration appends an element and swaps; a dim is bound again. */
function growingLoop(): Fixture {
  const d = new Draft("loop-heap");
  const length = d.dataDim("length", 0, 100);
  const counter = d.dataDim("t", 0, 1 << 20);
  const x = d.input("x", "i32", [n(1)]);
  const going = d.temp("going", "bool", []);
  const list = d.output("list", "i32", [length], "heap");
  const longer = d.temp("longer", "i32", [D.add(length, D.one)], "heap");
  const check = d.kernel(
    "check",
    (kd) => {
      const [kg, kx] = [kd.param("g", "bool", []), kd.param("x", "i32", [n(1)])];
      return store(kg, i32(0), lt(v("n"), loadOf(kx, i32(0))));
    },
    { dims: ["n"] },
  );
  const append = d.kernel(
    "append",
    (kd) => {
      const [ka, kb] = [kd.param("a", "i32", [D.sym("n")]), kd.param("b", "i32", [D.add(D.sym("n"), D.one)])];
      return [loop("i", v("n"), store(kb, v("i"), loadOf(ka, v("i")))), store(kb, v("n"), mul(v("n"), v("n")))];
    },
    { dims: ["n"] },
  );
  d.run.push(
    { kind: "dim", id: id(length), from: { value: D.zero }, min: 0, max: 100 },
    { kind: "reserve", buffer: list.id },
    d.call(check, [going, x], { dims: [length] }),
    {
      kind: "loop",
      trip: null,
      cond: going.id,
      counter: id(counter),
      body: [
        { kind: "reserve", buffer: longer.id },
        d.call(append, [list, longer], { dims: [length] }),
        { kind: "dim", id: id(length), from: { value: D.add(length, D.one) }, min: 0, max: 100 },
        d.call(check, [going, x], { dims: [length] }),
      ],
      swap: [[list.id, longer.id]],
    },
  );
  const run = (count: number) => ({
    inputs: { x: i32s([count]) },
    expected: { list: i32s(range(Math.max(0, count)).map((i) => i * i)) },
  });
  return fixture(d, [run(0), run(5), run(100), run(-2), { inputs: { x: i32s([101]) }, fails: 1 }, run(3)], {
    dtypes: ["i32", "bool"],
  });
}

/** Dims that need floordiv, mod, min, max and broadcast, as extents, offsets and scalars; an i32 element read at an index. */
function dimArithmetic(): Fixture {
  const d = new Draft("dim-arithmetic");
  const rows = d.dimOf(0, "N", 1, 40);
  const x = d.input("x", "i32", [rows]);
  const second = d.dimOf(0, "M", 1, 40);
  const y = d.input("y", "i32", [second]);
  const picked = d.dataDim("picked", -100, 100);
  const half = D.floordiv(D.add(rows, D.one), n(2));
  const values = [
    half,
    D.mod(rows, n(3)),
    D.max(rows, second),
    D.min(rows, second),
    D.broadcast(rows, second),
    D.floordiv(D.sub(second, D.mul(rows, n(2))), n(3)),
    D.mod(D.sub(second, rows), n(5)),
    D.mul(rows, second),
    picked,
  ];
  const half_x = d.output("half", "i32", [half]);
  const dims = d.output("dims", "i32", [n(values.length)]);
  const put = d.kernel("put", (kd) => store(kd.param("z", "i32", [n(1)]), i32(0), v("value")), {
    scalars: [{ name: "value", dtype: "i32" }],
  });
  d.run.push(
    { kind: "dim", id: id(picked), from: { buffer: y.id, index: D.sub(second, D.one) }, min: -100, max: 100 },
    d.call(copier(d, "i32"), [d.part(x, "tail", [half], D.floordiv(rows, n(2))), half_x], { dims: [half] }),
    ...values.map((value, i) => d.call(put, [d.part(dims, `d${i}`, [n(1)], n(i))], { scalars: [value] })),
  );
  const run = (r: number, m: number) => {
    const [xs, ys] = [range(r).map((i) => i * 3), range(m).map((i) => 7 - i)];
    const mod = (a: number, b: number): number => ((a % b) + b) % b;
    const want = [
      Math.ceil(r / 2),
      r % 3,
      Math.max(r, m),
      Math.min(r, m),
      r === 1 ? m : r,
      Math.floor((m - 2 * r) / 3),
      mod(m - r, 5),
      r * m,
      8 - m,
    ];
    return {
      inputs: { x: i32s(xs), y: i32s(ys) },
      expected: { half: i32s(xs.slice(Math.floor(r / 2))), dims: i32s(want) },
    };
  };
  return fixture(d, [run(5, 5), run(1, 40), run(40, 1), run(7, 7)], { dtypes: ["i32"] });
}

/** Sizes past 4 GiB are refused by plan, and so are products past 2^53; the next plan works again. */
function overflow(): Fixture {
  const d = new Draft("plan-overflow");
  const a = d.dimOf(0, "A");
  const x = d.input("x", "u8", [a]);
  const b = d.dimOf(0, "B");
  const y = d.input("y", "u8", [b]);
  const square = d.temp("square", "f64", [a, b, a, b]);
  const cut = d.temp("cut", "i32", [D.floordiv(D.mul(a, a, a, a, b), D.int(2 ** 40))]);
  const z = d.output("z", "u8", [n(1)]);
  const k = copier(d, "u8");
  d.run.push(
    d.call(k, [y, square], { dims: [b] }),
    d.call(k, [x, cut], { dims: [D.zero] }),
    d.call(k, [square, z], { dims: [n(1)] }),
  );
  const bytes = (count: number, first: number): Tensor =>
    tensorOf(
      "u8",
      [count],
      range(count).map((i) => (i + first) & 255),
    );
  const ok = { inputs: { x: bytes(3, 1), y: bytes(2, 9) }, expected: { z: tensorOf("u8", [1], [9]) } };
  // 256^4 * 8 is 2^35; 40000^4 * 8 is past 2^63.
  return fixture(
    d,
    [
      ok,
      { inputs: { x: bytes(256, 0), y: bytes(256, 0) }, fails: "plan" },
      { inputs: { x: bytes(40000, 0), y: bytes(40000, 0) }, fails: "plan" },
      ok,
    ],
    { dtypes: ["i32"] },
  );
}

/** The seed of the run reaches kernels as the symbol $seed. */
function seed(): Fixture {
  const d = new Draft("seed");
  const x = d.input("x", "i32", [n(1)]);
  const z = d.output("z", "i32", [n(1)]);
  const k = d.kernel(
    "mix",
    (kd) => {
      const [kx, kz] = [kd.param("x", "i32", [n(1)]), kd.param("z", "i32", [n(1)])];
      return store(kz, i32(0), binary<LoopExpr>("bitxor", mul(v("$seed"), i32(-1640531527)), loadOf(kx, i32(0))));
    },
    { dims: ["$seed"] },
  );
  d.run.push(d.call(k, [x, z], { dims: [D.sym("$seed")] }));
  const run = (s: number) => ({
    inputs: { x: i32s([77]) },
    seed: s,
    expected: { z: i32s([Math.imul(s, -1640531527) ^ 77]) },
  });
  return fixture(d, [run(0), run(1), run(-5), run(2 ** 31 - 1)], { dtypes: ["i32"] });
}

/** A port that is a part of a root (a row of a larger buffer), two ports of one buffer, a port that a loop swaps. */
function ports(): Fixture {
  const d = new Draft("ports");
  const rows = d.dimOf(0, "N", 1, 9);
  const x = d.input("x", "i32", [rows]);
  const root = d.temp("root", "i32", [n(2), rows], "io");
  const row = d.part(root, "row", [rows], rows);
  const other = d.temp("other", "i32", [n(1)]);
  const swapped = d.output("swapped", "i32", [n(1)]);
  const k = copier(d, "i32");
  const t = d.dataDim("t", 0, 100);
  d.run.push(d.call(k, [x, row], { dims: [rows] }), d.call(k, [x, swapped], { dims: [n(1)] }), {
    kind: "loop",
    trip: rows,
    cond: null,
    counter: id(t),
    body: [d.call(k, [d.part(x, "item", [n(1)], t), other], { dims: [n(1)] })],
    swap: [[swapped.id, other.id]],
  });
  d.expose("row", row);
  d.expose("again", row);
  const run = (count: number) => {
    const xs = small(count, 4);
    return { inputs: { x: i32s(xs) }, expected: { row: i32s(xs), again: i32s(xs), swapped: i32s([xs[count - 1]!]) } };
  };
  return fixture(d, [run(3), run(8)], { dtypes: ["i32"], planned: true });
}

export const actionPrograms: readonly Fixture[] = [
  concat(),
  constants(),
  prepared(),
  compress(),
  growth(),
  branches(),
  loopSwap(),
  growingLoop(),
  dimArithmetic(),
  overflow(),
  seed(),
  ports(),
];
