// Kernels as functions: (address of each parameter, scalars, dims as i32), no result.
import { assert, InternalError, must, unreachable } from "../../src/base/assert.ts";
import type { BufferId } from "../../src/base/brand.ts";
import * as D from "../../src/ir/dim.ts";
import type { For, Kernel, LoopExpr, Pointer, Stmt, Store } from "../../src/ir/loops.ts";
import { lanesOf, sizeRange } from "../../src/ir/loops.ts";
import { exprsOf, visitExpr, visitStmt } from "../../src/ir/rewrite.ts";
import type { Buffer } from "../../src/ir/storage.ts";
import { elementBytes } from "../../src/ir/types.ts";
import * as A from "./arithmetic.ts";
import { type Binding, Expressions } from "./expr.ts";
import { Frame } from "./frame.ts";
import * as I from "./intrinsics.ts";
import type { Ref, ValType, Wasm } from "./module.ts";

/** The types of a kernel's function, in order. */
export function signature(k: Kernel): readonly ValType[] {
  return [
    ...k.params.map(() => "i32" as const),
    ...k.scalars.map((s) => I.valType(I.classOf(s.dtype))),
    ...k.dims.map(() => "i32" as const),
  ];
}

/** Adds the kernel's function to the module. */
export function defineKernel(w: Wasm, name: string, k: Kernel): void {
  const frame = new Frame(w, signature(k));
  const printer = new Statements(frame, name, k.body);
  let index = 0;
  for (const buffer of k.params) printer.memory.set(buffer.id, { buffer, local: index++ });
  for (const s of k.scalars) printer.names.set(s.name, { kind: "local", index: index++, nonNegative: false });
  for (const id of k.dims) printer.names.set(id, { kind: "local", index: index++, nonNegative: true });
  const body: Ref[] = [];
  printer.statement(k.body, body);
  frame.define(name, null, body);
}

/** A pointer's local and what it moves by: `bytes`, or the local `step` when that is not known. */
type Move = { readonly local: number; readonly bytes: number | null; readonly step: number };

class Statements extends Expressions {
  private readonly name: string;
  /** Functions that have been made of parts of this one. */
  private parts = 0;
  /** Locals of the scopes that are open, to be given back when they close. */
  private readonly scope: number[] = [];
  /** The names that some expression reads: a loop whose variable none reads needs no counter. */
  private readonly used: ReadonlySet<string>;

  constructor(frame: Frame, name: string, body: Stmt) {
    super(frame);
    this.name = name;
    this.used = namesIn(body);
  }

  /** Appends the statement's code. */
  statement(s: Stmt, out: Ref[]): void {
    const mark = this.scope.length;
    // Bodies of declarations nest deep in unrolled kernels: a loop here, no recursion.
    let inner = s;
    for (; inner.kind === "let" || inner.kind === "alloc"; inner = inner.body) {
      if (inner.kind === "let") this.bind(inner.name, inner.value, out);
      else this.allocate(inner.buffer);
    }
    this.plain(inner, out);
    this.leave(mark);
  }
  private bind(name: string, value: LoopExpr, out: Ref[]): void {
    if (value.kind === "const" || value.kind === "var") {
      this.names.set(name, { kind: "alias", to: value });
      return;
    }
    const ref = this.within([value], () => this.value(value));
    const index = this.enter(this.type(value));
    out.push(this.frame.set(index, ref));
    this.names.set(name, { kind: "local", index, nonNegative: value.dtype === "i32" && this.isNonNegative(value) });
  }
  private allocate(buffer: Buffer): void {
    assert(buffer.scope === "register", `a local buffer in scope ${buffer.scope}`);
    const local = this.enter(buffer.shape.length === 0 ? I.valType(I.classOf(buffer.dtype)) : "v128");
    this.memory.set(buffer.id, { buffer, local });
  }
  private plain(s: Exclude<Stmt, { kind: "let" | "alloc" }>, out: Ref[]): void {
    const { m } = this;
    switch (s.kind) {
      case "seq":
        for (const x of s.body) this.statement(x, out);
        return;
      case "store":
        out.push(this.within([...s.index, s.value], () => this.store(s)));
        return;
      case "if": {
        const cond = this.within([s.cond], () => this.scalar(s.cond));
        const then = this.block(s.then);
        out.push(s.otherwise ? m.if(cond, then, this.block(s.otherwise)) : m.if(cond, then));
        return;
      }
      case "while": {
        const [exit, again] = [this.w.label(), this.w.label()];
        const body = [m.br_if(exit, m.i32.eqz(this.within([s.cond], () => this.scalar(s.cond))))];
        this.statement(s.body, body);
        body.push(m.br(again));
        out.push(m.block(exit, [m.loop(again, m.block(null, body))]));
        return;
      }
      case "for":
        this.loop(s, out);
        return;
      case "barrier":
        throw new InternalError("a barrier on a CPU");
      default:
        unreachable(s, "statement");
    }
  }

