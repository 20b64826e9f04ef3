// Expressions of the loop IR as WebAssembly: names, memory, and which operation stands where (arithmetic.ts composes them).
import { assert, InternalError, must } from "../../src/base/assert.ts";
import type { BufferId } from "../../src/base/brand.ts";
import type { Select } from "../../src/ir/expr.ts";
import type { LoopExpr } from "../../src/ir/loops.ts";
import { lanesOf } from "../../src/ir/loops.ts";
import { children } from "../../src/ir/rewrite.ts";
import type { Buffer } from "../../src/ir/storage.ts";
import type { DType } from "../../src/ir/types.ts";
import { elementBytes, is64, tensorOf } from "../../src/ir/types.ts";
import type { Operand } from "./arithmetic.ts";
import * as A from "./arithmetic.ts";
import type { Frame } from "./frame.ts";
import { nonNegative, termsOf } from "./index-terms.ts";
import type { Class } from "./intrinsics.ts";
import * as I from "./intrinsics.ts";
import type { Module, Ref, ValType, Wasm } from "./module.ts";

type LoadExpr = Extract<LoopExpr, { kind: "load" }>;
/** What a name stands for: a local, or an expression that is as cheap as one. */
export type Binding =
  | { readonly kind: "local"; readonly index: number; readonly nonNegative: boolean }
  | { readonly kind: "alias"; readonly to: LoopExpr };
/** local: holds the address of a parameter's memory, or the value of a register buffer. */
export type Memory = { readonly buffer: Buffer; readonly local: number };
/** A moving pointer: a local holding a byte address. direct: its offsets may be immediates (see `displace`). */
export type Moving = { readonly local: number; readonly direct: boolean };
export type Address = { readonly ptr: Ref; readonly offset: number };

/** No parameter lies below this address. */
const lowestAddress = 256;

export class Expressions {
  readonly names: Map<string, Binding> = new Map();
  readonly memory: Map<BufferId, Memory> = new Map();
  readonly pointers: Map<string, Moving> = new Map();
  readonly frame: Frame;
  protected readonly w: Wasm;
  protected readonly m: Module;
  private readonly loads = new Map<LoopExpr, boolean>();
  private readonly signs = new Map<LoopExpr, boolean>();
  /** Nodes of the expressions at hand that stand in more than one place, and the locals of those that have been evaluated. */
  private shared: ReadonlySet<LoopExpr> = new Set();
  private evaluated = new Map<LoopExpr, number>();

  constructor(frame: Frame) {
    this.frame = frame;
    this.w = frame.w;
    this.m = frame.w.m;
  }

  /** Builds code from expressions, each node of which is evaluated once however often it occurs in them. */
  within<T>(roots: readonly LoopExpr[], build: () => T): T {
    this.shared = repeated(roots);
    const result = build();
    for (const local of this.evaluated.values()) this.frame.give(local);
    this.evaluated.clear();
    this.shared = new Set();
    return result;
  }
  private once(e: LoopExpr, build: (e: LoopExpr) => Ref): Ref {
    if (!this.shared.has(e)) return build(e);
    const old = this.evaluated.get(e);
    if (old !== undefined) return this.frame.get(old);
    const value = build(e);
    const local = this.frame.take(this.type(e));
    this.evaluated.set(e, local);
    return this.frame.tee(local, value);
  }
  /** Code that may not run: what it evaluates is not known after it. */
  private maybe(build: () => Ref): Ref {
    const before = new Set(this.evaluated.keys());
    const result = build();
    for (const [e, local] of this.evaluated) {
      if (before.has(e)) continue;
      this.evaluated.delete(e);
      this.frame.give(local);
    }
    return result;
  }

  /** A value in the register that `let` and register buffers keep it in. */
  value(e: LoopExpr): Ref {
    return lanesOf(e) === 1 ? this.scalar(e) : this.vector(e);
  }
  type(e: LoopExpr): ValType {
    return lanesOf(e) === 1 ? I.valType(I.classOf(e.dtype)) : "v128";
  }

  scalar(e: LoopExpr): Ref {
    return this.once(e, (x) => this.buildScalar(x));
  }
  /** Four lanes; a scalar is spread over them. A vector of bool is a mask of 0 and -1. */
  vector(e: LoopExpr): Ref {
    if (lanesOf(e) === 1) return this.splat(I.classOf(e.dtype), e);
    assert(lanesOf(e) === 4, `${lanesOf(e)} lanes of ${e.dtype}`);
    return this.once(e, (x) => this.buildVector(x));
  }

