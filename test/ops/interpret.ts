// Runs T programs directly, element by element, as te.ts, loops.ts and expr.ts say they mean: no grouping, no schedule, no target.
// What an op's definition says is tested with this alone. Values are numbers, bigints for i64 and u64, 0 or 1 for bool.
import { InternalError, must } from "../../src/base/assert.ts";
import type { BufferId } from "../../src/base/brand.ts";
import type { Dim } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import type { Kernel, LoopExpr, Stmt } from "../../src/ir/loops.ts";
import type { Buffer } from "../../src/ir/storage.ts";
import type { Reduce, Stage, TeAction, TeExpr, TeProgram } from "../../src/ir/te.ts";
import { countOf, type DType, intBits, is64, isFloat, isUnsigned, type Tensor } from "../../src/ir/types.ts";
import { decodeFloat, encodeFloat, isNarrowFloat } from "./narrow.ts";
import { binaryFn, castFn, type Scalar, unaryFn } from "./scalars.ts";

type Cells = { data: Scalar[]; dims: readonly number[] };
type Fn = () => Scalar;

/** Reads a tensor into plain values. */
export function valuesOf(t: Tensor): Scalar[] {
  const n = countOf(t.dims);
  const view = new DataView(t.bytes.buffer, t.bytes.byteOffset, t.bytes.byteLength);
  return Array.from({ length: n }, (_, k): Scalar => {
    switch (t.dtype) {
      case "f64":
        return view.getFloat64(k * 8, true);
      case "f32":
        return view.getFloat32(k * 4, true);
      case "i64":
        return view.getBigInt64(k * 8, true);
      case "u64":
        return view.getBigUint64(k * 8, true);
      case "i32":
        return view.getInt32(k * 4, true);
      case "u32":
        return view.getUint32(k * 4, true);
      case "i16":
        return view.getInt16(k * 2, true);
      case "u16":
        return view.getUint16(k * 2, true);
      case "f16":
      case "bf16":
        return decodeFloat(t.dtype, view.getUint16(k * 2, true));
      case "i8":
      case "i4":
      case "i2":
        return view.getInt8(k);
      case "u8":
      case "u4":
      case "u2":
      case "bool":
        return view.getUint8(k);
      default:
        return decodeFloat(t.dtype, view.getUint8(k));
    }
  });
}

/** The value as an element of type `t` holds it. */
export function stored(t: DType, x: Scalar, saturate = false): Scalar {
  if (isNarrowFloat(t)) return decodeFloat(t, encodeFloat(t, Number(x), saturate));
  if (t === "f32") return Math.fround(Number(x));
  if (isFloat(t) || t === "bool") return x;
  if (is64(t)) return isUnsigned(t) ? BigInt.asUintN(64, BigInt(x)) : BigInt.asIntN(64, BigInt(x));
  const b = BigInt(x);
  return Number(isUnsigned(t) ? BigInt.asUintN(intBits(t), b) : BigInt.asIntN(intBits(t), b));
}

export class Interpreter {
  private readonly program: TeProgram;
  private readonly cells = new Map<BufferId, Cells>();
  private readonly symbols = new Map<string, number>();
  /** Variables of the stage or kernel being run, by name; buffers local to a kernel, and its parameters, by id. */
  private env = new Map<string, { value: Scalar }>();
  private local: Map<BufferId, { cells: Cells; dtype: DType; shape: readonly Dim[] }> | null = null;

  constructor(program: TeProgram) {
    this.program = program;
  }

  run(inputs: readonly Tensor[], seed = 0): { dims: readonly number[]; data: Scalar[]; dtype: DType }[] {
    this.symbols.set("$seed", seed);
    this.program.inputs.forEach((p, k) => {
      const b = this.buffer(p.buffer);
      const t = must(inputs[k], `input ${p.name}`);
      b.shape.forEach((d, a) => {
        if (d.kind === "sym") this.symbols.set(d.id, t.dims[a]!);
      });
      this.cells.set(b.id, { data: valuesOf(t), dims: t.dims });
    });
    for (const [id, t] of this.program.constants) this.cells.set(id, { data: valuesOf(t), dims: t.dims });
    this.actions(this.program.actions);
    return this.program.outputs.map((p) => {
      const b = this.buffer(p.buffer);
      const dims = this.dims(b.shape);
      return { dims, data: countOf(dims) === 0 ? [] : this.cellsOf(b, false).data, dtype: b.dtype };
    });
  }

