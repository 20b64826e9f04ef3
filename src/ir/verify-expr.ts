// What holds for every expression of T and L: operands agree, names are bound, loads fit their buffers.
import { InternalError } from "../base/assert.ts";
import type { BufferId } from "../base/brand.ts";
import { type BinaryOp, isCompare, type UnaryOp } from "./expr.ts";
import { printExpr } from "./print.ts";
import { type AnyExpr, operandsOf, type VarTypes } from "./print-expr.ts";
import type { Buffer } from "./storage.ts";
import { type DType, elementBytes, is64, isFloat, isInt } from "./types.ts";

/** Collects where a check is, so that a failure names it. */
export class Place {
  private readonly path: string[];

  constructor(...path: string[]) {
    this.path = path;
  }
  in(what: string): Place {
    return new Place(...this.path, what);
  }
  fail(message: string): never {
    throw new InternalError(`${this.path.join(": ")}: ${message}`);
  }
  require(condition: boolean, message: string | (() => string)): void {
    if (!condition) this.fail(typeof message === "string" ? message : message());
  }
}

const floatOps: ReadonlySet<UnaryOp> = new Set(
  "sqrt exp log sin cos tanh erf floor ceil round trunc recip isnan".split(" ") as UnaryOp[],
);
const boolOps: ReadonlySet<BinaryOp> = new Set<BinaryOp>(["and", "or", "xor"]);
const bitOps: ReadonlySet<BinaryOp> = new Set<BinaryOp>(["bitand", "bitor", "bitxor", "shl", "shr"]);
const anyOps: ReadonlySet<BinaryOp> = new Set<BinaryOp>(["min", "max", "nanmin", "nanmax", "lt", "le", "eq", "ne"]);

/** What an expression may refer to. */
export type ExprScope = {
  readonly buffers: ReadonlyMap<BufferId, Buffer>;
  readonly vars: VarTypes;
  /** The buffer that a pointer variable points into. */
  readonly pointers: ReadonlyMap<string, BufferId>;
  /** True when an index of one axis may address a buffer of another rank: after flattening. */
  readonly flat: boolean;
};

/** Checks each node of a statement's expressions once; `more` adds the rules of a stage, node by node. */
export class ExprVerifier {
  private readonly place: Place;
  private readonly scope: ExprScope;
  private readonly more: (e: AnyExpr, lanes: number) => void;
  private readonly lanes: Map<AnyExpr, number> = new Map();

  constructor(place: Place, scope: ExprScope, more: (e: AnyExpr, lanes: number) => void = () => {}) {
    this.place = place;
    this.scope = scope;
    this.more = more;
  }
  /** Checks e and returns its lanes. */
  expr(e: AnyExpr): number {
    const known = this.lanes.get(e);
    if (known !== undefined) return known;
    const operands = operandsOf(e).map((x) => this.expr(x));
    this.types(e);
    const lanes = this.width(e, operands);
    this.more(e, lanes);
    this.lanes.set(e, lanes);
    return lanes;
  }
  /** Checks e, which has to be a scalar of this dtype. */
  scalar(e: AnyExpr, dtype: DType, what: string): void {
    const lanes = this.expr(e);
    this.place.require(
      e.dtype === dtype && lanes === 1,
      () => `${what} ${this.show(e)} is ${e.dtype}x${lanes}, not ${dtype}`,
    );
  }
  show(e: AnyExpr): string {
    return printExpr(e, this.scope.buffers.values());
  }
  /** Checks an index of `buffer` and returns its lanes. */
  index(id: BufferId, index: readonly AnyExpr[], via: string | undefined): number {
    const buffer = this.scope.buffers.get(id) ?? this.place.fail(`buffer #${id} is not declared here`);
    const rank = buffer.shape.length;
    const fits = index.length === rank || (this.scope.flat && index.length === 1);
    this.place.require(fits, `${index.length} indices into "${buffer.name}" of rank ${rank}`);
    for (const x of index)
      this.place.require(x.dtype === "i32", () => `index ${this.show(x)} of "${buffer.name}" is ${x.dtype}, not i32`);
    if (via !== undefined) {
      const at = this.scope.pointers.get(via) ?? this.place.fail(`pointer "${via}" is not bound here`);
      this.place.require(at === id, `pointer "${via}" points into another buffer than "${buffer.name}"`);
      this.place.require(index.length === 1, `${index.length} indices relative to pointer "${via}"`);
    }
    return Math.max(1, ...index.map((x) => this.expr(x)));
  }

