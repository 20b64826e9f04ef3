// The memory plan in C: which symbols there are, the functions that read and check dims, and where buffers lie.
import { assert, must } from "../../src/base/assert.ts";
import type { BufferId, SymbolId } from "../../src/base/brand.ts";
import type { Dim } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import type { Program } from "../../src/ir/program.ts";
import { elementBytes } from "../../src/ir/types.ts";
import { castTo } from "./code.ts";
import type { SymbolText } from "./dims.ts";
import { printDim, sizeLimit } from "./dims.ts";
import type { Interface } from "./interface.ts";
import { hasShapes } from "./interface.ts";
import { Names, quoted } from "./names.ts";

const maxDim = 2147483647;
const seed = "$seed" as SymbolId;

/** The symbols whose values follow from the dims of the inputs: members of `struct plan`, and how bodies name them. */
export class PlanSymbols {
  readonly #members: Map<SymbolId, { readonly member: string; readonly low: number; readonly high: number }> =
    new Map();
  readonly members: string[] = [];
  readonly #names: Names = new Names(["arena"]);

  constructor(p: Program) {
    for (const b of p.bindings) this.add(b.id, b.min, b.max ?? maxDim);
  }
  add(id: SymbolId, low: number, high: number): string {
    const member = this.#names.fresh(id);
    this.#members.set(id, { member, low, high });
    this.members.push(member);
    return member;
  }
  has(id: SymbolId): boolean {
    return this.#members.has(id);
  }
  /** A symbol seen through `via`, "p->" or "p."; the seed as a number. Null when it is none of these. */
  text(id: SymbolId, via: string): SymbolText | null {
    if (id === seed) return { text: "(int32_t)ctx->seed", low: -maxDim - 1, high: maxDim };
    const m = this.#members.get(id);
    return m ? { text: via + m.member, low: m.low, high: m.high } : null;
  }
}

