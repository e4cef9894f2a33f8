/** The end of a lazy recovery: what was opened for it in the VM is closed, and the poisoned page may go back to the kernel. */

import { hex } from "../../linux/address.js";
import { punchHole } from "../../linux/file-transfer.js";
import { closeDescriptor } from "../../linux/pidfd.js";
import { SMALL_PAGE } from "../../recovery/large-page.js";
import { openRamFile } from "../../recovery/ram-file.js";
import type { GuardContext } from "../guard-context.js";
import { guestAddress } from "../guest-address.js";
import { lostRangesOf, rounded } from "../tell-recovered.js";
import { tellTrouble } from "../tell-trouble.js";
import type { Filled } from "./lazy-fills.js";

/** Fills what is left when the VM is no longer traced. @returns whether there was anything: then descriptors of ours are still open in the VM */
export async function finishLeft(guard: GuardContext): Promise<boolean> {
  await guard.fills.finishAll();
  let any = false;
  for (let filled = guard.fills.take(); filled !== undefined; filled = guard.fills.take()) {
    finishFill(guard, filled, false);
    any = true;
  }
  return any;
}

/** Never throws: the replacement is full, and stays so. @param traced whether a thread of the VM can be borrowed */
export function finishFill(guard: GuardContext, filled: Filled, traced = true): void {
  const { page, spare, source, result, since } = filled;
  guard.onStep("fill-full");
  attempt(guard, () => spare.note({ descriptor: null, page }));
  if (traced) attempt(guard, () => closeTheirs(guard, spare.theirs));
  spare.release();
  closeDescriptor(source.file);
  guard.onStep("fill-closed");
  const givesBack = guard.policy.giveBack && guard.sharers.lookNow().length === 0;
  guard.replaced.filled(page.base, result.lost, givesBack);
  const lostBytes = result.lost.length * SMALL_PAGE;
  guard.journal.tell({
    event: "filled",
    hva: hex(page.base),
    gpa: guestAddress(guard, page.base),
    pageSize: page.size,
    lost: lostRangesOf(guard, page.base, result.lost),
    salvagedBytes: page.size - lostBytes,
    large: { ranges: result.ranges, collapsed: result.collapsed },
    givenBackBytes: givesBack ? page.size - lostBytes : 0,
    ms: { total: rounded(performance.now() - since) },
  });
  guard.onStep("fill-recorded");
  // After the record: whoever finds the hole must know that no reset of the guest has made it.
  if (givesBack) attempt(guard, () => giveBack(guard, filled));
}

function closeTheirs(guard: GuardContext, theirs: number): void {
  // SAFETY: a descriptor that nothing in the VM knows of, and that watches nothing any more.
  guard.tracee.withAny((remote) => remote.call("close", theirs));
}

/** Punches the poisoned page out of its file: the kernel takes it apart and keeps only its bad 4 KiB (mm/hugetlb.c). */
function giveBack(guard: GuardContext, { page }: Filled): void {
  using file = openRamFile(guard.pid, guard.processDescriptor, page);
  // SAFETY: the replacement is full and hides this part of the file from the VM, and nobody else maps it; after a death right here it
  // is a hole, which is what a reset makes of it as well.
  punchHole(file.ours, page.offset, page.size);
}

function attempt(guard: GuardContext, action: () => void): void {
  try {
    action();
  } catch (error) {
    tellTrouble(guard, "After a replacement was filled", error);
  }
}
