// Hand-built IR of every kind, for the tests of its text form and of the verifiers.
import type { BufferId, NodeId, StageId, SymbolId, ValueId } from "../../src/base/brand.ts";
import * as D from "../../src/ir/dim.ts";
import * as E from "../../src/ir/expr.ts";
import type { AnyNode, Attrs, Graph, Value } from "../../src/ir/graph.ts";
import type { For, Kernel, LoopExpr, Pointer, Ramp, Stmt } from "../../src/ir/loops.ts";
import type { OpHead } from "../../src/ir/opdef.ts";
import type { Program } from "../../src/ir/program.ts";
import { type Buffer, dense, type Scope, type Storage } from "../../src/ir/storage.ts";
import type { Axis, Reduce, TeProgram } from "../../src/ir/te.ts";
import { type DType, type Tensor, tensorOf, tensorType, type ValueType } from "../../src/ir/types.ts";

export const bufferId = (n: number): BufferId => n as BufferId;
export const valueId = (n: number): ValueId => n as ValueId;
export const stageId = (n: number): StageId => n as StageId;
export const symbolId = (s: string): SymbolId => s as SymbolId;
export const N: D.Dim = D.sym("N");
export const M: D.Dim = D.sym("M");

export function buffer(
  id: number,
  name: string,
  dtype: DType,
  shape: readonly (D.Dim | number)[],
  scope: Scope,
  storage: Storage | null = null,
): Buffer {
  const dims = shape.map((d) => (typeof d === "number" ? D.int(d) : d));
  return { id: bufferId(id), name, dtype, shape: dims, scope, storage };
}
export function loadOf(b: Buffer, ...index: readonly LoopExpr[]): LoopExpr {
  return { kind: "load", dtype: b.dtype, buffer: b.id, index };
}
export function storeTo(b: Buffer, index: readonly LoopExpr[], value: LoopExpr): Stmt {
  return { kind: "store", buffer: b.id, dtype: b.dtype, index, value };
}
export function ramp(base: LoopExpr, lanes = 4, stride = 1): Ramp {
  return { kind: "ramp", base, stride, lanes, dtype: "i32" };
}
export function loop(v: string, extent: LoopExpr | number, body: Stmt, more: Partial<For> = {}): For {
  return {
    kind: "for",
    v,
    extent: typeof extent === "number" ? E.i32(extent) : extent,
    step: 1,
    loop: "serial",
    body,
    ...more,
  };
}
export function block(...body: readonly Stmt[]): Stmt {
  return { kind: "seq", body };
}

// ---- G -------------------------------------------------------------------------------------------------------
const heads = new Map<string, OpHead>();
/** The definition of an op as far as a graph's text needs it; the same object for the same name. */
export function opHead(name: string): OpHead {
  const old = heads.get(name);
  if (old) return old;
  const head: OpHead = { name, onnx: [], accuracy: { kind: "exact" }, effects: "none", body: { kind: "compute" } };
  heads.set(name, head);
  return head;
}
export function node(
  id: number,
  op: string,
  inputs: readonly (number | null)[],
  outputs: readonly (number | null)[],
  attrs: Attrs = {},
  name = `n${id}`,
): AnyNode {
  const ids = (xs: readonly (number | null)[]): (ValueId | null)[] => xs.map((x) => (x === null ? null : valueId(x)));
  return {
    id: id as NodeId,
    def: opHead(op),
    attrs,
    inputs: ids(inputs),
    outputs: ids(outputs),
    loc: { node: name, op },
  };
}
export function value(id: number, name: string, type: ValueType, more: Partial<Value> = {}): Value {
  return { id: valueId(id), name, type, ...more };
}
export function graph(
  name: string,
  values: readonly Value[],
  inputs: readonly number[],
  outputs: readonly number[],
  nodes: readonly AnyNode[],
  symbols: Graph["symbols"] = [],
): Graph {
  return {
    name,
    symbols,
    inputs: inputs.map(valueId),
    outputs: outputs.map(valueId),
    values: new Map(values.map((v) => [v.id, v])),
    nodes,
  };
}
const f32 = (...shape: readonly (D.Dim | number)[]): ValueType =>
  tensorType(
    "f32",
    shape.map((d) => (typeof d === "number" ? D.int(d) : d)),
  );

