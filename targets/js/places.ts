// Symbols, dims and addresses of a program as identifiers and text.
import { assert, must } from "../../src/base/assert.ts";
import type { BufferId, SymbolId } from "../../src/base/brand.ts";
import type { Dim } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import type { Action, Call, Program } from "../../src/ir/program.ts";
import type { Buffer } from "../../src/ir/storage.ts";
import type { LinearLayout } from "../loader/layout.ts";
import { placeOf } from "../loader/layout.ts";
import { DimPrinter } from "./dims.ts";
import type { Helpers } from "./helpers.ts";
import type { Names } from "./names.ts";

/** All actions of a list, those inside others too. */
export function* everyAction(list: readonly Action<Call>[]): Generator<Action<Call>> {
  for (const a of list) {
    yield a;
    if (a.kind === "if") {
      yield* everyAction(a.then);
      yield* everyAction(a.otherwise);
    } else if (a.kind === "loop") yield* everyAction(a.body);
  }
}

export class Places {
  readonly #p: Program;
  readonly #layout: LinearLayout;
  readonly #names: Names;
  readonly #printer: DimPrinter;
  /** Identifiers of symbols: variables of the module. */
  readonly symbols: Map<SymbolId, string> = new Map();
  /** Addresses that stay during a run, by identifier: constant, or computed by plan. */
  readonly constant: Map<string, number> = new Map();
  readonly planned: Map<string, string> = new Map();
  /** Buffers whose address changes during a run, heap and swapped ones: its variable. */
  readonly moving: Map<BufferId, string> = new Map();
  /** Moving buffers whose end is kept too, since they or what they swap with may be released. */
  readonly ends: Map<BufferId, string> = new Map();
  /** True when some action reserves. */
  readonly usesHeap: boolean;
  /** Derived symbols that no let, action or binding gives a value: their definition stands for them. */
  readonly #derived = new Map<SymbolId, Dim>();
  /** Symbols that a run binds. */
  readonly #late = new Set<SymbolId>();
  readonly #addresses = new Map<BufferId, string>();

  constructor(p: Program, layout: LinearLayout, names: Names, helpers: Helpers) {
    this.#p = p;
    this.#layout = layout;
    this.#names = names;
    this.#printer = new DimPrinter(helpers, (id) => this.symbol(id));
    for (const b of p.bindings) this.symbol(b.id);

    const actions = [...everyAction(p.init), ...everyAction(p.run)];
    const swaps = actions.flatMap((a) => (a.kind === "loop" ? a.swap : []));
    for (const a of actions) {
      if (a.kind === "dim") this.#late.add(a.id);
      else if (a.kind === "loop") this.#late.add(a.counter);
      else if (a.kind === "reserve") this.#move(a.buffer);
    }
    for (const b of swaps.flat()) this.#move(b);
    this.usesHeap = actions.some((a) => a.kind === "reserve");
    // A released buffer may hold what any buffer that it swaps with held.
    const released = actions.flatMap((a) => (a.kind === "release" ? [a.buffer] : []));
    for (let i = 0; i < released.length; i++) {
      const b = released[i]!;
      if (this.ends.has(b)) continue;
      this.ends.set(b, names.unique(`${this.buffer(b).name}_end`));
      for (const pair of swaps) if (pair.includes(b)) released.push(...pair);
    }
    const bound = new Set<SymbolId>([...p.bindings.map((b) => b.id), ...p.plan.lets.map((l) => l.id), ...this.#late]);
    for (const { id, def } of p.symbols)
      if (def !== null && def !== "data" && !bound.has(id)) this.#derived.set(id, def);
  }
  #move(id: BufferId): void {
    if (this.moving.has(id)) return;
    const b = this.buffer(id);
    assert((b.storage?.root ?? null) === null, `js: ${b.name} moves during a run but is a part of another buffer`);
    const address = this.#names.unique(b.name);
    this.moving.set(id, address);
    const place = must(this.#p.plan.offsets.get(id), `place of ${b.name}`);
    if (place.region !== "heap") return;
    assert(place.offset.kind === "sym", `js: the offset of the heap buffer ${b.name} is no symbol`);
    this.symbols.set(place.offset.id, address);
    this.#late.add(place.offset.id);
  }

  buffer(id: BufferId): Buffer {
    return must(this.#p.buffers.get(id), `buffer ${id}`);
  }
  symbol(id: SymbolId): string {
    if (id === "$seed") return "seed";
    const old = this.symbols.get(id);
    if (old !== undefined) return old;
    const name = this.#names.unique(id);
    this.symbols.set(id, name);
    return name;
  }
  /** A Dim over symbols that have values of their own. */
  resolved(d: Dim): Dim {
    if (this.#derived.size === 0) return d;
    const next = D.substitute(d, (id) => this.#derived.get(id) ?? null);
    return next === d ? d : this.resolved(next);
  }
  dim(d: Dim): string {
    return this.#printer.print(this.resolved(d));
  }
  /** NaN when it is not exact. */
  checkedDim(d: Dim): string {
    return this.#printer.checked(this.resolved(d));
  }
  /** True when only a run knows the value. */
  isLate(d: Dim): boolean {
    return [...D.symbolsOf(this.resolved(d))].some((id) => this.#late.has(id));
  }

  /** Where a buffer starts before the run: an absolute byte address. */
  start(id: BufferId): Dim {
    return placeOf(this.#p, this.#layout, id).offset;
  }
  /** True when the address is known only during a run. */
  isLateAddress(id: BufferId): boolean {
    const { base, offset } = placeOf(this.#p, this.#layout, id, (b) => this.moving.has(b));
    return base !== null || this.isLate(offset);
  }
  /** The byte address of a buffer during a run. */
  address(id: BufferId): string {
    const old = this.#addresses.get(id);
    if (old !== undefined) return old;
    const { base, offset } = placeOf(this.#p, this.#layout, id, (b) => this.moving.has(b));
    let text: string;
    if (base !== null) {
      const from = must(this.moving.get(base), "a moving buffer");
      text = offset === D.zero ? from : `${from} + ${this.dim(offset)}`;
    } else if (this.isLate(offset)) text = this.dim(offset);
    else {
      text = this.#names.unique(this.buffer(id).name);
      const fixed = D.known(offset);
      if (fixed === null) this.planned.set(text, this.dim(offset));
      else this.constant.set(text, fixed);
    }
    this.#addresses.set(id, text);
    return text;
  }
}
