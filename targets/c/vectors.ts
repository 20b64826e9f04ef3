// Operations on vectors, made by name as a model uses them: ig_f32x4_add and the like, for any power of two lanes of f32, i32, u32.
//
// With GNU C a vector is one of the compiler's vector types and an operation is a macro: a function must not take a vector wider than the
// build's instruction set. Elsewhere it is a struct and a loop. A mask is a vector of i32, 0 or -1 in each lane. Names that
// macros declare end in `_`, which no name of a kernel does.
import { InternalError } from "../../src/base/assert.ts";

type Element = "f32" | "i32" | "u32";
/** How one name is defined with GNU vectors, and without. */
export type VectorPart = { readonly gnu: string; readonly plain: string };

const scalarType = { f32: "float", i32: "int32_t", u32: "uint32_t" } as const;
const narrowType = { i8: "int8_t", u8: "uint8_t", i16: "int16_t", u16: "uint16_t", bool: "uint8_t" } as const;
type Narrow = keyof typeof narrowType;
const limits: Readonly<Record<Exclude<Narrow, "bool">, readonly [number, number]>> = {
  i8: [-128, 127],
  u8: [0, 255],
  i16: [-32768, 32767],
  u16: [0, 65535],
};
const letters = ["a", "b", "c"] as const;

