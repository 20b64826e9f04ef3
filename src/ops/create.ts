// Ops that make tensors: Range, ConstantOfShape, EyeLike and random numbers.
import type { SymbolId } from "../base/brand.ts";
import type { Dim } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { constant, type Expr, i32, load, ofDim } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import type { Stmt } from "../ir/loops.ts";
import { type InferCtx, type OpDef, op, type RawNode, type TeBuilder } from "../ir/opdef.ts";
import type { Buffer } from "../ir/storage.ts";
import { type DType, isFloat, type Tensor, tensorType, typedView, widened } from "../ir/types.ts";
import { onnx, sameType, shapeText, tensor } from "./common.ts";
import { bindExtents, ceilDiv, countKnown, dimAt, intAt, numberAt, scalarOf, toIndex } from "./ints.ts";
import { callKernel, type KernelScope, store } from "./kernel.ts";

export const Range: OpDef<Record<string, never>> = op({
  name: "Range",
  onnx: [onnx("Range", 11, 27)],
  accuracy: { kind: "ulps", n: 2 },
  effects: "none",
  parse: (n) => {
    if (n.int("stash_type", 1) !== 1) n.fail("only stash_type 1 is supported");
    return {};
  },
  infer: (x, _a, ctx) => {
    const [start, limit, delta] = [tensor(x, 0, ctx), tensor(x, 1, ctx), tensor(x, 2, ctx)];
    sameType(start, limit, ctx);
    sameType(start, delta, ctx);
    return [tensorType(start.dtype, [rangeCount(ctx) ?? ctx.fresh("range", 0, null)])];
  },
  body: {
    kind: "compute",
    compute: (b) => {
      const out = b.output(0);
      // Narrow floats accumulate too coarsely: positions are computed in their register type.
      const wide = isFloat(out.dtype) ? widened(out.dtype) : out.dtype;
      const [start, limit, delta] = [0, 1, 2].map((k) => E.to(wide, scalarOf(b.input(k)))) as [Expr, Expr, Expr];
      const span = E.sub(limit, start);
      const count = isFloat(wide)
        ? E.to("i32", E.unary("ceil", E.div(span, delta)))
        : toIndex(E.neg(E.floordiv(E.neg(span), delta)));
      bindExtents(b, out.shape, [E.max(count, 0)]);
      b.map(out, ([i]) => E.to(out.dtype, E.add(start, E.mul(E.to(wide, i!), delta))));
    },
  },
});
function rangeCount(ctx: InferCtx): Dim | null {
  const [start, limit, delta] = [0, 1, 2].map((k) => dimAt(ctx.known(k), 0));
  if (start && limit && delta?.kind === "int" && delta.value !== 0) {
    // ceil(span / delta), for a negative delta of the negated span.
    const span = D.sub(limit, start);
    return D.simplify(D.max(D.zero, ceilDiv(delta.value > 0 ? span : D.neg(span), Math.abs(delta.value))), ctx.ranges);
  }
  const [s, l, d] = [0, 1, 2].map((k) => numberAt(ctx.known(k), 0));
  return s != null && l != null && d != null && d !== 0 ? D.int(Math.max(0, Math.ceil((l - s) / d))) : null;
}

export const ConstantOfShape: OpDef<{ value?: Tensor }> = op<{ value?: Tensor }>({
  name: "ConstantOfShape",
  onnx: [onnx("ConstantOfShape", 9, 20, 21, 23, 24, 25)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => {
    const value = n.tensor("value");
    return value ? { value } : {};
  },
  infer: (x, a, ctx) => {
    const rank = countKnown(tensor(x, 0, ctx), ctx, "dims");
    return [
      tensorType(
        a.value?.dtype ?? "f32",
        Array.from({ length: rank }, (_, k) => dimAt(ctx.known(0), k) ?? ctx.fresh("shape", 0, null)),
      ),
    ];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const out = b.output(0);
      const t = n.attrs.value;
      const known = b.known(0);
      bindExtents(
        b,
        out.shape,
        out.shape.map((_, k) => (dimAt(known, k) ? null : intAt(b, 0, k))),
      );
      // A narrow float's bits are no number: its constant stays a tensor.
      const narrow = t && isFloat(t.dtype) && t.dtype !== "f32" && t.dtype !== "f64";
      const value = !t
        ? constant("f32", 0)
        : narrow
          ? scalarOf(b.constant("value", t))
          : constant(t.dtype, typedView(t.dtype, t.bytes)[0] ?? 0);
      b.map(out, () => value);
    },
  },
});

