// Starts the command again in the environment of the software GPU: the dynamic linker reads it only when a process starts.
import { spawn } from "node:child_process";
import { UnavailableError } from "../base/diagnostics.ts";
import { findGpu, softwareEnv } from "../index.ts";

/** Set in the process that was started again, which then does with what it finds. */
const mark = "INGOT_RESPAWNED";

/** The exit status of the command started again, or null when it may as well go on here. */
export async function respawned(entry: string, argv: readonly string[]): Promise<number | null> {
  if (process.env[mark] !== undefined) return null;
  try {
    await findGpu();
    return null;
  } catch (e) {
    if (!(e instanceof UnavailableError)) throw e;
  }
  const env = softwareEnv();
  if (Object.entries(env).every(([k, v]) => process.env[k] === v)) return null;
  const child = spawn(process.execPath, [...process.execArgv, entry, ...argv], {
    stdio: "inherit",
    env: { ...process.env, ...env, [mark]: "1" },
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve(code ?? 70));
  });
}
