// Data sections spliced into a finished module. Weights never pass through binaryen.
import { assert } from "../../src/base/assert.ts";

/** Bytes that instantiation writes at a byte address. */
export type Segment = { readonly address: number; readonly bytes: Uint8Array };

const sectionCode = 10;
const sectionData = 11;
const sectionDataCount = 12;

function unsigned(n: number): number[] {
  const out: number[] = [];
  do {
    const low = n % 128;
    n = Math.floor(n / 128);
    out.push(n > 0 ? low + 128 : low);
  } while (n > 0);
  return out;
}
function signed(n: number): number[] {
  const out: number[] = [];
  for (;;) {
    const low = n & 127;
    n >>= 7;
    if ((n === 0 && low < 64) || (n === -1 && low >= 64)) return [...out, low];
    out.push(low + 128);
  }
}
function readUnsigned(b: Uint8Array, at: number): { value: number; next: number } {
  let value = 0;
  for (let scale = 1; ; scale *= 128) {
    const byte = b[at++]!;
    value += (byte & 127) * scale;
    if (byte < 128) return { value, next: at };
  }
}

/** The module with one active data segment per item. It must have a memory, a code section and no data of its own. */
export function spliceData(module: Uint8Array, segments: readonly Segment[]): Uint8Array {
  if (segments.length === 0) return module;
  let beforeCode = -1;
  let afterCode = -1;
  for (let at = 8; at < module.length; ) {
    const id = module[at]!;
    assert(id !== sectionData && id !== sectionDataCount, "the module already has data");
    const { value: size, next } = readUnsigned(module, at + 1);
    if (id === sectionCode) [beforeCode, afterCode] = [at, next + size];
    at = next + size;
  }
  assert(beforeCode >= 0, "a module without code");
  const count = unsigned(segments.length);
  const heads = segments.map((s) => [0, 0x41, ...signed(s.address | 0), 0x0b, ...unsigned(s.bytes.length)]);
  const size = segments.reduce((n, s, i) => n + heads[i]!.length + s.bytes.length, count.length);
  const parts: (Uint8Array | number[])[] = [
    module.subarray(0, beforeCode),
    [sectionDataCount, ...unsigned(count.length), ...count],
    module.subarray(beforeCode, afterCode),
    [sectionData, ...unsigned(size), ...count],
    ...segments.flatMap((s, i) => [heads[i]!, s.bytes]),
    module.subarray(afterCode),
  ];
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}
