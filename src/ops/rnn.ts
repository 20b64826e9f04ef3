// Recurrent nets: RNN, GRU, LSTM and onnxruntime's DynamicQuantizeLSTM. The products of the input with W are one contraction over all
// steps; a loop over the steps then multiplies the state with R. The state is a pair of buffers that swap after each step.
import { must } from "../base/assert.ts";
import type { Dim } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { constant, type Expr, i32, load, ofDim } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import { type Accuracy, type InferCtx, type OpDef, op, type RawNode, type TeBuilder } from "../ir/opdef.ts";
import type { Buffer } from "../ir/storage.ts";
import { type DType, tensorType, type ValueType } from "../ir/types.ts";
import { onnx, optionalTensor, sameExtent, shapeText, tensor, wide } from "./common.ts";
import { sumOfProducts } from "./contract.ts";
import { expm1, sigmoid, softplus } from "./elementwise.ts";
import { toIndex } from "./ints.ts";
import { dynamicRange, microsoft, toQuantized } from "./quant.ts";

type RecurrentAttrs = {
  readonly direction: string;
  readonly hidden: number;
  readonly clip: number;
  readonly batchFirst: boolean;
  readonly linearBeforeReset: boolean;
  readonly inputForget: boolean;
  readonly activations: readonly string[];
  readonly alpha: readonly number[];
  readonly beta: readonly number[];
};
type Act = (x: Expr) => Expr;
/** Activations by ONNX's names in lower case, with the defaults of the parameters that each consumes. */
const acts: Readonly<
  Record<
    string,
    { readonly alpha?: number; readonly beta?: number; readonly f: (x: Expr, a: number, b: number) => Expr }
  >
> = {
  relu: { f: (x) => E.max(x, 0) },
  tanh: { f: (x) => E.unary("tanh", x) },
  sigmoid: { f: sigmoid },
  affine: { alpha: 1, beta: 0, f: (x, a, b) => E.add(E.mul(x, a), b) },
  leakyrelu: { alpha: 0.01, f: (x, a) => E.where(E.lt(x, 0), E.mul(x, a), x) },
  thresholdedrelu: { alpha: 1, f: (x, a) => E.where(E.lt(x, a), constant(x.dtype, 0), x) },
  scaledtanh: { alpha: 1, beta: 1, f: (x, a, b) => E.mul(E.unary("tanh", E.mul(x, b)), a) },
  hardsigmoid: { alpha: 0.2, beta: 0.5, f: (x, a, b) => E.max(E.min(E.add(E.mul(x, a), b), 1), 0) },
  elu: { alpha: 1, f: (x, a) => E.where(E.lt(x, 0), E.mul(expm1(x), a), x) },
  softsign: { f: (x) => E.div(x, E.add(E.unary("abs", x), 1)) },
  softplus: { f: softplus },
};
function parseRecurrent(defaults: readonly string[]): (n: RawNode) => RecurrentAttrs {
  return (n) => {
    const direction = n.string("direction", "forward");
    if (!["forward", "reverse", "bidirectional"].includes(direction)) n.fail(`direction "${direction}" is unknown`);
    const count = direction === "bidirectional" ? 2 : 1;
    const activations = (n.strings("activations") ?? Array.from({ length: count }, () => defaults).flat()).map((s) =>
      s.toLowerCase(),
    );
    if (activations.length !== count * defaults.length)
      n.fail(`${activations.length} activations where ${count * defaults.length} belong`);
    for (const s of activations) if (!(s in acts)) n.fail(`activation "${s}" is unknown`);
    n.has("output_sequence");
    return {
      direction,
      activations,
      alpha: n.floats("activation_alpha") ?? [],
      beta: n.floats("activation_beta") ?? [],
      hidden: n.int("hidden_size", 0),
      clip: n.float("clip", 0),
      batchFirst: n.int("layout", 0) !== 0,
      linearBeforeReset: n.int("linear_before_reset", 0) !== 0,
      inputForget: n.int("input_forget", 0) !== 0,
    };
  };
}
/** Each activation with its parameters, which are consumed in order by those that have any, on clipped arguments. */
function actsOf(a: RecurrentAttrs): readonly Act[] {
  const [alpha, beta] = [[...a.alpha], [...a.beta]];
  return a.activations.map((name) => {
    const act = acts[name]!;
    const p = act.alpha === undefined ? 0 : (alpha.shift() ?? act.alpha);
    const q = act.beta === undefined ? 0 : (beta.shift() ?? act.beta);
    return (x) => act.f(a.clip > 0 ? E.max(E.min(x, a.clip), -a.clip) : x, p, q);
  });
}

