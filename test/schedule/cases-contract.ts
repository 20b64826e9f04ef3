// Sums of products: matrices, convolutions, and what stands around them.
import type { ValueId } from "../../src/base/brand.ts";
import type { Sizes } from "./build.ts";
import { type Spec, Specs, walk } from "./spec.ts";

const all = new Specs();
const spec = all.add.bind(all);
spec("MatMul with a constant", (b) => b.output(b.op("MatMul", [b.input(["M", 33]), b.constant([33, 17])])), walk("M"));
spec(
  "MatMul with a narrow constant",
  (b) => b.output(b.op("MatMul", [b.input(["M", 9]), b.constant([9, 3])])),
  walk("M"),
);
spec("MatMul of one row", (b) => b.output(b.op("MatMul", [b.input([1, "K"]), b.input(["K", "N"])])), walk("K", "N"));
spec(
  "MatMul of inputs",
  (b) => b.output(b.op("MatMul", [b.input(["M", "K"]), b.input(["K", "N"])])),
  walk("M", "K", "N"),
);
spec("MatMul with a vector", (b) => b.output(b.op("MatMul", [b.input(["M", "K"]), b.input(["K"])])), walk("M", "K"));
spec("vector with a MatMul", (b) => b.output(b.op("MatMul", [b.input(["K"]), b.input(["K", "N"])])), walk("K", "N"));
spec(
  "batched MatMul",
  (b) => b.output(b.op("MatMul", [b.input([2, "B", "M", 5]), b.input(["B", 5, 12])])),
  walk("B", "M"),
);
spec(
  "MatMul against a batch of one",
  (b) => b.output(b.op("MatMul", [b.input(["B", 3, 8]), b.constant([1, 8, 10])])),
  walk("B"),
);
spec(
  "Gemm with bias",
  (b) =>
    b.output(
      b.op("Gemm", [b.input(["M", "K"]), b.input(["N", "K"]), b.input(["N"])], { transB: 1, alpha: 0.5, beta: 2 }),
    ),
  walk("M", "K", "N"),
);
spec(
  "Gemm of a transposed input",
  (b) => b.output(b.op("Gemm", [b.input([19, "M"]), b.constant([19, 21]), b.constant([1, 21])], { transA: 1 })),
  walk("M"),
);
spec(
  "attention",
  (b) => {
    const [q, k, v] = [b.input([2, "T", 12]), b.input([2, "S", 12]), b.input([2, "S", 12])];
    const heads = (x: ValueId) =>
      b.op("Transpose", [b.op("Reshape", [x, b.ints([2, -1, 3, 4])])], { perm: [0, 2, 1, 3] });
    const scores = b.op("MatMul", [heads(q), b.op("Transpose", [heads(k)], { perm: [0, 1, 3, 2] })]);
    const mixed = b.op("MatMul", [b.op("Softmax", [scores], { axis: -1 }), heads(v)]);
    b.output(b.op("Reshape", [b.op("Transpose", [mixed], { perm: [0, 2, 1, 3] }), b.ints([2, -1, 12])]));
  },
  walk("T", "S"),
);
spec(
  "MatMul with an epilogue and a residual",
  (b) => {
    const x = b.input(["M", 16]);
    const h = b.op("Relu", [b.op("Add", [b.op("MatMul", [x, b.constant([16, 20])]), b.constant([20])])]);
    b.output(b.op("Add", [x, b.op("MatMul", [h, b.constant([20, 16])])]));
  },
  walk("M"),
);
spec(
  "MatMulInteger",
  (b) =>
    b.output(
      b.op("MatMulInteger", [
        b.input(["M", 13], "u8"),
        b.constant([13, 9], "i8"),
        b.ints([3], "u8"),
        b.ints([-2], "i8"),
      ]),
    ),
  walk("M"),
);
spec(
  "Einsum",
  (b) => b.output(b.op("Einsum", [b.input(["A", 3, "C"]), b.input(["C", 3, 5])], { equation: "abc,cbd->adb" })),
  walk("A", "C"),
);

const conv = (
  name: string,
  x: readonly (number | string)[],
  w: readonly number[],
  attrs: Record<string, number | string | readonly number[]>,
  sizes: readonly Sizes[],
  more: { bias?: boolean; relu?: boolean } = {},
): void =>
  spec(
    `Conv ${name}`,
    (b) => {
      const ins = [b.input(x), b.constant(w), ...(more.bias ? [b.constant([w[0]!])] : [])];
      const y = b.op("Conv", ins, attrs);
      b.output(more.relu ? b.op("Relu", [y]) : y);
    },
    sizes,
  );
