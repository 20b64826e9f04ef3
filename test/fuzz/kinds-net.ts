// Kinds of nodes of neural networks: convolutions of other types, pools, norms, attention, contributed operators, classical models.
import type { ValueId } from "../../src/base/brand.ts";
import * as D from "../../src/ir/dim.ts";
import { type DType, tensorOf } from "../../src/ir/types.ts";
import type { Attributes } from "../schedule/build.ts";
import type { AnyKind, AnyMaker } from "./any.ts";

const floats: readonly DType[] = ["f32", "f32", "f32", "f16", "f64"];
const ms = { domain: "com.microsoft" };
const ml = { domain: "ai.onnx.ml" };

function window(g: AnyMaker, spatial: readonly number[]): { readonly kernel: number[]; readonly attrs: Attributes } {
  const r = g.random;
  const kernel = spatial.map((n) => 1 + r.below(Math.max(1, Math.min(3, n))));
  const strides = g.chance(2) ? { strides: spatial.map(() => 1 + r.below(2)) } : {};
  const pads: Attributes = g.chance(2)
    ? { pads: [...kernel, ...kernel].map((k) => r.below(k)) }
    : g.chance(4)
      ? { auto_pad: "SAME_UPPER" }
      : {};
  return { kernel, attrs: { ...strides, ...pads } };
}
function image(
  g: AnyMaker,
  dtypes: readonly DType[],
): { readonly x: ValueId; readonly c: number; readonly spatial: number[] } | null {
  const x = g.need(dtypes, 3, 4);
  const c = D.known(g.shapeOf(x)[1]!);
  const spatial = g
    .shapeOf(x)
    .slice(2)
    .map((d) => D.known(d) ?? 1);
  return c === null || c === 0 || spatial.includes(0) ? null : { x, c, spatial };
}
const scale = (g: AnyMaker, dims: readonly number[]): ValueId => g.constant("f32", dims, [0.01, 0.2]);

