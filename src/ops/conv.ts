// Convolutions: Conv, ConvInteger, ConvTranspose.

import type { Dim } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { constant, type Expr, load, ofDim } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import { type InferCtx, type OpDef, op, type RawNode, type TeBuilder } from "../ir/opdef.ts";
import type { Buffer } from "../ir/storage.ts";
import { type DType, type TensorType, tensorType } from "../ir/types.ts";
import { mustBeZero, onnx, sameExtent, sameType, shapeText, tensor } from "./common.ts";
import { contraction, sumOfProducts, zeroPoint } from "./contract.ts";
import { padded, padInto, parseWindow, type WindowAttrs, type WindowAxis, windowAxes, windowIndex } from "./window.ts";

type ConvAttrs = WindowAttrs & { readonly group: number };
export const parseConv = (n: RawNode): ConvAttrs => ({ ...parseWindow(n), group: n.int("group", 1) });

/** Checks X [N, C, spatial...] against W [M, C/group, kernel...] and gives the output's shape. */
export function convShape(x: TensorType, w: TensorType, a: ConvAttrs, ctx: InferCtx): readonly Dim[] {
  if (x.shape.length < 3 || w.shape.length !== x.shape.length)
    ctx.fail(`a convolution of ${shapeText(x.shape)} with weights ${shapeText(w.shape)}`);
  const [c, m, cg] = [x.shape[1]!, w.shape[0]!, w.shape[1]!];
  const perGroup = `${c.key} channels do not fit weights of ${cg.key} channels in ${a.group} groups`;
  sameExtent(c, D.mul(cg, D.int(a.group)), perGroup, ctx);
  mustBeZero(D.mod(m, D.int(a.group)), `${m.key} output channels do not divide into ${a.group} groups`, ctx);
  const axes = convAxes(a, x.shape, w.shape, ctx.fail);
  return [x.shape[0]!, m, ...axes.map((s) => s.out)];
}
export function convAxes(
  a: ConvAttrs,
  x: readonly Dim[],
  w: readonly Dim[],
  fail: (m: string) => never,
): readonly WindowAxis[] {
  return windowAxes(a, x.slice(2), w.slice(2), fail);
}
const bug = (m: string): never => {
  throw new Error(m);
};

/** The sum of a convolution, over a padded input; factors may be cast and shifted by `f`. */
export function convolve(
  b: TeBuilder,
  x: Buffer,
  w: Buffer,
  out: Buffer,
  axes: readonly WindowAxis[],
  group: number,
  f: (x: Expr, w: Expr, m: Expr) => readonly [Expr, Expr],
  result?: (s: Expr, i: readonly Expr[]) => Expr,
  dtype: DType = out.dtype,
): void {
  const cg = w.shape[1]!;
  const perGroup = D.floordiv(w.shape[0]!, D.int(group));
  sumOfProducts(
    b,
    out,
    [cg, ...w.shape.slice(2)],
    (i, [c, ...k]) => {
      const [n, m, ...s] = i;
      // The channel of group g is g*cg + c; output channel m is in group floordiv(m, M/group).
      const g = group === 1 ? null : perGroup === D.one ? m! : E.floordiv(m!, ofDim(perGroup));
      const channel = g === null ? c! : cg === D.one ? g : E.add(E.mul(g, ofDim(cg)), c!);
      return f(load(x, [n!, channel, ...windowIndex(axes, s, k)]), load(w, [m!, c!, ...k]), m!);
    },
    result,
    dtype,
  );
}

export const Conv: OpDef<ConvAttrs> = op({
  name: "Conv",
  onnx: [onnx("Conv", 1, 11, 22)],
  accuracy: contraction,
  effects: "none",
  parse: parseConv,
  infer: (x, a, ctx) => {
    const [p, w] = [tensor(x, 0, ctx), tensor(x, 1, ctx)];
    sameType(p, w, ctx);
    return [tensorType(p.dtype, convShape(p, w, a, ctx))];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const [x, w, out] = [b.input(0), b.input(1), b.output(0)];
      const axes = convAxes(n.attrs, x.shape, w.shape, bug);
      const xp = padded(b, x, axes, constant(x.dtype, 0));
      convolve(
        b,
        xp,
        w,
        out,
        axes,
        n.attrs.group,
        (p, q) => [p, q],
        b.has(2) ? (s, i) => E.add(s, load(b.input(2), [i[1]!])) : undefined,
      );
    },
  },
});