/** A table of n elements that are all different. */
export function ascending(dtype: DType, dims: readonly number[]): Tensor {
  const n = dims.reduce((a, b) => a * b, 1);
  return tensorOf(
    dtype,
    dims,
    Array.from({ length: n }, (_, k) => k - 3),
  );
}

export function sampleGraph(): Graph {
  const branch = (name: string, op: string): Graph =>
    graph(
      name,
      [value(0, "a", f32(N, 10)), value(1, "b", f32(N, 10))],
      [0],
      [1],
      [node(0, op, [0], [1], {}, `${name}/act`)],
    );
  return graph(
    "mlp",
    [
      value(0, "x", f32(N, 784)),
      value(1, "cond", tensorType("bool", [])),
      value(2, "w", f32(10, 784), { constant: ascending("f32", [10, 784]) }),
      value(3, "bias", f32(10), {
        constant: tensorOf("f32", [10], [0.1, -0, 1e-30, 3, 4, 5, 6, Infinity, -Infinity, NaN]),
      }),
      value(4, "shape", tensorType("i64", [D.int(2)]), { constant: tensorOf("i64", [2], [-1, 10]) }),
      value(5, "0", f32(N, 10)),
      value(12, "/act/Relu output", f32(N, 10)),
      value(7, "0", f32(N, 10)),
      value(8, "dims", tensorType("i64", [D.int(2)]), { known: { dims: [2], elements: [N, D.int(10)] } }),
      value(9, "seq", { kind: "sequence", of: { kind: "optional", of: f32(D.add(D.mul(D.int(2), N), D.int(3))) } }),
      value(10, "y", f32(N, 10)),
      value(11, "h", tensorType("f16", [])),
    ],
    [0, 1],
    [10, 9],
    [
      node(0, "Gemm", [0, 2, 3], [5], { transB: 1, alpha: 0.5 }, "fc1"),
      {
        ...node(4, "Relu", [5], [12]),
        loc: { node: "act", op: "Relu", pass: "fuse", cause: { node: 'old\n"act"', op: "LeakyRelu" } },
      },
      node(5, "If", [1, 12], [7], { then_branch: branch("then", "Tanh"), else_branch: branch("else", "Exp") }, "if1"),
      node(6, "Shape", [7], [8]),
      node(7, "Odd op", [7, null, 8], [9, null, 11], {
        big: 12345678901234567890n,
        empty: [],
        floats: [0.5, 1, -Infinity, -0],
        flag: true,
        name: 'a "b"',
        "odd key": ["p", "q"],
        t: tensorOf("f16", [2], [0x3c00, 0xfc00]),
        ts: [ascending("i8", [5, 5]), tensorOf("bool", [2], [1, 0])],
        type: { dtype: "i64", shape: [N, D.floordiv(M, D.int(2))] },
        bodies: [branch("b0", "Sin"), branch("b1", "Cos")],
        none: undefined,
      }),
      node(8, "Sink", [7], []),
      node(9, "Softmax", [7], [10], { axis: 1 }),
    ],
    [
      { id: symbolId("N"), min: 1, max: 64, def: null },
      { id: symbolId("M"), min: 0, max: null, def: "data" },
      { id: symbolId("2 N"), min: 0, max: 128, def: D.mul(D.int(2), N) },
    ],
  );
}

// ---- T -------------------------------------------------------------------------------------------------------
const spatial = (name: string, extent: D.Dim): Axis => ({ name, extent, role: "spatial" });
const i = E.v("i");
const j = E.v("j");
const k = E.v("k");

