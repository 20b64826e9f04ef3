// Artifacts in linear memory as their users meet them: files, types, loading, inputs, outputs, mistakes.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LoadOptions, Model } from "../../runtime/linear.ts";
import * as D from "../../src/ir/dim.ts";
import { binary, cast, i32, v } from "../../src/ir/expr.ts";
import type { LoopExpr } from "../../src/ir/loops.ts";
import type { Program } from "../../src/ir/program.ts";
import type { DType } from "../../src/ir/types.ts";
import { tensorOf } from "../../src/ir/types.ts";
import { targets } from "../../targets/index.ts";
import { Draft, linearMemory, loadOf, loop, N, n, store } from "./programs/draft.ts";

const dir = mkdtempSync(join(tmpdir(), "ingot-linear-"));
afterAll(() => rmSync(dir, { recursive: true }));

/** y[i, j] = x[i, j] + w[j] with N in 1..64, k = the seed + i64s[0], and every element of `flags` negated. */
function sample(): Program {
  const d = new Draft("sample");
  const rows = d.dimOf(0, "N", 1, 64);
  const x = d.input("x", "f32", [rows, n(3)]);
  const many = d.input("i64s", "i64", [D.mul(rows, n(2))]);
  const flags = d.input("flags", "bool", [n(2)]);
  const w = d.constant("w", tensorOf("f32", [3], [0.5, 1, 2]));
  const y = d.output("y", "f32", [rows, n(3)]);
  const k = d.output("k", "i64", []);
  const not = d.output("not", "bool", [n(2)]);
  const add = d.kernel(
    "add",
    (kd) => {
      const [kx, kw, ky] = [
        kd.param("x", "f32", [N, n(3)]),
        kd.param("w", "f32", [n(3)]),
        kd.param("y", "f32", [N, n(3)]),
      ];
      const at = binary<LoopExpr>("add", binary<LoopExpr>("mul", v("i"), i32(3)), v("j"));
      return loop(
        "i",
        v("N"),
        loop("j", i32(3), store(ky, at, binary<LoopExpr>("add", loadOf(kx, at), loadOf(kw, v("j"))))),
      );
    },
    { dims: ["N"] },
  );
  const first = d.kernel(
    "first",
    (kd) => {
      const [km, kk] = [kd.param("m", "i64", [n(1)]), kd.param("k", "i64", [])];
      return store(kk, i32(0), binary<LoopExpr>("add", loadOf(km, i32(0)), cast<LoopExpr>("i64", v("seed"))));
    },
    { scalars: [{ name: "seed", dtype: "i32" }] },
  );
  const negate = d.kernel("negate", (kd) => {
    const [kf, kn] = [kd.param("f", "bool", [n(2)]), kd.param("n", "bool", [n(2)])];
    return loop("i", i32(2), store(kn, v("i"), { kind: "unary", op: "not", dtype: "bool", x: loadOf(kf, v("i")) }));
  });
  d.run.push(
    d.call(add, [x, w, y]),
    d.call(first, [many, k], { scalars: [D.sym("$seed")] }),
    d.call(negate, [flags, not]),
  );
  return d.build(linearMemory);
}

/** Writes an artifact and imports it. */
async function artifact(p: Program, target: string, name: string, weights: "embed" | "file") {
  const { files } = await targets.get(target)!.emit(p, { name, weights, strict: false });
  for (const f of files) writeFileSync(join(dir, f.path), f.bytes);
  const module: { load: (o?: LoadOptions) => Promise<Model> } = await import(
    /* @vite-ignore */ pathToFileURL(join(dir, `${name}.mjs`)).href
  );
  return { files, load: module.load };
}
const f32 = (...values: number[]): Float32Array => Float32Array.from(values);
const good = { x: f32(1, 2, 3), i64s: [5n, 6n], flags: [true, false] };

