// `npm run demo`: compiles the digits model to every target by the command line, classifies the held-out images with each artifact, and
// prints accuracy, sizes and time per image. Fails when a target is below 97% or when two targets disagree.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { readNpz } from "../../dist/src/base/npz.js";

const here = dirname(fileURLToPath(import.meta.url));
const command = join(here, "../../dist/src/cli/main.js");
const model = join(here, "digits.onnx");
const heldout = join(here, "heldout.npz");
const labels = readNpz(readFileSync(heldout)).find((e) => e.name === "labels");
const truth = new Int32Array(labels.bytes.buffer, labels.bytes.byteOffset, labels.dims[0]);
const folder = mkdtempSync(join(tmpdir(), "ingot-demo-"));

/** The JSON that a command prints. */
function ingot(...args) {
  const r = spawnSync(process.execPath, [command, ...args, "--json"], { encoding: "utf8", maxBuffer: 1 << 26 });
  return JSON.parse(r.stdout);
}
/** How many images the scores of an npz file put in the right class. */
function correct(file) {
  const scores = readNpz(readFileSync(file)).find((e) => e.name === "scores");
  const f = new Float32Array(scores.bytes.buffer, scores.bytes.byteOffset, scores.bytes.length / 4);
  let n = 0;
  truth.forEach((label, i) => {
    const row = f.subarray(10 * i, 10 * i + 10);
    if (row.indexOf(Math.max(...row)) === label) n++;
  });
  return n;
}

console.log(`digits: ${truth.length} held-out images of 8x8 through a CNN of two convolutions\n`);
console.log("target  accuracy   code B  loader B  weights B  us/image");
const counts = [];
const missing = [];
for (const target of ["wasm", "c", "js", "wgsl"]) {
  const out = join(folder, `${target}.npz`);
  const ran = ingot("run", model, "-t", target, "--inputs", heldout, "-o", out);
  const t = ran.targets?.[target];
  if (t?.status !== "ok") {
    const reason = t?.reason ?? ran.diagnostics?.[0]?.message ?? "no result";
    missing.push(`${t?.status === "unavailable" ? "not run" : "failed"}: ${target}: ${reason}`);
    if (t?.status !== "unavailable") counts.push(-1);
    continue;
  }
  const n = correct(out);
  counts.push(n);
  const timed = ingot("bench", model, "-t", target, "--inputs", heldout, "--seconds", "1").targets?.[target];
  const cell = (x, width) => String(x ?? "").padStart(width);
  const us = timed?.median_ms === undefined ? "" : ((timed.median_ms * 1000) / truth.length).toFixed(1);
  console.log(
    `${target.padEnd(6)} ${cell(((100 * n) / truth.length).toFixed(2), 8)}% ${cell(t.code_bytes, 8)} ${cell(t.loader_bytes, 9)} ${cell(t.weight_bytes, 10)} ${cell(us, 9)}`,
  );
}
rmSync(folder, { recursive: true, force: true });
for (const m of missing) console.log(m);
const ok = counts.length > 0 && counts.every((n) => n === counts[0] && n >= 0.97 * truth.length);
console.log(ok ? "\nall targets agree" : "\nthe targets differ, or one is below 97%");
process.exit(ok ? 0 : 1);
