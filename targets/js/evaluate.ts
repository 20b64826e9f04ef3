// Runs a program in this process: for folding constants at compile time, and as the oracle of tests.
import type { LinearModule } from "../../runtime/linear.ts";
import { InternalError, must } from "../../src/base/assert.ts";
import type { SymbolId } from "../../src/base/brand.ts";
import type { Program } from "../../src/ir/program.ts";
import type { Tensor } from "../../src/ir/types.ts";
import { countOf, elementBytes } from "../../src/ir/types.ts";
import { linearLayout } from "../loader/layout.ts";
import { weightsBlob } from "../loader/weights.ts";
import { printProgram } from "./print.ts";

/** seed: of the run, an i32. strict: mulAdd rounds its product too (default), so that wasm gives the same bits. */
export type EvaluateOptions = { readonly seed?: number; readonly strict?: boolean };

/** An instance of a program, made from its printed text by `new Function`. */
export function instantiate(p: Program, options: { readonly strict: boolean }): LinearModule {
  const make = new Function(`"use strict"; return ${printProgram(p, options)}`)() as (
    weights: Uint8Array,
  ) => LinearModule;
  return make(weightsBlob(p));
}

/**
 * The outputs of a program by their names, as dense row-major tensors in the dtypes of their buffers. Inputs are the same. Throws
 * InternalError when an input is missing or of another size, when plan refuses the dims, or when the run fails.
 */
export function evaluateProgram(
  p: Program,
  inputs: ReadonlyMap<string, { readonly dims: readonly number[]; readonly bytes: Uint8Array }>,
  options: EvaluateOptions = {},
): ReadonlyMap<string, Tensor> {
  return runModule(p, instantiate(p, { strict: options.strict ?? true }), inputs, options.seed ?? 0);
}

/** The status that a failed run gave, in the message of an InternalError: "plan", 1 or 2. */
export class RunError extends InternalError {
  override name = "RunError";
  readonly status: "plan" | number;
  constructor(program: string, status: "plan" | number) {
    super(`program ${program}: ${status === "plan" ? "plan refused the dims" : `status ${status}`}`);
    this.status = status;
  }
}

/** One run of an instance; throws RunError when it fails. */
export function runModule(
  p: Program,
  m: LinearModule,
  inputs: ReadonlyMap<string, { readonly dims: readonly number[]; readonly bytes: Uint8Array }>,
  seed: number,
): ReadonlyMap<string, Tensor> {
  const given = p.inputs.map(({ name }) => must(inputs.get(name), `input ${name} of ${p.name}`));
  const symbols = new Map<SymbolId, number>(p.bindings.map((b) => [b.id, given[b.input]!.dims[b.axis]!]));
  const bytes = m.plan(...symbols.values());
  if (bytes === 0) throw new RunError(p.name, "plan");
  const missing = bytes - m.memory.buffer.byteLength;
  if (missing > 0) m.memory.grow(Math.ceil(missing / 65536));
  const { rows } = linearLayout(p);
  const words = (): Uint32Array => new Uint32Array(m.memory.buffer);

  const fresh = !initialised.has(m);
  initialised.add(m);
  if (fresh && m.init) {
    const status = m.init();
    if (status !== 0) throw new RunError(p.name, status);
  }
  given.forEach((t, i) => {
    const row = rows[i]! / 4;
    const address = words()[row]!;
    const buffer = p.buffers.get(p.inputs[i]!.buffer)!;
    const dims = buffer.shape.map((_, a) => words()[row + 1 + a]!);
    const fits =
      dims.length === t.dims.length &&
      dims.every((d, a) => d === t.dims[a]) &&
      t.bytes.length === countOf(dims) * elementBytes(buffer.dtype);
    if (!fits)
      throw new InternalError(
        `input ${p.inputs[i]!.name} of ${p.name}: dims [${t.dims.join(", ")}] where [${dims.join(", ")}] are due`,
      );
    new Uint8Array(m.memory.buffer).set(t.bytes, address);
  });
  const status = m.run(seed);
  if (status !== 0) throw new RunError(p.name, status);
  return new Map(
    p.outputs.map(({ name, buffer }, i) => {
      const row = rows[p.inputs.length + i]! / 4;
      const { dtype, shape } = p.buffers.get(buffer)!;
      const [address, ...dims] = words().slice(row, row + 1 + shape.length) as unknown as [number, ...number[]];
      const size = countOf(dims) * elementBytes(dtype);
      return [name, { dtype, dims, bytes: new Uint8Array(m.memory.buffer.slice(address, address + size)) }] as const;
    }),
  );
}
const initialised = new WeakSet<LinearModule>();