/** The sizes of a recurrent layer. */
type Sizes = { readonly steps: Dim; readonly batch: Dim; readonly hidden: Dim; readonly directions: number };
function sizesOf(
  a: RecurrentAttrs,
  x: readonly Dim[],
  r: readonly Dim[],
  recurrentAxis: number,
  fail: (m: string) => never,
): Sizes {
  if (x.length !== 3 || r.length !== 3)
    fail(`a recurrent layer over ${shapeText(x)} with recurrent weights ${shapeText(r)}`);
  const [steps, batch] = a.batchFirst ? [x[1]!, x[0]!] : [x[0]!, x[1]!];
  return {
    steps,
    batch,
    hidden: a.hidden > 0 ? D.int(a.hidden) : r[recurrentAxis]!,
    directions: a.direction === "bidirectional" ? 2 : 1,
  };
}
/** The sequence, the lengths and the first states are of one batch, and the weights of the sequence's width. */
function checkRecurrent(
  x: readonly (ValueType | null)[],
  a: RecurrentAttrs,
  s: Sizes,
  inputAxis: number,
  ctx: InferCtx,
): void {
  const first = a.batchFirst ? [s.batch, D.int(s.directions), s.hidden] : [D.int(s.directions), s.batch, s.hidden];
  const lengths = optionalTensor(x, usual.lengths);
  if (lengths?.shape.length === 1)
    sameExtent(lengths.shape[0]!, s.batch, `${lengths.shape[0]!.key} lengths for a batch of ${s.batch.key}`, ctx);
  for (const k of [usual.h, usual.c]) {
    const t = optionalTensor(x, k);
    if (t?.shape.length !== 3) continue;
    t.shape.forEach((d, axis) => {
      sameExtent(d, first[axis]!, `a first state of shape ${shapeText(t.shape)}, not ${shapeText(first)}`, ctx);
    });
  }
  const [width, rows] = [tensor(x, 0, ctx).shape[2]!, tensor(x, 1, ctx).shape[inputAxis]!];
  sameExtent(width, rows, `weights for ${rows.key} inputs, not ${width.key}`, ctx);
}
function inferRecurrent(states: number, recurrentAxis: number): OpDef<RecurrentAttrs>["infer"] {
  return (x, a, ctx: InferCtx): readonly ValueType[] => {
    const t = tensor(x, 0, ctx);
    const s = sizesOf(a, t.shape, tensor(x, 2, ctx).shape, recurrentAxis, ctx.fail);
    const d = D.int(s.directions);
    checkRecurrent(x, a, s, recurrentAxis, ctx);
    const last = tensorType(t.dtype, a.batchFirst ? [s.batch, d, s.hidden] : [d, s.batch, s.hidden]);
    const all = tensorType(t.dtype, a.batchFirst ? [s.batch, s.steps, d, s.hidden] : [s.steps, d, s.batch, s.hidden]);
    return [all, ...Array.from({ length: states }, () => last)];
  };
}

/**
 * Products with W or R. rows: the left operand, read at `at(i, k)`; column: which output of the weights; d: the direction. result gets the sum.
 */
