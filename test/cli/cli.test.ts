import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, test, vi } from "vitest";
import { readNpz } from "../../src/base/npz.ts";
import { tensorOf } from "../../src/ir/types.ts";
import { need } from "../need.ts";
import { folder, ingot, ingotJson, npzOf } from "./command.ts";
import { addOne, awkward, bytesOf } from "./models.ts";

const dir = folder();
const model = dir.write("add one.onnx", bytesOf(addOne));
const odd = dir.write("odd.onnx", bytesOf(awkward));
const f32 = tensorOf.bind(null, "f32");
const inputs = dir.write(
  "in.npz",
  npzOf({ in_x: f32([3, 2], [1, 2, 3, 4, 5, 6]), out_0: f32([3, 2], [2, 3, 4, 5, 6, 7]) }),
);

describe("compile", () => {
  test("one target: its files in DIR, as the report says", async () => {
    const r = await ingotJson("compile", model, "-t", "wasm", "-o", dir.path("one"), "--dim", "N=3");
    expect(r.exit).toBe(0);
    const t = r.targets.wasm!;
    expect(t.files!.map((f) => f.path).sort()).toEqual(
      readdirSync(dir.path("one"))
        .map((f) => dir.path(`one/${f}`))
        .sort(),
    );
    expect(readdirSync(dir.path("one"))).toContain("add_one.wasm");
    for (const f of t.files!) expect(readFileSync(f.path).length).toBe(f.bytes);
    const shipped = t.files!.filter((f) => f.role !== "types").reduce((n, f) => n + f.bytes, 0);
    expect(t.code_bytes).toBe(shipped - t.weight_bytes!);
    expect(t.loader_bytes).toBeLessThanOrEqual(6144);
    expect(t.arena_bytes).toBeGreaterThanOrEqual(t.arena_lower_bound!);
  });

  test("several targets: a folder each; open dims have no arena size yet", async () => {
    for (const list of [
      ["-t", "wasm", "-t", "c"],
      ["-t", "wasm,c"],
      ["-t", "wasm", "c"],
    ]) {
      const r = await ingotJson("compile", model, ...list, "-o", dir.path("two"), "--name", "m");
      expect(Object.keys(r.targets)).toEqual(["wasm", "c"]);
      expect(r.targets.wasm!.arena_bytes).toBe(null);
      expect(r.targets.c!.files!.map((f) => f.path)).toEqual([dir.path("two/c/m.c"), dir.path("two/c/m.h")]);
      expect(existsSync(dir.path("two/wasm/m.mjs"))).toBe(true);
    }
  });

  test("sizes are the same wherever the weights are", async () => {
    const big = dir.write(
      "big.onnx",
      bytesOf({
        ...addOne,
        initializers: { one: tensorOf("f32", [1000, 1, 2], new Array(2000).fill(1)) },
        outputs: ["y"],
      }),
    );
    for (const target of ["wasm", "c", "js", "wgsl"]) {
      const of = async (weights: string) =>
        (await ingotJson("compile", big, "-t", target, "-o", dir.path("w"), "--weights", weights)).targets[target]!;
      const [embed, file] = [await of("embed"), await of("file")];
      expect(embed.weight_bytes).toBe(file.weight_bytes);
      expect(embed.weight_bytes).toBeGreaterThanOrEqual(8000);
      expect(Math.abs(embed.code_bytes! - file.code_bytes!), target).toBeLessThan(400);
      expect(file.files!.find((f) => f.role === "weights")!.bytes).toBe(file.weight_bytes);
    }
  });

  test("two compilations give the same bytes", async () => {
    const all = ["-t", "wasm,c,js,wgsl"];
    const first = await ingotJson("compile", odd, ...all, "-o", dir.path("d1"));
    await ingotJson("compile", odd, ...all, "-o", dir.path("d2"));
    for (const f of Object.values(first.targets).flatMap((t) => t.files!))
      expect(readFileSync(f.path).equals(readFileSync(f.path.replace("/d1/", "/d2/"))), f.path).toBe(true);
  });

  test("nothing is left of files that cannot be written", async () => {
    const r = await ingotJson("compile", model, "-t", "wasm", "-o", dir.write("file", new Uint8Array()));
    expect(r.exit).toBe(2);
    expect(r.diagnostics.map((d) => d.code)).toEqual(["E502"]);
    expect(readdirSync(dir.path(".")).filter((f) => f.endsWith(".tmp"))).toEqual([]);
  });

  test("--dump writes the IR after each pass, --verify-ir passes", async () => {
    const r = await ingot("compile", model, "-t", "js", "-o", dir.path("x"), "--dump", dir.path("dump"), "--verify-ir");
    expect(r.exit).toBe(0);
    const files = readdirSync(dir.path("dump")).sort();
    expect(files[0]).toBe("00-import.g.ir");
    expect(files.every((f, i) => f.startsWith(`${String(i).padStart(2, "0")}-`) && f.endsWith(".ir"))).toBe(true);
    expect(files.at(-1)).toMatch(/\.js\.p\.ir$/);
    expect(readFileSync(dir.path("dump/00-import.g.ir"), "utf8")).toContain("Add");
  });

  test("a name that could leave the folder is refused", async () => {
    const r = await ingotJson("compile", model, "-t", "js", "-o", dir.path("x"), "--name", "../evil");
    expect(r.diagnostics.map((d) => d.code)).toEqual(["E501"]);
  });
});

