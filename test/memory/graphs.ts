// Random graphs of many element types: values of one byte to eight, sequences of kernels that need memory of their own, parts of a whole,
// buffers on the heap.
import type { ValueId } from "../../src/base/brand.ts";
import type { DType } from "../../src/ir/types.ts";
import { type Builder, Random } from "../schedule/build.ts";

const numeric: readonly DType[] = ["f32", "i64", "u64", "i32", "f16", "u8", "i8", "f64"];

/** Of values [A, B] and, after a reduction, [A, 1]. `types`: those that inputs and casts may have. */
export function mixedGraph(b: Builder, seed: number, types: readonly DType[] = numeric): void {
  const r = new Random(seed * 31 + 7);
  const values: ValueId[] = [];
  const used = new Set<ValueId>();
  const use = (v: ValueId): ValueId => {
    used.add(v);
    return v;
  };
  const pick = (fits: (v: ValueId) => boolean = () => true): ValueId => {
    const all = values.filter(fits);
    return use(all[Math.max(r.below(all.length), r.below(all.length))]!);
  };
  const dtype = (v: ValueId): DType => {
    const t = b.type(v);
    return t.kind === "tensor" ? t.tensor.dtype : "bool";
  };
  const alike = (x: ValueId) => (v: ValueId) =>
    dtype(v) === dtype(x) && b.shape(v).every((d, k) => d === b.shape(x)[k]);
  const isFloat = (v: ValueId): boolean => dtype(v).startsWith("f");
  const wide: readonly DType[] = ["f32", "i64", "u64", "i32", "f64"];
  const inputs = Array.from({ length: 2 }, () => b.input(["A", "B"], r.pick(types)));
  values.push(...inputs);
  const casted = (v: ValueId, to: readonly DType[]): ValueId =>
    to.includes(dtype(v)) ? v : b.op("Cast", [v], { to: to.find((d) => types.includes(d))! });
  const step = (): readonly ValueId[] => {
    switch (r.below(9)) {
      case 0:
      case 1:
        return [b.op("Cast", [pick()], { to: r.pick(types) })];
      case 2:
        return [b.op("CumSum", [casted(pick(), wide), b.scalar(r.below(2), "i64")], { reverse: r.below(2) })];
      case 3: {
        const x = pick();
        return [b.op(r.pick(["Add", "Max", "Mul"]), [x, pick(alike(x))])];
      }
      case 4: {
        const x = pick();
        return b.ops("Split", [b.op("Concat", [x, pick(alike(x))], { axis: 0 })], { axis: 0, num_outputs: 2 }, 2);
      }
      case 5:
        return [b.op("ReduceMax", [casted(pick(), wide), b.ints([1])], { keepdims: 1 })];
      case 6:
        return [
          b.op("Softmax", [isFloat(values.at(-1)!) ? use(values.at(-1)!) : casted(pick(), ["f32"])], {
            axis: r.below(2),
          }),
        ];
      case 7: {
        const x = casted(pick(), ["f32", "i64"]);
        const [top, at] = b.ops("TopK", [x, b.ints([1])], { axis: 0 }, 2);
        return [b.op("Max", [top!, x]), b.op("Add", [at!, b.op("Cast", [x], { to: "i64" })])];
      }
      default: {
        // How many elements are not 0 decides about the size of a heap buffer.
        const x = pick();
        const found = b.op("ReduceSum", [b.op("NonZero", [x])], { keepdims: 0 });
        return [b.op("Add", [b.op("Cast", [x], { to: "i64" }), found])];
      }
    }
  };
  for (let k = 0; k < 4 + r.below(8); k++) values.push(...step());
  const leaves = values.filter((v) => !used.has(v) && !inputs.includes(v));
  b.output(...(leaves.length > 0 ? leaves : values.slice(-1)));
}
