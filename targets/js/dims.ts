// Dims as JavaScript, in doubles: exact up to 2^53.
import { unreachable } from "../../src/base/assert.ts";
import type { SymbolId } from "../../src/base/brand.ts";
import type { Dim } from "../../src/ir/dim.ts";
import { splitTerm } from "../../src/ir/dim.ts";
import type { Helpers } from "./helpers.ts";

/** Prints Dims over symbols that have identifiers. */
export class DimPrinter {
  readonly #helpers: Helpers;
  readonly #symbol: (id: SymbolId) => string;
  constructor(helpers: Helpers, symbol: (id: SymbolId) => string) {
    this.#helpers = helpers;
    this.#symbol = symbol;
  }

  /** Text that gives NaN when a value on the way is past 2^53: for plan, which refuses what is not at most a limit. */
  checked(d: Dim): string {
    const text = this.print(d, true);
    // A call is exact since its operands are checked, a product of several atoms checks itself.
    const safe = d.kind !== "add" && (d.kind !== "mul" || splitTerm(d).atoms.length > 1);
    return safe ? text : this.#exact(text);
  }

  /** A sum or a product goes without parentheses, a call needs none. */
  print(d: Dim, checked = false): string {
    const operand = (x: Dim): string => (checked ? this.checked(x) : this.print(x));
    switch (d.kind) {
      case "int":
        return String(d.value);
      case "sym":
        return this.#symbol(d.id);
      case "add": {
        // A positive term first, then negative ones as subtractions.
        const negative = (t: Dim): boolean => splitTerm(t).coef < 0;
        const [first, ...rest] = [...d.terms.filter((t) => !negative(t)), ...d.terms.filter(negative)] as [
          Dim,
          ...Dim[],
        ];
        const more = rest.map((t) =>
          negative(t) ? ` - ${this.#product(t, -1, checked)}` : ` + ${this.print(t, checked)}`,
        );
        return this.print(first, checked) + more.join("");
      }
      case "mul":
        return this.#product(d, 1, checked);
      case "max":
      case "min":
        return `Math.${d.kind}(${d.terms.map(operand).join(", ")})`;
      case "broadcast":
        return d.terms.map(operand).reduce((a, b) => `${this.#helpers.use("broadcast")}(${a}, ${b})`);
      case "floordiv":
        if (d.by.kind === "int" && d.by.value !== 0) return `Math.floor(${this.#factor(d.a, checked)} / ${d.by.value})`;
        return `${this.#helpers.use("dimDiv")}(${operand(d.a)}, ${operand(d.by)})`;
      case "mod":
        return `${this.#helpers.use("dimMod")}(${operand(d.a)}, ${operand(d.by)})`;
      default:
        return unreachable(d, "DimPrinter");
    }
  }
  #exact(text: string): string {
    return `${this.#helpers.use("exact")}(${text})`;
  }
  #factor(d: Dim, checked: boolean): string {
    const text = checked ? this.checked(d) : this.print(d);
    const bare = (d.kind === "add" || d.kind === "mul") && !checked;
    return bare ? `(${text})` : text;
  }
  /** The term times `sign`. */
  #product(t: Dim, sign: 1 | -1, checked: boolean): string {
    const { coef, atoms } = splitTerm(t);
    const factors = atoms.map((a) => this.#factor(a, checked));
    const text = [...(coef * sign === 1 && factors.length > 0 ? [] : [String(coef * sign)]), ...factors].join(" * ");
    return checked && factors.length > 1 ? this.#exact(text) : text;
  }
}
