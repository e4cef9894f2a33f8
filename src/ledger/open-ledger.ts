import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  type Stats,
} from "node:fs";
import { ledgerIoError } from "./io-error.js";
import { LedgerError } from "./ledger-error.js";
import { ledgerPath, type ProcessIdentity, prepareFolder, syncFolder } from "./ledger-folder.js";
import { lockLedger } from "./ledger-lock.js";
import { checkLedgerSize, type LedgerContent, parseLedger } from "./ledger-reader.js";
import { LedgerWriter } from "./ledger-writer.js";

const { O_RDWR, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;

/**
 * Opens the ledger of one process, or creates it: `DIR/<pid>-<starttime>.jsonl`, mode 0600, folder mode 0700.
 * What an earlier guard has written is read back (see `history`) and continued; a torn tail is cut off.
 *
 * A full or failing disk may show only when bytes are put on it: append `attached` and `sync` before touching the process.
 *
 * @param dir the ledger folder; created when missing
 * @param id whose ledger
 * @throws LedgerError HM_LEDGER_LOCKED, HM_LEDGER_FULL, HM_LEDGER_READ_ONLY, HM_LEDGER_DENIED, HM_LEDGER_UNSAFE (a link, not a
 *   plain file, or somebody else's), HM_LEDGER_PATH, HM_LEDGER_IO, and those of `readLedger`
 */
export function openLedger(dir: string, id: ProcessIdentity): LedgerWriter {
  prepareFolder(dir);
  const path = ledgerPath(dir, id);
  const unlock = lockLedger(path);
  let fd = -1;
  try {
    // O_NONBLOCK: a FIFO put in the ledger's place must not hang us. Plain files do not know it. No O_APPEND: with it Linux ignores
    // where pwrite(2) is told to write (pwrite(2), BUGS), and what a failing disk has lost is written again in its old place.
    fd = openSync(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
    const content = readOpen(fd, path);
    if (content.tornTail !== null) {
      ftruncateSync(fd, content.goodBytes);
      fdatasyncSync(fd);
    }
    // Without this the file's name may be lost in a crash of the host.
    syncFolder(dir);
    return new LedgerWriter(path, fd, content, unlock);
  } catch (error) {
    if (fd !== -1) closeSync(fd);
    unlock();
    throw error instanceof LedgerError ? error : ledgerIoError(error, path, "opened");
  }
}

function kindOf(stat: Stats): string {
  if (stat.isFIFO()) return "a pipe (FIFO)";
  return stat.isCharacterDevice() || stat.isBlockDevice() ? "a device" : "something else";
}

function readOpen(fd: number, path: string): LedgerContent {
  const stat = fstatSync(fd);
  if (!stat.isFile()) {
    throw new LedgerError("HM_LEDGER_UNSAFE", `The ledger ${path} is no plain file`, {
      present: kindOf(stat),
      expected: "a plain file, or nothing in its place",
      remedy: "Remove it, or choose another folder with --ledger",
    });
  }
  if (stat.uid !== process.geteuid?.() || stat.nlink !== 1 || (stat.mode & 0o022) !== 0) {
    throw new LedgerError("HM_LEDGER_UNSAFE", `The ledger ${path} could be changed by others`, {
      present: `mode ${(stat.mode & 0o7777).toString(8)}, user ${stat.uid}, ${stat.nlink} links`,
      expected: "a plain file of this user, mode 600, with one name",
      remedy: "Move the file aside, or choose another folder with --ledger",
    });
  }
  checkLedgerSize(path, stat.size);
  const bytes = Buffer.alloc(stat.size);
  let filled = 0;
  while (filled < bytes.length) {
    const got = readSync(fd, bytes, filled, bytes.length - filled, filled);
    if (got === 0) break;
    filled += got;
  }
  return parseLedger(bytes.subarray(0, filled), path);
}
