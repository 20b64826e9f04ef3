// What each command does: calls to the public API.
import { join, resolve } from "node:path";
import { utf8 } from "../base/bytes.ts";
import { userError } from "../base/diagnostics.ts";
import * as api from "../index.ts";
import { readFile } from "../run/source.ts";
import { type NewFile, writeFiles } from "./files.ts";
import type { CommandName, Options } from "./options.ts";
import type { Parsed } from "./parse.ts";
import type { Progress } from "./progress.ts";
import type { Outcome, WrittenFile } from "./report.ts";
import { benchText, compileText, inspectText, runText, verifyText } from "./text.ts";

/** An outcome, and how people read it. */
export type Done = { readonly outcome: Outcome; readonly text: string };
type Action = (model: string, options: Options, progress: Progress) => Promise<Done>;

/** Targets that any machine with a C compiler runs. */
const cpuTargets: readonly string[] = ["wasm", "c", "js"];

export function perform({ command, model, options }: Parsed, progress: Progress): Promise<Done> {
  return actions[command](model, options, progress);
}
/** The targets that a command will run on this machine. */
export function targetsToRun({ command, options }: Parsed): readonly string[] {
  return command === "compile" || command === "inspect" ? [] : (options.target ?? []);
}

function common(o: Options, progress: Progress): api.CommonOptions {
  return {
    ...(o.name === undefined ? {} : { name: o.name }),
    dims: new Map((o.dim ?? []).map(({ name, min, max }) => [name, { min, max }])),
    strict: o.math === "strict",
    f64: o.math === "f64",
    verify: o.verifyIr ?? false,
    ...(o.plugin === undefined ? {} : { plugins: o.plugin }),
    onStart: (pass, target) => progress.show(target === null ? pass : `${target}: ${pass}`),
    onTask: (task) => progress.show(task),
    ...(o.dump === undefined ? {} : { onIr: dumper(o.dump) }),
  };
}
/** Writes DIR/NN-PASS.IR.ir, with the target's name before the IR's where a pass is run for each target. */
function dumper(folder: string): NonNullable<api.CommonOptions["onIr"]> {
  let n = 0;
  return (pass, ir, text, target) => {
    const name = `${String(n++).padStart(2, "0")}-${pass}${target === null ? "" : `.${target}`}.${ir}.ir`;
    writeFiles([{ path: join(folder, name), bytes: utf8(text) }]);
  };
}
function npz(path: string | undefined): Uint8Array | undefined {
  return path === undefined ? undefined : readFile(path, "E403");
}

const actions: Readonly<Record<CommandName, Action>> = {
  compile: async (model, o, progress) => {
    const targets = o.target ?? [];
    const report = await api.compile(model, {
      ...common(o, progress),
      targets,
      ...(o.weights === undefined ? {} : { weights: o.weights }),
    });
    const several = report.targets.size > 1;
    const files: NewFile[] = [];
    const written = new Map<string, readonly WrittenFile[]>();
    for (const [name, t] of report.targets) {
      if (!t.files) continue;
      const own = t.files.map((f) => ({ ...f, path: resolve(o.outDir ?? ".", several ? name : "", f.path) }));
      files.push(...own);
      written.set(
        name,
        own.map((f) => ({ path: f.path, bytes: f.bytes.length, role: f.role })),
      );
    }
    writeFiles(files);
    const outcome = { report, written };
    return { outcome, text: compileText(outcome) };
  },

  run: async (model, o, progress) => {
    const [target, ...more] = new Set(o.target);
    if (target === undefined || more.length > 0)
      throw userError("E501", "run takes one target", { hint: "verify runs several and compares them" });
    const report = await api.run(model, {
      ...common(o, progress),
      target,
      inputs: npz(o.inputs) ?? {},
      ...(o.seed === undefined ? {} : { seed: o.seed }),
    });
    const output = resolve(o.outFile ?? "");
    if (report.outputs) writeFiles([{ path: output, bytes: api.toNpz(report.outputs) }]);
    const outcome: Outcome = { report, ...(report.outputs ? { output } : {}) };
    return { outcome, text: runText(outcome) };
  },

  verify: async (model, o, progress) => {
    if (o.expect !== undefined && o.inputs === undefined)
      throw userError("E501", "--expect needs --inputs", { hint: "one file may be both" });
    const [inputs, expect] = [npz(o.inputs), npz(o.expect)];
    const report = await api.verify(model, {
      ...common(o, progress),
      targets: o.target ?? cpuTargets,
      ...(inputs ? { inputs } : {}),
      ...(expect ? { expect } : {}),
      tolerance: {
        ...(o.rtol === undefined ? {} : { rtol: o.rtol }),
        ...(o.atol === undefined ? {} : { atol: o.atol }),
        elementwise: o.elementwise ?? false,
      },
      ...(o.seed === undefined ? {} : { seed: o.seed }),
    });
    const outcome = { report };
    return { outcome, text: verifyText(outcome) };
  },

  inspect: async (model, o, progress) => {
    const inspected = await api.inspect(model, {
      ...common(o, progress),
      ...(o.target === undefined ? {} : { targets: o.target }),
    });
    return { outcome: { report: inspected, inspected }, text: inspectText(inspected) };
  },

  bench: async (model, o, progress) => {
    const inputs = npz(o.inputs);
    const report = await api.bench(model, {
      ...common(o, progress),
      targets: o.target ?? ["wasm"],
      ...(inputs ? { inputs } : {}),
      ...(o.seconds === undefined ? {} : { seconds: o.seconds }),
      ...(o.vs === undefined ? {} : { vs: o.vs }),
      ...(o.seed === undefined ? {} : { seed: o.seed }),
    });
    const outcome = { report };
    return { outcome, text: benchText(outcome) };
  },
};
