// Convolutions by Winograd's minimal filtering (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015): F(mxm, 3x3)
// computes m*m outputs from a tile of (m+2)*(m+2) inputs with (m+2)^2 instead of 9*m^2 products. A sum of products over two axes of 3
// becomes stages: transformed weights U (once per load), transformed tiles V (their rows, then their columns), one matrix product per
// point of the tile, and the outputs (rows, then columns with the epilogue). Where that pays is a matter of arithmetic against memory traffic.
import { must } from "../../src/base/assert.ts";
import type { BufferId } from "../../src/base/brand.ts";
import type { Dim } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import { constant, i32, ofDim, toDim } from "../../src/ir/expr.ts";
import { substituteVars } from "../../src/ir/rewrite.ts";
import type { Buffer } from "../../src/ir/storage.ts";
import { rangesOf } from "../../src/ir/symbolic.ts";
import type { TargetInfo } from "../../src/ir/target.ts";
import type { Axis, Reduce, Stage, TeAction, TeExpr, TeProgram } from "../../src/ir/te.ts";
import { type Tensor, tensorOf } from "../../src/ir/types.ts";
import { type Contraction, contractionOf, factorsOf } from "./contraction.ts";
import { padOf } from "./inside.ts";
import { called, FreshIds, producersOf, stageOf } from "./stages.ts";
import { linearForms, type Matrix, outputForms, transformedWeights, transforms } from "./winograd-forms.ts";

export function winograd(p: TeProgram, target: TargetInfo): TeProgram {
  return target.gpu ? p : new Winograd(p, target).run();
}

/** A convolution that may be computed so. */
type Match = {
  readonly stage: Stage;
  readonly c: Contraction;
  readonly reduce: Reduce;
  /** Of the input: the dims that the window slides along; of the weights: the dims of 3; of the output: the axes that slide. */
  readonly slides: readonly { readonly dim: number; readonly axis: Axis; readonly tap: Axis }[];
  /** The summed axes that are no taps. */
  readonly channels: readonly Axis[];
};

class Winograd {
  private readonly p: TeProgram;
  private readonly target: TargetInfo;
  private readonly buffers: Map<BufferId, Buffer>;
  private readonly constants: Map<BufferId, Tensor>;
  private readonly producers: ReadonlyMap<BufferId, Stage>;
  private readonly ids: FreshIds;
  /** By weights and tile: U is made once. */
  private readonly made = new Map<string, BufferId>();
  private readonly prepare: TeAction[] = [];
  constructor(p: TeProgram, target: TargetInfo) {
    this.p = p;
    this.target = target;
    this.buffers = new Map(p.buffers);
    this.constants = new Map(p.constants);
    this.producers = producersOf(p);
    this.ids = new FreshIds(p);
  }
  run(): TeProgram {
    const walk = (list: readonly TeAction[]): TeAction[] =>
      list.flatMap((a): TeAction[] => {
        if (a.kind === "loop") return [{ ...a, body: walk(a.body) }];
        if (a.kind === "if") return [{ ...a, then: walk(a.then), otherwise: walk(a.otherwise) }];
        const s = stageOf(a);
        const m = s && this.match(s);
        const size = m && tileSize(m, this.target);
        return m && size ? this.rewrite(m, size).map(called) : [a];
      });
    const actions = walk(this.p.actions);
    if (this.made.size === 0) return this.p;
    return { ...this.p, buffers: this.buffers, constants: this.constants, actions: [...this.prepare, ...actions] };
  }
  private buffer(id: BufferId): Buffer {
    return must(this.buffers.get(id), `buffer ${id}`);
  }
  private match(stage: Stage): Match | null {
    const weights = (id: BufferId): boolean => this.buffer(id).scope === "weights";
    const c = contractionOf(stage, (l) => weights(l.buffer));
    const reduce = stage.outs[0]!.body;
    if (!c || reduce.kind !== "reduce" || reduce.dtype !== "f32" || c.batch.length > 0 || c.n.length !== 1) return null;
    if (!factorsOf(reduce)!.every((f) => f.kind === "load")) return null;
    const [x, w, y] = [this.buffer(c.a.load.buffer), this.buffer(c.b.load.buffer), this.buffer(stage.outs[0]!.buffer)];
    if (!weights(w.id) || w.inside || w.storage || [x, w, y].some((b) => b.dtype !== "f32")) return null;
    if (x.scope === "heap" || y.scope === "heap" || y.storage) return null;
    if (!c.b.index.every((d) => d.kind === "sym" || d === D.zero)) return null;
    const slides = c.a.index.flatMap((d, dim) => {
      if (d.kind === "sym" || d === D.zero) return [];
      const axis = stage.axes.find((a) => c.a.axes.has(a.name) && D.symbolsOf(d).has(a.name as never));
      const tap = c.k.find((k) => D.symbolsOf(d).has(k.name as never));
      const plain = axis && tap && d === D.add(D.sym(axis.name), D.sym(tap.name));
      return plain && c.b.axes.has(tap.name) && D.known(tap.extent) === 3 && D.known(axis.extent) !== null
        ? [{ dim, axis, tap }]
        : [null];
    });
    if (slides.length !== 2 || !slides.every((s) => s !== null)) return null;
    const found = slides as Match["slides"];
    const channels = c.k.filter((k) => !found.some((s) => s.tap === k));
    if (channels.some((k) => !c.b.axes.has(k.name) || D.known(k.extent) === null)) return null;
    return { stage, c, reduce, slides: found, channels };
  }

