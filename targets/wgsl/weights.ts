// The constants of a program as 32-bit words, one an element, each at its offset in the plan.
import { must } from "../../src/base/assert.ts";
import { userError } from "../../src/base/diagnostics.ts";
import type { Program } from "../../src/ir/program.ts";
import type { Tensor } from "../../src/ir/types.ts";
import { elementBytes, tensorOf, typedView } from "../../src/ir/types.ts";
import { weightsBlob } from "../loader/weights.ts";

/** The weights region of a program with a word for each element. E304 when a 64-bit constant does not fit 32 bits. */
export function wordWeights(p: Program): Uint8Array {
  const buffers = new Map(p.buffers);
  const constants = new Map(p.constants);
  for (const [id, t] of p.constants) {
    if (elementBytes(t.dtype) === 4) continue;
    const b = must(p.buffers.get(id), `buffer ${id}`);
    constants.set(id, words(t, b.name));
    buffers.set(id, { ...b, dtype: "i32" });
  }
  return weightsBlob({ ...p, buffers, constants });
}

function words(t: Tensor, name: string): Tensor {
  const data = typedView(t.dtype, t.bytes);
  const [low, high] = t.dtype === "u64" ? [0, 2 ** 32 - 1] : [-(2 ** 31), 2 ** 31 - 1];
  for (let i = 0; i < data.length; i++) {
    if (data[i]! >= low && data[i]! <= high) continue;
    throw userError("E304", `element ${i} of the constant ${name} is ${data[i]}; WGSL computes in 32 bits`);
  }
  // An Int32Array wraps a large u32 to its bits.
  return tensorOf("i32", t.dims, data);
}
