// Sequences and optionals among a model's inputs and outputs: as values, and as the tensors of the program that hold them.
import { must } from "../base/assert.ts";
import type { ListPort } from "../ir/artifact.ts";
import { countOf, elementBytes, type Tensor, tensorOf, typedView } from "../ir/types.ts";
import { columns } from "../ops/lists.ts";
import type { Tensors } from "./ports.ts";

/** The tensors of a sequence; null: an optional that holds nothing. One of a tensor holds one, or null. */
export type ListValue = readonly Tensor[] | null;

/** The ports of a list, with what holds this value. */
export function packList(port: ListPort, value: ListValue): Tensors {
  const elements = value ?? [];
  const table = elements.flatMap(({ dims }) => [
    dims.length,
    ...dims,
    ...Array.from({ length: columns - 1 - dims.length }, () => 1),
  ]);
  const count = elements.reduce((n, t) => n + countOf(t.dims), 0);
  const bytes = new Uint8Array(count * elementBytes(port.dtype));
  let at = 0;
  for (const t of elements) {
    bytes.set(t.bytes, at);
    at += t.bytes.length;
  }
  return {
    ...(port.kind === "optional sequence"
      ? { [`${port.name}.present`]: tensorOf("bool", [], [value === null ? 0 : 1]) }
      : {}),
    [`${port.name}.shapes`]: tensorOf("i32", [elements.length, columns], table),
    [port.name]: { dtype: port.dtype, dims: [count], bytes },
  };
}
/** What the ports of a list hold. */
export function unpackList(port: ListPort, tensors: Tensors): ListValue {
  const part = (suffix: string): Tensor => must(tensors[`${port.name}${suffix}`], `port ${port.name}${suffix}`);
  const data = part("");
  const table = Array.from(typedView("i32", part(".shapes").bytes), Number);
  const size = elementBytes(data.dtype);
  let at = 0;
  const elements = Array.from({ length: table.length / columns }, (_, k): Tensor => {
    const row = table.slice(k * columns, (k + 1) * columns);
    const dims = row.slice(1, 1 + row[0]!);
    const from = at;
    at += countOf(dims) * size;
    return { dtype: data.dtype, dims, bytes: data.bytes.slice(from, at) };
  });
  if (port.kind === "optional") return elements.length > 0 ? elements : null;
  return port.kind === "sequence" || part(".present").bytes[0] !== 0 ? elements : null;
}
/** The names of a list's ports. */
export function portNames({ name, kind }: ListPort): readonly string[] {
  return [...(kind === "optional sequence" ? [`${name}.present`] : []), `${name}.shapes`, name];
}
