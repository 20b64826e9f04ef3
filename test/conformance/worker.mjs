// A process that runs tests for pool.ts.
import "../source.mjs";

await import("./worker.ts");
