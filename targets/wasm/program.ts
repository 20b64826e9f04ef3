// A program as the functions of a module: plan, init and run over the kernels, and the globals that they share.
import { assert, must, unreachable } from "../../src/base/assert.ts";
import type { BufferId, SymbolId } from "../../src/base/brand.ts";
import type { Dim } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import type { Action, Call, Program } from "../../src/ir/program.ts";
import { visitActions } from "../../src/ir/rewrite.ts";
import { elementBytes } from "../../src/ir/types.ts";
import type { LinearLayout } from "../loader/layout.ts";
import { maxMemory, placeOf, refusal } from "../loader/layout.ts";
import { Dims, overflow } from "./dims.ts";
import { Frame } from "./frame.ts";
import * as heap from "./heap.ts";
import * as I from "./intrinsics.ts";
import type { Ref, Wasm } from "./module.ts";

type Actions = readonly Action<Call>[];
const seed = "$seed" as SymbolId;
const intMax = 2 ** 31 - 1;
/** What run returns. */
const outOfRange = 1;
const outOfMemory = 2;

/** Adds plan, init (if there is something to do) and run, and exports them. `kernels` are the names of the kernels' functions. */
export function defineProgram(w: Wasm, p: Program, layout: LinearLayout, kernels: readonly string[]): void {
  new ProgramPrinter(w, p, layout, kernels).define();
}

class ProgramPrinter {
  private readonly w: Wasm;
  private readonly p: Program;
  private readonly layout: LinearLayout;
  private readonly kernels: readonly string[];
  private readonly dims: Dims;
  /** Buffers of swap pairs: each has its address in a global. */
  private readonly swapped: ReadonlySet<BufferId>;
  private readonly reserves: boolean;
  private frame: Frame;

  constructor(w: Wasm, p: Program, layout: LinearLayout, kernels: readonly string[]) {
    this.w = w;
    this.p = p;
    this.layout = layout;
    this.kernels = kernels;
    this.frame = new Frame(w, []);
    const bound = new Set<SymbolId>([seed]);
    const swapped = new Set<BufferId>();
    let reserves = false;
    visitActions([...p.init, ...p.run], (a) => {
      reserves ||= a.kind === "reserve";
      if (a.kind === "dim") bound.add(a.id);
      if (a.kind === "reserve") bound.add(heapSymbol(p, a.buffer));
      if (a.kind === "loop") {
        bound.add(a.counter);
        for (const pair of a.swap) for (const b of pair) swapped.add(b);
      }
    });
    this.dims = new Dims(w, p, bound);
    this.swapped = swapped;
    this.reserves = reserves;
  }

  define(): void {
    const { w, p, layout } = this;
    const { m, type } = w;
    w.setPages(Math.ceil(layout.end / 65536));
    for (const name of ["table", "weights"] as const) {
      m.addGlobal(name, type.i32, false, m.i32.const(layout[name] | 0));
      m.addGlobalExport(name, name);
    }
    for (const id of this.swapped) m.addGlobal(this.pointer(id), type.i32, true, m.i32.const(0));
    if (this.reserves) {
      for (const name of [heap.heapStart, heap.heapTop]) m.addGlobal(name, type.i32, true, m.i32.const(0));
    }
    if (p.init.length > 0) this.defineActions("init", [], p.init, () => []);
    this.defineActions("run", ["i32"], p.run, () => this.reportOutputs());
    this.definePlan();
  }

