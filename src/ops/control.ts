// If, Loop and Scan: actions around the stages of their body graphs. What a body captures are further inputs of its node, those of the
// first body before those of the second.
import { must } from "../base/assert.ts";
import type { ValueId } from "../base/brand.ts";
import type { Dim } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { load, ofDim } from "../ir/expr.ts";
import type { Attrs, Graph } from "../ir/graph.ts";
import { type InferCtx, type OpDef, op, type PartialTensor, type RawNode, type TeBuilder } from "../ir/opdef.ts";
import type { Buffer } from "../ir/storage.ts";
import { type TensorType, tensorType, type ValueType } from "../ir/types.ts";
import { normalAxis, onnx, tensor } from "./common.ts";
import { dimAt, isFar, scalarOf, toIndex } from "./ints.ts";
import { Identity } from "./view.ts";

const controlOpsets = [11, 13, 16, 19, 21, 23, 24, 25];
const bodyOf = (n: RawNode, name: string): Graph => n.graph(name) ?? n.fail(`graph "${name}" is missing`);
function outputType(g: Graph, k: number, fail: (m: string) => never): TensorType {
  const t = g.values.get(g.outputs[k] ?? fail(`the body has ${g.outputs.length} outputs`))?.type;
  return t?.kind === "tensor" ? t.tensor : fail(`output ${k} of the body is a ${t?.kind}, which is not supported`);
}
function inputType(g: Graph, k: number): TensorType {
  const t = must(g.values.get(must(g.inputs[k], "an input of the body")), "an input").type;
  if (t.kind !== "tensor") throw new Error(`input ${k} of the body is a ${t.kind}`);
  return t.tensor;
}
/** An extent seen from outside of a body: its own when every symbol of it is known there, else a new symbol. */
function outside(d: Dim, ctx: InferCtx): Dim {
  return [...D.symbolsOf(d)].every((s) => ctx.ranges(s) !== null) ? d : ctx.fresh("body", 0, null);
}
/** Binds the symbols of an output's extents that outside() made to what the body's result has. */
function bindOutside(b: TeBuilder, out: readonly Dim[], inner: readonly Dim[]): void {
  out.forEach((d, k) => {
    if (d !== inner[k] && d.kind === "sym" && b.isData(d.id)) b.dim(d.id, { value: inner[k]! });
  });
}
const copy = (b: TeBuilder, out: Buffer, from: Buffer): void => b.map(out, (i) => load(from, i));
/** A bool at compile time, or null. */
function knownFlag(p: PartialTensor | null): boolean | null {
  const e = p?.elements[0];
  return e !== null && e !== undefined && typeof e !== "number" && e.kind === "int" ? e.value !== 0 : null;
}

/** A branch may be missing: the condition is known, or its shapes do not fit the model's. */
type IfAttrs = { readonly then?: Graph; readonly otherwise?: Graph };
const long = (shape: readonly Dim[]): readonly Dim[] => shape.filter((d) => d !== D.one);
/** `shape` with axes of extent 1 added and dropped, so that it lies as `like`; null where it takes more than that. */
function aligned(shape: readonly Dim[], like: readonly Dim[]): readonly Dim[] | null {
  if (shape.length === like.length) return shape;
  const rest = [...long(shape)];
  return rest.length === long(like).length ? like.map((d) => (d === D.one ? D.one : rest.shift()!)) : null;
}
/** Copies what is of aligned shape. */
function copyAligned(b: TeBuilder, out: Buffer, from: Buffer, like: readonly Dim[]): void {
  if (out.shape.length === from.shape.length) return copy(b, out, from);
  b.map(out, (i) => {
    const rest = i.filter((_, k) => like[k] !== D.one);
    return load(
      from,
      from.shape.map((d) => (d === D.one ? E.i32(0) : rest.shift()!)),
    );
  });
}
/** The shapes of output k of both branches, of one rank: the lower one. Null when they differ in more than axes of extent 1. */
function bothShapes(
  then: Graph,
  otherwise: Graph,
  k: number,
  fail: (m: string) => never,
): readonly (readonly Dim[])[] | null {
  const [p, q] = [outputType(then, k, fail).shape, outputType(otherwise, k, fail).shape];
  const like = p.length <= q.length ? p : q;
  const shapes = [aligned(p, like), aligned(q, like)];
  return shapes.every((s) => s !== null) ? (shapes as (readonly Dim[])[]) : null;
}
/**
 * The branch that is left, if only one is. Of branches whose outputs differ in rank, and by more than axes of extent 1, it is the first:
 * PyTorch writes the squeeze of an axis that may not have extent 1 so, and the rest of such a model fits the first branch alone.
 */
