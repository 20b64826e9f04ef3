// Replaces exp log sin cos tanh erf and pow by arithmetic, for targets that lack them: f32 (the same for vectors) and f64. Without tables,
// branches or a fused multiply-add, so all targets agree to the bit when each rounding is separate.
//
// Greatest error in units of the last place, with `either` rounded once and twice, whichever is worse. f32: every 131st number
// (sin, cos: up to 102943); f64: 20,000 numbers against 160 bits (sin, cos: up to 1.6e6); pow: 10 million pairs and 40,000.
//
//         exp   log   sin   cos   tanh  erf   pow
//   f32   0.98  0.79  0.88  0.89  2.22  3.25  0.76
//   f64   0.92  0.77  0.73  0.82  2.24  1.66  1.14
//
// Reductions: Cody and Waite, "Software Manual for the Elementary Functions" (1980); sums in two numbers: Dekker, "A floating-point
// technique for extending the available precision" (1971); log and pow: the formulas of Sun's fdlibm; the polynomials are ours.
// Infinities, NaN, zeros of either sign and denormals give what IEEE 754 and C say.
import { assert } from "../../src/base/assert.ts";
import type { UnaryOp } from "../../src/ir/expr.ts";
import type { LoopExpr, Stmt } from "../../src/ir/loops.ts";
import { mapExpr, mapStmt } from "../../src/ir/rewrite.ts";
import type { TargetInfo } from "../../src/ir/target.ts";
import { erf, exp, onePlusErf, tanh } from "./decompose-math-exp.ts";
import { type Float, f32, f64 } from "./decompose-math-float.ts";
import { log, pow } from "./decompose-math-log.ts";
import { rewriteNamed } from "./decompose-math-operands.ts";
import { cos, sin } from "./decompose-math-trig.ts";
import { freshNames } from "./fresh-names.ts";

type Decompose = (f: Float, x: LoopExpr) => LoopExpr;
const plain = { f32, f64 };
const exact = { f32: { ...f32, exactSums: true }, f64: { ...f64, exactSums: true } };
const functions: Partial<Record<UnaryOp, Decompose>> = { exp, log, sin, cos, tanh, erf };

/**
 * The statement with its transcendental functions decomposed: in f32 those that target.natives lacks and pow, in f64 all. Operands that
 * read memory become lets. Runs after expandStorage and unroll; InternalError for any other type.
 */
export function decomposeMath(s: Stmt, target: TargetInfo): Stmt {
  // What each erf was made of: with 1 added it is made in a shorter way.
  const erfs = new Map<LoopExpr, LoopExpr>();
  const rule = (e: LoopExpr): LoopExpr | null => {
    if (e.kind === "binary" && e.op === "add") {
      const [x, one] = erfs.has(e.a) ? [erfs.get(e.a), e.b] : [erfs.get(e.b), e.a];
      return x && isOne(one) ? onePlusErf(formatOf(e, target), x) : null;
    }
    const made = decomposed(e, target);
    if (made && e.kind === "unary" && e.op === "erf") erfs.set(made, e.x);
    return made;
  };
  const fresh = freshNames(s);
  const memo = new Map<LoopExpr, LoopExpr>();
  const unnamed = (e: LoopExpr): LoopExpr => mapExpr(e, (x) => rule(x) ?? x, memo);
  const stmt = (x: Stmt): Stmt => {
    switch (x.kind) {
      case "store":
      case "let": {
        const { e, wrap } = rewriteNamed(x.value, rule, fresh);
        return e === x.value ? x : wrap({ ...x, value: e });
      }
      case "if": {
        const { e, wrap } = rewriteNamed(x.cond, rule, fresh);
        return e === x.cond ? x : wrap({ ...x, cond: e });
      }
      // These are evaluated again and again, or in no statement's place.
      case "while":
        return { ...x, cond: unnamed(x.cond) };
      case "for":
        return { ...x, extent: unnamed(x.extent) };
      case "seq":
      case "alloc":
      case "barrier":
        return x;
    }
  };
  return mapStmt(s, stmt, (e) => e);
}
function isOne(e: LoopExpr): boolean {
  return e.kind === "splat" ? isOne(e.x) : e.kind === "const" && Number(e.value) === 1;
}
/** What a node decomposes to; null when it stays. */
function decomposed(e: LoopExpr, target: TargetInfo): LoopExpr | null {
  if (e.kind === "unary") {
    const f = functions[e.op];
    return f === undefined || (e.dtype === "f32" && target.natives.has(e.op)) ? null : f(formatOf(e, target), e.x);
  }
  return e.kind === "binary" && e.op === "pow" ? pow(formatOf(e, target), e.a, e.b) : null;
}
function formatOf(e: LoopExpr, target: TargetInfo): Float {
  assert(e.dtype === "f32" || e.dtype === "f64", `math of ${e.dtype} after expand-storage`);
  return (target.exactSums ? exact : plain)[e.dtype];
}
