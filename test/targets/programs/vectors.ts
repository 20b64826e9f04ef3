// Programs with vectors of 4 lanes, for targets that have them.
import type { BinaryOp, UnaryOp } from "../../../src/ir/expr.ts";
import { bitcast, cast, constant, i32, mulAdd, select, unary, v } from "../../../src/ir/expr.ts";
import type { LoopExpr, Stmt } from "../../../src/ir/loops.ts";
import type { Buffer } from "../../../src/ir/storage.ts";
import type { DType, Tensor } from "../../../src/ir/types.ts";
import { tensorOf } from "../../../src/ir/types.ts";
import type { Fixture } from "./draft.ts";
import { alloc, Draft, fixture, letIn, loadOf, loop, n, store } from "./draft.ts";
import { edges } from "./edges.ts";
import type { Scalar } from "./reference.ts";
import { refBinary, refCast, refUnary } from "./reference.ts";
import { add, lt, mul, op, range, small } from "./structure.ts";

const lanes = 4;
const ramp = (base: LoopExpr, stride = 1): LoopExpr => ({ kind: "ramp", base, stride, lanes, dtype: "i32" });
const splat = (x: LoopExpr): LoopExpr => ({ kind: "splat", x, lanes, dtype: x.dtype });
const vec = (b: Buffer, base: LoopExpr, via?: string): LoopExpr => loadOf(b, ramp(base), via);
const vecVar = (name: string, dtype: DType): LoopExpr => ({ kind: "var", dtype, name, lanes });
const horizontal = (x: LoopExpr, of: "sum" | "max" | "min"): LoopExpr => ({
  kind: "lanes",
  op: of,
  factor: lanes,
  dtype: x.dtype,
  x,
});
type Wide = "f32" | "i32" | "u32";

