// What plugins build operators with: the functions that Ingot's own definitions use. docs/custom-operators.md tells how.

import type { ValueId } from "./base/brand.ts";
import * as dim from "./ir/dim.ts";
import * as expr from "./ir/expr.ts";
import { type GraphBuilder, type OpHead, op } from "./ir/opdef.ts";
import { tensorOf, tensorType, typedView } from "./ir/types.ts";
import { NodeAttributes } from "./onnx/attributes.ts";
import { type AttrSpec, attributeProto } from "./onnx/export.ts";
import { broadcastShapes, likeInput, loadBroadcast, normalAxis, tensor } from "./ops/common.ts";
import { sumOfProducts } from "./ops/contract.ts";
import { OpTable } from "./ops/index.ts";
import { scalarOf, toIndex } from "./ops/ints.ts";
import { callKernel, seq, store, when, whileLoop } from "./ops/kernel.ts";
import { argInto, maxInto, sumInto } from "./ops/reduce.ts";

/**
 * A plugin: the default export of a module, which gives definitions of operators. It gets what it needs as an argument, so it imports
 * nothing of Ingot but types, and is the same Ingot's that loads it.
 *
 *     export default ({ op, expr: E, tensorType }) => [op({ name: "Cube", onnx: [{ domain: "com.example", type: "Cube", since: [1] }], ... })];
 */
export type Plugin = (toolkit: Toolkit) => readonly OpHead[] | Promise<readonly OpHead[]>;

export interface Toolkit {
  /** Gives a definition its type parameter by inference. */
  readonly op: typeof op;
  /** Symbolic integers: shapes are of them. Equal ones are one object. */
  readonly dim: typeof dim;
  /** Scalar expressions: formulas are of them. */
  readonly expr: typeof expr;
  readonly tensorType: typeof tensorType;
  readonly tensorOf: typeof tensorOf;
  readonly typedView: typeof typedView;

  // For infer.
  /** The tensor type of a required input; a diagnostic when it is absent or no tensor. */
  readonly tensor: typeof tensor;
  /** The type of input 0, of one output. */
  readonly likeInput: typeof likeInput;
  readonly broadcastShapes: typeof broadcastShapes;
  readonly normalAxis: typeof normalAxis;

  // For bodies of kind compute.
  /** The element of a buffer that broadcasts to an index of the result. */
  readonly loadBroadcast: typeof loadBroadcast;
  /** The element of a scalar, or of a tensor of one element. */
  readonly scalarOf: typeof scalarOf;
  /** An integer element as an index. */
  readonly toIndex: typeof toIndex;
  /** Reductions at each element of an output: sums, the largest, where the largest or smallest is, and sums of products. */
  readonly sumInto: typeof sumInto;
  readonly maxInto: typeof maxInto;
  readonly argInto: typeof argInto;
  readonly sumOfProducts: typeof sumOfProducts;

  // For bodies of kind loops.
  readonly callKernel: typeof callKernel;
  readonly store: typeof store;
  readonly seq: typeof seq;
  readonly when: typeof when;
  readonly whileLoop: typeof whileLoop;

  // For bodies of kind expand.
  readonly addStandard: typeof addStandard;
}

/**
 * Adds a node of an operator that Ingot has, at the newest opset, with attributes as ONNX writes them: an integer is INT, `{ float: 1 }` is
 * FLOAT. Operators with graphs are no such. Throws an Error for an operator that Ingot does not have.
 */
function addStandard(
  b: GraphBuilder,
  type: string,
  inputs: readonly (ValueId | null)[],
  attributes: Readonly<Record<string, AttrSpec>> = {},
  more: { readonly domain?: string; readonly outputs?: number } = {},
): readonly ValueId[] {
  const { domain = "", outputs = 1 } = more;
  const opset = standard.newest(domain);
  const def = standard.find(domain, type, opset);
  if (!def) throw new Error(`Ingot has no operator ${type} of domain "${domain}"`);
  const node = new NodeAttributes({
    opset,
    type,
    domain,
    inputs: inputs.map((i) => i !== null),
    labels: inputs.map(() => null),
    outputCount: outputs,
    attributes: new Map(Object.entries(attributes).map(([name, a]) => [name, attributeProto(name, a)])),
    loc: { node: type, op: type },
    directory: null,
  });
  const attrs = def.parse(node);
  const unknown = Object.keys(attributes).find((name) => !node.read.has(name));
  if (unknown !== undefined) throw new Error(`${type} has no attribute "${unknown}"`);
  return b.add(def, inputs, attrs, outputs);
}
const standard = new OpTable();

export const toolkit: Toolkit = {
  op,
  dim,
  expr,
  tensorType,
  tensorOf,
  typedView,
  tensor,
  likeInput,
  broadcastShapes,
  normalAxis,
  loadBroadcast,
  scalarOf,
  toIndex,
  sumInto,
  maxInto,
  argInto,
  sumOfProducts,
  callKernel,
  store,
  seq,
  when,
  whileLoop,
  addStandard,
};
