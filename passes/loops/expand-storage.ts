// Storage types become cells and registers. Before, expressions are of any DType; after, memory holds cell types (f16 as u16, i4 as i8),
// loads decode, stores encode, and arithmetic is in f32 f64 i32 u32 i64 u64 bool (i32 u32 for the 64-bit ones where the target has none).
//
// - A narrow float is computed in f32 and rounded where it is stored or cast, not in between.
// - A narrow integer is an i32 within its range: what can leave the range is wrapped, unless a store does that.
// - What is only moved (load, select, cast, constant, store) moves as a pattern: NaNs and infinities of 8-bit floats stay what they are.
import { assert, InternalError } from "../../src/base/assert.ts";
import type { BufferId } from "../../src/base/brand.ts";
import { type BinaryOp, constant } from "../../src/ir/expr.ts";
import type { Kernel, LoopExpr, Stmt } from "../../src/ir/loops.ts";
import { mapStmt, visitStmt, withChildren } from "../../src/ir/rewrite.ts";
import type { Buffer } from "../../src/ir/storage.ts";
import { storedType, type TargetInfo } from "../../src/ir/target.ts";
import { type DType, intBits, is64, isInt, isUnsigned, widened } from "../../src/ir/types.ts";
import * as B from "./build.ts";
import { decode, encode, encodeNumber, isNarrowFloat, toOddF32 } from "./expand-storage-floats.ts";
import { freshNames } from "./fresh-names.ts";

type Of<K extends LoopExpr["kind"]> = Extract<LoopExpr, { kind: K }>;

/** The kernel over cells and registers. Shapes and indices stay: one element is one cell. */
export function expandStorage(k: Kernel, target: TargetInfo): Kernel {
  return new Expansion(k, target).kernel();
}

/** Ops whose result can be outside of the operands' integer type. */
const leaving: ReadonlySet<BinaryOp> = new Set<BinaryOp>([
  "add",
  "sub",
  "mul",
  "div",
  "truncdiv",
  "floordiv",
  "shl",
  "pow",
]);
const isNarrowInt = (d: DType): boolean => isInt(d) && intBits(d) < 32;

class Expansion {
  private readonly k: Kernel;
  private readonly target: TargetInfo;
  private readonly buffers: Map<BufferId, Buffer>;
  private readonly fresh: () => string;
  private readonly wides = new Map<LoopExpr, LoopExpr>();
  private readonly raws = new Map<LoopExpr, LoopExpr>();
  private readonly patterns = new Map<LoopExpr, LoopExpr>();
  constructor(k: Kernel, target: TargetInfo) {
    this.k = k;
    this.target = target;
    this.fresh = freshNames(k.body);
    this.buffers = new Map(k.params.map((b) => [b.id, b]));
    visitStmt(k.body, (s) => {
      if (s.kind === "alloc") this.buffers.set(s.buffer.id, s.buffer);
    });
  }
  kernel(): Kernel {
    return {
      ...this.k,
      params: this.k.params.map((b) => this.buffer(b)),
      scalars: this.k.scalars.map((s) => ({ ...s, dtype: this.register(s.dtype) })),
      body: mapStmt(
        this.k.body,
        (s) => this.stmt(s),
        (e) => e,
      ),
    };
  }

  /** The type of a register that holds values of `d`. */
  private register(d: DType): DType {
    return storedType(widened(d), this.target);
  }
  private typeOf(b: Buffer): DType {
    return b.scope === "register" ? this.register(b.dtype) : storedType(b.dtype, this.target);
  }
  private buffer(b: Buffer): Buffer {
    const dtype = this.typeOf(b);
    return dtype === b.dtype ? b : { ...b, dtype };
  }
  private of(id: BufferId): Buffer {
    const b = this.buffers.get(id);
    assert(b, `${this.k.name}: no buffer ${id}`);
    return b;
  }

  /** The statement itself; mapStmt has done those inside. */
  private stmt(s: Stmt): Stmt {
    const wide = (e: LoopExpr): LoopExpr => this.wide(e);
    switch (s.kind) {
      case "for":
        return {
          ...s,
          extent: wide(s.extent),
          ...(s.pointers
            ? { pointers: s.pointers.map((p) => ({ ...p, init: wide(p.init), step: wide(p.step) })) }
            : {}),
        };
      case "let":
        return { ...s, value: wide(s.value) };
      case "if":
      case "while":
        return { ...s, cond: wide(s.cond) };
      case "alloc":
        return { ...s, buffer: this.buffer(s.buffer) };
      case "store":
        return this.store(s);
      case "seq":
      case "barrier":
        return s;
    }
  }

