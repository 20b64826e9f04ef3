// The command line of the interpreter's cases: which of them an op's definition gets right, without any target.
import { parseArgs } from "node:util";
import type { Mode } from "./run.ts";
import { type Case, casesIn, folders, runCase } from "./suite.ts";

const usage = `node test/ops/main.mjs [PATTERN | @OP]... [options]
  --mode M,..   static, symbolic (dims of inputs), constant (integer inputs), both (default: constant,both)
  --set S       onnx (default) or onnxruntime
  --all         cases with ops that are not supported, too`;

/** The exit status: 1 when a case failed. */
export async function main(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      mode: { type: "string", default: "constant,both" },
      set: { type: "string", default: "onnx" },
      all: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const folder = await (folders[values.set] ?? folders.onnx)();
  const matches = (c: Case): boolean =>
    positionals.length === 0 ||
    positionals.some((p) => (p.startsWith("@") ? c.ops.includes(p.slice(1)) : new RegExp(p).test(c.name)));
  const cases = casesIn(folder).filter((c) => c.kind !== "light" && matches(c));
  let failed = 0;
  for (const mode of values.mode.split(",") as Mode[]) {
    const bad = cases.flatMap((c) => {
      const d = runCase(folder, c, mode);
      return d === null ? [] : [{ c, d }];
    });
    const shown = bad.filter((b) => values.all || !b.d.startsWith("E201"));
    console.log(
      `${mode}: ${cases.length - bad.length} of ${cases.length}, ${bad.length - shown.length} with unsupported ops`,
    );
    for (const { c, d } of shown) console.log(`  ${c.name} [${c.ops.join(",").slice(0, 60)}]: ${d.slice(0, 300)}`);
    failed += bad.length;
  }
  return failed > 0 ? 1 : 0;
}
