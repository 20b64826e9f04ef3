// Runs a program in this process: for folding constants at compile time, and as the oracle of tests.
import type { LinearModule } from "../../runtime/linear.ts";
import { assert, InternalError, must } from "../../src/base/assert.ts";
import type { Program } from "../../src/ir/program.ts";
import type { Tensor } from "../../src/ir/types.ts";
import { countOf, elementBytes } from "../../src/ir/types.ts";
import { linearLayout } from "../loader/layout.ts";
import { weightsBlob } from "../loader/weights.ts";
import { printProgram } from "./print.ts";

/** Dense row-major bytes in the dtype of the input's buffer. */
export type Inputs = ReadonlyMap<string, Pick<Tensor, "dims" | "bytes">>;
/** seed: of the run, an i32. strict: a mulAdd rounds its product too (the default), so that wasm gives the same bits. */
export type EvaluateOptions = { readonly seed?: number; readonly strict?: boolean };

/**
 * The outputs of a program by their names, as dense row-major tensors in the dtypes of their buffers. Throws InternalError when an
 * input is missing or of another size, RunError when plan refuses the dims or the run fails.
 */
export function evaluateProgram(
  p: Program,
  inputs: Inputs,
  options: EvaluateOptions = {},
): ReadonlyMap<string, Tensor> {
  return new Instance(p, { strict: options.strict ?? true }).run(inputs, options.seed ?? 0);
}

/** A run that failed: plan refused the dims, or run gave a status other than 0. */
export class RunError extends InternalError {
  override name = "RunError";
  readonly status: "plan" | number;
  constructor(program: string, status: "plan" | number) {
    super(`program ${program}: ${status === "plan" ? "plan refuses the dims" : `the run gave status ${status}`}`);
    this.status = status;
  }
}

/** A program made from its printed text by `new Function`, for several runs. */
export class Instance {
  readonly #p: Program;
  readonly #module: LinearModule;
  readonly #rows: readonly number[];
  #ready = false;

  constructor(p: Program, options: { readonly strict: boolean }) {
    const make = new Function(`"use strict"; return ${printProgram(p, options)}`)() as (
      weights: Uint8Array,
    ) => LinearModule;
    this.#p = p;
    this.#module = make(weightsBlob(p));
    this.#rows = linearLayout(p).rows;
  }

  run(inputs: Inputs, seed: number): ReadonlyMap<string, Tensor> {
    const [p, m] = [this.#p, this.#module];
    const given = p.inputs.map(({ name }) => must(inputs.get(name), `input ${name} of ${p.name}`));
    const end = m.plan(...p.bindings.map((b) => given[b.input]!.dims[b.axis]!));
    if (end === 0) throw new RunError(p.name, "plan");
    const missing = end - m.memory.buffer.byteLength;
    if (missing > 0) m.memory.grow(Math.ceil(missing / 65536));
    if (!this.#ready) this.#check(m.init?.() ?? 0);
    this.#ready = true;
    given.forEach((t, i) => {
      const { address, dims, bytes } = this.#port(i);
      const fits = dims.join() === t.dims.join() && t.bytes.length === bytes;
      assert(
        fits,
        `input ${p.inputs[i]!.name} of ${p.name}: dims [${t.dims.join(", ")}] where [${dims.join(", ")}] are due`,
      );
      new Uint8Array(m.memory.buffer).set(t.bytes, address);
    });
    this.#check(m.run(seed));
    return new Map(
      p.outputs.map(({ name }, i) => {
        const { dtype, address, dims, bytes } = this.#port(p.inputs.length + i);
        return [name, { dtype, dims, bytes: new Uint8Array(m.memory.buffer.slice(address, address + bytes)) }] as const;
      }),
    );
  }
  #check(status: number): void {
    if (status !== 0) throw new RunError(this.#p.name, status);
  }
  /** A row of the io table. */
  #port(i: number): Pick<Tensor, "dtype" | "dims"> & { readonly address: number; readonly bytes: number } {
    const { buffer } = [...this.#p.inputs, ...this.#p.outputs][i]!;
    const { dtype, shape } = this.#p.buffers.get(buffer)!;
    const [address, ...dims] = new Uint32Array(this.#module.memory.buffer, this.#rows[i]!, 1 + shape.length);
    return { dtype, dims, address: address!, bytes: countOf(dims) * elementBytes(dtype) };
  }
}