/** The functions before NAME_run that read dims, lay out the arena, and answer callers. */
export function printPlan(p: Program, i: Interface, symbols: PlanSymbols): string {
  if (p.bindings.length === 0) {
    assert(p.plan.lets.length === 0 && i.arena !== null, "a plan that depends on nothing is constant");
    return "";
  }
  const { name, upper } = i;
  const symbol = (id: SymbolId): SymbolText => must(symbols.text(id, "p->"), `symbol ${id} in the plan`);
  const read: string[] = [];
  const sources = new Set<string>();
  for (const b of p.bindings) {
    const f = must(i.inputs[b.input], "input of a binding");
    const m = symbol(b.id);
    read.push(`  ${m.text} = in->${must(f.dims, `dims of ${f.port}`)}[${b.axis}];`);
    const limits = [`${m.text} < ${b.min}`];
    if (b.max !== null) limits.push(`${m.text} > ${b.max}`);
    read.push(`  if (${limits.join(" || ")}) return ${upper}_ERR_DIMS;`);
    sources.add(`${b.input} ${b.axis}`);
  }
  i.inputs.forEach((f, at) => {
    if (f.dims === null) return;
    f.buffer.shape.forEach((d, axis) => {
      if (sources.has(`${at} ${axis}`)) return;
      read.push(`  if (in->${f.dims}[${axis}] != ${printDim(d, symbol).code.s}) return ${upper}_ERR_DIMS;`);
    });
  });
  for (const r of p.requires)
    read.push(
      `  if (${printDim(r.zero, symbol).code.s} != 0) return ${upper}_ERR_DIMS; /* ${quoted(r.why).slice(1, -1)} */`,
    );

  const layout: string[] = [];
  const define = (id: SymbolId, d: Dim): void => {
    const value = printDim(d, symbol);
    const fits = value.low >= -sizeLimit && value.high <= sizeLimit;
    const m = symbols.add(id, Math.max(value.low, -sizeLimit), Math.min(value.high, sizeLimit));
    layout.push(`  p->${m} = ${value.code.s};`);
    if (!fits) layout.push(`  if (p->${m} < -INT64_C(${sizeLimit}) || p->${m} > INT64_C(${sizeLimit})) bad = 1;`);
  };
  for (const l of p.plan.lets) define(l.id, l.value);
  layout.push(`  p->arena = ${printDim(p.plan.sizes.arena, symbol).code.s};`);
  const badness = (lines: readonly string[]): string[] =>
    lines.some((l) => l.includes("bad")) ? ["  int bad = 0;"] : [];
  const out = [
    "/* What follows from the dims of the inputs: dims, byte offsets and the size of the arena. */",
    "struct plan {",
    `  int64_t ${[...symbols.members, "arena"].join(", ")};`,
    "};",
    "static int lay_out(struct plan *p) {",
    ...badness(layout),
    ...layout,
    `  if (${badness(layout).length > 0 ? "bad || " : ""}p->arena < 0 || (uint64_t)p->arena > PTRDIFF_MAX) return ${upper}_ERR_DIMS;`,
    `  return ${upper}_OK;`,
    "}",
    `static int read_dims(const ${name}_in *in, struct plan *p) {`,
    ...badness(read),
    ...read,
    ...(badness(read).length > 0 ? [`  if (bad) return ${upper}_ERR_DIMS;`] : []),
    "  return lay_out(p);",
    "}",
  ];
  if (i.arena === null) {
    out.push(
      "",
      `size_t ${name}_arena_bytes(const ${name}_in *in) {`,
      "  struct plan p;",
      `  if (read_dims(in, &p) != ${upper}_OK) return 0;`,
      "  return p.arena > 64 ? (size_t)p.arena : 64;",
      "}",
    );
  }
  if (hasShapes(i)) {
    const dims = outputDims(i, (id) => symbols.text(id, "p.")).map((l) => `  ${l}`);
    out.push(
      "",
      `int ${name}_shapes(const ${name}_in *in, ${name}_out *out) {`,
      "  struct plan p;",
      ...badness(dims),
      "  const int status = read_dims(in, &p);",
      `  if (status != ${upper}_OK) return status;`,
      ...dims,
      badness(dims).length > 0 ? `  return bad ? ${upper}_ERR_DIMS : ${upper}_OK;` : `  return ${upper}_OK;`,
      "}",
    );
  }
  return out.join("\n");
}

/** Statements that set the dims of outputs which depend on the dims of inputs alone; they set `bad` when one is too large. */
export function outputDims(i: Interface, symbol: (id: SymbolId) => SymbolText | null): string[] {
  return i.outputs.flatMap((f) => (f.dynamic ? [] : fieldDims(f, symbol)));
}
export function fieldDims(f: Interface["outputs"][number], symbol: (id: SymbolId) => SymbolText | null): string[] {
  if (f.dims === null) return [];
  return f.buffer.shape.map((d, axis) => {
    const { code, high } = printDim(d, (id) => must(symbol(id), `symbol ${id} of ${f.port}`));
    const to = `out->${f.dims}[${axis}]`;
    if (high <= maxDim) return `${to} = ${d.kind === "int" ? code.s : castTo("int32_t", code).s};`;
    return `{ const int64_t value = ${code.s}; ${to} = (int32_t)value; if (value < 0 || value > INT32_MAX) bad = 1; }`;
  });
}

/** The buffer whose memory `id` is in the end, and the byte offset of element 0 in it. */
export function rootOf(p: Program, id: BufferId): { readonly root: BufferId; readonly offset: Dim } {
  const terms: Dim[] = [];
  for (let at = id; ; ) {
    const b = must(p.buffers.get(at), `buffer ${at}`);
    const root = b.storage?.root ?? null;
    // An offset counts from the start of the root's memory, wherever element 0 of the root lies in it.
    if (b.storage && (root !== null || at === id)) terms.push(D.mul(b.storage.offset, D.int(elementBytes(b.dtype))));
    if (root === null) return { root: at, offset: D.add(D.zero, ...terms) };
    at = root;
  }
}
