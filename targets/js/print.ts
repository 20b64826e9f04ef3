// A program as JavaScript: an expression `(weightsBytes) => exports` that makes one instance of the linear-memory module.
//
//   memory   { buffer, grow(pages) }, as a WebAssembly.Memory (pages of 64 KiB)
//   table    byte address of the io table: for each input, then each output, [address, dim 0, dim 1, ...] of 32-bit words
//   weights  byte address of the weights region
//   plan     (...symbols) => bytes of memory that run needs, or 0 when a value is out of range or memory would pass 4 GiB, or
//            2^32 - 1 - k when the program's requirement k does not hold
//   init     () => 0 or a status as of run; only when the program has prepared buffers
//   run      (seed) => 0, or 1: a dim that depends on data is out of its range, 2: out of memory
//
// Addresses and dims are doubles. The text holds no eval and no Function.
import { assert, must, unreachable } from "../../src/base/assert.ts";
import type { BufferId } from "../../src/base/brand.ts";
import type { Dim } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import type { Kernel } from "../../src/ir/loops.ts";
import type { Action, Call, Program } from "../../src/ir/program.ts";
import type { DType } from "../../src/ir/types.ts";
import { elementBytes, is64, isFloat } from "../../src/ir/types.ts";
import type { LinearLayout } from "../loader/layout.ts";
import { linearLayout, maxMemory, refusal } from "../loader/layout.ts";
import { Arithmetic } from "./arithmetic.ts";
import type { Module, View } from "./expr.ts";
import { indent, viewOf } from "./expr.ts";
import { Helpers } from "./helpers.ts";
import { printKernel } from "./kernel.ts";
import { Names } from "./names.ts";
import { everyAction, Places } from "./places.ts";
import { literal } from "./text.ts";

/** strict: every rounding of a mulAdd `either` is separate, as in wasm and strict C; else it rounds once, from a double. */
export type PrintOptions = { readonly strict: boolean };

