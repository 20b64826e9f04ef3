// A GPU for the tests of the WGSL target, or the reason why there is none. vitest.config.ts sets the environment in which a
// machine without a GPU finds SwiftShader.
import { UnavailableError } from "../../src/base/diagnostics.ts";
import { nodeGpu } from "../../targets/wgsl/node.ts";

/** The GPU, or null and the reason. With INGOT_REQUIRE_ALL=1 the lack of one is an error. */
export async function testGpu(): Promise<{ readonly gpu: GPU | null; readonly reason: string }> {
  try {
    return { gpu: await nodeGpu(), reason: "" };
  } catch (e) {
    if (!(e instanceof UnavailableError) || process.env["INGOT_REQUIRE_ALL"] === "1") throw e;
    return { gpu: null, reason: e.message };
  }
}
