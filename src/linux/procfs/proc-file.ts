/**
 * Reading text below /proc and /sys with errors that say what happened: a process that has gone, a missing
 * permission and an unexpected format are three different things to a caller.
 *
 * Every file here is produced by the kernel at the moment of reading, so nothing is cached.
 */

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { errnoName } from "../errno.js";
import { LinuxError } from "../linux-error.js";
import { SystemCallError } from "../system-call.js";

/** Largest process id the kernel hands out on 64-bit (PID_MAX_LIMIT, include/linux/threads.h). */
export const PID_LIMIT = 4_194_304;

/**
 * @param pid a process or thread id
 * @returns the same id
 * @throws LinuxError HM_BAD_PID when it is not a whole number from 1 to 4194304
 */
export function checkedPid(pid: number): number {
  if (!Number.isInteger(pid) || pid < 1 || pid > PID_LIMIT) {
    throw new LinuxError("HM_BAD_PID", "This is not a process id", {
      present: String(pid),
      expected: `a whole number from 1 to ${PID_LIMIT}`,
    });
  }
  return pid;
}

/** @returns `/proc/PID/name` @throws LinuxError HM_BAD_PID */
export function procPath(pid: number, name: string): string {
  return `/proc/${checkedPid(pid)}/${name}`;
}

/** The errno name of a failed Node file operation or system call, for example `ENOENT`; undefined for any other thrown value. */
export function errnoOf(error: unknown): string | undefined {
  if (error instanceof SystemCallError) return errnoName(error.errno);
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/**
 * Turns a failed file operation into a typed error.
 *
 * @param path the file that was read
 * @param error what Node threw
 * @returns HM_PROC_GONE (ENOENT, ESRCH), HM_PROC_DENIED (EACCES, EPERM) or HM_PROC_READ (anything else)
 */
export function readError(path: string, error: unknown): LinuxError {
  switch (errnoOf(error)) {
    case "ENOENT":
    case "ESRCH":
      return new LinuxError("HM_PROC_GONE", `${path} does not exist`, {
        remedy: "The process may have ended, or this kernel does not offer the file.",
        cause: error,
      });
    case "EACCES":
    case "EPERM":
      return new LinuxError("HM_PROC_DENIED", `${path} may not be read`, {
        remedy: "Run as root, or with CAP_SYS_PTRACE and CAP_SYS_ADMIN.",
        cause: error,
      });
    default:
      return new LinuxError("HM_PROC_READ", `${path} could not be read`, { cause: error });
  }
}

/** @param path below /proc or /sys @returns its whole text @throws LinuxError, see {@link readError} */
export function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw readError(path, error);
  }
}

/** @returns the file's text without white space around it, or undefined when it is missing or may not be read */
export function tryReadText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}

/** @param path a symbolic link below /proc @returns where it points @throws LinuxError, see {@link readError} */
export function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch (error) {
    throw readError(path, error);
  }
}

/** @returns the names in a directory @throws LinuxError, see {@link readError} */
export function listDirectory(path: string): string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    throw readError(path, error);
  }
}

/**
 * @param names directory entries, for example of /proc or /proc/PID/fd
 * @param least smallest number taken: 1 for process ids, 0 for descriptors
 * @returns those that are plain decimal numbers, ascending; others (`self`, `01`) are left out
 */
export function decimalNames(names: readonly string[], least = 1): number[] {
  const numbers: number[] = [];
  for (const name of names) {
    const value = Number(name);
    if (Number.isSafeInteger(value) && value >= least && String(value) === name) numbers.push(value);
  }
  return numbers.sort((left, right) => left - right);
}

/**
 * @param file which file, for the message
 * @param expected the form that was expected
 * @param present the text that was found; shortened in the message
 * @returns HM_PROC_FORMAT
 */
export function formatError(file: string, expected: string, present: string): LinuxError {
  const shown = present.length > 120 ? `${present.slice(0, 120)}…` : present;
  return new LinuxError("HM_PROC_FORMAT", `${file} does not read as documented`, {
    present: JSON.stringify(shown),
    expected,
    remedy: "Nothing was concluded from it; report the kernel release together with this line.",
  });
}
