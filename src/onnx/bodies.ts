// Types of what a body graph carries from one iteration to the next.

import { must } from "../base/assert.ts";
import type { SymbolId, ValueId } from "../base/brand.ts";
import { userError } from "../base/diagnostics.ts";
import * as D from "../ir/dim.ts";
import type { Graph } from "../ir/graph.ts";
import type { BodySpec } from "../ir/opdef.ts";
import type { ValueType } from "../ir/types.ts";

/** captures: values of the surrounding graph for the inputs that follow the body's own. */
export type Body = { readonly graph: Graph; readonly captures: readonly ValueId[] };

/**
 * The types that the body's inputs need so that what one iteration leaves suits the next: a dim that the body changes becomes a
 * symbol of its own (by `fresh`). Null when `types` are so already. Throws a UserError E205 when element type or rank change.
 */
export function carriedTypes(
  types: readonly ValueType[],
  carried: BodySpec["carried"],
  body: Graph,
  fresh: () => SymbolId,
): readonly ValueType[] | null {
  const wider = [...types];
  for (const [input, output] of carried) {
    const id = body.outputs[output];
    if (id === undefined) throw userError("E205", `the body has ${body.outputs.length} outputs, which are too few`);
    wider[input] = widen(types[input]!, must(body.values.get(id), "an output").type, fresh);
  }
  return wider.some((t, i) => t !== types[i]) ? wider : null;
}

const own = /^\$carried\./;

/** `before`, itself when it covers `after`. */
function widen(before: ValueType, after: ValueType, fresh: () => SymbolId): ValueType {
  if (before.kind !== "tensor" || after.kind !== "tensor") {
    if (before.kind === "tensor" || after.kind === "tensor" || before.kind !== after.kind)
      throw userError("E205", `a carried value changes from ${before.kind} to ${after.kind}`);
    const of = widen(before.of, after.of, fresh);
    return of === before.of ? before : { kind: before.kind, of };
  }
  const [a, b] = [before.tensor, after.tensor];
  if (a.dtype !== b.dtype)
    throw userError("E205", `a carried value changes its element type from ${a.dtype} to ${b.dtype}`);
  if (a.shape.length !== b.shape.length)
    throw userError("E205", `a carried value changes its rank from ${a.shape.length} to ${b.shape.length}`);
  const fits = (k: number): boolean => {
    const d = a.shape[k]!;
    return d === b.shape[k] || (d.kind === "sym" && own.test(d.id));
  };
  if (a.shape.every((_, k) => fits(k))) return before;
  return { kind: "tensor", tensor: { dtype: a.dtype, shape: a.shape.map((d, k) => (fits(k) ? d : D.sym(fresh()))) } };
}
