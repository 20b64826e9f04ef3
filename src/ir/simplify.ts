// Simplifies expressions: index arithmetic through canonical Dims with the ranges of variables, comparisons that the ranges decide,
// and scalar identities that are exact for the dtype.

import type { Dim, Ranges } from "./dim.ts";
import * as D from "./dim.ts";
import { constant, type Expr, ofDim, toDim } from "./expr.ts";
import type { LoopExpr } from "./loops.ts";
import { mapExpr, substituteVars } from "./rewrite.ts";
import type { TeExpr } from "./te.ts";
import { isFloat } from "./types.ts";

type Any = Expr;

/** A simplifier for one scope: expressions under the same ranges share its memo. */
export class Simplifier {
  private readonly ranges: Ranges;
  private readonly memo = new Map<Any, Any>();
  private readonly opaque = new Map<string, Any>();
  private readonly opaqueIds = new Map<Any, Dim>();
  constructor(ranges: Ranges) {
    this.ranges = ranges;
  }
  simplify<T extends LoopExpr | TeExpr>(e: T): T {
    return mapExpr<Any>(e as unknown as Any, (x) => this.node(x), this.memo) as unknown as T;
  }
  /** An i32 expression as a Dim with parts that are no arithmetic as symbols `#n`, to be turned back by `back`. */
  dim(e: LoopExpr | TeExpr): Dim | null {
    return toDim(e as unknown as Any, (x) => {
      if (x.kind === "load" && x.index.length > 8) return null;
      let d = this.opaqueIds.get(x);
      if (!d) {
        d = D.sym(`#${this.opaqueIds.size}`);
        this.opaqueIds.set(x, d);
        this.opaque.set((d as Extract<Dim, { kind: "sym" }>).id, x);
      }
      return d;
    });
  }
  back(d: Dim): Any {
    const e = ofDim(d);
    return this.opaque.size === 0 ? e : substituteVars<Any>(e, this.opaque as Map<string, Any>);
  }

  private node(e: Any): Any {
    switch (e.kind) {
      case "binary":
        return this.binary(e);
      case "unary": {
        if (e.op === "not" && e.x.kind === "const") return constant("bool", e.x.value ? 0 : 1);
        if (e.op === "neg" && e.dtype === "i32") return this.index(e);
        return e;
      }
      case "mulAdd":
        if (e.dtype === "i32")
          return this.index({
            kind: "binary",
            op: "add",
            dtype: "i32",
            a: { kind: "binary", op: "mul", dtype: "i32", a: e.a, b: e.b },
            b: e.c,
          });
        return e;
      case "select":
        if (e.cond.kind === "const") return e.cond.value ? e.a : e.b;
        return e.a === e.b ? e.a : e;
      case "cast": {
        if (e.x.dtype === e.dtype) return e.x;
        if (e.x.kind === "const") {
          const x = Number(e.x.value);
          if (e.dtype === "f32" || e.dtype === "f64") return constant(e.dtype, e.dtype === "f32" ? Math.fround(x) : x);
          if (e.dtype === "i32" && Number.isInteger(x) && Math.abs(x) < 2 ** 31) return constant("i32", x);
          if (e.dtype === "i64" && Number.isSafeInteger(x)) return constant("i64", BigInt(x));
        }
        // A widening that is undone.
        if (e.dtype === "i32" && e.x.kind === "cast" && e.x.dtype === "i64" && e.x.x.dtype === "i32") return e.x.x;
        return e;
      }
      case "table":
        return e.index.kind === "const" ? constant(e.dtype, e.values[Number(e.index.value)] ?? 0) : e;
      default:
        return e;
    }
  }
  /** An i32 arithmetic expression in canonical form. */
  private index(e: Any): Any {
    const d = this.dim(e);
    return d === null ? e : this.back(D.simplify(d, this.ranges));
  }
  private binary(e: Extract<Any, { kind: "binary" }>): Any {
    if (e.a.dtype === "i32") {
      switch (e.op) {
        case "add":
        case "sub":
        case "mul":
        case "floordiv":
        case "floormod":
        case "min":
        case "max":
          return this.index(e);
        case "lt":
        case "le":
        case "eq":
        case "ne":
          return this.compare(e);
        case "truncdiv":
        case "truncmod": {
          const [a, b] = [this.dim(e.a), this.dim(e.b)];
          if (a && b && D.nonNegative(a, this.ranges) && D.positive(b, this.ranges))
            return this.back(D.simplify(e.op === "truncdiv" ? D.floordiv(a, b) : D.mod(a, b), this.ranges));
          return e;
        }
      }
      return e;
    }
    if (e.dtype === "bool" && (e.op === "and" || e.op === "or")) {
      const stop = e.op === "or" ? 1 : 0;
      for (const [x, y] of [
        [e.a, e.b],
        [e.b, e.a],
      ] as const) {
        if (x.kind === "const") return Number(x.value) === stop ? x : y;
      }
      return e.a === e.b ? e.a : e;
    }
    const isConst = (x: Any, v: number): boolean =>
      x.kind === "const" && Number(x.value) === v && !Object.is(x.value, -0);
    switch (e.op) {
      // x + 0 is not x for x = -0; x * 1 and x - 0 and x / 1 are.
      case "add":
        if (!isFloat(e.dtype)) {
          if (isConst(e.b, 0)) return e.a;
          if (isConst(e.a, 0)) return e.b;
        }
        break;
      case "sub":
        if (isConst(e.b, 0)) return e.a;
        break;
      case "mul":
        if (isConst(e.b, 1)) return e.a;
        if (isConst(e.a, 1)) return e.b;
        break;
      case "div":
      case "truncdiv":
        if (isConst(e.b, 1)) return e.a;
        break;
    }
    return e;
  }
  private compare(e: Extract<Any, { kind: "binary" }>): Any {
    const [a, b] = [this.dim(e.a), this.dim(e.b)];
    if (!a || !b) return e;
    const yes = (x: Dim): boolean => D.nonNegative(x, this.ranges);
    const diff = D.simplify(D.sub(b, a), this.ranges);
    const minus = D.neg(diff);
    const t = constant("bool", 1);
    const f = constant("bool", 0);
    switch (e.op) {
      case "lt":
        return yes(D.sub(diff, D.one)) ? t : yes(minus) ? f : e;
      case "le":
        return yes(diff) ? t : yes(D.sub(minus, D.one)) ? f : e;
      default: {
        const equal = diff === D.zero ? true : yes(D.sub(diff, D.one)) || yes(D.sub(minus, D.one)) ? false : null;
        return equal === null ? e : equal === (e.op === "eq") ? t : f;
      }
    }
  }
}

/** Ranges of axes: 0 <= i < extent; symbols of shapes from `outer`. */
export function axisRanges(axes: readonly { readonly name: string; readonly extent: Dim }[], outer: Ranges): Ranges {
  const table = new Map(axes.map((a) => [a.name, { min: D.zero, max: D.sub(a.extent, D.one) }]));
  return (id) => table.get(id) ?? outer(id);
}