conv(
  "3x3",
  ["N", 3, "H", "W"],
  [10, 3, 3, 3],
  { pads: [1, 1, 1, 1] },
  [
    { N: 1, H: 1, W: 3 },
    { N: 2, H: 7, W: 9 },
    { N: 1, H: 8, W: 17 },
  ],
  { bias: true, relu: true },
);
conv("5x5 with stride 2", [1, 4, "H", "W"], [8, 4, 5, 5], { pads: [2, 2, 1, 1], strides: [2, 2] }, [
  { H: 11, W: 8 },
  { H: 33, W: 7 },
]);
conv(
  "1x1",
  ["N", 16, "H", 5],
  [17, 16, 1, 1],
  {},
  [
    { N: 1, H: 5 },
    { N: 3, H: 1 },
    { N: 1, H: 8 },
  ],
  { bias: true },
);
conv("1x1 with stride", [1, 8, 9, "W"], [12, 8, 1, 1], { strides: [2, 3] }, [{ W: 9 }, { W: 17 }]);
conv("dilated", [1, 8, "H", 9], [4, 8, 3, 3], { pads: [2, 2, 2, 2], dilations: [2, 2] }, [{ H: 5 }, { H: 9 }]);
conv(
  "depthwise",
  ["N", 12, "H", 10],
  [12, 1, 3, 3],
  { pads: [1, 1, 1, 1], group: 12 },
  [
    { N: 1, H: 9 },
    { N: 2, H: 3 },
  ],
  { bias: true },
);
conv("depthwise with a multiplier", [1, 6, "H", 7], [12, 1, 3, 3], { pads: [1, 0, 1, 0], group: 6 }, [
  { H: 7 },
  { H: 8 },
]);
conv("depthwise of few channels", [1, 3, "H", "W"], [3, 1, 3, 3], { group: 3, strides: [2, 1] }, [
  { H: 7, W: 8 },
  { H: 17, W: 3 },
]);
conv("grouped", [1, 8, "H", 6], [12, 4, 3, 3], { pads: [1, 1, 1, 1], group: 2 }, [{ H: 6 }, { H: 3 }]);
conv("1d", ["N", 4, "L"], [8, 4, 3], { pads: [1, 1] }, [
  { N: 1, L: 33 },
  { N: 3, L: 1 },
  { N: 1, L: 8 },
]);
conv("3d", [1, 2, 4, "H", 5], [6, 2, 2, 3, 3], { pads: [0, 1, 1, 1, 1, 1] }, [{ H: 5 }, { H: 8 }]);
conv("SAME_UPPER", [1, 3, "H", "W"], [8, 3, 3, 3], { auto_pad: "SAME_UPPER", strides: [2, 2] }, [
  { H: 7, W: 8 },
  { H: 17, W: 33 },
]);
conv("SAME_LOWER", [1, 3, "H", "W"], [5, 3, 2, 4], { auto_pad: "SAME_LOWER" }, [
  { H: 7, W: 8 },
  { H: 3, W: 17 },
]);
conv("of a large kernel", [1, 1, "H", 1], [4, 1, 7, 1], { pads: [3, 0, 3, 0] }, [{ H: 1 }, { H: 17 }]);
// Wide enough for Winograd's tiles: whole ones, and those that hang over an edge.
for (const [h, w] of [
  [8, 8],
  [7, 9],
  [4, 13],
  [3, 6],
] as const)
  spec(
    `Conv 3x3 of ${h}x${w}, many channels`,
    (b) => {
      const x = b.input(["N", 32, h, w]);
      const y = b.op("Conv", [x, b.constant([48, 32, 3, 3]), b.constant([48])], { pads: [1, 1, 1, 1] });
      const z = b.op("Relu", [b.op("Add", [y, b.input(["N", 48, h, w])])]);
      b.output(b.op("Conv", [z, b.constant([32, 48, 3, 3])], { pads: [1, 0, 0, 1] }));
    },
    [{ N: 1 }, { N: 2 }],
  );
