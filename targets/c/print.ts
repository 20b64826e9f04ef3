// Prints kernels as C functions.
import { assert, InternalError, must, unreachable } from "../../src/base/assert.ts";
import type { BufferId } from "../../src/base/brand.ts";
import * as D from "../../src/ir/dim.ts";
import type { For, Kernel, LoopExpr, Stmt, Store } from "../../src/ir/loops.ts";
import { bodiesOf, lanesOf, nothing, seq } from "../../src/ir/loops.ts";
import type { Buffer } from "../../src/ir/storage.ts";
import type { DType } from "../../src/ir/types.ts";
import { isFloat } from "../../src/ir/types.ts";
import { atom, cellName, literal, narrowRange, sum, valueType } from "./code.ts";
import type { Home, Scope } from "./expr.ts";
import { ExprPrinter, vectorType } from "./expr.ts";
import { eachStmt, indexBase, indexLets, operands, sharedNodes } from "./lets.ts";
import { identifier, type Names, quoted } from "./names.ts";
import { anyInt, Ranges } from "./ranges.ts";

/** A kernel as C: its text, and how it is called. */
export type Printed = {
  readonly name: string;
  readonly text: string;
  /** The cast of each argument: `const ig_f32 *`. */
  readonly paramTypes: readonly string[];
  readonly scalarTypes: readonly string[];
  /** True when the function takes the ctx first, to spread loops over threads. */
  readonly parallel: boolean;
};

/** Constant arrays at file scope, equal ones once. */
export class Tables {
  readonly #names: Names;
  readonly #byText: Map<string, string> = new Map();
  readonly lines: string[] = [];
  constructor(names: Names) {
    this.#names = names;
  }
  name(dtype: DType, values: readonly number[]): string {
    const text = `${valueType(dtype)}: ${values.map((x) => literal(dtype, x).s).join(", ")}`;
    let name = this.#byText.get(text);
    if (name === undefined) {
      name = this.#names.fresh("table");
      this.#byText.set(text, name);
      const type = valueType(dtype);
      this.lines.push(`IG_TABLE ${type} ${name}[${values.length}] = {${text.slice(type.length + 2)}};`);
    }
    return name;
  }
}

/** Joins pieces with commas into lines of at most 120 characters, the later ones indented. */
export function wrapped(head: string, pieces: readonly string[], tail: string, indent: string): string {
  const one = `${head}${pieces.join(", ")}${tail}`;
  if (one.length <= 120) return one;
  const lines: string[] = [];
  let line = indent;
  pieces.forEach((p, i) => {
    const piece = i === pieces.length - 1 ? p : `${p},`;
    if (line !== indent && line.length + 1 + piece.length > 118) {
      lines.push(line);
      line = indent;
    }
    line += line === indent ? piece : ` ${piece}`;
  });
  lines.push(line);
  return `${head.trimEnd()}\n${lines.join("\n")}${tail}`;
}

type Let = Extract<Stmt, { kind: "let" }>;

class KernelPrinter {
  readonly #kernel: Kernel;
  readonly #body: Stmt;
  readonly #names: Names;
  readonly #ranges: Ranges = new Ranges();
  readonly #vars: Map<string, { name: string; wide: boolean }> = new Map();
  readonly #buffers: Map<BufferId, Home> = new Map();
  readonly #pointers: Map<string, string> = new Map();
  readonly #temps: Map<LoopExpr, string> = new Map();
  readonly #expr: ExprPrinter;
  readonly #indexLets: ReadonlySet<string>;
  readonly #written: ReadonlySet<BufferId>;
  readonly #read: ReadonlySet<BufferId>;
  readonly #tables: Tables;
  readonly #lines: string[] = [];
  /** Lines that declare a constant, by its name: dropped when nothing uses it. */
  readonly #declared: Map<string, number> = new Map();
  /** Stores that declare their register, by its type. */
  readonly #declaredBy: Map<Store, string> = new Map();
  #depth = 1;

