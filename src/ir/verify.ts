// The verifiers of the four IRs. Each throws InternalError naming what is wrong and where; a user's mistake never gets here.
export { verifyGraph } from "./verify-graph.ts";
export { type KernelStage, verifyKernel } from "./verify-kernel.ts";
export { verifyProgram } from "./verify-program.ts";
export { verifyTe } from "./verify-te.ts";
