// The TeBuilder that op definitions lower through, and the context that collects what they append.
import { assert, InternalError, must } from "../base/assert.ts";
import type { BufferId, StageId, SymbolId } from "../base/brand.ts";
import { type Loc, userError } from "../base/diagnostics.ts";
import type { Dim, Sym } from "./dim.ts";
import * as D from "./dim.ts";
import { cast, type Expr, v } from "./expr.ts";
import type { Graph } from "./graph.ts";
import type { PartialTensor, ReduceSpec, TeBuilder } from "./opdef.ts";
import type { Requirement } from "./program.ts";
import { type Buffer, dense, type Scope, type Storage } from "./storage.ts";
import { rangesOf } from "./symbolic.ts";
import type { Axis, Reduce, TeAction, TeExpr } from "./te.ts";
import { type DType, isFloat, type Tensor, type ValueType, widened } from "./types.ts";

/** Everything that a T program under construction owns. Actions are appended to the innermost open list. */
export class TeContext {
  readonly buffers: Map<BufferId, Buffer> = new Map();
  readonly constants: Map<BufferId, Tensor> = new Map();
  readonly symbols: Sym[];
  /** By what has to be 0. */
  readonly requires: Map<Dim, Requirement> = new Map();
  actions: TeAction[] = [];
  private depth = 0;
  private nextBuffer = 0;
  private nextStage = 0;
  private nextSymbol = 0;
  constructor(symbols: readonly Sym[]) {
    this.symbols = [...symbols];
  }
  buffer(name: string, dtype: DType, shape: readonly Dim[], scope: Scope, storage: Storage | null = null): Buffer {
    const b: Buffer = { id: this.nextBuffer++ as BufferId, name, dtype, shape, scope, storage };
    this.buffers.set(b.id, b);
    return b;
  }
  constant(name: string, t: Tensor): Buffer {
    const b = this.buffer(name, t.dtype, t.dims.map(D.int), "weights");
    this.constants.set(b.id, t);
    return b;
  }
  stageId(): StageId {
    return this.nextStage++ as StageId;
  }
  symbol(stem: string): { id: SymbolId; dim: Dim } {
    // Apart from the symbols that inference makes, which end in .NUMBER.
    const id = `$${stem}:${this.nextSymbol++}` as SymbolId;
    this.symbols.push({ id, min: 0, max: null, def: "data" });
    return { id, dim: D.sym(id) };
  }
  /** Runs f with a fresh action list, and returns that list. */
  nested(f: () => void): TeAction[] {
    const outer = this.actions;
    this.actions = [];
    this.depth++;
    try {
      f();
      return this.actions;
    } finally {
      this.actions = outer;
      this.depth--;
    }
  }
  /**
   * What follows from the inputs' dims is a requirement of the program; what depends on data, or on whether a branch is taken at all,
   * is an action.
   */
  require(zero: Dim, why: string): void {
    const simple = D.simplify(zero, rangesOf(this.symbols));
    if (simple === D.zero) return;
    const ofInputs = [...D.symbolsOf(simple)].every((id) => this.symbols.some((s) => s.id === id && s.def === null));
    if (ofInputs && this.depth === 0) {
      if (!this.requires.has(simple)) this.requires.set(simple, { zero: simple, why });
      return;
    }
    const { id } = this.symbol("required");
    this.actions.push({ kind: "dim", id, from: { value: simple }, min: 0, max: 0 });
  }
}

/** What a node brings to its lowering. */
export type NodeIo = {
  readonly loc: Loc;
  readonly inputs: readonly (Buffer | null)[];
  readonly outputs: readonly (Buffer | null)[];
  readonly types: TeBuilder["types"];
  readonly knowns: readonly (PartialTensor | null)[];
  readonly inline: (g: Graph, inputs: readonly Buffer[]) => readonly Buffer[];
  readonly wanted: (output: number) => boolean;
};

