// The random case of a seed.
import { InternalError } from "../../src/base/assert.ts";
import * as D from "../../src/ir/dim.ts";
import { Builder, Random } from "../schedule/build.ts";
import { randomGraph } from "../schedule/random.ts";
import { AnyMaker } from "./any.ts";
import { type FuzzCase, pruned } from "./case.ts";
import { randomTensor, type Style } from "./data.ts";
import { maths } from "./kinds-math.ts";
import { moves } from "./kinds-move.ts";
import { controls, nets } from "./kinds-net.ts";

const lengths = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 17];
/** Of every `plain` seeds one gives a graph of schedule/random.ts: larger, of f32. */
const plain = 6;
const opsets = [21, 21, 21, 21, 18, 19, 22, 23, 24, 26];
const tables = [
  [6, moves],
  [6, maths],
  [4, nets],
  [1, controls],
] as const;

/** The same for a seed on every machine. */
export function randomCase(seed: number): FuzzCase {
  const r = new Random(seed * 104729 + 11);
  for (let k = 0; k < 8; k++) r.next();
  const isPlain = r.below(plain) === 0;
  const opset = isPlain ? 21 : r.pick(opsets);
  const b = new Builder(r.below(1 << 30), null, undefined, opset);
  const style: Style = isPlain || r.below(3) > 0 ? "modest" : "edge";
  try {
    if (isPlain) randomGraph(r.below(1 << 20)).build(b);
    else new AnyMaker(b, r, lengths, style, tables).graph();
  } catch (e) {
    // What an operator's definition throws a model of it shows again.
    if (!(e instanceof InternalError)) throw e;
  }
  const size = (): number => (r.below(12) === 0 ? 0 : r.pick(lengths));
  const runs = Array.from({ length: 2 }, () => {
    const sizes = new Map<string, number>();
    const extent = (id: string): number => {
      if (!sizes.has(id)) sizes.set(id, size());
      return sizes.get(id)!;
    };
    return Object.fromEntries(
      b.inputs.map(({ name, dtype, shape, within }) => [
        name,
        randomTensor(
          r,
          dtype,
          shape.map((d) => D.evaluate(d, extent)),
          style,
          within,
        ),
      ]),
    );
  });
  return pruned({ name: `seed ${seed}`, model: b.model(), style, runs });
}
