// The values of initializers and Constant nodes. Text becomes positions in a list of its different strings.
import { fromUtf8 } from "../base/bytes.ts";
import { userError } from "../base/diagnostics.ts";
import type { Labels } from "../ir/opdef.ts";
import { countOf, type Tensor, tensorOf } from "../ir/types.ts";
import { attributeField } from "./attributes.ts";
import type { AttributeProto, TensorProto } from "./schema.ts";
import { readTensor, stringType } from "./tensors.ts";

/** labels: what the numbers stand for, where the model has text. */
export type Constant = { readonly tensor: Tensor; readonly labels: Labels | null };

/** The constant that `t` holds. Throws UserErrors as readTensor does. */
export function readConstant(t: TensorProto, directory: string | null): Constant {
  if (t.dataType !== stringType) return { tensor: readTensor(t, directory), labels: null };
  if (t.stringData.length !== countOf(t.dims))
    throw userError("E104", `tensor "${t.name}" holds ${t.stringData.length} strings for shape [${t.dims.join(", ")}]`);
  return textOf(t.dims, t.stringData.map(fromUtf8));
}
function textOf(dims: readonly number[], strings: readonly string[]): Constant {
  const names = [...new Set(strings)];
  const position = new Map(names.map((s, k) => [s, k]));
  const tensor = tensorOf(
    "i64",
    dims,
    strings.map((s) => position.get(s)!),
  );
  return { tensor, labels: { of: "elements", names } };
}

/** Reads the one attribute that a Constant node has. Throws UserErrors E203 and E204. */
export function constantOf(attributes: readonly AttributeProto[], directory: string | null): Constant {
  const a = attributes.find((x) => x.name.startsWith("value") || x.name === "sparse_value");
  if (!a) throw userError("E204", "the constant has no value");
  const field = attributeField(a);
  const plain = (tensor: Tensor): Constant => ({ tensor, labels: null });
  switch (a.name) {
    case "value":
      if (field === "t" && a.t) return readConstant(a.t, directory);
      break;
    case "value_float":
      if (field === "f") return plain(tensorOf("f32", [], [a.f ?? 0]));
      break;
    case "value_floats":
      if (field === "floats" || field === null) return plain(tensorOf("f32", [a.floats.length], a.floats));
      break;
    case "value_int":
      if (field === "i") return plain(tensorOf("i64", [], [a.i ?? 0n]));
      break;
    case "value_ints":
      if (field === "ints" || field === null) return plain(tensorOf("i64", [a.ints.length], a.ints));
      break;
    case "value_string":
      if (field === "s") return textOf([], [a.s ? fromUtf8(a.s) : ""]);
      break;
    case "value_strings":
      if (field === "strings" || field === null) return textOf([a.strings.length], a.strings.map(fromUtf8));
      break;
    default:
      throw userError("E203", "sparse tensors are not supported");
  }
  throw userError("E204", `attribute "${a.name}" is of the wrong kind`);
}
