// The lexical part of the text form of the IRs: tokens to read, lines to write. What is written with this reads back equal.

/** A mistake in IR text. The message begins with `line:column`, both counted from 1. */
export class ParseError extends Error {
  override name = "ParseError";
  readonly line: number;
  readonly column: number;
  constructor(message: string, line: number, column: number) {
    super(`${line}:${column}: ${message}`);
    this.line = line;
    this.column = column;
  }
}

const word = /[A-Za-z_$][\w$]*(?:[.:][\w$]+)*'*/y;
const bare = new RegExp(`^${word.source}$`);
/** True when `s` may stand bare as a name: letters, digits, _, $, inner dots and colons, and primes at the end. */
export function isIdentifier(s: string): boolean {
  return bare.test(s);
}
/** A name as it is written: bare when it is an identifier and not reserved, else a JSON string. */
export function quoteName(s: string, reserved?: ReadonlySet<string>): string {
  return isIdentifier(s) && !reserved?.has(s) ? s : JSON.stringify(s);
}

/** A float that reads back as the same number: always with a point or an exponent, or inf, -inf, nan. */
export function formatFloat(x: number): string {
  if (Number.isNaN(x)) return "nan";
  if (!Number.isFinite(x)) return x > 0 ? "inf" : "-inf";
  const s = Object.is(x, -0) ? "-0" : String(x);
  return /[.e]/.test(s) ? s : `${s}.0`;
}
/** The shortest decimal that reads back as the f32 nearest to x. */
export function formatFloat32(x: number): string {
  if (x === 0 || !Number.isFinite(x)) return formatFloat(x);
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(x.toPrecision(digits));
    if (Math.fround(short) === Math.fround(x)) return formatFloat(short);
  }
  return formatFloat(Number(x.toPrecision(9)));
}

/**
 * word: a name that stands bare (`value` is it). string: a JSON string (`value` is its contents).
 * number: digits, maybe with a point and exponent, or 0x and hexadecimal digits; `value` is the part before a suffix, `suffix` what
 * follows an underscore, or `n`. tag: `#` and letters or digits (`value` is what follows). punct: anything else.
 * glued: nothing stands between the token and the one before.
 */
export type Token = {
  readonly kind: "word" | "string" | "number" | "tag" | "punct" | "end";
  readonly text: string;
  readonly value: string;
  readonly suffix: string | null;
  readonly at: number;
  readonly glued: boolean;
};

const number = /(0x[\da-fA-F]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?:_([a-z]\w*)|(n)(?!\w))?(?!\w)/y;
const string = /"(?:[^"\\\n]|\\.)*"/y;
const tag = /#(\w+)/y;
const space = /(?:\s+|\/\/[^\n]*)*/y;
const punct = /\.\.|->|<<|>>|<=|==|!=|&&|\|\||[()[\]{},:;=<>+\-*/%&|^~!@?]/y;

const shapes: readonly (readonly [Token["kind"], RegExp])[] = [
  ["word", word],
  ["number", number],
  ["string", string],
  ["tag", tag],
  ["punct", punct],
];

function matchAt(sticky: RegExp, text: string, at: number): RegExpExecArray | null {
  sticky.lastIndex = at;
  return sticky.exec(text);
}

/** Reads tokens off a text. Line comments start with two slashes. Every mistake is a ParseError. */
export class Reader {
  private readonly text: string;
  private readonly tokens: Token[] = [];
  private position = 0;

