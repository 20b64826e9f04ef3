// Prints dims as int64_t expressions: plain arithmetic where bounds of the symbols exclude an overflow, else checked helpers that set `bad`.

import { unreachable } from "../../src/base/assert.ts";
import type { SymbolId } from "../../src/base/brand.ts";
import type { Dim } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import type { Code } from "./code.ts";
import { atom, bind, call, product, sum } from "./code.ts";

/** A symbol's C expression and inclusive bounds. */
export type SymbolText = { readonly text: string; readonly low: number; readonly high: number };

/** What a plain result may reach: far inside int64_t, and exact in the doubles of this analysis. */
export const sizeLimit: number = 2 ** 52;

type Bounded = { readonly code: Code; readonly low: number; readonly high: number };

function bounded(code: Code, ends: readonly number[]): Bounded | null {
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  return low >= -sizeLimit && high <= sizeLimit ? { code, low, high } : null;
}
const checked = (code: Code): Bounded => ({ code, low: -sizeLimit * 2048, high: sizeLimit * 2048 });

function plus(a: Bounded, b: Bounded): Bounded {
  return (
    bounded(sum(a.code, "+", b.code), [a.low + b.low, a.high + b.high]) ??
    checked(call("ig_size_add", atom("&bad"), a.code, b.code))
  );
}

/** A tree of halves: a maximum of hundreds of terms nests no deeper than compilers allow. */
function balanced<T>(xs: readonly T[], join: (a: T, b: T) => T): T {
  if (xs.length === 1) return xs[0]!;
  const half = xs.length >> 1;
  return join(balanced(xs.slice(0, half), join), balanced(xs.slice(half), join));
}

function print(d: Dim, symbol: (id: SymbolId) => SymbolText): Bounded {
  const of = (x: Dim): Bounded => print(x, symbol);
  switch (d.kind) {
    case "int":
      return {
        code: d.value < 0 ? { s: String(d.value), p: bind.unary } : atom(String(d.value)),
        low: d.value,
        high: d.value,
      };
    case "sym": {
      const s = symbol(d.id);
      return { code: atom(s.text), low: s.low, high: s.high };
    }
    case "add": {
      // A positive term first, then negative ones as differences.
      const terms = d.terms.map((t) => ({ t, minus: D.splitTerm(t).coef < 0 }));
      const sorted = [...terms.filter((x) => !x.minus), ...terms.filter((x) => x.minus)];
      return sorted.slice(1).reduce((a, { t, minus }) => {
        if (!minus) return plus(a, of(t));
        const b = of(D.neg(t));
        return (
          bounded(sum(a.code, "-", b.code), [a.low - b.high, a.high - b.low]) ??
          checked(call("ig_size_add", atom("&bad"), a.code, of(t).code))
        );
      }, of(sorted[0]!.t));
    }
    case "mul":
      return d.terms.slice(1).reduce((a, t) => {
        const b = of(t);
        const ends = [a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high];
        return (
          bounded(product(a.code, "*", b.code), ends) ?? checked(call("ig_size_mul", atom("&bad"), a.code, b.code))
        );
      }, of(d.terms[0]!));
    case "max":
    case "min":
    case "broadcast": {
      const kind = d.kind;
      return balanced(d.terms.map(of), (a, b) => {
        const code = call(`ig_${kind}_i64`, a.code, b.code);
        if (kind === "max") return { code, low: Math.max(a.low, b.low), high: Math.max(a.high, b.high) };
        if (kind === "min") return { code, low: Math.min(a.low, b.low), high: Math.min(a.high, b.high) };
        return { code, low: Math.min(a.low, b.low), high: Math.max(a.high, b.high) };
      });
    }
    case "floordiv": {
      const [a, by] = [of(d.a), of(d.by)];
      const code = a.low >= 0 && by.low > 0 ? product(a.code, "/", by.code) : call("ig_floordiv_i64", a.code, by.code);
      const most = Math.max(Math.abs(a.low), Math.abs(a.high));
      return { code, low: a.low >= 0 && by.low >= 0 ? 0 : -most, high: most };
    }
    case "mod": {
      const [a, by] = [of(d.a), of(d.by)];
      const code = a.low >= 0 && by.low > 0 ? product(a.code, "%", by.code) : call("ig_floormod_i64", a.code, by.code);
      return { code, low: Math.min(0, by.low + 1), high: Math.max(0, by.high - 1) };
    }
    default:
      return unreachable(d, "dim");
  }
}

/** A dim in C, with bounds of its value. Helpers that find an overflow set the int variable `bad`. */
export function printDim(d: Dim, symbol: (id: SymbolId) => SymbolText): Bounded {
  return print(d, symbol);
}
