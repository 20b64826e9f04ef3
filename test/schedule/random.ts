// Random graphs of the ops that passes treat in special ways: what is inlined, viewed, placed inside, packed, grouped and tiled.
import type { ValueId } from "../../src/base/brand.ts";
import type { Dim } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import { type Attributes, type Builder, Random, type Sizes } from "./build.ts";

const extents = [1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 17];
/** Long enough for what pays only on large tensors. */
const large = [1, 3, 8, 16, 33, 40, 64, 100];
/** Elements of a value, about; graphs stay small. */
const maxElements = 6000;

export type Plan = { readonly build: (b: Builder) => void; readonly sizes: readonly Sizes[] };
/** The graph of a seed. Its symbols are A and B; no op of it jumps, so that roundings stay small. */
export function randomGraph(seed: number): Plan {
  const r = new Random(seed * 7919 + 3);
  const lengths = seed % 3 === 0 ? large : extents;
  const size = (): Sizes => ({ A: r.pick(lengths), B: r.pick(lengths) });
  const sizes = [size(), size()];
  const choices = r.below(1 << 30);
  return { sizes, build: (b) => new Maker(b, new Random(choices), lengths).graph() };
}

export type Kind = () => boolean;
/** Adds nodes of f32 at random. A kind adds one or says that it found nothing to add it to. */
export class Maker {
  protected readonly b: Builder;
  protected readonly r: Random;
  protected readonly values: ValueId[] = [];
  protected readonly used: Set<ValueId> = new Set();
  protected readonly inputs: Set<ValueId> = new Set();
  protected readonly lengths: readonly number[];
  constructor(b: Builder, r: Random, lengths: readonly number[]) {
    this.lengths = lengths;
    this.b = b;
    this.r = r;
  }
  graph(): void {
    const { r } = this;
    const rank = 1 + r.below(this.lengths === large ? 3 : 4);
    for (let k = 0; k <= r.below(2); k++) this.input(this.inputDims(rank));
    const steps = 2 + r.below(7);
    for (let tries = 0, made = 0; made < steps && tries < 60; tries++) if (this.step()) made++;
    this.outputs();
  }
  /** What nothing reads, and sometimes what something reads. */
  protected outputs(): void {
    const { b, r } = this;
    const leaves = this.values.filter((v) => !this.used.has(v));
    const more = this.values.filter((v) => this.used.has(v) && r.below(6) === 0 && !this.isInput(v));
    b.output(...new Set([...leaves.filter((v) => !this.isInput(v)), ...more]));
  }
  protected input(dims: readonly (number | string)[]): void {
    const v = this.b.input(dims);
    this.inputs.add(v);
    this.values.push(v);
  }
  protected isInput(v: ValueId): boolean {
    return this.inputs.has(v);
  }
  protected inputDims(rank: number): (number | string)[] {
    const dims = Array.from({ length: rank }, () =>
      this.r.pick<number | string>([...this.lengths, "A", "B", "A", "B"]),
    );
    return rank > 2 ? dims.map((d) => (typeof d === "number" && d > 9 && this.r.below(2) === 0 ? 3 : d)) : dims;
  }
  protected shape(v: ValueId): readonly Dim[] {
    return this.b.shape(v);
  }
  /** Elements at the larger of two usual sizes of the symbols. */
  protected count(dims: readonly Dim[]): number {
    return D.evaluate(D.product(dims), () => 9);
  }
  protected value(fits: (s: readonly Dim[]) => boolean = () => true): ValueId | null {
    const all = this.values.filter((v) => fits(this.shape(v)));
    // Recent values are taken more often.
    return all.length === 0 ? null : all[Math.max(this.r.below(all.length), this.r.below(all.length))]!;
  }
  protected add(type: string, inputs: readonly (ValueId | null)[], attrs: Attributes = {}, outputs = 1): boolean {
    for (const v of inputs) if (v !== null) this.used.add(v);
    this.values.push(...this.b.ops(type, inputs, attrs, outputs));
    return true;
  }
  protected step(): boolean {
    return this.r.pick(this.kinds()).call(this);
  }
  protected kinds(): readonly Kind[] {
    return [
      this.unary,
      this.unary,
      this.unary,
      this.binary,
      this.binary,
      this.matmul,
      this.matmul,
      this.conv,
      this.conv,
      this.pool,
      this.reduce,
      this.reduce,
      this.softmax,
      this.norm,
      this.transpose,
      this.transpose,
      this.reshape,
      this.reshape,
      this.concat,
      this.concat,
      this.slice,
      this.slice,
      this.pad,
      this.split,
      this.gather,
      this.expand,
      this.where,
      this.convTranspose,
      this.scan,
      this.branches,
      this.loop,
      this.loop,
      this.scanned,
      this.recurrent,
    ];
  }
  private unary(): boolean {
    const x = this.value()!;
    return this.add(this.r.pick(["Relu", "Tanh", "Sigmoid", "Neg", "Abs", "Identity", "Erf", "Elu", "LeakyRelu"]), [x]);
  }
  protected constantLike(s: readonly Dim[]): ValueId {
    const { r } = this;
    const from = r.below(s.length + 1);
    return this.b.constant(s.slice(from).map((d) => (r.below(3) === 0 ? 1 : (D.known(d) ?? 1))));
  }
  private binary(): boolean {
    const x = this.value()!;
    const s = this.shape(x);
    const y = this.value(
      (t) => t.length === s.length && t.every((d, k) => d === s[k] || d === D.one || s[k] === D.one),
    );
    const op = this.r.pick(["Add", "Sub", "Mul", "Max", "Min"]);
    const other = y === null || this.r.below(2) === 0 ? this.constantLike(s) : y;
    return this.add(op, this.r.below(2) === 0 ? [x, other] : [other, x]);
  }
  private matmul(): boolean {
    const { r } = this;
    const x = this.value((s) => s.length >= 1);
    if (x === null) return false;
    const s = this.shape(x);
    const last = s[s.length - 1]!;
    const y = this.value((t) => t.length >= 2 && t[t.length - 2] === last && this.batchFits(s, t));
    if (y !== null && r.below(2) === 0 && this.count(s) < 2000) return this.add("MatMul", [x, y]);
    const k = D.known(last);
    if (k === null) return false;
    const n = r.pick(this.lengths);
    return this.add("MatMul", [x, this.b.constant([k, n])]);
  }
  private batchFits(s: readonly Dim[], t: readonly Dim[]): boolean {
    const [p, q] = [s.slice(0, -2), t.slice(0, -2)];
    const n = Math.min(p.length, q.length);
    return Array.from({ length: n }, (_, k) => [p[p.length - 1 - k]!, q[q.length - 1 - k]!] as const).every(
      ([a, b]) => a === b || a === D.one || b === D.one,
    );
  }
  private window(
    rank: number,
    min: readonly number[],
  ): { attrs: Record<string, number | string | readonly number[]>; kernel: number[] } {
    const { r } = this;
    const kernel = min.map((m) => 1 + r.below(Math.min(3, m)));
    const attrs: Record<string, number | string | readonly number[]> = {};
    if (r.below(2) === 0) attrs["strides"] = min.map(() => 1 + r.below(3));
    const mode = r.below(4);
    if (mode === 0) attrs["auto_pad"] = r.pick(["SAME_UPPER", "SAME_LOWER", "VALID"]);
    else if (mode < 3) attrs["pads"] = [...kernel, ...kernel].map((k) => (mode === 1 ? k >> 1 : r.below(k)));
    if (mode !== 0 && r.below(4) === 0 && min.every((m, k) => m >= kernel[k]! * 2))
      attrs["dilations"] = min.map(() => 1 + r.below(2));
    return { attrs, kernel: rank === min.length ? kernel : kernel.slice(0, rank) };
  }
  private conv(): boolean {
    const { r } = this;
    const x = this.value((s) => s.length >= 3 && s.length <= 5 && D.known(s[1]!) !== null);
    if (x === null) return false;
    const s = this.shape(x);
    const c = D.known(s[1]!)!;
    const groups = [1, 1, c, ...[2, 3, 4].filter((g) => c % g === 0)];
    const group = r.pick(groups);
    const m = group * (group === c ? r.pick([1, 1, 2]) : r.pick([1, 2, 3, 4, 5, 8, 16]));
    if (m > 32) return false;
    const { attrs, kernel } = this.window(
      s.length - 2,
      s.slice(2).map((d) => D.known(d) ?? 1),
    );
    const bias = r.below(2) === 0 ? [this.b.constant([m])] : [];
    return this.add("Conv", [x, this.b.constant([m, c / group, ...kernel]), ...bias], { ...attrs, group });
  }
  private convTranspose(): boolean {
    const { r } = this;
    const x = this.value((s) => s.length >= 3 && s.length <= 4 && D.known(s[1]!) !== null && this.count(s) < 1000);
    if (x === null) return false;
    const s = this.shape(x);
    const c = D.known(s[1]!)!;
    const kernel = s.slice(2).map(() => 1 + r.below(3));
    const strides = s.slice(2).map(() => 1 + r.below(2));
    return this.add("ConvTranspose", [x, this.b.constant([c, 1 + r.below(4), ...kernel])], { strides });
  }
  private pool(): boolean {
    const { r } = this;
    const x = this.value((s) => s.length >= 3 && s.length <= 5);
    if (x === null) return false;
    const s = this.shape(x);
    if (r.below(4) === 0) return this.add(r.pick(["GlobalAveragePool", "GlobalMaxPool"]), [x]);
    const { attrs, kernel } = this.window(
      s.length - 2,
      s.slice(2).map((d) => D.known(d) ?? 1),
    );
    const type = r.pick(["MaxPool", "AveragePool"]);
    const more: Attributes = type === "AveragePool" && r.below(2) === 0 ? { count_include_pad: 1 } : {};
    const ceil: Attributes = attrs["auto_pad"] === undefined && r.below(3) === 0 ? { ceil_mode: 1 } : {};
    return this.add(type, [x], { ...attrs, kernel_shape: kernel, ...more, ...ceil });
  }
  protected axes(n: number): number[] {
    return Array.from({ length: n }, (_, k) => k).filter(() => this.r.below(2) === 0);
  }
  private reduce(): boolean {
    const { b, r } = this;
    const x = this.value((s) => s.length > 0)!;
    if (x === null) return false;
    const rank = this.shape(x).length;
    const axes = this.axes(rank);
    if (axes.length === 0) axes.push(r.below(rank));
    const type = r.pick([
      "ReduceSum",
      "ReduceMax",
      "ReduceMean",
      "ReduceMin",
      "ReduceL2",
      "ReduceSumSquare",
      "ReduceLogSumExp",
    ]);
    return this.add(type, [x, b.ints(axes)], { keepdims: r.below(2) });
  }
  private softmax(): boolean {
    const x = this.value((s) => s.length > 0);
    return (
      x !== null && this.add(this.r.pick(["Softmax", "LogSoftmax"]), [x], { axis: this.r.below(this.shape(x).length) })
    );
  }
  private norm(): boolean {
    const { b, r } = this;
    const x = this.value((s) => s.length >= 2);
    if (x === null) return false;
    const s = this.shape(x);
    if (s.length >= 3 && D.known(s[1]!) !== null && r.below(2) === 0) {
      const c = D.known(s[1]!)!;
      return this.add("InstanceNormalization", [x, b.constant([c]), b.constant([c])], { epsilon: 0.1 });
    }
    const axis = s.length - 1 - r.below(2);
    const dims = s.slice(axis).map((d) => D.known(d));
    if (dims.some((d) => d === null)) return false;
    return this.add("LayerNormalization", [x, b.constant(dims as number[]), b.constant(dims as number[])], {
      axis,
      epsilon: 0.1,
    });
  }
  private transpose(): boolean {
    const x = this.value((s) => s.length >= 2);
    if (x === null) return false;
    const perm = this.shape(x).map((_, k) => k);
    for (let k = perm.length - 1; k > 0; k--) {
      const j = this.r.below(k + 1);
      [perm[k], perm[j]] = [perm[j]!, perm[k]!];
    }
    return this.add("Transpose", [x], { perm });
  }
  private reshape(): boolean {
    const { b, r } = this;
    const x = this.value()!;
    const s = this.shape(x);
    switch (r.below(5)) {
      case 0: {
        if (s.length === 0 || s.length > 4) return false;
        const at = r.below(s.length + 1);
        return this.add("Unsqueeze", [x, b.ints([at])]);
      }
      case 1: {
        const ones = s.flatMap((d, k) => (d === D.one ? [k] : []));
        return ones.length > 0 && this.add("Squeeze", [x, b.ints([r.pick(ones)])]);
      }
      case 2:
        return s.length > 0 && this.add("Flatten", [x], { axis: r.below(s.length + 1) });
      case 3: {
        // Joins two axes.
        if (s.length < 2) return false;
        const at = r.below(s.length - 1);
        const dims = s
          .map((d, k) => (k === at ? -1 : D.known(d) !== null ? D.known(d)! : 0))
          .filter((_, k) => k !== at + 1);
        // 0 copies the dim at the same place: of axes behind the joined ones that is another.
        if (s.slice(at + 2).some((d) => D.known(d) === null)) return false;
        return this.add("Reshape", [x, b.ints(dims)]);
      }
      default: {
        // Splits an axis.
        const k = s.findIndex((d) => (D.known(d) ?? 1) > 1 && [2, 3, 4].some((f) => D.known(d)! % f === 0));
        if (k < 0 || s.length > 4 || s.slice(k + 1).some((d) => D.known(d) === null)) return false;
        const f = [4, 3, 2].find((g) => D.known(s[k]!)! % g === 0)!;
        const n = D.known(s[k]!)!;
        const dims = s.flatMap((d, j) => (j === k ? (r.below(2) === 0 ? [n / f, f] : [f, n / f]) : [D.known(d) ?? 0]));
        return this.add("Reshape", [x, b.ints(dims)]);
      }
    }
  }
  private concat(): boolean {
    const { b, r } = this;
    const x = this.value((s) => s.length > 0);
    if (x === null) return false;
    const s = this.shape(x);
    const axis = r.below(s.length);
    const fits = (t: readonly Dim[]): boolean => t.length === s.length && t.every((d, k) => k === axis || d === s[k]);
    const list = [x];
    for (let k = 0; k <= r.below(3); k++) list.push(this.value(fits)!);
    if (r.below(4) === 0 && s.every((d) => D.known(d) !== null)) list.push(b.constant(s.map((d) => D.known(d)!)));
    if (this.count(s) * list.length > maxElements) return false;
    return this.add("Concat", r.below(2) === 0 ? list : list.reverse(), { axis });
  }
  private slice(): boolean {
    const { b, r } = this;
    const x = this.value((s) => s.some((d) => (D.known(d) ?? 0) > 1));
    if (x === null) return false;
    const s = this.shape(x);
    const axis = r.pick(s.flatMap((d, k) => ((D.known(d) ?? 0) > 1 ? [k] : [])));
    const n = D.known(s[axis]!)!;
    const start = r.below(n);
    const end = start + 1 + r.below(n - start);
    const step = r.pick([1, 1, 2, 3]);
    if (r.below(4) === 0)
      return this.add("Slice", [x, b.ints([end - 1]), b.ints([start - 1 - n]), b.ints([axis]), b.ints([-step])]);
    return this.add("Slice", [x, b.ints([start]), b.ints([end]), b.ints([axis]), b.ints([step])]);
  }
  private pad(): boolean {
    const { b, r } = this;
    const x = this.value((s) => s.length > 0);
    if (x === null) return false;
    const s = this.shape(x);
    const pads = [...s, ...s].map(() => (r.below(2) === 0 ? 0 : r.below(3)));
    if (this.count(s) * 4 > maxElements) return false;
    return this.add("Pad", [x, b.ints(pads), b.scalar(r.pick([0, 0, 0.5]))]);
  }
  private split(): boolean {
    const { b, r } = this;
    const x = this.value((s) => s.some((d) => (D.known(d) ?? 0) > 1));
    if (x === null) return false;
    const s = this.shape(x);
    const axis = r.pick(s.flatMap((d, k) => ((D.known(d) ?? 0) > 1 ? [k] : [])));
    const n = D.known(s[axis]!)!;
    const first = 1 + r.below(n - 1);
    return this.add("Split", [x, b.ints([first, n - first])], { axis }, 2);
  }
  private gather(): boolean {
    const { b, r } = this;
    const x = this.value((s) => s.some((d) => D.known(d) !== null));
    if (x === null) return false;
    const s = this.shape(x);
    const axis = r.pick(s.flatMap((d, k) => (D.known(d) !== null ? [k] : [])));
    const n = D.known(s[axis]!)!;
    const index = Array.from({ length: 1 + r.below(4) }, () => r.below(n) - (r.below(3) === 0 ? n : 0));
    return this.add("Gather", [x, b.ints(index)], { axis });
  }
  private expand(): boolean {
    const { b, r } = this;
    const x = this.value((s) => s.includes(D.one) && this.count(s) < 400);
    if (x === null) return false;
    return this.add("Expand", [x, b.ints(this.shape(x).map((d) => (d === D.one ? r.pick([1, 3, 8]) : 1)))]);
  }
  private where(): boolean {
    const x = this.value()!;
    const s = this.shape(x);
    const y = this.value((t) => t.length === s.length && t.every((d, k) => d === s[k]))!;
    const c = this.b.constant(
      s.slice(-1).map((d) => D.known(d) ?? 1),
      "bool",
    );
    return this.add("Where", [c, x, y]);
  }
  private scan(): boolean {
    const x = this.value((s) => s.length > 0);
    if (x === null) return false;
    return this.add("CumSum", [x, this.b.scalar(this.r.below(this.shape(x).length), "i64")], {
      reverse: this.r.below(2),
      exclusive: this.r.below(2),
    });
  }

