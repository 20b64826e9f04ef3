// What holds for the tables and the actions of both T and P.
import type { BufferId, SymbolId } from "../base/brand.ts";
import type { Dim, Sym } from "./dim.ts";
import * as D from "./dim.ts";
import type { Kernel } from "./loops.ts";
import { type Action, heapSymbol, type MemoryPlan } from "./program.ts";
import { type Buffer, isRowMajor } from "./storage.ts";
import type { Port } from "./te.ts";
import { cellType, type DType, elementBytes, type Tensor } from "./types.ts";
import type { Place } from "./verify-expr.ts";

export type Buffers = ReadonlyMap<BufferId, Buffer>;
type Tables = {
  readonly symbols: readonly Sym[];
  readonly buffers: Buffers;
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly constants: ReadonlyMap<BufferId, Tensor>;
};

/** The symbol of the run's seed, always bound. */
export const seed: SymbolId = "$seed" as SymbolId;

/** False when the two are known to differ for every value of their symbols. */
export function mayEqual(a: Dim, b: Dim): boolean {
  const d = D.sub(a, b);
  return d.kind !== "int" || d.value === 0;
}
export function checkDims(ds: readonly Dim[], bound: ReadonlySet<SymbolId>, at: Place): void {
  for (const d of ds)
    for (const s of D.symbolsOf(d)) at.require(bound.has(s), `symbol "${s}" of ${d.key} is not bound here`);
}
/** The buffer whose memory this one lies in (itself when it has no root). */
export function rootOf(buffers: Buffers, id: BufferId): Buffer {
  let b = buffers.get(id)!;
  for (let root = b.storage?.root ?? null; root !== null; root = b.storage?.root ?? null) b = buffers.get(root)!;
  return b;
}

/** Symbols once, storage and parts well-formed, ports row-major, constants of the right size. */
export function checkTables(p: Tables, place: Place): void {
  p.symbols.forEach((s, n) => {
    place.require(p.symbols.findIndex((x) => x.id === s.id) === n, `symbol "${s.id}" is declared twice`);
    place.require(s.max === null || s.min <= s.max, `symbol "${s.id}" lies in ${s.min}..${s.max}`);
  });
  for (const [id, b] of p.buffers) {
    const at = place.in(`buffer ${id} "${b.name}"`);
    at.require(b.id === id, `is filed under another id than its own, ${b.id}`);
    checkStorage(b, p.buffers, at);
  }
  for (const [kind, ports] of [
    ["input", p.inputs],
    ["output", p.outputs],
  ] as const) {
    ports.forEach((x, n) => {
      const at = place.in(`${kind} "${x.name}"`);
      at.require(ports.findIndex((y) => y.name === x.name) === n, "has the name of another");
      const b = p.buffers.get(x.buffer) ?? at.fail(`is buffer #${x.buffer}, which does not exist`);
      at.require(isRowMajor(b), `buffer "${b.name}" is not dense and row-major`);
    });
  }
  for (const [id, t] of p.constants) {
    const at = place.in(`constant of buffer #${id}`);
    const b = p.buffers.get(id) ?? at.fail("is of a buffer that does not exist");
    at.require(b.scope === "weights", `is of "${b.name}", whose scope is ${b.scope}`);
    at.require(cellType(t.dtype) === cellType(b.dtype), `is ${t.dtype} but "${b.name}" ${b.dtype}`);
    // A tensor holds its elements in row-major order; the storage only says where they go.
    const size = D.mul(D.product(b.shape), D.int(elementBytes(b.dtype)));
    at.require(D.known(size) === t.bytes.length, `has ${t.bytes.length} bytes but "${b.name}" ${size.key}`);
  }
}

