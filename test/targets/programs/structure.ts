// Loops, registers, pointers, control flow inside kernels.
import type { SymbolId } from "../../../src/base/brand.ts";
import * as D from "../../../src/ir/dim.ts";
import type { BinaryOp } from "../../../src/ir/expr.ts";
import { binary, cast, constant, i32, mulAdd, select, unary, v } from "../../../src/ir/expr.ts";
import type { LoopExpr, Stmt } from "../../../src/ir/loops.ts";
import type { DType, Tensor } from "../../../src/ir/types.ts";
import { tensorOf } from "../../../src/ir/types.ts";
import type { Fixture } from "./draft.ts";
import { alloc, Draft, fixture, letIn, loadOf, loop, N, n, store } from "./draft.ts";

export const op =
  (name: BinaryOp) =>
  (a: LoopExpr, b: LoopExpr): LoopExpr =>
    binary<LoopExpr>(name, a, b);
export const add: (a: LoopExpr, b: LoopExpr) => LoopExpr = op("add");
export const sub: (a: LoopExpr, b: LoopExpr) => LoopExpr = op("sub");
export const mul: (a: LoopExpr, b: LoopExpr) => LoopExpr = op("mul");
export const lt: (a: LoopExpr, b: LoopExpr) => LoopExpr = op("lt");
export const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
/** Small integers as floats: sums and products of them are exact in any order. */
export const small = (count: number, seed: number): number[] =>
  range(count).map((i) => ((i * 7 + seed * 13 + ((i * i) % 11)) % 17) - 8);
/** The symbol of a dim that is one. */
export const id = (d: D.Dim): SymbolId => D.symbolsOf(d).values().next().value!;
export const i32s = (values: readonly number[]): Tensor => tensorOf("i32", [values.length], values);
/** z[i] = x[i], of `extent` elements: extent is a dim `n` of the kernel. */
export function copier(d: Draft, dtype: DType, name = `copy_${dtype}`): number {
  return d.kernel(
    name,
    (kd) => {
      const [kx, kz] = [kd.param("x", dtype, [D.sym("n")]), kd.param("z", dtype, [D.sym("n")])];
      return loop("i", v("n"), store(kz, v("i"), loadOf(kx, v("i"))));
    },
    { dims: ["n"] },
  );
}
const bool = (x: number): LoopExpr => constant("bool", x);

/** Bodies apart, one in the other: what they read of outside are addresses, dims, lets of all kinds, and loops' variables. */
function bodiesApart(): Fixture {
  const d = new Draft("apart");
  const rows = d.dimOf(0, "N", 0, 64);
  const x = d.input("x", "f32", [rows, n(8)]);
  const z = d.output("z", "f32", [rows, n(8)]);
  const apart = (s: Stmt): Stmt => ({ ...s, loop: "apart" }) as Stmt;
  const k = d.kernel(
    "bodies",
    (kd) => {
      const [kx, kz] = [kd.param("x", "f32", x.shape), kd.param("z", "f32", z.shape)];
      const at = add(v("row"), add(v("j"), v("two")));
      const all: LoopExpr = { kind: "ramp", base: at, stride: 1, lanes: 4, dtype: "i32" };
      const four: LoopExpr = { kind: "var", dtype: "f32", name: "bias", lanes: 4 };
      const value = binary<LoopExpr>("add", { ...loadOf(kx, at), index: [all] } as LoopExpr, four);
      const inner = apart(loop("j", i32(6), store(kz, all, value), 4));
      const outer = apart(loop("i", v("N"), letIn("row", mul(v("i"), i32(8)), inner)));
      const bias: LoopExpr = { kind: "splat", x: v("half", "f32"), lanes: 4, dtype: "f32" };
      return letIn("two", i32(0), letIn("half", constant("f32", 0.5), letIn("bias", bias, outer)));
    },
    { dims: ["N"] },
  );
  d.run.push(d.call(k, [x, z]));
  const run = (r: number) => {
    const xs = small(r * 8, r);
    return {
      inputs: { x: tensorOf("f32", [r, 8], xs) },
      expected: {
        z: tensorOf(
          "f32",
          [r, 8],
          xs.map((a) => a + 0.5),
        ),
      },
    };
  };
  return fixture(d, [run(2), run(0), run(5)], { dtypes: ["f32", "i32"], vectors: 4 });
}

