// The memory plan: every buffer has a place that is known when it is needed, and which buffers share memory for certain.
import type { BufferId, SymbolId } from "../base/brand.ts";
import type { Dim } from "./dim.ts";
import * as D from "./dim.ts";
import type { Program, Region } from "./program.ts";
import { type Buffer, isRowMajor, type Scope } from "./storage.ts";
import { type Cells, cellBytes } from "./target.ts";
import { checkDims, rootOf } from "./verify-actions.ts";
import type { Place } from "./verify-expr.ts";

const regions: Readonly<Partial<Record<Scope, readonly Region[]>>> = {
  io: ["io", "arena"],
  weights: ["weights"],
  prepared: ["prepared"],
  arena: ["arena"],
  heap: ["heap"],
};

/** `bound`: the symbols that are read from the inputs' shapes, all that the plan may depend on. */
export function checkPlan(p: Program, cells: Cells, bound: ReadonlySet<SymbolId>, place: Place): void {
  const { lets, offsets, sizes, lowerBound } = p.plan;
  const known = new Set(bound);
  for (const l of lets) {
    const at = place.in(`let "${l.id}"`);
    at.require(!known.has(l.id), "is bound already");
    checkDims([l.value], known, at);
    known.add(l.id);
  }
  checkDims([sizes.weights, sizes.prepared, sizes.arena, lowerBound], known, place.in("sizes"));
  for (const [id, { region, offset }] of offsets) {
    const b = p.buffers.get(id) ?? place.fail(`places buffer #${id}, which does not exist`);
    const at = place.in(`buffer "${b.name}"`);
    at.require((b.storage?.root ?? null) === null, "has a place of its own and a root");
    at.require(regions[b.scope]?.includes(region) ?? false, `of scope ${b.scope} lies in region ${region}`);
    if (region === "heap") {
      at.require(
        offset.kind === "sym" && !known.has(offset.id),
        `lies at ${offset.key}, which is no symbol for reserve to bind`,
      );
      continue;
    }
    checkDims([offset], known, at);
    const start = D.known(offset);
    at.require(
      start !== null || region === "arena" || region === "io",
      `of ${region} lies at ${offset.key}, which depends on dims`,
    );
    if (start === null) continue;
    at.require(start >= 0 && start % cellBytes(b.dtype, cells) === 0, `of ${b.dtype} lies at byte ${start}`);
    if (region === "io") continue;
    const over = D.sub(D.add(offset, bytesOf(b, cells)), sizes[region]);
    at.require((D.known(over) ?? 0) <= 0, `ends ${over.key} bytes after its region`);
  }
}

function bytesOf(b: Buffer, cells: Cells): Dim {
  return D.mul(b.storage?.size ?? D.product(b.shape), D.int(cellBytes(b.dtype, cells)));
}

/** True when two buffers are known to have memory in common, whatever the dims are; false when they need not. */
export function sharesMemory(p: Program, cells: Cells, a: BufferId, b: BufferId): boolean {
  if (a === b) return true;
  const [x, y] = [rangeOf(p, cells, a), rangeOf(p, cells, b)];
  if (x.root === y.root) {
    // A part and its whole.
    if (x.root === a || x.root === b) return nonEmpty(x) && nonEmpty(y);
    return overlaps(x, y);
  }
  const [px, py] = [p.plan.offsets.get(x.root), p.plan.offsets.get(y.root)];
  if (!px || !py || px.region !== py.region || px.region === "io") return false;
  return overlaps({ ...x, start: D.add(px.offset, x.start) }, { ...y, start: D.add(py.offset, y.start) });
}

/** Bytes from the start of the root's memory; length null: the elements do not fill a range. */
type ByteRange = { readonly root: BufferId; readonly start: Dim; readonly length: Dim | null };
function rangeOf(p: Program, cells: Cells, id: BufferId): ByteRange {
  const terms: Dim[] = [];
  const b = p.buffers.get(id)!;
  for (let at = b; at.storage && at.storage.root !== null; at = p.buffers.get(at.storage.root)!)
    terms.push(D.mul(at.storage.offset, D.int(cellBytes(at.dtype, cells))));
  const root = rootOf(p.buffers, id);
  const length =
    root === b ? bytesOf(b, cells) : isRowMajor(b) ? D.mul(D.product(b.shape), D.int(cellBytes(b.dtype, cells))) : null;
  return { root: root.id, start: D.add(D.zero, ...terms), length };
}
function nonEmpty(r: ByteRange): boolean {
  return r.length === null || (D.known(r.length) ?? 1) > 0;
}
function overlaps(x: ByteRange, y: ByteRange): boolean {
  if (!nonEmpty(x) || !nonEmpty(y)) return false;
  if (x.start === y.start) return true;
  // Where one begins after the other, it has to begin before the other's end.
  const gap = D.known(D.sub(y.start, x.start));
  if (gap === null) return false;
  const length = gap > 0 ? x.length : y.length;
  return length !== null && D.known(length) !== null && Math.abs(gap) < D.known(length)!;
}
