// Einsum, and Det.

import type { Dim } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { constant, type Expr, i32, load, ofDim } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import { type OpDef, op, type RawNode } from "../ir/opdef.ts";
import type { Buffer } from "../ir/storage.ts";
import { tensorType, type ValueType } from "../ir/types.ts";
import { onnx, sameType, shapeText, tensor, wide } from "./common.ts";
import { contraction, sumOfProducts } from "./contract.ts";
import { callKernel, seq, store, when } from "./kernel.ts";
import { sumInto } from "./reduce.ts";

/** Labels of each operand's axes and of the output's; "..." stands for any number of axes, aligned at the right. */
type Equation = { readonly inputs: readonly string[]; readonly output: string | null };
function splitEquation(n: RawNode): string {
  const text = n.string("equation").replace(/\s+/g, "");
  const [left, right, ...more] = text.split("->");
  const term = /^[A-Za-z]*(\.\.\.)?[A-Za-z]*$/;
  if (more.length > 0 || ![...left!.split(","), ...(right === undefined ? [] : [right])].every((t) => term.test(t)))
    n.fail(`the equation "${text}" is malformed`);
  return text;
}
function parseEquation(text: string): Equation {
  const [left, right] = text.split("->");
  return { inputs: left!.split(","), output: right ?? null };
}
type Labelled = {
  readonly inputs: readonly (readonly string[])[];
  readonly output: readonly string[];
  readonly extents: ReadonlyMap<string, Dim>;
};
function label(eq: Equation, shapes: readonly (readonly Dim[])[], fail: (m: string) => never): Labelled {
  if (eq.inputs.length !== shapes.length) fail(`${eq.inputs.length} terms for ${shapes.length} inputs`);
  let widest = 0;
  const inputs = eq.inputs.map((term, k) => {
    const named = term.replace("...", "").length;
    const open = shapes[k]!.length - named;
    if (term.includes("...") ? open < 0 : open !== 0) fail(`term "${term}" for an input ${shapeText(shapes[k]!)}`);
    widest = Math.max(widest, open);
    const [before, after] = term.includes("...") ? term.split("...") : [term, ""];
    return [...before!, ...ellipsis(open), ...after!];
  });
  const counts = new Map<string, number>();
  for (const c of eq.inputs.join("").replaceAll(".", "")) counts.set(c, (counts.get(c) ?? 0) + 1);
  const once = [...counts].flatMap(([c, n]) => (n === 1 ? [c] : [])).sort();
  const [before, after] =
    eq.output === null ? ["", once.join("")] : eq.output.includes("...") ? eq.output.split("...") : [eq.output, ""];
  const dots = eq.output === null || eq.output.includes("...") ? ellipsis(widest) : [];
  const output = [...before!, ...dots, ...after!];
  const extents = new Map<string, Dim>();
  for (const [k, labels] of inputs.entries()) {
    for (const [a, c] of labels.entries()) {
      const old = extents.get(c) ?? D.one;
      const now = shapes[k]![a]!;
      if (old.kind === "int" && now.kind === "int" && old !== now && old !== D.one && now !== D.one)
        fail(`label ${c} is both ${old.value} and ${now.value}`);
      extents.set(c, D.broadcast(old, now));
    }
  }
  for (const c of output) if (!extents.has(c)) fail(`the output has label ${c}, which no input has`);
  return { inputs, output, extents };
}
/** Labels of n axes under an ellipsis, counted from the right. */
const ellipsis = (n: number): string[] => Array.from({ length: n }, (_, k) => `.${n - k}`);