/** An index far outside memory is loaded only by the side of a select that is not chosen. */
function laziness(dtype: "f32" | "i64"): Fixture {
  const d = new Draft(`select-lazy/${dtype}`);
  const idx = [0, 2 ** 28, 3, -(2 ** 28), 1, 2, 536870000];
  const xs = [5, 6, 7, 8];
  const at = d.input("at", "i32", [n(7)]);
  const x = d.input("x", dtype, [n(4)]);
  const z = d.output("z", dtype, [n(7)]);
  const k = d.kernel("pick", (kd) => {
    const [ka, kx, kz] = [
      kd.param("at", "i32", at.shape),
      kd.param("x", dtype, x.shape),
      kd.param("z", dtype, z.shape),
    ];
    const i = loadOf(ka, v("i"));
    const inside = op("and")(op("le")(i32(0), i), lt(i, i32(4)));
    // Shared inside the side: it may become a variable there, and only there.
    const here = loadOf(kx, i);
    const value = mul(add(here, constant(dtype, 1)), add(here, constant(dtype, 3)));
    return loop("i", i32(7), store(kz, v("i"), select<LoopExpr>(inside, value, constant(dtype, -1))));
  });
  d.run.push(d.call(k, [at, x, z]));
  const expected = idx.map((i) => (i >= 0 && i < 4 ? (xs[i]! + 1) * (xs[i]! + 3) : -1));
  return fixture(
    d,
    [
      {
        inputs: { at: tensorOf("i32", [7], idx), x: tensorOf(dtype, [4], xs) },
        expected: { z: tensorOf(dtype, [7], expected) },
      },
    ],
    { dtypes: [dtype, "i32", "bool"] },
  );
}

/** Loops with steps, extents that are no multiple of them, empty and negative extents, extents from memory and outer variables. */
function loops(): Fixture {
  const d = new Draft("loops");
  const ext = [0, -3, 1, 5, 7];
  const e = d.input("extents", "i32", [n(5)]);
  const steps = d.output("steps", "i32", [n(5), n(3)]);
  const triangle = d.output("triangle", "i32", [n(6), n(6)]);
  const acc = d.register("acc", "i32");
  const k = d.kernel("loops", (kd) => {
    const [ke, ks, kt] = [
      kd.param("e", "i32", e.shape),
      kd.param("s", "i32", steps.shape),
      kd.param("t", "i32", triangle.shape),
    ];
    const counted = (by: number, column: number): Stmt[] => [
      store(acc, i32(0), i32(0)),
      loop(
        `j${column}`,
        loadOf(ke, v("i")),
        store(acc, i32(0), add(add(loadOf(acc, i32(0)), v(`j${column}`)), i32(100))),
        by,
      ),
      store(ks, add(mul(v("i"), i32(3)), i32(column)), loadOf(acc, i32(0))),
    ];
    return [
      loop("i", i32(5), alloc(acc, [...counted(1, 0), ...counted(2, 1), ...counted(3, 2)])),
      loop("r", i32(6), [
        loop("c0", i32(6), store(kt, add(mul(v("r"), i32(6)), v("c0")), i32(0))),
        loop("c", sub(v("r"), i32(1)), store(kt, add(mul(v("r"), i32(6)), v("c")), add(mul(v("r"), i32(10)), v("c")))),
      ]),
    ];
  });
  d.run.push(d.call(k, [e, steps, triangle]));
  const count = (extent: number, by: number): number => {
    let sum = 0;
    for (let j = 0; j < extent; j += by) sum += j + 100;
    return sum;
  };
  const expected = {
    steps: tensorOf(
      "i32",
      [5, 3],
      ext.flatMap((x) => [count(x, 1), count(x, 2), count(x, 3)]),
    ),
    triangle: tensorOf(
      "i32",
      [6, 6],
      range(36).map((i) => (i % 6 < Math.floor(i / 6) - 1 ? Math.floor(i / 6) * 10 + (i % 6) : 0)),
    ),
  };
  return fixture(d, [{ inputs: { extents: tensorOf("i32", [5], ext) }, expected }], { dtypes: ["i32"] });
}