export function sampleTe(): TeProgram {
  const x = buffer(0, "x", "f32", [N, 64], "io", dense([N, D.int(64)]));
  const w = buffer(1, "w", "f32", [64, 10], "weights");
  const t = buffer(2, "t", "f32", [N, 10], "arena", {
    root: null,
    offset: D.int(8),
    strides: [D.int(16), D.one],
    blocks: [{ axis: 1, by: 4, stride: D.mul(D.int(4), N) }],
    size: D.mul(D.int(16), N),
  });
  const half = {
    ...buffer(3, "half", "f32", [N, 5], "arena"),
    inside: { of: t.id, offset: [D.zero, D.int(5)], step: [D.one, D.one] },
  };
  const odd = {
    ...buffer(5, "odd", "f32", [N, 5], "arena"),
    inside: { of: t.id, offset: [D.zero, D.zero], step: [D.one, D.int(2)] },
  };
  const rooted = buffer(6, "t", "f32", [N, 5], "arena", {
    ...dense([N, D.int(5)]),
    root: t.id,
    offset: D.mul(D.int(3), N),
  });
  const y = buffer(7, "y", "f32", [N, 10], "io", dense([N, D.int(10)]));
  const cond = buffer(8, "cond", "bool", [], "arena");
  const count = buffer(9, "count", "i64", [2], "arena");
  const list = buffer(10, "list", "i64", [M], "heap");
  const scaled = buffer(11, "scaled", "f32", [N, 64], "arena");
  const acc = E.v("acc", "f32");
  const contraction: Reduce = {
    kind: "reduce",
    dtype: "f32",
    axes: [{ name: "k", extent: D.int(64), role: "reduce" }],
    state: [{ name: "acc", dtype: "f32", init: E.constant("f32", 0) }],
    update: [E.mulAdd<E.Expr>(E.load(x, [i, k]), E.load(w, [k, j]), acc)],
    merge: [E.add(acc, E.v("acc'", "f32"))],
    result: E.max(acc, 0),
  };
  const shifted = E.unary<E.Expr>("exp", E.sub(E.load(t, [i, j]), E.constant("f32", 0.5)));
  const loc = { node: "fc", op: "Gemm" };
  const other: Reduce = {
    kind: "reduce",
    dtype: "i64",
    axes: [{ name: "r", extent: M, role: "reduce" }],
    state: [
      { name: "best", dtype: "i64", init: E.lowest("i64") },
      { name: "at", dtype: "i32", init: E.i32(-1) },
    ],
    update: [
      E.max(E.v("best", "i64"), E.load(list, [E.v("r")])),
      E.where(E.lt(E.v("best", "i64"), E.load(list, [E.v("r")])), E.v("r"), E.v("at")),
    ],
    merge: null,
    result: E.add(E.v("best", "i64"), 1),
  };
  return {
    name: "sample",
    symbols: [
      { id: symbolId("N"), min: 1, max: 64, def: null },
      { id: symbolId("M"), min: 0, max: 100, def: "data" },
      { id: symbolId("$it.0"), min: 0, max: null, def: "data" },
      { id: symbolId("c"), min: 0, max: null, def: "data" },
      { id: symbolId("d"), min: 0, max: null, def: "data" },
      { id: symbolId("M2"), min: 0, max: 200, def: D.mul(D.int(2), M) },
    ],
    requires: [],
    buffers: new Map([x, w, t, half, odd, rooted, y, cond, count, list, scaled].map((b) => [b.id, b])),
    inputs: [{ name: "input:0", buffer: x.id }],
    outputs: [{ name: "y", buffer: y.id }],
    constants: new Map([[w.id, ascending("f32", [64, 10])]]),
    actions: [
      {
        kind: "call",
        call: {
          kind: "group",
          group: {
            root: stageId(1),
            stages: [
              {
                id: stageId(0),
                name: "Gemm",
                axes: [spatial("i", N), spatial("j", D.int(10))],
                outs: [{ buffer: t.id, body: contraction }],
                scan: null,
                loc,
              },
              {
                id: stageId(1),
                name: "Exp",
                axes: [spatial("i", N), spatial("j", D.int(10))],
                outs: [{ buffer: y.id, body: E.div(shifted, E.add(shifted, E.mul(shifted, shifted))) }],
                scan: null,
                loc: { ...loc, cause: { node: "e", op: "Exp" } },
              },
            ],
          },
        },
      },
      {
        kind: "call",
        call: {
          kind: "group",
          group: {
            root: stageId(5),
            stages: [
              {
                id: stageId(5),
                name: "CumSum",
                axes: [spatial("i", N), spatial("j", D.int(5))],
                outs: [
                  {
                    buffer: half.id,
                    body: E.add(E.where(E.lt(0, j), E.load(half, [i, E.sub(j, 1)]), 0), E.load(odd, [i, j])),
                  },
                ],
                scan: "j",
                loc: { node: "cs", op: "CumSum" },
              },
            ],
          },
        },
      },
      {
        kind: "call",
        call: {
          kind: "kernel",
          kernel: scalarKernel(),
          args: [x.id, scaled.id],
          scalars: [D.int(3)],
          loc: { node: "nz", op: "NonZero" },
        },
      },
      { kind: "dim", id: symbolId("M"), from: { buffer: count.id, index: D.one }, min: 0, max: 100 },
      { kind: "dim", id: symbolId("$it.0"), from: { value: D.add(M, D.one) }, min: 0, max: null },
      { kind: "reserve", buffer: list.id },
      { kind: "if", cond: cond.id, then: [{ kind: "release", buffer: list.id }], otherwise: [] },
      {
        kind: "loop",
        trip: D.sym("$it.0"),
        cond: cond.id,
        counter: symbolId("c"),
        swap: [[half.id, odd.id]],
        body: [
          {
            kind: "if",
            cond: cond.id,
            then: [],
            otherwise: [
              {
                kind: "call",
                call: {
                  kind: "group",
                  group: {
                    root: stageId(6),
                    stages: [
                      {
                        id: stageId(6),
                        name: "ArgMax",
                        axes: [spatial("i", D.int(2))],
                        outs: [{ buffer: count.id, body: other }],
                        scan: null,
                        loc,
                      },
                    ],
                  },
                },
              },
            ],
          },
        ],
      },
      { kind: "loop", trip: null, cond: cond.id, counter: symbolId("d"), swap: [], body: [] },
      { kind: "loop", trip: D.sym("M2"), cond: null, counter: symbolId("d"), swap: [], body: [] },
    ],
  };
}

