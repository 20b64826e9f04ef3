import { describe, expect, test } from "vitest";
import { InternalError } from "../../src/base/assert.ts";
import type { BufferId } from "../../src/base/brand.ts";
import * as D from "../../src/ir/dim.ts";
import * as E from "../../src/ir/expr.ts";
import type { Kernel } from "../../src/ir/loops.ts";
import type { Action, Call, MemoryPlan, Program } from "../../src/ir/program.ts";
import { type Buffer, dense } from "../../src/ir/storage.ts";
import { tensorOf } from "../../src/ir/types.ts";
import { verifyProgram } from "../../src/ir/verify.ts";
import { wgslInfo } from "../../targets/wgsl/info.ts";
import { block, buffer, bufferId, loop, M, N, sampleProgram, symbolId } from "./samples.ts";

const p = sampleProgram();
const named = (name: string): Buffer => [...p.buffers.values()].find((b) => b.name === name)!;
const call = (
  kernel: number,
  args: readonly (string | BufferId)[],
  dims: readonly D.Dim[] = [N],
  scalars: readonly D.Dim[] = [],
): Action<Call> => ({
  kind: "call",
  call: { kernel, args: args.map((a) => (typeof a === "string" ? named(a).id : a)), dims, scalars },
});
function broken(more: Partial<Program>, message: RegExp): void {
  const q = { ...p, ...more };
  expect(() => verifyProgram(q)).toThrow(InternalError);
  expect(() => verifyProgram(q)).toThrow(message);
}
const runs = (run: readonly Action<Call>[], message: RegExp): void => broken({ run }, message);
const placed = (plan: Partial<MemoryPlan>, message: RegExp): void => broken({ plan: { ...p.plan, ...plan } }, message);
function place(
  name: string,
  at: Partial<{ region: "arena" | "weights" | "prepared" | "heap" | "io"; offset: D.Dim }>,
): MemoryPlan["offsets"] {
  const id = named(name).id;
  return new Map([...p.plan.offsets, [id, { ...p.plan.offsets.get(id)!, ...at }]]);
}
const withBuffers = (...more: readonly Buffer[]): Program["buffers"] =>
  new Map([...p.buffers, ...more.map((b) => [b.id, b] as const)]);

test("a sound program passes", () => {
  verifyProgram(p);
  verifyProgram({ ...p, plan: { ...p.plan, offsets: new Map() } }, undefined, "scheduled");
});

test("tables", () => {
  broken({ buffers: withBuffers(buffer(20, "r", "f32", [], "register", dense([]))) }, /buffer "r" has scope register/);
  broken({ buffers: withBuffers(buffer(20, "b", "f32", [], "arena")) }, /buffer "b" has no storage/);
  broken(
    { buffers: withBuffers(buffer(20, "b", "f32", [], "weights", dense([]))) },
    /buffer "b" of the weights has no constant/,
  );
  broken({ constants: new Map([[named("w").id, tensorOf("f32", [1], [0])]]) }, /has 4 bytes but "w" 512/);
  broken({ kernels: [...p.kernels, p.kernels[0]!] }, /two kernels are named "copy"/);
  const bad: Kernel = { ...p.kernels[0]!, name: "bad", body: loop("i", 4, block(), { loop: "unroll" }) };
  broken({ kernels: [...p.kernels, bad] }, /kernel "bad": loop "i": is still unroll/);
  verifyProgram({ ...p, kernels: [...p.kernels, bad] }, undefined, "scheduled");
});

test("bindings", () => {
  const [b] = p.bindings;
  broken({ bindings: [{ ...b!, id: symbolId("Q") }] }, /binding of "Q": is of a symbol that does not exist/);
  broken({ bindings: [b!, { ...b!, id: symbolId("M") }] }, /binding of "M": is of a symbol that has a definition/);
  broken({ bindings: [b!, b!] }, /binds it twice/);
  broken({ bindings: [{ ...b!, axis: 1 }] }, /input 0 has no such dim at axis 1/);
  broken({ bindings: [{ ...b!, input: 3 }] }, /input 3 has no such dim at axis 0/);
  broken({ bindings: [] }, /input "x": symbol "N" of N is not bound/);
  const y = { ...named("y"), shape: [M, D.int(64)], storage: dense([M, D.int(64)]) };
  broken({ buffers: withBuffers(y), run: [] }, /output "out": symbol "M" of M is not bound/);
});

