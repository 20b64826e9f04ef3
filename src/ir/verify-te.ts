import type { StageId, SymbolId } from "../base/brand.ts";
import * as D from "./dim.ts";
import { index32, type VarTypes, withVars } from "./print-expr.ts";
import type { Group, Reduce, Stage, TeCall, TeExpr, TeProgram } from "./te.ts";
import { widened } from "./types.ts";
import { ActionVerifier, type Buffers, checkArgs, checkDims, checkTables, mayEqual, seed } from "./verify-actions.ts";
import { type ExprScope, ExprVerifier, Place } from "./verify-expr.ts";
import { verifyInnerKernel } from "./verify-kernel.ts";

/**
 * Throws InternalError unless stages fit their buffers, expressions are well-typed and bound, a Reduce stands only at the root
 * of a body, groups and scans name what exists, kernels and their arguments fit, and symbols are bound before use.
 */
export function verifyTe(p: TeProgram): void {
  const place = new Place(`te "${p.name}"`);
  checkTables(p, place);
  const bound = new Set<SymbolId>([seed]);
  for (const s of p.symbols) if (s.def === null) bound.add(s.id);
  checkDims(
    p.requires.map((r) => r.zero),
    bound,
    place.in("a requirement"),
  );
  const stages = new Set<StageId>();
  const verifier = new ActionVerifier(p, null, (call: TeCall, now, at) => {
    if (call.kind === "group") return group(call.group, stages, p.buffers, now, at);
    const { kernel } = call;
    verifyInnerKernel(kernel, now);
    const here = at.in(`call of kernel "${kernel.name}"`);
    checkArgs(kernel, call.args, p.buffers, () => null, here);
    here.require(
      call.scalars.length === kernel.scalars.length,
      `has ${call.scalars.length} scalars, not ${kernel.scalars.length}`,
    );
    checkDims([...call.scalars, ...kernel.dims.map((d) => D.sym(d))], now, here);
  });
  verifier.run(p.actions, bound, place);
}

function group(g: Group, seen: Set<StageId>, buffers: Buffers, bound: ReadonlySet<SymbolId>, place: Place): void {
  place.require(
    g.stages.some((s) => s.id === g.root),
    `root ${g.root} of a group is none of its stages`,
  );
  for (const s of g.stages) {
    const at = place.in(`stage ${s.id} "${s.name}"`);
    at.require(!seen.has(s.id), "has the id of another stage");
    seen.add(s.id);
    stage(s, buffers, bound, at);
  }
}

function stage(s: Stage, buffers: Buffers, bound: ReadonlySet<SymbolId>, at: Place): void {
  at.require(new Set(s.axes.map((a) => a.name)).size === s.axes.length, "has two axes of one name");
  at.require(
    s.axes.every((a) => a.role === "spatial"),
    "has an axis that is not spatial",
  );
  at.require(s.outs.length > 0, "has no output");
  at.require(
    s.scan === null || s.axes.some((a) => a.name === s.scan),
    `scans the axis "${s.scan}", which it does not have`,
  );
  checkDims(
    s.axes.map((a) => a.extent),
    bound,
    at,
  );
  const vars: VarTypes = new Map([...bound].map((b) => [b as string, index32]));
  for (const a of s.axes) vars.set(a.name, index32);
  const scope: ExprScope = { buffers, vars, pointers: new Map(), flat: false };
  for (const o of s.outs) {
    const b = buffers.get(o.buffer) ?? at.fail(`writes buffer #${o.buffer}, which does not exist`);
    at.require(b.shape.length === s.axes.length, `has ${s.axes.length} axes but "${b.name}" rank ${b.shape.length}`);
    s.axes.forEach((a, k) => {
      at.require(
        mayEqual(a.extent, b.shape[k]!),
        `axis "${a.name}" runs to ${a.extent.key} but "${b.name}" to ${b.shape[k]!.key}`,
      );
    });
    const d = o.body.dtype;
    at.require(d === b.dtype || d === widened(b.dtype), `computes ${d} for "${b.name}" of ${b.dtype}`);
    if (o.body.kind === "reduce") reduce(o.body, scope, bound, at);
    else body([o.body], scope, at);
  }
}
function body(es: readonly TeExpr[], scope: ExprScope, at: Place): void {
  const v = new ExprVerifier(at, scope, (e, lanes) => {
    at.require(e.kind !== "reduce", "has a reduce below the root of its body");
    at.require(lanes === 1, () => `has a vector: ${v.show(e)}`);
  });
  for (const e of es) v.expr(e);
}
function reduce(r: Reduce, scope: ExprScope, bound: ReadonlySet<SymbolId>, at: Place): void {
  at.require(
    r.axes.every((a) => a.role === "reduce"),
    "reduces over an axis that is not a reduce axis",
  );
  checkDims(
    r.axes.map((a) => a.extent),
    bound,
    at,
  );
  const names = [...r.axes.map((a) => a.name), ...r.state.map((s) => s.name)];
  at.require(new Set(names).size === names.length, "reduces with two names that are the same");
  for (const a of r.axes) at.require(!scope.vars.has(a.name), `reduces over "${a.name}", a name that is taken`);
  at.require(r.update.length === r.state.length, `has ${r.update.length} updates of ${r.state.length} states`);
  const merge = r.merge ?? [];
  at.require(
    r.merge === null || merge.length === r.state.length,
    `has ${merge.length} merges of ${r.state.length} states`,
  );
  r.state.forEach((s, k) => {
    for (const e of [s.init, r.update[k]!, merge[k] ?? s.init])
      at.require(e.dtype === s.dtype, `state "${s.name}" is ${s.dtype} but becomes ${e.dtype}`);
  });
  at.require(r.dtype === r.result.dtype, `is marked ${r.dtype} but its result ${r.result.dtype}`);
  const states = r.state.map((s) => [s.name, { dtype: s.dtype, lanes: 1 }] as const);
  withVars(scope.vars, states, () => {
    withVars(
      scope.vars,
      r.axes.map((a) => [a.name, index32] as const),
      () => body([...r.state.map((s) => s.init), ...r.update], scope, at),
    );
    withVars(
      scope.vars,
      states.map(([n, t]) => [`${n}'`, t] as const),
      () => body(merge, scope, at),
    );
    body([r.result], scope, at);
  });
}