function onlyBranch(
  a: IfAttrs,
  fail: (m: string) => never = bug,
): { readonly graph: Graph; readonly when: 0 | 1 } | null {
  if (!a.otherwise) return { graph: a.then!, when: 1 };
  if (!a.then) return { graph: a.otherwise, when: 0 };
  const differ =
    a.then.outputs.length === a.otherwise.outputs.length &&
    a.then.outputs.some((_, k) => bothShapes(a.then!, a.otherwise!, k, fail) === null);
  return differ ? { graph: a.then, when: 1 } : null;
}
const bug = (m: string): never => {
  throw new Error(m);
};

/** A condition that is known leaves one branch. A run whose condition chooses a branch that is not there stops. */
export const If: OpDef<IfAttrs> = op<IfAttrs>({
  name: "If",
  onnx: [onnx("If", 1, ...controlOpsets)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => {
    const [then, otherwise] = ["then_branch", "else_branch"].map((name) =>
      n.has(name) ? n.graph(name) : n.fail(`graph "${name}" is missing`),
    );
    return { ...(then ? { then } : {}), ...(otherwise ? { otherwise } : {}) };
  },
  bodies: (_x, _n, known) => {
    const flag = knownFlag(known(0));
    const branch = { inputs: [], carried: [], branch: true, alone: flag !== null, results: 0 };
    return { ...(flag === false ? {} : { then_branch: branch }), ...(flag === true ? {} : { else_branch: branch }) };
  },
  eager: (b, n) => {
    const flag = knownFlag(b.known(n.inputs[0]!));
    const g = flag === null ? undefined : flag ? n.attrs.then : n.attrs.otherwise;
    if (!g) return null;
    const from = g === n.attrs.otherwise ? 1 + (n.attrs.then?.inputs.length ?? 0) : 1;
    const captured = g.inputs.map((_, k) => n.inputs[from + k]!);
    // What the branch only passes on, or gives twice, becomes a value of its own.
    const results = b.inline(g, captured);
    const copied = (v: ValueId, k: number): boolean =>
      b.type(v).kind === "tensor" && (captured.includes(v) || results.indexOf(v) < k);
    return results.map((v, k) => (copied(v, k) ? b.add(Identity, [v], {})[0]! : v));
  },
  infer: (_x, a, ctx): readonly ValueType[] => {
    const flag = knownFlag(ctx.known(0));
    const only =
      flag === null
        ? onlyBranch(a, ctx.fail)
        : { graph: (flag ? a.then : a.otherwise) ?? ctx.fail("the condition is known, and its branch does not fit") };
    if (only) {
      return only.graph.outputs.map((id, k) => {
        const t = outputType(only.graph, k, ctx.fail);
        const known = only.graph.values.get(id)?.known;
        if (known && flag !== null) ctx.give(k, known);
        return tensorType(
          t.dtype,
          t.shape.map((d) => outside(d, ctx)),
        );
      });
    }
    const [then, otherwise] = [a.then!, a.otherwise!];
    if (then.outputs.length !== otherwise.outputs.length) ctx.fail("the branches have different numbers of outputs");
    return then.outputs.map((_, k) => {
      const [p, q] = [outputType(then, k, ctx.fail), outputType(otherwise, k, ctx.fail)];
      if (p.dtype !== q.dtype) ctx.fail(`output ${k} is ${p.dtype} in one branch and ${q.dtype} in the other`);
      const [shape, other] = bothShapes(then, otherwise, k, ctx.fail)!;
      return tensorType(
        p.dtype,
        shape!.map((d, j) => (d === other![j] ? outside(d, ctx) : ctx.fresh("if", 0, null))),
      );
    });
  },
  body: {
    kind: "control",
    control: (b, n) => {
      const { then, otherwise } = n.attrs;
      const both = then !== undefined && otherwise !== undefined && knownFlag(b.known(0)) === null;
      const shapes = (k: number) => (both ? bothShapes(then, otherwise, k, bug) : null);
      const branch = (g: Graph | undefined) => (): void => {
        const from = g === otherwise ? 1 + (then?.inputs.length ?? 0) : 1;
        const results = b.inline(
          g!,
          g!.inputs.map((_, k) => b.input(from + k)),
        );
        results.forEach((r, k) => {
          if (!b.wants(k)) return;
          const shape = shapes(k)?.[g === then ? 0 : 1] ?? r.shape;
          bindOutside(b, b.output(k).shape, shape);
          copyAligned(b, b.output(k), r, shape);
        });
      };
      const flag = knownFlag(b.known(0));
      if (flag !== null) return branch(flag ? then : otherwise)();
      const only = onlyBranch(n.attrs);
      if (!only) return b.ifElse(b.input(0), branch(then), branch(otherwise));
      const taken = b.temp("taken", "i32", [D.one]);
      b.map(taken, () => E.to("i32", scalarOf(b.input(0))));
      b.dim(b.symbol("taken").id, { buffer: taken, index: D.zero }, only.when, only.when);
      branch(only.graph)();
    },
  },
});

/** carried: how many values are carried; the node's further inputs are captures. */
type LoopAttrs = { readonly body: Graph; readonly carried: number };
/** Whether a body leaves its condition (input 1) as it is, or sets it to true. */
function alwaysGoesOn(g: Graph): boolean {
  let id: ValueId = must(g.outputs[0], "the condition");
  for (;;) {
    if (id === g.inputs[1]) return true;
    const v = g.values.get(id);
    if (knownFlag(v?.known ?? null) === true) return true;
    const maker = g.nodes.find((n) => n.outputs.includes(id));
    const from = maker?.inputs[0];
    if (maker?.def.name !== "Identity" || from === null || from === undefined) return false;
    id = from;
  }
}
/** The number of iterations: a Dim, "unlimited", or null when it is known only in the run. */
function tripOf(known: PartialTensor | null, given: boolean): Dim | "unlimited" | null {
  if (!given) return "unlimited";
  const d = dimAt(known, 0);
  return d && isFar(d) && D.known(d)! > 0 ? "unlimited" : d;
}
/** Inputs: trip count, condition, then what is carried. The body's: iteration, condition, carried; outputs: condition, carried, scanned. */
export const Loop: OpDef<LoopAttrs> = op({
  name: "Loop",
  onnx: [onnx("Loop", 1, ...controlOpsets)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => ({ body: bodyOf(n, "body"), carried: n.inputCount - 2 }),
  bodies: (x) => ({
    body: {
      inputs: [tensorType("i64", []), tensorType("bool", []), ...x.slice(2).map((t, k) => t ?? missing(k + 2))],
      carried: x.slice(2).map((_, k) => [k + 2, k + 1] as const),
      results: 1,
    },
  }),
  infer: (x, a, ctx): readonly ValueType[] => {
    const { carried } = a;
    const finals = Array.from({ length: carried }, (_, k) => {
      const t = inputType(a.body, k + 2);
      const first = tensor(x, k + 2, ctx);
      if (first.dtype !== t.dtype)
        ctx.fail(`the carried value ${k} is ${first.dtype} at first and ${t.dtype} in the body`);
      return tensorType(
        t.dtype,
        t.shape.map((d) => outside(d, ctx)),
      );
    });
    const trip = tripOf(ctx.known(0), (x[0] ?? null) !== null);
    const counted = goesOn(x[1] ?? null, ctx.known(1), a.body) && trip !== null && trip !== "unlimited";
    const length = counted ? D.simplify(D.max(D.zero, trip), ctx.ranges) : ctx.fresh("trip", 0, null);
    const scanned = a.body.outputs.slice(1 + carried).map((_, k) => {
      const t = outputType(a.body, 1 + carried + k, ctx.fail);
      return tensorType(t.dtype, [length, ...t.shape.map((d) => outside(d, ctx))]);
    });
    return [...finals, ...scanned];
  },
  body: { kind: "control", control: (b, n) => lowerLoop(b, n.attrs, n.outputs.length) },
});
function missing(k: number): never {
  throw new Error(`input ${k} is missing`);
}
function goesOn(given: ValueType | null, known: PartialTensor | null, g: Graph): boolean {
  return (given === null || knownFlag(known) === true) && alwaysGoesOn(g);
}

function lowerLoop(b: TeBuilder, { body: g, carried }: LoopAttrs, outputs: number): void {
  const given = tripOf(b.known(0), b.has(0));
  const steady = goesOn(b.types.inputs[1] ?? null, b.known(1), g);
  let trip: Dim | null = given === "unlimited" ? null : given;
  if (given === null) {
    const limit = b.temp("trip", "i32", [D.one]);
    b.map(limit, () => E.max(toIndex(scalarOf(b.input(0))), 0));
    const s = b.symbol("trip");
    b.dim(s.id, { buffer: limit, index: D.zero });
    trip = s.dim;
  }
  const scans = Array.from({ length: Math.max(0, outputs - carried) }, (_, k) => carried + k).filter((k) => b.wants(k));
  const length = scans.length > 0 ? b.output(scans[0]!).shape[0]! : null;
  const early = !steady || trip === null;
  // Scan outputs need their shape before they are written. Where a condition may end the loop early, or the body's data decide, a run
  // without them finds it out.
  const inner = (k: number): readonly Dim[] => outputType(g, 1 + k, bug).shape;
  const open = scans.flatMap((k) =>
    b
      .output(k)
      .shape.slice(1)
      .flatMap((d, j) => (d !== inner(k)[j] && d.kind === "sym" ? [{ k, j, id: d.id }] : [])),
  );
  if (length && (early || open.length > 0)) {
    const count = b.temp("iterations", "i32", [D.one]);
    b.map(count, () => E.i32(0));
    for (const o of open) b.dim(o.id, { value: D.zero });
    runLoop(b, g, carried, trip, steady, (results, now) => {
      b.map(count, () => E.add(ofDim(now), 1));
      for (const o of open) b.dim(o.id, { value: results[1 + o.k]!.shape[o.j]! });
    });
    if (early) b.dim(symbolOf(length), { buffer: count, index: D.zero });
  } else if (length && trip) bindOutside(b, [length], [D.max(D.zero, trip)]);
  const state = runLoop(
    b,
    g,
    carried,
    length && early ? length : trip,
    steady || (length !== null && early),
    (results, now) => {
      for (const k of scans) {
        const out = b.output(k);
        const from = results[1 + k]!;
        const part = b.part(
          out,
          `${out.name}.iteration`,
          [now, ...from.shape.map(() => D.zero)],
          [D.one, ...out.shape.slice(1)],
        );
        b.map(part, (i) => load(from, i.slice(1)));
      }
    },
  );
  for (let k = 0; k < carried; k++) {
    if (!b.wants(k)) continue;
    bindOutside(b, b.output(k).shape, state[k]!.shape);
    copy(b, b.output(k), state[k]!);
  }
}
/**
 * The loop itself. Carried values are pairs of buffers that swap. A dim that changes is a symbol of the body's input, bound anew at the
 * end of each iteration. Returns the buffers of the final values.
 */
function runLoop(
  b: TeBuilder,
  g: Graph,
  carried: number,
  trip: Dim | null,
  steady: boolean,
  each: (results: readonly Buffer[], now: Dim) => void,
): readonly Buffer[] {
  const captures = g.inputs.slice(2 + carried).map((_, k) => b.input(2 + carried + k));
  const types = Array.from({ length: carried }, (_, k) => inputType(g, k + 2));
  const changing = (t: TensorType, first: readonly Dim[]): number[] =>
    t.shape.flatMap((d, j) => (d !== first[j] && d.kind === "sym" && d.id.startsWith("$carried.") ? [j] : []));
  const now = types.map((t, k) => {
    const first = b.input(k + 2);
    for (const j of changing(t, first.shape)) b.dim(symbolOf(t.shape[j]!), { value: first.shape[j]! });
    const buffer = b.temp(`carried${k}`, t.dtype, t.shape);
    copy(b, buffer, first);
    return buffer;
  });
  // The same dims as those of the value itself: a symbol of its own stands for what one iteration leaves.
  const left = types.map((t, k) =>
    t.shape.map((d, j) => (changing(t, b.input(k + 2).shape).includes(j) ? b.symbol("left") : { id: null, dim: d })),
  );
  const next = types.map((t, k) =>
    b.temp(
      `next${k}`,
      t.dtype,
      left[k]!.map((s) => s.dim),
    ),
  );
  const flag = steady ? null : b.temp("condition", "bool", []);
  if (flag) b.map(flag, () => (b.has(1) ? scalarOf(b.input(1)) : E.constant("bool", 1)));
  const always = b.temp("always", "bool", []);
  if (!flag) b.map(always, () => E.constant("bool", 1));
  const counter = b.symbol("iteration");
  b.loop({ trip, cond: flag, counter: counter.id, swap: now.map((x, k) => [x, next[k]!] as const) }, () => {
    const iteration = b.temp("iteration", inputType(g, 0).dtype, []);
    b.map(iteration, () => E.to(iteration.dtype, ofDim(counter.dim)));
    const results = b.inline(g, [iteration, flag ?? always, ...now, ...captures]);
    for (const [k, dims] of left.entries())
      for (const [j, s] of dims.entries()) if (s.id !== null) b.dim(s.id, { value: results[k + 1]!.shape[j]! });
    each(results, counter.dim);
    for (const [k, x] of next.entries()) copy(b, x, results[k + 1]!);
    if (flag) b.map(flag, () => scalarOf(results[0]!));
    for (const [k, dims] of left.entries())
      for (const [j, s] of dims.entries()) if (s.id !== null) b.dim(symbolOf(types[k]!.shape[j]!), { value: s.dim });
  });
  return now;
}
function symbolOf(d: Dim): D.Sym["id"] {
  if (d.kind !== "sym") throw new Error(`${d.key} is no symbol`);
  return d.id;
}

/** batched: before opset 9; every value has a batch axis in front, and input 0 may give the length of each sequence. */
type ScanAttrs = {
  readonly body: Graph;
  readonly states: number;
  readonly scans: number;
  readonly inputAxes: readonly number[];
  readonly outputAxes: readonly number[];
  readonly inputReversed: readonly number[];
  readonly outputReversed: readonly number[];
  readonly batched?: boolean;
};
const axisOf = (axes: readonly number[], k: number, rank: number): number =>
  (axes[k] ?? 0) < 0 ? axes[k]! + rank : (axes[k] ?? 0);
/** Inputs: states, then tensors to walk along an axis. The body's outputs: states, then slices of the scan outputs. */
export const Scan: OpDef<ScanAttrs> = op<ScanAttrs>({
  name: "Scan",
  onnx: [onnx("Scan", 8, 9, ...controlOpsets.filter((v) => v !== 13))],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => {
    const [batched, scans] = [n.opset < 9, n.int("num_scan_inputs")];
    return {
      body: bodyOf(n, "body"),
      scans,
      states: n.inputCount - scans - (batched ? 1 : 0),
      inputAxes: n.ints("scan_input_axes") ?? [],
      outputAxes: n.ints("scan_output_axes") ?? [],
      inputReversed: n.ints(batched ? "directions" : "scan_input_directions") ?? [],
      outputReversed: n.ints("scan_output_directions") ?? [],
      ...(batched ? { batched } : {}),
    };
  },
  bodies: (x, n) => {
    const lead = n.opset < 9 ? 1 : 0;
    const states = x.length - n.int("num_scan_inputs") - lead;
    const axes = n.ints("scan_input_axes") ?? [];
    const inputs = x.slice(lead).map((t, k): ValueType => {
      if (t?.kind !== "tensor" || t.tensor.shape.length < lead) return n.fail(`input ${k + lead} is no tensor to scan`);
      const { dtype } = t.tensor;
      const shape = t.tensor.shape.slice(lead);
      if (k < states) return tensorType(dtype, shape);
      const axis = normalAxis(axes[k - states] ?? 0, shape.length, n);
      return tensorType(
        dtype,
        shape.filter((_, j) => j !== axis),
      );
    });
    return { body: { inputs, carried: Array.from({ length: states }, (_, k) => [k, k] as const) } };
  },
  infer: (x, a, ctx): readonly ValueType[] => {
    const lead = a.batched ? 1 : 0;
    const first = tensor(x, lead + a.states, ctx).shape;
    const batch = first.slice(0, lead);
    const length = first[lead + axisOf(a.inputAxes, 0, first.length - lead)]!;
    // A state keeps its shape: what the importer took for a change are two ways to write one extent.
    const same = new Map<string, Dim>();
    for (let k = 0; k < a.states; k++)
      inputType(a.body, k).shape.forEach((d, j) => {
        if (d.kind === "sym") same.set(d.id, tensor(x, lead + k, ctx).shape[lead + j]!);
      });
    return a.body.outputs.map((_, k) => {
      const own = outputType(a.body, k, ctx.fail);
      if (k < a.states) return tensorType(own.dtype, tensor(x, lead + k, ctx).shape);
      const t = {
        dtype: own.dtype,
        shape: own.shape.map((d) =>
          D.substitute(d, (id) => (id.startsWith("$carried.") ? (same.get(id) ?? null) : null)),
        ),
      };
      if (t.shape.some((d) => [...D.symbolsOf(d)].some((s) => ctx.ranges(s) === null)))
        ctx.fail(`the shape of scan output ${k - a.states} depends on data inside of the body`);
      const axis = normalAxis(a.outputAxes[k - a.states] ?? 0, t.shape.length + 1, ctx);
      return tensorType(t.dtype, [...batch, ...t.shape.slice(0, axis), length, ...t.shape.slice(axis)]);
    });
  },
  body: { kind: "control", control: (b, n) => lowerScan(b, n.attrs) },
});
function lowerScan(b: TeBuilder, a: ScanAttrs): void {
  if (!a.batched) return scanOver(b, a, [], null);
  const batch = b.symbol("batch");
  const [extent, all] = b.input(1 + a.states).shape as readonly [Dim, Dim];
  const scanned = Array.from({ length: a.body.outputs.length - a.states }, (_, k) => a.states + k);
  // Of a sequence that ends early, what follows is zero.
  if (b.has(0)) for (const k of scanned) if (b.wants(k)) b.map(b.output(k), () => E.constant(b.output(k).dtype, 0));
  b.loop({ trip: extent, cond: null, counter: batch.id }, () => {
    let length = all;
    if (b.has(0)) {
      const own = b.temp("length", "i32", [D.one]);
      b.map(own, () => E.min(E.max(toIndex(load(b.input(0), [ofDim(batch.dim)])), 0), ofDim(all)));
      const s = b.symbol("length");
      b.dim(s.id, { buffer: own, index: D.zero });
      length = s.dim;
    }
    scanOver(b, a, [batch.dim], length);
  });
}
/** One sequence. lead: where it stands in the batch, if there is one; length: null for all of it. */
function scanOver(b: TeBuilder, a: ScanAttrs, lead: readonly Dim[], some: Dim | null): void {
  const { body: g, states, scans } = a;
  const skip = lead.length;
  const at = lead.map((d) => ofDim(d));
  const walked = Array.from({ length: scans }, (_, k) => b.input(skip + states + k));
  const axes = walked.map((x, k) => skip + axisOf(a.inputAxes, k, x.shape.length - skip));
  const length = some ?? walked[0]!.shape[axes[0]!]!;
  const captures = g.inputs.slice(states + scans).map((_, k) => b.input(skip + states + scans + k));
  const initial = Array.from({ length: states }, (_, k) => b.input(skip + k));
  const now = initial.map((x, k) => b.temp(`state${k}`, x.dtype, x.shape.slice(skip)));
  for (const [k, s] of now.entries())
    for (const [j, d] of inputType(g, k).shape.entries())
      if (d !== s.shape[j] && d.kind === "sym" && d.id.startsWith("$carried.")) b.dim(d.id, { value: s.shape[j]! });
  const next = now.map((s, k) => b.temp(`next${k}`, s.dtype, s.shape));
  for (const [k, s] of now.entries()) b.map(s, (i) => load(initial[k]!, [...at, ...i]));
  const counter = b.symbol("scan");
  const time = (reversed: readonly number[], k: number): Dim =>
    reversed[k] ? D.sub(D.sub(length, D.one), counter.dim) : counter.dim;
  b.loop({ trip: length, cond: null, counter: counter.id, swap: now.map((s, k) => [s, next[k]!] as const) }, () => {
    const slices = walked.map((x, k) => {
      const axis = axes[k]! - skip;
      const slice = b.temp(
        `${x.name}.slice`,
        x.dtype,
        x.shape.slice(skip).filter((_, j) => j !== axis),
      );
      const step = ofDim(time(a.inputReversed, k));
      b.map(slice, (i) => load(x, [...at, ...i.slice(0, axis), step, ...i.slice(axis)]));
      return slice;
    });
    const results = b.inline(g, [...now, ...slices, ...captures]);
    results.slice(states).forEach((from, k) => {
      if (!b.wants(states + k)) return;
      const out = b.output(states + k);
      const axis = skip + axisOf(a.outputAxes, k, out.shape.length - skip);
      const part = b.part(
        out,
        `${out.name}.step`,
        out.shape.map((_, j) => (j === axis ? time(a.outputReversed, k) : (lead[j] ?? D.zero))),
        out.shape.map((d, j) => (j === axis || j < skip ? D.one : d)),
      );
      b.map(part, (i) =>
        load(
          from,
          i.filter((_, j) => j !== axis && j >= skip),
        ),
      );
    });
    for (const [k, s] of next.entries()) copy(b, s, results[k]!);
  });
  now.forEach((s, k) => {
    if (!b.wants(k)) return;
    const out = b.output(k);
    if (skip === 0) return copy(b, out, s);
    const part = b.part(out, `${out.name}.sequence`, [...lead, ...s.shape.map(() => D.zero)], [D.one, ...s.shape]);
    b.map(part, (i) => load(s, i.slice(skip)));
  });
}

export const controlOps: readonly OpDef<Attrs>[] = [If, Loop, Scan] as unknown as readonly OpDef<Attrs>[];
