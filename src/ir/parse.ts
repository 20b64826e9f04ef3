// Reads the text form of the IRs (the grammar stands at the top of print.ts). What does not fit it is a ParseError with line and
// column; whether the IR makes sense is for the verifiers.
import { Reader } from "../base/text.ts";
import type { Dim } from "./dim.ts";
import type { Graph } from "./graph.ts";
import type { Kernel } from "./loops.ts";
import { type OpResolver, readGraph } from "./parse-graph.ts";
import { readKernel } from "./parse-kernel.ts";
import { readDim } from "./parse-names.ts";
import { readProgram, readTe } from "./parse-program.ts";
import type { ConstantTable } from "./print-data.ts";
import type { Program } from "./program.ts";
import type { TeProgram } from "./te.ts";

export type { OpResolver } from "./parse-graph.ts";

function parse<T>(text: string, read: (r: Reader) => T): T {
  const r = new Reader(text);
  const result = read(r);
  r.end();
  return result;
}
/** `op` gives the definition of an op by its name; an unknown op is a ParseError. */
export function parseGraph(text: string, constants: ConstantTable, op: OpResolver): Graph {
  return parse(text, (r) => readGraph(r, constants, op));
}
export function parseTe(text: string, constants: ConstantTable = new Map()): TeProgram {
  return parse(text, (r) => readTe(r, constants));
}
export function parseKernel(text: string): Kernel {
  return parse(text, readKernel);
}
export function parseProgram(text: string, constants: ConstantTable = new Map()): Program {
  return parse(text, (r) => readProgram(r, constants));
}
/** The dim whose key is `text`, or any other sum of products: `parseDim(d.key)` is d itself. */
export function parseDim(text: string): Dim {
  return parse(text, readDim);
}
