// Movement: transposes, views, parts, pads.
import type { ValueId } from "../../src/base/brand.ts";
import { type Spec, Specs, walk } from "./spec.ts";

const all = new Specs();
const spec = all.add.bind(all);
for (const perm of [
  [1, 0],
  [0, 2, 1],
  [2, 0, 1],
  [1, 0, 2],
  [0, 2, 3, 1],
  [0, 3, 1, 2],
  [3, 2, 1, 0],
  [0, 2, 1, 3],
])
  spec(
    `Transpose ${perm}`,
    (b) => b.output(b.op("Transpose", [b.input(["A", "B", "C", 5].slice(0, perm.length))], { perm })),
    walk("A", "B", "C"),
  );
spec(
  "Transpose of integers",
  (b) =>
    b.output(
      b.op("Transpose", [b.input(["A", "B"], "u8")], { perm: [1, 0] }),
      b.op("Transpose", [b.input(["A", "B"], "i64")], { perm: [1, 0] }),
    ),
  walk("A", "B"),
);
spec(
  "Transpose there and back",
  (b) => {
    const x = b.op("Transpose", [b.input([2, "A", 5])], { perm: [2, 0, 1] });
    b.output(b.op("Transpose", [b.op("Exp", [x])], { perm: [1, 2, 0] }));
  },
  walk("A"),
);
spec(
  "Reshape chains",
  (b) => {
    const x = b.op("Reshape", [b.input(["A", 6, 4]), b.ints([-1, 3, 8])]);
    const t = b.op("Transpose", [b.op("Relu", [x])], { perm: [1, 0, 2] });
    b.output(b.op("Reshape", [t, b.ints([3, -1])]), b.op("Flatten", [x], { axis: 2 }));
  },
  walk("A"),
);
spec(
  "Reshape to the output",
  (b) => b.output(b.op("Reshape", [b.op("MatMul", [b.input(["A", 7]), b.constant([7, 12])]), b.ints([-1, 3, 4])])),
  walk("A"),
);
spec(
  "Squeeze and Unsqueeze",
  (b) => {
    const x = b.op("Unsqueeze", [b.input(["A", 5]), b.ints([0, 2])]);
    b.output(b.op("Squeeze", [b.op("ReduceSum", [x, b.ints([3])], { keepdims: 1 }), b.ints([0, 3])]), x);
  },
  walk("A"),
);
for (const axis of [0, 1, 2])
  spec(
    `Concat along ${axis}`,
    (b) => {
      const x = b.input(["A", "B", "C"]);
      b.output(b.op("Concat", [b.op("Relu", [x]), x, b.op("Exp", [x]), b.op("Relu", [x])], { axis }));
    },
    walk("A", "B", "C"),
  );
