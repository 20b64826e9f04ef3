// The heap above the arena: blocks side by side from `heap.start` to `heap.top`, each behind a header of 64 bytes, [bytes of the
// block with its header, in use]. A reserve takes the first free block that is large enough, joining free neighbours on its way;
// so a loop that reserves and releases in any order does not grow for ever.
import { maxMemory } from "../loader/layout.ts";
import { Frame } from "./frame.ts";
import type { Ref, Wasm } from "./module.ts";

const header = 64;
/** Mutable globals: the first address of the heap, set by `plan`, and one past its last block, set to it by every run. */
export const heapStart = "heap.start";
export const heapTop = "heap.top";

/** Reserves `bytes` (an i64): the address of the memory, a multiple of 64, or 0 when there is no room. */
export function reserve(w: Wasm, bytes: Ref): Ref {
  const name = w.helper("heap.reserve", (_, name) => defineReserve(w, name));
  return w.m.call(name, [bytes], w.type.i32);
}
/** Gives a block back. An address below the heap (a buffer that was swapped with one of the arena) is left alone. */
export function release(w: Wasm, address: Ref): Ref {
  const name = w.helper("heap.release", (_, name) => {
    const { m, type } = w;
    const f = new Frame(w, ["i32"]);
    const inside = m.i32.gt_u(f.get(0), m.global.get(heapStart, type.i32));
    const used = m.i32.sub(f.get(0), m.i32.const(header - 4));
    f.define(name, null, [m.if(inside, m.i32.store(0, 4, used, m.i32.const(0)))]);
  });
  return w.m.call(name, [address], w.type.none);
}

function defineReserve(w: Wasm, name: string): void {
  const { m, type } = w;
  const f = new Frame(w, ["i64"]);
  const [p, size, next] = [f.take("i32"), f.take("i32"), f.take("i32")];
  const [need, end] = [f.take("i64"), f.take("i64")];
  const [walk, join, walked, joined] = [w.label(), w.label(), w.label(), w.label()];
  const wide = (x: Ref): Ref => m.i64.extend_u(x);
  const top = (): Ref => m.global.get(heapTop, type.i32);
  const need32 = (): Ref => m.i32.wrap(f.get(need));
  const taken = (): Ref[] => [
    m.i32.store(4, 4, f.get(p), m.i32.const(1)),
    m.return(m.i32.add(f.get(p), m.i32.const(header))),
  ];
  const outOfRange = m.i64.gt_u(f.get(0), m.i64.const(BigInt(maxMemory)));
  const memoryBytes = (): Ref => m.i64.shl(wide(m.memory.size()), m.i64.const(16n));
  const pages = m.i32.wrap(
    m.i64.shr_u(m.i64.add(m.i64.sub(f.get(end), memoryBytes()), m.i64.const(65535n)), m.i64.const(16n)),
  );
  f.define(name, "i32", [
    m.if(outOfRange, m.return(m.i32.const(0))),
    f.set(
      need,
      m.i64.add(m.i64.and(m.i64.add(f.get(0), m.i64.const(63n)), m.i64.const(-64n)), m.i64.const(BigInt(header))),
    ),
    f.set(p, m.global.get(heapStart, type.i32)),
    m.block(walked, [
      m.loop(
        walk,
        m.block(null, [
          m.br_if(walked, m.i32.ge_u(f.get(p), top())),
          f.set(size, m.i32.load(0, 4, f.get(p))),
          m.if(
            m.i32.eqz(m.i32.load(4, 4, f.get(p))),
            m.block(null, [
              m.block(joined, [
                m.loop(
                  join,
                  m.block(null, [
                    f.set(next, m.i32.add(f.get(p), f.get(size))),
                    m.br_if(joined, m.i32.ge_u(f.get(next), top())),
                    m.br_if(joined, m.i32.load(4, 4, f.get(next))),
                    f.set(size, m.i32.add(f.get(size), m.i32.load(0, 4, f.get(next)))),
                    m.i32.store(0, 4, f.get(p), f.get(size)),
                    m.br(join),
                  ]),
                ),
              ]),
              // Free up to the top: the heap ends here.
              m.if(m.i32.ge_u(f.get(next), top()), m.block(null, [m.global.set(heapTop, f.get(p)), m.br(walked)])),
              m.if(
                m.i64.ge_u(wide(f.get(size)), f.get(need)),
                m.block(null, [
                  // The rest stays free; it is a multiple of 64, so it has room for a header or is nothing.
                  m.if(
                    m.i64.gt_u(wide(f.get(size)), f.get(need)),
                    m.block(null, [
                      f.set(next, m.i32.add(f.get(p), need32())),
                      m.i32.store(0, 4, f.get(next), m.i32.sub(f.get(size), need32())),
                      m.i32.store(4, 4, f.get(next), m.i32.const(0)),
                      m.i32.store(0, 4, f.get(p), need32()),
                    ]),
                  ),
                  ...taken(),
                ]),
              ),
            ]),
          ),
          f.set(p, m.i32.add(f.get(p), f.get(size))),
          m.br(walk),
        ]),
      ),
    ]),
    f.set(p, top()),
    f.set(end, m.i64.add(wide(top()), f.get(need))),
    m.if(m.i64.gt_u(f.get(end), m.i64.const(BigInt(maxMemory))), m.return(m.i32.const(0))),
    m.if(
      m.i64.gt_u(f.get(end), memoryBytes()),
      m.if(m.i32.eq(m.memory.grow(pages), m.i32.const(-1)), m.return(m.i32.const(0))),
    ),
    m.global.set(heapTop, m.i32.wrap(f.get(end))),
    m.i32.store(0, 4, f.get(p), need32()),
    ...taken(),
    m.unreachable(),
  ]);
}