export const nets: readonly AnyKind[] = [
  (g) => {
    const i = image(g, ["f16", "f64", "f32"]);
    if (!i) return false;
    const { kernel, attrs } = window(g, i.spatial);
    const group = g.chance(3) ? i.c : 1;
    const m = group * (1 + g.random.below(3));
    return g.node("Conv", [i.x, g.constant(g.typeOf(i.x), [m, i.c / group, ...kernel])], { ...attrs, group });
  },
  (g) => {
    const i = image(g, ["u8", "i8"]);
    if (!i) return false;
    const { kernel, attrs } = window(g, i.spatial);
    const group = g.chance(3) ? i.c : 1;
    const m = group * (1 + g.random.below(3));
    const d = g.random.pick(["u8", "i8"] as const);
    const x = g.typeOf(i.x);
    const w = g.constant(d, [m, i.c / group, ...kernel]);
    if (g.chance(2))
      return g.node("ConvInteger", [i.x, w, ...(g.chance(2) ? [g.constant(x, []), g.constant(d, [])] : [])], {
        ...attrs,
        group,
      });
    const per = g.chance(2) ? [m] : [];
    const bias = g.chance(2) ? [g.constant("i32", [m])] : [];
    return g.node(
      "QLinearConv",
      [
        i.x,
        scale(g, []),
        g.constant(x, []),
        w,
        scale(g, per),
        g.constant(d, per),
        scale(g, []),
        g.constant(x, []),
        ...bias,
      ],
      { ...attrs, group },
    );
  },
  (g) => {
    const i = image(g, ["u8", "i8", "f16", "f64", "f32"]);
    if (!i) return false;
    const { kernel, attrs } = window(g, i.spatial);
    const type = g.isFloat(i.x) ? g.random.pick(["MaxPool", "AveragePool", "LpPool"]) : "MaxPool";
    const ceil: Attributes = g.chance(3) && !("auto_pad" in attrs) ? { ceil_mode: 1 } : {};
    const outputs = type === "MaxPool" ? 1 + g.random.below(2) : 1;
    return g.node(
      type,
      [i.x],
      { ...attrs, ...ceil, kernel_shape: kernel, ...(type === "LpPool" ? { p: 2 } : {}) },
      outputs,
    );
  },
  (g) => {
    const i = image(g, floats);
    if (!i) return false;
    const d = g.typeOf(i.x);
    const per = (within?: readonly [number, number]): ValueId => g.constant(d, [i.c], within);
    return g.node("BatchNormalization", [i.x, per(), per(), per(), d === "f16" ? per() : per([0.5, 1.5])], {
      epsilon: 0.01,
    });
  },
  (g) => {
    const i = image(g, floats);
    if (!i) return false;
    const groups = [1, 2, 3, i.c].filter((n) => i.c % n === 0);
    const per = (): ValueId => g.constant(g.typeOf(i.x), [i.c]);
    return g.node("GroupNormalization", [i.x, per(), per()], { num_groups: g.random.pick(groups), epsilon: 0.1 });
  },
  (g) => {
    const x = g.need(floats, 2, 4);
    const n = D.known(g.shapeOf(x).at(-1)!);
    if (n === null) return false;
    const type = g.random.pick(["LayerNormalization", "RMSNormalization"]);
    return g.node(type, [x, g.constant(g.typeOf(x), [n])], { axis: -1, epsilon: 0.1 });
  },
  (g) => {
    const x = g.need(floats, 1, 4);
    return g.node("LpNormalization", [x], { axis: g.axis(g.rank(x)), p: g.random.pick([1, 2]) });
  },
  (g) => {
    const x = g.need(["f32"], 4);
    return g.node("LRN", [x], { size: g.random.pick([1, 3, 5]), alpha: 0.1, bias: 1 });
  },
  (g) => {
    const x = g.need(["f32"], 4);
    return g.node("MeanVarianceNormalization", [x], { axes: g.chance(2) ? [0, 2, 3] : [1] });
  },
  (g) => g.node("Dropout", [g.any()], {}, 1 + g.random.below(2)),
  (g) => {
    const i = image(g, ["f32", "f64"]);
    if (i?.spatial.length !== 2) return false;
    const n = D.known(g.shapeOf(i.x)[0]!);
    if (n === null) return false;
    const grid = g.constant(g.typeOf(i.x), [n, 2, 3, 2], [-1.25, 1.25]);
    return g.node("GridSample", [i.x, grid], {
      mode: g.random.pick(["linear", "nearest", "cubic"]),
      padding_mode: g.random.pick(["zeros", "border", "reflection"]),
      align_corners: g.random.below(2),
    });
  },
  (g) => {
    const [b, h, t, e] = [
      1 + g.random.below(2),
      g.random.pick([1, 2, 4]),
      1 + g.random.below(5),
      g.random.pick([2, 4, 8]),
    ];
    const q = g.need(["f32"], 4);
    const s = g.known(q);
    if (s && !s.includes(0)) {
      const kv = (): ValueId => g.given("f32", [s[0]!, s[1]!, t, s[3]!]);
      return g.node("Attention", [q, kv(), kv()], { is_causal: g.random.below(2) });
    }
    const make = (n: number): ValueId => g.given("f32", [b, h, n, e]);
    return g.node("Attention", [make(3), make(t), make(t)], { is_causal: g.random.below(2) });
  },
  (g) => {
    const [h, t, e] = [g.random.pick([1, 2, 4]), 1 + g.random.below(5), g.random.pick([2, 4, 8])];
    const table = (): ValueId => g.constant("f32", [9, e / 2]);
    return g.node(
      "RotaryEmbedding",
      [g.given("f32", ["A", h, t, e]), table(), table(), g.given("i64", ["A", t], [0, 8])],
      { interleaved: g.random.below(2) },
    );
  },
  (g) => {
    const [h, w] = [1 + g.random.below(2), 1 + g.random.below(2)];
    const [H, W] = [h + g.random.below(3), w + g.random.below(3)];
    const blocks = (H - h + 1) * (W - w + 1);
    return g.node("Col2Im", [g.given("f32", ["A", 2 * h * w, blocks]), g.ints([H, W]), g.ints([h, w])]);
  },
  (g) => {
    const boxes = g.given("f32", [1, 5, 4], [0, 2]);
    const scores = g.given("f32", [1, 2, 5], [0, 1]);
    return g.node("NonMaxSuppression", [boxes, scores, g.ints([3]), g.builder.floats([0.3]), g.builder.floats([0.2])]);
  },
  (g) => {
    const i = image(g, ["f32"]);
    if (i?.spatial.length !== 2) return false;
    return g.node("RoiAlign", [i.x, g.given("f32", [2, 4], [0, 4]), g.ints([0, 0])], {
      output_height: 2,
      output_width: 3,
      sampling_ratio: g.random.below(3),
      mode: g.random.pick(["avg", "max"]),
    });
  },
  (g) => {
    const x = g.given("f32", ["A", g.random.pick([4, 5, 8]), 1]);
    return g.node("DFT", [x, null, g.builder.scalar(1, "i64")], { onesided: g.random.below(2) });
  },
  (g) => {
    const [n, c] = [3, 4];
    return g.node("SoftmaxCrossEntropyLoss", [g.given("f32", [n, c]), g.integers([n], [0, c - 1])], {
      reduction: g.random.pick(["none", "sum", "mean"]),
    });
  },

  // ---- contributed ------------------------------------------------------------------------------------------------------
  (g) => {
    const x = g.need(["f32"], 2, 3);
    const n = D.known(g.shapeOf(x).at(-1)!);
    if (n === null) return false;
    const transB = g.random.below(2);
    return g.node(
      "FusedMatMul",
      [x, g.constant("f32", transB ? [5, n] : [n, 5])],
      { transB, alpha: g.random.pick([1, 0.5]) },
      1,
      ms,
    );
  },
  (g) => g.node(g.random.pick(["Gelu", "QuickGelu", "FastGelu"]), [g.need(["f32"], 1, 4)], {}, 1, ms),
  (g) => {
    const x = g.need(["f32"], 3);
    const n = D.known(g.shapeOf(x).at(-1)!);
    if (n === null) return false;
    const per = (): ValueId => g.constant("f32", [n]);
    if (g.chance(2)) return g.node("BiasGelu", [x, per()], {}, 1, ms);
    return g.node("SkipLayerNormalization", [x, g.twin(x), per(), per()], { epsilon: 0.1 }, 1, ms);
  },
  (g) => {
    const x = g.need(["u8", "i8"], 1, 4);
    const d = g.typeOf(x);
    const zero = (): ValueId => g.constant(d, []);
    return g.node(
      g.random.pick(["QLinearAdd", "QLinearMul"]),
      [x, scale(g, []), zero(), g.partner(x), scale(g, []), zero(), scale(g, []), zero()],
      {},
      1,
      ms,
    );
  },
  (g) => {
    const x = g.need(["u8", "i8"], 1, 4);
    const zero = (): ValueId => g.constant(g.typeOf(x), []);
    return g.node(
      g.random.pick(["QLinearSigmoid", "QLinearLeakyRelu"]),
      [x, scale(g, []), zero(), scale(g, []), zero()],
      {},
      1,
      ms,
    );
  },

  // ---- classical models -------------------------------------------------------------------------------------------------
  (g) => {
    const x = g.need(["f32", "f64", "i64", "i32"], 2);
    const n = D.known(g.shapeOf(x)[1]!);
    if (!n) return false;
    const list = (count: number): number[] => Array.from({ length: count }, () => Math.fround(g.random.next()));
    switch (g.random.below(4)) {
      case 0:
        return g.node("Scaler", [x], { offset: list(n), scale: list(n) }, 1, ml);
      case 1:
        return g.node("Normalizer", [x], { norm: g.random.pick(["MAX", "L1", "L2"]) }, 1, ml);
      case 2:
        return g.node("Binarizer", [x], { threshold: 0.25 }, 1, ml);
      default:
        return g.node("LinearRegressor", [x], { coefficients: list(2 * n), intercepts: list(2), targets: 2 }, 1, ml);
    }
  },
];