// ---- L -------------------------------------------------------------------------------------------------------
/** Copies `scale * A` to C, with every scalar statement and expression. */
export function scalarKernel(): Kernel {
  const a = buffer(0, "A", "f32", [N, 64], "io");
  const c = buffer(1, "C", "f32", [N, 64], "io");
  const tmp = buffer(5, "tmp", "i32", [4], "stack");
  const acc = buffer(6, "acc", "f32", [], "register");
  const scale = E.v("scale", "f32");
  const x = E.v("x", "f32");
  return {
    name: "scale",
    params: [a, c],
    scalars: [{ name: "scale", dtype: "f32" }],
    dims: [symbolId("N")],
    mayOverlap: [[0, 1]],
    body: loop(
      "i",
      E.v("N"),
      {
        kind: "alloc",
        buffer: acc,
        body: block(
          { kind: "let", name: "outer", value: E.mul(i, 2), body: storeTo(acc, [E.i32(0)], E.constant("f32", 0)) },
          {
            kind: "alloc",
            buffer: tmp,
            body: block(
              storeTo(tmp, [E.i32(0)], E.bitcast<E.Expr>("i32", loadOf(acc, E.i32(0)) as E.Expr)),
              loop("j", 64, {
                kind: "let",
                name: "x",
                value: E.mul(E.load(a, [i, E.v("j")]), scale),
                body: block(
                  {
                    kind: "if",
                    cond: E.and(E.lt(x, 1e-7), E.not(E.unary<E.Expr>("isnan", x))),
                    then: storeTo(
                      c,
                      [i, E.v("j")],
                      E.where(E.eq(E.to("i64", E.v("j")), 5), E.neg(x), E.unary<E.Expr>("abs", x)),
                    ),
                    otherwise: block(),
                  },
                  { kind: "if", cond: E.constant("bool", 1), then: { kind: "barrier" } },
                ),
              }),
              {
                kind: "while",
                cond: E.lt(E.load(tmp, [E.i32(0)]), 5),
                body: storeTo(tmp, [E.i32(0)], E.add(E.load(tmp, [E.i32(0)]), 1)),
              },
            ),
          },
        ),
      },
      { loop: "parallel" },
    ),
  };
}

