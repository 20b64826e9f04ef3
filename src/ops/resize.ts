// Resize and Upsample: one stage per axis that changes. Nearest takes an element by a table of indices; linear and cubic, with or
// without antialiasing, are sums over taps with a table of weights. Tables depend on sizes alone, so they fold where those are known.

import type { Dim } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { constant, type Expr, load, ofDim } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import { type OpDef, op, type PartialTensor, type RawNode, type TeBuilder } from "../ir/opdef.ts";
import type { Buffer } from "../ir/storage.ts";
import { isFloat, tensorType } from "../ir/types.ts";
import { normalAxis, onnx, shapeText, tensor, wide } from "./common.ts";
import { bindExtents, dimAt, intAt, numberAt } from "./ints.ts";
import { sumInto } from "./reduce.ts";

type ResizeAttrs = {
  readonly mode: string;
  readonly coordinates: string;
  readonly nearest: string;
  readonly a: number;
  readonly antialias: boolean;
  readonly excludeOutside: boolean;
  readonly extrapolation: number;
  readonly policy: string;
  readonly axes?: readonly number[];
  readonly scales?: readonly number[];
  /** Positions of the inputs roi, scales and sizes; -1: not an input of this version. */
  readonly roi: number;
  readonly scalesAt: number;
  readonly sizesAt: number;
};
/** How far one axis is stretched: by a known ratio p/q, by a scale that is loaded, or by its sizes alone. */
type Scale =
  | { readonly kind: "ratio"; readonly p: number; readonly q: number }
  | { readonly kind: "loaded"; readonly scale: Expr }
  | { readonly kind: "sizes" };
type ResizeAxis = {
  readonly axis: number;
  readonly which: number;
  readonly input: Dim;
  readonly out: Dim;
  readonly scale: Scale;
};

/** p/q with a small q that is the f32 `s`; else s itself. Exporters write scales such as 1/3 that way. */
function ratioOf(s: number): { p: number; q: number } {
  const want = Math.fround(s);
  for (let q = 1; q <= 1024; q++) {
    const p = Math.round(want * q);
    if (p > 0 && Math.fround(p / q) === want) return { p, q };
  }
  return { p: want, q: 1 };
}
/** floor(d * p/q). */
function scaled(d: Dim, r: { p: number; q: number }): Dim | null {
  if (d.kind === "int") return D.int(Math.floor(Number.isInteger(r.p) ? (d.value * r.p) / r.q : d.value * r.p));
  return Number.isInteger(r.p) ? D.floordiv(D.mul(d, D.int(r.p)), D.int(r.q)) : null;
}

function parseResize(n: RawNode): ResizeAttrs {
  const mode = n.string("mode", "nearest").replace(/^(bi|tri)/, "");
  if (!["nearest", "linear", "cubic"].includes(mode)) n.fail(`mode "${mode}" is unknown`);
  const common = {
    mode,
    a: n.float("cubic_coeff_a", -0.75),
    antialias: n.int("antialias", 0) !== 0 && mode !== "nearest",
    excludeOutside: n.int("exclude_outside", 0) !== 0,
    extrapolation: n.float("extrapolation_value", 0),
    policy: n.string("keep_aspect_ratio_policy", "stretch"),
  };
  if (n.type === "Upsample" || n.opset < 11) {
    const scales = n.type === "Upsample" && n.opset < 9 ? n.floats("scales") : undefined;
    return {
      ...common,
      coordinates: "asymmetric",
      nearest: "simple",
      roi: -1,
      scalesAt: 1,
      sizesAt: -1,
      ...(scales ? { scales } : {}),
    };
  }
  const axes = n.ints("axes");
  const coordinates = n.string("coordinate_transformation_mode", "half_pixel");
  const known = [
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
    "tf_half_pixel_for_nn",
  ];
  if (!known.includes(coordinates)) n.fail(`coordinate_transformation_mode "${coordinates}" is unknown`);
  return {
    ...common,
    coordinates,
    nearest: n.string("nearest_mode", "round_prefer_floor"),
    roi: 1,
    scalesAt: 2,
    sizesAt: 3,
    ...(axes ? { axes } : {}),
  };
}

