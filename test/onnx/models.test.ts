// Real models, fetched into the cache: they are well-formed, their inputs are what onnxruntime is given, and their dims have the
// names that models.json gives. Operators that Ingot lacks are no failure here: docs/operators.md lists them.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { importModel } from "../../src/onnx/import.ts";
import { readModel } from "../../src/onnx/proto.ts";
import { InputSymbols } from "../../src/onnx/value-types.ts";
import { OpTable } from "../../src/ops/index.ts";
import { available } from "../need.ts";
import { ports, problems } from "./helpers.ts";

type Entry = {
  readonly name: string;
  readonly registry: string;
  readonly bytes?: number;
  readonly run_inputs?: Readonly<Record<string, readonly [dtype: string, dims: readonly number[]]>>;
  readonly dims?: Readonly<Record<string, number>>;
};
const file = new URL("../models/fetch.mjs", import.meta.url).href;
const { fetchModel, models } = (await import(file)) as {
  fetchModel(name: string): Promise<string>;
  models: readonly Entry[];
};
const words: Readonly<Record<string, string>> = {
  float32: "f32",
  float64: "f64",
  int64: "i64",
  int32: "i32",
  uint8: "u8",
  bool: "bool",
};
const small = models.filter((m) => m.registry !== "derived" && (m.bytes ?? 0) < 8_000_000);

test.each(small.map((m) => [m.name, m] as const))("%s", async (_, m) => {
  const path = await available(() => fetchModel(m.name));
  if (path === null) return;
  const bytes = readFileSync(path);
  const runs = m.run_inputs ?? {};
  // Dims with a name are fixed to what onnxruntime ran; those without are symbols of input and axis.
  const dims = new Map(Object.entries(m.dims ?? {}).map(([name, n]) => [name, { min: n, max: n }]));
  const symbols = new InputSymbols(new Map());
  for (const i of readModel(bytes).graph!.input) if (runs[i.name]) symbols.type(i.type, i.name);
  const wanted = Object.entries(runs).map(([name, [dtype, shape]]) => {
    const extents = shape.map((n, axis) => (symbols.open.has(`${name}:${axis}`) ? `${name}:${axis}` : n));
    return `${name}: ${words[dtype]}[${extents.join(", ")}]`;
  });
  let imported = null as ReturnType<typeof importModel> | null;
  const found = problems(() => {
    imported = importModel(bytes, { ops: new OpTable(), dims });
  });
  expect(found.filter((d) => d.code !== "E201" && d.code !== "E202")).toEqual([]);
  if (imported) expect(ports(imported.graph, "inputs").sort()).toEqual(wanted.sort());
});
