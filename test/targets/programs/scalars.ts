// Every scalar operation on every dtype, over pairs of edge values.
import type { BinaryOp, UnaryOp } from "../../../src/ir/expr.ts";
import { binary, bitcast, cast, constant, i32, mulAdd, select, unary, v } from "../../../src/ir/expr.ts";
import type { LoopExpr } from "../../../src/ir/loops.ts";
import type { Buffer } from "../../../src/ir/storage.ts";
import type { DType, Tensor } from "../../../src/ir/types.ts";
import { is64, isFloat, tensorOf, typedView } from "../../../src/ir/types.ts";
import type { Fixture } from "./draft.ts";
import { Draft, fixture, loadOf, loop, n, store } from "./draft.ts";
import { edges, special } from "./edges.ts";
import type { Scalar } from "./reference.ts";
import { refBinary, refCast, refFused, refSeparate, refUnary } from "./reference.ts";

type Register = "f32" | "f64" | "i32" | "u32" | "i64" | "u64" | "bool";
const registers: readonly Register[] = ["f32", "f64", "i32", "u32", "i64", "u64", "bool"];
const compares: readonly BinaryOp[] = ["lt", "le", "eq", "ne"];
const floatOps: readonly BinaryOp[] = ["add", "sub", "mul", "div", "min", "max"];
const intOps: readonly BinaryOp[] = [
  "add",
  "sub",
  "mul",
  "truncdiv",
  "truncmod",
  "floordiv",
  "floormod",
  "min",
  "max",
  "bitand",
  "bitor",
  "bitxor",
  "shl",
  "shr",
];
const boolOps: readonly BinaryOp[] = ["and", "or", "xor", "eq", "ne"];

/** Rows of operations over the same operands, one kernel each: values[row, i] of the operands' dtype, tests[row, i] of bool. */
type Row = {
  readonly name: string;
  readonly expr: (a: LoopExpr, b: LoopExpr) => LoopExpr;
  readonly ref: (a: Scalar, b: Scalar) => Scalar;
};
function table(
  name: string,
  t: Register,
  pairs: readonly (readonly [Scalar, Scalar])[],
  values: readonly Row[],
  tests: readonly Row[],
  needs: Partial<Fixture["needs"]> = {},
): Fixture {
  const d = new Draft(name);
  const count = pairs.length;
  const a = d.input("a", t, [n(count)]);
  const b = d.input("b", t, [n(count)]);
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
  const expected: Record<string, Tensor> = {};
  const rows: Record<string, string[]> = {};
  const group = (out: string, dtype: DType, list: readonly Row[]): void => {
    if (list.length === 0) return;
    const z = d.output(out, dtype, [n(list.length), n(count)]);
    list.forEach((row, r) => {
      const k = d.kernel(`${row.name}_${t}`, (kd) => {
        const [ka, kb, kz] = [kd.param("a", t, a.shape), kd.param("b", t, b.shape), kd.param("z", dtype, [n(count)])];
        return loop("i", i32(count), store(kz, v("i"), row.expr(loadOf(ka, v("i")), loadOf(kb, v("i")))));
      });
      d.run.push(d.call(k, [a, b, d.part(z, `${out}_${row.name}`, [n(count)], n(r * count))]));
    });
    expected[out] = tensorOf(
      dtype,
      [list.length, count],
      list.flatMap((row) => pairs.map(([x, y]) => row.ref(x, y))),
    );
    rows[out] = list.map((row) => row.name);
  };
  group("values", t, values);
  group("tests", "bool", tests);
  return fixture(d, [{ inputs, expected }], { dtypes: t === "bool" ? ["bool"] : [t, "bool"], ...needs }, { rows });
}
const binaryRow = (op: BinaryOp, t: DType): Row => ({
  name: op,
  expr: (a, b) => binary<LoopExpr>(op, a, b),
  ref: (a, b) => refBinary(op, t, a, b),
});
const unaryRow = (op: UnaryOp, t: DType): Row => ({
  name: op,
  expr: (a) => unary<LoopExpr>(op, a),
  ref: (a) => refUnary(op, t, a),
});
const pairsOf = (xs: readonly Scalar[]): (readonly [Scalar, Scalar])[] =>
  xs.flatMap((x) => xs.map((y) => [x, y] as const));