/** What the inputs say of each axis at compile time: null scale: only known in the run. out null: not known. */
type Plan = {
  readonly axis: number;
  readonly which: number;
  readonly ratio: { p: number; q: number } | null;
  readonly bySize: boolean;
  readonly out: Dim | null;
};
function plan(
  a: ResizeAttrs,
  shape: readonly Dim[],
  axes: readonly number[],
  scales: PartialTensor | null,
  sizes: PartialTensor | null,
  bySize: boolean,
  fail: (m: string) => never,
): readonly Plan[] {
  const at = (k: number): { p: number; q: number } | null => {
    const s = a.scales ? (a.scales[k] ?? null) : numberAt(scales, k);
    return s === null ? null : ratioOf(s);
  };
  if (!bySize)
    return axes.map((axis, which) => ({
      axis,
      which,
      ratio: at(which),
      bySize,
      out: at(which) ? scaled(shape[axis]!, at(which)!) : null,
    }));
  const wanted = axes.map((axis, which): Plan => ({ axis, which, ratio: null, bySize, out: dimAt(sizes, which) }));
  if (a.policy === "stretch") return wanted;
  const ratios = wanted.map((w) => {
    const [to, from] = [w.out?.kind === "int" ? w.out.value : null, D.known(shape[w.axis]!)];
    return to === null || from === null
      ? fail("a kept aspect ratio needs sizes that are known at compile time")
      : to / from;
  });
  const s = a.policy === "not_larger" ? Math.min(...ratios) : Math.max(...ratios);
  return wanted.map((w) => ({
    ...w,
    ratio: { p: s, q: 1 },
    bySize: false,
    out: D.int(Math.floor(s * D.known(shape[w.axis]!)! + 0.5)),
  }));
}
function listedAxes(a: ResizeAttrs, rank: number): readonly number[] {
  return a.axes?.map((k) => (k < 0 ? k + rank : k)) ?? Array.from({ length: rank }, (_, k) => k);
}
const given = (p: { readonly length: number } | null | undefined): boolean =>
  p !== null && p !== undefined && p.length > 0;
/** An input that is there and not empty: exporters leave out roi and scales as empty tensors. */
function isGiven(t: readonly Dim[] | null): boolean {
  return t !== null && t[0] !== D.zero;
}

