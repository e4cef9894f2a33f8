/** Whether a large page could be had from its pool, asked of the kernel without taking one. */

import { errno } from "./errno.js";
import { mapping } from "./native-memory.js";
import { SystemCallError, systemCall, trySystemCall } from "./system-call.js";

/** include/uapi/asm-generic/mman-common.h, asm-generic/hugetlb_encode.h */
const MAP_HUGETLB = 0x40000;
const MAP_HUGE_SHIFT = 26;

/**
 * A mapping of large pages reserves them (mm/hugetlb.c hugetlb_reserve_pages): so the kernel's own rules answer, with reservations of
 * others, pages it may add, and the nodes this process may use. Somebody else may be quicker afterwards.
 *
 * @param pageSize bytes of a large page that the kernel knows
 * @throws SystemCallError on anything but a lack of pages
 */
export function hasFreeLargePage(pageSize: number): boolean {
  const flags =
    mapping.MAP_PRIVATE | mapping.MAP_ANONYMOUS | MAP_HUGETLB | (Math.log2(pageSize) << MAP_HUGE_SHIFT);
  const protection = mapping.PROT_READ | mapping.PROT_WRITE;
  // SAFETY: a new mapping of our own that nobody touches, so no page is taken; the reservation goes with it, or with us.
  const { value, errno: error } = trySystemCall("mmap", 0, pageSize, protection, flags, -1, 0);
  if (error === errno.ENOMEM || error === errno.ENOSPC) return false;
  if (error !== 0) throw new SystemCallError("mmap", error);
  // SAFETY: the mapping from above, of this very size.
  systemCall("munmap", value, pageSize);
  return true;
}
