// Model-local functions: their names, and the attributes of a call.
import { normalDomain } from "./info.ts";
import type { AttributeProto, FunctionProto } from "./schema.ts";

/** Names a function; overloads differ in a name that the caller gives. */
export function functionKey(domain: string, name: string, overload: string): string {
  return JSON.stringify([normalDomain(domain), name, overload]);
}

/** A node's attributes by name, those that refer to an attribute of the call being inlined replaced by it, or dropped where the call leaves it out. */
export function resolveAttributes(
  list: readonly AttributeProto[],
  call: ReadonlyMap<string, AttributeProto>,
): ReadonlyMap<string, AttributeProto> {
  const found = new Map<string, AttributeProto>();
  for (const a of list) {
    if (a.refAttrName === "") found.set(a.name, a);
    else {
      const given = call.get(a.refAttrName);
      if (given) found.set(a.name, { ...given, name: a.name });
    }
  }
  return found;
}

/** What the nodes of `f` may refer to: the call's attributes, and defaults for those that it leaves out. */
export function bindAttributes(
  f: FunctionProto,
  call: ReadonlyMap<string, AttributeProto>,
): ReadonlyMap<string, AttributeProto> {
  const bound = new Map(f.attributeProto.map((a) => [a.name, a]));
  for (const name of [...f.attribute, ...bound.keys()]) {
    const given = call.get(name);
    if (given) bound.set(name, given);
  }
  return bound;
}