test("the loader is at most 6 KB, and evaluates no text", () => {
  const file = "dist/runtime/linear.min.js";
  expect(statSync(file).size).toBeLessThanOrEqual(6144);
  expect(readFileSync(file, "utf8")).not.toMatch(/\beval\b|\bFunction\b|blob:|import\((?!"node:fs\/promises"\))/);
});

describe.each([
  ["wasm", "embed"],
  ["wasm", "file"],
  ["js", "embed"],
  ["js", "file"],
] as const)("%s artifact, weights %s", (target, weights) => {
  const name = `m-${target}-${weights}`;
  let a: Awaited<ReturnType<typeof artifact>>;
  let model: Model;
  beforeAll(async () => {
    a = await artifact(sample(), target, name, weights);
    model = await a.load();
  });

  test("has the files that it should", () => {
    const want = [
      ".mjs",
      ".d.ts",
      ".d.mts",
      ...(target === "wasm" ? [".wasm"] : []),
      ...(weights === "file" ? [".weights"] : []),
    ];
    expect(a.files.map((f) => f.path)).toEqual(want.map((s) => name + s));
  });
  test("two compiles are byte-identical", async () => {
    const again = await targets.get(target)!.emit(sample(), { name, weights, strict: false });
    expect(again.files).toEqual(a.files);
  });
  test("describes its ports", () => {
    expect(model.inputs).toEqual([
      { name: "x", type: "float", dims: ["N", 3] },
      { name: "i64s", type: "int64", dims: ["2*N"] },
      { name: "flags", type: "bool", dims: [2] },
    ]);
    expect(model.outputs.map((o) => o.dims)).toEqual([["N", 3], [], [2]]);
  });
  test("runs, again and again, with other dims and seeds", async () => {
    expect(await model.run(good)).toEqual({
      y: { data: f32(1.5, 3, 5), dims: [1, 3], type: "float" },
      k: { data: BigInt64Array.of(5n), dims: [], type: "int64" },
      not: { data: Uint8Array.of(0, 1), dims: [2], type: "bool" },
    });
    const two = {
      x: { data: [1, 2, 3, 4, 5, 6], dims: [2, 3] },
      i64s: { data: [-1, 2, 3, 4], dims: [4] },
      flags: Uint8Array.of(0, 0),
    };
    expect((await model.run(two, { seed: 3 })).y!.data).toEqual(f32(1.5, 3, 5, 4.5, 6, 8));
    expect(model.runSync(two, { seed: 3 }).k!.data).toEqual(BigInt64Array.of(2n));
    const many = { ...good, x: new Float32Array(64 * 3).fill(1), i64s: new BigInt64Array(128) };
    expect(model.runSync(many).y!.data.length).toBe(192);
    expect(model.runSync(good).y!.data).toEqual(f32(1.5, 3, 5));
  });
  test("writes into given arrays, also larger ones", () => {
    const out = { y: new Float32Array(4).fill(9), k: new BigInt64Array(1) };
    const r = model.runSync(good, { out });
    expect([out.y, out.k]).toEqual([f32(1.5, 3, 5, 9), BigInt64Array.of(5n)]);
    expect(r.k!.data).toBe(out.k);
    expect(r.y!.data).toEqual(f32(1.5, 3, 5));
    expect(r.y!.data.buffer).toBe(out.y.buffer);
  });
  test("gives views when asked, else copies", () => {
    const { y } = model.runSync(good);
    const { y: view } = model.runSync({ ...good, x: f32(7, 7, 7) }, { view: true });
    expect([[...y!.data], [...view!.data]]).toEqual([
      [1.5, 3, 5],
      [7.5, 8, 9],
    ]);
    expect(view!.data.buffer.byteLength).toBeGreaterThanOrEqual(65536);
    model.runSync(good);
    expect([...view!.data]).toEqual([1.5, 3, 5]);
  });
  test.each([
    [{ ...good, z: [1] }, 'unknown input "z": expected "x", "i64s", "flags"'],
    [{ x: good.x, flags: good.flags }, 'input "i64s" is missing: expected int64 [2*N]'],
    [
      { ...good, x: new Float64Array(3) },
      'input "x": expected Float32Array (float) or an array of numbers, got Float64Array',
    ],
    [{ ...good, x: null }, 'input "x": expected Float32Array (float) or an array of numbers, got Null'],
    [{ ...good, x: "abc" }, 'input "x": expected Float32Array (float) or an array of numbers, got String'],
    [{ ...good, x: ["1", 2, 3] }, 'input "x": element 0 is 1, which is no float'],
    [{ ...good, i64s: [1.5, 2] }, 'input "i64s": element 0 is 1.5, which is no int64'],
    [{ ...good, flags: [1, 300] }, 'input "flags": element 1 is 300, which is no bool'],
    [{ ...good, x: f32(1, 2, 3, 4) }, 'input "x": 4 elements do not fill dims [N, 3]'],
    [{ ...good, x: new Float32Array(0) }, 'input "x": dim 0 (N) is 0, expected 1 to 64'],
    [{ ...good, x: new Float32Array(65 * 3) }, 'input "x": dim 0 (N) is 65, expected 1 to 64'],
    [{ ...good, x: { data: good.x, dims: [3, 1] } }, 'input "x": expected dims [N, 3], got [3, 1]'],
    [{ ...good, x: { data: good.x, dims: [3] } }, 'input "x": expected dims [N, 3], got [3]'],
    [{ ...good, x: { data: good.x, dims: [-1, 3] } }, 'input "x": dims must be integers'],
    [{ ...good, x: { data: good.x, dims: [2, 3] } }, 'input "x": 3 elements do not fill dims [2, 3]'],
    [{ ...good, i64s: [1, 2, 3] }, 'input "i64s": expected dims [2] (2*N), got 3 elements'],
    [{ ...good, i64s: { data: [1, 2, 3], dims: [3] } }, 'input "i64s": expected dims [2] (2*N), got [3]'],
    [{ ...good, flags: [1] }, 'input "flags": expected dims [2] (2), got 1 elements'],
    [null, "expected an object of inputs by name"],
  ])("says what is wrong with an input: %#", async (inputs, message) => {
    expect(() => model.runSync(inputs as never)).toThrow(message);
    await expect(model.run(inputs as never)).rejects.toThrow(message);
    expect(model.runSync(good).y!.data).toEqual(f32(1.5, 3, 5));
  });
  test("says what is wrong with an out array before it runs", () => {
    const view = model.runSync(good, { view: true }).y!.data;
    const other = { ...good, x: f32(8, 8, 8) };
    expect(() => model.runSync(other, { out: { q: view } })).toThrow('unknown output "q": expected "y", "k", "not"');
    expect(() => model.runSync(other, { out: { y: new Int32Array(3) } })).toThrow(
      'out "y": expected Float32Array (float), got Int32Array',
    );
    expect(() => model.runSync(other, { out: { y: f32(0, 0) } })).toThrow(
      'out "y": expected room for 3 elements [1, 3], got 2',
    );
    expect([...view]).toEqual([1.5, 3, 5]);
  });
  test("does not run once disposed; another instance does", async () => {
    const second = await a.load();
    second.dispose();
    expect(() => second.runSync(good)).toThrow("is disposed");
    expect(model.runSync(good).y!.data).toEqual(f32(1.5, 3, 5));
  });
});

