// Who may import whom (docs/architecture.md): read from the import lines.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));

type Layer = {
  readonly name: string;
  /** Files are of the first layer one of whose prefixes they have. */
  readonly holds: readonly string[];
  /** Layers that its files may import, besides their own. "types of X": by `import type` alone. */
  readonly from: readonly string[];
  /** Packages; those of node itself are written node:*. */
  readonly packages: readonly string[];
};
const layers: readonly Layer[] = [
  { name: "runtime", holds: ["runtime/"], from: [], packages: ["node:*"] },
  { name: "base", holds: ["src/base/"], from: [], packages: ["node:*", "fflate"] },
  { name: "ir", holds: ["src/ir/"], from: ["base"], packages: [] },
  { name: "ops", holds: ["src/ops/"], from: ["ir", "base"], packages: [] },
  { name: "onnx", holds: ["src/onnx/"], from: ["ops", "ir", "base"], packages: ["node:*", "protobufjs/minimal.js"] },
  { name: "passes", holds: ["passes/"], from: ["ir", "ops", "base"], packages: [] },
  { name: "binaryen", holds: ["targets/wasm/module.ts"], from: ["targets", "ir", "base"], packages: ["binaryen"] },
  {
    name: "targets",
    holds: ["targets/"],
    from: ["binaryen", "ir", "base", "types of runtime"],
    packages: ["node:*", "webgpu"],
  },
  { name: "cli", holds: ["src/cli/"], from: ["compile", "base"], packages: ["node:*", "commander"] },
  {
    name: "compile",
    holds: ["src/"],
    from: ["passes", "targets", "onnx", "ops", "ir", "base", "runtime"],
    packages: ["node:*"],
  },
];
const layerOf = (file: string): Layer | undefined => layers.find((l) => l.holds.some((p) => file.startsWith(p)));

type Import = { readonly from: string; readonly what: string; readonly typeOnly: boolean };
/** The static imports of a file and those that it asks for as it runs. */
function importsOf(file: string): Import[] {
  const text = readFileSync(join(root, file), "utf8");
  const statements = text.matchAll(/^(?:import|export)\s(?:([^;"]*?)\sfrom\s)?"([^"]+)"/gm);
  const calls = text.matchAll(/\bimport\((?:\/\*.*?\*\/)?\s*"([^"]+)"/g);
  return [
    ...[...statements].map((m) => ({ from: file, what: m[2]!, typeOnly: isTypeOnly(m[1] ?? "") })),
    ...[...calls].map((m) => ({ from: file, what: m[1]!, typeOnly: false })),
  ];
}
/** `type { A }`, or braces in which every name is a type. */
function isTypeOnly(clause: string): boolean {
  if (/^type\s/.test(clause)) return true;
  const names = /^\{([\s\S]*)\}$/.exec(clause.trim())?.[1]?.split(",") ?? [""];
  return names.every((n) => n.trim() === "" || n.trim().startsWith("type ")) && names.some((n) => n.trim() !== "");
}
function files(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    .filter((e) => e.isFile() && e.name.endsWith(".ts"))
    .map((e) => join(e.parentPath ?? e.path, e.name).slice(root.length))
    .sort();
}

/** Why an import is forbidden, or null. */
function forbidden({ from, what, typeOnly }: Import): string | null {
  const layer = layerOf(from);
  if (!layer) return "is of no layer";
  const allows = (list: readonly string[], name: string): boolean =>
    list.includes(name) || (typeOnly && list.includes(`types of ${name}`));
  if (!what.startsWith(".")) {
    const name = what.startsWith("node:") ? "node:*" : what;
    return allows(layer.packages, name) ? null : `package ${what} in ${layer.name}`;
  }
  const target = layerOf(normalize(join(dirname(from), what)));
  if (!target) return `${what}, which is of no layer`;
  return target === layer || allows(layer.from, target.name) ? null : `${target.name} in ${layer.name}`;
}

test("imports go down only", () => {
  const all = ["src", "passes", "targets", "runtime"].flatMap(files);
  expect(all.length).toBeGreaterThan(150);
  const wrong = all.flatMap(importsOf).flatMap((i) => {
    const why = forbidden(i);
    return why === null ? [] : [`${i.from} imports ${i.what}: ${why}`];
  });
  expect(wrong).toEqual([]);
});

test("the test knows what is forbidden", () => {
  const of = (from: string, what: string, typeOnly = false): string | null => forbidden({ from, what, typeOnly });
  expect(of("passes/lower.ts", "../targets/index.ts")).toBe("targets in passes");
  expect(of("passes/te/inline.ts", "../../src/onnx/import.ts")).toBe("onnx in passes");
  expect(of("targets/c/index.ts", "../../src/ops/conv.ts", true)).toBe("ops in targets");
  expect(of("targets/c/index.ts", "../../runtime/linear.ts")).toBe("runtime in targets");
  expect(of("targets/c/index.ts", "../../runtime/linear.ts", true)).toBeNull();
  expect(of("targets/wasm/kernel.ts", "binaryen")).toBe("package binaryen in targets");
  expect(of("targets/wasm/module.ts", "binaryen")).toBeNull();
  expect(of("src/base/text.ts", "../ir/dim.ts", true)).toBe("ir in base");
  expect(of("src/ir/dim.ts", "../ops/conv.ts")).toBe("ops in ir");
  expect(of("src/compile.ts", "./cli/main.ts")).toBe("cli in compile");
  expect(of("src/cli/main.ts", "../onnx/import.ts")).toBe("onnx in cli");
  expect(of("runtime/linear.ts", "../src/base/bytes.ts")).toBe("base in runtime");
});
