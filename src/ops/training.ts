// Optimizers (ai.onnx.preview.training): one step for any number of tensors. Inputs: rate, step, then for each kind of tensor (values,
// gradients, moments) one per optimized tensor; outputs: the new values, then the new moments.
import * as E from "../ir/expr.ts";
import { constant, type Expr, load } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import { type OpDef, op, type RawNode } from "../ir/opdef.ts";
import { tensorType, type ValueType } from "../ir/types.ts";
import { tensor } from "./common.ts";
import { scalarOf } from "./ints.ts";

/** The new value and moments of one element. step is the iteration, as a float. */
type Step<A> = (a: A, rate: Expr, step: Expr, x: Expr, g: Expr, moments: readonly Expr[]) => readonly Expr[];
function optimizer<A extends Attrs>(type: string, moments: number, parse: (n: RawNode) => A, step: Step<A>): OpDef<A> {
  return op<A>({
    name: type,
    onnx: [{ domain: "ai.onnx.preview.training", type, since: [1] }],
    accuracy: { kind: "rtol", r: 1e-5 },
    effects: "none",
    parse,
    infer: (x, _a, ctx): readonly ValueType[] => {
      const count = (x.length - 2) / (moments + 2);
      if (!Number.isInteger(count)) ctx.fail(`${x.length} inputs`);
      const values = Array.from({ length: count }, (_, k) => tensor(x, k + 2, ctx));
      return Array.from({ length: moments + 1 }, () => values.map((t) => tensorType(t.dtype, t.shape))).flat();
    },
    body: {
      kind: "compute",
      compute: (b, n) => {
        const count = (n.inputs.length - 2) / (moments + 2);
        for (let k = 0; k < count; k++) {
          for (let out = 0; out <= moments; out++) {
            b.map(b.output(out * count + k), (i) => {
              const at = (kind: number): Expr => load(b.input(2 + kind * count + k), i);
              const x = at(0);
              const [rate, time] = [scalarOf(b.input(0)), scalarOf(b.input(1))].map((e) => E.to(x.dtype, e)) as [
                Expr,
                Expr,
              ];
              const old = Array.from({ length: moments }, (_, m) => at(m + 2));
              return step(n.attrs, rate, time, x, at(1), old)[out]!;
            });
          }
        }
      },
    },
  });
}
const sqrt = (x: Expr): Expr => E.unary("sqrt", x);

const Adagrad = optimizer(
  "Adagrad",
  1,
  (n) => ({ norm: n.float("norm_coefficient", 0), decay: n.float("decay_factor", 0), eps: n.float("epsilon", 1e-6) }),
  (a, rate, step, x, g, [h]) => {
    const gradient = E.add(E.mul(x, a.norm), g);
    const sum = E.add(h!, E.mul(gradient, gradient));
    const adjusted = E.div(rate, E.add(E.mul(step, a.decay), 1));
    return [E.sub(x, E.div(E.mul(adjusted, gradient), E.add(sqrt(sum), a.eps))), sum];
  },
);
const Adam = optimizer(
  "Adam",
  2,
  (n) => ({
    alpha: n.float("alpha", 0.9),
    beta: n.float("beta", 0.999),
    eps: n.float("epsilon", 1e-6),
    norm: n.float("norm_coefficient", 0),
    post: n.float("norm_coefficient_post", 0),
  }),
  (a, rate, step, x, g, [v, h]) => {
    const gradient = E.add(E.mul(x, a.norm), g);
    const mean = E.add(E.mul(v!, a.alpha), E.mul(gradient, 1 - a.alpha));
    const square = E.add(E.mul(h!, a.beta), E.mul(E.mul(gradient, gradient), 1 - a.beta));
    // Moments start at 0: the bias of the first steps is taken out.
    const decayed = (base: number): Expr => E.sub(1, E.pow(constant(x.dtype, base), step));
    const adjusted = E.where(E.lt(0, step), E.div(E.mul(rate, sqrt(decayed(a.beta))), decayed(a.alpha)), rate);
    const moved = E.sub(x, E.mul(adjusted, E.div(mean, E.add(sqrt(square), a.eps))));
    return [E.mul(moved, 1 - a.post), mean, square];
  },
);
const Momentum = optimizer(
  "Momentum",
  1,
  (n) => ({
    alpha: n.float("alpha"),
    beta: n.float("beta"),
    norm: n.float("norm_coefficient"),
    nesterov: n.string("mode") === "nesterov",
  }),
  (a, rate, step, x, g, [v]) => {
    const gradient = E.add(E.mul(x, a.norm), g);
    const beta = E.where(E.lt(0, step), constant(x.dtype, a.beta), constant(x.dtype, 1));
    const moment = E.add(E.mul(v!, a.alpha), E.mul(beta, gradient));
    const direction = a.nesterov ? E.add(gradient, E.mul(moment, a.alpha)) : moment;
    return [E.sub(x, E.mul(rate, direction)), moment];
  },
);

export const trainingOps: readonly OpDef<Attrs>[] = [Adagrad, Adam, Momentum] as unknown as readonly OpDef<Attrs>[];
