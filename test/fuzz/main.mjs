// `npm run fuzz`: random models on the targets. node test/fuzz/main.mjs --help
import "../source.mjs";
import { buildRuntime } from "../../scripts/build.mjs";

await buildRuntime();
process.exitCode = await (await import("./main.ts")).main(process.argv.slice(2));
