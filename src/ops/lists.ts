// Sequences and optionals that are known only in the run. A sequence is two tensors: `shapes`, i32 [elements, columns], a row per
// element, of its rank, its dims and ones; and `data`, the elements one after another. So its length and its size are dims like others:
// loops carry it, branches choose it, and memory holds it as any tensor whose size depends on data. An optional tensor is a sequence of
// one element or none; an optional sequence has a flag, bool [], in front. The operators on the two tensors are here; none is ONNX's.
import type { ValueId } from "../base/brand.ts";
import type { Dim } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { type Expr, load, ofDim } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import { type GraphBuilder, type InferCtx, type OpDef, op, type TeBuilder } from "../ir/opdef.ts";
import type { Buffer } from "../ir/storage.ts";
import { type DType, type TensorType, tensorOf, tensorType, type ValueType } from "../ir/types.ts";
import { shapeText, tensor } from "./common.ts";
import { Expander } from "./expander.ts";
import { dimAt, intAt, scalarOf, toIndex } from "./ints.ts";
import { Concat, Shape } from "./move.ts";
import { sumInto } from "./reduce.ts";
import { View } from "./view.ts";

/** The width of the table of shapes: no element has a rank over 8. */
export const columns = 9;
const maxRank = columns - 1;

/** A dim of an element that is not known, or not the same in all. */
export const openDim: Dim = D.sym("$element" as D.Sym["id"]);

/** The element type of a list; the shape is null when elements are of any rank, or none is there. */
export function elementOf(t: ValueType): { readonly dtype: DType; readonly shape: readonly Dim[] | null } {
  if (t.kind === "tensor") return t.tensor;
  const inner = elementOf(t.of);
  return t.elements === undefined ? inner : { dtype: inner.dtype, shape: null };
}
/** The element type that holds for both. Null when their dtypes differ. */
export function joinedElements(a: ValueType, b: ValueType): ValueType | null {
  if (a.kind === "tensor" || b.kind === "tensor") {
    if (a.kind !== "tensor" || b.kind !== "tensor") return null;
    const [p, q] = [a.tensor, b.tensor];
    if (p.dtype !== q.dtype || p.shape.length !== q.shape.length) return null;
    return tensorType(
      p.dtype,
      p.shape.map((d, k) => (d === q.shape[k] && d.kind === "int" ? d : openDim)),
    );
  }
  if (a.kind !== b.kind || elementOf(a).dtype !== elementOf(b).dtype) return null;
  if (a.elements === "none") return b;
  if (b.elements === "none") return a;
  const of = a.elements === "any" || b.elements === "any" ? null : joinedElements(a.of, b.of);
  return of ? { kind: a.kind, of } : { kind: a.kind, of: a.of, elements: "any" };
}
/** The types of the tensors that a list of this type is made of, with these dims for its length and its size. */
export function partTypes(t: ValueType, length: Dim, size: Dim): readonly ValueType[] {
  if (t.kind === "tensor") return [t];
  const { dtype } = elementOf(t);
  const own = [tensorType("i32", [length, D.int(columns)]), tensorType(dtype, [size])];
  return isDeep(t) ? [tensorType("bool", []), ...own] : own;
}
/** An optional sequence. */
export function isDeep(t: ValueType): boolean {
  return t.kind === "optional" && t.of.kind === "sequence";
}
/** The names of the parts of what is called `name`. */
export function partNames(t: ValueType, name: string): readonly string[] {
  if (t.kind === "tensor") return [name];
  return isDeep(t) ? [`${name}.present`, `${name}.shapes`, name] : [`${name}.shapes`, name];
}

