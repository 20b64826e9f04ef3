// Prints NAME_run and NAME_init: the actions of a program.
import { assert, must, unreachable } from "../../src/base/assert.ts";
import type { BufferId, SymbolId } from "../../src/base/brand.ts";
import type { Dim } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import type { Action, Call, Program } from "../../src/ir/program.ts";
import type { Buffer } from "../../src/ir/storage.ts";
import { elementBytes } from "../../src/ir/types.ts";
import type { Code } from "./code.ts";
import { atom, bind, castTo, cellName, product, sum, tight } from "./code.ts";
import type { SymbolText } from "./dims.ts";
import { printDim, sizeLimit } from "./dims.ts";
import type { Field, Interface } from "./interface.ts";
import { homeField } from "./interface.ts";
import { Names } from "./names.ts";
import type { PlanSymbols } from "./plan.ts";
import { fieldDims, outputDims, rootOf } from "./plan.ts";
import type { Printed } from "./print.ts";
import { mentions, wrapped } from "./print.ts";

type Context = {
  readonly program: Program;
  readonly api: Interface;
  readonly symbols: PlanSymbols;
  /** By index in Program.kernels. */
  readonly kernels: ReadonlyMap<number, Printed>;
  /** C of the weights when they are embedded: the name of the array; null: the caller's. */
  readonly embedded: string | null;
  /** Multiple of every offset. */
  readonly align: number;
};
/** A heap buffer or one that takes part in a swap: its address is a variable; a heap buffer's size too. */
type Slot = { readonly pointer: string; readonly bytes: string | null };

const maxDim = 2147483647;
const arenaBase = "arena";

class BodyPrinter {
  readonly #c: Context;
  readonly #kind: "run" | "init";
  readonly #names: Names;
  readonly #slots: Map<BufferId, Slot> = new Map();
  readonly #locals: Map<SymbolId, SymbolText> = new Map();
  /** Heap buffers by the symbol of their offset. */
  readonly #heap: Map<SymbolId, BufferId> = new Map();
  readonly #lines: string[] = [];
  #depth = 1;

