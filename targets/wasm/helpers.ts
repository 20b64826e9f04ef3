// Functions that a module holds when something calls them: operations too long to stand in line.
import { Frame } from "./frame.ts";
import type { Ref, ValType, Wasm } from "./module.ts";

type Float = "f32" | "f64";
type Int = "i32" | "i64";

function call(w: Wasm, name: string, args: readonly Ref[], result: ValType): Ref {
  return w.m.call(name, args, w.type[result]);
}

/**
 * The remainder of a/b with the sign of a, exact. b is doubled up to a and taken off where it fits, halved again and again; every
 * step is exact (Sterbenz). As in C, fmod(x, inf) is x, and fmod(inf, y) and fmod(x, 0) are NaN.
 */
export function fmod(w: Wasm, t: Float, a: Ref, b: Ref): Ref {
  const name = w.helper(`fmod.${t}`, () => {
    const { m } = w;
    const o = m[t];
    const f = new Frame(w, [t, t]);
    const [x, y, s] = [f.take(t), f.take(t), f.take(t)];
    const [up, down] = [w.label(), w.label()];
    const nan = m.i32.eqz(m.i32.and(o.lt(f.get(x), o.const(Infinity)), o.gt(f.get(y), o.const(0))));
    f.define(`fmod.${t}`, t, [
      f.set(x, o.abs(f.get(0))),
      f.set(y, o.abs(f.get(1))),
      m.if(nan, m.return(o.const(Number.NaN))),
      m.if(o.lt(f.get(x), f.get(y)), m.return(f.get(0))),
      f.set(s, f.get(y)),
      m.loop(
        up,
        m.if(o.le(o.add(f.get(s), f.get(s)), f.get(x)), m.block(null, [f.set(s, o.add(f.get(s), f.get(s))), m.br(up)])),
      ),
      m.loop(
        down,
        m.block(null, [
          m.if(o.le(f.get(s), f.get(x)), f.set(x, o.sub(f.get(x), f.get(s)))),
          f.set(s, o.mul(f.get(s), o.const(0.5))),
          m.br_if(down, o.ge(f.get(s), f.get(y))),
        ]),
      ),
      o.copysign(f.get(x), f.get(0)),
    ]);
  });
  return call(w, name, [a, b], t);
}

/** The remainder with the sign of b: fmod, plus b when the signs differ and it is not 0. */
export function floorModFloat(w: Wasm, t: Float, a: Ref, b: Ref): Ref {
  const name = w.helper(`floormod.${t}`, () => {
    const { m } = w;
    const o = m[t];
    const f = new Frame(w, [t, t]);
    const r = f.take(t);
    const differ = m.i32.xor(o.lt(f.get(r), o.const(0)), o.lt(f.get(1), o.const(0)));
    f.define(`floormod.${t}`, t, [
      f.set(r, fmod(w, t, f.get(0), f.get(1))),
      m.if(m.i32.and(o.ne(f.get(r), o.const(0)), differ), f.set(r, o.add(f.get(r), f.get(1)))),
      f.get(r),
    ]);
  });
  return call(w, name, [a, b], t);
}

function zero(w: Wasm, t: Int): Ref {
  return t === "i32" ? w.m.i32.const(0) : w.m.i64.const(0n);
}
function minusOne(w: Wasm, t: Int): Ref {
  return t === "i32" ? w.m.i32.const(-1) : w.m.i64.const(-1n);
}
/** The remainder is not 0 and its sign is not that of the divisor: floor and truncation differ. */
function differs(w: Wasm, t: Int, f: Frame, r: number, b: number): Ref {
  const o = w.m[t];
  return w.m.i32.and(o.ne(f.get(r), zero(w, t)), o.lt_s(o.xor(f.get(r), f.get(b)), zero(w, t)));
}

/** Signed floor division; x/0 is 0 and MIN/-1 wraps. */
export function floorDiv(w: Wasm, t: Int, a: Ref, b: Ref): Ref {
  const name = w.helper(`floordiv.${t}`, () => {
    const { m } = w;
    const o = m[t];
    const f = new Frame(w, [t, t]);
    const [q, r] = [f.take(t), f.take(t)];
    const less = differs(w, t, f, r, 1);
    f.define(`floordiv.${t}`, t, [
      m.if(o.eqz(f.get(1)), m.return(zero(w, t))),
      m.if(o.eq(f.get(1), minusOne(w, t)), m.return(o.sub(zero(w, t), f.get(0)))),
      f.set(q, o.div_s(f.get(0), f.get(1))),
      f.set(r, o.sub(f.get(0), o.mul(f.get(q), f.get(1)))),
      o.sub(f.get(q), t === "i32" ? less : m.i64.extend_u(less)),
    ]);
  });
  return call(w, name, [a, b], t);
}

/** Signed remainder with the sign of the divisor; x%0 is 0. */
export function floorMod(w: Wasm, t: Int, a: Ref, b: Ref): Ref {
  const name = w.helper(`floormod.${t}`, () => {
    const { m } = w;
    const o = m[t];
    const f = new Frame(w, [t, t]);
    const r = f.take(t);
    f.define(`floormod.${t}`, t, [
      m.if(o.eqz(f.get(1)), m.return(zero(w, t))),
      f.set(r, o.rem_s(f.get(0), f.get(1))),
      m.if(differs(w, t, f, r, 1), f.set(r, o.add(f.get(r), f.get(1)))),
      f.get(r),
    ]);
  });
  return call(w, name, [a, b], t);
}

/**
 * a*b+c in f32 with one rounding: the product is exact in f64, the sum is rounded to odd there, so that the last rounding to f32
 * cannot be wrong (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008).
 */
export function fusedMulAdd(w: Wasm, a: Ref, b: Ref, c: Ref): Ref {
  const name = w.helper("fma.f32", () => {
    const { m } = w;
    const o = m.f64;
    const f = new Frame(w, ["f32", "f32", "f32"]);
    const [p, q, s, e] = [f.take("f64"), f.take("f64"), f.take("f64"), f.take("f64")];
    const bits = f.take("i64");
    // s + e is p + q exactly (two-sum); e is NaN when s is not finite, and then s stands.
    const t = (): Ref => o.sub(f.get(s), f.get(p));
    const inexact = m.i32.or(o.lt(f.get(e), o.const(0)), o.gt(f.get(e), o.const(0)));
    const even = m.i64.eqz(m.i64.and(f.get(bits), m.i64.const(1n)));
    // Toward e: one more in magnitude when e and s have one sign, else one less.
    const step = m.select(
      m.i32.xor(o.lt(f.get(s), o.const(0)), o.lt(f.get(e), o.const(0))),
      m.i64.const(-1n),
      m.i64.const(1n),
    );
    f.define("fma.f32", "f32", [
      f.set(p, o.mul(o.promote(f.get(0)), o.promote(f.get(1)))),
      f.set(q, o.promote(f.get(2))),
      f.set(s, o.add(f.get(p), f.get(q))),
      f.set(e, o.add(o.sub(f.get(p), o.sub(f.get(s), t())), o.sub(f.get(q), t()))),
      f.set(bits, m.i64.reinterpret(f.get(s))),
      m.if(m.i32.and(inexact, even), f.set(s, o.reinterpret(m.i64.add(f.get(bits), step)))),
      m.f32.demote(f.get(s)),
    ]);
  });
  return call(w, name, [a, b, c], "f32");
}
