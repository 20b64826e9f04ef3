// Types of what a body graph carries from one iteration to the next.

import type { SymbolId, ValueId } from "../base/brand.ts";
import { userError } from "../base/diagnostics.ts";
import * as D from "../ir/dim.ts";
import type { Graph } from "../ir/graph.ts";
import type { BodySpec } from "../ir/opdef.ts";
import type { ValueType } from "../ir/types.ts";
import { joinedElements } from "../ops/lists.ts";

/** captures: values of the surrounding graph for the inputs that follow the body's own. */
export type Body = {
  readonly graph: Graph;
  readonly captures: readonly ValueId[];
  /** Of its inputs, which may be wider than asked for, and of its outputs: each sequence or optional counts once. */
  readonly inputs: readonly ValueType[];
  readonly outputs: readonly ValueType[];
};

/**
 * The types that the body's inputs need so that what one iteration leaves suits the next: a dim that the body changes becomes a
 * symbol of its own (by `fresh`; `own` tells those). Null when `types` are so already. Throws a UserError E205 when element type or rank change.
 */
export function carriedTypes(
  types: readonly ValueType[],
  carried: BodySpec["carried"],
  outputs: readonly ValueType[],
  own: (id: SymbolId) => boolean,
  fresh: () => SymbolId,
): readonly ValueType[] | null {
  const wider = [...types];
  for (const [input, output] of carried) {
    const after = outputs[output];
    if (!after) throw userError("E205", `the body has ${outputs.length} outputs, which are too few`);
    wider[input] = widen(types[input]!, after, own, fresh);
  }
  return wider.some((t, i) => t !== types[i]) ? wider : null;
}

function sameList(a: ValueType, b: ValueType): boolean {
  if (a.kind === "tensor" || b.kind === "tensor")
    return a.kind === "tensor" && b.kind === "tensor" && a.tensor.shape.every((d, k) => d === b.tensor.shape[k]);
  return a.kind === b.kind && a.elements === b.elements && (a.elements !== undefined || sameList(a.of, b.of));
}
/** `before`, itself when it covers `after`. */
function widen(before: ValueType, after: ValueType, own: (id: SymbolId) => boolean, fresh: () => SymbolId): ValueType {
  if (before.kind !== "tensor" || after.kind !== "tensor") {
    // An optional sequence may become one for certain.
    if (before.kind === "optional" && before.of.kind === after.kind) {
      const of = widen(before.of, after, own, fresh);
      return of === before.of ? before : { kind: "optional", of };
    }
    const both = joinedElements(before, after);
    if (!both) throw userError("E205", `a carried value changes from ${before.kind} to ${after.kind}`);
    return sameList(before, both) ? before : both;
  }
  const [a, b] = [before.tensor, after.tensor];
  if (a.dtype !== b.dtype)
    throw userError("E205", `a carried value changes its element type from ${a.dtype} to ${b.dtype}`);
  if (a.shape.length !== b.shape.length)
    throw userError("E205", `a carried value changes its rank from ${a.shape.length} to ${b.shape.length}`);
  const fits = (k: number): boolean => {
    const d = a.shape[k]!;
    return d === b.shape[k] || (d.kind === "sym" && own(d.id));
  };
  if (a.shape.every((_, k) => fits(k))) return before;
  return { kind: "tensor", tensor: { dtype: a.dtype, shape: a.shape.map((d, k) => (fits(k) ? d : D.sym(fresh()))) } };
}
