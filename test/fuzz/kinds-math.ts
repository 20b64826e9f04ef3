// Kinds of nodes that compute: arithmetic of further inputs, sums of products, reductions, quantization.
import type { ValueId } from "../../src/base/brand.ts";
import * as D from "../../src/ir/dim.ts";
import type { DType } from "../../src/ir/types.ts";
import type { AnyKind, AnyMaker } from "./any.ts";

const floats: readonly DType[] = ["f32", "f32", "f32", "f16", "f64", "bf16"];
const scalars: readonly DType[] = ["f32", "f32", "i64", "i32", "f64", "f16", "u8", "i8"];

function scale(g: AnyMaker, dims: readonly number[], dtype: DType = "f32"): ValueId {
  return g.constant(dtype, dims, dtype === "f32" ? [0.01, 0.2] : undefined);
}
function matrix(
  g: AnyMaker,
  dtypes: readonly DType[],
  transposed = false,
): { readonly x: ValueId; readonly k: number } | null {
  const x = g.need(dtypes, 2);
  const k = D.known(g.shapeOf(x)[transposed ? 0 : 1]!);
  return k === null ? null : { x, k };
}

export const maths: readonly AnyKind[] = [
  (g) => {
    const x = g.any();
    const bound = (): ValueId | null => (g.chance(3) ? null : g.constant(g.typeOf(x), []));
    return g.node("Clip", [x, bound(), bound()]);
  },
  (g) => {
    const x = g.any();
    return g.node(
      g.random.pick(["Add", "Sub", "Mul", "Div", "Max", "Min"]),
      g.chance(2) ? [x, g.partner(x)] : [g.partner(x), x],
    );
  },
  (g) => {
    const x = g.any();
    return g.node(g.random.pick(["Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"]), [x, g.partner(x)]);
  },
  (g) => {
    const x = g.need(["bool"], 0, 4);
    return g.node(g.random.pick(["And", "Or", "Xor"]), [x, g.partner(x)]);
  },
  (g) => {
    const x = g.need(["i64", "i32", "u8", "i8", "u32", "u64", "i16"], 0, 4);
    return g.node(g.random.pick(["BitwiseAnd", "BitwiseOr", "BitwiseXor"]), [x, g.partner(x)]);
  },
  (g) => {
    const x = g.need(["u8", "u32", "u64", "u16"], 0, 3);
    return g.node("BitShift", [x, g.constant(g.typeOf(x), [], [0, 7])], {
      direction: g.random.pick(["LEFT", "RIGHT"]),
    });
  },
  (g) => {
    const x = g.any();
    const fmod = g.isFloat(x) ? 1 : g.random.below(2);
    return g.node("Mod", [x, g.partner(x)], { fmod });
  },
  (g) => {
    const x = g.need(scalars, 0, 4);
    const d = g.random.pick(["f32", "f32", "i32", "i64", g.typeOf(x)] as const);
    return g.node("Pow", [x, g.constant(d, [], d === "f32" ? [-2, 3] : [0, 3])]);
  },
  (g) => {
    const x = g.any(1, 4);
    const rank = g.rank(x);
    const type = g.random.pick(["Sum", "Max", "Min", "Mean", "Prod", "L1", "L2", "SumSquare", "LogSum", "LogSumExp"]);
    const axes = g.axesOf(rank);
    const inputs = axes.length === 0 && g.chance(2) ? [x] : [x, g.ints(axes)];
    return g.node(`Reduce${type}`, inputs, { keepdims: g.random.below(2), noop_with_empty_axes: g.random.below(2) });
  },
  (g) => {
    const x = g.any(1, 4);
    return g.node(g.random.pick(["ArgMax", "ArgMin"]), [x], {
      axis: g.axis(g.rank(x)),
      keepdims: g.random.below(2),
      select_last_index: g.random.below(2),
    });
  },
  (g) => {
    const x = g.need(["f32", "i64", "i32", "f64"], 1, 4);
    const axis = g.builder.scalar(g.axis(g.rank(x)), g.random.pick(["i64", "i32"]));
    return g.node("CumSum", [x, axis], { exclusive: g.random.below(2), reverse: g.random.below(2) });
  },
  (g) => {
    const x = g.need(floats, 1, 4);
    return g.node(g.random.pick(["Softmax", "LogSoftmax", "Hardmax"]), [x], { axis: g.axis(g.rank(x)) });
  },
  (g) => {
    const m = matrix(g, ["f32", "f32", "f64", "f16", "i32", "i64", "u32"], g.chance(2));
    if (!m) return false;
    const transA = D.known(g.shapeOf(m.x)[1]!) === m.k ? 0 : 1;
    const n = g.random.pick([1, 3, 5, 8, 16]);
    const transB = g.random.below(2);
    const dtype = g.typeOf(m.x);
    const w = g.constant(dtype, transB ? [n, m.k] : [m.k, n]);
    const c = g.chance(2) ? [g.constant(dtype, g.random.pick([[n], [1], [1, n], []]))] : [];
    const whole = !g.isFloat(m.x);
    const factor = (): number => (whole ? g.random.pick([0, 1, 2]) : g.random.pick([0, 0.5, 1, 2]));
    return g.node("Gemm", [m.x, w, ...c], {
      transA,
      transB,
      ...(g.chance(2) ? { alpha: factor(), beta: factor() } : {}),
    });
  },
  (g) => {
    const x = g.need(["f32", "f64", "f16", "i32", "i64", "u32", "u64", "bf16"], 1, 4);
    const k = D.known(g.shapeOf(x).at(-1)!);
    if (k === null) return false;
    const lead = g.chance(3) ? [g.random.pick([1, 2])] : [];
    const dims = g.chance(5) ? [k] : [...(g.rank(x) > 2 ? [] : lead), k, g.random.pick([1, 2, 5, 8, 16])];
    return g.node("MatMul", [x, g.constant(g.typeOf(x), dims)]);
  },
  (g) => {
    const m = matrix(g, ["u8", "i8"]);
    if (!m) return false;
    const d = g.random.pick(["u8", "i8"] as const);
    const n = g.random.pick([1, 3, 8, 16]);
    const zeros = g.chance(2) ? [g.constant(g.typeOf(m.x), []), g.constant(d, g.chance(2) ? [] : [n])] : [];
    return g.node("MatMulInteger", [m.x, g.constant(d, [m.k, n]), ...zeros]);
  },
  (g) => {
    const m = matrix(g, ["u8", "i8"]);
    if (!m) return false;
    const d = g.typeOf(m.x);
    const n = g.random.pick([1, 3, 8, 16]);
    const zero = (): ValueId => g.constant(d, []);
    const w = g.constant(g.random.pick([d, "i8"]), [m.k, n]);
    return g.node("QLinearMatMul", [
      m.x,
      scale(g, []),
      zero(),
      w,
      scale(g, []),
      g.constant(g.typeOf(w), []),
      scale(g, []),
      zero(),
    ]);
  },
  (g) => {
    const x = g.need(["u8", "i8", "u8", "i8", "i32", "i16", "u16", "f8e4m3fn", "i4", "u4"], 0, 4);
    const d = g.typeOf(x);
    const rank = g.rank(x);
    const axis = rank > 0 ? g.axis(rank) : 0;
    const n = rank > 0 ? D.known(g.shapeOf(x)[axis < 0 ? axis + rank : axis]!) : null;
    const dims = n !== null && g.chance(2) ? [n] : [];
    const zero = d === "i32" || g.chance(2) ? [] : [g.constant(d, dims)];
    return g.node("DequantizeLinear", [x, scale(g, dims), ...zero], dims.length > 0 ? { axis } : {});
  },
  (g) => {
    const x = g.need(["f32", "f32", "f32", "i32", "f16"], 0, 4);
    const d = g.random.pick(["u8", "i8", "u8", "i8", "u16", "i16", "f8e4m3fn", "f8e5m2", "i4", "u4"] as const);
    const rank = g.rank(x);
    const axis = rank > 0 ? g.axis(rank) : 0;
    const n = rank > 0 ? D.known(g.shapeOf(x)[axis < 0 ? axis + rank : axis]!) : null;
    const dims = n !== null && g.chance(2) ? [n] : [];
    const sd = g.typeOf(x) === "i32" ? "f32" : g.typeOf(x);
    if (sd === "f16") return g.node("QuantizeLinear", [x, g.constant("f16", [])]);
    return g.node("QuantizeLinear", [x, scale(g, dims), g.constant(d, dims)], dims.length > 0 ? { axis } : {});
  },
  (g) => g.node("DynamicQuantizeLinear", [g.need(["f32"], 0, 4)], {}, 3),
  (g) => {
    const x = g.need(["f32", "f32", "f64", "i32"], 2, 3);
    const s = g.known(x);
    if (!s) return false;
    const d = g.typeOf(x);
    const [a, b] = s.length === 2 ? [s[0]!, s[1]!] : [s[1]!, s[2]!];
    const batch = s.length === 3 ? "b" : "";
    const equations: readonly (readonly [string, readonly (readonly number[])[]])[] = [
      [`${batch}ij->${batch}ji`, []],
      [`${batch}ij->${batch}i`, []],
      [`${batch}ij,jk->${batch}ik`, [[b, 3]]],
      [`${batch}ij,kj->${batch}ki`, [[4, b]]],
      [`${batch}ij,i->${batch}j`, [[a]]],
      [`${batch}ij,k->${batch}ijk`, [[2]]],
      [`...j,jk`, [[b, 2]]],
      [`${batch}ij->`, []],
    ];
    const [equation, more] = g.random.pick(equations);
    return g.node("Einsum", [x, ...more.map((dims) => g.constant(d, dims))], { equation });
  },
  (g) => {
    const n = 1 + g.random.below(4);
    return g.node("Det", [
      g.given(
        g.random.pick(["f32", "f64"]),
        g.random.pick([
          [n, n],
          ["A", n, n],
        ]),
      ),
    ]);
  },
  (g) =>
    g.node("IsInf", [g.need(["f32", "f64", "f16"], 0, 4)], {
      detect_negative: g.random.below(2),
      detect_positive: g.random.below(2),
    }),
  (g) => {
    const x = g.need(["f32", "f64", "f16"], 0, 4);
    return g.node("PRelu", [x, g.constant(g.typeOf(x), [])]);
  },
];
