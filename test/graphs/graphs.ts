// Small models against answers that the test gives: on js and wasm one by one, in C all of a file in one program.
import { expect, test } from "vitest";
import { type CompiledTarget, compileTarget, type FrontEnd, frontEnd } from "../../src/compile.ts";
import { type DType, elementBytes, type Tensor, tensorOf, typedView } from "../../src/ir/types.ts";
import { type GraphSpec, type ModelSpec, modelBytes, type NodeSpec } from "../../src/onnx/export.ts";
import { portsOf, type Tensors } from "../../src/run/ports.ts";
import { givenOf, loadModel } from "../../src/run/runner.ts";
import { runEach } from "../../targets/c/harness.ts";
import { need } from "../need.ts";

/** Either what the outputs are, or that the run is refused: by a message of the loader like this one, and by a status of C. */
export type Run = {
  readonly inputs: Tensors;
  readonly outputs?: Tensors;
  readonly refused?: { readonly message: RegExp; readonly status: number };
};
export type GraphCase = {
  readonly name: string;
  readonly model: ModelSpec;
  readonly runs: readonly Run[];
  /** More about what is compiled. */
  readonly check?: (front: FrontEnd, compiled: CompiledTarget) => void;
};

export const f32 = (dims: readonly number[], values: ArrayLike<number>): Tensor => tensorOf("f32", dims, values);
export const i64 = (dims: readonly number[], values: ArrayLike<number>): Tensor => tensorOf("i64", dims, values);
export const bool = (value: boolean): Tensor => tensorOf("bool", [], [value ? 1 : 0]);
export const vector = (...values: readonly number[]): Tensor => f32([values.length], values);
export const indices = (...values: readonly number[]): Tensor => i64([values.length], values);
export const scalar = (dtype: DType, value: number): Tensor => tensorOf(dtype, [], [value]);
/** Numbers that tell positions apart: 1, 2, 3 and so on, with alternating signs. */
export function ramp(...dims: readonly number[]): Tensor {
  const n = dims.reduce((a, b) => a * b, 1);
  return f32(
    dims,
    Array.from({ length: n }, (_, k) => (k % 2 ? -(k + 1) : k + 1)),
  );
}
export const numbers = (t: Tensor): number[] => Array.from(typedView(t.dtype, t.bytes), Number);
export const mapped = (t: Tensor, f: (x: number, k: number) => number): Tensor =>
  tensorOf(t.dtype, t.dims, numbers(t).map(f));

export const node = (
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attrs: NonNullable<NodeSpec["attrs"]> = {},
): NodeSpec => ({ op, inputs, outputs, attrs });
export const body = (
  nodes: readonly NodeSpec[],
  outputs: GraphSpec["outputs"],
  more: Partial<GraphSpec> = {},
): { readonly graph: GraphSpec } => ({ graph: { nodes, outputs, ...more } });

const text = (t: Tensor | undefined): string =>
  t === undefined ? "none" : `${t.dtype}[${t.dims}] ${numbers(t).slice(0, 24)}`;
/** Numbers may differ in their last bits. */
function agree(got: Tensor | undefined, want: Tensor, what: string): void {
  const near = (a: number, b: number): boolean => Object.is(a, b) || Math.abs(a - b) <= 1e-6 + 1e-5 * Math.abs(b);
  const same = got?.dtype === want.dtype && `${got.dims}` === `${want.dims}`;
  if (same && got.bytes.length === want.bytes.length) {
    const [a, b] = [numbers(got), numbers(want)];
    if (a.every((x, k) => near(x, b[k]!))) return;
  }
  expect(`${what}: ${text(got)}`).toBe(`${what}: ${text(want)}`);
}

/** Compiles with every verifier on. */
async function compiled(c: GraphCase, target: string, name: string) {
  const options = { name, verify: true };
  const front = frontEnd(modelBytes(c.model), options);
  const result = await compileTarget(front, target, options);
  c.check?.(front, result);
  return { target, name, compiled: result, ports: portsOf(front.graph) };
}
const messageOf = (e: unknown): string => (e instanceof Error && e.constructor === Error ? e.message : String(e));

async function loaded(c: GraphCase, target: string): Promise<void> {
  const x = await compiled(c, target, "model");
  const model = await loadModel(x);
  // A refused run leaves nothing behind: what follows it is right.
  for (const [r, run] of c.runs.entries()) {
    if (run.refused) {
      const refused = await model.run(givenOf(run.inputs, x.ports)).then(() => "not refused", messageOf);
      expect(refused, `run ${r}`).toMatch(run.refused.message);
      continue;
    }
    const got = await model.run(givenOf(run.inputs, x.ports));
    for (const { name, dtype } of x.ports.outputs) {
      const { data, dims } = got[name]!;
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      expect(bytes.length).toBe(data.length * elementBytes(dtype));
      agree({ dtype, dims, bytes }, run.outputs![name]!, `run ${r}, ${name}`);
    }
  }
  model.dispose();
}

/** One test for each case and target; the C of all cases is one program. */
export function graphTests(cases: readonly GraphCase[]): void {
  test.each(cases.flatMap((c) => ["js", "wasm"].map((t) => [c.name, t, c] as const)))(
    "%s: %s",
    async (_name, target, c) => loaded(c, target),
    60_000,
  );
  test.skipIf(!need("cc"))(
    "C",
    async () => {
      const built = [];
      for (const [k, c] of cases.entries()) built.push(await compiled(c, "c", `case${k}`));
      const results = await runEach(
        built.map(({ name, compiled: { program, files } }, k) => ({ program, name, files, runs: cases[k]!.runs })),
        { limitMs: 20_000, flags: ["-std=c11", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"] },
      );
      for (const [k, c] of cases.entries()) {
        const result = results[k]!;
        if (result instanceof Error) throw new Error(`${c.name}: ${result.message}`);
        for (const [r, run] of c.runs.entries()) {
          const { status, outputs } = result[r]!;
          expect([c.name, r, status]).toEqual([c.name, r, run.refused?.status ?? 0]);
          for (const [name, want] of Object.entries(run.outputs ?? {}))
            agree(outputs[name], want, `${c.name}, run ${r}, ${name}`);
        }
      }
    },
    240_000,
  );
}
