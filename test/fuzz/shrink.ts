// Makes a failing case small: fewer outputs, nodes, attributes, runs and dims, plainer data, as long as it fails in the same way.
import { compileTarget, frontEnd } from "../../src/compile.ts";
import { countOf, type DType, elementBytes, type Tensor, typedView } from "../../src/ir/types.ts";
import type { GraphSpec, ModelSpec, NodeSpec, TypeSpec } from "../../src/onnx/export.ts";
import { modelBytes } from "../../src/onnx/export.ts";
import { portsOf, type Tensors } from "../../src/run/ports.ts";
import { runOnce } from "../../src/run/runner.ts";
import { bodiesOf, type FuzzCase, nodesOf, outputsOf, pruned } from "./case.ts";
import { configNames } from "./check.ts";
import type { Checker } from "./checker.ts";

/** The smallest case that was found with the same kind of failure. Takes at most `limitMs`. */
export async function shrink(
  start: FuzzCase,
  kind: string,
  checker: Pick<Checker, "check">,
  limitMs: number,
): Promise<FuzzCase> {
  const end = performance.now() + limitMs;
  const only = configNames.filter((n) => kind.replace(/^(run|compile) /, "").startsWith(n));
  // The longest name alone: "wasm strict" is no failure of "wasm".
  const named = only.sort((a, b) => b.length - a.length).slice(0, 1);
  let best = start;
  const steps = [
    fewerOutputs,
    cutNodes,
    skipNodes,
    fewerRuns,
    inlineBodies,
    fewerAttributes,
    fixDims,
    smallerDims,
    plainerData,
  ];
  for (let progress = true; progress && performance.now() < end; ) {
    progress = false;
    for (const step of steps) {
      // What a step offers comes from the case as it is now.
      for (let again = true; again && performance.now() < end; ) {
        again = false;
        for (const next of await step(best)) {
          if (performance.now() > end) break;
          const smaller = pruned(next);
          const [v] = await checker.check([smaller], named);
          if (v!.status !== "failed" || v!.failure.kind !== kind) continue;
          best = smaller;
          progress = again = true;
          break;
        }
      }
    }
  }
  return best;
}

type Step = (c: FuzzCase) => readonly FuzzCase[] | Promise<readonly FuzzCase[]>;
const withModel = (c: FuzzCase, m: Partial<ModelSpec>): FuzzCase => ({ ...c, model: { ...c.model, ...m } });

const fewerOutputs: Step = (c) => {
  const outputs = outputsOf(c.model);
  if (outputs.length < 2) return [];
  return [
    ...outputs.map((o) => withModel(c, { outputs: [o] })),
    ...outputs.map((o) => withModel(c, { outputs: outputs.filter((x) => x !== o) })),
  ];
};
const fewerRuns: Step = (c) => (c.runs.length < 2 ? [] : c.runs.map((r) => ({ ...c, runs: [r] })));

/** Values in the middle become outputs, so that what is after them goes, or inputs, so that what is before them goes. */
const cutNodes: Step = async (c) => {
  const { nodes } = c.model;
  const early = nodes
    .slice(0, -1)
    .flatMap((n) => n.outputs.filter((o) => o !== "").map((o) => withModel(c, { outputs: [o] })));
  const values = await valuesOf(c);
  if (!values) return early;
  const late = nodes.flatMap((n) => {
    if (n.inputs.length === 0 && bodiesOf(n).length === 0) return [];
    const given = n.outputs.filter((o) => values[0]?.[o]);
    if (given.length === 0) return [];
    const types = given.map((o): [string, TypeSpec] => [o, [values[0]![o]!.dtype, values[0]![o]!.dims]]);
    const same = values.every((v) => given.every((o) => v[o]?.dims.join() === values[0]![o]!.dims.join()));
    const runs = c.runs.map((r, k) => ({ ...r, ...Object.fromEntries(given.map((o) => [o, values[k]![o]!])) }));
    const model: ModelSpec = {
      ...c.model,
      nodes: nodes.filter((x) => x !== n),
      inputs: { ...c.model.inputs, ...Object.fromEntries(types) },
      outputs: outputsOf(c.model).filter((o) => !given.includes(o)),
    };
    if (outputsOf(model).length === 0) return [];
    return [{ ...c, model, runs: same ? runs : runs.slice(0, 1) }];
  });
  return [...late, ...early];
};
/** All values of the graph in each run, by JavaScript under strict math; null where that does not work. */
async function valuesOf(c: FuzzCase): Promise<Tensors[] | null> {
  try {
    const all = [...new Set([...outputsOf(c.model), ...c.model.nodes.flatMap((n) => n.outputs)])].filter(
      (o) => o !== "",
    );
    const options = { name: "m", strict: true };
    const front = frontEnd(modelBytes({ ...c.model, outputs: all }), options);
    const ports = portsOf(front.graph);
    const compiled = await compileTarget(front, "js", options);
    const results: Tensors[] = [];
    for (const r of c.runs) results.push(await runOnce({ target: "js", name: "m", compiled, ports }, r, 0));
    return results;
  } catch {
    return null;
  }
}
/** A node's output is one of its inputs instead. */
const skipNodes: Step = (c) =>
  c.model.nodes.flatMap((n, at) =>
    n.inputs.flatMap((input) => {
      if (input === "" || n.outputs.length === 0) return [];
      const [out] = n.outputs;
      const nodes = c.model.nodes.map(
        (x, k): NodeSpec => (k === at ? { op: "Identity", inputs: [input], outputs: [out!] } : x),
      );
      return n.op === "Identity" ? [] : [withModel(c, { nodes })];
    }),
  );
