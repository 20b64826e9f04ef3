// One of ONNX's tests on one target: compiled as it is, or, where that needs a value that the test feeds, with that as a constant.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../../src/base/diagnostics.ts";
import { type CompiledTarget, compileTarget, type FrontEnd, frontEnd } from "../../src/compile.ts";
import { isFloat, type Tensor } from "../../src/ir/types.ts";
import { readModel } from "../../src/onnx/proto.ts";
import type { ModelProto } from "../../src/onnx/schema.ts";
import { type OnnxValue, writeTensor } from "../../src/onnx/tensors.ts";
import type { DimBounds } from "../../src/onnx/value-types.ts";
import { writeModel } from "../../src/onnx/write.ts";
import { compare } from "../../src/run/compare.ts";
import { type ListValue, packList, unpackList } from "../../src/run/lists.ts";
import { type Ports, portsOf, type Tensors } from "../../src/run/ports.ts";
import { type Case, readCase } from "../ops/suite.ts";
import { exclusion } from "./exclusions.ts";

export type Result =
  /** baked: with the test's small inputs as constants. */
  | { readonly status: "passed"; readonly baked: boolean }
  | { readonly status: "failed" | "excluded"; readonly reason: string };

/** A test as files say it, with what its data sets feed and expect. */
export type Loaded = {
  readonly info: Case;
  readonly bytes: Uint8Array;
  readonly model: ModelProto;
  /** One per data set: inputs by name, outputs in order. */
  readonly sets: readonly { readonly inputs: ReadonlyMap<string, OnnxValue>; readonly outputs: readonly OnnxValue[] }[];
  readonly excluded: string | null;
};

export function loadCase(folder: string, info: Case): Loaded {
  const directory = join(folder, info.name);
  const bytes = readFileSync(join(directory, "model.onnx"));
  const model = readModel(bytes);
  const names = inputNames(model);
  const sets = Array.from({ length: info.sets }, (_, k) => {
    const { inputs, outputs } = readCase(directory, info, k);
    return { inputs: new Map(inputs.map((v, i) => [names[i]!, v])), outputs };
  });
  const excluded = exclusion(model, [...info.inputs, ...info.outputs], sets[0]!.inputs);
  return { info, bytes, model, sets, excluded };
}
/** The inputs that a caller gives: an initializer may be listed as an input as well. */
function inputNames(model: ModelProto): string[] {
  const stored = new Set(model.graph!.initializer.map((t) => t.name));
  return model.graph!.input.map((i) => i.name).filter((name) => !stored.has(name));
}

/** A compiled test: what to run it on, and how to judge what comes out. */
export type Ready = {
  readonly compiled: CompiledTarget;
  readonly ports: Ports;
  readonly baked: boolean;
  readonly runs: readonly Tensors[];
};

/** Compiles tests; a front end serves all targets. */
export class Compiler {
  readonly #test: Loaded;
  readonly #fronts = new Map<boolean, FrontEnd | UserError>();
  constructor(test: Loaded) {
    this.#test = test;
  }