/** A register tile of a matrix product in its final form: pointers, vectors, immediates. */
export function vectorKernel(): Kernel {
  const a = buffer(0, "A", "f32", [64, 784], "arena");
  const b = buffer(1, "B", "f32", [2, 784, 8], "weights");
  const c = buffer(2, "C", "f32", [64, 16], "arena");
  const acc = [buffer(3, "acc0", "f32", [4], "register"), buffer(4, "acc1", "f32", [4], "register")];
  const lane = ramp(E.i32(0));
  const splat = (x: LoopExpr): LoopExpr => ({ kind: "splat", x, lanes: 4, dtype: x.dtype });
  const via = (buf: Buffer, p: string, index: LoopExpr): LoopExpr => ({
    kind: "load",
    dtype: buf.dtype,
    buffer: buf.id,
    index: [index],
    via: p,
  });
  const pointers: Pointer[] = [
    { name: "pa", buffer: a.id, init: E.mul(E.v("io"), 784), step: E.i32(1) },
    { name: "pb", buffer: b.id, init: E.i32(0), step: E.i32(8) },
  ];
  return {
    name: "gemm",
    params: [a, b, c],
    scalars: [],
    dims: [],
    mayOverlap: [],
    body: loop("io", 64, {
      kind: "alloc",
      buffer: acc[0]!,
      body: {
        kind: "alloc",
        buffer: acc[1]!,
        body: block(
          ...acc.map((r) => storeTo(r, [lane], splat(E.constant("f32", 0)))),
          loop(
            "k",
            784,
            {
              kind: "let",
              name: "av",
              value: splat(via(a, "pa", E.i32(0))),
              body: block(
                ...acc.map((r, n) =>
                  storeTo(
                    r,
                    [lane],
                    E.mulAdd<LoopExpr>(
                      { ...E.v("av", "f32"), lanes: 4 },
                      via(b, "pb", ramp(E.i32(4 * n))),
                      loadOf(r, lane),
                    ),
                  ),
                ),
              ),
            },
            { pointers },
          ),
          ...acc.map((r, n): Stmt => storeTo(c, [ramp(E.add(E.mul(E.v("io"), 16), 4 * n))], loadOf(r, lane))),
        ),
      },
    }),
  };
}

