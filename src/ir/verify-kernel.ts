import type { BufferId, SymbolId } from "../base/brand.ts";
import { known, zero } from "./dim.ts";
import { bodiesOf, type For, type Kernel, type LoopExpr, type Stmt, type Store } from "./loops.ts";
import { type AnyExpr, index32, operandsOf, type VarTypes, withVars } from "./print-expr.ts";
import type { Buffer } from "./storage.ts";
import { type DType, elementBytes, isInt, widened } from "./types.ts";
import { ExprVerifier, Place } from "./verify-expr.ts";

/** scheduled: a schedule has made the loops; final: what a printer gets. */
export type KernelStage = "scheduled" | "final";

const memoryTypes: ReadonlySet<DType> = new Set<DType>(
  "f64 f32 i64 u64 i32 u32 i16 u16 i8 u8 bool".split(" ") as DType[],
);
const registerTypes: ReadonlySet<DType> = new Set<DType>("f32 f64 i32 u32 i64 u64 bool".split(" ") as DType[]);
/** Cells that vectors load and store, a lane of 32 bits each. */
const narrowTypes: ReadonlySet<DType> = new Set<DType>(["i8", "u8", "i16", "u16"]);
const laneTypes: ReadonlySet<DType> = new Set<DType>(["f32", "i32", "u32"]);
const bitcasts: ReadonlySet<string> = new Set("f32 i32,f32 u32,f64 i64,f64 u64,i32 u32,i64 u64".split(","));

/**
 * Throws InternalError unless names are unique and bound, loads and stores fit their buffers, and operands agree; for "final",
 * unless every rule at the top of loops.ts holds as well.
 */
export function verifyKernel(k: Kernel, stage: KernelStage): void {
  for (const body of bodiesOf(k)) new KernelVerifier({ ...k, body }, stage).run();
}
/** The same for a kernel within a T program, which may read the program's symbols without listing them as its dims. */
export function verifyInnerKernel(k: Kernel, bound: Iterable<SymbolId>): void {
  new KernelVerifier(k, "scheduled", bound).run();
}

class KernelVerifier {
  private readonly k: Kernel;
  private readonly final: boolean;
  private readonly place: Place;
  private readonly buffers: Map<BufferId, Buffer> = new Map();
  private readonly vars: VarTypes = new Map();
  private readonly pointers: Map<string, BufferId> = new Map();
  private readonly names: Set<string> = new Set();
  private readonly ids: Set<BufferId> = new Set();
  /** Names that a grid's extent may use. */
  private readonly parameters: Set<string> = new Set();
  /** Register buffers that a store has met, in the order of the text. */
  private readonly stored: Set<BufferId> = new Set();

  constructor(k: Kernel, stage: KernelStage, bound: Iterable<SymbolId> = []) {
    this.k = k;
    this.final = stage === "final";
    for (const s of bound) this.vars.set(s, index32);
    this.place = new Place(`kernel "${k.name}"`);
  }

  run(): void {
    const { k, place } = this;
    for (const p of k.params) this.declare(p, place.in(`parameter "${p.name}"`));
    for (const p of k.params) {
      place.require(
        !["register", "stack", "workgroup"].includes(p.scope),
        `parameter "${p.name}" has scope ${p.scope}`,
      );
      if (this.final) this.parameterStorage(p);
    }
    for (const s of k.scalars) {
      this.name(s.name, "scalar");
      if (this.final) place.require(registerTypes.has(s.dtype), `scalar "${s.name}" is ${s.dtype}`);
      this.vars.set(s.name, { dtype: s.dtype, lanes: 1 });
      this.parameters.add(s.name);
    }
    for (const d of k.dims) {
      this.name(d, "dim");
      this.vars.set(d, index32);
      this.parameters.add(d);
    }
    for (const [a, b] of k.mayOverlap)
      place.require(
        a !== b && k.params[a] !== undefined && k.params[b] !== undefined,
        `mayOverlap lists the pair ${a}, ${b}`,
      );
    this.stmt(k.body, place);
  }

  private parameterStorage(p: Buffer): void {
    this.place.require(
      p.storage === null || (p.storage.root === null && p.storage.offset === zero),
      `the storage of parameter "${p.name}" has a root or an offset: a call passes the full address`,
    );
  }
  private declare(b: Buffer, at: Place): void {
    at.require(!this.ids.has(b.id), `has the id ${b.id} of another buffer`);
    if (this.final) at.require(memoryTypes.has(b.dtype), `has elements of ${b.dtype}`);
    this.ids.add(b.id);
    this.buffers.set(b.id, b);
  }
  private name(name: string, what: string): void {
    this.place.require(!this.names.has(name), `the name "${name}" of a ${what} is taken`);
    this.names.add(name);
  }

