/** Marking lost pages so that whoever touches one gets a fresh SIGBUS with its exact address. */

import { type Hva, hex, hva } from "../linux/address.js";
import { closeDescriptor, takeDescriptor } from "../linux/pidfd.js";
import {
  enablePoison,
  markPoisoned,
  registerRange,
  UFFD_CLOEXEC,
  UFFD_USER_MODE_ONLY,
  unregisterRange,
} from "../linux/userfaultfd.js";
import type { RemoteCalls } from "../tracee/remote-calls.js";
import { SMALL_PAGE } from "./large-page.js";
import { RecoveryError } from "./recovery-error.js";

const MADV_DONTNEED = 4;
const MLOCK_ONFAULT = 1;

/** The system calls this needs in the tracee. */
export type LostPageCalls = Pick<RemoteCalls, "call">;

/**
 * Leaves poison markers in the page tables of a replacement that is not in place yet. They need no privilege in the tracee,
 * outlive the userfaultfd, and move with mremap(2).
 *
 * @param remote a borrowed thread of the tracee
 * @param processDescriptor pidfd of the tracee
 * @param region where the replacement is mapped in the tracee, nothing of it touched yet
 * @param size its bytes
 * @param lost byte offsets of the lost 4 KiB pages
 * @param onOpen called while the userfaultfd is open
 * @throws LinuxError HM_USERFAULTFD, TraceeError HM_REMOTE_CALL
 */
export function markLostPages(
  remote: LostPageCalls,
  processDescriptor: number,
  region: Hva,
  size: number,
  lost: readonly number[],
  onOpen: () => void = () => {},
): void {
  if (lost.length === 0) return;
  // SAFETY: a descriptor nobody in the tracee knows of, closed below; left open by our death it watches nothing that is in use.
  const theirs = Number(remote.call("userfaultfd", UFFD_USER_MODE_ONLY | UFFD_CLOEXEC));
  try {
    const ours = takeDescriptor(processDescriptor, theirs);
    try {
      enablePoison(ours);
      onOpen();
      registerRange(ours, region, size);
      const marked = lost.map((offset) =>
        markOne(remote, ours, hva(region + BigInt(offset)), { region, size }),
      );
      unregisterRange(ours, region, size);
      if (marked.includes("unlocked")) {
        // SAFETY: the region is our own new mapping; with MLOCK_ONFAULT nothing is populated, so the markers stay.
        remote.call("mlock2", region, size, MLOCK_ONFAULT);
      }
    } finally {
      closeDescriptor(ours);
    }
  } finally {
    // SAFETY: the descriptor is ours by right, see above.
    remote.call("close", theirs);
  }
}

/**
 * In a process that locks its memory (mlockall(2) with MCL_FUTURE) a new mapping is populated at once, and a marker can only be
 * put where nothing is.
 */
function markOne(
  remote: LostPageCalls,
  descriptor: number,
  page: Hva,
  { region, size }: { region: Hva; size: number },
): "marked" | "unlocked" {
  if (markPoisoned(descriptor, page, SMALL_PAGE)) return "marked";
  // SAFETY: our own new mapping; what is dropped is a page of zeros.
  remote.call("munlock", region, size);
  remote.call("madvise", page, SMALL_PAGE, MADV_DONTNEED);
  if (markPoisoned(descriptor, page, SMALL_PAGE)) return "unlocked";
  throw new RecoveryError("HM_LOST_PAGE_POPULATED", `The lost page at ${hex(page)} cannot be marked`, {
    present: "a page is populated there again and again",
    expected: "nothing",
    remedy: "The mapping was left as it was",
  });
}
