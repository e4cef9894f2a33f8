/**
 * The file under a ledger: lines are appended and taken back, and reach the disk.
 *
 * A record has to survive its guard, and does as soon as the kernel has its bytes: `append` returns then. A crash of the host takes
 * the VM along, so nobody acts on the ledger afterwards; the disk gets the bytes right after, in the background, for people who
 * look for the cause.
 *
 * A line that could not be written whole leaves no trace: the file is cut back to its last good one. Where even that fails the file
 * takes no more lines, so that a torn one is never followed by another.
 *
 * When the disk fails, the kernel takes what it could not write for written, and may forget it at any time: what is in the file
 * can no longer be trusted. So lines are kept in memory until they are on the disk; after a failure they are written again, and must
 * reach the disk, before another one is taken.
 */

import { closeSync, fdatasyncSync, fstatSync, ftruncateSync, writeSync } from "node:fs";
import { messageOf } from "../errors.js";
import { BackgroundSync } from "./background-sync.js";
import { ledgerIoError } from "./io-error.js";
import { LedgerError } from "./ledger-error.js";

/** When so many bytes wait for the disk, the next line waits too: what is kept in memory is bounded. */
const MOST_WAITING = 2 ** 20;

/** Who wants to know what happens behind its back. */
export interface LineFileListener {
  /** Lines are about to be put on the disk; may take some back. */
  beforeSync(): void;
  /** What was written may not be on the disk, HM_LEDGER_NOT_ON_DISK. Called once, until it is. */
  trouble(error: LedgerError): void;
}

/** See the head of the file. */
export class LineFile {
  readonly path: string;
  readonly #listener: LineFileListener;
  readonly #background: BackgroundSync;
  #fd: number;
  #size: number;
  /** Up to here the file is on the disk, in bytes. */
  #onDisk: number;
  /** The lines from there on. */
  readonly #waiting: Buffer[] = [];
  /** Bytes that waited may be lost. */
  #inDoubt = false;
  #broken: string | null = null;

  /**
   * @param path named in errors
   * @param fd taken over
   * @param size how long it is, all of it on the disk
   * @throws Error of node:fs: `fd` stays the caller's
   */
  constructor(path: string, fd: number, size: number, listener: LineFileListener) {
    this.path = path;
    this.#listener = listener;
    this.#fd = fd;
    this.#size = size;
    this.#onDisk = size;
    this.#background = new BackgroundSync(
      fd,
      () => {
        listener.beforeSync();
        return this.#size;
      },
      (error, bytes) => (error === null ? this.#reached(bytes) : this.#doubt(error)),
    );
  }

  /**
   * @param encode makes the line, with its newline; called when everything before it is in order
   * @returns the line
   * @throws what `encode` throws; LedgerError HM_LEDGER_FULL, HM_LEDGER_READ_ONLY, HM_LEDGER_IO, HM_LEDGER_NOT_ON_DISK: nothing was
   *   written, a later append may succeed; HM_LEDGER_FAILED: nothing more can be written; HM_LEDGER_CLOSED
   */
  append(encode: () => Buffer): Buffer {
    this.#checkOpen();
    if (this.#inDoubt || this.#size - this.#onDisk > MOST_WAITING) this.sync();
    const line = encode();
    try {
      this.#write(line, this.#size);
    } catch (error) {
      this.#cut();
      throw error instanceof LedgerError ? error : ledgerIoError(error, this.path, "appended to");
    }
    this.#size += line.length;
    this.#waiting.push(line);
    this.#background.request();
    return line;
  }

  /** Cuts the last lines off. Only in {@link LineFileListener.beforeSync}, and only lines that came after the one before it. */
  takeBack(count: number): void {
    for (const { length } of this.#waiting.splice(-count)) this.#size -= length;
    this.#cut();
  }

  /**
   * Everything appended is on the disk when this returns.
   *
   * @throws LedgerError HM_LEDGER_NOT_ON_DISK, HM_LEDGER_FAILED, HM_LEDGER_CLOSED
   */
  sync(): void {
    this.#checkOpen();
    this.#listener.beforeSync();
    try {
      if (this.#inDoubt) this.#writeAgain();
      fdatasyncSync(this.#fd);
    } catch (error) {
      throw this.#doubt(error);
    }
    this.#inDoubt = false;
    this.#reached(this.#size);
  }

  /** Puts everything on the disk and closes the file. A disk that fails is told as trouble, and keeps nothing open. */
  close(): void {
    if (this.#fd === -1) return;
    try {
      if (this.#broken === null) this.sync();
    } catch {
      // It has been told.
    }
    const fd = this.#fd;
    this.#fd = -1;
    this.#background.end();
    closeSync(fd);
  }

  #checkOpen(): void {
    if (this.#fd === -1) throw new LedgerError("HM_LEDGER_CLOSED", `The ledger ${this.path} is closed`);
    if (this.#broken === null) return;
    throw new LedgerError(
      "HM_LEDGER_FAILED",
      `The ledger ${this.path} takes no more records: ${this.#broken}`,
      {
        remedy: "Repair the disk, then start the guard again",
      },
    );
  }

  #write(line: Buffer, at: number): void {
    let done = writeSync(this.#fd, line, 0, line.length, at);
    // A short write means that the disk is nearly full, or a signal: the next one tells which.
    while (done < line.length) {
      const more = writeSync(this.#fd, line, done, line.length - done, at + done);
      if (more === 0) throw new LedgerError("HM_LEDGER_IO", `The ledger ${this.path} takes no more bytes`);
      done += more;
    }
  }

  #cut(): void {
    try {
      if (fstatSync(this.#fd).size === this.#size) return;
      ftruncateSync(this.#fd, this.#size);
      this.#background.request();
    } catch (error) {
      this.#broken = messageOf(error);
    }
  }

  /** The same bytes in the same place: pages that the kernel has given up are ones to be written again. */
  #writeAgain(): void {
    try {
      // An old failure is told once to each open file; this one may not have heard of it.
      fdatasyncSync(this.#fd);
    } catch {
      // The one after this decides.
    }
    let at = this.#onDisk;
    for (const line of this.#waiting) {
      this.#write(line, at);
      at += line.length;
    }
  }

  #reached(bytes: number): void {
    // In doubt a sync that succeeds says nothing: the kernel has told of the failure already.
    if (this.#inDoubt) return;
    while (this.#onDisk < bytes) this.#onDisk += this.#waiting.shift()?.length ?? bytes - this.#onDisk;
  }

  #doubt(cause: unknown): LedgerError {
    const error = new LedgerError(
      "HM_LEDGER_NOT_ON_DISK",
      `What was written last to the ledger ${this.path} may not be on its disk: ${messageOf(cause)}`,
      {
        remedy:
          "It is written again before the next record; until that succeeds nothing is replaced. Check the disk and the kernel log",
        cause,
      },
    );
    if (!this.#inDoubt) this.#listener.trouble(error);
    this.#inDoubt = true;
    return error;
  }
}
