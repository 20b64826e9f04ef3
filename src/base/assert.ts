/** A bug of ours: exit status 70. A user's mistake is a Diagnostic instead (see diagnostics.ts). */
export class InternalError extends Error {
  override name = "InternalError";
}

/** Throws InternalError when an invariant of our own does not hold. */
export function assert(cond: unknown, message: string): asserts cond {
  if (!cond) throw new InternalError(message);
}

/** For the default arm of an exhaustive switch. */
export function unreachable(x: never, what: string): never {
  throw new InternalError(`${what}: unexpected ${JSON.stringify(x)}`);
}

/** The value, or InternalError when it is null or undefined. */
export function must<T>(x: T | null | undefined, what: string): T {
  if (x === null || x === undefined) throw new InternalError(`missing ${what}`);
  return x;
}