  private types(e: AnyExpr): void {
    const { place } = this;
    const is = (want: DType): void =>
      place.require(e.dtype === want, () => `${this.show(e)} is marked ${e.dtype}, not ${want}`);
    const same = (...xs: readonly AnyExpr[]): void =>
      place.require(
        xs.every((x) => x.dtype === xs[0]!.dtype),
        () => `operands of ${this.show(e)} are ${xs.map((x) => x.dtype).join(" and ")}`,
      );
    const takes = (x: AnyExpr, what: string, ok: (d: DType) => boolean): void =>
      place.require(ok(x.dtype), () => `${this.show(e)} needs ${what}, not ${x.dtype}`);
    switch (e.kind) {
      case "const": {
        const right = is64(e.dtype) === (typeof e.value === "bigint");
        place.require(right, `a constant of ${e.dtype} is a ${typeof e.value}`);
        if (e.dtype === "bool") place.require(e.value === 0 || e.value === 1, `a bool constant is ${e.value}`);
        if (isInt(e.dtype) && !is64(e.dtype))
          place.require(Number.isInteger(e.value), `a constant of ${e.dtype} is ${e.value}`);
        return;
      }
      case "var": {
        const type = this.scope.vars.get(e.name) ?? place.fail(`variable "${e.name}" is not bound here`);
        const lanes = e.lanes ?? 1;
        place.require(
          e.dtype === type.dtype && lanes === type.lanes,
          `variable "${e.name}" is ${e.dtype}x${lanes} where it is used, but ${type.dtype}x${type.lanes}`,
        );
        return;
      }
      case "load":
        this.index(e.buffer, e.index, e.via);
        is(this.scope.buffers.get(e.buffer)!.dtype);
        return;
      case "table":
        takes(e.index, "an i32 index", (d) => d === "i32");
        place.require(e.values.length > 0, "an empty table");
        return;
      case "unary":
        if (e.op === "not") takes(e.x, "bool", (d) => d === "bool");
        else if (e.op === "bitnot") takes(e.x, "an integer", isInt);
        else if (e.op === "widen8") takes(e.x, "an i32", (d) => d === "i32");
        else if (floatOps.has(e.op)) takes(e.x, "a float", isFloat);
        else takes(e.x, "a number", (d) => d !== "bool");
        is(e.op === "not" || e.op === "isnan" ? "bool" : e.x.dtype);
        return;
      case "binary":
        same(e.a, e.b);
        if (boolOps.has(e.op)) takes(e.a, "bool", (d) => d === "bool");
        else if (bitOps.has(e.op)) takes(e.a, "integers", isInt);
        else if (e.op === "dot16") takes(e.a, "i32s", (d) => d === "i32");
        else if (!anyOps.has(e.op)) takes(e.a, "numbers", (d) => d !== "bool");
        is(isCompare(e.op) ? "bool" : e.a.dtype);
        return;
      case "mulAdd":
        same(e.a, e.b, e.c);
        takes(e.a, "numbers", (d) => d !== "bool");
        is(e.a.dtype);
        return;
      case "select":
        takes(e.cond, "a bool condition", (d) => d === "bool");
        same(e.a, e.b);
        is(e.a.dtype);
        return;
      case "bitcast":
        takes(e.x, `${elementBytes(e.dtype)} bytes`, (d) => elementBytes(d) === elementBytes(e.dtype));
        return;
      case "ramp":
        takes(e.base, "an i32 base", (d) => d === "i32");
        is("i32");
        return;
      case "splat":
      case "lanes":
        is(e.x.dtype);
        return;
      case "cast":
      case "reduce":
    }
  }

  private width(e: AnyExpr, operands: readonly number[]): number {
    const { place } = this;
    const n = operands[0] ?? 1;
    switch (e.kind) {
      case "var":
        return e.lanes ?? 1;
      case "load":
        return Math.max(1, ...operands);
      case "ramp":
        place.require(Number.isInteger(e.stride), `stride ${e.stride} of a ramp`);
        break;
      case "splat":
        break;
      case "lanes":
        place.require(e.factor > 1 && n > 1 && n % e.factor === 0, `${this.show(e)} reduces ${n} lanes by ${e.factor}`);
        return n / e.factor;
      case "select":
        // One condition may choose between vectors.
        if (operands[0] === 1) return operands[1] ?? 1;
        place.require(
          operands.every((x) => x === n),
          () => `operands of ${this.show(e)} have ${operands.join(" and ")} lanes`,
        );
        return n;
      default:
        place.require(
          operands.every((x) => x === n),
          () => `operands of ${this.show(e)} have ${operands.join(" and ")} lanes`,
        );
        return n;
    }
    place.require(n === 1, () => `${this.show(e)} is made of a vector`);
    place.require(Number.isInteger(e.lanes) && e.lanes > 1, () => `${this.show(e)} has ${e.lanes} lanes`);
    return e.lanes;
  }
}
