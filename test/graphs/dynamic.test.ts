// Shapes that only a run knows: one artifact for all of them, and for those that violate the model a refusal that leaves it as it was.
import {
  body,
  bool,
  f32,
  type GraphCase,
  graphTests,
  i64,
  indices,
  mapped,
  node,
  numbers,
  ramp,
  scalar,
  vector,
} from "./graphs.ts";

const misfit = (message: RegExp, status = 1) => ({ message, status });
const ofData = misfit(/depends on the data/, 3);
const sum = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0);

// ---- sizes that depend on data ------------------------------------------------------------------------------------------
const positive = (xs: readonly number[]) => xs.flatMap((x, k) => (x > 0 ? [k] : []));

const ofDataCases: readonly GraphCase[] = [
  {
    name: "NonZero and Gather: the positive elements, doubled",
    model: {
      inputs: { x: ["f32", ["N"]] },
      outputs: ["k", "y", "n"],
      initializers: { zero: scalar("f32", 0), two: scalar("f32", 2), axis: indices(0) },
      nodes: [
        node("Greater", ["x", "zero"], ["c"]),
        node("NonZero", ["c"], ["at"]),
        node("Squeeze", ["at", "axis"], ["k"]),
        node("Gather", ["x", "k"], ["picked"]),
        node("Mul", ["picked", "two"], ["y"]),
        node("Size", ["k"], ["n"]),
      ],
    },
    runs: [vector(1, -2, 3, 4), vector(-1), vector(5), vector(-1, -2, -3), vector(1, 2, 3, 4, 5, 6, 7, 8, 9)].map(
      (x) => {
        const at = positive(numbers(x));
        return {
          inputs: { x },
          outputs: {
            k: indices(...at),
            y: vector(...at.map((k) => 2 * numbers(x)[k]!)),
            n: scalar("i64", at.length),
          },
        };
      },
    ),
  },
  {
    name: "Compress, Unique, and a reduction of what is left",
    model: {
      inputs: { x: ["f32", ["N", 2]], keep: ["bool", ["M"]] },
      outputs: ["y", "u", "counts", "s"],
      nodes: [
        node("Compress", ["x", "keep"], ["y"], { axis: 0 }),
        node("Unique", ["y"], ["u", "", "", "counts"], { sorted: 1 }),
        node("ReduceSum", ["y"], ["s"], { keepdims: 0 }),
      ],
    },
    runs: [
      { rows: [1, 2, 1, 2, 3, 1], keep: [1, 0, 1] },
      { rows: [1, 2], keep: [0] },
      { rows: [4, 4, 4, 4], keep: [1] },
      { rows: [5, 1, 1, 5, 0, 0, 7, 8], keep: [0, 1, 1, 1] },
    ].map(({ rows, keep }) => {
      const kept = rows.filter((_, k) => keep[k >> 1] === 1);
      const distinct = [...new Set(kept)].sort((a, b) => a - b);
      return {
        inputs: {
          x: f32([rows.length / 2, 2], rows),
          keep: { dtype: "bool", dims: [keep.length], bytes: Uint8Array.from(keep) },
        },
        outputs: {
          y: f32([kept.length / 2, 2], kept),
          u: vector(...distinct),
          counts: indices(...distinct.map((v) => kept.filter((w) => w === v).length)),
          s: scalar("f32", sum(kept)),
        },
      };
    }),
  },
  {
    name: "Range over a length from the data, and a sum that must fit it",
    model: {
      inputs: { from: ["i64", []], to: ["i64", []], step: ["i64", []], z: ["i64", ["M"]] },
      outputs: ["r", "y"],
      nodes: [node("Range", ["from", "to", "step"], ["r"]), node("Add", ["r", "z"], ["y"])],
    },
    runs: [
      { range: [0, 3, 1], z: [10, 20, 30], r: [0, 1, 2], y: [10, 21, 32] },
      { range: [5, 0, -2], z: [1], r: [5, 3, 1], y: [6, 4, 2] },
      { range: [0, 4, 1], z: [1, 2, 3], r: null, y: [] },
      { range: [2, 2, 1], z: [7], r: [], y: [] },
      { range: [7, 8, 9], z: [1, 2], r: [7], y: [8, 9] },
    ].map(({ range: [from, to, step], z, r, y }) => ({
      inputs: {
        from: scalar("i64", from!),
        to: scalar("i64", to!),
        step: scalar("i64", step!),
        z: indices(...z),
      },
      ...(r === null ? { refused: ofData } : { outputs: { r: indices(...r), y: indices(...y) } }),
    })),
  },
  {
    name: "NonMaxSuppression feeds Gather",
    model: {
      inputs: { boxes: ["f32", [1, "N", 4]], scores: ["f32", [1, 1, "N"]] },
      outputs: ["selected", "best"],
      initializers: {
        most: indices(2),
        overlap: vector(0.5),
        least: vector(0.1),
        shape: indices(-1, 4),
        two: scalar("i64", 2),
      },
      nodes: [
        node("NonMaxSuppression", ["boxes", "scores", "most", "overlap", "least"], ["selected"]),
        node("Gather", ["selected", "two"], ["at"], { axis: 1 }),
        node("Reshape", ["boxes", "shape"], ["flat"]),
        node("Gather", ["flat", "at"], ["best"]),
      ],
    },
    runs: [
      {
        boxes: [0, 0, 1, 1, 0, 0, 1, 0.9, 2, 2, 3, 3],
        scores: [0.8, 0.9, 0.3],
        picked: [1, 2],
      },
      { boxes: [0, 0, 1, 1], scores: [0.05], picked: [] },
      { boxes: [0, 0, 1, 1, 5, 5, 6, 6, 8, 8, 9, 9, 8, 8, 9, 9.2], scores: [0.2, 0.7, 0.6, 0.5], picked: [1, 2] },
    ].map(({ boxes, scores, picked }) => ({
      inputs: { boxes: f32([1, scores.length, 4], boxes), scores: f32([1, 1, scores.length], scores) },
      outputs: {
        selected: i64(
          [picked.length, 3],
          picked.flatMap((k) => [0, 0, k]),
        ),
        best: f32(
          [picked.length, 4],
          picked.flatMap((k) => boxes.slice(4 * k, 4 * k + 4)),
        ),
      },
    })),
  },
  {
    name: "a Reshape and an Expand to shapes from the data",
    model: {
      inputs: { x: ["f32", ["N"]], s: ["i64", [2]], e: ["i64", [2]] },
      outputs: ["y"],
      nodes: [node("Reshape", ["x", "s"], ["t"]), node("Expand", ["t", "e"], ["y"])],
    },
    runs: [
      { n: 6, s: [2, 3], e: [2, 3], shape: [2, 3], at: (k: number) => k },
      { n: 3, s: [-1, 1], e: [1, 2], shape: [3, 2], at: (k: number) => k >> 1 },
      { n: 4, s: [3, 2], e: [1, 1], shape: null, at: (k: number) => k },
      { n: 4, s: [3, -1], e: [1, 1], shape: null, at: (k: number) => k },
      { n: 2, s: [1, 2], e: [3, 1], shape: [3, 2], at: (k: number) => k & 1 },
      { n: 4, s: [2, 2], e: [3, 1], shape: null, at: (k: number) => k },
    ].map(({ n, s, e, shape, at }) => ({
      inputs: { x: ramp(n), s: indices(...s), e: indices(...e) },
      ...(shape === null
        ? { refused: ofData }
        : {
            outputs: {
              y: f32(
                shape,
                Array.from({ length: shape[0]! * shape[1]! }, (_, k) => numbers(ramp(n))[at(k)]!),
              ),
            },
          }),
    })),
  },
];

