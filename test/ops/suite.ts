// Cases in ONNX's layout (a model, inputs, outputs) through the interpreter.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { compileTarget, frontEnd } from "../../src/compile.ts";
import type { Tensor } from "../../src/ir/types.ts";
import { type OnnxValue, readValuePb } from "../../src/onnx/tensors.ts";
import { portsOf } from "../../src/run/ports.ts";
import { execute } from "../models/execute.ts";
import { valuesOf } from "./interpret.ts";
import { type Mode, type Result, runModel } from "./run.ts";

export type Case = {
  readonly name: string;
  readonly kind: string;
  readonly rtol: number;
  readonly atol: number;
  readonly ops: readonly string[];
  readonly sets: number;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly opset: Readonly<Record<string, number>>;
};

type Folders = { readonly [set: string]: () => Promise<string> };
const load = async (path: string, name: string): Promise<string> => {
  const module = (await import(path)) as Record<string, () => Promise<string>>;
  return module[name]!();
};
/** Where the cases are, made first where they are missing; rejects with code "UNAVAILABLE" where that needs a registry. */
export const folders: Folders & { readonly onnx: () => Promise<string>; readonly onnxruntime: () => Promise<string> } =
  {
    onnx: () => load("../conformance/generate.mjs", "conformanceFolder"),
    onnxruntime: () => load("./cases.mjs", "opCasesFolder"),
  };
export function casesIn(folder: string): Case[] {
  return JSON.parse(readFileSync(join(folder, "index.json"), "utf8")) as Case[];
}
function kindOf(type: string): "tensor" | "sequence" | "optional" | "map" {
  return type.startsWith("seq")
    ? "sequence"
    : type.startsWith("opt")
      ? "optional"
      : type.startsWith("map")
        ? "map"
        : "tensor";
}
/** Inputs and outputs of data set `set` of the case in folder `dir`. */
export function readCase(
  dir: string,
  c: Case,
  set: number,
): { readonly inputs: OnnxValue[]; readonly outputs: OnnxValue[] } {
  return { inputs: read(dir, set, "input", c.inputs), outputs: read(dir, set, "output", c.outputs) };
}
function read(folder: string, set: number, which: "input" | "output", types: readonly string[]): OnnxValue[] {
  const dir = join(folder, `test_data_set_${set}`);
  return types.flatMap((t, k) =>
    existsSync(join(dir, `${which}_${k}.pb`))
      ? [readValuePb(readFileSync(join(dir, `${which}_${k}.pb`)), kindOf(t))]
      : [],
  );
}
/** Sequences, optionals, maps and strings have no form in a program. */
export const notTensors = "not tensors";
/** What differs, or null. */
export function difference(got: Result, want: Tensor, rtol: number, atol: number): string | null {
  if (got.dims.join() !== want.dims.join()) return `shape [${got.dims}] where [${want.dims}] belongs`;
  if (got.dtype !== want.dtype) return `type ${got.dtype} where ${want.dtype} belongs`;
  const expected = valuesOf(want);
  for (let k = 0; k < expected.length; k++) {
    const [a, b] = [Number(got.data[k]), Number(expected[k])];
    if (Object.is(a, b) || a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    if (!(Math.abs(a - b) <= atol + rtol * Math.abs(b)) || !Number.isFinite(b))
      return `element ${k}: ${a} where ${b} belongs; got ${got.data.slice(0, 12)} want ${expected.slice(0, 12)}`;
  }
  return null;
}
/** What is wrong with a case: null when nothing is. */
export function runCase(folder: string, c: Case, mode: Mode): string | null {
  const dir = join(folder, c.name);
  try {
    for (let set = 0; set < c.sets; set++) {
      const { inputs, outputs } = readCase(dir, c, set);
      if ([...inputs, ...outputs].some((v) => v.kind !== "tensor")) return notTensors;
      const got = runModel(
        readFileSync(join(dir, "model.onnx")),
        inputs.map((v) => (v as { tensor: Tensor }).tensor),
        mode,
      );
      for (const [k, o] of outputs.entries()) {
        const d = difference(got[k]!, (o as { tensor: Tensor }).tensor, c.rtol, c.atol);
        if (d) return `output ${k}: ${d}`;
      }
    }
    return null;
  } catch (e) {
    return (e as Error).message.split("\n").slice(0, 3).join(" | ");
  }
}
/** As runCase, of the model compiled for a target. */
export async function compiledCase(folder: string, c: Case, target: string): Promise<string | null> {
  const dir = join(folder, c.name);
  const options = { name: "m", verify: true };
  try {
    const front = frontEnd(readFileSync(join(dir, "model.onnx")), options);
    const ports = portsOf(front.graph);
    const compiled = await compileTarget(front, target, options);
    const { inputs, outputs } = readCase(dir, c, 0);
    const given = Object.fromEntries(ports.inputs.map((p, k) => [p.name, (inputs[k] as { tensor: Tensor }).tensor]));
    const got = (await execute({ target, name: options.name, compiled, ports }, [given])).outputs[0]!;
    for (const [k, o] of outputs.entries()) {
      const t = got[ports.outputs[k]!.name]!;
      const d = difference({ ...t, data: valuesOf(t) }, (o as { tensor: Tensor }).tensor, c.rtol, c.atol);
      if (d) return `output ${k}: ${d}`;
    }
    return null;
  } catch (e) {
    return (e as Error).message.split("\n").slice(0, 3).join(" | ");
  }
}
