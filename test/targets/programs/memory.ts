// Where buffers lie: parts of roots, constants, prepared and heap buffers, ports, sizes.
import * as D from "../../../src/ir/dim.ts";
import { constant, i32, v } from "../../../src/ir/expr.ts";
import type { Stmt } from "../../../src/ir/loops.ts";
import type { Storage } from "../../../src/ir/storage.ts";
import { linear } from "../../../src/ir/storage.ts";
import type { Tensor } from "../../../src/ir/types.ts";
import { tensorOf } from "../../../src/ir/types.ts";
import type { Fixture } from "./draft.ts";
import { Draft, fixture, loadOf, loop, N, n, store } from "./draft.ts";
import { add, copier, i32s, id, mul, range, small } from "./structure.ts";

/** Two inputs side by side along axis 1 of the output, through strided parts whose place depends on dims. */
function concat(): Fixture {
  const d = new Draft("concat-parts");
  const rows = d.dimOf(0, "N", 1, 1000);
  const left = d.dimOf(1, "L", 0, 1000);
  const a = d.input("a", "i32", [rows, left]);
  const right = d.dimOf(1, "R", 0, 1000);
  const b = d.input("b", "i32", [rows, right]);
  const width = D.add(left, right);
  const z = d.output("z", "i32", [rows, width]);
  const k = d.kernel(
    "place",
    (kd) => {
      const [kx, kz] = [kd.param("x", "i32", [N, D.sym("W")]), kd.param("z", "i32", [N, D.sym("W")])];
      return loop(
        "i",
        v("N"),
        loop("j", v("W"), store(kz, add(mul(v("i"), v("P")), v("j")), loadOf(kx, add(mul(v("i"), v("W")), v("j"))))),
      );
    },
    { dims: ["N", "W", "P"] },
  );
  const whole = d.part(z, "whole", [rows, width], D.zero, [width, D.one]);
  d.run.push(
    d.call(k, [a, d.part(whole, "left", [rows, left], D.zero, [width, D.one])], { dims: [rows, left, width] }),
    d.call(k, [b, d.part(whole, "right", [rows, right], left, [width, D.one])], { dims: [rows, right, width] }),
  );
  const run = (r: number, l: number, w: number) => {
    const [as, bs] = [range(r * l), range(r * w).map((x) => -1 - x)];
    const both = range(r).flatMap((i) => [...as.slice(i * l, (i + 1) * l), ...bs.slice(i * w, (i + 1) * w)]);
    return {
      inputs: { a: tensorOf("i32", [r, l], as), b: tensorOf("i32", [r, w], bs) },
      expected: { z: tensorOf("i32", [r, l + w], both) },
    };
  };
  return fixture(d, [run(2, 3, 4), run(40, 5, 9), run(1, 0, 2), run(3, 2, 0)], { dtypes: ["i32"] });
}

/** Constants in permuted, blocked and padded storages, of several cell widths, with names for roots. */
function constants(): Fixture {
  const d = new Draft("constants");
  const base: Storage = { root: null, offset: D.zero, strides: [], blocks: [], size: D.zero };
  const list: readonly { readonly t: Tensor; readonly storage: Storage }[] = [
    {
      t: tensorOf(
        "f32",
        [2, 3],
        range(6).map((i) => i + 0.5),
      ),
      storage: { ...base, strides: [n(1), n(2)], size: n(6) },
    },
    // A row pitch of 8.
    {
      t: tensorOf(
        "i16",
        [3, 5],
        range(15).map((i) => i * 100 - 700),
      ),
      storage: { ...base, strides: [n(8), n(1)], size: n(24) },
    },
    // Panels of 4 columns: [2][3][4] with the last two columns of padding.
    {
      t: tensorOf(
        "i32",
        [3, 6],
        range(18).map((i) => i * i),
      ),
      storage: { ...base, strides: [n(4), n(12)], blocks: [{ axis: 1, by: 4, stride: n(1) }], size: n(24) },
    },
    { t: tensorOf("u8", [5], [1, 2, 3, 254, 255]), storage: { ...base, strides: [n(1)], size: n(5) } },
    { t: tensorOf("bool", [], [1]), storage: { ...base, size: n(1) } },
  ];
  d.input("x", "i32", [n(1)]);
  const expected: Record<string, Tensor> = {};
  list.forEach(({ t, storage }, c) => {
    const b = d.constant(`c${c}`, t, storage);
    const z = d.output(`z${c}`, t.dtype, b.shape);
    const k = d.kernel(`read${c}`, (kd) => {
      const [kc, kz] = [kd.param("c", t.dtype, b.shape), kd.param("z", t.dtype, z.shape)];
      // Straight-line: one store per element, at the index that the storage says.
      const body: Stmt[] = [];
      const total = t.dims.reduce((a, e) => a * e, 1);
      for (let e = 0; e < total; e++) {
        const at = t.dims.map((_, a) => Math.floor(e / t.dims.slice(a + 1).reduce((p, q) => p * q, 1)) % t.dims[a]!);
        body.push(store(kz, i32(e), loadOf(kc, i32(D.known(linear(storage, at.map(n)))!))));
      }
      return body;
    });
    d.run.push(d.call(k, [b, z]));
    expected[`z${c}`] = t;
  });
  return fixture(d, [{ inputs: { x: i32s([0]) }, expected }], { dtypes: ["f32", "i32", "bool"] });
}