type Product = (
  which: "W" | "R",
  d: number,
  out: Buffer,
  rows: Buffer,
  at: (i: readonly Expr[], k: Expr) => readonly Expr[],
  column: (i: readonly Expr[]) => Expr,
  result: (s: Expr, i: readonly Expr[]) => Expr,
) => void;
/** Positions of the optional inputs. */
type Positions = {
  readonly bias: number;
  readonly lengths: number;
  readonly h: number;
  readonly c: number;
  readonly peepholes: number;
};
const usual: Positions = { bias: 3, lengths: 4, h: 5, c: 6, peepholes: 7 };

/** What a cell needs in one direction. */
type Cell = {
  readonly b: TeBuilder;
  readonly a: RecurrentAttrs;
  readonly s: Sizes;
  readonly d: number;
  readonly t: DType;
  readonly acts: readonly Act[];
  readonly product: Product;
  /** The input's part of gate g for unit j at this step. */
  readonly input: (i: readonly Expr[], g: number) => Expr;
  /** The recurrent bias of gate g, where the cell adds it by itself. */
  readonly recurrentBias: (g: number, j: Expr) => Expr;
  /** The weight of a peephole. */
  readonly peephole: (p: number, j: Expr) => Expr | null;
  /** State s of the last step, and the buffer for the next. */
  readonly old: readonly Buffer[];
  readonly next: readonly Buffer[];
};
type CellKind = {
  readonly gates: number;
  readonly states: number;
  readonly activations: readonly string[];
  /** Gates whose recurrent bias is not simply added to the input's part. */
  readonly ownBias: (a: RecurrentAttrs) => readonly number[];
  readonly step: (c: Cell) => void;
};
/** h times the columns first .. first + count of R, as [batch, count]. */
function recurrent(c: Cell, name: string, h: Buffer, firstGate: number, gates: number): Buffer {
  const out = c.b.temp(name, c.t, [c.s.batch, D.mul(D.int(gates), c.s.hidden)]);
  const first = D.mul(D.int(firstGate), c.s.hidden);
  c.product(
    "R",
    c.d,
    out,
    h,
    (i, k) => [i[0]!, k],
    (i) => (firstGate === 0 ? i[1]! : E.add(i[1]!, ofDim(first))),
    (s) => s,
  );
  return out;
}
const gateAt = (c: Cell, r: Buffer, i: readonly Expr[], g: number): Expr =>
  load(r, [i[0]!, g === 0 ? i[1]! : E.add(i[1]!, ofDim(D.mul(D.int(g), c.s.hidden)))]);

