// Schedule rules for CPUs, in order. They read the stages, the storage of their buffers and facts about the target; never names.
import * as D from "../../src/ir/dim.ts";
import { visitExpr } from "../../src/ir/rewrite.ts";
import { axesOf, type RuleCtx, type ScheduleRule, type ScheduleStep } from "../../src/ir/schedule.ts";
import { fewestLanes } from "../../src/ir/target.ts";
import type { Axis, Group, Reduce, Stage, TeExpr } from "../../src/ir/te.ts";
import { type Access, accessesOf, fusable, stride } from "../te/access.ts";
import { type Contraction, contractionOf } from "../te/contraction.ts";
import { type Rows, rowAxes } from "../te/group.ts";
import { cost } from "../te/inline.ts";
import { mergeOp } from "./apply.ts";
import { tileOf, vectorAxis } from "./tile.ts";

const lanesOf = (ctx: RuleCtx): number => Math.max(1, ctx.target.vectorBytes / 4);
/** The lanes of `count` vectors along an axis: fewer than the target's where the axis is short, down to the fewest that vectors have. */
function lanesAlong(a: Axis, count: number, ctx: RuleCtx): number {
  let lanes = lanesOf(ctx);
  while (lanes > fewestLanes && extentOf(a) < count * lanes) lanes /= 2;
  return lanes;
}
/** Elements that a loop takes at once: along an open axis not many more than a vector, as the rest goes one by one. */
const atOnce = (a: Axis, many: number, lanes: number): number =>
  D.known(a.extent) === null ? Math.min(many, Math.max(lanes, 16)) : many;
/**
 * Vectors that a loop takes at once: chains of many operations run side by side (loops/interleave). One of erf is the longest and needs two
 * registers; of exp, more than four gain nothing.
 */
function vectorsAtOnce(a: Axis, bodies: readonly TeExpr[], lanes: number): number {
  const n = extentOf(a) / lanes;
  if (n < 16 || !bodies.some((e) => cost(e) >= 8)) return 2;
  let erf = false;
  for (const e of bodies)
    visitExpr(e, (x) => {
      if (x.kind === "unary" && x.op === "erf") erf = true;
    });
  return erf && (n % 8 === 0 || n >= 256) ? 8 : 4;
}
const single = (g: Group): Stage | null => (g.stages.length === 1 && g.stages[0]!.scan === null ? g.stages[0]! : null);
const isUnit = (a: Axis): boolean => a.extent === D.one;
/** Loops of one iteration: they stand first and cost nothing. */
const units = (axes: readonly Axis[]): string[] => axes.filter(isUnit).map((a) => a.name);
const live = (axes: readonly Axis[]): Axis[] => axes.filter((a) => !isUnit(a));
const extentOf = (a: Axis): number => D.known(a.extent) ?? Number.POSITIVE_INFINITY;

/** Collects steps for one stage and knows the loops' names as they change. */
class Steps {
  readonly list: ScheduleStep[] = [];
  private readonly stage: Stage["id"];
  constructor(s: Stage) {
    this.stage = s.id;
  }
  /** The outer and inner loop of a split, or the loop alone (as inner) when it is no longer than `by`. */
  split(axis: Axis, by: number, tail: "peel" | "overlap" = "peel"): { outer: string[]; inner: string } {
    const e = D.known(axis.extent);
    if (by <= 1 && e !== 1) return { outer: [axis.name], inner: "" };
    if (e !== null && e <= by) return { outer: [], inner: axis.name };
    this.list.push({ stage: this.stage, kind: "split", axis: axis.name, by, tail });
    return { outer: [`${axis.name}.o`], inner: `${axis.name}.i` };
  }
  fuse(axes: readonly Axis[]): Axis {
    if (axes.length === 1) return axes[0]!;
    this.list.push({ stage: this.stage, kind: "fuse", axes: axes.map((a) => a.name) });
    return {
      name: axes.map((a) => a.name).join("+"),
      extent: D.product(axes.map((a) => a.extent)),
      role: axes[0]!.role,
    };
  }
  order(axes: readonly string[]): void {
    this.list.push({ stage: this.stage, kind: "order", axes: axes.filter((a) => a !== "") });
  }
  mark(axis: string, as: "unroll" | "vector"): void {
    if (axis !== "") this.list.push({ stage: this.stage, kind: "mark", axis, as });
  }
  rfactor(axis: string): void {
    this.list.push({ stage: this.stage, kind: "rfactor", axis });
  }
}

