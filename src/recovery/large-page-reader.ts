/** Reading a poisoned large page from its file, into a buffer of ours: good bytes, or the word that 4 KiB are bad. */

import { errno, errnoName } from "../linux/errno.js";
import { readAt } from "../linux/file-transfer.js";
import { SMALL_PAGE } from "./large-page.js";
import { RecoveryError } from "./recovery-error.js";

/** Where a large page's data is. Plain data: it is passed between threads. */
export interface PageSource {
  /** The hugetlbfs file, open for reading. */
  readonly file: number;
  /** Where the large page begins in it, in bytes. */
  readonly offset: bigint;
  /** Bytes of the large page. */
  readonly size: number;
  /** Offsets of 4 KiB that are called bad whatever the file says: only where memory cannot be made to fail. */
  readonly pretendBad: readonly number[];
}

/** @returns bytes that were read, a multiple of 4096; 0 if the first 4 KiB are bad */
export type ReadPiece = (position: number, size: number) => number;

/**
 * @param source the page
 * @param buffer address of memory of ours, for the largest piece
 * @returns reads a piece that begins at a multiple of 4096; it ends before the first bad 4 KiB and at the large page's end, because EIO would
 *   override what was copied from another page. Throws RecoveryError HM_SALVAGE_READ on anything but data or EIO.
 */
export function largePageReader(source: PageSource, buffer: bigint): ReadPiece {
  return (position, size) => {
    const wanted = readableAt(source, position, size);
    if (wanted === 0) return 0;
    const { value, errno: error } = readAt(source.file, buffer, wanted, source.offset + BigInt(position));
    if (error === errno.EIO) return 0;
    const whole = Number(value) - (Number(value) % SMALL_PAGE);
    if (error === 0 && whole > 0) return whole;
    throw new RecoveryError("HM_SALVAGE_READ", "The large page cannot be read from its file", {
      present: error === 0 ? `${value} bytes at ${position}` : errnoName(error),
      expected: `${wanted} bytes or EIO`,
      remedy: "What could not be read stays missing, and whoever needs it waits",
    });
  };
}

/** @returns how many bytes may be asked for from `position` on: at most `size`, up to the large page's end or what is called bad */
export function readableAt(source: PageSource, position: number, size: number): number {
  const end = Math.min(position + size, source.size);
  const bad = source.pretendBad.filter((offset) => offset >= position && offset < end);
  return Math.min(end, ...bad) - position;
}
