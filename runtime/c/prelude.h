/*
 * Pieces of C for compiled models. targets/c pastes the paragraphs whose names a model uses, with those that they use, in this order. A
 * paragraph is what stands between two blank lines; it provides every `ig_` or `IG_` name that it defines. Operations mean exactly
 * what src/ir/expr.ts says: no input is undefined behaviour. The operations on vectors are made by targets/c/vectors.ts.
 */
#include <stddef.h>
#include <stdint.h>

/* -DIG_PLAIN_C leaves out builtins and vector types, as other compilers do. */
#if defined(__GNUC__) && !defined(IG_PLAIN_C)
#define IG_GNU 1
#else
#define IG_GNU 0
#endif

/* Floats in a vector, by what the build has registers for; -DIG_LANES=4, 8 or 16 picks others. */
#if defined(IG_LANES)
#elif IG_GNU && defined(__AVX512F__)
#define IG_LANES 16
#elif IG_GNU && defined(__AVX2__) && defined(__FMA__)
#define IG_LANES 8
#else
#define IG_LANES 4
#endif

/*
 * Helpers and tables may stay unused; a kernel stays a function of its own: inlined into one caller it would lose its `restrict`. Clang
 * splits the widest vectors on some processors, unless told not to.
 */
#if defined(__GNUC__)
#define IG_FN static inline __attribute__((unused))
#define IG_TABLE static const __attribute__((unused))
#if defined(__clang__) && defined(__AVX512F__)
#define IG_KERNEL static __attribute__((noinline, min_vector_width(512)))
#else
#define IG_KERNEL static __attribute__((noinline))
#endif
#else
#define IG_FN static inline
#define IG_TABLE static const
#define IG_KERNEL static
#endif

#if defined(__GNUC__) || defined(_MSC_VER)
#define IG_RESTRICT __restrict
#elif defined(__cplusplus)
#define IG_RESTRICT
#else
#define IG_RESTRICT restrict
#endif

#if defined(__GNUC__)
#define IG_ALIGN(n) __attribute__((aligned(n)))
#elif defined(_MSC_VER)
#define IG_ALIGN(n) __declspec(align(n))
#else
#define IG_ALIGN(n)
#endif

/* Types of memory cells: the arena holds different types over time. */
#if defined(__GNUC__)
#define IG_ALIAS __attribute__((may_alias))
#else
#define IG_ALIAS
#endif

typedef float IG_ALIAS ig_f32;

typedef double IG_ALIAS ig_f64;

typedef int64_t IG_ALIAS ig_i64;

typedef uint64_t IG_ALIAS ig_u64;

typedef int32_t IG_ALIAS ig_i32;

typedef uint32_t IG_ALIAS ig_u32;

typedef int16_t IG_ALIAS ig_i16;

typedef uint16_t IG_ALIAS ig_u16;

typedef int8_t IG_ALIAS ig_i8;

typedef uint8_t IG_ALIAS ig_u8;

typedef uint8_t IG_ALIAS ig_bool; /* 0 or 1 */

/* Functions of math.h and string.h by their plain names, as builtins where there are some. */
#if IG_GNU
#define IG_LIB(f) __builtin_##f
#else
#include <math.h>
#include <string.h>
#define IG_LIB(f) f
#endif

#if IG_GNU
#define IG_INF __builtin_inff()
#else
#include <math.h>
#define IG_INF INFINITY
#endif

#if IG_GNU
#define IG_NAN __builtin_nanf("")
#else
#include <math.h>
#define IG_NAN NAN
#endif

/* 1 where a*b+c with one rounding is one instruction. */
#if IG_GNU && (defined(__FP_FAST_FMAF) || defined(__FMA__) || defined(__ARM_FEATURE_FMA))
#define IG_FMA 1
#else
#define IG_FMA 0
#endif

/* 1 where rounding to an integral value is one instruction. */
#if IG_GNU && (defined(__SSE4_1__) || defined(__aarch64__))
#define IG_ROUNDS 1
#else
#define IG_ROUNDS 0
#endif

/* All iterations of a loop, by threads where the caller has some. */
IG_FN void ig_spread(void (*parallel_for)(void *, int32_t, void (*)(void *, int32_t, int32_t), void *), void *user, int32_t count,
                     void (*body)(void *, int32_t, int32_t), void *arg) {
  if (parallel_for && count > 1) parallel_for(user, count, body, arg);
  else body(arg, 0, count);
}