describe("calls", () => {
  test("name kernels and fit them", () => {
    runs([call(7, [])], /run: action 0: calls kernel 7 of 2/);
    runs([call(0, ["x"])], /has 1 arguments, not 2/);
    runs([call(0, ["x", "flag"])], /argument 1 "C": is "flag" of bool, not f32/);
    runs([call(0, ["x", "count"])], /argument 1 "C": is "count" of i64/);
    runs([call(0, ["x", bufferId(99)])], /argument 1 "C": is buffer #99/);
    runs([call(0, ["x", "mid"], [])], /has 0 dims, not 1/);
    runs([call(0, ["x", "mid"], [M])], /symbol "M" of M is not bound/);
    runs([call(0, ["x", "mid"], [N], [N])], /has 1 scalars, not 0/);
    runs([call(0, ["ready", "mid"], [D.int(3)])], /argument 0 "A": is "ready", whose dim 0 is 2, not N/);
    const flat = buffer(20, "flat", "f32", [64], "arena", dense([D.int(64)]));
    broken({ buffers: withBuffers(flat), run: [call(0, ["x", flat.id])] }, /is "flat" of rank 1, not 2/);
    const shape = [N, D.int(64)];
    const pitched = buffer(20, "pitched", "f32", shape, "arena", { ...dense(shape), strides: [D.int(80), D.one] });
    broken(
      { buffers: withBuffers(pitched), run: [call(0, ["x", pitched.id])] },
      /is "pitched", whose stride 0 is 80, not 64/,
    );
    const blocked = buffer(20, "blocked", "f32", shape, "arena", {
      ...dense(shape),
      blocks: [{ axis: 1, by: 4, stride: D.one }],
    });
    broken({ buffers: withBuffers(blocked), run: [call(0, ["x", blocked.id])] }, /which has other blocks/);
  });
  test("store 64-bit integers as 32-bit ones where the target has none", () => {
    const [copy, count] = p.kernels as [Kernel, Kernel];
    const narrow: Kernel = {
      ...count,
      params: count.params.map((b) => (b.dtype === "i64" ? { ...b, dtype: "i32" } : b)),
      body: block(),
    };
    verifyProgram({ ...p, kernels: [copy, narrow] }, wgslInfo);
    broken({ kernels: [copy, narrow] }, /argument 1 "n": is "count" of i64, not i32/);
  });
  test("write only what may be written", () => {
    broken({ init: [call(0, ["ready", "w"], [D.int(2)])] }, /writes "w", a constant/);
    runs([call(0, ["w", "ready"], [D.int(2)])], /writes "ready", a prepared buffer, in run/);
    const part = buffer(20, "part", "f32", [2, 64], "weights", {
      ...dense([D.int(2), D.int(64)]),
      root: named("w").id,
    });
    broken({ buffers: withBuffers(part), init: [call(0, ["ready", part.id], [D.int(2)])] }, /writes "w", a constant/);
  });
  test("init knows no dims", () => {
    broken(
      { init: [call(0, ["w", "ready"], [N])] },
      /init: action 0: call of kernel "copy": symbol "N" of N is not bound/,
    );
  });
});

describe("actions", () => {
  test("heap buffers are reserved while in use", () => {
    const dim: Action<Call> = { kind: "dim", id: symbolId("M"), from: { value: D.int(2) }, min: 0, max: 9 };
    const found = named("found").id;
    const use = call(0, ["ready", "found"], [D.int(2)]);
    const reserve: Action<Call> = { kind: "reserve", buffer: found };
    const release: Action<Call> = { kind: "release", buffer: found };
    verifyProgram({ ...p, run: [dim, reserve, use, release] });
    runs([dim, use], /uses "found", which is not reserved here/);
    runs([dim, reserve, release, use], /uses "found", which is not reserved here/);
    runs(
      [dim, { kind: "if", cond: named("flag").id, then: [reserve], otherwise: [] }, use],
      /uses "found", which is not reserved here/,
    );
  });
  test("derived symbols are bound by an action", () => {
    const symbols = [...p.symbols, { id: symbolId("K"), min: 0, max: null, def: D.add(N, D.one) }];
    broken({ symbols, run: [call(1, ["x", "count", "flag"], [N], [D.sym("K")])] }, /symbol "K" of K is not bound/);
    const dim: Action<Call> = { kind: "dim", id: symbolId("K"), from: { value: D.add(N, D.one) }, min: 0, max: null };
    verifyProgram({ ...p, symbols, run: [dim, call(1, ["x", "count", "flag"], [N], [D.sym("K")])] });
  });
});

describe("the plan", () => {
  test("has a place for what is used", () => {
    const without = (name: string): MemoryPlan["offsets"] =>
      new Map([...p.plan.offsets].filter(([id]) => id !== named(name).id));
    placed({ offsets: without("mid") }, /uses "mid", whose memory "mid" has no place in the plan/);
    placed({ offsets: without("x") }, /port "x" has no place in the plan/);
    placed({ offsets: without("count") }, /uses "count"/);
    placed({ offsets: without("flag") }, /uses "flag"/);
    placed(
      { offsets: new Map([...p.plan.offsets, [bufferId(99), { region: "arena", offset: D.zero }]]) },
      /places buffer #99/,
    );
    const part = buffer(20, "part", "f32", [N, 64], "arena", { ...dense([N, D.int(64)]), root: named("mid").id });
    const offsets = new Map([...p.plan.offsets, [part.id, { region: "arena", offset: D.zero } as const]]);
    broken(
      { buffers: withBuffers(part), plan: { ...p.plan, offsets } },
      /buffer "part": has a place of its own and a root/,
    );
  });
  test("keeps scopes in their regions, at known places", () => {
    placed({ offsets: place("mid", { region: "weights" }) }, /of scope arena lies in region weights/);
    placed({ offsets: place("ready", { offset: N }) }, /of prepared lies at N, which depends on dims/);
    placed({ offsets: place("w", { offset: D.int(2) }) }, /of f32 lies at byte 2/);
    placed({ offsets: place("w", { offset: D.int(256) }) }, /ends 256 bytes after its region/);
    placed({ offsets: place("mid", { offset: D.sym("Q") }) }, /symbol "Q" of Q is not bound/);
    placed({ offsets: place("mid", { offset: M }) }, /symbol "M" of M is not bound/);
    placed({ offsets: place("found", { offset: D.zero }) }, /lies at 0, which is no symbol for reserve/);
  });
  test("binds its lets in order", () => {
    placed(
      {
        lets: [
          { id: symbolId("$end"), value: D.sym("$b") },
          { id: symbolId("$b"), value: N },
        ],
      },
      /let "\$end": symbol "\$b" of \$b is not bound/,
    );
    placed({ lets: [{ id: symbolId("N"), value: D.one }] }, /let "N": is bound already/);
    placed({ sizes: { ...p.plan.sizes, arena: M } }, /sizes: symbol "M" of M is not bound/);
  });
});

describe("parameters that share memory are listed", () => {
  const shape = [N, D.int(64)];
  const rooted = (id: number, offset: D.Dim, root: BufferId = named("mid").id): Buffer =>
    buffer(id, `part${id}`, "f32", shape, "arena", { ...dense(shape), root, offset });
  const share = /parameters 0 and 1 share memory, which mayOverlap does not list/;
  test("one buffer twice", () => {
    runs([call(0, ["mid", "mid"])], share);
    const kernels = p.kernels.map((k) => ({ ...k, mayOverlap: k.name === "copy" ? [[1, 0] as const] : [] }));
    verifyProgram({ ...p, kernels, run: [call(0, ["mid", "mid"])] });
  });
  test("a part and its whole, two parts of one place", () => {
    const a = rooted(20, D.zero);
    const b = rooted(21, D.zero, a.id);
    const buffers = withBuffers(a, b);
    broken({ buffers, run: [call(0, ["mid", a.id])] }, share);
    broken({ buffers, run: [call(0, [b.id, "mid"])] }, share);
    broken({ buffers, run: [call(0, [b.id, a.id])] }, share);
    const far = rooted(22, D.mul(N, D.int(64)));
    verifyProgram({ ...p, buffers: withBuffers(a, far), run: [call(0, [a.id, far.id])] });
  });
  test("parts of known ranges", () => {
    const fixed = (id: number, offset: number): Buffer =>
      buffer(id, `f${id}`, "f32", [2, 64], "arena", {
        ...dense([D.int(2), D.int(64)]),
        root: named("mid").id,
        offset: D.int(offset),
      });
    const buffers = withBuffers(fixed(20, 0), fixed(21, 127), fixed(22, 128));
    broken({ buffers, run: [call(0, [bufferId(20), bufferId(21)], [D.int(2)])] }, share);
    broken({ buffers, run: [call(0, [bufferId(21), bufferId(20)], [D.int(2)])] }, share);
    verifyProgram({ ...p, buffers, run: [call(0, [bufferId(20), bufferId(22)], [D.int(2)])] });
  });
  test("two buffers at one place of the plan", () => {
    broken({ plan: { ...p.plan, offsets: place("y", { offset: D.zero }) }, run: [call(0, ["mid", "y"])] }, share);
  });
  test("nothing is shared by empty buffers", () => {
    const none = dense([D.zero, D.int(64)]);
    const a = buffer(20, "a", "f32", [0, 64], "arena", { ...none, root: named("mid").id });
    const kernel: Kernel = {
      ...p.kernels[0]!,
      name: "none",
      params: [buffer(0, "A", "f32", [0, 64], "arena"), buffer(1, "C", "f32", shape, "arena")],
      body: block(),
    };
    verifyProgram({ ...p, buffers: withBuffers(a), kernels: [...p.kernels, kernel], run: [call(2, [a.id, "mid"])] });
  });
});

test("messages say where", () => {
  const inner = call(0, ["x", "mid"], [E.toDim(E.v("Q"))!]);
  runs(
    [{ kind: "loop", trip: null, cond: named("flag").id, counter: symbolId("$c"), swap: [], body: [inner] }],
    /^program "net": run: action 0: loop "\$c": action 0: call of kernel "copy": symbol "Q"/,
  );
});
