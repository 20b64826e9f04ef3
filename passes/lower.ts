// From a T program whose buffers have storage to a P program: schedules, kernels, memory.
import { assert, must } from "../src/base/assert.ts";
import type { BufferId, SymbolId } from "../src/base/brand.ts";
import type { Dim, Ranges } from "../src/ir/dim.ts";
import * as D from "../src/ir/dim.ts";
import { type Kernel, type LoopExpr, type Stmt, sizeRange } from "../src/ir/loops.ts";
import type { Action, Binding, Call, Program } from "../src/ir/program.ts";
import { exprsOf, mapCalls, mapExpr, mapStmt, visitActions, visitExpr, visitStmt } from "../src/ir/rewrite.ts";
import type { Schedule } from "../src/ir/schedule.ts";
import { type Buffer, dense } from "../src/ir/storage.ts";
import { rangesOf } from "../src/ir/symbolic.ts";
import { type TargetInfo, widthsOf } from "../src/ir/target.ts";
import type { Group, TeAction, TeProgram } from "../src/ir/te.ts";
import { finishKernel, flattenNest, straightNest, vectorLanes } from "./loops/index.ts";
import { parallel } from "./loops/parallel.ts";
import { shareSizes } from "./loops/share.ts";
import { Sizes } from "./loops/sizes.ts";
import { liveness, rootOf, usageOf } from "./memory/liveness.ts";
import { planMemory } from "./memory/plan.ts";
import { applySchedule } from "./schedule/apply.ts";
import { withParallel } from "./schedule/parallel.ts";
import { chooseSchedule, fallback, scheduleBy } from "./schedule/rules.ts";
import { shareKernels } from "./share-kernels.ts";

export type LowerOptions = {
  readonly target: TargetInfo;
  readonly strict: boolean;
  /** Only the fallback rule: what every other rule is tested against. */
  readonly fallbackOnly?: boolean;
  readonly report?: (group: Group, schedule: Schedule, nest: Stmt) => void;
};

/** A kernel before its loops are unrolled, and what it is called with. */
type Flat = {
  readonly name: string;
  /** In each of the target's vectors. */
  readonly bodies: readonly Stmt[];
  readonly params: readonly Buffer[];
  readonly sizes: Sizes;
  readonly scalars: Kernel["scalars"];
  readonly scalarArgs: readonly Dim[];
};

export function lowerProgram(p: TeProgram, options: LowerOptions): Program {
  return new Lowering(p, options).run();
}

