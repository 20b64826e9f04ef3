// What the decompositions know of f32 and f64: layouts, splittings and polynomials. Unless a line says otherwise the polynomials are our
// own minimax fits (Remez exchange in 50 digits, then rounded to the format), with the fit's error as its comment.
import type { LoopExpr } from "../../src/ir/loops.ts";
import type { DType } from "../../src/ir/types.ts";
import * as B from "./build.ts";

export type Float = {
  readonly dtype: DType;
  /** The integer type of the same width. */
  readonly int: DType;
  readonly bits: 32 | 64;
  /** Stored bits of the mantissa, and the exponent's bias. */
  readonly mantissa: number;
  readonly bias: number;
  /** Bits that `head` clears: two heads have an exact product. */
  readonly tailBits: number;
  /** The pattern of the least number that is at least sqrt(1/2). */
  readonly sqrtHalf: bigint;
  /** ln 2 = hi + lo, where hi times an exponent is exact; and a head of it with its rest. */
  readonly ln2: readonly [hi: number, lo: number];
  readonly ln2Head: readonly [hi: number, lo: number];
  /** 2 / (3 ln 2) as a head and its rest. */
  readonly cp: readonly [hi: number, lo: number];
  /**
   * pi/2 in parts. k * part is exact for k <= 2^16 (f32), 2^20 (f64) but for `last`; with `exact` even the difference is, with `split`
   * its error has to be kept.
   */
  readonly halfPi: { readonly exact: readonly number[]; readonly split: readonly number[]; readonly last: number };
  /** 1.5 * 2^mantissa: added to a number below a quarter of it, it leaves the nearest integer (ties to even) in the low bits. */
  readonly magic: number;
  /** Sums with `magic` stay as they are written. */
  readonly exactSums?: boolean;
  /** exp of anything below (above) is 0 (infinity). */
  readonly expRange: readonly [number, number];
  /** tanh of anything above is 1. */
  readonly tanhOne: number;
  /** No y * log2(x) beyond this is in range. */
  readonly powRange: number;
  /** (e^r - 1 - r) / r^2 for |r| <= ln(2) / 2. */
  readonly exp: readonly number[];
  /** (log((1+s)/(1-s)) / s - 2) / z with z = s^2, for |s| <= (sqrt 2 - 1) / (sqrt 2 + 1). */
  readonly log: readonly number[];
  /** (3 atanh(s) / s - 3 - z) / z^2, for the same s. */
  readonly powLog: readonly number[];
  /** (sin h - h) / h^3 and (cos h - 1 + z/2) / z^2 with z = h^2, for |h| <= pi/4. */
  readonly sin: readonly number[];
  readonly cos: readonly number[];
  readonly erf: Erf;
};

/** How erf is made: of a power below a bound and above it, which is short and has no exp; or of one function of exp, for more digits. */
export type Erf =
  | {
      readonly kind: "halves";
      /** erf x / x - 1 in x^2 for |x| < bound; (1 - erf a)^(-1/8) in a for a >= bound, growing beyond the fit. */
      readonly bound: number;
      readonly small: readonly number[];
      readonly large: readonly number[];
      /** (1 - erf a)^(-1/8) in a for a >= 0: near 0 only its error against 1 is small. */
      readonly tail: readonly number[];
    }
  | {
      readonly kind: "exp";
      /** erf of anything above is 1. */
      readonly one: number;
      /** -log(1 - erf a) / a - 1 for a <= one. */
      readonly g: readonly number[];
    };

export const f32: Float = {
  dtype: "f32",
  int: "i32",
  bits: 32,
  mantissa: 23,
  bias: 127,
  tailBits: 12,
  sqrtHalf: 0x3f3504f3n,
  ln2: [0.693145751953125, 1.428606765330187e-6],
  ln2Head: [0.693115234375, 3.194618329871446e-5],
  cp: [0.9619140625, -0.00011736857413779944],
  halfPi: {
    exact: [1.5703125, 0.000457763671875, 2.5987625122070312e-5],
    split: [7.543712854385376e-8, 6.002665031701326e-11],
    last: 7.443547731314504e-13,
  },
  magic: 12582912,
  expRange: [-104, 89],
  tanhOne: 10,
  powRange: 200,
  // 2^-28.0 of exp
  exp: [0.4999999403953552, 0.1666652113199234, 0.04166838899254799, 0.008368716575205326, 0.0013814601115882397],
  // 2^-29.9 of log
  log: [0.6666677594184875, 0.3997744917869568, 0.29874420166015625],
  // 2^-36.4 of log
  powLog: [0.6000022888183594, 0.4282055199146271, 0.3513159453868866],
  // 2^-27.4 of sin
  sin: [-0.16666655242443085, 0.008332176133990288, -0.00019516977772582322],
  // 2^-32.7 of cos
  cos: [0.04166664555668831, -0.0013887312961742282, 2.4432785721728578e-5],
  // 2^-25.2 and 2^-25.4 of erf
  erf: {
    kind: "halves",
    bound: 0.875,
    small: [
      0.12837915122509003, -0.3761255145072937, 0.11282455176115036, -0.026791462674736977, 0.005032181274145842,
      -0.0006203255034051836,
    ],
    large: [
      0.9983519315719604, 0.15038469433784485, 0.06699647754430771, 0.054647766053676605, -0.02083623595535755,
      0.013169954530894756, -0.003065869677811861, 0.0004633714852388948,
    ],
    // 2^-25.5 of 1
    tail: [
      1, 0.14104755222797394, 0.08952164649963379, 0.024560371413826942, 0.003317509312182665, 0.0014221880119293928,
      0.00017475371714681387, 7.796896534273401e-5, -1.594969398865942e-5, 6.070841664040927e-6,
    ],
  },
};