  /** Throws what went wrong, with constants where that was tried. */
  async compile(target: string, name: string): Promise<Ready> {
    try {
      return await this.#attempt(target, name, false);
    } catch (e) {
      if (!(e instanceof UserError) || this.#constants().size === 0) throw e;
      return this.#attempt(target, name, true);
    }
  }

  async #attempt(target: string, name: string, baked: boolean): Promise<Ready> {
    const front = this.#front(baked);
    if (front instanceof UserError) throw front;
    const ports = portsOf(front.graph, front.lists);
    const compiled = await compileTarget(front, target, { name });
    const constants = baked ? this.#constants() : new Map();
    const runs = this.#test.sets.map(({ inputs }) =>
      Object.assign(
        {},
        ...[...inputs].map(([k, v]): Tensors => {
          if (constants.has(k)) return {};
          const list = ports.lists.inputs.find((l) => l.name === k);
          return list ? packList(list, listValue(v)) : { [k]: tensorOf(v) };
        }),
      ),
    );
    return { compiled, ports, baked, runs };
  }
  #front(baked: boolean): FrontEnd | UserError {
    let front = this.#fronts.get(baked);
    if (!front) {
      try {
        front = frontEnd(baked ? this.#bake() : this.#test.bytes, { name: "m", dims: zeroDims(this.#test) });
      } catch (e) {
        if (!(e instanceof UserError)) throw e;
        front = e;
      }
      this.#fronts.set(baked, front);
    }
    return front;
  }
  /** Inputs that are axes, shapes, scales and the like in real models, where they are constants. */
  #constants(): ReadonlyMap<string, Tensor> {
    const [set, ...more] = this.#test.sets;
    if (more.length > 0) return new Map();
    return new Map(
      [...set!.inputs].flatMap(([name, v]) => (v.kind === "tensor" && isSmall(v.tensor) ? [[name, v.tensor]] : [])),
    );
  }
  #bake(): Uint8Array {
    const { model } = this.#test;
    const graph = model.graph!;
    const constants = this.#constants();
    const initializer = [...graph.initializer, ...[...constants].map(([name, t]) => writeTensor(t, name))];
    return writeModel({
      ...model,
      graph: { ...graph, initializer, input: graph.input.filter((i) => !constants.has(i.name)) },
    });
  }
}
/** Bounds of the dims that are 0 in a test, which a dim is not unless its user says so. */
function zeroDims({ model, sets }: Loaded): ReadonlyMap<string, DimBounds> {
  return new Map(
    model.graph!.input.flatMap((i) =>
      (i.type?.tensor?.shape?.dim ?? []).flatMap((d, axis): [string, DimBounds][] => {
        const given = sets.map((s) => s.inputs.get(i.name));
        const zero = given.some((v) => v?.kind === "tensor" && v.tensor.dims[axis] === 0);
        return zero && d.param !== "" ? [[d.param, { min: 0, max: 1024 }]] : [];
      }),
    ),
  );
}
function isSmall(t: Tensor): boolean {
  const n = t.dims.reduce((a, b) => a * b, 1);
  return isFloat(t.dtype) ? t.dims.length <= 1 && n <= 16 : n <= 64;
}

function tensorOf(v: OnnxValue): Tensor {
  if (v.kind !== "tensor") throw new Error(`a ${v.kind} where a tensor belongs`);
  return v.tensor;
}
/** The tensors in a sequence or optional; null: an optional that is empty. */
function listValue(v: OnnxValue): ListValue {
  if (v.kind === "sequence") return v.elements.map(tensorOf);
  if (v.kind !== "optional") return [tensorOf(v)];
  return v.value === null ? null : listValue(v.value);
}

/** Compares what the runs of a test gave with what it expects. */
export function judge(test: Loaded, ready: Ready, results: readonly Tensors[]): Result {
  const { rtol, atol } = test.info;
  const names = test.model.graph!.output.map((o) => o.name);
  for (const [k, { outputs }] of test.sets.entries()) {
    if (names.length !== outputs.length)
      return { status: "failed", reason: `${names.length} outputs instead of ${outputs.length}` };
    for (const [i, want] of outputs.entries()) {
      const found = results[k] ?? {};
      const list = ready.ports.lists.outputs.find((l) => l.name === names[i]);
      const got = list ? unpackList(list, found) : found[names[i]!] ? [found[names[i]!]!] : null;
      const expected = want.kind === "tensor" ? [want.tensor] : listValue(want);
      if (got?.length !== expected?.length)
        return {
          status: "failed",
          reason: `output ${i}: ${got?.length ?? "no"} tensors instead of ${expected?.length ?? "none"}`,
        };
      for (const [j, t] of (expected ?? []).entries()) {
        const c = compare(got![j]!, t, { rtol, atol, elementwise: true });
        if (!c.pass) return { status: "failed", reason: `output ${i}${list ? `, element ${j}` : ""}: ${c.reason}` };
      }
    }
  }
  return { status: "passed", baked: ready.baked };
}

/** An exception as a reason, on one line: of a UserError each different problem once. */
export function reasonOf(e: unknown): string {
  if (e instanceof UserError)
    return [...new Set(e.diagnostics.map((d) => `${d.code} ${d.loc ? `${d.loc.op}: ` : ""}${d.message}`))].join("; ");
  const error = e instanceof Error ? e : new Error(String(e));
  return `${error.name}: ${error.message}`.split("\n").slice(0, 3).join(" | ");
}
