// Runs a kernel as it is, between any two loop passes: logical indices or linear ones, lanes, pointers, registers. Reading what nothing
// has written and leaving a buffer are errors.
import { InternalError, must } from "../../../src/base/assert.ts";
import type { BufferId } from "../../../src/base/brand.ts";
import * as D from "../../../src/ir/dim.ts";
import type { Kernel, LoopExpr, Stmt } from "../../../src/ir/loops.ts";
import { type Buffer, dense, linear } from "../../../src/ir/storage.ts";
import { type DType, intBits, isInt } from "../../../src/ir/types.ts";
import { bits, stored } from "../../ops/interpret.ts";
import { binaryFn, castFn, type Scalar, unaryFn } from "../../ops/scalars.ts";

type Value = Scalar | readonly Scalar[];
export type Memory = (Scalar | undefined)[];
/** Elements that a buffer's memory has. */
export function sizeOf(b: Buffer, dims: ReadonlyMap<string, number>): number {
  return D.evaluate((b.storage ?? dense(b.shape)).size, (id) => must(dims.get(id), id));
}

/** `logical`: indices are those of the tensors; else elements from the start of the memory. */
export function runKernel(
  k: Kernel,
  memory: readonly Memory[],
  vars: ReadonlyMap<string, Scalar>,
  logical: boolean,
): void {
  const run = new Run(vars, logical);
  k.params.forEach((b, n) => {
    run.declare(b, memory[n]!);
  });
  run.stmt(k.body);
}

