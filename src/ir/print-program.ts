// T and P in text form. The grammar stands at the top of print.ts.
import type { BufferId, StageId } from "../base/brand.ts";
import { quoteName, type Writer } from "../base/text.ts";
import * as D from "./dim.ts";
import { type Constants, headText, locText, rangeText } from "./print-data.ts";
import { axisText, BufferNames, dimsText, ExprPrinter, index32, nameText, withVars } from "./print-expr.ts";
import { writeKernel } from "./print-kernel.ts";
import type { Action, Call, Program } from "./program.ts";
import type { Port, Stage, TeProgram } from "./te.ts";

export function writeTe(w: Writer, p: TeProgram, constants: Constants): void {
  const names = new BufferNames(p.buffers.values());
  const exprs = new ExprPrinter(names);
  let last = -1;
  w.block(programHead("te", p, names), () => {
    writeRequirements(w, p);
    writeBuffers(w, p, names, constants);
    writeActions(w, p.actions, names, (call) => {
      if (call.kind === "kernel") {
        w.line(
          `call (${call.args.map((b) => names.ref(b)).join(", ")})${scalarsText(call.scalars)} ${locText(call.loc, null)}`,
        );
        writeKernel(w, call.kernel);
        return;
      }
      const { root, stages } = call.group;
      const write = (): void => {
        for (const s of stages) {
          writeStage(w, s, last + 1, names, exprs);
          last = s.id;
        }
      };
      if (stages.length === 1 && stages[0]!.id === root) write();
      else w.block(`group root ${stageRef(root, stages)}`, write);
    });
  });
}
function stageRef(id: StageId, stages: readonly Stage[]): string {
  const s = stages.find((x) => x.id === id);
  if (!s) return `#${id}`;
  return stages.filter((x) => x.name === s.name).length === 1 ? quoteName(s.name) : `${quoteName(s.name)}#${id}`;
}
function writeStage(w: Writer, s: Stage, expectedId: number, names: BufferNames, exprs: ExprPrinter): void {
  const id = s.id === expectedId ? "" : `#${s.id}`;
  const scan = s.scan === null ? "" : ` scan ${nameText(s.scan)}`;
  const axes = s.axes.map((a) => axisText(a, "spatial")).join(", ");
  w.block(`stage ${quoteName(s.name)}${id}(${axes})${scan} ${locText(s.loc, s.name)}`, () => {
    withVars(
      exprs.vars,
      s.axes.map((a) => [a.name, index32] as const),
      () => {
        const bodies = s.outs.map((o) => o.body);
        const lines = exprs.statement(w, bodies, () =>
          s.outs.map((o) => `${names.ref(o.buffer)} = ${exprs.expr(o.body, names.get(o.buffer)?.dtype ?? null)}`),
        );
        for (const l of lines) w.line(l);
      },
    );
  });
}

export function writeProgram(w: Writer, p: Program, constants: Constants): void {
  const names = new BufferNames(p.buffers.values());
  const call = (c: Call): void => {
    const dims = c.dims.length > 0 ? ` dims ${dimsText(c.dims)}` : "";
    w.line(
      `call ${kernelRef(p, c.kernel)}(${c.args.map((b) => names.ref(b)).join(", ")})${scalarsText(c.scalars)}${dims}`,
    );
  };
  w.block(programHead("program", p, names), () => {
    for (const b of p.bindings)
      w.line(`bind ${D.sym(b.id).key} in ${rangeText(b.min, b.max)} from input ${b.input} axis ${b.axis}`);
    writeRequirements(w, p);
    writeBuffers(w, p, names, constants);
    for (const k of p.kernels) writeKernel(w, k);
    if (p.init.length > 0) w.block("init", () => writeActions(w, p.init, names, call));
    w.block("run", () => writeActions(w, p.run, names, call));
    w.block("plan", () => {
      const { lets, offsets, sizes, lowerBound } = p.plan;
      for (const l of lets) w.line(`let ${D.sym(l.id).key} = ${l.value.key}`);
      for (const [b, at] of offsets) w.line(`place ${names.ref(b)} in ${at.region} ${at.offset.key}`);
      w.line(`sizes weights ${sizes.weights.key}, prepared ${sizes.prepared.key}, arena ${sizes.arena.key}`);
      w.line(`bound ${lowerBound.key}`);
    });
  });
}
/** `@name`, or `@name#index` when kernels share the name or there is none of that index. */
function kernelRef(p: Program, index: number): string {
  const name = p.kernels[index]?.name;
  if (name === undefined) return `@#${index}`;
  return p.kernels.filter((k) => k.name === name).length === 1 ? `@${quoteName(name)}` : `@${quoteName(name)}#${index}`;
}

function programHead(kind: string, p: TeProgram | Program, names: BufferNames): string {
  const port = (x: Port): string => {
    const ref = names.ref(x.buffer);
    return nameText(x.name) === ref ? ref : `${nameText(x.name)}: ${ref}`;
  };
  return headText(kind, p.name, p.inputs.map(port), p.outputs.map(port), p.symbols);
}
function writeRequirements(w: Writer, p: TeProgram | Program): void {
  for (const r of p.requires) w.line(`require ${r.zero.key} is 0 else ${JSON.stringify(r.why)}`);
}
function writeBuffers(w: Writer, p: TeProgram | Program, names: BufferNames, constants: Constants): void {
  for (const b of p.buffers.values()) {
    const t = p.constants.get(b.id);
    w.line(`buffer ${names.declare(b)}${t ? ` = const ${constants.typed(b.name, t, b)}` : ""}`);
  }
}
function scalarsText(scalars: readonly D.Dim[]): string {
  return scalars.length > 0 ? ` scalars ${dimsText(scalars)}` : "";
}

function writeActions<C>(w: Writer, actions: readonly Action<C>[], names: BufferNames, call: (c: C) => void): void {
  const list = (body: readonly Action<C>[]) => (): void => writeActions(w, body, names, call);
  const ref = (b: BufferId): string => names.ref(b);
  for (const a of actions) {
    switch (a.kind) {
      case "call":
        call(a.call);
        break;
      case "dim": {
        const from = "value" in a.from ? a.from.value.key : `${ref(a.from.buffer)}[${a.from.index.key}]`;
        w.line(`dim ${D.sym(a.id).key} in ${rangeText(a.min, a.max)} = ${from}`);
        break;
      }
      case "reserve":
      case "release":
        w.line(`${a.kind} ${ref(a.buffer)}`);
        break;
      case "if":
        w.block(`if ${ref(a.cond)}`, list(a.then), "", a.otherwise.length > 0 ? [["else", list(a.otherwise)]] : []);
        break;
      case "loop": {
        const cond = a.cond === null ? "" : ` while ${ref(a.cond)}`;
        const swap = a.swap.length > 0 ? ` swap ${a.swap.map(([x, y]) => `(${ref(x)}, ${ref(y)})`).join(", ")}` : "";
        w.block(`loop ${D.sym(a.counter).key} in 0..${a.trip?.key ?? ""}${cond}${swap}`, list(a.body));
        break;
      }
    }
  }
}
