// Two operators of the domain com.example, for `ingot ... --plugin examples/custom-op/distance-ops.mjs`. See docs/custom-operators.md.

/** @type {import("ingot").Plugin} */
export default function distanceOps({ op, expr: E, dim: D, tensor, tensorType, sumInto, addStandard }) {
  const domain = "com.example";

  /** Distance(x [N, D], y [M, D]) -> [N, M]: the p-norm of the difference of each row of x and each row of y. */
  const Distance = op({
    name: "Distance",
    onnx: [{ domain, type: "Distance", since: [1] }],
    accuracy: { kind: "rtol", r: 1e-5 },
    effects: "none",
    parse: (n) => {
      const p = n.float("p", 2);
      return p > 0 ? { p } : n.fail(`p is ${p}, and must be positive`);
    },
    infer: (inputs, _attrs, ctx) => {
      const [x, y] = [tensor(inputs, 0, ctx), tensor(inputs, 1, ctx)];
      if (x.dtype !== "f32" || y.dtype !== "f32") ctx.fail(`distances of ${x.dtype} and ${y.dtype}`);
      if (x.shape.length !== 2 || y.shape.length !== 2) ctx.fail("x and y must be matrices");
      const [d, e] = [D.known(x.shape[1]), D.known(y.shape[1])];
      if (d !== null && e !== null && d !== e) ctx.fail(`rows of ${d} and of ${e} elements`);
      return [tensorType("f32", [x.shape[0], y.shape[0]])];
    },
    body: {
      kind: "compute",
      compute: (b, n) => {
        const { p } = n.attrs;
        const [x, y] = [b.input(0), b.input(1)];
        const power = (v, by) =>
          by === 1 ? v : by === 2 ? E.mul(v, v) : by === 0.5 ? E.unary("sqrt", v) : E.pow(v, by);
        sumInto(
          b,
          b.output(0),
          [x.shape[1]],
          ([i, j], [k]) => power(E.unary("abs", E.sub(E.load(x, [i, k]), E.load(y, [j, k]))), p),
          (sum) => power(sum, 1 / p),
        );
      },
    },
  });

  /** Nearest(x [N, D], y [M, D]) -> int64 [N]: the row of y that is nearest to each row of x. It is made of operators that exist. */
  const Nearest = op({
    name: "Nearest",
    onnx: [{ domain, type: "Nearest", since: [1] }],
    accuracy: { kind: "exact" },
    effects: "none",
    parse: (n) => Distance.parse(n),
    infer: (inputs, attrs, ctx) => {
      const [distances] = Distance.infer(inputs, attrs, ctx);
      return [tensorType("i64", distances.tensor.shape.slice(0, 1))];
    },
    body: {
      kind: "expand",
      expand: (b, n) => {
        const [distances] = b.add(Distance, n.inputs, n.attrs);
        return addStandard(b, "ArgMin", [distances], { axis: 1, keepdims: 0 });
      },
    },
  });

  return [Distance, Nearest];
}
