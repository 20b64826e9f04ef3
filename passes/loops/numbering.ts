// What passes that share or move expressions ask of them: which are equal, what they read.
import type { BufferId } from "../../src/base/brand.ts";
import type { LoopExpr } from "../../src/ir/loops.ts";
import { children, visitExpr } from "../../src/ir/rewrite.ts";

/** Structural identity of expressions: equal expressions have one number. */
export class Numbering {
  private readonly ids = new Map<string, number>();
  private readonly memo = new Map<LoopExpr, number>();
  of(e: LoopExpr): number {
    const old = this.memo.get(e);
    if (old !== undefined) return old;
    const kids = (children(e) as readonly LoopExpr[]).map((c) => this.of(c)).join(",");
    const key = `${shallow(e)}(${kids})`;
    let n = this.ids.get(key);
    if (n === undefined) this.ids.set(key, (n = this.ids.size));
    this.memo.set(e, n);
    return n;
  }
}
function shallow(e: LoopExpr): string {
  switch (e.kind) {
    case "const":
      return `c${e.dtype}${Object.is(e.value, -0) ? "-0" : e.value}`;
    case "var":
      return `v${e.name}`;
    case "load":
      return `l${e.buffer}${e.dtype}`;
    case "table":
      return `t${e.dtype}[${e.values.join(",")}]`;
    case "unary":
      return `u${e.op}${e.dtype}`;
    case "binary":
      return `b${e.op}${e.dtype}`;
    case "mulAdd":
      return `m${e.rounding}${e.dtype}`;
    case "select":
      return `s${e.dtype}`;
    case "cast":
      return `x${e.dtype}`;
    case "bitcast":
      return `y${e.dtype}`;
    case "ramp":
      return `r${e.stride}.${e.lanes}`;
    case "splat":
      return `p${e.lanes}`;
    case "lanes":
      return `n${e.op}${e.factor}`;
  }
}

/** Whether an expression loads what may be out of bounds where it is not chosen. */
export function risksLoad(e: LoopExpr): boolean {
  return within(risks, e, (x) => x.kind === "load" && !x.safe);
}
const risks = new WeakMap<LoopExpr, boolean>();
/** Whether `test` holds for some expression in e. memo: of this test alone. */
export function within(memo: WeakMap<LoopExpr, boolean>, e: LoopExpr, test: (x: LoopExpr) => boolean): boolean {
  const old = memo.get(e);
  if (old !== undefined) return old;
  const r = test(e) || (children(e) as readonly LoopExpr[]).some((c) => within(memo, c, test));
  memo.set(e, r);
  return r;
}
/** The buffers that an expression reads. */
export function loads(e: LoopExpr): readonly BufferId[] {
  const out = new Set<BufferId>();
  visitExpr(e, (x) => {
    if (x.kind === "load") out.add(x.buffer);
  });
  return [...out];
}
