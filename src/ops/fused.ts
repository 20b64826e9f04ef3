// onnxruntime's fused operators (com.microsoft) around products, convolutions and activations.
import type { ValueId } from "../base/brand.ts";
import * as E from "../ir/expr.ts";
import { type Expr, load } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import { type Accuracy, type OpDef, op, type RawNode } from "../ir/opdef.ts";
import { tensorType, type ValueType } from "../ir/types.ts";
import { broadcastShapes, likeInput, loadBroadcast, noAttrs, sameType, tensor, wide } from "./common.ts";
import { contraction, Gemm, MatMul } from "./contract.ts";
import { Conv, parseConv } from "./conv.ts";
import { elementwiseOps, geluErf, geluTanh, sigmoid } from "./elementwise.ts";
import { Expander } from "./expander.ts";
import { Transpose } from "./move.ts";
import { DynamicQuantizeLinear, MatMulIntegerToFloat, microsoft } from "./quant.ts";

type Activation = { readonly activation: string; readonly activationAttrs: readonly number[] };
/** Names and parameters of activations as fused operators write them. */
const activations: Readonly<Record<string, (p: readonly number[]) => Attrs>> = {
  Relu: () => ({}),
  Tanh: () => ({}),
  Sigmoid: () => ({}),
  HardSwish: () => ({}),
  LeakyRelu: ([alpha]) => ({ alpha: alpha ?? 0.01 }),
  Elu: ([alpha]) => ({ alpha: alpha ?? 1 }),
  Clip: ([min, max]) => ({ ...(min === undefined ? {} : { min }), ...(max === undefined ? {} : { max }) }),
  HardSigmoid: ([alpha, beta]) => ({ alpha: alpha ?? 0.2, beta: beta ?? 0.5 }),
  Softplus: () => ({}),
  Softsign: () => ({}),
  Selu: () => ({ alpha: 1.6732631921768188, gamma: 1.0507010221481323 }),
};
function parseActivation(n: RawNode, parameters: readonly number[]): Activation {
  const activation = n.string("activation", "");
  if (activation !== "" && !(activation in activations)) n.fail(`activation "${activation}" is unknown`);
  return { activation, activationAttrs: parameters };
}
function activate(e: Expander, x: ValueId, a: Activation): ValueId {
  if (a.activation === "") return x;
  const def = elementwiseOps.find((d) => d.name === a.activation);
  return def ? e.one(def, [x], activations[a.activation]!(a.activationAttrs)) : x;
}

type FusedConvAttrs = ReturnType<typeof parseConv> & Activation;
/** X, W, B, Z: activation(conv(X, W) + B + Z). */
export const FusedConv: OpDef<FusedConvAttrs> = op({
  name: "FusedConv",
  onnx: [microsoft("FusedConv")],
  accuracy: contraction,
  effects: "none",
  parse: (n) => ({ ...parseConv(n), ...parseActivation(n, n.floats("activation_params") ?? []) }),
  infer: (x, a, ctx) => Conv.infer(x, a, ctx),
  body: {
    kind: "expand",
    expand: (b, n) => {
      const e = new Expander(b);
      const { activation, activationAttrs, ...conv } = n.attrs;
      const y = e.one(Conv, n.inputs.slice(0, 3), conv);
      const z = n.inputs[3] ?? null;
      return [activate(e, z === null ? y : e.add(y, z), { activation, activationAttrs })];
    },
  },
});
type FusedGemmAttrs = {
  readonly alpha: number;
  readonly beta: number;
  readonly transA: boolean;
  readonly transB: boolean;
} & Activation;
export const FusedGemm: OpDef<FusedGemmAttrs> = op({
  name: "FusedGemm",
  onnx: [microsoft("FusedGemm")],
  accuracy: contraction,
  effects: "none",
  parse: (n) => ({
    alpha: n.float("alpha", 1),
    beta: n.float("beta", 1),
    transA: n.int("transA", 0) !== 0,
    transB: n.int("transB", 0) !== 0,
    ...parseActivation(
      n,
      ["activation_alpha", "activation_beta"].flatMap((k) => (n.has(k) ? [n.float(k)] : [])),
    ),
  }),
  infer: (x, a, ctx) => Gemm.infer(x, a, ctx),
  body: {
    kind: "expand",
    expand: (b, n) => {
      const e = new Expander(b);
      const { alpha, beta, transA, transB } = n.attrs;
      return [activate(e, e.one(Gemm, n.inputs, { alpha, beta, transA, transB }), n.attrs)];
    },
  },
});

