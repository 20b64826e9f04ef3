// One compilation in a process of its own: TARGET MODEL INPUTS.npz FOLDER. Prints a Compiled, or {"error"}.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { toTe } from "../passes/te/to-te.ts";
import { macsOf } from "../src/inspect.ts";
import * as D from "../src/ir/dim.ts";
import { compileFor, prepare } from "../src/run/targets.ts";
import { dimsOf } from "../test/models/execute.ts";
import { inputFile, ourMain } from "./c-main.ts";
import { peakBytes } from "./child.ts";
import { inputsOf } from "./peers/serve.ts";
import type { Build } from "./results.ts";

export type Compiled = Build & { readonly macs: number | null };

async function compile([target, model, npz, folder]: readonly string[]): Promise<Compiled> {
  const inputs = inputsOf(npz!);
  const prepared = await prepare(model!, { name: "model", dims: dimsOf(readFileSync(model!), inputs) });
  const { compiled, report } = await compileFor(prepared, target!, []);
  if (!compiled) throw report.bug ?? new Error(report.reason);
  mkdirSync(folder!, { recursive: true });
  const write = (name: string, bytes: Uint8Array | string): void => writeFileSync(join(folder!, name), bytes);
  for (const f of compiled.files) write(f.path, f.bytes);
  if (target === "c") {
    const main = ourMain(
      compiled.program,
      compiled.files.some((f) => f.role === "weights"),
      inputs,
    );
    write("main.c", main.text);
    main.inputs.forEach((name, i) => write(inputFile(i), inputs[name]!.bytes));
  }
  const { compileMs = 0, sizes } = report;
  return {
    compileMs,
    ...sizes,
    ...peakBytes(),
    macs: D.known(macsOf(toTe(prepared.front.graph).actions)),
  };
}

try {
  console.log(JSON.stringify(await compile(process.argv.slice(2))));
} catch (e) {
  console.log(JSON.stringify({ error: e instanceof Error ? e.message : String(e) }));
}
