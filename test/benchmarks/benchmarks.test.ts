// The benchmarks, as far as they run without a registry. Nothing here depends on how long anything takes.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { emxMain } from "../../benchmarks/c-main.ts";
import { open } from "../../benchmarks/child.ts";
import { contenders, peerNames } from "../../benchmarks/contenders.ts";
import { opInputs, ops } from "../../benchmarks/ops.ts";
import { parse } from "../../benchmarks/options.ts";
import { peakProgram } from "../../benchmarks/peak.ts";
import { caseLine, digits, geometricMean, ratioToRivals, report, roofline } from "../../benchmarks/report.ts";
import type { CaseResult, Results, Side } from "../../benchmarks/results.ts";
import { toTe } from "../../passes/te/to-te.ts";
import { writeNpz } from "../../src/base/npz.ts";
import { macsOf } from "../../src/inspect.ts";
import * as D from "../../src/ir/dim.ts";
import { modelBytes } from "../../src/onnx/export.ts";
import { peerNames as nodePeers } from "../../src/run/peers.ts";
import { compileFor, prepare } from "../../src/run/targets.ts";
import { need } from "../need.ts";

describe("operators", () => {
  const products: Readonly<Record<string, number>> = {
    "matmul-512": 512 ** 3,
    "conv3x3-64": 64 * 64 * 9 * 56 * 56,
    "conv1x1-256": 256 * 256 * 28 * 28,
    "conv3x3-512": 512 * 512 * 9 * 7 * 7,
    "conv7x7-s2": 64 * 3 * 49 * 112 * 112,
    "depthwise3x3-144": 144 * 9 * 56 * 56,
    "matmul-bias": 128 * 384 * 1536,
    "gemm-1": 1024 * 1000,
  };
  test.each(ops)("$name compiles, and its data are no zeros", async ({ name, model }) => {
    const spec = model();
    const prepared = await prepare(modelBytes(spec), {});
    const macs = D.known(macsOf(toTe(prepared.front.graph).actions));
    if (products[name] !== undefined) expect(macs).toBe(products[name]);
    const { report: r } = await compileFor(prepared, "wasm", []);
    expect([r.status, r.reason]).toEqual(["ok", undefined]);
    for (const t of [...Object.values(opInputs(spec)), ...Object.values(spec.initializers ?? {})]) {
      const cells = new Float32Array(t.bytes.buffer, t.bytes.byteOffset, t.bytes.length / 4);
      expect(new Set(cells.subarray(0, 64)).size).toBeGreaterThan(32);
    }
  });
  test("there are eleven", () => {
    expect(new Set(ops.map((o) => o.name)).size).toBe(11);
  });
});