const rnnCell: CellKind = {
  gates: 1,
  states: 1,
  activations: ["Tanh"],
  ownBias: () => [],
  step: (c) => {
    const r = recurrent(c, "recurrent", c.old[0]!, 0, 1);
    c.b.map(c.next[0]!, (i) => c.acts[0]!(E.add(c.input(i, 0), gateAt(c, r, i, 0))));
  },
};
/** Gates: update z, reset r, hidden h. */
const gruCell: CellKind = {
  gates: 3,
  states: 1,
  activations: ["Sigmoid", "Tanh"],
  ownBias: (a) => (a.linearBeforeReset ? [2] : []),
  step: (c) => {
    const [f, g] = c.acts as readonly [Act, Act];
    const h = c.old[0]!;
    const keep = (i: readonly Expr[], z: Expr, n: Expr): Expr => E.add(E.mul(E.sub(1, z), n), E.mul(z, load(h, i)));
    if (c.a.linearBeforeReset) {
      const r = recurrent(c, "recurrent", h, 0, 3);
      c.b.map(c.next[0]!, (i) => {
        const [z, reset] = [0, 1].map((k) => f(E.add(c.input(i, k), gateAt(c, r, i, k)))) as [Expr, Expr];
        return keep(i, z, g(E.add(c.input(i, 2), E.mul(reset, E.add(gateAt(c, r, i, 2), c.recurrentBias(2, i[1]!))))));
      });
      return;
    }
    const r = recurrent(c, "recurrent", h, 0, 2);
    const reset = c.b.temp("reset", c.t, h.shape);
    c.b.map(reset, (i) => E.mul(f(E.add(c.input(i, 1), gateAt(c, r, i, 1))), load(h, i)));
    const n = recurrent(c, "hidden", reset, 2, 1);
    c.b.map(c.next[0]!, (i) =>
      keep(i, f(E.add(c.input(i, 0), gateAt(c, r, i, 0))), g(E.add(c.input(i, 2), load(n, i)))),
    );
  },
};
/** Gates: input i, output o, forget f, cell c. Peepholes: i, o, f. */
const lstmCell: CellKind = {
  gates: 4,
  states: 2,
  activations: ["Sigmoid", "Tanh", "Tanh"],
  ownBias: () => [],
  step: (c) => {
    const [f, g, h] = c.acts as readonly [Act, Act, Act];
    const [hidden, cell] = c.old as readonly [Buffer, Buffer];
    const r = recurrent(c, "recurrent", hidden, 0, 4);
    const gate = (i: readonly Expr[], k: number, p: number | null, state: Expr): Expr => {
      const weight = p === null ? null : c.peephole(p, i[1]!);
      const sum = E.add(c.input(i, k), gateAt(c, r, i, k));
      return weight ? E.add(sum, E.mul(weight, state)) : sum;
    };
    const [nextHidden, nextCell] = c.next as readonly [Buffer, Buffer];
    c.b.map(nextCell, (i) => {
      const old = load<Expr>(cell, i);
      const input = f(gate(i, 0, 0, old));
      const forget = c.a.inputForget ? E.sub(1, input) : f(gate(i, 2, 2, old));
      return E.add(E.mul(forget, old), E.mul(input, g(gate(i, 3, null, old))));
    });
    c.b.map(nextHidden, (i) => E.mul(f(gate(i, 1, 1, load(nextCell, i))), h(load(nextCell, i))));
  },
};

