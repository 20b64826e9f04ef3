// What the loader interprets: where buffers lie, which shader each call dispatches, and every Dim as JSON.

import type { Plan, PlanAction, PlanBuffer, PlanDim, PlanKernel, PlanPort } from "../../runtime/gpu-plan.ts";
import type { Manifest } from "../../runtime/manifest.ts";
import { assert, must, unreachable } from "../../src/base/assert.ts";
import type { BufferId, SymbolId } from "../../src/base/brand.ts";
import { userError } from "../../src/base/diagnostics.ts";
import type { Dim } from "../../src/ir/dim.ts";
import * as D from "../../src/ir/dim.ts";
import type { Action, Call, Program } from "../../src/ir/program.ts";
import type { Port } from "../../src/ir/te.ts";
import { reg } from "./expr.ts";
import type { Helper } from "./helpers.ts";
import { helperText } from "./helpers.ts";
import { argumentWords, identifier, printKernel } from "./print.ts";

/** WebGPU's default maxStorageBufferBindingSize: what every adapter grants. */
const maxBinding = 128 * 1024 * 1024;
/** Storage buffers of one shader (8) less the arena, the prepared buffers and the heap. */
const maxSlots = 5;
/** The storage bindings by region, as in the runtime; a weights slot s is binding 4 + s. */
const bindingOf = { arena: 1, prepared: 2, heap: 3 } as const;
const firstSlot = 4;

/** Bytes of a memory cell: one word for every element. */
export const cellBytes = 4;

type Part = { readonly start: number; readonly end: number };

/** Prints the shaders of a program and the plan that runs them; weights in parts of `partBytes` at most. E303, E304. */
export function planProgram(
  p: Program,
  manifest: Manifest,
  partBytes: number = maxBinding,
): { readonly plan: Plan; readonly wgsl: string } {
  return new Planner(p, partBytes).result(manifest);
}

class Planner {
  private readonly p: Program;
  private readonly symbols = new Map<SymbolId, number>();
  private readonly derived: ReadonlyMap<SymbolId, Dim>;
  private readonly buffers: PlanBuffer[] = [];
  private readonly bufferIndex = new Map<BufferId, number>();
  private readonly parts: readonly Part[];
  private readonly kernels: (Omit<PlanKernel, "code"> & { readonly text: string; readonly grid: readonly Dim[] })[] =
    [];
  private readonly kernelIndex = new Map<string, number>();
  private readonly entries = new Set<string>();
  private readonly helpers = new Set<Helper>();
  private slots = 0;
  private words = 1;

  constructor(p: Program, partBytes: number) {
    this.p = p;
    this.derived = new Map(
      p.symbols.flatMap((s) => (s.def !== null && s.def !== "data" ? [[s.id, s.def] as const] : [])),
    );
    for (const region of ["weights", "prepared", "arena"] as const) {
      const bytes = D.known(p.plan.sizes[region]) ?? 0;
      if (bytes > 2 ** 32 - 4)
        throw userError("E303", `the ${region} of ${p.name} need ${bytes} bytes; a GPU buffer has 4 GiB at most`);
    }
    this.parts = weightParts(p, partBytes);
  }

  result(manifest: Manifest): { plan: Plan; wgsl: string } {
    const { p } = this;
    const bindings = p.bindings.map((b) => this.symbol(b.id));
    const lets = p.plan.lets.map((l) => [this.symbol(l.id), this.dim(l.value)] as const);
    const requires = p.requires.map((r) => this.dim(r.zero));
    const inputs = p.inputs.map((x) => this.port(x));
    const outputs = p.outputs.map((x) => this.port(x));
    const init = this.actions(p.init);
    const run = this.actions(p.run);
    const sizes = { arena: this.dim(p.plan.sizes.arena), prepared: this.dim(p.plan.sizes.prepared) };
    const vectors = Math.ceil(this.words / 4);
    const prelude = this.prelude(vectors);
    let at = prelude.length;
    const kernels: PlanKernel[] = this.kernels.map(({ entry, folded, text }) => {
      const code = [at, at + text.length] as const;
      at += text.length;
      return { entry, code, ...(folded ? { folded } : {}) };
    });
    const plan: Plan = {
      format: 1,
      manifest,
      inputs,
      outputs,
      symbols: [...this.symbols.keys()],
      seed: this.symbols.get("$seed" as SymbolId) ?? null,
      bindings,
      lets,
      requires,
      sizes,
      weights: this.parts.map((x) => [x.start, x.end] as const),
      slots: this.slots,
      vectors,
      prelude: prelude.length,
      kernels,
      buffers: this.buffers,
      init,
      run,
    };
    return { plan, wgsl: prelude + this.kernels.map((k) => k.text).join("") };
  }