  /** body: one of the kernel's. */
  constructor(kernel: Kernel, body: Stmt, names: Names, tables: Tables, strict: boolean) {
    this.#kernel = kernel;
    this.#body = body;
    // Names of the function that spreads a parallel loop.
    this.#names = names.inner(["ctx", "arg", "args", "count"]);
    this.#tables = tables;
    const scope: Scope = {
      ranges: this.#ranges,
      vars: this.#vars,
      buffers: this.#buffers,
      pointers: this.#pointers,
      temps: this.#temps,
      table: (dtype, values) => this.#tables.name(dtype, values),
      strict,
    };
    this.#expr = new ExprPrinter(scope);
    this.#indexLets = indexLets(body);
    [this.#written, this.#read] = touched(bodiesOf(kernel));
  }

  /** The body as functions, the one that callers use called `name`; ctx: the type of a pointer to the ctx. parallel: it takes that first. */
  print(name: string, ctx: string, parallel: boolean): Printed {
    const k = this.#kernel;
    const shared = new Set(k.mayOverlap.flat());
    const paramTypes = k.params.map((b) => `${this.#written.has(b.id) ? "" : "const "}${cellName(b.dtype)} *`);
    const params = k.params.map((b, i) => {
      const id = this.#names.fresh(b.name);
      this.#buffers.set(b.id, { kind: "memory", name: id });
      return { name: id, text: `${paramTypes[i]}${shared.has(i) ? "" : "IG_RESTRICT "}${id}` };
    });
    const scalarTypes = k.scalars.map((s) => valueType(s.dtype));
    const scalars = [
      ...k.scalars.map((s, i) => ({ name: s.name, type: scalarTypes[i]! })),
      ...k.dims.map((id) => ({ name: id as string, type: "int32_t" })),
    ].map((s) => {
      const id = this.#names.fresh(s.name);
      this.#vars.set(s.name, { name: id, wide: false });
      return { name: id, text: `${s.type} ${id}` };
    });
    const all = [...params, ...scalars];
    const made = { name, paramTypes, scalarTypes: [...scalarTypes, ...k.dims.map(() => "int32_t")], parallel };
    const parts = partsOf(k, this.#body);
    if (parts.every((p) => p.loop === null)) {
      this.#stmt(this.#body);
      const first = parallel ? [{ name: "ctx", text: `${ctx}ctx` }] : [];
      return { ...made, text: this.#function(name, [...first, ...all]) };
    }
    const range = { begin: this.#names.fresh("begin"), end: this.#names.fresh("end") };
    const pieces = parts.map((p, n): Piece => {
      const own = pieceName(name, n);
      const count = p.loop === null ? null : this.#iterations(p.loop);
      for (const l of p.lets) this.#let(l.name, l.value);
      if (p.loop === null) {
        this.#stmt(p.body);
        return { name: own, text: this.#function(own, all), count };
      }
      this.#for(p.loop, range);
      const bounds = [range.begin, range.end].map((b) => ({ name: b, text: `int32_t ${b}` }));
      return { name: own, text: this.#function(own, [...all, ...bounds]), count };
    });
    return { ...made, text: spread(name, ctx, all, pieces) };
  }

  /** A function of the lines so far. */
  #function(name: string, params: readonly Parameter[]): string {
    const body = this.#used().join("\n");
    this.#lines.length = 0;
    this.#declared.clear();
    const unused = params.filter((p) => !mentions(body, p.name)).map((p) => `  (void)${p.name};`);
    const texts = params.length > 0 ? params.map((p) => p.text) : ["void"];
    const head = wrapped(`IG_KERNEL void ${name}(`, texts, ") {", "    ");
    return [head, ...unused, ...(body === "" ? [] : [body]), "}"].join("\n");
  }

  /** The lines without the constants that nothing uses. */
  #used(): string[] {
    const lines: (string | null)[] = [...this.#lines];
    const count = new Map<string, number>();
    const words = (line: string): string[] => line.match(/\b[A-Za-z]\w*/g) ?? [];
    for (const line of this.#lines) for (const w of words(line)) count.set(w, (count.get(w) ?? 0) + 1);
    // Later ones first: what only they use goes too.
    for (const [name, at] of [...this.#declared].reverse()) {
      if (count.get(name) !== 1) continue;
      for (const w of words(lines[at]!)) count.set(w, count.get(w)! - 1);
      lines[at] = null;
    }
    return lines.filter((line) => line !== null);
  }

  // ---- statements ----------------------------------------------------------------------------------------------------
  #line(text: string): void {
    this.#lines.push("  ".repeat(this.#depth) + text);
  }
  #block(f: () => void): void {
    this.#depth++;
    f();
    this.#depth--;
  }

  /** Declares temporaries for what the expressions of a statement share; they hold until the next statement. */
  #prepare(...roots: readonly { readonly e: LoopExpr; readonly index: boolean }[]): void {
    this.#temps.clear();
    for (const e of sharedNodes(roots, (b) => this.#expr.home(b).kind !== "memory")) {
      const code = this.#expr.value(e);
      const name = this.#names.fresh("t");
      const n = lanesOf(e);
      this.#constant(n > 1 ? vectorType(e.dtype, n) : valueType(e.dtype), name, code.s);
      this.#temps.set(e, name);
    }
  }
  #constant(type: string, name: string, value: string): void {
    this.#declared.set(name, this.#lines.length);
    this.#line(`const ${type} ${name} = ${value};`);
  }
  #value(e: LoopExpr): string {
    this.#prepare({ e, index: false });
    return this.#expr.value(e).s;
  }

  #stmt(s: Stmt): void {
    switch (s.kind) {
      case "seq":
        for (const x of s.body) this.#stmt(x);
        break;
      case "let":
        this.#let(s.name, s.value);
        this.#stmt(s.body);
        break;
      case "store":
        this.#store(s);
        break;
      case "alloc":
        this.#alloc(s.buffer, s.body);
        this.#stmt(s.body);
        break;
      case "for":
        this.#for(s, null);
        break;
      case "if": {
        this.#line(`if (${this.#value(s.cond)}) {`);
        this.#block(() => this.#stmt(s.then));
        if (s.otherwise) {
          this.#line("} else {");
          const otherwise = s.otherwise;
          this.#block(() => this.#stmt(otherwise));
        }
        this.#line("}");
        break;
      }
      case "while":
        this.#line("for (;;) {");
        this.#block(() => {
          this.#line(`if (!(${this.#value(s.cond)})) break;`);
          this.#stmt(s.body);
        });
        this.#line("}");
        break;
      case "barrier":
        throw new InternalError("a barrier in C");
      default:
        unreachable(s, "statement");
    }
  }

