// expand-storage: every pattern of the narrow floats decoded, encodings against a search for the nearest value, integers and casts
// against unbounded arithmetic, and what the expanded statements are made of.
import { describe, expect, test } from "vitest";
import { expandStorage } from "../../passes/loops/expand-storage.ts";
import { encodeNumber, isNarrowFloat, type NarrowFloat } from "../../passes/loops/expand-storage-floats.ts";
import type { BufferId } from "../../src/base/brand.ts";
import * as D from "../../src/ir/dim.ts";
import * as E from "../../src/ir/expr.ts";
import type { Kernel, LoopExpr, Stmt } from "../../src/ir/loops.ts";
import { exprsOf, visitExpr, visitStmt } from "../../src/ir/rewrite.ts";
import { type Buffer, dense, type Scope } from "../../src/ir/storage.ts";
import type { TargetInfo } from "../../src/ir/target.ts";
import { cellType, type DType, dtypes, intBits, isFloat, isInt, isUnsigned, typedView } from "../../src/ir/types.ts";
import { compileStore } from "./math-eval.ts";

const target: TargetInfo = {
  name: "test",
  vectorBytes: 16,
  registers: 16,
  cacheBytes: [32768],
  gpu: null,
  natives: new Set(),
  dtypes: new Set<DType>(["f32", "f64", "i32", "u32", "i64", "u64", "bool"]),
  minCellBytes: 1,
  ioInArena: true,
  pointers: true,
  align: 64,
};
const without64: TargetInfo = { ...target, dtypes: new Set<DType>(["f32", "i32", "u32", "bool"]) };

function buffer(id: number, dtype: DType, scope: Scope = "io"): Buffer {
  const shape = [D.int(1 << 20)];
  return { id: id as BufferId, name: `b${id}`, dtype, shape, scope, storage: dense(shape) };
}
const element = (b: Buffer): LoopExpr => E.load<LoopExpr>(b, [E.v("i")]);
const store = (b: Buffer, value: LoopExpr): Stmt => ({
  kind: "store",
  buffer: b.id,
  dtype: b.dtype,
  index: [E.v("i")],
  value,
});
function kernel(params: readonly Buffer[], body: Stmt): Kernel {
  return { name: "k", params, scalars: [], dims: [], mayOverlap: [], body };
}
/** Runs `out[i] = f(a[i], ...)` on cells, as printers do: a store truncates. */
function run(
  outType: DType,
  inputs: readonly (readonly [DType, ArrayLike<number | bigint>])[],
  f: (...xs: LoopExpr[]) => LoopExpr,
  on: TargetInfo = target,
): (number | bigint)[] {
  const ins = inputs.map(([d], i) => buffer(i, d));
  const out = buffer(ins.length, outType);
  const k = expandStorage(kernel([...ins, out], store(out, f(...ins.map(element)))), on);
  const n = inputs[0]![1].length;
  const make = (d: DType): ReturnType<typeof typedView> =>
    typedView(d, new Uint8Array(n * 8).subarray(0, n * typedBytes(d)));
  const cells: Record<number, ArrayLike<number | bigint>> = {};
  inputs.forEach(([, values], j) => {
    const view = make(k.params[j]!.dtype);
    for (let i = 0; i < n; i++) view[i] = values[i] as never;
    cells[j] = view;
  });
  const { store: s, value } = compileStore(k.body);
  const result = make(s.dtype);
  for (let i = 0; i < n; i++) {
    const x = value({ i }, cells);
    result[i] = (typeof x === "boolean" ? Number(x) : x) as never;
  }
  return Array.from(result as unknown as ArrayLike<number | bigint>);
}
function typedBytes(d: DType): number {
  return typedView(d, new Uint8Array(0)).BYTES_PER_ELEMENT;
}

