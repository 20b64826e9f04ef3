// The value of a Constant node.
import { userError } from "../base/diagnostics.ts";
import { type Tensor, tensorOf } from "../ir/types.ts";
import { attributeField } from "./attributes.ts";
import type { AttributeProto } from "./schema.ts";
import { readTensor } from "./tensors.ts";

/** Reads the one attribute that a Constant node has. Throws UserErrors E203 and E204. */
export function constantOf(attributes: readonly AttributeProto[], directory: string | null): Tensor {
  const a = attributes.find((x) => x.name.startsWith("value") || x.name === "sparse_value");
  if (!a) throw userError("E204", "the constant has no value");
  const field = attributeField(a);
  switch (a.name) {
    case "value":
      if (field === "t" && a.t) return readTensor(a.t, directory);
      break;
    case "value_float":
      if (field === "f") return tensorOf("f32", [], [a.f ?? 0]);
      break;
    case "value_floats":
      if (field === "floats" || field === null) return tensorOf("f32", [a.floats.length], a.floats);
      break;
    case "value_int":
      if (field === "i") return tensorOf("i64", [], [a.i ?? 0n]);
      break;
    case "value_ints":
      if (field === "ints" || field === null) return tensorOf("i64", [a.ints.length], a.ints);
      break;
    case "sparse_value":
      throw userError("E203", "sparse tensors are not supported");
    default:
      throw userError("E203", "constants of strings are not supported");
  }
  throw userError("E204", `attribute "${a.name}" is of the wrong kind`);
}