describe("dims", () => {
  test("inspect lists every symbol", async () => {
    const r = await ingotJson("inspect", odd);
    expect(r.dims).toEqual([
      { name: "n=m", min: 1, max: null, axes: ["a/b:0"] },
      { name: "a/b:2", min: 1, max: null, axes: ["a/b:2"] },
      { name: "constructor:0", min: 1, max: null, axes: ["constructor:0"] },
    ]);
  });
  test("the last = splits; dims without a name are INPUT:AXIS", async () => {
    const r = await ingotJson(
      "inspect",
      odd,
      "-t",
      "js",
      "--dim",
      "n=m=3",
      "--dim",
      "a/b:2=48",
      "--dim",
      "constructor:0=2..9",
    );
    expect(r.exit).toBe(0);
    expect(r.inputs).toEqual([
      { name: "a/b", dtype: "float32", shape: [3, 2, 48] },
      { name: "constructor", dtype: "int64", shape: ["constructor:0"] },
    ]);
    expect(r.dims).toEqual([{ name: "constructor:0", min: 2, max: 9, axes: ["constructor:0"] }]);
  });
  test("an unknown symbol is an error that lists the known ones", async () => {
    const r = await ingotJson("inspect", model, "--dim", "M=3");
    expect(r.exit).toBe(2);
    expect(r.diagnostics[0]).toMatchObject({ code: "E301", hint: "its dims: N" });
  });
  test.each(["N", "=3", "N=", "N=-1", "N=1..", "N=1.5", "N=x"])("--dim %s is wrong usage", async (text) => {
    const r = await ingotJson("inspect", model, "--dim", text);
    expect(r.diagnostics.map((d) => d.code)).toEqual(["E501"]);
  });
  test("a symbol cannot be given twice, nor bounds that hold nothing", async () => {
    expect((await ingotJson("inspect", model, "--dim", "N=1", "--dim", "N=2")).exit).toBe(2);
    expect((await ingotJson("inspect", model, "--dim", "N=5..2")).diagnostics[0]!.code).toBe("E302");
  });
});

describe("run", () => {
  test.each(["wasm", "js", "c"].filter((t) => t !== "c" || need("cc")))("on %s", async (target) => {
    const [a, b] = [dir.path(`${target}1.npz`), dir.path(`${target}2.npz`)];
    const r = await ingotJson("run", model, "-t", target, "--inputs", inputs, "-o", a);
    expect(r.exit).toBe(0);
    expect(r.output).toBe(a);
    expect(r.targets[target]!.outputs).toEqual({ y: { dtype: "float32", shape: [3, 2] } });
    expect(readNpz(readFileSync(a))).toEqual([{ name: "y", ...f32([3, 2], [2, 3, 4, 5, 6, 7]) }]);
    expect((await ingot("run", model, "-t", target, "--inputs", inputs, "-o", b, "--dim", "N=3")).exit).toBe(0);
    expect(readFileSync(a).equals(readFileSync(b))).toBe(true);
  });
  test("outputs stand in the order of the graph, with | for /", async () => {
    const given = dir.write(
      "odd.npz",
      npzOf({ "a|b": f32([1, 2, 1], [1, 2]), in_constructor: tensorOf("i64", [2], [-1, 2]) }),
    );
    const r = await ingot("run", odd, "-t", "js", "--inputs", given, "-o", dir.path("o.npz"));
    expect(r).toMatchObject({ exit: 0, err: "" });
    expect(readNpz(readFileSync(dir.path("o.npz")))).toEqual([
      { name: "out|0", ...f32([1, 2, 1], [-1, -2]) },
      { name: "__proto__1", ...tensorOf("i64", [2], [1, 2]) },
    ]);
  });
  test("missing inputs, all in one message", async () => {
    const r = await ingotJson("run", odd, "-t", "js", "-o", dir.path("o.npz"));
    expect(r.exit).toBe(2);
    expect(r.diagnostics.map((d) => d.code)).toEqual(["E401", "E401"]);
  });
  test("one target only", async () => {
    expect((await ingotJson("run", model, "-t", "js,wasm", "--inputs", inputs, "-o", "x")).diagnostics[0]!.code).toBe(
      "E501",
    );
  });
});