describe("contenders", () => {
  test("our wasm and C run in processes of their own, and agree", async () => {
    const op = ops.find((o) => o.name === "layernorm")!;
    const spec = op.model();
    const folder = mkdtempSync(join(tmpdir(), "ingot-bench-"));
    try {
      const subject = { ...op, kind: "op" as const, model: join(folder, "op.onnx"), inputs: join(folder, "in.npz") };
      writeFileSync(subject.model, modelBytes(spec));
      writeFileSync(
        subject.inputs,
        writeNpz(Object.entries(opInputs(spec)).map(([n, t]) => ({ ...t, name: `in_${n}` }))),
      );
      const sums: number[] = [];
      for (const side of need("cc") ? (["wasm", "c"] as const) : (["wasm"] as const)) {
        const made = await contenders.get(side)!.make(subject, join(folder, side));
        expect(made.build!.code).toBeGreaterThan(0);
        const c = await open(made.launch);
        expect((await c.round(1)).every((ms) => ms > 0)).toBe(true);
        expect((await c.round(1)).length).toBeGreaterThan(0);
        sums.push(c.start.check!);
        await c.close();
      }
      for (const s of sums) expect(Math.abs(s / sums[0]! - 1)).toBeLessThan(1e-5);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
  test("one that dies says how", async () => {
    const dies = open({ command: process.execPath, args: ["-e", "throw new RangeError('too far')"] });
    await expect(dies).rejects.toThrow("it stops with 1: RangeError: too far");
    const refuses = open({ command: process.execPath, args: ["-e", 'console.log(\'{"error":"no such operator"}\')'] });
    await expect(refuses).rejects.toThrow("no such operator");
  });
  test.each(["wasm", "c"] as const)("the peak of %s", async (side) => {
    if (side === "c" && !need("cc")) return;
    const roof = await open<{ flops: number; kernel: string }>(await peakProgram(side));
    expect(roof.start.flops).toBeGreaterThan(1e6);
    expect((await roof.round(1)).length).toBeGreaterThan(0);
    await roof.close();
  });
  test("emx-onnx-cgen's signature", () => {
    const code = "void model(const float x[restrict 2][3], const int64_t ids[4], float y[restrict 2][5]) {\n}\n";
    const main = emxMain(code);
    expect(main).toContain('p[1] = read_file("in_1.bin", sizeof(int64_t) * 4);');
    expect(main).toContain("p[2] = allocate(sizeof(float) * 10);");
    expect(main).toContain("model(p[0], p[1], p[2]);");
    expect(() => emxMain("void model(const float *x, idx_t n) {\n}\n")).toThrow("another form");
  });
  test("one process opens onnxruntime-node first", () => {
    expect(nodePeers.indexOf("onnxruntime-node")).toBeLessThan(nodePeers.indexOf("onnxruntime-web"));
  });
});

describe("options", () => {
  test("a full run writes to benchmarks/, a part of it elsewhere", () => {
    const full = parse([])!;
    expect([full.out, full.ops.length, full.peers, full.targets]).toEqual(["benchmarks", 11, null, ["wasm", "c"]]);
    expect(full.models).toContain("random_resnet50");
    expect(full.models).not.toContain("light_resnet50");
    expect(parse(["--seconds", "2"])!.out).toBe("benchmarks");
    expect(parse(["--quick"])!.out).not.toBe("benchmarks");
    expect(parse(["--peers", "iree"])!.out).not.toBe("benchmarks");
    expect(parse(["--ops", "gelu", "--out", "x"])!.out).toBe("x");
  });
  test("--ops alone leaves out the models, --models the operators", () => {
    expect(parse(["--ops", "gelu,softmax"])).toMatchObject({ ops: ["gelu", "softmax"], models: [] });
    expect(parse(["--models", "rapidocr_cls", "--quick"])).toMatchObject({ ops: [], models: ["rapidocr_cls"] });
    expect(parse(["--ops", "gelu", "--quick"])).toMatchObject({ ops: ["gelu"], models: [], seconds: 0.3 });
    expect(parse(["--ops", "gelu", "--models", "mtcnn_pnet"])).toMatchObject({ ops: ["gelu"], models: ["mtcnn_pnet"] });
  });
  test.each([
    [["--ops", "gemm-2"], "unknown gemm-2"],
    [["--targets", "js"], "unknown js"],
    [["--peers", "tvm"], peerNames.join(", ")],
    [["--seconds", "0"], '--seconds cannot be "0"'],
    [["--fast"], "--fast"],
  ])("%j is refused", (args, message) => {
    expect(() => parse(args)).toThrow(message);
  });
  test("--help", () => expect(parse(["--help"])).toBeNull());
});

const timing = (medianMs: number) => ({ medianMs, minMs: medianMs, runs: 10 });
const start = (check: number) => ({ version: "1.2", loadMs: 8, firstMs: 6, peakBytes: 2 ** 26, check });
const op: CaseResult = {
  name: "matmul-512",
  about: "MatMul 512x512x512",
  kind: "op",
  macs: 134_217_728,
  peak: { wasm: 60, c: 120 },
  busy: 1.02,
  entries: {
    wasm: {
      build: {
        compileMs: 500,
        code: 2048,
        weights: 2 ** 20,
        arena: 2 ** 21,
        arenaLowerBound: 2 ** 20,
        unfusedBound: 2 ** 22,
      },
      start: start(100),
      timing: timing(5),
    },
    "onnxruntime-web": { start: start(100.1), timing: timing(10) },
    c: { build: { compileMs: 300, ccMs: 200 }, start: start(100), timing: timing(2) },
    onnxruntime: { start: start(100), timing: timing(4) },
    openvino: { start: start(120), timing: timing(3) },
    iree: { reason: "no module" },
  },
};
const small: CaseResult = {
  ...op,
  name: "tiny",
  kind: "model",
  macs: 18,
  busy: 1.9,
  entries: { wasm: { start: start(1), timing: timing(0.002) }, "onnxruntime-web": { timing: timing(1) } },
};
const float: CaseResult = { ...op, name: "net", kind: "model" };
const int8: CaseResult = { ...float, name: "net_int8" };
const results: Results = {
  machine: {
    cpu: "CPU",
    cores: 2,
    memoryGb: 24,
    system: "Linux",
    node: "v20",
    cc: "gcc 12",
    python: "3.11",
    ingot: "abc",
    date: "2026-01-02",
  },
  seconds: 1,
  peaks: { wasm: { gflops: 60, kernel: "12 accumulators" } },
  peers: { "onnxruntime-web": "wasm", onnxruntime: "c", openvino: "c", iree: "c" } satisfies Record<string, Side>,
  cases: [op, small, float, int8],
};

describe("report", () => {
  const files = report(results);
  const text = files.get("RESULTS.md")!;
  const rows = text.split("\n");

  test("ratios are the peer's time over ours", () => {
    expect(ratioToRivals(op, "wasm")).toBe(2);
    expect(ratioToRivals(op, "c")).toBe(1.5);
    expect(ratioToRivals(small, "c")).toBeNull();
    expect(geometricMean([1, 4])).toBeCloseTo(2);
  });
  test("the roofline counts two operations a product", () => {
    expect(roofline(op, "wasm")).toBeCloseTo((2 * 134.217728) / 5 / 60);
    expect(roofline(small, "wasm")).toBeNull();
  });
  test("tables", () => {
    expect(rows).toContain("| MatMul 512x512x512 | 134 | 5.00 | 89% | 10.0 (2.00x) |");
    expect(rows).toContain("| MatMul 512x512x512 | 134 | 2.00 | 112% | 4.00 (2.00x) | 3.00 (1.50x) | 1.50x |");
    expect(rows).toContain("| peak of wasm | 60.0 GFLOP/s (12 accumulators) |");
    expect(text).toContain(
      "| MatMul 512x512x512 | 500 | — | 2.00 | 1.00 | 2.00 | 2.00x | 0.50x | 8.00 | 6.00 | 1.20x | 64.0 |",
    );
  });
  test("the mean leaves out integer models and those that measure a call", () => {
    expect(text).toContain(
      "Against onnxruntime-web, 1 of 3 (f32, over 0.1 MMACs): geometric mean 2.00x, worst 2.00x (net).",
    );
  });
  test("remarks", () => {
    expect(text).toContain("not measured: matmul-512, net, net_int8: iree: no module");
    expect(text).toContain("- 1 of 4 cases were measured beside other work, on up to 0.90 processors");
    expect(text).toContain("- matmul-512: the magnitudes of openvino's outputs sum up to 120.00, Ingot's to 100.00");
  });
  test("plots", () => {
    expect([...files.keys()].sort()).toEqual([
      "RESULTS.md",
      "plots/models-c.svg",
      "plots/models-wasm.svg",
      "plots/ops-c.svg",
      "plots/ops-wasm.svg",
    ]);
    const svg = files.get("plots/ops-wasm.svg")!;
    // The ground, the legend, and one bar.
    expect(svg.match(/<rect /g)).toHaveLength(3);
    expect(svg).toContain(">2.00<");
    expect(svg).not.toContain("NaN");
  });
  test("three digits", () => {
    expect([0, 0.01234, 1.234, 12.34, 123.4].map(digits)).toEqual(["0", "0.012", "1.23", "12.3", "123"]);
  });
  test("a line for who watches", () => {
    expect(caseLine(op)).toContain("wasm 5.00 ms 89% of peak, 2.00x; c 2.00 ms 112% of peak, 1.50x");
  });
});
