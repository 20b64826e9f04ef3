// Reductions, softmaxes and norms along every axis.
import { type Spec, Specs, walk } from "./spec.ts";

const all = new Specs();
const spec = all.add.bind(all);
for (const type of ["ReduceSum", "ReduceMax", "ReduceMean", "ReduceProd", "ReduceLogSumExp", "ReduceL2"])
  for (const axes of type === "ReduceSum" || type === "ReduceMax"
    ? [[0], [1], [2], [0, 2], [1, 2], [0, 1, 2]]
    : [[0], [2], [1, 2]])
    spec(
      `${type} over ${axes}`,
      (b) => b.output(b.op(type, [b.input(["A", "B", "C"]), b.ints(axes)], { keepdims: axes.length % 2 })),
      walk("A", "B", "C"),
    );
spec(
  "ReduceSum of integers",
  (b) =>
    b.output(
      b.op("ReduceSum", [b.input(["A", "B"], "i32"), b.ints([1])]),
      b.op("ReduceMax", [b.input(["A", "B"], "i64"), b.ints([0])]),
    ),
  walk("A", "B"),
);
spec(
  "ReduceSumSquare of f64",
  (b) => b.output(b.op("ReduceSumSquare", [b.input(["A", "B"], "f64"), b.ints([1])])),
  walk("A", "B"),
);
spec(
  "ReduceMax of a strided view",
  (b) => {
    const x = b.op("Slice", [b.input([4, "A", 40]), b.ints([0, 3]), b.ints([4, 37]), b.ints([0, 2]), b.ints([2, 1])]);
    b.output(b.op("ReduceMax", [b.op("Transpose", [x], { perm: [2, 0, 1] }), b.ints([0])]));
  },
  walk("A"),
);
for (const axis of [0, 1, 2])
  spec(
    `ArgMax over ${axis}`,
    (b) =>
      b.output(
        b.op("ArgMax", [b.input(["A", "B", "C"])], { axis, keepdims: axis % 2 }),
        b.op("ArgMin", [b.input(["A", "B", "C"], "i32")], { axis, select_last_index: 1 }),
      ),
    walk("A", "B", "C"),
  );
for (const axis of [0, 1, 2]) {
  spec(
    `Softmax over ${axis}`,
    (b) => b.output(b.op("Softmax", [b.input(["A", "B", "C"])], { axis })),
    walk("A", "B", "C"),
  );
  spec(
    `LogSoftmax over ${axis}`,
    (b) => b.output(b.op("LogSoftmax", [b.input(["A", "B", "C"])], { axis })),
    walk("A", "B", "C"),
  );
}
for (const axis of [1, 2])
  spec(
    `LayerNormalization from ${axis}`,
    (b) => {
      const [c, d] = [8, 17];
      const dims = axis === 1 ? [c, d] : [d];
      b.output(b.op("LayerNormalization", [b.input(["A", c, d]), b.constant(dims), b.constant(dims)], { axis }));
    },
    walk("A"),
  );
spec(
  "LayerNormalization of a symbolic row",
  (b) => b.output(b.op("LayerNormalization", [b.input(["A", "B"]), b.input(["B"]), b.input(["B"])], { axis: -1 })),
  walk("A", "B"),
);
spec(
  "LayerNormalization behind an addition",
  (b) => {
    const s = b.op("Add", [b.input(["A", 33]), b.input(["A", 33])]);
    b.output(b.op("LayerNormalization", [s, b.constant([33]), b.constant([33])]), s);
  },
  walk("A"),
);
spec(
  "InstanceNormalization",
  (b) => b.output(b.op("InstanceNormalization", [b.input(["N", 6, "H", 5]), b.constant([6]), b.constant([6])])),
  [
    { N: 1, H: 7 },
    { N: 2, H: 1 },
  ],
);
spec(
  "InstanceNormalization of channels that lie innermost",
  (b) => {
    const y = b.op("Conv", [b.input([1, 3, "H", 6]), b.constant([16, 3, 3, 3])], { pads: [1, 1, 1, 1] });
    const z = b.op("Relu", [b.op("InstanceNormalization", [y, b.constant([16]), b.constant([16])])]);
    b.output(b.op("Conv", [z, b.constant([8, 16, 1, 1])]));
  },
  [{ H: 7 }, { H: 1 }],
);
spec(
  "GroupNormalization",
  (b) =>
    b.output(
      b.op("GroupNormalization", [b.input([2, 8, "H", 3]), b.constant([8]), b.constant([8])], { num_groups: 4 }),
    ),
  [{ H: 7 }, { H: 1 }],
);
spec(
  "BatchNormalization behind a convolution",
  (b) => {
    const y = b.op("Conv", [b.input([1, 3, "H", 6]), b.constant([8, 3, 3, 3])], { pads: [1, 1, 1, 1] });
    const variance = b.op("Add", [b.op("Abs", [b.constant([8])]), b.op("Abs", [b.constant([1])])]);
    b.output(b.op("BatchNormalization", [y, b.constant([8]), b.constant([8]), b.constant([8]), variance]));
  },
  [{ H: 6 }, { H: 1 }],
);
spec(
  "RMSNormalization by hand",
  (b) => {
    const x = b.input(["A", "B", 24]);
    const mean = b.op("ReduceMean", [b.op("Mul", [x, x]), b.ints([-1])], { keepdims: 1 });
    b.output(b.op("Mul", [b.op("Div", [x, b.op("Sqrt", [b.op("Add", [mean, b.constant([1])])])]), b.constant([24])]));
  },
  [
    { A: 1, B: 7 },
    { A: 3, B: 8 },
  ],
);
spec(
  "CumSum",
  (b) =>
    b.output(
      b.op("CumSum", [b.input(["A", "B"]), b.ints([1])]),
      b.op("CumSum", [b.input(["A", "B"]), b.ints([0])], { reverse: 1, exclusive: 1 }),
    ),
  walk("A", "B"),
);

export const reduceSpecs: readonly Spec[] = all.list;
