// Reads what graphs and programs share: constants, types, symbols, places in the model. The grammar stands at the top of print.ts.
import type { SymbolId } from "../base/brand.ts";
import type { Loc } from "../base/diagnostics.ts";
import type { Reader } from "../base/text.ts";
import { known, type Sym } from "./dim.ts";
import { isDType, readDim, readTensorType } from "./parse-names.ts";
import type { ConstantTable } from "./print-data.ts";
import { countOf, is64, isFloat, type Tensor, type TensorType, tensorOf, type ValueType } from "./types.ts";

/** The elements of a constant, or its key in the table, after its type when the place has none that fits. */
export function readTensor(r: Reader, constants: ConstantTable, placed: TensorType | null): Tensor {
  const t = r.peek();
  const type = t.kind === "word" && isDType(t.text) ? readTensorType(r) : placed;
  if (!type) r.fail("expected the constant's type");
  const dims = type.shape.map((d) => known(d) ?? r.fail("the dims of a constant are numbers", t));
  if (r.accept("@")) {
    const at = r.peek();
    const name = r.name("a constant");
    const hash = r.peek();
    if (hash.kind !== "tag") r.fail("expected the hash of the constant");
    r.next();
    const bytes =
      constants.get(`${name}#${hash.value}`) ?? r.fail(`no constant ${name}#${hash.value} in the table`, at);
    return { dtype: type.dtype, dims, bytes };
  }
  const at = r.expect("[");
  const wide = is64(type.dtype);
  const items = r.list("]", () => (wide ? readBigInt(r) : readNumber(r, isFloat(type.dtype))));
  if (items.length !== countOf(dims)) r.fail(`${items.length} elements of a constant of ${countOf(dims)}`, at);
  return tensorOf(type.dtype, dims, items as readonly number[] | readonly bigint[]);
}
function readBigInt(r: Reader): bigint {
  const sign = r.accept("-") ? -1n : 1n;
  const t = r.next();
  if (t.kind !== "number" || !/^\d+$/.test(t.text)) r.fail("expected an integer", t);
  return sign * BigInt(t.value);
}
/** A number, maybe negative, inf or nan; an integer unless `float`. */
export function readNumber(r: Reader, float: boolean): number {
  const sign = r.accept("-") ? -1 : 1;
  const t = r.next();
  if (float && (t.text === "inf" || t.text === "nan"))
    return sign * (t.text === "inf" ? Number.POSITIVE_INFINITY : Number.NaN);
  if (t.kind !== "number" || t.suffix !== null || (!float && !/^(\d+|0x[\da-fA-F]+)$/.test(t.text)))
    r.fail("expected a number", t);
  return sign * Number(t.value);
}

export function readType(r: Reader): ValueType {
  for (const [word, kind] of [
    ["seq", "sequence"],
    ["optional", "optional"],
  ] as const) {
    if (!r.at(word)) continue;
    r.next();
    r.expect("(");
    const of = readType(r);
    r.expect(")");
    return { kind, of };
  }
  return { kind: "tensor", tensor: readTensorType(r) };
}

/** `1..64`, `0..` */
export function readRange(r: Reader): { readonly min: number; readonly max: number | null } {
  const min = r.int();
  r.expect("..");
  const bounded = r.peek().kind === "number" || r.at("-");
  return { min, max: bounded ? r.int() : null };
}
export function readSymbolId(r: Reader): SymbolId {
  return r.name("a symbol") as SymbolId;
}
/** `where N in 1..64, ...`, or nothing. */
export function readWhere(r: Reader): readonly Sym[] {
  const symbols: Sym[] = [];
  if (!r.accept("where")) return symbols;
  do {
    const id = readSymbolId(r);
    r.expect("in");
    const range = readRange(r);
    let def: Sym["def"] = null;
    if (r.accept("from")) {
      r.expect("data");
      def = "data";
    } else if (r.accept("=")) def = readDim(r);
    symbols.push({ id, ...range, def });
  } while (r.accept(","));
  return symbols;
}
/** `-> x`, `-> (x, y)` */
export function readOutputs<T>(r: Reader, output: () => T): readonly T[] {
  r.expect("->");
  return r.accept("(") ? r.list(")", output) : [output()];
}

/** `op`: the op of a loc that names none. */
export function readLoc(r: Reader, op: string | null): Loc {
  r.expect("loc");
  r.expect("(");
  const node = r.string();
  let named = op;
  let more: { pass?: string; cause?: Loc } = {};
  while (r.accept(",")) {
    if (r.accept("pass")) {
      r.expect("=");
      more = { ...more, pass: r.string() };
    } else if (r.accept("from")) {
      r.expect("=");
      more = { ...more, cause: readLoc(r, null) };
    } else named = r.string();
  }
  if (named === null) r.fail("expected the op of the loc");
  r.expect(")");
  return { node, op: named, ...more };
}
