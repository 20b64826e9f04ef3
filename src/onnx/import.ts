// ONNX to G. All problems of a model are collected and thrown as one UserError.
import { InternalError } from "../base/assert.ts";
import type { SymbolId, ValueId } from "../base/brand.ts";
import { type Code, type Diagnostic, diagnostic, type Loc, UserError } from "../base/diagnostics.ts";
import type { Attrs, Graph } from "../ir/graph.ts";
import { GraphMaker } from "../ir/graph-maker.ts";
import type { OpDef } from "../ir/opdef.ts";
import type { Tensor, ValueType } from "../ir/types.ts";
import type { OpTable } from "../ops/index.ts";
import { NodeAttributes } from "./attributes.ts";
import { type Body, type BodySpec, carriedTypes } from "./bodies.ts";
import { constantOf } from "./constants.ts";
import { applyDeclarations } from "./declared.ts";
import { bindAttributes, functionKey, resolveAttributes } from "./functions.ts";
import { type ModelInfo, modelInfo, normalDomain } from "./info.ts";
import { bodiesOf, topologicalOrder } from "./order.ts";
import { readModel } from "./proto.ts";
import type { AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto } from "./schema.ts";
import { Frame, type Meaning, Scope } from "./scope.ts";
import { readTensor } from "./tensors.ts";
import { checkSize, type DimBounds, InputSymbols } from "./value-types.ts";

export type ImportOptions = {
  readonly ops: OpTable;
  /** The model's folder, for external data. */
  readonly directory?: string | undefined;
  /** Bounds of named dims, inclusive; a dim with min equal to max is fixed. */
  readonly dims?: ReadonlyMap<string, DimBounds> | undefined;
};
export type Imported = { readonly graph: Graph; readonly info: ModelInfo; readonly warnings: readonly Diagnostic[] };

/**
 * The graph of an ONNX file. Local functions are inlined, values that body graphs capture are explicit inputs, and constants are
 * values. Throws one UserError with every problem of the model (E102 to E105, E201 to E205, E301, E302).
 */
export function importModel(bytes: Uint8Array, options: ImportOptions): Imported {
  const model = readModel(bytes);
  return new Importer(model, options).run();
}

/** Inlined functions and bodies that are read again may multiply what a file says; real models stay far below. */
const maxNodes = 500_000;
/** How deep bodies and functions may stand in one another. */
const maxNesting = 64;

class Importer {
  private readonly model: ModelProto;
  private readonly ops: OpTable;
  private readonly directory: string | null;
  private readonly symbols: InputSymbols;
  private readonly functions = new Map<string, FunctionProto>();
  private readonly problems: Diagnostic[] = [];
  private readonly warnings = new Map<string, Diagnostic>();
  private nodeCount = 0;
  private carriedCount = 0;

  constructor(model: ModelProto, options: ImportOptions) {
    this.model = model;
    this.ops = options.ops;
    this.directory = options.directory ?? null;
    this.symbols = new InputSymbols(options.dims ?? new Map());
    for (const f of model.functions) this.functions.set(functionKey(f.domain, f.name, f.overload), f);
  }

  run(): Imported {
    const proto = this.model.graph!;
    const opsets = this.opsets(this.model.opsetImport);
    const maker = new GraphMaker(proto.name === "" ? "main" : proto.name);
    const scope = this.scope({ frame: new Frame(maker), opsets });
    const initializers = new Set(proto.initializer.map((t) => t.name));
    const own = proto.input.filter((i) => !initializers.has(i.name));
    this.declare(proto, scope);
    for (const i of own) {
      this.attempt(
        null,
        () => scope.define(i.name, "unknown"),
        () => {
          const type = this.symbols.type(i.type, i.name);
          checkSize(type, `input "${i.name}"`);
          scope.define(i.name, maker.input(i.name, type));
        },
      );
    }
    this.attempt(
      null,
      () => {},
      () => this.symbols.checkBounds(),
    );
    for (const s of this.symbols.open.values()) maker.symbol(s);
    this.nodes(proto.node, scope);
    const outputs = this.outputs(proto, scope, null);
    if (proto.output.length === 0) this.problem("E105", "the graph has no outputs", null);
    if (this.problems.length > 0 || outputs === null) throw new UserError(this.problems);
    const { graph, warnings } = applyDeclarations(maker.finish(outputs), proto);
    return { graph, info: modelInfo(this.model), warnings: [...this.warnings.values(), ...warnings] };
  }

