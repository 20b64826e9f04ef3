// Identifiers for names that may be any string.

/** Words that JavaScript keeps for itself, and globals that printed code uses. */
const reserved = new Set(
  (
    "abstract arguments await boolean break byte case catch char class const continue debugger default delete do double else " +
    "enum eval export extends false final finally float for function goto if implements import in instanceof int interface let " +
    "long native new null package private protected public return short static super switch synchronized this throw throws " +
    "transient true try typeof undefined var void volatile while with yield " +
    "Array ArrayBuffer BigInt BigInt64Array BigUint64Array Float32Array Float64Array Infinity Int16Array Int32Array Int8Array " +
    "Math NaN Number Object RangeError Uint16Array Uint32Array Uint8Array"
  ).split(" "),
);

/**
 * Hands out unique identifiers, in the order of asking: the name with other characters replaced by `_`, numbered when taken. No
 * identifier of these contains a `$`: those are the printer's own. A child also keeps clear of its parent's names.
 */
export class Names {
  readonly #taken = new Set<string>();
  readonly #parent: Names | null;
  constructor(parent: Names | null = null) {
    this.#parent = parent;
  }
  has(name: string): boolean {
    return reserved.has(name) || this.#taken.has(name) || (this.#parent?.has(name) ?? false);
  }
  unique(name: string): string {
    const plain = name.replace(/[^A-Za-z0-9_]+/g, "_").replace(/^(?=[0-9]|$)/, "_");
    let id = plain;
    for (let i = 2; this.has(id); i++) id = `${plain}_${i}`;
    this.#taken.add(id);
    return id;
  }
}
