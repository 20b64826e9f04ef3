// Models with a state over a whole recording, one artifact for all sample rates, the state fed back, against onnxruntime's trace.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { must } from "../../src/base/assert.ts";
import { readNpz } from "../../src/base/npz.ts";
import { compileTarget, frontEnd } from "../../src/compile.ts";
import { countOf, elementBytes, type Tensor, tensorOf } from "../../src/ir/types.ts";
import { compare } from "../../src/run/compare.ts";
import { portsOf, type Tensors } from "../../src/run/ports.ts";
import { givenOf, loadModel, type Runnable } from "../../src/run/runner.ts";
import { runCases } from "../../targets/c/harness.ts";
import { available, need } from "../need.ts";
import { cpuTargets, findModel, models, type Recording, trace } from "./suite.ts";

const cc = need("cc");

/** Entry `at` along the first axis. */
function slice(t: Tensor, at: number): Tensor {
  const dims = t.dims.slice(1);
  const bytes = countOf(dims) * elementBytes(t.dtype);
  return { dtype: t.dtype, dims, bytes: t.bytes.slice(at * bytes, (at + 1) * bytes) };
}
/** One step: the inputs, with states of 0 at first, and what onnxruntime makes of them. */
type Step = { readonly inputs: Tensors; readonly expected: Tensors };
function stepsOf(npz: ReadonlyMap<string, Tensor>, how: Recording, rate: string, outputs: readonly string[]): Step[] {
  const frames = must(npz.get(`${rate}/frames`), "frames");
  return Array.from({ length: frames.dims[0]! }, (_, k) => {
    const expected = Object.fromEntries(outputs.map((o) => [o, slice(must(npz.get(`${rate}/${o}`), o), k)]));
    const frame = slice(frames, k);
    const states = Object.entries(how.state).map(([i, o]) => {
      const { dtype, dims, bytes } = must(expected[o], o);
      return [i, { dtype, dims, bytes: new Uint8Array(bytes.length) }];
    });
    return {
      inputs: {
        ...Object.fromEntries(states),
        [how.input]: { ...frame, dims: [1, ...frame.dims] },
        [how.rate]: tensorOf("i64", [], [Number(rate)]),
      },
      expected,
    };
  });
}
async function outputsOf(x: Runnable, steps: readonly Step[], how: Recording): Promise<readonly Tensors[]> {
  if (x.target === "c") {
    const { program, files } = x.compiled;
    const runs = steps.map(({ inputs }, k) => ({ inputs, ...(k > 0 ? { fed: how.state } : {}) }));
    const results = must((await runCases([{ program, files, name: x.name, runs }]))[0], "the results");
    expect(results.filter((r) => r.status !== 0)).toEqual([]);
    return results.map((r) => r.outputs);
  }
  const model = await loadModel(x);
  const all: Tensors[] = [];
  for (const { inputs } of steps) {
    const last = all.at(-1);
    const fed = last ? Object.entries(how.state).map(([i, o]) => [i, last[o]] as const) : [];
    const got = await model.run(givenOf({ ...inputs, ...(Object.fromEntries(fed) as Tensors) }, x.ports));
    all.push(
      Object.fromEntries(
        x.ports.outputs.map(({ name, dtype }) => {
          const { data, dims } = got[name]!;
          return [name, { dtype, dims, bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) }];
        }),
      ),
    );
  }
  model.dispose();
  return all;
}

test.each(models.filter((m) => m.recording).map((m) => m.name))(
  "%s",
  async (name) => {
    const made = await available(() => trace(name));
    if (made === null) return;
    const { tolerance, recording } = findModel(name);
    const how = must(recording, "a recording");
    const npz = new Map(readNpz(readFileSync(made.trace)).map((e) => [e.name, e]));
    const front = frontEnd(readFileSync(made.model), { name: "model" });
    const ports = portsOf(front.graph);
    for (const target of cpuTargets.filter((t) => t !== "c" || cc)) {
      const compiled = await compileTarget(front, target, { name: "model" });
      for (const rate of Object.keys(how.frames)) {
        const steps = stepsOf(
          npz,
          how,
          rate,
          ports.outputs.map((o) => o.name),
        );
        const outputs = await outputsOf({ target, name: "model", compiled, ports }, steps, how);
        // Errors of a state grow from frame to frame, and the voice must have been heard.
        const wrong = steps.flatMap(({ expected }, k) =>
          Object.entries(expected).flatMap(([o, want]) => {
            const c = compare(outputs[k]![o]!, want, { rtol: 10 * tolerance, atol: 1e-5, elementwise: false });
            return c.pass ? [] : [`${target} at ${rate} Hz, frame ${k}, ${o}: ${c.reason}`];
          }),
        );
        expect(wrong).toEqual([]);
      }
    }
  },
  600_000,
);
