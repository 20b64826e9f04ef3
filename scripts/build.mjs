// Builds dist/: the compiler by tsc, and the runtime loaders as minified text by esbuild (they are pasted into artifacts).
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const require = createRequire(import.meta.url);

export async function buildRuntime() {
  const { build } = await import("esbuild");
  mkdirSync(join(root, "dist/runtime"), { recursive: true });
  for (const name of ["linear", "webgpu", "lists"]) {
    const entry = join(root, "runtime", `${name}.ts`);
    if (!existsSync(entry)) continue;
    const out = await build({
      entryPoints: [entry],
      bundle: true,
      minify: true,
      format: "esm",
      target: "es2022",
      write: false,
      charset: "utf8",
    });
    writeFileSync(join(root, "dist/runtime", `${name}.min.js`), out.outputFiles[0].contents);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const tsc = join(dirname(require.resolve("typescript/package.json")), "bin/tsc");
  const r = spawnSync(process.execPath, [tsc, "-p", join(root, "tsconfig.build.json")], {
    stdio: "inherit",
    cwd: root,
  });
  if (r.status !== 0) process.exit(r.status ?? 1);
  await buildRuntime();
}
