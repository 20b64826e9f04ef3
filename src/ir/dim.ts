// Symbolic integers: dims of shapes, offsets of the memory plan, and (with loop variables as symbols) index arithmetic.
// Every Dim is in canonical form, a sum of products of atoms with integer coefficients, and interned: equal Dims are one
// object, so `===` compares them. Division is floor division; division by zero gives 0; mod has the sign of the divisor.
// A factor that a dividend and its divisor share cancels (N*M / N is M) as if it were never 0.
import { InternalError, unreachable } from "../base/assert.ts";
import type { SymbolId } from "../base/brand.ts";
import { quoteName } from "../base/text.ts";

export type Dim =
  | { readonly kind: "int"; readonly key: string; readonly value: number }
  | { readonly kind: "sym"; readonly key: string; readonly id: SymbolId }
  /** terms: products or atoms, sorted by key, an integer last. */
  | { readonly kind: "add"; readonly key: string; readonly terms: readonly Dim[] }
  /** terms: an integer coefficient other than 1 first (if any), then atoms sorted by key. */
  | { readonly kind: "mul"; readonly key: string; readonly terms: readonly Dim[] }
  /** broadcast: all terms are equal or 1; its value is the one that is not 1. */
  | Lattice
  | Quotient;
type Lattice = { readonly kind: "max" | "min" | "broadcast"; readonly key: string; readonly terms: readonly Dim[] };
type Quotient = { readonly kind: "floordiv" | "mod"; readonly key: string; readonly a: Dim; readonly by: Dim };

/** def null: bound from an input's shape; "data": read at run time by a `dim` action; a Dim: derived. */
export type Sym = {
  readonly id: SymbolId;
  readonly min: number;
  readonly max: number | null;
  readonly def: Dim | "data" | null;
};

const interned = new Map<string, Dim>();
function intern(d: Dim): Dim {
  const old = interned.get(d.key);
  if (old) return old;
  interned.set(d.key, d);
  return d;
}

const smallInts: Dim[] = [];
class UnsafeInteger extends InternalError {}
export function int(value: number): Dim {
  if (!Number.isSafeInteger(value)) throw new UnsafeInteger(`dim ${value} is no safe integer`);
  if (value >= 0 && value < 1024) return (smallInts[value] ??= intern({ kind: "int", key: String(value), value }));
  return intern({ kind: "int", key: String(value === 0 ? 0 : value), value: value === 0 ? 0 : value });
}
export const zero: Dim = int(0);
export const one: Dim = int(1);

/** Words that mean something else where the text form of the IRs has a dim. */
const notSymbols: ReadonlySet<string> = new Set(["inf", "nan", "while", "swap"]);
/** A symbol prints bare when it is an identifier, else quoted. */
export function sym(id: SymbolId | string): Dim {
  return intern({ kind: "sym", key: quoteName(id, notSymbols), id: id as SymbolId });
}

/** The number, or null when it depends on a symbol. */
export function known(d: Dim): number | null {
  return d.kind === "int" ? d.value : null;
}

/** coefficient and atoms of a term. */
function splitTerm(t: Dim): { coef: number; atoms: readonly Dim[] } {
  if (t.kind === "int") return { coef: t.value, atoms: [] };
  if (t.kind !== "mul") return { coef: 1, atoms: [t] };
  const first = t.terms[0]!;
  return first.kind === "int" ? { coef: first.value, atoms: t.terms.slice(1) } : { coef: 1, atoms: t.terms };
}
function makeTerm(coef: number, atoms: readonly Dim[]): Dim {
  if (coef === 0) return zero;
  if (atoms.length === 0) return int(coef);
  if (coef === 1 && atoms.length === 1) return atoms[0]!;
  const terms = coef === 1 ? atoms : [int(coef), ...atoms];
  return intern({ kind: "mul", key: terms.map(factorKey).join("*"), terms });
}
function factorKey(d: Dim): string {
  return d.kind === "add" ? `(${d.key})` : d.key;
}
const byKey = (a: Dim, b: Dim): number => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0);

/** The terms of a sum (one term for anything else). */
export function termsOf(d: Dim): readonly Dim[] {
  return d.kind === "add" ? d.terms : d === zero ? [] : [d];
}
export { splitTerm };

