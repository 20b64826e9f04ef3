// Kernels as JavaScript functions: byte addresses, then scalars, then dims. A pointer becomes an element index once, at the top.
import { assert, InternalError, unreachable } from "../../src/base/assert.ts";
import type { BufferId } from "../../src/base/brand.ts";
import type { For, Kernel, LoopExpr, Stmt } from "../../src/ir/loops.ts";
import type { Buffer } from "../../src/ir/storage.ts";
import type { DType } from "../../src/ir/types.ts";
import { elementBytes, is64 } from "../../src/ir/types.ts";
import type { Arithmetic } from "./arithmetic.ts";
import type { Module } from "./expr.ts";
import { Expressions, indent } from "./expr.ts";
import type { Names } from "./names.ts";
import type { Text } from "./text.ts";
import { addSmall, at, known, literal, logical, number, plain, prec, wrapped } from "./text.ts";

/** The lines of `function id(...) { ... }`. */
export function printKernel(k: Kernel, id: string, names: Names, arithmetic: Arithmetic, module: Module): string[] {
  return new KernelPrinter(names, new Expressions(arithmetic, module)).print(k, id);
}

class KernelPrinter {
  readonly #names: Names;
  readonly #x: Expressions;
  constructor(names: Names, expressions: Expressions) {
    this.#names = names;
    this.#x = expressions;
  }

  print(k: Kernel, id: string): string[] {
    const params: string[] = [];
    const shifts: string[] = [];
    for (const buffer of k.params) {
      const p = this.#names.unique(buffer.name);
      this.#x.buffers.set(buffer.id, { buffer, id: p });
      params.push(p);
      const shift = Math.log2(elementBytes(buffer.dtype));
      if (shift > 0) shifts.push(`${p} >>>= ${shift};`);
    }
    for (const { name, dtype } of [...k.scalars, ...k.dims.map((d) => ({ name: d, dtype: "i32" as DType }))]) {
      const p = this.#names.unique(name);
      this.#x.variables.set(name, plain(p, prec.primary, dtype));
      params.push(p);
    }
    const body: string[] = [];
    if (shifts.length > 0) body.push(shifts.join(" "));
    this.#statement(k.body, body);
    return [`function ${id}(${params.join(", ")}) {`, ...indent(body), "}"];
  }

