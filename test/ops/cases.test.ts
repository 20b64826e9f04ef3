// ONNX's backend tests, and cases that onnxruntime answers, through the interpreter: what the definitions of operators mean.
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { allOps, newestOpset } from "../../src/ops/index.ts";
import { available } from "../need.ts";
import { type Case, casesIn, compiledCase, folders, notTensors, runCase } from "./suite.ts";

/** Cases that fail for a reason; a case that passes must leave the list. */
const expected: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [/bf16|4d_causal_fp16_expanded/, "the answer is rounded after each step, ours once"],
  [/^test_bernoulli/, "random"],
  [/^test_training_dropout_(default|mask)|^test_training_dropout$|^test_training_dropout_default_mask/, "random"],
  [/^test_dft_inverse/, "the answer has noise that exact tables do not have"],
  [/_sizes_nearest_not_(larger|smaller)$/, "sizes that keep the aspect ratio need known dims"],
  [/^test_convtranspose/, "the kernel's shape must be known"],
  [/^test_dft/, "whether a signal is complex must be known"],
];

const onnx = await available(folders.onnx);
const onnxruntime = await available(folders.onnxruntime);

function failures(folder: string, cases: readonly Case[], mode: "static" | "constant" | "both"): string[] {
  return cases.flatMap((c) => {
    const d = runCase(folder, c, mode);
    return d === null || d === notTensors || d.startsWith("E201") ? [] : [`${c.name}: ${d.slice(0, 200)}`];
  });
}

describe.skipIf(onnx === null)("ONNX's backend tests", () => {
  // test_operator_conv alone is 30 s of interpretation.
  const cases =
    onnx === null
      ? []
      : casesIn(onnx).filter((c) => c.kind !== "light" && !/_expanded|^test_operator_conv$/.test(c.name));
  const isExpected = (line: string): boolean => expected.some(([p]) => p.test(line.split(":")[0]!));
  test("integer inputs known, dims symbolic", () => {
    expect(failures(onnx!, cases, "both").filter((f) => !isExpected(f))).toEqual([]);
  }, 300_000);
  test("forms whose dims must be known", () => {
    const some = cases.filter((c) => /not_larger|not_smaller|^test_convtranspose|^test_dft(?!_inverse)/.test(c.name));
    expect(some.length).toBeGreaterThan(8);
    expect(failures(onnx!, some, "constant")).toEqual([]);
  });
  test("every input a run-time value", () => {
    const names =
      /^test_(slice_default_axes|range|expand_dim|tile|onehot|top_k|constantofshape|pad|center|resize|nonzero|compress|unique|reshape|gather|scatter|loop11|split_variable)/;
    const some = cases.filter((c) => names.test(c.name));
    const unknown = /known at compile time/;
    expect(failures(onnx!, some, "static").filter((f) => !unknown.test(f))).toEqual([]);
  });
});

describe.skipIf(onnxruntime === null)("cases that onnxruntime answers", () => {
  const cases = onnxruntime === null ? [] : casesIn(onnxruntime);
  test.each(["static", "both"] as const)("%s", (mode) => {
    expect(cases.length).toBeGreaterThan(250);
    expect(failures(onnxruntime!, cases, mode)).toEqual([]);
  });
});

describe.skipIf(onnxruntime === null)("cases that onnxruntime answers, compiled", () => {
  test("wasm", async () => {
    const wrong: string[] = [];
    for (const c of casesIn(onnxruntime!)) {
      const d = await compiledCase(onnxruntime!, c, "wasm");
      if (d !== null) wrong.push(`${c.name}: ${d.slice(0, 200)}`);
    }
    expect(wrong).toEqual([]);
  }, 300_000);
});

describe.skipIf(onnx === null)("opset history", () => {
  test("the versions of each operator are ONNX's", async () => {
    const { venv } = (await import(new URL("../models/venv.mjs", import.meta.url).href)) as {
      venv: () => Promise<string>;
    };
    const script = fileURLToPath(new URL("history.py", import.meta.url));
    const history = JSON.parse(execFileSync(await venv(), [script], { encoding: "utf8" })) as Record<string, number[]>;
    const wrong = allOps.flatMap((def) =>
      def.onnx.flatMap(({ domain, type, since }) => {
        const all = history[`${domain}:${type}`];
        // Contributed operators have no history; SimplifiedLayerNormalization is one in ONNX's own domain.
        if (domain === "com.microsoft" || type === "SimplifiedLayerNormalization") return [];
        if (!all) return [`${domain}:${type} does not exist`];
        const newest = newestOpset.get(domain) ?? 1;
        const want = all.filter((v) => v >= since[0]! && v <= newest);
        const have = since.filter((v) => v <= newest);
        return want.join() === have.join() ? [] : [`${type}: ${have} where ONNX has ${want}`];
      }),
    );
    expect(wrong).toEqual([]);
  });
});