/** The types and spellings of one element type at one lane count. */
class Shape {
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
function block(
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
function lanewise(
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
function macro(name: string, arity: number, body: string): string {
  return `#define ${name}(${letters.slice(0, arity).join(", ")}) (${body})`;
}
/** The first of the conditional definitions that holds, else the last. */
function variants(list: readonly (readonly [condition: string, text: string])[], last: string): string {
  if (list.length === 0) return last;
  const arms = list.map(([condition, text], i) => `#${i === 0 ? "if" : "elif"} ${condition}\n${text}`);
  return [...arms, "#else", last, "#endif"].join("\n");
}
/** The x86 builtin for 4 lanes (SSE) and 8 (AVX) of f32, and what stands for 16 (AVX-512), whose builtins have more arguments. */
function x86(
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
const allLanes = "(ig_f32x16){0}, (unsigned short)-1, 4";

function types(s: Shape): VectorPart {
  return {
    gnu: `typedef ${s.scalar} ${s.v} __attribute__((vector_size(${4 * s.n})));`,
    plain: `typedef struct { ${s.scalar} v[${s.n}]; } ${s.v};`,
  };
}
/** The type of a vector in memory: aligned as one element, may alias anything. */
function memoryType(name: string, scalar: string, bytes: number, n: number): VectorPart {
  return {
    gnu: `typedef ${scalar} ${name} __attribute__((vector_size(${bytes * n}), aligned(${bytes}), may_alias));`,
    plain: "",
  };
}

function floatOp(s: Shape, op: string): VectorPart | null {
  const { v, mask, n } = s;
  const name = `${v}_${op}`;
  const [one, two, three] = [[v], [v, v], [v, v, v]];
  const scalar = (...xs: readonly string[]): string => `ig_${op}_f32(${xs.join(", ")})`;
  /** An instruction of NEON. */
  const arm = (instruction: string): [string, string][] => {
    const text = `${v} r_; __asm__("${instruction} %0.4s, %1.4s" : "=w"(r_) : "w"(a_));`;
    return n === 4 ? [["defined(__aarch64__)", block(name, one, text, "r_")]] : [];
  };
  /** Rounding to an integral value: by the immediate of SSE4.1's instruction, or NEON's instruction. */
  const rounded = (imm: number, neon: string): [string, string][] => [
    ...x86(
      n,
      ["__SSE4_1__", "__AVX__"],
      (w) => macro(name, 1, `__builtin_ia32_roundps${w}(a, ${imm})`),
      macro(name, 1, `__builtin_ia32_rndscaleps_mask((a), ${imm}, ${allLanes})`),
    ),
    ...arm(neon),
  ];
  switch (op) {
    case "add":
    case "sub":
    case "mul":
    case "div": {
      const c = { add: "+", sub: "-", mul: "*", div: "/" }[op];
      return lanewise(name, v, two, n, (x, y) => `${x} ${c} ${y}`, macro(name, 2, `(a) ${c} (b)`));
    }
    case "neg":
      return lanewise(name, v, one, n, (x) => `-${x}`, macro(name, 1, "-(a)"));
    case "recip":
      return lanewise(name, v, one, n, (x) => `1.0f / ${x}`, macro(name, 1, "1.0f / (a)"));
    case "abs":
      return lanewise(name, v, one, n, scalar, macro(name, 1, `(${v})((${mask})(a) & INT32_MAX)`));
    case "sqrt": {
      const lanes = lanewise(name, v, one, n, scalar);
      const wide = variants(
        [["defined(__clang__)", macro(name, 1, "__builtin_ia32_sqrtps512((a), 4)")]],
        macro(name, 1, `__builtin_ia32_sqrtps512_mask((a), ${allLanes})`),
      );
      const fast = x86(n, ["__SSE__", "__AVX__"], (w) => macro(name, 1, `__builtin_ia32_sqrtps${w}(a)`), wide);
      return { ...lanes, gnu: variants([...fast, ...arm("fsqrt")], lanes.gnu) };
    }
    case "round": {
      const made = `${v} x_ = (${v})((${mask})a_ & INT32_MAX); ${v} r_ = (x_ + 8388608.0f) - 8388608.0f; ${mask} m_ = (${mask})(x_ < 8388608.0f);`;
      const chosen = `(${v})((m_ & ((${mask})r_ | ((${mask})a_ & INT32_MIN))) | (~m_ & (${mask})a_))`;
      return lanewise(name, v, one, n, scalar, variants(rounded(4, "frintn"), block(name, one, made, chosen)));
    }
    case "floor": {
      const made = `${v} r_ = ${v}_round(f_); ${v} o_ = (${v}){${s.lanes(() => "1.0f")}};`;
      const down = `r_ - (${v})((${mask})(f_ < r_) & (${mask})o_)`;
      return lanewise(name, v, one, n, scalar, variants(rounded(9, "frintm"), block(name, one, made, down, ["f_"])));
    }
    case "ceil": {
      const made = `${v} r_ = ${v}_round(f_); ${v} o_ = (${v}){${s.lanes(() => "1.0f")}};`;
      const up = `(${v})((${mask})(r_ + (${v})((${mask})(r_ < f_) & (${mask})o_)) | ((${mask})f_ & INT32_MIN))`;
      return lanewise(name, v, one, n, scalar, variants(rounded(10, "frintp"), block(name, one, made, up, ["f_"])));
    }
    case "trunc": {
      const toZero = `(${v})((${mask})${v}_floor(${v}_abs(t_)) | ((${mask})t_ & INT32_MIN))`;
      return lanewise(name, v, one, n, scalar, variants(rounded(11, "frintz"), block(name, one, "", toZero, ["t_"])));
    }
    case "min":
    case "max": {
      // Clang sees the instruction in the selection; gcc does not.
      const picked = `${mask} m_ = (${mask})(${op === "max" ? "a_ < b_" : "b_ < a_"});`;
      const general = block(name, two, picked, `(${v})((m_ & (${mask})b_) | (~m_ & (${mask})a_))`);
      const fast = x86(
        n,
        ["__SSE__", "__AVX__"],
        (w) => macro(name, 2, `__builtin_ia32_${op}ps${w}((b), (a))`),
        macro(name, 2, `__builtin_ia32_${op}ps512_mask((b), (a), ${allLanes})`),
      );
      const list = fast.map(([c, text]): [string, string] => [`!defined(__clang__) && ${c}`, text]);
      return lanewise(name, v, two, n, scalar, variants(list, general));
    }
    case "nanmin":
    case "nanmax": {
      const made = `${mask} m_ = (${mask})(a_ != a_) | (${mask})(a_ ${op === "nanmin" ? "<" : ">"} b_);`;
      const gnu = block(name, two, made, `(${v})((m_ & (${mask})a_) | (~m_ & (${mask})b_))`);
      return lanewise(name, v, two, n, scalar, gnu);
    }
    case "isnan":
      return lanewise(name, mask, one, n, (x) => `-(${x} != ${x})`, block(name, one, "", `(${mask})(a_ != a_)`));
    case "muladd": {
      const plain = lanewise(name, v, three, n, scalar);
      const contract = `${v} r_; { _Pragma("clang fp contract(fast)") r_ = a_ * b_ + c_; }`;
      const list: [string, string][] = [["defined(__clang__)", block(name, three, contract, "r_")]];
      const fast = x86(
        n,
        ["__FMA__", "__FMA__"],
        (w) => macro(name, 3, `__builtin_ia32_vfmaddps${w}((a), (b), (c))`),
        macro(name, 3, "__builtin_ia32_vfmaddps512_mask((a), (b), (c), (unsigned short)-1, 4)"),
      );
      list.push(...fast);
      list.push(["IG_FMA", plain.gnu]);
      return { ...plain, gnu: variants(list, macro(name, 3, "(a) * (b) + (c)")) };
    }
    case "fused":
      return lanewise(name, v, three, n, scalar);
    case "exp":
    case "log":
    case "sin":
    case "cos":
    case "tanh":
    case "erf":
      return lanewise(name, v, one, n, (x) => `IG_LIB(${op}f)(${x})`);
    case "pow":
      return lanewise(name, v, two, n, (x, y) => `IG_LIB(powf)(${x}, ${y})`);
    case "truncdiv":
    case "floordiv":
    case "truncmod":
    case "floormod":
      return lanewise(name, v, two, n, scalar);
    default:
      return null;
  }
}

function intOp(s: Shape, op: string): VectorPart | null {
  const { v, mask, unsigned, n, t } = s;
  const name = `${v}_${op}`;
  const [one, two] = [[v], [v, v]];
  const signed = t === "i32";
  const scalar = (...xs: readonly string[]): string => `ig_${op}_${t}(${xs.join(", ")})`;
  switch (op) {
    case "add":
    case "sub":
    case "mul": {
      const c = { add: "+", sub: "-", mul: "*" }[op];
      const gnu = macro(name, 2, signed ? `(${v})((${unsigned})(a) ${c} (${unsigned})(b))` : `(a) ${c} (b)`);
      return lanewise(name, v, two, n, signed ? scalar : (x, y) => `${x} ${c} ${y}`, gnu);
    }
    case "neg":
      return lanewise(
        name,
        v,
        one,
        n,
        signed ? scalar : (x) => `0u - ${x}`,
        macro(name, 1, `(${v})(0u - (${unsigned})(a))`),
      );
    case "abs": {
      if (!signed) return lanewise(name, v, one, n, (x) => x, macro(name, 1, "a"));
      return lanewise(
        name,
        v,
        one,
        n,
        scalar,
        block(name, one, `${v} m_ = a_ >> 31;`, `(${v})((${unsigned})(a_ ^ m_) - (${unsigned})m_)`),
      );
    }
    case "bitand":
    case "bitor":
    case "bitxor": {
      const c = { bitand: "&", bitor: "|", bitxor: "^" }[op];
      return lanewise(name, v, two, n, (x, y) => `${x} ${c} ${y}`, macro(name, 2, `(a) ${c} (b)`));
    }
    case "bitnot":
      return lanewise(name, v, one, n, (x) => `~${x}`, macro(name, 1, "~(a)"));
    case "min":
    case "max": {
      const picked = `${mask} m_ = (${mask})(${op === "max" ? "a_ < b_" : "b_ < a_"});`;
      const gnu = block(name, two, picked, `(${v})((m_ & (${mask})b_) | (~m_ & (${mask})a_))`);
      return lanewise(name, v, two, n, scalar, gnu);
    }
    case "shl": {
      const made = `${unsigned} n_ = (${unsigned})b_; ${unsigned} m_ = (${unsigned})(n_ < 32u);`;
      return lanewise(name, v, two, n, scalar, block(name, two, made, `(${v})(((${unsigned})a_ << (n_ & 31u)) & m_)`));
    }
    case "shr": {
      const made = `${unsigned} n_ = (${unsigned})b_; ${unsigned} m_ = (${unsigned})(n_ < 32u);`;
      const far = signed ? `a_ >> (${v})((n_ & m_) | (~m_ & 31u))` : "(a_ >> (n_ & 31u)) & m_";
      return lanewise(name, v, two, n, scalar, block(name, two, made, far));
    }
    case "truncdiv":
    case "floordiv":
      return lanewise(name, v, two, n, signed ? scalar : (x, y) => `ig_div_u32(${x}, ${y})`);
    case "truncmod":
    case "floormod":
      return lanewise(name, v, two, n, signed ? scalar : (x, y) => `ig_mod_u32(${x}, ${y})`);
    default:
      return null;
  }
}

/**
 * Products of two i16 in each lane: dot16, adddot16 (a + dot16(b, c)), widen8, and load_pairs, which is widen8 of cells in memory.
 * x86 has them as instructions, by builtins of two spellings.
 */
function pairOp(s: Shape, op: string): VectorPart | null {
  const { v, unsigned: u, n } = s;
  if (s.t !== "i32") return null;
  const name = `${v}_${op}`;
  const halves = `ig_i16x${2 * n}`;
  const clang = (condition: string): string => `defined(__clang__) && ${condition}`;
  switch (op) {
    case "dot16": {
      const low = (x: string): string => `(${u})((${v})((${u})${x} << 16) >> 16)`;
      const high = (x: string): string => `(${u})(${x} >> 16)`;
      const made = `(${v})(${low("a_")} * ${low("b_")} + ${high("a_")} * ${high("b_")})`;
      const general = block(name, [v, v], "", made);
      const of = (builtin: string, more = ""): string =>
        macro(name, 2, `(${v})${builtin}((${halves})(a), (${halves})(b)${more})`);
      const list: [string, string][] = [];
      if (n === 4) {
        const neon = ["smull %0.4s, %2.4h, %3.4h", "smull2 %1.4s, %2.8h, %3.8h", "addp %0.4s, %0.4s, %1.4s"].join(
          "\\n\\t",
        );
        const asm = `${v} r_, h_; __asm__("${neon}" : "=&w"(r_), "=&w"(h_) : "w"(a_), "w"(b_)); (void)h_;`;
        list.push(["defined(__SSE2__)", of("__builtin_ia32_pmaddwd128")]);
        list.push(["defined(__aarch64__)", block(name, [v, v], asm, "r_")]);
      }
      if (n === 8) list.push(["defined(__AVX2__)", of("__builtin_ia32_pmaddwd256")]);
      if (n === 16)
        list.push(
          [clang("defined(__AVX512BW__)"), of("__builtin_ia32_pmaddwd512")],
          ["defined(__AVX512BW__)", of("__builtin_ia32_pmaddwd512_mask", `, (${v}){0}, (unsigned short)-1`)],
        );
      return lanewise(name, v, [v, v], n, (x, y) => `ig_dot16_i32(${x}, ${y})`, variants(list, general));
    }
    case "adddot16": {
      const plain = lanewise(name, v, [v, v, v], n, (x, y, z) => `ig_add_i32(${x}, ig_dot16_i32(${y}, ${z}))`);
      const has = `defined(__AVX512VNNI__)${n === 16 ? "" : " && defined(__AVX512VL__)"}`;
      const of = (suffix: string): string => macro(name, 3, `(${v})__builtin_ia32_vpdpwssd${suffix}((a), (b), (c))`);
      const list: [string, string][] =
        n === 4 || n === 8 || n === 16
          ? [
              [clang(has), of(String(32 * n))],
              [has, of(`_v${n}si`)],
            ]
          : [];
      return { ...plain, gnu: variants(list, macro(name, 3, `${v}_add((a), ${v}_dot16((b), (c)))`)) };
    }
    case "widen8": {
      const low = `((${u})((${v})((${u})a_ << 24) >> 24) & 65535u)`;
      const high = `((${u})((${v})((${u})a_ << 16) >> 24) << 16)`;
      return lanewise(name, v, [v], n, (x) => `ig_widen8_i32(${x})`, block(name, [v], "", `(${v})(${low} | ${high})`));
    }
    case "load_pairs":
      return {
        gnu: macro(name, 1, `(${v})__builtin_convertvector(*(const ig_i8x${2 * n}_m *)(const void *)(a), ${halves})`),
        plain: `IG_FN ${v} ${name}(const void *p) {\n  const int8_t *b = (const int8_t *)p;\n  ${v} r;\n  for (int i = 0; i < ${n}; i++) r.v[i] = ig_widen8_i32((int32_t)(((uint32_t)b[2 * i] & 255u) | ((uint32_t)b[2 * i + 1] << 8)));\n  return r;\n}`,
      };
    default:
      return null;
  }
}

/** What all three element types have. */
function commonOp(s: Shape, op: string): VectorPart | null {
  const { v, mask, n, scalar, t } = s;
  const name = `${v}_${op}`;
  switch (op) {
    case "lt":
    case "le":
    case "eq":
    case "ne": {
      const c = { lt: "<", le: "<=", eq: "==", ne: "!=" }[op];
      return lanewise(name, mask, [v, v], n, (x, y) => `-(${x} ${c} ${y})`, macro(name, 2, `(${mask})((a) ${c} (b))`));
    }
    case "select": {
      const gnu = block(name, [mask, v, v], "", `(${v})((a_ & (${mask})b_) | (~a_ & (${mask})c_))`);
      return lanewise(name, v, [mask, v, v], n, (m, x, y) => `${m} ? ${x} : ${y}`, gnu);
    }
    case "splat":
      return {
        gnu: block(name, [scalar], "", `(${v}){${s.lanes(() => "a_")}}`),
        plain: `IG_FN ${v} ${name}(${scalar} a) {\n  ${v} r;\n  for (int i = 0; i < ${n}; i++) r.v[i] = a;\n  return r;\n}`,
      };
    case "ramp": {
      const u = s.unsigned;
      const at = (i: number): string => (i === 0 ? "a_" : i === 1 ? "a_ + b_" : `a_ + ${i}u * b_`);
      const lane = "(uint32_t)a + (uint32_t)i * (uint32_t)b";
      return {
        gnu: block(name, ["uint32_t", "uint32_t"], "", `(${v})(${u}){${s.lanes(at)}}`),
        plain: `IG_FN ${v} ${name}(${scalar} a, ${scalar} b) {\n  ${v} r;\n  for (int i = 0; i < ${n}; i++) r.v[i] = (${scalar})(${lane});\n  return r;\n}`,
      };
    }
    case "load":
      return {
        gnu: macro(name, 1, `(${v})*(const ${v}_m *)(a)`),
        plain: `IG_FN ${v} ${name}(const ig_${t} *p) {\n  ${v} r;\n  for (int i = 0; i < ${n}; i++) r.v[i] = p[i];\n  return r;\n}`,
      };
    case "store":
      return {
        gnu: macro(name, 2, `*(${v}_m *)(a) = (b)`),
        plain: `IG_FN void ${name}(ig_${t} *p, ${v} a) {\n  for (int i = 0; i < ${n}; i++) p[i] = a.v[i];\n}`,
      };
    case "m":
      return memoryType(name, scalar, 4, n);
    default:
      return null;
  }
}

/** load_u8, store_u8 and so on: narrow cells, 32-bit lanes; bool cells, masks. */
function narrowMemory(s: Shape, op: string): VectorPart | null {
  const m = /^(load|store)_(i8|u8|i16|u16|bool)$/.exec(op);
  if (!m || s.t !== "i32") return null;
  const d = m[2] as Narrow;
  const { v, n } = s;
  const name = `${v}_${op}`;
  const cells = `ig_${d}x${n}`;
  if (m[1] === "load") {
    const wide = `__builtin_convertvector(*(const ${cells}_m *)(a), ${v})`;
    const lane = d === "bool" ? "-(int32_t)p[i]" : "p[i]";
    return {
      gnu: macro(name, 1, d === "bool" ? `-${wide}` : wide),
      plain: `IG_FN ${v} ${name}(const ig_${d} *p) {\n  ${v} r;\n  for (int i = 0; i < ${n}; i++) r.v[i] = ${lane};\n  return r;\n}`,
    };
  }
  const value = d === "bool" ? "(b) & 1" : "(b)";
  const lane = d === "bool" ? "a.v[i] & 1" : "a.v[i]";
  return {
    gnu: macro(name, 2, `*(${cells}_m *)(a) = __builtin_convertvector(${value}, ${cells})`),
    plain: `IG_FN void ${name}(ig_${d} *p, ${v} a) {\n  for (int i = 0; i < ${n}; i++) p[i] = (${narrowType[d]})(${lane});\n}`,
  };
}

/** ig_TOxN_of_FROMxN: casts; bool is a mask, a narrow integer the wrapped or saturated value in an i32 lane. */
function castOp(to: Element | Narrow, from: Element | "bool", n: number): VectorPart {
  const name = `ig_${to}x${n}_of_${from}x${n}`;
  const source = new Shape(from === "bool" ? "i32" : from, n);
  const result = new Shape(to === "f32" || to === "u32" ? to : "i32", n);
  const { v, mask, unsigned: u } = source;
  const r = result.v;
  const define = (lane: (x: string) => string, gnu?: string): VectorPart =>
    lanewise(name, r, [v], n, (x) => lane(x), gnu);
  if (from === "bool") {
    if (to === "f32")
      return define((x) => `(float)(${x} & 1)`, macro(name, 1, `__builtin_convertvector((a) & 1, ${r})`));
    return define((x) => `(${result.scalar})(${x} & 1)`, macro(name, 1, `(${r})((a) & 1)`));
  }
  if (to === "bool") return define((x) => `-(${x} != 0)`, macro(name, 1, `(${r})((a) != 0)`));
  if (to === "f32") return define((x) => `(float)${x}`, macro(name, 1, `__builtin_convertvector((a), ${r})`));
  if (from === "f32") {
    if (to === "i32") {
      const made = `${mask} h_ = (${mask})(a_ >= 2147483648.0f); ${mask} l_ = (${mask})(a_ < -2147483648.0f); ${mask} o_ = (${mask})(a_ >= -2147483648.0f) & ~h_;`;
      const whole = `__builtin_convertvector((${v})((${mask})a_ & o_), ${r}) | (h_ & INT32_MAX) | (l_ & INT32_MIN)`;
      return define((x) => `ig_i32_of_f32(${x})`, block(name, [v], made, whole));
    }
    if (to === "u32") {
      const made = `${mask} h_ = (${mask})(a_ >= 4294967296.0f); ${mask} o_ = (${mask})(a_ > 0.0f) & ~h_;`;
      const whole = `__builtin_convertvector((${v})((${mask})a_ & o_), ${r}) | (${u})h_`;
      return define((x) => `ig_u32_of_f32(${x})`, block(name, [v], made, whole));
    }
    const [low, high] = limits[to];
    const whole = `${r}_of_${v.slice(3)}(a)`;
    const clamped = `${r}_min(${r}_max(${whole}, ${r}_splat(${low})), ${r}_splat(${high}))`;
    return define((x) => `ig_clamp_i32(ig_i32_of_f32(${x}), ${low}, ${high})`, macro(name, 1, clamped));
  }
  if (to === "i32" || to === "u32") return define((x) => `(${result.scalar})${x}`, macro(name, 1, `(${r})(a)`));
  const wrapped = {
    i8: `(${r})((${u})(a) << 24) >> 24`,
    i16: `(${r})((${u})(a) << 16) >> 16`,
    u8: `(${r})(a) & 255`,
    u16: `(${r})(a) & 65535`,
  }[to];
  return define((x) => `(${narrowType[to]})${x}`, macro(name, 1, wrapped));
}

/** bits_TO: the same bits as another element type. */
function bitsOp(s: Shape, op: string): VectorPart | null {
  const to = /^bits_(f32|i32|u32)$/.exec(op)?.[1] as Element | undefined;
  if (to === undefined) return null;
  const r = new Shape(to, s.n);
  const plain = s.t === "f32" || to === "f32" ? `ig_bits_${to}_${s.t}` : `(${r.scalar})`;
  return lanewise(`${s.v}_${op}`, r.v, [s.v], s.n, (x) => `${plain}(${x})`, macro(`${s.v}_${op}`, 1, `(${r.v})(a)`));
}

/** sumF, maxF, minF: each F adjacent lanes become one, halves first; all of them, a scalar. */
function reduceOp(s: Shape, op: string): VectorPart | null {
  const m = /^(sum|max|min)(\d+)$/.exec(op);
  if (!m) return null;
  const factor = Number(m[2]);
  const { v, n, t } = s;
  const join = (x: string, y: string): string =>
    m[1] !== "sum" ? `ig_${m[1]}_${t}(${x}, ${y})` : t === "i32" ? `ig_add_i32(${x}, ${y})` : `(${x} + ${y})`;
  const tree = (xs: readonly string[]): string => {
    const half = xs.length >> 1;
    return half === 0 ? xs[0]! : tree(xs.slice(0, half).map((x, i) => join(x, xs[half + i]!)));
  };
  const groups = (at: (i: number) => string): string[] =>
    Array.from({ length: n / factor }, (_, g) => tree(Array.from({ length: factor }, (_, i) => at(g * factor + i))));
  const gnu = groups((i) => `a_[${i}]`);
  const plain = groups((i) => `a.v[${i}]`);
  const name = `${v}_${op}`;
  if (factor === n)
    return {
      gnu: n > 4 ? halved(s, name, m[1]!) : block(name, [v], "", gnu[0]!),
      plain: `IG_FN ${s.scalar} ${name}(${v} a) { return ${plain[0]}; }`,
    };
  const r = new Shape(t, n / factor);
  return {
    gnu: block(name, [v], "", `(${r.v}){${gnu.join(", ")}}`),
    plain: `IG_FN ${r.v} ${name}(${v} a) { ${r.v} r = {{${plain.join(", ")}}}; return r; }`,
  };
}
/** All lanes joined: the halves of a long vector first, as vectors. */
function halved(s: Shape, name: string, op: string): string {
  const h = new Shape(s.t, s.n / 2);
  const lanes = (from: number): string => `((${h.v}){${h.lanes((i) => `x${s.n}_[${from + i}]`)}})`;
  const joined = `${h.v}_${op === "sum" ? "add" : op}(${lanes(0)}, ${lanes(h.n)})`;
  return block(name, [s.v], "", `${h.v}_${op}${h.n}(${joined})`, [`x${s.n}_`]);
}

/** The definition of a name of this family, or null when the name is none. Other ig_ names that it uses are needed too. */
export function vectorPart(name: string): VectorPart | null {
  const cast = /^ig_(f32|i32|u32|i8|u8|i16|u16|bool)x(\d+)_of_(f32|i32|u32|bool)x\2$/.exec(name);
  if (cast) return castOp(cast[1] as Element | Narrow, cast[3] as Element | "bool", Number(cast[2]));
  const cells = /^ig_(i8|u8|i16|u16|bool)x(\d+)(_m)?$/.exec(name);
  if (cells) {
    const d = cells[1] as Narrow;
    const bytes = d === "i16" || d === "u16" ? 2 : 1;
    if (cells[3]) return memoryType(name, narrowType[d], bytes, Number(cells[2]));
    return {
      gnu: `typedef ${narrowType[d]} ${name} __attribute__((vector_size(${bytes * Number(cells[2])})));`,
      plain: "",
    };
  }
  const m = /^ig_(f32|i32|u32)x(\d+)(?:_(\w+))?$/.exec(name);
  if (!m) return null;
  const s = new Shape(m[1] as Element, Number(m[2]));
  const op = m[3];
  if (op === undefined) return types(s);
  const made =
    commonOp(s, op) ??
    pairOp(s, op) ??
    (s.t === "f32" ? floatOp(s, op) : intOp(s, op)) ??
    narrowMemory(s, op) ??
    bitsOp(s, op) ??
    reduceOp(s, op);
  if (made === null) throw new InternalError(`no vector operation ${name}`);
  return made;
}
