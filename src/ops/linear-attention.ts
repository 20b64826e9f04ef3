// Ops of state-space models: LinearAttention, a recurrence over positions, and CausalConvWithState.

import type { Dim } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { constant, type Expr, i32, load, ofDim } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import { type OpDef, op } from "../ir/opdef.ts";
import type { Buffer } from "../ir/storage.ts";
import { tensorType, type ValueType } from "../ir/types.ts";
import { loadBroadcast, onnx, shapeText, tensor, wide } from "./common.ts";
import { sumOfProducts } from "./contract.ts";
import { sigmoid } from "./elementwise.ts";

type LinearAttrs = {
  readonly heads: number;
  readonly keyHeads: number;
  readonly scale: number;
  readonly gated: boolean;
  readonly delta: boolean;
};
/**
 * The state [B, H, d_k, d_v] decays by exp(g), takes in k (x) v (for the delta rules, beta times v less what the state already recalls for
 * k), and answers q. Heads are packed in the last axis.
 */
export const LinearAttention: OpDef<LinearAttrs> = op({
  name: "LinearAttention",
  onnx: [onnx("LinearAttention", 27)],
  accuracy: { kind: "rtol", r: 1e-4 },
  effects: "none",
  parse: (n) => {
    const rule = n.string("update_rule", "gated_delta");
    if (!["linear", "gated", "delta", "gated_delta"].includes(rule)) n.fail(`update_rule "${rule}" is unknown`);
    n.has("chunk_size");
    return {
      heads: n.int("q_num_heads"),
      keyHeads: n.int("kv_num_heads"),
      scale: n.float("scale", 0),
      gated: rule.startsWith("gated"),
      delta: rule.endsWith("delta"),
    };
  },
  infer: (x, a, ctx): readonly ValueType[] => {
    const [q, v] = [tensor(x, 0, ctx), tensor(x, 2, ctx)];
    if (q.shape.length !== 3 || v.shape.length !== 3)
      ctx.fail(`linear attention of ${shapeText(q.shape)} and ${shapeText(v.shape)}`);
    const [dk, dv] = [D.floordiv(q.shape[2]!, D.int(a.heads)), D.floordiv(v.shape[2]!, D.int(a.keyHeads))];
    const state = x[3]?.kind === "tensor" ? x[3].tensor.dtype : q.dtype;
    return [
      tensorType(q.dtype, [q.shape[0]!, q.shape[1]!, D.mul(D.int(a.heads), dv)]),
      tensorType(state, [q.shape[0]!, D.int(a.keyHeads), dk, dv]),
    ];
  },
  body: {
    kind: "control",
    control: (b, n) => {
      const a = n.attrs;
      const [q, k, v, out] = [b.input(0), b.input(1), b.input(2), b.output(0)];
      const t = wide(q.dtype);
      const [batch, steps] = q.shape as [Dim, Dim];
      const h = D.int(a.keyHeads);
      const [dk, dv] = [D.floordiv(q.shape[2]!, D.int(a.heads)), D.floordiv(v.shape[2]!, h)];
      const shape = [batch, h, dk, dv];
      const [old, next] = [b.temp("state", t, shape), b.temp("next", t, shape)];
      b.map(old, (i) => (b.has(3) ? E.to(t, load(b.input(3), i)) : constant(t, 0)));
      const counter = b.symbol("position");
      const now = ofDim(counter.dim);
      const packed = (x: Buffer, m: Expr, head: Expr, size: Dim, d: Expr): Expr =>
        E.to(t, load(x, [m, now, E.add(E.mul(head, ofDim(size)), d)]));
      b.loop({ trip: steps, cond: null, counter: counter.id, swap: [[old, next]] }, () => {
        let state = old;
        if (a.gated) {
          const g = b.input(4);
          // One decay per head, or one per key feature: which is told in the run where the extent is symbolic.
          const width = g.shape[2]!;
          const feature = (head: Expr, d: Expr): Expr => E.add(E.mul(head, ofDim(dk)), d);
          const column = (head: Expr, d: Expr): Expr =>
            width === h
              ? head
              : width.kind === "int"
                ? feature(head, d)
                : E.where(E.eq(ofDim(width), a.keyHeads), head, feature(head, d));
          state = b.temp("decayed", t, shape);
          b.map(state, ([m, head, d, e]) =>
            E.mul(load(old, [m!, head!, d!, e!]), E.unary("exp", E.to(t, load(g, [m!, now, column(head!, d!)])))),
          );
        }
        let value = (m: Expr, head: Expr, e: Expr): Expr => packed(v, m, head, dv, e);
        if (a.delta) {
          const recalled = b.temp("recalled", t, [batch, h, dv]);
          const from = state;
          sumOfProducts(b, recalled, [dk], ([m, head, e], [d]) => [
            load(from, [m!, head!, d!, e!]),
            packed(k, m!, head!, dk, d!),
          ]);
          const beta = b.input(5);
          const corrected = b.temp("corrected", t, [batch, h, dv]);
          const own = value;
          b.map(corrected, ([m, head, e]) =>
            E.mul(
              E.sub(own(m!, head!, e!), load(recalled, [m!, head!, e!])),
              E.to(t, loadBroadcast(beta, [m!, now, head!], [batch, steps, h])),
            ),
          );
          value = (m, head, e) => load(corrected, [m, head, e]);
        }
        const before = state;
        b.map(next, ([m, head, d, e]) =>
          E.add(load(before, [m!, head!, d!, e!]), E.mul(packed(k, m!, head!, dk, d!), value(m!, head!, e!))),
        );
        const part = b.part(out, `${out.name}.position`, [D.zero, counter.dim, D.zero], [batch, D.one, out.shape[2]!]);
        const scale = a.scale !== 0 ? constant(t, a.scale) : E.unary("recip", E.unary("sqrt", E.to(t, ofDim(dk))));
        const group = a.heads / a.keyHeads;
        sumOfProducts(
          b,
          part,
          [dk],
          ([m, , c], [d]) => {
            const head = E.floordiv(c!, ofDim(dv));
            return [
              packed(q, m!, head, dk, d!),
              load(next, [m!, group === 1 ? head : E.floordiv(head, group), d!, E.floormod(c!, ofDim(dv))]),
            ];
          },
          (s) => E.to(out.dtype, E.mul(s, scale)),
          t,
        );
      });
      if (b.types.outputs.length > 1 && b.wants(1)) b.map(b.output(1), (i) => E.to(b.output(1).dtype, load(old, i)));
    },
  },
});