/* ---- the same bits as another type ---- */

IG_FN int32_t ig_bits_i32_f32(float x) { int32_t r; IG_LIB(memcpy)(&r, &x, sizeof r); return r; }

IG_FN uint32_t ig_bits_u32_f32(float x) { uint32_t r; IG_LIB(memcpy)(&r, &x, sizeof r); return r; }

IG_FN float ig_bits_f32_i32(int32_t x) { float r; IG_LIB(memcpy)(&r, &x, sizeof r); return r; }

IG_FN float ig_bits_f32_u32(uint32_t x) { float r; IG_LIB(memcpy)(&r, &x, sizeof r); return r; }

IG_FN int64_t ig_bits_i64_f64(double x) { int64_t r; IG_LIB(memcpy)(&r, &x, sizeof r); return r; }

IG_FN uint64_t ig_bits_u64_f64(double x) { uint64_t r; IG_LIB(memcpy)(&r, &x, sizeof r); return r; }

IG_FN double ig_bits_f64_i64(int64_t x) { double r; IG_LIB(memcpy)(&r, &x, sizeof r); return r; }

IG_FN double ig_bits_f64_u64(uint64_t x) { double r; IG_LIB(memcpy)(&r, &x, sizeof r); return r; }

/* ---- floats ---- */

IG_FN float ig_abs_f32(float x) { return IG_LIB(fabsf)(x); }

IG_FN double ig_abs_f64(double x) { return IG_LIB(fabs)(x); }

/* The function would want an errno, and so a library, for a negative number: the instruction does not. */
IG_FN float ig_sqrt_f32(float x) {
#if IG_GNU && defined(__SSE__)
  typedef float four __attribute__((vector_size(16)));
  four v = {x, 0, 0, 0};
  v = __builtin_ia32_sqrtss(v);
  return v[0];
#elif IG_GNU && defined(__aarch64__)
  float r;
  __asm__("fsqrt %s0, %s1" : "=w"(r) : "w"(x));
  return r;
#else
  return IG_LIB(sqrtf)(x);
#endif
}

IG_FN double ig_sqrt_f64(double x) {
#if IG_GNU && defined(__SSE2__)
  typedef double two __attribute__((vector_size(16)));
  two v = {x, 0};
  v = __builtin_ia32_sqrtsd(v);
  return v[0];
#elif IG_GNU && defined(__aarch64__)
  double r;
  __asm__("fsqrt %d0, %d1" : "=w"(r) : "w"(x));
  return r;
#else
  return IG_LIB(sqrt)(x);
#endif
}

/* To nearest, ties to even: a number of 2^23 or more is integral, and the sum with 2^23 rounds a smaller one. */
IG_FN float ig_round_f32(float x) {
#if IG_ROUNDS
  return __builtin_rintf(x);
#else
  float a = ig_abs_f32(x);
  return a < 8388608.0f ? IG_LIB(copysignf)((a + 8388608.0f) - 8388608.0f, x) : x;
#endif
}

IG_FN double ig_round_f64(double x) {
#if IG_ROUNDS
  return __builtin_rint(x);
#else
  double a = ig_abs_f64(x);
  return a < 4503599627370496.0 ? IG_LIB(copysign)((a + 4503599627370496.0) - 4503599627370496.0, x) : x;
#endif
}

IG_FN float ig_floor_f32(float x) {
#if IG_ROUNDS
  return __builtin_floorf(x);
#else
  float r = ig_round_f32(x);
  return x < r ? r - 1.0f : r;
#endif
}

IG_FN double ig_floor_f64(double x) {
#if IG_ROUNDS
  return __builtin_floor(x);
#else
  double r = ig_round_f64(x);
  return x < r ? r - 1.0 : r;
#endif
}

IG_FN float ig_ceil_f32(float x) {
#if IG_ROUNDS
  return __builtin_ceilf(x);
#else
  float r = ig_round_f32(x);
  return r < x ? IG_LIB(copysignf)(r + 1.0f, x) : r;
#endif
}

IG_FN double ig_ceil_f64(double x) {
#if IG_ROUNDS
  return __builtin_ceil(x);
#else
  double r = ig_round_f64(x);
  return r < x ? IG_LIB(copysign)(r + 1.0, x) : r;
#endif
}

