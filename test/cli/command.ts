// Runs commands in this process.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect } from "vitest";
import { type NpzInput, writeNpz } from "../../src/base/npz.ts";
import { cli } from "../../src/cli/cli.ts";
import { readSchema, violations } from "./schema.ts";

export type Result = { readonly exit: number; readonly out: string; readonly err: string };

export async function ingot(...argv: readonly string[]): Promise<Result> {
  let [out, err] = ["", ""];
  const io = {
    out: (t: string) => {
      out += t;
    },
    err: (t: string) => {
      err += t;
    },
    terminal: false,
  };
  const exit = await cli(argv, io);
  return { exit, out, err };
}

export type Json = {
  readonly command: string | null;
  readonly model: string | null;
  readonly ok: boolean;
  readonly exit: number;
  readonly diagnostics: readonly { readonly code: string; readonly message: string; readonly hint?: string }[];
  readonly targets: Readonly<Record<string, TargetJson>>;
  readonly peers?: Readonly<Record<string, { readonly median_ms?: number; readonly reason?: string }>>;
  readonly ratios?: Readonly<Record<string, number>>;
  readonly [key: string]: unknown;
};
export type TargetJson = {
  readonly status: string;
  readonly reason?: string;
  readonly files?: readonly { readonly path: string; readonly bytes: number; readonly role: string }[];
  readonly code_bytes?: number;
  readonly loader_bytes?: number;
  readonly weight_bytes?: number;
  readonly arena_bytes?: number | null;
  readonly arena_lower_bound?: number | null;
  readonly unfused_bound?: number | null;
  readonly median_ms?: number;
  readonly runs?: number;
  readonly outputs?: Readonly<
    Record<
      string,
      {
        readonly shape: readonly number[];
        readonly pass?: boolean;
        readonly mismatches?: number;
        readonly max_abs?: number;
      }
    >
  >;
};

const schema = readSchema();
/** Runs a command with --json: one object that fits the schema and agrees with the exit status. */
export async function ingotJson(...argv: readonly string[]): Promise<Json> {
  const { exit, out } = await ingot(...argv, "--json");
  expect(out.endsWith("\n") && out.trimEnd().split("\n").length === 1, out).toBe(true);
  const json = JSON.parse(out) as Json;
  expect(violations(json, schema)).toEqual([]);
  expect(json.exit).toBe(exit);
  expect(json.ok).toBe(exit === 0);
  return json;
}

/** A folder for the tests of one file. */
export function folder(): {
  readonly path: (name: string) => string;
  readonly write: (name: string, b: Uint8Array) => string;
} {
  const root = mkdtempSync(join(tmpdir(), "ingot-test-"));
  afterAll(() => rmSync(root, { recursive: true, force: true }));
  const path = (name: string): string => join(root, name);
  return {
    path,
    write: (name, bytes) => {
      writeFileSync(path(name), bytes);
      return path(name);
    },
  };
}
export function npzOf(entries: Readonly<Record<string, Omit<NpzInput, "name">>>): Uint8Array {
  return writeNpz(Object.entries(entries).map(([name, t]) => ({ name, ...t })));
}
