// NAME.plan.json: what runtime/webgpu.ts interprets.
import type { Manifest } from "./manifest.ts";

/** An integer expression: a number, a symbol's slot, or an operator and its operands. Division floors; by zero it gives 0. */
export type PlanDim =
  | number
  | readonly [symbol: number]
  | readonly [op: "+" | "*" | "/" | "%" | "max" | "min" | "broadcast", terms: readonly PlanDim[]];
/** Where a buffer lies: at byte `offset` of a region (a number: that part of the weights), or of the buffer `root`. */
export type PlanBuffer = {
  readonly region: "arena" | "prepared" | "heap" | number;
  readonly offset: PlanDim;
  readonly root?: number;
};
export type PlanPort = { readonly buffer: number; readonly shape: readonly PlanDim[] };
/** A shader: its entry point, and the range of its own text in the WGSL file. folded: the grid may take any shape. */
export type PlanKernel = {
  readonly entry: string;
  readonly code: readonly [start: number, end: number];
  readonly folded?: boolean;
};
export type PlanAction =
  /** The arguments are the offsets of `buffers` in words, then `values` (those in `floats` as f32). grid: workgroups along x, y, z. */
  | {
      readonly do: "call";
      readonly kernel: number;
      readonly buffers: readonly number[];
      readonly values: readonly PlanDim[];
      readonly grid: readonly PlanDim[];
      readonly floats?: readonly number[];
      readonly parts?: readonly number[];
    }
  | {
      readonly do: "dim";
      readonly symbol: number;
      readonly value: PlanDim;
      readonly min: number;
      readonly max: number | null;
    }
  | {
      readonly do: "dim";
      readonly symbol: number;
      readonly buffer: number;
      readonly index: PlanDim;
      readonly min: number;
      readonly max: number | null;
    }
  | { readonly do: "reserve"; readonly buffer: number; readonly symbol: number; readonly bytes: PlanDim }
  | { readonly do: "release"; readonly buffer: number }
  | {
      readonly do: "if";
      readonly cond: number;
      readonly then: readonly PlanAction[];
      readonly otherwise: readonly PlanAction[];
    }
  | {
      readonly do: "loop";
      readonly trip: PlanDim | null;
      readonly cond: number | null;
      readonly counter: number;
      readonly body: readonly PlanAction[];
      readonly swap: readonly (readonly [number, number])[];
    };
export type Plan = {
  readonly format: 1;
  readonly manifest: Manifest;
  /** In the order of the manifest. */
  readonly inputs: readonly PlanPort[];
  readonly outputs: readonly PlanPort[];
  /** Names of the symbols, by slot. */
  readonly symbols: readonly string[];
  /** The slots of the manifest's symbols. */
  readonly bindings: readonly number[];
  /** The slot of the run's seed. */
  readonly seed: number | null;
  readonly lets: readonly (readonly [symbol: number, value: PlanDim])[];
  /** Each must be 0: the manifest says why. */
  readonly requires: readonly PlanDim[];
  readonly sizes: { readonly arena: PlanDim; readonly prepared: PlanDim };
  /** Byte ranges of the weights, each a GPU buffer. */
  readonly weights: readonly (readonly [start: number, end: number])[];
  /** How many of them a shader can bind. */
  readonly slots: number;
  /** Size of a call's arguments in 16-byte vectors. */
  readonly vectors: number;
  /** The first characters of the WGSL file, which every shader needs. */
  readonly prelude: number;
  readonly kernels: readonly PlanKernel[];
  readonly buffers: readonly PlanBuffer[];
  readonly init: readonly PlanAction[];
  readonly run: readonly PlanAction[];
};
