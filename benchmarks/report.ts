// RESULTS.md and the plots, from results.json's data alone.
import { barChart } from "./plot.ts";
import { type CaseResult, type Entry, type Results, type Side, sides, threads } from "./results.ts";

/** The peers that a target has to beat: the faster of them counts. */
const rivals: Readonly<Record<Side, readonly string[]>> = {
  wasm: ["onnxruntime-web"],
  c: ["onnxruntime", "openvino"],
};
const titles: Readonly<Record<Side, string>> = { wasm: "WebAssembly", c: "C (gcc -O3 -march=native)" };
const kinds = { op: "Operators", model: "Models" } as const;
/** Below so many products a run is bound by other things than the multipliers. */
const rooflineMacs = 1e6;
/** Models with fewer products measure the cost of a call, and would rule the mean. */
const meanMacs = 1e5;
/** Outputs whose sums of magnitudes differ by more than that are not those of the same model. */
const checkTolerance = 0.02;
/** Processors busy beside the contender whose turn it is: the engines' own helpers stay below. */
const busyElsewhere = 0.4;

/** How many times as fast as a peer the target is, by medians; null where one of them was not measured. */
export function ratioTo(c: CaseResult, side: string, peer: string): number | null {
  const [own, theirs] = [c.entries[side]?.timing, c.entries[peer]?.timing];
  return own && theirs ? theirs.medianMs / own.medianMs : null;
}
/** The same to the fastest rival. */
export function ratioToRivals(c: CaseResult, side: Side): number | null {
  const all = rivals[side].flatMap((p) => ratioTo(c, side, p) ?? []);
  return all.length > 0 ? Math.min(...all) : null;
}
/** The part of the peak that a contender reaches, of 1. null: bound by something else. */
export function roofline(c: CaseResult, side: Side, contender: string = side): number | null {
  const [timing, peak] = [c.entries[contender]?.timing, c.peak[side]];
  return timing && peak && c.macs !== null && c.macs >= rooflineMacs
    ? (2 * c.macs) / 1e6 / timing.medianMs / peak
    : null;
}
export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((s, v) => s + Math.log(v), 0) / values.length);
}

