// Compiles stations.onnx with the operators of distance-ops.mjs for each target, runs it, and checks the results: node examples/custom-op/run.mjs
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const command = join(here, "../../dist/src/cli/main.js");
const [model, plugin] = [join(here, "stations.onnx"), join(here, "distance-ops.mjs")];
const folder = mkdtempSync(join(tmpdir(), "ingot-custom-op-"));
/** What a command prints. Status 3: a target that this machine lacks something for. */
function ingot(...args) {
  const r = spawnSync(process.execPath, [command, ...args, "--plugin", plugin], { encoding: "utf8" });
  if (r.status !== 0 && r.status !== 3)
    throw new Error(`ingot ${args.join(" ")} ends with ${r.status}:\n${r.stdout}${r.stderr}`);
  return r.stdout;
}

const points = Float32Array.of(0.5, 0.25, 4, -2, -3, -3, -1, 3, 2.5, 0.5);
const stations = [
  [0, 0],
  [3, 1],
  [-2, 4],
  [5, -3],
  [-4, -4],
];
const distance = (i, [x, y]) =>
  (Math.abs(points[2 * i] - x) ** 1.5 + Math.abs(points[2 * i + 1] - y) ** 1.5) ** (1 / 1.5);

let ok = true;
try {
  for (const target of ["js", "wasm"]) {
    const out = join(folder, target);
    ingot("compile", model, "-t", target, "-o", out);
    const { load } = await import(pathToFileURL(join(out, "stations.mjs")).href);
    const stationsModel = await load();
    const { nearest, distances } = stationsModel.runSync({ points });
    const worst = Math.max(...distances.data.map((d, k) => Math.abs(d - distance(Math.floor(k / 5), stations[k % 5]))));
    const right = [...nearest.data].every((s, i) => {
      const all = stations.map((at) => distance(i, at));
      return all[Number(s)] === Math.min(...all);
    });
    ok &&= right && worst < 1e-5;
    console.log(
      `${target.padEnd(5)} nearest ${nearest.data.join(" ")}  worst distance off by ${worst.toExponential(1)}`,
    );
    stationsModel.dispose();
  }
  console.log(ingot("verify", model));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
console.log(ok ? "ok" : "wrong");
process.exitCode = ok ? 0 : 1;
