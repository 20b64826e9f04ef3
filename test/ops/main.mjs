// Runs cases through the interpreter: node test/ops/main.mjs --help
import "../source.mjs";

const { main } = await import("./main.ts");
process.exitCode = await main(process.argv.slice(2));
