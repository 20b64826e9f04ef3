// The public API: what the command line reads.
import { describe, expect, test } from "vitest";
import { targetWords } from "../../src/cli/cli.ts";
import { flags, spreadTargets } from "../../src/cli/options.ts";
import { exitOf } from "../../src/cli/report.ts";
import { compile, inspect, PassError, run, targetNames, tensorOf, UserError, verify } from "../../src/index.ts";
import { portsOf } from "../../src/run/ports.ts";
import { randomInputs } from "../../src/run/random.ts";
import { prepare } from "../../src/run/targets.ts";
import { addOne, awkward, bytesOf } from "./models.ts";

const model = bytesOf(addOne);
const x = tensorOf("f32", [1, 2], [1, 2]);
const y = tensorOf("f32", [1, 2], [2, 3]);

describe("compile", () => {
  test("from bytes, in memory", async () => {
    const { name, targets, diagnostics } = await compile(model, { targets: ["wasm", "js"], dims: { N: 1 }, name: "m" });
    expect([name, diagnostics]).toEqual(["m", []]);
    expect(targets.get("wasm")!.files!.map((f) => f.path)).toContain("m.wasm");
    expect(targets.get("js")).toMatchObject({ status: "ok", sizes: { arena: expect.any(Number) } });
  });
  test("a pass that fails fails its target alone, and is named", async () => {
    const report = await compile(model, {
      targets: ["wasm", "js"],
      onIr: (pass, _ir, _text, target) => {
        if (target === "wasm" && pass === "lower") throw new Error("boom");
      },
    });
    const { status, bug } = report.targets.get("wasm")!;
    expect(status).toBe("failed");
    expect(bug).toBeInstanceOf(PassError);
    expect(bug).toMatchObject({ pass: "lower", target: "wasm", message: "lower for wasm: boom" });
    expect(report.targets.get("js")!.status).toBe("ok");
    expect(exitOf({ report })).toBe(70);
  });
  test("passes are told in order", async () => {
    const passes: string[] = [];
    await compile(model, { targets: ["js"], onPass: (pass, ms) => passes.push(ms >= 0 ? pass : "") });
    expect(passes[0]).toBe("import");
    expect(passes.at(-1)).toBe("emit");
  });
  test("no target, or one that does not exist", async () => {
    await expect(compile(model, { targets: [] })).rejects.toThrow(UserError);
    await expect(compile(model, { targets: ["js", "cobol"] })).rejects.toThrow(/E501.*cobol/);
  });
});

test("run and verify take tensors", async () => {
  expect((await run(model, { target: "js", inputs: { x } })).outputs).toEqual([{ name: "y", ...y }]);
  expect((await verify(model, { targets: ["js"], inputs: { x }, expect: { y } })).targets.get("js")!.status).toBe("ok");
  const wrong = await verify(model, { targets: ["js"], inputs: { x }, expect: { y: x } });
  expect(wrong.targets.get("js")).toMatchObject({ status: "failed", reason: expect.stringContaining('output "y"') });
  await expect(run(model, { target: "js", inputs: { x, z: x } })).rejects.toThrow(/E401.*"z"/);
});

test("an exact operator agrees to the bit with the oracle of verify", async () => {
  const { targets } = await verify(model, { targets: ["wasm"], inputs: { x }, tolerance: { rtol: 0, atol: 0 } });
  expect(targets.get("wasm")!.outputs!.get("y")!.comparison).toMatchObject({ pass: true, maxAbs: 0 });
});

test("made-up inputs: the same for a seed, others for another; dims within their bounds", async () => {
  const ports = portsOf((await prepare(bytesOf(awkward), { dims: { "a/b:2": { min: 20, max: 30 } } })).front.graph);
  const a = randomInputs(ports, 7);
  expect(randomInputs(ports, 7)).toEqual(a);
  expect(randomInputs(ports, 8)).not.toEqual(a);
  expect(a["a/b"]!.dims).toEqual([1, 2, 20]);
  const wide = portsOf((await prepare(bytesOf(addOne), { dims: { N: 5000 } })).front.graph);
  const values = new Float32Array(randomInputs(wide, 1).x!.bytes.buffer);
  const mean = values.reduce((s, v) => s + v, 0) / values.length;
  const variance = values.reduce((s, v) => s + v * v, 0) / values.length;
  expect(Math.abs(mean)).toBeLessThan(0.05);
  expect(Math.abs(variance - 1)).toBeLessThan(0.05);
});

test("inspect needs no options", async () => {
  expect((await inspect(model)).targets.size).toBe(targetNames.length);
});

test("the words that may follow -t are the targets", () => {
  expect([...targetWords].sort()).toEqual([...targetNames].sort());
  expect(flags.target.about).toContain("wasm, c, js or wgsl");
  expect(spreadTargets(["compile", "m", "-t", "wasm", "c", "-o", "c"], targetWords)).toEqual([
    "compile",
    "m",
    "-t",
    "wasm",
    "--target",
    "c",
    "-o",
    "c",
  ]);
});