export const Resize: OpDef<ResizeAttrs> = op({
  name: "Resize",
  onnx: [onnx("Resize", 10, 11, 13, 18, 19), onnx("Upsample", 7, 9, 10)],
  accuracy: { kind: "rtol", r: 1e-5 },
  effects: "none",
  parse: parseResize,
  infer: (x, a, ctx) => {
    const t = tensor(x, 0, ctx);
    const axes = listedAxes(a, t.shape.length);
    for (const k of axes) normalAxis(k, t.shape.length, ctx);
    const shapeOf = (k: number): readonly Dim[] | null =>
      k >= 0 && x[k]?.kind === "tensor" ? x[k].tensor.shape : null;
    const bySize = isGiven(shapeOf(a.sizesAt));
    if (!bySize && !isGiven(shapeOf(a.scalesAt)) && !given(a.scales)) ctx.fail("neither scales nor sizes are given");
    const count = a.scales?.length ?? D.known(shapeOf(bySize ? a.sizesAt : a.scalesAt)![0] ?? D.one);
    if (count !== null && count !== axes.length)
      ctx.fail(`${count} ${bySize ? "sizes" : "scales"} for ${shapeText(t.shape)}`);
    const plans = plan(
      a,
      t.shape,
      axes,
      a.scalesAt >= 0 ? ctx.known(a.scalesAt) : null,
      a.sizesAt >= 0 ? ctx.known(a.sizesAt) : null,
      bySize,
      ctx.fail,
    );
    if (a.antialias && plans.some((p) => !p.bySize && !p.ratio))
      ctx.fail("antialiasing needs scales that are known at compile time");
    return [
      tensorType(
        t.dtype,
        t.shape.map((d, k) => {
          const p = plans.find((e) => e.axis === k);
          return p ? (p.out ? D.simplify(p.out, ctx.ranges) : ctx.fresh("resize", 0, null)) : d;
        }),
      ),
    ];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const a = n.attrs;
      const [x, out] = [b.input(0), b.output(0)];
      const shapeOf = (k: number): readonly Dim[] | null =>
        k >= 0 && b.types.inputs[k]?.kind === "tensor" ? b.types.inputs[k].tensor.shape : null;
      const bySize = isGiven(shapeOf(a.sizesAt));
      const plans = plan(
        a,
        x.shape,
        listedAxes(a, x.shape.length),
        a.scalesAt >= 0 ? b.known(a.scalesAt) : null,
        a.sizesAt >= 0 ? b.known(a.sizesAt) : null,
        bySize,
        (m) => {
          throw new Error(m);
        },
      );
      const loaded = (p: Plan): Expr => E.to("f32", load(b.input(a.scalesAt), [E.i32(p.which)]));
      bindExtents(
        b,
        out.shape,
        x.shape.map((d, k) => {
          const p = plans.find((e) => e.axis === k);
          if (!p || p.out) return p?.out ?? null;
          if (bySize) return intAt(b, a.sizesAt, p.which);
          const scale = p.ratio ? constant("f32", p.ratio.p) : loaded(p);
          return E.to("i32", E.unary("floor", E.mul(E.to("f32", ofDim(d)), scale)));
        }),
      );
      const axes = plans.map(
        (p): ResizeAxis => ({
          axis: p.axis,
          which: p.which,
          input: x.shape[p.axis]!,
          out: out.shape[p.axis]!,
          scale: p.bySize
            ? { kind: "sizes" }
            : p.ratio
              ? { kind: "ratio", ...p.ratio }
              : { kind: "loaded", scale: loaded(p) },
        }),
      );
      const crop = a.coordinates === "tf_crop_and_resize";
      const changed = axes.filter(
        (s) =>
          crop ||
          s.scale.kind === "loaded" ||
          s.input !== s.out ||
          (s.scale.kind === "ratio" && s.scale.p !== s.scale.q),
      );
      resizeAxes(b, a, x, out, changed);
    },
  },
});
function resizeAxes(b: TeBuilder, a: ResizeAttrs, x: Buffer, out: Buffer, axes: readonly ResizeAxis[]): void {
  if (axes.length === 0) return b.map(out, (i) => load(x, i));
  const count = D.int(listedAxes(a, x.shape.length).length);
  if (a.mode === "nearest") {
    const picks = axes.map((s) => nearestIndex(b, a, s, count));
    b.map(out, (i) => {
      const at = i.map((v, k) => picks.find((p) => p.axis === k)?.at(v) ?? v);
      const outside = picks.flatMap((p) => (p.outside ? [p.outside(i[p.axis]!)] : []));
      return outside.length === 0
        ? load(x, at)
        : E.where(
            outside.reduce((p, q) => E.or(p, q)),
            constant(x.dtype, a.extrapolation),
            load(x, at),
          );
    });
    return;
  }
  const t = isFloat(x.dtype) ? wide(x.dtype) : "f32";
  axes.reduce((from, s, k) => {
    const last = k === axes.length - 1;
    const to = last
      ? out
      : b.temp(
          `${x.name}.axis${s.axis}`,
          t,
          from.shape.map((d, j) => (j === s.axis ? s.out : d)),
        );
    const taps = tapsOf(b, a, s, count, t);
    sumInto(
      b,
      to,
      [taps.count],
      (i, [r]) => {
        const at = E.max(E.min(E.add(load(taps.first, [i[s.axis]!]), r!), ofDim(D.sub(s.input, D.one))), 0);
        return E.mul(
          load(taps.weights, [i[s.axis]!, r!]),
          E.to(
            t,
            load(
              from,
              i.map((v, j) => (j === s.axis ? at : v)),
            ),
          ),
        );
      },
      (sum, i) => {
        const value = taps.outside ? E.where(taps.outside(i[s.axis]!), constant(t, a.extrapolation), sum) : sum;
        return last && !isFloat(out.dtype) ? rounded(value, out) : value;
      },
    );
    return to;
  }, x);
}
/** To the nearest integer, saturated to the type's range by the cast. */
function rounded(x: Expr, out: Buffer): Expr {
  const [lo, hi] = [E.lowest(out.dtype), E.highest(out.dtype)];
  return E.max(E.min(E.unary("round", x), Number(hi.value)), Number(lo.value));
}