  #let(name: string, value: LoopExpr): void {
    const wide = this.#indexLets.has(name) && !this.#ranges.exact(value);
    this.#prepare({ e: value, index: wide });
    const n = lanesOf(value);
    const text = wide ? this.#expr.index(value).s : this.#expr.value(value).s;
    const id = this.#names.fresh(name);
    const type = wide ? "ptrdiff_t" : n > 1 ? vectorType(value.dtype, n) : valueType(value.dtype);
    this.#constant(type, id, text);
    this.#vars.set(name, { name: id, wide });
    if (n === 1 && !wide && valueType(value.dtype) === "int32_t") this.#ranges.define(name, this.#ranges.of(value));
  }

  #alloc(b: Buffer, body: Stmt): void {
    const id = this.#names.fresh(b.name);
    const dims = b.shape.map((d) => must(D.known(d), `extent of the local buffer ${b.name}`));
    const size = dims.reduce((x, y) => x * y, 1);
    if (b.scope === "register" && dims.length <= 1) {
      const vector = dims.length === 1 && size > 1;
      this.#buffers.set(b.id, { kind: vector ? "vector" : "scalar", name: id });
      if (!this.#read.has(b.id)) return;
      const type = vector ? vectorType(b.dtype, size) : valueType(b.dtype);
      const first = firstStore(body, b.id);
      if (first !== null) this.#declaredBy.set(first, type);
      // The value is undefined until the first store.
      else this.#line(`${type} ${id} = ${vector ? "{0}" : "0"};`);
      return;
    }
    assert(b.scope === "register" || b.scope === "stack", `a local buffer in ${b.scope}`);
    this.#buffers.set(b.id, { kind: "memory", name: id });
    if (this.#read.has(b.id) || this.#written.has(b.id))
      this.#line(`${cellName(b.dtype)} ${id}[${Math.max(size, 1)}];`);
  }

  #store(s: Store): void {
    const home = this.#expr.home(s.buffer);
    const index = must(s.index[0], "an index");
    if (home.kind !== "memory") {
      if (!this.#read.has(s.buffer)) return;
      this.#prepare({ e: s.value, index: false });
      const n = home.kind === "vector" ? Math.max(lanesOf(s.value), lanesOf(index)) : 1;
      const type = this.#declaredBy.get(s);
      this.#line(
        `${type === undefined ? "" : `${type} `}${home.name} = ${n > 1 ? this.#expr.lanes(s.value, n).s : this.#expr.value(s.value).s};`,
      );
      return;
    }
    this.#prepare({ e: s.value, index: false }, { e: indexBase(index), index: true });
    const to = this.#expr.element(s.buffer, index, s.via);
    const n = lanesOf(index);
    const narrow = narrowRange(s.dtype) !== null;
    if (n > 1) {
      assert(s.atomic === undefined, "an atomic store of a vector");
      const suffix = narrow ? `_${s.dtype}` : "";
      this.#line(`${vectorType(s.dtype, n)}_store${suffix}(&${to}, ${this.#expr.lanes(s.value, n).s});`);
      return;
    }
    const value = this.#expr.value(s.value).s;
    if (s.atomic !== undefined) {
      // One thread: a kernel with such a store is never spread.
      const [add, t] = [isFloat(s.dtype) || s.dtype.startsWith("u"), s.dtype];
      if (s.atomic === "max") this.#line(`${to} = ig_max_${t}(${to}, ${value});`);
      else this.#line(add ? `${to} += ${value};` : `${to} = ig_add_${t}(${to}, ${value});`);
      return;
    }
    this.#line(narrow ? `${to} = (${cellName(s.dtype)})(${value});` : `${to} = ${value};`);
  }

  #for(s: For, part: { readonly begin: string; readonly end: string } | null): void {
    assert(!s.loop.startsWith("block") && !s.loop.startsWith("thread"), `a ${s.loop} loop in C`);
    const extentRange = this.#ranges.of(s.extent);
    let extent = this.#value(s.extent);
    if (s.extent.kind !== "const" && s.extent.kind !== "var") {
      const id = this.#names.fresh(`${s.v}_end`);
      this.#line(`const ptrdiff_t ${id} = ${extent};`);
      extent = id;
    }
    const v = this.#names.fresh(s.v);
    const pointers = (s.pointers ?? []).map((p) => ({ p, id: this.#names.fresh(p.name), step: this.#stepOf(p.step) }));
    const begin = part === null ? "0" : scaled(part.begin, s.step);
    for (const { p, id, step } of pointers) {
      this.#prepare({ e: p.init, index: true });
      const at = this.#expr.index(p.init);
      const start = part === null ? at : sum(at, "+", atom(`${part.begin} * (ptrdiff_t)${step}`));
      this.#line(`ptrdiff_t ${id} = ${start.s};`);
      this.#pointers.set(p.name, id);
    }
    this.#vars.set(s.v, { name: v, wide: true });
    this.#ranges.define(s.v, [0, Math.max(0, Math.min(extentRange[1], anyInt[1]) - 1)]);
    const limit = part === null ? `${v} < ${extent}` : `${v} < ${scaled(part.end, s.step)} && ${v} < ${extent}`;
    const advance = [
      s.step === 1 ? `${v}++` : `${v} += ${s.step}`,
      ...pointers.map(({ id, step }) => `${id} += ${step}`),
    ];
    this.#line(`for (ptrdiff_t ${v} = ${begin}; ${limit}; ${advance.join(", ")}) {`);
    this.#block(() => this.#stmt(s.body));
    this.#line("}");
  }
  #stepOf(e: LoopExpr): string {
    if (e.kind === "const" || e.kind === "var") return this.#expr.value(e).s;
    const id = this.#names.fresh("step");
    this.#line(`const ptrdiff_t ${id} = ${this.#value(e)};`);
    return id;
  }
  /** The number of iterations of an outermost loop, as C over the parameters. */
  #iterations(s: For): string {
    const extent = this.#expr.value(s.extent).s;
    return s.step === 1 ? extent : `(int32_t)(((int64_t)(${extent}) + ${s.step - 1}) / ${s.step})`;
  }
}

