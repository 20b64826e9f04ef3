import { describe, expect, test } from "vitest";
import * as D from "../../src/ir/dim.ts";
import * as E from "../../src/ir/expr.ts";
import type { Graph } from "../../src/ir/graph.ts";
import type { Kernel, LoopExpr, LoopKind, Stmt } from "../../src/ir/loops.ts";
import { parseDim, parseGraph, parseKernel, parseProgram, parseTe } from "../../src/ir/parse.ts";
import { printGraph, printKernel, printProgram, printTe } from "../../src/ir/print.ts";
import type { Program } from "../../src/ir/program.ts";
import { type Buffer, dense, type Scope } from "../../src/ir/storage.ts";
import { knownOf } from "../../src/ir/symbolic.ts";
import type { TeExpr, TeProgram } from "../../src/ir/te.ts";
import { type DType, dtypes, elementBytes, tensorOf, tensorType } from "../../src/ir/types.ts";
import {
  block,
  buffer,
  bufferId,
  graph,
  loadOf,
  loop,
  M,
  N,
  node,
  opHead,
  ramp,
  sampleGraph,
  sampleProgram,
  sampleTe,
  scalarKernel,
  stageId,
  storeTo,
  symbolId,
  value,
  valueId,
  vectorKernel,
} from "./samples.ts";

/** Dims are interned: equal ones are one object. toStrictEqual alone would accept a copy. */
function sameDims(a: unknown, b: unknown): void {
  if (typeof a !== "object" || a === null || typeof b !== "object" || b === null) return;
  if ("key" in a && "kind" in a && typeof a.key === "string") expect(a).toBe(b);
  else if (a instanceof Map && b instanceof Map) for (const [k, x] of a) sameDims(x, b.get(k));
  else if (!(a instanceof Uint8Array))
    for (const [k, x] of Object.entries(a)) sameDims(x, (b as { [key: string]: unknown })[k]);
}
function same(a: unknown, b: unknown): void {
  expect(a).toStrictEqual(b);
  sameDims(a, b);
}
function graphTrip(g: Graph): Graph {
  const { text, constants } = printGraph(g);
  const back = parseGraph(text, constants, opHead);
  same(back, g);
  expect(printGraph(back)).toStrictEqual({ text, constants });
  return back;
}
function teTrip(p: TeProgram): void {
  const { text, constants } = printTe(p);
  same(parseTe(text, constants), p);
}
function kernelTrip(k: Kernel): Kernel {
  const back = parseKernel(printKernel(k).text);
  same(back, k);
  return back;
}
function programTrip(p: Program): void {
  const { text, constants } = printProgram(p);
  same(parseProgram(text, constants), p);
}

/** The sample has an attribute that is undefined, which the text leaves out. */
function withoutUndefined(g: Graph): Graph {
  const nodes = g.nodes.map((n) => ({
    ...n,
    attrs: Object.fromEntries(Object.entries(n.attrs as object).filter(([, x]) => x !== undefined)),
  }));
  return { ...g, nodes };
}

