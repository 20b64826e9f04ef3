// Operations on vectors, made by name as a model uses them: ig_f32x4_add and the like, for any power of two lanes of f32, i32, u32.
//
// With GNU C a vector is one of the compiler's vector types and an operation is a macro: a function must not take a vector wider than the
// build's instruction set. Elsewhere it is a struct and a loop. A mask is a vector of i32, 0 or -1 in each lane. Names that
// macros declare end in `_`, which no name of a kernel does.
import { InternalError } from "../../src/base/assert.ts";
import {
  allLanes,
  block,
  type Element,
  lanewise,
  limits,
  macro,
  memoryType,
  type Narrow,
  narrowType,
  Shape,
  types,
  type VectorPart,
  variants,
  x86,
} from "./vector-parts.ts";
import { narrowMemory, pairOp } from "./vectors-narrow.ts";

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
