// Evaluates stages over partially known tensors: this is how shape arithmetic (Shape -> Gather -> Concat -> Reshape) resolves at
// compile time, symbolically where dims are symbolic, from the very formulas that the targets compile.
import type { BufferId } from "../base/brand.ts";
import type { Dim, Range, Ranges, Sym } from "./dim.ts";
import * as D from "./dim.ts";
import type { PartialTensor } from "./opdef.ts";
import type { Reduce, Stage, TeAction, TeExpr } from "./te.ts";
import { countOf, type DType, intBits, isFloat, isUnsigned, type Tensor, typedView } from "./types.ts";

/** A Dim stands for an integer (of any dtype, floats with an integer value included); a plain number for any other float. */
type Val = Dim | number | null;
const maxWork = 65536;
export const maxKnown = 1024;

export function rangesOf(symbols: readonly Sym[]): Ranges {
  const table = new Map<string, Range>(
    symbols.map((s) => [s.id, { min: D.int(s.min), max: s.max === null ? null : D.int(s.max) }]),
  );
  return (id) => table.get(id) ?? null;
}

/** The values of the stages' buffers after `actions`, as far as they follow from `known`. Anything but stages is ignored. */
export function evaluateSymbolically(
  actions: readonly TeAction[],
  buffers: ReadonlyMap<
    BufferId,
    {
      readonly shape: readonly Dim[];
      readonly dtype: DType;
      readonly inside?: { readonly of: BufferId; readonly offset: readonly Dim[]; readonly step: readonly Dim[] };
    }
  >,
  known: Map<BufferId, PartialTensor>,
  ranges: Ranges,
): void {
  let work = 0;
  for (const a of actions) {
    if (a.kind !== "call" || a.call.kind !== "group") continue;
    for (const stage of a.call.group.stages) {
      const dims = stage.axes.map((x) => D.known(x.extent));
      if (!dims.every((d) => d !== null)) continue;
      const n = countOf(dims as number[]);
      if (n > maxKnown) continue;
      for (const out of stage.outs) {
        const e = new StageEvaluator(stage, known, ranges, maxWork - work);
        const elements = e.run(out.body, dims as number[], n);
        work += e.work;
        if (elements === null) continue;
        write(out.buffer, dims as number[], elements, buffers, known);
      }
    }
  }
}

/** Writing a part writes the whole. */
function write(
  id: BufferId,
  dims: readonly number[],
  elements: readonly Val[],
  buffers: Parameters<typeof evaluateSymbolically>[1],
  known: Map<BufferId, PartialTensor>,
): void {
  known.set(id, { dims, elements });
  const part = buffers.get(id)?.inside;
  if (!part) return;
  const whole = buffers.get(part.of);
  const wholeDims = whole?.shape.map(D.known);
  const offset = part.offset.map(D.known);
  const step = part.step.map(D.known);
  if (
    !wholeDims?.every((d) => d !== null) ||
    countOf(wholeDims as number[]) > maxKnown ||
    [...offset, ...step].includes(null)
  )
    return;
  const wd = wholeDims as number[];
  const all: Val[] = [...(known.get(part.of)?.elements ?? new Array<Val>(countOf(wd)).fill(null))];
  elements.forEach((x, k) => {
    let rest = k;
    let at = 0;
    let stride = 1;
    for (let a = dims.length - 1; a >= 0; a--) {
      const i = rest % dims[a]!;
      rest = (rest - i) / dims[a]!;
      at += (offset[a]! + step[a]! * i) * stride;
      stride *= wd[a]!;
    }
    all[at] = x;
  });
  write(part.of, wd, all, buffers, known);
}

