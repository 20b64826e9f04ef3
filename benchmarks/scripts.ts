// The scripts of the test suites that the benchmarks share, which are plain JavaScript.

import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { packageRoot } from "../src/base/package.ts";

type Cache = {
  /** Makes `path` by `make(temporaryPath)` unless it is there and was made from `key`. */
  entry(path: string, key: string, make: (temporary: string) => Promise<unknown>): Promise<string>;
  /** Runs a program to its end and returns what it printed; rejects with the tail of its output. */
  run(
    program: string,
    args: readonly string[],
    options?: {
      readonly cwd?: string;
      readonly env?: NodeJS.ProcessEnv;
      readonly timeout?: number;
      readonly code?: string;
    },
  ): Promise<string>;
};
export type OpenModel = { readonly name: string; readonly kind: string };
type Fetch = { readonly models: readonly OpenModel[]; fetchModel(name: string): Promise<string> };
type Reference = { inputsPath(name: string): string };
type Venv = { readonly pipFlags: readonly string[] };

const load = (file: string): Promise<unknown> => import(pathToFileURL(join(packageRoot(), "test/models", file)).href);

const cache = (await load("cache.mjs")) as Cache;
const fetcher = (await load("fetch.mjs")) as Fetch;
export const entry: Cache["entry"] = cache.entry;
export const run: Cache["run"] = cache.run;
export const models: readonly OpenModel[] = fetcher.models;
export const fetchModel: Fetch["fetchModel"] = fetcher.fetchModel;
export const inputsPath: Reference["inputsPath"] = ((await load("reference.mjs")) as Reference).inputsPath;
export const pipFlags: readonly string[] = ((await load("venv.mjs")) as Venv).pipFlags;