/** The tile of at most `most` rows that computes the fewest rows twice. */
function even(axis: Axis, most: number): number {
  const e = D.known(axis.extent);
  return e === null || e === 0 ? most : Math.ceil(e / Math.ceil(e / most));
}

/** Runs of axes (given outermost first) that every access walks as one axis. */
function fuseRuns(steps: Steps, axes: readonly Axis[], accesses: readonly Access[]): Axis[] {
  const out: Axis[][] = [];
  for (const a of axes) {
    const run = out[out.length - 1];
    const whole = run && { ...a, extent: a.extent, name: a.name };
    if (run && whole && fusable(accesses, run[run.length - 1]!, a)) run.push(a);
    else out.push([a]);
  }
  return out.map((r) => steps.fuse(r));
}
/** Axes in the order in which an access walks memory: the largest stride first. */
function byStride(axes: readonly Axis[], a: Access | undefined): Axis[] {
  const weight = (x: Axis): number => {
    const s = a ? stride(a, x.name) : null;
    return s === null ? 0 : (D.known(s) ?? 2 ** 31 + D.termsOf(s).length);
  };
  return axes
    .map((x, k) => ({ x, k }))
    .sort((p, q) => weight(q.x) - weight(p.x) || p.k - q.k)
    .map((y) => y.x);
}

/**
 * The order of a sum's axes: as an access walks memory. Strict: as they are written, since which rule matches depends on the target's
 * lanes, and the order of additions must not.
 */
function sumOrder(axes: readonly Axis[], a: Access | undefined, ctx: RuleCtx): Axis[] {
  return ctx.strict ? [...axes] : byStride(axes, a);
}

/** Sums of products: a register tile of M x N, K innermost, panels of b. */
const contract: ScheduleRule<Contraction> = {
  name: "contract",
  match: (g, ctx) => {
    const s = single(g);
    const c = s && contractionOf(s, (l) => ["weights", "prepared"].includes(ctx.buffer(l.buffer).scope));
    if (!s || !c || c.n.length === 0) return null;
    const n = vectorAxis(c)!;
    const accesses = accessesOf(s, ctx.buffer, ctx.ranges);
    // A panel is read along N: contiguous within a block.
    const b = accesses.find((a) => !a.store && a.buffer === c.b.load.buffer);
    const storage = ctx.buffer(c.b.load.buffer).storage;
    const contiguous = b && (stride(b, n.name) === D.one || (storage !== null && storage.blocks.length > 0));
    return contiguous || extentOf(n) < lanesOf(ctx) ? c : null;
  },
  steps: (c, g, ctx) => {
    const s = g.stages[0]!;
    const steps = new Steps(s);
    const accesses = accessesOf(s, ctx.buffer, ctx.ranges);
    const a = accesses.find((x) => !x.store && x.buffer === c.a.load.buffer);
    const tile = tileOf(c, ctx.target);
    const n = vectorAxis(c)!;
    const otherN = live(c.n.filter((x) => x !== n));
    const m = fuseRuns(steps, byStride(live(c.m), a), accesses);
    const k = fuseRuns(steps, sumOrder(live(c.k), a, ctx), accesses);
    const free = live(s.axes.filter((x) => ![...c.m, ...c.n, ...c.batch].includes(x)));
    const rows = m[m.length - 1];
    const ns = steps.split(n, tile.n);
    const ms = rows ? steps.split(rows, even(rows, tile.m), "overlap") : { outer: [], inner: "" };
    steps.order([
      ...units(s.axes.filter((x) => x !== n)),
      ...free.map((x) => x.name),
      ...live(c.batch).map((x) => x.name),
      ...otherN.map((x) => x.name),
      ...ns.outer,
      ...m.slice(0, -1).map((x) => x.name),
      ...ms.outer,
      ...units(c.k),
      ...k.map((x) => x.name),
      ms.inner,
      ns.inner,
    ]);
    steps.mark(ms.inner, "unroll");
    steps.mark(ns.inner, "vector");
    return steps.list;
  },
};