/** A matrix product with a 2x2 tile of register accumulators. */
function matmul(): Fixture {
  const d = new Draft("matmul");
  const [m, kk, nn] = [4, 5, 6];
  const [xs, ys] = [small(m * kk, 1), small(kk * nn, 2)];
  const x = d.input("x", "f32", [n(m), n(kk)]);
  const y = d.input("y", "f32", [n(kk), n(nn)]);
  const z = d.output("z", "f32", [n(m), n(nn)]);
  const k = d.kernel("matmul_2x2", (kd) => {
    const [kx, ky, kz] = [kd.param("x", "f32", x.shape), kd.param("y", "f32", y.shape), kd.param("z", "f32", z.shape)];
    const accs = range(4).map((i) => d.register(`acc${i}`, "f32"));
    const body: Stmt[] = [
      ...accs.map((a) => store(a, i32(0), constant("f32", 0))),
      loop(
        "k",
        i32(kk),
        accs.map((a, t) => {
          const row = add(mul(add(v("i"), i32(t >> 1)), i32(kk)), v("k"));
          const column = add(add(mul(v("k"), i32(nn)), v("j")), i32(t & 1));
          return store(a, i32(0), mulAdd<LoopExpr>(loadOf(kx, row), loadOf(ky, column), loadOf(a, i32(0))));
        }),
      ),
      ...accs.map((a, t) =>
        store(kz, add(add(mul(add(v("i"), i32(t >> 1)), i32(nn)), v("j")), i32(t & 1)), loadOf(a, i32(0))),
      ),
    ];
    return loop(
      "i",
      i32(m),
      loop(
        "j",
        i32(nn),
        accs.reduceRight<Stmt>((inner, a) => alloc(a, inner), { kind: "seq", body }),
        2,
      ),
      2,
    );
  });
  d.run.push(d.call(k, [x, y, z]));
  const expected = range(m * nn).map((i) =>
    range(kk).reduce((s, t) => s + xs[Math.floor(i / nn) * kk + t]! * ys[t * nn + (i % nn)]!, 0),
  );
  return fixture(
    d,
    [
      {
        inputs: { x: tensorOf("f32", [m, kk], xs), y: tensorOf("f32", [kk, nn], ys) },
        expected: { z: tensorOf("f32", [m, nn], expected) },
      },
    ],
    { dtypes: ["f32", "i32"] },
  );
}

