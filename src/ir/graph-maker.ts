// Builds graphs: adds nodes, infers their outputs' types, and propagates what is known of shape-like values.
import { assert, InternalError, must } from "../base/assert.ts";
import type { BufferId, NodeId, SymbolId, ValueId } from "../base/brand.ts";
import { type Loc, UserError, userError } from "../base/diagnostics.ts";
import type { Sym } from "./dim.ts";
import * as D from "./dim.ts";
import type { AnyNode, Attrs, Graph, Node, Value } from "./graph.ts";
import { copyNodes } from "./graph-copy.ts";
import type { BodyMaker, GraphBuilder, InferCtx, OpDef, PartialTensor } from "./opdef.ts";
import type { Requirement } from "./program.ts";
import { evaluateSymbolically, knownOf, maxKnown, rangesOf } from "./symbolic.ts";
import { allDims, makeTeBuilder, TeContext, tensorShape } from "./te-builder.ts";
import { countOf, isFloat, type Tensor, tensorOf, type ValueType } from "./types.ts";

/** The definition of a node whose attributes were parsed by it: the one place where an untyped node meets its own definition. */
export function defOf(n: Pick<AnyNode, "def">): OpDef<Attrs> {
  return n.def as OpDef<Attrs>;
}

type Inferring = Pick<InferCtx, "outputCount" | "ranges" | "give" | "fresh" | "require"> & { readonly loc: Loc };
function inferred(
  def: OpDef<Attrs>,
  attrs: Attrs,
  ins: readonly (Value | null)[],
  { loc, ...rest }: Inferring,
): readonly ValueType[] {
  const ctx: InferCtx = {
    ...rest,
    known: (i) => ins[i]?.known ?? null,
    dims: (i) => allDims(ins[i]?.known ?? null),
    constant: (i) => ins[i]?.constant ?? null,
    fail: (message, hint) => {
      throw userError("E205", message, { loc, hint });
    },
  };
  try {
    return def.infer(
      ins.map((i) => i?.type ?? null),
      attrs,
      ctx,
    );
  } catch (e) {
    if (e instanceof UserError) throw e;
    throw new InternalError(`infer of ${def.name} "${loc.node}": ${(e as Error).message}`, { cause: e });
  }
}
/** What a node's infer requires of a run, over the symbols of its inputs. */
export function requirementsOf(
  n: AnyNode,
  ins: readonly (Value | null)[],
  symbols: readonly Sym[],
): readonly Requirement[] {
  const found: Requirement[] = [];
  const own = new Set<SymbolId>();
  inferred(defOf(n), n.attrs as Attrs, ins, {
    outputCount: n.outputs.length,
    loc: n.loc,
    ranges: rangesOf(symbols),
    give: () => {},
    fresh: (stem) => {
      const id = `$${stem}.of` as SymbolId;
      own.add(id);
      return D.sym(id);
    },
    require: (zero, why) => {
      found.push({ zero, why });
    },
  });
  return found.filter((r) => ![...D.symbolsOf(r.zero)].some((id) => own.has(id)));
}

export class GraphMaker implements GraphBuilder {
  readonly name: string;
  readonly symbols: Sym[] = [];
  readonly values: Map<ValueId, Value> = new Map();
  readonly nodes: AnyNode[] = [];
  readonly inputs: ValueId[] = [];
  /** Where nodes added through `add` come from. */
  loc: Loc = { node: "", op: "" };
  private nextValue = 0;
  private nextNode = 0;
  private readonly nextSymbol: { n: number };

  /** A maker that shares `parent`'s counter names its fresh symbols apart from the parent's. */
  constructor(name: string, parent?: GraphMaker) {
    this.name = name;
    this.nextSymbol = parent ? parent.nextSymbol : { n: 0 };
    if (parent) this.symbols.push(...parent.symbols);
  }
  /** Takes over symbols and ids of an existing graph, so that new ones differ. Its nodes are not copied. */
  static from(g: Graph): GraphMaker {
    const m = new GraphMaker(g.name);
    m.symbols.push(...g.symbols);
    m.nextSymbol.n = g.symbols.length;
    for (const [id, v] of g.values) {
      m.values.set(id, v);
      m.nextValue = Math.max(m.nextValue, id + 1);
    }
    for (const n of g.nodes) m.nextNode = Math.max(m.nextNode, n.id + 1);
    m.inputs.push(...g.inputs);
    return m;
  }

