// What the table of operators tells of each: attributes with their kinds, by reading them, and the numbers of inputs, by inference.
import type { NodeId } from "../../src/base/brand.ts";
import { UserError } from "../../src/base/diagnostics.ts";
import * as D from "../../src/ir/dim.ts";
import type { Attrs } from "../../src/ir/graph.ts";
import { GraphMaker } from "../../src/ir/graph-maker.ts";
import type { OpDef, RawNode } from "../../src/ir/opdef.ts";
import { type DType, tensorType } from "../../src/ir/types.ts";
import { allOps, newestOpset } from "../../src/ops/index.ts";

export type AttrKind = "int" | "float" | "string" | "ints" | "floats" | "dtype";
export type AttrFact = { readonly name: string; readonly kind: AttrKind; readonly dflt: unknown };
export type OpFact = {
  readonly domain: string;
  readonly type: string;
  readonly def: OpDef<Attrs>;
  readonly attrs: readonly AttrFact[];
};
/** An operator whose inputs are all of one type and shape, at least so many. */
export type UniformOp = OpFact & { readonly arity: number };

const opsetOf = (domain: string): number => (domain === "" ? 21 : (newestOpset.get(domain) ?? 1));
const loc = { node: "probe", op: "probe" };
class Refused extends Error {}

function probe(
  def: OpDef<Attrs>,
  domain: string,
  type: string,
): { readonly attrs: AttrFact[]; readonly parsed: Attrs | null } {
  const attrs: AttrFact[] = [];
  const note = <T>(name: string, kind: AttrKind, dflt: T | undefined, dummy: T): T => {
    if (!attrs.some((a) => a.name === name)) attrs.push({ name, kind, dflt });
    return dflt ?? dummy;
  };
  let complete = true;
  const needed = <T>(x: T): T => {
    complete = false;
    return x;
  };
  const raw: RawNode = {
    opset: opsetOf(domain),
    type,
    domain,
    inputCount: 1,
    outputCount: 1,
    has: () => false,
    hasInput: () => true,
    labels: () => null,
    int: (name, dflt) => note(name, "int", dflt, dflt ?? needed(0)),
    float: (name, dflt) => note(name, "float", dflt, dflt ?? needed(0)),
    string: (name, dflt) => note(name, "string", dflt, dflt ?? needed("")),
    ints: (name) => note<readonly number[] | undefined>(name, "ints", undefined, undefined),
    floats: (name) => note<readonly number[] | undefined>(name, "floats", undefined, undefined),
    strings: () => undefined,
    tensor: () => undefined,
    graph: () => undefined,
    valueType: () => undefined,
    dtype: (name, dflt) => note<DType>(name, "dtype", dflt, dflt ?? needed<DType>("f32")),
    fail: () => {
      throw new Refused();
    },
  };
  try {
    const parsed = def.parse(raw);
    return { attrs, parsed: complete ? parsed : null };
  } catch (e) {
    if (!(e instanceof Refused) && !(e instanceof UserError)) throw e;
    return { attrs, parsed: null };
  }
}

/** The smallest number of inputs of one type and shape that the operator takes, or null. */
function arityOf(def: OpDef<Attrs>, attrs: Attrs): number | null {
  for (const arity of [1, 2, 3])
    for (const dtype of ["f32", "i64", "bool", "u8"] as const) if (takes(def, attrs, dtype, arity)) return arity;
  return null;
}
function takes(def: OpDef<Attrs>, attrs: Attrs, dtype: DType, arity: number): boolean {
  const m = new GraphMaker("probe");
  const inputs = Array.from({ length: arity }, (_, k) => m.input(`x${k}`, tensorType(dtype, [D.int(2), D.int(3)])));
  try {
    m.node(def, attrs, inputs, ["y"], loc);
    return true;
  } catch (e) {
    if (!(e instanceof UserError)) return false;
    return false;
  }
}

export type { NodeId };

export const facts: readonly OpFact[] = allOps.flatMap((def) =>
  def.onnx.map(({ domain, type }) => ({ domain, type, def, attrs: probe(def, domain, type).attrs })),
);
export const factOf: ReadonlyMap<string, OpFact> = new Map(facts.map((f) => [`${f.domain}:${f.type}`, f]));

/** Operators that need no more than inputs of one type and shape: found by asking each. */
export const uniformOps: readonly UniformOp[] = facts.flatMap((f) => {
  if (f.def.effects === "random" || f.def.body.kind === "control") return [];
  const { parsed } = probe(f.def, f.domain, f.type);
  const arity = parsed && arityOf(f.def, parsed);
  return arity ? [{ ...f, arity }] : [];
});
