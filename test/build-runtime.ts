// Artifacts hold the loaders' minified text: make it before any test runs.
import { pathToFileURL } from "node:url";

/** A loader that does not build fails its own tests only. */
export default async function setup(): Promise<void> {
  const script: { buildRuntime: () => Promise<void> } = await import(pathToFileURL("scripts/build.mjs").href);
  await script.buildRuntime().catch((e: unknown) => console.error(`the loaders in dist/runtime are old: ${e}`));
}
