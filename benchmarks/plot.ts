// Bar charts as SVG: groups of horizontal bars on a logarithmic axis, which start at 1.

export type BarChart = {
  readonly title: string;
  readonly series: readonly string[];
  /** A value for each series; null: none. Values are above 0. */
  readonly groups: readonly { readonly label: string; readonly values: readonly (number | null)[] }[];
};

const colours: readonly string[] = ["#3366cc", "#dc7633", "#239b56", "#8e44ad", "#7f8c8d"];
const layout = { left: 260, right: 60, width: 860, bar: 10, gap: 8, head: 52, foot: 28 } as const;

const escaped = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

export function barChart({ title, series, groups }: BarChart): string {
  const { left, right, width, bar, gap, head, foot } = layout;
  const values = groups.flatMap((g) => g.values.flatMap((v) => v ?? []));
  // The axis ends at powers of two on both sides of 1.
  const low = Math.floor(Math.log2(Math.min(0.5, ...values)));
  const high = Math.ceil(Math.log2(Math.max(2, ...values)));
  const x = (v: number): number => left + ((Math.log2(v) - low) / (high - low)) * (width - left - right);
  const groupHeight = series.length * bar + gap;
  const bottom = head + groups.length * groupHeight;
  const out: string[] = [];
  const text = (at: number, y: number, content: string, anchor: "start" | "middle" | "end", more = ""): void => {
    out.push(
      `<text x="${at.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}"${more}>${escaped(content)}</text>`,
    );
  };
  text(8, 18, title, "start", ' font-size="14" font-weight="bold"');
  let at = left;
  series.forEach((s, i) => {
    out.push(`<rect x="${at}" y="28" width="10" height="10" fill="${colours[i % colours.length]}"/>`);
    text(at + 14, 37, s, "start");
    at += 32 + 7 * s.length;
  });
  const step = Math.max(1, Math.ceil((high - low) / 8));
  for (let p = low; p <= high; p++) {
    if (p % step !== 0) continue;
    const stroke = p === 0 ? "#333" : "#ddd";
    out.push(
      `<line x1="${x(2 ** p).toFixed(1)}" y1="${head - 4}" x2="${x(2 ** p).toFixed(1)}" y2="${bottom}" stroke="${stroke}"/>`,
    );
    text(x(2 ** p), bottom + 16, `${2 ** p}x`, "middle");
  }
  groups.forEach(({ label, values }, g) => {
    const top = head + g * groupHeight;
    text(left - 8, top + (series.length * bar) / 2 + 4, label, "end");
    values.forEach((v, i) => {
      if (v === null) return;
      const [a, b] = [Math.min(x(1), x(v)), Math.max(x(1), x(v))];
      out.push(
        `<rect x="${a.toFixed(1)}" y="${top + i * bar}" width="${Math.max(b - a, 0.5).toFixed(1)}" height="${bar - 1}" fill="${colours[i % colours.length]}"/>`,
      );
      const [edge, anchor] = v >= 1 ? ([b + 3, "start"] as const) : ([a - 3, "end"] as const);
      text(edge, top + i * bar + bar - 2, v >= 10 ? v.toFixed(0) : v.toFixed(2), anchor, ' font-size="8"');
    });
  });
  const height = bottom + foot;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11">
<title>${escaped(title)}</title>
<rect width="100%" height="100%" fill="#fff"/>
${out.join("\n")}
</svg>
`;
}
