// Operators from outside: loaded, checked, and held to account. Whatever a plugin throws is a diagnostic, not a bug of Ingot.

import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { type Loc, UnavailableError, UserError, userError } from "../base/diagnostics.ts";
import type { Attrs } from "../ir/graph.ts";
import type { OpBody, OpDef, OpHead } from "../ir/opdef.ts";
import { allOps, OpTable } from "../ops/index.ts";
import { type Plugin, toolkit } from "../toolkit.ts";

/** The path of a module whose default export is a plugin, or a plugin. */
export type PluginSource = string | Plugin;

/**
 * The operators of Ingot and of plugins. Throws UserErrors E503: a plugin that cannot be loaded, that is no plugin, or whose operators are
 * not well-formed or are there already.
 */
export async function opTableWith(plugins: readonly PluginSource[]): Promise<OpTable> {
  const table = new OpTable();
  const own: OpDef<Attrs>[] = [];
  for (const [k, source] of plugins.entries()) {
    const name = typeof source === "string" ? source : source.name || `plugin ${k + 1}`;
    const plugin = typeof source === "string" ? await load(source) : source;
    for (const def of await definitions(plugin, name)) {
      for (const { domain, type } of def.onnx)
        if (table.knows(domain, type) || own.some((d) => d.onnx.some((o) => o.domain === domain && o.type === type)))
          throw broken(name, `operator ${type} of domain "${domain}" is defined already`);
      own.push(guarded(def, name, typeof source === "string" ? resolve(source) : null));
    }
  }
  return own.length === 0 ? table : new OpTable([...allOps, ...own]);
}

function broken(name: string, why: string, hint?: string): UserError {
  return userError("E503", `plugin ${name}: ${why}`, { hint });
}
const form = "export default (toolkit) => [toolkit.op({ name, onnx, ... })]";

async function load(path: string): Promise<Plugin> {
  let module: { readonly default?: unknown };
  try {
    module = (await import(/* @vite-ignore */ pathToFileURL(resolve(path)).href)) as typeof module;
  } catch (e) {
    throw broken(path, `it cannot be loaded: ${firstLine(e)}`);
  }
  if (typeof module.default !== "function") throw broken(path, "its default export is no function", form);
  return module.default as Plugin;
}

/** What a plugin gives, checked as far as its form goes. */
async function definitions(plugin: Plugin, name: string): Promise<readonly OpDef<Attrs>[]> {
  let given: readonly OpHead[];
  try {
    given = await plugin(toolkit);
  } catch (e) {
    throw broken(name, `it fails: ${firstLine(e)}`);
  }
  if (!Array.isArray(given)) throw broken(name, "it does not return a list of operators", form);
  return given.map((def: unknown, k) => {
    const why = malformed(def);
    if (why !== null) throw broken(name, `operator ${k + 1} ${why}`);
    return def as OpDef<Attrs>;
  });
}
/** The function of a body by its kind. A view needs none. */
const bodyFunctions: { readonly [K in OpBody<Attrs>["kind"]]: string | null } = {
  expand: "expand",
  compute: "compute",
  loops: "loops",
  control: "control",
  view: null,
};
/** Why a value is no definition of an operator, or null. */
function malformed(def: unknown): string | null {
  if (typeof def !== "object" || def === null) return "is no object";
  const d = def as Readonly<Record<string, unknown>>;
  if (typeof d.name !== "string" || d.name === "") return "has no name";
  const names = d.onnx;
  const named = (o: unknown): boolean => {
    const { domain, type, since } = (o ?? {}) as Readonly<Record<string, unknown>>;
    const versions = Array.isArray(since) && since.length > 0 && since.every((v) => Number.isInteger(v) && v > 0);
    return typeof domain === "string" && typeof type === "string" && versions;
  };
  if (!Array.isArray(names) || names.length === 0 || !names.every(named))
    return `"${d.name}" has no list "onnx" of { domain, type, since: [1] }`;
  const accuracy = (d.accuracy as { readonly kind?: unknown } | undefined)?.kind;
  if (accuracy !== "exact" && accuracy !== "ulps" && accuracy !== "rtol") return `"${d.name}" has no accuracy`;
  if (d.effects !== "none" && d.effects !== "random")
    return `"${d.name}" does not say its effects ("none" or "random")`;
  for (const f of ["parse", "infer"]) if (typeof d[f] !== "function") return `"${d.name}" has no function ${f}`;
  const body = (d.body ?? {}) as Readonly<Record<string, unknown>>;
  const kind = Object.keys(bodyFunctions).find((k) => k === body.kind) as keyof typeof bodyFunctions | undefined;
  if (kind === undefined) return `"${d.name}" has no body of kind ${Object.keys(bodyFunctions).join(", ")}`;
  const f = bodyFunctions[kind];
  return f !== null && typeof body[f] !== "function" ? `"${d.name}" has a body without a function ${f}` : null;
}