IG_FN float ig_trunc_f32(float x) {
#if IG_ROUNDS
  return __builtin_truncf(x);
#else
  return IG_LIB(copysignf)(ig_floor_f32(ig_abs_f32(x)), x);
#endif
}

IG_FN double ig_trunc_f64(double x) {
#if IG_ROUNDS
  return __builtin_trunc(x);
#else
  return IG_LIB(copysign)(ig_floor_f64(ig_abs_f64(x)), x);
#endif
}

IG_FN float ig_truncdiv_f32(float a, float b) { return ig_trunc_f32(a / b); }

IG_FN float ig_floordiv_f32(float a, float b) { return ig_floor_f32(a / b); }

/* Exact: b is doubled up to a, then taken off where it fits and halved. */
IG_FN float ig_truncmod_f32(float a, float b) {
  float x = ig_abs_f32(a), y = ig_abs_f32(b), s = y;
  if (!(x - x == 0.0f) || !(y > 0.0f)) return (a - a) / (a - a);
  if (x < y) return a;
  while (s + s <= x) s += s;
  for (; s >= y; s *= 0.5f)
    if (s <= x) x -= s;
  return IG_LIB(copysignf)(x, a);
}

IG_FN float ig_floormod_f32(float a, float b) {
  float r = ig_truncmod_f32(a, b);
  return r != 0.0f && (r < 0.0f) != (b < 0.0f) ? r + b : r;
}

IG_FN double ig_truncdiv_f64(double a, double b) { return ig_trunc_f64(a / b); }

IG_FN double ig_floordiv_f64(double a, double b) { return ig_floor_f64(a / b); }

/* Exact: b is doubled up to a, then taken off where it fits and halved. */
IG_FN double ig_truncmod_f64(double a, double b) {
  double x = ig_abs_f64(a), y = ig_abs_f64(b), s = y;
  if (!(x - x == 0.0) || !(y > 0.0)) return (a - a) / (a - a);
  if (x < y) return a;
  while (s + s <= x) s += s;
  for (; s >= y; s *= 0.5)
    if (s <= x) x -= s;
  return IG_LIB(copysign)(x, a);
}

IG_FN double ig_floormod_f64(double a, double b) {
  double r = ig_truncmod_f64(a, b);
  return r != 0.0 && (r < 0.0) != (b < 0.0) ? r + b : r;
}

IG_FN int ig_isnan_f32(float x) { return x != x; }

IG_FN int ig_isnan_f64(double x) { return x != x; }

IG_FN float ig_min_f32(float a, float b) { return b < a ? b : a; }

IG_FN float ig_max_f32(float a, float b) { return a < b ? b : a; }

IG_FN double ig_min_f64(double a, double b) { return b < a ? b : a; }

IG_FN double ig_max_f64(double a, double b) { return a < b ? b : a; }

IG_FN float ig_nanmin_f32(float a, float b) { return a != a ? a : a < b ? a : b; }

IG_FN float ig_nanmax_f32(float a, float b) { return a != a ? a : a > b ? a : b; }

IG_FN double ig_nanmin_f64(double a, double b) { return a != a ? a : a < b ? a : b; }

IG_FN double ig_nanmax_f64(double a, double b) { return a != a ? a : a > b ? a : b; }

/* a*b+c: fused where that is fast. */
#if IG_FMA
#define ig_muladd_f32(a, b, c) __builtin_fmaf(a, b, c)
#else
#define ig_muladd_f32(a, b, c) ((a) * (b) + (c))
#endif

#if IG_FMA
#define ig_muladd_f64(a, b, c) __builtin_fma(a, b, c)
#else
#define ig_muladd_f64(a, b, c) ((a) * (b) + (c))
#endif

/*
 * a*b+c with one rounding. The product is exact in double; the sum, rounded to odd (its last bit is 1 where bits were lost), then rounds
 * to float as the exact sum would.
 */
IG_FN float ig_fused_f32(float a, float b, float c) {
#if IG_FMA
  return __builtin_fmaf(a, b, c);
#else
  double p = (double)a * (double)b, s = p + (double)c, back = s - p;
  double lost = (p - (s - back)) + ((double)c - back);
  int64_t bits = ig_bits_i64_f64(s);
  if ((lost < 0.0 || lost > 0.0) && (bits & 1) == 0) s = ig_bits_f64_i64((lost > 0.0) == (s > 0.0) ? bits + 1 : bits - 1);
  return (float)s;
#endif
}