export function add(...ds: readonly Dim[]): Dim {
  if (ds.length === 2) {
    const [a, b] = ds as [Dim, Dim];
    if (a.kind === "int" && b.kind === "int") return int(a.value + b.value);
    if (a === zero) return b;
    if (b === zero) return a;
    return remembered(sums2, a, b, () => addAll(ds));
  }
  return addAll(ds);
}
// Dims are interned, so results of two operands are found by identity.
const sums2 = new WeakMap<Dim, WeakMap<Dim, Dim>>();
const products2 = new WeakMap<Dim, WeakMap<Dim, Dim>>();
function remembered(table: WeakMap<Dim, WeakMap<Dim, Dim>>, a: Dim, b: Dim, make: () => Dim): Dim {
  let row = table.get(a);
  if (!row) table.set(a, (row = new WeakMap()));
  let r = row.get(b);
  if (!r) row.set(b, (r = make()));
  return r;
}
function addAll(ds: readonly Dim[]): Dim {
  const sums = new Map<string, { coef: number; atoms: readonly Dim[] }>();
  let c = 0;
  for (const d of ds) {
    for (const t of termsOf(d)) {
      const { coef, atoms } = splitTerm(t);
      if (atoms.length === 0) {
        c += coef;
        continue;
      }
      const k = atoms.map((x) => x.key).join("*");
      const old = sums.get(k);
      if (old) old.coef += coef;
      else sums.set(k, { coef, atoms });
    }
  }
  // c*mod(a,b) + c*b*floordiv(a,b) is c*a.
  for (const [k, s] of sums) {
    const m = s.atoms.findIndex((x) => x.kind === "mod");
    if (m < 0 || s.coef === 0) continue;
    const mod = s.atoms[m] as Quotient;
    const rest = makeTerm(
      s.coef,
      s.atoms.filter((_, i) => i !== m),
    );
    const partner = mul(rest, mod.by, floordiv(mod.a, mod.by));
    const p = splitTerm(partner);
    const pk = p.atoms.map((x) => x.key).join("*");
    const found = sums.get(pk);
    if (partner.kind !== "add" && found && found.coef === p.coef) {
      sums.delete(k);
      sums.delete(pk);
      return add(...[...sums.values()].map((x) => makeTerm(x.coef, x.atoms)), int(c), mul(rest, mod.a));
    }
  }
  const terms = [...sums.values()]
    .filter((s) => s.coef !== 0)
    .map((s) => makeTerm(s.coef, s.atoms))
    .sort(byKey);
  if (c !== 0 || terms.length === 0) terms.push(int(c));
  if (terms.length === 1) return terms[0]!;
  return intern({ kind: "add", key: terms.map((t) => t.key).join(" + "), terms });
}

export function mul(...ds: readonly Dim[]): Dim {
  if (ds.length === 2) {
    const [a, b] = ds as [Dim, Dim];
    if (a.kind === "int" && b.kind === "int") return int(a.value * b.value);
    if (a === one) return b;
    if (b === one) return a;
    return remembered(products2, a, b, () => mulAll(ds));
  }
  return mulAll(ds);
}
function mulAll(ds: readonly Dim[]): Dim {
  let acc: { coef: number; atoms: readonly Dim[] }[] = [{ coef: 1, atoms: [] }];
  for (const d of ds) {
    const next: typeof acc = [];
    for (const t of termsOf(d)) {
      const { coef, atoms } = splitTerm(t);
      for (const x of acc) next.push({ coef: x.coef * coef, atoms: [...x.atoms, ...atoms] });
    }
    acc = next;
  }
  if (acc.length === 1) return makeTerm(acc[0]!.coef, [...acc[0]!.atoms].sort(byKey));
  return add(...acc.map((x) => makeTerm(x.coef, [...x.atoms].sort(byKey))));
}
export function neg(d: Dim): Dim {
  return mul(int(-1), d);
}
export function sub(a: Dim, b: Dim): Dim {
  return a === b ? zero : add(a, neg(b));
}