// ---- operators
/** A number as a dim: bound in the run, which stops when it is outside of min..max. */
function dimOf(b: TeBuilder, stem: string, value: Expr, min = 0, max: number | null = null): Dim {
  const cell = b.temp(stem, "i32", [D.one]);
  b.map(cell, () => value);
  const s = b.symbol(stem);
  b.dim(s.id, { buffer: cell, index: D.zero }, min, max);
  return s.dim;
}
/** Elements of a row's tensor. */
function sizeOf(shapes: Buffer, row: Expr): Expr {
  const dims = Array.from({ length: maxRank }, (_, k) => load<Expr>(shapes, [row, E.i32(k + 1)]));
  return dims.reduce<Expr | null>((p, q) => (p ? E.mul(p, q) : q), null)!;
}
/** The sum of f over the rows before `row`. */
function before(
  b: TeBuilder,
  stem: string,
  shapes: Buffer,
  row: Dim,
  f: (row: Expr) => Expr = (k) => sizeOf(shapes, k),
): Dim {
  const sum = b.temp(stem, "i32", [D.one]);
  sumInto(b, sum, [row], (_i, [k]) => f(k!));
  const s = b.symbol(stem);
  b.dim(s.id, { buffer: sum, index: D.zero });
  return s.dim;
}
/** Position input `k` counted from the end when negative, checked to be below `end`. */
function positionOf(b: TeBuilder, k: number, length: Dim, end: Dim): Dim {
  const p = toIndex(scalarOf(b.input(k)));
  const at = E.where(E.lt(p, 0), E.add(p, ofDim(length)), p);
  return dimOf(b, "position", E.where(E.lt(at, ofDim(end)), at, E.i32(-1)));
}
function lists(x: readonly (ValueType | null)[], ctx: InferCtx): { readonly length: Dim; readonly data: TensorType } {
  return { length: tensor(x, 0, ctx).shape[0]!, data: tensor(x, 1, ctx) };
}
function internal<A extends Attrs>(
  name: string,
  infer: OpDef<A>["infer"],
  loops: (b: TeBuilder, a: A) => void,
): OpDef<A> {
  return op<A>({
    name,
    onnx: [],
    accuracy: { kind: "exact" },
    effects: "none",
    parse: (n) => n.fail(`${name} is no operator of ONNX`),
    infer,
    body: { kind: "loops", loops: (b, n) => loops(b, n.attrs) },
  });
}
type None = Record<string, never>;

/** Inputs: shapes, data, the row and the elements of the new one, and maybe a position. */
export const ListInsert: OpDef<None> = internal(
  "ListInsert",
  (x, _a, ctx) => {
    const { length, data } = lists(x, ctx);
    return [
      tensorType("i32", [D.add(length, D.one), D.int(columns)]),
      tensorType(data.dtype, [D.add(data.shape[0]!, tensor(x, 3, ctx).shape[0]!)]),
    ];
  },
  (b) => {
    const [shapes, data, row, flat] = [b.input(0), b.input(1), b.input(2), b.input(3)];
    const [length, size] = [shapes.shape[0]!, flat.shape[0]!];
    const at = b.has(4) ? positionOf(b, 4, length, D.add(length, D.one)) : length;
    const offset = b.has(4) ? before(b, "offset", shapes, at) : data.shape[0]!;
    const put = (out: Buffer, i: readonly Expr[], from: Dim, n: Dim, old: Buffer, now: (k: Expr) => Expr): Expr => {
      const k = i[0]!;
      const later = E.sub(k, ofDim(n));
      return E.select<Expr>(
        E.lt(k, ofDim(from)),
        load(old, i),
        E.select<Expr>(
          E.lt(k, ofDim(D.add(from, n))),
          E.to(out.dtype, now(E.sub(k, ofDim(from)))),
          load(old, [later, ...i.slice(1)]),
        ),
      );
    };
    if (b.wants(0)) b.map(b.output(0), (i) => put(b.output(0), i, at, D.one, shapes, () => load(row, [i[1]!])));
    if (b.wants(1)) b.map(b.output(1), (i) => put(b.output(1), i, offset, size, data, (k) => load(flat, [k])));
  },
);
/** Inputs: shapes, data, and maybe a position: of the last element where it is absent. */
export const ListErase: OpDef<None> = internal(
  "ListErase",
  (x, _a, ctx) => {
    const { length, data } = lists(x, ctx);
    return [
      tensorType("i32", [D.sub(length, D.one), D.int(columns)]),
      tensorType(data.dtype, [ctx.fresh("elements", 0, null)]),
    ];
  },
  (b) => {
    const [shapes, data] = [b.input(0), b.input(1)];
    const length = shapes.shape[0]!;
    const at = b.has(2) ? positionOf(b, 2, length, length) : dimOf(b, "position", E.sub(ofDim(length), 1));
    const offset = before(b, "offset", shapes, at);
    const size = dimOf(b, "size", sizeOf(shapes, ofDim(at)));
    const [rows, rest] = [b.output(0), b.output(1)];
    bindTo(b, rest.shape[0]!, D.sub(data.shape[0]!, size));
    const cut = (i: readonly Expr[], from: Dim, n: Dim, old: Buffer): Expr => {
      const k = E.where(E.lt(i[0]!, ofDim(from)), i[0]!, E.add(i[0]!, ofDim(n)));
      return load(old, [k, ...i.slice(1)]);
    };
    b.map(rows, (i) => cut(i, at, D.one, shapes));
    b.map(rest, (i) => cut(i, offset, size, data));
  },
);
function bindTo(b: TeBuilder, d: Dim, value: Dim): void {
  if (d.kind === "sym" && d !== value && b.isData(d.id)) b.dim(d.id, { value });
}

