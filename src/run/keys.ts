// The keys of npz files: which array is which input or expected output, and back. docs/cli.md states the rules.
import type { SymbolId } from "../base/brand.ts";
import { type Code, type Diagnostic, diagnostic, UserError } from "../base/diagnostics.ts";
import { type NpzEntry, readNpz, writeNpz } from "../base/npz.ts";
import { type DType, elementBytes, intBits, type Tensor } from "../ir/types.ts";
import {
  bindSymbols,
  evaluateShape,
  numpyName,
  type Port,
  type Ports,
  shapeText,
  type Tensors,
  tensorIn,
} from "./ports.ts";

type Found = { readonly tensors: Tensors; readonly warnings: readonly Diagnostic[] };

/** `|` in a key stands for `/` in a name. */
const plain = (key: string): string => key.replaceAll("|", "/");

/** The arrays of an npz file by key. An exact key is found before one that differs in `|` and `/`. */
class Keys {
  readonly #entries: readonly NpzEntry[];
  readonly #used = new Set<NpzEntry>();
  constructor(bytes: Uint8Array) {
    this.#entries = readNpz(bytes);
  }
  /** The first of these keys that there is. */
  find(keys: readonly string[]): NpzEntry | null {
    for (const key of keys) {
      const e =
        this.#entries.find((x) => x.name === key) ?? this.#entries.find((x) => plain(x.name) === plain(key)) ?? null;
      if (e) {
        this.#used.add(e);
        return e;
      }
    }
    return null;
  }
  /** A warning for each key that was not found and is not `known`. */
  unknown(what: string, known: (key: string) => boolean): Diagnostic[] {
    return this.#entries
      .filter((e) => !this.#used.has(e) && !known(e.name))
      .map((e) => diagnostic("W101", `the key "${e.name}" of the ${what} is ignored: the model has no such value`));
  }
}

/**
 * The inputs in an npz file: each under `in_NAME`, else `NAME`. Throws a UserError with every input that is missing (E401) or does
 * not fit (E402); E403 when the file cannot be read. Unknown keys but `out_*` are warnings W101.
 */
export function inputsFrom(npz: Uint8Array, ports: Ports): Found {
  const keys = new Keys(npz);
  const problems: Diagnostic[] = [];
  const found = new Map<string, Tensor>();
  for (const port of ports.inputs) {
    const e = keys.find([`in_${port.name}`, port.name]);
    if (e === null) problems.push(missing(port));
    else take(e, port, `input "${port.name}"`, "E402", problems, found);
  }
  const tensors: Tensors = Object.fromEntries(found);
  bindSymbols(ports, tensors, problems, "E402");
  if (problems.length > 0) throw new UserError(problems);
  const outputs = new Set(ports.outputs.map((o) => o.name));
  return { tensors, warnings: keys.unknown("inputs", (k) => k.startsWith("out_") || outputs.has(plain(k))) };
}
function missing(port: Port): Diagnostic {
  const key = port.name.replaceAll("/", "|");
  return diagnostic("E401", `input "${port.name}" is missing: ${numpyName(port.dtype)} ${shapeText(port.shape)}`, {
    hint: `store it under "in_${key}" or "${key}"`,
  });
}

/** Throws UserErrors E401 and E402 for given tensors that are no inputs of the model. */
export function checkInputs(given: Tensors, ports: Ports): void {
  const problems = ports.inputs.filter((p) => tensorIn(given, p.name) === undefined).map(missing);
  const names = new Set(ports.inputs.map((p) => p.name));
  for (const name of Object.keys(given))
    if (!names.has(name)) problems.push(diagnostic("E401", `the model has no input "${name}"`));
  bindSymbols(ports, given, problems, "E402");
  if (problems.length > 0) throw new UserError(problems);
}

/**
 * The expected outputs in an npz file: each under `out_<i>` (its place in the graph's outputs), else `NAME`. Throws a UserError with
 * each that is missing or has another type or shape (E404) than these inputs give. Unknown keys but `in_*` are warnings W101.
 */
export function expectedFrom(npz: Uint8Array, ports: Ports, inputs: Tensors): Found {
  const keys = new Keys(npz);
  const problems: Diagnostic[] = [];
  const values = bindSymbols(ports, inputs, [], "E402");
  const found = new Map<string, Tensor>();
  ports.outputs.forEach((port, i) => {
    const e = keys.find([`out_${i}`, port.name]);
    if (e === null)
      problems.push(
        diagnostic("E404", `the expected output "${port.name}" is missing`, {
          hint: `store it under "out_${i}" or "${port.name.replaceAll("/", "|")}"`,
        }),
      );
    else {
      take(e, port, `expected output "${port.name}"`, "E404", problems, found);
      checkShape(found.get(port.name), port, values, problems);
    }
  });
  if (problems.length > 0) throw new UserError(problems);
  const names = new Set(ports.inputs.map((o) => o.name));
  return {
    tensors: Object.fromEntries(found),
    warnings: keys.unknown("expected outputs", (k) => k.startsWith("in_") || names.has(plain(k))),
  };
}
function checkShape(
  t: Tensor | undefined,
  port: Port,
  values: ReadonlyMap<SymbolId, number>,
  problems: Diagnostic[],
): void {
  const want = evaluateShape(port.shape, values);
  if (t === undefined || want === null || want.join() === t.dims.join()) return;
  problems.push(
    diagnostic("E404", `expected output "${port.name}" has shape ${shapeText(t.dims)} where ${shapeText(want)} is due`),
  );
}

/** Stores an array as a tensor of the port's type. */
function take(
  e: NpzEntry,
  port: Port,
  what: string,
  code: Code,
  problems: Diagnostic[],
  into: Map<string, Tensor>,
): void {
  const want = carrier(port.dtype);
  if (e.dtype === want) into.set(port.name, { dtype: port.dtype, dims: e.dims, bytes: decoded(port.dtype, e.bytes) });
  else {
    const name = numpyName(want);
    const foreign = want === port.dtype ? "" : ` (${numpyName(port.dtype)} travels as its bit patterns)`;
    problems.push(
      diagnostic(code, `${what} is ${numpyName(e.dtype)} where ${name} is due${foreign}`, {
        ...(want === port.dtype ? { hint: `convert it with .astype("${name}")` } : {}),
      }),
    );
  }
}

/** What NumPy stores for an element type: itself, or an unsigned integer for those that it lacks. */
function carrier(d: DType): NpzEntry["dtype"] {
  switch (d) {
    case "f64":
    case "f32":
    case "f16":
    case "i64":
    case "i32":
    case "i16":
    case "i8":
    case "u64":
    case "u32":
    case "u16":
    case "u8":
    case "bool":
      return d;
    default:
      return elementBytes(d) === 2 ? "u16" : "u8";
  }
}

const isNarrow = (d: DType): boolean => d === "i4" || d === "i2" || d === "u4" || d === "u2";
/** A file holds the low bits of a narrow integer, memory its value: sign-extended for i4 and i2. */
function decoded(d: DType, bytes: Uint8Array): Uint8Array {
  if (!isNarrow(d)) return bytes;
  const shift = 32 - intBits(d);
  return bytes.map((b) => (d.startsWith("i") ? (b << shift) >> shift : (b << shift) >>> shift));
}
function encoded(d: DType, bytes: Uint8Array): Uint8Array {
  return isNarrow(d) ? bytes.map((b) => b & ((1 << intBits(d)) - 1)) : bytes;
}

/** An npz file of tensors under their names, in this order; the same tensors give the same bytes. */
export function outputsTo(tensors: readonly (Tensor & { readonly name: string })[]): Uint8Array {
  return writeNpz(tensors.map((t) => ({ ...t, name: t.name.replaceAll("/", "|"), bytes: encoded(t.dtype, t.bytes) })));
}