  private opsets(list: ModelProto["opsetImport"]): ReadonlyMap<string, number> {
    const found = new Map<string, number>();
    for (const o of list) {
      const version = o.version ?? 0;
      if (version < 1)
        this.problem("E202", `opset version ${version} of domain "${normalDomain(o.domain)}" does not exist`, null);
      found.set(normalDomain(o.domain), version);
    }
    return found;
  }
  private scope(o: { readonly frame: Frame } & Partial<Omit<ConstructorParameters<typeof Scope>[0], "load">>): Scope {
    return new Scope({
      outer: null,
      opsets: new Map(),
      attributes: new Map(),
      calls: [],
      cause: null,
      prefix: "",
      depth: 0,
      ...o,
      load: (t, scope) => this.initializer(t, scope),
    });
  }
  private problem(code: Code, message: string, loc: Loc | null, hint?: string): void {
    this.problems.push(diagnostic(code, message, { loc: loc ?? undefined, hint }));
  }
  /** Runs f; a user's mistake is recorded at `loc` and `otherwise` runs. */
  private attempt(loc: Loc | null, otherwise: () => void, f: () => void): void {
    try {
      f();
    } catch (e) {
      if (!(e instanceof UserError)) throw e;
      for (const d of e.diagnostics) this.problems.push(d.loc || !loc ? d : { ...d, loc });
      otherwise();
    }
  }

  /** Reserves a graph's names, takes its initializers, and reports names that are defined twice. */
  private declare(g: GraphProto, scope: Scope): void {
    const given = new Set<string>();
    for (const t of g.initializer) scope.initializers.set(t.name, t);
    for (const i of g.input) {
      if (given.has(i.name)) this.problem("E105", `input "${i.name}" occurs twice`, scope.cause);
      given.add(i.name);
    }
    for (const t of g.initializer) given.add(t.name);
    for (const t of g.sparseInitializer) {
      const name = t.values?.name ?? "";
      given.add(name);
      scope.define(name, "unknown");
      this.problem("E203", `initializer "${name}" is a sparse tensor, which is not supported`, scope.cause);
    }
    for (const name of g.node.flatMap((n) => n.output))
      if (given.has(name)) this.problem("E105", `value "${name}" is defined twice`, scope.cause);
    scope.frame.reserve([...given, ...g.node.flatMap((n) => n.output)]);
  }
  private initializer(t: TensorProto, scope: Scope): Meaning {
    let found: Meaning = "unknown";
    this.attempt(
      null,
      () => {},
      () => {
        found = scope.frame.maker.constant(readTensor(t, this.directory), t.name);
      },
    );
    return found;
  }
  /** The values of a graph's outputs; null when one is unknown. */
  private outputs(g: GraphProto, scope: Scope, loc: Loc | null): ValueId[] | null {
    const found = g.output.flatMap((o): ValueId[] => {
      const m = scope.lookup(o.name);
      if (m === undefined || m === "absent") this.problem("E105", `nothing computes output "${o.name}"`, loc);
      return typeof m === "number" ? [m] : [];
    });
    const names = g.output.map((o) => o.name);
    for (const name of new Set(names.filter((n, i) => names.indexOf(n) !== i)))
      if (loc === null) this.problem("E105", `output "${name}" occurs twice`, loc);
    return found.length === g.output.length ? found : null;
  }

  private nodes(nodes: readonly NodeProto[], scope: Scope): void {
    const order = topologicalOrder(nodes);
    scope.producers = order.producers;
    const index = new Map(nodes.map((n, i) => [n, i]));
    const loc = (n: NodeProto): Loc => this.loc(n, index.get(n)!, scope);
    for (const name of order.twice) this.problem("E105", `value "${name}" is defined twice`, scope.cause);
    for (const n of new Set(order.cyclic)) this.problem("E105", "the node depends on its own output", loc(n));
    for (const n of order.nodes) {
      const at = loc(n);
      this.attempt(
        at,
        () => this.undefine(n, scope),
        () => this.node(n, at, scope),
      );
    }
  }
  private loc(n: NodeProto, index: number, scope: Scope): Loc {
    const name = n.name !== "" ? n.name : (n.output.find((o) => o !== "") ?? `${n.opType}_${index}`);
    return { node: scope.prefix + name, op: n.opType, ...(scope.cause ? { cause: scope.cause } : {}) };
  }
  private undefine(n: NodeProto, scope: Scope): void {
    for (const name of n.output) if (name !== "") scope.define(name, "unknown");
  }