  #statement(s: Stmt, out: string[]): void {
    switch (s.kind) {
      case "seq":
        for (const x of s.body) this.#statement(x, out);
        return;
      case "for":
        this.#for(s, out);
        return;
      case "store":
        this.#store(s, out);
        return;
      case "let": {
        const value = settled(this.#x.print(s.value, out));
        const id = this.#names.unique(s.name);
        out.push(`const ${id} = ${value.text};`);
        this.#x.variables.set(s.name, { ...value, text: id, prec: prec.primary, stored: undefined });
        this.#statement(s.body, out);
        return;
      }
      case "if": {
        const cond = logical(this.#x.print(s.cond, out));
        out.push(`if (${cond.text}) {`, ...this.#block(s.then));
        if (s.otherwise !== undefined) out.push("} else {", ...this.#block(s.otherwise));
        out.push("}");
        return;
      }
      case "while": {
        const before: string[] = [];
        const cond = logical(this.#x.print(s.cond, before));
        if (before.length === 0) out.push(`while (${cond.text}) {`, ...this.#block(s.body), "}");
        else
          out.push(
            "for (;;) {",
            ...indent([...before, `if (!${at(cond, prec.unary)}) break;`]),
            ...this.#block(s.body),
            "}",
          );
        return;
      }
      case "alloc":
        this.#alloc(s, out);
        return;
      case "barrier":
        throw new InternalError("js: a barrier outside a GPU");
      default:
        unreachable(s, "js statement");
    }
  }
  #block(s: Stmt): string[] {
    const lines: string[] = [];
    this.#statement(s, lines);
    return indent(lines);
  }

  /** Registers start with their first values when those are stored at once. */
  #alloc(s: Extract<Stmt, { kind: "alloc" }>, out: string[]): void {
    const waiting = new Map<BufferId, Buffer>();
    let body: Stmt = s;
    for (; body.kind === "alloc"; body = body.body) {
      const { buffer } = body;
      assert(buffer.scope === "register" && buffer.shape.length === 0, `js: ${buffer.name} is no scalar register`);
      this.#x.buffers.set(buffer.id, { buffer, id: this.#names.unique(buffer.name) });
      waiting.set(buffer.id, buffer);
    }
    const list = body.kind === "seq" ? body.body : [body];
    let next = 0;
    for (; next < list.length; next++) {
      const first = list[next]!;
      if (first.kind !== "store" || !waiting.delete(first.buffer)) break;
      this.#store(first, out, "let ");
    }
    for (const { id, dtype } of waiting.values())
      out.push(`let ${this.#x.buffers.get(id)!.id} = ${literal(dtype, 0).text};`);
    for (const rest of list.slice(next)) this.#statement(rest, out);
  }
  #registerValue(dtype: DType, value: LoopExpr, out: string[]): string {
    const x = number(this.#x.print(value, out));
    return settled({ ...x, dtype }).text;
  }

  /** `declare` is "let " for a register's first value. */
  #store(s: Extract<Stmt, { kind: "store" }>, out: string[], declare: "let " | "" = ""): void {
    assert(s.index.length === 1, "js: an index that is not linear");
    const buffer = this.#x.buffers.get(s.buffer)?.buffer;
    assert(buffer !== undefined, `js: a store to an unknown buffer ${s.buffer}`);
    if (buffer.scope === "register") {
      const { id } = this.#x.buffers.get(s.buffer)!;
      out.push(`${declare}${id} = ${this.#registerValue(buffer.dtype, s.value, out)};`);
      return;
    }
    const value = number(this.#x.print(s.value, out));
    const cell = this.#x.cell(s.buffer, s.index[0]!, s.via, out);
    const narrow = elementBytes(buffer.dtype) <= elementBytes(value.dtype);
    const stored = is64(value.dtype)
      ? wrapped(value).text
      : narrow
        ? (value.stored ?? value.text)
        : wrapped(value).text;
    if (s.atomic === undefined) out.push(`${cell} = ${stored};`);
    else if (s.atomic === "add") out.push(`${cell} += ${stored};`);
    else out.push(`if (${cell} < ${at(wrapped(value), prec.shift)}) ${cell} = ${wrapped(value).text};`);
  }

  #for(s: For, out: string[]): void {
    if (!["serial", "parallel", "apart"].includes(s.loop)) throw new InternalError(`js: a ${s.loop} loop`);
    const extent = this.#limit(s.extent, s.v, out);
    const id = this.#names.unique(s.v);
    this.#x.variables.set(s.v, plain(id, prec.primary, "i32", { lo: 0, hi: Math.max(0, extent.hi - 1) }));
    const starts = [`${id} = 0`];
    const steps = [s.step === 1 ? `${id}++` : `${id} += ${s.step}`];
    for (const p of s.pointers ?? []) {
      const base = this.#x.buffers.get(p.buffer);
      assert(base !== undefined, `js: a pointer into an unknown buffer ${p.buffer}`);
      const start = addSmall(plain(base.id, prec.primary, "i32", { lo: 0, hi: 2 ** 32 }), this.#x.print(p.init, out));
      const step = settled(this.#x.print(p.step, out));
      const pid = this.#names.unique(p.name);
      this.#x.pointers.set(p.name, pid);
      starts.push(`${pid} = ${start.text}`);
      const by = known(step);
      steps.push(by === 1 ? `${pid}++` : by !== null && by < 0 ? `${pid} -= ${-by}` : `${pid} += ${step.text}`);
    }
    out.push(
      `for (let ${starts.join(", ")}; ${id} < ${at(extent, prec.shift)}; ${steps.join(", ")}) {`,
      ...this.#block(s.body),
      "}",
    );
  }
  /** The extent as a constant or a variable: it is evaluated once. */
  #limit(extent: LoopExpr, v: string, out: string[]): Text {
    const x = settled(this.#x.print(extent, out));
    if (known(x) !== null || extent.kind === "var") return x;
    const id = this.#names.unique(`${v}_end`);
    out.push(`const ${id} = ${x.text};`);
    return { ...x, text: id, prec: prec.primary };
  }
}

/** A value fit for a variable: in range, no -0 of an integer, bool as a number. */
function settled(x: Text): Text {
  return wrapped(number(x), true);
}
