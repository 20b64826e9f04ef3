// `npm run bench`: Ingot against other engines. node benchmarks/main.mjs --help
import "../test/source.mjs";
import { buildRuntime } from "../scripts/build.mjs";

await buildRuntime();
process.exitCode = await (await import("./main.ts")).main(process.argv.slice(2));
