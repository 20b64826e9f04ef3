// The parts that definitions of vector operations are made of (see vectors.ts).
import { InternalError } from "../../src/base/assert.ts";

export type Element = "f32" | "i32" | "u32";
/** How one name is defined with GNU vectors, and without. */
export type VectorPart = { readonly gnu: string; readonly plain: string };

export const scalarType = { f32: "float", i32: "int32_t", u32: "uint32_t" } as const;
export const narrowType = { i8: "int8_t", u8: "uint8_t", i16: "int16_t", u16: "uint16_t", bool: "uint8_t" } as const;
export type Narrow = keyof typeof narrowType;
export const limits: Readonly<Record<Exclude<Narrow, "bool">, readonly [number, number]>> = {
  i8: [-128, 127],
  u8: [0, 255],
  i16: [-32768, 32767],
  u16: [0, 65535],
};
export const letters = ["a", "b", "c"] as const;

/** The types and spellings of one element type at one lane count. */
export class Shape {
  readonly t: Element;
  readonly n: number;
  /** The vector type, its mask and its unsigned twin. */
  readonly v: string;
  readonly mask: string;
  readonly unsigned: string;
  readonly scalar: string;
  constructor(t: Element, n: number) {
    if (n < 2 || (n & (n - 1)) !== 0) throw new InternalError(`a vector of ${n} lanes`);
    this.t = t;
    this.n = n;
    this.v = `ig_${t}x${n}`;
    this.mask = `ig_i32x${n}`;
    this.unsigned = `ig_u32x${n}`;
    this.scalar = scalarType[t];
  }
  lanes(f: (i: number) => string): string {
    return Array.from({ length: this.n }, (_, i) => f(i)).join(", ");
  }
}

/**
 * A GNU macro that evaluates each argument once, into a_, b_, c_. One that hands those to another such macro picks other `names`:
 * a variable in the scope of its own initializer is not the outer one.
 */
export function block(
  name: string,
  types: readonly string[],
  statements: string,
  result: string,
  names: readonly string[] = ["a_", "b_", "c_"],
): string {
  const params = letters.slice(0, types.length);
  const binds = types.map((t, i) => `${t} ${names[i]} = (${params[i]});`).join(" ");
  const body = [binds, ...(statements ? [statements] : []), `${result};`];
  const one = `#define ${name}(${params.join(", ")}) __extension__({ ${body.join(" ")} })`;
  if (one.length <= 120) return one;
  const rows = body.flatMap((b) => (b.length <= 110 ? [b] : b.split(/(?<=;) (?!i_)/)));
  return `#define ${name}(${params.join(", ")}) __extension__({ \\\n${rows.map((r) => `    ${r} \\\n`).join("")}  })`;
}
/** One expression per lane: with GNU vectors unless `gnu` knows better, and elsewhere. */
export function lanewise(
  name: string,
  result: string,
  types: readonly string[],
  n: number,
  lane: (...xs: readonly string[]) => string,
  gnu?: string,
): VectorPart {
  const params = letters.slice(0, types.length);
  const loop = `${result} r_ = {0}; for (int i_ = 0; i_ < ${n}; i_++) r_[i_] = ${lane(...params.map((p) => `${p}_[i_]`))};`;
  const declared = types.map((t, i) => `${t} ${params[i]}`).join(", ");
  return {
    gnu: gnu ?? block(name, types, loop, "r_"),
    plain: [
      `IG_FN ${result} ${name}(${declared}) {`,
      `  ${result} r;`,
      `  for (int i = 0; i < ${n}; i++) r.v[i] = ${lane(...params.map((p) => `${p}.v[i]`))};`,
      "  return r;",
      "}",
    ].join("\n"),
  };
}
/** A macro of the compiler's operators: each parameter stands once. */
export function macro(name: string, arity: number, body: string): string {
  return `#define ${name}(${letters.slice(0, arity).join(", ")}) (${body})`;
}
/** The first of the conditional definitions that holds, else the last. */
export function variants(list: readonly (readonly [condition: string, text: string])[], last: string): string {
  if (list.length === 0) return last;
  const arms = list.map(([condition, text], i) => `#${i === 0 ? "if" : "elif"} ${condition}\n${text}`);
  return [...arms, "#else", last, "#endif"].join("\n");
}
/** The x86 builtin for 4 lanes (SSE) and 8 (AVX) of f32, and what stands for 16 (AVX-512), whose builtins have more arguments. */
export function x86(
  n: number,
  when: readonly [string, string],
  text: (suffix: string) => string,
  wide: string,
): [string, string][] {
  if (n === 4) return [[`defined(${when[0]})`, text("")]];
  if (n === 8) return [[`defined(${when[1]})`, text("256")]];
  return n === 16 ? [["defined(__AVX512F__)", wide]] : [];
}
/** The last arguments of a builtin of AVX-512: what other lanes get, all lanes, the rounding that is set. */
export const allLanes = "(ig_f32x16){0}, (unsigned short)-1, 4";

export function types(s: Shape): VectorPart {
  return {
    gnu: `typedef ${s.scalar} ${s.v} __attribute__((vector_size(${4 * s.n})));`,
    plain: `typedef struct { ${s.scalar} v[${s.n}]; } ${s.v};`,
  };
}
/** The type of a vector in memory: aligned as one element, may alias anything. */
export function memoryType(name: string, scalar: string, bytes: number, n: number): VectorPart {
  return {
    gnu: `typedef ${scalar} ${name} __attribute__((vector_size(${bytes * n}), aligned(${bytes}), may_alias));`,
    plain: "",
  };
}
