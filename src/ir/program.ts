// P, the program: kernels, the actions that call them, buffers, the memory plan, dims.
//
// Symbols are the run-time integers of a program. Those with def null are bound from the shapes of the inputs before anything
// runs (`bindings`); a `dim` action binds the others, once or, inside a loop, again and again. Every extent, offset and size is a
// Dim over them. `$seed` is the seed of the run.
import type { BufferId, SymbolId } from "../base/brand.ts";
import type { Dim, Sym } from "./dim.ts";
import type { Kernel } from "./loops.ts";
import type { Buffer } from "./storage.ts";
import type { Port } from "./te.ts";
import type { DType, Tensor } from "./types.ts";

/** `kernel` indexes Program.kernels; scalars and dims give the kernel's in order. */
export type Call = {
  readonly kernel: number;
  readonly args: readonly BufferId[];
  readonly scalars: readonly Dim[];
  readonly dims: readonly Dim[];
};

export type Action<C> =
  | { readonly kind: "call"; readonly call: C }
  /** Binds a symbol: to an element of an i32 or i64 buffer, or to the value of a Dim now. A value outside [min, max] stops the run. */
  | {
      readonly kind: "dim";
      readonly id: SymbolId;
      readonly from: { readonly buffer: BufferId; readonly index: Dim } | { readonly value: Dim };
      readonly min: number;
      readonly max: number | null;
    }
  /**
   * Heap buffers: their size is known here. reserve binds the symbol that is the buffer's offset (heapSymbol). A `dim` that binds it
   * instead says that the buffer lies in memory that was reserved before, an element of a sequence.
   */
  | { readonly kind: "reserve"; readonly buffer: BufferId }
  | { readonly kind: "release"; readonly buffer: BufferId }
  /** cond: element 0 of a bool buffer. */
  | {
      readonly kind: "if";
      readonly cond: BufferId;
      readonly then: readonly Action<C>[];
      readonly otherwise: readonly Action<C>[];
    }
  /**
   * counter = 0, 1, ... while counter < trip (null: no limit) and element 0 of cond (null: true) holds, tested before each
   * iteration. After each, each pair of swap exchanges its memory; after the loop the names stay as the last swap left them.
   */
  | {
      readonly kind: "loop";
      readonly trip: Dim | null;
      readonly cond: BufferId | null;
      readonly counter: SymbolId;
      readonly body: readonly Action<C>[];
      readonly swap: readonly (readonly [BufferId, BufferId])[];
    };

/**
 * Where every buffer lies. `lets` is a straight-line function of the bound symbols, evaluated in order when they change, before
 * memory is touched; offsets and sizes are in bytes. Regions: weights (constants), prepared, arena, heap (io lies in the arena on
 * targets with ioInArena; elsewhere the caller's pointers). A heap buffer's offset is a symbol that `reserve` binds.
 */
export type Region = "weights" | "prepared" | "arena" | "heap" | "io";
export type MemoryPlan = {
  readonly lets: readonly { readonly id: SymbolId; readonly value: Dim }[];
  readonly offsets: ReadonlyMap<BufferId, { readonly region: Region; readonly offset: Dim }>;
  readonly sizes: Readonly<Record<"weights" | "prepared" | "arena", Dim>>;
  /** No plan can be smaller: the most bytes alive at one time. */
  readonly lowerBound: Dim;
};

/**
 * The symbol that is a heap buffer's offset, in bytes. A number that a kernel may keep in an i64 cell, for a `dim` to bind another
 * buffer to the same memory. Of a buffer that is swapped it means nothing.
 */
export function heapSymbol(id: BufferId): SymbolId {
  return `$heap.${id}` as SymbolId;
}

/** A symbol is read from axis `axis` of input `input`; every other dim of an input is checked against its Dim. */
export type Binding = {
  readonly id: SymbolId;
  readonly input: number;
  readonly axis: number;
  readonly min: number;
  readonly max: number | null;
};

/**
 * What the dims of inputs must satisfy besides their bounds: `zero`, over their symbols, is 0. Checked with the plan's lets, before
 * memory is touched; a run in which it is not is refused with `why`.
 */
export type Requirement = { readonly zero: Dim; readonly why: string };

/** init runs once per load, before dims are known, and fills prepared buffers; run is one inference. */
export type Program = {
  readonly name: string;
  readonly symbols: readonly Sym[];
  readonly bindings: readonly Binding[];
  readonly requires: readonly Requirement[];
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly kernels: readonly Kernel[];
  readonly init: readonly Action<Call>[];
  readonly run: readonly Action<Call>[];
  readonly buffers: ReadonlyMap<BufferId, Buffer>;
  /** The values of the weights scope: elements in logical row-major order; the storage of their buffers says where they go. */
  readonly constants: ReadonlyMap<BufferId, Tensor>;
  readonly plan: MemoryPlan;
};
export type { DType };
