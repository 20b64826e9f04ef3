/** Where a diagnostic or a node comes from: the ONNX node's name and op; `pass` when a pass made it; `cause` what it was made from. */
export type Loc = { readonly node: string; readonly op: string; readonly pass?: string; readonly cause?: Loc };

export type Severity = "error" | "warning" | "note";
export type Diagnostic = {
  readonly code: `E${number}` | `W${number}`;
  readonly severity: Severity;
  readonly message: string;
  readonly loc?: Loc;
  readonly hint?: string;
};

/** One or more mistakes of the user (a damaged model, an unsupported op, a wrong option): exit status 2. */
export class UserError extends Error {
  override name = "UserError";
  readonly diagnostics: readonly Diagnostic[];
  constructor(diagnostics: readonly Diagnostic[]) {
    super(diagnostics.map(formatDiagnostic).join("\n"));
    this.diagnostics = diagnostics;
  }
}

/** A target that cannot be run on this machine (no cc, no adapter): exit status 3. */
export class UnavailableError extends Error {
  override name = "UnavailableError";
}

/**
 * The numbered diagnostics, one line each: what went wrong. `docs/errors.md` is generated from this table, and
 * `test/errors` holds one input per code.
 */
export const codes = {
  E101: "the file cannot be read",
  E102: "the file is no ONNX model, or is damaged",
  E103: "external data is missing or out of range",
  E104: "a tensor's data does not match its type and shape",
  E105: "the graph is not well-formed",
  E201: "unsupported operator",
  E202: "unsupported opset version",
  E203: "unsupported element type",
  E204: "unsupported attribute or use of an operator",
  E205: "shapes or types do not fit",
  E301: "unknown symbol in --dim",
  E302: "a dim does not fit its symbol",
  E303: "the model needs more memory than the target can address",
  E304: "the target does not support this",
  E401: "an input is missing or has the wrong name",
  E402: "an input has the wrong type or shape",
  E403: "the npz file cannot be read",
  E404: "an expected output is missing or mistyped",
  E501: "wrong usage of the command line",
  E502: "the output cannot be written",
  E503: "a plugin cannot be loaded, or is not well-formed",
  E504: "an operator that a plugin defines fails",
  E601: "what a target or a peer needs is missing on this machine",
  E901: "a bug of Ingot",
  W101: "an unknown key in an npz file is ignored",
  W102: "a newer opset than Ingot knows",
  W103: "the model declares an output otherwise than its operators compute it",
  W104: "an attribute is ignored",
  W105: "a branch that does not fit the model's shapes is left out",
} as const;
export type Code = keyof typeof codes;

export function diagnostic(
  code: Code,
  message: string,
  more: { loc?: Loc | undefined; hint?: string | undefined } = {},
): Diagnostic {
  return {
    code,
    severity: code.startsWith("E") ? "error" : "warning",
    message,
    ...(more.loc ? { loc: more.loc } : {}),
    ...(more.hint ? { hint: more.hint } : {}),
  };
}

export function userError(
  code: Code,
  message: string,
  more: { loc?: Loc | undefined; hint?: string | undefined } = {},
): UserError {
  return new UserError([diagnostic(code, message, more)]);
}

/** `E201 node "conv1" (Conv): message. hint` on one line. */
export function formatDiagnostic(d: Diagnostic): string {
  const place = d.loc ? ` node "${d.loc.node}" (${d.loc.op}):` : "";
  return `${d.code}${place} ${d.message}${d.hint ? ` [${d.hint}]` : ""}`;
}