const page = 65536;
/** Heap buffers start at multiples of this. */
const heapAlign = 64;
const maxDim = 2147483647;
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
/** The printed text's own names. */
const own = "weightsBytes buffer memory resize reserve top heap plan init run seed".split(" ");

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
  /** Names that kernels keep clear of: views and helpers. */
  readonly #shared: Names = new Names();
  readonly #names: Names = new Names(this.#shared);
  readonly #helpers: Helpers;
  readonly #arithmetic: Arithmetic;
  readonly #places: Places;
  readonly #kernels: string[];
  readonly #views = new Set<View>(["U8", "U32"]);
  readonly #tables = new Map<string, string>();

  constructor(p: Program, options: PrintOptions) {
    this.#p = p;
    this.#layout = linearLayout(p);
    for (const name of Object.keys(arrays)) this.#shared.unique(name);
    this.#helpers = new Helpers(this.#shared);
    for (const name of own) this.#names.unique(name);
    this.#arithmetic = new Arithmetic(this.#helpers, !options.strict);
    this.#places = new Places(p, this.#layout, this.#names, this.#helpers);
    this.#kernels = p.kernels.map((k) => this.#names.unique(k.name));
  }

  // ---- Module: what kernels use of it -------------------------------------------------------------------------------
  view(dtype: DType): View {
    const view = viewOf(dtype);
    this.#views.add(view);
    return view;
  }
  table(dtype: DType, values: readonly number[]): string {
    const array = arrays[is64(dtype) || isFloat(dtype) || dtype === "u32" ? viewOf(dtype) : "I32"];
    const text = `${array}.of(${values.map((x) => literal(dtype, x).text).join(", ")})`;
    const old = this.#tables.get(text);
    if (old !== undefined) return old;
    const id = `$table${this.#tables.size}`;
    this.#tables.set(text, id);
    return id;
  }

  // ---- plan -----------------------------------------------------------------------------------------------------------
  /** Lines that write a port's row of the io table. Early: what plan knows; else what only the end of a run knows. */
  #row(port: number, early: boolean): string[] {
    const places = this.#places;
    const isInput = port < this.#p.inputs.length;
    const id = [...this.#p.inputs, ...this.#p.outputs][port]!.buffer;
    const word = this.#layout.rows[port]! / 4;
    const lines: string[] = [];
    // An input is written before the run, where its buffer starts.
    const late = places.isLateAddress(id);
    if (early && isInput) lines.push(`U32[${word}] = ${late ? places.dim(places.start(id)) : places.address(id)};`);
    else if (!isInput && early !== late) lines.push(`U32[${word}] = ${places.address(id)};`);
    places.buffer(id).shape.forEach((d, i) => {
      if (places.isLate(d) === early) return;
      const simple = !early || d.kind === "sym" || d.kind === "int";
      if (!simple) lines.push(`$dim = ${places.checkedDim(d)};`, `if (!($dim >= 0 && $dim <= ${maxDim})) return 0;`);
      lines.push(`U32[${word + 1 + i}] = ${simple ? places.dim(d) : "$dim"};`);
    });
    return lines;
  }
  #plan(): string[] {
    const places = this.#places;
    const { bindings, plan } = this.#p;
    const body = bindings.map((b, i) => `if (!($${i} >= ${b.min} && $${i} <= ${b.max ?? maxDim})) return 0;`);
    body.push(...bindings.map((b, i) => `${places.symbol(b.id)} = $${i};`));
    body.push(...plan.lets.map(({ id, value }) => `${places.symbol(id)} = ${places.checkedDim(value)};`));
    body.push(...this.#p.requires.map((r, k) => `if (${places.checkedDim(r.zero)} !== 0) return ${refusal(k)};`));
    const end = aligned256(D.add(D.int(this.#layout.arena), places.resolved(plan.sizes.arena)));
    const fixed = D.known(end);
    if (fixed === null) {
      body.push(`const $end = ${places.checkedDim(end)};`, `if (!($end <= ${maxMemory})) return 0;`);
      if (places.usesHeap) body.push("heap = $end;");
    }
    const rows = this.#layout.rows.flatMap((_, port) => this.#row(port, true));
    for (const [id, address] of places.planned) body.push(`${id} = ${address};`);
    if (rows.some((line) => line.startsWith("$dim "))) body.push("let $dim;");
    body.push(...rows, `return ${fixed ?? "$end"};`);
    return [`function plan(${bindings.map((_, i) => `$${i}`).join(", ")}) {`, ...indent(body), "}"];
  }

  // ---- actions --------------------------------------------------------------------------------------------------------
  #entry(name: "init" | "run", list: readonly Action<Call>[]): string[] {
    const places = this.#places;
    const body: string[] = [];
    if (name === "run" && this.#usesSeed()) body.push("seed = $seed | 0;");
    if (places.usesHeap) body.push("top = heap;");
    for (const [id, address] of places.moving) {
      if (this.#p.plan.offsets.get(id)!.region !== "heap") body.push(`${address} = ${places.dim(places.start(id))};`);
      if (places.ends.has(id)) body.push(`${places.ends.get(id)} = 0;`);
    }
    body.push(...this.#actions(list));
    if (name === "run") body.push(...this.#layout.rows.flatMap((_, port) => this.#row(port, false)));
    return [`function ${name}(${name === "run" ? "$seed" : ""}) {`, ...indent([...body, "return 0;"]), "}"];
  }
  #usesSeed(): boolean {
    const mentions = (d: Dim): boolean => [...D.symbolsOf(this.#places.resolved(d))].some((id) => id === "$seed");
    return [...everyAction(this.#p.run)].some(
      (a) => a.kind === "call" && [...a.call.dims, ...a.call.scalars].some(mentions),
    );
  }
  #actions(list: readonly Action<Call>[]): string[] {
    return list.flatMap((a) => this.#action(a));
  }
  #action(a: Action<Call>): string[] {
    const places = this.#places;
    switch (a.kind) {
      case "call":
        return [this.#call(a.call)];
      case "dim": {
        const id = places.symbol(a.id);
        return [
          `${id} = ${this.#dimValue(a.from)};`,
          `if (!(${id} >= ${a.min} && ${id} <= ${a.max ?? maxDim})) return 1;`,
        ];
      }
      case "reserve": {
        const b = places.buffer(a.buffer);
        const address = places.moving.get(a.buffer)!;
        const end = places.ends.get(a.buffer);
        const count = b.storage === null ? D.product(b.shape) : b.storage.size;
        const bytes = places.checkedDim(D.mul(places.resolved(count), D.int(elementBytes(b.dtype))));
        return [
          `${address} = reserve(${bytes});`,
          `if (${address} < 0) return 2;`,
          ...(end === undefined ? [] : [`${end} = top;`]),
        ];
      }
      case "release":
        return [`if (${places.ends.get(a.buffer)} === top) top = ${places.moving.get(a.buffer)};`];
      case "if": {
        const otherwise = a.otherwise.length === 0 ? [] : ["} else {", ...indent(this.#actions(a.otherwise))];
        return [`if (${this.#truth(a.cond)}) {`, ...indent(this.#actions(a.then)), ...otherwise, "}"];
      }
      case "loop": {
        const i = places.symbol(a.counter);
        const tests = [
          ...(a.trip === null ? [] : [`${i} < ${places.dim(a.trip)}`]),
          ...(a.cond === null ? [] : [this.#truth(a.cond)]),
        ];
        const swaps = a.swap.flatMap(([x, y]) =>
          [places.moving, places.ends].flatMap((of) =>
            of.has(x) ? [`[${of.get(x)}, ${of.get(y)}] = [${of.get(y)}, ${of.get(x)}];`] : [],
          ),
        );
        return [
          `for (${i} = 0; ${tests.join(" && ")}; ${i}++) {`,
          ...indent([...this.#actions(a.body), ...swaps]),
          "}",
        ];
      }
      default:
        return unreachable(a, "js action");
    }
  }
  #truth(id: BufferId): string {
    assert(this.#places.buffer(id).dtype === "bool", `js: the condition ${this.#places.buffer(id).name} is no bool`);
    return `U8[${this.#places.address(id)}] !== 0`;
  }
  #dimValue(from: Extract<Action<Call>, { kind: "dim" }>["from"]): string {
    if ("value" in from) return this.#places.dim(from.value);
    const { dtype, name } = this.#places.buffer(from.buffer);
    assert(dtype === "i32" || dtype === "i64", `js: a dim from ${name}, which is ${dtype}`);
    const bytes = elementBytes(dtype);
    const address = this.#places.address(from.buffer);
    const at = from.index === D.zero ? address : `${address} + ${this.#places.dim(D.mul(from.index, D.int(bytes)))}`;
    const element = `${this.view(dtype)}[${/^\w+$/.test(at) ? at : `(${at})`} / ${bytes}]`;
    return dtype === "i64" ? `Number(${element})` : element;
  }
  #call(c: Call): string {
    const kernel = must(this.#p.kernels[c.kernel], `kernel ${c.kernel}`);
    const args = [
      ...c.args.map((id) => this.#places.address(id)),
      ...c.scalars.map((d, i) => this.#scalar(kernel.scalars[i]!.dtype, this.#places.resolved(d))),
      ...c.dims.map((d) => this.#places.dim(d)),
    ];
    return `${this.#kernels[c.kernel]}(${args.join(", ")});`;
  }
  /** A Dim as an argument of the dtype. */
  #scalar(dtype: DType, d: Dim): string {
    const value = D.known(d);
    if (value !== null) return literal(dtype, dtype === "bool" ? Number(value !== 0) : value).text;
    const text = this.#places.dim(d);
    switch (dtype) {
      case "bool":
        return `(${text}) !== 0 ? 1 : 0`;
      case "i64":
        return `BigInt(${text})`;
      case "u64":
        return `BigInt.asUintN(64, BigInt(${text}))`;
      case "f32":
        return `${this.#helpers.use("f")}(${text})`;
      case "u32":
        return `(${text}) >>> 0`;
      default:
        return text;
    }
  }

  // ---- the whole ------------------------------------------------------------------------------------------------------
  print(): string[] {
    const places = this.#places;
    const kernels = this.#p.kernels.flatMap((k, i) => [
      "",
      signature(k),
      ...printKernel(k, this.#kernels[i]!, new Names(this.#shared), this.#arithmetic, this),
    ]);
    const init = this.#p.init.length === 0 ? [] : ["", ...this.#entry("init", this.#p.init)];
    const run = this.#entry("run", this.#p.run);
    // After all actions: plan computes the addresses that they use.
    const plan = this.#plan();
    const { weights, table, end } = this.#layout;
    const variables = [
      ...new Set([
        ...places.symbols.values(),
        ...places.planned.keys(),
        ...places.moving.values(),
        ...places.ends.values(),
      ]),
    ];
    if (this.#usesSeed()) variables.push("seed");
    const heap = D.known(this.#p.plan.sizes.arena) === null ? 0 : D.known(aligned256(D.int(end)))!;
    const support = [...this.#helpers.print(), ...[...this.#tables].map(([text, id]) => `const ${id} = ${text};`)];
    const body = [
      ...memoryLines(
        end,
        weights,
        (Object.keys(arrays) as View[]).filter((x) => this.#views.has(x)),
      ),
      ...list(
        "// Byte addresses of buffers.",
        "const",
        [...places.constant].map(([id, at]) => `${id} = ${at}`),
      ),
      ...list(
        "// Dims, and addresses that depend on them or on data.",
        "let",
        variables.map((x) => `${x} = 0`),
      ),
      ...(places.usesHeap ? heapLines(heap) : []),
      ...(support.length > 0 ? ["", ...support] : []),
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

const aligned256 = (d: Dim): Dim => D.mul(D.floordiv(D.add(d, D.int(255)), D.int(256)), D.int(256));

/** The memory and its views, which are made anew when it grows. */
function memoryLines(end: number, weights: number, views: readonly View[]): string[] {
  return [
    `let buffer = new ArrayBuffer(${Math.max(1, Math.ceil(end / page)) * page});`,
    ...views.map((x) => `let ${x} = new ${arrays[x]}(buffer);`),
    `if (weightsBytes) U8.set(weightsBytes, ${weights});`,
    "function resize(bytes) {",
    "  const next = new ArrayBuffer(bytes);",
    "  new Uint8Array(next).set(U8);",
    "  buffer = next;",
    ...views.map((x) => `  ${x} = new ${arrays[x]}(buffer);`),
    "}",
    "const memory = {",
    "  get buffer() {",
    "    return buffer;",
    "  },",
    "  grow(pages) {",
    `    const before = buffer.byteLength / ${page};`,
    `    if (pages > 0) resize((before + pages) * ${page});`,
    "    return before;",
    "  },",
    "};",
  ];
}
/** The heap: a bump pointer above the arena. Memory grows by a quarter more than is asked for, since growing copies. */
function heapLines(start: number): string[] {
  return [
    "",
    `let heap = ${start};`,
    "let top = 0;",
    "// The address of that many bytes of the heap, or -1 when there are none.",
    "function reserve(bytes) {",
    "  const address = top;",
    `  const end = address + Math.ceil(bytes / ${heapAlign}) * ${heapAlign};`,
    `  if (!(end <= ${maxMemory})) return -1;`,
    "  try {",
    `    if (end > buffer.byteLength) resize(Math.ceil(Math.min(end * 1.25, ${maxMemory}) / ${page}) * ${page});`,
    "  } catch {",
    "    return -1;",
    "  }",
    "  top = end;",
    "  return address;",
    "}",
  ];
}
/** `const a = 1, b = 2;` under a comment, in lines of at most 120 characters. */
function list(comment: string, keyword: "const" | "let", items: readonly string[]): string[] {
  if (items.length === 0) return [];
  const lines = ["", comment];
  let line: string = keyword;
  items.forEach((item, i) => {
    const next = ` ${item}${i + 1 < items.length ? "," : ";"}`;
    if (line.length + next.length > 118) {
      lines.push(line);
      line = " ";
    }
    line += next;
  });
  return [...lines, line];
}
/** What a kernel's arguments are, as a comment. */
function signature(k: Kernel): string {
  const params = k.params.map((b) => `${b.name}: ${b.dtype}[${b.shape.map((d) => d.key).join(", ")}]`);
  const rest = [...k.scalars.map((s) => `${s.name}: ${s.dtype}`), ...k.dims];
  return `// ${[...params, ...rest].join("; ")}`.replace(/[^ -~]/g, "?");
}