/** The store that gives a register its first value, when it stands in the same block as what allocates it, before all other uses. */
function firstStore(s: Stmt, b: BufferId): Store | null {
  const reads = (e: LoopExpr): boolean => someLoad(e, (x) => x === b);
  for (;;) {
    if (s.kind === "alloc") s = s.body;
    else if (s.kind === "let" && !reads(s.value)) s = s.body;
    else break;
  }
  for (const x of s.kind === "seq" ? s.body : [s]) {
    if (x.kind !== "store" || reads(x.value) || x.index.some(reads)) return null;
    if (x.buffer === b) return x;
  }
  return null;
}

function scaled(name: string, step: number): string {
  return step === 1 ? name : `(ptrdiff_t)${name} * ${step}`;
}
/** Whether an identifier occurs in C text, members of structures aside. */
export function mentions(text: string, name: string): boolean {
  return new RegExp(`(?<!->|\\.)\\b${name}\\b`).test(text);
}
function described(b: Buffer): string {
  return `${quoted(b.name).slice(1, -1)} ${b.dtype}[${b.shape.map((d) => quoted(d.key).slice(1, -1)).join(", ")}]`;
}

/** The buffers that statements store to, and that they load from. */
function touched(bodies: readonly Stmt[]): [ReadonlySet<BufferId>, ReadonlySet<BufferId>] {
  const [written, read] = [new Set<BufferId>(), new Set<BufferId>()];
  const body: Stmt = { kind: "seq", body: bodies };
  eachExpr(body, (e) => {
    if (e.kind === "load") read.add(e.buffer);
  });
  eachStmt(body, (s) => {
    if (s.kind !== "store") return;
    written.add(s.buffer);
    if (s.atomic !== undefined) read.add(s.buffer);
  });
  return [written, read];
}
function eachExpr(body: Stmt, f: (e: LoopExpr) => void): void {
  const seen = new Set<LoopExpr>();
  const walk = (e: LoopExpr): void => {
    if (seen.has(e)) return;
    seen.add(e);
    f(e);
    for (const x of operands(e)) walk(x);
  };
  eachStmt(body, (s) => {
    switch (s.kind) {
      case "for":
        walk(s.extent);
        for (const p of s.pointers ?? []) for (const x of [p.init, p.step]) walk(x);
        break;
      case "store":
        for (const x of [...s.index, s.value]) walk(x);
        break;
      case "let":
        walk(s.value);
        break;
      case "if":
      case "while":
        walk(s.cond);
        break;
      default:
        break;
    }
  });
}

