// scikit-learn's estimators, as skl2onnx converts them, against onnxruntime: fitted in this test's own set-up.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readNpz } from "../../src/base/npz.ts";
import { type CompiledTarget, type CompileOptions, compileTarget, type FrontEnd, frontEnd } from "../../src/compile.ts";
import type { Labels } from "../../src/ir/opdef.ts";
import type { Tensor } from "../../src/ir/types.ts";
import { compare } from "../../src/run/compare.ts";
import { portNames, unpackList } from "../../src/run/lists.ts";
import { type Ports, portsOf, type Tensors } from "../../src/run/ports.ts";
import { type CCase, runCases } from "../../targets/c/harness.ts";
import { execute, inputsOf } from "../models/execute.ts";
import { failureOf } from "../models/suite.ts";
import { available, need } from "../need.ts";

/** labels: of each output; elements' names are sorted. */
type Fitted = { readonly name: string; readonly ops: readonly string[]; readonly labels: readonly (Labels | null)[] };

/** What is refused for a reason; what works must leave the list. */
const refused: Readonly<Record<string, RegExp>> = {};
const tolerance = { rtol: 1e-4, atol: 1e-5, elementwise: false };

const { estimatorsFolder } = (await import(new URL("./folder.mjs", import.meta.url).href)) as {
  estimatorsFolder: () => Promise<string>;
};
const folder = await available(estimatorsFolder);
const cc = need("cc");

class Model {
  readonly fitted: Fitted;
  readonly front: FrontEnd;
  readonly ports: Ports;
  readonly inputs: Tensors;
  private readonly options: CompileOptions;
  private readonly expected: ReadonlyMap<string, Tensor>;
  constructor(fitted: Fitted, name: string) {
    const npz = readFileSync(join(folder!, `${fitted.name}.npz`));
    this.fitted = fitted;
    this.options = { name };
    this.front = frontEnd(readFileSync(join(folder!, `${fitted.name}.onnx`)), this.options);
    this.ports = portsOf(this.front.graph, this.front.lists);
    this.inputs = inputsOf(npz);
    this.expected = new Map(readNpz(npz).map(({ name: key, ...t }) => [key, t]));
  }
  compile(target: string): Promise<CompiledTarget> {
    return compileTarget(this.front, target, this.options);
  }
  async run(target: string): Promise<Tensors> {
    const compiled = await this.compile(target);
    const { outputs } = await execute({ target, name: this.options.name, compiled, ports: this.ports }, [this.inputs]);
    return outputs[0]!;
  }
  /** What is wrong with the outputs, or null. */
  judge(outputs: Tensors): string | null {
    for (const [k, name] of this.outputNames().entries()) {
      const [got, want] = [this.whole(name, outputs), this.expected.get(`out_${k}`)];
      if (!got || !want) return `output ${k} is missing`;
      const c = compare(got, want, tolerance);
      if (!c.pass) return `${name}: ${c.reason}`;
    }
    return null;
  }
  /** The model's own outputs: a sequence is the last of its ports. */
  private outputNames(): readonly string[] {
    const parts = this.ports.lists.outputs.flatMap((l) => portNames(l).filter((name) => name !== l.name));
    return this.ports.outputs.map((p) => p.name).filter((name) => !parts.includes(name));
  }
  /** An output; the elements of a sequence along an axis in front. */
  private whole(name: string, outputs: Tensors): Tensor | undefined {
    const list = this.ports.lists.outputs.find((l) => l.name === name);
    const data = outputs[name];
    if (!list || !data) return data;
    const elements = unpackList(list, outputs) ?? [];
    return { ...data, dims: [elements.length, ...(elements[0]?.dims ?? [])] };
  }
  /** The labels of output k, as the list has them. */
  labels(k: number): Labels | null {
    const l = this.front.labels.get(this.outputNames()[k]!) ?? null;
    return l?.of === "elements" ? { of: l.of, names: [...l.names].sort() } : l;
  }
}

describe.skipIf(folder === null)("estimators", () => {
  const all = folder === null ? [] : (JSON.parse(readFileSync(join(folder, "index.json"), "utf8")) as Fitted[]);

  test("nearly all of scikit-learn is there", () => {
    expect(all.length).toBeGreaterThan(150);
    const ops = new Set(all.flatMap((f) => f.ops));
    for (const op of ["TreeEnsembleClassifier", "TreeEnsembleRegressor", "SVMClassifier", "SVMRegressor", "ZipMap"])
      expect(ops).toContain(`ai.onnx.ml:${op}`);
  });

  test.each(["js", "wasm"])(
    "equal onnxruntime on %s",
    async (target) => {
      const wrong: string[] = [];
      for (const fitted of all) {
        let problem: string | null;
        try {
          const model = new Model(fitted, "m");
          problem = model.judge(await model.run(target));
        } catch (e) {
          problem = failureOf(e).reason;
        }
        const reason = refused[fitted.name];
        if (reason ? !reason.test(problem ?? "") : problem !== null) wrong.push(`${fitted.name}: ${problem}`);
      }
      expect(wrong).toEqual([]);
    },
    600_000,
  );

  test.skipIf(!cc)(
    "equal onnxruntime in C",
    async () => {
      const models = all.filter((f) => !(f.name in refused)).map((f, k) => new Model(f, `m${k}`));
      const wrong: string[] = [];
      const batch = 20;
      for (let at = 0; at < models.length; at += batch) {
        const some = models.slice(at, at + batch);
        const cases: CCase[] = [];
        for (const [k, m] of some.entries()) {
          const { program, files } = await m.compile("c");
          cases.push({ program, files, name: `m${at + k}`, runs: [{ inputs: m.inputs }] });
        }
        const results = await runCases(cases, { flags: ["-std=c11", "-O1"] });
        some.forEach((m, k) => {
          const r = results[k]![0]!;
          const problem = r.status === 0 ? m.judge(r.outputs) : `status ${r.status}`;
          if (problem !== null) wrong.push(`${m.fitted.name}: ${problem}`);
        });
      }
      expect(wrong).toEqual([]);
    },
    600_000,
  );

  test("names of labels and columns are in the declarations", async () => {
    const models = all.filter((f) => !(f.name in refused)).map((f) => new Model(f, "m"));
    for (const m of models) {
      const got = m.fitted.labels.map((want, k) => (want === null ? null : m.labels(k)));
      expect(got, m.fitted.name).toEqual(m.fitted.labels);
    }
    const words = models.find((m) => m.fitted.name === "mlp_words")!;
    const { files } = await words.compile("wasm");
    const text = (suffix: string): string => new TextDecoder().decode(files.find((f) => f.path === suffix)!.bytes);
    const names = 'readonly names: readonly ["high", "low", "middle"]';
    expect(text("m.d.ts")).toContain(`readonly labels: { readonly of: "elements"; ${names} }`);
    expect(text("m.d.ts")).toContain(`readonly labels: { readonly of: "columns"; ${names} }`);
    expect(text("m.mjs")).toContain('"labels":{"of":"elements","names":["high","low","middle"]}');
    const c = await words.compile("c");
    const header = new TextDecoder().decode(c.files.find((f) => f.path === "m.h")!.bytes);
    expect(header).toContain('#define M_OUTPUT_LABEL_LABELS { "high", "low", "middle" }');
  });
});
