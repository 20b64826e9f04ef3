// A model's inputs and outputs as tensors: their types, and whether given tensors fit them.
import { InternalError, must } from "../base/assert.ts";
import type { SymbolId } from "../base/brand.ts";
import { type Code, type Diagnostic, diagnostic } from "../base/diagnostics.ts";
import type { ListPorts } from "../ir/artifact.ts";
import type { Dim, Sym } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import type { Graph } from "../ir/graph.ts";
import type { DType, Tensor } from "../ir/types.ts";

export type Port = { readonly name: string; readonly dtype: DType; readonly shape: readonly Dim[] };
export type Ports = {
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  /** Those that the inputs' shapes bind. */
  readonly symbols: readonly Sym[];
  /** Which of them are together a sequence or optional. */
  readonly lists: ListPorts;
};
/** Tensors by the names of a model's inputs or outputs. */
export type Tensors = Readonly<Record<string, Tensor>>;
/** The tensor of that name: never what every object has ("constructor" is a possible name). */
export function tensorIn(t: Tensors, name: string): Tensor | undefined {
  return Object.hasOwn(t, name) ? t[name] : undefined;
}

/** Of an imported graph, with what its sequences and optionals are. */
export function portsOf(g: Graph, lists: ListPorts = { inputs: [], outputs: [] }): Ports {
  const port = (id: Graph["inputs"][number]): Port => {
    const { name, type } = must(g.values.get(id), `value ${id}`);
    if (type.kind !== "tensor") throw new InternalError(`"${name}" is a ${type.kind}`);
    return { name, ...type.tensor };
  };
  return {
    inputs: g.inputs.map(port),
    outputs: g.outputs.map(port),
    symbols: g.symbols.filter((s) => s.def === null),
    lists,
  };
}

/** NumPy's name of an element type (those of the package ml_dtypes where NumPy has none). */
export function numpyName(d: DType): string {
  return names[d];
}
const names: Readonly<Record<DType, string>> = {
  f64: "float64",
  f32: "float32",
  f16: "float16",
  bf16: "bfloat16",
  f8e4m3fn: "float8_e4m3fn",
  f8e4m3fnuz: "float8_e4m3fnuz",
  f8e5m2: "float8_e5m2",
  f8e5m2fnuz: "float8_e5m2fnuz",
  f8e8m0: "float8_e8m0fnu",
  f4e2m1: "float4_e2m1fn",
  i64: "int64",
  i32: "int32",
  i16: "int16",
  i8: "int8",
  i4: "int4",
  i2: "int2",
  u64: "uint64",
  u32: "uint32",
  u16: "uint16",
  u8: "uint8",
  u4: "uint4",
  u2: "uint2",
  bool: "bool",
};

/** A dim as its users read it: a number, or text over symbols, whose names stand as they are. */
export function dimText(d: Dim): number | string {
  return d.kind === "int" ? d.value : d.kind === "sym" ? d.id : d.key;
}
export function shapeText(shape: readonly (Dim | number)[]): string {
  return `[${shape.map((d) => (typeof d === "number" ? d : dimText(d))).join(", ")}]`;
}

/**
 * The values that the shapes of inputs give to symbols. Every mistake (a wrong type, rank or dim, a symbol with two values or
 * outside its bounds) is pushed to `problems` with this code.
 */
export function bindSymbols(ports: Ports, given: Tensors, problems: Diagnostic[], code: Code): Map<SymbolId, number> {
  const values = new Map<SymbolId, number>();
  const bounds = new Map(ports.symbols.map((s) => [s.id, s]));
  for (const port of ports.inputs) {
    const t = tensorIn(given, port.name);
    if (!t) continue;
    const wrong = (why: string, hint?: string): void => {
      problems.push(diagnostic(code, `input "${port.name}" ${why}`, { hint }));
    };
    const want = `${numpyName(port.dtype)} ${shapeText(port.shape)}`;
    if (t.dtype !== port.dtype) wrong(`is ${numpyName(t.dtype)} where ${want} is due`);
    else if (t.dims.length !== port.shape.length) wrong(`has shape ${shapeText(t.dims)} where ${want} is due`);
    else {
      port.shape.forEach((d, axis) => {
        const n = must(t.dims[axis], "a dim");
        if (d.kind === "int" && d.value !== n) wrong(`has shape ${shapeText(t.dims)} where ${want} is due`);
        if (d.kind !== "sym") return;
        const { min, max } = must(bounds.get(d.id), `symbol ${d.id}`);
        const old = values.get(d.id);
        if (old !== undefined && old !== n)
          wrong(`has ${d.id} = ${n} at axis ${axis}, but ${d.id} is ${old} elsewhere`);
        else if (n < min || (max !== null && n > max))
          wrong(`has ${d.id} = ${n} at axis ${axis}, which is not within ${min}..${max ?? ""}`);
        values.set(d.id, n);
      });
    }
  }
  return values;
}

/** The dims of a shape where every symbol has a value, else null. */
export function evaluateShape(shape: readonly Dim[], values: ReadonlyMap<SymbolId, number>): number[] | null {
  if (shape.some((d) => [...D.symbolsOf(d)].some((s) => !values.has(s)))) return null;
  return shape.map((d) => D.evaluate(d, (s) => must(values.get(s), `symbol ${s}`)));
}