class StageEvaluator {
  work = 0;
  private readonly env = new Map<string, Val>();
  private readonly stage: Stage;
  private readonly known: Map<BufferId, PartialTensor>;
  private readonly ranges: Ranges;
  private readonly budget: number;
  constructor(stage: Stage, known: Map<BufferId, PartialTensor>, ranges: Ranges, budget: number) {
    this.stage = stage;
    this.known = known;
    this.ranges = ranges;
    this.budget = budget;
  }
  run(body: TeExpr, dims: readonly number[], n: number): Val[] | null {
    const elements: Val[] = [];
    const index = dims.map(() => 0);
    for (let k = 0; k < n; k++) {
      this.stage.axes.forEach((a, i) => {
        this.env.set(a.name, D.int(index[i]!));
      });
      elements.push(body.kind === "reduce" ? this.reduce(body) : this.value(body));
      if (this.work > this.budget) return null;
      step(index, dims);
    }
    return elements;
  }
  private reduce(r: Reduce): Val {
    const dims = r.axes.map((a) => D.known(a.extent));
    if (!dims.every((d) => d !== null)) return null;
    const n = countOf(dims as number[]);
    if (n > maxKnown) return null;
    let state: Val[] = r.state.map((s) => constVal(s.init.value, s.dtype));
    const index = dims.map(() => 0);
    for (let k = 0; k < n; k++) {
      r.axes.forEach((a, i) => {
        this.env.set(a.name, D.int(index[i]!));
      });
      r.state.forEach((s, i) => {
        this.env.set(s.name, state[i]!);
      });
      state = r.update.map((u) => this.value(u));
      if (this.work > this.budget) return null;
      step(index, dims as number[]);
    }
    r.state.forEach((s, i) => {
      this.env.set(s.name, state[i]!);
    });
    return this.value(r.result);
  }
  private value(e: TeExpr): Val {
    this.work++;
    switch (e.kind) {
      case "const":
        return constVal(e.value, e.dtype);
      case "var":
        return this.env.has(e.name) ? this.env.get(e.name)! : D.sym(e.name);
      case "load": {
        const t = this.known.get(e.buffer);
        if (!t) return null;
        let at = 0;
        for (let k = 0; k < e.index.length; k++) {
          const i = this.value(e.index[k]!);
          if (i === null || typeof i === "number" || i.kind !== "int" || i.value < 0 || i.value >= t.dims[k]!)
            return null;
          at = at * t.dims[k]! + i.value;
        }
        return t.elements[at] ?? null;
      }
      case "table": {
        const i = this.value(e.index);
        return i !== null && typeof i !== "number" && i.kind === "int"
          ? constVal(e.values[i.value] ?? 0, e.dtype)
          : null;
      }
      case "select": {
        const c = this.value(e.cond);
        if (c !== null && typeof c !== "number" && c.kind === "int") return this.value(c.value ? e.a : e.b);
        const a = this.value(e.a);
        return a !== null && a === this.value(e.b) ? a : null;
      }
      case "unary":
        return this.unary(e.op, this.value(e.x), e.dtype);
      case "binary":
        return this.binary(e.op, this.value(e.a), this.value(e.b), e.a.dtype);
      case "mulAdd":
        return this.binary(
          "add",
          this.binary("mul", this.value(e.a), this.value(e.b), e.dtype),
          this.value(e.c),
          e.dtype,
        );
      case "cast":
        return castVal(this.value(e.x), e.dtype, e.x.dtype);
      case "bitcast":
      case "reduce":
        return null;
    }
  }
  private unary(op: string, x: Val, dtype: DType): Val {
    if (x === null) return null;
    const int = typeof x !== "number";
    switch (op) {
      case "neg":
        return int ? D.neg(x) : -x;
      case "abs":
        return int
          ? x.kind === "int"
            ? D.int(Math.abs(x.value))
            : D.nonNegative(x, this.ranges)
              ? x
              : null
          : Math.abs(x);
      case "floor":
      case "ceil":
      case "trunc":
      case "round":
        if (int) return x;
        if (op === "round")
          return Math.abs(x % 1) === 0.5
            ? 2 * Math.round(x / 2) === x
              ? null
              : num(2 * Math.round(x / 2), dtype)
            : num(Math.round(x), dtype);
        return num(op === "floor" ? Math.floor(x) : op === "ceil" ? Math.ceil(x) : Math.trunc(x), dtype);
      case "sqrt": {
        const n = numeric(x);
        return n === null ? null : num(Math.sqrt(n), dtype);
      }
      case "recip": {
        const n = numeric(x);
        return n === null ? null : num(1 / n, dtype);
      }
      case "not":
        return int && x.kind === "int" ? D.int(x.value ? 0 : 1) : null;
      default:
        return null;
    }
  }
  private binary(op: string, a: Val, b: Val, dtype: DType): Val {
    if (op === "and" || op === "or") {
      const x = numeric(a);
      const y = numeric(b);
      const stop = op === "and" ? 0 : 1;
      if (x === stop || y === stop) return D.int(stop);
      return x === null || y === null ? null : D.int(1 - stop);
    }
    if (a === null || b === null) return null;
    if (isFloat(dtype) && (typeof a === "number" || typeof b === "number" || op === "div"))
      return this.floats(op, numeric(a), numeric(b), dtype);
    if (typeof a === "number" || typeof b === "number") return null;
    switch (op) {
      case "add":
        return fit(D.add(a, b), dtype);
      case "sub":
        return fit(D.sub(a, b), dtype);
      case "mul":
        return fit(D.mul(a, b), dtype);
      case "floordiv":
        return b === D.zero ? D.zero : D.simplify(D.floordiv(a, b), this.ranges);
      case "floormod":
        return D.simplify(D.mod(a, b), this.ranges);
      case "truncdiv":
      case "truncmod":
      case "div": {
        if (a.kind === "int" && b.kind === "int")
          return b.value === 0 ? D.zero : D.int(op === "truncmod" ? a.value % b.value : Math.trunc(a.value / b.value));
        if (!D.nonNegative(a, this.ranges) || !D.nonNegative(b, this.ranges)) return null;
        return D.simplify(op === "truncmod" ? D.mod(a, b) : D.floordiv(a, b), this.ranges);
      }
      case "min":
      case "nanmin":
        return D.simplify(D.min(a, b), this.ranges);
      case "max":
      case "nanmax":
        return D.simplify(D.max(a, b), this.ranges);
      case "lt":
        return this.decide(D.sub(D.sub(b, a), D.one), D.sub(a, b));
      case "le":
        return this.decide(D.sub(b, a), D.sub(D.sub(a, b), D.one));
      case "eq":
      case "ne": {
        const same =
          a === b ? true : D.positive(D.sub(a, b), this.ranges) || D.positive(D.sub(b, a), this.ranges) ? false : null;
        return same === null ? null : D.int(same === (op === "eq") ? 1 : 0);
      }
      default:
        return null;
    }
  }
  private decide(yes: Dim, no: Dim): Val {
    return D.nonNegative(yes, this.ranges) ? D.one : D.nonNegative(no, this.ranges) ? D.zero : null;
  }
  private floats(op: string, a: number | null, b: number | null, dtype: DType): Val {
    if (a === null || b === null) return null;
    switch (op) {
      case "add":
        return num(a + b, dtype);
      case "sub":
        return num(a - b, dtype);
      case "mul":
        return num(a * b, dtype);
      case "div":
        return num(a / b, dtype);
      case "min":
        return num(b < a ? b : a, dtype);
      case "max":
        return num(a < b ? b : a, dtype);
      case "lt":
        return D.int(a < b ? 1 : 0);
      case "le":
        return D.int(a <= b ? 1 : 0);
      case "eq":
        return D.int(a === b ? 1 : 0);
      case "ne":
        return D.int(a !== b ? 1 : 0);
      default:
        return null;
    }
  }
}

