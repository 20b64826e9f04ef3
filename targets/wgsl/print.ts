// Kernels as WGSL compute shaders. Each invocation runs the kernel's loops; a `block` loop is its workgroup's index and a
// `thread` loop its index in the workgroup. A store that stands outside of a block or thread loop which the kernel has elsewhere
// happens once, in invocation 0 of that axis.
import { assert, InternalError, must, unreachable } from "../../src/base/assert.ts";
import type { BufferId } from "../../src/base/brand.ts";
import type { Dim } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import type { Expr } from "../../src/ir/expr.ts";
import { toDim } from "../../src/ir/expr.ts";
import type { For, Kernel, LoopExpr, Stmt, Store } from "../../src/ir/loops.ts";
import { exprsOf, visitExpr, visitStmt } from "../../src/ir/rewrite.ts";
import type { Buffer } from "../../src/ir/storage.ts";
import type { DType } from "../../src/ir/types.ts";
import type { Place, Scope } from "./expr.ts";
import { address, natural, printExpr, reg, sharedSubtrees, stored, toWord } from "./expr.ts";
import type { Helper } from "./helpers.ts";

/** A kernel's shader. `grid` is the number of workgroups along x, y, z over the kernel's dims and scalars, each at least 1. */
export type Shader = {
  readonly entry: string;
  readonly text: string;
  readonly grid: readonly [Dim, Dim, Dim];
  /** The grid may be dispatched in any two-dimensional shape with at least as many workgroups: the shader counts them itself. */
  readonly folded: boolean;
};

/** Words of a call's arguments: an offset (in words) for each parameter, then dims, then scalars. */
export function argumentWords(k: Kernel): number {
  return k.params.length + k.dims.length + k.scalars.length;
}

type Axis = "x" | "y" | "z";
const axes: readonly Axis[] = ["x", "y", "z"];
/** Limits of WebGPU that every adapter grants. */
const maxGrid = 65535;
const maxWorkgroup = { x: 256, y: 256, z: 64, all: 256 } as const;

type Level = "block" | "thread";
function levelOf(loop: For["loop"]): { level: Level; axis: Axis } | null {
  const [level, axis] = loop.split(".");
  return level === "block" || level === "thread" ? { level, axis: axis as Axis } : null;
}

/** A letter, digits and single underscores; the caller adds a suffix that makes it unique and no keyword. */
export function identifier(name: string): string {
  return (
    name
      .replace(/[^A-Za-z0-9]+/g, "_")
      .replace(/^[_0-9]+/, "")
      .replace(/_$/, "") || "v"
  );
}

/**
 * Prints a kernel as an entry point. `bindings[i]` is the storage variable that holds parameter i.
 */
export function printKernel(k: Kernel, bindings: readonly string[], entry: string, use: (h: Helper) => string): Shader {
  return new Printer(k, bindings, entry, use).shader();
}

class Printer {
  private readonly lines: string[] = [];
  private readonly globals: string[] = [];
  private readonly k: Kernel;
  private readonly entry: string;
  private readonly names = new Map<string, string>();
  private readonly naturals = new Set<string>();
  private readonly buffers = new Map<BufferId, { readonly buffer: Buffer; readonly place: Place }>();
  private readonly tables = new Map<string, string>();
  private readonly scope: Scope;
  private readonly grid: Record<Axis, Dim>;
  private readonly workgroup: Record<Axis, number>;
  private readonly used: ReadonlySet<string>;
  private readonly folded: boolean;
  private readonly atomic: ReadonlySet<BufferId>;
  /** Values of the integer lets that are Dims: a pass may have moved an extent into one. */
  private readonly lets = new Map<string, Dim>();
  /** Parallel axes ("block.x") whose loops are open. */
  private readonly open = new Set<string>();
  private indent = 1;
  private count = 0;
  private readonly barrier: string;

