/** Checked system calls of this process, by name. */

import type { SystemCallName } from "./arch/architecture.js";
import { currentArchitecture } from "./arch/current.js";
import { errnoName } from "./errno.js";
import { LinuxError } from "./linux-error.js";
import { type RawResult, rawSystemCall, type Word } from "./native.js";

let numbers: Readonly<Record<SystemCallName, number>> | undefined;

function numberOf(name: SystemCallName): number {
  numbers ??= currentArchitecture().systemCalls;
  return numbers[name];
}

/**
 * A system call whose failure the caller wants to look at.
 *
 * @param name the call
 * @param words its arguments; pointers as bigint
 */
export function trySystemCall(name: SystemCallName, ...words: readonly Word[]): RawResult {
  return rawSystemCall(numberOf(name), ...words);
}

/** A failed system call, with its error number. */
export class SystemCallError extends LinuxError {
  override readonly name: string = "SystemCallError";
  readonly errno: number;

  /** @param call what was called, for people @param errno the error number */
  constructor(call: string, errno: number) {
    super("HM_SYSTEM_CALL", `${call} failed`, { present: errnoName(errno) });
    this.errno = errno;
  }
}

/**
 * A system call that must succeed.
 *
 * @returns its result
 * @throws SystemCallError HM_SYSTEM_CALL with the error number
 */
export function systemCall(name: SystemCallName, ...words: readonly Word[]): bigint {
  const result = trySystemCall(name, ...words);
  if (result.errno !== 0) throw new SystemCallError(name, result.errno);
  return result.value;
}
