// A program as JavaScript: an expression `(weightsBytes) => exports` that makes one instance of the linear-memory module.
//
//   memory   { buffer, grow(pages) }, as a WebAssembly.Memory (pages of 64 KiB)
//   table    byte address of the io table: for each input, then each output, [address, dim 0, dim 1, ...] of 32-bit words
//   weights  byte address of the weights region
//   plan     (...symbols) => bytes of memory that run needs, or 0 when a value is out of range or memory would pass 4 GiB
//   init     () => 0 or a status as of run; only when the program has prepared buffers
//   run      (seed) => 0, or 1: a dim that depends on data is out of its range, 2: out of memory
//
// Addresses and dims are doubles. The text holds no eval and no Function.
import { assert, must, unreachable } from "../../src/base/assert.ts";
import type { BufferId, SymbolId } from "../../src/base/brand.ts";
import type { Dim } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import type { Kernel } from "../../src/ir/loops.ts";
import type { Action, Call, Program } from "../../src/ir/program.ts";
import type { Buffer } from "../../src/ir/storage.ts";
import type { DType } from "../../src/ir/types.ts";
import { elementBytes, is64 } from "../../src/ir/types.ts";
import type { LinearLayout } from "../loader/layout.ts";
import { linearLayout, maxMemory, placeOf } from "../loader/layout.ts";
import { Arithmetic } from "./arithmetic.ts";
import { DimPrinter } from "./dims.ts";
import type { Module, View } from "./expr.ts";
import { indent, viewOf } from "./expr.ts";
import { Helpers } from "./helpers.ts";
import { printKernel } from "./kernel.ts";
import { Names } from "./names.ts";
import { literal } from "./text.ts";

/** strict: every rounding of a mulAdd `either` is separate, as in wasm and strict C; else it rounds once, from a double. */
export type PrintOptions = { readonly strict: boolean };

/** Heap buffers start at multiples of this. */
const heapAlign = 64;
const page = 65536;
const arrays: Readonly<Record<View, string>> = {
  F32: "Float32Array",
  F64: "Float64Array",
  I32: "Int32Array",
  U32: "Uint32Array",
  I16: "Int16Array",
  U16: "Uint16Array",
  I8: "Int8Array",
  U8: "Uint8Array",
  I64: "BigInt64Array",
  U64: "BigUint64Array",
};

/**
 * Prints a program whose inputs and outputs lie in planned memory. Throws UserError E303 when its static memory is over 4 GiB, and
 * InternalError for what the js target never gets: vectors, threads, float functions of f32 that are not decomposed.
 */
export function printProgram(p: Program, options: PrintOptions): string {
  return new ProgramPrinter(p, options).print().join("\n");
}

class ProgramPrinter implements Module {
  readonly #p: Program;
  readonly #layout: LinearLayout;
  readonly #names: Names = new Names();
  readonly #helpers: Helpers;
  readonly #arithmetic: Arithmetic;
  readonly #dims: DimPrinter;
  readonly #views = new Set<View>(["U8", "U32"]);
  readonly #tables = new Map<string, string>();
  readonly #kernels: string[];
  /** Identifiers of symbols, in the order of first use; those are `let`s of the module. */
  readonly #symbols = new Map<SymbolId, string>();
  /** Derived symbols that no let, action or binding gives a value: their definition stands for them. */
  readonly #derived = new Map<SymbolId, Dim>();
  /** Symbols whose value is known only during a run. */
  readonly #late = new Set<SymbolId>();
  /** Buffers whose address changes during a run: heap and swapped ones. */
  readonly #moving = new Map<BufferId, string>();
  /** Moving buffers whose end is kept too, since one of them may be released. */
  readonly #ends = new Map<BufferId, string>();
  /** Constant addresses, by identifier. */
  readonly #addresses = new Map<string, number>();
  readonly #named = new Map<BufferId, string>();
  #usesHeap = false;

  constructor(p: Program, options: PrintOptions) {
    this.#p = p;
    this.#layout = linearLayout(p);
    for (const word of [
      "weightsBytes",
      "buffer",
      "memory",
      "resize",
      "reserve",
      "top",
      "heap",
      "plan",
      "init",
      "run",
      "seed",
      ...Object.keys(arrays),
    ])
      this.#names.unique(word);
    this.#helpers = new Helpers(this.#names);
    this.#arithmetic = new Arithmetic(this.#helpers, !options.strict);
    this.#dims = new DimPrinter(this.#helpers, (id) => this.#symbol(id));
    this.#kernels = p.kernels.map((k) => this.#names.unique(k.name));
    this.#collect();
  }

