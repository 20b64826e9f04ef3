// Applies a schedule to a group of stages: gives its loop nest, with logical indices and with unroll and vector loops still as marks.
import { assert, InternalError, must } from "../../src/base/assert.ts";
import type { BufferId, StageId } from "../../src/base/brand.ts";
import type { Dim, Ranges } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import { ofDim, toDim } from "../../src/ir/expr.ts";
import { type LoopExpr, type LoopKind, nothing, type Stmt, seq } from "../../src/ir/loops.ts";
import { mapExpr, visitExpr } from "../../src/ir/rewrite.ts";
import { axesOf, type Schedule, type ScheduleStep } from "../../src/ir/schedule.ts";
import { type Buffer, dense } from "../../src/ir/storage.ts";
import { fewestLanes } from "../../src/ir/target.ts";
import type { Group, Reduce, Stage, TeExpr } from "../../src/ir/te.ts";

/** A loop of a stage. `inner` of a split gets its extent from the outer loop's emission. */
type Leaf = {
  readonly name: string;
  readonly role: "spatial" | "reduce";
  readonly extent: Dim;
  /** Set on the outer loop of a split. */
  readonly split?: { readonly by: number; readonly tail: "peel" | "guard" | "overlap"; readonly inner: string };
  readonly mark: LoopKind;
  readonly rfactor: boolean;
};
/** What an axis, or a loop that was split or fused, is in terms of other loops. */
type Definition =
  | { readonly kind: "sum"; readonly parts: readonly [string, string] }
  | { readonly kind: "part"; readonly of: string; readonly inner: Dim; readonly extent: Dim; readonly first: boolean };

/** Loops and definitions of one stage after its steps. */
class Shape {
  leaves: Leaf[];
  readonly defs: Map<string, Definition> = new Map();
  constructor(stage: Stage, extents: ReadonlyMap<string, Dim>, steps: readonly ScheduleStep[]) {
    this.leaves = axesOf(stage).map((a) => ({
      name: a.name,
      role: a.role,
      extent: extents.get(a.name) ?? a.extent,
      mark: "serial",
      rfactor: false,
    }));
    for (const s of steps) this.step(s);
  }
  private at(name: string): number {
    const k = this.leaves.findIndex((l) => l.name === name);
    assert(k >= 0, `no loop "${name}" among ${this.leaves.map((l) => l.name).join(", ")}`);
    return k;
  }
  private step(s: ScheduleStep): void {
    switch (s.kind) {
      case "split": {
        const k = this.at(s.axis);
        const l = this.leaves[k]!;
        const [o, i] = [`${s.axis}.o`, `${s.axis}.i`];
        this.leaves.splice(
          k,
          1,
          { ...l, name: o, split: { by: s.by, tail: s.tail, inner: i } },
          { ...l, name: i, extent: D.int(s.by) },
        );
        this.defs.set(s.axis, { kind: "sum", parts: [o, i] });
        break;
      }
      case "fuse": {
        const ks = s.axes.map((a) => this.at(a));
        const parts = ks.map((k) => this.leaves[k]!);
        const name = s.axes.join("+");
        const first = parts[0]!;
        assert(
          parts.every((p) => p.role === first.role),
          "fuse of spatial and reduce loops",
        );
        const extent = D.product(parts.map((p) => p.extent));
        parts.forEach((p, n) => {
          this.defs.set(p.name, {
            kind: "part",
            of: name,
            inner: D.product(parts.slice(n + 1).map((q) => q.extent)),
            extent: p.extent,
            first: n === 0,
          });
        });
        const at = Math.min(...ks);
        this.leaves = this.leaves.filter((_, k) => !ks.includes(k));
        this.leaves.splice(at, 0, { ...first, name, extent });
        break;
      }
      case "order": {
        assert(
          s.axes.length === this.leaves.length,
          `order names ${s.axes.join(", ")}, the loops are ${this.leaves.map((l) => l.name).join(", ")}`,
        );
        this.leaves = s.axes.map((a) => this.leaves[this.at(a)]!);
        break;
      }
      case "mark": {
        const k = this.at(s.axis);
        this.leaves[k] = { ...this.leaves[k]!, mark: s.as };
        break;
      }
      case "rfactor": {
        const k = this.at(s.axis);
        assert(
          this.leaves[k]!.role === "reduce" && this.leaves[k]!.extent.kind === "int",
          "rfactor needs a reduce loop of constant extent",
        );
        this.leaves[k] = { ...this.leaves[k]!, rfactor: true };
        break;
      }
      case "attach":
        break;
    }
  }
  /** The value of an axis or loop, given those of the emitted loops; an unemitted loop stands for itself. */
  value(name: string, env: ReadonlyMap<string, Dim>): Dim {
    const known = env.get(name);
    if (known) return known;
    const def = this.defs.get(name);
    if (!def) return D.sym(name);
    if (def.kind === "sum") return D.add(this.value(def.parts[0], env), this.value(def.parts[1], env));
    const whole = this.value(def.of, env);
    const q = D.floordiv(whole, def.inner);
    return def.first ? q : D.mod(q, def.extent);
  }
}

