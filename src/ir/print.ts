// The text form of the four IRs: what --dump writes and pass tests read. parse.ts reads it back; parse(print(x)) equals x.
//
// One statement a line, blocks in braces, comments from // to the end of the line. NAME is an identifier, or a JSON string where
// it is none. An ID follows a name as #7: at a declaration unless it is one more than that of the declaration before (from 0), at
// a use when several things have that name. `x, ...` is a list, [x] may be missing; N..M is a range (without M: no upper end).
//
//   graph    graph @NAME(%VALUE, ...) -> %x where SYMBOL, ... { VALUE*  NODE* }          several outputs: (%x, %y)
//   VALUE    %NAME#ID: TYPE [known (dims) [DIM | FLOAT | ?, ...] | unknown] [= const DATA]   unknown: not even what its constant says;
//            dims of what is known where they are not those of the type
//   NODE     VALUE | _, ... = OP#ID(%x | _, ...) [{NAME = ATTR, ...}] LOC                no output: () = OP(...)
//   ATTR     1 | 0.5 | 5n | true | "text" | [ATTR, ...] | tensor DTYPE[dims] DATA | type DTYPE[DIM, ...] | graph
//   TYPE     f32[N, 4] | seq(TYPE) | optional(TYPE)
//   DATA     [1, 2.5, -inf, 0x3c00] up to 16 elements (bits for f16 and narrower floats), else @NAME#HASH in the table of
//            constants; with a TYPE before it where the place does not have that type
//   LOC      loc("node", "op", pass = "...", from = LOC)                 the op is left out when it is that of the node
//   SYMBOL   N in 1..64 [from data | = DIM]
//   DIM      2*N + 3, floordiv(a, b), mod(a, b), max(a, ...), min, broadcast
//   te       te @NAME(PORT, ...) -> PORT where ... { REQUIRE*  BUFFER*  ACTION* }        PORT: name[: buffer]
//   REQUIRE  require DIM is 0 else "why"
//   BUFFER   buffer NAME#ID: f32[N, 4] SCOPE STORAGE [= const DATA]
//   STORAGE  nothing (not chosen) | dense | [strides (DIM, ...)] [blocks (axis by n stride DIM, ...)] [in root] [offset DIM]
//            [size DIM] where they are not those of dense row-major storage; T: [part of b from (DIM, ...) step (DIM, ...)]
//   ACTION   STAGE | group root NAME { STAGE* } | call (b, ...) [scalars (DIM, ...)] LOC kernel | if b { } else { }
//            dim N in 0..9 = b[DIM] | dim N in 0..9 = DIM | reserve b | release b
//            loop i in 0..DIM [while b] [swap (b, c), ...] { ACTION* }
//   STAGE    stage NAME#ID(i in 0..DIM, ...) [scan i] LOC { [def*] b = EXPR ... }        def @1 = EXPR: @1 stands for that tree
//   program  program @NAME(PORT, ...) -> PORT where ... { (bind N in 1..64 from input 0 axis 1)*  REQUIRE*  BUFFER*  kernel*
//            init { ACTION* } run { ACTION* } plan { (let N = DIM)* (place b in arena DIM)* sizes ... bound DIM } }
//            its calls: call @kernel(b, ...) [scalars (DIM, ...)] [dims (DIM, ...)]
//   kernel   kernel @NAME(A: f32[N, 4] SCOPE STORAGE, ...) [scalars (a: f32, ...)] [dims (N, ...)] [overlap (A, B), ...] { STMT* }
//            (lanes 16 { STMT* })*                                                        the same in other vectors
//   STMT     LOOP i in 0..EXPR [step 4] [with p = A[EXPR] step EXPR, ...] { }            LOOP: for unroll vector parallel block.x
//            [atomic.add] A[EXPR, ...] = EXPR | if EXPR { } else { } | while EXPR { } | seq { } | barrier | def @1 = EXPR
//            let x = EXPR | alloc BUFFER             the rest of the block is their body, or what follows in braces
//   EXPR     || && | ^ & == != < <= << >> + - * / from loose to tight, then - ! ~; all other ops as calls: floordiv(a, b), exp(x)
//            mulAdd(a, b, c), mulAdd.fused, mulAdd.separate, select(c, a, b), f32(x) a cast, bitcast.i32(x), table(f32, [1.0], i)
//            A[i, j], with a pointer p: A[p: 4], safe(A[i]) may be evaluated where it is not chosen; lanes: ramp(base, stride, lanes), x4(e) a splat, lanes.sum(e, factor)
//            (e: f16) gives a node, (x: f32x4) a variable, another type than it would have
//            reduce r in 0..DIM, ... { (state s: f32 = 0.0)* (update s = EXPR)* (merge s = EXPR)* result EXPR }   at a stage's root
//   literal  5, 2.5, 1e-7, inf, nan, true. Its dtype is that of the operand beside it, else what the place asks for (an index:
//            i32, a store: the buffer's), else i32, or f32 when it has a point; any other is a suffix: 5_i64, inf_f64
import { Writer } from "../base/text.ts";
import type { Graph } from "./graph.ts";
import type { Kernel } from "./loops.ts";
import { Constants, type ConstantTable } from "./print-data.ts";
import { type AnyExpr, BufferNames, ExprPrinter } from "./print-expr.ts";
import { writeGraph } from "./print-graph.ts";
import { writeKernel } from "./print-kernel.ts";
import { writeProgram, writeTe } from "./print-program.ts";
import type { Program } from "./program.ts";
import type { Buffer } from "./storage.ts";
import type { TeProgram } from "./te.ts";

export type { ConstantTable } from "./print-data.ts";
export { typeText } from "./print-data.ts";

/** IR as text, with the bytes of the constants that are too long for it by `name#hash`. */
export type Printed = { readonly text: string; readonly constants: ConstantTable };

function print(write: (w: Writer, constants: Constants) => void): Printed {
  const w = new Writer();
  const constants = new Constants();
  write(w, constants);
  return { text: `${w}\n`, constants: constants.table };
}
export function printGraph(g: Graph): Printed {
  return print((w, constants) => writeGraph(w, g, constants));
}
export function printTe(p: TeProgram): Printed {
  return print((w, constants) => writeTe(w, p, constants));
}
/** A kernel has no constants: the table is empty. */
export function printKernel(k: Kernel): Printed {
  return print((w) => writeKernel(w, k));
}
export function printProgram(p: Program): Printed {
  return print((w, constants) => writeProgram(w, p, constants));
}
/** An expression on its own, for messages; buffers that are not given print as #id. */
export function printExpr(e: AnyExpr, buffers: Iterable<Buffer> = []): string {
  return new ExprPrinter(new BufferNames(buffers)).expr(e, e.dtype);
}
