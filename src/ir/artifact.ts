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