  private rewrite(m: Match, size: number): Stage[] {
    const { stage, c, slides } = m;
    const side = size + 2;
    const tiles = slides.map((s) => D.int(Math.ceil(D.known(s.axis.extent)! / size)));
    const u = this.weights(m, size);
    const { pads, x } = this.input(m, size, tiles);

    // A tile's rows, then its columns: [u, v, dims of x with tiles for the sliding ones].
    const slide = (dim: number): number => slides.findIndex((s) => s.dim === dim);
    const vShape = x.shape.map((d, k) => (slide(k) < 0 ? d : tiles[slide(k)]!));
    const { input, output } = transforms(size);
    const rowTerm = (axes: readonly Axis[], a: number): TeExpr =>
      load(
        x,
        x.shape.map((_, k) => {
          const t = variable(axes[k + 2]!);
          if (slide(k) < 0) return t;
          return slide(k) === 0 ? plus(times(t, size), a) : sum(times(t, size), variable(axes[1]!));
        }),
      );
    const t = this.temp(`${x.name}.rows`, [D.int(side), D.int(side), ...vShape]);
    const tAxes = this.axes([D.one, D.int(side), ...vShape]);
    const rows = this.stage(
      "WinogradRows",
      stage,
      tAxes,
      linearForms(
        input,
        count(side).map((a) => rowTerm(tAxes, a)),
      ).map((body, u) => ({ buffer: this.part(t, 0, u), body })),
    );
    const v = this.temp(`${x.name}.tiles`, t.shape);
    const vAxes = this.axes([D.int(side), D.one, ...vShape]);
    const columns = this.stage(
      "WinogradTiles",
      stage,
      vAxes,
      linearForms(
        input,
        count(side).map((b) => load(t, [variable(vAxes[0]!), i32(b), ...vAxes.slice(2).map(variable)])),
      ).map((body, k) => ({ buffer: this.part(v, 1, k), body })),
    );

    // One product per point.
    const yAxes = stage.axes.map((a) => {
      const k = slides.findIndex((s) => s.axis === a);
      return { ...a, extent: k < 0 ? a.extent : tiles[k]! };
    });
    const point = ["u", "v"].map(
      (n): Axis => ({ name: `${n}${this.ids.nextStage}`, extent: D.int(side), role: "spatial" }),
    );
    const product = this.temp(`${this.buffer(stage.outs[0]!.buffer).name}.points`, [
      D.int(side),
      D.int(side),
      ...yAxes.map((a) => a.extent),
    ]);
    const state = m.reduce.state[0]!;
    const own = new Map(slides.map((s) => [s.dim, s.axis.name]));
    const a = load(v, [
      ...point.map(variable),
      ...c.a.load.index.map((e, k): TeExpr => {
        const name = own.get(k);
        return name === undefined ? e : { kind: "var", dtype: "i32", name };
      }),
    ]);
    const b = load(u, [...point, ...m.channels, c.n[0]!].map(variable));
    const products = this.stage(
      "WinogradProducts",
      stage,
      [...point, ...yAxes],
      [
        {
          buffer: product.id,
          body: sumOf(m.reduce, m.channels, a, b, { kind: "var", dtype: "f32", name: state.name }),
        },
      ],
    );
    return [...pads, rows, columns, products, ...this.outputs(m, size, product, output)];
  }

