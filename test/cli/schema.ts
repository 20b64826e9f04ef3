// A validator of the part of JSON Schema that docs/cli.md uses.
import { readFileSync } from "node:fs";

type Schema = {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean | Schema;
  readonly items?: Schema;
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, Schema>>;
};

/** The schema of --json, from the page. */
export function readSchema(): Schema {
  const page = readFileSync(new URL("../../docs/cli.md", import.meta.url), "utf8");
  const block = /```json schema\n([\s\S]*?)```/.exec(page);
  return JSON.parse(block![1]!) as Schema;
}

function typeOf(x: unknown): string {
  if (x === null) return "null";
  if (Array.isArray(x)) return "array";
  return Number.isInteger(x) ? "integer" : typeof x;
}

/** What is wrong with a value, one line each. */
export function violations(x: unknown, schema: Schema, root: Schema = schema, at = "$"): string[] {
  if (schema.$ref !== undefined) {
    const name = schema.$ref.replace("#/$defs/", "");
    return violations(x, root.$defs![name]!, root, at);
  }
  const type = typeOf(x);
  const types = schema.type === undefined ? null : [schema.type].flat();
  if (types && !types.includes(type) && !(type === "integer" && types.includes("number")))
    return [`${at} is ${type}, not ${types.join(" or ")}`];
  if (schema.enum && !schema.enum.includes(x)) return [`${at} is ${JSON.stringify(x)}`];
  if (Array.isArray(x)) return x.flatMap((e, i) => violations(e, schema.items ?? {}, root, `${at}[${i}]`));
  if (type !== "object") return [];
  const o = x as Readonly<Record<string, unknown>>;
  const missing = (schema.required ?? []).filter((k) => !Object.hasOwn(o, k)).map((k) => `${at}.${k} is missing`);
  const wrong = Object.entries(o).flatMap(([k, v]) => {
    const known = schema.properties && Object.hasOwn(schema.properties, k) ? schema.properties[k] : undefined;
    const own = known ?? schema.additionalProperties;
    if (own === false) return [`${at}.${k} is not in the schema`];
    return typeof own === "object" ? violations(v, own, root, `${at}.${k}`) : [];
  });
  return [...missing, ...wrong];
}