function checkStorage(b: Buffer, buffers: Buffers, at: Place): void {
  const rank = b.shape.length;
  for (const d of b.shape) at.require((D.known(d) ?? 0) >= 0, `has a dim of ${d.key}`);
  if (b.inside) {
    const whole = buffers.get(b.inside.of) ?? at.fail(`is a part of buffer #${b.inside.of}, which does not exist`);
    at.require(
      whole.id !== b.id && whole.dtype === b.dtype && whole.shape.length === rank,
      `is a part of "${whole.name}", which has another dtype or rank`,
    );
    at.require(
      b.inside.offset.length === rank && b.inside.step.length === rank,
      "has a part's offset or step of another rank",
    );
  }
  const s = b.storage;
  if (s === null) return;
  at.require(s.strides.length === rank, `has ${s.strides.length} strides but rank ${rank}`);
  s.blocks.forEach((x, n) => {
    at.require(
      x.axis >= 0 && x.axis < rank && Number.isInteger(x.by) && x.by >= 1,
      `has a block of ${x.by} on axis ${x.axis}`,
    );
    at.require(s.blocks.findIndex((y) => y.axis === x.axis) === n, `has two blocks on axis ${x.axis}`);
  });
  const seen = new Set([b.id]);
  for (let root = s.root; root !== null; root = buffers.get(root)!.storage?.root ?? null) {
    const r = buffers.get(root) ?? at.fail(`lies in buffer #${root}, which does not exist`);
    at.require(!seen.has(root), "lies in itself");
    seen.add(root);
    at.require(elementBytes(r.dtype) === elementBytes(b.dtype), `is ${b.dtype} but lies in "${r.name}" of ${r.dtype}`);
  }
}

/**
 * Arguments exist and fit their parameters: number, dtype of the cells, rank, and where they are known the dims and, for storage
 * that both have, the strides. `dim` gives the value of a kernel's dim in the caller's symbols, or null; `cell` what a buffer's
 * elements are stored as.
 */
export function checkArgs(
  k: Kernel,
  args: readonly BufferId[],
  buffers: Buffers,
  dim: (id: SymbolId) => Dim | null,
  at: Place,
  cell: (d: DType) => DType = cellType,
): void {
  at.require(args.length === k.params.length, `has ${args.length} arguments, not ${k.params.length}`);
  const same = (a: Dim, b: Dim): boolean => mayEqual(D.substitute(a, dim), b);
  args.forEach((id, n) => {
    const want = k.params[n]!;
    const here = at.in(`argument ${n} "${want.name}"`);
    const b = buffers.get(id) ?? here.fail(`is buffer #${id}, which does not exist`);
    here.require(cellType(want.dtype) === cell(b.dtype), `is "${b.name}" of ${b.dtype}, not ${want.dtype}`);
    here.require(
      want.shape.length === b.shape.length,
      `is "${b.name}" of rank ${b.shape.length}, not ${want.shape.length}`,
    );
    for (const [a, d] of want.shape.entries())
      here.require(same(d, b.shape[a]!), `is "${b.name}", whose dim ${a} is ${b.shape[a]!.key}, not ${d.key}`);
    if (want.storage === null || b.storage === null) return;
    const [x, y] = [want.storage, b.storage];
    x.strides.forEach((d, a) => {
      const fits = D.known(b.shape[a]!) === 1 || same(d, y.strides[a]!);
      here.require(fits, `is "${b.name}", whose stride ${a} is ${y.strides[a]!.key}, not ${d.key}`);
    });
    const blocks =
      x.blocks.length === y.blocks.length &&
      x.blocks.every((q) => y.blocks.some((r) => r.axis === q.axis && r.by === q.by && same(q.stride, r.stride)));
    here.require(blocks, `is "${b.name}", which has other blocks`);
  });
}

type State = { readonly symbols: Set<SymbolId>; readonly reserved: Set<BufferId> };

/** Walks actions in order with what is bound and reserved; `call` checks a call. A plan makes it check places and reservations. */
export class ActionVerifier<C> {
  private readonly p: Tables;
  private readonly plan: MemoryPlan | null;
  private readonly call: (
    c: C,
    bound: ReadonlySet<SymbolId>,
    at: Place,
    use: (id: BufferId, at: Place) => void,
  ) => void;

