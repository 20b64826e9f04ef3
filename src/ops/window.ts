// Sliding windows, shared by convolutions and pools: padding attributes, output extents, the padded input.
import { must } from "../base/assert.ts";
import type { Dim } from "../ir/dim.ts";
import * as D from "../ir/dim.ts";
import * as E from "../ir/expr.ts";
import { type Const, type Expr, load, ofDim } from "../ir/expr.ts";
import type { RawNode, TeBuilder } from "../ir/opdef.ts";
import type { Buffer } from "../ir/storage.ts";

export type AutoPad = "NOTSET" | "SAME_UPPER" | "SAME_LOWER" | "VALID";
/** Attributes as written; empty lists mean the default for each spatial axis. */
export type WindowAttrs = {
  readonly autoPad: AutoPad;
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly pads: readonly number[];
  readonly ceil: boolean;
};

export function parseWindow(n: RawNode): WindowAttrs {
  const auto = n.string("auto_pad", "NOTSET");
  if (auto !== "NOTSET" && auto !== "SAME_UPPER" && auto !== "SAME_LOWER" && auto !== "VALID" && auto !== "")
    n.fail(`auto_pad "${auto}" is unknown`);
  const w = {
    autoPad: (auto || "NOTSET") as AutoPad,
    kernel: n.ints("kernel_shape") ?? [],
    strides: n.ints("strides") ?? [],
    dilations: n.ints("dilations") ?? [],
    pads: n.ints("pads") ?? [],
    ceil: n.int("ceil_mode", 0) !== 0,
  };
  if (w.strides.some((s) => s < 1) || w.dilations.some((d) => d < 1) || w.kernel.some((k) => k < 1))
    n.fail("strides, dilations and kernel_shape must be positive");
  return w;
}

/** One spatial axis of a window over an input of extent `input`. before and after are the padding; `out` the output's extent. */
export type WindowAxis = {
  readonly kernel: Dim;
  readonly stride: number;
  readonly dilation: number;
  readonly before: Dim;
  readonly after: Dim;
  readonly out: Dim;
  readonly input: Dim;
  /** The last window may reach beyond the padding; `after` has what it needs there. */
  readonly beyond: boolean;
};

/** ONNX's rules for extents and padding (Conv, MaxPool, AveragePool, LpPool). */
export function windowAxes(
  w: WindowAttrs,
  input: readonly Dim[],
  kernel: readonly Dim[],
  fail: (m: string) => never,
): readonly WindowAxis[] {
  const rank = input.length;
  if (
    [w.strides, w.dilations].some((l) => l.length !== 0 && l.length !== rank) ||
    (w.pads.length !== 0 && w.pads.length !== 2 * rank) ||
    kernel.length !== rank
  )
    fail("strides, dilations, pads or kernel_shape do not fit the input's rank");
  return input.map((size, a) => {
    const stride = w.strides[a] ?? 1;
    const dilation = w.dilations[a] ?? 1;
    const reach = D.add(D.mul(D.int(dilation), D.sub(kernel[a]!, D.one)), D.one);
    if (w.autoPad === "SAME_UPPER" || w.autoPad === "SAME_LOWER") {
      const out = D.ceildiv(size, D.int(stride));
      const total = D.max(D.zero, D.sub(D.add(D.mul(D.sub(out, D.one), D.int(stride)), reach), size));
      const half = D.floordiv(total, D.int(2));
      const [before, after] = w.autoPad === "SAME_UPPER" ? [half, D.sub(total, half)] : [D.sub(total, half), half];
      return { kernel: kernel[a]!, stride, dilation, before, after, out, input: size, beyond: false };
    }
    const before = D.int(w.autoPad === "VALID" ? 0 : (w.pads[a] ?? 0));
    const given = D.int(w.autoPad === "VALID" ? 0 : (w.pads[a + rank] ?? 0));
    const span = D.sub(D.add(size, before, given), reach);
    let out = D.add(D.floordiv(span, D.int(stride)), D.one);
    let after = given;
    if (w.ceil && w.autoPad !== "VALID") {
      // A window that would start in the right padding is dropped.
      out = D.add(D.ceildiv(span, D.int(stride)), D.one);
      const last = D.mul(D.sub(out, D.one), D.int(stride));
      const limit = D.add(size, before);
      if (last.kind === "int" && limit.kind === "int") out = last.value >= limit.value ? D.sub(out, D.one) : out;
      else out = D.min(out, D.add(D.floordiv(D.sub(limit, D.one), D.int(stride)), D.one));
      after = D.max(given, D.sub(D.add(D.mul(D.sub(out, D.one), D.int(stride)), reach), limit));
    }
    if (out.kind === "int" && out.value < 0) fail(`the window is larger than the padded input (${size.key})`);
    return { kernel: kernel[a]!, stride, dilation, before, after, out, input: size, beyond: w.ceil };
  });
}

