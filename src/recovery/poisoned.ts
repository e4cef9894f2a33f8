/** Asks the kernel whether a large page holds a bad 4 KiB, without touching the process that uses it. */

import { setImmediate as nextTurn } from "node:timers/promises";
import { errno } from "../linux/errno.js";
import { readAt } from "../linux/file-transfer.js";
import { allocateNative } from "../linux/native-memory.js";

const PIECE = 256 * 1024;
/** Between pieces of this size the event loop gets its turn: a signal for QEMU must not wait for 1 GiB to be read. */
const AT_ONCE = 2 * 1024 * 1024;
const buffer = allocateNative(PIECE);

/**
 * Reads up to the first bad 4 KiB. Only on kernels that can (procfs/kernel-version.ts): others give wrong data, or worse.
 *
 * @param file the hugetlbfs file, open for reading
 * @param offset where the large page begins in it
 * @param size its bytes
 */
export async function holdsPoison(file: number, offset: bigint, size: number): Promise<boolean> {
  let position = 0;
  while (position < size) {
    if (position > 0 && position % AT_ONCE === 0) await nextTurn();
    const { value, errno: error } = readAt(file, buffer.address, PIECE, offset + BigInt(position));
    if (error === errno.EIO) return true;
    // A read that stops short stands before the bad 4 KiB or at the end of the file: the next one tells.
    if (error !== 0 || value <= 0n) return false;
    position += Number(value);
  }
  return false;
}