IG_FN double ig_fused_f64(double a, double b, double c) { return IG_LIB(fma)(a, b, c); }

/* ---- 32-bit integers ---- */

IG_FN int32_t ig_add_i32(int32_t a, int32_t b) { return (int32_t)((uint32_t)a + (uint32_t)b); }

IG_FN int32_t ig_sub_i32(int32_t a, int32_t b) { return (int32_t)((uint32_t)a - (uint32_t)b); }

IG_FN int32_t ig_mul_i32(int32_t a, int32_t b) { return (int32_t)((uint32_t)a * (uint32_t)b); }

IG_FN int32_t ig_dot16_i32(int32_t a, int32_t b) {
  return ig_add_i32((int16_t)a * (int16_t)b, (a >> 16) * (b >> 16));
}

IG_FN int32_t ig_widen8_i32(int32_t a) {
  return (int32_t)(((uint32_t)(int8_t)a & 65535u) | ((uint32_t)(int8_t)(a >> 8) << 16));
}

IG_FN int32_t ig_neg_i32(int32_t a) { return (int32_t)(0u - (uint32_t)a); }

IG_FN int32_t ig_abs_i32(int32_t a) { return a < 0 ? ig_neg_i32(a) : a; }

IG_FN int32_t ig_min_i32(int32_t a, int32_t b) { return b < a ? b : a; }

IG_FN int32_t ig_max_i32(int32_t a, int32_t b) { return a < b ? b : a; }

IG_FN int32_t ig_clamp_i32(int32_t a, int32_t low, int32_t high) { return a < low ? low : a > high ? high : a; }

IG_FN int32_t ig_truncdiv_i32(int32_t a, int32_t b) { return b == 0 ? 0 : b == -1 ? ig_neg_i32(a) : a / b; }

IG_FN int32_t ig_truncmod_i32(int32_t a, int32_t b) { return b == 0 || b == -1 ? 0 : a % b; }