/** The quotient of term / divisor when the divisor's factors all occur in the term, else null. */
function exactTerm(t: Dim, by: { coef: number; atoms: readonly Dim[] }): Dim | null {
  const { coef, atoms } = splitTerm(t);
  if (by.coef === 0 || coef % by.coef !== 0) return null;
  const rest = [...atoms];
  for (const f of by.atoms) {
    const i = rest.indexOf(f);
    if (i < 0) return null;
    rest.splice(i, 1);
  }
  return makeTerm(coef / by.coef, rest);
}
/** Splits a into by*q + r, taking into q every term that divides exactly. */
export function splitBy(a: Dim, by: Dim): { q: Dim; r: Dim } {
  if (a === by) return { q: one, r: zero };
  if (by.kind === "add") return { q: zero, r: a };
  const f = splitTerm(by);
  const q: Dim[] = [];
  const r: Dim[] = [];
  for (const t of termsOf(a)) {
    const e = exactTerm(t, f);
    if (e) {
      q.push(e);
      continue;
    }
    // An integer remainder: 7 = 3*2 + 1.
    if (t.kind === "int" && by.kind === "int") {
      const k = Math.floor(t.value / by.value);
      q.push(int(k));
      r.push(int(t.value - k * by.value));
    } else r.push(t);
  }
  return { q: add(...q), r: add(...r) };
}

/** The greatest divisor of `by` and of every coefficient of d but its constant. */
function commonFactor(d: Dim, by: number): number {
  return termsOf(d).reduce((g, t) => (t.kind === "int" ? g : gcd(g, Math.abs(splitTerm(t).coef))), by);
}
export function floordiv(a: Dim, by: Dim): Dim {
  if (by === one) return a;
  if (by === zero || a === zero) return zero;
  if (a.kind === "int" && by.kind === "int") return int(Math.floor(a.value / by.value));
  const { q, r } = splitBy(a, by);
  if (r === zero) return q;
  if (r.kind === "int" && by.kind === "int" && r.value >= 0 && r.value < by.value) return q;
  // floordiv(floordiv(x, m), n) is floordiv(x, m*n) for positive integers.
  if (r.kind === "floordiv" && r.by.kind === "int" && by.kind === "int" && r.by.value > 0 && by.value > 0)
    return add(q, floordiv(r.a, int(r.by.value * by.value)));
  if (by.kind === "int" && by.value > 1) {
    // floordiv(g*x + c, g*n) is floordiv(x + floordiv(c, g), n).
    const g = commonFactor(r, by.value);
    if (g > 1) return add(q, floordiv(splitBy(r, int(g)).q, int(by.value / g)));
  }
  return add(q, intern({ kind: "floordiv", key: `floordiv(${r.key}, ${by.key})`, a: r, by }));
}
export function mod(a: Dim, by: Dim): Dim {
  if (by === one || by === zero || a === zero) return zero;
  if (a.kind === "int" && by.kind === "int") return int(a.value - Math.floor(a.value / by.value) * by.value);
  const { r } = splitBy(a, by);
  if (r === zero) return zero;
  if (r.kind === "int" && by.kind === "int" && r.value >= 0 && r.value < by.value) return r;
  if (r.kind === "mod" && r.by === by) return r;
  if (r.kind === "mod" && r.by.kind === "int" && by.kind === "int" && by.value > 0 && r.by.value % by.value === 0)
    return mod(r.a, by);
  return intern({ kind: "mod", key: `mod(${r.key}, ${by.key})`, a: r, by });
}
/** Rounds up: ceil(a / by). */
export function ceildiv(a: Dim, by: Dim): Dim {
  return neg(floordiv(neg(a), by));
}