// ---- an independent view of the formats -------------------------------------------------------------------------
const floats = dtypes.filter(isNarrowFloat) as NarrowFloat[];
const shape: Record<NarrowFloat, { bits: number; m: number; bias: number }> = {
  f16: { bits: 16, m: 10, bias: 15 },
  bf16: { bits: 16, m: 7, bias: 127 },
  f8e4m3fn: { bits: 8, m: 3, bias: 7 },
  f8e4m3fnuz: { bits: 8, m: 3, bias: 8 },
  f8e5m2: { bits: 8, m: 2, bias: 15 },
  f8e5m2fnuz: { bits: 8, m: 2, bias: 16 },
  f8e8m0: { bits: 8, m: 0, bias: 127 },
  f4e2m1: { bits: 4, m: 1, bias: 1 },
};
function meaning(d: NarrowFloat, p: number): number {
  const { bits, m, bias } = shape[d];
  if (d === "f8e8m0") return p === 255 ? Number.NaN : 2 ** (p - 127);
  const magnitude = p % 2 ** (bits - 1);
  const sign = p >= 2 ** (bits - 1) ? -1 : 1;
  const exponent = Math.floor(magnitude / 2 ** m);
  const fraction = (magnitude % 2 ** m) / 2 ** m;
  const last = 2 ** (bits - 1 - m) - 1;
  if (d === "f16" || d === "bf16" || d === "f8e5m2") {
    if (exponent === last) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  } else if (d.endsWith("fnuz")) {
    if (p === 0x80) return Number.NaN;
  } else if (d === "f8e4m3fn" && magnitude === 0x7f) return Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias));
}
const allPatterns = (d: NarrowFloat): number[] => Array.from({ length: 2 ** shape[d].bits }, (_, i) => i);

/** The value nearest to x by comparing distances; ties to the even pattern. Past the largest: ONNX's saturating Cast. */
class Nearest {
  private readonly values: number[];
  private readonly d: NarrowFloat;
  constructor(d: NarrowFloat) {
    this.d = d;
    const half = d === "f8e8m0" ? 255 : 2 ** (shape[d].bits - 1);
    this.values = Array.from({ length: half }, (_, p) => meaning(d, p)).filter((x) => Number.isFinite(x));
  }
  of(x: number): number {
    const { d, values } = this;
    const top = values[values.length - 1]!;
    if (Number.isNaN(x)) return d === "f4e2m1" ? -0 : Number.NaN;
    const a = Math.abs(x);
    let low = 0;
    let high = values.length - 1;
    while (high - low > 1) {
      const mid = (low + high) >> 1;
      if (values[mid]! <= a) low = mid;
      else high = mid;
    }
    let r: number;
    if (d === "f8e8m0")
      r = a <= values[0]! ? values[0]! : a > top ? top : values[low]! >= a ? values[low]! : values[high]!;
    else if (a >= top) {
      const step = top - values[values.length - 2]!;
      r = d === "f16" || d === "bf16" ? (a >= top + step / 2 ? Number.POSITIVE_INFINITY : top) : top;
    } else {
      const [below, above] = [a - values[low]!, values[high]! - a];
      r = below < above || (below === above && low % 2 === 0) ? values[low]! : values[high]!;
    }
    if (d === "f8e8m0") return r;
    return d.endsWith("fnuz") && r === 0 ? 0 : x < 0 || Object.is(x, -0) ? -r : r;
  }
}
const f32bits = new Float32Array(1);
const f32word = new Int32Array(f32bits.buffer);
function fromBits(b: number): number {
  f32word[0] = b;
  return f32bits[0]!;
}
/** f32 values all over the range, dense where formats round: every high half with low halves around ties, and midpoints. */
function samples(d: NarrowFloat): number[] {
  const list = [0, -0, Number.NaN, Infinity, -Infinity];
  for (let h = 0; h < 65536; h += d === "f16" || d === "bf16" ? 1 : 7) {
    for (const low of [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff]) list.push(fromBits((h << 16) | low));
  }
  const values = allPatterns(d)
    .map((p) => meaning(d, p))
    .filter((x) => Number.isFinite(x))
    .sort((a, b) => a - b);
  const step = Math.max(1, Math.floor(values.length / 4096));
  for (let i = 0; i + 1 < values.length; i += step) {
    const mid = Math.fround((values[i]! + values[i + 1]!) / 2);
    f32bits[0] = mid;
    const b = f32word[0]!;
    list.push(values[i]!, mid, fromBits(b + 1), fromBits(b - 1));
  }
  return list;
}

