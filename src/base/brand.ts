declare const brand: unique symbol;
/** A nominal type over a plain one: ids of different kinds do not mix. */
export type Brand<T, B extends string> = T & { readonly [brand]: B };
export type ValueId = Brand<number, "ValueId">;
export type NodeId = Brand<number, "NodeId">;
export type BufferId = Brand<number, "BufferId">;
export type StageId = Brand<number, "StageId">;
export type SymbolId = Brand<string, "SymbolId">;