/** Inputs: shapes, data, a position; the element there, which has to be of this type: open where a dim is no number. */
export const ListAt: OpDef<{ readonly type: TensorType }> = internal(
  "ListAt",
  (_x, a, ctx) => [
    tensorType(
      a.type.dtype,
      a.type.shape.map((d) => (d.kind === "int" ? d : ctx.fresh("element", 0, null))),
    ),
  ],
  (b, a) => {
    const [shapes, data, out] = [b.input(0), b.input(1), b.output(0)];
    const length = shapes.shape[0]!;
    const at = positionOf(b, 2, length, length);
    const cell = (k: number): Expr => load(shapes, [ofDim(at), E.i32(k)]);
    const rank = a.type.shape.length;
    dimOf(b, "rank", cell(0), rank, rank);
    out.shape.forEach((d, k) => {
      if (d.kind === "int") dimOf(b, "extent", cell(k + 1), d.value, d.value);
      else bindTo(b, d, dimOf(b, "extent", cell(k + 1)));
    });
    const offset = before(b, "offset", shapes, at);
    b.map(out, (i) => load(data, [E.add(ofDim(offset), linear(i, out.shape.map(ofDim)))]));
  },
);
function linear(i: readonly Expr[], extents: readonly Expr[]): Expr {
  return i.reduce<Expr>((sum, x, k) => (k === 0 ? x : E.add(E.mul(sum, extents[k]!), x)), E.i32(0));
}

type JoinAttrs = { readonly axis: number; readonly stack: boolean; readonly type: TensorType };
/** Inputs: shapes, data. All elements of this type one after another along an axis, or along a new one. */
export const ListConcat: OpDef<JoinAttrs> = internal<JoinAttrs>(
  "ListConcat",
  (x, a, ctx) => {
    const { length } = lists(x, ctx);
    const own = a.type.shape.map((d, k) =>
      d.kind === "int" && (a.stack || k !== a.axis) ? d : ctx.fresh("joined", 0, null),
    );
    return [tensorType(a.type.dtype, a.stack ? [...own.slice(0, a.axis), length, ...own.slice(a.axis)] : own)];
  },
  (b, a) => {
    const [shapes, data, out] = [b.input(0), b.input(1), b.output(0)];
    const length = shapes.shape[0]!;
    dimOf(b, "length", ofDim(length), 1);
    const rank = a.type.shape.length;
    const extent = (row: Expr, k: number): Expr => load(shapes, [row, E.i32(k + 1)]);
    const own = a.stack ? out.shape.filter((_, k) => k !== a.axis) : out.shape;
    // Elements that do not fit the first one stop the run.
    own.forEach((d, k) => {
      if (!a.stack && k === a.axis) return;
      const first = d.kind === "int" ? d : dimOf(b, "extent", extent(E.i32(0), k));
      bindTo(b, d, first);
      const other = b.temp("other", "i32", [D.one]);
      sumInto(b, other, [length], (_i, [r]) => E.to("i32", E.ne(extent(r!, k), ofDim(first))));
      b.dim(b.symbol("other").id, { buffer: other, index: D.zero }, 0, 0);
    });
    const other = b.temp("ranks", "i32", [D.one]);
    sumInto(b, other, [length], (_i, [r]) => E.to("i32", E.ne(load(shapes, [r!, E.i32(0)]), rank)));
    b.dim(b.symbol("ranks").id, { buffer: other, index: D.zero }, 0, 0);
    if (!a.stack)
      bindTo(
        b,
        out.shape[a.axis]!,
        before(b, "total", shapes, length, (r) => extent(r, a.axis)),
      );
    const starts = b.temp("starts", "i32", [length]);
    const offsets = b.temp("offsets", "i32", [length]);
    const upTo = (row: Expr, r: Expr, e: Expr): Expr => E.where(E.lt(r, row), e, E.i32(0));
    if (!a.stack) sumInto(b, starts, [length], ([row], [r]) => upTo(row!, r!, extent(r!, a.axis)));
    sumInto(b, offsets, [length], ([row], [r]) => upTo(row!, r!, sizeOf(shapes, r!)));
    if (a.stack) {
      b.map(out, (i) => {
        const rest = i.filter((_, k) => k !== a.axis);
        return load(data, [E.add(load(offsets, [i[a.axis]!]), linear(rest, own.map(ofDim)))]);
      });
      return;
    }
    const which = b.temp("which", "i32", [out.shape[a.axis]!]);
    sumInto(b, which, [length], ([p], [r]) => E.to("i32", E.le(E.add(load(starts, [r!]), extent(r!, a.axis)), p!)));
    b.map(out, (i) => {
      const row = load<Expr>(which, [i[a.axis]!]);
      const at = i.map((x, k) => (k === a.axis ? E.sub(x, load(starts, [row])) : x));
      const extents = out.shape.map((d, k) => (k === a.axis ? extent(row, k) : ofDim(d)));
      return load(data, [E.add(load(offsets, [row]), linear(at, extents))]);
    });
  },
);

