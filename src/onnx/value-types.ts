// TypeProto to ValueType, and the symbols that stand for the open dims of a model's inputs.
import type { SymbolId } from "../base/brand.ts";
import { userError } from "../base/diagnostics.ts";
import type { ListPort } from "../ir/artifact.ts";
import type { Dim, Sym } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import { type DType, tensorType, type ValueType } from "../ir/types.ts";
import { elementOf, isDeep, openDim } from "../ops/lists.ts";
import type { DimensionProto, TensorTypeProto, TypeProto } from "./schema.ts";
import { dtypeOfCode, nameOfCode } from "./tensors.ts";

export type DimBounds = { readonly min: number; readonly max: number };

/** The dims of the tensors that a list is made of; a tensor has none. */
export type ListDims = { readonly length: null } | { readonly length: Dim; readonly size: Dim };
export function listPort(name: string, type: Exclude<ValueType, { kind: "tensor" }>): ListPort {
  const { dtype, shape } = elementOf(type);
  return {
    name,
    kind: isDeep(type) ? "optional sequence" : type.kind,
    dtype,
    dims: shape && shape.map((d) => D.known(d)),
  };
}

/** What exporters write for a dim that has no name. */
const nameless = /^(\?|None|-1)?$/;

/** Far beyond any real model; what is kept per symbol and body graph stays bounded. */
const maxSymbols = 1000;

/** The symbols of a model's inputs, with the bounds that the user gives them. */
export class InputSymbols {
  /** In order of first use, without those that are fixed. */
  readonly open: Map<string, Sym> = new Map();
  private readonly seen = new Set<string>();
  private readonly bounds: ReadonlyMap<string, DimBounds>;

  constructor(bounds: ReadonlyMap<string, DimBounds>) {
    this.bounds = bounds;
    for (const [name, { min, max }] of bounds) {
      if (!Number.isSafeInteger(min) || !Number.isSafeInteger(max) || min < 0 || max < min)
        throw userError("E302", `dim ${name} cannot be ${min}..${max}`);
    }
  }

  /**
   * The type of input `name`. A dim without a name is the symbol `INPUT:AXIS`; symbols are at least 1 unless their bounds say
   * otherwise. Throws UserErrors E203 and E205.
   */
  type(t: TypeProto | null, name: string): ValueType {
    const what = `input "${name}"`;
    if (t?.sequence || t?.optional) return elementTypeOf(t, what);
    const tensor = tensorProto(t, what);
    const dtype = dtypeIn(tensor, what);
    if (!tensor.shape)
      throw userError("E205", `${what} has no shape, not even a rank`, {
        hint: "declare its shape in the model; dims may have names",
      });
    return tensorType(
      dtype,
      tensor.shape.dim.map((d, axis) => this.dim(d, `${name}:${axis}`)),
    );
  }

  /** The length of a sequence and the elements in it: symbols as well, which may be 0. */
  listDims(type: ValueType, name: string): ListDims {
    if (type.kind === "tensor" || (type.of.kind !== "tensor" && !isDeep(type))) return { length: null };
    const symbol = (axis: string, max: number | null): Dim => {
      const id = `${name}:${axis}` as SymbolId;
      this.seen.add(id);
      const bounds = this.bounds.get(id);
      if (bounds && bounds.min === bounds.max) return D.int(bounds.min);
      this.open.set(id, { id, min: bounds?.min ?? 0, max: bounds?.max ?? max, def: null });
      return D.sym(id);
    };
    const one = type.kind === "optional" && !isDeep(type) ? 1 : null;
    return { length: symbol("length", one), size: symbol("elements", null) };
  }

  private dim(d: DimensionProto, position: string): Dim {
    if (d.value !== null && d.value >= 0) return D.int(checked(d.value, position));
    const name = nameless.test(d.param) ? position : d.param;
    this.seen.add(name);
    const bounds = this.bounds.get(name);
    if (bounds && bounds.min === bounds.max) return D.int(bounds.min);
    const id = name as SymbolId;
    if (!this.open.has(name)) {
      if (this.open.size >= maxSymbols) throw userError("E205", `the inputs have more than ${maxSymbols} open dims`);
      this.open.set(name, { id, min: bounds?.min ?? 1, max: bounds?.max ?? null, def: null });
    }
    return D.sym(id);
  }

  /** Throws a UserError E301 when the user bounds a symbol that no input has. */
  checkBounds(): void {
    const unknown = [...this.bounds.keys()].filter((n) => !this.seen.has(n));
    if (unknown.length === 0) return;
    const known = [...this.seen].join(", ");
    throw userError("E301", `the model has no dim ${unknown.map((n) => `"${n}"`).join(", ")}`, {
      hint: known === "" ? "all its dims are fixed" : `its dims: ${known}`,
    });
  }
}

function tensorProto(t: TypeProto | null, what: string): TensorTypeProto {
  if (t?.map) throw userError("E203", `${what} is a map, which is not supported`);
  if (t?.sparseTensor) throw userError("E203", `${what} is a sparse tensor, which is not supported`);
  return t?.tensor ?? fail205(`${what} has no type`);
}
function fail205(message: string): never {
  throw userError("E205", message);
}
function dtypeIn(t: TensorTypeProto, what: string): DType {
  const dtype = dtypeOfCode(t.elemType);
  if (dtype === null)
    throw userError("E203", `${what} has elements of type ${nameOfCode(t.elemType)}, which is not supported`);
  return dtype;
}
/**
 * The type of a sequence or optional, or of a tensor in one: dims that are no numbers are open, since elements differ in them. Throws
 * UserErrors E203 and E205.
 */
export function elementTypeOf(t: TypeProto | null, what: string): ValueType {
  const inner = t?.sequence ?? t?.optional;
  if (inner) {
    const kind = t?.sequence ? "sequence" : "optional";
    const of = elementTypeOf(inner.elemType, what);
    const shaped = inner.elemType?.tensor?.shape ?? null;
    return { kind, of, ...(of.kind === "tensor" && !shaped ? { elements: "any" } : {}) };
  }
  const tensor = tensorProto(t, what);
  const dims = tensor.shape?.dim ?? [];
  return tensorType(
    dtypeIn(tensor, what),
    dims.map((d, axis) => (d.value !== null && d.value >= 0 ? D.int(checked(d.value, `${what}:${axis}`)) : openDim)),
  );
}

/** No shape of a real tensor is larger, and products of a few dims stay exact. */
function checked(value: number, position: string): number {
  if (value > 2 ** 40) throw userError("E205", `dim ${position} of ${value} is too large`);
  return value;
}

/** A declared tensor type's dims as far as they say something: a number, a name, or null. Null when it is no tensor or has no shape. */
export function declaredDims(t: TensorTypeProto | null | undefined): readonly (number | string | null)[] | null {
  return (
    t?.shape?.dim.map((d) =>
      d.value !== null ? (d.value >= 0 ? d.value : null) : nameless.test(d.param) ? null : d.param,
    ) ?? null
  );
}

/**
 * Throws a UserError E205 when the known dims of a tensor alone make it larger than any memory: what is inferred from it stays
 * within exact integers.
 */
export function checkSize(t: ValueType, what: string): void {
  if (t.kind !== "tensor") {
    checkSize(t.of, what);
    return;
  }
  const { shape } = t.tensor;
  const count = shape.reduce((n, d) => n * Math.max(1, D.known(d) ?? 1), 1);
  if (count > 2 ** 40) throw userError("E205", `${what} of shape [${shape.map((d) => d.key).join(", ")}] is too large`);
}
