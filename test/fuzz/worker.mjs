// A process that checks cases for checker.ts.
import "../source.mjs";

await import("./worker.ts");
