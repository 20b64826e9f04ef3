// What callers of a compiled model see: the members of NAME_in and NAME_out, and NAME.h.
import { must } from "../../src/base/assert.ts";
import type { BufferId, SymbolId } from "../../src/base/brand.ts";
import type { ListPort, ListPorts } from "../../src/ir/artifact.ts";
import * as D from "../../src/ir/dim.ts";
import type { Labels } from "../../src/ir/opdef.ts";
import type { Program } from "../../src/ir/program.ts";
import type { Buffer } from "../../src/ir/storage.ts";
import type { EmitOptions } from "../../src/ir/target.ts";
import type { DType } from "../../src/ir/types.ts";
import { elementType } from "./code.ts";
import { identifier, Names, quoted, stringText } from "./names.ts";

/** A member of NAME_in or NAME_out. */
export type Field = {
  /** The name in the model. */
  readonly port: string;
  readonly buffer: Buffer;
  readonly name: string;
  /** The array of its dims, when they are not all known. */
  readonly dims: string | null;
  /** An output whose dims depend on data: the run sets the pointer. */
  readonly dynamic: boolean;
  readonly type: string;
  readonly labels: Labels | null;
  /** What it is of a sequence or optional. */
  readonly note: string | null;
};
export type Interface = {
  /** The prefix of functions and types, and of macros. */
  readonly name: string;
  readonly upper: string;
  readonly inputs: readonly Field[];
  readonly outputs: readonly Field[];
  /** Symbols that the dims of the inputs bind. */
  readonly bound: ReadonlySet<SymbolId>;
  /** Bytes of the weights. */
  readonly weights: number;
  readonly prepared: number;
  /** Bytes of the planned arena, or null when they depend on dims. */
  readonly arena: number | null;
  readonly usesHeap: boolean;
};

/** The symbols of a buffer's shape. */
function symbols(b: Buffer): Set<SymbolId> {
  const found = new Set<SymbolId>();
  for (const d of b.shape) D.symbolsOf(d, found);
  return found;
}

/** What the ports of a sequence or optional hold. */
function listNotes(lists: readonly ListPort[]): ReadonlyMap<string, string> {
  return new Map(
    lists.flatMap(({ name, kind }): [string, string][] => [
      [`${name}.present`, `whether the ${kind} is there`],
      [
        `${name}.shapes`,
        `a row per element of the ${kind}: its rank, its dims, then ones${kind === "optional" ? "; no row: none" : ""}`,
      ],
      [name, `the elements of the ${kind}, one after another`],
    ]),
  );
}

export function interfaceOf(
  p: Program,
  name: string,
  { labels, lists }: Pick<EmitOptions, "labels" | "lists"> = {},
): Interface {
  const bound = new Set(p.bindings.map((b) => b.id));
  const fields = (ports: Program["inputs"], of: readonly ListPort[], taken: readonly string[]): Field[] => {
    const notes = listNotes(of);
    const names = new Names(taken);
    return ports.map(({ name: port, buffer: id }) => {
      const buffer = must(p.buffers.get(id), `buffer of ${port}`);
      const syms = symbols(buffer);
      const member = names.fresh(port);
      return {
        port,
        buffer,
        name: member,
        dims: syms.size > 0 ? names.fresh(`${member}_dims`) : null,
        dynamic: [...syms].some((s) => !bound.has(s)),
        type: elementType(buffer.dtype),
        labels: (ports === p.outputs && labels?.get(port)) || null,
        note: notes.get(port) ?? null,
      };
    });
  };
  const known = (d: D.Dim, what: string): number => must(D.known(d), `constant size of ${what}`);
  const id = identifier(name);
  return {
    name: id,
    upper: id.toUpperCase(),
    inputs: fields(p.inputs, lists?.inputs ?? [], []),
    outputs: fields(p.outputs, lists?.outputs ?? [], ["arena_needed"]),
    bound,
    weights: known(p.plan.sizes.weights, "the weights"),
    prepared: known(p.plan.sizes.prepared, "the prepared buffers"),
    arena: D.known(p.plan.sizes.arena),
    usesHeap: [...p.plan.offsets.values()].some((o) => o.region === "heap"),
  };
}

