// The manifest of an artifact: what its loader, and its users, know of the program.

import type { ListInfo, Lists, Manifest, PortInfo } from "../../runtime/manifest.ts";
import { must } from "../../src/base/assert.ts";
import type { SymbolId } from "../../src/base/brand.ts";
import type { ListPort, ListPorts } from "../../src/ir/artifact.ts";
import type { Dim } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import type { Program } from "../../src/ir/program.ts";
import type { EmitOptions } from "../../src/ir/target.ts";
import type { Port } from "../../src/ir/te.ts";
import type { DType } from "../../src/ir/types.ts";

const onnxTypes: Readonly<Record<DType, string>> = {
  f64: "double",
  f32: "float",
  f16: "float16",
  bf16: "bfloat16",
  f8e4m3fn: "float8e4m3fn",
  f8e4m3fnuz: "float8e4m3fnuz",
  f8e5m2: "float8e5m2",
  f8e5m2fnuz: "float8e5m2fnuz",
  f8e8m0: "float8e8m0",
  f4e2m1: "float4e2m1",
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
/** ONNX's name of an element type. */
export function onnxType(d: DType): string {
  return onnxTypes[d];
}
/** A dim as its users read it: a number, or text over symbols, whose names stand as they are. */
export function dimInfo(d: Dim): number | string {
  return d.kind === "int" ? d.value : d.kind === "sym" ? d.id : d.key;
}

/** The sequences and optionals among a program's ports; null when there are none. */
export function listsOf(lists: ListPorts | undefined): Lists | null {
  if (!lists || lists.inputs.length + lists.outputs.length === 0) return null;
  const info = ({ name, kind, dtype, dims }: ListPort): ListInfo => ({
    name,
    kind,
    type: onnxType(dtype),
    dims: dims && dims.map((d) => d ?? "?"),
  });
  return { inputs: lists.inputs.map(info), outputs: lists.outputs.map(info) };
}

/** The manifest of a program whose weights are where `weights` says. labels: as in EmitOptions. */
export function manifestOf(
  p: Program,
  name: string,
  weights: Manifest["weights"],
  labels?: EmitOptions["labels"],
): Manifest {
  const known = new Set<SymbolId>([...p.bindings.map((b) => b.id), ...p.plan.lets.map((l) => l.id)]);
  const info = (port: Port): PortInfo => {
    const { dtype, shape } = must(p.buffers.get(port.buffer), `buffer of ${port.name}`);
    const late = shape.some((d) => [...D.symbolsOf(d)].some((id) => !known.has(id)));
    return { name: port.name, type: onnxType(dtype), dims: shape.map(dimInfo), ...(late ? { late } : {}) };
  };
  const size = (d: Dim): number => must(D.known(d), "a static size");
  const { sizes } = p.plan;
  return {
    name,
    inputs: p.inputs.map(info),
    outputs: p.outputs.map((port) => {
      const known = labels?.get(port.name);
      return known ? { ...info(port), labels: known } : info(port);
    }),
    ...(p.requires.length > 0 ? { requires: p.requires.map((r) => r.why) } : {}),
    symbols: p.bindings.map((b) => ({ name: b.id, input: b.input, axis: b.axis, min: b.min, max: b.max })),
    sizes: { weights: size(sizes.weights), prepared: size(sizes.prepared), arena: dimInfo(sizes.arena) },
    weights,
  };
}
