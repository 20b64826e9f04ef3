// The ways in which a graph is lowered and run: all rules and storage choices on several targets, and the plain one that they are
// compared with.
import { expand } from "../../passes/graph/expand.ts";
import { lowerProgram } from "../../passes/lower.ts";
import { group } from "../../passes/te/group.ts";
import { inline } from "../../passes/te/inline.ts";
import { pairProducts } from "../../passes/te/pair.ts";
import { markSafe } from "../../passes/te/safe.ts";
import { chooseStorage, resolveStorage } from "../../passes/te/storage.ts";
import { toTe } from "../../passes/te/to-te.ts";
import { widen } from "../../passes/te/widen.ts";
import { winograd } from "../../passes/te/winograd.ts";
import type { Graph } from "../../src/ir/graph.ts";
import type { Stmt } from "../../src/ir/loops.ts";
import type { Program } from "../../src/ir/program.ts";
import { mapStmt } from "../../src/ir/rewrite.ts";
import type { TargetInfo } from "../../src/ir/target.ts";
import { verifyProgram, verifyTe } from "../../src/ir/verify.ts";
import { infos, type TargetName } from "../proofs/targets.ts";

export type Variant = {
  readonly name: string;
  readonly runs: TargetName;
  readonly info: TargetInfo;
  readonly strict?: boolean;
};
/** A GPU's schedule, its blocks and threads run as loops. */
const gpu: TargetInfo = {
  ...infos.js,
  gpu: { workgroup: 64, sharedBytes: 16384, sharedIsFast: false, subgroups: false },
};
export const variants: readonly Variant[] = [
  { name: "js", runs: "js", info: infos.js },
  { name: "wasm", runs: "wasm", info: infos.wasm },
  { name: "wasm with 1 lane", runs: "wasm", info: { ...infos.wasm, vectorBytes: 4 } },
  { name: "wasm strict", runs: "wasm", info: infos.wasm, strict: true },
  { name: "gpu", runs: "js", info: gpu },
];

/** Every stage in its own order, every buffer dense, in 64-bit floats: what the meaning of a graph is compared with. */
export function plain(g: Graph): Program {
  const te = resolveStorage(widen(toTe(expand(g))));
  return lowerProgram(te, { target: infos.js, strict: true, fallbackOnly: true });
}
/** By all rules; `used` collects their names. */
export function lower(g: Graph, v: Variant, used: Set<string> = new Set(), fallbackOnly = false): Program {
  const { info } = v;
  let te = inline(toTe(expand(g)));
  verifyTe(te);
  te = pairProducts(te, info);
  verifyTe(te);
  if (!v.strict) {
    te = winograd(te, info);
    verifyTe(te);
  }
  te = chooseStorage(te, info);
  verifyTe(te);
  if (!info.gpu) te = group(markSafe(te));
  const p = lowerProgram(te, {
    target: info,
    strict: v.strict ?? false,
    fallbackOnly,
    report: (_g, s) => used.add(s.rule),
  });
  verifyProgram(p, info);
  if (!info.gpu || v.runs !== "js") return p;
  const serial = (s: Stmt): Stmt => (s.kind === "for" && s.loop.includes(".") ? { ...s, loop: "serial" } : s);
  return {
    ...p,
    kernels: p.kernels.map((k) => ({
      ...k,
      body: mapStmt(k.body, serial, (e) => e),
    })),
  };
}
