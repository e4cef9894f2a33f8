/** The other way of marking lost pages: poison in the overlay's file itself, which every process that maps it would see. */

import { hex, hva } from "../linux/address.js";
import { errno } from "../linux/errno.js";
import { poisonPages } from "../linux/hwpoison.js";
import { allocateNative } from "../linux/native-memory.js";
import { trySystemCall } from "../linux/system-call.js";
import { SMALL_PAGE } from "./large-page.js";
import { RecoveryError } from "./recovery-error.js";

/**
 * @param descriptor of the overlay's file, which is mapped nowhere
 * @param lost byte offsets of the lost 4 KiB pages
 * @throws RecoveryError HM_LOST_PAGE_NOT_POISONED, SystemCallError
 */
export function poisonLostPages(descriptor: number, lost: readonly number[]): void {
  poisonPages(descriptor, lost, SMALL_PAGE);
  const place = allocateNative(SMALL_PAGE);
  try {
    for (const offset of lost) {
      const { errno: error } = trySystemCall("pread64", descriptor, place.address, SMALL_PAGE, offset);
      if (error === errno.EIO) continue;
      throw new RecoveryError("HM_LOST_PAGE_NOT_POISONED", "The kernel took no poison for a lost page", {
        present: `reading at ${hex(hva(BigInt(offset)))} of the replacement gives ${error === 0 ? "data" : `errno ${error}`}`,
        expected: "EIO",
        remedy: "The mapping was left as it was; --poison-with uffd does without",
      });
    }
  } finally {
    place.release();
  }
}