  private node(n: NodeProto, loc: Loc, scope: Scope): void {
    if (this.nodeCount++ >= maxNodes) {
      if (this.nodeCount === maxNodes + 1)
        this.problem("E105", `the model has more than ${maxNodes} nodes with its functions inlined`, loc);
      return this.undefine(n, scope);
    }
    const domain = normalDomain(n.domain);
    const attributes = resolveAttributes(n.attribute, scope.attributes);
    const inputs = n.input.map((name): Meaning => {
      const m = name === "" ? "absent" : scope.lookup(name);
      if (m === undefined) this.problem("E105", `input "${name}" is not defined`, loc);
      return m ?? "unknown";
    });
    if (domain === "" && n.opType === "Constant") return this.constant(n, attributes, scope);
    const opset = scope.opsets.get(domain) ?? this.ops.newest(domain);
    const def = this.ops.find(domain, n.opType, opset);
    if (def) {
      if (opset > this.ops.newest(domain))
        this.warn(
          `opset ${domain}`,
          diagnostic(
            "W102",
            `the model uses opset ${opset} of domain "${domain || "ai.onnx"}", of which Ingot knows ${this.ops.newest(domain)}`,
          ),
        );
      return this.known(
        def,
        n,
        { domain, opset: Math.min(opset, this.ops.newest(domain)), attributes, inputs },
        loc,
        scope,
      );
    }
    const f = this.functions.get(functionKey(n.domain, n.opType, n.overload));
    if (f) return this.call(f, n, attributes, inputs, loc, scope);
    const name = domain === "" ? n.opType : `${domain}.${n.opType}`;
    if (this.ops.knows(domain, n.opType))
      this.problem("E202", `${name} is not supported at opset ${opset}`, loc, "convert the model to a newer opset");
    else this.problem("E201", `the operator ${name} is not supported`, loc);
    this.bodiesUnknown(n, loc, scope);
    this.undefine(n, scope);
  }
  private warn(key: string, d: Diagnostic): void {
    if (!this.warnings.has(key)) this.warnings.set(key, d);
  }

  private constant(n: NodeProto, attributes: ReadonlyMap<string, AttributeProto>, scope: Scope): void {
    const name = n.output[0] ?? "";
    const t: Tensor = constantOf([...attributes.values()], this.directory);
    if (name !== "") scope.define(name, scope.frame.maker.constant(t, scope.valueName(name)));
  }

  private known(
    def: OpDef<Attrs>,
    n: NodeProto,
    facts: {
      readonly domain: string;
      readonly opset: number;
      readonly attributes: ReadonlyMap<string, AttributeProto>;
      readonly inputs: readonly Meaning[];
    },
    loc: Loc,
    scope: Scope,
  ): void {
    const { maker } = scope.frame;
    const inputs = facts.inputs.map((m) => (typeof m === "number" ? m : null));
    const raw = new NodeAttributes({
      opset: facts.opset,
      type: n.opType,
      domain: facts.domain,
      inputs: facts.inputs.map((m) => m !== "absent"),
      outputCount: n.output.length,
      attributes: facts.attributes,
      loc,
      directory: this.directory,
    });
    const hasBodies = [...facts.attributes.values()].some((a) => a.g !== null);
    if (facts.inputs.includes("unknown")) {
      if (hasBodies) this.bodiesUnknown(n, loc, scope);
      else internal(def, loc, () => def.parse(raw));
      return this.undefine(n, scope);
    }
    const captures: ValueId[] = [];
    if (hasBodies) {
      if (!def.bodies) raw.fail(`${n.opType} takes no graph`);
      const specs = internal(def, loc, () =>
        def.bodies!(
          inputs.map((i) => (i === null ? null : maker.type(i))),
          raw,
        ),
      );
      let complete = true;
      for (const [attr, spec] of Object.entries(specs)) {
        const g = facts.attributes.get(attr)?.g;
        if (!g) continue;
        const body = this.body(g, spec, attr, loc, scope);
        if (body) {
          raw.graphs.set(attr, body.graph);
          captures.push(...body.captures);
        } else complete = false;
      }
      if (!complete) return this.undefine(n, scope);
    }
    const attrs = internal(def, loc, () => def.parse(raw));
    for (const a of facts.attributes.keys()) {
      if (!raw.read.has(a))
        this.warn(`${facts.domain}:${n.opType}.${a}`, diagnostic("W104", `attribute "${a}" is ignored`, { loc }));
    }
    const names = n.output.map((o) => (o === "" ? null : scope.valueName(o)));
    const outputs = maker.node(def, attrs, [...inputs, ...captures], names, loc);
    outputs.forEach((v, k) => {
      if (v === null) return;
      checkSize(maker.type(v), `output ${k}`);
      scope.define(n.output[k]!, v);
    });
  }

