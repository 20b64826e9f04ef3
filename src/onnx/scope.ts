// What names mean while a model is imported. A frame is a graph under construction; a scope is a set of names in it: one per
// graph, and one per inlined function.
import { must } from "../base/assert.ts";
import type { ValueId } from "../base/brand.ts";
import type { Loc } from "../base/diagnostics.ts";
import type { GraphMaker } from "../ir/graph-maker.ts";
import type { Labels } from "../ir/opdef.ts";
import type { AttributeProto, FunctionProto, NodeProto, TensorProto } from "./schema.ts";

/**
 * A name's meaning. absent: a function's optional input that the call leaves out. unknown: its definition has failed, which is
 * reported already; whatever depends on it is checked as far as it can be, without further reports.
 */
export type Meaning = ValueId | "absent" | "unknown";

export class Frame {
  readonly maker: GraphMaker;
  /** Values of the surrounding graph that this body graph uses, in the order of its extra inputs. */
  readonly captures: ValueId[] = [];
  /** What the numbers of values stand for. */
  readonly labels: Map<ValueId, Labels> = new Map();
  /** Names in use, with the number that the next value of that name may try. */
  private readonly names = new Map<string, number>();
  constructor(maker: GraphMaker) {
    this.maker = maker;
  }
  /** Keeps names for those who own them. */
  reserve(names: Iterable<string>): void {
    for (const n of names) this.names.set(n, 1);
  }
  /** The name, or the name with a number when another value has it. */
  unique(name: string): string {
    let free = name;
    let k = this.names.get(name) ?? 0;
    while (this.names.has(free)) free = `${name}.${k++}`;
    this.names.set(name, Math.max(k, 1));
    this.names.set(free, 1);
    return free;
  }
}

export type ScopeOptions = {
  readonly frame: Frame;
  /** The scope around a body graph; null for the main graph and for functions, which see nothing outside. */
  readonly outer: Scope | null;
  readonly opsets: ReadonlyMap<string, number>;
  /** The attributes of the call that is being inlined. */
  readonly attributes: ReadonlyMap<string, AttributeProto>;
  /** Functions that are being inlined, outermost first. */
  readonly calls: readonly FunctionProto[];
  /** The call that is being inlined. */
  readonly cause: Loc | null;
  /** In front of the names of values and nodes. */
  readonly prefix: string;
  readonly depth: number;
  /** Turns an initializer into a value; "unknown" when that fails. */
  readonly load: (t: TensorProto, scope: Scope) => Meaning;
};

export class Scope {
  readonly frame: Frame;
  readonly outer: Scope | null;
  readonly opsets: ReadonlyMap<string, number>;
  readonly attributes: ReadonlyMap<string, AttributeProto>;
  readonly calls: readonly FunctionProto[];
  readonly cause: Loc | null;
  readonly prefix: string;
  /** How many bodies and functions this scope stands in. */
  readonly depth: number;
  producers: ReadonlyMap<string, NodeProto> = new Map();
  /** Initializers that nothing has used yet. */
  readonly initializers: Map<string, TensorProto> = new Map();
  /** Names that the caller of a function has for its outputs. */
  readonly renames: Map<string, string> = new Map();
  private readonly meanings = new Map<string, Meaning>();
  private readonly load: ScopeOptions["load"];

  constructor(o: ScopeOptions) {
    this.frame = o.frame;
    this.outer = o.outer;
    this.opsets = o.opsets;
    this.attributes = o.attributes;
    this.calls = o.calls;
    this.cause = o.cause;
    this.depth = o.depth;
    this.prefix = o.prefix;
    this.load = o.load;
  }
  define(name: string, meaning: Meaning): void {
    this.meanings.set(name, meaning);
  }
  /** The name that value `name` of this scope has in the graph. */
  valueName(name: string): string {
    return this.renames.get(name) ?? (this.prefix === "" ? name : this.frame.unique(this.prefix + name));
  }
  /** What `name` means here; undefined when nothing defines it. A value of the surrounding graph becomes a further input. */
  lookup(name: string): Meaning | undefined {
    const known = this.meanings.get(name);
    if (known !== undefined) return known;
    const found = this.find(name);
    if (found !== undefined) this.meanings.set(name, found);
    return found;
  }
  private find(name: string): Meaning | undefined {
    const initializer = this.initializers.get(name);
    if (initializer) return this.load(initializer, this);
    // A node that should have been imported by now stands in a cycle, which is reported.
    if (this.producers.has(name)) return "unknown";
    const found = this.outer?.lookup(name);
    if (found === undefined || typeof found === "string") return found;
    const outer = this.outer!.frame.maker;
    const { maker } = this.frame;
    const type = outer.type(found);
    if (type.kind !== "tensor") return this.captureList(found, outer, name);
    const constant = outer.constantOf(found);
    const inside = this.frame.unique(name);
    if (!constant) this.frame.captures.push(found);
    const own = constant ? maker.constant(constant, inside) : maker.input(inside, type, outer.known(found));
    const labels = this.outer!.frame.labels.get(found);
    if (labels) this.frame.labels.set(own, labels);
    return own;
  }
  /** A sequence or optional of the surrounding graph: each value that it is made of becomes an input. */
  private captureList(found: ValueId, outer: GraphMaker, name: string): ValueId {
    const { maker } = this.frame;
    const inside = (v: ValueId): ValueId => {
      if (outer.type(v).kind !== "tensor") return this.captureList(v, outer, name);
      this.frame.captures.push(v);
      return maker.input(this.frame.unique(name), outer.type(v), outer.known(v));
    };
    const elements = outer.elements(found);
    if (elements) return maker.collection(outer.type(found), elements.map(inside));
    return maker.list(outer.type(found), must(outer.parts(found), "its parts").map(inside));
  }
}
