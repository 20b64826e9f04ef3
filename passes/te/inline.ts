// Inlines producers into consumers and merges elementwise consumers into reductions (their epilogue). What is left: reductions with
// epilogues, copies that memory layout may make free (te/storage), and elementwise stages that several stages read.
import type { BufferId, SymbolId } from "../../src/base/brand.ts";
import type { Dim, Ranges } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import { accesses, children, mapExpr, substituteVars, visitActions, visitExpr } from "../../src/ir/rewrite.ts";
import { axisRanges, Simplifier } from "../../src/ir/simplify.ts";
import { rangesOf } from "../../src/ir/symbolic.ts";
import type { Axis, Reduce, Stage, TeAction, TeExpr, TeProgram } from "../../src/ir/te.ts";
import { loadsOf } from "./access.ts";
import { factorsOf } from "./contraction.ts";
import { called, stageOf } from "./stages.ts";

export function inline(p: TeProgram): TeProgram {
  // Copies and elementwise chains first, then epilogues: a Relu behind a convolution belongs to it, not to the pad or pool behind it.
  let now = eliminateDead(new Inliner(simplifyProgram(literals(p)), false).run());
  now = eliminateDead(mergeEpilogues(now));
  now = eliminateDead(new Inliner(now, true).run());
  return eliminateDead(mergeEpilogues(now));
}

type Facts = {
  readonly uses: ReadonlyMap<BufferId, number>;
  /** Read by something that is no stage: a kernel, a dim, a condition, a swap; or an output. */
  readonly pinned: ReadonlySet<BufferId>;
  /** Written more than once, or along a loop. */
  readonly mutable: ReadonlySet<BufferId>;
  readonly hasParts: ReadonlySet<BufferId>;
};
function rootOf(p: TeProgram, id: BufferId): BufferId {
  const b = p.buffers.get(id)!;
  return b.inside ? rootOf(p, b.inside.of) : id;
}
export function factsOf(p: TeProgram): Facts {
  const uses = new Map<BufferId, number>();
  const pinned = new Set<BufferId>(p.outputs.map((o) => o.buffer));
  const mutable = new Set<BufferId>();
  const writers = new Map<BufferId, number>();
  const hasParts = new Set<BufferId>();
  const counters = new Set<SymbolId>();
  visitActions(p.actions, (a) => {
    if (a.kind === "loop") counters.add(a.counter);
  });
  for (const b of p.buffers.values()) {
    if (!b.inside) continue;
    hasParts.add(b.inside.of);
    const syms = new Set<SymbolId>();
    for (const d of b.inside.offset) D.symbolsOf(d, syms);
    if ([...syms].some((s) => counters.has(s))) mutable.add(rootOf(p, b.id));
  }
  visitActions(p.actions, (a) => {
    const { reads, writes } = accesses(a);
    for (const r of reads) {
      uses.set(r, (uses.get(r) ?? 0) + 1);
      if (a.kind !== "call" || a.call.kind !== "group") pinned.add(r);
    }
    for (const w of writes) {
      writers.set(w, (writers.get(w) ?? 0) + 1);
      if (a.kind === "call" && a.call.kind === "kernel") pinned.add(w);
    }
    if (a.kind === "loop")
      for (const [x, y] of a.swap) {
        mutable.add(x);
        mutable.add(y);
      }
  });
  for (const [id, n] of writers) if (n > 1) mutable.add(id);
  for (const b of p.buffers.values()) if (mutable.has(rootOf(p, b.id))) mutable.add(b.id);
  return { uses, pinned, mutable, hasParts };
}

/**
 * Scalars that formulas hold (1, 0.5, -2) in place of loads of them. Others may be learned: kernels that differ in nothing else are one as
 * long as such a number is an operand.
 */
function literals(p: TeProgram): TeProgram {
  const values = new Map<BufferId, number>();
  for (const [id, t] of p.constants) {
    if (t.dtype !== "f32" || t.dims.some((d) => d !== 1)) continue;
    const v = new DataView(t.bytes.buffer, t.bytes.byteOffset, 4).getFloat32(0, true);
    if (Number.isInteger(4 * v) && Math.abs(v) <= 64 && !Object.is(v, -0)) values.set(id, v);
  }
  if (values.size === 0) return p;
  const body = (e: TeExpr): TeExpr =>
    mapExpr<TeExpr>(e, (x) => {
      const v = x.kind === "load" && x.dtype === "f32" ? values.get(x.buffer) : undefined;
      return v === undefined ? x : { kind: "const", dtype: "f32", value: v };
    });
  return {
    ...p,
    actions: mapStages(p.actions, (s) => ({ ...s, outs: s.outs.map((o) => ({ ...o, body: body(o.body) })) })),
  };
}

