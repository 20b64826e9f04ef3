// Real models against onnxruntime: each with its dims fixed, and as one artifact for two sizes where it has symbolic dims.
import { describe, expect, test } from "vitest";
import { available, need, needGpu } from "../need.ts";
import { check, cpuTargets, type Files, filesOf, gpuSuite, modesOf, type Outcome, suite } from "./suite.ts";

const gpu = await needGpu();
const cc = need("cc");
/** Fetching models and making onnxruntime's outputs is part of the first run. */
const limit = 1_200_000;

describe.each(suite)("%s", (name) => {
  test.each(modesOf(name))(
    "%s dims",
    async (mode) => {
      const onGpu = gpu !== null && mode === "fixed" && gpuSuite.includes(name);
      const targets = [...cpuTargets.filter((t) => t !== "c" || cc), ...(onGpu ? ["wgsl"] : [])];
      const files: Files | null = await available(() => filesOf(name, mode));
      if (files === null) return;
      const outcomes: Record<string, Outcome> = {};
      await check(name, mode, targets, files, null, (target, o) => {
        outcomes[target] = o;
      });
      const seen = Object.entries(outcomes).map(([target, o]) => `${target} ${o.status} ${o.reason}`);
      expect(seen).toEqual(targets.map((t) => `${t} ok `));
    },
    limit,
  );
});
