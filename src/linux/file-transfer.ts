/** pread(2) and pwrite(2) with native memory, with the error number as a result: EIO is news here, not a failure. */

import type { RawResult } from "./native.js";
import { systemCall, trySystemCall } from "./system-call.js";

/**
 * @param fd file
 * @param address destination in this process
 * @param size bytes
 * @param offset position in the file, in bytes
 * @returns bytes read, which may be fewer, or the error number
 */
export function readAt(fd: number, address: bigint, size: number, offset: bigint): RawResult {
  return trySystemCall("pread64", fd, address, size, offset);
}

/**
 * @param fd file
 * @param address source in this process
 * @param size bytes
 * @param offset position in the file, in bytes
 * @throws SystemCallError if not all could be written
 */
export function writeAt(fd: number, address: bigint, size: number, offset: bigint): void {
  for (let done = 0; done < size; ) {
    // SAFETY: the caller owns the file: an overlay that is not in place yet.
    const written = systemCall("pwrite64", fd, address + BigInt(done), size - done, offset + BigInt(done));
    done += Number(written);
  }
}

const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;

/** Takes a part out of a file, which keeps its size: fallocate(2). @throws SystemCallError */
export function punchHole(fd: number, offset: bigint, size: number): void {
  // SAFETY: the caller knows that nobody needs what is there.
  systemCall("fallocate", fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size);
}