export function makeTeBuilder(ctx: TeContext, io: NodeIo): TeBuilder {
  const pushStage = (
    axes: readonly Axis[],
    outs: readonly { buffer: BufferId; body: TeExpr }[],
    scan: string | null,
  ): void => {
    const id = ctx.stageId();
    ctx.actions.push({
      kind: "call",
      call: { kind: "group", group: { root: id, stages: [{ id, name: io.loc.op, axes, outs, scan, loc: io.loc }] } },
    });
  };
  const spatial = (shape: readonly Dim[]): Axis[] =>
    shape.map((extent, k) => ({ name: `i${k}`, extent, role: "spatial" as const }));
  const vars = (axes: readonly Axis[]): Expr[] => axes.map((a) => v(a.name));
  const b: TeBuilder = {
    types: io.types,
    loc: io.loc,
    input: (i) => must(io.inputs[i], `input ${i} of ${io.loc.op} "${io.loc.node}"`),
    has: (i) => (io.inputs[i] ?? null) !== null,
    output: (i) =>
      io.outputs[i] ?? ctx.buffer(`${io.loc.node}.out${i}`, typeOf(io, i).dtype, typeOf(io, i).shape, "arena"),
    wants: (i) => (io.outputs[i] ?? null) !== null && io.wanted(i),
    constantOf: (i) => {
      const x = io.inputs[i];
      return x ? (ctx.constants.get(x.id) ?? null) : null;
    },
    known: (i) => io.knowns[i] ?? null,
    dims: (i) => allDims(io.knowns[i] ?? null),
    temp: (name, dtype, shape) => ctx.buffer(name, dtype, shape, "arena"),
    constant: (name, t) => ctx.constant(name, t),
    part: (of, name, offset, shape, step) => {
      const whole = ctx.buffer(name, of.dtype, shape, of.scope);
      const part: Buffer = { ...whole, inside: { of: of.id, offset, step: step ?? shape.map(() => D.one) } };
      ctx.buffers.set(part.id, part);
      return part;
    },
    map: (out, body) => {
      const axes = spatial(out.shape);
      pushStage(axes, [{ buffer: out.id, body: rounded(body(vars(axes))) }], null);
    },
    mapAll: (outs, body) => {
      const axes = spatial(must(outs[0], "an output").shape);
      const bodies = body(vars(axes));
      pushStage(
        axes,
        outs.map((o, k) => ({ buffer: o.id, body: rounded(must(bodies[k], "a body")) })),
        null,
      );
    },
    reduce: (out, extents, f) => {
      const axes = spatial(out.shape);
      if (extents.length === 0) {
        const { state, result } = f(vars(axes), []);
        const updated = state.map((s) => s.update(state.map((t) => t.init)));
        return pushStage(axes, [{ buffer: out.id, body: result ? result(updated) : updated[0]! }], null);
      }
      const rs: Axis[] = extents.map((extent, k) => ({ name: `r${k}`, extent, role: "reduce" as const }));
      pushStage(axes, [{ buffer: out.id, body: makeReduce(rs, f(vars(axes), vars(rs))) }], null);
    },
    scan: (out, axis, body) => {
      const axes = spatial(out.shape);
      pushStage(axes, [{ buffer: out.id, body: body(vars(axes)) }], must(axes[axis], "the scan axis").name);
    },
    stage: pushStage,
    kernel: (kernel, args, scalars = []) => {
      ctx.actions.push({
        kind: "call",
        call: { kind: "kernel", kernel, args: args.map((a) => a.id), scalars, loc: io.loc },
      });
    },
    dim: (id, from, min = 0, max = null) => {
      ctx.actions.push({
        kind: "dim",
        id,
        from: "value" in from ? from : { buffer: from.buffer.id, index: from.index },
        min,
        max,
      });
    },
    require: (zero, why) => {
      if (zero.kind === "int" && zero !== D.zero) throw userError("E205", why, { loc: io.loc });
      // Artifacts carry the text, and a dim may be a long one.
      const short = why.length > 200 ? `${why.slice(0, 200)}...` : why;
      ctx.require(zero, `${io.loc.op} "${io.loc.node}": ${short}`);
    },
    isData: (id) => ctx.symbols.some((s) => s.id === id && s.def === "data"),
    symbol: (stem) => ctx.symbol(stem),
    loop: (o, body) => {
      const inner = ctx.nested(body);
      ctx.actions.push({
        kind: "loop",
        trip: o.trip,
        cond: o.cond?.id ?? null,
        counter: o.counter,
        body: inner,
        swap: (o.swap ?? []).map(([x, y]) => [x.id, y.id] as const),
      });
    },
    ifElse: (cond, then, otherwise) => {
      ctx.actions.push({ kind: "if", cond: cond.id, then: ctx.nested(then), otherwise: ctx.nested(otherwise) });
    },
    inline: io.inline,
  };
  return b;
}

/**
 * A narrow float is rounded where an operator leaves it, also where the next one takes it in before it is stored: results do not hang
 * on what is joined with what.
 */
function rounded(e: Expr): Expr {
  return isFloat(e.dtype) && widened(e.dtype) !== e.dtype && rounds(e) ? cast<Expr>(e.dtype, cast<Expr>("f32", e)) : e;
}
/** Whether the value may be none of its type. */
function rounds(e: Expr): boolean {
  switch (e.kind) {
    case "binary":
      return /^(nan)?(min|max)$/.test(e.op) ? rounds(e.a) || rounds(e.b) : true;
    case "unary":
      return e.op === "neg" || e.op === "abs" ? rounds(e.x) : true;
    case "select":
      return rounds(e.a) || rounds(e.b);
    case "mulAdd":
    case "var":
      return true;
    default:
      return false;
  }
}

function typeOf(io: NodeIo, i: number): { dtype: DType; shape: readonly Dim[] } {
  const t = io.types.outputs[i];
  if (t?.kind !== "tensor") throw new InternalError(`output ${i} of ${io.loc.op} is no tensor`);
  return t.tensor;
}

/** A Reduce node from its spec. Names of state variables are s0, s1, ...; merge sees s0 and s0'. */
export function makeReduce(axes: readonly Axis[], spec: ReduceSpec): Reduce {
  const names = spec.state.map((_, k) => `s${k}`);
  const states = spec.state.map((s, k) => ({ name: names[k]!, dtype: s.init.dtype, init: s.init }));
  const vars = states.map((s) => v(s.name, s.dtype));
  const primed = states.map((s) => v(`${s.name}'`, s.dtype));
  const result = rounded(spec.result ? spec.result(vars) : must(vars[0], "a state"));
  assert(
    axes.every((a) => a.role === "reduce"),
    "reduce over spatial axes",
  );
  return {
    kind: "reduce",
    dtype: result.dtype,
    axes,
    state: states,
    update: spec.state.map((s) => s.update(vars)),
    merge: spec.merge ? spec.merge(vars, primed) : null,
    result,
  };
}

/** Every element a Dim, or null. */
export function allDims(p: PartialTensor | null): readonly Dim[] | null {
  if (p === null) return null;
  return p.elements.every((e) => e !== null && typeof e !== "number") ? (p.elements as readonly Dim[]) : null;
}

/** Dense row-major storage for buffers that cannot have another one (ports, kernels' arguments). */
export function rowMajor(b: Buffer): Buffer {
  return b.storage ? b : { ...b, storage: dense(b.shape) };
}
export function tensorShape(t: ValueType | null | undefined): readonly Dim[] | null {
  return t?.kind === "tensor" ? t.tensor.shape : null;
}