  // ---- addresses ----------------------------------------------------------------------------------------------------
  private pointer(id: BufferId): string {
    return `pointer.${id}`;
  }
  private address(id: BufferId): Ref {
    const { m, type } = this.w;
    const { base, offset } = placeOf(this.p, this.layout, id, (b) => this.swapped.has(b));
    if (base === null) return this.dims.word(offset, false);
    const at = m.global.get(this.pointer(base), type.i32);
    return offset === D.zero ? at : m.i32.add(at, this.dims.word(offset, false));
  }
  /** Sets the addresses of swapped buffers that lie in `reserved`, a heap buffer, or (null) that are known before the run. */
  private startPointers(reserved: BufferId | null): Ref[] {
    const out: Ref[] = [];
    for (const id of this.swapped) {
      const root = this.rootOf(id);
      const inHeap = must(this.p.plan.offsets.get(root), `place of buffer ${root}`).region === "heap";
      if (reserved === null ? inHeap : root !== reserved) continue;
      const { base, offset } = placeOf(this.p, this.layout, id, (b) => b !== id && this.swapped.has(b));
      assert(base === null, "a swapped buffer inside of another");
      out.push(this.w.m.global.set(this.pointer(id), this.dims.word(offset, false)));
    }
    return out;
  }
  private rootOf(id: BufferId): BufferId {
    const root = this.p.buffers.get(id)?.storage?.root ?? null;
    return root === null ? id : this.rootOf(root);
  }
  private cellBytes(id: BufferId): number {
    return elementBytes(must(this.p.buffers.get(id), `buffer ${id}`).dtype);
  }

  // ---- plan -----------------------------------------------------------------------------------------------------------
  private definePlan(): void {
    const { w, p, dims } = this;
    const { m, type } = w;
    const frame = new Frame(
      w,
      p.bindings.map(() => "i32"),
    );
    const fail = (): Ref => m.return(m.i32.const(0));
    const tests = p.bindings.map((b, i) => {
      const low = m.i32.lt_s(frame.get(i), m.i32.const(b.min));
      const wrong =
        b.max === null || b.max >= intMax ? low : m.i32.or(low, m.i32.gt_s(frame.get(i), m.i32.const(b.max)));
      return m.if(wrong, fail());
    });
    const lets = p.plan.lets.map((l) => dims.set(l.id, dims.checked(l.value)));
    const required = p.requires.map((r, k) =>
      m.if(m.i64.ne(dims.checked(r.zero), m.i64.const(0n)), m.return(m.i32.const(refusal(k) | 0))),
    );
    const rows = this.planRows();
    const end = D.add(D.int(this.layout.arena), p.plan.sizes.arena);
    const last = frame.take("i64");
    const endTest = [
      frame.set(last, dims.checked(end)),
      m.if(m.i64.gt_u(frame.get(last), m.i64.const(BigInt(maxMemory))), fail()),
    ];
    const kept = dims.evaluateKept();
    const start = this.reserves
      ? [
          m.global.set(
            heap.heapStart,
            m.i32.and(m.i32.add(m.i32.wrap(frame.get(last)), m.i32.const(255)), m.i32.const(-256)),
          ),
        ]
      : [];
    const symbols = p.bindings.flatMap((b, i) =>
      dims.isRead(b.id) ? [dims.set(b.id, m.i64.extend_s(frame.get(i)))] : [],
    );
    frame.define("plan", "i32", [
      ...tests,
      ...symbols,
      m.global.set(overflow, m.i32.const(0)),
      ...lets,
      ...required,
      ...endTest,
      ...kept,
      m.if(m.global.get(overflow, type.i32), fail()),
      ...rows,
      ...start,
      m.i32.wrap(frame.get(last)),
    ]);
    m.addFunctionExport("plan", "plan");
  }
  /** Writes the rows of the table that do not depend on data. */
  private planRows(): Ref[] {
    return this.ports().flatMap(({ buffer, row, shape }) => {
      const place = placeOf(this.p, this.layout, buffer, (b) => this.swapped.has(b));
      const isFixed = place.base === null && this.dims.isPlanned(place.offset);
      return [
        ...(isFixed ? [this.setWord(row, this.dims.word(place.offset, false))] : []),
        ...shape.flatMap((d, axis) =>
          this.dims.isPlanned(d) ? [this.setWord(row + 4 + 4 * axis, this.dims.word(d, true))] : [],
        ),
      ];
    });
  }
  /** Writes what only the run has found out. */
  private reportOutputs(): Ref[] {
    return this.ports()
      .slice(this.p.inputs.length)
      .flatMap(({ buffer, row, shape }) => {
        const place = placeOf(this.p, this.layout, buffer, (b) => this.swapped.has(b));
        const isFixed = place.base === null && this.dims.isPlanned(place.offset);
        return [
          ...(isFixed ? [] : [this.setWord(row, this.address(buffer))]),
          ...shape.flatMap((d, axis) =>
            this.dims.isPlanned(d) ? [] : [this.setWord(row + 4 + 4 * axis, this.dims.word(d, false))],
          ),
        ];
      });
  }
  private ports(): { buffer: BufferId; row: number; shape: readonly Dim[] }[] {
    return [...this.p.inputs, ...this.p.outputs].map((port, i) => {
      const shape = must(this.p.buffers.get(port.buffer), `buffer of ${port.name}`).shape;
      return { buffer: port.buffer, row: this.layout.rows[i]!, shape };
    });
  }
  private setWord(address: number, value: Ref): Ref {
    return this.w.m.i32.store(address, 4, this.w.m.i32.const(0), value);
  }