/** Every index and body simplified under the ranges of its axes. */
function simplifyProgram(p: TeProgram): TeProgram {
  const outer = rangesOf(p.symbols);
  return { ...p, actions: mapStages(p.actions, (s) => simplifyStage(s, outer)) };
}
export function simplifyStage(s: Stage, outer: Ranges): Stage {
  return { ...s, outs: s.outs.map((o) => ({ ...o, body: simplifyBody(o.body, s.axes, outer) })) };
}
function simplifyBody(body: TeExpr, axes: readonly Axis[], outer: Ranges): TeExpr {
  const all = body.kind === "reduce" ? [...axes, ...body.axes] : axes;
  return new Simplifier(axisRanges(all, outer)).simplify(body);
}
/** Maps the single-stage groups of an action list, nested lists included. f may drop a stage by returning null. */
export function mapStages(actions: readonly TeAction[], f: (s: Stage) => Stage | null): TeAction[] {
  return actions.flatMap((a): TeAction[] => {
    switch (a.kind) {
      case "call": {
        if (a.call.kind !== "group") return [a];
        const stages = a.call.group.stages.map(f).filter((s) => s !== null);
        if (stages.length === 0) return [];
        return [{ kind: "call", call: { kind: "group", group: { root: stages[stages.length - 1]!.id, stages } } }];
      }
      case "loop":
        return [{ ...a, body: mapStages(a.body, f) }];
      case "if":
        return [{ ...a, then: mapStages(a.then, f), otherwise: mapStages(a.otherwise, f) }];
      default:
        return [a];
    }
  });
}

/** Counts operations; a transcendental counts 8. Index arithmetic does not count. */
export function cost(e: TeExpr): number {
  let n = 0;
  const seen = new Set<TeExpr>();
  const visit = (x: TeExpr): void => {
    if (seen.has(x)) return;
    seen.add(x);
    if (x.kind === "unary") n += ["exp", "log", "sin", "cos", "tanh", "erf"].includes(x.op) ? 8 : 1;
    else if (x.kind === "binary") n += x.op === "pow" ? 16 : x.op === "div" ? 3 : 1;
    else if (x.kind === "select" || x.kind === "mulAdd") n += 1;
    if (x.kind === "load") return;
    for (const c of children(x) as readonly TeExpr[]) visit(c);
  };
  visit(e);
  return n;
}
function hasDivision(e: TeExpr): boolean {
  let found = false;
  visitExpr(e, (x) => {
    if (x.kind === "binary" && (x.op === "floordiv" || x.op === "floormod")) found = true;
  });
  return found;
}
/** select(bounds, load, constant): a copy into a larger tensor. */
export function isPad(s: Stage): boolean {
  const body = s.outs[0]!.body;
  return s.outs.length === 1 && body.kind === "select" && body.a.kind === "load" && body.b.kind === "const";
}
const volume = (axes: readonly Axis[]): Dim => D.product(axes.map((a) => a.extent));

class Inliner {
  private readonly p: TeProgram;
  private readonly facts: Facts;
  private readonly late: boolean;
  private readonly outer: Ranges;
  /** Stages that consumers may take in, by their buffer. */
  private readonly available = new Map<BufferId, Stage>();
  constructor(p: TeProgram, late: boolean) {
    this.p = p;
    this.facts = factsOf(p);
    this.late = late;
    this.outer = rangesOf(p.symbols);
  }
  run(): TeProgram {
    return { ...this.p, actions: mapStages(this.p.actions, (s) => this.stage(s)) };
  }
  private stage(s: Stage): Stage {
    const taken = this.take(s);
    const out = taken.outs[0]!;
    const b = this.p.buffers.get(out.buffer)!;
    const readsMutable = (): boolean => {
      let bad = false;
      visitExpr(out.body, (e) => {
        if (e.kind === "load" && this.facts.mutable.has(e.buffer)) bad = true;
      });
      return bad;
    };
    if (
      taken.outs.length === 1 &&
      taken.scan === null &&
      out.body.kind !== "reduce" &&
      b.scope === "arena" &&
      !b.inside &&
      !this.facts.hasParts.has(b.id) &&
      !this.facts.mutable.has(b.id) &&
      !readsMutable()
    ) {
      this.available.set(b.id, taken);
    }
    return taken;
  }
  private take(s: Stage): Stage {
    let changed = false;
    const outs = s.outs.map((o) => {
      const body = mapExpr<TeExpr>(o.body, (e) => {
        if (e.kind === "reduce") return e;
        if (e.kind !== "load") return e;
        const p = this.available.get(e.buffer);
        if (!p || !this.worth(p, s)) return e;
        changed = true;
        const map = new Map(p.axes.map((a, k) => [a.name, e.index[k]!]));
        return substituteVars<TeExpr>(p.outs[0]!.body, map);
      });
      return { ...o, body };
    });
    if (!changed) return s;
    return { ...s, outs: outs.map((o) => ({ ...o, body: simplifyBody(o.body, s.axes, this.outer) })) };
  }
  private worth(p: Stage, c: Stage): boolean {
    const body = p.outs[0]!.body;
    const uses = this.facts.uses.get(p.outs[0]!.buffer) ?? 0;
    const isReduce = c.outs.some((o) => o.body.kind === "reduce");
    if (body.kind === "const") return true;
    // Gathered rows of a sum of products are copied first: its operands have to lie evenly.
    const sums = c.outs.some((o) => o.body.kind === "reduce" && factorsOf(o.body) !== null);
    if (sums && body.kind === "load" && body.index.some((i) => loadsOf(i).length > 0)) return false;
    if (body.kind === "load" && !hasDivision(body)) return true;
    if ((isPad(c) || isReduce) && !this.late) return false;
    const domain = isReduce ? D.mul(volume(c.axes), volume((c.outs[0]!.body as Reduce).axes ?? [])) : volume(c.axes);
    const same = domain === volume(p.axes);
    const work = cost(body);
    if (body.kind === "load" || isPad(p)) return uses === 1 && same && !isReduce;
    // A producer over fewer elements than its consumer would be computed again and again.
    // (And what is padded is made inside its frame.)
    if (!same) return work <= 3 && !isReduce && !isPad(c) && !hasDivision(body);
    if (uses === 1) return true;
    return !isReduce && work <= 2;
  }
}