/** A parallel_for of POSIX threads, the same for all models. */
export const threadsFile = "ingot_threads.h";
/** What an arena is at least, so that it may be declared as an array. */
export const minArenaBytes = 64;

const dtypeNote: Readonly<Partial<Record<DType, string>>> = { bool: "0 or 1" };

function describe(f: Field): string {
  const shape = f.buffer.shape.map((d) => quoted(d.key).slice(1, -1)).join(", ");
  const note = f.note === null ? dtypeNote[f.buffer.dtype] : quoted(f.note).slice(1, -1);
  return `${quoted(f.port)}: ${f.buffer.dtype}[${shape}]${note ? `, ${note}` : ""}`;
}

/** NAME.h. */
export function printHeader(i: Interface, weights: "embed" | "file", hasInit: boolean, file: string): string {
  const { name, upper } = i;
  const symbolic = [...i.inputs, ...i.outputs].some((f) => f.dims !== null);
  const lines: string[] = [];
  const out = (...xs: readonly string[]): void => {
    lines.push(...xs);
  };
  out(
    `/* The model ${quoted(file)}, compiled to C by Ingot. Include this; compile ${file}.c. */`,
    `#ifndef INGOT_${upper}_H`,
    `#define INGOT_${upper}_H`,
    "",
    "#include <stddef.h>",
    "#include <stdint.h>",
    "",
    "#ifdef __cplusplus",
    'extern "C" {',
    "#endif",
    "",
    "/* What the functions return. */",
    "enum {",
    `  ${upper}_OK = 0,`,
    `  ${upper}_ERR_DIMS = 1,     /* a dim of an input does not fit the model */`,
    `  ${upper}_ERR_ARENA = 2,    /* the arena is missing, too small, or not aligned to 8 bytes */`,
    `  ${upper}_ERR_RANGE = 3,    /* a dim that depends on data is out of its range */`,
    `  ${upper}_ERR_CTX = 4,      /* ctx->struct_size is not set */`,
    `  ${upper}_ERR_WEIGHTS = 5,  /* ctx->weights is NULL */`,
    `  ${upper}_ERR_PREPARED = 6  /* ctx->prepared is NULL */`,
    "};",
    "",
  );
  if (i.arena !== null)
    out(
      `#define ${upper}_ARENA_BYTES ${Math.max(i.arena, minArenaBytes)}${i.usesHeap ? " /* at least; see arena_needed */" : ""}`,
    );
  if (i.weights > 0) out(`#define ${upper}_WEIGHTS_BYTES ${i.weights}`);
  if (i.prepared > 0) out(`#define ${upper}_PREPARED_BYTES ${i.prepared}`);
  if (i.arena !== null || i.weights > 0 || i.prepared > 0) out("");
  const arenaOf = i.arena === null ? `${name}_arena_bytes(in)` : `${upper}_ARENA_BYTES`;
  out(
    "/* Set every member that is not used to 0. One ctx serves any number of runs; concurrent runs need an arena each. */",
    `typedef struct ${name}_ctx {`,
    `  size_t struct_size; /* sizeof(${name}_ctx) */`,
    `  /* ${arenaOf} or more of scratch memory, best aligned to 64 bytes. Nothing in it outlives a run,`,
    "     but outputs that the run points into it. */",
    "  void *arena;",
    "  size_t arena_bytes;",
  );
  if (weights === "file" && i.weights > 0)
    out(`  const void *weights; /* the bytes of ${file}.weights, aligned to 64 bytes (8 will do) */`);
  else out("  const void *weights; /* NULL: the model's own */");
  out(
    i.prepared > 0
      ? `  void *prepared; /* ${upper}_PREPARED_BYTES, filled by ${name}_init, then only read; aligned as the arena */`
      : "  void *prepared; /* not used by this model */",
    "  /* NULL, or: calls body(arg, begin, end) for ranges that cover 0..count once, on any threads, and returns when all have.",
    `     ${threadsFile} has one. */`,
    "  void (*parallel_for)(void *user, int32_t count, void (*body)(void *arg, int32_t begin, int32_t end), void *arg);",
    "  void *user; /* for parallel_for */",
    "  uint32_t seed; /* of random numbers */",
    `} ${name}_ctx;`,
    "",
    `typedef struct ${name}_in {`,
  );
  for (const f of i.inputs) {
    out(`  const ${f.type} *${f.name}; /* ${describe(f)} */`);
    if (f.dims) out(`  int32_t ${f.dims}[${f.buffer.shape.length}];`);
  }
  if (i.inputs.length === 0) out("  int none;");
  const dynamic = i.outputs.some((f) => f.dynamic);
  out(
    `} ${name}_in;`,
    "",
    `/* Outputs are dense and row-major${dynamic ? "; const ones are set by the run, to point into the arena" : ""}.${
      symbolic ? " Dims are set by the run." : ""
    } */`,
    `typedef struct ${name}_out {`,
  );
  for (const f of i.outputs) {
    out(`  ${f.dynamic ? "const " : ""}${f.type} *${f.name}; /* ${describe(f)} */`);
    if (f.dims) out(`  int32_t ${f.dims}[${f.buffer.shape.length}];`);
  }
  out(
    `  size_t arena_needed; /* set: bytes of arena that the run needed${i.usesHeap ? " as far as it came" : ""} */`,
    `} ${name}_out;`,
    "",
  );
  const macros = new Names();
  for (const { port, name: field, labels } of i.outputs) {
    if (!labels) continue;
    const what =
      labels.of === "elements" ? "The text that each element is the position of" : "The names of the columns";
    out(
      `/* ${what}, for an array of const char *: ${quoted(port)}. */`,
      `#define ${upper}_${macros.fresh(field.toUpperCase())}_LABELS { ${labels.names.map((n) => stringText(String(n))).join(", ")} }`,
      "",
    );
  }
  if (hasInit) {
    out(`/* Fills ctx->prepared, once before the first run. */`, `int ${name}_init(const ${name}_ctx *ctx);`, "");
  }
  if (i.arena === null) {
    out(
      `/* Bytes of arena for inputs of these dims${i.usesHeap ? " at least (see arena_needed)" : ""}; 0 when they do not fit the model. */`,
      `size_t ${name}_arena_bytes(const ${name}_in *in);`,
      "",
    );
  }
  if (hasShapes(i)) {
    out(
      "/* Sets the dims of the outputs that follow from the dims of the inputs, to know what memory they need. */",
      `int ${name}_shapes(const ${name}_in *in, ${name}_out *out);`,
      "",
    );
  }
  out(
    "/* One inference: reads ctx and in, writes the outputs. 0 or an error. */",
    `int ${name}_run(const ${name}_ctx *ctx, const ${name}_in *in, ${name}_out *out);`,
    "",
    "#ifdef __cplusplus",
    "}",
    "#endif",
    "#endif",
    "",
  );
  return lines.join("\n");
}

/** Whether some output's dims follow from the inputs' at run time. */
export function hasShapes(i: Interface): boolean {
  return i.outputs.some((f) => f.dims !== null && !f.dynamic);
}
/** The field of NAME_in or NAME_out that is the memory of a buffer in the io region. */
export function homeField(i: Interface, id: BufferId): { readonly field: Field; readonly side: "in" | "out" } | null {
  const input = i.inputs.find((f) => f.buffer.id === id);
  if (input) return { field: input, side: "in" };
  const output = i.outputs.find((f) => f.buffer.id === id && !f.dynamic);
  return output ? { field: output, side: "out" } : null;
}