  private buffer(id: BufferId): Buffer {
    return must(this.program.buffers.get(id), `buffer ${id}`);
  }
  private dim(d: Dim): number {
    return D.evaluate(d, (id) => {
      const x = this.symbols.get(id);
      if (x === undefined) throw new InternalError(`symbol ${id} is not bound`);
      return x;
    });
  }
  private dims(shape: readonly Dim[]): number[] {
    return shape.map((d) => this.dim(d));
  }
  /** The memory of a whole buffer; for writing it is made anew when its dims have changed. Unset elements are undefined. */
  private cellsOf(b: Buffer, write: boolean): Cells {
    const old = this.cells.get(b.id);
    const dims = this.dims(b.shape);
    if (dims.some((d) => d < 0)) throw new InternalError(`buffer ${b.name} has shape [${dims.join(", ")}]`);
    if (old && old.dims.length === dims.length && old.dims.every((d, k) => d === dims[k])) return old;
    if (!write && countOf(dims) > 0)
      throw new InternalError(
        `buffer ${b.name} [${dims.join(", ")}] is read before it is written${old ? `; it is [${old.dims.join(", ")}]` : ""}`,
      );
    const fresh = { data: new Array<Scalar>(countOf(dims)), dims };
    this.cells.set(b.id, fresh);
    return fresh;
  }
  /** Position of a logical index in the memory of the buffer's root. */
  private place(b: Buffer, write: boolean): { cells: Cells; at: (index: readonly number[]) => number } {
    const dims = this.dims(b.shape);
    const check = (index: readonly number[]): void => {
      index.forEach((i, a) => {
        if (i < 0 || i >= dims[a]!)
          throw new InternalError(`index [${index.join(", ")}] is outside of ${b.name} [${dims.join(", ")}]`);
      });
      if (index.length !== dims.length)
        throw new InternalError(`${index.length} indices for ${b.name} of rank ${dims.length}`);
    };
    if (b.inside) {
      const { of, offset, step } = b.inside;
      const whole = this.place(this.buffer(of), write);
      const o = this.dims(offset);
      const s = this.dims(step);
      return {
        cells: whole.cells,
        at: (i) => {
          check(i);
          return whole.at(i.map((x, a) => o[a]! + s[a]! * x));
        },
      };
    }
    const cells = this.cellsOf(b, write);
    return {
      cells,
      at: (i) => {
        check(i);
        return i.reduce((acc, x, a) => acc * dims[a]! + x, 0);
      },
    };
  }

  private actions(list: readonly TeAction[]): void {
    for (const a of list) this.action(a);
  }
  private action(a: TeAction): void {
    switch (a.kind) {
      case "call":
        if (a.call.kind === "group") for (const s of a.call.group.stages) this.located(s.loc, () => this.stage(s));
        else {
          const c = a.call;
          this.located(c.loc, () => this.kernel(c.kernel, c.args, c.scalars));
        }
        return;
      case "dim": {
        let x: number;
        if ("value" in a.from) x = this.dim(a.from.value);
        else {
          const b = this.buffer(a.from.buffer);
          const p = this.place(b, false);
          const at = this.dim(a.from.index);
          x = Number(p.cells.data[b.shape.length === 0 ? 0 : p.at([at])]);
        }
        if (x < a.min || (a.max !== null && x > a.max))
          throw new Error(`symbol ${a.id} = ${x} is out of range ${a.min}..${a.max}`);
        this.symbols.set(a.id, x);
        return;
      }
      case "reserve":
      case "release":
        return;
      case "if":
        return this.actions(this.flag(a.cond) ? a.then : a.otherwise);
      case "loop": {
        const trip = a.trip === null ? Number.POSITIVE_INFINITY : this.dim(a.trip);
        for (let k = 0; k < trip && (a.cond === null || this.flag(a.cond)); k++) {
          this.symbols.set(a.counter, k);
          this.actions(a.body);
          for (const [x, y] of a.swap) {
            const [p, q] = [this.cells.get(x), this.cells.get(y)];
            if (q) this.cells.set(x, q);
            if (p) this.cells.set(y, p);
          }
        }
      }
    }
  }
  private flag(id: BufferId): boolean {
    return Number(must(this.cells.get(id), `condition ${this.buffer(id).name}`).data[0]) !== 0;
  }
  private located(loc: { op: string; node: string }, f: () => void): void {
    try {
      f();
    } catch (e) {
      throw new InternalError(`${loc.op} "${loc.node}": ${(e as Error).message}`, { cause: e });
    }
  }

