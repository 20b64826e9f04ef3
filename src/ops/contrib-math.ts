// onnxruntime's operators (com.microsoft) beside products and attention: Inverse, CDist, CropAndResize.
import type { Dim } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { constant, type Expr, load, ofDim } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import { type OpDef, op } from "../ir/opdef.ts";
import { type DType, tensorType } from "../ir/types.ts";
import { noAttrs, sameType, shapeText, tensor, wide } from "./common.ts";
import { knownInts, loweredInts, toIndex } from "./ints.ts";
import { callKernel, seq, store, when } from "./kernel.ts";
import { microsoft } from "./quant.ts";
import { sumInto } from "./reduce.ts";

/** Inverses of the matrices in the last two axes, by Gauss-Jordan elimination with the largest pivot of each column. */
export const Inverse: OpDef<Record<string, never>> = op({
  name: "Inverse",
  onnx: [microsoft("Inverse")],
  accuracy: { kind: "rtol", r: 1e-4 },
  effects: "none",
  parse: noAttrs,
  infer: (x, _a, ctx) => {
    const t = tensor(x, 0, ctx);
    const [p, q] = t.shape.slice(-2);
    if (t.shape.length < 2 || (p!.kind === "int" && q!.kind === "int" && p !== q))
      ctx.fail(`the inverse of ${shapeText(t.shape)}`);
    return [tensorType(t.dtype, t.shape)];
  },
  body: {
    kind: "loops",
    loops: (b) => {
      const [x, out] = [b.input(0), b.output(0)];
      const t = wide(x.dtype);
      const size = x.shape[x.shape.length - 1]!;
      // The matrix, and beside it what becomes its inverse.
      const work = b.temp(`${x.name}.work`, t, [...x.shape.slice(0, -1), D.mul(D.int(2), size)]);
      callKernel(b, "inverse", [x, work, out], (k, [px, pw, po]) => {
        const n = k.dim(size);
        const width = D.mul(D.int(2), size);
        return k.nest(
          x.shape.slice(0, -2),
          (batch) => {
            const at = (i: Expr, j: Expr): Expr => load(pw!, [...batch, i, j]);
            const put = (i: Expr, j: Expr, v: Expr) => store(pw!, [...batch, i, j], v);
            const identity = (i: Expr, j: Expr): Expr => E.where(E.eq(i, j), constant(t, 1), constant(t, 0));
            const pivoted = (c: Expr) =>
              k.variable(c, (pivot) =>
                seq([
                  k.loop(E.sub(n, c), (r) =>
                    k.let(E.add(c, r), (i) =>
                      when(E.lt(E.unary("abs", at(pivot.get, c)), E.unary("abs", at(i, c))), pivot.set(i)),
                    ),
                  ),
                  when(
                    E.ne(pivot.get, c),
                    k.loop(width, (j) =>
                      k.let(at(c, j), (held) => seq([put(c, j, at(pivot.get, j)), put(pivot.get, j, held)])),
                    ),
                  ),
                ]),
              );
            return seq([
              k.nest([size, size], ([i, j]) =>
                seq([put(i!, j!, E.to(t, load(px!, [...batch, i!, j!]))), put(i!, E.add(n, j!), identity(i!, j!))]),
              ),
              k.loop(size, (c) =>
                seq([
                  pivoted(c),
                  k.let(E.unary("recip", at(c, c)), (f) => k.loop(width, (j) => put(c, j, E.mul(at(c, j), f)))),
                  k.loop(size, (i) =>
                    when(
                      E.ne(i, c),
                      k.let(at(i, c), (f) => k.loop(width, (j) => put(i, j, E.sub(at(i, j), E.mul(f, at(c, j)))))),
                    ),
                  ),
                ]),
              ),
              k.nest([size, size], ([i, j]) => store(po!, [...batch, i!, j!], E.to(out.dtype, at(i!, E.add(n, j!))))),
            ]);
          },
          "parallel",
        );
      });
    },
  },
});

/** Distances between the rows of A and those of B. */
export const CDist: OpDef<{ root: boolean }> = op({
  name: "CDist",
  onnx: [microsoft("CDist")],
  accuracy: { kind: "rtol", r: 1e-5 },
  effects: "none",
  parse: (n) => {
    const metric = n.string("metric", "sqeuclidean");
    if (metric !== "sqeuclidean" && metric !== "euclidean") n.fail(`metric "${metric}" is not supported`);
    return { root: metric === "euclidean" };
  },
  infer: (x, _a, ctx) => {
    const [p, q] = [tensor(x, 0, ctx), tensor(x, 1, ctx)];
    sameType(p, q, ctx);
    if (p.shape.length !== 2 || q.shape.length !== 2)
      ctx.fail(`distances of ${shapeText(p.shape)} and ${shapeText(q.shape)}`);
    return [tensorType(p.dtype, [p.shape[0]!, q.shape[0]!])];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const [p, q] = [b.input(0), b.input(1)];
      sumInto(
        b,
        b.output(0),
        [p.shape[1]!],
        ([i, j], [f]) => {
          const d = E.sub(load(p, [i!, f!]), load(q, [j!, f!]));
          return E.mul(d, d);
        },
        (s) => (n.attrs.root ? E.unary("sqrt", s) : s),
      );
    },
  },
});

