import type { Hva } from "../linux/address.js";
import { errno } from "../linux/errno.js";
import { RemoteCallError, type RemoteCalls } from "../tracee/remote-calls.js";

const MADV_NOHUGEPAGE = 15;

/**
 * Joining small pages of a file to a huge one throws their page tables away, and with them the markers of lost pages, which would read as
 * zeros from then on (mm/khugepaged.c retract_page_tables; seen on Linux 6.12 and 6.18 with shmem_enabled=always, and with MADV_COLLAPSE).
 * Anonymous memory is not joined over a marker; it is tried again and again all the same.
 *
 * @param remote a borrowed thread of the tracee
 * @param region our own new mapping
 * @param size its bytes
 * @throws RemoteCallError
 */
export function keepSmall(remote: RemoteCalls, region: Hva, size: number): void {
  try {
    // SAFETY: advice on our own new mapping.
    remote.call("madvise", region, size, MADV_NOHUGEPAGE);
  } catch (error) {
    // A kernel without CONFIG_TRANSPARENT_HUGEPAGE does not know the advice, and joins nothing.
    if (!(error instanceof RemoteCallError) || error.errno !== errno.EINVAL) throw error;
  }
}
