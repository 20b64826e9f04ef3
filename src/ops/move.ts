// Movement: which input element stands at each output position.
import * as D from "../ir/dim.ts";
import type { Dim } from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { load } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import { type OpDef, op } from "../ir/opdef.ts";
import { tensorType } from "../ir/types.ts";
import { normalAxis, onnx, sameType, shapeText, tensor } from "./common.ts";

export const Transpose: OpDef<{ perm?: readonly number[] }> = op({
  name: "Transpose",
  onnx: [onnx("Transpose", 1, 13, 21, 23, 24, 25)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => {
    const perm = n.ints("perm");
    return perm ? { perm } : {};
  },
  infer: (x, a, ctx) => {
    const t = tensor(x, 0, ctx);
    const perm = a.perm ?? t.shape.map((_, k) => t.shape.length - 1 - k);
    if (perm.length !== t.shape.length || new Set(perm).size !== perm.length || perm.some((p) => p < 0 || p >= perm.length)) ctx.fail(`perm [${perm.join(", ")}] is no permutation of rank ${t.shape.length}`);
    return [tensorType(t.dtype, perm.map((p) => t.shape[p]!))];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const x = b.input(0);
      const perm = n.attrs.perm ?? x.shape.map((_, k) => x.shape.length - 1 - k);
      b.map(b.output(0), (i) => load(x, x.shape.map((_, k) => i[perm.indexOf(k)]!)));
    },
  },
});

export const Concat: OpDef<{ axis: number }> = op({
  name: "Concat",
  onnx: [onnx("Concat", 1, 4, 11, 13)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => ({ axis: n.int("axis", 1) }),
  infer: (x, a, ctx) => {
    const ts = x.map((_, k) => tensor(x, k, ctx));
    const first = tensor(x, 0, ctx);
    const axis = normalAxis(a.axis, first.shape.length, ctx);
    for (const t of ts) {
      sameType(first, t, ctx);
      if (t.shape.length !== first.shape.length || t.shape.some((d, k) => k !== axis && d.kind === "int" && first.shape[k]!.kind === "int" && d !== first.shape[k])) ctx.fail(`shapes ${ts.map((s) => shapeText(s.shape)).join(", ")} do not concatenate along axis ${axis}`);
    }
    return [tensorType(first.dtype, first.shape.map((_, k) => (k === axis ? D.add(...ts.map((t) => t.shape[k]!)) : (ts.map((t) => t.shape[k]!).find((e) => e.kind === "int") ?? first.shape[k]!))))];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const out = b.output(0);
      const axis = n.attrs.axis < 0 ? n.attrs.axis + out.shape.length : n.attrs.axis;
      let at: Dim = D.zero;
      n.inputs.forEach((_, k) => {
        const x = b.input(k);
        const part = b.part(out, `${out.name}.part${k}`, x.shape.map((__, j) => (j === axis ? at : D.zero)), x.shape);
        b.map(part, (i) => load(x, i));
        at = D.add(at, x.shape[axis]!);
      });
    },
  },
});

export const Shape: OpDef<{ start: number; end: number }> = op({
  name: "Shape",
  onnx: [onnx("Shape", 1, 13, 15, 19, 21, 23, 24, 25)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => ({ start: n.int("start", 0), end: n.int("end", Number.MAX_SAFE_INTEGER) }),
  infer: (x, a, ctx) => {
    const dims = shapeRange(tensor(x, 0, ctx).shape, a);
    ctx.give(0, { dims: [dims.length], elements: dims });
    return [tensorType("i64", [D.int(dims.length)])];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const t = b.types.inputs[0];
      const dims = t?.kind === "tensor" ? shapeRange(t.tensor.shape, n.attrs) : [];
      b.map(b.output(0), ([i]) => E.to("i64", dims.reduceRight<E.Expr>((rest, d, k) => E.where(E.eq(i!, k), E.ofDim(d), rest), E.i32(0))));
    },
  },
});
function shapeRange(shape: readonly Dim[], a: { start: number; end: number }): readonly Dim[] {
  const clampAxis = (k: number): number => Math.min(Math.max(k < 0 ? k + shape.length : k, 0), shape.length);
  return shape.slice(clampAxis(a.start), clampAxis(a.end));
}
export const Size: OpDef<Record<string, never>> = op({
  name: "Size",
  onnx: [onnx("Size", 1, 13, 19, 21, 23, 24, 25)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: () => ({}),
  infer: (x, _a, ctx) => {
    ctx.give(0, { dims: [], elements: [D.product(tensor(x, 0, ctx).shape)] });
    return [tensorType("i64", [])];
  },
  body: {
    kind: "compute",
    compute: (b) => {
      const t = b.types.inputs[0];
      const count = t?.kind === "tensor" ? D.product(t.tensor.shape) : D.zero;
      b.map(b.output(0), () => E.to("i64", E.ofDim(count)));
    },
  },
});

export const moveOps: readonly OpDef<Attrs>[] = [Transpose, Concat, Shape, Size] as unknown as readonly OpDef<Attrs>[];
