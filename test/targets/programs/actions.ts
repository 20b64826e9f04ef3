// What lies above kernels: dims, control flow, the seed.
import * as D from "../../../src/ir/dim.ts";
import { binary, constant, i32, select, v } from "../../../src/ir/expr.ts";
import type { LoopExpr, Stmt } from "../../../src/ir/loops.ts";
import type { Action, Call } from "../../../src/ir/program.ts";
import { tensorOf } from "../../../src/ir/types.ts";
import type { Fixture } from "./draft.ts";
import { alloc, Draft, fixture, loadOf, loop, N, n, store } from "./draft.ts";
import { add, copier, i32s, id, lt, mul, op, range } from "./structure.ts";

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
    d.call(gather, [x, index, d.part(z, "flat", [count], D.zero)]),
    { kind: "reserve", buffer: scratch.id },
    d.call(fill, [scratch], { dims: [D.add(count, n(70))] }),
    { kind: "release", buffer: scratch.id },
    // Takes the place of scratch; must leave z alone.
    { kind: "reserve", buffer: second.id },
    d.call(gather, [x, index, d.part(second, "first half", [count], D.zero)]),
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
  const made = d.dataDim("made", 0, 12);
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
    { kind: "dim", id: id(made), from: { value: D.zero }, min: 0, max: 12 },
    d.call(start, [now, going, history]),
    {
      kind: "loop",
      trip,
      cond: going.id,
      counter: id(counter),
      body: [
        d.call(step, [now, next, goingNext, x, d.part(history, "slot", [n(1)], counter)], { scalars: [counter] }),
        { kind: "dim", id: id(made), from: { value: D.add(counter, D.one) }, min: 0, max: 12 },
      ],
      swap: [
        [now, next],
        [goingNext, going],
      ].map(([p, q]) => [p!.id, q!.id] as const),
    },
    d.call(put, [done], { dims: [made] }),
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
    { kind: "reserve", buffer: longer.id },
    d.call(check, [going, x], { dims: [length] }),
    {
      kind: "loop",
      trip: null,
      cond: going.id,
      counter: id(counter),
      body: [
        { kind: "release", buffer: longer.id },
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

export const actionPrograms: readonly Fixture[] = [
  compress(),
  branches(),
  loopSwap(),
  growingLoop(),
  dimArithmetic(),
  seed(),
];