class Run {
  private readonly env: Map<string, Value>;
  private readonly buffers = new Map<BufferId, { readonly b: Buffer; readonly cells: Memory }>();
  private readonly logical: boolean;
  constructor(vars: ReadonlyMap<string, Scalar>, logical: boolean) {
    this.env = new Map(vars);
    this.logical = logical;
  }
  declare(b: Buffer, cells: Memory): void {
    this.buffers.set(b.id, { b, cells });
  }
  stmt(s: Stmt): void {
    switch (s.kind) {
      case "seq":
        for (const x of s.body) this.stmt(x);
        return;
      case "for": {
        const extent = this.scalar(s.extent);
        const pointers = (s.pointers ?? []).map((p) => ({ p, step: this.scalar(p.step) }));
        for (const { p } of pointers) this.env.set(p.name, this.scalar(p.init));
        for (let i = 0; i < extent; i += s.step) {
          this.env.set(s.v, i);
          this.stmt(s.body);
          for (const { p, step } of pointers) this.env.set(p.name, Number(this.env.get(p.name)) + step);
        }
        return;
      }
      case "store": {
        const { cells, places } = this.places(s.buffer, s.index, s.via);
        const value = this.eval(s.value);
        places.forEach((at, lane) => {
          cells[at] = stored(s.dtype, lane0(value, lane));
        });
        return;
      }
      case "let":
        this.env.set(s.name, this.eval(s.value));
        return this.stmt(s.body);
      case "if":
        if (this.scalar(s.cond) !== 0) this.stmt(s.then);
        else if (s.otherwise) this.stmt(s.otherwise);
        return;
      case "while":
        while (this.scalar(s.cond) !== 0) this.stmt(s.body);
        return;
      case "alloc":
        this.declare(s.buffer, new Array(sizeOf(s.buffer, new Map())).fill(undefined));
        return this.stmt(s.body);
      case "barrier":
        return;
    }
  }
  private scalar(e: LoopExpr): number {
    return Number(lane0(this.eval(e), 0));
  }
  /** The cells of each lane of an access. */
  private places(
    id: BufferId,
    index: readonly LoopExpr[],
    via: string | undefined,
  ): { cells: Memory; places: readonly number[] } {
    const { b, cells } = must(this.buffers.get(id), `buffer ${id}`);
    const at = index.map((e) => this.eval(e));
    const lanes = Math.max(1, ...at.map((x) => (Array.isArray(x) ? x.length : 1)));
    const start = via === undefined ? 0 : Number(this.env.get(via));
    const dims = (d: D.Dim): number => D.evaluate(d, (s) => Number(must(this.env.get(s), s)));
    const places = Array.from({ length: lanes }, (_, lane) => {
      const here = at.map((x) => D.int(Number(lane0(x, lane))));
      const place = this.logical ? dims(linear(b.storage ?? dense(b.shape), here)) : start + dims(here[0] ?? D.zero);
      if (place < 0 || place >= cells.length)
        throw new InternalError(`element ${place} of ${b.name}, which has ${cells.length}`);
      return place;
    });
    return { cells, places };
  }
  private eval(e: LoopExpr): Value {
    const lift = (f: (...xs: Scalar[]) => Scalar, ...parts: readonly LoopExpr[]): Value => {
      const values = parts.map((p) => this.eval(p));
      const wide = values.find((x) => Array.isArray(x)) as readonly Scalar[] | undefined;
      if (!wide) return f(...(values as Scalar[]));
      return wide.map((_, lane) => f(...values.map((x) => lane0(x, lane))));
    };
    switch (e.kind) {
      case "const":
        return typeof e.value === "boolean" ? Number(e.value) : e.value;
      case "var":
        return must(this.env.get(e.name), `variable ${e.name}`);
      case "load": {
        const { cells, places } = this.places(e.buffer, e.index, e.via);
        const values = places.map((at) => must(cells[at], `element ${at}`));
        return values.length === 1 && !this.wide(e.index) ? values[0]! : values;
      }
      case "table":
        return lift((i) => e.values[Number(i)]!, e.index);
      case "unary":
        return lift((x) => narrowed(e.dtype, unaryFn(e.op, e.x.dtype)(x!)), e.x);
      case "binary":
        return lift((a, b) => narrowed(e.dtype, binaryFn(e.op, e.a.dtype)(a!, b!)), e.a, e.b);
      case "mulAdd": {
        const [mul, add] = [binaryFn("mul", e.dtype), binaryFn("add", e.dtype)];
        return lift((a, b, c) => add(mul(a!, b!), c!), e.a, e.b, e.c);
      }
      case "select": {
        const cond = this.eval(e.cond);
        if (!Array.isArray(cond)) return this.eval(Number(cond) !== 0 ? e.a : e.b);
        return lift((c, a, b) => (Number(c) !== 0 ? a! : b!), e.cond, e.a, e.b);
      }
      case "cast":
        return lift(castFn(e.dtype, e.x.dtype), e.x);
      case "bitcast":
        return lift((x) => bits(e.dtype, e.x.dtype, x!), e.x);
      case "ramp": {
        const base = this.scalar(e.base);
        return Array.from({ length: e.lanes }, (_, lane) => base + lane * e.stride);
      }
      case "splat": {
        const x = lane0(this.eval(e.x), 0);
        return Array.from({ length: e.lanes }, () => x);
      }
      case "lanes": {
        const x = this.eval(e.x) as readonly Scalar[];
        const op = binaryFn(e.op === "sum" ? "add" : e.op, e.dtype);
        const groups = Array.from({ length: x.length / e.factor }, (_, g) => x.slice(g * e.factor, (g + 1) * e.factor));
        const out = groups.map((g) => g.reduce((a, b) => op(a, b)));
        return out.length === 1 ? out[0]! : out;
      }
    }
  }
  private wide(index: readonly LoopExpr[]): boolean {
    return index.some((e) => Array.isArray(this.eval(e)));
  }
}
/** Narrow integers wrap where they are computed; narrow floats are rounded where they are stored. */
const narrowed = (d: DType, x: Scalar): Scalar => (isInt(d) && intBits(d) < 32 ? stored(d, x) : x);
const lane0 = (x: Value, lane: number): Scalar => (typeof x === "object" ? x[lane]! : x);
