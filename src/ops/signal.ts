// Fourier transforms as products with tables of sines, and windows. A table depends on sizes alone and folds where they are known.

import type { Dim } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { constant, type Expr, i32, load, ofDim } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import { type Accuracy, type InferCtx, type OpDef, op, type RawNode, type TeBuilder } from "../ir/opdef.ts";
import type { Buffer } from "../ir/storage.ts";
import { type DType, tensorOf, tensorType } from "../ir/types.ts";
import { normalAxis, onnx, shapeText, tensor, wide } from "./common.ts";
import { sumOfProducts } from "./contract.ts";
import { bindExtents, dimAt, intAt, knownInts, loweredInts, numberAt } from "./ints.ts";

const accuracy: Accuracy = { kind: "rtol", r: 1e-4 };
type Transform = { readonly inverse: boolean; readonly onesided: boolean };
/** Bins of a one-sided spectrum of a signal of this length. */
const half = (length: Dim): Dim => D.add(D.floordiv(length, D.int(2)), D.one);

/**
 * Cosines (row 0) and sines (row 1) of 2 pi m / length. Sines and cosines are taken up to pi/4 only and mirrored, so that a quarter turn
 * is exact.
 */
function circleTable(b: TeBuilder, t: DType, length: Dim): Buffer {
  const table = b.temp("circle", t, [D.int(2), length]);
  const size = ofDim(length);
  b.map(table, ([f, m]) => {
    // A sine is the cosine a quarter turn before: 4m = quadrant * length + rest.
    const turned = E.add(E.mul(m!, 4), E.where(E.eq(f!, 0), i32(0), E.mul(size, 3)));
    const quadrant = E.floormod(E.floordiv(turned, size), 4);
    const rest = E.floormod(turned, size);
    // The cosine in the first quadrant at `rest`, in the others mirrored.
    const at = E.where(E.eq(E.floormod(quadrant, 2), 0), rest, E.sub(size, rest));
    const upper = E.lt(size, E.mul(at, 2));
    const angle = E.mul(E.div(E.to(t, E.where(upper, E.sub(size, at), at)), E.to(t, size)), Math.PI / 2);
    const value = E.where(upper, E.unary("sin", angle), E.unary("cos", angle));
    return E.where(E.or(E.eq(quadrant, 1), E.eq(quadrant, 2)), E.neg(value), value);
  });
  return table;
}

/**
 * The factor of component j of input n for component c of output k, [n, j, k, c]: exp(-2 pi i n k / length), conjugate and scaled for the
 * inverse. A one-sided inverse counts the bins that have a mirror image twice, and gives the real part alone.
 */
function fourierTable(
  b: TeBuilder,
  t: DType,
  inputs: Dim,
  parts: Dim,
  outputs: Dim,
  components: Dim,
  length: Dim,
  how: Transform,
  window: ((n: Expr) => Expr) | null,
): Buffer {
  const table = b.temp("fourier", t, [inputs, parts, outputs, components]);
  const size = ofDim(length);
  const circle = circleTable(b, t, length);
  b.map(table, ([n, j, k, c]) => {
    const [cos, sin] = [0, 1].map((f) => load<Expr>(circle, [i32(f), E.floormod(E.mul(n!, k!), size)])) as [Expr, Expr];
    // out = (re + i im)(cos + i s sin) with s = -1 forward.
    const cross = E.where(E.eq(j!, 0), how.inverse ? sin : E.neg(sin), how.inverse ? E.neg(sin) : sin);
    let factor = E.where(E.eq(j!, c!), cos, cross);
    if (how.inverse) {
      factor = E.div(factor, E.to(t, size));
      if (how.onesided) factor = E.where(E.or(E.eq(n!, 0), E.eq(E.mul(n!, 2), size)), factor, E.mul(factor, 2));
    }
    return window ? E.mul(factor, window(n!)) : factor;
  });
  return table;
}