describe("verify", () => {
  test("made-up inputs against the js target", async () => {
    const r = await ingotJson("verify", odd, "-t", "wasm,js");
    expect(r.exit).toBe(0);
    expect(r.targets.wasm!.outputs!["out/0"]).toMatchObject({ shape: [1, 2, 16], pass: true, mismatches: 0 });
  });
  test("one file is inputs and expected outputs", async () => {
    const r = await ingotJson("verify", model, "-t", "js", "--inputs", inputs, "--expect", inputs);
    expect(r).toMatchObject({ exit: 0, diagnostics: [] });
  });
  test("a difference fails with status 1", async () => {
    const wrong = dir.write("wrong.npz", npzOf({ y: f32([3, 2], [2, 3, 4, 5, 6, 7.01]) }));
    const r = await ingotJson("verify", model, "-t", "wasm", "--inputs", inputs, "--expect", wrong);
    expect(r.exit).toBe(1);
    expect(r.targets.wasm).toMatchObject({ status: "failed", outputs: { y: { pass: false, mismatches: 1 } } });
    expect(r.targets.wasm!.outputs!.y!.max_abs).toBeCloseTo(0.01, 4);
    expect(
      (await ingot("verify", model, "-t", "wasm", "--inputs", inputs, "--expect", wrong, "--rtol", "0.01")).exit,
    ).toBe(0);
    expect(
      (await ingot("verify", model, "-t", "wasm", "--inputs", inputs, "--expect", wrong, "--atol", "0.02")).exit,
    ).toBe(0);
  });
  test("--elementwise: each element's own magnitude counts", async () => {
    const near = dir.write("near.npz", npzOf({ y: f32([3, 2], [2.0005, 3, 4, 5, 6, 7]) }));
    const check = (...more: string[]) =>
      ingot("verify", model, "-t", "js", "--inputs", inputs, "--expect", near, ...more);
    expect((await check()).exit).toBe(0);
    expect((await check("--elementwise")).exit).toBe(1);
  });
  test("--expect alone is wrong usage", async () => {
    expect((await ingotJson("verify", model, "--expect", inputs)).diagnostics[0]!.code).toBe("E501");
  });
  test("without a C compiler c is unavailable and the others run", async () => {
    vi.stubEnv("CC", "/no/such/compiler");
    const r = await ingotJson("verify", model, "-t", "c", "-t", "js");
    vi.unstubAllEnvs();
    expect(r.exit).toBe(3);
    expect(r.targets.c!.status).toBe("unavailable");
    expect(r.targets.js!.status).toBe("ok");
  });
});

