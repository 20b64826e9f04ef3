// The constants of a program as a file of 32-bit words, one an element, each at its offset in the plan.
import { must } from "../../src/base/assert.ts";
import { userError } from "../../src/base/diagnostics.ts";
import * as D from "../../src/ir/dim.ts";
import type { Program } from "../../src/ir/program.ts";
import { linear } from "../../src/ir/storage.ts";
import type { Tensor } from "../../src/ir/types.ts";
import { elementBytes, typedView } from "../../src/ir/types.ts";

export function wordWeights(p: Program): Uint8Array {
  const blob = new Uint8Array(must(D.known(p.plan.sizes.weights), "static size of the weights"));
  for (const [id, t] of p.constants) {
    const b = must(p.buffers.get(id), `buffer ${id}`);
    const at = must(D.known(must(p.plan.offsets.get(id), `place of ${b.name}`).offset), `offset of ${b.name}`);
    const from = words(t, b.name);
    const to = new Uint32Array(blob.buffer, at);
    const index: number[] = t.dims.map(() => 0);
    for (let e = 0; e < from.length; e++) {
      to[
        D.known(
          linear(
            b.storage!,
            index.map((i) => D.int(i)),
          ),
        )!
      ] = from[e]!;
      for (let a = index.length - 1; a >= 0; a--) {
        index[a] = (index[a]! + 1) % t.dims[a]!;
        if (index[a] !== 0) break;
      }
    }
  }
  return blob;
}

function words(t: Tensor, name: string): Uint32Array {
  if (elementBytes(t.dtype) === 4) return new Uint32Array(t.bytes.slice().buffer);
  const data = typedView(t.dtype, t.bytes);
  const out = new Int32Array(data.length);
  for (let i = 0; i < data.length; i++) {
    out[i] = Number(data[i]!);
    if (out[i] !== Number(data[i]) && (t.dtype !== "u64" || out[i]! >>> 0 !== Number(data[i]))) {
      throw userError("E304", `element ${i} of the constant ${name} is ${data[i]}; WGSL computes in 32 bits`);
    }
  }
  return new Uint32Array(out.buffer);
}