type DftAttrs = Transform & { readonly axis?: number };
/** axis: an attribute before opset 20, then an input. The last axis holds real and imaginary parts. */
export const DFT: OpDef<DftAttrs> = op<DftAttrs>({
  name: "DFT",
  onnx: [onnx("DFT", 17, 20)],
  accuracy,
  effects: "none",
  parse: (n) => ({
    inverse: n.int("inverse", 0) !== 0,
    onesided: n.int("onesided", 0) !== 0,
    ...(n.opset < 20 ? { axis: n.int("axis", 1) } : {}),
  }),
  infer: (x, a, ctx) => {
    const t = tensor(x, 0, ctx);
    const axis = normalAxis(a.axis ?? knownInts(x, 2, ctx, "the axis of a DFT")?.[0] ?? -2, t.shape.length, ctx);
    const parts = t.shape[t.shape.length - 1];
    if (axis === t.shape.length - 1 || parts?.kind !== "int" || parts.value > 2)
      ctx.fail(`a DFT of ${shapeText(t.shape)} along axis ${axis}`);
    const length = x[1] ? (dimAt(ctx.known(1), 0) ?? ctx.fresh("dft", 0, null)) : defaultLength(t.shape[axis]!, a);
    const real = a.inverse && a.onesided;
    const bins = a.onesided && !a.inverse ? half(length) : length;
    return [
      tensorType(
        t.dtype,
        t.shape.map((d, k) => (k === axis ? bins : k === t.shape.length - 1 ? D.int(real ? 1 : 2) : d)),
      ),
    ];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const a = n.attrs;
      const [x, out] = [b.input(0), b.output(0)];
      const rank = x.shape.length;
      const given = a.axis ?? loweredInts(b, 2)?.[0] ?? -2;
      const axis = given < 0 ? given + rank : given;
      const t = wide(x.dtype);
      let length = b.has(1) ? dimAt(b.known(1), 0) : defaultLength(x.shape[axis]!, a);
      if (!length) {
        // Only in the run: a cell holds it, and the output's own symbol is bound too.
        const cell = b.temp("length", "i32", [D.one]);
        b.map(cell, () => intAt(b, 1));
        const s = b.symbol("dft");
        b.dim(s.id, { buffer: cell, index: D.zero });
        length = s.dim;
      }
      const total = length;
      bindExtents(
        b,
        out.shape,
        out.shape.map((_, k) => (k === axis && b.has(1) ? (a.onesided && !a.inverse ? half(total) : total) : null)),
      );
      const inputs = D.min(x.shape[axis]!, a.inverse && a.onesided ? half(total) : total);
      const parts = x.shape[rank - 1]!;
      const table = fourierTable(b, t, inputs, parts, out.shape[axis]!, out.shape[rank - 1]!, total, a, null);
      sumOfProducts(
        b,
        out,
        [inputs, parts],
        (i, [m, j]) => [
          E.to(
            t,
            load(
              x,
              i.map((v, k) => (k === axis ? m! : k === rank - 1 ? j! : v)),
            ),
          ),
          load(table, [m!, j!, i[axis]!, i[rank - 1]!]),
        ],
        (s) => E.to(out.dtype, s),
        t,
      );
    },
  },
});
function defaultLength(d: Dim, a: Transform): Dim {
  return a.inverse && a.onesided ? D.mul(D.int(2), D.sub(d, D.one)) : d;
}

/** Inputs: signal [batch, length, 1 or 2], step, window, frame length. Each frame is a product with the windowed table. */
export const STFT: OpDef<{ onesided: boolean }> = op({
  name: "STFT",
  onnx: [onnx("STFT", 17)],
  accuracy,
  effects: "none",
  parse: (n) => ({ onesided: n.int("onesided", 1) !== 0 }),
  infer: (x, a, ctx) => {
    const t = tensor(x, 0, ctx);
    if (t.shape.length < 2 || t.shape.length > 3) ctx.fail(`an STFT of ${shapeText(t.shape)}`);
    const frame = frameLength(
      x[2]?.kind === "tensor" ? x[2].tensor.shape : null,
      x[3] ? dimAt(ctx.known(3), 0) : null,
      t.shape[1]!,
    );
    const step = dimAt(ctx.known(1), 0);
    if (!frame || !step) return ctx.fail("the frame's length and step must be known at compile time");
    return [
      tensorType(t.dtype, [t.shape[0]!, frames(t.shape[1]!, frame, step), a.onesided ? half(frame) : frame, D.int(2)]),
    ];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const [x, out] = [b.input(0), b.output(0)];
      const t = wide(x.dtype);
      const frame = frameLength(
        b.has(2) ? b.input(2).shape : null,
        b.has(3) ? dimAt(b.known(3), 0) : null,
        x.shape[1]!,
      )!;
      const step = ofDim(dimAt(b.known(1), 0)!);
      const complex = x.shape.length === 3;
      const parts = complex ? x.shape[2]! : D.one;
      const window = b.has(2) ? (m: Expr): Expr => E.to(t, load(b.input(2), [m])) : null;
      const table = fourierTable(
        b,
        t,
        frame,
        parts,
        out.shape[2]!,
        D.int(2),
        frame,
        { inverse: false, onesided: n.attrs.onesided },
        window,
      );
      sumOfProducts(
        b,
        out,
        [frame, parts],
        ([batch, f, k, c], [m, j]) => {
          const at = E.add(E.mul(f!, step), m!);
          return [E.to(t, load(x, complex ? [batch!, at, j!] : [batch!, at])), load(table, [m!, j!, k!, c!])];
        },
        (s) => E.to(out.dtype, s),
        t,
      );
    },
  },
});
function frameLength(window: readonly Dim[] | null, given: Dim | null, signal: Dim): Dim | null {
  return given ?? (window ? window[0]! : signal);
}
function frames(signal: Dim, frame: Dim, step: Dim): Dim {
  return D.add(D.floordiv(D.sub(signal, frame), step), D.one);
}