export const f64: Float = {
  dtype: "f64",
  int: "i64",
  bits: 64,
  mantissa: 52,
  bias: 1023,
  tailBits: 27,
  sqrtHalf: 0x3fe6a09e667f3bcdn,
  ln2: [0.6931471806019545, -4.2009150726810846e-11],
  ln2Head: [0.6931471824645996, -1.904654299957768e-9],
  cp: [0.9617967009544373, -7.028461650952758e-9],
  halfPi: { exact: [1.5707963267341256], split: [6.077100506303966e-11], last: 2.0222662487959506e-21 },
  magic: 6755399441055744,
  expRange: [-746, 710],
  tanhOne: 20,
  powRange: 1200,
  // 2^-60.3 of exp
  exp: [
    0.5, 0.16666666666666682, 0.041666666666666095, 0.008333333333317034, 0.0013888888889115633, 0.00019841269896383342,
    2.4801586926617993e-5, 2.7557234862274898e-6, 2.755758186308595e-7, 2.5112036744109572e-8, 2.0826622182866656e-9,
  ],
  // 2^-59.1 of log
  log: [
    0.6666666666666735, 0.3999999999940748, 0.28571428744142074, 0.22222198378424876, 0.1818357516751873,
    0.15313755721382571, 0.1479906638198535,
  ],
  // 2^-65.5 of log
  powLog: [
    0.6000000000000343, 0.42857142855125546, 0.333333337843296, 0.27272676146057073, 0.23080155303488356,
    0.1988476260840411, 0.19798924715152974,
  ],
  // 2^-57.0 of sin
  sin: [
    -0.16666666666666632, 0.00833333333332237, -0.0001984126982977112, 2.7557313678648983e-6, -2.505075595869596e-8,
    1.5896666348949285e-10,
  ],
  // 2^-59.4 of cos
  cos: [
    0.041666666666666595, -0.0013888888888872975, 2.4801587288800092e-5, -2.7557314163993735e-7, 2.087569871066761e-9,
    -1.1358423617806009e-11,
  ],
  // 2^-56.0 of erf
  erf: {
    kind: "exp",
    one: 6,
    g: [
      0.12837916709551256, 0.6366197723675836, 0.10277260330178879, -0.01912844700507069, -0.00020919469484206323,
      0.0016962063857641103, -0.0005901255530776556, 2.5878605179416124e-5, 6.449185799507504e-5,
      -2.9724039741811156e-5, 3.4072547432788447e-6, 2.8351541906802768e-6, -1.741561926345268e-6, 3.363767531019878e-7,
      1.3717387865033063e-7, -1.4175743000125767e-7, 6.573150780184426e-8, -2.0961966694052744e-8, 4.997519310718294e-9,
      -9.081843837177599e-10, 1.2483502673238537e-10, -1.2610327982979847e-11, 8.845057746235334e-13,
      -3.850283111645881e-14, 7.8336574832018975e-16,
    ],
  },
};

/** 2^k for an integer k whose power is a normal number; of k only the bits count that an exponent has. */
export function pow2(f: Float, k: LoopExpr): LoopExpr {
  return B.bits(f.dtype, B.shl(B.add(k, f.bias), f.mantissa));
}
/**
 * y * 2^k for y near 1 and any k whose half is the exponent of a normal number: rounded once, also to a denormal. Of k only the bits
 * count that an exponent has, and one more.
 */
export function scale(f: Float, y: LoopExpr, k: LoopExpr): LoopExpr {
  const half = B.shr(k, 1);
  return B.mul(B.mul(y, pow2(f, half)), pow2(f, B.sub(k, half)));
}
/** x without the low bits of its mantissa. */
export function head(f: Float, x: LoopExpr): LoopExpr {
  return B.bits(f.dtype, B.bitand(B.bits(f.int, x), -(1n << BigInt(f.tailBits))));
}
/** The sign bit of x alone. */
export function signBit(f: Float, x: LoopExpr): LoopExpr {
  return B.bitand(B.bits(f.int, x), -(1n << BigInt(f.bits - 1)));
}
/** x >= 0 with the sign bit `sign`. */
export function withSign(f: Float, x: LoopExpr, sign: LoopExpr): LoopExpr {
  return B.bits(f.dtype, B.bitor(B.bits(f.int, x), sign));
}
/** x > 0 and finite as m * 2^k, with sqrt(1/2) <= m < sqrt 2; k is an integer. */
export function split(f: Float, x: LoopExpr): { readonly m: LoopExpr; readonly k: LoopExpr } {
  const up = f.mantissa + 1;
  const denormal = B.lt(x, 2 ** (1 - f.bias));
  const normal = B.select(denormal, B.mul(x, 2 ** up), x);
  const b = B.sub(B.bits(f.int, normal), f.sqrtHalf);
  const m = B.bits(f.dtype, B.add(B.bitand(b, (1n << BigInt(f.mantissa)) - 1n), f.sqrtHalf));
  const exponent = B.shr(b, f.mantissa);
  return { m, k: B.select(denormal, B.sub(exponent, up), exponent) };
}
