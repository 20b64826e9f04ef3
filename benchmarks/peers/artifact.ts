// Ingot's own wasm artifact as a contender: FOLDER INPUTS.npz
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Model } from "../../runtime/linear.ts";
import type { Given, TypedArray, Value } from "../../runtime/ports.ts";
import { aligned } from "../../src/base/bytes.ts";
import { typedView } from "../../src/ir/types.ts";
import { inputsOf, serve } from "./serve.ts";

const [folder, inputs] = process.argv.slice(2) as [string, string];
const given: Record<string, Given> = Object.fromEntries(
  Object.entries(inputsOf(inputs)).map(([name, t]) => [
    name,
    { data: typedView(t.dtype, aligned(t.bytes, 8)) as TypedArray, dims: t.dims },
  ]),
);
await serve(async () => {
  const artifact = (await import(pathToFileURL(join(folder, "model.mjs")).href)) as { load(): Promise<Model> };
  const model = await artifact.load();
  return {
    run: () => model.runSync(given),
    outputs: (result) => Object.values(result as Record<string, Value>).map((v) => v.data),
  };
});
