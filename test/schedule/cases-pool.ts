// Pools.
import { type Spec, Specs } from "./spec.ts";

const all = new Specs();
const spec = all.add.bind(all);
spec(
  "MaxPool",
  (b) =>
    b.output(
      b.op("MaxPool", [b.input(["N", 5, "H", 12])], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }),
    ),
  [
    { N: 1, H: 13 },
    { N: 3, H: 2 },
  ],
);
spec(
  "MaxPool with ceil_mode",
  (b) => b.output(b.op("MaxPool", [b.input([1, 8, "H", 12])], { kernel_shape: [3, 2], strides: [2, 2], ceil_mode: 1 })),
  [{ H: 13 }, { H: 8 }],
);
spec(
  "MaxPool with indices",
  (b) =>
    b.output(
      ...b.ops("MaxPool", [b.input([2, 4, "H", 9])], { kernel_shape: [2, 3], strides: [2, 2], pads: [1, 1, 0, 1] }, 2),
    ),
  [{ H: 9 }, { H: 4 }],
);
spec(
  "AveragePool",
  (b) =>
    b.output(
      b.op("AveragePool", [b.input(["N", 8, "H", 7])], { kernel_shape: [2, 2], strides: [2, 2], pads: [0, 0, 1, 1] }),
    ),
  [
    { N: 2, H: 7 },
    { N: 1, H: 8 },
  ],
);
spec(
  "AveragePool that counts the pad",
  (b) =>
    b.output(
      b.op("AveragePool", [b.input([1, 3, "H", 8])], {
        kernel_shape: [3, 3],
        pads: [1, 1, 1, 1],
        count_include_pad: 1,
      }),
    ),
  [{ H: 8 }, { H: 1 }],
);
spec(
  "AveragePool of one axis",
  (b) =>
    b.output(
      b.op("AveragePool", [b.input(["N", 4, "L"])], { kernel_shape: [4], strides: [1], auto_pad: "SAME_UPPER" }),
    ),
  [
    { N: 1, L: 33 },
    { N: 2, L: 5 },
  ],
);
spec("GlobalAveragePool", (b) => b.output(b.op("GlobalAveragePool", [b.input(["N", "C", "H", 5])])), [
  { N: 1, C: 17, H: 7 },
  { N: 2, C: 8, H: 1 },
]);
spec(
  "GlobalMaxPool of a convolution",
  (b) => b.output(b.op("GlobalMaxPool", [b.op("Conv", [b.input([1, 3, "H", 8]), b.constant([17, 3, 3, 3])])])),
  [{ H: 8 }, { H: 5 }],
);
spec(
  "LpPool",
  (b) => b.output(b.op("LpPool", [b.input([1, 4, "H", 8])], { kernel_shape: [3, 3], p: 2, pads: [1, 1, 1, 1] })),
  [{ H: 8 }, { H: 3 }],
);

export const poolSpecs: readonly Spec[] = all.list;
