// Vectors of narrow integers: cells of 8 and 16 bits in memory, and products of two i16 in each lane.
import {
  block,
  lanewise,
  macro,
  type Narrow,
  narrowType,
  type Shape,
  type VectorPart,
  variants,
  x86,
} from "./vector-parts.ts";

/**
 * Products of two i16 in each lane: dot16, adddot16 (a + dot16(b, c)), widen8, and load_pairs, which is widen8 of cells in memory.
 * x86 has them as instructions, by builtins of two spellings.
 */
export function pairOp(s: Shape, op: string): VectorPart | null {
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
        gnu: variants(
          widened(n, "sxbw", 1, 2 * n).map(([c, x]): [string, string] => [c, macro(name, 1, `(${v})${x}`)]),
          macro(name, 1, `(${v})__builtin_convertvector(*(const ig_i8x${2 * n}_m *)(const void *)(a), ${halves})`),
        ),
        plain: `IG_FN ${v} ${name}(const void *p) {\n  const int8_t *b = (const int8_t *)p;\n  ${v} r;\n  for (int i = 0; i < ${n}; i++) r.v[i] = ig_widen8_i32((int32_t)(((uint32_t)b[2 * i] & 255u) | ((uint32_t)b[2 * i + 1] << 8)));\n  return r;\n}`,
      };
    default:
      return null;
  }
}

const isGcc = (condition: string): string => `!defined(__clang__) && defined(${condition})`;
/** A vector of x86's builtins: `count` chars or shorts. */
const x86Cells = (bytes: 1 | 2, count: number): string =>
  `${bytes === 1 ? "char" : "short"} __attribute__((vector_size(${bytes * count})))`;
/** The narrow cells at (a), with zeros behind them where they are fewer than 16 bytes. */
function x86Operand(bytes: 1 | 2, count: number): string {
  const size = bytes * count;
  const name = `${bytes === 1 ? "i8" : "i16"}x${count}`;
  if (size >= 16) return `(${x86Cells(bytes, count)})*(const ig_${name}_m *)(const void *)(a)`;
  const [word, words] = size === 8 ? ["long long", 2] : ["int", 4];
  const zeros = ", 0".repeat(words - 1);
  const vector = `(${word} __attribute__((vector_size(16)))){word_${zeros}}`;
  return `(${x86Cells(bytes, 16 / bytes)})__extension__({ ${word} word_; __builtin_memcpy(&word_, (a), ${size}); ${vector}; })`;
}
/** Extending `count` cells of memory into a vector of 4n bytes: gcc makes of a conversion one lane at a time or worse, clang the instruction. */
function widened(n: number, kind: string, bytes: 1 | 2, count: number): [string, string][] {
  const x = x86Operand(bytes, count);
  const into = kind.endsWith("bw") ? x86Cells(2, 2 * n) : `int __attribute__((vector_size(${4 * n})))`;
  const all = kind.endsWith("bw") ? "(unsigned)-1" : "(unsigned short)-1";
  if (n === 4) return [[isGcc("__SSE4_1__"), `__builtin_ia32_pmov${kind}128(${x})`]];
  if (n === 8) return [[isGcc("__AVX2__"), `__builtin_ia32_pmov${kind}256(${x})`]];
  if (n !== 16) return [];
  return [
    [
      isGcc(kind.endsWith("bw") ? "__AVX512BW__" : "__AVX512F__"),
      `__builtin_ia32_pmov${kind}512_mask(${x}, (${into}){0}, ${all})`,
    ],
  ];
}
function extendingLoad(v: string, n: number, d: Narrow): [string, string][] {
  const bytes = d === "i16" || d === "u16" ? 2 : 1;
  const kind = `${d.startsWith("i") ? "sx" : "zx"}${bytes === 1 ? "b" : "w"}d`;
  return widened(n, kind, bytes, n).map(([c, x]): [string, string] => [c, `(${v})${x}`]);
}
/** The low bytes of each lane, to (a). */
function truncatingStore(n: number, d: Narrow, value: string): [string, string][] {
  if (n !== 4 && n !== 8 && n !== 16) return [];
  const bytes = d === "i16" || d === "u16" ? 2 : 1;
  const count = Math.max(n, 16 / bytes);
  const all = n === 16 ? "(unsigned short)-1" : "(unsigned char)-1";
  const cells = x86Cells(bytes, count);
  const made = `__builtin_ia32_pmovd${bytes === 1 ? "b" : "w"}${32 * n}_mask(${value}, (${cells}){0}, ${all})`;
  const text = `__extension__({ ${cells} cells_ = ${made}; __builtin_memcpy((a), &cells_, ${bytes * n}); })`;
  return [[isGcc(n === 16 ? "__AVX512F__" : "__AVX512VL__"), text]];
}

/** load_u8, store_u8 and so on: narrow cells, 32-bit lanes; bool cells, masks. */
export function narrowMemory(s: Shape, op: string): VectorPart | null {
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
      gnu: variants(
        extendingLoad(v, n, d).map(([c, x]): [string, string] => [c, macro(name, 1, d === "bool" ? `-${x}` : x)]),
        macro(name, 1, d === "bool" ? `-${wide}` : wide),
      ),
      plain: `IG_FN ${v} ${name}(const ig_${d} *p) {\n  ${v} r;\n  for (int i = 0; i < ${n}; i++) r.v[i] = ${lane};\n  return r;\n}`,
    };
  }
  const value = d === "bool" ? "(b) & 1" : "(b)";
  const lane = d === "bool" ? "a.v[i] & 1" : "a.v[i]";
  return {
    gnu: variants(
      truncatingStore(n, d, value).map(([c, x]): [string, string] => [c, macro(name, 2, x)]),
      macro(name, 2, `*(${cells}_m *)(a) = __builtin_convertvector(${value}, ${cells})`),
    ),
    plain: `IG_FN void ${name}(ig_${d} *p, ${v} a) {\n  for (int i = 0; i < ${n}; i++) p[i] = (${narrowType[d]})(${lane});\n}`,
  };
}