type Row = {
  readonly name: string;
  readonly expr: (a: LoopExpr, b: LoopExpr) => LoopExpr;
  readonly ref: (a: Scalar, b: Scalar) => Scalar;
};
/** Like the tables of scalars.ts, four pairs at a time; comparisons choose between the operands. */
function table(t: Wide): Fixture {
  const d = new Draft(`vector/${t}`);
  const pairs = edges[t].flatMap((x) => edges[t].map((y) => [x, y] as const));
  while (pairs.length % lanes !== 0) pairs.push([edges[t][1]!, edges[t][2]!]);
  const count = pairs.length;
  const plain: readonly BinaryOp[] =
    t === "f32"
      ? ["add", "sub", "mul", "div", "min", "max"]
      : ["add", "sub", "mul", "min", "max", "bitand", "bitor", "bitxor", ...(t === "i32" ? (["dot16"] as const) : [])];
  const unaries: readonly UnaryOp[] =
    t === "f32"
      ? ["neg", "abs", "sqrt", "floor", "ceil", "round", "trunc", "recip"]
      : t === "i32"
        ? ["neg", "abs", "bitnot", "widen8"]
        : ["neg", "bitnot"];
  const rows: Row[] = [
    ...plain.map((o): Row => ({ name: o, expr: op(o), ref: (a, b) => refBinary(o, t, a, b) })),
    ...unaries.map((o): Row => ({ name: o, expr: (a) => unary<LoopExpr>(o, a), ref: (a) => refUnary(o, t, a) })),
    ...(["lt", "le", "eq", "ne"] as const).map(
      (o): Row => ({
        name: `a ${o} b ? a : b`,
        expr: (a, b) => select<LoopExpr>(op(o)(a, b), a, b),
        ref: (a, b) => (refBinary(o, t, a, b) ? a : b),
      }),
    ),
    {
      name: "!(a < b && a != 0) | b == 0 ? b : a + 1",
      expr: (a, b) => {
        const zero = splat(constant(t, 0));
        const both = op("and")(lt(a, b), op("ne")(a, zero));
        return select<LoopExpr>(
          op("or")(unary<LoopExpr>("not", both), op("eq")(b, zero)),
          b,
          add(a, splat(constant(t, 1))),
        );
      },
      ref: (a, b) => (!(a < b && a !== 0) || b === 0 ? b : refBinary("add", t, a, 1)),
    },
    {
      name: "(a < b) ^ (a < 1) ? a : b",
      expr: (a, b) => select<LoopExpr>(op("xor")(lt(a, b), lt(a, splat(constant(t, 1)))), a, b),
      ref: (a, b) => (a < b !== Number(a) < 1 ? a : b),
    },
  ];
  // Shifts move all lanes by one amount: wasm has no others.
  if (t !== "f32")
    for (const o of ["shl", "shr"] as const)
      rows.push({ name: `${o} 5`, expr: (a) => op(o)(a, splat(constant(t, 5))), ref: (a) => refBinary(o, t, a, 5) });
  if (t === "i32")
    rows.push({
      name: "a + dot16(b, a)",
      expr: (a, b) => add(a, op("dot16")(b, a)),
      ref: (a, b) => refBinary("add", t, a, refBinary("dot16", t, b, a)),
    });
  if (t === "f32")
    rows.push({
      name: "mulAdd",
      expr: (a, b) => mulAdd<LoopExpr>(a, b, a, "separate"),
      ref: (a, b) => refBinary("add", t, refBinary("mul", t, a, b), a),
    });
  const [a, b] = [d.input("a", t, [n(count)]), d.input("b", t, [n(count)])];
  const z = d.output("z", t, [n(rows.length), n(count)]);
  rows.forEach((row, r) => {
    const k = d.kernel(`${row.name}_${t}x4`, (kd) => {
      const [ka, kb, kz] = [kd.param("a", t, a.shape), kd.param("b", t, b.shape), kd.param("z", t, [n(count)])];
      return loop("i", i32(count), store(kz, ramp(v("i")), row.expr(vec(ka, v("i")), vec(kb, v("i")))), lanes);
    });
    d.run.push(d.call(k, [a, b, d.part(z, `row ${r}`, [n(count)], n(r * count))]));
  });
  const inputs = {
    a: tensorOf(
      t,
      [count],
      pairs.map((p) => p[0]),
    ),
    b: tensorOf(
      t,
      [count],
      pairs.map((p) => p[1]),
    ),
  };
  const expected = {
    z: tensorOf(
      t,
      [rows.length, count],
      rows.flatMap((row) => pairs.map(([x, y]) => row.ref(x, y))),
    ),
  };
  return fixture(
    d,
    [{ inputs, expected }],
    { vectors: lanes, dtypes: [t, "i32", "bool"], ieee: t === "f32" },
    { rows: { z: rows.map((row) => row.name) } },
  );
}

/** NaN, infinities and denormals in the lanes. */
function specials(): Fixture {
  const d = new Draft("vector/special");
  const xs = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e-40, 0, 1, -2.5, 3.4e38].map(
    Math.fround,
  );
  const pairs = xs.flatMap((x) => xs.map((y) => [x, y] as const));
  const ops = ["add", "mul", "div", "min", "max", "nanmin", "nanmax"] as const;
  const [a, b] = [d.input("a", "f32", [n(64)]), d.input("b", "f32", [n(64)])];
  const z = d.output("z", "f32", [n(ops.length), n(64)]);
  const nans = d.output("nans", "i32", [n(64)]);
  const k = d.kernel("specials", (kd) => {
    const [ka, kb, kz, kn] = [
      kd.param("a", "f32", a.shape),
      kd.param("b", "f32", b.shape),
      kd.param("z", "f32", z.shape),
      kd.param("n", "i32", nans.shape),
    ];
    return loop(
      "i",
      i32(64),
      [
        ...ops.map((o, r) => store(kz, ramp(add(v("i"), i32(r * 64))), op(o)(vec(ka, v("i")), vec(kb, v("i"))))),
        store(
          kn,
          ramp(v("i")),
          select<LoopExpr>(unary<LoopExpr>("isnan", vec(ka, v("i"))), splat(i32(1)), splat(i32(0))),
        ),
      ],
      lanes,
    );
  });
  d.run.push(d.call(k, [a, b, z, nans]));
  const inputs = {
    a: tensorOf(
      "f32",
      [64],
      pairs.map((p) => p[0]),
    ),
    b: tensorOf(
      "f32",
      [64],
      pairs.map((p) => p[1]),
    ),
  };
  const expected = {
    z: tensorOf(
      "f32",
      [ops.length, 64],
      ops.flatMap((o) => pairs.map(([x, y]) => refBinary(o, "f32", x, y))),
    ),
    nans: tensorOf(
      "i32",
      [64],
      pairs.map(([x]) => (Number.isNaN(x) ? 1 : 0)),
    ),
  };
  return fixture(
    d,
    [{ inputs, expected }],
    { vectors: lanes, dtypes: ["f32", "i32", "bool"], ieee: true },
    { rows: { z: ops } },
  );
}

