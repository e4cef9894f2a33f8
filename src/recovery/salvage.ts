/**
 * Step 5 of the walk: read what the kernel can still read of a poisoned large page, into the overlay.
 *
 * Since Linux 6.6 read() of a poisoned hugetlbfs page stops short at a bad 4 KiB and gives EIO at it (fs/hugetlbfs/inode.c
 * adjust_range_hwpoison). Never through a mapping: touching the poison would be our own SIGBUS.
 */

import { errno, errnoName } from "../linux/errno.js";
import { readAt, writeAt } from "../linux/file-transfer.js";
import { allocateNative } from "../linux/native-memory.js";
import { SMALL_PAGE } from "./large-page.js";
import { RecoveryError } from "./recovery-error.js";

/** What could be read. */
export interface Salvaged {
  /** Byte offsets within the large page of the lost 4 KiB pages, ascending. */
  readonly lost: readonly number[];
  /** Bytes that were copied. */
  readonly bytes: number;
}

/**
 * Pieces pass through a buffer that stays in the processor's cache: reading into a mapping of the overlay instead takes twice as
 * long, because each of its small pages is cleared and faulted in first.
 */
const PIECE = 256 * 1024;
const buffer = allocateNative(PIECE);

/**
 * @param source the hugetlbfs file
 * @param offset where the large page begins in it, in bytes
 * @param size bytes of the large page; no read spans two of them, because EIO would override what was copied
 * @param target an empty file of `size` bytes: the overlay; lost pages stay holes in it
 * @throws RecoveryError HM_SALVAGE_READ on anything but data or EIO, HM_SALVAGE_ALL_LOST if nothing can be read;
 *   SystemCallError if the overlay cannot be written
 */
export function salvage(source: number, offset: bigint, size: number, target: number): Salvaged {
  const lost: number[] = [];
  let position = 0;
  while (position < size) {
    const piece = Math.min(PIECE, size - position);
    const { value, errno: error } = readAt(source, buffer.address, piece, offset + BigInt(position));
    if (error === errno.EIO) {
      const page = position - (position % SMALL_PAGE);
      lost.push(page);
      position = page + SMALL_PAGE;
    } else if (error === 0 && value > 0n) {
      writeAt(target, buffer.address, Number(value), BigInt(position));
      position += Number(value);
    } else {
      throw new RecoveryError("HM_SALVAGE_READ", "The large page cannot be read from its file", {
        present: error === 0 ? `end of file after ${position} bytes` : errnoName(error),
        expected: `${size} bytes or EIO`,
        remedy: "The mapping was left as it was",
      });
    }
  }
  if (lost.length * SMALL_PAGE === size) {
    throw new RecoveryError("HM_SALVAGE_ALL_LOST", "No byte of the large page can be read", {
      present: `${lost.length} lost pages of 4 KiB`,
      expected: "at least one that is intact",
      remedy:
        "This kernel does not know which part is bad (Linux 6.6, or 6.8 and later, does); the mapping was left as it was",
    });
  }
  return { lost, bytes: size - lost.length * SMALL_PAGE };
}
