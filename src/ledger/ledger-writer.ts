/**
 * Durable append to a ledger.
 *
 * `append` returns after the record is on the disk (O_DSYNC), about 0.15 ms on an SSD. A record that could not be
 * written whole leaves no trace: the file is cut back to its last good line. Where even that fails the ledger takes
 * no more records, so that a torn line is never followed by another.
 */

import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  type Stats,
  writeSync,
} from "node:fs";
import { messageOf } from "../errors.js";
import { ledgerIoError } from "./io-error.js";
import { LedgerError } from "./ledger-error.js";
import { ledgerPath, type ProcessIdentity, prepareFolder, syncFolder } from "./ledger-folder.js";
import { lockLedger } from "./ledger-lock.js";
import { checkLedgerSize, type LedgerContent, parseLedger } from "./ledger-reader.js";
import { encodeRecord, type LedgerEvent, type LedgerRecord } from "./record.js";

const { O_RDWR, O_APPEND, O_CREAT, O_DSYNC, O_NOFOLLOW, O_NONBLOCK } = constants;

/**
 * Opens the ledger of one process, or creates it: `DIR/<pid>-<starttime>.jsonl`, mode 0600, folder mode 0700.
 * What an earlier guard has written is read back (see `history`) and continued; a torn tail is cut off.
 *
 * A full disk may show only at the first append: append `attached` before touching the process.
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
    // O_NONBLOCK: a FIFO put in the ledger's place must not hang us. Plain files do not know it.
    fd = openSync(path, O_RDWR | O_APPEND | O_CREAT | O_DSYNC | O_NOFOLLOW | O_NONBLOCK, 0o600);
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

/** An open ledger; made by {@link openLedger}. */
export class LedgerWriter implements Disposable {
  readonly path: string;
  /** What stood in the ledger when it was opened. */
  readonly history: readonly LedgerRecord[];
  /** The unfinished line that was cut off on opening, if any. */
  readonly tornTail: LedgerContent["tornTail"];
  #fd: number;
  #size: number;
  #seq: number;
  #broken: string | null = null;
  readonly #unlock: () => void;

  /** @param fd taken over @param unlock called once by {@link close} */
  constructor(path: string, fd: number, content: LedgerContent, unlock: () => void) {
    this.path = path;
    this.history = content.records;
    this.tornTail = content.tornTail;
    this.#fd = fd;
    this.#size = content.goodBytes;
    this.#seq = content.records.length;
    this.#unlock = unlock;
  }

  /**
   * Appends one record; it is on the disk when this returns.
   * @returns its sequence number
   * @throws LedgerError HM_LEDGER_FULL, HM_LEDGER_READ_ONLY, HM_LEDGER_IO: nothing was written, a later append may succeed;
   *   HM_LEDGER_FAILED: nothing more can be written; HM_LEDGER_RECORD; HM_LEDGER_CLOSED
   */
  append(event: LedgerEvent): number {
    if (this.#fd === -1) throw new LedgerError("HM_LEDGER_CLOSED", `The ledger ${this.path} is closed`);
    if (this.#broken !== null) throw this.#failed(this.#broken);
    const line = encodeRecord(this.#seq + 1, new Date(), event);
    try {
      this.#write(line);
    } catch (error) {
      this.#repair();
      throw error instanceof LedgerError ? error : ledgerIoError(error, this.path, "appended to");
    }
    this.#size += line.length;
    this.#seq += 1;
    return this.#seq;
  }

  /** Closes the file and gives the ledger free for another guard. May be called twice. */
  close(): void {
    if (this.#fd === -1) return;
    const fd = this.#fd;
    this.#fd = -1;
    try {
      closeSync(fd);
    } finally {
      this.#unlock();
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #write(line: Buffer): void {
    let done = writeSync(this.#fd, line);
    // A short write means that the disk is nearly full, or a signal: the next one tells which.
    while (done < line.length) {
      const more = writeSync(this.#fd, line, done);
      if (more === 0) throw new LedgerError("HM_LEDGER_IO", `The ledger ${this.path} takes no more bytes`);
      done += more;
    }
  }

  #repair(): void {
    try {
      if (fstatSync(this.#fd).size !== this.#size) ftruncateSync(this.#fd, this.#size);
      fdatasyncSync(this.#fd);
    } catch (error) {
      this.#broken = messageOf(error);
    }
  }

  #failed(reason: string): LedgerError {
    return new LedgerError("HM_LEDGER_FAILED", `The ledger ${this.path} takes no more records: ${reason}`, {
      remedy: "Repair the disk, then start the guard again",
    });
  }
}
