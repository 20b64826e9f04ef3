// The commands and their flags, each described once, as data: the parser, the help and docs/cli.md are made from it.
import { userError } from "../base/diagnostics.ts";

/** What --dim gives: a symbol and its inclusive bounds. */
export type DimOption = { readonly name: string; readonly min: number; readonly max: number };

type FlagHead = {
  readonly long: string;
  readonly short?: string;
  /** What stands for the value in the help; none: a switch. */
  readonly value?: string;
  readonly about: string;
  /** What holds without the flag, for the help. */
  readonly otherwise?: string;
};
export type Flag<T> = FlagHead & {
  /** The value from its text; `before`: what the same flag has given so far. Throws a UserError E501. */
  readonly parse: (text: string, before: T | undefined) => T;
};
/** What each flag gives. */
type Values = {
  readonly target: readonly string[];
  readonly outDir: string;
  readonly outFile: string;
  readonly name: string;
  readonly dim: readonly DimOption[];
  readonly weights: "embed" | "file";
  readonly math: "strict" | "f64";
  readonly inputs: string;
  readonly expect: string;
  readonly rtol: number;
  readonly atol: number;
  readonly elementwise: true;
  readonly seed: number;
  readonly seconds: number;
  readonly vs: readonly string[];
  readonly plugin: readonly string[];
  readonly dump: string;
  readonly verifyIr: true;
  readonly json: true;
};
export type FlagName = keyof Values;
/** The values of the flags that were given. */
export type Options = { readonly [K in FlagName]?: Values[K] };

function number(what: string, text: string, valid: (n: number) => boolean): number {
  const n = Number(text);
  if (text.trim() === "" || !valid(n)) throw userError("E501", `${what} cannot be "${text}"`);
  return n;
}
const positive = (n: number): boolean => Number.isFinite(n) && n > 0;
const notNegative = (n: number): boolean => Number.isFinite(n) && n >= 0;

function choice<T extends string>(what: string, text: string, all: readonly T[]): T {
  const found = all.find((x) => x === text);
  if (found === undefined)
    throw userError("E501", `${what} cannot be "${text}"`, { hint: `it may be ${all.join(" or ")}` });
  return found;
}
/** Comma-separated names, after those given before. */
function names(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), ...text.split(",").filter((x) => x !== "")];
}

/** `SYM=N` or `SYM=LO..HI`; the last `=` splits. */
export function parseDim(text: string, before: readonly DimOption[] = []): readonly DimOption[] {
  const at = text.lastIndexOf("=");
  const name = text.slice(0, Math.max(at, 0));
  const value = /^(\d+)(?:\.\.(\d+))?$/.exec(text.slice(at + 1));
  if (name === "" || !value)
    throw userError("E501", `--dim cannot be "${text}"`, { hint: "write --dim SYM=N or --dim SYM=LO..HI" });
  if (before.some((d) => d.name === name)) throw userError("E501", `--dim ${name} is given twice`);
  const min = Number(value[1]);
  return [...before, { name, min, max: Number(value[2] ?? value[1]) }];
}

const on = (): true => true;