describe("graphs", () => {
  test("the sample", () => {
    graphTrip(withoutUndefined(sampleGraph()));
  });
  test("constants of every type, inline and in the table", () => {
    const values = dtypes.flatMap((d, n) =>
      [3, 20].map((count, k) => {
        const bytes = Uint8Array.from({ length: count * elementBytes(d) }, (_, b) => (b * 37 + n) % 120);
        return value(2 * n + k, `${d}_${count}`, tensorType(d, [D.int(count)]), {
          constant: { dtype: d, dims: [count], bytes },
        });
      }),
    );
    graphTrip(graph("g", values, [], [], []));
  });
  test("floats bit by bit", () => {
    const f64 = tensorOf("f64", [6], [0.1, -0, 5e-324, 1.7976931348623157e308, Number.NaN, Number.NEGATIVE_INFINITY]);
    const bits = Array.from({ length: 15 }, (_, k) => Math.fround(Math.sin(k + 1) * 10 ** (k * 5 - 38)));
    const f32 = tensorOf("f32", [16], [...bits, Number.NaN]);
    const odd = tensorOf("f64", [1], [Number.NaN]);
    odd.bytes[0] = 1;
    const negative = tensorOf("f32", [1], [Number.NaN]);
    negative.bytes[3] = 0xff;
    const all = [f64, f32, odd, negative];
    graphTrip(
      graph(
        "g",
        all.map((t, k) => value(k, `c${k}`, tensorType(t.dtype, t.dims.map(D.int)), { constant: t })),
        [],
        [],
        [],
      ),
    );
  });
  test("a constant whose type is not that of its value; one that folding found", () => {
    const t = tensorOf("i64", [2], [1, 2]);
    const g = graph(
      "g",
      [
        value(0, "x", tensorType("i64", [N])),
        value(1, "y", tensorType("i64", [N]), { constant: t }),
        value(2, "z", tensorType("f32", []), { constant: t }),
      ],
      [0],
      [1],
      [node(0, "Shape", [0], [1])],
    );
    graphTrip(g);
  });
  test("what is known of values", () => {
    const t = tensorOf("i64", [2], [3, 4]);
    const type = tensorType("i64", [D.int(2)]);
    const partial = { dims: [2], elements: [D.add(N, D.int(-1)), null] };
    graphTrip(
      graph(
        "g",
        [
          value(0, "constant", type, { constant: t, known: knownOf(t)! }),
          value(1, "unknown", type, { constant: t }),
          value(2, "other", type, { constant: t, known: partial }),
          value(3, "partial", type, { known: partial }),
          value(4, "shaped", tensorType("f32", [M]), {
            known: { dims: [2, 2], elements: [0.5, Number.NaN, Number.NEGATIVE_INFINITY, D.neg(N)] },
          }),
          value(5, "scalar", tensorType("i64", []), { known: { dims: [], elements: [N] } }),
        ],
        [3],
        [],
        [],
      ),
    );
  });
  test("odd names, equal names, ids in any order", () => {
    const type = tensorType("f32", []);
    const names = [
      "",
      "%",
      "a b",
      "1",
      "01",
      "1e5",
      "a.b",
      "a.",
      "a:b:c",
      "x'",
      'quo"te\\',
      "line\nbreak",
      "\u2028",
      "héllo",
      "true",
      "graph",
      "_",
      "a",
      "a",
    ];
    const values = names.map((n, k) => value(100 - k, n, type));
    graphTrip(graph("odd name", values, [100, 99], [82, 99], [node(7, "Op:1", [100, null, 82], [90, null, 91])]));
  });
  test("nested types and no outputs", () => {
    const t = tensorType("bf16", [D.mul(N, M)]);
    graphTrip(
      graph(
        "g",
        [value(0, "x", { kind: "optional", of: { kind: "sequence", of: t } })],
        [0],
        [],
        [node(0, "Sink", [0], [])],
      ),
    );
  });
  test("a graph that verify would refuse prints all the same", () => {
    const g = graph("g", [], [1], [2], [node(0, "Relu", [3], [4])]);
    expect(printGraph(g).text).toBe('graph @g(%#1) -> %#2 {\n  %#4 = Relu(%#3) loc("n0")\n}\n');
  });
});

