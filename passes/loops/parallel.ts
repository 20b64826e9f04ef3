// Settles which loops threads share: of the loops that a schedule (or an op) has marked parallel, the outermost, where the work is worth
// it. Loops of few iterations take the next one in, so that there is something to share; memory of an iteration's own becomes one
// piece for each part of the loop. What an iteration computes stays the same, so results do not depend on the number of threads.
import type { BufferId } from "../../src/base/brand.ts";
import type { Dim } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import { constant, ofDim, toDim } from "../../src/ir/expr.ts";
import type { For, LoopExpr, Stmt } from "../../src/ir/loops.ts";
import { mapExpr, mapStmt, visitExpr, visitStmt } from "../../src/ir/rewrite.ts";
import { type Buffer, dense } from "../../src/ir/storage.ts";
import { work } from "./work.ts";

/** Work, about in instructions, from which on threads gain more than waking them costs: some five microseconds of one. */
const worthwhile = 1 << 15;
/** A loop of fewer iterations takes an inner one in. */
const fewIterations = 24;
/** Into how many parts a loop falls whose iterations need memory of their own. */
const mostParts = 16;

type Let = { readonly name: string; readonly value: LoopExpr };

/** Leaves `parallel` on the loops that threads share: outside of all other loops, none inside another. */
export function parallel(body: Stmt, freshBuffer: () => BufferId): Stmt {
  const settle = (s: Stmt): Stmt => {
    switch (s.kind) {
      case "seq":
        return { ...s, body: s.body.map(settle) };
      case "let":
        return hasLoad(s.value) ? serial(s) : { ...s, body: settle(s.body) };
      case "alloc":
        // Memory is the kernel's before long; registers are one thread's.
        return s.buffer.scope === "stack" ? { ...s, body: settle(s.body) } : serial(s);
      case "for":
        if (s.loop !== "parallel" || work(s) < worthwhile) return serial(s);
        return ownMemory(merged(s), freshBuffer);
      default:
        return serial(s);
    }
  };
  return settle(body);
}

function serial(s: Stmt): Stmt {
  return mapStmt(
    s,
    (x) => (x.kind === "for" && x.loop === "parallel" ? { ...x, loop: "serial" } : x),
    (e) => e,
  );
}
function hasLoad(e: LoopExpr): boolean {
  let found = false;
  visitExpr(e, (x) => {
    if (x.kind === "load") found = true;
  });
  return found;
}

/** The number of iterations of a loop. */
function iterations(s: For): Dim | null {
  const extent = toDim(s.extent);
  return extent && D.ceildiv(extent, D.int(s.step));
}

/** One loop over the iterations of this one and of the parallel loops that stand alone in it, as long as there are few. */
function merged(outer: For): For {
  const loop = apart(outer);
  const count = iterations(loop);
  const known = count && D.known(count);
  if (known === null || known >= fewIterations) return { ...loop, body: serial(loop.body) };
  const lets: Let[] = [];
  let inner: Stmt = loop.body;
  for (; inner.kind === "let" && !hasLoad(inner.value); inner = inner.body) lets.push(inner);
  if (inner.kind !== "for" || inner.loop !== "parallel") return { ...loop, body: serial(loop.body) };
  const next = merged(inner);
  const more = iterations(next);
  if (more === null || dependsOn(next.extent, [loop.v, ...lets.map((l) => l.name)]))
    return { ...loop, body: serial(loop.body) };
  const v = `${loop.v}&${next.v}`;
  const at = (n: Dim, step: number): LoopExpr => ofDim(D.mul(n, D.int(step)));
  const all: Let[] = [
    { name: loop.v, value: at(D.floordiv(D.sym(v), more), loop.step) },
    ...lets,
    { name: next.v, value: at(D.mod(D.sym(v), more), next.step) },
  ];
  return {
    kind: "for",
    v,
    extent: ofDim(D.mul(count!, more)),
    step: 1,
    loop: "parallel",
    body: within(all, next.body),
  };
}
function within(lets: readonly Let[], body: Stmt): Stmt {
  return lets.reduceRight<Stmt>((b, l) => ({ kind: "let", name: l.name, value: l.value, body: b }), body);
}
function dependsOn(e: LoopExpr, names: readonly string[]): boolean {
  let found = false;
  visitExpr(e, (x) => {
    if (x.kind === "var" && names.includes(x.name)) found = true;
  });
  return found;
}

/**
 * A loop whose last iteration starts early, at `min(v, last)`, computes some elements twice: those two iterations become one, so that
 * no two threads write the same element.
 */
