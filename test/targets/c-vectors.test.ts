// Every vector operation of the C prelude, at every lane count, against its scalar form: one generated C program per lane count does
// both on the same values and counts the lanes that differ.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { preludeFor } from "../../targets/c/prelude.ts";
import { need } from "../need.ts";

type T = "f32" | "i32" | "u32";
const ctype = { f32: "float", i32: "int32_t", u32: "uint32_t" } as const;
/** Lane type of the result, those of the operands (m: a mask), and the scalar expression over x, y, z; a muladd may round either way. */
type Op = { readonly name: string; readonly to: T; readonly from: readonly (T | "m")[]; readonly lane: string };

const f1 = ["abs", "sqrt", "round", "floor", "ceil", "trunc"];
const f2 = ["min", "max", "nanmin", "nanmax"];
const int2 = ["truncdiv", "floordiv", "truncmod", "floormod", "min", "max", "shl", "shr"];
const compare = { lt: "<", le: "<=", eq: "==", ne: "!=" } as const;

function operations(n: number): Op[] {
  const ops: Op[] = [];
  const op = (name: string, to: T, from: readonly (T | "m")[], lane: string): void => {
    ops.push({ name, to, from, lane });
  };
  for (const o of f1) op(`ig_f32x${n}_${o}`, "f32", ["f32"], `ig_${o}_f32(x)`);
  for (const o of f2) op(`ig_f32x${n}_${o}`, "f32", ["f32", "f32"], `ig_${o}_f32(x, y)`);
  op(`ig_f32x${n}_neg`, "f32", ["f32"], "-x");
  op(`ig_f32x${n}_recip`, "f32", ["f32"], "1.0f / x");
  op(`ig_f32x${n}_isnan`, "i32", ["f32"], "-ig_isnan_f32(x)");
  op(`ig_f32x${n}_muladd`, "f32", ["f32", "f32", "f32"], "ig_muladd_f32(x, y, z)");
  op(`ig_f32x${n}_fused`, "f32", ["f32", "f32", "f32"], "ig_fused_f32(x, y, z)");
  for (const [o, c] of Object.entries({ add: "+", sub: "-", mul: "*", div: "/" }))
    op(`ig_f32x${n}_${o}`, "f32", ["f32", "f32"], `x ${c} y`);
  for (const t of ["i32", "u32"] as const) {
    const v = `ig_${t}x${n}`;
    for (const [o, c] of Object.entries({ add: "+", sub: "-", mul: "*", bitand: "&", bitor: "|", bitxor: "^" }))
      op(`${v}_${o}`, t, [t, t], `(${ctype[t]})((uint32_t)x ${c} (uint32_t)y)`);
    for (const o of int2) {
      const scalar = t === "u32" ? `ig_${o.replace(/floor|trunc/, "")}_u32` : `ig_${o}_i32`;
      op(`${v}_${o}`, t, [t, t], `${scalar}(x, y)`);
    }
    op(`${v}_neg`, t, [t], `(${ctype[t]})(0u - (uint32_t)x)`);
    op(`${v}_abs`, t, [t], t === "i32" ? "ig_abs_i32(x)" : "x");
    op(`${v}_bitnot`, t, [t], "~x");
    op(`${v}_bits_f32`, "f32", [t], `ig_bits_f32_${t}(x)`);
    op(`ig_f32x${n}_bits_${t}`, t, ["f32"], `ig_bits_${t}_f32(x)`);
    op(`ig_f32x${n}_of_${v.slice(3)}`, "f32", [t], "(float)x");
    op(`${v}_of_f32x${n}`, t, ["f32"], `ig_${t}_of_f32(x)`);
    op(`${v}_of_boolx${n}`, t, ["m"], `(${ctype[t]})(x & 1)`);
    for (const d of ["i8", "u8", "i16", "u16"] as const)
      op(
        `ig_${d}x${n}_of_${v.slice(3)}`,
        "i32",
        [t],
        `(int32_t)(${d.startsWith("u") ? "uint" : "int"}${d.slice(1)}_t)x`,
      );
  }
  op(`ig_i32x${n}_dot16`, "i32", ["i32", "i32"], "ig_dot16_i32(x, y)");
  op(`ig_i32x${n}_adddot16`, "i32", ["i32", "i32", "i32"], "ig_add_i32(x, ig_dot16_i32(y, z))");
  op(`ig_i32x${n}_widen8`, "i32", ["i32"], "ig_widen8_i32(x)");
  op(`ig_i32x${n}_of_u32x${n}`, "i32", ["u32"], "(int32_t)x");
  op(`ig_u32x${n}_of_i32x${n}`, "u32", ["i32"], "(uint32_t)x");
  op(`ig_f32x${n}_of_boolx${n}`, "f32", ["m"], "(float)(x & 1)");
  for (const [d, low, high] of [
    ["i8", -128, 127],
    ["u8", 0, 255],
    ["i16", -32768, 32767],
    ["u16", 0, 65535],
  ] as const)
    op(`ig_${d}x${n}_of_f32x${n}`, "i32", ["f32"], `ig_clamp_i32(ig_i32_of_f32(x), ${low}, ${high})`);
  for (const t of ["f32", "i32", "u32"] as const) {
    for (const [o, c] of Object.entries(compare)) op(`ig_${t}x${n}_${o}`, "i32", [t, t], `-(x ${c} y)`);
    op(`ig_${t}x${n}_select`, t, ["m", t, t], "x ? y : z");
    op(`ig_boolx${n}_of_${t}x${n}`, "i32", [t], "-(x != 0)");
    op(`ig_${t}x${n}_splat(x0)`, t, [t], "x0");
  }
  op(`ig_i32x${n}_ramp(x0, 3)`, "i32", ["i32"], "(int32_t)((uint32_t)x0 + 3u * (uint32_t)i)");
  return ops;
}

