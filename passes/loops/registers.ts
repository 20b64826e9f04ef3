// Turns the accumulators of a kernel into local variables: after unrolling every access to a register buffer is at a constant index,
// alone or as a vector, so each element or vector gets a buffer of its own. One that is accessed otherwise moves to memory (stack).
import type { BufferId } from "../../src/base/brand.ts";
import * as D from "../../src/ir/dim.ts";
import { constant } from "../../src/ir/expr.ts";
import type { LoopExpr, Stmt } from "../../src/ir/loops.ts";
import { exprsOf, mapExpr, mapStmt, visitExpr, visitStmt } from "../../src/ir/rewrite.ts";
import { type Buffer, dense } from "../../src/ir/storage.ts";

type Access = { readonly base: number; readonly lanes: number };
function accessOf(index: LoopExpr): Access | null {
  if (index.kind === "const") return { base: Number(index.value), lanes: 1 };
  if (index.kind === "ramp" && index.base.kind === "const" && index.stride === 1)
    return { base: Number(index.base.value), lanes: index.lanes };
  return null;
}

export function registers(body: Stmt, freshBuffer: () => BufferId): Stmt {
  const accesses = new Map<BufferId, Map<number, number> | null>();
  const note = (id: BufferId, index: LoopExpr): void => {
    if (!accesses.has(id)) return;
    const cells = accesses.get(id)!;
    const a = accessOf(index);
    if (cells === null) return;
    if (a === null || (cells.has(a.base) && cells.get(a.base) !== a.lanes)) accesses.set(id, null);
    else cells.set(a.base, a.lanes);
  };
  visitStmt(body, (s) => {
    if (s.kind === "alloc" && s.buffer.scope === "register") accesses.set(s.buffer.id, new Map());
  });
  visitStmt(body, (s) => {
    if (s.kind === "store") note(s.buffer, s.index[0]!);
    for (const e of exprsOf(s))
      visitExpr(e, (x) => {
        if (x.kind === "load") note(x.buffer, x.index[0] as LoopExpr);
      });
  });
  // Units must not overlap: lanes 0..3 as a vector and 2 alone cannot be locals.
  const units = new Map<BufferId, Map<number, Buffer>>();
  const byId = new Map<BufferId, Buffer>();
  visitStmt(body, (s) => {
    if (s.kind === "alloc") byId.set(s.buffer.id, s.buffer);
  });
  for (const [id, cells] of accesses) {
    if (cells === null) continue;
    const sorted = [...cells].sort((x, y) => x[0] - y[0]);
    if (sorted.some(([b, l], k) => k + 1 < sorted.length && b + l > sorted[k + 1]![0])) continue;
    const whole = byId.get(id)!;
    units.set(
      id,
      new Map(
        sorted.map(([b, l]) => {
          const shape = l === 1 ? [] : [D.int(l)];
          return [
            b,
            {
              id: freshBuffer(),
              name: sorted.length === 1 ? whole.name : `${whole.name}.${b}`,
              dtype: whole.dtype,
              shape,
              scope: "register",
              storage: dense(shape),
            } satisfies Buffer,
          ];
        }),
      ),
    );
  }
  const zeroIndex = (lanes: number): LoopExpr =>
    lanes === 1 ? constant("i32", 0) : { kind: "ramp", base: constant("i32", 0), stride: 1, lanes, dtype: "i32" };
  const target = (id: BufferId, index: LoopExpr): { buffer: BufferId; index: LoopExpr } | null => {
    const own = units.get(id);
    const a = own && accessOf(index);
    return a ? { buffer: own.get(a.base)!.id, index: zeroIndex(a.lanes) } : null;
  };
  const memo = new Map<LoopExpr, LoopExpr>();
  const expr = (e: LoopExpr): LoopExpr =>
    mapExpr<LoopExpr>(
      e,
      (x) => {
        if (x.kind !== "load") return x;
        const t = target(x.buffer, x.index[0]!);
        return t ? { ...x, buffer: t.buffer, index: [t.index] } : x;
      },
      memo,
    );
  return mapStmt(
    body,
    (s) => {
      if (s.kind === "store") {
        const t = target(s.buffer, s.index[0]!);
        return t ? { ...s, buffer: t.buffer, index: [t.index] } : s;
      }
      if (s.kind !== "alloc" || s.buffer.scope !== "register") return s;
      const own = units.get(s.buffer.id);
      if (!own) return { ...s, buffer: { ...s.buffer, scope: "stack" } };
      return [...own.values()].reduceRight<Stmt>((b, buffer) => ({ kind: "alloc", buffer, body: b }), s.body);
    },
    expr,
  );
}
