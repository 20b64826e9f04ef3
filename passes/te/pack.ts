// Packs the second operand of contractions into panels: N in blocks of the register tile's width, innermost. A constant is packed when
// it is compiled; another operand by a copy before the stage, where that pays.
import { must } from "../../src/base/assert.ts";
import type { BufferId } from "../../src/base/brand.ts";
import * as D from "../../src/ir/dim.ts";
import { i32 } from "../../src/ir/expr.ts";
import { mapExpr, visitActions } from "../../src/ir/rewrite.ts";
import { axesOf } from "../../src/ir/schedule.ts";
import { type Buffer, dense, type Storage } from "../../src/ir/storage.ts";
import type { TargetInfo } from "../../src/ir/target.ts";
import type { Axis, Stage, TeAction, TeExpr, TeProgram } from "../../src/ir/te.ts";
import { elementBytes, type Tensor } from "../../src/ir/types.ts";
import { tileOf, vectorAxis } from "../schedule/tile.ts";
import { affine } from "./access.ts";
import { type Contraction, contractionOf, dimOf } from "./contraction.ts";
import { called, FreshIds, stageOf } from "./stages.ts";

export function packOperands(
  p: TeProgram,
  orders: ReadonlyMap<BufferId, readonly number[]>,
  target: TargetInfo,
): TeProgram {
  if (target.gpu) return p;
  const buffers = new Map(p.buffers);
  const constants = new Map(p.constants);
  const buffer = (id: BufferId): Buffer => must(buffers.get(id), `buffer ${id}`);
  const ids = new FreshIds(p);
  const uses = new Map<BufferId, number>();
  visitActions(p.actions, (a) => {
    if (a.kind !== "call") return;
    if (a.call.kind === "kernel") {
      for (const x of a.call.args) uses.set(x, (uses.get(x) ?? 0) + 2);
      return;
    }
    for (const s of a.call.group.stages) {
      const seen = new Set<BufferId>();
      for (const o of s.outs)
        mapExpr<TeExpr>(o.body, (e) => {
          if (e.kind === "load") seen.add(e.buffer);
          return e;
        });
      for (const x of seen) uses.set(x, (uses.get(x) ?? 0) + 1);
    }
  });
  const packed = new Map<string, BufferId>();
  const cuts = new Map<string, BufferId>();
  /** A constant that is read at regular distances (the taps of one phase of a transposed convolution) is cut out of what it lies in. */
  const cut = (s: Stage, c: Contraction): Stage => {
    const l = c.b.load;
    const from = constants.get(l.buffer);
    const b = buffer(l.buffer);
    if (!from || b.scope !== "weights" || b.inside || b.storage || c.b.index.every(isPlain)) return s;
    const dims = c.b.index.map((d) => regular(d, axesOf(s)));
    if (!dims.every((d) => d !== null)) return s;
    const key = `${b.id} ${dims.map((d) => [d.first, d.step, d.count].join()).join(";")}`;
    let id = cuts.get(key);
    if (id === undefined) {
      id = ids.buffer();
      cuts.set(key, id);
      const t = cutOut(from, dims);
      buffers.set(id, { ...b, id, shape: t.dims.map(D.int) });
      constants.set(id, t);
    }
    const index = dims.map((d): TeExpr => (d.axis === null ? i32(0) : { kind: "var", dtype: "i32", name: d.axis }));
    const to = id;
    const body = (e: TeExpr): TeExpr => mapExpr<TeExpr>(e, (x) => (x === l ? { ...l, buffer: to, index } : x));
    return { ...s, outs: s.outs.map((o) => ({ ...o, body: body(o.body) })) };
  };
  const stage = (given: Stage): { before: TeAction[]; stage: Stage } => {
    const whole = contractionOf(given, (l) => isConstant(buffer(l.buffer)));
    if (!whole) return { before: [], stage: given };
    const s = cut(given, whole);
    const c =
      s === given
        ? whole
        : must(
            contractionOf(s, (l) => isConstant(buffer(l.buffer))),
            "the sum of products",
          );
    const b = buffer(c.b.load.buffer);
    const storage = panelStorage(c, b, orders, buffer, target);
    if (!storage) return { before: [], stage: s };
    const key = `${b.id} ${JSON.stringify([storage.strides.map((d) => d.key), storage.blocks.map((x) => [x.axis, x.by, x.stride.key])])}`;
    const old = packed.get(key);
    const use = (id: BufferId): Stage =>
      id === b.id
        ? s
        : {
            ...s,
            outs: s.outs.map((o) => ({
              ...o,
              body: mapExpr<TeExpr>(o.body, (e) => (e.kind === "load" && e.buffer === b.id ? { ...e, buffer: id } : e)),
            })),
          };
    if (old !== undefined) return { before: [], stage: use(old) };
    if (b.scope === "weights") {
      if (b.inside || b.storage) return { before: [], stage: s };
      // Another reader keeps the constant as it is: this one gets a copy of its own.
      let id = b.id;
      if ((uses.get(b.id) ?? 0) > 1) {
        id = ids.buffer();
        constants.set(id, must(constants.get(b.id), "a constant"));
      }
      buffers.set(id, { ...b, id, storage });
      packed.set(key, id);
      return { before: [], stage: use(id) };
    }
    if (b.scope === "prepared") {
      buffers.set(b.id, { ...b, storage });
      packed.set(key, b.id);
      return { before: [], stage: s };
    }
    if (!paysToCopy(c, b, orders)) return { before: [], stage: s };
    const id = ids.buffer();
    const { inside: _i, ...rest } = b;
    buffers.set(id, { ...rest, id, name: `${b.name}.panels`, scope: "arena", storage });
    const axes = b.shape.map((extent, k) => ({ name: `i${k}`, extent, role: "spatial" as const }));
    const copy: Stage = {
      id: ids.stage(),
      name: "Pack",
      axes,
      scan: null,
      loc: s.loc,
      outs: [
        {
          buffer: id,
          body: {
            kind: "load",
            dtype: b.dtype,
            buffer: b.id,
            index: axes.map((x) => ({ kind: "var", dtype: "i32", name: x.name })),
          },
        },
      ],
    };
    return {
      before: [called(copy)],
      stage: use(id),
    };
  };
  const walk = (list: readonly TeAction[]): TeAction[] =>
    list.flatMap((a): TeAction[] => {
      if (a.kind === "loop") return [{ ...a, body: walk(a.body) }];
      if (a.kind === "if") return [{ ...a, then: walk(a.then), otherwise: walk(a.otherwise) }];
      const s = stageOf(a);
      if (!s) return [a];
      const r = stage(s);
      return [...r.before, called(r.stage)];
    });
  const actions = walk(p.actions);
  return { ...p, buffers, constants, actions };
}