  private buildScalar(e: LoopExpr): Ref {
    const { m, frame } = this;
    const c = I.classOf(e.dtype);
    switch (e.kind) {
      case "const":
        return I.constant(m, c, e.value);
      case "var":
        return this.variable(e.name);
      case "load":
        return this.load(e);
      case "table": {
        if (e.index.kind !== "const") return this.tableAt(e.dtype, e.values, this.scalar(e.index));
        const x = must(e.values[Number(e.index.value)], "table entry");
        return I.constant(m, c, is64(e.dtype) ? BigInt(x) : x);
      }
      case "unary":
        return A.unary(frame, e.op, I.classOf(e.x.dtype), this.one(e.x));
      case "binary":
        return A.binary(frame, e.op, I.classOf(e.a.dtype), this.one(e.a), this.one(e.b));
      case "mulAdd":
        return A.mulAdd(frame, e.rounding === "fused", c, this.one(e.a), this.one(e.b), this.one(e.c));
      case "select":
        return this.select(e, (x) => this.scalar(x));
      case "cast":
        return A.cast(frame, e.x.dtype, e.dtype, this.one(e.x));
      case "bitcast":
        return A.bitcast(m, I.classOf(e.x.dtype), c, this.scalar(e.x));
      case "lanes":
        assert(e.factor === 4 && lanesOf(e.x) === 4, `lanes by ${e.factor} of ${lanesOf(e.x)}`);
        return A.reduceLanes(frame, e.op, c, this.four(e.x));
      case "ramp":
      case "splat":
        throw new InternalError(`a ${e.kind} of one lane`);
    }
  }

  private buildVector(e: LoopExpr): Ref {
    const { m, frame } = this;
    const c = I.classOf(e.dtype);
    switch (e.kind) {
      case "var":
        return this.variable(e.name);
      case "load":
        return this.loadVector(e);
      case "splat":
        return this.splat(c, e.x);
      case "ramp": {
        const steps = m.v128.const([
          ...new Uint8Array(new Int32Array([0, e.stride, 2 * e.stride, 3 * e.stride]).buffer),
        ]);
        return e.base.kind === "const" && e.base.value === 0 ? steps : m.i32x4.add(this.splat("i32", e.base), steps);
      }
      case "table":
        return A.perLane(frame, "i32", c, [this.four(e.index)], (l) => this.tableAt(e.dtype, e.values, l[0]!.ref()));
      case "unary":
        if (e.op === "widen8" && this.isPairs(e.x)) {
          const { ptr, offset } = this.address(e.x.x.buffer, e.x.x.index, e.x.x.via);
          return I.loadPairs(m, offset, ptr);
        }
        return A.unaryVector(frame, e.op, I.classOf(e.x.dtype), this.four(e.x));
      case "binary":
        return A.binaryVector(frame, e.op, I.classOf(e.a.dtype), this.four(e.a), this.four(e.b));
      case "mulAdd":
        return A.mulAddVector(frame, e.rounding === "fused", c, this.four(e.a), this.four(e.b), this.four(e.c));
      case "select": {
        if (lanesOf(e.cond) === 1) return this.select(e, (x) => this.vector(x));
        const a = this.vector(e.a);
        const b = this.vector(e.b);
        return m.v128.bitselect(a, b, this.vector(e.cond));
      }
      case "cast":
        return A.castVector(frame, e.x.dtype, e.dtype, this.four(e.x));
      case "bitcast":
        return this.vector(e.x);
      case "const":
      case "lanes":
        throw new InternalError(`a ${e.kind} of four lanes`);
    }
  }

