// The command line of `npm run bench`.
import { parseArgs } from "node:util";
import { contenders, peerNames } from "./contenders.ts";
import { ops } from "./ops.ts";
import { type Side, sides } from "./results.ts";
import { models } from "./scripts.ts";

export type Options = {
  readonly ops: readonly string[];
  readonly models: readonly string[];
  readonly targets: readonly Side[];
  /** null: those that a kind of case is measured with where nobody says. */
  readonly peers: readonly string[] | null;
  readonly seconds: number;
  /** The folder for the report. */
  readonly out: string;
  readonly list: boolean;
};

const opNames = ops.map((o) => o.name);
/** The light_ models are those of the random_ ones with weights of 0. */
const modelNames = models.map((m) => m.name).filter((n) => !n.startsWith("light_"));
const quickModels: readonly string[] = ["rapidocr_cls", "random_squeezenet", "paraphrase_minilm_l3"];
const quickPeers: readonly string[] = ["onnxruntime-web", "onnxruntime", "openvino"];

export const usage: string = `npm run bench -- [options]
  --ops A,B       operators (default: all; none when --models is given)
  --models A,B    open models (default: all; none when --ops is given)
  --targets A,B   of wasm, c (default: both)
  --peers A,B     of ${peerNames.join(", ")}
                  (default: on models ${peerNames.filter((n) => contenders.get(n)!.models).join(", ")}; on operators all)
  --seconds S     time for each contender in each case (default 1)
  --quick         0.3 seconds, few models, few peers
  --out DIR       the folder for RESULTS.md, results.json and the plots (default: benchmarks for a full run, else .cache/bench/report)
  --list          the names of operators, models and peers`;

/** Throws an Error for what the user got wrong; null when help is asked for. */
export function parse(args: readonly string[]): Options | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      ops: { type: "string" },
      models: { type: "string" },
      targets: { type: "string" },
      peers: { type: "string" },
      seconds: { type: "string" },
      quick: { type: "boolean", default: false },
      out: { type: "string" },
      list: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return null;
  const { quick } = values;
  const seconds = Number(values.seconds ?? (quick ? 0.3 : 1));
  if (!(seconds > 0 && seconds < 1000)) throw new Error(`--seconds cannot be "${values.seconds}"`);
  const full = !quick && [values.ops, values.models, values.targets, values.peers].every((v) => v === undefined);
  const some = (own: string | undefined, other: string | undefined, all: readonly string[], flag: string) =>
    own !== undefined ? names(own, all, flag) : other !== undefined ? [] : all;
  return {
    ops: some(values.ops, values.models, opNames, "--ops"),
    models: some(
      values.models ?? (quick && values.ops === undefined ? quickModels.join() : undefined),
      values.ops,
      modelNames,
      "--models",
    ),
    targets: names(values.targets ?? sides.join(), sides, "--targets") as readonly Side[],
    peers: values.peers !== undefined ? names(values.peers, peerNames, "--peers") : quick ? quickPeers : null,
    seconds,
    out: values.out ?? (full ? "benchmarks" : ".cache/bench/report"),
    list: values.list,
  };
}
/** Comma-separated names, each one of `all`. */
function names(text: string, all: readonly string[], flag: string): readonly string[] {
  const list = text.split(",").filter((n) => n !== "");
  const unknown = list.filter((n) => !all.includes(n));
  if (unknown.length > 0) throw new Error(`${flag}: unknown ${unknown.join(", ")}; there is ${all.join(", ")}`);
  return list;
}

/** What --list prints. */
export function listing(): string {
  return `ops     ${opNames.join(" ")}\nmodels  ${modelNames.join(" ")}\npeers   ${peerNames.join(" ")}\n`;
}