/** f32 to i32 saturates, i32 to f32 rounds, bitcasts keep bits; a Ramp is a value too. */
function casts(): Fixture {
  const d = new Draft("vector/casts");
  const floats = [...edges.f32, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 2147483520].map(Number);
  const ints = [...edges.i32].map(Number);
  while (floats.length % lanes !== 0) floats.push(5.5);
  while (ints.length % lanes !== 0) ints.push(16777217);
  const x = d.input("x", "f32", [n(floats.length)]);
  const y = d.input("y", "i32", [n(ints.length)]);
  const toInt = d.output("to_i32", "i32", x.shape);
  const toFloat = d.output("to_f32", "f32", y.shape);
  const signs = d.output("abs_by_bits", "f32", x.shape);
  const counting = d.output("counting", "i32", x.shape);
  const k = d.kernel("casts", (kd) => {
    const [kx, ky, ki, kf, ks, kc] = [
      kd.param("x", "f32", x.shape),
      kd.param("y", "i32", y.shape),
      kd.param("i", "i32", x.shape),
      kd.param("f", "f32", y.shape),
      kd.param("s", "f32", x.shape),
      kd.param("c", "i32", x.shape),
    ];
    return [
      loop(
        "i",
        i32(floats.length),
        [
          store(ki, ramp(v("i")), cast<LoopExpr>("i32", vec(kx, v("i")))),
          store(
            ks,
            ramp(v("i")),
            bitcast<LoopExpr>("f32", op("bitand")(bitcast<LoopExpr>("i32", vec(kx, v("i"))), splat(i32(0x7fffffff)))),
          ),
          store(kc, ramp(v("i")), mul(ramp(v("i"), 3), splat(v("i")))),
        ],
        lanes,
      ),
      loop("j", i32(ints.length), store(kf, ramp(v("j")), cast<LoopExpr>("f32", vec(ky, v("j")))), lanes),
    ];
  });
  d.run.push(d.call(k, [x, y, toInt, toFloat, signs, counting]));
  const expected: Record<string, Tensor> = {
    to_i32: tensorOf(
      "i32",
      [floats.length],
      floats.map((a) => refCast("i32", "f32", a)),
    ),
    to_f32: tensorOf(
      "f32",
      [ints.length],
      ints.map((a) => refCast("f32", "i32", a)),
    ),
    abs_by_bits: tensorOf("f32", [floats.length], floats.map(Math.abs)),
    counting: tensorOf(
      "i32",
      [floats.length],
      floats.map((_, i) => ((i & ~3) + 3 * (i & 3)) * (i & ~3)),
    ),
  };
  return fixture(
    d,
    [{ inputs: { x: tensorOf("f32", [floats.length], floats), y: tensorOf("i32", [ints.length], ints) }, expected }],
    { vectors: lanes, dtypes: ["f32", "i32"], ieee: true },
  );
}