  // ---- actions ----------------------------------------------------------------------------------------------------------
  private defineActions(name: "init" | "run", params: readonly "i32"[], actions: Actions, after: () => Ref[]): void {
    const { w, dims } = this;
    const { m, type } = w;
    this.frame = new Frame(w, params);
    const body: Ref[] = [];
    if (this.reserves) body.push(m.global.set(heap.heapTop, m.global.get(heap.heapStart, type.i32)));
    body.push(...this.startPointers(null));
    this.actions(actions, body);
    body.push(...after());
    const start = name === "run" && dims.isRead(seed) ? [dims.set(seed, m.i64.extend_s(this.frame.get(0)))] : [];
    this.frame.define(name, "i32", [...start, ...body, m.i32.const(0)]);
    m.addFunctionExport(name, name);
  }
  private block(actions: Actions): Ref {
    const out: Ref[] = [];
    this.actions(actions, out);
    return this.w.m.block(null, out);
  }
  private actions(actions: Actions, out: Ref[]): void {
    for (const a of actions) this.action(a, out);
  }
  private action(a: Action<Call>, out: Ref[]): void {
    const { m } = this.w;
    switch (a.kind) {
      case "call":
        out.push(this.call(a.call));
        return;
      case "dim": {
        const value = "value" in a.from ? this.dims.value(a.from.value) : this.element(a.from.buffer, a.from.index);
        const x = this.frame.take("i64");
        const low = m.i64.lt_s(this.frame.tee(x, value), m.i64.const(BigInt(a.min)));
        const wrong = m.i32.or(low, m.i64.gt_s(this.frame.get(x), m.i64.const(BigInt(a.max ?? intMax))));
        out.push(m.if(wrong, m.return(m.i32.const(outOfRange))), this.dims.set(a.id, this.frame.get(x)));
        this.frame.give(x);
        return;
      }
      case "reserve":
        this.reserve(a.buffer, out);
        return;
      case "release":
        out.push(heap.release(this.w, this.address(a.buffer)));
        return;
      case "if": {
        const cond = this.isTrue(a.cond);
        const then = this.block(a.then);
        out.push(a.otherwise.length > 0 ? m.if(cond, then, this.block(a.otherwise)) : m.if(cond, then));
        return;
      }
      case "loop":
        this.loop(a, out);
        return;
      default:
        unreachable(a, "action");
    }
  }
  private call(c: Call): Ref {
    const { m, type } = this.w;
    const kernel = must(this.p.kernels[c.kernel], `kernel ${c.kernel}`);
    assert(
      c.args.length === kernel.params.length &&
        c.scalars.length === kernel.scalars.length &&
        c.dims.length === kernel.dims.length,
      `a call of ${kernel.name}`,
    );
    const args = c.args.map((b) => this.address(b));
    const scalars = c.scalars.map((d, i) => {
      const to = I.classOf(kernel.scalars[i]!.dtype);
      return I.valType(to) === "i32" ? this.dims.word(d, to === "i32") : I.convert(m, "i64", to, this.dims.value(d));
    });
    const dims = c.dims.map((d) => this.dims.word(d, true));
    return m.call(must(this.kernels[c.kernel], "kernel"), [...args, ...scalars, ...dims], type.none);
  }
  /** An element of an integer or bool buffer as an i64. */
  private element(id: BufferId, index: Dim): Ref {
    const { m } = this.w;
    const buffer = must(this.p.buffers.get(id), `buffer ${id}`);
    const at = D.mul(index, D.int(this.cellBytes(id)));
    const known = D.known(at);
    const ptr = known === null ? m.i32.add(this.address(id), this.dims.word(at, false)) : this.address(id);
    return I.convert(m, I.classOf(buffer.dtype), "i64", I.load(m, buffer.dtype, known ?? 0, ptr));
  }
  private isTrue(cond: BufferId): Ref {
    return I.load(this.w.m, "bool", 0, this.address(cond));
  }
  private reserve(id: BufferId, out: Ref[]): void {
    const { m, type } = this.w;
    const { shape, storage } = must(this.p.buffers.get(id), `buffer ${id}`);
    const size = D.mul(storage?.size ?? D.mul(...shape), D.int(this.cellBytes(id)));
    const at = this.frame.take("i32");
    const found = this.frame.tee(at, heap.reserve(this.w, this.dims.checked(size)));
    out.push(
      m.global.set(overflow, m.i32.const(0)),
      m.if(m.i32.or(m.i32.eqz(found), m.global.get(overflow, type.i32)), m.return(m.i32.const(outOfMemory))),
      this.dims.set(heapSymbol(this.p, id), m.i64.extend_u(this.frame.get(at))),
      ...this.startPointers(id),
    );
    this.frame.give(at);
  }
  private loop(a: Extract<Action<Call>, { kind: "loop" }>, out: Ref[]): void {
    const { m, type } = this.w;
    const { frame, dims } = this;
    const [exit, again] = [this.w.label(), this.w.label()];
    const counter = D.sym(a.counter);
    const trip = a.trip === null ? null : frame.take("i64");
    if (trip !== null) out.push(frame.set(trip, dims.value(a.trip!)));
    out.push(dims.set(a.counter, m.i64.const(0n)));
    const body: Ref[] = [];
    if (trip !== null) body.push(m.br_if(exit, m.i64.ge_s(dims.value(counter), frame.get(trip))));
    if (a.cond !== null) body.push(m.br_if(exit, m.i32.eqz(this.isTrue(a.cond))));
    this.actions(a.body, body);
    const old = frame.take("i32");
    for (const [x, y] of a.swap) {
      body.push(
        frame.set(old, m.global.get(this.pointer(x), type.i32)),
        m.global.set(this.pointer(x), m.global.get(this.pointer(y), type.i32)),
        m.global.set(this.pointer(y), frame.get(old)),
      );
    }
    frame.give(old);
    body.push(dims.set(a.counter, m.i64.add(dims.value(counter), m.i64.const(1n))), m.br(again));
    out.push(m.block(exit, [m.loop(again, m.block(null, body))]));
    if (trip !== null) frame.give(trip);
  }
}

/** The symbol that `reserve` binds to a heap buffer's address. */
function heapSymbol(p: Program, id: BufferId): SymbolId {
  const { region, offset } = must(p.plan.offsets.get(id), `place of buffer ${id}`);
  assert(region === "heap" && offset.kind === "sym", `buffer ${id} has no symbol in the heap`);
  return offset.id;
}
