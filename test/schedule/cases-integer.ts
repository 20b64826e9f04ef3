// Sums of products of integers: exact on every target, whatever is packed in pairs and however it is summed.
import { type DType, tensorOf } from "../../src/ir/types.ts";
import type { Builder } from "./build.ts";
import { type Spec, Specs, walk } from "./spec.ts";

const specs = new Specs();
const spec = specs.add.bind(specs);
export const integerSpecs: readonly Spec[] = specs.list;

/** Scales of powers of two: quotients and products are exact, so that f64 rounds as f32 does. */
const scale = (b: Builder, log2: number): ReturnType<Builder["scalar"]> => b.scalar(2 ** log2);

const matmul = (
  name: string,
  [k, n]: readonly [number, number],
  [p, q]: readonly [DType, DType],
  zeros: { a?: number; b?: number | "columns" } = {},
): void =>
  spec(
    `MatMulInteger ${name}`,
    (b) => {
      const columns = tensorOf(
        q,
        [n],
        Array.from({ length: n }, (_, i) => (i % 5) + 1),
      );
      b.output(
        b.op("MatMulInteger", [
          b.input(["M", k], p),
          b.constant([k, n], q),
          zeros.a === undefined ? null : b.scalar(zeros.a, p),
          zeros.b === undefined ? null : zeros.b === "columns" ? b.tensor(columns) : b.scalar(zeros.b, q),
        ]),
      );
    },
    walk("M"),
  );
matmul("u8 by i8", [16, 24], ["u8", "i8"], { a: 3 });
matmul("u8 by i8, no zero points, odd sum", [21, 17], ["u8", "i8"]);
matmul("i8 by u8, weights beyond i8", [32, 40], ["i8", "u8"], { a: -7, b: 100 });
matmul("u8 by u8 about 128", [10, 9], ["u8", "u8"], { a: 255, b: 128 });
matmul("i8 by i8, a zero point for each column", [13, 33], ["i8", "i8"], { a: -128, b: "columns" });
matmul("of few columns", [24, 3], ["u8", "i8"], { a: 9 });
matmul("of two", [2, 8], ["u8", "i8"], { a: 9 });

spec("MatMulInteger with a zero point for each row", (b) =>
  b.output(
    b.op("MatMulInteger", [b.input([5, 19], "u8"), b.constant([19, 16], "u8"), b.input([5], "u8"), b.input([], "u8")]),
  ),
);
spec("MatMulInteger by a vector", (b) =>
  b.output(b.op("MatMulInteger", [b.input([18], "u8"), b.constant([18, 70], "i8"), b.input([], "u8")])),
);
spec(
  "MatMulInteger of two inputs",
  (b) => b.output(b.op("MatMulInteger", [b.input([2, "M", "K"], "u8"), b.input(["K", 16], "i8"), b.input([], "u8")])),
  walk("M", "K"),
);
spec(
  "MatMulInteger in batches",
  (b) =>
    b.output(
      b.op("MatMulInteger", [b.input(["B", 9, 11], "i8"), b.input(["B", 11, "N"], "u8"), null, b.scalar(100, "u8")]),
    ),
  walk("B", "N"),
);
spec(
  "one quantised operand of several products",
  (b) => {
    const x = b.input(["M", 12], "u8");
    const [zero, other] = [b.input([], "u8"), b.input([], "u8")];
    const w = b.constant([12, 20], "i8");
    b.output(b.op("MatMulInteger", [x, w, zero]), b.op("MatMulInteger", [x, b.constant([12, 8], "i8"), zero]));
    b.output(b.op("MatMulInteger", [x, w, other]), b.op("Cast", [x], { to: "f32" }));
  },
  walk("M"),
);
spec(
  "QLinearMatMul",
  (b) =>
    b.output(
      b.op("QLinearMatMul", [
        b.op("QuantizeLinear", [b.input(["M", 26]), scale(b, -5), b.scalar(90, "u8")]),
        scale(b, -5),
        b.scalar(90, "u8"),
        b.constant([26, 18], "i8"),
        scale(b, -6),
        b.scalar(2, "i8"),
        scale(b, -3),
        b.scalar(100, "u8"),
      ]),
    ),
  walk("M"),
);

const conv = (
  name: string,
  x: readonly (number | string)[],
  w: readonly number[],
  attrs: Record<string, number | readonly number[]>,
  sizes = [{ H: 9 }, { H: 4 }],
): void => {
  spec(
    `ConvInteger ${name}`,
    (b) =>
      b.output(
        b.op("ConvInteger", [b.input(x, "u8"), b.constant(w, "u8"), b.input([], "u8"), b.scalar(128, "u8")], attrs),
      ),
    sizes,
  );
  spec(
    `QLinearConv ${name}`,
    (b) => {
      const bias = tensorOf(
        "i32",
        [w[0]!],
        Array.from({ length: w[0]! }, (_, i) => 17 * i - 40),
      );
      b.output(
        b.op(
          "QLinearConv",
          [
            b.input(x, "u8"),
            scale(b, -4),
            b.scalar(11, "u8"),
            b.constant(w, "i8"),
            scale(b, -7),
            b.scalar(0, "i8"),
            scale(b, -2),
            b.scalar(77, "u8"),
            b.tensor(bias),
          ],
          attrs,
        ),
      );
    },
    sizes,
  );
};
conv("3x3", [1, 6, "H", 10], [16, 6, 3, 3], { pads: [1, 1, 1, 1] });
conv("3x3 of odd channels, strides", [2, 5, "H", 9], [9, 5, 3, 3], { pads: [1, 0, 1, 2], strides: [2, 2] });
conv("1x1", [1, 12, "H", 5], [20, 12, 1, 1], {});
conv("of one channel", [1, 1, "H", 8], [8, 1, 3, 3], { pads: [1, 1, 1, 1] });
conv("in groups", [1, 8, "H", 6], [8, 4, 3, 3], { pads: [1, 1, 1, 1], group: 2 });
conv("depthwise", [1, 8, "H", 6], [8, 1, 3, 3], { pads: [1, 1, 1, 1], group: 8 });
conv("along one axis, dilated", [1, 10, "H"], [12, 10, 5], { pads: [4, 4], dilations: [2] }, [{ H: 21 }, { H: 8 }]);
