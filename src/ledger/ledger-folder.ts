import { closeSync, constants, fsyncSync, mkdirSync, openSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { ledgerIoError } from "./io-error.js";
import { LedgerError } from "./ledger-error.js";

/** What tells one process from every other of this boot. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks since boot (proc_pid_stat(5), field 22); a string or bigint because it may exceed 2^53. */
  readonly startTime: string | bigint | number;
}

/** Where the ledger of a process stands. @throws LedgerError HM_LEDGER_PATH for numbers that are none */
export function ledgerPath(dir: string, id: ProcessIdentity): string {
  const name = `${id.pid}-${id.startTime}`;
  if (!/^[0-9]{1,10}-[0-9]{1,20}$/.test(name)) {
    throw new LedgerError("HM_LEDGER_PATH", "A ledger is named after a pid and a start time", {
      present: name,
      expected: "two whole numbers",
    });
  }
  return join(dir, `${name}.jsonl`);
}

/**
 * Creates the ledger folder, mode 0700, and those above it, durably. An existing one is left as it is.
 * @throws LedgerError HM_LEDGER_READ_ONLY, HM_LEDGER_DENIED, HM_LEDGER_PATH, HM_LEDGER_FULL, …
 */
export function prepareFolder(dir: string): void {
  const path = resolve(dir);
  try {
    if (makeFolder(path)) syncFolder(dirname(path));
  } catch (error) {
    throw error instanceof LedgerError ? error : ledgerIoError(error, path, "created");
  }
}

/**
 * One step at a time: node's own recursive mkdir reports ENOENT for a full or read-only file system (tried, 20.20).
 * @returns false when it existed
 */
function makeFolder(path: string): boolean {
  try {
    mkdirSync(path, { mode: 0o700 });
    return true;
  } catch (error) {
    const errno = error instanceof Error && "code" in error ? error.code : undefined;
    // An existing folder gives EEXIST even on a read-only file system; a file in its place fails later, in syncFolder.
    if (errno === "EEXIST") return false;
    if (errno !== "ENOENT" || dirname(path) === path) throw error;
  }
  prepareFolder(dirname(path));
  mkdirSync(path, { mode: 0o700 });
  return true;
}

/** Puts the names in a folder on the disk (fsync(2): a file's own fsync does not). @throws LedgerError */
export function syncFolder(dir: string): void {
  let fd = -1;
  try {
    fd = openSync(dir, constants.O_RDONLY | constants.O_DIRECTORY);
    fsyncSync(fd);
  } catch (error) {
    throw ledgerIoError(error, dir, "put on the disk");
  } finally {
    if (fd !== -1) closeSync(fd);
  }
}