describe("narrow floats", () => {
  test.each(floats)("%s: every pattern decodes to its value and is kept by a copy", (d) => {
    const all = allPatterns(d);
    expect(run("f32", [[d, all]], (x) => E.cast("f32", x))).toEqual(all.map((p) => meaning(d, p)));
    expect(run(d, [[d, all]], (x) => x)).toEqual(all);
    const chosen = run(
      d,
      [
        [d, all],
        ["bool", all.map((p) => p & 1)],
      ],
      (x, c) => E.select(c!, x!, E.constant(d, 1)),
    );
    expect(chosen).toEqual(all.map((p) => (p & 1 ? p : encodeNumber(d, 1))));
  });
  test.each(floats)("%s: a value that was decoded encodes to its pattern", (d) => {
    const all = allPatterns(d);
    // Adding -0 keeps every number and leaves a pattern in no shortcut.
    const kept = run(d, [[d, all]], (x) => E.binary("add", x, E.constant(d, -0)));
    all.forEach((p, i) => {
      if (Number.isNaN(meaning(d, p))) expect(meaning(d, kept[i] as number)).toBeNaN();
      else expect([p, kept[i]]).toEqual([p, p]);
    });
  });
  test.each(floats)("%s: casts round to nearest even and saturate as ONNX says", (d) => {
    const xs = samples(d);
    const nearest = new Nearest(d);
    const stored = run(d, [["f32", xs]], (x) => E.cast(d, x));
    const through = run("f32", [["f32", xs]], (x) => E.cast("f32", E.cast(d, x)));
    const wrong: unknown[] = [];
    xs.forEach((x, i) => {
      const want = nearest.of(x);
      if (!Object.is(meaning(d, stored[i] as number), want) || !Object.is(through[i], want))
        wrong.push([x, want, stored[i], through[i]]);
    });
    expect(wrong.slice(0, 8)).toEqual([]);
    // Exactly one NaN is made, the same whatever the sign of the NaN was.
    expect(new Set(run(d, [["i32", [0x7fc00000, -0x400000]]], (x) => E.cast(d, E.bitcast("f32", x)))).size).toBe(1);
  });
  test.each(floats)("%s: constants are encoded as computed values are", (d) => {
    const xs = [
      0,
      -0,
      1,
      -1,
      0.1,
      -0.3,
      2 ** -126,
      2 ** -127,
      1e-3,
      2.71,
      6,
      100,
      -100,
      65504,
      65520,
      2 ** -9,
      2 ** -24,
      1.5 * 2 ** -24,
      447,
      1e9,
      Infinity,
      Number.NaN,
    ];
    const one = [["i32", [0]]] as const;
    const alone = xs.map((x) => run(d, one, () => E.constant(d, x))[0]);
    const computed = xs.map((x) => run(d, one, () => E.unary("neg", E.unary<LoopExpr>("neg", E.constant(d, x))))[0]);
    expect(alone).toEqual(computed);
    expect(meaning(d, alone[2] as number)).toBe(1);
  });
  test("f64 and wide integers are rounded once", () => {
    const up = 1 + 2 ** -11 + 2 ** -40;
    const xs = [
      up,
      -up,
      1 + 2 ** -11,
      1 + 3 * 2 ** -11 - 2 ** -40,
      2 ** -25 + 2 ** -70,
      2 ** -25,
      1e300,
      -1e300,
      1e-300,
      65519.99999999,
      65520,
      Infinity,
      -Infinity,
      0,
      -0,
      0.1,
    ];
    const got = run("f16", [["f64", xs]], (x) => E.cast("f16", x)).map((p) => meaning("f16", p as number));
    expect(got).toEqual(xs.map((x) => new Nearest("f16").of(x)));
    expect(run("f16", [["f64", [Number.NaN]]], (x) => E.cast("f16", x))).toEqual([0x7e00]);
    const ints = [
      0,
      1,
      -1,
      257,
      -257,
      2 ** 24 + 1,
      2 ** 31 - 1,
      -(2 ** 31),
      0x1010001,
      0x1018001,
      -0x1018001,
      0x7f7fffff,
      -0x1010001,
    ];
    const bf = run("bf16", [["i32", ints]], (x) => E.cast("bf16", x)).map((p) => meaning("bf16", p as number));
    expect(bf).toEqual(ints.map((x) => new Nearest("bf16").of(x)));
    const longs = ints.map((x) => BigInt(x) * 65537n * 3n);
    const fromLongs = run("bf16", [["i64", longs]], (x) => E.cast("bf16", x)).map((p) => meaning("bf16", p as number));
    expect(fromLongs).toEqual(longs.map((x) => new Nearest("bf16").of(Number(x))));
    expect(
      run("f16", [["i64", [70000n, -70000n, 2049n, -5n]]], (x) => E.cast("f16", x)).map((p) =>
        meaning("f16", p as number),
      ),
    ).toEqual([Infinity, -Infinity, 2048, -5]);
  });
  test("an 8-bit infinity survives selection, registers and copies, but a cast saturates", () => {
    const inf = 0x7c;
    expect(
      run("f8e5m2", [["bool", [1]]], (c) =>
        E.select<LoopExpr>(c, E.constant("f8e5m2", Infinity), E.constant("f8e5m2", 1)),
      ),
    ).toEqual([inf]);
    expect(run("f8e5m2", [["f8e5m2", [inf]]], (x) => E.binary("max", x, E.constant("f8e5m2", 0)))).toEqual([inf]);
    expect(run("f8e5m2", [["f16", [0x7c00, 0xfc00]]], (x) => E.cast("f8e5m2", x))).toEqual([0x7b, 0xfb]);
    expect(
      run("f8e4m3fn", [["bool", [1]]], (c) =>
        E.select<LoopExpr>(c, E.constant("f8e4m3fn", Number.NaN), E.constant("f8e4m3fn", 1)),
      ),
    ).toEqual([0x7f]);
  });
  test("arithmetic of f16 is rounded when it is stored, not before", () => {
    // (1 + 2^-11) - 1 is 0 if the sum is rounded to f16 first.
    const parts = (x: LoopExpr): LoopExpr =>
      E.binary<LoopExpr>("sub", E.binary<LoopExpr>("add", x, E.constant("f16", 2 ** -11)), E.constant("f16", 1));
    expect(run("f16", [["f16", [encodeNumber("f16", 1)]]], parts)).toEqual([encodeNumber("f16", 2 ** -11)]);
    expect(run("f32", [["f32", [1 + 2 ** -12]]], (x) => E.cast("f32", E.cast("f16", x)))).toEqual([1]);
  });
  test("bitcasts see patterns", () => {
    const all = allPatterns("f16");
    expect(run("u16", [["f16", all]], (x) => E.bitcast("u16", x))).toEqual(all);
    expect(run("i16", [["bf16", all]], (x) => E.bitcast("i16", x))).toEqual(all.map((p) => (p << 16) >> 16));
    expect(run("f16", [["i16", all]], (x) => E.bitcast("f16", x))).toEqual(all);
    expect(run("f32", [["u16", all]], (x) => E.cast("f32", E.bitcast("bf16", x)))).toEqual(
      all.map((p) => meaning("bf16", p)),
    );
    expect(run("i8", [["f8e5m2", [0xff, 1]]], (x) => E.bitcast("i8", x))).toEqual([-1, 1]);
    expect(run("i32", [["u8", [0xff, 0x7f]]], (x) => E.cast("i32", E.bitcast("i8", x)))).toEqual([-1, 127]);
  });
});

