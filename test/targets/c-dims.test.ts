// Dims in C against unbounded integers: the same value, or `bad` where an intermediate result may leave 64 bits.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Dim } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import { printDim } from "../../targets/c/dims.ts";
import { preludeFor } from "../../targets/c/prelude.ts";
import { need } from "../need.ts";

/** Symbols with their bounds and the values to try. */
const symbols = {
  small: { low: 1, high: 64, values: [1, 7, 64] },
  any: { low: 0, high: 2147483647, values: [0, 1, 1000, 2147483647] },
  signed: { low: -2147483648, high: 2147483647, values: [-2147483648, -5, 0, 9] },
  size: { low: -(2 ** 52), high: 2 ** 52, values: [-(2 ** 40), 0, 123456789012, 2 ** 52] },
} as const;
type Name = keyof typeof symbols;
const names = Object.keys(symbols) as Name[];

function exact(d: Dim, env: Readonly<Record<string, bigint>>): bigint {
  const of = (x: Dim): bigint => exact(x, env);
  switch (d.kind) {
    case "int":
      return BigInt(d.value);
    case "sym":
      return env[d.id]!;
    case "add":
      return d.terms.map(of).reduce((a, b) => a + b);
    case "mul":
      return d.terms.map(of).reduce((a, b) => a * b);
    case "max":
      return d.terms.map(of).reduce((a, b) => (a < b ? b : a));
    case "min":
      return d.terms.map(of).reduce((a, b) => (b < a ? b : a));
    case "broadcast":
      return d.terms.map(of).find((x) => x !== 1n) ?? 1n;
    default: {
      const [a, by] = [of(d.a), of(d.by)];
      if (by === 0n) return 0n;
      const q = a / by - (a % by !== 0n && a < 0n !== by < 0n ? 1n : 0n);
      return d.kind === "mod" ? a - q * by : q;
    }
  }
}

/** A random dim, always the same for a seed. */
function random(seed: number): Dim {
  let state = seed;
  const next = (n: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
  const make = (depth: number): Dim => {
    if (depth === 0) return next(3) === 0 ? D.int(next(2000) - 700) : D.sym(names[next(names.length)]!);
    const [a, b] = [make(depth - 1), make(next(depth))];
    switch (next(8)) {
      case 0:
      case 1:
        return D.add(a, b);
      case 2:
        return D.sub(a, b);
      case 3:
        return D.mul(a, b);
      case 4:
        return D.floordiv(a, next(2) ? D.int(next(90) + 1) : b);
      case 5:
        return D.mod(a, next(2) ? D.int(next(90) + 1) : b);
      case 6:
        return D.max(a, b);
      default:
        return D.min(a, D.broadcast(a, D.int(1)));
    }
  };
  return make(3);
}

test.skipIf(!need("gcc"))("random dims", () => {
  const dims = Array.from({ length: 300 }, (_, i) => random(i * 7919 + 1));
  const envs = Array.from({ length: 12 }, (_, k) =>
    Object.fromEntries(
      names.map((s, j) => [s, BigInt(symbols[s].values[(k + j * (k % 3)) % symbols[s].values.length]!)]),
    ),
  );
  const codes = dims.map((d) =>
    printDim(d, (id) => ({ text: id === "signed" ? "signed_" : id, ...symbols[id as string as Name] })),
  );
  // Plain arithmetic stands where it cannot overflow.
  expect(codes.filter((c) => !c.code.s.includes("&bad")).length).toBeGreaterThan(60);
  const body = codes.map((c) => `  { int bad = 0; int64_t v = ${c.code.s}; printf("%lld %d\\n", (long long)v, bad); }`);
  const source = `#include <stdint.h>
#include <stddef.h>
#include <stdio.h>
${preludeFor(body.join("\n"))}
static void all(int64_t small, int64_t any, int64_t signed_, int64_t size) {
  (void)small; (void)any; (void)signed_; (void)size;
${body.join("\n")}
}
int main(void) {
${envs.map((e) => `  all(${names.map((s) => `INT64_C(${e[s]})`).join(", ")});`).join("\n")}
  return 0;
}
`;
  const folder = mkdtempSync(join(tmpdir(), "ingot-test-"));
  try {
    writeFileSync(join(folder, "d.c"), source);
    execFileSync("gcc", ["-fsanitize=undefined", "-fno-sanitize-recover", "-o", "d", "d.c"], { cwd: folder });
    const lines = execFileSync(join(folder, "d"), { encoding: "utf8" }).trim().split("\n");
    let [wrong, bad] = [0, 0];
    envs.forEach((env, e) => {
      dims.forEach((d, i) => {
        const [value, flag] = lines[e * dims.length + i]!.split(" ") as [string, string];
        const want = exact(d, env);
        if (flag === "1") bad++;
        else if (BigInt(value) !== want) wrong++;
        // A result inside the limit that no part of exceeds it is never refused.
        if (flag === "1" && !codes[i]!.code.s.includes("&bad")) wrong++;
      });
    });
    expect(wrong).toBe(0);
    expect(bad).toBeGreaterThan(0);
    expect(bad).toBeLessThan(lines.length / 2);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