/** A depthwise convolution of [B, C, L] that looks back k - 1 positions, into past_state at the start. */
export const CausalConvWithState: OpDef<{ activation: string }> = op({
  name: "CausalConvWithState",
  onnx: [onnx("CausalConvWithState", 27)],
  accuracy: { kind: "rtol", r: 1e-5 },
  effects: "none",
  parse: (n) => {
    const activation = n.string("activation", "none");
    if (!["none", "silu", "swish"].includes(activation)) n.fail(`activation "${activation}" is unknown`);
    return { activation };
  },
  infer: (x, _a, ctx): readonly ValueType[] => {
    const [t, w] = [tensor(x, 0, ctx), tensor(x, 1, ctx)];
    if (t.shape.length !== 3 || w.shape.length !== 3)
      ctx.fail(`a causal convolution of ${shapeText(t.shape)} with weights ${shapeText(w.shape)}`);
    return [tensorType(t.dtype, t.shape), tensorType(t.dtype, [t.shape[0]!, t.shape[1]!, D.sub(w.shape[2]!, D.one)])];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const [x, w, out] = [b.input(0), b.input(1), b.output(0)];
      const t = wide(x.dtype);
      const k = w.shape[2]!;
      const before = D.sub(k, D.one);
      const padded = b.temp(`${x.name}.padded`, x.dtype, [x.shape[0]!, x.shape[1]!, D.add(x.shape[2]!, before)]);
      b.map(padded, ([m, c, l]) => {
        const past = b.has(3) ? load<Expr>(b.input(3), [m!, c!, l!]) : constant(x.dtype, 0);
        return E.where(E.lt(l!, ofDim(before)), past, load(x, [m!, c!, E.sub(l!, ofDim(before))]));
      });
      sumOfProducts(
        b,
        out,
        [k],
        ([m, c, l], [j]) => [E.to(t, load(padded, [m!, c!, E.add(l!, j!)])), E.to(t, load(w, [c!, i32(0), j!]))],
        (s, i) => {
          const y = b.has(2) ? E.add(s, E.to(t, load(b.input(2), [i[1]!]))) : s;
          return E.to(out.dtype, n.attrs.activation === "none" ? y : E.mul(y, sigmoid(y)));
        },
        t,
      );
      if (b.types.outputs.length > 1 && b.wants(1))
        b.map(b.output(1), ([m, c, l]) => load(padded, [m!, c!, E.add(l!, ofDim(x.shape[2]!))]));
    },
  },
});

export const linearAttentionOps: readonly OpDef<Attrs>[] = [
  LinearAttention,
  CausalConvWithState,
] as unknown as readonly OpDef<Attrs>[];