  // ---- stages
  private stage(s: Stage): void {
    this.env = new Map();
    this.local = null;
    const dims = this.dims(s.axes.map((x) => x.extent));
    const vars = s.axes.map((x) => this.variable(x.name));
    const outs = s.outs.map((o) => {
      const b = this.buffer(o.buffer);
      return {
        b,
        place: this.place(b, true),
        f: o.body.kind === "reduce" ? this.reduce(o.body) : this.fn(o.body),
        dtype: o.body.dtype,
      };
    });
    for (const o of outs) {
      if (o.dtype !== o.b.dtype) throw new InternalError(`a body of ${o.dtype} for ${o.b.name} of ${o.b.dtype}`);
      if (s.scan === null && this.dims(o.b.shape).join() !== dims.join())
        throw new InternalError("axes and shape differ");
    }
    each(dims, (index) => {
      vars.forEach((v, k) => {
        v.value = index[k]!;
      });
      const xs = outs.map((o) => o.f());
      outs.forEach((o, k) => {
        o.place.cells.data[o.place.at(index)] = stored(o.b.dtype, xs[k]!);
      });
    });
  }
  private variable(name: string): { value: Scalar } {
    const v = { value: 0 as Scalar };
    this.env.set(name, v);
    return v;
  }
  private reduce(r: Reduce): Fn {
    const dims = this.dims(r.axes.map((x) => x.extent));
    const vars = r.axes.map((x) => this.variable(x.name));
    const states = r.state.map((s) => this.variable(s.name));
    const updates = r.update.map((u) => this.fn(u));
    r.update.forEach((u, k) => {
      if (u.dtype !== r.state[k]!.dtype)
        throw new InternalError(`an update of ${u.dtype} for a state of ${r.state[k]!.dtype}`);
    });
    if (r.merge) {
      for (const s of r.state) this.variable(`${s.name}'`);
      for (const m of r.merge) this.fn(m);
    }
    const result = this.fn(r.result);
    return () => {
      states.forEach((s, k) => {
        s.value = r.state[k]!.init.value;
      });
      each(dims, (index) => {
        vars.forEach((v, k) => {
          v.value = index[k]!;
        });
        const next = updates.map((u) => u());
        states.forEach((s, k) => {
          s.value = next[k]!;
        });
      });
      return result();
    };
  }