function lattice(kind: "max" | "min" | "broadcast", ds: readonly Dim[]): Dim {
  const seen = new Map<string, Dim>();
  let c: number | null = null;
  for (const d of ds) {
    for (const t of d.kind === kind ? d.terms : [d]) {
      if (t.kind !== "int") seen.set(t.key, t);
      else if (kind === "broadcast") {
        if (t.value !== 1) c = t.value;
      } else c = c === null ? t.value : kind === "max" ? Math.max(c, t.value) : Math.min(c, t.value);
    }
  }
  let terms = [...seen.values()].sort(byKey);
  // A known extent other than 1 decides a broadcast: the symbol must be equal to it or 1.
  if (kind === "broadcast" && c !== null) return int(c);
  // Terms that differ by an integer: keep the larger (smaller) one.
  if (kind !== "broadcast" && terms.length > 1) {
    terms = terms.filter(
      (t, i) =>
        !terms.some((u, j) => {
          if (i === j) return false;
          const d = sub(u, t);
          return d.kind === "int" && (kind === "max" ? d.value > 0 : d.value < 0);
        }),
    );
  }
  if (c !== null) terms.push(int(c));
  if (terms.length === 0) return one;
  if (terms.length === 1) return terms[0]!;
  return intern({ kind, key: `${kind}(${terms.map((t) => t.key).join(", ")})`, terms });
}
export function max(...ds: readonly Dim[]): Dim {
  return lattice("max", ds);
}
export function min(...ds: readonly Dim[]): Dim {
  return lattice("min", ds);
}
export function broadcast(...ds: readonly Dim[]): Dim {
  return lattice("broadcast", ds);
}
export function product(ds: readonly Dim[]): Dim {
  return ds.reduce((a, b) => mul(a, b), one);
}

/** Replaces symbols; f returns null to keep one. */
export function substitute(d: Dim, f: (id: SymbolId) => Dim | null): Dim {
  switch (d.kind) {
    case "int":
      return d;
    case "sym":
      return f(d.id) ?? d;
    case "floordiv":
    case "mod": {
      const a = substitute(d.a, f);
      const by = substitute(d.by, f);
      if (a === d.a && by === d.by) return d;
      return d.kind === "mod" ? mod(a, by) : floordiv(a, by);
    }
    default: {
      const terms = d.terms.map((t) => substitute(t, f));
      if (terms.every((t, i) => t === d.terms[i])) return d;
      return d.kind === "add" ? add(...terms) : d.kind === "mul" ? mul(...terms) : lattice(d.kind, terms);
    }
  }
}

/** The value when every symbol has one. Throws what `env` throws. */
export function evaluate(d: Dim, env: (id: SymbolId) => number): number {
  switch (d.kind) {
    case "int":
      return d.value;
    case "sym":
      return env(d.id);
    case "add":
      return d.terms.reduce((s, t) => s + evaluate(t, env), 0);
    case "mul":
      return d.terms.reduce((s, t) => s * evaluate(t, env), 1);
    case "max":
      return Math.max(...d.terms.map((t) => evaluate(t, env)));
    case "min":
      return Math.min(...d.terms.map((t) => evaluate(t, env)));
    case "broadcast":
      return d.terms.map((t) => evaluate(t, env)).find((v) => v !== 1) ?? 1;
    case "floordiv": {
      const by = evaluate(d.by, env);
      return by === 0 ? 0 : Math.floor(evaluate(d.a, env) / by);
    }
    case "mod": {
      const by = evaluate(d.by, env);
      const a = evaluate(d.a, env);
      return by === 0 ? 0 : a - Math.floor(a / by) * by;
    }
    default:
      return unreachable(d, "evaluate");
  }
}

/** Adds every symbol of d to `into`. */
export function symbolsOf(d: Dim, into: Set<SymbolId> = new Set()): Set<SymbolId> {
  switch (d.kind) {
    case "int":
      break;
    case "sym":
      into.add(d.id);
      break;
    case "floordiv":
    case "mod":
      symbolsOf(d.a, into);
      symbolsOf(d.by, into);
      break;
    default:
      for (const t of d.terms) symbolsOf(t, into);
  }
  return into;
}

/** What is known of a symbol: inclusive bounds (null: none) and, for loop variables with a step, a divisor of every value. */
export type Range = { readonly min: Dim; readonly max: Dim | null; readonly multipleOf?: number };
export type Ranges = (id: SymbolId) => Range | null;

/** The result of a search for bounds, or `otherwise` when it meets a number that is too large: that proves nothing. */
function attempt<T>(search: () => T, otherwise: T): T {
  try {
    return search();
  } catch (e) {
    if (e instanceof UnsafeInteger) return otherwise;
    throw e;
  }
}
/** What a search for bounds carries along: results so far, and steps that are left. A search that runs out proves nothing. */
type Proof = { readonly ranges: Ranges; readonly known: Map<Dim, boolean>; fuel: number };
function proof(ranges: Ranges): Proof {
  return { ranges, known: new Map(), fuel: 2000 };
}