/** init widens a constant into a prepared buffer once; runs only read it. */
function prepared(): Fixture {
  const d = new Draft("prepared");
  const w = d.constant("w", tensorOf("f32", [4], [1, -2, 3, 0.5]));
  const p = d.temp("p", "f32", [n(4)], "prepared");
  const scratch = d.temp("scratch", "f32", [n(4)], "prepared");
  const rows = d.dimOf(0, "N", 0, 64);
  const x = d.input("x", "f32", [rows, n(4)]);
  const z = d.output("z", "f32", [rows, n(4)]);
  const double = d.kernel("double", (kd) => {
    const [kw, kp] = [kd.param("w", "f32", w.shape), kd.param("p", "f32", p.shape)];
    return loop("i", i32(4), store(kp, v("i"), mul(loadOf(kw, v("i")), constant("f32", 2))));
  });
  const scale = d.kernel(
    "scale",
    (kd) => {
      const [kx, kp, kz] = [
        kd.param("x", "f32", x.shape),
        kd.param("p", "f32", p.shape),
        kd.param("z", "f32", z.shape),
      ];
      return loop(
        "i",
        v("N"),
        loop(
          "j",
          i32(4),
          store(
            kz,
            add(mul(v("i"), i32(4)), v("j")),
            mul(loadOf(kx, add(mul(v("i"), i32(4)), v("j"))), loadOf(kp, v("j"))),
          ),
        ),
      );
    },
    { dims: ["N"] },
  );
  d.init.push(d.call(double, [w, scratch]), d.call(double, [scratch, p]));
  d.run.push(d.call(scale, [x, p, z]));
  const run = (r: number) => {
    const xs = small(r * 4, r);
    return {
      inputs: { x: tensorOf("f32", [r, 4], xs) },
      expected: {
        z: tensorOf(
          "f32",
          [r, 4],
          xs.map((a, i) => a * [4, -8, 12, 2][i % 4]!),
        ),
      },
    };
  };
  return fixture(d, [run(2), run(0), run(64)], { dtypes: ["f32", "i32"] });
}

