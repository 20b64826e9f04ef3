import { describe, expect, test } from "vitest";
import { InternalError } from "../../src/base/assert.ts";
import * as D from "../../src/ir/dim.ts";
import * as E from "../../src/ir/expr.ts";
import type { Kernel, LoopExpr, Stmt } from "../../src/ir/loops.ts";
import { type Buffer, dense } from "../../src/ir/storage.ts";
import type { DType } from "../../src/ir/types.ts";
import { type KernelStage, verifyKernel } from "../../src/ir/verify.ts";
import {
  block,
  buffer,
  bufferId,
  loadOf,
  loop,
  N,
  ramp,
  scalarKernel,
  storeTo,
  symbolId,
  vectorKernel,
} from "./samples.ts";

const A = buffer(0, "A", "f32", [N, 64], "arena");
const C = buffer(1, "C", "f32", [N, 64], "arena");
const I = buffer(2, "I", "i32", [64], "arena");
const B = buffer(3, "B", "u8", [64], "arena");
const L = buffer(4, "L", "i64", [64], "arena");
const F = buffer(5, "F", "bool", [64], "arena");
const i = E.v("i");
const j = E.v("j");
const at0 = E.i32(0);

function kernel(body: Stmt, more: Partial<Kernel> = {}): Kernel {
  return {
    name: "k",
    params: [A, C, I, B, L, F],
    scalars: [{ name: "s", dtype: "f32" }],
    dims: [symbolId("N")],
    mayOverlap: [],
    body,
    ...more,
  };
}
function broken(stage: KernelStage, k: Kernel, message: RegExp): void {
  expect(() => verifyKernel(k, stage)).toThrow(InternalError);
  expect(() => verifyKernel(k, stage)).toThrow(message);
}
const both = (body: Stmt, message: RegExp, more: Partial<Kernel> = {}): void => {
  for (const stage of ["scheduled", "final"] as const) broken(stage, kernel(body, more), message);
};
const final = (body: Stmt, message: RegExp, more: Partial<Kernel> = {}): void => {
  verifyKernel(kernel(body, more), "scheduled");
  broken("final", kernel(body, more), message);
};
const load = (b: Buffer, ...index: readonly LoopExpr[]): E.Expr => loadOf(b, ...index) as E.Expr;
const splat = (x: LoopExpr, lanes = 4): LoopExpr => ({ kind: "splat", x, lanes, dtype: x.dtype });
const alloc = (b: Buffer, body: Stmt): Stmt => ({ kind: "alloc", buffer: b, body });
const reg = (shape: readonly number[], dtype: DType = "f32"): Buffer => buffer(9, "r", dtype, shape, "register");
const lane4 = ramp(at0);
const vector = load(A, lane4) as LoopExpr;
const less: LoopExpr = { kind: "binary", op: "lt", dtype: "bool", a: vector, b: vector };

test("sound kernels pass", () => {
  verifyKernel(scalarKernel(), "scheduled");
  verifyKernel(vectorKernel(), "scheduled");
  verifyKernel(vectorKernel(), "final");
  verifyKernel(kernel(block()), "final");
  const select: LoopExpr = { kind: "select", dtype: "f32", cond: less, a: vector, b: splat(E.constant("f32", 1)) };
  verifyKernel(kernel(storeTo(C, [lane4], select)), "final");
  verifyKernel(kernel(storeTo(B, [at0], load(I, at0))), "final");
  verifyKernel(kernel(storeTo(I, [at0], E.to("i32", load(B, at0)))), "final");
});

