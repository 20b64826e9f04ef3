// Operators from outside: the worked example by every command, what plugins are made of, and what is wrong with them.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { readNpz } from "../../src/base/npz.ts";
import { compile, type OpDef, type Plugin, run, UserError } from "../../src/index.ts";
import { tensorOf, typedView } from "../../src/ir/types.ts";
import { type ModelSpec, modelBytes, type NodeSpec } from "../../src/onnx/export.ts";
import { folder, ingot, ingotJson, npzOf } from "../cli/command.ts";

const here = fileURLToPath(new URL("../../examples/custom-op/", import.meta.url));
const [stations, plugin] = [`${here}stations.onnx`, `${here}distance-ops.mjs`];
const dir = folder();

describe("the worked example", () => {
  const points = [0.5, 0.25, 4, -2, -3, -3, -1, 3];
  const places = [0, 0, 3, 1, -2, 4, 5, -3, -4, -4];
  const distances = [0, 1, 2, 3].map((i) =>
    [0, 1, 2, 3, 4].map((j) => {
      const part = (k: number): number => Math.abs(points[2 * i + k]! - places[2 * j + k]!) ** 1.5;
      return (part(0) + part(1)) ** (2 / 3);
    }),
  );
  writeFileSync(dir.path("points.npz"), npzOf({ points: tensorOf("f32", [4, 2], points) }));

  test.each(["js", "wasm"])("run on %s", async (target) => {
    const [inputs, out] = [dir.path("points.npz"), dir.path(`${target}.npz`)];
    const r = await ingot("run", stations, "-t", target, "--inputs", inputs, "-o", out, "--plugin", plugin);
    expect(r.err).toBe("");
    const got = new Map(readNpz(readFileSync(out)).map((e) => [e.name, e]));
    const nearest = distances.map((row) => row.indexOf(Math.min(...row)));
    expect(Array.from(typedView("i64", got.get("nearest")!.bytes), Number)).toEqual(nearest);
    const found = Array.from(typedView("f32", got.get("distances")!.bytes), Number);
    distances.flat().forEach((d, k) => {
      expect(found[k]).toBeCloseTo(d, 4);
    });
  });
  test("compile, verify, inspect and bench take it too; without it the model is refused", async () => {
    mkdirSync(dir.path("out"), { recursive: true });
    const commands: readonly (readonly string[])[] = [
      ["compile", stations, "-t", "js", "-o", dir.path("out")],
      ["verify", stations, "-t", "js,wasm"],
      ["inspect", stations, "-t", "js"],
      ["bench", stations, "-t", "js", "--seconds", "0.05"],
    ];
    for (const argv of commands) {
      const json = await ingotJson(...argv, "--plugin", plugin);
      expect([argv[0], json.exit, json.diagnostics]).toEqual([argv[0], 0, []]);
    }
    const refused = await ingotJson("verify", stations, "-t", "js");
    expect([refused.exit, ...refused.diagnostics.map((d) => d.code)]).toEqual([2, "E201", "E201"]);
  });
});

const domain = "plugin.test";
const spec = (nodes: readonly NodeSpec[], outputs: readonly string[] = ["y"]): ModelSpec => ({
  inputs: { x: ["f32", ["N", 3]] },
  outputs,
  nodes,
  opsets: { "": 21, [domain]: 2 },
});
const call = (type: string, attrs: NodeSpec["attrs"] = {}): NodeSpec => ({
  op: type,
  domain,
  name: "here",
  inputs: ["x"],
  outputs: ["y"],
  attrs,
});
type Shift = { readonly by: number };
/** Of every kind of body that gives a formula: y = x + by, kept in the plugin as loops, as an expansion, and as a formula. */
const shifts: Plugin = ({ op, expr: E, dim: D, likeInput, callKernel, store, addStandard, tensorOf: tensor }) => {
  const head = (type: string, body: OpDef<Shift>["body"]): OpDef<Shift> =>
    op<Shift>({
      name: type,
      onnx: [{ domain, type, since: [1, 2] }],
      accuracy: { kind: "exact" },
      effects: "none",
      parse: (n) => ({ by: n.int("by", n.opset) }),
      infer: (x, _a, ctx) => likeInput(x, ctx),
      body,
    });
  return [
    head("Formula", {
      kind: "compute",
      compute: (b, n) => b.map(b.output(0), (i) => E.add(E.load(b.input(0), i), n.attrs.by)),
    }),
    head("Loops", {
      kind: "loops",
      loops: (b, n) =>
        callKernel(b, "shift", [b.input(0), b.output(0)], (k, [x, y]) =>
          k.nest([b.input(0).shape[0]!, D.int(3)], (i) => store(y!, i, E.add(E.load(x!, i), n.attrs.by))),
        ),
    }),
    head("Expanded", {
      kind: "expand",
      expand: (b, n) => {
        const [total] = addStandard(b, "Add", [n.inputs[0]!, b.constant(tensor("f32", [], [n.attrs.by]))]);
        return addStandard(b, "Clip", [total!, b.constant(tensor("f32", [], [-100]))]);
      },
    }),
  ];
};

test("formulas, loops and expansions; opsets of a domain", async () => {
  const x = tensorOf("f32", [2, 3], [1, 2, 3, 4, 5, 6]);
  for (const type of ["Formula", "Loops", "Expanded"])
    for (const [attrs, by] of [
      [{ by: 5 }, 5],
      [{}, 2],
    ] as const) {
      const r = await run(modelBytes(spec([call(type, attrs)])), { target: "wasm", inputs: { x }, plugins: [shifts] });
      expect(r.diagnostics).toEqual([]);
      const values = Array.from(typedView("f32", r.outputs![0]!.bytes), Number);
      expect([type, values]).toEqual([type, [1, 2, 3, 4, 5, 6].map((v) => v + by)]);
    }
});

