/**
 * One writer per ledger, enforced without flock(2), which node:fs does not offer.
 *
 * Each contender creates a file of its own, `<ledger>.lock.<pid>-<starttime>-<boot>`, and only then looks for files of
 * others. Of two that start together at least one sees the other, so two can never both win (both may lose: start
 * again). A file whose process has ended never comes alive again (pid, start time and boot together are unique), so
 * anybody may remove it. A guard killed with -9 therefore blocks nobody. Guards in different PID namespaces must not
 * share a ledger folder: they cannot see each other's processes.
 */

import { closeSync, openSync, readdirSync, readFileSync, unlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { ledgerIoError } from "./io-error.js";
import { LedgerError } from "./ledger-error.js";

const OWNER = /^([0-9]{1,10})-([0-9]{1,20})-([0-9a-f]{8})$/;

/**
 * Claims a ledger for this process.
 * @param ledger path of the ledger file; its folder must exist and be writable
 * @returns gives the claim back; never throws
 * @throws LedgerError HM_LEDGER_LOCKED when a living process, this one included, has claimed it; I/O codes
 */
export function lockLedger(ledger: string): () => void {
  const boot = readFileSync("/proc/sys/kernel/random/boot_id", "latin1").slice(0, 8);
  const dir = dirname(ledger);
  const prefix = `${basename(ledger)}.lock.`;
  const mine = `${prefix}${process.pid}-${startTimeOf(process.pid) ?? "0"}-${boot}`;
  try {
    closeSync(openSync(join(dir, mine), "wx", 0o600));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST")
      throw locked(ledger, process.pid);
    throw ledgerIoError(error, ledger, "locked");
  }
  const release = (): void => tryUnlink(join(dir, mine));
  try {
    for (const name of readdirSync(dir)) {
      if (name === mine || !name.startsWith(prefix)) continue;
      const owner = OWNER.exec(name.slice(prefix.length));
      if (owner === null) continue;
      const pid = Number(owner[1]);
      if (owner[3] === boot && startTimeOf(pid) === owner[2]) throw locked(ledger, pid);
      tryUnlink(join(dir, name));
    }
  } catch (error) {
    release();
    throw error instanceof LedgerError ? error : ledgerIoError(error, ledger, "locked");
  }
  return release;
}

/** Field 22 of /proc/PID/stat (proc_pid_stat(5)), or null when there is no such process. */
function startTimeOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name, field 2, may hold spaces and parentheses: count from behind it.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? null;
  } catch {
    return null;
  }
}

function tryUnlink(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Somebody else was faster, or the folder has become read-only: a stale file is harmless.
  }
}

function locked(ledger: string, pid: number): LedgerError {
  return new LedgerError("HM_LEDGER_LOCKED", `The ledger ${ledger} is in use by another guard`, {
    present: `process ${pid}`,
    remedy: "One VM has one guard: stop the other one first",
  });
}