/** A product of a matrix and a vector by moving pointers: both operands advance by two, offsets are immediate. */
function pointers(): Fixture {
  const d = new Draft("pointers");
  const [rows, depth] = [3, 6];
  const [xs, ys] = [small(rows * depth, 3), small(depth, 4)];
  const x = d.input("x", "f32", [n(rows), n(depth)]);
  const y = d.input("y", "f32", [n(depth)]);
  const z = d.output("z", "f32", [n(rows)]);
  const halves = d.output("halves", "i16", [n(rows), n(depth)]);
  const k = d.kernel("matvec", (kd) => {
    const [kx, ky, kz, kh] = [
      kd.param("x", "f32", x.shape),
      kd.param("y", "f32", y.shape),
      kd.param("z", "f32", z.shape),
      kd.param("h", "i16", halves.shape),
    ];
    const acc = d.register("acc", "f32");
    const step = (o: number): Stmt =>
      store(acc, i32(0), mulAdd<LoopExpr>(loadOf(kx, i32(o), "px"), loadOf(ky, i32(o), "py"), loadOf(acc, i32(0))));
    const inner: Stmt = {
      kind: "for",
      v: "k",
      extent: i32(depth),
      step: 2,
      loop: "serial",
      pointers: [
        { name: "px", buffer: kx.id, init: mul(v("i"), i32(depth)), step: i32(2) },
        { name: "py", buffer: ky.id, init: i32(0), step: i32(2) },
      ],
      body: { kind: "seq", body: [step(0), step(1)] },
    };
    const outer: Stmt = {
      kind: "for",
      v: "i",
      extent: i32(rows),
      step: 1,
      loop: "serial",
      pointers: [
        { name: "pz", buffer: kz.id, init: i32(rows - 1), step: i32(-1) },
        { name: "ph", buffer: kh.id, init: i32(0), step: i32(depth) },
      ],
      body: alloc(acc, [
        store(acc, i32(0), constant("f32", 0)),
        inner,
        store(kz, i32(0), loadOf(acc, i32(0)), { via: "pz" }),
        ...range(depth).map((o) => store(kh, i32(o), add(mul(v("i"), i32(1000)), i32(o)), { via: "ph" })),
      ]),
    };
    return outer;
  });
  d.run.push(d.call(k, [x, y, z, halves]));
  const dots = range(rows).map((r) => range(depth).reduce((s, t) => s + xs[r * depth + t]! * ys[t]!, 0));
  const expected = {
    z: tensorOf("f32", [rows], dots.reverse()),
    halves: tensorOf(
      "i16",
      [rows, depth],
      range(rows * depth).map((i) => Math.floor(i / depth) * 1000 + (i % depth)),
    ),
  };
  return fixture(
    d,
    [{ inputs: { x: tensorOf("f32", [rows, depth], xs), y: tensorOf("f32", [depth], ys) }, expected }],
    { dtypes: ["f32", "i32"] },
  );
}

/** while with register state, if and else, a let, a bool register: the length of a Collatz sequence, at most 60 steps. */
function collatz(): Fixture {
  const d = new Draft("while");
  const xs = [1, 2, 3, 7, 27, 97, 0, 6];
  const x = d.input("x", "i32", [n(8)]);
  const z = d.output("steps", "i32", [n(8)]);
  const capped = d.output("capped", "bool", [n(8)]);
  const k = d.kernel("collatz", (kd) => {
    const [kx, kz, kc] = [kd.param("x", "i32", x.shape), kd.param("z", "i32", z.shape), kd.param("c", "bool", z.shape)];
    const [value, steps, going] = [d.register("value", "i32"), d.register("steps", "i32"), d.register("going", "bool")];
    const [val, count] = [loadOf(value, i32(0)), loadOf(steps, i32(0))];
    return loop(
      "i",
      i32(8),
      alloc(
        value,
        alloc(
          steps,
          alloc(going, [
            store(value, i32(0), loadOf(kx, v("i"))),
            store(steps, i32(0), i32(0)),
            store(going, i32(0), bool(1)),
            {
              kind: "while",
              cond: op("and")(loadOf(going, i32(0)), op("and")(lt(i32(1), val), lt(count, i32(60)))),
              body: letIn("half", op("floordiv")(val, i32(2)), [
                {
                  kind: "if",
                  cond: op("eq")(op("floormod")(val, i32(2)), i32(0)),
                  then: store(value, i32(0), v("half")),
                  otherwise: store(value, i32(0), add(mul(val, i32(3)), i32(1))),
                },
                store(steps, i32(0), add(count, i32(1))),
                { kind: "if", cond: op("eq")(val, i32(5)), then: store(going, i32(0), bool(0)) },
              ]),
            },
            store(kz, v("i"), count),
            store(kc, v("i"), op("and")(op("le")(i32(60), count), unary<LoopExpr>("not", op("le")(val, i32(1))))),
          ]),
        ),
      ),
    );
  });
  d.run.push(d.call(k, [x, z, capped]));
  const walk = (start: number): [number, number] => {
    let [value, count] = [start, 0];
    while (value > 1 && count < 60) {
      value = value % 2 === 0 ? value / 2 : value * 3 + 1;
      count++;
      if (value === 5) break;
    }
    return [count, count >= 60 && value > 1 ? 1 : 0];
  };
  const expected = {
    steps: tensorOf(
      "i32",
      [8],
      xs.map((s) => walk(s)[0]),
    ),
    capped: tensorOf(
      "bool",
      [8],
      xs.map((s) => walk(s)[1]),
    ),
  };
  return fixture(d, [{ inputs: { x: tensorOf("i32", [8], xs) }, expected }], { dtypes: ["i32", "bool"] });
}

