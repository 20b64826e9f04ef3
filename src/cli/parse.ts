// Command lines by commander, from the tables in options.ts.
import { Command, CommanderError, Option } from "commander";
import { userError } from "../base/diagnostics.ts";
import { packageVersion } from "../base/package.ts";
import { type CommandName, commandNames, commands, flagAbout, flags, flagText, type Options } from "./options.ts";

export type Parsed = { readonly command: CommandName; readonly model: string; readonly options: Options };

/**
 * The command that `argv` (without node and the script) gives, or null after help or the version, which go to `print`. Throws a
 * UserError E501 for wrong usage.
 */
export function parse(argv: readonly string[], print: (text: string) => void): Parsed | null {
  let parsed: Parsed | null = null;
  const program = parser((p) => {
    parsed = p;
  }, print);
  try {
    program.parse(argv, { from: "user" });
  } catch (e) {
    if (!(e instanceof CommanderError)) throw e;
    if (e.exitCode === 0) return null;
    const name = commandNames.find((n) => n === argv[0]);
    throw userError("E501", e.code === "commander.help" ? "no command is given" : e.message.replace(/^error: /, ""), {
      hint: `ingot ${name === undefined ? "" : `${name} `}--help`,
    });
  }
  return parsed;
}

/** The parser of all commands. */
export function parser(parsed: (p: Parsed) => void, print: (text: string) => void): Command {
  const program = new Command("ingot")
    .description("Compiles ONNX models to WebAssembly, C, JavaScript and WGSL that run by themselves.")
    .version(packageVersion())
    .exitOverride()
    .configureOutput({ writeOut: print, writeErr: () => {} });
  for (const name of commandNames) {
    const { about, flags: own, required } = commands[name];
    const command = program.command(name).description(about).argument("<model>", "an ONNX file");
    const options = own.map((flagName) => {
      const f = flags[flagName];
      const option = new Option(flagText(f), flagAbout(f));
      if (f.value !== undefined) option.argParser((text, before) => f.parse(text, before as undefined));
      if (required.includes(flagName)) option.makeOptionMandatory();
      command.addOption(option);
      return { flagName, key: option.attributeName() };
    });
    command.action((model: string, values: Readonly<Record<string, unknown>>) => {
      const given = options.map(({ flagName, key }) => [flagName, values[key]] as const);
      const present = given.filter(([, v]) => v !== undefined);
      parsed({ command: name, model, options: Object.fromEntries(present) as Options });
    });
  }
  return program;
}
