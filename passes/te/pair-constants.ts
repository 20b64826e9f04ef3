// Packs a constant operand of integer products in pairs (see pair.ts).
import { InternalError, must } from "../../src/base/assert.ts";
import type { BufferId } from "../../src/base/brand.ts";
import type { Buffer } from "../../src/ir/storage.ts";
import type { TeExpr } from "../../src/ir/te.ts";
import { type DType, elementBytes, type Tensor, typedView } from "../../src/ir/types.ts";
import { loadsOf } from "./access.ts";

const storable: ReadonlySet<DType> = new Set<DType>(["i8", "u8", "i16", "u16", "i32"]);

/** True when an expression reads nothing but constants of whole-byte integer types. */
export function isStatic(
  e: TeExpr,
  constants: ReadonlyMap<BufferId, Tensor>,
  buffers: ReadonlyMap<BufferId, Buffer>,
): boolean {
  return loadsOf(e).every((l) => {
    const b = must(buffers.get(l.buffer), "a buffer");
    return constants.has(l.buffer) && b.scope === "weights" && !b.inside && !b.storage && storable.has(b.dtype);
  });
}

/**
 * The pairs of an expression's elements: it is over axes `i0`, `i1`, ..., of which `dims` are those of the result, in order, and axis `dim` is
 * paired: first k, second k plus what half of it falls short of the extent. Two i8 in an i16 where all elements are that small, else
 * two i16 in an i32. guarded: an element that both halves have is 0 in the second one.
 */
export function packedPairs(
  e: TeExpr,
  dims: readonly number[],
  dim: number,
  constants: ReadonlyMap<BufferId, Tensor>,
  guarded: boolean,
): Tensor {
  const main = must(
    loadsOf(e).find((l) => l.index.some((i) => i.kind === "var" && i.name === `i${dim}`)),
    "the load that is paired",
  );
  const whole = must(constants.get(main.buffer), "a constant").dims;
  const extents = dims.map((d) => whole[d]!);
  const values = elementsOf(e, dims, extents, constants);
  const at = dims.indexOf(dim);
  const n = extents[at]!;
  const half = Math.ceil(n / 2);
  const outer = extents.slice(0, at).reduce((p, x) => p * x, 1);
  const inner = extents.slice(at + 1).reduce((p, x) => p * x, 1);
  const small = values.every((x) => x >= -128 && x <= 127);
  const bits = small ? 8 : 16;
  const mask = 2 ** bits - 1;
  const out = small ? new Int16Array(outer * half * inner) : new Int32Array(outer * half * inner);
  let to = 0;
  for (let o = 0; o < outer; o++)
    for (let k = 0; k < half; k++) {
      const first = (o * n + k) * inner;
      const second = first + (n - half) * inner;
      const twice = guarded && k < half - (n - half);
      for (let i = 0; i < inner; i++)
        out[to++] = (values[first + i]! & mask) | (twice ? 0 : values[second + i]! << bits);
    }
  return {
    dtype: small ? "i16" : "i32",
    dims: extents.map((x, k) => (k === at ? half : x)),
    bytes: new Uint8Array(out.buffer),
  };
}

/** The values of an expression over axes, row-major. */
function elementsOf(
  e: TeExpr,
  dims: readonly number[],
  extents: readonly number[],
  constants: ReadonlyMap<BufferId, Tensor>,
): Int32Array {
  const size = extents.reduce((p, x) => p * x, 1);
  switch (e.kind) {
    case "const":
      return new Int32Array(size).fill(Number(e.value));
    case "cast": {
      const x = elementsOf(e.x, dims, extents, constants);
      return e.dtype === "i32" ? x : x.map((a) => wrapped(a, e.dtype));
    }
    case "binary": {
      const [a, b] = [elementsOf(e.a, dims, extents, constants), elementsOf(e.b, dims, extents, constants)];
      const sign = e.op === "sub" ? -1 : 1;
      for (let i = 0; i < size; i++) a[i] = a[i]! + sign * b[i]!;
      return e.dtype === "i32" ? a : a.map((x) => wrapped(x, e.dtype));
    }
    case "load": {
      const t = must(constants.get(e.buffer), "a constant");
      const view = typedView(t.dtype, t.bytes) as ArrayLike<number>;
      const strides = dims.map(() => 0);
      let offset = 0;
      let step = view.length === 0 ? 0 : 1;
      for (let k = e.index.length - 1; k >= 0; k--) {
        const i = e.index[k]!;
        if (i.kind === "const") offset += Number(i.value) * step;
        else if (i.kind === "var") strides[dims.indexOf(Number(i.name.slice(1)))]! += step;
        else throw new InternalError("an index of a constant that is no axis");
        step *= t.dims[k]!;
      }
      const out = new Int32Array(size);
      let to = 0;
      const walk = (k: number, from: number): void => {
        if (k === dims.length) {
          out[to++] = view[from]!;
          return;
        }
        const [n, by] = [extents[k]!, strides[k]!];
        if (k === dims.length - 1) for (let i = 0; i < n; i++) out[to++] = view[from + i * by]!;
        else for (let i = 0; i < n; i++) walk(k + 1, from + i * by);
      };
      walk(0, offset);
      return out;
    }
    default:
      throw new InternalError(`a constant operand with ${e.kind}`);
  }
}
function wrapped(x: number, to: DType): number {
  const by = 32 - 8 * elementBytes(to);
  return to.startsWith("u") ? (x << by) >>> by : (x << by) >> by;
}