  /** U[u, v, channels, n] = G w G', made once. */
  private weights(m: Match, size: number): Buffer {
    const { c, channels, slides } = m;
    const w = this.buffer(c.b.load.buffer);
    const roles = [...slides.map((s) => s.tap), ...channels, c.n[0]!].map((a) => a.name);
    const key = `${w.id} ${size} ${c.b.index.map((d) => roles.indexOf(d.kind === "sym" ? d.id : "")).join()}`;
    const old = this.made.get(key);
    if (old !== undefined) return this.buffer(old);
    const side = D.int(size + 2);
    const own = [...channels, c.n[0]!];
    const u: Buffer = {
      ...this.temp(`${w.name}.winograd`, [side, side, ...own.map((a) => a.extent)]),
      scope: this.target.prepares ? "prepared" : "weights",
    };
    this.buffers.set(u.id, u);
    this.made.set(key, u.id);
    if (!this.target.prepares) {
      const dims = (axes: readonly Axis[]): number[] =>
        axes.map((a) => c.b.index.findIndex((d) => d.kind === "sym" && d.id === a.name));
      const from = must(this.constants.get(w.id), `the values of "${w.name}"`);
      this.constants.set(u.id, transformedWeights(from, dims(slides.map((s) => s.tap)), dims(own), size));
      return u;
    }
    const axes = this.axes(u.shape);
    const names = new Map<string, TeExpr>(own.map((a, k) => [a.name, variable(axes[k + 2]!)]));
    const taps = slides.map((s) => s.tap);
    const g = load(this.factors(size), [...axes.slice(0, 2), ...taps].map(variable));
    const body = sumOf(m.reduce, taps, g, substituteVars<TeExpr>(c.b.load, names), {
      kind: "var",
      dtype: "f32",
      name: m.reduce.state[0]!.name,
    });
    this.prepare.push(called(this.stage("WinogradWeights", m.stage, axes, [{ buffer: u.id, body }])));
    return u;
  }
  /** G[u][r] * G[v][s]. */
  private factors(size: number): Buffer {
    const old = this.made.get(`factors ${size}`);
    if (old !== undefined) return this.buffer(old);
    const g = transforms(size).weights;
    const values = g.flatMap((p) => g.flatMap((q) => p.flatMap((x) => q.map((y) => x * y))));
    const dims = [size + 2, size + 2, 3, 3];
    const b: Buffer = { ...this.temp(`winograd.factors${size}`, dims.map(D.int)), scope: "weights" };
    this.buffers.set(b.id, b);
    this.constants.set(b.id, tensorOf("f32", dims, values));
    this.made.set(`factors ${size}`, b.id);
    return b;
  }

  /** The input with as much after its end as the last tiles reach. */
  private input(m: Match, size: number, tiles: readonly Dim[]): { readonly pads: Stage[]; readonly x: Buffer } {
    const x = this.buffer(m.c.a.load.buffer);
    const shape = x.shape.map((d, k) => {
      const s = m.slides.findIndex((y) => y.dim === k);
      return s < 0 ? d : D.add(D.mul(tiles[s]!, D.int(size)), D.int(2));
    });
    const enough = m.slides.every((s) => D.nonNegative(D.sub(x.shape[s.dim]!, shape[s.dim]!), () => null));
    if (enough) return { pads: [], x };
    const producer = this.producers.get(x.id);
    const pad = producer && padOf(producer, this.buffers, rangesOf(this.p.symbols));
    const zero = pad && Number(pad.fill.value) === 0;
    const from = zero ? this.buffer(pad.from) : x;
    const before = zero ? pad.before : x.shape.map(() => D.zero);
    const out = this.temp(
      `${x.name}.whole`,
      shape.map((d, k) => D.max(d, x.shape[k]!)),
    );
    const axes = this.axes(out.shape);
    const index = axes.map((a, k) => plus(variable(a), D.neg(before[k]!)));
    const tests = index.flatMap((e, k): TeExpr[] =>
      from.shape[k] === out.shape[k]
        ? []
        : [binary("le", i32(0), e, "bool"), binary("lt", e, ofDim(from.shape[k]!) as TeExpr, "bool")],
    );
    const body: TeExpr = {
      kind: "select",
      dtype: "f32",
      cond: tests.reduce((p, q) => binary("and", p, q, "bool")),
      a: { kind: "load", dtype: "f32", buffer: from.id, index },
      b: constant("f32", 0),
    };
    return { pads: [this.stage("Pad", m.stage, axes, [{ buffer: out.id, body }])], x: out };
  }