const atLeastOne: D.Ranges = () => ({ min: D.one, max: null });
/**
 * A pool over less than one window is, by the spec's formula, empty. onnxruntime rounds towards zero there, which gives one window
 * over what there is, when less than a stride is missing; models are exported with that in mind.
 */
export function clipped(a: WindowAxis): WindowAxis {
  if (a.stride === 1 || a.beyond || a.after.kind !== "int") return a;
  const reach = D.add(D.mul(D.int(a.dilation), D.sub(a.kernel, D.one)), D.one);
  const limit = D.add(a.input, a.before);
  const span = D.sub(D.add(limit, a.after), reach);
  if (span.kind === "int" ? span.value >= 0 || span.value <= -a.stride : D.nonNegative(span, atLeastOne)) return a;
  const out = D.max(a.out, D.one);
  const after = D.max(a.after, D.sub(D.add(D.mul(D.sub(out, D.one), D.int(a.stride)), reach), limit));
  return { ...a, out, after, beyond: true };
}

/** The input with `fill` around its spatial axes (the last ones); the input itself where nothing is to be padded. */
export function padded(b: TeBuilder, x: Buffer, axes: readonly WindowAxis[], fill: Const): Buffer {
  if (axes.every((a) => a.before === D.zero && nothingAfter(a))) return x;
  const lead = x.shape.length - axes.length;
  const shape = x.shape.map((d, k) =>
    k < lead ? d : D.add(must(axes[k - lead], "axis").before, d, D.max(D.zero, axes[k - lead]!.after)),
  );
  const out = b.temp(`${x.name}.pad`, x.dtype, shape);
  padInto(
    b,
    x,
    out,
    x.shape.map((_, k) => (k < lead ? D.zero : axes[k - lead]!.before)),
    fill,
  );
  return out;
}
function nothingAfter(a: WindowAxis): boolean {
  return a.after.kind === "int" && a.after.value <= 0;
}
/** out[i] = x[i - before] inside, `fill` outside. */
export function padInto(b: TeBuilder, x: Buffer, out: Buffer, before: readonly Dim[], fill: Expr): void {
  b.map(out, (i) => {
    const at = i.map((v, k) => (before[k] === D.zero ? v : E.sub(v, ofDim(before[k]!))));
    const tests = at.flatMap((v, k) => {
      if (before[k] === D.zero && out.shape[k] === x.shape[k]) return [];
      return [E.and(E.le(0, v), E.lt(v, ofDim(x.shape[k]!)))];
    });
    return tests.length === 0
      ? load(x, at)
      : E.where(
          tests.reduce((p, q) => E.and(p, q)),
          load(x, at),
          fill,
        );
  });
}
/** Where window element r of output i lies in the padded input. */
export function windowIndex(axes: readonly WindowAxis[], i: readonly Expr[], r: readonly Expr[]): readonly Expr[] {
  return axes.map((a, k) => {
    const base = a.stride === 1 ? i[k]! : E.mul(i[k]!, a.stride);
    const offset = a.dilation === 1 ? r[k]! : E.mul(r[k]!, a.dilation);
    return E.add(base, offset);
  });
}
