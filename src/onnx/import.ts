// ONNX to G. All problems of a model are collected and thrown as one UserError.
import { InternalError, must } from "../base/assert.ts";
import type { SymbolId, ValueId } from "../base/brand.ts";
import { type Code, type Diagnostic, diagnostic, type Loc, UserError, userError } from "../base/diagnostics.ts";
import type { ListPort, ListPorts } from "../ir/artifact.ts";
import * as D from "../ir/dim.ts";
import type { Attrs, Graph } from "../ir/graph.ts";
import { GraphMaker } from "../ir/graph-maker.ts";
import type { BodySpec, Labels, OpDef } from "../ir/opdef.ts";
import { tensorOf, tensorType, type ValueType } from "../ir/types.ts";
import { keepText } from "../ops/common.ts";
import { gradients } from "../ops/gradient.ts";
import type { OpTable } from "../ops/index.ts";
import { isDeep, joinedElements, openDim, partNames, partsOf, partTypes } from "../ops/lists.ts";
import { NodeAttributes } from "./attributes.ts";
import { type Body, carriedTypes } from "./bodies.ts";
import { type Constant, constantOf, readConstant } from "./constants.ts";
import { applyDeclarations } from "./declared.ts";
import { bindAttributes, functionKey, resolveAttributes } from "./functions.ts";
import { type ModelInfo, modelInfo, normalDomain } from "./info.ts";
import { bodiesOf, isGradient, topologicalOrder } from "./order.ts";
import { readModel } from "./proto.ts";
import type {
  AttributeProto,
  FunctionProto,
  GraphProto,
  ModelProto,
  NodeProto,
  OperatorSetIdProto,
  TensorProto,
} from "./schema.ts";
import { Frame, type Meaning, Scope } from "./scope.ts";
import { checkSize, type DimBounds, InputSymbols, type ListDims, listPort } from "./value-types.ts";

export type ImportOptions = {
  readonly ops: OpTable;
  /** The model's folder, for external data. */
  readonly directory?: string | undefined;
  /** Bounds of named dims, inclusive; a dim with min equal to max is fixed. */
  readonly dims?: ReadonlyMap<string, DimBounds> | undefined;
};
/** labels: what the numbers of outputs stand for, by the outputs' names. */
export type Imported = {
  readonly graph: Graph;
  readonly info: ModelInfo;
  readonly lists: ListPorts;
  readonly warnings: readonly Diagnostic[];
  readonly labels: ReadonlyMap<string, Labels>;
};

/**
 * The graph of an ONNX file. Local functions are inlined, values that body graphs capture are explicit inputs, and constants are
 * values. Throws one UserError with every problem of the model (E102 to E105, E201 to E205, E301, E302).
 */
export function importModel(bytes: Uint8Array, options: ImportOptions): Imported {
  const model = readModel(bytes);
  return new Importer(model, options).run();
}

/** Inlined functions and bodies that are read again may multiply what a file says; real models stay far below. */
const maxNodes = 200_000;
/** How deep bodies and functions may stand in one another. */
const maxNesting = 64;

