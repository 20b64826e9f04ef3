// The linear memory of a compiled program: [0, 256) reserved | io table | static tables | weights | prepared | arena | heap.
// Every region starts at a multiple of 256. The wasm and the js target share this layout, and the loader reads the table.
import { assert, must } from "../../src/base/assert.ts";
import type { BufferId } from "../../src/base/brand.ts";
import { userError } from "../../src/base/diagnostics.ts";
import type { Dim } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import type { Program } from "../../src/ir/program.ts";
import { elementBytes } from "../../src/ir/types.ts";

/** One past the highest address that a program may use: 4 GiB less one page, so that an end always fits in 32 bits. */
export const maxMemory: number = 2 ** 32 - 2 ** 16;
/** What plan returns, an unsigned number, when requirement `k` of the program does not hold: no end of memory. */
export function refusal(k: number): number {
  return 2 ** 32 - 1 - Math.min(k, 2 ** 16 - 2);
}

/** Byte addresses of the regions. `end` is where the arena begins plus its size when that is static, else where it begins. */
export type LinearLayout = {
  readonly table: number;
  readonly statics: number;
  readonly weights: number;
  readonly prepared: number;
  readonly arena: number;
  readonly end: number;
  /** For each input, then each output: the byte address of its row in the table, [address, dim 0, dim 1, ...]. */
  readonly rows: readonly number[];
};

const align256 = (n: number): number => Math.ceil(n / 256) * 256;

function fixed(d: Dim, what: string): number {
  const n = D.known(d);
  assert(n !== null, `the size of ${what} depends on a symbol: ${d.key}`);
  return n;
}

/** Places the regions; `staticBytes` is room for a target's own constant tables. E303 when the static part is over 4 GiB. */
export function linearLayout(p: Program, staticBytes = 0): LinearLayout {
  const table = 256;
  let at = table;
  const rows = [...p.inputs, ...p.outputs].map((port) => {
    const row = at;
    at += 4 * (1 + must(p.buffers.get(port.buffer), `buffer of ${port.name}`).shape.length);
    return row;
  });
  const statics = Math.ceil(at / 16) * 16;
  const weights = align256(statics + staticBytes);
  const prepared = align256(weights + fixed(p.plan.sizes.weights, "the weights"));
  const arena = align256(prepared + fixed(p.plan.sizes.prepared, "the prepared buffers"));
  const end = arena + (D.known(p.plan.sizes.arena) ?? 0);
  if (end > maxMemory) throw userError("E303", `the model needs ${end} bytes of memory; a 32-bit memory ends at 4 GiB`);
  return { table, statics, weights, prepared, arena, end, rows };
}

/** Where a buffer lies: at byte `offset` from address 0 (base null), or from the address of buffer `base`. */
export type Place = { readonly base: BufferId | null; readonly offset: Dim };

/**
 * Follows the roots of a buffer up to a region, or to a buffer for which `stop` holds (one whose address is kept in a variable).
 * A heap buffer's offset is the symbol that `reserve` binds: an absolute address.
 */
export function placeOf(
  p: Program,
  layout: LinearLayout,
  id: BufferId,
  stop: (id: BufferId) => boolean = () => false,
): Place {
  const terms: Dim[] = [];
  for (let at = id; ; ) {
    if (stop(at)) return { base: at, offset: D.add(D.zero, ...terms) };
    const buffer = must(p.buffers.get(at), `buffer ${at}`);
    const { root, offset: elements } = buffer.storage ?? { root: null, offset: D.zero };
    terms.push(D.mul(elements, D.int(elementBytes(buffer.dtype))));
    if (root !== null) {
      at = root;
      continue;
    }
    const { region, offset } = must(p.plan.offsets.get(at), `place of buffer ${buffer.name} in the memory plan`);
    assert(region !== "io", `buffer ${buffer.name} is the caller's: inputs and outputs must lie in the arena`);
    return { base: null, offset: D.add(D.int(region === "heap" ? 0 : layout[region]), offset, ...terms) };
  }
}
