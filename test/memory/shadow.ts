// The memory plan as a run sees it: a shadow of the arena says of every piece whose it is. Who writes a buffer takes its whole memory; who
// reads one must find all of it his own. That needs no notion of when a buffer is alive.
import { must } from "../../src/base/assert.ts";
import type { BufferId, SymbolId } from "../../src/base/brand.ts";
import type { Dim } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import { bodiesOf, type Stmt } from "../../src/ir/loops.ts";
import type { Action, Call, Program, Region } from "../../src/ir/program.ts";
import { exprsOf, visitActions, visitExpr, visitStmt } from "../../src/ir/rewrite.ts";
import type { Buffer } from "../../src/ir/storage.ts";
import type { TargetInfo } from "../../src/ir/target.ts";
import { elementBytes } from "../../src/ir/types.ts";
import type { Random } from "../schedule/build.ts";

type Usage = { readonly reads: ReadonlySet<BufferId>; readonly writes: ReadonlySet<BufferId> };
function usageOf(body: Stmt): Usage {
  const [reads, writes] = [new Set<BufferId>(), new Set<BufferId>()];
  visitStmt(body, (s) => {
    if (s.kind === "store") writes.add(s.buffer);
    for (const e of exprsOf(s))
      visitExpr(e, (x) => {
        if (x.kind === "load") reads.add(x.buffer);
      });
  });
  return { reads, writes };
}

/** Bytes from `start` to `end` of a region. */
export type Range = { readonly region: Region; readonly start: number; readonly end: number };

/** A program at one binding of its symbols, with vectors of one of the widths that its kernels have. */
export class Shadow {
  readonly problems: string[] = [];
  /** Bytes of the arena that one call needs at least. */
  needed = 0;
  private readonly p: Program;
  private readonly target: TargetInfo;
  private readonly random: Random;
  private readonly values: Map<SymbolId, number>;
  private readonly usages: readonly Usage[];
  /** How many calls write a buffer. */
  private readonly writers = new Map<BufferId, number>();
  private readonly ranges = new Map<BufferId, Range>();
  /** By piece of `align` bytes: the buffer whose contents lie there. */
  private readonly owner: Int32Array;

  /** `bound`: the symbols that the inputs bind. */
  constructor(p: Program, target: TargetInfo, bound: ReadonlyMap<SymbolId, number>, random: Random) {
    this.p = p;
    this.target = target;
    this.random = random;
    this.values = new Map(bound);
    const width = random.below(Math.max(1, ...p.kernels.map((k) => bodiesOf(k).length)));
    this.usages = p.kernels.map((k) => usageOf(bodiesOf(k)[width] ?? k.body));
    for (const l of p.plan.lets) this.values.set(l.id, this.eval(l.value));
    this.owner = new Int32Array(this.size("arena") / target.align).fill(-1);
  }

  /** The plan's own promises: places lie inside of their regions, aligned, constants apart from each other. */
  checkPlaces(): void {
    const { align } = this.target;
    const stacked: { readonly b: Buffer; readonly r: Range }[] = [];
    for (const b of this.p.buffers.values()) {
      const r = this.place(b.id);
      if (r === null) continue;
      if (r.start % align !== 0) this.problems.push(`${b.name} starts at ${r.start}`);
      if (r.region === "io" || r.region === "heap") continue;
      if (r.end > this.size(r.region)) this.problems.push(`${b.name} ends at ${r.end} of ${this.size(r.region)} bytes`);
      if (r.region !== "arena") stacked.push({ b, r });
    }
    for (const x of stacked)
      for (const y of stacked)
        if (x.b.id < y.b.id && x.r.region === y.r.region && x.r.start < y.r.end && y.r.start < x.r.end)
          this.problems.push(`${x.b.name} and ${y.b.name} share memory`);
  }
  /** Elements of a part lie inside of its root. */
  private checkPart(id: BufferId): void {
    const b = must(this.p.buffers.get(id), "a buffer");
    const root = this.root(b.id);
    if (root === b.id || this.place(root) === null) return;
    let last = this.p.buffers
      .get(b.id)!
      .shape.reduce((n, d, k) => n + (this.eval(d) - 1) * this.eval(b.storage!.strides[k]!), 0);
    if (b.shape.some((d) => this.eval(d) === 0)) return;
    let at: Buffer = b;
    while (at.storage!.root !== null) {
      last += this.eval(at.storage!.offset);
      at = this.p.buffers.get(at.storage!.root)!;
    }
    const size = this.eval(at.storage!.size);
    if (last >= size) this.problems.push(`${b.name} has an element ${last} of "${at.name}", which has ${size}`);
  }

