// The locals of a function. A local is given back at the end of its scope and taken again by the next one of its type.
import type { Ref, ValType, Wasm } from "./module.ts";

/** A value used more than once: `first` stands where it is computed, which must come before every `again`. */
export type Shared = { readonly first: Ref; readonly again: () => Ref; readonly done: () => void };

export class Frame {
  readonly w: Wasm;
  readonly params: readonly ValType[];
  private readonly vars: ValType[] = [];
  private readonly free: Record<ValType, number[]> = { i32: [], i64: [], f32: [], f64: [], v128: [] };

  constructor(w: Wasm, params: readonly ValType[]) {
    this.w = w;
    this.params = params;
  }
  take(t: ValType): number {
    const old = this.free[t].pop();
    if (old !== undefined) return old;
    this.vars.push(t);
    return this.params.length + this.vars.length - 1;
  }
  give(index: number): void {
    this.free[this.typeOf(index)].push(index);
  }
  typeOf(index: number): ValType {
    return this.params[index] ?? this.vars[index - this.params.length]!;
  }
  get(index: number): Ref {
    return this.w.m.local.get(index, this.w.type[this.typeOf(index)]);
  }
  set(index: number, value: Ref): Ref {
    return this.w.m.local.set(index, value);
  }
  tee(index: number, value: Ref): Ref {
    return this.w.m.local.tee(index, value, this.w.type[this.typeOf(index)]);
  }
  /** Shares a value through a local; `done` gives the local back once every use has been built. */
  share(t: ValType, value: Ref): Shared {
    const index = this.take(t);
    return { first: this.tee(index, value), again: () => this.get(index), done: () => this.give(index) };
  }
  /** Adds the function to the module, with a body of statements (the last one is the result, if any). */
  define(name: string, result: ValType | null, body: readonly Ref[]): void {
    const { m, type } = this.w;
    const type_ = result === null ? type.none : type[result];
    const block = body.length === 1 ? body[0]! : m.block(null, body, type_);
    m.addFunction(
      name,
      this.w.params(this.params),
      type_,
      this.vars.map((t) => type[t]),
      block,
    );
  }
}
