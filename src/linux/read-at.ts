/** pread(2) into native memory, with the error number as a result: EIO is news here, not a failure. */

import type { RawResult } from "./native.js";
import { trySystemCall } from "./system-call.js";

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