/**
 * An elementwise stage that is the only reader of a reduction, element by element, becomes its epilogue: the reduction's result.
 * Of several such reductions the last one takes it. Placed where the elementwise stage stood.
 */
function mergeEpilogues(p: TeProgram): TeProgram {
  const outer = rangesOf(p.symbols);
  const facts = factsOf(p);
  const mergeList = (list: readonly TeAction[]): TeAction[] => {
    const out: (TeAction | null)[] = [];
    const reductions = new Map<BufferId, { at: number; stage: Stage }>();
    for (const a of list) {
      if (a.kind === "loop") {
        out.push({ ...a, body: mergeList(a.body) });
        continue;
      }
      if (a.kind === "if") {
        out.push({ ...a, then: mergeList(a.then), otherwise: mergeList(a.otherwise) });
        continue;
      }
      const s = stageOf(a);
      if (!s) {
        out.push(a);
        continue;
      }
      let stage = s;
      const candidates = [...accesses(a).reads]
        .flatMap((id) => {
          const r = reductions.get(id);
          return r && facts.uses.get(id) === 1 && !facts.pinned.has(id) ? [{ id, ...r }] : [];
        })
        .sort((x, y) => y.at - x.at);
      for (const c of candidates) {
        const merged = mergeEpilogue(c.stage, stage, c.id, outer);
        if (!merged) continue;
        out[c.at] = null;
        reductions.delete(c.id);
        stage = merged;
        break;
      }
      const at = out.push(called(stage)) - 1;
      const o = stage.outs[0]!;
      const b = p.buffers.get(o.buffer)!;
      if (
        stage.outs.length === 1 &&
        o.body.kind === "reduce" &&
        b.scope === "arena" &&
        !b.inside &&
        !facts.hasParts.has(b.id) &&
        !facts.mutable.has(b.id)
      )
        reductions.set(b.id, { at, stage });
    }
    return out.filter((x) => x !== null);
  };
  return { ...p, actions: mergeList(p.actions) };
}
function mergeEpilogue(r: Stage, e: Stage, buffer: BufferId, outer: Ranges): Stage | null {
  const eo = e.outs[0]!;
  if (e.outs.length !== 1 || e.scan !== null || eo.body.kind === "reduce") return null;
  // Every load of the reduction's buffer must be at one index that is a permutation of the consumer's axes.
  let index: readonly TeExpr[] | null = null;
  let ok = true;
  visitExpr(eo.body, (x) => {
    if (x.kind !== "load" || x.buffer !== buffer) return;
    if (index !== null && !x.index.every((i, k) => sameVar(i as TeExpr, index![k]!))) ok = false;
    index = x.index as readonly TeExpr[];
  });
  if (!ok || index === null) return null;
  const at = index as readonly TeExpr[];
  const rename = new Map<string, string>();
  for (let k = 0; k < at.length; k++) {
    const i = at[k]!;
    const axis = r.axes[k]!;
    if (i.kind === "const" && axis.extent === D.one) continue;
    if (i.kind !== "var" || rename.has(i.name)) return null;
    const own = e.axes.find((a) => a.name === i.name);
    if (!own || own.extent !== axis.extent) return null;
    rename.set(i.name, axis.name);
  }
  // Axes of the consumer that the reduction does not have would compute it again.
  if (e.axes.some((a) => a.extent !== D.one && !rename.has(a.name))) return null;
  const reduce = r.outs[0]!.body as Reduce;
  // The consumer's axes are renamed apart from the reduction's before they meet.
  const toReduce = new Map<string, TeExpr>();
  const axes: Axis[] = e.axes.map((a, k) => ({ ...a, name: `e${k}` }));
  e.axes.forEach((a, k) => {
    toReduce.set(a.name, { kind: "var", dtype: "i32", name: `e${k}` });
  });
  const own = new Map<string, TeExpr>(r.axes.map((a) => [a.name, { kind: "const", dtype: "i32", value: 0 }]));
  e.axes.forEach((a, k) => {
    const target = rename.get(a.name);
    if (target) own.set(target, { kind: "var", dtype: "i32", name: `e${k}` });
  });
  const body = substituteVars<TeExpr>(reduce, own) as Reduce;
  const epilogue = mapExpr<TeExpr>(substituteVars<TeExpr>(eo.body, toReduce), (x) =>
    x.kind === "load" && x.buffer === buffer ? body.result : x,
  );
  const merged: Reduce = { ...body, dtype: epilogue.dtype, result: epilogue };
  const stage: Stage = {
    ...e,
    name: `${r.name}.${e.name}`,
    axes,
    outs: [{ buffer: eo.buffer, body: merged }],
    loc: r.loc,
  };
  return simplifyStage(stage, outer);
}
function sameVar(a: TeExpr, b: TeExpr): boolean {
  return (
    a === b ||
    (a.kind === "var" && b.kind === "var" && a.name === b.name) ||
    (a.kind === "const" && b.kind === "const" && a.value === b.value)
  );
}

