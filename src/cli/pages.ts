// The parts of docs/ that are made from the tables of flags and diagnostics.
import { codes } from "../base/diagnostics.ts";
import { commandNames, commands, flagAbout, flags, flagText } from "./options.ts";

/** For each page, what makes its new text from the old one: what stands between `<!-- NAME -->` and `<!-- /NAME -->` is replaced. */
export const pages: Readonly<Record<string, (page: string) => string>> = {
  "cli.md": (page) => replace(page, "commands", commandNames.map(commandSection).join("\n")),
  "errors.md": (page) => replace(page, "codes", codeTable()),
};

function replace(page: string, name: string, text: string): string {
  const [start, end] = [`<!-- ${name} -->\n`, `<!-- /${name} -->`];
  const [before, rest] = page.split(start);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined) throw new Error(`the page has no place for ${name}`);
  return `${before}${start}${text}${end}${after}`;
}

function commandSection(name: (typeof commandNames)[number]): string {
  const { about, flags: own, required } = commands[name];
  const rows = own.map((f) => {
    const text = flagText(flags[f]).replaceAll("|", "\\|");
    return `| \`${text}\` | ${flagAbout(flags[f])}${required.includes(f) ? " (required)" : ""} |\n`;
  });
  return `## \`ingot ${name} MODEL\`\n\n${about}\n\n| flag | |\n|---|---|\n${rows.join("")}`;
}

function codeTable(): string {
  const rows = Object.entries(codes).map(([code, about]) => `| ${code} | ${about} |\n`);
  return `| code | meaning |\n|---|---|\n${rows.join("")}`;
}