describe("inspect", () => {
  test("digits", async () => {
    const digits = new URL("../../examples/digits/digits.onnx", import.meta.url).pathname;
    const r = await ingotJson("inspect", digits, "-t", "js,wasm", "--dim", "N=2");
    expect(r).toMatchObject({
      exit: 0,
      inputs: [{ name: "image", dtype: "float32", shape: [2, 1, 8, 8] }],
      opset: { "ai.onnx": 17 },
      ops: { Conv: 2, Relu: 2 },
      // 8*8*16*9 and 8*8*32*16*9 of the convolutions, and the last layer.
      macs: 2 * (9216 + 294912 + 32 * 4 * 4 * 10),
      targets: { js: { status: "ok" }, wasm: { status: "ok" } },
    });
  });
  test("MACs over open dims are a formula", async () => {
    const m = dir.write(
      "mm.onnx",
      bytesOf({
        inputs: { a: ["f32", ["N", 4]], b: ["f32", [4, 5]] },
        outputs: ["y"],
        nodes: [{ op: "MatMul", inputs: ["a", "b"], outputs: ["y"] }],
      }),
    );
    expect(await ingotJson("inspect", m, "-t", "js")).toMatchObject({ macs: null, macs_formula: "20*N" });
  });
  test("an operator that is not supported: the rest is said all the same", async () => {
    const bad = dir.write(
      "bad.onnx",
      bytesOf({ ...addOne, nodes: [...addOne.nodes, { op: "Nonsense", inputs: ["y"], outputs: ["z"] }] }),
    );
    const r = await ingotJson("inspect", bad);
    expect(r.exit).toBe(2);
    expect(r).toMatchObject({ inputs: [{ name: "x" }], ops: { Add: 1, Nonsense: 1 }, dims: [{ name: "N" }] });
    expect(r.targets.wasm).toMatchObject({ status: "unsupported", reason: expect.stringContaining("E201") });
  });
  test("a target that does not support a model is an answer", async () => {
    const double = dir.write(
      "f64.onnx",
      bytesOf({ inputs: { x: ["f64", [2]] }, outputs: ["y"], nodes: [{ op: "Neg", inputs: ["x"], outputs: ["y"] }] }),
    );
    const r = await ingotJson("inspect", double, "-t", "js,wgsl");
    expect(r).toMatchObject({ exit: 0, targets: { js: { status: "ok" }, wgsl: { status: "unsupported" } } });
    expect((await ingotJson("compile", double, "-t", "js,wgsl", "-o", dir.path("f64"))).exit).toBe(2);
    expect(existsSync(dir.path("f64/js/f64.mjs"))).toBe(true);
  });
});

describe("bench", () => {
  test("alternates between targets", async () => {
    const r = await ingotJson("bench", model, "-t", need("cc") ? "wasm,js,c" : "wasm,js", "--seconds", "0.05");
    expect(r.exit).toBe(0);
    for (const t of Object.values(r.targets)) {
      expect(t.median_ms).toBeGreaterThan(0);
      expect(t.runs).toBeGreaterThan(2);
    }
  });
  test("a peer that is not installed: status 3, and the command that installs it", async () => {
    const r = await ingotJson("bench", model, "--seconds", "0.05", "--vs", "onnxruntime-web");
    expect(r.targets.wasm!.median_ms).toBeGreaterThan(0);
    if (r.exit === 0) expect(r.ratios!["wasm/onnxruntime-web"]).toBeGreaterThan(0);
    else {
      expect(r.exit).toBe(3);
      expect(r.peers!["onnxruntime-web"]!.reason).toContain("npm install onnxruntime-web@1.30.0");
    }
  });
});

describe("usage", () => {
  test.each([
    [[], null],
    [["frobnicate", "x"], null],
    [["compile"], "compile"],
    [["compile", "m.onnx", "-t", "js"], "compile"],
    [["compile", "m.onnx", "-o", "x"], "compile"],
    [["verify", "a.onnx", "b.onnx"], "verify"],
    [["verify", "m.onnx", "--rtol", "x"], "verify"],
    [["verify", "m.onnx", "-t", "fortran"], "verify"],
    [["bench", "m.onnx", "--seconds", "0"], "bench"],
    [["bench", "m.onnx", "--vs", "torch"], "bench"],
    [["inspect", "m.onnx", "--frobnicate"], "inspect"],
    [["compile", "m.onnx", "-t", "js", "-o", "x", "--weights", "somewhere"], "compile"],
    [["compile", "m.onnx", "-t", "js", "-o", "x", "--math", "fast"], "compile"],
  ])("%j", async (argv, command) => {
    const r = await ingotJson(...argv);
    expect(r).toMatchObject({ exit: 2, command });
    expect(r.diagnostics.map((d) => d.code)).toEqual(["E501"]);
    const human = await ingot(...argv);
    expect(human).toMatchObject({ exit: 2, out: "" });
    expect(human.err).toContain("E501");
  });
  test("help and version are no failures", async () => {
    expect(await ingot("--help")).toMatchObject({ exit: 0, out: expect.stringContaining("verify"), err: "" });
    expect(await ingot("compile", "--help")).toMatchObject({ exit: 0, out: expect.stringContaining("--dim") });
    expect((await ingot("--version")).out).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect((await ingotJson("compile", "--help")).exit).toBe(0);
  });
});
