// `npm run conformance`: ONNX's backend tests on the targets. node test/conformance/main.mjs --help
import "../source.mjs";
import { fileURLToPath } from "node:url";
import { buildRuntime } from "../../scripts/build.mjs";

const { respawned } = await import("../../src/cli/respawn.ts");
const args = process.argv.slice(2);
// WGSL's software adapter is found only by a process that started with its library path.
const status = await respawned(fileURLToPath(import.meta.url), args);
if (status === null) await buildRuntime();
process.exitCode = status ?? (await (await import("./main.ts")).main(args));