// ---- P -------------------------------------------------------------------------------------------------------
/** y = scale(x) in two calls through an arena buffer, a data-dependent heap buffer, and weights copied at init. */
export function sampleProgram(): Program {
  const shape = [N, D.int(64)];
  const x = buffer(0, "x", "f32", shape, "io", dense(shape));
  const mid = buffer(1, "mid", "f32", shape, "arena", dense(shape));
  const y = buffer(2, "y", "f32", shape, "io", dense(shape));
  const w = buffer(3, "w", "f32", [2, 64], "weights", dense([D.int(2), D.int(64)]));
  const ready = buffer(4, "ready", "f32", [2, 64], "prepared", dense([D.int(2), D.int(64)]));
  const count = buffer(5, "count", "i64", [1], "arena", dense([D.one]));
  const heap = buffer(6, "found", "f32", [M, 64], "heap", dense([M, D.int(64)]));
  const flag = buffer(7, "flag", "bool", [], "arena", dense([]));
  const param = (id: number, name: string): Buffer => buffer(id, name, "f32", shape, "arena", dense(shape));
  const copy: Kernel = {
    name: "copy",
    params: [param(0, "A"), param(1, "C")],
    scalars: [],
    dims: [symbolId("N")],
    mayOverlap: [],
    body: loop("i", E.mul(E.v("N"), 64), storeTo(param(1, "C"), [i], loadOf(param(0, "A"), i))),
  };
  const counts: Kernel = {
    name: "count",
    params: [
      param(0, "A"),
      buffer(1, "n", "i64", [1], "arena", dense([D.one])),
      buffer(2, "flag", "bool", [], "arena", dense([])),
    ],
    scalars: [{ name: "limit", dtype: "i32" }],
    dims: [symbolId("N")],
    mayOverlap: [],
    body: block(
      storeTo(buffer(1, "n", "i64", [1], "arena"), [E.i32(0)], E.to("i64", E.v("limit"))),
      storeTo(buffer(2, "flag", "bool", [], "arena"), [E.i32(0)], E.lt(loadOf(param(0, "A"), E.i32(0)) as E.Expr, 1)),
    ),
  };
  const call = (kernel: number, args: readonly Buffer[], dims: readonly D.Dim[], scalars: readonly D.Dim[] = []) =>
    ({ kind: "call", call: { kernel, args: args.map((b) => b.id), scalars, dims } }) as const;
  return {
    name: "net",
    symbols: [
      { id: symbolId("N"), min: 1, max: null, def: null },
      { id: symbolId("M"), min: 0, max: 1000, def: "data" },
      { id: symbolId("$c"), min: 0, max: null, def: "data" },
      { id: symbolId("$at.6"), min: 0, max: null, def: "data" },
    ],
    requires: [],
    bindings: [{ id: symbolId("N"), input: 0, axis: 0, min: 1, max: null }],
    inputs: [{ name: "x", buffer: x.id }],
    outputs: [{ name: "out", buffer: y.id }],
    kernels: [copy, counts],
    init: [call(0, [w, ready], [D.int(2)])],
    run: [
      call(0, [x, mid], [N]),
      call(1, [mid, count, flag], [N], [D.add(N, D.one)]),
      { kind: "dim", id: symbolId("M"), from: { buffer: count.id, index: D.zero }, min: 0, max: 1000 },
      { kind: "reserve", buffer: heap.id },
      {
        kind: "if",
        cond: flag.id,
        then: [call(0, [ready, heap], [D.int(2)])],
        otherwise: [],
      },
      {
        kind: "loop",
        trip: M,
        cond: flag.id,
        counter: symbolId("$c"),
        swap: [[mid, y].map((b) => b.id) as [BufferId, BufferId]],
        body: [call(0, [mid, y], [N])],
      },
      { kind: "release", buffer: heap.id },
    ],
    buffers: new Map([x, mid, y, w, ready, count, heap, flag].map((b) => [b.id, b])),
    constants: new Map([[w.id, ascending("f32", [2, 64])]]),
    plan: {
      lets: [{ id: symbolId("$end"), value: D.mul(D.int(256), N) }],
      offsets: new Map([
        [x.id, { region: "io", offset: D.zero }],
        [mid.id, { region: "arena", offset: D.zero }],
        [y.id, { region: "arena", offset: D.sym("$end") }],
        [count.id, { region: "arena", offset: D.mul(D.int(2), D.sym("$end")) }],
        [flag.id, { region: "arena", offset: D.add(D.mul(D.int(2), D.sym("$end")), D.int(256)) }],
        [w.id, { region: "weights", offset: D.zero }],
        [ready.id, { region: "prepared", offset: D.zero }],
        [heap.id, { region: "heap", offset: D.sym("$at.6") }],
      ]),
      sizes: { weights: D.int(512), prepared: D.int(512), arena: D.add(D.mul(D.int(2), D.sym("$end")), D.int(512)) },
      lowerBound: D.mul(D.int(512), N),
    },
  };
}
