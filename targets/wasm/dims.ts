// Dims as code. Everything is computed in i64. A product may overflow: `checked` code reports it in a global, so that no size,
// however large the dims, passes for a small one.
import { unreachable } from "../../src/base/assert.ts";
import type { SymbolId } from "../../src/base/brand.ts";
import type { Dim } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import type { Program } from "../../src/ir/program.ts";
import { Frame } from "./frame.ts";
import * as H from "./helpers.ts";
import type { Ref, Wasm } from "./module.ts";

/** A mutable i32 global: 1 after a checked value left the range of safe integers. */
export const overflow = "overflow";
const safe = 2 ** 52;

export class Dims {
  private readonly w: Wasm;
  private readonly globals = new Map<SymbolId, string>();
  private readonly defs: ReadonlyMap<SymbolId, Dim>;
  /** Symbols whose value `plan` knows. */
  private readonly planned: ReadonlySet<SymbolId>;
  /** Dims that `plan` evaluates once and keeps in globals, in the order in which they were asked for. */
  private readonly kept = new Map<Dim, { readonly global: string; word: boolean }>();

  /** `bound`: the symbols that actions bind, and `$seed`. */
  constructor(w: Wasm, p: Program, bound: ReadonlySet<SymbolId>) {
    this.w = w;
    this.planned = new Set([...p.bindings.map((b) => b.id), ...p.plan.lets.map((l) => l.id)]);
    const derived = p.symbols.filter(
      (s) => s.def !== null && s.def !== "data" && !bound.has(s.id) && !this.planned.has(s.id),
    );
    this.defs = new Map(derived.map((s) => [s.id, s.def as Dim]));
    w.m.addGlobal(overflow, w.type.i32, true, w.m.i32.const(0));
  }

  /** The global (i64) that holds a symbol. */
  private global(id: SymbolId): string {
    let name = this.globals.get(id);
    if (name === undefined) {
      name = `dim.${this.globals.size}`;
      this.globals.set(id, name);
      this.w.m.addGlobal(name, this.w.type.i64, true, this.w.m.i64.const(0n));
    }
    return name;
  }
  set(id: SymbolId, value: Ref): Ref {
    return this.w.m.global.set(this.global(id), value);
  }
  /** True when some code reads the symbol. Ask when all of it has been built. */
  isRead(id: SymbolId): boolean {
    return this.globals.has(id);
  }
  /** True when the value is known as soon as the bound symbols are. */
  isPlanned(d: Dim): boolean {
    return [...D.symbolsOf(d)].every(
      (id) => this.planned.has(id) || (this.defs.has(id) && this.isPlanned(this.defs.get(id)!)),
    );
  }

  /** A value of the run as an i64. */
  value(d: Dim): Ref {
    const { m, type } = this.w;
    if (d.kind === "int" || d.kind === "sym" || !this.isPlanned(d)) return this.code(d, false);
    return m.global.get(this.keep(d, false), type.i64);
  }
  /** A value of the run as an i32; `word`: plan fails when it does not fit one. Addresses need no test but that of the arena's end. */
  word(d: Dim, word: boolean): Ref {
    const { m, type } = this.w;
    if (d.kind === "int") return m.i32.const(d.value | 0);
    if (d.kind === "sym" || !this.isPlanned(d)) return m.i32.wrap(this.code(d, false));
    return m.i32.wrap(m.global.get(this.keep(d, word), type.i64));
  }
  private keep(d: Dim, word: boolean): string {
    let k = this.kept.get(d);
    if (k === undefined) {
      k = { global: `plan.${this.kept.size}`, word };
      this.kept.set(d, k);
      this.w.m.addGlobal(k.global, this.w.type.i64, true, this.w.m.i64.const(0n));
    }
    k.word ||= word;
    return k.global;
  }
  /** Code for `plan` that evaluates what `value` and `word` promised. Call it last. */
  evaluateKept(): Ref[] {
    const { m, type } = this.w;
    return [...this.kept].flatMap(([d, { global, word }]) => {
      const set = m.global.set(global, this.checked(d));
      if (!word) return [set];
      const get = (): Ref => m.global.get(global, type.i64);
      return [set, m.if(m.i64.ne(get(), m.i64.extend_s(m.i32.wrap(get()))), this.fail())];
    });
  }
  private fail(): Ref {
    return this.w.m.global.set(overflow, this.w.m.i32.const(1));
  }

  /** An i64 value that sets `overflow` when it, or a product on the way, is not safe. */
  checked(d: Dim): Ref {
    const { w } = this;
    if (d.kind === "int" || d.kind === "sym") return this.code(d, true);
    const name = w.helper("dim.check", (_, name) => {
      const { m, type } = w;
      const f = new Frame(w, ["i64"]);
      const out = m.i64.gt_u(m.i64.add(f.get(0), m.i64.const(BigInt(safe))), m.i64.const(BigInt(2 * safe)));
      f.define(name, "i64", [m.if(out, m.global.set(overflow, m.i32.const(1))), m.local.get(0, type.i64)]);
    });
    return w.m.call(name, [this.code(d, true)], w.type.i64);
  }

  private code(d: Dim, check: boolean): Ref {
    const { m, type } = this.w;
    switch (d.kind) {
      case "int":
        return m.i64.const(BigInt(d.value));
      case "sym": {
        const def = this.defs.get(d.id);
        return def ? this.code(def, check) : m.global.get(this.global(d.id), type.i64);
      }
      case "add":
        return d.terms.map((t) => this.code(t, check)).reduce((a, b) => m.i64.add(a, b));
      case "mul":
        return d.terms.map((t) => this.code(t, check)).reduce((a, b) => (check ? this.product(a, b) : m.i64.mul(a, b)));
      case "max":
      case "min":
      case "broadcast": {
        const op = d.kind;
        return d.terms.map((t) => this.code(t, check)).reduce((a, b) => this.choose(op, a, b));
      }
      case "floordiv":
      case "mod": {
        const a = this.code(d.a, check);
        const b = this.code(d.by, check);
        return d.kind === "mod" ? H.floorMod(this.w, "i64", a, b) : H.floorDiv(this.w, "i64", a, b);
      }
      default:
        return unreachable(d, "dim");
    }
  }
  private choose(op: "max" | "min" | "broadcast", a: Ref, b: Ref): Ref {
    const { w } = this;
    const name = w.helper(`dim.${op}`, (_, name) => {
      const { m } = w;
      const f = new Frame(w, ["i64", "i64"]);
      const [x, y] = [f.get(0), f.get(1)];
      const second =
        op === "broadcast" ? m.i64.eq(x, m.i64.const(1n)) : op === "max" ? m.i64.lt_s(x, y) : m.i64.lt_s(y, x);
      f.define(name, "i64", [m.select(second, f.get(1), f.get(0))]);
    });
    return w.m.call(name, [a, b], w.type.i64);
  }
  /** A product of values below 2^62: the estimate in f64 tells when it is not safe. */
  private product(a: Ref, b: Ref): Ref {
    const { w } = this;
    const name = w.helper("dim.mul", (_, name) => {
      const { m } = w;
      const f = new Frame(w, ["i64", "i64"]);
      const estimate = m.f64.abs(m.f64.mul(m.f64.convert_s.i64(f.get(0)), m.f64.convert_s.i64(f.get(1))));
      f.define(name, "i64", [
        m.if(m.f64.gt(estimate, m.f64.const(safe)), m.global.set(overflow, m.i32.const(1))),
        m.i64.mul(f.get(0), f.get(1)),
      ]);
    });
    return w.m.call(name, [a, b], w.type.i64);
  }
}