const narrowInts: readonly DType[] = ["i16", "i8", "i4", "i2", "u16", "u8", "u4", "u2"];
const wrapTo = (d: DType, x: bigint): number =>
  Number(isUnsigned(d) ? BigInt.asUintN(intBits(d), x) : BigInt.asIntN(intBits(d), x));
function intSamples(d: DType): number[] {
  const n = intBits(d);
  if (n <= 4) return Array.from({ length: 2 ** n }, (_, i) => wrapTo(d, BigInt(i)));
  const edge = 2 ** (n - 1);
  return [0, 1, 2, 3, 5, 7, 11, edge - 1, edge, edge + 1, -1, -2, -7, -edge + 1, edge - 2].map((x) =>
    wrapTo(d, BigInt(x)),
  );
}
const floorDiv = (a: bigint, b: bigint): bigint =>
  b === 0n ? 0n : a / b - (a % b !== 0n && a < 0n !== b < 0n ? 1n : 0n);
const intOps: Partial<Record<E.BinaryOp, (a: bigint, b: bigint) => bigint>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  truncdiv: (a, b) => (b === 0n ? 0n : a / b),
  floordiv: floorDiv,
  truncmod: (a, b) => (b === 0n ? 0n : a % b),
  floormod: (a, b) => (b === 0n ? 0n : a - floorDiv(a, b) * b),
  min: (a, b) => (b < a ? b : a),
  max: (a, b) => (a < b ? b : a),
  bitand: (a, b) => a & b,
  bitor: (a, b) => a | b,
  bitxor: (a, b) => a ^ b,
};
describe("narrow integers", () => {
  test.each(narrowInts)("%s: wraps, stored and as an operand", (d) => {
    const s = intSamples(d);
    const pairs = s.flatMap((a) => s.map((b) => [a, b] as const));
    const inputs = [
      [d, pairs.map((p) => p[0])],
      [d, pairs.map((p) => p[1])],
    ] as const;
    for (const [op, f] of Object.entries(intOps)) {
      const want = pairs.map(([a, b]) => wrapTo(d, f(BigInt(a), BigInt(b))));
      const stored = run(d, inputs, (x, y) => E.binary(op as E.BinaryOp, x!, y!));
      const wide = run("i32", inputs, (x, y) => E.cast("i32", E.binary(op as E.BinaryOp, x!, y!)));
      expect([op, stored]).toEqual([op, want]);
      expect([op, wide]).toEqual([op, want]);
    }
    for (const k of [0, 1, intBits(d) - 1, intBits(d), 31].filter((x) => wrapTo(d, BigInt(x)) === x)) {
      const by = E.constant(d, k);
      expect(run("i32", [[d, s]], (x) => E.cast("i32", E.binary("shl", x, by)))).toEqual(
        s.map((a) => wrapTo(d, BigInt(a) << BigInt(k))),
      );
      expect(run("i32", [[d, s]], (x) => E.cast("i32", E.binary("shr", x, by)))).toEqual(
        s.map((a) => wrapTo(d, BigInt(a) >> BigInt(k))),
      );
    }
    const unary: [E.UnaryOp, (a: bigint) => bigint][] = [
      ["neg", (a) => -a],
      ["bitnot", (a) => ~a],
      ["abs", (a) => (a < 0n ? -a : a)],
      ["floor", (a) => a],
    ];
    for (const [op, f] of unary)
      expect(run("i32", [[d, s]], (x) => E.cast("i32", E.unary(op, x)))).toEqual(s.map((a) => wrapTo(d, f(BigInt(a)))));
    expect(run("bool", inputs, (x, y) => E.binary("lt", x!, y!))).toEqual(pairs.map(([a, b]) => (a < b ? 1 : 0)));
    // A comparison of a wrapped sum sees the wrapped sum.
    expect(run("bool", inputs, (x, y) => E.binary<LoopExpr>("lt", E.binary("add", x!, y!), x!))).toEqual(
      pairs.map(([a, b]) => (wrapTo(d, BigInt(a) + BigInt(b)) < a ? 1 : 0)),
    );
  });
  test("casts between all integer types keep the low bits", () => {
    const ints = dtypes.filter(isInt);
    for (const from of ints) {
      for (const to of ints) {
        const s = intSamples(from).map((x) => (intBits(from) === 64 ? BigInt(x) : x));
        const want = s.map((x) =>
          intBits(to) === 64 ? BigInt[isUnsigned(to) ? "asUintN" : "asIntN"](64, BigInt(x)) : wrapTo(to, BigInt(x)),
        );
        expect([from, to, run(to, [[from, s]], (x) => E.cast(to, x))]).toEqual([from, to, want]);
        if (intBits(to) < 32) expect(run("i32", [[from, s]], (x) => E.cast("i32", E.cast(to, x)))).toEqual(want);
        // An unwrapped sum is wrapped before it is widened.
        if (intBits(from) < 32 && intBits(to) < 32) {
          const twice = run(to, [[from, s]], (x) => E.cast(to, E.binary("add", x, x)));
          expect([from, to, twice]).toEqual([from, to, s.map((x) => wrapTo(to, BigInt(wrapTo(from, BigInt(x) * 2n))))]);
        }
      }
    }
  });
  test("floats to integers: saturated to 32 bits, then wrapped", () => {
    const xs = [0, 1.9, -1.9, 300.7, -300.7, 7, 8, -9, 15, 1e10, -1e10, Number.NaN, 4e9];
    const word = (x: number): number =>
      Number.isNaN(x) ? 0 : Math.min(Math.max(Math.trunc(x), -(2 ** 31)), 2 ** 31 - 1);
    for (const d of narrowInts)
      expect(run(d, [["f32", xs]], (x) => E.cast(d, x))).toEqual(
        xs.map((x) => wrapTo(d, BigInt(word(Math.fround(x))))),
      );
    expect(run("u32", [["f32", xs]], (x) => E.cast("u32", x))).toEqual(
      xs.map((x) => (Number.isNaN(x) ? 0 : Math.min(Math.max(Math.trunc(x), 0), 2 ** 32 - 1))),
    );
    expect(run("i4", [["f16", [encodeNumber("f16", 9), encodeNumber("f16", -9)]]], (x) => E.cast("i4", x))).toEqual([
      -7, 7,
    ]);
    expect(run("f16", [["u8", [0, 1, 255]]], (x) => E.cast("f16", x))).toEqual([0, 0x3c00, encodeNumber("f16", 255)]);
    expect(run("i8", [["bool", [0, 1]]], (x) => E.cast("i8", x))).toEqual([0, 1]);
    expect(run("bool", [["f16", [0, 0x8000, 1, 0x7e00]]], (x) => E.cast("bool", x))).toEqual([0, 0, 1, 1]);
  });
});

