// Attention and rotary embeddings. One core serves all forms: scores of queries and keys, a bias, softmax, sums of values. Operands are
// functions of (batch, head, position, feature), so that no form moves data to suit the core.

import type { Dim } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { constant, type Expr, i32, load, ofDim } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import { type Accuracy, type InferCtx, type OpDef, op, type TeBuilder } from "../ir/opdef.ts";
import type { Buffer } from "../ir/storage.ts";
import { type DType, type TensorType, tensorType, type ValueType } from "../ir/types.ts";
import { loadBroadcast, onnx, shapeText, tensor, wide } from "./common.ts";
import { sumOfProducts } from "./contract.ts";
import { toIndex } from "./ints.ts";
import { roundedTo, softmaxInto } from "./norm.ts";

export const attentionAccuracy: Accuracy = { kind: "rtol", r: 1e-4 };
/** An element of heads: (batch, head, position, feature). */
export type Heads = (b: Expr, h: Expr, s: Expr, d: Expr) => Expr;
export type AttentionCore = {
  readonly t: DType;
  readonly batch: Dim;
  readonly heads: Dim;
  readonly keyHeads: Dim;
  readonly queries: Dim;
  readonly keys: Dim;
  readonly size: Dim;
  readonly valueSize: Dim;
  readonly q: Heads;
  readonly k: Heads;
  readonly v: Heads;
  readonly scale: number | null;
  readonly softcap: number;
  /** A narrow float to which each step is rounded; the scale is then shared between queries and keys. */
  readonly rounds?: DType | null;
  /** Which keys a query sees (null: all), and what is added to its scores. */
  readonly allowed: ((b: Expr, h: Expr, i: Expr, j: Expr) => Expr) | null;
  readonly bias: ((b: Expr, h: Expr, i: Expr, j: Expr) => Expr) | null;
};
/** The buffers of the steps, [batch, heads, queries, keys]: scaled scores, with the soft cap, with the bias, probabilities. */
export type AttentionSteps = {
  readonly raw: Buffer;
  readonly capped: Buffer;
  readonly biased: Buffer;
  readonly weights: Buffer;
};

/** Writes out[batch, head, query, feature], placed by `put`: the output's index to those four. */
export function attend(
  b: TeBuilder,
  a: AttentionCore,
  out: Buffer,
  put: (i: readonly Expr[]) => readonly [Expr, Expr, Expr, Expr],
): AttentionSteps {
  const shape = [a.batch, a.heads, a.queries, a.keys];
  const keyHead = (h: Expr): Expr =>
    a.heads === a.keyHeads ? h : E.floordiv(h, ofDim(D.floordiv(a.heads, a.keyHeads)));
  const rounds = a.rounds ?? null;
  const round = (e: Expr): Expr => roundedTo(rounds, e);
  const scale = a.scale ?? (a.size.kind === "int" ? 1 / Math.sqrt(a.size.value) : null);
  let [q, k] = [a.q, a.k];
  if (rounds !== null) {
    const own = scale !== null ? constant(a.t, scale) : E.unary("recip", E.unary("sqrt", E.to(a.t, ofDim(a.size))));
    const scaled =
      (x: Heads): Heads =>
      (...i) =>
        round(E.mul(x(...i), round(E.unary("sqrt", own))));
    q = materialised(b, "queries.scaled", a.t, [a.batch, a.heads, a.queries, a.size], scaled(a.q));
    k = materialised(b, "keys.scaled", a.t, [a.batch, a.keyHeads, a.keys, a.size], scaled(a.k));
  }
  const raw = b.temp("scores", a.t, shape);
  sumOfProducts(
    b,
    raw,
    [a.size],
    ([n, h, i, j], [d]) => [q(n!, h!, i!, d!), k(n!, keyHead(h!), j!, d!)],
    (s) => {
      if (rounds !== null) return round(s);
      return scale !== null ? (scale === 1 ? s : E.mul(s, scale)) : E.div(s, E.unary("sqrt", E.to(a.t, ofDim(a.size))));
    },
  );
  let capped = raw;
  if (a.softcap > 0) {
    capped = b.temp("capped", a.t, shape);
    b.map(capped, (i) => round(E.mul(round(E.unary("tanh", round(E.div(load(raw, i), a.softcap)))), a.softcap)));
  }
  let biased = capped;
  if (a.bias || a.allowed) {
    const before = capped;
    biased = b.temp("biased", a.t, shape);
    b.map(biased, (i) => {
      const [n, h, q, k] = i as readonly [Expr, Expr, Expr, Expr];
      const s = a.bias ? round(E.add(load(before, i), a.bias(n, h, q, k))) : load<Expr>(before, i);
      return a.allowed ? E.where(a.allowed(n, h, q, k), s, constant(a.t, Number.NEGATIVE_INFINITY)) : s;
    });
  }
  const weights = b.temp("weights", a.t, shape);
  softmaxInto(b, biased, weights, [3], a.bias !== null || a.allowed !== null, rounds);
  sumOfProducts(
    b,
    out,
    [a.keys],
    (i, [j]) => {
      const [n, h, q, d] = put(i);
      return [load(weights, [n, h, q, j!]), a.v(n, keyHead(h), j!, d)];
    },
    (s) => E.to(out.dtype, s),
    a.t,
  );
  return { raw, capped, biased, weights };
}