  // ---- Module: what kernels use of it -------------------------------------------------------------------------------
  view(dtype: DType): View {
    const view = viewOf(dtype);
    this.#views.add(view);
    return view;
  }
  table(dtype: DType, values: readonly number[]): string {
    const array =
      dtype === "f32" || dtype === "f64"
        ? arrays[viewOf(dtype)]
        : is64(dtype)
          ? "BigInt64Array"
          : dtype === "u32"
            ? "Uint32Array"
            : "Int32Array";
    const items = is64(dtype) ? values.map((v) => `${v}n`) : values.map((v) => literal(dtype, v).text);
    const text = `${dtype === "u64" ? "BigUint64Array" : array}.of(${items.join(", ")})`;
    const old = this.#tables.get(text);
    if (old !== undefined) return old;
    const id = `$table${this.#tables.size}`;
    this.#tables.set(text, id);
    return id;
  }

  // ---- symbols and addresses ----------------------------------------------------------------------------------------
  /** Finds the symbols that a run binds, the buffers that move, and the identifiers of both. */
  #collect(): void {
    const bound = new Set<SymbolId>([...this.#p.bindings.map((b) => b.id), ...this.#p.plan.lets.map((l) => l.id)]);
    const swaps: (readonly [BufferId, BufferId])[] = [];
    const released: BufferId[] = [];
    const visit = (list: readonly Action<Call>[]): void => {
      for (const a of list) {
        if (a.kind === "dim") this.#late.add(a.id);
        else if (a.kind === "reserve") {
          this.#usesHeap = true;
          this.#move(a.buffer);
        } else if (a.kind === "release") released.push(a.buffer);
        else if (a.kind === "if") {
          visit(a.then);
          visit(a.otherwise);
        } else if (a.kind === "loop") {
          this.#late.add(a.counter);
          swaps.push(...a.swap);
          visit(a.body);
        }
      }
    };
    visit(this.#p.init);
    visit(this.#p.run);
    for (const b of swaps.flat()) this.#move(b);
    // A released buffer may hold what any buffer that it swaps with held.
    for (let i = 0; i < released.length; i++) {
      const b = released[i]!;
      if (this.#ends.has(b)) continue;
      this.#ends.set(b, this.#names.unique(`${this.#buffer(b).name}_end`));
      for (const pair of swaps) if (pair.includes(b)) released.push(...pair);
    }
    for (const s of this.#p.symbols) {
      if (s.def !== null && s.def !== "data" && !bound.has(s.id) && !this.#late.has(s.id))
        this.#derived.set(s.id, s.def);
    }
  }
  #move(id: BufferId): void {
    if (this.#moving.has(id)) return;
    const b = this.#buffer(id);
    assert((b.storage?.root ?? null) === null, `js: ${b.name} moves during a run but is a part of another buffer`);
    const address = this.#names.unique(b.name);
    this.#moving.set(id, address);
    const place = must(this.#p.plan.offsets.get(id), `place of ${b.name}`);
    if (place.region !== "heap") return;
    assert(place.offset.kind === "sym", `js: the offset of the heap buffer ${b.name} is no symbol`);
    this.#symbols.set(place.offset.id, address);
    this.#late.add(place.offset.id);
  }
  #buffer(id: BufferId): Buffer {
    return must(this.#p.buffers.get(id), `buffer ${id}`);
  }
  #symbol(id: SymbolId): string {
    if (id === "$seed") return "seed";
    let name = this.#symbols.get(id);
    if (name === undefined) {
      name = this.#names.unique(id);
      this.#symbols.set(id, name);
    }
    return name;
  }
  /** A Dim over symbols that have values of their own. */
  #resolved(d: Dim): Dim {
    if (this.#derived.size === 0) return d;
    const next = D.substitute(d, (id) => this.#derived.get(id) ?? null);
    return next === d ? d : this.#resolved(next);
  }
  #dim(d: Dim): string {
    return this.#dims.print(this.#resolved(d));
  }
  #isLate(d: Dim): boolean {
    return [...D.symbolsOf(this.#resolved(d))].some((id) => this.#late.has(id));
  }

  /** The byte address of a buffer during a run. */
  #address(id: BufferId): string {
    const old = this.#named.get(id);
    if (old !== undefined) return old;
    const { base, offset } = placeOf(this.#p, this.#layout, id, (b) => this.#moving.has(b));
    let text: string;
    if (base !== null) {
      const start = must(this.#moving.get(base), "a moving buffer");
      text = offset === D.zero ? start : `${start} + ${this.#dim(offset)}`;
    } else {
      const fixed = D.known(offset);
      if (fixed === null) text = this.#dim(offset);
      else {
        text = this.#names.unique(this.#buffer(id).name);
        this.#addresses.set(text, fixed);
      }
    }
    this.#named.set(id, text);
    return text;
  }
  /** An element of a view, at a byte address plus `index` elements. */
  #element(view: View, address: string, index: Dim, bytes: number): string {
    this.#views.add(view);
    const offset = index === D.zero ? address : `${address} + ${this.#dim(D.mul(index, D.int(bytes)))}`;
    if (bytes === 1) return `${view}[${offset}]`;
    return `${view}[${offset === address ? address : `(${offset})`} / ${bytes}]`;
  }
  #truth(id: BufferId): string {
    assert(this.#buffer(id).dtype === "bool", `js: the condition ${this.#buffer(id).name} is no bool`);
    return `${this.#element("U8", this.#address(id), D.zero, 1)} !== 0`;
  }

  // ---- plan -----------------------------------------------------------------------------------------------------------
  /** Lines that write a port's row of the io table; early: what plan knows, else what only the end of a run knows. */
  #row(port: number, early: boolean): string[] {
    const all = [...this.#p.inputs, ...this.#p.outputs];
    const isOutput = port >= this.#p.inputs.length;
    const id = all[port]!.buffer;
    const word = this.#layout.rows[port]! / 4;
    const lines: string[] = [];
    const still = placeOf(this.#p, this.#layout, id);
    const moves =
      placeOf(this.#p, this.#layout, id, (b) => this.#moving.has(b)).base !== null || this.#isLate(still.offset);
    // An input is written before the run, where its buffer starts.
    if (early && (!moves || !isOutput))
      lines.push(`U32[${word}] = ${moves ? this.#dim(still.offset) : this.#address(id)};`);
    if (!early && moves && isOutput) lines.push(`U32[${word}] = ${this.#address(id)};`);
    this.#buffer(id).shape.forEach((d, i) => {
      if (this.#isLate(d) === early) return;
      if (early && d.kind !== "sym" && d.kind !== "int") {
        lines.push(
          `$n = ${this.#dims.checked(this.#resolved(d))};`,
          "if (!($n >= 0 && $n <= 2147483647)) return 0;",
          `U32[${word + 1 + i}] = $n;`,
        );
      } else lines.push(`U32[${word + 1 + i}] = ${this.#dim(d)};`);
    });
    return lines;
  }
  #plan(): string[] {
    const params = this.#p.bindings.map((_, i) => `$${i}`);
    const body: string[] = [];
    this.#p.bindings.forEach((b, i) => {
      body.push(`if (!($${i} >= ${b.min} && $${i} <= ${b.max ?? 2147483647})) return 0;`);
    });
    this.#p.bindings.forEach((b, i) => {
      body.push(`${this.#symbol(b.id)} = $${i};`);
    });
    for (const { id, value } of this.#p.plan.lets)
      body.push(`${this.#symbol(id)} = ${this.#dims.checked(this.#resolved(value))};`);
    const end = D.add(D.int(this.#layout.arena), this.#resolved(this.#p.plan.sizes.arena));
    const rounded = D.mul(D.floordiv(D.add(end, D.int(255)), D.int(256)), D.int(256));
    const fixed = D.known(rounded);
    if (fixed === null) {
      body.push(`const $end = ${this.#dims.checked(rounded)};`, `if (!($end <= ${maxMemory})) return 0;`);
      if (this.#usesHeap) body.push("heap = $end;");
    }
    const rows = this.#layout.rows.flatMap((_, port) => this.#row(port, true));
    if (rows.some((line) => line.startsWith("$n "))) body.push("let $n;");
    body.push(...rows, `return ${fixed ?? "$end"};`);
    return [`function plan(${params.join(", ")}) {`, ...indent(body), "}"];
  }

  // ---- actions --------------------------------------------------------------------------------------------------------
  #actions(name: "init" | "run", list: readonly Action<Call>[]): string[] {
    const body: string[] = [];
    if (name === "run" && this.#mentionsSeed()) body.push("seed = $seed | 0;");
    if (this.#usesHeap) body.push("top = heap;");
    for (const [id, address] of this.#moving) {
      const { region } = this.#p.plan.offsets.get(id)!;
      if (region !== "heap") body.push(`${address} = ${this.#dim(placeOf(this.#p, this.#layout, id).offset)};`);
      if (this.#ends.has(id)) body.push(`${this.#ends.get(id)} = 0;`);
    }
    for (const a of list) body.push(...this.#action(a));
    if (name === "run") body.push(...this.#layout.rows.flatMap((_, port) => this.#row(port, false)));
    return [`function ${name}(${name === "run" ? "$seed" : ""}) {`, ...indent([...body, "return 0;"]), "}"];
  }
  #mentionsSeed(): boolean {
    const uses = (list: readonly Action<Call>[]): boolean =>
      list.some((a) => {
        switch (a.kind) {
          case "call":
            return [...a.call.dims, ...a.call.scalars].some((d) =>
              D.symbolsOf(this.#resolved(d)).has("$seed" as SymbolId),
            );
          case "if":
            return uses(a.then) || uses(a.otherwise);
          case "loop":
            return uses(a.body);
          default:
            return false;
        }
      });
    return uses(this.#p.run) || uses(this.#p.init);
  }
  #action(a: Action<Call>): string[] {
    switch (a.kind) {
      case "call":
        return [this.#call(a.call)];
      case "dim": {
        const id = this.#symbol(a.id);
        return [
          `${id} = ${this.#dimValue(a.from)};`,
          `if (!(${id} >= ${a.min} && ${id} <= ${a.max ?? 2147483647})) return 1;`,
        ];
      }
      case "reserve": {
        const b = this.#buffer(a.buffer);
        const count = b.storage === null ? D.product(b.shape) : b.storage.size;
        const address = this.#moving.get(a.buffer)!;
        const end = this.#ends.get(a.buffer);
        const bytes = this.#dims.checked(D.mul(this.#resolved(count), D.int(elementBytes(b.dtype))));
        return [
          `${address} = reserve(${bytes});`,
          `if (${address} < 0) return 2;`,
          ...(end === undefined ? [] : [`${end} = top;`]),
        ];
      }
      case "release": {
        const [address, end] = [this.#moving.get(a.buffer), this.#ends.get(a.buffer)!];
        return [`if (${end} === top) top = ${address};`];
      }
      case "if": {
        const otherwise =
          a.otherwise.length === 0 ? [] : ["} else {", ...indent(a.otherwise.flatMap((x) => this.#action(x)))];
        return [`if (${this.#truth(a.cond)}) {`, ...indent(a.then.flatMap((x) => this.#action(x))), ...otherwise, "}"];
      }
      case "loop": {
        const i = this.#symbol(a.counter);
        const tests = [
          ...(a.trip === null ? [] : [`${i} < ${this.#dim(a.trip)}`]),
          ...(a.cond === null ? [] : [this.#truth(a.cond)]),
        ];
        const swaps = a.swap.flatMap(([x, y]) =>
          [this.#moving, this.#ends].flatMap((of) => {
            const [p, q] = [of.get(x), of.get(y)];
            return p === undefined || q === undefined ? [] : [`[${p}, ${q}] = [${q}, ${p}];`];
          }),
        );
        return [
          `for (${i} = 0; ${tests.join(" && ")}; ${i}++) {`,
          ...indent([...a.body.flatMap((x) => this.#action(x)), ...swaps]),
          "}",
        ];
      }
      default:
        return unreachable(a, "js action");
    }
  }
  #dimValue(from: Extract<Action<Call>, { kind: "dim" }>["from"]): string {
    if ("value" in from) return this.#dim(from.value);
    const b = this.#buffer(from.buffer);
    assert(b.dtype === "i32" || b.dtype === "i64", `js: a dim from ${b.dtype}`);
    const text = this.#element(viewOf(b.dtype), this.#address(b.id), from.index, elementBytes(b.dtype));
    return b.dtype === "i64" ? `Number(${text})` : text;
  }
  #call(c: Call): string {
    const kernel = must(this.#p.kernels[c.kernel], `kernel ${c.kernel}`);
    const args = [
      ...c.args.map((id) => this.#address(id)),
      ...c.scalars.map((d, i) => this.#scalar(kernel.scalars[i]!.dtype, this.#resolved(d))),
      ...c.dims.map((d) => this.#dim(d)),
    ];
    return `${this.#kernels[c.kernel]}(${args.join(", ")});`;
  }
  /** A Dim as an argument of the dtype. */
  #scalar(dtype: DType, d: Dim): string {
    const value = D.known(d);
    if (value !== null) return literal(dtype, dtype === "bool" ? Number(value !== 0) : value).text;
    const text = this.#dim(d);
    if (dtype === "bool") return `${d.kind === "add" ? `(${text})` : text} !== 0 ? 1 : 0`;
    if (is64(dtype)) return `BigInt.as${dtype === "i64" ? "Int" : "Uint"}N(64, BigInt(${text}))`;
    return dtype === "f32" ? `${this.#helpers.use("f")}(${text})` : text;
  }

  // ---- the whole ------------------------------------------------------------------------------------------------------
  print(): string[] {
    const kernels = this.#p.kernels.flatMap((k, i) => [
      "",
      signature(k),
      ...printKernel(k, this.#kernels[i]!, new Names(this.#names), this.#arithmetic, this),
    ]);
    const plan = this.#plan();
    const init = this.#p.init.length === 0 ? [] : ["", ...this.#actions("init", this.#p.init)];
    const run = this.#actions("run", this.#p.run);
    const { weights, table, end } = this.#layout;
    const views = (Object.keys(arrays) as View[]).filter((v) => this.#views.has(v));
    const start = Math.max(1, Math.ceil(end / page)) * page;
    const variables = [...new Set([...this.#moving.values(), ...this.#ends.values(), ...this.#symbols.values()])];
    if (run.some((line) => line.includes("seed = $seed"))) variables.push("seed");
    const body: string[] = [
      `let buffer = new ArrayBuffer(${start});`,
      `let ${views.map((v) => `${v} = new ${arrays[v]}(buffer)`).join(", ")};`,
      `if (weightsBytes) U8.set(weightsBytes, ${weights});`,
      ...(this.#addresses.size > 0
        ? [
            "",
            "// Byte addresses of buffers.",
            ...wrapList(
              "const",
              [...this.#addresses].map(([id, at]) => `${id} = ${at}`),
            ),
          ]
        : []),
      ...(variables.length > 0
        ? [
            "",
            "// Dims, and addresses that depend on them or on data.",
            ...wrapList(
              "let",
              variables.map((v) => `${v} = 0`),
            ),
          ]
        : []),
      ...(this.#usesHeap ? heapLines(D.known(this.#p.plan.sizes.arena) === null ? 0 : Math.ceil(end / 256) * 256) : []),
      "",
      ...this.#helpers.print(),
      ...[...this.#tables].map(([text, id]) => `const ${id} = ${text};`),
      "",
      `function resize(bytes) {`,
      `  const next = new ArrayBuffer(bytes);`,
      `  new Uint8Array(next).set(U8);`,
      `  buffer = next;`,
      ...views.map((v) => `  ${v} = new ${arrays[v]}(buffer);`),
      `}`,
      `const memory = {`,
      `  get buffer() {`,
      `    return buffer;`,
      `  },`,
      `  grow(pages) {`,
      `    const before = buffer.byteLength / ${page};`,
      `    if (pages > 0) resize((before + pages) * ${page});`,
      `    return before;`,
      `  },`,
      `};`,
      ...kernels,
      "",
      ...plan,
      ...init,
      "",
      ...run,
      "",
      `return { memory, table: ${table}, weights: ${weights}, plan, ${init.length > 0 ? "init, " : ""}run };`,
    ];
    return ["(weightsBytes) => {", ...indent(body), "}"];
  }
}

/** The heap: a bump pointer above the arena. Memory grows by a quarter more than is asked for, since growing copies. */
function heapLines(start: number): string[] {
  return [
    "",
    `let heap = ${start}, top = 0;`,
    "// The address of that many bytes of the heap, or -1 when there are none.",
    "function reserve(bytes) {",
    "  const address = top;",
    `  const end = address + Math.ceil(bytes / ${heapAlign}) * ${heapAlign};`,
    `  if (!(end <= ${maxMemory})) return -1;`,
    "  if (end > buffer.byteLength) {",
    `    const pages = Math.ceil(Math.min(end * 1.25, ${maxMemory}) / ${page});`,
    "    try {",
    `      resize(pages * ${page});`,
    "    } catch {",
    "      return -1;",
    "    }",
    "  }",
    "  top = end;",
    "  return address;",
    "}",
  ];
}

/** `const a = 1, b = 2;` broken into lines of at most 120 characters. */
function wrapList(keyword: string, items: readonly string[]): string[] {
  const lines: string[] = [];
  let line = keyword;
  items.forEach((item, i) => {
    const next = `${item}${i + 1 < items.length ? "," : ";"}`;
    if (line.length + next.length > 116 && line.trim() !== keyword) {
      lines.push(line);
      line = " ";
    }
    line += ` ${next}`;
  });
  return [...lines, line];
}
/** What a kernel's arguments are, as a comment. */
function signature(k: Kernel): string {
  const params = k.params.map((b) => `${b.name}: ${b.dtype}[${b.shape.map((d) => d.key).join(", ")}]`);
  const rest = [...k.scalars.map((s) => `${s.name}: ${s.dtype}`), ...k.dims];
  return `// ${[...params, ...rest].join("; ")}`.replace(/[^ -~]/g, "?");
}