const selfPairs = (xs: readonly Scalar[]): (readonly [Scalar, Scalar])[] => xs.map((x) => [x, x] as const);

/** A shift's amount is never negative: the second operand without its sign, below twice the width. */
function shiftRow(op: "shl" | "shr", t: DType): Row {
  const mask = is64(t) ? 127 : 63;
  return {
    name: op,
    expr: (a, b) => binary<LoopExpr>(op, a, binary<LoopExpr>("bitand", b, constant(t, mask))),
    ref: (a, b) => refBinary(op, t, a, refBinary("bitand", t, b, is64(t) ? BigInt(mask) : mask)),
  };
}
/** By a constant, where a printer has shorter forms. */
function constantRows(t: Register): Row[] {
  const ops: readonly BinaryOp[] = ["truncdiv", "truncmod", "floordiv", "floormod"];
  const by = t.startsWith("u") ? [1, 3, 8] : [1, 3, 8, -1, -5];
  const shifts = is64(t) ? [0, 5, 63, 64] : [0, 5, 31, 32];
  const row = (op: BinaryOp, c: number): Row => {
    const k = constant(t, c);
    return { name: `${op} ${c}`, expr: (a) => binary<LoopExpr>(op, a, k), ref: (a) => refBinary(op, t, a, k.value) };
  };
  return [...ops.flatMap((op) => by.map((c) => row(op, c))), ...shifts.flatMap((c) => [row("shl", c), row("shr", c)])];
}
const mulAddRows = (t: Register): Row[] => [
  {
    name: "mulAdd",
    expr: (a, b) => mulAdd<LoopExpr>(a, b, a, "separate"),
    ref: (a, b) => refBinary("add", t, refBinary("mul", t, a, b), a),
  },
];

/** Operations whose bits past the width must be gone before another operation sees them. */
function nestedRows(t: Register): Row[] {
  const [two, low] = [constant(t, 2), constant(t, t.startsWith("u") ? 3 : -3)];
  const ops = (o: BinaryOp) =>
    [(a: LoopExpr, b: LoopExpr) => binary<LoopExpr>(o, a, b), (a: Scalar, b: Scalar) => refBinary(o, t, a, b)] as const;
  const inner: readonly BinaryOp[] = ["add", "sub", "mul", "truncdiv", "bitxor"];
  const outer: readonly BinaryOp[] = ["truncdiv", "floordiv", "floormod", "shr", "min"];
  const pairs = inner.flatMap((o) =>
    outer.map((q): Row => {
      const [[f, rf], [g, rg]] = [ops(o), ops(q)];
      return { name: `${q}(${o}, 2)`, expr: (a, b) => g(f(a, b), two), ref: (a, b) => rg(rf(a, b), two.value) };
    }),
  );
  const narrow: Row = {
    name: "i8(abs(max(a, 3)))",
    expr: (a) => cast<LoopExpr>(t, cast<LoopExpr>("i8", unary<LoopExpr>("abs", binary<LoopExpr>("max", a, low)))),
    ref: (a) => refCast(t, "i8", refCast("i8", t, refUnary("abs", t, refBinary("max", t, a, low.value)))),
  };
  const less: Row = {
    name: "a * b < a + b ? -a : a",
    expr: (a, b) =>
      select<LoopExpr>(
        binary<LoopExpr>("lt", binary<LoopExpr>("mul", a, b), binary<LoopExpr>("add", a, b)),
        unary<LoopExpr>("neg", a),
        a,
      ),
    ref: (a, b) => (refBinary("mul", t, a, b) < refBinary("add", t, a, b) ? refUnary("neg", t, a) : a),
  };
  return [...pairs, narrow, less];
}