  // ---- control flow: bodies are chains that keep the shape ----------------------------------------------------------
  /** A value of x's shape, by some steps from x and sometimes `other`, which has that shape too. */
  protected chain(b: Builder, x: ValueId, other: ValueId | null): ValueId {
    const { r } = this;
    let now = x;
    for (let k = 0; k <= r.below(3); k++) now = this.link(b, now, other);
    return now;
  }
  protected link(b: Builder, x: ValueId, other: ValueId | null): ValueId {
    const { r } = this;
    const s = b.shape(x);
    const last = s.length > 0 ? D.known(s[s.length - 1]!) : null;
    const axis = s.length > 0 ? r.below(s.length) : 0;
    switch (r.below(s.length === 0 ? 2 : 9)) {
      case 0:
        return b.op(r.pick(["Tanh", "Sigmoid", "Relu", "Neg", "Identity"]), [x]);
      case 1:
        return b.op(r.pick(["Add", "Mul", "Max", "Sub"]), [
          x,
          other !== null && r.below(2) === 0 ? other : b.constant([]),
        ]);
      case 2:
        return b.op("Softmax", [x], { axis });
      case 3:
        return b.op("CumSum", [x, b.scalar(axis, "i64")], { exclusive: r.below(2) });
      case 4: {
        const perm = s.map((_, k) => (k === 0 ? s.length - 1 : k === s.length - 1 ? 0 : k));
        return b.op("Transpose", [b.op("Exp", [b.op("Neg", [b.op("Abs", [b.op("Transpose", [x], { perm })])])])], {
          perm,
        });
      }
      case 5: {
        const pads = [...s.map((_, k) => (k === axis ? 1 : 0)), ...s.map((_, k) => (k === axis ? 2 : 0))];
        const padded = b.op("Pad", [x, b.ints(pads), b.scalar(0.5)]);
        return b.op("Slice", [padded, b.ints([0]), b.ints([-3]), b.ints([axis])]);
      }
      case 6: {
        const both = b.op("Concat", [b.op("Tanh", [x]), other ?? x], { axis });
        const [first] =
          last !== null && axis === s.length - 1 ? b.ops("Split", [both, b.ints([last, last])], { axis }, 2) : [null];
        return first ?? b.op("ReduceMax", [b.op("Unsqueeze", [x, b.ints([0])]), b.ints([0])], { keepdims: 0 });
      }
      case 7:
        return last === null ? b.op("Tanh", [x]) : b.op("Tanh", [b.op("MatMul", [x, b.constant([last, last])])]);
      default:
        // Not the difference: of rows that are nearly constant roundings would be all that is left.
        return b.op("Add", [x, b.op("ReduceMean", [x, b.ints([axis])], { keepdims: 1 })]);
    }
  }
  protected small(): ValueId | null {
    return this.value((s) => this.count(s) <= 600);
  }
  protected alike(x: ValueId): ValueId {
    const s = this.shape(x);
    return this.value((t) => t.length === s.length && t.every((d, k) => d === s[k]))!;
  }
  private branches(): boolean {
    const { b, r } = this;
    const x = this.small();
    if (x === null) return false;
    const y = this.alike(x);
    const branch = (): Attributes[string] =>
      b.body([b.type(x), b.type(y)], (c, [p, q]) => [
        this.chain(c, p!, q!),
        ...(r.below(2) === 0 ? [this.chain(c, q!, null)] : [c.op("Tanh", [q!])]),
      ]);
    const cond =
      r.below(2) === 0 ? b.input([], "bool") : b.op("Less", [b.op("ReduceMax", [x], { keepdims: 0 }), b.scalar(0.5)]);
    return this.add("If", [cond, x, y, x, y], { then_branch: branch(), else_branch: branch() }, 2);
  }
  private loop(): boolean {
    const { b, r } = this;
    const x = this.small();
    if (x === null) return false;
    const y = this.alike(x);
    const stops = r.below(3) === 0;
    const scalarOf = (dtype: "i64" | "bool") => ({ kind: "tensor", tensor: { dtype, shape: [] } }) as const;
    const body = b.body(
      [scalarOf("i64"), scalarOf("bool"), b.type(x), b.type(y), b.type(y)],
      (c, [i, on, p, q, capture]) => {
        const next = this.chain(c, p!, q!);
        const go = stops
          ? c.op("Less", [c.op("ReduceSum", [next], { keepdims: 0 }), c.scalar(1.5)])
          : c.op("Identity", [on!]);
        const step = c.op("Add", [capture!, c.op("Cast", [i!], { to: "f32" })]);
        // Sometimes the two swap.
        const carried = r.below(3) === 0 ? [q!, next] : [next, this.chain(c, q!, step)];
        return [go, ...carried, c.op("Mul", [next, c.scalar(0.5)])];
      },
    );
    const trip = r.below(2) === 0 ? b.input([], "i64", [-1, 6]) : b.scalar(r.below(4), "i64");
    return this.add("Loop", [trip, b.scalar(1, "bool"), x, y, y], { body }, 3);
  }
  private scanned(): boolean {
    const { b, r } = this;
    const x = this.value((s) => s.length >= 1 && this.count(s) <= 600);
    if (x === null) return false;
    const s = this.shape(x);
    const state = b.op("ReduceSum", [x, b.ints([0])], { keepdims: 0 });
    this.used.add(x);
    const slice = { kind: "tensor", tensor: { dtype: "f32", shape: s.slice(1) } } as const;
    const body = b.body([slice, slice], (c, [p, q]) => {
      const next = c.op("Tanh", [this.chain(c, p!, q!)]);
      return [next, r.below(2) === 0 ? this.chain(c, next, q!) : next];
    });
    const attrs: Attributes =
      r.below(2) === 0 ? {} : { scan_input_directions: [1], scan_output_axes: [r.below(s.length)] };
    return this.add("Scan", [state, x], { body, num_scan_inputs: 1, ...attrs }, 2);
  }
  private recurrent(): boolean {
    const { b, r } = this;
    const x = this.value((s) => s.length === 3 && D.known(s[2]!) !== null && this.count(s) <= 600);
    if (x === null) return false;
    const [type, gates, outputs] = r.pick([
      ["LSTM", 4, 3],
      ["GRU", 3, 2],
      ["RNN", 1, 2],
    ] as const);
    const direction = r.pick(["forward", "reverse", "bidirectional"]);
    const d = direction === "bidirectional" ? 2 : 1;
    const h = r.pick([1, 3, 4, 5, 8]);
    const w = b.constant([d, gates * h, D.known(this.shape(x)[2]!)!]);
    // Small enough that a state forgets: in long sequences roundings must not grow.
    const again = b.op("Mul", [b.constant([d, gates * h, h]), b.scalar(1 / h)]);
    const bias = r.below(2) === 0 ? [b.constant([d, 2 * gates * h])] : [];
    const attrs: Attributes = type === "GRU" && r.below(2) === 0 ? { linear_before_reset: 1 } : {};
    return this.add(type, [x, w, again, ...bias], { hidden_size: h, direction, ...attrs }, outputs);
  }
}