/** Sum, max and min over the lanes, in every 4-byte dtype: a row reduction with a vector accumulator and a scalar end. */
function reductions(t: Wide): Fixture {
  const d = new Draft(`vector/reduce-${t}`);
  const [rows, columns] = [3, 11];
  const xs = small(rows * columns, 6)
    .map((x) => (t === "u32" ? x + 4294967280 : x))
    .map((x) => (t === "u32" ? x >>> 0 : x));
  const x = d.input("x", t, [n(rows), n(columns)]);
  const z = d.output("z", t, [n(3), n(rows)]);
  const kinds = ["sum", "max", "min"] as const;
  const k = d.kernel("reduce", (kd) => {
    const [kx, kz] = [kd.param("x", t, x.shape), kd.param("z", t, z.shape)];
    const accs = kinds.map((kind) => d.register(`v_${kind}`, t, lanes));
    const ends = kinds.map((kind) => d.register(`s_${kind}`, t));
    const zero = ramp(i32(0));
    const join = (kind: (typeof kinds)[number], a: LoopExpr, b: LoopExpr): LoopExpr =>
      op(kind === "sum" ? "add" : kind)(a, b);
    const row = mul(v("r"), i32(columns));
    const body: Stmt[] = [
      ...accs.map((a) => store(a, zero, vec(kx, row))),
      loop(
        "j",
        i32(4),
        accs.map((a, i) => store(a, zero, join(kinds[i]!, loadOf(a, zero), vec(kx, add(add(row, v("j")), i32(4)))))),
        lanes,
      ),
      ...accs.map((a, i) => store(ends[i]!, i32(0), horizontal(loadOf(a, zero), kinds[i]!))),
      loop(
        "t",
        i32(3),
        ends.map((e, i) =>
          store(e, i32(0), join(kinds[i]!, loadOf(e, i32(0)), loadOf(kx, add(add(row, v("t")), i32(8))))),
        ),
      ),
      ...ends.map((e, i) => store(kz, add(v("r"), i32(i * rows)), loadOf(e, i32(0)))),
    ];
    return loop(
      "r",
      i32(rows),
      [...accs, ...ends].reduceRight<Stmt>((inner, a) => alloc(a, inner), { kind: "seq", body }),
    );
  });
  d.run.push(d.call(k, [x, z]));
  const wrapped = (s: number): number => (t === "u32" ? s >>> 0 : s);
  const of = (f: (r: readonly number[]) => number): number[] =>
    range(rows).map((r) => f(xs.slice(r * columns, (r + 1) * columns)));
  const expected = {
    z: tensorOf(
      t,
      [3, rows],
      [...of((r) => wrapped(r.reduce((p, q) => p + q, 0))), ...of((r) => Math.max(...r)), ...of((r) => Math.min(...r))],
    ),
  };
  return fixture(
    d,
    [{ inputs: { x: tensorOf(t, [rows, columns], xs) }, expected }],
    { vectors: lanes, dtypes: [t, "i32"] },
    { rows: { z: kinds } },
  );
}