type FusedMatMulAttrs = {
  readonly alpha: number;
  readonly transA: boolean;
  readonly transB: boolean;
  readonly batchA: boolean;
  readonly batchB: boolean;
};
/** Axes of an operand as the product wants them; transBatch: the matrix' rows are axis 0 and the batch axes follow. */
function operandPerm(rank: number, trans: boolean, batch: boolean): readonly number[] | null {
  if (rank < 2 || (!trans && !batch)) return null;
  const all = Array.from({ length: rank }, (_, k) => k);
  const lead = batch ? [...all.slice(1, -1), 0, rank - 1] : all;
  return trans ? [...lead.slice(0, -2), lead[rank - 1]!, lead[rank - 2]!] : lead;
}
export const FusedMatMul: OpDef<FusedMatMulAttrs> = op({
  name: "FusedMatMul",
  onnx: [microsoft("FusedMatMul"), microsoft("TransposeMatMul")],
  accuracy: contraction,
  effects: "none",
  parse: (n) => ({
    alpha: n.float("alpha", 1),
    transA: n.int("transA", 0) !== 0,
    transB: n.int("transB", 0) !== 0,
    batchA: n.int("transBatchA", 0) !== 0,
    batchB: n.int("transBatchB", 0) !== 0,
  }),
  infer: (x, a, ctx) => {
    const turned = (
      [
        ["transA", "batchA"],
        ["transB", "batchB"],
      ] as const
    ).map(([trans, batch], k): ValueType => {
      const t = tensor(x, k, ctx);
      const perm = operandPerm(t.shape.length, a[trans], a[batch]);
      return tensorType(t.dtype, perm ? perm.map((p) => t.shape[p]!) : t.shape);
    });
    return MatMul.infer(turned, {}, ctx);
  },
  body: {
    kind: "expand",
    expand: (b, n) => {
      const e = new Expander(b);
      const a = n.attrs;
      const turned = (
        [
          ["transA", "batchA"],
          ["transB", "batchB"],
        ] as const
      ).map(([trans, batch], k) => {
        const x = n.inputs[k]!;
        const perm = operandPerm(e.shape(x).length, a[trans], a[batch]);
        return perm ? e.one(Transpose, [x], { perm }) : x;
      });
      const y = e.one(MatMul, turned, {});
      return [a.alpha === 1 ? y : e.mul(y, e.cast(e.scalar("f32", a.alpha), e.dtype(y)))];
    },
  },
});

/** A (float) quantised on the fly, times B (int8): A, B, b_scale, b_zero_point, bias. */
export const DynamicQuantizeMatMul: OpDef<Record<string, never>> = op({
  name: "DynamicQuantizeMatMul",
  onnx: [microsoft("DynamicQuantizeMatMul")],
  accuracy: { kind: "rtol", r: 1e-5 },
  effects: "none",
  parse: noAttrs,
  infer: (x, _a, ctx) => {
    const [p, q] = [tensor(x, 0, ctx), tensor(x, 1, ctx)];
    return MatMul.infer([tensorType("f32", p.shape), tensorType("f32", q.shape)], {}, ctx);
  },
  body: {
    kind: "expand",
    expand: (b, n) => {
      const [a, w, scale, zero, bias] = Array.from({ length: 5 }, (_, k) => n.inputs[k] ?? null);
      const [q, aScale, aZero] = b.add(DynamicQuantizeLinear, [a!], {}, 3) as readonly [ValueId, ValueId, ValueId];
      return b.add(MatMulIntegerToFloat, [q, w!, aScale, scale!, aZero, zero ?? null, bias ?? null], {});
    },
  },
});

const activation: Accuracy = { kind: "ulps", n: 16 };
/** A function of the input, after adding a bias (input 1) where there is one. */
function biased<A extends Attrs>(type: string, parse: (n: RawNode) => A, f: (x: Expr, a: A) => Expr): OpDef<A> {
  return op<A>({
    name: `${type}.microsoft`,
    onnx: [microsoft(type)],
    accuracy: activation,
    effects: "none",
    parse,
    infer: (x, _a, ctx) => {
      if (!x[1]) return likeInput(x, ctx);
      const [t, bias] = [tensor(x, 0, ctx), tensor(x, 1, ctx)];
      sameType(t, bias, ctx);
      return [tensorType(t.dtype, broadcastShapes([t.shape, bias.shape], ctx))];
    },
    body: {
      kind: "compute",
      compute: (b, n) => {
        const [x, out] = [b.input(0), b.output(0)];
        const t = wide(x.dtype);
        b.map(out, (i) => {
          const v = E.to(t, load(x, i));
          return E.to(out.dtype, f(b.has(1) ? E.add(v, E.to(t, loadBroadcast(b.input(1), i, out.shape))) : v, n.attrs));
        });
      },
    },
  });
}

export const fusedOps: readonly OpDef<Attrs>[] = [
  FusedConv,
  FusedGemm,
  FusedMatMul,
  DynamicQuantizeMatMul,
  biased("Gelu", noAttrs, geluErf),
  biased("BiasGelu", noAttrs, geluErf),
  biased("FastGelu", noAttrs, geluTanh),
  biased(
    "QuickGelu",
    (n) => ({ alpha: n.float("alpha", 1.702) }),
    (x, a) => E.mul(x, sigmoid(E.mul(x, a.alpha))),
  ),
] as unknown as readonly OpDef<Attrs>[];