  /** The products' rows of tiles become rows of outputs, then these their columns: those of whole tiles, and of the last one. */
  private outputs(m: Match, size: number, product: Buffer, matrix: Matrix): Stage[] {
    const { stage, slides, reduce } = m;
    const y = this.buffer(stage.outs[0]!.buffer);
    const side = size + 2;
    const z = this.temp(`${y.name}.rows`, [D.int(size), ...product.shape.slice(1)]);
    const zAxes = this.axes([D.one, ...product.shape.slice(1)]);
    const out = [
      this.stage(
        "WinogradOutputRows",
        stage,
        zAxes,
        outputForms(
          matrix,
          count(side).map((u) => load(product, [i32(u), ...zAxes.slice(1).map(variable)])),
        ).map((body, p) => ({ buffer: this.part(z, 0, p), body })),
      ),
    ];
    const [down, across] = slides.map((s) => stage.axes.indexOf(s.axis)) as [number, number];
    const e = D.known(stage.axes[across]!.extent)!;
    const [whole, rest] = [Math.floor(e / size), e % size];
    for (const [first, tiles, outputs] of [
      [0, whole, size],
      [whole, 1, rest],
    ] as const) {
      if (tiles * outputs === 0) continue;
      const shape = stage.axes.map((a, k) => (k === across ? D.int(tiles) : a.extent));
      const axes = this.axes(shape);
      const row = toDim(variable(axes[down]!))!;
      const tile = plus(variable(axes[across]!), first);
      const column = (v: number): TeExpr =>
        load(z, [
          ofDim(D.mod(row, D.int(size))) as TeExpr,
          i32(v),
          ...axes.map((a, k) =>
            k === down ? (ofDim(D.floordiv(row, D.int(size))) as TeExpr) : k === across ? tile : variable(a),
          ),
        ]);
      const forms = outputForms(matrix, count(side).map(column));
      const outs = count(outputs).map((q) => {
        const at = first * size + q;
        const part = this.temp(`${y.name}.${q}`, shape);
        this.buffers.set(part.id, {
          ...part,
          scope: y.scope,
          inside: {
            of: y.id,
            offset: axes.map((_, k) => (k === across ? D.int(at) : D.zero)),
            step: axes.map((_, k) => (k === across ? D.int(size) : D.one)),
          },
        });
        // The epilogue speaks of the output's own axes.
        const names = new Map<string, TeExpr>([[reduce.state[0]!.name, forms[q]!]]);
        stage.axes.forEach((x, k) => {
          const own = variable(axes[k]!);
          names.set(x.name, k === across ? plus(times(own, size), at) : own);
        });
        return { buffer: part.id, body: substituteVars<TeExpr>(reduce.result, names) };
      });
      out.push(this.stage("WinogradOutputs", stage, axes, outs));
    }
    return out;
  }

  private temp(name: string, shape: readonly Dim[]): Buffer {
    const b: Buffer = { id: this.ids.buffer(), name, dtype: "f32", shape, scope: "arena", storage: null };
    this.buffers.set(b.id, b);
    return b;
  }
  /** The part of a buffer at index k of one axis. */
  private part(of: Buffer, axis: number, k: number): BufferId {
    const b = this.temp(
      `${of.name}.${k}`,
      of.shape.map((d, j) => (j === axis ? D.one : d)),
    );
    const offset = of.shape.map((_, j) => (j === axis ? D.int(k) : D.zero));
    this.buffers.set(b.id, { ...b, scope: of.scope, inside: { of: of.id, offset, step: of.shape.map(() => D.one) } });
    return b.id;
  }
  private axes(shape: readonly Dim[]): Axis[] {
    return shape.map((extent, k) => ({ name: `w${this.ids.nextStage}.${k}`, extent, role: "spatial" }));
  }
  private stage(name: string, like: Stage, axes: readonly Axis[], outs: Stage["outs"]): Stage {
    return { id: this.ids.stage(), name, axes, outs, scan: null, loc: like.loc };
  }
}

