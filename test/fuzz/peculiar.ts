// Where onnxruntime departs from ONNX, or where ONNX leaves a result open: such cases are not compared with it.
import { type FuzzCase, nodesOf } from "./case.ts";

/** [operator, when, reason] */
const peculiarities: readonly (readonly [op: RegExp, when: (c: FuzzCase) => boolean, reason: string])[] = [
  [/^(Cast|CastLike)$/, (c) => c.style === "edge", "numbers outside of an integer type's range are open"],
];

/** The reason why a case cannot be compared with onnxruntime, or null. */
export function differsByDesign(c: FuzzCase): string | null {
  const ops = nodesOf(c.model).map((n) => n.op);
  return peculiarities.find(([op, when]) => ops.some((o) => op.test(o)) && when(c))?.[2] ?? null;
}