function binaries(): Fixture[] {
  return registers.map((t) => {
    const pairs = pairsOf(edges[t]);
    if (t === "bool")
      return table(
        "binary/bool",
        t,
        pairs,
        boolOps.map((op) => binaryRow(op, t)),
        [],
      );
    if (isFloat(t))
      return table(
        `binary/${t}`,
        t,
        pairs,
        [...floatOps.map((op) => binaryRow(op, t)), ...mulAddRows(t)],
        compares.map((op) => binaryRow(op, t)),
      );
    const halves: readonly BinaryOp[] = t === "i32" ? ["dot16"] : [];
    const rows = [...intOps, ...halves].map((op) =>
      op === "shl" || op === "shr" ? shiftRow(op, t) : binaryRow(op, t),
    );
    return table(
      `binary/${t}`,
      t,
      pairs,
      [...rows, ...constantRows(t), ...nestedRows(t), ...mulAddRows(t)],
      compares.map((op) => binaryRow(op, t)),
    );
  });
}
function unaries(): Fixture[] {
  const ops = (t: Register): readonly UnaryOp[] =>
    t === "bool"
      ? ["not"]
      : isFloat(t)
        ? ["neg", "abs", "sqrt", "floor", "ceil", "round", "trunc", "recip"]
        : ["neg", "abs", "bitnot", ...(t === "i32" ? (["widen8"] as const) : [])];
  return registers.map((t) => {
    const xs = isFloat(t)
      ? edges[t].filter((x) => x !== 0 && Number(x) > 0).concat(edges[t].filter((x) => Number(x) <= 0))
      : edges[t];
    return table(
      `unary/${t}`,
      t,
      selfPairs(xs),
      ops(t).map((op) => unaryRow(op, t)),
      isFloat(t) ? [unaryRow("isnan", t)] : [],
    );
  });
}
function specials(): Fixture[] {
  return (["f32", "f64"] as const).flatMap((t) => [
    table(
      `special/${t}`,
      t,
      pairsOf(special[t]),
      [...floatOps.map((op) => binaryRow(op, t)), ...mulAddRows(t)],
      compares.map((op) => binaryRow(op, t)),
      { ieee: true },
    ),
    table(
      `special-unary/${t}`,
      t,
      selfPairs(special[t]),
      (["neg", "abs", "sqrt", "floor", "ceil", "round", "trunc", "recip"] as const).map((op) => unaryRow(op, t)),
      [unaryRow("isnan", t)],
      { ieee: true },
    ),
    // The sign of a zero that nanmin or nanmax picks from two zeros is free: no -0 here.
    table(
      `nanminmax/${t}`,
      t,
      pairsOf(special[t].filter((x) => !Object.is(x, -0))),
      (["nanmin", "nanmax"] as const).map((op) => binaryRow(op, t)),
      [],
      { ieee: true },
    ),
  ]);
}
/** f64 functions of targets that have them; f32 ones are decomposed before a printer sees them. */
function mathF64(): Fixture {
  const xs = [0, 1, -1, 0.5, -0.25, 2, 3.75, -7.5, 1e-9, 20.25, -30];
  const ops: readonly UnaryOp[] = ["exp", "log", "sin", "cos", "tanh"];
  const f = table(
    "math/f64",
    "f64",
    [...pairsOf(xs), ...selfPairs(special.f64), [1, Number.NaN]],
    ops.map((op) => unaryRow(op, "f64")),
    [],
    { ieee: true, natives: ops },
  );
  return { ...f, ulps: 4 };
}