/** Products in whose time some kernels with short loops, in place of one, get nothing done: seen on 16 x 32 channels of 8 x 8. */
const fewProducts = 150_000;
/**
 * Which m of F(mxm, 3x3), or null where the plain sum is no dearer. Costs are in products of the plain sum, by what was seen on vectors of
 * 4 lanes: a transformed element is some additions, a load and a store; memory beyond the second cache costs what it is slower.
 */
function tileSize(m: Match, target: TargetInfo): number | null {
  const extent = (axes: readonly Axis[]): number => axes.reduce((n, a) => n * (D.known(a.extent) ?? 1), 1);
  const channels = extent(m.channels);
  const n = extent(m.c.n);
  const sides = m.slides.map((s) => D.known(s.axis.extent)!);
  const outer = extent(m.c.m.filter((a) => !m.slides.some((s) => s.axis === a)));
  if (channels < 8 || n < 8) return null;
  const lanes = Math.max(1, target.vectorBytes / 4);
  // How many products a byte from beyond the cache costs.
  const perByte = lanes / 4;
  const cache = target.cacheBytes[1] ?? 1 << 20;
  const plain = 9 * channels * n * outer * sides[0]! * sides[1]!;
  let best: { size: number; cost: number } | null = null;
  for (const size of [2, 4]) {
    const points = (size + 2) ** 2;
    // Weights that are shipped transformed may not grow without bound.
    if (!target.prepares && size === 4 && 4 * points * channels * n > 1 << 20) continue;
    const tiles = outer * sides.reduce((x, e) => x * Math.ceil(e / size), 1);
    const transforms = (size === 2 ? 64 : 260) * tiles * channels + (size === 2 ? 60 : 220) * tiles * n;
    const moved = 4 * points * tiles * (channels + n);
    const weights = 4 * points * channels * n - (4 * 9 * channels * n) / 1;
    const traffic = (moved > cache ? 2 * moved : moved / 2) + Math.max(0, weights);
    const cost = points * channels * n * tiles + transforms + perByte * traffic + fewProducts;
    if (best === null || cost < best.cost) best = { size, cost };
  }
  return best !== null && best.cost < 0.8 * plain ? best.size : null;
}

const count = (n: number): number[] => Array.from({ length: n }, (_, k) => k);
const load = (b: Buffer, index: readonly TeExpr[]): TeExpr => ({ kind: "load", dtype: b.dtype, buffer: b.id, index });
/** The sum of a*b over axes, with the state of `like`. */
function sumOf(like: Reduce, axes: readonly Axis[], a: TeExpr, b: TeExpr, state: TeExpr): Reduce {
  return {
    ...like,
    axes,
    update: [{ kind: "mulAdd", rounding: "either", dtype: "f32", a, b, c: state }],
    result: state,
  };
}
const variable = (a: Axis): TeExpr => (a.extent === D.one ? i32(0) : { kind: "var", dtype: "i32", name: a.name });
const binary = (op: "add" | "mul" | "le" | "lt" | "and", a: TeExpr, b: TeExpr, dtype: "i32" | "bool"): TeExpr => ({
  kind: "binary",
  op,
  dtype,
  a,
  b,
});
/** Index arithmetic, in the form that Dims have. */
function plus(e: TeExpr, by: Dim | number): TeExpr {
  return ofDim(D.add(toDim(e)!, typeof by === "number" ? D.int(by) : by)) as TeExpr;
}
function sum(a: TeExpr, b: TeExpr): TeExpr {
  return ofDim(D.add(toDim(a)!, toDim(b)!)) as TeExpr;
}
function times(e: TeExpr, by: number): TeExpr {
  return ofDim(D.mul(toDim(e)!, D.int(by))) as TeExpr;
}