describe("sources", () => {
  let load: (o?: LoadOptions) => Promise<Model>;
  let wasm: Uint8Array<ArrayBuffer>;
  let weights: Uint8Array<ArrayBuffer>;
  beforeAll(async () => {
    ({ load } = await artifact(sample(), "wasm", "src", "file"));
    wasm = new Uint8Array(readFileSync(join(dir, "src.wasm")));
    weights = new Uint8Array(readFileSync(join(dir, "src.weights")));
  });
  const runs = async (o: LoadOptions): Promise<void> => {
    expect((await load(o)).runSync(good).y!.data).toEqual(f32(1.5, 3, 5));
  };
  const data = (b: Uint8Array, type: string): string => `data:${type};base64,${Buffer.from(b).toString("base64")}`;

  test("bytes, buffers, modules, responses, URLs", async () => {
    await runs({ wasm, weights });
    await runs({ wasm: wasm.buffer, weights: new DataView(weights.buffer) });
    await runs({ wasm: await WebAssembly.compile(wasm) });
    await runs({ wasm: new Response(wasm), weights: Promise.resolve(new Response(weights)) });
    await runs({ wasm: new Response(wasm, { headers: { "content-type": "application/wasm" } }) });
    await runs({ wasm: pathToFileURL(join(dir, "src.wasm")), weights: pathToFileURL(join(dir, "src.weights")).href });
    await runs({ wasm: data(wasm, "application/wasm"), weights: new URL(data(weights, "application/octet-stream")) });
  });
  test("weights of another size, and sources that are none", async () => {
    await expect(load({ weights: weights.subarray(1) })).rejects.toThrow(
      `the weights have ${weights.length - 1} bytes, expected ${weights.length}`,
    );
    await expect(load({ weights: new Response(new Uint8Array(9999)) })).rejects.toThrow("the weights have 9999 bytes");
    await expect(load({ weights: pathToFileURL(join(dir, "src.wasm")) })).rejects.toThrow(/the weights have \d+ bytes/);
    await expect(load({ weights: 5 as never })).rejects.toThrow("expected bytes, a URL or a Response, got Number");
    await expect(load({ wasm: pathToFileURL(join(dir, "none.wasm")) })).rejects.toThrow(/ENOENT/);
  });
});

