// Short spellings for ops that expand into others.
import type { ValueId } from "../base/brand.ts";
import type { Dim } from "../ir/dim.ts";
import type { Attrs } from "../ir/graph.ts";
import type { GraphBuilder, OpDef } from "../ir/opdef.ts";
import { type DType, tensorOf } from "../ir/types.ts";
import { Cast } from "./cast.ts";
import { Add, Div, Mul, Sub } from "./elementwise.ts";

export class Expander {
  readonly b: GraphBuilder;
  constructor(b: GraphBuilder) {
    this.b = b;
  }
  one<A extends Attrs>(def: OpDef<A>, inputs: readonly (ValueId | null)[], attrs: A): ValueId {
    return this.b.add(def, inputs, attrs)[0]!;
  }
  add(x: ValueId, y: ValueId): ValueId {
    return this.one(Add, [x, y], {});
  }
  sub(x: ValueId, y: ValueId): ValueId {
    return this.one(Sub, [x, y], {});
  }
  mul(x: ValueId, y: ValueId): ValueId {
    return this.one(Mul, [x, y], {});
  }
  div(x: ValueId, y: ValueId): ValueId {
    return this.one(Div, [x, y], {});
  }
  dtype(x: ValueId): DType {
    const t = this.b.type(x);
    return t.kind === "tensor" ? t.tensor.dtype : this.b.fail("an input is no tensor");
  }
  shape(x: ValueId): readonly Dim[] {
    const t = this.b.type(x);
    return t.kind === "tensor" ? t.tensor.shape : this.b.fail("an input is no tensor");
  }
  cast(x: ValueId, to: DType): ValueId {
    return this.dtype(x) === to ? x : this.one(Cast, [x], { to });
  }
  /** A scalar constant of f32, f64 or an integer type. */
  scalar(dtype: DType, value: number): ValueId {
    return this.b.constant(tensorOf(dtype, [], [value]));
  }
}