describe("tensor expressions", () => {
  test("the sample", () => {
    teTrip(sampleTe());
  });
  test("axes of the other role, groups with a root elsewhere, no actions", () => {
    const y = buffer(3, "y", "f32", [N], "io");
    const base: TeProgram = {
      name: "t",
      symbols: [],
      requires: [],
      buffers: new Map([[y.id, y]]),
      inputs: [],
      outputs: [],
      constants: new Map(),
      actions: [],
    };
    teTrip(base);
    const body: TeExpr = {
      kind: "reduce",
      dtype: "f32",
      axes: [],
      state: [],
      update: [],
      merge: null,
      result: E.constant("f32", 1),
    };
    const loc = { node: "n", op: "S" };
    const stage = {
      id: stageId(4),
      name: "S",
      axes: [{ name: "reduce", extent: N, role: "reduce" as const }],
      outs: [{ buffer: y.id, body }],
      scan: "reduce",
      loc,
    };
    const spatial: TeExpr = { ...body, axes: [{ name: "spatial", extent: M, role: "spatial" }] };
    const stages = [
      stage,
      {
        ...stage,
        id: stageId(2),
        outs: [
          { buffer: y.id, body: spatial },
          { buffer: y.id, body: E.constant("f32", 2) },
        ],
      },
    ];
    for (const root of [4, 2, 9])
      teTrip({ ...base, actions: [{ kind: "call", call: { kind: "group", group: { root: stageId(root), stages } } }] });
  });
  test("shared trees stay shared", () => {
    const x = buffer(0, "x", "f32", [N], "io");
    const y = buffer(1, "y", "f32", [N], "io");
    const i = E.v("i");
    let e: E.Expr = E.mul(E.load(x, [i]), E.constant("f32", 3.25));
    for (let n = 0; n < 100; n++) e = E.add(E.mul(e, e), E.unary<E.Expr>("exp", e));
    const acc = E.v("acc", "f32");
    const reduce: TeExpr = {
      kind: "reduce",
      dtype: "f32",
      axes: [],
      state: [{ name: "acc", dtype: "f32", init: E.constant("f32", 0) }],
      update: [E.add(acc, e)],
      merge: null,
      result: E.mul(acc, e),
    };
    const axes = [{ name: "i", extent: N, role: "spatial" as const }];
    const outs = [e, reduce, E.neg(e)].map((body) => ({ buffer: y.id, body }));
    const group = {
      root: stageId(0),
      stages: [{ id: stageId(0), name: "S", axes, outs, scan: null, loc: { node: "", op: "S" } }],
    };
    const p: TeProgram = {
      name: "t",
      symbols: [],
      requires: [],
      buffers: new Map([x, y].map((b) => [b.id, b])),
      inputs: [],
      outputs: [],
      constants: new Map(),
      actions: [{ kind: "call", call: { kind: "group", group } }],
    };
    const { text, constants } = printTe(p);
    expect(text.length).toBeLessThan(60_000);
    const back = parseTe(text, constants);
    // Comparing the trees themselves would take 2^100 steps; their text shows the same sharing.
    expect(printTe(back).text).toBe(text);
  });
});

const a = buffer(0, "A", "f32", [N, 64], "arena");
const c = buffer(1, "C", "f32", [N, 64], "arena");
const bytes = buffer(2, "bytes", "u8", [64], "arena");
const wide = buffer(3, "wide", "i64", [64], "arena");
function withBody(body: Stmt, more: Partial<Kernel> = {}): Kernel {
  return { name: "k", params: [a, c, bytes, wide], scalars: [], dims: [], mayOverlap: [], body, ...more };
}