/** erf and pow of f64, with values from tables (to 17 digits). */
function erfPow(): Fixture {
  const d = new Draft("math/f64-erf-pow");
  const xs = [0, 0.1, 0.5, 0.84375, 1, 1.25, 2, 3, 4, 6.5, -0.5, -1, -3, Number.POSITIVE_INFINITY, Number.NaN, 1e-20];
  const erfs = [
    0,
    0.1124629160182849,
    0.5204998778130465,
    0.7672256612323416,
    0.8427007929497149,
    0.9229001282564583,
    0.9953222650189527,
    0.9999779095030014,
    0.9999999845827421,
    1,
    -0.5204998778130465,
    -0.8427007929497149,
    -0.9999779095030014,
    1,
    Number.NaN,
    1.1283791670955127e-20,
  ];
  const ps = [
    [2, 10],
    [2, 0.5],
    [9, -0.5],
    [-2, 3],
    [-2, 2],
    [0, 0],
    [0, -1],
    [1, Number.NaN],
    [Number.NaN, 0],
    [-1, Number.POSITIVE_INFINITY],
    [-8, 0.5],
    [10, 3],
    [1, Number.POSITIVE_INFINITY],
  ] as const;
  const powers = [1024, Math.SQRT2, 1 / 3, -8, 4, 1, Number.POSITIVE_INFINITY, 1, 1, 1, Number.NaN, 1000, 1];
  const x = d.input("x", "f64", [n(xs.length)]);
  const p = d.input("p", "f64", [n(ps.length), n(2)]);
  const e = d.output("e", "f64", x.shape);
  const q = d.output("q", "f64", [n(ps.length)]);
  const k1 = d.kernel("erf64", (k) => {
    const [kx, ke] = [k.param("x", "f64", x.shape), k.param("e", "f64", e.shape)];
    return loop("i", i32(xs.length), store(ke, v("i"), unary<LoopExpr>("erf", loadOf(kx, v("i")))));
  });
  const k2 = d.kernel("pow64", (k) => {
    const [kp, kq] = [k.param("p", "f64", p.shape), k.param("q", "f64", q.shape)];
    const two = binary<LoopExpr>("mul", v("i"), i32(2));
    return loop(
      "i",
      i32(ps.length),
      store(kq, v("i"), binary<LoopExpr>("pow", loadOf(kp, two), loadOf(kp, binary<LoopExpr>("add", two, i32(1))))),
    );
  });
  d.run.push(d.call(k1, [x, e]), d.call(k2, [p, q]));
  const inputs = { x: tensorOf("f64", [xs.length], xs), p: tensorOf("f64", [ps.length, 2], ps.flat()) };
  const expected = { e: tensorOf("f64", [xs.length], erfs), q: tensorOf("f64", [ps.length], powers) };
  return fixture(
    d,
    [{ inputs, expected }],
    { dtypes: ["f64"], ieee: true, natives: ["exp", "log", "erf"] },
    { ulps: 2 },
  );
}

