// Elementwise stages, broadcasts, types.
import { type Spec, Specs, walk } from "./spec.ts";

const all = new Specs();
const spec = all.add.bind(all);
spec(
  "broadcasts",
  (b) => {
    const [x, y] = [b.input(["A", 1, "C"]), b.input(["B", 1])];
    b.output(b.op("Add", [x, y]), b.op("Mul", [b.op("Exp", [x]), b.constant([5, 1, 1, 1])]));
  },
  walk("A", "B", "C"),
);
spec(
  "a chain with many readers",
  (b) => {
    const x = b.op("Exp", [b.input(["A", "B"])]);
    const y = b.op("Sub", [x, b.op("Tanh", [x])]);
    b.output(b.op("Div", [y, b.op("Add", [x, b.constant([1])])]), b.op("Max", [x, y, b.constant([1])]), x);
  },
  walk("A", "B"),
);
spec(
  "mixed types",
  (b) => {
    const [f, i, u, l, t] = [
      b.input(["A", "B"]),
      b.input(["A", "B"], "i32"),
      b.input(["B"], "u8"),
      b.input(["A", "B"], "i64"),
      b.input(["A", "B"], "bool"),
    ];
    b.output(
      b.op("Where", [t, f, b.op("Cast", [i], { to: "f32" })]),
      b.op("Add", [i, b.op("Cast", [u], { to: "i32" })]),
      b.op("Mul", [l, l]),
      b.op("And", [t, b.op("Less", [f, b.constant([1])])]),
      b.op("Cast", [b.op("Mul", [f, b.constant([1])])], { to: "u8" }),
    );
  },
  walk("A", "B"),
);
spec(
  "integer arithmetic",
  (b) => {
    const [x, y] = [b.input(["A", "B"], "i32"), b.input(["B"], "i32")];
    b.output(
      b.op("Div", [x, y]),
      b.op("Mod", [x, y]),
      b.op("Max", [x, y]),
      b.op("Abs", [x]),
      b.op("Sub", [x, b.op("Mul", [y, y])]),
    );
  },
  walk("A", "B"),
);
spec(
  "math functions",
  (b) => {
    const x = b.input(["A", "B"]);
    b.output(
      ...[
        "Exp",
        "Tanh",
        "Erf",
        "Sigmoid",
        "Gelu",
        "Sin",
        "Cos",
        "HardSwish",
        "Softplus",
        "Elu",
        "Round",
        "Floor",
        "Sign",
      ].map((f) => b.op(f, [x])),
    );
  },
  walk("A", "B"),
);
spec(
  "NaN and infinity in maxima",
  (b) => {
    const x = b.op("Log", [b.input(["A", "B"])]);
    b.output(
      b.op("Max", [x, b.constant([1])]),
      b.op("Clip", [x, b.scalar(-0.5), b.scalar(0.5)]),
      b.op("IsNaN", [x]),
      b.op("Relu", [x]),
    );
  },
  walk("A", "B"),
);
spec(
  "scalars",
  (b) => {
    const x = b.input([]);
    b.output(
      b.op("Exp", [x]),
      b.op("Add", [x, b.input(["A"])]),
      b.op("ReduceSum", [b.input(["A"]), b.ints([0])], { keepdims: 0 }),
    );
  },
  walk("A"),
);
spec(
  "quantised",
  (b) => {
    const x = b.op("QuantizeLinear", [b.input([1, 3, "H", 7]), b.scalar(0.02), b.scalar(120, "u8")]);
    const y = b.op(
      "Conv",
      [
        b.op("DequantizeLinear", [x, b.scalar(0.02), b.scalar(120, "u8")]),
        b.op("DequantizeLinear", [b.constant([8, 3, 3, 3], "i8"), b.scalar(0.1)]),
      ],
      { pads: [1, 1, 1, 1] },
    );
    b.output(b.op("QuantizeLinear", [b.op("Relu", [y]), b.scalar(0.05), b.scalar(3, "u8")]));
  },
  [{ H: 7 }, { H: 4 }],
);
spec(
  "an input that is an output",
  (b) => {
    const x = b.input(["A", 3]);
    const y = b.op("Identity", [x]);
    b.output(y, b.op("Identity", [x]), b.op("Reshape", [x, b.ints([3, -1])]));
  },
  walk("A"),
);

spec(
  "selections by what a selection gave",
  (b) => {
    const x = b.op("Elu", [b.input(["A", "B"])]);
    const y = b.op("LeakyRelu", [x]);
    const z = b.op("Where", [b.op("Less", [x, b.scalar(0)]), x, b.scalar(0)]);
    const w = b.op("Where", [b.op("Less", [b.scalar(-0.5), y]), b.op("Exp", [y]), b.op("Selu", [z])]);
    b.output(y, z, b.op("Celu", [w]), b.op("ThresholdedRelu", [w], { alpha: 0.25 }));
  },
  walk("A", "B"),
);

export const elementwiseSpecs: readonly Spec[] = all.list;