test("dims follow from lengths through other inputs, or are asked for", async () => {
  const d = new Draft("dims");
  const [a, b] = [d.dimOf(0, "A"), d.dimOf(1, "batch size")];
  const x = d.input("x", "f32", [a, b]);
  d.input("y", "f32", [a]);
  const z = d.output("z", "f32", [b, a]);
  const k = d.kernel(
    "fill",
    (kd) =>
      loop("i", v("n"), store(kd.param("z", "f32", [D.sym("n")]), v("i"), { kind: "const", dtype: "f32", value: 1 })),
    { dims: ["n"] },
  );
  d.run.push(d.call(k, [z], { dims: [D.mul(a, b)] }));
  const { load } = await artifact(d.build(linearMemory), "wasm", "dims", "embed");
  const model = await load();
  expect(model.runSync({ x: new Float32Array(6), y: f32(1, 2) }).z!.dims).toEqual([3, 2]);
  expect(model.runSync({ x: { data: new Float32Array(6), dims: [1, 6] }, y: f32(1) }).z!.dims).toEqual([6, 1]);
  expect(() =>
    model.runSync({ x: { data: new Float32Array(6), dims: [1, 6] }, y: { data: f32(1, 2), dims: [2] } }),
  ).toThrow('input "y": dim 0 (A) is 2, but A is 1 elsewhere');
  expect(() => model.runSync({ x: { data: new Float32Array(6), dims: [1, 6] }, y: f32(1, 2) })).toThrow(
    'input "y": expected dims [1] (A), got 2 elements',
  );
  void x;

  const e = new Draft("open");
  const [p, q] = [e.dimOf(0, "P"), e.dimOf(1, "Q")];
  const u = e.input("u", "f32", [p, q]);
  e.expose("u again", u);
  const open = await (await artifact(e.build(linearMemory), "wasm", "open", "embed")).load();
  expect(() => open.runSync({ u: new Float32Array(6) })).toThrow(
    'input "u": dims [P, Q] do not follow from the length: give {data, dims}',
  );
  expect(open.runSync({ u: { data: new Float32Array(6), dims: [2, 3] } })["u again"]!.dims).toEqual([2, 3]);
  expect(() => open.runSync({ u: { data: { length: 2 ** 40 }, dims: [2 ** 20, 2 ** 20] } as never })).toThrow(
    'input "u": expected Float32Array',
  );
});