/** A part of a kernel that is a function of its own: a loop that threads share, with the `let`s before it, or else a statement. */
type Part = { readonly lets: readonly Let[]; readonly loop: For | null; readonly body: Stmt };
/** The parts of a kernel in order. A loop is shared when it is parallel, its extent known on entry, with no sums in common memory. */
function partsOf(k: Kernel, body: Stmt): readonly Part[] {
  const outside = new Set<string>([...k.dims, ...k.scalars.map((x) => x.name)]);
  const fromParams = (e: LoopExpr): boolean =>
    e.kind === "var" ? outside.has(e.name) : e.kind !== "load" && operands(e).every(fromParams);
  const walk = (s: Stmt, lets: readonly Let[]): readonly Part[] => {
    if (s.kind === "seq" && s.body.length > 0) return s.body.flatMap((x) => walk(x, lets));
    if (s.kind === "let" && !someLoad(s.value, () => true)) return walk(s.body, [...lets, s]);
    const shared = s.kind === "for" && s.loop === "parallel" && fromParams(s.extent) && !hasSums(s);
    return [{ lets, loop: shared ? s : null, body: s }];
  };
  // Statements between loops that are shared stay together.
  const parts: Part[] = [];
  for (const p of walk(body, [])) {
    const last = parts.at(-1);
    const joined = last && [last, p].every((x) => x.loop === null && x.lets.length === 0);
    if (joined) parts[parts.length - 1] = { ...p, body: seq([last.body, p.body]) };
    else parts.push(p);
  }
  return parts;
}
function hasSums(body: Stmt): boolean {
  let sums = false;
  eachStmt(body, (x) => {
    if (x.kind === "store" && x.atomic !== undefined) sums = true;
  });
  return sums;
}
/** Whether an expression loads from some buffer for which f holds. */
function someLoad(e: LoopExpr, f: (b: BufferId) => boolean): boolean {
  let found = false;
  eachExpr({ kind: "let", name: "", value: e, body: nothing }, (x) => {
    if (x.kind === "load" && f(x.buffer)) found = true;
  });
  return found;
}