/** A node with what its names and attributes mean where it stands. */
type Call = {
  readonly n: NodeProto;
  readonly attributes: ReadonlyMap<string, AttributeProto>;
  readonly inputs: readonly Meaning[];
  readonly loc: Loc;
  readonly scope: Scope;
};

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
    const opsets = versionsOf(this.model.opsetImport);
    for (const [domain, version] of opsets)
      if (version < 1) this.problem("E202", `opset version ${version} of domain "${domain}" does not exist`, null);
    const maker = new GraphMaker(proto.name === "" ? "main" : proto.name);
    const scope = this.scope({ frame: new Frame(maker), opsets });
    const initializers = new Set(proto.initializer.map((t) => t.name));
    const own = proto.input.filter((i) => !initializers.has(i.name));
    const inputLists: ListPort[] = [];
    this.declare(proto, scope);
    for (const i of own) {
      const input = this.attempt(null, () => {
        const type = this.symbols.type(i.type, i.name);
        checkSize(type, `input "${i.name}"`);
        return this.input(i.name, type, scope.frame, this.symbols.listDims(type, i.name));
      });
      const type = typeof input === "number" ? maker.type(input) : null;
      if (type && type.kind !== "tensor") inputLists.push(listPort(i.name, type));
      scope.define(i.name, input ?? "unknown");
    }
    this.attempt(null, () => this.symbols.checkBounds());
    for (const s of this.symbols.open.values()) maker.symbol(s);
    this.nodes(proto.node, scope);
    const outputs = this.outputs(proto, scope, null);
    if (proto.output.length === 0) this.problem("E105", "the graph has no outputs", null);
    for (const name of repeated(proto.output.map((o) => o.name)))
      this.problem("E105", `output "${name}" occurs twice`, null);
    if (this.problems.length > 0 || outputs === null) throw new UserError(this.problems);
    const ports = outputs.flatMap((v, k) => this.outputParts(v, proto.output[k]!.name, scope.frame));
    const outputLists = outputs.flatMap((v, k) => {
      const type = maker.type(v);
      return type.kind === "tensor" ? [] : [listPort(proto.output[k]!.name, type)];
    });
    const { graph, warnings } = applyDeclarations(tensorsOf(maker.finish(ports)), proto);
    const labels = outputs.flatMap((id, k): [string, Labels][] => {
      const found = scope.frame.labels.get(id);
      return found ? [[proto.output[k]!.name, found]] : [];
    });
    return {
      graph,
      info: modelInfo(this.model),
      lists: { inputs: inputLists, outputs: outputLists },
      warnings: [...this.warnings.values(), ...warnings],
      labels: new Map(labels),
    };
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
  /** What f returns, or null: then a user's mistake is recorded, at `loc`. */
  private attempt<T>(loc: Loc | null, f: () => T): T | null {
    try {
      return f();
    } catch (e) {
      if (!(e instanceof UserError)) throw e;
      for (const d of e.diagnostics) this.problems.push(d.loc || !loc ? d : { ...d, loc });
      return null;
    }
  }

  /** Reserves a graph's names, takes its initializers, and reports names that are defined twice. */
  private declare(g: GraphProto, scope: Scope): void {
    for (const t of g.initializer) scope.initializers.set(t.name, t);
    for (const name of repeated(g.input.map((i) => i.name)))
      this.problem("E105", `input "${name}" occurs twice`, scope.cause);
    const given = new Set([...g.input.map((i) => i.name), ...g.initializer.map((t) => t.name)]);
    for (const t of g.sparseInitializer) {
      const name = t.values?.name ?? "";
      given.add(name);
      scope.define(name, "unknown");
      this.problem("E203", `initializer "${name}" is a sparse tensor, which is not supported`, scope.cause);
    }
    for (const name of g.node.flatMap((n) => n.output))
      if (name !== "" && given.has(name)) this.problem("E105", `value "${name}" is defined twice`, scope.cause);
    scope.frame.reserve([...given, ...g.node.flatMap((n) => n.output)]);
  }
  private initializer(t: TensorProto, scope: Scope): Meaning {
    return this.attempt(null, () => constantValue(readConstant(t, this.directory), t.name, scope.frame)) ?? "unknown";
  }
  /** The values of a graph's outputs; null when one is unknown. */
  private outputs(g: GraphProto, scope: Scope, loc: Loc | null): ValueId[] | null {
    const found = g.output.flatMap((o): ValueId[] => {
      const m = scope.lookup(o.name);
      if (m === undefined || m === "absent") this.problem("E105", `nothing computes output "${o.name}"`, loc);
      return typeof m === "number" ? [m] : [];
    });
    return found.length === g.output.length ? found : null;
  }

  /** An input of a graph: of a sequence or optional, the tensors that it is made of. */
  private input(name: string, type: ValueType, { maker }: Frame, dims: ListDims): ValueId {
    if (type.kind === "tensor") return maker.input(name, type);
    if (dims.length === null) throw userError("E203", `"${name}" is a sequence of sequences, which is not supported`);
    const names = partNames(type, name);
    return maker.list(
      type,
      partTypes(type, dims.length, dims.size).map((t, k) => maker.input(names[k]!, t)),
    );
  }
  /** What an output is made of, under the names of ports: values that have others are copied. */
  private outputParts(v: ValueId, name: string, { maker }: Frame): readonly ValueId[] {
    const type = maker.type(v);
    if (type.kind === "tensor") return [v];
    const identity = must(this.ops.find("", "Identity", this.ops.newest("")), "Identity");
    const loc: Loc = { node: name, op: "Output" };
    maker.loc = loc;
    return partsOf(maker, v).map((p, k) =>
      must(maker.node(identity, {}, [p], [partNames(type, name)[k]!], loc)[0], "a part"),
    );
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
      const outputs = this.attempt(at, () => this.node(n, at, scope));
      n.output.forEach((name, k) => {
        if (name !== "") scope.define(name, outputs?.[k] ?? "unknown");
      });
    }
  }
  private loc(n: NodeProto, index: number, scope: Scope): Loc {
    const name = n.name !== "" ? n.name : (n.output.find((o) => o !== "") ?? `${n.opType}_${index}`);
    return { node: scope.prefix + name, op: n.opType, ...(scope.cause ? { cause: scope.cause } : {}) };
  }

  /** What the node's outputs are; those that are left out are unknown. */
  private node(n: NodeProto, loc: Loc, scope: Scope): readonly (Meaning | null)[] {
    if (this.nodeCount++ >= maxNodes) {
      if (this.nodeCount === maxNodes + 1)
        this.problem("E105", `the model has more than ${maxNodes} nodes with its functions inlined`, loc);
      return [];
    }
    const domain = normalDomain(n.domain);
    const attributes = resolveAttributes(n.attribute, scope.attributes);
    const inputs = n.input.map((name): Meaning => {
      const m = name === "" ? "absent" : scope.lookup(name);
      if (m === undefined) this.problem("E105", `input "${name}" is not defined`, loc);
      return m ?? "unknown";
    });
    const call = { n, attributes, inputs, loc, scope };
    if (domain === "" && n.opType === "Constant") return this.constant(call);
    if (isGradient(n)) return this.gradient(call);
    const opset = scope.opsets.get(domain) ?? this.ops.newest(domain);
    const newest = this.ops.newest(domain);
    const def = this.ops.find(domain, n.opType, opset);
    if (def) {
      if (opset > newest)
        this.warn(
          `opset ${domain}`,
          diagnostic(
            "W102",
            `the model uses opset ${opset} of domain "${domain || "ai.onnx"}", of which Ingot knows ${newest}`,
          ),
        );
      return this.operator(def, domain, Math.min(opset, newest), call);
    }
    const f = this.functions.get(functionKey(n.domain, n.opType, n.overload));
    if (f) return this.inline(f, call);
    const name = domain === "" ? n.opType : `${domain}.${n.opType}`;
    if (this.ops.knows(domain, n.opType))
      this.problem("E202", `${name} is not supported at opset ${opset}`, loc, "convert the model to a newer opset");
    else {
      const refusal = this.ops.refusal(domain, n.opType);
      this.problem("E201", `the operator ${name} is not supported`, loc, refusal && `it stands for ${refusal}`);
    }
    this.checkBodies(call);
    return [];
  }
  private warn(key: string, d: Diagnostic): void {
    if (!this.warnings.has(key)) this.warnings.set(key, d);
  }

  private constant({ n, attributes, scope }: Call): readonly Meaning[] {
    const c = constantOf([...attributes.values()], this.directory);
    return [constantValue(c, scope.valueName(n.output[0] ?? ""), scope.frame)];
  }

  /** Gradient names values of the graph around it in its attributes: what it is made of are the nodes between them. */
  private gradient({ n, attributes, inputs, loc, scope }: Call): readonly Meaning[] {
    const { maker } = scope.frame;
    const raw = new NodeAttributes({
      opset: 1,
      type: n.opType,
      domain: n.domain,
      inputs: inputs.map((m) => m !== "absent"),
      labels: [],
      outputCount: n.output.length,
      attributes,
      loc,
      directory: this.directory,
    });
    const value = (name: string): ValueId => {
      const m = scope.lookup(name);
      return typeof m === "number" ? m : raw.fail(`"${name}" is no value here`);
    };
    const xs = (raw.strings("xs") ?? []).map(value);
    const zs = (raw.strings("zs") ?? []).map(value);
    const at = inputs.flatMap((m) => (typeof m === "number" ? [m] : []));
    if (at.length !== inputs.length) return [];
    if (at.length !== xs.length + zs.length) raw.fail(`${at.length} inputs for ${xs.length + zs.length} names`);
    const outer = maker.loc;
    maker.loc = loc;
    try {
      const found = gradients(maker, { nodes: maker.nodes, y: value(raw.string("y")), xs, zs, at });
      const identity = must(this.ops.find("", "Identity", this.ops.newest("")), "Identity");
      return n.output.map((name, k): Meaning => {
        if (name === "") return "absent";
        const d = found[k] ?? raw.fail(`${n.output.length} outputs for ${xs.length} names`);
        return must(maker.node(identity, {}, [d], [scope.valueName(name)], loc)[0], "an output");
      });
    } finally {
      maker.loc = outer;
    }
  }

  private operator(def: OpDef<Attrs>, domain: string, opset: number, call: Call): readonly (Meaning | null)[] {
    const { n, attributes, loc, scope } = call;
    const { maker } = scope.frame;
    const labels = call.inputs.map((m) => (typeof m === "number" ? (scope.frame.labels.get(m) ?? null) : null));
    const text = labels.findIndex((l) => l?.of === "elements");
    if (text >= 0 && !def.labels && def.body.kind !== "view")
      throw userError("E203", `input ${text} is text, which is supported as names of labels only`);
    const whole = call.inputs.map((m) => (typeof m === "number" ? m : null));
    const actions = def.body.kind === "control";
    maker.loc = loc;
    const inputs = actions
      ? whole.flatMap((v): readonly (ValueId | null)[] => (v === null ? [v] : partsOf(maker, v)))
      : whole;
    const raw = new NodeAttributes({
      opset,
      type: n.opType,
      domain,
      inputs: call.inputs.includes("unknown") ? call.inputs.map((m) => m !== "absent") : inputs.map((v) => v !== null),
      labels,
      outputCount: n.output.length,
      attributes,
      loc,
      directory: this.directory,
    });
    const hasBodies = [...attributes.values()].some((a) => a.g !== null);
    if (call.inputs.includes("unknown")) {
      if (hasBodies) this.checkBodies(call);
      else internal(def, loc, () => def.parse(raw));
      return [];
    }
    const captures: ValueId[] = [];
    let results: readonly (ValueType | null)[] = n.output.map(() => null);
    if (hasBodies) {
      if (!def.bodies) return raw.fail(`${n.opType} takes no graph`);
      const specs = internal(def, loc, () =>
        def.bodies!(
          whole.map((i) => (i === null ? null : maker.type(i))),
          raw,
          (i) => (typeof whole[i] === "number" ? maker.known(whole[i]) : null),
        ),
      );
      const bodies = Object.entries(specs).map(([attr, spec]) => {
        const before = this.problems.length;
        const g = attributes.get(attr)?.g;
        const parts = actions && !spec.alone;
        const body = g ? this.body(g, spec, attr, parts, call) : raw.fail(`graph "${attr}" is missing`);
        return { attr, spec, body, problems: this.problems.slice(before) };
      });
      for (const { attr, spec, body, problems } of bodies) {
        if (!body) {
          const spare = spec.branch && bodies.some((b) => b.body) && problems.every((p) => p.code === "E205");
          if (!spare) return [];
          this.leaveOut(attr, problems, loc);
          continue;
        }
        raw.graphs.set(attr, body.graph);
        captures.push(...body.captures);
        if (!spec.alone && spec.results !== undefined)
          results = n.output.map((_, k) => joinedResult(results[k] ?? null, resultType(spec, body, k)));
      }
    }
    const attrs = internal(def, loc, () => def.parse(raw));
    for (const a of attributes.keys()) {
      if (!raw.read.has(a))
        this.warn(`${domain}:${n.opType}.${a}`, diagnostic("W104", `attribute "${a}" is ignored`, { loc }));
    }
    const names = n.output.map((o) => (o === "" ? null : scope.valueName(o)));
    const lists = results.map((t) => (t && t.kind !== "tensor" ? t : null));
    const made = maker.node(
      def,
      attrs,
      [...inputs, ...captures],
      names.flatMap((name, k) => {
        const t = lists[k];
        return t ? partNames(t, name ?? "").map((x) => (name === null ? null : x)) : [name];
      }),
      loc,
    );
    let at = 0;
    const outputs = names.map((name, k) => {
      const t = lists[k];
      if (!t) return made[at++]!;
      const parts = made.slice(at, (at += partNames(t, "").length));
      return name === null ? null : maker.list(t, parts as ValueId[]);
    });
    const given = def.labels ? def.labels(attrs, labels) : def.body.kind === "view" ? keepText(attrs, labels) : [];
    outputs.forEach((v, k) => {
      if (v === null) return;
      checkSize(maker.type(v), `output ${k}`);
      const label = given[k];
      if (label) scope.frame.labels.set(v, label);
    });
    return outputs;
  }

  /** Takes back the problems of a branch that is never taken with these shapes. */
  private leaveOut(attr: string, problems: readonly Diagnostic[], loc: Loc): void {
    const others = this.problems.filter((p) => !problems.includes(p));
    this.problems.splice(0, this.problems.length, ...others);
    const why = problems[0]?.message ?? "";
    this.warn(`${loc.node}.${attr}`, diagnostic("W105", `"${attr}" does not fit and is left out: ${why}`, { loc }));
  }

  /** The nodes of a local function in place of a call. */
  private inline(f: FunctionProto, { n, attributes, inputs, loc, scope }: Call): readonly Meaning[] {
    const { frame } = scope;
    const fail = (why: string): never => {
      throw userError("E105", why, { loc });
    };
    if (scope.calls.includes(f)) fail(`function "${f.name}" calls itself`);
    if (scope.depth >= maxNesting) fail("functions and graphs are nested too deeply");
    if (n.output.length > f.output.length)
      fail(`function "${f.name}" has ${f.output.length} outputs, not ${n.output.length}`);
    const inner = this.scope({
      frame,
      opsets: new Map([...scope.opsets, ...versionsOf(f.opsetImport)]),
      attributes: bindAttributes(f, attributes),
      calls: [...scope.calls, f],
      cause: loc,
      prefix: `${loc.node}/`,
      depth: scope.depth + 1,
    });
    for (const [i, name] of f.input.entries()) inner.define(name, inputs[i] ?? "absent");
    // An output that a node of the function computes gets the caller's name for it; any other is a copy.
    const computed = new Set(f.node.flatMap((x) => x.output).filter((name) => !f.input.includes(name)));
    const copied = n.output.map((name, i) => {
      const inside = f.output[i]!;
      if (name === "" || inner.renames.has(inside) || !computed.has(inside)) return true;
      inner.renames.set(inside, scope.valueName(name));
      return false;
    });
    this.nodes(f.node, inner);
    const identity = must(this.ops.find("", "Identity", this.ops.newest("")), "Identity");
    return n.output.map((name, i) => {
      const m = inner.lookup(f.output[i]!) ?? "absent";
      if (name !== "" && m === "absent")
        return fail(`nothing computes output "${f.output[i]}" of function "${f.name}"`);
      if (name === "" || typeof m !== "number" || !copied[i]) return m;
      const copy = must(frame.maker.node(identity, {}, [m], [scope.valueName(name)], loc)[0], "an output");
      const labels = frame.labels.get(m);
      if (labels) frame.labels.set(copy, labels);
      return copy;
    });
  }

  /** Imports a body graph; where its outputs widen what it carries from one iteration to the next, again with the wider types. */
  private body(g: GraphProto, spec: BodySpec, attr: string, parts: boolean, call: Call): Body | null {
    const symbols: SymbolId[] = [];
    const fresh = (stem: string): SymbolId => {
      const id = `$${stem}.${this.carriedCount++}` as SymbolId;
      symbols.push(id);
      return id;
    };
    // Elements differ in the dims that their type leaves open.
    const own = (t: ValueType): ValueType =>
      t.kind !== "tensor"
        ? t
        : tensorType(
            t.tensor.dtype,
            t.tensor.shape.map((d) => (d === openDim ? D.sym(fresh("element")) : d)),
          );
    let types: readonly ValueType[] = spec.inputs.map(own);
    const lists = types.map(
      (t): ListDims =>
        t.kind === "tensor" ? noList : { length: D.sym(fresh("carried")), size: D.sym(fresh("carried")) },
    );
    if (g.input.length !== types.length)
      throw userError("E105", `graph "${attr}" has ${g.input.length} inputs where ${types.length} belong`);
    for (;;) {
      const body = this.bodyOnce(g, { types, lists, carried: parts ? spec.carried : null }, symbols, attr, call);
      if (!body) return null;
      const ours = (id: SymbolId): boolean => symbols.includes(id) && id.startsWith("$carried.");
      const wider = carriedTypes(types, spec.carried, body.outputs, ours, () => fresh("carried"));
      if (wider === null) return body;
      types = wider;
    }
  }
  /** given null: nothing is known of the body's inputs, it is only checked. */
  private bodyOnce(
    g: GraphProto,
    given: Given | null,
    symbols: readonly SymbolId[],
    attr: string,
    { loc, scope }: Call,
  ): Body | null {
    if (scope.depth >= maxNesting) throw userError("E105", "functions and graphs are nested too deeply");
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
    for (const [k, i] of g.input.entries())
      inner.define(i.name, given ? this.input(i.name, given.types[k]!, frame, given.lists[k]!) : "unknown");
    this.nodes(g.node, inner);
    const outputs = this.outputs(g, inner, loc);
    if (outputs?.some((o) => frame.labels.get(o)?.of === "elements"))
      this.problem("E203", "a graph inside of a node gives text, which is not supported", loc);
    if (outputs === null || this.problems.length > before || !given) return null;
    const types = outputs.map((v) => maker.type(v));
    // What is carried on has the parts of what it is carried on as.
    const parts = outputs.flatMap((v, k): readonly ValueId[] => {
      const input = given.carried?.find(([, output]) => output === k)?.[0];
      const as = input === undefined ? types[k]! : given.types[input]!;
      const own = partsOf(maker, v);
      return isDeep(as) && !isDeep(types[k]!) ? [maker.constant(tensorOf("bool", [], [1])), ...own] : own;
    });
    const graph = given.carried === null ? maker.finish(outputs) : tensorsOf(maker.finish(parts));
    return { graph, captures: frame.captures, inputs: given.types, outputs: types };
  }
  /** Reports what can be found in the bodies of a node whose inputs or op are not known. */
  private checkBodies(call: Call): void {
    for (const b of bodiesOf(call.n)) this.bodyOnce(b.graph, null, [], b.attr, call);
  }
}

