// Sums of products of narrow integers, two products at a time: where both factors fit 16 bits, elements k and k + n of a summed axis are
// packed into one i32 of both operands, and half as many dot16 make the sum (in integers the order of additions is free). An operand that
// is constant is packed here, in as few bytes as it needs; another one by a stage, which takes in what makes its elements. What is packed
// is an operand like any other: panels, tiles and vectors are those of every contraction.
import { must } from "../../src/base/assert.ts";
import type { BufferId, StageId } from "../../src/base/brand.ts";
import type { Dim } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import { binary, cast, constant, i32, ofDim, select, toDim, unary, v } from "../../src/ir/expr.ts";
import { accesses, children, mapExpr, substituteVars, visitActions, visitExpr } from "../../src/ir/rewrite.ts";
import type { Buffer } from "../../src/ir/storage.ts";
import { rangesOf } from "../../src/ir/symbolic.ts";
import type { TargetInfo } from "../../src/ir/target.ts";
import type { Axis, Reduce, Stage, TeAction, TeExpr, TeProgram } from "../../src/ir/te.ts";
import type { Tensor } from "../../src/ir/types.ts";
import { loadsOf } from "./access.ts";
import { factorsOf } from "./contraction.ts";
import { eliminateDead, factsOf, simplifyStage } from "./inline.ts";
import { padOf } from "./inside.ts";
import { type Interval, intervalOf } from "./intervals.ts";
import { isStatic, packedPairs } from "./pair-constants.ts";
import { called, FreshIds, producersOf, stageOf } from "./stages.ts";

export function pairProducts(p: TeProgram, target: TargetInfo): TeProgram {
  if (!target.pairs) return p;
  const pairing = new Pairing(p);
  const paired = pairing.run();
  return paired === p ? p : new Absorption(eliminateDead(paired), pairing.stages).run();
}

type LoadExpr = Extract<TeExpr, { kind: "load" }>;
/** One factor of a product: cast, shifted by zero points, of the one load that moves with the paired axis. */
type Factor = {
  readonly expr: TeExpr;
  readonly main: LoadExpr;
  /** The dim of the load that the paired axis is the index of. */
  readonly dim: number;
  readonly isStatic: boolean;
};
/** An operand as the sum reads it. */
type Packed = { readonly buffer: Buffer; readonly dims: readonly number[] };

class Pairing {
  /** The stages that make pairs. */
  readonly stages = new Set<StageId>();
  private readonly p: TeProgram;
  private readonly buffers: Map<BufferId, Buffer>;
  private readonly constants: Map<BufferId, Tensor>;
  private readonly producers: ReadonlyMap<BufferId, Stage>;
  private readonly ids: FreshIds;
  private readonly mutable: ReadonlySet<BufferId>;
  private readonly packed = new Map<string, BufferId>();
  private changed = false;
  constructor(p: TeProgram) {
    this.p = p;
    this.buffers = new Map(p.buffers);
    this.constants = new Map(p.constants);
    this.mutable = factsOf(p).mutable;
    this.producers = producersOf(p);
    this.ids = new FreshIds(p);
  }
  run(): TeProgram {
    const actions = this.walk(this.p.actions);
    return this.changed ? { ...this.p, buffers: this.buffers, constants: this.constants, actions } : this.p;
  }
  /** What is packed in a list may be read in the rest of it. */
  private walk(list: readonly TeAction[]): TeAction[] {
    const here = new Map<string, BufferId>();
    return list.flatMap((a): TeAction[] => {
      if (a.kind === "loop") return [{ ...a, body: this.walk(a.body) }];
      if (a.kind === "if") return [{ ...a, then: this.walk(a.then), otherwise: this.walk(a.otherwise) }];
      const s = stageOf(a);
      const made = s && this.stage(s, here);
      return made ? made.map(called) : [a];
    });
  }