  /** The load and one inference. */
  run(): void {
    visitActions([...this.p.init, ...this.p.run], (a) => {
      if (a.kind !== "call") return;
      const { params } = this.p.kernels[a.call.kernel]!;
      const { writes } = this.usages[a.call.kernel]!;
      a.call.args.forEach((id, k) => {
        if (writes.has(params[k]!.id)) this.writers.set(id, (this.writers.get(id) ?? 0) + 1);
      });
    });
    this.actions(this.p.init);
    this.owner.fill(-1);
    for (const x of this.p.inputs) this.write(this.root(x.buffer));
    this.actions(this.p.run);
    for (const x of this.p.outputs) this.read(this.root(x.buffer), "the caller");
  }
  private actions(list: readonly Action<Call>[]): void {
    for (const a of list) {
      switch (a.kind) {
        case "call":
          this.call(a.call);
          break;
        case "dim":
          if ("buffer" in a.from) {
            this.read(this.root(a.from.buffer), `dim ${a.id}`);
            this.values.set(a.id, a.min + this.random.below(Math.min(4, (a.max ?? 4) - a.min + 1)));
          } else this.values.set(a.id, this.eval(a.from.value));
          break;
        case "if":
          this.read(this.root(a.cond), "if");
          this.actions(this.random.below(2) === 0 ? a.then : a.otherwise);
          break;
        case "loop": {
          // Some at the start, and the last.
          const trip = a.trip === null ? 3 : this.eval(a.trip);
          for (let k = 0; k < trip; k = k === 2 ? Math.max(3, trip - 1) : k + 1) {
            if (a.cond !== null) this.read(this.root(a.cond), "loop");
            this.values.set(a.counter, k);
            this.actions(a.body);
            for (const [x, y] of a.swap) this.swap(x, y);
          }
          break;
        }
      }
    }
  }
  private call({ kernel, args }: Call): void {
    const { params, name } = this.p.kernels[kernel]!;
    const { reads, writes } = this.usages[kernel]!;
    const roots = args.map((id) => this.root(id));
    for (const id of args) this.checkPart(id);
    // What no other call writes a kernel reads only after it has written it: its own memory, an output with what it has so far.
    const own = (k: number): boolean => writes.has(params[k]!.id) && this.writers.get(args[k]!) === 1;
    params.forEach((x, k) => {
      if (reads.has(x.id) && !own(k)) this.read(roots[k]!, name);
    });
    params.forEach((x, k) => {
      if (writes.has(x.id)) this.write(roots[k]!);
    });
    params.forEach((x, k) => {
      if (reads.has(x.id) || writes.has(x.id)) this.read(roots[k]!, `${name}, which writes over it`);
    });
    const bytes = [...new Set(roots)].map((id) => this.place(id)).filter((r) => r?.region === "arena");
    this.needed = Math.max(
      this.needed,
      bytes.reduce((n, r) => n + r!.end - r!.start, 0),
    );
  }
  private write(id: BufferId): void {
    this.pieces(id, (k) => {
      this.owner[k] = id;
    });
  }
  private read(id: BufferId, who: string): void {
    let other: number | null = null;
    this.pieces(id, (k) => {
      if (this.owner[k] !== id) other = this.owner[k] ?? -1;
    });
    if (other === null) return;
    const name = (x: number): string => (x < 0 ? "nobody" : this.p.buffers.get(x as BufferId)!.name);
    this.problems.push(`${name(id)} is read by ${who}, where ${name(other)} has written`);
  }
  /** The names of two buffers exchange their memory. */
  private swap(x: BufferId, y: BufferId): void {
    const [p, q] = [this.place(x), this.place(y)];
    if (p === null || q === null) return;
    const of = (id: BufferId): number[] => {
      const out: number[] = [];
      this.pieces(id, (k) => out.push(this.owner[k]!));
      return out;
    };
    const [a, b] = [of(x), of(y)];
    this.ranges.set(x, q).set(y, p);
    const renamed = (o: number): number => (o === x ? y : o === y ? x : o);
    let n = 0;
    this.pieces(x, (k) => {
      this.owner[k] = renamed(b[n++]!);
    });
    n = 0;
    this.pieces(y, (k) => {
      this.owner[k] = renamed(a[n++]!);
    });
  }

  /** Where a root buffer of the plan lies; null for parts, and for the heap, whose offsets the run decides. */
  private place(id: BufferId): Range | null {
    const known = this.ranges.get(id);
    if (known) return known;
    const at = this.p.plan.offsets.get(id);
    const b = must(this.p.buffers.get(id), "a buffer");
    if (!at || at.region === "heap") return null;
    const start = this.eval(at.offset);
    const end = start + this.eval(must(b.storage, "storage").size) * (this.target.gpu ? 4 : elementBytes(b.dtype));
    const range = { region: at.region, start, end };
    this.ranges.set(id, range);
    return range;
  }
  private pieces(id: BufferId, f: (k: number) => void): void {
    const r = this.place(id);
    if (r === null || r.region !== "arena" || r.end === r.start) return;
    const { align } = this.target;
    for (let k = Math.floor(r.start / align); k * align < r.end; k++) f(k);
  }
  private root(id: BufferId): BufferId {
    const root = this.p.buffers.get(id)?.storage?.root ?? null;
    return root === null ? id : this.root(root);
  }
  /** Bytes of a region. */
  size(region: "weights" | "prepared" | "arena"): number {
    return this.eval(this.p.plan.sizes[region]);
  }
  private eval(d: Dim): number {
    return D.evaluate(d, (id) => {
      const known = this.values.get(id);
      if (known !== undefined) return known;
      const def = must(
        this.p.symbols.find((s) => s.id === id),
        `symbol ${id}`,
      ).def;
      return def === null || def === "data" ? this.random.below(4) : this.eval(def);
    });
  }
}
