import { expect, test } from "vitest";
import { aligned, concatBytes, crc32, fromUtf8, utf8 } from "../../src/base/bytes.ts";

test("crc32 has the check value of its definition, in one go and in two", () => {
  expect(crc32(utf8("123456789"))).toBe(0xcbf43926);
  expect(crc32(utf8("56789"), crc32(utf8("1234")))).toBe(0xcbf43926);
  expect(crc32(new Uint8Array(0))).toBe(0);
});

test("aligned keeps a view that is aligned and copies one that is not", () => {
  const bytes = new Uint8Array(24).map((_, i) => i);
  expect(aligned(bytes.subarray(8, 12), 8).buffer).toBe(bytes.buffer);
  const copy = aligned(bytes.subarray(9, 12), 8);
  expect([copy.byteOffset % 8, [...copy]]).toEqual([0, [9, 10, 11]]);
});

test("concatBytes and utf8", () => {
  expect(fromUtf8(concatBytes([utf8("ä"), new Uint8Array(0), utf8("b")]))).toBe("äb");
});