export const ConvInteger: OpDef<ConvAttrs> = op({
  name: "ConvInteger",
  onnx: [onnx("ConvInteger", 10)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: parseConv,
  infer: (x, a, ctx) => [tensorType("i32", convShape(tensor(x, 0, ctx), tensor(x, 1, ctx), a, ctx))],
  body: {
    kind: "compute",
    compute: (b, n) => {
      const [x, w, out] = [b.input(0), b.input(1), b.output(0)];
      const axes = convAxes(n.attrs, x.shape, w.shape, bug);
      // Padding is real zero: the zero point. Subtracting it first makes it plain 0.
      const shifted = b.temp(`${x.name}.shifted`, "i32", x.shape);
      b.map(shifted, (i) => E.sub(E.to("i32", load(x, i)), zeroPoint(b, 2, E.i32(0))));
      const xp = padded(b, shifted, axes, constant("i32", 0));
      convolve(b, xp, w, out, axes, n.attrs.group, (p, q, m) => [p, E.sub(E.to("i32", q), zeroPoint(b, 3, m))]);
    },
  },
});

type TransposeAttrs = ConvAttrs & {
  readonly outputPadding: readonly number[];
  readonly outputShape: readonly number[];
};
/** Of each spatial axis: stride, dilation, padding before and the output's extent, by ONNX's rules. */
function transposeAxes(
  a: TransposeAttrs,
  x: readonly Dim[],
  w: readonly Dim[],
): readonly { stride: number; dilation: number; before: Dim; out: Dim; kernel: Dim; input: Dim }[] {
  const rank = x.length - 2;
  return x.slice(2).map((size, k) => {
    const stride = a.strides[k] ?? 1;
    const dilation = a.dilations[k] ?? 1;
    const kernel = w[k + 2]!;
    const extra = D.int(a.outputPadding[k] ?? 0);
    const full = D.add(
      D.mul(D.int(stride), D.sub(size, D.one)),
      extra,
      D.mul(D.int(dilation), D.sub(kernel, D.one)),
      D.one,
    );
    const wanted =
      a.outputShape.length > 0
        ? D.int(a.outputShape[a.outputShape.length - rank + k]!)
        : a.autoPad === "SAME_UPPER" || a.autoPad === "SAME_LOWER"
          ? D.mul(size, D.int(stride))
          : null;
    if (wanted !== null) {
      const total = D.max(D.zero, D.sub(full, wanted));
      const half = D.floordiv(total, D.int(2));
      return {
        stride,
        dilation,
        before: a.autoPad === "SAME_UPPER" ? half : D.sub(total, half),
        out: wanted,
        kernel,
        input: size,
      };
    }
    const before = D.int(a.autoPad === "VALID" ? 0 : (a.pads[k] ?? 0));
    const after = D.int(a.autoPad === "VALID" ? 0 : (a.pads[k + rank] ?? 0));
    return { stride, dilation, before, out: D.sub(D.sub(full, before), after), kernel, input: size };
  });
}
export const ConvTranspose: OpDef<TransposeAttrs> = op({
  name: "ConvTranspose",
  onnx: [onnx("ConvTranspose", 1, 11, 22)],
  accuracy: contraction,
  effects: "none",
  parse: (n) => ({
    ...parseConv(n),
    outputPadding: n.ints("output_padding") ?? [],
    outputShape: n.ints("output_shape") ?? [],
  }),
  infer: (x, a, ctx) => {
    const [p, w] = [tensor(x, 0, ctx), tensor(x, 1, ctx)];
    sameType(p, w, ctx);
    if (p.shape.length < 3 || w.shape.length !== p.shape.length)
      ctx.fail(`a transposed convolution of ${shapeText(p.shape)} with weights ${shapeText(w.shape)}`);
    if (w.shape.slice(2).some((d) => d.kind !== "int"))
      ctx.fail("the kernel shape of a transposed convolution must be known at compile time");
    return [
      tensorType(p.dtype, [
        p.shape[0]!,
        D.mul(w.shape[1]!, D.int(a.group)),
        ...transposeAxes(a, p.shape, w.shape).map((s) => s.out),
      ]),
    ];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const [x, w, out] = [b.input(0), b.input(1), b.output(0)];
      const { group } = n.attrs;
      const axes = transposeAxes(n.attrs, x.shape, w.shape);
      const rank = axes.length;
      const cg = D.floordiv(x.shape[1]!, D.int(group));
      const mg = w.shape[1]!;
      const bias = b.has(2) ? b.input(2) : null;
      const finish = (s: Expr, m: Expr): Expr => (bias ? E.add(s, load(bias, [m])) : s);
      // Output o takes input (o + before - k*dilation) / stride where that is whole. Each phase (o + before) mod stride uses its own
      // taps k, so the output is stride^rank interleaved plain convolutions, each over an input padded by what its taps reach.
      const knownKernel = axes.every((a) => a.kernel.kind === "int");
      const phases = knownKernel ? axes.map((a) => Array.from({ length: a.stride }, (_, p) => p)) : [];
      const combos = phases.reduce<number[][]>((acc, ps) => acc.flatMap((c) => ps.map((p) => [...c, p])), [[]]);
      const taps = axes.map((a) =>
        Array.from({ length: a.stride }, (_, p) => {
          const all = Array.from({ length: D.known(a.kernel) ?? 0 }, (__, k) => k).filter(
            (k) => (p - k * a.dilation) % a.stride === 0,
          );
          return all;
        }),
      );
      // Output positions of phase p: o = p - before (mod stride); the first o >= 0 of it, and input index (o + before - k*d)/stride.
      const reach = axes.map((a) =>
        Math.max(
          0,
          ...Array.from({ length: D.known(a.kernel) ?? 1 }, (_, k) => Math.ceil((k * a.dilation) / a.stride)),
        ),
      );
      const shape = x.shape.map((d, k) =>
        k < 2
          ? d
          : D.add(
              d,
              D.int(2 * reach[k - 2]! + 1),
              D.max(
                D.zero,
                D.sub(D.floordiv(D.add(axes[k - 2]!.out, axes[k - 2]!.before), D.int(axes[k - 2]!.stride)), d),
              ),
            ),
      );
      const xp = b.temp(`${x.name}.pad`, x.dtype, shape);
      padInto(
        b,
        x,
        xp,
        x.shape.map((_, k) => (k < 2 ? D.zero : D.int(reach[k - 2]!))),
        constant(x.dtype, 0),
      );
      for (const combo of combos) {
        const first = axes.map((a, k) => D.mod(D.sub(D.int(combo[k]!), a.before), D.int(a.stride)));
        const count = axes.map((a, k) => D.ceildiv(D.sub(a.out, first[k]!), D.int(a.stride)));
        const part = b.part(
          out,
          `${out.name}.phase${combo.join("_")}`,
          [D.zero, D.zero, ...first],
          [out.shape[0]!, out.shape[1]!, ...count],
          [D.one, D.one, ...axes.map((a) => D.int(a.stride))],
        );
        const own = combo.map((p, k) => taps[k]![p]!);
        if (own.some((t) => t.length === 0)) {
          b.map(part, (i) => finish(constant(x.dtype, 0), i[1]!));
          continue;
        }
        // Taps of a phase form an arithmetic progression k = k0 + t*step.
        const k0 = own.map((t) => t[0]!);
        const step = own.map((t, k) => (t.length > 1 ? t[1]! - t[0]! : axes[k]!.stride));
        sumOfProducts(
          b,
          part,
          [cg, ...own.map((t) => D.int(t.length))],
          (i, [c, ...t]) => {
            const [nn, m, ...s] = i;
            const g = group === 1 ? null : mg === D.one ? m! : E.floordiv(m!, ofDim(mg));
            const channel = g === null ? c! : E.add(E.mul(g, ofDim(cg)), c!);
            const inGroup = group === 1 ? m! : mg === D.one ? E.i32(0) : E.floormod(m!, ofDim(mg));
            const at = axes.map((a, k) => {
              // (o + before - k*d)/stride with o = first + stride*s: whole by the choice of the phase.
              const base = ofDim(
                D.add(
                  D.floordiv(D.sub(D.add(first[k]!, a.before), D.int(k0[k]! * a.dilation)), D.int(a.stride)),
                  D.int(reach[k]!),
                ),
              );
              return E.sub(E.add(s[k]!, base), E.mul(t[k]!, (step[k]! * a.dilation) / a.stride));
            });
            return [
              load(xp, [nn!, channel, ...at]),
              load(w, [channel, inGroup, ...t.map((v, k) => E.add(E.mul(v, step[k]!), k0[k]!))]),
            ];
          },
          (s, i) => finish(s, i[1]!),
        );
      }
      if (rank === 0 || !knownKernel) bug("a transposed convolution needs a constant kernel shape");
    },
  },
});

export const convOps: readonly OpDef<Attrs>[] = [
  Conv,
  ConvInteger,
  ConvTranspose,
] as unknown as readonly OpDef<Attrs>[];
