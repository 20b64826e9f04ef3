// Sampling of images at places that are values: GridSample, AffineGrid, RoiAlign, MaxRoiPool, MaxUnpool, DeformConv.

import type { Dim } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { constant, type Expr, i32, load, ofDim } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import { type OpDef, op } from "../ir/opdef.ts";
import type { Buffer } from "../ir/storage.ts";
import { tensorType } from "../ir/types.ts";
import { intsOr, onnx, sameType, shapeText, tensor, wide } from "./common.ts";
import { sumOfProducts } from "./contract.ts";
import { bindExtents, dimAt, intAt, toIndex } from "./ints.ts";
import { callKernel, seq, store, unravel, when } from "./kernel.ts";
import { sumInto } from "./reduce.ts";
import { cubic } from "./resize.ts";
import { parseWindow, type WindowAttrs, windowAxes } from "./window.ts";

type GridAttrs = { readonly mode: string; readonly padding: string; readonly corners: boolean };
/** Reflects x about the borders of an axis until it is inside. */
function reflect(x: Expr, d: Dim, corners: boolean): Expr {
  const size = E.to(x.dtype, ofDim(d));
  const low = corners ? 0 : -0.5;
  const span = corners ? E.sub(size, 1) : size;
  const period = E.mul(span, 2);
  const from = E.sub(x, low);
  const m = E.sub(from, E.mul(E.unary("floor", E.div(from, period)), period));
  return E.add(E.min(m, E.sub(period, m)), low);
}
export const GridSample: OpDef<GridAttrs> = op({
  name: "GridSample",
  onnx: [onnx("GridSample", 16, 20, 22)],
  accuracy: { kind: "rtol", r: 1e-5 },
  effects: "none",
  parse: (n) => {
    const mode = n.string("mode", "linear").replace(/^bi/, "");
    const padding = n.string("padding_mode", "zeros");
    if (!["linear", "nearest", "cubic"].includes(mode) || !["zeros", "border", "reflection"].includes(padding))
      n.fail(`mode "${mode}" with padding "${padding}"`);
    return { mode, padding, corners: n.int("align_corners", 0) !== 0 };
  },
  infer: (x, _a, ctx) => {
    const [t, grid] = [tensor(x, 0, ctx), tensor(x, 1, ctx)];
    if (grid.shape.length !== t.shape.length) ctx.fail(`a grid ${shapeText(grid.shape)} for ${shapeText(t.shape)}`);
    return [tensorType(t.dtype, [...t.shape.slice(0, 2), ...grid.shape.slice(1, -1)])];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const { mode, padding, corners } = n.attrs;
      const [x, grid, out] = [b.input(0), b.input(1), b.output(0)];
      const t = wide(grid.dtype);
      const spatial = x.shape.slice(2);
      const rank = spatial.length;
      // Places per pixel, shared by the channels. The grid names the innermost axis first.
      const places = spatial.map((d, k) => {
        const place = b.temp(`place${k}`, t, [x.shape[0]!, ...grid.shape.slice(1, -1)]);
        const size = E.to(t, ofDim(d));
        b.map(place, (i) => {
          const g = E.to(t, load(grid, [...i, i32(rank - 1 - k)]));
          const at = corners
            ? E.mul(E.mul(E.add(g, 1), 0.5), E.sub(size, 1))
            : E.mul(E.sub(E.mul(E.add(g, 1), size), 1), 0.5);
          const whole = mode === "nearest" ? E.unary("round", at) : at;
          if (padding === "zeros") return whole;
          const outside = E.or(
            E.lt(whole, corners ? 0 : -0.5),
            E.lt(corners ? E.sub(size, 1) : E.sub(size, 0.5), whole),
          );
          return E.where(
            outside,
            padding === "border" ? E.max(E.min(whole, E.sub(size, 1)), 0) : reflect(whole, d, corners),
            whole,
          );
        });
        return place;
      });
      /** The element at integer places; outside of the image by the padding mode. */
      const pixel = (i: readonly Expr[], at: readonly Expr[]): Expr => {
        const inside = at.map((e, k) => {
          const d = spatial[k]!;
          const folded = padding === "reflection" ? E.to("i32", reflect(E.to(t, e), d, corners)) : e;
          return padding === "zeros" ? e : E.max(E.min(folded, ofDim(D.sub(d, D.one))), 0);
        });
        const value = E.to(t, load(x, [i[0]!, i[1]!, ...inside]));
        if (padding !== "zeros") return value;
        const tests = at.map((e, k) => E.and(E.le(0, e), E.lt(e, ofDim(spatial[k]!))));
        return E.where(
          tests.reduce((p, q) => E.and(p, q)),
          value,
          constant(t, 0),
        );
      };
      const pick = (i: readonly Expr[]): Expr[] => places.map((p) => load<Expr>(p, [i[0]!, ...i.slice(2)]));
      if (mode === "nearest")
        return b.map(out, (i) =>
          E.to(
            out.dtype,
            pixel(
              i,
              pick(i).map((p) => E.to("i32", p)),
            ),
          ),
        );
      const taps = mode === "cubic" ? 4 : 2;
      sumInto(
        b,
        out,
        spatial.map(() => D.int(taps)),
        (i, r) => {
          const at = pick(i).map((p, k) => {
            const first = E.add(E.to("i32", E.unary("floor", p)), r[k]!);
            const tap = mode === "cubic" ? E.sub(first, 1) : first;
            const distance = E.unary("abs", E.sub(E.to(t, tap), p));
            return { tap, weight: mode === "cubic" ? cubic(distance, -0.75) : E.sub(1, distance) };
          });
          return E.mul(
            at.map((a) => a.weight).reduce((p, q) => E.mul(p, q)),
            pixel(
              i,
              at.map((a) => a.tap),
            ),
          );
        },
      );
    },
  },
});