/** e / scale, exact where the ratio is known. */
function unscaled(s: ResizeAxis, e: Expr): Expr {
  switch (s.scale.kind) {
    case "ratio":
      return s.scale.p === s.scale.q ? e : E.div(s.scale.q === 1 ? e : E.mul(e, s.scale.q), s.scale.p);
    case "loaded":
      return E.div(e, s.scale.scale);
    case "sizes":
      return E.div(E.mul(e, E.to("f32", ofDim(s.input))), E.to("f32", ofDim(s.out)));
  }
}
/** The output's extent before it was rounded down. */
function exactOut(s: ResizeAxis): Expr {
  const size = E.to("f32", ofDim(s.input));
  switch (s.scale.kind) {
    case "ratio":
      return E.div(E.mul(size, s.scale.p), s.scale.q);
    case "loaded":
      return E.mul(size, s.scale.scale);
    case "sizes":
      return E.to("f32", ofDim(s.out));
  }
}
/** The place in the input, an f32, of output element o. */
function coordinate(b: TeBuilder, a: ResizeAttrs, s: ResizeAxis, o: Expr, count: Dim): Expr {
  const e = E.to("f32", o);
  const half = (): Expr => E.sub(unscaled(s, E.add(e, 0.5)), 0.5);
  const last = E.to("f32", ofDim(D.sub(s.input, D.one)));
  const single = (then: Expr, otherwise: Expr): Expr =>
    s.out.kind === "int" && s.scale.kind === "sizes"
      ? s.out.value === 1
        ? then
        : otherwise
      : E.where(E.eq(exactOut(s), 1), then, otherwise);
  switch (a.coordinates) {
    case "half_pixel":
      return half();
    case "pytorch_half_pixel":
      return single(constant("f32", -0.5), half());
    case "half_pixel_symmetric": {
      const adjust = E.div(E.to("f32", ofDim(s.out)), exactOut(s));
      return E.add(E.mul(E.mul(E.to("f32", ofDim(s.input)), 0.5), E.sub(1, adjust)), half());
    }
    case "align_corners":
      return single(constant("f32", 0), E.div(E.mul(e, last), E.sub(exactOut(s), 1)));
    case "asymmetric":
      return unscaled(s, e);
    case "tf_half_pixel_for_nn":
      return unscaled(s, E.add(e, 0.5));
    default: {
      const [from, to] = [
        load<Expr>(b.input(a.roi), [E.i32(s.which)]),
        load<Expr>(b.input(a.roi), [ofDim(D.add(count, D.int(s.which)))]),
      ].map((r) => E.to("f32", r)) as [Expr, Expr];
      const span = E.mul(E.sub(to, from), last);
      return E.add(single(E.mul(span, 0.5), E.div(E.mul(e, span), E.sub(exactOut(s), 1))), E.mul(from, last));
    }
  }
}
/** Output elements whose place is outside of the input take the extrapolation value. */
function outsideTable(b: TeBuilder, a: ResizeAttrs, s: ResizeAxis, count: Dim): ((o: Expr) => Expr) | undefined {
  if (a.coordinates !== "tf_crop_and_resize") return undefined;
  const table = b.temp(`outside${s.axis}`, "bool", [s.out]);
  b.map(table, ([o]) => {
    const x = coordinate(b, a, s, o!, count);
    return E.or(E.lt(x, 0), E.lt(E.to("f32", ofDim(D.sub(s.input, D.one))), x));
  });
  return (o) => load(table, [o]);
}
function nearestIndex(
  b: TeBuilder,
  a: ResizeAttrs,
  s: ResizeAxis,
  count: Dim,
): { axis: number; at: (o: Expr) => Expr; outside?: (o: Expr) => Expr } {
  const { scale } = s;
  if (scale.kind === "ratio" && Number.isInteger(scale.p)) {
    const floors = a.coordinates === "asymmetric" && (a.nearest === "floor" || a.nearest === "simple");
    const rounds = a.coordinates.startsWith("half_pixel") && a.nearest.startsWith("round");
    // Whole factors: each element is repeated, or every q-th is taken.
    if (scale.q === 1 && (floors || rounds)) return { axis: s.axis, at: (o) => E.floordiv(o, scale.p) };
    if (scale.p === 1 && a.coordinates === "asymmetric") return { axis: s.axis, at: (o) => E.mul(o, scale.q) };
  }
  const table = b.temp(`nearest${s.axis}`, "i32", [s.out]);
  b.map(table, ([o]) =>
    E.max(E.min(E.to("i32", nearestOf(a, s, coordinate(b, a, s, o!, count))), ofDim(D.sub(s.input, D.one))), 0),
  );
  const outside = outsideTable(b, a, s, count);
  return { axis: s.axis, at: (o) => load(table, [o]), ...(outside ? { outside } : {}) };
}
function nearestOf(a: ResizeAttrs, s: ResizeAxis, x: Expr): Expr {
  switch (a.nearest) {
    case "round_prefer_floor":
      return E.unary("ceil", E.sub(x, 0.5));
    case "round_prefer_ceil":
      return E.unary("floor", E.add(x, 0.5));
    case "ceil":
      return E.unary("ceil", x);
    // Before opset 11: rounded up when shrinking, as onnxruntime has it.
    case "simple":
      return s.scale.kind === "ratio" && s.scale.p < s.scale.q ? E.unary("ceil", x) : E.unary("floor", x);
    default:
      return E.unary("floor", x);
  }
}