  private stage(s: Stage, here: Map<string, BufferId>): Stage[] | null {
    const r = s.outs[0]!.body;
    if (s.outs.length !== 1 || s.scan !== null || r.kind !== "reduce" || r.state[0]!.dtype !== "i32") return null;
    const product = factorsOf(r);
    if (!product || product.some((f) => f.dtype !== "i32")) return null;
    const axis = [...r.axes]
      .sort((a, b) => quality(b) - quality(a))
      .find((a) => product.every((f) => this.factor(f, a)));
    if (!axis || (D.known(axis.extent) ?? 64) < 4) return null;
    const factors = product.map((f) => must(this.factor(f, axis), "a factor"));
    if (factors.every((f) => f.isStatic) || !factors.every((f) => this.pays(f, s, r))) return null;
    const before: Stage[] = [];
    // An odd extent has its middle element in two pairs: there one of the operands is 0.
    const guarded = factors.find((f) => f.isStatic) ?? factors[0]!;
    const [a, b] = factors.map((f): TeExpr => {
      const k = this.pack(f, axis, f === guarded, s, here, before);
      const x: TeExpr = {
        kind: "load",
        dtype: k.buffer.dtype,
        buffer: k.buffer.id,
        index: k.dims.map((d) => f.main.index[d]!),
      };
      return x.dtype === "i32" ? x : unary<TeExpr>("widen8", cast<TeExpr>("i32", x));
    }) as [TeExpr, TeExpr];
    this.changed = true;
    const state: TeExpr = { kind: "var", dtype: "i32", name: r.state[0]!.name };
    const body: Reduce = {
      ...r,
      axes: r.axes.map((x) => (x === axis ? { ...x, extent: half(axis.extent) } : x)),
      update: [binary<TeExpr>("add", state, binary<TeExpr>("dot16", a, b))],
    };
    return [...before, { ...s, outs: [{ ...s.outs[0]!, body }] }];
  }

  /** The factor whose elements axis k pairs, or null: it has to be arithmetic of loads that fits 16 bits, k the index of one dim of one load. */
  private factor(expr: TeExpr, k: Axis): Factor | null {
    if (!isArithmetic(expr)) return null;
    const loads = loadsOf(expr);
    const moving = loads.filter((l) => l.index.some((i) => varsOf(i).has(k.name)));
    const [main] = moving;
    if (!main || moving.some((l) => !sameIndex(l, main))) return null;
    const dims = main.index.flatMap((i, d) => (varsOf(i).has(k.name) ? [d] : []));
    const [dim] = dims;
    if (dims.length !== 1 || dim === undefined || plainVar(main.index[dim]!) !== k.name) return null;
    const b = this.buffers.get(main.buffer)!;
    if (b.shape[dim] !== k.extent || b.inside || b.scope === "heap" || main.index.some((i) => toDim(i) === null))
      return null;
    // Other loads (zero points) move with axes that are indices of the main one, or not at all.
    const plain = new Set(main.index.map(plainVar));
    const others = loads.filter((l) => l !== main).flatMap((l) => l.index);
    if (others.some((i) => [...varsOf(i)].some((x) => !plain.has(x)))) return null;
    const range = this.interval(expr);
    if (range === null || range[0] < -32768 || range[1] > 32767) return null;
    return { expr, main, dim, isStatic: isStatic(expr, this.constants, this.buffers) };
  }
  private interval(e: TeExpr): Interval | null {
    return intervalOf(e, (id) => {
      const made = this.producers.get(id);
      return made?.outs.length === 1 && made.scan === null && !this.mutable.has(id) ? made.outs[0]!.body : null;
    });
  }
  /** An element is packed once: it has to be read several times for that. */
  private pays(f: Factor, s: Stage, r: Reduce): boolean {
    if (f.isStatic) return true;
    const size = (dims: readonly Dim[]): number => dims.reduce((n, d) => n * (D.known(d) ?? 64), 1);
    const products = size([...s.axes, ...r.axes].map((a) => a.extent));
    return products >= 8 * size(f.main.index.map((i, d) => (i.kind === "const" ? D.one : this.shape(f.main)[d]!)));
  }
  private shape(l: LoadExpr): readonly Dim[] {
    return this.buffers.get(l.buffer)!.shape;
  }