/** Reductions over windows or outer axes: vectors along an axis that lies contiguous in everything, a row of outputs at a time. */
const window: ScheduleRule<{ readonly v: Axis }> = {
  name: "window",
  match: (g, ctx) => {
    const s = single(g);
    if (!s || s.outs[0]!.body.kind !== "reduce" || s.outs.length !== 1) return null;
    const accesses = accessesOf(s, ctx.buffer, ctx.ranges);
    const v = s.axes.find((x) =>
      accesses.every((a) => {
        const d = stride(a, x.name);
        return a.store ? d === D.one : d === D.one || d === D.zero;
      }),
    );
    return v && extentOf(v) >= lanesAlong(v, 1, ctx) && (v.extent.kind === "int" || lanesOf(ctx) > 1) ? { v } : null;
  },
  steps: ({ v }, g, ctx) => {
    const s = g.stages[0]!;
    const r = s.outs[0]!.body as Reduce;
    const steps = new Steps(s);
    const lanes = lanesAlong(v, 1, ctx);
    const accesses = accessesOf(s, ctx.buffer, ctx.ranges);
    const main = accesses.find((a) => !a.store && r.axes.some((x) => stride(a, x.name) !== D.zero));
    const k = sumOrder(live(r.axes), main, ctx);
    const rest = byStride(
      live(s.axes.filter((x) => x !== v)),
      accesses.find((a) => a.store),
    );
    // A row of neighbouring outputs shares what its windows overlap.
    const row = r.state.length === 1 ? rest[rest.length - 1] : undefined;
    const small = k.reduce((p, x) => p * extentOf(x), 1) <= 64;
    const rowTile = row && small && extentOf(row) >= 4 ? 4 : 1;
    const rs =
      row && rowTile > 1
        ? steps.split(row, even(row, rowTile), "overlap")
        : { outer: rest.slice(-1).map((x) => x.name), inner: "" };
    // A small window is taken whole where its weights stay in registers: rows then share what they read (loops/reuse), if reading costs.
    const taps = k.reduce((p, x) => p * extentOf(x), 1);
    const still = (a: Access): boolean => row !== undefined && [v, row].every((x) => stride(a, x.name) === D.zero);
    const moving = accesses.filter((a) => !a.store && k.some((x) => stride(a, x.name) !== D.zero));
    const whole = rowTile > 1 && taps <= 9 && moving.some(still) && !ctx.target.memoryOperands;
    const vectors = rowTile === 1 ? 4 : whole ? 1 : 2;
    const vs = steps.split(v, atOnce(v, vectors * lanes, lanes), "overlap");
    steps.order([
      ...units(s.axes.filter((x) => x !== v)),
      ...rest.slice(0, -1).map((x) => x.name),
      ...rs.outer,
      ...vs.outer,
      ...units(r.axes),
      ...k.map((x) => x.name),
      rs.inner,
      vs.inner,
    ]);
    steps.mark(rs.inner, "unroll");
    steps.mark(vs.inner, "vector");
    const last = k[k.length - 1];
    for (const x of k) if (whole || (x === last && rowTile > 1 && extentOf(x) <= 7)) steps.mark(x.name, "unroll");
    return steps.list;
  },
};

/** Reductions along contiguous memory: partial results in vectors, joined at the end. */
const reduction: ScheduleRule<{ readonly r: Axis }> = {
  name: "reduction",
  match: (g, ctx) => {
    const s = single(g);
    const o = s?.outs[0];
    if (!s || !o || o.body.kind !== "reduce" || s.outs.length !== 1 || ctx.strict) return null;
    const body = o.body;
    if (
      !body.state.every((_, k) => mergeOp(body, k) !== null) ||
      body.state.some((x) => x.dtype !== "f32" && x.dtype !== "i32")
    )
      return null;
    const accesses = accessesOf(s, ctx.buffer, ctx.ranges).filter((a) => !a.store);
    const r = body.axes.find(
      (x) =>
        extentOf(x) >= 2 * lanesAlong(x, 2, ctx) &&
        accesses.every((a) => {
          const d = stride(a, x.name);
          return d === D.one || d === D.zero;
        }) &&
        accesses.some((a) => stride(a, x.name) === D.one),
    );
    return r && lanesOf(ctx) > 1 ? { r } : null;
  },
  steps: ({ r }, g, ctx) => {
    const s = g.stages[0]!;
    const body = s.outs[0]!.body as Reduce;
    const steps = new Steps(s);
    const lanes = lanesAlong(r, 2, ctx);
    const by = extentOf(r) >= 8 * lanes ? 4 * lanes : lanes;
    const rs = steps.split(r, atOnce(r, by, lanes));
    const inner = rs.inner;
    steps.order([
      ...s.axes.map((x) => x.name),
      ...body.axes.filter((x) => x !== r).map((x) => x.name),
      ...rs.outer,
      inner,
    ]);
    steps.mark(inner, "vector");
    steps.rfactor(inner);
    return steps.list;
  },
};