  symbol(s: Sym): void {
    if (!this.symbols.some((x) => x.id === s.id)) this.symbols.push(s);
  }
  /** Fresh symbols are numbered from n. */
  startSymbolsAt(n: number): void {
    this.nextSymbol.n = Math.max(this.nextSymbol.n, n);
  }
  rename(v: ValueId, name: string): void {
    this.values.set(v, { ...this.get(v), name });
  }
  input(name: string, type: ValueType, known?: PartialTensor | null): ValueId {
    const id = this.value(name, type, known ? { known } : {});
    this.inputs.push(id);
    return id;
  }
  constant(t: Tensor, name?: string): ValueId {
    const known = knownOf(t);
    return this.value(
      name ?? `const.${this.nextValue}`,
      { kind: "tensor", tensor: { dtype: t.dtype, shape: t.dims.map(D.int) } },
      { constant: t, ...(known ? { known } : {}) },
    );
  }
  value(name: string, type: ValueType, more: Pick<Value, "constant" | "known" | "elements" | "parts"> = {}): ValueId {
    const id = this.nextValue++ as ValueId;
    this.values.set(id, { id, name, type, ...more });
    return id;
  }
  /** Values that are made from now on have this id or a larger one. */
  get nextValueId(): number {
    return this.nextValue;
  }
  /** The next free node id, for nodes copied from elsewhere. */
  nodeId(): NodeId {
    return this.nextNode++ as NodeId;
  }
  get(v: ValueId): Value {
    return must(this.values.get(v), `value ${v}`);
  }
  type(v: ValueId): ValueType {
    return this.get(v).type;
  }
  known(v: ValueId): PartialTensor | null {
    return this.get(v).known ?? null;
  }
  constantOf(v: ValueId): Tensor | null {
    return this.get(v).constant ?? null;
  }
  elements(v: ValueId): readonly ValueId[] | null {
    return this.get(v).elements ?? null;
  }
  collection(type: ValueType, elements: readonly ValueId[]): ValueId {
    return this.value(`${this.loc.node}.${type.kind}.${this.nextValue}`, type, { elements });
  }
  parts(v: ValueId): readonly ValueId[] | null {
    return this.get(v).parts ?? null;
  }
  list(type: ValueType, parts: readonly ValueId[]): ValueId {
    return this.value(`${this.loc.node}.${type.kind}.${this.nextValue}`, type, { parts });
  }
  fresh(stem: string): D.Dim {
    return D.sym(`$${stem}.${this.nextSymbol.n++}` as SymbolId);
  }
  body(name: string, types: readonly ValueType[], make: BodyMaker): Graph {
    const m = new GraphMaker(`${this.loc.node}.${name}`, this);
    m.loc = this.loc;
    const inputs = types.map((t, k) => m.input(`${name}.${k}`, t));
    for (const t of types)
      for (const d of tensorShape(t) ?? [])
        for (const id of D.symbolsOf(d)) m.symbol({ id, min: 0, max: null, def: "data" });
    return m.finish(make(m, inputs));
  }
  inline(g: Graph, inputs: readonly ValueId[]): readonly ValueId[] {
    const get = copyNodes(this, g, new Map(g.inputs.map((id, k) => [id, must(inputs[k], `input ${k} of ${g.name}`)])));
    return g.outputs.map(get);
  }
  /** A node like another one, with other inputs. */
  again(
    n: AnyNode,
    inputs: readonly (ValueId | null)[],
    outputNames: readonly (string | null)[],
  ): readonly (ValueId | null)[] {
    return this.node(defOf(n), n.attrs as Attrs, inputs, outputNames, n.loc);
  }
  fail(message: string, hint?: string): never {
    throw userError("E204", message, { loc: this.loc, hint });
  }

