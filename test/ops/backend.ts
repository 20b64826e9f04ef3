// ONNX's backend tests through the interpreter: node backend.mjs PATTERN... [--mode MODE] [--verbose]. Bundle with esbuild first.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Tensor } from "../../src/ir/types.ts";
import { type OnnxValue, readValuePb } from "../../src/onnx/tensors.ts";
import { valuesOf } from "./interpret.ts";
import { type Mode, type Result, runModel } from "./run.ts";

export type Case = { readonly name: string; readonly kind: string; readonly rtol: number; readonly atol: number; readonly ops: readonly string[]; readonly sets: number; readonly inputs: readonly string[]; readonly outputs: readonly string[]; readonly opset: Readonly<Record<string, number>> };

export function casesIn(folder: string): Case[] {
  return JSON.parse(readFileSync(join(folder, "index.json"), "utf8")) as Case[];
}
function kindOf(type: string): "tensor" | "sequence" | "optional" | "map" {
  return type.startsWith("seq") ? "sequence" : type.startsWith("opt") ? "optional" : type.startsWith("map") ? "map" : "tensor";
}
function read(folder: string, set: number, which: "input" | "output", types: readonly string[]): OnnxValue[] {
  const dir = join(folder, `test_data_set_${set}`);
  return types.flatMap((t, k) => (existsSync(join(dir, `${which}_${k}.pb`)) ? [readValuePb(readFileSync(join(dir, `${which}_${k}.pb`)), kindOf(t))] : []));
}
/** What differs, or null. */
export function difference(got: Result, want: Tensor, rtol: number, atol: number): string | null {
  if (got.dims.join() !== want.dims.join()) return `shape [${got.dims}] where [${want.dims}] belongs`;
  if (got.dtype !== want.dtype) return `type ${got.dtype} where ${want.dtype} belongs`;
  const expected = valuesOf(want);
  for (let k = 0; k < expected.length; k++) {
    const [a, b] = [Number(got.data[k]), Number(expected[k])];
    if (Object.is(a, b) || a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    if (!(Math.abs(a - b) <= atol + rtol * Math.abs(b)) || !Number.isFinite(b)) return `element ${k}: ${a} where ${b} belongs; got ${got.data.slice(0, 12)} want ${expected.slice(0, 12)}`;
  }
  return null;
}
export function runCase(folder: string, c: Case, mode: Mode): string | null {
  const dir = join(folder, c.name);
  try {
    for (let set = 0; set < c.sets; set++) {
      const inputs = read(dir, set, "input", c.inputs);
      const outputs = read(dir, set, "output", c.outputs);
      if ([...inputs, ...outputs].some((v) => v.kind !== "tensor")) return "NOT TENSORS";
      const got = runModel(readFileSync(join(dir, "model.onnx")), inputs.map((v) => (v as { tensor: Tensor }).tensor), mode);
      for (const [k, o] of outputs.entries()) {
        const d = difference(got[k]!, (o as { tensor: Tensor }).tensor, c.rtol, c.atol);
        if (d) return `output ${k}: ${d}`;
      }
    }
    return null;
  } catch (e) {
    return (process.env.STACK ? ((e as Error).stack ?? "") + String(((e as Error).cause as Error)?.stack ?? "") : (e as Error).message).split("\n").slice(0, process.env.STACK ? 30 : 3).join(" | ");
  }
}

function main(): void {
  const folder = process.env.CASES ?? ".cache/conformance-1.23.2";
  const args = process.argv.slice(2);
  const modeAt = args.indexOf("--mode");
  const modes = modeAt >= 0 ? (args[modeAt + 1]!.split(",") as Mode[]) : (["constant", "both"] as Mode[]);
  const patterns = args.filter((a, k) => !a.startsWith("--") && k !== modeAt + 1 || (modeAt < 0 && !a.startsWith("--")));
  const all = casesIn(folder).filter((c) => c.kind !== "light" && (patterns.length === 0 || patterns.some((p) => (p.startsWith("@") ? c.ops.includes(p.slice(1)) : new RegExp(p).test(c.name)))));
  void readdirSync;
  for (const mode of modes) {
    let ok = 0;
    let missing = 0;
    const bad: string[] = [];
    for (const c of all) {
      const d = runCase(folder, c, mode);
      if (d === null) ok++;
      else if (d.startsWith("E201") && !args.includes("--unsupported")) missing++;
      else bad.push(`${c.name} [${c.ops.join(",")}]: ${d.slice(0, 300)}`);
    }
    console.log(`== ${mode}: ${ok} of ${all.length}, ${missing} with ops that are not supported`);
    for (const b of bad) console.log(b);
  }
}
if (process.argv[1]?.includes("backend")) main();
