import { describe, expect, test } from "vitest";
import { InternalError } from "../../src/base/assert.ts";
import * as D from "../../src/ir/dim.ts";
import * as E from "../../src/ir/expr.ts";
import { type Buffer, dense } from "../../src/ir/storage.ts";
import type { Group, Reduce, Stage, TeAction, TeExpr, TeProgram } from "../../src/ir/te.ts";
import { tensorOf } from "../../src/ir/types.ts";
import { verifyTe } from "../../src/ir/verify.ts";
import { buffer, bufferId, M, N, sampleTe, scalarKernel, stageId, symbolId } from "./samples.ts";

const i = E.v("i");
const x = buffer(0, "x", "f32", [N, 4], "io");
const y = buffer(1, "y", "f32", [N, 4], "io");
const flag = buffer(2, "flag", "bool", [], "arena");
const w = buffer(3, "w", "f32", [4], "weights");
const count = buffer(4, "count", "i64", [1], "arena");
const heap = buffer(5, "heap", "f32", [M], "heap");
const half = buffer(6, "half", "f16", [N, 4], "arena");

function stage(body: TeExpr, more: Partial<Stage> = {}): Stage {
  const axes = [
    { name: "i", extent: N, role: "spatial" },
    { name: "j", extent: D.int(4), role: "spatial" },
  ] as const;
  return {
    id: stageId(0),
    name: "S",
    axes,
    outs: [{ buffer: y.id, body }],
    scan: null,
    loc: { node: "n", op: "S" },
    ...more,
  };
}
const call = (g: Group): TeAction => ({ kind: "call", call: { kind: "group", group: g } });
const single = (s: Stage): TeAction => call({ root: s.id, stages: [s] });
function program(actions: readonly TeAction[], more: Partial<TeProgram> = {}): TeProgram {
  return {
    name: "t",
    symbols: [
      { id: symbolId("N"), min: 1, max: null, def: null },
      { id: symbolId("M"), min: 0, max: null, def: "data" },
      { id: symbolId("c"), min: 0, max: null, def: "data" },
    ],
    requires: [],
    buffers: new Map([x, y, flag, w, count, heap, half].map((b) => [b.id, b])),
    inputs: [{ name: "x", buffer: x.id }],
    outputs: [{ name: "y", buffer: y.id }],
    constants: new Map([[w.id, tensorOf("f32", [4], [1, 2, 3, 4])]]),
    actions,
    ...more,
  };
}
function broken(p: TeProgram, message: RegExp): void {
  expect(() => verifyTe(p)).toThrow(InternalError);
  expect(() => verifyTe(p)).toThrow(message);
}
const body = (e: TeExpr, message: RegExp, more: Partial<Stage> = {}): void =>
  broken(program([single(stage(e, more))]), message);
const one = E.constant("f32", 1);
const acc = E.v("acc", "f32");
const sum: Reduce = {
  kind: "reduce",
  dtype: "f32",
  axes: [{ name: "r", extent: D.int(4), role: "reduce" }],
  state: [{ name: "acc", dtype: "f32", init: E.constant("f32", 0) }],
  update: [E.add(acc, E.load(x, [i, E.v("r")]))],
  merge: [E.add(acc, E.v("acc'", "f32"))],
  result: acc,
};

test("sound programs pass", () => {
  verifyTe(sampleTe());
  verifyTe(program([single(stage(sum))]));
  verifyTe(program([single(stage(E.constant("f32", 0), { outs: [{ buffer: half.id, body: one }] }))]));
});