export const Einsum: OpDef<{ equation: string }> = op({
  name: "Einsum",
  onnx: [onnx("Einsum", 12)],
  accuracy: contraction,
  effects: "none",
  parse: (n) => ({ equation: splitEquation(n) }),
  infer: (x, a, ctx): readonly ValueType[] => {
    const ts = x.map((_, k) => tensor(x, k, ctx));
    for (const t of ts) sameType(ts[0]!, t, ctx);
    const l = label(
      parseEquation(a.equation),
      ts.map((t) => t.shape),
      ctx.fail,
    );
    return [
      tensorType(
        tensor(x, 0, ctx).dtype,
        l.output.map((c) => l.extents.get(c)!),
      ),
    ];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const out = b.output(0);
      const xs = n.inputs.map((_, k) => b.input(k));
      const l = label(
        parseEquation(n.attrs.equation),
        xs.map((x) => x.shape),
        (m) => {
          throw new Error(m);
        },
      );
      const summed = [...l.extents.keys()].filter((c) => !l.output.includes(c));
      const t = wide(out.dtype);
      const at = (x: Buffer, labels: readonly string[], i: readonly Expr[], r: readonly Expr[]): Expr =>
        E.to(
          t,
          load(
            x,
            labels.map((c, a) => {
              const v = l.output.includes(c) ? i[l.output.indexOf(c)]! : r[summed.indexOf(c)]!;
              const d = x.shape[a]!;
              // An axis of extent 1 is repeated; a symbolic one may turn out to be.
              return d === D.one
                ? i32(0)
                : d === l.extents.get(c) || d.kind === "int"
                  ? v
                  : E.where(E.eq(ofDim(d), 1), i32(0), v);
            }),
          ),
        );
      const factors = (i: readonly Expr[], r: readonly Expr[]): Expr[] => xs.map((x, k) => at(x, l.inputs[k]!, i, r));
      const extents = summed.map((c) => l.extents.get(c)!);
      if (summed.length === 0)
        b.map(out, (i) =>
          E.to(
            out.dtype,
            factors(i, []).reduce((p, q) => E.mul(p, q)),
          ),
        );
      else if (xs.length === 1) sumInto(b, out, extents, (i, r) => factors(i, r)[0]!);
      else
        sumOfProducts(
          b,
          out,
          extents,
          (i, r) => {
            const all = factors(i, r);
            return [all.slice(0, -1).reduce((p, q) => E.mul(p, q)), all[all.length - 1]!];
          },
          (s) => E.to(out.dtype, s),
          t,
        );
    },
  },
});

/** Determinants of the matrices in the last two axes, by elimination with the largest pivot of each column. */
export const Det: OpDef<Record<string, never>> = op({
  name: "Det",
  onnx: [onnx("Det", 11, 22)],
  accuracy: { kind: "rtol", r: 1e-4 },
  effects: "none",
  parse: () => ({}),
  infer: (x, _a, ctx) => {
    const t = tensor(x, 0, ctx);
    const [p, q] = t.shape.slice(-2);
    if (t.shape.length < 2 || (p!.kind === "int" && q!.kind === "int" && p !== q))
      ctx.fail(`the determinant of ${shapeText(t.shape)}`);
    return [tensorType(t.dtype, t.shape.slice(0, -2))];
  },
  body: {
    kind: "loops",
    loops: (b) => {
      const [x, out] = [b.input(0), b.output(0)];
      const t = wide(x.dtype);
      const work = b.temp(`${x.name}.work`, t, x.shape);
      const size = x.shape[x.shape.length - 1]!;
      callKernel(b, "det", [x, work, out], (k, [px, pw, po]) => {
        const n = k.dim(size);
        return k.nest(
          out.shape,
          (batch) => {
            const at = (i: Expr, j: Expr): Expr => load(pw!, [...batch, i, j]);
            const put = (i: Expr, j: Expr, v: Expr) => store(pw!, [...batch, i, j], v);
            return seq([
              k.loop(size, (i) => k.loop(size, (j) => put(i, j, E.to(t, load(px!, [...batch, i, j]))))),
              k.variable(constant(t, 1), (det) =>
                seq([
                  k.loop(size, (c) =>
                    k.variable(i32(0), (pivot) =>
                      seq([
                        pivot.set(c),
                        k.loop(E.sub(E.sub(n, c), 1), (r) =>
                          k.let(E.add(E.add(c, r), 1), (i) =>
                            when(E.lt(E.unary("abs", at(pivot.get, c)), E.unary("abs", at(i, c))), pivot.set(i)),
                          ),
                        ),
                        when(
                          E.ne(pivot.get, c),
                          seq([
                            det.set(E.neg(det.get)),
                            k.loop(size, (j) =>
                              k.let(at(c, j), (held) => seq([put(c, j, at(pivot.get, j)), put(pivot.get, j, held)])),
                            ),
                          ]),
                        ),
                        det.set(E.mul(det.get, at(c, c))),
                        when(
                          E.ne(at(c, c), 0),
                          k.loop(E.sub(E.sub(n, c), 1), (r) =>
                            k.let(E.add(E.add(c, r), 1), (i) =>
                              k.let(E.div(at(i, c), at(c, c)), (f) =>
                                k.loop(size, (j) => put(i, j, E.sub(at(i, j), E.mul(f, at(c, j))))),
                              ),
                            ),
                          ),
                        ),
                      ]),
                    ),
                  ),
                  store(po!, batch, E.to(out.dtype, det.get)),
                ]),
              ),
            ]);
          },
          "parallel",
        );
      });
    },
  },
});

export const einsumOps: readonly OpDef<Attrs>[] = [Einsum, Det] as unknown as readonly OpDef<Attrs>[];