  private block(s: Stmt): Ref {
    const out: Ref[] = [];
    this.statement(s, out);
    return out.length === 1 ? out[0]! : this.m.block(null, out);
  }

  private store(s: Store): Ref {
    const { m, frame } = this;
    const at = must(s.index[0], "index");
    const memory = must(this.memory.get(s.buffer), `buffer ${s.buffer}`);
    if (memory.buffer.scope === "register") {
      assert(s.atomic === undefined, "an atomic store to a register");
      return frame.set(memory.local, memory.buffer.shape.length === 0 ? this.scalar(s.value) : this.vector(s.value));
    }
    const { ptr, offset } = this.address(s.buffer, s.index, s.via);
    if (at.kind === "ramp") {
      assert(at.lanes === 4 && s.atomic === undefined, `a store of ${at.lanes} lanes`);
      return I.storeVector(m, s.dtype, offset, ptr, this.vector(s.value));
    }
    assert(lanesOf(s.value) === 1, "a scatter");
    if (s.atomic === undefined) return I.store(m, s.dtype, offset, ptr, this.scalar(s.value));
    // One thread: a load, the operation and a store.
    const c = I.classOf(s.dtype);
    const base = frame.share("i32", ptr);
    const old = A.operandOf(frame, c, () => I.load(m, s.dtype, offset, base.again()));
    const value = A.operandOf(frame, c, () => this.scalar(s.value));
    const r = I.store(m, s.dtype, offset, base.first, A.binary(frame, s.atomic, c, old, value));
    base.done();
    return r;
  }

