// What a loader knows of a compiled program: data that the compiler writes and the runtime reads.

/** An input or output. type is ONNX's name of the element type (float, int64, bool, ...). A dim is a number, the name of a symbol, or an expression over symbols. */
export type PortInfo = {
  readonly name: string;
  readonly type: string;
  readonly dims: readonly (number | string)[];
  /** An output with a dim that depends on data: known only after the run. */
  readonly late?: true;
  /** Of an output: what its elements are positions of (text, in the model), or what its columns, along the last axis, are called. */
  readonly labels?: { readonly of: "elements" | "columns"; readonly names: readonly (string | number)[] };
};
/** A symbol is read from axis `axis` of input `input`; max null: no limit but that of a 32-bit integer. */
export type SymbolInfo = {
  readonly name: string;
  readonly input: number;
  readonly axis: number;
  readonly min: number;
  readonly max: number | null;
};
/**
 * A sequence or optional: the ports NAME.shapes (int32 [elements, 9]: of each its rank, its dims, then ones) and NAME (the elements one
 * after another), and NAME.present of an optional sequence. dims of an element: null where they differ, or where its rank does.
 */
export type ListInfo = {
  readonly name: string;
  readonly kind: "sequence" | "optional" | "optional sequence";
  readonly type: string;
  readonly dims: readonly (number | string)[] | null;
};
export type Lists = { readonly inputs: readonly ListInfo[]; readonly outputs: readonly ListInfo[] };
export type Manifest = {
  readonly name: string;
  readonly inputs: readonly PortInfo[];
  readonly outputs: readonly PortInfo[];
  /** In the order of plan's parameters. */
  readonly symbols: readonly SymbolInfo[];
  /** Why dims are refused that do not fit each other, by the index whose complement (~) plan returns. */
  readonly requires?: readonly string[];
  /** Bytes of the regions of memory; text where they depend on symbols. */
  readonly sizes: { readonly weights: number; readonly prepared: number; readonly arena: number | string };
  /** Where the weights are: in the module's own data, in the loader's text (base64), or in a file beside. */
  readonly weights: "module" | "text" | "file";
};
