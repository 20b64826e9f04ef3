// TypeProto to ValueType, and the symbols that stand for the open dims of a model's inputs.
import type { SymbolId } from "../base/brand.ts";
import { userError } from "../base/diagnostics.ts";
import type { Dim, Sym } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import { tensorType, type ValueType } from "../ir/types.ts";
import type { DimensionProto, TensorTypeProto, TypeProto } from "./schema.ts";
import { dtypeOfCode, nameOfCode } from "./tensors.ts";

export type DimBounds = { readonly min: number; readonly max: number };

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
    if (t?.sequence) return { kind: "sequence", of: this.type(t.sequence.elemType, name) };
    if (t?.optional) return { kind: "optional", of: this.type(t.optional.elemType, name) };
    if (t?.map) throw userError("E203", `${what} is a map, which is not supported`);
    if (t?.sparseTensor) throw userError("E203", `${what} is a sparse tensor, which is not supported`);
    if (!t?.tensor) throw userError("E205", `${what} has no type`);
    const dtype = dtypeOfCode(t.tensor.elemType);
    if (dtype === null)
      throw userError("E203", `${what} has elements of type ${nameOfCode(t.tensor.elemType)}, which is not supported`);
    if (!t.tensor.shape)
      throw userError("E205", `${what} has no shape, not even a rank`, {
        hint: "declare its shape in the model; dims may have names",
      });
    return tensorType(
      dtype,
      t.tensor.shape.dim.map((d, axis) => this.dim(d, `${name}:${axis}`)),
    );
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