/** An upper (lower) bound of d with the loop variables that have bounds replaced, or null. Outer bounds may name other symbols. */
function bound(d: Dim, p: Proof, upper: boolean, depth: number): Dim | null {
  if (depth > 12 || --p.fuel < 0) return null;
  switch (d.kind) {
    case "int":
      return d;
    case "sym": {
      const r = p.ranges(d.id);
      if (!r) return d;
      const b = upper ? r.max : r.min;
      return b === null ? d : b === d ? d : bound(b, p, upper, depth + 1);
    }
    case "add": {
      const parts = d.terms.map((t) => bound(t, p, upper, depth));
      return parts.every((p) => p !== null) ? add(...(parts as Dim[])) : null;
    }
    case "mul": {
      const { coef, atoms } = splitTerm(d);
      const up = coef >= 0 ? upper : !upper;
      const parts: Dim[] = [];
      for (const a of atoms) {
        if (!isNonNegative(a, p, depth + 1)) return null;
        const b = bound(a, p, up, depth);
        if (b === null) return null;
        // A factor is known to be >= 0, whatever its lower bound says; two negative bounds would make a positive one.
        parts.push(up || isNonNegative(b, p, depth + 1) ? b : zero);
      }
      return mul(int(coef), ...parts);
    }
    case "max":
    case "min": {
      // max's upper bound and min's lower bound need every term; the other direction may use any one.
      const parts = d.terms.map((t) => bound(t, p, upper, depth + 1));
      if ((d.kind === "max") === upper) return parts.every((p) => p !== null) ? lattice(d.kind, parts as Dim[]) : null;
      return parts.find((p) => p?.kind === "int") ?? parts.find((p) => p !== null) ?? null;
    }
    case "broadcast":
      return d;
    case "mod":
      if (!isPositive(d.by, p, depth + 1)) return null;
      return upper ? bound(sub(d.by, one), p, true, depth + 1) : zero;
    case "floordiv": {
      if (!isPositive(d.by, p, depth + 1)) return null;
      const a = bound(d.a, p, upper, depth + 1);
      if (a === null) return null;
      return floordiv(a, d.by);
    }
    default:
      return unreachable(d, "bound");
  }
}
/** An inclusive bound free of loop variables, or null when none is known. Symbols of shapes may remain in it. */
export function upperBound(d: Dim, ranges: Ranges): Dim | null {
  return attempt(() => bound(d, proof(ranges), true, 0), null);
}
export function lowerBound(d: Dim, ranges: Ranges): Dim | null {
  return attempt(() => bound(d, proof(ranges), false, 0), null);
}