/** A 2x8 tile of a matrix product: vector accumulators, a let of a splat, a moving pointer on each operand, relu at the store. */
function gemm(): Fixture {
  const d = new Draft("vector/gemm-2x8");
  const [m, depth, columns] = [4, 7, 16];
  const [xs, ys] = [small(m * depth, 7), small(depth * columns, 8)];
  const x = d.input("x", "f32", [n(m), n(depth)]);
  const y = d.input("y", "f32", [n(depth), n(columns)]);
  const z = d.output("z", "f32", [n(m), n(columns)]);
  const k = d.kernel("gemm_2x8", (kd) => {
    const [kx, ky, kz] = [kd.param("x", "f32", x.shape), kd.param("y", "f32", y.shape), kd.param("z", "f32", z.shape)];
    const accs = range(4).map((i) => d.register(`acc${i >> 1}${i & 1}`, "f32", lanes));
    const zero = ramp(i32(0));
    const at = (a: number): LoopExpr =>
      add(mul(add(v("i"), i32(a >> 1)), i32(columns)), add(v("j"), i32((a & 1) * lanes)));
    const inner: Stmt = {
      kind: "for",
      v: "k",
      extent: i32(depth),
      step: 1,
      loop: "serial",
      pointers: [
        { name: "px", buffer: kx.id, init: mul(v("i"), i32(depth)), step: i32(1) },
        { name: "py", buffer: ky.id, init: v("j"), step: i32(columns) },
      ],
      body: letIn(
        "x0",
        splat(loadOf(kx, i32(0), "px")),
        letIn(
          "x1",
          splat(loadOf(kx, i32(depth), "px")),
          accs.map((acc, a) =>
            store(
              acc,
              zero,
              mulAdd<LoopExpr>(vecVar(`x${a >> 1}`, "f32"), vec(ky, i32((a & 1) * lanes), "py"), loadOf(acc, zero)),
            ),
          ),
        ),
      ),
    };
    const body: Stmt[] = [
      ...accs.map((acc) => store(acc, zero, splat(constant("f32", 0)))),
      inner,
      ...accs.map((acc, a) => store(kz, ramp(at(a)), op("max")(loadOf(acc, zero), splat(constant("f32", 0))))),
    ];
    return loop(
      "i",
      i32(m),
      loop(
        "j",
        i32(columns),
        accs.reduceRight<Stmt>((s, acc) => alloc(acc, s), { kind: "seq", body }),
        8,
      ),
      2,
    );
  });
  d.run.push(d.call(k, [x, y, z]));
  const expected = range(m * columns).map((i) =>
    Math.max(
      0,
      range(depth).reduce((s, t) => s + xs[Math.floor(i / columns) * depth + t]! * ys[t * columns + (i % columns)]!, 0),
    ),
  );
  return fixture(
    d,
    [
      {
        inputs: { x: tensorOf("f32", [m, depth], xs), y: tensorOf("f32", [depth, columns], ys) },
        expected: {
          z: tensorOf(
            "f32",
            [m, columns],
            expected.map((e) => e + 0),
          ),
        },
      },
    ],
    { vectors: lanes, dtypes: ["f32", "i32"] },
  );
}

/** Pairs of i8 and of i16 in memory, multiplied two at a time: the sums, and the pairs as they are loaded. */
function pairs(): Fixture {
  const d = new Draft("vector/pairs");
  const bytes = small(24, 9).map((x, i) => (i % 5 === 0 ? -128 : x * 11));
  const halves = (of: readonly number[], bits: number): number[] =>
    range(of.length / 2).map((i) => (of[2 * i]! & (2 ** bits - 1)) | (of[2 * i + 1]! << bits));
  const words = small(24, 10).map((x, i) => (i % 7 === 0 ? -32768 : x * 1201));
  const x = d.input("x", "i16", [n(12)]);
  const y = d.input("y", "i32", [n(12)]);
  const z = d.output("z", "i32", [n(2), n(12)]);
  const k = d.kernel("pairs", (kd) => {
    const [kx, ky, kz] = [kd.param("x", "i16", x.shape), kd.param("y", "i32", y.shape), kd.param("z", "i32", z.shape)];
    const wide = unary<LoopExpr>("widen8", cast<LoopExpr>("i32", vec(kx, v("i"))));
    return loop(
      "i",
      i32(12),
      [
        store(kz, ramp(v("i")), wide),
        store(kz, ramp(add(v("i"), i32(12))), add(vec(ky, v("i")), op("dot16")(wide, vec(ky, v("i"))))),
      ],
      lanes,
    );
  });
  d.run.push(d.call(k, [x, y, z]));
  const packed = halves(words, 16);
  const widened = halves(bytes, 16);
  const inputs = {
    x: tensorOf(
      "i16",
      [12],
      halves(bytes, 8).map((a) => (a << 16) >> 16),
    ),
    y: tensorOf("i32", [12], packed),
  };
  const sums = packed.map((p, i) => refBinary("add", "i32", p, refBinary("dot16", "i32", widened[i]!, p)));
  const expected = { z: tensorOf("i32", [2, 12], [...widened, ...sums.map(Number)]) };
  return fixture(d, [{ inputs, expected }], { vectors: lanes, dtypes: ["i16", "i32"] });
}

export const vectorPrograms: readonly Fixture[] = [
  table("f32"),
  table("i32"),
  table("u32"),
  specials(),
  casts(),
  reductions("f32"),
  reductions("i32"),
  reductions("u32"),
  gemm(),
  pairs(),
];