type Parameter = { readonly name: string; readonly text: string };
/** A part as a function; `count`: C for the iterations of its loop, of which it takes a range, or null. */
type Piece = { readonly name: string; readonly text: string; readonly count: string | null };
function pieceName(kernel: string, n: number): string {
  return `${kernel}_${n + 1}`;
}

/** The function that callers use for a kernel in pieces: calls them in order, those with a range here or spread over threads. */
function spread(name: string, ctx: string, params: readonly Parameter[], pieces: readonly Piece[]): string {
  const args = params.map((p) => p.name);
  const open = params.map((p) => p.text.replace("IG_RESTRICT ", ""));
  const out = [`struct ${name}_args {`, ...(open.length > 0 ? open.map((t) => `  ${t};`) : ["  int none;"]), "};"];
  const body: string[] = [wrapped(`  struct ${name}_args args = {`, args.length > 0 ? args : ["0"], "};", "      ")];
  for (const p of pieces) {
    out.push(p.text);
    if (p.count === null) {
      body.push(wrapped(`  ${p.name}(`, args, ");", "      "));
      continue;
    }
    out.push(
      `static void ${p.name}_range(void *arg, int32_t begin, int32_t end) {`,
      `  const struct ${name}_args *args = (const struct ${name}_args *)arg;`,
      ...(args.length > 0 ? [] : ["  (void)args;"]),
      wrapped(`  ${p.name}(`, [...args.map((a) => `args->${a}`), "begin", "end"], ");", "      "),
      "}",
    );
    body.push(`  ig_spread(ctx->parallel_for, ctx->user, ${p.count}, ${p.name}_range, &args);`);
  }
  return [...out, wrapped(`static void ${name}(`, [`${ctx}ctx`, ...open], ") {", "    "), ...body, "}"].join("\n");
}

/** What all kernels of a file share: its identifiers and tables, the type of a pointer to the ctx, and the rounding of products. */
export type FileScope = {
  readonly names: Names;
  readonly tables: Tables;
  readonly ctx: string;
  readonly strict: boolean;
};
/** A kernel as a C function; in the vectors that the C compiler picks, where it has several bodies. */
export function printKernel(kernel: Kernel, file: FileScope): Printed {
  // Builtins have plain names, kernels never: k07_conv.
  const plain = identifier(kernel.name);
  const bodies = bodiesOf(kernel);
  const parts = bodies.map((b) => partsOf(kernel, b));
  const parallel = parts.some((list) => list.some((p) => p.loop !== null));
  const suffixes = Array.from({ length: Math.max(...parts.map((x) => x.length)) }, (_, n) => pieceName("", n));
  const name = file.names.fresh(/^k\d/.test(plain) ? plain : `k_${plain}`, [
    "_args",
    ...suffixes.flatMap((x) => [x, `${x}_range`]),
  ]);
  const printed = bodies.map((body) =>
    new KernelPrinter(kernel, body, file.names, file.tables, file.strict).print(name, file.ctx, parallel),
  );
  const own = printed[0]!;
  const others = (kernel.variants ?? []).map(({ lanes }, n) => ({ lanes, text: printed[n + 1]!.text }));
  const comment = `/* ${quoted(kernel.name).slice(1, -1)}: ${kernel.params.map(described).join(", ")} */`;
  return { ...own, text: `${comment}\n${byLanes(own.text, others)}` };
}
/** The text for the lanes of a build, each text once; `rest` is for all that are not among `others`. */
function byLanes(rest: string, others: readonly { readonly lanes: number; readonly text: string }[]): string {
  const arms = new Map<string, number[]>();
  for (const { lanes, text } of others) if (text !== rest) arms.set(text, [...(arms.get(text) ?? []), lanes]);
  if (arms.size === 0) return rest;
  const lines = [...arms].flatMap(([text, lanes], k) => [
    `${k === 0 ? "#if" : "#elif"} ${lanes.map((n) => `IG_LANES == ${n}`).join(" || ")}`,
    text,
  ]);
  return [...lines, "#else", rest, "#endif"].join("\n");
}