  // ---- loops --------------------------------------------------------------------------------------------------------
  /**
   * Tested once on entry, then once at the bottom. The counter is compared with the extent; where nothing reads it, a pointer that
   * moves by a constant is compared with its end, so that the loop's own work is one addition per pointer and one branch.
   */
  private loop(s: For, out: Ref[]): void {
    assert(!s.loop.startsWith("block.") && !s.loop.startsWith("thread."), `a ${s.loop} loop on a CPU`);
    const { m, frame } = this;
    const known = this.constantOf(s.extent);
    const extent = known === null ? null : Number(known);
    if (extent !== null && extent <= 0) return;
    const mark = this.scope.length;
    if (extent !== null && extent <= s.step) {
      this.names.set(s.v, { kind: "alias", to: { kind: "const", dtype: "i32", value: 0 } });
      this.startPointers(s.pointers ?? [], out);
      this.statement(s.body, out);
      this.leave(mark);
      return;
    }
    const limit = extent === null ? this.localOf(s.extent, out) : null;
    const before: Ref[] = [];
    const moves = this.startPointers(s.pointers ?? [], before);
    const leader = this.used.has(s.v) ? undefined : moves.find((p) => p.bytes !== null && p.bytes !== 0);
    const top = this.w.label();
    const body: Ref[] = [];
    let again: Ref;
    if (leader) {
      const bytes = leader.bytes!;
      const distance =
        limit === null
          ? m.i32.const((Math.ceil(extent! / s.step) * bytes) | 0)
          : this.times(this.trips(limit, s.step), bytes);
      const stop = this.enter("i32");
      before.push(frame.set(stop, m.i32.add(frame.get(leader.local), distance)));
      this.iteration(s, body);
      for (const p of moves) if (p !== leader) body.push(frame.set(p.local, this.moved(p)));
      again = m.i32.ne(frame.tee(leader.local, this.moved(leader)), frame.get(stop));
    } else {
      const v = this.enter("i32");
      before.push(frame.set(v, m.i32.const(0)));
      this.names.set(s.v, { kind: "local", index: v, nonNegative: true });
      this.iteration(s, body);
      for (const p of moves) body.push(frame.set(p.local, this.moved(p)));
      // Unsigned, so that a counter that passes 2^31 - 1 ends the loop as well.
      const next = frame.tee(v, m.i32.add(frame.get(v), m.i32.const(s.step)));
      again = m.i32.lt_u(next, limit === null ? m.i32.const(extent!) : frame.get(limit));
    }
    before.push(m.loop(top, m.block(null, [...body, m.br_if(top, again)])));
    if (limit === null || this.isPositive(s.extent)) out.push(...before);
    else out.push(m.if(m.i32.gt_s(frame.get(limit), m.i32.const(0)), m.block(null, before)));
    this.leave(mark);
  }
  private iteration(s: For, out: Ref[]): void {
    if (s.loop === "apart") out.push(this.apart(s.body));
    else this.statement(s.body, out);
  }
  /** Makes a statement a function of what it reads from outside, and calls it. */
  private apart(body: Stmt): Ref {
    const types: ValType[] = [];
    const args: Ref[] = [];
    const pass = (local: number): number => {
      types.push(this.frame.typeOf(local));
      args.push(this.frame.get(local));
      return types.length - 1;
    };
    const names = new Map<string, Binding>();
    const name = (id: string): void => {
      const b = this.names.get(id);
      if (b === undefined || names.has(id)) return;
      if (b.kind === "alias" && b.to.kind === "var") name(b.to.name);
      names.set(id, b.kind === "alias" ? b : { ...b, index: pass(b.index) });
    };
    for (const id of namesIn(body)) name(id);
    const memory = [...this.memory]
      .filter(([id]) => uses(body, id))
      .map(([id, x]) => [id, { ...x, local: pass(x.local) }] as const);
    const frame = new Frame(this.w, types);
    const part = `${this.name}/${this.parts++}`;
    const printer = new Statements(frame, part, body);
    for (const [id, b] of names) printer.names.set(id, b);
    for (const [id, x] of memory) printer.memory.set(id, x);
    const out: Ref[] = [];
    printer.statement(body, out);
    frame.define(part, null, out);
    return this.m.call(part, args, this.w.type.none);
  }
  /** Takes a local until the scope is left down to a mark. */
  private enter(t: ValType): number {
    const local = this.frame.take(t);
    this.scope.push(local);
    return local;
  }
  private leave(mark: number): void {
    for (const local of this.scope.splice(mark)) this.frame.give(local);
  }
  /** A local with the value of an i32: its own, when it is a variable. */
  private localOf(e: LoopExpr, out: Ref[]): number {
    const b = e.kind === "var" ? this.names.get(e.name) : undefined;
    if (b?.kind === "local") return b.index;
    const ref = this.within([e], () => this.scalar(e));
    const local = this.enter("i32");
    out.push(this.frame.set(local, ref));
    return local;
  }
  private isPositive(e: LoopExpr): boolean {
    if (e.kind !== "var") return false;
    const to = this.alias(e.name);
    return to === null ? sizeRange(e.name)?.min === D.one : this.isPositive(to);
  }
  /** Iterations of a loop over a positive extent: ceil(extent / step). */
  private trips(limit: number, step: number): Ref {
    const { m, frame } = this;
    if (step === 1) return frame.get(limit);
    const n = m.i32.add(frame.get(limit), m.i32.const(step - 1));
    const shift = Math.log2(step);
    return Number.isInteger(shift) ? m.i32.shr_u(n, m.i32.const(shift)) : m.i32.div_u(n, m.i32.const(step));
  }
  private times(x: Ref, by: number): Ref {
    const { m } = this;
    const shift = Math.log2(by);
    if (by === 1) return x;
    return Number.isInteger(shift) ? m.i32.shl(x, m.i32.const(shift)) : m.i32.mul(x, m.i32.const(by | 0));
  }
  /** Sets the pointers of a loop. A negative or unknown step may take one below its buffer: then its offsets are no immediates. */
  private startPointers(pointers: readonly Pointer[], out: Ref[]): readonly Move[] {
    return pointers.map((p) => {
      const size = elementBytes(must(this.memory.get(p.buffer), `buffer of pointer ${p.name}`).buffer.dtype);
      const { value, direct } = this.within([p.init], () => this.elementAddress(p.buffer, p.init));
      const local = this.enter("i32");
      out.push(this.frame.set(local, value));
      this.pointers.set(p.name, { local, direct: direct && this.isNonNegative(p.step) });
      const step = this.constantOf(p.step);
      if (step !== null) return { local, bytes: Number(step) * size, step: -1 };
      const ref = this.times(
        this.within([p.step], () => this.scalar(p.step)),
        size,
      );
      const by = this.enter("i32");
      out.push(this.frame.set(by, ref));
      return { local, bytes: null, step: by };
    });
  }
  private moved(p: Move): Ref {
    const { m, frame } = this;
    return m.i32.add(frame.get(p.local), p.bytes === null ? frame.get(p.step) : m.i32.const(p.bytes | 0));
  }
}

function uses(body: Stmt, buffer: BufferId): boolean {
  let found = false;
  const seen = new Set<unknown>();
  visitStmt(body, (s) => {
    if (s.kind === "store" && s.buffer === buffer) found = true;
    if (s.kind === "for" && s.pointers?.some((p) => p.buffer === buffer)) found = true;
    for (const e of exprsOf(s))
      visitExpr(
        e,
        (x) => {
          if (x.kind === "load" && x.buffer === buffer) found = true;
        },
        seen,
      );
  });
  return found;
}
/** The names of variables that expressions of a statement read. */
function namesIn(body: Stmt): ReadonlySet<string> {
  const names = new Set<string>();
  const seen = new Set<unknown>();
  visitStmt(body, (s) => {
    for (const e of exprsOf(s)) visitExpr(e, (x) => x.kind === "var" && names.add(x.name), seen);
  });
  return names;
}