/** The diagnostics with which a model is refused. */
async function refusal(type: string, ...plugins: readonly (Plugin | string)[]): Promise<string[]> {
  const model = modelBytes(spec([call(type)]));
  const found = await compile(model, { targets: ["js"], plugins }).then(
    (report) => report.diagnostics,
    (e) => (e instanceof UserError ? e.diagnostics : Promise.reject(e)),
  );
  return found.map(
    ({ code, loc, message, hint }) => `${code} ${loc ? `${loc.node}: ` : ""}${message}${hint ? ` [${hint}]` : ""}`,
  );
}
/** A definition that is right but for `more`. */
const broken = (more: Readonly<Record<string, unknown>>): Plugin => {
  const made: Plugin = ({ op, likeInput }) => {
    const def = op({
      name: "Odd",
      onnx: [{ domain, type: "Odd", since: [2] }],
      accuracy: { kind: "exact" },
      effects: "none",
      parse: () => ({}),
      infer: (x, _a, ctx) => likeInput(x, ctx),
      body: { kind: "view" },
    });
    return [{ ...def, ...more }];
  };
  Object.defineProperty(made, "name", { value: "odd" });
  return made;
};
writeFileSync(dir.path("nothing.mjs"), "export const ops = [];\n");
const fails = () => {
  throw new TypeError("no such thing");
};

describe("what is wrong with a plugin", () => {
  test.each([
    ["no file", `${here}none.mjs`, /^E503 plugin .*none\.mjs: it cannot be loaded: /],
    [
      "no plugin",
      dir.path("nothing.mjs"),
      /^E503 plugin .*nothing\.mjs: its default export is no function \[export default /,
    ],
    ["no name", broken({ name: "" }), /^E503 plugin odd: operator 1 has no name$/],
    [
      "no versions",
      broken({ onnx: [{ domain, type: "Odd" }] }),
      /^E503 plugin odd: operator 1 "Odd" has no list "onnx" of/,
    ],
    ["no accuracy", broken({ accuracy: "exact" }), /^E503 plugin odd: operator 1 "Odd" has no accuracy$/],
    ["no infer", broken({ infer: null }), /^E503 plugin odd: operator 1 "Odd" has no function infer$/],
    ["no body", broken({ body: { kind: "magic" } }), /^E503 plugin odd: operator 1 "Odd" has no body of kind expand, /],
    [
      "no function",
      broken({ body: { kind: "loops" } }),
      /^E503 plugin odd: operator 1 "Odd" has a body without a function loops$/,
    ],
    [
      "an operator of ONNX",
      broken({ onnx: [{ domain: "", type: "Add", since: [1] }] }),
      /^E503 plugin odd: operator Add of domain "" is defined already$/,
    ],
    [
      "parse fails",
      broken({ parse: fails }),
      /^E504 here: parse of Odd, which plugin odd defines, fails: no such thing$/,
    ],
    [
      "infer fails",
      broken({ infer: fails }),
      /^E504 here: infer of Odd, which plugin odd defines, fails: no such thing$/,
    ],
    [
      "expand fails",
      broken({ body: { kind: "expand", expand: fails } }),
      /^E504 here: expand of Odd, .* fails: no such thing$/,
    ],
    [
      "loops fail",
      broken({ body: { kind: "loops", loops: fails } }),
      /^E504 here: loops of Odd, .* fails: no such thing$/,
    ],
  ] as const)("%s", async (_what, source, message) => {
    expect(await refusal("Odd", source)).toEqual([expect.stringMatching(message)]);
  });
  test("two plugins with one operator", async () => {
    expect(await refusal("Odd", broken({}), broken({}))).toEqual([
      `E503 plugin odd: operator Odd of domain "${domain}" is defined already`,
    ]);
  });
  test("the place in a plugin's file", async () => {
    writeFileSync(
      dir.path("placed.mjs"),
      'export default ({ op }) => [op({ name: "Odd", onnx: [{ domain: "plugin.test", type: "Odd", since: [1] }],\n' +
        'accuracy: { kind: "exact" }, effects: "none", parse: () => ({}),\ninfer: () => nowhere, body: { kind: "view" } })];\n',
    );
    const [text] = await refusal("Odd", dir.path("placed.mjs"));
    expect(text).toMatch(/^E504 here: infer of Odd, .* fails: nowhere is not defined \[.*placed\.mjs:3:\d+\]$/);
  });
  test("standard operators that are not there, and attributes that they do not have", async () => {
    const expanding =
      (type: string, attributes: Readonly<Record<string, number>>): Plugin =>
      (toolkit) =>
        broken({
          body: {
            kind: "expand",
            expand: (b: Parameters<typeof toolkit.addStandard>[0], n: { readonly inputs: readonly [] }) =>
              toolkit.addStandard(b, type, n.inputs, attributes),
          },
        })(toolkit);
    expect((await refusal("Odd", expanding("Sum of all", {})))[0]).toMatch(
      /E504 .*Ingot has no operator Sum of all of domain ""/,
    );
    expect((await refusal("Odd", expanding("ArgMin", { keep: 1 })))[0]).toMatch(
      /E504 .*ArgMin has no attribute "keep"/,
    );
  });
});