IG_FN int32_t ig_floordiv_i32(int32_t a, int32_t b) {
  if (b == 0 || b == -1) return b == 0 ? 0 : ig_neg_i32(a);
  return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

IG_FN int32_t ig_floormod_i32(int32_t a, int32_t b) {
  int32_t r = b == 0 || b == -1 ? 0 : a % b;
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

IG_FN int32_t ig_shl_i32(int32_t a, int32_t n) { return (uint32_t)n < 32u ? (int32_t)((uint32_t)a << n) : 0; }

IG_FN int32_t ig_shr_i32(int32_t a, int32_t n) { return a >> ((uint32_t)n < 32u ? n : 31); }

IG_FN uint32_t ig_min_u32(uint32_t a, uint32_t b) { return b < a ? b : a; }

IG_FN uint32_t ig_max_u32(uint32_t a, uint32_t b) { return a < b ? b : a; }

IG_FN uint32_t ig_div_u32(uint32_t a, uint32_t b) { return b == 0 ? 0 : a / b; }

IG_FN uint32_t ig_mod_u32(uint32_t a, uint32_t b) { return b == 0 ? 0 : a % b; }

IG_FN uint32_t ig_shl_u32(uint32_t a, uint32_t n) { return n < 32u ? a << n : 0; }

IG_FN uint32_t ig_shr_u32(uint32_t a, uint32_t n) { return n < 32u ? a >> n : 0; }

/* ---- 64-bit integers ---- */

IG_FN int64_t ig_add_i64(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }

IG_FN int64_t ig_sub_i64(int64_t a, int64_t b) { return (int64_t)((uint64_t)a - (uint64_t)b); }

IG_FN int64_t ig_mul_i64(int64_t a, int64_t b) { return (int64_t)((uint64_t)a * (uint64_t)b); }

IG_FN int64_t ig_neg_i64(int64_t a) { return (int64_t)(0u - (uint64_t)a); }

IG_FN int64_t ig_abs_i64(int64_t a) { return a < 0 ? ig_neg_i64(a) : a; }

IG_FN int64_t ig_min_i64(int64_t a, int64_t b) { return b < a ? b : a; }

IG_FN int64_t ig_max_i64(int64_t a, int64_t b) { return a < b ? b : a; }

IG_FN int64_t ig_truncdiv_i64(int64_t a, int64_t b) { return b == 0 ? 0 : b == -1 ? ig_neg_i64(a) : a / b; }

IG_FN int64_t ig_truncmod_i64(int64_t a, int64_t b) { return b == 0 || b == -1 ? 0 : a % b; }

IG_FN int64_t ig_floordiv_i64(int64_t a, int64_t b) {
  if (b == 0 || b == -1) return b == 0 ? 0 : ig_neg_i64(a);
  return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

IG_FN int64_t ig_floormod_i64(int64_t a, int64_t b) {
  int64_t r = b == 0 || b == -1 ? 0 : a % b;
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

IG_FN int64_t ig_shl_i64(int64_t a, int64_t n) { return (uint64_t)n < 64u ? (int64_t)((uint64_t)a << n) : 0; }

IG_FN int64_t ig_shr_i64(int64_t a, int64_t n) { return a >> ((uint64_t)n < 64u ? n : 63); }

IG_FN uint64_t ig_min_u64(uint64_t a, uint64_t b) { return b < a ? b : a; }

IG_FN uint64_t ig_max_u64(uint64_t a, uint64_t b) { return a < b ? b : a; }

IG_FN uint64_t ig_div_u64(uint64_t a, uint64_t b) { return b == 0 ? 0 : a / b; }

IG_FN uint64_t ig_mod_u64(uint64_t a, uint64_t b) { return b == 0 ? 0 : a % b; }

IG_FN uint64_t ig_shl_u64(uint64_t a, uint64_t n) { return n < 64u ? a << n : 0; }

IG_FN uint64_t ig_shr_u64(uint64_t a, uint64_t n) { return n < 64u ? a >> n : 0; }

/* ---- floats to integers: saturating, NaN gives 0 ---- */

IG_FN int32_t ig_i32_of_f32(float x) {
  return x >= 2147483648.0f ? INT32_MAX : x >= -2147483648.0f ? (int32_t)x : x < 0.0f ? INT32_MIN : 0;
}

IG_FN uint32_t ig_u32_of_f32(float x) { return x >= 4294967296.0f ? UINT32_MAX : x > 0.0f ? (uint32_t)x : 0; }

IG_FN int64_t ig_i64_of_f32(float x) {
  return x >= 9223372036854775808.0f ? INT64_MAX : x >= -9223372036854775808.0f ? (int64_t)x : x < 0.0f ? INT64_MIN : 0;
}

IG_FN uint64_t ig_u64_of_f32(float x) { return x >= 18446744073709551616.0f ? UINT64_MAX : x > 0.0f ? (uint64_t)x : 0; }

IG_FN int32_t ig_i32_of_f64(double x) {
  return x >= 2147483648.0 ? INT32_MAX : x > -2147483649.0 ? (int32_t)x : x < 0.0 ? INT32_MIN : 0;
}

IG_FN uint32_t ig_u32_of_f64(double x) { return x >= 4294967296.0 ? UINT32_MAX : x > 0.0 ? (uint32_t)x : 0; }

IG_FN int64_t ig_i64_of_f64(double x) {
  return x >= 9223372036854775808.0 ? INT64_MAX : x >= -9223372036854775808.0 ? (int64_t)x : x < 0.0 ? INT64_MIN : 0;
}

IG_FN uint64_t ig_u64_of_f64(double x) { return x >= 18446744073709551616.0 ? UINT64_MAX : x > 0.0 ? (uint64_t)x : 0; }

/* ---- sizes and offsets of the memory plan: *bad becomes 1 where a result does not fit ---- */

IG_FN int64_t ig_size_add(int *bad, int64_t a, int64_t b) {
  if (b < 0 ? a < INT64_MIN - b : a > INT64_MAX - b) { *bad = 1; return 0; }
  return a + b;
}

/* Of two extents that are equal or 1, the one that is not 1. */
IG_FN int64_t ig_broadcast_i64(int64_t a, int64_t b) { return a == 1 ? b : a; }

IG_FN int64_t ig_size_mul(int *bad, int64_t a, int64_t b) {
  int64_t low = a < b ? a : b, high = a < b ? b : a;
  if (low >= 0 ? low != 0 && high > INT64_MAX / low : high >= 0 ? high != 0 && low < INT64_MIN / high : high < INT64_MAX / low) {
    *bad = 1;
    return 0;
  }
  return a * b;
}