// ---- control flow of any types ------------------------------------------------------------------------------------------
export const controls: readonly AnyKind[] = [
  (g) => {
    // Branches that agree in type and rank, and not in dims.
    const [x, b] = [g.any(1, 3), g.builder];
    const cond = g.chance(2) ? g.given("bool", []) : b.op("Equal", [b.op("Size", [x]), b.scalar(6, "i64")]);
    const t = [b.type(x)];
    const whole = b.body(t, (c, [p]) => [c.op("Identity", [p!])]);
    const part = b.body(t, (c, [p]) => [c.op("Slice", [p!, c.ints([0]), c.ints([2]), c.ints([0])])]);
    const twice = b.body(t, (c, [p]) => [c.op("Concat", [p!, p!], { axis: 0 })]);
    return g.node("If", [cond, x, x], { then_branch: g.random.pick([whole, twice]), else_branch: part });
  },
  (g) => {
    // A sum over iterations, with what each gives, and a capture.
    const b = g.builder;
    const x = g.need(["i64", "f32", "i32", "f64"], 0, 3);
    const d = g.typeOf(x);
    const trip = g.integers([], [0, 4]);
    const stop = g.chance(2);
    const scalar = (dtype: DType) => ({ kind: "tensor", tensor: { dtype, shape: [] } }) as const;
    const body = b.body([scalar("i64"), scalar("bool"), b.type(x), b.type(x)], (c, [i, on, sum, captured]) => {
      const step = c.op("Cast", [i!], { to: d });
      const next = c.op("Add", [c.op("Max", [sum!, captured!]), step]);
      const go = stop ? c.op("Less", [i!, c.scalar(2, "i64")]) : c.op("Identity", [on!]);
      return [go, next, c.op("Sub", [next, captured!])];
    });
    const cond = g.chance(3) ? null : g.chance(2) ? b.scalar(1, "bool") : g.given("bool", []);
    return g.node("Loop", [trip, cond, x, x], { body }, 2, { captures: 1 });
  },
  (g) => {
    // The state grows.
    const b = g.builder;
    const x = g.need(["i64", "f32", "u8"], 1, 2);
    if (D.known(g.shapeOf(x)[0]!) === null || g.rank(x) !== 1) return false;
    const d = g.typeOf(x);
    const open = D.sym("$grow");
    const scalar = (dtype: DType) => ({ kind: "tensor", tensor: { dtype, shape: [] } }) as const;
    const state = { kind: "tensor", tensor: { dtype: d, shape: [open] } } as const;
    const body = b.body([scalar("i64"), scalar("bool"), state], (c, [, on, s]) => [
      c.op("Identity", [on!]),
      c.op("Concat", [s!, c.tensor(tensorOf(d, [1], [3]))], { axis: 0 }),
    ]);
    return g.node("Loop", [g.integers([], [0, 4]), null, x], { body }, 1);
  },
];
