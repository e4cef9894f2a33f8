/**
 * Step 5 of the walk: read what the kernel can still read of a poisoned large page, into the replacement.
 *
 * Since Linux 6.6 read() of a poisoned hugetlbfs page stops short at a bad 4 KiB and gives EIO at it (fs/hugetlbfs/inode.c
 * adjust_range_hwpoison). Never through a mapping: touching the poison would be our own SIGBUS.
 */

import { allocateNative } from "../linux/native-memory.js";
import { SMALL_PAGE } from "./large-page.js";
import { largePageReader, type PageSource } from "./large-page-reader.js";
import { RecoveryError } from "./recovery-error.js";

/** What could be read. */
export interface Salvaged {
  /** Byte offsets within the large page of the lost 4 KiB pages, ascending. */
  readonly lost: readonly number[];
  /** Bytes that were copied. */
  readonly bytes: number;
}

/** @param from address in this process @param size bytes @param position where they belong in the large page */
export type PutPiece = (from: bigint, size: number, position: number) => void;

/** @param position a multiple of 4096 @returns bytes from there on that are in the replacement now; 0 if the 4 KiB there are bad */
export type MovePiece = (position: number) => number;

/** Pieces pass through a buffer that stays in the processor's cache. */
const PIECE = 256 * 1024;
const buffer = allocateNative(PIECE);

/**
 * @param source the large page's file
 * @param put puts what was read into the replacement; lost pages are left out
 * @throws RecoveryError HM_SALVAGE_READ on anything but data or EIO, HM_SALVAGE_ALL_LOST if nothing can be read; and what `put` throws
 */
export function salvage(source: PageSource, put: PutPiece): Salvaged {
  const read = largePageReader(source, buffer.address);
  return salvageBy(source.size, (position) => {
    const got = read(position, PIECE);
    if (got > 0) put(buffer.address, got, position);
    return got;
  });
}

/**
 * The same, however the bytes get into the replacement.
 *
 * @param size bytes of the large page
 * @throws RecoveryError HM_SALVAGE_ALL_LOST if nothing can be read, and what `move` throws
 */
export function salvageBy(size: number, move: MovePiece): Salvaged {
  const lost: number[] = [];
  for (let position = 0; position < size; ) {
    const moved = move(position);
    if (moved === 0) lost.push(position);
    position += moved || SMALL_PAGE;
  }
  if (lost.length * SMALL_PAGE < size) return { lost, bytes: size - lost.length * SMALL_PAGE };
  throw new RecoveryError("HM_SALVAGE_ALL_LOST", "No byte of the large page can be read", {
    present: `${lost.length} lost pages of 4 KiB`,
    expected: "at least one that is intact",
    remedy:
      "This kernel does not know which part is bad (Linux 6.6, or 6.8 and later, does); the mapping was left as it was",
  });
}
