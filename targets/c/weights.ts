// Bytes as a C string literal: compilers read megabytes of it at once, where an array of numbers takes them minutes.

const perLine = 64;

/**
 * The bytes as adjacent string literals, one line each. Escapes are octal and as short as the next character allows; `?` is
 * escaped, so that no trigraph comes about.
 */
export function stringLiteral(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += perLine) {
    const end = Math.min(at + perLine, bytes.length);
    let line = '"';
    for (let i = at; i < end; i++) {
      const b = bytes[i]!;
      if (b === 0x22 || b === 0x5c || b === 0x3f) line += `\\${String.fromCharCode(b)}`;
      else if (b >= 0x20 && b < 0x7f) line += String.fromCharCode(b);
      else {
        const octal = b.toString(8);
        const next = i + 1 < end ? bytes[i + 1]! : 0;
        line += `\\${next >= 0x30 && next <= 0x37 ? octal.padStart(3, "0") : octal}`;
      }
    }
    lines.push(`${line}"`);
  }
  return lines.length === 0 ? '""' : lines.join("\n");
}
