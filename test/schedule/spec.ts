// The form of the cases that every rule and storage choice has to get right: sizes that tiles divide and sizes that they do not.
import type { Builder, Sizes } from "./build.ts";

export type Spec = {
  readonly name: string;
  readonly build: (b: Builder) => void;
  /** Each on its own with fixed dims, and all from one program with symbols. */
  readonly sizes: readonly Sizes[];
};
export class Specs {
  readonly list: Spec[] = [];
  add(name: string, build: (b: Builder) => void, sizes: readonly Sizes[] = [{}]): void {
    this.list.push({ name, build, sizes });
  }
}
const odd = [1, 3, 7, 8, 17, 33];
/** Every size for the first symbol; the others vary with it. */
export const walk = (...names: readonly string[]): Sizes[] =>
  odd.map((_, k) => Object.fromEntries(names.map((n, j) => [n, odd[(k * (j + 1) + j) % odd.length]!])));