spec(
  "Convs 3x3 that share weights and an input, many channels",
  (b) => {
    const w = b.constant([32, 32, 3, 3]);
    const x = b.op("Relu", [b.op("Conv", [b.input([1, 3, 12, 10]), b.constant([32, 3, 1, 1])])]);
    const y = b.op("Conv", [x, w], { pads: [1, 1, 1, 1] });
    b.output(b.op("Concat", [b.op("Conv", [x, w]), b.op("Conv", [y, w])], { axis: 1 }));
  },
  [{}],
);
spec(
  "ConvTranspose",
  (b) =>
    b.output(
      b.op("ConvTranspose", [b.input([1, 4, "H", 5]), b.constant([4, 3, 3, 3]), b.constant([3])], {
        strides: [2, 2],
        pads: [1, 1, 1, 1],
        output_padding: [1, 1],
      }),
    ),
  [{ H: 5 }, { H: 1 }, { H: 8 }],
);
spec(
  "ConvTranspose grouped, dilated",
  (b) =>
    b.output(
      b.op("ConvTranspose", [b.input([2, 4, 5, "W"]), b.constant([4, 2, 2, 3])], {
        strides: [1, 3],
        group: 2,
        dilations: [2, 1],
      }),
    ),
  [{ W: 5 }, { W: 7 }],
);
spec(
  "two convolutions",
  (b) => {
    const h = b.op("Relu", [
      b.op("Conv", [b.input(["N", 3, "H", 8]), b.constant([9, 3, 3, 3])], { pads: [1, 1, 1, 1] }),
    ]);
    b.output(b.op("Conv", [h, b.constant([4, 9, 3, 3])], { pads: [1, 1, 1, 1], strides: [2, 2] }));
  },
  [
    { N: 1, H: 8 },
    { N: 3, H: 5 },
  ],
);
spec(
  "a residual block",
  (b) => {
    const x = b.op("Conv", [b.input([1, 3, "H", 9]), b.constant([8, 3, 1, 1])]);
    const h = b.op("Relu", [b.op("Conv", [x, b.constant([8, 8, 3, 3]), b.constant([8])], { pads: [1, 1, 1, 1] })]);
    const y = b.op("Conv", [h, b.constant([8, 1, 3, 3])], { pads: [1, 1, 1, 1], group: 8 });
    b.output(b.op("Relu", [b.op("Add", [x, y])]));
  },
  [{ H: 9 }, { H: 4 }],
);
spec(
  "branches joined by Concat",
  (b) => {
    const x = b.op("Relu", [b.op("Conv", [b.input(["N", 3, 8, "W"]), b.constant([6, 3, 1, 1])])]);
    const p = b.op("Conv", [x, b.constant([5, 6, 3, 3])], { pads: [1, 1, 1, 1] });
    const q = b.op("Conv", [x, b.constant([4, 6, 1, 1]), b.constant([4])]);
    const r = b.op("MaxPool", [x], { kernel_shape: [3, 3], pads: [1, 1, 1, 1], strides: [1, 1] });
    b.output(b.op("Conv", [b.op("Concat", [p, b.op("Relu", [q]), r], { axis: 1 }), b.constant([7, 15, 1, 1])]));
  },
  [
    { N: 1, W: 8 },
    { N: 2, W: 5 },
  ],
);
spec(
  "one padded input of three windows",
  (b) => {
    const x = b.op("Relu", [b.input([1, 8, "H", 7])]);
    b.output(
      b.op("Conv", [x, b.constant([8, 1, 5, 5])], { pads: [2, 2, 2, 2], group: 8 }),
      b.op("Conv", [x, b.constant([8, 1, 3, 3])], { pads: [1, 1, 1, 1], group: 8 }),
      b.op("MaxPool", [x], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }),
    );
  },
  [{ H: 7 }, { H: 3 }],
);
spec(
  "Flatten before Gemm",
  (b) => {
    const x = b.op("Conv", [b.input(["N", 2, 6, 6]), b.constant([8, 2, 3, 3])]);
    const p = b.op("MaxPool", [b.op("Relu", [x])], { kernel_shape: [2, 2], strides: [2, 2] });
    b.output(b.op("Gemm", [b.op("Flatten", [p]), b.constant([10, 32]), b.constant([10])], { transB: 1 }));
  },
  [{ N: 1 }, { N: 3 }],
);

export const contractSpecs: readonly Spec[] = all.list;