test("every body of a kernel is verified", () => {
  const fine: Stmt = storeTo(C, [at0], loadOf(A, at0));
  const variants = (body: Stmt): Partial<Kernel> => ({ variants: [{ lanes: 16, body }] });
  verifyKernel(kernel(fine, variants(fine)), "final");
  both(fine, /"i" is not bound/, variants(storeTo(C, [i], loadOf(A, at0))));
});
describe("names and buffers", () => {
  test("a name is taken", () => {
    both(loop("i", 4, loop("i", 4, block())), /the name "i" of a loop is taken/);
    both(
      block({ kind: "let", name: "x", value: i32(1), body: block() }, loop("x", 4, block())),
      /the name "x" of a loop/,
    );
    both(loop("N", 4, block()), /the name "N" of a loop/);
    both(alloc({ ...reg([]), name: "s" }, block()), /the name "s" of a local buffer/);
    both(
      loop("i", 4, block(), { pointers: [{ name: "i", buffer: A.id, init: at0, step: at0 }] }),
      /the name "i" of a pointer/,
    );
    both(block(), /the name "s" of a dim is taken/, { dims: [symbolId("s")] });
  });
  test("ids and scopes of buffers", () => {
    both(block(), /parameter "A": has the id 0 of another buffer/, { params: [A, A] });
    both(block(), /parameter "A" has scope register/, { params: [{ ...A, scope: "register" }] });
    both(alloc({ ...reg([]), scope: "arena" }, block()), /alloc "r": has scope arena/);
    both(storeTo(reg([]), [at0], E.constant("f32", 0)), /buffer #9 is not declared/);
    both(block(alloc(reg([]), block()), storeTo(reg([]), [at0], E.constant("f32", 0))), /buffer #9 is not declared/);
  });
  test("variables are bound, with their types", () => {
    both(storeTo(C, [i], E.constant("f32", 0)), /variable "i" is not bound/);
    both(block(loop("i", 4, block()), storeTo(C, [i], E.constant("f32", 0))), /variable "i" is not bound/);
    both(storeTo(C, [at0], E.neg(E.v("N", "f32"))), /variable "N" is f32x1 where it is used, but i32x1/);
    const wide: Stmt = { kind: "let", name: "x", value: vector, body: storeTo(C, [at0], E.v("x", "f32")) };
    both(wide, /variable "x" is f32x1 where it is used, but f32x4/);
  });
  test("mayOverlap names two parameters", () => {
    both(block(), /mayOverlap lists the pair 1, 1/, { mayOverlap: [[1, 1]] });
    both(block(), /mayOverlap lists the pair 0, 9/, { mayOverlap: [[0, 9]] });
  });
});

const i32 = (n: number): LoopExpr => E.i32(n);

describe("expressions", () => {
  const value = (e: LoopExpr, message: RegExp): void => both(storeTo(C, [at0], e), message);
  test("constants", () => {
    value({ kind: "const", dtype: "i64", value: 1 }, /a constant of i64 is a number/);
    value({ kind: "const", dtype: "f32", value: 1n }, /a constant of f32 is a bigint/);
    value({ kind: "const", dtype: "bool", value: 2 }, /a bool constant is 2/);
    value({ kind: "const", dtype: "i32", value: 0.5 }, /a constant of i32 is 0.5/);
  });
  test("operands agree", () => {
    const f = E.constant("f32", 1);
    value({ kind: "binary", op: "add", dtype: "f32", a: f, b: i32(1) }, /operands of .* are f32 and i32/);
    value(
      { kind: "mulAdd", rounding: "either", dtype: "f32", a: f, b: f, c: i32(1) },
      /operands of .* are f32 and f32 and i32/,
    );
    value(
      { kind: "select", dtype: "f32", cond: E.constant("bool", 1), a: f, b: i32(1) },
      /operands of .* are f32 and i32/,
    );
    value({ kind: "select", dtype: "f32", cond: i32(1), a: f, b: f }, /needs a bool condition, not i32/);
    value({ kind: "binary", op: "add", dtype: "i32", a: f, b: f }, /is marked i32, not f32/);
    value({ kind: "binary", op: "lt", dtype: "f32", a: f, b: f }, /is marked f32, not bool/);
    value({ kind: "binary", op: "and", dtype: "f32", a: f, b: f }, /needs bool, not f32/);
    value({ kind: "binary", op: "shl", dtype: "f32", a: f, b: f }, /needs integers, not f32/);
    value(
      { kind: "binary", op: "mul", dtype: "bool", a: E.constant("bool", 1), b: E.constant("bool", 1) },
      /needs numbers, not bool/,
    );
    value({ kind: "unary", op: "not", dtype: "bool", x: f }, /needs bool, not f32/);
    value({ kind: "unary", op: "bitnot", dtype: "f32", x: f }, /needs an integer, not f32/);
    value({ kind: "unary", op: "sqrt", dtype: "i32", x: i32(1) }, /needs a float, not i32/);
    value({ kind: "unary", op: "neg", dtype: "bool", x: E.constant("bool", 1) }, /needs a number, not bool/);
    value({ kind: "unary", op: "isnan", dtype: "f32", x: f }, /is marked f32, not bool/);
    value({ kind: "bitcast", dtype: "f32", x: E.constant("f64", 1) }, /needs 4 bytes, not f64/);
    value({ kind: "splat", dtype: "i32", x: f, lanes: 4 }, /is marked i32, not f32/);
    value({ kind: "table", dtype: "f32", values: [], index: i32(0) }, /an empty table/);
    value({ kind: "table", dtype: "f32", values: [1], index: f }, /needs an i32 index, not f32/);
    value({ ...ramp(at0), base: f }, /needs an i32 base, not f32/);
  });
  test("loads fit their buffers", () => {
    value({ kind: "load", dtype: "f32", buffer: bufferId(99), index: [at0] }, /buffer #99 is not declared/);
    value(load(A, at0, at0, at0), /3 indices into "A" of rank 2/);
    value({ ...(load(A, at0) as E.Load<E.Expr>), dtype: "i32" }, /A\[0\].* is marked i32, not f32/);
    value(load(A, E.constant("f32", 0)), /index 0.0 of "A" is f32, not i32/);
    value({ ...(load(A, at0) as E.Load<E.Expr>), via: "p" }, /pointer "p" is not bound/);
    const via: LoopExpr = { kind: "load", dtype: "f32", buffer: A.id, index: [at0], via: "p" };
    const into = (b: Buffer): Stmt =>
      loop("i", 4, storeTo(C, [at0], via), { pointers: [{ name: "p", buffer: b.id, init: at0, step: at0 }] });
    verifyKernel(kernel(into(A)), "final");
    both(into(C), /pointer "p" points into another buffer than "A"/);
    both(block(into(A), storeTo(C, [at0], via)), /pointer "p" is not bound/);
  });
  test("lanes agree", () => {
    value({ kind: "binary", op: "add", dtype: "f32", a: vector, b: load(A, at0) }, /have 4 and 1 lanes/);
    value(splat(vector), /is made of a vector/);
    value(splat(load(A, at0), 1), /has 1 lanes/);
    value({ kind: "lanes", op: "sum", factor: 3, dtype: "f32", x: vector }, /reduces 4 lanes by 3/);
    value({ ...ramp(at0), stride: 0.5 }, /stride 0.5 of a ramp/);
    both(storeTo(C, [at0], vector), /stores 4 lanes at 1 places/);
    both(storeTo(C, [lane4], load(A, at0)), /stores 1 lanes at 4 places/);
  });
});

describe("statements", () => {
  test("loops", () => {
    both(loop("i", E.constant("f32", 4), block()), /the extent 4.0 is f32x1, not i32/);
    both(loop("i", ramp(at0), block()), /the extent .* is i32x4, not i32/);
    both(loop("i", 4, block(), { step: 0 }), /has step 0/);
    both(loop("i", i, block()), /variable "i" is not bound/);
    const pointer = (b: Buffer, init: LoopExpr): Stmt =>
      loop("i", 4, block(), { pointers: [{ name: "p", buffer: b.id, init, step: at0 }] });
    both(pointer(reg([]), at0), /pointer "p" is into buffer #9/);
    both(pointer(A, i), /variable "i" is not bound/);
    both(pointer(A, load(A, at0)), /the start of pointer "p" .* is f32x1/);
  });
  test("conditions", () => {
    both({ kind: "if", cond: i32(1), then: block() }, /the condition 1 is i32x1, not bool/);
    both({ kind: "while", cond: less, body: block() }, /the condition .* is boolx4, not bool/);
    both(
      { kind: "if", cond: E.constant("bool", 1), then: block(), otherwise: storeTo(C, [i], load(A, at0)) },
      /else.*variable "i" is not bound/,
    );
  });
  test("stores", () => {
    both(storeTo(C, [at0], i32(1)), /1 is i32, but the buffer f32/);
    both(storeTo(L, [at0], i32(1)), /1 is i32, but the buffer i64/);
    both(storeTo(I, [at0], load(B, at0)), /is u8, but the buffer i32/);
    both(storeTo(F, [at0], i32(1)), /is i32, but the buffer bool/);
    both(
      { ...(storeTo(C, [at0], load(A, at0)) as Stmt & { kind: "store" }), dtype: "i32" },
      /is marked i32 but the buffer f32/,
    );
  });
  test("a reduce does not get here", () => {
    const r = {
      kind: "reduce",
      dtype: "f32",
      axes: [],
      state: [],
      update: [],
      merge: null,
      result: E.constant("f32", 0),
    };
    both(storeTo(C, [at0], r as unknown as LoopExpr), /a reduce in a kernel/);
  });
});

describe("what a printer gets", () => {
  test("linear indices", () => {
    final(storeTo(C, [at0, at0], load(A, at0)), /has 2 indices into "C"/);
    final(storeTo(C, [at0], load(A, at0, at0)), /has 2 indices into "A"/);
    final(storeTo(C, [ramp(at0, 4, 2)], vector), /a vector index into "C" is no ramp of stride 1/);
    const gather: LoopExpr = { kind: "binary", op: "add", dtype: "i32", a: lane4, b: splat(i32(1)) };
    final(storeTo(C, [lane4], load(A, gather)), /a vector index into "A" is no ramp/);
    const via: LoopExpr = { kind: "load", dtype: "f32", buffer: A.id, index: [j], via: "p" };
    const pointers = [{ name: "p", buffer: A.id, init: at0, step: at0 }];
    final(loop("j", 4, storeTo(C, [at0], via), { pointers }), /an index relative to pointer "p" is not constant/);
  });
  test("element types", () => {
    const H = buffer(0, "H", "f16", [4], "arena");
    final(block(), /parameter "H": has elements of f16/, { params: [H] });
    final(block(), /scalar "s" is u8/, { scalars: [{ name: "s", dtype: "u8" }] });
    final(storeTo(B, [at0], E.add(load(B, at0), load(B, at0))), /B\[0\] in .* is u8/);
    final(storeTo(I, [at0], E.to("i32", E.to("i4", load(I, at0)))), /is i4/);
  });
  test("bitcasts", () => {
    const k = kernel(storeTo(L, [at0], E.bitcast<E.Expr>("i64", E.to("f64", load(A, at0)))));
    verifyKernel(k, "final");
    final(storeTo(B, [at0], E.bitcast<E.Expr>("u8", load(F, at0))), /is a bitcast from bool/);
  });
  test("parameters start at their pointer", () => {
    const moved = { ...A, storage: { ...dense(A.shape), offset: D.one } };
    final(block(), /the storage of parameter "A" has a root or an offset/, { params: [moved] });
    final(block(), /has a root or an offset/, { params: [{ ...A, storage: { ...dense(A.shape), root: C.id } }] });
  });
  test("vectors of four-byte types, masks only where a choice is made", () => {
    const of = (b: Buffer): LoopExpr => load(b, lane4);
    final(storeTo(L, [lane4], of(L)), /is a vector of i64/);
    final(storeTo(B, [lane4], of(B)), /stores a vector of u8/);
    final(storeTo(F, [lane4], less), /stores a vector of bool/);
    final({ kind: "let", name: "m", value: less, body: block() }, /let "m": holds a mask/);
    final(storeTo(I, [lane4], { kind: "cast", dtype: "i32", x: less }), /uses a mask as a value/);
    const equal: LoopExpr = { kind: "binary", op: "eq", dtype: "bool", a: less, b: less };
    final(
      storeTo(C, [lane4], { kind: "select", dtype: "f32", cond: equal, a: vector, b: vector }),
      /uses a mask as a value/,
    );
    final(
      storeTo(I, [lane4], { kind: "cast", dtype: "i32", x: { kind: "cast", dtype: "u32", x: vector } }),
      /converts a vector of f32 to u32/,
    );
    final(
      storeTo(C, [lane4], { kind: "table", dtype: "f32", values: [1], index: lane4 }),
      /a table with a vector index/,
    );
    const yes = splat(E.constant("bool", 1));
    final(
      storeTo(C, [lane4], { kind: "select", dtype: "f32", cond: yes, a: vector, b: vector }),
      /is a vector of bool/,
    );
  });
  test("register buffers are local variables", () => {
    const r = reg([4]);
    const init = (b: Buffer): Stmt => storeTo(b, [lane4], vector);
    verifyKernel(kernel(alloc(r, block(init(r), storeTo(C, [lane4], load(r, lane4))))), "final");
    final(alloc({ ...r, scope: "stack" }, block()), /alloc "r": has scope stack/);
    final(alloc(reg([4, 4]), block()), /is neither a scalar nor a vector/);
    final(alloc(buffer(9, "r", "f32", [N], "register"), block()), /is neither a scalar nor a vector/);
    final(alloc(buffer(9, "r", "f32", [N], "workgroup"), block()), /has no constant size/);
    final(alloc(r, storeTo(C, [lane4], load(r, lane4))), /register "r" is read before it is written/);
    final(alloc(r, storeTo(r, [at0], load(A, at0))), /register "r" is not accessed as a whole/);
    final(alloc(r, block(init(r), storeTo(C, [at0], load(r, at0)))), /register "r" is not accessed as a whole/);
    final(alloc(r, storeTo(r, [ramp(i32(4))], vector)), /register "r" is not accessed as a whole/);
    final(alloc(reg([]), storeTo(reg([]), [i32(1)], load(A, at0))), /register "r" is not accessed as a whole/);
  });
  test("loop kinds", () => {
    final(loop("i", 4, block(), { loop: "unroll" }), /is still unroll/);
    final(loop("i", 4, block(), { loop: "vector" }), /is still vector/);
    final(loop("i", E.v("N"), block(), { loop: "thread.x" }), /the workgroup size is not constant/);
    verifyKernel(kernel(loop("i", E.add(E.v("N"), 3), block(), { loop: "block.y" })), "final");
    final(
      loop("j", 4, loop("i", E.add(j, 3), block(), { loop: "block.x" })),
      /the grid depends on more than dims: j \+ 3/,
    );
    final(loop("i", load(I, at0), block(), { loop: "block.z" }), /the grid depends on more than dims/);
  });
});