  constructor(k: Kernel, bindings: readonly string[], entry: string, use: (h: Helper) => string) {
    this.k = k;
    this.entry = entry;
    this.scope = {
      buffer: (id) => must(this.buffers.get(id), `buffer ${id} of kernel ${k.name}`),
      variable: (name) => must(this.names.get(name), `variable ${name} of kernel ${k.name}`),
      natural: (name) => this.naturals.has(name),
      table: (dtype, values) => this.table(dtype, values),
      use,
      named: new Map(),
    };
    const facts = this.survey();
    this.grid = facts.grid;
    this.workgroup = facts.workgroup;
    this.used = facts.used;
    this.atomic = facts.atomic;
    this.folded = axes.some((a) => (D.known(this.grid[a]) ?? Number.POSITIVE_INFINITY) > maxGrid);
    // A barrier orders the workgroup's storage accesses too when the kernel reads what it writes.
    this.barrier = facts.readsItsWrites ? "storageBarrier();\nworkgroupBarrier();" : "workgroupBarrier();";
    const word = (i: number): string => `args[${i >> 2}].${"xyzw"[i & 3]}`;
    const atomicBindings = new Set(k.params.flatMap((p, i) => (this.atomic.has(p.id) ? [bindings[i]!] : [])));
    let at = 0;
    k.params.forEach((p, i) => {
      const atomic = atomicBindings.has(bindings[i]!);
      const name = atomic ? `${bindings[i]}_atomic` : bindings[i]!;
      const offset = this.fresh(p.name);
      this.emit(`let ${offset} = ${word(at++)};`);
      this.buffers.set(p.id, { buffer: p, place: { kind: "storage", name, offset, atomic } });
    });
    for (const d of k.dims) {
      this.names.set(d, this.fresh(d));
      this.emit(`let ${this.names.get(d)} = ${word(at++)};`);
    }
    for (const s of k.scalars) {
      this.names.set(s.name, this.fresh(s.name));
      const r = reg(s.dtype);
      this.emit(
        `let ${this.names.get(s.name)} = ${r === "i32" ? word(at++) : r === "bool" ? `${word(at++)} != 0` : `bitcast<${r}>(${word(at++)})`};`,
      );
    }
  }

  shader(): Shader {
    this.indices();
    this.stmt(this.k.body);
    const w = this.workgroup;
    const size = w.z > 1 ? `${w.x}, ${w.y}, ${w.z}` : w.y > 1 ? `${w.x}, ${w.y}` : `${w.x}`;
    const builtins: string[] = [];
    if (this.has("block")) builtins.push("@builtin(workgroup_id) group: vec3<u32>");
    if (this.has("block") && this.folded) builtins.push("@builtin(num_workgroups) groups: vec3<u32>");
    if (this.has("thread")) builtins.push("@builtin(local_invocation_id) local: vec3<u32>");
    const text = [
      ...this.globals,
      `@compute @workgroup_size(${size})`,
      `fn ${this.entry}(${builtins.join(", ")}) {`,
      ...this.lines,
      "}",
      "",
    ].join("\n");
    return { entry: this.entry, text, grid: [this.grid.x, this.grid.y, this.grid.z], folded: this.folded };
  }

  private has(level: Level): boolean {
    return axes.some((a) => this.used.has(`${level}.${a}`));
  }

  /** What the body needs of the dispatch: the most iterations of any loop of each axis. */
  private survey(): {
    grid: Record<Axis, Dim>;
    workgroup: Record<Axis, number>;
    used: Set<string>;
    atomic: Set<BufferId>;
    readsItsWrites: boolean;
  } {
    const grid: Record<Axis, Dim> = { x: D.one, y: D.one, z: D.one };
    const workgroup: Record<Axis, number> = { x: 1, y: 1, z: 1 };
    const used = new Set<string>();
    const atomic = new Set<BufferId>();
    const reads = new Set<BufferId>();
    const writes = new Set<BufferId>();
    const seen = new Set<unknown>();
    visitStmt(this.k.body, (s) => {
      for (const e of exprsOf(s))
        visitExpr(
          e,
          (x) => {
            if (x.kind === "load") reads.add(x.buffer);
          },
          seen,
        );
      if (s.kind === "store") {
        writes.add(s.buffer);
        if (s.atomic !== undefined) atomic.add(s.buffer);
      }
      if (s.kind === "let") {
        const value = this.dimOf(s.value);
        if (value !== null) this.lets.set(s.name, value);
      }
      if (s.kind !== "for") return;
      const at = levelOf(s.loop);
      if (at === null) return;
      used.add(s.loop);
      const count = this.countOf(s);
      if (at.level === "block") grid[at.axis] = D.max(D.one, grid[at.axis], count);
      else {
        const threads = must(D.known(count), `constant extent of ${s.loop} in ${this.k.name}`);
        workgroup[at.axis] = Math.max(workgroup[at.axis], threads);
      }
    });
    const { x, y, z } = workgroup;
    const fits = x <= maxWorkgroup.x && y <= maxWorkgroup.y && z <= maxWorkgroup.z && x * y * z <= maxWorkgroup.all;
    assert(fits, `kernel ${this.k.name}: a workgroup of ${x}x${y}x${z}`);
    const shared = (p: Buffer): boolean => reads.has(p.id) && writes.has(p.id);
    return {
      grid,
      workgroup,
      used,
      atomic,
      readsItsWrites: this.k.params.some(shared) || this.k.mayOverlap.length > 0,
    };
  }

