// One input per diagnostic code: the code, the place and a message for people.
import { writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { type Code, codes, type Diagnostic, formatDiagnostic, UserError } from "../../src/base/diagnostics.ts";
import { writeFiles } from "../../src/cli/files.ts";
import { compile, type Plugin, run, verify } from "../../src/index.ts";
import { type DType, tensorOf } from "../../src/ir/types.ts";
import { type ModelSpec, modelBytes, modelProto } from "../../src/onnx/export.ts";
import { message, type TensorProto } from "../../src/onnx/schema.ts";
import { writeModel } from "../../src/onnx/write.ts";
import { folder, ingotJson, npzOf } from "../cli/command.ts";
import { addOne } from "../cli/models.ts";

const dir = folder();
const f32 = tensorOf.bind(null, "f32");
const add = modelBytes(addOne);

/** The diagnostics of a call that fails, or of its report. */
async function told(f: () => Promise<{ readonly diagnostics: readonly Diagnostic[] }>): Promise<readonly Diagnostic[]> {
  try {
    return (await f()).diagnostics;
  } catch (e) {
    if (e instanceof UserError) return e.diagnostics;
    throw e;
  }
}
const compiled = (spec: ModelSpec | Uint8Array, target = "js", dims: Record<string, number> = {}) =>
  told(() => compile(spec instanceof Uint8Array ? spec : modelBytes(spec), { targets: [target], dims }));
/** One node over x: f32[2, 3]. */
const node = (
  op: string,
  inputs: readonly string[],
  attrs: NonNullable<ModelSpec["nodes"][number]["attrs"]> = {},
  domain = "",
): ModelSpec => ({
  inputs: { x: ["f32", [2, 3]], k: ["i64", [2]] },
  outputs: ["y"],
  nodes: [{ op, name: "here", domain, inputs, outputs: ["y"], attrs }],
  opsets: { "": 21, [domain]: domain === "" ? 21 : 1 },
});
/** A plugin whose operator fails. */
const failing: Plugin = ({ op, likeInput }) => [
  op({
    name: "Fails",
    onnx: [{ domain: "plugin.test", type: "Fails", since: [1] }],
    accuracy: { kind: "exact" },
    effects: "none",
    parse: () => ({}),
    infer: (x, _a, ctx) => likeInput(x, ctx),
    body: {
      kind: "compute",
      compute: () => {
        throw new TypeError("nothing here");
      },
    },
  }),
];
/** addOne with another tensor in place of its constant. */
function withTensor(t: Partial<TensorProto>): Uint8Array {
  const m = modelProto(addOne);
  const one = message("TensorProto", { name: "one", dataType: 1, ...t });
  return writeModel({ ...m, graph: { ...m.graph!, initializer: [one] } });
}
const written = (f: () => void) =>
  told(async () => {
    f();
    return { diagnostics: [] };
  });
const npz = (x: ReturnType<typeof f32>, key = "x") => npzOf({ [key]: x });

const inputs: Readonly<Record<Code, () => Promise<readonly Pick<Diagnostic, "code" | "message" | "loc">[]>>> = {
  E101: () => told(() => compile(dir.path("none.onnx"), { targets: ["js"] })),
  E102: () => compiled(Uint8Array.from([1, 2, 3, 4])),
  E103: () =>
    compiled(
      withTensor({
        dataLocation: 1,
        externalData: [message("StringStringEntryProto", { key: "location", value: "none.bin" })],
      }),
    ),
  E104: () => compiled(withTensor({ dims: [4], rawData: new Uint8Array(3) })),
  E105: () => compiled(node("Add", ["x", "nothing"])),
  E201: () => compiled(node("Nonsense", ["x"])),
  E202: () => compiled({ ...addOne, opsets: { "": 21, other: 0 } }),
  E203: () => compiled(withTensor({ dataType: 8, stringData: [new Uint8Array(1)] })),
  E204: () => compiled(node("AveragePool", ["x"], { auto_pad: "SIDEWAYS", kernel_shape: [1] })),
  E205: () => compiled(node("MatMul", ["x", "x"])),
  E301: () => compiled(addOne, "js", { M: 3 }),
  E302: () => compiled(addOne, "js", { N: -1 }),
  E303: () => compiled(addOne, "wasm", { N: 2 ** 30 }),
  E304: () =>
    compiled(
      { inputs: { x: ["f64", [2]] }, outputs: ["y"], nodes: [{ op: "Neg", inputs: ["x"], outputs: ["y"] }] },
      "wgsl",
    ),
  E401: () => told(() => run(add, { target: "js", inputs: npz(f32([1, 2], [1, 2]), "z") })),
  E402: () => told(() => run(add, { target: "js", inputs: npz(f32([2], [1, 2])) })),
  E403: () => told(() => run(add, { target: "js", inputs: add })),
  E404: () =>
    told(() => verify(add, { targets: ["js"], inputs: npz(f32([1, 2], [1, 2])), expect: npz(f32([1, 2], [1, 2])) })),
  E501: () => told(() => compile(add, { targets: ["fortran"] })),
  E502: () => {
    writeFileSync(dir.path("file"), "");
    return written(() => writeFiles([{ path: dir.path("file/x"), bytes: add }]));
  },
  E503: () => told(() => compile(add, { targets: ["js"], plugins: [dir.path("no-plugin.mjs")] })),
  E504: () =>
    told(() => compile(modelBytes(node("Fails", ["x"], {}, "plugin.test")), { targets: ["js"], plugins: [failing] })),
  E601: async () => {
    const before = process.env.CC;
    process.env.CC = "/no/such/compiler";
    const found = await told(() => run(add, { target: "c", inputs: npz(f32([1, 2], [1, 2])) }));
    if (before === undefined) delete process.env.CC;
    else process.env.CC = before;
    return found;
  },
  // A command that throws what is no mistake of its user.
  E901: async () => {
    const file = dir.write("m.onnx", add);
    const { vi } = await import("vitest");
    vi.doMock("../../src/cli/actions.ts", () => ({
      perform: () => Promise.reject(new Error("boom")),
      targetsToRun: () => [],
    }));
    const { diagnostics } = await ingotJson("inspect", file);
    vi.doUnmock("../../src/cli/actions.ts");
    return diagnostics as readonly Diagnostic[];
  },
  W101: () => told(() => run(add, { target: "js", inputs: npzOf({ x: f32([1, 2], [1, 2]), other: f32([], [1]) }) })),
  W102: () => compiled({ ...addOne, opsets: { "": 999 } }),
  W103: () => compiled({ ...addOne, outputs: { y: ["f32", [1, 2, 3]] } }),
  W105: () =>
    compiled({
      inputs: { cond: ["bool", []], x: ["f32", [2, 3]] },
      outputs: ["y"],
      nodes: [
        {
          op: "If",
          inputs: ["cond"],
          outputs: ["y"],
          attrs: {
            then_branch: { graph: { outputs: ["a"], nodes: [{ op: "Relu", inputs: ["x"], outputs: ["a"] }] } },
            else_branch: { graph: { outputs: ["b"], nodes: [{ op: "MatMul", inputs: ["x", "x"], outputs: ["b"] }] } },
          },
        },
      ],
    }),
  W104: () => compiled(node("Relu", ["x"], { flavour: 1 })),
};

test.each(Object.entries(inputs))("%s", async (code, input) => {
  const found = await input();
  expect(found.map((d) => d.code)).toEqual([code]);
  const text = formatDiagnostic(found[0] as Diagnostic);
  expect(text.startsWith(`${code} `) && !text.includes("\n"), text).toBe(true);
  expect(text).not.toMatch(/undefined|\[object|NaN/);
});
test("every code has an input", () => {
  expect(Object.keys(inputs).sort()).toEqual(Object.keys(codes).sort());
});
test("diagnostics of a node name it and its operator", async () => {
  for (const code of ["E105", "E201", "E204", "E205", "E504"] as const)
    expect((await inputs[code]())[0]!.loc, code).toMatchObject({ node: "here" });
});
test("all problems of a model are told in one run", async () => {
  const many: ModelSpec = {
    inputs: { x: ["f32", [2, 3]] },
    outputs: ["b", "c"],
    nodes: [
      { op: "Nonsense", inputs: ["x"], outputs: ["a"] },
      { op: "Relu", inputs: ["a"], outputs: ["b"] },
      { op: "MatMul", inputs: ["x", "x"], outputs: ["c"] },
      { op: "Missing", inputs: ["x"], outputs: ["d"] },
    ],
  };
  expect((await compiled(many)).map((d) => d.code)).toEqual(["E201", "E205", "E201"]);
});
test("types that no target has", async () => {
  const of = (dtype: DType) =>
    compiled({ inputs: { x: [dtype, [2]] }, outputs: ["y"], nodes: [{ op: "Relu", inputs: ["x"], outputs: ["y"] }] });
  expect((await of("bool")).map((d) => d.code)).toEqual(["E205"]);
});