type SplitAttrs = { readonly axis: number; readonly keep: boolean };
/** Inputs: a tensor, and the sizes of the parts: one for each, one for all (the last may be smaller), or none for parts of 1. */
export const ListSplit: OpDef<SplitAttrs> = internal<SplitAttrs>(
  "ListSplit",
  (x, a, ctx) => {
    const t = tensor(x, 0, ctx);
    const split = x[1]?.kind === "tensor" ? x[1].tensor : null;
    if (t.shape.length > maxRank) ctx.fail(`a sequence of tensors of rank ${t.shape.length}`);
    if (split && split.shape.length > 1) ctx.fail(`sizes of shape ${shapeText(split.shape)}`);
    const each = split?.shape.length === 0 ? dimAt(ctx.known(1), 0) : null;
    const extent = t.shape[a.axis]!;
    const length = !split
      ? extent
      : split.shape.length === 1
        ? split.shape[0]!
        : each && (D.known(each) ?? 0) > 0
          ? D.floordiv(D.add(extent, D.sub(each, D.one)), each)
          : ctx.fresh("parts", 0, null);
    return [tensorType("i32", [length, D.int(columns)]), tensorType(t.dtype, [D.product(t.shape)])];
  },
  (b, a) => {
    const [x, shapes, data] = [b.input(0), b.output(0), b.output(1)];
    const extent = x.shape[a.axis]!;
    let length = shapes.shape[0]!;
    let start: (part: Expr) => Expr = (part) => part;
    let size: (part: Expr) => Expr = () => E.i32(1);
    let partAt: (position: Expr) => Expr = (position) => position;
    if (b.has(1) && b.types.inputs[1]?.kind === "tensor" && b.types.inputs[1].tensor.shape.length === 0) {
      const each = ofDim(dimOf(b, "size", intAt(b, 1), 1));
      const count = E.floordiv(E.add(ofDim(extent), E.sub(each, 1)), each);
      bindTo(b, length, dimOf(b, "parts", count));
      start = (part) => E.mul(part, each);
      size = (part) => E.min(each, E.sub(ofDim(extent), start(part)));
      partAt = (position) => E.floordiv(position, each);
    } else if (b.has(1)) {
      const sizes = b.input(1);
      length = sizes.shape[0]!;
      size = (part) => toIndex(load(sizes, [part]));
      const starts = b.temp("starts", "i32", [length]);
      sumInto(b, starts, [length], ([row], [r]) => E.where(E.lt(r!, row!), size(r!), E.i32(0)));
      start = (part) => load(starts, [part]);
      const total = before(b, "total", shapes, length, size);
      dimOf(b, "extent", E.sub(ofDim(total), ofDim(extent)), 0, 0);
      const which = b.temp("which", "i32", [extent]);
      sumInto(b, which, [length], ([p], [r]) => E.to("i32", E.le(E.add(start(r!), size(r!)), p!)));
      partAt = (position) => load(which, [position]);
    }
    const rank = x.shape.length - (a.keep ? 0 : 1);
    b.map(shapes, ([part, column]) => {
      const dims = x.shape.flatMap((d, k) => (k !== a.axis ? [ofDim(d)] : a.keep ? [size(part!)] : []));
      return [E.i32(rank), ...dims].reduceRight<Expr>((rest, e, k) => E.where(E.eq(column!, k), e, rest), E.i32(1));
    });
    const inner = ofDim(D.product(x.shape.slice(a.axis + 1)));
    const row = E.mul(ofDim(D.product(x.shape.slice(0, a.axis))), inner);
    b.map(data, ([t]) => {
      // Where part k begins in data is its first position along the axis times what one position holds.
      const part = partAt(E.floordiv(t!, row));
      const local = E.sub(t!, E.mul(start(part), row));
      const span = E.mul(size(part), inner);
      const [o, rest] = [E.floordiv(local, span), E.floormod(local, span)];
      const along = E.add(start(part), E.floordiv(rest, inner));
      const split = (e: Expr, dims: readonly Dim[]): Expr[] =>
        dims.map((d, k) => {
          const by = D.product(dims.slice(k + 1));
          const q = by === D.one ? e : E.floordiv(e, ofDim(by));
          return k === 0 ? q : E.floormod(q, ofDim(d));
        });
      return load(x, [
        ...split(o, x.shape.slice(0, a.axis)),
        along,
        ...split(E.floormod(rest, inner), x.shape.slice(a.axis + 1)),
      ]);
    });
  },
);

