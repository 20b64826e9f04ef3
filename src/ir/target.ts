// Facts about a target that rules and passes read. They never read its name.

import type { ListPorts, OutputFile } from "./artifact.ts";
import type { UnaryOp } from "./expr.ts";
import type { Labels } from "./opdef.ts";
import type { Program } from "./program.ts";
import { cellType, type DType, elementBytes, is64 } from "./types.ts";

export type TargetInfo = {
  readonly name: string;
  /** Bytes of a vector register; 4 means that there are no vectors. */
  readonly vectorBytes: number;
  /** Vector registers that a kernel may count on. */
  readonly registers: number;
  /**
   * Other vectors that kernels are made for as well: who builds the artifact picks. Storage is chosen for those above and holds for all,
   * so half and twice as wide ones are fine: a panel of packed operands is as wide as two vectors of those above.
   */
  readonly variants?: readonly Vectors[];
  /** Threads may share parallel loops; elsewhere there are none. */
  readonly threads?: boolean;
  readonly cacheBytes: readonly number[];
  readonly gpu: {
    readonly workgroup: number;
    readonly sharedBytes: number;
    readonly sharedIsFast: boolean;
    readonly subgroups: boolean;
  } | null;
  /** Unary ops that the target computes itself, within an ulp or two; others are decomposed in L. */
  readonly natives: ReadonlySet<UnaryOp>;
  /** Float arithmetic is done as it is written: no compiler behind the printer takes (x + c) - c for x. */
  readonly exactSums?: boolean;
  /** An operation reads one operand from memory at no cost: keeping it in a register gains nothing. */
  readonly memoryOperands?: boolean;
  /** dot16 is an instruction: products of integers that fit 16 bits are made two at a time. */
  readonly pairs?: boolean;
  /**
   * Code is compiled when it first runs, and again, better, when it has run for a while, for its next call: kernels that differ only in
   * sizes are one, which gets them as arguments, and what is hot in a kernel is a function of its own.
   */
  readonly tiersUp?: boolean;
  /** Whoever loads the artifact fills prepared buffers without being asked. Elsewhere what could be prepared is stored. */
  readonly prepares?: boolean;
  /** Register types that the target has. i64 missing: 64-bit integers are stored and computed as i32, checked at the edge. */
  readonly dtypes: ReadonlySet<DType>;
  /** Every memory cell is at least this wide (WGSL: 4): narrower types are stored one element a cell. */
  readonly minCellBytes: number;
  /** Inputs and outputs are copied into planned memory (wasm, js, wgsl), or are the caller's pointers (c). */
  readonly ioInArena: boolean;
  /** The printer wants moving pointers and immediate offsets instead of index arithmetic. */
  readonly pointers: boolean;
  /** Offsets of buffers are multiples of this. */
  readonly align: number;
};

/** Lanes of the narrowest vectors; a target with wider ones has all down to these. */
export const fewestLanes = 4;
/** A choice of vectors: bytes of one, and how many a kernel may count on. */
export type Vectors = Pick<TargetInfo, "vectorBytes" | "registers">;
/** The target as it is with each of its vectors, those of `variants` last. */
export function widthsOf(target: TargetInfo): readonly TargetInfo[] {
  const { variants = [], ...own } = target;
  return [own, ...variants.map((x) => ({ ...own, ...x }))];
}

/** What of a target says how elements lie in memory. */
export type Cells = Pick<TargetInfo, "dtypes" | "minCellBytes">;
/** The type of a cell in a target's memory that holds elements of `d`. */
export function storedType(d: DType, target: Pick<Cells, "dtypes">): DType {
  return is64(d) && !target.dtypes.has(d) ? (d === "i64" ? "i32" : "u32") : cellType(d);
}
/** Bytes of one element in a target's memory. */
export function cellBytes(d: DType, target: Cells): number {
  return Math.max(elementBytes(storedType(d, target)), target.minCellBytes);
}

/** A printer or encoder of programs. Deterministic: same program, same bytes. */
export type Target = {
  readonly info: TargetInfo;
  readonly emit: (p: Program, options: EmitOptions) => Promise<Emitted>;
};
export type EmitOptions = {
  readonly name: string;
  readonly weights: "embed" | "file";
  readonly strict: boolean;
  /** What the numbers of outputs stand for, by the outputs' names: told to callers. */
  readonly labels?: ReadonlyMap<string, Labels>;
  /** The ports that together are a sequence or optional. */
  readonly lists?: ListPorts;
};
export type Emitted = { readonly files: readonly OutputFile[] };