  private variable(name: string): Ref {
    const b = must(this.names.get(name), `variable ${name}`);
    return b.kind === "local" ? this.frame.get(b.index) : this.value(b.to);
  }
  private operand(e: LoopExpr, type: ValType, build: () => Ref): Operand {
    return {
      constant: this.constantOf(e),
      nonNegative: () => this.isNonNegative(e),
      ref: build,
      // What is cheap, or will stand in a local anyhow, needs no local of its own.
      share: () =>
        isCheap(e) || this.shared.has(e)
          ? { first: build(), again: build, done: () => {} }
          : this.frame.share(type, build()),
    };
  }
  private one(e: LoopExpr): Operand {
    return this.operand(e, I.valType(I.classOf(e.dtype)), () => this.scalar(e));
  }
  private four(e: LoopExpr): Operand {
    return this.operand(e, "v128", () => this.vector(e));
  }
  constantOf(e: LoopExpr): number | bigint | null {
    if (e.kind === "const") return e.value;
    if (e.kind === "splat") return this.constantOf(e.x);
    const to = e.kind === "var" ? this.alias(e.name) : null;
    return to === null ? null : this.constantOf(to);
  }
  alias(name: string): LoopExpr | null {
    const b = this.names.get(name);
    return b?.kind === "alias" ? b.to : null;
  }
  /** True when an i32 is known to be 0 or more. */
  isNonNegative(e: LoopExpr): boolean {
    if (e.kind === "var") {
      const b = this.names.get(e.name);
      return b?.kind === "alias" ? this.isNonNegative(b.to) : b?.nonNegative === true;
    }
    let known = this.signs.get(e);
    if (known === undefined) {
      known = nonNegative(e, (x) => this.isNonNegative(x));
      this.signs.set(e, known);
    }
    return known;
  }
  private splat(c: Class, e: LoopExpr): Ref {
    const value = this.constantOf(e);
    if (value !== null) return I.constantVector(this.m, c, Number(value));
    if (e.kind === "load" && elementBytes(e.dtype) === 4 && !this.isRegister(e.buffer) && !this.shared.has(e)) {
      const { ptr, offset } = this.address(e.buffer, e.index, e.via);
      return this.m.v128.load32_splat(offset, 4, ptr);
    }
    return A.splat(this.m, c, this.scalar(e));
  }
  /** Only the chosen side is evaluated when one of them reads memory. The condition is one scalar. */
  private select(e: Select<LoopExpr>, build: (e: LoopExpr) => Ref): Ref {
    if (this.hasLoad(e.a) || this.hasLoad(e.b)) {
      const cond = this.scalar(e.cond);
      const a = this.maybe(() => build(e.a));
      return this.m.if(
        cond,
        a,
        this.maybe(() => build(e.b)),
      );
    }
    const a = build(e.a);
    const b = build(e.b);
    return this.m.select(this.scalar(e.cond), a, b);
  }
  private hasLoad(e: LoopExpr): boolean {
    if (e.kind === "const" || e.kind === "var") return false;
    const old = this.loads.get(e);
    if (old !== undefined) return old;
    const found =
      (e.kind === "load" && !this.isRegister(e.buffer)) ||
      (children(e) as readonly LoopExpr[]).some((x) => this.hasLoad(x));
    this.loads.set(e, found);
    return found;
  }

