// Builds small programs by hand for the tests of targets. A draft collects buffers, kernels and actions; `build` lays the
// buffers out one after another as a target's facts ask, and gives the Program.
import { assert } from "../../../src/base/assert.ts";
import type { BufferId, SymbolId } from "../../../src/base/brand.ts";
import type { Dim, Sym } from "../../../src/ir/dim.ts";
import * as D from "../../../src/ir/dim.ts";
import type { UnaryOp } from "../../../src/ir/expr.ts";
import type { Kernel, LoopExpr, Stmt } from "../../../src/ir/loops.ts";
import { seq } from "../../../src/ir/loops.ts";
import type { Action, Binding, Call, Program, Region } from "../../../src/ir/program.ts";
import type { Buffer, Scope, Storage } from "../../../src/ir/storage.ts";
import { dense } from "../../../src/ir/storage.ts";
import type { TargetInfo } from "../../../src/ir/target.ts";
import type { Port } from "../../../src/ir/te.ts";
import type { DType, Tensor } from "../../../src/ir/types.ts";
import { elementBytes } from "../../../src/ir/types.ts";

/** The facts of a target that the memory plan of a fixture depends on. */
export type Layout = Pick<TargetInfo, "align" | "minCellBytes" | "ioInArena">;
export const linearMemory: Layout = { align: 64, minCellBytes: 1, ioInArena: true };

/** One run of a program. Runs of a fixture follow each other on one loaded instance. */
export type Run =
  | {
      readonly inputs: Readonly<Record<string, Tensor>>;
      readonly seed?: number;
      readonly expected: Readonly<Record<string, Tensor>>;
    }
  /** `fails`: plan gives 0, or run gives that status. */
  | { readonly inputs: Readonly<Record<string, Tensor>>; readonly seed?: number; readonly fails: "plan" | 1 | 2 };

export type Fixture = {
  readonly name: string;
  /**
   * What a target must have to run it: lanes of a 4-byte vector (1: none); register dtypes; IEEE NaN, infinity and denormals;
   * native math; planned: inputs and outputs lie in planned memory, where they may be parts of roots and swap.
   */
  readonly needs: {
    readonly vectors: number;
    readonly dtypes: readonly DType[];
    readonly ieee: boolean;
    readonly natives: readonly UnaryOp[];
    readonly planned: boolean;
  };
  /** For a linear memory (wasm, js): inputs and outputs in the arena, cells as wide as their elements. */
  readonly program: Program;
  /** The same with the memory plan of another target. */
  readonly layout: (info: Layout) => Program;
  readonly runs: readonly Run[];
  /** What the rows (axis 0) of an output stand for, for messages. */
  readonly rows?: Readonly<Record<string, readonly string[]>>;
  /** Outputs may differ by this many units in the last place; 0 when not given. NaN equals NaN, -0 does not equal 0. */
  readonly ulps?: number;
};

export const N: Dim = D.sym("N");
export const n = (value: number): Dim => D.int(value);

/** The parameters of a kernel under construction. */
export class KernelDraft {
  readonly params: Buffer[] = [];
  readonly #draft: Draft;
  constructor(draft: Draft) {
    this.#draft = draft;
  }
  param(name: string, dtype: DType, shape: readonly Dim[]): Buffer {
    const b = this.#draft.buffer(name, dtype, shape, "io");
    this.params.push(b);
    return b;
  }
}

export class Draft {
  readonly name: string;
  readonly symbols: Sym[] = [];
  readonly bindings: Binding[] = [];
  readonly inputs: Port[] = [];
  readonly outputs: Port[] = [];
  readonly kernels: Kernel[] = [];
  readonly init: Action<Call>[] = [];
  readonly run: Action<Call>[] = [];
  readonly buffers: Map<BufferId, Buffer> = new Map();
  readonly constants: Map<BufferId, Tensor> = new Map();
  #next = 1;
  constructor(name: string) {
    this.name = name;
  }

  /** A buffer that belongs to nothing yet: a kernel's parameter or register. */
  buffer(name: string, dtype: DType, shape: readonly Dim[], scope: Scope, storage: Storage | null = null): Buffer {
    return { id: this.#next++ as BufferId, name, dtype, shape, scope, storage };
  }
  register(name: string, dtype: DType, lanes = 1): Buffer {
    return this.buffer(name, dtype, lanes === 1 ? [] : [n(lanes)], "register");
  }
  #own(b: Buffer): Buffer {
    this.buffers.set(b.id, b);
    return b;
  }

  /** A symbol bound from axis `axis` of the next input. */
  dimOf(axis: number, id: string, min = 0, max: number | null = null): Dim {
    this.symbols.push({ id: id as SymbolId, min, max, def: null });
    this.bindings.push({ id: id as SymbolId, input: this.inputs.length, axis, min, max });
    return D.sym(id);
  }
  /** A symbol that a `dim` action, a loop or a reserve binds. */
  dataDim(id: string, min = 0, max: number | null = null): Dim {
    this.symbols.push({ id: id as SymbolId, min, max, def: "data" });
    return D.sym(id);
  }
  input(name: string, dtype: DType, shape: readonly Dim[]): Buffer {
    const b = this.#own(this.buffer(name, dtype, shape, "io", dense(shape)));
    this.inputs.push({ name, buffer: b.id });
    return b;
  }
  output(name: string, dtype: DType, shape: readonly Dim[], scope: Scope = "io"): Buffer {
    const b = this.#own(this.buffer(name, dtype, shape, scope, dense(shape)));
    this.outputs.push({ name, buffer: b.id });
    return b;
  }
  /** Another name for a buffer as an output. */
  expose(name: string, b: Buffer): void {
    this.outputs.push({ name, buffer: b.id });
  }
  temp(
    name: string,
    dtype: DType,
    shape: readonly Dim[],
    scope: Scope = "arena",
    storage: Storage = dense(shape),
  ): Buffer {
    return this.#own(this.buffer(name, dtype, shape, scope, storage));
  }
  /** Elements from `offset` on of `root`, dense unless strides are given. */
  part(
    root: Buffer,
    name: string,
    shape: readonly Dim[],
    offset: Dim,
    strides: readonly Dim[] = dense(shape).strides,
  ): Buffer {
    const storage: Storage = { root: root.id, offset, strides, blocks: [], size: D.zero };
    return this.#own(this.buffer(name, root.dtype, shape, root.scope, storage));
  }
  constant(name: string, t: Tensor, storage: Storage = dense(t.dims.map(n))): Buffer {
    const b = this.#own(this.buffer(name, t.dtype, t.dims.map(n), "weights", storage));
    this.constants.set(b.id, t);
    return b;
  }