export const EyeLike: OpDef<{ dtype?: string; k: number }> = op<{ dtype?: string; k: number }>({
  name: "EyeLike",
  onnx: [onnx("EyeLike", 9, 22)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => ({ k: n.int("k", 0), ...(n.has("dtype") ? { dtype: n.dtype("dtype") } : {}) }),
  infer: (x, a, ctx) => {
    const t = tensor(x, 0, ctx);
    if (t.shape.length !== 2) ctx.fail(`EyeLike of ${shapeText(t.shape)}`);
    return [tensorType((a.dtype as DType | undefined) ?? t.dtype, t.shape)];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const out = b.output(0);
      b.map(out, ([i, j]) => E.to(out.dtype, E.eq(E.sub(j!, i!), n.attrs.k)));
    },
  },
});

// ---- random numbers: Philox 2x32 with 10 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011). The key is
// the run's seed with the node's, the counter the element and a hash of the node's name: each element is a pure function of these.

type RandomAttrs = { readonly seed?: number };
const parseSeed = (n: RawNode): RandomAttrs => (n.has("seed") ? { seed: n.float("seed") } : {});

/** FNV-1a. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}
const u32 = (x: number): Expr => constant("u32", x >>> 0);
/** The upper half of a 64-bit product, from 16-bit halves: targets may lack 64-bit integers. */
function mulHigh(k: KernelScope, a: number, b: Expr, then: (high: Expr) => Stmt): Stmt {
  const [a0, a1] = [a & 0xffff, a >>> 16];
  const low16 = (x: Expr): Expr => E.binary("bitand", x, u32(0xffff));
  const high16 = (x: Expr): Expr => E.binary("shr", x, u32(16));
  return k.let(low16(b), (b0) =>
    k.let(high16(b), (b1) =>
      k.let(E.add(E.mul(u32(a1), b0), high16(E.mul(u32(a0), b0))), (t) =>
        k.let(E.add(E.mul(u32(a0), b1), low16(t)), (s) =>
          k.let(E.add(E.add(E.mul(u32(a1), b1), high16(t)), high16(s)), then),
        ),
      ),
    ),
  );
}
function philox(k: KernelScope, counter: Expr, stream: number, key: Expr, then: (x: Expr, y: Expr) => Stmt): Stmt {
  const multiplier = 0xd256d193;
  const rounds = (n: number, x: Expr, y: Expr, key: Expr): Stmt =>
    n === 0
      ? then(x, y)
      : mulHigh(k, multiplier, x, (high) =>
          k.let(E.binary("bitxor", E.binary("bitxor", high, key), y), (x2) =>
            k.let(E.mul(u32(multiplier), x), (y2) =>
              k.let(E.add(key, u32(0x9e3779b9)), (key2) => rounds(n - 1, x2, y2, key2)),
            ),
          ),
        );
  return rounds(10, counter, u32(stream), key);
}
/** Uniform in [0, 1): the upper 24 bits. */
const unit = (x: Expr): Expr => E.mul(E.to("f32", E.binary("shr", x, u32(8))), 2 ** -24);

/** out[i] = f of two random words of element i; `extra` are further parameters of the kernel. */
function fillRandom(
  b: TeBuilder,
  name: string,
  seed: number | undefined,
  out: Buffer,
  extra: readonly Buffer[],
  f: (k: KernelScope, i: readonly Expr[], words: readonly [Expr, Expr], extra: readonly Buffer[], out: Buffer) => Stmt,
): void {
  const stream = hash(b.loc.node);
  const own = seed === undefined ? 0 : new Uint32Array(new Float32Array([seed]).buffer)[0]!;
  callKernel(b, name, [out, ...extra], (k, [po, ...rest]) =>
    k.let(E.binary("bitxor", E.to("u32", k.dim(D.sym("$seed" as SymbolId))), u32(own)), (key) =>
      k.nest(
        po!.shape,
        (i) => {
          const flat = i.reduce<Expr>((acc, e, a) => E.add(E.mul(acc, k.dim(po!.shape[a]!)), e), i32(0));
          return philox(k, E.to("u32", flat), stream, key, (x, y) => f(k, i, [x, y], rest, po!));
        },
        "parallel",
      ),
    ),
  );
}
/** Box-Muller; the logarithm's argument is never 0. */
function normal([x, y]: readonly [Expr, Expr]): Expr {
  const radius = E.unary("sqrt", E.mul(E.unary("log", E.add(unit(x), 2 ** -25)), -2));
  return E.mul(radius, E.unary("cos", E.mul(unit(y), 2 * Math.PI)));
}
type FillAttrs = RandomAttrs & {
  readonly dtype?: string;
  readonly shape?: readonly number[];
  readonly a: number;
  readonly b: number;
};
function randomFill(
  type: string,
  params: readonly [string, number, string, number],
  value: (words: readonly [Expr, Expr], a: number, b: number) => Expr,
): OpDef<FillAttrs> {
  const like = type.endsWith("Like");
  return op<FillAttrs>({
    name: type,
    onnx: [onnx(type, 1, 22)],
    accuracy: { kind: "exact" },
    effects: "random",
    parse: (n) => ({
      ...parseSeed(n),
      a: n.float(params[0], params[1]),
      b: n.float(params[2], params[3]),
      ...(n.has("dtype") ? { dtype: n.dtype("dtype") } : {}),
      ...(like ? {} : { shape: n.ints("shape") ?? n.fail("the shape is missing") }),
    }),
    infer: (x, a, ctx) => {
      if (!like) return [tensorType((a.dtype as DType | undefined) ?? "f32", a.shape!.map(D.int))];
      const t = tensor(x, 0, ctx);
      return [tensorType((a.dtype as DType | undefined) ?? t.dtype, t.shape)];
    },
    body: {
      kind: "loops",
      loops: (b, n) =>
        fillRandom(b, "random", n.attrs.seed, b.output(0), [], (_k, i, words, _e, out) =>
          store(out, i, E.to(out.dtype, value(words, n.attrs.a, n.attrs.b))),
        ),
    },
  });
}
const scaled = (words: readonly [Expr, Expr], mean: number, scale: number): Expr =>
  E.add(E.mul(normal(words), scale), mean);
