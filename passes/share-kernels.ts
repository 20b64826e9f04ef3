// Equal kernels are one: alike but for the names of loops and the buffers that they are called with.
import type { BufferId } from "../src/base/brand.ts";
import * as D from "../src/ir/dim.ts";
import type { Kernel, LoopExpr, Stmt } from "../src/ir/loops.ts";
import type { Action, Call } from "../src/ir/program.ts";
import { mapCalls, mapExpr, mapStmt, visitStmt } from "../src/ir/rewrite.ts";
import type { Buffer } from "../src/ir/storage.ts";
import type { CallSizes } from "./loops/apart.ts";
import { typical } from "./loops/work.ts";

/** Buffers in canonical numbering, and equal kernels merged, and finished; names k00_stem. `shares`: which buffers have memory in common. */
export function shareKernels(
  kernels: readonly Kernel[],
  actions: readonly Action<Call>[],
  shares: (a: BufferId, b: BufferId) => boolean,
  finish: (k: Kernel, calls: readonly CallSizes[]) => Kernel,
): { kernels: Kernel[]; actions: Action<Call>[] } {
  const names = new Names();
  const byText = new Map<string, number>();
  const out: Kernel[] = [];
  const calls: CallSizes[][] = [];
  const share = (call: Call): Call => {
    const k = kernels[call.kernel]!;
    const overlap: [number, number][] = [];
    call.args.forEach((a, i) =>
      call.args.forEach((b, j) => {
        if (i < j && a !== b && shares(a, b)) overlap.push([i, j]);
      }),
    );
    const canonical = canonicalKernel({ ...k, mayOverlap: overlap }, names);
    const text = names.of(unnamed(canonical));
    let n = byText.get(text);
    if (n === undefined) {
      n = out.length;
      byText.set(text, n);
      out.push({ ...canonical, name: `k${String(n).padStart(2, "0")}_${k.name}` });
      calls.push([]);
    }
    calls[n]!.push(sizesIn(k, call));
    return { ...call, kernel: n };
  };
  const shared = mapCalls(actions, share);
  return { kernels: out.map((k, n) => finish(k, calls[n]!)), actions: shared };
}
/** What the dims of a kernel are in a call; symbols of the program are taken for something in between. */
function sizesIn(k: Kernel, call: Call): CallSizes {
  const values = new Map(k.dims.map((d, i) => [d, D.evaluate(call.dims[i]!, () => typical)]));
  return (id) => values.get(id) ?? typical;
}
/** Names that are equal for what is equal. An object that occurs often, as shared subexpressions do, is looked at once. */
class Names {
  private readonly byContent = new Map<string, string>();
  private readonly byIdentity = new WeakMap<object, string>();
  of(x: unknown): string {
    if (typeof x === "string") return JSON.stringify(x);
    if (typeof x === "bigint") return `${x}n`;
    if (typeof x !== "object" || x === null) return Object.is(x, -0) ? "-0" : String(x);
    const old = this.byIdentity.get(x);
    if (old !== undefined) return old;
    const content = Array.isArray(x)
      ? `[${x.map((e) => this.of(e)).join()}]`
      : `{${Object.entries(x)
          .filter(([, e]) => e !== undefined)
          .map(([k, e]) => `${k}:${this.of(e)}`)
          .join()}}`;
    let name = this.byContent.get(content);
    if (name === undefined) this.byContent.set(content, (name = `#${this.byContent.size}`));
    this.byIdentity.set(x, name);
    return name;
  }
}
/** Loops and lets named by the order in which they occur. */
function unnamed(k: Kernel): Kernel {
  const renamed = (body: Stmt): Stmt => {
    const names = new Map<string, string>();
    const name = (x: string): string => names.get(x) ?? x;
    visitStmt(body, (s) => {
      if (s.kind === "for") names.set(s.v, `%${names.size}`);
      else if (s.kind === "let") names.set(s.name, `%${names.size}`);
      else if (s.kind === "alloc") names.set(s.buffer.name, `%${names.size}`);
    });
    const memo = new Map<LoopExpr, LoopExpr>();
    return mapStmt(
      body,
      (s) => {
        if (s.kind === "for") return { ...s, v: name(s.v) };
        if (s.kind === "alloc") return { ...s, buffer: { ...s.buffer, name: name(s.buffer.name) } };
        return s.kind === "let" ? { ...s, name: name(s.name) } : s;
      },
      (e) => mapExpr<LoopExpr>(e, (x) => (x.kind === "var" ? { ...x, name: name(x.name) } : x), memo),
    );
  };
  const { variants, ...rest } = k;
  return {
    ...rest,
    name: "",
    body: renamed(k.body),
    ...(variants ? { variants: variants.map((x) => ({ ...x, body: renamed(x.body) })) } : {}),
  };
}
/** Buffers numbered in the order in which they occur; without the variants that are equal to the body. */
function canonicalKernel(k: Kernel, names: Names): Kernel {
  const ids = new Map<BufferId, BufferId>();
  const params = k.params.map((p, i) => {
    ids.set(p.id, i as BufferId);
    return canonicalBuffer(p, i as BufferId, `p${i}`);
  });
  const main = canonicalBody(k.body, ids, params.length);
  const { variants = [], ...rest } = k;
  const own = names.of(main.body);
  let next = main.next;
  const different = variants.flatMap(({ lanes, body }) => {
    if (names.of(canonicalBody(body, ids, params.length).body) === own) return [];
    // The ids of all of a kernel's buffers differ.
    const canonical = canonicalBody(body, ids, next);
    next = canonical.next;
    return [{ lanes, body: canonical.body }];
  });
  return { ...rest, params, body: main.body, ...(different.length > 0 ? { variants: different } : {}) };
}
function canonicalBuffer(b: Buffer, id: BufferId, name: string): Buffer {
  return { ...b, id, name, scope: b.scope === "register" || b.scope === "workgroup" ? b.scope : "arena" };
}
/** A body whose buffers are `params` and, from `first` on, its own. */
function canonicalBody(
  body: Stmt,
  params: ReadonlyMap<BufferId, BufferId>,
  first: number,
): { readonly body: Stmt; readonly next: number } {
  const ids = new Map(params);
  let next = first;
  const id = (b: BufferId): BufferId => {
    let n = ids.get(b);
    if (n === undefined) ids.set(b, (n = next++ as BufferId));
    return n;
  };
  const memo = new Map<LoopExpr, LoopExpr>();
  const expr = (e: LoopExpr): LoopExpr =>
    mapExpr<LoopExpr>(e, (x) => (x.kind === "load" ? { ...x, buffer: id(x.buffer) } : x), memo);
  const made = mapStmt(
    body,
    (s) => {
      if (s.kind === "store") return { ...s, buffer: id(s.buffer) };
      return s.kind === "alloc" ? { ...s, buffer: canonicalBuffer(s.buffer, id(s.buffer.id), s.buffer.name) } : s;
    },
    expr,
  );
  return { body: made, next };
}