/** A definition whose exceptions are diagnostics E504 at the node. */
function guarded(def: OpDef<Attrs>, plugin: string, path: string | null): OpDef<Attrs> {
  const run = <T>(what: string, loc: Loc | undefined, f: () => T): T => {
    try {
      return f();
    } catch (e) {
      if (e instanceof UserError || e instanceof UnavailableError) throw e;
      const message = `${what} of ${def.name}, which plugin ${plugin} defines, fails: ${firstLine(e)}`;
      throw userError("E504", message, { loc, hint: place(e, path) });
    }
  };
  const { bodies, eager, labels, body } = def;
  return {
    ...def,
    parse: (n) => run("parse", undefined, () => def.parse(n)),
    infer: (x, a, ctx) => run("infer", undefined, () => def.infer(x, a, ctx)),
    ...(bodies ? { bodies: (x, n, known) => run("bodies", undefined, () => bodies(x, n, known)) } : {}),
    ...(eager ? { eager: (b, n) => run("eager", n.loc, () => eager(b, n)) } : {}),
    ...(labels ? { labels: (a, x) => run("labels", undefined, () => labels(a, x)) } : {}),
    body: guardedBody(body, run),
  };
}
type Run = <T>(what: string, loc: Loc | undefined, f: () => T) => T;
function guardedBody(body: OpBody<Attrs>, run: Run): OpBody<Attrs> {
  switch (body.kind) {
    case "expand":
      return { kind: "expand", expand: (b, n) => run("expand", n.loc, () => body.expand(b, n)) };
    case "compute":
      return { kind: "compute", compute: (b, n) => run("compute", b.loc, () => body.compute(b, n)) };
    case "loops":
      return { kind: "loops", loops: (b, n) => run("loops", b.loc, () => body.loops(b, n)) };
    case "control":
      return { kind: "control", control: (b, n) => run("control", b.loc, () => body.control(b, n)) };
    case "view": {
      const { bind } = body;
      return bind ? { kind: "view", bind: (b, n) => run("bind", b.loc, () => bind(b, n)) } : body;
    }
  }
}
function firstLine(e: unknown): string {
  return (e instanceof Error ? e.message || e.name : String(e)).split("\n")[0]!;
}
/** The innermost line of a plugin's file that an exception went through, as `FILE:LINE:COLUMN`. */
function place(e: unknown, path: string | null): string | undefined {
  if (path === null || !(e instanceof Error)) return undefined;
  const url = pathToFileURL(path).href;
  const frame = e.stack?.split("\n").find((l) => l.includes(url) || l.includes(path));
  const at = frame && /((?:file:|\/|[A-Z]:).*?:\d+:\d+)\)?$/.exec(frame)?.[1];
  return at?.startsWith("file:") ? at.replace(/^file:.*?(?=:\d+:\d+$)/, fileURLToPath(url)) : at;
}