export const flags: { readonly [K in FlagName]: Flag<Values[K]> } = {
  target: {
    long: "target",
    short: "t",
    value: "TARGET",
    about: "wasm, c, js or wgsl; may be repeated, or several names separated by commas or spaces",
    parse: names,
  },
  outDir: { long: "out", short: "o", value: "DIR", about: "the folder for the files", parse: (x) => x },
  outFile: { long: "out", short: "o", value: "OUT.npz", about: "the file for the outputs", parse: (x) => x },
  name: {
    long: "name",
    value: "NAME",
    about: "the name of the files, and in C of the functions",
    otherwise: "that of the model's file",
    parse: (x) => x,
  },
  dim: {
    long: "dim",
    value: "SYM=N|SYM=LO..HI",
    about: "fix a symbolic dim, or bound it; may be repeated",
    parse: parseDim,
  },
  weights: {
    long: "weights",
    value: "embed|file",
    about: "put the weights into the code, or into a file beside",
    otherwise: "embed up to 1 MB",
    parse: (x) => choice("--weights", x, ["embed", "file"]),
  },
  math: {
    long: "math",
    value: "strict|f64",
    about:
      "strict: round every operation by itself, wasm, c and js give the same bits; f64: compute f32 as f64 (not on wgsl)",
    parse: (x) => choice("--math", x, ["strict", "f64"]),
  },
  inputs: { long: "inputs", value: "IN.npz", about: "the inputs", parse: (x) => x },
  expect: {
    long: "expect",
    value: "OUT.npz",
    about: "the outputs that are expected",
    otherwise: "what the js target computes in strict mode",
    parse: (x) => x,
  },
  rtol: {
    long: "rtol",
    value: "R",
    about: "tolerated difference, as a part of an output's largest magnitude",
    otherwise: "1e-4",
    parse: (x) => number("--rtol", x, notNegative),
  },
  atol: {
    long: "atol",
    value: "A",
    about: "tolerated absolute difference",
    otherwise: "1e-6",
    parse: (x) => number("--atol", x, notNegative),
  },
  elementwise: {
    long: "elementwise",
    about: "--rtol is a part of each element's own magnitude",
    parse: on,
  },
  seed: {
    long: "seed",
    value: "N",
    about: "the seed of random operators, and of inputs that are made up",
    otherwise: "0",
    parse: (x) => number("--seed", x, (n) => Number.isInteger(n) && Math.abs(n) < 2 ** 31),
  },
  seconds: {
    long: "seconds",
    value: "S",
    about: "time to measure each contender",
    otherwise: "2",
    parse: (x) => number("--seconds", x, positive),
  },
  vs: {
    long: "vs",
    value: "PEER",
    about: "measure onnxruntime-web or onnxruntime-node as well, where it is installed",
    parse: names,
  },
  plugin: {
    long: "plugin",
    value: "FILE.mjs",
    about: "add the operators that a module defines (docs/custom-operators.md); may be repeated",
    parse: (x, before) => [...(before ?? []), x],
  },
  dump: {
    long: "dump",
    value: "DIR",
    about: "write the IR after each pass as DIR/NN-PASS.ir",
    parse: (x) => x,
  },
  verifyIr: { long: "verify-ir", about: "verify the IR after each pass", parse: on },
  json: { long: "json", about: "print one JSON object on standard output, and nothing else", parse: on },
};

export type Command = {
  readonly about: string;
  readonly flags: readonly FlagName[];
  readonly required: readonly FlagName[];
};
const common: readonly FlagName[] = ["dim", "math", "plugin", "dump", "verifyIr", "json"];
export type CommandName = "compile" | "run" | "verify" | "inspect" | "bench";
export const commands: Readonly<Record<CommandName, Command>> = {
  compile: {
    about: "Compile a model for one or more targets. With several, each has a folder of its own in DIR.",
    flags: ["target", "outDir", "name", "weights", ...common],
    required: ["target", "outDir"],
  },
  run: {
    about: "Compile a model to a temporary place and run it there.",
    flags: ["target", "inputs", "outFile", "seed", ...common],
    required: ["target", "outFile"],
  },
  verify: {
    about: "Run a model on each target (default: wasm, c, js) and compare the outputs.",
    flags: ["target", "inputs", "expect", "rtol", "atol", "elementwise", "seed", ...common],
    required: [],
  },
  inspect: {
    about:
      "Show a model's inputs, outputs, dims, opsets, operators, parameters and MACs, and which targets support it.",
    flags: ["target", ...common],
    required: [],
  },
  bench: {
    about: "Measure the runs of a model (default: on wasm), alternating between the contenders.",
    flags: ["target", "inputs", "seconds", "vs", "seed", ...common],
    required: [],
  },
};
export const commandNames: readonly CommandName[] = Object.keys(commands) as CommandName[];

/** `-t, --target <TARGET>`: how the parser and the help write a flag. */
export function flagText(f: FlagHead): string {
  return `${f.short ? `-${f.short}, ` : ""}--${f.long}${f.value ? ` <${f.value}>` : ""}`;
}
export function flagAbout(f: FlagHead): string {
  return `${f.about}${f.otherwise ? ` (default: ${f.otherwise})` : ""}`;
}

/** `-t wasm c` is `-t wasm -t c`: names of targets that follow one belong to it. */
export function spreadTargets(argv: readonly string[], targets: ReadonlySet<string>): string[] {
  const out: string[] = [];
  let open = false;
  argv.forEach((a, i) => {
    const value = i > 0 && (argv[i - 1] === "-t" || argv[i - 1] === "--target");
    if (open && !value && targets.has(a)) out.push("--target", a);
    else {
      out.push(a);
      open = value;
    }
  });
  return out;
}
