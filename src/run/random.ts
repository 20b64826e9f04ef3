// Inputs made up from a seed: the same on every machine.

import { must } from "../base/assert.ts";
import type { SymbolId } from "../base/brand.ts";
import type { ListPort } from "../ir/artifact.ts";
import type { Sym } from "../ir/dim.ts";
import { countOf, type DType, elementBytes, intBits, is64, isFloat, type Tensor, typedView } from "../ir/types.ts";
import { modestBits } from "./floats.ts";
import { packList } from "./lists.ts";
import { evaluateShape, type Port, type Ports, type Tensors } from "./ports.ts";

/** The generator sfc32 of Chris Doty-Humphrey's PractRand: u32s. */
function generator(seed: number, stream: number): () => number {
  let [a, b, c, n] = [seed | 0, (seed / 2 ** 32) | 0, stream | 0, 1];
  const next = (): number => {
    const t = (((a + b) | 0) + n) | 0;
    n = (n + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + t;
    c |= 0;
    return t >>> 0;
  };
  for (let i = 0; i < 16; i++) next();
  return next;
}

/**
 * What a symbol is where nobody says: 1 for a first axis (a batch), else 16 (a length or a size), within its bounds.
 */
export function representatives(ports: Ports): Map<SymbolId, number> {
  const axes = new Map<SymbolId, number>();
  for (const { shape } of ports.inputs)
    shape.forEach((d, axis) => {
      if (d.kind === "sym" && !axes.has(d.id)) axes.set(d.id, axis);
    });
  const within = (s: Sym, n: number): number => Math.min(Math.max(n, s.min), s.max ?? n);
  return new Map(ports.symbols.map((s) => [s.id, within(s, axes.get(s.id) === 0 ? 1 : 16)]));
}

/**
 * Inputs of a model. Floats are near normal, of mean 0 and variance 1. Integers of 8 bits take any value; wider ones are 0 or 1,
 * since they are often indices, lengths or masks.
 */
export function randomInputs(ports: Ports, seed: number): Tensors {
  const values = representatives(ports);
  const tensors = Object.fromEntries(
    ports.inputs.map((p, i) => [
      p.name,
      randomTensor(p, must(evaluateShape(p.shape, values), `dims of ${p.name}`), generator(seed, i + 1)),
    ]),
  );
  return Object.assign(tensors, ...ports.lists.inputs.map((l, i) => packList(l, randomList(l, seed, i))));
}
/** Two tensors; an optional one holds one. A dim that is not known is 3, a rank 1. */
function randomList(l: ListPort, seed: number, k: number): readonly Tensor[] {
  const dims = (l.dims ?? [null]).map((d) => d ?? 3);
  return Array.from({ length: l.kind === "optional" ? 1 : 2 }, (_, j) =>
    randomTensor({ name: l.name, dtype: l.dtype, shape: [] }, dims, generator(seed, 1000 + 2 * k + j)),
  );
}

function randomTensor({ dtype }: Port, dims: readonly number[], random: () => number): Tensor {
  const n = countOf(dims);
  const bytes = new Uint8Array(n * elementBytes(dtype));
  const cells = typedView(dtype, bytes);
  const draw = drawOf(dtype, random);
  for (let i = 0; i < n; i++) cells[i] = (is64(dtype) ? BigInt(draw()) : draw()) as never;
  return { dtype, dims, bytes };
}
function drawOf(dtype: DType, random: () => number): () => number {
  // The sum of four uniform numbers: near normal, and the same bits on every machine, which logarithms are not.
  if (dtype === "f32" || dtype === "f64")
    return () => ((random() + random() + random() + random()) / 2 ** 32 - 2) * Math.sqrt(3);
  if (isFloat(dtype)) return () => modestBits(dtype, random);
  if (dtype === "bool" || intBits(dtype) > 8) return () => random() & 1;
  const bits = intBits(dtype);
  return () => (dtype.startsWith("u") ? random() >>> (32 - bits) : (random() | 0) >> (32 - bits));
}
