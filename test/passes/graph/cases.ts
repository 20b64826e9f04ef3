// Graphs as text before and after a pass, which compute the same.
import { expect } from "vitest";
import type { Evaluator } from "../../../passes/graph/fold-constants.ts";
import { toTe } from "../../../passes/te/to-te.ts";
import * as D from "../../../src/ir/dim.ts";
import type { Graph } from "../../../src/ir/graph.ts";
import { parseGraph } from "../../../src/ir/parse.ts";
import { type ConstantTable, printGraph } from "../../../src/ir/print.ts";
import { type DType, isFloat, type Tensor, tensorOf } from "../../../src/ir/types.ts";
import { verifyGraph } from "../../../src/ir/verify.ts";
import { OpTable } from "../../../src/ops/index.ts";
import { evaluateProgram } from "../../../targets/js/evaluate.ts";
import { jsTarget } from "../../../targets/js/index.ts";
import { Interpreter } from "../../ops/interpret.ts";
import * as text from "../sections.ts";

const ops = new OpTable();
export const evaluator: Evaluator = { info: jsTarget.info, run: (p) => evaluateProgram(p, new Map()) };

export function graph(text: string, constants: ConstantTable = new Map()): Graph {
  const g = parseGraph(text, constants, (name) => ops.named(name));
  verifyGraph(g);
  return g;
}

/** One test for each section: text, verifier, and that both graphs compute the same (within `tolerance` of the largest element). */
export function testSections(file: string, pass: (g: Graph) => Graph, tolerance = 0): readonly text.Section[] {
  return text.testSections(new URL(file, import.meta.url), (before) => {
    const g = graph(before);
    const result = pass(g);
    verifyGraph(result);
    expectEqual(g, result, tolerance);
    return printGraph(result).text;
  });
}

/** Runs both graphs on the same inputs: symbols are 3, 4, 5, ...; integer inputs hold 0, 1 and 2. */
export function expectEqual(
  before: Graph,
  after: Graph,
  tolerance = 0,
  inputs: readonly Tensor[] = inputsFor(before),
): void {
  const [a, b] = [before, after].map((g) => new Interpreter(toTe(g)).run(inputs));
  expect(b!.map((x) => [x.dtype, x.dims])).toEqual(a!.map((x) => [x.dtype, x.dims]));
  a!.forEach((x, k) => {
    const y = b![k]!;
    const largest = Math.max(...x.data.map((e) => Math.abs(Number(e))));
    x.data.forEach((e, i) => {
      const f = y.data[i]!;
      const close = Object.is(e, f) || Math.abs(Number(e) - Number(f)) <= tolerance * largest;
      expect(tolerance === 0 ? Object.is(e, f) : close, `output ${k}, element ${i}: ${e} has become ${f}`).toBe(true);
    });
  });
}
export function inputsFor(g: Graph, seed = 1): readonly Tensor[] {
  const sizes = new Map(g.symbols.filter((s) => s.def === null).map((s, k) => [s.id, s.max ?? 3 + k]));
  const next = random(seed);
  return g.inputs.map((id) => {
    const t = g.values.get(id)!.type;
    if (t.kind !== "tensor") throw new Error("a sequence as input");
    const dims = t.tensor.shape.map((d) => D.evaluate(d, (s) => sizes.get(s)!));
    return tensorOf(
      t.tensor.dtype,
      dims,
      Array.from({ length: dims.reduce((p, q) => p * q, 1) }, () => next(t.tensor.dtype)),
    );
  });
}
/** Floats around 0 with zeros of both signs among them, and small integers. */
export function random(seed: number): (d: DType) => number {
  let state = seed >>> 0;
  const unit = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  return (d) => {
    const u = unit();
    if (d === "bool") return u < 0.5 ? 0 : 1;
    if (!isFloat(d)) return Math.floor(u * 3);
    return u < 0.05 ? 0 : u < 0.1 ? -0 : 4 * unit() - 2;
  };
}