const between = ([x]: readonly [Expr, Expr], low: number, high: number): Expr => E.add(E.mul(unit(x), high - low), low);

/** 1 with the probability that the input gives. */
export const Bernoulli: OpDef<RandomAttrs & { dtype?: string }> = op<RandomAttrs & { dtype?: string }>({
  name: "Bernoulli",
  onnx: [onnx("Bernoulli", 15, 22)],
  accuracy: { kind: "exact" },
  effects: "random",
  parse: (n) => ({ ...parseSeed(n), ...(n.has("dtype") ? { dtype: n.dtype("dtype") } : {}) }),
  infer: (x, a, ctx) => {
    const t = tensor(x, 0, ctx);
    return [tensorType((a.dtype as DType | undefined) ?? t.dtype, t.shape)];
  },
  body: {
    kind: "loops",
    loops: (b, n) =>
      fillRandom(b, "bernoulli", n.attrs.seed, b.output(0), [b.input(0)], (_k, i, [x], [p], out) =>
        store(out, i, E.to(out.dtype, E.lt(unit(x), E.to("f32", load(p!, i))))),
      ),
  },
});

/** Draws classes from unnormalised log-probabilities [batch, class]: the first whose cumulated probability exceeds a uniform number. */
export const Multinomial: OpDef<RandomAttrs & { count: number; dtype: string }> = op<
  RandomAttrs & { count: number; dtype: string }
>({
  name: "Multinomial",
  onnx: [onnx("Multinomial", 7, 22)],
  accuracy: { kind: "exact" },
  effects: "random",
  parse: (n) => ({ ...parseSeed(n), count: n.int("sample_size", 1), dtype: n.dtype("dtype", "i32") }),
  infer: (x, a, ctx) => {
    const t = tensor(x, 0, ctx);
    if (t.shape.length !== 2) ctx.fail(`Multinomial of ${shapeText(t.shape)}`);
    return [tensorType(a.dtype as DType, [t.shape[0]!, D.int(a.count)])];
  },
  body: {
    kind: "loops",
    loops: (b, n) => {
      const x = b.input(0);
      const [batch, classes] = x.shape as [Dim, Dim];
      const largest = b.temp("largest", "f32", [batch]);
      b.reduce(largest, [classes], ([i], [c]) => ({
        state: [{ init: E.lowest("f32"), update: ([s]) => E.max(s!, E.to("f32", load(x, [i!, c!]))) }],
      }));
      const sums = b.temp("cumulated", "f32", x.shape);
      b.scan(sums, 1, ([i, c]) => {
        const p = E.unary("exp", E.sub(E.to("f32", load(x, [i!, c!])), load(largest, [i!])));
        return E.where(E.eq(c!, 0), p, E.add(load(sums, [i!, E.sub(c!, 1)]), p));
      });
      fillRandom(b, "multinomial", n.attrs.seed, b.output(0), [sums], (k, i, [word], [s], out) => {
        const last = E.sub(ofDim(classes), 1);
        return k.let(E.mul(unit(word), load(s!, [i[0]!, last])), (target) =>
          k.variable(i32(0), (found) => ({
            kind: "seq",
            body: [
              k.loop(E.sub(k.dim(classes), 1), (c) => ({
                kind: "if",
                cond: E.le(load(s!, [i[0]!, c]), target),
                then: found.set(E.add(c, 1)),
              })),
              store(out, i, E.to(out.dtype, found.get)),
            ],
          })),
        );
      });
    },
  },
});

export const createOps: readonly OpDef<Attrs>[] = [
  Range,
  ConstantOfShape,
  EyeLike,
  Bernoulli,
  Multinomial,
  randomFill("RandomNormal", ["mean", 0, "scale", 1], scaled),
  randomFill("RandomNormalLike", ["mean", 0, "scale", 1], scaled),
  randomFill("RandomUniform", ["low", 0, "high", 1], between),
  randomFill("RandomUniformLike", ["low", 0, "high", 1], between),
] as unknown as readonly OpDef<Attrs>[];
