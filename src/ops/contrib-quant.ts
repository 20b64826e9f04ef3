// onnxruntime's operators (com.microsoft) on quantised values: dequantise, compute, quantise; and weights of a few bits.
import type { ValueId } from "../base/brand.ts";
import * as D from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { type Expr, i32, load } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import { type InferCtx, type OpDef, op, type RawNode } from "../ir/opdef.ts";
import { isFloat, type TensorType, tensorType, type ValueType } from "../ir/types.ts";
import { broadcastShapes, noAttrs, shapeText, tensor, wide } from "./common.ts";
import { contraction, Gemm, sumOfProducts } from "./contract.ts";
import { elementwiseOps, Where } from "./elementwise.ts";
import { Expander } from "./expander.ts";
import { Concat, Transpose } from "./move.ts";
import { Softmax } from "./norm.ts";
import { AveragePool, GlobalAveragePool, MaxPool, type PoolAttrs, parsePool } from "./pool.ts";
import { DequantizeLinear, microsoft, QLinearConv, QuantizeLinear } from "./quant.ts";

const perTensor = { axis: 1, block: 0 };
const at = (inputs: readonly (ValueId | null)[], k: number): ValueId | null => inputs[k] ?? null;
/** The value of x, scale and zero point that stand at `k` in the inputs. */
function real(e: Expander, inputs: readonly (ValueId | null)[], k: number): ValueId {
  return e.one(DequantizeLinear, [at(inputs, k), at(inputs, k + 1), at(inputs, k + 2)], perTensor);
}
/** A value by the scale and zero point that stand at `k` in the inputs. */
function quantized(e: Expander, y: ValueId, inputs: readonly (ValueId | null)[], k: number): ValueId {
  return e.one(QuantizeLinear, [y, at(inputs, k), at(inputs, k + 1)], perTensor);
}

type Types = readonly (ValueType | null)[];
/** operands, result: positions of x (followed by scale and zero point), and of the result's scale, in the inputs. */
type Places = { readonly operands: (count: number) => readonly number[]; readonly result: number };
function onQuantized<A extends Attrs>(
  type: string,
  places: Places,
  parse: (n: RawNode) => A,
  infer: (x: readonly TensorType[], a: A, ctx: InferCtx, all: Types) => TensorType["shape"],
  compute: (e: Expander, xs: readonly ValueId[], a: A, inputs: readonly (ValueId | null)[]) => ValueId,
): OpDef<A> {
  return op<A>({
    name: type,
    onnx: [microsoft(type)],
    accuracy: { kind: "exact" },
    effects: "none",
    parse,
    infer: (x, a, ctx) => {
      const xs = places.operands(x.length).map((k) => tensor(x, k, ctx));
      return [tensorType(xs[0]!.dtype, infer(xs, a, ctx, x))];
    },
    body: {
      kind: "expand",
      expand: (b, n) => {
        const e = new Expander(b);
        const xs = places.operands(n.inputs.length).map((k) => real(e, n.inputs, k));
        return [quantized(e, compute(e, xs, n.attrs, n.inputs), n.inputs, places.result)];
      },
    },
  });
}
const one: Places = { operands: () => [0], result: 3 };
const two: Places = { operands: () => [0, 3], result: 6 };
const like = (x: readonly TensorType[]): TensorType["shape"] => x[0]!.shape;
const broadcast = (x: readonly TensorType[], _a: unknown, ctx: InferCtx): TensorType["shape"] =>
  broadcastShapes(
    x.map((t) => t.shape),
    ctx,
  );
const named = (name: string): OpDef<Attrs> => elementwiseOps.find((d) => d.name === name)!;
const shapeOf = (t: ValueType | undefined): TensorType["shape"] => (t?.kind === "tensor" ? t.tensor.shape : []);

type Last = { readonly last: boolean };
const parseLast = (n: RawNode): Last => ({ last: n.int("channels_last", 0) !== 0 });
/** Axes in the order that has channels second, or (back) last again. */
function channels(rank: number, back = false): readonly number[] {
  const axes = Array.from({ length: rank }, (_, k) => k);
  return back ? [0, ...axes.slice(2), 1] : [0, rank - 1, ...axes.slice(1, -1)];
}
const turned = (s: TensorType["shape"], back = false): TensorType["shape"] =>
  channels(s.length, back).map((k) => s[k]!);