spec(
  "Concat of a Concat",
  (b) => {
    const x = b.input(["A", 4]);
    const inner = b.op("Concat", [b.op("Exp", [x]), b.op("MatMul", [x, b.constant([4, 5])])], { axis: 1 });
    b.output(b.op("Softmax", [b.op("Concat", [inner, b.op("Neg", [x]), inner], { axis: 1 })]), inner);
  },
  walk("A"),
);
spec(
  "Concat of constants and inputs",
  (b) => b.output(b.op("Concat", [b.constant([2, 3]), b.input(["A", 3]), b.input([1, 3])], { axis: 0 })),
  walk("A"),
);
spec(
  "Split and join",
  (b) => {
    const [p, q, r] = b.ops("Split", [b.input(["A", 12]), b.ints([3, 7, 2])], { axis: 1 }, 3);
    b.output(b.op("Concat", [r!, b.op("Exp", [q!]), p!], { axis: 1 }), b.op("ReduceSum", [q!, b.ints([1])]));
  },
  walk("A"),
);
spec(
  "Split in halves",
  (b) => {
    const [p, q] = b.ops(
      "Split",
      [b.op("Conv", [b.input([1, 3, "H", 5]), b.constant([8, 3, 3, 3])], { pads: [1, 1, 1, 1] })],
      { axis: 1, num_outputs: 2 },
      2,
    );
    b.output(b.op("Mul", [p!, b.op("Sigmoid", [q!])]));
  },
  [{ H: 5 }, { H: 8 }],
);
spec(
  "Slice",
  (b) => b.output(b.op("Slice", [b.input(["A", 20]), b.ints([3]), b.ints([17]), b.ints([1]), b.ints([2])])),
  walk("A"),
);
spec(
  "Slice backwards",
  (b) =>
    b.output(
      b.op("Slice", [b.input(["A", 20]), b.ints([-1]), b.ints([-21]), b.ints([1]), b.ints([-3])]),
      b.op("Slice", [b.input([9, "A"]), b.ints([8]), b.ints([0]), b.ints([0]), b.ints([-1])]),
    ),
  walk("A"),
);
spec(
  "Slice of a product",
  (b) => {
    const x = b.op("MatMul", [b.input(["A", 8]), b.constant([8, 12])]);
    b.output(
      b.op("MatMul", [b.op("Slice", [x, b.ints([2]), b.ints([10]), b.ints([1])]), b.constant([8, 5])]),
      b.op("Slice", [x, b.ints([0]), b.ints([1]), b.ints([1])]),
    );
  },
  walk("A"),
);
spec(
  "Pad",
  (b) =>
    b.output(
      b.op("Pad", [b.input(["A", 5]), b.ints([1, 2, 0, 3])]),
      b.op("Pad", [b.op("Exp", [b.input(["A", 5])]), b.ints([0, 2, 3, 1])]),
    ),
  walk("A"),
);
spec(
  "Pad by reflection and at the edge",
  (b) =>
    b.output(
      b.op("Pad", [b.input(["A", 5]), b.ints([0, 2, 0, 3])], { mode: "reflect" }),
      b.op("Pad", [b.input(["A", 5]), b.ints([2, 0, 1, 4])], { mode: "edge" }),
    ),
  walk("A"),
);
spec(
  "Pad that cuts",
  (b) => b.output(b.op("Pad", [b.op("Exp", [b.input(["A", 9])]), b.ints([2, -3, 0, 1])])),
  walk("A"),
);
spec(
  "triangles and masks of what a stage makes",
  (b) => {
    const x = b.op("MatMul", [b.input(["A", 5]), b.constant([5, 7])]);
    const y = b.op("Exp", [b.input(["A", 7])]);
    const mask = b.input(["A", 7], "bool");
    const scores = b.op("MatMul", [b.input(["A", 3]), b.constant([3, 7])]);
    b.output(
      b.op("Trilu", [x, b.scalar(1, "i64")]),
      b.op("Trilu", [y], { upper: 0 }),
      b.op("MatMul", [b.op("Trilu", [scores], { upper: 0 }), b.constant([7, 4])]),
      b.op("ReduceMax", [scores, b.ints([1])]),
      b.op("Where", [mask, b.op("Sigmoid", [x]), b.scalar(0)]),
      b.op("MaxPool", [b.op("Unsqueeze", [b.op("Trilu", [b.op("Exp", [x])]), b.ints([0])])], { kernel_shape: [2] }),
    );
  },
  walk("A"),
);
spec(
  "Concat of slices of what stages make",
  (b) => {
    const x = b.op("MatMul", [b.input(["A", 5]), b.constant([5, 6])]);
    const y = b.op("Softmax", [x]);
    const cut = (v: ValueId, from: number, to: number): ValueId =>
      b.op("Slice", [v, b.ints([from]), b.ints([to]), b.ints([1])]);
    b.output(b.op("Concat", [cut(x, 0, 2), cut(y, 0, 1), cut(x, 5, 6), y], { axis: 1 }), b.op("Relu", [x]));
    b.output(b.op("Concat", [b.op("Gather", [y, b.ints([3])], { axis: 1 }), cut(y, 0, 1)], { axis: 1 }));
  },
  walk("A"),
);
spec(
  "Expand and Tile",
  (b) =>
    b.output(b.op("Expand", [b.input(["A", 1]), b.ints([1, 7])]), b.op("Tile", [b.input(["A", 3]), b.ints([2, 3])])),
  walk("A"),
);
spec(
  "Gather",
  (b) =>
    b.output(
      b.op("Gather", [b.input(["A", 6]), b.ints([5, 0, -1, 2])], { axis: 1 }),
      b.op("Gather", [b.constant([7, 5]), b.op("Abs", [b.input(["A"], "i64")])], { axis: 0 }),
    ),
  walk("A"),
);
spec(
  "DepthToSpace",
  (b) => {
    const x = b.op("Conv", [b.input([1, 2, "H", 3]), b.constant([8, 2, 1, 1])]);
    b.output(
      b.op("DepthToSpace", [x], { blocksize: 2 }),
      b.op("SpaceToDepth", [b.op("DepthToSpace", [x], { blocksize: 2, mode: "CRD" })], { blocksize: 2 }),
    );
  },
  [{ H: 3 }, { H: 4 }],
);
spec(
  "channel shuffle",
  (b) => {
    const x = b.op("Conv", [b.input([1, 3, "H", 5]), b.constant([8, 3, 1, 1])]);
    const r = b.op("Reshape", [x, b.ints([1, 2, 4, -1, 5])]);
    const t = b.op("Reshape", [b.op("Transpose", [r], { perm: [0, 2, 1, 3, 4] }), b.ints([1, 8, -1, 5])]);
    b.output(b.op("Conv", [t, b.constant([8, 1, 3, 3])], { group: 8, pads: [1, 1, 1, 1] }));
  },
  [{ H: 5 }, { H: 8 }],
);
spec(
  "Resize",
  (b) =>
    b.output(
      b.op(
        "Resize",
        [b.op("Conv", [b.input([1, 2, "H", 4]), b.constant([4, 2, 1, 1])]), null, b.floats([1, 1, 2, 2])],
        { mode: "nearest", coordinate_transformation_mode: "asymmetric", nearest_mode: "floor" },
      ),
    ),
  [{ H: 4 }, { H: 7 }],
);

export const moveSpecs: readonly Spec[] = all.list;