type Cells = readonly string[];
function table(head: Cells, rows: readonly Cells[]): string {
  const line = (cells: Cells): string => `| ${cells.map((c) => c.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map((_, i) => (i === 0 ? "---" : "--:"))), ...rows.map(line), ""].join("\n");
}
const none = "—";
/** Three significant digits. */
export function digits(x: number): string {
  if (x === 0) return "0";
  return x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x >= 1 ? x.toFixed(2) : x.toPrecision(2);
}
const ms = (e: Entry | undefined): string => (e?.timing ? digits(e.timing.medianMs) : none);
const times = (r: number | null): string => (r === null ? none : `${digits(r)}x`);
const percent = (r: number | null): string => (r === null ? none : `${(100 * r).toFixed(0)}%`);
const kb = (n: number | null | undefined): string => (n == null ? none : digits(n / 1024));
const mb = (n: number | null | undefined): string => (n == null ? none : digits(n / 2 ** 20));
const whole = (n: number | undefined): string => (n === undefined ? none : digits(n));

/** The peers of a side that were measured somewhere. */
function peersOf(r: Results, cases: readonly CaseResult[], side: Side): string[] {
  return Object.keys(r.peers).filter((p) => r.peers[p] === side && cases.some((c) => c.entries[p]?.timing));
}
const isFloat = (c: CaseResult): boolean => !c.name.includes("int8");
/** `name` of an operator says less than what it is. */
const label = (c: CaseResult): string => (c.kind === "op" ? c.about : c.name);

function timesTable(r: Results, cases: readonly CaseResult[], side: Side): string {
  const peers = peersOf(r, cases, side);
  const head = [
    "",
    "MMACs",
    "Ingot ms",
    "of peak",
    ...peers.map((p) => `${p} ms`),
    ...(rivals[side].length > 1 ? [`against the better of ${rivals[side].join(", ")}`] : []),
  ];
  const rows = cases.map((c) => [
    label(c),
    c.macs === null ? none : c.macs > 0 && c.macs < 1000 ? "< 0.001" : digits(c.macs / 1e6),
    ms(c.entries[side]),
    percent(roofline(c, side)),
    ...peers.map((p) => (c.entries[p]?.timing ? `${ms(c.entries[p])} (${times(ratioTo(c, side, p))})` : none)),
    ...(rivals[side].length > 1 ? [times(ratioToRivals(c, side))] : []),
  ]);
  return `${table(head, rows)}\n${summary(cases, side)}`;
}
function summary(cases: readonly CaseResult[], side: Side): string {
  const counted = cases.filter((c) => isFloat(c) && (c.kind === "op" || c.macs === null || c.macs >= meanMacs));
  const known = counted.flatMap((c) => {
    const ratio = ratioToRivals(c, side);
    return ratio === null ? [] : [{ c, ratio }];
  });
  if (known.length === 0) return "";
  const worst = known.reduce((a, b) => (b.ratio < a.ratio ? b : a));
  const whom = rivals[side].length > 1 ? `the better of ${rivals[side].join(" and ")}` : rivals[side][0]!;
  const what = counted.length === cases.length ? "" : ` (f32, over ${meanMacs / 1e6} MMACs)`;
  return `Against ${whom}, ${known.length} of ${cases.length}${what}: geometric mean ${times(geometricMean(known.map((k) => k.ratio)))}, worst ${times(worst.ratio)} (${label(worst.c)}).\n`;
}

/** C on one thread and on two. */
function threadsTable(cases: readonly CaseResult[]): string {
  const rows = cases.map((c) => [
    label(c),
    ms(c.entries["c"]),
    ms(c.entries[threads]),
    times(ratioTo(c, threads, "c")),
  ]);
  return table(["", "one thread ms", "two threads ms", "times as fast"], rows);
}

function costsTable(cases: readonly CaseResult[], side: Side): string {
  const rival = rivals[side][0]!;
  const head = [
    "",
    "compile ms",
    ...(side === "c" ? ["gcc ms"] : []),
    "compiler MB",
    "code KB",
    "weights MB",
    "arena MB",
    "over bound",
    "over unfused",
    "load ms",
    "first run ms",
    "over steady",
    "peak MB",
    `${rival} load ms`,
    "first run ms",
    "peak MB",
  ];
  const rows = cases.map((c) => {
    const { build, start, timing } = c.entries[side] ?? {};
    const theirs = c.entries[rival]?.start;
    const bound = build?.arena && build.arenaLowerBound ? build.arena / build.arenaLowerBound : null;
    const unfused = build?.arena && build.unfusedBound ? build.arena / build.unfusedBound : null;
    return [
      label(c),
      whole(build?.compileMs),
      ...(side === "c" ? [whole(build?.ccMs)] : []),
      mb(build?.peakBytes),
      kb(build?.code),
      mb(build?.weights),
      mb(build?.arena),
      times(bound),
      times(unfused),
      whole(start?.loadMs),
      whole(start?.firstMs),
      times(start && timing ? start.firstMs / timing.medianMs : null),
      mb(start?.peakBytes),
      whole(theirs?.loadMs),
      whole(theirs?.firstMs),
      mb(theirs?.peakBytes),
    ];
  });
  return table(head, rows);
}

/** What was not measured and why, and outputs that do not agree. */
function remarks(cases: readonly CaseResult[]): string {
  const lines: string[] = [];
  const reasons = new Map<string, string[]>();
  for (const c of cases) {
    for (const [name, e] of Object.entries(c.entries)) {
      if (e.reason !== undefined) {
        const key = `${name}: ${e.reason}`;
        reasons.set(key, [...(reasons.get(key) ?? []), c.name]);
      }
      const [own, side] = [e.start?.check, c.entries["wasm"]?.start?.check ?? c.entries["c"]?.start?.check];
      if (own != null && side != null && Math.abs(own - side) > checkTolerance * Math.max(own, side))
        lines.push(
          `- ${c.name}: the magnitudes of ${name}'s outputs sum up to ${own.toPrecision(5)}, Ingot's to ${side.toPrecision(5)}`,
        );
    }
  }
  const disturbed = cases.filter((c) => c.busy > 1 + busyElsewhere);
  if (disturbed.length > 0) {
    const most = Math.max(...disturbed.map((c) => c.busy - 1));
    lines.push(
      `- ${disturbed.length} of ${cases.length} cases were measured beside other work, on up to ${digits(most)} processors`,
    );
  }
  for (const [reason, names] of reasons)
    lines.push(`- not measured: ${names.join(", ")}: ${reason.replaceAll("\n", " ")}`);
  return lines.length > 0 ? `## Remarks\n\n${lines.join("\n")}\n` : "";
}