  constructor(text: string) {
    this.text = text;
    let at = 0;
    for (;;) {
      const gap = matchAt(space, text, at)![0].length;
      at += gap;
      if (at >= text.length) break;
      const [kind, m] = this.lex(at);
      const value = kind === "string" ? this.unquote(m[0], at) : (m[1] ?? m[0]);
      const suffix = m[2] ?? m[3] ?? null;
      this.tokens.push({ kind, text: m[0], value, suffix, at, glued: gap === 0 && this.tokens.length > 0 });
      at += m[0].length;
    }
    this.tokens.push({ kind: "end", text: "", value: "", suffix: null, at, glued: false });
  }
  private lex(at: number): [Token["kind"], RegExpExecArray] {
    for (const [kind, shape] of shapes) {
      const m = matchAt(shape, this.text, at);
      if (m) return [kind, m];
    }
    throw this.error(`unexpected ${JSON.stringify(this.text[at])}`, at);
  }
  private unquote(s: string, at: number): string {
    try {
      return JSON.parse(s) as string;
    } catch {
      throw this.error("malformed string", at);
    }
  }
  private error(message: string, at: number): ParseError {
    const before = this.text.slice(0, at);
    return new ParseError(message, before.split("\n").length, at - before.lastIndexOf("\n"));
  }

  /** Throws a ParseError at `at` (default: the next token). */
  fail(message: string, at: Token = this.peek()): never {
    throw this.error(message, at.at);
  }
  /** The next token, or the one `ahead` tokens later, without taking it. */
  peek(ahead = 0): Token {
    return this.tokens[Math.min(this.position + ahead, this.tokens.length - 1)]!;
  }
  next(): Token {
    const t = this.peek();
    if (t.kind !== "end") this.position++;
    return t;
  }
  /** True when the next token is this keyword or punctuation (a quoted string never is). */
  at(text: string, ahead = 0): boolean {
    const t = this.peek(ahead);
    return t.text === text && (t.kind === "word" || t.kind === "punct");
  }
  accept(text: string): boolean {
    if (!this.at(text)) return false;
    this.position++;
    return true;
  }
  expect(text: string): Token {
    if (!this.at(text)) this.fail(`expected ${text} but found ${this.describe()}`);
    return this.next();
  }
  private describe(): string {
    const t = this.peek();
    return t.kind === "end" ? "the end of the text" : t.text;
  }
  /** A bare or quoted name. */
  name(what = "a name"): string {
    const t = this.peek();
    if (t.kind !== "word" && t.kind !== "string") this.fail(`expected ${what} but found ${this.describe()}`);
    return this.next().value;
  }
  string(): string {
    if (this.peek().kind !== "string") this.fail(`expected a string but found ${this.describe()}`);
    return this.next().value;
  }
  /** An integer, maybe negative. */
  int(what = "an integer"): number {
    const sign = this.accept("-") ? -1 : 1;
    const t = this.peek();
    const x = Number(t.value);
    if (t.kind !== "number" || t.suffix !== null || !Number.isSafeInteger(x))
      this.fail(`expected ${what} but found ${this.describe()}`);
    this.next();
    return x === 0 ? 0 : sign * x;
  }
  /** Items separated by commas up to `close`, which is taken. */
  list<T>(close: string, item: () => T): T[] {
    const items: T[] = [];
    if (this.accept(close)) return items;
    do items.push(item());
    while (this.accept(","));
    this.expect(close);
    return items;
  }
  end(): void {
    if (this.peek().kind !== "end") this.fail(`expected the end of the text but found ${this.describe()}`);
  }
}

/** Collects lines, indented by two spaces a level. */
export class Writer {
  private readonly lines: string[] = [];
  private level = 0;

  /** One statement, maybe of several lines: each is indented. */
  line(text: string): void {
    for (const l of text.split("\n")) this.lines.push(l === "" ? "" : "  ".repeat(this.level) + l);
  }
  /** `head {`, what `body` writes one level deeper, `}` and `tail`; `more` goes on after the brace: `} else {`. */
  block(
    head: string,
    body: () => void,
    tail = "",
    more: readonly (readonly [head: string, body: () => void])[] = [],
  ): void {
    this.line(`${head} {`);
    this.inside(body);
    for (const [h, b] of more) {
      this.line(`} ${h} {`);
      this.inside(b);
    }
    this.line(`}${tail}`);
  }
  private inside(body: () => void): void {
    this.level++;
    body();
    this.level--;
  }
  /** The lines without a newline at the end. */
  toString(): string {
    return this.lines.join("\n");
  }
}
