// Lowers a graph to tensor expressions: one stage or more per node, in order, each over buffers of its own.
import { assert, InternalError, must } from "../../src/base/assert.ts";
import type { ValueId } from "../../src/base/brand.ts";
import { type Diagnostic, diagnostic, UserError } from "../../src/base/diagnostics.ts";
import type { Dim } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import type { Expr } from "../../src/ir/expr.ts";
import * as E from "../../src/ir/expr.ts";
import type { AnyNode, Graph, Value } from "../../src/ir/graph.ts";
import { defOf, requirementsOf } from "../../src/ir/graph-maker.ts";
import type { Buffer } from "../../src/ir/storage.ts";
import { rangesOf } from "../../src/ir/symbolic.ts";
import type { Port, TeProgram } from "../../src/ir/te.ts";
import { makeTeBuilder, TeContext } from "../../src/ir/te-builder.ts";

export function toTe(g: Graph): TeProgram {
  const ctx = new TeContext(g.symbols);
  const inputs: Port[] = [];
  const bound = new Map<ValueId, Buffer>();
  for (const id of g.inputs) {
    const v = value(g, id);
    const b = bufferOf(ctx, v, "io");
    bound.set(id, b);
    inputs.push({ name: v.name, buffer: b.id });
  }
  // An output's buffer is made by its producer; an output that is an input, a constant or a repeated value is copied.
  const outputs: Port[] = [];
  const produced = new Set(g.nodes.flatMap((n) => n.outputs));
  const direct = new Map<ValueId, Buffer>();
  const copies: { from: ValueId; to: Buffer }[] = [];
  for (const id of g.outputs) {
    const v = value(g, id);
    const b = bufferOf(ctx, v, "io");
    outputs.push({ name: v.name, buffer: b.id });
    if (v.constant === undefined && produced.has(id) && !direct.has(id)) direct.set(id, b);
    else copies.push({ from: id, to: b });
  }
  const lowering = new GraphLowering(ctx, g, bound, direct);
  lowering.run();
  for (const c of copies) {
    const from = lowering.buffer(c.from);
    const name = value(g, c.from).name;
    makeTeBuilder(ctx, { ...nothing, loc: { node: name, op: "Output" } }).map(c.to, (i) => E.load(from, i));
  }
  return {
    name: g.name,
    symbols: ctx.symbols,
    requires: [...ctx.requires.values()],
    buffers: ctx.buffers,
    inputs,
    outputs,
    constants: ctx.constants,
    actions: ctx.actions,
  };
}

const nothing = {
  inputs: [],
  outputs: [],
  types: { inputs: [], outputs: [] },
  knowns: [],
  wanted: () => true,
  inline: (): never => {
    throw new InternalError("no graph here");
  },
};

function value(g: Graph, id: ValueId): Value {
  return must(g.values.get(id), `value ${id} of graph ${g.name}`);
}
function bufferOf(ctx: TeContext, v: Value, scope: Buffer["scope"]): Buffer {
  if (v.type.kind !== "tensor")
    throw new UserError([diagnostic("E304", `"${v.name}" is a ${v.type.kind} that remains at run time`)]);
  return ctx.buffer(v.name, v.type.tensor.dtype, v.type.tensor.shape, scope);
}

