// Reads T and P. The grammar stands at the top of print.ts.
import type { BufferId, StageId } from "../base/brand.ts";
import type { Reader } from "../base/text.ts";
import type { Dim } from "./dim.ts";
import type { Kernel } from "./loops.ts";
import { readLoc, readOutputs, readRange, readSymbolId, readTensor, readWhere } from "./parse-data.ts";
import { ExprReader } from "./parse-expr.ts";
import { readKernel } from "./parse-kernel.ts";
import { BufferScope, readAxis, readDim, readId, readOptionalDims, readRef, resolve } from "./parse-names.ts";
import type { ConstantTable } from "./print-data.ts";
import { index32, withVars } from "./print-expr.ts";
import type { Action, Binding, Call, MemoryPlan, Program, Region, Requirement } from "./program.ts";
import type { Buffer } from "./storage.ts";
import type { Axis, Group, Port, Stage, TeCall, TeProgram } from "./te.ts";
import type { Tensor } from "./types.ts";

export function readTe(r: Reader, constants: ConstantTable): TeProgram {
  const names = new BufferScope();
  const head = readHead(r, "te", names);
  const requires = readRequirements(r);
  const tables = readBuffers(r, names, constants);
  const ports = head.ports();
  const stages = new StageReader(r, names);
  return {
    ...head.head,
    requires,
    ...ports,
    ...tables,
    actions: readActions(r, names, () => readTeCall(r, names, stages)),
  };
}

function readTeCall(r: Reader, names: BufferScope, stages: StageReader): TeCall | null {
  if (r.accept("call")) {
    r.expect("(");
    const args = r.list(")", () => names.ref(r).id);
    const scalars = readOptionalDims(r, "scalars");
    const loc = readLoc(r, null);
    return { kind: "kernel", kernel: readKernel(r), args, scalars, loc };
  }
  const group = stages.group();
  return group && { kind: "group", group };
}

class StageReader {
  private readonly r: Reader;
  private readonly names: BufferScope;
  private readonly exprs: ExprReader;
  private last = -1;

  constructor(r: Reader, names: BufferScope) {
    this.r = r;
    this.names = names;
    this.exprs = new ExprReader(r, names, "te");
  }
  group(): Group | null {
    const r: Reader = this.r;
    if (r.at("stage")) {
      const s = this.stage();
      return { root: s.id, stages: [s] };
    }
    if (!r.accept("group")) return null;
    r.expect("root");
    const root = readRef(r, "a stage");
    const stages: Stage[] = [];
    r.expect("{");
    while (!r.accept("}")) stages.push(this.stage());
    const { name, id } = root;
    return { root: name === null && id !== null ? (id as StageId) : resolve(r, root, stages, "stage").id, stages };
  }
  private stage(): Stage {
    const r: Reader = this.r;
    r.expect("stage");
    const name = r.name("a stage");
    this.last = readId(r) ?? this.last + 1;
    const id = this.last as StageId;
    r.expect("(");
    const axes: readonly Axis[] = r.list(")", () => readAxis(r, "spatial"));
    const scan = r.accept("scan") ? r.name("an axis") : null;
    const loc = readLoc(r, name);
    const outs: Stage["outs"][number][] = [];
    r.expect("{");
    withVars(
      this.exprs.vars,
      axes.map((a) => [a.name, index32] as const),
      () => {
        for (;;) {
          this.exprs.readDefs();
          if (r.accept("}")) return;
          const b = this.names.ref(r);
          r.expect("=");
          outs.push({ buffer: b.id, body: this.exprs.te(b.dtype) });
        }
      },
    );
    return { id, name, axes, outs, scan, loc };
  }
}

export function readProgram(r: Reader, constants: ConstantTable): Program {
  const names = new BufferScope();
  const head = readHead(r, "program", names);
  const bindings: Binding[] = [];
  while (r.accept("bind")) {
    const id = readSymbolId(r);
    r.expect("in");
    const range = readRange(r);
    r.expect("from");
    r.expect("input");
    const input = r.int();
    r.expect("axis");
    bindings.push({ id, input, axis: r.int(), ...range });
  }
  const requires = readRequirements(r);
  const tables = readBuffers(r, names, constants);
  const kernels: Kernel[] = [];
  while (r.at("kernel")) kernels.push(readKernel(r));
  const actions = (keyword: string): readonly Action<Call>[] => {
    r.expect(keyword);
    r.expect("{");
    return readActions(r, names, () => readCall(r, names, kernels));
  };
  const init = r.at("init") ? actions("init") : [];
  const run = actions("run");
  const plan = readPlan(r, names);
  r.expect("}");
  return { ...head.head, bindings, requires, ...head.ports(), kernels, init, run, ...tables, plan };
}

function readCall(r: Reader, names: BufferScope, kernels: readonly Kernel[]): Call | null {
  if (!r.accept("call")) return null;
  r.expect("@");
  const ref = readRef(r, "a kernel");
  const kernel =
    ref.id ??
    resolve(
      r,
      ref,
      kernels.map((k, id) => ({ name: k.name, id })),
      "kernel",
    ).id;
  r.expect("(");
  const args = r.list(")", () => names.ref(r).id);
  return { kernel, args, scalars: readOptionalDims(r, "scalars"), dims: readOptionalDims(r, "dims") };
}