  /** Adds a kernel and returns its index. */
  kernel(
    name: string,
    body: (k: KernelDraft) => Stmt | readonly Stmt[],
    more: { scalars?: Kernel["scalars"]; dims?: readonly string[]; mayOverlap?: Kernel["mayOverlap"] } = {},
  ): number {
    const k = new KernelDraft(this);
    const made = body(k);
    this.kernels.push({
      name,
      params: k.params,
      scalars: more.scalars ?? [],
      dims: (more.dims ?? []) as SymbolId[],
      mayOverlap: more.mayOverlap ?? [],
      body: "kind" in made ? made : seq(made),
    });
    return this.kernels.length - 1;
  }
  call(
    kernel: number,
    args: readonly Buffer[],
    more: { scalars?: readonly Dim[]; dims?: readonly Dim[] } = {},
  ): Action<Call> {
    const k = this.kernels[kernel]!;
    const scalars = more.scalars ?? [];
    const dims = more.dims ?? k.dims.map((id) => D.sym(id));
    assert(
      args.length === k.params.length && scalars.length === k.scalars.length && dims.length === k.dims.length,
      k.name,
    );
    return { kind: "call", call: { kernel, args: args.map((a) => a.id), scalars, dims } };
  }

  build(info: Layout): Program {
    const cell = (b: Buffer): number => Math.max(elementBytes(b.dtype), info.minCellBytes);
    const up = (d: Dim): Dim => D.mul(D.floordiv(D.add(d, n(info.align - 1)), n(info.align)), n(info.align));
    const lets: { id: SymbolId; value: Dim }[] = [];
    const offsets = new Map<BufferId, { region: Region; offset: Dim }>();
    const ends: Record<"weights" | "prepared" | "arena", Dim> = { weights: D.zero, prepared: D.zero, arena: D.zero };
    for (const b of this.buffers.values()) {
      if (b.storage!.root !== null) continue;
      if (b.scope === "heap") {
        offsets.set(b.id, { region: "heap", offset: D.sym(`heap ${b.name}`) });
        continue;
      }
      if (b.scope === "io" && !info.ioInArena) {
        offsets.set(b.id, { region: "io", offset: D.zero });
        continue;
      }
      const region = b.scope === "weights" || b.scope === "prepared" ? b.scope : "arena";
      offsets.set(b.id, { region, offset: ends[region] });
      const end = up(D.add(ends[region], D.mul(b.storage!.size, n(cell(b)))));
      if (D.known(end) !== null) ends[region] = end;
      else {
        const id = `end of ${b.name}` as SymbolId;
        lets.push({ id, value: end });
        ends[region] = D.sym(id);
      }
    }
    const { name, symbols, bindings, inputs, outputs, kernels, init, run, buffers, constants } = this;
    return {
      name,
      symbols,
      bindings,
      requires: [],
      inputs,
      outputs,
      kernels,
      init,
      run,
      buffers,
      constants,
      plan: { lets, offsets, sizes: ends, lowerBound: ends.arena },
    };
  }
}

/** A fixture from a draft. */
export function fixture(
  d: Draft,
  runs: readonly Run[],
  needs: Partial<Fixture["needs"]> & { dtypes: readonly DType[] },
  more: Pick<Fixture, "rows" | "ulps"> = {},
): Fixture {
  return {
    name: d.name,
    needs: {
      vectors: needs.vectors ?? 1,
      dtypes: needs.dtypes,
      ieee: needs.ieee ?? false,
      natives: needs.natives ?? [],
      planned: needs.planned ?? false,
    },
    program: d.build(linearMemory),
    layout: (info) => d.build(info),
    runs,
    ...more,
  };
}

// ---- spellings for loop bodies -----------------------------------------------------------------------------------------
export function store(
  b: Buffer,
  index: LoopExpr,
  value: LoopExpr,
  more: { via?: string; atomic?: "add" | "max" } = {},
): Stmt {
  return { kind: "store", buffer: b.id, dtype: b.dtype, index: [index], value, ...more };
}
export function loadOf(b: Buffer, index: LoopExpr, via?: string): LoopExpr {
  return { kind: "load", dtype: b.dtype, buffer: b.id, index: [index], ...(via === undefined ? {} : { via }) };
}
export function loop(v: string, extent: LoopExpr, body: Stmt | readonly Stmt[], step = 1): Stmt {
  return { kind: "for", v, extent, step, loop: "serial", body: "kind" in body ? body : seq(body) };
}
export function letIn(name: string, value: LoopExpr, body: Stmt | readonly Stmt[]): Stmt {
  return { kind: "let", name, value, body: "kind" in body ? body : seq(body) };
}
export function alloc(buffer: Buffer, body: Stmt | readonly Stmt[]): Stmt {
  return { kind: "alloc", buffer, body: "kind" in body ? body : seq(body) };
}
