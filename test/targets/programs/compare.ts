// Compares the outputs of a run with what a fixture expects of it.
import type { DType, Tensor } from "../../../src/ir/types.ts";
import { isFloat, typedView } from "../../../src/ir/types.ts";
import type { Fixture } from "./draft.ts";

/** A float as an integer that counts representable values from 0. */
function ordinal(dtype: DType, x: number): number {
  if (dtype === "f32") {
    const bits = new Int32Array(new Float32Array([x]).buffer)[0]!;
    return bits < 0 ? -(bits & 0x7fffffff) : bits;
  }
  const bits = new BigInt64Array(new Float64Array([x]).buffer)[0]!;
  return Number(bits < 0n ? -(bits & 0x7fffffffffffffffn) : bits);
}

/**
 * The differences, one line each, at most 20: NaN equals NaN, -0 does not equal 0, floats may be `ulps` apart (the fixture's own
 * unless given).
 */
export function compare(
  f: Fixture,
  expected: Readonly<Record<string, Tensor>>,
  got: ReadonlyMap<string, Tensor>,
  ulps: number = f.ulps ?? 0,
): string[] {
  const lines: string[] = [];
  for (const [name, want] of Object.entries(expected)) {
    const have = got.get(name);
    if (have === undefined || have.dtype !== want.dtype || have.dims.join() !== want.dims.join()) {
      lines.push(`${name}: ${have?.dtype}[${have?.dims.join()}] instead of ${want.dtype}[${want.dims.join()}]`);
      continue;
    }
    const [a, b] = [typedView(have.dtype, have.bytes), typedView(want.dtype, want.bytes)];
    for (let i = 0; i < b.length && lines.length < 20; i++) {
      const [x, y] = [a[i]!, b[i]!];
      const close =
        isFloat(want.dtype) &&
        ulps > 0 &&
        Math.abs(ordinal(want.dtype, Number(x)) - ordinal(want.dtype, Number(y))) <= ulps;
      if (Object.is(x, y) || close) continue;
      const row = f.rows?.[name]?.[Math.floor(i / (b.length / want.dims[0]!))];
      lines.push(`${f.name} ${name}[${i}]${row === undefined ? "" : ` (${row})`}: ${x} instead of ${y}`);
    }
  }
  return lines;
}
