// Groups stages that share rows: a softmax or a norm is one loop over rows in which each stage computes what that row needs. Decides
// membership only; where a stage is computed is a schedule step.
import type { BufferId } from "../../src/base/brand.ts";
import * as D from "../../src/ir/dim.ts";
import { accesses, visitActions, visitExpr } from "../../src/ir/rewrite.ts";
import type { Axis, Stage, TeAction, TeProgram } from "../../src/ir/te.ts";
import { loadsOf } from "./access.ts";
import { contractionOf, factorsOf } from "./contraction.ts";
import { factsOf } from "./inline.ts";
import { stageOf } from "./stages.ts";

/** A row axis of the root by the name that a member has for it. */
export type Rows = ReadonlyMap<string, string>;

export function group(p: TeProgram): TeProgram {
  const facts = factsOf(p);
  const viewed = new Set<BufferId>();
  for (const b of p.buffers.values())
    if (b.storage?.root !== null && b.storage?.root !== undefined) viewed.add(b.storage.root);
  const readers = new Map<BufferId, Set<TeAction>>();
  visitActions(p.actions, (a) => {
    for (const r of accesses(a).reads) readers.set(r, (readers.get(r) ?? new Set()).add(a));
  });
  const local = (id: BufferId): boolean => {
    const b = p.buffers.get(id)!;
    return (
      b.scope === "arena" &&
      (b.storage === null || b.storage.root === null) &&
      !viewed.has(id) &&
      !facts.pinned.has(id) &&
      !facts.mutable.has(id)
    );
  };
  const eligible = (s: Stage): boolean =>
    s.scan === null && s.outs.length === 1 && contractionOf(s, () => false) === null && !isProduct(s);
  const walk = (list: readonly TeAction[]): TeAction[] => {
    const producer = new Map<BufferId, TeAction>();
    for (const a of list) {
      const s = stageOf(a);
      if (s) for (const o of s.outs) producer.set(o.buffer, a);
    }
    const taken = new Map<TeAction, Stage[] | null>();
    for (const a of [...list].reverse()) {
      const root = stageOf(a);
      if (!root || taken.has(a) || !eligible(root)) continue;
      const rows = new Map<Stage, Rows>([[root, new Map(root.axes.map((x) => [x.name, x.name]))]]);
      const members: { action: TeAction; stage: Stage }[] = [{ action: a, stage: root }];
      for (let k = 0; k < members.length; k++) {
        for (const id of accesses(members[k]!.action).reads) {
          const made = producer.get(id);
          const s = made && stageOf(made);
          if (!made || !s || taken.has(made) || members.some((m) => m.action === made) || !local(id) || !eligible(s))
            continue;
          const inside = [...(readers.get(id) ?? [])].every((r) => members.some((m) => m.action === r));
          if (!inside) continue;
          const next = rowsThrough(
            s,
            id,
            members.map((m) => m.stage),
            rows,
          );
          if (next === null) continue;
          rows.set(s, next);
          members.push({ action: made, stage: s });
        }
      }
      if (members.length < 2) continue;
      const kept = restrict(
        root,
        members.map((m) => m.stage),
        rows,
      );
      if (kept === null) continue;
      const order = list.filter((x) => members.some((m) => m.action === x)).map((x) => stageOf(x)!);
      taken.set(a, order);
      for (const m of members) if (m.action !== a) taken.set(m.action, null);
    }
    return list.flatMap((a): TeAction[] => {
      if (a.kind === "loop") return [{ ...a, body: walk(a.body) }];
      if (a.kind === "if") return [{ ...a, then: walk(a.then), otherwise: walk(a.otherwise) }];
      const stages = taken.get(a);
      if (stages === null) return [];
      return stages === undefined
        ? [a]
        : [{ kind: "call", call: { kind: "group", group: { root: stages[stages.length - 1]!.id, stages } } }];
    });
  };
  return { ...p, actions: walk(p.actions) };
}

/** A sum of products whose factors have axes apart, in whatever form they are: it gets a schedule of its own. */
function isProduct(s: Stage): boolean {
  const body = s.outs[0]!.body;
  const factors = body.kind === "reduce" ? factorsOf(body) : null;
  if (!factors) return false;
  const [p, q] = factors.map((f) => {
    const names = new Set<string>();
    for (const l of loadsOf(f))
      for (const i of l.index)
        visitExpr(i, (e) => {
          if (e.kind === "var") names.add(e.name);
        });
    return names;
  }) as [Set<string>, Set<string>];
  const apart = (x: Set<string>, y: Set<string>): boolean =>
    s.axes.some((a) => a.extent !== D.one && x.has(a.name) && !y.has(a.name));
  return apart(p, q) && apart(q, p);
}

/** The row axes of a producer, through the indices at which members read it; null when they read it at different rows. */
function rowsThrough(s: Stage, id: BufferId, members: readonly Stage[], rows: ReadonlyMap<Stage, Rows>): Rows | null {
  let found: Map<string, string> | null = null;
  for (const m of members) {
    const own = rows.get(m)!;
    for (const o of m.outs) {
      for (const l of loadsOf(o.body)) {
        if (l.buffer !== id) continue;
        const here = new Map<string, string>();
        l.index.forEach((i, k) => {
          const row = i.kind === "var" ? own.get(i.name) : undefined;
          if (row !== undefined) here.set(s.axes[k]!.name, row);
        });
        if (found === null) found = here;
        else for (const [axis, row] of [...found]) if (here.get(axis) !== row) found.delete(axis);
      }
    }
  }
  return found;
}

/** The row axes that every member has, or null when grouping gains nothing: no reduction shares a row, or rows are no longer than one element. */
export function restrict(
  root: Stage,
  members: readonly Stage[],
  rows: ReadonlyMap<Stage, Rows>,
): ReadonlySet<string> | null {
  const common = root.axes.filter(
    (a) => a.extent === D.one || members.every((m) => [...rows.get(m)!.values()].includes(a.name)),
  );
  const names = new Set(common.map((a) => a.name));
  const reduces = members.some((m) => m !== root && m.outs[0]!.body.kind === "reduce");
  // Without a reduction the members differ in nothing but being read more than once.
  if (!reduces) return null;
  // Members that have axes beyond the rows compute a whole row each; members without rows in common would be computed again and again.
  const total = (axes: readonly Axis[]): D.Dim => D.product(axes.map((a) => a.extent));
  const rowed = common.some((a) => a.extent !== D.one);
  if (root.axes.length > 0 && total(root.axes) !== D.one && !rowed) return null;
  return names;
}

/**
 * The row axes of a group, by the root's names: those at which all members are read at the root's own index; and the name of a row axis
 * of the root by each member's own.
 */
export function rowAxes(
  stages: readonly Stage[],
  rootId: Stage["id"],
): { readonly rows: ReadonlySet<string>; readonly names: ReadonlyMap<Stage, Rows> } {
  const root = stages.find((s) => s.id === rootId)!;
  const names = new Map<Stage, Rows>([[root, new Map(root.axes.map((x) => [x.name, x.name]))]]);
  for (const s of [...stages].reverse()) {
    if (s === root) continue;
    const readersOf = stages.filter((m) => names.has(m));
    names.set(s, rowsThrough(s, s.outs[0]!.buffer, readersOf, names) ?? new Map());
  }
  return { rows: restrict(root, stages, names) ?? new Set(), names };
}
