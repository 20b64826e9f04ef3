// Where onnxruntime departs from ONNX, or where ONNX leaves a result open: such cases are not compared with it.
import { countOf } from "../../src/ir/types.ts";
import type { Tensors } from "../../src/run/ports.ts";
import { type FuzzCase, nodesOf } from "./case.ts";

type Results = readonly (Tensors | null)[];
type Peculiarity = {
  readonly op: RegExp;
  readonly when: (c: FuzzCase, results: Results) => boolean;
  readonly reason: string;
};
const onEdges = (c: FuzzCase): boolean => c.style === "edge";
const emptyResult = (_: FuzzCase, results: Results): boolean =>
  results.some((r) => Object.values(r ?? {}).some((t) => countOf(t.dims) === 0));

const peculiarities: readonly Peculiarity[] = [
  { op: /^Cast(Like)?$/, when: onEdges, reason: "numbers outside of an integer type's range are open" },
  { op: /Quantize/, when: onEdges, reason: "what NaN and infinities become is open" },
  { op: /^Arg(Max|Min)$/, when: emptyResult, reason: "of an empty tensor the axis keeps its extent" },
];

/** The reason why a case cannot be compared with onnxruntime, or null. */
export function differsByDesign(c: FuzzCase, results: Results): string | null {
  const ops = nodesOf(c.model).map((n) => n.op);
  return peculiarities.find(({ op, when }) => ops.some((o) => op.test(o)) && when(c, results))?.reason ?? null;
}
