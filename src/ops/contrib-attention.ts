// onnxruntime's attention operators (com.microsoft): Attention, MultiHeadAttention, GroupQueryAttention.

import type { ValueId } from "../base/brand.ts";
import type { Dim } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { constant, type Expr, i32, load, ofDim } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import { type OpDef, op, type RawNode, type TeBuilder } from "../ir/opdef.ts";
import type { Buffer } from "../ir/storage.ts";
import { type DType, tensorType, type ValueType } from "../ir/types.ts";
import { attend, attentionAccuracy, type Heads, headsOf, materialised, rotated, withPast } from "./attention.ts";
import { loadBroadcast, shapeText, tensor, wide } from "./common.ts";
import { sumOfProducts } from "./contract.ts";
import { Expander } from "./expander.ts";
import { Gather } from "./index-ops.ts";
import { bindExtents, dimAt, intAt, toIndex } from "./ints.ts";
import { Concat, Split } from "./move.ts";
import { MatMulIntegerToFloat, microsoft } from "./quant.ts";
import { Unsqueeze } from "./view.ts";

type Common = { readonly heads: number; readonly scale?: number; readonly filter: number; readonly causal: boolean };
function parseCommon(n: RawNode): Common {
  return {
    heads: n.int("num_heads"),
    filter: n.float("mask_filter_value", -10000),
    causal: n.int("unidirectional", 0) !== 0,
    ...(n.has("scale") && n.float("scale") !== 0 ? { scale: n.float("scale") } : {}),
  };
}
/** What onnxruntime adds to the scores of keys that a mask of integers leaves out: one row of flags, or a length, per batch. */
function paddingBias(
  mask: Buffer,
  t: DType,
  filter: number,
  past: Dim,
  keys: Dim,
): (b: Expr, i: Expr, j: Expr) => Expr {
  return (b, i, j) => {
    const out = constant(t, filter);
    const zero = constant(t, 0);
    if (mask.shape.length === 1) return E.where(E.lt(j, toIndex(load(mask, [b]))), zero, out);
    const at = mask.shape.length === 2 ? [b, j] : [b, E.add(i, ofDim(past)), j];
    const flag = E.ne(
      load(mask, mask.shape.length === 2 || mask.shape[1] === keys ? at : [b, i, j]),
      constant(mask.dtype, 0),
    );
    return E.where(flag, zero, out);
  };
}
type Biases = { readonly padding: ((b: Expr, i: Expr, j: Expr) => Expr) | null; readonly extra: Buffer | null };
function joinBiases(s: Biases, t: DType, full: readonly Dim[]): ((b: Expr, h: Expr, i: Expr, j: Expr) => Expr) | null {
  if (!s.padding && !s.extra) return null;
  return (b, h, i, j) => {
    const terms = [
      ...(s.padding ? [s.padding(b, i, j)] : []),
      ...(s.extra ? [E.to(t, loadBroadcast(s.extra, [b, h, i, j], full))] : []),
    ];
    return terms.reduce((p, q) => E.add(p, q));
  };
}
const joined =
  (size: Dim) =>
  (i: readonly Expr[]): readonly [Expr, Expr, Expr, Expr] => [
    i[0]!,
    E.floordiv(i[2]!, ofDim(size)),
    i[1]!,
    E.floormod(i[2]!, ofDim(size)),
  ];