  private verifier(at: Place): ExprVerifier {
    const scope = { buffers: this.buffers, vars: this.vars, pointers: this.pointers, flat: true };
    const v: ExprVerifier = new ExprVerifier(at, scope, (e, lanes) => {
      if (e.kind === "reduce") at.fail("a reduce in a kernel");
      if (this.final) this.finalExpr(e, lanes, v, at);
    });
    return v;
  }

  private stmt(s: Stmt, place: Place): void {
    switch (s.kind) {
      case "for":
        this.loop(s, place);
        return;
      case "store":
        this.store(s, place);
        return;
      case "let": {
        const at = place.in(`let "${s.name}"`);
        this.name(s.name, "let");
        const lanes = this.verifier(at).expr(s.value);
        if (this.final) at.require(lanes === 1 || s.value.dtype !== "bool", "holds a mask");
        this.bind([[s.name, { dtype: s.value.dtype, lanes }]], () => this.stmt(s.body, place));
        return;
      }
      case "if":
        this.verifier(place.in("if")).scalar(s.cond, "bool", "the condition");
        this.stmt(s.then, place.in("if"));
        if (s.otherwise) this.stmt(s.otherwise, place.in("else"));
        return;
      case "while":
        this.verifier(place.in("while")).scalar(s.cond, "bool", "the condition");
        this.stmt(s.body, place.in("while"));
        return;
      case "seq":
        for (const x of s.body) this.stmt(x, place);
        return;
      case "alloc":
        this.alloc(s.buffer, s.body, place);
        return;
      case "barrier":
    }
  }
  private bind(more: Parameters<typeof withVars>[1], f: () => void): void {
    withVars(this.vars, more, f);
  }

  private loop(s: For, place: Place): void {
    const at = place.in(`loop "${s.v}"`);
    const v = this.verifier(at);
    v.scalar(s.extent, "i32", "the extent");
    at.require(Number.isInteger(s.step) && s.step >= 1, `has step ${s.step}`);
    this.name(s.v, "loop");
    for (const p of s.pointers ?? []) {
      this.name(p.name, "pointer");
      at.require(
        this.buffers.has(p.buffer),
        `pointer "${p.name}" is into buffer #${p.buffer}, which is not declared here`,
      );
      v.scalar(p.init, "i32", `the start of pointer "${p.name}"`);
      v.scalar(p.step, "i32", `the step of pointer "${p.name}"`);
    }
    if (this.final) {
      at.require(s.loop !== "unroll" && s.loop !== "vector", `is still ${s.loop}`);
      if (s.loop.startsWith("thread.")) at.require(s.extent.kind === "const", "the workgroup size is not constant");
      if (s.loop.startsWith("block."))
        at.require(this.ofParameters(s.extent), () => `the grid depends on more than dims: ${v.show(s.extent)}`);
    }
    for (const p of s.pointers ?? []) this.pointers.set(p.name, p.buffer);
    this.bind([[s.v, index32]], () => this.stmt(s.body, at));
    for (const p of s.pointers ?? []) this.pointers.delete(p.name);
  }
  private ofParameters(e: AnyExpr): boolean {
    if (e.kind === "load") return false;
    return e.kind === "var" ? this.parameters.has(e.name) : operandsOf(e).every((x) => this.ofParameters(x));
  }

  private alloc(b: Buffer, body: Stmt, place: Place): void {
    const at = place.in(`alloc "${b.name}"`);
    this.declare(b, at);
    this.name(b.name, "local buffer");
    if (this.final) {
      at.require(b.scope === "register" || b.scope === "workgroup", `has scope ${b.scope}`);
      const lanes = b.shape[0] && known(b.shape[0]);
      if (b.scope === "register")
        at.require(
          b.shape.length === 0 || (b.shape.length === 1 && (lanes ?? 0) > 1),
          "is neither a scalar nor a vector",
        );
      if (b.scope === "workgroup")
        at.require(
          b.shape.every((d) => known(d) !== null),
          "has no constant size",
        );
    } else at.require(["stack", "register", "workgroup"].includes(b.scope), `has scope ${b.scope}`);
    this.stmt(body, place);
    this.buffers.delete(b.id);
  }