/** A branch in place of an If. */
const inlineBodies: Step = (c) =>
  c.model.nodes.flatMap((n, at) =>
    n.op !== "If"
      ? []
      : bodiesOf(n).map(([, g]) => {
          const copies = n.outputs.map(
            (o, k): NodeSpec => ({ op: "Identity", inputs: [outputsOf(g)[k]!], outputs: [o] }),
          );
          return withModel(c, {
            nodes: [...c.model.nodes.slice(0, at), ...g.nodes, ...copies, ...c.model.nodes.slice(at + 1)],
            initializers: { ...c.model.initializers, ...g.initializers },
          });
        }),
  );
/** Changes one node, wherever it is. */
function withNode(g: GraphSpec, target: NodeSpec, by: NodeSpec): GraphSpec["nodes"] {
  return g.nodes.map((n) => {
    if (n === target) return by;
    const bodies = bodiesOf(n).map(([name, b]) => [name, { graph: { ...b, nodes: withNode(b, target, by) } }] as const);
    return bodies.length === 0 ? n : { ...n, attrs: { ...n.attrs, ...Object.fromEntries(bodies) } };
  });
}
const fewerAttributes: Step = (c) =>
  nodesOf(c.model).flatMap((n) =>
    Object.keys(n.attrs ?? {}).map((name) => {
      const attrs = Object.fromEntries(Object.entries(n.attrs!).filter(([x]) => x !== name));
      return withModel(c, { nodes: withNode(c.model, n, { ...n, attrs }) });
    }),
  );

const shapeOf = (t: TypeSpec): readonly (number | string | null)[] =>
  Array.isArray(t) ? (t[1] as readonly (number | string | null)[]) : [];
const dtypeOf = (t: TypeSpec): DType => (t as readonly [DType, unknown])[0];
/** Symbols become the numbers of a run. */
const fixDims: Step = (c) => {
  const inputs = Object.entries(c.model.inputs ?? {});
  if (!inputs.some(([, t]) => shapeOf(t).some((d) => typeof d !== "number"))) return [];
  return c.runs.map((r) =>
    withModel(
      { ...c, runs: [r] },
      { inputs: Object.fromEntries(inputs.map(([name, t]) => [name, [dtypeOf(t), r[name]!.dims]])) },
    ),
  );
};
/** One extent becomes smaller, everywhere in the inputs and constants. */
const smallerDims: Step = (c) => {
  const tensors = [...c.runs.flatMap((r) => Object.values(r)), ...Object.values(c.model.initializers ?? {})];
  const extents = [...new Set(tensors.flatMap((t) => t.dims))].filter((n) => n > 1).sort((a, b) => b - a);
  const sizes = (n: number): number[] => [...new Set([1, 2, n >> 1, n - 1])].filter((x) => x < n && x > 0);
  return extents.flatMap((n) =>
    sizes(n).map((to) => {
      const cut = (t: Tensor): Tensor =>
        sliced(
          t,
          t.dims.map((d) => (d === n ? to : d)),
        );
      const all = (x: Tensors | undefined): Tensors =>
        Object.fromEntries(Object.entries(x ?? {}).map(([k, t]) => [k, cut(t)]));
      const inputs = Object.entries(c.model.inputs ?? {}).map(([name, t]): [string, TypeSpec] => [
        name,
        [dtypeOf(t), shapeOf(t).map((d) => (d === n ? to : d))],
      ]);
      return withModel(
        { ...c, runs: c.runs.map(all) },
        { inputs: Object.fromEntries(inputs), initializers: all(c.model.initializers) },
      );
    }),
  );
};
/** The first elements along each axis. */
function sliced(t: Tensor, dims: readonly number[]): Tensor {
  const size = elementBytes(t.dtype);
  const bytes = new Uint8Array(countOf(dims) * size);
  for (let i = 0; i < countOf(dims); i++) {
    let [rest, from, stride] = [i, 0, 1];
    for (let k = dims.length - 1; k >= 0; k--) {
      from += (rest % dims[k]!) * stride;
      rest = Math.floor(rest / dims[k]!);
      stride *= t.dims[k]!;
    }
    bytes.set(t.bytes.subarray(from * size, (from + 1) * size), i * size);
  }
  return { dtype: t.dtype, dims, bytes };
}
const plainerData: Step = (c) =>
  c.runs.flatMap((r, k) =>
    Object.entries(r).flatMap(([name, t]) => {
      if (t.bytes.length === 0) return [];
      const zero: Tensor = { ...t, bytes: new Uint8Array(t.bytes.length) };
      const view = typedView(t.dtype, t.bytes);
      const first = typedView(t.dtype, zero.bytes.slice());
      first.fill(view[0] as never);
      const same: Tensor = { ...t, bytes: new Uint8Array(first.buffer, 0, t.bytes.length) };
      return [zero, same]
        .filter((x) => Buffer.compare(x.bytes, t.bytes) !== 0 && t.bytes.some((b) => b !== 0))
        .map((x) => ({ ...c, runs: c.runs.map((y, j) => (j === k ? { ...y, [name]: x } : y)) }));
    }),
  );
