// The functions that a shader may call where WGSL has no operator of the IR's semantics, and where an expression of literals
// must not be evaluated at shader creation (WGSL rejects a constant that overflows or is not finite).

/** Each helper's text. Only those that a program uses are printed, in this order. */
export const helpers = {
  // A call of a user's function is never a constant expression: literals go through these.
  rt_i: "fn rt_i(x: i32) -> i32 { return x; }",
  rt_u: "fn rt_u(x: u32) -> u32 { return x; }",
  rt_f: "fn rt_f(x: f32) -> f32 { return x; }",
  rt_b: "fn rt_b(x: bool) -> bool { return x; }",
  bits_f: "fn bits_f(x: u32) -> f32 { return bitcast<f32>(x); }",
  isnan_f: "fn isnan_f(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }",
  max_f: "fn max_f(a: f32, b: f32) -> f32 { return select(a, b, a < b); }",
  min_f: "fn min_f(a: f32, b: f32) -> f32 { return select(a, b, b < a); }",
  nanmax_f:
    "fn nanmax_f(a: f32, b: f32) -> f32 { return select(select(select(a, b, a < b), b, isnan_f(b)), a, isnan_f(a)); }",
  nanmin_f:
    "fn nanmin_f(a: f32, b: f32) -> f32 { return select(select(select(a, b, b < a), b, isnan_f(b)), a, isnan_f(a)); }",
  floormod_f: "fn floormod_f(a: f32, b: f32) -> f32 { return a - floor(a / b) * b; }",
  // Some drivers compute tanh as a quotient of exponentials, which is NaN for a large argument; beyond 10 it is 1 in f32.
  tanh_f: "fn tanh_f(x: f32) -> f32 { return select(tanh(clamp(x, -10f, 10f)), x, isnan_f(x)); }",
  // WGSL: x / 0 is x, and MIN / -1 is MIN.
  div_i: "fn div_i(a: i32, b: i32) -> i32 { return select(a / b, 0i, b == 0i); }",
  div_u: "fn div_u(a: u32, b: u32) -> u32 { return select(a / b, 0u, b == 0u); }",
  floordiv_i:
    "fn floordiv_i(a: i32, b: i32) -> i32 { return select(a / b - select(0i, 1i, (a % b != 0i) && ((a < 0i) != (b < 0i))), 0i, b == 0i); }",
  floormod_i:
    "fn floormod_i(a: i32, b: i32) -> i32 { let r = a % b; return select(r, r + b, (r != 0i) && ((r < 0i) != (b < 0i))); }",
  dot16_i:
    "fn dot16_i(a: i32, b: i32) -> i32 { return ((a << 16u) >> 16u) * ((b << 16u) >> 16u) + (a >> 16u) * (b >> 16u); }",
  widen8_i: "fn widen8_i(x: i32) -> i32 { return (((x << 24u) >> 24u) & 65535i) | (((x << 16u) >> 24u) << 16u); }",
  shl_i: "fn shl_i(a: i32, b: u32) -> i32 { return select(a << (b & 31u), 0i, b > 31u); }",
  shl_u: "fn shl_u(a: u32, b: u32) -> u32 { return select(a << (b & 31u), 0u, b > 31u); }",
  shr_i: "fn shr_i(a: i32, b: u32) -> i32 { return a >> min(b, 31u); }",
  shr_u: "fn shr_u(a: u32, b: u32) -> u32 { return select(a >> (b & 31u), 0u, b > 31u); }",
  // Saturating, NaN gives 0. The conversion of a value out of range is not chosen.
  f_to_i:
    "fn f_to_i(x: f32) -> i32 { return select(select(select(i32(x), 2147483647i, x >= 2147483648f), -2147483647i - 1i, x <= -2147483648f), 0i, isnan_f(x)); }",
  f_to_u:
    "fn f_to_u(x: f32) -> u32 { return select(select(u32(x), 4294967295u, x >= 4294967296f), 0u, isnan_f(x) || x <= 0f); }",
} as const;
export type Helper = keyof typeof helpers;

const names = Object.keys(helpers) as Helper[];

/** The text of the used helpers and of those that they call. */
export function helperText(used: ReadonlySet<Helper>): string {
  const all = new Set(used);
  for (const name of [...names].reverse()) {
    if (!all.has(name)) continue;
    for (const other of names) if (helpers[name].includes(`${other}(`) && other !== name) all.add(other);
  }
  return names
    .filter((n) => all.has(n))
    .map((n) => `${helpers[n]}\n`)
    .join("");
}
