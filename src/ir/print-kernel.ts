// L in text form. The grammar stands at the top of print.ts.
import { quoteName, type Writer } from "../base/text.ts";
import type { For, Kernel, LoopExpr, Stmt } from "./loops.ts";
import { bodiesOf, lanesOf } from "./loops.ts";
import { BufferNames, ExprPrinter, index32, nameText, type VarType, withVars } from "./print-expr.ts";
import type { Buffer } from "./storage.ts";

/** The longest header that stands on one line. */
export const lineWidth: number = 120;
/** `head(a, b)`, or one item a line where that is too long. */
export function wrapList(head: string, items: readonly string[], tail = ""): string {
  const line = `${head}(${items.join(", ")})${tail}`;
  return line.length <= lineWidth ? line : `${head}(\n${items.map((i) => `  ${i}`).join(",\n")}\n)${tail}`;
}

export function writeKernel(w: Writer, k: Kernel): void {
  const names = new BufferNames([...k.params, ...bodiesOf(k).flatMap(allocsIn)]);
  const params = k.params.map((b) => names.declare(b));
  let tail = "";
  if (k.scalars.length > 0) tail += ` scalars (${k.scalars.map((s) => `${nameText(s.name)}: ${s.dtype}`).join(", ")})`;
  if (k.dims.length > 0) tail += ` dims (${k.dims.map((d) => nameText(d)).join(", ")})`;
  if (k.mayOverlap.length > 0) {
    const side = (n: number): string => {
      const b = k.params[n];
      return b ? names.ref(b.id) : String(n);
    };
    tail += ` overlap ${k.mayOverlap.map(([a, b]) => `(${side(a)}, ${side(b)})`).join(", ")}`;
  }
  const printer = new StatementPrinter(w, names);
  const scalars = k.scalars.map((s) => [s.name, { dtype: s.dtype, lanes: 1 }] as const);
  const write = (body: Stmt) => (): void => printer.withVars(scalars, () => printer.block(body));
  const variants = (k.variants ?? []).map((x) => [`lanes ${x.lanes}`, write(x.body)] as const);
  w.block(wrapList(`kernel @${quoteName(k.name)}`, params, tail), write(k.body), "", variants);
}

function allocsIn(s: Stmt): Buffer[] {
  switch (s.kind) {
    case "for":
    case "let":
    case "while":
      return allocsIn(s.body);
    case "if":
      return [...allocsIn(s.then), ...(s.otherwise ? allocsIn(s.otherwise) : [])];
    case "seq":
      return s.body.flatMap(allocsIn);
    case "alloc":
      return [s.buffer, ...allocsIn(s.body)];
    case "store":
    case "barrier":
      return [];
  }
}

/**
 * A block of one statement is that statement; any other is a seq. A let or an alloc at the end of a block has the rest of the block
 * as its body; elsewhere its body is in braces.
 */
class StatementPrinter {
  private readonly w: Writer;
  private readonly names: BufferNames;
  private readonly exprs: ExprPrinter;

  constructor(w: Writer, names: BufferNames) {
    this.w = w;
    this.names = names;
    this.exprs = new ExprPrinter(names);
  }
  withVars(more: readonly (readonly [string, VarType])[], f: () => void): void {
    withVars(this.exprs.vars, more, f);
  }
  block(s: Stmt): void {
    if (s.kind === "seq" && s.body.length !== 1) this.items(s.body);
    else this.stmt(s, true);
  }
  private items(body: readonly Stmt[]): void {
    for (const [k, s] of body.entries()) this.stmt(s, k === body.length - 1);
  }

  private stmt(s: Stmt, last: boolean): void {
    const { w, exprs } = this;
    switch (s.kind) {
      case "for": {
        const head = exprs.statement(w, [s.extent, ...(s.pointers ?? []).flatMap((p) => [p.init, p.step])], () =>
          this.forHead(s),
        );
        const bound = [s.v, ...(s.pointers ?? []).map((p) => p.name)].map((n) => [n, index32] as const);
        w.block(head, () => this.withVars(bound, () => this.block(s.body)));
        return;
      }
      case "store": {
        const text = exprs.statement(w, [...s.index, s.value], () => {
          const buffer = this.names.get(s.buffer);
          const via = s.via === undefined ? "" : `${nameText(s.via)}: `;
          const place = `${this.names.ref(s.buffer)}[${via}${s.index.map((x) => exprs.expr(x, "i32")).join(", ")}]`;
          const dtype = buffer && buffer.dtype !== s.dtype ? `: ${s.dtype}` : "";
          return `${s.atomic ? `atomic.${s.atomic} ` : ""}${place}${dtype} = ${exprs.expr(s.value, s.dtype)}`;
        });
        w.line(text);
        return;
      }
      case "let": {
        const head = exprs.statement(w, [s.value], () => `let ${nameText(s.name)} = ${exprs.expr(s.value, null)}`);
        const type = { dtype: s.value.dtype, lanes: lanesOf(s.value) };
        this.rest(head, s.body, last, [[s.name, type]]);
        return;
      }
      case "alloc":
        this.rest(`alloc ${this.names.declare(s.buffer)}`, s.body, last, []);
        return;
      case "if": {
        const { then, otherwise } = s;
        const more = otherwise ? [["else", () => this.block(otherwise)] as const] : [];
        w.block(`if ${this.condition(s.cond)}`, () => this.block(then), "", more);
        return;
      }
      case "while":
        w.block(`while ${this.condition(s.cond)}`, () => this.block(s.body));
        return;
      case "seq":
        w.block("seq", () => this.items(s.body));
        return;
      case "barrier":
        w.line("barrier");
    }
  }
  /** A let or an alloc with its body. */
  private rest(head: string, body: Stmt, last: boolean, bound: readonly (readonly [string, VarType])[]): void {
    const inner = (): void => this.withVars(bound, () => this.block(body));
    if (last) {
      this.w.line(head);
      inner();
    } else this.w.block(head, inner);
  }
  private condition(cond: LoopExpr): string {
    return this.exprs.statement(this.w, [cond], () => this.exprs.expr(cond, "bool"));
  }
  private forHead(s: For): string {
    const keyword = s.loop === "serial" ? "for" : s.loop;
    const expr = (e: LoopExpr): string => this.exprs.expr(e, "i32");
    const head = `${keyword} ${nameText(s.v)} in 0..${expr(s.extent)}${s.step === 1 ? "" : ` step ${s.step}`}`;
    if (!s.pointers) return head;
    const pointers = s.pointers.map(
      (p) => `${nameText(p.name)} = ${this.names.ref(p.buffer)}[${expr(p.init)}] step ${expr(p.step)}`,
    );
    const line = `${head} with ${pointers.join(", ")}`.trimEnd();
    return line.length <= lineWidth ? line : `${head} with\n${pointers.map((p) => `    ${p}`).join(",\n")}`;
  }
}