type MhaShapes = {
  readonly batch: Dim;
  readonly queries: Dim;
  readonly now: Dim;
  readonly past: Dim;
  readonly keys: Dim;
  readonly size: Dim;
  readonly valueSize: Dim;
};
/** query [B, S, H*D] or packed [B, S, H, 3, D]; key and value [B, L, H*D], packed [B, L, H, 2, D], or heads [B, H, L, D]. */
function mhaShapes(
  heads: number,
  q: readonly Dim[],
  k: readonly Dim[] | null,
  v: readonly Dim[] | null,
  past: readonly Dim[] | null,
  fail: (m: string) => never,
): MhaShapes {
  const h = D.int(heads);
  const before = past ? past[2]! : D.zero;
  if (q.length === 5)
    return {
      batch: q[0]!,
      queries: q[1]!,
      now: q[1]!,
      past: before,
      keys: D.add(before, q[1]!),
      size: q[4]!,
      valueSize: q[4]!,
    };
  if (q.length !== 3 || !k) return fail(`attention of ${shapeText(q)} without keys`);
  const size = D.floordiv(q[2]!, h);
  const now = k.length === 4 ? k[2]! : k[1]!;
  const valueSize =
    k.length === 5 ? k[4]! : !v ? fail("attention without values") : v.length === 4 ? v[3]! : D.floordiv(v[2]!, h);
  return { batch: q[0]!, queries: q[1]!, now, past: before, keys: D.add(before, now), size, valueSize };
}
const shapeOf = (x: readonly (ValueType | null)[], k: number): readonly Dim[] | null => {
  const t = x[k];
  return t?.kind === "tensor" ? t.tensor.shape : null;
};
/** Inputs: query, key, value, bias, key_padding_mask, attention_bias, past_key, past_value. Outputs: result, present key and value. */
export const MultiHeadAttention: OpDef<Common> = op<Common>({
  name: "MultiHeadAttention",
  onnx: [microsoft("MultiHeadAttention")],
  accuracy: attentionAccuracy,
  effects: "none",
  parse: parseCommon,
  infer: (x, a, ctx): readonly ValueType[] => {
    const q = tensor(x, 0, ctx);
    const s = mhaShapes(a.heads, q.shape, shapeOf(x, 1), shapeOf(x, 2), shapeOf(x, 6), ctx.fail);
    const h = D.int(a.heads);
    return [
      tensorType(q.dtype, [s.batch, s.queries, D.mul(h, s.valueSize)]),
      tensorType(q.dtype, [s.batch, h, s.keys, s.size]),
      tensorType(q.dtype, [s.batch, h, s.keys, s.valueSize]),
    ];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const a = n.attrs;
      const [q, out] = [b.input(0), b.output(0)];
      const optional = (k: number): Buffer | null => (b.has(k) ? b.input(k) : null);
      const [k, v, bias, padding, extra, pastKey, pastValue] = [1, 2, 3, 4, 5, 6, 7].map(optional);
      const s = mhaShapes(a.heads, q.shape, k?.shape ?? null, v?.shape ?? null, pastKey?.shape ?? null, (m) => {
        throw new Error(m);
      });
      const t = wide(q.dtype);
      const h = D.int(a.heads);
      const packed =
        (x: Buffer, part: number): Heads =>
        (m, head, p, d) =>
          E.to(t, load(x, [m, p, head, i32(part), d]));
      // Biases of queries, keys and values stand one after another.
      const withBias = (name: string, x: Heads, length: Dim, size: Dim, offset: Dim): Heads => {
        if (!bias) return x;
        const sum: Heads = (m, head, p, d) =>
          E.add(x(m, head, p, d), E.to(t, load(bias, [E.add(E.add(E.mul(head, ofDim(size)), d), ofDim(offset))])));
        return materialised(b, name, t, [s.batch, h, length, size], sum);
      };
      const [qs, ks] = [D.mul(h, s.size), D.mul(h, s.size)];
      const query = withBias(
        "query",
        q.shape.length === 5 ? packed(q, 0) : headsOf(q, t, s.size),
        s.queries,
        s.size,
        D.zero,
      );
      const key = q.shape.length === 5 ? packed(q, 1) : k!.shape.length === 5 ? packed(k!, 0) : headsOf(k!, t, s.size);
      const value =
        q.shape.length === 5 ? packed(q, 2) : k!.shape.length === 5 ? packed(k!, 1) : headsOf(v!, t, s.valueSize);
      // Keys that come as heads carry their bias already.
      const ready = k?.shape.length === 4;
      const { keys, values } = presented(
        b,
        s,
        h,
        ready ? key : withBias("key", key, s.now, s.size, qs),
        ready ? value : withBias("value", value, s.now, s.valueSize, D.add(qs, ks)),
        pastKey ?? null,
        pastValue ?? null,
        [1, 2],
      );
      attend(
        b,
        {
          t,
          batch: s.batch,
          heads: h,
          keyHeads: h,
          queries: s.queries,
          keys: s.keys,
          size: s.size,
          valueSize: s.valueSize,
          q: query,
          k: keys,
          v: values,
          scale: a.scale ?? null,
          softcap: 0,
          allowed: a.causal ? (_m, _h, i, j) => E.le(j, E.add(i, ofDim(s.past))) : null,
          bias: joinBiases(
            { padding: padding ? paddingBias(padding, t, a.filter, s.past, s.keys) : null, extra: extra ?? null },
            t,
            [s.batch, h, s.queries, s.keys],
          ),
        },
        out,
        joined(s.valueSize),
      );
    },
  },
});
/** Keys and values behind those of the past, also written to the outputs at `at` where they are wanted. */
function presented(
  b: TeBuilder,
  s: MhaShapes,
  h: Dim,
  key: Heads,
  value: Heads,
  pastKey: Buffer | null,
  pastValue: Buffer | null,
  at: readonly [number, number],
): { keys: Heads; values: Heads } {
  const present = (o: number): Buffer | null => (b.types.outputs.length > o && b.wants(o) ? b.output(o) : null);
  const [pk, pv] = [present(at[0]), present(at[1])];
  if (pastKey && pastValue) {
    return {
      keys: withPast(b, "keys", pastKey, key, pk, [s.batch, h, s.keys, s.size]),
      values: withPast(b, "values", pastValue, value, pv, [s.batch, h, s.keys, s.valueSize]),
    };
  }
  if (pk) b.map(pk, ([m, head, p, d]) => E.to(pk.dtype, key(m!, head!, p!, d!)));
  if (pv) b.map(pv, ([m, head, p, d]) => E.to(pv.dtype, value(m!, head!, p!, d!)));
  return { keys: key, values: value };
}