describe("without 64-bit integers", () => {
  test("they are 32-bit in buffers, registers and constants", () => {
    expect(
      run("i64", [["i64", [5, -7]]], (x) => E.binary<LoopExpr>("add", x, E.constant("i64", 2n ** 40n)), without64),
    ).toEqual([(5 + 2 ** 31 - 1) | 0, 2 ** 31 - 8]);
    expect(run("u64", [["u64", [5]]], () => E.constant("u64", 2n ** 64n - 1n), without64)).toEqual([2 ** 32 - 1]);
    expect(run("i64", [["u64", [2 ** 32 - 1]]], (x) => E.cast("i64", x), without64)).toEqual([-1]);
    expect(run("f32", [["i64", [-3]]], (x) => E.cast("f32", x), without64)).toEqual([-3]);
    expect(run("i64", [["f32", [1e12, -1e12]]], (x) => E.cast("i64", x), without64)).toEqual([2 ** 31 - 1, -(2 ** 31)]);
    const k = expandStorage(
      kernel([buffer(0, "i64"), buffer(1, "u64")], store(buffer(1, "u64"), E.cast("u64", element(buffer(0, "i64"))))),
      without64,
    );
    expect(k.params.map((p) => p.dtype)).toEqual(["i32", "u32"]);
  });
});