/** theta [N, r, r+1] applied to the coordinates of each element of an image of `size`, from -1 to 1, innermost axis first. */
export const AffineGrid: OpDef<{ corners: boolean }> = op({
  name: "AffineGrid",
  onnx: [onnx("AffineGrid", 20)],
  accuracy: { kind: "rtol", r: 1e-5 },
  effects: "none",
  parse: (n) => ({ corners: n.int("align_corners", 0) !== 0 }),
  infer: (x, _a, ctx) => {
    const [theta, size] = [tensor(x, 0, ctx), tensor(x, 1, ctx)];
    const rank = D.known(size.shape[0] ?? D.one);
    if (rank === null) return ctx.fail("the rank of the image must be known at compile time");
    const dims = Array.from({ length: rank - 2 }, (_, k) => dimAt(ctx.known(1), k + 2) ?? ctx.fresh("grid", 0, null));
    return [tensorType(theta.dtype, [theta.shape[0]!, ...dims, D.int(rank - 2)])];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const [theta, out] = [b.input(0), b.output(0)];
      const rank = out.shape.length - 2;
      const t = wide(theta.dtype);
      bindExtents(
        b,
        out.shape,
        out.shape.map((_, k) => (k === 0 || k > rank ? null : intAt(b, 1, k + 1))),
      );
      b.map(out, (i) => {
        const coordinate = (k: number): Expr => {
          const [e, size] = [E.to(t, i[k + 1]!), E.to(t, ofDim(out.shape[k + 1]!))];
          return n.attrs.corners
            ? E.sub(E.div(E.mul(e, 2), E.sub(size, 1)), 1)
            : E.sub(E.div(E.add(E.mul(e, 2), 1), size), 1);
        };
        const row = (c: number): Expr => E.to(t, load(theta, [i[0]!, i[rank + 1]!, i32(c)]));
        const terms = Array.from({ length: rank }, (_, c) => E.mul(row(c), coordinate(rank - 1 - c)));
        return E.to(
          out.dtype,
          terms.reduce((p, q) => E.add(p, q), row(rank)),
        );
      });
    },
  },
});

