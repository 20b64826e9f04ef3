import type { DType } from "./types.ts";

/**
 * A file that a target makes. `code` and `loader` and `plan` run, `types` describe, `weights` are the model's constants.
 * weightBytes: how many of the bytes of a file with another role are weights.
 */
export type OutputFile = {
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly role: "code" | "loader" | "types" | "weights" | "plan";
  readonly weightBytes?: number;
};

/**
 * An input or output of a model that is a sequence or optional: of the program the ports NAME.shapes and NAME, and NAME.present of an
 * optional sequence (src/ops/lists.ts). dims: of an element, null where elements differ; null where their rank is not known.
 */
export type ListPort = {
  readonly name: string;
  readonly kind: "sequence" | "optional" | "optional sequence";
  readonly dtype: DType;
  readonly dims: readonly (number | null)[] | null;
};
export type ListPorts = { readonly inputs: readonly ListPort[]; readonly outputs: readonly ListPort[] };
