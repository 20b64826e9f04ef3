// Runs a model on JavaScript and WebAssembly, which must agree.
import { expect } from "vitest";
import { compileTarget, frontEnd } from "../../src/compile.ts";
import { typedView } from "../../src/ir/types.ts";
import { portsOf, type Tensors } from "../../src/run/ports.ts";
import { runOnce } from "../../src/run/runner.ts";

/** Dims and elements by output (bit patterns of narrow floats). */
export async function evaluateModel(
  bytes: Uint8Array,
  inputs: Tensors,
): Promise<Record<string, readonly [readonly number[], readonly number[]]>> {
  const front = frontEnd(bytes, { name: "m", verify: true });
  const ports = portsOf(front.graph, front.lists);
  const results = [];
  for (const target of ["js", "wasm"]) {
    const compiled = await compileTarget(front, target, { name: "m", verify: true });
    const got = await runOnce({ target, name: "m", compiled, ports }, inputs, 0);
    const entries = Object.entries(got).map(([name, t]) => {
      const values = Array.from(typedView(t.dtype, t.bytes), Number);
      return [name, [t.dims, values]] as const;
    });
    results.push(Object.fromEntries(entries));
  }
  expect(results[1]).toEqual(results[0]);
  return results[0]!;
}