/**
 * Boxes of images, each resized to crop_size. Inputs: images [N, C, H, W], boxes [R, (y1, x1, y2, x2)] of which 0 and 1 are the centres of the
 * outermost pixels, the image of each box, crop_size (known at compile time). Outside of the image lies extrapolation_value.
 */
export const CropAndResize: OpDef<{ nearest: boolean; outside: number }> = op({
  name: "CropAndResize",
  onnx: [microsoft("CropAndResize")],
  accuracy: { kind: "rtol", r: 1e-5 },
  effects: "none",
  parse: (n) => {
    const mode = n.string("mode", "bilinear");
    if (mode !== "bilinear" && mode !== "nearest") n.fail(`mode "${mode}" is unknown`);
    return { nearest: mode === "nearest", outside: n.float("extrapolation_value", 0) };
  },
  infer: (x, _a, ctx) => {
    const [t, boxes] = [tensor(x, 0, ctx), tensor(x, 1, ctx)];
    const size = knownInts(x, 3, ctx, "crop_size");
    if (t.shape.length !== 4 || size?.length !== 2) return ctx.fail(`crops of ${shapeText(t.shape)}`);
    return [tensorType(t.dtype, [boxes.shape[0]!, t.shape[1]!, ...size.map(D.int)])];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const [x, boxes, images, out] = [b.input(0), b.input(1), b.input(2), b.output(0)];
      const t = wide(x.dtype);
      const size = loweredInts(b, 3)!;
      const outside = constant(t, n.attrs.outside);
      b.map(out, ([r, c, i, j]) => {
        const image = toIndex(load(images, [r!]));
        const y = placed(t, x.shape[2]!, size[0]!, i!, (k) => load(boxes, [r!, E.i32(k ? 2 : 0)]));
        const z = placed(t, x.shape[3]!, size[1]!, j!, (k) => load(boxes, [r!, E.i32(k ? 3 : 1)]));
        const pixel = (p: Expr, q: Expr): Expr => E.to(t, load(x, [image, c!, y.index(p), z.index(q)]));
        const [top, left] = [E.unary("floor", y.at), E.unary("floor", z.at)];
        const mix = (p: Expr, q: Expr, by: Expr): Expr => E.add(p, E.mul(E.sub(q, p), by));
        const [down, right] = [E.unary("ceil", y.at), E.unary("ceil", z.at)];
        const [fy, fx] = [E.sub(y.at, top), E.sub(z.at, left)];
        // A place half-way between two pixels takes the one that is further from 0.
        const round = (v: Expr): Expr => E.unary("floor", E.add(v, 0.5));
        const value = n.attrs.nearest
          ? pixel(round(y.at), round(z.at))
          : mix(mix(pixel(top, left), pixel(top, right), fx), mix(pixel(down, left), pixel(down, right), fx), fy);
        return E.to(out.dtype, E.where(E.and(y.inside, z.inside), value, outside));
      });
    },
  },
});
/** Where sample i of `count` lies along an axis of an image, between the ends of a box. */
function placed(
  t: DType,
  extent: Dim,
  count: number,
  i: Expr,
  end: (last: boolean) => Expr,
): { readonly at: Expr; readonly inside: Expr; readonly index: (v: Expr) => Expr } {
  const last = E.to(t, E.sub(ofDim(extent), 1));
  const [from, to] = [E.to(t, end(false)), E.to(t, end(true))];
  const step = count > 1 ? E.div(E.mul(E.sub(to, from), last), count - 1) : null;
  const at = step ? E.add(E.mul(from, last), E.mul(E.to(t, i), step)) : E.mul(E.mul(E.add(from, to), 0.5), last);
  const index = (v: Expr): Expr => E.to("i32", E.max(E.min(v, last), 0));
  return { at, inside: E.and(E.le(0, at), E.le(at, last)), index };
}

export const contribMathOps: readonly OpDef<Attrs>[] = [
  Inverse,
  CDist,
  CropAndResize,
] as unknown as readonly OpDef<Attrs>[];