function step(index: number[], dims: readonly number[]): void {
  for (let a = dims.length - 1; a >= 0; a--) {
    if (++index[a]! < dims[a]!) return;
    index[a] = 0;
  }
}
function numeric(x: Val): number | null {
  return x === null ? null : typeof x === "number" ? x : x.kind === "int" ? x.value : null;
}
/** A float result rounded to its type; integer values become Dims. Only f32 and f64 are computed. */
function num(x: number, dtype: DType): Val {
  if (dtype !== "f32" && dtype !== "f64") return null;
  const r = dtype === "f32" ? Math.fround(x) : x;
  return Number.isSafeInteger(r) && !Object.is(r, -0) ? D.int(r) : r;
}
function constVal(x: number | bigint, dtype: DType): Val {
  const n = Number(x);
  if (typeof x === "bigint" && !Number.isSafeInteger(n))
    return x > 0n ? D.int(Number.MAX_SAFE_INTEGER) : D.int(-Number.MAX_SAFE_INTEGER);
  if (dtype === "f32" || dtype === "f64") return num(n, dtype);
  return isFloat(dtype) ? null : D.int(n);
}
/** An integer result that would wrap is not known. Symbolic results are taken to fit: they are sizes. */
function fit(d: Dim, dtype: DType): Val {
  if (d.kind !== "int" || isFloat(dtype)) return d;
  const bits = Math.min(intBits(dtype), 53);
  const [lo, hi] = isUnsigned(dtype) ? [0, 2 ** bits - 1] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
  return d.value >= lo && d.value <= hi ? d : null;
}
function castVal(x: Val, to: DType, from: DType): Val {
  if (x === null) return null;
  if (to === "f32" || to === "f64") return typeof x === "number" ? num(x, to) : x.kind === "int" ? num(x.value, to) : x;
  if (isFloat(to)) return null;
  if (to === "bool") {
    const n = numeric(x);
    return n === null ? null : D.int(n !== 0 ? 1 : 0);
  }
  if (typeof x === "number") {
    if (!Number.isFinite(x)) return null;
    return fit(D.int(Math.trunc(x)), to);
  }
  return isFloat(from) && x.kind === "int" && !Number.isSafeInteger(x.value) ? null : fit(x, to);
}

/** What is known of a constant: everything, when it is small and of a type that is evaluated here. */
export function knownOf(t: Tensor): PartialTensor | null {
  const n = countOf(t.dims);
  if (n > maxKnown) return null;
  const cells = typedView(t.dtype, t.bytes);
  const elements: Val[] = [];
  for (let k = 0; k < n; k++) elements.push(constVal(cells[k]!, t.dtype));
  return { dims: t.dims, elements };
}