// ---- control flow ----------------------------------------------------------------------------------------------------------
const controlCases: readonly GraphCase[] = [
  {
    name: "an If whose branches have different shapes",
    model: {
      inputs: { x: ["f32", ["N"]], c: ["bool", []] },
      outputs: ["y", "s"],
      nodes: [
        node("If", ["c"], ["y"], {
          then_branch: body([node("Concat", ["x", "x", "x"], ["a"], { axis: 0 })], ["a"]),
          else_branch: body([node("Neg", ["x"], ["a"])], ["a"]),
        }),
        node("ReduceSum", ["y"], ["s"], { keepdims: 0 }),
      ],
    },
    runs: [true, false, true].flatMap((c) =>
      [2, 5].map((n) => {
        const x = numbers(ramp(n));
        const y = c ? [...x, ...x, ...x] : x.map((v) => -v);
        return { inputs: { x: ramp(n), c: bool(c) }, outputs: { y: vector(...y), s: scalar("f32", sum(y)) } };
      }),
    ),
  },
  {
    name: "an If whose branches differ by axes of extent 1",
    model: {
      inputs: { x: ["f32", ["N"]], c: ["bool", []] },
      outputs: ["y", "z"],
      initializers: { one: indices(1), two: scalar("f32", 2) },
      nodes: [
        node("If", ["c"], ["y", "z"], {
          then_branch: body(
            [
              node("Unsqueeze", ["x", "one"], ["a1"]),
              node("Concat", ["a1", "a1"], ["a2"], { axis: 0 }),
              node("ReduceSum", ["x"], ["b"], { keepdims: 1 }),
            ],
            ["a2", "b"],
          ),
          else_branch: body([node("Neg", ["x"], ["a"]), node("Identity", ["two"], ["b"])], ["a", "b"]),
        }),
      ],
    },
    runs: [true, false].map((c) => {
      const x = numbers(ramp(3));
      return {
        inputs: { x: ramp(3), c: bool(c) },
        outputs: {
          y: vector(...(c ? [...x, ...x] : x.map((v) => -v))),
          z: scalar("f32", c ? sum(x) : 2),
        },
      };
    }),
  },
  {
    name: "a Loop that Where drives: halve what is above a limit until nothing is",
    model: {
      inputs: { x: ["f32", ["N"]], limit: ["f32", []] },
      outputs: ["y", "steps"],
      initializers: { half: scalar("f32", 0.5), none: scalar("i64", 0), one: scalar("i64", 1) },
      nodes: [
        node("Greater", ["x", "limit"], ["over0"]),
        node("Cast", ["over0"], ["over1"], { to: 6 }),
        node("ReduceMax", ["over1"], ["over2"], { keepdims: 0 }),
        node("Cast", ["over2"], ["more0"], { to: 9 }),
        node("Loop", ["", "more0", "x", "none"], ["y", "steps"], {
          body: body(
            [
              node("Greater", ["v", "limit"], ["over"]),
              node("Mul", ["v", "half"], ["halved"]),
              node("Where", ["over", "halved", "v"], ["v2"]),
              node("Greater", ["v2", "limit"], ["still"]),
              node("Cast", ["still"], ["still2"], { to: 6 }),
              node("ReduceMax", ["still2"], ["still3"], { keepdims: 0 }),
              node("Cast", ["still3"], ["on"], { to: 9 }),
              node("Add", ["n", "one"], ["n2"]),
            ],
            ["on", "v2", "n2"],
            { inputs: { i: ["i64", []], go: ["bool", []], v: ["f32", ["N"]], n: ["i64", []] } },
          ),
        }),
      ],
    },
    runs: [
      { x: [1, 8, 3], limit: 2, y: [1, 2, 1.5], steps: 2 },
      { x: [1], limit: 2, y: [1], steps: 0 },
      { x: [100, 100, 100, 1], limit: 1, y: [0.78125, 0.78125, 0.78125, 1], steps: 7 },
    ].map(({ x, limit, y, steps }) => ({
      inputs: { x: vector(...x), limit: scalar("f32", limit) },
      outputs: { y: vector(...y), steps: scalar("i64", steps) },
    })),
  },
  {
    name: "a Loop that grows what it carries, inside another, with scan outputs",
    model: {
      inputs: { x: ["f32", ["N"]], outer: ["i64", []], inner: ["i64", []] },
      outputs: ["y", "sums"],
      nodes: [
        node("Loop", ["outer", "", "x"], ["y", "sums"], {
          body: body(
            [
              node("Loop", ["inner", "", "a"], ["b"], {
                body: body(
                  [node("Concat", ["c", "x"], ["d"], { axis: 0 }), node("Identity", ["g2"], ["o2"])],
                  ["o2", "d"],
                  {
                    inputs: { j: ["i64", []], g2: ["bool", []], c: ["f32", null] },
                  },
                ),
              }),
              node("ReduceSum", ["b"], ["s"], { keepdims: 0 }),
              node("Identity", ["g"], ["o"]),
            ],
            ["o", "b", "s"],
            { inputs: { i: ["i64", []], g: ["bool", []], a: ["f32", null] } },
          ),
        }),
      ],
    },
    runs: [
      [2, 2, 3],
      [3, 1, 0],
      [1, 0, 4],
      [2, 3, 1],
    ].map(([n, outer, inner]) => {
      const x = numbers(ramp(n!));
      let y = x;
      const sums: number[] = [];
      for (let i = 0; i < outer!; i++) {
        for (let j = 0; j < inner!; j++) y = [...y, ...x];
        sums.push(sum(y));
      }
      return {
        inputs: { x: ramp(n!), outer: scalar("i64", outer!), inner: scalar("i64", inner!) },
        outputs: { y: vector(...y), sums: vector(...sums) },
      };
    }),
  },
  {
    name: "a Scan in a Loop: running sums of running sums",
    model: {
      inputs: { x: ["f32", ["T", "N"]], times: ["i64", []] },
      outputs: ["y"],
      initializers: { zero: scalar("f32", 0) },
      nodes: [
        node("Loop", ["times", "", "x"], ["y"], {
          body: body(
            [
              node("Shape", ["a"], ["shape"], { start: 1 }),
              node("Expand", ["zero", "shape"], ["first"]),
              node("Scan", ["first", "a"], ["last", "b"], {
                num_scan_inputs: 1,
                body: body([node("Add", ["s", "row"], ["t"]), node("Identity", ["t"], ["u"])], ["t", "u"], {
                  inputs: { s: ["f32", ["N"]], row: ["f32", ["N"]] },
                }),
              }),
              node("Identity", ["g"], ["o"]),
            ],
            ["o", "b"],
            { inputs: { i: ["i64", []], g: ["bool", []], a: ["f32", ["T", "N"]] } },
          ),
        }),
      ],
    },
    runs: [
      [3, 2, 2],
      [1, 1, 3],
      [5, 3, 0],
    ].map(([t, n, times]) => {
      const y = numbers(ramp(t!, n!));
      for (let k = 0; k < times!; k++) for (let i = n!; i < y.length; i++) y[i]! += y[i - n!]!;
      return { inputs: { x: ramp(t!, n!), times: scalar("i64", times!) }, outputs: { y: f32([t!, n!], y) } };
    }),
  },
  {
    name: "sequence lengths: a GRU over a batch of unequal rows, its state given",
    model: {
      inputs: { x: ["f32", ["T", "B", 1]], lengths: ["i32", ["B"]], h: ["f32", [1, "C", 1]] },
      outputs: ["y", "last"],
      initializers: {
        w: f32([1, 3, 1], [0, 0, 1]),
        r: f32([1, 3, 1], [0, 0, 0]),
        b: f32([1, 6], [-30, 0, 0, 0, 0, 0]),
      },
      nodes: [node("GRU", ["x", "w", "r", "b", "lengths", "h"], ["y", "last"], { hidden_size: 1 })],
    },
    runs: [
      { lengths: [2, 1], steps: 2, h: 2 },
      { lengths: [3], steps: 4, h: 1 },
      { lengths: [1, 1], steps: 1, h: 1 },
    ].map(({ lengths, steps, h }) => {
      const b = lengths.length;
      const x = mapped(ramp(steps, b, 1), (v) => v / 8);
      // The update gate is 0: each state is tanh of its input, 0 past the row's length.
      const y = numbers(x).map((v, k) => (Math.floor(k / b) < lengths[k % b]! ? Math.tanh(v) : 0));
      return {
        inputs: {
          x,
          lengths: { dtype: "i32" as const, dims: [b], bytes: new Uint8Array(Int32Array.from(lengths).buffer) },
          h: mapped(ramp(1, h, 1), () => 0),
        },
        ...(h !== b
          ? { refused: misfit(/first state/) }
          : {
              outputs: {
                y: f32([steps, 1, b, 1], y),
                last: f32(
                  [1, b, 1],
                  lengths.map((n, k) => y[(n - 1) * b + k]!),
                ),
              },
            }),
      };
    }),
  },
];

