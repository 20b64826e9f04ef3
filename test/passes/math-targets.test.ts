// What expand-storage and decompose-math make means the same to the bit on every CPU target, in lanes and alone: kernels through
// the wasm, js and C printers against the evaluator of these tests.
import { describe, expect, test } from "vitest";
import { decomposeMath } from "../../passes/loops/decompose-math.ts";
import { expandStorage } from "../../passes/loops/expand-storage.ts";
import { isNarrowFloat } from "../../passes/loops/expand-storage-floats.ts";
import { finishKernel } from "../../passes/loops/index.ts";
import { link } from "../../runtime/linear.ts";
import * as E from "../../src/ir/expr.ts";
import type { LoopExpr, Stmt } from "../../src/ir/loops.ts";
import type { Program } from "../../src/ir/program.ts";
import type { TargetInfo } from "../../src/ir/target.ts";
import { type DType, dtypes, elementBytes, type Tensor, tensorOf, typedView } from "../../src/ir/types.ts";
import { runC } from "../../targets/c/harness.ts";
import { cInfo, cTarget } from "../../targets/c/index.ts";
import { Instance } from "../../targets/js/evaluate.ts";
import { jsTarget } from "../../targets/js/index.ts";
import { manifestOf } from "../../targets/loader/manifest.ts";
import { wasmModule, wasmTarget } from "../../targets/wasm/index.ts";
import { wgslInfo } from "../../targets/wgsl/info.ts";
import { need, needGpu } from "../need.ts";
import { expectRun, gpuModel } from "../targets/gpu.ts";
import { Draft, loadOf, loop, n, store } from "../targets/programs/draft.ts";
import { compileStore } from "./math-eval.ts";

/** out[i] = f(inputs[i]...) for every element, `lanes` at a time. */
type Job = {
  readonly name: string;
  readonly inputs: readonly Tensor[];
  readonly out: DType;
  readonly f: (...xs: LoopExpr[]) => LoopExpr;
};
const count = 2048;
const math: readonly E.UnaryOp[] = ["exp", "log", "sin", "cos", "tanh", "erf"];

/** Numbers of every kind: all exponents, and the range where most functions are not constant. */
function numbers(dtype: "f32" | "f64", from: number): Tensor {
  const special = [0, -0, 1, -1, Infinity, -Infinity, Number.NaN, 2 ** -149, 1.5, -2];
  const values = Array.from({ length: count }, (_, i) => {
    if (i < special.length) return special[i]!;
    const t = ((i * 0.6180339887498949 + from) % 1) * 2 - 1;
    return i % 2 === 0 ? t * 12 : Math.sign(t) * 10 ** (((i * 0.7548776662466927) % 1) * 80 - 41);
  });
  return tensorOf(dtype, [count], values);
}
function mathJobs(dtype: "f32" | "f64"): Job[] {
  const [x, y] = [numbers(dtype, 0), numbers(dtype, 0.3)];
  const unary = math.map((op): Job => ({ name: op, inputs: [x], out: dtype, f: (a) => E.unary(op, a!) }));
  return [...unary, { name: "pow", inputs: [x, y], out: dtype, f: (a, b) => E.binary("pow", a!, b!) }];
}
function storageJobs(): Job[] {
  const x = numbers("f32", 0.1);
  const patterns = (d: DType): Tensor =>
    tensorOf(
      d,
      [count],
      Array.from({ length: count }, (_, i) =>
        elementBytes(d) === 2 ? (i * 32 + (i % 32)) & 0xffff : i & (d === "f4e2m1" ? 15 : 255),
      ),
    );
  const floats = dtypes.filter(isNarrowFloat).flatMap((d): Job[] => [
    { name: `f32 to ${d}`, inputs: [x], out: d, f: (a) => E.cast(d, a!) },
    { name: `${d} to f32`, inputs: [patterns(d)], out: "f32", f: (a) => E.cast("f32", a!) },
    { name: `-${d}`, inputs: [patterns(d)], out: d, f: (a) => E.unary("neg", a!) },
  ]);
  const bytes = (d: DType): Tensor =>
    tensorOf(
      d,
      [count],
      Array.from({ length: count }, (_, i) => i * 37),
    );
  const ints = (["i8", "u8", "i16", "u16"] as const).flatMap((d): Job[] => [
    { name: `f32 to ${d}`, inputs: [x], out: d, f: (a) => E.cast(d, a!) },
    { name: `${d} + ${d}`, inputs: [bytes(d)], out: "i32", f: (a) => E.cast("i32", E.binary<LoopExpr>("add", a!, a!)) },
    { name: `${d} * ${d}`, inputs: [bytes(d)], out: d, f: (a) => E.binary("mul", a!, a!) },
  ]);
  return [
    ...floats,
    ...ints,
    { name: "f64 to f16", inputs: [numbers("f64", 0)], out: "f16", f: (a) => E.cast("f16", a!) },
  ];
}