  /** The buffer of a factor's pairs; `before` gets the stages that fill it. */
  private pack(
    f: Factor,
    k: Axis,
    guarded: boolean,
    like: Stage,
    here: Map<string, BufferId>,
    before: Stage[],
  ): Packed {
    const dims = f.main.index.flatMap((i, d) => (i.kind === "const" ? [] : [d]));
    const from = this.buffers.get(f.main.buffer)!;
    const axes = dims.map(
      (d): Axis => ({ name: `i${d}`, extent: d === f.dim ? half(k.extent) : from.shape[d]!, role: "spatial" }),
    );
    const own = new Map<string, TeExpr>();
    for (const d of dims) {
      const name = plainVar(f.main.index[d]!);
      if (name !== null) own.set(name, v(`i${d}`));
    }
    const index = f.main.index.map((i, d): TeExpr => (i.kind === "const" ? i : v(`i${d}`)));
    const elements = mapExpr<TeExpr>(f.expr, (e) =>
      e.kind !== "load"
        ? e
        : { ...e, index: sameIndex(e, f.main) ? index : e.index.map((i) => substituteVars<TeExpr>(i, own)) },
    );
    const key = `${guarded && isOdd(k.extent)} ${f.dim} ${JSON.stringify(elements)}`;
    const known = here.get(key) ?? this.packed.get(key);
    if (known !== undefined) return { buffer: this.buffers.get(known)!, dims };
    const shape = axes.map((a) => a.extent);
    const name = `${from.name}.pairs`;
    if (f.isStatic) {
      const made = packedPairs(elements, dims, f.dim, this.constants, guarded);
      const b = this.add({ name, dtype: made.dtype, shape, scope: "weights" });
      this.constants.set(b.id, made);
      this.packed.set(key, b.id);
      return { buffer: b, dims };
    }
    const pad = this.padding(f, from);
    const buffer = this.add({ name, dtype: "i32", shape, scope: "arena" });
    if (pad) {
      // The pairs of what is padded, padded.
      const inner = this.buffers.get(pad.from)!;
      const innerAxes = axes.map((a, n) => ({ ...a, extent: dims[n] === f.dim ? a.extent : inner.shape[dims[n]!]! }));
      const out = this.add({ ...buffer, name: `${inner.name}.pairs`, shape: innerAxes.map((a) => a.extent) });
      const source = mapExpr<TeExpr>(elements, (e) =>
        e.kind === "load" && e.buffer === from.id ? { ...e, buffer: inner.id } : e,
      );
      before.push(this.pairStage(source, out, innerAxes, f, k, guarded, like));
      const at = axes.map((a, n) => {
        const by = pad.before[dims[n]!]!;
        return ofDim(D.sub(D.sym(a.name), by)) as TeExpr;
      });
      const tests = axes.flatMap((a, n): TeExpr[] =>
        innerAxes[n]!.extent === a.extent
          ? []
          : [binary<TeExpr>("le", i32(0), at[n]!), binary<TeExpr>("lt", at[n]!, ofDim(innerAxes[n]!.extent) as TeExpr)],
      );
      const cond = tests.reduce((x, y) => binary<TeExpr>("and", x, y));
      const inside: TeExpr = { kind: "load", dtype: "i32", buffer: out.id, index: at };
      before.push({
        id: this.ids.stage(),
        name: "Pad",
        axes,
        outs: [{ buffer: buffer.id, body: select<TeExpr>(cond, inside, constant("i32", 0)) }],
        scan: null,
        loc: like.loc,
      });
    } else before.push(this.pairStage(elements, buffer, axes, f, k, guarded, like));
    if (!loadsOf(f.expr).some((l) => this.mutable.has(l.buffer))) here.set(key, buffer.id);
    return { buffer, dims };
  }
  /** The factor is a padded buffer as it is, with zeros around it, and not along the paired axis. */
  private padding(f: Factor, from: Buffer): { readonly from: BufferId; readonly before: readonly Dim[] } | null {
    const producer = this.producers.get(from.id);
    if (f.expr !== f.main || !producer || this.mutable.has(from.id)) return null;
    const pad = padOf(producer, this.buffers, rangesOf(this.p.symbols));
    if (!pad || Number(pad.fill.value) !== 0 || this.mutable.has(pad.from)) return null;
    const inner = this.buffers.get(pad.from)!;
    const whole = (d: number): boolean => inner.shape[d] === from.shape[d] && pad.before[d] === D.zero;
    return whole(f.dim) && f.main.index.every((i, d) => i.kind !== "const" || whole(d)) ? pad : null;
  }
  private pairStage(
    elements: TeExpr,
    out: Buffer,
    axes: readonly Axis[],
    f: Factor,
    k: Axis,
    guarded: boolean,
    like: Stage,
  ): Stage {
    const name = `i${f.dim}`;
    const distance = D.sub(k.extent, half(k.extent));
    const second = substituteVars<TeExpr>(elements, new Map([[name, ofDim(D.add(D.sym(name), distance)) as TeExpr]]));
    // Elements that are in a first place already.
    const twice = D.sub(half(k.extent), distance);
    const high =
      guarded && twice !== D.zero
        ? select<TeExpr>(binary<TeExpr>("lt", v(name), ofDim(twice) as TeExpr), constant("i32", 0), second)
        : second;
    const low = binary<TeExpr>("bitand", elements, constant("i32", 0xffff));
    const body = binary<TeExpr>("bitor", low, binary<TeExpr>("shl", high, constant("i32", 16)));
    const stage: Stage = {
      id: this.ids.stage(),
      name: "Pair",
      axes,
      outs: [{ buffer: out.id, body }],
      scan: null,
      loc: like.loc,
    };
    this.stages.add(stage.id);
    return simplifyStage(stage, rangesOf(this.p.symbols));
  }
  private add(b: Pick<Buffer, "name" | "dtype" | "shape" | "scope">): Buffer {
    const { name, dtype, shape, scope } = b;
    const made: Buffer = { id: this.ids.buffer(), name, dtype, shape, scope, storage: null };
    this.buffers.set(made.id, made);
    return made;
  }
}

