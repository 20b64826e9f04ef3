// Reads L. The grammar stands at the top of print.ts.
import type { SymbolId } from "../base/brand.ts";
import type { Reader } from "../base/text.ts";
import type { Kernel, KernelVariant, LoopExpr, LoopKind, Pointer, Stmt, Store } from "./loops.ts";
import { lanesOf } from "./loops.ts";
import { ExprReader } from "./parse-expr.ts";
import { BufferScope, readDType, readExtent } from "./parse-names.ts";
import { index32, withVars } from "./print-expr.ts";

export function readKernel(r: Reader): Kernel {
  r.expect("kernel");
  r.expect("@");
  const name = r.name("a kernel");
  const buffers = new BufferScope();
  r.expect("(");
  const params = r.list(")", () => buffers.declare(r)).map((d) => d.finish());
  const scalars = readList(r, "scalars", () => {
    const scalar = r.name("a scalar");
    r.expect(":");
    return { name: scalar, dtype: readDType(r) };
  });
  const dims = readList(r, "dims", () => r.name("a dim") as SymbolId);
  const side = (): number => {
    if (r.peek().kind === "number") return r.int();
    const { id } = buffers.ref(r);
    return params.findIndex((p) => p.id === id);
  };
  const mayOverlap: [number, number][] = [];
  if (r.accept("overlap"))
    do {
      r.expect("(");
      const a = side();
      r.expect(",");
      mayOverlap.push([a, side()]);
      r.expect(")");
    } while (r.accept(","));
  const reader = new StatementReader(r, buffers);
  const bound = scalars.map((s) => [s.name, { dtype: s.dtype, lanes: 1 }] as const);
  const readBody = (): Stmt => {
    r.expect("{");
    return withVars(reader.exprs.vars, bound, () => reader.block());
  };
  const body = readBody();
  const variants: KernelVariant[] = [];
  while (r.accept("lanes")) variants.push({ lanes: r.int(), body: readBody() });
  return { name, params, scalars, dims, mayOverlap, body, ...(variants.length > 0 ? { variants } : {}) };
}
function readList<T>(r: Reader, keyword: string, item: () => T): readonly T[] {
  if (!r.accept(keyword)) return [];
  r.expect("(");
  return r.list(")", item);
}

const loopKinds: Readonly<Record<LoopKind, string>> = {
  serial: "for",
  unroll: "unroll",
  vector: "vector",
  parallel: "parallel",
  apart: "apart",
  "block.x": "block.x",
  "block.y": "block.y",
  "block.z": "block.z",
  "thread.x": "thread.x",
  "thread.y": "thread.y",
  "thread.z": "thread.z",
};
const loopWords = Object.entries(loopKinds) as readonly (readonly [LoopKind, string])[];

class StatementReader {
  readonly exprs: ExprReader;
  private readonly r: Reader;
  private readonly buffers: BufferScope;

  constructor(r: Reader, buffers: BufferScope) {
    this.r = r;
    this.buffers = buffers;
    this.exprs = new ExprReader(r, buffers, "loops");
  }

  /** Statements up to the closing brace, which is taken: one stands for itself. */
  block(): Stmt {
    const body = this.items();
    return body.length === 1 ? body[0]! : { kind: "seq", body };
  }
  private items(): readonly Stmt[] {
    const body: Stmt[] = [];
    for (;;) {
      this.exprs.readDefs();
      if (this.r.accept("}")) return body;
      const s = this.statement();
      body.push(s.statement);
      if (s.closed) return body;
    }
  }
  /** closed: it took the rest of the block and its brace. */
  private statement(): { readonly statement: Stmt; readonly closed: boolean } {
    const r: Reader = this.r;
    if (r.accept("let")) {
      const name = r.name("a variable");
      r.expect("=");
      const value = this.exprs.loop(null);
      const type = { dtype: value.dtype, lanes: lanesOf(value) };
      const { body, closed } = this.rest(() => withVars(this.exprs.vars, [[name, type]], () => this.block()));
      return { statement: { kind: "let", name, value, body }, closed };
    }
    if (r.accept("alloc")) {
      return this.buffers.inside(() => {
        const buffer = this.buffers.declare(r).finish();
        const { body, closed } = this.rest(() => this.block());
        return { statement: { kind: "alloc", buffer, body }, closed };
      });
    }
    return { statement: this.plain(), closed: false };
  }
  /** The body of a let or an alloc: in braces, or the rest of the block. */
  private rest(block: () => Stmt): { readonly body: Stmt; readonly closed: boolean } {
    const closed = !this.r.accept("{");
    return { body: block(), closed };
  }
  private braced(): Stmt {
    this.r.expect("{");
    return this.block();
  }

  private plain(): Stmt {
    const r: Reader = this.r;
    const loop = loopWords.find(([, word]) => r.at(word))?.[0];
    if (loop) return this.loop(loop);
    if (r.accept("if")) {
      const cond = this.exprs.loop("bool");
      const then = this.braced();
      return { kind: "if", cond, then, ...(r.accept("else") ? { otherwise: this.braced() } : {}) };
    }
    if (r.accept("while")) {
      const cond = this.exprs.loop("bool");
      return { kind: "while", cond, body: this.braced() };
    }
    if (r.accept("seq")) {
      r.expect("{");
      return { kind: "seq", body: this.items() };
    }
    if (r.accept("barrier")) return { kind: "barrier" };
    return this.store();
  }

  private loop(loop: LoopKind): Stmt {
    const r: Reader = this.r;
    r.next();
    const v = r.name("a variable");
    r.expect("in");
    const extent = readExtent(r, () => this.exprs.loop("i32"));
    const step = r.accept("step") ? r.int() : 1;
    const pointers: Pointer[] = [];
    const pointed = r.accept("with");
    if (pointed && !r.at("{"))
      do pointers.push(this.pointer());
      while (r.accept(","));
    const bound = [v, ...pointers.map((p) => p.name)].map((n) => [n, index32] as const);
    const body = withVars(this.exprs.vars, bound, () => this.braced());
    return { kind: "for", v, extent, step, loop, ...(pointed ? { pointers } : {}), body };
  }
  private pointer(): Pointer {
    const r: Reader = this.r;
    const name = r.name("a pointer");
    r.expect("=");
    const buffer = this.buffers.ref(r).id;
    r.expect("[");
    const init = this.exprs.loop("i32");
    r.expect("]");
    r.expect("step");
    return { name, buffer, init, step: this.exprs.loop("i32") };
  }

  private store(): Store {
    const r: Reader = this.r;
    const atomic = (["add", "max"] as const).find((a) => r.at(`atomic.${a}`));
    if (atomic) r.next();
    if (!atomic && r.peek().kind !== "string" && r.peek().kind !== "word" && r.peek().kind !== "tag")
      r.fail("expected a statement");
    const buffer = this.buffers.ref(r);
    const { index, via } = this.exprs.index();
    const dtype = r.accept(":") ? readDType(r) : buffer.dtype;
    r.expect("=");
    const value = this.exprs.loop(dtype);
    return {
      kind: "store",
      buffer: buffer.id,
      dtype,
      index: index as readonly LoopExpr[],
      value,
      ...(via === null ? {} : { via }),
      ...(atomic ? { atomic } : {}),
    };
  }
}
