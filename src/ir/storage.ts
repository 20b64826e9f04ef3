// How a tensor lies in memory. Storage belongs to a buffer; indices stay logical until `flatten`.
import type { BufferId } from "../base/brand.ts";
import type { Dim } from "./dim.ts";
import * as D from "./dim.ts";
import type { DType } from "./types.ts";

/**
 * io: an input or output of the model; weights: a constant of the model; prepared: filled once by init actions; arena:
 * planned, alive within one run; heap: its size is known only during the run; stack and register: inside a kernel;
 * workgroup: shared by a GPU workgroup.
 */
export type Scope = "io" | "weights" | "prepared" | "arena" | "heap" | "stack" | "register" | "workgroup";

/** One blocked axis: logical index i lies at floordiv(i, by) * strides[axis] + mod(i, by) * stride. */
export type Block = { readonly axis: number; readonly by: number; readonly stride: Dim };
/**
 * The element at logical index i lies at offset + sum of i[a] * strides[a] elements from the start of `root`'s memory (null: its
 * own). A buffer inside a root shares the root's memory: a slice, a concat's part, the interior of a padded buffer.
 */
export type Storage = {
  readonly root: BufferId | null;
  readonly offset: Dim;
  readonly strides: readonly Dim[];
  readonly blocks: readonly Block[];
  /** Elements from the first to the last, padding of blocks and pitch included. Meaningless when root is not null. */
  readonly size: Dim;
};
export type Buffer = {
  readonly id: BufferId;
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly Dim[];
  readonly scope: Scope;
  /** null: not chosen yet (before te/storage); row-major for a kernel's local buffers. */
  readonly storage: Storage | null;
  /** T only: a part of another buffer of the same rank. Element i is element offset + step*i of `of`; te/storage turns it into a Storage. */
  readonly inside?: { readonly of: BufferId; readonly offset: readonly Dim[]; readonly step: readonly Dim[] };
};

/** Dense storage with the axes from outermost to innermost in `order` (default: as they are, row-major). */
export function dense(shape: readonly Dim[], order: readonly number[] = shape.map((_, i) => i)): Storage {
  const strides: Dim[] = shape.map(() => D.one);
  let size: Dim = D.one;
  for (let k = order.length - 1; k >= 0; k--) {
    strides[order[k]!] = size;
    size = D.mul(size, shape[order[k]!]!);
  }
  return { root: null, offset: D.zero, strides, blocks: [], size };
}

/** The linear index of a logical index. */
export function linear(s: Storage, index: readonly Dim[]): Dim {
  const terms: Dim[] = [s.offset];
  index.forEach((i, a) => {
    const block = s.blocks.find((b) => b.axis === a);
    if (block)
      terms.push(D.mul(D.floordiv(i, D.int(block.by)), s.strides[a]!), D.mul(D.mod(i, D.int(block.by)), block.stride));
    else terms.push(D.mul(i, s.strides[a]!));
  });
  return D.add(...terms);
}

/** True when the storage is dense row-major over the shape (axes of extent 1 may have any stride). */
export function isRowMajor(b: Pick<Buffer, "shape" | "storage">): boolean {
  const s = b.storage;
  if (s === null) return true;
  if (s.blocks.length > 0) return false;
  let want: Dim = D.one;
  for (let k = b.shape.length - 1; k >= 0; k--) {
    if (b.shape[k] === D.one) continue;
    if (s.strides[k] !== want) return false;
    want = D.mul(want, b.shape[k]!);
  }
  return true;
}