/** Halves pairwise, as the helper does it, so that sums of floats are the same to the last bit. */
function reduced(t: T, op: string, xs: readonly string[]): string {
  const half = xs.length / 2;
  if (half < 1) return xs[0]!;
  const join = (a: string, b: string): string =>
    op !== "sum" ? `ig_${op}_${t}(${a}, ${b})` : t === "i32" ? `ig_add_i32(${a}, ${b})` : `(${a} + ${b})`;
  return reduced(
    t,
    op,
    xs.slice(0, half).map((x, i) => join(x, xs[half + i]!)),
  );
}

function program(n: number): string {
  const body: string[] = [];
  const mask = `ig_i32x${n}`;
  for (const { name, to, from, lane } of operations(n)) {
    const names = ["x", "y", "z"].slice(0, from.length);
    const width = (f: T | "m"): string => (f === "m" ? mask : `ig_${f}x${n}`);
    const loads = from.map((f, i) =>
      f === "m"
        ? `${mask} v${i} = ig_i32x${n}_ne(ig_i32x${n}_load(i32s + a), ig_i32x${n}_splat(0));`
        : `${width(f)} v${i} = ig_${f}x${n}_load(${f}s + ${["a", "b", "c"][i]});`,
    );
    const lanes = from.map((f, i) =>
      f === "m" ? `int32_t x = -(i32s[a + i] != 0);` : `${ctype[f]} ${names[i]} = ${f}s[${["a", "b", "c"][i]} + i];`,
    );
    const [call, args] = name.includes("(") ? [name, ""] : [name, `(${from.map((_, i) => `v${i}`).join(", ")})`];
    body.push(`static void t${body.length}(int a, int b, int c) {
  ${ctype[to]} got[${n}];
  ${loads.join(" ")}
  ${from.map((f, i) => (f === "m" ? "" : `const ${ctype[f]} ${names[i]}0 = ${f}s[${["a", "b", "c"][i]}]; (void)${names[i]}0;`)).join(" ")}
  ${from.map((_, i) => `(void)v${i};`).join(" ")} (void)b; (void)c;
  ig_${to}x${n}_store(got, ${call}${args});
  for (int i = 0; i < ${n}; i++) {
    ${lanes.join(" ")}
    ${ctype[to]} want = ${lane};
    ${names.map((x) => `(void)${x};`).join(" ")}
    check("${name}", same_${to}(got[i], want)${name.endsWith("_muladd") ? " || same_f32(got[i], x * y + z)" : ""});
  }
}`);
  }
  for (const t of ["f32", "i32", "u32"] as const)
    for (const op of ["sum", "max", "min"])
      for (let factor = 2; factor <= n; factor *= 2) {
        const name = `ig_${t}x${n}_${op}${factor}`;
        const value = `${name}(ig_${t}x${n}_load(${t}s + a))`;
        const stored = factor === n ? `got[0] = ${value};` : `ig_${t}x${n / factor}_store(got, ${value});`;
        const wants = Array.from(
          { length: n / factor },
          (_, g) =>
            `check("${name}", same_${t}(got[${g}], ${reduced(
              t,
              op,
              Array.from({ length: factor }, (_, i) => `${t}s[a + ${g * factor + i}]`),
            )}));`,
        );
        body.push(
          `static void t${body.length}(int a, int b, int c) { ${ctype[t]} got[${n}]; (void)b; (void)c; ${stored} ${wants.join(" ")} }`,
        );
      }
  for (const d of ["i8", "u8", "i16", "u16", "bool"] as const) {
    const mem = d === "bool" ? "uint8_t" : `${d.startsWith("u") ? "uint" : "int"}${d.slice(1)}_t`;
    const wide = d === "bool" ? "-(int32_t)cells[i]" : "cells[i]";
    const source =
      d === "bool" ? `ig_i32x${n}_ne(ig_i32x${n}_load(i32s + a), ig_i32x${n}_splat(0))` : `ig_i32x${n}_load(i32s + a)`;
    const stored = d === "bool" ? "(i32s[a + i] != 0)" : `(${mem})i32s[a + i]`;
    body.push(`static void t${body.length}(int a, int b, int c) {
  ${mem} cells[${n}]; int32_t got[${n}]; (void)b; (void)c;
  ig_i32x${n}_store_${d}(cells, ${source});
  for (int i = 0; i < ${n}; i++) check("store_${d}", cells[i] == ${stored});
  ig_i32x${n}_store(got, ig_i32x${n}_load_${d}(cells));
  for (int i = 0; i < ${n}; i++) check("load_${d}", got[i] == ${wide});
}`);
  }
  body.push(`static void t${body.length}(int a, int b, int c) {
  int16_t cells[${n}]; int32_t got[${n}]; (void)b; (void)c;
  for (int i = 0; i < ${n}; i++) cells[i] = (int16_t)i32s[a + i];
  ig_i32x${n}_store(got, ig_i32x${n}_load_pairs(cells));
  for (int i = 0; i < ${n}; i++) check("load_pairs", got[i] == ig_widen8_i32(cells[i]));
}`);
  const code = body.join("\n");
  return `#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#if defined(__clang__)
#pragma clang fp contract(off)
#else
#pragma GCC optimize ("fp-contract=off")
#endif
${preludeFor(`${code} IG_NAN IG_INF`)}
static const float f32s[] = {0, -0.0f, 1, -1, 0.5f, -0.5f, 0.49999997f, 1.5f, -1.5f, 2.5f, -2.5f, 0.7f, -0.7f, 127.6f, -128.5f, 255.5f, 300, -70000, 8388607.5f, -8388607.5f,
  8388609, 16777218, 2147483520.0f, 2147483648.0f, -2147483648.0f, -3e9f, 4294967040.0f, 4294967296.0f, 1e10f, 1e-40f, -1e-45f, 3.4e38f, -3.4e38f, IG_INF, -IG_INF, IG_NAN, 3, 7, -7.25f, 0.1f, 1000.001f};
static const int32_t i32s[] = {0, 1, -1, 2, -2, 3, -3, 7, -7, 31, 32, 33, 63, 64, 100, -100, 255, 256, -256, 65535, 65536, -65537, 123456789, INT32_MAX, -INT32_MAX, INT32_MIN, 0, 0, 5, 1, 1 << 30, -5, 8, 9, 10, 11, 12, 13, 14, 15, 16};
static const uint32_t u32s[] = {0, 1, 2, 3, 7, 31, 32, 33, 64, 100, 255, 256, 65535, 65537, 123456789, 0x7fffffff, 0x80000000, 0x80000001, 0xfffffffe, 0xffffffff, 0, 5, 4, 3, 2, 1, 9, 8, 16777217, 33554435, 4294967040u, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19};
static int failures;
static void check(const char *name, int ok) { if (!ok && failures++ < 20) printf("%s\\n", name); }
static int same_i32(int32_t a, int32_t b) { return a == b; }
static int same_u32(uint32_t a, uint32_t b) { return a == b; }
/* The same bits, or two NaNs. */
static int same_f32(float a, float b) { return memcmp(&a, &b, 4) == 0 || (a != a && b != b); }
${code}
int main(void) {
  for (int a = 0; a + ${n} <= 41; a++)
    for (int b = 0; b + ${n} <= 41; b += a % 5 + 1) {
      const int c = (a * 7 + b * 3) % (41 - ${n});
      ${body.map((_, i) => `t${i}(a, b, c);`).join(" ")}
    }
  printf("%d\\n", failures);
  return 0;
}
`;
}