/** Computed at an attach point into memory of the kernel's own. */
type Local = {
  readonly buffers: ReadonlyMap<BufferId, Buffer>;
  readonly base: readonly Dim[];
  readonly extent: readonly Dim[];
  readonly stage: Stage;
};

/** The loops of a stage after the steps that concern it, outermost first. */
export function loopsOf(stage: Stage, steps: readonly ScheduleStep[]): readonly Pick<Leaf, "name" | "role" | "mark">[] {
  return new Shape(
    stage,
    new Map(),
    steps.filter((s) => s.stage === stage.id),
  ).leaves;
}

export type Applied = { readonly body: Stmt };

export type ApplyCtx = {
  readonly buffer: (id: BufferId) => Buffer;
  readonly ranges: Ranges;
  readonly lanes: number;
  readonly freshBuffer: () => BufferId;
};

/** The loop nest of a group under a schedule. */
export function applySchedule(group: Group, schedule: Schedule, ctx: ApplyCtx): Stmt {
  return new GroupLowering(group, schedule, ctx).run();
}

class GroupLowering {
  private readonly group: Group;
  private readonly schedule: Schedule;
  readonly ctx: ApplyCtx;
  private readonly names = new Map<string, number>();
  /** Buffers that attached stages have made local, with the logical index of their first element. */
  readonly locals = new Map<BufferId, { readonly buffer: Buffer; readonly base: readonly Dim[] }>();
  constructor(group: Group, schedule: Schedule, ctx: ApplyCtx) {
    this.group = group;
    this.schedule = schedule;
    this.ctx = ctx;
  }
  run(): Stmt {
    const root = must(
      this.group.stages.find((s) => s.id === this.group.root),
      "the root stage",
    );
    const attached = this.group.stages.filter((s) => s.id !== root.id);
    const at = new Map<string | null, Stage[]>();
    for (const s of attached) {
      const step = this.steps(s.id).find((x) => x.kind === "attach");
      const loop = step?.kind === "attach" ? step.at : null;
      at.set(loop, [...(at.get(loop) ?? []), s]);
    }
    const lowering = new StageLowering(
      this,
      root,
      new Shape(root, new Map(), this.steps(root.id)),
      null,
      (loop, env, shape) => this.attach(at.get(loop) ?? [], root, env, shape),
    );
    const before = this.attach(at.get(null) ?? [], root, new Map(), lowering.shape);
    return before(lowering.emit(0, new Map(), new Map()));
  }
  steps(id: StageId): readonly ScheduleStep[] {
    return this.schedule.steps.filter((s) => s.stage === id);
  }
  unique(stem: string): string {
    const n = this.names.get(stem) ?? 0;
    this.names.set(stem, n + 1);
    return n === 0 ? stem : `${stem}_${n}`;
  }
  /** Wraps a body in the computation of the stages attached here. */
  private attach(
    stages: readonly Stage[],
    root: Stage,
    env: ReadonlyMap<string, Dim>,
    rootShape: Shape,
  ): (body: Stmt) => Stmt {
    if (stages.length === 0) return (b) => b;
    const regions = new Map<StageId, Local>();
    for (const s of [...stages].reverse()) regions.set(s.id, this.region(s, stages, regions, root, env, rootShape));
    for (const l of regions.values())
      for (const [id, buffer] of l.buffers) this.locals.set(id, { buffer, base: l.base });
    const nests = stages.map((s) => {
      const l = regions.get(s.id)!;
      const extents = new Map(s.axes.map((a, k) => [a.name, l.extent[k]!]));
      return new StageLowering(this, s, new Shape(s, extents, this.steps(s.id)), l, () => (b) => b).emit(
        0,
        new Map(),
        new Map(),
      );
    });
    const buffers = [...regions.values()].flatMap((l) => [...l.buffers.values()]);
    return (body) =>
      buffers.reduceRight<Stmt>((b, buffer) => ({ kind: "alloc", buffer, body: b }), seq([...nests, body]));
  }
  /** The part of a stage's outputs that its readers at this point need: the bounding box of their indices. */
  private region(
    s: Stage,
    stages: readonly Stage[],
    regions: ReadonlyMap<StageId, Local>,
    root: Stage,
    env: ReadonlyMap<string, Dim>,
    rootShape: Shape,
  ): Local {
    const outs = new Set(s.outs.map((o) => o.buffer));
    const los: (Dim | null)[] = s.axes.map(() => null);
    const his: (Dim | null)[] = s.axes.map(() => null);
    const cover = (reader: Stage, value: (axis: string) => Dim, ranges: Ranges): void => {
      for (const o of reader.outs) {
        visitExpr(o.body, (e) => {
          if (e.kind !== "load" || !outs.has(e.buffer)) return;
          e.index.forEach((x, k) => {
            const d = toDim(x);
            const full = s.axes[k]!.extent;
            const at = d && D.substitute(d, (id) => (axesOf(reader).some((a) => a.name === id) ? value(id) : null));
            const lo = at ? D.lowerBound(at, ranges) : D.zero;
            const hi = at ? D.upperBound(at, ranges) : D.sub(full, D.one);
            los[k] = los[k] === null ? lo : los[k] === lo ? lo : D.min(los[k]!, lo ?? D.zero);
            his[k] = his[k] === null ? hi : his[k] === hi ? hi : D.max(his[k]!, hi ?? D.sub(full, D.one));
          });
        });
      }
    };
    const varying =
      (extents: ReadonlyMap<string, Dim>): Ranges =>
      (id) => {
        const e = extents.get(id);
        return e ? { min: D.zero, max: D.sub(e, D.one) } : null;
      };
    // Loops that are emitted already are fixed; the others run over all of their extent.
    const free = new Map<string, Dim>(rootShape.leaves.filter((l) => !env.has(l.name)).map((l) => [l.name, l.extent]));
    cover(root, (a) => rootShape.value(a, env), varying(free));
    for (const t of stages) {
      const l = regions.get(t.id);
      if (!l) continue;
      // Axes of other stages are named apart from the loops around them.
      const own = (a: string): string => `@${a}`;
      const extents = new Map(axesOf(t).map((a) => [own(a.name), a.extent]));
      t.axes.forEach((a, k) => extents.set(own(a.name), l.extent[k]!));
      cover(
        t,
        (a) => {
          const k = t.axes.findIndex((x) => x.name === a);
          return k < 0 ? D.sym(own(a)) : D.add(l.base[k]!, D.sym(own(a)));
        },
        varying(extents),
      );
    }
    // Readers that test bounds, and tiles, reach beyond the ends, where there is nothing to compute and nothing to compute it from.
    const base = los.map((x) => (x === null || D.atMost(x, D.zero, this.ctx.ranges) ? D.zero : x));
    const extent = his.map((h, k) => {
      const last = D.sub(s.axes[k]!.extent, D.one);
      const hi = h === null || D.atMost(last, h, this.ctx.ranges) ? last : h;
      return D.simplify(D.add(D.sub(hi, base[k]!), D.one), this.ctx.ranges);
    });
    const count = D.product(extent);
    const scope = count.kind === "int" && count.value <= 64 ? "register" : "stack";
    const buffers = new Map(
      s.outs.map((o) => {
        const b = this.ctx.buffer(o.buffer);
        const local: Buffer = {
          id: this.ctx.freshBuffer(),
          name: this.unique(`${b.name}.local`),
          dtype: b.dtype,
          shape: extent,
          scope,
          storage: dense(extent),
        };
        return [o.buffer, local] as const;
      }),
    );
    return { buffers, base, extent, stage: s };
  }
}