/** Key or value of a past that holds both, or both in one tensor. */
const stacked = { axis: 0 };
/**
 * Inputs: input (int8), weights [in, 3 * hidden], bias, input scale, weight scale, mask, input zero point, weight zero point, past. Outputs:
 * result, present.
 */
export const QAttention: OpDef<Common> = op<Common>({
  name: "QAttention",
  onnx: [microsoft("QAttention")],
  accuracy: attentionAccuracy,
  effects: "none",
  parse: (n) => {
    if (n.int("do_rotary", 0) !== 0) n.fail("do_rotary");
    return parseCommon(n);
  },
  infer: (x, a, ctx) => {
    const { dtype } = tensor(x, 2, ctx);
    const s = fusedShapes({ ...a, sizes: [] }, tensor(x, 0, ctx).shape, tensor(x, 1, ctx).shape, shapeOf(x, 8));
    const h = D.int(a.heads);
    return [
      tensorType(dtype, [s.batch, s.queries, D.mul(h, s.valueSize)]),
      tensorType(dtype, [D.int(2), s.batch, h, s.keys, s.size]),
    ];
  },
  body: {
    kind: "expand",
    expand: (b, n) => {
      const e = new Expander(b);
      const at = (k: number): ValueId | null => n.inputs[k] ?? null;
      const all = e.one(MatMulIntegerToFloat, [at(0), at(1), at(3), at(4), at(6), at(7), at(2)], {});
      const [q, k, v] = b.add(Split, [all], { axis: 2, ceil: false }, 3);
      const past = at(8);
      const part = (i: number): ValueId | null =>
        past === null ? null : e.one(Gather, [past, e.scalar("i64", i)], stacked);
      const attention = [q!, k!, v!, null, at(5), null, part(0), part(1)];
      const [y, keys, values] = b.add(MultiHeadAttention, attention, n.attrs, 3) as readonly [
        ValueId,
        ValueId,
        ValueId,
      ];
      const each = [keys, values].map((x) => e.one(Unsqueeze, [x], { axes: [0] }));
      return [y, e.one(Concat, each, stacked)].slice(0, Math.max(1, n.outputs.length));
    },
  },
});

