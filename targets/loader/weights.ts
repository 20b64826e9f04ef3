// The bytes of the weights region: every constant in the storage of its buffer.
import { assert, must } from "../../src/base/assert.ts";
import type { BufferId } from "../../src/base/brand.ts";
import type { Dim } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import type { Program } from "../../src/ir/program.ts";
import type { Buffer } from "../../src/ir/storage.ts";
import { isRowMajor } from "../../src/ir/storage.ts";
import type { Tensor } from "../../src/ir/types.ts";
import { countOf, elementBytes } from "../../src/ir/types.ts";

function fixed(d: Dim, what: string): number {
  return must(D.known(d), `${what} (it depends on a symbol)`);
}

/** Byte offset of a constant's buffer in the region: roots are followed. */
function offsetOf(p: Program, id: BufferId): number {
  const buffer = must(p.buffers.get(id), `buffer ${id}`);
  const { root, offset: elements } = buffer.storage ?? { root: null, offset: D.zero };
  const inside = fixed(elements, "offset of a part") * elementBytes(buffer.dtype);
  if (root !== null) return offsetOf(p, root) + inside;
  const { region, offset } = must(p.plan.offsets.get(id), `place of constant ${buffer.name}`);
  assert(region === "weights", `constant ${buffer.name} lies in ${region}`);
  return fixed(offset, "offset of a constant") + inside;
}

type Cells = Uint8Array | Uint16Array | Uint32Array | BigUint64Array;
function cells(bytes: Uint8Array, width: number): Cells {
  const at = [bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength / width] as const;
  return width === 8
    ? new BigUint64Array(...at)
    : width === 4
      ? new Uint32Array(...at)
      : width === 2
        ? new Uint16Array(...at)
        : bytes;
}

/** Where index i of an axis lies, relative to index 0. */
function axisOffsets(b: Buffer, axis: number, extent: number): Float64Array {
  const s = b.storage!;
  const stride = fixed(s.strides[axis]!, "stride");
  const block = s.blocks.find((x) => x.axis === axis);
  const inner = block ? fixed(block.stride, "stride of a block") : 0;
  return Float64Array.from({ length: extent }, (_, i) =>
    block ? Math.floor(i / block.by) * stride + (i % block.by) * inner : i * stride,
  );
}

/** Copies a row-major tensor into `to`, whose cell 0 is the buffer's element 0. */
function scatter(from: Cells, to: Cells, b: Buffer, dims: readonly number[]): void {
  const rank = dims.length;
  const offsets = dims.map((n, a) => axisOffsets(b, a, n));
  const last = offsets[rank - 1]!;
  const n = dims[rank - 1]!;
  const contiguous = last.every((o, i) => o === i);
  const index = new Array<number>(rank - 1).fill(0);
  const rows = countOf(dims.slice(0, -1));
  // One type of array on both sides: same class, same loop.
  const [src, dst] = [from as Uint32Array, to as Uint32Array];
  for (let row = 0, at = 0; row < rows; row++, at += n) {
    let base = 0;
    for (let a = 0; a < rank - 1; a++) base += offsets[a]![index[a]!]!;
    if (contiguous) dst.set(src.subarray(at, at + n), base);
    else for (let i = 0; i < n; i++) dst[base + last[i]!] = src[at + i]!;
    for (let a = rank - 2; a >= 0 && ++index[a]! === dims[a]!; a--) index[a] = 0;
  }
}

/**
 * The weights region of a program, `plan.sizes.weights` bytes: each constant (a row-major tensor) at its offset in the memory plan,
 * laid out as its buffer's storage says (strides, blocks). Padding is zero.
 */
export function weightsBlob(p: Program): Uint8Array {
  const blob = new Uint8Array(fixed(p.plan.sizes.weights, "size of the weights"));
  for (const [id, t] of p.constants) put(p, id, t, blob);
  return blob;
}
function put(p: Program, id: BufferId, t: Tensor, blob: Uint8Array): void {
  const buffer = must(p.buffers.get(id), `buffer ${id}`);
  assert(
    buffer.dtype === t.dtype && buffer.shape.every((d, i) => D.known(d) === t.dims[i]),
    `the tensor of constant ${buffer.name}`,
  );
  const at = offsetOf(p, id);
  if (countOf(t.dims) === 0) return;
  if (isRowMajor(buffer)) blob.set(t.bytes, at);
  else {
    const width = elementBytes(t.dtype);
    const room = blob.subarray(at, at + Math.floor((blob.length - at) / width) * width);
    scatter(cells(t.bytes, width), cells(room, width), buffer, t.dims);
  }
}