  private store(s: Store, place: Place): void {
    const buffer = this.buffers.get(s.buffer);
    const at = place.in(`store to "${buffer?.name ?? `#${s.buffer}`}"`);
    const v = this.verifier(at);
    const lanes = v.index(s.buffer, s.index, s.via);
    const width = v.expr(s.value);
    const dtype = buffer!.dtype;
    at.require(s.dtype === dtype, `is marked ${s.dtype} but the buffer ${dtype}`);
    at.require(storable(s.value.dtype, dtype), () => `${v.show(s.value)} is ${s.value.dtype}, but the buffer ${dtype}`);
    at.require(lanes === width, `stores ${width} lanes at ${lanes} places`);
    if (!this.final) return;
    at.require(width === 1 || laneTypes.has(s.value.dtype), `stores a vector of ${s.value.dtype}`);
    this.finalIndex(buffer!, s.index, s.via, lanes, at);
    if (buffer!.scope === "register") this.stored.add(s.buffer);
  }

  /** The rules of a printer for one index. */
  private finalIndex(b: Buffer, index: readonly LoopExpr[], via: string | undefined, lanes: number, at: Place): void {
    at.require(index.length === 1, `has ${index.length} indices into "${b.name}", not one linear one`);
    const e = index[0]!;
    const base = e.kind === "ramp" ? e.base : e;
    if (lanes > 1)
      at.require(e.kind === "ramp" && e.stride === 1, `a vector index into "${b.name}" is no ramp of stride 1`);
    if (via !== undefined) at.require(base.kind === "const", `an index relative to pointer "${via}" is not constant`);
    if (b.scope !== "register") return;
    const width = b.shape.length === 0 ? 1 : known(b.shape[0]!);
    const whole = base.kind === "const" && base.value === 0 && lanes === width && via === undefined;
    at.require(whole, `register "${b.name}" is not accessed as a whole`);
  }

  /** The rules of a printer for one node, whose operands have been checked. */
  private finalExpr(e: AnyExpr, lanes: number, v: ExprVerifier, at: Place): void {
    at.require(memoryTypes.has(e.dtype), () => `${v.show(e)} is ${e.dtype}`);
    if (e.kind === "unary" || e.kind === "binary" || e.kind === "mulAdd" || e.kind === "select") {
      for (const x of [e, ...operandsOf(e)])
        at.require(registerTypes.has(x.dtype), () => `${v.show(x)} in ${v.show(e)} is ${x.dtype}`);
    }
    if (e.kind === "bitcast") {
      const pair = [e.dtype, e.x.dtype];
      const listed = bitcasts.has(pair.join(" ")) || bitcasts.has(pair.reverse().join(" "));
      at.require(listed || e.dtype === e.x.dtype, () => `${v.show(e)} is a bitcast from ${e.x.dtype}`);
    }
    if (e.kind === "load") {
      const b = this.buffers.get(e.buffer)!;
      this.finalIndex(b, e.index as readonly LoopExpr[], e.via, lanes, at);
      if (b.scope === "register")
        at.require(this.stored.has(b.id), `register "${b.name}" is read before it is written`);
    }
    for (const x of operandsOf(e))
      if (x.dtype === "bool" && v.expr(x) > 1) at.require(takesMask(e, x), () => `${v.show(e)} uses a mask as a value`);
    if (lanes === 1) return;
    at.require(e.kind !== "table", "a table with a vector index");
    const mask = e.dtype === "bool" && (e.kind === "binary" || e.kind === "unary");
    const cells = e.kind === "load" && narrowTypes.has(e.dtype);
    at.require(mask || cells || laneTypes.has(e.dtype), () => `${v.show(e)} is a vector of ${e.dtype}`);
    for (const x of operandsOf(e))
      if (narrowTypes.has(x.dtype) && v.expr(x) > 1)
        at.require(e.kind === "cast", () => `${v.show(e)} uses a vector of ${x.dtype} as a value`);
    if (e.kind === "cast")
      at.require(
        [e.dtype, e.x.dtype].sort().join(" ") === "f32 i32" || (e.dtype === "i32" && narrowTypes.has(e.x.dtype)),
        () => `${v.show(e)} converts a vector of ${e.x.dtype} to ${e.dtype}`,
      );
  }
}

/** Whether `e` may have the vector comparison `x` as an operand. */
function takesMask(e: AnyExpr, x: AnyExpr): boolean {
  if (e.kind === "select") return e.cond === x && e.a !== x && e.b !== x;
  if (e.kind === "unary") return e.op === "not";
  return e.kind === "binary" && (e.op === "and" || e.op === "or" || e.op === "xor");
}
/** Whether a value of one dtype may be stored to a buffer of another: to a narrow type, which truncates or encodes, from a wide one. */
function storable(value: DType, cell: DType): boolean {
  if (value === cell || value === widened(cell)) return true;
  return isInt(value) && isInt(cell) && elementBytes(value) <= 4 && elementBytes(cell) < 4;
}