const cells = ["f64", "f32", "i64", "u64", "i32", "u32", "i16", "u16", "i8", "u8", "bool"] as const;
const wide = new Set<DType>(["f64", "i64", "u64"]);
/** From one dtype to all others, those of 8 bytes apart: narrow ones load and store narrow cells. */
function casts(): Fixture[] {
  return cells.flatMap((from) =>
    [false, true].map((to64) => {
      const xs: Scalar[] = [...edges[from]];
      if (from === "f32" || from === "f64")
        xs.push(...special[from].filter((x) => Math.abs(x) >= 1 || Number.isNaN(x)));
      const d = new Draft(`cast/${from}${to64 ? "-64" : ""}`);
      const x = d.input("x", from, [n(xs.length)]);
      const expected: Record<string, Tensor> = {};
      const targets = cells.filter((t) => wide.has(t) === to64 && t !== from);
      for (const to of targets) {
        const z = d.output(to, to, x.shape);
        const k = d.kernel(`${from}_to_${to}`, (kd) => {
          const [kx, kz] = [kd.param("x", from, x.shape), kd.param("z", to, x.shape)];
          return loop("i", i32(xs.length), store(kz, v("i"), cast<LoopExpr>(to, loadOf(kx, v("i")))));
        });
        d.run.push(d.call(k, [x, z]));
        expected[to] = tensorOf(
          to,
          [xs.length],
          xs.map((s) => refCast(to, from, s)),
        );
      }
      const used = [from, ...targets].map((t) => (cells.indexOf(t) >= 6 && t !== "bool" ? "i32" : t));
      const dtypes = registers.filter((t) => used.includes(t) || t === "i32");
      return fixture(d, [{ inputs: { x: tensorOf(from, [xs.length], xs) }, expected }], {
        dtypes,
        ieee: isFloat(from),
      });
    }),
  );
}
/** A cast to a narrow integer and back inside one expression, and a store that truncates. */
function narrowing(): Fixture {
  const d = new Draft("cast/narrow-and-back");
  const xs = edges.i32.map(Number);
  const x = d.input("x", "i32", [n(xs.length)]);
  const narrow = ["i8", "u8", "i16", "u16"] as const;
  const back = d.output("back", "i32", [n(4), n(xs.length)]);
  const stored = narrow.map((t) => d.output(t, t, x.shape));
  const k = d.kernel("narrow", (kd) => {
    const kx = kd.param("x", "i32", x.shape);
    const kb = kd.param("back", "i32", back.shape);
    const ks = narrow.map((t) => kd.param(t, t, x.shape));
    const at = loadOf(kx, v("i"));
    return loop(
      "i",
      i32(xs.length),
      narrow.flatMap((t, r) => [
        store(kb, binary<LoopExpr>("add", v("i"), i32(r * xs.length)), cast<LoopExpr>("i32", cast<LoopExpr>(t, at))),
        store(ks[r]!, v("i"), at),
      ]),
    );
  });
  d.run.push(d.call(k, [x, back, ...stored]));
  const expected: Record<string, Tensor> = {
    back: tensorOf(
      "i32",
      [4, xs.length],
      narrow.flatMap((t) => xs.map((s) => refCast(t, "i32", s))),
    ),
  };
  for (const t of narrow)
    expected[t] = tensorOf(
      t,
      [xs.length],
      xs.map((s) => refCast(t, "i32", s)),
    );
  return fixture(d, [{ inputs: { x: tensorOf("i32", [xs.length], xs) }, expected }], { dtypes: ["i32"] });
}

function bitcasts(): Fixture[] {
  const twins: readonly (readonly [Register, Register])[] = [
    ["f32", "i32"],
    ["f32", "u32"],
    ["i32", "u32"],
    ["i32", "f32"],
    ["u32", "f32"],
    ["u32", "i32"],
    ["f64", "i64"],
    ["f64", "u64"],
    ["i64", "u64"],
    ["i64", "f64"],
    ["u64", "f64"],
    ["u64", "i64"],
  ];
  return twins.map(([from, to]) => {
    const d = new Draft(`bitcast/${from}-${to}`);
    // Patterns of NaNs may change on the way through a register: none here.
    const source = tensorOf(from, [edges[from].length], edges[from]);
    const isNan = (bytes: Uint8Array): boolean =>
      [...typedView(isFloat(from) ? from : isFloat(to) ? to : "u8", bytes)].some((x) => Number.isNaN(Number(x)));
    const size = source.bytes.length / edges[from].length;
    const kept = [...edges[from].keys()].filter((i) => !isNan(source.bytes.slice(i * size, (i + 1) * size)));
    const x = tensorOf(
      from,
      [kept.length],
      kept.map((i) => edges[from][i]!),
    );
    const [px, pz] = [d.input("x", from, [n(kept.length)]), d.output("z", to, [n(kept.length)])];
    const k = d.kernel("bitcast", (kd) => {
      const [kx, kz] = [kd.param("x", from, px.shape), kd.param("z", to, px.shape)];
      return loop("i", i32(kept.length), store(kz, v("i"), bitcast<LoopExpr>(to, loadOf(kx, v("i")))));
    });
    d.run.push(d.call(k, [px, pz]));
    return fixture(d, [{ inputs: { x }, expected: { z: { dtype: to, dims: x.dims, bytes: x.bytes } } }], {
      dtypes: [from, to, "i32"],
      ieee: isFloat(from) || isFloat(to),
    });
  });
}