/** Constant tables of several dtypes, indexed by what is loaded. */
function tables(): Fixture[] {
  const values: Readonly<Partial<Record<DType, readonly number[]>>> = {
    f32: [0.5, -1.25, 1e10, 0.1],
    f64: [0.1, -1e300, 3, 7],
    i32: [-7, 2147483647, -2147483648, 12],
    u32: [0, 4294967295, 7, 2147483648],
    i64: [-1, 4503599627370496, 3, -9],
    bool: [1, 0, 0, 1],
  };
  return Object.entries(values).map(([t, list]) => {
    const dtype = t as DType;
    const d = new Draft(`table/${dtype}`);
    const idx = [3, 0, 2, 1, 1];
    const at = d.input("at", "i32", [n(5)]);
    const z = d.output("z", dtype, [n(5)]);
    const k = d.kernel("lookup", (kd) => {
      const [ka, kz] = [kd.param("at", "i32", at.shape), kd.param("z", dtype, z.shape)];
      return loop("i", i32(5), store(kz, v("i"), { kind: "table", dtype, values: list, index: loadOf(ka, v("i")) }));
    });
    d.run.push(d.call(k, [at, z]));
    const expected = idx.map((i) => (dtype === "i64" ? BigInt(list[i]!) : list[i]!));
    return fixture(
      d,
      [{ inputs: { at: tensorOf("i32", [5], idx) }, expected: { z: tensorOf(dtype, [5], expected) } }],
      { dtypes: dtype === "i32" ? ["i32"] : [dtype, "i32"] },
    );
  });
}

/** 64-bit arithmetic that wraps in loops: a hash over a sequence, in both signs. */
function hash(dtype: "i64" | "u64"): Fixture {
  const d = new Draft(`hash/${dtype}`);
  const xs = [1n, 0n, 77n, 123456789012345n, 5n].map((x, i) => (dtype === "i64" && i === 2 ? -x : x));
  const x = d.input("x", dtype, [n(5)]);
  const z = d.output("z", dtype, [n(5)]);
  const k = d.kernel("fnv", (kd) => {
    const [kx, kz] = [kd.param("x", dtype, x.shape), kd.param("z", dtype, z.shape)];
    const h = d.register("h", dtype);
    return alloc(h, [
      store(h, i32(0), constant(dtype, 1469598103934665603n)),
      loop("i", i32(5), [
        store(h, i32(0), mul(op("bitxor")(loadOf(h, i32(0)), loadOf(kx, v("i"))), constant(dtype, 1099511628211n))),
        store(kz, v("i"), op("bitxor")(loadOf(h, i32(0)), op("shr")(loadOf(h, i32(0)), constant(dtype, 29)))),
      ]),
    ]);
  });
  d.run.push(d.call(k, [x, z]));
  const as = (y: bigint): bigint => (dtype === "i64" ? BigInt.asIntN(64, y) : BigInt.asUintN(64, y));
  let h = 1469598103934665603n;
  const expected = xs.map((y) => {
    h = as((h ^ y) * 1099511628211n);
    return as(h ^ (h >> 29n));
  });
  return fixture(d, [{ inputs: { x: tensorOf(dtype, [5], xs) }, expected: { z: tensorOf(dtype, [5], expected) } }], {
    dtypes: [dtype, "i32"],
  });
}