/** The panel storage of operand b: other axes outermost, then blocks of N, then the summed axes as a walks them, then N within a block. */
function panelStorage(
  c: Contraction,
  b: Buffer,
  orders: ReadonlyMap<BufferId, readonly number[]>,
  buffer: (id: BufferId) => Buffer,
  target: TargetInfo,
): Storage | null {
  const axis = vectorAxis(c);
  if (c.n.length === 0) return channelsLast(c, b);
  if (!axis) return null;
  const nd = dimOf(c.b, axis.name);
  // Every dim must be one axis, so that blocks simplify away.
  if (nd < 0 || !c.b.index.every((d) => d.kind === "sym" || d === D.zero)) return null;
  const n = b.shape[nd]!;
  const width = tileOf(c, target).n;
  const a = buffer(c.a.load.buffer);
  const aStorage = a.storage ?? (a.inside ? null : dense(a.shape, orders.get(a.id)));
  const aOrder = aStorage
    ? [...a.shape.keys()].sort(
        (x, y) => (D.known(aStorage.strides[y]!) ?? 1e9 - y) - (D.known(aStorage.strides[x]!) ?? 1e9 - x) || x - y,
      )
    : (orders.get(rootOf(a, buffer).id) ?? [...a.shape.keys()]);
  const place = (name: string): number => {
    const dim = c.a.index.findIndex((d) => D.symbolsOf(d).has(name as never));
    return dim < 0 ? -1 : aOrder.indexOf(dim);
  };
  const ks = [...b.shape.keys()].filter(
    (k) => k !== nd && c.k.some((x) => c.b.index[k]!.kind === "sym" && (c.b.index[k] as { id: string }).id === x.name),
  );
  const others = [...b.shape.keys()].filter((k) => k !== nd && !ks.includes(k));
  ks.sort((x, y) => place((c.b.index[x] as { id: string }).id) - place((c.b.index[y] as { id: string }).id) || x - y);
  const strides: D.Dim[] = b.shape.map(() => D.zero);
  const blocked = n.kind !== "int" || n.value > width;
  let at: D.Dim = blocked ? D.int(width) : n;
  for (const k of [...ks].reverse()) {
    strides[k] = at;
    at = D.mul(at, b.shape[k]!);
  }
  strides[nd] = blocked ? at : D.one;
  if (blocked) at = D.mul(at, D.ceildiv(n, D.int(width)));
  for (const k of [...others].reverse()) {
    strides[k] = at;
    at = D.mul(at, b.shape[k]!);
  }
  return {
    root: null,
    offset: D.zero,
    strides,
    blocks: blocked ? [{ axis: nd, by: width, stride: D.one }] : [],
    size: at,
  };
}
const isPlain = (d: D.Dim): boolean => d.kind === "sym" || d === D.zero;
type Regular = { readonly axis: string | null; readonly first: number; readonly step: number; readonly count: number };
/** An index that is step * axis + first, for one axis of known extent or none. */
function regular(d: D.Dim, axes: readonly Axis[]): Regular | null {
  const f = affine(d, axes);
  const first = D.known(f.offset);
  const moving = [...f.strides].filter(([, s]) => s !== D.zero);
  if (first === null || f.irregular.size > 0 || moving.length > 1) return null;
  const [axis, by] = moving[0] ?? [null, D.one];
  const extent = axis === null ? D.one : axes.find((a) => a.name === axis)?.extent;
  const [step, count] = [D.known(by), extent ? D.known(extent) : null];
  return step === null || count === null || step < 1 || first < 0 ? null : { axis, first, step, count };
}
/** Element i of the cut is element first + step * i of t, in each dim. */
function cutOut(t: Tensor, dims: readonly Regular[]): Tensor {
  const size = elementBytes(t.dtype);
  const counts = dims.map((d) => d.count);
  const out = new Uint8Array(counts.reduce((n, c) => n * c, size));
  const strides = t.dims.map((_, k) => t.dims.slice(k + 1).reduce((n, d) => n * d, size));
  let to = 0;
  const walk = (k: number, from: number): void => {
    if (k === dims.length) {
      out.set(t.bytes.subarray(from, from + size), to);
      to += size;
      return;
    }
    const { first, step, count } = dims[k]!;
    for (let i = 0; i < count; i++) walk(k + 1, from + (first + step * i) * strides[k]!);
  };
  walk(0, 0);
  return { dtype: t.dtype, dims: counts, bytes: out };
}
/** The same in every run. */
export function isConstant(b: Buffer): boolean {
  return b.scope === "weights" || b.scope === "prepared";
}
function rootOf(b: Buffer, buffer: (id: BufferId) => Buffer): Buffer {
  return b.inside ? rootOf(buffer(b.inside.of), buffer) : b;
}
/** Depthwise weights: the axis that all operands share innermost. */
function channelsLast(c: Contraction, b: Buffer): Storage | null {
  if (b.scope !== "weights") return null;
  const axis = [...c.batch].sort((x, y) => (D.known(y.extent) ?? 64) - (D.known(x.extent) ?? 64))[0];
  const dim = axis ? dimOf(c.b, axis.name) : -1;
  if (dim < 0 || dim === b.shape.length - 1 || !c.b.index.every((d) => d.kind === "sym" || d === D.zero)) return null;
  return dense(b.shape, [...b.shape.keys()].filter((k) => k !== dim).concat(dim));
}
/** A copy of an operand that is made at run time pays when its N is not contiguous, or when many rows read it and its rows lie far apart. */
function paysToCopy(c: Contraction, b: Buffer, orders: ReadonlyMap<BufferId, readonly number[]>): boolean {
  const axis = vectorAxis(c)!;
  const nd = dimOf(c.b, axis.name);
  const s = b.storage ?? (b.inside ? null : dense(b.shape, orders.get(b.id)));
  const known = (axes: readonly { readonly extent: D.Dim }[]): number =>
    axes.reduce((x, a) => x * (D.known(a.extent) ?? 64), 1);
  if (known(c.m) < 4) return false;
  if (!s || s.strides[nd] !== D.one) return true;
  return known(c.k) * known(c.n) >= 8192 && known(c.m) >= 16;
}