class Lowering {
  private readonly p: TeProgram;
  private readonly options: LowerOptions;
  /** The target with each of its vectors: a kernel has a body for each. */
  private readonly widths: readonly TargetInfo[];
  private readonly buffers: Map<BufferId, Buffer>;
  private readonly kernels: Kernel[] = [];
  private readonly ranges: Ranges;
  private readonly dims: ReadonlySet<string>;
  /** Memory that kernels need for themselves. */
  private readonly lifted = new Set<BufferId>();
  private nextBuffer: number;
  constructor(p: TeProgram, options: LowerOptions) {
    this.p = p;
    this.options = options;
    this.widths = widthsOf(options.target);
    this.buffers = new Map(p.buffers);
    this.nextBuffer = Math.max(0, ...[...p.buffers.keys()].map((k) => k + 1));
    this.ranges = rangesOf(p.symbols);
    const counters: string[] = [];
    visitActions(p.actions, (a) => {
      if (a.kind === "loop") counters.push(a.counter);
    });
    this.dims = new Set<string>([...p.symbols.map((s) => s.id), ...counters, "$seed"]);
  }
  run(): Program {
    const target = this.options.target;
    const init = this.p.actions.filter((a) => this.prepares(a));
    const rest = this.p.actions.filter((a) => !this.prepares(a));
    const flat = mapCalls([...init, ...rest], (c) =>
      c.kind === "group" ? this.group(c.group) : this.ready(c.kernel, c.args, c.scalars),
    );
    const sized = target.tiersUp ? this.withSizes(flat) : flat;
    const prepare = mapCalls(sized.slice(0, init.length), (k) => this.finish(k, "prepared"));
    const calls = mapCalls(sized.slice(init.length), (k) => this.finish(k, "arena"));
    const run = [...prepare, ...withHeap(calls, this.p, this.buffers)];
    this.dropUnread(run);
    const usages = this.kernels.map(usageOf);
    const ports = { inputs: this.p.inputs.map((i) => i.buffer), outputs: this.p.outputs.map((o) => o.buffer) };
    const live = liveness(run, usages, this.buffers, ports.inputs, ports.outputs);
    const arena = new Map(
      [...live.intervals].filter(([id]) => {
        const b = this.buffers.get(id)!;
        return b.scope === "arena" || (b.scope === "io" && target.ioInArena);
      }),
    );
    const roots = (scope: Buffer["scope"]): BufferId[] =>
      [...this.buffers.values()]
        .filter((b) => b.scope === scope && rootOf(this.buffers, b.id) === b.id)
        .map((b) => b.id);
    const plan = planMemory({
      buffers: this.buffers,
      weights: roots("weights"),
      prepared: roots("prepared"),
      arena,
      heap: roots("heap"),
      io: target.ioInArena ? [] : roots("io"),
      symbols: this.p.symbols,
      target,
      inPlace: new Map(),
    });
    const shares = (a: BufferId, b: BufferId): boolean => sharesMemory(a, b, this.buffers);
    const ranges: Ranges = (id) => sizeRange(id) ?? this.ranges(id);
    const shared = shareKernels(this.kernels, run, shares, (k, calls) => finishKernel(k, target, ranges, calls));
    return {
      name: this.p.name,
      symbols: this.p.symbols,
      bindings: bindingsOf(this.p, this.buffers),
      requires: this.p.requires,
      inputs: this.p.inputs,
      outputs: this.p.outputs,
      kernels: shared.kernels,
      init: shared.actions.slice(0, init.length),
      run: shared.actions.slice(init.length),
      buffers: this.buffers,
      constants: new Map([...this.p.constants].filter(([id]) => this.buffers.has(id))),
      plan,
    };
  }
  /** Constants that nothing reads any more: others were made of them. */
  private dropUnread(run: readonly Action<Call>[]): void {
    const read = new Set<BufferId>();
    visitActions(run, (a) => {
      if (a.kind === "call") for (const id of a.call.args) read.add(rootOf(this.buffers, id));
      if (a.kind === "dim" && "buffer" in a.from) read.add(rootOf(this.buffers, a.from.buffer));
      if (a.kind === "if") read.add(rootOf(this.buffers, a.cond));
      if (a.kind === "loop")
        for (const id of [a.cond, ...a.swap.flat()]) if (id !== null) read.add(rootOf(this.buffers, id));
    });
    const dead = [...this.buffers.values()].filter(
      (b) => b.scope === "weights" && !read.has(rootOf(this.buffers, b.id)),
    );
    for (const b of dead) this.buffers.delete(b.id);
  }
  /** Fills prepared buffers: once per load. */
  private prepares(a: TeAction): boolean {
    if (a.kind !== "call" || a.call.kind !== "group") return false;
    return a.call.group.stages.every((s) => s.outs.every((o) => this.buffers.get(o.buffer)?.scope === "prepared"));
  }
  private fresh(): BufferId {
    return this.nextBuffer++ as BufferId;
  }
  /** A group under the schedules that the rules choose. */
  private group(g: Group): Flat {
    const buffer = (id: BufferId): Buffer => must(this.buffers.get(id), `buffer ${id}`);
    const { strict } = this.options;
    const nests = this.widths.map((target) => {
      const rules = { target, buffer, ranges: this.ranges, strict };
      const chosen = this.options.fallbackOnly ? scheduleBy(fallback, g, rules) : chooseSchedule(g, rules);
      const schedule = target.threads ? withParallel(g, chosen) : chosen;
      const nest = applySchedule(g, schedule, {
        buffer,
        ranges: this.ranges,
        lanes: vectorLanes(target),
        freshBuffer: () => this.fresh(),
      });
      this.options.report?.(g, schedule, nest);
      return nest;
    });
    const root = must(
      g.stages.find((s) => s.id === g.root),
      "the root",
    );
    return this.flat(`${root.name.toLowerCase().replace(/[^a-z0-9]+/g, "_")}`, nests, (id) => buffer(id));
  }
  /** A kernel that an op wrote in loops. Its parameters are bound by position. */
  private ready(k: Kernel, args: readonly BufferId[], scalars: readonly Dim[]): Flat {
    const own = new Map<BufferId, BufferId>(k.params.map((p, i) => [p.id, args[i]!]));
    // Local buffers get ids apart from the program's.
    visitStmt(k.body, (s) => {
      if (s.kind === "alloc") own.set(s.buffer.id, this.fresh());
    });
    const memo = new Map<LoopExpr, LoopExpr>();
    const expr = (e: LoopExpr): LoopExpr =>
      mapExpr<LoopExpr>(
        e,
        (x) => (x.kind === "load" ? { ...x, buffer: must(own.get(x.buffer), "a parameter") } : x),
        memo,
      );
    const body = mapStmt(
      k.body,
      (s) => {
        if (s.kind === "store") return { ...s, buffer: must(own.get(s.buffer), "a parameter") };
        return s.kind === "alloc" ? { ...s, buffer: { ...s.buffer, id: own.get(s.buffer.id)! } } : s;
      },
      expr,
    );
    const nests = this.widths.map(() => body);
    return this.flat(k.name, nests, (id) => must(this.buffers.get(id), `buffer ${id}`), k.scalars, scalars);
  }
  /** Where several parts of one buffer are used, a kernel gets the whole: one address, and the parts at distances from it. */
  private wholes(used: ReadonlySet<BufferId>): ReadonlyMap<BufferId, { readonly of: BufferId; readonly offset: Dim }> {
    const parts = new Map<BufferId, { id: BufferId; offset: Dim }[]>();
    for (const id of used) {
      let offset: Dim = D.zero;
      let b = must(this.buffers.get(id), `buffer ${id}`);
      while (b.storage && b.storage.root !== null) {
        offset = D.add(offset, b.storage.offset);
        b = must(this.buffers.get(b.storage.root), "a root");
      }
      if (b.scope === "heap") continue;
      parts.set(b.id, [...(parts.get(b.id) ?? []), { id, offset }]);
    }
    const out = new Map<BufferId, { of: BufferId; offset: Dim }>();
    for (const [of, list] of parts) if (list.length > 2) for (const { id, offset } of list) out.set(id, { of, offset });
    return out;
  }
  /** A nest in each of the target's vectors with linear indices: what a kernel is made of. */
  private flat(
    name: string,
    nests: readonly Stmt[],
    buffer: (id: BufferId) => Buffer,
    scalars: Kernel["scalars"] = [],
    scalarArgs: readonly Dim[] = [],
  ): Flat {
    const locals = new Set<BufferId>();
    const used = new Set<BufferId>();
    for (const nest of nests)
      visitStmt(nest, (s) => {
        if (s.kind === "alloc") locals.add(s.buffer.id);
      });
    const note = (s: Stmt): void => {
      for (const e of exprsOf(s))
        visitExpr(e, (x) => {
          if (x.kind === "load" && !locals.has(x.buffer)) used.add(x.buffer);
        });
      if (s.kind === "store" && !locals.has(s.buffer)) used.add(s.buffer);
    };
    for (const nest of nests) visitStmt(nest, note);
    // The call passes the address of the first element: where the buffer lies in its root is no business of the kernel.
    const own = (b: Buffer, offset: Dim): Buffer => ({
      ...b,
      storage: { ...(b.storage ?? dense(b.shape)), root: null, offset },
    });
    const whole = this.wholes(used);
    const places = [...used].map((id) => own(buffer(id), whole.get(id)?.offset ?? D.zero));
    const params = [...new Set([...used].map((id) => whole.get(id)?.of ?? id))].map((id) => own(buffer(id), D.zero));
    const rename = new Map([...whole].map(([id, w]) => [id, w.of]));
    const sizes = new Sizes(this.dims, this.ranges);
    const bodies = nests.map((nest) => sizes.stmt(flattenNest(nest, places, rename, this.ranges)));
    return { name, bodies, params: params.map((b) => sizes.buffer(b)), sizes, scalars, scalarArgs };
  }
  /** Kernels that differ only in numbers take these as sizes. */
  private withSizes(actions: readonly Action<Flat>[]): Action<Flat>[] {
    const all: Flat[] = [];
    visitActions(actions, (a) => {
      if (a.kind === "call") all.push(a.call);
    });
    const roots = ({ params }: { readonly params: readonly Buffer[] }): string =>
      params
        .map((p) => rootOf(this.buffers, p.id))
        .map((r, _, l) => l.indexOf(r))
        .join();
    const shared = shareSizes(
      all.map((f) => ({ body: must(f.bodies[0], "a body"), params: f.params })),
      roots,
    );
    assert(this.widths.length === 1, "sizes are shared in one width");
    const of = new Map(all.map((f, k) => [f, shared[k]!]));
    return mapCalls(actions, (f) => {
      const { body, params, sizes } = of.get(f)!;
      for (const [id, d] of sizes) f.sizes.values.set(id, d);
      return { ...f, bodies: [body], params };
    });
  }
  /** The call of a kernel: loops unrolled, registers chosen. `scope`: where memory of its own lies. init knows of no arena. */
  private finish(f: Flat, scope: "arena" | "prepared"): Call {
    const straight = f.bodies.map((body, k) => straightNest(body, this.widths[k]!, () => this.fresh()));
    const bodies = this.options.target.threads ? straight.map((b) => parallel(b, () => this.fresh())) : straight;
    return this.close(f, bodies, scope);
  }
  /** Lifts memory that the kernel needs for itself into parameters, and collects the dims it names. */
  private close(
    { name, params, sizes, scalars, scalarArgs }: Flat,
    bodies: readonly Stmt[],
    scope: "arena" | "prepared",
  ): Call {
    const all = [...params];
    const lifted = bodies.map((body) => sizes.stmt(this.lift(body, all, scope)));
    const dims = new Set<SymbolId>();
    const bound = new Set<string>();
    for (const body of lifted)
      visitStmt(body, (s) => {
        if (s.kind === "for") bound.add(s.v);
        for (const e of exprsOf(s))
          visitExpr(e, (x) => {
            if (x.kind !== "var") return;
            const id = x.name as SymbolId;
            if (this.dims.has(id) || sizes.values.has(id)) dims.add(id);
          });
      });
    const [body, ...others] = lifted;
    const variants = others.map((x, k) => ({ lanes: vectorLanes(this.widths[k + 1]!), body: x }));
    const kernel: Kernel = {
      name,
      params: all.map((b, k) => (k < params.length ? b : sizes.buffer(b))),
      scalars,
      dims: [...dims].filter((d) => !bound.has(d)),
      mayOverlap: [],
      body: body!,
      ...(variants.length > 0 ? { variants } : {}),
    };
    this.kernels.push(kernel);
    return {
      kernel: this.kernels.length - 1,
      args: all.map((b) => b.id),
      scalars: scalarArgs,
      dims: kernel.dims.map((d) => sizes.values.get(d) ?? D.sym(d)),
    };
  }
  /** A body without the memory that it allocates: that is among the parameters, and other bodies' of the same type serves it too. */
  private lift(body: Stmt, params: Buffer[], scope: "arena" | "prepared"): Stmt {
    const free = params.filter((b) => this.lifted.has(b.id));
    const own = new Map<BufferId, BufferId>();
    visitStmt(body, (s) => {
      if (s.kind !== "alloc" || s.buffer.scope !== "stack") return;
      const { dtype, shape } = s.buffer;
      const same = free.findIndex(
        (b) => b.dtype === dtype && b.shape.map((d) => d.key).join() === shape.map((d) => d.key).join(),
      );
      if (same >= 0) {
        own.set(s.buffer.id, free.splice(same, 1)[0]!.id);
        return;
      }
      const b: Buffer = { ...s.buffer, scope };
      this.buffers.set(b.id, b);
      this.lifted.add(b.id);
      params.push(b);
      own.set(b.id, b.id);
    });
    if (own.size === 0) return body;
    const to = (id: BufferId): BufferId => own.get(id) ?? id;
    const memo = new Map<LoopExpr, LoopExpr>();
    return mapStmt(
      body,
      (s) => {
        if (s.kind === "store") return { ...s, buffer: to(s.buffer) };
        return s.kind === "alloc" && own.has(s.buffer.id) ? s.body : s;
      },
      (e) => mapExpr<LoopExpr>(e, (x) => (x.kind === "load" ? { ...x, buffer: to(x.buffer) } : x), memo),
    );
  }
}