/** One operand read and written in place, another that overlaps it; an atomic add and an atomic max. */
function overlap(): Fixture {
  const d = new Draft("in-place-and-atomic");
  const x = d.input("x", "i32", [n(6)]);
  const z = d.output("z", "i32", [n(6)]);
  const bins = d.output("bins", "i32", [n(2)]);
  const copy = d.kernel("copy", (kd) => {
    const [kx, kz] = [kd.param("x", "i32", x.shape), kd.param("z", "i32", z.shape)];
    return loop("i", i32(6), store(kz, v("i"), loadOf(kx, v("i"))));
  });
  const running = d.kernel(
    "running",
    (kd) => {
      const [ka, kb] = [kd.param("a", "i32", [n(5)]), kd.param("b", "i32", [n(5)])];
      return loop("i", i32(5), store(kb, v("i"), add(loadOf(kb, v("i")), loadOf(ka, v("i")))));
    },
    { mayOverlap: [[0, 1]] },
  );
  const bin = d.kernel("bin", (kd) => {
    const [kz, kb] = [kd.param("z", "i32", z.shape), kd.param("bins", "i32", bins.shape)];
    return [
      store(kb, i32(0), i32(0)),
      store(kb, i32(1), i32(-100)),
      loop("i", i32(6), [
        store(kb, i32(0), loadOf(kz, v("i")), { atomic: "add" }),
        store(kb, i32(1), loadOf(kz, v("i")), { atomic: "max" }),
      ]),
    ];
  });
  d.run.push(
    d.call(copy, [x, z]),
    d.call(running, [d.part(z, "head", [n(5)], n(0)), d.part(z, "tail", [n(5)], n(1))]),
    d.call(bin, [z, bins]),
  );
  const expected = { z: tensorOf("i32", [6], [1, -1, 2, -2, 3, -3]), bins: tensorOf("i32", [2], [0, 3]) };
  return fixture(d, [{ inputs: { x: tensorOf("i32", [6], [1, -2, 3, -4, 5, -6]) }, expected }], { dtypes: ["i32"] });
}

/** Subexpressions that are shared by identity: a printer of trees would write 2^20 terms. Also one shared by the sides of selects. */
function shared(): Fixture {
  const d = new Draft("shared-subexpressions");
  const xs = [0, 1, -3, 2, 5, 100];
  const x = d.input("x", "i32", [n(6)]);
  const z = d.output("z", "i32", [n(6)]);
  const y = d.output("y", "i32", [n(6)]);
  const k = d.kernel("doubling", (kd) => {
    const [kx, kz, ky] = [kd.param("x", "i32", x.shape), kd.param("z", "i32", z.shape), kd.param("y", "i32", y.shape)];
    let e = loadOf(kx, v("i"));
    for (let i = 0; i < 20; i++) e = add(e, e);
    let s = loadOf(kx, v("i"));
    for (let i = 0; i < 20; i++) s = select<LoopExpr>(lt(s, i32(i)), add(s, i32(3)), sub(s, i32(2)));
    return loop("i", i32(6), [store(kz, v("i"), e), store(ky, v("i"), s)]);
  });
  d.run.push(d.call(k, [x, z, y]));
  const walk = (s: number): number => range(20).reduce((a, i) => (a < i ? a + 3 : a - 2), s);
  const expected = {
    z: tensorOf(
      "i32",
      [6],
      xs.map((a) => (a * 2 ** 20) | 0),
    ),
    y: tensorOf("i32", [6], xs.map(walk)),
  };
  return fixture(d, [{ inputs: { x: tensorOf("i32", [6], xs) }, expected }], { dtypes: ["i32", "bool"] });
}