  private store(s: Extract<Stmt, { kind: "store" }>): Stmt {
    const b = this.of(s.buffer);
    const cell: Stmt = { ...s, dtype: this.typeOf(b), index: s.index.map((e) => this.wide(e)) };
    const d = s.value.dtype;
    if (b.scope === "register") return { ...cell, value: this.wide(s.value) };
    // A cell truncates an integer to its own width.
    if (isInt(d) && (intBits(d) === 8 || intBits(d) === 16)) return { ...cell, value: this.raw(s.value) };
    if (!isNarrowFloat(d)) return { ...cell, value: this.wide(s.value) };
    const source = this.source(s.value);
    if (source === null) return { ...cell, value: this.pattern(s.value) };
    // Encoding uses its operand many times.
    const name = this.fresh();
    const value = encode(d, B.variable(name, source.x), source.saturate);
    return { kind: "let", name, value: source.x, body: { ...cell, value } };
  }
  /** e in its register, within the range of its type. */
  private wide(e: LoopExpr): LoopExpr {
    return cached(this.wides, e, () => {
      const x = this.raw(e);
      return isNarrowInt(e.dtype) && this.canLeave(e) ? wrap(x, e.dtype) : x;
    });
  }
  private canLeave(e: LoopExpr): boolean {
    switch (e.kind) {
      case "binary":
        return leaving.has(e.op);
      case "unary":
        return e.op === "neg" || e.op === "bitnot" || e.op === "abs";
      case "mulAdd":
      case "bitcast":
        return true;
      case "lanes":
        return e.op === "sum";
      case "cast": {
        const from = e.x.dtype;
        if (from === "bool") return false;
        if (!isNarrowInt(from)) return true;
        // A narrower one fits when its sign does.
        return !(isUnsigned(from)
          ? intBits(from) + (isUnsigned(e.dtype) ? 0 : 1) <= intBits(e.dtype)
          : !isUnsigned(e.dtype) && intBits(from) <= intBits(e.dtype));
      }
      default:
        return false;
    }
  }
  /** e in its register, but a narrow integer maybe outside of its range: right modulo 2^bits. */
  private raw(e: LoopExpr): LoopExpr {
    return cached(this.raws, e, () => this.expand(e));
  }
  private expand(e: LoopExpr): LoopExpr {
    const dtype = this.register(e.dtype);
    switch (e.kind) {
      case "const":
        return this.number(e, dtype);
      case "var":
        return dtype === e.dtype ? e : { ...e, dtype };
      case "load":
        return this.load(e);
      case "table":
        return { ...e, dtype, index: this.wide(e.index) };
      case "bitcast":
        return this.bitcast(e, dtype);
      case "cast":
        return this.cast(e, dtype);
      case "unary":
        // Rounding an integer to an integer.
        if (isInt(e.x.dtype) && (e.op === "floor" || e.op === "ceil" || e.op === "round" || e.op === "trunc"))
          return this.wide(e.x);
        return this.arithmetic(e, dtype);
      case "binary":
      case "mulAdd":
      case "select":
      case "ramp":
      case "splat":
      case "lanes":
        return this.arithmetic(e, dtype);
    }
  }
  private arithmetic(e: LoopExpr, dtype: DType): LoopExpr {
    const x = withChildren(e, (c) => this.wide(c));
    return x.dtype === dtype ? x : ({ ...x, dtype } as LoopExpr);
  }
  private number(e: Of<"const">, dtype: DType): LoopExpr {
    if (dtype === "f32") {
      const x = Math.fround(Number(e.value));
      return e.dtype === "f32" && Object.is(x, e.value) ? e : constant("f32", x);
    }
    if (dtype === e.dtype) return e;
    if (!is64(e.dtype)) return constant(dtype, wrapNumber(Number(e.value), e.dtype));
    const [low, high] = dtype === "u32" ? [0n, 2n ** 32n - 1n] : [-(2n ** 31n), 2n ** 31n - 1n];
    const x = BigInt(e.value);
    return constant(dtype, x < low ? low : x > high ? high : x);
  }
  private load(e: Of<"load">): LoopExpr {
    const b = this.of(e.buffer);
    const cell = this.loadCell(e);
    if (b.scope === "register") return cell;
    return isNarrowFloat(b.dtype) ? decode(b.dtype, this.pattern(e)) : B.cast(this.register(b.dtype), cell);
  }
  private loadCell(e: Of<"load">): LoopExpr {
    const dtype = this.typeOf(this.of(e.buffer));
    const x = withChildren<LoopExpr>(e, (c) => this.wide(c)) as Of<"load">;
    return x.dtype === dtype ? x : { ...x, dtype };
  }