/** A copy that reads along one axis and writes along another: in tiles, so that both walk whole cache lines. */
const transpose: ScheduleRule<{ readonly read: Axis; readonly write: Axis }> = {
  name: "transpose",
  match: (g, ctx) => {
    const s = single(g);
    if (!s || s.outs.length !== 1 || s.outs[0]!.body.kind === "reduce") return null;
    const accesses = accessesOf(s, ctx.buffer, ctx.ranges);
    const loads = accesses.filter((a) => !a.store);
    const along = (a: Access | undefined): Axis | undefined =>
      a && s.axes.find((x) => x.extent !== D.one && stride(a, x.name) === D.one);
    const write = along(accesses.find((a) => a.store));
    const read = along(loads[0]);
    return loads.length === 1 && write && read && read !== write && extentOf(read) >= 4 && extentOf(write) >= 2
      ? { read, write }
      : null;
  },
  steps: ({ read, write }, g, ctx) => {
    const s = g.stages[0]!;
    const steps = new Steps(s);
    const store = accessesOf(s, ctx.buffer, ctx.ranges).find((a) => a.store);
    const rest = byStride(
      s.axes.filter((x) => x !== read && x !== write),
      store,
    ).map((x) => x.name);
    const rs = steps.split(read, 8);
    const ws = steps.split(write, 4);
    steps.order([...rest, ...rs.outer, ...ws.outer, rs.inner, ws.inner]);
    steps.mark(rs.inner, "unroll");
    steps.mark(ws.inner, "unroll");
    return steps.list;
  },
};

/** No reduction: one long loop where memory allows, vectors along the axis that is contiguous in the output. */
const elementwise: ScheduleRule<true> = {
  name: "elementwise",
  match: (g) => {
    const s = single(g);
    return s && s.outs.every((o) => o.body.kind !== "reduce") && s.axes.length > 0 ? true : null;
  },
  steps: (_m, g, ctx) => {
    const s = g.stages[0]!;
    const steps = new Steps(s);
    const lanes = lanesOf(ctx);
    const accesses = accessesOf(s, ctx.buffer, ctx.ranges);
    const store = accesses.find((a) => a.store);
    const axes = byStride(live(s.axes), store);
    const fused = fuseRuns(steps, axes, accesses);
    const v = fused[fused.length - 1];
    const outer = fused.slice(0, -1).map((x) => x.name);
    if (!v) return [];
    // Many outputs fill the registers by themselves.
    const bodies = s.outs.flatMap((o) => (o.body.kind === "reduce" ? [] : [o.body]));
    const many = vectorsAtOnce(v, bodies, lanes) * lanes;
    const vs = steps.split(v, lanes === 1 ? 1 : s.outs.length > 4 ? lanes : atOnce(v, many, lanes));
    steps.order([...units(s.axes), ...outer, ...vs.outer, vs.inner]);
    steps.mark(vs.inner, "vector");
    return steps.list;
  },
};

/**
 * Stages that share rows which lie side by side (a norm over an image whose channels are innermost): vectors of rows. The rows' axis is
 * the innermost loop of every stage, and what else a stage walks is outside of it.
 */
type Columns = { readonly axis: Axis; readonly by: number; readonly names: ReadonlyMap<Stage, Rows> };
const columnwise: ScheduleRule<Columns & { readonly rows: ReadonlySet<string> }> = {
  name: "columnwise",
  match: (g, ctx) => {
    const lanes = lanesOf(ctx);
    if (g.stages.length < 2 || lanes < 2) return null;
    const { rows, names } = rowAxes(g.stages, g.root);
    const root = g.stages.find((s) => s.id === g.root)!;
    const axis = root.axes.find(
      (v) => rows.has(v.name) && extentOf(v) % lanes === 0 && g.stages.every((s) => sideBySide(s, v, g, names, ctx)),
    );
    if (!axis) return null;
    let by = Math.max(16, 2 * lanes);
    while (extentOf(axis) % by !== 0) by /= 2;
    return { axis, by, names, rows };
  },
  steps: ({ axis, by, names, rows }, g) => {
    const root = g.stages.find((s) => s.id === g.root)!;
    const rootSteps = new Steps(root);
    const split = rootSteps.split(axis, by);
    const others = root.axes.filter((a) => rows.has(a.name) && a !== axis).map((a) => a.name);
    const outer = [...others, ...split.outer];
    return g.stages.flatMap((s): readonly ScheduleStep[] => {
      const steps = s === root ? rootSteps : new Steps(s);
      const own = s === root ? split.inner : ownName(s, axis, names);
      const around = s === root ? outer : [];
      const apart = (a: Axis): boolean => a.name !== (s === root ? axis.name : own) && !around.includes(a.name);
      steps.order([
        ...around,
        ...axesOf(s)
          .filter(apart)
          .map((a) => a.name),
        own,
      ]);
      steps.mark(own, "vector");
      if (s === root) return steps.list;
      return [{ stage: s.id, kind: "attach", at: outer[outer.length - 1] ?? null }, ...steps.list];
    });
  },
};
/** A member's axis that is the root's row axis. */
const ownName = (s: Stage, axis: Axis, names: ReadonlyMap<Stage, Rows>): string =>
  [...names.get(s)!].find(([, row]) => row === axis.name)![0];