test("every element type has its array", async () => {
  const classes: [
    DType,
    string,
    { from: (x: number[]) => ArrayLike<number> } | { of: (...x: bigint[]) => ArrayLike<bigint> },
  ][] = [
    ["f32", "float", Float32Array],
    ["f64", "double", Float64Array],
    ["f16", "float16", Uint16Array],
    ["bf16", "bfloat16", Uint16Array],
    ["i64", "int64", BigInt64Array],
    ["u64", "uint64", BigUint64Array],
    ["i32", "int32", Int32Array],
    ["u32", "uint32", Uint32Array],
    ["i16", "int16", Int16Array],
    ["u16", "uint16", Uint16Array],
    ["i8", "int8", Int8Array],
    ["u8", "uint8", Uint8Array],
    ["bool", "bool", Uint8Array],
    ["i4", "int4", Int8Array],
    ["u4", "uint4", Uint8Array],
    ["i2", "int2", Int8Array],
    ["u2", "uint2", Uint8Array],
    ["f8e4m3fn", "float8e4m3fn", Uint8Array],
    ["f4e2m1", "float4e2m1", Uint8Array],
  ];
  const d = new Draft("types");
  for (const [dtype, type] of classes) d.expose(`out ${type}`, d.input(type, dtype, [n(2)]));
  const model = await (await artifact(d.build(linearMemory), "wasm", "types", "embed")).load();
  const inputs = Object.fromEntries(classes.map(([, type]) => [type, [0, 1]]));
  const out = model.runSync(inputs);
  for (const [, type, C] of classes) {
    expect(out[`out ${type}`]).toEqual({
      data: "of" in C && /64$/.test(type) ? C.of(0n as never, 1n as never) : (C as typeof Float32Array).from([0, 1]),
      dims: [2],
      type,
    });
  }
  const clamped = { ...inputs, uint8: Uint8ClampedArray.of(3, 255) };
  expect(model.runSync(clamped)["out uint8"]!.data).toEqual(Uint8Array.of(3, 255));
});

test("the declarations name inputs and outputs literally", async () => {
  await artifact(sample(), "wasm", "typed", "file");
  const use = (body: string): string => {
    writeFileSync(join(dir, "use.ts"), `import { load } from "./typed.mjs";\nconst m = await load();\n${body}\n`);
    const options = [
      "--noEmit",
      "--strict",
      "--target",
      "es2022",
      "--module",
      "nodenext",
      "--lib",
      "es2023,dom",
      "--types",
      "",
      "use.ts",
    ];
    writeFileSync(join(dir, "package.json"), '{"type":"module"}');
    return spawnSync(process.execPath, [join(process.cwd(), "node_modules/typescript/bin/tsc"), ...options], {
      cwd: dir,
      encoding: "utf8",
    }).stdout;
  };
  expect(
    use(`const r = await m.run({ x: new Float32Array(3), i64s: [1n, 2], flags: { data: [true, 0], dims: [2] } }, { out: { y: new Float32Array(3) } });
const y: Float32Array = r.y.data; const three: 3 = r.y.dims[1]; const k: bigint = r.k.data[0]!; const t: "int64" = r.k.type;
const first: "x" = m.inputs[0].name; const N: "N" = m.inputs[0].dims[0]; m.runSync({ x: [1], i64s: [1], flags: [1] }, { seed: 1, view: true }); m.dispose();`),
  ).toBe("");
  expect(use("m.runSync({ x: new Float64Array(3), i64s: [1], flags: [1] });")).toMatch(/Float64Array/);
  expect(use("m.runSync({ x: [1], flags: [1] });")).toMatch(/i64s/);
  expect(use("m.runSync({ x: { data: [1], dims: [1, 4] }, i64s: [1], flags: [1] });")).toMatch(
    /'4' is not assignable to type '3'/,
  );
}, 60_000);