/** Heads of a tensor [batch, head, position, feature], or [batch, position, head * feature]. */
export function headsOf(x: Buffer, t: DType, size: Dim): Heads {
  if (x.shape.length === 4) return (n, h, s, d) => E.to(t, load(x, [n, h, s, d]));
  return (n, h, s, d) => E.to(t, load(x, [n, s, E.add(E.mul(h, ofDim(size)), d)]));
}
/** The same elements from a buffer: what a product reads many times is computed once. */
export function materialised(b: TeBuilder, name: string, t: DType, shape: readonly Dim[], x: Heads): Heads {
  const out = b.temp(name, t, shape);
  b.map(out, ([n, h, s, d]) => x(n!, h!, s!, d!));
  return (n, h, s, d) => load(out, [n, h, s, d]);
}
/** Keys (values) with those of the past in front, as a buffer: the `present` output, or a temp where nobody wants it. */
export function withPast(
  b: TeBuilder,
  name: string,
  past: Buffer,
  now: Heads,
  present: Buffer | null,
  shape: readonly Dim[],
): Heads {
  const out = present ?? b.temp(name, past.dtype, shape);
  const length = past.shape[2]!;
  const head = b.part(out, `${name}.past`, [D.zero, D.zero, D.zero, D.zero], past.shape);
  b.map(head, (i) => load(past, i));
  const tail = b.part(
    out,
    `${name}.now`,
    [D.zero, D.zero, length, D.zero],
    shape.map((d, k) => (k === 2 ? D.sub(d, length) : d)),
  );
  b.map(tail, ([n, h, s, d]) => E.to(out.dtype, now(n!, h!, s!, d!)));
  const t = wide(out.dtype);
  return (n, h, s, d) => E.to(t, load(out, [n, h, s, d]));
}
type AttentionAttrs = {
  readonly heads: number;
  readonly keyHeads: number;
  readonly scale?: number;
  readonly causal: boolean;
  readonly softcap: number;
  readonly mode: number;
  readonly left: number;
  readonly right: number;
};
type AttentionShapes = {
  readonly batch: Dim;
  readonly heads: Dim;
  readonly keyHeads: Dim;
  readonly queries: Dim;
  readonly now: Dim;
  readonly past: Dim;
  readonly keys: Dim;
  readonly size: Dim;
  readonly valueSize: Dim;
};
function attentionShapes(
  a: AttentionAttrs,
  q: readonly Dim[],
  k: readonly Dim[],
  v: readonly Dim[],
  pastKey: readonly Dim[] | null,
  fail: (m: string) => never,
): AttentionShapes {
  if (
    q.length !== k.length ||
    q.length !== v.length ||
    q.length < 3 ||
    q.length > 4 ||
    (q.length === 3 && (a.heads < 1 || a.keyHeads < 1))
  )
    fail(`attention of ${shapeText(q)}, ${shapeText(k)}, ${shapeText(v)}`);
  const past = pastKey ? pastKey[2]! : D.zero;
  if (q.length === 4)
    return {
      batch: q[0]!,
      heads: q[1]!,
      keyHeads: k[1]!,
      queries: q[2]!,
      now: k[2]!,
      past,
      keys: D.add(past, k[2]!),
      size: q[3]!,
      valueSize: v[3]!,
    };
  const [h, g] = [D.int(a.heads), D.int(a.keyHeads)];
  return {
    batch: q[0]!,
    heads: h,
    keyHeads: g,
    queries: q[1]!,
    now: k[1]!,
    past,
    keys: D.add(past, k[1]!),
    size: D.floordiv(q[2]!, h),
    valueSize: D.floordiv(v[2]!, g),
  };
}
export const Attention: OpDef<AttentionAttrs> = op<AttentionAttrs>({
  name: "Attention",
  onnx: [onnx("Attention", 23, 24, 25)],
  accuracy: attentionAccuracy,
  effects: "none",
  parse: (n) => {
    n.has("softmax_precision");
    return {
      heads: n.int("q_num_heads", 0),
      keyHeads: n.int("kv_num_heads", 0),
      causal: n.int("is_causal", 0) !== 0,
      softcap: n.float("softcap", 0),
      mode: n.int("qk_matmul_output_mode", 0),
      left: n.int("left_window_size", -1),
      right: n.int("right_window_size", -1),
      ...(n.has("scale") ? { scale: n.float("scale") } : {}),
    };
  },
  infer: (x, a, ctx: InferCtx): readonly ValueType[] => {
    const [q, k, v] = [tensor(x, 0, ctx), tensor(x, 1, ctx), tensor(x, 2, ctx)];
    const past = x[4]?.kind === "tensor" ? x[4].tensor : null;
    const s = attentionShapes(a, q.shape, k.shape, v.shape, past?.shape ?? null, ctx.fail);
    const y =
      q.shape.length === 4
        ? [s.batch, s.heads, s.queries, s.valueSize]
        : [s.batch, s.queries, D.mul(s.heads, s.valueSize)];
    return [
      tensorType(q.dtype, y),
      tensorType(k.dtype, [s.batch, s.keyHeads, s.keys, s.size]),
      tensorType(v.dtype, [s.batch, s.keyHeads, s.keys, s.valueSize]),
      tensorType(q.dtype, [s.batch, s.heads, s.queries, s.keys]),
    ];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const a = n.attrs;
      const [q, k, v, out] = [b.input(0), b.input(1), b.input(2), b.output(0)];
      const past = b.has(4) ? b.input(4) : null;
      const s = attentionShapes(a, q.shape, k.shape, v.shape, past?.shape ?? null, (m) => {
        throw new Error(m);
      });
      const t = wide(q.dtype);
      let [keys, values] = [headsOf(k, t, s.size), headsOf(v, t, s.valueSize)];
      const present = (o: number): Buffer | null => (b.types.outputs.length > o && b.wants(o) ? b.output(o) : null);
      if (past) {
        keys = withPast(b, "keys", past, keys, present(1), [s.batch, s.keyHeads, s.keys, s.size]);
        values = withPast(b, "values", b.input(5), values, present(2), [s.batch, s.keyHeads, s.keys, s.valueSize]);
      } else {
        const [pk, pv] = [present(1), present(2)];
        const [ownKeys, ownValues] = [keys, values];
        if (pk) b.map(pk, ([x, h, i, d]) => E.to(pk.dtype, ownKeys(x!, h!, i!, d!)));
        if (pv) b.map(pv, ([x, h, i, d]) => E.to(pv.dtype, ownValues(x!, h!, i!, d!)));
      }
      const mask = b.has(3) ? b.input(3) : null;
      const full = [s.batch, s.heads, s.queries, s.keys];
      const valid = b.has(6) ? (x: Expr): Expr => toIndex(load(b.input(6), [x])) : null;
      const tests: ((x: Expr, i: Expr, j: Expr) => Expr)[] = [];
      const offset = (x: Expr): Expr => (past ? ofDim(s.past) : valid ? E.sub(valid(x), ofDim(s.queries)) : i32(0));
      if (a.causal) tests.push((x, i, j) => E.le(j, E.add(i, offset(x))));
      if (a.left >= 0) tests.push((x, i, j) => E.le(E.sub(E.add(i, offset(x)), j), a.left));
      if (a.right >= 0) tests.push((x, i, j) => E.le(E.sub(j, E.add(i, offset(x))), a.right));
      if (valid) tests.push((x, _i, j) => E.lt(j, valid(x)));
      // A mask that is shorter than the keys leaves out those past it.
      const width = mask?.shape[mask.shape.length - 1];
      if (width && width !== s.keys) tests.push((_x, _i, j) => E.lt(j, ofDim(width)));
      const boolean = mask?.dtype === "bool";
      const allowed = (x: Expr, h: Expr, i: Expr, j: Expr): Expr => {
        const own = tests.map((f) => f(x, i, j)).reduce<Expr | null>((p, c) => (p ? E.and(p, c) : c), null);
        if (!boolean) return own!;
        const m = loadBroadcast(mask!, [x, h, i, j], full);
        return own ? E.select<Expr>(own, m, constant("bool", 0)) : m;
      };
      const inMask = (j: Expr, e: Expr): Expr =>
        width && width !== s.keys ? E.where(E.lt(j, ofDim(width)), e, constant(t, 0)) : e;
      const steps = attend(
        b,
        {
          t,
          batch: s.batch,
          heads: s.heads,
          keyHeads: s.keyHeads,
          queries: s.queries,
          keys: s.keys,
          size: s.size,
          valueSize: s.valueSize,
          q: headsOf(q, t, s.size),
          k: keys,
          v: values,
          scale: a.scale ?? null,
          softcap: a.softcap,
          rounds: q.dtype === "bf16" ? q.dtype : null,
          allowed: tests.length > 0 || boolean ? allowed : null,
          bias: mask && !boolean ? (x, h, i, j) => inMask(j, E.to(t, loadBroadcast(mask, [x, h, i, j], full))) : null,
        },
        out,
        (i) =>
          out.shape.length === 4
            ? [i[0]!, i[1]!, i[2]!, i[3]!]
            : [i[0]!, E.floordiv(i[2]!, ofDim(s.valueSize)), i[1]!, E.floormod(i[2]!, ofDim(s.valueSize))],
      );
      const qk = present(3);
      const shown = [steps.raw, steps.capped, steps.biased, steps.weights][a.mode] ?? steps.raw;
      if (qk) b.map(qk, (i) => E.to(qk.dtype, load(shown, i)));
    },
  },
});

