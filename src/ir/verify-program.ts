import type { BufferId, SymbolId } from "../base/brand.ts";
import * as D from "./dim.ts";
import { bodiesOf, type Kernel, type Stmt } from "./loops.ts";
import type { Call, Program } from "./program.ts";
import { type Cells, storedType } from "./target.ts";
import { type DType, dtypes } from "./types.ts";
import { ActionVerifier, checkArgs, checkDims, checkTables, rootOf, seed } from "./verify-actions.ts";
import { Place } from "./verify-expr.ts";
import { type KernelStage, verifyKernel } from "./verify-kernel.ts";
import { checkPlan, sharesMemory } from "./verify-memory.ts";

/** Elements of every type are as wide as the type. */
const asTheyAre: Cells = { dtypes: new Set(dtypes), minCellBytes: 1 };

/**
 * Throws InternalError unless calls fit their kernels (number, dtypes, ranks, storage), dims and symbols are bound before use in
 * the order of the actions, constants have data of the right size, every buffer in use has a place in the plan, and parameters
 * that share memory are listed in mayOverlap. `cells`: how the target that the program is for stores elements. With "scheduled" (the
 * loop passes and the planner still have to run) kernels are verified as such, and storage and plan may be missing.
 */
export function verifyProgram(p: Program, cells: Cells = asTheyAre, kernels: KernelStage = "final"): void {
  const place = new Place(`program "${p.name}"`);
  const final = kernels === "final";
  const { buffers } = p;
  checkTables(p, place);
  for (const b of buffers.values()) {
    place.require(!["stack", "register", "workgroup"].includes(b.scope), `buffer "${b.name}" has scope ${b.scope}`);
    if (final) place.require(b.storage !== null, `buffer "${b.name}" has no storage`);
    const owned = b.scope === "weights" && (b.storage?.root ?? null) === null;
    place.require(!owned || p.constants.has(b.id), `buffer "${b.name}" of the weights has no constant`);
  }
  p.kernels.forEach((k, n) => {
    verifyKernel(k, kernels);
    place.require(p.kernels.findIndex((x) => x.name === k.name) === n, `two kernels are named "${k.name}"`);
  });

  const bound = new Set<SymbolId>([seed]);
  for (const b of p.bindings) {
    const at = place.in(`binding of "${b.id}"`);
    const s = p.symbols.find((x) => x.id === b.id) ?? at.fail("is of a symbol that does not exist");
    at.require(s.def === null, "is of a symbol that has a definition");
    at.require(!bound.has(b.id), "binds it twice");
    const input = p.inputs[b.input] && p.buffers.get(p.inputs[b.input]!.buffer);
    at.require(input?.shape[b.axis] === D.sym(b.id), `input ${b.input} has no such dim at axis ${b.axis}`);
    bound.add(b.id);
  }
  checkDims(
    p.requires.map((r) => r.zero),
    bound,
    place.in("a requirement"),
  );
  for (const port of p.inputs) checkDims(p.buffers.get(port.buffer)!.shape, bound, place.in(`input "${port.name}"`));
  if (final) {
    checkPlan(p, cells, bound, place.in("plan"));
    for (const x of [...p.inputs, ...p.outputs])
      place.require(p.plan.offsets.has(rootOf(p.buffers, x.buffer).id), `port "${x.name}" has no place in the plan`);
  }

  const written = p.kernels.map((k) => writtenParams(k));
  const verifier = new ActionVerifier(p, final ? p.plan : null, (c: Call, now, at, use) => {
    const k = p.kernels[c.kernel] ?? at.fail(`calls kernel ${c.kernel} of ${p.kernels.length}`);
    const here = at.in(`call of kernel "${k.name}"`);
    checkCall(k, c, p, now, (d) => storedType(d, cells), here);
    for (const a of c.args) {
      use(a, here);
      const { name, scope } = rootOf(p.buffers, a);
      here.require(
        phase === "run" || scope === "weights" || scope === "prepared",
        `init uses "${name}" of the ${scope}`,
      );
    }
    for (const n of written[c.kernel]!) writable(p, c.args[n]!, phase, here);
    if (final) checkOverlap(p, cells, k, c, here);
  });
  // init runs once per load: it knows no dims of the inputs.
  let phase: "init" | "run" = "init";
  verifier.run(p.init, new Set(), place.in("init"));
  phase = "run";
  const after = verifier.run(p.run, bound, place.in("run"));
  for (const o of p.outputs) checkDims(p.buffers.get(o.buffer)!.shape, after, place.in(`output "${o.name}"`));
}

function checkCall(
  k: Kernel,
  c: Call,
  p: Program,
  bound: ReadonlySet<SymbolId>,
  cell: (d: DType) => DType,
  at: Place,
): void {
  at.require(c.scalars.length === k.scalars.length, `has ${c.scalars.length} scalars, not ${k.scalars.length}`);
  at.require(c.dims.length === k.dims.length, `has ${c.dims.length} dims, not ${k.dims.length}`);
  checkDims([...c.scalars, ...c.dims], bound, at);
  const values = new Map(k.dims.map((d, n) => [d, c.dims[n]!]));
  checkArgs(k, c.args, p.buffers, (id) => values.get(id) ?? null, at, cell);
}

function checkOverlap(p: Program, cells: Cells, k: Kernel, c: Call, at: Place): void {
  c.args.forEach((a, i) => {
    for (let j = i + 1; j < c.args.length; j++) {
      const listed = k.mayOverlap.some(([x, y]) => (x === i && y === j) || (x === j && y === i));
      if (listed || !sharesMemory(p, cells, a, c.args[j]!)) continue;
      at.fail(`parameters ${i} and ${j} share memory, which mayOverlap does not list`);
    }
  });
}

/** Constants are never written, prepared buffers only by init. */
function writable(p: Program, id: BufferId, phase: "init" | "run", at: Place): void {
  const b = rootOf(p.buffers, id);
  at.require(b.scope !== "weights", `writes "${b.name}", a constant`);
  at.require(b.scope !== "prepared" || phase === "init", `writes "${b.name}", a prepared buffer, in ${phase}`);
}

function writtenParams(k: Kernel): ReadonlySet<number> {
  const written = new Set<number>();
  const visit = (s: Stmt): void => {
    switch (s.kind) {
      case "store": {
        const n = k.params.findIndex((b) => b.id === s.buffer);
        if (n >= 0) written.add(n);
        return;
      }
      case "seq":
        s.body.forEach(visit);
        return;
      case "if":
        visit(s.then);
        if (s.otherwise) visit(s.otherwise);
        return;
      case "barrier":
        return;
      default:
        visit(s.body);
    }
  };
  bodiesOf(k).forEach(visit);
  return written;
}
