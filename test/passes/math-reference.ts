// Functions that Math lacks, and distances in units of the last place.

/** The series for small |x|, the continued fraction of erfc for large (Abramowitz and Stegun 7.1.6 and 7.1.14): to about 1e-15. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (!(a <= 6)) return Number.isNaN(x) ? x : Math.sign(x);
  if (a < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
      term *= (2 * a * a) / (2 * n + 1);
      sum += term;
    }
    return a === 0 ? x : (2 / Math.sqrt(Math.PI)) * Math.exp(-a * a) * sum;
  }
  let f = 0;
  for (let k = 60; k >= 1; k--) f = k / 2 / (a + f);
  return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + f));
}

/** |got - want| in units of the last place of an f32 around want, whose exact value is any f64. Beyond the largest f32 comes 2^128. */
export function ulps32(got: number, want: number): number {
  if (Object.is(got, Math.fround(want))) return 0;
  if (Number.isNaN(got) || Number.isNaN(want)) return Infinity;
  const exponent = Math.min(Math.max(Math.floor(Math.log2(Math.abs(want))), -126), 127);
  const capped = (x: number): number => Math.min(Math.max(x, -(2 ** 128)), 2 ** 128);
  return Math.abs(capped(got) - capped(want)) / 2 ** (exponent - 23);
}
/** |got - (want + rest)| in units of the last place of want. */
export function ulps64(got: number, want: number, rest: number): number {
  if (Object.is(got, want) && rest === 0) return 0;
  if (!Number.isFinite(got) || !Number.isFinite(want)) return got === want ? 0 : Infinity;
  const exponent = Math.max(Math.floor(Math.log2(Math.abs(want))), -1022);
  return Math.abs(got - want - rest) / 2 ** (exponent - 52);
}
/** IEEE 754's pow, where JavaScript's differs. */
export function ieeePow(x: number, y: number): number {
  return x === 1 || (x === -1 && Math.abs(y) === Infinity) ? 1 : x ** y;
}