  add<A extends Attrs>(def: OpDef<A>, inputs: readonly (ValueId | null)[], attrs: A, outputs = 1): readonly ValueId[] {
    const names = Array.from(
      { length: outputs },
      (_, k) => `${this.loc.node}.${def.name}.${this.nextNode}${outputs > 1 ? `.${k}` : ""}`,
    );
    return this.node(def as unknown as OpDef<Attrs>, attrs, inputs, names, this.loc) as readonly ValueId[];
  }

  /**
   * Adds a node and its output values (null names: outputs that nobody wants). Throws a UserError at `loc` when types or shapes
   * do not fit.
   */
  node(
    def: OpDef<Attrs>,
    attrs: Attrs,
    inputs: readonly (ValueId | null)[],
    outputNames: readonly (string | null)[],
    loc: Loc,
  ): readonly (ValueId | null)[] {
    const resolved = this.resolve(def, attrs, inputs, outputNames, loc);
    if (resolved) return resolved;
    const given = new Map<number, PartialTensor>();
    const types = this.infer(def, attrs, inputs, outputNames.length, loc, given);
    if (types.length < outputNames.length)
      throw userError("E204", `${def.name} has ${types.length} outputs here, not ${outputNames.length}`, { loc });
    const ins = inputs.map((i) => (i === null ? null : this.get(i)));
    const knowns = types.map((t, k) => given.get(k) ?? null);
    if (knowns.every((k) => k === null)) this.propagate(def, attrs, ins, types, loc, knowns);
    // A lowering may write its first output, and kernels in loops all that they make, whether the model asks for it or not.
    const made = (k: number): boolean => k === 0 || def.body.kind === "loops";
    const outputs = outputNames.map((given, k) => {
      const name = given ?? (made(k) ? `${loc.node}.${k}` : null);
      if (name === null) return null;
      const type = types[k]!;
      const known = knowns[k] ?? null;
      const constant = known && def.effects === "none" ? constantFrom(known, type) : null;
      return this.value(name, type, { ...(known ? { known } : {}), ...(constant ? { constant } : {}) });
    });
    this.nodes.push({ id: this.nodeId(), def, attrs, inputs, outputs, loc });
    return outputs;
  }

  /** What stands for the outputs of a node that resolves at once. */
  private resolve(
    def: OpDef<Attrs>,
    attrs: Attrs,
    inputs: readonly (ValueId | null)[],
    outputNames: readonly (string | null)[],
    loc: Loc,
  ): readonly (ValueId | null)[] | null {
    if (!def.eager) return null;
    const first = this.nextValue;
    const outer = this.loc;
    this.loc = loc;
    try {
      const values = def.eager(this, {
        id: -1 as NodeId,
        def,
        attrs,
        inputs,
        outputs: outputNames.map(() => null),
        loc,
      });
      if (!values) return null;
      return outputNames.map((name, k) => {
        const v = must(values[k], `output ${k} of ${def.name}`);
        assert(v >= first || this.type(v).kind !== "tensor", `${def.name} gives a tensor that it did not make`);
        if (name !== null && v >= first) this.rename(v, name);
        return name === null ? null : v;
      });
    } finally {
      this.loc = outer;
    }
  }

  private infer(
    def: OpDef<Attrs>,
    attrs: Attrs,
    inputs: readonly (ValueId | null)[],
    outputCount: number,
    loc: Loc,
    given: Map<number, PartialTensor>,
  ): readonly ValueType[] {
    const ins = inputs.map((i) => (i === null ? null : this.get(i)));
    return inferred(def, attrs, ins, {
      outputCount,
      loc,
      ranges: rangesOf(this.symbols),
      give: (k, p) => {
        given.set(k, p);
      },
      fresh: (stem, min, max) => {
        const id = `$${stem}.${this.nextSymbol.n++}` as SymbolId;
        this.symbols.push({ id, min, max, def: "data" });
        return D.sym(id);
      },
      // What a run has to check is asked for when the node is lowered, for it may still change or go.
      require: () => {},
    });
  }