class StageLowering {
  readonly shape: Shape;
  private readonly g: GroupLowering;
  private readonly stage: Stage;
  private readonly local: Local | null;
  private readonly attach: (loop: string, env: ReadonlyMap<string, Dim>, shape: Shape) => (body: Stmt) => Stmt;
  /** Index of the first reduce loop: what stands before is outside the accumulators' life. */
  private readonly firstReduce: number;
  private readonly reduce: Reduce | null;
  constructor(
    g: GroupLowering,
    stage: Stage,
    shape: Shape,
    local: Local | null,
    attach: (loop: string, env: ReadonlyMap<string, Dim>, shape: Shape) => (body: Stmt) => Stmt,
  ) {
    this.g = g;
    this.stage = stage;
    this.shape = shape;
    this.local = local;
    this.attach = attach;
    const body = stage.outs[0]!.body;
    this.reduce = body.kind === "reduce" ? body : null;
    const k = shape.leaves.findIndex((l) => l.role === "reduce");
    this.firstReduce = this.reduce ? (k < 0 ? shape.leaves.length : k) : -1;
  }
  /** Loops from k on. env: values of emitted loops; extents: extents of split's inner loops. */
  emit(k: number, env: ReadonlyMap<string, Dim>, extents: ReadonlyMap<string, Dim>): Stmt {
    if (k === this.firstReduce) return this.reduction(env, extents);
    if (k === this.shape.leaves.length) return this.stores(env);
    return this.loop(k, env, extents, (e, x) => {
      const wrap = this.attach(this.shape.leaves[k]!.name, e, this.shape);
      return wrap(this.emit(k + 1, e, x));
    });
  }
  /** The loop (or loops, with a peeled tail) of leaf k around `body`. */
  private loop(
    k: number,
    env: ReadonlyMap<string, Dim>,
    extents: ReadonlyMap<string, Dim>,
    body: (env: ReadonlyMap<string, Dim>, extents: ReadonlyMap<string, Dim>) => Stmt,
  ): Stmt {
    const leaf = this.shape.leaves[k]!;
    const extent = extents.get(leaf.name) ?? leaf.extent;
    const bind = (value: Dim): Map<string, Dim> => new Map([...env, [leaf.name, value]]);
    const count = (e: Dim, step: number, inner: (v: Dim) => Stmt): Stmt => {
      if (e.kind === "int" && e.value <= 0) return nothing;
      if (e.kind === "int" && e.value <= step && !leaf.mark.includes(".")) return inner(D.zero);
      const v = this.g.unique(leaf.name);
      return { kind: "for", v, extent: ofDim(e), step, loop: leaf.mark, body: inner(D.sym(v)) };
    };
    const split = leaf.split;
    if (!split) return count(extent, 1, (v) => body(bind(v), extents));
    const { by, inner } = split;
    const within = (e: Dim): Map<string, Dim> => new Map([...extents, [inner, e]]);
    if (split.tail === "guard") {
      return count(D.ceildiv(extent, D.int(by)), 1, (v) => {
        const value = D.mul(v, D.int(by));
        return body(bind(value), within(D.int(by)));
      });
    }
    if (split.tail === "overlap" && extent.kind === "int" && extent.value > by && extent.value % by !== 0) {
      return count(extent, by, (v) => {
        const name = this.g.unique(`${leaf.name}.at`);
        const start = D.min(v, D.int(extent.value - by));
        return { kind: "let", name, value: ofDim(start), body: body(bind(D.sym(name)), within(D.int(by))) };
      });
    }
    if (extent.kind === "int") {
      const whole = extent.value - (extent.value % by);
      return seq([
        count(D.int(whole), by, (v) => body(bind(v), within(D.int(by)))),
        whole < extent.value ? body(bind(D.int(whole)), within(D.int(extent.value - whole))) : nothing,
      ]);
    }
    const whole = D.mul(D.floordiv(extent, D.int(by)), D.int(by));
    const rest = D.sub(extent, whole);
    return seq([
      count(whole, by, (v) => body(bind(v), within(D.int(by)))),
      rest === D.zero ? nothing : count(rest, 1, (v) => body(bind(D.add(whole, v)), within(D.one))),
    ]);
  }
  /** Guards of split loops with tail "guard" that cover more than the axis. */
  private guarded(env: ReadonlyMap<string, Dim>, body: Stmt): Stmt {
    const tests: LoopExpr[] = [];
    for (const l of this.shape.leaves) {
      if (l.split?.tail !== "guard") continue;
      if (l.extent.kind === "int" && l.extent.value % l.split.by === 0) continue;
      const value = D.add(must(env.get(l.name), l.name), must(env.get(l.split.inner), l.split.inner));
      tests.push({ kind: "binary", op: "lt", dtype: "bool", a: ofDim(value), b: ofDim(l.extent) });
    }
    return tests.reduce<Stmt>((b, cond) => ({ kind: "if", cond, then: b }), body);
  }
  /** An expression of the stage at the current point. */
  private expr(e: TeExpr, env: ReadonlyMap<string, Dim>, states?: ReadonlyMap<string, LoopExpr>): LoopExpr {
    const values = new Map<string, LoopExpr>();
    for (const a of axesOf(this.stage)) {
      const own = this.shape.value(a.name, env);
      const k = this.stage.axes.findIndex((x) => x.name === a.name);
      values.set(a.name, ofDim(this.local && k >= 0 ? D.add(this.local.base[k]!, own) : own));
    }
    return mapExpr<LoopExpr>(e as LoopExpr, (x) => {
      if (x.kind === "var") return states?.get(x.name) ?? values.get(x.name) ?? x;
      if (x.kind !== "load") return x;
      const l = this.g.locals.get(x.buffer);
      if (!l) return x;
      return {
        ...x,
        buffer: l.buffer.id,
        index: x.index.map((i, k) =>
          l.base[k] === D.zero ? i : { kind: "binary", op: "sub", dtype: "i32", a: i, b: ofDim(l.base[k]!) },
        ),
      };
    });
  }
  private store(buffer: BufferId, value: LoopExpr, env: ReadonlyMap<string, Dim>): Stmt {
    const index = this.stage.axes.map((a) => ofDim(this.shape.value(a.name, env)));
    const local = this.local?.buffers.get(buffer);
    const target = local ?? this.g.ctx.buffer(buffer);
    return { kind: "store", buffer: target.id, dtype: target.dtype, index, value };
  }
  private stores(env: ReadonlyMap<string, Dim>): Stmt {
    return this.guarded(env, seq(this.stage.outs.map((o) => this.store(o.buffer, this.expr(o.body, env), env))));
  }
  private reduction(env: ReadonlyMap<string, Dim>, extents: ReadonlyMap<string, Dim>): Stmt {
    const r = this.reduce!;
    assert(this.stage.outs.length === 1, "a reduction has one output");
    const rest = this.shape.leaves.slice(this.firstReduce);
    const spatial = rest.filter((l) => l.role === "spatial");
    const factored = rest.filter((l) => l.rfactor);
    assert(factored.length <= 1, "one rfactor a stage");
    const dims = [...spatial, ...factored].map((l) => {
      const e = extents.get(l.name) ?? l.extent;
      if (e.kind !== "int") throw new InternalError(`the accumulator's loop "${l.name}" has extent ${e.key}`);
      // A partial result of its own takes what a split leaves over: vectors and single elements never share one.
      return l.rfactor ? D.add(e, D.one) : e;
    });
    const cells = r.state.map((s): Buffer => {
      const shape = dims;
      return {
        id: this.g.ctx.freshBuffer(),
        name: this.g.unique("acc"),
        dtype: s.dtype,
        shape,
        scope: "register",
        storage: dense(shape),
      };
    });
    const at = (e: ReadonlyMap<string, Dim>, lane?: LoopExpr, x: ReadonlyMap<string, Dim> = extents): LoopExpr[] => [
      ...spatial.map((l) => ofDim(must(e.get(l.name), l.name))),
      ...factored.map(
        (l) => lane ?? ofDim((x.get(l.name) ?? l.extent) === l.extent ? must(e.get(l.name), l.name) : l.extent),
      ),
    ];
    const cell = (k: number, e: ReadonlyMap<string, Dim>, lane?: LoopExpr, x?: ReadonlyMap<string, Dim>): LoopExpr => ({
      kind: "load",
      dtype: cells[k]!.dtype,
      buffer: cells[k]!.id,
      index: at(e, lane, x),
      safe: true,
    });
    const put = (
      k: number,
      value: LoopExpr,
      e: ReadonlyMap<string, Dim>,
      lane?: LoopExpr,
      x?: ReadonlyMap<string, Dim>,
    ): Stmt => ({ kind: "store", buffer: cells[k]!.id, dtype: cells[k]!.dtype, index: at(e, lane, x), value });
    const over = (
      leaves: readonly Leaf[],
      e: ReadonlyMap<string, Dim>,
      x: ReadonlyMap<string, Dim>,
      body: (e: ReadonlyMap<string, Dim>, x: ReadonlyMap<string, Dim>) => Stmt,
    ): Stmt => {
      const [first, ...more] = leaves;
      if (!first) return body(e, x);
      return this.loop(this.shape.leaves.indexOf(first), e, x, (e2, x2) => over(more, e2, x2, body));
    };
    // An accumulator's loops for init and result keep the marks of the update's: the same registers.
    const init = seq([
      over([...spatial, ...factored], env, extents, (e) => seq(r.state.map((s, k) => put(k, s.init, e)))),
      ...factored.map((l) =>
        over(spatial, env, extents, (e) => seq(r.state.map((s, k) => put(k, s.init, e, ofDim(l.extent))))),
      ),
    ]);
    const update = over(rest, env, extents, (e, x) => {
      const states = new Map(r.state.map((s, k) => [s.name, cell(k, e, undefined, x)]));
      const values = r.update.map((u) => this.expr(u, e, states));
      if (values.length === 1) return this.guarded(e, put(0, values[0]!, e, undefined, x));
      // Several states are read all at once.
      const names = values.map((_, k) => this.g.unique(`next${k}`));
      const stores = seq(
        values.map((v, k) => put(k, { kind: "var", dtype: v.dtype, name: names[k]! }, e, undefined, x)),
      );
      return this.guarded(
        e,
        values.reduceRight<Stmt>((b, v, k) => ({ kind: "let", name: names[k]!, value: v, body: b }), stores),
      );
    });
    const result = over(spatial, env, extents, (e) => {
      const states = new Map(
        r.state.map((s, k) => [s.name, factored.length === 0 ? cell(k, e) : this.merged(r, k, factored[0]!, e, cell)]),
      );
      return this.guarded(e, this.store(this.stage.outs[0]!.buffer, this.expr(r.result, e, states), e));
    });
    return cells.reduceRight<Stmt>((b, buffer) => ({ kind: "alloc", buffer, body: b }), seq([init, update, result]));
  }
  /** The partial results of an rfactored state joined: whole vectors first, then their lanes. */
  private merged(
    r: Reduce,
    k: number,
    leaf: Leaf,
    e: ReadonlyMap<string, Dim>,
    cell: (k: number, e: ReadonlyMap<string, Dim>, lane?: LoopExpr) => LoopExpr,
  ): LoopExpr {
    const op = mergeOp(r, k);
    assert(op !== null, "rfactor needs a sum, max or min");
    const n = leaf.extent.kind === "int" ? leaf.extent.value : 0;
    // The vectors that the loop falls into (loops/unroll).
    let lanes = this.g.ctx.lanes;
    while (lanes > 1 && n % lanes !== 0) lanes /= 2;
    if (lanes < fewestLanes) lanes = 1;
    const parts: LoopExpr[] = [];
    for (let l = 0; l < n; l += lanes) {
      const base: LoopExpr = { kind: "const", dtype: "i32", value: l };
      parts.push(cell(k, e, lanes === 1 ? base : { kind: "ramp", base, stride: 1, lanes, dtype: "i32" }));
    }
    const dtype = r.state[k]!.dtype;
    // Pairwise, which is also the more accurate order.
    while (parts.length > 1)
      parts.splice(0, 2, { kind: "binary", op: op === "sum" ? "add" : op, dtype, a: parts[0]!, b: parts[1]! });
    const vector = parts[0]!;
    const joined: LoopExpr = lanes === 1 ? vector : { kind: "lanes", op, factor: lanes, dtype, x: vector };
    return {
      kind: "binary",
      op: op === "sum" ? "add" : op,
      dtype,
      a: joined,
      b: cell(k, e, { kind: "const", dtype: "i32", value: n }),
    };
  }
}

/** Which horizontal operation a state's merge is, or null. */
export function mergeOp(r: Reduce, k: number): "sum" | "max" | "min" | null {
  const m = r.merge?.[k];
  if (m?.kind !== "binary") return null;
  const own = r.state[k]!.name;
  const isPair =
    m.a.kind === "var" &&
    m.b.kind === "var" &&
    new Set([m.a.name, m.b.name]).size === 2 &&
    [m.a.name, m.b.name].every((n) => n === own || n === `${own}'`);
  if (!isPair) return null;
  return m.op === "add" ? "sum" : m.op === "max" || m.op === "min" ? m.op : null;
}