/** Names that are no identifiers, are reserved words, differ only in what an identifier cannot hold, or look like a printer's own. */
function names(): Fixture {
  const d = new Draft("names");
  const rows = d.dimOf(0, "batch size", 1, 100);
  const columns = d.dimOf(1, "batch.size", 1, 100);
  const x = d.input("new", "f32", [rows, columns]);
  const z = d.output("class", "f32", [columns, rows]);
  const k = d.kernel(
    "2d transpose, α→β",
    (kd) => {
      const [kx, kz] = [kd.param("F32", "f32", x.shape), kd.param("F32", "f32", z.shape)];
      const acc = d.register("return", "f32");
      const [r, c] = [v("batch size"), v("batch.size")];
      return loop(
        "var",
        r,
        loop(
          "var.0",
          c,
          alloc(acc, [
            store(acc, i32(0), loadOf(kx, add(mul(v("var"), c), v("var.0")))),
            letIn(
              "let",
              op("max")(loadOf(acc, i32(0)), v("Math", "f32")),
              store(kz, add(mul(v("var.0"), r), v("var")), v("let", "f32")),
            ),
          ]),
        ),
      );
    },
    { dims: ["batch size", "batch.size"], scalars: [{ name: "Math", dtype: "f32" }] },
  );
  d.run.push(d.call(k, [x, z], { scalars: [n(-2)] }));
  const run = (r: number, c: number) => {
    const xs = small(r * c, r);
    return {
      inputs: { new: tensorOf("f32", [r, c], xs) },
      expected: {
        class: tensorOf(
          "f32",
          [c, r],
          range(r * c).map((i) => Math.max(-2, xs[(i % r) * c + Math.floor(i / r)]!)),
        ),
      },
    };
  };
  return fixture(
    d,
    [run(2, 3), run(5, 1), { inputs: { new: tensorOf("f32", [101, 1], small(101, 0)) }, fails: "plan" }, run(3, 4)],
    { dtypes: ["f32", "i32"] },
  );
}

/** Scalar parameters of several dtypes, a dim used as a value, one kernel called three times. */
function scalars(): Fixture {
  const d = new Draft("scalars");
  const rows = d.dimOf(0, "N", 1, 50);
  const x = d.input("x", "f32", [rows]);
  const z = d.output("z", "f32", [n(3), rows]);
  const k = d.kernel(
    "affine",
    (kd) => {
      const [kx, kz] = [kd.param("x", "f32", [N]), kd.param("z", "f32", [N])];
      const value = add(
        mulAdd<LoopExpr>(loadOf(kx, v("i")), v("scale", "f32"), cast<LoopExpr>("f32", v("shift"))),
        cast<LoopExpr>("f32", v("n", "i32")),
      );
      return loop("i", v("n"), store(kz, v("i"), value));
    },
    {
      dims: ["n"],
      scalars: [
        { name: "scale", dtype: "f32" },
        { name: "shift", dtype: "i32" },
      ],
    },
  );
  for (let r = 0; r < 3; r++) {
    const out = d.part(z, `row${r}`, [rows], D.mul(n(r), N));
    d.run.push(d.call(k, [x, out], { scalars: [n(r + 1), n(-r)], dims: [N] }));
  }
  const run = (count: number) => {
    const xs = small(count, 5);
    return {
      inputs: { x: tensorOf("f32", [count], xs) },
      expected: {
        z: tensorOf(
          "f32",
          [3, count],
          range(3).flatMap((r) => xs.map((a) => a * (r + 1) - r + count)),
        ),
      },
    };
  };
  return fixture(d, [run(4), run(50), run(1)], { dtypes: ["f32", "i32"] });
}

export const structurePrograms: readonly Fixture[] = [
  laziness("f32"),
  laziness("i64"),
  loops(),
  matmul(),
  pointers(),
  bodiesApart(),
  collatz(),
  ...tables(),
  hash("i64"),
  hash("u64"),
  overlap(),
  shared(),
  names(),
  scalars(),
];