type WindowAttrs = { readonly periodic: boolean; readonly to: string };
/** A window of cosines: the sum of c[k] * cos(2 pi k n / N), N one less for a symmetric window. */
function windowOp(type: string, c: readonly number[]): OpDef<WindowAttrs> {
  return op<WindowAttrs>({
    name: type,
    onnx: [onnx(type, 17)],
    accuracy: { kind: "rtol", r: 1e-5 },
    effects: "none",
    parse: (n) => ({ periodic: n.int("periodic", 1) !== 0, to: n.dtype("output_datatype", "f32") }),
    infer: (_x, a, ctx) => [tensorType(a.to as DType, [dimAt(ctx.known(0), 0) ?? ctx.fresh("window", 0, null)])],
    body: {
      kind: "compute",
      compute: (b, n) => {
        const out = b.output(0);
        const t = wide(out.dtype) === "f64" ? "f64" : "f32";
        bindExtents(b, out.shape, [intAt(b, 0)]);
        const period = ofDim(n.attrs.periodic ? out.shape[0]! : D.sub(out.shape[0]!, D.one));
        b.map(out, ([i]) => {
          const turn = (k: number): Expr =>
            E.mul(E.div(E.to(t, E.floormod(E.mul(i!, k), period)), E.to(t, period)), 2 * Math.PI);
          const terms = c.slice(1).map((f, k) => E.mul(E.unary("cos", turn(k + 1)), f));
          return E.to(
            out.dtype,
            terms.reduce((p, q) => E.add(p, q), constant(t, c[0]!)),
          );
        });
      },
    },
  });
}

/** Triangular filters on the mel scale: a constant, made here from its five scalars. */
export const MelWeightMatrix: OpDef<{ to: string }> = op({
  name: "MelWeightMatrix",
  onnx: [onnx("MelWeightMatrix", 17)],
  accuracy: { kind: "rtol", r: 1e-5 },
  effects: "none",
  parse: (n: RawNode) => ({ to: n.dtype("output_datatype", "f32") as string }),
  infer: (_x, a, ctx: InferCtx) => {
    const [bands, length] =
      melParameters((k) => numberAt(ctx.known(k), 0)) ??
      ctx.fail("the parameters of a mel matrix must be known at compile time");
    return [tensorType(a.to as DType, [D.int(Math.floor(length / 2) + 1), D.int(bands)])];
  },
  body: {
    kind: "compute",
    compute: (b) => {
      const out = b.output(0);
      const p = melParameters((k) => numberAt(b.known(k), 0))!;
      const weights = melWeights(...p);
      const table = b.constant("mel", tensorOf("f32", [weights.length, p[0]], weights.flat()));
      b.map(out, (i) => E.to(out.dtype, load(table, i)));
    },
  },
});
type MelParameters = readonly [bands: number, length: number, rate: number, low: number, high: number];
function melParameters(at: (k: number) => number | null): MelParameters | null {
  const p = [0, 1, 2, 3, 4].map(at);
  return p.every((v) => v !== null) ? (p as unknown as MelParameters) : null;
}
/** Rows are bins of a one-sided spectrum, columns bands: each rises to its center and falls to the next one's. */
function melWeights(bands: number, length: number, rate: number, low: number, high: number): number[][] {
  const mel = (hz: number): number => (2595 * Math.log1p(hz / 700)) / Math.LN10;
  const hertz = (m: number): number => 700 * Math.expm1((m / 2595) * Math.LN10);
  const step = (mel(high) - mel(low)) / (bands + 2);
  const bin = (k: number): number => Math.floor(((length + 1) * hertz(mel(low) + k * step)) / rate);
  const rows = Array.from({ length: Math.floor(length / 2) + 1 }, () => new Array<number>(bands).fill(0));
  for (let k = 0; k < bands; k++) {
    const [from, center, to] = [bin(k), bin(k + 1), bin(k + 2)];
    const put = (j: number, x: number): void => {
      if (rows[j]) rows[j][k] = x;
    };
    if (from === center) put(center, 1);
    for (let j = from; j <= center && from < center; j++) put(j, (j - from) / (center - from));
    for (let j = center; j < to; j++) put(j, (to - j) / (to - center));
  }
  return rows;
}

export const signalOps: readonly OpDef<Attrs>[] = [
  DFT,
  STFT,
  MelWeightMatrix,
  windowOp("HannWindow", [0.5, -0.5]),
  windowOp("HammingWindow", [25 / 46, -21 / 46]),
  windowOp("BlackmanWindow", [0.42, -0.5, 0.08]),
] as unknown as readonly OpDef<Attrs>[];