/** Heap buffers larger than the first memory: it grows during the run, and what was written before stays. */
function growth(): Fixture {
  const d = new Draft("growing-heap");
  const rows = d.dataDim("rows", 0, 1 << 24);
  const x = d.input("x", "i32", [n(2)]);
  const mid = d.temp("mid", "i32", [rows, n(3)], "heap");
  const big = d.output("big", "i32", [D.add(rows, n(1))], "heap");
  const first = d.output("first", "i32", [n(2)]);
  const iota = d.kernel(
    "iota",
    (kd) => {
      const kz = kd.param("z", "i32", [D.sym("n")]);
      return loop("i", v("n"), store(kz, v("i"), mul(v("i"), v("by"))));
    },
    { dims: ["n"], scalars: [{ name: "by", dtype: "i32" }] },
  );
  const pick = d.kernel(
    "pick",
    (kd) => {
      const [km, kz] = [kd.param("m", "i32", [D.sym("n"), n(3)]), kd.param("z", "i32", [D.add(D.sym("n"), D.one)])];
      return loop("i", v("n"), store(kz, v("i"), loadOf(km, add(mul(v("i"), i32(3)), i32(1)))));
    },
    { dims: ["n"] },
  );
  const copy = copier(d, "i32");
  d.run.push(
    d.call(copy, [x, first], { dims: [n(2)] }),
    { kind: "dim", id: id(rows), from: { buffer: x.id, index: D.one }, min: 0, max: 1 << 24 },
    { kind: "reserve", buffer: mid.id },
    d.call(iota, [d.part(mid, "flat", [D.mul(rows, n(3))], D.zero)], { dims: [D.mul(rows, n(3))], scalars: [n(2)] }),
    { kind: "reserve", buffer: big.id },
    d.call(pick, [mid, big], { dims: [rows] }),
    d.call(copy, [d.part(x, "head", [n(1)], D.zero), d.part(big, "last", [n(1)], rows)], { dims: [n(1)] }),
  );
  const run = (count: number) => ({
    inputs: { x: i32s([-9, count]) },
    expected: { first: i32s([-9, count]), big: i32s([...range(count).map((i) => 6 * i + 2), -9]) },
  });
  return fixture(d, [run(10), run(50_000), run(3), { inputs: { x: i32s([0, (1 << 24) + 1]) }, fails: 1 }], {
    dtypes: ["i32"],
  });
}

/** Sizes past 4 GiB are refused by plan, and so are products past 2^53; the next plan works again. */
function overflow(): Fixture {
  const d = new Draft("plan-overflow");
  const a = d.dimOf(0, "A");
  const x = d.input("x", "u8", [a]);
  const b = d.dimOf(0, "B");
  const y = d.input("y", "u8", [b]);
  const square = d.temp("square", "u8", [D.mul(a, b, a, b, n(8))]);
  const cut = d.temp("cut", "u8", [D.floordiv(D.mul(a, a, a, a, b), D.int(2 ** 40))]);
  const z = d.output("z", "u8", [n(1)]);
  const k = copier(d, "u8");
  d.run.push(
    d.call(k, [y, square], { dims: [b] }),
    d.call(k, [x, cut], { dims: [D.zero] }),
    d.call(k, [square, z], { dims: [n(1)] }),
  );
  const bytes = (count: number, first: number): Tensor =>
    tensorOf(
      "u8",
      [count],
      range(count).map((i) => (i + first) & 255),
    );
  const ok = { inputs: { x: bytes(3, 1), y: bytes(2, 9) }, expected: { z: tensorOf("u8", [1], [9]) } };
  // 256^4 * 8 is 2^35; 40000^4 * 8 is past 2^63.
  return fixture(
    d,
    [
      ok,
      { inputs: { x: bytes(256, 0), y: bytes(256, 0) }, fails: "plan" },
      { inputs: { x: bytes(40000, 0), y: bytes(40000, 0) }, fails: "plan" },
      ok,
    ],
    { dtypes: ["i32"] },
  );
}

/** A port that is a part of a root (a row of a larger buffer), two ports of one buffer, a port that a loop swaps. */
function ports(): Fixture {
  const d = new Draft("ports");
  const rows = d.dimOf(0, "N", 1, 9);
  const x = d.input("x", "i32", [rows]);
  const root = d.temp("root", "i32", [n(2), rows], "io");
  const row = d.part(root, "row", [rows], rows);
  const other = d.temp("other", "i32", [n(1)]);
  const swapped = d.output("swapped", "i32", [n(1)]);
  const k = copier(d, "i32");
  const t = d.dataDim("t", 0, 100);
  d.run.push(d.call(k, [x, row], { dims: [rows] }), d.call(k, [x, swapped], { dims: [n(1)] }), {
    kind: "loop",
    trip: rows,
    cond: null,
    counter: id(t),
    body: [d.call(k, [d.part(x, "item", [n(1)], t), other], { dims: [n(1)] })],
    swap: [[swapped.id, other.id]],
  });
  d.expose("row", row);
  d.expose("again", row);
  const run = (count: number) => {
    const xs = small(count, 4);
    return { inputs: { x: i32s(xs) }, expected: { row: i32s(xs), again: i32s(xs), swapped: i32s([xs[count - 1]!]) } };
  };
  return fixture(d, [run(3), run(8)], { dtypes: ["i32"], planned: true });
}

export const memoryPrograms: readonly Fixture[] = [concat(), constants(), prepared(), growth(), overflow(), ports()];