  /** An i32 expression as a Dim over the kernel's dims and scalars, or null. */
  private dimOf(e: LoopExpr): Dim | null {
    // How ofDim writes a broadcast: select(a == 1, b, a).
    const broadcast = (x: Expr): Dim | null => {
      if (x.kind !== "select" || x.cond.kind !== "binary" || x.cond.op !== "eq") return null;
      const [a, b] = [toDim(x.b, broadcast), toDim(x.a, broadcast)];
      const test = toDim(x.cond.a, broadcast) === a && toDim(x.cond.b, broadcast) === D.one;
      return a && b && test ? D.broadcast(a, b) : null;
    };
    const d = toDim(e, broadcast);
    if (d === null) return null;
    const made = D.substitute(d, (id) => this.lets.get(id) ?? null);
    const { dims, scalars } = this.k;
    const known = (id: string): boolean => dims.some((x) => x === id) || scalars.some((x) => x.name === id);
    return [...D.symbolsOf(made)].every(known) ? made : null;
  }
  /** The number of iterations of a block or thread loop. */
  private countOf(s: For): Dim {
    const extent = must(this.dimOf(s.extent), `an extent of dims for ${s.loop} in ${this.k.name}`);
    return D.ceildiv(extent, D.int(s.step));
  }

  /** The variables of the block and thread axes. */
  private indices(): void {
    const blocks = axes.filter((a) => this.used.has(`block.${a}`));
    if (this.folded) {
      const extents = blocks.map((a) => {
        this.emit(`let grid_${a} = ${this.dim(this.grid[a])};`);
        return `grid_${a}`;
      });
      this.emit("let block = i32(group.x + group.y * groups.x);");
      this.emit(`if (block >= ${extents.join(" * ")}) { return; }`);
      blocks.forEach((a, i) => {
        const inner = extents.slice(0, i);
        const q =
          inner.length === 0 ? "block" : inner.length === 1 ? `block / ${inner[0]}` : `block / (${inner.join(" * ")})`;
        this.emit(
          `let block_${a} = ${i === blocks.length - 1 ? q : inner.length === 0 ? `${q} % ${extents[i]}` : `(${q}) % ${extents[i]}`};`,
        );
      });
    } else for (const a of blocks) this.emit(`let block_${a} = i32(group.${a});`);
    for (const a of axes) if (this.used.has(`thread.${a}`)) this.emit(`let thread_${a} = i32(local.${a});`);
  }

  private dim(d: Dim): string {
    switch (d.kind) {
      case "int":
        return String(d.value);
      case "sym":
        return this.scope.variable(d.id);
      case "add":
        return `(${d.terms.map((t) => this.dim(t)).join(" + ")})`;
      case "mul":
        return `(${d.terms.map((t) => this.dim(t)).join(" * ")})`;
      case "max":
      case "min":
        return d.terms.map((t) => this.dim(t)).reduce((a, b) => `${d.kind}(${a}, ${b})`);
      case "broadcast":
        return d.terms.map((t) => this.dim(t)).reduce((a, b) => `select(${a}, ${b}, ${a} == 1)`);
      case "floordiv":
        return `${this.scope.use("floordiv_i")}(${this.dim(d.a)}, ${this.dim(d.by)})`;
      case "mod":
        return `${this.scope.use("floormod_i")}(${this.dim(d.a)}, ${this.dim(d.by)})`;
      default:
        return unreachable(d, "dim");
    }
  }

  private fresh(stem: string): string {
    return `${identifier(stem)}_${this.count++}`;
  }
  private emit(text: string): void {
    for (const line of text.split("\n")) this.lines.push("  ".repeat(this.indent) + line);
  }

  private table(dtype: DType, values: readonly number[]): string {
    const key = `${reg(dtype)}:${values.map((v) => (Object.is(v, -0) ? "-0" : v)).join()}`;
    let name = this.tables.get(key);
    if (name === undefined) {
      name = `${this.entry}_table${this.tables.size}`;
      this.tables.set(key, name);
      this.globals.push(
        `const ${name} = array<u32, ${values.length}>(${values.map((v) => tableWord(v, dtype)).join(", ")});`,
      );
    }
    return name;
  }