  // ---- memory ---------------------------------------------------------------------------------------------------
  isRegister(id: BufferId): boolean {
    return must(this.memory.get(id), `buffer ${id}`).buffer.scope === "register";
  }
  /** The address of an element (of the first one, for a ramp). */
  address(id: BufferId, index: readonly LoopExpr[], via: string | undefined): Address {
    assert(index.length === 1, "an index that flatten has not made linear");
    const { buffer, local } = must(this.memory.get(id), `buffer ${id}`);
    const at = index[0]!;
    assert(at.kind !== "ramp" || at.stride === 1, "a vector access with a stride");
    const base = at.kind === "ramp" ? at.base : at;
    const size = elementBytes(buffer.dtype);
    if (via === undefined) return this.addressFrom(local, base, size);
    const p = must(this.pointers.get(via), `pointer ${via}`);
    const constant = this.constantOf(base);
    assert(constant !== null, `an index from pointer ${via} that is no constant`);
    return this.displace(this.frame.get(p.local), Number(constant) * size, p.direct);
  }
  /**
   * ptr + bytes. An effective address is not taken modulo 2^32: an immediate may stand only where ptr cannot have wrapped below 0,
   * that is where it is `direct`, or where bytes cannot make up for more than the lowest address of a parameter.
   */
  private displace(ptr: Ref, bytes: number, direct: boolean): Address {
    if (bytes >= 0 && (direct || bytes <= lowestAddress)) return { ptr, offset: bytes };
    return { ptr: this.m.i32.add(ptr, this.m.i32.const(bytes | 0)), offset: 0 };
  }
  private addressFrom(local: number, index: LoopExpr, size: number): Address {
    const { constant, groups } = termsOf(
      index,
      (name) => this.alias(name),
      (e) => this.shared.has(e),
    );
    const direct = groups.every((g) => g.coef > 0 && g.atoms.every((x) => this.isNonNegative(x)));
    let ptr = this.frame.get(local);
    for (const { coef, atoms } of groups) ptr = this.m.i32.add(ptr, this.scaled(coef * size, atoms));
    return this.displace(ptr, constant * size, direct);
  }
  private scaled(by: number, atoms: readonly LoopExpr[]): Ref {
    const { m } = this;
    const sum = atoms.map((x) => this.scalar(x)).reduce((a, b) => m.i32.add(a, b));
    if (by === 1) return sum;
    const shift = Math.log2(by);
    return Number.isInteger(shift) && shift < 32
      ? m.i32.shl(sum, m.i32.const(shift))
      : m.i32.mul(sum, m.i32.const(by | 0));
  }
  /** The byte address of an element as a value, and whether it is known not to lie below the buffer's start. */
  elementAddress(id: BufferId, index: LoopExpr): { readonly value: Ref; readonly direct: boolean } {
    const { ptr, offset } = this.address(id, [index], undefined);
    const value = offset === 0 ? ptr : this.m.i32.add(ptr, this.m.i32.const(offset | 0));
    return { value, direct: this.isNonNegative(index) };
  }
  private load(e: LoadExpr): Ref {
    if (this.isRegister(e.buffer)) return this.frame.get(this.memory.get(e.buffer)!.local);
    const { ptr, offset } = this.address(e.buffer, e.index, e.via);
    return I.load(this.m, e.dtype, offset, ptr);
  }
  private loadVector(e: LoadExpr): Ref {
    const { m } = this;
    const at = e.index[0]!;
    if (this.isRegister(e.buffer)) return this.frame.get(this.memory.get(e.buffer)!.local);
    if (at.kind !== "ramp") {
      const base = this.memory.get(e.buffer)!.local;
      const size = m.i32.const.bind(m.i32, elementBytes(e.dtype));
      return A.perLane(this.frame, "i32", I.classOf(e.dtype), [this.four(at)], (l) =>
        I.load(m, e.dtype, 0, m.i32.add(this.frame.get(base), m.i32.mul(l[0]!.ref(), size()))),
      );
    }
    const { ptr, offset } = this.address(e.buffer, e.index, e.via);
    return I.loadVector(m, e.dtype, offset, ptr);
  }
  /** Neighbouring cells of 16 bits that nothing else needs. */
  private isPairs(e: LoopExpr): e is Extract<LoopExpr, { kind: "cast" }> & { readonly x: LoadExpr } {
    if (e.kind !== "cast" || this.shared.has(e)) return false;
    const { x } = e;
    return (
      x.kind === "load" &&
      elementBytes(x.dtype) === 2 &&
      x.index[0]!.kind === "ramp" &&
      !this.isRegister(x.buffer) &&
      !this.shared.has(x)
    );
  }
  private tableAt(d: DType, values: readonly number[], index: Ref): Ref {
    const at = this.w.table(tensorOf(d, [values.length], values).bytes);
    return I.load(this.m, d, at, this.m.i32.mul(index, this.m.i32.const(elementBytes(d))));
  }
}

/** True for what costs no more than reading a local. */
function isCheap(e: LoopExpr): boolean {
  return e.kind === "const" || e.kind === "var" || (e.kind === "splat" && e.x.kind === "const");
}
/** The nodes, other than cheap ones, that stand in more than one place. */
function repeated(roots: readonly LoopExpr[]): ReadonlySet<LoopExpr> {
  const seen = new Set<LoopExpr>();
  const twice = new Set<LoopExpr>();
  const visit = (e: LoopExpr): void => {
    if (isCheap(e)) return;
    if (seen.has(e)) twice.add(e);
    else {
      seen.add(e);
      (children(e) as readonly LoopExpr[]).forEach(visit);
    }
  };
  roots.forEach(visit);
  return twice;
}