// ---- rotary embeddings
export type Rotary = { readonly interleaved: boolean; readonly half: Dim };
/** x rotated at (batch, head, position, feature): pairs of its first 2*half features turn by the angles of `cos` and `sin`. */
export function rotated(
  x: Heads,
  r: Rotary,
  angle: (n: Expr, s: Expr, p: Expr) => { readonly cos: Expr; readonly sin: Expr },
): Heads {
  return (n, h, s, d) => {
    const [half, turning] = [ofDim(r.half), ofDim(D.mul(D.int(2), r.half))];
    const first = r.interleaved ? E.eq(E.floormod(d, 2), 0) : E.lt(d, half);
    const pair = r.interleaved ? E.floordiv(d, 2) : E.where(first, d, E.sub(d, half));
    const other = r.interleaved
      ? E.where(first, E.add(d, 1), E.sub(d, 1))
      : E.where(first, E.add(d, half), E.sub(d, half));
    // Features past those that turn have no angle: index 0 stands in, and the result is not used.
    const safe = E.where(E.lt(d, turning), pair, i32(0));
    const { cos, sin } = angle(n, s, safe);
    const own = x(n, h, s, d);
    const partner = E.mul(x(n, h, s, E.where(E.lt(d, turning), other, d)), sin);
    return E.where(E.lt(d, turning), E.add(E.mul(own, cos), E.where(first, E.neg(partner), partner)), own);
  };
}
type RotaryAttrs = {
  readonly heads: number;
  readonly dim: number;
  readonly interleaved: boolean;
  readonly microsoft: boolean;
  readonly scale: number;
};
/** Inputs of ONNX's: X, cos, sin, positions; of onnxruntime's: X, positions, cos, sin. */
export const RotaryEmbedding: OpDef<RotaryAttrs> = op({
  name: "RotaryEmbedding",
  onnx: [onnx("RotaryEmbedding", 23), { domain: "com.microsoft", type: "RotaryEmbedding", since: [1] }],
  accuracy: attentionAccuracy,
  effects: "none",
  parse: (n) => {
    if (n.int("is_packed_batching", 0) !== 0) n.fail("packed batches");
    return {
      heads: n.int("num_heads", 0),
      dim: n.int("rotary_embedding_dim", 0),
      interleaved: n.int("interleaved", 0) !== 0,
      microsoft: n.domain !== "",
      scale: n.float("scale", 1),
    };
  },
  infer: (x, a, ctx) => {
    const t: TensorType = tensor(x, 0, ctx);
    const cache = tensor(x, a.microsoft ? 2 : 1, ctx).shape;
    if (t.shape.length < 3 || t.shape.length > 4 || cache.length < 2)
      ctx.fail(`a rotary embedding of ${shapeText(t.shape)} with angles ${shapeText(cache)}`);
    return [tensorType(t.dtype, t.shape)];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const a = n.attrs;
      const [x, out] = [b.input(0), b.output(0)];
      const [cos, sin] = a.microsoft ? [b.input(2), b.input(3)] : [b.input(1), b.input(2)];
      const at = a.microsoft ? 1 : 3;
      const positions = b.has(at) ? b.input(at) : null;
      const t = wide(x.dtype);
      const half = cos.shape[cos.shape.length - 1]!;
      const size =
        x.shape.length === 4
          ? x.shape[3]!
          : a.heads > 0
            ? D.floordiv(x.shape[2]!, D.int(a.heads))
            : a.dim > 0
              ? D.int(a.dim)
              : D.mul(D.int(2), half);
      const angle = (batch: Expr, s: Expr, p: Expr) => {
        const one = (cache: Buffer): Expr => {
          if (!positions) return E.to(t, load(cache, cache.shape.length === 2 ? [s, p] : [batch, s, p]));
          // A single position is where the sequence starts.
          const row =
            positions.shape.length === 1
              ? E.add(toIndex(load(positions, [i32(0)])), s)
              : toIndex(load(positions, [batch, s]));
          return E.to(t, load(cache, [row, p]));
        };
        return { cos: one(cos), sin: one(sin) };
      };
      const turned = rotated(headsOf(x, t, size), { interleaved: a.interleaved, half }, angle);
      b.map(out, (i) =>
        E.to(
          out.dtype,
          x.shape.length === 4
            ? turned(i[0]!, i[1]!, i[2]!, i[3]!)
            : turned(i[0]!, E.floordiv(i[2]!, ofDim(size)), i[1]!, E.floormod(i[2]!, ofDim(size))),
        ),
      );
    },
  },
});

export const attentionOps: readonly OpDef<Attrs>[] = [Attention, RotaryEmbedding] as unknown as readonly OpDef<Attrs>[];