  /** What all shaders share. Each shader's module is this and its own text. */
  private prelude(vectors: number): string {
    const storage = (binding: number, name: string, access: string, word = "u32"): string =>
      `@group(0) @binding(${binding}) var<storage, ${access}> ${name}: array<${word}>;\n`;
    const lines = [
      `// ${identifier(this.p.name)}: every element is one 32-bit word; args are offsets in words, then dims, then scalars.\n`,
    ];
    lines.push(`@group(0) @binding(0) var<uniform> args: array<vec4<i32>, ${vectors}>;\n`);
    for (const [name, binding] of Object.entries(bindingOf)) {
      lines.push(storage(binding, name, "read_write"));
      // The same memory, for kernels that update it atomically.
      if (this.kernels.some((k) => k.text.includes(`${name}_atomic[`)))
        lines.push(storage(binding, `${name}_atomic`, "read_write", "atomic<u32>"));
    }
    for (let s = 0; s < this.slots; s++) lines.push(storage(firstSlot + s, `weights${s}`, "read"));
    return lines.join("") + helperText(this.helpers);
  }

  private symbol(id: SymbolId): number {
    let at = this.symbols.get(id);
    if (at === undefined) {
      at = this.symbols.size;
      this.symbols.set(id, at);
    }
    return at;
  }

  private dim(d: Dim): PlanDim {
    switch (d.kind) {
      case "int":
        return d.value;
      case "sym": {
        const def = this.derived.get(d.id);
        return def && !this.p.plan.lets.some((l) => l.id === d.id) ? this.dim(def) : [this.symbol(d.id)];
      }
      case "add":
        return ["+", d.terms.map((t) => this.dim(t))];
      case "mul":
        return ["*", d.terms.map((t) => this.dim(t))];
      case "max":
      case "min":
      case "broadcast":
        return [d.kind, d.terms.map((t) => this.dim(t))];
      case "floordiv":
        return ["/", [this.dim(d.a), this.dim(d.by)]];
      case "mod":
        return ["%", [this.dim(d.a), this.dim(d.by)]];
      default:
        return unreachable(d, "dim");
    }
  }

  private port(x: Port): PlanPort {
    const b = must(this.p.buffers.get(x.buffer), `buffer of ${x.name}`);
    reg(b.dtype);
    return { buffer: this.buffer(x.buffer), shape: b.shape.map((d) => this.dim(d)) };
  }

  /** The region of a buffer: that of its outermost root. */
  private region(id: BufferId): "arena" | "prepared" | "heap" | number {
    const b = must(this.p.buffers.get(id), `buffer ${id}`);
    if (b.storage !== null && b.storage.root !== null) return this.region(b.storage.root);
    const { region, offset } = must(this.p.plan.offsets.get(id), `place of buffer ${b.name} in the memory plan`);
    assert(region !== "io", `buffer ${b.name} is the caller's: inputs and outputs must lie in the arena`);
    if (region !== "weights") return region;
    const at = must(D.known(offset), `static offset of the constant ${b.name}`);
    const part = this.parts.findIndex((x) => x.start <= at && at < Math.max(x.end, x.start + 1));
    assert(part >= 0, `no part of the weights holds ${b.name}`);
    return part;
  }

  private buffer(id: BufferId): number {
    const known = this.bufferIndex.get(id);
    if (known !== undefined) return known;
    const b = must(this.p.buffers.get(id), `buffer ${id}`);
    const region = this.region(id);
    const root = b.storage?.root ?? null;
    const inside = D.mul(b.storage?.offset ?? D.zero, D.int(cellBytes));
    let made: PlanBuffer;
    if (root !== null) made = { region, root: this.buffer(root), offset: this.dim(inside) };
    else {
      const { offset } = must(this.p.plan.offsets.get(id), `place of ${b.name}`);
      const base = typeof region === "number" ? D.int(-this.parts[region]!.start) : D.zero;
      made = { region, offset: this.dim(D.add(base, offset, inside)) };
    }
    this.bufferIndex.set(id, this.buffers.length);
    return this.buffers.push(made) - 1;
  }