// ---- plain shapes ----------------------------------------------------------------------------------------------------------
const plainCases: readonly GraphCase[] = [
  {
    name: "negative steps, and starts beyond the ends",
    model: {
      inputs: { x: ["f32", ["N"]] },
      outputs: ["back", "odd", "tail"],
      initializers: {
        last: indices(-1),
        before: indices(-1000),
        minus: indices(-1),
        one: indices(1),
        end: indices(2 ** 31),
        two: indices(2),
        axis: indices(0),
        far: indices(-3),
      },
      nodes: [
        node("Slice", ["x", "last", "before", "axis", "minus"], ["back"]),
        node("Slice", ["x", "one", "end", "axis", "two"], ["odd"]),
        node("Slice", ["x", "far", "end", "axis", "one"], ["tail"]),
      ],
    },
    runs: [1, 2, 5, 8].map((n) => {
      const x = numbers(ramp(n));
      return {
        inputs: { x: ramp(n) },
        outputs: {
          back: vector(...[...x].reverse()),
          odd: vector(...x.filter((_, k) => k % 2 === 1)),
          tail: vector(...x.slice(-3)),
        },
      };
    }),
  },
  {
    name: "scalars: sums, products and reshapes of rank 0",
    model: {
      inputs: { x: ["f32", []], z: ["f32", ["N"]] },
      outputs: ["y", "s", "v"],
      initializers: { none: i64([0], []), one: indices(1), axis: indices(0) },
      nodes: [
        node("Mul", ["x", "x"], ["y"]),
        node("ReduceSum", ["z"], ["total"], { keepdims: 0 }),
        node("Add", ["total", "y"], ["s"]),
        node("Reshape", ["s", "one"], ["s1"]),
        node("Reshape", ["s1", "none"], ["s0"]),
        node("Unsqueeze", ["s0", "axis"], ["v"]),
      ],
    },
    runs: [1, 4].map((n) => {
      const s = 9 + sum(numbers(ramp(n)));
      return {
        inputs: { x: scalar("f32", 3), z: ramp(n) },
        outputs: { y: scalar("f32", 9), s: scalar("f32", s), v: vector(s) },
      };
    }),
  },
  {
    name: "operands that may broadcast, or may not",
    model: {
      inputs: { x: ["f32", ["N", "K"]], z: ["f32", ["M"]] },
      outputs: ["y"],
      nodes: [node("Sub", ["x", "z"], ["y"])],
    },
    runs: [
      [2, 3, 3],
      [2, 1, 4],
      [2, 3, 1],
      [2, 3, 2],
      [1, 1, 1],
    ].map(([n, k, m]) => {
      const [x, z] = [numbers(ramp(n!, k!)), numbers(ramp(m!))];
      const wide = Math.max(k!, m!);
      const y = Array.from(
        { length: n! * wide },
        (_, at) => x[Math.floor(at / wide) * k! + (k === 1 ? 0 : at % wide)]! - z[m === 1 ? 0 : at % wide]!,
      );
      const fits = k === m || k === 1 || m === 1;
      return {
        inputs: { x: ramp(n!, k!), z: ramp(m!) },
        ...(fits ? { outputs: { y: f32([n!, wide], y) } } : { refused: misfit(/do not broadcast/) }),
      };
    }),
  },
  {
    name: "MatMul, Concat, Split and a window: what does not fit is refused",
    model: {
      inputs: { x: ["f32", ["N", "K"]], w: ["f32", ["L", 2]], z: ["f32", ["P", 2]] },
      outputs: ["y", "left", "pooled"],
      nodes: [
        node("MatMul", ["x", "w"], ["xw"]),
        node("Concat", ["xw", "z"], ["y"], { axis: 0 }),
        node("Split", ["y", "parts"], ["left", "right"], { axis: 0 }),
        node("Unsqueeze", ["y", "lead"], ["y3"]),
        node("Transpose", ["y3"], ["t3"], { perm: [0, 2, 1] }),
        node("MaxPool", ["t3"], ["pooled"], { kernel_shape: [3] }),
      ],
      initializers: { parts: indices(1, 3), lead: indices(0) },
    },
    runs: [
      { n: 2, k: 3, l: 3, p: 2, refused: null },
      { n: 3, k: 1, l: 1, p: 1, refused: null },
      { n: 2, k: 3, l: 4, p: 2, refused: /MatMul.*inner extents differ/ },
      { n: 2, k: 3, l: 3, p: 3, refused: /Split.*parts of 4 elements/ },
    ].map(({ n, k, l, p, refused }) => {
      const [x, w] = [numbers(ramp(n, k)), numbers(ramp(l, 2))];
      const y = [
        ...Array.from({ length: 2 * n }, (_, at) =>
          sum(Array.from({ length: k }, (__, j) => x[(at >> 1) * k + j]! * (w[2 * j + (at & 1)] ?? 0))),
        ),
        ...numbers(ramp(p, 2)),
      ];
      const pooled = [0, 1].flatMap((c) =>
        Array.from({ length: n + p - 2 }, (_, i) => Math.max(...[0, 1, 2].map((j) => y[2 * (i + j) + c]!))),
      );
      return {
        inputs: { x: ramp(n, k), w: ramp(l, 2), z: ramp(p, 2) },
        ...(refused
          ? { refused: misfit(refused) }
          : {
              outputs: {
                y: f32([n + p, 2], y),
                left: f32([1, 2], y.slice(0, 2)),
                pooled: f32([1, 2, n + p - 2], pooled),
              },
            }),
      };
    }),
  },
  {
    name: "a window that is larger than what it slides over",
    model: {
      inputs: { x: ["f32", [1, 1, "H"]] },
      outputs: ["y"],
      initializers: { w: f32([1, 1, 3], [1, 1, 1]) },
      nodes: [node("Conv", ["x", "w"], ["y"])],
    },
    runs: [
      { inputs: { x: ramp(1, 1, 5) }, outputs: { y: f32([1, 1, 3], [2, -3, 4]) } },
      { inputs: { x: ramp(1, 1, 1) }, refused: misfit(/negative/) },
      { inputs: { x: ramp(1, 1, 3) }, outputs: { y: f32([1, 1, 1], [2]) } },
    ],
  },
  {
    name: "reshapes by known and by open dims",
    model: {
      inputs: { x: ["f32", ["N", "M"]] },
      outputs: ["y", "z"],
      initializers: { quads: indices(-1, 4), copy: indices(0, -1, 1) },
      nodes: [node("Reshape", ["x", "quads"], ["y"]), node("Reshape", ["x", "copy"], ["z"])],
    },
    runs: [
      [2, 4],
      [4, 3],
      [1, 4],
      [3, 2],
    ].map(([n, m]) => ({
      inputs: { x: ramp(n!, m!) },
      ...((n! * m!) % 4 === 0
        ? {
            outputs: {
              y: f32([(n! * m!) / 4, 4], numbers(ramp(n!, m!))),
              z: f32([n!, m!, 1], numbers(ramp(n!, m!))),
            },
          }
        : { refused: misfit(/Reshape/) }),
    })),
  },
  {
    name: "a Squeeze, a TopK and a Gemm of dims that may not fit",
    model: {
      inputs: { x: ["f32", ["N", "K"]], b: ["f32", ["M"]] },
      outputs: ["y", "top"],
      initializers: { w: f32([2, 2], [1, 0, 0, 1]), two: indices(2), row: indices(0) },
      nodes: [
        node("Gemm", ["x", "w", "b"], ["g"]),
        node("Squeeze", ["g", "row"], ["y"]),
        node("TopK", ["b", "two"], ["top", ""]),
      ],
    },
    runs: [
      { inputs: { x: f32([1, 2], [1, 2]), b: vector(5, 6) }, outputs: { y: vector(6, 8), top: vector(6, 5) } },
      { inputs: { x: f32([1, 2], [1, 2]), b: vector(5) }, refused: misfit(/TopK/) },
      { inputs: { x: f32([1, 3], [1, 2, 3]), b: vector(5, 6) }, refused: misfit(/Gemm.*inner extents/) },
      { inputs: { x: f32([2, 2], [1, 2, 3, 4]), b: vector(5, 6) }, refused: misfit(/Squeeze/) },
      { inputs: { x: f32([1, 2], [1, 2]), b: vector(5, 6, 7) }, refused: misfit(/Gemm.*broadcast/) },
    ],
  },
];

graphTests([...ofDataCases, ...controlCases, ...plainCases]);