  constructor(c: Context, kind: "run" | "init") {
    this.#c = c;
    this.#kind = kind;
    this.#names = new Names([
      "ctx",
      "in",
      "out",
      "p",
      "arena",
      "weights",
      "prepared",
      "top",
      "room",
      "bad",
      "status",
      "swap",
      "trip",
      "value",
      ...[...c.kernels.values()].map((k) => k.name),
      ...(c.embedded === null ? [] : [c.embedded]),
    ]);
  }

  print(actions: readonly Action<Call>[]): string {
    const { api, program } = this.#c;
    const run = this.#kind === "run";
    this.#declare(actions);
    if (run) this.#copyInputs();
    this.#actions(actions);
    if (run) this.#finishOutputs();
    const slots = this.#slotLines();
    const text = [...slots, ...this.#lines].join("\n");
    const planned = program.bindings.length > 0;
    const err = (e: string): string => `return ${api.upper}_ERR_${e};`;
    const head: string[] = [];
    const usesHeap = mentions(text, "top");
    const usesArena = usesHeap || mentions(text, arenaBase);
    const inputsUsed = run && (planned || mentions(text, "in"));
    if (run && !inputsUsed) head.push("(void)in;");
    head.push(`if (ctx->struct_size < sizeof *ctx) ${err("CTX")}`);
    if (planned && (run || usesArena || mentions(text, "p"))) {
      head.push("struct plan p;");
      if (run) head.push("const int status = read_dims(in, &p);", `if (status != ${api.upper}_OK) return status;`);
      else head.push(...this.#smallestDims());
    }
    const size = api.arena === null ? "p.arena" : String(api.arena);
    if (run) head.push(`out->arena_needed = ${api.arena === null ? "(size_t)p.arena" : api.arena};`);
    if (usesArena) {
      const small = size === "0" ? "" : ` || ctx->arena_bytes < (size_t)${size}`;
      head.push(`if (ctx->arena == NULL || ((uintptr_t)ctx->arena & 7) != 0${small}) ${err("ARENA")}`);
      head.push("unsigned char *const arena = (unsigned char *)ctx->arena;");
    }
    if (mentions(text, "weights")) {
      const own = this.#c.embedded;
      if (own === null) head.push(`if (ctx->weights == NULL) ${err("WEIGHTS")}`);
      const from = own === null ? "ctx->weights" : `(ctx->weights != NULL ? ctx->weights : ${own})`;
      head.push(`const unsigned char *const weights = (const unsigned char *)${from};`);
    }
    if (mentions(text, "prepared")) {
      head.push(`if (ctx->prepared == NULL) ${err("PREPARED")}`);
      head.push("unsigned char *const prepared = (unsigned char *)ctx->prepared;");
    }
    if (mentions(text, "bad")) head.push("int bad = 0;");
    if (usesHeap) {
      const up = product(
        { s: `(${size} + ${this.#c.align - 1}) / ${this.#c.align}`, p: bind.mul },
        "*",
        atom(String(this.#c.align)),
      );
      head.push(
        "/* The heap: what the plan leaves of the arena. */",
        `const int64_t room = ctx->arena_bytes < INT64_C(${sizeLimit}) ? (int64_t)ctx->arena_bytes : INT64_C(${sizeLimit});`,
        `int64_t top = ${api.arena === null ? up.s : Math.ceil(api.arena / this.#c.align) * this.#c.align};`,
      );
    }
    for (const s of this.#locals.values()) {
      head.push(`int64_t ${s.text} = 0;`);
      if (!mentions(text, s.text)) head.push(`(void)${s.text};`);
    }
    const signature = run
      ? `int ${api.name}_run(const ${api.name}_ctx *ctx, const ${api.name}_in *in, ${api.name}_out *out) {`
      : `int ${api.name}_init(const ${api.name}_ctx *ctx) {`;
    return [signature, ...head.map((l) => `  ${l}`), text, `  return ${api.upper}_OK;`, "}"]
      .filter((l) => l !== "")
      .join("\n");
  }

  // ---- names and places ------------------------------------------------------------------------------------------------
  /** Finds the slots and the symbols that the actions bind. */
  #declare(actions: readonly Action<Call>[]): void {
    const { program, symbols } = this.#c;
    const known = new Map(program.symbols.map((s) => [s.id, s]));
    const local = (id: SymbolId, min: number, max: number | null): void => {
      if (this.#locals.has(id) || symbols.has(id)) return;
      const s = known.get(id);
      const low = Math.min(min, s?.min ?? min);
      const high = Math.max(max ?? maxDim, s?.max ?? max ?? maxDim);
      this.#locals.set(id, { text: this.#names.fresh(id), low, high });
    };
    const slot = (id: BufferId): void => {
      assert(rootOf(program, id).root === id, "a buffer with memory of its own is swapped or reserved");
      if (this.#slots.has(id)) return;
      const pointer = this.#names.fresh(this.#buffer(id).name);
      const heap = program.plan.offsets.get(id)?.region === "heap";
      this.#slots.set(id, { pointer, bytes: heap ? this.#names.fresh(`${pointer}_bytes`) : null });
    };
    for (const [id, { region, offset }] of program.plan.offsets)
      if (region === "heap" && offset.kind === "sym") this.#heap.set(offset.id, id);
    const visit = (a: Action<Call>): void => {
      switch (a.kind) {
        case "dim":
          if (this.#heap.has(a.id)) slot(this.#heap.get(a.id)!);
          else local(a.id, a.min, a.max);
          break;
        case "reserve":
          slot(a.buffer);
          break;
        case "if":
          for (const x of [...a.then, ...a.otherwise]) visit(x);
          break;
        case "loop":
          local(a.counter, 0, maxDim);
          for (const pair of a.swap) for (const id of pair) slot(id);
          for (const x of a.body) visit(x);
          break;
        case "call":
        case "release":
          break;
      }
    };
    for (const a of actions) visit(a);
  }
  #slotLines(): string[] {
    const text = this.#lines.join("\n");
    return [...this.#slots].flatMap(([id, s]) => {
      const heap = s.bytes !== null;
      const start = heap ? "NULL" : `(unsigned char *)${tight(this.#region(id, D.zero), bind.unary)}`;
      const lines = [`  unsigned char *${s.pointer} = ${start};`];
      // A buffer that a dim binds to another's memory has no size of its own.
      if (heap && mentions(text, s.bytes!)) lines.push(`  int64_t ${s.bytes} = 0;`);
      return lines;
    });
  }
  /** For init, which sees no inputs: the smallest dims; what it computes does not depend on them. */
  #smallestDims(): string[] {
    const { program, symbols, api } = this.#c;
    const set = program.bindings.map((b) => `${symbols.text(b.id, "p.")!.text} = ${b.min};`);
    return [...set, `const int status = lay_out(&p);`, `if (status != ${api.upper}_OK) return status;`];
  }

  #symbol(id: SymbolId): SymbolText {
    const heap = this.#heap.get(id);
    if (heap !== undefined) {
      const { pointer } = must(this.#slots.get(heap), "a heap buffer's slot");
      return { text: `(${pointer} - ${arenaBase})`, low: 0, high: sizeLimit };
    }
    return this.#locals.get(id) ?? must(this.#c.symbols.text(id, "p."), `symbol ${id}`);
  }
  #dim(d: Dim): Code {
    return printDim(d, (id) => this.#symbol(id)).code;
  }
  #buffer(id: BufferId): Buffer {
    return must(this.#c.program.buffers.get(id), `buffer ${id}`);
  }
  #field(buffer: BufferId): string | null {
    const home = homeField(this.#c.api, buffer);
    return home && `${home.side}->${home.field.name}`;
  }

  /** A pointer to bytes (or to a caller's elements, when nothing is added) of a root buffer, by its place in the plan. */
  #region(root: BufferId, more: Dim): Code {
    const place = must(this.#c.program.plan.offsets.get(root), `place of buffer ${this.#buffer(root).name}`);
    assert(place.region !== "heap", `heap buffer ${this.#buffer(root).name} is used before it is reserved`);
    if (place.region === "io") {
      const field = must(this.#field(root), `caller's memory for buffer ${this.#buffer(root).name}`);
      return this.#plus(more === D.zero ? atom(field) : castTo("unsigned char *", atom(field)), more);
    }
    return this.#plus(atom(place.region), D.add(place.offset, more));
  }
  #plus(base: Code, offset: Dim): Code {
    return offset === D.zero ? base : sum(base, "+", this.#dim(offset));
  }
  #address(id: BufferId): Code {
    const { root, offset } = rootOf(this.#c.program, id);
    const slot = this.#slots.get(root);
    return slot ? this.#plus(atom(slot.pointer), offset) : this.#region(root, offset);
  }
  #bytes(b: Buffer): Dim {
    return D.mul(D.product(b.shape), D.int(elementBytes(b.dtype)));
  }

  // ---- inputs and outputs ------------------------------------------------------------------------------------------------
  /** Whether a port's field is the memory of its buffer, in the plan. */
  #isHome(f: Field, side: "in" | "out"): boolean {
    const place = this.#c.program.plan.offsets.get(f.buffer.id);
    return (
      place?.region === "io" && f.buffer.storage?.root == null && this.#field(f.buffer.id) === `${side}->${f.name}`
    );
  }
  #copy(to: string, from: string, b: Buffer): void {
    const bytes = this.#dim(this.#bytes(b)).s;
    this.#line(`if (${bytes} > 0) IG_LIB(memcpy)(${to}, ${from}, (size_t)(${bytes}));`);
  }
  #copyInputs(): void {
    for (const f of this.#c.api.inputs)
      if (!this.#isHome(f, "in")) this.#copy(this.#address(f.buffer.id).s, `in->${f.name}`, f.buffer);
    this.#dimLines(
      outputDims(this.#c.api, (id) => this.#c.symbols.text(id, "p.")),
      "DIMS",
    );
  }
  #dimLines(lines: readonly string[], error: string): void {
    for (const l of lines) this.#line(l);
    if (lines.some((l) => mentions(l, "bad"))) this.#line(`if (bad) ${this.#fail(error)}`);
  }
  #finishOutputs(): void {
    for (const f of this.#c.api.outputs) {
      const from = this.#address(f.buffer.id);
      if (f.dynamic) {
        this.#line(`out->${f.name} = ${castTo(`const ${f.type} *`, from).s};`);
        this.#dimLines(
          fieldDims(f, (id) => this.#symbol(id)),
          "RANGE",
        );
        continue;
      }
      if (!this.#isHome(f, "out")) this.#copy(`out->${f.name}`, from.s, f.buffer);
      else if (this.#slots.has(f.buffer.id)) {
        this.#line(`if (${from.s} != (unsigned char *)out->${f.name}) {`);
        this.#block(() => this.#copy(`out->${f.name}`, from.s, f.buffer));
        this.#line("}");
      }
    }
  }

  // ---- actions -----------------------------------------------------------------------------------------------------------
  #line(text: string): void {
    const indent = "  ".repeat(this.#depth);
    this.#lines.push(indent + text.replaceAll("\n", `\n${indent}`));
  }
  #block(f: () => void): void {
    this.#depth++;
    f();
    this.#depth--;
  }
  #actions(actions: readonly Action<Call>[]): void {
    for (const a of actions) this.#action(a);
  }
  #fail(e: string): string {
    return `return ${this.#c.api.upper}_ERR_${e};`;
  }
  #isTrue(id: BufferId): string {
    return `*${castTo("const ig_bool *", this.#address(id)).s}`;
  }

  #action(a: Action<Call>): void {
    switch (a.kind) {
      case "call":
        this.#call(a.call);
        break;
      case "dim":
        this.#bind(a);
        break;
      case "reserve":
        this.#reserve(a.buffer);
        break;
      case "release": {
        const s = must(this.#slots.get(a.buffer), "a reserved buffer");
        this.#line(`if (${s.pointer} + ${s.bytes} == arena + top) top -= ${s.bytes};`);
        break;
      }
      case "if":
        this.#line(`if (${this.#isTrue(a.cond)}) {`);
        this.#block(() => this.#actions(a.then));
        if (a.otherwise.length > 0) {
          this.#line("} else {");
          this.#block(() => this.#actions(a.otherwise));
        }
        this.#line("}");
        break;
      case "loop":
        this.#loop(a);
        break;
      default:
        unreachable(a, "action");
    }
  }

  #call(c: Call): void {
    const k = must(this.#c.kernels.get(c.kernel), `kernel ${c.kernel}`);
    const args = c.args.map((id, n) => castTo(k.paramTypes[n]!, this.#address(id)).s);
    const numbers = [...c.scalars, ...c.dims].map((d, n) => {
      const known = D.known(d);
      return known !== null && known >= -maxDim && known <= maxDim
        ? String(known)
        : castTo(k.scalarTypes[n]!, this.#dim(d)).s;
    });
    const all = [...(k.parallel ? ["ctx"] : []), ...args, ...numbers];
    this.#line(wrapped(`${k.name}(`, all, ");", "    "));
  }

  #bind(a: Extract<Action<Call>, { kind: "dim" }>): void {
    const source = (): string => {
      if ("value" in a.from) return this.#dim(a.from.value).s;
      const b = this.#buffer(a.from.buffer);
      const cells = castTo(`const ${cellName(b.dtype)} *`, this.#address(b.id)).s;
      return `(${cells})[${this.#dim(a.from.index).s}]`;
    };
    const assign = (text: string, declaration = ""): void => {
      this.#line(`${declaration}${text} = ${source()};`);
      const bad = this.#lines.at(-1)!.includes("&bad") ? "bad || " : "";
      this.#line(`if (${bad}${text} < ${a.min} || ${text} > ${a.max ?? "INT32_MAX"}) ${this.#fail("RANGE")}`);
    };
    const heap = this.#heap.get(a.id);
    if (heap === undefined) {
      assign(this.#symbol(a.id).text);
      return;
    }
    this.#line("{");
    this.#block(() => {
      assign("value", "const int64_t ");
      this.#line(`${must(this.#slots.get(heap), "a slot").pointer} = ${arenaBase} + value;`);
    });
    this.#line("}");
  }

  #reserve(id: BufferId): void {
    const s = must(this.#slots.get(id), "a reserved buffer");
    const b = this.#buffer(id);
    const align = D.int(this.#c.align);
    const bytes = b.storage ? D.mul(b.storage.size, D.int(elementBytes(b.dtype))) : this.#bytes(b);
    const rounded = D.mul(D.floordiv(D.add(bytes, D.sub(align, D.one)), align), align);
    this.#line(`${s.bytes} = ${this.#dim(rounded).s};`);
    const bad = this.#lines.at(-1)!.includes("&bad");
    this.#line(`if (${bad ? "bad || " : ""}${s.bytes} > room - top) {`);
    if (this.#kind === "run") {
      const needed = `(size_t)top + (size_t)${s.bytes}`;
      this.#line(`  out->arena_needed = ${bad ? `bad ? SIZE_MAX : ${needed}` : needed};`);
    }
    this.#line(`  ${this.#fail("ARENA")}`);
    this.#line("}");
    this.#line(`${s.pointer} = arena + top;`);
    this.#line(`top += ${s.bytes};`);
  }

  #loop(a: Extract<Action<Call>, { kind: "loop" }>): void {
    const counter = this.#symbol(a.counter).text;
    this.#line("{");
    this.#block(() => {
      const tests: string[] = [];
      if (a.trip !== null) {
        const trip = this.#names.fresh("trip");
        this.#line(`const int64_t ${trip} = ${this.#dim(a.trip).s};`);
        tests.push(`${counter} < ${trip}`);
      }
      if (a.cond !== null) tests.push(this.#isTrue(a.cond));
      this.#line(`for (${counter} = 0; ${tests.join(" && ")}; ${counter}++) {`);
      this.#block(() => {
        this.#actions(a.body);
        for (const [x, y] of a.swap) {
          const [sx, sy] = [must(this.#slots.get(x), "a slot"), must(this.#slots.get(y), "a slot")];
          this.#line(
            `{ unsigned char *const swap = ${sx.pointer}; ${sx.pointer} = ${sy.pointer}; ${sy.pointer} = swap; }`,
          );
          assert((sx.bytes === null) === (sy.bytes === null), "a swap within one region");
          if (sx.bytes !== null)
            this.#line(`{ const int64_t swap = ${sx.bytes}; ${sx.bytes} = ${sy.bytes}; ${sy.bytes} = swap; }`);
        }
      });
      this.#line("}");
    });
    this.#line("}");
  }
}

/** The function for a program's run or init actions. */
export function printBody(c: Context, kind: "run" | "init", actions: readonly Action<Call>[]): string {
  return new BodyPrinter(c, kind).print(actions);
}