type FusedAttrs = Common & { readonly sizes: readonly number[] };
/** Inputs: input, weights [in, q+k+v], bias, mask, past [2, B, H, P, D], attention_bias. Outputs: result, present. */
export const FusedAttention: OpDef<FusedAttrs> = op<FusedAttrs>({
  name: "Attention.microsoft",
  onnx: [microsoft("Attention")],
  accuracy: attentionAccuracy,
  effects: "none",
  parse: (n) => {
    if (n.int("do_rotary", 0) !== 0) n.fail("do_rotary");
    return { ...parseCommon(n), sizes: n.ints("qkv_hidden_sizes") ?? [] };
  },
  infer: (x, a, ctx): readonly ValueType[] => {
    const t = tensor(x, 0, ctx);
    const s = fusedShapes(a, t.shape, tensor(x, 1, ctx).shape, shapeOf(x, 4));
    const h = D.int(a.heads);
    return [
      tensorType(t.dtype, [s.batch, s.queries, D.mul(h, s.valueSize)]),
      tensorType(t.dtype, [D.int(2), s.batch, h, s.keys, s.size]),
    ];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const a = n.attrs;
      const [x, w, out] = [b.input(0), b.input(1), b.output(0)];
      const t = wide(x.dtype);
      const past = b.has(4) ? b.input(4) : null;
      const s = fusedShapes(a, x.shape, w.shape, past?.shape ?? null);
      const h = D.int(a.heads);
      const all = b.temp("qkv", t, [s.batch, s.queries, w.shape[1]!]);
      sumOfProducts(
        b,
        all,
        [w.shape[0]!],
        ([m, p, c], [k]) => [E.to(t, load(x, [m!, p!, k!])), E.to(t, load(w, [k!, c!]))],
        (sum, i) => (b.has(2) ? E.add(sum, E.to(t, load(b.input(2), [i[2]!]))) : sum),
      );
      const part =
        (size: Dim, offset: Dim): Heads =>
        (m, head, p, d) =>
          load(all, [m, p, E.add(E.add(E.mul(head, ofDim(size)), d), ofDim(offset))]);
      const q = D.mul(h, s.size);
      const query = part(s.size, D.zero);
      let [keys, values] = [part(s.size, q), part(s.valueSize, D.add(q, q))];
      const present = b.types.outputs.length > 1 && b.wants(1) ? b.output(1) : null;
      if (past || present) {
        // Both lie in one tensor: keys first.
        const whole = present ?? b.temp("present", x.dtype, [D.int(2), s.batch, h, s.keys, s.size]);
        const now = [keys, values] as const;
        for (const which of [0, 1] as const) {
          const at = (start: Dim, length: Dim, name: string): Buffer =>
            b.part(
              whole,
              `present.${name}${which}`,
              [D.int(which), D.zero, D.zero, start, D.zero],
              [D.one, s.batch, h, length, s.size],
            );
          if (past) b.map(at(D.zero, s.past, "past"), (i) => load(past, [i32(which), ...i.slice(1)]));
          b.map(at(s.past, s.queries, "now"), ([, m, head, p, d]) => E.to(whole.dtype, now[which](m!, head!, p!, d!)));
        }
        keys = (m, head, p, d) => E.to(t, load(whole, [i32(0), m, head, p, d]));
        values = (m, head, p, d) => E.to(t, load(whole, [i32(1), m, head, p, d]));
      }
      const mask = b.has(3) ? b.input(3) : null;
      attend(
        b,
        {
          t,
          batch: s.batch,
          heads: h,
          keyHeads: h,
          queries: s.queries,
          keys: s.keys,
          size: s.size,
          valueSize: s.valueSize,
          q: query,
          k: keys,
          v: values,
          scale: a.scale ?? null,
          softcap: 0,
          allowed: a.causal ? (_m, _h, i, j) => E.le(j, E.add(i, ofDim(s.past))) : null,
          bias: joinBiases(
            {
              padding: mask ? paddingBias(mask, t, a.filter, s.past, s.keys) : null,
              extra: b.has(5) ? b.input(5) : null,
            },
            t,
            [s.batch, h, s.queries, s.keys],
          ),
        },
        out,
        joined(s.valueSize),
      );
    },
  },
});
function fusedShapes(a: FusedAttrs, x: readonly Dim[], w: readonly Dim[], past: readonly Dim[] | null): MhaShapes {
  const h = D.int(a.heads);
  const hidden = a.sizes.length > 0 ? D.int(a.sizes[0]!) : D.floordiv(w[1]!, D.int(3));
  const values = a.sizes.length > 0 ? D.int(a.sizes[2]!) : hidden;
  const before = past ? past[3]! : D.zero;
  return {
    batch: x[0]!,
    queries: x[1]!,
    now: x[1]!,
    past: before,
    keys: D.add(before, x[1]!),
    size: D.floordiv(hidden, h),
    valueSize: D.floordiv(values, h),
  };
}