function programOf(jobs: readonly Job[], lanes: number, info: TargetInfo): Program {
  const target = { ...info, natives: new Set([...info.natives].filter((op) => !math.includes(op))) };
  const d = new Draft("jobs");
  jobs.forEach((job, j) => {
    const shape = [n(count)];
    const ins = job.inputs.map((t, i) => d.input(`x${j}_${i}`, t.dtype, shape));
    const out = d.output(`y${j}`, job.out, shape);
    const k = d.kernel(`k${j}`, (kd) => {
      const params = ins.map((b) => kd.param(b.name, b.dtype, shape));
      const result = kd.param(out.name, out.dtype, shape);
      const v = E.v("i");
      const at: LoopExpr = lanes === 1 ? v : { kind: "ramp", base: v, stride: 1, lanes, dtype: "i32" };
      return loop("i", E.i32(count), store(result, at, job.f(...params.map((p) => loadOf(p, at)))), lanes);
    });
    d.kernels[k] = finishKernel(d.kernels[k]!, target, () => null);
    d.run.push(d.call(k, [...ins, out]));
  });
  return d.build({ ...info, ioInArena: info.ioInArena });
}
/** What the expanded and decomposed kernels of one lane compute, each `either` rounded twice. */
function expected(jobs: readonly Job[]): Tensor[] {
  return jobs.map((job) => {
    const d = new Draft("job");
    const shape = [n(count)];
    const params = job.inputs.map((t, i) => d.buffer(`x${i}`, t.dtype, shape, "io"));
    const out = d.buffer("y", job.out, shape, "io");
    const body: Stmt = store(out, E.v("i"), job.f(...params.map((p) => loadOf(p, E.v("i")))));
    const k = expandStorage(
      { name: "k", params: [...params, out], scalars: [], dims: [], mayOverlap: [], body },
      jsTarget.info,
    );
    const { value } = compileStore(decomposeMath(k.body, { ...jsTarget.info, natives: new Set() }));
    const cells = Object.fromEntries(params.map((p, i) => [p.id, typedView(p.dtype, job.inputs[i]!.bytes)]));
    const bytes = new Uint8Array(count * elementBytes(job.out));
    const view = typedView(job.out, bytes);
    for (let i = 0; i < count; i++) view[i] = value({ i }, cells) as never;
    return { dtype: job.out, dims: [count], bytes };
  });
}
function differences(jobs: readonly Job[], got: (name: string) => Tensor): string[] {
  return expected(jobs).flatMap((want, j) => {
    const [a, b] = [typedView(want.dtype, got(`y${j}`).bytes), typedView(want.dtype, want.bytes)];
    return Array.from(b as ArrayLike<number>).flatMap((w, i) => {
      if (Object.is(a[i], w)) return [];
      const args = jobs[j]!.inputs.map((t) => typedView(t.dtype, t.bytes)[i]);
      return [`${jobs[j]!.name} (${args.join(", ")}): ${a[i]}, not ${w}`];
    });
  });
}
const inputsOf = (jobs: readonly Job[]): [string, Tensor][] =>
  jobs.flatMap((job, j) => job.inputs.map((t, i): [string, Tensor] => [`x${j}_${i}`, t]));

const suites: readonly (readonly [name: string, jobs: readonly Job[], lanes: number])[] = [
  ["f32 alone", mathJobs("f32"), 1],
  ["f32 in four lanes", mathJobs("f32"), 4],
  ["f64", mathJobs("f64"), 1],
  ["storage", storageJobs(), 1],
];
describe.each(suites)("%s", (_, jobs, lanes) => {
  test("wasm", async () => {
    const p = programOf(jobs, lanes, wasmTarget.info);
    const model = await link(
      manifestOf(p, "t", "module"),
      {},
    )({ wasm: (await wasmModule(p, { weights: "embed" })) as BufferSource });
    const inputs = Object.fromEntries(
      inputsOf(jobs).map(([k, t]) => [k, { data: typedView(t.dtype, t.bytes), dims: t.dims }]),
    );
    const outputs = model.runSync(inputs, {});
    const bytesOf = (name: string): Uint8Array => {
      const { buffer, byteOffset, byteLength } = outputs[name]!.data;
      return new Uint8Array(buffer, byteOffset, byteLength);
    };
    expect(differences(jobs, (name) => ({ dtype: "u8", dims: [], bytes: bytesOf(name) })).slice(0, 10)).toEqual([]);
  });
  test.skipIf(lanes > 1)("js", () => {
    const outputs = new Instance(programOf(jobs, lanes, jsTarget.info), { strict: true }).run(
      new Map(inputsOf(jobs)),
      0,
    );
    expect(differences(jobs, (name) => outputs.get(name)!).slice(0, 10)).toEqual([]);
  });
  test.skipIf(!need("gcc"))("C", async () => {
    const p = programOf(jobs, lanes, cInfo());
    const { files } = await cTarget.emit(p, { name: "m", weights: "embed", strict: true });
    const flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O2", "-march=native"];
    const outputs = await runC(p, files, { name: "m", inputs: Object.fromEntries(inputsOf(jobs)), cc: "gcc", flags });
    expect(differences(jobs, (name) => outputs[name]!).slice(0, 10)).toEqual([]);
  });
});

const gpu = await needGpu();
/** WGSL may flush denormals, also those on the way to a result near them. */
const tiny = (x: number): boolean => x !== 0 && Math.abs(x) < 2 ** -120;
describe.skipIf(gpu === null)("wgsl", () => {
  test("f32", async () => {
    const jobs = mathJobs("f32");
    const m = await gpuModel(gpu!, programOf(jobs, 1, wgslInfo));
    try {
      const want = Object.fromEntries(expected(jobs).map((t, j) => [`y${j}`, t]));
      // Where products and sums are contracted the last bits differ.
      await expectRun(m, Object.fromEntries(inputsOf(jobs)), want, {
        ulps: 3,
        ignore: (name, i, y) => {
          const job = jobs[Number(name.slice(1))]!;
          return tiny(y) || job.inputs.some((t) => tiny(typedView(t.dtype, t.bytes)[i] as number));
        },
      });
    } finally {
      m.dispose();
    }
  });
});