/** What a stage reads and writes lies contiguous along a row axis, or does not move with it; what it makes for others is one element a row. */
function sideBySide(s: Stage, v: Axis, g: Group, rows: ReadonlyMap<Stage, Rows>, ctx: RuleCtx): boolean {
  const names = rows.get(s)!;
  const own = [...names].find(([, row]) => row === v.name)?.[0];
  if (own === undefined || (s.id !== g.root && !s.axes.every((x) => isUnit(x) || names.has(x.name)))) return false;
  const inside = new Set(g.stages.filter((m) => m.id !== g.root).map((m) => m.outs[0]!.buffer));
  return accessesOf(s, ctx.buffer, ctx.ranges).every((a) => {
    const d = stride(a, own);
    return inside.has(a.buffer) || d === D.one || (d === D.zero && !a.store);
  });
}

/**
 * Stages that share rows: the rows are the outer loops; inside, each stage computes its row, in vectors where the row is contiguous.
 */
const rowwise: ScheduleRule<{ readonly rows: ReadonlySet<string> }> = {
  name: "rowwise",
  match: (g) => (g.stages.length > 1 ? { rows: rowAxes(g.stages, g.root).rows } : null),
  steps: ({ rows }, g, ctx) => {
    const lanes = lanesOf(ctx);
    const out: ScheduleStep[] = [];
    const root = g.stages.find((s) => s.id === g.root)!;
    const rowLoops = root.axes.filter((a) => rows.has(a.name)).map((a) => a.name);
    for (const s of g.stages) {
      const steps = new Steps(s);
      const accesses = accessesOf(s, ctx.buffer, ctx.ranges);
      const body = s.outs[0]!.body;
      const outer = s === root ? rowLoops : [];
      const own = s.axes.filter((a) => !outer.includes(a.name));
      const loads = accesses.filter((a) => !a.store);
      if (body.kind === "reduce") {
        const r = body.axes.find(
          (x) =>
            !ctx.strict &&
            lanes > 1 &&
            extentOf(x) >= 2 * lanesAlong(x, 2, ctx) &&
            loads.every((a) => {
              const d = stride(a, x.name);
              return d === D.one || d === D.zero;
            }) &&
            loads.some((a) => stride(a, x.name) === D.one),
        );
        const vectors =
          r && body.state.every((x, k) => mergeOp(body, k) !== null && (x.dtype === "f32" || x.dtype === "i32"));
        const n = r ? lanesAlong(r, 2, ctx) : lanes;
        const rs = vectors ? steps.split(r, atOnce(r, extentOf(r) >= 16 * n ? 4 * n : n, n)) : null;
        steps.order([
          ...outer,
          ...own.map((a) => a.name),
          ...body.axes.filter((x) => !rs || x !== r).map((x) => x.name),
          ...(rs ? [...rs.outer, rs.inner] : []),
        ]);
        if (rs) {
          steps.mark(rs.inner, "vector");
          steps.rfactor(rs.inner);
        }
      } else {
        // A local buffer is dense: its last axis of more than one element is contiguous.
        const v = [...own].reverse().find(
          (x) =>
            x.extent !== D.one &&
            loads.every((a) => {
              const d = stride(a, x.name);
              return d === D.one || d === D.zero;
            }),
        );
        const vs = v && lanes > 1 ? steps.split(v, atOnce(v, vectorsAtOnce(v, [body], lanes) * lanes, lanes)) : null;
        steps.order([
          ...outer,
          ...own.filter((a) => !vs || a !== v).map((a) => a.name),
          ...(vs ? [...vs.outer, vs.inner] : []),
        ]);
        if (vs) steps.mark(vs.inner, "vector");
      }
      if (s !== root) out.push({ stage: s.id, kind: "attach", at: rowLoops[rowLoops.length - 1] ?? null });
      out.push(...steps.list);
    }
    return out;
  },
};

export const cpuRules: readonly ScheduleRule<never>[] = [
  columnwise,
  rowwise,
  contract,
  window,
  reduction,
  transpose,
  elementwise,
] as unknown as readonly ScheduleRule<never>[];