// ---- from values
/** The row and the elements of a tensor as an element of a sequence. */
export function rowOf(b: GraphBuilder, x: ValueId): { readonly row: ValueId; readonly flat: ValueId } {
  const e = new Expander(b);
  const shape = e.shape(x);
  if (shape.length > maxRank) b.fail(`a sequence of tensors of rank ${shape.length}`);
  const ints = (values: readonly number[]): ValueId => b.constant(tensorOf("i32", [values.length], values));
  const dims = shape.length === 0 ? [] : [e.cast(e.one(Shape, [x], { start: 0, end: shape.length }), "i32")];
  const ones = shape.length === maxRank ? [] : [ints(Array.from({ length: maxRank - shape.length }, () => 1))];
  const row = e.one(Concat, [ints([shape.length]), ...dims, ...ones], { axis: 0 });
  return { row, flat: e.one(View, [x], { type: { dtype: e.dtype(x), shape: [D.product(shape)] } }) };
}
/** The tensors that a sequence or optional is made of in the run: in this order a flag for an optional sequence, shapes, data. */
export function partsOf(b: GraphBuilder, v: ValueId): readonly ValueId[] {
  const type = b.type(v);
  if (type.kind === "tensor") return [v];
  const parts = b.parts(v);
  if (parts) return parts;
  const elements = b.elements(v) ?? b.fail("a list without elements");
  const empty = (dtype: DType): readonly ValueId[] => [
    b.constant(tensorOf("i32", [0, columns], [])),
    b.constant(tensorOf(dtype, [0], [])),
  ];
  if (isDeep(type)) {
    const flag = b.constant(tensorOf("bool", [], [elements.length]));
    const inner = elements[0];
    return [flag, ...(inner === undefined ? empty(elementOf(type).dtype) : partsOf(b, inner))];
  }
  if (elements.some((x) => b.type(x).kind !== "tensor")) return b.fail("a sequence of sequences is not supported");
  if (elements.length === 0) return empty(elementOf(type).dtype);
  const e = new Expander(b);
  const rows = elements.map((x) => rowOf(b, x));
  const table = rows.map((r) => e.one(View, [r.row], { type: { dtype: "i32", shape: [D.one, D.int(columns)] } }));
  return [
    e.one(Concat, table, { axis: 0 }),
    e.one(
      Concat,
      rows.map((r) => r.flat),
      { axis: 0 },
    ),
  ];
}

export const listOps: readonly OpDef<Attrs>[] = [
  ListInsert,
  ListErase,
  ListAt,
  ListConcat,
  ListSplit,
] as unknown as readonly OpDef<Attrs>[];