function lower(b: TeBuilder, a: RecurrentAttrs, kind: CellKind, s: Sizes, product: Product, at: Positions): void {
  const x = b.input(0);
  const t = wide(x.dtype);
  const all = actsOf(a);
  const per = kind.activations.length;
  const y = b.wants(0) ? b.output(0) : null;
  const gh = D.mul(D.int(kind.gates), s.hidden);
  const stateShape = [s.batch, s.hidden];
  for (let d = 0; d < s.directions; d++) {
    const reverse = a.direction === "reverse" || d === 1;
    const bias = (k: Expr, half: 0 | 1): Expr =>
      E.to(t, load(b.input(at.bias), [i32(d), half === 0 ? k : E.add(k, ofDim(gh))]));
    const own = kind.ownBias(a);
    const projected = b.temp(`${x.name}.projected${d}`, t, [s.steps, s.batch, gh]);
    product(
      "W",
      d,
      projected,
      x,
      (i, k) => (a.batchFirst ? [i[1]!, i[0]!, k] : [i[0]!, i[1]!, k]),
      (i) => i[2]!,
      (sum, i) => {
        if (!b.has(at.bias)) return sum;
        const input = E.add(sum, bias(i[2]!, 0));
        const both = E.add(input, bias(i[2]!, 1));
        // A gate with a recurrent bias of its own is the last.
        return own.length === 0 ? both : E.where(E.lt(i[2]!, ofDim(D.mul(D.int(own[0]!), s.hidden))), both, input);
      },
    );
    const old = Array.from({ length: kind.states }, (_, k) => b.temp(`state${k}.${d}`, t, stateShape));
    const next = Array.from({ length: kind.states }, (_, k) => b.temp(`next${k}.${d}`, t, stateShape));
    const place = (i: readonly Expr[]): Expr[] => (a.batchFirst ? [i[0]!, i32(d), i[1]!] : [i32(d), i[0]!, i[1]!]);
    old.forEach((state, k) => {
      const from = k === 0 ? at.h : at.c;
      b.map(state, (i) => (b.has(from) ? E.to(t, load(b.input(from), place(i))) : constant(t, 0)));
    });
    const counter = b.symbol("step");
    const time = reverse ? D.sub(D.sub(s.steps, D.one), counter.dim) : counter.dim;
    b.loop({ trip: s.steps, cond: null, counter: counter.id, swap: old.map((o, k) => [o, next[k]!] as const) }, () => {
      const masked = b.has(at.lengths);
      // A sequence that is over keeps its state: the cell's result goes through another buffer first.
      const made = masked ? next.map((n, k) => b.temp(`made${k}.${d}`, t, n.shape)) : next;
      kind.step({
        b,
        a,
        s,
        d,
        t,
        acts: all.slice(d * per, (d + 1) * per),
        product,
        old,
        next: made,
        input: (i, g) =>
          load(projected, [ofDim(time), i[0]!, g === 0 ? i[1]! : E.add(i[1]!, ofDim(D.mul(D.int(g), s.hidden)))]),
        recurrentBias: (g, j) =>
          b.has(at.bias) ? bias(E.add(j, ofDim(D.mul(D.int(g), s.hidden))), 1) : constant(t, 0),
        peephole: (p, j) =>
          b.has(at.peepholes)
            ? E.to(t, load(b.input(at.peepholes), [i32(d), E.add(j, ofDim(D.mul(D.int(p), s.hidden)))]))
            : null,
      });
      const running = (i: readonly Expr[]): Expr => E.lt(ofDim(time), toIndex(load(b.input(at.lengths), [i[0]!])));
      if (masked)
        next.forEach((n, k) => {
          b.map(n, (i) => E.where(running(i), load(made[k]!, i), load(old[k]!, i)));
        });
      if (!y) return;
      const [offset, shape] = a.batchFirst
        ? [
            [D.zero, time, D.int(d), D.zero],
            [s.batch, D.one, D.one, s.hidden],
          ]
        : [
            [time, D.int(d), D.zero, D.zero],
            [D.one, D.one, s.batch, s.hidden],
          ];
      const part = b.part(y, `${y.name}.step${d}`, offset, shape);
      b.map(part, (i) => {
        const unit = a.batchFirst ? [i[0]!, i[3]!] : [i[2]!, i[3]!];
        const h = E.to(y.dtype, load(next[0]!, unit));
        return masked ? E.where(running(unit), h, constant(y.dtype, 0)) : h;
      });
    });
    old.forEach((state, k) => {
      if (b.types.outputs.length <= k + 1 || !b.wants(k + 1)) return;
      const out = b.output(k + 1);
      const [offset, shape] = a.batchFirst
        ? [
            [D.zero, D.int(d), D.zero],
            [s.batch, D.one, s.hidden],
          ]
        : [
            [D.int(d), D.zero, D.zero],
            [D.one, s.batch, s.hidden],
          ];
      const part = b.part(out, `${out.name}.direction${d}`, offset, shape);
      b.map(part, (i) => E.to(out.dtype, load(state, a.batchFirst ? [i[0]!, i[2]!] : [i[1]!, i[2]!])));
    });
  }
}
/** W is [direction, gates*hidden, input] and R alike. */
function floatProduct(b: TeBuilder): Product {
  return (which, d, out, rows, at, column, result) => {
    const w = b.input(which === "W" ? 1 : 2);
    sumOfProducts(
      b,
      out,
      [w.shape[2]!],
      (i, [k]) => [E.to(out.dtype, load(rows, at(i, k!))), E.to(out.dtype, load(w, [i32(d), column(i), k!]))],
      result,
    );
  };
}

