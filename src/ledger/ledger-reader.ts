/**
 * Reads a ledger back.
 *
 * A torn tail is what stands after the last newline, whatever it is. The writer hands a line to the kernel in one
 * write whose last byte is the newline, and acts only after that write has returned; so a line without its newline
 * was never acted upon and may be dropped, unless it is longer than any line. Everything before the last newline was acted upon: a bad line there,
 * the last one included, means that the file was damaged afterwards, and is refused. (A crash of the host may do that, too, before the disk
 * has all lines; but then the process is gone that the ledger is about.)
 */

import { readFileSync, statSync } from "node:fs";
import { ledgerIoError } from "./io-error.js";
import { LedgerError } from "./ledger-error.js";
import { decodeRecord, type LedgerRecord, MAX_LINE } from "./record.js";

/** A ledger as read. */
export interface LedgerContent {
  readonly records: readonly LedgerRecord[];
  /** The unfinished last line was dropped; null when there was none. */
  readonly tornTail: { readonly offset: number; readonly bytes: number } | null;
  /** Length of the good part in bytes. */
  readonly goodBytes: number;
}

/** Largest ledger read, in bytes: over a million records. */
export const MAX_LEDGER: number = 512 * 2 ** 20;
const NEWLINE = 10;

/**
 * @param path a ledger file
 * @returns its records in order
 * @throws LedgerError HM_LEDGER_MISSING, HM_LEDGER_DENIED, HM_LEDGER_IO, HM_LEDGER_TOO_LARGE; HM_LEDGER_CORRUPT and
 *   HM_LEDGER_FORMAT with the line number
 */
export function readLedger(path: string): LedgerContent {
  let bytes: Buffer;
  try {
    checkLedgerSize(path, statSync(path).size);
    bytes = readFileSync(path);
  } catch (error) {
    throw error instanceof LedgerError ? error : ledgerIoError(error, path, "read");
  }
  return parseLedger(bytes, path);
}

/** @throws LedgerError HM_LEDGER_TOO_LARGE */
export function checkLedgerSize(path: string, size: number): void {
  if (size <= MAX_LEDGER) return;
  throw new LedgerError("HM_LEDGER_TOO_LARGE", `The ledger ${path} is too large to be read`, {
    present: `${size} bytes`,
    expected: `at most ${MAX_LEDGER}`,
    remedy: "Move the file aside when its VM has ended",
  });
}

/**
 * @param bytes a whole ledger file
 * @param path named in errors
 * @throws LedgerError HM_LEDGER_CORRUPT, HM_LEDGER_FORMAT
 */
export function parseLedger(bytes: Buffer, path: string): LedgerContent {
  const records: LedgerRecord[] = [];
  let start = 0;
  for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
    const record = decodeRecord(bytes.subarray(start, end), records.length + 1);
    if (typeof record === "string") throw corrupt(path, records.length + 1, record);
    records.push(record);
    start = end + 1;
  }
  const left = bytes.length - start;
  // The writer hands over one line at a time, none longer than MAX_LINE: more than that is not its work.
  if (left >= MAX_LINE) {
    throw corrupt(path, records.length + 1, `${left} bytes without an end, a line has at most ${MAX_LINE}`);
  }
  return { records, tornTail: left > 0 ? { offset: start, bytes: left } : null, goodBytes: start };
}

function corrupt(path: string, line: number, reason: string): LedgerError {
  return new LedgerError("HM_LEDGER_CORRUPT", `Line ${line} of the ledger ${path} is damaged: ${reason}`, {
    remedy:
      "Restore the file from a copy, or move it aside; without it earlier recoveries of this VM are not known",
  });
}
