// What the scalar operations mean (expr.ts), as functions on numbers and bigints. Narrow types are computed as f32 or i32.
import { InternalError } from "../../src/base/assert.ts";
import type { BinaryOp, UnaryOp } from "../../src/ir/expr.ts";
import { type DType, isFloat, widened } from "../../src/ir/types.ts";
import { refBinary, refCast, refUnary, wrap } from "../targets/programs/reference.ts";

export type Scalar = number | bigint;

export function unaryFn(op: UnaryOp, dtype: DType): (x: Scalar) => Scalar {
  const t = widened(dtype);
  if (op === "erf") return (x) => round(t, erf(Number(x)));
  if (t === "f32" || t === "f64") {
    switch (op) {
      case "neg":
        return (x) => -Number(x);
      case "abs":
        return (x) => Math.abs(Number(x));
      case "not":
      case "bitnot":
        throw new InternalError(`${op} of ${t}`);
    }
  }
  if (!isFloat(t) && !["neg", "abs", "not", "bitnot", "widen8"].includes(op))
    throw new InternalError(`${op} of ${dtype}`);
  return (x) => refUnary(op, t, x);
}

export function binaryFn(op: BinaryOp, dtype: DType): (a: Scalar, b: Scalar) => Scalar {
  const t = widened(dtype);
  if (isFloat(t)) {
    switch (op) {
      case "add":
        return (a, b) => round(t, Number(a) + Number(b));
      case "sub":
        return (a, b) => round(t, Number(a) - Number(b));
      case "mul":
        return (a, b) => round(t, Number(a) * Number(b));
      case "truncmod":
        return (a, b) => Number(a) % Number(b);
      case "floormod":
        return (a, b) => {
          const r = Number(a) % Number(b);
          return r !== 0 && r < 0 !== Number(b) < 0 ? r + Number(b) : r;
        };
      case "nanmax":
        return (a, b) => Math.max(Number(a), Number(b));
      case "nanmin":
        return (a, b) => Math.min(Number(a), Number(b));
    }
  }
  if (t === "i32") {
    switch (op) {
      case "add":
        return (a, b) => (Number(a) + Number(b)) | 0;
      case "sub":
        return (a, b) => (Number(a) - Number(b)) | 0;
      case "mul":
        return (a, b) => Math.imul(Number(a), Number(b));
      case "floordiv":
        return (a, b) => (b === 0 ? 0 : Math.floor(Number(a) / Number(b)) | 0);
      case "floormod":
        return (a, b) => (b === 0 ? 0 : Number(a) - Math.floor(Number(a) / Number(b)) * Number(b));
    }
  }
  if (t === "bool" && ["min", "max", "add", "sub", "mul"].includes(op)) throw new InternalError(`${op} of bool`);
  return (a, b) => refBinary(op, t, a, b);
}

export function castFn(to: DType, from: DType): (x: Scalar) => Scalar {
  const f = isFloat(from) ? widened(from) : from;
  if (isFloat(to)) return (x) => refCast(widened(to), f, x);
  if (isFloat(from) || to === "bool") return (x) => refCast(to, f, x);
  return (x) => wrap(to, BigInt(x));
}

function round(t: DType, x: number): number {
  return t === "f32" ? Math.fround(x) : x;
}
/** Abramowitz and Stegun 7.1.5 for small x, the continued fraction 7.1.14 for large: full double precision. */
function erf(x: number): number {
  const a = Math.abs(x);
  if (Number.isNaN(x)) return x;
  if (a > 6) return Math.sign(x);
  if (a < 2.5) {
    let term = a;
    let sum = a;
    for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum) && n < 200; n++) {
      term *= (-a * a) / n;
      sum += term / (2 * n + 1);
    }
    return Math.sign(x) * ((2 / Math.sqrt(Math.PI)) * sum);
  }
  let f = 0;
  for (let k = 60; k >= 1; k--) f = k / 2 / (a + f);
  return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + f));
}
