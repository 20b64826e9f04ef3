// Sequences and optionals at the edge of a model: callers have arrays of tensors, a program the two tensors of each (src/ops/lists.ts).
// Pasted into artifacts that have any.
import type { ListInfo, Lists, PortInfo } from "./manifest.ts";
import { arrayOf, classOf, fail, product, type TypedArray, tagOf, type Value } from "./ports.ts";

type Given = Readonly<Record<string, unknown>>;
type Results = Readonly<Record<string, Value>>;
type Plain = {
  readonly inputs: readonly PortInfo[];
  readonly outputs: readonly PortInfo[];
  run(inputs: never, options?: never): Promise<Results>;
  runSync?(inputs: never, options?: never): Results;
  dispose(): void;
};
/** A sequence is an array of tensors; an optional is what it may hold, or null. */
export type ListValue = Value | readonly Value[] | null;
type Outputs = Record<string, ListValue>;
export type ListModel = {
  readonly inputs: readonly PortInfo[];
  readonly outputs: readonly PortInfo[];
  run(inputs: Given, options?: object): Promise<Outputs>;
  runSync?(inputs: Given, options?: object): Outputs;
  dispose(): void;
};

/** One column for the rank, and one for each dim. */
const columns = 9;
const partsOf = ({ name }: ListInfo): string[] => [`${name}.present`, `${name}.shapes`, name];

/** One port in the place of those that a list is made of. */
function merged(ports: readonly PortInfo[], lists: readonly ListInfo[]): PortInfo[] {
  return ports.flatMap((p) => {
    const list = lists.find((l) => partsOf(l).includes(p.name));
    if (!list) return [p];
    return p.name === list.name ? [{ name: p.name, type: `${list.kind}(${list.type})`, dims: list.dims ?? [] }] : [];
  });
}

function partsFor(list: ListInfo, x: unknown): Record<string, unknown> {
  const { name, kind, type, dims: known } = list;
  const [present, shapes] = partsOf(list) as [string, string];
  const absent = x === null || x === undefined;
  if (absent && kind === "sequence") fail(`input "${name}" is missing: expected an array of tensors`);
  const elements = absent ? [] : kind === "optional" ? [x] : x;
  if (!Array.isArray(elements)) fail(`input "${name}": expected an array of tensors, got ${tagOf(x)}`);
  const given = elements as unknown[];
  const table = new Int32Array(given.length * columns).fill(1);
  const arrays = given.map((e, k): TypedArray => {
    const boxed = tagOf(e) === "Object" && "data" in (e as object);
    const value = (boxed ? e : { data: e }) as { data: unknown; dims?: readonly number[] };
    const data = arrayOf({ name, type, dims: [] }, value.data);
    const open = known?.some((d) => typeof d !== "number");
    const dims = value.dims ?? (known && !open ? (known as number[]) : [data.length]);
    if (product(dims) !== data.length)
      fail(`input "${name}": element ${k}: ${data.length} elements do not fill dims [${dims}]`);
    if (dims.length >= columns) fail(`input "${name}": element ${k} has ${dims.length} dims`);
    table.set([dims.length, ...dims], k * columns);
    return data;
  });
  const data = new (classOf(type))(arrays.reduce((n, a) => n + a.length, 0));
  let at = 0;
  for (const a of arrays) {
    data.set(a as never, at);
    at += a.length;
  }
  return {
    [shapes]: { data: table, dims: [given.length, columns] },
    [name]: { data, dims: [data.length] },
    ...(kind === "optional sequence" ? { [present]: [!absent] } : {}),
  };
}
function result(list: ListInfo, outputs: Results): ListValue {
  const [present, shapes] = partsOf(list) as [string, string];
  const { data, type } = outputs[list.name]!;
  const table = outputs[shapes]!;
  let at = 0;
  const elements = Array.from({ length: table.dims[0]! }, (_, k): Value => {
    const [rank, ...all] = Array.from(table.data.slice(k * columns, (k + 1) * columns), Number);
    const dims = all.slice(0, rank);
    const from = at;
    at += product(dims);
    return { data: data.slice(from, at), dims, type };
  });
  if (list.kind === "optional") return elements[0] ?? null;
  return list.kind === "sequence" || outputs[present]!.data[0] ? elements : null;
}

/** The `load` of a model whose ports are those that its caller sees. */
export function wrap(
  load: (options?: object) => Promise<Plain>,
  { inputs, outputs }: Lists,
): (options?: object) => Promise<ListModel> {
  return async (options) => {
    const model = await load(options);
    const into = (x: Given): never => {
      if (tagOf(x) !== "Object") fail("expected an object of inputs by name");
      const rest = Object.entries(x).filter(([name]) => !inputs.some((l) => l.name === name));
      return Object.assign(Object.fromEntries(rest), ...inputs.map((l) => partsFor(l, x[l.name]))) as never;
    };
    const out = (all: Results): Outputs => {
      const rest = Object.entries(all).filter(([name]) => !outputs.some((l) => partsOf(l).includes(name)));
      return Object.fromEntries([...rest, ...outputs.map((l) => [l.name, result(l, all)] as const)]);
    };
    const { runSync } = model;
    return {
      inputs: merged(model.inputs, inputs),
      outputs: merged(model.outputs, outputs),
      run: async (x, o) => out(await model.run(into(x), o as never)),
      ...(runSync ? { runSync: (x, o) => out(runSync(into(x), o as never)) } : {}),
      dispose: () => model.dispose(),
    };
  };
}