/** Taps first, first + 1, ... of each output element and their weights. */
type Taps = {
  readonly count: Dim;
  readonly first: Buffer;
  readonly weights: Buffer;
  readonly outside: ((o: Expr) => Expr) | undefined;
};
function tapsOf(b: TeBuilder, a: ResizeAttrs, s: ResizeAxis, count: Dim, t: Buffer["dtype"]): Taps {
  const support = a.mode === "cubic" ? 2 : 1;
  // Shrinking with antialiasing widens the kernel by the inverse of the scale.
  const reach = !a.antialias
    ? D.int(support)
    : s.scale.kind === "ratio"
      ? D.int(Math.ceil(support * Math.max(1, s.scale.q / s.scale.p)))
      : D.max(D.int(support), D.ceildiv(D.mul(D.int(support), s.input), s.out));
  const taps = D.mul(D.int(2), reach);
  const place = (o: Expr): Expr => coordinate(b, a, s, o, count);
  const first = b.temp(`first${s.axis}`, "i32", [s.out]);
  b.map(first, ([o]) => E.add(E.to("i32", E.unary("floor", place(o!))), ofDim(D.sub(D.one, reach))));
  const raw = (o: Expr, r: Expr): Expr => {
    const distance = E.unary("abs", E.sub(E.to("f32", E.add(load(first, [o]), r)), place(o)));
    const shrunk = a.antialias ? narrowed(s, distance) : distance;
    const w = a.mode === "cubic" ? cubic(shrunk, a.a) : E.max(E.sub(1, shrunk), 0);
    if (!a.excludeOutside) return w;
    const at = E.add(load(first, [o]), r);
    return E.where(E.and(E.le(0, at), E.lt(at, ofDim(s.input))), w, constant("f32", 0));
  };
  const weights = b.temp(`weights${s.axis}`, t, [s.out, taps]);
  if (a.antialias || a.excludeOutside) {
    const total = b.temp(`total${s.axis}`, "f32", [s.out]);
    sumInto(b, total, [taps], ([o], [r]) => raw(o!, r!));
    b.map(weights, ([o, r]) => E.to(t, E.div(raw(o!, r!), load(total, [o!]))));
  } else b.map(weights, ([o, r]) => E.to(t, raw(o!, r!)));
  return { count: taps, first, weights, outside: outsideTable(b, a, s, count) };
}
/** A distance times min(scale, 1). */
function narrowed(s: ResizeAxis, distance: Expr): Expr {
  if (s.scale.kind === "ratio") return s.scale.p >= s.scale.q ? distance : E.div(E.mul(distance, s.scale.p), s.scale.q);
  const ratio = E.div(E.to("f32", ofDim(s.out)), E.to("f32", ofDim(s.input)));
  return E.mul(distance, E.min(ratio, 1));
}
/** Keys' cubic convolution kernel at a distance x >= 0 ("Cubic convolution interpolation for digital image processing", 1981). */
export function cubic(x: Expr, a: number): Expr {
  const near = E.add(E.mul(E.mul(E.sub(E.mul(x, a + 2), a + 3), x), x), 1);
  const far = E.sub(E.mul(E.add(E.mul(E.sub(E.mul(x, a), 5 * a), x), 8 * a), x), 4 * a);
  return E.where(E.le(x, 1), near, E.where(E.lt(x, 2), far, constant(x.dtype, 0)));
}

export const resizeOps: readonly OpDef<Attrs>[] = [Resize] as unknown as readonly OpDef<Attrs>[];
