/**
 * The root of every error Hugemend raises on purpose. Each subsystem has one subclass in its own folder.
 *
 * A message says which thing, its present value, what was expected and what the user can do; scripts match on
 * `code`, which never changes once released.
 */

/** A stable, documented error code. */
export type HugemendCode = `HM_${string}`;

/** What an error carries besides its sentence. */
export interface ErrorDetails {
  /** The value that was found. */
  readonly present?: string;
  /** The value that would have been right. */
  readonly expected?: string;
  /** What the user can do about it. */
  readonly remedy?: string;
  /** The error underneath. */
  readonly cause?: unknown;
}

/** Base class: never thrown itself. */
export abstract class HugemendError extends Error {
  abstract override readonly name: string;
  readonly code: HugemendCode;
  readonly present: string | undefined;
  readonly expected: string | undefined;
  readonly remedy: string | undefined;

  /**
   * @param code stable code that scripts may match on
   * @param what which thing is wrong, as a sentence without a final full stop
   * @param details present and expected value, remedy, cause
   */
  constructor(code: HugemendCode, what: string, details: ErrorDetails = {}) {
    super(sentence(what, details), details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.present = details.present;
    this.expected = details.expected;
    this.remedy = details.remedy;
  }
}

function sentence(what: string, details: ErrorDetails): string {
  const parts: string[] = [];
  if (details.present !== undefined) parts.push(`found ${details.present}`);
  if (details.expected !== undefined) parts.push(`expected ${details.expected}`);
  const facts = parts.length > 0 ? ` (${parts.join(", ")})` : "";
  const remedy = details.remedy === undefined ? "" : `. ${details.remedy}`;
  return `${what}${facts}${remedy}`;
}

/** The message of anything that can be thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