/** True when two buffers may have bytes in common: parts of one root. */
function sharesMemory(a: BufferId, b: BufferId, buffers: ReadonlyMap<BufferId, Buffer>): boolean {
  return rootOf(buffers, a) === rootOf(buffers, b);
}

/** Where the symbols come from: the first input axis that is exactly the symbol. */
function bindingsOf(p: TeProgram, buffers: ReadonlyMap<BufferId, Buffer>): Binding[] {
  const out: Binding[] = [];
  for (const s of p.symbols) {
    if (s.def !== null) continue;
    let found = false;
    p.inputs.forEach((port, input) => {
      buffers.get(port.buffer)!.shape.forEach((d, axis) => {
        if (found || d.kind !== "sym" || d.id !== s.id) return;
        found = true;
        out.push({ id: s.id, input, axis, min: s.min, max: s.max });
      });
    });
  }
  return out;
}

/**
 * Buffers whose size is known only during the run move to the heap: reserved before their first use, released after the last. Those that
 * are of the heap already (elements of sequences) are reserved by actions of the program.
 */
function withHeap(actions: Action<Call>[], p: TeProgram, buffers: Map<BufferId, Buffer>): Action<Call>[] {
  const data = new Set<SymbolId>(p.symbols.filter((s) => s.def === "data").map((s) => s.id));
  visitActions(p.actions, (a) => {
    if (a.kind === "loop") data.add(a.counter);
  });
  const moved = new Set<BufferId>();
  for (const b of buffers.values()) {
    if (b.scope === "weights" || b.scope === "heap" || rootOf(buffers, b.id) !== b.id) continue;
    const syms = D.symbolsOf((b.storage ?? dense(b.shape)).size);
    // An empty output may have such a dim beside its 0: callers learn of it as they do of others.
    if (b.scope === "io") for (const d of b.shape) D.symbolsOf(d, syms);
    if ([...syms].some((s) => data.has(s))) moved.add(b.id);
  }
  if (moved.size === 0) return actions;
  for (const b of [...buffers.values()])
    if (moved.has(rootOf(buffers, b.id))) buffers.set(b.id, { ...b, scope: "heap" });
  const outputs = new Set(p.outputs.map((o) => rootOf(buffers, o.buffer)));
  const touched = (a: Action<Call>): Set<BufferId> => {
    const ids = new Set<BufferId>();
    visitActions([a], (x) => {
      const add = (id: BufferId): void => {
        const r = rootOf(buffers, id);
        if (moved.has(r)) ids.add(r);
      };
      switch (x.kind) {
        case "call":
          x.call.args.forEach(add);
          break;
        case "dim":
          if ("buffer" in x.from) add(x.from.buffer);
          break;
        case "if":
          add(x.cond);
          break;
        case "loop":
          if (x.cond !== null) add(x.cond);
          for (const [s, t] of x.swap) {
            add(s);
            add(t);
          }
          break;
        case "reserve":
        case "release":
          break;
      }
    });
    return ids;
  };
  const swapped = new Set<BufferId>();
  visitActions(actions, (a) => {
    if (a.kind === "loop") for (const id of a.swap.flat()) swapped.add(rootOf(buffers, id));
  });
  const sizeOf = (id: BufferId): Set<SymbolId> => {
    const b = must(buffers.get(id), `buffer ${id}`);
    return D.symbolsOf((b.storage ?? dense(b.shape)).size);
  };
  const boundIn = (a: Action<Call>): Set<SymbolId> => {
    const ids = new Set<SymbolId>();
    visitActions([a], (x) => {
      if (x.kind === "dim") ids.add(x.id);
    });
    return ids;
  };
  // A buffer is reserved in the innermost list that holds all of its uses; where a nested action binds its size, inside of that action,
  // in each branch. `keep`: what is used further out. A swapped buffer may hold what its partner held: it is not released.
  const place = (
    list: readonly Action<Call>[],
    reserved: ReadonlySet<BufferId>,
    keep: ReadonlySet<BufferId>,
  ): Action<Call>[] => {
    const uses = list.map(touched);
    const out: Action<Call>[] = [];
    const now = new Set(reserved);
    list.forEach((a, k) => {
      const nested = a.kind === "loop" || a.kind === "if";
      const bound = nested ? boundIn(a) : new Set<SymbolId>();
      const elsewhere = (id: BufferId): boolean => keep.has(id) || uses.some((u, j) => j !== k && u.has(id));
      const here = (id: BufferId): boolean =>
        !nested || (![...sizeOf(id)].some((s) => bound.has(s)) && (elsewhere(id) || touchesInBoth(a, id, touched)));
      for (const id of uses[k]!) {
        if (now.has(id) || !here(id)) continue;
        out.push({ kind: "reserve", buffer: id });
        now.add(id);
      }
      const inner = new Set([...keep, ...[...uses[k]!].filter(elsewhere)]);
      const body = (actions: readonly Action<Call>[]): Action<Call>[] => place(actions, now, inner);
      out.push(
        a.kind === "loop"
          ? { ...a, body: body(a.body) }
          : a.kind === "if"
            ? { ...a, then: body(a.then), otherwise: body(a.otherwise) }
            : a,
      );
      for (const id of uses[k]!) {
        const mine = now.has(id) || elsewhere(id);
        now.add(id);
        if (!mine || reserved.has(id) || keep.has(id) || uses.slice(k + 1).some((u) => u.has(id))) continue;
        out.push({ kind: "release", buffer: id });
      }
    });
    return out;
  };
  // Nothing writes an empty output; it has a place all the same.
  const idle = [...outputs].filter((id) => moved.has(id) && !actions.some((a) => touched(a).has(id)));
  const reserved = idle.map((buffer): Action<Call> => ({ kind: "reserve", buffer }));
  return [...place(actions, new Set(), new Set([...outputs, ...swapped])), ...reserved];
}
function touchesInBoth(a: Action<Call>, id: BufferId, touched: (a: Action<Call>) => Set<BufferId>): boolean {
  return a.kind === "if" && a.then.some((x) => touched(x).has(id)) && a.otherwise.some((x) => touched(x).has(id));
}