const accuracy: Accuracy = { kind: "rtol", r: 1e-4 };
function recurrentOp(type: string, since: readonly number[], kind: CellKind): OpDef<RecurrentAttrs> {
  return op<RecurrentAttrs>({
    name: type,
    onnx: [onnx(type, ...since)],
    accuracy,
    effects: "none",
    parse: parseRecurrent(kind.activations),
    infer: inferRecurrent(kind.states, 2),
    body: {
      kind: "control",
      control: (b, n) =>
        lower(b, n.attrs, kind, sizesOf(n.attrs, b.input(0).shape, b.input(2).shape, 2, bug), floatProduct(b), usual),
    },
  });
}
const bug = (m: string): never => {
  throw new Error(m);
};
export const LSTM: OpDef<RecurrentAttrs> = recurrentOp("LSTM", [1, 7, 14, 22], lstmCell);
export const GRU: OpDef<RecurrentAttrs> = recurrentOp("GRU", [1, 3, 7, 14, 22], gruCell);
export const RNN: OpDef<RecurrentAttrs> = recurrentOp("RNN", [1, 7, 14, 22], rnnCell);

/**
 * An LSTM with int8 weights [direction, input, gates*hidden]; the input, and the state at every step, are quantised to u8 by their own
 * range. Inputs 8 to 11: scales and zero points of W and R, per direction or per column.
 */
export const DynamicQuantizeLSTM: OpDef<RecurrentAttrs> = op({
  name: "DynamicQuantizeLSTM",
  onnx: [microsoft("DynamicQuantizeLSTM")],
  accuracy: { kind: "rtol", r: 1e-2 },
  effects: "none",
  parse: parseRecurrent(lstmCell.activations),
  infer: inferRecurrent(2, 1),
  body: {
    kind: "control",
    control: (b, n) =>
      lower(
        b,
        n.attrs,
        lstmCell,
        sizesOf(n.attrs, b.input(0).shape, b.input(2).shape, 1, bug),
        quantizedProduct(b),
        usual,
      ),
  },
});
function quantizedProduct(b: TeBuilder): Product {
  // The input is the same for both directions.
  const done = new Map<Buffer, { q: Buffer; scale: Buffer; zero: Buffer }>();
  const quantize = (x: Buffer): { q: Buffer; scale: Buffer; zero: Buffer } => {
    const old = done.get(x);
    if (old) return old;
    const [scale, zero, q] = [
      b.temp(`${x.name}.scale`, "f32", []),
      b.temp(`${x.name}.zero`, "u8", []),
      b.temp(`${x.name}.q`, "u8", x.shape),
    ];
    dynamicRange(b, x, scale, zero);
    b.map(q, (i) => toQuantized(E.div(load(x, i), load(scale, [])), load(zero, []), "u8"));
    const made = { q, scale, zero };
    if (x === b.input(0)) done.set(x, made);
    return made;
  };
  return (which, d, out, rows, at, column, result) => {
    const [w, wScale, wZero] = [
      b.input(which === "W" ? 1 : 2),
      b.input(which === "W" ? 8 : 10),
      b.input(which === "W" ? 9 : 11),
    ];
    const { q, scale, zero } = quantize(rows);
    const parameter = (p: Buffer, col: Expr): Expr =>
      load(
        p,
        p.shape.map((e, k) => (k === 0 ? (e === D.one ? i32(0) : i32(d)) : e === D.one ? i32(0) : col)),
      );
    sumOfProducts(
      b,
      out,
      [must(w.shape[1], "the input's extent")],
      (i, [k]) => [
        E.sub(E.to("i32", load(q, at(i, k!))), E.to("i32", load(zero, []))),
        E.sub(E.to("i32", load(w, [i32(d), k!, column(i)])), E.to("i32", parameter(wZero, column(i)))),
      ],
      (s, i) => result(E.mul(E.to("f32", s), E.mul(load(scale, []), parameter(wScale, column(i)))), i),
      "i32",
    );
  };
}

export const rnnOps: readonly OpDef<Attrs>[] = [
  LSTM,
  GRU,
  RNN,
  DynamicQuantizeLSTM,
] as unknown as readonly OpDef<Attrs>[];