describe.skipIf(!need("gcc", "clang"))("vectors are their lanes", () => {
  let folder = "";
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "ingot-test-"));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const run = (n: number, cc: string, flags: readonly string[]): string => {
    const file = join(folder, `v${n}.c`);
    writeFileSync(file, program(n));
    execFileSync(cc, [
      "-Wall",
      "-Wextra",
      "-Werror",
      "-Wno-type-limits",
      ...flags,
      "-o",
      join(folder, "v"),
      file,
      "-lm",
    ]);
    return execFileSync(join(folder, "v"), { encoding: "utf8" }).trim();
  };
  for (const n of [2, 4, 8, 16]) {
    test(`${n} lanes`, () => {
      expect(run(n, "gcc", ["-O0", "-std=c11"])).toBe("0");
      expect(run(n, "clang", ["-O0", "-std=c11", "-fsanitize=undefined", "-fsanitize-trap=undefined"])).toBe("0");
      if (n === 4 || n === 8) expect(run(n, "gcc", ["-O2", "-march=native"])).toBe("0");
      if (n === 4) {
        expect(run(n, "clang", ["-O2", "-march=native"])).toBe("0");
        expect(run(n, "gcc", ["-O0", "-fsanitize=undefined", "-fno-sanitize-recover"])).toBe("0");
        expect(run(n, "gcc", ["-O0", "-DIG_PLAIN_C"])).toBe("0");
      }
    }, 60_000);
  }
});
