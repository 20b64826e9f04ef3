// Kinds of nodes that move, select and create elements.
import type { ValueId } from "../../src/base/brand.ts";
import * as D from "../../src/ir/dim.ts";
import type { AnyKind, AnyMaker } from "./any.ts";

const extent = (g: AnyMaker, v: ValueId, axis: number): number =>
  D.known(g.shapeOf(v)[axis < 0 ? axis + g.rank(v) : axis]!) ?? 0;

export const moves: readonly AnyKind[] = [
  (g) => {
    const x = g.any();
    return g.node("Cast", [x], { to: g.dtype() });
  },
  (g) => g.node("Cast", [g.any()], { to: g.dtype() }),
  (g) => g.node("CastLike", [g.any(), g.any()]),
  (g) => {
    const x = g.any(1);
    const axis = g.axis(g.rank(x));
    const at = axis < 0 ? axis + g.rank(x) : axis;
    const parts = Array.from({ length: g.random.below(3) }, () => {
      const dims = g.known(x);
      if (!dims || g.chance(2)) return g.twin(x);
      return g.constant(
        g.typeOf(x),
        dims.map((n, k) => (k === at ? g.random.below(4) : n)),
      );
    });
    return g.node("Concat", [x, ...parts], { axis });
  },
  (g) => {
    const x = g.any(1);
    const axis = g.axis(g.rank(x));
    const n = extent(g, x, axis);
    if (n > 0 && g.chance(2)) {
      const first = g.random.below(n + 1);
      return g.node("Split", [x, g.ints([first, n - first])], { axis }, 2);
    }
    const outputs = 1 + g.random.below(3);
    return g.node("Split", [x], { axis, num_outputs: outputs }, outputs);
  },
  (g) => {
    const x = g.any(1, 4);
    const axes = g.axesOf(g.rank(x));
    if (axes.length === 0) axes.push(0);
    const r = g.random;
    const steps = axes.map(() => r.pick([1, 1, 2, 3, -1, -2]));
    const bound = (): number =>
      r.pick([0, 1, 2, 3, -1, -2, 5, 9, 100, -100, 2 ** 31 - 1, -(2 ** 31), Number.MAX_SAFE_INTEGER]);
    const tind = r.pick(["i64", "i64", "i32"] as const);
    const clamp = (v: number): number => (tind === "i32" ? Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, v)) : v);
    const starts = axes.map(() => clamp(bound()));
    const ends = axes.map(() => clamp(bound()));
    if (g.chance(3)) {
      const n = axes.length;
      return g.node("Slice", [
        x,
        g.given(tind, [n], [-6, 6]),
        g.given(tind, [n], [-6, 12]),
        g.ints(axes, tind),
        g.ints(steps, tind),
      ]);
    }
    return g.node("Slice", [x, g.ints(starts, tind), g.ints(ends, tind), g.ints(axes, tind), g.ints(steps, tind)]);
  },
  (g) => {
    const x = g.any(1, 4);
    const axis = g.axis(g.rank(x));
    const n = extent(g, x, axis) || 1;
    const dims = g.random.pick([[], [1], [3], [2, 2], [0]]);
    return g.node("Gather", [x, g.integers(dims, [-n, n - 1], g.random.pick(["i64", "i32"]))], { axis });
  },
  (g) => {
    const x = g.any(1, 4);
    const dims = g.known(x);
    if (!dims || dims.includes(0)) return false;
    const axis = g.axis(dims.length);
    const at = axis < 0 ? axis + dims.length : axis;
    const n = dims[at]!;
    const shape = dims.map((d, k) => (k === at ? 1 + g.random.below(4) : 1 + g.random.below(d)));
    const index = g.integers(shape, [-n, n - 1], g.random.pick(["i64", "i32"]));
    if (g.chance(2)) return g.node("GatherElements", [x, index], { axis });
    const reduction = g.random.pick(["none", "add", "mul", "max", "min"]);
    // Which of several writes to one place is the last is left open: without a reduction there is one along the axis.
    const one = shape.map((d, k) => (k === at ? 1 : d));
    const at1 = reduction === "none" ? g.integers(one, [-n, n - 1]) : index;
    const updates = g.constant(g.typeOf(x), reduction === "none" ? one : shape);
    return g.node("ScatterElements", [x, at1, updates], { axis, reduction });
  },
  (g) => {
    const x = g.any(1, 4);
    const dims = g.known(x);
    if (!dims || dims.includes(0)) return false;
    const q = 1 + g.random.below(dims.length);
    const n = Math.min(...dims.slice(0, q));
    const lead = g.random.pick([[], [1], [3]]);
    if (g.chance(2)) return g.node("GatherND", [x, g.integers([...lead, q], [-n, n - 1])]);
    const reduction = g.random.pick(["add", "mul", "max", "min", "none"]);
    const one = reduction === "none" ? [1] : [3];
    return g.node(
      "ScatterND",
      [x, g.integers([...one, q], [-n, n - 1]), g.constant(g.typeOf(x), [...one, ...dims.slice(q)])],
      { reduction },
    );
  },
  (g) => {
    const x = g.any(1, 4);
    const rank = g.rank(x);
    const mode = g.random.pick(["constant", "constant", "reflect", "edge", "wrap"]);
    const axes = g.chance(2) ? g.axesOf(rank) : null;
    const count = axes?.length ?? rank;
    const pads = Array.from({ length: 2 * count }, () => (g.chance(5) ? -1 : g.random.below(3)));
    const value = mode === "constant" && g.chance(2) ? g.constant(g.typeOf(x), []) : null;
    return g.node("Pad", [x, g.ints(pads), value, ...(axes ? [g.ints(axes)] : [])], { mode });
  },
  (g) => {
    const x = g.any(0, 4);
    return g.node("Tile", [x, g.integers([g.rank(x)], [0, 3])]);
  },
  (g) => {
    const x = g.any(0, 4);
    const dims = g.numbers(x).map((n) => (n === 1 ? g.random.pick([1, 3, 5]) : g.chance(2) ? 1 : n));
    const lead = g.random.pick([[], [], [2], [1, 3]]);
    if (g.known(x) === null) return g.node("Expand", [x, g.ints([...lead, ...dims.map(() => 1)])]);
    return g.node("Expand", [x, g.ints([...lead, ...dims])]);
  },
  (g) => {
    // A shape that is computed.
    const x = g.any(1, 4);
    const shape = g.builder.op("Shape", [g.any(0, 3)]);
    g.use(x);
    return g.node("Expand", [x, shape]);
  },
  (g) => {
    const x = g.any(1, 4);
    const flat = g.builder.op("Reshape", [x, g.ints([-1])]);
    g.use(x);
    return g.chance(2) ? g.node("Reshape", [flat, g.builder.op("Shape", [x])]) : g.node("Identity", [flat]);
  },
  (g) => {
    const x = g.any(0, 4);
    const rank = g.rank(x);
    return g.node("Unsqueeze", [x, g.ints(g.chance(2) ? [g.axis(rank + 1)] : [0, rank + 1])]);
  },
  (g) => {
    const x = g.any(1, 5);
    return g.chance(2) ? g.node("Squeeze", [x]) : g.node("Squeeze", [x, g.ints([g.axis(g.rank(x))])]);
  },
  (g) => {
    const x = g.any(1, 4);
    const perm = g.numbers(x).map((_, k) => k);
    for (let k = perm.length - 1; k > 0; k--) {
      const j = g.random.below(k + 1);
      [perm[k], perm[j]] = [perm[j]!, perm[k]!];
    }
    return g.node("Transpose", [x], { perm });
  },
  (g) => {
    const x = g.any(2, 4);
    return g.node("Trilu", [x, ...(g.chance(2) ? [g.integers([], [-4, 4])] : [])], { upper: g.random.below(2) });
  },
  (g) => {
    const x = g.any(4, 4);
    const n = g.random.pick([1, 2, 3]);
    if (g.chance(2)) {
      const dims = g.known(x);
      if (!dims || dims[2]! % n !== 0 || dims[3]! % n !== 0) return false;
      return g.node("SpaceToDepth", [x], { blocksize: n });
    }
    const c = D.known(g.shapeOf(x)[1]!);
    if (c === null || c % (n * n) !== 0) return false;
    return g.node("DepthToSpace", [x], { blocksize: n, mode: g.random.pick(["DCR", "CRD"]) });
  },
  (g) => {
    const x = g.any(2, 4);
    const dims = g.known(x);
    if (!dims) return false;
    const time = g.random.below(2);
    return g.node("ReverseSequence", [x, g.integers([dims[1 - time]!], [Math.min(1, dims[time]!), dims[time]!])], {
      time_axis: time,
      batch_axis: 1 - time,
    });
  },
  (g) => {
    const x = g.any(1, 4);
    const axes = g.axesOf(g.rank(x));
    if (axes.length === 0) return false;
    return g.node("CenterCropPad", [x, g.integers([axes.length], [1, 7])], { axes });
  },
  (g) => g.node("EyeLike", [g.any(2, 2)], { k: g.random.below(5) - 2, ...(g.chance(2) ? { dtype: g.dtype() } : {}) }),
  (g) => {
    const value = g.builder.random.tensor(g.random.pick(["f32", "i64", "i32", "bool", "u8"]), [1]);
    return g.node(
      "ConstantOfShape",
      [g.chance(2) ? g.builder.op("Shape", [g.any()]) : g.integers([2], [0, 5])],
      g.chance(3) ? {} : { value },
    );
  },
  (g) => {
    const d = g.random.pick(["i64", "i32", "f32", "i16", "f64"] as const);
    return g.node("Range", [g.integers([], [-5, 5], d), g.integers([], [-5, 12], d), g.constant(d, [], [1, 3])]);
  },
  (g) => g.node("Shape", [g.any()], g.chance(3) ? { start: g.axis(2), end: g.random.below(4) } : {}),
  (g) => g.node("NonZero", [g.any(1, 3)]),
  (g) => {
    const x = g.any(1, 3);
    const attrs = g.chance(2) ? { axis: g.axis(g.rank(x)) } : {};
    return g.node("Unique", [x], { ...attrs, sorted: g.random.below(2) }, 1 + g.random.below(4));
  },
  (g) => {
    const x = g.any(1, 3);
    const n = 1 + g.random.below(5);
    const flags = g.chance(2) ? g.constant("bool", [n]) : g.given("bool", [n]);
    const rank = g.rank(x);
    const axis = g.axis(rank);
    const size = extent(g, x, axis);
    return g.node("Compress", [x, flags], size >= n ? { axis } : g.sizeOf(x) >= n && g.known(x) ? {} : { axis });
  },
  (g) => {
    const x = g.any(1, 3);
    const axis = g.axis(g.rank(x));
    const n = extent(g, x, axis);
    if (n < 1) return false;
    return g.node("TopK", [x, g.integers([1], [0, n])], { axis, largest: g.random.below(2), sorted: 1 }, 2);
  },
  (g) => {
    const x = g.any();
    const dims = g.known(x);
    const cond = g.find(
      (d, s) =>
        d === "bool" &&
        s.length <= g.rank(x) &&
        s.every((e, k) => e === D.one || e === g.shapeOf(x)[g.rank(x) - s.length + k]),
    );
    const c = cond ?? (dims && g.chance(2) ? g.given("bool", dims) : g.constant("bool", []));
    return g.node("Where", [c, x, g.partner(x)]);
  },
  (g) => {
    const index = g.integers(g.random.pick([[], [3], [2, 2]]), [-4, 4], g.random.pick(["i64", "i32", "f32"]));
    return g.node("OneHot", [index, g.ints([4]), g.constant(g.random.pick(["f32", "i32", "i64"]), [2])], {
      axis: g.random.pick([-1, 0]),
    });
  },
  (g) => {
    const x = g.need(["f32", "f32", "f16", "u8", "i8", "i32", "f64"], 3, 4);
    const rank = g.rank(x);
    const mode = g.random.pick(["nearest", "nearest", "linear", "linear", "cubic"]);
    if (mode === "cubic" && rank !== 4) return false;
    const coordinate_transformation_mode = g.random.pick([
      "half_pixel",
      "asymmetric",
      "align_corners",
      "pytorch_half_pixel",
      "half_pixel_symmetric",
    ]);
    const nearest_mode = g.random.pick(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]);
    const attrs = { mode, coordinate_transformation_mode, ...(mode === "nearest" ? { nearest_mode } : {}) };
    if (g.chance(2)) {
      const scales = g.numbers(x).map((_, k) => (k < 2 ? 1 : g.random.pick([0.5, 1, 2, 3, 1.5])));
      return g.node("Resize", [x, null, g.builder.floats(scales)], attrs);
    }
    const dims = g.known(x);
    if (!dims) return false;
    return g.node("Resize", [x, null, null, g.ints(dims.map((n, k) => (k < 2 ? n : 1 + g.random.below(8))))], attrs);
  },
];
