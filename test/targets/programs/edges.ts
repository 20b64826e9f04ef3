// Values that break things.
import type { Scalar } from "./reference.ts";

const b63 = 2n ** 63n;
const integers = (text: string): bigint[] => text.split(" ").map(BigInt);
const finite = [
  0, -0, 1, -1, 0.5, -0.5, 0.75, 1.5, -1.5, 2.5, -2.5, 3.5, 7, -7.25, 0.1, 127.6, -128.5, 255.5, 300, 40000, -70000,
  8388609.5, 16777217, 2147483648, -2147483648, -3e9, 4294967296, 1e10, 1e-3, -1e-20, 9.3e18, -2e19,
];
/** Values worth trying, by dtype. */
export const edges: Readonly<
  Record<"f32" | "f64" | "i32" | "u32" | "i64" | "u64" | "i16" | "u16" | "i8" | "u8" | "bool", readonly Scalar[]>
> = {
  f32: finite.map(Math.fround),
  f64: [
    ...finite,
    2147483647.5,
    -2147483648.5,
    2251799813685247.5,
    9007199254740992,
    -9007199254740991,
    1e300,
    -1e-300,
  ],
  i32: [
    0, 1, -1, 2, -2, 3, -3, 7, -7, 31, 32, 33, 100, -100, 255, 256, 65535, -65537, 123456789, 2147483647, -2147483647,
    -2147483648,
  ],
  u32: [
    0, 1, 2, 3, 7, 31, 32, 33, 100, 255, 256, 65537, 123456789, 2147483647, 2147483648, 2147483649, 4294967294,
    4294967295,
  ],
  i64: [
    ...integers(
      "0 1 -1 2 -2 3 7 -7 63 64 65 255 -256 4294967296 -4294967297 9007199254740993 36028797018963971 -1152921573326323713",
    ),
    b63 - 1n,
    1n - b63,
    -b63,
  ],
  u64: [
    ...integers("0 1 2 3 7 63 64 65 255 256 4294967295 4294967296 9007199254740993 1152921573326323713"),
    b63 - 1n,
    b63,
    b63 + 1n,
    2n * b63 - 2n,
    2n * b63 - 1n,
  ],
  i16: [0, 1, -1, 127, 128, -129, 255, 256, 32767, -32768],
  u16: [0, 1, 127, 128, 255, 256, 32767, 32768, 65535],
  i8: [0, 1, -1, 7, 127, -128],
  u8: [0, 1, 7, 127, 128, 255],
  bool: [0, 1],
};
/** NaN, infinities, denormals, the largest numbers. */
export const special: Readonly<Record<"f32" | "f64", readonly number[]>> = {
  f32: [
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    0,
    -0,
    1,
    -2.5,
    ...[1e-40, -1e-45, 3.4e38, -3.4e38, 1.2e-38].map(Math.fround),
  ],
  f64: [
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    0,
    -0,
    1,
    -2.5,
    5e-324,
    -1e-310,
    1.7e308,
    -1.7e308,
  ],
};
