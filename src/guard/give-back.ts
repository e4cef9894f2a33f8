/**
 * A poisoned large page that nobody needs any more leaves its file. What the host gains by that is measured, not assumed: Linux
 * up to 6.12 at least gains nothing (docs/decisions/0030-what-the-host-gains.md).
 */

import { hex } from "../linux/address.js";
import { punchHole } from "../linux/file-transfer.js";
import { type HugepagePool, readHugepagePools } from "../linux/procfs/hugepages.js";
import { readOverlays } from "../recovery/classify.js";
import { SMALL_PAGE } from "../recovery/large-page.js";
import type { OverlayIdentity } from "../recovery/overlay-name.js";
import { openRamFile } from "../recovery/ram-file.js";
import type { GuardContext } from "./guard-context.js";
import { guestAddress } from "./guest-address.js";
import { tellTrouble } from "./tell-trouble.js";

/**
 * Does nothing unless the policy asks for it, the replacement is in its place, and nobody else maps the RAM. Never throws.
 *
 * @param page whose replacement is full
 * @param lost how many of its 4 KiB are bad
 */
export function giveBack(guard: GuardContext, page: OverlayIdentity, lost: number): void {
  if (!guard.policy.giveBack) return;
  try {
    if (guard.sharers.lookNow().length > 0 || !isReplaced(guard.pid, page)) return;
    using file = openRamFile(guard.pid, guard.processDescriptor, page);
    // First: whoever finds the hole must know that no reset of the guest has made it.
    guard.journal.require({ event: "returning", hva: hex(page.base) });
    guard.replaced.givenBack(page.base);
    guard.onStep("return-recorded");
    const before = poolOf(page.size);
    // SAFETY: the replacement is full and hides this part of the file from the VM, and nobody else maps it; after a death right
    // here it is a hole, which is what a reset makes of it as well.
    punchHole(file.ours, page.offset, page.size);
    const bytes = gainedBytes(before, poolOf(page.size), page.size - lost * SMALL_PAGE);
    guard.journal.tell({
      event: "returned",
      hva: hex(page.base),
      gpa: guestAddress(guard, page.base),
      pageSize: page.size,
      bytes,
    });
    guard.onStep("return-told");
  } catch (error) {
    tellTrouble(guard, "The poisoned page stays in its file", error);
  }
}

/** A reset may have been quicker: then this part of the file holds a healthy page that the guest uses. */
function isReplaced(pid: number, { base, size, offset, device, inode }: OverlayIdentity): boolean {
  return readOverlays(pid).placed.some(
    ({ overlay }) =>
      overlay.base === base &&
      overlay.size === size &&
      overlay.offset === offset &&
      overlay.device === device &&
      overlay.inode === inode,
  );
}

function poolOf(pageSize: number): HugepagePool | undefined {
  return readHugepagePools().find((pool) => pool.pageSize === pageSize);
}

/**
 * A large page is taken apart if it leaves its pool (mm/hugetlb.c remove_hugetlb_folio): then its good 4 KiB are free. One that
 * becomes free in the pool is of no use there, for the pool hands out no bad page (dequeue_hugetlb_folio_node_exact).
 *
 * @param before the pool @param after the same a moment later @param good bytes of the page that are not bad
 * @returns bytes that the host can use again
 */
export function gainedBytes(
  before: Pick<HugepagePool, "total"> | undefined,
  after: Pick<HugepagePool, "total"> | undefined,
  good: number,
): number {
  return before !== undefined && after !== undefined && after.total < before.total ? good : 0;
}
