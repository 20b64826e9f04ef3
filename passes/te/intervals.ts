// Bounds of integer values, from the types of what is loaded and from the stages that make it.
import type { BufferId } from "../../src/base/brand.ts";
import type { TeExpr } from "../../src/ir/te.ts";
import { type DType, intBits, isInt, isUnsigned } from "../../src/ir/types.ts";

/** Inclusive. */
export type Interval = readonly [number, number];

function ofType(d: DType): Interval | null {
  if (d === "bool") return [0, 1];
  if (!isInt(d) || intBits(d) > 16) return null;
  const n = intBits(d);
  return isUnsigned(d) ? [0, 2 ** n - 1] : [-(2 ** (n - 1)), 2 ** (n - 1) - 1];
}

/** The bounds of an integer expression, or null. `made` is the body that defines a buffer's elements, or null where that is not known. */
export function intervalOf(e: TeExpr, made: (id: BufferId) => TeExpr | null): Interval | null {
  const known = new Map<TeExpr, Interval | null>();
  const of = (x: TeExpr): Interval | null => {
    const old = known.get(x);
    if (old !== undefined) return old;
    // A body that reads itself is not known.
    known.set(x, null);
    const found = compute(x);
    known.set(x, found);
    return found;
  };
  const both = (a: Interval | null, b: Interval | null, f: (a: Interval, b: Interval) => Interval): Interval | null =>
    a && b && f(a, b);
  const compute = (x: TeExpr): Interval | null => {
    switch (x.kind) {
      case "const":
        return Number.isInteger(Number(x.value)) ? [Number(x.value), Number(x.value)] : null;
      case "load": {
        const own = ofType(x.dtype);
        if (own) return own;
        const body = isInt(x.dtype) ? made(x.buffer) : null;
        return body && of(body);
      }
      case "cast": {
        if (!isInt(x.dtype)) return null;
        const own = ofType(x.dtype);
        const inner = isInt(x.x.dtype) || x.x.dtype === "bool" ? of(x.x) : null;
        return inner && (!own || (inner[0] >= own[0] && inner[1] <= own[1])) ? inner : own;
      }
      case "select":
        return both(of(x.a), of(x.b), (a, b) => [Math.min(a[0], b[0]), Math.max(a[1], b[1])]);
      case "binary": {
        if (x.dtype !== "i32") return ofType(x.dtype);
        const [a, b] = [of(x.a), of(x.b)];
        switch (x.op) {
          case "add":
            return fitting(both(a, b, (p, q) => [p[0] + q[0], p[1] + q[1]]));
          case "sub":
            return fitting(both(a, b, (p, q) => [p[0] - q[1], p[1] - q[0]]));
          case "min":
            return both(a, b, (p, q) => [Math.min(p[0], q[0]), Math.min(p[1], q[1])]);
          case "max":
            return both(a, b, (p, q) => [Math.max(p[0], q[0]), Math.max(p[1], q[1])]);
          default:
            return null;
        }
      }
      default:
        return ofType(x.dtype);
    }
  };
  return of(e);
}
/** Bounds of i32s that cannot have wrapped. */
function fitting(i: Interval | null): Interval | null {
  return i && i[0] >= -(2 ** 31) && i[1] < 2 ** 31 ? i : null;
}
