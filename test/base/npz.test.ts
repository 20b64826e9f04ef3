import { expect, test } from "vitest";
import { fromUtf8 } from "../../src/base/bytes.ts";
import { UserError } from "../../src/base/diagnostics.ts";
import { type NpzInput, readNpy, readNpz, writeNpz } from "../../src/base/npz.ts";
import { type DType, tensorOf, typedView } from "../../src/ir/types.ts";
import { npz } from "./npz-files.ts";

const file = (name: keyof typeof npz): Uint8Array => new Uint8Array(Buffer.from(npz[name], "base64"));
const values = (e: { dtype: DType; bytes: Uint8Array }): (number | bigint)[] => [...typedView(e.dtype, e.bytes)];

/** The diagnostic that f fails with. */
function problem(f: () => unknown): string {
  try {
    f();
  } catch (e) {
    if (e instanceof UserError) return e.message;
    throw e;
  }
  return "no error";
}

test("reads what np.savez writes", () => {
  const entries = readNpz(file("savez"));
  expect(entries.map((e) => [e.name, e.dtype, e.dims])).toEqual([
    ["matrix", "f32", [2, 3]],
    ["fortran", "i16", [2, 3, 4]],
    ["scalar", "i64", []],
    ["flags", "bool", [3]],
    ["half", "f16", [2]],
    ["empty", "f64", [0, 3]],
  ]);
  const [matrix, fortran, scalar, flags, half, empty] = entries.map(values);
  expect(matrix).toEqual([1.5, -2, 3, 4, 5, 6]);
  expect(fortran).toEqual(Array.from({ length: 24 }, (_, i) => i));
  expect(scalar).toEqual([-7n]);
  expect(flags).toEqual([1, 0, 1]);
  expect(half).toEqual([0x3c00, 0x7bff]);
  expect(empty).toEqual([]);
});

test("reads compressed arrays, and bfloat16 as its bit patterns", () => {
  const [zeros, ramp] = readNpz(file("compressed"));
  expect([zeros!.dims, values(zeros!).every((x) => x === 0)]).toEqual([[40, 25], true]);
  expect(values(ramp!)).toEqual(Array.from({ length: 300 }, (_, i) => i % 256));
  const [x] = readNpz(file("bfloat16"));
  expect([x!.dtype, values(x!)]).toEqual(["u16", [0x3f80, 0xc000]]);
});

test.each(["bigEndian", "objects", "text", "records", "complexes"] as const)("refuses %s", (name) => {
  expect(problem(() => readNpz(file(name)))).toMatch(/^E403 "x": /);
});

const all: NpzInput[] = [
  { name: "x", ...tensorOf("f32", [2, 2], [1, -0, Number.NaN, 3e38]) },
  { name: "größe/2", ...tensorOf("i64", [], [-5n]) },
  { name: "b", ...tensorOf("bf16", [3], [1, 2, 65535]) },
  { name: "q", ...tensorOf("i4", [2], [-8, 7]) },
  { name: "none", ...tensorOf("u32", [0], []) },
];

test("reads what it writes, and writes the same bytes again", () => {
  const bytes = writeNpz(all);
  expect(writeNpz(all)).toEqual(bytes);
  const back = readNpz(bytes);
  expect(back.map((e) => [e.name, e.dtype, e.dims])).toEqual([
    ["x", "f32", [2, 2]],
    ["größe/2", "i64", []],
    ["b", "u16", [3]],
    ["q", "u8", [2]],
    ["none", "u32", [0]],
  ]);
  back.forEach((e, i) => {
    expect([...e.bytes]).toEqual([...all[i]!.bytes]);
    expect(e.bytes.byteOffset % 8).toBe(0);
  });
});

test("writes what NumPy writes, up to zip64 fields", () => {
  const [matrix] = readNpz(file("savez"));
  const numpy = file("savez");
  // NumPy's local header has 20 more bytes; its array begins at 30 + 10 + 20.
  expect([...writeNpz([matrix!]).subarray(40, 40 + 152)]).toEqual([...numpy.subarray(60, 60 + 152)]);
});

test("refuses members that are no arrays, twins, wrong checksums and overlapping members", () => {
  const bytes = writeNpz([all[0]!, { ...all[0]!, name: "y" }]);
  const patched = (edit: (b: Uint8Array, v: DataView) => void): Uint8Array => {
    const copy = bytes.slice();
    edit(copy, new DataView(copy.buffer));
    return copy;
  };
  const directory = new DataView(bytes.buffer).getUint32(bytes.length - 6, true);
  expect(fromUtf8(bytes.subarray(directory + 46, directory + 51))).toBe("x.npy");
  expect(problem(() => readNpz(patched((b) => b.set([0x7a], directory + 50))))).toBe('E403 "x.npz" is no .npy array');
  expect(problem(() => readNpz(patched((b) => b.set([0x79], directory + 46))))).toBe('E403 "y" occurs twice');
  expect(problem(() => readNpz(patched((b) => b.set([9], 150))))).toBe('E403 "x.npy": the checksum is wrong');
  expect(problem(() => readNpz(patched((b) => b.set([99], directory + 10))))).toMatch(/compression method 99/);
  expect(problem(() => readNpz(patched((b) => b.set([1], directory + 8))))).toMatch(/encrypted/);
  expect(problem(() => readNpz(patched((_, v) => v.setUint32(directory + 20, 0xffffffff, true))))).toMatch(/zip64/);
  expect(problem(() => readNpz(patched((_, v) => v.setUint32(directory + 20, bytes.length, true))))).toMatch(
    /truncated/,
  );
});

test("refuses headers that lie", () => {
  const array = (header: string, data: number): Uint8Array => {
    const bytes = new Uint8Array(10 + header.length + data);
    bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length, 0]);
    bytes.set(new TextEncoder().encode(header), 10);
    return bytes;
  };
  const header = (shape: string): string => `{'descr': '<f4', 'fortran_order': False, 'shape': ${shape}, }`;
  expect(readNpy(array(header("(2,)"), 8)).dims).toEqual([2]);
  for (const shape of [
    "(3,)",
    "(2, 3)",
    "(-2,)",
    "(99999999999999999999,)",
    "(4294967296, 4294967296, 4294967296)",
    "2",
  ]) {
    expect(problem(() => readNpy(array(header(shape), 8)))).toMatch(/^E403/);
  }
  expect(problem(() => readNpy(array(header("(2,)"), 8).subarray(0, 30)))).toMatch(/truncated/);
});

test("a damaged file is an error, or the same arrays", () => {
  const good = [file("savez"), file("compressed"), writeNpz(all)];
  let seed = 1;
  const random = (n: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return Math.floor((seed / 2 ** 32) * n);
  };
  for (let round = 0; round < 600; round++) {
    const bytes = good[round % good.length]!.slice();
    if (round % 2 === 0) bytes[random(bytes.length)]! ^= 1 << random(8);
    const part = round % 2 === 0 ? bytes : bytes.subarray(0, random(bytes.length));
    const message = problem(() => readNpz(part));
    expect(message).toMatch(/^E403|^no error/);
    if (round % 2 === 1) expect(message).toMatch(/^E403/);
  }
});