  /** What follows for the outputs from what is known of the inputs: by the op's own formula. */
  private propagate(
    def: OpDef<Attrs>,
    attrs: Attrs,
    ins: readonly (Value | null)[],
    types: readonly ValueType[],
    loc: Loc,
    knowns: (PartialTensor | null)[],
  ): void {
    const small = types.every((t) => {
      const s = tensorShape(t)?.map(D.known);
      return s?.every((d) => d !== null) && countOf(s as number[]) <= maxKnown;
    });
    if (!small || def.effects !== "none" || !ins.some((i) => i?.known)) return;
    // An operand of which nothing is known decides everything for arithmetic; only selections may do without.
    const body = def.body;
    if (body.kind === "view") {
      const known = ins[0]?.known;
      if (known) knowns[0] = { dims: tensorShape(types[0])!.map((d) => D.known(d)!), elements: known.elements };
      return;
    }
    const node: Node<Attrs> = {
      id: -1 as NodeId,
      def,
      attrs,
      inputs: ins.map((i) => i?.id ?? null),
      outputs: types.map((_, k) => (-1 - k) as ValueId),
      loc,
    };
    if (body.kind === "compute") {
      const ctx = new TeContext(this.symbols);
      const buffer = (t: ValueType, name: string) => {
        if (t.kind !== "tensor") throw new InternalError(`${name} is no tensor`);
        return ctx.buffer(name, t.tensor.dtype, t.tensor.shape, "arena");
      };
      if (ins.some((i) => i !== null && i.type.kind !== "tensor")) return;
      const known = new Map<BufferId, PartialTensor>();
      const inputs = ins.map((i) => {
        if (!i) return null;
        const b = buffer(i.type, i.name);
        if (i.known) known.set(b.id, i.known);
        if (i.constant) ctx.constants.set(b.id, i.constant);
        return b;
      });
      const outputs = types.map((t, k) => buffer(t, `out${k}`));
      const b = makeTeBuilder(ctx, {
        loc,
        inputs,
        outputs,
        types: { inputs: ins.map((i) => i?.type ?? null), outputs: types },
        knowns: ins.map((i) => i?.known ?? null),
        inline: () => {
          throw new InternalError("a compute body has no graphs");
        },
        wanted: () => true,
      });
      body.compute(b, node);
      evaluateSymbolically(ctx.actions, ctx.buffers, known, rangesOf(this.symbols));
      outputs.forEach((o, k) => {
        const p = known.get(o.id);
        if (p?.elements.some((e) => e !== null)) knowns[k] = p;
      });
    } else if (body.kind === "expand") {
      const scratch = new GraphMaker(this.name, this);
      scratch.loc = loc;
      const map = ins.map((i) => {
        if (!i) return null;
        return i.constant ? scratch.constant(i.constant, i.name) : scratch.input(i.name, i.type, i.known ?? null);
      });
      const outs = body.expand(scratch, { ...node, inputs: map });
      outs.forEach((o, k) => {
        knowns[k] = scratch.known(o);
      });
    }
  }

  finish(outputs: readonly ValueId[]): Graph {
    return {
      name: this.name,
      symbols: this.symbols,
      inputs: this.inputs,
      outputs,
      values: this.values,
      nodes: this.nodes,
    };
  }
}

/** A tensor when every element is a plain number. */
function constantFrom(p: PartialTensor, type: ValueType): Tensor | null {
  if (type.kind !== "tensor") return null;
  const d = type.tensor.dtype;
  if (isFloat(d) && d !== "f32" && d !== "f64") return null;
  const numbers: number[] = [];
  for (const e of p.elements) {
    if (e === null) return null;
    const x = typeof e === "number" ? e : D.known(e);
    if (x === null || (!Number.isSafeInteger(x) && !isFloat(d))) return null;
    numbers.push(x);
  }
  return tensorOf(d, p.dims, numbers);
}