describe("stages", () => {
  test("fit their buffers", () => {
    body(one, /has 1 axes but "y" rank 2/, { axes: [{ name: "i", extent: N, role: "spatial" }] });
    const axes = stage(one).axes;
    body(one, /axis "j" runs to 5 but "y" to 4/, { axes: [axes[0]!, { ...axes[1]!, extent: D.int(5) }] });
    body(one, /two axes of one name/, { axes: [axes[0]!, { ...axes[1]!, name: "i" }] });
    body(one, /an axis that is not spatial/, { axes: [axes[0]!, { ...axes[1]!, role: "reduce" }] });
    body(one, /symbol "Q" of Q is not bound/, { axes: [{ ...axes[0]!, extent: D.sym("Q") }, axes[1]!] });
    body(one, /scans the axis "k", which it does not have/, { scan: "k" });
    body(one, /has no output/, { outs: [] });
    body(one, /writes buffer #9, which does not exist/, { outs: [{ buffer: bufferId(9), body: one }] });
    body(i, /computes i32 for "y" of f32/);
  });
  test("have well-typed, bound expressions", () => {
    body(E.load(x, [i]), /stage 0 "S": 1 indices into "x" of rank 2/);
    body(E.load(x, [i, E.v("k")]), /variable "k" is not bound/);
    body({ kind: "binary", op: "add", dtype: "f32", a: one, b: i }, /operands of .* are f32 and i32/);
    body(E.to("f32", E.v("M")), /variable "M" is not bound/);
    verifyTe(program([single(stage(E.to("f32", E.add(E.v("N"), E.v("$seed")))))]));
  });
  test("reduce only at the root", () => {
    body({ kind: "unary", op: "neg", dtype: "f32", x: sum }, /a reduce below the root/);
    body({ ...sum, update: [sum] }, /a reduce below the root/);
  });
  test("reduce soundly", () => {
    body({ ...sum, axes: [{ ...sum.axes[0]!, role: "spatial" }] }, /an axis that is not a reduce axis/);
    body({ ...sum, axes: [{ ...sum.axes[0]!, name: "i" }] }, /reduces over "i", a name that is taken/);
    body({ ...sum, axes: [{ ...sum.axes[0]!, name: "acc" }] }, /two names that are the same/);
    body({ ...sum, axes: [{ ...sum.axes[0]!, extent: D.sym("Q") }] }, /symbol "Q" of Q is not bound/);
    body({ ...sum, update: [] }, /0 updates of 1 states/);
    body({ ...sum, merge: [] }, /0 merges of 1 states/);
    body({ ...sum, update: [i] }, /state "acc" is f32 but becomes i32/);
    body({ ...sum, merge: [i] }, /state "acc" is f32 but becomes i32/);
    body({ ...sum, state: [{ ...sum.state[0]!, init: E.i32(0) }] }, /state "acc" is f32 but becomes i32/);
    body({ ...sum, result: i }, /is marked f32 but its result i32/);
    body({ ...sum, update: [E.v("acc'", "f32")] }, /variable "acc'" is not bound/);
    body({ ...sum, merge: [E.load(x, [i, E.v("r")])] }, /variable "r" is not bound/);
    body({ ...sum, result: E.load(x, [i, E.v("r")]) }, /variable "r" is not bound/);
  });
  test("are grouped soundly", () => {
    broken(program([call({ root: stageId(9), stages: [stage(one)] })]), /root 9 of a group is none of its stages/);
    broken(program([single(stage(one)), single(stage(one))]), /stage 0 "S": has the id of another stage/);
  });
});

describe("tables", () => {
  const withBuffer = (b: Buffer): TeProgram => program([], { buffers: new Map([x, y, w, b].map((q) => [q.id, q])) });
  test("buffers", () => {
    broken(program([], { buffers: new Map([[bufferId(9), x]]) }), /buffer 9 "x": is filed under another id/);
    broken(withBuffer(buffer(7, "b", "f32", [-1], "arena")), /has a dim of -1/);
    const s = dense([N, D.int(4)]);
    const stored = (more: Partial<typeof s>): Buffer => buffer(7, "b", "f32", [N, 4], "arena", { ...s, ...more });
    broken(withBuffer(stored({ strides: [D.one] })), /has 1 strides but rank 2/);
    broken(withBuffer(stored({ blocks: [{ axis: 2, by: 4, stride: D.one }] })), /a block of 4 on axis 2/);
    broken(withBuffer(stored({ blocks: [{ axis: 0, by: 0, stride: D.one }] })), /a block of 0 on axis 0/);
    const block = { axis: 0, by: 2, stride: D.one };
    broken(withBuffer(stored({ blocks: [block, block] })), /two blocks on axis 0/);
    broken(withBuffer(stored({ root: bufferId(7) })), /lies in itself/);
    broken(withBuffer(stored({ root: bufferId(99) })), /lies in buffer #99, which does not exist/);
    broken(withBuffer({ ...stored({ root: x.id }), dtype: "f64" }), /is f64 but lies in "x" of f32/);
    const part = (more: Partial<NonNullable<Buffer["inside"]>>): Buffer => ({
      ...buffer(7, "b", "f32", [N, 2], "arena"),
      inside: { of: x.id, offset: [D.zero, D.zero], step: [D.one, D.one], ...more },
    });
    verifyTe(withBuffer(part({})));
    broken(withBuffer(part({ of: bufferId(99) })), /is a part of buffer #99/);
    broken(withBuffer(part({ of: w.id })), /is a part of "w", which has another dtype or rank/);
    broken(withBuffer(part({ step: [D.one] })), /a part's offset or step of another rank/);
  });
  test("symbols, ports and constants", () => {
    const s = { id: symbolId("N"), min: 1, max: null, def: null };
    broken(program([], { symbols: [s, { ...s }] }), /symbol "N" is declared twice/);
    broken(program([], { symbols: [{ ...s, max: 0 }] }), /symbol "N" lies in 1..0/);
    broken(program([], { inputs: [{ name: "x", buffer: bufferId(99) }] }), /input "x": is buffer #99/);
    broken(
      program([], {
        outputs: [
          { name: "y", buffer: x.id },
          { name: "y", buffer: y.id },
        ],
      }),
      /output "y": has the name of another/,
    );
    const strided = { ...x, storage: dense(x.shape, [1, 0]) };
    broken(
      program([], { buffers: new Map([strided, y, w].map((b) => [b.id, b])) }),
      /buffer "x" is not dense and row-major/,
    );
    broken(
      program([], { constants: new Map([[bufferId(99), tensorOf("f32", [1], [1])]]) }),
      /is of a buffer that does not exist/,
    );
    broken(program([], { constants: new Map([[y.id, tensorOf("f32", [1], [1])]]) }), /is of "y", whose scope is io/);
    broken(program([], { constants: new Map([[w.id, tensorOf("i32", [4], [1, 2, 3, 4])]]) }), /is i32 but "w" f32/);
    broken(program([], { constants: new Map([[w.id, tensorOf("f32", [1], [1])]]) }), /has 4 bytes but "w" 16/);
  });
});

describe("actions", () => {
  const dim: TeAction = {
    kind: "dim",
    id: symbolId("M"),
    from: { buffer: count.id, index: D.zero },
    min: 0,
    max: null,
  };
  const reads: TeAction = single(stage(E.to("f32", E.v("M"))));
  const loop = (list: readonly TeAction[], more: Partial<TeAction & { kind: "loop" }> = {}): TeAction => ({
    kind: "loop",
    trip: N,
    cond: null,
    counter: symbolId("c"),
    swap: [],
    body: list,
    ...more,
  });
  test("bind symbols before their use, in order", () => {
    verifyTe(program([dim, reads]));
    broken(program([reads, dim]), /action 0: stage 0 "S": variable "M" is not bound/);
    broken(program([loop([dim]), reads]), /variable "M" is not bound/);
    broken(program([{ kind: "if", cond: flag.id, then: [dim], otherwise: [] }, reads]), /variable "M" is not bound/);
    verifyTe(program([{ kind: "if", cond: flag.id, then: [dim], otherwise: [dim] }, reads]));
    verifyTe(program([loop([single(stage(E.to("f32", E.v("c"))))])]));
    broken(program([loop([]), single(stage(E.to("f32", E.v("c"))))]), /variable "c" is not bound/);
    broken(program([loop([], { trip: M })]), /loop "c": symbol "M" of M is not bound/);
  });
  test("derived symbols follow their definitions", () => {
    const symbols = [...program([]).symbols, { id: symbolId("K"), min: 0, max: null, def: D.add(M, D.one) }];
    const readsK = single(stage(E.to("f32", E.v("K"))));
    verifyTe(program([dim, readsK], { symbols }));
    broken(program([readsK], { symbols }), /variable "K" is not bound/);
  });
  test("read what they may", () => {
    broken(program([{ ...dim, id: symbolId("Q") }]), /dim "Q": binds symbol "Q", which is not declared/);
    broken(program([{ ...dim, min: 2, max: 1 }]), /dim "M": lies in 2..1/);
    broken(program([{ ...dim, from: { buffer: x.id, index: D.zero } }]), /reads "x" of f32/);
    broken(program([{ ...dim, from: { buffer: bufferId(99), index: D.zero } }]), /uses buffer #99/);
    broken(program([{ ...dim, from: { buffer: count.id, index: D.sym("c") } }]), /symbol "c" of c is not bound/);
    broken(program([{ ...dim, from: { value: D.sym("c") } }]), /symbol "c" of c is not bound/);
    broken(program([{ kind: "if", cond: x.id, then: [], otherwise: [] }]), /reads "x" of f32/);
    broken(program([loop([], { cond: count.id })]), /reads "count" of i64/);
    broken(program([loop([], { counter: symbolId("q") })]), /binds symbol "q", which is not declared/);
    broken(program([loop([], { swap: [[x.id, x.id]] })]), /swaps "x" and "x", which are not alike/);
    broken(program([loop([], { swap: [[x.id, w.id]] })]), /swaps "x" and "w", which are not alike/);
  });
  test("reserve and release heap buffers", () => {
    const reserve: TeAction = { kind: "reserve", buffer: heap.id };
    const release: TeAction = { kind: "release", buffer: heap.id };
    verifyTe(program([dim, reserve, release, reserve]));
    broken(program([reserve]), /symbol "M" of M is not bound/);
    broken(program([dim, reserve, reserve]), /reserves "heap" twice/);
    broken(program([{ kind: "reserve", buffer: x.id }]), /reserves "x", which is no heap buffer/);
    broken(program([release]), /releases buffer #5, which is not reserved/);
    broken(
      program([dim, reserve, { kind: "if", cond: flag.id, then: [release], otherwise: [] }, release]),
      /is not reserved/,
    );
  });
  test("call kernels with what they want", () => {
    const k = scalarKernel();
    const big = buffer(8, "big", "f32", [N, 64], "arena");
    const kernel = (
      args: readonly Buffer[],
      more: Partial<{ scalars: readonly D.Dim[]; kernel: typeof k }> = {},
    ): TeProgram => {
      const buffers = new Map([...program([]).buffers, [big.id, big] as const]);
      const c: TeAction = {
        kind: "call",
        call: {
          kind: "kernel",
          kernel: k,
          args: args.map((b) => b.id),
          scalars: [D.one],
          loc: { node: "k", op: "K" },
          ...more,
        },
      };
      return program([c], { buffers });
    };
    verifyTe(kernel([big, big]));
    broken(kernel([big]), /call of kernel "scale": has 1 arguments, not 2/);
    broken(kernel([big, flag]), /argument 1 "C": is "flag" of bool, not f32/);
    broken(kernel([big, w]), /argument 1 "C": is "w" of rank 1, not 2/);
    broken(kernel([big, x]), /argument 1 "C": is "x", whose dim 1 is 4, not 64/);
    broken(kernel([big, big], { scalars: [] }), /has 0 scalars, not 1/);
    broken(kernel([big, big], { scalars: [M] }), /symbol "M" of M is not bound/);
    verifyTe(kernel([big, big], { kernel: { ...k, dims: [] } }));
    broken(kernel([big, big], { kernel: { ...k, dims: [symbolId("Q")] } }), /symbol "Q" of Q is not bound/);
    broken(kernel([big, big], { kernel: { ...k, dims: [symbolId("i")] } }), /the name "i" of a loop is taken/);
    broken(kernel([buffer(77, "q", "f32", [], "arena"), big]), /argument 0 "A": is buffer #77/);
  });
});