/** mulAdd with each rounding: products whose low bits count only when they are not rounded first. */
function roundings(): Fixture {
  const d = new Draft("mulAdd/f32");
  const triples = [
    [1 + 2 ** -12, 1 + 2 ** -12, -1],
    [3, 5, 7],
    [1 + 2 ** -23, 1 - 2 ** -23, -1],
    [1e3, 1e3, -999999],
    [0.1, 10, -1],
  ].map((t) => t.map(Math.fround)) as [number, number, number][];
  const count = triples.length;
  const [a, b, c] = ["a", "b", "c"].map((name) => d.input(name, "f32", [n(count)])) as [Buffer, Buffer, Buffer];
  const fused = d.output("fused", "f32", [n(count)]);
  const separate = d.output("separate", "f32", [n(count)]);
  const k = d.kernel("roundings", (kd) => {
    const [ka, kb, kc, kf, ks] = ["a", "b", "c", "fused", "separate"].map((name) => kd.param(name, "f32", a.shape)) as [
      Buffer,
      Buffer,
      Buffer,
      Buffer,
      Buffer,
    ];
    const args = [ka, kb, kc].map((p) => loadOf(p, v("i"))) as [LoopExpr, LoopExpr, LoopExpr];
    return loop("i", i32(count), [
      store(kf, v("i"), mulAdd<LoopExpr>(...args, "fused")),
      store(ks, v("i"), mulAdd<LoopExpr>(...args, "separate")),
    ]);
  });
  d.run.push(d.call(k, [a, b, c, fused, separate]));
  const inputs = Object.fromEntries(
    ["a", "b", "c"].map((name, i) => [
      name,
      tensorOf(
        "f32",
        [count],
        triples.map((t) => t[i]!),
      ),
    ]),
  );
  const expected = {
    fused: tensorOf(
      "f32",
      [count],
      triples.map((t) => refFused(...t)),
    ),
    separate: tensorOf(
      "f32",
      [count],
      triples.map((t) => refSeparate(...t)),
    ),
  };
  return fixture(d, [{ inputs, expected }], { dtypes: ["f32"], ieee: true });
}

/** select on every dtype, with conditions from comparisons, loads, and, or, not. */
function selects(): Fixture[] {
  return registers.map((t) => {
    const lt = (a: LoopExpr, b: LoopExpr): LoopExpr => binary<LoopExpr>(t === "bool" ? "ne" : "lt", a, b);
    const rlt = (a: Scalar, b: Scalar): Scalar => refBinary(t === "bool" ? "ne" : "lt", t, a, b);
    const zero = constant(t, t === "bool" ? 1 : 0);
    const rows: Row[] = [
      { name: "a < b ? a : b", expr: (a, b) => select<LoopExpr>(lt(a, b), a, b), ref: (a, b) => (rlt(a, b) ? a : b) },
      {
        name: "!(a < b) && a < 0 || b == a ? b : a",
        expr: (a, b) =>
          select<LoopExpr>(
            binary<LoopExpr>(
              "or",
              binary<LoopExpr>("and", unary<LoopExpr>("not", lt(a, b)), lt(a, zero)),
              binary<LoopExpr>("eq", b, a),
            ),
            b,
            a,
          ),
        ref: (a, b) => ((!rlt(a, b) && rlt(a, zero.value)) || b === a ? b : a),
      },
      {
        name: "(a < b) ^ (a < 0) ? a : b",
        expr: (a, b) => select<LoopExpr>(binary<LoopExpr>("xor", lt(a, b), lt(a, zero)), a, b),
        ref: (a, b) => ((rlt(a, b) !== 0) !== (rlt(a, zero.value) !== 0) ? a : b),
      },
    ];
    return table(`select/${t}`, t, pairsOf(edges[t].slice(0, 12)), rows, []);
  });
}

export const scalarPrograms: readonly Fixture[] = [
  ...unaries(),
  ...binaries(),
  ...specials(),
  mathF64(),
  erfPow(),
  ...casts(),
  narrowing(),
  ...bitcasts(),
  roundings(),
  ...selects(),
];
