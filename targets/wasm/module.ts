// The door to binaryen, and the only file that imports it (dynamically: the import takes a quarter of a second).
import type binaryen from "binaryen";
import { assert } from "../../src/base/assert.ts";

export type Module = binaryen.Module;
/** An expression of binaryen. An expression stands in one place only: never use a Ref twice. */
export type Ref = binaryen.ExpressionRef;
export type ValType = "i32" | "i64" | "f32" | "f64" | "v128";

/** A module under construction. */
export type Wasm = {
  readonly m: Module;
  readonly type: Readonly<Record<ValType | "none", number>>;
  readonly params: (types: readonly ValType[]) => number;
  /** A label that no other has. */
  readonly label: () => string;
  /** The name of a helper function, which `add` defines at the first use. */
  readonly helper: (name: string, add: (w: Wasm, name: string) => void) => string;
  /** The byte address of a constant table of `width`-byte cells; equal tables are one. Tables lie one after the other from `statics`. */
  readonly table: (bytes: Uint8Array) => number;
  readonly tables: () => Uint8Array;
  readonly setPages: (n: number) => void;
};

/** Opens an empty module whose constant tables will lie at address `statics` (a multiple of 16). */
export async function openModule(statics: number): Promise<Wasm> {
  const { default: b } = await import("binaryen");
  const m = new b.Module();
  const f = b.Features;
  m.setFeatures(f.SIMD128 | f.NontrappingFPToInt | f.SignExt | f.MutableGlobals | f.BulkMemory);
  // Loads and stores refer to the memory that exists when they are built; its size is set again when it is known.
  m.setMemory(1, 65536, "memory");
  const type = { none: b.none, i32: b.i32, i64: b.i64, f32: b.f32, f64: b.f64, v128: b.v128 };
  const helpers = new Set<string>();
  const tables: { key: string; at: number; bytes: Uint8Array }[] = [];
  let labels = 0;
  let end = 0;
  const w: Wasm = {
    m,
    type,
    params: (types) => b.createType(types.map((t) => type[t])),
    label: () => `L${labels++}`,
    helper: (name, add) => {
      if (!helpers.has(name)) {
        helpers.add(name);
        add(w, name);
      }
      return name;
    },
    table: (bytes) => {
      const key = bytes.join();
      let t = tables.find((x) => x.key === key);
      if (!t) {
        t = { key, at: end, bytes };
        tables.push(t);
        end = Math.ceil((end + bytes.length) / 16) * 16;
      }
      return statics + t.at;
    },
    setPages: (n) => m.setMemory(n, 65536),
    tables: () => {
      const all = new Uint8Array(end);
      for (const t of tables) all.set(t.bytes, t.at);
      return all;
    },
  };
  return w;
}

/**
 * Validates the module, encodes it and frees it. `names` keeps the names of functions in a name section. None of binaryen's passes
 * run: over all programs of the tests its local passes together took 6 % off the code and changed no kernel's speed; the loop IR's
 * passes have done that work.
 */
export async function closeModule(w: Wasm, names: boolean): Promise<Uint8Array> {
  const { default: b } = await import("binaryen");
  assert(w.m.validate() === 1, "binaryen rejects the module");
  b.setDebugInfo(names);
  const bytes = w.m.emitBinary();
  w.m.dispose();
  return bytes;
}
