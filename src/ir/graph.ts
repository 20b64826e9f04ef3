// G, the graph: which value is computed by which op; not how.
import type { NodeId, ValueId } from "../base/brand.ts";
import type { Loc } from "../base/diagnostics.ts";
import type { Sym } from "./dim.ts";
import type { OpDef, OpHead, PartialTensor } from "./opdef.ts";
import type { Tensor, TensorType, ValueType } from "./types.ts";

export type AttrValue =
  | number
  | bigint
  | string
  | boolean
  | readonly number[]
  | readonly string[]
  | Tensor
  | readonly Tensor[]
  | Graph
  | readonly Graph[]
  | TensorType
  | ValueType;
export type Attrs = { readonly [name: string]: AttrValue | undefined };

/** attrs is unknown on purpose: with Node<any> the guard is() narrows nothing and typos compile. null inputs are absent optional ones. */
export interface AnyNode {
  readonly id: NodeId;
  readonly def: OpHead;
  readonly attrs: unknown;
  readonly inputs: readonly (ValueId | null)[];
  /** null: an optional output that the model does not ask for. */
  readonly outputs: readonly (ValueId | null)[];
  readonly loc: Loc;
}
export interface Node<A extends Attrs> extends AnyNode {
  readonly def: OpDef<A>;
  readonly attrs: A;
}
/**
 * constant: an initializer, or a value that folding has found. known: what is known of a shape-like value's elements. A sequence or
 * optional has one of two forms: elements, the values that it holds, where that is known at compile time; else parts, the tensors that
 * hold it in the run (src/ops/lists.ts). Neither is anything but a name for those: no node of a finished graph reads or makes one.
 */
export type Value = {
  readonly id: ValueId;
  readonly name: string;
  readonly type: ValueType;
  readonly constant?: Tensor;
  readonly known?: PartialTensor;
  readonly elements?: readonly ValueId[];
  readonly parts?: readonly ValueId[];
};
/**
 * Nodes stand in topological order. A body graph (of If, Loop, Scan) sees nothing of its surroundings: what it captures is made
 * extra inputs at import, passed as extra inputs of its node. Value and node ids are unique within one graph.
 */
export type Graph = {
  readonly name: string;
  readonly symbols: readonly Sym[];
  readonly inputs: readonly ValueId[];
  readonly outputs: readonly ValueId[];
  readonly values: ReadonlyMap<ValueId, Value>;
  readonly nodes: readonly AnyNode[];
};
export function is<A extends Attrs>(n: AnyNode, def: OpDef<A>): n is Node<A> {
  return n.def === def;
}
