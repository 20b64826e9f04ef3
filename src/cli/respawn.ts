// Starts the command again where WGSL needs a library path that the dynamic linker reads only when a process starts.
import { spawn } from "node:child_process";
import { softwareEnv } from "../index.ts";

/** Set in the process that was started again, which makes do with what it finds. */
const mark = "INGOT_RESPAWNED";

/** The exit status of the command started again, or null when it may as well go on here. */
export async function respawned(entry: string, argv: readonly string[]): Promise<number | null> {
  const { LD_LIBRARY_PATH } = softwareEnv();
  if (process.env[mark] !== undefined || LD_LIBRARY_PATH === undefined) return null;
  if (process.env.LD_LIBRARY_PATH === LD_LIBRARY_PATH) return null;
  const child = spawn(process.execPath, [...process.execArgv, entry, ...argv], {
    stdio: "inherit",
    env: { ...process.env, LD_LIBRARY_PATH, [mark]: "1" },
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve(code ?? 70));
  });
}