describe("kernels", () => {
  test("the samples", () => {
    kernelTrip(scalarKernel());
    kernelTrip(vectorKernel());
  });
  test("bodies in other vectors, with buffers of their own", () => {
    const [x, y] = [buffer(0, "x", "f32", [64], "io"), buffer(1, "y", "f32", [64], "io")];
    const body = (lanes: number, id: number): Stmt => {
      const t = buffer(id, "t", "f32", [lanes], "register");
      const at = (base: number): LoopExpr => ({ kind: "ramp", base: E.i32(base), stride: 1, lanes, dtype: "i32" });
      return {
        kind: "alloc",
        buffer: t,
        body: block(storeTo(t, [at(0)], loadOf(x, at(8))), storeTo(y, [at(8)], loadOf(t, at(0)))),
      };
    };
    const variants = [16, 4].map((lanes, n) => ({ lanes, body: body(lanes, n + 3) }));
    kernelTrip({ name: "k", params: [x, y], scalars: [], dims: [], mayOverlap: [], body: body(8, 2), variants });
  });
  test("loops of every kind, steps and pointers", () => {
    const kinds: readonly LoopKind[] = [
      "serial",
      "unroll",
      "vector",
      "parallel",
      "block.x",
      "block.y",
      "block.z",
      "thread.x",
      "thread.y",
      "thread.z",
    ];
    kernelTrip(withBody(block(...kinds.map((k, n) => loop(`i${n}`, n - 2, block(), { loop: k, step: n + 1 })))));
    kernelTrip(withBody(loop("i", E.sub(E.v("N"), 4), { kind: "barrier" }, { pointers: [] })));
    const pointers = Array.from({ length: 6 }, (_, n) => ({
      name: `pointer${n}`,
      buffer: a.id,
      init: E.mul(E.v("N"), 64 + n),
      step: E.i32(n),
    }));
    kernelTrip(withBody(loop("i", 4, block(), { pointers })));
  });
  test("blocks of every shape", () => {
    const s = (n: number): Stmt => storeTo(c, [E.i32(n), E.i32(0)], E.constant("f32", n));
    const letOf = (body: Stmt): Stmt => ({ kind: "let", name: "x", value: E.i32(1), body });
    const allocOf = (body: Stmt): Stmt => ({ kind: "alloc", buffer: buffer(9, "t", "f32", [], "register"), body });
    for (const body of [
      block(),
      block(s(1)),
      block(s(1), s(2)),
      block(block(s(1), s(2)), s(3)),
      block(s(1), block(s(2), s(3))),
      block(block(), block(block())),
      letOf(block()),
      letOf(block(s(1))),
      letOf(block(s(1), s(2))),
      block(letOf(s(1)), s(2)),
      block(letOf(block()), letOf(block(s(1), s(2)))),
      block(s(1), letOf(allocOf(letOf(s(2))))),
      allocOf(block(allocOf(s(1)), allocOf(s(2)))),
      loop("i", 4, letOf(s(1))),
      block(loop("i", 4, block(s(1), letOf(s(2)))), s(3)),
      block(
        { kind: "if", cond: E.constant("bool", 0), then: block(), otherwise: block(s(1)) },
        { kind: "while", cond: E.constant("bool", 0), body: letOf(block()) },
      ),
    ])
      kernelTrip(withBody(body));
  });
  test("every operation", () => {
    const f = E.v("f", "f32");
    const i = E.v("i");
    const b = E.v("b", "bool");
    const values: LoopExpr[] = [
      ...E.unaryOps.map((op): E.Expr => E.unary(op, op === "not" ? b : op === "bitnot" || op === "widen8" ? i : f)),
      ...E.binaryOps.flatMap((op) => {
        const [x, y]: [E.Expr, E.Expr] = ["and", "or", "xor"].includes(op)
          ? [b, b]
          : ["bitand", "bitor", "bitxor", "shl", "shr", "dot16"].includes(op)
            ? [i, i]
            : [f, f];
        const one = E.binary<E.Expr>(op, x, y);
        return one.dtype === x.dtype
          ? [
              one,
              E.binary<E.Expr>(op, one, x),
              E.binary<E.Expr>(op, x, one),
              E.unary<E.Expr>(x === b ? "not" : "neg", one),
            ]
          : [one];
      }),
      ...(["fused", "separate", "either"] as const).map((r) => E.mulAdd<E.Expr>(f, f, E.constant("f32", 1), r)),
      E.select<E.Expr>(b, f, E.constant("f32", Number.NaN)),
      ...dtypes.map((d): E.Expr => ({ kind: "cast", dtype: d, x: f })),
      E.bitcast<E.Expr>("i32", f),
      { kind: "table", dtype: "f32", values: [1, -0.5, Number.POSITIVE_INFINITY], index: i },
      { kind: "table", dtype: "i64", values: [1, -5], index: E.i32(0) },
      ramp(E.add(i, 4), 8, -2),
      { kind: "splat", x: f, lanes: 16, dtype: "f32" },
      ...(["sum", "max", "min"] as const).map(
        (op): LoopExpr => ({
          kind: "lanes",
          op,
          factor: 4,
          dtype: "f32",
          x: { kind: "splat", x: f, lanes: 4, dtype: "f32" },
        }),
      ),
    ];
    const scalars = [
      { name: "f", dtype: "f32" as const },
      { name: "b", dtype: "bool" as const },
    ];
    const body = loop(
      "i",
      4,
      block(...values.map((value, n): Stmt => ({ kind: "let", name: `x${n}`, value, body: block() }))),
    );
    kernelTrip(withBody(body, { scalars }));
  });
  test("constants of every type wherever a dtype may or may not be inferred", () => {
    const of = (d: DType): E.Const =>
      E.constant(d, d === "bool" ? 1 : d.startsWith("f") || d === "bf16" ? -1.5 : d.startsWith("i") ? -1 : 3);
    const stmts = dtypes.flatMap((d): Stmt[] => {
      const k = of(d);
      const x: E.Expr = { kind: "cast", dtype: d, x: E.i32(0) };
      const exprs: E.Expr[] = [
        k,
        E.binary<E.Expr>("max", k, k),
        E.binary<E.Expr>("max", k, x),
        E.binary<E.Expr>("max", x, k),
        E.binary<E.Expr>("eq", k, k),
        E.binary<E.Expr>("eq", E.binary<E.Expr>("min", k, k), x),
        E.select<E.Expr>(E.constant("bool", 0), k, x),
        E.select<E.Expr>(E.binary<E.Expr>("ne", k, k), k, k),
        { kind: "cast", dtype: "f64", x: k },
        { kind: "bitcast", dtype: d, x: k },
        { kind: "unary", op: "neg", dtype: d, x: k },
        { kind: "unary", op: "abs", dtype: d, x: k },
        { kind: "mulAdd", rounding: "fused", dtype: d, a: k, b: k, c: k },
      ];
      return exprs.flatMap((e, n) => [
        { kind: "let", name: `${d}_${n}`, value: e, body: block() },
        { kind: "store", buffer: bytes.id, dtype: "u8", index: [E.i32(0)], value: e },
        { kind: "store", buffer: wide.id, dtype: "i64", index: [E.i32(0)], value: e },
      ]);
    });
    kernelTrip(withBody(block(...stmts)));
  });
  test("numbers keep their value", () => {
    const f64s = [
      0,
      -0,
      0.1,
      Math.fround(0.1),
      1e21,
      1e-7,
      5e-324,
      Number.MAX_VALUE,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      Number.NaN,
      123456789.125,
    ];
    const consts = [
      ...f64s.flatMap((x) => (["f32", "f64", "f16"] as const).map((d) => E.constant(d, x))),
      ...[0n, -1n, 2n ** 63n - 1n, -(2n ** 63n)].map((x) => E.constant("i64", x)),
      E.constant("u64", 2n ** 64n - 1n),
      ...[0, -1, 2147483647, -2147483648].map((x) => E.i32(x)),
      E.constant("u32", 4294967295),
    ];
    kernelTrip(
      withBody(block(...consts.map((value, n): Stmt => ({ kind: "let", name: `x${n}`, value, body: block() })))),
    );
  });
  test("stores: through pointers, atomic, of another dtype", () => {
    const store = storeTo(c, [ramp(E.i32(4))], {
      kind: "splat",
      x: E.constant("f32", 1),
      lanes: 4,
      dtype: "f32",
    }) as Stmt & { kind: "store" };
    const via: LoopExpr = { kind: "load", dtype: "f32", buffer: a.id, index: [E.i32(0)], via: "p q" };
    const pointers = [{ name: "p q", buffer: c.id, init: E.i32(0), step: E.i32(1) }];
    kernelTrip(
      withBody(
        loop(
          "i",
          4,
          block(
            { ...store, via: "p q" },
            { ...store, atomic: "add" },
            { ...store, atomic: "max", via: "p q", dtype: "i32", value: E.i32(1) },
            storeTo(c, [E.i32(0)], via),
            storeTo(c, [], E.constant("f32", 2)),
          ),
          { pointers },
        ),
      ),
    );
  });
  test("types that do not follow from their operands", () => {
    const odd: LoopExpr[] = [
      { kind: "load", dtype: "i32", buffer: a.id, index: [E.i32(0)] },
      { kind: "binary", op: "add", dtype: "i32", a: E.constant("f32", 1), b: E.constant("f32", 2) },
      { kind: "binary", op: "lt", dtype: "f32", a: E.v("q", "f64"), b: E.v("q", "f64") },
      { kind: "var", dtype: "f32", name: "q", lanes: 8 },
      { kind: "var", dtype: "i32", name: "N", lanes: 1 },
      { kind: "unary", op: "not", dtype: "i32", x: E.constant("bool", 1) },
      { ...ramp(E.i32(0)), dtype: "u32" },
      { kind: "lanes", op: "sum", factor: 2, dtype: "f64", x: ramp(E.i32(0)) },
      E.binary<E.Expr>(
        "mul",
        { kind: "select", dtype: "i16", cond: E.constant("bool", 1), a: E.i32(1), b: E.i32(2) },
        E.constant("i16", 3),
      ),
    ];
    kernelTrip(withBody(block(...odd.map((value): Stmt => ({ kind: "if", cond: value, then: block() })))));
  });
  test("names that mean something, and that are no identifiers", () => {
    const names = [
      "let",
      "for",
      "inf",
      "nan_f32",
      "true",
      "reduce",
      "def",
      "barrier",
      "atomic.add",
      "seq",
      "ramp",
      "x4",
      "f32",
      "exp",
      "max",
      "table",
      "i j",
      "",
      "7",
      "s'",
      "$seed",
      "a::b",
      "step",
      "with",
      "overlap",
      "dims",
    ];
    const params = names.map((n, k) => buffer(2 * k, n, "f32", [4], "arena"));
    const stores = params.map((b): Stmt => storeTo(b, [E.i32(0)], loadOf(b, E.v(b.name))));
    kernelTrip({
      name: "kernel @ odd",
      params,
      scalars: names.map((n) => ({ name: `${n}!`, dtype: "f64" })),
      dims: names.map((n) => symbolId(n)),
      mayOverlap: [
        [0, 1],
        [3, 2],
      ],
      body: block(
        ...names.map(
          (n): Stmt =>
            loop(
              n,
              E.v(n),
              { kind: "let", name: n, value: E.v(n), body: block(...stores) },
              { pointers: [{ name: `${n}p`, buffer: bufferId(0), init: E.v(n), step: E.v(n) }] },
            ),
        ),
        ...names.map((n): Stmt => ({ kind: "let", name: n, value: E.v(`${n}!`, "f64"), body: block() })),
      ),
    });
  });
  test("equal names, and buffers of inner scopes", () => {
    const twin = buffer(7, "A", "i32", [4], "arena");
    const local = (id: number): Buffer => buffer(id, "t", "f64", [], "register");
    const use = (b: Buffer): Stmt => storeTo(b, [E.i32(0)], loadOf(b, E.i32(0)));
    kernelTrip(
      withBody(
        block(
          {
            kind: "alloc",
            buffer: local(20),
            body: block(use(local(20)), {
              kind: "alloc",
              buffer: local(21),
              body: block(use(local(20)), use(local(21))),
            }),
          },
          { kind: "alloc", buffer: local(22), body: use(local(22)) },
          use(twin),
          use(a),
        ),
        { params: [a, twin] },
      ),
    );
  });
  test("storage of every form", () => {
    const shape = [N, D.int(6)];
    const d = dense(shape);
    const forms = [
      null,
      d,
      dense(shape, [1, 0]),
      { ...d, offset: D.add(N, D.int(3)) },
      { ...d, size: D.int(128) },
      { ...d, root: bufferId(5), offset: D.int(4) },
      { ...d, root: bufferId(0), size: N },
      {
        ...d,
        blocks: [
          { axis: 1, by: 4, stride: D.mul(N, D.int(4)) },
          { axis: 0, by: 2, stride: D.one },
        ],
      },
      { ...d, strides: [D.one] },
      {
        root: bufferId(1),
        offset: D.one,
        strides: [D.int(9), D.int(2)],
        blocks: [{ axis: 0, by: 8, stride: D.int(2) }],
        size: D.mul(N, N),
      },
    ];
    kernelTrip({
      ...withBody(block()),
      params: forms.map((storage, n) => ({ ...buffer(n, `b${n}`, "f32", shape, "arena"), storage })),
    });
  });
});