  constructor(p: Tables, plan: MemoryPlan | null, call: ActionVerifier<C>["call"]) {
    this.p = p;
    this.plan = plan;
    this.call = call;
  }
  /** Returns what is bound after the actions. */
  run(list: readonly Action<C>[], bound: ReadonlySet<SymbolId>, place: Place): ReadonlySet<SymbolId> {
    const state: State = { symbols: new Set(bound), reserved: new Set() };
    this.derive(state.symbols);
    this.list(list, state, place);
    return state.symbols;
  }
  private list(list: readonly Action<C>[], state: State, place: Place): void {
    for (const [n, a] of list.entries()) this.action(a, state, place.in(`action ${n}`));
  }
  /** In T a derived symbol is bound as soon as those of its definition are; in P a `dim` action binds it. */
  private derive(symbols: Set<SymbolId>): void {
    if (this.plan !== null) return;
    for (const s of this.p.symbols) {
      if (s.def !== null && s.def !== "data" && [...D.symbolsOf(s.def)].every((x) => symbols.has(x))) symbols.add(s.id);
    }
  }
  private use(id: BufferId, state: State, at: Place, dtypes?: readonly DType[]): Buffer {
    const b = this.p.buffers.get(id) ?? at.fail(`uses buffer #${id}, which does not exist`);
    if (dtypes) at.require(dtypes.includes(b.dtype), `reads "${b.name}" of ${b.dtype}`);
    if (this.plan === null) return b;
    const root = rootOf(this.p.buffers, id);
    at.require(
      this.plan.offsets.has(root.id),
      `uses "${b.name}", whose memory "${root.name}" has no place in the plan`,
    );
    at.require(root.scope !== "heap" || state.reserved.has(root.id), `uses "${b.name}", which is not reserved here`);
    return b;
  }
  private declared(id: SymbolId, at: Place): void {
    at.require(
      this.p.symbols.some((s) => s.id === id),
      `binds symbol "${id}", which is not declared`,
    );
  }

  private action(a: Action<C>, state: State, at: Place): void {
    switch (a.kind) {
      case "call":
        this.call(a.call, state.symbols, at, (id, here) => void this.use(id, state, here));
        return;
      case "dim": {
        const here = at.in(`dim "${a.id}"`);
        this.declared(a.id, here);
        here.require(a.max === null || a.min <= a.max, `lies in ${a.min}..${a.max}`);
        if ("value" in a.from) checkDims([a.from.value], state.symbols, here);
        else {
          this.use(a.from.buffer, state, here, ["i32", "i64"]);
          checkDims([a.from.index], state.symbols, here);
        }
        state.symbols.add(a.id);
        this.derive(state.symbols);
        for (const [id, { region, offset }] of this.plan?.offsets ?? [])
          if (region === "heap" && offset === D.sym(a.id)) state.reserved.add(id);
        return;
      }
      case "reserve": {
        const b = this.p.buffers.get(a.buffer) ?? at.fail(`reserves buffer #${a.buffer}, which does not exist`);
        at.require(b.scope === "heap" && !b.storage?.root, `reserves "${b.name}", which is no heap buffer`);
        at.require(!state.reserved.has(b.id), `reserves "${b.name}" twice`);
        checkDims([b.storage?.size ?? D.product(b.shape)], state.symbols, at.in(`reserve "${b.name}"`));
        state.reserved.add(b.id);
        const offset = this.plan?.offsets.get(b.id)?.offset;
        if (this.plan === null) state.symbols.add(heapSymbol(b.id));
        else if (offset?.kind === "sym") state.symbols.add(offset.id);
        return;
      }
      case "release":
        at.require(state.reserved.delete(a.buffer), `releases buffer #${a.buffer}, which is not reserved`);
        return;
      case "if": {
        this.use(a.cond, state, at.in("if"), ["bool"]);
        const branches = [a.then, a.otherwise].map((list, n) => {
          const inner: State = { symbols: new Set(state.symbols), reserved: new Set(state.reserved) };
          this.list(list, inner, at.in(n === 0 ? "if" : "else"));
          return inner;
        });
        const [x, y] = branches as [State, State];
        for (const s of x.symbols) if (y.symbols.has(s)) state.symbols.add(s);
        for (const b of [...state.reserved, ...x.reserved]) {
          if (x.reserved.has(b) && y.reserved.has(b)) state.reserved.add(b);
          else state.reserved.delete(b);
        }
        return;
      }
      case "loop": {
        const here = at.in(`loop "${a.counter}"`);
        this.declared(a.counter, here);
        if (a.trip) checkDims([a.trip], state.symbols, here);
        if (a.cond !== null) this.use(a.cond, state, here, ["bool"]);
        const inner: State = { symbols: new Set([...state.symbols, a.counter]), reserved: new Set(state.reserved) };
        this.list(a.body, inner, here);
        // The body may reserve what it leaves for the next iteration.
        for (const [x, y] of a.swap) {
          const [bx, by] = [this.use(x, inner, here), this.use(y, inner, here)];
          const alike = x !== y && bx.dtype === by.dtype && bx.shape.length === by.shape.length;
          here.require(alike, `swaps "${bx.name}" and "${by.name}", which are not alike`);
        }
        for (const b of state.reserved) if (!inner.reserved.has(b)) state.reserved.delete(b);
      }
    }
  }
}