/** Takes what makes the elements of pairs into the stage that packs them, where nothing else reads it. */
class Absorption {
  private readonly p: TeProgram;
  private readonly pairs: ReadonlySet<StageId>;
  private readonly facts: ReturnType<typeof factsOf>;
  constructor(p: TeProgram, pairs: ReadonlySet<StageId>) {
    this.p = p;
    this.pairs = pairs;
    this.facts = factsOf(p);
  }
  run(): TeProgram {
    return eliminateDead({ ...this.p, actions: this.walk(this.p.actions) });
  }
  private walk(list: readonly TeAction[]): TeAction[] {
    const made = new Map<BufferId, { readonly at: number; readonly stage: Stage }>();
    const out: TeAction[] = [];
    for (const a of list) {
      const next: TeAction =
        a.kind === "loop"
          ? { ...a, body: this.walk(a.body) }
          : a.kind === "if"
            ? { ...a, then: this.walk(a.then), otherwise: this.walk(a.otherwise) }
            : a;
      const s = stageOf(next);
      const taken = s && this.pairs.has(s.id) ? this.take(s, made, out) : s;
      const at = out.push(taken && taken !== s ? called(taken) : next) - 1;
      if (taken && taken.outs.length === 1 && taken.scan === null && taken.outs[0]!.body.kind !== "reduce")
        made.set(taken.outs[0]!.buffer, { at, stage: taken });
    }
    return out;
  }
  private take(
    s: Stage,
    made: ReadonlyMap<BufferId, { readonly at: number; readonly stage: Stage }>,
    before: readonly TeAction[],
  ): Stage {
    let now = s;
    for (;;) {
      const reads = [...new Set(loadsOf(now.outs[0]!.body).map((l) => l.buffer))];
      const id = reads.find((x) => {
        const from = made.get(x);
        return from !== undefined && from.stage.axes.length > 0 && this.own(x) && this.steady(from, before);
      });
      if (id === undefined) return now;
      const from = must(made.get(id), "a producer").stage;
      const body = mapExpr<TeExpr>(now.outs[0]!.body, (e) =>
        e.kind === "load" && e.buffer === id
          ? substituteVars<TeExpr>(from.outs[0]!.body, new Map(from.axes.map((x, k) => [x.name, e.index[k]!])))
          : e,
      );
      now = simplifyStage({ ...now, outs: [{ ...now.outs[0]!, body }] }, rangesOf(this.p.symbols));
    }
  }
  /** Nothing but the stage that packs it reads it. */
  private own(id: BufferId): boolean {
    const b = this.p.buffers.get(id)!;
    const { uses, pinned, mutable, hasParts } = this.facts;
    return (
      uses.get(id) === 1 && b.scope === "arena" && !b.inside && !pinned.has(id) && !mutable.has(id) && !hasParts.has(id)
    );
  }
  /** What a producer reads is the same when its elements are computed at the end of `before`. */
  private steady(from: { readonly at: number; readonly stage: Stage }, before: readonly TeAction[]): boolean {
    const reads = new Set(loadsOf(from.stage.outs[0]!.body).map((l) => l.buffer));
    let same = true;
    visitActions(before.slice(from.at + 1), (a) => {
      for (const w of accesses(a).writes) if (reads.has(w)) same = false;
    });
    return same;
  }
}

/** Pairs of an axis of n elements; the second of a pair is n - half(n) after the first. */
const half = (n: Dim): Dim => D.ceildiv(n, D.int(2));
const isOdd = (n: Dim): boolean => D.sub(half(n), D.sub(n, half(n))) !== D.zero;
/** Long and even axes first. */
const quality = (a: Axis): number => (D.known(a.extent) ?? 64) * (isOdd(a.extent) ? 1 : 2);
function plainVar(i: TeExpr): string | null {
  return i.kind === "var" ? i.name : null;
}
function varsOf(e: TeExpr): ReadonlySet<string> {
  const out = new Set<string>();
  visitExpr(e, (x) => {
    if (x.kind === "var") out.add(x.name);
  });
  return out;
}
function sameIndex(a: LoadExpr, b: LoadExpr): boolean {
  if (a === b) return true;
  return a.buffer === b.buffer && a.index.every((i, k) => toDim(i) !== null && toDim(i) === toDim(b.index[k]!));
}
/** Sums, differences and casts of integer loads and constants. */
function isArithmetic(e: TeExpr): boolean {
  switch (e.kind) {
    case "load":
    case "const":
      return true;
    case "cast":
      return isArithmetic(e.x);
    case "binary":
      return (e.op === "add" || e.op === "sub") && (children(e) as readonly TeExpr[]).every(isArithmetic);
    default:
      return false;
  }
}
