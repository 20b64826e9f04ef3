// C identifiers from arbitrary names.
const reserved: ReadonlySet<string> = new Set(
  (
    "auto break case char const continue default do double else enum extern float for goto if inline int long register restrict " +
    "return short signed sizeof static struct switch typedef union unsigned void volatile while " +
    "alignas alignof and and_eq asm bitand bitor bool catch char16_t char32_t char8_t class co_await co_return co_yield compl concept " +
    "const_cast consteval constexpr constinit decltype delete dynamic_cast explicit export false friend mutable namespace new " +
    "noexcept not not_eq nullptr operator or or_eq private protected public reinterpret_cast requires static_assert static_cast " +
    "template this thread_local throw true try typeid typename typeof typeof_unqual using virtual wchar_t xor xor_eq " +
    "NULL INFINITY NAN linux unix i386 near far small main errno " +
    "int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t size_t ptrdiff_t intptr_t uintptr_t"
  ).split(" "),
);

/** The characters of `text` that C allows, others as `_`; never empty, a keyword, or a name that the compiler keeps for itself. */
export function identifier(text: string): string {
  let s = text.replace(/[^A-Za-z0-9_]+/g, "_").replace(/__+/g, "_");
  if (!/^[A-Za-z]/.test(s)) s = `v${s.startsWith("_") ? "" : "_"}${s}`;
  // Macros of vectors.ts declare a_, b_ and so on.
  if (/^[a-z]_$/.test(s)) s += "v";
  if (reserved.has(s) || /^(ig|IG)_/.test(s) || /^U?INT\d/.test(s)) s += "_v";
  return s;
}

/** Hands out identifiers that differ from each other, and from those taken already. */
export class Names {
  readonly #taken: Set<string>;
  constructor(taken: Iterable<string> = []) {
    this.#taken = new Set(taken);
  }
  /** An identifier like `text`, with a number where it, or it with one of the suffixes, is taken. All of these are taken then. */
  fresh(text: string, suffixes: readonly string[] = []): string {
    const base = identifier(text);
    const all = (s: string): string[] => [s, ...suffixes.map((x) => s + x)];
    let s = base;
    for (let n = 2; all(s).some((x) => this.#taken.has(x)); n++) s = `${base}_${n}`;
    for (const x of all(s)) this.#taken.add(x);
    return s;
  }
  /** A scope inside this one, with more names taken. */
  inner(taken: readonly string[] = []): Names {
    return new Names([...this.#taken, ...taken]);
  }
}

/** A name as it may stand in a comment. */
export function quoted(text: string): string {
  return JSON.stringify(text)
    .replace(/[^ -~]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`)
    .replaceAll("*/", "*\\/")
    .replaceAll("/*", "\\/*")
    .replaceAll("??", "?\\?");
}

/** A string literal of the text in UTF-8. */
export function stringText(text: string): string {
  const plain = (b: number): boolean => b >= 32 && b < 127 && b !== 34 && b !== 63 && b !== 92;
  const bytes = Array.from(new TextEncoder().encode(text), (b) =>
    plain(b) ? String.fromCharCode(b) : `\\${b.toString(8).padStart(3, "0")}`,
  );
  return `"${bytes.join("")}"`;
}
