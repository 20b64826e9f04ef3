// The f64 mode: what was f32 is computed and kept as f64, but for the ports. It is the oracle that tolerances are measured with: an op's
// formula stays, its rounding errors go.
import { must } from "../../src/base/assert.ts";
import * as E from "../../src/ir/expr.ts";
import type { Kernel, LoopExpr } from "../../src/ir/loops.ts";
import { mapExpr, mapStmt } from "../../src/ir/rewrite.ts";
import type { Buffer } from "../../src/ir/storage.ts";
import type { Port, Stage, TeAction, TeExpr, TeProgram } from "../../src/ir/te.ts";
import { type DType, type Tensor, tensorOf, typedView } from "../../src/ir/types.ts";
import { called, FreshIds } from "./stages.ts";

/** `p` with f64 in the place of f32. Inputs and outputs keep their dtype: they are converted at the program's two ends. */
export function widen(p: TeProgram): TeProgram {
  const buffers = new Map([...p.buffers].map(([id, b]) => [id, widened(b)]));
  const ids = new FreshIds(p);

  const actions: TeAction[] = p.actions.map(action);
  /** A port of its own for the buffer that the program computes with, and the copy between the two. */
  const port = (x: Port, copies: TeAction[], isInput: boolean): Port => {
    const outer = must(p.buffers.get(x.buffer), `buffer ${x.buffer}`);
    if (outer.dtype !== "f32") return x;
    const inner: Buffer = { ...widened(outer), scope: "arena" };
    const own: Buffer = { ...outer, id: ids.buffer() };
    buffers.set(inner.id, inner).set(own.id, own);
    const [from, to] = isInput ? [own, inner] : [inner, own];
    const id = ids.stage();
    const axes = outer.shape.map((extent, k) => ({ name: `widen${id}.${k}`, extent, role: "spatial" as const }));
    const body = E.cast<E.Expr>(
      to.dtype,
      E.load(
        from,
        axes.map((a) => E.v(a.name)),
      ),
    );
    const stage: Stage = {
      id,
      name: "Cast",
      axes,
      outs: [{ buffer: to.id, body }],
      scan: null,
      loc: { node: x.name, op: "Cast" },
    };
    copies.push(called(stage));
    return { ...x, buffer: own.id };
  };
  const [before, after]: [TeAction[], TeAction[]] = [[], []];
  const inputs = p.inputs.map((x) => port(x, before, true));
  const outputs = p.outputs.map((x) => port(x, after, false));
  const constants = new Map([...p.constants].map(([id, t]) => [id, tensor(t)]));
  return { ...p, buffers, inputs, outputs, constants, actions: [...before, ...actions, ...after] };
}

function wide(dtype: DType): DType {
  return dtype === "f32" ? "f64" : dtype;
}
function widened<T extends { readonly dtype: DType }>(x: T): T {
  return x.dtype === "f32" ? { ...x, dtype: "f64" } : x;
}
function tensor(t: Tensor): Tensor {
  return t.dtype === "f32" ? tensorOf("f64", t.dims, typedView("f32", t.bytes) as Float32Array) : t;
}

/** Bits stay those of an f32; a cast between f32 and f64 is none. */
function expr<T extends LoopExpr | TeExpr>(e: T, memo: Map<T, T>): T {
  const cast = (dtype: DType, x: T): T => E.cast<LoopExpr | TeExpr>(dtype, x) as T;
  return mapExpr<T>(
    e,
    (x) => {
      if (x.kind === "bitcast") {
        if (x.dtype === "f32") return cast("f64", x);
        return x.x.dtype === "f64" && x.dtype.endsWith("32") ? { ...x, x: cast("f32", x.x as T) } : x;
      }
      if (x.kind === "cast") return cast(wide(x.dtype), x.x as T);
      if (x.kind === "reduce")
        return { ...widened(x), state: x.state.map((s) => ({ ...widened(s), init: widened(s.init) })) };
      return widened(x);
    },
    memo,
  );
}

function action(a: TeAction): TeAction {
  switch (a.kind) {
    case "call": {
      if (a.call.kind === "kernel") return { ...a, call: { ...a.call, kernel: kernel(a.call.kernel) } };
      const { group } = a.call;
      const memo = new Map<TeExpr, TeExpr>();
      const stages = group.stages.map((s) => ({
        ...s,
        outs: s.outs.map((o) => ({ ...o, body: expr(o.body, memo) })),
      }));
      return { ...a, call: { ...a.call, group: { ...group, stages } } };
    }
    case "loop":
      return { ...a, body: a.body.map(action) };
    case "if":
      return { ...a, then: a.then.map(action), otherwise: a.otherwise.map(action) };
    default:
      return a;
  }
}

function kernel(k: Kernel): Kernel {
  const memo = new Map<LoopExpr, LoopExpr>();
  const body = mapStmt(
    k.body,
    (s) => {
      if (s.kind === "alloc") return { ...s, buffer: widened(s.buffer) };
      return s.kind === "store" ? widened(s) : s;
    },
    (e) => expr(e, memo),
  );
  return { ...k, params: k.params.map(widened), scalars: k.scalars.map(widened), body };
}