function apart(loop: For): For {
  const { v, step, body } = loop;
  const extent = loop.extent.kind === "const" ? Number(loop.extent.value) : null;
  if (body.kind !== "let" || extent === null) return loop;
  const at = toDim(body.value);
  const last = at?.kind === "min" && at.terms.length === 2 ? at.terms.find((t) => t.kind === "int") : undefined;
  if (!last || !at || !D.symbolsOf(at).has(v as never) || last.value % step === 0) return loop;
  const end = (Math.ceil(extent / step) - 1) * step;
  const both = `${v}.both`;
  const extentOf: LoopExpr = {
    kind: "select",
    dtype: "i32",
    cond: { kind: "binary", op: "lt", dtype: "bool", a: ofDim(D.sym(v)), b: constant("i32", end - step) },
    a: constant("i32", step),
    b: constant("i32", 2 * step),
  };
  const value = ofDim(D.min(D.add(D.sym(v), D.sym(both)), last));
  return {
    ...loop,
    extent: constant("i32", end),
    body: { kind: "for", v: both, extent: extentOf, step, loop: "serial", body: { ...body, value } },
  };
}

/** Memory that an iteration allocates becomes a piece for each of a few parts of the loop, which threads share instead. */
function ownMemory(loop: For, freshBuffer: () => BufferId): Stmt {
  const locals: Buffer[] = [];
  visitStmt(loop.body, (s) => {
    if (s.kind === "alloc" && s.buffer.scope === "stack") locals.push(s.buffer);
  });
  if (locals.length === 0) return loop;
  const count = iterations(loop);
  if (count === null) return serial(loop);
  const parts = Math.min(D.known(count) ?? mostParts, mostParts);
  const part = `${loop.v}.part`;
  const pieces = new Map<BufferId, { readonly buffer: Buffer; readonly offset: Dim }>();
  for (const b of locals) {
    const shape = [D.int(parts), ...b.shape];
    const buffer: Buffer = { ...b, id: freshBuffer(), shape, storage: dense(shape) };
    pieces.set(b.id, { buffer, offset: D.mul(D.sym(part), D.product(b.shape)) });
  }
  // Parts differ by one iteration at most.
  const [share, more] = [D.floordiv(count, D.int(parts)), D.mod(count, D.int(parts))];
  const start = (k: Dim): Dim => D.add(D.mul(k, share), more === D.zero ? D.zero : D.min(k, more));
  const first = start(D.sym(part));
  const own = D.sub(start(D.add(D.sym(part), D.one)), first);
  const iteration = (n: Dim): Stmt =>
    within([{ name: loop.v, value: ofDim(D.mul(D.add(first, n), D.int(loop.step))) }], moved(loop.body, pieces));
  const n = `${loop.v}.n`;
  const body: Stmt =
    own === D.one
      ? iteration(D.zero)
      : { kind: "for", v: n, extent: ofDim(own), step: 1, loop: "serial", body: iteration(D.sym(n)) };
  const shared: Stmt = { kind: "for", v: part, extent: constant("i32", parts), step: 1, loop: "parallel", body };
  return [...pieces.values()].reduceRight<Stmt>((b, { buffer }) => ({ kind: "alloc", buffer, body: b }), shared);
}
/** A body with its own memory in pieces of other buffers. */
function moved(body: Stmt, pieces: ReadonlyMap<BufferId, { readonly buffer: Buffer; readonly offset: Dim }>): Stmt {
  const plus = (i: LoopExpr, offset: Dim): LoopExpr =>
    i.kind === "ramp"
      ? { ...i, base: plus(i.base, offset) }
      : { kind: "binary", op: "add", dtype: "i32", a: i, b: ofDim(offset) };
  const memo = new Map<LoopExpr, LoopExpr>();
  return mapStmt(
    body,
    (s) => {
      if (s.kind === "alloc" && pieces.has(s.buffer.id)) return s.body;
      const p = s.kind === "store" ? pieces.get(s.buffer) : undefined;
      return s.kind === "store" && p ? { ...s, buffer: p.buffer.id, index: [plus(s.index[0]!, p.offset)] } : s;
    },
    (e) =>
      mapExpr<LoopExpr>(
        e,
        (x) => {
          const p = x.kind === "load" ? pieces.get(x.buffer) : undefined;
          return x.kind === "load" && p ? { ...x, buffer: p.buffer.id, index: [plus(x.index[0]!, p.offset)] } : x;
        },
        memo,
      ),
  );
}