type RoiAttrs = {
  readonly height: number;
  readonly width: number;
  readonly sampling: number;
  readonly scale: number;
  readonly max: boolean;
  readonly half: boolean;
};
/** Averages (or takes the largest) of bilinear samples in each bin of a region; how many samples may depend on the region's size. */
export const RoiAlign: OpDef<RoiAttrs> = op({
  name: "RoiAlign",
  onnx: [onnx("RoiAlign", 10, 16, 22)],
  accuracy: { kind: "rtol", r: 1e-5 },
  effects: "none",
  parse: (n) => ({
    height: n.int("output_height", 1),
    width: n.int("output_width", 1),
    sampling: n.int("sampling_ratio", 0),
    scale: n.float("spatial_scale", 1),
    max: n.string("mode", "avg") === "max",
    half: n.opset >= 16 && n.string("coordinate_transformation_mode", "half_pixel") === "half_pixel",
  }),
  infer: (x, a, ctx) => {
    const [t, rois] = [tensor(x, 0, ctx), tensor(x, 1, ctx)];
    sameType(t, rois, ctx);
    if (t.shape.length !== 4 || rois.shape.length !== 2)
      ctx.fail(`regions ${shapeText(rois.shape)} of ${shapeText(t.shape)}`);
    return [tensorType(t.dtype, [rois.shape[0]!, t.shape[1]!, D.int(a.height), D.int(a.width)])];
  },
  body: {
    kind: "loops",
    loops: (b, n) => {
      const a = n.attrs;
      const t = wide(b.input(0).dtype);
      callKernel(b, "roi_align", [b.input(0), b.input(1), b.input(2), b.output(0)], (k, [x, rois, batches, out]) => {
        const [height, width] = [k.dim(x!.shape[2]!), k.dim(x!.shape[3]!)];
        return k.nest(
          out!.shape,
          ([roi, c, ph, pw]) => {
            const corner = (j: number): Expr =>
              E.sub(E.mul(E.to(t, load(rois!, [roi!, i32(j)])), a.scale), a.half ? 0.5 : 0);
            const size = (lo: number, hi: number): Expr =>
              a.half ? E.sub(corner(hi), corner(lo)) : E.max(E.sub(corner(hi), corner(lo)), 1);
            const samples = (bin: Expr): Expr => (a.sampling > 0 ? i32(a.sampling) : E.to("i32", E.unary("ceil", bin)));
            const batch = toIndex(load(batches!, [roi!]));
            return k.let(E.div(size(1, 3), a.height), (binH) =>
              k.let(E.div(size(0, 2), a.width), (binW) =>
                k.let(samples(binH), (rows) =>
                  k.let(samples(binW), (columns) =>
                    k.variable(constant(t, 0), (sum) =>
                      k.variable(constant("bool", 0), (any) =>
                        seq([
                          k.loop(rows, (iy) =>
                            k.loop(columns, (ix) => {
                              const along = (start: Expr, p: Expr, bin: Expr, i: Expr, count: Expr): Expr =>
                                E.add(
                                  E.add(start, E.mul(E.to(t, p), bin)),
                                  E.div(E.mul(E.add(E.to(t, i), 0.5), bin), E.to(t, count)),
                                );
                              return k.let(along(corner(1), ph!, binH, iy, rows), (y) =>
                                k.let(along(corner(0), pw!, binW, ix, columns), (xx) => {
                                  const outside = [
                                    E.lt(y, -1),
                                    E.lt(E.to(t, height), y),
                                    E.lt(xx, -1),
                                    E.lt(E.to(t, width), xx),
                                  ].reduce((p, q) => E.or(p, q));
                                  // Past the last pixel both neighbours are that pixel.
                                  const low = (v: Expr, d: Expr): Expr => E.min(E.to("i32", E.max(v, 0)), E.sub(d, 1));
                                  const part = (v: Expr, lo: Expr, d: Expr): Expr =>
                                    E.where(E.le(E.sub(d, 1), lo), constant(t, 0), E.sub(E.max(v, 0), E.to(t, lo)));
                                  return k.let(low(y, height), (y0) =>
                                    k.let(low(xx, width), (x0) =>
                                      k.let(part(y, y0, height), (fy) =>
                                        k.let(part(xx, x0, width), (fx) => {
                                          const [y1, x1] = [
                                            E.min(E.add(y0, 1), E.sub(height, 1)),
                                            E.min(E.add(x0, 1), E.sub(width, 1)),
                                          ];
                                          const at = (r: Expr, s: Expr, w: Expr): Expr =>
                                            E.mul(w, E.to(t, load(x!, [batch, c!, r, s])));
                                          const terms = [
                                            at(y0, x0, E.mul(E.sub(1, fy), E.sub(1, fx))),
                                            at(y0, x1, E.mul(E.sub(1, fy), fx)),
                                            at(y1, x0, E.mul(fy, E.sub(1, fx))),
                                            at(y1, x1, E.mul(fy, fx)),
                                          ];
                                          const value = terms.reduce((p, q) => (a.max ? E.max(p, q) : E.add(p, q)));
                                          return k.let(E.where(outside, constant(t, 0), value), (v) =>
                                            seq([
                                              sum.set(
                                                a.max ? E.where(any.get, E.max(sum.get, v), v) : E.add(sum.get, v),
                                              ),
                                              any.set(constant("bool", 1)),
                                            ]),
                                          );
                                        }),
                                      ),
                                    ),
                                  );
                                }),
                              );
                            }),
                          ),
                          store(
                            out!,
                            [roi!, c!, ph!, pw!],
                            E.to(out!.dtype, a.max ? sum.get : E.div(sum.get, E.to(t, E.max(E.mul(rows, columns), 1)))),
                          ),
                        ]),
                      ),
                    ),
                  ),
                ),
              ),
            );
          },
          "parallel",
        );
      });
    },
  },
});