describe("statements", () => {
  /** Types of registers and cells, wherever they stand. */
  function check(k: Kernel): void {
    const cells = new Map(k.params.map((p) => [p.id, p.dtype]));
    visitStmt(k.body, (s) => {
      if (s.kind === "alloc") cells.set(s.buffer.id, s.buffer.dtype);
    });
    for (const d of cells.values()) expect(cellType(d)).toBe(d);
    const register = (d: DType): boolean => ["f32", "f64", "i32", "u32", "i64", "u64", "bool"].includes(d);
    visitStmt(k.body, (s) => {
      if (s.kind === "store") expect(s.dtype).toBe(cells.get(s.buffer));
      for (const e of exprsOf(s)) {
        visitExpr(e, (x) => {
          if (x.kind === "load") expect(x.dtype).toBe(cells.get(x.buffer));
          else expect(`${x.kind} ${x.dtype} ${register(x.dtype)}`).toBe(`${x.kind} ${x.dtype} true`);
        });
      }
    });
  }
  test.each(dtypes)("%s: registers are wide, memory is cells", (d) => {
    const [a, out, acc] = [buffer(0, d), buffer(1, d), { ...buffer(2, d, "register"), shape: [] }];
    const zero = E.i32(0);
    const accLoad = E.load<LoopExpr>(acc, [zero]);
    const sum =
      d === "bool" ? E.binary<LoopExpr>("or", accLoad, element(a)) : E.binary<LoopExpr>("add", accLoad, element(a));
    const body: Stmt = {
      kind: "alloc",
      buffer: acc,
      body: {
        kind: "seq",
        body: [
          { kind: "store", buffer: acc.id, dtype: d, index: [zero], value: E.constant(d, 0) },
          {
            kind: "for",
            v: "i",
            extent: E.i32(4),
            step: 1,
            loop: "serial",
            body: { kind: "store", buffer: acc.id, dtype: d, index: [zero], value: sum },
          },
          { kind: "let", name: "t", value: accLoad, body: { ...store(out, E.v("t", d)), index: [zero] } as Stmt },
        ],
      },
    };
    const k = expandStorage(kernel([a, out], body), target);
    check(k);
    expect(k.params[0]!.dtype).toBe(cellType(d));
    let local: DType | null = null;
    visitStmt(k.body, (s) => {
      if (s.kind === "alloc") local = s.buffer.dtype;
    });
    expect(local).toBe(isFloat(d) && d !== "f64" ? "f32" : isInt(d) && intBits(d) < 32 ? "i32" : d);
  });
  test("vectors of f32 stay as they are", () => {
    const [a, out] = [buffer(0, "f32"), buffer(1, "f32")];
    const ramp: LoopExpr = { kind: "ramp", base: E.i32(0), stride: 1, lanes: 4, dtype: "i32" };
    const two: LoopExpr = { kind: "splat", x: E.constant("f32", 2), lanes: 4, dtype: "f32" };
    const value = E.binary<LoopExpr>("mul", E.load<LoopExpr>(a, [ramp]), two);
    const s: Stmt = { kind: "store", buffer: out.id, dtype: "f32", index: [ramp], value };
    expect(expandStorage(kernel([a, out], s), target)).toEqual(kernel([a, out], s));
  });
});
