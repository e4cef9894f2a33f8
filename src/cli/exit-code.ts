/** Exit codes: 0 done; 1 something went wrong on the way; 2 bad input or a condition that was not met, which may pass. */

import { HugemendError, messageOf } from "../errors.js";

/** See the head of the file. */
export const exitCode = { done: 0, failed: 1, badInput: 2 } as const;

/**
 * Says what went wrong on standard error: a sentence for people, one JSON object for scripts.
 *
 * @param error anything thrown
 * @param json whether a script listens
 * @param write where it goes
 * @returns the exit code: 2 for an error of ours, which names its cause and remedy; 1 for one that should not exist
 */
export function reportError(
  error: unknown,
  json: boolean,
  write: (text: string) => void = (text) => process.stderr.write(text),
): number {
  const known = error instanceof HugemendError;
  const code = known ? error.code : "HM_INTERNAL";
  const cause =
    error instanceof Error && error.cause !== undefined ? ` Cause: ${messageOf(error.cause)}` : "";
  const message = `${messageOf(error)}${cause}`;
  const line = json ? JSON.stringify({ event: "error", code, message }) : `hugemend: ${code}: ${message}`;
  write(`${line}\n`);
  if (!known && error instanceof Error && !json) write(`${error.stack ?? ""}\n`);
  return known ? exitCode.badInput : exitCode.failed;
}