/** Drops stages and kernels whose results nobody reads. */
export function eliminateDead(p: TeProgram): TeProgram {
  let now = p;
  for (;;) {
    const live = new Set<BufferId>(now.outputs.map((o) => o.buffer));
    visitActions(now.actions, (a) => {
      // What a stage reads of its own output (a scan) keeps nothing alive.
      const { reads, writes } = accesses(a);
      for (const r of reads) if (!writes.has(r)) live.add(r);
    });
    // A part that is read or whose whole is read is live, and so is a whole whose part is read.
    // What lies in the heap may be read by its address.
    const lively = (id: BufferId): boolean => {
      const b = now.buffers.get(id)!;
      return live.has(id) || b.scope === "heap" || (b.inside !== undefined && lively(b.inside.of));
    };
    for (const b of now.buffers.values())
      if (b.inside && live.has(b.id)) {
        let x = b;
        while (x.inside) {
          live.add(x.inside.of);
          x = now.buffers.get(x.inside.of)!;
        }
      }
    let dropped = false;
    const prune = (list: readonly TeAction[]): TeAction[] =>
      list.flatMap((a): TeAction[] => {
        switch (a.kind) {
          case "call": {
            const { writes } = accesses(a);
            const keep = [...writes].some(lively);
            if (!keep) {
              dropped = true;
              return [];
            }
            return [a];
          }
          case "loop": {
            const body = prune(a.body);
            if (body.length === 0) {
              dropped = true;
              return [];
            }
            return [{ ...a, body }];
          }
          case "if": {
            const then = prune(a.then);
            const otherwise = prune(a.otherwise);
            if (then.length + otherwise.length === 0) {
              dropped = true;
              return [];
            }
            return [{ ...a, then, otherwise }];
          }
          default:
            return [a];
        }
      });
    const actions = prune(now.actions);
    now = { ...now, actions };
    if (!dropped) return trim(now);
  }
}
/** Forgets buffers and constants that nothing names. */
function trim(p: TeProgram): TeProgram {
  const named = new Set<BufferId>([...p.inputs, ...p.outputs].map((o) => o.buffer));
  visitActions(p.actions, (a) => {
    const { reads, writes } = accesses(a);
    for (const x of [...reads, ...writes]) named.add(x);
    if (a.kind === "call" && a.call.kind === "kernel") for (const x of a.call.args) named.add(x);
    if (a.kind === "reserve" || a.kind === "release") named.add(a.buffer);
  });
  for (const id of [...named]) {
    let b = p.buffers.get(id)!;
    while (b.inside) {
      named.add(b.inside.of);
      b = p.buffers.get(b.inside.of)!;
    }
  }
  return {
    ...p,
    buffers: new Map([...p.buffers].filter(([id]) => named.has(id))),
    constants: new Map([...p.constants].filter(([id]) => named.has(id))),
  };
}