/** True when d >= 0 for every value of its symbols. */
export function nonNegative(d: Dim, ranges: Ranges): boolean {
  return attempt(() => isNonNegative(d, proof(ranges), 0), false);
}
function isNonNegative(d: Dim, p: Proof, depth: number): boolean {
  if (d.kind === "int") return d.value >= 0;
  const known = p.known.get(d);
  if (known !== undefined) return known;
  if (depth > 10 || --p.fuel < 0) return false;
  const result = proveNonNegative(d, p, depth);
  p.known.set(d, result);
  return result;
}
function proveNonNegative(d: Exclude<Dim, { readonly kind: "int" }>, p: Proof, depth: number): boolean {
  // An upper-bound pass may leave symbols with a positive sign (fine: they are at least min) and a negative one (use max).
  if (d.kind === "sym") {
    const r = p.ranges(d.id);
    return r !== null && r.min !== d && isNonNegative(r.min, p, depth + 1);
  }
  if (d.kind === "max") return d.terms.some((t) => isNonNegative(t, p, depth + 1));
  if (d.kind === "mul" || d.kind === "min" || d.kind === "broadcast")
    return d.terms.every((t) => isNonNegative(t, p, depth + 1));
  if (d.kind !== "add") {
    const q = d as Quotient;
    return isPositive(q.by, p, depth + 1) && (q.kind === "mod" || isNonNegative(q.a, p, depth + 1));
  }
  // Wherever one is, a max or min is one of its terms. Minus a min (plus a max) of terms is at least minus (plus) any one of them.
  for (const t of d.terms) {
    const { coef, atoms } = splitTerm(t);
    const m = atoms.find((x) => x.kind === "max" || x.kind === "min");
    if (m?.kind !== "max" && m?.kind !== "min") continue;
    const others = atoms.filter((x) => x !== m);
    const holdsWith = (u: Dim): boolean => isNonNegative(add(d, neg(t), mul(int(coef), u, ...others)), p, depth + 1);
    const any =
      (m.kind === "min") === coef < 0 &&
      others.length === atoms.length - 1 &&
      others.every((x) => isNonNegative(x, p, depth + 1));
    if (any ? m.terms.some(holdsWith) : m.terms.every(holdsWith)) return true;
  }
  // A sum: replace one variable at a time by the bound that makes its term smallest; a variable whose bound names other
  // variables goes first.
  const vars = [...symbolsOf(d)].map((id) => ({ id, r: p.ranges(id) })).filter((x) => x.r !== null) as {
    id: SymbolId;
    r: Range;
  }[];
  const deep = (r: Range): number => symbolsOf(r.min).size + (r.max ? symbolsOf(r.max).size : 0);
  vars.sort((x, y) => deep(y.r) - deep(x.r));
  for (const { id, r } of vars) {
    const direction = monotone(d, id, p, depth);
    if (direction === 0) continue;
    const b = direction > 0 ? r.min : r.max;
    if (b === null || symbolsOf(b).has(id)) continue;
    return isNonNegative(
      substitute(d, (s) => (s === id ? b : null)),
      p,
      depth + 1,
    );
  }
  const low = bound(d, p, false, depth + 1);
  return low !== null && low !== d && isNonNegative(low, p, depth + 1);
}
/** +1 when every term with `id` grows with it, -1 when every one falls, 0 when not known. */
function monotone(d: Dim, id: SymbolId, p: Proof, depth: number): number {
  let dir = 0;
  for (const t of termsOf(d)) {
    if (!symbolsOf(t).has(id)) continue;
    const { coef, atoms } = splitTerm(t);
    let power = 0;
    for (const a of atoms) {
      if (a.kind === "sym" && a.id === id) {
        if (++power === 2 && !isNonNegative(a, p, depth + 2)) return 0;
        continue;
      }
      if (symbolsOf(a).has(id)) {
        const inner =
          a.kind === "floordiv" && !symbolsOf(a.by).has(id) && isPositive(a.by, p, depth + 1)
            ? monotone(a.a, id, p, depth + 1)
            : 0;
        if (inner <= 0 || atoms.length > 1) return 0;
        continue;
      }
      if (!isNonNegative(a, p, depth + 2)) return 0;
    }
    const s = Math.sign(coef);
    if (dir !== 0 && s !== dir) return 0;
    dir = s;
  }
  return dir;
}
/** True when d >= 1. */
export function positive(d: Dim, ranges: Ranges): boolean {
  return attempt(() => isPositive(d, proof(ranges), 0), false);
}
function isPositive(d: Dim, p: Proof, depth: number): boolean {
  return d.kind === "int" ? d.value >= 1 : isNonNegative(sub(d, one), p, depth);
}
/** True when a <= b is provable. */
export function atMost(a: Dim, b: Dim, ranges: Ranges): boolean {
  return attempt(() => isNonNegative(sub(b, a), proof(ranges), 0), false);
}

/** A divisor of every value of d (0 when d is 0). */
function divisor(d: Dim, ranges: Ranges): number {
  switch (d.kind) {
    case "int":
      return Math.abs(d.value);
    case "sym":
      return ranges(d.id)?.multipleOf ?? 1;
    case "add":
      return d.terms.reduce((g, t) => gcd(g, divisor(t, ranges)), 0);
    case "mul":
      return d.terms.reduce((g, t) => g * divisor(t, ranges), 1);
    default:
      return 1;
  }
}
function gcd(a: number, b: number): number {
  while (b) [a, b] = [b, a % b];
  return a;
}

/** What computing d costs: its symbols, quotients, minima and maxima. Integers, sums and products of these are free. */
export function atomCount(d: Dim): number {
  switch (d.kind) {
    case "int":
      return 0;
    case "sym":
      return 1;
    case "floordiv":
    case "mod":
      return 1 + atomCount(d.a) + atomCount(d.by);
    default:
      return d.terms.reduce((n, t) => n + atomCount(t), d.kind === "add" || d.kind === "mul" ? 0 : 1);
  }
}