  // ---- expressions
  private fn(e: TeExpr | LoopExpr): Fn {
    switch (e.kind) {
      case "const": {
        const x = e.value;
        if ((typeof x === "bigint") !== is64(e.dtype)) throw new InternalError(`constant ${x} of ${e.dtype}`);
        const value = e.dtype === "f32" ? Math.fround(Number(x)) : x;
        return () => value;
      }
      case "var": {
        const slot = this.env.get(e.name);
        if (slot) return () => slot.value;
        return () => {
          const x = this.symbols.get(e.name);
          if (x === undefined) throw new InternalError(`variable ${e.name} is not bound`);
          return x;
        };
      }
      case "load": {
        const index = e.index.map((i) => this.index(i));
        const mine = this.local?.get(e.buffer);
        if (mine) {
          const at = this.localPlace(mine);
          if (mine.dtype !== e.dtype) throw new InternalError(`a load of ${e.dtype} from ${mine.dtype}`);
          return () => defined(mine.cells.data[at(index.map((i) => i()))], "local buffer");
        }
        const b = this.buffer(e.buffer);
        if (b.dtype !== e.dtype) throw new InternalError(`a load of ${e.dtype} from ${b.dtype} ${b.name}`);
        let place: ReturnType<Interpreter["place"]> | null = null;
        return () => {
          place ??= this.place(b, false);
          return defined(place.cells.data[place.at(index.map((i) => i()))], b.name);
        };
      }
      case "table": {
        const i = this.index(e.index);
        return () => {
          const x = e.values[i()];
          if (x === undefined) throw new InternalError("a table index is out of range");
          return is64(e.dtype) ? BigInt(x) : stored(e.dtype, x);
        };
      }
      case "unary": {
        const x = this.fn(e.x);
        const f = unaryFn(e.op, e.x.dtype);
        return () => f(x());
      }
      case "binary": {
        const [a, b] = [this.fn(e.a), this.fn(e.b)];
        if (e.a.dtype !== e.b.dtype) throw new InternalError(`${e.op} of ${e.a.dtype} and ${e.b.dtype}`);
        const f = binaryFn(e.op, e.a.dtype);
        return () => f(a(), b());
      }
      case "mulAdd": {
        const [a, b, c] = [this.fn(e.a), this.fn(e.b), this.fn(e.c)];
        const [mul, add] = [binaryFn("mul", e.dtype), binaryFn("add", e.dtype)];
        return () => add(mul(a(), b()), c());
      }
      case "select": {
        const [c, a, b] = [this.fn(e.cond), this.fn(e.a), this.fn(e.b)];
        return () => (c() ? a() : b());
      }
      case "cast": {
        const x = this.fn(e.x);
        const f = castFn(e.dtype, e.x.dtype);
        return isNarrowFloat(e.dtype) ? () => stored(e.dtype, x(), true) : () => f(x());
      }
      case "bitcast": {
        const x = this.fn(e.x);
        return () => bits(e.dtype, e.x.dtype, x());
      }
      default:
        throw new InternalError(`${e.kind} inside an expression`);
    }
  }
  private index(e: TeExpr | LoopExpr): () => number {
    if (e.dtype !== "i32") throw new InternalError(`an index of type ${e.dtype}`);
    return this.fn(e) as () => number;
  }

