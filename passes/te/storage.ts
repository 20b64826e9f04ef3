// Decides how every buffer lies in memory.
import { must } from "../../src/base/assert.ts";
import type { BufferId } from "../../src/base/brand.ts";
import * as D from "../../src/ir/dim.ts";
import { type Buffer, dense, linear, type Storage } from "../../src/ir/storage.ts";
import type { TeProgram } from "../../src/ir/te.ts";

/** Gives each buffer a storage: dense in `order` (row-major by default), parts as ranges of what they lie inside. */
export function resolveStorage(p: TeProgram, order: ReadonlyMap<BufferId, readonly number[]> = new Map()): TeProgram {
  const done = new Map<BufferId, Buffer>();
  const resolve = (id: BufferId): Buffer => {
    const old = done.get(id);
    if (old) return old;
    const b = must(p.buffers.get(id), `buffer ${id}`);
    const storage = b.storage ?? (b.inside ? insideOf(resolve(b.inside.of), b.inside) : dense(b.shape, order.get(id)));
    const { inside: _inside, ...rest } = b;
    const now: Buffer = { ...rest, storage };
    done.set(id, now);
    return now;
  };
  for (const id of p.buffers.keys()) resolve(id);
  return { ...p, buffers: new Map([...p.buffers.keys()].map((id) => [id, done.get(id)!])) };
}
function insideOf(of: Buffer, at: NonNullable<Buffer["inside"]>): Storage {
  const s = must(of.storage, "the storage of the whole");
  // Offsets are relative to the whole; its own place in a further root is the next hop's.
  const origin = linear({ ...s, offset: D.zero }, at.offset);
  return { root: of.id, offset: origin, strides: s.strides.map((x, k) => D.mul(x, at.step[k]!)), blocks: [], size: D.zero };
}