type GqaAttrs = {
  readonly heads: number;
  readonly keyHeads: number;
  readonly scale?: number;
  readonly rotary: boolean;
  readonly interleaved: boolean;
  readonly window: number;
  readonly softcap: number;
};
/**
 * Inputs: query, key, value, past_key, past_value, seqlens_k (last key of each batch), total_sequence_length, cos, sin. Queries may hold
 * keys and values too. New keys stand behind those of the past of their own batch: the caches may be longer than what is valid.
 */
export const GroupQueryAttention: OpDef<GqaAttrs> = op<GqaAttrs>({
  name: "GroupQueryAttention",
  onnx: [microsoft("GroupQueryAttention")],
  accuracy: attentionAccuracy,
  effects: "none",
  parse: (n) => {
    if (n.int("smooth_softmax", 0) === 1) n.fail("smooth_softmax");
    return {
      heads: n.int("num_heads"),
      keyHeads: n.int("kv_num_heads"),
      rotary: n.int("do_rotary", 0) !== 0,
      interleaved: n.int("rotary_interleaved", 0) !== 0,
      window: n.int("local_window_size", -1),
      softcap: n.float("softcap", 0),
      ...(n.has("scale") && n.float("scale") !== 0 ? { scale: n.float("scale") } : {}),
    };
  },
  infer: (x, a, ctx): readonly ValueType[] => {
    const q = tensor(x, 0, ctx);
    if (q.shape.length !== 3) ctx.fail(`attention of ${shapeText(q.shape)}`);
    const size = gqaSize(a, q.shape, (x[1] ?? null) !== null);
    const past = shapeOf(x, 3);
    const total = dimAt(ctx.known(6), 0);
    const keys = total ? D.simplify(D.max(past?.[2] ?? D.zero, total), ctx.ranges) : ctx.fresh("total", 0, null);
    const present = tensorType(q.dtype, [q.shape[0]!, D.int(a.keyHeads), keys, size]);
    return [tensorType(q.dtype, [q.shape[0]!, q.shape[1]!, D.mul(D.int(a.heads), size)]), present, present];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const a = n.attrs;
      const [q, out] = [b.input(0), b.output(0)];
      const t = wide(q.dtype);
      const own = b.has(1);
      const size = gqaSize(a, q.shape, own);
      const [batch, queries] = [q.shape[0]!, q.shape[1]!];
      const [h, g] = [D.int(a.heads), D.int(a.keyHeads)];
      const past = [3, 4].map((k) => (b.has(k) && b.input(k).shape[2] !== D.zero ? b.input(k) : null));
      const type = b.types.outputs[1];
      const shape = type?.kind === "tensor" ? type.tensor.shape : [];
      const keys = shape[2]!;
      bindExtents(b, shape, [null, null, E.max(intAt(b, 6), past[0] ? ofDim(past[0].shape[2]!) : i32(0)), null]);
      const before = (m: Expr): Expr =>
        E.sub(
          E.add(
            toIndex(
              load(
                b.input(5),
                b.input(5).shape.map((_, k) => (k === 0 ? m : i32(0))),
              ),
            ),
            1,
          ),
          ofDim(queries),
        );
      const part =
        (x: Buffer, offset: Dim): Heads =>
        (m, head, p, d) =>
          E.to(t, load(x, [m, p, E.add(E.add(E.mul(head, ofDim(size)), d), ofDim(offset))]));
      const turn = (x: Heads): Heads => {
        if (!a.rotary) return x;
        const [cos, sin] = [b.input(7), b.input(8)];
        return rotated(x, { interleaved: a.interleaved, half: cos.shape[1]! }, (m, p, k) => {
          const row = E.add(before(m), p);
          return { cos: E.to(t, load(cos, [row, k])), sin: E.to(t, load(sin, [row, k])) };
        });
      };
      const query = a.rotary
        ? materialised(b, "query", t, [batch, h, queries, size], turn(part(q, D.zero)))
        : part(q, D.zero);
      const now = [
        turn(own ? part(b.input(1), D.zero) : part(q, D.mul(h, size))),
        own ? part(b.input(2), D.zero) : part(q, D.mul(D.add(h, g), size)),
      ] as const;
      const [present, presentValue] = ([0, 1] as const).map((which) => {
        const o = which + 1;
        const whole =
          b.types.outputs.length > o && b.wants(o) ? b.output(o) : b.temp(`present${which}`, q.dtype, shape);
        const old = past[which];
        b.map(whole, ([m, head, p, d]) => {
          const at = E.sub(p!, before(m!));
          const fresh = E.to(whole.dtype, now[which](m!, head!, at, d!));
          const kept: Expr = old
            ? E.where(E.lt(p!, ofDim(old.shape[2]!)), load(old, [m!, head!, p!, d!]), constant(whole.dtype, 0))
            : constant(whole.dtype, 0);
          return E.where(E.and(E.le(0, at), E.lt(at, ofDim(queries))), fresh, kept);
        });
        return whole;
      }) as unknown as readonly [Buffer, Buffer];
      const cached =
        (x: Buffer): Heads =>
        (m, head, p, d) =>
          E.to(t, load(x, [m, head, p, d]));
      attend(
        b,
        {
          t,
          batch,
          heads: h,
          keyHeads: g,
          queries,
          keys,
          size,
          valueSize: size,
          q: query,
          k: cached(present),
          v: cached(presentValue),
          scale: a.scale ?? null,
          softcap: a.softcap,
          bias: null,
          allowed: (m, _h, i, j) => {
            const p = E.add(i, before(m));
            return a.window > 0 ? E.and(E.le(j, p), E.lt(E.sub(p, j), a.window)) : E.le(j, p);
          },
        },
        out,
        joined(size),
      );
    },
  },
});
function gqaSize(a: GqaAttrs, q: readonly Dim[], own: boolean): Dim {
  return D.floordiv(q[2]!, D.int(own ? a.heads : a.heads + 2 * a.keyHeads));
}

export const contribAttentionOps: readonly OpDef<Attrs>[] = [
  MultiHeadAttention,
  FusedAttention,
  QAttention,
  GroupQueryAttention,
] as unknown as readonly OpDef<Attrs>[];