function constantValue(c: Constant, name: string, frame: Frame): ValueId {
  const id = frame.maker.constant(c.tensor, name);
  if (c.labels) frame.labels.set(id, c.labels);
  return id;
}
/** A body's inputs: their types, the dims of those that are lists, and which output is carried on as which (null: outputs stay whole). */
type Given = {
  readonly types: readonly ValueType[];
  readonly lists: readonly ListDims[];
  readonly carried: BodySpec["carried"] | null;
};
const noList: ListDims = { length: null };
/** What output k of a node is, of whose body it is a result: carried values are in the end what the last iteration leaves. */
function resultType(spec: BodySpec, body: Body, k: number): ValueType | null {
  const output = k + (spec.results ?? 0);
  const input = spec.carried.find(([, o]) => o === output)?.[0];
  return (input === undefined ? body.outputs[output] : body.inputs[input]) ?? null;
}
/** Of a result of several bodies. */
function joinedResult(a: ValueType | null, b: ValueType | null): ValueType | null {
  if (!a || !b) return a ?? b;
  return a.kind === "tensor" || b.kind === "tensor" ? a : (joinedElements(a, b) ?? a);
}
/** Without the names of sequences and optionals, which nothing refers to any more. */
function tensorsOf(g: Graph): Graph {
  return { ...g, values: new Map([...g.values].filter(([, v]) => v.type.kind === "tensor")) };
}

function versionsOf(list: readonly OperatorSetIdProto[]): ReadonlyMap<string, number> {
  return new Map(list.map((o) => [normalDomain(o.domain), o.version ?? 0]));
}
function repeated(names: readonly string[]): Set<string> {
  const seen = new Set<string>();
  return new Set(names.filter((n) => seen.has(n) || !seen.add(n)));
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
