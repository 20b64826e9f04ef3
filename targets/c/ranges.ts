// What is known of the values of i32 expressions: where a sum cannot overflow, plain C arithmetic is exact.
import type { LoopExpr } from "../../src/ir/loops.ts";
import { narrowRange } from "./code.ts";

/** Inclusive bounds. */
export type Range = readonly [number, number];
export const anyInt: Range = [-2147483648, 2147483647];

const within = (lo: number, hi: number): Range | null => (lo >= anyInt[0] && hi <= anyInt[1] ? [lo, hi] : null);

export class Ranges {
  readonly #vars: Map<string, Range> = new Map();
  readonly #memo: WeakMap<LoopExpr, { readonly range: Range; readonly exact: boolean }> = new WeakMap();

  define(name: string, range: Range): void {
    this.#vars.set(name, range);
  }

  /** Bounds of a scalar i32 (or narrower) expression's value. */
  of(e: LoopExpr): Range {
    return this.#known(e).range;
  }

  /** True when add, sub or mul at the root of e gives its mathematical result: no wrapping happens there. */
  exact(e: LoopExpr): boolean {
    return this.#known(e).exact;
  }

  #known(e: LoopExpr): { readonly range: Range; readonly exact: boolean } {
    const old = this.#memo.get(e);
    if (old) return old;
    const found = this.#compute(e);
    const made = { range: found ?? narrowRange(e.dtype) ?? anyInt, exact: found !== null };
    this.#memo.set(e, made);
    return made;
  }

  #compute(e: LoopExpr): Range | null {
    switch (e.kind) {
      case "const": {
        const v = Number(e.value);
        return [v, v];
      }
      case "var":
        return this.#vars.get(e.name) ?? null;
      case "cast": {
        const own = narrowRange(e.dtype) ?? anyInt;
        if (!["i32", "i16", "u16", "i8", "u8", "bool"].includes(e.x.dtype)) return own;
        const x = this.of(e.x);
        return x[0] >= own[0] && x[1] <= own[1] ? x : own;
      }
      case "select": {
        const [a, b] = [this.of(e.a), this.of(e.b)];
        return [Math.min(a[0], b[0]), Math.max(a[1], b[1])];
      }
      case "table":
        return e.values.length > 0 && e.dtype === "i32" ? [Math.min(...e.values), Math.max(...e.values)] : null;
      case "binary":
        break;
      default:
        return null;
    }
    if (e.a.dtype !== "i32") return null;
    const [a, b] = [this.of(e.a), this.of(e.b)];
    switch (e.op) {
      case "add":
        return within(a[0] + b[0], a[1] + b[1]);
      case "sub":
        return within(a[0] - b[1], a[1] - b[0]);
      case "mul": {
        const ps = [a[0] * b[0], a[0] * b[1], a[1] * b[0], a[1] * b[1]];
        return within(Math.min(...ps), Math.max(...ps));
      }
      case "min":
        return [Math.min(a[0], b[0]), Math.min(a[1], b[1])];
      case "max":
        return [Math.max(a[0], b[0]), Math.max(a[1], b[1])];
      case "floordiv":
      case "truncdiv":
        return a[0] >= 0 && b[0] > 0 ? [Math.floor(a[0] / b[1]), Math.floor(a[1] / b[0])] : null;
      case "floormod":
        return b[0] > 0 ? [0, a[0] >= 0 ? Math.min(a[1], b[1] - 1) : b[1] - 1] : null;
      case "truncmod":
        return a[0] >= 0 && b[0] > 0 ? [0, Math.min(a[1], b[1] - 1)] : null;
      case "bitand":
        return b[0] >= 0 ? [0, b[1]] : a[0] >= 0 ? [0, a[1]] : null;
      default:
        return null;
    }
  }
}