  /** Names the subexpressions that occur more than once in the expressions of one statement, and prints them with those names. */
  private printAll(...es: readonly LoopExpr[]): { scope: Scope; texts: string[] } {
    const named = new Map<LoopExpr, string>();
    const scope: Scope = { ...this.scope, named };
    for (const e of sharedSubtrees(es)) {
      const text = printExpr(e, scope);
      const name = this.fresh("t");
      this.emit(`let ${name}: ${reg(e.dtype)} = ${text};`);
      named.set(e, name);
    }
    return { scope, texts: es.map((e) => printExpr(e, scope)) };
  }

  private block(head: string, body: Stmt, tail = "}"): void {
    this.emit(`${head} {`);
    this.indent++;
    this.stmt(body);
    this.indent--;
    this.emit(tail);
  }

  private stmt(s: Stmt): void {
    switch (s.kind) {
      case "seq":
        for (const x of s.body) this.stmt(x);
        return;
      case "barrier":
        this.emit(this.barrier);
        return;
      case "let": {
        const [text] = this.printAll(s.value).texts;
        const name = this.fresh(s.name);
        this.emit(`let ${name}: ${reg(s.value.dtype)} = ${text};`);
        this.names.set(s.name, name);
        if (natural(s.value, this.scope)) this.naturals.add(s.name);
        this.stmt(s.body);
        return;
      }
      case "if": {
        const [cond] = this.printAll(s.cond).texts;
        this.block(`if ${cond}`, s.then, s.otherwise ? "} else {" : "}");
        if (!s.otherwise) return;
        this.indent++;
        this.stmt(s.otherwise);
        this.indent--;
        this.emit("}");
        return;
      }
      case "while": {
        this.emit("loop {");
        this.indent++;
        const [cond] = this.printAll(s.cond).texts;
        this.emit(`if !(${cond}) { break; }`);
        this.stmt(s.body);
        this.indent--;
        this.emit("}");
        return;
      }
      case "alloc":
        this.alloc(s.buffer);
        this.stmt(s.body);
        return;
      case "store": {
        const guard = this.guard(s.buffer);
        if (guard === "") this.store(s);
        else {
          this.emit(`if (${guard}) {`);
          this.indent++;
          this.store(s);
          this.indent--;
          this.emit("}");
        }
        return;
      }
      case "for": {
        const at = levelOf(s.loop);
        if (at === null) this.serial(s);
        else this.parallel(s, at.level, at.axis);
        return;
      }
      default:
        unreachable(s, "statement");
    }
  }

  private serial(s: For): void {
    const [extent] = this.printAll(s.extent).texts;
    const v = this.fresh(s.v);
    let limit = extent!;
    if (s.extent.kind !== "const" && s.extent.kind !== "var") {
      limit = `${v}_end`;
      this.emit(`let ${limit} = ${extent};`);
    }
    this.names.set(s.v, v);
    this.naturals.add(s.v);
    const pointers = s.pointers ?? [];
    for (const p of pointers) {
      const { place } = this.scope.buffer(p.buffer);
      const [init] = this.printAll(p.init).texts;
      const name = this.fresh(p.name);
      this.emit(`var ${name}: i32 = ${place.kind === "storage" ? `${place.offset} + (${init})` : init};`);
      this.names.set(p.name, name);
    }
    this.emit(`for (var ${v} = 0i; ${v} < ${limit}; ${v} += ${s.step}i) {`);
    this.indent++;
    this.stmt(s.body);
    for (const p of pointers) {
      const [step] = this.printAll(p.step).texts;
      this.emit(`${this.names.get(p.name)} += ${step};`);
    }
    this.indent--;
    this.emit("}");
  }

  private parallel(s: For, level: Level, axis: Axis): void {
    const v = this.fresh(s.v);
    this.names.set(s.v, v);
    this.naturals.add(s.v);
    assert(!this.open.has(s.loop), `${s.loop} inside of itself in ${this.k.name}`);
    this.open.add(s.loop);
    const [extent] = this.printAll(s.extent).texts;
    this.emit(`let ${v} = ${level}_${axis}${s.step === 1 ? "" : ` * ${s.step}`};`);
    const count = D.known(this.countOf(s));
    const all = level === "block" ? D.known(this.grid[axis]) : this.workgroup[axis];
    if (count !== null && count === all) this.stmt(s.body);
    else this.block(`if (${v} < ${extent})`, s.body);
    this.open.delete(s.loop);
  }

