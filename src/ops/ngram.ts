// TfIdfVectorizer over integers: how often n-grams of a pool occur in each row.
import * as D from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { constant, type Expr, i32, load, ofDim } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import { type OpDef, op } from "../ir/opdef.ts";
import { tensorOf, tensorType } from "../ir/types.ts";
import { onnx, shapeText, tensor } from "./common.ts";
import { sumInto } from "./reduce.ts";

type NgramAttrs = {
  readonly mode: string;
  readonly skip: number;
  /** The n-grams that count, by length; columns: where each one's number goes. */
  readonly grams: readonly string[];
  readonly columns: readonly number[];
  readonly size: number;
  readonly weights: readonly number[];
};
/** Items of an n-gram that stand at most `skip` items apart, all equally far; single items count once. */
export const TfIdfVectorizer: OpDef<NgramAttrs> = op<NgramAttrs>({
  name: "TfIdfVectorizer",
  onnx: [onnx("TfIdfVectorizer", 9)],
  accuracy: { kind: "exact" },
  effects: "none",
  parse: (n) => {
    const pool = n.ints("pool_int64s") ?? n.fail("only integers are supported");
    const mode = n.string("mode");
    if (!["TF", "IDF", "TFIDF"].includes(mode)) n.fail(`mode "${mode}" is unknown`);
    const starts = n.ints("ngram_counts") ?? [];
    const columns = n.ints("ngram_indexes") ?? [];
    const [shortest, longest] = [n.int("min_gram_length"), n.int("max_gram_length")];
    const all = starts.flatMap((start, k) => {
      const end = starts[k + 1] ?? pool.length;
      const count = Math.floor((end - start) / (k + 1));
      return Array.from({ length: count }, (_, g) => pool.slice(start + g * (k + 1), start + (g + 1) * (k + 1)));
    });
    const used = all.flatMap((g, k) => (g.length >= shortest && g.length <= longest ? [k] : []));
    return {
      mode,
      skip: n.int("max_skip_count"),
      grams: used.map((k) => all[k]!.join(" ")),
      columns: used.map((k) => columns[k]!),
      size: Math.max(-1, ...columns) + 1,
      weights: n.floats("weights") ?? [],
    };
  },
  infer: (x, a, ctx) => {
    const t = tensor(x, 0, ctx);
    if (t.shape.length < 1 || t.shape.length > 2) ctx.fail(`TfIdfVectorizer of ${shapeText(t.shape)}`);
    return [tensorType("f32", [...t.shape.slice(0, -1), D.int(a.size)])];
  },
  body: {
    kind: "compute",
    compute: (b, n) => {
      const a = n.attrs;
      const [x, out] = [b.input(0), b.output(0)];
      const rows = x.shape.slice(0, -1);
      const length = x.shape[x.shape.length - 1]!;
      const ints = (name: string, values: readonly number[], dims: readonly number[]) =>
        b.constant(name, tensorOf("i32", dims, values));
      // Counts of the n-grams of each length, then what each output adds up of them.
      const grams = a.grams.map((g) => g.split(" ").map(Number));
      const groups = [...new Set(grams.map((g) => g.length))].map((size) => {
        const own = grams.flatMap((g, k) => (g.length === size ? [k] : []));
        const items = ints(
          `grams${size}`,
          own.flatMap((k) => grams[k]!),
          [own.length, size],
        );
        const columns = ints(
          `columns${size}`,
          own.map((k) => a.columns[k]!),
          [own.length],
        );
        const counts = b.temp(`counts${size}`, "i32", [...rows, D.int(own.length)]);
        const skips = size === 1 ? 1 : a.skip + 1;
        sumInto(b, counts, [D.int(skips), length], (i, [s, p]) => {
          const [row, gram] = [i.slice(0, -1), i[i.length - 1]!];
          const at = (k: number): Expr => E.add(p!, E.mul(E.add(s!, 1), k));
          const matches = (k: number): Expr => {
            const same = E.eq(E.to("i32", load(x, [...row, at(k)])), load(items, [gram, i32(k)]));
            return k === size - 1 ? same : E.select<Expr>(same, matches(k + 1), constant("bool", 0));
          };
          return E.to("i32", E.select<Expr>(E.lt(at(size - 1), ofDim(length)), matches(0), constant("bool", 0)));
        });
        return { counts, columns, count: own.length };
      });
      const totals = groups.map((g, k) => {
        const total = b.temp(`total${k}`, "i32", out.shape);
        sumInto(b, total, [D.int(g.count)], (i, [r]) =>
          E.where(E.eq(load(g.columns, [r!]), i[i.length - 1]!), load(g.counts, [...i.slice(0, -1), r!]), i32(0)),
        );
        return total;
      });
      const weights =
        a.weights.length > 0 ? b.constant("weights", tensorOf("f32", [a.weights.length], a.weights)) : null;
      b.map(out, (i) => {
        const sum = totals.map((t): Expr => load(t, i)).reduce((p, q) => E.add(p, q), i32(0) as Expr);
        const frequency = a.mode === "IDF" ? E.to("f32", E.lt(0, sum)) : E.to("f32", sum);
        return weights && a.mode !== "TF" ? E.mul(frequency, load(weights, [i[i.length - 1]!])) : frequency;
      });
    },
  },
});

export const ngramOps: readonly OpDef<Attrs>[] = [TfIdfVectorizer] as unknown as readonly OpDef<Attrs>[];