/** The shape that `shape` gives for one whose channels are second. */
function shapeChannelsFirst(
  a: Last,
  t: TensorType,
  shape: (t: TensorType) => TensorType["shape"],
): TensorType["shape"] {
  return a.last ? turned(shape({ ...t, shape: turned(t.shape) }), true) : shape(t);
}
/** `f` of x with its channels second; the result has them where x has them. */
function channelsFirst(e: Expander, a: Last, x: ValueId, f: (x: ValueId) => ValueId): ValueId {
  if (!a.last) return f(x);
  const rank = e.shape(x).length;
  const y = f(e.one(Transpose, [x], { perm: channels(rank) }));
  return e.one(Transpose, [y], { perm: channels(rank, true) });
}

/** Inputs: y_scale, y_zero_point, then x, scale, zero point of each part. */
const QLinearConcat = onQuantized(
  "QLinearConcat",
  { operands: (count) => Array.from({ length: Math.floor((count - 2) / 3) }, (_, k) => 2 + 3 * k), result: 0 },
  (n) => ({ axis: n.int("axis") }),
  (x, a, ctx) =>
    shapeOf(
      Concat.infer(
        x.map((t) => tensorType(t.dtype, t.shape)),
        a,
        ctx,
      )[0],
    ),
  (e, xs, a) => e.one(Concat, xs, a),
);
const QLinearAveragePool = onQuantized<PoolAttrs & Last>(
  "QLinearAveragePool",
  one,
  (n) => ({ ...parsePool(n), ...parseLast(n) }),
  ([t], a, ctx) =>
    shapeChannelsFirst(a, t!, (s) => shapeOf(AveragePool.infer([tensorType("f32", s.shape)], a, ctx)[0])),
  (e, [x], a) => channelsFirst(e, a, x!, (v) => e.one(AveragePool, [v], a)),
);
const QLinearGlobalAveragePool = onQuantized(
  "QLinearGlobalAveragePool",
  one,
  parseLast,
  ([t], a, ctx) =>
    shapeChannelsFirst(a, t!, (s) => shapeOf(GlobalAveragePool.infer([tensorType("f32", s.shape)], {}, ctx)[0])),
  (e, [x], a) => channelsFirst(e, a, x!, (v) => e.one(GlobalAveragePool, [v], {})),
);
/** Before opset 13 of ONNX the axes from `axis` on are one. */
const QLinearSoftmax = onQuantized(
  "QLinearSoftmax",
  one,
  (n) => ({ axis: n.int("axis", -1), flat: n.int("opset", 13) < 13 }),
  like,
  (e, [x], a) => e.one(Softmax, [x!], a),
);
/** Inputs: condition, x, x_scale, x_zero_point, y, y_scale, y_zero_point, z_scale, z_zero_point. */
const QLinearWhere = onQuantized(
  "QLinearWhere",
  { operands: () => [1, 4], result: 7 },
  noAttrs,
  (x, _a, ctx, all) => broadcastShapes([tensor(all, 0, ctx).shape, ...x.map((t) => t.shape)], ctx),
  (e, [x, y], _a, inputs) => e.one(Where, [at(inputs, 0), x!, y!], {}),
);