function versions(r: Results): string {
  const all = Object.keys(r.peers).flatMap((p) => {
    const version = r.cases.flatMap((c) => c.entries[p]?.start?.version ?? [])[0];
    return r.cases.some((c) => c.entries[p]?.timing) ? [version ? `${p} ${version}` : p] : [];
  });
  return all.join(", ") || none;
}

/** The files of a report by their paths: RESULTS.md and plots/*.svg. */
export function report(r: Results): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  const parts: string[] = [
    "# Results",
    "",
    "Made by `npm run bench`; what is measured and how: `docs/benchmarks.md`. Times are medians of a run on one thread; a ratio above 1 says that Ingot is faster.",
    "",
    table(
      ["", ""],
      [
        ["machine", `${r.machine.cpu}; ${r.machine.cores} cores, ${r.machine.memoryGb} GB, ${r.machine.system}`],
        ["date", r.machine.date],
        ["Ingot", r.machine.ingot],
        ["node, C compiler, Python", `${r.machine.node}; ${r.machine.cc}; ${r.machine.python}`],
        ["peers", versions(r)],
        ["time for each contender", `${r.seconds} s`],
        ...sides.flatMap((s) => {
          const p = r.peaks[s];
          return p ? [[`peak of ${s}`, `${digits(p.gflops)} GFLOP/s (${p.kernel})`]] : [];
        }),
      ],
    ),
  ];
  for (const kind of ["op", "model"] as const) {
    const cases = r.cases.filter((c) => c.kind === kind);
    for (const side of sides.filter((s) => cases.some((c) => c.entries[s]))) {
      const title = `${kinds[kind]}, ${titles[side]}`;
      parts.push(`## ${title}`, "", timesTable(r, cases, side));
      const peers = peersOf(r, cases, side);
      if (peers.length === 0) continue;
      const path = `plots/${kind}s-${side}.svg`;
      const groups = cases.map((c) => ({ label: label(c), values: peers.map((p) => ratioTo(c, side, p)) }));
      files.set(path, barChart({ title: `${title}: times as fast as`, series: peers, groups }));
      parts.push(`![${title}: ratios](${path})`, "");
    }
  }
  const spread = r.cases.filter((c) => c.entries[threads]?.timing);
  if (spread.length > 0) parts.push("## Two threads, C", "", threadsTable(spread));
  for (const side of sides.filter((s) => r.cases.some((c) => c.entries[s])))
    parts.push(
      `## Compilation, sizes and start, ${titles[side]}`,
      "",
      "In fresh processes: `load` imports the engine and the model, `peak` is the largest resident set of the whole process up to the first run.",
      "",
      costsTable(r.cases, side),
    );
  parts.push(remarks(r.cases));
  files.set("RESULTS.md", `${parts.join("\n").trimEnd()}\n`);
  return files;
}

/** One line for who watches. */
export function caseLine(c: CaseResult): string {
  const cells = sides
    .filter((s) => c.entries[s])
    .map((s) => `${s} ${ms(c.entries[s])} ms ${percent(roofline(c, s))} of peak, ${times(ratioToRivals(c, s))}`);
  return `${c.name.padEnd(24)} ${cells.join("; ")}`;
}