describe("programs", () => {
  test("the sample", () => {
    programTrip(sampleProgram());
  });
  test("every scope, equal kernel names, calls of none", () => {
    const p = sampleProgram();
    const scopes: readonly Scope[] = ["io", "weights", "prepared", "arena", "heap", "stack", "register", "workgroup"];
    const more = scopes.map((s, n) => buffer(50 - n, "same", "bf16", [N, M], s));
    const call = (kernel: number) => ({ kind: "call", call: { kernel, args: [], scalars: [], dims: [] } }) as const;
    programTrip({
      ...p,
      name: "odd name",
      buffers: new Map([...p.buffers, ...more.map((b) => [b.id, b] as const)]),
      kernels: [...p.kernels, p.kernels[0]!],
      run: [call(0), call(1), call(2), call(9)],
      init: [],
      inputs: [],
      outputs: [
        { name: "let", buffer: bufferId(50) },
        { name: "b", buffer: bufferId(44) },
      ],
    });
  });
  test("symbols that mean something", () => {
    const p = sampleProgram();
    const odd = ["while", "swap", "inf", "max", "data", "a b", "from", "in"].map((s) => D.sym(s));
    programTrip({
      ...p,
      symbols: odd.map((s, n) => ({
        id: symbolId((s as D.Dim & { kind: "sym" }).id),
        min: n === 0 ? 0 : -n,
        max: n % 2 ? n : null,
        def: n === 0 ? null : odd[n - 1]!,
      })),
      run: odd.map((s) => ({ kind: "loop", trip: s, cond: null, counter: symbolId("while"), swap: [], body: [] })),
    });
  });
});

test("dims read back as themselves", () => {
  const x = D.sym("x.1");
  for (const d of [
    D.zero,
    D.int(-7),
    D.int(2 ** 40),
    D.sub(N, M),
    D.neg(D.mul(N, M)),
    D.add(D.mul(D.int(-3), N, N), D.mul(D.int(2), M), D.int(-5)),
    D.mul(D.floordiv(D.add(N, x), D.int(8)), D.mod(M, N)),
    D.floordiv(D.sub(N, D.one), D.add(M, D.int(2))),
    D.max(N, D.int(3), D.min(M, D.mul(N, N), x)),
    D.broadcast(N, D.mul(M, M)),
    D.ceildiv(N, D.int(4)),
    D.sym('odd "name"'),
    D.sym(""),
    D.sym("mod"),
    D.add(D.sym("max"), D.max(D.sym("max"), D.sym("floordiv"))),
  ])
    expect(parseDim(d.key)).toBe(d);
  expect(parseDim("2 * (N + 1) - M*-1")).toBe(D.add(D.mul(D.int(2), N), D.int(2), M));
  expect(valueId(3)).toBe(3);
});