  private actions(list: readonly Action<Call>[]): PlanAction[] {
    return list.map((a) => this.action(a));
  }
  private action(a: Action<Call>): PlanAction {
    switch (a.kind) {
      case "call":
        return this.call(a.call);
      case "dim": {
        const from =
          "value" in a.from
            ? { value: this.dim(a.from.value) }
            : { buffer: this.buffer(a.from.buffer), index: this.dim(a.from.index) };
        return { do: "dim", symbol: this.symbol(a.id), ...from, min: a.min, max: a.max };
      }
      case "reserve": {
        const b = must(this.p.buffers.get(a.buffer), `buffer ${a.buffer}`);
        const { offset } = must(this.p.plan.offsets.get(a.buffer), `place of ${b.name}`);
        assert(offset.kind === "sym", `the heap buffer ${b.name} has no symbol for its offset`);
        const size = b.storage ? b.storage.size : D.product(b.shape);
        return {
          do: "reserve",
          buffer: this.buffer(a.buffer),
          symbol: this.symbol(offset.id),
          bytes: this.dim(D.mul(size, D.int(cellBytes))),
        };
      }
      case "release":
        return { do: "release", buffer: this.buffer(a.buffer) };
      case "if":
        return {
          do: "if",
          cond: this.buffer(a.cond),
          then: this.actions(a.then),
          otherwise: this.actions(a.otherwise),
        };
      case "loop": {
        for (const [x, y] of a.swap)
          assert(this.region(x) === this.region(y), `buffers ${x} and ${y} swap but lie in different regions`);
        return {
          do: "loop",
          trip: a.trip === null ? null : this.dim(a.trip),
          cond: a.cond === null ? null : this.buffer(a.cond),
          counter: this.symbol(a.counter),
          body: this.actions(a.body),
          swap: a.swap.map(([x, y]) => [this.buffer(x), this.buffer(y)] as const),
        };
      }
      default:
        return unreachable(a, "action");
    }
  }

  private call(c: Call): PlanAction {
    const k = must(this.p.kernels[c.kernel], `kernel ${c.kernel}`);
    const parts: number[] = [];
    const names = c.args.map((id) => {
      const region = this.region(id);
      if (typeof region !== "number") return region;
      if (!parts.includes(region)) parts.push(region);
      return `weights${parts.indexOf(region)}`;
    });
    if (parts.length > maxSlots)
      throw userError(
        "E304",
        `a kernel reads constants from ${parts.length} buffers of 128 MiB; WebGPU binds ${maxSlots}`,
      );
    this.slots = Math.max(this.slots, parts.length);
    this.words = Math.max(this.words, argumentWords(k));

    // A kernel that calls give operands in different regions is a shader for each combination.
    const key = `${c.kernel}:${names.join()}`;
    let kernel = this.kernelIndex.get(key);
    if (kernel === undefined) {
      const stem = identifier(k.name);
      // A stem may be a keyword; a pass's k07_conv is not.
      const base = /^k\d/.test(stem) ? stem : `k_${stem}`;
      let entry = base;
      for (let i = 2; this.entries.has(entry); i++) entry = `${base}_v${i}`;
      this.entries.add(entry);
      const { text, grid, folded } = printKernel(k, names, entry, (h) => {
        this.helpers.add(h);
        return h;
      });
      kernel = this.kernels.push({ entry, folded, text, grid }) - 1;
      this.kernelIndex.set(key, kernel);
    }
    const values = new Map<string, Dim>();
    k.dims.forEach((id, i) => {
      values.set(id, must(c.dims[i], `dim ${id} of ${k.name}`));
    });
    k.scalars.forEach((s, i) => {
      values.set(s.name, must(c.scalars[i], `scalar ${s.name} of ${k.name}`));
    });
    const grid = this.kernels[kernel]!.grid.map((d) => this.dim(D.substitute(d, (id) => values.get(id) ?? null)));
    while (grid.length > 1 && grid.at(-1) === 1) grid.pop();
    const floats = k.scalars.flatMap((s, i) => (reg(s.dtype) === "f32" ? [k.dims.length + i] : []));
    return {
      do: "call",
      kernel,
      buffers: c.args.map((id) => this.buffer(id)),
      values: [...c.dims, ...c.scalars].map((d) => this.dim(d)),
      grid,
      ...(floats.length > 0 ? { floats } : {}),
      ...(parts.length > 0 ? { parts } : {}),
    };
  }
}

/**
 * The weights cut where a constant starts, into parts that every adapter can bind. A constant over the limit is a part of its own,
 * for adapters that bind more.
 */
function weightParts(p: Program, partBytes: number): readonly Part[] {
  const ranges: { start: number; end: number }[] = [];
  const constants = [...p.constants.keys()].map((id) => {
    const b = must(p.buffers.get(id), `buffer ${id}`);
    assert(b.storage?.root == null, `the constant ${b.name} lies in another buffer`);
    const { offset } = must(p.plan.offsets.get(id), `place of the constant ${b.name}`);
    const start = must(D.known(offset), `static offset of the constant ${b.name}`);
    return {
      start,
      end: start + cellBytes * must(D.known(b.storage ? b.storage.size : D.product(b.shape)), `size of ${b.name}`),
    };
  });
  for (const c of constants.sort((a, b) => a.start - b.start || a.end - b.end)) {
    const last = ranges.at(-1);
    if (last && Math.max(c.end, last.end) - last.start <= partBytes) last.end = Math.max(c.end, last.end);
    else if (last && c.start < last.end) last.end = Math.max(c.end, last.end);
    else ranges.push({ start: c.start, end: c.end });
  }
  return ranges;
}
