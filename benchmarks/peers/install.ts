// Installs peers on demand, in folders of their own: they are no dependency of Ingot.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { peersFolder } from "../../src/run/peers.ts";
import { entry, pipFlags, run } from "../scripts.ts";

/** Packages of npm, as NAME@VERSION, in the folder where `ingot bench --vs` looks too. Rejects with code "UNAVAILABLE" without a registry. */
export async function installNpm(
  packages: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  const folder = peersFolder();
  const missing = packages.filter((p) => {
    const at = p.lastIndexOf("@");
    const file = join(folder, "node_modules", p.slice(0, at), "package.json");
    return !existsSync(file) || JSON.parse(readFileSync(file, "utf8")).version !== p.slice(at + 1);
  });
  if (missing.length === 0) return;
  mkdirSync(folder, { recursive: true });
  // npm would install into the project above a folder without one.
  const own = join(folder, "package.json");
  if (!existsSync(own)) writeFileSync(own, '{ "private": true }\n');
  const flags = ["--save-exact", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=1"];
  await run("npm", ["install", ...flags, ...missing], {
    cwd: folder,
    env: { ...process.env, ...env },
    code: "UNAVAILABLE",
  });
}

/** The python of an environment that holds these packages, as NAME==VERSION. Rejects with code "UNAVAILABLE" without python3 or a registry. */
export async function installPython(name: string, packages: readonly string[]): Promise<string> {
  const version = await run("python3", ["--version"], { code: "UNAVAILABLE" });
  const folder = join(peersFolder(), `python-${name}`);
  await entry(folder, version + packages.join(" "), async (temporary) => {
    await run("python3", ["-m", "venv", temporary], { code: "UNAVAILABLE" });
    await run(join(temporary, "bin/python"), ["-m", "pip", "install", ...pipFlags, ...packages], {
      code: "UNAVAILABLE",
    });
  });
  return join(folder, "bin/python");
}