/** A, a_scale, a_zero_point, B, b_scale, b_zero_point, C (in units of both scales), y_scale, y_zero_point; without those of y: floats. */
const QGemm: OpDef<{ alpha: number; transA: boolean; transB: boolean }> = op({
  name: "QGemm",
  onnx: [microsoft("QGemm")],
  accuracy: contraction,
  effects: "none",
  parse: (n) => ({
    alpha: n.float("alpha", 1),
    transA: n.int("transA", 0) !== 0,
    transB: n.int("transB", 0) !== 0,
  }),
  infer: (x, a, ctx) => {
    const floats = [0, 3].map((k) => tensorType("f32", tensor(x, k, ctx).shape));
    const zero = x[8];
    return [
      tensorType(
        x[7] ? (zero?.kind === "tensor" ? zero.tensor.dtype : "u8") : "f32",
        shapeOf(Gemm.infer(floats, { ...a, beta: 1 }, ctx)[0]),
      ),
    ];
  },
  body: {
    kind: "expand",
    expand: (b, n) => {
      const e = new Expander(b);
      const { alpha, transA, transB } = n.attrs;
      const x = n.inputs;
      // Scales and zero points of B may be one for each of its columns.
      const y = e.one(DequantizeLinear, [at(x, 3), at(x, 4), at(x, 5)], { axis: transB ? 0 : 1, block: 0 });
      const c = at(x, 6);
      const unit = e.mul(at(x, 1)!, at(x, 4)!);
      const bias = c === null ? null : e.mul(e.cast(c, "f32"), unit);
      const sum = e.one(Gemm, [real(e, x, 0), y, bias], { alpha, beta: alpha, transA, transB });
      return [at(x, 7) === null ? sum : quantized(e, sum, x, 7)];
    },
  },
});

type ConvAttrs = Parameters<(typeof QLinearConv)["infer"]>[1] & Last;
/** As ONNX's, for images whose channels may be last; weights are [out, in, kernel] all the same. */
const ChannelsLastConv: OpDef<ConvAttrs> = op({
  name: "QLinearConv.microsoft",
  onnx: [microsoft("QLinearConv")],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => ({ ...QLinearConv.parse(n), ...parseLast(n) }),
  infer: (x, a, ctx) => {
    const first = (t: TensorType): Types => [tensorType(t.dtype, t.shape), ...x.slice(1)];
    const shape = shapeChannelsFirst(a, tensor(x, 0, ctx), (t) => shapeOf(QLinearConv.infer(first(t), a, ctx)[0]));
    return [tensorType(tensor(x, 7, ctx).dtype, shape)];
  },
  body: {
    kind: "expand",
    expand: (b, n) => {
      const e = new Expander(b);
      const { last, ...attrs } = n.attrs;
      return [channelsFirst(e, { last }, n.inputs[0]!, (x) => e.one(QLinearConv, [x, ...n.inputs.slice(1)], attrs))];
    },
  },
});
/** Of images whose channels are last. */
const NhwcMaxPool: OpDef<PoolAttrs> = op({
  name: "NhwcMaxPool",
  onnx: [microsoft("NhwcMaxPool")],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: parsePool,
  infer: (x, a, ctx) => {
    const t = tensor(x, 0, ctx);
    const shape = (s: TensorType): TensorType["shape"] =>
      shapeOf(MaxPool.infer([tensorType(s.dtype, s.shape)], a, ctx)[0]);
    return [tensorType(t.dtype, shapeChannelsFirst({ last: true }, t, shape))];
  },
  body: {
    kind: "expand",
    expand: (b, n) => {
      const e = new Expander(b);
      return [channelsFirst(e, { last: true }, n.inputs[0]!, (x) => e.one(MaxPool, [x], n.attrs))];
    },
  },
});

type BitsAttrs = { readonly k: number; readonly n: number; readonly bits: number; readonly block: number };
/** Number `at` of a row of numbers of `bits` each, packed into bytes from the low bits on. */
function unpacked(row: (byte: Expr) => Expr, at: Expr, bits: number): Expr {
  const perByte = 8 / bits;
  if (perByte === 1) return E.to("i32", row(at));
  const byte = E.to("i32", row(E.floordiv(at, perByte)));
  const shifted = E.binary<Expr>("shr", byte, E.mul(E.floormod(at, perByte), bits));
  return E.binary<Expr>("bitand", shifted, i32(2 ** bits - 1));
}
/**
 * A [..., K] times a matrix [N, K] of weights of 2, 4 or 8 bits, transposed. Inputs: A, B [N, blocks, bytes], scales [N * blocks], zero
 * points (packed as the weights are, or of A's type), the block of each k, bias.
 */