/** The largest element in each bin of regions [batch, x1, y1, x2, y2], rounded to whole pixels (Fast R-CNN). */
export const MaxRoiPool: OpDef<{ height: number; width: number; scale: number }> = op({
  name: "MaxRoiPool",
  onnx: [onnx("MaxRoiPool", 1, 22)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => {
    const [height, width] = n.ints("pooled_shape") ?? n.fail("pooled_shape is missing");
    return { height: height ?? 1, width: width ?? 1, scale: n.float("spatial_scale", 1) };
  },
  infer: (x, a, ctx) => {
    const [t, rois] = [tensor(x, 0, ctx), tensor(x, 1, ctx)];
    return [tensorType(t.dtype, [rois.shape[0]!, t.shape[1]!, D.int(a.height), D.int(a.width)])];
  },
  body: {
    kind: "loops",
    loops: (b, n) => {
      const a = n.attrs;
      callKernel(b, "max_roi_pool", [b.input(0), b.input(1), b.output(0)], (k, [x, rois, out]) =>
        k.nest(
          out!.shape,
          ([roi, c, ph, pw]) => {
            const t = wide(x!.dtype);
            const pixel = (j: number): Expr =>
              E.to("i32", E.unary("floor", E.add(E.mul(E.to(t, load(rois!, [roi!, i32(j)])), a.scale), 0.5)));
            const bins = (
              lo: number,
              hi: number,
              p: Expr,
              count: number,
              d: Dim,
              then: (from: Expr, to: Expr) => ReturnType<typeof seq>,
            ) =>
              k.let(pixel(lo), (start) =>
                k.let(E.max(E.add(E.sub(pixel(hi), start), 1), 1), (size) => {
                  const edge = (e: Expr, round: "floor" | "ceil"): Expr =>
                    E.max(
                      E.min(
                        E.add(E.to("i32", E.unary(round, E.div(E.mul(E.to(t, e), E.to(t, size)), count))), start),
                        k.dim(d),
                      ),
                      0,
                    );
                  return k.let(edge(p, "floor"), (from) => k.let(edge(E.add(p, 1), "ceil"), (to) => then(from, to)));
                }),
              );
            return bins(2, 4, ph!, a.height, x!.shape[2]!, (y0, y1) =>
              bins(1, 3, pw!, a.width, x!.shape[3]!, (x0, x1) =>
                k.variable(E.lowest(x!.dtype), (best) =>
                  seq([
                    k.loop(E.sub(y1, y0), (i) =>
                      k.loop(E.sub(x1, x0), (j) =>
                        best.set(
                          E.max(
                            best.get,
                            load(x!, [E.to("i32", load(rois!, [roi!, i32(0)])), c!, E.add(y0, i), E.add(x0, j)]),
                          ),
                        ),
                      ),
                    ),
                    store(
                      out!,
                      [roi!, c!, ph!, pw!],
                      E.where(E.and(E.lt(y0, y1), E.lt(x0, x1)), best.get, constant(x!.dtype, 0)),
                    ),
                  ]),
                ),
              ),
            );
          },
          "parallel",
        ),
      );
    },
  },
});

type UnpoolAttrs = {
  readonly kernel: readonly number[];
  readonly pads: readonly number[];
  readonly strides: readonly number[];
};
/** The indices are positions in the tensor that was pooled; a larger output_shape leaves zeros behind. */
export const MaxUnpool: OpDef<UnpoolAttrs> = op({
  name: "MaxUnpool",
  onnx: [onnx("MaxUnpool", 9, 11, 22)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => {
    const kernel = n.ints("kernel_shape") ?? n.fail("kernel_shape is missing");
    return { kernel, pads: intsOr(n, "pads", 2 * kernel.length, 0), strides: intsOr(n, "strides", kernel.length, 1) };
  },
  infer: (x, a, ctx) => {
    const t = tensor(x, 0, ctx);
    if (!x[2]) return [tensorType(t.dtype, pooledShape(t.shape, a))];
    return [
      tensorType(
        t.dtype,
        t.shape.map((_, k) => dimAt(ctx.known(2), k) ?? ctx.fresh("unpool", 0, null)),
      ),
    ];
  },
  body: {
    kind: "loops",
    loops: (b, n) => {
      const [x, indices, out] = [b.input(0), b.input(1), b.output(0)];
      if (b.has(2))
        bindExtents(
          b,
          out.shape,
          out.shape.map((_, k) => intAt(b, 2, k)),
        );
      const pooled = pooledShape(x.shape, n.attrs);
      callKernel(b, "max_unpool", [x, indices, out], (k, [px, pi, po]) => {
        for (const d of pooled) k.dim(d);
        return seq([
          k.nest(po!.shape, (i) => store(po!, i, constant(po!.dtype, 0))),
          k.nest(px!.shape, (i) =>
            k.let(toIndex(load(pi!, i)), (flat) => {
              const at = unravel(flat, pooled);
              const inside = at
                .map((e, j) => E.and(E.le(0, e), E.lt(e, k.dim(po!.shape[j]!))))
                .reduce((p, q) => E.and(p, q));
              return when(inside, store(po!, at, load(px!, i)));
            }),
          ),
        ]);
      });
    },
  },
});
function pooledShape(x: readonly Dim[], a: UnpoolAttrs): readonly Dim[] {
  const rank = a.kernel.length;
  return x.map((d, k) =>
    k < 2
      ? d
      : D.sub(
          D.add(D.mul(D.sub(d, D.one), D.int(a.strides[k - 2]!)), D.int(a.kernel[k - 2]!)),
          D.int(a.pads[k - 2]! + a.pads[k - 2 + rank]!),
        ),
  );
}

/** A convolution whose taps are moved by offsets [N, groups * taps * 2, out...] and scaled by a mask; bilinear between pixels, 0 outside. */
export const DeformConv: OpDef<WindowAttrs & { group: number; offsetGroup: number }> = op({
  name: "DeformConv",
  onnx: [onnx("DeformConv", 19, 22)],
  accuracy: { kind: "rtol", r: 1e-5 },
  effects: "none",
  parse: (n) => ({ ...parseWindow(n), group: n.int("group", 1), offsetGroup: n.int("offset_group", 1) }),
  infer: (x, a, ctx) => {
    const [t, w] = [tensor(x, 0, ctx), tensor(x, 1, ctx)];
    sameType(t, w, ctx);
    if (t.shape.length !== 4 || w.shape.length !== 4)
      ctx.fail(`a deformable convolution of ${shapeText(t.shape)} with weights ${shapeText(w.shape)}`);
    return [
      tensorType(t.dtype, [
        t.shape[0]!,
        w.shape[0]!,
        ...windowAxes(a, t.shape.slice(2), w.shape.slice(2), ctx.fail).map((s) => s.out),
      ]),
    ];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const [x, w, offset, out] = [b.input(0), b.input(1), b.input(2), b.output(0)];
      const axes = windowAxes(n.attrs, x.shape.slice(2), w.shape.slice(2), (m) => {
        throw new Error(m);
      });
      const [channels, kh, kw] = [x.shape[1]!, w.shape[2]!, w.shape[3]!];
      const t = wide(x.dtype);
      const [oh, ow] = out.shape.slice(2) as [Dim, Dim];
      // The moved samples of each channel, tap and output pixel; then a plain contraction.
      const samples = b.temp(`${x.name}.samples`, t, [x.shape[0]!, channels, kh, kw, oh, ow]);
      const perGroup = D.floordiv(channels, D.int(n.attrs.offsetGroup));
      b.map(samples, ([m, c, r, s, y, z]) => {
        const tap = E.add(E.mul(E.add(E.mul(E.floordiv(c!, ofDim(perGroup)), ofDim(kh)), r!), ofDim(kw)), s!);
        const place = axes.map((a, k) => {
          const base = E.sub(E.add(E.mul([y!, z!][k]!, a.stride), E.mul([r!, s!][k]!, a.dilation)), ofDim(a.before));
          return E.add(E.to(t, base), E.to(t, load(offset, [m!, E.add(E.mul(tap, 2), k), y!, z!])));
        }) as [Expr, Expr];
        const low = place.map((p) => E.to("i32", E.unary("floor", p)));
        const corners = [
          [0, 0],
          [0, 1],
          [1, 0],
          [1, 1],
        ].map((d) => {
          const at = low.map((l, k) => E.add(l, d[k]!));
          const inside = at
            .map((e, k) => E.and(E.le(0, e), E.lt(e, ofDim(x.shape[k + 2]!))))
            .reduce((p, q) => E.and(p, q));
          const weight = at
            .map((e, k) => E.sub(1, E.unary("abs", E.sub(place[k]!, E.to(t, e)))))
            .reduce((p, q) => E.mul(p, q));
          return E.where(inside, E.mul(weight, E.to(t, load(x, [m!, c!, ...at]))), constant(t, 0));
        });
        const value = corners.reduce((p, q) => E.add(p, q));
        return b.has(4) ? E.mul(value, E.to(t, load(b.input(4), [m!, tap, y!, z!]))) : value;
      });
      const cg = w.shape[1]!;
      const mg = D.floordiv(w.shape[0]!, D.int(n.attrs.group));
      sumOfProducts(
        b,
        out,
        [cg, kh, kw],
        ([m, o, y, z], [c, r, s]) => {
          const channel = n.attrs.group === 1 ? c! : E.add(E.mul(E.floordiv(o!, ofDim(mg)), ofDim(cg)), c!);
          return [load(samples, [m!, channel, r!, s!, y!, z!]), E.to(t, load(w, [o!, c!, r!, s!]))];
        },
        (s, i) => E.to(out.dtype, b.has(3) ? E.add(s, E.to(t, load(b.input(3) as Buffer, [i[1]!]))) : s),
        t,
      );
    },
  },
});

export const sampleOps: readonly OpDef<Attrs>[] = [
  GridSample,
  AffineGrid,
  RoiAlign,
  MaxRoiPool,
  MaxUnpool,
  DeformConv,
] as unknown as readonly OpDef<Attrs>[];