  // ---- kernels
  private kernel(k: Kernel, args: readonly BufferId[], scalars: readonly Dim[]): void {
    this.env = new Map();
    this.local = new Map();
    const written = new Set<BufferId>();
    stores(k.body, written);
    if (k.params.length !== args.length)
      throw new InternalError(`${k.name}: ${args.length} arguments for ${k.params.length} parameters`);
    for (const s of D.symbolsOf(D.add(D.zero, ...k.params.flatMap((p) => p.shape))))
      if (!k.dims.includes(s)) throw new InternalError(`kernel ${k.name} does not list symbol ${s}`);
    k.params.forEach((p, i) => {
      const b = this.buffer(args[i]!);
      if (b.inside) throw new InternalError("a part as a kernel's argument");
      if (this.dims(p.shape).join() !== this.dims(b.shape).join() || p.dtype !== b.dtype)
        throw new InternalError(`${k.name}: argument ${i} does not fit`);
      this.local!.set(p.id, { cells: this.cellsOf(b, written.has(p.id)), dtype: p.dtype, shape: p.shape });
    });
    k.scalars.forEach((s, i) => {
      this.variable(s.name).value = this.dim(scalars[i]!);
    });
    this.statement(k.body)();
    this.local = null;
  }
  private localPlace(m: { cells: Cells; shape: readonly Dim[] }): (index: readonly number[]) => number {
    const dims = this.dims(m.shape);
    return (index) => {
      if (index.length !== dims.length || index.some((i, a) => i < 0 || i >= dims[a]!))
        throw new InternalError(`index [${index.join(", ")}] is outside of [${dims.join(", ")}]`);
      return index.reduce((acc, x, a) => acc * dims[a]! + x, 0);
    };
  }
  private statement(s: Stmt): () => void {
    switch (s.kind) {
      case "for": {
        const extent = this.index(s.extent);
        const v = this.variable(s.v);
        const body = this.statement(s.body);
        return () => {
          const n = extent();
          for (let i = 0; i < n; i += s.step) {
            v.value = i;
            body();
          }
        };
      }
      case "store": {
        const mine = must(this.local?.get(s.buffer), "a stored buffer");
        const index = s.index.map((i) => this.index(i));
        const value = this.fn(s.value);
        const at = this.localPlace(mine);
        if (s.value.dtype !== mine.dtype) throw new InternalError(`a store of ${s.value.dtype} to ${mine.dtype}`);
        return () => {
          const i = at(index.map((x) => x()));
          mine.cells.data[i] = stored(mine.dtype, value());
        };
      }
      case "let": {
        const value = this.fn(s.value);
        const v = this.variable(s.name);
        const body = this.statement(s.body);
        return () => {
          v.value = value();
          body();
        };
      }
      case "if": {
        const [cond, then] = [this.fn(s.cond), this.statement(s.then)];
        const otherwise = s.otherwise ? this.statement(s.otherwise) : null;
        return () => {
          if (cond()) then();
          else otherwise?.();
        };
      }
      case "while": {
        const [cond, body] = [this.fn(s.cond), this.statement(s.body)];
        return () => {
          for (let k = 0; cond(); k++) {
            body();
            if (k > 1e7) throw new InternalError("a while that does not end");
          }
        };
      }
      case "seq": {
        const all = s.body.map((x) => this.statement(x));
        return () => {
          for (const f of all) f();
        };
      }
      case "alloc": {
        const dims = this.dims(s.buffer.shape);
        const cells: Cells = { data: new Array<Scalar>(countOf(dims)), dims };
        this.local!.set(s.buffer.id, { cells, dtype: s.buffer.dtype, shape: s.buffer.shape });
        return this.statement(s.body);
      }
      case "barrier":
        return () => undefined;
    }
  }
}

function defined(x: Scalar | undefined, what: string): Scalar {
  if (x === undefined) throw new InternalError(`an element of ${what} is read before it is written`);
  return x;
}
function each(dims: readonly number[], f: (index: readonly number[]) => void): void {
  if (dims.some((d) => d <= 0)) return;
  const index = dims.map(() => 0);
  for (;;) {
    f(index);
    let a = dims.length - 1;
    while (a >= 0 && ++index[a]! >= dims[a]!) index[a--] = 0;
    if (a < 0) return;
  }
}
function stores(s: Stmt, into: Set<BufferId>): void {
  switch (s.kind) {
    case "store":
      into.add(s.buffer);
      return;
    case "seq":
      for (const x of s.body) stores(x, into);
      return;
    case "if":
      stores(s.then, into);
      if (s.otherwise) stores(s.otherwise, into);
      return;
    case "barrier":
      return;
    default:
      stores(s.body, into);
  }
}
/** A bit pattern as another type. */
export function bits(to: DType, from: DType, x: Scalar): Scalar {
  const view = new DataView(new ArrayBuffer(8));
  const put = (): void => {
    switch (from) {
      case "f32":
        view.setFloat32(0, Number(x));
        return;
      case "f64":
        view.setFloat64(0, Number(x));
        return;
      case "i64":
      case "u64":
        view.setBigInt64(0, BigInt.asIntN(64, BigInt(x)));
        return;
      default:
        view.setInt32(0, Number(x) | 0);
    }
  };
  put();
  switch (to) {
    case "f32":
      return view.getFloat32(0);
    case "f64":
      return view.getFloat64(0);
    case "i64":
      return view.getBigInt64(0);
    case "u64":
      return view.getBigUint64(0);
    case "i32":
      return view.getInt32(0);
    default:
      return view.getUint32(0);
  }
}
