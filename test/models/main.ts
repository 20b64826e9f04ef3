// The command line of the suite of real models: a table of what compiles, runs, and agrees with onnxruntime.
import { parseArgs } from "node:util";
import { check, cpuTargets, filesOf, gpuSuite, type Mode, models, modesOf, type Outcome, suite } from "./suite.ts";

const usage = `node test/models/main.mjs [options]
  --names A,B       models of models.json (default: the suite; "all" for every one)
  -t, --target T,.. of wasm, js, c, wgsl (default: wasm,c,js, and wgsl for ${gpuSuite.join(", ")})
  --mode M          fixed (dims as in the inputs), symbolic (one artifact for both sets of inputs), or both (default)
  --time MS         repeat runs for so long to time them (default 300; 0: do not)
  --stack           where errors arise`;

/** The exit status: 1 when something failed. */
export async function main(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      names: { type: "string" },
      target: { type: "string", short: "t" },
      mode: { type: "string", default: "both" },
      time: { type: "string", default: "300" },
      stack: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const targetNames = values.target?.split(",");
  const names = values.names === "all" ? models.map((m) => m.name) : (values.names?.split(",") ?? suite);
  const time = Number(values.time);
  const counts = { ok: 0, failed: 0, unavailable: 0 };
  const row = (cells: readonly string[]): void => {
    const [a = "", b = "", c = "", d = "", e = "", f = "", g = "", h = "", ...rest] = cells;
    console.log(
      [
        a.padEnd(24),
        b.padEnd(9),
        c.padEnd(5),
        d.padEnd(12),
        e.padStart(9),
        f.padStart(8),
        g.padStart(9),
        h.padStart(9),
        ...rest,
      ]
        .join(" ")
        .trimEnd(),
    );
  };
  row(["model", "dims", "on", "", "compile", "code", "error", "run"]);
  row(["", "", "", "", "ms", "bytes", "to peak", "ms"]);
  for (const name of names) {
    for (const mode of modesOf(name).filter((m): m is Mode => values.mode === "both" || values.mode === m)) {
      const onGpu = gpuSuite.includes(name) && mode === "fixed";
      const targets = targetNames ?? [...cpuTargets, ...(onGpu ? ["wgsl"] : [])];
      const report = (target: string, o: Outcome): void => {
        counts[o.status]++;
        const number = (x: number | null | undefined, digits: number): string => x?.toFixed(digits) ?? "";
        row([
          name,
          mode,
          target,
          o.status,
          number(o.compileMs, 0),
          number(o.codeBytes, 0),
          o.toPeak === undefined ? "" : o.toPeak.toExponential(1),
          number(o.medianMs, 3),
          o.reason.slice(0, 300),
        ]);
        if (values.stack && o.stack) console.log(o.stack);
      };
      await check(name, mode, targets, await filesOf(name, mode), time > 0 ? time : null, report);
    }
  }
  console.log(
    `${counts.ok} passed, ${counts.failed} failed${counts.unavailable ? `, ${counts.unavailable} not run` : ""}`,
  );
  return counts.failed > 0 ? 1 : 0;
}
