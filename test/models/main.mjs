// Runs the suite of real models, or a part of it: node test/models/main.mjs --help
import "../source.mjs";

const { main } = await import("./main.ts");
process.exitCode = await main(process.argv.slice(2));
