import { defineConfig, type ViteUserConfig } from "vitest/config";
import { softwareEnv } from "./targets/wgsl/node.ts";

// The tests of WGSL run in forks of this process. The dynamic linker reads this when they start.
const { LD_LIBRARY_PATH } = softwareEnv();
if (LD_LIBRARY_PATH !== undefined) process.env.LD_LIBRARY_PATH = LD_LIBRARY_PATH;

const config: ViteUserConfig = defineConfig({
  test: {
    globalSetup: ["test/build-runtime.ts"],
    include: ["test/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    pool: "forks",
    maxWorkers: 2,
  },
});
export default config;
