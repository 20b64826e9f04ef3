// Functions that printed code calls where JavaScript has no operator of the right meaning. A program carries those it uses.
import { must } from "../../src/base/assert.ts";
import type { Names } from "./names.ts";

type Helper = { readonly text: string; readonly uses?: readonly string[] };

const bits = "const $bytes = new ArrayBuffer(8);";
const table: Readonly<Record<string, Helper>> = {
  // f32 arithmetic
  f: { text: "const f = Math.fround;" },
  // a < b ? b : a, with a NaN in a passing through
  pmax: { text: "const pmax = (a, b) => (a < b ? b : a);" },
  pmin: { text: "const pmin = (a, b) => (b < a ? b : a);" },
  roundEven: {
    text: `// To the nearest integer, ties to even: a double of 2^52 or more has no fraction left.
function roundEven(x) {
  const a = Math.abs(x);
  if (!(a < 4503599627370496) || a === 0) return x;
  const r = a + 4503599627370496 - 4503599627370496;
  return x < 0 ? -r : r;
}`,
  },
  floorDivF: { text: "const floorDivF = (a, b) => Math.floor(a / b);" },
  floorModF: {
    text: `// The remainder with the sign of the divisor.
function floorModF(a, b) {
  const r = a % b;
  return r !== 0 && r < 0 !== b < 0 ? r + b : r;
}`,
  },
  fma64: {
    text: `// a*b + c with the product's and the sum's errors added back: one rounding but for rare double ones.
function fma64(a, b, c) {
  const p = a * b;
  const s = p + c;
  const [ah, bh] = [a * 134217729, b * 134217729];
  const [a1, b1] = [ah - (ah - a), bh - (bh - b)];
  const e = a1 * b1 - p + a1 * (b - b1) + (a - a1) * b1 + (a - a1) * (b - b1);
  const t = s - p;
  const r = s + (p - (s - t) + (c - t) + e);
  return Number.isFinite(r) ? r : s;
}`,
  },
  pow64: {
    text: `// C's pow: 1 to any power is 1, and so is -1 to an infinite one.
const pow64 = (a, b) => (a === 1 || (a === -1 && Math.abs(b) === Infinity) ? 1 : Math.pow(a, b));`,
  },
  erf64: {
    text: `// Below 2.5 Kummer's series 2/sqrt(pi) exp(-x^2) sum of 2^n x^(2n+1) / (2n+1)!!, above it 1 - erfc by its continued fraction.
function erf64(x) {
  const a = Math.abs(x);
  if (!(a < 6)) return x !== x ? x : x < 0 ? -1 : 1;
  const h = Math.fround(a);
  const gauss = Math.exp(-h * h) * Math.exp((h - a) * (h + a));
  if (a < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 3; Math.abs(term) > Math.abs(sum) * 1e-17; n += 2) sum += term *= (2 * a * a) / n;
    return 1.1283791670955126 * gauss * sum;
  }
  let t = a;
  for (let n = 60; n > 0; n--) t = a + n / 2 / t;
  const r = 1 - (gauss * 0.5641895835477563) / t;
  return x < 0 ? -r : r;
}`,
  },
  // i32 and u32: x/0 and x%0 are 0
  div: { text: "const div = (a, b) => (b === 0 ? 0 : (a / b) | 0);" },
  divU: { text: "const divU = (a, b) => (b === 0 ? 0 : (a / b) >>> 0);" },
  rem: { text: "const rem = (a, b) => (b === 0 ? 0 : (a % b) | 0);" },
  remU: { text: "const remU = (a, b) => (b === 0 ? 0 : a % b);" },
  floorDiv: { text: "const floorDiv = (a, b) => (b === 0 ? 0 : Math.floor(a / b) | 0);" },
  floorMod: {
    text: `function floorMod(a, b) {
  if (b === 0) return 0;
  const r = (a % b) | 0;
  return r !== 0 && (r ^ b) < 0 ? r + b : r;
}`,
  },
  dot16: {
    text: "const dot16 = (a, b) => (((a << 16) >> 16) * ((b << 16) >> 16) + (a >> 16) * (b >> 16)) | 0;",
  },
  widen8: { text: "const widen8 = (x) => (((x << 24) >> 24) & 65535) | (((x << 16) >> 24) << 16);" },
  // a shift by the width or more leaves 0 or the sign
  shl: { text: "const shl = (a, b) => (b >>> 0 > 31 ? 0 : a << b);" },
  shr: { text: "const shr = (a, b) => a >> (b >>> 0 > 31 ? 31 : b);" },
  shrU: { text: "const shrU = (a, b) => (b >>> 0 > 31 ? 0 : a >>> b);" },
  // i64 and u64
  abs64: { text: "const abs64 = (x) => (x < 0n ? -x : x);" },
  div64: { text: "const div64 = (a, b) => (b === 0n ? 0n : BigInt.asIntN(64, a / b));" },
  rem64: { text: "const rem64 = (a, b) => (b === 0n ? 0n : a % b);" },
  floorDiv64: {
    text: `function floorDiv64(a, b) {
  if (b === 0n) return 0n;
  const q = BigInt.asIntN(64, a / b);
  return a % b !== 0n && a < 0n !== b < 0n ? q - 1n : q;
}`,
  },
  floorMod64: {
    text: `function floorMod64(a, b) {
  if (b === 0n) return 0n;
  const r = a % b;
  return r !== 0n && r < 0n !== b < 0n ? r + b : r;
}`,
  },
  shl64: { text: "const shl64 = (a, b) => (b < 0n || b > 63n ? 0n : a << b);" },
  shr64: { text: "const shr64 = (a, b) => a >> (b < 0n || b > 63n ? 63n : b);" },
  shrU64: { text: "const shrU64 = (a, b) => (b > 63n ? 0n : a >> b);" },
  toI64: {
    text: `// Saturates; NaN gives 0.
function toI64(x) {
  if (x >= 9223372036854775807) return 9223372036854775807n;
  if (x <= -9223372036854775808) return -9223372036854775808n;
  return x !== x ? 0n : BigInt(Math.trunc(x));
}`,
  },
  toU64: {
    text: `// Saturates; NaN gives 0.
function toU64(x) {
  if (x >= 18446744073709551615) return 18446744073709551615n;
  return x >= 1 ? BigInt(Math.trunc(x)) : 0n;
}`,
  },
  f32Of64: {
    text: `// A 64-bit integer rounded once: past 2^53 the low 20 bits become one that only says whether any was set.
function f32Of64(x) {
  if (x > 9007199254740992n || x < -9007199254740992n) x = (x >> 20n << 20n) | ((x & 1048575n) === 0n ? 0n : 524288n);
  return Math.fround(Number(x));
}`,
  },
  // bits of floats, through a scratch buffer
  $bytes: { text: bits },
  $f32: { text: "const $f32 = new Float32Array($bytes);", uses: ["$bytes"] },
  $i32: { text: "const $i32 = new Int32Array($bytes);", uses: ["$bytes"] },
  $f64: { text: "const $f64 = new Float64Array($bytes);", uses: ["$bytes"] },
  $i64: { text: "const $i64 = new BigInt64Array($bytes);", uses: ["$bytes"] },
  bitsF32: { text: "const bitsF32 = (x) => (($f32[0] = x), $i32[0]);", uses: ["$f32", "$i32"] },
  f32Bits: { text: "const f32Bits = (x) => (($i32[0] = x), $f32[0]);", uses: ["$f32", "$i32"] },
  bitsF64: { text: "const bitsF64 = (x) => (($f64[0] = x), $i64[0]);", uses: ["$f64", "$i64"] },
  f64Bits: { text: "const f64Bits = (x) => (($i64[0] = x), $f64[0]);", uses: ["$f64", "$i64"] },
  // dims, in doubles
  exact: {
    text: `// A size that is no exact integer any more poisons what is computed from it.
const exact = (x) => (Math.abs(x) <= 9007199254740991 ? x : NaN);`,
  },
  dimDiv: { text: "const dimDiv = (a, b) => (b === 0 ? 0 : Math.floor(a / b));" },
  dimMod: { text: "const dimMod = (a, b) => (b === 0 ? 0 : a - Math.floor(a / b) * b);" },
  broadcast: { text: "const broadcast = (a, b) => (a === 1 ? b : a);" },
};

/** Collects the helpers that a program needs. */
export class Helpers {
  readonly #used = new Set<string>();
  constructor(names: Names) {
    for (const name of Object.keys(table)) if (!name.startsWith("$")) names.unique(name);
  }
  /** The name, noted as used. */
  use(name: string): string {
    if (!this.#used.has(name)) {
      this.#used.add(name);
      for (const other of must(table[name], `helper ${name}`).uses ?? []) this.use(other);
    }
    return name;
  }
  /** Their definitions, in the order of the table. */
  print(): string[] {
    return Object.entries(table).flatMap(([name, helper]) => (this.#used.has(name) ? helper.text.split("\n") : []));
  }
}