  private cast(e: Of<"cast">, dtype: DType): LoopExpr {
    const to = e.dtype;
    const x = e.x;
    if (isNarrowFloat(to)) return this.exactIn(x.dtype, to) ? B.cast("f32", this.wide(x)) : decode(to, this.pattern(e));
    if (isNarrowInt(to) && isNarrowInt(x.dtype)) return intBits(to) <= intBits(x.dtype) ? this.raw(x) : this.wide(x);
    // From a float: saturating, to i32. From a wider integer: its low bits.
    return B.cast(dtype, this.wide(x));
  }
  /** Whether a narrow float type has every value of an integer type. */
  private exactIn(from: DType, to: DType): boolean {
    return from === "bool" ? to !== "f8e8m0" : isInt(from) && intBits(from) <= 8 && (to === "f16" || to === "bf16");
  }
  private bitcast(e: Of<"bitcast">, dtype: DType): LoopExpr {
    const [from, to] = [e.x.dtype, e.dtype];
    if (isNarrowFloat(to)) return decode(to, this.pattern(e));
    if (isNarrowFloat(from)) return B.bits(dtype, this.pattern(e.x));
    return B.bits(dtype, this.wide(e.x));
  }

  /** The pattern of a narrow float: an i32, zero above the format's bits. */
  private pattern(e: LoopExpr): LoopExpr {
    return cached(this.patterns, e, () => this.patternOf(e));
  }
  private patternOf(e: LoopExpr): LoopExpr {
    const d = e.dtype;
    assert(isNarrowFloat(d), `a pattern of ${d}`);
    const source = this.source(e);
    if (source !== null) return encode(d, source.x, source.saturate);
    switch (e.kind) {
      case "const":
        return constant("i32", encodeNumber(d, Number(e.value)));
      case "load":
        return B.cast("i32", this.loadCell(e));
      case "select":
        return B.select(this.wide(e.cond), this.pattern(e.a), this.pattern(e.b));
      case "bitcast":
        return isNarrowFloat(e.x.dtype) ? this.pattern(e.x) : B.bitand(this.raw(e.x), 2 ** intBits(e.x.dtype) - 1);
      default:
        throw new InternalError(`a pattern of ${e.kind}`);
    }
  }
  /** The f32 that is encoded for a narrow float; null when its pattern comes from memory, a constant or other patterns. */
  private source(e: LoopExpr): { readonly x: LoopExpr; readonly saturate: boolean } | null {
    if (e.kind === "const" || e.kind === "select" || e.kind === "bitcast") return null;
    if (e.kind === "load" && this.of(e.buffer).scope !== "register") return null;
    if (e.kind !== "cast") return { x: this.wide(e), saturate: false };
    const from = e.x.dtype;
    const x = this.wide(e.x);
    // f32 holds all that matters of an integer to all but the two formats with its exponents.
    const wide = is64(from) || from === "i32" || from === "u32";
    const once = from === "f64" || (wide && (e.dtype === "bf16" || e.dtype === "f8e8m0"));
    return { x: once ? toOddF32(x) : B.cast("f32", x), saturate: true };
  }
}

/** An i32 brought into the range of a narrow integer type, modulo 2^bits. */
function wrap(x: LoopExpr, d: DType): LoopExpr {
  const n = intBits(d);
  if (isUnsigned(d)) return B.bitand(x, 2 ** n - 1);
  return B.shr(B.shl(x, 32 - n), 32 - n);
}
function wrapNumber(x: number, d: DType): number {
  const n = intBits(d);
  return isUnsigned(d) ? x & (2 ** n - 1) : (x << (32 - n)) >> (32 - n);
}
function cached(memo: Map<LoopExpr, LoopExpr>, e: LoopExpr, make: () => LoopExpr): LoopExpr {
  const old = memo.get(e);
  if (old !== undefined) return old;
  const r = make();
  memo.set(e, r);
  return r;
}