  /** The condition under which a store outside of a parallel axis happens once, or "". */
  private guard(id: BufferId): string {
    const { place } = this.scope.buffer(id);
    if (place.kind === "scalar" || place.kind === "array") return "";
    const outside = [...this.used].filter((loop) => !this.open.has(loop)).sort();
    // Every workgroup has its own workgroup memory.
    return outside
      .filter((loop) => place.kind === "storage" || loop.startsWith("thread"))
      .map((loop) => `${loop.replace(".", "_")} == 0`)
      .join(" && ");
  }

  private alloc(b: Buffer): void {
    const size = must(
      D.known(b.storage ? b.storage.size : D.product(b.shape)),
      `constant size of ${b.name} in ${this.k.name}`,
    );
    switch (b.scope) {
      case "workgroup": {
        const name = `${this.entry}_${this.fresh(b.name)}`;
        const atomic = this.atomic.has(b.id);
        this.globals.push(`var<workgroup> ${name}: array<${atomic ? "atomic<u32>" : "u32"}, ${Math.max(1, size)}>;`);
        this.buffers.set(b.id, { buffer: b, place: { kind: "workgroup", name, atomic } });
        return;
      }
      case "register":
      case "stack": {
        const name = this.fresh(b.name);
        const scalar = b.shape.length === 0;
        const type = reg(b.dtype);
        this.emit(`var ${name}: ${scalar ? type : `array<${type}, ${Math.max(1, size)}>`};`);
        this.buffers.set(b.id, { buffer: b, place: { kind: scalar ? "scalar" : "array", name } });
        return;
      }
      default:
        throw new InternalError(`kernel ${this.k.name} allocates ${b.name} in ${b.scope}`);
    }
  }

  private store(s: Store): void {
    const { buffer, place } = this.scope.buffer(s.buffer);
    const { scope } = this.printAll(...s.index, s.value);
    if (place.kind === "scalar") {
      this.emit(`${place.name} = ${stored(s.value, buffer.dtype, scope)};`);
      return;
    }
    const cell = `${place.name}[${address(place, s, scope)}]`;
    if (place.kind === "array") this.emit(`${cell} = ${stored(s.value, buffer.dtype, scope)};`);
    else if (!place.atomic) this.emit(`${cell} = ${toWord(s.value, buffer.dtype, scope)};`);
    else if (s.atomic === undefined) this.emit(`atomicStore(&${cell}, ${toWord(s.value, buffer.dtype, scope)});`);
    else this.update(s.atomic, cell, buffer.dtype, stored(s.value, buffer.dtype, scope));
  }

  /** An atomic read-modify-write: WGSL has it for 32-bit integers; the rest is a compare-and-swap loop. */
  private update(op: "add" | "max", cell: string, dtype: DType, value: string): void {
    const r = reg(dtype);
    assert(dtype === "i32" || dtype === "u32" || dtype === "f32", `atomic ${op} of ${dtype}`);
    if (r !== "f32" && op === "add") {
      this.emit(`atomicAdd(&${cell}, bitcast<u32>(${value}));`);
      return;
    }
    if (r === "u32") {
      this.emit(`atomicMax(&${cell}, ${value});`);
      return;
    }
    const [add, seen] = [this.fresh("value"), this.fresh("seen")];
    const old = `bitcast<${r}>(${seen})`;
    const next =
      op === "add"
        ? `${old} + ${add}`
        : r === "f32"
          ? `${this.scope.use("max_f")}(${old}, ${add})`
          : `max(${old}, ${add})`;
    this.emit(`let ${add}: ${r} = ${value};`);
    this.emit(`var ${seen} = atomicLoad(&${cell});`);
    this.emit(`loop {`);
    this.emit(`  let swap = atomicCompareExchangeWeak(&${cell}, ${seen}, bitcast<u32>(${next}));`);
    this.emit(`  if (swap.exchanged) { break; }`);
    this.emit(`  ${seen} = swap.old_value;`);
    this.emit(`}`);
  }
}

const view = new DataView(new ArrayBuffer(4));
function tableWord(v: number, dtype: DType): string {
  const r = reg(dtype);
  if (r === "f32") view.setFloat32(0, v);
  else view.setInt32(0, r === "bool" ? Number(v !== 0) : v);
  return `${view.getUint32(0)}u`;
}