/**
 * Simplifies quotients, remainders, min and max with what is known of the symbols. Same value where no divisor is 0, never more
 * atoms (see atomCount), and simplifying again changes nothing.
 */
export function simplify(d: Dim, ranges: Ranges): Dim {
  for (let s = d; ; ) {
    const next = simplifyOnce(s, ranges);
    if (next === s || atomCount(next) > atomCount(s)) return s;
    s = next;
  }
}
function simplifyOnce(d: Dim, ranges: Ranges): Dim {
  switch (d.kind) {
    case "int":
      return d;
    case "sym": {
      const r = ranges(d.id);
      return r && r.max !== null && r.min === r.max ? r.min : d;
    }
    case "add":
      return add(...d.terms.map((t) => simplify(t, ranges)));
    case "mul": {
      const factors = d.terms.map((t) => simplify(t, ranges));
      let m = mul(...factors);
      // A factor that has become a sum multiplies out: leave such factors where that repeats too much.
      if (atomCount(m) > atomCount(d)) m = mul(...factors.map((f, k) => (f.kind === "add" ? d.terms[k]! : f)));
      // by*floordiv(a, by) is a when by divides every value of a.
      const { coef, atoms } = splitTerm(m);
      for (const q of atoms) {
        if (
          q.kind !== "floordiv" ||
          q.by.kind !== "int" ||
          coef % q.by.value !== 0 ||
          divisor(q.a, ranges) % q.by.value !== 0
        )
          continue;
        return mul(int(coef / q.by.value), q.a, ...atoms.filter((x) => x !== q));
      }
      return m;
    }
    case "max":
    case "min": {
      let terms = d.terms.map((t) => simplify(t, ranges));
      for (let i = 0; i < terms.length && terms.length > 1; i++) {
        const t = terms[i]!;
        const covered = terms.some(
          (u, j) => j !== i && (d.kind === "max" ? atMost(t, u, ranges) : atMost(u, t, ranges)),
        );
        if (covered) {
          terms = terms.filter((_, j) => j !== i);
          i--;
        }
      }
      return lattice(d.kind, terms);
    }
    case "broadcast":
      return lattice(
        "broadcast",
        d.terms.map((t) => simplify(t, ranges)),
      );
    case "floordiv":
    case "mod": {
      const a = simplify(d.a, ranges);
      const by = simplify(d.by, ranges);
      if (a.kind === "int" || by === one || by === zero) return d.kind === "mod" ? mod(a, by) : floordiv(a, by);
      // a = by*q + r with 0 <= r < by. A term may hide a multiple of an integer divisor (a stepped loop variable).
      let { q, r } = splitBy(a, by);
      if (by.kind === "int" && by.value > 1) {
        const stay: Dim[] = [];
        for (const t of termsOf(r)) {
          if (divisor(t, ranges) % by.value === 0 && t.kind !== "int") q = add(q, floordiv(t, by));
          else stay.push(t);
        }
        r = add(...stay);
      }
      if (nonNegative(r, ranges) && nonNegative(sub(sub(by, one), r), ranges)) return d.kind === "mod" ? r : q;
      // Terms that are multiples of g, a divisor of by, and a rest in [0, g): the rest never carries.
      if (by.kind === "int" && by.value > 1) {
        for (const t of termsOf(r)) {
          const g = gcd(divisor(t, ranges), by.value);
          if (t.kind === "int" || g < 2) continue;
          const coarse = termsOf(r).filter((u) => u.kind !== "int" && divisor(u, ranges) % g === 0);
          const fine = sub(r, add(...coarse));
          if (fine === zero || !nonNegative(fine, ranges) || !nonNegative(sub(int(g - 1), fine), ranges)) continue;
          const whole = add(...coarse);
          return d.kind === "mod" ? add(mod(whole, by), fine) : add(q, floordiv(whole, by));
        }
      }
      return d.kind === "mod" ? mod(a, by) : floordiv(a, by);
    }
    default:
      return unreachable(d, "simplify");
  }
}