const regions: Readonly<Record<Region, true>> = { weights: true, prepared: true, arena: true, heap: true, io: true };
function isRegion(s: string): s is Region {
  return Object.hasOwn(regions, s);
}
function readPlan(r: Reader, names: BufferScope): MemoryPlan {
  r.expect("plan");
  r.expect("{");
  const lets: MemoryPlan["lets"][number][] = [];
  while (r.accept("let")) {
    const id = readSymbolId(r);
    r.expect("=");
    lets.push({ id, value: readDim(r) });
  }
  const offsets = new Map<BufferId, { readonly region: Region; readonly offset: Dim }>();
  while (r.accept("place")) {
    const { id } = names.ref(r);
    r.expect("in");
    const t = r.peek();
    const region = r.name("a region");
    if (!isRegion(region)) r.fail(`${region} is no region`, t);
    offsets.set(id, { region, offset: readDim(r) });
  }
  const size = (word: string): Dim => {
    r.expect(word);
    return readDim(r);
  };
  r.expect("sizes");
  const weights = size("weights");
  r.expect(",");
  const prepared = size("prepared");
  r.expect(",");
  const sizes = { weights, prepared, arena: size("arena") };
  const lowerBound = size("bound");
  r.expect("}");
  return { lets, offsets, sizes, lowerBound };
}

type Head = { readonly name: string; readonly symbols: TeProgram["symbols"] };
/** The header up to its brace; the ports' buffers are found once they are declared. */
function readHead(
  r: Reader,
  keyword: string,
  names: BufferScope,
): { readonly head: Head; readonly ports: () => Pick<TeProgram, "inputs" | "outputs"> } {
  r.expect(keyword);
  r.expect("@");
  const name = r.name(`the name of a ${keyword}`);
  const port = (): (() => Port) => {
    const own = readRef(r, "a port");
    const ref = r.accept(":") ? readRef(r, "a buffer") : own;
    if (own.name === null) r.fail("a port has a name", own.at);
    const named = own.name;
    return () => ({ name: named, buffer: names.resolve(r, ref).id });
  };
  r.expect("(");
  const inputs = r.list(")", port);
  const outputs = readOutputs(r, port);
  const symbols = readWhere(r);
  r.expect("{");
  return {
    head: { name, symbols },
    ports: () => ({ inputs: inputs.map((p) => p()), outputs: outputs.map((p) => p()) }),
  };
}
function readRequirements(r: Reader): readonly Requirement[] {
  const requires: Requirement[] = [];
  while (r.accept("require")) {
    const zero = readDim(r);
    r.expect("is");
    if (r.int() !== 0) r.fail("a requirement is 0");
    r.expect("else");
    requires.push({ zero, why: r.name("a reason") });
  }
  return requires;
}
function readBuffers(
  r: Reader,
  names: BufferScope,
  constants: ConstantTable,
): Pick<TeProgram, "buffers" | "constants"> {
  const finish: (() => Buffer)[] = [];
  const tensors = new Map<BufferId, Tensor>();
  while (r.accept("buffer")) {
    const d = names.declare(r);
    finish.push(d.finish);
    if (!r.accept("=")) continue;
    r.expect("const");
    tensors.set(d.id, readTensor(r, constants, names.resolve(r, { name: null, id: d.id, at: r.peek() })));
  }
  return { buffers: new Map(finish.map((f) => f()).map((b) => [b.id, b])), constants: tensors };
}

/** Actions up to the closing brace, which is taken. `call` reads a call, or gives null where none begins. */
function readActions<C>(r: Reader, names: BufferScope, call: () => C | null): readonly Action<C>[] {
  const list = (): readonly Action<C>[] => {
    r.expect("{");
    return readActions(r, names, call);
  };
  const actions: Action<C>[] = [];
  while (!r.accept("}")) {
    if (r.accept("dim")) {
      const id = readSymbolId(r);
      r.expect("in");
      const range = readRange(r);
      r.expect("=");
      actions.push({ kind: "dim", id, from: readSource(r, names), ...range });
    } else if (r.at("reserve") || r.at("release")) {
      const kind = r.next().text === "reserve" ? "reserve" : "release";
      actions.push({ kind, buffer: names.ref(r).id });
    } else if (r.accept("if")) {
      const cond = names.ref(r).id;
      actions.push({ kind: "if", cond, then: list(), otherwise: r.accept("else") ? list() : [] });
    } else if (r.accept("loop")) {
      const counter = readSymbolId(r);
      r.expect("in");
      if (r.int() !== 0) r.fail("a loop counts from 0");
      r.expect("..");
      const trip = r.at("while") || r.at("swap") || r.at("{") ? null : readDim(r);
      const cond = r.accept("while") ? names.ref(r).id : null;
      actions.push({ kind: "loop", trip, cond, counter, swap: readSwaps(r, names), body: list() });
    } else {
      const c = call();
      if (c === null) r.fail("expected an action");
      actions.push({ kind: "call", call: c });
    }
  }
  return actions;
}
/** `b[DIM]` or `DIM` */
function readSource(r: Reader, names: BufferScope): (Action<never> & { kind: "dim" })["from"] {
  const named = r.peek().kind === "word" || r.peek().kind === "string";
  const indexed = r.peek().kind === "tag" || (named && (r.at("[", 1) || (r.peek(1).kind === "tag" && r.peek(1).glued)));
  if (!indexed) return { value: readDim(r) };
  const buffer = names.ref(r).id;
  r.expect("[");
  const index = readDim(r);
  r.expect("]");
  return { buffer, index };
}
function readSwaps(r: Reader, names: BufferScope): readonly (readonly [BufferId, BufferId])[] {
  const swaps: [BufferId, BufferId][] = [];
  if (!r.accept("swap")) return swaps;
  do {
    r.expect("(");
    const a = names.ref(r).id;
    r.expect(",");
    swaps.push([a, names.ref(r).id]);
    r.expect(")");
  } while (r.accept(","));
  return swaps;
}
