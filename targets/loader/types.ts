// The .d.ts of an artifact: its inputs and outputs by their literal names, types and known dims.
import type { ListInfo, Lists, Manifest, PortInfo } from "../../runtime/manifest.ts";

/** The typed array that holds an element type: 16-bit floats are bit patterns, bool and narrow floats one byte each. */
function arrayOf(type: string): string {
  switch (type) {
    case "float":
      return "Float32Array";
    case "double":
      return "Float64Array";
    case "int64":
      return "BigInt64Array";
    case "uint64":
      return "BigUint64Array";
    case "int32":
      return "Int32Array";
    case "uint32":
      return "Uint32Array";
    case "int16":
      return "Int16Array";
    case "uint16":
    case "float16":
    case "bfloat16":
      return "Uint16Array";
    case "int8":
    case "int4":
    case "int2":
      return "Int8Array";
    default:
      return "Uint8Array";
  }
}
const text = (x: number | string): string => JSON.stringify(x);

function dimsType(port: PortInfo): string {
  return `readonly [${port.dims.map((d) => (typeof d === "number" ? d : "number")).join(", ")}]`;
}
function dataType(port: PortInfo): string {
  const plain = port.type === "bool" ? "boolean | number" : port.type.endsWith("64") ? "bigint | number" : "number";
  return `${arrayOf(port.type)} | readonly (${plain})[]`;
}
function inputType(port: PortInfo): string {
  const data = dataType(port);
  return `${data} | { readonly data: ${data}; readonly dims?: ${dimsType(port)} }`;
}
function infoType({ name, type, dims, labels }: PortInfo): string {
  const names = (list: readonly (number | string)[]): string => `readonly [${list.map(text).join(", ")}]`;
  const labelled = labels
    ? `; readonly labels: { readonly of: ${text(labels.of)}; readonly names: ${names(labels.names)} }`
    : "";
  return `{ readonly name: ${text(name)}; readonly type: ${text(type)}; readonly dims: ${names(dims)}${labelled} }`;
}
const labelNote = { elements: "positions in", columns: "columns" } as const;
function comment({ type, dims, labels }: PortInfo): string {
  const note = labels ? `, ${labelNote[labels.of]} ${labels.names.map(text).join(", ")}` : "";
  return `  /** ${type} [${dims.join(", ")}]${note} */`.replaceAll("*/", "* /").replace(/\* \/$/, "*/");
}

function gpuOptions(source: string): string {
  return `  /** The device to run on; else one of the adapter; else one of \`gpu\` (navigator.gpu). */
  readonly device?: GPUDevice;
  readonly adapter?: GPUAdapter;
  readonly gpu?: GPU;
  readonly plan?: ${source};
  readonly wgsl?: ${source};
`;
}

/** A port as a caller sees it: a tensor, or a sequence or optional in the place of the tensors that it is made of. */
type Face = { readonly port: PortInfo; readonly list: ListInfo | null };
function faces(ports: readonly PortInfo[], lists: readonly ListInfo[]): readonly Face[] {
  return ports.flatMap((port): Face[] => {
    const list = lists.find((l) => [l.name, `${l.name}.shapes`, `${l.name}.present`].includes(port.name));
    if (!list) return [{ port, list: null }];
    const whole = { name: list.name, type: `${list.kind}(${list.type})`, dims: list.dims ?? [] };
    return port.name === list.name ? [{ port: whole, list }] : [];
  });
}
/** The type of a list whose elements have this one. */
function listType(list: ListInfo, element: string, absent: string): string {
  if (list.kind === "optional") return `(${element}) | ${absent}`;
  return `readonly (${element})[]${list.kind === "sequence" ? "" : ` | ${absent}`}`;
}
const elementPort = (l: ListInfo): PortInfo => ({ name: l.name, type: l.type, dims: l.dims ?? [] });
const elementDims = (l: ListInfo): string => (l.dims ? dimsType(elementPort(l)) : "readonly number[]");
function givenType({ port, list }: Face): string {
  if (!list) return inputType(port);
  const data = dataType(elementPort(list));
  return listType(
    list,
    `${data} | { readonly data: ${data}; readonly dims?: ${elementDims(list)} }`,
    "null | undefined",
  );
}
function resultType({ port, list }: Face): string {
  const of = (type: string, dims: string): string =>
    `{ readonly data: ${arrayOf(type)}; readonly dims: ${dims}; readonly type: ${text(type)} }`;
  return list ? listType(list, of(list.type, elementDims(list)), "null") : of(port.type, dimsType(port));
}

/** The declarations of an artifact. `kind` is the module's: only WebAssembly and WGSL can be given as files, and WGSL has no runSync. */
export function declarations(m: Manifest, kind: "js" | "wasm" | "wgsl", lists: Lists | null = null): string {
  const [inputs, outputs] = [faces(m.inputs, lists?.inputs ?? []), faces(m.outputs, lists?.outputs ?? [])];
  const fields = (ports: readonly Face[], type: (f: Face) => string, optional: (f: Face) => boolean): string =>
    ports
      .map((f) => `${comment(f.port)}\n  readonly ${text(f.port.name)}${optional(f) ? "?" : ""}: ${type(f)};\n`)
      .join("");
  const mayBeAbsent = ({ list }: Face): boolean => list !== null && list.kind !== "sequence";
  const source = "BufferSource | URL | string | Response | Promise<Response>";
  return `/** The inputs of ${text(m.name)} by name. Without dims they are the static ones, or follow from the length. */
export interface Inputs {
${fields(inputs, givenType, mayBeAbsent)}}
export interface Outputs {
${fields(outputs, resultType, () => false)}}
export interface RunOptions {
  /** Arrays that receive outputs. */
  readonly out?: {
${fields(
  outputs.filter((f) => !f.list),
  (f) => arrayOf(f.port.type),
  () => true,
).replace(/^ {2}/gm, "    ")}  };
  /** Seed of random operators (default 0): one seed, one result. */
  readonly seed?: number;
${kind === "wgsl" ? "" : "  /** Outputs are views of the model's memory, good until the next run. */\n  readonly view?: boolean;\n"}}
/** Where the parts of the model are, if not beside this file. */
export interface LoadOptions {
${kind === "wgsl" ? gpuOptions(source) : kind === "wasm" ? `  readonly wasm?: ${source} | WebAssembly.Module;\n` : ""}${m.weights === "file" ? `  readonly weights?: ${source};\n` : ""}}
export interface Model {
  readonly inputs: readonly [${inputs.map((f) => infoType(f.port)).join(", ")}];
  readonly outputs: readonly [${outputs.map((f) => infoType(f.port)).join(", ")}];
  run(inputs: Inputs, options?: RunOptions): Promise<Outputs>;
${kind === "wgsl" ? "" : "  runSync(inputs: Inputs, options?: RunOptions): Outputs;\n"}  dispose(): void;
}
export declare function load(options?: LoadOptions): Promise<Model>;
`;
}