const MatMulNBits: OpDef<BitsAttrs> = op({
  name: "MatMulNBits",
  onnx: [microsoft("MatMulNBits")],
  accuracy: contraction,
  effects: "none",
  parse: (n) => {
    for (const unused of ["accuracy_level", "weight_prepacked"]) n.has(unused);
    const bits = n.int("bits", 4);
    if (![2, 4, 8].includes(bits)) n.fail(`weights of ${bits} bits`);
    if (n.int("weight_prepacked", 0) !== 0) n.fail("weights packed for one kind of processor");
    return { k: n.int("K"), n: n.int("N"), bits, block: n.int("block_size") };
  },
  infer: (x, a, ctx) => {
    const t = tensor(x, 0, ctx);
    const k = t.shape[t.shape.length - 1];
    if (!k || (k.kind === "int" && k.value !== a.k)) ctx.fail(`${shapeText(t.shape)} times weights of ${a.k} rows`);
    return [tensorType(t.dtype, [...t.shape.slice(0, -1), D.int(a.n)])];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const a = n.attrs;
      const [x, packed, scales, out] = [b.input(0), b.input(1), b.input(2), b.output(0)];
      const t = wide(x.dtype);
      const blocks = Math.ceil(a.k / a.block);
      const bytes = (a.block * a.bits) / 8;
      const flat = (buffer: typeof scales, row: Expr, columns: number, column: Expr): Expr =>
        buffer.shape.length === 1
          ? load(buffer, [E.add(E.mul(row, columns), column)])
          : load(buffer, [row, column, ...buffer.shape.slice(2).map(() => i32(0))]);
      const zero = (row: Expr, block: Expr): Expr => {
        if (!b.has(3)) return E.constant(t, 2 ** (a.bits - 1));
        const z = b.input(3);
        if (isFloat(z.dtype)) return E.to(t, flat(z, row, blocks, block));
        const width = Math.ceil((blocks * a.bits) / 8);
        return E.to(
          t,
          unpacked((byte) => flat(z, row, width, byte), block, a.bits),
        );
      };
      const weights = b.temp(`${packed.name}.weights`, t, [D.int(a.n), D.int(a.k)]);
      b.map(weights, ([row, k]) => {
        const stored = unpacked(
          (byte) => load(packed, [row!, E.floordiv(byte, bytes), E.floormod(byte, bytes)]),
          k!,
          a.bits,
        );
        const block = b.has(4) ? E.to("i32", load(b.input(4), [k!])) : E.floordiv(k!, a.block);
        return E.mul(E.sub(E.to(t, stored), zero(row!, block)), E.to(t, flat(scales, row!, blocks, block)));
      });
      sumOfProducts(
        b,
        out,
        [D.int(a.k)],
        (i, [k]) => [E.to(t, load(x, [...i.slice(0, -1), k!])), load(weights, [i[i.length - 1]!, k!])],
        (s, i) => E.to(out.dtype, b.has(5) ? E.add(s, E.to(t, load(b.input(5), [i[i.length - 1]!]))) : s),
        t,
      );
    },
  },
});

export const contribQuantOps: readonly OpDef<Attrs>[] = [
  onQuantized("QLinearAdd", two, noAttrs, broadcast, (e, [x, y]) => e.add(x!, y!)),
  onQuantized("QLinearMul", two, noAttrs, broadcast, (e, [x, y]) => e.mul(x!, y!)),
  onQuantized("QLinearSigmoid", one, noAttrs, like, (e, [x]) => e.one(named("Sigmoid"), [x!], {})),
  onQuantized(
    "QLinearLeakyRelu",
    one,
    (n) => ({ alpha: n.float("alpha", 0.01) }),
    like,
    (e, [x], a) => e.one(named("LeakyRelu"), [x!], a),
  ),
  QLinearConcat,
  QLinearAveragePool,
  QLinearGlobalAveragePool,
  QLinearSoftmax,
  QLinearWhere,
  QGemm,
  ChannelsLastConv,
  NhwcMaxPool,
  MatMulNBits,
] as unknown as readonly OpDef<Attrs>[];