class GraphLowering {
  private readonly ctx: TeContext;
  private readonly g: Graph;
  private readonly bound: Map<ValueId, Buffer>;
  private readonly direct: ReadonlyMap<ValueId, Buffer>;
  private readonly used: ReadonlySet<ValueId | null>;
  constructor(ctx: TeContext, g: Graph, bound: Map<ValueId, Buffer>, direct: ReadonlyMap<ValueId, Buffer>) {
    this.ctx = ctx;
    this.g = g;
    this.bound = bound;
    this.direct = direct;
    this.used = new Set<ValueId | null>([...g.outputs, ...g.nodes.flatMap((n) => n.inputs)]);
  }
  /** The buffer of a value: of a constant it is made on first use. */
  buffer(id: ValueId): Buffer {
    const old = this.bound.get(id);
    if (old) return old;
    const v = value(this.g, id);
    assert(v.constant !== undefined, `value "${v.name}" is used before it is made`);
    const b = this.ctx.constant(v.name, v.constant);
    this.bound.set(id, b);
    return b;
  }
  run(): void {
    const problems: Diagnostic[] = [];
    for (const n of this.g.nodes) {
      if (n.outputs.every((o) => o === null || value(this.g, o).constant !== undefined)) continue;
      try {
        this.node(n);
      } catch (e) {
        if (!(e instanceof UserError))
          throw new InternalError(`lowering ${n.def.name} "${n.loc.node}": ${(e as Error).message}`, { cause: e });
        problems.push(...e.diagnostics);
      }
    }
    if (problems.length > 0) throw new UserError(problems);
  }
  private node(n: AnyNode): void {
    const def = defOf(n);
    const typed = (id: ValueId | null) => (id === null ? null : value(this.g, id));
    const ins = n.inputs.map(typed);
    const outs = n.outputs.map(typed);
    // Buffers of inputs are looked up when asked for: an input that only gave a shape costs nothing.
    const lazyInputs = lazyList(
      n.inputs.map((id) => () => (id === null || value(this.g, id).type.kind !== "tensor" ? null : this.buffer(id))),
    );
    const outputs = n.outputs.map((id, k) => {
      if (id === null) return null;
      const b = this.direct.get(id) ?? bufferOf(this.ctx, must(outs[k], "an output"), "arena");
      this.bound.set(id, b);
      return b;
    });
    const b = makeTeBuilder(this.ctx, {
      loc: n.loc,
      inputs: lazyInputs,
      outputs,
      types: { inputs: ins.map((v) => v?.type ?? null), outputs: outs.map((v) => v?.type ?? null) },
      knowns: ins.map((v) => v?.known ?? null),
      wanted: (k) => this.used.has(n.outputs[k] ?? null),
      inline: (g, inputs) => inlineGraph(this.ctx, g, inputs),
    });
    for (const r of requirementsOf(n, ins, this.ctx.symbols)) b.require(r.zero, r.why);
    for (const v of outs)
      for (const d of v?.type.kind === "tensor" ? v.type.tensor.shape : [])
        if (!D.nonNegative(d, rangesOf(this.ctx.symbols)))
          b.require(D.min(d, D.zero), `an extent of its output, ${d.key}, is negative`);
    switch (def.body.kind) {
      case "compute":
        return def.body.compute(b, n as never);
      case "loops":
        return def.body.loops(b, n as never);
      case "control":
        return def.body.control(b, n as never);
      case "view": {
        const x = b.input(0);
        const out = must(outputs[0], "the output of a view");
        def.body.bind?.(b, n as never);
        return b.map(out, (i) => E.load(x, reshapeIndex(i, out.shape, x.shape)));
      }
      case "expand":
        throw new InternalError(`${def.name} was not expanded`);
    }
  }
}
function lazyList<T>(makers: readonly (() => T)[]): readonly T[] {
  const list: T[] = new Array<T>(makers.length);
  makers.forEach((make, k) => Object.defineProperty(list, k, { get: make, enumerable: true }));
  return list;
}
function inlineGraph(ctx: TeContext, g: Graph, inputs: readonly Buffer[]): readonly Buffer[] {
  for (const s of g.symbols) if (!ctx.symbols.some((x) => x.id === s.id)) ctx.symbols.push(s);
  const bound = new Map<ValueId, Buffer>();
  g.inputs.forEach((id, k) => {
    bound.set(id, must(inputs[k], `input ${k} of graph ${g.name}`));
  });
  const lowering = new GraphLowering(ctx, g, bound, new Map());
  lowering.run();
  return g.outputs.map((id) => lowering.buffer(id));
}

/**
 * The index of the element of a tensor of shape `from` that stands at `index` of the same elements in shape `to`, both in row-major
 * order. Runs of axes with equal products are split and joined on their own, so most reshapes need little arithmetic.
 */
export function reshapeIndex(index: readonly Expr[], to: readonly Dim[], from: readonly Dim[]): Expr[] {
  const out: Expr[] = [];
  let a = 0;
  let b = 0;
  while (a < to.length || b < from.length) {
    // The shortest runs to[a..a2) and from[b..b2) with equal products.
    let a2 = a;
    let b2 = b;
    let pa: Dim = D.one;
    let pb: Dim = D.one;
    let found = false;
    while (!found) {
      if (a2 > a && b2 > b && pa === pb) {
        found = true;
        break;
      }
      if (a2 === to.length && b2 === from.length) break;
      const growA = b2 === from.length || (a2 < to.length && smaller(pa, pb, a2 === a));
      if (growA) pa = D.mul(pa, to[a2++]!);
      else pb = D.mul(pb, from[b2++]!);
    }
    if (!found && (a2 === a || b2 === b)) {
      // Only axes of extent 1 are left on one side.
      for (; b < b2; b++) out.push(E.i32(0));
      a = a2;
      continue;
    }
    if (!found) {
      a2 = to.length;
      b2 = from.length;
    }
    out.push(...splitRun(index.slice(a, a2), to.slice(a, a2), from.slice(b, b2)));
    a = a2;
    b = b2;
  }
  return out;
}
function smaller(pa: Dim, pb: Dim, empty: boolean): boolean {
  if (pa.kind === "int" && pb.kind === "int") return pa.value < pb.value || (empty && pa.value <= pb.value);
  // Symbolic products: grow the one that divides the other.
  const q = D.splitBy(pb, pa);
  return q.r === D.zero && pa !== pb;
}
function splitRun(index: readonly Expr[], to: readonly Dim[], from: readonly Dim[]): Expr[] {
  const live = to.flatMap((d, k) => (d === D.one ? [] : [k]));
  let flat: Expr = E.i32(0);
  live.forEach((k, n) => {
    flat = n === 0 ? index[k]! : E.add(E.mul(flat, E.ofDim(to[k]!)), index[k]!);
  });
  const liveFrom = from.flatMap((d, k) => (d === D.one ? [] : [k]));
  const out: Expr[] = from.map(() => E.i32(0));
  liveFrom.forEach((k, n) => {
    const inner = D.product(from.slice(k + 1));
    let e = inner === D.one ? flat : E.floordiv(flat, E.ofDim(inner));
    if (n > 0) e = E.floormod(e, E.ofDim(from[k]!));
    out[k] = e;
  });
  return out;
}
