// Linear indices as sums, so that a constant part becomes an immediate offset and equal scales share one shift.
import type { LoopExpr } from "../../src/ir/loops.ts";

/** index = constant + the sum of coef * atom; exact modulo 2^32. Terms with one coefficient stand together, in order of appearance. */
export type Terms = {
  readonly constant: number;
  readonly groups: readonly { readonly coef: number; readonly atoms: readonly LoopExpr[] }[];
};

/**
 * Splits an i32 scalar into terms. `resolve` gives what a variable stands for when it has no local of its own; what is `whole`
 * stays together.
 */
export function termsOf(
  e: LoopExpr,
  resolve: (name: string) => LoopExpr | null,
  whole: (e: LoopExpr) => boolean,
): Terms {
  let constant = 0;
  const groups = new Map<number, LoopExpr[]>();
  const visit = (x: LoopExpr, coef: number): void => {
    const alias = x.kind === "var" ? resolve(x.name) : null;
    if (alias !== null) visit(alias, coef);
    else if (x.kind === "const") constant = (constant + Math.imul(coef, Number(x.value))) | 0;
    else if (x.kind === "unary" && x.op === "neg" && !whole(x)) visit(x.x, -coef | 0);
    else if (x.kind === "binary" && (x.op === "add" || x.op === "sub") && !whole(x)) {
      visit(x.a, coef);
      visit(x.b, x.op === "add" ? coef : -coef | 0);
    } else if (x.kind === "binary" && x.op === "mul" && x.b.kind === "const" && !whole(x)) {
      visit(x.a, Math.imul(coef, Number(x.b.value)));
    } else if (x.kind === "binary" && x.op === "mul" && x.a.kind === "const" && !whole(x)) {
      visit(x.b, Math.imul(coef, Number(x.a.value)));
    } else if (coef !== 0) {
      const group = groups.get(coef);
      if (group) group.push(x);
      else groups.set(coef, [x]);
    }
  };
  visit(e, 1);
  return { constant, groups: [...groups].map(([coef, atoms]) => ({ coef, atoms })) };
}

/** True when an i32 expression is known to be 0 or more, given what is known of its operands (overflow aside: indices stay in range). */
export function nonNegative(e: LoopExpr, known: (e: LoopExpr) => boolean): boolean {
  switch (e.kind) {
    case "const":
      return Number(e.value) >= 0;
    case "load":
      return e.dtype === "u8" || e.dtype === "u16" || e.dtype === "bool";
    case "select":
      return known(e.a) && known(e.b);
    case "cast":
      return e.x.dtype === "bool" || e.x.dtype === "u8" || e.x.dtype === "u16" || (e.x.dtype === "i32" && known(e.x));
    case "splat":
      return known(e.x);
    case "ramp":
      return e.stride >= 0 && known(e.base);
    case "binary":
      switch (e.op) {
        case "add":
        case "mul":
        case "truncdiv":
        case "floordiv":
        case "min":
          return known(e.a) && known(e.b);
        case "max":
        case "bitand":
          return known(e.a) || known(e.b);
        case "floormod":
          return known(e.b);
        case "truncmod":
        case "shr":
          return known(e.a);
        default:
          return false;
      }
    default:
      return false;
  }
}
