// Reports as people read them on standard output.
import { relative } from "node:path";
import type { InspectReport, TargetReport, Timing } from "../index.ts";
import type { Outcome } from "./report.ts";

/** Bytes with a unit; null: unknown before the dims are. */
function bytes(n: number | null): string {
  if (n === null) return "by dims";
  if (n < 10_000) return `${n} B`;
  return n < 10_000_000 ? `${(n / 1000).toFixed(1)} kB` : `${(n / 1e6).toFixed(1)} MB`;
}
function ms(x: number): string {
  return x >= 100 ? `${x.toFixed(0)} ms` : x >= 1 ? `${x.toFixed(2)} ms` : `${(x * 1000).toFixed(1)} us`;
}
/** Columns of equal width, two spaces apart. */
function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const r of rows) for (const [i, c] of r.entries()) widths[i] = Math.max(widths[i] ?? 0, c.length);
  return rows
    .map(
      (r) =>
        `${r
          .map((c, i) => c.padEnd(widths[i]!))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}
function trouble(t: TargetReport): string {
  return `${t.status}: ${t.reason ?? ""}`;
}
function here(path: string): string {
  const way = relative(process.cwd(), path);
  return way.startsWith("..") ? path : way;
}

export function compileText({ report, written }: Outcome): string {
  return [...(report.targets ?? [])]
    .map(([name, t]) => {
      if (t.status !== "ok" || !t.sizes) return `${name} ${trouble(t)}\n`;
      const { code, loader, weights, arena } = t.sizes;
      const parts = [
        `code ${bytes(code)}${loader === undefined ? "" : ` (loader ${bytes(loader)})`}`,
        `weights ${bytes(weights)}`,
        `arena ${bytes(arena)}${bounds(t.sizes)}`,
        ...(t.compileMs === undefined ? [] : [`compiled in ${ms(t.compileMs)}`]),
      ];
      const files = (written?.get(name) ?? []).map((f) => ["", here(f.path), bytes(f.bytes)]);
      return `${name}: ${parts.join(", ")}\n${table(files)}`;
    })
    .join("");
}

/** What the arena is measured against, as far as it is known. */
function bounds({ arenaLowerBound, unfusedBound }: NonNullable<TargetReport["sizes"]>): string {
  const parts = [
    ...(arenaLowerBound === null ? [] : [`no plan needs less than ${bytes(arenaLowerBound)}`]),
    ...(unfusedBound === null ? [] : [`${bytes(unfusedBound)} without fusion`]),
  ];
  return parts.length === 0 ? "" : ` (${parts.join(", ")})`;
}

export function runText({ report, output }: Outcome): string {
  const rows = [...(report.targets ?? [])].flatMap(([name, t]): string[][] =>
    t.status === "ok"
      ? [...(t.outputs ?? [])].map(([o, x]) => [name, o, x.dtype, `[${x.shape.join(", ")}]`])
      : [[name, trouble(t)]],
  );
  return table(rows) + (output === undefined ? "" : `written to ${here(output)}\n`);
}

export function verifyText({ report }: Outcome): string {
  const rows: string[][] = [["target", "output", "type", "max abs", "to peak", ""]];
  for (const [name, t] of report.targets ?? []) {
    for (const [o, { dtype, shape, comparison: c }] of t.outputs ?? [])
      rows.push([
        name,
        o,
        `${dtype} [${shape.join(", ")}]`,
        c ? c.maxAbs.toExponential(1) : "",
        c ? c.maxRelToPeak.toExponential(1) : "",
        c ? (c.pass ? "pass" : `FAIL ${c.reason ?? ""}`) : "",
      ]);
    if (!t.outputs?.size) rows.push([name, "", "", "", "", trouble(t)]);
  }
  return table(rows);
}

export function benchText({ report }: Outcome): string {
  const timed = (t: Timing): string[] => [ms(t.medianMs), ms(t.minMs), String(t.runs)];
  const rows: string[][] = [["", "median", "min", "runs"]];
  for (const [name, t] of report.targets ?? []) rows.push([name, ...(t.timing ? timed(t.timing) : [trouble(t)])]);
  for (const [name, p] of report.peers ?? [])
    rows.push([`${name} ${p.version ?? ""}`.trim(), ...(p.timing ? timed(p.timing) : [p.reason ?? ""])]);
  const ratios = [...(report.ratios ?? [])].map(([pair, r]) => `${pair}: ${r.toFixed(2)} times as fast\n`);
  return table(rows) + ratios.join("");
}

export function inspectText(r: InspectReport): string {
  const port = (p: InspectReport["inputs"][number]): string[] => [
    `  ${p.name}`,
    p.dtype,
    p.shape === null ? "of any rank" : `[${p.shape.join(", ")}]`,
  ];
  const dims = r.dims.map((d) => [`  ${d.name}`, `${d.min}..${d.max ?? ""}`, d.axes.join(", ")]);
  const targets = [...r.targets].map(([name, t]) => [`  ${name}`, t.status === "ok" ? "ok" : trouble(t)]);
  return [
    `inputs\n${table(r.inputs.map(port))}`,
    `outputs\n${table(r.outputs.map(port))}`,
    dims.length > 0 ? `dims\n${table(dims)}` : "",
    `opset       ${r.info.opsets.map((o) => `${o.domain || "ai.onnx"} ${o.version}`).join(", ")}\n`,
    `parameters  ${r.info.parameters}\n`,
    r.macsFormula === null ? "" : `MACs        ${r.macsFormula}\n`,
    `ops (${r.info.nodes} nodes)\n${table(r.info.ops.map((o) => [`  ${o.domain === "" ? o.type : `${o.domain}.${o.type}`}`, String(o.count)]))}`,
    `targets\n${table(targets)}`,
  ].join("");
}