  /** Inlines a call of a local function. */
  private call(
    f: FunctionProto,
    n: NodeProto,
    attributes: ReadonlyMap<string, AttributeProto>,
    inputs: readonly Meaning[],
    loc: Loc,
    scope: Scope,
  ): void {
    const { frame } = scope;
    const undo = (why: string): void => {
      this.problem("E105", why, loc);
      this.undefine(n, scope);
    };
    if (scope.calls.includes(f)) return undo(`function "${f.name}" calls itself`);
    if (scope.depth >= maxNesting) return undo("functions and graphs are nested too deeply");
    if (n.output.length > f.output.length)
      return undo(`function "${f.name}" has ${f.output.length} outputs, not ${n.output.length}`);
    const inner = this.scope({
      frame,
      opsets: new Map([...scope.opsets, ...this.opsets(f.opsetImport)]),
      attributes: bindAttributes(f, attributes),
      calls: [...scope.calls, f],
      cause: loc,
      prefix: `${loc.node}/`,
      depth: scope.depth + 1,
    });
    f.input.forEach((name, i) => inner.define(name, inputs[i] ?? "absent"));
    // An output that a node of the function computes gets the caller's name for it; any other is a copy.
    const computed = new Set(f.node.flatMap((x) => x.output));
    const renamed = n.output.map((name, i) => {
      const inside = f.output[i]!;
      if (name === "" || inner.renames.has(inside) || !computed.has(inside) || f.input.includes(inside)) return false;
      inner.renames.set(inside, scope.valueName(name));
      return true;
    });
    this.nodes(f.node, inner);
    const identity = this.ops.find("", "Identity", this.ops.newest(""));
    n.output.forEach((name, i) => {
      if (name === "") return;
      let m = inner.lookup(f.output[i]!);
      if (m === undefined || m === "absent") {
        this.problem("E105", `nothing computes output "${f.output[i]}" of function "${f.name}"`, loc);
        m = "unknown";
      }
      if (typeof m === "number" && !renamed[i] && identity)
        m = frame.maker.node(identity, {}, [m], [scope.valueName(name)], loc)[0]!;
      scope.define(name, m);
    });
  }

  /** Imports a body graph; where its outputs widen what it carries from one iteration to the next, again with the wider types. */
  private body(g: GraphProto, spec: BodySpec, attr: string, loc: Loc, scope: Scope): Body | null {
    let types = spec.inputs;
    if (g.input.length !== types.length) {
      this.problem("E105", `graph "${attr}" has ${g.input.length} inputs where ${types.length} belong`, loc);
      return null;
    }
    const symbols: SymbolId[] = [];
    for (;;) {
      const before = this.problems.length;
      const body = this.bodyOnce(g, types, symbols, attr, loc, scope);
      if (!body) return null;
      const wider = carriedTypes(types, spec.carried, body.graph, () => {
        const id = `$carried.${this.carriedCount++}` as SymbolId;
        symbols.push(id);
        return id;
      });
      if (wider === null) return body;
      this.problems.length = before;
      types = wider;
    }
  }
  /** types null: nothing is known of the body's inputs, it is only checked. */
  private bodyOnce(
    g: GraphProto,
    types: readonly ValueType[] | null,
    symbols: readonly SymbolId[],
    attr: string,
    loc: Loc,
    scope: Scope,
  ): Body | null {
    if (scope.depth >= maxNesting) {
      this.problem("E105", "functions and graphs are nested too deeply", loc);
      return null;
    }
    const before = this.problems.length;
    const maker = new GraphMaker(`${loc.node}.${attr}`, scope.frame.maker);
    for (const id of symbols) maker.symbol({ id, min: 0, max: null, def: "data" });
    const frame = new Frame(maker);
    const inner = this.scope({
      frame,
      outer: scope,
      opsets: scope.opsets,
      attributes: scope.attributes,
      calls: scope.calls,
      cause: scope.cause,
      depth: scope.depth + 1,
    });
    this.declare(g, inner);
    g.input.forEach((i, k) => inner.define(i.name, types ? maker.input(i.name, types[k]!) : "unknown"));
    this.nodes(g.node, inner);
    const outputs = this.outputs(g, inner, loc);
    return outputs === null || this.problems.length > before
      ? null
      : { graph: maker.finish(outputs), captures: frame.captures };
  }
  /** Reports what can be found in the bodies of a node whose inputs or op are not known. */
  private bodiesUnknown(n: NodeProto, loc: Loc, scope: Scope): void {
    for (const b of bodiesOf(n)) this.bodyOnce(b.graph, null, [], b.attr, loc, scope);
  }
}

/** Anything but a UserError from an op's own functions is a bug of ours: it carries the node. */
function internal<T>(def: OpDef<Attrs>, loc: Loc, f: () => T): T {
  try {
    return f();
  } catch (e) {
    if (e instanceof UserError) throw e;
    throw new InternalError(`parsing ${def.name} "${loc.node}": ${(e as Error).message}`, { cause: e });
  }
}
